//! The common course of all batch protocols (PROTOCOL section 3).
//!
//! For every chunk of comparisons: (1) additive scores are re-shared, (2) signs are computed, (3) coins are tossed and the bits
//! combined. The toss of a chunk travels with the first message of the next one. After the last chunk the combinations are
//! multiplied by a random mask and opened. Node i sends re-shared values and gates to its predecessor only.
//!
//! A chunk's state is complete in [`InFlight`], so several chunks can be in flight at once when the network calls for it.

use types::NodeId;

use crate::answer::{COIN_BYTES, Combination, Layout, coin_components, to_bytes};
use crate::bits::Planes;
use crate::error::{Abort, Cause, Phase};
use crate::protocol::{Incoming, Outgoing, Step};
use crate::session::{ProtocolKeys, Purpose, Word};
use crate::sign::{Adder, BitShares, SignPass, SignStep};

pub(crate) use types::limits::CHUNK_COMPARISONS;

/// The largest message: 31 carry planes of a 32-bit check, and the coins of the chunk before.
const _: () = assert!(31 * CHUNK_COMPARISONS / 8 + COIN_BYTES <= types::limits::PEER_FRAME_BYTES / 2);

/// Supplies comparisons, chunk by chunk.
pub(crate) trait Source {
    /// Operations that get an answer.
    fn operations(&self) -> usize;
    /// The next comparisons, if any.
    fn next_chunk(&mut self) -> Option<Chunk>;
}

/// Comparisons that are made together.
pub(crate) struct Chunk {
    pub(crate) shares: Shares,
    pub(crate) layout: Layout,
}

/// The compared numbers: `rows * words * 64` of them.
pub(crate) enum Shares {
    /// One additive share each.
    Additive(Vec<u16>),
    /// Components i and i + 1 of 16-bit numbers.
    Replicated16([Vec<u16>; 2]),
    /// Components i and i + 1 of 32-bit numbers.
    Replicated32([Vec<u32>; 2]),
}

/// One chunk on its way to its sign bits.
pub(crate) enum InFlight {
    /// Own component after masking; the successor's is due.
    Reshare { number: u64, own: Vec<u16> },
    /// AND layers.
    Sign(Box<SignPass>),
}

/// What follows a round of a chunk.
pub(crate) enum InFlightStep {
    More(InFlight, Vec<u8>),
    Done(BitShares),
}

impl InFlight {
    /// Starts chunk `number`. Returns the first message to the predecessor.
    pub(crate) fn start(keys: &ProtocolKeys, number: u64, adder: Adder, shares: Shares) -> (Self, Vec<u8>) {
        match shares {
            Shares::Additive(mut own) => {
                let message = keys.streams(Purpose::ScoreReshare, number).add_zero_share(&mut own);
                (Self::Reshare { number, own }, message)
            }
            Shares::Replicated16([own, next]) => {
                Self::sign(keys, number, adder, Planes::of_u16(&own), Planes::of_u16(&next))
            }
            Shares::Replicated32([own, next]) => {
                Self::sign(keys, number, adder, Planes::of_u32(&own), Planes::of_u32(&next))
            }
        }
    }

    fn sign(keys: &ProtocolKeys, number: u64, adder: Adder, own: Planes, next: Planes) -> (Self, Vec<u8>) {
        let (pass, message) = SignPass::start(keys, number, adder, own, next);
        (Self::Sign(Box::new(pass)), message)
    }

    /// Takes the successor's message.
    pub(crate) fn round(self, keys: &ProtocolKeys, adder: Adder, message: &[u8]) -> Result<InFlightStep, Abort> {
        match self {
            Self::Reshare { number, own } => {
                if message.len() != own.len() * 2 {
                    return Err(Abort::length(Phase::Reshare, keys.node().next(), own.len() * 2, message.len()));
                }
                let next = Planes::of_u16(&u16::read(message));
                let (pass, message) = Self::sign(keys, number, adder, Planes::of_u16(&own), next);
                Ok(InFlightStep::More(pass, message))
            }
            Self::Sign(pass) => Ok(match pass.round(message)? {
                SignStep::More(pass, message) => InFlightStep::More(Self::Sign(pass), message),
                SignStep::Done(bits) => InFlightStep::Done(bits),
            }),
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::Reshare { .. } => Phase::Reshare,
            Self::Sign(_) => Phase::Sign,
        }
    }
}

/// One party of a batch protocol.
pub(crate) struct Engine<S> {
    keys: ProtocolKeys,
    adder: Adder,
    source: S,
    combination: Combination,
    /// Chunks started.
    chunks: u64,
    /// The chunk before the current one, until its coins are known.
    waiting: Option<Waiting>,
    state: State,
}

struct Waiting {
    number: u64,
    bits: BitShares,
    layout: Layout,
}

enum State {
    Fresh,
    /// Nothing to do; one empty round.
    Empty,
    Chunk {
        flight: InFlight,
        layout: Layout,
    },
    /// Only the last chunk's coins are due.
    Coins,
    /// Masked combinations are being re-shared.
    Mask {
        own: Vec<u64>,
    },
    /// And opened.
    Open {
        own: Vec<u64>,
        next: Vec<u64>,
    },
}

impl<S: Source> Engine<S> {
    pub(crate) fn new(keys: ProtocolKeys, adder: Adder, source: S) -> Self {
        let combination = Combination::zero(source.operations());
        Self { keys, adder, source, combination, chunks: 0, waiting: None, state: State::Fresh }
    }

    pub(crate) fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    fn node(&self) -> NodeId {
        self.keys.node()
    }

