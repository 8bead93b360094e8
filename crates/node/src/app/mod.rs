//! Decides: admits requests, orders them into batches, matches them with the peers, signs and keeps the decisions.
//!
//! A request comes in through [`App`], is checked (`admission`), noted against replay (`replay`) and handed to the one task that
//! orders everything (`sequencer`). The sequencer agrees on batches with its peers ([`link`]), runs them (`matching`) and keeps
//! what was decided (`crate::store`). Answers about what is known of a member come from the store alone (`statement`).
//!
//! Knows nothing of HTTP, TLS or addresses.

mod admission;
mod attempts;
mod config;
mod evidence;
mod facts;
mod faults;
pub mod link;
mod logged;
mod matching;
mod pending;
mod personas;
mod publisher;
mod replay;
mod rules;
mod seed;
mod sequencer;
mod statement;
mod status;
#[cfg(test)]
mod tests;
mod witness;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tlog::tile::Resource;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use types::api::{CharterBody, CommonsBody, LogBody, PeerBody, to_base64};
use types::message::{Action, Certificate, Request};
use types::sign::{Message as _, Signed};
use types::{NodeId, TraceKey, limits};

pub(crate) use sequencer::refresh::operators_request;

pub use config::{Clock, Config, Patience, SystemClock};
pub use publisher::{Courier, Delivery, WitnessAt};
pub use status::{Obstacle, Readiness};
pub use witness::Answer;

use crate::Error;
use crate::store::{Own, Store};
use admission::{check_request, check_trace, open_sample, remember_until};
use attempts::Attempts;
use facts::{Shields, State};
use link::{Links, OperationRef, PeerEvent};
use pending::{Operation, Task};
use personas::open_binding;
use publisher::Publication;
use replay::Replays;
use rules::Rules;
use sequencer::{Command, Core, Sequencer};
use status::Status;

/// Shares opened at the same time.
const OPENING: usize = 4;
/// Credentials that one device may ask for within an epoch.
const ISSUES: u32 = 12;

/// The application core of one node. A clone is another handle to the same core.
#[derive(Clone)]
pub struct App(Arc<Handle>);

struct Handle {
    core: Arc<Core>,
    commands: mpsc::Sender<Command>,
    replays: Replays,
    attempts: Attempts,
    /// How often each device may be issued to.
    issues: Attempts,
    opening: Semaphore,
    #[cfg(test)]
    sequencer: tokio::task::AbortHandle,
}

