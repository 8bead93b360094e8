//! One task per node that orders everything: what may be proposed, prepared, committed or discarded happens here, one thing at
//! a time. So "I have not prepared this run and never will" is a promise this task can give.
//!
//! **A batch.** Node 1 proposes operations that all three hold; the others open the session and answer `Ready`; node 1 says
//! `Start`; all match; each makes the outcome durable (*prepared*) and sends its signatures (*vote*); who has all three votes
//! commits and answers its clients. One batch at a time: node 1 proposes the next when both others have reported this one as
//! committed.
//!
//! **After a crash or a lost connection** nothing is guessed. A run that is not prepared dies with the connection it began on,
//! and the node says `Aborted`. A prepared batch waits: it is committed on three votes or on a peer's `Certificates`, and
//! discarded only when a peer says `Aborted`: since that peer will never vote, nobody can ever commit it.
//!
//! | in phase | may receive | and then |
//! |---|---|---|
//! | idle | `Propose` (not node 1) | offered |
//! | proposed (node 1) | `Ready` from both | matching |
//! | offered | `Start` | matching |
//! | matching | verdicts of its own run | prepared |
//! | prepared | votes, `Certificates`, `Aborted` | idle |
//!
//! Out of scope: checking requests (`admission`), the protocols (`matching`), files (`store`).

mod bounds;
mod decide;
mod outcome;
mod propose;
pub(crate) mod refresh;
mod shield;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use mpc::gallery::Gallery;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use types::message::Request;
use types::sign::Signed;
use types::{Digest, NodeId, OperationId, ProfileId, Signature};

use super::config::Config;
use super::link::{ControlMessage, Links, OperationRef, PeerEvent, Proposal, Session, SessionId};
use super::matching::{Failure, Planned, Verdict};
use super::pending::{Answer, Operation, Pending, Waiting};
use super::publisher::Publication;
use super::rules::Rules;
use super::status::{Obstacle, Status};
use crate::Error;
use crate::store::{Batch, Chain, Store};
use propose::Planning;

/// How often time limits are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often a prepared batch asks for what it lacks.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a stopping node waits for the batch in flight.
const LAST_BATCH: Duration = Duration::from_secs(10);
/// How long seen operation ids and old certificates may stay beyond their time.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The galleries, one per profile. The store changes them when the sequencer calls it, and only between runs.
pub(super) type Galleries = BTreeMap<ProfileId, Arc<RwLock<Gallery>>>;

/// What clients' calls ask of the sequencer.
pub(super) enum Command {
    /// Decide this.
    Submit(Arc<Operation>, Answer),
    /// This node refused its share of the operation; the others need not wait.
    Refused(OperationRef),
    /// A member raises their shield; answered when it holds here.
    Shield(Box<Signed<Request>>, oneshot::Sender<Result<(), Error>>),
    /// Is this operation waiting, in a run, or prepared?
    IsOpen(OperationId, oneshot::Sender<bool>),
}

/// What the node's parts share.
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) commons: Digest,
    pub(super) store: Store,
    pub(super) links: Arc<dyn Links>,
    pub(super) status: RwLock<Status>,
    /// Where the log stands, and who is told of commits.
    pub(super) publication: Publication,
    /// The charter in force.
    pub(super) rules: RwLock<Arc<Rules>>,
    /// Asks the node to stop.
    pub(super) stop: CancellationToken,
    /// Cancelled when the sequencer has stopped.
    pub(super) stopped: CancellationToken,
    /// For measurements: the adder of every batch, whatever its size.
    pub(super) adder: std::sync::Mutex<Option<mpc::Adder>>,
    /// For measurements: the adder of the batch that was proposed last.
    pub(super) last_adder: std::sync::Mutex<Option<mpc::Adder>>,
    /// Held while a proof of a fork is looked for.
    pub(super) pursuit: tokio::sync::Mutex<()>,
}

