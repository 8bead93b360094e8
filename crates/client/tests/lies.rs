//! A client believes three signatures and nothing else: every way in which nodes can lie, fail or lose answers.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

mod common;

use client::request::Template;
use client::transport::Call;
use client::{Client, Error, Fault};
use common::{Clock, Fake, Lie, device};
use ed25519_dalek::SigningKey;
use types::message::{Action, Outcome};
use types::{MemberId, NodeId, OperationId, ProfileId};

const ENROLLED: Outcome = Outcome::Enrolled { member: MemberId([1; 16]) };

fn node(n: u8) -> NodeId {
    NodeId::new(n).unwrap()
}

async fn enrol(fake: &Fake) -> Result<client::Proof, Error> {
    let client = Client::new(fake.roster.clone(), fake, Clock(fake)).unwrap();
    let profile = ProfileId::new("vector-8").unwrap();
    client.enrol(&device(), Template { profile: &profile, values: &[35; 8] }, "").await
}

fn on_node_2(lie: Lie) -> [Lie; 3] {
    [Lie::None, lie, Lie::None]
}

#[tokio::test]
async fn three_honest_nodes_prove_each_outcome() {
    for outcome in [ENROLLED, Outcome::Duplicate, Outcome::InvalidTemplate] {
        let fake = Fake::new(outcome, [Lie::None; 3]);
        let proof = enrol(&fake).await.unwrap();
        assert_eq!(proof.outcome(), outcome);
        assert!(proof.silent.is_empty() && proof.complaints.is_empty());
        assert_eq!(fake.calls.lock().unwrap().len(), 6, "one call per node, and one for the rules");
    }
}

const INVALID: [(Lie, Fault); 12] = [
    (Lie::WrongSignature, Fault::WrongSignature),
    (Lie::TwoSignatures, Fault::WrongSignature),
    (Lie::OtherOperation, Fault::OtherRequest),
    (Lie::OtherRequest, Fault::OtherRequest),
    (Lie::OtherCommons, Fault::OtherCommons),
    (Lie::OtherOutcome, Fault::WrongOutcome),
    (Lie::Stale, Fault::Stale),
    (Lie::FromTheFuture, Fault::Stale),
    (Lie::NotJson, Fault::Malformed),
    (Lie::TooLarge, Fault::TooLarge),
    (Lie::WrongTlsKey, Fault::WrongKey),
    (Lie::NewerVersion, Fault::Version),
];

#[tokio::test]
async fn a_lying_node_is_named_and_does_not_stop_a_proven_decision() {
    for (lie, fault) in INVALID {
        let fake = Fake::new(ENROLLED, on_node_2(lie));
        let proof = enrol(&fake).await.unwrap();
        assert_eq!(proof.outcome(), ENROLLED, "{lie:?}");
        let found: Vec<_> = proof.complaints.iter().map(|c| (c.node, c.fault)).collect();
        assert_eq!(found, [(node(2), fault)], "{lie:?}");
    }
}

