//! Values of the client as JSON for the page. Nothing here checks anything: what comes in was verified.

use std::collections::BTreeMap;

use client::circle::number;
use client::receipt::{Kept, Shown};
use client::wallet::{Kept as OwnPersona, PersonaAct};
use client::{Followed, InForce, Proof, Statements, Wallet};
use credential::glyph::Glyph;
use credential::{Attribute, Context};
use serde_json::{Value, json};
use tlog::monitor::Row;
use types::api::to_base64;
use types::consent::{AskStatement, GrantState, GrantStatement, Operation};
use types::message::{Finding, MemberStatement, Outcome, RecordStatement};
use types::profile::Profile;
use types::recovery::{GuardedStatement, RecoveryStatement};
use types::roster::Roster;
use types::{NodeId, UnixSeconds};

use crate::trouble;

/// The commons and its nodes.
pub fn roster(roster: &Roster) -> Value {
    let nodes: Vec<Value> = roster
        .nodes
        .iter()
        .map(|node| json!({ "node": node.id, "operator": node.operator, "url": node.url, "signing_key": node.signing_key, "log_key": node.log_key }))
        .collect();
    json!({
        "commons": roster.commons,
        "digest": roster.digest(),
        "throw_away": roster.throw_away,
        "nodes": nodes,
        "profiles": roster.profiles.iter().map(profile).collect::<Vec<_>>(),
    })
}

fn profile(profile: &Profile) -> Value {
    let files: Vec<Value> = biometric::capture::FaceSettings::of(profile)
        .map(|settings| settings.files().map(|file| json!({ "file": file.file, "sha256": file.sha256 })).to_vec())
        .unwrap_or_default();
    json!({
        "id": profile.id,
        "modality": profile.modality,
        "description": profile.description,
        "accuracy": profile.accuracy,
        "threshold": charter::Charter::threshold(profile),
        "values": profile.matching.input_len(),
        "models": files,
    })
}

/// The rules in force.
pub fn charter(rules: &InForce) -> Value {
    json!({
        "version": rules.charter.version(),
        "digest": rules.digest(),
        "document": rules.charter.document(),
        "text": String::from_utf8_lossy(rules.charter.bytes()),
        "signed": rules.signed.as_ref().map(|signed| to_base64(&types::encode(signed))),
        "reveals": {
            "membership": charter::Answers::in_words(Operation::Membership),
            "verification": charter::Answers::in_words(Operation::Verification),
        },
    })
}

/// What each node states of the member.
pub fn statements(statements: &Statements) -> Value {
    let nodes: Vec<Value> = NodeId::ALL
        .into_iter()
        .zip(&statements.nodes)
        .map(|(node, statement)| match statement {
            Ok(statement) => {
                json!({ "node": node, "batch": statement.batch, "at": statement.at, "member": statement.member.as_ref().map(member) })
            }
            Err(error) => json!({ "node": node, "trouble": trouble::of_client(error) }),
        })
        .collect();
    let first = statements.valid().find_map(|statement| statement.member.as_ref());
    let replaced = statements.valid().find_map(|statement| statement.replaced);
    json!({ "nodes": nodes, "replaced": replaced, "agree": statements.agree(), "all": statements.all().is_ok(), "member": first.map(member) })
}

fn member(member: &MemberStatement) -> Value {
    json!({
        "member": member.member,
        "since": member.since,
        "metadata_bytes": member.metadata_bytes,
        "shield": member.shield,
        "records": member.records.iter().map(record).collect::<Vec<_>>(),
        "grants": member.grants.iter().map(grant).collect::<Vec<_>>(),
        "asks": member.asks.iter().map(ask).collect::<Vec<_>>(),
        "guarded": member.guarded.as_ref().map(guarded),
        "former_devices": member.former.len(),
    })
}

/// A member's guardians, and recoveries of which the member should know.
fn guarded(guarded: &GuardedStatement) -> Value {
    let kept = guarded.guarding.guardians.iter().filter(|guardian| guardian.until.is_none()).count();
    json!({ "guardians": kept, "need": guarded.guarding.need, "recoveries": recoveries(guarded) })
}

/// Recoveries that wait, and those that ended lately.
pub fn recoveries(guarded: &GuardedStatement) -> Vec<Value> {
    guarded.recoveries.iter().map(recovery).collect()
}

/// One of them.
pub fn recovery(one: &RecoveryStatement) -> Value {
    json!({
        "recovery": one.recovery, "device": one.device, "number": number(&one.device), "approvals": one.approvals,
        "compared": one.compared, "can_veto": one.can_veto, "since": one.since, "opens_at": one.opens_at, "closes_at": one.closes_at,
        "state": one.state.name(),
    })
}

