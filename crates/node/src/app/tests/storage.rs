//! A disk without room: what it stops, and that nothing is lost by it. The program on a real full disk: `sim`.

use std::time::Duration;

use types::NodeId;
use types::message::Outcome;

use super::consent::Care;
use super::world::{Call, Person, World, agreed};
use crate::Error;

/// From now on the database of `node` takes no page more; or again as many as it likes.
async fn limit(world: &World, node: NodeId, on: bool) {
    world.app(node).0.core.store.limit_pages(if on { 1 } else { u32::MAX / 2 }).await;
}

/// Sends all calls at once and returns how many got a certificate from every node.
async fn send_all(world: &World, calls: &[(Person, Call)]) -> usize {
    let mut sending = tokio::task::JoinSet::new();
    for (_, call) in calls {
        for node in NodeId::ALL {
            let (app, signed, trace) = (world.app(node).clone(), call.signed.clone(), Some(call.trace.clone()));
            let share = call.shares[node.index()].clone();
            sending.spawn(async move { app.submit(signed, trace, share).await });
        }
    }
    let answers = sending.join_all().await;
    answers.iter().filter(|answer| answer.is_ok()).count() / 3
}

/// What all three nodes say has become of an enrolment, when none of them is in doubt any more.
async fn fate(world: &mut World, person: &Person, call: &Call) -> Option<Outcome> {
    for _ in 0..500 {
        let answers = world.outcome(person, call.signed.message.operation).await;
        if answers.iter().all(|answer| matches!(answer, Err(Error::NotFound))) {
            return None;
        }
        if answers.iter().all(Result::is_ok) {
            return Some(agreed(&answers, &world.roster));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the nodes do not agree about an operation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_loses_nothing_and_goes_on_when_there_is_room() {
    for (seed, node) in (110..).zip(NodeId::ALL) {
        let mut world = World::new(seed).await;
        world.patience.answer = Duration::from_secs(3);
        for node in NodeId::ALL {
            world.kill(node).await;
            world.start(node, |_| false).await;
        }
        world.mend();
        world.settle().await;
        limit(&world, node, true).await;
        let mut refused = 0;
        // Until pages are full: batches of many operations, so that preparing, committing and noting are hit in turn.
        for _ in 0..3 {
            let mut calls = Vec::new();
            for _ in 0..16 {
                let person = world.person();
                let call = world.enrol(&person);
                calls.push((person, call));
            }
            let decided = send_all(&world, &calls).await;
            refused += calls.len() - decided;
            assert!(!world.app(node).0.core.stopped.is_cancelled(), "{node} goes on without room");
            limit(&world, node, false).await;
            for (person, call) in &calls {
                let first = fate(&mut world, person, call).await;
                if first.is_none() {
                    let again = world.enrol(person);
                    assert!(
                        matches!(world.decide(&again).await, Outcome::Enrolled { .. }),
                        "nothing is left of what was refused"
                    );
                }
            }
            limit(&world, node, true).await;
        }
        assert!(refused > 0, "{node} has run out of room");
        limit(&world, node, false).await;
        world.settle().await;
        let mut heads = Vec::new();
        for node in NodeId::ALL {
            world.kill(node).await;
            let store = super::world::open(&world.path(node), node, &world.roster).await;
            heads.push((store.chain().await.unwrap(), store.record_counts().await.unwrap()));
        }
        assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
        assert_eq!(heads[0].1[0].1, 48, "everybody is enrolled once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_room_says_so_at_once_and_keeps_shields_all_the_same() {
    let mut care = Care::new(120).await;
    let [one, two, three] = NodeId::ALL;
    // As the sequencer sets it when it looks at the disk; here it looks at a disk with room and lifts it a moment later.
    care.world.app(two).0.core.set_full(true);
    let ben = care.world.person();
    let call = care.world.enrol(&ben);
    let refused = care.world.send_to(&call, [two]).await;
    assert!(matches!(refused[two.index()], Err(Error::StorageFull)), "{refused:?}");
    care.world.app(two).0.core.set_full(true);
    let shield = care.world.plain(&care.ada.clone(), types::message::Action::ShieldUp);
    care.world.app(two).raise_shield(shield.signed.clone()).await.unwrap();
    care.world.settle().await;
    for node in [one, two, three] {
        let ada = care.ada.clone();
        assert!(care.world.member(node, &ada).await.shield.is_some());
    }
}
