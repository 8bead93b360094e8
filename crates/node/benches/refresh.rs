//! What renewing all stored shares of one node takes: `cargo bench -p node --bench refresh`.
//!
//! `COMMONS_RECORDS` sets the number of 512-dimensional records (100000). They are imported into a new directory; then the shares of
//! the next epoch are made, the store goes over to them, and what a rebuild sends of them is computed. Beside each stands the time of
//! one pass of a search over the same gallery. Times are wall-clock; say what else the machine does when you quote them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement: it prints, and nothing goes on after a failure"
)]

use std::time::Instant;

use mpc::gallery::Gallery;
use mpc::kernel::{Probes, inner_products};
use mpc::rebuild::Helper;
use mpc::record::RecordShare;
use mpc::refresh::{Refresh, Seed};
use node::store::{Batch, Effect, Entry, Store, Trail};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use types::message::{Decision, Outcome, VERSION};
use types::profile::Profile;
use types::roster::{Roster, RosterNode};
use types::{DeviceKey, Digest, NodeId, OperationId, Signature};

const LENGTH: usize = 512;
const PROFILE: &str = "id = 'face-512'\nversion = 1\nmodality = 'test'\ndescription = 'random vectors'\n[matching]\n\
    kind = 'embedding'\ndimensions = 512\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\nnorm_max = 1.05\n";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let records = std::env::var("COMMONS_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    runtime.block_on(measure(records));
}

async fn measure(records: usize) {
    let (dir, roster) = (tempfile::tempdir().unwrap(), roster());
    let profile = roster.profiles[0].clone();
    Store::create(dir.path()).await.unwrap();
    let store = Store::open(dir.path(), NodeId::ALL[0], &roster).await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut left = records;
    while left > 0 {
        let count = left.min(1 << 15);
        let batch = (0..count).map(|_| RecordShare::from_values(words(&mut random))).collect();
        store.import(&profile.id, batch).await.unwrap();
        left -= count;
    }
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
    let say = |what: &str, seconds: f64, bytes: u64| {
        println!(
            "{what}: {seconds:.3} s ({:.1} scans), {bytes} bytes ({:.2} of the shares)",
            seconds / scan,
            bytes as f64 / (records * 2 * LENGTH) as f64
        );
    };

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

fn roster() -> Roster {
    let node = |id: NodeId| RosterNode {
        id,
        operator: String::new(),
        url: format!("http://127.0.0.1:{}", id.number()),
        peer_address: format!("127.0.0.1:{}", id.number()),
        signing_key: types::DeviceKey([id.number(); 32]),
        log_key: types::DeviceKey([100 + id.number(); 32]),
        seal_key: Digest([1; 32]),
        tls_key: Digest([id.number(); 32]),
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
    };
    let profiles = vec![Profile::from_toml(PROFILE).unwrap()];
    Roster {
        version: types::roster::VERSION,
        commons: "bench".to_owned(),
        throw_away: true,
        epochs: types::Epochs::DAILY,
        nodes: NodeId::ALL.map(node).to_vec(),
        profiles,
        successions: Vec::new(),
    }
}
