//! Receipts: every field of ISO/IEC TS 27560 in its place and of its kind, nothing fetched, nothing that was not signed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod support;

use charter::receipt::{Receipt, Source, explain};
use charter::{Charter, Error};
use serde_json::Value;
use support::*;
use types::consent::{Answer, Ask, Narrowing, Purpose, Reply, StandingGrant, Terms, Use};
use types::message::{Action, Certificate, Decision, Event, Finding, Outcome, Request, VERSION};
use types::roster::Roster;
use types::sign::{Message as _, Signed, sign};
use types::{AskId, Digest, GrantId, MemberId, OperationId, SubjectId};

const GRANT: GrantId = GrantId([9; 16]);
const ASK: AskId = AskId([6; 16]);
const SUBJECT: SubjectId = SubjectId([8; 32]);

fn receipt(action: Action, signer: u8, outcome: Outcome, origin: Option<&Event>) -> Result<Receipt, Error> {
    let roster = roster();
    receipt_under(&roster, &charter(&roster), action, signer, outcome, origin)
}

fn receipt_under(
    roster: &Roster,
    charter: &Charter,
    action: Action,
    signer: u8,
    outcome: Outcome,
    origin: Option<&Event>,
) -> Result<Receipt, Error> {
    let event = decided(roster, charter, request(roster, signer, action), signer, outcome);
    let signed_charter = signed(charter);
    Receipt::new(&Source {
        roster,
        charter,
        signed_charter: (charter.version() > 0).then_some(&signed_charter),
        request: &event.request,
        certificate: &event.certificate,
        origin,
        log_salt: Digest([5; 32]),
    })
}

/// A request that the three nodes decided.
fn decided(roster: &Roster, charter: &Charter, request: Request, signer: u8, outcome: Outcome) -> Event {
    let request = Signed::new(request, &key(signer));
    let decision = Decision {
        version: VERSION,
        commons: roster.digest(),
        operation: request.message.operation,
        request: request.message.digest(),
        batch: 12,
        decided_at: NOW + 1,
        charter: charter.digest(),
        log_index: 34,
        outcome,
    };
    let signatures = [1, 2, 3].map(|node| sign(&decision, &key(node)));
    Event { request, certificate: Certificate { decision, signatures } }
}

/// How the grant [`GRANT`] came to be.
fn granted(terms: Terms) -> Event {
    let (roster, charter) = (roster(), charter(&roster()));
    let standing = StandingGrant { charter: charter.digest(), terms };
    let request = Request { operation: OperationId(GRANT.0), ..request(&roster, ALICE, Action::Grant(standing)) };
    decided(&roster, &charter, request, ALICE, Outcome::Granted)
}

fn asked() -> Event {
    let (roster, charter) = (roster(), charter(&roster()));
    let ask = Ask { charter: charter.digest(), subject: Some(SUBJECT), terms: verification_terms(), answer_by: NOW + DAY };
    let request = Request { operation: OperationId(ASK.0), ..request(&roster, CLINIC, Action::Ask(ask)) };
    decided(&roster, &charter, request, CLINIC, Outcome::Asked)
}

fn receipt_of_use(usage: Use, origin: &Event) -> Result<Receipt, Error> {
    receipt(Action::Use(usage), CLINIC, answered(None, Finding::Member), Some(origin))
}

fn answered(ask: Option<AskId>, finding: Finding) -> Outcome {
    Outcome::Answered { ask, grant: GRANT, subject: SUBJECT, finding, uses_left: 4 }
}

