//! The plaintext matcher: what the private matching must agree with, decision for decision.
//!
//! Scores are those of PROTOCOL section 2, in ordinary integers: `<x, y> - ceil(T s^2)` for embeddings; for iris codes
//! `p (2 m' - 2 h) - q m' - 1`, where `m'` mask bits are usable in both codes and `h` of the code bits they cover differ,
//! best over all rotations. **A score >= 0 is a match.**
//!
//! **In scope**: templates in the clear, in tests and in accuracy reports. **Out of scope**: anything on shares (`mpc`).

#![expect(clippy::indexing_slicing, reason = "numeric kernel: every index is below a length fixed at construction")]

use std::ops::Range;

use types::profile::{IrisCode, Matching};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Error, Template};

/// The score of one comparison, best over the rotations of the probe.
///
/// # Errors
/// [`Error::WrongModality`], [`Error::WrongLength`] if a template is not of this kind.
pub fn score(probe: &Template, record: &Template, matching: &Matching) -> Result<i32, Error> {
    let gallery = Gallery::new(matching, [probe, record])?;
    Ok(gallery.score(0, 1))
}

/// The decision of one comparison.
///
/// # Errors
/// As [`score`].
pub fn matches(probe: &Template, record: &Template, matching: &Matching) -> Result<bool, Error> {
    Ok(score(probe, record, matching)? >= 0)
}

/// The score of every probe row, in the order of the rotations: column `j` of row `r` is column `j - r + (rotations - 1)/2` of
/// the probe. Embeddings have one row.
///
/// # Errors
/// As [`score`].
pub fn row_scores(probe: &Template, record: &Template, matching: &Matching) -> Result<Vec<i32>, Error> {
    let gallery = Gallery::new(matching, [probe, record])?;
    Ok(match &gallery.kind {
        Kind::Vectors(vectors) => vec![vectors.score(0, 1)],
        Kind::Irises(irises) => irises.rows(0).iter().map(|row| irises.row_score(row, 1)).collect(),
    })
}

/// Templates laid out for many comparisons. Secret: wiped when dropped.
pub struct Gallery {
    kind: Kind,
    len: usize,
}

enum Kind {
    Vectors(Vectors),
    Irises(Irises),
}

impl std::fmt::Debug for Gallery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gallery({} templates, <redacted>)", self.len)
    }
}

impl Gallery {
    /// Lays out `templates`, in their order.
    ///
    /// # Errors
    /// [`Error::WrongModality`], [`Error::WrongLength`] at the first template that `matching` cannot compare.
    pub fn new<'a>(matching: &Matching, templates: impl IntoIterator<Item = &'a Template>) -> Result<Self, Error> {
        let mut kind = match matching {
            Matching::Embedding(m) => Kind::Vectors(Vectors {
                length: m.dimensions as usize,
                offset: i32::from(m.offset()),
                coordinates: Vec::new(),
            }),
            Matching::IrisCode(m) => Kind::Irises(Irises::new(m)),
        };
        let mut len = 0;
        for template in templates {
            template.check(matching)?;
            match (&mut kind, template.coordinates(), template.iris_bits()) {
                (Kind::Vectors(vectors), Some(x), _) => vectors.coordinates.extend(x.iter().map(|&v| i16::from(v))),
                (Kind::Irises(irises), _, Some(bits)) => irises.push(bits),
                _ => return Err(Error::WrongModality { profile: "another kind" }),
            }
            len += 1;
        }
        Ok(Self { kind, len })
    }

    /// Number of templates.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The score of two of the templates, best over rotations. Scores are symmetric, as rotations are.
    ///
    /// # Panics
    /// If an index is not below [`Self::len`].
    pub fn score(&self, probe: usize, record: usize) -> i32 {
        match &self.kind {
            Kind::Vectors(vectors) => vectors.score(probe, record),
            Kind::Irises(irises) => irises.best(&irises.rows(probe), record),
        }
    }

    /// Calls `visit(probe, record, score)` once for every unordered pair, `probe < record`, whose probe lies in `probes`.
    /// Callers that want threads split `0..len` among them.
    ///
    /// # Panics
    /// If `probes` reaches beyond [`Self::len`].
    pub fn for_each_pair(&self, probes: Range<usize>, mut visit: impl FnMut(usize, usize, i32)) {
        match &self.kind {
            Kind::Vectors(vectors) => {
                // Blocks of records stay in the second-level cache while all probes pass over them.
                const BLOCK: usize = 256;
                for start in (probes.start..self.len).step_by(BLOCK) {
                    let end = (start + BLOCK).min(self.len);
                    for probe in probes.start..probes.end.min(end) {
                        for record in start.max(probe + 1)..end {
                            visit(probe, record, vectors.score(probe, record));
                        }
                    }
                }
            }
            Kind::Irises(irises) => {
                for probe in probes {
                    let rows = irises.rows(probe);
                    for record in probe + 1..self.len {
                        visit(probe, record, irises.best(&rows, record));
                    }
                }
            }
        }
    }
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Vectors {
    length: usize,
    offset: i32,
    /// 16 bits per coordinate: the compiler turns the products into multiply-and-add of pairs.
    coordinates: Vec<i16>,
}

