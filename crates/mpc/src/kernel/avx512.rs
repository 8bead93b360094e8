//! Word products on 512 bits: `vpdpwssd` (AVX-512 VNNI), or `vpmaddwd` and `vpaddd` (AVX-512BW).
//!
//! A register holds two words of each of 16 records; a broadcast brings the same two words of a probe row to every
//! lane, so that each 32-bit lane sums for one record. Words are taken as signed, which changes products only by
//! multiples of 2^16.

#![expect(unsafe_code, reason = "vector loads and stores through pointers, and calls that need processor features")]
#![expect(clippy::indexing_slicing, reason = "numeric code; constant array lengths, and slices cut to size before the loop")]

use std::arch::x86_64::*;

use super::blocking::{self, Piece, Products, Window};
use super::layout::{GROUP_RECORDS, Line, PAIR_RECORDS, PLANE_LINES, Run, TILE_LINES};
use super::probes::{MAX_BLOCK_ROWS, Probes, TILE_STEPS, WordBlock};
use super::x86::{Ahead, Words, prefetch_share};

/// With fewer blocks of rows, each one's share of the next piece is more than the processor's queues hold.
const FEW_BLOCKS: usize = 8;

/// One kernel: the same code with another product instruction and the features that it needs.
macro_rules! word_kernel {
    ($name:ident, $features:literal, $dot:expr) => {
        pub(super) mod $name {
            use super::*;

            /// Inner products of a run.
            pub(in super::super) fn products(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
                // SAFETY: `Kernel::is_available` found these features, and `run_products` asked it before the call.
                unsafe { products_inner(run, probes, out) }
            }

            #[target_feature(enable = $features)]
            fn products_inner(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
                let blocks: Vec<_> = probes.word_blocks().collect();
                // Leaving the loop over steps costs time: where shares of the next piece are small, they are not cut further.
                let parts = if blocks.len() < FEW_BLOCKS { blocking::PIECE_TILES } else { 1 };
                let mut words = Words::new();
                let mut pieces = blocking::pieces(run, probes, blocking::LONG_PIECE_TILES).peekable();
                while let Some(piece) = pieces.next() {
                    let groups = run.pair(piece.pair, &piece.tiles);
                    let next = pieces.peek().map_or([&[][..]; 2], |next| run.pair(next.pair, &next.tiles));
                    if let [block] = blocks[..] {
                        by_width!(direct((groups, next), block, &piece, out));
                        continue;
                    }
                    unpack(groups, &mut words);
                    for (index, block) in blocks.iter().enumerate() {
                        let ahead = Ahead::new(next, index, blocks.len(), piece.tiles.len().min(parts));
                        by_width!(packed((&words, ahead), *block, &piece, out));
                    }
                }
            }

            /// One block of rows with bytes straight from the gallery, while the next piece is on its way: for probes
            /// of one block, which use each word once.
            #[target_feature(enable = $features)]
            fn direct<const ROWS: usize>(
                (groups, next): ([&[Line]; 2], [&[Line]; 2]),
                block: WordBlock<'_>,
                piece: &Piece,
                out: &mut Products<'_>,
            ) {
                let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
                let steps = block.steps(&piece.tiles).chunks_exact(TILE_STEPS * ROWS);
                let tiles = groups[0].chunks_exact(TILE_LINES).zip(groups[1].chunks_exact(TILE_LINES));
                for (index, ((left, right), steps)) in tiles.zip(steps).enumerate() {
                    for (quad, step) in steps.chunks_exact(2 * ROWS).enumerate() {
                        prefetch_share(groups, next, index, quad, PLANE_LINES);
                        let left = unpack_quad(&left[quad], &left[PLANE_LINES + quad]);
                        let right = unpack_quad(&right[quad], &right[PLANE_LINES + quad]);
                        let (even, odd) = step.split_at(ROWS);
                        for ((sums, even), odd) in sums.iter_mut().zip(even).zip(odd) {
                            let (even, odd) = (broadcast(*even), broadcast(*odd));
                            sums[0] = $dot($dot(sums[0], left[0], even), left[1], odd);
                            sums[1] = $dot($dot(sums[1], right[0], even), right[1], odd);
                        }
                    }
                }
                store(&sums, block, piece, out);
            }

            /// One block of rows with words unpacked before, while its share of the next piece is on its way.
            #[target_feature(enable = $features)]
            fn packed<const ROWS: usize>(
                (words, mut ahead): (&Words, Ahead<'_>),
                block: WordBlock<'_>,
                piece: &Piece,
                out: &mut Products<'_>,
            ) {
                let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
                let part = TILE_STEPS * piece.tiles.len().div_ceil(ahead.parts());
                let steps = block.steps(&piece.tiles).chunks(part * ROWS);
                for (words, steps) in words.steps().chunks(part).zip(steps) {
                    ahead.prefetch();
                    for (lanes, step) in words.iter().zip(steps.chunks_exact(ROWS)) {
                        let (left, right) = (load(&lanes[0]), load(&lanes[1]));
                        for (sums, word) in sums.iter_mut().zip(step) {
                            let word = broadcast(*word);
                            sums[0] = $dot(sums[0], left, word);
                            sums[1] = $dot(sums[1], right, word);
                        }
                    }
                }
                store(&sums, block, piece, out);
            }
        }
    };
}

/// Calls a micro-kernel with the rows of a block as a constant.
macro_rules! by_width {
    ($kernel:ident($source:expr, $block:expr, $piece:expr, $out:expr)) => {
        match $block.width {
            1 => $kernel::<1>($source, $block, $piece, $out),
            2 => $kernel::<2>($source, $block, $piece, $out),
            3 => $kernel::<3>($source, $block, $piece, $out),
            4 => $kernel::<4>($source, $block, $piece, $out),
            5 => $kernel::<5>($source, $block, $piece, $out),
            6 => $kernel::<6>($source, $block, $piece, $out),
            7 => $kernel::<7>($source, $block, $piece, $out),
            8 => $kernel::<8>($source, $block, $piece, $out),
            9 => $kernel::<9>($source, $block, $piece, $out),
            10 => $kernel::<10>($source, $block, $piece, $out),
            11 => $kernel::<11>($source, $block, $piece, $out),
            _ => $kernel::<MAX_BLOCK_ROWS>($source, $block, $piece, $out),
        }
    };
}

word_kernel!(vnni, "avx512f,avx512bw,avx512vnni", _mm512_dpwssd_epi32);
word_kernel!(madd, "avx512f,avx512bw", |sum, x, y| _mm512_add_epi32(sum, _mm512_madd_epi16(x, y)));

/// Unpacks a piece for all blocks of rows.
#[target_feature(enable = "avx512f,avx512bw")]
fn unpack(groups: [&[Line]; 2], words: &mut Words) {
    let tiles = groups[0].chunks_exact(TILE_LINES).zip(groups[1].chunks_exact(TILE_LINES));
    let steps = words.reset(groups[0].len());
    for ((left, right), steps) in tiles.zip(steps.chunks_exact_mut(2 * PLANE_LINES)) {
        for (quad, steps) in steps.chunks_exact_mut(2).enumerate() {
            let left = unpack_quad(&left[quad], &left[PLANE_LINES + quad]);
            let right = unpack_quad(&right[quad], &right[PLANE_LINES + quad]);
            for (step, (left, right)) in steps.iter_mut().zip(left.into_iter().zip(right)) {
                store_line(&mut step[0], left);
                store_line(&mut step[1], right);
            }
        }
    }
}

/// Words of coordinates (0, 2) and of (1, 3) of a quad, two for each of 16 records, from its two byte planes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unpack_quad(low: &Line, high: &Line) -> [__m512i; 2] {
    let (low, high) = (load(low), load(high));
    let mask = _mm512_set1_epi16(0x00ff);
    // 0xea is (a AND b) OR c.
    let even = _mm512_ternarylogic_epi32::<0xea>(low, mask, _mm512_slli_epi16::<8>(high));
    // 0xf4 is a OR (b AND NOT c).
    let odd = _mm512_ternarylogic_epi32::<0xf4>(_mm512_srli_epi16::<8>(low), high, mask);
    [even, odd]
}

