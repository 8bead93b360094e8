//! Templates: what is compared, as the small integers that a client shares among the nodes.
//!
//! An embedding is normalised to length one, multiplied by the profile's scale, rounded and clamped (PROTOCOL section 2). An
//! iris code is joined with its mask: a bit that is not valid counts for nothing. The order of the values is that of
//! [`types::profile`], which the input checks of the nodes rely on.
//!
//! **Out of scope**: making vectors and codes (`capture`, or the user's own extractor), sharing them (`mpc`).

use std::fmt;

use types::profile::{Embedding, IrisCode, Matching};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Error;

/// A biometric template. Secret: wiped when dropped, never printed, never serialised.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Template {
    values: Values,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
enum Values {
    /// Quantised coordinates.
    Embedding(Vec<i8>),
    /// Zeros and ones: one value `code AND mask` per code bit, then one value per mask bit.
    Iris(Vec<u8>),
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(<redacted>)")
    }
}

impl Template {
    /// Quantises a vector: divided by its norm, times `scale`, rounded to the nearest integer, clamped.
    ///
    /// # Errors
    /// [`Error::WrongLength`], [`Error::NotFinite`], [`Error::ZeroVector`], [`Error::NormOutside`].
    pub fn from_embedding<V: Copy + Into<f64>>(vector: &[V], matching: &Embedding) -> Result<Self, Error> {
        let want = matching.dimensions as usize;
        if vector.len() != want {
            return Err(Error::WrongLength { what: "vector", got: vector.len(), want });
        }
        if let Some(position) = vector.iter().position(|&v| !v.into().is_finite()) {
            return Err(Error::NotFinite { position });
        }
        // Dividing by the largest magnitude first keeps the sum of squares from overflowing or vanishing.
        let largest = vector.iter().map(|&v| v.into().abs()).fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(Error::ZeroVector);
        }
        let norm = vector.iter().map(|&v| (v.into() / largest).powi(2)).sum::<f64>().sqrt();
        let (low, high) = (-f64::from(matching.clamp), f64::from(matching.clamp) - 1.0);
        let quantise = |&v: &V| {
            let value = (v.into() / largest / norm * f64::from(matching.scale)).round().clamp(low, high);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "clamped to at most [-128, 127], as profiles bound the clamp"
            )]
            let value = value as i8;
            value
        };
        let template = Self { values: Values::Embedding(vector.iter().map(quantise).collect()) };
        let got = template.squared_norm();
        let (low, high) = matching.norm_window();
        if got < low || got > high {
            return Err(Error::NormOutside { got, low, high });
        }
        Ok(template)
    }

    /// Joins an iris code with its mask, both packed with the most significant bit first, in the order of
    /// [`types::profile::IrisCode`].
    ///
    /// The mask has one bit per pair of code bits; a mask with one bit per code bit is accepted too, and a pair is then usable
    /// when both of its bits are.
    ///
    /// # Errors
    /// [`Error::WrongLength`] (in bits), [`Error::MaskTooSmall`].
    pub fn from_iris(code: &[u8], mask: &[u8], matching: &IrisCode) -> Result<Self, Error> {
        let (code_bits, mask_bits) = (matching.code_bits(), matching.mask_bits());
        if code.len() != code_bits.div_ceil(8) {
            return Err(Error::WrongLength { what: "iris code", got: 8 * code.len(), want: code_bits });
        }
        let mask: Vec<u8> = if mask.len() == mask_bits.div_ceil(8) {
            bits(mask).take(mask_bits).collect()
        } else if mask.len() == code_bits.div_ceil(8) {
            let real = bits(mask).step_by(2);
            real.zip(bits(mask).skip(1).step_by(2)).map(|(real, imaginary)| real & imaginary).take(mask_bits).collect()
        } else {
            return Err(Error::WrongLength { what: "iris mask", got: 8 * mask.len(), want: mask_bits });
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 32,768 bits, as profiles bound them")]
        let got = mask.iter().filter(|&&bit| bit == 1).count() as u32;
        if got < matching.mask_min {
            return Err(Error::MaskTooSmall { got, min: matching.mask_min });
        }
        let mut values = Vec::with_capacity(code_bits + mask_bits);
        values.extend(bits(code).zip(mask.iter().flat_map(|&bit| [bit, bit])).map(|(bit, valid)| bit & valid));
        values.extend_from_slice(&mask);
        Ok(Self { values: Values::Iris(values) })
    }

    /// What a client shares: `matching.input_len()` values of 32 bits, negative ones in two's complement.
    pub fn input_values(&self) -> Vec<u32> {
        match &self.values {
            Values::Embedding(x) => x.iter().map(|&v| i32::from(v).cast_unsigned()).collect(),
            Values::Iris(bits) => bits.iter().map(|&bit| u32::from(bit)).collect(),
        }
    }

    /// The quantised coordinates of an embedding; `None` for an iris code. For the plaintext matcher and its tests.
    pub fn coordinates(&self) -> Option<&[i8]> {
        match &self.values {
            Values::Embedding(x) => Some(x),
            Values::Iris(_) => None,
        }
    }

    /// The zeros and ones of an iris template, `code AND mask` first and then the mask; `None` for an embedding.
    pub fn iris_bits(&self) -> Option<&[u8]> {
        match &self.values {
            Values::Embedding(_) => None,
            Values::Iris(bits) => Some(bits),
        }
    }

    /// Whether the template has the kind and the length that `matching` needs.
    ///
    /// # Errors
    /// [`Error::WrongModality`], [`Error::WrongLength`].
    pub fn check(&self, matching: &Matching) -> Result<(), Error> {
        let got = match (&self.values, matching) {
            (Values::Embedding(x), Matching::Embedding(_)) => x.len(),
            (Values::Iris(bits), Matching::IrisCode(_)) => bits.len(),
            (_, Matching::Embedding(_)) => return Err(Error::WrongModality { profile: "vectors" }),
            (_, Matching::IrisCode(_)) => return Err(Error::WrongModality { profile: "iris codes" }),
        };
        let want = matching.input_len();
        if got == want { Ok(()) } else { Err(Error::WrongLength { what: "template", got, want }) }
    }

    /// Squared norm of an embedding's coordinates; the usable mask bits of an iris code.
    pub fn squared_norm(&self) -> u32 {
        match &self.values {
            Values::Embedding(x) => x.iter().map(|&v| u32::from(v.unsigned_abs()).pow(2)).sum(),
            Values::Iris(bits) => bits.iter().skip(bits.len() / 3 * 2).map(|&bit| u32::from(bit)).sum(),
        }
    }
}

fn bits(packed: &[u8]) -> impl Iterator<Item = u8> + '_ {
    packed.iter().flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1))
}

#[cfg(test)]
mod tests;
