//! What the node tells others about its state: for readiness, for `GET /v1/commons`, and to refuse requests at once.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use types::NodeId;

use super::sequencer::Core;
use crate::Error;

/// Why this node does not take requests now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// These nodes cannot be reached, by this one or by another.
    Unreachable(Vec<NodeId>),
    /// State is being compared, or a batch is in doubt.
    Recovering,
    /// This node and another hold different decisions.
    Diverged(NodeId),
    /// This node's data is older than another's.
    Behind(NodeId),
    /// This node cannot keep its log, and why.
    LogStopped(String),
    /// A witness has cosigned more of this log than this node holds.
    LogSetBack,
    /// The log of this node is not what was decided.
    LogConflict(NodeId),
    /// Too little room on this node's disk.
    StorageFull,
    /// Stopping or stopped.
    Stopping,
}

impl Obstacle {
    /// Whether news of `node` can lift it.
    pub(super) fn concerns(&self, node: NodeId) -> bool {
        matches!(self, Self::Diverged(other) | Self::Behind(other) if *other == node)
    }

    /// For people.
    pub fn reason(&self) -> String {
        self.error().to_string()
    }

    pub(super) fn error(&self) -> Error {
        match self {
            Self::Unreachable(nodes) => Error::Unavailable { nodes: nodes.clone() },
            Self::Recovering => Error::Recovering,
            Self::Diverged(node) => Error::Disagreement { node: *node },
            Self::Behind(node) => Error::OutOfDate { node: *node },
            Self::LogStopped(what) => Error::LogStopped { what: what.clone() },
            Self::LogSetBack => {
                let what = "a witness has cosigned more of it than is here: the data directory is from an old backup";
                Error::LogStopped { what: what.to_owned() }
            }
            Self::LogConflict(node) => Error::LogConflict { node: *node },
            Self::StorageFull => Error::StorageFull,
            Self::Stopping => Error::Stopped,
        }
    }
}

/// Whether this node takes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Takes requests that need a decision.
    pub ready: bool,
    /// By `NodeId::index`: in touch and in agreement; this node itself always is.
    pub peers: [bool; 3],
    /// Why not.
    pub obstacle: Option<Obstacle>,
}

/// Published by the sequencer.
pub(super) struct Status {
    pub(super) committed: u64,
    /// Of which epoch the stored shares are, and whether a refresh is going on.
    pub(super) epoch: u64,
    pub(super) refreshing: bool,
    pub(super) records: BTreeMap<String, u64>,
    pub(super) in_agreement: [bool; 3],
    pub(super) obstacle: Option<Obstacle>,
    /// What the log's publisher and the witness found: as grave as an obstacle, and lifted by them alone.
    pub(super) alarm: Option<Obstacle>,
    /// Whether there is too little room on the disk, as the sequencer saw a moment ago.
    pub(super) full: bool,
}

impl Status {
    /// The gravest reason not to take requests.
    pub(super) fn standing(&self) -> Option<Obstacle> {
        let alarm = || self.alarm.clone().or(self.full.then_some(Obstacle::StorageFull));
        self.obstacle.clone().or_else(alarm)
    }
}

impl Core {
    /// Whether requests that need a decision can be taken now.
    pub(super) fn ready(&self) -> Result<(), Error> {
        if self.stopped.is_cancelled() {
            return Err(Error::Stopped);
        }
        let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
        status.standing().map_or(Ok(()), |obstacle| Err(obstacle.error()))
    }

    /// Says whether the disk has too little room. Returns whether that is news.
    pub(super) fn set_full(&self, full: bool) -> bool {
        let mut status = self.status.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut status.full, full) != full
    }

    /// Sets or lifts the alarm if `over` says that it may replace the present one. Evidence against another node stays.
    pub(super) fn set_alarm(&self, alarm: Option<Obstacle>, over: impl FnOnce(&Obstacle) -> bool) {
        let mut status = self.status.write().unwrap_or_else(PoisonError::into_inner);
        let stays = matches!(status.alarm, Some(Obstacle::LogConflict(_) | Obstacle::LogSetBack));
        if !stays && status.alarm.as_ref().is_none_or(over) {
            status.alarm = alarm;
        }
    }

    pub(super) fn set_obstacle(&self, obstacle: Option<Obstacle>) {
        self.status.write().unwrap_or_else(PoisonError::into_inner).obstacle = obstacle;
    }
}