/// A persona on this device, with its mark.
pub fn persona(kept: &OwnPersona) -> Value {
    let glyph = Glyph::new(&kept.pseudonym);
    let uses: Vec<Value> = kept
        .uses
        .iter()
        .map(|used| match &used.act {
            PersonaAct::Shown { disclosed } => {
                json!({ "at": used.at, "act": "shown", "disclosed": self::disclosed(disclosed) })
            }
            PersonaAct::Revealed { other, to_one } => {
                json!({ "at": used.at, "act": "revealed", "other": Glyph::new(other).name(), "to_one": to_one })
            }
            PersonaAct::Carried { to, disclosed } => {
                let disclosed: Vec<Value> =
                    disclosed.iter().map(|(claim, value)| json!({ "attribute": claim, "value": value })).collect();
                json!({ "at": used.at, "act": "carried", "to": to, "disclosed": disclosed })
            }
            PersonaAct::Refused { why } => json!({ "at": used.at, "act": "refused", "why": why }),
        })
        .collect();
    json!({
        "pseudonym": kept.pseudonym, "label": kept.label, "context": kept.context, "since": kept.since, "retired": kept.retired,
        "glyph": { "name": glyph.name(), "description": glyph.description(), "svg": glyph.svg() },
        "uses": uses,
    })
}

/// What a context says, and what this member would disclose there.
pub fn context(place: &Context, wallet: Option<&Wallet>, now: UnixSeconds) -> Value {
    let values = wallet.filter(|wallet| !wallet.credentials().is_empty()).map(|wallet| wallet.discloses(place));
    let value = |at: usize| values.as_ref().and_then(|values| values.get(at)).map(|(_, value)| value);
    let demands: Vec<Value> = place
        .demands()
        .iter()
        .enumerate()
        .map(|(at, demand)| json!({ "attribute": demand.attribute.name(), "one_of": demand.one_of, "value": value(at) }))
        .collect();
    json!({
        "id": place.id(), "verifier": place.verifier(), "kind": place.kind(), "opens": place.opens(), "closes": place.closes(),
        "demands": demands, "open": place.check_open(now).is_ok(), "digest": place.digest(),
    })
}

/// Attributes and values.
pub fn disclosed(disclosed: &[(Attribute, String)]) -> Value {
    disclosed.iter().map(|(attribute, value)| json!({ "attribute": attribute.name(), "value": value })).collect()
}

fn record(record: &RecordStatement) -> Value {
    json!({
        "profile": record.profile,
        "since": record.since,
        "share_bytes": record.share_bytes,
        "sample": record.sample.as_ref().map(|sample| &sample.values),
    })
}

fn grant(grant: &GrantStatement) -> Value {
    json!({
        "grant": grant.grant,
        "subject": grant.subject,
        "terms": grant.terms,
        "state": match grant.state {
            GrantState::Active => "active",
            GrantState::Suspended => "suspended",
            GrantState::Revoked => "revoked",
        },
        "uses_left": grant.uses_left,
        "since": grant.since,
        "last_used": grant.last_used,
    })
}

/// A question that waits.
pub fn ask(statement: &AskStatement) -> Value {
    json!({
        "ask": statement.id,
        "terms": statement.ask.terms,
        "subject": statement.ask.subject,
        "answer_by": statement.ask.answer_by,
        "since": statement.since,
    })
}

/// A decision and the receipt of it. `unproven` says why the receipt has no proofs of the logs yet.
pub fn decision(proof: &Proof, kept: &Kept, unproven: Option<&client::Error>) -> Value {
    let decision = &proof.certificate.decision;
    json!({
        "outcome": outcome(&decision.outcome),
        "operation": decision.operation,
        "batch": decision.batch,
        "decided_at": decision.decided_at,
        "log_index": decision.log_index,
        "receipt": kept,
        "unproven": unproven.map(trouble::of_client),
        "silent": proof.silent,
        "complaints": proof.complaints.iter().map(|complaint| json!({ "node": complaint.node, "text": complaint.to_string() })).collect::<Vec<_>>(),
    })
}

fn outcome(outcome: &Outcome) -> Value {
    let mut facts = json!({ "name": outcome.name() });
    let more = match outcome {
        Outcome::Enrolled { member } => json!({ "member": member }),
        Outcome::Verified { matched } => json!({ "matched": matched }),
        Outcome::Withdrawn { records } => json!({ "records": records }),
        Outcome::Answered { grant, subject, finding, uses_left, .. } => {
            json!({ "grant": grant, "subject": subject, "finding": self::finding(finding), "uses_left": uses_left })
        }
        Outcome::Shielded { grants, asks } => json!({ "grants": grants, "asks": asks }),
        Outcome::GuardiansSet { settled_at, .. } => json!({ "settled_at": settled_at }),
        Outcome::RecoveryStarted { opens_at, can_veto } => json!({ "opens_at": opens_at, "can_veto": can_veto }),
        Outcome::RecoveryRefused { fault } => json!({ "fault": fault.code() }),
        Outcome::Recovered { member, grants, .. } => json!({ "member": member, "grants": grants }),
        _ => json!({}),
    };
    if let (Value::Object(facts), Value::Object(more)) = (&mut facts, more) {
        facts.extend(more);
    }
    facts
}

