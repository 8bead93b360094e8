//! Where the time of a comparison goes beside its inner product: every step of one node, by itself, on one core and on data that
//! its second-level cache holds. The steps are those of `mpc::sign` and `mpc::answer`.

use std::hint::black_box;

use mpc::kernel::field::{self, Mask};
use mpc::kernel::keystream::{Joined, KeyStream, join};
use mpc::kernel::sliced;
use mpc::kernel::vectors::Vectors;
use mpc::kernel::words::Words;
use serde::Serialize;

use super::clock::Stopwatch;
use super::{Effort, median};

/// Comparisons of a chunk, words of a plane, and bytes of zero shares made at a time.
const COUNT: usize = 1 << 16;
const PLANE: usize = COUNT / 64;
const TILE: usize = 4096;
/// Rows of a batch in such a chunk, of two words each.
const ROWS: usize = 512;

/// One step.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StageTime {
    pub(crate) name: &'static str,
    pub(crate) ns_per_comparison: f64,
}

/// Measures every step.
pub(crate) fn measure(effort: &Effort) -> Vec<StageTime> {
    let vectors = Vectors::selected();
    let mut a = KeyStream::new(&[1; 16]);
    let mut b = KeyStream::new(&[2; 16]);
    let (mut tile, zero) = (vec![0; TILE], vec![7; 2 * COUNT]);
    let (numbers, mut shared, mut message) = (vec![7u16; COUNT], vec![0; 2 * COUNT], vec![0; 8 * 15 * PLANE]);
    let (s, c) = (Words::zero(16 * PLANE), Words::zero(15 * PLANE));
    let (mut planes, mut own) = (Words::zero(16 * PLANE), Words::zero(15 * PLANE));
    let (mut k, mut k2) = (Words::zero(PLANE), Words::zero(PLANE));
    let (coins, mut sums) = (vec![7; PLANE / ROWS], vec![[0; 2]; ROWS]);
    let mut stages = Vec::new();
    let mut stage = |name, work: &mut dyn FnMut()| stages.push(StageTime { name, ns_per_comparison: time(effort, work) });

    stage("pseudorandom zero shares (45 bits from two AES streams)", &mut || {
        (0..2 * COUNT / TILE).for_each(|_| join(vectors, Joined::Difference, &mut a, &mut b, black_box(&mut tile)));
        (0..29 * COUNT / 8 / TILE).for_each(|_| join(vectors, Joined::Xor, &mut a, &mut b, black_box(&mut tile)));
    });
    stage("re-sharing: scores plus zero share", &mut || {
        sliced::add_numbers(vectors, &numbers, &zero, black_box(&mut shared))
    });
    stage("transposition of both components into bit planes", &mut || {
        (0..2).for_each(|_| sliced::transpose(vectors, black_box(&shared), black_box(&mut planes), PLANE));
    });
    stage("15 carry-save gates", &mut || {
        sliced::carry_save(vectors, black_box(&s), black_box(&c), &zero, &mut own, black_box(&mut message));
    });
    stage("14 gates of the ripple adder, and the order of the signs", &mut || {
        for bit in 1..15 {
            let planes = [&s, &planes].map(|words| words.chunks_exact(PLANE).nth(bit).unwrap_or_default());
            let carries = [&c, &own].map(|words| words.chunks_exact(PLANE).nth(bit - 1).unwrap_or_default());
            let (Some(zero), Some(message)) = (zero.get(..8 * PLANE), message.get_mut(..8 * PLANE)) else { continue };
            sliced::ripple(vectors, planes, carries, [&mut k, &mut k2], zero, zero, black_box(message));
        }
        sliced::natural_order(vectors, &mut k);
        sliced::natural_order(vectors, &mut k2);
    });
    stage("combination into one bit per operation", &mut || {
        let mask = Mask::Shared(black_box(&coins));
        field::dot_rows(vectors, &coins, [black_box(&k), &k2], mask, [0, u64::MAX], black_box(&mut sums));
    });
    stages
}

/// Nanoseconds of one of [`COUNT`] comparisons.
#[expect(clippy::cast_precision_loss, reason = "a small constant")]
fn time(effort: &Effort, work: &mut dyn FnMut()) -> f64 {
    const REPEATS: usize = 100;
    work();
    let turn = |_| {
        let watch = Stopwatch::start();
        (0..REPEATS).for_each(|_| work());
        watch.seconds()
    };
    let seconds: Vec<f64> = (0..effort.turns).map(turn).collect();
    1e9 * median(&seconds) / (REPEATS * COUNT) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_takes_some_time_and_below_a_microsecond() {
        let effort = Effort { turns: 1, ..super::super::QUICK };
        let stages = measure(&effort);
        assert_eq!(stages.len(), 6);
        assert!(stages.iter().all(|stage| stage.ns_per_comparison > 0.0 && stage.ns_per_comparison < 1000.0));
    }
}
