//! Cosigns the logs of the other two nodes: C2SP `tlog-witness`, `add-checkpoint`.
//!
//! Beyond what any witness checks (the log signed it, and it continues what was cosigned last), this one knows what the log must
//! hold: leaves of joint operations are the same on all three nodes. So it waits until its own log is as long, compares the roots,
//! and cosigns nothing that it has not logged itself. A log that drops an entry, edits one, adds one or forks gets no cosignature
//! from an honest node; the checkpoint it signed is kept as evidence, and this node stops deciding until people have looked. Where the
//! log contradicts what was cosigned before, a proof for everybody is looked for (`evidence`).
//!
//! The record of what was cosigned is compared, replaced and on disk in one transaction, before the reply.

use std::sync::Arc;
use std::time::Duration;

use tlog::checkpoint::{log_key, witness_name};
use tlog::merkle::empty_root;
use tlog::{AddCheckpoint, Checkpoint, Conflict, Refusal, SignedCheckpoint, Tree, Verdict, VerifierKey, Witness, witness};
use types::{Digest, NodeId};

use super::evidence::{Case, pursue};
use super::faults::Point;
use super::sequencer::Core;
use super::status::Obstacle;
use crate::Error;
use crate::store::tiles::durable;

/// How long a checkpoint may be ahead of this node's own log: the other node may have committed a moment earlier.
const AHEAD: Duration = Duration::from_millis(1500);

/// What a witness answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type of the body.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
}

impl Answer {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Self {
        let mut answer = Self::text(refusal.status(), refusal.body());
        if let Refusal::OtherSize { .. } = refusal {
            answer.content_type = witness::SIZE_CONTENT_TYPE;
        }
        answer
    }
}

/// Decides over a request to cosign.
///
/// # Errors
/// [`Error::Database`], [`Error::Log`], [`Error::Io`]: nothing was cosigned.
pub(super) async fn add_checkpoint(core: &Arc<Core>, body: &[u8]) -> Result<Answer, Error> {
    let config = &core.config;
    let logs = NodeId::ALL.into_iter().filter(|node| *node != config.node);
    let logs: Vec<(NodeId, VerifierKey)> = logs.filter_map(|node| Some((node, log_key(&config.roster, node)?))).collect();
    let keys = logs.iter().map(|(_, key)| key.clone()).collect();
    let watcher = Witness::new(witness_name(&config.roster, config.node), keys);
    let request = match AddCheckpoint::parse(body) {
        Ok(request) => request,
        Err(error) => return Ok(Answer::from(&Refusal::BadRequest(error))),
    };
    let log = match watcher.origin_of(&request) {
        Ok(log) => log,
        Err(refusal) => return Ok(Answer::from(&refusal)),
    };
    let node = logs.iter().find(|(_, key)| key == log).map(|(node, _)| *node);
    let node = node.ok_or(Error::Internal { what: "the log is one of the two" })?;
    let theirs = match request.checkpoint.verify(log) {
        Ok(theirs) => theirs,
        Err(error) => return Ok(Answer::from(&Refusal::NotSigned(error))),
    };
    if let Some(answer) = cross_check(core, (node, log), theirs, &request.checkpoint).await? {
        return Ok(answer);
    }
    let now = config.clock.now();
    let decide = |latest: Option<&tlog::Latest>| watcher.consider(&request, latest, now, &config.log_key);
    match core.store.witness(log.name().as_str(), decide).await? {
        Verdict::Accept { reply, .. } => {
            if config.faults.stop_at(Point::AfterWitness) {
                core.stopped.cancel();
                return Err(Error::Stopped);
            }
            Ok(Answer::text(200, reply))
        }
        Verdict::Refuse(refusal) => {
            if let Some(conflict) = refusal.conflict() {
                accuse(core, node, &format!("fork-{}", theirs.size), &conflict.to_string()).await?;
            } else {
                tracing::debug!(node = node.number(), size = theirs.size, status = refusal.status(), "not cosigned");
            }
            Ok(Answer::from(&refusal))
        }
    }
}

/// Compares another node's checkpoint with this node's own log. An answer means that it is not to be cosigned.
async fn cross_check(
    core: &Arc<Core>,
    (node, log): (NodeId, &VerifierKey),
    theirs: &Checkpoint,
    signed: &SignedCheckpoint,
) -> Result<Option<Answer>, Error> {
    if !core.publication.covers(theirs.size, AHEAD).await {
        tracing::warn!(node = node.number(), size = theirs.size, "a checkpoint is ahead of this node's own log");
        return Ok(Some(Answer::text(503, "this witness has not logged so much itself; ask again\n")));
    }
    let ours = own_root(core, theirs.size).await?;
    if ours == theirs.root {
        return Ok(None);
    }
    // Two roots of one size under one signature prove the fork to anybody.
    let latest = core.store.witnessed(log.name().as_str()).await?;
    let cosigned = latest.map(|latest| latest.checkpoint().clone());
    let fork = cosigned.clone().and_then(|cosigned| Conflict::same_size(cosigned, signed.clone(), log).ok());
    if let Some(fork) = fork {
        accuse(core, node, &format!("fork-{}", theirs.size), &fork.to_string()).await?;
        return Ok(Some(Answer::text(422, "this witness has cosigned another root of this size\n")));
    }
    let evidence = format!(
        "The log of node {node} of {} entries has another root than the log of node {}, though entries of joint operations are the \
         same on all nodes. Root here: {ours}. The checkpoint below is signed by node {node}.\n\n{signed}",
        theirs.size, core.config.node
    );
    accuse(core, node, &format!("differs-{}", theirs.size), &evidence).await?;
    if let Some(cosigned) = cosigned {
        pursue(core, Case { node, log: log.clone(), cosigned, refused: signed.clone() });
    }
    Ok(Some(Answer::text(422, "this witness has logged other entries\n")))
}

async fn own_root(core: &Core, size: u64) -> Result<Digest, Error> {
    if size == 0 {
        return Ok(empty_root());
    }
    let files = std::sync::Arc::clone(core.store.log_files());
    let root = tokio::task::spawn_blocking(move || Tree::new(files.size(), &*files).root(size)).await;
    Ok(root.map_err(|_| Error::Internal { what: "a root could be computed" })??)
}

/// Keeps the evidence, says so loudly, and takes no more decisions.
async fn accuse(core: &Core, node: NodeId, name: &str, evidence: &str) -> Result<(), Error> {
    tracing::error!(
        node = node.number(),
        "the log of another node is not what was decided together; the evidence is in log/conflicts; nothing is decided until the \
         operators have compared their logs"
    );
    core.config.metrics.log_refused(node);
    core.set_alarm(Some(Obstacle::LogConflict(node)), |_| true);
    let (folder, name, evidence) = (core.store.conflicts(), format!("node-{node}-{name}.txt"), evidence.to_owned());
    let kept = tokio::task::spawn_blocking(move || durable(&folder, &name, evidence.as_bytes())).await;
    kept.unwrap_or(Err(Error::Internal { what: "evidence could be kept" }))
}

/// The node accused by evidence that was kept before this start, if any: an operator must have moved it away first.
pub(super) fn accused(folder: &std::path::Path) -> Option<NodeId> {
    let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("node-")?.get(..1)?.parse().ok()).find_map(|number| NodeId::new(number).ok())
}
