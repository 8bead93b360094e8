//! `commons monitor`: anybody follows the three logs, without membership: each continues what it said before, its checkpoint is
//! signed and cosigned, the three hold the same; and what the public fields say is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use client::Followed;
use client::Platform as _;
use client::logs::Look;
use client::native::NativeClient;
use serde_json::{Value, json};
use tlog::monitor::Row;
use types::NodeId;
use types::roster::Roster;

use crate::args::proof::Monitor;
use crate::commands::followed;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::sheet::Sheet;
use crate::words;

pub(crate) async fn run(context: &Context, args: Monitor) -> Result<Exit, Failure> {
    let client = context.client()?;
    let roster = client.commons().roster();
    let folder = match &args.state {
        Some(folder) => folder.clone(),
        None => context.home.logs(&client.commons().digest(), "monitor"),
    };
    let mut followed = followed::open(&folder, roster)?;
    loop {
        let seen = look(context, &client, &mut followed).await;
        followed::save(&followed, &folder)?;
        if let Some(path) = &args.html {
            let page = page(roster, &followed, &seen, client.platform().now());
            std::fs::write(path, page).map_err(|error| Failure::write(path, &error))?;
        }
        let exit = seen.exit();
        if args.once || exit == Exit::Misbehaved {
            tell(context, roster, &followed, &seen);
            return Ok(exit);
        }
        if seen.new > 0 || !seen.waiting.is_empty() {
            tell(context, roster, &followed, &seen);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(args.every)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(exit),
        }
    }
}

/// What one look found.
struct Seen {
    new: usize,
    faults: Vec<String>,
    waiting: Vec<String>,
}

impl Seen {
    /// Whether no node answered.
    fn nothing(&self) -> bool {
        self.waiting.len() == NodeId::ALL.len()
    }
    fn exit(&self) -> Exit {
        match (self.faults.is_empty(), self.waiting.is_empty()) {
            (false, _) => Exit::Misbehaved,
            (true, false) => Exit::Unavailable,
            (true, true) => Exit::Yes,
        }
    }
}

async fn look(context: &Context, client: &NativeClient, followed: &mut Followed) -> Seen {
    let spinner = context.out.spinner("Reading the three logs");
    let Look { following, new, problems } = client.follow(&followed.following).await;
    spinner.finish_and_clear();
    followed.following = following;
    let silent = |error: &client::Error| matches!(error, client::Error::Unavailable { .. });
    let (waiting, faults): (Vec<_>, Vec<_>) = problems.iter().partition(|error| silent(error));
    let texts = |errors: Vec<&client::Error>| errors.into_iter().map(ToString::to_string).collect();
    Seen { new: new.len(), faults: texts(faults), waiting: texts(waiting) }
}

/// Numbers by act.
type ByKind = BTreeMap<&'static str, u64>;
/// Numbers by relying party and purpose.
type ByParty = BTreeMap<(String, String), u64>;

/// What the log that has been followed furthest says.
fn counts(followed: &Followed) -> (ByKind, ByParty) {
    let longest = followed.following.logs.iter().max_by_key(|log| log.size());
    let Some(log) = longest else { return Default::default() };
    let by_kind = log.counts().by(|row: &Row| row.kind.name());
    let mut by_party = log.counts().by(|row: &Row| (row.party.clone(), row.purpose.clone()));
    by_party.retain(|(_, purpose), _| !purpose.is_empty());
    (by_kind, by_party)
}

