//! `commons demo`: real photographs of real people, three real nodes, and everything that the product does, in a minute.
//!
//! The nodes are those that `commons dev` runs: mutual TLS between them, HTTPS to the clients, stores on disk in a temporary
//! folder. Every act goes through the public client. **In scope**: the acts and what came of them. **Out of scope**: fetching
//! photographs and models (`./x assets`), measuring accuracy (`commons evaluate`).

mod act;
mod disk;
mod nodes;
mod people;
mod picture;
mod report;
mod story;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use jiff::Zoned;
use serde_json::json;

use crate::context::Context;
use crate::demo::act::Stage;
use crate::demo::story::{Figures, Story};
use crate::failure::{Exit, Failure};
use crate::output::Page;
use crate::words::{count, figure};

/// See it work: photographs of 40 people and some strangers, three nodes on this machine, one minute.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons demo
  commons demo --json --report demo.html

Exit code 0: everything that must hold did hold. 1: it did not; the summary says what.")]
pub(crate) struct Demo {
    /// Where the report goes
    #[arg(long, value_name = "FILE.html", default_value = "commons-demo.html")]
    pub(crate) report: PathBuf,
    /// Strangers at most
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub(crate) strangers: usize,
}

pub(crate) async fn run(context: &Context, args: &Demo) -> Result<Exit, Failure> {
    let start = Instant::now();
    // Before the work, not after it.
    write_report(&args.report, "")?;
    let when = Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let profile =
        biometric::profiles::by_id("face-512").ok_or_else(|| Failure::input("there is no face profile", "report this"))?;
    let cast = people::capture(context, &profile, args.strangers, cores)?;
    let mut nodes = nodes::Nodes::start(profile.clone()).await?;
    let played = Stage::new(context, &mut nodes, &profile, &cast)?.play().await;
    nodes.stop_all().await;
    let (mut story, latencies) = played?;
    (story.when, story.cores) = (when, cores);
    story.counts.photographs = cast.photographs;
    story.counts.photographs_refused = cast.refused;
    story.figures = Figures {
        seconds: start.elapsed().as_secs_f64(),
        capture_ms: cast.capture_ms,
        enrolment_p50_ms: percentile(&latencies, 50),
        enrolment_p99_ms: percentile(&latencies, 99),
        ..story.figures
    };
    write_report(&args.report, &report::page(&story))?;
    let wrong = wrong(&story);
    context.out.answer(&facts(&story, args, &wrong), |page| summary(page, &story, args, &wrong));
    Ok(if wrong.is_empty() { Exit::Yes } else { Exit::No })
}

fn write_report(path: &Path, page: &str) -> Result<(), Failure> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder
        .and_then(|()| std::fs::write(path, page))
        .map_err(|error| Failure { hint: "choose another place with --report".to_owned(), ..Failure::write(path, &error) })
}

/// Everything that must hold whatever the photographs; error rates of the face model are not among them.
fn wrong(story: &Story) -> Vec<String> {
    let c = &story.counts;
    let leaving = &story.leaving;
    let must = [
        (c.enrolled > 0, "nobody was enrolled"),
        (c.private_plaintext_differences == 0, "private and plaintext matching differ"),
        (c.decisions_unlike_plaintext == 0, "the nodes decided otherwise than plaintext matching"),
        (c.node_down_decided == 0, "something was decided while a node was stopped"),
        (c.node_down_refused > 0 && story.outage.named, "the refusal did not name the stopped node"),
        (c.withdrawn == 1 && leaving.bytes_after == [0; 3] && leaving.zeroed_on_disk, "a withdrawn record is not gone"),
        (c.enrolled_again == 1, "who had withdrawn could not enrol again"),
        (c.nodes_agree, "the nodes do not hold the same number of records"),
        (
            story.dissolved.as_ref().is_some_and(|d| d.nodes.iter().all(|n| n.noise.is_noise())),
            "stored shares do not look like noise",
        ),
    ];
    must.into_iter().filter(|(holds, _)| !holds).map(|(_, text)| text.to_owned()).collect()
}

