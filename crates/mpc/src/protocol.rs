//! Protocols as round functions over values: messages in, messages out; the caller moves the bytes.

use crate::error::Abort;

/// Messages to the two neighbours on the ring 1 -> 2 -> 3 -> 1. Either may be empty; both are sent in every round.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// To the predecessor.
    pub to_prev: Vec<u8>,
    /// To the successor.
    pub to_next: Vec<u8>,
}

/// Messages from the two neighbours, of the same round.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// From the predecessor.
    pub from_prev: Vec<u8>,
    /// From the successor.
    pub from_next: Vec<u8>,
}

/// What follows a round.
#[derive(Debug)]
pub enum Step<P, T> {
    /// Send these messages, then call [`Protocol::round`] with the neighbours' messages.
    Continue(P, Outgoing),
    /// Done: nothing more to send.
    Finish(T),
}

/// One party of a protocol. Call [`Self::start`] once, exchange its messages, then [`Self::round`] until it finishes. A caller that
/// waits for messages may call [`Self::work_ahead`] meanwhile.
pub trait Protocol: Sized {
    /// What this party learns.
    type Output;

    /// The first messages.
    fn start(&mut self) -> Outgoing;

    /// Does a piece of work that needs no message, while one is on its way: some milliseconds. Returns whether there is more. What
    /// is left undone is done by [`Self::round`]; calling this often, or never, changes no message and no answer.
    fn work_ahead(&mut self) -> bool {
        false
    }

    /// Takes the messages of one round. By value: a round cannot be replayed.
    ///
    /// # Errors
    /// [`Abort`] when a message is malformed or contradicts another. The session must then be dropped.
    fn round(self, incoming: Incoming) -> Result<Step<Self, Self::Output>, Abort>;
}
