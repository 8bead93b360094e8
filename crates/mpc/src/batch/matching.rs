//! Search, twins and verification: scores that are inner products of probe rows and records.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::sync::Arc;

use types::NodeId;
use types::profile::Matching;
use zeroize::Zeroizing;

use super::engine::{CHUNK_COMPARISONS, Chunk, Engine, Source};
use crate::answer::{LaneMask, Layout};
use crate::error::{Abort, Error};
use crate::gallery::Gallery;
use crate::kernel::sliced::LANES;
use crate::kernel::{Probes, inner_products};
use crate::protocol::{Incoming, Outgoing, Protocol, Step};
use crate::record::{ProbeShare, RecordShare, rotations};
use crate::session::ProtocolKeys;
use crate::sign::{Adder, Numbers};

/// Comparisons of a chunk: what a core works on fits its second-level cache.
const CACHED_COMPARISONS: usize = 1 << 16;
/// Products of words of a chunk: some milliseconds.
const CACHED_PRODUCTS: usize = 1 << 26;
/// Bytes of probe rows that stay in the second-level cache. If there are more, a chunk has so many records at least, among which
/// the cost of bringing the rows in is divided.
const CACHED_PROBE_BYTES: usize = 1 << 20;
const LEAST_RECORDS: usize = 512;
/// Most waves that share their rounds, and least comparisons of such a wave: with fewer, a round more costs what overlap saves.
const MOST_WAVES: usize = 8;
const SHARED_WAVE: usize = CHUNK_COMPARISONS / MOST_WAVES;

/// For each probe: does it match any active record of the gallery? Output: one bool per probe.
///
/// `G` is anything that lends a [`Gallery`]: a reference, an `Arc`, a guard. The three nodes' galleries must hold the same
/// records in the same slots with the same slots masked. Works through the gallery in waves, so memory is bounded by about
/// 2^22 comparisons whatever the gallery's size.
///
/// With [`Adder::Ripple`], which is for links whose capacity matters more than their delay, waves are small and up to eight share their
/// rounds: what the first ones send is on its way while the next ones are computed.
pub struct Search<G: Deref<Target = Gallery> + Sync>(Engine<SearchSource<G>>);

struct SearchSource<G> {
    gallery: G,
    rows: ProbeRows,
    operations: usize,
    /// A slot with which no probe is compared.
    except: Option<u32>,
    /// Records of a wave, a multiple of 64.
    wave: usize,
    next_slot: usize,
}

impl<G: Deref<Target = Gallery> + Sync> Search<G> {
    /// Probes of the operations of a batch against `gallery`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when a probe or the gallery is not of this profile.
    pub fn new(
        keys: ProtocolKeys,
        matching: &Matching,
        gallery: G,
        probes: &[&ProbeShare],
        adder: Adder,
    ) -> Result<Self, Error> {
        expect_len("words per record of the gallery", matching.record_len(), gallery.record_len())?;
        let rows = ProbeRows::new(keys.node(), matching, 0, probes)?;
        let (operations, except) = (probes.len(), None);
        let (wave, depth) = waves(gallery.len(), rows.rows(), adder);
        let source = SearchSource { gallery, rows, operations, except, wave, next_slot: 0 };
        let mut engine = Engine::new(keys, adder, source);
        engine.set_depth(depth);
        Ok(Self(engine))
    }

    /// Computes on up to `threads` threads. The answer does not depend on it, and each node may choose its own.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.0.set_threads(threads);
        self
    }

    /// Leaves one slot out, as if it were masked: that of the record which a probe is to replace. All three nodes must choose
    /// alike.
    #[must_use]
    pub fn except(mut self, slot: u32) -> Self {
        self.0.source_mut().except = Some(slot);
        self
    }

    /// Has waves of about `comparisons` instead of up to 2^21 in flight (at least 64 records, at most 2^21 comparisons), and so many
    /// waves at a time. All three nodes must choose alike.
    #[must_use]
    pub fn with_waves(mut self, comparisons: usize, depth: usize) -> Self {
        let source = self.0.source_mut();
        source.wave = records(comparisons.min(CHUNK_COMPARISONS), source.rows.rows());
        self.0.set_depth(depth);
        self
    }

    /// Bytes that comparisons in flight occupy.
    #[cfg(test)]
    pub(crate) fn resident_bytes(&self) -> usize {
        self.0.resident_bytes()
    }
}

impl<G: Deref<Target = Gallery> + Sync> Source for SearchSource<G> {
    type Work = Range<usize>;

    fn operations(&self) -> usize {
        self.operations
    }

