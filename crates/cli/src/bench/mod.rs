//! `commons bench`: how fast is private matching on this machine, beside plaintext matching in the same run?
//!
//! Three questions, from the inside out: the inner products alone (`kernels`), the whole protocol of one node without a network
//! (`protocol`), one person's request at three nodes through the public API (`search`). All data are made up (`synthetic`).
//! **Out of scope**: accuracy (`commons evaluate`), real networks, several machines.

mod clock;
mod kernels;
mod machine;
mod page;
mod protocol;
mod report;
mod search;
mod stages;
mod synthetic;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use types::profile::{Matching, Profile};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Page;
use crate::words::{count, figure};
use kernels::KernelRate;
use machine::{Machine, Processor};
use protocol::ProtocolRate;
use search::SearchTime;
use stages::StageTime;

/// How fast is it on this machine? Private and plaintext matching in one run, on made-up people.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons bench --quick                                  a minute
  commons bench                                          faces up to a million, irises up to 10 000
  commons bench --modality iris-12800 --records 100k
  COMMONS_KERNEL=avx2 commons bench --quick --json

A million faces take 3 GB of memory and of disk for the three nodes, 100 000 irises 12 GB. Close other programs first: everything
runs on this machine's cores.")]
pub(crate) struct Bench {
    /// Only this modality profile, a built-in one (repeatable); without it, face-512 and iris-12800
    #[arg(long, value_name = "ID")]
    pub(crate) modality: Vec<String>,
    /// Sizes of the gallery for searches through the API, such as 1k,10k,1m
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = size)]
    pub(crate) records: Vec<u64>,
    /// Fewer turns and small galleries
    #[arg(long)]
    pub(crate) quick: bool,
    /// Also write a report
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Also write the plot of cost against gallery size
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Also put the figures between the marks of this page, as in docs/performance.md, and the plot beside it
    #[arg(long, value_name = "FILE.md")]
    pub(crate) page: Option<PathBuf>,
}

/// How much to measure.
pub(crate) struct Effort {
    /// Turns of which the median is the figure.
    pub(crate) turns: usize,
    /// Seconds that a turn of a kernel takes about.
    pub(crate) turn_s: f64,
    /// Stored bytes that the kernels pass over: more than the processor's own caches hold.
    pub(crate) kernel_bytes: usize,
    pub(crate) batch_faces: usize,
    pub(crate) batch_irises: usize,
    /// Searches through the API for each size.
    pub(crate) probes: usize,
}

const QUICK: Effort =
    Effort { turns: 3, turn_s: 0.01, kernel_bytes: 64 << 20, batch_faces: 1 << 14, batch_irises: 1 << 11, probes: 20 };
const FULL: Effort =
    Effort { turns: 9, turn_s: 0.04, kernel_bytes: 512 << 20, batch_faces: 1 << 16, batch_irises: 1 << 13, probes: 50 };

/// All figures.
pub(crate) struct Figures {
    pub(crate) machine: Machine,
    pub(crate) kernels: Vec<KernelRate>,
    pub(crate) protocol: Vec<ProtocolRate>,
    pub(crate) search: Vec<SearchTime>,
    pub(crate) stages: Vec<StageTime>,
    /// Share of all cores that other programs took meanwhile.
    pub(crate) others: f64,
}

pub(crate) async fn run(context: &Context, args: &Bench) -> Result<Exit, Failure> {
    let profiles = profiles(&args.modality)?;
    let effort = if args.quick { QUICK } else { FULL };
    let (machine, processor) = (Machine::here(), Processor::now());
    let (kernels, protocol, stages) = tokio::task::block_in_place(|| -> Result<_, Failure> {
        let kernels = kernels::measure(context, &effort);
        let protocol = profiles.iter().map(|profile| protocol::measure(context, profile, &effort));
        Ok((kernels, protocol.collect::<Result<Vec<_>, _>>()?, stages::measure(&effort)))
    })?;
    let mut search = Vec::new();
    for profile in &profiles {
        search.extend(search::measure(context, profile, &sizes(args, profile), &effort).await?);
    }
    let figures = Figures { machine, kernels, protocol, search, stages, others: processor.others() };
    for (path, text) in [(&args.report, report::page as fn(&Figures) -> String), (&args.plot, report::plot_file)] {
        if let Some(path) = path {
            std::fs::write(path, text(&figures)).map_err(|error| Failure::write(path, &error))?;
        }
    }
    if let Some(path) = &args.page {
        page::update(path, &figures)?;
    }
    context.out.answer(&facts(&figures), |page| summary(page, &figures, args));
    Ok(Exit::Yes)
}

/// `10k` and `1m` as numbers.
fn size(text: &str) -> Result<u64, String> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, factor) = match (text.strip_suffix('k'), text.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1_000),
        (_, Some(digits)) => (digits, 1_000_000),
        _ => (text.as_str(), 1),
    };
    let size = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).filter(|n| (1_000..=20_000_000).contains(n));
    size.ok_or_else(|| "write a number of records from 1k to 20m, such as 100k".to_owned())
}

