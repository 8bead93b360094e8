//! Inner products by every kernel of this machine, on one core. Criterion's `elem/s` are multiply-accumulates of
//! 16-bit words per second. 512 words are a face, 19,200 an iris code; the gallery is larger than any cache.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mpc::gallery::Gallery;
use mpc::kernel::{self, Kernel, Probes};
use mpc::record::rotations;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use types::profile::Profile;

/// Slots per call, as in a search: the output of 496 rows then takes 1 MB.
const CHUNK: usize = 1024;

/// Record length and records: 128 MiB and 150 MiB of stored bytes.
const SHAPES: [(usize, usize); 2] = [(512, 128 * 1024), (19_200, 4 * 1024)];

const IRIS: &str = include_str!("../../../profiles/iris-12800.toml");

fn kernels(criterion: &mut Criterion) {
    let iris = Profile::from_toml(IRIS).expect("a profile").matching;
    let rotations = rotations(&iris).expect("rows that are rotations");
    for (record_len, records) in SHAPES {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut words = |len: usize| -> Vec<u16> { (0..len).map(|_| (rng.next_u32() & 0xffff) as u16).collect() };
        let mut gallery = Gallery::new(record_len);
        for _ in 0..records {
            gallery.push(&words(record_len));
        }
        for rows in [1, 31, 496] {
            let probes = Probes::new(record_len, &words(record_len * rows));
            let mut cases = vec![(format!("{record_len} words, {rows} rows"), probes)];
            if record_len == rotations.record_len() && rows.is_multiple_of(rotations.count()) {
                let probe = |_| rotations.rows(&words(record_len));
                let rows: Vec<u16> = (0..rows / rotations.count()).flat_map(probe).collect();
                let probes = Probes::new(record_len, &rows).with_rotations(rotations.clone());
                cases.push((format!("{record_len} words, {} rotated rows", probes.rows()), probes));
            }
            for (name, probes) in cases {
                let mut group = criterion.benchmark_group(name);
                // With many rows, a part of the gallery is enough to be out of the second-level cache.
                let records = if rows < 100 { records } else { records / 8 };
                group.throughput(Throughput::Elements((record_len * records * rows) as u64)).sample_size(10);
                for kernel in Kernel::available() {
                    let mut out = vec![0; rows * CHUNK];
                    group.bench_function(BenchmarkId::from_parameter(kernel.name()), |bencher| {
                        bencher.iter(|| {
                            for start in (0..records).step_by(CHUNK) {
                                let slots = start..records.min(start + CHUNK);
                                out.resize(rows * slots.len(), 0);
                                kernel::inner_products_with(kernel, &gallery, slots, &probes, &mut out);
                            }
                            black_box(&mut out);
                        });
                    });
                }
                group.finish();
            }
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
