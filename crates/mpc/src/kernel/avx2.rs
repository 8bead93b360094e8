//! Word products on 256 bits: `vpmaddwd` and `vpaddd`.
//!
//! As [`super::avx512`], with two registers for the 16 records of a group and at most six rows at a time, as there are
//! 16 registers: twelve sums, two operands, a broadcast and a product. One group after the other, not both at once: the words of a
//! group are 16 KiB and leave half of a first-level cache of 32 KiB to the rows, which pass four times as fast.

#![expect(unsafe_code, reason = "vector loads and stores through pointers, and calls that need processor features")]
#![expect(clippy::indexing_slicing, reason = "numeric code; constant array lengths, and slices cut to size before the loop")]

use std::arch::x86_64::*;

use super::blocking::{self, Piece, Products};
use super::layout::{GROUP_RECORDS, Line, PLANE_LINES, Run, TILE_LINES};
use super::probes::{Probes, TILE_STEPS, WordBlock};
use super::rotations;
use super::x86::Ahead;

/// Most rows that a micro-kernel takes.
const MAX_ROWS: usize = 6;
/// How far ahead of its use memory is asked for, in lines.
const FAR_LINES: usize = 64;
/// Most rows that are multiplied with bytes straight from the gallery.
const DIRECT_ROWS: usize = 4;
/// Words of blocks of rows that are assumed to stay in half of a second-level cache of 512 KiB.
const RESIDENT_WORDS: usize = 64 * 1024;

/// Inner products of a run.
pub(super) fn products(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    // SAFETY: `Kernel::is_available` found AVX2, and `run_products` asked it before the call.
    unsafe { products_inner(run, probes, out) }
}

#[target_feature(enable = "avx2")]
fn products_inner(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    if let Some(leaves) = probes.leaves() {
        return rotations::avx2::products(run, leaves, out);
    }
    let blocks: Vec<_> = probes.word_blocks().collect();
    let mut words = vec![Line::ZERO; blocking::PIECE_TILES * TILE_STEPS];
    // Longer records pass in pieces, each of which meets all rows while their part of it is in the cache.
    let resident = match run.layout().tiles() {
        0..=blocking::PIECE_TILES => RESIDENT_WORDS / blocks.first().map_or(1, |block| block.words.len().max(1)),
        _ => blocks.len(),
    };
    for blocks in blocks.chunks(resident.max(1)) {
        some_rows(run, probes, blocks, &mut words, out);
    }
}

/// Inner products of a run with some of the blocks of rows.
#[target_feature(enable = "avx2")]
fn some_rows(run: &Run<'_>, probes: &Probes, blocks: &[WordBlock<'_>], words: &mut [Line], out: &mut Products<'_>) {
    let mut pieces = blocking::pieces(run, probes, blocking::LONG_PIECE_TILES).peekable();
    while let Some(piece) = pieces.next() {
        let groups = run.pair(piece.pair, &piece.tiles);
        let next = pieces.peek().map_or([&[][..]; 2], |next| run.pair(next.pair, &next.tiles));
        for (half, group) in groups.into_iter().enumerate() {
            let record = piece.first_record() + half * GROUP_RECORDS;
            if let [block] = blocks
                && block.width <= DIRECT_ROWS
            {
                match block.width {
                    1 => single(group, *block, &piece, record, out),
                    2 => direct::<2>(group, *block, &piece, record, out),
                    3 => direct::<3>(group, *block, &piece, record, out),
                    _ => direct::<DIRECT_ROWS>(group, *block, &piece, record, out),
                }
                continue;
            }
            let words = &mut words[..group.len()];
            // Several blocks of rows ask for what comes by turns; one has it asked for while it unpacks.
            unpack(group, words, blocks.len() == 1);
            for (index, block) in blocks.iter().enumerate() {
                let (share, shares) = (half * blocks.len() + index, 2 * blocks.len());
                let mut ahead = Ahead::new(next, share, shares, block.rows.div_ceil(MAX_ROWS));
                for first in (0..block.rows).step_by(MAX_ROWS) {
                    if blocks.len() > 1 {
                        ahead.prefetch();
                    }
                    match block.rows - first {
                        1 => strip::<1>(words, *block, first, &piece, record, out),
                        2 => strip::<2>(words, *block, first, &piece, record, out),
                        3 => strip::<3>(words, *block, first, &piece, record, out),
                        4 => strip::<4>(words, *block, first, &piece, record, out),
                        5 => strip::<5>(words, *block, first, &piece, record, out),
                        _ => strip::<MAX_ROWS>(words, *block, first, &piece, record, out),
                    }
                }
            }
        }
    }
}

