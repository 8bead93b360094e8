//! What a charter must fulfil to be one: no entry that contradicts another, nothing without a bound, every key in one role.

use std::collections::BTreeSet;

use ed25519_dalek::VerifyingKey;
use types::consent::Operation;
use types::roster::Roster;
use types::{DeviceKey, limits};

use crate::charter::threshold;
use crate::document::{Act, Document, EnrolmentRule, FORMAT, Party, StationRule};
use crate::{Answers, Error, witness};

/// Characters of a name or title.
const NAME_CHARS: usize = 120;
/// Characters of a text.
const TEXT_CHARS: usize = 4000;
/// Days that something may be kept: ten years.
const RETENTION_DAYS: u64 = 3660;
/// Largest rate.
const RATE: u64 = 1_000_000;
/// Seconds that any part of a recovery may take: a year.
const RECOVERY_S: u64 = 366 * DAY_S;
/// Entries in each list.
const ENTRIES: usize = 256;
/// Seconds of a day.
pub(crate) const DAY_S: u64 = 24 * 3600;

/// Checks everything that needs no older charter.
pub(crate) fn check(d: &Document, roster: &Roster) -> Result<(), Error> {
    if d.format != FORMAT {
        return Err(Error::Format { got: d.format, known: FORMAT });
    }
    let commons = roster.digest();
    if d.commons != commons {
        return Err(Error::WrongCommons { expected: commons.to_hex() });
    }
    check_texts(d)?;
    check_bounds(d, roster)?;
    if d.answers != Answers::fixed() {
        return Err(Error::Answers);
    }
    check_modalities(d, roster)?;
    check_purposes(d)?;
    d.parties.iter().try_for_each(|party| check_party(d, party))?;
    unique("relying party", d.parties.iter().map(|p| p.id.to_string()))?;
    check_claims(d)?;
    check_enrolment(d)?;
    for w in &d.witnesses {
        witness::check(w)?;
    }
    unique("witness", d.witnesses.iter().map(|w| w.name.clone()))?;
    unique("witness key", d.witnesses.iter().map(|w| w.vkey.clone()))?;
    check_keys(d, roster)
}

fn check_texts(d: &Document) -> Result<(), Error> {
    text("name", &d.name, NAME_CHARS)?;
    language(&d.language)?;
    text("summary", &d.summary, TEXT_CHARS)?;
    text("jurisdiction", &d.jurisdiction, NAME_CHARS)?;
    text("privacy_notice", &d.privacy_notice, TEXT_CHARS)?;
    not_empty("controllers", &d.controllers, "name who answers for personal data")?;
    for c in &d.controllers {
        text(&format!("controllers.{}.name", c.name), &c.name, NAME_CHARS)?;
        text(&format!("controllers.{}.contact", c.name), &c.contact, NAME_CHARS)?;
    }
    unique("controller", d.controllers.iter().map(|c| c.name.clone()))?;
    for s in &d.stations {
        text(&format!("stations.{}.name", s.name), &s.name, NAME_CHARS)?;
    }
    unique("station", d.stations.iter().map(|s| s.name.clone()))
}

fn check_bounds(d: &Document, roster: &Roster) -> Result<(), Error> {
    bounds("version", d.version, 1, i64::MAX as u64)?;
    bounds("retention.outcomes_days", d.retention.outcomes_days.into(), 1, RETENTION_DAYS)?;
    bounds("retention.uses_days", d.retention.uses_days.into(), 1, RETENTION_DAYS)?;
    bounds("rates.verifications_per_hour", d.rates.verifications_per_hour.into(), 1, RATE)?;
    bounds("rates.asks_per_member_per_day", d.rates.asks_per_member_per_day.into(), 1, limits::ASKS_PER_MEMBER as u64)?;
    check_recovery(d, roster)?;
    for (field, count) in [
        ("enrolment.inviters", d.enrolment.inviters.len()),
        ("controllers", d.controllers.len()),
        ("modalities", d.modalities.len()),
        ("stations", d.stations.len()),
        ("purposes", d.purposes.len()),
        ("parties", d.parties.len()),
        ("claims", d.claims.len()),
        ("witnesses", d.witnesses.len()),
    ] {
        bounds(&format!("entries of {field}"), count as u64, 0, ENTRIES as u64)?;
    }
    Ok(())
}

