//! The ordinary life of a commons.

use std::time::{Duration, Instant};

use types::NodeId;
use types::consent::Purpose;
use types::message::{Action, Outcome, SignedStatement};
use types::seal::{self, SealKey};
use types::sign::{Message as _, Signed, public_key};

use super::world::{World, agreed};
use crate::Error;

#[tokio::test(flavor = "multi_thread")]
async fn people_enrol_once_verify_withdraw_and_may_come_back() {
    let mut world = World::new(1).await;
    let (ada, ben) = (world.person(), world.person());
    let call = world.enrol(&ada);
    let Outcome::Enrolled { member } = world.decide(&call).await else { panic!("ada is new") };
    let call = world.enrol(&ben);
    assert!(matches!(world.decide(&call).await, Outcome::Enrolled { member: other } if other != member));

    // Ada with a second device is refused; she herself is told that she is enrolled.
    let twin = world.double(&ada);
    let call = world.enrol(&twin);
    assert_eq!(world.decide(&call).await, Outcome::Duplicate);
    let call = world.enrol(&ada);
    assert!(matches!(world.send(&call).await, [Err(Error::AlreadyEnrolled { .. }), ..]));

    let again = world.again(&ada);
    let call = world.verify(&again);
    assert_eq!(world.decide(&call).await, Outcome::Verified { matched: true });
    let impostor = super::world::Person { face: ben.face.clone(), ..ada.clone() };
    let call = world.verify(&impostor);
    assert_eq!(world.decide(&call).await, Outcome::Verified { matched: false });
    let call = world.verify(&twin);
    assert!(matches!(world.send(&call).await, [Err(Error::UnknownMember), ..]));

    let call = world.plain(&ada, Action::Withdraw { profile: None });
    assert_eq!(world.decide(&call).await, Outcome::Withdrawn { records: 1 });
    let call = world.verify(&ada);
    assert!(matches!(world.send(&call).await, [Err(Error::UnknownMember), ..]));
    // Nothing of hers matches any more: the twin may enrol, and then she is the duplicate.
    let call = world.enrol(&twin);
    assert!(matches!(world.decide(&call).await, Outcome::Enrolled { .. }));
    let call = world.enrol(&ada);
    assert_eq!(world.decide(&call).await, Outcome::Duplicate);
    for node in NodeId::ALL {
        let commons = world.app(node).commons();
        assert_eq!(commons.records["vector-64"], 2);
        assert!(commons.peers.iter().all(|peer| peer.available));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_in_one_batch_are_caught() {
    let mut world = World::new(2).await;
    let ada = world.person();
    let twins: Vec<_> = (0..5).map(|_| world.double(&ada)).collect();
    let strangers: Vec<_> = (0..5).map(|_| world.person()).collect();
    let calls: Vec<_> = twins.iter().chain(&strangers).map(|person| world.enrol(person)).collect();
    let sends = calls.iter().map(|call| world.decide(call));
    let outcomes = futures_join(sends).await;
    let enrolled = |outcomes: &[Outcome]| outcomes.iter().filter(|o| matches!(o, Outcome::Enrolled { .. })).count();
    assert_eq!(enrolled(&outcomes[..5]), 1, "{outcomes:?}");
    assert_eq!(enrolled(&outcomes[5..]), 5, "{outcomes:?}");
}

/// Polls all at once on this task.
async fn futures_join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|future| (Some(Box::pin(future)), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut futures {
            if let Some(running) = future
                && let std::task::Poll::Ready(value) = running.as_mut().poll(context)
            {
                *output = Some(value);
                *future = None;
            }
        }
        match futures.iter().all(|(_, output)| output.is_some()) {
            true => std::task::Poll::Ready(futures.iter_mut().map(|(_, output)| output.take().unwrap()).collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_that_are_no_templates_are_refused_by_all() {
    let mut world = World::new(3).await;
    let ada = world.person();
    let mut weighted = super::world::quantise(&ada.face);
    weighted.iter_mut().for_each(|x| *x = x.wrapping_mul(2));
    for values in [vec![0; 64], weighted] {
        let person = world.person();
        let call = world.call_with(&person, Purpose::deduplication(), 0, &values, |_| ());
        assert_eq!(world.decide(&call).await, Outcome::InvalidTemplate);
    }
    assert_eq!(world.app(NodeId::ALL[0]).commons().records["vector-64"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_may_have_several_modalities() {
    let mut world = World::new(4).await;
    let ada = world.person();
    let call = world.enrol(&ada);
    let first = world.decide(&call).await;
    // 128 code bits, 64 mask bits, all valid.
    let iris: Vec<u32> = (0..128u32).map(|bit| (bit * 7 / 3) % 2).chain([1; 64]).collect();
    let call = world.call_with(&ada, Purpose::deduplication(), 1, &iris, |_| ());
    assert_eq!(world.decide(&call).await, first);
    let ben = world.person();
    let call = world.call_with(&ben, Purpose::deduplication(), 1, &iris, |_| ());
    assert_eq!(world.decide(&call).await, Outcome::Duplicate);
    let call = world.call_with(&ada, Purpose::verification(), 1, &iris, |_| ());
    assert_eq!(world.decide(&call).await, Outcome::Verified { matched: true });
    let only = Some(world.roster.profiles[1].id.clone());
    let call = world.plain(&ada, Action::Withdraw { profile: only });
    assert_eq!(world.decide(&call).await, Outcome::Withdrawn { records: 1 });
    let call = world.verify(&ada);
    assert_eq!(world.decide(&call).await, Outcome::Verified { matched: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_and_outcomes_are_for_the_asking_device_only() {
    let mut world = World::new(5).await;
    let (ada, ben) = (world.person(), world.person());
    let enrolment = world.enrol(&ada);
    world.decide(&enrolment).await;
    let operation = enrolment.signed.message.operation;
    assert!(matches!(agreed(&world.outcome(&ada, operation).await, &world.roster), Outcome::Enrolled { .. }));
    assert!(world.outcome(&ben, operation).await.iter().all(|answer| matches!(answer, Err(Error::NotFound))));

    let reply = SealKey::from_random(&[9; 32]);
    for node in NodeId::ALL {
        let key = world.roster.node(node).unwrap().signing_key;
        let status = world.plain(&ada, Action::Status).signed;
        let bytes = world.app(node).statement(status.clone()).await.unwrap();
        let statement = SignedStatement::from_bytes(&bytes).unwrap();
        statement.verify(&key).unwrap();
        assert_eq!(statement.message.request, status.message.digest());
        let member = statement.message.member.unwrap();
        assert_eq!((member.records.len(), member.records[0].share_bytes), (1, 128));
        assert!(member.records[0].sample.is_none() && member.metadata_bytes > 100);
        assert!(matches!(world.app(node).statement(status).await, Err(Error::Replayed)));

        let inspect = world.plain(&ada, Action::Inspect { reply_key: reply.public().unwrap() }).signed;
        let sealed = world.app(node).statement(inspect.clone()).await.unwrap();
        let bytes = seal::open(&reply, seal::INSPECTION, &inspect.message.digest(), &sealed).unwrap();
        let statement = Signed::<types::message::Statement>::from_bytes(&bytes).unwrap();
        statement.verify(&key).unwrap();
        let sample = statement.message.member.unwrap().records.remove(0).sample.unwrap();
        assert_eq!(sample.values.len(), if node.number() == 3 { 20 } else { 22 });

        let nobody = world.plain(&ben, Action::Status).signed;
        let bytes = world.app(node).statement(nobody).await.unwrap();
        assert_eq!(SignedStatement::from_bytes(&bytes).unwrap().message.member, None);
    }
    assert_eq!(public_key(&ada.key), enrolment.signed.message.device);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_node_down_the_others_say_so_at_once_and_heal() {
    let mut world = World::new(6).await;
    let [one, two, three] = NodeId::ALL;
    for down in NodeId::ALL {
        world.kill(down).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let person = world.person();
        let call = world.enrol(&person);
        let asked = Instant::now();
        for (node, answer) in NodeId::ALL.into_iter().zip(world.send(&call).await) {
            if node != down {
                let error = answer.unwrap_err();
                assert_eq!((error.code(), error.unavailable_nodes()), ("unavailable", vec![down]), "at {node}");
            }
        }
        assert!(asked.elapsed() < Duration::from_millis(500));
        world.start(down, |_| false).await;
        world.mend();
        world.settle().await;
        let call = world.enrol(&person);
        assert!(matches!(world.decide(&call).await, Outcome::Enrolled { .. }));
    }
    // Two nodes that lose each other: the third hears of it.
    world.network.cut(two, three);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(NodeId::ALL.iter().all(|node| !world.app(*node).readiness().ready));
    world.network.connect(two, three);
    world.settle().await;
    let person = world.person();
    let call = world.enrol(&person);
    world.decide(&call).await;
    assert_eq!(world.app(one).commons().records["vector-64"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_finishes_what_it_has_begun() {
    let mut world = World::new(7).await;
    let person = world.person();
    let call = world.enrol(&person);
    world.decide(&call).await;
    for node in NodeId::ALL {
        world.app(node).shutdown().await;
        let late = world.enrol(&person);
        assert!(matches!(world.send_to(&late, [node]).await[node.index()], Err(Error::Stopped)));
    }
}
