//! Is a shared input a template? Range, norm and mask checks on shares (PROTOCOL section 4,
//! `docs/decisions/0001-uploads-over-z32.md`).
//!
//! Every rule has the form "this signed number is at least 0"; a violation is a sign bit.
//!
//! | kind | width | rules |
//! |---|---|---|
//! | embedding x | 32 | `x + clamp`, `clamp - 1 - x` per coordinate; `N - low`, `high - N` for N = `<x, x>` |
//! | iris (k, m) | 16 | `m`, `1 - m` per mask bit; `k`, `m - k` per code bit; `sum(m) - mask_min` |
//!
//! Why these suffice. Embedding: both range rules hold in Z_{2^32} only for -clamp <= x < clamp, so N <= 2^15 * 2^14 is the true
//! squared norm, and reduction mod 2^16 afterwards is exact. Iris: a signed 16-bit m with m >= 0 and 1 - m >= 0 is 0 or 1;
//! k >= 0 and m - k >= 0 then leave k in {0, m}; the sum of at most 2^15 - 1 mask bits does not wrap. What an iris upload holds
//! above its low 16 bits is dropped before anything is checked or stored.
//!
//! Out of scope: whether a template was captured from a living person.

use std::collections::VecDeque;
use std::sync::Arc;

use types::NodeId;
use types::profile::{Embedding, IrisCode, Matching};

use super::engine::{CHUNK_COMPARISONS, Chunk, Engine, Source};
use crate::answer::{LaneMask, Layout};
use crate::bits::Planes;
use crate::error::{Abort, Error, Phase};
use crate::protocol::{Incoming, Outgoing, Protocol, Step};
use crate::session::{ProtocolKeys, Purpose, Word};
use crate::sharing::InputShare;
use crate::sign::{Adder, Numbers};

/// For each input: is it a template of the profile? Output: one bool per input, `true` when valid.
pub struct CheckInputs(State);

enum State {
    /// Squared norms are additive and must be re-shared first.
    Norms {
        keys: ProtocolKeys,
        adder: Adder,
        bounds: Bounds,
        inputs: Vec<InputShare>,
        norms: Vec<u32>,
    },
    Signs(Box<Engine<Rules>>),
}

/// The numbers in the rules for embeddings.
#[derive(Clone, Copy)]
struct Bounds {
    clamp: u32,
    low: u32,
    high: u32,
}

impl CheckInputs {
    /// Checks every input against `matching`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when an input has another length than the profile's.
    pub fn new(keys: ProtocolKeys, matching: &Matching, inputs: &[&InputShare], adder: Adder) -> Result<Self, Error> {
        for input in inputs {
            if input.len() != matching.input_len() {
                let what = "values of an input";
                return Err(Error::Mismatch { what, expected: matching.input_len(), got: input.len() });
            }
        }
        Ok(Self(match matching {
            Matching::Embedding(embedding) => {
                let norms = inputs.iter().map(|input| norm_share(input)).collect();
                let inputs = inputs.iter().map(|input| (*input).clone()).collect();
                State::Norms { keys, adder, bounds: Bounds::of(embedding), inputs, norms }
            }
            Matching::IrisCode(iris) => {
                let holds = Holds::of(keys.node());
                let rows = inputs
                    .iter()
                    .map(|input| {
                        Row::Narrow([iris_rules(input.own(), iris, holds.own), iris_rules(input.next(), iris, holds.next)])
                    })
                    .collect();
                State::Signs(Box::new(Engine::new(keys, adder, Rules::new(rows))))
            }
        }))
    }
}

impl Protocol for CheckInputs {
    type Output = Vec<bool>;

    fn work_ahead(&mut self) -> bool {
        if let State::Signs(engine) = &mut self.0 { engine.work_ahead() } else { false }
    }

    fn start(&mut self) -> Outgoing {
        match &mut self.0 {
            State::Norms { keys, norms, .. } => {
                let to_prev = keys.streams(Purpose::NormReshare, 0).add_zero_share(norms);
                Outgoing { to_prev, to_next: Vec::new() }
            }
            State::Signs(engine) => engine.start(),
        }
    }

    fn round(self, incoming: Incoming) -> Result<Step<Self, Vec<bool>>, Abort> {
        match self.0 {
            State::Norms { keys, adder, bounds, inputs, norms } => {
                let node = keys.node();
                let Incoming { from_prev, from_next } = incoming;
                if !from_prev.is_empty() {
                    return Err(Abort::length(Phase::Norm, node.prev(), 0, from_prev.len()));
                }
                if from_next.len() != norms.len() * 4 {
                    return Err(Abort::length(Phase::Norm, node.next(), norms.len() * 4, from_next.len()));
                }
                let holds = Holds::of(node);
                let rows = inputs
                    .iter()
                    .zip(norms.iter().zip(u32::read(&from_next)))
                    .map(|(input, (own, next))| {
                        Row::Wide([
                            embedding_rules(input.own(), *own, bounds, holds.own),
                            embedding_rules(input.next(), next, bounds, holds.next),
                        ])
                    })
                    .collect();
                let mut engine = Engine::new(keys, adder, Rules::new(rows));
                let outgoing = engine.start();
                Ok(Step::Continue(Self(State::Signs(Box::new(engine))), outgoing))
            }
            State::Signs(engine) => Ok(match engine.round(incoming)? {
                Step::Continue(engine, outgoing) => Step::Continue(Self(State::Signs(Box::new(engine))), outgoing),
                Step::Finish(violated) => Step::Finish(violated.into_iter().map(|violated| !violated).collect()),
            }),
        }
    }
}

