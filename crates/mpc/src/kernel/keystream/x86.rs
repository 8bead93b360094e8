//! AES-128 in counter mode by the instructions of x86-64, at three widths of registers.

#![expect(unsafe_code, reason = "vector instructions, and loads and stores through pointers")]

use std::arch::x86_64::*;

use zeroize::ZeroizeOnDrop;

use super::{Joined, LINE_BYTES};
use crate::kernel::vectors::{Vectors, has_avx2, has_avx512};

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

/// Proof that the processor has what is used: made by [`Self::detect`] only.
#[derive(Clone, Copy)]
pub(super) struct Instructions(Width);

#[derive(Clone, Copy)]
enum Width {
    /// AVX-512BW, AES and VAES.
    Four,
    /// AVX2, AES and VAES.
    Two,
    /// AVX2 and AES.
    One,
}

impl Instructions {
    /// Which to use: the caller asks for vectors of some width, and the processor has them.
    #[inline]
    pub(super) fn detect(vectors: Vectors) -> Option<Self> {
        if cfg!(miri) || !is_x86_feature_detected!("aes") {
            return None;
        }
        let vaes = is_x86_feature_detected!("vaes");
        match vectors {
            Vectors::Avx512 if vaes && has_avx512() => Some(Self(Width::Four)),
            Vectors::Avx512 | Vectors::Avx2 if has_avx2() => Some(Self(if vaes { Width::Two } else { Width::One })),
            _ => None,
        }
    }

    /// All that this machine can do, for tests: [`Self::detect`] takes the widest.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let widest = Vectors::available().into_iter().filter_map(Self::detect).next_back();
        let narrower = |widest: &Self| match widest.0 {
            Width::Four => vec![Width::Four, Width::Two, Width::One],
            Width::Two => vec![Width::Two, Width::One],
            Width::One => vec![Width::One],
        };
        widest.iter().flat_map(narrower).map(Self).collect()
    }

    pub(super) fn fill(self, key: &RoundKeys, first: u64, out: &mut [u8]) {
        // SAFETY: `detect` found the features.
        unsafe {
            match self.0 {
                Width::Four => one(key, first, out),
                Width::Two => two_blocks::one(key, first, out),
                Width::One => one_block::one(key, first, out),
            }
        }
    }

    pub(super) fn join(self, joined: Joined, a: &RoundKeys, b: &RoundKeys, first: u64, out: &mut [u8]) {
        // SAFETY: as above.
        unsafe {
            match (self.0, joined) {
                (Width::Four, Joined::Xor) => two::<false>(a, b, first, out),
                (Width::Four, Joined::Difference) => two::<true>(a, b, first, out),
                (Width::Two, Joined::Xor) => two_blocks::two::<false>(a, b, first, out),
                (Width::Two, Joined::Difference) => two_blocks::two::<true>(a, b, first, out),
                (Width::One, Joined::Xor) => one_block::two::<false>(a, b, first, out),
                (Width::One, Joined::Difference) => one_block::two::<true>(a, b, first, out),
            }
        }
    }
}

