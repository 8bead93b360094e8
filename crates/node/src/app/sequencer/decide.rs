//! From verdicts to a committed batch: prepare, vote, commit; and what becomes of a batch when something fails in between.

use std::collections::HashMap;
use std::time::Instant;

use types::message::Certificate;
use types::sign::{sign, verify};
use types::{DeviceKey, Digest, NodeId, Signature};

use super::{Flow, Halt, Matching, Phase, Prepared, Sequencer, TICK, Vote};
use crate::Error;
use crate::app::faults::Point;
use crate::app::link::{ControlMessage, SessionId};
use crate::app::matching::{Failure, Verdict};
use crate::app::pending::Waiting;
use crate::app::rules::Rules;
use crate::app::status::Obstacle;
use crate::store::{Batch, Chain, Effect};

impl Sequencer {
    /// A run has ended.
    pub(super) async fn on_finished(&mut self, session: SessionId, result: Result<Vec<Verdict>, Failure>) -> Flow {
        match &self.phase {
            Phase::Matching(run) if run.proposal.session == session => {}
            // A run that was given up while it computed.
            _ => return Ok(()),
        }
        match result {
            Ok(verdicts) => {
                if let Phase::Matching(run) = std::mem::replace(&mut self.phase, Phase::Idle) {
                    self.decide(run, verdicts).await?;
                }
            }
            Err(failure) => {
                let unreachable = match &failure {
                    Failure::Session(error) => Some(error.node()),
                    Failure::Protocol(_) | Failure::Disagreement | Failure::Stopped | Failure::Broken => None,
                };
                self.abandon(unreachable, &failure.to_string());
            }
        }
        Ok(())
    }

    async fn decide(&mut self, run: Matching, verdicts: Vec<Verdict>) -> Flow {
        self.fault(Point::BeforePrepare)?;
        let session = run.proposal.session;
        let mut waiting = Vec::with_capacity(run.waiting.len());
        let mut decided = Vec::with_capacity(run.waiting.len());
        for ((operation, planned), verdict) in run.waiting.into_iter().zip(run.plan).zip(verdicts) {
            if let Verdict::Deferred = verdict {
                self.pending.put_back(operation);
            } else {
                waiting.push(operation);
                decided.push((planned, verdict));
            }
        }
        let head = (run.proposal.number, run.proposal.time);
        let (mut batch, shares) = self.outcomes(session, head, decided)?;
        let slots = match self.core.store.append(shares).await {
            Ok(slots) => slots,
            Err(error) => {
                self.decline(session, waiting, &error);
                return Ok(());
            }
        };
        batch.set_slots(slots);
        self.fault(Point::AfterShares)?;
        match self.core.store.prepare(&batch).await {
            Err(error) if error.is_storage_full() => {
                // Nothing was promised. The shares lie in free slots, where the next ones would go.
                self.core.store.take_back(&batch).await?;
                self.decline(session, waiting, &error);
                return Ok(());
            }
            done => done?,
        }
        self.fault(Point::AfterPrepare)?;

        let mut prepared = self.promise(batch, waiting, false);
        prepared.began = run.since;
        let vote = prepared.own_vote(self.own());
        self.phase = Phase::Prepared(Box::new(prepared));
        let [first, second] = self.others();
        self.send(first, vote.clone());
        self.fault(Point::AfterOneVote)?;
        self.send(second, vote);
        for (node, vote) in NodeId::ALL.into_iter().zip(run.votes) {
            if let Some(vote) = vote {
                self.on_vote(node, session, vote).await?;
            }
        }
        Ok(())
    }

    /// Ends a run whose outcome this node could not store, and promises that it never will.
    fn decline(&mut self, session: SessionId, waiting: Vec<Waiting>, error: &Error) {
        tracing::error!(code = error.code(), error = error as &dyn std::error::Error, "the outcome could not be stored");
        self.release(waiting, None, "a node could not store the outcome");
        self.propose_after = Instant::now() + TICK;
        self.broadcast(&ControlMessage::Aborted { session, unreachable: None });
    }

