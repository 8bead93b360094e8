//! Receipts: every decision is kept with its request, certificate, rules and, once the logs are published, its log proofs, and can
//! be checked again offline against the roster.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::native::NativeClient;
use client::receipt::{KEPT_BYTES, Kept};
use client::{Error, Proof};
use serde_json::{Value, json};
use types::message::{Event, Outcome};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::{read_limited, write_private};
use crate::output::Page;
use crate::words;

/// How long a command waits for the logs to be published; `commons audit` completes receipts later.
const PUBLISHING: Duration = Duration::from_secs(4);

/// A receipt that was just written.
#[derive(Debug)]
pub(crate) struct Keeping {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Why it has no log proofs yet.
    pub(crate) unproven: Option<Error>,
}

/// Writes a member's receipt: see [`keep_in`].
pub(crate) async fn keep(
    context: &Context,
    client: &NativeClient,
    proof: &Proof,
    origin: Option<&Event>,
) -> Result<Keeping, Failure> {
    let folder = context.home.receipts(&context.member);
    keep_in(context, &folder, client, proof, origin).await
}

/// Writes the receipt, tells of nodes that were silent or sent nonsense, and waits a moment for the logs.
pub(crate) async fn keep_in(
    context: &Context,
    folder: &Path,
    client: &NativeClient,
    proof: &Proof,
    origin: Option<&Event>,
) -> Result<Keeping, Failure> {
    for complaint in &proof.complaints {
        let text = "The decision stands, it has all three signatures; tell the operator of that node.";
        context.out.warn(&format!("{complaint}. {text}"));
    }
    if !proof.silent.is_empty() {
        let who = words::nodes(&proof.silent);
        context.out.note(&format!("No answer from {who} in time; the decision stands, it has all three signatures."));
    }
    super::rules::in_force(context, client).await?;
    let kept = client.keep(proof, origin).await?;
    let path = write(folder, &kept)?;
    let spinner = context.out.spinner("Waiting for the three logs");
    let whole = complete(client, &kept, PUBLISHING).await;
    spinner.finish_and_clear();
    let unproven = match whole {
        Ok(whole) => {
            write(folder, &whole)?;
            None
        }
        Err(error) => {
            if !matches!(error, Error::NotPublished { .. } | Error::Unavailable { .. }) {
                context.out.warn(&format!("{error}"));
            }
            Some(error)
        }
    };
    Ok(Keeping { path, unproven })
}

/// Adds log proofs, waiting at most `patience` for the logs to be published.
pub(crate) async fn complete(client: &NativeClient, kept: &Kept, patience: Duration) -> Result<Kept, Error> {
    within(patience, async || client.complete(kept).await).await
}

/// Asks again until the logs are published, for as long as a command waits for them.
pub(crate) async fn until_published<T>(ask: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    within(PUBLISHING, ask).await
}

async fn within<T>(patience: Duration, ask: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        match ask().await {
            Err(Error::NotPublished { .. }) if begun.elapsed() < patience => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(500));
            }
            other => return other,
        }
    }
}

/// Writes a receipt under its name.
pub(crate) fn write(folder: &Path, kept: &Kept) -> Result<PathBuf, Failure> {
    let summary = &kept.summary;
    let path = folder.join(format!("{}-{}-{}.json", summary.decided_at, summary.operation, summary.action));
    write_private(&path, kept.to_json().as_bytes()).map_err(|error| Failure::write(&path, &error))?;
    Ok(path)
}

/// A receipt in a folder; what is wrong with it as a file, if it cannot be read.
pub(crate) struct OnDisk {
    pub(crate) path: PathBuf,
    pub(crate) kept: Result<Kept, Error>,
}

/// Every receipt in a folder, oldest first.
pub(crate) fn all(folder: &Path) -> Result<Vec<OnDisk>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::read(folder, &error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.into_iter().map(|path| read(&path)).collect()
}

