//! The common course of all batch protocols (PROTOCOL section 3).
//!
//! Comparisons are made in *chunks*, small enough for a core's second-level cache, and chunks travel in *waves*: a round carries
//! the messages of all chunks of a wave. For every wave, (1) additive scores are re-shared, (2) signs are computed, (3) coins are
//! tossed and the bits combined. The toss of a wave travels with the next message after its last one. After the last wave the
//! combinations are multiplied by a random mask and opened. Node i sends re-shared values and gates to its predecessor only.
//!
//! Up to `depth` waves share their rounds: with every message one more of them starts, so that each is a round behind the one before.
//! While a message is on its way, [`Engine::work_ahead`] makes the first messages of the coming waves, chunk by chunk: computing and
//! network overlap, within a search of several waves as from one full depth to the next. There are never more than `depth` waves in
//! flight and as many ahead, so memory is bounded whatever the gallery's size and however slow a peer is. Within a round, chunks are
//! spread over threads.

use std::collections::VecDeque;

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
    /// Most waves in flight, and most ahead.
    depth: usize,
    /// Waves and chunks planned so far.
    waves: u64,
    chunks: u64,
    /// Whether the source has no more waves.
    exhausted: bool,
    /// Waves to come, as far as they are made.
    ahead: VecDeque<Wave<S::Work>>,
    /// Waves that go through their rounds, in the order of their starts.
    in_flight: VecDeque<Wave<S::Work>>,
    /// Waves that have ended, until their coins are known.
    waiting: Vec<Waiting>,
    /// Memory of chunks that are done.
    spare: Vec<Room>,
    /// The message that arrived last: memory for the next one to send.
    buffer: Vec<u8>,
    state: State,
}

struct Waiting {
    number: u64,
    chunks: Vec<(BitShares, Layout)>,
}