fn facts(story: &Story, args: &Demo, wrong: &[String]) -> serde_json::Value {
    let mut facts = json!(story.counts);
    let noise = story.dissolved.iter().flat_map(|d| &d.nodes);
    let noise: Vec<_> =
        noise.map(|n| json!({ "node": n.node, "noise": n.noise.is_noise(), "p_value": n.noise.p_value })).collect();
    let more = json!({
        "seconds": story.figures.seconds,
        "capture_ms": story.figures.capture_ms,
        "enrolment_p50_ms": story.figures.enrolment_p50_ms,
        "enrolment_p99_ms": story.figures.enrolment_p99_ms,
        "bytes_per_comparison": story.figures.bytes_per_comparison,
        "privacy": {
            "stored_bytes_look_like_noise": noise,
            "plain_template_looks_like_noise": story.dissolved.as_ref().map(|d| d.template_noise.is_noise()),
            "share_bytes_per_record": story.leaving.bytes_before.first(),
            "share_bytes_after_withdrawal": story.leaving.bytes_after,
            "zeroed_on_disk": story.leaving.zeroed_on_disk,
        },
        "outage": {
            "node": story.outage.node,
            "named": story.outage.named,
            "refusal_ms": story.outage.refusal_ms,
            "healed_after_restart_s": story.outage.healed_s - story.outage.restarted_s,
        },
        "failed": wrong,
        "report": args.report.display().to_string(),
    });
    if let (Some(facts), serde_json::Value::Object(more)) = (facts.as_object_mut(), more) {
        facts.extend(more);
    }
    facts
}

fn summary(page: &mut Page, story: &Story, args: &Demo, wrong: &[String]) {
    let (c, f) = (&story.counts, &story.figures);
    if wrong.is_empty() {
        page.headline(true, "One person, once, and nobody holds their faces.");
    } else {
        page.headline(false, &format!("Something that must hold did not: {}.", wrong.join("; ")));
    }
    let of = |part: u64, rest: u64| format!("{:>3} of {}", count(part), count(part + rest));
    page.heading("Deduplication (1:N), on secret shares");
    page.row("enrolled", format!("{:>3}          people, one photograph each", count(c.enrolled)));
    page.row(
        "came again",
        format!("{:<12} refused: another photograph under a new key", of(c.duplicates_refused, c.duplicates_missed)),
    );
    page.row("strangers", format!("{:<12} accepted", of(c.strangers_enrolled, c.strangers_refused)));
    page.heading("Verification (1:1), on secret shares");
    page.row("right person", format!("{:<12} verified with a third photograph", of(c.genuine_accepted, c.genuine_rejected)));
    page.row("wrong person", format!("{:<12} turned away", of(c.impostors_rejected, c.impostors_accepted)));
    page.heading("What the nodes hold");
    if let Some(dissolved) = &story.dissolved {
        for node in &dissolved.nodes {
            let verdict = if node.noise.is_noise() { "noise" } else { "NOT noise" };
            let p = figure(node.noise.p_value);
            page.row(
                &format!("node {}", node.node),
                format!("{}  {} bytes for one person: {verdict} (p = {p})", node.noise.picture(), count(node.share_bytes)),
            );
        }
        page.row("unshared", format!("{}  the same template before the split", dissolved.template_noise.picture()));
    }
    let agree = if c.private_plaintext_differences == 0 { "none" } else { "SOME" };
    page.row("differences", format!("{agree} between private and plaintext decisions on {} pairs", count(c.pairs_compared)));
    page.heading("When things go wrong");
    let o = &story.outage;
    page.row(
        "one node down",
        format!("refused in {} ms, naming node {}; nothing decided, nothing lost", figure(o.refusal_ms), o.node),
    );
    page.row("back again", format!("deciding {} s after its start, by itself", figure(o.healed_s - o.restarted_s)));
    let zeroed = if story.leaving.zeroed_on_disk { "zeros on all three disks" } else { "NOT zeros on all three disks" };
    let again = if c.enrolled_again == 1 { "could enrol again" } else { "could NOT enrol again" };
    page.row("one person left", format!("{zeroed}; {again}"));
    page.heading("Figures");
    page.row(
        "capture",
        format!(
            "{} ms a photograph, {} of {} refused for quality",
            figure(f.capture_ms),
            count(c.photographs_refused),
            count(c.photographs)
        ),
    );
    page.row(
        "enrolment",
        format!("{} ms median, {} ms at the 99th percentile", figure(f.enrolment_p50_ms), figure(f.enrolment_p99_ms)),
    );
    page.row("comparison", format!("{} bytes sent by each node", figure(f.bytes_per_comparison)));
    page.row("in all", format!("{} s on {} processor cores", figure(f.seconds), story.cores));
    page.row("report", args.report.display());
}

/// The value below which `percent` of 100 lie (nearest rank).
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([percentile(&values, 50), percentile(&values, 99), percentile(&[], 50)], [50.0, 99.0, 0.0]);
    }
}
