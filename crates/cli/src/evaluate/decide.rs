//! Every pair decided twice: on shares by three parties, and in the clear.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use biometric::accuracy::{Comparisons, Measures};
use biometric::oracle::Gallery;
use mpc::Adder;
use mpc::evaluate::{Decisions, Options, decide_all};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use types::profile::Matching;

use crate::context::Context;
use crate::evaluate::load::Set;
use crate::failure::{Exit, Failure};

/// Replicates of the bootstrap behind each interval.
const REPLICATES: usize = 1000;
/// Probes that a thread takes at a time.
const PROBES: usize = 64;

/// What came out.
pub(crate) struct Decided {
    pub(crate) measures: Measures,
    /// Unordered pairs of samples.
    pub(crate) pairs: u64,
    /// Pairs on which the two ways of matching differ.
    pub(crate) differences: u64,
    /// Scores compared with the threshold on shares: one for each pair and rotation.
    pub(crate) comparisons: u64,
    pub(crate) sent_bytes: [u64; 3],
    /// Time spent on shares, by all three parties together.
    pub(crate) seconds_private: f64,
}

impl Decided {
    /// Sent by one node, the opening of every bit included.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub(crate) fn bytes_per_comparison(&self) -> f64 {
        self.sent_bytes.iter().copied().max().unwrap_or(0) as f64 / self.comparisons.max(1) as f64
    }
}

/// Decides all pairs of `set`.
pub(crate) fn decide(context: &Context, set: &Set, matching: &Matching, threads: usize) -> Result<Decided, Failure> {
    let start = Instant::now();
    let decisions = on_shares(context, set, matching, threads)?;
    let seconds_private = start.elapsed().as_secs_f64();
    let (comparisons, pairs, differences) = in_the_clear(context, set, matching, threads, &decisions)?;
    let spinner = context.out.spinner("Computing rates and intervals");
    // A fixed seed: the same data give the same report.
    let measures = comparisons.measure(REPLICATES, &mut ChaCha20Rng::from_seed([7; 32]));
    spinner.finish_and_clear();
    let (comparisons, sent_bytes) = (decisions.comparisons, decisions.sent_bytes);
    Ok(Decided { measures: measures?, pairs, differences, comparisons, sent_bytes, seconds_private })
}

fn on_shares(context: &Context, set: &Set, matching: &Matching, threads: usize) -> Result<Decisions, Failure> {
    let inputs: Vec<Vec<u32>> = set.templates.iter().map(biometric::Template::input_values).collect();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| client::Error::NoRandomness)?;
    let bar = context.out.bar(1, "Deciding on shares");
    let progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let options = Options { seed, threads, adder: Adder::Ripple };
    let decisions = decide_all(matching, &inputs, &options, &progress);
    bar.finish_and_clear();
    decisions.map_err(|error| Failure::message(Exit::Input, "matching", &error.to_string()))
}

/// The plaintext matcher over all pairs: scores for the measures, decisions beside the private ones.
fn in_the_clear(
    context: &Context,
    set: &Set,
    matching: &Matching,
    threads: usize,
    decisions: &Decisions,
) -> Result<(Comparisons, u64, u64), Failure> {
    let gallery = Gallery::new(matching, &set.templates)?;
    let bar = context.out.bar(gallery.len() as u64, "Deciding in the clear, to compare");
    let next = AtomicUsize::new(0);
    let joined = Mutex::new((Comparisons::new(set.subject_of.clone()), 0, 0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut comparisons = Comparisons::new(set.subject_of.clone());
                let (mut pairs, mut differences) = (0u64, 0u64);
                loop {
                    let from = next.fetch_add(PROBES, Ordering::Relaxed);
                    if from >= gallery.len() {
                        break;
                    }
                    let to = (from + PROBES).min(gallery.len());
                    gallery.for_each_pair(from..to, |probe, record, score| {
                        comparisons.add(probe, record, score);
                        pairs += 1;
                        differences += u64::from(decisions.matched(probe, record) != Some(score >= 0));
                    });
                    bar.inc((to - from) as u64);
                }
                if let Ok(mut joined) = joined.lock() {
                    joined.0.merge(comparisons);
                    joined.1 += pairs;
                    joined.2 += differences;
                }
            });
        }
    });
    bar.finish_and_clear();
    joined
        .into_inner()
        .map_err(|_| Failure::input("a thread of the evaluation ended early", "report this as a fault of the program"))
}