    fn next_wave(&mut self) -> Vec<Chunk<Range<usize>>> {
        let start = self.next_slot;
        if self.rows.rows() == 0 || start >= self.gallery.len() {
            return Vec::new();
        }
        let end = (start + self.wave).min(self.gallery.len());
        self.next_slot = end;
        let step = self.rows.chunk_records();
        (start..end).step_by(step).map(|first| self.chunk(first..(first + step).min(end))).collect()
    }

    fn numbers<'s>(&self, slots: Range<usize>, scores: &'s mut Vec<u16>) -> Numbers<'s> {
        self.rows.scores(&self.gallery, slots, scores);
        Numbers::Additive(scores)
    }
}

/// Records of a wave of up to so many comparisons, and 64 at least.
fn records(comparisons: usize, rows: usize) -> usize {
    (comparisons / rows.max(1) / 64).max(1) * 64
}

/// Records of a wave, and waves in flight, of a search with so many rows among so many records.
fn waves(len: usize, rows: usize, adder: Adder) -> (usize, usize) {
    let comparisons = len.saturating_mul(rows);
    if adder != Adder::Ripple || comparisons < 2 * SHARED_WAVE {
        return (records(CHUNK_COMPARISONS, rows), 1);
    }
    // Waves of one size; rounded up, so that there is not one more that starts when the first has ended.
    let count = comparisons / SHARED_WAVE;
    let wave = len.div_ceil(count).next_multiple_of(64);
    // A little more than 2^21 comparisons may be in flight through the rounding.
    let depth = (CHUNK_COMPARISONS + SHARED_WAVE) / wave.saturating_mul(rows).max(1);
    (wave, depth.clamp(1, MOST_WAVES))
}

impl<G: Deref<Target = Gallery> + Sync> SearchSource<G> {
    fn chunk(&self, slots: Range<usize>) -> Chunk<Range<usize>> {
        let words = slots.len().div_ceil(64);
        let usable = self.gallery.usable_words().get(slots.start / 64..slots.start / 64 + words).unwrap_or_default();
        let operation_of_row = Arc::clone(&self.rows.operation_of_row);
        let mut usable = usable.to_vec();
        let place =
            self.except.and_then(|slot| (slot as usize).checked_sub(slots.start)).filter(|place| *place < slots.len());
        if let Some((word, bit)) = place.and_then(|place| Some((usable.get_mut(place / 64)?, place % 64))) {
            *word &= !(1 << bit);
        }
        let mask = LaneMask::Shared(usable);
        Chunk {
            layout: Layout { words, first_row: 0, operation_of_row, mask, inverted: true },
            replicated: None,
            products: self.rows.products(slots.len()),
            work: slots,
        }
    }
}

/// For each operation k: does its probe match the record of an earlier operation j < k? Only usable operations take part, on
/// both sides; the others' answer is `false` and nothing is computed for them.
pub struct Twins {
    engine: Engine<TwinSource>,
    usable: Vec<bool>,
}

struct TwinSource {
    records: Gallery,
    operations: usize,
    /// Groups of operations, each a chunk.
    groups: VecDeque<ProbeRows>,
}

impl Twins {
    /// `probes[k]`, `records[k]` and `usable[k]` belong to operation k of the batch.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the slices differ in length or a share is not of this profile.
    pub fn new(
        keys: ProtocolKeys,
        matching: &Matching,
        probes: &[&ProbeShare],
        records: &[&RecordShare],
        usable: &[bool],
        adder: Adder,
    ) -> Result<Self, Error> {
        expect_len("records of a batch", probes.len(), records.len())?;
        expect_len("usable flags of a batch", probes.len(), usable.len())?;
        let mut gallery = Gallery::new(matching.record_len());
        let mut taking_part = Vec::new();
        for ((probe, record), _) in probes.iter().zip(records).zip(usable).filter(|(_, usable)| **usable) {
            check_probe(probe, matching)?;
            expect_len("words of a record", matching.record_len(), record.values().len())?;
            gallery.push(record.values());
            taking_part.push(*probe);
        }
        let per_operation = matching.probe_rows() * gallery.len().next_multiple_of(64);
        let group = CHUNK_COMPARISONS.checked_div(per_operation).unwrap_or(1).max(1);
        let mut groups = VecDeque::new();
        // The first operation has none before it: one alone needs no comparison.
        if taking_part.len() > 1 {
            for (first, group) in (0u32..).step_by(group).zip(taking_part.chunks(group)) {
                groups.push_back(ProbeRows::new(keys.node(), matching, first, group)?);
            }
        }
        let source = TwinSource { records: gallery, operations: taking_part.len(), groups };
        Ok(Self { engine: Engine::new(keys, adder, source), usable: usable.to_vec() })
    }
}

