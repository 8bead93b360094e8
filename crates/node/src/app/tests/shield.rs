//! The shield: it holds at once where it is heard of, everywhere as soon as nodes meet, and before a returning node serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use types::consent::{GrantState, Operation};
use types::message::{Action, Outcome};
use types::{GrantId, NodeId, OperationId};

use super::consent::{Care, DAY_S};
use super::world::{Person, agreed};
use crate::Error;
use crate::app::config::Clock as _;
use crate::app::faults::Point;

/// Waits until all nodes have decided an operation of `person`.
async fn settled(care: &mut Care, person: &Person, operation: OperationId) -> Outcome {
    for _ in 0..1000 {
        let answers = care.world.outcome(person, operation).await;
        if answers.iter().all(Result::is_ok) {
            return agreed(&answers, &care.world.roster);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the shield is not decided: {:?}", care.world.outcome(person, operation).await);
}

/// Ada raises her shield at `nodes`, whose statements say so at once. Returns the operation.
async fn raise(care: &mut Care, nodes: &[NodeId]) -> OperationId {
    let ada = care.ada.clone();
    let call = care.world.plain(&ada, Action::ShieldUp);
    for node in nodes {
        let bytes = care.world.app(*node).raise_shield(call.signed.clone()).await.unwrap();
        let statement = types::message::SignedStatement::from_bytes(&bytes).unwrap().message;
        assert_eq!(statement.member.unwrap().shield, Some(care.world.clock.now()), "at {node}");
    }
    call.signed.message.operation
}

async fn lower(care: &mut Care, restore: Vec<GrantId>) -> Outcome {
    let ada = care.ada.clone();
    let call = care.world.plain(&ada, Action::ShieldDown { restore });
    care.world.decide(&call).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_suspends_everything_and_only_what_is_picked_comes_back() {
    let mut care = Care::new(61).await;
    let ada = care.ada.clone();
    let kept = care.granted(Operation::Membership, 3).await;
    let lost = care.granted(Operation::Membership, 3).await;
    let terms = care.terms(Operation::Membership, 1);
    let named = care.ask(Some(care.name()), terms.clone());
    care.world.decide(&named).await;

    let operation = raise(&mut care, &NodeId::ALL).await;
    assert_eq!(settled(&mut care, &ada, operation).await, Outcome::Shielded { grants: 2, asks: 1 });
    for node in NodeId::ALL {
        let member = care.world.member(node, &ada).await;
        assert!(member.asks.is_empty() && member.shield.is_some());
        assert!(member.grants.iter().all(|grant| grant.state == GrantState::Suspended), "{:?}", member.grants);
    }
    // The party learns nothing of it: its ask waits, its grant cannot be used, its question is declined as by a no.
    let call = care.use_membership(kept);
    care.refused(&call, "grant-not-active").await;
    let clinic = care.clinic.clone();
    let told = care.world.outcome(&clinic, named.signed.message.operation).await;
    assert_eq!(agreed(&told, &care.world.roster), Outcome::Asked);
    let party = care.world.state(NodeId::ALL[0], &clinic, Action::Status).await.unwrap().party.unwrap();
    assert_eq!((party.asks.len(), party.grants.len()), (1, 0));
    let call = care.ask(Some(care.name()), terms.clone());
    let ask = call.signed.message.operation.into();
    assert_eq!(care.world.decide(&call).await, Outcome::Declined { ask });
    // The member herself can neither give nor answer nor verify; she can revoke, refuse and leave.
    let call = care.grant(terms);
    care.refused(&call, "shield-up").await;
    let call = care.world.verify(&ada);
    care.refused(&call, "shield-up").await;
    let call = care.refuse(named.signed.message.operation.into());
    care.refused(&call, "ask-unknown").await;

    let ben = care.world.person();
    let call = care.world.enrol(&ben);
    care.world.decide(&call).await;
    let call = care.world.plain(&ben, Action::ShieldDown { restore: Vec::new() });
    care.refused(&call, "shield-not-up").await;
    let call = care.world.plain(&ada, Action::ShieldDown { restore: vec![GrantId([1; 16])] });
    care.refused(&call, "restore-unknown").await;
    assert_eq!(lower(&mut care, vec![kept]).await, Outcome::Unshielded { restored: 1 });
    let call = care.use_membership(kept);
    assert!(matches!(care.world.decide(&call).await, Outcome::Answered { uses_left: 2, .. }));
    let call = care.use_membership(lost);
    care.refused(&call, "grant-not-active").await;
    // The old request again, as a node might keep it: it is decided, so it raises nothing.
    let replayed = care.world.member(NodeId::ALL[1], &ada).await;
    assert_eq!(replayed.shield, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_that_hears_of_a_shield_is_enough() {
    let mut care = Care::new(62).await;
    let ada = care.ada.clone();
    for node in NodeId::ALL {
        let grant = care.granted(Operation::Membership, 2).await;
        let operation = raise(&mut care, &[node]).await;
        assert_eq!(settled(&mut care, &ada, operation).await, Outcome::Shielded { grants: 1, asks: 0 }, "by {node}");
        let call = care.use_membership(grant);
        care.refused(&call, "grant-not-active").await;
        care.world.clock.advance(1);
        lower(&mut care, Vec::new()).await;
        care.world.clock.advance(1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_down_knows_of_the_shield_before_it_serves() {
    for (seed, down) in [(63, NodeId::ALL[0]), (64, NodeId::ALL[1]), (65, NodeId::ALL[2])] {
        let mut care = Care::new(seed).await;
        let (ada, clinic) = (care.ada.clone(), care.clinic.clone());
        let grant = care.granted(Operation::Membership, 2).await;
        care.world.kill(down).await;
        let up: Vec<NodeId> = NodeId::ALL.into_iter().filter(|node| *node != down).collect();
        // Holds at once on the two that are up, although nothing can be decided.
        let operation = raise(&mut care, &up).await;
        for node in &up {
            let party = care.world.state(*node, &clinic, Action::Status).await.unwrap().party.unwrap();
            assert!(party.grants.is_empty(), "at {node}");
            assert!(matches!(care.world.outcome(&ada, operation).await[node.index()], Err(Error::InDoubt)));
        }
        // Long after the request itself has expired, the node comes back and hears only one of the others at first.
        care.world.clock.advance(3 * DAY_S);
        let heard = up[1];
        care.world.kill(up[0]).await;
        care.world.start(down, |_| false).await;
        care.world.network.connect(down, heard);
        for _ in 0..500 {
            if care.world.member(down, &ada).await.shield.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(care.world.member(down, &ada).await.shield.is_some(), "{down} heard of it from {heard}");
        // The other restarts too: what it knew was on disk.
        care.world.start(up[0], |_| false).await;
        assert!(care.world.member(up[0], &ada).await.shield.is_some());
        care.world.mend();
        care.world.settle().await;
        let call = care.use_membership(grant);
        assert!(care.world.send(&call).await.iter().all(Result::is_err));
        assert!(matches!(settled(&mut care, &ada, operation).await, Outcome::Shielded { grants: 1, .. }), "{down} was down");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_and_a_shield_that_cross_come_in_one_order_everywhere() {
    let mut care = Care::new(66).await;
    let ada = care.ada.clone();
    let mut used = 0;
    for _ in 0..8 {
        let grant = care.granted(Operation::Membership, 1).await;
        let usage = care.use_membership(grant);
        let shield = care.world.plain(&ada, Action::ShieldUp);
        let apps = NodeId::ALL.map(|node| care.world.app(node).clone());
        let raising = apps.into_iter().map(|app| {
            tokio::spawn({
                let signed = shield.signed.clone();
                async move { app.raise_shield(signed).await }
            })
        });
        let raising: Vec<_> = raising.collect();
        let answers = care.world.send(&usage).await;
        for raised in raising {
            raised.await.unwrap().unwrap();
        }
        settled(&mut care, &ada, shield.signed.message.operation).await;
        let fate = care.world.outcome(&care.clinic.clone(), usage.signed.message.operation).await;
        let decided = fate.iter().filter(|answer| answer.is_ok()).count();
        assert!([0, 3].contains(&decided), "{fate:?}");
        assert!(decided == 3 || answers.iter().all(Result::is_err), "{answers:?}");
        used += decided / 3;
        care.world.clock.advance(1);
        lower(&mut care, Vec::new()).await;
        care.world.clock.advance(1);
    }
    assert!(used <= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_survives_a_crash_at_every_point() {
    let points = [Point::BeforePrepare, Point::AfterShares, Point::AfterPrepare, Point::AfterOneVote, Point::AfterCommit];
    for (seed, (point, node)) in (70..).zip(points.into_iter().zip(NodeId::ALL.into_iter().cycle())) {
        let mut care = Care::new(seed).await;
        let ada = care.ada.clone();
        let grant = care.granted(Operation::Membership, 1).await;
        let armed = Arc::new(AtomicBool::new(true));
        care.world.kill(node).await;
        care.world.start(node, move |at| at == point && armed.swap(false, Ordering::SeqCst)).await;
        care.world.mend();
        care.world.settle().await;
        let operation = raise(&mut care, &[node.next()]).await;
        care.world.app(node).stopped().await;
        care.world.kill(node).await;
        care.world.start(node, |_| false).await;
        assert!(care.world.member(node, &ada).await.shield.is_some(), "{node} after {point:?}");
        care.world.mend();
        care.world.settle().await;
        assert_eq!(settled(&mut care, &ada, operation).await, Outcome::Shielded { grants: 1, asks: 0 }, "{point:?}");
        let call = care.use_membership(grant);
        care.refused(&call, "grant-not-active").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_that_no_member_signed_or_that_is_long_decided_raises_nothing() {
    let mut care = Care::new(67).await;
    let (ada, mallory) = (care.ada.clone(), care.world.person());
    let call = care.world.plain(&mallory, Action::ShieldUp);
    let refused = care.world.app(NodeId::ALL[0]).raise_shield(call.signed).await;
    assert!(matches!(refused, Err(Error::UnknownMember)));
    let mut forged = care.world.plain(&ada, Action::ShieldUp).signed;
    forged.signature = care.world.plain(&mallory, Action::ShieldUp).signed.signature;
    assert_eq!(care.world.app(NodeId::ALL[0]).raise_shield(forged.clone()).await.unwrap_err().code(), "bad-signature");

    let first = care.world.plain(&ada, Action::ShieldUp);
    care.world.app(NodeId::ALL[0]).raise_shield(first.signed.clone()).await.unwrap();
    settled(&mut care, &ada, first.signed.message.operation).await;
    care.world.clock.advance(1);
    lower(&mut care, Vec::new()).await;
    // A node that passes on old and forged requests.
    let before = care.world.app(NodeId::ALL[0]).commons().batch;
    care.world.network.whisper(NodeId::ALL[2], NodeId::ALL[0], vec![first.signed.clone(), forged]);
    care.world.network.whisper(NodeId::ALL[2], NodeId::ALL[1], vec![first.signed]);
    let ben = care.world.person();
    let call = care.world.enrol(&ben);
    care.world.decide(&call).await;
    for node in NodeId::ALL {
        assert_eq!(care.world.member(node, &ada).await.shield, None, "at {node}");
        assert_eq!(care.world.app(node).commons().batch, before + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_ends_what_it_concerns_and_nobody_elses_operation() {
    for (seed, hears) in (68..).zip(NodeId::ALL) {
        let mut care = Care::new(seed).await;
        let ada = care.ada.clone();
        let grant = care.granted(Operation::Verification, 3).await;
        let others = [care.world.person(), care.world.person(), care.world.person()];
        for other in &others {
            let call = care.world.enrol(other);
            care.world.decide(&call).await;
        }
        // The messages of a run's rounds are slow. While one goes on, the next batch gathers: the use, and two verifications.
        care.world.network.slow_down(Duration::from_millis(20));
        let face = super::world::quantise(&ada.face);
        let usage = care.use_sample(grant, &face);
        let calls = [0, 1, 2].map(|other| care.world.verify(&others[other]));
        let shield = care.world.plain(&ada, Action::ShieldUp);
        let app = care.world.app(hears).clone();
        let world = &care.world;
        let after = |call| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            world.send(call).await
        };
        let begun = async {
            let before = world.decide(&calls[2]).await;
            // The next run has begun, and is far from its end.
            tokio::time::sleep(Duration::from_millis(150)).await;
            app.raise_shield(shield.signed.clone()).await.unwrap();
            before
        };
        let (used, first, second, _) = tokio::join!(after(&usage), after(&calls[0]), after(&calls[1]), begun);
        assert!(used.iter().all(|answer| answer.as_ref().is_err_and(|e| e.rule() == Some("grant-not-active"))), "{used:?}");
        for answers in [first, second] {
            assert_eq!(agreed(&answers, &care.world.roster), Outcome::Verified { matched: true }, "at {hears}");
        }
        care.world.network.slow_down(Duration::ZERO);
        assert!(matches!(settled(&mut care, &ada, shield.signed.message.operation).await, Outcome::Shielded { .. }));
    }
}