    /// A batch that this node has prepared, with its own signatures.
    pub(super) fn promise(&self, batch: Batch, waiting: Vec<Waiting>, in_doubt: bool) -> Prepared {
        let key = &self.core.config.signing_key;
        let own: Vec<Signature> = batch.entries.iter().map(|entry| sign(&entry.decision, key)).collect();
        let mut votes = [const { None }; 3];
        if let Some(place) = votes.get_mut(self.own().index()) {
            *place = Some(own);
        }
        let (session, digest, now) = (SessionId(batch.session), batch.digest(), Instant::now());
        Prepared { batch, session, digest, votes, waiting, began: now, asked: now, in_doubt }
    }

    /// A peer's signatures.
    pub(super) async fn on_vote(&mut self, from: NodeId, session: SessionId, vote: Vote) -> Flow {
        match &mut self.phase {
            Phase::Proposed(offer, _) | Phase::Offered(offer) if offer.proposal.session == session => {
                keep(&mut offer.votes, from, vote);
            }
            Phase::Matching(run) if run.proposal.session == session => keep(&mut run.votes, from, vote),
            Phase::Prepared(prepared) if prepared.session == session => {
                let Some(key) = self.core.config.roster.node(from).map(|node| node.signing_key) else { return Ok(()) };
                if vote.0 == prepared.digest && signed_by(&prepared.batch, &vote.1, &key) {
                    if let Some(place) = prepared.votes.get_mut(from.index()) {
                        *place = Some(vote.1);
                    }
                    return self.commit_if_all_voted().await;
                }
                self.disagree(from);
            }
            _ => return self.answer_about(from, session).await,
        }
        Ok(())
    }

    /// What has become of a run that is not in progress here.
    async fn answer_about(&self, from: NodeId, session: SessionId) -> Flow {
        let message = match self.core.store.newest().await? {
            Some(newest) if newest.session == session.0 => {
                ControlMessage::Certificates { session, batch: newest.digest, signatures: newest.signatures }
            }
            _ => ControlMessage::Aborted { session, unreachable: None },
        };
        self.send(from, message);
        Ok(())
    }

    /// A peer has prepared a run and asks about it.
    pub(super) async fn on_resolve(&mut self, from: NodeId, session: SessionId) -> Flow {
        match &self.phase {
            Phase::Prepared(prepared) if prepared.session == session => self.send(from, prepared.own_vote(self.own())),
            // It goes on; the answer will be a vote or `Aborted`.
            Phase::Proposed(offer, _) | Phase::Offered(offer) if offer.proposal.session == session => {}
            Phase::Matching(run) if run.proposal.session == session => {}
            _ => self.answer_about(from, session).await?,
        }
        Ok(())
    }

    /// A peer will never vote for this run.
    pub(super) async fn on_aborted(&mut self, from: NodeId, session: SessionId, unreachable: Option<NodeId>) -> Flow {
        let unreachable = unreachable.filter(|node| *node != self.own());
        match &self.phase {
            Phase::Proposed(offer, _) | Phase::Offered(offer) if offer.proposal.session == session => {}
            Phase::Matching(run) if run.proposal.session == session => {}
            Phase::Prepared(prepared) if prepared.session == session => return self.discard(from, unreachable).await,
            _ => return Ok(()),
        }
        self.abandon(unreachable, "another node ended the run");
        Ok(())
    }

    async fn discard(&mut self, from: NodeId, unreachable: Option<NodeId>) -> Flow {
        let Phase::Prepared(prepared) = std::mem::replace(&mut self.phase, Phase::Idle) else { return Ok(()) };
        tracing::info!(batch = prepared.batch.number, node = from.number(), "discard a batch that a node did not prepare");
        self.core.store.discard(&prepared.batch).await?;
        self.broadcast(&ControlMessage::Aborted { session: prepared.session, unreachable });
        self.release(prepared.waiting, unreachable, "a node fell before it could promise the decision");
        self.update_status();
        Ok(())
    }

    /// A peer has committed the batch that this node still holds as prepared.
    pub(super) async fn on_certificates(
        &mut self,
        session: SessionId,
        digest: Digest,
        signatures: Vec<[Signature; 3]>,
    ) -> Flow {
        let Phase::Prepared(prepared) = &mut self.phase else { return Ok(()) };
        if prepared.session != session {
            return Ok(());
        }
        for node in &self.core.config.roster.nodes {
            let theirs: Vec<Signature> = signatures.iter().filter_map(|three| three.get(node.id.index()).copied()).collect();
            if digest != prepared.digest || !signed_by(&prepared.batch, &theirs, &node.signing_key) {
                let id = node.id;
                self.disagree(id);
                return Ok(());
            }
            if let Some(place) = prepared.votes.get_mut(node.id.index()) {
                *place = Some(theirs);
            }
        }
        self.commit_if_all_voted().await
    }

