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

use crate::galois::{Conversion, Element, lagrange};
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
    let (own, next) = (vector(input.own()), vector(input.next()));
    let conversion = Conversion::of(node);
    RecordShare(
        pairs(&own).zip(pairs(&next)).map(|(a, b)| conversion.apply(a, b)).flat_map(|share| [share.a, share.b]).collect(),
    )
}

/// The probe rows of `input` at `node`.
///
/// `input` must have been opened with `matching.input_len()`; missing values count as zero.
pub fn probe_share(node: NodeId, input: &InputShare, matching: &Matching) -> ProbeShare {
    let record_len = matching.record_len();
    let (own, next) = (reduce(input.own()), reduce(input.next()));
    let (conversion, scale) = (Conversion::of(node), lagrange(node));
    let mut values = Vec::with_capacity(record_len * matching.probe_rows());
    for row in 0..matching.probe_rows() {
        let (own, next) = (probe_row(&own, row, matching), probe_row(&next, row, matching));
        // The pair (c, d) is packed as c - d w; the constant coefficient of a product is then ac + bd.
        let conjugated = |vector| pairs(vector).map(|pair: Element| Element::new(pair.a, pair.b.wrapping_neg()));
        for (own, next) in conjugated(&own).zip(conjugated(&next)) {
            let share = conversion.apply(own, next).mul(scale);
            values.extend([share.a, share.b.wrapping_neg()]);
        }
    }
    ProbeShare { record_len, values }
}

/// The score that `probe_row` gives against `record_vector`, in the clear: the definition that everything private must equal.
/// Returns the signed score of every row; a row matches when it is at least 0.
#[cfg(test)]
pub(crate) fn plaintext_scores(probe: &[u32], record: &[u32], matching: &Matching) -> Vec<i16> {
    let record = record_vector(&reduce(record), matching);
    (0..matching.probe_rows())
        .map(|row| {
            let row = probe_row(&reduce(probe), row, matching);
            let dot = row.iter().zip(record.iter()).fold(0u16, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)));
            dot.wrapping_sub(matching.offset()).cast_signed()
        })
        .collect()
}

fn reduce(component: &[u32]) -> Zeroizing<Vec<u16>> {
    // The low half is the residue mod 2^16.
    Zeroizing::new(component.iter().map(|x| (x & 0xFFFF) as u16).collect())
}

fn pairs(vector: &[u16]) -> impl Iterator<Item = Element> {
    vector.as_chunks::<2>().0.iter().map(|&[a, b]| Element::new(a, b))
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

/// Linear map from (a component of) an input to probe row `row`.
fn probe_row(input: &[u16], row: usize, matching: &Matching) -> Zeroizing<Vec<u16>> {
    let mut vector = Zeroizing::new(Vec::with_capacity(matching.record_len()));
    match matching {
        Matching::Embedding(_) => vector.extend_from_slice(input),
        Matching::IrisCode(iris) => {
            let (k, m) = halves(input, iris);
            let p = iris.dot_weight;
            let rotated = |bits_per_column| rotation(iris, row, bits_per_column);
            let at = |values: &[u16], bit: usize| values.get(bit).copied().unwrap_or(0);
            let code = rotated(2 * iris.wavelets as usize).map(|bit| signed_bit(at(k, bit), m, bit).wrapping_mul(p));
            vector.extend(code);
            let q = iris.mask_weight.wrapping_neg();
            vector.extend(rotated(iris.wavelets as usize).map(|bit| at(m, bit).wrapping_mul(q)));
        }
    }
    vector.resize(matching.record_len(), 0);
    vector
}

/// Set-and-valid bits k and mask bits m of an iris input.
fn halves<'a>(input: &'a [u16], iris: &IrisCode) -> (&'a [u16], &'a [u16]) {
    input.split_at(iris.code_bits().min(input.len()))
}

/// c = m - 2k: +1 for a valid 0, -1 for a valid 1, 0 where masked.
fn signed_bit(k: u16, m: &[u16], bit: usize) -> u16 {
    m.get(bit / 2).copied().unwrap_or(0).wrapping_sub(k.wrapping_mul(2))
}

/// The source index of every bit after rotation number `row`: row 0 shifts the columns by -(rotations - 1)/2, the middle row
/// not at all. Shifted by s, column c shows what was at column c - s.
fn rotation(iris: &IrisCode, row: usize, bits_per_column: usize) -> impl Iterator<Item = usize> {
    let (rows, columns) = (iris.rows as usize, iris.columns as usize);
    let half = (iris.rotations as usize - 1) / 2;
    // c - (row - half) mod columns; rotations <= columns keeps the sum positive.
    let source = move |column: usize| (column + half + columns - row) % columns;
    (0..rows).flat_map(move |r| {
        (0..columns).flat_map(move |c| {
            let start = (r * columns + source(c)) * bits_per_column;
            start..start + bits_per_column
        })
    })
}

#[cfg(test)]
#[path = "record_tests.rs"]
pub(crate) mod tests;
