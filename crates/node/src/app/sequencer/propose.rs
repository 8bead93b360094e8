//! From waiting operations to a run: propose, offer, start.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use charter::Permit;
use mpc::Adder;
use tokio_util::sync::CancellationToken;
use types::message::Action;
use types::{NodeId, UnixSeconds, limits};

use super::bounds::Bounds;
use super::{Flow, Matching, Offer, Phase, Sequencer, coordinator};
use crate::app::facts::{Shields, State, Unsettled};
use crate::app::link::{ControlMessage, OperationRef, Proposal, SessionId};
use crate::app::matching::{Planned, Records, Run};
use crate::app::pending::{Operation, Task, Waiting};
use crate::{Error, Kind};

/// Pause after a node did not have what was proposed.
const AFTER_MISSING: Duration = Duration::from_millis(20);

/// Before any was measured.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(1);

/// Whether an operation can be decided at the head of the chain.
pub(super) enum Planning {
    /// It can.
    Go(Box<Planned>),
    /// Not in this batch.
    Wait,
    /// It cannot.
    Refuse(Error),
}

impl Sequencer {
    /// Node 1: proposes a batch when nothing is in the way and something waits.
    pub(super) async fn propose(&mut self) -> Flow {
        let agreed = |node| self.peer(node).is_some_and(|p| p.state == Some((self.chain.committed, self.chain.head)));
        let idle = matches!(self.phase, Phase::Idle) && Instant::now() >= self.propose_after;
        if !self.is_coordinator() || !idle || !self.others().into_iter().all(agreed) || self.core.ready().is_err() {
            return Ok(());
        }
        let time = self.core.config.clock.now().max(self.chain.decided_at);
        let plan = self.choose(time).await?;
        if plan.is_empty() {
            return Ok(());
        }
        let mut session = [0; 16];
        getrandom::fill(&mut session).map_err(|_| Error::Random)?;
        let session = SessionId(session);
        let Ok(opened) = self.core.links.open_session(session) else { return Ok(()) };
        let adder = self.adder(&plan);
        *self.core.last_adder.lock().unwrap_or_else(PoisonError::into_inner) = Some(adder);
        let proposal = Proposal {
            session,
            number: self.chain.committed + 1,
            head: self.chain.head,
            time,
            prefix: adder == Adder::Prefix,
            operations: plan.iter().map(|planned| planned.operation.reference).collect(),
        };
        self.broadcast(&ControlMessage::Propose(proposal.clone()));
        let ready = NodeId::ALL.map(|node| node == self.own());
        let since = Instant::now();
        let offer = Offer { proposal, plan, session: opened, since, votes: Default::default() };
        self.phase = Phase::Proposed(offer, ready);
        Ok(())
    }

    /// The oldest operations that all nodes hold and that fit into one batch; shields and the nodes' own acts before all others.
    async fn choose(&mut self, time: UnixSeconds) -> Flow<Vec<Planned>> {
        let mut bounds = Bounds::default();
        let roster = Arc::clone(&self.core.config.roster);
        let everywhere = |waiting: &&Waiting| waiting.lacking().is_none();
        #[cfg(test)]
        let everywhere = |waiting: &&Waiting| everywhere(waiting) || self.core.config.faults.is_lawless();
        let mut held: Vec<Arc<Operation>> =
            self.pending.iter().filter(everywhere).map(|w| Arc::clone(&w.operation)).collect();
        held.sort_by_key(|operation| !operation.is_lasting());
        let mut plan = Vec::new();
        for operation in held {
            if !bounds.may_admit(&operation, &roster) {
                continue;
            }
            match self.plan(&operation, time).await? {
                Planning::Go(planned) => {
                    if bounds.admit(&planned, &roster) {
                        plan.push(*planned);
                    }
                }
                Planning::Wait => {}
                Planning::Refuse(error) => {
                    // A batch in between has decided it: the device enrolled, its record is gone, the grant is spent.
                    let operations = vec![operation.reference];
                    self.broadcast(&ControlMessage::Dropped { operations, node: self.own() });
                    if let Some(waiting) = self.pending.take(&operation.reference) {
                        waiting.finish(Err(error));
                    }
                }
            }
        }
        Ok(plan)
    }