/// One receipt of every kind, with the consent status that it must state.
fn every_kind() -> Vec<(Receipt, &'static str)> {
    let charter = charter(&roster());
    let (terms, ask) = (verification_terms(), ASK);
    let sample = |purpose| submission(&charter, "face-512", purpose);
    let digest = charter.digest();
    let answer = |reply| Action::Answer(Answer { ask, charter: digest, reply });
    let usage = |terms: &Terms, submission| {
        Action::Use(Use { party: terms.party.clone(), grant: GRANT, purpose: terms.purpose.clone(), submission })
    };
    let yes = Reply::Approve { terms: terms.clone(), submission: Some(sample(care())) };
    let question = Ask { charter: digest, subject: Some(SUBJECT), terms: terms.clone(), answer_by: NOW + DAY };
    let (given, withdrawn) = ("dpv:ConsentGiven", "dpv:ConsentWithdrawn");
    let enrol = || Action::Enrol(sample(Purpose::deduplication()));
    let verify = || Action::Verify(sample(Purpose::verification()));
    let fewer = Narrowing { grant: GRANT, expires_at: None, uses_left: Some(1) };
    let standing = StandingGrant { charter: digest, terms: terms.clone() };
    let (made, asked, membership) = (granted(terms.clone()), asked(), membership_terms());
    let (about, made_membership) = (Some(&made), granted(membership.clone()));
    [
        (enrol(), ALICE, Outcome::Enrolled { member: MemberId([4; 16]) }, None, given),
        (enrol(), ALICE, Outcome::Duplicate, None, given),
        (enrol(), ALICE, Outcome::InvalidTemplate, None, given),
        (verify(), ALICE, Outcome::Verified { matched: true }, None, given),
        (verify(), ALICE, Outcome::Verified { matched: false }, None, given),
        (Action::Withdraw { profile: None }, ALICE, Outcome::Withdrawn { records: 2 }, None, withdrawn),
        (Action::Grant(standing), ALICE, Outcome::Granted, None, given),
        (Action::Narrow(fewer), ALICE, Outcome::Narrowed { grant: GRANT }, about, given),
        (Action::Revoke { grant: GRANT }, ALICE, Outcome::Revoked { grant: GRANT }, about, withdrawn),
        (Action::Revoke { grant: GRANT }, ALICE, Outcome::Revoked { grant: GRANT }, None, withdrawn),
        (Action::Ask(question), CLINIC, Outcome::Asked, None, "dpv:ConsentRequested"),
        (answer(Reply::Refuse), ALICE, Outcome::Declined { ask }, Some(&asked), "dpv:ConsentRefused"),
        (answer(yes), ALICE, answered(Some(ask), Finding::Compared { matched: true }), None, given),
        (usage(&terms, Some(sample(care()))), CLINIC, answered(None, Finding::Compared { matched: false }), about, given),
        (usage(&membership, None), COOP, answered(None, Finding::Member), Some(&made_membership), given),
        (usage(&membership, None), COOP, answered(None, Finding::Member), None, given),
        (Action::ShieldUp, ALICE, Outcome::Shielded { grants: 2, asks: 1 }, None, withdrawn),
        (
            Action::ShieldDown { restore: vec![GRANT] },
            ALICE,
            Outcome::Unshielded { restored: 1 },
            None,
            "dpv:RenewedConsentGiven",
        ),
    ]
    .into_iter()
    .map(|(action, signer, outcome, origin, state)| (receipt(action, signer, outcome, origin).unwrap(), state))
    .collect()
}

/// What a field's value must look like.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Term,
    Moment,
    /// A list with at least so many entries.
    List(usize),
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        match self {
            Self::Text => !text.trim().is_empty(),
            Self::Term => text
                .split_once(':')
                .is_some_and(|(prefix, name)| ["dpv", "pd", "dct", "tc", "https"].contains(&prefix) && !name.is_empty()),
            Self::Moment => text.len() == 20 && text.starts_with("20") && text.ends_with('Z'),
            Self::List(least) => value.as_array().is_some_and(|list| list.len() >= least),
        }
    }
}

const RECORD: &str = "/dpv:hasRecordOfActivity";
const PROCESS: &str = "/dpv:hasRecordOfActivity/dpv:hasProcess/0";
const STATUS: &str = "/dpv:hasRecordOfActivity/dpv:hasProcess/0/dpv:hasConsentStatus/0";

