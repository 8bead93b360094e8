//! The sign of a shared number: the top bit of x1 + x2 + x3, computed on bit-sliced XOR shares (PROTOCOL section 3; replicated
//! AND gates after Araki, Furukawa, Lindell, Nof, Ohara 2016, eprint 2016/768).
//!
//! Node i knows x_i and x_{i+1}, so the bits of each component are trivially XOR-shared. A carry-save step turns the three
//! numbers into two, s + 2 c with s = x1 ^ x2 ^ x3 and c = maj(x1, x2, x3) = x1 x2 ^ x2 x3 ^ x3 x1: component i of s is x_i, and
//! component i of c is x_i x_{i+1}, a local product plus a zero share. Then an adder finds the carry into the top bit:
//!
//! | width 16 | ANDs per comparison | rounds | bytes sent per comparison and node |
//! |---|---|---|---|
//! | [`Adder::Ripple`] | 29 | 15 | 3.625 |
//! | [`Adder::Prefix`] | 51 | 6 | 6.375 |
//!
//! An AND gate sends one bit to the predecessor: z_i = a_i b_i ^ a_i b_{i+1} ^ a_{i+1} b_i ^ (zero share). Numbers that are
//! additive only are re-shared first, by one more message: x_i plus a share of zero, which is also component i from then on.
//!
//! Numbers are handled by the 512; missing ones are padded. Out of scope: which numbers, and using the bit (`batch`); proving that
//! gates were computed honestly (stage 2).

use std::ops::Range;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use types::limits::CHUNK_COMPARISONS;

use crate::bits::{Planes, pieces, plane_words};
use crate::error::Phase;
use crate::kernel::sliced;
use crate::kernel::vectors::Vectors;
use crate::kernel::words::Words;
use crate::session::{ProtocolKeys, Purpose, Streams, TILE, Tile};

/// How carries are computed. The three nodes must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Adder {
    /// Bit by bit: least traffic, most rounds.
    Ripple,
    /// Parallel prefix: 9 rounds fewer, 2.75 bytes per comparison more (width 16).
    Prefix,
}

impl Adder {
    /// The faster adder for so many comparisons over links with this round-trip time and this capacity. Rounds are saved once for
    /// each wave of comparisons in flight, bytes are spent on every comparison. `cargo bench -p sim --bench adders` measures it.
    pub fn choose(comparisons: usize, round_trip: Duration, mbit_per_s: u32) -> Self {
        let saved_us = 9 * round_trip.as_micros() / 2;
        // 22 bits more for each comparison; so many Mbit/s are so many bits a microsecond.
        let spent_us = comparisons.min(CHUNK_COMPARISONS) as u128 * 22 / u128::from(mbit_per_s.max(1));
        if saved_us > spent_us { Self::Prefix } else { Self::Ripple }
    }
    /// AND gates per comparison, which are also the bits sent per comparison and node.
    pub fn gates(self, width: usize) -> usize {
        let carries = width.saturating_sub(2);
        match self {
            Self::Ripple => width - 1 + carries,
            Self::Prefix => {
                let (mut gates, mut nodes) = (width - 1 + carries, carries);
                while nodes > 1 {
                    gates += 2 * (nodes / 2) - 1;
                    nodes = nodes.div_ceil(2);
                }
                gates
            }
        }
    }
}

/// XOR-replicated bits of one node, 64 lanes per word, in natural order; padded to whole lines.
#[derive(Default)]
pub(crate) struct BitShares {
    pub(crate) own: Words,
    pub(crate) next: Words,
}

/// Memory of a sign computation, to be used again by the next one of the same size.
#[derive(Default)]
pub(crate) struct Room {
    /// Components i and i + 1 of s, which are those of x.
    s: [Planes; 2],
    /// Components of c.
    c: [Planes; 2],
}

impl Room {
    /// Bit `bit` of s.
    fn sum(&self, bit: usize) -> [&[u64]; 2] {
        self.s.each_ref().map(|s| s.plane(bit))
    }
    /// Bit `bit` of 2c.
    fn carry(&self, bit: usize) -> [&[u64]; 2] {
        self.c.each_ref().map(|c| c.plane(bit - 1))
    }
    /// Bytes held.
    #[cfg(test)]
    pub(crate) fn resident_bytes(&self) -> usize {
        self.s.iter().chain(&self.c).map(Planes::resident_bytes).sum()
    }
}

/// The numbers whose signs are asked for.
pub(crate) enum Numbers<'a> {
    /// One additive share each; as many as whole groups of 512 have.
    Additive(&'a [u16]),
    /// Planes of components i and i + 1.
    Replicated([Planes; 2]),
}

