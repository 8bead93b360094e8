//! What renewing all stored shares of one node takes, and making a lost node anew: `cargo bench -p node --bench refresh`.
//!
//! `COMMONS_RECORDS` sets the number of 512-dimensional records (100000). They are imported into a new directory; then the shares of
//! the next epoch are made and the store goes over to them. Two nodes of such records then hand over to a third, by file, as the operators'
//! commands do. Beside each stands the time of one pass of a search over the same gallery. Times are wall-clock; say what else the machine does when you quote them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement: it prints, and nothing goes on after a failure"
)]

use std::path::Path;
use std::time::Instant;

use ed25519_dalek::SigningKey;
use mpc::gallery::Gallery;
use mpc::kernel::{Probes, inner_products};
use mpc::rebuild::Helper;
use mpc::record::RecordShare;
use mpc::refresh::{Refresh, Seed};
use node::operator::hand_over;
use node::store::handover::{Giver, take};
use node::store::{Batch, Effect, Entry, Store, Trail};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use types::message::{Decision, Outcome, VERSION};
use types::profile::Profile;
use types::roster::{Roster, RosterNode};
use types::seal::SealKey;
use types::sign::public_key;
use types::{DeviceKey, Digest, NodeId, OperationId, Signature};

const LENGTH: usize = 512;
const PROFILE: &str = "id = 'face-512'\nversion = 1\nmodality = 'test'\ndescription = 'random vectors'\n[matching]\n\
    kind = 'embedding'\ndimensions = 512\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\nnorm_max = 1.05\n";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let records = std::env::var("COMMONS_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let scan = runtime.block_on(measure(records));
    runtime.block_on(rebuild(records, scan));
}

/// Returns the time of one scan.
async fn measure(records: usize) -> f64 {
    let (dir, roster) = (tempfile::tempdir().unwrap(), roster());
    let profile = roster.profiles[0].clone();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let store = filled(dir.path(), NodeId::ALL[0], &roster, records).await;
    let gallery = store.gallery(&profile.id).unwrap();
    let bytes = records * 2 * LENGTH;
    let scans: Vec<f64> = (0..5).map(|_| scan(&gallery.read().unwrap(), &mut random)).collect();
    let scan = {
        let mut scans = scans;
        scans.sort_by(f64::total_cmp);
        scans[2]
    };
    println!(
        "{records} records of {LENGTH} words, {:.0} MB: one probe row over all of them in {scan:.4} s",
        bytes as f64 / 1e6
    );
    let say = |what: &str, seconds, sent| say(what, records, scan, (seconds, sent));

    let seed = Seed::from_bytes([9; 32]);
    let refresh = Refresh::new(NodeId::ALL[0], &profile.digest(), &seed);
    let mut share = words(&mut random);
    let began = Instant::now();
    (0..records as u128).for_each(|name| refresh.apply(&name.to_le_bytes(), &mut share));
    say("refresh, arithmetic alone, one core", began.elapsed().as_secs_f64(), 0);
    let helper = Helper::new(NodeId::ALL[0], NodeId::ALL[2], &profile.digest(), &[8; 32]);
    let began = Instant::now();
    let sent: usize = (0..records as u128).map(|name| 2 * helper.term(&name.to_le_bytes(), &share).len() + 20).sum();
    say("rebuild, arithmetic of one helper, one core", began.elapsed().as_secs_f64(), sent as u64);

    let begin = batch(&store, &roster, Outcome::RefreshBegun { epoch: 1 }, Effect::BeginRefresh { epoch: 1, seed }).await;
    decide(&store, &begin).await;
    let began = Instant::now();
    assert!(store.refresh_shares(|| false).await.unwrap());
    say("refresh, shares of the coming epoch on the disk, in the background", began.elapsed().as_secs_f64(), bytes as u64);
    let end = batch(&store, &roster, Outcome::Refreshed { epoch: 1 }, Effect::EndRefresh { epoch: 1 }).await;
    let began = Instant::now();
    decide(&store, &end).await;
    say("refresh, going over, nothing else meanwhile", began.elapsed().as_secs_f64(), 0);
    scan
}

fn say(what: &str, records: usize, scan: f64, (seconds, bytes): (f64, u64)) {
    println!(
        "{what}: {seconds:.3} s ({:.1} scans), {bytes} bytes ({:.2} of the shares)",
        seconds / scan,
        bytes as f64 / (records * 2 * LENGTH) as f64
    );
}

