//! Plaintext matching, as fast as this processor does it: the yardstick beside which benchmarks put private matching. Nothing
//! else uses it; a node has no plaintext.
//!
//! Bit counts in vectors (AVX-512 VPOPCNTDQ), and ordinary loops compiled once more for processors with wide integer products,
//! chosen at run time. Out of scope: reference decisions (`biometric::oracle`).

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls of functions that were compiled for features of the processor")
)]
#![expect(clippy::indexing_slicing, reason = "numeric code: lengths are checked when codes are added")]

use std::ops::Range;

/// Words that are handled together: one register of 512 bits.
const LANES: usize = 8;
type Block = [u64; LANES];

/// Records that are compared with a probe row before the next row's turn: they stay in the first-level cache.
const RECORDS: usize = 8;

/// Iris codes in the clear: real parts, imaginary parts and mask of each, as bits, padded with invalid positions.
#[derive(Debug, Clone)]
pub struct IrisCodes {
    /// Blocks of each of the three planes.
    blocks: usize,
    planes: Vec<Block>,
}

impl IrisCodes {
    /// No codes yet, of `positions` positions (mask bits) each.
    pub fn new(positions: usize) -> Self {
        Self { blocks: positions.div_ceil(64 * LANES), planes: Vec::new() }
    }

    /// Adds a code: `bits[2 i]` and `bits[2 i + 1]` are the parts of position `i`, which counts where `mask[i]` is set.
    ///
    /// # Panics
    /// If there are more positions than stated, or not two bits for each: errors of the caller.
    pub fn push(&mut self, bits: &[bool], mask: &[bool]) {
        assert_eq!(bits.len(), 2 * mask.len(), "two bits for each position");
        assert!(mask.len() <= self.blocks * 64 * LANES, "no more positions than stated");
        let mut planes = vec![[0; LANES]; 3 * self.blocks];
        for (position, &valid) in mask.iter().enumerate() {
            let (block, lane, bit) = (position / (64 * LANES), position / 64 % LANES, position % 64);
            for (plane, set) in [bits[2 * position] && valid, bits[2 * position + 1] && valid, valid].into_iter().enumerate()
            {
                planes[plane * self.blocks + block][lane] |= u64::from(set) << bit;
            }
        }
        self.planes.extend(planes);
    }

    /// Codes added.
    pub fn len(&self) -> usize {
        self.planes.len() / (3 * self.blocks).max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.planes.is_empty()
    }

    fn code(&self, index: usize) -> &[Block] {
        &self.planes[index * 3 * self.blocks..(index + 1) * 3 * self.blocks]
    }
}

/// Sets `matched[r]` for every probe row `r` whose score `p (2 m - 2 d) - q m - 1` with a record of `slots` is at least 0, where
/// `m` positions are usable in both and `d` of their `2 m` bits differ.
///
/// # Panics
/// If the codes have another length, or `slots` or `matched` do not fit.
pub fn match_irises(rows: &IrisCodes, records: &IrisCodes, slots: Range<usize>, weights: (u16, u16), matched: &mut [bool]) {
    assert_eq!(rows.blocks, records.blocks, "codes of one length");
    assert_eq!(matched.len(), rows.len(), "one flag for each row");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vpopcntdq")
        {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { irises_avx512(rows, records, slots, weights, matched) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            // SAFETY: as above.
            return unsafe { irises_avx2(rows, records, slots, weights, matched) };
        }
    }
    irises(rows, records, slots, weights, matched);
}

/// The instructions that [`match_irises`] and [`dot_products`] use here, for reports.
pub fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vpopcntdq") {
            return "avx512-vpopcntdq";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            return "avx2";
        }
    }
    "portable"
}

/// With vectors of counts: the compiler does not find them by itself.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
fn irises_avx512(rows: &IrisCodes, records: &IrisCodes, slots: Range<usize>, weights: (u16, u16), matched: &mut [bool]) {
    for start in slots.clone().step_by(RECORDS) {
        let end = slots.end.min(start + RECORDS);
        for (row, matched) in matched.iter_mut().enumerate() {
            let row = rows.code(row);
            // Four at a time hide the latency of counting.
            for first in (start..end).step_by(4) {
                let four = [0, 1, 2, 3].map(|i| records.code((first + i).min(end - 1)));
                *matched |= four_irises_avx512(row, four, rows.blocks, weights).into_iter().any(|score| score >= 0);
            }
        }
    }
}

