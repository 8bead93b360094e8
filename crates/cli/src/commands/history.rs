//! What the nodes decided about a member, fetched and kept: receipts that this machine lacks are made from what the nodes tell.

use client::history::{Missing, missing};
use client::native::NativeClient;
use client::receipt::Kept;
use client::{Error, Events};
use ed25519_dalek::SigningKey;
use types::message::Event;
use types::{NodeId, OperationId};

use crate::commands::{receipt, rules};
use crate::context::Context;
use crate::failure::Failure;

/// The receipts of a member in one commons.
pub(crate) struct History {
    /// Readable receipts of this commons, oldest first.
    pub(crate) receipts: Vec<(std::path::PathBuf, Kept)>,
    /// Files that cannot be read.
    pub(crate) broken: Vec<(std::path::PathBuf, Error)>,
    /// How many were fetched just now.
    pub(crate) fetched: usize,
    /// Decisions whose rules this machine has never seen, so that no receipt can be made yet.
    pub(crate) unexplained: Vec<Event>,
    /// What was wrong with what the nodes told.
    pub(crate) complaints: Vec<Error>,
    /// Nodes that did not tell.
    pub(crate) silent: Vec<NodeId>,
}

/// Reads the receipts on this machine.
pub(crate) fn local(context: &Context, client: &NativeClient) -> Result<History, Failure> {
    let mut history = History {
        receipts: Vec::new(),
        broken: Vec::new(),
        fetched: 0,
        unexplained: Vec::new(),
        complaints: Vec::new(),
        silent: Vec::new(),
    };
    let commons = client.commons().digest();
    for disk in receipt::all(&context.home.receipts(&context.member))? {
        match disk.kept.and_then(|kept| Ok((kept.event()?, kept))) {
            Ok((event, kept)) if event.request.message.commons == commons => history.receipts.push((disk.path, kept)),
            Ok(_) => {}
            Err(error) => history.broken.push((disk.path, error)),
        }
    }
    history.receipts.sort_by_key(|(_, kept)| kept.receipt.log_index);
    Ok(history)
}

/// Asks the nodes for every decision about this member, and writes the receipts that were missing.
pub(crate) async fn fetch(context: &Context, client: &NativeClient, device: &SigningKey) -> Result<History, Failure> {
    rules::in_force(context, client).await?;
    let spinner = context.out.spinner("Asking three nodes what they decided about you");
    let told = client.events(device, 0).await;
    spinner.finish_and_clear();
    let Events { events, silent, complaints } = told?;
    let mut history = local(context, client)?;
    (history.silent, history.complaints) = (silent, complaints);
    // A receipt from before this device was the member's lacks the member's own mark: it is made again.
    let own = client.trace(device) != client::request::trace_key(device);
    let marked = |kept: &Kept| !own || kept.receipt.log_salt != client::receipt::NO_SALT || kept.summary.action == "ask";
    history.receipts.retain(|(_, kept)| marked(kept));
    let roster = client.commons().roster();
    let folder = context.home.receipts(&context.member);
    let known: Vec<Kept> = history.receipts.iter().map(|(_, kept)| kept.clone()).collect();
    let Missing { receipts, unexplained } =
        missing(roster, &client.trace(device), events, &known, |digest| rules::by_digest(context, roster, digest))?;
    history.unexplained = unexplained;
    history.fetched = receipts.len();
    for kept in receipts {
        history.receipts.push((receipt::write(&folder, &kept)?, kept));
    }
    history.receipts.sort_by_key(|(_, kept)| kept.receipt.log_index);
    Ok(history)
}

/// Adds log proofs where they are missing. Returns how many were added, and what stood in the way.
pub(crate) async fn prove(
    context: &Context,
    client: &NativeClient,
    history: &mut History,
) -> Result<(usize, Vec<(OperationId, Error)>), Failure> {
    let (mut added, mut problems) = (0, Vec::new());
    let folder = context.home.receipts(&context.member);
    let missing = history.receipts.iter().filter(|(_, kept)| kept.log.is_none()).count();
    let bar = context.out.bar(missing as u64, "Proofs from the logs");
    for (path, kept) in history.receipts.iter_mut().filter(|(_, kept)| kept.log.is_none()) {
        // Only the last ones may have to wait for the logs; one wait serves them all.
        let patience = std::time::Duration::from_secs(if problems.is_empty() { 4 } else { 0 });
        match receipt::complete(client, kept, patience).await {
            Ok(whole) => {
                *path = receipt::write(&folder, &whole)?;
                *kept = whole;
                added += 1;
            }
            Err(error) => problems.push((kept.summary.operation, error)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((added, problems))
}
