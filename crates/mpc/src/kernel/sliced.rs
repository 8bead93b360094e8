//! Bit-slicing: 512 numbers become one line of 512 bits per bit position (a *plane*), so that one vector operation acts on 512
//! comparisons (PROTOCOL section 3). The loops of the comparison stage on such planes.
//!
//! Lane order inside a line: bit 16 (4 e + f) + j, which is bit 16 f + j of word e, belongs to number 32 j + 4 e + f of a group
//! of 512. It comes from reading the numbers as sixteen lines and transposing 16 x 16 bit matrices; [`natural_order`] undoes it
//! for the one plane that leaves the comparison. All loops are in constant time: nothing depends on what the words hold.
//!
//! Out of scope: protocols and messages ([`crate::sign`]).

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls of functions compiled for features of the processor")
)]
#![expect(clippy::indexing_slicing, reason = "numeric code; slices are cut to one length before the loops")]

use super::vectors::vectorised;
use super::words::LINE_WORDS;

/// Numbers that are transposed together.
pub const LANES: usize = 64 * LINE_WORDS;
/// Bytes of as many 16-bit numbers.
const GROUP_BYTES: usize = 2 * LANES;

/// Sixteen lines.
type Square = [[u64; LINE_WORDS]; 16];

/// One level of butterflies: in lines i and i + n, exchanges the upper n-bit fields of the first with the lower ones of the second.
macro_rules! exchange {
    ($square:ident, $low:literal, $n:literal: $($i:literal)*) => {$({
        let (a, b) = ($square[$i], $square[$i + $n]);
        for e in 0..LINE_WORDS {
            $square[$i][e] = (a[e] & $low) | ((b[e] & $low) << $n);
            $square[$i + $n][e] = ((a[e] >> $n) & $low) | (b[e] & !$low);
        }
    })*};
}

