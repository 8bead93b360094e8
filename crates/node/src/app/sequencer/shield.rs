//! Shields: they hold on each node from the moment it hears of one, and are decided in the chain as soon as all three can.
//!
//! A node that hears of a shield keeps the signed request on disk, tells the other two, drops what waits for that member and ends
//! a run that concerns them; what else was in that run waits for the next one. From then on the request waits for a batch on every node that knows it, whichever
//! node the member could reach, and is forgotten only when it is decided. On every new connection, before a node says where it
//! stands, it passes on all undecided shields: so a node that was down knows them before it takes part in anything.

use std::sync::Arc;

use types::message::{Action, Request, VERSION};
use types::sign::{Message as _, Signed};
use types::{MemberId, NodeId, OperationId, TraceKey, limits};

use super::{Flow, Halt, Phase, Sequencer, coordinator};
use crate::Error;
use crate::app::facts::{not_active, shielded};
use crate::app::link::{ControlMessage, OperationRef};
use crate::app::matching::Planned;
use crate::app::pending::{Operation, Task, Waiting};
use crate::store::MemberRow;

impl Sequencer {
    /// A member asks this node. On return the shield holds here.
    pub(super) async fn on_shield(&mut self, signed: Signed<Request>) -> Flow<Result<(), Error>> {
        let Some(member) = self.core.store.member(&signed.message.device).await? else {
            return Ok(Err(Error::UnknownMember));
        };
        let noted = match self.note(&member, &signed).await {
            // The other nodes may have room; one that keeps it is enough.
            Err(Halt::Error(error)) if error.is_storage_full() => return Ok(Err(error)),
            noted => noted?,
        };
        if noted {
            // First the reason, then what follows from it: a run that ends.
            self.broadcast(&ControlMessage::Shields { requests: vec![signed] });
            self.cut(&member.member);
            self.tell_held();
        }
        Ok(Ok(()))
    }

    /// Another node passes on shields that it knows.
    pub(super) async fn on_shields(&mut self, from: NodeId, requests: Vec<Signed<Request>>) -> Flow {
        let (mut news, mut members) = (Vec::new(), Vec::new());
        for signed in requests.into_iter().take(limits::UNSETTLED_SHIELDS) {
            if !self.holds(&signed) {
                tracing::warn!(node = from.number(), "a node passed on a shield that no member of this commons has signed");
                continue;
            }
            let reference = reference(&signed.message);
            if let Some(member) = self.core.store.member(&signed.message.device).await? {
                match self.note(&member, &signed).await {
                    Ok(false) => {}
                    Ok(true) => {
                        news.push(signed);
                        members.push(member.member);
                    }
                    // It is told again until it is decided.
                    Err(Halt::Error(error)) if error.is_storage_full() => continue,
                    Err(halt) => return Err(halt),
                }
            }
            if self.is_coordinator() && self.pending.get(&reference).is_some() {
                self.pending.set_held(reference, from, true);
            }
        }
        if !news.is_empty() {
            let third = self.others().into_iter().find(|node| *node != from);
            third.into_iter().for_each(|node| self.send(node, ControlMessage::Shields { requests: news.clone() }));
        }
        members.iter().for_each(|member| self.cut(member));
        self.tell_held();
        Ok(())
    }

    /// Version, commons, kind and signature. Not the time: one node took it in time, and a shield does not go stale while a
    /// node is down.
    fn holds(&self, signed: &Signed<Request>) -> bool {
        let request = &signed.message;
        matches!(request.action, Action::ShieldUp)
            && request.version == VERSION
            && request.commons == self.core.commons
            && signed.verify(&request.device).is_ok()
    }

    /// Makes a shield hold here, unless it does already. Returns whether it is new; then [`Self::cut`] is to be called next.
    async fn note(&mut self, member: &MemberRow, signed: &Signed<Request>) -> Flow<bool> {
        if !self.core.store.raise_unsettled(&member.member, signed).await? {
            return Ok(false);
        }
        tracing::info!("a member has raised their shield");
        self.enqueue(member, signed.clone());
        Ok(true)
    }

    /// Ends everything of a member that a shield refuses: what waits, and the run that is not promised yet.
    fn cut(&mut self, member: &MemberId) {
        let hits = |operation: &Operation| operation.concerned == Some(*member) && refusal(operation).is_some();
        let planned = |plan: &[Planned]| plan.iter().any(|planned| hits(&planned.operation));
        let concerned = match &self.phase {
            Phase::Proposed(offer, _) | Phase::Offered(offer) => planned(&offer.plan),
            Phase::Matching(run) => planned(&run.plan),
            // Promised before the shield came: it stands before it in the chain.
            Phase::Idle | Phase::Prepared(_) => false,
        };
        if concerned {
            self.abandon(None, "a member raised their shield");
        }
        finish(self.pending.take_if(|waiting| hits(&waiting.operation)));
    }

    /// Puts a shield among the operations that wait for a batch.
    fn enqueue(&mut self, member: &MemberRow, signed: Signed<Request>) {
        let reference = reference(&signed.message);
        // The members' own keys mark their log entries. Without one: the same on all nodes.
        let trace = member.trace.clone().unwrap_or_else(|| TraceKey::from_random(reference.request.0));
        let (device, expires_at) = (signed.message.device, signed.message.expires_at);
        let (concerned, task) = (Some(member.member), Task::Unmatched);
        let operation = Operation { reference, device, trace, expires_at, signed, concerned, task };
        // Nobody waits for the answer: the member has this node's statement, and asks for the outcome.
        let (nobody, _) = tokio::sync::oneshot::channel();
        self.pending.add(Arc::new(operation), nobody);
    }

