//! Byte products on AMX tiles.
//!
//! With x = x0 + 256 x1 and y likewise, xy = x0 y0 + 256 (x0 y1 + x1 y0) modulo 2^16: three products of byte planes,
//! summed in two accumulators of 32 bits that may wrap. Rows of probes are the A operand, a group of records is the B
//! operand exactly as it is stored, and so a row of the result is one probe row against 16 records.
//!
//! The eight registers hold two results and their operands ([`tiles`]). With many rows these are one tile of rows against two groups, and
//! rows pass while records stay in the first-level cache; with few rows they are two tiles of rows against one group, and records pass once,
//! in the order of memory. Tiles leave through memory: the sums of one strip are finished in between the steps of the next one, and
//! those of the second result are stored after the next products of the first, so that the tile unit never waits for either.
//!
//! The operating system grants a process the tile state on request; [`available`] makes that request once.

#![expect(clippy::indexing_slicing, reason = "numeric code; constant array lengths")]
#![expect(unsafe_code, reason = "calls that need processor features, and stores of sums to rows of the output")]

use std::arch::x86_64::{
    __cpuid_count, __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_add_epi32, _mm512_mask_cvtepi32_storeu_epi16,
    _mm512_slli_epi32,
};
use std::ops::Range;
use std::sync::LazyLock;

use super::avx512::{load, store_row};
use super::blocking::{self, Products, Window};
use super::layout::{GROUP_RECORDS, Line, Run, TILE_LINES};
use super::probes::{ByteForm, Probes};
use super::system::request_tiles;
use super::x86::Ahead;

mod tiles;

use tiles::{Sums, Tiles};

/// Whether the processor has AMX byte products, the AVX-512 instructions that finish them, and the system's leave to
/// use tiles.
pub(super) fn available() -> bool {
    static GRANTED: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && has_amx_int8() && request_tiles()
    });
    *GRANTED
}

/// CPUID leaf 7, EDX: bit 24 is AMX-TILE, bit 25 AMX-INT8.
fn has_amx_int8() -> bool {
    !cfg!(miri) && __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx >> 24 & 3 == 3
}

/// How far ahead of its use memory is asked for where records pass, in tiles of coordinates of a group.
const FAR_TILES: usize = 4;

/// Inner products of a run.
pub(super) fn products(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    assert!(available(), "this machine cannot run the AMX kernel");
    let form = probes.byte_form();
    // SAFETY: `available` found AVX-512F and BW.
    unsafe {
        match probes.rows().div_ceil(form.tile_rows()) {
            1 => records_pass::<1>(run, form, probes.rows(), out),
            2 => records_pass::<2>(run, form, probes.rows(), out),
            _ => rows_pass(run, probes, out),
        }
    }
}

/// Many rows: a piece of two groups stays in the first-level cache while the tiles of rows pass.
///
/// The sums of each strip (a tile of rows against a piece) are finished in between the steps of the next strip: so the
/// tile unit never waits, and the stores of the tiles are done before their bytes are read.
#[target_feature(enable = "avx512f,avx512bw")]
fn rows_pass(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    let form = probes.byte_form();
    let row_tiles = probes.rows().div_ceil(form.tile_rows());
    let mut tiles = Tiles::configure(form.tile_rows());
    let mut buffers = [Sums::ZERO; 2];
    let [mut current, mut previous] = buffers.each_mut();
    let mut pending = Strip { rows: 0..0, first_record: 0, starts: true };
    // Rows leave the cache to the records, so pieces are as long as it allows.
    let mut pieces = blocking::pieces(run, probes, blocking::PIECE_TILES).peekable();
    while let Some(piece) = pieces.next() {
        let [left, right] = run.pair(piece.pair, &piece.tiles);
        let next = pieces.peek().map_or([&[][..]; 2], |next| run.pair(next.pair, &next.tiles));
        for row_tile in 0..row_tiles {
            let mut ahead = Ahead::new(next, row_tile, row_tiles, piece.tiles.len());
            let mut window = out.window(pending.rows.clone(), pending.first_record);
            let lines = form.lines(row_tile, &piece.tiles).chunks_exact(2 * form.tile_rows());
            let groups = left.chunks_exact(TILE_LINES).zip(right.chunks_exact(TILE_LINES));
            let rows_per_step = window.rows().div_ceil(piece.tiles.len());
            let mut finished = 0;
            for (step, (lines, (left, right))) in lines.zip(groups).enumerate() {
                tiles.load_passing_rows(lines);
                tiles.load_records(left);
                tiles.multiply_first();
                if step == 0 {
                    tiles.store_second(previous);
                }
                tiles.load_records(right);
                tiles.multiply_second();
                ahead.prefetch();
                let until = window.rows().min(finished + rows_per_step);
                for row in finished..until {
                    finish_pair(previous, row, pending.starts, &mut window);
                }
                finished = until;
            }
            tiles.store_first(current);
            let first_row = row_tile * form.tile_rows();
            let rows = first_row..probes.rows().min(first_row + form.tile_rows());
            pending = Strip { rows, first_record: piece.first_record(), starts: piece.starts };
            std::mem::swap(&mut current, &mut previous);
        }
    }
    tiles.store_second(previous);
    let mut window = out.window(pending.rows.clone(), pending.first_record);
    for row in 0..window.rows() {
        finish_pair(previous, row, pending.starts, &mut window);
    }
}