impl Source for TwinSource {
    type Work = ProbeRows;

    fn operations(&self) -> usize {
        self.operations
    }

    fn next_wave(&mut self) -> Vec<Chunk<ProbeRows>> {
        let Some(rows) = self.groups.pop_front() else { return Vec::new() };
        let words = self.records.len().div_ceil(64);
        let mask = rows
            .operation_of_row
            .iter()
            .flat_map(|&operation| (0..words).map(move |word| lanes_below(operation as usize, word)))
            .collect();
        let operation_of_row = Arc::clone(&rows.operation_of_row);
        let layout = Layout { words, first_row: 0, operation_of_row, mask: LaneMask::PerRow(mask), inverted: true };
        vec![Chunk { layout, replicated: None, products: rows.products(self.records.len()), work: rows }]
    }

    fn numbers<'s>(&self, rows: ProbeRows, scores: &'s mut Vec<u16>) -> Numbers<'s> {
        rows.scores(&self.records, 0..self.records.len(), scores);
        Numbers::Additive(scores)
    }
}

/// Lanes of word `word` whose number is below `limit`.
fn lanes_below(limit: usize, word: usize) -> u64 {
    match limit.saturating_sub(64 * word) {
        lanes @ 0..64 => (1 << lanes) - 1,
        _ => u64::MAX,
    }
}

/// For each pair: does the probe match the record in that slot? Output: one bool per pair.
pub struct Verify(Engine<OneChunk>);

impl Verify {
    /// Probe j of `claims` is compared with the record in slot j of `claims` only.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when a probe or the gallery is not of this profile, [`Error::NoSuchSlot`].
    pub fn new(
        keys: ProtocolKeys,
        matching: &Matching,
        gallery: &Gallery,
        claims: &[(&ProbeShare, u32)],
        adder: Adder,
    ) -> Result<Self, Error> {
        expect_len("words per record of the gallery", matching.record_len(), gallery.record_len())?;
        let words = matching.probe_rows().div_ceil(64);
        let offset = offset_share(keys.node(), matching);
        let mut scores = vec![0u16; claims.len() * words * 64];
        for ((probe, slot), scores) in claims.iter().zip(scores.chunks_mut(words * 64)) {
            check_probe(probe, matching)?;
            if gallery.is_masked(*slot) {
                return Err(Error::NoSuchSlot { slot: *slot as usize });
            }
            let record = gallery.record(*slot);
            for (score, row) in scores.iter_mut().zip(probe.rows()) {
                *score =
                    row.iter().zip(&record).fold(offset.wrapping_neg(), |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)));
            }
        }
        let mask = (0..words).map(|word| lanes_below(matching.probe_rows(), word)).collect();
        let operation_of_row = (0u32..).take(claims.len()).collect();
        let layout = Layout { words, first_row: 0, operation_of_row, mask: LaneMask::Shared(mask), inverted: true };
        let chunk = (!claims.is_empty()).then_some(Chunk { layout, replicated: None, products: 0, work: scores });
        Ok(Self(Engine::new(keys, adder, OneChunk { operations: claims.len(), chunk })))
    }
}

struct OneChunk {
    operations: usize,
    chunk: Option<Chunk<Vec<u16>>>,
}

impl Source for OneChunk {
    type Work = Vec<u16>;

    fn operations(&self) -> usize {
        self.operations
    }
    fn next_wave(&mut self) -> Vec<Chunk<Vec<u16>>> {
        self.chunk.take().into_iter().collect()
    }
    fn numbers<'s>(&self, work: Vec<u16>, scores: &'s mut Vec<u16>) -> Numbers<'s> {
        *scores = work;
        scores.resize(scores.len().next_multiple_of(LANES), 0);
        Numbers::Additive(scores)
    }
}

/// The probe rows of several operations, ready for the kernels.
pub(crate) struct ProbeRows {
    probes: Probes,
    operation_of_row: Arc<[u32]>,
    /// This node's share of the offset to subtract.
    offset: u16,
}

impl ProbeRows {
    /// Rows of `probes`, which belong to operations `first ..`.
    pub(crate) fn new(node: NodeId, matching: &Matching, first: u32, probes: &[&ProbeShare]) -> Result<Self, Error> {
        let mut rows = Zeroizing::new(Vec::with_capacity(probes.len() * matching.probe_rows() * matching.record_len()));
        for probe in probes {
            check_probe(probe, matching)?;
            rows.extend_from_slice(probe.values());
        }
        let per_operation = matching.probe_rows();
        let operations = (first..).take(probes.len());
        let operation_of_row = operations.flat_map(|operation| std::iter::repeat_n(operation, per_operation)).collect();
        let offset = offset_share(node, matching);
        let mut probes = Probes::new(matching.record_len(), &rows);
        if let Some(rotations) = rotations(matching) {
            probes = probes.with_rotations(rotations);
        }
        Ok(Self { probes, operation_of_row, offset })
    }

