//! The report and the plot of cost against gallery size.

use std::fmt::Write;

use super::search::SearchTime;
use super::{Figures, cell, columns, megabytes, names};
use crate::sheet::{self, Sheet};
use crate::words::{count, figure};

/// Straight line through the times of one modality, least squares of the relative errors.
pub(crate) struct Line {
    pub(crate) start_ms: f64,
    pub(crate) ms_per_record: f64,
    /// Largest deviation of a measured time from the line, as a share of it.
    pub(crate) deviation: f64,
}

/// The whole page.
pub(crate) fn page(figures: &Figures) -> String {
    let Figures { machine, kernels, protocol, search, .. } = figures;
    let mut sheet = Sheet::new(
        "How fast is private matching?",
        &format!("Measured on {} with {} cores, private and plaintext matching in one run.", machine.cpu, machine.cores),
    );
    sheet.section(
        "One probe through the public API",
        "The client and all three nodes run on this machine and share its cores. The gallery is in memory, the probe is of \
         somebody who is in it, and is refused.",
    );
    sheet.figure(
        &plot(search),
        &format!("Median of each size. Both axes are logarithmic. Source: commons bench, {}.", machine.date),
    );
    let row = |label: String, value: String, remark: String| [label, value, remark];
    let searches = search.iter().map(|time| {
        let memory = megabytes(time.resident_bytes_per_node);
        let remark = format!(
            "99th percentile {} ms; {memory} MB in memory per node; ready in {} s",
            figure(time.p99_ms),
            figure(time.start_s)
        );
        row(format!("{}, {} records", time.modality, count(time.records)), format!("{} ms", figure(time.median_ms)), remark)
    });
    sheet.table(&searches.collect::<Vec<_>>());
    sheet.section("The protocol in batches of 496 rows", "One core of one node, computing only: no network, no disk.");
    let rates = protocol.iter().map(|rate| {
        let remark = format!(
            "in the clear {} M/s, so {} times its time; {} bytes sent per comparison and node; {} rounds",
            figure(rate.plaintext_per_core_s / 1e6),
            figure(rate.ratio),
            figure(rate.bytes_per_comparison_per_node),
            rate.rounds
        );
        row(rate.modality.clone(), format!("{} M/s", figure(rate.private_per_core_s / 1e6)), remark)
    });
    sheet.table(&rates.collect::<Vec<_>>());
    sheet.section(
        "Inner products",
        "One core; 10⁹ multiply-accumulates of 16-bit words a second, for 1, 31 and 496 probe rows. The plaintext rows count the \
         coordinates of as many comparisons.",
    );
    let shapes: Vec<&str> = columns(kernels).iter().map(|(shape, _)| *shape).fold(Vec::new(), |mut all, shape| {
        if !all.contains(&shape) {
            all.push(shape);
        }
        all
    });
    for shape in shapes {
        let rows = names(kernels).into_iter().map(|name| {
            let cells: Vec<String> =
                columns(kernels).iter().filter(|(s, _)| *s == shape).map(|column| cell(kernels, name, column)).collect();
            row(name.to_owned(), cells.join(" · "), shape.to_owned())
        });
        let measured = |row: &[String; 3]| row.get(1).is_some_and(|cells| cells.contains(|c: char| c.is_ascii_digit()));
        sheet.table(&rows.filter(measured).collect::<Vec<_>>());
    }
    sheet.finish(&[
        format!("Made by commons bench {} on {}. Kernel of the nodes: {}.", machine.version, machine.date, machine.kernel),
        format!("Processor features: {}.", machine.features.join(", ")),
    ])
}

/// The plot as a file of its own, in light and dark.
pub(crate) fn plot_file(figures: &Figures) -> String {
    const STYLE: &str = "<style>svg{background:#faf7f0;font:14px system-ui,\"Noto Sans\",\"DejaVu Sans\",sans-serif}text{fill:#1d1b18}\
        .soft{fill:#625c53}.accent{fill:#0b5f5c}.bold{font-weight:600}.hair{stroke:#d9d2c4;fill:none}.rule{stroke:#0b5f5c;stroke-width:2;fill:none}\
        .dot{fill:#0b5f5c}@media(prefers-color-scheme:dark){svg{background:#191816}text{fill:#ece7dc}.soft{fill:#a8a195}.accent,.dot{fill:#6cc3bb}\
        .hair{stroke:#3a3731}.rule{stroke:#6cc3bb}}</style>";
    let machine = &figures.machine;
    let source = format!(
        "<text class=\"soft\" x=\"0\" y=\"470\">{}, {} cores, kernel {}; commons bench, {}</text></svg>\n",
        sheet::text(&machine.cpu),
        machine.cores,
        machine.kernel,
        machine.date
    );
    let svg = plot(&figures.search).replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
    match (svg.split_once('>'), svg.strip_suffix("</svg>")) {
        (Some((open, _)), Some(body)) => format!("{open}>{STYLE}{}{source}", body.get(open.len() + 1..).unwrap_or_default()),
        _ => svg,
    }
}

/// Modalities in their order.
pub(crate) fn modalities(search: &[SearchTime]) -> Vec<&str> {
    let mut names: Vec<&str> = search.iter().map(|time| time.modality.as_str()).collect();
    names.dedup();
    names
}

