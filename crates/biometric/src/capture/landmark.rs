//! Finding 68 points in a face (the iBUG 300-W scheme) and joining them to five.

use super::align::{FivePoints, Point};
use super::detect::Face;
use super::network::Network;
use super::picture::{Picture, Rectangle};
use super::settings::LandmarkSettings;
use crate::Error;

/// The second cut-out is larger by this factor,
const GROWTH: f32 = 1.15;
/// and moved to the right and down by this share of its side.
const SHIFT: f32 = 0.08;

pub(super) struct Landmarks {
    network: Network,
    settings: LandmarkSettings,
}

impl Landmarks {
    pub(super) fn new(settings: &LandmarkSettings, model: Vec<u8>) -> Result<Self, Error> {
        Ok(Self { network: Network::load(&settings.model, model)?, settings: settings.clone() })
    }

    /// Eyes, nose and corners of the mouth, in pixels of the picture (pixel centres at whole numbers), and how far they move,
    /// as a share of the distance between the eyes, when the network sees another cut-out of the same face.
    ///
    /// The network finds a face in anything. On an upright face the points stay where they are; on one that is upside down,
    /// lies on its side or is covered, they follow the cut-out.
    pub(super) fn points(&self, picture: &Picture, face: &Face) -> Result<(FivePoints, f32), Error> {
        let square = face.square();
        let points = self.look(picture, square)?;
        let shift = SHIFT * square.width;
        let size = GROWTH * square.width;
        let grown = (size - square.width) / 2.0;
        let other =
            Rectangle { left: square.left - grown + shift, top: square.top - grown + shift, width: size, height: size };
        let again = self.look(picture, other)?;
        let [left, right, ..] = points;
        let eyes = (right.x - left.x).hypot(right.y - left.y).max(1.0);
        let moved = points.iter().zip(&again).map(|(p, q)| (p.x - q.x).hypot(p.y - q.y) / 5.0).sum::<f32>() / eyes;
        Ok((points, moved))
    }

    /// The five points that the network sees in one square of the picture.
    fn look(&self, picture: &Picture, place: Rectangle) -> Result<FivePoints, Error> {
        let size = self.settings.size;
        let scaling = self.settings.scaling;
        let grey = picture.cut(place, size, size).grey();
        let input = grey.iter().map(|v| (v - scaling.mean) / scaling.divisor).collect();
        let outputs = self.network.run(&[1, 1, size as usize, size as usize], input)?;
        let (points, _) = outputs.first().map(Vec::as_slice).unwrap_or_default().as_chunks::<2>();
        if points.len() != 68 || points.iter().flatten().any(|v| !v.is_finite()) {
            return Err(self.network.wrong("its output is not 68 points"));
        }
        let mean = |indices: &[usize]| {
            let chosen: Vec<[f32; 2]> = indices.iter().filter_map(|&i| points.get(i).copied()).collect();
            #[expect(clippy::cast_precision_loss, reason = "at most four")]
            let share = 1.0 / chosen.len() as f32;
            let x = chosen.iter().map(|[x, _]| x * share).sum::<f32>();
            let y = chosen.iter().map(|[_, y]| y * share).sum::<f32>();
            Point { x: place.left + x * place.width, y: place.top + y * place.height }
        };
        Ok([mean(&[37, 38, 40, 41]), mean(&[43, 44, 46, 47]), mean(&[30]), mean(&[48, 60]), mean(&[54, 64])])
    }
}