fn finding(finding: &Finding) -> &'static str {
    match finding {
        Finding::Member => "member",
        Finding::Compared { matched: true } => "matched",
        Finding::Compared { matched: false } => "not-matched",
        Finding::InvalidTemplate => "invalid-template",
    }
}

/// A receipt that holds, in lines for people.
pub fn receipt(kept: &Kept, shown: &Shown) -> Value {
    let lines: Vec<Value> = charter::receipt::explain(&kept.receipt)
        .into_iter()
        .map(|line| json!({ "label": line.label, "text": line.text }))
        .collect();
    let logs = shown.logs.as_ref().map(|logs| {
        let each: Vec<Value> = NodeId::ALL
            .into_iter()
            .zip(&logs.logs)
            .map(|(node, (size, cosigned))| json!({ "node": node, "size": size, "cosigned": cosigned }))
            .collect();
        json!({ "opened": logs.opened, "kind": logs.entry.kind.name(), "logs": each })
    });
    let decision = &shown.certificate.decision;
    json!({
        "lines": lines,
        "logs": logs,
        "outcome": outcome(&decision.outcome),
        "log_index": decision.log_index,
        "charter": shown.charter.version(),
    })
}

/// What is known of the three logs.
pub fn logs(followed: &Followed, problems: &[client::Error], new: &[(u64, tlog::Entry)], now: UnixSeconds) -> Value {
    let each: Vec<Value> = NodeId::ALL
        .into_iter()
        .zip(&followed.following.logs)
        .map(|(node, log)| json!({ "node": node, "size": log.size(), "root": log.root(), "checkpoint": log.last() }))
        .collect();
    let longest = followed.following.logs.iter().max_by_key(|log| log.size());
    let by_kind: BTreeMap<&str, u64> = longest.map(|log| log.counts().by(|row: &Row| row.kind.name())).unwrap_or_default();
    let by_day: BTreeMap<u64, u64> = longest.map(|log| log.counts().by(|row: &Row| row.day)).unwrap_or_default();
    let by_purpose: Vec<Value> = longest
        .map(|log| log.counts().by(|row: &Row| (row.party.clone(), row.purpose.clone())))
        .unwrap_or_default()
        .into_iter()
        .filter(|((_, purpose), _)| !purpose.is_empty())
        .map(|((party, purpose), count)| json!({ "party": party, "purpose": purpose, "count": count }))
        .collect();
    let entries: Vec<Value> = new
        .iter()
        .map(|(index, entry)| {
            json!({
                "index": index, "kind": entry.kind.name(), "at": entry.at, "party": entry.party, "purpose": entry.purpose,
                "mine": followed.mine.contains_key(index),
            })
        })
        .collect();
    json!({
        "at": now,
        "agreed": followed.following.cross.agreed(),
        "logs": each,
        "by_kind": by_kind,
        "by_day": by_day,
        "by_purpose": by_purpose,
        "entries": entries,
        "mine": followed.mine.keys().collect::<Vec<_>>(),
        "problems": problems.iter().map(trouble::of_client).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use credential::{Fresh, Kind, MemberSecret};
    use types::Digest;

    use super::*;

    #[test]
    fn a_persona_comes_with_its_mark_and_acts_and_a_context_with_what_would_be_said() {
        let place = Context::new("programme", "https://clinic.example", Kind::Standing)
            .and_then(|place| place.demand(Attribute::Community, &["river"]))
            .unwrap();
        let mut wallet = Wallet::new(Digest([1; 32]), &MemberSecret::generate(Fresh::new([2; 32])));
        let pseudonym = wallet.persona(&place, "clinic", 5).unwrap().0.pseudonym;
        wallet.note(&pseudonym, 9, PersonaAct::Refused { why: "stale".to_owned() });
        let shown = persona(&wallet.personas()[0]);
        assert_eq!(shown["glyph"]["name"], Glyph::new(&pseudonym).name());
        assert!(shown["glyph"]["svg"].as_str().unwrap().starts_with("<svg"));
        assert_eq!(shown["uses"], json!([{ "at": 9, "act": "refused", "why": "stale" }]));
        let said = context(&place, Some(&wallet), 7);
        assert_eq!(
            said["demands"],
            json!([{ "attribute": "community", "one_of": ["river"], "value": null }]),
            "no credentials yet"
        );
        assert_eq!((&said["open"], &said["kind"]), (&json!(true), &json!("standing")));
    }
}