    pub(crate) fn start(&mut self) -> Outgoing {
        let (state, body) = self.next_chunk().unwrap_or((State::Empty, Vec::new()));
        self.state = state;
        Outgoing { to_prev: body, to_next: Vec::new() }
    }

    pub(crate) fn round(mut self, incoming: Incoming) -> Result<Step<Self, Vec<bool>>, Abort> {
        let Incoming { mut from_prev, mut from_next } = incoming;
        self.take_coins(&mut from_prev, &mut from_next)?;
        let state = std::mem::replace(&mut self.state, State::Fresh);
        if let State::Open { own, next } = state {
            return Ok(Step::Finish(self.opened(&own, &next, &from_prev, &from_next)?));
        }
        if !from_prev.is_empty() {
            return Err(Abort::length(state.phase(), self.node().prev(), 0, from_prev.len()));
        }
        match state {
            State::Chunk { flight, layout } => self.chunk_round(flight, layout, &from_next),
            State::Mask { own } => self.mask_round(own, &from_next),
            state @ (State::Fresh | State::Empty | State::Coins | State::Open { .. }) => {
                if !from_next.is_empty() {
                    return Err(Abort::length(state.phase(), self.node().next(), 0, from_next.len()));
                }
                match state {
                    State::Coins => {
                        let own = self.combination.masked(&self.keys);
                        let to_prev = to_bytes(&own);
                        self.state = State::Mask { own };
                        Ok(Step::Continue(self, Outgoing { to_prev, to_next: Vec::new() }))
                    }
                    State::Fresh => Err(Abort { phase: Phase::Empty, culprit: None, cause: Cause::NotStarted }),
                    _ => Ok(Step::Finish(vec![false; self.combination.operations()])),
                }
            }
        }
    }

    fn next_chunk(&mut self) -> Option<(State, Vec<u8>)> {
        let Chunk { shares, layout } = self.source.next_chunk()?;
        let (flight, message) = InFlight::start(&self.keys, self.chunks, self.adder, shares);
        self.chunks += 1;
        Some((State::Chunk { flight, layout }, message))
    }

    fn chunk_round(mut self, flight: InFlight, layout: Layout, message: &[u8]) -> Result<Step<Self, Vec<bool>>, Abort> {
        match flight.round(&self.keys, self.adder, message)? {
            InFlightStep::More(flight, to_prev) => {
                self.state = State::Chunk { flight, layout };
                Ok(Step::Continue(self, Outgoing { to_prev, to_next: Vec::new() }))
            }
            InFlightStep::Done(bits) => {
                let number = self.chunks - 1;
                self.waiting = Some(Waiting { number, bits, layout });
                let (state, mut to_prev) = self.next_chunk().unwrap_or((State::Coins, Vec::new()));
                self.state = state;
                // The predecessor lacks component i + 1, the successor component i.
                let [own, next] = coin_components(&self.keys, number);
                to_prev.extend(next);
                Ok(Step::Continue(self, Outgoing { to_prev, to_next: own.to_vec() }))
            }
        }
    }

    /// Both neighbours reveal the coin component that this node lacks, at the end of their messages.
    fn take_coins(&mut self, from_prev: &mut Vec<u8>, from_next: &mut Vec<u8>) -> Result<(), Abort> {
        let Some(Waiting { number, bits, layout }) = self.waiting.take() else { return Ok(()) };
        let node = self.node();
        let take = |message: &mut Vec<u8>, sender| {
            let coin = message.last_chunk::<COIN_BYTES>().copied();
            let coin = coin.ok_or_else(|| Abort::length(Phase::Coins, sender, COIN_BYTES, message.len()))?;
            message.truncate(message.len() - COIN_BYTES);
            Ok(coin)
        };
        let lacking = take(from_prev, node.prev())?;
        if take(from_next, node.next())? != lacking {
            return Err(Abort::disagreement(Phase::Coins));
        }
        let [own, next] = coin_components(&self.keys, number);
        let mut seed = lacking;
        for ((seed, own), next) in seed.iter_mut().zip(own).zip(next) {
            *seed ^= own ^ next;
        }
        self.combination.add(node, &bits, &layout, &seed);
        Ok(())
    }

    fn mask_round(mut self, own: Vec<u64>, message: &[u8]) -> Result<Step<Self, Vec<bool>>, Abort> {
        if message.len() != own.len() * 8 {
            return Err(Abort::length(Phase::Mask, self.node().next(), own.len() * 8, message.len()));
        }
        let next = u64::read(message);
        let outgoing = Outgoing { to_prev: to_bytes(&next), to_next: to_bytes(&own) };
        self.state = State::Open { own, next };
        Ok(Step::Continue(self, outgoing))
    }

    fn opened(&self, own: &[u64], next: &[u64], from_prev: &[u8], from_next: &[u8]) -> Result<Vec<bool>, Abort> {
        let node = self.node();
        for (message, sender) in [(from_prev, node.prev()), (from_next, node.next())] {
            if message.len() != own.len() * 8 {
                return Err(Abort::length(Phase::Open, sender, own.len() * 8, message.len()));
            }
        }
        if from_prev != from_next {
            return Err(Abort::disagreement(Phase::Open));
        }
        let lacking = u64::read(from_prev);
        Ok(own.iter().zip(next).zip(lacking).map(|((a, b), c)| a ^ b ^ c != 0).collect())
    }
}

impl State {
    fn phase(&self) -> Phase {
        match self {
            Self::Fresh | Self::Empty => Phase::Empty,
            Self::Chunk { flight, .. } => flight.phase(),
            Self::Coins => Phase::Coins,
            Self::Mask { .. } => Phase::Mask,
            Self::Open { .. } => Phase::Open,
        }
    }
}