/// The line through at least three sizes.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn line(search: &[SearchTime], modality: &str) -> Option<Line> {
    let points: Vec<(f64, f64)> =
        search.iter().filter(|time| time.modality == modality).map(|time| (time.records as f64, time.median_ms)).collect();
    if points.len() < 3 {
        return None;
    }
    // Minimises the sum of ((a + b n - t) / t)^2.
    let (mut w, mut wn, mut wnn, mut wt, mut wnt) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, t) in &points {
        let weight = 1.0 / (t * t);
        w += weight;
        wn += weight * n;
        wnn += weight * n * n;
        wt += weight * t;
        wnt += weight * n * t;
    }
    let determinant = w * wnn - wn * wn;
    let ms_per_record = (w * wnt - wn * wt) / determinant;
    let start_ms = (wt - ms_per_record * wn) / w;
    let deviation = points.iter().map(|(n, t)| ((start_ms + ms_per_record * n) / t - 1.0).abs()).fold(0.0, f64::max);
    Some(Line { start_ms, ms_per_record, deviation })
}

const X0: f64 = 70.0;
const X1: f64 = 560.0;
const Y0: f64 = 40.0;
const Y1: f64 = 390.0;

/// Powers of ten at the ends of an axis.
#[derive(Clone, Copy)]
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    #[expect(clippy::cast_possible_truncation, reason = "exponents of ten")]
    fn around(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).max(1e-3).log10().floor() as i32;
        let high = values.fold(0.0, f64::max).max(1e-3).log10().ceil() as i32;
        Self { low, high: high.max(low + 1) }
    }
    fn share(self, value: f64) -> f64 {
        (value.max(1e-9).log10() - f64::from(self.low)) / f64::from(self.high - self.low)
    }
}

/// Median latency against records.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn plot(search: &[SearchTime]) -> String {
    let across = Axis::around(search.iter().map(|time| time.records as f64));
    let up = Axis::around(search.iter().map(|time| time.median_ms));
    let x = |records: f64| X0 + (X1 - X0) * across.share(records);
    let y = |ms: f64| Y1 - (Y1 - Y0) * up.share(ms);
    let mut svg =
        String::from("<svg viewBox=\"0 0 740 480\" role=\"img\" aria-label=\"Latency of one probe against gallery size\">");
    for exponent in across.low..=across.high {
        let at = x(10f64.powi(exponent));
        let label = count(10u64.pow(u32::try_from(exponent).unwrap_or(0)));
        let _ = write!(svg, "<path class=\"hair\" d=\"M{at:.1} {Y0}V{Y1}\"/>");
        let _ = write!(svg, "<text class=\"soft\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{}\">{label}</text>", Y1 + 22.0);
    }
    for exponent in up.low..=up.high {
        let at = y(10f64.powi(exponent));
        let label = if exponent < 0 { figure(10f64.powi(exponent)) } else { count(10u64.pow(exponent.unsigned_abs())) };
        let _ = write!(svg, "<path class=\"hair\" d=\"M{X0} {at:.1}H{X1}\"/>");
        let _ =
            write!(svg, "<text class=\"soft\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{label}</text>", X0 - 8.0, at + 5.0);
    }
    let _ = write!(svg, "<text text-anchor=\"end\" x=\"{X1}\" y=\"{}\">records in the gallery</text>", Y1 + 46.0);
    let _ = write!(svg, "<text x=\"0\" y=\"{}\">ms for one probe, median</text>", Y0 - 20.0);
    for modality in modalities(search) {
        let points: Vec<(f64, f64)> = search
            .iter()
            .filter(|time| time.modality == modality)
            .map(|time| (x(time.records as f64), y(time.median_ms)))
            .collect();
        let path: String = points
            .iter()
            .enumerate()
            .map(|(i, (x, y))| format!("{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' }))
            .collect();
        let _ = write!(svg, "<path class=\"rule\" stroke-linejoin=\"round\" d=\"{path}\"/>");
        for (x, y) in &points {
            let _ = write!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"var(--accent)\"/>");
        }
        if let Some((x, y)) = points.last() {
            let slope = line(search, modality).map(|line| format!("{} ms per 10 000", figure(line.ms_per_record * 1e4)));
            let _ = write!(
                svg,
                "<text class=\"accent bold\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 10.0,
                y + 5.0,
                sheet::text(modality)
            );
            let _ = write!(
                svg,
                "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 10.0,
                y + 23.0,
                slope.unwrap_or_default()
            );
        }
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Vec<SearchTime> {
        let time = |records: u64, median_ms: f64| SearchTime {
            modality: "face-512".to_owned(),
            records,
            median_ms,
            p99_ms: median_ms,
            resident_bytes_per_node: 1,
            start_s: 1.0,
        };
        vec![time(1_000, 10.1), time(10_000, 11.0), time(100_000, 20.0), time(1_000_000, 110.0)]
    }

    #[test]
    fn a_straight_line_is_found() {
        let line = line(&times(), "face-512").unwrap();
        assert!((line.start_ms - 10.0).abs() < 1e-6 && (line.ms_per_record - 1e-4).abs() < 1e-9 && line.deviation < 1e-6);
        assert!(super::line(&times()[..2], "face-512").is_none() && super::line(&times(), "iris").is_none());
    }

    #[test]
    fn the_plot_names_its_lines_and_stays_inside() {
        let svg = plot(&times());
        assert!(svg.contains("face-512") && svg.contains("1.00 ms per 10 000") && !svg.contains("NaN"));
        let axis = Axis::around([3.0, 700.0].into_iter());
        assert!((axis.low, axis.high) == (0, 3) && axis.share(3.0) > 0.0 && axis.share(700.0) < 1.0);
    }
}
