//! The common course of all batch protocols (PROTOCOL section 3).
//!
//! Comparisons are made in *chunks*, small enough for a core's second-level cache, and chunks travel in *waves*: a round carries
//! the messages of all chunks of a wave. For every wave, (1) additive scores are re-shared, (2) signs are computed, (3) coins are
//! tossed and the bits combined. The toss of a wave travels with the first message of the next one. After the last wave the
//! combinations are multiplied by a random mask and opened. Node i sends re-shared values and gates to its predecessor only.
//!
//! While a message is on its way, [`Engine::work_ahead`] makes the first message of the next wave, chunk by chunk: computing and
//! network overlap. There are never more than two waves, so memory is bounded whatever the gallery's size and however slow a peer
//! is. Within a round, chunks are spread over threads.

use types::NodeId;

use super::parallel::for_each;
use crate::answer::{COIN_BYTES, Combination, Layout, coin_components, to_bytes};
use crate::error::{Abort, Cause, Phase};
use crate::protocol::{Incoming, Outgoing, Step};
use crate::session::{ProtocolKeys, Word};
use crate::sign::{Adder, BitShares, Numbers, Room, SignPass};

pub(crate) use types::limits::CHUNK_COMPARISONS;

/// The largest message: 31 carry planes of a 32-bit check, and the coins of the wave before.
const _: () = assert!(31 * CHUNK_COMPARISONS / 8 + COIN_BYTES <= types::limits::PEER_FRAME_BYTES / 2);

/// Products of words that take much longer than the start of a thread: a millisecond or so.
const THREAD_PRODUCTS: usize = 1 << 23;
/// Bytes of gates that take as long as the start of some threads.
const THREAD_BYTES: usize = 1 << 17;
/// Comparisons whose combination does.
const THREAD_COMPARISONS: usize = 1 << 18;

/// Supplies comparisons, wave by wave.
pub(crate) trait Source: Sync {
    /// What is left to do for a chunk.
    type Work: Send;
    /// Operations that get an answer.
    fn operations(&self) -> usize;
    /// The chunks of the next wave, none when all is done.
    fn next_wave(&mut self) -> Vec<Chunk<Self::Work>>;
    /// Computes the numbers of a chunk. `scores` is room for them; its content does not matter.
    fn numbers<'s>(&self, work: Self::Work, scores: &'s mut Vec<u16>) -> Numbers<'s>;
}

/// Comparisons that are made together.
pub(crate) struct Chunk<W> {
    pub(crate) layout: Layout,
    /// Bits of the numbers if they are replicated already.
    pub(crate) replicated: Option<usize>,
    /// Products of words that its numbers take.
    pub(crate) products: usize,
    pub(crate) work: W,
}

/// One party of a batch protocol.
pub(crate) struct Engine<S: Source> {
    keys: ProtocolKeys,
    adder: Adder,
    source: S,
    threads: usize,
    combination: Combination,
    /// Waves and chunks planned so far.
    waves: u64,
    chunks: u64,
    /// The wave before the current one, until its coins are known.
    waiting: Option<Waiting>,
    /// The wave after the current one, as far as it is made; an empty one when there is none.
    ahead: Option<Wave<S::Work>>,
    /// Memory of chunks that are done.
    spare: Vec<Room>,
    state: State<S::Work>,
}

struct Waiting {
    number: u64,
    chunks: Vec<(BitShares, Layout)>,
}

enum State<W> {
    Fresh,
    /// Nothing to do; one empty round.
    Empty,
    Wave(Wave<W>),
    /// Only the last wave's coins are due.
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

/// Chunks that go through their rounds together.
struct Wave<W> {
    number: u64,
    chunks: Vec<Flight<W>>,
    /// The first message, as far as it is made.
    first: Vec<u8>,
    /// Chunks whose first message is made.
    begun: usize,
    /// Bytes of this round's message of each chunk.
    lengths: Vec<usize>,
    /// The message that arrived last: memory for the next one to send.
    buffer: Vec<u8>,
}

struct Flight<W> {
    number: u64,
    layout: Layout,
    products: usize,
    state: FlightState<W>,
}

enum FlightState<W> {
    Planned(W),
    Pass(Box<SignPass>),
    /// Between two states, and when it has ended.
    Gone,
}

impl<S: Source> Engine<S> {
    pub(crate) fn new(keys: ProtocolKeys, adder: Adder, source: S) -> Self {
        let combination = Combination::zero(source.operations());
        Self {
            keys,
            adder,
            source,
            threads: 1,
            combination,
            waves: 0,
            chunks: 0,
            waiting: None,
            ahead: None,
            spare: Vec::new(),
            state: State::Fresh,
        }
    }

