//! The kernels of the comparison stage, one thread, on data in the second-level cache. Criterion's `elem/s` are comparisons of one
//! node per second, each with as much of a step as it needs; together with the inner products they make up a search.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mpc::kernel::field::{self, Mask};
use mpc::kernel::keystream::{Joined, KeyStream, join};
use mpc::kernel::sliced;
use mpc::kernel::vectors::Vectors;
use mpc::kernel::words::Words;

/// Comparisons of a chunk.
const COUNT: usize = 1 << 16;
/// Words of a plane, bytes of a tile.
const PLANE: usize = COUNT / 64;
const TILE: usize = 4096;

fn planes(count: usize) -> Words {
    let mut words = Words::zero(count * PLANE);
    words.iter_mut().zip(1u64..).for_each(|(word, n)| *word = n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| u8::try_from(n * 31 % 251).expect("small")).collect()
}

/// `work(vectors)` for all vectors of this machine.
fn each(c: &mut Criterion, step: &str, mut work: impl FnMut(Vectors)) {
    let mut group = c.benchmark_group(step);
    group.sample_size(20).throughput(Throughput::Elements(COUNT as u64));
    for vectors in Vectors::available() {
        group.bench_function(BenchmarkId::from_parameter(format!("{vectors:?}")), |bencher| bencher.iter(|| work(vectors)));
    }
    group.finish();
}

fn streams(c: &mut Criterion) {
    let (mut a, mut b, mut tile) = (KeyStream::new(&[1; 16]), KeyStream::new(&[2; 16]), vec![0; TILE]);
    // 16 bits to re-share and 29 gates, from two streams.
    for (name, joined, bits) in [("zero share of scores", Joined::Difference, 16), ("zero shares of gates", Joined::Xor, 29)]
    {
        each(c, name, |vectors| {
            for _ in 0..COUNT * bits / 8 / TILE {
                join(vectors, joined, &mut a, &mut b, black_box(&mut tile));
            }
        });
    }
}

fn numbers(c: &mut Criterion) {
    let (numbers, zero, mut message) = (vec![7u16; COUNT], bytes(2 * COUNT), bytes(2 * COUNT));
    each(c, "scores plus zero share", |vectors| {
        sliced::add_numbers(vectors, &numbers, black_box(&zero), black_box(&mut message));
    });
    let mut sixteen = planes(16);
    // The own component and the next one.
    each(c, "bit planes", |vectors| {
        for _ in 0..2 {
            sliced::transpose(vectors, black_box(&message), black_box(&mut sixteen), PLANE);
        }
    });
}

fn gates(c: &mut Criterion) {
    let (s, s2, zero) = (planes(15), planes(15), bytes(8 * 15 * PLANE));
    let (mut own, mut message) = (planes(15), bytes(8 * 15 * PLANE));
    each(c, "carry-save gates", |vectors| {
        sliced::carry_save(vectors, black_box(&s), &s2, &zero, &mut own, black_box(&mut message));
    });
    let (mut k, mut k2) = (planes(1), planes(1));
    each(c, "ripple gates", |vectors| {
        for bit in 0..14 {
            let at = bit * PLANE..(bit + 1) * PLANE;
            let bytes = 8 * at.start..8 * at.end;
            let (Some(x), Some(y), Some(c1)) = (s.get(at.clone()), s2.get(at.clone()), own.get(at.clone())) else {
                continue;
            };
            let (Some(zero), Some(message)) = (zero.get(bytes.clone()), message.get_mut(bytes)) else { continue };
            sliced::ripple(vectors, [x, y], [c1, y], [&mut k, &mut k2], zero, zero, message);
        }
    });
    each(c, "natural order", |vectors| {
        sliced::natural_order(vectors, black_box(&mut k));
        sliced::natural_order(vectors, black_box(&mut k2));
    });
    // 512 rows of two words, one row of all words.
    for rows in [512, 1] {
        let (coins, mut sums) = (vec![7; PLANE / rows], vec![[0; 2]; rows]);
        each(c, &format!("combination, rows: {rows}"), |vectors| {
            let mask = Mask::Shared(black_box(&coins));
            field::dot_rows(vectors, &coins, [black_box(&k), &k2], mask, [0, u64::MAX], black_box(&mut sums));
        });
    }
}

criterion_group!(benches, streams, numbers, gates);
criterion_main!(benches);
