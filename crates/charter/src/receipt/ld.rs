//! A decision as a consent receipt: ISO/IEC TS 27560:2023, in the terms of the Data Privacy Vocabulary, as JSON-LD 1.1.
//!
//! The receipt (`dpv:ConsentReceipt`) holds a copy of the record (`dpv:ConsentRecord`), as the DPV guide to 27560 lays it out.
//! The context lies inside, so that nothing is fetched to read it. Where the fields of 27560 stand:
//!
//! | field | at |
//! |---|---|
//! | schema_version | record `dct:conformsTo` |
//! | record_id, receipt_id | record and receipt `dct:identifier` |
//! | pii_principal_id | record `dpv:hasDataSubject` |
//! | language, privacy_notice | record `dct:language`, `dpv:hasNotice` |
//! | purpose | process `dpv:hasPurpose` |
//! | pii_information, pii_type | process `dpv:hasPersonalData`: label, broader class |
//! | pii_controllers | process `dpv:hasDataController` |
//! | storage_locations, retention_period | process `dpv:hasStorageCondition` |
//! | jurisdiction | process `dpv:hasJurisdiction` |
//! | recipient_third_parties | process `dpv:hasRecipient` |
//! | withdrawal_method | process `dpv:hasConsentControl` |
//! | party_id, name, contact, type | record `dpv:hasEntity`: `@id`, `dpv:hasName`, `dpv:hasContact`, `@type` |
//! | event_time, validity_duration, entity_id, event_type, event_state | process `dpv:hasConsentStatus`: `dpv:isIndicatedAtTime`, `dpv:hasDuration`, `dpv:isIndicatedBy`, `@type` (kind of consent, status) |

use serde_json::{Map, Value, json};
use types::consent::{Operation, Purpose, Reply, Terms};
use types::message::{Action, Decision, Finding, Outcome, Request, Submission};
use types::profile::Profile;
use types::roster::Roster;
use types::{PartyId, ProfileId, UnixSeconds};

use super::time::utc;
use crate::document::{Act, PurposeEntry};
use crate::{Charter, Error};

/// The consent receipt of a decision. `origin` is the request that made the grant, or the ask, to which `request` goes back. The
/// same arguments give the same JSON; of the roster, only what its digest binds counts.
///
/// # Errors
/// [`Error::Mismatch`] for decisions that are about no consent: a charter.
pub fn consent(
    charter: &Charter,
    roster: &Roster,
    request: &Request,
    decision: &Decision,
    origin: Option<&Request>,
) -> Result<Value, Error> {
    // The nodes of that time: a receipt outlives a node that is replaced.
    let roster = &Roster { nodes: roster.nodes_at(decision.batch), ..roster.clone() };
    let event = Event::of(request, decision, origin)?;
    let id = decision.operation.to_hex();
    let principal = principal(request, decision);
    let record = json!({
        "@id": format!("tc:record-{id}"),
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": "https://w3id.org/dpv/schema/dpv-27560#record",
        "dct:identifier": format!("record-{id}"),
        "dct:created": utc(decision.decided_at),
        "dct:language": charter.document().language,
        "dct:title": title(&request.action, &decision.outcome),
        "dpv:hasDataSubject": { "@type": "dpv:DataSubject", "dpv:hasIdentifier": principal },
        "dpv:hasNotice": {
            "@type": "dpv:PrivacyNotice",
            "dct:identifier": format!("charter {} version {}", charter.digest(), charter.version()),
            "dct:description": charter.document().privacy_notice,
        },
        "dpv:hasEntity": entities(charter, roster, &event),
        "dpv:hasProcess": [process(charter, roster, decision, &event)],
    });
    Ok(json!({
        "@context": context(),
        "@id": format!("tc:receipt-{id}"),
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": "https://w3id.org/dpv/schema/dpv-27560#receipt",
        "dct:identifier": format!("receipt-{id}"),
        "dct:created": utc(decision.decided_at),
        "dct:source": {
            "tc:commons": decision.commons.to_hex(),
            "tc:request": decision.request.to_hex(),
            "tc:batch": decision.batch,
            "tc:logIndex": decision.log_index,
            "tc:outcome": decision.outcome.name(),
            "tc:reveals": reveals(&decision.outcome),
        },
        "dpv:hasRecordOfActivity": record,
    }))
}