/// The streams with registers that hold `$blocks` blocks. Four registers of each of two streams, or eight of one, are in flight:
/// enough to hide the latency of a round, and few enough for sixteen registers.
macro_rules! narrow {
    ($name:ident, $features:literal, $vector:ty, $blocks:literal, $ops:ident) => {
        mod $name {
            use super::*;

            const DEEP: usize = 4;
            const GROUP_BYTES: usize = 16 * $blocks * DEEP;

            #[inline]
            #[target_feature(enable = $features)]
            fn broadcast(keys: &RoundKeys) -> [$vector; 11] {
                keys.0.each_ref().map(|key| $ops!(broadcast, load_block(key)))
            }

            /// The next group's counters, in order of bytes.
            #[inline]
            #[target_feature(enable = $features)]
            fn counters<const N: usize>(block: u64) -> [$vector; N] {
                let mut all = [$ops!(zero); N];
                for (register, n) in all.iter_mut().zip(0u64..) {
                    *register = $ops!(counters, block.wrapping_add($blocks * n).cast_signed());
                }
                all
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn encrypt<const N: usize>(keys: &[$vector; 11], mut blocks: [$vector; N]) -> [$vector; N] {
                let [first, middle @ .., last] = keys;
                for block in &mut blocks {
                    *block = $ops!(xor, *block, *first);
                }
                for key in middle {
                    for block in &mut blocks {
                        *block = $ops!(round, *block, *key);
                    }
                }
                for block in &mut blocks {
                    *block = $ops!(last, *block, *last);
                }
                blocks
            }

            /// As [`encrypt`], under two keys side by side.
            #[inline]
            #[target_feature(enable = $features)]
            fn encrypt_both(a: &[$vector; 11], b: &[$vector; 11], blocks: [$vector; DEEP]) -> [[$vector; DEEP]; 2] {
                let ([a_first, a_middle @ .., a_last], [b_first, b_middle @ .., b_last]) = (a, b);
                let [mut x, mut y] = [blocks; 2];
                for (x, y) in x.iter_mut().zip(&mut y) {
                    (*x, *y) = ($ops!(xor, *x, *a_first), $ops!(xor, *y, *b_first));
                }
                for (a, b) in a_middle.iter().zip(b_middle) {
                    for (x, y) in x.iter_mut().zip(&mut y) {
                        (*x, *y) = ($ops!(round, *x, *a), $ops!(round, *y, *b));
                    }
                }
                for (x, y) in x.iter_mut().zip(&mut y) {
                    (*x, *y) = ($ops!(last, *x, *a_last), $ops!(last, *y, *b_last));
                }
                [x, y]
            }

            /// Writes groups of registers, the last one cut.
            #[inline]
            #[target_feature(enable = $features)]
            fn write<const N: usize>(made: [$vector; N], out: &mut [u8]) {
                if out.len() == 16 * $blocks * N {
                    for (out, made) in out.as_chunks_mut::<{ 16 * $blocks }>().0.iter_mut().zip(made) {
                        // SAFETY: a chunk is as long as a register, and the store needs no alignment.
                        unsafe { $ops!(store, out.as_mut_ptr().cast(), made) }
                    }
                    return;
                }
                for (out, made) in out.chunks_mut(16 * $blocks).zip(made) {
                    let mut bytes = [0u8; 16 * $blocks];
                    // SAFETY: as above.
                    unsafe { $ops!(store, bytes.as_mut_ptr().cast(), made) }
                    out.copy_from_slice(bytes.split_at(out.len()).0);
                }
            }

            #[target_feature(enable = $features)]
            pub(super) fn one(key: &RoundKeys, first: u64, out: &mut [u8]) {
                let keys = broadcast(key);
                let mut block = first.wrapping_mul(4);
                for group in out.chunks_mut(2 * GROUP_BYTES) {
                    write(encrypt::<{ 2 * DEEP }>(&keys, counters(block)), group);
                    block = block.wrapping_add(2 * $blocks * DEEP as u64);
                }
            }

            #[target_feature(enable = $features)]
            pub(super) fn two<const DIFFERENCE: bool>(a: &RoundKeys, b: &RoundKeys, first: u64, out: &mut [u8]) {
                let (a, b) = (broadcast(a), broadcast(b));
                let mut block = first.wrapping_mul(4);
                for group in out.chunks_mut(GROUP_BYTES) {
                    let [mut made, other] = encrypt_both(&a, &b, counters(block));
                    for (x, y) in made.iter_mut().zip(other) {
                        *x = if DIFFERENCE { $ops!(sub, *x, y) } else { $ops!(xor, *x, y) };
                    }
                    write(made, group);
                    block = block.wrapping_add($blocks * DEEP as u64);
                }
            }
        }
    };
}

macro_rules! ops_256 {
    (broadcast, $key:expr) => {
        _mm256_broadcastsi128_si256($key)
    };
    (zero) => {
        _mm256_setzero_si256()
    };
    (counters, $block:expr) => {
        _mm256_set_epi64x($block.wrapping_add(1).swap_bytes(), 0, $block.swap_bytes(), 0)
    };
    (xor, $a:expr, $b:expr) => {
        _mm256_xor_si256($a, $b)
    };
    (sub, $a:expr, $b:expr) => {
        _mm256_sub_epi16($a, $b)
    };
    (round, $a:expr, $b:expr) => {
        _mm256_aesenc_epi128($a, $b)
    };
    (last, $a:expr, $b:expr) => {
        _mm256_aesenclast_epi128($a, $b)
    };
    (store, $to:expr, $a:expr) => {
        _mm256_storeu_si256($to, $a)
    };
}
macro_rules! ops_128 {
    (broadcast, $key:expr) => {
        $key
    };
    (zero) => {
        _mm_setzero_si128()
    };
    (counters, $block:expr) => {
        _mm_set_epi64x($block.swap_bytes(), 0)
    };
    (xor, $a:expr, $b:expr) => {
        _mm_xor_si128($a, $b)
    };
    (sub, $a:expr, $b:expr) => {
        _mm_sub_epi16($a, $b)
    };
    (round, $a:expr, $b:expr) => {
        _mm_aesenc_si128($a, $b)
    };
    (last, $a:expr, $b:expr) => {
        _mm_aesenclast_si128($a, $b)
    };
    (store, $to:expr, $a:expr) => {
        _mm_storeu_si128($to, $a)
    };
}
narrow!(two_blocks, "avx2,aes,vaes", __m256i, 2, ops_256);
narrow!(one_block, "avx2,aes", __m128i, 1, ops_128);

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
