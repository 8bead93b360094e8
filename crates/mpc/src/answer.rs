//! One bit per operation out of one bit per comparison (PROTOCOL section 3, `docs/decisions/0002-coins-after-bits.md`).
//!
//! For every operation S = XOR_rows rho_row * XOR_words r_word w is computed locally: w is a word of 64 bits read as an element of
//! GF(2^64), zero if and only if no bit is set; r, rho are public coins that are tossed when the bits already exist. S is then
//! multiplied by a shared random R, re-shared and opened: zero if no bit is set, otherwise a random non-zero element, except with
//! probability below 2^-62 (Schwartz-Zippel on rho * r, plus R = 0). Re-sharing before opening keeps a rushing node from choosing
//! its term after seeing the others'.
//!
//! All chunks of a wave are tossed for at once.

use std::sync::{Arc, Mutex, PoisonError};

use types::NodeId;
use zeroize::Zeroize;

use crate::batch::for_each;
use crate::kernel::field::{self, Mask};
use crate::kernel::vectors::Vectors;
use crate::session::{KeyStream, ProtocolKeys, Purpose, Word};
use crate::sign::BitShares;

/// Bytes of a coin component.
pub(crate) const COIN_BYTES: usize = 16;

/// What the lanes of a chunk mean. Rows are runs of whole words, one after another.
pub(crate) struct Layout {
    /// Words of one row.
    pub(crate) words: usize,
    /// Number of the chunk's first row in its wave. Chunks with other records and the same rows have the same numbers.
    pub(crate) first_row: usize,
    /// Operation to which each row belongs.
    pub(crate) operation_of_row: Arc<[u32]>,
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
    /// Lanes of all rows.
    pub(crate) fn lanes(&self) -> usize {
        64 * self.words * self.operation_of_row.len()
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
pub(crate) fn coin_components(keys: &ProtocolKeys, wave: u64) -> [[u8; COIN_BYTES]; 2] {
    let mut streams = keys.streams(Purpose::Coins, wave);
    let (mut own, mut next) = ([0; COIN_BYTES], [0; COIN_BYTES]);
    streams.own.fill(&mut own);
    streams.next.fill(&mut next);
    [own, next]
}

impl Combination {
    pub(crate) fn zero(operations: usize) -> Self {
        Self { own: vec![0; operations], next: vec![0; operations] }
    }

    pub(crate) fn operations(&self) -> usize {
        self.own.len()
    }

    /// Adds the bits of a wave's chunks with the coins of `seed`, which all nodes know by now: r of each chunk's words, rho of the
    /// wave's rows.
    pub(crate) fn add(&mut self, node: NodeId, chunks: &[(BitShares, Layout)], seed: &[u8; COIN_BYTES], threads: usize) {
        let rows = chunks.iter().map(|(_, layout)| layout.first_row + layout.operation_of_row.len()).max().unwrap_or(0);
        let sums = Mutex::new(vec![[0u64; 2]; rows]);
        for_each(
            threads,
            chunks.iter().zip(1u64..).collect(),
            || (),
            |(), ((bits, layout), number)| {
                let chunk = row_sums(node, bits, layout, seed, number);
                let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
                for (sums, chunk) in sums.iter_mut().skip(layout.first_row).zip(chunk) {
                    sums.iter_mut().zip(chunk).for_each(|(sum, part)| *sum ^= part);
                }
            },
        );
        let coins = KeyStream::new(seed).words(rows);
        let sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut operations = vec![0; rows];
        for (_, layout) in chunks {
            let places = operations.iter_mut().skip(layout.first_row);
            places.zip(layout.operation_of_row.iter()).for_each(|(place, operation)| *place = *operation as usize);
        }
        for ((operation, coin), [own, next]) in operations.into_iter().zip(coins).zip(sums) {
            if let (Some(a), Some(b)) = (self.own.get_mut(operation), self.next.get_mut(operation)) {
                *a ^= multiply(coin, own);
                *b ^= multiply(coin, next);
            }
        }
    }

    /// Multiplies by the shared random R: this node's components of S R, to be re-shared.
    pub(crate) fn masked(&self, keys: &ProtocolKeys) -> Vec<u64> {
        let words = |purpose| {
            let mut streams = keys.streams(purpose, 0);
            let (own, next) = (streams.own.words(self.own.len()), streams.next.words(self.own.len()));
            own.into_iter().zip(next)
        };
        self.own
            .iter()
            .zip(&self.next)
            .zip(words(Purpose::Mask))
            .zip(words(Purpose::MaskReshare))
            .map(|(((s, s2), (r, r2)), (zero, zero2))| multiply(*s, r ^ r2) ^ multiply(*s2, r) ^ zero ^ zero2)
            .collect()
    }
}

/// For each row XOR_words r_word w, in both components. `number` counts the chunks of the wave from 1; the coins of its words begin
/// 2^32 lines of 64 bytes after those of the chunk before, and the first such stretch belongs to the rows.
fn row_sums(node: NodeId, bits: &BitShares, layout: &Layout, seed: &[u8; COIN_BYTES], number: u64) -> Vec<[u64; 2]> {
    let mut stream = KeyStream::new(seed);
    stream.seek(number << 32);
    let coins = stream.words(layout.words);
    // The public 1 that inverts a bit belongs to component 1: node 1's own, node 3's next.
    let flips = [1, 3].map(|holder| if layout.inverted && node.number() == holder { u64::MAX } else { 0 });
    let mask = match &layout.mask {
        LaneMask::All => Mask::None,
        LaneMask::Shared(mask) => Mask::Shared(mask),
        LaneMask::PerRow(mask) => Mask::PerRow(mask),
    };
    let mut sums = vec![[0; 2]; layout.operation_of_row.len()];
    field::dot_rows(Vectors::selected(), &coins, [&bits.own, &bits.next], mask, flips, &mut sums);
    sums
}

/// The product in GF(2^64).
fn multiply(a: u64, b: u64) -> u64 {
    field::multiply(Vectors::selected(), a, b)
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
    use crate::kernel::words::Words;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn combination_is_the_sum_of_the_coins_of_set_bits(
            bits in proptest::collection::vec(any::<u64>(), 3 * 70), own in proptest::collection::vec(any::<u64>(), 3 * 70),
            mask in proptest::collection::vec(any::<u64>(), 70), inverted: bool, seed: [u8; 16],
        ) {
            // Component 1 = own, component 3 = bits ^ own, component 2 = 0.
            let third: Vec<u64> = bits.iter().zip(&own).map(|(a, b)| a ^ b).collect();
            let zero = vec![0; own.len()];
            let layout = |words, mask| Layout { words, first_row: 0, operation_of_row: Arc::new([0, 1, 0]), mask, inverted };
            // Two chunks: the first 64 words of every row and the rest, with the same rows.
            let cut = |words: &[u64], part: usize| -> Words {
                let (from, to) = if part == 0 { (0, 64) } else { (64, 70) };
                let cut: Vec<u64> = words.chunks(70).flat_map(|row| row[from..to].to_vec()).collect();
                let mut words = Words::zero(cut.len());
                words[..cut.len()].copy_from_slice(&cut);
                words
            };
            let run = |node: u8, a: &[u64], b: &[u64], threads| {
                let mut sum = Combination::zero(2);
                let chunks = [0, 1].map(|part| {
                    let bits = BitShares { own: cut(a, part), next: cut(b, part) };
                    (bits, layout(if part == 0 { 64 } else { 6 }, LaneMask::Shared(cut(&mask, part).to_vec())))
                });
                sum.add(NodeId::new(node).unwrap(), &chunks, &seed, threads);
                sum
            };
            let (one, two, three) = (run(1, &own, &zero, 1), run(2, &zero, &third, 2), run(3, &third, &own, 3));
            prop_assert_eq!(&one.own, &three.next);
            prop_assert_eq!(&one.next, &two.own);
            prop_assert_eq!(&two.next, &three.own);

            let rho = KeyStream::new(&seed).words(3);
            let coins: Vec<u64> = [(1u64, 64), (2, 6)]
                .into_iter()
                .flat_map(|(number, words)| {
                    let mut stream = KeyStream::new(&seed);
                    stream.seek(number << 32);
                    stream.words(words)
                })
                .collect();
            let mut expected = [0u64; 2];
            for (row, op) in [0usize, 1, 0].into_iter().enumerate() {
                for word in 0..70 {
                    let bits = bits[row * 70 + word] ^ if inverted { u64::MAX } else { 0 };
                    expected[op] ^= multiply(rho[row], multiply(coins[word], bits & mask[word]));
                }
            }
            for (op, expected) in expected.into_iter().enumerate() {
                prop_assert_eq!(one.own[op] ^ one.next[op] ^ two.next[op], expected);
            }
        }
    }
}