fn context() -> Value {
    json!({
        "dct": "http://purl.org/dc/terms/",
        "dpv": "https://w3id.org/dpv#",
        "pd": "https://w3id.org/dpv/pd#",
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "skos": "http://www.w3.org/2004/02/skos/core#",
        "tc": "https://trust-commons.example/ns#",
        "dct:conformsTo": { "@type": "@id" },
        "dpv:hasDataController": { "@type": "@id" },
        "dpv:hasRecipient": { "@type": "@id" },
        "dpv:hasLegalBasis": { "@type": "@id" },
        "dpv:hasProcessing": { "@type": "@id" },
        "dpv:hasDataSource": { "@type": "@id" },
        "dpv:isIndicatedBy": { "@type": "@id" },
        "skos:broader": { "@type": "@id" },
    })
}

/// What the member says yes or no to, and until when.
struct Event<'a> {
    /// `dpv:ConsentStatus`.
    state: &'static str,
    /// What was done with personal data, or would be.
    processing: &'static [&'static str],
    /// Absent when it is about everything of the member's.
    purpose: Option<&'a Purpose>,
    note: &'a str,
    profile: Option<&'a ProfileId>,
    /// The same sample in this profile is compared and not kept.
    former: Option<&'a ProfileId>,
    terms: Option<&'a Terms>,
    party: Option<&'a PartyId>,
    /// A measurement of a body is processed.
    biometric: bool,
    /// It is about guardians or a recovery.
    guardians: bool,
    /// It is about the secret behind the member's personas.
    secret: bool,
    /// Absent when it lasts until the member does something else.
    until: Option<UnixSeconds>,
    /// It is the relying party that speaks: it asks for consent.
    requested: bool,
    /// When the member said it, if before the decision.
    said_at: Option<UnixSeconds>,
}

const OWN: Event<'static> = Event {
    state: "dpv:ConsentGiven",
    processing: &["dpv:Collect", "dpv:Match"],
    purpose: None,
    note: "",
    profile: None,
    former: None,
    terms: None,
    party: None,
    biometric: true,
    guardians: false,
    secret: false,
    until: None,
    requested: false,
    said_at: None,
};

/// About guardians or a recovery; no measurement of a body.
const GUARDED: Event<'static> = Event { processing: &["dpv:Use"], biometric: false, guardians: true, ..OWN };

/// What is done to tell a relying party of a membership.
const CONFIRMED: &[&str] = &["dpv:Use", "dpv:Disclose"];
/// What is done to tell a relying party of a comparison.
const COMPARED: &[&str] = &["dpv:Collect", "dpv:Match", "dpv:Disclose"];

