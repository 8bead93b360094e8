//! Capture: from a photograph to an embedding.
//!
//! JPEG, PNG or PGM bytes are decoded (`picture`); a detector finds the faces (`detect`); a landmark network finds 68
//! points in the one face, five of which fix its place, size and tilt (`landmark`); the face is moved into the standard
//! position (`align`), judged (`quality`), and turned into a unit vector by the embedding network. Which models, and how
//! their input is prepared, stands in the profile's `[capture]` table (`settings`).
//!
//! Five points and target position: Deng et al., *ArcFace* (2019), section 3; least-squares similarity: Umeyama (1991).
//!
//! **Out of scope**: reading files and cameras (the caller has the bytes); telling a living person from a picture of one;
//! turning the embedding into a template (`template`).

use types::profile::Profile;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Error, QualityError, Template};

mod align;
mod detect;
mod landmark;
mod network;
mod picture;
mod quality;
mod settings;

pub use quality::{Quality, QualityLimits};
pub use settings::{FaceSettings, ModelFile};

use network::Network;
use picture::Picture;

/// The models of one profile, loaded. One capturer serves any number of threads.
pub struct Capturer {
    detector: detect::Detector,
    landmarks: landmark::Landmarks,
    embedder: Network,
    settings: FaceSettings,
    matching: types::profile::Embedding,
}

impl std::fmt::Debug for Capturer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capturer({})", self.settings.embed.model.file)
    }
}

/// The bytes of the three model files that [`FaceSettings`] names.
#[derive(Clone)]
pub struct Models {
    /// Finds faces.
    pub detect: Vec<u8>,
    /// Finds points in a face.
    pub landmark: Vec<u8>,
    /// Turns an aligned face into a vector.
    pub embed: Vec<u8>,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Models({} + {} + {} bytes)", self.detect.len(), self.landmark.len(), self.embed.len())
    }
}

/// An embedding of one face: a unit vector. Secret: wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct FaceEmbedding {
    values: Vec<f32>,
    #[zeroize(skip)]
    quality: Quality,
}

impl std::fmt::Debug for FaceEmbedding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaceEmbedding(<redacted>)")
    }
}

impl FaceEmbedding {
    /// The coordinates of the unit vector.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
    /// What the quality gate measured.
    pub fn quality(&self) -> Quality {
        self.quality
    }
}

/// Decodes a picture and forgets it: what the fuzz target of the decoder calls.
#[cfg(feature = "fuzzing")]
pub fn decode_only(bytes: &[u8]) {
    let _ = Picture::decode(bytes);
}

impl Capturer {
    /// Checks every model against its SHA-256 in the profile and loads it.
    ///
    /// # Errors
    /// [`Error::CaptureTable`] if the profile does not say how to capture; [`Error::WrongModel`], [`Error::Model`].
    pub fn new(profile: &Profile, models: Models) -> Result<Self, Error> {
        let settings = FaceSettings::of(profile)?;
        let types::profile::Matching::Embedding(matching) = profile.matching.clone() else {
            return Err(Error::CaptureTable("faces become vectors, and this profile matches iris codes".to_owned()));
        };
        Ok(Self {
            detector: detect::Detector::new(&settings.detect, models.detect)?,
            landmarks: landmark::Landmarks::new(&settings.landmark, models.landmark)?,
            embedder: Network::load(&settings.embed.model, models.embed)?,
            settings,
            matching,
        })
    }

    /// Captures the one face in a photograph and refuses what would not give a good template.
    ///
    /// # Errors
    /// The picture's ([`Error::NotAnImage`], [`Error::TruncatedImage`], [`Error::BrokenImage`], [`Error::ImageTooLarge`]);
    /// [`Error::Quality`] with what to do; [`Error::Model`] if a model misbehaves.
    pub fn embedding(&self, bytes: &[u8]) -> Result<FaceEmbedding, Error> {
        let picture = Picture::decode(bytes)?;
        let face = self.the_one_face(&picture)?;
        let (points, unsteadiness) = self.landmarks.points(&picture, &face)?;
        // Landmarks this unsteady are rare on upright faces, and usual on faces that are not: then it is worth to look again.
        if unsteadiness > self.settings.quality.unsteadiness_max / 2.0
            && let Some(error) = self.upright_when_turned(&picture, unsteadiness / 2.0)?
        {
            return Err(error.into());
        }
        let transform = align::Similarity::between(&points, &align::ARCFACE);
        let aligned = transform.warp(&picture, self.settings.embed.size);
        let quality = Quality { unsteadiness, ..Quality::measure(&face, &points, &aligned, &picture) };
        quality.check(&self.settings.quality)?;
        let values = self.embed(&aligned)?;
        Ok(FaceEmbedding { values, quality })
    }