pub(super) struct Sequencer {
    core: Arc<Core>,
    galleries: Galleries,
    chain: Chain,
    /// The log after the newest committed batch.
    log: tlog::Peaks,
    pending: Pending,
    phase: Phase,
    peers: [Option<Peer>; 3],
    /// Node 1: no proposal before this instant.
    propose_after: Instant,
    /// The least time from a proposal to readiness of late, to choose an adder; absent before the first.
    round_trip: Option<Duration>,
    obstacle: Option<Obstacle>,
    finished: mpsc::Sender<(SessionId, Result<Vec<Verdict>, Failure>)>,
    forgotten: Instant,
    shields_told: Instant,
    refresh: refresh::Progress,
}

/// A connected peer.
#[derive(Default)]
struct Peer {
    /// Batches committed and head, as it last said on this connection.
    state: Option<(u64, Digest)>,
    unreachable: Vec<NodeId>,
}

type Vote = (Digest, Vec<Signature>);
type Votes = [Option<Vote>; 3];

enum Phase {
    Idle,
    /// Node 1: waiting for `Ready`.
    Proposed(Offer, [bool; 3]),
    /// The others: waiting for `Start`.
    Offered(Offer),
    Matching(Matching),
    Prepared(Box<Prepared>),
}

struct Offer {
    proposal: Proposal,
    plan: Vec<Planned>,
    session: Session,
    since: Instant,
    votes: Votes,
}

struct Matching {
    proposal: Proposal,
    plan: Vec<Planned>,
    waiting: Vec<Waiting>,
    stop: CancellationToken,
    since: Instant,
    votes: Votes,
}

struct Prepared {
    batch: Batch,
    session: SessionId,
    digest: Digest,
    /// Own signatures in their place; a peer's only when they verify.
    votes: [Option<Vec<Signature>>; 3],
    /// Clients of this node, where there are any since the last start.
    waiting: Vec<Waiting>,
    /// When its run began.
    began: Instant,
    asked: Instant,
    /// A connection was lost, or the node restarted, since it was prepared.
    in_doubt: bool,
}

