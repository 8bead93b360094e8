//! Pictures: decoding with limits, resizing, turning, cutting out.
//!
//! **In scope**: JPEG, PNG, PGM and PPM, 8-bit RGB inside. **Out of scope**: colour management; formats of films and scanners.

#![expect(clippy::indexing_slicing, reason = "pixel loops: every index is below a size fixed at construction")]

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};
use types::limits;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Error;

/// 8-bit RGB, rows from the top. A picture of a person: wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Picture {
    width: u32,
    height: u32,
    samples: Vec<u8>,
}

impl Picture {
    /// Decodes a photograph and turns it upright as its EXIF orientation says.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > limits::PICTURE_BYTES {
            let (got, limit) = (bytes.len() as u64, limits::PICTURE_BYTES as u64);
            return Err(Error::ImageTooLarge { got, limit, unit: "bytes" });
        }
        let format = match image::guess_format(bytes) {
            Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Pnm)) => format,
            _ => return Err(Error::NotAnImage),
        };
        // The JPEG decoder fills what is missing with grey and reports nothing.
        if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
            return Err(Error::TruncatedImage);
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut allowed = image::Limits::default();
        allowed.max_image_width = Some(limits::PICTURE_SIDE);
        allowed.max_image_height = Some(limits::PICTURE_SIDE);
        // Up to 16 bits in four channels of every pixel, and the decoder's own working memory.
        allowed.max_alloc = Some(limits::PICTURE_PIXELS * 10);
        reader.limits(allowed);
        let mut decoder = reader.into_decoder().map_err(|error| broken(&error))?;
        let (width, height) = decoder.dimensions();
        if width > limits::PICTURE_SIDE || height > limits::PICTURE_SIDE {
            let (got, limit) = (u64::from(width.max(height)), u64::from(limits::PICTURE_SIDE));
            return Err(Error::ImageTooLarge { got, limit, unit: "pixels along one side" });
        }
        let (got, limit) = (u64::from(width) * u64::from(height), limits::PICTURE_PIXELS);
        if got > limit {
            return Err(Error::ImageTooLarge { got, limit, unit: "pixels" });
        }
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(|error| broken(&error))?;
        image.apply_orientation(orientation);
        // Transparent pixels keep their colour: identity photographs have none.
        let image = image.into_rgb8();
        Self::new(image.width(), image.height(), image.into_raw()).ok_or(Error::BrokenImage)
    }

    /// `None` unless there are three samples for each of at least one pixel.
    pub(super) fn new(width: u32, height: u32, samples: Vec<u8>) -> Option<Self> {
        let fits = width > 0 && height > 0 && samples.len() as u64 == 3 * u64::from(width) * u64::from(height);
        fits.then_some(Self { width, height, samples })
    }

    pub(super) fn width(&self) -> u32 {
        self.width
    }
    pub(super) fn height(&self) -> u32 {
        self.height
    }
    /// Red, green, blue of each pixel.
    pub(super) fn samples(&self) -> &[u8] {
        &self.samples
    }

    fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = 3 * (y as usize * self.width as usize + x as usize);
        [self.samples[at], self.samples[at + 1], self.samples[at + 2]]
    }

    /// The colour at a point, between pixels by bilinear interpolation, outside the picture that of the nearest edge. Pixel
    /// centres lie at whole numbers.
    pub(super) fn at(&self, x: f32, y: f32) -> [f32; 3] {
        let (across, down) = (Tap::new(x, self.width), Tap::new(y, self.height));
        let pixel = |column: usize, row: usize| 3 * (row * self.width as usize + column);
        let [above_left, above_right] = [across.first, across.second].map(|column| pixel(column, down.first));
        let [below_left, below_right] = [across.first, across.second].map(|column| pixel(column, down.second));
        [0, 1, 2].map(|channel| {
            let sample = |start: usize| self.samples[start + channel];
            let upper = across.mix(sample(above_left), sample(above_right));
            let lower = across.mix(sample(below_left), sample(below_right));
            upper + down.share * (lower - upper)
        })
    }

    /// The part of the picture in `place`, which may reach beyond the edges, resized to `columns` x `rows`.
    pub(super) fn cut(&self, place: Rectangle, columns: u32, rows: u32) -> Self {
        let (step_x, step_y) = (place.width / side(columns), place.height / side(rows));
        let (source, reduction) = self.reduced_for(step_x.min(step_y));
        let across: Vec<Tap> = (0..columns)
            .map(|column| Tap::new((place.left + (side(column) + 0.5) * step_x) / reduction - 0.5, source.width))
            .collect();
        let mut samples = Vec::with_capacity(3 * columns as usize * rows as usize);
        for row in 0..rows {
            let down = Tap::new((place.top + (side(row) + 0.5) * step_y) / reduction - 0.5, source.height);
            let line = |row: usize| &source.samples[3 * row * source.width as usize..3 * (row + 1) * source.width as usize];
            let (above, below) = (line(down.first), line(down.second));
            for tap in &across {
                for channel in 0..3 {
                    let (left, right) = (3 * tap.first + channel, 3 * tap.second + channel);
                    let upper = tap.mix(above[left], above[right]);
                    let lower = tap.mix(below[left], below[right]);
                    samples.push(to_sample(upper + down.share * (lower - upper)));
                }
            }
        }
        Self { width: columns, height: rows, samples }
    }

    /// A smaller copy for sampling at steps of `step` pixels, so that no detail is skipped over (which would turn it into
    /// noise), and by how much smaller it is. Steps below 2 need none.
    pub(super) fn reduced_for(&self, step: f32) -> (std::borrow::Cow<'_, Self>, f32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the size of pictures")]
        let factor = step.floor().clamp(1.0, 64.0) as u32;
        if factor < 2 || self.width < factor || self.height < factor {
            return (std::borrow::Cow::Borrowed(self), 1.0);
        }
        (std::borrow::Cow::Owned(self.reduced(factor)), side(factor))
    }

    /// Averages squares of `factor` x `factor` pixels; what is left over at the right and the bottom is dropped.
    fn reduced(&self, factor: u32) -> Self {
        let (width, height) = (self.width / factor, self.height / factor);
        let area = factor * factor;
        let mut samples = Vec::with_capacity(3 * width as usize * height as usize);
        let mut sums = vec![0u32; 3 * width as usize];
        for row in 0..height {
            sums.fill(0);
            for line in row * factor..(row + 1) * factor {
                let start = 3 * line as usize * self.width as usize;
                let line = &self.samples[start..start + 3 * (width * factor) as usize];
                for (sum, pixels) in sums.chunks_exact_mut(3).zip(line.chunks_exact(3 * factor as usize)) {
                    for pixel in pixels.chunks_exact(3) {
                        sum[0] += u32::from(pixel[0]);
                        sum[1] += u32::from(pixel[1]);
                        sum[2] += u32::from(pixel[2]);
                    }
                }
            }
            samples.extend(sums.iter().map(|&sum| u8::try_from((sum + area / 2) / area).unwrap_or(u8::MAX)));
        }
        Self { width, height, samples }
    }

    /// The picture turned clockwise by 90 degrees.
    pub(super) fn quarter_turn(&self) -> Self {
        let mut samples = Vec::with_capacity(self.samples.len());
        for row in 0..self.width {
            for column in 0..self.height {
                samples.extend(self.pixel(row, self.height - 1 - column));
            }
        }
        Self { width: self.height, height: self.width, samples }
    }

    /// The picture as in a mirror.
    pub(super) fn mirrored(&self) -> Self {
        let mut samples = Vec::with_capacity(self.samples.len());
        for row in 0..self.height {
            for column in (0..self.width).rev() {
                samples.extend(self.pixel(column, row));
            }
        }
        Self { width: self.width, height: self.height, samples }
    }

    /// Brightness of every pixel, 0 to 255 (ITU-R BT.601).
    pub(super) fn grey(&self) -> Vec<f32> {
        let brightness = |p: &[u8]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
        self.samples.chunks_exact(3).map(brightness).collect()
    }

    /// The mean of [`Self::grey`] over a coarse grid.
    pub(super) fn mean_brightness(&self) -> f32 {
        let whole = Rectangle { left: 0.0, top: 0.0, width: side(self.width), height: side(self.height) };
        let grey = self.cut(whole, 32, 32).grey();
        grey.iter().sum::<f32>() / 1024.0
    }
}