/// Where the sums of a tile of rows and a piece go.
struct Strip {
    rows: Range<usize>,
    first_record: usize,
    starts: bool,
}

/// Few rows, in one tile or two: they stay in a cache while records pass, group after group from front to back.
#[target_feature(enable = "avx512f,avx512bw")]
fn records_pass<const ROW_TILES: usize>(run: &Run<'_>, form: &ByteForm, rows: usize, out: &mut Products<'_>) {
    let whole = 0..run.layout().tiles();
    let mut tiles = Tiles::configure(form.tile_rows());
    let mut buffers = [Sums::ZERO; 2];
    let [mut current, mut previous] = buffers.each_mut();
    // Nothing is finished while the first group is multiplied.
    let mut pending = (0..0, 0);
    let rows_per_step = rows.div_ceil(whole.len());
    for record in (0..run.records()).step_by(GROUP_RECORDS) {
        let (pair, half) = (record / (2 * GROUP_RECORDS), record / GROUP_RECORDS % 2);
        let group = run.pair(pair, &whole)[half].chunks_exact(TILE_LINES);
        let [first, second] = [0, ROW_TILES - 1].map(|tile| form.lines(tile, &whole).chunks_exact(2 * form.tile_rows()));
        for (step, (group, (first, second))) in group.zip(first.zip(second)).enumerate() {
            prefetch_far(group);
            tiles.load_records(group);
            tiles.load_rows(first);
            tiles.multiply_first();
            if ROW_TILES > 1 {
                if step == 0 {
                    tiles.store_second(previous);
                }
                tiles.load_rows(second);
                tiles.multiply_second();
            }
            let (rows, record) = &mut pending;
            for row in rows.by_ref().take(rows_per_step) {
                finish(previous, row, form.tile_rows(), out.segment(row, *record, GROUP_RECORDS));
            }
        }
        tiles.store_first(current);
        pending = (0..rows, record);
        std::mem::swap(&mut current, &mut previous);
    }
    tiles.store_second(previous);
    let (rows, record) = pending;
    for row in rows {
        finish(previous, row, form.tile_rows(), out.segment(row, record, GROUP_RECORDS));
    }
}

/// Asks for the tile that is so far behind this one in memory.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch_far(tile: &[Line]) {
    for line in 0..TILE_LINES {
        // A hint: it may point behind the lines, as it accesses nothing in the sense of the language and cannot fault.
        _mm_prefetch::<_MM_HINT_T1>(tile.as_ptr().wrapping_add(FAR_TILES * TILE_LINES + line).cast());
    }
}

/// Stores or adds one row of sums: of the first result with the left, of the second with the right half of 32 records.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn finish_pair(sums: &Sums, row: usize, starts: bool, window: &mut Window<'_>) {
    let [low_left, middle_left, low_right, middle_right] = sums.0.each_ref().map(|tile| &tile[row]);
    store_row(combine(low_left, middle_left), combine(low_right, middle_right), starts, window, row);
}

/// Stores one row of sums with up to 16 records: the rows of the second result follow those of the first.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn finish(sums: &Sums, row: usize, tile_rows: usize, segment: &mut [u16]) {
    let tile = 2 * (row / tile_rows);
    let sums = combine(&sums.0[tile][row % tile_rows], &sums.0[tile + 1][row % tile_rows]);
    let mask = u16::try_from((1u32 << segment.len().min(GROUP_RECORDS)) - 1).unwrap_or(u16::MAX);
    // SAFETY: the low words of as many sums as the segment has words are written to it.
    unsafe { _mm512_mask_cvtepi32_storeu_epi16(segment.as_mut_ptr().cast(), mask, sums) };
}

/// Low sums plus 256 times middle sums, for 16 records.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn combine(low: &Line, middle: &Line) -> __m512i {
    _mm512_add_epi32(load(low), _mm512_slli_epi32::<8>(load(middle)))
}
