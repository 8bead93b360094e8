//! How good a profile is, measured on labelled samples, in the terms of ISO/IEC 19795-1.
//!
//! A *genuine* comparison is of two samples of one subject, an *impostor* comparison of two subjects. **FMR** is the share of
//! impostor comparisons that match, **FNMR** the share of genuine ones that do not, at the profile's threshold or another;
//! **EER** is where the two are equal; the DET curve is all of them. A *failure to acquire* (FTA) is a sample from which no
//! template came. Intervals are 95 % bootstrap intervals over subjects: comparisons that share a person are not independent, so
//! whole people are drawn again, and an impostor comparison counts as often as both of its people were drawn.
//!
//! **Out of scope**: making scores (`oracle`), showing them (the caller).

use std::ops::RangeInclusive;

use rand_core::Rng;
use serde::Serialize;

use crate::Error;

mod bootstrap;

/// The scores of a labelled set, as they come. A score >= 0 is a match at the profile's threshold.
#[derive(Debug, Clone)]
pub struct Comparisons {
    /// Subject of each sample, as numbers from 0.
    subject_of: Vec<u32>,
    subjects: usize,
    /// Every genuine score and its subject.
    genuine: Vec<(i16, u32)>,
    /// Impostor comparisons per score, from -32,768.
    impostor: Vec<u64>,
    /// The impostor comparisons with the highest scores, for the bootstrap.
    highest: Vec<(i16, u32, u32)>,
    /// Impostor scores below this are not in `highest`.
    floor: i16,
}

/// A rate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// The share observed.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end. With no error observed, the rule of three: 3 / comparisons.
    pub high: f64,
}

/// One point of the DET curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DetPoint {
    /// Scores from here on match; 0 is the profile's threshold.
    pub score: i32,
    /// False match rate.
    pub fmr: f64,
    /// False non-match rate.
    pub fnmr: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measures {
    /// People.
    pub subjects: usize,
    /// Templates.
    pub templates: usize,
    /// Comparisons within one subject.
    pub genuine: u64,
    /// Comparisons between two subjects.
    pub impostor: u64,
    /// False match rate at the profile's threshold.
    pub fmr: Rate,
    /// False non-match rate at the profile's threshold.
    pub fnmr: Rate,
    /// Equal error rate.
    pub eer: Rate,
    /// FNMR where FMR is at most 1e-2, 1e-3, 1e-4; `None` with fewer than `1 / FMR` impostor comparisons.
    pub fnmr_at_fmr: [Option<Rate>; 3],
    /// The DET curve, from the lowest score to the highest.
    pub det: Vec<DetPoint>,
}

/// The false match rates at which [`Measures::fnmr_at_fmr`] is given.
pub const FMR_TARGETS: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// Impostor comparisons kept for the bootstrap: those that could match at any threshold of interest.
const HIGHEST_KEPT: usize = 1 << 20;

const SCORES: RangeInclusive<i16> = i16::MIN..=i16::MAX;

impl Comparisons {
    /// For samples whose subjects are `subject_of[sample]` (numbers from 0, in any order).
    pub fn new(subject_of: Vec<u32>) -> Self {
        let subjects = subject_of.iter().max().map_or(0, |&most| most as usize + 1);
        Self {
            subject_of,
            subjects,
            genuine: Vec::new(),
            impostor: vec![0; SCORES.count()],
            highest: Vec::new(),
            floor: i16::MIN,
        }
    }

    /// Adds one comparison of two samples. Samples that were not named at construction are ignored; scores beyond 16 bits,
    /// which no checked profile gives, count as the nearest.
    pub fn add(&mut self, probe: usize, record: usize, score: i32) {
        let (Some(&a), Some(&b)) = (self.subject_of.get(probe), self.subject_of.get(record)) else { return };
        #[expect(clippy::cast_possible_truncation, reason = "clamped")]
        let score = score.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        if a == b {
            self.genuine.push((score, a));
            return;
        }
        if let Some(count) = self.impostor.get_mut(position(score)) {
            *count += 1;
        }
        if score >= self.floor {
            self.highest.push((score, a, b));
            if self.highest.len() >= 2 * HIGHEST_KEPT {
                self.prune();
            }
        }
    }

    /// Joins the comparisons of another part of the same set.
    pub fn merge(&mut self, other: Self) {
        self.genuine.extend(other.genuine);
        self.impostor.iter_mut().zip(other.impostor).for_each(|(mine, theirs)| *mine += theirs);
        self.floor = self.floor.max(other.floor);
        self.highest.extend(other.highest);
        let floor = self.floor;
        self.highest.retain(|&(score, ..)| score >= floor);
        if self.highest.len() >= 2 * HIGHEST_KEPT {
            self.prune();
        }
    }