fn check_recovery(d: &Document, roster: &Roster) -> Result<(), Error> {
    let Some(r) = &d.recovery else { return Ok(()) };
    let most = limits::GUARDIANS as u64;
    bounds("recovery.need_least", r.need_least.into(), 1, most)?;
    bounds("recovery.need_most", r.need_most.into(), r.need_least.into(), most)?;
    bounds("recovery.without_sample_more", r.without_sample_more.into(), 1, most)?;
    // A person must have time to notice; seconds are for trying out.
    let least = if roster.throw_away { 0 } else { DAY_S };
    bounds("recovery.delay_s", r.delay_s.into(), least, RECOVERY_S)?;
    bounds("recovery.delay_without_sample_s", r.delay_without_sample_s.into(), r.delay_s.into(), RECOVERY_S)?;
    bounds("recovery.delay_after_veto_s", r.delay_after_veto_s.into(), r.delay_s.into(), RECOVERY_S)?;
    // A thief who changes the guardians and recovers must not be faster than a member who recovers with the old ones.
    bounds("recovery.settle_s", r.settle_s.into(), r.delay_s.into(), RECOVERY_S)?;
    bounds("recovery.finish_within_s", r.finish_within_s.into(), 60, RECOVERY_S)?;
    bounds("recovery.faults_per_day", r.faults_per_day.into(), 1, 1000)
}

fn check_modalities(d: &Document, roster: &Roster) -> Result<(), Error> {
    not_empty("modalities", &d.modalities, "list at least one modality profile of the roster")?;
    unique("modality", d.modalities.iter().map(|m| m.profile.to_string()))?;
    for m in &d.modalities {
        let wrong = |advice: String| Error::Modality { profile: m.profile.clone(), advice };
        let profile =
            roster.profile(&m.profile).ok_or_else(|| wrong("the roster has no such profile; take it out".to_owned()))?;
        if profile.digest() != m.profile_digest {
            return Err(wrong(format!("set profile_digest to {}", profile.digest())));
        }
        if m.threshold != threshold(profile) {
            return Err(wrong(format!("set threshold to \"{}\"", threshold(profile))));
        }
        if m.stations != StationRule::Any {
            let advice = "it wants samples of listed stations; list one under [[stations]]";
            (!d.stations.is_empty()).then_some(()).ok_or_else(|| wrong(advice.to_owned()))?;
        }
    }
    check_replacements(d, roster)?;
    let wanted = d.modalities.iter().any(|m| m.stations != StationRule::Any);
    match wanted || d.stations.is_empty() {
        true => Ok(()),
        false => Err(contradiction(
            "stations",
            "stations are listed but no modality asks for them; set `stations` of a modality to \"enrolment\" or \"listed\", or list \
             none",
        )),
    }
}

/// From one profile to one other, both listed and both of one kind of trait. No chains: one move after the other.
fn check_replacements(d: &Document, roster: &Roster) -> Result<(), Error> {
    let kind = |id: &types::ProfileId| roster.profile(id).map(|profile| profile.modality.as_str());
    for m in &d.modalities {
        let Some(older) = &m.replaces else { continue };
        let wrong = |advice: String| Err(Error::Modality { profile: m.profile.clone(), advice });
        let Some(listed) = d.modalities.iter().find(|other| other.profile == *older && *older != m.profile) else {
            return wrong(format!("it replaces {older}: list that one too, until its members have moved"));
        };
        if listed.replaces.is_some() || d.modalities.iter().any(|other| other.replaces.as_ref() == Some(&m.profile)) {
            return wrong(format!("it replaces {older}: end one move before the next begins"));
        }
        if d.modalities.iter().any(|other| other.profile != m.profile && other.replaces.as_ref() == Some(older)) {
            return wrong(format!("it replaces {older}, and so does another modality: let one of them"));
        }
        if kind(older) != kind(&m.profile) {
            return wrong(format!("it replaces {older}, which is another kind of trait: list both side by side"));
        }
        if listed.stations > m.stations {
            return wrong(format!("it replaces {older}: its samples must be taken at least as carefully"));
        }
    }
    Ok(())
}

