//! Products of leaves on 256 bits.
//!
//! A group of records at a time: the steps of a piece are unpacked to the leaves that have columns as they are, the sums of leaves
//! are made, and each leaf is multiplied with all probes while it is in the first-level cache.

#![expect(unsafe_code, reason = "vector loads and stores through pointers, and calls that need processor features")]
#![expect(clippy::indexing_slicing, reason = "numeric code; slices cut to size before the loop")]

use std::arch::x86_64::*;
use std::ops::Range;
use std::slice::ChunksExact;

use super::{Lanes, Leaves, MAX_LEVELS, Piece, STRIP_ROWS, leaf_of_column, leaf_stride};
use crate::kernel::avx2::{load, load_half, low_words, store_half};
use crate::kernel::blocking::Products;
use crate::kernel::layout::{GROUP_RECORDS, Line, PLANE_LINES, Run, TILE_LINES};
use crate::kernel::probes::even_block;
use crate::kernel::x86::prefetch;

/// Inner products of a run with rotated rows.
pub(in crate::kernel) fn products(run: &Run<'_>, leaves: &Leaves, out: &mut Products<'_>) {
    // SAFETY: `Kernel::is_available` found AVX2, and `run_products` asked it before the call.
    unsafe { products_inner(run, leaves, out) }
}

#[target_feature(enable = "avx2")]
fn products_inner(run: &Run<'_>, leaves: &Leaves, out: &mut Products<'_>) {
    let mut words = vec![Line::ZERO; leaves.leaves() * leaf_stride(leaves.levels)];
    let mut sums = vec![Line::ZERO; leaves.leaves() * leaves.probes * leaves.rows];
    let mut products = vec![[0; GROUP_RECORDS]; sums.len()];
    let whole = 0..run.layout().tiles();
    for pair in 0..run.pairs() {
        for (half, group) in run.pair(pair, &whole).into_iter().enumerate() {
            let record = (2 * pair + half) * GROUP_RECORDS;
            if record >= run.records() {
                break;
            }
            sums.fill(Line::ZERO);
            for (index, (piece, steps)) in leaves.pieces().enumerate() {
                let next = match leaves.pieces.get(index + 1) {
                    Some(next) => &group[next.lines(leaves.levels)],
                    None => following(run, pair, half, &leaves.pieces[0].lines(leaves.levels)),
                };
                match leaves.levels {
                    1 => prepare::<1>(group, piece, &mut words),
                    2 => prepare::<2>(group, piece, &mut words),
                    3 => prepare::<3>(group, piece, &mut words),
                    _ => prepare::<MAX_LEVELS>(group, piece, &mut words),
                }
                multiply_piece(leaves, piece, (&words, steps, next), &mut sums);
            }
            for (products, sums) in products.iter_mut().zip(&sums) {
                low(sums, products);
            }
            leaves.combine(&mut products, |row, products| {
                let segment = out.segment(row, record, GROUP_RECORDS);
                segment.copy_from_slice(&products[..segment.len()]);
            });
        }
    }
}

/// Lines of the group after the one that is `half` of `pair`, none after the last.
fn following<'a>(run: &Run<'a>, pair: usize, half: usize, lines: &Range<usize>) -> &'a [Line] {
    let (pair, half) = (pair + half, 1 - half);
    let whole = 0..run.layout().tiles();
    let group = if pair < run.pairs() { run.pair(pair, &whole)[half] } else { &[] };
    group.get(lines.clone()).unwrap_or_default()
}

