//! Refreshes of the stored shares: begun by an operator or by the clock, made in the background, ended by the nodes' own act.
//!
//! An operator's request comes to one node, which passes it on to the other two; it is then decided like any other. From that
//! batch on a worker makes the shares of the coming epoch (`Store::refresh_shares`). A node that has them queues the act that goes
//! over to them, which is the same on all nodes; it is planned only where they are made, so it is decided when all three have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use types::message::{Action, Request, VERSION, public_trace};
use types::sign::{Message as _, Signed, public_key};
use types::{Digest, NodeId, OperationId, Signature, limits};

use super::{Flow, Sequencer, coordinator};
use crate::Error;
use crate::app::admission::check_request;
use crate::app::facts::{Shields, State};
use crate::app::faults::Point;
use crate::app::link::{ControlMessage, OperationRef};
use crate::app::pending::{Operation, Task};
use crate::store::{Coming, Epoch};

/// After the shares of the coming epoch could not be made.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// How a refresh that is going on stands on this node.
pub(super) struct Progress {
    pub(super) epoch: Epoch,
    /// Cleared by the worker when it ends.
    working: Arc<AtomicBool>,
    /// No worker before.
    after: Instant,
}

impl Progress {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { epoch, working: Arc::default(), after: Instant::now() }
    }
}

impl Sequencer {
    /// An operator's act that this node has taken in goes to the others too: the operator need reach only one node.
    pub(super) fn pass_on_act(&self, operation: &Operation) {
        if operation.action().is_operators() {
            self.broadcast(&ControlMessage::Acts { requests: vec![operation.signed.clone()] });
        }
    }

    /// Another node passes on operators' acts.
    pub(super) async fn on_acts(&mut self, from: NodeId, requests: Vec<Signed<Request>>) -> Flow {
        for signed in requests.into_iter().take(limits::OPERATORS_ACTS) {
            match self.take_act(signed).await {
                Ok(()) => {}
                Err(error) if error.kind() == crate::Kind::Internal => return Err(error.into()),
                Err(error) => tracing::warn!(node = from.number(), code = error.code(), "an operator's act is refused"),
            }
        }
        Ok(())
    }

    /// Judges an act as admission does, and queues it.
    async fn take_act(&mut self, signed: Signed<Request>) -> Result<(), Error> {
        let (core, request) = (Arc::clone(&self.core), &signed.message);
        if !request.action.is_operators() {
            return Err(Error::WrongAction { action: request.action.name() });
        }
        let now = core.config.clock.now();
        check_request(&signed, &core.config.roster, &core.commons, now)?;
        core.ready()?;
        let trace = public_trace(&request.operation);
        let rules = core.rules();
        State::of(&core, &rules).judge(request, Some(&trace), Shields::Known, now).await?;
        self.enqueue_act(signed);
        Ok(())
    }

    fn enqueue_act(&mut self, signed: Signed<Request>) {
        let request = &signed.message;
        let reference = OperationRef { operation: request.operation, request: request.digest() };
        let (device, expires_at, trace) = (request.device, request.expires_at, public_trace(&request.operation));
        let operation = Operation { reference, device, trace, expires_at, signed, concerned: None, task: Task::Unmatched };
        let (nobody, _) = tokio::sync::oneshot::channel();
        if self.pending.add(Arc::new(operation), nobody) && !self.is_coordinator() {
            self.send(coordinator(), ControlMessage::Have { operations: vec![reference] });
        }
    }

    /// Now and then: begins a refresh whose time has come, makes the shares of one that is going on, ends one that all can end.
    pub(super) fn tend_refresh(&mut self) -> Flow {
        let Some(coming) = self.refresh.epoch.coming.clone() else {
            self.begin_in_time();
            return Ok(());
        };
        if self.core.store.is_refreshed(coming.epoch) {
            let operation = switch(&self.core.commons, &coming);
            if self.pending.get(&operation.reference).is_none() && !self.is_open(operation.reference.operation) {
                tracing::info!(epoch = coming.epoch, "the shares of the coming epoch are made");
                let (nobody, _) = tokio::sync::oneshot::channel();
                self.pending.add(Arc::new(operation), nobody);
            }
            self.tell_held();
            return Ok(());
        }
        self.work(coming.epoch)
    }