vectorised! {
    /// Transposes 16-bit little-endian numbers into sixteen planes: bit b of group g goes to words `8 g ..+ 8` of plane b, and
    /// plane b begins at `planes[b * stride]`. Groups are whole.
    pub fn transpose(numbers: &[u8], planes: &mut [u64], stride: usize) {
        let words = numbers.len() / GROUP_BYTES * LINE_WORDS;
        assert!(words <= stride && (words == 0 || planes.len() >= 15 * stride + words), "planes have room");
        for (group, bytes) in numbers.as_chunks::<GROUP_BYTES>().0.iter().enumerate() {
            let mut square: Square = [[0; LINE_WORDS]; 16];
            for (line, bytes) in square.iter_mut().zip(bytes.as_chunks::<64>().0) {
                for (word, bytes) in line.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    *word = u64::from_le_bytes(*bytes);
                }
            }
            // Written out: all indices must be constants, so that the sixteen lines stay in registers.
            exchange!(square, 0x00FF_00FF_00FF_00FF, 8: 0 1 2 3 4 5 6 7);
            exchange!(square, 0x0F0F_0F0F_0F0F_0F0F, 4: 0 1 2 3 8 9 10 11);
            exchange!(square, 0x3333_3333_3333_3333, 2: 0 1 4 5 8 9 12 13);
            exchange!(square, 0x5555_5555_5555_5555, 1: 0 2 4 6 8 10 12 14);
            for (bit, line) in square.iter().enumerate() {
                let at = bit * stride + group * LINE_WORDS;
                planes[at..at + LINE_WORDS].copy_from_slice(line);
            }
        }
    }

    /// Puts the lanes of a plane in order: bit l of word w then belongs to number 64 w + l.
    pub fn natural_order(plane: &mut [u64]) {
        for line in plane.as_chunks_mut::<LINE_WORDS>().0 {
            // Field c of the line holds bit j of numbers 32 j + c, for 16 values of j: a 16 x 32 matrix to transpose, as two
            // squares side by side.
            let field = |c: usize| (line[c / 4] >> (16 * (c % 4)) & 0xFFFF) as u32;
            let mut rows: [u32; 16] = std::array::from_fn(|c| field(c) | field(16 + c) << 16);
            for (shift, low) in [(8, 0x00FF_00FF), (4, 0x0F0F_0F0F), (2, 0x3333_3333), (1, 0x5555_5555u32)] {
                for i in (0..16).filter(|i| i & shift == 0) {
                    let (a, b) = (rows[i], rows[i + shift]);
                    rows[i] = (a & low) | ((b & low) << shift);
                    rows[i + shift] = ((a >> shift) & low) | (b & !low);
                }
            }
            for (word, pair) in line.iter_mut().zip(rows.as_chunks::<2>().0) {
                *word = u64::from(pair[0]) | u64::from(pair[1]) << 32;
            }
        }
    }

    /// `message = numbers + zero` in little-endian words of 16 bits.
    pub fn add_numbers(numbers: &[u16], zero: &[u8], message: &mut [u8]) {
        let (zero, message) = (zero.as_chunks::<2>().0, message.as_chunks_mut::<2>().0);
        for ((out, number), zero) in message.iter_mut().zip(numbers).zip(zero) {
            *out = number.wrapping_add(u16::from_le_bytes(*zero)).to_le_bytes();
        }
    }

    /// Carry-save: `own = (x AND y) XOR zero`, for this node's components x and y; `message` is the same.
    pub fn carry_save(x: &[u64], y: &[u64], zero: &[u8], own: &mut [u64], message: &mut [u8]) {
        let n = own.len();
        let (x, y, zero, message) = (&x[..n], &y[..n], &words(zero)[..n], &mut words_mut(message)[..n]);
        for i in 0..n {
            let product = (x[i] & y[i]) ^ u64::from_le_bytes(zero[i]);
            own[i] = product;
            message[i] = product.to_le_bytes();
        }
    }

    /// One layer of the ripple adder. `carry` is `[k_i, k_{i+1}]`, of which `arrived` completes the second by XOR. The product
    /// of s XOR k and c XOR k, local part XOR `zero`, is the message; XORed to the first it makes the next carry.
    pub fn ripple(s: [&[u64]; 2], c: [&[u64]; 2], carry: [&mut [u64]; 2], arrived: &[u8], zero: &[u8], message: &mut [u8]) {
        let [k, k2] = carry;
        let n = k.len();
        let ([s, s2], [c, c2]) = (s.map(|s| &s[..n]), c.map(|c| &c[..n]));
        let (k2, arrived, zero, message) = (&mut k2[..n], &words(arrived)[..n], &words(zero)[..n], &mut words_mut(message)[..n]);
        for i in 0..n {
            let second = k2[i] ^ u64::from_le_bytes(arrived[i]);
            let (a, b) = (s[i] ^ k[i], c[i] ^ k[i]);
            let product = (a & (b ^ c2[i] ^ second)) ^ ((s2[i] ^ second) & b) ^ u64::from_le_bytes(zero[i]);
            k2[i] = second;
            k[i] ^= product;
            message[i] = product.to_le_bytes();
        }
    }

    /// `own = (a_i AND b_i) XOR (a_i AND b_{i+1}) XOR (a_{i+1} AND b_i) XOR zero`; `message` is the same.
    pub fn and(a: [&[u64]; 2], b: [&[u64]; 2], zero: &[u8], own: &mut [u64], message: &mut [u8]) {
        let n = own.len();
        let ([a, a2], [b, b2]) = (a.map(|a| &a[..n]), b.map(|b| &b[..n]));
        let (zero, message) = (&words(zero)[..n], &mut words_mut(message)[..n]);
        for i in 0..n {
            let product = (a[i] & (b[i] ^ b2[i])) ^ (a2[i] & b[i]) ^ u64::from_le_bytes(zero[i]);
            own[i] = product;
            message[i] = product.to_le_bytes();
        }
    }

    /// `out = a XOR b`.
    pub fn xor(a: &[u64], b: &[u64], out: &mut [u64]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a ^ b;
        }
    }

    /// `out` XOR= little-endian words.
    pub fn xor_bytes(bytes: &[u8], out: &mut [u64]) {
        for (out, bytes) in out.iter_mut().zip(words(bytes)) {
            *out ^= u64::from_le_bytes(*bytes);
        }
    }

    /// `out` = little-endian words.
    pub fn copy_bytes(bytes: &[u8], out: &mut [u64]) {
        for (out, bytes) in out.iter_mut().zip(words(bytes)) {
            *out = u64::from_le_bytes(*bytes);
        }
    }
}

/// Whole words of some bytes.
#[inline(always)]
fn words(bytes: &[u8]) -> &[[u8; 8]] {
    bytes.as_chunks().0
}

