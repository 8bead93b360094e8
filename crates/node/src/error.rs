//! The one error type of this crate. Each variant has a stable [`Error::code`] for programs, a [`Error::kind`] that `http` turns
//! into a status, and a message that says what to do next. No message holds a device key, a member or a share.

use std::path::PathBuf;

use types::{NodeId, ProfileId};

/// What can go wrong in a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The client's input.
    /// A message or id is not well formed, or a signature or seal does not hold.
    #[error(transparent)]
    Value(#[from] types::Error),
    /// The request is for another commons.
    #[error("this request was signed for another commons; fetch this commons' roster again and check its digest")]
    WrongCommons,
    /// The request lies in the future.
    #[error("this request is not valid yet; set the device's clock and send a new request")]
    NotYetValid,
    /// The request is too old.
    #[error("this request has expired; send a new one")]
    Expired,
    /// The request may live too long.
    #[error("a request may be valid for at most {limit_s} seconds; send one that expires sooner")]
    LivesTooLong {
        /// Seconds allowed.
        limit_s: u64,
    },
    /// The operation id was used before.
    #[error("this operation was received before; ask for its outcome instead of sending it again")]
    Replayed,
    /// The call does not serve this action.
    #[error("this call does not serve the action `{action}`; send it to the call of that name")]
    WrongAction {
        /// The action in the request.
        action: &'static str,
    },
    /// The commons does not match this kind of template.
    #[error("this commons has no modality profile `{profile}`; it has: {known}")]
    UnknownProfile {
        /// What was asked for.
        profile: ProfileId,
        /// What there is.
        known: String,
    },
    /// The same name, another content.
    #[error("the modality profile `{profile}` of the client differs from that of this commons; fetch the roster again")]
    ProfileMismatch {
        /// Which.
        profile: ProfileId,
    },
    /// The charter, a grant or an ask does not allow this.
    #[error(transparent)]
    NotPermitted(#[from] charter::Refusal),
    /// No share where one is needed.
    #[error("this request needs a sealed share for this node; send the share that was sealed to it")]
    ShareMissing,
    /// A share where none is wanted.
    #[error("this request takes no share; send it without one")]
    ShareUnexpected,
    /// No trace key where one is needed.
    #[error("this request needs the trace key that it commits to; send it as `trace`")]
    TraceMissing,
    /// Another trace key than the request names.
    #[error("the trace key is not the one that the request commits to; send the key whose commitment was signed")]
    BadTrace,
    /// The share does not fit the request: wrong length, wrong node, wrong commitment.
    #[error("the share does not fit the request: {reason}; split the template again and send all three shares")]
    BadShare {
        /// What does not fit.
        reason: String,
    },
    /// The secret behind personas is not proven, or the share of it does not fit.
    #[error(transparent)]
    Binding(#[from] credential::Error),
    /// The device already has a record of this profile.
    #[error("this device's member already has a record of profile `{profile}`; withdraw it first to replace it")]
    AlreadyEnrolled {
        /// Which profile.
        profile: ProfileId,
    },
    /// The device is not known here, or has no such record.
    #[error("no record of this device is known here; enrol first, or use the device that enrolled")]
    UnknownMember,
    /// No such outcome.
    #[error("this node knows no outcome of that operation; it was not decided, or too long ago")]
    NotFound,
    /// Too many verification attempts by one device.
    #[error("too many attempts by this device; try again in {retry_after_s} seconds")]
    TooManyAttempts {
        /// Seconds until the next attempt is allowed.
        retry_after_s: u64,
    },

    // The state of the commons.
    /// Too much is waiting.
    #[error("{limit} operations are waiting already; try again in a few seconds")]
    Busy {
        /// How many may wait.
        limit: usize,
    },
    /// Nodes are not reachable. Nothing was changed.
    #[error("{} not available; nothing was changed; the commons resumes by itself, try again later", name_nodes(.nodes))]
    Unavailable {
        /// Which nodes.
        nodes: Vec<NodeId>,
    },
    /// The nodes are in touch but do not agree yet.
    #[error("the nodes are comparing their state after a restart; nothing was changed; try again in a few seconds")]
    Recovering,
    /// Two nodes hold different decisions.
    #[error(
        "this node and node {node} hold different decisions; nothing is decided until their operators have compared them"
    )]
    Disagreement {
        /// The other node.
        node: NodeId,
    },
    /// This node's directory is older than that of another.
    #[error(
        "this node's data is older than that of node {node}; its operator must restore the newest data directory, or rebuild the node (`commons-node rebuild`)"
    )]
    OutOfDate {
        /// The other node.
        node: NodeId,
    },
    /// This node cannot keep its log. Decisions wait until it can.
    #[error("this node cannot keep its log ({what}); nothing is decided until its operator has seen to it")]
    LogStopped {
        /// What is in the way, without paths.
        what: String,
    },
    /// Too little room on this node's disk. Nothing was changed.
    #[error("this node's disk is full; nothing was changed, and nothing is decided until its operator has made room")]
    StorageFull,
    /// Another node's log is not what was decided together.
    #[error(
        "the log of node {node} is not what the nodes decided together; nothing is decided until the operators have compared them; \
         the evidence is in log/conflicts in the data directory"
    )]
    LogConflict {
        /// Whose log.
        node: NodeId,
    },
    /// Some node never got its part of the operation. Nothing was changed.
    #[error(
        "node {node} did not receive or did not accept its part of this operation; nothing was changed; send a new request to all three nodes"
    )]
    NotEverywhere {
        /// Which node.
        node: NodeId,
    },
    /// The matching run ended early. Nothing was changed.
    #[error("matching was aborted ({reason}); nothing was changed; send a new request")]
    Aborted {
        /// Phase or cause, without personal data.
        reason: String,
    },
    /// Not decided in time, or not known to be decided.
    #[error("the operation is not decided yet; ask for its outcome, and do not assume that it failed")]
    InDoubt,
    /// A lost node cannot be rebuilt like this.
    #[error("the handover to the new node: {what}")]
    Handover {
        /// What does not fit, and what to do.
        what: String,
    },
    /// The operator's own node did not do what it was asked.
    #[error("the node at {url}: {what}")]
    OwnNode {
        /// Where it was asked.
        url: String,
        /// What it said, or that it said nothing.
        what: String,
    },
    /// The node is stopping or had to stop.
    #[error("this node has stopped serving; its operator finds the reason in the log")]
    Stopped,

    // The operator's data directory. A node that meets one of these does not start.
    /// Nothing there.
    #[error("{} holds no node; create one with `commons-node init`", .path.display())]
    NoStore {
        /// Data directory.
        path: PathBuf,
    },
    /// Something there already.
    #[error("{} already holds a node; choose an empty directory", .path.display())]
    StoreExists {
        /// Data directory.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("{} is in use by another process; stop that node first", .path.display())]
    StoreLocked {
        /// Data directory.
        path: PathBuf,
    },
    /// The directory belongs to another node.
    #[error("{} belongs to node {found}, and this is node {expected}; use that node's own data directory", .path.display())]
    OtherNode {
        /// Data directory.
        path: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Who opens it.
        expected: NodeId,
    },
    /// The directory belongs to another commons.
    #[error("{} was made for another roster; restore the roster file it was made with", .path.display())]
    OtherRoster {
        /// Data directory.
        path: PathBuf,
    },
    /// A file is of a later version.
    #[error("{} has version {found}, and this program knows version {known}; install a newer commons-node", .path.display())]
    NewerStore {
        /// Which file.
        path: PathBuf,
        /// Version found.
        found: u16,
        /// Version known.
        known: u16,
    },
    /// A directory is of an earlier version that cannot be brought up to date.
    #[error(
        "{} has version {found}, which this program (version {known}) cannot read; run it with the commons-node that wrote it, or \
         move it away, run `commons-node init` and enrol again", .path.display()
    )]
    OlderStore {
        /// Which file.
        path: PathBuf,
        /// Version found.
        found: u16,
        /// Version known.
        known: u16,
    },
    /// A file is damaged where it must not be.
    #[error("{} is damaged ({what}); restore this node's directory from its newest backup, or rebuild the node (`commons-node rebuild`)", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not hold.
        what: String,
    },
    /// The stored charter is not one of this commons.
    #[error("the stored charter does not hold: {0}; restore this node's directory from its newest backup")]
    Charter(#[from] charter::Error),
    /// A charter that an operator was about to sign cannot be one.
    #[error("nothing was signed: {0}")]
    Proposed(#[source] charter::Error),
    /// The operator's configuration cannot be used.
    #[error("configuration: {what}")]
    Config {
        /// Which setting, and what to change.
        what: String,
    },
    /// The roster does not name this node's keys.
    #[error(
        "the roster has {what} for node {node} than its data directory holds; use the roster that was made with this node's card, or \
         the data directory that belongs to this roster"
    )]
    NotInRoster {
        /// This node.
        node: NodeId,
        /// What differs.
        what: &'static str,
    },
    /// A secret file is readable by others.
    #[error("{} may be read by others; run `chmod 600` on it, and make new keys if somebody did read it", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another program using the port?")]
    Listen {
        /// Which address.
        address: std::net::SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// Reading or writing failed.
    #[error("{}: {source}; check the disk and the permissions", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the metadata database failed; check the disk and the permissions of the data directory")]
    Database(#[from] sqlx::Error),
    /// The database layout could not be brought up to date.
    #[error("the metadata database could not be brought up to date; was it changed by hand?")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The log, a checkpoint or a tile is not as it must be.
    #[error("the transparency log: {0}")]
    Log(#[from] tlog::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes; check its random source")]
    Random,
    /// A rule of this program did not hold.
    #[error("internal error: {what}; please report it")]
    Internal {
        /// Which rule.
        what: &'static str,
    },
}

/// Classes of errors, for HTTP statuses and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 400: the request cannot be right.
    Invalid,
    /// 401: a signature does not hold.
    Unauthenticated,
    /// 403: consent or rules forbid it.
    Forbidden,
    /// 404: no such thing.
    NotFound,
    /// 409: not in this state.
    Conflict,
    /// 413: too many bytes.
    TooLarge,
    /// 429: too often.
    TooMany,
    /// 503: not now.
    Unavailable,
    /// 504: not decided in time.
    Timeout,
    /// 500: our fault.
    Internal,
}

impl Error {
    /// Stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Value(types::Error::TooLarge { .. }) => "too-large",
            Self::Value(types::Error::Version { .. }) => "version",
            Self::Value(types::Error::BadSignature { .. }) => "bad-signature",
            Self::Value(types::Error::BadSeal) => "bad-seal",
            Self::Value(_) => "malformed",
            Self::WrongCommons => "wrong-commons",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::LivesTooLong { .. } => "lives-too-long",
            Self::Replayed => "replayed",
            Self::WrongAction { .. } => "wrong-action",
            Self::UnknownProfile { .. } => "unknown-profile",
            Self::ProfileMismatch { .. } => "profile-mismatch",
            Self::NotPermitted(_) => "not-permitted",
            Self::ShareMissing => "share-missing",
            Self::ShareUnexpected => "share-unexpected",
            Self::TraceMissing => "trace-missing",
            Self::BadTrace => "bad-trace",
            Self::BadShare { .. } => "bad-share",
            Self::Binding(_) => "bad-binding",
            Self::AlreadyEnrolled { .. } => "already-enrolled",
            Self::UnknownMember => "unknown-member",
            Self::NotFound => "not-found",
            Self::TooManyAttempts { .. } => "too-many-attempts",
            Self::Busy { .. } => "busy",
            Self::Unavailable { .. } => "unavailable",
            Self::Recovering => "recovering",
            Self::Disagreement { .. } => "disagreement",
            Self::OutOfDate { .. } => "out-of-date",
            Self::NotEverywhere { .. } => "not-everywhere",
            Self::Aborted { .. } => "aborted",
            Self::InDoubt => "in-doubt",
            Self::Handover { .. } => "handover",
            Self::OwnNode { .. } => "own-node",
            Self::Stopped => "stopped",
            Self::NoStore { .. } => "no-store",
            Self::StoreExists { .. } => "store-exists",
            Self::StoreLocked { .. } => "store-locked",
            Self::OtherNode { .. } => "other-node",
            Self::OtherRoster { .. } => "other-roster",
            Self::NewerStore { .. } => "newer-store",
            Self::OlderStore { .. } => "older-store",
            Self::Damaged { .. } => "damaged",
            Self::Charter(_) | Self::Proposed(_) => "charter",
            Self::Config { .. } => "config",
            Self::NotInRoster { .. } => "not-in-roster",
            Self::Exposed { .. } => "exposed",
            Self::Listen { .. } => "listen",
            Self::Io { .. } => "io",
            Self::Database(_) | Self::Migration(_) => "database",
            Self::Log(_) => "log",
            Self::LogStopped { .. } => "log-stopped",
            Self::LogConflict { .. } => "log-conflict",
            Self::StorageFull => "storage-full",
            Self::Random => "random",
            Self::Internal { .. } => "internal",
        }
    }

    /// Its class.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Value(types::Error::TooLarge { .. }) => Kind::TooLarge,
            Self::Value(types::Error::BadSignature { .. }) => Kind::Unauthenticated,
            Self::Value(_)
            | Self::WrongCommons
            | Self::NotYetValid
            | Self::Expired
            | Self::LivesTooLong { .. }
            | Self::WrongAction { .. }
            | Self::UnknownProfile { .. }
            | Self::ProfileMismatch { .. }
            | Self::ShareMissing
            | Self::ShareUnexpected
            | Self::TraceMissing
            | Self::BadTrace
            | Self::BadShare { .. }
            | Self::Binding(_) => Kind::Invalid,
            Self::NotPermitted(_) => Kind::Forbidden,
            Self::UnknownMember | Self::NotFound => Kind::NotFound,
            Self::Replayed | Self::AlreadyEnrolled { .. } => Kind::Conflict,
            Self::TooManyAttempts { .. } => Kind::TooMany,
            Self::Busy { .. }
            | Self::Unavailable { .. }
            | Self::Recovering
            | Self::Disagreement { .. }
            | Self::OutOfDate { .. }
            | Self::NotEverywhere { .. }
            | Self::Aborted { .. }
            | Self::LogStopped { .. }
            | Self::LogConflict { .. }
            | Self::StorageFull
            | Self::Handover { .. }
            | Self::OwnNode { .. }
            | Self::Stopped => Kind::Unavailable,
            Self::InDoubt => Kind::Timeout,
            _ => Kind::Internal,
        }
    }

    /// The rule that a request breaks, beside `not-permitted`.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::NotPermitted(refusal) => Some(refusal.rule.code()),
            Self::AlreadyEnrolled { .. } => Some(charter::Rule::AlreadyEnrolled.code()),
            _ => None,
        }
    }

    /// Whether the disk has no room for what was to be written.
    pub fn is_storage_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::StorageFull => true,
            Self::Io { source, .. } | Self::Database(sqlx::Error::Io(source)) => {
                matches!(source.kind(), StorageFull | QuotaExceeded)
            }
            // SQLITE_FULL.
            Self::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some("13"),
            _ => false,
        }
    }

    /// The nodes to name beside `unavailable`.
    pub fn unavailable_nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Unavailable { nodes } => nodes.clone(),
            Self::NotEverywhere { node } => vec![*node],
            _ => Vec::new(),
        }
    }

    /// The error with all its causes, for an operator's log or terminal.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            let more = next.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = next.source();
        }
        text
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

fn name_nodes(nodes: &[NodeId]) -> String {
    let numbers: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    match numbers.as_slice() {
        [one] => format!("node {one} is"),
        many => format!("nodes {} are", many.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_commons_names_the_node() {
        let [one, two, _] = NodeId::ALL;
        let text = |nodes| Error::Unavailable { nodes }.to_string();
        assert!(text(vec![two]).starts_with("node 2 is not available"));
        assert!(text(vec![one, two]).starts_with("nodes 1 and 2 are not available"));
    }
}