    /// Starts the worker, unless it runs.
    fn work(&mut self, epoch: u64) -> Flow {
        self.fault(Point::DuringRefresh)?;
        if self.core.config.faults.holds_refresh() {
            return Ok(());
        }
        if Instant::now() < self.refresh.after || self.refresh.working.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        // If it fails, the next one waits.
        self.refresh.after = Instant::now() + TRY_AGAIN;
        let (core, working) = (Arc::clone(&self.core), Arc::clone(&self.refresh.working));
        tokio::spawn(async move {
            let (began, stopped, stop) = (Instant::now(), core.stopped.clone(), core.stop.clone());
            match core.store.refresh_shares(move || stopped.is_cancelled() || stop.is_cancelled()).await {
                Ok(done) => {
                    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(epoch, done, milliseconds, "worked on the shares of the coming epoch");
                }
                Err(error) => {
                    let (code, error) = (error.code(), &error as &dyn std::error::Error);
                    tracing::error!(code, error, "the shares of the coming epoch could not be made; try again");
                }
            }
            working.store(false, Ordering::SeqCst);
        });
        Ok(())
    }

    /// Begins a refresh when the configuration asks for one at intervals and the last is that long ago.
    fn begin_in_time(&mut self) {
        let Some(interval) = self.core.config.refresh_interval else { return };
        let now = self.core.config.clock.now();
        let due = self.chain.committed > 0 && self.refresh.epoch.since.saturating_add(interval.as_secs()) <= now;
        let waits = || self.pending.iter().any(|waiting| waiting.operation.action().is_operators());
        if !due || self.core.ready().is_err() || waits() {
            return;
        }
        let mut operation = [0; 16];
        if getrandom::fill(&mut operation).is_err() {
            return;
        }
        let operation = OperationId(operation);
        let epoch = self.refresh.epoch.present + 1;
        let signed =
            operators_request(&self.core.commons, operation, now, Action::Refresh { epoch }, &self.core.config.signing_key);
        tracing::info!(epoch, "the interval between refreshes is over");
        self.enqueue_act(signed.clone());
        self.broadcast(&ControlMessage::Acts { requests: vec![signed] });
    }

    /// Takes up what a batch has changed about epochs.
    pub(super) async fn follow_refresh(&mut self) -> Flow {
        let epoch = self.core.store.epoch().await?;
        if epoch != self.refresh.epoch {
            tracing::info!(epoch = epoch.present, refreshing = epoch.coming.is_some(), "shares are of this epoch");
            self.refresh = Progress::new(epoch);
        }
        Ok(())
    }
}

/// A request that the holder of a node's signing key makes.
pub(crate) fn operators_request(
    commons: &Digest,
    operation: OperationId,
    now: u64,
    action: Action,
    key: &ed25519_dalek::SigningKey,
) -> Signed<Request> {
    let request = Request {
        version: VERSION,
        commons: *commons,
        operation,
        device: public_key(key),
        issued_at: now,
        expires_at: now.saturating_add(limits::REQUEST_LIFETIME_S),
        trace: public_trace(&operation).commitment(),
        action,
    };
    Signed::new(request, key)
}

/// The act that ends a refresh. It follows from the one that began it, so no request stands behind it and nobody signs it.
fn switch(commons: &Digest, coming: &Coming) -> Operation {
    let name = Digest::of("trust-commons/v1/switch", &[&coming.operation.0]);
    let operation = OperationId(*name.0.first_chunk().unwrap_or(&[0; 16]));
    let request = Request {
        version: VERSION,
        commons: *commons,
        operation,
        device: coming.device,
        issued_at: coming.begun,
        expires_at: coming.begun,
        trace: public_trace(&operation).commitment(),
        action: Action::Switch { epoch: coming.epoch },
    };
    let reference = OperationRef { operation, request: request.digest() };
    let (device, expires_at, trace) = (request.device, request.expires_at, public_trace(&operation));
    let signed = Signed { message: request, signature: Signature([0; 64]) };
    Operation { reference, device, trace, expires_at, signed, concerned: None, task: Task::Unmatched }
}
