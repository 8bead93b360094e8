//! A lost node is replaced by a new one, out of the other two.

use std::path::PathBuf;
use std::sync::Arc;

use credential::IssuerKey;
use ed25519_dalek::SigningKey;
use types::message::Action;
use types::roster::{Roster, RosterNode};
use types::seal::SealKey;
use types::sign::public_key;
use types::{Digest, NodeId};

use super::crashes::chains_are_equal;
use super::personas;
use super::refresh::{all_is_as_before, members};
use super::world::{Person, World, open};
use crate::Error;
use crate::app::faults::Point;
use crate::operator::hand_over;
use crate::store::Store;
use crate::store::handover::{self, Giver};

/// Keys of a new node in the place of `lost`.
struct Newcomer {
    key: SigningKey,
    log_key: SigningKey,
    issuer_key: Arc<IssuerKey>,
    seal_key: SealKey,
    entry: RosterNode,
}

impl Newcomer {
    fn new(world: &World, lost: NodeId, seed: u8) -> Self {
        let (key, log_key) = (SigningKey::from_bytes(&[seed; 32]), SigningKey::from_bytes(&[seed + 1; 32]));
        let seal_key = SealKey::from_random(&[seed; 32]);
        let issuer_key = Arc::new(IssuerKey::from_material([seed; 32]));
        let entry = RosterNode {
            operator: "a new operator".to_owned(),
            signing_key: public_key(&key),
            log_key: public_key(&log_key),
            seal_key: Digest(seal_key.public().unwrap()),
            issuer_key: issuer_key.public(),
            tls_key: Digest([seed; 32]),
            ..world.roster.node(lost).unwrap().clone()
        };
        Self { key, log_key, issuer_key, seal_key, entry }
    }
}

impl World {
    /// Stops all nodes and says where the chain of `node` stands.
    async fn halt(&mut self, node: NodeId) -> (u64, Digest) {
        for node in NodeId::ALL {
            self.kill(node).await;
        }
        let store = open(&self.path(node), node, &self.roster).await;
        let chain = store.chain().await.unwrap();
        store.close().await;
        (chain.committed, chain.head)
    }

    /// The roster with `newcomer` in the place of `lost`, signed by the others.
    fn successor(&self, lost: NodeId, newcomer: &Newcomer, (committed, head): (u64, Digest)) -> Roster {
        let mut roster = self.roster.succeed(newcomer.entry.clone(), committed + 1, head).unwrap();
        for node in [lost.next(), lost.prev()] {
            roster.sign_succession(&self.keys[node.index()]).unwrap();
        }
        roster.check().unwrap();
        roster
    }

    /// What the two that remain hand over.
    async fn hand_over(&self, lost: NodeId, roster: &Roster) -> Result<[PathBuf; 2], Error> {
        let [one, other] = [lost.next(), lost.prev()].map(|node| self.path(node).join("for-the-new-node"));
        let giver =
            |node: NodeId| Giver { node, signing_key: &self.keys[node.index()], seal_key: &self.seals[node.index()] };
        for (node, first, out) in [(lost.next(), None, &one), (lost.prev(), Some(one.as_path()), &other)] {
            open(&self.path(node), node, roster).await.close().await;
            hand_over(&self.path(node), &giver(node), roster, first, out).await?;
        }
        Ok([one, other])
    }

    /// Everything of the lost node is gone; a new one has an empty store.
    async fn lose(&self, lost: NodeId) {
        std::fs::remove_dir_all(self.path(lost)).unwrap();
        std::fs::create_dir(self.path(lost)).unwrap();
        Store::create(&self.path(lost)).await.unwrap();
    }

