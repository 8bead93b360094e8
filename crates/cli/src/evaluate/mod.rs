//! `commons evaluate`: how accurate is a profile on labelled samples, and does private matching decide every pair as plaintext
//! matching does? A report to ISO/IEC 19795-1, with every pair of the set decided on shares.
//!
//! The three parties of the private matching run inside this process: the data are the user's own, and nothing leaves the
//! machine. **Out of scope**: the measures (`biometric::accuracy`), the protocol (`mpc::evaluate`).

mod decide;
mod load;
mod profile;
mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use biometric::accuracy::DetPoint;
use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Page;
use crate::words::{count, counted, figure};

/// How accurate is a modality profile on your own labelled samples? Every pair is decided on secret shares beside plaintext.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons evaluate photos/                       images named SUBJECT_N.jpg or SUBJECT/N.jpg
  commons evaluate --templates vectors.npy --index index.csv
  commons evaluate --templates codes.npy --masks masks.npy --index index.csv --profile iris-12800
  commons evaluate photos/ --json --report accuracy.html

The index is CSV with a header line; its first column is the row of the table, the second names the subject.
Exit code 0: private and plaintext matching agree on every pair. 1: they differ.")]
pub(crate) struct Evaluate {
    /// Folder of images, named SUBJECT_N.jpg or SUBJECT/N.jpg (JPEG, PNG or PGM)
    #[arg(value_name = "DIR", required_unless_present = "templates", conflicts_with_all = ["templates", "index", "masks"])]
    pub(crate) images: Option<PathBuf>,
    /// Templates of any extractor instead, one row each
    #[arg(long, value_name = "FILE.npy", requires = "index")]
    pub(crate) templates: Option<PathBuf>,
    /// Whose each row is: CSV with the columns row, subject and anything
    #[arg(long, value_name = "FILE.csv", requires = "templates")]
    pub(crate) index: Option<PathBuf>,
    /// Masks of iris codes
    #[arg(long, value_name = "FILE.npy", requires = "templates")]
    pub(crate) masks: Option<PathBuf>,
    /// Modality profile: the id of a built-in one, or a profile file
    #[arg(long, value_name = "ID|FILE")]
    pub(crate) profile: Option<String>,
    /// Where the report goes
    #[arg(long, value_name = "FILE.html", default_value = "commons-evaluation.html")]
    pub(crate) report: PathBuf,
    /// Threads; without it, one for each processor core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) threads: Option<u8>,
}

/// All that the report and the answer say.
struct Evaluation {
    /// What was measured: the folder's or file's name.
    source: String,
    set: load::Set,
    choice: profile::Choice,
    decided: decide::Decided,
    seconds: f64,
    threads: usize,
}

pub(crate) fn run(context: &Context, args: &Evaluate) -> Result<Exit, Failure> {
    let start = Instant::now();
    // Before the work, not after it.
    write_report(&args.report, "")?;
    let threads = args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let (set, choice) = load::load(context, args, threads)?;
    let decided = decide::decide(context, &set, &choice.profile.matching, threads)?;
    let source = args.images.as_ref().or(args.templates.as_ref()).and_then(|path| path.file_name());
    let source = source.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let evaluation = Evaluation { source, set, choice, decided, seconds: start.elapsed().as_secs_f64(), threads };
    write_report(&args.report, &report::page(&evaluation))?;
    let mut facts = facts(&evaluation);
    if let Some(facts) = facts.as_object_mut() {
        facts.insert("report".to_owned(), json!(args.report.display().to_string()));
    }
    context.out.answer(&facts, |page| {
        summary(page, &evaluation);
        page.row("Report", args.report.display());
    });
    Ok(if evaluation.decided.differences == 0 { Exit::Yes } else { Exit::No })
}

fn write_report(path: &Path, page: &str) -> Result<(), Failure> {
    std::fs::write(path, page)
        .map_err(|error| Failure { hint: "choose another place with --report".to_owned(), ..Failure::write(path, &error) })
}

fn facts(evaluation: &Evaluation) -> Value {
    let Evaluation { set, choice, decided, .. } = evaluation;
    let measures = &decided.measures;
    let [_, at_3, at_4] = measures.fnmr_at_fmr;
    let at_2 = measures.fnmr_at_fmr.first().copied().flatten();
    json!({
        "subjects": measures.subjects,
        "images": set.images,
        "templates": measures.templates,
        "failed_to_acquire": set.failed_to_acquire(),
        "genuine": measures.genuine,
        "impostor": measures.impostor,
        "eer": measures.eer.value,
        "fnmr_at_fmr_1e-2": at_2.map(|rate| rate.value),
        "fnmr_at_fmr_1e-3": at_3.map(|rate| rate.value),
        "fnmr_at_fmr_1e-4": at_4.map(|rate| rate.value),
        "fmr": measures.fmr.value,
        "fnmr": measures.fnmr.value,
        "intervals_95": {
            "eer": [measures.eer.low, measures.eer.high],
            "fmr": [measures.fmr.low, measures.fmr.high],
            "fnmr": [measures.fnmr.low, measures.fnmr.high],
            "fnmr_at_fmr_1e-3": at_3.map(|rate| [rate.low, rate.high]),
        },
        "det": curve(&measures.det),
        "private_plaintext_differences": decided.differences,
        "pairs_decided_on_shares": decided.pairs,
        "comparisons_on_shares": decided.comparisons,
        "bytes_sent_per_comparison_and_node": decided.bytes_per_comparison(),
        "profile": choice.profile.id,
        "profile_digest": choice.profile.digest(),
        "threshold": profile::threshold(&choice.profile.matching),
        "threshold_derived_from_these_data": choice.derived,
        "failures": set.failures,
        "seconds": evaluation.seconds,
        "seconds_on_shares": decided.seconds_private,
        "threads": evaluation.threads,
    })
}

