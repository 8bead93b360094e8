//! What the sequencer needs of the network: control messages, sessions for matching, and news of who is in touch.
//!
//! `peer` implements [`Links`] over mutual TLS; the tests of this crate implement it in memory. The contract:
//!
//! - **Order.** Events of one peer arrive in the order in which it sent them. [`PeerEvent::Down`] of a connection comes after
//!   its last message and before [`PeerEvent::Up`] of the next one. A *connection epoch* starts with `Up` and ends with `Down`.
//! - **No loss within an epoch.** A message that [`Links::send`] accepted arrives, or the epoch ends.
//! - **Sessions die with their connections.** A [`Session`] belongs to the two connection epochs that were current when it was
//!   opened. When either ends, the session ends with an error and never carries another byte.
//! - **Frames of unknown sessions are dropped.** Every node opens a session before it answers the proposal that names it, and no
//!   node sends a frame before all have answered. So a frame of a session that is not open belongs to a dead one.
//! - **Slow readers slow down writers.** Channels are bounded; an implementation stops reading a socket while the channel
//!   behind it is full. It keeps control messages moving while a session's channel is full.
//!
//! Out of scope: what the messages mean (`app::sequencer`) and what the sessions carry (`mpc`).

use std::fmt;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use tokio::sync::mpsc;
use types::message::Request;
use types::sign::Signed;
use types::{Digest, NodeId, OperationId, Signature, UnixSeconds, limits};
use zeroize::Zeroizing;

use crate::Error;

/// Events waiting for the sequencer. Implementations build the channel given to `App::start` with this capacity.
pub const EVENT_QUEUE: usize = 1024;
/// Control messages waiting for one link.
pub const CONTROL_QUEUE: usize = 1024;
/// Frames of one session waiting in each direction of one link.
pub const SESSION_QUEUE: usize = 8;
/// Payload bytes of one session frame; longer messages travel in several frames.
pub const SESSION_FRAME_BYTES: usize = 1024 * 1024;
/// Bytes of one round's message to one peer: several times what matching sends at most.
pub const ROUND_BYTES: usize = 4 * limits::PEER_FRAME_BYTES;

/// News of a peer.
#[derive(Debug)]
pub enum PeerEvent {
    /// A connection stands, both ends proved their roster keys, and both mean the same roster.
    Up {
        /// Who.
        node: NodeId,
        /// Counts connections to this peer; larger than all before.
        epoch: u64,
    },
    /// The connection is gone, and with it every session that was opened on it.
    Down {
        /// Who.
        node: NodeId,
    },
    /// A control message.
    Message {
        /// From whom: the TLS identity of the connection, never a field of the message.
        from: NodeId,
        /// What.
        message: ControlMessage,
    },
}

/// The peer cannot be reached, or its queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("node {node} does not answer")]
pub struct Unavailable {
    /// Which peer.
    pub node: NodeId,
}

/// The two connections of one node.
pub trait Links: Send + Sync + 'static {
    /// Queues a message without waiting.
    ///
    /// # Errors
    /// [`Unavailable`] when there is no connection or its queue is full.
    fn send(&self, to: NodeId, message: ControlMessage) -> Result<(), Unavailable>;

    /// Who is connected now, by `NodeId::index`; this node itself always is.
    fn available(&self) -> [bool; 3];

    /// Opens a session on the current connections to both peers. Dropping the session closes it here.
    ///
    /// # Errors
    /// [`Unavailable`] when one of the two is not connected.
    fn open_session(&self, id: SessionId) -> Result<Session, Unavailable>;
}

/// Names one run of matching. Random, chosen by the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SessionId(pub [u8; 16]);

/// A piece of one round's message.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SessionFrame {
    /// Which session.
    pub session: SessionId,
    /// Which round, from 0.
    pub round: u32,
    /// Whether this piece ends the message of the round.
    pub last: bool,
    /// At most [`SESSION_FRAME_BYTES`].
    pub payload: Vec<u8>,
}

impl fmt::Debug for SessionFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionFrame {{ round: {}, {} bytes }}", self.round, self.payload.len())
    }
}

/// One direction pair of a session: what an implementation hands over for one peer.
pub struct SessionPeer {
    /// Who is at the other end.
    pub node: NodeId,
    /// Frames to that peer. The implementation moves them to the connection; it drops its receiver when the epoch ends.
    pub outgoing: mpsc::Sender<SessionFrame>,
    /// Frames from that peer. The implementation drops its sender when the epoch ends.
    pub incoming: mpsc::Receiver<SessionFrame>,
    /// A secret that only the two ends know: fresh per connection epoch, derived with the session id (TLS exporter). Both ends
    /// get the same bytes.
    pub key: Zeroizing<[u8; 32]>,
}

