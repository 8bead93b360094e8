//! Numbers as bit planes: plane b holds bit b of every number, 512 numbers to a line (see [`crate::kernel::sliced`] for the order
//! of lanes within a line).

#![expect(clippy::indexing_slicing, reason = "ranges that lie inside by construction")]

use std::ops::Range;

use zeroize::Zeroize;

use crate::kernel::sliced::{LANES, transpose};
use crate::kernel::vectors::Vectors;
use crate::kernel::words::{LINE_WORDS, Words};

/// Some planes of `words` words each, plane after plane.
#[derive(Clone, Default)]
pub(crate) struct Planes {
    words: usize,
    data: Words,
}

/// Words per plane of `count` numbers: whole lines.
pub(crate) fn plane_words(count: usize) -> usize {
    count.div_ceil(LANES) * LINE_WORDS
}

impl Planes {
    /// Makes room for `width` planes of `words` words. What they hold is left over from before: fill them all.
    pub(crate) fn reshape(&mut self, width: usize, words: usize) {
        if self.data.len() != width * words {
            self.data = Words::zero(width * words);
        }
        self.words = words;
    }
    /// Words per plane.
    pub(crate) fn words(&self) -> usize {
        self.words
    }
    /// Planes.
    pub(crate) fn width(&self) -> usize {
        self.data.len().checked_div(self.words).unwrap_or(0)
    }
    /// The plane of bit `bit`.
    pub(crate) fn plane(&self, bit: usize) -> &[u64] {
        &self.data[bit * self.words..(bit + 1) * self.words]
    }
    /// All planes, from bit 0.
    pub(crate) fn all(&self) -> &[u64] {
        &self.data
    }
    /// The same, to be filled.
    pub(crate) fn all_mut(&mut self) -> &mut [u64] {
        &mut self.data
    }
    /// Bytes of memory held.
    #[cfg(test)]
    pub(crate) fn resident_bytes(&self) -> usize {
        self.data.resident_bytes()
    }

    /// Takes 16-bit little-endian numbers, whole groups of 512, into planes `first ..+ 16`, from word `word` on.
    pub(crate) fn take(&mut self, vectors: Vectors, first: usize, word: usize, numbers: &[u8]) {
        let stride = self.words;
        transpose(vectors, numbers, &mut self.data[first * stride + word..], stride);
    }

    /// The 16 planes of `values`. The last group is padded with zeros.
    pub(crate) fn of_u16(values: &[u16]) -> Self {
        Self::of(values, 16, |value, half| half.copy_from_slice(&value.to_le_bytes()))
    }

    /// The 32 planes of `values`. The last group is padded with zeros.
    pub(crate) fn of_u32(values: &[u32]) -> Self {
        let mut low = Self::of(values, 32, |value, half| half.copy_from_slice(&((value & 0xFFFF) as u16).to_le_bytes()));
        let high = Self::of(values, 16, |value, half| half.copy_from_slice(&((value >> 16) as u16).to_le_bytes()));
        let words = low.words;
        low.data[16 * words..].copy_from_slice(high.all());
        low
    }

    /// `width` planes, of which the lowest 16 are filled with halves.
    fn of<W: Copy>(values: &[W], width: usize, half: impl Fn(W, &mut [u8])) -> Self {
        let mut planes = Self::default();
        planes.reshape(width, plane_words(values.len()));
        let mut bytes = [0u8; 2 * LANES];
        for (group, values) in values.chunks(LANES).enumerate() {
            bytes.fill(0);
            for (out, value) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                half(*value, out);
            }
            planes.take(Vectors::selected(), 0, group * LINE_WORDS, &bytes);
        }
        bytes.zeroize();
        planes
    }
}

/// Ranges of at most `size` up to `count`.
pub(crate) fn pieces(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(size).map(move |start| start..count.min(start + size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::sliced::natural_order;
    use proptest::prelude::*;

    fn ordered(planes: &Planes, bit: usize) -> Vec<u64> {
        let mut plane = planes.plane(bit).to_vec();
        natural_order(Vectors::selected(), &mut plane);
        plane
    }

    proptest! {
        #[test]
        fn planes_hold_the_bits_of_their_elements(values in proptest::collection::vec(any::<u32>(), 0..1300)) {
            let wide = Planes::of_u32(&values);
            let low: Vec<u16> = values.iter().map(|v| *v as u16).collect();
            let narrow = Planes::of_u16(&low);
            prop_assert_eq!((narrow.words(), narrow.width()), (values.len().div_ceil(512) * 8, if values.is_empty() { 0 } else { 16 }));
            for bit in 0..wide.width() {
                let plane = ordered(&wide, bit);
                if bit < 16 {
                    prop_assert_eq!(&plane, &ordered(&narrow, bit));
                }
                for lane in 0..64 * plane.len() {
                    let expected = values.get(lane).map_or(0, |value| u64::from(value >> bit & 1));
                    prop_assert_eq!(plane[lane / 64] >> (lane % 64) & 1, expected, "bit {} lane {}", bit, lane);
                }
            }
        }
    }
}