    /// What the state at the head of the chain says of an operation in a batch at `time`.
    pub(super) async fn plan(&self, operation: &Arc<Operation>, time: UnixSeconds) -> Flow<Planning> {
        let (store, rules) = (&self.core.store, self.core.rules());
        let reference = &operation.reference;
        // An id may come again when it has been forgotten as seen; what was decided under it has not been.
        if store.is_taken(&reference.operation).await? {
            return Ok(Planning::Refuse(Error::Replayed));
        }
        let state = State::of(&self.core, &rules);
        let began = Instant::now();
        let judged = state.judge(&operation.signed.message, Some(&operation.trace), Shields::Decided, time).await;
        self.core.config.metrics.judged(began.elapsed());
        let judged = match judged {
            Ok(judged) => judged,
            Err(error) if error.kind() == Kind::Internal => return Err(error.into()),
            Err(error) => return Ok(Planning::Refuse(error)),
        };
        match judged.unsettled() {
            Unsettled::Clear => {}
            Unsettled::Wait => return Ok(Planning::Wait),
            Unsettled::Refused(error) => return Ok(Planning::Refuse(error)),
        }
        let stored = judged.concerned.as_ref().and_then(|row| row.trace.clone());
        let trace = stored.unwrap_or_else(|| operation.trace.clone());
        let (asked, records, judged) = (Arc::clone(operation), Vec::new(), Arc::new(judged));
        let mut planned = Planned { operation: asked, slot: None, former_slot: None, records, trace, judged };
        match (operation.action(), &operation.task) {
            (Action::Switch { epoch }, _) if !store.is_refreshed(*epoch) => return Ok(Planning::Wait),
            // Nothing is compared for who has too few guardians.
            _ if matches!(planned.judged.permit, Permit::RefuseRecovery { .. }) => {}
            (_, Task::Verify(sample) | Task::Renew(sample)) => {
                planned.slot = planned.judged.slot(&sample.profile);
                planned.former_slot = operation.former().and_then(|former| planned.judged.slot(former));
                if planned.slot.or(planned.former_slot).is_none() {
                    return Ok(Planning::Refuse(Error::UnknownMember));
                }
            }
            (Action::Withdraw { profile: only }, _) => {
                let records = planned.judged.concerned.iter().flat_map(|member| &member.records);
                let wanted = records.filter(|record| only.as_ref().is_none_or(|only| *only == record.share.profile));
                planned.records = wanted.map(|record| (record.share.profile.clone(), record.share.slot)).collect();
                if planned.records.is_empty() {
                    return Ok(Planning::Refuse(Error::UnknownMember));
                }
            }
            _ => {}
        }
        Ok(Planning::Go(Box::new(planned)))
    }

    /// The adder for the gallery search, which is where the comparisons are.
    fn adder(&self, plan: &[Planned]) -> Adder {
        if let Some(adder) = *self.core.adder.lock().unwrap_or_else(PoisonError::into_inner) {
            return adder;
        }
        let comparisons = |id: &types::ProfileId| {
            let rows = self.core.config.roster.profile(id).map_or(1, |p| p.matching.probe_rows());
            let records = self.galleries.get(id).map_or(0, |g| g.read().unwrap_or_else(PoisonError::into_inner).len());
            plan.len() * rows * records.max(64)
        };
        let profile = plan.iter().find_map(|planned| planned.operation.profile());
        let former = plan.iter().find_map(|planned| planned.operation.former());
        let largest = profile.into_iter().chain(former).map(comparisons).max();
        let round_trip = self.round_trip.unwrap_or(FIRST_ROUND_TRIP);
        Adder::choose(largest.unwrap_or(64 * plan.len()), round_trip, self.core.config.mbit_per_s)
    }

    /// The others: checks a proposal and opens its session.
    pub(super) async fn on_propose(&mut self, from: NodeId, proposal: Proposal) -> Flow {
        if from != coordinator() {
            tracing::warn!(node = from.number(), "a node that does not propose has proposed");
            return Ok(());
        }
        if let Phase::Offered(_) = self.phase {
            // The coordinator has given up the earlier one.
            self.abandon(None, "replaced");
        }
        let session = proposal.session;
        let mut missing = Vec::new();
        let plan = self.check_proposal(&proposal, &mut missing).await?;
        let opened = plan.and_then(|plan| Some((plan, self.core.links.open_session(session).ok()?)));
        match opened {
            Some((plan, opened)) => {
                let since = Instant::now();
                self.phase = Phase::Offered(Offer { proposal, plan, session: opened, since, votes: Default::default() });
                self.send(from, ControlMessage::Ready { session });
            }
            None => self.send(from, ControlMessage::Refuse { session, missing }),
        }
        Ok(())
    }

