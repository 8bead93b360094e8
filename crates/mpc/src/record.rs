//! From an uploaded share to what is stored and matched: record shares and probe shares (PROTOCOL sections 1 and 2).
//!
//! The conversion is local: reduction from Z_{2^32} to Z_{2^16}, the linear map from a template to its record vector or probe
//! rows, and the linear map from additive components to the Shamir share over the Galois ring.
//!
//! | kind | input | record vector | probe row r | score of a row |
//! |---|---|---|---|---|
//! | embedding | x | x | x | `<x, y> - offset` |
//! | iris code | k = code AND mask, then m | c = m - 2k, then m | p c, then -q m, both rotated by r | `p dot - q mask - 1` |
//!
//! An odd vector is padded with one zero. Probe shares carry the Lagrange coefficient of their node and the pair layout
//! (u0, -u1), so that **one plain wrapping dot product of a probe row and a record gives an additive share of the inner
//! product**. Out of scope: checking that the input is a template (`batch::CheckInputs`).

use types::NodeId;
use types::profile::{IrisCode, Matching};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::galois::Conversion;
use crate::kernel::Rotations;
use crate::sharing::InputShare;

/// One node's share of a record, in stored form: `Matching::record_len()` words, indistinguishable from random.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RecordShare(Vec<u16>);

impl RecordShare {
    /// Takes words that were read back from storage.
    pub fn from_values(values: Vec<u16>) -> Self {
        Self(values)
    }
    /// The words to store: pairs a + b w of the Galois ring, a first.
    pub fn values(&self) -> &[u16] {
        &self.0
    }
}

impl std::fmt::Debug for RecordShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordShare(<redacted>)")
    }
}

/// One node's share of a probe: `Matching::probe_rows()` rows of `Matching::record_len()` words.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ProbeShare {
    record_len: usize,
    values: Vec<u16>,
}

impl ProbeShare {
    /// Words per row.
    pub fn record_len(&self) -> usize {
        self.record_len
    }
    /// All rows, one after another.
    pub fn values(&self) -> &[u16] {
        &self.values
    }
    /// The rows, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u16]> {
        self.values.chunks_exact(self.record_len.max(1))
    }
}

impl std::fmt::Debug for ProbeShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProbeShare(<redacted>)")
    }
}

/// The stored form of `input` at `node`.
///
/// `input` must have been opened with `matching.input_len()`; missing values count as zero.
pub fn record_share(node: NodeId, input: &InputShare, matching: &Matching) -> RecordShare {
    let vector = |component: &[u32]| record_vector(&reduce(component), matching);
    let mut share = Vec::with_capacity(matching.record_len());
    Conversion::record(node).append(&vector(input.own()), &vector(input.next()), &mut share);
    RecordShare(share)
}

/// The probe rows of `input` at `node`.
///
/// `input` must have been opened with `matching.input_len()`; missing values count as zero.
pub fn probe_share(node: NodeId, input: &InputShare, matching: &Matching) -> ProbeShare {
    let record_len = matching.record_len();
    let (own, next) = (probe_vector(&reduce(input.own()), matching), probe_vector(&reduce(input.next()), matching));
    let conversion = Conversion::probe(node);
    let mut values = Vec::with_capacity(record_len * matching.probe_rows());
    for row in 0..matching.probe_rows() {
        conversion.append(&probe_row(&own, row, matching), &probe_row(&next, row, matching), &mut values);
    }
    ProbeShare { record_len, values }
}

/// The score that `probe_row` gives against `record_vector`, in the clear: the definition that everything private must equal.
/// Returns the signed score of every row; a row matches when it is at least 0.
#[cfg(test)]
pub(crate) fn plaintext_scores(probe: &[u32], record: &[u32], matching: &Matching) -> Vec<i16> {
    let record = record_vector(&reduce(record), matching);
    let probe = probe_vector(&reduce(probe), matching);
    (0..matching.probe_rows())
        .map(|row| {
            let row = probe_row(&probe, row, matching);
            let dot = row.iter().zip(record.iter()).fold(0u16, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)));
            dot.wrapping_sub(matching.offset()).cast_signed()
        })
        .collect()
}

