//! The published log: what it says, what a crash leaves of it, and who finds out when a node cheats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tlog::checkpoint::{log_key as log_vkey, origin};
use tlog::merkle::leaf_hash;
use tlog::tile::Resource;
use tlog::{
    AddCheckpoint, Appender, Bundle, Checkpoint, Conflict, Entry, Kind, NodeQuorum, Opening, Peaks, Policy, SignedCheckpoint,
};
use types::NodeId;
use types::message::{Action, Certificate};
use types::sign::Message as _;

use super::world::{World, agreed, log_key, open};
use crate::Error;
use crate::app::faults::Point;
use crate::app::{Answer, Obstacle};
use crate::store::Own;

const ONE: NodeId = NodeId::ALL[0];
const TWO: NodeId = NodeId::ALL[1];
const THREE: NodeId = NodeId::ALL[2];

/// Waits until `node` serves a checkpoint of `size` entries that both others have cosigned.
pub(super) async fn published(world: &World, node: NodeId, size: u64) -> SignedCheckpoint {
    for _ in 0..1500 {
        let app = world.app(node);
        let log = app.log();
        if log.cosigned_size.min(log.published_size) >= size
            && let Some(note) = app.checkpoint()
        {
            return SignedCheckpoint::parse(note.as_bytes()).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("node {node} does not publish {size} entries: {:?}", world.app(node).log());
}

pub(super) async fn entries(world: &World, node: NodeId, size: u16) -> Vec<Vec<u8>> {
    let bundle = Bundle::new(0, size).unwrap();
    let bytes = world.app(node).log_file(Resource::Entries(bundle)).await.unwrap().unwrap();
    bundle.decode(&bytes).unwrap().into_iter().map(<[u8]>::to_vec).collect()
}

/// Enrols somebody and returns the certificate.
async fn enrol_somebody(world: &mut World) -> Certificate {
    let person = world.person();
    let call = world.enrol(&person);
    let answers = world.send(&call).await;
    agreed(&answers, &world.roster);
    answers.into_iter().next().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_is_logged_alike_on_all_nodes_and_only_its_member_knows_it() {
    let mut world = World::new(31).await;
    let (ada, ben) = (world.person(), world.person());
    let mut certificates = Vec::new();
    let enrol = world.enrol(&ada);
    let verify = world.verify(&ada);
    let withdraw = world.plain(&ada, Action::Withdraw { profile: None });
    for call in [enrol, verify, withdraw] {
        certificates.push(world.send(&call).await.into_iter().next().unwrap().unwrap());
    }
    let mut roots = Vec::new();
    for node in NodeId::ALL {
        let note = published(&world, node, 3).await;
        let policy = Policy::of_node(&world.roster, node, NodeQuorum::All).unwrap();
        let accepted = policy.accept(&note).unwrap();
        assert_eq!((accepted.checkpoint.size, accepted.cosigned.len()), (3, 2));
        roots.push(accepted.checkpoint.root);
        let kinds = [Kind::Enrolment, Kind::Verification, Kind::Withdrawal];
        for ((index, bytes), (certificate, kind)) in
            (0..).zip(entries(&world, node, 3).await).zip(certificates.iter().zip(kinds))
        {
            let entry = Entry::from_bytes(&bytes).unwrap();
            assert_eq!((entry.kind, entry.batch, certificate.decision.log_index), (kind, index + 1, index));
            assert!(entry.concerns(&ada.trace(), index) && !entry.concerns(&ben.trace(), index));
            Opening::new(&ada.trace(), index, certificate.decision.digest()).check(&entry).unwrap();
        }
    }
    assert!(roots.iter().all(|root| *root == roots[0]));
}

/// Stops node 2 at `point`, brings it back, and checks that what it signed before is the beginning of what it signs after.
async fn publication_survives(point: Point) {
    let mut world = World::new(32).await;
    enrol_somebody(&mut world).await;
    published(&world, TWO, 1).await;
    world.kill(TWO).await;
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = Arc::clone(&armed);
    world.start(TWO, move |at| at == point && trigger.swap(false, Ordering::SeqCst)).await;
    world.mend();
    world.settle().await;
    armed.store(true, Ordering::SeqCst);
    let person = world.person();
    let call = world.enrol(&person);
    let sending = world.send(&call);
    let app = world.app(TWO).clone();
    let (_, ()) = tokio::join!(sending, app.stopped());
    drop(app);
    world.kill(TWO).await;

    let store = open(&world.path(TWO), TWO, &world.roster).await;
    let key = log_vkey(&world.roster, TWO).unwrap();
    let before = store.checkpoint(Own::Signed).await.unwrap().unwrap().verify(&key).unwrap().clone();
    let served = store.checkpoint(Own::Published).await.unwrap().unwrap().verify(&key).unwrap().clone();
    assert!(served.size <= before.size);
    store.close().await;
    drop(store);
    world.start(TWO, |_| false).await;
    world.mend();
    world.settle().await;
    enrol_somebody(&mut world).await;
    let after = published(&world, TWO, 2).await;
    let after = after.verify(&key).unwrap();
    assert!(after.size >= before.size);
    let mut peaks = Peaks::default();
    for (index, entry) in (1..).zip(entries(&world, TWO, u16::try_from(after.size).unwrap()).await) {
        peaks.append(leaf_hash(&entry));
        for earlier in [&before, &served, after] {
            assert!(earlier.size != index || earlier.root == peaks.root(), "two roots of size {index} after {point:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_commit_and_tiles_loses_no_entry() {
    publication_survives(Point::BeforeTiles).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_tiles_and_signature_loses_no_entry() {
    publication_survives(Point::AfterTiles).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_signature_and_publication_signs_no_second_root() {
    publication_survives(Point::AfterSign).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_a_cosignature_and_its_reply_does_no_harm() {
    publication_survives(Point::AfterWitness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publication_goes_on_without_a_witness_and_says_so() {
    let mut world = World::new(33).await;
    world.post.cut(&[THREE]);
    enrol_somebody(&mut world).await;
    enrol_somebody(&mut world).await;
    let cosigned_by_two = async {
        while world.app(ONE).log().published_size < 2 || world.app(ONE).log().witnesses[0].cosigned_size < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), cosigned_by_two).await.unwrap();
    let log = world.app(ONE).log();
    assert_eq!((log.cosigned_size, log.witnesses[1].cosigned_size), (0, 0), "node 3 lags, and that is seen");
    assert_eq!(log.witnesses[1].problem.as_deref(), Some("nobody is there"));
    let note = SignedCheckpoint::parse(world.app(ONE).checkpoint().unwrap().as_bytes()).unwrap();
    assert!(Policy::of_node(&world.roster, ONE, NodeQuorum::Any).unwrap().accept(&note).is_ok());
    assert!(Policy::of_node(&world.roster, ONE, NodeQuorum::All).unwrap().accept(&note).is_err());
    world.post.cut(&[]);
    published(&world, ONE, 2).await;
}

/// A history that node 2 might sign instead: checkpoint, proof from the empty log, and tiles.
fn history(world: &World, entries: &[Vec<u8>]) -> AddCheckpoint {
    let mut tree = Appender::new();
    entries.iter().for_each(|entry| _ = tree.append(leaf_hash(entry)));
    let checkpoint = Checkpoint { origin: origin(&world.roster, TWO), size: tree.size(), root: tree.root() };
    let signed = SignedCheckpoint::sign_unchecked(&checkpoint, &log_key(TWO)).unwrap();
    AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: signed }
}

/// Nodes 1 and 3 must find the cheat, keep evidence, and decide nothing more, also after a restart.
async fn caught(world: &mut World, request: &AddCheckpoint, evidence: &str) {
    for node in [ONE, THREE] {
        let Answer { status, .. } = world.app(node).add_checkpoint(request.to_body().as_bytes()).await.unwrap();
        assert_eq!(status, 422, "node {node} must not cosign");
        assert_eq!(world.app(node).readiness().obstacle, Some(Obstacle::LogConflict(TWO)));
        let kept = std::fs::read_to_string(world.path(node).join("log/conflicts").join(evidence)).unwrap();
        assert!(kept.contains(&request.checkpoint.to_string()));
        if evidence.contains("fork") {
            Conflict::parse(kept.as_bytes()).unwrap().verify(&log_vkey(&world.roster, TWO).unwrap()).unwrap();
        }
    }
    let person = world.person();
    let call = world.enrol(&person);
    let answers = world.send(&call).await;
    assert!(matches!(&answers[0], Err(Error::LogConflict { node }) if *node == TWO), "{answers:?}");
    world.kill(ONE).await;
    world.start(ONE, |_| false).await;
    let accused = world.app(ONE).submit(call.signed.clone(), Some(call.trace.clone()), call.shares[0].clone()).await;
    assert!(matches!(accused, Err(Error::LogConflict { .. } | Error::Unavailable { .. })), "{accused:?}");
    assert_eq!(crate::app::witness::accused(&world.path(ONE).join("log/conflicts")), Some(TWO));
}

/// A world whose node 2 has logged two enrolments and published one of them at most to the others.
async fn before_the_cheat(seed: u64) -> (World, Vec<Vec<u8>>) {
    let mut world = World::new(seed).await;
    // The others have cosigned nothing of node 2 yet: it asks nobody.
    world.post.cut(&NodeId::ALL);
    enrol_somebody(&mut world).await;
    enrol_somebody(&mut world).await;
    for node in NodeId::ALL {
        while world.app(node).log().size < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let log = entries(&world, TWO, 2).await;
    (world, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drops_an_entry_gets_no_cosignature() {
    let (mut world, mut log) = before_the_cheat(34).await;
    log.remove(0);
    let request = history(&world, &log);
    caught(&mut world, &request, "node-2-differs-1.txt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_edits_an_entry_gets_no_cosignature() {
    let (mut world, mut log) = before_the_cheat(35).await;
    let mut entry = Entry::from_bytes(&log[1]).unwrap();
    entry.kind = Kind::Administrative;
    log[1] = entry.to_bytes();
    let request = history(&world, &log);
    caught(&mut world, &request, "node-2-differs-2.txt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dates_an_entry_back_gets_no_cosignature() {
    let (mut world, mut log) = before_the_cheat(36).await;
    let mut entry = Entry::from_bytes(&log[1]).unwrap();
    entry.at -= 86_400;
    log[1] = entry.to_bytes();
    let request = history(&world, &log);
    caught(&mut world, &request, "node-2-differs-2.txt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_forks_its_log_leaves_proof_with_both_witnesses() {
    let mut world = World::new(37).await;
    enrol_somebody(&mut world).await;
    published(&world, TWO, 1).await;
    let mut log = entries(&world, TWO, 1).await;
    let mut entry = Entry::from_bytes(&log[0]).unwrap();
    entry.commitment = types::Digest([7; 32]);
    log[0] = entry.to_bytes();
    let request = history(&world, &log);
    caught(&mut world, &request, "node-2-fork-1.txt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_forks_its_log_and_lets_it_grow_leaves_proof_with_both_witnesses() {
    let mut world = World::new(39).await;
    enrol_somebody(&mut world).await;
    enrol_somebody(&mut world).await;
    // Both have cosigned two entries; what node 2 signs as its fourth checkpoint denies the first of them.
    published(&world, TWO, 2).await;
    world.post.cut(&NodeId::ALL);
    enrol_somebody(&mut world).await;
    enrol_somebody(&mut world).await;
    for node in NodeId::ALL {
        while world.app(node).log().size < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let mut log = entries(&world, TWO, 4).await;
    let mut entry = Entry::from_bytes(&log[0]).unwrap();
    entry.commitment = types::Digest([7; 32]);
    log[0] = entry.to_bytes();
    let request = history(&world, &log);
    let mut tree = Appender::new();
    log.iter().for_each(|entry| _ = tree.append(leaf_hash(entry)));
    world.post.forge(TWO, tree.take_tiles().into_iter().collect());
    caught(&mut world, &request, "node-2-differs-4.txt").await;
    for node in [ONE, THREE] {
        let file = world.path(node).join("log/conflicts/node-2-fork-2-4.txt");
        for _ in 0..500 {
            if file.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // A third party, with nothing but the key.
        let proof = Conflict::parse(&std::fs::read(file).unwrap()).unwrap();
        proof.verify(&log_vkey(&world.roster, TWO).unwrap()).unwrap();
        assert_eq!(proof.sizes(), [2, 4]);
        assert!(proof.verify(&log_vkey(&world.roster, ONE).unwrap()).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_logs_what_was_not_decided_gets_no_cosignature() {
    let (mut world, mut log) = before_the_cheat(38).await;
    log.push(log[1].clone());
    let ahead = history(&world, &log);
    let answer = world.app(ONE).add_checkpoint(ahead.to_body().as_bytes()).await.unwrap();
    assert_eq!(answer.status, 503, "node 1 has not logged a third entry");
    assert!(world.app(ONE).readiness().obstacle.is_none(), "it may be about to");
    enrol_somebody(&mut world).await;
    while world.app(ONE).log().size < 3 || world.app(THREE).log().size < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    caught(&mut world, &ahead, "node-2-differs-3.txt").await;
}

/// Rewrites node `node`'s log where it lies, as its operator could: the first entry is another one, and everything fits.
async fn rewrite_history(world: &World, node: NodeId) {
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(world.path(node).join("meta.sqlite")));
    let pool = pool.await.unwrap();
    let bytes: Vec<u8> =
        sqlx::query_scalar("SELECT bytes FROM log_entries WHERE position = 0").fetch_one(&pool).await.unwrap();
    let mut entry = Entry::from_bytes(&bytes).unwrap();
    entry.kind = Kind::Verification;
    let mut peaks = Peaks::default();
    peaks.append(entry.leaf_hash());
    sqlx::query("UPDATE log_entries SET bytes = ?").bind(entry.to_bytes()).execute(&pool).await.unwrap();
    sqlx::query("UPDATE log_head SET peaks = ?").bind(types::encode(&peaks)).execute(&pool).await.unwrap();
    sqlx::query("DELETE FROM checkpoints").execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_log_gets_no_votes() {
    let mut world = World::new(39).await;
    world.post.cut(&NodeId::ALL);
    enrol_somebody(&mut world).await;
    world.kill(TWO).await;
    open(&world.path(TWO), TWO, &world.roster).await.close().await;
    rewrite_history(&world, TWO).await;
    world.start(TWO, |_| false).await;
    world.mend();
    world.settle().await;
    let person = world.person();
    let call = world.enrol(&person);
    world.patience.answer = Duration::from_secs(2);
    let app = world.app(ONE).clone();
    let sending = tokio::spawn({
        let apps = NodeId::ALL.map(|node| world.app(node).clone());
        let call = call.clone();
        async move {
            for (app, share) in apps.into_iter().zip(call.shares) {
                let (signed, trace) = (call.signed.clone(), call.trace.clone());
                tokio::spawn(async move { app.submit(signed, Some(trace), share).await });
            }
        }
    });
    let diverged = async {
        while !matches!(app.readiness().obstacle, Some(Obstacle::Diverged(node)) if node == TWO) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), diverged).await.expect("node 1 sees that node 2 decides otherwise");
    sending.await.unwrap();
    assert_eq!(app.commons().batch, 1, "nothing was decided");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_finds_a_later_checkpoint_of_its_own_signs_and_decides_nothing() {
    let mut world = World::new(40).await;
    enrol_somebody(&mut world).await;
    published(&world, TWO, 1).await;
    world.kill(TWO).await;
    let store = open(&world.path(TWO), TWO, &world.roster).await;
    let key = log_vkey(&world.roster, TWO).unwrap();
    let later = Checkpoint { origin: origin(&world.roster, TWO), size: 9, root: types::Digest([9; 32]) };
    let signed = SignedCheckpoint::sign_unchecked(&later, &log_key(TWO)).unwrap();
    store.sign_checkpoint(&key, |_| Ok(signed)).await.unwrap();
    store.close().await;
    drop(store);
    world.start(TWO, |_| false).await;
    world.mend();
    let stopped = async {
        while !matches!(world.app(TWO).readiness().obstacle, Some(Obstacle::LogStopped(_))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), stopped).await.expect("it says that its log is not whole");
    let person = world.person();
    let call = world.enrol(&person);
    let answers = world.send(&call).await;
    assert!(matches!(&answers[1], Err(Error::LogStopped { .. })), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_knows_a_longer_log_stops_a_node_that_was_set_back() {
    let mut world = World::new(41).await;
    enrol_somebody(&mut world).await;
    published(&world, TWO, 1).await;
    // Node 1 has cosigned more of node 2's log than node 2 holds, as after an old backup of node 2.
    let store_path = world.path(ONE);
    world.kill(ONE).await;
    open(&store_path, ONE, &world.roster).await.close().await;
    let later = Checkpoint { origin: origin(&world.roster, TWO), size: 5, root: types::Digest([5; 32]) };
    let later = SignedCheckpoint::sign_unchecked(&later, &log_key(TWO)).unwrap();
    let options = SqliteConnectOptions::new().filename(store_path.join("meta.sqlite"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("UPDATE witnessed SET size = 5, note = ? WHERE origin = ?")
        .bind(later.to_string())
        .bind(later.origin().as_str())
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    world.start(ONE, |_| false).await;
    world.mend();
    world.settle().await;
    enrol_somebody(&mut world).await;
    let stopped = async {
        while world.app(TWO).readiness().obstacle != Some(Obstacle::LogSetBack) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), stopped).await.expect("node 2 learns that it was set back");
}
