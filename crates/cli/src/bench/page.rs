//! `docs/performance.md`: the figures between two marks of the page, and the plot beside it. The words around them are people's.

use std::fmt::Write;
use std::path::Path;

use super::search::SearchTime;
use super::{Figures, cell, columns, megabytes, names, report};
use crate::failure::Failure;
use crate::words::{count, figure};

const BEGIN: &str = "<!-- figures: made by `commons bench --page`, do not edit -->\n";
const END: &str = "<!-- end of figures -->";

/// Puts new figures into the page at `path`, and draws the plot into the file of the same name that ends in `.svg`.
pub(crate) fn update(path: &Path, figures: &Figures) -> Result<(), Failure> {
    let page = std::fs::read_to_string(path).map_err(|error| Failure::read(path, &error))?;
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let Some((head, tail)) = parts else {
        let what = format!("{} has no place for figures", path.display());
        return Err(Failure::input(what, format!("write these two lines where they belong:\n{BEGIN}{END}")));
    };
    let plot = path.with_extension("svg");
    for (path, text) in [(path, format!("{head}{BEGIN}{}{END}{tail}", body(figures))), (&plot, report::plot_file(figures))] {
        std::fs::write(path, text).map_err(|error| Failure::write(path, &error))?;
    }
    Ok(())
}

fn body(figures: &Figures) -> String {
    let Figures { machine, kernels, protocol, search, stages, others } = figures;
    let mut page = String::new();
    let memory = megabytes(machine.memory_bytes);
    let _ = writeln!(
        page,
        "\nMeasured on {} with `commons bench` {}: {}, {} cores, {memory} MB of memory; kernel {}, plaintext {}; features {}.",
        machine.date,
        machine.version,
        machine.cpu,
        machine.cores,
        machine.kernel,
        machine.plaintext,
        machine.features.join(", ")
    );
    let _ = match *others {
        share if share > 0.05 => writeln!(
            page,
            "\n**Loaded machine**: other programs used {} % of all cores during this run. Latencies are too long and rates too low; \
             ratios are those of one run.",
            figure(100.0 * share)
        ),
        share => writeln!(page, "\nOther programs used {} % of all cores during this run.", figure(100.0 * share)),
    };
    page.push_str("\n### Goals\n");
    table(&mut page, &["what", "goal", "measured", "reached"], &goals(figures));
    page.push_str("\n### One probe through the public API\n\n![Latency against gallery size](performance.svg)\n");
    let rows = search.iter().map(|time| {
        vec![
            time.modality.clone(),
            count(time.records),
            figure(time.median_ms),
            figure(time.p99_ms),
            megabytes(time.resident_bytes_per_node),
            figure(time.start_s),
        ]
    });
    let head = ["modality", "records", "median, ms", "p99, ms", "gallery in memory per node, MB", "ready after, s"];
    table(&mut page, &head, &rows.collect::<Vec<_>>());
    page.push_str("\n### The protocol in batches of 496 rows, one core of one node\n");
    let rows = protocol.iter().map(|rate| {
        vec![
            rate.modality.clone(),
            figure(rate.private_per_core_s / 1e6),
            figure(rate.plaintext_per_core_s / 1e6),
            figure(rate.ratio),
            figure(rate.bytes_per_comparison_per_node),
            rate.rounds.to_string(),
        ]
    });
    let head = [
        "modality",
        "private, M/s",
        "plaintext, M/s",
        "private time / plaintext time",
        "bytes per comparison and node",
        "rounds",
    ];
    table(&mut page, &head, &rows.collect::<Vec<_>>());
    page.push_str("\n### Steps of a comparison beside its inner product, one core of one node\n");
    let mut rows: Vec<Vec<String>> =
        stages.iter().map(|stage| vec![stage.name.to_owned(), figure(stage.ns_per_comparison)]).collect();
    rows.push(vec!["**sum**".to_owned(), figure(stages.iter().map(|stage| stage.ns_per_comparison).sum())]);
    table(&mut page, &["step", "ns per comparison"], &rows);
    page.push_str("\n### Inner products, one core, 10⁹ multiply-accumulates of 16-bit words a second\n");
    let columns = columns(kernels);
    let titles: Vec<String> = columns.iter().map(|(shape, rows)| format!("{shape} × {rows}")).collect();
    let head: Vec<&str> = std::iter::once("kernel").chain(titles.iter().map(String::as_str)).collect();
    let row = |name: &'static str| -> Vec<String> {
        std::iter::once(name.to_owned()).chain(columns.iter().map(|column| cell(kernels, name, column))).collect()
    };
    table(&mut page, &head, &names(kernels).into_iter().map(row).collect::<Vec<_>>());
    page.push('\n');
    page
}