impl<'a> Event<'a> {
    fn of(request: &'a Request, decision: &Decision, origin: Option<&'a Request>) -> Result<Self, Error> {
        let given = origin.and_then(terms_of);
        Ok(match &request.action {
            Action::Enrol(submission) => {
                let kept = matches!(decision.outcome, Outcome::Enrolled { .. });
                let processing = if kept { &["dpv:Collect", "dpv:Match", "dpv:Store"][..] } else { OWN.processing };
                Self { processing, ..Self::own(submission) }
            }
            Action::Verify(submission) => Self::own(submission),
            Action::Renew(submission) => {
                let kept = decision.outcome == Outcome::Renewed;
                let processing =
                    if kept { &["dpv:Collect", "dpv:Match", "dpv:Store", "dpv:Erase"][..] } else { OWN.processing };
                Self { processing, ..Self::own(submission) }
            }
            Action::Withdraw { profile } => {
                Self { state: "dpv:ConsentWithdrawn", processing: &["dpv:Erase"], profile: profile.as_ref(), ..OWN }
            }
            Action::Grant(standing) => Self::standing(Some(&standing.terms), "dpv:ConsentGiven"),
            Action::Narrow(_) => Self::standing(given, "dpv:ConsentGiven"),
            Action::Revoke { .. } => Self::standing(given, "dpv:ConsentWithdrawn"),
            Action::Answer(answer) => match &answer.reply {
                Reply::Refuse => Self::standing(given, "dpv:ConsentRefused"),
                Reply::Approve { terms, .. } => Self::standing(Some(terms), "dpv:ConsentGiven"),
            },
            Action::ShieldUp => Self { state: "dpv:ConsentWithdrawn", processing: &["dpv:Restrict"], ..OWN },
            Action::ShieldDown { .. } => Self { state: "dpv:RenewedConsentGiven", processing: &["dpv:Use"], ..OWN },
            Action::Ask(ask) => Self { requested: true, ..Self::standing(Some(&ask.terms), "dpv:ConsentRequested") },
            Action::Use(usage) => {
                let sample = usage.submission.as_ref();
                Self {
                    processing: if sample.is_some() { COMPARED } else { CONFIRMED },
                    purpose: Some(&usage.purpose),
                    profile: sample.map(|submission| &submission.profile),
                    party: Some(&usage.party),
                    biometric: sample.is_some(),
                    said_at: origin.map(|origin| origin.issued_at),
                    ..Self::standing(given, "dpv:ConsentGiven")
                }
            }
            Action::SetGuardians(_) => Self { processing: &["dpv:Store"], ..GUARDED },
            Action::StartRecovery(start) => match &start.submission {
                Some(submission) => Self { guardians: true, ..Self::own(submission) },
                None => GUARDED,
            },
            Action::VetoRecovery { .. } => Self { state: "dpv:ConsentRefused", ..GUARDED },
            Action::FinishRecovery { .. } => Self { state: "dpv:RenewedConsentGiven", ..GUARDED },
            Action::Bind(_) => Self { processing: &["dpv:Store"], biometric: false, secret: true, ..OWN },
            Action::Issue { .. }
            | Action::Charter(_)
            | Action::Recovery { .. }
            | Action::Release { .. }
            | Action::Refresh { .. }
            | Action::Switch { .. }
            | Action::Status
            | Action::Inspect { .. }
            | Action::Outcome { .. }
            | Action::See { .. }
            | Action::Events { .. } => return Err(Error::Mismatch { reason: "the decision is about no consent" }),
        })
    }

    fn own(submission: &'a Submission) -> Self {
        let grant = &submission.grant;
        Self {
            purpose: Some(&grant.purpose),
            note: &grant.note,
            profile: Some(&submission.profile),
            former: submission.former.as_ref().map(|former| &former.profile),
            until: Some(grant.expires_at),
            ..OWN
        }
    }

    fn standing(terms: Option<&'a Terms>, state: &'static str) -> Self {
        let Some(terms) = terms else { return Self { state, processing: &["dpv:Use"], ..OWN } };
        let biometric = terms.operation == Operation::Verification;
        Self {
            state,
            processing: if biometric { COMPARED } else { CONFIRMED },
            purpose: Some(&terms.purpose),
            note: &terms.note,
            profile: terms.profile.as_ref(),
            former: None,
            terms: Some(terms),
            party: Some(&terms.party),
            biometric,
            guardians: false,
            secret: false,
            until: Some(terms.expires_at),
            requested: false,
            said_at: None,
        }
    }
}

/// The terms that a request makes or asks for.
pub(super) fn terms_of(request: &Request) -> Option<&Terms> {
    match &request.action {
        Action::Grant(standing) => Some(&standing.terms),
        Action::Ask(ask) => Some(&ask.terms),
        Action::Answer(answer) => match &answer.reply {
            Reply::Approve { terms, .. } => Some(terms),
            Reply::Refuse => None,
        },
        _ => None,
    }
}

