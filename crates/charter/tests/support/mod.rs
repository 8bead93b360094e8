//! A commons in memory: three nodes, two modalities, two relying parties, and requests that their keys sign.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected should panic")]

use charter::{
    Act, Answers, Charter, ClaimEntry, Controller, Document, Enrolment, EnrolmentRule, FORMAT, GrantFacts, MemberFacts,
    Modality, Party, PurposeEntry, Rates, Retention, Station, StationRule,
};
use ed25519_dalek::SigningKey;
use types::consent::{CharterDocument, GrantState, GrantStatement, Operation, Purpose, SignedCharter, Terms};
use types::message::{Action, Grant, Request, Submission, VERSION};
use types::persona::ClaimKind;
use types::profile::Profile;
use types::roster::{Roster, RosterNode};
use types::sign::{public_key, sign};
use types::{DeviceKey, Digest, GrantId, MemberId, NodeId, OperationId, PartyId, ProfileId, SubjectId, UnixSeconds};

pub(crate) const NOW: UnixSeconds = 1_800_000_000;
pub(crate) const DAY: u64 = 24 * 3600;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}
/// Keys 1 to 6 are the nodes', 11 and 12 the parties', 21 the station's, 31 the inviter's; members have 41 and up.
pub(crate) fn public(seed: u8) -> DeviceKey {
    public_key(&key(seed))
}
pub(crate) const CLINIC: u8 = 11;
pub(crate) const COOP: u8 = 12;
pub(crate) const STATION: u8 = 21;
pub(crate) const INVITER: u8 = 31;
pub(crate) const ALICE: u8 = 41;
pub(crate) const BOB: u8 = 42;

pub(crate) fn profile_id(name: &str) -> ProfileId {
    ProfileId::new(name).unwrap()
}
pub(crate) fn party_id(name: &str) -> PartyId {
    PartyId::new(name).unwrap()
}
pub(crate) fn term(name: &str) -> Purpose {
    Purpose::new(name).unwrap()
}
pub(crate) fn care() -> Purpose {
    term("dpv:ServiceProvision")
}
pub(crate) fn rations() -> Purpose {
    term("dpv:DeliveryOfGoods")
}

fn profile(id: &str, threshold: &str) -> Profile {
    Profile::from_toml(&format!(
        "id = \"{id}\"\nversion = 1\nmodality = \"face\"\ndescription = \"for tests\"\n[matching]\nkind = \"embedding\"\n\
         dimensions = 512\nscale = 147\nclamp = 64\ncosine_threshold = {threshold}\nnorm_min = 0.97\nnorm_max = 1.03\n"
    ))
    .unwrap()
}

pub(crate) fn roster() -> Roster {
    let node = |id: NodeId| RosterNode {
        id,
        operator: format!("operator {id}"),
        url: format!("https://{id}.example:8443"),
        peer_address: format!("{id}.example:9443"),
        signing_key: public(id.number()),
        log_key: public(id.number() + 3),
        seal_key: Digest([id.number(); 32]),
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
        tls_key: Digest([id.number() + 10; 32]),
    };
    let roster = Roster {
        version: types::roster::VERSION,
        commons: "River Valley".to_owned(),
        throw_away: false,
        epochs: types::Epochs::DAILY,
        successions: Vec::new(),
        additions: Vec::new(),
        nodes: NodeId::ALL.map(node).to_vec(),
        profiles: vec![profile("face-512", "0.48"), profile("voice-512", "0.4")],
    };
    roster.check().unwrap();
    roster
}

pub(crate) fn purpose(term: Purpose, title: &str, operations: &[Act]) -> PurposeEntry {
    let text = format!("What {title} means here.");
    PurposeEntry { term, title: title.to_owned(), text, operations: operations.to_vec() }
}

