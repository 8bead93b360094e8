//! The mark in a terminal: braille dots, eight to a character, with its name beneath.
#![expect(clippy::indexing_slicing, reason = "a square of dots and tables of two and eight, indexed by loops over them")]

use std::fmt::Write as _;
use std::ops::Range;

use super::Glyph;
use super::shape::{Outline, Paint, Point, SIDE, outlines};

/// Characters across; half as many down.
const COLUMNS: usize = 32;
/// Dots across and down.
const DOTS: usize = 2 * COLUMNS;
/// Side of a dot in the mark's own measure.
const DOT: f64 = SIDE / 64.0;
/// Where Unicode puts the eight dots of a character: left three, right three, lowest two.
const BRAILLE: [(usize, usize); 8] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];

impl Glyph {
    /// Sixteen lines of 32 characters, and the name. With `colour`, each character is in the ink that prevails there (24-bit ANSI);
    /// without, the text holds no escape sequence.
    pub fn terminal(&self, colour: bool) -> String {
        let dots = raster(&outlines(self));
        let mut text = String::new();
        for row in 0..COLUMNS / 2 {
            let mut line = String::new();
            for column in 0..COLUMNS {
                let (mut bits, mut inks) = (0u32, [0u32; 2]);
                for (bit, (x, y)) in BRAILLE.into_iter().enumerate() {
                    if let Some(ink) = dots[4 * row + y][2 * column + x] {
                        bits |= 1 << bit;
                        inks[ink] += 1;
                    }
                }
                let character = if bits == 0 { ' ' } else { char::from_u32(0x2800 + bits).unwrap_or(' ') };
                if colour && bits != 0 {
                    let [r, g, b] = self.inks[usize::from(inks[1] > inks[0])].rgb.map(lighter);
                    // Writing to a string does not fail.
                    let _ = write!(line, "\x1b[38;2;{r};{g};{b}m{character}\x1b[0m");
                } else {
                    line.push(character);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        let indent = (COLUMNS - self.name.len()) / 2;
        let _ = writeln!(text, "{}{}", " ".repeat(indent), self.name);
        text
    }
}

/// Inks are made for paper; terminals are mostly dark. Half way to white reads on both.
fn lighter(channel: u8) -> u8 {
    channel / 2 + 112
}

/// The uppermost ink on each dot, by row and column.
fn raster(all: &[Outline]) -> [[Option<usize>; DOTS]; DOTS] {
    let mut dots = [[None; DOTS]; DOTS];
    for outline in all {
        let mut paint = |part: &[Point], reach: f64, covers: &dyn Fn(Point) -> bool| {
            for y in range(part.iter().map(|point| point.1), reach) {
                for x in range(part.iter().map(|point| point.0), reach) {
                    if covers((centre(x), centre(y))) {
                        dots[y][x] = Some(outline.ink);
                    }
                }
            }
        };
        match outline.paint {
            Paint::Fill => paint(&outline.points, 0.0, &|point| inside(&outline.points, point)),
            Paint::Line(width) => {
                // A hairline is most of a dot wide, or it would break up.
                let reach = (width / 2.0).max(0.36 * DOT);
                let last = outline.points.last().copied().zip(outline.points.first().copied()).filter(|_| outline.closed);
                for (a, b) in outline.points.windows(2).map(|pair| (pair[0], pair[1])).chain(last) {
                    paint(&[a, b], reach, &|point| square_distance(point, a, b) <= reach * reach);
                }
            }
        }
    }
    dots
}

/// Middle of the dots numbered `i`.
fn centre(i: usize) -> f64 {
    (f64::from(u32::try_from(i).unwrap_or(u32::MAX)) + 0.5) * DOT
}

/// Numbers of the dots whose middle lies between the least and the greatest of `values`, with `reach` on both sides.
fn range(values: impl Iterator<Item = f64>, reach: f64) -> Range<usize> {
    let (least, greatest) = values.fold((SIDE, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let first = (0..DOTS).find(|i| centre(*i) >= least - reach).unwrap_or(DOTS);
    let end = (first..DOTS).find(|i| centre(*i) > greatest + reach).unwrap_or(DOTS);
    first..end
}

/// Even-odd.
fn inside(points: &[Point], (x, y): Point) -> bool {
    let Some(mut before) = points.last().copied() else { return false };
    let mut inside = false;
    for &point in points {
        let crosses = (point.1 > y) != (before.1 > y);
        if crosses && x < (before.0 - point.0) * (y - point.1) / (before.1 - point.1) + point.0 {
            inside = !inside;
        }
        before = point;
    }
    inside
}

fn square_distance(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let t = if length == 0.0 { 0.0 } else { (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length).clamp(0.0, 1.0) };
    let (ex, ey) = (p.0 - a.0 - t * dx, p.1 - a.1 - t * dy);
    ex * ex + ey * ey
}