/// Stores or adds the sums of the rows that exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(sums: &[[__m512i; 2]], block: WordBlock<'_>, piece: &Piece, out: &mut Products<'_>) {
    let mut window = out.window(block.first_row..block.first_row + block.rows, piece.first_record());
    for (row, [left, right]) in sums.iter().enumerate().take(block.rows) {
        store_row(*left, *right, piece.starts, &mut window, row);
    }
}

/// Stores the low words of 32 sums to a row of the window, or adds them to it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn store_row(left: __m512i, right: __m512i, starts: bool, window: &mut Window<'_>, row: usize) {
    #[rustfmt::skip]
    let low_words = _mm512_set_epi16(
        62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32,
        30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0,
    );
    let mut sums = _mm512_permutex2var_epi16(left, low_words, right);
    let (at, mask) = window.row(row);
    let at = at.cast::<i16>();
    // SAFETY: the window allows access to as many words from `at` on as the mask has bits; masked-out words are neither
    // read nor written.
    unsafe {
        if !starts {
            sums = _mm512_add_epi16(sums, _mm512_maskz_loadu_epi16(mask, at));
        }
        _mm512_mask_storeu_epi16(at, mask, sums);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(word: u32) -> __m512i {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes, aligned to 64.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_line(line: &mut Line, value: __m512i) {
    // SAFETY: a line is 64 bytes, aligned to 64.
    unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), value) }
}

const _: () = assert!(PAIR_RECORDS == 2 * GROUP_RECORDS && PAIR_RECORDS == 32);