fn reduce(component: &[u32]) -> Zeroizing<Vec<u16>> {
    // The low half is the residue mod 2^16.
    Zeroizing::new(component.iter().map(|x| (x & 0xFFFF) as u16).collect())
}

/// Linear map from (a component of) an input to the record vector.
fn record_vector(input: &[u16], matching: &Matching) -> Zeroizing<Vec<u16>> {
    let mut vector = Zeroizing::new(Vec::with_capacity(matching.record_len()));
    match matching {
        Matching::Embedding(_) => vector.extend_from_slice(input),
        Matching::IrisCode(iris) => {
            let (k, m) = halves(input, iris);
            vector.extend(k.iter().enumerate().map(|(bit, k)| signed_bit(*k, m, bit)));
            vector.extend_from_slice(m);
        }
    }
    vector.resize(matching.record_len(), 0);
    vector
}

/// Linear map from (a component of) an input to the unrotated probe row.
fn probe_vector(input: &[u16], matching: &Matching) -> Zeroizing<Vec<u16>> {
    let mut vector = record_vector(input, matching);
    if let Matching::IrisCode(iris) = matching {
        let (c, m) = vector.split_at_mut(iris.code_bits().min(input.len()));
        c.iter_mut().for_each(|c| *c = c.wrapping_mul(iris.dot_weight));
        m.iter_mut().for_each(|m| *m = m.wrapping_mul(iris.mask_weight.wrapping_neg()));
    }
    vector
}

/// Probe row `row`: row 0 shifts the columns by -(rotations - 1)/2, the middle row not at all. Shifted by s, column c shows what
/// was at column c - s.
fn probe_row(vector: &[u16], row: usize, matching: &Matching) -> Zeroizing<Vec<u16>> {
    let Matching::IrisCode(iris) = matching else { return Zeroizing::new(vector.to_vec()) };
    let (columns, wavelets) = (iris.columns as usize, iris.wavelets as usize);
    // The source of column 0: -s mod columns; at least 0 as there are no more rotations than columns.
    let first = (columns + (iris.rotations as usize - 1) / 2 - row) % columns;
    let mut rotated = Zeroizing::new(Vec::with_capacity(vector.len()));
    let (code, mask) = vector.split_at(iris.code_bits().min(vector.len()));
    for (part, bits_per_column) in [(code, 2 * wavelets), (mask, wavelets)] {
        for line in part.chunks(columns * bits_per_column) {
            // The last line may be the padding of an odd vector.
            let (before, after) = line.split_at((first * bits_per_column).min(line.len()));
            rotated.extend_from_slice(after);
            rotated.extend_from_slice(before);
        }
    }
    rotated
}

/// How the probe rows are shifts of one another: for an iris code, if the packing of words into pairs leaves columns whole.
pub fn rotations(matching: &Matching) -> Option<Rotations> {
    let Matching::IrisCode(iris) = matching else { return None };
    let (lines, wavelets) = (iris.rows as usize, iris.wavelets as usize);
    let parts = [(lines, 2 * wavelets), (lines, wavelets)];
    Rotations::new(iris.columns as usize, iris.rotations as usize, &parts)
}

/// Set-and-valid bits k and mask bits m of an iris input.
fn halves<'a>(input: &'a [u16], iris: &IrisCode) -> (&'a [u16], &'a [u16]) {
    input.split_at(iris.code_bits().min(input.len()))
}

/// c = m - 2k: +1 for a valid 0, -1 for a valid 1, 0 where masked.
fn signed_bit(k: u16, m: &[u16], bit: usize) -> u16 {
    m.get(bit / 2).copied().unwrap_or(0).wrapping_sub(k.wrapping_mul(2))
}

#[cfg(test)]
#[path = "record_tests.rs"]
pub(crate) mod tests;
