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
//! An AND gate sends one bit to the predecessor: z_i = a_i b_i ^ a_i b_{i+1} ^ a_{i+1} b_i ^ (zero share).
//! Out of scope: producing replicated shares and using the bit (`batch`); proving that gates were computed honestly (stage 2).

use std::ops::Range;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use types::NodeId;
use zeroize::Zeroize;

use crate::bits::{Planes, natural_order};
use crate::error::{Abort, Phase};
use crate::session::{ProtocolKeys, Purpose, Streams, TILE, Word};

/// How carries are computed. The three nodes must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Adder {
    /// Bit by bit: least traffic, most rounds.
    Ripple,
    /// Parallel prefix: 9 rounds fewer, 2.75 bytes per comparison more (width 16).
    Prefix,
}

impl Adder {
    /// The faster adder for `comparisons` at once over links with this round-trip time and about 1 Gbit/s.
    pub fn choose(comparisons: usize, round_trip: Duration) -> Self {
        const BYTES_PER_US: u128 = 125;
        let saved_us = 9 * round_trip.as_micros() / 2;
        let spent_us = (comparisons as u128 * 22 / 8) / BYTES_PER_US;
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

/// XOR-replicated bits of one node, 64 lanes per word.
pub(crate) struct BitShares {
    pub(crate) own: Vec<u64>,
    pub(crate) next: Vec<u64>,
}

impl Drop for BitShares {
    fn drop(&mut self) {
        self.own.zeroize();
        self.next.zeroize();
    }
}

impl BitShares {
    fn copy(&self) -> Self {
        Self { own: self.own.clone(), next: self.next.clone() }
    }
    fn xor(&self, other: &Self) -> Self {
        let xor = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
        Self { own: xor(&self.own, &other.own), next: xor(&self.next, &other.next) }
    }
}

/// The sign computation of many numbers at once, waiting for the message of one round.
pub(crate) struct SignPass {
    node: NodeId,
    adder: Adder,
    /// Bits of a number.
    width: usize,
    streams: Streams,
    /// Components of s.
    s_own: Planes,
    s_next: Planes,
    /// Components of c; `c_next` is empty until the first round ends.
    c_own: Vec<u64>,
    c_next: Vec<u64>,
    stage: Stage,
}

enum Stage {
    CarrySave,
    /// The carry into bit `bit`. `carry.own` is up to date, `carry.next` lacks this round's message.
    Ripple {
        bit: usize,
        carry: BitShares,
    },
    /// Group generate and propagate bits; `products.own` are this round's gates, `products.next` is to come.
    Prefix {
        tree: Vec<Group>,
        products: Vec<Vec<u64>>,
        generating: bool,
    },
}

/// A run of bit positions: does it generate a carry, does it pass one on? The lowest group has nothing to pass on.
struct Group {
    generate: BitShares,
    propagate: Option<BitShares>,
}

/// What follows a round.
pub(crate) enum SignStep {
    /// Send this to the predecessor and wait.
    More(Box<SignPass>, Vec<u8>),
    /// The top bits, in natural lane order.
    Done(BitShares),
}

impl SignPass {
    /// Starts with the planes of components i and i + 1. Returns the first message to the predecessor.
    pub(crate) fn start(keys: &ProtocolKeys, counter: u64, adder: Adder, own: Planes, next: Planes) -> (Self, Vec<u8>) {
        let words = own.words();
        let width = own.all().len().checked_div(words).unwrap_or(0);
        let mut streams = keys.streams(Purpose::And, counter);
        let (x, y) = (own.all(), next.all());
        let carries = words * width.saturating_sub(1);
        let mut c_own = vec![0; carries];
        let message = gates(&mut streams, carries, &mut c_own, |at, out| {
            let (x, y) = (part(x, &at), part(y, &at));
            for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                *out = x & y;
            }
        });
        let node = keys.node();
        let stage = Stage::CarrySave;
        (Self { node, adder, width, streams, s_own: own, s_next: next, c_own, c_next: Vec::new(), stage }, message)
    }

    /// Takes the successor's message of this round.
    pub(crate) fn round(mut self, message: &[u8]) -> Result<SignStep, Abort> {
        let words = self.s_own.words();
        let planes = match &self.stage {
            Stage::CarrySave => self.width.saturating_sub(1),
            Stage::Ripple { .. } => 1,
            Stage::Prefix { products, .. } => products.len(),
        };
        if message.len() != planes * words * 8 {
            return Err(Abort::length(Phase::Sign, self.node.next(), planes * words * 8, message.len()));
        }
        match std::mem::replace(&mut self.stage, Stage::CarrySave) {
            Stage::CarrySave => {
                self.c_next = u64::read(message);
                Ok(match self.adder {
                    Adder::Ripple => {
                        let zero = BitShares { own: vec![0; words], next: vec![0; words] };
                        self.ripple(1, zero)
                    }
                    Adder::Prefix => self.generate(),
                })
            }
            Stage::Ripple { bit, mut carry } => {
                for (carry, bytes) in carry.next.iter_mut().zip(message.as_chunks::<8>().0) {
                    *carry ^= u64::from_le_bytes(*bytes);
                }
                Ok(self.ripple(bit, carry))
            }
            Stage::Prefix { tree, products, generating } => {
                let received = u64::read(message);
                let products = products
                    .into_iter()
                    .zip(received.chunks(words.max(1)))
                    .map(|(own, next)| BitShares { own, next: next.to_vec() })
                    .collect();
                Ok(if generating { self.propagate(products) } else { self.merge(tree, products) })
            }
        }
    }

    /// With the carry into bit `bit` known, starts the next one: carry' = ((s ^ carry) & (c ^ carry)) ^ carry.
    fn ripple(mut self, bit: usize, mut carry: BitShares) -> SignStep {
        if bit + 1 >= self.width {
            return self.finish(&carry);
        }
        let words = self.s_own.words();
        let below = (bit - 1) * words;
        let (s, s2) = (self.s_own.plane(bit), self.s_next.plane(bit));
        let (c, c2) = (part(&self.c_own, &(below..below + words)), part(&self.c_next, &(below..below + words)));
        let mut product = vec![0; words];
        let message = gates(&mut self.streams, words, &mut product, |at, out| {
            let (k, k2) = (part(&carry.own, &at), part(&carry.next, &at));
            and_carry(out, [part(s, &at), part(c, &at), k], [part(s2, &at), part(c2, &at), k2]);
        });
        for (carry, product) in carry.own.iter_mut().zip(&product) {
            *carry ^= product;
        }
        self.stage = Stage::Ripple { bit: bit + 1, carry };
        SignStep::More(Box::new(self), message)
    }

    /// Prefix, round 2: generate bits s & c of every position that can carry into the top.
    fn generate(self) -> SignStep {
        let pairs: Vec<_> = (1..self.width - 1).map(|bit| (self.sum_bit(bit), self.carry_bit(bit))).collect();
        self.send(Vec::new(), &pairs, true)
    }

    /// Prefix: the generate bits have arrived; propagate bits s ^ c are local.
    fn propagate(self, generate: Vec<BitShares>) -> SignStep {
        let tree = generate
            .into_iter()
            .zip(1..)
            .map(|(generate, bit)| Group {
                generate,
                propagate: (bit > 1).then(|| self.sum_bit(bit).xor(&self.carry_bit(bit))),
            })
            .collect();
        self.level(tree)
    }

    /// Prefix: joins neighbouring groups, or finishes when one is left. G = G_high ^ P_high G_low, P = P_high P_low.
    fn level(self, tree: Vec<Group>) -> SignStep {
        if let [whole] = tree.as_slice() {
            return self.finish(&whole.generate);
        }
        let mut pairs = Vec::new();
        for pair in tree.chunks_exact(2) {
            let [low, high] = pair else { continue };
            let Some(propagate) = &high.propagate else { continue };
            pairs.push((propagate.copy(), low.generate.copy()));
            if let Some(low) = &low.propagate {
                pairs.push((propagate.copy(), low.copy()));
            }
        }
        self.send(tree, &pairs, false)
    }

    /// Prefix: a level's products have arrived.
    fn merge(self, tree: Vec<Group>, products: Vec<BitShares>) -> SignStep {
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
            joined.push(Group { generate: high.generate.xor(&product), propagate });
        }
        self.level(joined)
    }

