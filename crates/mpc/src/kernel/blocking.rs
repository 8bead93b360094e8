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

/// Tiles in a piece: 32 records by 8 tiles are 32 KiB. Covers 512 coordinates without partial sums.
pub(super) const PIECE_TILES: usize = 8;
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

/// All pieces of a run in the order in which to compute them.
pub(super) fn pieces(run: &Run<'_>, probes: &Probes) -> impl Iterator<Item = Piece> {
    let (pairs, tiles) = (run.pairs(), run.layout().tiles());
    let block = if probes.form_bytes() <= RESIDENT_PROBE_BYTES { 1 } else { BLOCK_PAIRS };
    (0..pairs).step_by(block).flat_map(move |first| {
        (0..tiles).step_by(PIECE_TILES).flat_map(move |tile| {
            (first..pairs.min(first + block)).map(move |pair| Piece {
                pair,
                tiles: tile..tiles.min(tile + PIECE_TILES),
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
}
