//! All stored shares are renewed while service goes on, and through crashes at every step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use credential::MemberSecret;
use credential::escrow::{Share, combine_shares};
use types::message::{Action, Outcome};
use types::sign::public_key;
use types::{NodeId, OperationId};

use super::personas;
use super::publication::{entries, published};
use super::world::{Call, Person, World, open};
use crate::Error;
use crate::app::config::Clock as _;
use crate::app::faults::{Faults, Point};
use crate::app::operators_request;

const POINTS: [Point; 5] =
    [Point::BeforePrepare, Point::AfterPrepare, Point::AfterOneVote, Point::AfterCommit, Point::AfterSettle];

impl World {
    /// As the operator of `node` signs it.
    pub(super) fn act(&mut self, node: NodeId, action: Action) -> Call {
        let stranger = self.person();
        let operation = self.request(&stranger, action.clone()).operation;
        self.act_named(node, operation, action)
    }

    fn act_named(&self, node: NodeId, operation: OperationId, action: Action) -> Call {
        let signed = operators_request(&self.roster.digest(), operation, self.clock.now(), action, self.key(node));
        Call { signed, shares: [None, None, None], trace: types::message::public_trace(&operation) }
    }

    /// Waits until all nodes that run use the shares of `epoch`.
    pub(super) async fn reach(&self, epoch: u64) {
        for _ in 0..2000 {
            if self.running().all(|app| app.commons().epoch == epoch && !app.commons().refreshing && app.readiness().ready) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("epoch {epoch} does not come: {:?}", self.running().map(|app| app.commons()).collect::<Vec<_>>());
    }

    /// Everybody's shares on the disk of each node, by the names of their files. What is being removed may be there or not.
    pub(super) fn disk(&self, node: NodeId) -> Vec<(String, Vec<u8>)> {
        let root = self.path(node).join("shares");
        let mut files = Vec::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    files.push((path.strip_prefix(&root).unwrap().display().to_string(), bytes));
                }
            }
        }
        files.sort();
        files
    }

    /// Waits until nothing is left on a node's disk but the shares of `epoch`.
    pub(super) async fn swept(&self, node: NodeId, epoch: u64) -> Vec<(String, Vec<u8>)> {
        for _ in 0..500 {
            let files = self.disk(node);
            if files.iter().all(|(name, _)| name.contains(&format!("/e{epoch:06}/"))) {
                return files;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("node {node} keeps {:?}", self.disk(node).into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}

pub(super) async fn members<const N: usize>(world: &mut World) -> [Person; N] {
    let people: [Person; N] = std::array::from_fn(|_| world.person());
    for person in &people {
        let call = world.enrol(person);
        assert!(matches!(world.decide(&call).await, Outcome::Enrolled { .. }));
    }
    people
}

/// Everybody is known, nobody else, and nobody can enrol twice.
pub(super) async fn all_is_as_before(world: &mut World, people: &[Person]) {
    for person in people {
        let again = world.again(person);
        let call = world.verify(&again);
        assert_eq!(world.decide(&call).await, Outcome::Verified { matched: true });
        let twin = world.double(person);
        let call = world.enrol(&twin);
        assert_eq!(world.decide(&call).await, Outcome::Duplicate);
    }
    let stranger = Person { face: world.person().face, ..people[0].clone() };
    let call = world.verify(&stranger);
    assert_eq!(world.decide(&call).await, Outcome::Verified { matched: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_renews_every_share_and_changes_no_answer() {
    let mut world = World::new(300).await;
    let people: [Person; 5] = members(&mut world).await;
    let [one, two, three] = NodeId::ALL;
    let before = NodeId::ALL.map(|node| world.disk(node));
    // It comes to one node alone, which passes it on.
    let call = world.act(two, Action::Refresh { epoch: 1 });
    let answer = world.app(two).submit(call.signed.clone(), None, None).await.unwrap();
    answer.verify(&world.roster).unwrap();
    assert_eq!(answer.decision.outcome, Outcome::RefreshBegun { epoch: 1 });
    world.reach(1).await;
    all_is_as_before(&mut world, &people).await;
    for (node, before) in NodeId::ALL.into_iter().zip(before) {
        // Nothing of the old epoch is left: not a file, not a share among the new ones.
        let after = world.swept(node, 1).await;
        let lines =
            |files: &[(String, Vec<u8>)]| files.iter().find(|(name, _)| name.ends_with("000000.seg")).unwrap().1.clone();
        let (old, new) = (lines(&before), lines(&after));
        // All five lie in the first group, four bytes of each in every line.
        for (old, new) in old.chunks(4).zip(new.chunks(4)).take(16 * 16) {
            assert!(old != new || old == [0; 4] || new == [0; 4]);
        }
    }
    // The next one follows, and only that one.
    for (epoch, node) in [(1, one), (3, one)] {
        let call = world.act(node, Action::Refresh { epoch });
        let refused = world.app(node).submit(call.signed, None, None).await.unwrap_err();
        assert!(matches!(&refused, Error::NotPermitted(refusal) if refusal.rule.code() == "epoch-unknown"), "{refused:?}");
    }
    let call = world.act(three, Action::Refresh { epoch: 2 });
    world.app(three).submit(call.signed, None, None).await.unwrap();
    world.reach(2).await;
    all_is_as_before(&mut world, &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_while_shares_are_renewed() {
    let mut world = World::new(301).await;
    let mut people = members::<6>(&mut world).await.to_vec();
    // Node 2 holds its work back, so that there is time.
    let held = Arc::new(AtomicBool::new(true));
    world.kill(NodeId::ALL[1]).await;
    world.start_with(NodeId::ALL[1], Faults::holding(Arc::clone(&held))).await;
    world.mend();
    world.settle().await;
    for epoch in 1..4 {
        held.store(true, Ordering::SeqCst);
        let call = world.act(NodeId::ALL[0], Action::Refresh { epoch });
        world.app(NodeId::ALL[0]).submit(call.signed, None, None).await.unwrap();
        let leaver = people.remove(1);
        let call = world.plain(&leaver, Action::Withdraw { profile: None });
        assert_eq!(world.decide(&call).await, Outcome::Withdrawn { records: 1 });
        people.extend(members::<2>(&mut world).await);
        all_is_as_before(&mut world, &people[..2]).await;
        assert!(world.app(NodeId::ALL[0]).commons().refreshing);
        held.store(false, Ordering::SeqCst);
        world.reach(epoch).await;
        all_is_as_before(&mut world, &people).await;
        let call = world.enrol(&leaver);
        assert!(matches!(world.decide(&call).await, Outcome::Enrolled { .. }));
        people.push(leaver);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_can_have_shares_renewed_and_nobody_can_ask_for_the_switch() {
    let mut world = World::new(302).await;
    let [ada] = members(&mut world).await;
    let refused = |world: &World, call: Call| {
        let app = world.app(NodeId::ALL[0]).clone();
        async move { app.submit(call.signed, Some(call.trace), None).await.unwrap_err() }
    };
    let call = world.plain(&ada, Action::Refresh { epoch: 1 });
    // Its trace key is no secret, so it must be the one that follows from the operation.
    assert!(matches!(refused(&world, call).await, Error::BadTrace));
    let operation = world.request(&ada, Action::Status).operation;
    let signed =
        operators_request(&world.roster.digest(), operation, world.clock.now(), Action::Refresh { epoch: 1 }, &ada.key);
    let call = Call { signed, shares: [None, None, None], trace: ada.trace() };
    let error = refused(&world, call).await;
    assert!(matches!(&error, Error::NotPermitted(refusal) if refusal.rule.code() == "not-an-operator"), "{error:?}");
    let call = world.act(NodeId::ALL[0], Action::Switch { epoch: 1 });
    assert!(matches!(refused(&world, call).await, Error::WrongAction { action: "switch" }));
    assert_eq!(world.app(NodeId::ALL[0]).commons().epoch, 0);
}

/// Any two nodes' shares give the secret back, and none of them is one of before or goes together with one.
fn are_renewed(before: &[Share; 3], after: &[Share; 3], secret: &MemberSecret) {
    for one in NodeId::ALL {
        let (i, j) = (one.index(), one.next().index());
        assert!(combine_shares(&after[i], &after[j]).unwrap() == *secret);
        assert_ne!(before[i], after[i]);
        for (old, new) in [(i, j), (j, i)] {
            assert_eq!(combine_shares(&before[old], &after[new]), Err(credential::Error::Escrow));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_renews_the_shares_of_members_secrets_too() {
    let secrets = [1, 2, 3].map(personas::secret);
    let (mut world, ada) = personas::bound(306, &secrets[0]).await;
    let [bob, cy] = members(&mut world).await;
    personas::bind(&mut world, &cy, &secrets[2]).await;
    let before = world.kept_shares(&ada).await.map(Option::unwrap);
    let pseudonym = personas::shown(&mut world, &ada, &secrets[0]).await;
    // One is bound while shares are renewed, after node 1 has made those of everybody else; another leaves.
    let held = Arc::new(AtomicBool::new(true));
    world.kill(NodeId::ALL[1]).await;
    world.start_with(NodeId::ALL[1], Faults::holding(Arc::clone(&held))).await;
    world.mend();
    world.settle().await;
    let call = world.act(NodeId::ALL[0], Action::Refresh { epoch: 1 });
    world.app(NodeId::ALL[0]).submit(call.signed.clone(), None, None).await.unwrap();
    personas::bind(&mut world, &bob, &secrets[1]).await;
    let leave = world.plain(&cy, Action::Withdraw { profile: None });
    assert_eq!(world.decide(&leave).await, Outcome::Withdrawn { records: 1 });
    held.store(false, Ordering::SeqCst);
    world.reach(1).await;
    let after = world.kept_shares(&ada).await.map(Option::unwrap);
    are_renewed(&before, &after, &secrets[0]);
    let first = world.kept_shares(&bob).await.map(Option::unwrap);
    assert_eq!(personas::shown(&mut world, &ada, &secrets[0]).await, pseudonym);
    let call = world.act(NodeId::ALL[0], Action::Refresh { epoch: 2 });
    world.app(NodeId::ALL[0]).submit(call.signed.clone(), None, None).await.unwrap();
    world.reach(2).await;
    are_renewed(&first, &world.kept_shares(&bob).await.map(Option::unwrap), &secrets[1]);
    are_renewed(&before, &world.kept_shares(&ada).await.map(Option::unwrap), &secrets[0]);
    for node in NodeId::ALL {
        world.kill(node).await;
        // Waits until the worker that removes old files has ended.
        open(&world.path(node), node, &world.roster).await.close().await;
        let report = crate::store::fsck::check(&world.path(node), node, &world.roster, false).await.unwrap();
        assert!(report.is_sound(), "{}", report.text());
    }
}

/// A node falls at `point` of the batch that begins the refresh, or of the one that ends it, and comes back.
async fn refresh_survives(node: NodeId, point: Point, at: usize) {
    let mut world = World::new(303).await;
    let people: [Person; 3] = members(&mut world).await;
    let secret = personas::secret(4);
    personas::bind(&mut world, &people[0], &secret).await;
    let passed = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    world.kill(node).await;
    let count = Arc::clone(&passed);
    world.start(node, move |reached| reached == point && count.fetch_add(1, Ordering::SeqCst) == at).await;
    world.mend();
    world.settle().await;
    let submitter = node.next();
    let call = world.act(submitter, Action::Refresh { epoch: 1 });
    let app = world.app(submitter).clone();
    let signed = call.signed.clone();
    let asking = tokio::spawn(async move { app.submit(signed, None, None).await });
    world.app(node).stopped().await;
    world.kill(node).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.start(node, |_| false).await;
    world.mend();
    world.settle().await;
    let answer = asking.await.unwrap();
    if world.app(node).commons().epoch == 0 && !world.app(node).commons().refreshing {
        // Never begun, on no node.
        assert!(answer.is_err() && at == 0, "{node} at {point:?}");
        let call = world.act(submitter, Action::Refresh { epoch: 1 });
        world.app(submitter).submit(call.signed, None, None).await.unwrap();
    }
    world.reach(1).await;
    all_is_as_before(&mut world, &people).await;
    let mut kept = Vec::new();
    for node in NodeId::ALL {
        world.swept(node, 1).await;
        world.kill(node).await;
        let store = open(&world.path(node), node, &world.roster).await;
        let epoch = store.epoch().await.unwrap();
        assert!(epoch.present == 1 && epoch.coming.is_none());
        let member = store.member(&public_key(&people[0].key)).await.unwrap().unwrap().member;
        kept.push(store.binding(&member).await.unwrap().unwrap().share);
        store.close().await;
    }
    are_renewed(&personas::binding(&secret, personas::SPLIT).1, &kept.try_into().unwrap(), &secret);
}

/// Of the batch that begins it, while it goes on, and of the batch that ends it.
async fn every_point(node: NodeId) {
    for point in POINTS {
        refresh_survives(node, point, 0).await;
        refresh_survives(node, point, 1).await;
    }
    refresh_survives(node, Point::DuringRefresh, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_survives_a_crash_of_node_1_at_every_point() {
    every_point(NodeId::ALL[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_survives_a_crash_of_node_2_at_every_point() {
    every_point(NodeId::ALL[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_survives_a_crash_of_node_3_at_every_point() {
    every_point(NodeId::ALL[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_begins_by_itself_when_its_time_has_come() {
    let mut world = World::new(304).await;
    let people: [Person; 2] = members(&mut world).await;
    world.refresh_interval = Some(Duration::from_secs(3600));
    for node in NodeId::ALL {
        world.kill(node).await;
        world.start(node, |_| false).await;
    }
    world.mend();
    world.settle().await;
    world.reach(1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(world.app(NodeId::ALL[0]).commons().epoch, 1, "once");
    world.clock.advance(3601);
    world.reach(2).await;
    all_is_as_before(&mut world, &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_finds_a_refresh_in_the_log() {
    let mut world = World::new(305).await;
    let call = world.act(NodeId::ALL[0], Action::Refresh { epoch: 1 });
    let answer = world.app(NodeId::ALL[0]).submit(call.signed.clone(), None, None).await.unwrap();
    assert_eq!(answer.decision.outcome, Outcome::RefreshBegun { epoch: 1 });
    world.reach(1).await;
    published(&world, NodeId::ALL[1], 2).await;
    let entries: Vec<tlog::Entry> =
        entries(&world, NodeId::ALL[1], 2).await.iter().map(|bytes| tlog::Entry::from_bytes(bytes).unwrap()).collect();
    let kinds: Vec<tlog::Kind> = entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [tlog::Kind::Administrative; 2]);
    assert!(entries[0].concerns(&types::message::public_trace(&call.signed.message.operation), 0));
}