/// Unpacks the steps of a piece to their leaves and makes the leaves that are sums.
#[target_feature(enable = "avx2")]
fn prepare<const LEVELS: u32>(group: &[Line], piece: &Piece, words: &mut [Line]) {
    let reach = (3usize.pow(LEVELS) - 1) * leaf_stride(LEVELS);
    let mut to = 0;
    for line in 0..piece.runs {
        // The first step is that of a whole quad, as a line has an even number of columns.
        let mut quad = piece.column(line, 0, LEVELS).0 / 2;
        for column in 0..piece.run {
            let leaves = &mut words[to..][..reach + piece.width];
            let (there, missing) = piece.places.split_at(piece.column(line, column, LEVELS).1);
            for places in there.as_chunks::<2>().0 {
                let tile = &group[quad / PLANE_LINES * TILE_LINES..][..TILE_LINES];
                let steps = unpack_quad(&tile[quad % PLANE_LINES], &tile[PLANE_LINES + quad % PLANE_LINES]);
                for (place, halves) in places.iter().zip(steps) {
                    store_half(&mut leaves[*place], 0, halves[0]);
                    store_half(&mut leaves[*place], 1, halves[1]);
                }
                quad += 1;
            }
            missing.iter().for_each(|place| leaves[*place] = Line::ZERO);
            for step in 0..piece.width {
                let step = &mut leaves[step..][..reach + 1];
                for half in 0..2 {
                    sum::<LEVELS>(step, half);
                }
            }
            to += piece.width;
        }
    }
}

/// Makes the leaves that are sums, of one half of one step, from those that are columns as they are.
#[inline]
#[target_feature(enable = "avx2")]
fn sum<const LEVELS: u32>(step: &mut [Line], half: usize) {
    match LEVELS {
        1 => sum_1::<LEVELS, true>(step, half, 0, columns::<LEVELS, 2>(step, half)),
        2 => sum_2::<LEVELS, true>(step, half, 0, columns::<LEVELS, 4>(step, half)),
        3 => sum_3::<LEVELS, true>(step, half, 0, columns::<LEVELS, 8>(step, half)),
        _ => {
            let v = columns::<LEVELS, 16>(step, half);
            let mut parts = [[v[0]; 8]; 3];
            for (i, [even, odd]) in v.as_chunks::<2>().0.iter().enumerate() {
                (parts[0][i], parts[1][i], parts[2][i]) = (*even, _mm256_add_epi16(*even, *odd), *odd);
            }
            sum_3::<LEVELS, true>(step, half, 0, parts[0]);
            sum_3::<LEVELS, false>(step, half, 27, parts[1]);
            sum_3::<LEVELS, true>(step, half, 54, parts[2]);
        }
    }
}

/// One half of one step of the columns as they are.
#[inline]
#[target_feature(enable = "avx2")]
fn columns<const LEVELS: u32, const COLUMNS: usize>(step: &[Line], half: usize) -> [__m256i; COLUMNS] {
    let mut columns = [_mm256_setzero_si256(); COLUMNS];
    for (column, v) in columns.iter_mut().enumerate() {
        *v = load_half(&step[leaf_of_column(column, LEVELS) * leaf_stride(LEVELS)], half);
    }
    columns
}

/// 27 leaves of eight columns.
#[inline]
#[target_feature(enable = "avx2")]
fn sum_3<const LEVELS: u32, const STORED: bool>(step: &mut [Line], half: usize, leaf: usize, v: [__m256i; 8]) {
    sum_2::<LEVELS, STORED>(step, half, leaf, [v[0], v[2], v[4], v[6]]);
    let mut sums = [v[0]; 4];
    for (sum, v) in sums.iter_mut().zip(v.as_chunks::<2>().0) {
        *sum = _mm256_add_epi16(v[0], v[1]);
    }
    sum_2::<LEVELS, false>(step, half, leaf + 9, sums);
    sum_2::<LEVELS, STORED>(step, half, leaf + 18, [v[1], v[3], v[5], v[7]]);
}

/// Nine leaves of four columns.
#[inline]
#[target_feature(enable = "avx2")]
fn sum_2<const LEVELS: u32, const STORED: bool>(
    step: &mut [Line],
    half: usize,
    leaf: usize,
    [v0, v1, v2, v3]: [__m256i; 4],
) {
    sum_1::<LEVELS, STORED>(step, half, leaf, [v0, v2]);
    sum_1::<LEVELS, false>(step, half, leaf + 3, [_mm256_add_epi16(v0, v1), _mm256_add_epi16(v2, v3)]);
    sum_1::<LEVELS, STORED>(step, half, leaf + 6, [v1, v3]);
}