impl App {
    /// Takes up the work where the store left it. News of peers comes in through `events` ([`link::EVENT_QUEUE`] long).
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Charter`], [`Error::Io`], [`Error::Database`] when the stored state cannot be loaded.
    pub async fn start(
        config: Config,
        store: Store,
        links: Arc<dyn Links>,
        events: mpsc::Receiver<PeerEvent>,
    ) -> Result<Self, Error> {
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let in_agreement = NodeId::ALL.map(|node| node == config.node);
        let missing = NodeId::ALL.into_iter().filter(|node| *node != config.node).collect();
        let status = Status {
            committed: 0,
            epoch: 0,
            refreshing: false,
            records: std::collections::BTreeMap::new(),
            in_agreement,
            obstacle: Some(Obstacle::Unreachable(missing)),
            alarm: witness::accused(&store.conflicts()).map(Obstacle::LogConflict),
            full: false,
        };
        let attempts = Attempts::new(config.patience.attempts, config.patience.attempt_interval);
        // One epoch takes one credential; some more for devices that lost an answer.
        let issues = Attempts::new(ISSUES, Duration::from_secs(u64::from(config.roster.epochs.length_s / ISSUES)));
        let commons = config.roster.digest();
        let publication = publication(&config, &store).await?;
        let status = RwLock::new(status);
        let rules = RwLock::new(Arc::new(Rules::load(&store, &config.roster).await?));
        let (adder, last_adder, pursuit) = Default::default();
        let core = Arc::new(Core {
            config,
            commons,
            store,
            links,
            status,
            publication,
            rules,
            stop,
            stopped,
            adder,
            last_adder,
            pursuit,
        });
        let (sequencer, results) = Sequencer::load(Arc::clone(&core)).await?;
        let (commands, queue) = mpsc::channel(limits::PENDING_OPERATIONS);
        let sequencer = tokio::spawn(sequencer.run(queue, events, results)).abort_handle();
        #[cfg(not(test))]
        drop(sequencer);
        tokio::spawn(publisher::run(Arc::clone(&core)));
        let replays = Replays::start(Arc::clone(&core));
        let opening = Semaphore::new(OPENING);
        Ok(Self(Arc::new(Handle {
            core,
            commands,
            replays,
            attempts,
            issues,
            opening,
            #[cfg(test)]
            sequencer,
        })))
    }

    /// Ends everything at once, as a crash would.
    #[cfg(test)]
    pub(crate) fn kill(&self) {
        self.0.sequencer.abort();
        self.0.core.stopped.cancel();
    }

    /// Does what all three nodes decide together, but for a shield going up, and waits for the decision. `trace` is the key to which the request commits.
    ///
    /// # Errors
    /// What `admission` refuses; [`Error::Unavailable`] at once when a node is down; [`Error::InDoubt`] when the decision does
    /// not come in time; others as [`Error`] describes. Only after [`Error::InDoubt`] may the operation still be decided.
    pub async fn submit(
        &self,
        signed: Signed<Request>,
        trace: Option<TraceKey>,
        sealed_share: Option<Vec<u8>>,
    ) -> Result<Certificate, Error> {
        let (core, request) = (&self.0.core, &signed.message);
        if !request.action.is_decided() || matches!(request.action, Action::ShieldUp | Action::Switch { .. }) {
            return Err(Error::WrongAction { action: request.action.name() });
        }
        check_request(&signed, &core.config.roster, &core.commons, core.config.clock.now())?;
        let trace = check_trace(&signed.message, trace)?;
        core.ready()?;
        let operation = self.admit(signed, trace, sealed_share).await?;
        let (answer, decision) = oneshot::channel();
        self.0.commands.send(Command::Submit(Arc::new(operation), answer)).await.map_err(|_| Error::Stopped)?;
        match tokio::time::timeout(core.config.patience.answer, decision).await {
            Ok(Ok(result)) => result,
            // The sequencer went away with the answer: it may have been decided.
            Ok(Err(_)) | Err(_) => Err(Error::InDoubt),
        }
    }

    /// Raises the shield of the asking member: on return it holds on this node, whatever becomes of the others. The answer is
    /// this node's statement; the decision of all three follows, and `outcome` tells it. Asking again is harmless.
    ///
    /// # Errors
    /// What `admission` refuses; [`Error::UnknownMember`]; [`Error::Stopped`].
    pub async fn raise_shield(&self, signed: Signed<Request>) -> Result<Vec<u8>, Error> {
        let core = &self.0.core;
        if !matches!(signed.message.action, Action::ShieldUp) {
            return Err(Error::WrongAction { action: signed.message.action.name() });
        }
        check_request(&signed, &core.config.roster, &core.commons, core.config.clock.now())?;
        let (answer, raised) = oneshot::channel();
        let command = Command::Shield(Box::new(signed.clone()), answer);
        self.0.commands.send(command).await.map_err(|_| Error::Stopped)?;
        raised.await.unwrap_or(Err(Error::Stopped))?;
        statement::answer(core, &signed.message).await
    }

    /// The charter in force.
    pub fn charter(&self) -> CharterBody {
        let rules = self.0.core.rules();
        CharterBody {
            version: rules.charter.version(),
            digest: rules.charter.digest().to_hex(),
            document: String::from_utf8_lossy(rules.charter.bytes()).into_owned(),
            signed: rules.signed.as_ref().map(|signed| to_base64(&types::encode(signed))),
        }
    }

    /// The certificate of an earlier operation of the same device. Of a relying party's ask: of its answer, once there is one.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InDoubt`] while it is not decided; what `admission` refuses.
    pub async fn outcome(&self, signed: Signed<Request>) -> Result<Certificate, Error> {
        let core = &self.0.core;
        let request = &signed.message;
        let Action::Outcome { operation } = request.action else {
            return Err(Error::WrongAction { action: request.action.name() });
        };
        check_request(&signed, &core.config.roster, &core.commons, core.config.clock.now())?;
        self.0.replays.note(request.operation, remember_until(request)).await?;
        let (answer, open) = oneshot::channel();
        // Open first, certificate second: an operation that is decided between the two is found.
        let asked = self.0.commands.send(Command::IsOpen(operation, answer)).await.is_ok();
        let open = asked && open.await.unwrap_or(false);
        match core.store.outcome(&operation, &request.device).await? {
            Some(certificate) => Ok(certificate),
            None if open => Err(Error::InDoubt),
            None => Err(Error::NotFound),
        }
    }

    /// What this node knows of the asking member or relying party: the bytes for `StatementBody::statement`. For `Inspect` they
    /// are sealed to the request's reply key. For `Issue` there is this node's signature in it.
    ///
    /// # Errors
    /// What `admission` refuses; for `Issue` [`Error::NotPermitted`], [`Error::TooManyAttempts`]; for `See` [`Error::NotPermitted`] when there is no such ask for the asking device;
    /// [`Error::Damaged`] when a stored share cannot be read.
    pub async fn statement(&self, signed: Signed<Request>) -> Result<Vec<u8>, Error> {
        let core = &self.0.core;
        let request = &signed.message;
        if request.action.is_decided() || matches!(request.action, Action::Outcome { .. }) {
            return Err(Error::WrongAction { action: request.action.name() });
        }
        check_request(&signed, &core.config.roster, &core.commons, core.config.clock.now())?;
        self.0.replays.note(request.operation, remember_until(request)).await?;
        if matches!(request.action, Action::Issue { .. }) {
            self.0.issues.take(&request.device)?;
        }
        let told = statement::answer(core, request).await;
        if let Err(error) = &told {
            personas::note_refusal(core, request, error).await?;
        }
        told
    }

    /// Public facts.
    pub fn commons(&self) -> CommonsBody {
        let core = &self.0.core;
        let peers = self.readiness().peers;
        let status = core.status.read().unwrap_or_else(PoisonError::into_inner);
        let others = NodeId::ALL.into_iter().zip(peers).filter(|(node, _)| *node != core.config.node);
        CommonsBody {
            commons: core.config.roster.commons.clone(),
            roster: core.commons.to_hex(),
            node: core.config.node.number(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profiles: core.config.roster.profiles.iter().map(|profile| profile.id.to_string()).collect(),
            batch: status.committed,
            records: status.records.clone(),
            epoch: status.epoch,
            refreshing: status.refreshing,
            peers: others.map(|(node, available)| PeerBody { node: node.number(), available }).collect(),
        }
    }

    /// Whether requests that need a decision are taken now.
    pub fn readiness(&self) -> Readiness {
        let core = &self.0.core;
        let connected = core.links.available();
        let status = core.status.read().unwrap_or_else(PoisonError::into_inner);
        let stopped = core.stopped.is_cancelled().then_some(Obstacle::Stopping);
        let obstacle = stopped.or_else(|| status.standing());
        let peers = NodeId::ALL.map(|node| {
            let at = |flags: [bool; 3]| flags.get(node.index()).copied().unwrap_or(false);
            node == core.config.node || (at(status.in_agreement) && at(connected))
        });
        Readiness { ready: obstacle.is_none(), peers, obstacle }
    }

    /// Where the log stands.
    pub fn log(&self) -> LogBody {
        let core = &self.0.core;
        core.publication.body(core.config.witnesses.iter().filter(|witness| witness.node.is_some()).count())
    }

    /// Changes whenever another checkpoint is served, or the same with more cosignatures.
    pub fn log_news(&self) -> tokio::sync::watch::Receiver<(u64, usize)> {
        self.0.core.publication.news()
    }

    /// The newest published checkpoint with its cosignatures; absent before the first entry.
    pub fn checkpoint(&self) -> Option<Arc<str>> {
        self.0.core.publication.checkpoint()
    }

    /// The bytes of a tile or an entry bundle; absent when the log is not that long.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Log`].
    pub async fn log_file(&self, resource: Resource) -> Result<Option<Vec<u8>>, Error> {
        let files = Arc::clone(self.0.core.store.log_files());
        let read = tokio::task::spawn_blocking(move || files.get(&resource)).await;
        read.unwrap_or(Err(Error::Internal { what: "a log file could be read" }))
    }

    /// For measurements: while publication is held, decisions are logged and no checkpoint is signed.
    pub fn hold_publication(&self, hold: bool) {
        self.0.core.publication.hold(hold);
    }

    /// For measurements: from now on every batch that this node proposes is matched with this adder; with `None`, it chooses again.
    pub fn set_adder(&self, adder: Option<mpc::Adder>) {
        *self.0.core.adder.lock().unwrap_or_else(PoisonError::into_inner) = adder;
    }

    /// For measurements: the adder of the batch that this node proposed last.
    pub fn last_adder(&self) -> Option<mpc::Adder> {
        *self.0.core.last_adder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cosigns a checkpoint of another node's log, or says why not.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Log`], [`Error::Io`]: nothing was cosigned.
    pub async fn add_checkpoint(&self, body: &[u8]) -> Result<Answer, Error> {
        witness::add_checkpoint(&self.0.core, body).await
    }

    /// Stops: refuses new requests, lets the batch in flight end, then ends the sequencer. Returns when it has.
    pub async fn shutdown(&self) {
        self.0.core.stop.cancel();
        self.stopped().await;
        self.0.core.store.close().await;
    }

    /// Returns when the sequencer has stopped, by [`Self::shutdown`] or because it had to (the log says why). The process should
    /// then end; a restart takes up the work where the store left it.
    pub async fn stopped(&self) {
        self.0.core.stopped.cancelled().await;
    }

    /// Everything between the pure checks and the queue: what the rules say of it now, share, replay, attempts.
    async fn admit(&self, signed: Signed<Request>, trace: TraceKey, sealed: Option<Vec<u8>>) -> Result<Operation, Error> {
        let (core, request) = (&self.0.core, &signed.message);
        let reference = OperationRef { operation: request.operation, request: request.digest() };
        let (device, expires_at, until) = (request.device, request.expires_at, remember_until(request));
        // An early answer from the committed state; the sequencer judges again when the operation's turn comes.
        let rules = core.rules();
        let state = State::of(core, &rules);
        let began = Instant::now();
        let judged = state.judge(request, Some(&trace), Shields::Known, core.config.clock.now()).await;
        if let Err(error) = &judged {
            personas::note_refusal(core, request, error).await?;
        }
        let judged = judged?;
        core.config.metrics.judged(began.elapsed());
        let task = self.task(request, reference, sealed).await?;
        if let Action::Withdraw { profile } = &request.action {
            let has = |row: &crate::store::MemberRow| profile.as_ref().is_none_or(|profile| row.record(profile).is_some());
            judged.concerned.as_ref().filter(|row| has(row)).ok_or(Error::UnknownMember)?;
        }
        self.0.replays.note(reference.operation, until).await?;
        let compares = matches!(request.action, Action::Verify(_) | Action::Renew(_) | Action::Answer(_));
        if compares && matches!(task, Task::Verify(..) | Task::Renew(..)) {
            // After the replay check: a request that somebody repeats must not use up the member's attempts. A relying party's
            // uses are bounded by the grant and by the charter.
            let taken = self.0.attempts.take(&device);
            if taken.is_err() {
                let _ = self.0.commands.send(Command::Refused(reference)).await;
            }
            taken?;
        }
        let concerned = judged.concerned.as_ref().map(|row| row.member);
        Ok(Operation { reference, device, trace, expires_at, signed, concerned, task })
    }

    /// Opens the share of an action that carries one.
    async fn task(&self, request: &Request, reference: OperationRef, sealed: Option<Vec<u8>>) -> Result<Task, Error> {
        let carries = request.action.submission().is_some() || matches!(request.action, Action::Bind(_));
        let sealed = match (carries, sealed) {
            (true, Some(sealed)) => sealed,
            (true, None) => return Err(Error::ShareMissing),
            (false, Some(_)) => return Err(Error::ShareUnexpected),
            (false, None) => return Ok(Task::Unmatched),
        };
        let opened = self.open(request.clone(), sealed).await;
        if let Err(Error::BadShare { .. } | Error::Binding(_) | Error::Value(_)) = &opened {
            // The other two nodes need not wait for this one.
            let _ = self.0.commands.send(Command::Refused(reference)).await;
        }
        opened
    }

    async fn open(&self, request: Request, sealed: Vec<u8>) -> Result<Task, Error> {
        let _turn = self.0.opening.acquire().await.map_err(|_| Error::Stopped)?;
        let core = Arc::clone(&self.0.core);
        let work = move || {
            let Config { node, roster, seal_key, .. } = &core.config;
            if request.action.submission().is_none() {
                return open_binding(&request, *node, seal_key, &sealed).map(|binding| Task::Bind(Box::new(binding)));
            }
            let sample = open_sample(&request, roster, *node, seal_key, &sealed)?;
            Ok(match request.action {
                Action::Enrol(_) => Task::Enrol(sample),
                Action::Renew(_) => Task::Renew(sample),
                _ => Task::Verify(sample),
            })
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Internal { what: "opening a share panicked" }))
    }
}

/// Drops what the charter in force no longer keeps at the chain's time, as a running node does now and then: afterwards the rows of
/// nodes at one head are the same.
///
/// # Errors
/// [`Error::Charter`], [`Error::Database`].
pub(crate) async fn prune(store: &Store, roster: &types::roster::Roster) -> Result<(), Error> {
    let rules = Rules::load(store, roster).await?;
    store.forget_consent(store.chain().await?.decided_at, rules.retention_s()).await
}

async fn publication(config: &Config, store: &Store) -> Result<Publication, Error> {
    let key = tlog::checkpoint::log_key(&config.roster, config.node);
    let key = key.ok_or(Error::Internal { what: "the roster lists this node" })?;
    let published = store.checkpoint(Own::Published).await?;
    let published = published.as_ref().map(|note| Ok::<_, Error>((note.verify(&key)?.size, note))).transpose()?;
    Ok(Publication::new(key.name().to_string(), &config.witnesses, published))
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App {{ node: {} }}", self.0.core.config.node)
    }
}
