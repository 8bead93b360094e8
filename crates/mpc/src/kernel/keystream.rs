//! AES-128 in counter mode (NIST SP 800-38A, 128-bit big-endian counter from 0), as zero shares need it: two streams at once,
//! XORed or subtracted in registers: four blocks per instruction where the processor has AVX-512 and VAES, two with AVX2 and VAES,
//! one with AVX2 and AES.
//!
//! Elsewhere the `aes` crate encrypts the counters. Out of scope: which keys, and what for ([`crate::session`]).

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use zeroize::Zeroize as _;

use super::vectors::Vectors;

#[cfg(target_arch = "x86_64")]
mod x86;

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
        if let Some(instructions) = x86::Instructions::detect(vectors) {
            return instructions.fill(&self.rounds, first, out);
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
    if let Some(instructions) = x86::Instructions::detect(vectors)
        && first == second
    {
        return instructions.join(joined, &a.rounds, &b.rounds, first, out);
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

    /// Every width of instructions, of which a process uses one: at lengths around the groups in which each works.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_width_of_instructions_makes_the_same_streams() {
        let (a, b) = ([3; 16], [5; 16]);
        let (one, other) = (KeyStream::new(&a), KeyStream::new(&b));
        for instructions in x86::Instructions::all() {
            for line in [0, 1, 77, 1 << 40] {
                for len in [0, 1, 15, 16, 31, 32, 63, 64, 65, 126, 127, 128, 129, 255, 256, 257, 511, 512, 514, 4096] {
                    let (x, y) = (reference(&a, line, len), reference(&b, line, len));
                    let mut out = vec![7; len];
                    instructions.fill(&one.rounds, line, &mut out);
                    assert_eq!(out, x, "{len} bytes from line {line}");
                    instructions.join(Joined::Xor, &one.rounds, &other.rounds, line, &mut out);
                    assert!(out.iter().zip(x.iter().zip(&y)).all(|(out, (x, y))| *out == x ^ y));
                    instructions.join(Joined::Difference, &one.rounds, &other.rounds, line, &mut out);
                    let word = |bytes: &[u8], i: usize| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]);
                    assert!((0..len / 2).all(|i| word(&out, i) == word(&x, i).wrapping_sub(word(&y, i))));
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