enum State {
    Fresh,
    /// Nothing to do; one empty round.
    Empty,
    /// Waves are in flight.
    Waves,
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
            depth: 1,
            waves: 0,
            chunks: 0,
            exhausted: false,
            ahead: VecDeque::new(),
            in_flight: VecDeque::new(),
            waiting: Vec::new(),
            spare: Vec::new(),
            buffer: Vec::new(),
            state: State::Fresh,
        }
    }

    pub(crate) fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// Has up to so many waves in flight, at least one. The three nodes must choose alike.
    pub(crate) fn set_depth(&mut self, depth: usize) {
        self.depth = depth.max(1);
    }

    /// Computes on up to so many threads.
    pub(crate) fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    fn node(&self) -> NodeId {
        self.keys.node()
    }

    pub(crate) fn start(&mut self) -> Outgoing {
        let body = self.launch();
        self.state = if body.is_some() { State::Waves } else { State::Empty };
        Outgoing { to_prev: body.unwrap_or_default(), to_next: Vec::new() }
    }

    /// Makes some chunks of the first messages of coming waves. Returns whether there is more to do before the next message.
    pub(crate) fn work_ahead(&mut self) -> bool {
        if !matches!(self.state, State::Waves) {
            return false;
        }
        self.begin(self.threads.max(1));
        self.ahead.iter().any(|wave| wave.left() > 0) || (self.ahead.len() < self.depth && !self.exhausted)
    }

    pub(crate) fn round(mut self, incoming: Incoming) -> Result<Step<Self, Vec<bool>>, Abort> {
        let Incoming { mut from_prev, mut from_next } = incoming;
        self.take_coins(&mut from_prev, &mut from_next)?;
        let state = std::mem::replace(&mut self.state, State::Fresh);
        if let State::Open { own, next } = state {
            return Ok(Step::Finish(self.opened(&own, &next, &from_prev, &from_next)?));
        }
        if !from_prev.is_empty() {
            return Err(Abort::length(self.phase(&state), self.node().prev(), 0, from_prev.len()));
        }
        match state {
            State::Waves => self.wave_round(from_next),
            State::Mask { own } => self.mask_round(own, &from_next),
            state @ (State::Fresh | State::Empty | State::Coins | State::Open { .. }) => {
                if !from_next.is_empty() {
                    return Err(Abort::length(self.phase(&state), self.node().next(), 0, from_next.len()));
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

    /// Puts the next wave ahead, with nothing made yet, if there is one.
    fn plan(&mut self) {
        let planned = (self.chunks..).zip(self.source.next_wave()).map(Flight::planned);
        let (chunks, lengths): (Vec<Flight<S::Work>>, Vec<usize>) = planned.unzip();
        if chunks.is_empty() {
            self.exhausted = true;
            return;
        }
        let number = self.waves;
        self.waves += 1;
        self.chunks += chunks.len() as u64;
        let first = vec![0; lengths.iter().sum::<usize>()];
        self.ahead.push_back(Wave { number, chunks, first, begun: 0, lengths });
    }

    /// Makes the first messages of up to `count` more chunks, of as many waves as may be ahead.
    fn begin(&mut self, count: usize) {
        while self.ahead.len() < self.depth && !self.exhausted && self.ahead.iter().map(Wave::left).sum::<usize>() < count {
            self.plan();
        }
        let (mut items, mut products) = (Vec::new(), 0);
        for wave in &mut self.ahead {
            let done: usize = wave.lengths.iter().take(wave.begun).sum();
            let mut rest = wave.first.get_mut(done..).unwrap_or_default();
            let chunks = wave.chunks.iter_mut().zip(&wave.lengths).skip(wave.begun).take(count - items.len());
            for (flight, length) in chunks {
                let message = rest.split_off_mut(..*length).unwrap_or_default();
                products += flight.products;
                items.push((flight, message, self.spare.pop().unwrap_or_default()));
                wave.begun += 1;
            }
        }
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

    /// Puts the next wave in flight and returns its first message, if there is another wave.
    fn launch(&mut self) -> Option<Vec<u8>> {
        if self.ahead.is_empty() && !self.exhausted {
            self.plan();
        }
        let left = self.ahead.front()?.left();
        if left > 0 {
            // Threads that this wave leaves idle go on with the next.
            self.begin(left.max(self.threads));
        }
        let mut wave = self.ahead.pop_front()?;
        let first = std::mem::take(&mut wave.first);
        self.in_flight.push_back(wave);
        Some(first)
    }

    fn wave_round(mut self, arrived: Vec<u8>) -> Result<Step<Self, Vec<bool>>, Abort> {
        let expected = self.in_flight.iter().map(Wave::message_len).sum();
        if arrived.len() != expected {
            return Err(Abort::length(self.phase(&State::Waves), self.node().next(), expected, arrived.len()));
        }
        let mut to_prev = std::mem::take(&mut self.buffer);
        self.advance(&arrived, &mut to_prev);
        self.buffer = arrived;
        self.collect_ended();
        if self.in_flight.len() < self.depth
            && let Some(first) = self.launch()
        {
            if to_prev.is_empty() {
                to_prev = first;
            } else {
                to_prev.extend(first);
            }
        }
        self.state = if self.in_flight.is_empty() { State::Coins } else { State::Waves };
        // The predecessor lacks component i + 1, the successor component i.
        let mut to_next = Vec::new();
        for wave in &self.waiting {
            let [own, next] = coin_components(&self.keys, wave.number);
            to_prev.extend(next);
            to_next.extend(own);
        }
        Ok(Step::Continue(self, Outgoing { to_prev, to_next }))
    }

    /// Takes the message of a round and writes the next one: wave after wave, nothing for those whose signs are there.
    fn advance(&mut self, arrived: &[u8], to_prev: &mut Vec<u8>) {
        let lengths = self.in_flight.iter().map(|wave| wave.chunks.iter().map(Flight::next_len).collect());
        let lengths: Vec<Vec<usize>> = lengths.collect();
        to_prev.resize(lengths.iter().flatten().sum(), 0);
        let (mut arrived, mut rest) = (arrived, to_prev.as_mut_slice());
        let work = arrived.len().max(rest.len());
        let mut items = Vec::new();
        for (wave, lengths) in self.in_flight.iter_mut().zip(&lengths) {
            for ((flight, length), next) in wave.chunks.iter_mut().zip(&wave.lengths).zip(lengths) {
                let message = arrived.split_off(..*length).unwrap_or_default();
                items.push((flight, message, rest.split_off_mut(..*next).unwrap_or_default()));
            }
        }
        for_each(
            self.threads.min(work / THREAD_BYTES),
            items,
            || (),
            |(), (flight, arrived, message)| {
                if let FlightState::Pass(pass) = &mut flight.state {
                    pass.round(arrived, message);
                }
            },
        );
        for (wave, lengths) in self.in_flight.iter_mut().zip(lengths) {
            wave.lengths = lengths;
        }
    }

    /// Takes waves that have ended out of flight; their coins are to be tossed.
    fn collect_ended(&mut self) {
        let (ended, in_flight) = std::mem::take(&mut self.in_flight).into_iter().partition(|wave| wave.message_len() == 0);
        self.in_flight = in_flight;
        let ended: VecDeque<Wave<S::Work>> = ended;
        for Wave { number, chunks, .. } in ended {
            let chunks = chunks.into_iter().filter_map(|flight| match flight.state {
                FlightState::Pass(pass) => {
                    let (bits, room) = pass.finish();
                    self.spare.push(room);
                    Some((bits, flight.layout))
                }
                FlightState::Planned(_) | FlightState::Gone => None,
            });
            let chunks = chunks.collect();
            self.waiting.push(Waiting { number, chunks });
        }
    }

    /// Both neighbours reveal the coin components that this node lacks, at the end of their messages.
    fn take_coins(&mut self, from_prev: &mut Vec<u8>, from_next: &mut Vec<u8>) -> Result<(), Abort> {
        let (node, waiting) = (self.node(), std::mem::take(&mut self.waiting));
        let len = waiting.len() * COIN_BYTES;
        let take = |message: &mut Vec<u8>, sender| match message.len().checked_sub(len) {
            Some(start) => Ok(message.split_off(start)),
            None => Err(Abort::length(Phase::Coins, sender, len, message.len())),
        };
        let lacking = take(from_prev, node.prev())?;
        if take(from_next, node.next())? != lacking {
            return Err(Abort::disagreement(Phase::Coins));
        }
        for (Waiting { number, chunks }, lacking) in waiting.into_iter().zip(lacking.as_chunks::<COIN_BYTES>().0) {
            let [own, next] = coin_components(&self.keys, number);
            let mut seed = *lacking;
            for ((seed, own), next) in seed.iter_mut().zip(own).zip(next) {
                *seed ^= own ^ next;
            }
            let comparisons: usize = chunks.iter().map(|(_, layout)| layout.lanes()).sum();
            self.combination.add(node, &chunks, &seed, self.threads.min(comparisons / THREAD_COMPARISONS));
        }
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

    fn phase(&self, state: &State) -> Phase {
        match state {
            State::Fresh | State::Empty => Phase::Empty,
            State::Waves => self.in_flight.front().map_or(Phase::Sign, Wave::phase),
            State::Coins => Phase::Coins,
            State::Mask { .. } => Phase::Mask,
            State::Open { .. } => Phase::Open,
        }
    }

    /// Bytes that comparisons in flight occupy, messages included.
    #[cfg(test)]
    pub(crate) fn resident_bytes(&self) -> usize {
        let wave = |wave: &Wave<S::Work>| {
            let passes = wave.chunks.iter().map(|flight| match &flight.state {
                FlightState::Pass(pass) => pass.resident_bytes(),
                FlightState::Planned(_) | FlightState::Gone => 0,
            });
            passes.sum::<usize>() + wave.first.capacity()
        };
        let waves: usize = self.in_flight.iter().chain(&self.ahead).map(wave).sum();
        let bits = self.waiting.iter().flat_map(|waiting| &waiting.chunks);
        let waiting: usize = bits.map(|(bits, _)| bits.own.resident_bytes() + bits.next.resident_bytes()).sum();
        waves + self.buffer.capacity() + waiting + self.spare.iter().map(Room::resident_bytes).sum::<usize>()
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

impl<W> Wave<W> {
    /// Chunks whose first message is yet to be made.
    fn left(&self) -> usize {
        self.chunks.len() - self.begun
    }

    /// Bytes of this round's message.
    fn message_len(&self) -> usize {
        self.lengths.iter().sum()
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