    pub(crate) fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// Computes on up to so many threads.
    pub(crate) fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    fn node(&self) -> NodeId {
        self.keys.node()
    }

    pub(crate) fn start(&mut self) -> Outgoing {
        let (state, body) = self.next_wave().unwrap_or((State::Empty, Vec::new()));
        self.state = state;
        Outgoing { to_prev: body, to_next: Vec::new() }
    }

    /// Makes some chunks of the next wave's first message. Returns whether there is more to do before the next message.
    pub(crate) fn work_ahead(&mut self) -> bool {
        if !matches!(self.state, State::Wave(_)) {
            return false;
        }
        let mut wave = self.ahead.take().unwrap_or_else(|| self.plan());
        self.begin(&mut wave, self.threads.max(1));
        let more = wave.begun < wave.chunks.len();
        self.ahead = Some(wave);
        more
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
            State::Wave(wave) => self.wave_round(wave, from_next),
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

    /// The next wave with nothing made yet.
    fn plan(&mut self) -> Wave<S::Work> {
        let planned = (self.chunks..).zip(self.source.next_wave()).map(Flight::planned);
        let (chunks, lengths): (Vec<Flight<S::Work>>, Vec<usize>) = planned.unzip();
        let number = self.waves;
        self.waves += 1;
        self.chunks += chunks.len() as u64;
        let first = vec![0; lengths.iter().sum::<usize>()];
        Wave { number, chunks, first, begun: 0, lengths, buffer: Vec::new() }
    }

    /// Makes the first messages of up to `count` more chunks.
    fn begin(&mut self, wave: &mut Wave<S::Work>, count: usize) {
        let done: usize = wave.lengths.iter().take(wave.begun).sum();
        let mut rest = wave.first.get_mut(done..).unwrap_or_default();
        let chunks = wave.chunks.iter_mut().zip(&wave.lengths).skip(wave.begun).take(count);
        let (mut items, mut products) = (Vec::new(), 0);
        for (flight, length) in chunks {
            let message = rest.split_off_mut(..*length).unwrap_or_default();
            products += flight.products;
            items.push((flight, message, self.spare.pop().unwrap_or_default()));
        }
        wave.begun += items.len();
        let (keys, adder, source) = (&self.keys, self.adder, &self.source);
        let threads = self.threads.min(products / THREAD_PRODUCTS);
        for_each(threads, items, Vec::new, |scores, (flight, message, room)| {
            if let FlightState::Planned(work) = std::mem::replace(&mut flight.state, FlightState::Gone) {
                let numbers = source.numbers(work, scores);
                let pass = SignPass::start(keys, flight.number, adder, numbers, room, message);
                flight.state = FlightState::Pass(Box::new(pass));
            }
        });
    }

    fn next_wave(&mut self) -> Option<(State<S::Work>, Vec<u8>)> {
        let mut wave = self.ahead.take().unwrap_or_else(|| self.plan());
        let all = wave.chunks.len();
        if all == 0 {
            return None;
        }
        self.begin(&mut wave, all);
        let message = std::mem::take(&mut wave.first);
        Some((State::Wave(wave), message))
    }

    fn wave_round(mut self, mut wave: Wave<S::Work>, arrived: Vec<u8>) -> Result<Step<Self, Vec<bool>>, Abort> {
        let expected = wave.lengths.iter().sum();
        if arrived.len() != expected {
            return Err(Abort::length(wave.phase(), self.node().next(), expected, arrived.len()));
        }
        let mut to_prev = std::mem::take(&mut wave.buffer);
        wave.round(&arrived, &mut to_prev, self.threads);
        wave.buffer = arrived;
        if !to_prev.is_empty() {
            self.state = State::Wave(wave);
            return Ok(Step::Continue(self, Outgoing { to_prev, to_next: Vec::new() }));
        }
        let number = wave.number;
        let chunks = wave.chunks.into_iter().filter_map(|flight| match flight.state {
            FlightState::Pass(pass) => {
                let (bits, room) = pass.finish();
                self.spare.push(room);
                Some((bits, flight.layout))
            }
            FlightState::Planned(_) | FlightState::Gone => None,
        });
        self.waiting = Some(Waiting { number, chunks: chunks.collect() });
        let (state, mut to_prev) = self.next_wave().unwrap_or((State::Coins, Vec::new()));
        self.state = state;
        // The predecessor lacks component i + 1, the successor component i.
        let [own, next] = coin_components(&self.keys, number);
        to_prev.extend(next);
        Ok(Step::Continue(self, Outgoing { to_prev, to_next: own.to_vec() }))
    }

    /// Both neighbours reveal the coin component that this node lacks, at the end of their messages.
    fn take_coins(&mut self, from_prev: &mut Vec<u8>, from_next: &mut Vec<u8>) -> Result<(), Abort> {
        let Some(Waiting { number, chunks }) = self.waiting.take() else { return Ok(()) };
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
        let comparisons: usize = chunks.iter().map(|(_, layout)| layout.lanes()).sum();
        self.combination.add(node, &chunks, &seed, self.threads.min(comparisons / THREAD_COMPARISONS));
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

    /// Bytes that comparisons in flight occupy, messages included.
    #[cfg(test)]
    pub(crate) fn resident_bytes(&self) -> usize {
        let wave = |wave: &Wave<S::Work>| {
            let passes = wave.chunks.iter().map(|flight| match &flight.state {
                FlightState::Pass(pass) => pass.resident_bytes(),
                FlightState::Planned(_) | FlightState::Gone => 0,
            });
            passes.sum::<usize>() + wave.first.capacity() + wave.buffer.capacity()
        };
        let current = if let State::Wave(current) = &self.state { wave(current) } else { 0 };
        let bits = self.waiting.iter().flat_map(|waiting| &waiting.chunks);
        let waiting: usize = bits.map(|(bits, _)| bits.own.resident_bytes() + bits.next.resident_bytes()).sum();
        current + self.ahead.as_ref().map_or(0, wave) + waiting + self.spare.iter().map(Room::resident_bytes).sum::<usize>()
    }
}

impl<W> Flight<W> {
    /// A chunk and the bytes of its first message.
    fn planned((number, chunk): (u64, Chunk<W>)) -> (Self, usize) {
        let Chunk { layout, replicated, products, work } = chunk;
        let length = SignPass::first_len(layout.lanes(), replicated);
        (Self { number, layout, products, state: FlightState::Planned(work) }, length)
    }
}

impl<W: Send> Wave<W> {
    /// Takes the message of a round and writes the next one, an empty one when the signs are there.
    fn round(&mut self, arrived: &[u8], to_prev: &mut Vec<u8>, threads: usize) {
        let lengths: Vec<usize> = self.chunks.iter().map(Flight::next_len).collect();
        to_prev.resize(lengths.iter().sum(), 0);
        let (mut arrived, mut rest) = (arrived, to_prev.as_mut_slice());
        let work = arrived.len().max(rest.len());
        let mut items = Vec::with_capacity(self.chunks.len());
        for ((flight, length), next) in self.chunks.iter_mut().zip(&self.lengths).zip(&lengths) {
            let message = arrived.split_off(..*length).unwrap_or_default();
            items.push((flight, message, rest.split_off_mut(..*next).unwrap_or_default()));
        }
        for_each(
            threads.min(work / THREAD_BYTES),
            items,
            || (),
            |(), (flight, arrived, message)| {
                if let FlightState::Pass(pass) = &mut flight.state {
                    pass.round(arrived, message);
                }
            },
        );
        self.lengths = lengths;
    }

    fn phase(&self) -> Phase {
        self.chunks.first().map_or(Phase::Sign, Flight::phase)
    }
}

impl<W> Flight<W> {
    fn next_len(&self) -> usize {
        if let FlightState::Pass(pass) = &self.state { pass.next_len() } else { 0 }
    }
    fn phase(&self) -> Phase {
        if let FlightState::Pass(pass) = &self.state { pass.phase() } else { Phase::Sign }
    }
}

impl<W: Send> State<W> {
    fn phase(&self) -> Phase {
        match self {
            Self::Fresh | Self::Empty => Phase::Empty,
            Self::Wave(wave) => wave.phase(),
            Self::Coins => Phase::Coins,
            Self::Mask { .. } => Phase::Mask,
            Self::Open { .. } => Phase::Open,
        }
    }
}
