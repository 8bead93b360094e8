//! A tree that only grows and whose root can be computed: its complete subtrees, one per one-bit of its size. What a monitor keeps.

use borsh::{BorshDeserialize, BorshSerialize};
use types::Digest;

use crate::merkle::{empty_root, node_hash};

/// Size and peaks: at most 63 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Peaks {
    size: u64,
    /// Roots of the complete subtrees, largest and leftmost first.
    peaks: Vec<Digest>,
}

impl Peaks {
    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    pub fn append(&mut self, leaf: Digest) {
        let mut hash = leaf;
        // As in adding one to a binary number: every one-bit at the end joins with what comes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Root over all leaves.
    pub fn root(&self) -> Digest {
        self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }

    /// As many peaks as the size has one-bits: for what was read from a file.
    pub(crate) fn is_whole(&self) -> bool {
        self.peaks.len() == usize::try_from(self.size.count_ones()).unwrap_or(usize::MAX)
    }
}
