//! GF(2^64): polynomials over GF(2) modulo `x^64 + x^4 + x^3 + x + 1`, in constant time.
//!
//! By carry-less multiplication where the processor has it (x86-64 PCLMULQDQ), else by integer products of words with three holes
//! between their bits, into which carries fall (Pornin, BearSSL, `ctmul64`). Out of scope: what is combined (`crate::answer`).

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls of functions compiled for features of the processor")
)]

use super::vectors::Vectors;

/// Words of bits that do not count, for some rows of words.
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a> {
    /// All bits count.
    None,
    /// The same for every row.
    Shared(&'a [u64]),
    /// Row by row, like the bits.
    PerRow(&'a [u64]),
}

/// The product of a and b.
pub fn multiply(vectors: Vectors, a: u64, b: u64) -> u64 {
    let [product, _] = dot(vectors, &[a], [&[b], &[0]], None, [0, 0]);
    product
}

/// For every row of `bits` (two components, rows of `coins.len()` words) the sum over its words w of `coins[w]` times the word,
/// after `flips` are XORed in and what the mask clears is cleared. Adds them to `sums`.
pub fn dot_rows(vectors: Vectors, coins: &[u64], bits: [&[u64]; 2], mask: Mask<'_>, flips: [u64; 2], sums: &mut [[u64; 2]]) {
    let words = coins.len().max(1);
    let [own, next] = bits.map(|bits| bits.chunks_exact(words));
    let mut rows = match mask {
        Mask::PerRow(mask) => mask.chunks_exact(words),
        Mask::None | Mask::Shared(_) => [].chunks_exact(words),
    };
    for ((sum, own), next) in sums.iter_mut().zip(own).zip(next) {
        let mask = match mask {
            Mask::None => None,
            Mask::Shared(mask) => Some(mask),
            Mask::PerRow(_) => Some(rows.next().unwrap_or_default()),
        };
        let [a, b] = dot(vectors, coins, [own, next], mask, flips);
        let [first, second] = sum;
        *first ^= a;
        *second ^= b;
    }
}

#[inline]
fn dot(vectors: Vectors, coins: &[u64], bits: [&[u64]; 2], mask: Option<&[u64]>, flips: [u64; 2]) -> [u64; 2] {
    #[cfg(target_arch = "x86_64")]
    if vectors != Vectors::Portable && !cfg!(miri) && is_x86_feature_detected!("pclmulqdq") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { x86::dot(coins, bits, mask, flips) };
    }
    let _ = vectors;
    sum(coins, bits, mask, flips, product).map(reduce)
}

/// The unreduced sums, by any product of two words.
#[inline(always)]
fn sum(
    coins: &[u64],
    [own, next]: [&[u64]; 2],
    mask: Option<&[u64]>,
    [flip, flip2]: [u64; 2],
    product: impl Fn(u64, u64) -> u128,
) -> [u128; 2] {
    let words = coins.iter().zip(own).zip(next);
    match mask {
        None => words
            .fold([0, 0], |[a, b], ((coin, own), next)| [a ^ product(*coin, own ^ flip), b ^ product(*coin, next ^ flip2)]),
        Some(mask) => words.zip(mask).fold([0, 0], |[a, b], (((coin, own), next), mask)| {
            [a ^ product(*coin, (own ^ flip) & mask), b ^ product(*coin, (next ^ flip2) & mask)]
        }),
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_unpackhi_epi64};

    #[target_feature(enable = "sse2,pclmulqdq")]
    pub(super) fn dot(coins: &[u64], bits: [&[u64]; 2], mask: Option<&[u64]>, flips: [u64; 2]) -> [u64; 2] {
        let word = |word: u64| _mm_cvtsi64_si128(word.cast_signed());
        super::sum(coins, bits, mask, flips, |a, b| {
            let product = _mm_clmulepi64_si128::<0>(word(a), word(b));
            let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(product, product));
            u128::from(high.cast_unsigned()) << 64 | u128::from(_mm_cvtsi128_si64(product).cast_unsigned())
        })
        .map(super::reduce)
    }
}

/// The carry-less product of two words.
fn product(a: u64, b: u64) -> u128 {
    let high = low_product(a.reverse_bits(), b.reverse_bits()).reverse_bits() >> 1;
    u128::from(high) << 64 | u128::from(low_product(a, b))
}

