//! Why a link could not be made or ended. Operators read these in the log, so each names the remedy.

use types::{Digest, NodeId, limits};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{address} cannot be reached ({reason}); is that node running, and is peer_address in the roster right?")]
    Unreachable { address: String, reason: String },
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    #[error("it refused this node's TLS key; its roster names another key for this node: give all three the same roster")]
    KeyRefused,
    #[error("it did not finish the handshake in time")]
    HandshakeTimeout,
    #[error("it speaks version {theirs} of the peer protocol and this node version {ours}; update the older one")]
    Protocol { theirs: u16, ours: u16 },
    #[error("it runs with another roster ({theirs}; ours is {ours}); give all three nodes the same roster file")]
    OtherRoster { theirs: Digest, ours: Digest },
    #[error("it says that it is node {claimed}, and its key belongs to node {key}; correct its configuration")]
    WrongId { claimed: NodeId, key: NodeId },
    #[error("it closed the connection")]
    Closed,
    #[error("the connection broke ({0})")]
    Broken(std::io::ErrorKind),
    #[error("it gave no sign of life")]
    Silent,
    #[error("it sent a frame of {got} bytes, more than the {} that are accepted", limits::PEER_FRAME_BYTES)]
    FrameTooLarge { got: u64 },
    #[error("it sent a frame of unknown kind {kind}; update the older node")]
    UnknownFrame { kind: u8 },
    #[error("it sent a malformed frame")]
    Malformed,
    #[error("it sent more than it was allowed to")]
    Flood,
    #[error("a newer connection took over")]
    Replaced,
    #[error("this node is stopping")]
    Stopping,
    #[error("the system gives no random bytes")]
    Random,
}

impl Fault {
    /// From reading or writing an established connection.
    pub(crate) fn io(error: std::io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
            return Self::tls(tls);
        }
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Closed,
            kind => Self::Broken(kind),
        }
    }

    fn tls(error: &rustls::Error) -> Self {
        match error {
            // Only the other side's verifier raises these: its roster does not have our key.
            rustls::Error::AlertReceived(_) => Self::KeyRefused,
            rustls::Error::General(reason) => Self::Tls(reason.clone()),
            other => Self::Tls(other.to_string()),
        }
    }
}
