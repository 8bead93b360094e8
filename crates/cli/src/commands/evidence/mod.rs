//! `commons evidence`: receipts as one page that a journalist can open, and that anybody can check offline.
//!
//! The page is one HTML file without scripts. At its end stands the data from which every word above was made: the verifier
//! checks the data against the roster's keys, makes the page again, and compares. So nothing on the page, not a word, can say
//! something else than what is proven.

mod page;

use std::path::Path;

use client::evidence::{BUNDLE_BYTES, Bundle};
use client::receipt::{Kept, Shown};
use serde_json::{Value, json};
use types::NodeId;
use types::api::from_base64;

use crate::args::proof::{Evidence, EvidenceCommand};
use crate::commands::receipt::named;
use crate::commands::receipts::logs_facts;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::{read_limited, write_private};
use crate::words;

/// Bytes of an evidence file: data and words about it, escaped.
const FILE_BYTES: u64 = 8 * BUNDLE_BYTES as u64;

pub(crate) async fn run(context: &Context, args: Evidence) -> Result<Exit, Failure> {
    match args.command {
        Some(EvidenceCommand::Verify { file, extract }) => verify(context, &file, extract.as_deref()),
        None => make(context, &args.receipts, &args.out).await,
    }
}

async fn make(context: &Context, names: &[String], out: &Path) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let mut receipts: Vec<Kept> = Vec::new();
    for name in names {
        let (path, kept) = named(context, name)?;
        receipts.push(match kept.log {
            Some(_) => kept,
            // The proofs were not there when the receipt was written.
            None => context.client()?.complete(&kept).await.map_err(|error| Failure::from(error).about(path.display()))?,
        });
    }
    let bundle = Bundle::new(receipts, &roster)?;
    let shown = bundle.check(&roster)?;
    let text = page::write(&bundle, &shown, &roster);
    write_private(out, text.as_bytes()).map_err(|error| Failure::write(out, &error))?;
    let facts = json!({ "file": out, "receipts": facts(&bundle, &shown), "bytes": text.len() });
    context.out.answer(&facts, |page| {
        let count = words::counted(shown.len() as u64, "decision", "decisions");
        page.headline(true, &format!("Evidence of {count}: one file, to read in a browser and to check offline."));
        page.row("file", format!("{} ({} KiB)", out.display(), words::count(text.len() as u64 / 1024)));
        page.row(
            "it shows",
            "what its receipts say: your key, what you signed, what was decided. Give it to whom you choose",
        );
        page.row("to check it", format!("commons evidence verify {} --roster FILE", out.display()));
    });
    Ok(Exit::Yes)
}

fn verify(context: &Context, file: &Path, extract: Option<&Path>) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let bytes = read_limited(file, FILE_BYTES).map_err(|error| Failure::read(file, &error))?;
    let about = |failure: Failure| failure.about(file.display());
    let not_one = || {
        Failure::input("this is no evidence file, or it was cut short", "get it again from where it came from")
            .coded("bad-file")
    };
    let text = String::from_utf8(bytes).map_err(|_| about(not_one()))?;
    let data = page::data(&text).ok_or_else(|| about(not_one()))?;
    let bundle = Bundle::from_json(data.as_bytes()).map_err(|error| about(error.into()))?;
    let shown = bundle.check(&roster).map_err(|error| about(Failure { exit: Exit::Misbehaved, ..Failure::from(error) }))?;
    if page::write(&bundle, &shown, &roster) != text {
        let what = "the data in this file is good, but the words around it are not what it says";
        let hint = "believe only what `commons evidence verify` prints; the page was altered, or made by another version";
        return Err(about(Failure { exit: Exit::Misbehaved, ..Failure::input(what, hint) }.coded("altered")));
    }
    if let Some(folder) = extract {
        take_apart(folder, &bundle)?;
    }
    let facts = json!({ "file": file, "good": true, "receipts": facts(&bundle, &shown), "extracted": extract });
    context.out.answer(&facts, |page| {
        page.headline(
            true,
            "This evidence holds, by the roster's keys alone. The page says what is proven, and nothing else.",
        );
        page.row("commons", &roster.commons);
        for (kept, shown) in bundle.receipts.iter().zip(&shown) {
            let summary = &kept.summary;
            page.heading(&format!("{}: {}", summary.action, summary.outcome));
            for line in charter::receipt::explain(&kept.receipt) {
                page.row(line.label, line.text);
            }
            page.row("signed by", format!("the asking device {}, and nodes 1, 2 and 3", shown.request.message.device));
            if let Some(logs) = &shown.logs {
                page.row(
                    "in the logs",
                    format!("of all three nodes, entry {}, witnessed", words::count(shown.certificate.decision.log_index)),
                );
                if !logs.opened {
                    page.row("", "whom the entry concerns is not shown");
                }
            }
        }
        if let Some(folder) = extract {
            page.row("parts", folder.display());
        }
    });
    Ok(Exit::Yes)
}

fn facts(bundle: &Bundle, shown: &[Shown]) -> Vec<Value> {
    let one = |(kept, shown): (&Kept, &Shown)| {
        json!({
            "summary": kept.summary,
            "device": shown.request.message.device,
            "charter": { "version": shown.charter.version(), "digest": shown.charter.digest() },
            "log": logs_facts(shown),
        })
    };
    bundle.receipts.iter().zip(shown).map(one).collect()
}

/// The parts as files, for programs that know nothing of us.
fn take_apart(folder: &Path, bundle: &Bundle) -> Result<(), Failure> {
    let write = |name: String, bytes: &[u8]| {
        let path = folder.join(name);
        write_private(&path, bytes).map_err(|error| Failure::write(&path, &error))
    };
    for (node, policy) in NodeId::ALL.into_iter().zip(&bundle.policies) {
        write(format!("node-{node}.tlog-policy"), policy.as_bytes())?;
    }
    for kept in &bundle.receipts {
        let operation: String = kept.summary.operation.to_hex().chars().take(8).collect();
        let bytes = |text: &str| from_base64("part", text).unwrap_or_default();
        write(format!("{operation}.consent.jsonld"), format!("{:#}\n", kept.receipt.consent).as_bytes())?;
        write(format!("{operation}.charter.toml"), kept.receipt.charter_document.as_bytes())?;
        write(format!("{operation}.request"), &bytes(&kept.receipt.request))?;
        write(format!("{operation}.certificate"), &bytes(&kept.receipt.certificate))?;
        if let Some(log) = &kept.log {
            write(format!("{operation}.entry"), &bytes(&log.entry))?;
            for (node, proof) in NodeId::ALL.into_iter().zip(&log.proofs) {
                write(format!("{operation}.node-{node}.tlog-proof"), proof.as_bytes())?;
            }
        }
    }
    Ok(())
}