fn check_purposes(d: &Document) -> Result<(), Error> {
    not_empty("purposes", &d.purposes, "say what templates may be used for")?;
    unique("purpose", d.purposes.iter().map(|p| p.term.to_string()))?;
    for p in &d.purposes {
        text(&format!("purposes.{}.title", p.term), &p.title, NAME_CHARS)?;
        text(&format!("purposes.{}.text", p.term), &p.text, TEXT_CHARS)?;
        let field = format!("purposes.{}.operations", p.term);
        not_empty(
            &field,
            &p.operations,
            "a purpose for which nothing may be done has no place; list operations or take it out",
        )?;
        unique("operation of a purpose", p.operations.iter().map(|a| a.name().to_owned()))?;
    }
    match d.purposes.iter().any(|p| p.operations.contains(&Act::Enrolment)) {
        true => Ok(()),
        false => Err(contradiction("purposes", "nobody can enrol for any of them; give one the operation \"enrolment\"")),
    }
}

fn check_party(d: &Document, party: &Party) -> Result<(), Error> {
    let at = |field: &str| format!("parties.{}.{field}", party.id);
    text(&at("name"), &party.name, NAME_CHARS)?;
    text(&at("contact"), &party.contact, NAME_CHARS)?;
    not_empty(&at("operations"), &party.operations, "say what it may ask, or take it out")?;
    unique("operation of a relying party", party.operations.iter().map(|o| o.name().to_owned()))?;
    not_empty(&at("purposes"), &party.purposes, "say what it may ask for, or take it out")?;
    unique("purpose of a relying party", party.purposes.iter().map(ToString::to_string))?;
    unique("profile of a relying party", party.profiles.iter().map(ToString::to_string))?;
    bounds(&at("max_uses"), party.max_uses.into(), 1, limits::GRANT_USES.into())?;
    bounds(&at("max_days"), party.max_days.into(), 1, limits::GRANT_LIFETIME_S / DAY_S)?;
    bounds(&at("asks_per_day"), party.asks_per_day.into(), 1, RATE)?;
    for term in &party.purposes {
        let entry = d.purposes.iter().find(|p| p.term == *term).ok_or_else(|| unknown(at("purposes"), "purpose", term))?;
        if !party.operations.iter().any(|o| entry.operations.contains(&Act::from(*o))) {
            return Err(contradiction(
                &at("purposes"),
                &format!("nothing that it may ask can be done for {term}; take the purpose out, or give it the operation"),
            ));
        }
    }
    for operation in &party.operations {
        let serves = |term: &types::consent::Purpose| {
            d.purposes.iter().any(|p| p.term == *term && p.operations.contains(&Act::from(*operation)))
        };
        if !party.purposes.iter().any(serves) {
            let advice = format!("it may ask for {0}, but none of its purposes is for {0}", operation.name());
            return Err(contradiction(&at("operations"), &advice));
        }
    }
    for profile in &party.profiles {
        if !d.modalities.iter().any(|m| m.profile == *profile) {
            return Err(unknown(at("profiles"), "modality", profile));
        }
    }
    match (party.operations.contains(&Operation::Verification), party.profiles.is_empty()) {
        (true, true) => Err(contradiction(&at("profiles"), "it may verify, but against no record; list profiles")),
        (false, false) => Err(contradiction(&at("profiles"), "it may not verify, so it needs no profiles; leave them out")),
        _ => Ok(()),
    }
}

fn check_claims(d: &Document) -> Result<(), Error> {
    unique("claim", d.claims.iter().map(|claim| claim.kind.to_string()))?;
    for claim in &d.claims {
        let field = |name: &str| format!("claims.{}.{name}", claim.kind);
        not_empty(&field("values"), &claim.values, "list what can be said, or leave the claim out")?;
        not_empty(&field("parties"), &claim.parties, "name the relying parties whose word counts")?;
        bounds(&format!("entries of {}", field("values")), claim.values.len() as u64, 1, ENTRIES as u64)?;
        unique("value of a claim", claim.values.iter().map(|value| format!("{} {value}", claim.kind)))?;
        unique("relying party of a claim", claim.parties.iter().map(|party| format!("{} {party}", claim.kind)))?;
        for value in &claim.values {
            text(&field("values"), value, limits::CLAIM_BYTES)?;
            bounds(&format!("bytes of {}", field("values")), value.len() as u64, 1, limits::CLAIM_BYTES as u64)?;
        }
        if !claim.parties.iter().all(|id| d.parties.iter().any(|party| party.id == *id)) {
            let advice = "it names a relying party that is not listed; list it under [[parties]], or take it out";
            return Err(contradiction(&field("parties"), advice));
        }
    }
    Ok(())
}