/// One receipt file.
pub(crate) fn read(path: &Path) -> Result<OnDisk, Failure> {
    let bytes = read_limited(path, KEPT_BYTES as u64).map_err(|error| Failure::read(path, &error))?;
    Ok(OnDisk { path: path.to_owned(), kept: Kept::from_json(&bytes) })
}

/// The receipt that a person names: by a file, or by the first characters of its operation.
pub(crate) fn named(context: &Context, name: &str) -> Result<(PathBuf, Kept), Failure> {
    let path = Path::new(name);
    let found = if path.exists() {
        vec![read(path)?]
    } else {
        let wanted = name.to_ascii_lowercase();
        let begins = |disk: &OnDisk| {
            let operation = disk.path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('-').nth(1));
            !wanted.is_empty() && operation.is_some_and(|operation| operation.starts_with(&wanted))
        };
        all(&context.home.receipts(&context.member))?.into_iter().filter(begins).collect()
    };
    match <[OnDisk; 1]>::try_from(found) {
        Ok([OnDisk { path, kept }]) => {
            let kept = kept.map_err(|error| Failure::from(error).about(path.display()))?;
            Ok((path, kept))
        }
        Err(none) if none.is_empty() => {
            Err(Failure::input(format!("there is no receipt `{name}`"), "see `commons receipts`").coded("receipt-unknown"))
        }
        Err(_) => Err(Failure::input(format!("more than one receipt begins with `{name}`"), "write more of its operation")),
    }
}

/// The decision that made a grant, from the receipts of this member.
pub(crate) fn origin(context: &Context, operation: &types::OperationId) -> Option<Event> {
    let mine = all(&context.home.receipts(&context.member)).ok()?;
    mine.into_iter().filter_map(|disk| disk.kept.ok()).find(|kept| kept.summary.operation == *operation)?.event().ok()
}

/// What every decision says for programs.
pub(crate) fn facts(proof: &Proof, keeping: &Keeping) -> Value {
    let decision = &proof.certificate.decision;
    let mut facts = json!({
        "outcome": decision.outcome.name(),
        "operation": decision.operation,
        "batch": decision.batch,
        "decided_at": decision.decided_at,
        "log_index": decision.log_index,
        "in_logs": keeping.unproven.is_none(),
        "receipt": keeping.path,
        "silent_nodes": proof.silent,
        "misbehaving_nodes": proof.complaints.iter().map(|c| c.node).collect::<Vec<_>>(),
    });
    if let (Outcome::Enrolled { member }, Some(object)) = (&decision.outcome, facts.as_object_mut()) {
        object.insert("member".to_owned(), json!(member));
    }
    facts
}

/// `facts` with more.
pub(crate) fn with(mut facts: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (facts.as_object_mut(), more) {
        object.extend(more);
    }
    facts
}

/// What every decision says for people.
pub(crate) fn rows(page: &mut Page, proof: &Proof, keeping: &Keeping) {
    let decision = &proof.certificate.decision;
    let when = words::time(decision.decided_at);
    page.row("decided", format!("{when}, batch {}, signed by nodes 1, 2 and 3", words::count(decision.batch)));
    page.row("in the logs", in_logs(decision.log_index, keeping.unproven.as_ref()));
    page.row("receipt", keeping.path.display());
}

/// Where the logs hold it, in words.
fn in_logs(index: u64, unproven: Option<&Error>) -> String {
    let entry = words::count(index);
    match unproven {
        None => format!("entry {entry} of all three, proven"),
        Some(Error::NotPublished { .. } | Error::Unavailable { .. }) => {
            format!("entry {entry}; not published yet, `commons audit` completes the receipt")
        }
        Some(_) => format!("✗ entry {entry} is not as it must be: see the warning"),
    }
}

/// How a command ends whose decision is well, but perhaps not its log.
pub(crate) fn exit(keeping: &Keeping, otherwise: Exit) -> Exit {
    match &keeping.unproven {
        None | Some(Error::NotPublished { .. } | Error::Unavailable { .. }) => otherwise,
        Some(_) => Exit::Misbehaved,
    }
}
