//! Moving a face into the standard position: the least-squares similarity between five points and their targets
//! (Umeyama 1991, which in the plane has a closed form), and sampling the picture through it.

use super::picture::{Picture, side, to_sample};

/// A point in pixels; pixel centres lie at whole numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f32,
    pub(super) y: f32,
}

/// Left eye, right eye, nose, left and right corner of the mouth, as seen in the picture.
pub(super) type FivePoints = [Point; 5];

/// Where the five points lie in an aligned face of 112 x 112 pixels.
pub(super) const ARCFACE: FivePoints = [
    Point { x: 38.2946, y: 51.6963 },
    Point { x: 73.5318, y: 51.5014 },
    Point { x: 56.0252, y: 71.7366 },
    Point { x: 41.5493, y: 92.3655 },
    Point { x: 70.7299, y: 92.2041 },
];
const ARCFACE_SIDE: f32 = 112.0;

/// `(x, y) -> (a x - b y + tx, b x + a y + ty)`: scaling, rotation and translation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Similarity {
    a: f32,
    b: f32,
    tx: f32,
    ty: f32,
}

impl Similarity {
    /// The similarity that takes `from` closest to `to`.
    pub(super) fn between(from: &FivePoints, to: &FivePoints) -> Self {
        let (from_centre, to_centre) = (centre(from), centre(to));
        let (mut a, mut b, mut spread) = (0.0, 0.0, 0.0);
        for (p, q) in from.iter().zip(to) {
            let (px, py) = (p.x - from_centre.x, p.y - from_centre.y);
            let (qx, qy) = (q.x - to_centre.x, q.y - to_centre.y);
            a += px * qx + py * qy;
            b += px * qy - py * qx;
            spread += px * px + py * py;
        }
        // Five equal points have no similarity; any scale does then, and the quality gate refuses so small a face.
        let spread = f32::max(spread, f32::MIN_POSITIVE);
        let (a, b) = (a / spread, b / spread);
        Self {
            a,
            b,
            tx: to_centre.x - a * from_centre.x + b * from_centre.y,
            ty: to_centre.y - b * from_centre.x - a * from_centre.y,
        }
    }

    /// The aligned face, `size` pixels square, for a similarity whose target is [`ARCFACE`]. Outside the picture, the colour of its
    /// nearest edge: faces that fill the frame keep a plausible rim.
    pub(super) fn warp(&self, picture: &Picture, size: u32) -> Picture {
        let step = ARCFACE_SIDE / side(size);
        let square = (self.a * self.a + self.b * self.b).max(f32::MIN_POSITIVE);
        // Pixels of the picture between two pixels of the aligned face.
        let (source, reduction) = picture.reduced_for(step / square.sqrt());
        let mut samples = Vec::with_capacity(3 * size as usize * size as usize);
        for row in 0..size {
            for column in 0..size {
                let (u, v) = ((side(column) + 0.5) * step - 0.5 - self.tx, (side(row) + 0.5) * step - 0.5 - self.ty);
                let x = (self.a * u + self.b * v) / square;
                let y = (self.a * v - self.b * u) / square;
                let in_source = |c: f32| (c + 0.5) / reduction - 0.5;
                samples.extend(source.at(in_source(x), in_source(y)).map(to_sample));
            }
        }
        Picture::new(size, size, samples).unwrap_or_else(|| picture.clone())
    }
}

fn centre(points: &FivePoints) -> Point {
    Point { x: points.iter().map(|p| p.x / 5.0).sum(), y: points.iter().map(|p| p.y / 5.0).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similarity_is_recovered() {
        let truth = Similarity { a: 0.4, b: -0.3, tx: 12.0, ty: -7.0 };
        let image =
            |p: &Point| Point { x: truth.a * p.x - truth.b * p.y + truth.tx, y: truth.b * p.x + truth.a * p.y + truth.ty };
        let to = ARCFACE.map(|p| image(&p));
        let found = Similarity::between(&ARCFACE, &to);
        for (x, y) in [(found.a, truth.a), (found.b, truth.b), (found.tx, truth.tx), (found.ty, truth.ty)] {
            assert!((x - y).abs() < 1e-3, "{found:?}");
        }
    }

    #[test]
    fn warping_by_the_identity_changes_nothing_and_equal_points_do_not_panic() {
        let samples: Vec<u8> = (0..112 * 112 * 3).map(|i| (i * 31 % 251) as u8).collect();
        let picture = Picture::new(112, 112, samples).unwrap();
        let same = Similarity::between(&ARCFACE, &ARCFACE).warp(&picture, 112);
        let largest = same.samples().iter().zip(picture.samples()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(largest <= Some(1));
        let point = [Point { x: 5.0, y: 5.0 }; 5];
        Similarity::between(&point, &ARCFACE).warp(&picture, 112);
    }
}