fn check_enrolment(d: &Document) -> Result<(), Error> {
    let e = &d.enrolment;
    unique("inviter", e.inviters.iter().map(ToString::to_string))?;
    match e.rule {
        EnrolmentRule::Open if e.vouchers > 0 || !e.inviters.is_empty() => {
            Err(contradiction("enrolment", "open enrolment needs no vouchers and no inviters; leave them out"))
        }
        EnrolmentRule::Open => Ok(()),
        EnrolmentRule::Invited if e.vouchers > 0 => {
            Err(contradiction("enrolment.vouchers", "one invitation is enough; leave it out, or set rule = \"vouched\""))
        }
        EnrolmentRule::Invited => not_empty("enrolment.inviters", &e.inviters, "name who invites, or nobody can enrol"),
        EnrolmentRule::Vouched => bounds("enrolment.vouchers", e.vouchers.into(), 1, limits::VOUCHERS as u64),
    }
}

/// Every key is one, and in one role only.
fn check_keys(d: &Document, roster: &Roster) -> Result<(), Error> {
    let mut seen: Vec<(DeviceKey, String)> = Vec::new();
    for node in &roster.nodes {
        seen.push((node.signing_key, format!("node {} (signing)", node.id)));
        seen.push((node.log_key, format!("node {} (log)", node.id)));
    }
    let stations = d.stations.iter().map(|s| (s.key, format!("station `{}`", s.name)));
    let parties = d.parties.iter().map(|p| (p.key, format!("relying party `{}`", p.id)));
    let inviters = d.enrolment.inviters.iter().map(|key| (*key, "an inviter".to_owned()));
    for (key, role) in stations.chain(parties).chain(inviters) {
        let usable = VerifyingKey::from_bytes(&key.0).is_ok_and(|k| !k.is_weak());
        if !usable {
            return Err(Error::BadKey { of: role });
        }
        if let Some((_, other)) = seen.iter().find(|(k, _)| *k == key) {
            return Err(Error::SharedKey { one: other.clone(), other: role });
        }
        seen.push((key, role));
    }
    Ok(())
}

fn text(field: &str, value: &str, most: usize) -> Result<(), Error> {
    let wrong = |advice| Err(Error::Text { field: field.to_owned(), advice });
    match value {
        "" => wrong("write something here"),
        v if v.chars().count() > most => wrong("this is too long: names take 120 characters, texts 4000"),
        v if !is_plain(v) => {
            wrong("leave out control characters, invisible ones, and marks that turn the direction of writing")
        }
        _ => Ok(()),
    }
}

/// Line breaks are fine; what could make a text read otherwise than it is, is not: control characters, marks that turn the
/// direction of writing, and characters that cannot be seen. Joiners stay: some scripts need them.
pub(crate) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let hides = matches!(
            c,
            '\u{ad}' | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        );
        (c == '\n' || !c.is_control()) && !turns && !hides
    })
}

fn language(tag: &str) -> Result<(), Error> {
    let mut parts = tag.split('-');
    let first = parts.next().is_some_and(|p| (2..=3).contains(&p.len()) && p.chars().all(|c| c.is_ascii_lowercase()));
    let rest = parts.all(|p| (1..=8).contains(&p.len()) && p.chars().all(|c| c.is_ascii_alphanumeric()));
    match first && rest && tag.len() <= 35 {
        true => Ok(()),
        false => Err(Error::Text { field: "language".to_owned(), advice: "write a language tag such as en or pt-BR" }),
    }
}

fn bounds(field: &str, got: u64, least: u64, most: u64) -> Result<(), Error> {
    match (least..=most).contains(&got) {
        true => Ok(()),
        false => Err(Error::Bounds { field: field.to_owned(), got, least, most }),
    }
}

fn not_empty<T>(field: &str, list: &[T], advice: &'static str) -> Result<(), Error> {
    match list.is_empty() {
        true => Err(Error::Empty { field: field.to_owned(), advice }),
        false => Ok(()),
    }
}

fn unique(what: &'static str, names: impl Iterator<Item = String>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(Error::Duplicate { what, name });
        }
    }
    Ok(())
}

fn unknown(field: String, what: &'static str, name: &impl ToString) -> Error {
    Error::Unknown { field, what, name: name.to_string() }
}

fn contradiction(field: &str, advice: &str) -> Error {
    Error::Contradiction { field: field.to_owned(), advice: advice.to_owned() }
}
