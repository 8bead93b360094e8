//! Every decision of many probes against many records, made on shares by three parties in memory and opened one by one, to be
//! compared with plaintext matching in an accuracy report.
//!
//! It takes the whole path of a real operation (split, open, convert, inner products, reshare, sign) except the combination into
//! one bit: here each decision bit is opened, by both holders. Only for data that the caller may see anyway: the three parties
//! live in one process. Out of scope: error rates and their plots (`biometric`, `cli`).

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};
use types::NodeId;
use types::profile::Matching;

use crate::answer::to_bytes;
use crate::batch::ProbeRows;
use crate::driver::{Run, Schedule, local_keys, run_local};
use crate::error::{Abort, Cause, Error, Phase};
use crate::gallery::Gallery;
use crate::protocol::{Incoming, Outgoing, Protocol, Step};
use crate::record::{probe_share, record_share};
use crate::session::{KeyStream, ProtocolKeys, SessionKeys};
use crate::sharing::{InputShare, SplitRandomness, split};
use crate::sign::{Adder, BitShares, Numbers, Room, SignPass};

/// Probe rows matched at a time.
const BLOCK_ROWS: usize = 496;
/// Comparisons in flight per thread: small enough for the second-level cache.
const CHUNK: usize = 1 << 18;

/// How to run an evaluation.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seed of all randomness. Take it from a generator; a fixed one repeats the run.
    pub seed: [u8; 32],
    /// Threads, each running all three parties on its own blocks.
    pub threads: usize,
    /// Comparison circuit.
    pub adder: Adder,
}

/// Decision bits and what they cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions {
    rows_per_probe: usize,
    records: usize,
    triangle: bool,
    /// One bit per probe row and record; `words` per row.
    words: usize,
    bits: Vec<u64>,
    /// Scores compared with the threshold.
    pub comparisons: u64,
    /// Bytes sent by nodes 1, 2, 3, the opening of every bit included.
    pub sent_bytes: [u64; 3],
}

impl Decisions {
    /// Whether any row of probe `probe` matches `record`; `None` for a pair that was not asked for.
    pub fn matched(&self, probe: usize, record: usize) -> Option<bool> {
        let mut any = false;
        for row in 0..self.rows_per_probe {
            any |= self.row_matched(probe, row, record)?;
        }
        Some(any)
    }

    /// Whether row (rotation) `row` of probe `probe` matches `record`; `None` for a pair that was not asked for.
    pub fn row_matched(&self, probe: usize, row: usize, record: usize) -> Option<bool> {
        if record >= self.records || row >= self.rows_per_probe || (self.triangle && record <= probe) {
            return None;
        }
        let word = self.bits.get((probe * self.rows_per_probe + row) * self.words + record / 64)?;
        Some(word >> (record % 64) & 1 == 1)
    }
}

