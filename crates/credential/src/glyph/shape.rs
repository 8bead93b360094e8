//! The mark as outlines in a square of 256, before it is drawn anywhere.
//!
//! Sines are computed here with additions and multiplications only, which every machine rounds alike, so one pseudonym has one
//! picture to the last digit.

use super::{Band, Core, Filling, Glyph, Petal};

/// Side of the square.
pub(super) const SIDE: f64 = 256.0;
const CENTRE: f64 = SIDE / 2.0;

pub(super) type Point = (f64, f64);

/// How an outline is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Paint {
    Fill,
    /// A line of this width.
    Line(f64),
}

/// One closed or open outline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outline {
    /// 0 or 1: the persona's inks.
    pub(super) ink: usize,
    pub(super) paint: Paint,
    pub(super) closed: bool,
    pub(super) points: Vec<Point>,
}

/// Everything, back to front.
pub(super) fn outlines(glyph: &Glyph) -> Vec<Outline> {
    let mut all = Vec::new();
    beads(glyph, &mut all);
    band(glyph, &mut all);
    between(glyph, &mut all);
    petals(glyph, &mut all);
    core(glyph, &mut all);
    all
}

/// Sine and cosine of a number of turns.
fn turn(turns: f64) -> (f64, f64) {
    let turns = turns - turns.floor();
    // Into an eighth: quarter turns are exact, the rest is at most an eighth to either side.
    let quarter = (turns * 4.0 + 0.5).floor();
    let x = (turns - quarter / 4.0) * std::f64::consts::TAU;
    let square = x * x;
    let (mut sin, mut cos, mut s, mut c) = (x, 1.0, x, 1.0);
    for n in 1..9 {
        let n = f64::from(n);
        c = -c * square / ((2.0 * n - 1.0) * (2.0 * n));
        s = -s * square / ((2.0 * n) * (2.0 * n + 1.0));
        cos += c;
        sin += s;
    }
    if quarter == 1.0 {
        (cos, -sin)
    } else if quarter == 2.0 {
        (-sin, -cos)
    } else if quarter == 3.0 {
        (-cos, sin)
    } else {
        (sin, cos)
    }
}

/// A point by radius and turns clockwise from the top.
fn polar(radius: f64, turns: f64) -> Point {
    let (sin, cos) = turn(turns);
    (CENTRE + radius * sin, CENTRE - radius * cos)
}

fn circle(centre: Point, radius: f64) -> Vec<Point> {
    let at = |i| {
        let (sin, cos) = turn(f64::from(i) / 24.0);
        (centre.0 + radius * sin, centre.1 - radius * cos)
    };
    (0..24).map(at).collect()
}

/// A closed curve whose radius depends on the turn.
fn curve(steps: u32, radius: impl Fn(f64) -> f64) -> Vec<Point> {
    (0..steps).map(|i| f64::from(i) / f64::from(steps)).map(|t| polar(radius(t), t)).collect()
}

fn closed(ink: usize, paint: Paint, points: Vec<Point>) -> Outline {
    Outline { ink, paint, closed: true, points }
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Fractions of a turn: `n` of them.
fn around(n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| count(i) / count(n))
}

fn beads(glyph: &Glyph, all: &mut Vec<Outline>) {
    for (i, at) in around(12).enumerate() {
        let raised = glyph.beads.is_some_and(|beads| beads >> i & 1 == 1);
        let bead = if raised {
            closed(0, Paint::Fill, circle(polar(116.0, at), 6.5))
        } else {
            closed(0, Paint::Line(1.2), circle(polar(116.0, at), 2.6))
        };
        all.push(bead);
    }
}

fn band(glyph: &Glyph, all: &mut Vec<Outline>) {
    let n = count(glyph.band_count);
    match glyph.band {
        Band::Guilloche => {
            for phase in [0.0, 0.25, 0.5, 0.75] {
                all.push(closed(1, Paint::Line(1.1), curve(720, |t| 94.0 + 9.0 * turn(n * t + phase).1)));
            }
        }
        Band::Chain => {
            for phase in [0.0, 0.5] {
                all.push(closed(1, Paint::Line(2.6), curve(720, |t| 94.0 + 7.5 * turn(n / 2.0 * t + phase).1)));
            }
        }
        Band::Rays => {
            for (i, at) in around(glyph.band_count).enumerate() {
                let inner = if i % 2 == 0 { 84.0 } else { 91.0 };
                let points = vec![polar(inner, at), polar(103.0, at)];
                all.push(Outline { ink: 1, paint: Paint::Line(3.2), closed: false, points });
            }
        }
        Band::Pearls => {
            for (i, at) in around(glyph.band_count).enumerate() {
                let radius = if i % 2 == 0 { 5.6 } else { 3.2 };
                all.push(closed(1, Paint::Fill, circle(polar(94.0, at), radius)));
            }
        }
        Band::Scallops => {
            // The size of a sine has its corners inwards.
            all.push(closed(1, Paint::Line(2.4), curve(720, |t| 86.0 + 16.0 * turn(n / 2.0 * t).0.abs())));
            all.push(closed(1, Paint::Line(1.1), curve(720, |t| 84.0 + 8.0 * turn(n / 2.0 * t).0.abs())));
        }
    }
}