    /// Sends the AND of each pair of planes.
    fn send(mut self, tree: Vec<Group>, pairs: &[(BitShares, BitShares)], generating: bool) -> SignStep {
        let words = self.s_own.words();
        let mut message = Vec::with_capacity(pairs.len() * words * 8);
        let mut products = Vec::with_capacity(pairs.len());
        for (a, b) in pairs {
            let mut product = vec![0; words];
            message.extend(gates(&mut self.streams, words, &mut product, |at, out| {
                and(out, [part(&a.own, &at), part(&a.next, &at)], [part(&b.own, &at), part(&b.next, &at)]);
            }));
            products.push(product);
        }
        self.stage = Stage::Prefix { tree, products, generating };
        SignStep::More(Box::new(self), message)
    }

    fn finish(mut self, carry: &BitShares) -> SignStep {
        let top = self.width - 1;
        let mut sign = self.sum_bit(top).xor(&self.carry_bit(top)).xor(carry);
        natural_order(&mut sign.own);
        natural_order(&mut sign.next);
        self.c_own.zeroize();
        self.c_next.zeroize();
        SignStep::Done(sign)
    }

    /// Bit `bit` of s.
    fn sum_bit(&self, bit: usize) -> BitShares {
        BitShares { own: self.s_own.plane(bit).to_vec(), next: self.s_next.plane(bit).to_vec() }
    }