/// Unpacks a group of a piece for all rows: for each step of the word form, two words of each of 16 records.
#[target_feature(enable = "avx2")]
fn unpack(group: &[Line], words: &mut [Line], prefetch: bool) {
    for (tile, steps) in group.chunks_exact(TILE_LINES).zip(words.chunks_exact_mut(TILE_LINES)) {
        for (quad, steps) in steps.chunks_exact_mut(2).enumerate() {
            if prefetch {
                prefetch_far(tile, quad);
            }
            let halves = unpack_quad(&tile[quad], &tile[PLANE_LINES + quad]);
            for (i, [even, odd]) in halves.into_iter().enumerate() {
                store_half(&mut steps[0], i, even);
                store_half(&mut steps[1], i, odd);
            }
        }
    }
}

/// Asks for the lines that lie as far behind this quad's place in memory, one after the other: that is what the processor's own
/// prefetching goes on with. Asking for lines in the order of their use, of two planes by turns, halved the speed of one row.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch_far(tile: &[Line], quad: usize) {
    for line in [2 * quad, 2 * quad + 1] {
        // A hint: it may point behind the lines, as it accesses nothing in the sense of the language and cannot fault.
        _mm_prefetch::<_MM_HINT_T0>(tile.as_ptr().wrapping_add(FAR_LINES + line).cast());
    }
}

/// Per half of 8 records, the words of two steps: coordinates 0 and 2 of a quad, then 1 and 3.
#[inline]
#[target_feature(enable = "avx2")]
fn unpack_quad(low: &Line, high: &Line) -> [[__m256i; 2]; 2] {
    let mask = _mm256_set1_epi16(0x00ff);
    let (low, high) = (load(low), load(high));
    let mut halves = [[mask; 2]; 2];
    for (i, half) in halves.iter_mut().enumerate() {
        half[0] = _mm256_or_si256(_mm256_and_si256(low[i], mask), _mm256_slli_epi16::<8>(high[i]));
        half[1] = _mm256_or_si256(_mm256_srli_epi16::<8>(low[i]), _mm256_andnot_si256(mask, high[i]));
    }
    halves
}

/// Inner products of the only row, plane by plane: so memory is read strictly in order, which the processor's own prefetching
/// follows best. High bytes are summed apart and shifted at the end: twice the products, but memory is what takes the time.
#[target_feature(enable = "avx2")]
fn single(group: &[Line], block: WordBlock<'_>, piece: &Piece, record: usize, out: &mut Products<'_>) {
    let mask = _mm256_set1_epi16(0x00ff);
    let mut sums = [[_mm256_setzero_si256(); 2]; 2];
    let steps = block.steps(&piece.tiles).chunks_exact(TILE_STEPS);
    for (tile, steps) in group.chunks_exact(TILE_LINES).zip(steps) {
        for (plane, sums) in tile.chunks_exact(PLANE_LINES).zip(&mut sums) {
            for (line, step) in plane.iter().zip(steps.as_chunks::<2>().0) {
                // A hint: it may point behind the lines, as it accesses nothing in the sense of the language and cannot fault.
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).wrapping_add(FAR_LINES).cast());
                let (even, odd) = (_mm256_set1_epi32(step[0].cast_signed()), _mm256_set1_epi32(step[1].cast_signed()));
                for (sum, bytes) in sums.iter_mut().zip(load(line)) {
                    let even = _mm256_madd_epi16(_mm256_and_si256(bytes, mask), even);
                    let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(bytes), odd);
                    *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(even, odd));
                }
            }
        }
    }
    let [low, high] = sums;
    let left = _mm256_add_epi32(low[0], _mm256_slli_epi32::<8>(high[0]));
    let right = _mm256_add_epi32(low[1], _mm256_slli_epi32::<8>(high[1]));
    store_row([left, right], piece.starts, out.segment(block.first_row, record, GROUP_RECORDS));
}