/// What was asked for, and what there is.
fn goals(figures: &Figures) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |what: String, goal: f64, measured: Option<f64>, unit: &str, at_most: bool| {
        let reached = |value: f64| if at_most { value <= goal } else { value >= goal };
        rows.push(vec![
            what,
            format!("{} {} {unit}", if at_most { "≤" } else { "≥" }, figure(goal)),
            measured.map_or_else(|| "not measured".to_owned(), |value| format!("{} {unit}", figure(value))),
            measured.map_or("", |value| if reached(value) { "yes" } else { "**no**" }).to_owned(),
        ]);
    };
    for (kernel, goal) in [("amx", 1200.0), ("avx512-vnni", 380.0), ("avx2", 120.0)] {
        let rate = figures.kernels.iter().find(|rate| rate.name == kernel && rate.shape == "512-d" && rate.rows == 496);
        let measured = rate.map(|rate| 1e3 * rate.gmac_per_s / 512.0);
        row(format!("512-d inner products, 496 rows, {kernel}"), goal, measured, "M/s", false);
    }
    for rate in &figures.protocol {
        let private = Some(rate.private_per_core_s / 1e6);
        let bytes = Some(rate.bytes_per_comparison_per_node);
        match rate.modality.as_str() {
            "face-512" => row("512-d comparisons, whole protocol".to_owned(), 250.0, private, "M/s", false),
            "iris-12800" => {
                row("iris comparisons, whole protocol".to_owned(), 20.0, private, "M/s", false);
                row("iris, private time / plaintext time".to_owned(), 1.7, Some(rate.ratio), "", true);
            }
            _ => {}
        }
        row(format!("{}: bytes sent per comparison and node", rate.modality), 5.7, bytes, "", true);
    }
    for (modality, records, goal) in [("face-512", 1_000_000, 150.0), ("iris-12800", 100_000, 600.0)] {
        let (how, measured) = latency(&figures.search, modality, records);
        row(format!("one probe, {modality}, {} records, three nodes{how}", count(records)), goal, measured, "ms", true);
    }
    for modality in report::modalities(&figures.search) {
        if let Some(line) = report::line(&figures.search, modality) {
            let slope = figure(line.ms_per_record * 1e4);
            let what = format!("{modality}: deviation from a line of {slope} ms per 10 000 records");
            row(what, 25.0, Some(100.0 * line.deviation), "%", true);
        }
    }
    rows
}

/// Milliseconds at a size: measured, or else on the line through the sizes that were.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn latency(search: &[SearchTime], modality: &str, records: u64) -> (&'static str, Option<f64>) {
    match search.iter().find(|time| time.modality == modality && time.records == records) {
        Some(time) => ("", Some(time.median_ms)),
        None => {
            let line = report::line(search, modality);
            (" (on the line)", line.map(|line| line.start_ms + line.ms_per_record * records as f64))
        }
    }
}

fn table(page: &mut String, head: &[&str], rows: &[Vec<String>]) {
    let _ = write!(page, "\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(page, "| {} |", row.join(" | "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::machine::Machine;
    use crate::bench::protocol::ProtocolRate;

    fn figures(others: f64) -> Figures {
        let time = |records: u64, median_ms: f64| SearchTime {
            modality: "face-512".to_owned(),
            records,
            median_ms,
            p99_ms: 2.0 * median_ms,
            resident_bytes_per_node: 1_024 * records,
            start_s: 1.0,
        };
        let rate = ProtocolRate {
            modality: "face-512".to_owned(),
            private_per_core_s: 3e8,
            plaintext_per_core_s: 1e9,
            ratio: 3.3,
            bytes_per_comparison_per_node: 5.63,
            rounds: 19,
        };
        let search = vec![time(1_000, 10.1), time(10_000, 11.0), time(100_000, 20.0)];
        Figures { machine: Machine::here(), kernels: Vec::new(), protocol: vec![rate], search, stages: Vec::new(), others }
    }

    #[test]
    fn figures_replace_figures_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("performance.md");
        std::fs::write(&path, format!("# Speed\n\n{BEGIN}old\n{END}\n\nWhat bounds it.\n")).unwrap();
        for others in [0.01, 0.4] {
            update(&path, &figures(others)).unwrap();
            let page = std::fs::read_to_string(&path).unwrap();
            assert!(page.starts_with("# Speed\n") && page.ends_with("\n\nWhat bounds it.\n") && !page.contains("old\n"));
            assert!(page.contains("| 512-d comparisons, whole protocol | ≥ 250 M/s | 300 M/s | yes |"), "{page}");
            assert!(
                page.contains("1 000 000 records, three nodes (on the line) | ≤ 150 ms | 110 ms | yes |")
                    || page.contains("110 ms | yes |"),
                "{page}"
            );
            assert_eq!(page.contains("Loaded machine"), others > 0.05);
        }
        assert!(std::fs::read_to_string(folder.path().join("performance.svg")).unwrap().starts_with("<svg"));
        std::fs::write(&path, "# Speed\n").unwrap();
        assert!(update(&path, &figures(0.0)).is_err());
    }
}
