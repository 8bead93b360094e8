//! `commons receipts`: list, show, check offline.

use std::path::{Path, PathBuf};

use charter::receipt::explain;
use client::adoption::ADOPTION_BYTES;
use client::receipt::{Kept, Shown};
use client::{Adoption, Error};
use serde_json::{Value, json};
use types::NodeId;

use crate::args::proof::ReceiptsCommand;
use crate::commands::receipt::{all, named};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::read_limited;
use crate::output::Page;
use crate::words;

pub(crate) fn run(context: &Context, command: Option<ReceiptsCommand>) -> Result<Exit, Failure> {
    match command {
        None => list(context),
        Some(ReceiptsCommand::Show { receipt }) => show(context, &receipt),
        Some(ReceiptsCommand::Check { receipts }) => check(context, &receipts),
    }
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let disks = all(&context.home.receipts(&context.member))?;
    let facts: Vec<Value> = disks
        .iter()
        .map(|disk| match &disk.kept {
            Ok(kept) => json!({ "file": disk.path, "summary": kept.summary, "in_logs": kept.log.is_some() }),
            Err(error) => json!({ "file": disk.path, "error": error.to_string() }),
        })
        .collect();
    context.out.answer(&json!({ "receipts": facts }), |page| {
        let count = words::counted(disks.len() as u64, "receipt", "receipts");
        page.headline(true, &format!("{count} on this machine for `{}`.", context.member));
        for disk in &disks {
            match &disk.kept {
                Ok(kept) => page.line(format!("  {}", line(kept))),
                Err(error) => page.line(format!("  ✗ {}: {error}", disk.path.display())),
            }
        }
        if !disks.is_empty() {
            page.line("\nSee one with `commons receipts show OPERATION` (its first characters), check all with `commons receipts check`.");
        }
    });
    Ok(Exit::Yes)
}

/// One receipt in a line: when, operation, what, with whom.
pub(crate) fn line(kept: &Kept) -> String {
    let s = &kept.summary;
    let operation: String = s.operation.to_hex().chars().take(8).collect();
    let with = s.party.as_ref().map_or_else(String::new, |party| format!(", {party}"));
    let logs = if kept.log.is_some() { "in the logs" } else { "not proven in the logs yet" };
    format!("{}  {operation}  {:<14} {}{with}; {logs}", words::time(s.decided_at), s.action, s.outcome)
}

fn show(context: &Context, name: &str) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let (path, kept) = named(context, name)?;
    let shown = kept.check(&roster)?;
    let facts =
        json!({ "file": path, "summary": kept.summary, "consent": kept.receipt.consent, "logs": logs_facts(&shown) });
    context.out.answer(&facts, |page| {
        page.headline(true, "This receipt holds: every signature in it, and what it says.");
        for line in explain(&kept.receipt) {
            page.row(line.label, line.text);
        }
        log_rows(page, &shown);
        page.row("file", path.display());
    });
    Ok(Exit::Yes)
}

fn log_rows(page: &mut Page, shown: &Shown) {
    let Some(logs) = &shown.logs else {
        page.row("in the logs", "not proven yet; `commons audit` adds the proofs");
        return;
    };
    for (node, (size, cosigned)) in NodeId::ALL.into_iter().zip(&logs.logs) {
        let who: Vec<String> = cosigned.iter().map(|(name, at)| format!("{name} at {}", words::time(*at))).collect();
        page.row(
            &format!("log of node {node}"),
            format!("of {} entries, witnessed by {}", words::count(*size), who.join(" and ")),
        );
    }
    if !logs.opened {
        page.line("  Whom the entry concerns is not shown: only the member can open it.");
    }
}

/// For programs.
pub(crate) fn logs_facts(shown: &Shown) -> Value {
    let Some(logs) = &shown.logs else { return Value::Null };
    type OfLog = (u64, Vec<(String, types::UnixSeconds)>);
    let one = |(node, (size, cosigned)): (NodeId, &OfLog)| {
        let cosigned: Vec<Value> = cosigned.iter().map(|(by, at)| json!({ "by": by, "at": at })).collect();
        json!({ "node": node, "size": size, "cosigned": cosigned })
    };
    json!({
        "index": shown.certificate.decision.log_index,
        "opened": logs.opened,
        "logs": NodeId::ALL.into_iter().zip(&logs.logs).map(one).collect::<Vec<_>>(),
    })
}

/// A file that is the proof of a charter's adoption.
fn adoption(name: &str) -> Option<(PathBuf, Adoption)> {
    let bytes = read_limited(Path::new(name), ADOPTION_BYTES as u64).ok()?;
    Some((name.into(), Adoption::from_json(&bytes).ok()?))
}

fn check(context: &Context, names: &[String]) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let judge = |path, kept: Result<Kept, Error>| {
        let verdict = kept.and_then(|kept| kept.check(&roster)).map(|shown| shown.logs.is_some());
        (path, verdict)
    };
    let judged: Vec<_> = if names.is_empty() {
        let mine = all(&context.home.receipts(&context.member))?;
        mine.into_iter().map(|disk| judge(disk.path, disk.kept)).collect()
    } else {
        let one = |name: &String| {
            if let Some((path, adoption)) = adoption(name) {
                return Ok((path, adoption.check(&roster).map(|adopted| adopted.logs.is_some())));
            }
            named(context, name).map(|(path, kept)| judge(path, Ok(kept)))
        };
        names.iter().map(one).collect::<Result<_, Failure>>()?
    };
    let (good, bad): (Vec<_>, Vec<_>) = judged.iter().partition(|(_, verdict)| verdict.is_ok());
    let proven = good.iter().filter(|(_, verdict)| verdict == &Ok(true)).count();
    let faults: Vec<Value> = bad
        .iter()
        .map(|(path, verdict)| json!({ "file": path, "error": verdict.as_ref().err().map(ToString::to_string) }))
        .collect();
    let facts = json!({ "checked": judged.len(), "good": good.len(), "in_logs": proven, "faults": faults });
    context.out.answer(&facts, |page| {
        if bad.is_empty() {
            let count = words::counted(good.len() as u64, "receipt holds", "receipts hold");
            page.headline(true, &format!("{count}: signatures, rules, and what they say."));
        } else {
            page.headline(false, &format!("{} of {} do not hold.", bad.len(), judged.len()));
        }
        page.row("in the logs", format!("{} with proofs from all three", words::count(proven as u64)));
        for (path, verdict) in &bad {
            if let Err(error) = verdict {
                page.line(format!("  ✗ {}: {error}", path.display()));
            }
        }
    });
    Ok(if bad.is_empty() { Exit::Yes } else { Exit::Misbehaved })
}