fn process(charter: &Charter, roster: &Roster, decision: &Decision, event: &Event<'_>) -> Value {
    let document = charter.document();
    let controllers: Vec<String> = (1..=document.controllers.len()).map(|i| format!("tc:controller-{i}")).collect();
    let recipients: Vec<String> = event.party.iter().map(|party| format!("tc:party-{party}")).collect();
    let mut process = json!({
        "@type": "dpv:Process",
        "dpv:hasPurpose": purposes(charter, event),
        "dpv:hasPersonalData": personal_data(charter, roster, event),
        "dpv:hasProcessing": event.processing,
        "dpv:hasDataSource": ["dpv:DataSubjectDataSource"],
        "dpv:hasDataController": controllers,
        "dpv:hasRecipient": recipients,
        "dpv:hasStorageCondition": storage(charter, roster),
        "dpv:hasJurisdiction": document.jurisdiction,
        "dpv:hasLegalBasis": ["dpv:ExplicitlyExpressedConsent"],
        "dpv:hasConsentControl": [{
            "@type": "dpv:WithdrawConsent",
            "dct:description": "At any time, with the member's own key, at any node: revoke the grant, raise the shield, or withdraw from \
                                the commons.",
        }],
        "dpv:hasConsentStatus": [status(decision, event)],
    });
    if let (Some(terms), Some(map)) = (event.terms, process.as_object_mut()) {
        map.insert("tc:terms".to_owned(), terms_in_words(terms));
    }
    process
}

fn purposes(charter: &Charter, event: &Event<'_>) -> Vec<Value> {
    let describe = |entry: &PurposeEntry| {
        json!({
            "@type": "dpv:Purpose",
            "skos:broader": entry.term.as_str(),
            "skos:prefLabel": entry.title,
            "skos:definition": entry.text,
        })
    };
    let Some(term) = event.purpose else {
        // About everything: every purpose that this concerns.
        let own = |entry: &&PurposeEntry| {
            event.processing != ["dpv:Restrict"] || entry.operations.iter().any(|act| *act != Act::Enrolment)
        };
        return charter.document().purposes.iter().filter(own).map(describe).collect();
    };
    let mut purpose = match charter.purpose(term) {
        Some(entry) => describe(entry),
        None => json!({ "@type": "dpv:Purpose", "skos:broader": term.as_str(), "skos:prefLabel": term.as_str() }),
    };
    if let (false, Some(map)) = (event.note.is_empty(), purpose.as_object_mut()) {
        map.insert("skos:note".to_owned(), Value::from(event.note));
    }
    vec![purpose]
}

fn personal_data(charter: &Charter, roster: &Roster, event: &Event<'_>) -> Vec<Value> {
    let entry = |class: &str, broader: Vec<&str>, label: String| json!({ "@type": class, "skos:broader": broader, "skos:prefLabel": label });
    let mut data = Vec::new();
    if event.biometric {
        // Of everything: what there was when it was decided, whatever profiles were added since.
        let all = |profile: &Profile| {
            roster.first_profiles().any(|first| first.id == profile.id) || charter.modality(&profile.id).is_some()
        };
        let of = |profile: &Profile, id: Option<&ProfileId>| id == Some(&profile.id);
        let concerned = roster.profiles.iter().filter(|profile| {
            of(profile, event.profile) || of(profile, event.former) || (event.profile.is_none() && all(profile))
        });
        data.extend(concerned.map(|profile| {
            let mut broader = vec!["pd:Biometric"];
            if profile.id.as_str().starts_with("face") {
                broader.push("pd:FacialPrint");
            }
            let compared = if of(profile, event.former) { ", to be compared and not kept" } else { "" };
            let label = format!("a {} template, split into shares that no node can read alone{compared}", profile.id);
            entry("dpv:SpecialCategoryPersonalData", broader, label)
        }));
    }
    if event.guardians {
        let label = "which keys speak for the member when a device is lost; not who holds them".to_owned();
        data.push(entry("dpv:PersonalData", vec!["pd:Identifying"], label));
    }
    if event.secret {
        let label = "the secret behind the member's personas, in shares that no node can read alone".to_owned();
        data.push(entry("dpv:PersonalData", vec!["pd:Identifying"], label));
    }
    if event.party.is_some() || data.is_empty() {
        let label = "the name by which the relying party, and no other, knows the member".to_owned();
        data.push(entry("dpv:PersonalData", vec!["pd:Identifying"], label));
    }
    data
}