/// The sequencer ends: a fault point of a test, or an error after which the state in memory cannot be trusted.
enum Halt {
    Fault,
    Error(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Flow<T = ()> = Result<T, Halt>;

impl Sequencer {
    /// Takes over the chain where the store left it. Also returns where finished runs report.
    pub(super) async fn load(
        core: Arc<Core>,
    ) -> Result<(Self, mpsc::Receiver<(SessionId, Result<Vec<Verdict>, Failure>)>), Error> {
        let mut galleries = Galleries::new();
        for profile in &core.config.roster.profiles {
            galleries.insert(profile.id.clone(), core.store.gallery(&profile.id)?);
        }
        let (chain, log) = (core.store.chain().await?, core.store.log().await?);
        let (finished, results) = mpsc::channel(4);
        let mut sequencer = Self {
            pending: Pending::new(core.config.node),
            chain,
            log,
            galleries,
            phase: Phase::Idle,
            peers: [const { None }; 3],
            propose_after: Instant::now(),
            round_trip: None,
            obstacle: None,
            finished,
            forgotten: Instant::now(),
            shields_told: Instant::now(),
            refresh: refresh::Progress::new(core.store.epoch().await?),
            core,
        };
        if let Some(batch) = sequencer.core.store.prepared().await? {
            tracing::info!(batch = batch.number, "a batch was prepared before the restart; ask the other nodes about it");
            sequencer.phase = Phase::Prepared(Box::new(sequencer.promise(batch, Vec::new(), true)));
        }
        match sequencer.requeue_shields().await {
            Ok(()) | Err(Halt::Fault) => {}
            Err(Halt::Error(error)) => return Err(error),
        }
        sequencer.publish();
        Ok((sequencer, results))
    }

    /// Runs until the node stops.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut events: mpsc::Receiver<PeerEvent>,
        mut results: mpsc::Receiver<(SessionId, Result<Vec<Verdict>, Failure>)>,
    ) {
        match self.serve(&mut commands, &mut events, &mut results).await {
            Ok(()) => tracing::info!("the sequencer has stopped"),
            Err(Halt::Fault) => tracing::warn!("stopped at a fault point"),
            Err(Halt::Error(error)) => {
                tracing::error!(code = error.code(), error = &error as &dyn std::error::Error, "this node must stop");
            }
        }
        if let Phase::Matching(run) = &self.phase {
            run.stop.cancel();
        }
        let core = Arc::clone(&self.core);
        // Everything that holds a client's answer goes first, then the word that it is over.
        drop((self, commands));
        core.stopped.cancel();
    }

    async fn serve(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        events: &mut mpsc::Receiver<PeerEvent>,
        results: &mut mpsc::Receiver<(SessionId, Result<Vec<Verdict>, Failure>)>,
    ) -> Flow {
        let mut tick = tokio::time::interval(TICK);
        let stop = self.core.stop.clone();
        let mut last = None;
        loop {
            tokio::select! {
                Some(event) = events.recv() => self.on_event(event).await?,
                Some((session, result)) = results.recv() => {
                    if result.is_err() {
                        // What a peer said before it ended a session may be the reason.
                        self.catch_up(events).await?;
                    }
                    self.on_finished(session, result).await?;
                }
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command).await?,
                    // Nobody is left who could ask for anything.
                    None => return Ok(()),
                },
                _ = tick.tick() => self.on_tick().await?,
                () = stop.cancelled(), if last.is_none() => {
                    last = Some(Instant::now());
                    self.fail_pending(|_| Error::Stopped);
                    self.core.set_obstacle(Some(Obstacle::Stopping));
                }
            }
            match last {
                None => self.propose().await?,
                // Let the batch in flight end, so that its clients get their answer.
                Some(since) if matches!(self.phase, Phase::Idle) || since.elapsed() > LAST_BATCH => return Ok(()),
                Some(_) => {}
            }
        }
    }

    /// Takes in what has come from the peers so far.
    async fn catch_up(&mut self, events: &mut mpsc::Receiver<PeerEvent>) -> Flow {
        for _ in 0..super::link::EVENT_QUEUE {
            let Ok(event) = events.try_recv() else { break };
            self.on_event(event).await?;
        }
        Ok(())
    }

    fn own(&self) -> NodeId {
        self.core.config.node
    }

    fn is_coordinator(&self) -> bool {
        self.own().number() == 1
    }

    /// The other two, in a fixed order.
    fn others(&self) -> [NodeId; 2] {
        [self.own().next(), self.own().prev()]
    }

    /// Sends what may be lost: a message that does not get through is made good by the next connection or the next tick.
    fn send(&self, to: NodeId, message: ControlMessage) {
        let name = message.name();
        if self.core.links.send(to, message).is_err() {
            tracing::debug!(node = to.number(), message = name, "not sent");
        }
    }

    fn broadcast(&self, message: &ControlMessage) {
        for node in self.others() {
            self.send(node, message.clone());
        }
    }

    fn state(&self) -> ControlMessage {
        let unreachable = self.others().into_iter().filter(|node| self.peer(*node).is_none()).collect();
        ControlMessage::State { committed: self.chain.committed, head: self.chain.head, unreachable }
    }

    fn peer(&self, node: NodeId) -> Option<&Peer> {
        self.peers.get(node.index()).and_then(Option::as_ref)
    }

    fn set_peer(&mut self, node: NodeId, peer: Option<Peer>) {
        if let Some(slot) = self.peers.get_mut(node.index()) {
            *slot = peer;
        }
    }

    async fn on_command(&mut self, command: Command) -> Flow {
        match command {
            Command::Submit(operation, answer) => {
                if let Err(error) = self.core.ready() {
                    let _ = answer.send(Err(error));
                    return Ok(());
                }
                let reference = operation.reference;
                self.pass_on_act(&operation);
                if self.pending.add(operation, answer) && !self.is_coordinator() {
                    self.send(coordinator(), ControlMessage::Have { operations: vec![reference] });
                }
            }
            Command::Refused(reference) => {
                self.broadcast(&ControlMessage::Dropped { operations: vec![reference], node: self.own() });
            }
            Command::Shield(signed, answer) => {
                let _ = answer.send(self.on_shield(*signed).await?);
            }
            Command::IsOpen(operation, answer) => {
                let _ = answer.send(self.is_open(operation));
            }
        }
        Ok(())
    }

    async fn on_event(&mut self, event: PeerEvent) -> Flow {
        match event {
            PeerEvent::Up { node, epoch } => {
                tracing::info!(node = node.number(), epoch, "in touch");
                self.set_peer(node, Some(Peer::default()));
                self.pass_on_shields(node).await?;
                self.broadcast(&self.state());
                if let Phase::Prepared(prepared) = &self.phase {
                    self.send(node, ControlMessage::Resolve { session: prepared.session });
                }
                self.update_status();
            }
            PeerEvent::Down { node } => {
                tracing::warn!(node = node.number(), "out of touch");
                self.set_peer(node, None);
                // First the word to clients and the last peer, then the failures it explains.
                self.update_status();
                self.broadcast(&self.state());
                if let Phase::Prepared(prepared) = &mut self.phase {
                    prepared.in_doubt = true;
                }
                self.abandon(Some(node), "a connection was lost");
                let references = self.fail_pending(|_| Error::Unavailable { nodes: vec![node] });
                if !references.is_empty() {
                    self.broadcast(&ControlMessage::Dropped { operations: references, node });
                }
                self.forget_held(node);
                self.update_status();
            }
            PeerEvent::Message { from, message } => {
                tracing::trace!(node = from.number(), message = message.name(), "received");
                self.on_message(from, message).await?;
            }
        }
        Ok(())
    }

    async fn on_message(&mut self, from: NodeId, message: ControlMessage) -> Flow {
        match message {
            ControlMessage::State { committed, head, unreachable } => self.on_state(from, committed, head, unreachable),
            ControlMessage::Have { operations } => {
                for reference in operations.into_iter().take(types::limits::PENDING_OPERATIONS) {
                    self.pending.set_held(reference, from, true);
                }
            }
            ControlMessage::Shields { requests } => self.on_shields(from, requests).await?,
            ControlMessage::Acts { requests } => self.on_acts(from, requests).await?,
            ControlMessage::Dropped { operations, node } => self.on_dropped(operations, node).await?,
            ControlMessage::Propose(proposal) => self.on_propose(from, proposal).await?,
            ControlMessage::Ready { session } => self.on_ready(from, session),
            ControlMessage::Refuse { session, missing } => self.on_refuse(from, session, missing),
            ControlMessage::Start { session } => self.on_start(from, session),
            ControlMessage::Vote { session, batch, signatures } => {
                self.on_vote(from, session, (batch, signatures)).await?;
            }
            ControlMessage::Aborted { session, unreachable } => self.on_aborted(from, session, unreachable).await?,
            ControlMessage::Resolve { session } => self.on_resolve(from, session).await?,
            ControlMessage::Certificates { session, batch, signatures } => {
                self.on_certificates(session, batch, signatures).await?;
            }
        }
        Ok(())
    }

    fn on_state(&mut self, from: NodeId, committed: u64, head: Digest, unreachable: Vec<NodeId>) {
        self.set_peer(from, Some(Peer { state: Some((committed, head)), unreachable }));
        let same = committed == self.chain.committed;
        // A peer may be one batch ahead while this node still waits for a vote.
        let one_ahead = committed == self.chain.committed + 1 && matches!(self.phase, Phase::Prepared(_));
        let obstacle = if same && head != self.chain.head {
            tracing::error!(node = from.number(), batch = committed, "the decision chains differ; do not serve");
            Some(Obstacle::Diverged(from))
        } else if committed > self.chain.committed && !one_ahead {
            tracing::error!(node = from.number(), batch = committed, "this data directory is older than the others'");
            Some(Obstacle::Behind(from))
        } else {
            None
        };
        self.obstacle = obstacle.or(self.obstacle.take().filter(|o| !o.concerns(from)));
        self.update_status();
    }

    /// Answers everything that waits for a batch but shields and the nodes' own acts. Returns what it was.
    fn fail_pending(&mut self, error: impl Fn(&Waiting) -> Error) -> Vec<OperationRef> {
        let waiting = self.pending.take_all();
        let references = waiting.iter().map(|waiting| waiting.operation.reference).collect();
        for waiting in waiting {
            let error = error(&waiting);
            waiting.finish(Err(error));
        }
        references
    }

    /// Ends a run that is not prepared, and promises that it never will be. Does nothing in other phases.
    fn abandon(&mut self, unreachable: Option<NodeId>, reason: &str) {
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let session = match phase {
            Phase::Idle => return,
            Phase::Prepared(_) => {
                self.phase = phase;
                return;
            }
            // Their operations are still among the pending ones.
            Phase::Proposed(offer, _) | Phase::Offered(offer) => offer.proposal.session,
            Phase::Matching(run) => {
                run.stop.cancel();
                tracing::warn!(batch = run.proposal.number, reason, "matching ended early");
                self.release(run.waiting, unreachable, reason);
                run.proposal.session
            }
        };
        self.propose_after = Instant::now() + TICK;
        self.broadcast(&ControlMessage::Aborted { session, unreachable });
    }

    async fn on_tick(&mut self) -> Flow {
        let patience = self.core.config.patience;
        self.look_for_room();
        match &mut self.phase {
            Phase::Proposed(offer, _) if offer.since.elapsed() > patience.proposal => {
                self.abandon(None, "a node did not answer a proposal");
            }
            Phase::Offered(offer) if offer.since.elapsed() > 2 * patience.proposal => {
                self.abandon(None, "a proposal was not begun");
            }
            Phase::Prepared(prepared) if prepared.asked.elapsed() > ASK_AGAIN => {
                prepared.asked = Instant::now();
                let (session, votes) = (prepared.session, prepared.votes.clone());
                for node in self.others() {
                    if votes.get(node.index()).is_some_and(Option::is_none) {
                        self.send(node, ControlMessage::Resolve { session });
                    }
                }
            }
            _ => {}
        }
        self.drop_overdue(patience.share, patience.answer);
        let operations = self.pending.forget_early(patience.share);
        if !operations.is_empty() && self.is_coordinator() {
            self.broadcast(&ControlMessage::Dropped { operations, node: self.own() });
        }
        self.tend_refresh()?;
        if self.shields_told.elapsed() > ASK_AGAIN {
            self.shields_told = Instant::now();
            self.requeue_shields().await?;
            // For a batch that all have promised and this node had no room to commit.
            self.commit_if_all_voted().await?;
        }
        if self.forgotten.elapsed() > FORGET_EVERY {
            self.forgotten = Instant::now();
            match self.forget().await {
                // It is forgotten when there is room again.
                Err(error) if error.is_storage_full() => tracing::warn!("no room to erase what is too old"),
                done => done?,
            }
        }
        Ok(())
    }

    async fn forget(&self) -> Result<(), Error> {
        self.core.store.forget(self.core.config.clock.now()).await?;
        self.core.store.forget_consent(self.chain.decided_at, self.core.rules().retention_s()).await
    }

    /// Takes no part in anything new while the disk has too little room. What waits is refused at once, everywhere.
    fn look_for_room(&mut self) {
        // A file system that does not say has room until something cannot be written.
        let full = self.core.store.room().is_ok_and(|bytes| bytes < types::limits::STORAGE_RESERVE_BYTES);
        if !self.core.set_full(full) {
            return;
        }
        if !full {
            return tracing::info!("there is room on the disk again");
        }
        let least_mb = types::limits::STORAGE_RESERVE_BYTES / 1_000_000;
        tracing::error!(
            least_mb,
            "too little room on the disk of the data directory; nothing is decided until there is more"
        );
        let operations = self.fail_pending(|_| Error::StorageFull);
        if !operations.is_empty() {
            self.broadcast(&ControlMessage::Dropped { operations, node: self.own() });
        }
    }

    /// Operations that some node never got, and operations whose time has passed.
    fn drop_overdue(&mut self, share: Duration, answer: Duration) {
        let now = self.core.config.clock.now();
        let expired = |w: &Waiting| !w.operation.is_lasting() && w.operation.expires_at + types::limits::CLOCK_SKEW_S < now;
        for waiting in self.pending.take_if(expired) {
            waiting.finish(Err(Error::Expired));
        }
        let coordinator = self.is_coordinator();
        let limit = if coordinator { share } else { share + answer };
        let overdue =
            |w: &Waiting| !w.operation.is_lasting() && w.since.elapsed() > limit && (!coordinator || w.lacking().is_some());
        for waiting in self.pending.take_if(overdue) {
            let node = waiting.lacking().filter(|_| coordinator).unwrap_or(self::coordinator());
            let operations = vec![waiting.operation.reference];
            self.broadcast(&ControlMessage::Dropped { operations, node });
            waiting.finish(Err(Error::NotEverywhere { node }));
        }
    }

    /// The others' word that an operation will not be decided.
    async fn on_dropped(&mut self, operations: Vec<OperationRef>, node: NodeId) -> Flow {
        for reference in operations.into_iter().take(types::limits::PENDING_OPERATIONS) {
            match self.pending.take(&reference) {
                None => self.pending.set_dropped(reference, node),
                Some(waiting) => {
                    // All nodes judge alike: if this node would refuse it now, that is the better reason.
                    let time = self.core.config.clock.now().max(self.chain.decided_at);
                    match self.plan(&waiting.operation, time).await? {
                        Planning::Refuse(error) => waiting.finish(Err(error)),
                        _ if waiting.operation.is_lasting() => self.pending.put_back(waiting),
                        _ => waiting.finish(Err(Error::NotEverywhere { node })),
                    }
                }
            }
        }
        Ok(())
    }

    fn update_status(&self) {
        let mut status = self.core.status.write().unwrap_or_else(PoisonError::into_inner);
        let peer = |node: NodeId| self.peer(node);
        status.obstacle = self.current_obstacle();
        status.in_agreement = NodeId::ALL.map(|node| {
            node == self.own()
                || peer(node).is_some_and(|p| p.state.is_some_and(|(n, _)| n.abs_diff(self.chain.committed) <= 1))
        });
    }

    fn current_obstacle(&self) -> Option<Obstacle> {
        if self.core.stop.is_cancelled() {
            return Some(Obstacle::Stopping);
        }
        let mut missing: Vec<NodeId> = self.others().into_iter().filter(|node| self.peer(*node).is_none()).collect();
        if missing.is_empty() {
            missing.extend(self.peers.iter().flatten().flat_map(|peer| peer.unreachable.iter().copied()));
            missing.retain(|node| *node != self.own());
        }
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            return Some(Obstacle::Unreachable(missing));
        }
        if let Some(obstacle) = &self.obstacle {
            return Some(obstacle.clone());
        }
        let silent = self.peers.iter().flatten().any(|peer| peer.state.is_none());
        let in_doubt = matches!(&self.phase, Phase::Prepared(prepared) if prepared.in_doubt);
        (silent || in_doubt).then_some(Obstacle::Recovering)
    }

    /// Tells the rest of the node what stands now. Records are counted in memory: the store would read them all.
    fn publish(&self) {
        let active = |gallery: &RwLock<Gallery>| {
            let gallery = gallery.read().unwrap_or_else(PoisonError::into_inner);
            gallery.usable_words().iter().map(|word| u64::from(word.count_ones())).sum()
        };
        {
            let mut status = self.core.status.write().unwrap_or_else(PoisonError::into_inner);
            status.committed = self.chain.committed;
            (status.epoch, status.refreshing) = (self.refresh.epoch.present, self.refresh.epoch.coming.is_some());
            let profiles = self.core.config.roster.profiles.iter();
            let counted = profiles.filter_map(|profile| Some((&profile.id, self.galleries.get(&profile.id)?)));
            status.records = counted.map(|(profile, gallery)| (profile.to_string(), active(gallery))).collect();
        }
        self.update_status();
    }
}

/// Answers clients whose operations were in a run that ended. Nothing was changed for them.
fn fail(waiting: Vec<Waiting>, unreachable: Option<NodeId>, reason: &str) {
    for waiting in waiting {
        waiting.finish(Err(match unreachable {
            Some(node) => Error::Unavailable { nodes: vec![node] },
            None => Error::Aborted { reason: reason.to_owned() },
        }));
    }
}

/// The node that proposes batches.
fn coordinator() -> NodeId {
    let [one, ..] = NodeId::ALL;
    one
}