    async fn go_on_with(&mut self, lost: NodeId, newcomer: Newcomer, roster: Roster) {
        self.keys[lost.index()] = newcomer.key;
        self.log_keys[lost.index()] = newcomer.log_key;
        self.issuer_keys[lost.index()] = newcomer.issuer_key;
        self.seals[lost.index()] = newcomer.seal_key;
        self.roster = Arc::new(roster);
        for node in NodeId::ALL {
            self.start(node, |_| false).await;
        }
        self.mend();
        self.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_is_rebuilt_from_the_other_two() {
    for lost in NodeId::ALL {
        let mut world = World::new(340 + u64::from(lost.number())).await;
        let mut people = members::<6>(&mut world).await.to_vec();
        let leaver = people.remove(2);
        let call = world.plain(&leaver, Action::Withdraw { profile: None });
        let old = world.send(&call).await[0].as_ref().unwrap().clone();
        let call = world.act(NodeId::ALL[0], Action::Refresh { epoch: 1 });
        world.app(NodeId::ALL[0]).submit(call.signed, None, None).await.unwrap();
        world.reach(1).await;
        people.extend(members::<1>(&mut world).await);

        let chain = world.halt(lost.next()).await;
        let shares = world.disk(lost);
        let newcomer = Newcomer::new(&world, lost, 60);
        let roster = world.successor(lost, &newcomer, chain);
        assert!(roster.digest() == world.roster.digest() && roster.keys() != world.roster.keys());
        let [one, other] = world.hand_over(lost, &roster).await.unwrap();
        world.lose(lost).await;
        let rebuilt = handover::take(&world.path(lost), lost, &roster, &newcomer.seal_key, [&one, &other]).await.unwrap();
        assert_eq!((rebuilt.batch, rebuilt.epoch, rebuilt.shares["vector-64"]), (chain.0, 1, 6));
        // To the bit what the lost node had.
        let lines = |files: &[(String, Vec<u8>)]| {
            files.iter().find(|(name, _)| name == "vector-64/e000001/000000.seg").unwrap().1.clone()
        };
        assert_eq!(lines(&world.disk(lost)), lines(&shares));

        world.go_on_with(lost, newcomer, roster.clone()).await;
        all_is_as_before(&mut world, &people).await;
        // What the lost node signed still counts, for the time before; what is signed now needs the new one.
        old.verify(&roster).unwrap();
        let call = world.enrol(&leaver);
        let new = world.send(&call).await[0].as_ref().unwrap().clone();
        new.verify(&roster).unwrap();
        assert!(new.verify(&roster.generation(0)).is_err());
        people.push(leaver);
        // And with a refresh, what somebody has of the lost node's shares is worth nothing.
        let call = world.act(lost, Action::Refresh { epoch: 2 });
        world.app(lost).submit(call.signed, None, None).await.unwrap();
        world.reach(2).await;
        all_is_as_before(&mut world, &people).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rogue_node_rebuilds_nothing() {
    let mut world = World::new(350).await;
    members::<2>(&mut world).await;
    let [one, two, three] = NodeId::ALL;
    let chain = world.halt(one).await;
    // Node 1 wants its own friend in the place of node 3.
    let friend = Newcomer::new(&world, three, 70);
    let mut roster = world.roster.succeed(friend.entry.clone(), chain.0 + 1, chain.1).unwrap();
    roster.sign_succession(&world.keys[0]).unwrap();
    roster.sign_succession(&world.keys[0]).unwrap();
    assert!(roster.check().is_err(), "one signature is not two");
    assert!(roster.sign_succession(&friend.key).is_err() && roster.sign_succession(&world.keys[2]).is_err());
    let mut forged = roster.clone();
    let own = forged.successions[0].signatures[0];
    forged.successions[0].signatures.push(own);
    assert!(forged.check().is_err());
    assert!(Roster::from_toml(&forged.to_toml().unwrap()).is_err());
    assert!(!world.roster.continues_as(&Roster { nodes: forged.nodes.clone(), ..(*world.roster).clone() }));

    // Node 2 has signed another succession: node 1's files under its own roster are refused with node 2's.
    let newcomer = Newcomer::new(&world, three, 80);
    let roster = world.successor(three, &newcomer, chain);
    let [first, second] = world.hand_over(three, &roster).await.unwrap();
    let friends = world.successor(three, &friend, chain);
    world.lose(three).await;
    let path = world.path(three);
    let taken = handover::take(&path, three, &friends, &friend.seal_key, [&first, &second]).await;
    assert!(matches!(taken, Err(Error::Handover { .. })), "{taken:?}");
    // Nor does the sealed content open for anybody else.
    let taken = handover::take(&path, three, &roster, &friend.seal_key, [&first, &second]).await;
    assert!(matches!(taken, Err(Error::Handover { .. })), "{taken:?}");
    let taken = handover::take(&path, three, &roster, &newcomer.seal_key, [&first, &first]).await;
    assert!(matches!(taken, Err(Error::Handover { .. })), "one node's file twice: {taken:?}");
    let _ = two;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_takes_only_what_both_nodes_state_and_can_be_repeated() {
    let mut world = World::new(351).await;
    let people: [Person; 3] = members(&mut world).await;
    let lost = NodeId::ALL[1];
    let chain = world.halt(lost.next()).await;
    let newcomer = Newcomer::new(&world, lost, 90);
    let stale = world.successor(lost, &newcomer, (chain.0 - 1, chain.1));
    assert!(matches!(world.hand_over(lost, &stale).await, Err(Error::Handover { .. })), "another batch");
    let roster = world.successor(lost, &newcomer, chain);
    let files = world.hand_over(lost, &roster).await.unwrap();
    world.lose(lost).await;
    let path = world.path(lost);
    let take = async |files: [&std::path::Path; 2]| handover::take(&path, lost, &roster, &newcomer.seal_key, files).await;
    // Cut off or altered anywhere: refused, and the node stays empty.
    let whole = std::fs::read(&files[1]).unwrap();
    for (position, cut) in
        [(5, false), (200, false), (whole.len() / 2, false), (whole.len() - 1, false), (whole.len() - 9, true)]
    {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        bytes.truncate(if cut { position } else { bytes.len() });
        let spoilt = path.with_extension("spoilt");
        std::fs::write(&spoilt, bytes).unwrap();
        assert!(take([&files[0], &spoilt]).await.is_err(), "{position}");
        let store = open(&path, lost, &roster).await;
        assert_eq!(store.chain().await.unwrap().committed, 0);
        store.close().await;
    }
    // What an attempt that was cut short has left is no hindrance.
    std::fs::create_dir_all(path.join("rebuild/shares")).unwrap();
    std::fs::write(path.join("rebuild/meta.sqlite"), b"half").unwrap();
    take([&files[0], &files[1]]).await.unwrap();
    // Once only.
    assert!(matches!(take([&files[0], &files[1]]).await, Err(Error::StoreExists { .. })));
    world.go_on_with(lost, newcomer, roster).await;
    all_is_as_before(&mut world, &people).await;
}

/// Whether `bytes` stand anywhere in the directory of `node`.
fn holds(world: &World, node: NodeId, bytes: &[u8]) -> bool {
    let mut waiting = vec![world.path(node)];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_gets_its_own_shares_of_members_secrets_and_no_other() {
    for lost in NodeId::ALL {
        let seed = 360 + u64::from(lost.number());
        let ours = personas::secret(5);
        let (mut world, ada) = personas::bound(seed, &ours).await;
        let before = world.kept_shares(&ada).await.map(Option::unwrap);
        let old = personas::collect(&mut world, &ada, &ours).await;
        let chain = world.halt(lost.next()).await;
        let newcomer = Newcomer::new(&world, lost, 110);
        let roster = world.successor(lost, &newcomer, chain);
        let files = world.hand_over(lost, &roster).await.unwrap();
        world.lose(lost).await;
        let path = world.path(lost);
        handover::take(&path, lost, &roster, &newcomer.seal_key, [&files[0], &files[1]]).await.unwrap();
        for node in NodeId::ALL {
            assert_eq!(holds(&world, lost, &before[node.index()].to_bytes()[1..]), node == lost, "the share of node {node}");
        }
        let report = crate::store::fsck::check(&path, lost, &roster, false).await.unwrap();
        assert!(report.is_sound(), "{}", report.text());
        world.go_on_with(lost, newcomer, roster).await;
        assert_eq!(world.kept_shares(&ada).await.map(Option::unwrap), before);

        // The new node signs with its own key; what the lost one signed is worth nothing, what the others signed goes on.
        let other = old[lost.next().index()].clone();
        let third = old[lost.prev().index()].clone();
        let new = personas::issue(&mut world, lost, &ada, &ours).await.unwrap();
        for (second, good) in [(new, true), (third, true), (old[lost.index()].clone(), false)] {
            let shown = personas::show(&world, &ours, &[other.clone(), second]);
            assert_eq!(shown.and_then(|shown| personas::accepted(&world, &shown)).is_ok(), good);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_is_only_promised_goes_to_the_new_node_with_its_own_share() {
    let lost = NodeId::ALL[1];
    let (mut world, ada) = personas::world_with_ada(370).await;
    for node in NodeId::ALL {
        world.kill(node).await;
        world.start(node, |at| at == Point::AfterPrepare).await;
    }
    world.mend();
    world.settle().await;
    let (binding, shares) = personas::binding(&personas::secret(6), 50);
    let bind = personas::call(&mut world, &ada, binding, &shares);
    assert!(world.send(&bind).await.iter().all(Result::is_err));
    let chain = world.halt(lost.next()).await;
    for node in NodeId::ALL {
        let store = open(&world.path(node), node, &world.roster).await;
        assert!(store.prepared().await.unwrap().is_some(), "node {node} has promised");
        store.close().await;
    }
    let newcomer = Newcomer::new(&world, lost, 120);
    let roster = world.successor(lost, &newcomer, chain);
    let files = world.hand_over(lost, &roster).await.unwrap();
    world.lose(lost).await;
    let path = world.path(lost);
    handover::take(&path, lost, &roster, &newcomer.seal_key, [&files[0], &files[1]]).await.unwrap();
    for node in NodeId::ALL {
        assert_eq!(holds(&world, lost, &shares[node.index()].to_bytes()[1..]), node == lost, "the share of node {node}");
    }
    world.go_on_with(lost, newcomer, roster).await;
    chains_are_equal(&mut world).await;
    for node in NodeId::ALL {
        world.start(node, |_| false).await;
    }
    world.mend();
    world.settle().await;
    assert_eq!(world.kept_shares(&ada).await.map(Option::unwrap), shares);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_was_going_on_goes_on_with_the_new_node() {
    let lost = NodeId::ALL[2];
    let secret = personas::secret(7);
    let (mut world, ada) = personas::bound(380, &secret).await;
    let people: [Person; 3] = members(&mut world).await;
    // Node 1 holds its work back, so the loss comes while shares are renewed.
    let held = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    world.kill(NodeId::ALL[0]).await;
    world.start_with(NodeId::ALL[0], crate::app::faults::Faults::holding(held)).await;
    world.mend();
    world.settle().await;
    let call = world.act(NodeId::ALL[0], Action::Refresh { epoch: 1 });
    world.app(NodeId::ALL[0]).submit(call.signed, None, None).await.unwrap();
    let chain = world.halt(lost.next()).await;
    let newcomer = Newcomer::new(&world, lost, 130);
    let roster = world.successor(lost, &newcomer, chain);
    let files = world.hand_over(lost, &roster).await.unwrap();
    world.lose(lost).await;
    handover::take(&world.path(lost), lost, &roster, &newcomer.seal_key, [&files[0], &files[1]]).await.unwrap();
    world.go_on_with(lost, newcomer, roster).await;
    world.reach(1).await;
    all_is_as_before(&mut world, &people).await;
    let shares = world.kept_shares(&ada).await.map(Option::unwrap);
    for node in NodeId::ALL {
        let restored = credential::escrow::combine_shares(&shares[node.index()], &shares[node.next().index()]);
        assert!(restored.unwrap() == secret);
    }
}
