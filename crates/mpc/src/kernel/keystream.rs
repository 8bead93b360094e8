//! AES-128 in counter mode (NIST SP 800-38A, 128-bit big-endian counter from 0), as zero shares need it: two streams at once,
//! XORed or subtracted in registers, four blocks per instruction where the processor has VAES.
//!
//! Elsewhere the `aes` crate encrypts the counters (by AES instructions where there are any). Out of scope: which keys, and what
//! for ([`crate::session`]).

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector instructions, and loads and stores through pointers")
)]

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use zeroize::Zeroize as _;

use super::vectors::Vectors;

/// Bytes in which streams advance: four blocks.
pub const LINE_BYTES: usize = 64;
/// Bytes that the portable version makes at a time.
const TILE: usize = 1024;

/// A stream of pseudorandom bytes under one key. Each call takes whole lines of 64 bytes.
pub struct KeyStream {
    cipher: Aes128,
    #[cfg(target_arch = "x86_64")]
    rounds: x86::RoundKeys,
    /// Number of the next line.
    line: u64,
}

/// What becomes of two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// a XOR b.
    Xor,
    /// a - b in little-endian words of 16 bits.
    Difference,
}

impl KeyStream {
    /// The stream of `key` from its start.
    pub fn new(key: &[u8; 16]) -> Self {
        Self {
            cipher: Aes128::new(key.into()),
            #[cfg(target_arch = "x86_64")]
            rounds: x86::RoundKeys::new(key),
            line: 0,
        }
    }

    /// Goes to the line with this number.
    pub fn seek(&mut self, line: u64) {
        self.line = line;
    }

    /// Writes the next bytes of the stream. What is left of the last line is dropped.
    pub fn fill(&mut self, vectors: Vectors, out: &mut [u8]) {
        let first = self.advance(out.len());
        #[cfg(target_arch = "x86_64")]
        if let Some(vaes) = x86::Vaes::detect(vectors) {
            return vaes.fill(&self.rounds, first, out);
        }
        let _ = vectors;
        self.encrypt(first, out);
    }

    /// The lines that `bytes` bytes take.
    fn advance(&mut self, bytes: usize) -> u64 {
        let first = self.line;
        self.line = self.line.wrapping_add(bytes.div_ceil(LINE_BYTES) as u64);
        first
    }

    /// The stream from line `first`, by the `aes` crate.
    fn encrypt(&self, first: u64, out: &mut [u8]) {
        let mut blocks = [0u8; TILE];
        for (tile, out) in out.chunks_mut(TILE).enumerate() {
            let start = first.wrapping_mul(4).wrapping_add((tile * TILE / 16) as u64);
            for (number, block) in (start..).zip(blocks.as_chunks_mut::<16>().0) {
                *block = u128::from(number).to_be_bytes();
            }
            let (blocks_of, _) = Array::slice_as_chunks_mut(&mut blocks);
            self.cipher.encrypt_blocks(blocks_of);
            out.copy_from_slice(blocks.split_at(out.len()).0);
        }
        blocks.zeroize();
    }
}