    /// Captures a template: [`Self::embedding`], quantised.
    ///
    /// # Errors
    /// As [`Self::embedding`]; [`Error::NormOutside`] for an embedding of a very unusual shape.
    pub fn template(&self, bytes: &[u8]) -> Result<Template, Error> {
        Template::from_embedding(self.embedding(bytes)?.values(), &self.matching)
    }

    /// Judges a picture without making a template: for guidance while a camera runs. Cheaper than [`Self::embedding`], and does not
    /// ask whether a picture without a face would show one when turned.
    ///
    /// # Errors
    /// As [`Self::embedding`].
    pub fn look(&self, bytes: &[u8]) -> Result<Quality, Error> {
        let picture = Picture::decode(bytes)?;
        let faces = self.detector.faces(&picture)?;
        let face = match faces.as_slice() {
            [] if picture.mean_brightness() < self.settings.quality.brightness_min => {
                return Err(QualityError::TooDark.into());
            }
            [] => return Err(QualityError::NoFace.into()),
            [face] => *face,
            _ => return Err(QualityError::SeveralFaces { found: faces.len() }.into()),
        };
        let (points, unsteadiness) = self.landmarks.points(&picture, &face)?;
        let aligned = align::Similarity::between(&points, &align::ARCFACE).warp(&picture, self.settings.embed.size);
        let quality = Quality { unsteadiness, ..Quality::measure(&face, &points, &aligned, &picture) };
        quality.check(&self.settings.quality)?;
        Ok(quality)
    }

    fn the_one_face(&self, picture: &Picture) -> Result<detect::Face, Error> {
        let faces = self.detector.faces(picture)?;
        match faces.as_slice() {
            [] => Err(self.why_no_face(picture)?.into()),
            [face] => Ok(*face),
            _ => Err(QualityError::SeveralFaces { found: faces.len() }.into()),
        }
    }

    /// A picture without a face may be too dark, or lie on its side.
    fn why_no_face(&self, picture: &Picture) -> Result<QualityError, Error> {
        let (brightness, limits) = (picture.mean_brightness(), &self.settings.quality);
        if brightness < limits.brightness_min {
            return Ok(QualityError::TooDark);
        }
        if brightness > limits.brightness_max {
            return Ok(QualityError::TooBright);
        }
        Ok(self.upright_when_turned(picture, limits.unsteadiness_max)?.unwrap_or(QualityError::NoFace))
    }

    /// Whether a face stands upright, with landmarks steadier than `unsteadiness`, once the picture is turned.
    fn upright_when_turned(&self, picture: &Picture, unsteadiness: f32) -> Result<Option<QualityError>, Error> {
        let mut turned = picture.quarter_turn();
        for degrees in [90.0, 180.0, 90.0] {
            if let [face] = self.detector.faces(&turned)?.as_slice()
                && self.landmarks.points(&turned, face)?.1 < unsteadiness
            {
                return Ok(Some(QualityError::NotUpright { degrees }));
            }
            turned = turned.quarter_turn();
        }
        Ok(None)
    }

    /// A unit vector. Adding the mirror image's: as in the evaluation of Deng et al. (2019).
    fn embed(&self, aligned: &Picture) -> Result<Vec<f32>, Error> {
        let mut values = self.embed_one(aligned)?;
        if self.settings.embed.mirrored {
            let other = self.embed_one(&aligned.mirrored())?;
            values.iter_mut().zip(other).for_each(|(v, w)| *v += w);
            self.normalise(&mut values)?;
        }
        Ok(values)
    }

    fn embed_one(&self, aligned: &Picture) -> Result<Vec<f32>, Error> {
        let input = network::planes(aligned, self.settings.embed.order, &self.settings.embed.scaling);
        let size = self.settings.embed.size as usize;
        let mut outputs = self.embedder.run(&[1, 3, size, size], input)?;
        let mut values = outputs.pop().unwrap_or_default();
        self.normalise(&mut values)?;
        Ok(values)
    }

    fn normalise(&self, values: &mut [f32]) -> Result<(), Error> {
        let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        if values.len() != self.matching.dimensions as usize || !norm.is_finite() || norm == 0.0 {
            return Err(self.embedder.wrong("its output is not a vector of the profile's dimensions"));
        }
        values.iter_mut().for_each(|v| *v /= norm);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