/// The DET curve with as many points as an eye can tell apart on logarithmic axes: `[FMR, FNMR]`, and the profile's own threshold marked.
fn curve(det: &[DetPoint]) -> Vec<Value> {
    const STEP: f64 = 0.04;
    let place = |point: &DetPoint| [point.fmr, point.fnmr].map(|rate| rate.max(1e-9).log10());
    let mut last: Option<[f64; 2]> = None;
    let mut seen = |point: &&DetPoint| {
        let here = place(point);
        let far = last.is_none_or(|last| here.iter().zip(last).any(|(here, last)| (here - last).abs() >= STEP));
        if far {
            last = Some(here);
        }
        far || point.score == 0
    };
    let both = det.iter().filter(|point| point.fmr > 0.0 && point.fnmr > 0.0);
    let rounded = |rate: f64| (rate * 1e9).round() / 1e9;
    both.filter(&mut seen)
        .map(|point| json!({ "score": point.score, "fmr": rounded(point.fmr), "fnmr": rounded(point.fnmr) }))
        .collect()
}

fn summary(page: &mut Page, evaluation: &Evaluation) {
    let Evaluation { set, choice, decided, .. } = evaluation;
    let measures = &decided.measures;
    let pairs = count(decided.pairs);
    if decided.differences == 0 {
        page.headline(true, &format!("Private matching decided all {pairs} pairs as plaintext matching does."));
    } else {
        page.headline(
            false,
            &format!("Private and plaintext matching differ on {} of {pairs} pairs.", count(decided.differences)),
        );
    }
    page.heading(&format!("Accuracy of {} at {}", choice.profile.id, profile::threshold_words(&choice.profile.matching)));
    if choice.derived {
        page.line("  There is no built-in profile for such vectors: the threshold was set on these data, for an FMR of");
        page.line("  0.1 %. Expect worse on others. The report holds the profile, to be saved and named with --profile.");
    }
    let interval = |rate: &biometric::accuracy::Rate| {
        format!("{}   (95 %: {} to {})", percent(rate.value), percent(rate.low), percent(rate.high))
    };
    page.row("FMR", format!("{}   strangers taken for the same person", interval(&measures.fmr)));
    page.row("FNMR", format!("{}   the same person not recognised", interval(&measures.fnmr)));
    page.row("EER", interval(&measures.eer));
    for (target, rate) in biometric::accuracy::FMR_TARGETS.iter().zip(&measures.fnmr_at_fmr) {
        let label = format!("at FMR {}", plain_percent(*target));
        let fnmr = |rate| format!("FNMR {}", interval(rate));
        page.row(&label, rate.as_ref().map_or_else(|| "too few impostor comparisons to say".to_owned(), fnmr));
    }
    page.heading("From");
    page.row("Subjects", count(measures.subjects as u64));
    page.row("Samples", format!("{}, failed to acquire: {}", count(set.images), count(set.failed_to_acquire())));
    page.row("Comparisons", format!("{} genuine, {} impostor", count(measures.genuine), count(measures.impostor)));
    page.row("On shares", on_shares(decided));
    page.row("Time", counted_seconds(evaluation));
}

fn on_shares(decided: &decide::Decided) -> String {
    let per = figure(decided.bytes_per_comparison());
    format!(
        "{} in {} s, {per} bytes sent per node for each",
        counted(decided.comparisons, "comparison", "comparisons"),
        figure(decided.seconds_private)
    )
}

fn counted_seconds(evaluation: &Evaluation) -> String {
    let threads = counted(evaluation.threads as u64, "thread", "threads");
    format!("{} s on {threads}", figure(evaluation.seconds))
}

/// A share as a percentage with three figures, small ones as a power of ten.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        p if p < 0.001 => format!("{:.1e} %", p),
        p if p < 0.1 => format!("{p:.4} %"),
        p if p < 1.0 => format!("{p:.3} %"),
        p if p < 10.0 => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// A round share, as it is: `0.1 %`.
fn plain_percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::{DetPoint, curve, percent, plain_percent};

    #[test]
    fn a_curve_keeps_its_shape_and_its_operating_point_in_few_points() {
        let det: Vec<DetPoint> = (-5000..5000)
            .map(|score| {
                let x = f64::from(score) / 1000.0;
                DetPoint { score, fmr: 10f64.powf(-3.0 - x), fnmr: 10f64.powf(-3.0 + x) }
            })
            .collect();
        let points = curve(&det);
        assert!((100..300).contains(&points.len()), "{}", points.len());
        assert!(points.iter().any(|point| point["score"] == 0));
        assert_eq!(points[0]["fmr"], 100.0);
        assert!(curve(&[DetPoint { score: 1, fmr: 0.0, fnmr: 0.5 }]).is_empty(), "no logarithm of nothing");
    }

    #[test]
    fn percentages_have_three_figures() {
        let shares = [0.0, 0.000_001, 0.000_123_4, 0.008_312, 0.014_7, 0.153, 1.0];
        let words = ["0 %", "1.0e-4 %", "0.0123 %", "0.831 %", "1.47 %", "15.3 %", "100.0 %"];
        assert_eq!(shares.map(percent), words);
        assert_eq!([1e-2, 1e-3, 1e-4].map(plain_percent), ["1 %", "0.1 %", "0.01 %"]);
    }
}
