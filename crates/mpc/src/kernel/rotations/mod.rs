//! Probe rows that are cyclic shifts of one another, such as the rotations of an iris code, with fewer products.
//!
//! A record is cut into lines of columns, and row `n` has the columns of the last row shifted by as many places as it stands before
//! that. With v the columns of a record and t those of the last row, row `count - 1 - m` has the product y(m) = sum over c of v(c) t(c + m): a
//! Hankel matrix times a vector. Halving by parity, in columns (c = 2i + b) and in shifts (m = 2j + a), gives
//!
//! ```text
//! y0 = T0 v0 + T1 v1    P0 = (T0 - T1) v0    P1 = T1 (v0 + v1)    P2 = (T2 - T1) v1
//! y1 = T1 v0 + T2 v1    y0 = P0 + P1         y1 = P1 + P2
//! ```
//!
//! where Ti has the columns t(2i' + i): three products of a quarter of the size instead of four. It holds in any ring, so modulo 2^16 bit for
//! bit. Three levels take 27 of 64 products, four 81 of 256. Where the columns of a line are no multiple of what the levels ask for, columns
//! of zeros follow them. (Karatsuba's idea; for filters, Mou and Duhamel, "Short-length FIR filters and their use in
//! fast nonrecursive filtering", IEEE Trans. Signal Processing 39(6), 1991; for matrices of this shape, Fan and Hasan, "A new approach to
//! subquadratic space complexity parallel multipliers for extended binary fields", IEEE Trans. Computers 56(2), 2007.) The sums v0 + v1 are
//! made once per record and serve all probes, the differences of t once per probe. A product of the smallest size is a *leaf*; its number
//! has the digits 0, 1, 2 of the levels, first level first.
//!
//! Steps are two adjacent words of each of 16 records. This form serves AVX2; the tiles of AMX want 16 rows, not the 4 of a leaf.

#![expect(clippy::indexing_slicing, reason = "numeric code; offsets follow from the geometry and are checked by slices")]

use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use super::layout::{GROUP_RECORDS, PLANE_LINES, TILE_LINES};
use super::probes::even_block;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;

/// Most levels of halving.
const MAX_LEVELS: u32 = 4;
/// Rows of a leaf that are multiplied at a time, as there are 16 vector registers.
const STRIP_ROWS: usize = 4;
/// What unpacking and making sums takes with so many levels, in the time of one row of a leaf. Measured on a Zen 3 core.
const SUMS_COST: [f64; MAX_LEVELS as usize + 1] = [0.0, 2.5, 2.5, 2.5, 4.0];

/// Most steps of a leaf in a piece, so that all leaves take some part of a second-level cache: of an iris's code two lines. 27 leaves take
/// 174 KiB, 81 take 274.
const fn piece_steps(levels: u32) -> usize {
    if levels < MAX_LEVELS { 100 } else { 52 }
}

/// Lines from one leaf to the next: an odd number, so that they do not all compete for the same places of a cache.
const fn leaf_stride(levels: u32) -> usize {
    piece_steps(levels) + 1
}

/// How the rows of a probe are shifts of one another.
///
/// A record is lines of `columns` columns each, some lines of one width after others of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotations {
    columns: usize,
    count: usize,
    /// Lines and words per column.
    parts: Vec<(usize, usize)>,
}

impl Rotations {
    /// Probes of `count` rows, in which each row has the columns of the row before shifted by one place towards higher places;
    /// `parts` has pairs of a number of lines and their words per column. `None` where the shifts cannot be halved, or that saves nothing.
    pub fn new(columns: usize, count: usize, parts: &[(usize, usize)]) -> Option<Self> {
        let steps = parts.iter().all(|(_, width)| width.is_multiple_of(2) && *width > 0);
        let rotations = Self { columns, count, parts: parts.to_vec() };
        (steps && count <= columns && rotations.levels(1) > 0).then_some(rotations)
    }

    /// Rows of a probe.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Words of a record.
    pub fn record_len(&self) -> usize {
        self.parts.iter().map(|(lines, width)| lines * self.columns * width).sum()
    }

    /// All rows of a probe, from its first one.
    ///
    /// # Panics
    /// If the row has another length than a record: an error of the caller.
    pub fn rows(&self, first: &[u16]) -> Vec<u16> {
        assert_eq!(first.len(), self.record_len(), "a row has the length of a record");
        let mut rows = Vec::with_capacity(self.count * first.len());
        for shift in 0..self.count {
            let mut rest = first;
            for &(lines, width) in &self.parts {
                let (part, after) = rest.split_at(lines * self.columns * width);
                rest = after;
                for line in part.chunks_exact((self.columns * width).max(1)) {
                    let (stay, turn) = line.split_at((self.columns - shift) * width);
                    rows.extend_from_slice(turn);
                    rows.extend_from_slice(stay);
                }
            }
        }
        rows
    }

    /// Whether whole probes of rows are shifted in this way.
    pub(crate) fn describe(&self, rows: &[u16]) -> bool {
        let len = self.record_len();
        rows.chunks(self.count * len).all(|probe| probe == self.rows(&probe[..len]))
    }

