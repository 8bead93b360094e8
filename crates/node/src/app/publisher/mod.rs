//! Publishes this node's log: writes what was committed into files, signs a checkpoint, asks the witnesses, serves the result.
//!
//! One task, one round at a time; commits that come meanwhile share the next round.
//!
//! 1. Files: full tiles and bundles are on disk before a checkpoint over them is signed.
//! 2. Sign: the last signed checkpoint is read, continued and replaced in one database transaction. So no crash, and no second
//!    task, makes this node sign two roots of one size or a root that does not continue the last.
//! 3. Ask every witness: the two other nodes and those in the configuration. One that does not answer is left in peace for a
//!    while; publication goes on without it.
//! 4. Publish: the checkpoint, with the cosignatures that came, is stored and then served. What is served never shrinks.
//!
//! When files cannot be written or nothing can be signed, the node takes no more decisions until a later round succeeds: a use
//! that cannot be logged in public must not happen. Entries already committed are in the database and are not lost.
//!
//! Out of scope: how a request reaches a witness ([`Courier`]); cosigning the logs of others (`witness`).

mod cosign;
mod state;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tlog::{Checkpoint, SignedCheckpoint, Tree, VerifierKey, checkpoint};

use super::faults::Point;
use super::sequencer::Core;
use super::status::Obstacle;
use crate::Error;
use crate::store::Own;

pub(super) use state::Publication;

/// Between two rounds, so that a busy commons signs a few checkpoints a second and not one per batch.
const PAUSE: Duration = Duration::from_millis(100);
/// After a round that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long a cosignature stays young; then the same checkpoint is cosigned again, so that people see that the log is watched.
const RENEW: Duration = Duration::from_secs(600);

/// What a courier brings back: an HTTP status and a body, or why there is none.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<(u16, Vec<u8>), String>> + Send + 'a>>;

/// Takes a checkpoint to a witness, and looks at another node's log.
pub trait Courier: Send + Sync + 'static {
    /// Sends `body` to the `add-checkpoint` call of `witness`. Ends in bounded time.
    fn add_checkpoint<'a>(&'a self, witness: &'a WitnessAt, body: String) -> Delivery<'a>;

    /// Fetches a file of the log of a witness that is a node, by its path below `log/`. Ends in bounded time.
    fn log_file<'a>(&'a self, witness: &'a WitnessAt, path: String) -> Delivery<'a>;
}

/// A witness and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAt {
    /// Its key; the key's name is its name.
    pub key: VerifierKey,
    /// Submission prefix: the call is `URL/add-checkpoint`.
    pub url: String,
    /// For a node of this commons, which.
    pub node: Option<types::NodeId>,
}

/// Nobody is reached: until somebody sets up a courier.
#[derive(Debug)]
pub(super) struct NoCourier;

impl Courier for NoCourier {
    fn add_checkpoint<'a>(&'a self, _: &'a WitnessAt, _: String) -> Delivery<'a> {
        Box::pin(async { Err("this node has no way to reach witnesses".to_owned()) })
    }
    fn log_file<'a>(&'a self, _: &'a WitnessAt, _: String) -> Delivery<'a> {
        Box::pin(async { Err("this node has no way to reach other nodes' logs".to_owned()) })
    }
}

/// The other two nodes as witnesses.
pub(super) fn nodes_as_witnesses(config: &super::Config) -> Vec<WitnessAt> {
    let others = config.roster.nodes.iter().filter(|node| node.id != config.node);
    let witness = |node: &types::roster::RosterNode| {
        let key = checkpoint::witness_key(&config.roster, node.id)?;
        Some(WitnessAt { key, url: node.url.clone(), node: Some(node.id) })
    };
    others.filter_map(witness).collect()
}

/// Runs until the node stops.
pub(super) async fn run(core: Arc<Core>) {
    let publisher = Publisher { core };
    let stopped = publisher.core.stopped.clone();
    stopped.run_until_cancelled(publisher.serve()).await;
}

/// Why a round ended early.
enum Stop {
    /// A fault point of a test.
    Fault,
    Error(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

struct Publisher {
    core: Arc<Core>,
}

impl Publisher {
    async fn serve(self) {
        loop {
            let next = match self.round().await {
                Ok(next) => {
                    self.core.set_alarm(None, |alarm| matches!(alarm, Obstacle::LogStopped(_)));
                    next
                }
                Err(Stop::Fault) => {
                    tracing::warn!("stopped at a fault point");
                    return self.core.stopped.cancel();
                }
                Err(Stop::Error(error)) => {
                    tracing::error!(
                        code = error.code(),
                        "the log cannot be published, so nothing is decided: {}",
                        error.chain()
                    );
                    self.core.set_alarm(Some(Obstacle::LogStopped(plain(&error))), |_| true);
                    RETRY
                }
            };
            tokio::time::sleep(PAUSE.min(next)).await;
            let publication = &self.core.publication;
            let _ = tokio::time::timeout(next.saturating_sub(PAUSE), publication.committed.notified()).await;
        }
    }

    /// Returns how long nothing needs to be done unless something is committed.
    async fn round(&self) -> Result<Duration, Stop> {
        let core = &self.core;
        if core.publication.is_held() {
            return Ok(RENEW);
        }
        self.fault(Point::BeforeTiles)?;
        core.store.write_log().await?;
        core.publication.set_size(core.store.log_files());
        self.fault(Point::AfterTiles)?;
        let size = core.store.log_files().size();
        if size == 0 {
            return Ok(RENEW);
        }
        let signed = self.sign(size).await?;
        self.fault(Point::AfterSign)?;
        let next = self.cosign(signed).await?;
        Ok(next)
    }

    async fn sign(&self, size: u64) -> Result<SignedCheckpoint, Error> {
        let config = &self.core.config;
        let key = self.log_key()?;
        if let Some(last) = self.core.store.checkpoint(Own::Signed).await?
            && last.verify(&key)?.size == size
            && last.verify(&key)?.root == self.core.store.log_files().root()
        {
            return Ok(last);
        }
        let files = Arc::clone(self.core.store.log_files());
        let next = Checkpoint { origin: key.name().clone(), size, root: files.root() };
        let sign = |last: Option<&Checkpoint>| {
            // A few tiles of at most 8 KiB each.
            let proof = Tree::new(size, &*files).consistency_proof(last.map_or(0, |last| last.size), size)?;
            Ok(SignedCheckpoint::sign_next(last, &next, &proof, &config.log_key)?)
        };
        let signed = self.core.store.sign_checkpoint(&key, sign).await?;
        self.core.publication.signed(&next);
        Ok(signed)
    }

    fn log_key(&self) -> Result<VerifierKey, Error> {
        let config = &self.core.config;
        checkpoint::log_key(&config.roster, config.node).ok_or(Error::Internal { what: "the roster lists this node" })
    }

    fn fault(&self, point: Point) -> Result<(), Stop> {
        if self.core.config.faults.stop_at(point) { Err(Stop::Fault) } else { Ok(()) }
    }
}

/// The error for members' devices: without paths.
fn plain(error: &Error) -> String {
    match error {
        Error::Io { source, .. } => source.kind().to_string(),
        Error::Database(_) => "its database failed".to_owned(),
        other => other.to_string(),
    }
}

/// When a witness that did not cosign is asked again.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(6))
}

/// Time left until `at`.
fn until(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}
