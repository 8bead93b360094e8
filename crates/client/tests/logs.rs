//! Logs that lie: a forged proof, another root, a missing witness, an entry that another log has not, a receipt that the logs do not
//! hold. Each is a clear complaint.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

mod common;

use client::logs::Following;
use client::receipt::Kept;
use client::request::trace_key;
use client::{Client, Error, InForce};
use common::{Clock, Fake, Lie, NOW, device};
use tlog::{Entry, Kind, Opening};
use types::message::{Action, Event, Outcome};
use types::sign::Message as _;
use types::{Digest, GrantId, NodeId, TraceKey};

fn stranger() -> TraceKey {
    TraceKey::from_random([7; 32])
}

/// The entry of somebody else's decision.
fn other(index: u64) -> Vec<u8> {
    entry(index, Kind::Verification, &stranger(), Digest([9; 32]), 1)
}

fn entry(index: u64, kind: Kind, trace: &TraceKey, decision: Digest, batch: u64) -> Vec<u8> {
    let commitment = Opening::new(trace, index, decision).commitment();
    let (version, tag) = (tlog::entry::VERSION, trace.tag(index));
    Entry { version, kind, purpose: None, party: None, batch, at: NOW + index, tag, commitment }.to_bytes()
}

/// A decision about the member, with 300 others before it so that the proofs span tiles.
fn logged(lies: [Lie; 3]) -> (Fake, Event) {
    let mut fake = Fake::new(Outcome::Duplicate, lies);
    let grant = GrantId([9; 16]);
    let event = fake.decide(&device(), Action::Revoke { grant }, Outcome::Revoked { grant });
    let decision = &event.certificate.decision;
    fake.entries = vec![entry(0, Kind::GrantChange, &trace_key(&device()), decision.digest(), decision.batch)];
    fake.entries.extend((1..300).map(other));
    fake.clock = (NOW + 1000).into();
    (fake, event)
}

fn kept(fake: &Fake, event: &Event) -> Kept {
    let rules = InForce::default_for(&fake.roster);
    let salt = trace_key(&device()).salt(event.certificate.decision.log_index);
    Kept::new(&fake.roster, &rules, &event.request, &event.certificate, salt, None).unwrap()
}

fn node(n: u8) -> NodeId {
    NodeId::new(n).unwrap()
}

#[tokio::test]
async fn a_receipt_is_completed_and_holds_offline() {
    let (fake, event) = logged([Lie::None; 3]);
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    let whole = client.complete(&kept(&fake, &event)).await.unwrap();
    let again = Kept::from_json(whole.to_json().as_bytes()).unwrap();
    let shown = again.check(&fake.roster).unwrap();
    let logs = shown.logs.unwrap();
    assert!(logs.opened && logs.logs.iter().all(|(size, cosigned)| *size == 300 && cosigned.len() == 2));
    let bundle = client::evidence::Bundle::new(vec![again], &fake.roster).unwrap();
    assert_eq!(client::evidence::Bundle::from_json(bundle.to_json().as_bytes()).unwrap(), bundle);

    let mut elsewhere = fake.roster.clone();
    elsewhere.commons = "another".to_owned();
    assert!(whole.check(&elsewhere).is_err() && bundle.check(&elsewhere).is_err());
}

#[tokio::test]
async fn each_lie_of_a_log_is_named() {
    type IsMeant = fn(&Error) -> bool;
    let cases: [(Lie, IsMeant); 6] = [
        (Lie::LogOtherEntry, |e| matches!(e, Error::Log { .. })),
        (Lie::LogOtherRoot, |e| matches!(e, Error::Log { source: tlog::Error::NotIncluded { .. }, .. })),
        (Lie::LogUnwitnessed, |e| matches!(e, Error::Log { source: tlog::Error::Quorum { .. }, .. })),
        (Lie::LogForgedTile, |e| matches!(e, Error::Log { source: tlog::Error::NotIncluded { .. }, .. })),
        (Lie::LogOfAnotherNode, |e| matches!(e, Error::Log { source: tlog::Error::UnknownOrigin { .. }, .. })),
        (Lie::LogFork, |e| matches!(e, Error::NotLogged { reason: "node 1 holds another entry there", .. })),
    ];
    for (lie, expected) in cases {
        let (fake, event) = logged([Lie::None, lie, Lie::None]);
        let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
        let error = client.complete(&kept(&fake, &event)).await.unwrap_err();
        assert!(expected(&error), "{lie:?}: {error:?}");
        assert!(error.to_string().contains("node 2"), "{lie:?}: {error}");
    }
}

#[tokio::test]
async fn what_three_logs_hold_alike_must_still_be_the_decision() {
    let (mut fake, event) = logged([Lie::None; 3]);
    let trace = trace_key(&device());
    let decision = event.certificate.decision.digest();
    let cases = [
        (entry(0, Kind::Verification, &trace, decision, 1), "of another kind"),
        (entry(0, Kind::GrantChange, &trace, decision, 2), "of another batch"),
        (entry(0, Kind::GrantChange, &trace, Digest([1; 32]), 1), "not about this decision"),
        (entry(0, Kind::GrantChange, &stranger(), decision, 1), "not about this decision"),
    ];
    for (wrong, why) in cases {
        fake.entries[0] = wrong;
        let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
        let error = client.complete(&kept(&fake, &event)).await.unwrap_err();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
    fake.entries.clear();
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    assert!(matches!(client.complete(&kept(&fake, &event)).await, Err(Error::NotPublished { index: 0, .. })));
}

#[tokio::test]
async fn following_finds_the_log_that_differs_and_my_entries() {
    let (fake, _) = logged([Lie::None; 3]);
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    let look = client.follow(&Following::new(&fake.roster).unwrap()).await;
    assert_eq!((look.problems.len(), look.following.cross.agreed(), look.new.len()), (0, 300, 300));
    let trace = trace_key(&device());
    let mine: Vec<u64> = look.new.iter().filter(|(i, entry)| entry.concerns(&trace, *i)).map(|(i, _)| *i).collect();
    assert_eq!(mine, [0]);
    assert!(client.follow(&look.following).await.new.is_empty());

    let (fake, _) = logged([Lie::None, Lie::None, Lie::LogFork]);
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    let look = client.follow(&Following::new(&fake.roster).unwrap()).await;
    let differs = tlog::Error::LogsDiffer { index: 0, odd: Some(node(3)) };
    assert_eq!(look.problems, [Error::Log { node: node(3), source: differs }]);
    for lie in [Lie::LogOtherRoot, Lie::LogUnwitnessed, Lie::LogOtherEntry] {
        let (fake, _) = logged([Lie::None, lie, Lie::None]);
        let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
        let look = client.follow(&Following::new(&fake.roster).unwrap()).await;
        assert!(
            matches!(look.problems.as_slice(), [Error::Log { node: n, .. }] if *n == node(2)),
            "{lie:?}: {:?}",
            look.problems
        );
        assert_eq!(look.following.logs[1].size(), 0, "what did not hold is not followed");
    }
}