/// Behind the petals, between each two: a small leaf in the other ink.
fn between(glyph: &Glyph, all: &mut Vec<Outline>) {
    let n = count(glyph.petals);
    for at in around(glyph.petals) {
        let at = at + 0.5 / n;
        all.push(closed(1, Paint::Line(1.4), leaf(Petal::Leaf, 40.0, 78.0, 70.0 / n, at, (-1.0, 1.0))));
        all.push(closed(1, Paint::Fill, circle(polar(76.0, at), 2.2)));
    }
}

fn petals(glyph: &Glyph, all: &mut Vec<Outline>) {
    let n = count(glyph.petals);
    let half = 135.0 / n;
    for at in around(glyph.petals) {
        let outline = |inner: f64, outer: f64, width: f64| leaf(glyph.petal, inner, outer, width, at, (-1.0, 1.0));
        match glyph.filling {
            Filling::Solid => all.push(closed(0, Paint::Fill, outline(30.0, 80.0, half))),
            Filling::Open => all.push(closed(0, Paint::Line(2.6), outline(30.0, 80.0, half))),
            Filling::Ruled => {
                all.push(closed(0, Paint::Line(1.8), outline(30.0, 80.0, half)));
                all.push(closed(0, Paint::Line(1.4), outline(36.0, 73.0, half * 0.66)));
                all.push(closed(0, Paint::Line(1.4), outline(43.0, 66.0, half * 0.3)));
            }
            Filling::Split => {
                all.push(closed(0, Paint::Line(1.8), outline(30.0, 80.0, half)));
                all.push(closed(0, Paint::Fill, leaf(glyph.petal, 30.0, 80.0, half, at, (0.0, 1.0))));
            }
        }
    }
}

/// A petal along the radius at `at`, from `inner` to `outer`, with its greatest half width; `sides` says how far it goes to the left and
/// right of its middle line.
fn leaf(petal: Petal, inner: f64, outer: f64, half: f64, at: f64, sides: (f64, f64)) -> Vec<Point> {
    const STEPS: u32 = 20;
    let (sin, cos) = turn(at);
    let place = |i: u32, side: f64| {
        let t = f64::from(i) / f64::from(STEPS);
        let (along, across) = (inner + (outer - inner) * t, side * half * width(petal, t));
        (CENTRE + along * sin + across * cos, CENTRE - along * cos + across * sin)
    };
    let up = (0..=STEPS).map(|i| place(i, sides.1));
    let down = (1..STEPS).rev().map(|i| place(i, sides.0));
    up.chain(down).collect()
}

/// Half width at `t` of the way out, at most 1.
fn width(petal: Petal, t: f64) -> f64 {
    let arch = 4.0 * t * (1.0 - t);
    match petal {
        Petal::Leaf => arch,
        Petal::Drop => arch * (0.25 + 1.15 * t),
        Petal::Tulip => arch * (1.4 - 1.15 * t),
        Petal::Kite if t < 0.68 => t / 0.68,
        Petal::Kite => (1.0 - t) / 0.32,
        Petal::Needle => 0.62 * arch * arch,
    }
}

fn core(glyph: &Glyph, all: &mut Vec<Outline>) {
    let (k, n) = (glyph.core_count, count(glyph.core_count));
    match glyph.core {
        Core::Star => {
            let points = around(2 * k).enumerate().map(|(i, at)| polar(if i % 2 == 0 { 24.0 } else { 10.5 }, at));
            all.push(closed(0, Paint::Fill, points.collect()));
        }
        Core::Dots => {
            for at in around(k) {
                all.push(closed(0, Paint::Fill, circle(polar(16.0, at), 12.0 * turn(0.5 / n).0.min(0.42))));
            }
        }
        Core::Polygon => {
            all.push(closed(0, Paint::Line(2.6), around(k).map(|at| polar(23.0, at)).collect()));
            all.push(closed(1, Paint::Fill, around(k).map(|at| polar(12.0, at + 0.5 / n)).collect()));
        }
        Core::Blossom => {
            all.push(closed(0, Paint::Fill, curve(240, |t| 17.0 + 6.0 * turn(n * t).1)));
        }
        Core::Rings => {
            for i in 1..=k {
                all.push(closed(i % 2, Paint::Line(1.4), circle(polar(0.0, 0.0), 24.0 * count(i) / n)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_are_sines() {
        for i in -300..900 {
            let turns = f64::from(i) / 257.0;
            let (sin, cos) = turn(turns);
            let (s, c) = (turns * std::f64::consts::TAU).sin_cos();
            assert!((sin - s).abs() < 1e-9 && (cos - c).abs() < 1e-9, "{turns}");
        }
    }
}
