//! Made-up people: random unit vectors, and iris codes with the statistics of real ones. A person is a number and a seed, so that
//! a million of them take no memory and come out the same again.
//!
//! Iris codes follow Daugman (*The importance of being random*, Pattern Recognition 36, 2003): different eyes agree as 231
//! independent coins would (Hamming distance 0.500 +- 0.033), two samples of one eye differ in 0.19 +- 0.06 of their bits. Bits
//! are correlated along the columns and over four rows. Out of scope: that they look like irises in any other way.

use biometric::Template;
use mpc::sharing::{InputShare, SplitRandomness, split};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use types::NodeId;
use types::profile::{IrisCode, Matching};

use crate::failure::{Exit, Failure};

/// Rows of an iris code that carry the same bits.
const BAND: usize = 4;
/// Chance that a bit is drawn anew from one column to the next. With [`BAND`] it gives 231 degrees of freedom:
/// `12800 / (4 * (1 + r) / (1 - r))` for `r = (1 - FRESH)^2`.
const FRESH: f64 = 0.07;

/// The people of one modality.
pub(crate) struct People<'a> {
    pub(crate) matching: &'a Matching,
    pub(crate) seed: u8,
}

impl People<'_> {
    /// The first sample of person `number`.
    pub(crate) fn first(&self, number: u64) -> Result<Template, Failure> {
        let mut rng = self.rng(number, 0);
        Ok(match self.matching {
            Matching::Embedding(m) => Template::from_embedding(&vector(m.dimensions as usize, &mut rng), m)?,
            Matching::IrisCode(m) => iris(&code(m, 0.5, &mut rng), &mask(m, &mut rng), m)?,
        })
    }

    /// Another sample of the same person: a vector at a cosine of about 0.7, a code with about 0.19 of its bits changed.
    pub(crate) fn again(&self, number: u64, visit: u64) -> Result<Template, Failure> {
        let (mut rng, mut other) = (self.rng(number, 0), self.rng(number, visit + 1));
        Ok(match self.matching {
            Matching::Embedding(m) => {
                let length = m.dimensions as usize;
                let sum =
                    vector(length, &mut rng).iter().zip(vector(length, &mut other)).map(|(a, b)| a + b).collect::<Vec<_>>();
                Template::from_embedding(&sum, m)?
            }
            Matching::IrisCode(m) => {
                // Samples differ in quality, too; the worst ones still match, so that every search has a known answer.
                let rate = (0.19 + 0.055 * bell(&mut other)).clamp(0.05, 0.27);
                let mut bits = code(m, 0.5, &mut rng);
                bits.iter_mut().zip(code(m, rate, &mut other)).for_each(|(bit, change)| *bit ^= change);
                iris(&bits, &mask(m, &mut other), m)?
            }
        })
    }

    fn rng(&self, number: u64, visit: u64) -> ChaCha8Rng {
        let mut seed = [self.seed; 32];
        seed.iter_mut().zip(number.to_le_bytes().into_iter().chain(visit.to_le_bytes())).for_each(|(to, from)| *to = from);
        ChaCha8Rng::from_seed(seed)
    }
}

/// What the three nodes hold of `values`, by the way that an upload takes. The seed is the number of the upload: no secret.
pub(crate) fn shares(values: &[u32], number: u64) -> Result<[InputShare; 3], Failure> {
    let mut random = [0; SplitRandomness::BYTES];
    let mut seed = [3; 32];
    seed.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    ChaCha8Rng::from_seed(seed).fill_bytes(&mut random);
    let split = split(values, &SplitRandomness::from_bytes(&random));
    let [a, b, c] = &split.packages;
    let open =
        |package, node| InputShare::open(package, node, values.len(), &split.commitments).map_err(|e| matching_failure(&e));
    let [one, two, three] = NodeId::ALL;
    Ok([open(a, one)?, open(b, two)?, open(c, three)?])
}

pub(crate) fn matching_failure(error: &mpc::Error) -> Failure {
    Failure::message(Exit::Input, "matching", &error.to_string())
}

/// Coordinates with a bell curve; only directions matter.
fn vector(length: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..length).map(|_| bell(rng)).collect()
}

