//! One bit per operation out of one bit per comparison (PROTOCOL section 3, `docs/decisions/0002-coins-after-bits.md`).
//!
//! For every operation S = XOR_rows rho_row * XOR_lanes r_lane b is computed locally, with public coins r, rho in GF(2^64) that
//! are tossed when the bits already exist. S is then multiplied by a shared random R, re-shared and opened: zero if no bit is
//! set, otherwise a random non-zero element, except with probability below 2^-62 (Schwartz-Zippel on rho * r, plus R = 0).
//! Re-sharing before opening keeps a rushing node from choosing its term after seeing the others'.
//!
//! Coins of a chunk are planes (plane k holds bit k of every lane's coin), so that the combination is word-wise AND and XOR.

use types::NodeId;
use zeroize::Zeroize;

use crate::session::{KeyStream, ProtocolKeys, Purpose, Word};
use crate::sign::BitShares;

/// Bytes of a coin component.
pub(crate) const COIN_BYTES: usize = 16;

/// What the lanes of a chunk mean. Rows are runs of whole words, one after another.
pub(crate) struct Layout {
    /// Words of one row.
    pub(crate) words: usize,
    /// Operation to which each row belongs.
    pub(crate) operation_of_row: Vec<u32>,
    /// Which lanes count.
    pub(crate) mask: LaneMask,
    /// Whether a cleared bit counts as set (a match is a score without a sign).
    pub(crate) inverted: bool,
}

/// Lanes that may contribute to an answer.
pub(crate) enum LaneMask {
    /// All. Padding lanes hold zeros.
    All,
    /// The same for every row: `words` words.
    Shared(Vec<u64>),
    /// Row by row.
    PerRow(Vec<u64>),
}

impl Layout {
    fn mask(&self, row: usize, word: usize, count: usize) -> Option<&[u64]> {
        match &self.mask {
            LaneMask::All => None,
            LaneMask::Shared(mask) => mask.get(word..word + count),
            LaneMask::PerRow(mask) => mask.get(row * self.words + word..row * self.words + word + count),
        }
    }
}

/// This node's components of S, one per operation.
#[derive(Default)]
pub(crate) struct Combination {
    own: Vec<u64>,
    next: Vec<u64>,
}

impl Drop for Combination {
    fn drop(&mut self) {
        self.own.zeroize();
        self.next.zeroize();
    }
}

/// The coin components c_i, c_{i+1} that a node knows before the toss.
pub(crate) fn coin_components(keys: &ProtocolKeys, chunk: u64) -> [[u8; COIN_BYTES]; 2] {
    let mut streams = keys.streams(Purpose::Coins, chunk);
    let (mut own, mut next) = ([0; COIN_BYTES], [0; COIN_BYTES]);
    streams.own.xor(&mut own);
    streams.next.xor(&mut next);
    [own, next]
}

/// Words of a row that are combined at a time; their coins then fit the first-level cache.
const TILE_WORDS: usize = 64;

impl Combination {
    pub(crate) fn zero(operations: usize) -> Self {
        Self { own: vec![0; operations], next: vec![0; operations] }
    }

    pub(crate) fn operations(&self) -> usize {
        self.own.len()
    }

    /// Adds the bits of a chunk with the coins of `seed`, which all nodes know by now.
    pub(crate) fn add(&mut self, node: NodeId, bits: &BitShares, layout: &Layout, seed: &[u8; COIN_BYTES]) {
        let rows = layout.operation_of_row.len();
        let mut stream = KeyStream::new(seed);
        let row_coins: Vec<u64> = (0..rows).map(|_| stream.word()).collect();
        let mut sums = vec![[[0u64; 64]; 2]; rows];
        let mut coins = [0u64; 64 * TILE_WORDS];
        let mut bytes = vec![0u8; 8 * coins.len()];
        for start in (0..layout.words).step_by(TILE_WORDS) {
            let count = TILE_WORDS.min(layout.words - start);
            let bytes = bytes.get_mut(..64 * count * 8).unwrap_or_default();
            bytes.fill(0);
            stream.xor(bytes);
            for (coin, bytes) in coins.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *coin = u64::from_le_bytes(*bytes);
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let at = row * layout.words + start;
                // The public 1 that inverts a bit belongs to component 1: node 1's own, node 3's next.
                let own = Self::select(&bits.own, at, count, layout, row, start, node.number() == 1);
                let next = Self::select(&bits.next, at, count, layout, row, start, node.number() == 3);
                let [sums_own, sums_next] = sums;
                for ((coins, sum), sum2) in coins.chunks_exact(count).zip(sums_own).zip(sums_next) {
                    let (a, b) = dot(coins, own.get(..count).unwrap_or_default(), next.get(..count).unwrap_or_default());
                    *sum ^= a;
                    *sum2 ^= b;
                }
            }
        }
        for ((operation, coin), [own, next]) in layout.operation_of_row.iter().zip(row_coins).zip(sums) {
            let operation = *operation as usize;
            if let (Some(a), Some(b)) = (self.own.get_mut(operation), self.next.get_mut(operation)) {
                *a ^= multiply(coin, parities(&own));
                *b ^= multiply(coin, parities(&next));
            }
        }
    }

    /// One row's bits, inverted where asked and masked.
    #[inline]
    fn select(
        bits: &[u64],
        at: usize,
        count: usize,
        layout: &Layout,
        row: usize,
        word: usize,
        holds_one: bool,
    ) -> [u64; TILE_WORDS] {
        let mut selected = [0u64; TILE_WORDS];
        let flip = if layout.inverted && holds_one { u64::MAX } else { 0 };
        let bits = bits.get(at..at + count).unwrap_or_default();
        for (selected, bits) in selected.iter_mut().zip(bits) {
            *selected = bits ^ flip;
        }
        if let Some(mask) = layout.mask(row, word, count) {
            for (selected, mask) in selected.iter_mut().zip(mask) {
                *selected &= mask;
            }
        }
        selected
    }

    /// Multiplies by the shared random R: this node's components of S R, to be re-shared.
    pub(crate) fn masked(&self, keys: &ProtocolKeys) -> Vec<u64> {
        let mut mask = keys.streams(Purpose::Mask, 0);
        let mut zero = keys.streams(Purpose::MaskReshare, 0);
        self.own
            .iter()
            .zip(&self.next)
            .map(|(&s, &s2)| {
                let (r, r2) = (mask.own.word(), mask.next.word());
                multiply(s, r ^ r2) ^ multiply(s2, r) ^ zero.own.word() ^ zero.next.word()
            })
            .collect()
    }
}