/// Node 3 is lost; nodes 1 and 2 write their files, one after the other, and a new node reads both.
async fn rebuild(records: usize, scan: f64) {
    let (dir, before) = (tempfile::tempdir().unwrap(), roster());
    let path = |name: &str| dir.path().join(name);
    let mut head = Digest([0; 32]);
    for node in [NodeId::ALL[0], NodeId::ALL[1]] {
        std::fs::create_dir(path(&node.to_string())).unwrap();
        let store = filled(&path(&node.to_string()), node, &before, records).await;
        head = store.chain().await.unwrap().head;
        store.close().await;
    }
    let mut roster = before.succeed(node(NodeId::ALL[2], 13), 1, head).unwrap();
    for number in [1, 2] {
        roster.sign_succession(&SigningKey::from_bytes(&[number; 32])).unwrap();
    }
    let files = [path("from-1"), path("from-2")];
    let mut first: Option<&Path> = None;
    for ((number, node), out) in [1, 2].into_iter().zip(NodeId::ALL).zip(&files) {
        let (signing_key, seal_key) = (SigningKey::from_bytes(&[number; 32]), SealKey::from_random(&[number; 32]));
        let giver = Giver { node, signing_key: &signing_key, seal_key: &seal_key };
        let began = Instant::now();
        hand_over(&path(&node.to_string()), &giver, &roster, first, out).await.unwrap();
        let bytes = std::fs::metadata(out).unwrap().len();
        say(
            "rebuild, one helper: opens its store, writes and seals its file",
            records,
            scan,
            (began.elapsed().as_secs_f64(), bytes),
        );
        first = Some(out);
    }
    std::fs::create_dir(path("3")).unwrap();
    Store::create(&path("3")).await.unwrap();
    let began = Instant::now();
    let rebuilt =
        take(&path("3"), NodeId::ALL[2], &roster, &SealKey::from_random(&[13; 32]), [&files[0], &files[1]]).await.unwrap();
    assert_eq!(rebuilt.shares.values().sum::<u32>() as usize, records);
    let read = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
    say("rebuild, the new node: reads both files, checks all", records, scan, (began.elapsed().as_secs_f64(), read));
}

/// A store with so many records.
async fn filled(dir: &Path, node: NodeId, roster: &Roster, records: usize) -> Store {
    let profile = &roster.profiles[0].id;
    Store::create(dir).await.unwrap();
    let store = Store::open(dir, node, roster).await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut left = records;
    while left > 0 {
        let count = left.min(1 << 15);
        let batch = (0..count).map(|_| RecordShare::from_values(words(&mut random))).collect();
        store.import(profile, batch).await.unwrap();
        left -= count;
    }
    store
}

fn scan(gallery: &Gallery, random: &mut ChaCha8Rng) -> f64 {
    let probes = Probes::new(LENGTH, &words(random));
    let mut out = vec![0; 1 << 14];
    let began = Instant::now();
    for start in (0..gallery.len()).step_by(out.len()) {
        let slots = start..gallery.len().min(start + out.len());
        let count = slots.len();
        inner_products(gallery, slots, &probes, &mut out[..count]);
    }
    began.elapsed().as_secs_f64()
}

async fn batch(store: &Store, roster: &Roster, outcome: Outcome, effect: Effect) -> Batch {
    let (chain, mut log) = (store.chain().await.unwrap(), store.log().await.unwrap());
    let number = chain.committed + 1;
    let decision = Decision {
        version: VERSION,
        commons: roster.digest(),
        operation: OperationId([number.to_le_bytes()[0]; 16]),
        request: Digest([0; 32]),
        batch: number,
        decided_at: 1,
        charter: Digest([0; 32]),
        log_index: log.size(),
        outcome,
    };
    let logged = number.to_le_bytes().to_vec();
    log.append(tlog::merkle::leaf_hash(&logged));
    let entry = Entry { decision, device: DeviceKey([0; 32]), log: logged, effect, trail: Trail::default() };
    let (session, entries) = ([number.to_le_bytes()[0]; 16], vec![entry]);
    Batch { session, number, previous: chain.head, time: 1, entries, log_size: log.size(), log_root: log.root() }
}

async fn decide(store: &Store, batch: &Batch) {
    store.prepare(batch).await.unwrap();
    store.commit(batch, &[[Signature([0; 64]); 3]], 1000).await.unwrap();
    store.settle(batch).await.unwrap();
}

fn words(random: &mut ChaCha8Rng) -> Vec<u16> {
    let mut bytes = [0; 2 * LENGTH];
    random.fill_bytes(&mut bytes);
    bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
}

/// Entry of a node whose keys follow from `seed`.
fn node(id: NodeId, seed: u8) -> RosterNode {
    let public = |seed| public_key(&SigningKey::from_bytes(&[seed; 32]));
    RosterNode {
        id,
        operator: String::new(),
        url: format!("http://127.0.0.1:{}", id.number()),
        peer_address: format!("127.0.0.1:{}", id.number()),
        signing_key: public(seed),
        log_key: public(100 + seed),
        seal_key: Digest(SealKey::from_random(&[seed; 32]).public().unwrap()),
        tls_key: Digest([seed; 32]),
        issuer_key: types::IssuerPublicKey([seed; 96]),
    }
}

fn roster() -> Roster {
    let profiles = vec![Profile::from_toml(PROFILE).unwrap()];
    Roster {
        version: types::roster::VERSION,
        commons: "bench".to_owned(),
        throw_away: true,
        epochs: types::Epochs::DAILY,
        nodes: NodeId::ALL.map(|id| node(id, id.number())).to_vec(),
        profiles,
        successions: Vec::new(),
        additions: Vec::new(),
    }
}