/// The field list of ISO/IEC TS 27560, and where each stands.
const FIELDS: [(&str, &str, &str, Kind); 26] = [
    ("schema_version", RECORD, "/dct:conformsTo", Kind::Term),
    ("record_id", RECORD, "/dct:identifier", Kind::Text),
    ("pii_principal_id", RECORD, "/dpv:hasDataSubject/dpv:hasIdentifier", Kind::Text),
    ("receipt_id", "", "/dct:identifier", Kind::Text),
    ("privacy_notice", RECORD, "/dpv:hasNotice/dct:description", Kind::Text),
    ("language", RECORD, "/dct:language", Kind::Text),
    ("purpose", PROCESS, "/dpv:hasPurpose", Kind::List(1)),
    ("purpose (term)", PROCESS, "/dpv:hasPurpose/0/skos:broader", Kind::Term),
    ("purpose (meaning)", PROCESS, "/dpv:hasPurpose/0/skos:definition", Kind::Text),
    ("pii_information", PROCESS, "/dpv:hasPersonalData/0/skos:prefLabel", Kind::Text),
    ("pii_controllers", PROCESS, "/dpv:hasDataController", Kind::List(1)),
    ("storage_locations", PROCESS, "/dpv:hasStorageCondition/0/dpv:hasLocation/skos:prefLabel", Kind::Text),
    ("retention_period", PROCESS, "/dpv:hasStorageCondition/3/dpv:hasDuration/rdf:value", Kind::Text),
    ("jurisdiction", PROCESS, "/dpv:hasJurisdiction", Kind::Text),
    ("recipient_third_parties", PROCESS, "/dpv:hasRecipient", Kind::List(0)),
    ("withdrawal_method", PROCESS, "/dpv:hasConsentControl/0/dct:description", Kind::Text),
    ("pii_type", PROCESS, "/dpv:hasPersonalData/0/skos:broader/0", Kind::Term),
    ("party_id", RECORD, "/dpv:hasEntity/1/@id", Kind::Term),
    ("name", RECORD, "/dpv:hasEntity/1/dpv:hasName", Kind::Text),
    ("contact", RECORD, "/dpv:hasEntity/1/dpv:hasContact", Kind::Text),
    ("type", RECORD, "/dpv:hasEntity/1/@type", Kind::Term),
    ("event_time", STATUS, "/dpv:isIndicatedAtTime", Kind::Moment),
    ("validity_duration", STATUS, "/dpv:hasDuration/rdf:value", Kind::Text),
    ("entity_id", STATUS, "/dpv:isIndicatedBy", Kind::Term),
    ("event_type", STATUS, "/@type/1", Kind::Term),
    ("event_state", STATUS, "/@type/0", Kind::Term),
];

#[test]
fn every_field_is_there_and_of_the_right_kind() {
    for (receipt, state) in every_kind() {
        let consent = &receipt.consent;
        for (field, base, place, kind) in FIELDS {
            let value = consent.pointer(&format!("{base}{place}")).unwrap_or(&Value::Null);
            assert!(kind.fits(value), "{}: {field} is {value}", receipt.kind);
        }
        assert_eq!(consent["@type"], "dpv:ConsentReceipt");
        let record = &consent["dpv:hasRecordOfActivity"];
        assert_eq!(record["@type"], "dpv:ConsentRecord");
        assert_eq!(record["dct:conformsTo"], "https://w3id.org/dpv/schema/dpv-27560#record");
        assert_eq!(consent.pointer(STATUS).unwrap()["@type"][0], state, "{}", receipt.kind);
        entities_are_declared(consent);
    }
}

/// Every entity that is named is described.
fn entities_are_declared(consent: &Value) {
    let known: Vec<&str> = consent
        .pointer("/dpv:hasRecordOfActivity/dpv:hasEntity")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|entity| entity["@id"].as_str().unwrap())
        .collect();
    let process = consent.pointer(PROCESS).unwrap();
    let lists = ["dpv:hasDataController", "dpv:hasRecipient"].map(|key| process[key].as_array().unwrap().clone()).concat();
    let by = &consent.pointer(STATUS).unwrap()["dpv:isIndicatedBy"];
    for named in lists.iter().chain([by]) {
        assert!(known.contains(&named.as_str().unwrap()), "{named} is not among {known:?}");
    }
}

