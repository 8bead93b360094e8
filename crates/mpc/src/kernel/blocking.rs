//! The order in which every kernel walks a run, so that bytes are used again while they are in a cache.
//!
//! A *piece* is a pair of groups (32 records) cut to a few tiles of coordinates: small enough for the first-level cache,
//! in which it stays while all probe rows pass. Where all probe rows fit into the second-level cache, pieces follow the
//! order of memory; otherwise a block of records takes the same tiles of the probes before the next tiles are brought in,
//! and partial sums wait in the output.

#![expect(clippy::indexing_slicing, reason = "numeric code; the segments of the output are checked by slices")]

use std::ops::Range;

use super::layout::{PAIR_RECORDS, Run};
use super::probes::Probes;

/// Most tiles in a piece: 32 records by 8 tiles are 32 KiB. Covers 512 coordinates without partial sums.
pub(super) const PIECE_TILES: usize = 8;
/// Tiles in a piece of longer records, which need partial sums anyway, for kernels whose probe rows pass through the first-level cache:
/// 24 KiB leave room for them. Measured on irises against 4, 5 and 8: 8 % faster than 8.
pub(super) const LONG_PIECE_TILES: usize = 6;
/// Probe bytes that are assumed to stay in the second-level cache beside the gallery's stream.
const RESIDENT_PROBE_BYTES: usize = 1 << 20;
/// Pairs that share the tiles of the probes when these do not all fit.
const BLOCK_PAIRS: usize = 16;

/// A pair of groups, cut to some tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) pair: usize,
    pub(super) tiles: Range<usize>,
    /// Whether the piece starts its records' sums (store) or continues them (add).
    pub(super) starts: bool,
}

impl Piece {
    /// Index in the run of the first record.
    pub(super) fn first_record(&self) -> usize {
        self.pair * PAIR_RECORDS
    }
}

/// All pieces of a run in the order in which to compute them. Records that need several have `long` tiles in each.
pub(super) fn pieces(run: &Run<'_>, probes: &Probes, long: usize) -> impl Iterator<Item = Piece> {
    let (pairs, tiles) = (run.pairs(), run.layout().tiles());
    let piece = if tiles <= PIECE_TILES { PIECE_TILES } else { long };
    let block = if probes.form_bytes() <= RESIDENT_PROBE_BYTES { 1 } else { BLOCK_PAIRS };
    (0..pairs).step_by(block).flat_map(move |first| {
        (0..tiles).step_by(piece).flat_map(move |tile| {
            (first..pairs.min(first + block)).map(move |pair| Piece {
                pair,
                tiles: tile..tiles.min(tile + piece),
                starts: tile == 0,
            })
        })
    })
}

/// Where the products of one run go: a window of columns in a row-major matrix with one row per probe row.
pub(super) struct Products<'a> {
    values: &'a mut [u16],
    stride: usize,
    columns: Range<usize>,
}

impl<'a> Products<'a> {
    /// The window `columns` of a matrix whose rows are `stride` long.
    pub(super) fn new(values: &'a mut [u16], stride: usize, columns: Range<usize>) -> Self {
        Self { values, stride, columns }
    }

    /// The products of a row with up to `count` records from `first` on; fewer where the run ends earlier.
    #[inline]
    pub(super) fn segment(&mut self, row: usize, first: usize, count: usize) -> &mut [u16] {
        let start = (self.columns.start + first).min(self.columns.end);
        let end = (start + count).min(self.columns.end);
        &mut self.values[row * self.stride + start..row * self.stride + end]
    }

    /// The same for several rows at once and up to 32 records, as a place for vector stores.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) fn window(&mut self, rows: Range<usize>, first: usize) -> Window<'_> {
        let start = (self.columns.start + first).min(self.columns.end);
        let end = (start + PAIR_RECORDS).min(self.columns.end);
        let values = match rows.is_empty() {
            true => &mut [],
            false => &mut self.values[rows.start * self.stride + start..(rows.end - 1) * self.stride + end],
        };
        let missing = u32::try_from(PAIR_RECORDS - (end - start)).unwrap_or(u32::BITS);
        Window { values, stride: self.stride, rows: rows.len(), mask: u32::MAX.unbounded_shr(missing) }
    }
}

/// A few rows of up to 32 columns of the output.
///
/// Invariant: row `r < rows` is the words of `values[r * stride ..]` for which the mask has a bit, from the lowest bit on,
/// and these lie within the values.
#[cfg(target_arch = "x86_64")]
pub(super) struct Window<'a> {
    values: &'a mut [u16],
    stride: usize,
    rows: usize,
    mask: u32,
}

#[cfg(target_arch = "x86_64")]
impl Window<'_> {
    /// Rows in the window.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Start of a row, of which as many words as the mask has bits may be accessed.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub(super) fn row(&mut self, row: usize) -> (*mut u16, u32) {
        assert!(row < self.rows);
        // By the invariant the offset lies within the values.
        (self.values.as_mut_ptr().wrapping_add(row * self.stride), self.mask)
    }
}