    /// Keeps the highest; all of one score stay or go together, so that every kept score is complete.
    fn prune(&mut self) {
        let (_, &mut (pivot, ..), _) = self.highest.select_nth_unstable_by(HIGHEST_KEPT, |a, b| b.0.cmp(&a.0));
        self.floor = pivot.saturating_add(1);
        let floor = self.floor;
        self.highest.retain(|&(score, ..)| score >= floor);
    }

    /// Computes every rate, with intervals from `replicates` bootstrap samples drawn with `random`.
    ///
    /// # Errors
    /// [`Error::NothingToMeasure`] without genuine or without impostor comparisons.
    pub fn measure(&self, replicates: usize, random: &mut impl Rng) -> Result<Measures, Error> {
        let mut genuine = vec![0u64; SCORES.count()];
        for &(score, _) in &self.genuine {
            if let Some(count) = genuine.get_mut(position(score)) {
                *count += 1;
            }
        }
        let impostors: u64 = self.impostor.iter().sum();
        if self.genuine.is_empty() {
            return Err(Error::NothingToMeasure("genuine"));
        }
        if impostors == 0 {
            return Err(Error::NothingToMeasure("impostor"));
        }
        let curve = curve(&genuine, &self.impostor);
        let at_zero = curve.iter().find(|point| point.score == 0).copied();
        let at_zero = at_zero.unwrap_or(DetPoint { score: 0, fmr: 0.0, fnmr: 1.0 });
        let intervals = bootstrap::intervals(self, replicates, random);
        let genuine_count = self.genuine.len() as u64;
        let fnmr_at = |target: f64, low_high| {
            let enough = count(impostors) * target >= 1.0;
            enough.then(|| Rate::new(fnmr_at_fmr(&curve, target), low_high, genuine_count))
        };
        let [t0, t1, t2] = FMR_TARGETS;
        let [i0, i1, i2] = intervals.fnmr_at_fmr;
        let mut seen: Vec<u32> = self.subject_of.clone();
        seen.sort_unstable();
        seen.dedup();
        Ok(Measures {
            subjects: seen.len(),
            templates: self.subject_of.len(),
            genuine: genuine_count,
            impostor: impostors,
            fmr: Rate::new(at_zero.fmr, intervals.fmr, impostors),
            fnmr: Rate::new(at_zero.fnmr, intervals.fnmr, genuine_count),
            eer: Rate::new(equal_error_rate(&curve), intervals.eer, genuine_count),
            fnmr_at_fmr: [fnmr_at(t0, i0), fnmr_at(t1, i1), fnmr_at(t2, i2)],
            det: thin(&curve),
        })
    }
}

impl Rate {
    fn new(value: f64, (low, high): (f64, f64), comparisons: u64) -> Self {
        let high = if value == 0.0 { high.max(3.0 / count(comparisons)).min(1.0) } else { high.max(value) };
        Self { value, low: low.min(value), high }
    }
}

/// FMR and FNMR at every threshold, lowest score first.
fn curve(genuine: &[u64], impostor: &[u64]) -> Vec<DetPoint> {
    let (genuine_total, impostor_total) = (count(genuine.iter().sum()), count(impostor.iter().sum()));
    let (mut missed, mut matched) = (0u64, impostor.iter().sum::<u64>());
    SCORES
        .zip(genuine.iter().zip(impostor))
        .map(|(score, (&here, &there))| {
            let point = DetPoint {
                score: i32::from(score),
                fmr: count(matched) / impostor_total,
                fnmr: count(missed) / genuine_total,
            };
            missed += here;
            matched -= there;
            point
        })
        .collect()
}

/// The mean of FMR and FNMR where they are closest.
fn equal_error_rate(curve: &[DetPoint]) -> f64 {
    let gap = |p: &DetPoint| (p.fmr - p.fnmr).abs();
    curve.iter().min_by(|a, b| gap(a).total_cmp(&gap(b))).map_or(1.0, |p| f64::midpoint(p.fmr, p.fnmr))
}

/// FNMR at the lowest threshold whose FMR is at most `target`.
fn fnmr_at_fmr(curve: &[DetPoint], target: f64) -> f64 {
    curve.iter().find(|point| point.fmr <= target).map_or(1.0, |point| point.fnmr)
}

/// Keeps the points that a drawing can show: those that differ by 1 % of a decade, and the profile's threshold.
fn thin(curve: &[DetPoint]) -> Vec<DetPoint> {
    let mut kept: Vec<DetPoint> = Vec::new();
    let far = |a: f64, b: f64| a != b && (a == 0.0 || b == 0.0 || (a / b).log10().abs() > 0.01);
    for point in curve {
        let last = kept.last();
        if point.score == 0 || last.is_none_or(|last| far(last.fmr, point.fmr) || far(last.fnmr, point.fnmr)) {
            kept.push(*point);
        }
    }
    kept
}

fn position(score: i16) -> usize {
    (i32::from(score) - i32::from(i16::MIN)).cast_unsigned() as usize
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests;
