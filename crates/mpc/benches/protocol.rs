//! The protocol beyond inner products, three parties in lock-step on one core: divide by three for one node. Criterion's
//! `elem/s` are comparisons per second of all three nodes together.

#![expect(clippy::indexing_slicing, reason = "three nodes, three of each")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mpc::Adder;
use mpc::batch::{CheckInputs, Search};
use mpc::driver::{Schedule, local_keys, run_local};
use mpc::gallery::Gallery;
use mpc::record::{ProbeShare, probe_share, record_share};
use mpc::sharing::{InputShare, SplitRandomness, split};
use types::NodeId;
use types::profile::{Embedding, Matching};

fn profile(dimensions: u32) -> Matching {
    let (scale, clamp, cosine_threshold, norm_min, norm_max) = (148, 64, 0.334, 0.9, 1.05);
    Matching::Embedding(Embedding { dimensions, scale, clamp, cosine_threshold, norm_min, norm_max })
}

fn shares(matching: &Matching, seed: u64) -> [InputShare; 3] {
    let mut random = [0; SplitRandomness::BYTES];
    random.first_chunk_mut::<8>().expect("room").copy_from_slice(&seed.to_le_bytes());
    let values: Vec<u32> =
        (0..matching.input_len()).map(|i| u32::try_from((i as u64 * 7 + seed) % 13).expect("small")).collect();
    let split = split(&values, &SplitRandomness::from_bytes(&random));
    NodeId::ALL
        .map(|n| InputShare::open(&split.packages[n.index()], n, values.len(), &split.commitments).expect("an honest share"))
}

fn search(c: &mut Criterion) {
    let mut group = c.benchmark_group("search");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    // Two coordinates: next to nothing but comparison and answer. 512: a face.
    for (name, dimensions, probes, records, adder) in [
        ("comparison/ripple", 2, 64, 1 << 14, Adder::Ripple),
        ("comparison/prefix", 2, 64, 1 << 14, Adder::Prefix),
        ("face/1 probe", 512, 1, 1 << 14, Adder::Ripple),
        ("face/64 probes", 512, 64, 1 << 14, Adder::Ripple),
    ] {
        let matching = profile(dimensions);
        let mut galleries = NodeId::ALL.map(|_| Gallery::new(matching.record_len()));
        for record in 0..records {
            for (node, share) in NodeId::ALL.into_iter().zip(shares(&matching, record)) {
                galleries[node.index()].push(record_share(node, &share, &matching).values());
            }
        }
        let mut probe_shares: [Vec<ProbeShare>; 3] = Default::default();
        for probe in 0..probes {
            for (node, share) in NodeId::ALL.into_iter().zip(shares(&matching, 1 << 40 | probe)) {
                probe_shares[node.index()].push(probe_share(node, &share, &matching));
            }
        }
        group.throughput(Throughput::Elements(probes * records));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let mut keys = local_keys(&[1; 32], b"bench").into_iter();
                let parties = [0, 1, 2].map(|n| {
                    let keys = keys.next().expect("three").next_protocol();
                    let probes: Vec<&ProbeShare> = probe_shares[n].iter().collect();
                    Search::new(keys, &matching, &galleries[n], &probes, adder).expect("one profile").with_waves(1 << 18, 1)
                });
                black_box(run_local(parties, Schedule::LockStep).expect("honest parties"))
            });
        });
    }
    group.finish();
}

fn check(c: &mut Criterion) {
    let matching = profile(512);
    let inputs: [Vec<InputShare>; 3] =
        NodeId::ALL.map(|n| (0..64).map(|seed| shares(&matching, seed)[n.index()].clone()).collect());
    let mut group = c.benchmark_group("check inputs");
    group.sample_size(10).throughput(Throughput::Elements(64));
    group.bench_function("64 faces", |bencher| {
        bencher.iter(|| {
            let mut keys = local_keys(&[1; 32], b"bench").into_iter();
            let parties = [0, 1, 2].map(|n| {
                let keys = keys.next().expect("three").next_protocol();
                CheckInputs::new(keys, &matching, &inputs[n].iter().collect::<Vec<_>>(), Adder::Ripple).expect("one profile")
            });
            black_box(run_local(parties, Schedule::LockStep).expect("honest parties"))
        });
    });
    group.finish();
}

criterion_group!(benches, search, check);
criterion_main!(benches);