/// The sign computation of many numbers at once, waiting for the message of one round. All messages go to the predecessor and
/// come from the successor; those of one round have one length at all nodes.
pub(crate) struct SignPass {
    adder: Adder,
    /// Bits of a number.
    width: usize,
    words: usize,
    vectors: Vectors,
    streams: Streams,
    room: Room,
    /// The carry into the bit in turn: own component, and the next one as far as it has arrived.
    carry: [Words; 2],
    stage: Stage,
}

enum Stage {
    /// The next component of the numbers is to come.
    Reshare,
    /// That of c.
    CarrySave,
    /// That of the carry into this bit.
    Ripple(usize),
    /// That of `products`: gates of the generate bits, or of a level of the tree.
    Prefix {
        tree: Vec<Group>,
        products: Vec<Words>,
        generating: bool,
    },
    Done,
}

/// A run of bit positions: does it generate a carry, does it pass one on? The lowest group has nothing to pass on.
struct Group {
    generate: [Words; 2],
    propagate: Option<[Words; 2]>,
}

impl SignPass {
    /// Bytes of the first message for `count` numbers: additive ones of 16 bits, or replicated ones of `width` bits.
    pub(crate) fn first_len(count: usize, replicated: Option<usize>) -> usize {
        8 * plane_words(count) * replicated.map_or(16, |width| width.saturating_sub(1))
    }

    /// Starts and writes the first message, of [`Self::first_len`] bytes. `counter` numbers the passes of a protocol.
    pub(crate) fn start(
        keys: &ProtocolKeys,
        counter: u64,
        adder: Adder,
        numbers: Numbers<'_>,
        mut room: Room,
        message: &mut [u8],
    ) -> Self {
        let vectors = Vectors::selected();
        let streams = keys.streams(Purpose::And, counter);
        let carry = [Words::default(), Words::default()];
        match numbers {
            Numbers::Additive(numbers) => {
                let words = plane_words(numbers.len());
                let [own, _] = &mut room.s;
                own.reshape(16, words);
                let (mut zero, mut tile) = (keys.streams(Purpose::ScoreReshare, counter), Tile::new());
                let pieces = numbers.chunks(TILE / 2).zip(message.chunks_mut(TILE));
                for ((numbers, message), word) in pieces.zip((0..).step_by(TILE / 128)) {
                    sliced::add_numbers(vectors, numbers, zero.zero_share(&mut tile, message.len()), message);
                    own.take(vectors, 0, word, message);
                }
                Self { adder, width: 16, words, vectors, streams, room, carry, stage: Stage::Reshare }
            }
            Numbers::Replicated([own, next]) => {
                let (width, words) = (own.width(), own.words());
                room.s = [own, next];
                let mut pass = Self { adder, width, words, vectors, streams, room, carry, stage: Stage::CarrySave };
                pass.carry_save(message);
                pass
            }
        }
    }

    /// Bytes of the message that [`Self::round`] writes now; none when that is the last round.
    pub(crate) fn next_len(&self) -> usize {
        let planes = match &self.stage {
            Stage::Reshare => self.width.saturating_sub(1),
            Stage::CarrySave => match self.adder {
                Adder::Ripple => usize::from(self.width > 2),
                Adder::Prefix => self.width.saturating_sub(2),
            },
            Stage::Ripple(bit) => usize::from(bit + 1 < self.width),
            Stage::Prefix { products, generating: true, .. } => level_gates(products.len()),
            Stage::Prefix { tree, .. } => level_gates(tree.len().div_ceil(2)),
            Stage::Done => 0,
        };
        8 * self.words * planes
    }