/// Two neighbouring pixels along one axis, and the share of the second.
struct Tap {
    first: usize,
    second: usize,
    share: f32,
}

impl Tap {
    /// For a coordinate along an axis of `length` pixels; beyond its ends both are the last pixel.
    fn new(coordinate: f32, length: u32) -> Self {
        let last = side(length) - 1.0;
        let inside = coordinate.clamp(0.0, last);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the picture")]
        let pixel = |v: f32| v as usize;
        Self { first: pixel(inside), second: pixel((inside.floor() + 1.0).min(last)), share: inside - inside.floor() }
    }

    fn mix(&self, first: u8, second: u8) -> f32 {
        f32::from(first) + self.share * (f32::from(second) - f32::from(first))
    }
}

/// A rectangle in pixels; the left edge of the first pixel is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rectangle {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

/// A size or an index as a coordinate.
#[expect(clippy::cast_precision_loss, reason = "sides are at most 16,384")]
pub(super) fn side(pixels: u32) -> f32 {
    pixels as f32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "conversion saturates at 0 and 255")]
pub(super) fn to_sample(value: f32) -> u8 {
    // Rounds half up; the conversion itself saturates.
    (value + 0.5) as u8
}

fn broken(error: &ImageError) -> Error {
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Error::TruncatedImage,
        ImageError::Limits(_) => {
            Error::ImageTooLarge { got: limits::PICTURE_PIXELS + 1, limit: limits::PICTURE_PIXELS, unit: "pixels or more" }
        }
        _ => Error::BrokenImage,
    }
}

/// Whether a JPEG stream reaches its end-of-image marker (ITU-T T.81, B.1.1): segments are skipped by their length, and in
/// compressed data every 0xFF that is not a marker is followed by a zero.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let (Some(&prefix), Some(&marker)) = (bytes.get(at), bytes.get(at + 1)) {
        match (prefix, marker) {
            (0xff, 0xd9) => return true,
            // Compressed data, fill bytes, and markers without a segment.
            (0xff, 0xff) => at += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => {
                let length = bytes.get(at + 2..at + 4).map_or(0, |n| usize::from(n[0]) << 8 | usize::from(n[1]));
                at += 2 + length;
            }
            _ => at += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests;