    async fn check_proposal(&self, proposal: &Proposal, missing: &mut Vec<OperationRef>) -> Flow<Option<Vec<Planned>>> {
        let idle = matches!(self.phase, Phase::Idle);
        let follows = proposal.number == self.chain.committed + 1 && proposal.head == self.chain.head;
        let now = self.core.config.clock.now();
        if proposal.time.abs_diff(now) > limits::CLOCK_SKEW_S || proposal.time < self.chain.decided_at {
            tracing::warn!(seconds = proposal.time.abs_diff(now), "the clocks of two nodes differ too much; set them");
            return Ok(None);
        }
        if !idle || !follows || proposal.operations.is_empty() || self.core.ready().is_err() {
            return Ok(None);
        }
        let mut bounds = Bounds::default();
        let mut plan = Vec::with_capacity(proposal.operations.len().min(limits::BATCH_OPERATIONS));
        for reference in proposal.operations.iter().take(limits::BATCH_OPERATIONS + 1) {
            let Some(waiting) = self.pending.get(reference) else {
                missing.push(*reference);
                continue;
            };
            match self.plan(&waiting.operation, proposal.time).await? {
                Planning::Go(planned) if bounds.admit(&planned, &self.core.config.roster) => plan.push(*planned),
                Planning::Go(_) => {
                    tracing::warn!("a proposal breaks the bounds of a batch");
                    return Ok(None);
                }
                Planning::Wait | Planning::Refuse(_) => missing.push(*reference),
            }
        }
        Ok(missing.is_empty().then_some(plan))
    }

    /// Node 1: a node is ready.
    pub(super) fn on_ready(&mut self, from: NodeId, session: SessionId) {
        let Phase::Proposed(offer, ready) = &mut self.phase else { return };
        if offer.proposal.session != session {
            return;
        }
        if let Some(ready) = ready.get_mut(from.index()) {
            *ready = true;
        }
        if !ready.iter().all(|ready| *ready) {
            return;
        }
        // What the nodes do besides travels with it: the least counts. It may grow again, should the way become longer.
        let (took, before) = (offer.since.elapsed(), self.round_trip);
        self.round_trip = Some(before.map_or(took, |least| took.min(least * 5 / 4)));
        let start = |node| self.core.links.send(node, ControlMessage::Start { session }).is_ok();
        if !self.others().into_iter().all(start) {
            return self.abandon(None, "a node could not be told to start");
        }
        if let Phase::Proposed(offer, _) = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.begin(offer);
        }
    }

    /// Node 1: a node cannot follow.
    pub(super) fn on_refuse(&mut self, from: NodeId, session: SessionId, missing: Vec<OperationRef>) {
        match &self.phase {
            Phase::Proposed(offer, _) if offer.proposal.session == session => {}
            _ => return,
        }
        self.abandon(None, "a node refused a proposal");
        if !missing.is_empty() {
            self.propose_after = Instant::now() + AFTER_MISSING;
        }
        for reference in missing.into_iter().take(limits::BATCH_OPERATIONS) {
            self.pending.set_held(reference, from, false);
        }
    }

    /// The others: begin.
    pub(super) fn on_start(&mut self, from: NodeId, session: SessionId) {
        if from != coordinator() {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Offered(offer) if offer.proposal.session == session => self.begin(offer),
            phase => {
                // A run this node has given up; the others must not wait for it.
                self.phase = phase;
                self.broadcast(&ControlMessage::Aborted { session, unreachable: None });
            }
        }
    }

    fn begin(&mut self, offer: Offer) {
        let Offer { proposal, plan, session, votes, .. } = offer;
        let mut waiting = Vec::with_capacity(plan.len());
        for planned in &plan {
            match self.pending.take(&planned.operation.reference) {
                Some(operation) => waiting.push(operation),
                None => {
                    // It expired between proposal and start.
                    waiting.into_iter().for_each(|operation| self.pending.put_back(operation));
                    let (session, unreachable) = (proposal.session, None);
                    return self.broadcast(&ControlMessage::Aborted { session, unreachable });
                }
            }
        }
        let records = |id: &types::ProfileId| {
            let matching = self.core.config.roster.profile(id)?.matching.clone();
            Some(Records { matching, gallery: Arc::clone(self.galleries.get(id)?) })
        };
        let run = Run {
            node: self.own(),
            records: plan.iter().find_map(|planned| planned.operation.profile()).and_then(records),
            former: plan.iter().find_map(|planned| planned.operation.former()).and_then(records),
            adder: if proposal.prefix { Adder::Prefix } else { Adder::Ripple },
            operations: plan.clone(),
        };
        let (id, stop, finished) = (proposal.session, CancellationToken::new(), self.finished.clone());
        let token = stop.clone();
        tokio::spawn(async move {
            let result = run.start(session, token).await;
            // The receiver is gone only when the sequencer is.
            let _ = finished.send((id, result)).await;
        });
        self.phase = Phase::Matching(Matching { proposal, plan, waiting, stop, since: Instant::now(), votes });
    }
}
