//! Words of 64 bits that start on a cache line: what bit-sliced loops read and write.
//!
//! Zeroed when dropped. Out of scope: what the bits mean.

#![expect(unsafe_code, reason = "a slice of lines is seen as a slice of their words")]

use std::ops::{Deref, DerefMut};

/// Words in a line of 64 bytes: 512 lanes.
pub const LINE_WORDS: usize = 8;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; LINE_WORDS]);

/// A whole number of lines of words.
#[derive(Clone, Default)]
pub struct Words(Vec<Line>);

impl Words {
    /// `count` zeros, rounded up to whole lines.
    pub fn zero(count: usize) -> Self {
        Self(vec![Line([0; LINE_WORDS]); count.div_ceil(LINE_WORDS)])
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(crate) fn resident_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Line>()
    }
}

impl Deref for Words {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        // SAFETY: a `Line` is exactly eight words without padding, so the vector's elements are 8 * len words in a row.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE_WORDS) }
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `deref`; the borrow of `self` is unique, and any words make a valid line.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE_WORDS) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // As `zeroize` does, but with vector stores: the barrier keeps the compiler from leaving them out.
        self.fill(0);
        zeroize::optimization_barrier(&**self);
    }
}

const _: () = assert!(size_of::<Line>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_whole_lines_on_cache_lines() {
        for (count, len) in [(0, 0), (1, 8), (8, 8), (9, 16)] {
            let mut words = Words::zero(count);
            assert_eq!((words.len(), words.as_ptr().addr() % 64), (len, 0));
            words.iter_mut().zip(0..).for_each(|(word, n)| *word = n);
            assert!(words.iter().copied().eq(0..len as u64));
        }
    }
}
