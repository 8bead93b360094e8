//! Receipts that a device lacks, made from what the nodes tell: after a decision that somebody else asked for, on a second device,
//! or when an answer was lost.
//!
//! **Out of scope**: where receipts and old charters are kept (`cli`: files; the page: the browser's database).

use std::collections::BTreeMap;

use types::message::{Action, Event};
use types::roster::Roster;
use types::{Digest, OperationId, TraceKey};

use crate::error::Error;
use crate::receipt::{Kept, NO_SALT};
use crate::rules::InForce;

/// What [`missing`] made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Missing {
    /// New receipts, without the logs' proofs.
    pub receipts: Vec<Kept>,
    /// Decisions whose rules are not known, so that no receipt can be made of them yet.
    pub unexplained: Vec<Event>,
}

/// Makes a receipt of each event that `known` has none of. `trace` is the member's; `rules` finds a charter by its digest.
///
/// # Errors
/// [`Error::Receipt`] and [`Error::BadFile`] when parts do not belong together.
pub fn missing(
    roster: &Roster,
    trace: &TraceKey,
    events: Vec<Event>,
    known: &[Kept],
    rules: impl Fn(&Digest) -> Option<InForce>,
) -> Result<Missing, Error> {
    let operations: Vec<OperationId> = known.iter().map(|kept| kept.summary.operation).collect();
    let mut origins: BTreeMap<[u8; 16], Event> =
        events.iter().map(|event| (event.request.message.operation.0, event.clone())).collect();
    for kept in known {
        origins.insert(kept.summary.operation.0, kept.event()?);
    }
    let mut made = Missing::default();
    for event in events {
        let decision = &event.certificate.decision;
        if operations.contains(&decision.operation) {
            continue;
        }
        let Some(rules) = rules(&decision.charter) else {
            made.unexplained.push(event);
            continue;
        };
        let salt = match &event.request.message.action {
            // An ask is entered in the logs under the asking party's mark.
            Action::Ask(_) => NO_SALT,
            _ => trace.salt(decision.log_index),
        };
        let origin = goes_back_to(&event.request.message.action).and_then(|id| origins.get(&id));
        made.receipts.push(Kept::new(roster, &rules, &event.request, &event.certificate, salt, origin)?);
    }
    Ok(made)
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