fn tell(context: &Context, roster: &Roster, followed: &Followed, seen: &Seen) {
    let (by_kind, by_party) = counts(followed);
    let agreed = followed.following.cross.agreed();
    let parties: Vec<Value> = by_party
        .iter()
        .map(|((party, purpose), count)| json!({ "party": party, "purpose": purpose, "count": count }))
        .collect();
    let logs: Vec<Value> = NodeId::ALL
        .into_iter()
        .zip(&followed.following.logs)
        .map(|(node, log)| json!({ "node": node, "size": log.size(), "root": log.root() }))
        .collect();
    let facts = json!({
        "well": seen.faults.is_empty(), "agreed": agreed, "new": seen.new, "logs": logs, "by_kind": by_kind,
        "by_purpose": parties, "faults": seen.faults, "waiting": seen.waiting,
    });
    context.out.answer(&facts, |page| {
        page.headline(seen.faults.is_empty() && !seen.nothing(), verdict(seen));
        page.row("commons", &roster.commons);
        for (node, log) in NodeId::ALL.into_iter().zip(&followed.following.logs) {
            let root: String = log.root().to_hex().chars().take(16).collect();
            page.row(&format!("log of node {node}"), format!("{} entries, root {root}", words::count(log.size())));
        }
        page.row("alike", format!("{} entries on all three", words::count(agreed)));
        if !by_kind.is_empty() {
            page.heading("What was done");
        }
        for (kind, count) in &by_kind {
            page.row(kind, words::count(*count));
        }
        if !by_party.is_empty() {
            page.heading("What for, and for whom");
        }
        for ((party, purpose), count) in &by_party {
            let whom = if party.is_empty() { "members themselves" } else { party };
            page.row(&words::count(*count), format!("{purpose}, {whom}"));
        }
        for fault in &seen.faults {
            page.line(format!("  ✗ {fault}"));
        }
        for what in &seen.waiting {
            page.line(format!("  … {what}"));
        }
    });
}

fn verdict(seen: &Seen) -> &'static str {
    match seen.exit() {
        Exit::Yes => "The three logs are whole, witnessed, and alike.",
        Exit::Unavailable if seen.nothing() => "No log could be read.",
        Exit::Unavailable => "What could be read is well; not every log could be read.",
        _ => "Something is not as it must be. Keep this, and tell every operator.",
    }
}

fn page(roster: &Roster, followed: &Followed, seen: &Seen, now: u64) -> String {
    let (by_kind, by_party) = counts(followed);
    let mut sheet = Sheet::new(
        &format!("The logs of {}", roster.commons),
        "Every use of a template in this commons leaves an entry in three public logs, kept by three operators who witness one another. \
         The entries say what was done, what for and by whom it was asked, and not about whom.",
    );
    sheet.section(verdict(seen), "");
    for problem in seen.faults.iter().chain(&seen.waiting) {
        sheet.paragraph(problem);
    }
    sheet.section("The three logs", "Each checkpoint is signed by its own node and cosigned by both others.");
    let row = |(node, log): (NodeId, &tlog::Follower)| {
        let operator = roster.node(node).map_or_else(String::new, |entry| entry.operator.clone());
        vec![format!("Node {node}"), operator, words::count(log.size()), log.root().to_hex().chars().take(32).collect()]
    };
    let rows: Vec<Vec<String>> = NodeId::ALL.into_iter().zip(&followed.following.logs).map(row).collect();
    sheet.grid(&["Log", "Operator", "Entries", "Root"], &rows);
    let agreed = words::counted(followed.following.cross.agreed(), "entry is", "entries are");
    sheet.paragraph(&format!("{agreed} the same in all three."));
    sheet.section("What was done", "");
    let rows: Vec<Vec<String>> =
        by_kind.iter().map(|(kind, count)| vec![(*kind).to_owned(), words::count(*count)]).collect();
    sheet.grid(&["Act", "Number"], &rows);
    sheet.section(
        "What for, and for whom",
        "Purposes are terms of the Data Privacy Vocabulary; the charter says what they mean here.",
    );
    let rows: Vec<Vec<String>> = by_party
        .iter()
        .map(|((party, purpose), count)| {
            let whom = if party.is_empty() { "members themselves".to_owned() } else { party.clone() };
            vec![purpose.clone(), whom, words::count(*count)]
        })
        .collect();
    sheet.grid(&["Purpose", "Relying party", "Number"], &rows);
    sheet.finish(&[
        format!("Made by commons monitor {} on {}.", env!("CARGO_PKG_VERSION"), words::time(now)),
        format!("Roster {}.", roster.digest()),
    ])
}