/// Decides every pair i < j of `inputs`, with i as the probe and j as the record.
///
/// An input is what a client shares: `matching.input_len()` values mod 2^32. `progress(done, total)` counts comparisons, each
/// node's once, and is called from the working threads.
///
/// # Errors
/// [`Error::Mismatch`] for an input of another length, [`Error::Aborted`] never with intact code.
pub fn decide_all(
    matching: &Matching,
    inputs: &[Vec<u32>],
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Decisions, Error> {
    decide(matching, inputs, inputs, true, options, progress)
}

/// Decides every pair of a probe and a record. See [`decide_all`].
///
/// # Errors
/// As [`decide_all`].
pub fn decide_each(
    matching: &Matching,
    probes: &[Vec<u32>],
    records: &[Vec<u32>],
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Decisions, Error> {
    decide(matching, probes, records, false, options, progress)
}

fn decide(
    matching: &Matching,
    probes: &[Vec<u32>],
    records: &[Vec<u32>],
    triangle: bool,
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Decisions, Error> {
    for input in probes.iter().chain(records) {
        if input.len() != matching.input_len() {
            let what = "values of an input";
            return Err(Error::Mismatch { what, expected: matching.input_len(), got: input.len() });
        }
    }
    let evaluation = Evaluation::new(matching, probes, records, triangle, options)?;
    evaluation.run(options.threads.clamp(1, 64), progress)
}

struct Evaluation<'a> {
    matching: &'a Matching,
    probes: &'a [Vec<u32>],
    galleries: [Gallery; 3],
    triangle: bool,
    options: &'a Options,
    /// Probes per block.
    block: usize,
}

/// Decision bits and bytes sent.
type Opened = (Vec<u64>, [u64; 3]);

/// What the threads share.
struct Progress {
    next_block: AtomicUsize,
    comparisons: AtomicU64,
    result: Mutex<Result<Opened, Error>>,
}

impl<'a> Evaluation<'a> {
    fn new(
        matching: &'a Matching,
        probes: &'a [Vec<u32>],
        records: &[Vec<u32>],
        triangle: bool,
        options: &'a Options,
    ) -> Result<Self, Error> {
        let mut galleries = NodeId::ALL.map(|_| Gallery::new(matching.record_len()));
        for (number, record) in records.iter().enumerate() {
            let shares = share(&options.seed, b"record", number, record)?;
            for ((node, share), gallery) in NodeId::ALL.into_iter().zip(&shares).zip(&mut galleries) {
                gallery.push(record_share(node, share, matching).values());
            }
        }
        let block = (BLOCK_ROWS / matching.probe_rows()).max(1);
        Ok(Self { matching, probes, galleries, triangle, options, block })
    }

    fn records(&self) -> usize {
        let [gallery, ..] = &self.galleries;
        gallery.len()
    }

    /// Records that a block of probes is compared with.
    fn records_of(&self, block: usize) -> Range<usize> {
        // The lowest record above the block's first probe, rounded down to a whole word.
        let start = if self.triangle { (block * self.block + 1) / 64 * 64 } else { 0 };
        start.min(self.records())..self.records()
    }

    fn probes_of(&self, block: usize) -> Range<usize> {
        let start = block * self.block;
        start..(start + self.block).min(self.probes.len())
    }

    fn run(&self, threads: usize, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Decisions, Error> {
        let rows = self.matching.probe_rows();
        let words = self.records().div_ceil(64);
        let blocks = self.probes.len().div_ceil(self.block);
        let total = (0..blocks).map(|b| (self.probes_of(b).len() * rows * self.records_of(b).len()) as u64).sum();
        let shared = Progress {
            next_block: AtomicUsize::new(0),
            comparisons: AtomicU64::new(0),
            result: Mutex::new(Ok((vec![0; self.probes.len() * rows * words], [0; 3]))),
        };
        std::thread::scope(|scope| {
            for _ in 0..threads.min(blocks.max(1)) {
                scope.spawn(|| {
                    loop {
                        let block = shared.next_block.fetch_add(1, Ordering::Relaxed);
                        if block >= blocks {
                            break;
                        }
                        if let Err(error) = self.decide_block(block, words, &shared, total, progress) {
                            if let Ok(mut result) = shared.result.lock() {
                                *result = Err(error);
                            }
                            shared.next_block.store(blocks, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let comparisons = shared.comparisons.into_inner();
        let (bits, sent_bytes) = shared.result.into_inner().map_err(|_| stopped())??;
        let (records, triangle) = (self.records(), self.triangle);
        Ok(Decisions { rows_per_probe: rows, records, triangle, words, bits, comparisons, sent_bytes })
    }

    fn decide_block(
        &self,
        block: usize,
        words: usize,
        shared: &Progress,
        total: u64,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), Error> {
        let mut keys = local_keys(&self.options.seed, &block.to_le_bytes());
        let probes = self.probe_rows(block)?;
        let first_row = self.probes_of(block).start * self.matching.probe_rows();
        let [rows, ..] = probes.each_ref().map(ProbeRows::rows);
        let records = self.records_of(block);
        let step = (CHUNK / rows.max(1) / 64).max(1) * 64;
        for start in records.clone().step_by(step) {
            let slots = start..(start + step).min(records.end);
            let Run { outputs: [bits, ..], sent_bytes, .. } = self.reveal(&mut keys, &probes, slots.clone())?;
            let chunk_words = slots.len().div_ceil(64);
            if let Ok(mut result) = shared.result.lock() {
                let Ok((all, sent)) = result.as_mut() else { break };
                sent.iter_mut().zip(sent_bytes).for_each(|(sum, sent)| *sum += sent);
                for (row, bits) in bits.chunks_exact(chunk_words).enumerate() {
                    let at = (first_row + row) * words + start / 64;
                    all.get_mut(at..at + chunk_words).unwrap_or_default().copy_from_slice(bits);
                }
            }
            let made = (rows * slots.len()) as u64;
            progress(shared.comparisons.fetch_add(made, Ordering::Relaxed) + made, total);
        }
        Ok(())
    }

    /// The probe rows of a block for nodes 1, 2, 3.
    fn probe_rows(&self, block: usize) -> Result<[ProbeRows; 3], Error> {
        let mut probes = NodeId::ALL.map(|_| Vec::new());
        for number in self.probes_of(block) {
            let input = self.probes.get(number).map(Vec::as_slice).unwrap_or_default();
            let shares = share(&self.options.seed, b"probe", number, input)?;
            for ((node, share), probes) in NodeId::ALL.into_iter().zip(&shares).zip(&mut probes) {
                probes.push(probe_share(node, share, self.matching));
            }
        }
        let [a, b, c] = probes;
        let [n1, n2, n3] = NodeId::ALL;
        let rows = |node, probes: Vec<_>| ProbeRows::new(node, self.matching, 0, &probes.iter().collect::<Vec<_>>());
        Ok([rows(n1, a)?, rows(n2, b)?, rows(n3, c)?])
    }

    fn reveal(
        &self,
        keys: &mut [SessionKeys; 3],
        probes: &[ProbeRows; 3],
        slots: Range<usize>,
    ) -> Result<Run<Vec<u64>>, Abort> {
        let ([k1, k2, k3], [p1, p2, p3], [g1, g2, g3]) = (keys, probes, &self.galleries);
        let words = p1.rows() * slots.len().div_ceil(64);
        let party = |keys: &mut SessionKeys, probes: &ProbeRows, gallery| {
            let mut scores = Vec::new();
            probes.scores(gallery, slots.clone(), &mut scores);
            Reveal { keys: keys.next_protocol(), adder: self.options.adder, words, state: State::Fresh(scores) }
        };
        run_local([party(k1, p1, g1), party(k2, p2, g2), party(k3, p3, g3)], Schedule::LockStep)
    }
}

fn stopped() -> Abort {
    Abort { phase: Phase::Empty, culprit: None, cause: Cause::Stopped }
}

/// Splits one input and opens the three packages.
fn share(seed: &[u8; 32], role: &[u8], number: usize, input: &[u32]) -> Result<[InputShare; 3], Error> {
    let key: [u8; 32] =
        Sha256::new_with_prefix(seed).chain_update(role).chain_update(number.to_le_bytes()).finalize().into();
    let mut random = [0; SplitRandomness::BYTES];
    KeyStream::new(key.first_chunk().expect("32 bytes hold 16")).fill(&mut random);
    let split = split(input, &SplitRandomness::from_bytes(&random));
    let [n1, n2, n3] = NodeId::ALL;
    let [p1, p2, p3] = &split.packages;
    let open = |package, node| InputShare::open(package, node, input.len(), &split.commitments);
    Ok([open(p1, n1)?, open(p2, n2)?, open(p3, n3)?])
}

/// Opens the decision of every score: bit set where the score is at least 0. Output: words as laid out by the caller.
struct Reveal {
    keys: ProtocolKeys,
    adder: Adder,
    /// Words of the answer.
    words: usize,
    state: State,
}

enum State {
    Fresh(Vec<u16>),
    /// A pass, and the length of this round's message.
    Flight(Box<SignPass>, usize),
    Open(BitShares),
}

impl Protocol for Reveal {
    type Output = Vec<u64>;

    fn start(&mut self) -> Outgoing {
        let State::Fresh(scores) = &self.state else { return Outgoing::default() };
        let mut to_prev = vec![0; SignPass::first_len(scores.len(), None)];
        let pass = SignPass::start(&self.keys, 0, self.adder, Numbers::Additive(scores), Room::default(), &mut to_prev);
        self.state = State::Flight(Box::new(pass), to_prev.len());
        Outgoing { to_prev, to_next: Vec::new() }
    }

    fn round(self, incoming: Incoming) -> Result<Step<Self, Vec<u64>>, Abort> {
        let Self { keys, adder, words, state } = self;
        let node = keys.node();
        match state {
            State::Fresh(_) => Err(Abort { phase: Phase::Empty, culprit: None, cause: Cause::NotStarted }),
            State::Flight(mut pass, expected) => {
                let arrived = incoming.from_next;
                if arrived.len() != expected {
                    return Err(Abort::length(pass.phase(), node.next(), expected, arrived.len()));
                }
                let mut to_prev = vec![0; pass.next_len()];
                pass.round(&arrived, &mut to_prev);
                let expected = to_prev.len();
                let (state, outgoing) = if expected == 0 {
                    let (bits, _) = pass.finish();
                    let outgoing = Outgoing { to_prev: to_bytes(&bits.next), to_next: to_bytes(&bits.own) };
                    (State::Open(bits), outgoing)
                } else {
                    (State::Flight(pass, expected), Outgoing { to_prev, to_next: Vec::new() })
                };
                Ok(Step::Continue(Self { keys, adder, words, state }, outgoing))
            }
            State::Open(bits) => {
                for (message, sender) in [(&incoming.from_prev, node.prev()), (&incoming.from_next, node.next())] {
                    if message.len() != bits.own.len() * 8 {
                        return Err(Abort::length(Phase::Open, sender, bits.own.len() * 8, message.len()));
                    }
                }
                if incoming.from_prev != incoming.from_next {
                    return Err(Abort::disagreement(Phase::Open));
                }
                let lacking = incoming.from_prev.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
                let all = bits.own.iter().zip(bits.next.iter()).zip(lacking).map(|((a, b), c)| !(a ^ b ^ c));
                Ok(Step::Finish(all.take(words).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{plaintext_scores, tests as templates};

    fn check(matching: &Matching, inputs: &[Vec<u32>], threads: usize, adder: Adder) {
        let options = Options { seed: [5; 32], threads, adder };
        let all = decide_all(matching, inputs, &options, &|done, total| assert!(done <= total)).unwrap();
        let (probes, records) = inputs.split_at(inputs.len() / 3);
        let each = decide_each(matching, probes, records, &options, &|_, _| ()).unwrap();
        let mut matches = 0;
        for (i, probe) in inputs.iter().enumerate() {
            for (j, record) in inputs.iter().enumerate() {
                let scores = plaintext_scores(probe, record, matching);
                let expected = scores.iter().any(|score| *score >= 0);
                assert_eq!(all.matched(i, j), (i < j).then_some(expected), "{i} {j}");
                matches += usize::from(i < j && expected);
                if i < j {
                    for (row, score) in scores.into_iter().enumerate() {
                        assert_eq!(all.row_matched(i, row, j), Some(score >= 0));
                    }
                }
                if i < probes.len() && j >= probes.len() {
                    assert_eq!(each.matched(i, j - probes.len()), Some(expected));
                }
            }
        }
        assert!(matches > 0, "the test must contain matches");
        assert_eq!(each.matched(0, records.len()), None);
    }

    #[test]
    fn every_decision_on_faces_equals_plaintext() {
        let inputs = templates::faces(16, 300, 1);
        check(&templates::embedding(16), &inputs, 2, Adder::Ripple);
        check(&templates::embedding(16), &inputs[..70], 1, Adder::Prefix);
        let none = decide_all(
            &templates::embedding(16),
            &[],
            &Options { seed: [0; 32], threads: 2, adder: Adder::Ripple },
            &|_, _| (),
        );
        assert_eq!(none.unwrap().matched(0, 0), None);
    }

    #[test]
    fn every_decision_on_irises_equals_plaintext() {
        let matching = templates::iris(4, 40, 2, 31);
        check(&matching, &templates::irises(&matching, 90, 1), 2, Adder::Ripple);
    }

    #[test]
    fn an_input_of_another_length_is_refused() {
        let options = Options { seed: [0; 32], threads: 1, adder: Adder::Ripple };
        let error = decide_all(&templates::embedding(16), &[vec![0; 15]], &options, &|_, _| ()).unwrap_err();
        assert_eq!(error, Error::Mismatch { what: "values of an input", expected: 16, got: 15 });
    }
}