/// The context lies inside and defines every prefix: an offline JSON-LD processor has all it needs.
#[test]
fn nothing_is_fetched_to_read_one() {
    fn terms(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                found.push(key.clone());
                terms(value, found);
            }),
            Value::Array(list) => list.iter().for_each(|value| terms(value, found)),
            _ => {}
        }
    }
    for (receipt, _) in every_kind() {
        let mut consent = receipt.consent;
        let context = consent.as_object_mut().unwrap().remove("@context").unwrap();
        let context = context.as_object().expect("an inline context");
        let mut found = Vec::new();
        terms(&consent, &mut found);
        for term in found.iter().filter(|term| !term.starts_with('@')) {
            let prefix = term.split_once(':').unwrap_or_else(|| panic!("{term} has no prefix")).0;
            assert!(context[prefix].as_str().is_some_and(|iri| iri.starts_with("http")), "{term}");
        }
    }
}

#[test]
fn biometrics_are_named_where_they_are_used_and_only_there() {
    let receipts = every_kind();
    for (receipt, _) in &receipts {
        let data = receipt.consent.pointer(&format!("{PROCESS}/dpv:hasPersonalData")).unwrap().to_string();
        let membership = receipt.consent["dct:source"]["tc:reveals"].as_str().unwrap().contains("is a member");
        assert_eq!(data.contains("pd:Biometric"), !membership, "{}: {data}", receipt.kind);
        assert_eq!(data.contains("pd:FacialPrint"), !membership, "{}: {data}", receipt.kind);
    }
    // The party of a use is named with and without the grant's origin; it never speaks for the member.
    let uses: Vec<&Receipt> = receipts.iter().map(|(receipt, _)| receipt).filter(|receipt| receipt.kind == "use").collect();
    assert_eq!(uses.iter().filter(|receipt| receipt.origin.is_none()).count(), 1);
    for receipt in uses {
        let process = receipt.consent.pointer(PROCESS).unwrap();
        assert_eq!(process["dpv:hasRecipient"].as_array().unwrap().len(), 1);
        assert_eq!(process["dpv:hasConsentStatus"][0]["dpv:isIndicatedBy"], "tc:principal");
    }
}

#[test]
fn a_receipt_survives_its_file_and_opens() {
    for (receipt, _) in every_kind() {
        let json = receipt.to_json();
        let again = Receipt::from_json(json.as_bytes()).unwrap();
        assert_eq!(again, receipt);
        assert_eq!(again.to_json(), json);
        let opened = again.open(&roster()).unwrap();
        assert_eq!(opened.request.message.action.name(), receipt.kind);
        assert_eq!(opened.certificate.decision.log_index, 34);
    }
    // Nodes move and are renamed; receipts stay.
    let mut moved = roster();
    for node in &mut moved.nodes {
        (node.url, node.operator) = ("https://elsewhere.example".to_owned(), "renamed".to_owned());
    }
    for profile in &mut moved.profiles {
        (profile.modality, profile.description) = ("reworded".to_owned(), "reworded".to_owned());
    }
    assert_eq!(moved.digest(), roster().digest());
    every_kind().iter().for_each(|(receipt, _)| drop(receipt.open(&moved).unwrap()));
    let roster = roster();
    let default = Charter::default_for(&roster);
    let action = Action::Verify(submission(&default, "face-512", Purpose::verification()));
    let own = receipt_under(&roster, &default, action, ALICE, Outcome::Verified { matched: true }, None).unwrap();
    assert_eq!(own.charter_signed, None);
    own.open(&roster).unwrap();
}

