//! Modality profiles: what a node must know to match a kind of template, and what a client must know to make one.
//!
//! A profile is a TOML file, named and versioned, that an operator can replace to bring a better model. Nodes use only
//! [`Profile::matching`]; [`Profile::capture`] names model files and is read by capture code alone.
//!
//! Every modality is matched in one form: a *record* vector and one or more *probe rows* of the same length over Z_{2^16}; the
//! score of a row is `<row, record> - offset`, read as a signed 16-bit word, and **a score >= 0 is a match**.

use serde::{Deserialize, Serialize};

use crate::{Digest, Error, ProfileId, limits};

/// A modality profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name, such as `face-512`.
    pub id: ProfileId,
    /// Raised whenever matching or capture changes; records of different versions do not match each other.
    pub version: u16,
    /// The kind of trait, in plain words: `face`, `iris`, `voice`, `neural signature`.
    pub modality: String,
    /// One sentence for people.
    pub description: String,
    /// How templates become scores.
    pub matching: Matching,
    /// What was measured at this threshold, and on which data.
    #[serde(default)]
    pub accuracy: Option<Accuracy>,
    /// How a sample becomes a template, for capture code; nodes ignore it.
    #[serde(default)]
    pub capture: Option<toml::Table>,
}

/// How templates become scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Matching {
    /// A unit vector, scaled, rounded and clamped to small integers; scores are cosines.
    Embedding(Embedding),
    /// A binary iris code with a mask; scores are masked Hamming distances over rotations.
    IrisCode(IrisCode),
}

/// Quantised unit vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Length of the vector.
    pub dimensions: u32,
    /// Scale `s`: a coordinate `v` of the unit vector becomes `round(s v)`.
    pub scale: u16,
    /// Largest magnitude after rounding: coordinates are clamped to `[-clamp, clamp - 1]`.
    pub clamp: u16,
    /// Two templates match when their cosine is at least this.
    pub cosine_threshold: f64,
    /// Least squared norm of a quantised template, as a fraction of `scale^2`.
    pub norm_min: f64,
    /// Largest squared norm of a quantised template, as a fraction of `scale^2`.
    pub norm_max: f64,
}

/// Binary iris codes. Bit `((row * columns + column) * wavelets + wavelet) * 2 + part` of a code, most significant bit first
/// in each byte; the real and the imaginary part share one mask bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IrisCode {
    /// Rows (radial positions).
    pub rows: u32,
    /// Columns (angular positions); a rotation of the eye shifts them.
    pub columns: u32,
    /// Wavelets per position.
    pub wavelets: u32,
    /// Rotations tried: the columns are shifted by `-(rotations - 1)/2 ..= (rotations - 1)/2`. Odd.
    pub rotations: u32,
    /// Weight `p` of the bit agreement: the score is `p * dot - q * mask - 1`.
    pub dot_weight: u16,
    /// Weight `q` of the joint mask. The distance threshold is `1/2 - q / (4 p)`.
    pub mask_weight: u16,
    /// Least number of usable mask bits.
    pub mask_min: u32,
}

/// A measured operating point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// Data set and protocol.
    pub data: String,
    /// False match rate per comparison at the threshold.
    pub fmr: f64,
    /// False non-match rate at the threshold.
    pub fnmr: f64,
}

impl Profile {
    /// Parses and checks a profile file.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Profile`] with what to change.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        if text.len() > limits::CONFIG_FILE_BYTES {
            let limit = limits::CONFIG_FILE_BYTES;
            return Err(Error::TooLarge { what: "modality profile", got: text.len(), limit });
        }
        let profile: Self = toml::from_str(text).map_err(|e| Error::Profile(e.message().to_owned()))?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), Error> {
        match &self.matching {
            Matching::Embedding(m) => m.check(),
            Matching::IrisCode(m) => m.check(),
        }
    }

    /// Binds everything that decides a match: nodes with different digests refuse to match together.
    pub fn digest(&self) -> Digest {
        let mut text = format!("{} {} ", self.id, self.version);
        match &self.matching {
            Matching::Embedding(m) => {
                let (low, high) = m.norm_window();
                text += &format!("embedding {} {} {} {} {low} {high}", m.dimensions, m.scale, m.clamp, m.offset());
            }
            Matching::IrisCode(m) => {
                text += &format!("iris {} {} {} {} ", m.rows, m.columns, m.wavelets, m.rotations);
                text += &format!("{} {} {}", m.dot_weight, m.mask_weight, m.mask_min);
            }
        }
        Digest::of("trust-commons/v1/profile", &[text.as_bytes()])
    }
}

