//! What can go wrong: [`Error`] for values handed to this crate, [`Abort`] for messages of other nodes.

use std::fmt;

use types::NodeId;

/// A value handed to this crate is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The share package is addressed to another node.
    #[error("this share is for node {addressed}, not for node {node}; send each node its own share")]
    WrongNode {
        /// Node that opened it.
        node: NodeId,
        /// Node named in the package.
        addressed: NodeId,
    },
    /// A component has the wrong number of values.
    #[error("the share has {got} values where the profile needs {expected}; capture with the same profile")]
    ShareLength {
        /// Values the profile needs.
        expected: usize,
        /// Values in the share.
        got: usize,
    },
    /// A component is not the one that was committed to.
    #[error(
        "the share does not match its signed commitment {component}; it was altered, or the nodes were sent different shares"
    )]
    Commitment {
        /// Component 1, 2 or 3.
        component: u8,
    },
    /// Two arguments that must agree in length do not.
    #[error("{what}: expected {expected}, got {got}")]
    Mismatch {
        /// Which quantity.
        what: &'static str,
        /// What the other arguments imply.
        expected: usize,
        /// What was passed.
        got: usize,
    },
    /// A slot that the gallery does not have, or that is masked.
    #[error("gallery slot {slot} does not hold an active record")]
    NoSuchSlot {
        /// The slot.
        slot: usize,
    },
    /// A protocol was run to an abort inside the in-memory driver.
    #[error(transparent)]
    Aborted(#[from] Abort),
}

/// A protocol stopped: a message was malformed or contradicts another. Nothing was decided and nothing beyond what was already
/// opened is revealed. The session must not be used again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("matching stopped in the {phase} phase: {cause}{}", Blame(.culprit))]
pub struct Abort {
    /// Where.
    pub phase: Phase,
    /// Who is at fault, when this node can tell; a contradiction between two nodes names neither.
    pub culprit: Option<NodeId>,
    /// Why.
    pub cause: Cause,
}

/// Steps of the protocols, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Squared norms of inputs are re-shared.
    Norm,
    /// Additive scores are re-shared as replicated ones.
    Reshare,
    /// AND layers of the sign computation.
    Sign,
    /// Public coins are tossed.
    Coins,
    /// The combination of bits is multiplied by a random mask.
    Mask,
    /// The masked combinations are opened.
    Open,
    /// A protocol without work ends.
    Empty,
}

/// Why a protocol stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A message has the wrong length.
    #[error("a message has {got} bytes where {expected} were due")]
    Length {
        /// Bytes due.
        expected: usize,
        /// Bytes received.
        got: usize,
    },
    /// The two holders of a component sent different values.
    #[error("the two other nodes disagree on a value; one of them altered it or lost step")]
    Disagreement,
    /// `round` was called before `start`: an error of the caller.
    #[error("the protocol was not started; call `start` before `round`")]
    NotStarted,
    /// The other party of an in-memory run stopped.
    #[error("another party stopped first")]
    Stopped,
}

impl Abort {
    pub(crate) fn length(phase: Phase, sender: NodeId, expected: usize, got: usize) -> Self {
        Self { phase, culprit: Some(sender), cause: Cause::Length { expected, got } }
    }
    pub(crate) fn disagreement(phase: Phase) -> Self {
        Self { phase, culprit: None, cause: Cause::Disagreement }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Norm => "norm",
            Self::Reshare => "reshare",
            Self::Sign => "sign",
            Self::Coins => "coin",
            Self::Mask => "mask",
            Self::Open => "opening",
            Self::Empty => "empty",
        })
    }
}

struct Blame<'a>(&'a Option<NodeId>);

impl fmt::Display for Blame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(node) => write!(f, "; node {node} sent it"),
            None => Ok(()),
        }
    }
}