/// Inner products of the rows of the only block with bytes straight from the gallery: for so few rows that each word is used but
/// that often, memory is what takes the time.
#[target_feature(enable = "avx2")]
fn direct<const ROWS: usize>(group: &[Line], block: WordBlock<'_>, piece: &Piece, record: usize, out: &mut Products<'_>) {
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    let steps = block.steps(&piece.tiles).chunks_exact(TILE_STEPS * ROWS);
    for (tile, steps) in group.chunks_exact(TILE_LINES).zip(steps) {
        for (quad, step) in steps.chunks_exact(2 * ROWS).enumerate() {
            let (low, high) = (&tile[quad], &tile[PLANE_LINES + quad]);
            prefetch_far(tile, quad);
            let halves = unpack_quad(low, high);
            let (even, odd) = step.split_at(ROWS);
            for ((sums, even), odd) in sums.iter_mut().zip(even).zip(odd) {
                let words = [even, odd].map(|word| _mm256_set1_epi32(word.cast_signed()));
                for (sum, lanes) in sums.iter_mut().zip(halves) {
                    for (lanes, word) in lanes.into_iter().zip(words) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(lanes, word));
                    }
                }
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        if row < block.rows {
            store_row(sums, piece.starts, out.segment(block.first_row + row, record, GROUP_RECORDS));
        }
    }
}

/// Inner products of `ROWS` rows of a block, from its row `first` on, with the 16 records of one group of the piece.
#[inline]
#[target_feature(enable = "avx2")]
fn strip<const ROWS: usize>(
    words: &[Line],
    block: WordBlock<'_>,
    first: usize,
    piece: &Piece,
    record: usize,
    out: &mut Products<'_>,
) {
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    let steps = block.steps(&piece.tiles).chunks_exact(block.width);
    for (lanes, step) in words.iter().zip(steps) {
        let lanes = load(lanes);
        for (sums, word) in sums.iter_mut().zip(&step[first..first + ROWS]) {
            let word = _mm256_set1_epi32(word.cast_signed());
            sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(lanes[0], word));
            sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(lanes[1], word));
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        store_row(sums, piece.starts, out.segment(block.first_row + first + row, record, GROUP_RECORDS));
    }
}

/// Stores the low words of 16 sums to, or adds them to, as many products as the segment has (at most 16).
#[inline]
#[target_feature(enable = "avx2")]
fn store_row(sums: [__m256i; 2], starts: bool, segment: &mut [u16]) {
    let packed = low_words(sums);
    if let Some(whole) = segment.first_chunk_mut::<GROUP_RECORDS>() {
        let to = whole.as_mut_ptr().cast();
        // SAFETY: 16 words are 32 bytes, and neither access needs alignment.
        unsafe {
            let sums = if starts { packed } else { _mm256_add_epi16(_mm256_loadu_si256(to), packed) };
            _mm256_storeu_si256(to, sums);
        }
        return;
    }
    let mut sums = [0u16; GROUP_RECORDS];
    // SAFETY: as above.
    unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), packed) };
    for (out, sum) in segment.iter_mut().zip(sums) {
        *out = if starts { sum } else { out.wrapping_add(sum) };
    }
}

/// The low words of 16 sums, in order.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn low_words([left, right]: [__m256i; 2]) -> __m256i {
    let mask = _mm256_set1_epi32(0xffff);
    let packed = _mm256_packus_epi32(_mm256_and_si256(left, mask), _mm256_and_si256(right, mask));
    // The pack works within 128-bit halves: put their quarters back in order.
    _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(line: &Line) -> [__m256i; 2] {
    let [left, right] = line.halves().map(|half| half.as_ptr());
    // SAFETY: each half of a line is 32 bytes, aligned to 32.
    unsafe { [_mm256_load_si256(left.cast()), _mm256_load_si256(right.cast())] }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_half(line: &Line, half: usize) -> __m256i {
    let bytes: &[u8] = &line.0[32 * half..32 * half + 32];
    // SAFETY: the slice is 32 bytes, aligned to 32.
    unsafe { _mm256_load_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store_half(line: &mut Line, half: usize, value: __m256i) {
    let bytes: &mut [u8] = &mut line.0[32 * half..32 * half + 32];
    // SAFETY: the slice is 32 bytes, aligned to 32.
    unsafe { _mm256_store_si256(bytes.as_mut_ptr().cast(), value) }
}
