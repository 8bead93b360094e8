//! How long a node with a large gallery takes to open its store, and what it holds then: `cargo bench -p node --bench start`.
//!
//! `COMMONS_RECORDS` sets the number of 512-dimensional records (100000). They are imported into a new directory; then a fresh
//! process opens it, so that its memory is that of a node which has just started. Last, one probe row is compared with every record
//! of the store's gallery and of a copy in ordinary memory, in turns.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement: it prints, and nothing goes on after a failure"
)]

use std::path::Path;
use std::time::Instant;

use mpc::gallery::Gallery;
use mpc::kernel::{Probes, inner_products};
use mpc::record::RecordShare;
use node::store::Store;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use types::profile::Profile;
use types::roster::{Roster, RosterNode};
use types::{Digest, NodeId};

const LENGTH: usize = 512;
const PROFILE: &str = "id = 'face-512'\nversion = 1\nmodality = 'test'\ndescription = 'random vectors'\n[matching]\n\
    kind = 'embedding'\ndimensions = 512\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\nnorm_max = 1.05\n";
/// The directory that the second process opens.
const OPEN: &str = "COMMONS_BENCH_OPEN";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match std::env::var_os(OPEN) {
        Some(dir) => runtime.block_on(open(Path::new(&dir))),
        None => {
            let records = std::env::var("COMMONS_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
            let dir = tempfile::tempdir().unwrap();
            runtime.block_on(fill(dir.path(), records));
            let own = std::env::current_exe().unwrap();
            for _ in 0..2 {
                assert!(std::process::Command::new(&own).env(OPEN, dir.path()).status().unwrap().success());
            }
        }
    }
}

async fn fill(dir: &Path, records: usize) {
    let began = Instant::now();
    Store::create(dir).await.unwrap();
    let store = Store::open(dir, NodeId::ALL[0], &roster()).await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut left = records;
    while left > 0 {
        let count = left.min(1 << 15);
        let batch = (0..count).map(|_| RecordShare::from_values(words(&mut random))).collect();
        store.import(&roster().profiles[0].id, batch).await.unwrap();
        left -= count;
    }
    store.close().await;
    println!("{records} records of {LENGTH} words imported in {:.1} s", began.elapsed().as_secs_f64());
}

async fn open(dir: &Path) {
    let began = Instant::now();
    let store = Store::open(dir, NodeId::ALL[0], &roster()).await.unwrap();
    println!("store opened and checked in {:.2} s", began.elapsed().as_secs_f64());
    let gallery = store.gallery(&roster().profiles[0].id).unwrap();
    let gallery = gallery.read().unwrap();
    print_memory("then", &gallery);
    let mut copy = Gallery::new(LENGTH);
    for slot in 0..gallery.len() {
        copy.push(&gallery.record(u32::try_from(slot).unwrap()));
    }
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let probes = Probes::new(LENGTH, &words(&mut random));
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        for (gallery, rates) in [&*gallery, &copy].into_iter().zip(&mut rates) {
            let began = Instant::now();
            search(gallery, &probes);
            rates.push(gallery.len() as f64 / began.elapsed().as_secs_f64() / 1e6);
        }
    }
    let [stored, copied] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!(
        "one probe row: {stored:.1} M records/s in the store's gallery, {copied:.1} in a copy; ratio {:.3}",
        stored / copied
    );
}

fn search(gallery: &Gallery, probes: &Probes) {
    let mut out = vec![0; 1 << 14];
    for start in (0..gallery.len()).step_by(out.len()) {
        let slots = start..gallery.len().min(start + out.len());
        let count = slots.len();
        inner_products(gallery, slots, probes, &mut out[..count]);
    }
}

fn words(random: &mut ChaCha8Rng) -> Vec<u16> {
    let mut bytes = [0; 2 * LENGTH];
    random.fill_bytes(&mut bytes);
    bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
}

fn print_memory(when: &str, gallery: &Gallery) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in
        status.lines().filter(|line| ["VmHWM", "VmRSS", "RssAnon", "RssFile"].iter().any(|name| line.starts_with(name)))
    {
        let bytes: f64 = line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0.0) * 1024.0;
        let each = bytes / gallery.len() as f64 / LENGTH as f64;
        println!("{when}: {line} = {each:.3} bytes per coordinate");
    }
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
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
        tls_key: Digest([id.number(); 32]),
    };
    let profiles = vec![Profile::from_toml(PROFILE).unwrap()];
    Roster {
        version: types::roster::VERSION,
        commons: "bench".to_owned(),
        throw_away: true,
        epochs: types::Epochs::DAILY,
        successions: Vec::new(),
        additions: Vec::new(),
        nodes: NodeId::ALL.map(node).to_vec(),
        profiles,
    }
}
