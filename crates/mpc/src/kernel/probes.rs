//! Probe rows in the forms that the kernels multiply with.
//!
//! Each is built at its first use and kept, as a search multiplies the same rows with one part of the gallery after another.
//!
//! *Word form*, for every kernel that multiplies 16-bit words: rows in blocks of at most 12; in a block, for each quad
//! of coordinates two steps, first coordinates (0, 2) then (1, 3) of the quad, and in a step one 32-bit word per row,
//! which a kernel broadcasts to all lanes. That order is the one in which a line's bytes fall into words with one shift
//! and one select.
//!
//! *Byte form*, for AMX: rows in tiles of at most 16; for each tile of 64 coordinates the rows'
//! low bytes, then the rows' high bytes, one line per row: the A operand of the byte product.
//!
//! *Leaves* ([`super::rotations`]), for AVX2: rows that are shifts of one another, with fewer products.
//!
//! Rows are spread evenly over blocks (17 rows make two tiles of 9 rows, not one of 16 and one of 1), as the time of a
//! product grows with the rows in its block. The missing rows of the last block are zero and their products unused.

#![expect(clippy::indexing_slicing, reason = "numeric code; offsets follow from the geometry and are checked by slices")]

use std::fmt;
use std::sync::OnceLock;

use super::layout::{Layout, Line, PLANE_LINES, QUAD, TILE_COORDINATES};
use super::rotations::{Leaves, Rotations};
use super::system::prefer_large_pages;

/// Most rows in a block of the word form: 12 rows by 32 records fill 24 of 32 vector registers.
pub(super) const MAX_BLOCK_ROWS: usize = 12;
/// Most rows in a tile of the byte form, a limit of AMX.
const MAX_TILE_ROWS: usize = 16;
/// Steps of the word form in a tile of 64 coordinates.
pub(super) const TILE_STEPS: usize = TILE_COORDINATES / 2;

/// Probe rows of one length, prepared for inner products with the records of a gallery. Zeroed when dropped.
pub struct Probes {
    layout: Layout,
    rows: usize,
    values: Vec<u16>,
    words: OnceLock<WordForm>,
    bytes: OnceLock<ByteForm>,
    rotations: Option<Rotations>,
    leaves: OnceLock<Leaves>,
}

impl Probes {
    /// Prepares `rows`, one row of `record_len` words after the other.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows: an error of the caller.
    pub fn new(record_len: usize, rows: &[u16]) -> Self {
        let layout = Layout::new(record_len);
        let count = rows.len().checked_div(record_len).unwrap_or(0);
        assert_eq!(rows.len(), count * record_len, "probe rows are {record_len} words each");
        let (words, bytes, leaves) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { layout, rows: count, values: rows.to_vec(), words, bytes, rotations: None, leaves }
    }

    /// Says that the rows are whole probes of rows that are shifts of one another, so that a kernel may save products.
    ///
    /// # Panics
    /// If they are not whole probes, or records have another length: errors of the caller. That rows are shifted as stated is checked in debug
    /// builds.
    #[must_use]
    pub fn with_rotations(mut self, rotations: Rotations) -> Self {
        assert_eq!(self.record_len(), rotations.record_len(), "the rotations are of records of this length");
        assert!(self.rows.is_multiple_of(rotations.count()), "the rows are whole probes");
        debug_assert!(rotations.describe(&self.values), "rows are shifted as stated");
        self.rotations = Some(rotations);
        self
    }

    /// Number of probe rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Words in each row.
    pub fn record_len(&self) -> usize {
        self.layout.record_len()
    }

    /// Bytes of all rows in one form, to decide what fits into a cache.
    pub(super) fn form_bytes(&self) -> usize {
        let block = even_block(self.rows, MAX_BLOCK_ROWS);
        self.rows.div_ceil(block) * block * self.layout.tiles() * TILE_STEPS * size_of::<u32>()
    }

    /// The blocks of the word form, in row order. The form is built now if this is its first use.
    pub(super) fn word_blocks(&self) -> impl Iterator<Item = WordBlock<'_>> {
        let WordForm { width, words } = self.words.get_or_init(|| WordForm::new(self));
        let len = self.layout.tiles() * TILE_STEPS * width;
        (0..self.rows.div_ceil(*width)).map(move |block| WordBlock {
            first_row: block * width,
            rows: (*width).min(self.rows - block * width),
            width: *width,
            words: &words[block * len..][..len],
        })
    }

    /// The byte form, built now if this is its first use.
    pub(super) fn byte_form(&self) -> &ByteForm {
        self.bytes.get_or_init(|| ByteForm::new(self))
    }

    /// The leaves of rotated rows, made now if this is their first use.
    pub(super) fn leaves(&self) -> Option<&Leaves> {
        let rotations = self.rotations.as_ref().filter(|_| self.rows > 0)?;
        Some(self.leaves.get_or_init(|| Leaves::new(rotations, &self.values)))
    }

    fn each_row(&self) -> impl Iterator<Item = &[u16]> {
        self.values.chunks_exact(self.record_len().max(1))
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        // As `zeroize` does, but with vector stores: rows of irises are many.
        self.values.fill(0);
        zeroize::optimization_barrier(self.values.as_slice());
        if let Some(form) = self.words.get_mut() {
            form.words.fill(0);
            zeroize::optimization_barrier(form.words.as_slice());
        }
        if let Some(form) = self.bytes.get_mut() {
            form.lines.fill(Line::ZERO);
            zeroize::optimization_barrier(form.lines.as_slice());
        }
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").field("record_len", &self.record_len()).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// All rows in word form.
struct WordForm {
    width: usize,
    words: Vec<u32>,
}

impl WordForm {
    fn new(probes: &Probes) -> Self {
        let width = even_block(probes.rows, MAX_BLOCK_ROWS);
        let len = probes.layout.tiles() * TILE_STEPS * width;
        let mut words = vec![0; probes.rows.div_ceil(width) * len];
        for (index, row) in probes.each_row().enumerate() {
            let column = index % width;
            let block = &mut words[index / width * len..][..len];
            for (quad, coordinates) in row.chunks(QUAD).enumerate() {
                let at = |i| u32::from(coordinates.get(i).copied().unwrap_or(0));
                block[2 * quad * width + column] = at(0) | at(2) << 16;
                block[(2 * quad + 1) * width + column] = at(1) | at(3) << 16;
            }
        }
        Self { width, words }
    }
}

/// Up to 12 rows in word form.
#[derive(Clone, Copy)]
pub(super) struct WordBlock<'a> {
    /// Index of the first row.
    pub(super) first_row: usize,
    /// Rows that exist; the rest of the width is zero.
    pub(super) rows: usize,
    /// Words per step.
    pub(super) width: usize,
    /// Steps after one another.
    pub(super) words: &'a [u32],
}