#[inline(always)]
fn words_mut(bytes: &mut [u8]) -> &mut [[u8; 8]] {
    bytes.as_chunks_mut().0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::vectors::Vectors;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn vector(words: usize) -> impl Strategy<Value = Vec<u64>> {
        // Random words, and words at the extremes.
        proptest::collection::vec(prop_oneof![4 => any::<u64>(), 1 => Just(0), 1 => Just(u64::MAX)], words)
    }

    const CASES: u32 = if cfg!(miri) { 1 } else { 48 };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn planes_hold_the_bits_of_their_numbers(groups in 0usize..4, numbers in proptest::collection::vec(any::<u16>(), 4 * LANES)) {
            let numbers = &numbers[..groups * LANES];
            let stride = groups * LINE_WORDS + 3;
            for vectors in Vectors::available() {
                let mut planes = vec![0; 16 * stride];
                let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                transpose(vectors, &bytes, &mut planes, stride);
                for bit in 0..16 {
                    let plane = &mut planes[bit * stride..][..groups * LINE_WORDS];
                    natural_order(vectors, plane);
                    for (lane, number) in numbers.iter().enumerate() {
                        prop_assert_eq!(plane[lane / 64] >> (lane % 64) & 1, u64::from(number >> bit & 1), "{:?} {} {}", vectors, bit, lane);
                    }
                }
            }
        }

        #[test]
        fn gates_are_what_they_say(x in proptest::collection::vec(vector(21), 8)) {
            let n = x[0].len();
            for vectors in Vectors::available() {
                let (zero, arrived) = (bytes(&x[6]), bytes(&x[7]));
                let (mut own, mut message) = (vec![0; n], vec![0; 8 * n]);
                carry_save(vectors, &x[0], &x[1], &zero, &mut own, &mut message);
                prop_assert!((0..n).all(|i| own[i] == x[0][i] & x[1][i] ^ x[6][i]));
                prop_assert_eq!(bytes(&own), message.clone());

                and(vectors, [&x[0], &x[1]], [&x[2], &x[3]], &zero, &mut own, &mut message);
                let gate = |a: u64, a2: u64, b: u64, b2: u64| (a & b) ^ (a & b2) ^ (a2 & b);
                prop_assert!((0..n).all(|i| own[i] == gate(x[0][i], x[1][i], x[2][i], x[3][i]) ^ x[6][i]));
                prop_assert_eq!(bytes(&own), message.clone());

                let (mut k, mut k2) = (x[4].clone(), x[5].clone());
                ripple(vectors, [&x[0], &x[1]], [&x[2], &x[3]], [&mut k, &mut k2], &arrived, &zero, &mut message);
                let second = |i: usize| x[5][i] ^ x[7][i];
                let product = |i: usize| {
                    let (k, k2) = (x[4][i], second(i));
                    gate(x[0][i] ^ k, x[1][i] ^ k2, x[2][i] ^ k, x[3][i] ^ k2) ^ x[6][i]
                };
                prop_assert!((0..n).all(|i| k2[i] == second(i) && k[i] == x[4][i] ^ product(i)));
                prop_assert_eq!(&message, &bytes(&(0..n).map(product).collect::<Vec<_>>()));

                xor(vectors, &x[0], &x[1], &mut own);
                prop_assert!((0..n).all(|i| own[i] == x[0][i] ^ x[1][i]));
                xor_bytes(vectors, &zero, &mut own);
                prop_assert!((0..n).all(|i| own[i] == x[0][i] ^ x[1][i] ^ x[6][i]));
                copy_bytes(vectors, &zero, &mut own);
                prop_assert_eq!(&own, &x[6]);
            }
        }

        #[test]
        fn numbers_are_added(numbers in proptest::collection::vec(any::<u16>(), 0..200), zero in proptest::collection::vec(any::<u16>(), 200)) {
            let zero: Vec<u8> = zero.iter().flat_map(|word| word.to_le_bytes()).collect();
            for vectors in Vectors::available() {
                let mut message = vec![0; 2 * numbers.len()];
                add_numbers(vectors, &numbers, &zero[..message.len()], &mut message);
                for (i, number) in numbers.iter().enumerate() {
                    let word = |bytes: &[u8]| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]);
                    prop_assert_eq!(word(&message), number.wrapping_add(word(&zero)));
                }
            }
        }
    }
}