    /// Queues undecided shields that wait nowhere: after a start, or when a run with them came to nothing.
    pub(super) async fn requeue_shields(&mut self) -> Flow {
        for signed in self.core.store.unsettled().await? {
            let reference = reference(&signed.message);
            if self.pending.get(&reference).is_none()
                && !self.is_open(signed.message.operation)
                && let Some(member) = self.core.store.member(&signed.message.device).await?
            {
                self.enqueue(&member, signed);
            }
        }
        if self.is_coordinator() {
            let lacking = |w: &&Waiting| w.operation.is_shield() && w.lacking().is_some();
            let requests: Vec<_> = self.pending.iter().filter(lacking).map(|w| w.operation.signed.clone()).collect();
            if !requests.is_empty() {
                self.broadcast(&ControlMessage::Shields { requests });
            }
        }
        self.tell_held();
        Ok(())
    }

    /// Tells a new connection what it may not know, before anything else is said on it.
    pub(super) async fn pass_on_shields(&self, to: NodeId) -> Flow {
        let requests = self.core.store.unsettled().await?;
        if !requests.is_empty() {
            self.send(to, ControlMessage::Shields { requests });
        }
        Ok(())
    }

    /// Tells the coordinator which shields, and which of the nodes' own acts, wait here.
    pub(super) fn tell_held(&self) {
        if self.is_coordinator() {
            return;
        }
        let lasting = self.pending.iter().filter(|waiting| waiting.operation.is_lasting());
        let operations: Vec<OperationRef> = lasting.map(|waiting| waiting.operation.reference).collect();
        for part in operations.chunks(limits::PENDING_OPERATIONS) {
            self.send(coordinator(), ControlMessage::Have { operations: part.to_vec() });
        }
    }

    /// A node that is gone must say again which of them it has.
    pub(super) fn forget_held(&mut self, node: NodeId) {
        let lasting = self.pending.iter().filter(|waiting| waiting.operation.is_lasting());
        let references: Vec<OperationRef> = lasting.map(|waiting| waiting.operation.reference).collect();
        for reference in references {
            self.pending.set_held(reference, node, false);
        }
    }

    /// Answers the operations of a run that came to nothing. Shields and the nodes' own acts go back among
    /// those that wait. So does everything that a
    /// shield does not concern, when it was a shield that ended the run: it is tried again without the one that was refused.
    /// That is for this node to see, by a shield that a member signed; no word of another node makes it try twice.
    pub(super) fn release(&mut self, waiting: Vec<Waiting>, unreachable: Option<NodeId>, reason: &str) {
        let (lasting, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiting| waiting.operation.is_lasting());
        let (theirs, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|waiting| self.is_cut(&waiting.operation));
        let again = if theirs.is_empty() || unreachable.is_some() {
            super::fail(others, unreachable, reason);
            Vec::new()
        } else {
            others
        };
        finish(theirs);
        let operations: Vec<OperationRef> = again.iter().map(|waiting| waiting.operation.reference).collect();
        for waiting in lasting.into_iter().chain(again) {
            self.pending.put_back(waiting);
        }
        if !operations.is_empty() && !self.is_coordinator() {
            // It may have been asked for in between, and said to be missing.
            self.send(coordinator(), ControlMessage::Have { operations });
        }
    }

    /// Whether a shield that is not decided yet refuses this operation.
    fn is_cut(&self, operation: &Operation) -> bool {
        let up = |member| self.pending.iter().any(|w| w.operation.is_shield() && w.operation.concerned == Some(member));
        refusal(operation).is_some() && operation.concerned.is_some_and(up)
    }

    /// Whether an operation is waiting, in a run, or prepared.
    pub(super) fn is_open(&self, operation: OperationId) -> bool {
        let named = |waiting: &Waiting| waiting.operation.reference.operation == operation;
        let in_flight = match &self.phase {
            Phase::Idle | Phase::Proposed(..) | Phase::Offered(_) => false,
            Phase::Matching(run) => run.waiting.iter().any(named),
            Phase::Prepared(prepared) => prepared.batch.entries.iter().any(|entry| entry.decision.operation == operation),
        };
        in_flight || self.pending.iter().any(named)
    }
}

fn reference(request: &Request) -> OperationRef {
    OperationRef { operation: request.operation, request: request.digest() }
}

/// Why a shield refuses an operation; absent for what is allowed under a shield, or waits for it to be decided.
fn refusal(operation: &Operation) -> Option<Error> {
    match operation.action() {
        Action::Enrol(_)
        | Action::Verify(_)
        | Action::Renew(_)
        | Action::Grant(_)
        | Action::SetGuardians(_)
        | Action::Bind(_) => Some(shielded()),
        Action::Answer(answer) if matches!(answer.reply, types::consent::Reply::Approve { .. }) => Some(shielded()),
        Action::Use(_) => Some(not_active()),
        _ => None,
    }
}

fn finish(waiting: Vec<Waiting>) {
    for waiting in waiting {
        let error = refusal(&waiting.operation).unwrap_or_else(shielded);
        waiting.finish(Err(error));
    }
}