/// Moves the rounds of one matching run between this node and its two peers.
pub struct Session {
    id: SessionId,
    prev: SessionPeer,
    next: SessionPeer,
    round: u32,
    round_timeout: Duration,
    bytes_sent: u64,
}

/// Why a session ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A connection under the session is gone.
    #[error("the connection to node {node} ended during matching")]
    Ended {
        /// To whom.
        node: NodeId,
    },
    /// A peer did not finish a round in time.
    #[error("node {node} did not answer a matching round in time")]
    Timeout {
        /// Who.
        node: NodeId,
    },
    /// A peer sent a frame that does not belong here.
    #[error("node {node} broke the order of a matching session")]
    OutOfOrder {
        /// Who.
        node: NodeId,
    },
}

impl SessionError {
    /// The peer at the other end.
    pub fn node(self) -> NodeId {
        match self {
            Self::Ended { node } | Self::Timeout { node } | Self::OutOfOrder { node } => node,
        }
    }
}

impl Session {
    /// Binds the two ends. `prev` must be the node before this one on the ring, `next` the one after.
    pub fn new(id: SessionId, prev: SessionPeer, next: SessionPeer, round_timeout: Duration) -> Self {
        Self { id, prev, next, round: 0, round_timeout, bytes_sent: 0 }
    }

    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The pairwise secrets: with the node before, with the node after.
    pub fn keys(&self) -> (&[u8; 32], &[u8; 32]) {
        (&self.prev.key, &self.next.key)
    }

    /// Payload bytes sent so far, to both peers.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// Sends this round's two messages and waits for the two of the peers.
    ///
    /// # Errors
    /// [`SessionError`]; the session is dead then.
    pub async fn exchange(&mut self, to_prev: Vec<u8>, to_next: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), SessionError> {
        let (id, round) = (self.id, self.round);
        self.bytes_sent += (to_prev.len() + to_next.len()) as u64;
        // What one neighbour gets of this node, the other one sends to it.
        let (likely_next, likely_prev) = (to_prev.len(), to_next.len());
        let (prev, next) = (&mut self.prev, &mut self.next);
        let limit = self.round_timeout;
        let both = async {
            let send_prev = send_round(&prev.outgoing, prev.node, id, round, to_prev);
            let send_next = send_round(&next.outgoing, next.node, id, round, to_next);
            let from_prev = in_time(limit, prev.node, receive_round(&mut prev.incoming, prev.node, round, likely_prev));
            let from_next = in_time(limit, next.node, receive_round(&mut next.incoming, next.node, round, likely_next));
            let ((), (), from_prev, from_next) = tokio::try_join!(send_prev, send_next, from_prev, from_next)?;
            Ok((from_prev, from_next))
        };
        let received = both.await?;
        self.round += 1;
        Ok(received)
    }
}

async fn in_time<T>(
    limit: Duration,
    node: NodeId,
    receive: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, SessionError> {
    tokio::time::timeout(limit, receive).await.unwrap_or(Err(SessionError::Timeout { node }))
}

async fn send_round(
    outgoing: &mpsc::Sender<SessionFrame>,
    node: NodeId,
    session: SessionId,
    round: u32,
    mut message: Vec<u8>,
) -> Result<(), SessionError> {
    let ended = |_| SessionError::Ended { node };
    // Whole frames are copied; what is left, which is most often everything, is handed over.
    let mut sent = 0;
    while let Some((payload, _)) = message.get(sent..).and_then(|rest| rest.split_at_checked(SESSION_FRAME_BYTES + 1)) {
        let payload = payload.get(..SESSION_FRAME_BYTES).unwrap_or_default().to_vec();
        sent += payload.len();
        outgoing.send(SessionFrame { session, round, last: false, payload }).await.map_err(ended)?;
    }
    message.drain(..sent);
    outgoing.send(SessionFrame { session, round, last: true, payload: message }).await.map_err(ended)
}

/// `expected` bytes are likely: as many as this node sent.
async fn receive_round(
    incoming: &mut mpsc::Receiver<SessionFrame>,
    node: NodeId,
    round: u32,
    expected: usize,
) -> Result<Vec<u8>, SessionError> {
    let mut message = Vec::new();
    loop {
        let frame = incoming.recv().await.ok_or(SessionError::Ended { node })?;
        if frame.round != round || message.len() + frame.payload.len() > ROUND_BYTES {
            return Err(SessionError::OutOfOrder { node });
        }
        if frame.last && message.is_empty() {
            return Ok(frame.payload);
        }
        if message.is_empty() {
            message.reserve_exact(expected);
        }
        message.extend_from_slice(&frame.payload);
        if frame.last {
            return Ok(message);
        }
    }
}

/// Version of [`ControlMessage`].
pub const CONTROL_VERSION: u16 = 3;

/// Names one pending operation: the id that the client chose and the digest of what it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct OperationRef {
    /// The client's id.
    pub operation: OperationId,
    /// Digest of the request.
    pub request: Digest,
}