fn profiles(names: &[String]) -> Result<Vec<Profile>, Failure> {
    let usual = ["face-512".to_owned(), "iris-12800".to_owned()];
    let names = if names.is_empty() { &usual[..] } else { names };
    let find = |name: &String| {
        biometric::profiles::by_id(name).ok_or_else(|| {
            let known: Vec<String> = biometric::profiles::builtin().iter().map(|profile| profile.id.to_string()).collect();
            Failure::input(format!("there is no built-in profile `{name}`"), format!("choose one of {}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

fn sizes(args: &Bench, profile: &Profile) -> Vec<u64> {
    let mut sizes = match (args.records.is_empty(), &profile.matching, args.quick) {
        (false, ..) => args.records.clone(),
        (true, Matching::Embedding(_), true) => vec![1_000, 10_000],
        (true, Matching::Embedding(_), false) => vec![1_000, 10_000, 100_000, 1_000_000],
        (true, Matching::IrisCode(_), true) => vec![1_000],
        (true, Matching::IrisCode(_), false) => vec![1_000, 3_000, 10_000],
    };
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn facts(figures: &Figures) -> Value {
    let Figures { machine, kernels, protocol, search, stages, others } = figures;
    json!({
        "machine": machine, "kernels": kernels, "protocol": protocol, "search": search, "stages": stages, "others": others,
    })
}

fn summary(page: &mut Page, figures: &Figures, args: &Bench) {
    let Figures { machine, kernels, protocol, search, stages, others } = figures;
    page.headline(true, &format!("{}, {} cores", machine.cpu, machine.cores));
    page.row("kernel", format!("{} (plaintext: {})", machine.kernel, machine.plaintext));
    page.row("features", machine.features.join(" "));
    page.heading("Inner products, one core, 10⁹ multiply-accumulates of 16-bit words a second");
    let columns = columns(kernels);
    let head: String = columns.iter().map(|(shape, rows)| format!("{:>15}", format!("{shape} × {rows}"))).collect();
    page.row("", format!("    {head}"));
    for name in names(kernels) {
        let cells: String = columns.iter().map(|column| format!("{:>15}", cell(kernels, name, column))).collect();
        page.line(format!("  {name:<18}  {cells}"));
    }
    page.line("  Columns: words per record × probe rows. Plaintext rows: coordinates of as many comparisons.");
    page.heading("The protocol in batches of 496 rows, one core of one node, computing only");
    for rate in protocol {
        page.row(
            &rate.modality,
            format!(
                "{} M comparisons/s private, {} M/s in the clear: {} times the time",
                figure(rate.private_per_core_s / 1e6),
                figure(rate.plaintext_per_core_s / 1e6),
                figure(rate.ratio)
            ),
        );
        page.row(
            "",
            format!(
                "{} bytes sent per comparison and node, {} rounds",
                figure(rate.bytes_per_comparison_per_node),
                rate.rounds
            ),
        );
    }
    page.heading("Steps of a comparison beside its inner product, one core of one node");
    for stage in stages {
        page.line(format!("  {:>6} ns  {}", figure(stage.ns_per_comparison), stage.name));
    }
    page.heading("One probe through the public API: three nodes and the client on this machine");
    for time in search {
        page.row(
            &time.modality,
            format!(
                "{:>10} records  {:>6} ms median  {:>6} ms p99  {:>7} MB per node  ready in {} s",
                count(time.records),
                figure(time.median_ms),
                figure(time.p99_ms),
                megabytes(time.resident_bytes_per_node),
                figure(time.start_s)
            ),
        );
    }
    for modality in report::modalities(search) {
        if let Some(line) = report::line(search, modality) {
            let (base, slope) = (figure(line.start_ms), figure(line.ms_per_record * 1e4));
            let off = figure(100.0 * line.deviation);
            page.row(
                modality,
                format!("a line: {base} ms, and {slope} ms per 10 000 records; every size within {off} % of it"),
            );
        }
    }
    if *others > 0.05 {
        let share = figure(100.0 * others);
        page.row(
            "loaded",
            format!("other programs took {share} % of all cores: latencies are too long, compare ratios only"),
        );
    }
    for path in [&args.report, &args.plot, &args.page].into_iter().flatten() {
        page.row("written", path.display());
    }
}

/// Shapes and rows in their order.
fn columns(kernels: &[KernelRate]) -> Vec<(&str, usize)> {
    let mut columns: Vec<(&str, usize)> = Vec::new();
    for rate in kernels {
        if !columns.contains(&(rate.shape.as_str(), rate.rows)) {
            columns.push((rate.shape.as_str(), rate.rows));
        }
    }
    columns
}

/// Kernels in their order.
fn names(kernels: &[KernelRate]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for rate in kernels {
        if !names.contains(&rate.name) {
            names.push(rate.name);
        }
    }
    names
}

fn cell(kernels: &[KernelRate], name: &str, (shape, rows): &(&str, usize)) -> String {
    let rate = kernels.iter().find(|rate| rate.name == name && rate.shape == *shape && rate.rows == *rows);
    rate.map_or_else(|| "–".to_owned(), |rate| figure(rate.gmac_per_s))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: u64) -> String {
    figure(bytes as f64 / 1e6)
}

/// The middle value; of an even number, the mean of the two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    (at(sorted.len().saturating_sub(1) / 2) + at(sorted.len() / 2)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!([size("1k"), size("10K"), size("1m"), size("12345")], [Ok(1_000), Ok(10_000), Ok(1_000_000), Ok(12_345)]);
        assert!([size("0"), size("1g"), size(""), size("k"), size("99999999999999999999m")].iter().all(Result::is_err));
    }

    #[test]
    fn medians() {
        assert_eq!([median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0]), median(&[])], [2.0, 2.5, 0.0]);
    }
}
