//! The `[capture]` table of a profile: model files, their hashes, how their input is prepared, limits of the quality gate.

use serde::{Deserialize, Serialize};
use types::{Digest, profile::Profile};

use super::quality::QualityLimits;
use crate::Error;

/// How photographs become vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceSettings {
    /// The detector.
    pub detect: DetectSettings,
    /// The landmark network.
    pub landmark: LandmarkSettings,
    /// The embedding network.
    pub embed: EmbedSettings,
    /// What the quality gate accepts.
    #[serde(default)]
    pub quality: QualityLimits,
}

/// A model file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Its name in the folder of models.
    pub file: String,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// How samples of 0 to 255 become inputs: `(x - mean) / divisor`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Subtracted.
    pub mean: f32,
    /// Divided by.
    pub divisor: f32,
}

/// Order of the colour planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// A single-shot detector: planes in, `boxes` (decoded, as shares of width and height: left, top, right, bottom) and `scores`
/// (background, face) out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectSettings {
    /// The model.
    pub model: ModelFile,
    /// Width of its input.
    pub width: u32,
    /// Height of its input.
    pub height: u32,
    /// Order of the planes.
    pub order: ColourOrder,
    /// Preparation of the input.
    pub scaling: Scaling,
    /// Boxes with at most this score are no faces.
    pub score: f32,
    /// Of two boxes that overlap by more than this (intersection over union), the weaker is dropped.
    pub overlap: f32,
}

/// A landmark network: one grey plane of the square around the face in, 68 points as shares of the square out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandmarkSettings {
    /// The model.
    pub model: ModelFile,
    /// Side of its square input.
    pub size: u32,
    /// Preparation of the input.
    pub scaling: Scaling,
}

/// An embedding network: planes of the aligned face in, a vector out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedSettings {
    /// The model.
    pub model: ModelFile,
    /// Side of its square input. The standard position is given for 112 and scaled to this.
    pub size: u32,
    /// Order of the planes.
    pub order: ColourOrder,
    /// Preparation of the input.
    pub scaling: Scaling,
    /// The face is embedded as it is and as its mirror image, and the sum of both counts: twice the time, fewer errors.
    #[serde(default)]
    pub mirrored: bool,
}

impl FaceSettings {
    /// Reads the `[capture]` table of a profile.
    ///
    /// # Errors
    /// [`Error::CaptureTable`] if there is none, or it is not usable.
    pub fn of(profile: &Profile) -> Result<Self, Error> {
        let wrong = |text: &str| Error::CaptureTable(text.to_owned());
        let table = profile.capture.clone();
        let table =
            table.ok_or(wrong("there is none; give templates from a file, or use a profile with one, such as face-512"))?;
        let settings: Self =
            table.try_into().map_err(|error: toml::de::Error| Error::CaptureTable(error.message().to_owned()))?;
        let sides = [settings.detect.width, settings.detect.height, settings.landmark.size, settings.embed.size];
        if sides.iter().any(|side| !(16..=2048).contains(side)) {
            return Err(wrong("the sides of model inputs must be 16 to 2,048 pixels"));
        }
        let scalings = [settings.detect.scaling, settings.landmark.scaling, settings.embed.scaling];
        if scalings.iter().any(|s| !s.mean.is_finite() || !s.divisor.is_finite() || s.divisor == 0.0) {
            return Err(wrong("mean and divisor must be finite, and the divisor not zero"));
        }
        Ok(settings)
    }

    /// The model files: detector, landmark network, embedding network.
    pub fn files(&self) -> [&ModelFile; 3] {
        [&self.detect.model, &self.landmark.model, &self.embed.model]
    }
}
