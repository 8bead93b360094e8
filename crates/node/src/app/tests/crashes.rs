//! A node is stopped at every named point in turn, loses its memory, and comes back on its directory. Then all three must hold
//! the same chain, every answer that a client got must still be true, and nobody may be half enrolled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use types::NodeId;
use types::message::{Action, Outcome};

use super::world::{Answers, Person, World, agreed, open};
use crate::Error;
use crate::app::faults::Point;

pub(super) const POINTS: [Point; 5] =
    [Point::BeforePrepare, Point::AfterShares, Point::AfterPrepare, Point::AfterOneVote, Point::AfterCommit];

/// A world with one member, in which `node` stops once at `point`.
async fn world_that_fails(seed: u64, node: NodeId, point: Point) -> (World, Person) {
    let mut world = World::new(seed).await;
    let ada = world.person();
    let call = world.enrol(&ada);
    world.decide(&call).await;
    let armed = Arc::new(AtomicBool::new(true));
    world.kill(node).await;
    world.start(node, move |at| at == point && armed.swap(false, Ordering::SeqCst)).await;
    world.mend();
    world.settle().await;
    (world, ada)
}

/// Waits for the fault, then brings the node back.
async fn revive(world: &mut World, node: NodeId) {
    world.app(node).stopped().await;
    world.kill(node).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.start(node, |_| false).await;
    world.mend();
    world.settle().await;
}

/// Sends a call while `node` dies and returns.
pub(super) async fn send_through_crash(world: &mut World, call: &super::world::Call, node: NodeId) -> Answers {
    let sending = {
        let apps = NodeId::ALL.map(|node| world.app(node).clone());
        let call = call.clone();
        tokio::spawn(async move {
            let mut tasks = Vec::new();
            for (app, share) in apps.into_iter().zip(call.shares) {
                let (signed, trace) = (call.signed.clone(), Some(call.trace.clone()));
                tasks.push(tokio::spawn(async move { app.submit(signed, trace, share).await }));
            }
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap());
            }
            answers
        })
    };
    revive(world, node).await;
    sending.await.unwrap().try_into().unwrap()
}

/// All three say the same about an operation: the certificate, or that it was never decided.
pub(super) async fn fate(world: &mut World, person: &Person, call: &super::world::Call) -> Option<Outcome> {
    let answers = world.outcome(person, call.signed.message.operation).await;
    if answers.iter().all(|answer| matches!(answer, Err(Error::NotFound))) {
        return None;
    }
    Some(agreed(&answers, &world.roster))
}

pub(super) async fn chains_are_equal(world: &mut World) {
    let mut chains = Vec::new();
    for node in NodeId::ALL {
        world.kill(node).await;
        let store = open(&world.path(node), node, &world.roster).await;
        assert!(store.prepared().await.unwrap().is_none());
        let gallery = store.gallery(&world.roster.profiles[0].id).unwrap();
        let slots = gallery.read().unwrap().usable_words().to_vec();
        chains.push((store.chain().await.unwrap(), store.record_counts().await.unwrap(), slots));
    }
    assert!(chains.iter().all(|chain| *chain == chains[0]), "{chains:?}");
}

async fn enrolment_survives(node: NodeId, point: Point) {
    let (mut world, _) = world_that_fails(21, node, point).await;
    let ben = world.person();
    let call = world.enrol(&ben);
    let answers = send_through_crash(&mut world, &call, node).await;
    let fate = fate(&mut world, &ben, &call).await;
    for answer in answers.iter().flatten() {
        assert_eq!(Some(answer.decision.outcome), fate, "an answer given must stay true");
    }
    // Prepared at the fallen node means that all can commit; not prepared there means that none may.
    let prepared = !matches!(point, Point::BeforePrepare | Point::AfterShares);
    assert_eq!(fate.is_some(), prepared, "{node} at {point:?}");

    // Whole or not at all: a second attempt finds the one or the other, on all nodes alike.
    let second = world.double(&ben);
    let call = world.enrol(&second);
    let expected = if prepared { Outcome::Duplicate } else { world.decide(&call).await };
    if prepared {
        assert_eq!(world.decide(&call).await, expected);
    } else {
        assert!(matches!(expected, Outcome::Enrolled { .. }));
    }
    chains_are_equal(&mut world).await;
}