/// Mean 0, variance 1: four uniform numbers added.
fn bell(rng: &mut ChaCha8Rng) -> f64 {
    let word = rng.next_u64();
    let sum: f64 = [0, 16, 32, 48].into_iter().map(|shift| f64::from((word >> shift & 0xffff) as u32)).sum();
    (sum / 65_536.0 - 2.0) * 3f64.sqrt()
}

/// Correlated bits of which a share `rate` is set, in the order of [`IrisCode`].
fn code(matching: &IrisCode, rate: f64, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let (rows, columns, streams) = (matching.rows as usize, matching.columns as usize, 2 * matching.wavelets as usize);
    let below = |limit: f64, rng: &mut ChaCha8Rng| f64::from(rng.next_u32()) < limit * 4_294_967_296.0;
    let mut bits = vec![false; rows * columns * streams];
    for band in (0..rows).step_by(BAND) {
        for stream in 0..streams {
            let mut bit = below(rate, rng);
            for column in 0..columns {
                if below(FRESH, rng) {
                    bit = below(rate, rng);
                }
                for row in band..rows.min(band + BAND) {
                    if let Some(place) = bits.get_mut((row * columns + column) * streams + stream) {
                        *place = bit;
                    }
                }
            }
        }
    }
    bits
}

/// One bit per position: a lid covers the outer rows over some columns.
fn mask(matching: &IrisCode, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let (columns, wavelets) = (matching.columns as usize, matching.wavelets as usize);
    let (from, width) =
        (rng.next_u32() as usize % columns.max(1), columns / 4 + rng.next_u32() as usize % (columns / 4).max(1));
    let covered =
        |row: usize, column: usize| 2 * row >= matching.rows as usize && (column + columns - from) % columns < width;
    let rows = (0..matching.rows as usize).flat_map(|row| (0..columns).map(move |column| (row, column)));
    rows.flat_map(|(row, column)| std::iter::repeat_n(!covered(row, column), wavelets)).collect()
}

fn iris(code: &[bool], mask: &[bool], matching: &IrisCode) -> Result<Template, Failure> {
    let pack = |bits: &[bool]| -> Vec<u8> {
        bits.chunks(8)
            .map(|bits| bits.iter().enumerate().fold(0, |byte, (i, bit)| byte | u8::from(*bit) << (7 - i)))
            .collect()
    };
    Ok(Template::from_iris(&pack(code), &pack(mask), matching)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iris_profile() -> Matching {
        biometric::profiles::by_id("iris-12800").unwrap().matching
    }

    /// Mean and standard deviation.
    fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    fn distance(a: &Template, b: &Template) -> f64 {
        let (a, b) = (a.iris_bits().unwrap(), b.iris_bits().unwrap());
        let joint: Vec<usize> = (0..12_800).filter(|i| a[12_800 + i / 2] & b[12_800 + i / 2] == 1).collect();
        joint.iter().filter(|i| a[**i] != b[**i]).count() as f64 / joint.len() as f64
    }

    #[test]
    fn iris_codes_have_the_published_statistics() {
        let matching = iris_profile();
        let people = People { matching: &matching, seed: 1 };
        let eyes: Vec<Template> = (0..300).map(|n| people.first(n).unwrap()).collect();
        let impostor: Vec<f64> = eyes.windows(2).map(|pair| distance(&pair[0], &pair[1])).collect();
        let (mean, deviation) = moments(&impostor);
        assert!((mean - 0.5).abs() < 0.01 && (deviation - 0.034).abs() < 0.006, "{mean} {deviation}");
        let genuine: Vec<f64> = eyes.iter().zip(0..).map(|(eye, n)| distance(eye, &people.again(n, 0).unwrap())).collect();
        let (mean, deviation) = moments(&genuine);
        assert!((mean - 0.19).abs() < 0.015 && (deviation - 0.06).abs() < 0.015, "{mean} {deviation}");
    }

    #[test]
    fn vectors_match_themselves_and_nobody_else() {
        let matching = biometric::profiles::by_id("face-512").unwrap().matching;
        let people = People { matching: &matching, seed: 1 };
        for n in 0..50 {
            let first = people.first(n).unwrap();
            assert_eq!(first.input_values(), people.first(n).unwrap().input_values());
            assert!(biometric::oracle::matches(&people.again(n, 0).unwrap(), &first, &matching).unwrap());
            assert!(
                !biometric::oracle::matches(&people.again(n, 1).unwrap(), &people.first(n + 1).unwrap(), &matching).unwrap()
            );
        }
    }
}