impl Matching {
    /// Values a client shares: coordinates of an embedding; set-and-valid bits, then mask bits, of an iris code.
    pub fn input_len(&self) -> usize {
        match self {
            Self::Embedding(m) => m.dimensions as usize,
            Self::IrisCode(m) => m.code_bits() + m.mask_bits(),
        }
    }
    /// Coordinates of a stored record and of each probe row. Always even (odd embeddings are padded with one zero), as the
    /// stored form packs coordinates in pairs.
    pub fn record_len(&self) -> usize {
        self.input_len().next_multiple_of(2)
    }
    /// Rows of one probe: 1, or the rotations of an iris code.
    pub fn probe_rows(&self) -> usize {
        match self {
            Self::Embedding(_) => 1,
            Self::IrisCode(m) => m.rotations as usize,
        }
    }
    /// A row matches a record when their inner product minus this is at least zero (signed, 16 bits).
    pub fn offset(&self) -> u16 {
        match self {
            Self::Embedding(m) => m.offset(),
            Self::IrisCode(_) => 1,
        }
    }
}

impl Embedding {
    /// `ceil(T s^2)`.
    pub fn offset(&self) -> u16 {
        let scale = f64::from(self.scale);
        // In range: `check` bounds scale^2 (norm_max + T) by 2^15.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..2^15")]
        let offset = (self.cosine_threshold * scale * scale).ceil() as u16;
        offset
    }
    /// Least and largest squared norm of a quantised template, inclusive.
    pub fn norm_window(&self) -> (u32, u32) {
        let square = f64::from(self.scale) * f64::from(self.scale);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..2^16")]
        let window = ((self.norm_min * square).ceil() as u32, (self.norm_max * square).floor() as u32);
        window
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Profile(text));
        if self.dimensions < 2 || self.dimensions as usize > limits::TEMPLATE_COORDINATES {
            return wrong(format!("dimensions must be 2 to {}", limits::TEMPLATE_COORDINATES));
        }
        if !(2..=128).contains(&self.clamp) {
            return wrong("clamp must be 2 to 128".to_owned());
        }
        let (t, low, high) = (self.cosine_threshold, self.norm_min, self.norm_max);
        if !(t > 0.0 && t < 1.0 && low > 0.0 && low <= 1.0 && (1.0..2.0).contains(&high)) {
            return wrong("need 0 < cosine_threshold < 1, 0 < norm_min <= 1 and 1 <= norm_max < 2".to_owned());
        }
        // The extreme scores are +-norm_max s^2 - T s^2: they must fit a signed 16-bit word, or a decision could wrap.
        let scale = f64::from(self.scale);
        if self.scale < 8 || scale * scale * (high + t) > 32_767.0 {
            return wrong(format!(
                "scale^2 * (norm_max + cosine_threshold) must be at most 32767; use a scale of at most {}",
                (32_767.0 / (high + t)).sqrt().floor()
            ));
        }
        Ok(())
    }
}

impl IrisCode {
    /// Bits of a code.
    pub fn code_bits(&self) -> usize {
        2 * self.mask_bits()
    }
    /// Bits of a mask.
    pub fn mask_bits(&self) -> usize {
        self.rows as usize * self.columns as usize * self.wavelets as usize
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::Profile(text.to_owned()));
        if [self.rows, self.columns, self.wavelets].iter().any(|&n| n == 0 || n > 4096) {
            return wrong("rows, columns and wavelets must be 1 to 4096");
        }
        if self.code_bits() + self.mask_bits() > limits::TEMPLATE_COORDINATES {
            return wrong("rows x columns x wavelets is too large: a record may have at most 32,768 coordinates");
        }
        if self.rotations.is_multiple_of(2)
            || self.rotations > self.columns
            || self.rotations as usize > limits::BATCH_PROBE_ROWS
        {
            return wrong("rotations must be odd and at most the number of columns");
        }
        let extreme = usize::from(self.dot_weight) * self.code_bits() + usize::from(self.mask_weight) * self.mask_bits();
        if self.dot_weight == 0 || extreme > 32_766 {
            return wrong("dot_weight x code bits + mask_weight x mask bits must be at most 32766, or scores could wrap");
        }
        if self.mask_min == 0 || self.mask_min as usize > self.mask_bits() {
            return wrong("mask_min must be 1 to the number of mask bits");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