    /// A peer decided otherwise. This node keeps what it promised and serves nobody until people have looked.
    fn disagree(&mut self, node: NodeId) {
        tracing::error!(node = node.number(), "another node has decided the same batch differently");
        self.obstacle = Some(Obstacle::Diverged(node));
        self.update_status();
    }

    pub(super) async fn commit_if_all_voted(&mut self) -> Flow {
        let Phase::Prepared(prepared) = &self.phase else { return Ok(()) };
        let [Some(one), Some(two), Some(three)] = &prepared.votes else { return Ok(()) };
        let signatures: Vec<[Signature; 3]> =
            one.iter().zip(two).zip(three).map(|((one, two), three)| [*one, *two, *three]).collect();
        let batch = &prepared.batch;
        let certificates = batch.certificates(&signatures)?;
        let (outcomes_s, _) = self.core.rules().retention_s();
        match self.core.store.commit(batch, &signatures, batch.time.saturating_add(outcomes_s)).await {
            Err(error) if error.is_storage_full() => {
                // It is promised and decided. This node serves nobody until it has done as the others.
                tracing::error!(batch = batch.number, "no room to commit what was decided; it is tried again");
                return Ok(());
            }
            done => done?,
        }
        self.fault(Point::AfterCommit)?;
        let Phase::Prepared(prepared) = std::mem::replace(&mut self.phase, Phase::Idle) else { return Ok(()) };
        let batch = prepared.batch;
        self.core.store.settle(&batch).await?;
        self.fault(Point::AfterSettle)?;
        self.adopt(&batch).await?;
        self.follow_refresh().await?;

        let log = std::mem::take(&mut self.log);
        self.log = batch.extend(log).ok_or(Error::Internal { what: "the store has checked the log" })?;
        self.chain = Chain { committed: batch.number, head: batch.head(), decided_at: batch.time };
        self.core.config.metrics.batch(batch.entries.len(), prepared.began.elapsed());
        tracing::debug!(batch = batch.number, operations = batch.entries.len(), "committed");
        self.core.publication.committed.notify_one();
        self.publish();
        self.broadcast(&self.state());
        answer(prepared.waiting, certificates);
        Ok(())
    }

    /// The rules change for all nodes with the same batch.
    async fn adopt(&self, batch: &Batch) -> Flow {
        if batch.entries.iter().any(|entry| matches!(entry.effect, Effect::AdoptCharter { .. })) {
            let rules = Rules::load(&self.core.store, &self.core.config.roster).await?;
            tracing::info!(version = rules.charter.version(), batch = batch.number, "a charter is adopted");
            self.core.set_rules(rules);
        }
        Ok(())
    }

    pub(super) fn fault(&self, point: Point) -> Flow {
        match self.core.config.faults.stop_at(point) {
            true => Err(Halt::Fault),
            false => Ok(()),
        }
    }
}

impl Prepared {
    pub(super) fn own_vote(&self, own: NodeId) -> ControlMessage {
        let signatures = self.votes.get(own.index()).cloned().flatten().unwrap_or_default();
        ControlMessage::Vote { session: self.session, batch: self.digest, signatures }
    }
}

fn keep(votes: &mut super::Votes, from: NodeId, vote: Vote) {
    if let Some(place) = votes.get_mut(from.index()) {
        *place = Some(vote);
    }
}

fn signed_by(batch: &Batch, signatures: &[Signature], key: &DeviceKey) -> bool {
    signatures.len() == batch.entries.len()
        && batch.entries.iter().zip(signatures).all(|(entry, signature)| verify(&entry.decision, key, signature).is_ok())
}

fn answer(waiting: Vec<Waiting>, certificates: Vec<Certificate>) {
    let mut by_operation: HashMap<_, _> = certificates.into_iter().map(|c| (c.decision.operation, c)).collect();
    for waiting in waiting {
        let certificate = by_operation.remove(&waiting.operation.reference.operation);
        waiting.finish(certificate.ok_or(Error::Internal { what: "every decided operation has a certificate" }));
    }
}