/// Its lower half. At most 16 bits meet in a column, and only in the topmost of each class, whose carry leaves the word.
fn low_product(a: u64, b: u64) -> u64 {
    const CLASS: [u64; 4] = [0x1111_1111_1111_1111, 0x2222_2222_2222_2222, 0x4444_4444_4444_4444, 0x8888_8888_8888_8888];
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (CLASS.map(|class| a & class), CLASS.map(|class| b & class));
    let sums = [
        [(a0, b0), (a1, b3), (a2, b2), (a3, b1)],
        [(a0, b1), (a1, b0), (a2, b3), (a3, b2)],
        [(a0, b2), (a1, b1), (a2, b0), (a3, b3)],
        [(a0, b3), (a1, b2), (a2, b1), (a3, b0)],
    ];
    let column = |terms: [(u64, u64); 4]| terms.into_iter().fold(0, |sum, (a, b)| sum ^ a.wrapping_mul(b));
    sums.into_iter().zip(CLASS).fold(0, |product, (terms, class)| product | (column(terms) & class))
}

/// The remainder.
fn reduce(product: u128) -> u64 {
    // x^64 = x^4 + x^3 + x + 1. Folding the upper half leaves at most 4 bits above, which fold once more.
    let fold = |high: u64| u128::from(high) ^ u128::from(high) << 1 ^ u128::from(high) << 3 ^ u128::from(high) << 4;
    #[expect(clippy::cast_possible_truncation, reason = "takes a number apart into its halves")]
    let halves = |value: u128| ((value >> 64) as u64, value as u64);
    let (high, low) = halves(product);
    let (high, low) = halves(fold(high) ^ u128::from(low));
    let (_, folded) = halves(fold(high));
    folded ^ low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: shift, add, and subtract the modulus.
    fn reference(a: u64, b: u64) -> u64 {
        let mut product = 0;
        for bit in (0..64).rev() {
            let carry = product >> 63;
            product = (product << 1) ^ (0b11011 * carry) ^ if a >> bit & 1 == 1 { b } else { 0 };
        }
        product
    }

    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![4 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(1 << 63), 1 => Just(0)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 256 }))]

        #[test]
        fn it_is_a_field(a in word(), b in word(), c in word()) {
            for vectors in Vectors::available() {
                let multiply = |a, b| multiply(vectors, a, b);
                prop_assert_eq!(multiply(a, b), reference(a, b), "{:?}", vectors);
                prop_assert_eq!(multiply(a, 1), a);
                prop_assert_eq!(multiply(a, b), multiply(b, a));
                prop_assert_eq!(multiply(a, multiply(b, c)), multiply(multiply(a, b), c));
                prop_assert_eq!(multiply(a, b ^ c), multiply(a, b) ^ multiply(a, c));
                // Fermat: a^(2^64) = a; so a non-zero a has the inverse a^(2^64 - 2).
                prop_assert_eq!((0..64).fold(a, |x, _| multiply(x, x)), a);
            }
        }

        #[test]
        fn sums_of_rows(
            coins in proptest::collection::vec(word(), 3), own in proptest::collection::vec(word(), 6),
            next in proptest::collection::vec(word(), 6), mask in proptest::collection::vec(word(), 6), flips: [u64; 2],
        ) {
            for vectors in Vectors::available() {
                for (kind, of) in [(Mask::None, None), (Mask::Shared(&mask[..3]), Some(0)), (Mask::PerRow(&mask), Some(3))] {
                    let mut sums = [[5, 6]; 2];
                    dot_rows(vectors, &coins, [&own, &next], kind, flips, &mut sums);
                    for row in 0..2 {
                        for (part, bits) in [&own, &next].into_iter().enumerate() {
                            let kept = |w: usize| of.map_or(u64::MAX, |step| mask[row * step + w]);
                            let terms = (0..3).map(|w| reference(coins[w], (bits[3 * row + w] ^ flips[part]) & kept(w)));
                            prop_assert_eq!(sums[row][part], terms.fold([5, 6][part], |a, b| a ^ b), "{:?}", vectors);
                        }
                    }
                }
            }
        }
    }
}
