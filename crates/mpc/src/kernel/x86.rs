//! What the kernels for x86-64 share: unpacked words of a piece, and prefetching.

#![expect(unsafe_code, reason = "prefetch instructions take a pointer")]

use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

use super::blocking::PIECE_TILES;
use super::layout::{Line, TILE_LINES};
use super::probes::TILE_STEPS;

/// The words of one piece: for each step of the word form, two lines with two words of each of 16 records.
pub(super) struct Words {
    lines: Vec<[Line; 2]>,
    len: usize,
}

impl Words {
    pub(super) fn new() -> Self {
        Self { lines: vec![[Line::ZERO; 2]; PIECE_TILES * TILE_STEPS], len: 0 }
    }

    /// Room for the words of a group of `lines` lines: as many steps as lines.
    pub(super) fn reset(&mut self, lines: usize) -> &mut [[Line; 2]] {
        self.len = lines.min(self.lines.len());
        self.lines.get_mut(..self.len).unwrap_or_default()
    }

    /// What was unpacked.
    pub(super) fn steps(&self) -> &[[Line; 2]] {
        self.lines.get(..self.len).unwrap_or_default()
    }
}

/// The share of the next piece that is brought to the second-level cache while one block of rows is multiplied. A few
/// lines at a time: more would fill the processor's queues and stop it.
pub(super) struct Ahead<'a> {
    count: usize,
    parts: [std::slice::Chunks<'a, Line>; 2],
}

impl<'a> Ahead<'a> {
    /// The share with index `index` of `count` shares of two groups, in `steps` parts.
    pub(super) fn new(groups: [&'a [Line]; 2], index: usize, count: usize, steps: usize) -> Self {
        let parts = groups.map(|lines| {
            let share = lines.len() * index / count..lines.len() * (index + 1) / count;
            let part = share.len().div_ceil(steps).max(1);
            lines.get(share).unwrap_or_default().chunks(part)
        });
        Self { count: steps.max(1), parts }
    }

    /// Parts of the share.
    pub(super) fn parts(&self) -> usize {
        self.count
    }

    /// Asks for the next part of the share.
    #[inline(always)]
    pub(super) fn prefetch(&mut self) {
        for part in &mut self.parts {
            prefetch(part.next().unwrap_or_default());
        }
    }
}

/// Tiles of coordinates from one that is multiplied to one that is asked for, where memory bounds the time. Measured against 1, 2 and 4.
const FAR_TILES: usize = 3;

/// Asks for one of `shares` shares of a coming tile of coordinates of two groups, which may be one of the next piece. Many shares ask for
/// few lines at a time: more would fill the processor's queues and stop it. To the first-level cache.
#[inline(always)]
pub(super) fn prefetch_share(groups: [&[Line]; 2], next: [&[Line]; 2], tile: usize, share: usize, shares: usize) {
    let start = (tile + FAR_TILES) * TILE_LINES;
    for (lines, next) in groups.into_iter().zip(next) {
        let (lines, start) = if start < lines.len() { (lines, start) } else { (next, start - lines.len()) };
        let share = start + share * TILE_LINES / shares..start + (share + 1) * TILE_LINES / shares;
        prefetch_hinted::<_MM_HINT_T0>(lines.get(share).unwrap_or_default());
    }
}

/// Asks for lines, to the second-level cache.
#[inline(always)]
pub(super) fn prefetch(lines: &[Line]) {
    prefetch_hinted::<_MM_HINT_T1>(lines);
}

#[inline(always)]
fn prefetch_hinted<const HINT: i32>(lines: &[Line]) {
    for line in lines {
        // SAFETY: a prefetch is a hint; it accesses no memory in the sense of the language and cannot fault.
        unsafe { _mm_prefetch::<HINT>(line.0.as_ptr().cast()) }
    }
}