impl Vectors {
    fn score(&self, probe: usize, record: usize) -> i32 {
        let row = |i: usize| &self.coordinates[i * self.length..(i + 1) * self.length];
        // No wrap: at most 32,768 products of magnitude 2^14. Checked additions would keep the loop from being vectorised.
        let products = row(probe).iter().zip(row(record)).map(|(&x, &y)| i32::from(x).wrapping_mul(i32::from(y)));
        products.fold(0i32, i32::wrapping_add) - self.offset
    }
}

/// One rotation of one probe: packed bits.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Row {
    /// `code AND mask`, one bit per code bit.
    code: Vec<u64>,
    /// The mask, one bit per code bit.
    mask: Vec<u64>,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Irises {
    #[zeroize(skip)]
    matching: IrisCode,
    /// Unrotated.
    records: Vec<Row>,
}

impl Irises {
    fn new(matching: &IrisCode) -> Self {
        Self { matching: matching.clone(), records: Vec::new() }
    }

    fn push(&mut self, bits: &[u8]) {
        let (code, mask) = bits.split_at(self.matching.code_bits());
        self.records.push(Row { code: pack(code.iter().copied()), mask: pack(mask.iter().flat_map(|&bit| [bit, bit])) });
    }

    /// All rotations of one record, as probe rows.
    fn rows(&self, probe: usize) -> Vec<Row> {
        let Row { code, mask } = &self.records[probe];
        let (count, columns) = (self.matching.rotations as usize, self.matching.columns as usize);
        (0..count)
            .map(|row| {
                let shift = (row + columns - (count - 1) / 2) % columns;
                Row { code: self.rotate(code, shift), mask: self.rotate(mask, shift) }
            })
            .collect()
    }

    /// Moves every column `shift` to the right, within each row of the code.
    fn rotate(&self, packed: &[u64], shift: usize) -> Vec<u64> {
        let (columns, column_bits) = (self.matching.columns as usize, 2 * self.matching.wavelets as usize);
        let row_bits = columns * column_bits;
        let bit = |i: usize| (packed[i / 64] >> (i % 64) & 1) as u8;
        let rotated = (0..self.matching.code_bits()).map(|i| {
            let (row, within) = (i / row_bits, i % row_bits);
            bit(row * row_bits + (within + row_bits - shift * column_bits) % row_bits)
        });
        pack(rotated)
    }

    fn best(&self, rows: &[Row], record: usize) -> i32 {
        rows.iter().map(|row| self.row_score(row, record)).max().unwrap_or(i32::MIN)
    }

    fn row_score(&self, row: &Row, record: usize) -> i32 {
        let record = &self.records[record];
        let (mut differing, mut joint) = (0u32, 0u32);
        let words = row.code.iter().zip(&row.mask).zip(record.code.iter().zip(&record.mask));
        for ((code, mask), (other_code, other_mask)) in words {
            let both = mask & other_mask;
            differing = differing.wrapping_add(((code ^ other_code) & both).count_ones());
            joint = joint.wrapping_add(both.count_ones());
        }
        // `joint` counts code bits: two for each mask bit. All counts are at most 32,768.
        let (differing, joint) = (differing.cast_signed(), joint.cast_signed());
        let (p, q) = (i32::from(self.matching.dot_weight), i32::from(self.matching.mask_weight));
        p * (joint - 2 * differing) - q * (joint / 2) - 1
    }
}

fn pack(bits: impl Iterator<Item = u8>) -> Vec<u64> {
    let mut words = Vec::new();
    for (i, bit) in bits.enumerate() {
        if i % 64 == 0 {
            words.push(0u64);
        }
        words[i / 64] |= u64::from(bit) << (i % 64);
    }
    words
}

#[cfg(test)]
mod tests;