fn storage(charter: &Charter, roster: &Roster) -> Vec<Value> {
    let retention = &charter.document().retention;
    let place = |node: &types::roster::RosterNode| {
        json!({
            "@type": "dpv:StorageLocation",
            "dpv:hasLocation": {
                "skos:broader": "dpv:RemoteLocation",
                "skos:prefLabel": format!("node {}", node.id),
            },
        })
    };
    let duration = |what: &str, kind: &str, value: String| {
        json!({
            "@type": "dpv:StorageDuration",
            "skos:prefLabel": what,
            "dpv:hasDuration": { "@type": kind, "rdf:value": value },
        })
    };
    let mut conditions: Vec<Value> = roster.nodes.iter().map(place).collect();
    conditions.push(duration("template", "dpv:UntilEventDuration", "until the member withdraws it".to_owned()));
    conditions.push(duration("decisions", "dpv:TemporalDuration", format!("P{}D", retention.outcomes_days)));
    conditions.push(duration("grants and their uses", "dpv:TemporalDuration", format!("P{}D", retention.uses_days)));
    conditions
}

fn status(decision: &Decision, event: &Event<'_>) -> Value {
    let duration = match event.until {
        Some(until) => json!({ "@type": "dpv:UntilTimeDuration", "rdf:value": utc(until) }),
        None => json!({ "@type": "dpv:UntilEventDuration", "rdf:value": "until the member decides otherwise" }),
    };
    let by = match event.party {
        Some(party) if event.requested => format!("tc:party-{party}"),
        _ => "tc:principal".to_owned(),
    };
    json!({
        "@type": [event.state, "dpv:ExplicitlyExpressedConsent"],
        "dpv:isIndicatedAtTime": utc(event.said_at.unwrap_or(decision.decided_at)),
        "dpv:hasDuration": duration,
        "dpv:isIndicatedBy": by,
        "dpv:isExercisedAt": "by a request signed with a device key, decided by all three nodes",
    })
}

fn entities(charter: &Charter, roster: &Roster, event: &Event<'_>) -> Vec<Value> {
    let entity = |id: String, kind: &str, name: &str, contact: &str| json!({ "@id": id, "@type": kind, "dpv:hasIdentifier": id, "dpv:hasName": name, "dpv:hasContact": contact });
    let mut all = vec![entity("tc:principal".to_owned(), "dpv:DataSubject", "the member", "known to the member alone")];
    for (i, controller) in charter.document().controllers.iter().enumerate() {
        all.push(entity(format!("tc:controller-{}", i + 1), "dpv:DataController", &controller.name, &controller.contact));
    }
    for node in &roster.nodes {
        // Names and addresses of nodes may change, and a receipt must still say what was signed: only what the roster's digest binds.
        let contact = format!("as the roster says of the node with the signing key {}", node.signing_key);
        all.push(entity(format!("tc:node-{}", node.id), "dpv:DataProcessor", &format!("node {}", node.id), &contact));
    }
    if let Some(id) = event.party {
        let listed = charter.party(id);
        let (name, contact) =
            listed.map_or((id.as_str(), "not listed in this charter"), |party| (&party.name, &party.contact));
        all.push(entity(format!("tc:party-{id}"), "dpv:ThirdParty", name, contact));
    }
    all
}

/// By the name that the signed parts give.
fn principal(request: &Request, decision: &Decision) -> String {
    match (&request.action, decision.outcome) {
        (_, Outcome::Enrolled { member }) => format!("member {member}"),
        (_, Outcome::Answered { subject, .. }) => format!("subject {subject}"),
        (Action::Ask(ask), _) => ask.subject.map_or("whoever answers".to_owned(), |subject| format!("subject {subject}")),
        _ => format!("device {}", request.device),
    }
}