/// Writes the next bytes of two streams, joined.
pub fn join(vectors: Vectors, joined: Joined, a: &mut KeyStream, b: &mut KeyStream, out: &mut [u8]) {
    let (first, second) = (a.advance(out.len()), b.advance(out.len()));
    #[cfg(target_arch = "x86_64")]
    if let Some(vaes) = x86::Vaes::detect(vectors)
        && first == second
    {
        return match joined {
            Joined::Xor => vaes.xor(&a.rounds, &b.rounds, first, out),
            Joined::Difference => vaes.difference(&a.rounds, &b.rounds, first, out),
        };
    }
    let _ = vectors;
    a.encrypt(first, out);
    let mut other = [0u8; TILE];
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let other = other.split_at_mut(out.len()).0;
        b.encrypt(second.wrapping_add((tile * TILE / LINE_BYTES) as u64), other);
        match joined {
            Joined::Xor => out.iter_mut().zip(other.iter()).for_each(|(a, b)| *a ^= b),
            Joined::Difference => {
                for (a, b) in out.as_chunks_mut::<2>().0.iter_mut().zip(other.as_chunks::<2>().0) {
                    *a = u16::from_le_bytes(*a).wrapping_sub(u16::from_le_bytes(*b)).to_le_bytes();
                }
            }
        }
    }
    other.zeroize();
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use zeroize::ZeroizeOnDrop;

    use super::LINE_BYTES;
    use crate::kernel::vectors::Vectors;

    /// Lines in flight: enough to hide the latency of a round.
    const DEEP: usize = 4;

    /// The key schedule; zeros where the processor has no AES instructions, and then never used.
    #[derive(ZeroizeOnDrop)]
    pub(super) struct RoundKeys([[u8; 16]; 11]);

    impl RoundKeys {
        pub(super) fn new(key: &[u8; 16]) -> Self {
            if !cfg!(miri) && is_x86_feature_detected!("aes") {
                // SAFETY: the processor has what the function was compiled for.
                return unsafe { Self::expand(key) };
            }
            Self([[0; 16]; 11])
        }

        /// FIPS 197 section 5.2, with the processor's S-box: no table, so no timing that depends on the key.
        #[target_feature(enable = "aes,sse2")]
        fn expand(key: &[u8; 16]) -> Self {
            let mut keys = [*key; 11];
            let mut last = load_block(key);
            macro_rules! rounds {
                ($($round:literal: $constant:literal),*) => {$(
                    // Word 3 of the assist is the rotated, substituted last word of the key, with the constant.
                    let word = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$constant>(last));
                    let mut next = _mm_xor_si128(last, _mm_slli_si128::<4>(last));
                    next = _mm_xor_si128(next, _mm_slli_si128::<8>(next));
                    last = _mm_xor_si128(next, word);
                    store_block(&mut keys[$round], last);
                )*};
            }
            rounds!(1: 0x01, 2: 0x02, 3: 0x04, 4: 0x08, 5: 0x10, 6: 0x20, 7: 0x40, 8: 0x80, 9: 0x1b, 10: 0x36);
            Self(keys)
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load_block(block: &[u8; 16]) -> __m128i {
        // SAFETY: a block is 16 bytes, and the load needs no alignment.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn store_block(block: &mut [u8; 16], value: __m128i) {
        // SAFETY: a block is 16 bytes, and the store needs no alignment.
        unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), value) }
    }

    /// Proof that the processor has AVX-512BW, AES and VAES: made by [`Self::detect`] only.
    #[derive(Clone, Copy)]
    pub(super) struct Vaes(());

    impl Vaes {
        /// Whether to use them: the caller asks for wide vectors, and the processor has them.
        #[inline]
        pub(super) fn detect(vectors: Vectors) -> Option<Self> {
            let has = vectors == Vectors::Avx512
                && !cfg!(miri)
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("aes")
                && is_x86_feature_detected!("vaes");
            has.then_some(Self(()))
        }

        pub(super) fn fill(self, key: &RoundKeys, first: u64, out: &mut [u8]) {
            // SAFETY: `detect` found the features. So below.
            unsafe { one(key, first, out) }
        }

        pub(super) fn xor(self, a: &RoundKeys, b: &RoundKeys, first: u64, out: &mut [u8]) {
            // SAFETY: as above.
            unsafe { two::<false>(a, b, first, out) }
        }

        pub(super) fn difference(self, a: &RoundKeys, b: &RoundKeys, first: u64, out: &mut [u8]) {
            // SAFETY: as above.
            unsafe { two::<true>(a, b, first, out) }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn broadcast(keys: &RoundKeys) -> [__m512i; 11] {
        keys.0.each_ref().map(|key| _mm512_broadcast_i32x4(load_block(key)))
    }

    /// Four counters of a line: the low half is 0 and the high half the block's number, until `swapped` brings the bytes in order.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn counters(line: u64) -> __m512i {
        let block = line.wrapping_mul(4).cast_signed();
        let at = |n: i64| block.wrapping_add(n);
        _mm512_set_epi64(at(3), 0, at(2), 0, at(1), 0, at(0), 0)
    }

    /// From little- to big-endian numbers in the high halves.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn swapped(counters: __m512i) -> __m512i {
        let order = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
        _mm512_shuffle_epi8(counters, order)
    }

    /// Encrypts lines of blocks.
    #[inline]
    #[target_feature(enable = "avx512f,vaes")]
    fn encrypt<const N: usize>(keys: &[__m512i; 11], mut blocks: [__m512i; N]) -> [__m512i; N] {
        let [first, middle @ .., last] = keys;
        for block in &mut blocks {
            *block = _mm512_xor_si512(*block, *first);
        }
        for key in middle {
            for block in &mut blocks {
                *block = _mm512_aesenc_epi128(*block, *key);
            }
        }
        for block in &mut blocks {
            *block = _mm512_aesenclast_epi128(*block, *last);
        }
        blocks
    }

    /// Calls `lines` for groups of lines and writes what it makes of their counters; the last line may be cut.
    macro_rules! over_lines {
        ($first:expr, $out:expr, |$blocks:ident, $count:ident| $make:expr) => {
            let (step, deep) = (_mm512_set1_epi64(4), _mm512_set1_epi64(4 * DEEP as i64));
            // The low halves count, too, but nobody looks: they are cleared here.
            let high = 0b1010_1010;
            let mut next = counters($first);
            let (groups, rest) = $out.as_chunks_mut::<{ DEEP * LINE_BYTES }>();
            for group in groups {
                let mut $blocks = [next; DEEP];
                for n in 1..DEEP {
                    $blocks[n] = _mm512_mask_add_epi64($blocks[n - 1], high, $blocks[n - 1], step);
                }
                next = _mm512_mask_add_epi64(next, high, next, deep);
                $blocks = $blocks.map(|line| swapped(line));
                const $count: usize = DEEP;
                let made = $make;
                for (line, made) in group.as_chunks_mut::<LINE_BYTES>().0.iter_mut().zip(made) {
                    // SAFETY: a line is 64 bytes, and the store needs no alignment.
                    unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), made) }
                }
            }
            for line in rest.chunks_mut(LINE_BYTES) {
                let $blocks = [swapped(next)];
                next = _mm512_mask_add_epi64(next, high, next, step);
                const $count: usize = 1;
                let [made] = $make;
                let kept = u64::MAX.unbounded_shr(LINE_BYTES as u32 - line.len() as u32);
                // SAFETY: only as many bytes as the line has are written.
                unsafe { _mm512_mask_storeu_epi8(line.as_mut_ptr().cast(), kept, made) }
            }
        };
    }

    #[expect(clippy::cast_possible_truncation, reason = "lengths below 65")]
    #[expect(clippy::cast_possible_wrap, reason = "a small constant")]
    #[target_feature(enable = "avx512f,avx512bw,aes,vaes")]
    fn one(key: &RoundKeys, first: u64, out: &mut [u8]) {
        let keys = broadcast(key);
        over_lines!(first, out, |blocks, COUNT| encrypt::<COUNT>(&keys, blocks));
    }

    #[expect(clippy::cast_possible_truncation, reason = "lengths below 65")]
    #[expect(clippy::cast_possible_wrap, reason = "a small constant")]
    #[target_feature(enable = "avx512f,avx512bw,aes,vaes")]
    fn two<const DIFFERENCE: bool>(a: &RoundKeys, b: &RoundKeys, first: u64, out: &mut [u8]) {
        let (a, b) = (broadcast(a), broadcast(b));
        over_lines!(first, out, |blocks, COUNT| {
            let mut made = encrypt::<COUNT>(&a, blocks);
            for (x, y) in made.iter_mut().zip(encrypt::<COUNT>(&b, blocks)) {
                *x = if DIFFERENCE { _mm512_sub_epi16(*x, y) } else { _mm512_xor_si512(*x, y) };
            }
            made
        });
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::{KeyIvInit as _, StreamCipher as _};
    use proptest::prelude::*;

    use super::*;

    /// The definition: the `ctr` crate's stream from block 0.
    fn reference(key: &[u8; 16], from_line: u64, len: usize) -> Vec<u8> {
        use aes::cipher::StreamCipherSeek as _;
        let mut stream = ctr::Ctr128BE::<Aes128>::new(key.into(), &[0; 16].into());
        stream.seek(from_line * LINE_BYTES as u64);
        let mut out = vec![0; len];
        stream.apply_keystream(&mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]
        #[test]
        fn streams_are_aes_in_counter_mode(a: [u8; 16], b: [u8; 16], line in 0u64..1 << 40, lengths in proptest::collection::vec(0usize..2500, 1..4)) {
            for vectors in Vectors::available() {
                let mut at = line;
                let [mut one, mut first, mut second, mut third, mut fourth] = [&a, &a, &b, &a, &b].map(KeyStream::new);
                [&mut one, &mut first, &mut second, &mut third, &mut fourth].into_iter().for_each(|stream| stream.seek(line));
                for len in lengths.iter().copied() {
                    let (x, y) = (reference(&a, at, len), reference(&b, at, len));
                    let mut out = vec![7; len];
                    one.fill(vectors, &mut out);
                    prop_assert_eq!(&out, &x, "{:?}", vectors);
                    join(vectors, Joined::Xor, &mut first, &mut second, &mut out);
                    prop_assert!(out.iter().zip(&x).zip(&y).all(|((out, x), y)| *out == x ^ y));
                    let even = len / 2 * 2;
                    join(vectors, Joined::Difference, &mut third, &mut fourth, &mut out[..even]);
                    let word = |bytes: &[u8], i: usize| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]);
                    prop_assert!((0..len / 2).all(|i| word(&out, i) == word(&x, i).wrapping_sub(word(&y, i))));
                    third.seek(at + len.div_ceil(LINE_BYTES) as u64);
                    fourth.seek(at + len.div_ceil(LINE_BYTES) as u64);
                    at += len.div_ceil(LINE_BYTES) as u64;
                }
            }
        }
    }

    /// SP 800-38A, F.5.1 has another first counter; encrypting the counter 0 under the zero key is FIPS 197's zero vector.
    #[test]
    fn the_first_block_of_the_zero_key_is_known() {
        let expected = [0x66, 0xe9, 0x4b, 0xd4, 0xef, 0x8a, 0x2c, 0x3b, 0x88, 0x4c, 0xfa, 0x59, 0xca, 0x34, 0x2b, 0x2e];
        for vectors in Vectors::available() {
            let mut out = [0; 16];
            KeyStream::new(&[0; 16]).fill(vectors, &mut out);
            assert_eq!(out, expected, "{vectors:?}");
        }
    }
}