    /// Takes the successor's message of this round, which has the length of this node's own, and writes the next one.
    pub(crate) fn round(&mut self, arrived: &[u8], message: &mut [u8]) {
        debug_assert_eq!(message.len(), self.next_len());
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Reshare => {
                let [_, next] = &mut self.room.s;
                next.reshape(16, self.words);
                next.take(self.vectors, 0, 0, arrived);
                self.carry_save(message);
            }
            Stage::CarrySave => {
                let [_, next] = &mut self.room.c;
                next.reshape(self.width - 1, self.words);
                sliced::copy_bytes(self.vectors, arrived, next.all_mut());
                match self.adder {
                    Adder::Ripple => self.first_ripple(message),
                    Adder::Prefix => self.generate(message),
                }
            }
            Stage::Ripple(bit) => self.ripple(bit, arrived, message),
            Stage::Prefix { tree, products, generating } => {
                let mut arrived = arrived.chunks_exact((8 * self.words).max(1));
                let products = products
                    .into_iter()
                    .map(|own| {
                        let mut next = Words::zero(self.words);
                        sliced::copy_bytes(self.vectors, arrived.next().unwrap_or_default(), &mut next);
                        [own, next]
                    })
                    .collect();
                if generating { self.propagate(products, message) } else { self.merge(tree, products, message) }
            }
            Stage::Done => {}
        }
    }

    /// Where this pass stands, for error messages.
    pub(crate) fn phase(&self) -> Phase {
        if matches!(self.stage, Stage::Reshare) { Phase::Reshare } else { Phase::Sign }
    }

    /// The signs, after the last round, and the memory to use again.
    pub(crate) fn finish(self) -> (BitShares, Room) {
        let [own, next] = self.carry;
        (BitShares { own, next }, self.room)
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(crate) fn resident_bytes(&self) -> usize {
        let prefix = match &self.stage {
            Stage::Prefix { tree, products, .. } => {
                let groups = tree.iter().flat_map(|group| group.generate.iter().chain(group.propagate.iter().flatten()));
                groups.chain(products).map(Words::resident_bytes).sum()
            }
            _ => 0,
        };
        self.room.resident_bytes() + self.carry.iter().map(Words::resident_bytes).sum::<usize>() + prefix
    }

    /// Component i of c is x_i x_{i+1} plus a zero share, for all bits below the top.
    fn carry_save(&mut self, message: &mut [u8]) {
        let [x, y] = &self.room.s;
        let [own, _] = &mut self.room.c;
        own.reshape(self.width.saturating_sub(1), self.words);
        let (mut tile, count) = (Tile::new(), own.all().len());
        for (at, message) in pieces(count, TILE / 8).zip(message.chunks_mut(TILE)) {
            let zero = self.streams.xor_zero_share(&mut tile, message.len());
            let (x, y) = (part(x.all(), &at), part(y.all(), &at));
            sliced::carry_save(self.vectors, x, y, zero, part_mut(own.all_mut(), &at), message);
        }
        self.stage = Stage::CarrySave;
    }

    /// Bits 1 of s and of 2 c make the carry into bit 2.
    fn first_ripple(&mut self, message: &mut [u8]) {
        self.carry = [Words::zero(self.words), Words::zero(self.words)];
        if self.width <= 2 {
            return self.sign();
        }
        let ([s, s2], [c, c2]) = (self.room.sum(1), self.room.carry(1));
        let (mut tile, mut own) = (Tile::new(), Words::zero(self.words));
        for (at, message) in pieces(self.words, TILE / 8).zip(message.chunks_mut(TILE)) {
            let zero = self.streams.xor_zero_share(&mut tile, message.len());
            let (a, b) = ([part(s, &at), part(s2, &at)], [part(c, &at), part(c2, &at)]);
            sliced::and(self.vectors, a, b, zero, part_mut(&mut own, &at), message);
        }
        let [carry, _] = &mut self.carry;
        *carry = own;
        self.stage = Stage::Ripple(2);
    }

    /// With the carry into bit `bit` complete, makes the next one: carry' = ((s ^ carry) & (c ^ carry)) ^ carry.
    fn ripple(&mut self, bit: usize, arrived: &[u8], message: &mut [u8]) {
        let [own, next] = &mut self.carry;
        if bit + 1 >= self.width {
            sliced::xor_bytes(self.vectors, arrived, next);
            return self.sign();
        }
        let (s, c) = (self.room.sum(bit), self.room.carry(bit));
        let mut tile = Tile::new();
        for ((at, message), arrived) in pieces(self.words, TILE / 8).zip(message.chunks_mut(TILE)).zip(arrived.chunks(TILE))
        {
            let zero = self.streams.xor_zero_share(&mut tile, message.len());
            let carry = [part_mut(own, &at), part_mut(next, &at)];
            let (s, c) = (s.map(|s| part(s, &at)), c.map(|c| part(c, &at)));
            sliced::ripple(self.vectors, s, c, carry, arrived, zero, message);
        }
        self.stage = Stage::Ripple(bit + 1);
    }

    /// Prefix, round 2: generate bits s & c of every position that can carry into the top.
    fn generate(&mut self, message: &mut [u8]) {
        if self.width <= 2 {
            self.carry = [Words::zero(self.words), Words::zero(self.words)];
            return self.sign();
        }
        let pairs: Vec<_> = (1..self.width - 1).map(|bit| (self.room.sum(bit), self.room.carry(bit))).collect();
        let products = ands(self.vectors, &mut self.streams, &pairs, message);
        self.stage = Stage::Prefix { tree: Vec::new(), products, generating: true };
    }

    /// Prefix: the generate bits have arrived; propagate bits s ^ c are local.
    fn propagate(&mut self, generate: Vec<[Words; 2]>, message: &mut [u8]) {
        let tree = generate
            .into_iter()
            .zip(1..)
            .map(|(generate, bit)| {
                let propagate = (bit > 1).then(|| self.xor(self.room.sum(bit), self.room.carry(bit)));
                Group { generate, propagate }
            })
            .collect();
        self.level(tree, message);
    }

    /// Prefix: joins neighbouring groups, or finishes when one is left. G = G_high ^ P_high G_low, P = P_high P_low.
    fn level(&mut self, mut tree: Vec<Group>, message: &mut [u8]) {
        if tree.len() == 1 {
            self.carry = tree.pop().map_or_else(Default::default, |whole| whole.generate);
            return self.sign();
        }
        let mut pairs = Vec::with_capacity(tree.len());
        for pair in tree.chunks_exact(2) {
            let [low, high] = pair else { continue };
            let Some(propagate) = &high.propagate else { continue };
            pairs.push((slices(propagate), slices(&low.generate)));
            if let Some(low) = &low.propagate {
                pairs.push((slices(propagate), slices(low)));
            }
        }
        let products = ands(self.vectors, &mut self.streams, &pairs, message);
        self.stage = Stage::Prefix { tree, products, generating: false };
    }

    /// Prefix: a level's products have arrived.
    fn merge(&mut self, tree: Vec<Group>, products: Vec<[Words; 2]>, message: &mut [u8]) {
        let mut products = products.into_iter();
        let mut joined = Vec::with_capacity(tree.len().div_ceil(2));
        let mut groups = tree.into_iter();
        while let Some(low) = groups.next() {
            let Some(high) = groups.next() else {
                joined.push(low);
                break;
            };
            let Some(product) = products.next() else { break };
            let propagate = if low.propagate.is_some() { products.next() } else { None };
            joined.push(Group { generate: self.xor(slices(&high.generate), slices(&product)), propagate });
        }
        self.level(joined, message);
    }

    /// The top bit: s ^ c ^ the carry into it, which takes its place.
    fn sign(&mut self) {
        let top = self.width - 1;
        let rest = self.xor(self.room.sum(top), self.room.carry(top));
        for (carry, rest) in self.carry.iter_mut().zip(rest) {
            carry.iter_mut().zip(rest.iter()).for_each(|(carry, rest)| *carry ^= rest);
            sliced::natural_order(self.vectors, carry);
        }
    }

    fn xor(&self, a: Shared<'_>, b: Shared<'_>) -> [Words; 2] {
        let [[a, a2], [b, b2]] = [a, b];
        [(a, b), (a2, b2)].map(|(a, b)| {
            let mut out = Words::zero(a.len());
            sliced::xor(self.vectors, a, b, &mut out);
            out
        })
    }
}

