//! What the nodes decided about a member, fetched and kept: receipts that this machine lacks are made from what the nodes tell.

use std::collections::BTreeMap;

use client::native::NativeClient;
use client::receipt::Kept;
use client::{Error, Events};
use ed25519_dalek::SigningKey;
use types::message::{Action, Event};
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
    let known: Vec<OperationId> = history.receipts.iter().map(|(_, kept)| kept.summary.operation).collect();
    let mut origins: BTreeMap<[u8; 16], Event> =
        events.iter().map(|event| (event.request.message.operation.0, event.clone())).collect();
    for (_, kept) in &history.receipts {
        origins.insert(kept.summary.operation.0, kept.event()?);
    }
    let roster = client.commons().roster();
    let folder = context.home.receipts(&context.member);
    for event in events {
        let decision = &event.certificate.decision;
        if known.contains(&decision.operation) {
            continue;
        }
        let Some(rules) = rules::by_digest(context, roster, &decision.charter) else {
            history.unexplained.push(event);
            continue;
        };
        let salt = match &event.request.message.action {
            // An ask is entered in the logs under the asking party's mark.
            Action::Ask(_) => client::receipt::NO_SALT,
            _ => client.trace(device).salt(decision.log_index),
        };
        let origin = goes_back_to(&event.request.message.action).and_then(|id| origins.get(&id));
        let kept = Kept::new(roster, &rules, &event.request, &event.certificate, salt, origin)?;
        let path = receipt::write(&folder, &kept)?;
        history.receipts.push((path, kept));
        history.fetched += 1;
    }
    history.receipts.sort_by_key(|(_, kept)| kept.receipt.log_index);
    Ok(history)
}

/// The operation that made the grant or the ask which this one is about.
fn goes_back_to(action: &Action) -> Option<[u8; 16]> {
    match action {
        Action::Use(used) => Some(used.grant.0),
        Action::Narrow(narrowing) => Some(narrowing.grant.0),
        Action::Revoke { grant } => Some(grant.0),
        Action::Answer(answer) => Some(answer.ask.0),
        _ => None,
    }
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