/// Scores of a row with four records, each of `3 * blocks` blocks.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
#[inline]
fn four_irises_avx512(row: &[Block], records: [&[Block]; 4], blocks: usize, (p, q): (u16, u16)) -> [i32; 4] {
    use std::arch::x86_64::*;

    // Bits where a or b differ from each other, and c is set: (a ^ b) & c.
    const DIFFER_WHERE: i32 = 0b0010_1000;
    let (row, records) = (&row[..3 * blocks], records.map(|record| &record[..3 * blocks]));
    let load = |block: &Block| {
        // SAFETY: a block is 64 bytes, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
    };
    let (mut differing, mut joint) = ([_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 4]);
    for block in 0..blocks {
        let (real, imaginary) = (load(&row[block]), load(&row[blocks + block]));
        let mask = load(&row[2 * blocks + block]);
        for i in 0..4 {
            let record = records[i];
            let both = _mm512_and_si512(mask, load(&record[2 * blocks + block]));
            let a = _mm512_ternarylogic_epi64::<DIFFER_WHERE>(real, load(&record[block]), both);
            let b = _mm512_ternarylogic_epi64::<DIFFER_WHERE>(imaginary, load(&record[blocks + block]), both);
            let counts = _mm512_add_epi64(_mm512_popcnt_epi64(a), _mm512_popcnt_epi64(b));
            differing[i] = _mm512_add_epi64(differing[i], counts);
            joint[i] = _mm512_add_epi64(joint[i], _mm512_popcnt_epi64(both));
        }
    }
    // (2 p - q) m - 2 p d - 1; counts fill the low halves only, and the products stay below 2^31.
    let (for_joint, for_differing) = (2 * i32::from(p) - i32::from(q), 2 * i32::from(p));
    [0, 1, 2, 3].map(|i| {
        let m = _mm512_mullo_epi32(joint[i], _mm512_set1_epi32(for_joint));
        let d = _mm512_mullo_epi32(differing[i], _mm512_set1_epi32(for_differing));
        _mm512_reduce_add_epi32(_mm512_sub_epi32(m, d)) - 1
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn irises_avx2(rows: &IrisCodes, records: &IrisCodes, slots: Range<usize>, weights: (u16, u16), matched: &mut [bool]) {
    irises(rows, records, slots, weights, matched);
}

#[inline(always)]
fn irises(rows: &IrisCodes, records: &IrisCodes, slots: Range<usize>, weights: (u16, u16), matched: &mut [bool]) {
    let (p, q) = (i64::from(weights.0), i64::from(weights.1));
    for start in slots.clone().step_by(RECORDS) {
        for (row, matched) in matched.iter_mut().enumerate() {
            let row = rows.code(row);
            for record in start..slots.end.min(start + RECORDS) {
                let (differing, joint) = hamming(row, records.code(record), rows.blocks);
                *matched |=
                    p.wrapping_mul(2).wrapping_mul(joint.wrapping_sub(differing)).wrapping_sub(q.wrapping_mul(joint)) >= 1;
            }
        }
    }
}

/// Differing bits and joint positions.
#[inline(always)]
fn hamming(a: &[Block], b: &[Block], blocks: usize) -> (i64, i64) {
    let (mut differing, mut joint) = ([0u64; LANES], [0u64; LANES]);
    let (ar, rest) = a.split_at(blocks);
    let (ai, am) = rest.split_at(blocks);
    let (br, rest) = b.split_at(blocks);
    let (bi, bm) = rest.split_at(blocks);
    for (((ar, ai), am), ((br, bi), bm)) in ar.iter().zip(ai).zip(am).zip(br.iter().zip(bi).zip(bm)) {
        for lane in 0..LANES {
            let both = am[lane] & bm[lane];
            let real = u64::from(((ar[lane] ^ br[lane]) & both).count_ones());
            let imaginary = u64::from(((ai[lane] ^ bi[lane]) & both).count_ones());
            differing[lane] = differing[lane].wrapping_add(real).wrapping_add(imaginary);
            joint[lane] = joint[lane].wrapping_add(u64::from(both.count_ones()));
        }
    }
    let sum = |lanes: [u64; LANES]| lanes.into_iter().fold(0, u64::wrapping_add).cast_signed();
    (sum(differing), sum(joint))
}

/// Inner products of 8-bit vectors: `out[r * records + j]` is that of row `r` and record `j`, both of `length` words.
///
/// # Panics
/// If the lengths do not fit together.
pub fn dot_products(length: usize, rows: &[i8], records: &[i8], out: &mut [i32]) {
    assert!(length > 0 && rows.len().is_multiple_of(length) && records.len().is_multiple_of(length), "whole vectors");
    assert_eq!(out.len(), rows.len() / length * (records.len() / length), "one product for each pair");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { dots_avx512(length, rows, records, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { dots_avx2(length, rows, records, out) };
        }
    }
    dots(length, rows, records, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn dots_avx512(length: usize, rows: &[i8], records: &[i8], out: &mut [i32]) {
    dots(length, rows, records, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dots_avx2(length: usize, rows: &[i8], records: &[i8], out: &mut [i32]) {
    dots(length, rows, records, out);
}

#[inline(always)]
fn dots(length: usize, rows: &[i8], records: &[i8], out: &mut [i32]) {
    let count = records.len() / length;
    for (block, records) in records.chunks(length * RECORDS).enumerate() {
        for (row, out) in rows.chunks_exact(length).zip(out.chunks_exact_mut(count)) {
            for (record, out) in records.chunks_exact(length).zip(&mut out[block * RECORDS..]) {
                // The compiler makes widening multiply-and-adds of this.
                let products = row.iter().zip(record).map(|(&x, &y)| i32::from(i16::from(x).wrapping_mul(i16::from(y))));
                *out = products.fold(0, i32::wrapping_add);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn irises_match_where_the_definition_says() {
        for positions in [5, 512, 700, 6_400] {
            let code = |seed: u64| -> (Vec<bool>, Vec<bool>) {
                // Codes of one family agree in about three bits of four.
                let common = words(seed % 2, 2 * positions);
                let own = words(seed + 100, 2 * positions);
                let bits = common.iter().zip(&own).map(|(c, o)| if o % 2 == 0 { *c > 127 } else { *o > 127 }).collect();
                (bits, words(seed + 200, positions).iter().map(|m| *m > 50).collect())
            };
            let (mut rows, mut records) = (IrisCodes::new(positions), IrisCodes::new(positions));
            (0..5).for_each(|i| rows.push(&code(i).0, &code(i).1));
            (5..26).for_each(|i| records.push(&code(i).0, &code(i).1));
            let score = |a: u64, b: u64| {
                let ((a, am), (b, bm)) = (code(a), code(b));
                let joint = |i: usize| am[i] && bm[i];
                let m = (0..positions).filter(|&i| joint(i)).count() as i64;
                let d = (0..2 * positions).filter(|&i| joint(i / 2) && a[i] != b[i]).count() as i64;
                2 * (2 * m - 2 * d) - m - 1
            };
            for slots in [0..21, 3..4, 7..19] {
                let mut matched = [false; 5];
                match_irises(&rows, &records, slots.clone(), (2, 1), &mut matched);
                let expected = [0, 1, 2, 3, 4].map(|row| slots.clone().any(|slot| score(row, 5 + slot as u64) >= 0));
                assert_eq!(matched, expected, "{positions} positions, {slots:?}");
                let mut portable = [false; 5];
                irises(&rows, &records, slots, (2, 1), &mut portable);
                assert_eq!(portable, expected);
            }
        }
    }

    #[test]
    fn dot_products_are_exact() {
        for length in [1, 31, 512] {
            let signed =
                |seed, count: usize| -> Vec<i8> { words(seed, count * length).iter().map(|w| w.cast_signed()).collect() };
            let (rows, records) = (signed(1, 3), signed(2, 19));
            let mut out = vec![0; 3 * 19];
            dot_products(length, &rows, &records, &mut out);
            for (i, row) in rows.chunks(length).enumerate() {
                for (j, record) in records.chunks(length).enumerate() {
                    let dot: i32 = row.iter().zip(record).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
                    assert_eq!(out[i * 19 + j], dot);
                }
            }
        }
    }
}