/// A plane in components i and i + 1.
type Shared<'a> = [&'a [u64]; 2];

/// Gates that join `groups` groups of a prefix tree; none where one is left.
fn level_gates(groups: usize) -> usize {
    (2 * (groups / 2)).saturating_sub(1)
}

/// The AND of each pair of planes.
fn ands(vectors: Vectors, streams: &mut Streams, pairs: &[(Shared<'_>, Shared<'_>)], message: &mut [u8]) -> Vec<Words> {
    let words = message.len().checked_div(8 * pairs.len()).unwrap_or(0);
    let mut tile = Tile::new();
    let products = pairs.iter().zip(message.chunks_mut((8 * words).max(1))).map(|((a, b), message)| {
        let mut own = Words::zero(words);
        for (at, message) in pieces(words, TILE / 8).zip(message.chunks_mut(TILE)) {
            let zero = streams.xor_zero_share(&mut tile, message.len());
            let (a, b) = (a.map(|a| part(a, &at)), b.map(|b| part(b, &at)));
            sliced::and(vectors, a, b, zero, part_mut(&mut own, &at), message);
        }
        own
    });
    products.collect()
}

fn slices(words: &[Words; 2]) -> [&[u64]; 2] {
    words.each_ref().map(|words| &**words)
}

/// A range that lies inside by construction.
fn part<'a>(words: &'a [u64], range: &Range<usize>) -> &'a [u64] {
    words.get(range.clone()).unwrap_or_default()
}

fn part_mut<'a>(words: &'a mut [u64], range: &Range<usize>) -> &'a mut [u64] {
    words.get_mut(range.clone()).unwrap_or_default()
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