/// Three leaves of two columns, which may be stored already.
#[inline]
#[target_feature(enable = "avx2")]
fn sum_1<const LEVELS: u32, const STORED: bool>(step: &mut [Line], half: usize, leaf: usize, [v0, v1]: [__m256i; 2]) {
    let stride = leaf_stride(LEVELS);
    if !STORED {
        store_half(&mut step[leaf * stride], half, v0);
        store_half(&mut step[(leaf + 2) * stride], half, v1);
    }
    store_half(&mut step[(leaf + 1) * stride], half, _mm256_add_epi16(v0, v1));
}

/// The two steps of a quad: coordinates 0 and 1, then 2 and 3, in order of records.
#[inline]
#[target_feature(enable = "avx2")]
fn unpack_quad(low: &Line, high: &Line) -> [[__m256i; 2]; 2] {
    let (low, high) = (load(low), load(high));
    let mut steps = [[_mm256_setzero_si256(); 2]; 2];
    for half in 0..2 {
        // Within each 128 bits, the words of records 0 and 1, then 2 and 3; then one double word of each.
        let left = _mm256_castsi256_ps(_mm256_unpacklo_epi8(low[half], high[half]));
        let right = _mm256_castsi256_ps(_mm256_unpackhi_epi8(low[half], high[half]));
        steps[0][half] = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(left, right));
        steps[1][half] = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(left, right));
    }
    steps
}

/// The unpacked leaves of a piece, the probes' steps of them, and the lines to ask for meanwhile.
type Operands<'a> = (&'a [Line], ChunksExact<'a, u32>, &'a [Line]);

/// Adds the products of a piece, with the rows and steps of a leaf as constants.
#[target_feature(enable = "avx2")]
fn multiply_piece(leaves: &Leaves, piece: &Piece, operands: Operands<'_>, sums: &mut [Line]) {
    match (even_block(leaves.rows, STRIP_ROWS), piece.width) {
        (STRIP_ROWS, 1) => multiply::<STRIP_ROWS, 1>(leaves, piece, operands, sums),
        (STRIP_ROWS, 2) => multiply::<STRIP_ROWS, 2>(leaves, piece, operands, sums),
        (3, 1) => multiply::<3, 1>(leaves, piece, operands, sums),
        (3, 2) => multiply::<3, 2>(leaves, piece, operands, sums),
        (2, 1) if leaves.rows == 2 => multiply_pairs::<1>(leaves, piece, operands, sums),
        (2, 2) if leaves.rows == 2 => multiply_pairs::<2>(leaves, piece, operands, sums),
        (2, 1) => multiply::<2, 1>(leaves, piece, operands, sums),
        (2, 2) => multiply::<2, 2>(leaves, piece, operands, sums),
        _ => multiply::<1, 0>(leaves, piece, operands, sums),
    }
}

/// Adds the products of a piece, leaf by leaf, to the sums of each probe and row. `ROWS` rows are multiplied at a time, those of columns of
/// `WIDTH` steps; with `WIDTH` 0 one by one, for any columns.
#[target_feature(enable = "avx2")]
fn multiply<const ROWS: usize, const WIDTH: usize>(
    leaves: &Leaves,
    piece: &Piece,
    (words, steps, next): Operands<'_>,
    sums: &mut [Line],
) {
    let mut probes = steps.zip(sums.chunks_exact_mut(leaves.rows));
    let runs = [piece.run * piece.width, piece.probe_run(leaves.rows)];
    let mut ahead = next.chunks(next.len().div_ceil(leaves.leaves()).max(1));
    for words in words.chunks_exact(leaf_stride(leaves.levels)) {
        let words = &words[..piece.steps()];
        prefetch(ahead.next().unwrap_or_default());
        for (steps, sums) in probes.by_ref().take(leaves.probes) {
            for (strip, sums) in sums.chunks_mut(ROWS).enumerate() {
                let first = strip * ROWS * piece.width;
                if WIDTH > 0 && sums.len() == ROWS {
                    multiply_strip::<ROWS, WIDTH>(words, steps, first, runs, sums);
                    continue;
                }
                for (row, sum) in sums.iter_mut().enumerate() {
                    let first = first + row * piece.width;
                    multiply_strip::<1, 1>(words, steps, first, runs, std::slice::from_mut(sum));
                }
            }
        }
    }
}