impl<'a> WordBlock<'a> {
    /// The steps of a range of tiles.
    pub(super) fn steps(&self, tiles: &std::ops::Range<usize>) -> &'a [u32] {
        &self.words[tiles.start * TILE_STEPS * self.width..tiles.end * TILE_STEPS * self.width]
    }
}

/// All rows in byte form.
pub(super) struct ByteForm {
    tile_rows: usize,
    tiles: usize,
    lines: Vec<Line>,
}

impl ByteForm {
    fn new(probes: &Probes) -> Self {
        let tile_rows = even_block(probes.rows, MAX_TILE_ROWS);
        let tiles = probes.layout.tiles();
        let count = probes.rows.div_ceil(tile_rows) * tiles * 2 * tile_rows;
        let mut lines = Vec::with_capacity(count);
        prefer_large_pages(&mut lines);
        lines.resize(count, Line::ZERO);
        for (index, row) in probes.each_row().enumerate() {
            let block = &mut lines[index / tile_rows * tiles * 2 * tile_rows..][..tiles * 2 * tile_rows];
            for (tile, coordinates) in block.chunks_exact_mut(2 * tile_rows).zip(row.chunks(TILE_COORDINATES)) {
                let (low, high) = tile.split_at_mut(tile_rows);
                let (low, high) = (&mut low[index % tile_rows], &mut high[index % tile_rows]);
                for ((low, high), word) in low.0.iter_mut().zip(&mut high.0).zip(coordinates) {
                    [*low, *high] = word.to_le_bytes();
                }
            }
        }
        Self { tile_rows, tiles, lines }
    }

    /// Rows in every tile, at most 16.
    pub(super) fn tile_rows(&self) -> usize {
        self.tile_rows
    }

    /// The lines of a tile of rows, over a range of tiles of coordinates.
    pub(super) fn lines(&self, row_tile: usize, tiles: &std::ops::Range<usize>) -> &[Line] {
        let tile_lines = 2 * self.tile_rows;
        let base = row_tile * self.tiles * tile_lines;
        &self.lines[base + tiles.start * tile_lines..base + tiles.end * tile_lines]
    }
}

/// The least block size, at most `limit`, that covers the rows with as few blocks as `limit` would.
pub(super) fn even_block(rows: usize, limit: usize) -> usize {
    rows.div_ceil(rows.div_ceil(limit).max(1)).max(1)
}

const _: () = assert!(MAX_TILE_ROWS <= PLANE_LINES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_spread_evenly() {
        for (rows, limit, block) in [(0, 12, 1), (1, 12, 1), (12, 12, 12), (13, 12, 7), (31, 16, 16), (33, 16, 11)] {
            assert_eq!(even_block(rows, limit), block, "{rows} rows");
        }
    }

    #[test]
    fn both_forms_hold_every_word() {
        for (record_len, count) in [(2, 1), (66, 13), (64, 17), (130, 33)] {
            let rows: Vec<u16> = (0..record_len * count).map(|i| u16::try_from(i * 40_503 % 65_521).unwrap()).collect();
            let probes = Probes::new(record_len, &rows);
            let form = probes.byte_form();
            for row in 0..count {
                for coordinate in 0..record_len {
                    let expected = rows[row * record_len + coordinate];
                    let block = probes.word_blocks().nth(row / probes.word_blocks().next().unwrap().width).unwrap();
                    let (quad, i) = (coordinate / QUAD, coordinate % QUAD);
                    let pair = block.words[(2 * quad + i % 2) * block.width + row - block.first_row];
                    assert_eq!((pair >> (16 * (i / 2)) & 0xffff) as u16, expected);
                    let tile = coordinate / TILE_COORDINATES;
                    let lines = form.lines(row / form.tile_rows(), &(tile..tile + 1));
                    let (line, at) = (row % form.tile_rows(), coordinate % TILE_COORDINATES);
                    assert_eq!(u16::from_le_bytes([lines[line].0[at], lines[line + form.tile_rows()].0[at]]), expected);
                }
            }
        }
    }
}