impl Bounds {
    fn of(embedding: &Embedding) -> Self {
        let (low, high) = embedding.norm_window();
        Self { clamp: u32::from(embedding.clamp), low, high }
    }
}

/// Public constants are added to component 1: which of a node's components is that?
struct Holds {
    own: bool,
    next: bool,
}

impl Holds {
    fn of(node: NodeId) -> Self {
        Self { own: node.number() == 1, next: node.number() == 3 }
    }
}

/// Additive share of `<x, x>`: `<x_i, x_i> + 2 <x_i, x_{i+1}>`.
fn norm_share(input: &InputShare) -> u32 {
    input.own().iter().zip(input.next()).fold(0u32, |sum, (a, b)| {
        let both = a.wrapping_add(b.wrapping_mul(2));
        sum.wrapping_add(a.wrapping_mul(both))
    })
}

/// One component of the numbers that must not be negative. `one` says whether it takes the public constants.
fn embedding_rules(x: &[u32], norm: u32, bounds: Bounds, one: bool) -> Vec<u32> {
    let public = |value: u32| if one { value } else { 0 };
    let (clamp, top) = (public(bounds.clamp), public(bounds.clamp - 1));
    let mut rules = Vec::with_capacity(2 * x.len() + 2);
    rules.extend(x.iter().map(|x| x.wrapping_add(clamp)));
    rules.extend(x.iter().map(|x| top.wrapping_sub(*x)));
    rules.push(norm.wrapping_sub(public(bounds.low)));
    rules.push(public(bounds.high).wrapping_sub(norm));
    rules
}

/// The same for iris codes.
fn iris_rules(input: &[u32], iris: &IrisCode, one: bool) -> Vec<u16> {
    let public = |value: u32| if one { (value & 0xFFFF) as u16 } else { 0 };
    let low = |value: &u32| (value & 0xFFFF) as u16;
    let (k, m) = input.split_at(iris.code_bits().min(input.len()));
    let mut rules = Vec::with_capacity(2 * input.len() + 1);
    rules.extend(m.iter().map(low));
    rules.extend(m.iter().map(|m| public(1).wrapping_sub(low(m))));
    rules.extend(k.iter().map(low));
    // Real and imaginary bit share a mask bit.
    rules.extend(k.chunks(2).zip(m).flat_map(|(k, m)| k.iter().map(move |k| low(m).wrapping_sub(low(k)))));
    rules.push(m.iter().fold(public(iris.mask_min).wrapping_neg(), |sum, m| sum.wrapping_add(low(m))));
    rules
}

/// Components i and i + 1 of one operation's numbers.
enum Row {
    Wide([Vec<u32>; 2]),
    Narrow([Vec<u16>; 2]),
}

impl Row {
    fn numbers(&self) -> usize {
        match self {
            Self::Wide([own, _]) => own.len(),
            Self::Narrow([own, _]) => own.len(),
        }
    }
}

/// One row per operation, padded to whole words with zeros, which are no violations.
struct Rules {
    operations: usize,
    done: u32,
    rows: VecDeque<Row>,
}

impl Rules {
    fn new(rows: Vec<Row>) -> Self {
        Self { operations: rows.len(), done: 0, rows: rows.into() }
    }
}

/// Components i and i + 1 of a chunk's numbers.
enum Rows {
    Wide([Vec<u32>; 2]),
    Narrow([Vec<u16>; 2]),
}

impl Source for Rules {
    type Work = Rows;

    fn operations(&self) -> usize {
        self.operations
    }

    /// One chunk: inputs are few.
    fn next_wave(&mut self) -> Vec<Chunk<Rows>> {
        let Some(first) = self.rows.front() else { return Vec::new() };
        let numbers = first.numbers().next_multiple_of(64);
        let count = (CHUNK_COMPARISONS / numbers).clamp(1, self.rows.len());
        let (mut wide, mut narrow) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for row in self.rows.drain(..count) {
            match row {
                Row::Wide(row) => append(&mut wide, row, numbers),
                Row::Narrow(row) => append(&mut narrow, row, numbers),
            }
        }
        let operation_of_row: Arc<[u32]> = (self.done..).take(count).collect();
        self.done = operation_of_row.last().map_or(self.done, |last| last + 1);
        let (work, width) =
            if narrow.iter().all(Vec::is_empty) { (Rows::Wide(wide), 32) } else { (Rows::Narrow(narrow), 16) };
        let layout = Layout { words: numbers / 64, first_row: 0, operation_of_row, mask: LaneMask::All, inverted: false };
        vec![Chunk { layout, replicated: Some(width), products: 0, work }]
    }

    fn numbers<'s>(&self, work: Rows, _: &'s mut Vec<u16>) -> Numbers<'s> {
        Numbers::Replicated(match work {
            Rows::Wide(components) => components.map(|numbers| Planes::of_u32(&numbers)),
            Rows::Narrow(components) => components.map(|numbers| Planes::of_u16(&numbers)),
        })
    }
}

fn append<W: Word>(all: &mut [Vec<W>; 2], row: [Vec<W>; 2], padded: usize) {
    for (all, row) in all.iter_mut().zip(row) {
        let end = all.len() + padded;
        all.extend(row);
        all.resize(end, W::default());
    }
}
