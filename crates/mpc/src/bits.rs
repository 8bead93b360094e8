//! Bit-slicing: 64 ring elements become one 64-bit word per bit position (a *plane*), so that one word operation acts on 64
//! comparisons (PROTOCOL section 3).
//!
//! Lane order inside a word: element 4 i + f of a group of 64 sits at bit 16 f + i. It comes from reading memory as 64-bit
//! words and transposing 16 x 16 bit matrices; [`natural_order`] undoes it for the one plane that leaves the comparison.

#![expect(clippy::indexing_slicing, reason = "fixed-size tiles; the loops must not branch to be vectorised")]

use zeroize::Zeroize;

/// Words per plane that are transposed together: one cache line.
const TILE_WORDS: usize = 8;

/// `width` planes of `words` words each, plane after plane.
#[derive(Clone)]
pub(crate) struct Planes {
    words: usize,
    data: Vec<u64>,
}

impl Drop for Planes {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

impl Planes {
    pub(crate) fn zero(width: usize, words: usize) -> Self {
        Self { words, data: vec![0; width * words] }
    }
    /// Words per plane.
    pub(crate) fn words(&self) -> usize {
        self.words
    }
    /// The plane of bit `bit`.
    pub(crate) fn plane(&self, bit: usize) -> &[u64] {
        &self.data[bit * self.words..(bit + 1) * self.words]
    }
    /// All planes, from bit 0.
    pub(crate) fn all(&self) -> &[u64] {
        &self.data
    }

    /// Takes as many of the lowest planes of `other` as there is room for.
    #[cfg(test)]
    pub(crate) fn copy_from(&mut self, other: &Self) {
        let count = self.data.len();
        self.data.copy_from_slice(&other.data[..count]);
    }

    /// The 16 planes of `values`. The last group is padded with zeros.
    pub(crate) fn of_u16(values: &[u16]) -> Self {
        let mut planes = Self::zero(16, values.len().div_ceil(64));
        for (tile, values) in values.chunks(64 * TILE_WORDS).enumerate() {
            planes.fill(0, tile, values);
        }
        planes
    }

    /// The 32 planes of `values`. The last group is padded with zeros.
    pub(crate) fn of_u32(values: &[u32]) -> Self {
        let mut planes = Self::zero(32, values.len().div_ceil(64));
        let mut half = [0u16; 64 * TILE_WORDS];
        for (tile, values) in values.chunks(64 * TILE_WORDS).enumerate() {
            for (first_plane, shift) in [(0, 0), (16, 16)] {
                for (half, value) in half.iter_mut().zip(values) {
                    *half = ((value >> shift) & 0xFFFF) as u16;
                }
                planes.fill(first_plane, tile, &half[..values.len()]);
            }
        }
        half.zeroize();
        planes
    }

    /// Transposes up to 512 values into planes `first_plane ..+ 16`, words from `8 tile`.
    fn fill(&mut self, first_plane: usize, tile: usize, values: &[u16]) {
        let mut rows = [[0u64; TILE_WORDS]; 16];
        if let Ok(values) = <&[u16; 64 * TILE_WORDS]>::try_from(values) {
            load(values, &mut rows);
        } else {
            let mut padded = [0u16; 64 * TILE_WORDS];
            padded[..values.len()].copy_from_slice(values);
            load(&padded, &mut rows);
        }
        transpose(&mut rows);
        let start = tile * TILE_WORDS;
        let count = TILE_WORDS.min(self.words - start);
        for (bit, row) in rows.iter().enumerate() {
            let at = (first_plane + bit) * self.words + start;
            self.data[at..at + count].copy_from_slice(&row[..count]);
        }
    }
}

/// `rows[i][e]`: values 4 i ..+ 4 of group e, as one little-endian word.
#[inline(always)]
fn load(values: &[u16; 64 * TILE_WORDS], rows: &mut [[u64; TILE_WORDS]; 16]) {
    for (e, group) in values.as_chunks::<64>().0.iter().enumerate() {
        for (i, four) in group.as_chunks::<4>().0.iter().enumerate() {
            let [a, b, c, d] = four.map(u64::from);
            rows[i][e] = a | b << 16 | c << 32 | d << 48;
        }
    }
}

/// Transposes, in each 16-bit field f of each column e, the 16 x 16 bit matrix whose row i is that field of `rows[i][e]`.
#[inline(always)]
fn transpose(rows: &mut [[u64; TILE_WORDS]; 16]) {
    exchange::<8>(rows, 0x00FF_00FF_00FF_00FF);
    exchange::<4>(rows, 0x0F0F_0F0F_0F0F_0F0F);
    exchange::<2>(rows, 0x3333_3333_3333_3333);
    exchange::<1>(rows, 0x5555_5555_5555_5555);
}

/// One butterfly: in rows i and i + N, exchanges the upper N-bit fields of the first with the lower ones of the second.
#[inline(always)]
fn exchange<const N: usize>(rows: &mut [[u64; TILE_WORDS]; 16], low: u64) {
    for i in (0..16).filter(|i| i & N == 0) {
        let (first, second) = rows.split_at_mut(i + N);
        for (x, y) in first[i].iter_mut().zip(&mut second[0]) {
            let (a, b) = (*x, *y);
            *x = (a & low) | ((b & low) << N);
            *y = ((a >> N) & low) | (b & !low);
        }
    }
}

/// Puts the lanes of a plane in order: bit l of a word then belongs to element l of its group.
pub(crate) fn natural_order(plane: &mut [u64]) {
    // The position 16 f + i has index bits (f1 f0 i3 i2 i1 i0) and must become (i3 i2 i1 i0 f1 f0): two 3-cycles of index bits.
    for word in plane {
        let mut w = *word;
        w = swap_index_bits::<5, 3>(w);
        w = swap_index_bits::<3, 1>(w);
        w = swap_index_bits::<4, 2>(w);
        w = swap_index_bits::<2, 0>(w);
        *word = w;
    }
}

/// Moves the bit at each position to the position with index bits `HIGH` and `LOW` exchanged.
#[inline(always)]
fn swap_index_bits<const HIGH: u32, const LOW: u32>(word: u64) -> u64 {
    let shift = (1u32 << HIGH) - (1 << LOW);
    // Positions with index bit LOW set and HIGH clear.
    let mask = const {
        let mut mask = 0u64;
        let mut position = 0;
        while position < 64 {
            if position >> LOW & 1 == 1 && position >> HIGH & 1 == 0 {
                mask |= 1 << position;
            }
            position += 1;
        }
        mask
    };
    let differing = (word ^ (word >> shift)) & mask;
    word ^ differing ^ (differing << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered(planes: &Planes, bit: usize) -> Vec<u64> {
        let mut plane = planes.plane(bit).to_vec();
        natural_order(&mut plane);
        plane
    }

    proptest! {
        #[test]
        fn planes_hold_the_bits_of_their_elements(values in proptest::collection::vec(any::<u32>(), 0..1300)) {
            let wide = Planes::of_u32(&values);
            let low: Vec<u16> = values.iter().map(|v| *v as u16).collect();
            let narrow = Planes::of_u16(&low);
            prop_assert_eq!(narrow.words(), values.len().div_ceil(64));
            for bit in 0..32 {
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
