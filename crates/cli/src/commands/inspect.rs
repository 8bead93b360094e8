//! `commons inspect`: what each node actually stores about me, and the proof that it is noise.

use serde_json::{Value, json};
use types::NodeId;
use types::message::{MemberStatement, RecordStatement};
use types::profile::Profile;
use types::roster::Roster;

use crate::commands::status::{conclude, node_facts, node_label, silence, worst};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::noise::{self, Verdict};
use crate::output::Page;
use crate::words;

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let spinner = context.out.spinner("Asking three nodes what they store");
    let statements = client.inspect(&device).await;
    spinner.finish_and_clear();
    let statements = statements?;
    if statements.valid().next().is_none() {
        return Err(worst(&statements).into());
    }
    let roster = client.commons().roster();
    let verdicts: Vec<Verdict> = statements
        .valid()
        .filter_map(|s| s.member.as_ref())
        .flat_map(|m| &m.records)
        .filter_map(|record| record.sample.as_ref())
        .map(|sample| noise::test(&sample.values))
        .collect();
    let noise = !verdicts.is_empty() && verdicts.iter().all(Verdict::is_noise);
    let plain = statements
        .valid()
        .filter_map(|s| s.member.as_ref())
        .flat_map(|m| &m.records)
        .next()
        .and_then(|r| reference(roster, r));
    let facts = json!({
        "commons": roster.commons,
        "member": statements.valid().find_map(|s| s.member.as_ref()).map(|m| m.member),
        "noise": noise,
        "agree": statements.agree(),
        "nodes": node_facts(&statements, |record| record.sample.as_ref().map_or(Value::Null, |sample| {
            let mut facts = verdict_facts(&noise::test(&sample.values));
            if let Some(object) = facts.as_object_mut() {
                object.insert("digest".to_owned(), json!(sample.digest));
            }
            facts
        })),
        "made_up_plain_template": plain.as_ref().map(|(_, verdict)| verdict_facts(verdict)),
    });
    let is_member = statements.valid().any(|s| s.member.is_some());
    context.out.answer(&facts, |page| {
        if !is_member {
            page.headline(false, &format!("The nodes of \"{}\" store nothing about this key.", roster.commons));
            return;
        }
        headline(page, noise);
        for (node, statement) in NodeId::ALL.into_iter().zip(&statements.nodes) {
            page.heading(&node_label(roster, node));
            match statement {
                Err(error) => page.line(format!("  {}", silence(error))),
                Ok(statement) => match &statement.member {
                    None => page.line("  stores nothing about you"),
                    Some(member) => node_page(page, member),
                },
            }
        }
        if let Some((profile, verdict)) = &plain {
            page.heading(&format!("For comparison: a made-up plain template of `{}`, unprotected", profile.id));
            verdict_rows(page, verdict);
        }
        page.line(
            "\nEach node shows every third pair of its stored numbers, and no two nodes the same: even the three samples\n\
             together say nothing about you. One node's share alone is as likely for any other person.",
        );
    });
    let exit = match (is_member, noise) {
        (false, _) => Exit::No,
        (true, true) => Exit::Yes,
        (true, false) => Exit::Misbehaved,
    };
    Ok(conclude(context, &statements, exit))
}

fn headline(page: &mut Page, noise: bool) {
    if noise {
        page.headline(true, "What every node stores about you looks like noise.");
    } else {
        page.headline(false, "What a node stores about you does not look like noise. Ask again, then tell the operators.");
    }
}

fn node_page(page: &mut Page, member: &MemberStatement) {
    page.row("about you", format!("{} bytes in rows that name your key or member id", words::count(member.metadata_bytes)));
    for record in &member.records {
        page.row(
            record.profile.as_str(),
            format!("{} bytes of share, since {}", words::count(record.share_bytes), words::time(record.since)),
        );
        if let Some(sample) = &record.sample {
            verdict_rows(page, &noise::test(&sample.values));
        }
    }
}

/// Three tests in plain words.
fn verdict_rows(page: &mut Page, verdict: &Verdict) {
    let sign = |good: bool| if good { "✓" } else { "✗" };
    let bytes = words::count(verdict.bytes as u64);
    let values = if verdict.histogram.len() == 256 { "byte values" } else { "half-byte values" };
    page.row(
        "values",
        format!("{}  how often each of {} {values} occurs, in {bytes} bytes", verdict.picture(), verdict.histogram.len()),
    );
    let (chi, degrees, p) = (words::figure(verdict.chi_square), verdict.degrees, words::probability(verdict.p_value));
    let even = if verdict.even() { "all equally often, as in noise" } else { "some far more often than others: not noise" };
    page.row("", format!("{} {even} (chi-square {chi} on {degrees} degrees of freedom, p {p})", sign(verdict.even())));
    let independent = if verdict.independent() { "no byte tells of the next" } else { "bytes tell of the next: not noise" };
    page.row(
        "",
        format!(
            "{} {independent} (serial correlation {})",
            sign(verdict.independent()),
            words::figure(verdict.serial_correlation)
        ),
    );
    let compress = if verdict.incompressible() { "cannot be compressed" } else { "can be compressed: not noise" };
    page.row(
        "",
        format!(
            "{} {compress} (to {} % of its size)",
            sign(verdict.incompressible()),
            words::figure(100.0 * verdict.compressed)
        ),
    );
}

fn verdict_facts(verdict: &Verdict) -> Value {
    json!({
        "bytes": verdict.bytes,
        "noise": verdict.is_noise(),
        "histogram": verdict.histogram,
        "chi_square": verdict.chi_square,
        "degrees_of_freedom": verdict.degrees,
        "p_value": verdict.p_value,
        "serial_correlation": verdict.serial_correlation,
        "compressed_ratio": verdict.compressed,
    })
}

/// The same tests on what an unprotected template would look like.
fn reference<'a>(roster: &'a Roster, record: &RecordStatement) -> Option<(&'a Profile, Verdict)> {
    let profile = roster.profile(&record.profile)?;
    let length = record.sample.as_ref()?.values.len();
    Some((profile, noise::test(&noise::plain_like(&profile.matching, length))))
}