    /// The levels that cost least for so many probes.
    fn levels(&self, probes: usize) -> u32 {
        let cost = |level: u32| {
            let rows = self.count.div_ceil(1 << level) * probes;
            let padded = self.columns.next_multiple_of(1 << level);
            padded as f64 * 1.5f64.powi(level.cast_signed()) * (rows as f64 + SUMS_COST[level as usize])
        };
        // Lines start with whole quads, and a column fits a piece.
        let fits = |level| self.parts.iter().all(|(_, width)| width / 2 <= piece_steps(level));
        let possible = (0..=MAX_LEVELS).filter(|level| *level == 0 || (self.columns.is_multiple_of(2) && fits(*level)));
        possible.min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(0)
    }
}

/// Probes in the form of leaves.
pub(super) struct Leaves {
    /// Probes, and rows of each.
    probes: usize,
    count: usize,
    levels: u32,
    /// Rows of a leaf.
    rows: usize,
    pieces: Vec<Piece>,
    /// For each piece, leaf, probe and line after one another: the steps of the piece's columns and of as many more as a leaf has rows but one.
    steps: Vec<u32>,
}

/// Leaf columns of some whole lines, or a part of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    /// Steps per column.
    width: usize,
    /// Lines, and leaf columns of each.
    runs: usize,
    run: usize,
    /// Word of the record with which its first line starts, and the first leaf column that it takes of a line.
    line: usize,
    first: usize,
    /// Columns of a line.
    line_columns: usize,
    /// Where the steps of the columns of a leaf column go, in their order in the record: leaf after leaf, each with all steps of the piece.
    places: Vec<usize>,
}

impl Piece {
    /// Steps of one leaf.
    fn steps(&self) -> usize {
        self.runs * self.run * self.width
    }

    /// Step of the record with which a leaf column of a line starts, and how many steps it has: fewer at the end of a line.
    #[inline(always)]
    fn column(&self, line: usize, column: usize, levels: u32) -> (usize, usize) {
        let first = (self.first + column) << levels;
        let start = self.line / 2 + (line * self.line_columns + first) * self.width;
        (start, self.places.len().min((self.line_columns - first) * self.width))
    }

    /// Lines of a group that hold the piece, but for the rest of the tile in which it ends.
    fn lines(&self, levels: u32) -> Range<usize> {
        let (start, _) = self.column(0, 0, levels);
        let (last, steps) = self.column(self.runs - 1, self.run - 1, levels);
        let [start, end] = [start, last + steps].map(|step| step / 2 / PLANE_LINES * TILE_LINES);
        start..end
    }

    /// Steps of one line of one leaf of a probe.
    fn probe_run(&self, rows: usize) -> usize {
        (self.run + rows - 1) * self.width
    }

    /// Steps of one leaf of a probe.
    fn probe_steps(&self, rows: usize) -> usize {
        self.runs * self.probe_run(rows)
    }
}

impl Leaves {
    /// `rows` are whole probes, each row of which has the length that the rotations say.
    pub(super) fn new(rotations: &Rotations, rows: &[u16]) -> Self {
        let len = rotations.record_len();
        let probes: Vec<&[u16]> = rows.chunks_exact((rotations.count * len).max(1)).collect();
        let levels = rotations.levels(probes.len());
        let mut form = Self {
            probes: probes.len(),
            count: rotations.count,
            levels,
            rows: rotations.count.div_ceil(1 << levels),
            pieces: Vec::new(),
            steps: Vec::new(),
        };
        let mut start = 0;
        for &(lines, width) in &rotations.parts {
            form.cut(start, lines, rotations.columns, width);
            start += lines * rotations.columns * width;
        }
        let last_rows: Vec<_> = probes.iter().map(|rows| &rows[(rotations.count - 1) * len..]).collect();
        // Room for all: a vector that grows leaves copies of shares behind.
        let mut steps = Vec::with_capacity(form.pieces.iter().map(|piece| form.steps_in(piece)).sum());
        for piece in &form.pieces {
            form.lay_out(piece, &last_rows, &mut steps);
        }
        form.steps = steps;
        form
    }

    fn leaves(&self) -> usize {
        3usize.pow(self.levels)
    }

    /// Cuts `lines` lines, which start at word `start` of a record, into pieces.
    fn cut(&mut self, start: usize, lines: usize, line_columns: usize, width: usize) {
        let (columns, steps) = (line_columns.div_ceil(1 << self.levels), width / 2);
        let most = piece_steps(self.levels) / steps;
        // Short lines share pieces, long ones are cut.
        let run = columns.div_ceil(columns.div_ceil(most));
        let together = if run == columns { even_block(lines, most / columns) } else { 1 };
        let place = |step| leaf_of_column(step / steps, self.levels) * leaf_stride(self.levels) + step % steps;
        let places: Vec<usize> = (0..steps << self.levels).map(place).collect();
        for first_line in (0..lines).step_by(together) {
            let line = start + first_line * line_columns * width;
            self.pieces.extend((0..columns).step_by(run).map(|first| Piece {
                width: steps,
                runs: together.min(lines - first_line),
                run: run.min(columns - first),
                line,
                first,
                line_columns,
                places: places.clone(),
            }));
        }
    }