    /// Additive shares of the scores against `slots` (from a multiple of 64) in place of what `scores` held: rows of whole words,
    /// then whole groups of 512, padded with zeros: messages must not depend on which chunk a thread had in hand before.
    pub(crate) fn scores(&self, gallery: &Gallery, slots: Range<usize>, scores: &mut Vec<u16>) {
        let (padded, count) = (slots.len().next_multiple_of(64), slots.len());
        let len = self.rows() * padded;
        scores.resize(len.next_multiple_of(LANES), 0);
        let (all, rest) = scores.split_at_mut(len);
        rest.fill(0);
        if padded == count {
            inner_products(gallery, slots, &self.probes, all);
        } else {
            // The last part of a gallery: its rows are spread out afterwards, last one first.
            let (products, _) = all.split_at_mut(self.rows() * count);
            inner_products(gallery, slots, &self.probes, products);
            (0..self.rows()).rev().for_each(|row| all.copy_within(row * count..(row + 1) * count, row * padded));
            all.chunks_mut(padded.max(1)).for_each(|row| row.split_at_mut(count).1.fill(0));
        }
        if self.offset != 0 {
            all.iter_mut().for_each(|score| *score = score.wrapping_sub(self.offset));
        }
    }

    /// Records of a chunk.
    fn chunk_records(&self) -> usize {
        let rows = self.rows().max(1);
        let products = rows * self.probes.record_len().max(1);
        let least = if 2 * products > CACHED_PROBE_BYTES { LEAST_RECORDS } else { 64 };
        ((CACHED_COMPARISONS / rows).min(CACHED_PRODUCTS / products) / 64 * 64).max(least)
    }

    /// Products of words that scores with so many records take.
    fn products(&self, records: usize) -> usize {
        records * self.rows() * self.probes.record_len()
    }

    pub(crate) fn rows(&self) -> usize {
        self.operation_of_row.len()
    }
}

/// The public offset is subtracted from component 1, which is node 1's own.
fn offset_share(node: NodeId, matching: &Matching) -> u16 {
    if node.number() == 1 { matching.offset() } else { 0 }
}

fn check_probe(probe: &ProbeShare, matching: &Matching) -> Result<(), Error> {
    expect_len("words per probe row", matching.record_len(), probe.record_len())?;
    expect_len("rows of a probe", matching.probe_rows(), probe.rows().len())
}

fn expect_len(what: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if expected == got { Ok(()) } else { Err(Error::Mismatch { what, expected, got }) }
}

impl<G: Deref<Target = Gallery> + Sync> Protocol for Search<G> {
    type Output = Vec<bool>;

    fn start(&mut self) -> Outgoing {
        self.0.start()
    }
    fn work_ahead(&mut self) -> bool {
        self.0.work_ahead()
    }
    fn round(self, incoming: Incoming) -> Result<Step<Self, Vec<bool>>, Abort> {
        Ok(match self.0.round(incoming)? {
            Step::Continue(engine, outgoing) => Step::Continue(Self(engine), outgoing),
            Step::Finish(answers) => Step::Finish(answers),
        })
    }
}

impl Protocol for Verify {
    type Output = Vec<bool>;

    fn start(&mut self) -> Outgoing {
        self.0.start()
    }
    fn work_ahead(&mut self) -> bool {
        self.0.work_ahead()
    }
    fn round(self, incoming: Incoming) -> Result<Step<Self, Vec<bool>>, Abort> {
        Ok(match self.0.round(incoming)? {
            Step::Continue(engine, outgoing) => Step::Continue(Self(engine), outgoing),
            Step::Finish(answers) => Step::Finish(answers),
        })
    }
}

impl Protocol for Twins {
    type Output = Vec<bool>;

    fn start(&mut self) -> Outgoing {
        self.engine.start()
    }
    fn work_ahead(&mut self) -> bool {
        self.engine.work_ahead()
    }
    fn round(self, incoming: Incoming) -> Result<Step<Self, Vec<bool>>, Abort> {
        let usable = self.usable;
        Ok(match self.engine.round(incoming)? {
            Step::Continue(engine, outgoing) => Step::Continue(Self { engine, usable }, outgoing),
            Step::Finish(answers) => {
                // Back to the numbers of the whole batch.
                let mut answers = answers.into_iter();
                Step::Finish(usable.iter().map(|usable| *usable && answers.next().unwrap_or(false)).collect())
            }
        })
    }
}