#[tokio::test]
async fn lies_alone_prove_nothing() {
    for (lie, fault) in INVALID {
        let fake = Fake::new(ENROLLED, [Lie::Unreached, lie, Lie::Unreached]);
        match enrol(&fake).await {
            Err(Error::Misbehaved { complaint }) => assert_eq!((complaint.node, complaint.fault), (node(2), fault)),
            other => panic!("{lie:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_different_certificates_are_believed_by_nobody() {
    let fake = Fake::new(ENROLLED, on_node_2(Lie::Contradict));
    assert!(matches!(enrol(&fake).await, Err(Error::Contradiction { one, other, .. }) if one != other));
}

#[tokio::test]
async fn one_certificate_is_enough() {
    for lie in [Lie::Unreached, Lie::LoseEveryAnswer, Lie::ServerError, Lie::Unavailable] {
        let fake = Fake::new(Outcome::Duplicate, [lie, Lie::None, lie]);
        let proof = enrol(&fake).await.unwrap();
        assert_eq!((proof.outcome(), proof.silent), (Outcome::Duplicate, vec![node(1), node(3)]));
    }
}

#[tokio::test]
async fn lost_answers_are_asked_for_again() {
    let fake = Fake::new(ENROLLED, [Lie::LoseFirstAnswer; 3]);
    assert_eq!(enrol(&fake).await.unwrap().outcome(), ENROLLED);
}

#[tokio::test]
async fn without_any_answer_the_client_gives_up_when_the_request_expires() {
    for lie in [Lie::LoseEveryAnswer, Lie::ServerError] {
        let fake = Fake::new(ENROLLED, [lie; 3]);
        assert!(matches!(enrol(&fake).await, Err(Error::Undecided { silent, .. }) if silent.len() == 3));
        let waited = fake.clock.into_inner() - common::NOW;
        assert!((120..=200).contains(&waited), "{waited} s");
        assert!(fake.calls.into_inner().unwrap().len() < 150, "it backs off");
    }
}

#[tokio::test]
async fn a_node_that_is_down_is_named_at_once() {
    let fake = Fake::new(ENROLLED, [Lie::Unavailable, Lie::Unavailable, Lie::Unreached]);
    assert_eq!(enrol(&fake).await, Err(Error::Unavailable { nodes: vec![node(3)] }));
    assert_eq!(fake.clock.into_inner(), common::NOW, "nobody waited");
    let fake = Fake::new(ENROLLED, [Lie::Unreached; 3]);
    assert_eq!(enrol(&fake).await, Err(Error::Unavailable { nodes: NodeId::ALL.to_vec() }));
}

#[tokio::test]
async fn a_busy_node_says_so() {
    let fake = Fake::new(ENROLLED, [Lie::Busy, Lie::Unavailable, Lie::Unavailable]);
    assert!(matches!(enrol(&fake).await, Err(Error::TryAgain { code, .. }) if code == "busy"));
    assert_eq!(fake.clock.into_inner(), common::NOW, "nobody waited");
}

#[tokio::test]
async fn a_refusal_is_repeated_in_printable_words() {
    let fake = Fake::new(ENROLLED, [Lie::Refuse; 3]);
    let refused = Error::Refused { node: node(1), code: "unknown-member".to_owned(), detail: "what to do".to_owned() };
    assert_eq!(enrol(&fake).await, Err(refused));
}

#[tokio::test]
async fn statements_are_verified_one_by_one() {
    let cases = [
        (Lie::WrongSignature, Fault::WrongSignature),
        (Lie::OtherNode, Fault::OtherNode),
        (Lie::OtherRequest, Fault::OtherRequest),
        (Lie::OtherCommons, Fault::OtherCommons),
        (Lie::Stale, Fault::Stale),
        (Lie::FromTheFuture, Fault::Stale),
        (Lie::NotJson, Fault::Malformed),
        (Lie::NewerVersion, Fault::Version),
    ];
    for (lie, fault) in cases {
        let fake = Fake::new(ENROLLED, on_node_2(lie));
        let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
        for statements in [client.status(&device()).await.unwrap(), client.inspect(&device()).await.unwrap()] {
            let seal_hides_it = statements.nodes[1] == Err(misbehaved(Fault::NotSealedToUs));
            assert!(seal_hides_it || statements.nodes[1] == Err(misbehaved(fault)), "{lie:?}");
            assert!(statements.nodes[0].is_ok() && statements.nodes[2].is_ok());
            assert_eq!(statements.valid().count(), 2);
            assert!(statements.all().is_err());
        }
    }
    let fake = Fake::new(ENROLLED, on_node_2(Lie::NotSealedToUs));
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    assert_eq!(client.inspect(&device()).await.unwrap().nodes[1], Err(misbehaved(Fault::NotSealedToUs)));
}

fn misbehaved(fault: Fault) -> Error {
    Error::Misbehaved { complaint: client::Complaint { node: node(2), fault } }
}

#[tokio::test]
async fn disagreeing_statements_are_noticed() {
    let honest = Fake::new(ENROLLED, [Lie::None; 3]);
    let client = Client::new(honest.roster.clone(), &honest, Clock(&honest)).unwrap();
    let statements = client.status(&device()).await.unwrap();
    assert!(statements.agree() && statements.has_record(None));

    let forgetful = Fake::new(ENROLLED, on_node_2(Lie::Contradict));
    let client = Client::new(forgetful.roster.clone(), &forgetful, Clock(&forgetful)).unwrap();
    assert!(!client.status(&device()).await.unwrap().agree());
}

#[tokio::test]
async fn an_earlier_operation_can_be_asked_for() {
    let fake = Fake::new(ENROLLED, [Lie::None; 3]);
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    let operation = enrol(&fake).await.unwrap().certificate.decision.operation;
    let proof = client.outcome(&device(), operation).await.unwrap().unwrap();
    assert_eq!(proof.outcome(), ENROLLED);
    let unknown = types::OperationId([0; 16]);
    assert_eq!(client.outcome(&device(), unknown).await, Ok(None));
}

#[tokio::test]
async fn what_cannot_be_right_is_not_sent() {
    let fake = Fake::new(ENROLLED, [Lie::None; 3]);
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    let (known, unknown) = (ProfileId::new("vector-8").unwrap(), ProfileId::new("other").unwrap());
    let short = client.enrol(&device(), Template { profile: &known, values: &[1; 7] }, "").await;
    assert!(matches!(short, Err(Error::WrongLength { got: 7, want: 8, .. })));
    let other = client.enrol(&device(), Template { profile: &unknown, values: &[1; 8] }, "").await;
    assert!(matches!(other, Err(Error::UnknownProfile { .. })));
    let note = "x".repeat(201);
    let long = client.enrol(&device(), Template { profile: &known, values: &[1; 8] }, &note).await;
    assert!(matches!(long, Err(Error::NoteTooLong { limit: 200 })));
    assert!(matches!(client.withdraw(&device(), Some(unknown)).await, Err(Error::UnknownProfile { .. })));
    assert!(fake.calls.lock().unwrap().iter().all(|(_, call)| *call == Call::Charter));
}

#[tokio::test]
async fn rules_that_differ_or_are_forged_stop_every_consent() {
    let cases = [
        (Lie::ForgedCharter, misbehaved(Fault::WrongSignature)),
        (Lie::AlteredCharter, misbehaved(Fault::WrongCharter)),
        (Lie::NoCharter, Error::Unavailable { nodes: vec![node(2)] }),
    ];
    for (lie, error) in cases {
        let fake = Fake::new(ENROLLED, on_node_2(lie));
        assert_eq!(enrol(&fake).await, Err(error), "{lie:?}");
        let asked = fake.calls.into_inner().unwrap();
        assert!(asked.iter().all(|(_, call)| *call == Call::Charter), "nothing was signed");
    }
    let fake = Fake::new(ENROLLED, on_node_2(Lie::OtherCharter));
    match enrol(&fake).await {
        Err(Error::ChartersDiffer { versions }) => assert_eq!(versions.map(|(version, _)| version), [0, 1, 0]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_adopted_charter_is_named_in_the_consent() {
    let mut fake = Fake::new(ENROLLED, [Lie::None; 3]);
    fake.adopt(|d| d.summary = "The first that operators signed.".to_owned());
    let proof = enrol(&fake).await.unwrap();
    let consent = &proof.request.unwrap().message.action.submission().unwrap().grant.clone();
    assert_eq!(consent.charter, fake.charter.digest());
    assert_ne!(consent.charter, charter::Charter::default_for(&fake.roster).digest());
}

#[tokio::test]
async fn a_decision_under_other_rules_than_agreed_to_does_not_count() {
    let fake = Fake::new(ENROLLED, on_node_2(Lie::DecidesUnderOther));
    let proof = enrol(&fake).await.unwrap();
    assert_eq!(proof.complaints.iter().map(|c| c.fault).collect::<Vec<_>>(), [Fault::WrongCharter]);
}

#[tokio::test]
async fn a_raised_shield_is_told_node_by_node() {
    for lie in [Lie::Unreached, Lie::KeepsShieldDown, Lie::WrongSignature] {
        let fake = Fake::new(ENROLLED, on_node_2(lie));
        let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
        let shield = client.shield_up(&device()).await.unwrap();
        assert!(shield.statements.nodes[0].is_ok() && shield.statements.nodes[2].is_ok(), "{lie:?}");
        assert!(shield.statements.nodes[1].is_err() && shield.proof.is_none(), "{lie:?}");
        assert!(fake.calls.into_inner().unwrap().iter().all(|(_, call)| *call == Call::ShieldUp), "one round trip");
    }
}

#[tokio::test]
async fn an_event_that_one_node_hides_or_makes_up_is_told_by_another() {
    for lie in [Lie::None, Lie::HidesEvent, Lie::MakesUpEvent, Lie::Unreached] {
        let mut fake = Fake::new(ENROLLED, on_node_2(lie));
        let grant = types::GrantId([9; 16]);
        for _ in 0..7 {
            fake.decide(&device(), Action::Revoke { grant }, Outcome::Revoked { grant });
        }
        let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
        let told = client.events(&device(), 0).await.unwrap();
        assert_eq!(told.events, fake.events, "{lie:?}: nothing is lost, in whatever pages it comes");
        match lie {
            Lie::None => assert!(told.complaints.is_empty() && told.silent.is_empty()),
            Lie::Unreached => assert_eq!(told.silent, [node(2)]),
            Lie::HidesEvent => {
                let operation = fake.events[6].request.message.operation;
                assert_eq!(told.complaints, [Error::Hidden { node: node(2), operation }]);
            }
            _ => assert_eq!(told.complaints, [misbehaved(Fault::WrongSignature)]),
        }
    }
}

#[tokio::test]
async fn an_event_about_somebody_else_is_not_believed() {
    let mut fake = Fake::new(ENROLLED, [Lie::None; 3]);
    let other = SigningKey::from_bytes(&[43; 32]);
    let grant = types::GrantId([9; 16]);
    fake.decide(&other, Action::Revoke { grant }, Outcome::Revoked { grant });
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    let complaint = client::Complaint { node: node(1), fault: Fault::WrongEvent };
    assert_eq!(client.events(&device(), 0).await, Err(Error::Misbehaved { complaint }));
}

#[tokio::test]
async fn a_release_waits_for_nodes_that_are_a_moment_behind() {
    let release = async |lies: [Lie; 3]| {
        let fake = Fake::new(ENROLLED, lies);
        let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
        let given = client.release(&device(), OperationId([3; 16])).await;
        (given.map(|given| given.len()), fake.calls.lock().unwrap().len())
    };
    let (given, calls) = release([Lie::None; 3]).await;
    assert_eq!((given.unwrap(), calls), (3, 3), "nobody waits where all have done it");
    let (given, calls) = release([Lie::None, Lie::Behind, Lie::None]).await;
    assert_eq!((given.unwrap(), calls), (2, 3), "two are enough");
    let (given, calls) = release([Lie::None, Lie::Behind, Lie::Behind]).await;
    assert_eq!((given.unwrap(), calls), (3, 6), "two that are behind are asked again");
    let (given, calls) = release([Lie::None, Lie::Refuse, Lie::Refuse]).await;
    assert!(matches!(given, Err(Error::Refused { .. })) && calls > 6, "but not for ever");
    let (given, calls) = release([Lie::None, Lie::Refuse, Lie::OtherNode]).await;
    assert!(given.is_err() && calls > 3);
}
