//! What logging costs a node's disk: entries committed per second, with every batch forced to disk.
//!
//! Run it with `cargo bench -p node --bench log`. What consent and logging add to the time of a verification: `--bench consent`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    dead_code,
    reason = "a measurement that meets the unexpected should panic"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use node::store::{Batch, Effect, Entry, Store, Trail};
use tlog::merkle::leaf_hash;
use tlog::{Kind, Opening};
use types::message::{Decision, Outcome, VERSION};
use types::{DeviceKey, Digest, NodeId, OperationId, Signature, TraceKey};

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut criterion = Criterion::default().configure_from_args().sample_size(10).measurement_time(Duration::from_secs(3));
    appends(&mut criterion, &runtime);
    criterion.final_summary();
}

/// Batches of verifications, prepared and committed as the sequencer does it, then written into the log's files.
fn appends(criterion: &mut Criterion, runtime: &tokio::runtime::Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let made = runtime.block_on(node::run::loopback(dir.path(), "bench", vec![common::profile()])).unwrap();
    let store = runtime.block_on(Store::open(&dir.path().join("node-1"), NodeId::ALL[0], &made.roster)).unwrap();
    let mut group = criterion.benchmark_group("commit and log, on disk");
    for operations in [1u64, 64, 512] {
        group.throughput(Throughput::Elements(operations));
        group.bench_function(BenchmarkId::from_parameter(operations), |bencher| {
            bencher.iter_custom(|batches| {
                runtime.block_on(async {
                    let mut taken = Duration::ZERO;
                    for _ in 0..batches {
                        let batch = batch(&store, operations).await;
                        let began = Instant::now();
                        store.prepare(&batch).await.unwrap();
                        let signatures = vec![[Signature([0; 64]); 3]; batch.entries.len()];
                        store.commit(&batch, &signatures, batch.time + 10).await.unwrap();
                        store.write_log().await.unwrap();
                        taken += began.elapsed();
                    }
                    taken
                })
            });
        });
    }
    group.finish();
}

async fn batch(store: &Store, operations: u64) -> Batch {
    let (chain, mut log) = (store.chain().await.unwrap(), store.log().await.unwrap());
    let (number, time, trace) = (chain.committed + 1, chain.decided_at + 1, TraceKey::from_random([7; 32]));
    let mut entries = Vec::new();
    for _ in 0..operations {
        let index = log.size();
        let mut operation = [0; 16];
        operation[..8].copy_from_slice(&index.to_le_bytes());
        let decision = Decision {
            version: VERSION,
            commons: Digest([1; 32]),
            operation: OperationId(operation),
            request: Digest([2; 32]),
            batch: number,
            decided_at: time,
            charter: Digest([3; 32]),
            log_index: index,
            outcome: Outcome::Verified { matched: true },
        };
        let entry = tlog::Entry {
            version: tlog::entry::VERSION,
            kind: Kind::Verification,
            purpose: None,
            party: None,
            batch: number,
            at: time,
            tag: trace.tag(index),
            commitment: Opening::new(&trace, index, types::sign::Message::digest(&decision)).commitment(),
        };
        let logged = entry.to_bytes();
        log.append(leaf_hash(&logged));
        entries.push(Entry {
            decision,
            device: DeviceKey([4; 32]),
            log: logged,
            effect: Effect::None,
            trail: Trail::default(),
        });
    }
    let session = [5; 16];
    Batch { session, number, previous: chain.head, time, entries, log_size: log.size(), log_root: log.root() }
}
