//! A member's record is replaced by one of a newer sample: only if it is theirs, and nobody else's.

use std::time::Duration;

use types::NodeId;
use types::consent::Purpose;
use types::message::{Action, Outcome};

use super::world::{Call, Person, World, quantise};
use crate::app::faults::Point;

fn renew(world: &mut World, person: &Person) -> Call {
    let values = quantise(&person.face);
    world.carry(person, Purpose::deduplication(), 0, &values, Action::Renew, |_| ())
}

/// `share` of the way from one face to another.
fn between(one: &Person, other: &Person, share: f64) -> Person {
    let face: Vec<f64> = one.face.iter().zip(&other.face).map(|(a, b)| (1.0 - share) * a + share * b).collect();
    let norm = face.iter().map(|x| x * x).sum::<f64>().sqrt();
    Person { key: one.key.clone(), face: face.into_iter().map(|x| x / norm).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_follows_its_member_through_the_years() {
    let mut world = World::new(320).await;
    let (ada, ben) = (world.person(), world.person());
    for person in [&ada, &ben] {
        let call = world.enrol(person);
        world.decide(&call).await;
    }
    let before = world.member(NodeId::ALL[0], &ada).await;
    let old = NodeId::ALL.map(|node| world.disk(node));
    // A face that changes little by little, until it is another's.
    let target = world.person();
    let now = between(&ada, &target, 0.35);
    let later = between(&ada, &target, 0.75);
    let call = renew(&mut world, &later);
    assert_eq!(world.decide(&call).await, Outcome::NotRenewed, "too far from the record");
    let call = renew(&mut world, &now);
    assert_eq!(world.decide(&call).await, Outcome::Renewed);
    let call = renew(&mut world, &later);
    assert_eq!(world.decide(&call).await, Outcome::Renewed, "near to the record as it is now");

    let call = world.verify(&later);
    assert_eq!(world.decide(&call).await, Outcome::Verified { matched: true });
    let call = world.verify(&ada);
    assert_eq!(world.decide(&call).await, Outcome::Verified { matched: false });
    // Who looks as she did may enrol, who looks as she does may not.
    let twin = Person { face: later.face.clone(), ..world.person() };
    let call = world.enrol(&twin);
    assert_eq!(world.decide(&call).await, Outcome::Duplicate);

    for (node, old) in NodeId::ALL.into_iter().zip(old) {
        let after = world.member(node, &ada).await;
        assert_eq!((after.member, after.since, after.records.len()), (before.member, before.since, 1));
        assert!(after.records[0].batch > before.records[0].batch);
        // Four bytes of each record in every line: those of the first share are nowhere any more.
        let lines =
            |files: &[(String, Vec<u8>)]| files.iter().find(|(name, _)| name.ends_with("000000.seg")).unwrap().1.clone();
        let (old, new) = (lines(&old), lines(&world.disk(node)));
        let of_ada: Vec<[u8; 4]> = old.chunks(64).take(16).map(|line| line[..4].try_into().unwrap()).collect();
        let left = of_ada.iter().filter(|piece| **piece != [0; 4] && new.chunks(4).take(4096).any(|now| now == *piece));
        assert_eq!(left.count(), 0, "node {node} keeps bytes of the old record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_becomes_somebody_else_by_renewing() {
    let mut world = World::new(321).await;
    let ada = world.person();
    // Ben looks a little like Ada: too little to be taken for her.
    let other = world.person();
    let ben = Person { key: other.key.clone(), ..between(&ada, &other, 0.75) };
    for person in [&ada, &ben] {
        let call = world.enrol(person);
        assert!(matches!(world.decide(&call).await, Outcome::Enrolled { .. }));
    }
    let call = renew(&mut world, &Person { key: ben.key.clone(), face: ada.face.clone() });
    assert_eq!(world.decide(&call).await, Outcome::NotRenewed, "another's face");
    let call = renew(&mut world, &Person { key: ben.key.clone(), ..between(&ben, &ada, 0.45) });
    assert_eq!(world.decide(&call).await, Outcome::NotRenewed, "matches both");
    let stranger = world.person();
    let call = renew(&mut world, &stranger);
    assert!(world.send(&call).await.iter().all(Result::is_err), "who has no record has none to renew");
    let mut values = quantise(&ben.face);
    values.iter_mut().for_each(|value| *value = value.wrapping_mul(3));
    let call = world.carry(&ben, Purpose::deduplication(), 0, &values, Action::Renew, |_| ());
    assert_eq!(world.decide(&call).await, Outcome::InvalidTemplate);
    for person in [&ada, &ben] {
        let call = world.verify(person);
        assert_eq!(world.decide(&call).await, Outcome::Verified { matched: true }, "as before");
    }
    let call = world.plain(&ben, Action::ShieldUp);
    world.app(NodeId::ALL[0]).raise_shield(call.signed).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let call = renew(&mut world, &ben);
    assert!(world.send(&call).await.iter().all(Result::is_err), "a shield stops it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_survives_a_crash_at_every_point() {
    let points = [
        Point::BeforePrepare,
        Point::AfterShares,
        Point::AfterPrepare,
        Point::AfterOneVote,
        Point::AfterCommit,
        Point::AfterSettle,
    ];
    for (seed, (point, node)) in (330..).zip(points.into_iter().zip(NodeId::ALL.into_iter().cycle())) {
        let mut world = World::new(seed).await;
        let ada = world.person();
        let call = world.enrol(&ada);
        world.decide(&call).await;
        let first = world.member(node.next(), &ada).await.records[0].batch;
        world.kill(node).await;
        let armed = std::sync::atomic::AtomicBool::new(true);
        world.start(node, move |at| at == point && armed.swap(false, std::sync::atomic::Ordering::SeqCst)).await;
        world.mend();
        world.settle().await;
        let target = world.person();
        let now = between(&ada, &target, 0.45);
        let call = renew(&mut world, &now);
        let answers = super::crashes::send_through_crash(&mut world, &call, node).await;
        let renewed = world.member(node, &ada).await.records[0].batch > first;
        assert!(renewed || answers.iter().all(Result::is_err), "an answer given must stay true");
        // Wholly new or wholly old, on all nodes alike.
        for (face, matches) in [(&now, true), (&between(&ada, &target, 0.75), renewed), (&ada, true)] {
            let call = world.verify(face);
            assert_eq!(world.decide(&call).await, Outcome::Verified { matched: matches }, "{node} at {point:?}");
        }
        super::crashes::chains_are_equal(&mut world).await;
    }
}