/// XOR of coin AND bits, for both components.
#[inline]
fn dot(coins: &[u64], own: &[u64], next: &[u64]) -> (u64, u64) {
    coins.iter().zip(own).zip(next).fold((0, 0), |(a, b), ((coin, own), next)| (a ^ (coin & own), b ^ (coin & next)))
}

/// Bit k is the parity of word k.
fn parities(words: &[u64; 64]) -> u64 {
    words.iter().enumerate().fold(0, |sum, (k, word)| sum | u64::from(word.count_ones() & 1) << k)
}

/// The product in GF(2^64), polynomials over GF(2) modulo `x^64 + x^4 + x^3 + x + 1`, in constant time.
pub(crate) fn multiply(a: u64, b: u64) -> u64 {
    let mut product = 0u128;
    for bit in 0..64 {
        let selected = (a >> bit & 1).wrapping_neg();
        product ^= u128::from(b & selected) << bit;
    }
    // x^64 = x^4 + x^3 + x + 1. Folding the upper half leaves at most 4 bits above, which fold once more.
    let fold = |high: u64| u128::from(high) ^ u128::from(high) << 1 ^ u128::from(high) << 3 ^ u128::from(high) << 4;
    #[expect(clippy::cast_possible_truncation, reason = "takes a number apart into its halves")]
    let halves = |value: u128| ((value >> 64) as u64, value as u64);
    let (high, low) = halves(product);
    let (high, low) = halves(fold(high) ^ u128::from(low));
    let (_, folded) = halves(fold(high));
    folded ^ low
}

/// Little-endian bytes of `words`.
pub(crate) fn to_bytes(words: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(words.len() * 8);
    u64::write(words, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn gf_is_a_field(a: u64, b: u64, c: u64) {
            prop_assert_eq!(multiply(a, 1), a);
            prop_assert_eq!(multiply(a, b), multiply(b, a));
            prop_assert_eq!(multiply(a, multiply(b, c)), multiply(multiply(a, b), c));
            prop_assert_eq!(multiply(a, b ^ c), multiply(a, b) ^ multiply(a, c));
            // Fermat: a^(2^64) = a; so a non-zero a has the inverse a^(2^64 - 2).
            let power = (0..64).fold(a, |x, _| multiply(x, x));
            prop_assert_eq!(power, a);
        }

        #[test]
        fn combination_is_the_sum_of_the_coins_of_set_bits(
            bits in proptest::collection::vec(any::<u64>(), 3 * 70), own in proptest::collection::vec(any::<u64>(), 3 * 70),
            mask in proptest::collection::vec(any::<u64>(), 70), inverted: bool, seed: [u8; 16],
        ) {
            // Component 1 = own, component 3 = bits ^ own, component 2 = 0.
            let third: Vec<u64> = bits.iter().zip(&own).map(|(a, b)| a ^ b).collect();
            let zero = vec![0; own.len()];
            let layout = |mask| Layout { words: 70, operation_of_row: vec![0, 1, 0], mask, inverted };
            let run = |node: u8, a: &[u64], b: &[u64]| {
                let mut sum = Combination::zero(2);
                let shares = BitShares { own: a.to_vec(), next: b.to_vec() };
                sum.add(NodeId::new(node).unwrap(), &shares, &layout(LaneMask::Shared(mask.clone())), &seed);
                sum
            };
            let (one, two, three) = (run(1, &own, &zero), run(2, &zero, &third), run(3, &third, &own));
            prop_assert_eq!(&one.own, &three.next);
            prop_assert_eq!(&one.next, &two.own);
            prop_assert_eq!(&two.next, &three.own);

            let mut stream = KeyStream::new(&seed);
            let rho: Vec<u64> = (0..3).map(|_| stream.word()).collect();
            let mut coins = vec![0u64; 70 * 64];
            for start in [0usize, 64] {
                let count = 64.min(70 - start);
                for k in 0..64 {
                    for w in 0..count {
                        let plane = stream.word();
                        (0..64).for_each(|lane| coins[(start + w) * 64 + lane] |= (plane >> lane & 1) << k);
                    }
                }
            }
            let mut expected = [0u64; 2];
            for (row, op) in [0usize, 1, 0].into_iter().enumerate() {
                for lane in 0..70 * 64 {
                    let bit = (bits[row * 70 + lane / 64] >> (lane % 64) & 1) == u64::from(!inverted);
                    if bit && mask[lane / 64] >> (lane % 64) & 1 == 1 {
                        expected[op] ^= multiply(rho[row], coins[lane]);
                    }
                }
            }
            for (op, expected) in expected.into_iter().enumerate() {
                prop_assert_eq!(one.own[op] ^ one.next[op] ^ two.next[op], expected);
            }
        }
    }
}
