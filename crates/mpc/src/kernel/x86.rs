//! What the kernels for x86-64 share: unpacked words of a piece, and prefetching.

#![expect(unsafe_code, reason = "prefetch instructions take a pointer")]

use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

use super::blocking::PIECE_TILES;
use super::layout::Line;
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

/// Asks for the part with index `index` of `count` parts of two groups to be brought to the second-level cache, while
/// something else is computed.
#[inline]
pub(super) fn prefetch_share(groups: [&[Line]; 2], index: usize, count: usize) {
    for lines in groups {
        let part = lines.len() * index / count..lines.len() * (index + 1) / count;
        for line in lines.get(part).unwrap_or_default() {
            // SAFETY: a prefetch is a hint; it accesses no memory in the sense of the language and cannot fault.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.0.as_ptr().cast()) }
        }
    }
}