async fn withdrawal_survives(node: NodeId, point: Point) {
    let (mut world, ada) = world_that_fails(22, node, point).await;
    let call = world.plain(&ada, Action::Withdraw { profile: None });
    let answers = send_through_crash(&mut world, &call, node).await;
    let gone = fate(&mut world, &ada, &call).await.is_some();
    assert!(gone || answers.iter().all(Result::is_err), "an answer given must stay true");
    let verify = world.verify(&ada);
    let answers = world.send(&verify).await;
    assert!(answers.iter().all(|answer| answer.is_err() == gone), "{answers:?}");
    for node in NodeId::ALL {
        let file = world.path(node).join("shares/vector-64/000000.seg");
        // Ada's is the only record; its file goes with it.
        let erased = std::fs::read(file).map_or(true, |bytes| bytes.iter().all(|byte| *byte == 0));
        assert_eq!(erased, gone, "{node} after {point:?}");
    }
    chains_are_equal(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_survives_a_crash_of_node_1_at_every_point() {
    for point in POINTS {
        enrolment_survives(NodeId::ALL[0], point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_survives_a_crash_of_node_2_at_every_point() {
    for point in POINTS {
        enrolment_survives(NodeId::ALL[1], point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_survives_a_crash_of_node_3_at_every_point() {
    for point in POINTS {
        enrolment_survives(NodeId::ALL[2], point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_survives_a_crash_at_every_point() {
    for (point, node) in POINTS.into_iter().zip(NodeId::ALL.into_iter().cycle()) {
        withdrawal_survives(node, point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_are_counted_alike_through_a_crash_at_every_point() {
    for (seed, (point, node)) in (90..).zip(POINTS.into_iter().zip(NodeId::ALL.into_iter().cycle())) {
        let mut care = super::consent::Care::new(seed).await;
        let grant = care.granted(types::consent::Operation::Membership, 3).await;
        let armed = Arc::new(AtomicBool::new(true));
        care.world.kill(node).await;
        care.world.start(node, move |at| at == point && armed.swap(false, Ordering::SeqCst)).await;
        care.world.mend();
        care.world.settle().await;
        let call = care.use_membership(grant);
        let answers = send_through_crash(&mut care.world, &call, node).await;
        let clinic = care.clinic.clone();
        let used = fate(&mut care.world, &clinic, &call).await.is_some();
        assert!(used || answers.iter().all(Result::is_err), "an answer given must stay true");
        // As many uses as are left, on all nodes alike; not one more.
        let left = if used { 2 } else { 3 };
        assert_eq!(care.grants().await, [Some((types::consent::GrantState::Active, left)); 3], "{node} at {point:?}");
        for _ in 0..left {
            let call = care.use_membership(grant);
            assert!(matches!(care.world.decide(&call).await, Outcome::Answered { .. }));
        }
        let call = care.use_membership(grant);
        care.refused(&call, "grant-spent").await;
        chains_are_equal(&mut care.world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_three_may_fall_together_with_a_batch_prepared() {
    let mut world = World::new(23).await;
    for node in NodeId::ALL {
        world.kill(node).await;
        world.start(node, |at| at == Point::AfterPrepare).await;
    }
    world.mend();
    world.settle().await;
    let ada = world.person();
    let call = world.enrol(&ada);
    let answers = world.send(&call).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::InDoubt | Error::Stopped))), "{answers:?}");
    for node in NodeId::ALL {
        world.kill(node).await;
        world.start(node, |_| false).await;
    }
    // Two nodes alone cannot know what the third has done, so they wait.
    let [one, two, three] = NodeId::ALL;
    world.network.connect(one, two);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(world.outcome(&ada, call.signed.message.operation).await[0], Err(Error::InDoubt)));
    world.network.connect(two, three);
    world.network.connect(one, three);
    world.settle().await;
    assert!(matches!(fate(&mut world, &ada, &call).await, Some(Outcome::Enrolled { .. })));
    chains_are_equal(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_from_an_old_backup_is_noticed() {
    let mut world = World::new(24).await;
    let two = NodeId::ALL[1];
    let ada = world.person();
    let call = world.enrol(&ada);
    world.decide(&call).await;
    world.kill(two).await;
    open(&world.path(two), two, &world.roster).await.close().await;
    let backup = std::fs::read(world.path(two).join("meta.sqlite")).unwrap();
    world.start(two, |_| false).await;
    world.mend();
    world.settle().await;
    let ben = world.person();
    let call = world.enrol(&ben);
    world.decide(&call).await;

    world.kill(two).await;
    open(&world.path(two), two, &world.roster).await.close().await;
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.path(two).join(format!("meta.sqlite{suffix}")));
    }
    std::fs::write(world.path(two).join("meta.sqlite"), backup).unwrap();
    world.start(two, |_| false).await;
    world.mend();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let cleo = world.person();
    let call = world.enrol(&cleo);
    let answers = world.send_to(&call, [two]).await;
    assert!(matches!(answers[1], Err(Error::OutOfDate { .. })), "{answers:?}");
}