    /// Bit `bit` of 2c.
    fn carry_bit(&self, bit: usize) -> BitShares {
        let words = self.s_own.words();
        let at = (bit - 1) * words..bit * words;
        BitShares { own: part(&self.c_own, &at).to_vec(), next: part(&self.c_next, &at).to_vec() }
    }
}

/// Evaluates `count` words of AND gates: `local` writes the local products of a range of words; the zero share is added; the sum
/// is both `own` (this node's component) and the message to the predecessor.
fn gates(streams: &mut Streams, count: usize, own: &mut [u64], local: impl Fn(Range<usize>, &mut [u64])) -> Vec<u8> {
    const WORDS: usize = TILE / 8;
    let mut message = vec![0u8; count * 8];
    for ((tile, own), bytes) in own.chunks_mut(WORDS).enumerate().zip(message.chunks_mut(TILE)) {
        let start = tile * WORDS;
        local(start..start + own.len(), own);
        for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(own.iter()) {
            *bytes = word.to_le_bytes();
        }
        streams.xor_zero_share(bytes);
        for (bytes, word) in bytes.as_chunks::<8>().0.iter().zip(own.iter_mut()) {
            *word = u64::from_le_bytes(*bytes);
        }
    }
    message
}

/// Local product of replicated bits a = [a_i, a_{i+1}] and b.
fn and(out: &mut [u64], a: [&[u64]; 2], b: [&[u64]; 2]) {
    let ([a, a2], [b, b2]) = (a, b);
    for ((((out, a), a2), b), b2) in out.iter_mut().zip(a).zip(a2).zip(b).zip(b2) {
        *out = (a & (b ^ b2)) ^ (a2 & b);
    }
}

/// Local product of s ^ k and c ^ k, where `x` is [s, c, k] of component i and `y` of component i + 1.
fn and_carry(out: &mut [u64], x: [&[u64]; 3], y: [&[u64]; 3]) {
    let ([s, c, k], [s2, c2, k2]) = (x, y);
    let first = s.iter().zip(c).zip(k);
    let second = s2.iter().zip(c2).zip(k2);
    for (out, (((s, c), k), ((s2, c2), k2))) in out.iter_mut().zip(first.zip(second)) {
        let b = c ^ k;
        *out = ((s ^ k) & (b ^ c2 ^ k2)) ^ ((s2 ^ k2) & b);
    }
}

/// A range that lies inside by construction.
fn part<'a>(words: &'a [u64], range: &Range<usize>) -> &'a [u64] {
    words.get(range.clone()).unwrap_or_default()
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
