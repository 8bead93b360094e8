//! Finding faces.
//!
//! The detector sees the whole picture squeezed to its input size. Faces that fill the frame lie outside what it was trained
//! on: it finds parts of them, or two. So unless it finds exactly one face of moderate size and is sure of it, it looks again
//! at the picture with a margin around it, and the second look counts if it finds anything.

use super::network::{self, Network};
use super::picture::{Picture, Rectangle, side};
use super::settings::DetectSettings;
use crate::Error;

/// A face, in pixels of the picture (may reach beyond its edges).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Face {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
    pub(super) score: f32,
}

impl Face {
    pub(super) fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// The square with the face's centre and height.
    pub(super) fn square(&self) -> Rectangle {
        let size = self.height();
        let (x, y) = (f32::midpoint(self.left, self.right), f32::midpoint(self.top, self.bottom));
        Rectangle { left: x - size / 2.0, top: y - size / 2.0, width: size, height: size }
    }

    fn area(&self) -> f32 {
        (self.right - self.left).max(0.0) * (self.bottom - self.top).max(0.0)
    }

    /// Intersection over union.
    fn overlap(&self, other: &Self) -> f32 {
        let common = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
            score: 0.0,
        };
        let common = common.area();
        common / (self.area() + other.area() - common)
    }
}

/// A face that fills more than this share of the picture's height is looked at again with a margin.
const FILLING: f32 = 0.45;
/// So is one with a score below this: whole faces get more, parts of faces less.
const SURE: f32 = 0.99;
/// The margin on each side, as a share of the picture.
const MARGIN: f32 = 0.5;
/// Beside a better one, a face with a score below this is a pattern that resembles one.
const LIKELY: f32 = 0.9;
/// Other faces less than this share of the largest one's height are passers-by far behind.
const PASSER_BY: f32 = 0.25;

pub(super) struct Detector {
    network: Network,
    settings: DetectSettings,
    boxes: usize,
    scores: usize,
}

impl Detector {
    pub(super) fn new(settings: &DetectSettings, model: Vec<u8>) -> Result<Self, Error> {
        let network = Network::load(&settings.model, model)?;
        let missing = "a detector must have the outputs `boxes` and `scores`";
        let boxes = network.output("boxes").ok_or_else(|| network.wrong(missing))?;
        let scores = network.output("scores").ok_or_else(|| network.wrong(missing))?;
        Ok(Self { network, settings: settings.clone(), boxes, scores })
    }

    /// The faces of a picture that count, largest first.
    pub(super) fn faces(&self, picture: &Picture) -> Result<Vec<Face>, Error> {
        let (width, height) = (side(picture.width()), side(picture.height()));
        let whole = Rectangle { left: 0.0, top: 0.0, width, height };
        let faces = self.look(picture, whole)?;
        if let [face] = faces.as_slice()
            && face.score >= SURE
            && face.height() <= FILLING * height
        {
            return Ok(faces);
        }
        let (x, y) = (MARGIN * width, MARGIN * height);
        let wider = Rectangle { left: -x, top: -y, width: width + 2.0 * x, height: height + 2.0 * y };
        let again = self.look(picture, wider)?;
        Ok(if again.is_empty() { faces } else { again })
    }

    /// The faces in one rectangle of the picture.
    fn look(&self, picture: &Picture, place: Rectangle) -> Result<Vec<Face>, Error> {
        let settings = &self.settings;
        let input = picture.cut(place, settings.width, settings.height);
        let shape = [1, 3, settings.height as usize, settings.width as usize];
        let outputs = self.network.run(&shape, network::planes(&input, settings.order, &settings.scaling))?;
        let (Some(boxes), Some(scores)) = (outputs.get(self.boxes), outputs.get(self.scores)) else {
            return Err(self.network.wrong("an output is missing"));
        };
        let ((boxes, _), (scores, _)) = (boxes.as_chunks::<4>(), scores.as_chunks::<2>());
        let candidates = boxes.iter().zip(scores).filter(|(_, [_, score])| *score > settings.score);
        let faces = candidates.map(|(&[left, top, right, bottom], &[_, score])| Face {
            left: place.left + left * place.width,
            top: place.top + top * place.height,
            right: place.left + right * place.width,
            bottom: place.top + bottom * place.height,
            score,
        });
        Ok(counting(strongest(faces.collect(), settings.overlap)))
    }
}

/// Non-maximum suppression: of boxes that overlap, the one with the highest score stays.
fn strongest(mut faces: Vec<Face>, overlap: f32) -> Vec<Face> {
    faces.retain(|face| face.area() > 0.0);
    faces.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        if kept.iter().all(|stronger| stronger.overlap(&face) <= overlap) {
            kept.push(face);
        }
    }
    kept
}

/// Drops patterns that resemble a face and passers-by; the largest face comes first.
fn counting(mut faces: Vec<Face>) -> Vec<Face> {
    let best = faces.iter().map(|face| face.score).fold(0.0, f32::max);
    faces.retain(|face| face.score >= best.min(LIKELY));
    faces.sort_unstable_by(|a, b| b.height().total_cmp(&a.height()));
    let largest = faces.first().map_or(0.0, Face::height);
    faces.retain(|face| face.height() >= PASSER_BY * largest);
    faces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(left: f32, top: f32, size: f32, score: f32) -> Face {
        Face { left, top, right: left + size, bottom: top + size, score }
    }

    #[test]
    fn of_overlapping_boxes_the_strongest_stays() {
        let found = strongest(vec![face(0.0, 0.0, 10.0, 0.7), face(1.0, 1.0, 10.0, 0.9), face(30.0, 0.0, 10.0, 0.8)], 0.4);
        assert_eq!(found, [face(1.0, 1.0, 10.0, 0.9), face(30.0, 0.0, 10.0, 0.8)]);
    }

    #[test]
    fn far_faces_and_doubtful_ones_do_not_count() {
        let doubtful = vec![face(0.0, 0.0, 90.0, 0.7), face(90.0, 0.0, 20.0, 0.8)];
        assert_eq!(counting(doubtful), [face(90.0, 0.0, 20.0, 0.8)]);
        let near = [face(50.0, 0.0, 100.0, 0.93), face(0.0, 50.0, 26.0, 0.91)];
        let others = [face(0.0, 0.0, 10.0, 0.95), face(0.0, 80.0, 80.0, 0.8)];
        assert_eq!(counting([near, others].concat()), near);
    }

    #[test]
    fn the_square_keeps_centre_and_height() {
        let face = Face { left: 10.0, top: 20.0, right: 40.0, bottom: 70.0, score: 1.0 };
        assert_eq!(face.square(), Rectangle { left: 0.0, top: 20.0, width: 50.0, height: 50.0 });
    }
}
