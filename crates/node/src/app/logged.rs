//! What the log says of a decision: a pure function, so that three nodes write one and the same entry.

use tlog::{Entry, Kind, Opening, entry};
use types::consent::Purpose;
use types::message::Decision;
use types::{PartyId, TraceKey};

use super::pending::Task;

/// What an entry tells the public, beside when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Public {
    /// What was done.
    pub(crate) kind: Kind,
    /// What for.
    pub(crate) purpose: Option<Purpose>,
    /// For which relying party.
    pub(crate) party: Option<PartyId>,
}

impl Public {
    /// Of an operation, whatever became of it.
    pub(crate) fn of(task: &Task) -> Self {
        let (kind, purpose) = match task {
            Task::Enrol(..) => (Kind::Enrolment, Some(Purpose::deduplication())),
            Task::Verify(..) => (Kind::Verification, Some(Purpose::verification())),
            Task::Withdraw(_) => (Kind::Withdrawal, None),
        };
        Self { kind, purpose, party: None }
    }
}

/// The entry of `decision`, canonical. It stands at the decision's `log_index` and concerns the holder of `trace`.
pub(crate) fn entry(decision: &Decision, public: Public, trace: &TraceKey) -> Vec<u8> {
    use types::sign::Message as _;

    let Public { kind, purpose, party } = public;
    let index = decision.log_index;
    let entry = Entry {
        version: entry::VERSION,
        kind,
        purpose,
        party,
        batch: decision.batch,
        at: decision.decided_at,
        tag: trace.tag(index),
        commitment: Opening::new(trace, index, decision.digest()).commitment(),
    };
    entry.to_bytes()
}