    /// Appends the probes' steps of a piece: leaf by leaf, in each probe by probe, and of each line by line.
    fn lay_out(&self, piece: &Piece, last_rows: &[&[u16]], steps: &mut Vec<u32>) {
        let width = 2 * piece.width;
        // As many columns as the last row of a leaf reaches.
        let count = piece.line_columns.div_ceil(1 << self.levels) + self.rows - 1;
        let lines = last_rows
            .iter()
            .flat_map(|row| row[piece.line..].chunks_exact(piece.line_columns * width).take(piece.runs))
            .map(|line| split(line, width, self.levels, count));
        let lines: Zeroizing<Vec<_>> = Zeroizing::new(lines.collect());
        for leaf in 0..self.leaves() {
            for line in lines.iter() {
                let words = &line[leaf][piece.first * width..][..(piece.run + self.rows - 1) * width];
                steps.extend(words.as_chunks::<2>().0.iter().map(|[a, b]| u32::from(*a) | u32::from(*b) << 16));
            }
        }
    }

    /// Steps of all probes in a piece.
    fn steps_in(&self, piece: &Piece) -> usize {
        self.leaves() * self.probes * piece.probe_steps(self.rows)
    }

    /// The pieces, each with the probes' steps of every leaf and in each of every probe.
    fn pieces(&self) -> impl Iterator<Item = (&Piece, std::slice::ChunksExact<'_, u32>)> {
        let mut rest = self.steps.as_slice();
        self.pieces.iter().map(move |piece| {
            let steps = rest.split_off(..self.steps_in(piece)).unwrap_or_default();
            (piece, steps.chunks_exact(piece.probe_steps(self.rows)))
        })
    }

    /// From the products of the leaves to those of the rows: `products` has for each leaf, probe and row of a leaf those with the records
    /// of a group, and is used up. Hands over a row's number and its products.
    fn combine(&self, products: &mut [Lanes], mut put: impl FnMut(usize, &Lanes)) {
        let (all, rows) = (self.probes * self.rows, self.rows);
        // In place, the last level first: y0 where P0 was, y1 where P2 was. So shift m ends with the leaf that has the low bits of m as
        // digits 0 and 2.
        for level in (0..self.levels).rev() {
            let place = 3usize.pow(self.levels - 1 - level) * all;
            for three in products.chunks_exact_mut(3 * place) {
                let (first, rest) = three.split_at_mut(place);
                let (middle, last) = rest.split_at_mut(place);
                for ((first, middle), last) in first.iter_mut().zip(middle).zip(last) {
                    for ((first, middle), last) in first.iter_mut().zip(middle).zip(last) {
                        *first = first.wrapping_add(*middle);
                        *last = last.wrapping_add(*middle);
                    }
                }
            }
        }
        for probe in 0..self.probes {
            for shift in 0..self.count {
                let leaf = leaf_of_column(shift, self.levels);
                put((probe + 1) * self.count - 1 - shift, &products[leaf * all + probe * rows + (shift >> self.levels)]);
            }
        }
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        // As `zeroize` does, but with vector stores.
        self.steps.fill(0);
        zeroize::optimization_barrier(self.steps.as_slice());
    }
}

/// One word of each record of a group.
type Lanes = [u16; GROUP_RECORDS];

/// The first `count` columns of every leaf, from those of a line, after which it starts anew.
fn split(line: &[u16], width: usize, levels: u32, count: usize) -> Vec<Vec<u16>> {
    // Each level needs one column behind twice those that it makes.
    let needed = ((count + 1) << levels) - 1;
    let mut leaves = vec![line.iter().cycle().take(needed * width).copied().collect::<Vec<u16>>()];
    for _ in 0..levels {
        let mut next = Vec::with_capacity(3 * leaves.len());
        for mut leaf in leaves {
            let half = (leaf.len() / width - 1) / 2;
            let column = |n: usize| &leaf[n * width..][..width];
            let odd: Vec<u16> = (0..half).flat_map(|i| column(2 * i + 1)).copied().collect();
            let less_odd = |shift: usize| -> Vec<u16> {
                let even = (0..half).flat_map(|i| column(2 * i + shift));
                even.zip(&odd).map(|(even, odd)| even.wrapping_sub(*odd)).collect()
            };
            let (first, last) = (less_odd(0), less_odd(2));
            next.extend([first, odd, last]);
            leaf.zeroize();
        }
        leaves = next;
    }
    leaves
}

/// The leaf that has the columns with these low bits as they are: digit 0 for an even place of a level, 2 for an odd one.
#[inline(always)]
fn leaf_of_column(column: usize, levels: u32) -> usize {
    (0..levels).fold(0, |leaf, level| 3 * leaf + 2 * (column >> level & 1))
}

#[cfg(test)]
mod tests;
