//! The quality gate: whether a template from this face would be a good one, and what to do if not.
//!
//! Limits are the profile's (`[capture.quality]`); the built-in ones stand with their reasons in `profiles/face-512.toml`. **Out of
//! scope**: telling a living person from a picture of one.

use serde::{Deserialize, Serialize};

use super::align::FivePoints;
use super::detect::Face;
use super::picture::{Picture, side};
use crate::QualityError;

/// What was measured on one face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// The detector's confidence, 0 to 1.
    pub confidence: f32,
    /// Pixels between the eyes.
    pub eye_distance: f32,
    /// Tilt of the line between the eyes, degrees, clockwise.
    pub roll: f32,
    /// How far the nose lies from the middle between the eyes, along the line between them, as a share of their distance.
    pub turn: f32,
    /// How far the landmarks move, as a share of the distance between the eyes, when the face is cut out differently. Large
    /// when the face is upside down, on its side, or covered.
    pub unsteadiness: f32,
    /// Share of the face's box that lies in the picture.
    pub visible: f32,
    /// Detail: variance of the Laplacian of the aligned face, over the variance of its brightness. Does not depend on light.
    pub sharpness: f32,
    /// Mean brightness of the face, 0 to 255.
    pub brightness: f32,
    /// Standard deviation of the brightness of the face.
    pub contrast: f32,
}

/// What is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualityLimits {
    /// Least pixels between the eyes.
    pub eye_distance_min: f32,
    /// Largest tilt, degrees either way.
    pub roll_max: f32,
    /// Largest turn of the head either way.
    pub turn_max: f32,
    /// Most that the landmarks may move.
    pub unsteadiness_max: f32,
    /// Least share of the face in the picture.
    pub visible_min: f32,
    /// Least sharpness.
    pub sharpness_min: f32,
    /// Least mean brightness.
    pub brightness_min: f32,
    /// Largest mean brightness.
    pub brightness_max: f32,
    /// Least contrast.
    pub contrast_min: f32,
}

impl Default for QualityLimits {
    fn default() -> Self {
        Self {
            eye_distance_min: 15.0,
            roll_max: 35.0,
            turn_max: 0.5,
            unsteadiness_max: 0.12,
            visible_min: 0.6,
            sharpness_min: 0.01,
            brightness_min: 30.0,
            brightness_max: 235.0,
            contrast_min: 10.0,
        }
    }
}

impl Quality {
    pub(super) fn measure(face: &Face, points: &FivePoints, aligned: &Picture, picture: &Picture) -> Self {
        let [left, right, nose, ..] = points;
        let (dx, dy) = (right.x - left.x, right.y - left.y);
        let eye_distance = dx.hypot(dy);
        let (mx, my) = (nose.x - f32::midpoint(left.x, right.x), nose.y - f32::midpoint(left.y, right.y));
        let turn = (mx * dx + my * dy) / (eye_distance * eye_distance).max(1.0);
        let light = Light::of(aligned);
        Self {
            confidence: face.score,
            eye_distance,
            roll: dy.atan2(dx).to_degrees(),
            turn,
            unsteadiness: 0.0,
            visible: visible(face, picture),
            sharpness: light.sharpness,
            brightness: light.mean,
            contrast: light.deviation,
        }
    }

    /// Refuses the face for the first limit that it breaks.
    pub(super) fn check(&self, limits: &QualityLimits) -> Result<(), QualityError> {
        let refused = |broken: bool, error: QualityError| if broken { Err(error) } else { Ok(()) };
        let needed = limits.eye_distance_min;
        refused(self.eye_distance < needed, QualityError::TooSmall { pixels: self.eye_distance, needed })?;
        refused(self.visible < limits.visible_min, QualityError::CutOff)?;
        refused(self.roll.abs() > limits.roll_max, QualityError::NotUpright { degrees: self.roll.abs() })?;
        refused(self.turn.abs() > limits.turn_max, QualityError::NotFrontal)?;
        refused(self.unsteadiness > limits.unsteadiness_max, QualityError::Unclear)?;
        refused(self.brightness < limits.brightness_min, QualityError::TooDark)?;
        refused(self.brightness > limits.brightness_max, QualityError::TooBright)?;
        refused(self.contrast < limits.contrast_min, QualityError::LowContrast)?;
        refused(self.sharpness < limits.sharpness_min, QualityError::Blurred)
    }
}

/// The share of the face's box that lies in the picture.
fn visible(face: &Face, picture: &Picture) -> f32 {
    let (width, height) = (side(picture.width()), side(picture.height()));
    let inside =
        (face.right.min(width) - face.left.max(0.0)).max(0.0) * (face.bottom.min(height) - face.top.max(0.0)).max(0.0);
    inside / ((face.right - face.left) * face.height()).max(1.0)
}

/// Brightness of the inner face: the middle of the aligned picture, where there is neither hair nor background.
struct Light {
    mean: f32,
    deviation: f32,
    sharpness: f32,
}

impl Light {
    fn of(aligned: &Picture) -> Self {
        let (size, grey) = (aligned.width() as usize, aligned.grey());
        let (from, to) = (size / 5, size - size / 5);
        let line = |row: usize| grey.get(row * size..(row + 1) * size).unwrap_or_default();
        let mut values = Moments::default();
        let mut details = Moments::default();
        for row in from..to {
            let (above, here, below) = (line(row - 1), line(row), line(row + 1));
            for ((up, across), down) in
                above.windows(3).zip(here.windows(3)).zip(below.windows(3)).take(to - 1).skip(from - 1)
            {
                if let (&[_, up, _], &[left, middle, right], &[_, down, _]) = (up, across, down) {
                    values.add(middle);
                    details.add(up + down + left + right - 4.0 * middle);
                }
            }
        }
        let variance = values.variance();
        Self { mean: values.mean(), deviation: variance.sqrt(), sharpness: details.variance() / variance.max(1.0) }
    }
}

#[derive(Default)]
struct Moments {
    count: f32,
    sum: f32,
    squares: f32,
}

impl Moments {
    fn add(&mut self, value: f32) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }
    fn mean(&self) -> f32 {
        self.sum / self.count.max(1.0)
    }
    fn variance(&self) -> f32 {
        (self.squares / self.count.max(1.0) - self.mean().powi(2)).max(0.0)
    }
}