/// Version 1: a clinic that may verify and a co-operative that may ask for membership.
pub(crate) fn document(roster: &Roster) -> Document {
    let modality = |id: &str| {
        let profile = roster.profile(&profile_id(id)).unwrap();
        Modality {
            profile: profile.id.clone(),
            profile_digest: profile.digest(),
            threshold: Charter::threshold(profile),
            stations: StationRule::Any,
            replaces: None,
        }
    };
    let party = |id: &str, key, operations: &[Operation], purpose, profiles: &[&str]| Party {
        id: party_id(id),
        name: format!("The {id}"),
        contact: format!("hello@{id}.example"),
        key: public(key),
        operations: operations.to_vec(),
        purposes: vec![purpose],
        profiles: profiles.iter().map(|p| profile_id(p)).collect(),
        max_uses: 10,
        max_days: 30,
        asks_per_day: 100,
    };
    Document {
        format: FORMAT,
        version: 1,
        commons: roster.digest(),
        previous: Charter::default_for(roster).digest(),
        name: "River Valley".to_owned(),
        language: "en".to_owned(),
        summary: "A commons for tests.".to_owned(),
        jurisdiction: "ZZ".to_owned(),
        privacy_notice: "https://river.example/privacy".to_owned(),
        enrolment: Enrolment { rule: EnrolmentRule::Open, vouchers: 0, inviters: Vec::new() },
        retention: Retention { outcomes_days: 30, uses_days: 365 },
        rates: Rates { verifications_per_hour: 20, asks_per_member_per_day: 3 },
        answers: Answers::fixed(),
        recovery: None,
        controllers: vec![Controller { name: "River Trust".to_owned(), contact: "dpo@river.example".to_owned() }],
        modalities: vec![modality("face-512"), modality("voice-512")],
        stations: Vec::new(),
        purposes: vec![
            purpose(Purpose::deduplication(), "One person, once", &[Act::Enrolment]),
            purpose(Purpose::verification(), "The same person", &[Act::OwnVerification]),
            purpose(care(), "Care", &[Act::Verification, Act::Membership]),
            purpose(rations(), "Rations", &[Act::Membership]),
        ],
        parties: vec![
            party("clinic", CLINIC, &[Operation::Verification, Operation::Membership], care(), &["face-512"]),
            party("coop", COOP, &[Operation::Membership], rations(), &[]),
        ],
        claims: Vec::new(),
        witnesses: Vec::new(),
    }
}

/// The clinic may vouch for ages.
pub(crate) fn ages() -> ClaimEntry {
    let values = ["18-29", "30-49"].map(str::to_owned).to_vec();
    ClaimEntry { kind: ClaimKind::AgeBand, values, parties: vec![party_id("clinic")] }
}

pub(crate) fn station() -> Station {
    Station { name: "Ferry landing".to_owned(), key: public(STATION) }
}

pub(crate) fn charter(roster: &Roster) -> Charter {
    Charter::new(document(roster), roster).unwrap()
}

pub(crate) fn signed(charter: &Charter) -> SignedCharter {
    let document = CharterDocument(charter.bytes().to_vec());
    SignedCharter { document: charter.bytes().to_vec(), signatures: [1, 2, 3].map(|node| sign(&document, &key(node))) }
}

/// The charter after `charter`, changed by `change`.
pub(crate) fn after(charter: &Charter, roster: &Roster, change: impl FnOnce(&mut Document)) -> Charter {
    let mut document = charter.document().clone();
    document.version += 1;
    document.previous = charter.digest();
    change(&mut document);
    Charter::new(document, roster).unwrap()
}

pub(crate) fn request(roster: &Roster, signer: u8, action: Action) -> Request {
    Request {
        version: VERSION,
        commons: roster.digest(),
        operation: OperationId([7; 16]),
        device: public(signer),
        issued_at: NOW,
        expires_at: NOW + 60,
        trace: Digest([0; 32]),
        action,
    }
}

pub(crate) fn submission(charter: &Charter, profile: &str, purpose: Purpose) -> Submission {
    let profile = profile_id(profile);
    Submission {
        profile_digest: charter.modality(&profile).map_or(Digest([0; 32]), |m| m.profile_digest),
        profile,
        commitments: [Digest([1; 32]), Digest([2; 32]), Digest([3; 32])],
        former: None,
        grant: Grant {
            purpose,
            note: String::new(),
            not_before: NOW,
            expires_at: NOW + 60,
            uses: 1,
            charter: charter.digest(),
        },
        station: None,
        vouchers: Vec::new(),
    }
}

/// Terms that the charter of [`document`] permits: the clinic verifies faces.
pub(crate) fn verification_terms() -> Terms {
    Terms {
        party: party_id("clinic"),
        operation: Operation::Verification,
        profile: Some(profile_id("face-512")),
        purpose: care(),
        note: "at each visit".to_owned(),
        not_before: NOW,
        expires_at: NOW + 10 * DAY,
        uses: 5,
    }
}

/// Terms that the charter of [`document`] permits: the co-operative asks for membership.
pub(crate) fn membership_terms() -> Terms {
    Terms {
        party: party_id("coop"),
        operation: Operation::Membership,
        profile: None,
        purpose: rations(),
        ..verification_terms()
    }
}

pub(crate) fn member(seed: u8) -> MemberFacts {
    MemberFacts {
        member: MemberId([seed; 16]),
        profiles: vec![profile_id("face-512")],
        shielded: false,
        grants: 0,
        bound: None,
    }
}

pub(crate) fn grant_facts(charter: &Charter, terms: Terms) -> GrantFacts {
    GrantFacts {
        meaning: charter.meaning(&terms).unwrap(),
        statement: GrantStatement {
            grant: GrantId([9; 16]),
            subject: SubjectId([8; 32]),
            uses_left: terms.uses,
            terms,
            charter: charter.digest(),
            state: GrantState::Active,
            since: NOW,
            last_used: None,
        },
        giver: member(ALICE),
    }
}