/// The same where a leaf has two rows: those of two probes are multiplied at a time.
#[target_feature(enable = "avx2")]
fn multiply_pairs<const WIDTH: usize>(
    leaves: &Leaves,
    piece: &Piece,
    (words, steps, next): Operands<'_>,
    sums: &mut [Line],
) {
    let mut probes = steps.zip(sums.as_chunks_mut::<2>().0);
    let runs = [piece.run * piece.width, piece.probe_run(2)];
    let mut ahead = next.chunks(next.len().div_ceil(leaves.leaves()).max(1));
    for words in words.chunks_exact(leaf_stride(leaves.levels)) {
        let words = &words[..piece.steps()];
        prefetch(ahead.next().unwrap_or_default());
        let mut left = leaves.probes;
        while left > 0 {
            match (probes.next(), (left > 1).then(|| probes.next()).flatten()) {
                (Some(one), Some(other)) => multiply_two::<WIDTH>(words, [one.0, other.0], runs, [one.1, other.1]),
                (Some((steps, sums)), None) => multiply_strip::<2, WIDTH>(words, steps, 0, runs, sums),
                (None, _) => {}
            }
            left = left.saturating_sub(2);
        }
    }
}

/// Products of `ROWS` rows, each of which starts `WIDTH` steps after the one before, added to their sums. Every `run` steps of the words start
/// anew, `probe_run` steps after the last start in the probe; `first` is the step of the first row.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_strip<const ROWS: usize, const WIDTH: usize>(
    words: &[Line],
    steps: &[u32],
    first: usize,
    [run, probe_run]: [usize; 2],
    sums: &mut [Line],
) {
    let mut rows = [[_mm256_setzero_si256(); 2]; ROWS];
    let reach = (ROWS - 1) * WIDTH + 1;
    for (words, steps) in words.chunks_exact(run).zip(steps.chunks_exact(probe_run)) {
        for (lanes, steps) in words.iter().zip(steps[first..].windows(reach)) {
            multiply_step::<ROWS, WIDTH>(load(lanes), steps, &mut rows);
        }
    }
    add(&rows, sums);
}

/// The same for two probes with two rows each.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_two<const WIDTH: usize>(
    words: &[Line],
    [one, other]: [&[u32]; 2],
    [run, probe_run]: [usize; 2],
    sums: [&mut [Line; 2]; 2],
) {
    let mut rows = [[[_mm256_setzero_si256(); 2]; 2]; 2];
    let probes = one.chunks_exact(probe_run).zip(other.chunks_exact(probe_run));
    for (words, (one, other)) in words.chunks_exact(run).zip(probes) {
        for ((lanes, one), other) in words.iter().zip(one.windows(WIDTH + 1)).zip(other.windows(WIDTH + 1)) {
            let lanes = load(lanes);
            multiply_step::<2, WIDTH>(lanes, one, &mut rows[0]);
            multiply_step::<2, WIDTH>(lanes, other, &mut rows[1]);
        }
    }
    for (rows, sums) in rows.iter().zip(sums) {
        add(rows, sums);
    }
}

/// Adds the products of one step of 16 records with as many rows.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_step<const ROWS: usize, const WIDTH: usize>(
    lanes: [__m256i; 2],
    steps: &[u32],
    rows: &mut [[__m256i; 2]; ROWS],
) {
    for (row, sums) in rows.iter_mut().enumerate() {
        let word = _mm256_set1_epi32(steps[row * WIDTH].cast_signed());
        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(lanes[0], word));
        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(lanes[1], word));
    }
}

/// Adds what a strip has summed.
#[inline]
#[target_feature(enable = "avx2")]
fn add(rows: &[[__m256i; 2]], sums: &mut [Line]) {
    for (row, sum) in rows.iter().zip(sums) {
        let before = load(sum);
        store_half(sum, 0, _mm256_add_epi32(before[0], row[0]));
        store_half(sum, 1, _mm256_add_epi32(before[1], row[1]));
    }
}

/// The low words of 16 sums.
#[inline]
#[target_feature(enable = "avx2")]
fn low(sums: &Line, products: &mut Lanes) {
    // SAFETY: 16 words are 32 bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(products.as_mut_ptr().cast(), low_words(load(sums))) };
}
