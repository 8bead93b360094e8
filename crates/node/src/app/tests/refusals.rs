//! Hostile and mistaken requests: each its own error, and nothing changed.

use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use types::consent::Purpose;
use types::message::{Action, Outcome, Request};
use types::sign::Signed;
use types::{Digest, NodeId, ProfileId};

use super::world::{Answers, Call, World};
use crate::{Error, Kind};

fn codes(answers: &Answers) -> [&'static str; 3] {
    [0, 1, 2].map(|i| answers[i].as_ref().map_or_else(Error::code, |_| "decided"))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_break_a_rule_are_refused_by_name() {
    let mut world = World::new(11).await;
    let ada = world.person();
    type Change = fn(&mut Request);
    let cases: [(&str, Kind, Change); 12] = [
        ("wrong-commons", Kind::Invalid, |r| r.commons = Digest([7; 32])),
        ("version", Kind::Invalid, |r| r.version += 1),
        ("not-yet-valid", Kind::Invalid, |r| (r.issued_at, r.expires_at) = (r.issued_at + 100, r.expires_at + 100)),
        ("expired", Kind::Invalid, |r| (r.issued_at, r.expires_at) = (r.issued_at - 500, r.expires_at - 500)),
        ("expired", Kind::Invalid, |r| r.expires_at = r.issued_at - 1),
        ("lives-too-long", Kind::Invalid, |r| r.expires_at += 400),
        ("unknown-profile", Kind::Invalid, |r| submission(r).profile = ProfileId::new("gait-1").unwrap()),
        ("profile-mismatch", Kind::Invalid, |r| submission(r).profile_digest = Digest([0; 32])),
        ("purpose-not-allowed", Kind::Forbidden, |r| submission(r).grant.purpose = Purpose::verification()),
        ("consent-uses", Kind::Forbidden, |r| submission(r).grant.uses = 2),
        ("consent-times", Kind::Forbidden, |r| submission(r).grant.expires_at -= 1000),
        ("note-unfit", Kind::Forbidden, |r| submission(r).grant.note = "x".repeat(201)),
    ];
    for (code, kind, change) in cases {
        let call = world.call(&ada, Purpose::deduplication(), change);
        for answer in world.send(&call).await {
            let error = answer.unwrap_err();
            assert_eq!((error.rule().unwrap_or(error.code()), error.kind()), (code, kind));
            assert_eq!(error.rule().is_some(), error.code() == "not-permitted");
        }
    }
    assert_eq!(world.app(NodeId::ALL[0]).commons().batch, 0);
}

fn submission(request: &mut Request) -> &mut types::message::Submission {
    match &mut request.action {
        Action::Enrol(submission) | Action::Verify(submission) => submission,
        _ => panic!("no submission"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_replayed_and_misdirected_requests_change_nothing() {
    let mut world = World::new(12).await;
    let (ada, ben) = (world.person(), world.person());
    let good = world.enrol(&ada);

    let mut forged = good.clone();
    forged.signed = Signed::new(good.signed.message.clone(), &SigningKey::from_bytes(&[5; 32]));
    assert_eq!(codes(&world.send(&forged).await), ["bad-signature"; 3]);
    let mut altered = good.clone();
    altered.signed.message.expires_at += 1;
    assert_eq!(codes(&world.send(&altered).await), ["bad-signature"; 3]);

    let none = Call { shares: [None, None, None], ..good.clone() };
    assert_eq!(codes(&world.send(&none).await), ["share-missing"; 3]);
    let other_trace = Call { trace: ben.trace(), ..good.clone() };
    assert_eq!(codes(&world.send(&other_trace).await), ["bad-trace"; 3]);
    let without = world.app(NodeId::ALL[0]).submit(good.signed.clone(), None, good.shares[0].clone()).await;
    assert!(matches!(without, Err(Error::TraceMissing)));
    let mut extra = world.plain(&ada, Action::Withdraw { profile: None });
    extra.shares = good.shares.clone();
    assert_eq!(codes(&world.send(&extra).await), ["share-unexpected"; 3]);
    let status = world.plain(&ada, Action::Status);
    assert_eq!(codes(&world.send(&status).await), ["wrong-action"; 3]);

    // A share for another node, or for another request.
    let mut turned = good.clone();
    turned.shares.rotate_left(1);
    assert_eq!(codes(&world.send(&turned).await), ["bad-seal"; 3]);
    let mut mixed = world.enrol(&ben);
    mixed.shares = good.shares.clone();
    assert_eq!(codes(&world.send(&mixed).await), ["bad-seal"; 3]);
    tokio::time::sleep(Duration::from_millis(100)).await;

    let fresh = world.enrol(&ada);
    assert!(matches!(world.decide(&fresh).await, Outcome::Enrolled { .. }));
    let replayed = codes(&world.send(&fresh).await);
    assert_eq!(replayed, ["already-enrolled"; 3]);
    let verify = world.verify(&ada);
    world.decide(&verify).await;
    assert_eq!(codes(&world.send(&verify).await), ["replayed"; 3]);
    // Also after a restart, until the request has expired, and after that as expired.
    for node in NodeId::ALL {
        world.kill(node).await;
        world.start(node, |_| false).await;
    }
    world.mend();
    world.settle().await;
    assert_eq!(codes(&world.send(&verify).await), ["replayed"; 3]);
    world.clock.advance(361);
    assert_eq!(codes(&world.send(&verify).await), ["expired"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_do_not_agree_between_nodes_end_the_operation_for_all() {
    let mut world = World::new(13).await;
    let ada = world.person();
    // Node 2 gets a share of another template than was committed to: a different split under the same request.
    let values = super::world::quantise(&ada.face);
    let mut other = None;
    let _ = world.call_with(&ada, Purpose::deduplication(), 0, &values, |r| other = Some(submission(r).commitments));
    let wrong = world.call(&ada, Purpose::deduplication(), |r| submission(r).commitments[2] = other.unwrap()[2]);
    let asked = Instant::now();
    // Components 3 are held by nodes 2 and 3; node 1 learns from them.
    assert_eq!(codes(&world.send(&wrong).await), ["not-everywhere", "bad-share", "bad-share"]);
    assert!(asked.elapsed() < Duration::from_secs(1), "the others are told, they do not wait");

    // The same operation id for two different requests: no node pair holds the same one.
    let (mut one, two) = (world.enrol(&ada), world.enrol(&ada));
    let id = two.signed.message.operation;
    one = {
        let mut request = one.signed.message.clone();
        request.operation = id;
        Call { signed: Signed::new(request, &ada.key), ..one }
    };
    let (first, rest) =
        tokio::join!(world.send_to(&one, [NodeId::ALL[0]]), world.send_to(&two, [NodeId::ALL[1], NodeId::ALL[2]]));
    assert!(first[0].is_err() && rest[1].is_err() && rest[2].is_err());
    assert_eq!(world.app(NodeId::ALL[0]).commons().batch, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_never_got_its_share_is_named() {
    let mut world = World::new(14).await;
    let [one, two, three] = NodeId::ALL;
    for (nodes, missing) in [([one, two], three), ([one, three], two), ([two, three], one)] {
        let person = world.person();
        let call = world.enrol(&person);
        let asked = Instant::now();
        let answers = world.send_to(&call, nodes).await;
        assert!(asked.elapsed() < Duration::from_secs(4));
        for node in nodes {
            let error = answers[node.index()].as_ref().unwrap_err();
            assert!(matches!(error, Error::NotEverywhere { node } if *node == missing), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_match_bit_is_rationed() {
    let mut world = World::new(15).await;
    let ada = world.person();
    let call = world.enrol(&ada);
    world.decide(&call).await;
    for _ in 0..world.patience.attempts {
        let call = world.verify(&ada);
        world.decide(&call).await;
    }
    let call = world.verify(&ada);
    assert_eq!(codes(&world.send(&call).await), ["too-many-attempts"; 3]);
}
