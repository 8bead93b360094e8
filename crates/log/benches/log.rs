//! What a log costs: appending, signing, proving, verifying, following. `cargo bench -p tlog`; sizes are printed once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a bench that meets the unexpected should panic"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::{MemoryLog, cosign, entry, key, roster};
use tlog::checkpoint::{origin, witness_name};
use tlog::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use tlog::{
    Appender, Bundle, Checkpoint, Follower, NodeQuorum, Policy, SignedCheckpoint, Tile, TileReader, TlogProof, Tree,
};
use types::NodeId;

const MILLION: u64 = 1_000_000;

fn million() -> (Appender, BTreeMap<Tile, Vec<u8>>) {
    let mut appender = Appender::new();
    for number in 0..MILLION {
        appender.append(leaf_hash(&number.to_be_bytes()));
    }
    let tiles = appender.take_tiles().into_iter().collect();
    (appender, tiles)
}

/// A log's tiles with those just written.
struct Grown<'o> {
    old: &'o BTreeMap<Tile, Vec<u8>>,
    new: BTreeMap<Tile, Vec<u8>>,
}

impl TileReader for Grown<'_> {
    fn read(&self, tile: Tile) -> Result<Vec<u8>, String> {
        self.new.read(tile).or_else(|_| self.old.read(tile))
    }
}

fn growing(c: &mut Criterion) {
    let (full, tiles) = million();
    let mut group = c.benchmark_group("append to 1 M entries");
    for batch in [1u64, 64, 512] {
        let entries: Vec<_> = (0..batch).map(entry).collect();
        group.throughput(Throughput::Elements(batch));
        // As a node does it: encode and hash the entries, tiles to write, root, consistency proof, signature.
        group.bench_function(format!("batch of {batch}, signed"), |b| {
            let log = key(1);
            let name = origin(&roster(), NodeId::ALL[0]);
            let previous = Checkpoint { origin: name.clone(), size: MILLION, root: full.root() };
            b.iter_batched(
                || full.clone(),
                |mut appender| {
                    for entry in &entries {
                        appender.append(leaf_hash(&entry.to_bytes()));
                    }
                    let grown = Grown { old: &tiles, new: appender.take_tiles().into_iter().collect() };
                    let next = Checkpoint { origin: name.clone(), size: appender.size(), root: appender.root() };
                    let proof = Tree::new(next.size, &grown).consistency_proof(MILLION, next.size).unwrap();
                    (SignedCheckpoint::sign_next(Some(&previous), &next, &proof, &log).unwrap(), grown.new)
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.throughput(Throughput::Elements(MILLION));
    group.sample_size(10);
    group.bench_function("hashes only, from nothing", |b| b.iter(|| million().0.root()));
    group.finish();
}

fn proving(c: &mut Criterion) {
    let node = NodeId::ALL[0];
    let mut log = MemoryLog::new(origin(&roster(), node), key(1));
    let (appender, tiles) = million();
    (log.appender, log.tiles) = (appender, tiles);
    let mut checkpoint = log.checkpoint();
    for witness in [node.next(), node.prev()] {
        cosign(&mut checkpoint, &log.public(), witness_name(&roster(), witness), &key(witness.number()), 1_700_000_000);
    }
    let (tree, index) = (log.tree(), 654_321u64);
    let path = tree.inclusion_proof(index, MILLION).unwrap();
    let leaf = tree.leaf(index).unwrap();
    let root = tree.root(MILLION).unwrap();
    let old = MILLION - 12_345;
    let (old_root, proof) = (tree.root(old).unwrap(), tree.consistency_proof(old, MILLION).unwrap());
    let text = TlogProof::make(&tree, index, checkpoint).unwrap().to_string();
    let policy = Policy::of_node(&roster(), node, NodeQuorum::All).unwrap();
    println!(
        "1 M entries: inclusion proof {} hashes ({} bytes), consistency proof {} hashes, tlog-proof with two cosignatures {} bytes",
        path.len(),
        32 * path.len(),
        proof.len(),
        text.len()
    );
    let mut group = c.benchmark_group("1 M entries");
    group.bench_function("inclusion proof from tiles", |b| {
        b.iter(|| tree.inclusion_proof(black_box(index), MILLION).unwrap())
    });
    group.bench_function("verify inclusion", |b| {
        b.iter(|| verify_inclusion(black_box(&leaf), index, MILLION, &path, &root).unwrap());
    });
    group.bench_function("verify consistency", |b| {
        b.iter(|| verify_consistency(old, MILLION, black_box(&proof), &old_root, &root).unwrap());
    });
    group.bench_function("parse and verify a tlog-proof: log and two witnesses", |b| {
        b.iter(|| TlogProof::parse(black_box(text.as_bytes())).unwrap().verify(&leaf, &policy).unwrap().cosigned.len());
    });
    group.finish();
}

fn following(c: &mut Criterion) {
    const ENTRIES: u64 = 25_600;
    let log = MemoryLog::with_entries("example.com/log", 1, ENTRIES);
    let policy = Policy::parse(format!("log {}\nquorum none\n", log.public()).as_bytes()).unwrap();
    let bundles: Vec<(Bundle, Vec<u8>)> = Bundle::covering(0, ENTRIES).map(|bundle| (bundle, log.bundle(bundle))).collect();
    let mut group = c.benchmark_group("monitor");
    group.throughput(Throughput::Elements(ENTRIES));
    group.sample_size(10);
    group.bench_function("decode, check, hash and count entries", |b| {
        b.iter(|| {
            let mut step = Follower::new(policy.clone()).begin(log.checkpoint(), 1_800_000_000).unwrap();
            for (bundle, bytes) in &bundles {
                step.feed(*bundle, bytes).unwrap();
            }
            step.finish().unwrap().follower.counts().total()
        });
    });
    group.finish();
}

criterion_group!(benches, growing, proving, following);
criterion_main!(benches);
