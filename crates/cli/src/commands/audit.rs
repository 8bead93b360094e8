//! `commons audit`: are all my receipts in the three logs, and does no entry of the logs carry my mark without a receipt?

use client::Followed;
use client::receipt::Kept;
use serde_json::{Value, json};

use crate::commands::{followed, history};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::words;

/// What is not as it must be.
struct Problem {
    what: String,
    /// A node may only be silent or late; nothing is wrong yet.
    waits: bool,
}

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let roster = client.commons().roster();
    let mut history = history::fetch(context, &client, &device).await?;
    let mut problems: Vec<Problem> = Vec::new();
    for (path, error) in &history.broken {
        problems.push(wrong(format!("{}: {error}", path.display())));
    }
    problems.extend(history.complaints.iter().map(|error| wrong(error.to_string())));
    let (added, unproven) = history::prove(context, &client, &mut history).await?;
    for (operation, error) in unproven {
        let waits = matches!(error, client::Error::NotPublished { .. } | client::Error::Unavailable { .. });
        problems.push(Problem { what: format!("receipt {operation}: {error}"), waits });
    }
    for (path, kept) in &history.receipts {
        if let Err(error) = kept.check(roster) {
            problems.push(wrong(format!("{}: {error}", path.display())));
        }
    }

    let folder = context.home.logs(&client.commons().digest(), &format!("audit-{}", context.member));
    let mut followed = followed::open(&folder, roster)?;
    let spinner = context.out.spinner("Reading the three logs");
    let look = client.follow(&followed.following).await;
    spinner.finish_and_clear();
    followed.advance(&look, Some(&client.trace(&device)));
    followed::save(&followed, &folder)?;
    for error in look.problems {
        let waits = matches!(error, client::Error::Unavailable { .. });
        problems.push(Problem { what: error.to_string(), waits });
    }

    let receipts: Vec<Kept> = history.receipts.iter().map(|(_, kept)| kept.clone()).collect();
    let told: Vec<u64> = history.unexplained.iter().map(|event| event.certificate.decision.log_index).collect();
    for (index, entry) in followed.orphans(&receipts, &told) {
        let by = entry.party.as_ref().map_or_else(String::new, |party| format!(" by {party}"));
        problems.push(wrong(format!(
            "entry {index} of the logs carries your mark ({}{by}, {}), and no node tells what was decided",
            entry.kind.name(),
            words::time(entry.at)
        )));
    }
    for kept in followed.unmarked(&receipts) {
        problems.push(wrong(format!(
            "receipt {}: the entry at {} of the logs does not carry your mark",
            kept.summary.operation, kept.receipt.log_index
        )));
    }
    report(context, &history, added, &followed, &problems)
}

fn wrong(what: String) -> Problem {
    Problem { what, waits: false }
}

fn report(
    context: &Context,
    history: &history::History,
    added: usize,
    followed: &Followed,
    problems: &[Problem],
) -> Result<Exit, Failure> {
    let proven = history.receipts.iter().filter(|(_, kept)| kept.log.is_some()).count();
    let entries = followed.following.cross.agreed();
    let list = |waits: bool| -> Vec<&str> {
        problems.iter().filter(|problem| problem.waits == waits).map(|problem| problem.what.as_str()).collect()
    };
    let (faults, waiting) = (list(false), list(true));
    let facts: Value = json!({
        "well": faults.is_empty(),
        "receipts": history.receipts.len(),
        "fetched": history.fetched,
        "in_logs": proven,
        "proofs_added": added,
        "log_entries": entries,
        "entries_of_mine": followed.mine.len(),
        "unseen_rules": history.unexplained.len(),
        "silent_nodes": history.silent,
        "faults": faults,
        "waiting": waiting,
    });
    context.out.answer(&facts, |page| {
        if !faults.is_empty() {
            page.headline(false, "Something is not as it must be. Keep your receipts, and tell the operators.");
        } else if !waiting.is_empty() {
            page.headline(true, "So far all is accounted for; something could not be looked at yet.");
        } else {
            page.headline(
                true,
                "All is accounted for: your receipts are in the three logs, and nothing there names you without one.",
            );
        }
        let fetched = words::counted(history.fetched as u64, "was fetched now", "were fetched now");
        page.row("receipts", format!("{}, of which {fetched}", words::count(history.receipts.len() as u64)));
        page.row("proven", format!("{} in all three logs", words::count(proven as u64)));
        page.row("the logs", format!("{} entries, alike on all three", words::count(entries)));
        page.row("your mark", words::counted(followed.mine.len() as u64, "entry carries it", "entries carry it"));
        if !history.unexplained.is_empty() {
            let what = words::counted(history.unexplained.len() as u64, "decision was", "decisions were");
            page.row("older rules", format!("{what} made under rules that this machine has never seen"));
        }
        if !history.silent.is_empty() {
            page.row("no answer", words::nodes(&history.silent));
        }
        for fault in &faults {
            page.line(format!("  ✗ {fault}"));
        }
        for what in &waiting {
            page.line(format!("  … {what}"));
        }
    });
    Ok(match (faults.is_empty(), waiting.is_empty()) {
        (false, _) => Exit::Misbehaved,
        (true, false) => Exit::Unavailable,
        (true, true) => Exit::Yes,
    })
}