/// Every leaf of the JSON, changed: a receipt says what was signed, or it does not open.
#[test]
fn no_part_of_a_receipt_can_be_altered() {
    fn leaves(value: &Value, at: String, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                leaves(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }),
            Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| leaves(value, format!("{at}/{i}"), found)),
            _ => found.push(at),
        }
    }
    let (receipt, _) = every_kind().remove(13);
    let json: Value = serde_json::from_str(&receipt.to_json()).unwrap();
    let mut places = Vec::new();
    leaves(&json, String::new(), &mut places);
    assert!(places.len() > 100);
    for place in places {
        // Opens a commitment in the log; there it is checked.
        if place == "/log_salt" {
            continue;
        }
        let mut altered = json.clone();
        let value = altered.pointer_mut(&place).unwrap();
        *value = match &*value {
            Value::Number(n) => Value::from(n.as_u64().unwrap() + 1),
            Value::String(text) => {
                let mut letters: Vec<char> = text.chars().collect();
                let last = letters.len().saturating_sub(2);
                letters[last] = if letters[last] == '1' { '2' } else { '1' };
                Value::from(letters.into_iter().collect::<String>())
            }
            other => panic!("{place}: {other}"),
        };
        let opened = Receipt::from_json(altered.to_string().as_bytes()).and_then(|receipt| receipt.open(&roster()));
        assert!(opened.is_err(), "{place} was changed unseen");
    }
}

#[test]
fn parts_that_do_not_belong_together_make_no_receipt() {
    let roster = roster();
    let next = signed(&after(&charter(&roster), &roster, |d| d.summary = "new".to_owned()));
    let adopted = receipt(Action::Charter(next), ALICE, Outcome::CharterAdopted { version: 2 }, None);
    assert!(matches!(adopted, Err(Error::Mismatch { .. })));
    let (receipt, _) = every_kind().remove(0);
    let mut other = roster.clone();
    other.commons = "Another valley".to_owned();
    assert!(receipt.open(&other).is_err());
    let mut swapped = receipt.clone();
    swapped.certificate = every_kind().remove(3).0.certificate;
    assert!(matches!(swapped.open(&roster), Err(Error::Mismatch { .. })));
    // Another grant's beginning, and an ask in place of a grant.
    let usage = Use { party: party_id("clinic"), grant: GrantId([1; 16]), purpose: care(), submission: None };
    for origin in [granted(verification_terms()), asked()] {
        let made = receipt_of_use(usage.clone(), &origin);
        assert!(matches!(made, Err(Error::Mismatch { .. })));
    }
    for bad in ["", "{}", "[]", "{\"version\":2}", "null"] {
        assert!(matches!(Receipt::from_json(bad.as_bytes()), Err(Error::Receipt { .. })), "{bad}");
    }
    let large = vec![b' '; types::limits::RECEIPT_BYTES + 1];
    assert!(matches!(Receipt::from_json(&large), Err(Error::Receipt { .. })));
}

#[test]
fn people_can_read_it() {
    let (receipt, _) = every_kind().remove(13);
    let lines = explain(&receipt);
    let say = |label: &str| {
        let texts: Vec<&str> = lines.iter().filter(|line| line.label == label).map(|line| line.text.as_str()).collect();
        texts.join(" / ")
    };
    assert_eq!(say("what happened"), "A relying party used a standing grant");
    assert_eq!(say("when"), "2027-01-15T08:00:01Z");
    assert_eq!(say("consent"), "given, 2027-01-15T08:00:00Z");
    assert_eq!(say("what for"), "Care (dpv:ServiceProvision). What Care means here.");
    assert_eq!(say("to whom"), "The clinic (hello@clinic.example)");
    assert_eq!(say("how often"), "at most 5 times, from 2027-01-15T08:00:00Z on");
    assert_eq!(say("until"), "2027-01-25T08:00:00Z");
    assert_eq!(say("who answers for it"), "River Trust (dpo@river.example)");
    assert!(say("kept").contains("grants and their uses: 365 days"), "{}", say("kept"));
    assert_eq!(say("in each log at"), "34");
    // A file from anywhere cannot steer a terminal.
    let mut evil = receipt;
    *evil.consent.pointer_mut("/dpv:hasRecordOfActivity/dct:title").unwrap() = "a\u{1b}[2Jb\nc\u{202e}d".into();
    assert_eq!(explain(&evil)[0].text, "a[2Jb cd");
}
