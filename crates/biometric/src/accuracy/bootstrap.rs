//! Bootstrap over subjects: every replicate draws as many people as there are, with replacement.

use rand_core::Rng;

use super::{Comparisons, FMR_TARGETS};

/// Ends of 95 % intervals.
pub(super) struct Intervals {
    pub(super) fmr: (f64, f64),
    pub(super) fnmr: (f64, f64),
    pub(super) eer: (f64, f64),
    pub(super) fnmr_at_fmr: [(f64, f64); 3],
}

/// The rates of one replicate: FMR and FNMR at the threshold, EER, FNMR at the targets.
type Rates = [f64; 6];

pub(super) fn intervals(comparisons: &Comparisons, replicates: usize, random: &mut impl Rng) -> Intervals {
    let sorted = Sorted::of(comparisons);
    let mut rates: Vec<Rates> = Vec::with_capacity(replicates);
    for _ in 0..replicates {
        let weights = draw(sorted.samples.len(), random);
        rates.extend(sorted.rates(&weights));
    }
    let column = |get: fn(&Rates) -> f64| {
        // Not a number: this replicate cannot say, as too few of its impostor scores were kept.
        let mut values: Vec<f64> = rates.iter().map(get).filter(|rate| !rate.is_nan()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().saturating_sub(1);
        // The 2.5 % and 97.5 % quantiles; without replicates the interval says nothing.
        let low = values.get(last / 40).copied().unwrap_or(0.0);
        (low, values.get(last - last / 40).copied().unwrap_or(1.0))
    };
    Intervals {
        fmr: column(|r| r[0]),
        fnmr: column(|r| r[1]),
        eer: column(|r| r[2]),
        fnmr_at_fmr: [column(|r| r[3]), column(|r| r[4]), column(|r| r[5])],
    }
}

/// How often each subject was drawn.
fn draw(subjects: usize, random: &mut impl Rng) -> Vec<f64> {
    let mut weights = vec![0.0; subjects];
    for _ in 0..subjects {
        // Multiplying a 64-bit draw by the count: the bias is below 2^-32.
        let drawn = (u128::from(random.next_u64()) * subjects as u128) >> 64;
        if let Some(weight) = usize::try_from(drawn).ok().and_then(|i| weights.get_mut(i)) {
            *weight += 1.0;
        }
    }
    weights
}

/// Comparisons with the highest score first, so that a replicate is one pass down the thresholds.
struct Sorted {
    genuine: Vec<(i16, u32)>,
    impostor: Vec<(i16, u32, u32)>,
    /// Samples of each subject.
    samples: Vec<f64>,
    /// Impostor comparisons made, as a share of all pairs of samples of different subjects.
    coverage: f64,
    /// Impostor scores below this were not kept.
    floor: i16,
}

impl Sorted {
    fn of(comparisons: &Comparisons) -> Self {
        let mut samples = vec![0.0; comparisons.subjects];
        for &subject in &comparisons.subject_of {
            if let Some(count) = samples.get_mut(subject as usize) {
                *count += 1.0;
            }
        }
        let mut genuine = comparisons.genuine.clone();
        genuine.sort_unstable_by(|a, b| b.cmp(a));
        let mut impostor = comparisons.highest.clone();
        impostor.sort_unstable_by_key(|&(score, ..)| std::cmp::Reverse(score));
        let made = super::count(comparisons.impostor.iter().sum());
        let ones = vec![1.0; samples.len()];
        let coverage = made / pairs(&samples, &ones);
        Self { genuine, impostor, samples, coverage, floor: comparisons.floor }
    }

    /// The rates of one replicate; `None` if it drew nobody with two samples, or one person only.
    fn rates(&self, weights: &[f64]) -> Option<Rates> {
        let weight = |subject: u32| weights.get(subject as usize).copied().unwrap_or(0.0);
        let genuine_total: f64 = self.genuine.iter().map(|&(_, subject)| weight(subject)).sum();
        let impostor_total = self.coverage * pairs(&self.samples, weights);
        if genuine_total <= 0.0 || impostor_total <= 0.0 {
            return None;
        }
        let mut impostors = self.impostor.iter().peekable();
        let mut matched = 0.0;
        let mut missed = genuine_total;
        let complete = |score: i16| score >= self.floor;
        let mut rates: Rates = if complete(0) { [0.0, 1.0, f64::NAN, 1.0, 1.0, 1.0] } else { [f64::NAN; 6] };
        let (mut smallest_gap, mut closest) = (f64::INFINITY, 1.0);
        let mut genuines = self.genuine.iter().peekable();
        // Every score at which something happens, from the top down. Ties of one score pass the threshold together.
        while let Some(score) = next_score(genuines.peek().map(|g| g.0), impostors.peek().map(|i| i.0)) {
            while let Some(&(_, subject)) = genuines.next_if(|g| g.0 == score) {
                missed -= weight(subject);
            }
            while let Some(&(_, a, b)) = impostors.next_if(|i| i.0 == score) {
                matched += weight(a) * weight(b);
            }
            let (fmr, fnmr) = (matched / impostor_total, (missed / genuine_total).max(0.0));
            if !complete(score) {
                break;
            }
            if score >= 0 {
                (rates[0], rates[1]) = (fmr, fnmr);
            }
            if (fmr - fnmr).abs() < smallest_gap {
                smallest_gap = (fmr - fnmr).abs();
                closest = f64::midpoint(fmr, fnmr);
            }
            if fmr >= fnmr {
                rates[2] = closest;
            }
            let [_, _, _, at @ ..] = &mut rates;
            for (rate, target) in at.iter_mut().zip(FMR_TARGETS) {
                if fmr <= target {
                    *rate = fnmr;
                }
            }
        }
        Some(rates)
    }
}

fn next_score(a: Option<i16>, b: Option<i16>) -> Option<i16> {
    a.max(b)
}

/// Weighted pairs of samples of different subjects.
fn pairs(samples: &[f64], weights: &[f64]) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for (n, w) in samples.iter().zip(weights) {
        sum += n * w;
        squares += (n * w).powi(2);
    }
    (sum * sum - squares) / 2.0
}