/// Messages between the sequencers of two nodes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ControlMessage {
    /// Where this node stands. Sent on every new or lost connection and after every commit.
    State {
        /// Batches committed.
        committed: u64,
        /// Head of the decision chain after them.
        head: Digest,
        /// Nodes that the sender cannot reach.
        unreachable: Vec<NodeId>,
    },
    /// To the coordinator: these operations are checked here and wait for a batch.
    Have {
        /// At most `limits::PENDING_OPERATIONS`.
        operations: Vec<OperationRef>,
    },
    /// Shield requests that no batch has decided yet, as members signed them. Sent on every new connection before `State`, and
    /// whenever a node hears of one.
    Shields {
        /// At most `limits::UNSETTLED_SHIELDS`.
        requests: Vec<Signed<Request>>,
    },
    /// Acts of an operator that one node has taken in.
    Acts {
        /// At most `limits::OPERATORS_ACTS`.
        requests: Vec<Signed<Request>>,
    },
    /// These operations will not be matched: the named node never got, or refused, its share. Nothing was changed.
    Dropped {
        /// Which.
        operations: Vec<OperationRef>,
        /// At which node the share is missing or bad.
        node: NodeId,
    },
    /// From the coordinator: let us decide this batch.
    Propose(Proposal),
    /// The proposed operations are here, and the session is open.
    Ready {
        /// Which proposal.
        session: SessionId,
    },
    /// The proposal cannot be followed; nothing was started.
    Refuse {
        /// Which proposal.
        session: SessionId,
        /// Operations that are not pending here.
        missing: Vec<OperationRef>,
    },
    /// From the coordinator: everybody is ready; begin.
    Start {
        /// Which proposal.
        session: SessionId,
    },
    /// I have durably prepared this batch; here are my signatures over its decisions.
    Vote {
        /// Which run.
        session: SessionId,
        /// Digest of the batch: chain head before, and every decision.
        batch: Digest,
        /// One per decision, in order.
        signatures: Vec<Signature>,
    },
    /// I have not prepared this run and never will. Final: whoever has prepared it discards it.
    Aborted {
        /// Which run.
        session: SessionId,
        /// The node whose silence ended it, if that was the reason.
        unreachable: Option<NodeId>,
    },
    /// I have prepared this run. What about you? Answered by `Vote`, `Aborted`, `Certificates`, or, while it runs, by nothing.
    Resolve {
        /// Which run.
        session: SessionId,
    },
    /// I have committed this run; here are all signatures.
    Certificates {
        /// Which run.
        session: SessionId,
        /// Digest of the batch.
        batch: Digest,
        /// Per decision, the signatures of nodes 1, 2 and 3.
        signatures: Vec<[Signature; 3]>,
    },
}

/// A batch, before it is matched.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// The run in which to decide it.
    pub session: SessionId,
    /// Batch number: one more than what is committed.
    pub number: u64,
    /// Head of the chain that it extends.
    pub head: Digest,
    /// Decision time.
    pub time: UnixSeconds,
    /// Which adder the comparisons use: prefix (fewer rounds) or ripple (fewer bytes).
    pub prefix: bool,
    /// In order of admission at the coordinator; at most `limits::BATCH_OPERATIONS`, of different devices.
    pub operations: Vec<OperationRef>,
}

impl ControlMessage {
    /// Version and canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        types::encode(&(CONTROL_VERSION, self))
    }

    /// Reads what [`Self::to_bytes`] wrote; checks size and version.
    ///
    /// # Errors
    /// [`Error::Value`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "message between nodes";
        let version: u16 = match bytes.first_chunk() {
            Some(version) => u16::from_le_bytes(*version),
            None => return Err(types::Error::Malformed { what: WHAT }.into()),
        };
        if version != CONTROL_VERSION {
            return Err(types::Error::Version { what: WHAT, got: version, known: CONTROL_VERSION }.into());
        }
        let (_, message): (u16, Self) = types::decode(WHAT, bytes, limits::PEER_FRAME_BYTES)?;
        Ok(message)
    }

    /// Plain name, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::State { .. } => "state",
            Self::Have { .. } => "have",
            Self::Shields { .. } => "shields",
            Self::Acts { .. } => "acts",
            Self::Dropped { .. } => "dropped",
            Self::Propose(_) => "propose",
            Self::Ready { .. } => "ready",
            Self::Refuse { .. } => "refuse",
            Self::Start { .. } => "start",
            Self::Vote { .. } => "vote",
            Self::Aborted { .. } => "aborted",
            Self::Resolve { .. } => "resolve",
            Self::Certificates { .. } => "certificates",
        }
    }
}
