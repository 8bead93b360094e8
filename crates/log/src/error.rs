//! The one error type of this crate. Each variant is one fault, so that a test can name the fault it planted.

/// What can be wrong with a log, or with what somebody says about one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More bytes, lines or signatures than this text may have.
    #[error("{what} has {got}; at most {limit} are accepted")]
    TooLarge {
        /// What was being read, with its unit.
        what: &'static str,
        /// Found.
        got: usize,
        /// Allowed.
        limit: usize,
    },
    /// Text or bytes that break a rule of their format.
    #[error("this is not a well-formed {what}: {rule}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A version that this program does not know.
    #[error("{what} has version {got}, and this program knows version {known}; update the older side")]
    Version {
        /// What was being read.
        what: &'static str,
        /// Version found.
        got: u16,
        /// Version known.
        known: u16,
    },
    /// A verifier key whose id does not follow from its name and key.
    #[error("the key id of {name} does not belong to its key; copy the whole verifier key again")]
    KeyId {
        /// Key name.
        name: String,
    },
    /// No signature by the key that must have signed.
    #[error("{name} has not signed this; ask its operator for a signed copy")]
    NotSigned {
        /// Key name.
        name: String,
    },
    /// A signature by a known key that does not verify.
    #[error("the signature of {name} is not valid; the text was altered, or signed with another key")]
    BadSignature {
        /// Key name.
        name: String,
    },
    /// A checkpoint of another log.
    #[error("this is a checkpoint of {got}, not of {expected}; fetch the one of the right log")]
    WrongOrigin {
        /// The log meant.
        expected: String,
        /// The log found.
        got: String,
    },
    /// A checkpoint of a log that nobody told us about.
    #[error("the log {origin} is not known here; check the roster or the policy")]
    UnknownOrigin {
        /// Origin line.
        origin: String,
    },
    /// A tile or bundle that could not be read.
    #[error("{path} could not be read: {reason}; restore it from a copy, or build it again from the entries")]
    Unavailable {
        /// Path below the log's prefix.
        path: String,
        /// Why, for people.
        reason: String,
    },
    /// A tile of another length than its width says: cut short, or written half.
    #[error("{path} has {got} bytes where {expected} belong; it is torn: build it again from the entries")]
    TornTile {
        /// Path below the log's prefix.
        path: String,
        /// Bytes found.
        got: usize,
        /// Bytes that its width needs.
        expected: usize,
    },
    /// A tile or bundle whose content does not hash to what stands above it.
    #[error("{path} does not hash to what the tree says; it was altered: compare with a copy of the log")]
    WrongTile {
        /// Path below the log's prefix.
        path: String,
    },
    /// An index or size outside of the tree.
    #[error("the log has {size} entries, and {got} is not within it; fetch a newer checkpoint")]
    OutOfRange {
        /// Asked for.
        got: u64,
        /// Entries in the tree.
        size: u64,
    },
    /// An inclusion proof that does not lead to the root.
    #[error("entry {index} is not in the tree of {size} entries; the entry or the proof was altered")]
    NotIncluded {
        /// Claimed index.
        index: u64,
        /// Tree size.
        size: u64,
    },
    /// A consistency proof that does not lead from the old root to the new one.
    #[error(
        "the log of {new} entries does not continue the log of {old}; keep both checkpoints, and ask the operator for a proof"
    )]
    NotConsistent {
        /// Older size.
        old: u64,
        /// Newer size.
        new: u64,
    },
    /// A tree whose entries hash to another root than its checkpoint.
    #[error("the entries do not hash to the checkpoint of size {size}; an entry was edited, dropped or added")]
    WrongRoot {
        /// Tree size.
        size: u64,
    },
    /// An older checkpoint than one already seen.
    #[error(
        "this checkpoint has {got} entries, and one of {have} was seen before; the log was set back or serves an old copy"
    )]
    Stale {
        /// Size seen before.
        have: u64,
        /// Size offered.
        got: u64,
    },
    /// An opening that does not open the commitment.
    #[error("the entry is not about this decision; look for another entry, or the receipt was altered")]
    Commitment,
    /// Proofs of different entries, or of an entry in different places, where one is meant.
    #[error("the three logs do not hold the entry in one place: index {first} and index {second}")]
    DifferentIndex {
        /// Index in one log.
        first: u64,
        /// Index in another.
        second: u64,
    },
    /// Evidence of a conflict that does not show one.
    #[error("this does not show two histories: {rule}")]
    NoConflict {
        /// What is missing.
        rule: &'static str,
    },
    /// A policy file that breaks a rule.
    #[error("policy, line {line}: {rule}")]
    Policy {
        /// Line number, from 1; 0 for the file as a whole.
        line: usize,
        /// The rule it breaks, or what to write.
        rule: &'static str,
    },
    /// Too few cosignatures for the policy.
    #[error(
        "too few witnesses have cosigned the checkpoint of {size} entries for the policy's quorum; wait, then ask again"
    )]
    Quorum {
        /// Tree size.
        size: u64,
    },
    /// An entry dated before what was logged or witnessed ahead of it.
    #[error("entry {index} is dated {at}, yet {before} was logged or witnessed before it; the entry is back-dated")]
    BackDated {
        /// Its index.
        index: u64,
        /// Its time.
        at: u64,
        /// The later time that comes first.
        before: u64,
    },
    /// An entry dated after the time at which it was read.
    #[error("entry {index} is dated {at}, and it is {now}; check this machine's clock, else the nodes' clocks are wrong")]
    EntryFromTheFuture {
        /// Its index.
        index: u64,
        /// Its time.
        at: u64,
        /// Ours.
        now: u64,
    },
    /// An entry that cannot be read.
    #[error("entry {index} cannot be read: {error}")]
    BadEntry {
        /// Its index.
        index: u64,
        /// Why.
        error: Box<Error>,
    },
    /// A cosignature from the future.
    #[error("the cosignature of {name} is dated {at}, and it is {now}; check the clocks")]
    FromTheFuture {
        /// Witness.
        name: String,
        /// Its time.
        at: u64,
        /// Ours.
        now: u64,
    },
    /// A log that showed two histories, with the evidence.
    #[error("the log signed two histories of {} entries; keep this evidence, and tell the other operators", .evidence.sizes().iter().max().unwrap_or(&0))]
    Fork {
        /// For anybody to check.
        evidence: Box<crate::Conflict>,
    },
    /// Logs of one commons that differ at a place.
    #[error("entry {index} is not the same in all three logs{}; each operator must show what was decided there", Odd(.odd))]
    LogsDiffer {
        /// Where.
        index: u64,
        /// Whose log differs from the two others; nobody's when all differ, or when only two are known.
        odd: Option<types::NodeId>,
    },
}

struct Odd<'a>(&'a Option<types::NodeId>);

impl std::fmt::Display for Odd<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(node) => write!(f, ": node {node} alone differs"),
            None => Ok(()),
        }
    }
}
