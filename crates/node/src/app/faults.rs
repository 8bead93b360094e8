//! Named points at which a test stops a node as if its process had died. In a running node the list is empty.

use std::sync::Arc;

/// Where a node can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    /// The outcome is computed, nothing is written.
    BeforePrepare,
    /// Shares are in the segment files; the database does not know them.
    AfterShares,
    /// The batch is durable; no vote has left.
    AfterPrepare,
    /// One peer has the vote.
    AfterOneVote,
    /// Committed; shares to erase are still there and no client has an answer.
    AfterCommit,
    /// Committed; the log's files do not have the entries yet.
    BeforeTiles,
    /// The log's files have the entries; no checkpoint over them is signed.
    AfterTiles,
    /// A checkpoint is signed and stored; nobody has seen it.
    AfterSign,
    /// A cosignature is stored; the log that asked for it has not got it.
    AfterWitness,
}

type Stop = dyn Fn(Point) -> bool + Send + Sync;

/// Decides at which points to stop.
#[derive(Clone, Default)]
pub(crate) struct Faults(Option<Arc<Stop>>, #[cfg(test)] bool);

impl Faults {
    /// Stops where `stop` says so.
    #[cfg(test)]
    pub(crate) fn new(stop: impl Fn(Point) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(stop)), false)
    }

    /// Of a node that lets relying parties do what no rule allows.
    #[cfg(test)]
    pub(crate) fn lawless() -> Self {
        Self(None, true)
    }

    /// Whether this node breaks the rules: only in tests.
    #[cfg(test)]
    pub(crate) fn is_lawless(&self) -> bool {
        self.1
    }

    /// In a node that is not under test there is no such choice.
    #[cfg(not(test))]
    pub(crate) const fn is_lawless(&self) -> bool {
        false
    }

    /// Whether to stop here.
    pub(crate) fn stop_at(&self, point: Point) -> bool {
        self.0.as_ref().is_some_and(|stop| stop(point))
    }
}
