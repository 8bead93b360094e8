//! Word products on 256 bits: `vpmaddwd` and `vpaddd`.
//!
//! As [`super::avx512`], with two registers for the 16 records of a group and at most four rows at a time, as there are
//! 16 registers: eight sums, two operands, one broadcast.

#![expect(unsafe_code, reason = "vector loads and stores through pointers, and calls that need processor features")]
#![expect(clippy::indexing_slicing, reason = "numeric code; constant array lengths, and slices cut to size before the loop")]

use std::arch::x86_64::*;

use super::blocking::{self, Piece, Products};
use super::layout::{GROUP_RECORDS, Line, PLANE_LINES, Run, TILE_LINES};
use super::probes::{Probes, WordBlock};
use super::x86::{Ahead, Words};

/// Most rows that a micro-kernel takes.
const MAX_ROWS: usize = 4;

/// Inner products of a run.
pub(super) fn products(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    // SAFETY: `Kernel::is_available` found AVX2, and `run_products` asked it before the call.
    unsafe { products_inner(run, probes, out) }
}

#[target_feature(enable = "avx2")]
fn products_inner(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    let blocks: Vec<_> = probes.word_blocks().collect();
    let mut words = Words::new();
    let mut pieces = blocking::pieces(run, probes).peekable();
    while let Some(piece) = pieces.next() {
        unpack(run.pair(piece.pair, &piece.tiles), &mut words);
        let next = pieces.peek().map_or([&[][..]; 2], |next| run.pair(next.pair, &next.tiles));
        for (index, block) in blocks.iter().enumerate() {
            let mut ahead = Ahead::new(next, index, blocks.len(), block.rows.div_ceil(MAX_ROWS));
            for first in (0..block.rows).step_by(MAX_ROWS) {
                ahead.prefetch();
                for half in 0..2 {
                    match block.rows - first {
                        1 => strip::<1>(&words, half, *block, first, &piece, out),
                        2 => strip::<2>(&words, half, *block, first, &piece, out),
                        3 => strip::<3>(&words, half, *block, first, &piece, out),
                        _ => strip::<MAX_ROWS>(&words, half, *block, first, &piece, out),
                    }
                }
            }
        }
    }
}

/// Unpacks a piece for all rows.
#[target_feature(enable = "avx2")]
fn unpack(groups: [&[Line]; 2], words: &mut Words) {
    let steps = words.reset(groups[0].len());
    for (half, group) in groups.into_iter().enumerate() {
        for (tile, steps) in group.chunks_exact(TILE_LINES).zip(steps.chunks_exact_mut(TILE_LINES)) {
            for (quad, steps) in steps.chunks_exact_mut(2).enumerate() {
                let (low, high) = (load(&tile[quad]), load(&tile[PLANE_LINES + quad]));
                let mask = _mm256_set1_epi16(0x00ff);
                for i in 0..2 {
                    let even = _mm256_or_si256(_mm256_and_si256(low[i], mask), _mm256_slli_epi16::<8>(high[i]));
                    let odd = _mm256_or_si256(_mm256_srli_epi16::<8>(low[i]), _mm256_andnot_si256(mask, high[i]));
                    store_half(&mut steps[0][half], i, even);
                    store_half(&mut steps[1][half], i, odd);
                }
            }
        }
    }
}

/// Inner products of `ROWS` rows of a block, from its row `first` on, with the 16 records of one group of the piece.
#[inline]
#[target_feature(enable = "avx2")]
fn strip<const ROWS: usize>(
    words: &Words,
    half: usize,
    block: WordBlock<'_>,
    first: usize,
    piece: &Piece,
    out: &mut Products<'_>,
) {
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    let steps = block.steps(&piece.tiles).chunks_exact(block.width);
    for (lanes, step) in words.steps().iter().zip(steps) {
        let lanes = load(&lanes[half]);
        for (sums, word) in sums.iter_mut().zip(&step[first..first + ROWS]) {
            let word = _mm256_set1_epi32(word.cast_signed());
            sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(lanes[0], word));
            sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(lanes[1], word));
        }
    }
    let record = piece.first_record() + half * GROUP_RECORDS;
    for (row, sums) in sums.into_iter().enumerate() {
        store_row(sums, piece.starts, out.segment(block.first_row + first + row, record, GROUP_RECORDS));
    }
}

/// Stores the low words of 16 sums to, or adds them to, as many products as the segment has (at most 16).
#[inline]
#[target_feature(enable = "avx2")]
fn store_row([left, right]: [__m256i; 2], starts: bool, segment: &mut [u16]) {
    let mask = _mm256_set1_epi32(0xffff);
    let packed = _mm256_packus_epi32(_mm256_and_si256(left, mask), _mm256_and_si256(right, mask));
    // The pack works within 128-bit halves: put their quarters back in order.
    let mut sums = [0u16; GROUP_RECORDS];
    // SAFETY: the array is 32 bytes.
    unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)) };
    for (out, sum) in segment.iter_mut().zip(sums) {
        *out = if starts { sum } else { out.wrapping_add(sum) };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &Line) -> [__m256i; 2] {
    let [left, right] = line.halves().map(|half| half.as_ptr());
    // SAFETY: each half of a line is 32 bytes, aligned to 32.
    unsafe { [_mm256_load_si256(left.cast()), _mm256_load_si256(right.cast())] }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_half(line: &mut Line, half: usize, value: __m256i) {
    let bytes: &mut [u8] = &mut line.0[32 * half..32 * half + 32];
    // SAFETY: the slice is 32 bytes, aligned to 32.
    unsafe { _mm256_store_si256(bytes.as_mut_ptr().cast(), value) }
}
