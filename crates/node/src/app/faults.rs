//! Named points at which a test stops a node as if its process had died. A program that is not under test has no such choice:
//! there, [`Faults`] holds nothing, and asking it is a constant.

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
    /// Committed, and the galleries are up to it; nobody was told.
    AfterSettle,
    /// A refresh is going on, and the shares of the coming epoch are being made.
    DuringRefresh,
    /// Committed; the log's files do not have the entries yet.
    BeforeTiles,
    /// The log's files have the entries; no checkpoint over them is signed.
    AfterTiles,
    /// A checkpoint is signed and stored; nobody has seen it.
    AfterSign,
    /// A cosignature is stored; the log that asked for it has not got it.
    AfterWitness,
}

/// Decides at which points to stop.
#[cfg(not(test))]
#[derive(Clone, Default)]
pub(crate) struct Faults(());

#[cfg(not(test))]
impl Faults {
    /// Never.
    pub(crate) const fn stop_at(&self, _: Point) -> bool {
        false
    }

    /// Never.
    pub(crate) const fn holds_refresh(&self) -> bool {
        false
    }
}

#[cfg(test)]
pub(crate) use chosen::Faults;

#[cfg(test)]
mod chosen {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::Point;

    type Stop = dyn Fn(Point) -> bool + Send + Sync;

    /// What a test makes of a node.
    #[derive(Clone, Default)]
    pub(crate) struct Faults {
        stop: Option<Arc<Stop>>,
        lawless: bool,
        held: Option<Arc<AtomicBool>>,
    }

    impl Faults {
        /// Stops where `stop` says so.
        pub(crate) fn new(stop: impl Fn(Point) -> bool + Send + Sync + 'static) -> Self {
            Self { stop: Some(Arc::new(stop)), ..Self::default() }
        }

        /// Of a node that lets relying parties do what no rule allows.
        pub(crate) fn lawless() -> Self {
            Self { lawless: true, ..Self::default() }
        }

        /// Of a node that makes no new shares while `held` is set.
        pub(crate) fn holding(held: Arc<AtomicBool>) -> Self {
            Self { held: Some(held), ..Self::default() }
        }

        /// Whether the worker of a refresh waits.
        pub(crate) fn holds_refresh(&self) -> bool {
            self.held.as_ref().is_some_and(|held| held.load(Ordering::SeqCst))
        }

        /// Whether this node breaks the rules.
        pub(crate) fn is_lawless(&self) -> bool {
            self.lawless
        }

        /// Whether to stop here.
        pub(crate) fn stop_at(&self, point: Point) -> bool {
            self.stop.as_ref().is_some_and(|stop| stop(point))
        }
    }
}
