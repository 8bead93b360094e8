//! Targets of the rules: charters, receipts, and decisions about whatever a stranger signs.

use charter::receipt::{Receipt, Source, explain};
use charter::{Approval, AskFacts, Charter, Document, Facts, GrantFacts, MemberFacts, RecoveryFacts, decide};
use ed25519_dalek::SigningKey;
use types::consent::{
    Answer, Ask, AskStatement, CharterDocument, GrantState, GrantStatement, Narrowing, Operation, Purpose, Reply,
    SignedCharter, StandingGrant, Terms, Use,
};
use types::message::{Action, Certificate, Decision, Event, Grant, Outcome, Request, Submission, VERSION};
use types::profile::Profile;
use types::recovery::{Guardian, Guarding, RecoveryStart, RecoveryState, RecoveryStatement, SetGuardians};
use types::roster::{Roster, RosterNode};
use types::sign::{Message as _, Signed, public_key, sign};
use types::{AskId, Digest, GrantId, MemberId, NodeId, OperationId, PartyId, ProfileId, RecoveryName, SubjectId};

use super::one_encoding;

const NOW: u64 = 1_800_000_000;

/// A charter: canonical bytes, and what people write before.
pub fn charter_document(bytes: &[u8]) {
    let roster = roster();
    if let Ok(charter) = Charter::from_document(bytes, &roster) {
        one_encoding(bytes, charter.bytes());
        let _ = charter.changes(&Charter::default_for(&roster));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(approval) = Approval::from_text(text) {
        assert_eq!(Approval::from_text(&approval.to_text()), Ok(approval));
    }
    if let Ok(document) = Document::from_toml(text) {
        let canonical = document.canonical();
        let read = std::str::from_utf8(&canonical).map(Document::from_toml);
        // Escapes can make the canonical form longer than a charter may be.
        if let Ok(Ok(again)) = read {
            one_encoding(&canonical, &again.canonical());
        } else {
            assert!(canonical.len() > types::limits::CHARTER_BYTES, "the canonical form cannot be read");
        }
        let _ = Charter::new(document, &roster);
    }
}

/// A receipt file, or the proof of a charter's adoption.
pub fn receipt(bytes: &[u8]) {
    if let Ok(adoption) = client::Adoption::from_json(bytes) {
        let _ = adoption.check(&roster());
    }
    if let Ok(receipt) = Receipt::from_json(bytes) {
        assert!(explain(&receipt).iter().all(|line| !line.text.contains(|c: char| c.is_control())));
        if receipt.open(&roster()).is_ok() {
            let again = Receipt::from_json(receipt.to_json().as_bytes());
            assert_eq!(again.expect("an accepted receipt can be written"), receipt);
        }
    }
}

/// A request that anybody may have signed, judged under a charter: it is allowed or refused with a reason.
pub fn judged_request(bytes: &[u8]) {
    let Ok(signed) = Signed::<Request>::from_bytes(bytes) else { return };
    let (roster, charter) = (roster(), charter());
    let member =
        MemberFacts { member: MemberId([4; 16]), profiles: vec![profile()], shielded: false, grants: 1, bound: None };
    let statement = GrantStatement {
        grant: GRANT,
        subject: SubjectId([8; 32]),
        terms: terms(),
        charter: charter.digest(),
        state: GrantState::Active,
        uses_left: 5,
        since: NOW,
        last_used: None,
    };
    let meaning = charter.meaning(&terms()).unwrap_or(Digest([0; 32]));
    let mut facts = Facts::nothing(&roster);
    facts.grant = Some(GrantFacts { statement, meaning, giver: member.clone() });
    let statement = AskStatement { id: ASK, ask: ask(&charter), since: NOW };
    facts.ask = Some(AskFacts { statement, subject: None });
    facts.suspended = vec![GRANT];
    let name = RecoveryName([2; 16]);
    let guardians = vec![Guardian { key: super::recovery::share().public(), from: 0, until: None }];
    let guarding = Guarding { version: 1, need: 1, next_need: None, guardians };
    let recovery = RecoveryStatement {
        recovery: OperationId([7; 16]),
        device: signed.message.device,
        approvals: 1,
        compared: true,
        can_veto: true,
        since: NOW,
        opens_at: NOW,
        closes_at: NOW + 60,
        state: RecoveryState::Waiting,
    };
    let recoveries = vec![recovery];
    facts.recovery = Some(RecoveryFacts { member: member.clone(), guarding, recoveries, faults_last_day: 0 });
    facts.recovery_name = Some(name);
    for signer in [None, Some(member.clone()), Some(MemberFacts { shielded: true, ..member })] {
        facts.signer = signer;
        if let Err(refusal) = decide(&charter, &facts, &signed.message, NOW) {
            assert!(!refusal.to_string().is_empty());
        }
    }
}

pub(super) fn charters() -> Vec<Vec<u8>> {
    let example = include_bytes!("../../docs/charter.example.toml").to_vec();
    vec![Charter::default_for(&roster()).bytes().to_vec(), charter().bytes().to_vec(), example]
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    actions().into_iter().map(|action| request(action, [7; 16]).to_bytes()).collect()
}

pub(super) fn receipts() -> Vec<Vec<u8>> {
    let (roster, charter) = (roster(), charter());
    let standing = StandingGrant { charter: charter.digest(), terms: terms() };
    let origin = decided(request(Action::Grant(standing), GRANT.0), Outcome::Granted);
    let fewer = Narrowing { grant: GRANT, expires_at: None, uses_left: Some(1) };
    let narrowed = decided(request(Action::Narrow(fewer), [7; 16]), Outcome::Narrowed { grant: GRANT });
    let signed_charter = signed(&charter);
    let receipt = |event: &Event, origin| {
        Receipt::new(&Source {
            roster: &roster,
            charter: &charter,
            signed_charter: Some(&signed_charter),
            request: &event.request,
            certificate: &event.certificate,
            origin,
            log_salt: Digest([5; 32]),
        })
    };
    let receipts = [receipt(&origin, None), receipt(&narrowed, Some(&origin))];
    receipts.into_iter().map(|receipt| receipt.expect("a receipt").to_json().into_bytes()).collect()
}

const GRANT: GrantId = GrantId([9; 16]);
const ASK: AskId = AskId([6; 16]);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn profile() -> ProfileId {
    ProfileId::new("face-512").expect("a profile id")
}

fn roster() -> Roster {
    let node = |id: NodeId| RosterNode {
        id,
        operator: "an operator".to_owned(),
        url: "https://one.example:8443".to_owned(),
        peer_address: "one.example:9443".to_owned(),
        signing_key: public_key(&key(id.number())),
        log_key: public_key(&key(id.number() + 3)),
        seal_key: Digest([id.number(); 32]),
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
        tls_key: Digest([10 + id.number(); 32]),
    };
    Roster {
        version: types::roster::VERSION,
        commons: "a commons".to_owned(),
        throw_away: true,
        epochs: types::Epochs::DAILY,
        successions: Vec::new(),
        additions: Vec::new(),
        nodes: NodeId::ALL.map(node).to_vec(),
        profiles: vec![Profile::from_toml(include_str!("../../profiles/face-512.toml")).expect("a profile")],
    }
}

fn charter() -> Charter {
    let roster = roster();
    let mut document = Document::from_toml(include_str!("../../docs/charter.example.toml")).expect("the example");
    (document.commons, document.previous) = (roster.digest(), Charter::default_for(&roster).digest());
    document.parties.iter_mut().for_each(|party| {
        if party.id == terms().party {
            party.key = public_key(&key(11));
        }
    });
    Charter::new(document, &roster).expect("a charter")
}

fn signed(charter: &Charter) -> SignedCharter {
    let document = CharterDocument(charter.bytes().to_vec());
    SignedCharter { document: charter.bytes().to_vec(), signatures: [1, 2, 3].map(|node| sign(&document, &key(node))) }
}

fn terms() -> Terms {
    Terms {
        party: PartyId::new("river-clinic").expect("a party id"),
        operation: Operation::Verification,
        profile: Some(profile()),
        purpose: Purpose::new("dpv:ServiceProvision").expect("a purpose"),
        note: "a note".to_owned(),
        not_before: NOW,
        expires_at: NOW + 86_400,
        uses: 5,
    }
}

fn ask(charter: &Charter) -> Ask {
    Ask { charter: charter.digest(), subject: None, terms: terms(), answer_by: NOW + 3600 }
}

fn submission(charter: &Charter, purpose: Purpose) -> Submission {
    let grant =
        Grant { purpose, note: String::new(), not_before: NOW, expires_at: NOW + 60, uses: 1, charter: charter.digest() };
    let profile_digest = charter.modality(&profile()).map_or(Digest([0; 32]), |modality| modality.profile_digest);
    let commitments = [Digest([1; 32]), Digest([2; 32]), Digest([3; 32])];
    Submission { profile: profile(), profile_digest, commitments, former: None, grant, station: None, vouchers: Vec::new() }
}

fn actions() -> Vec<Action> {
    let charter = charter();
    let digest = charter.digest();
    let (name, share) = (RecoveryName([2; 16]), super::recovery::share());
    let sample = || Some(submission(&charter, terms().purpose));
    let answer = |reply| Action::Answer(Answer { ask: ASK, charter: digest, reply });
    vec![
        Action::Enrol(submission(&charter, Purpose::deduplication())),
        Action::Verify(submission(&charter, Purpose::verification())),
        Action::Grant(StandingGrant { charter: digest, terms: terms() }),
        Action::Narrow(Narrowing { grant: GRANT, expires_at: Some(NOW + 10), uses_left: Some(1) }),
        Action::Revoke { grant: GRANT },
        Action::See { ask: ASK },
        answer(Reply::Refuse),
        answer(Reply::Approve { terms: terms(), submission: sample() }),
        Action::ShieldUp,
        Action::ShieldDown { restore: vec![GRANT] },
        Action::Events { after_batch: 3 },
        Action::Ask(ask(&charter)),
        Action::Use(Use { party: terms().party, grant: GRANT, purpose: terms().purpose, submission: sample() }),
        Action::Charter(signed(&charter)),
        Action::SetGuardians(SetGuardians { name, need: 1, guardians: vec![share.public()] }),
        Action::StartRecovery(RecoveryStart {
            name,
            approvals: vec![share.approve(public_key(&key(11)), NOW + 60)],
            reply_key: [1; 32],
            submission: Some(submission(&charter, Purpose::verification())),
        }),
        Action::VetoRecovery { recovery: OperationId([7; 16]) },
        Action::FinishRecovery { recovery: OperationId([7; 16]) },
        Action::Recovery { name },
        Action::Release { recovery: OperationId([7; 16]) },
    ]
}

fn request(action: Action, operation: [u8; 16]) -> Signed<Request> {
    let signer = key(11);
    let request = Request {
        version: VERSION,
        commons: roster().digest(),
        operation: OperationId(operation),
        device: public_key(&signer),
        issued_at: NOW,
        expires_at: NOW + 60,
        trace: Digest([2; 32]),
        action,
    };
    Signed::new(request, &signer)
}

fn decided(request: Signed<Request>, outcome: Outcome) -> Event {
    let decision = Decision {
        version: VERSION,
        commons: roster().digest(),
        operation: request.message.operation,
        request: request.message.digest(),
        batch: 3,
        decided_at: NOW,
        charter: charter().digest(),
        log_index: 4,
        outcome,
    };
    let signatures = [1, 2, 3].map(|node| sign(&decision, &key(node)));
    Event { request, certificate: Certificate { decision, signatures } }
}