fn terms_in_words(terms: &Terms) -> Value {
    let mut map = Map::new();
    map.insert("tc:party".to_owned(), terms.party.as_str().into());
    map.insert("tc:operation".to_owned(), terms.operation.name().into());
    map.insert("tc:notBefore".to_owned(), utc(terms.not_before).into());
    map.insert("tc:expiresAt".to_owned(), utc(terms.expires_at).into());
    map.insert("tc:uses".to_owned(), terms.uses.into());
    if let Some(profile) = &terms.profile {
        map.insert("tc:profile".to_owned(), profile.as_str().into());
    }
    Value::Object(map)
}

/// One sentence on what happened.
fn title(action: &Action, outcome: &Outcome) -> &'static str {
    match (action, outcome) {
        (_, Outcome::Enrolled { .. }) => "Enrolled: compared with every member, and kept",
        (_, Outcome::Duplicate) => "Not enrolled: a matching template was enrolled before; nothing was kept",
        (_, Outcome::InvalidTemplate) => "Nothing was compared: what was sent is not a template",
        (_, Outcome::Verified { matched: true }) => "Verified: the same person as before",
        (_, Outcome::Verified { matched: false }) => "Compared, and not the same person",
        (_, Outcome::Withdrawn { .. }) => "Withdrawn: erased on all three nodes",
        (_, Outcome::Granted) => "A relying party was given a standing grant",
        (_, Outcome::Narrowed { .. }) => "A standing grant was made smaller",
        (_, Outcome::Revoked { .. }) => "A standing grant was ended",
        (_, Outcome::Asked) => "A relying party asked",
        (_, Outcome::Declined { .. }) => "A relying party's question was declined",
        (Action::Use(_), Outcome::Answered { .. }) => "A relying party used a standing grant",
        (_, Outcome::Answered { .. }) => "A relying party's question was answered with the member's agreement",
        (_, Outcome::Shielded { .. }) => "The shield went up: every grant is suspended",
        (_, Outcome::Unshielded { .. }) => "The shield came down",
        (_, Outcome::CharterAdopted { .. }) => "The rules changed",
        (_, Outcome::GuardiansSet { .. }) => "The member named guardians",
        (_, Outcome::RecoveryStarted { .. }) => "A recovery to a new device began",
        (_, Outcome::RecoveryRefused { .. }) => "A recovery was tried and did not begin",
        (_, Outcome::RecoveryVetoed { .. }) => "The member's device said no to a recovery",
        (_, Outcome::Recovered { .. }) => "A new device is the member's; the one before is nobody's",
        (_, Outcome::Bound { .. }) => "Bound for good to one secret, behind all personas",
        (_, Outcome::Renewed) => "Renewed: the record is of the new sample, and the old one is erased",
        (_, Outcome::NotRenewed) => "Not renewed: the new sample is not the same person's, or somebody else's as well",
        (_, Outcome::RefreshBegun { .. }) => "The nodes began to renew all stored shares",
        (_, Outcome::Refreshed { .. }) => "All stored shares were renewed",
    }
}

/// What anybody but the member learnt.
fn reveals(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered { finding: Finding::Member, .. } => {
            "to the relying party: that the person is a member, counted once, and their pairwise name"
        }
        Outcome::Answered { finding: Finding::Compared { matched: true }, .. } => {
            "to the relying party: that the person is the member, and their pairwise name"
        }
        Outcome::Answered { finding: Finding::Compared { matched: false }, .. } => {
            "to the relying party: that the person before the camera is not the member, and the member's pairwise name"
        }
        Outcome::Answered { finding: Finding::InvalidTemplate, .. } => {
            "to the relying party: that its sample was no template, and the member's pairwise name"
        }
        Outcome::Declined { .. } => "to the relying party: that there is no agreement",
        _ => "to nobody but the member",
    }
}
