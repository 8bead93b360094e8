//! Batched matching, computing only: what one core of one node does on shares, beside what one core does in the clear.
//!
//! The three parties of a search run one after another on one thread, and messages are handed over in memory; a third of the time
//! is one node's. The plaintext matcher decides the same pairs in turn with it, by the best kernel there is: masked bit counts
//! for iris codes; for vectors the fastest of 8-bit products and the 16-bit kernel that the nodes use. Their answers must agree.
//! Out of scope: network and disk (`search`).

use biometric::Template;
use mpc::Adder;
use mpc::batch::Search;
use mpc::driver::{Run, Schedule, local_keys, run_local};
use mpc::gallery::Gallery;
use mpc::kernel::{Probes, inner_products, plaintext};
use mpc::record::{ProbeShare, probe_share, record_share};
use serde::Serialize;
use types::NodeId;
use types::profile::{Matching, Profile};

use super::clock::Stopwatch;
use super::synthetic::{People, matching_failure, shares};
use super::{Effort, median};
use crate::context::Context;
use crate::failure::Failure;

/// Rows of a batch.
const ROWS: usize = 496;
/// Comparisons of a wave. Nodes have eight times as many in flight, which saves rounds on the network and costs time in the cache.
const COMPARISONS: usize = 1 << 18;
/// Slots per call of a plaintext kernel.
const CHUNK: usize = 1024;

/// One modality.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProtocolRate {
    pub(crate) modality: String,
    pub(crate) private_per_core_s: f64,
    pub(crate) plaintext_per_core_s: f64,
    /// Private time over plaintext time.
    pub(crate) ratio: f64,
    pub(crate) bytes_per_comparison_per_node: f64,
    /// Rounds of messages of a search that is made in one piece.
    pub(crate) rounds: usize,
}

/// Measures a batch of 496 probe rows against as many records as the effort allows.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn measure(context: &Context, profile: &Profile, effort: &Effort) -> Result<ProtocolRate, Failure> {
    let matching = &profile.matching;
    let records = match matching {
        Matching::Embedding(_) => effort.batch_faces,
        Matching::IrisCode(_) => effort.batch_irises,
    };
    let bar = context.out.bar(effort.turns as u64, &format!("{}: private and plaintext in turn", profile.id));
    let batch = Batch::new(matching, records)?;
    let plain = batch.plaintext()?;
    let rounds = batch.rounds()?;
    let (mut private, mut clear, mut sent) = (Vec::new(), [const { Vec::new() }; 2], 0);
    for turn in 0..=effort.turns {
        let parties = batch.parties(&batch.galleries)?;
        let watch = Stopwatch::start();
        let run = run(parties)?;
        let elapsed = watch.seconds() / 3.0;
        sent = run.sent_bytes.into_iter().max().unwrap_or(0);
        let mut times = [0.0; 2];
        for (way, time) in Way::ALL.into_iter().zip(&mut times) {
            let watch = Stopwatch::start();
            let answers = plain.decide(way, records);
            *time = watch.seconds();
            if answers != run.outputs[0] {
                return Err(Failure::input(
                    "private and plaintext matching differ",
                    "report this as a fault of the program",
                ));
            }
        }
        // The first turn warms up.
        if turn > 0 {
            private.push(elapsed);
            clear.iter_mut().zip(times).for_each(|(clear, time)| clear.push(time));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let comparisons = (batch.rows() * records) as f64;
    let (private, clear) = (median(&private), clear.iter().map(|times| median(times)).fold(f64::INFINITY, f64::min));
    Ok(ProtocolRate {
        modality: profile.id.to_string(),
        private_per_core_s: comparisons / private,
        plaintext_per_core_s: comparisons / clear,
        ratio: private / clear,
        bytes_per_comparison_per_node: sent as f64 / comparisons,
        rounds,
    })
}

/// A batch as the nodes hold it, and as it was.
struct Batch<'a> {
    matching: &'a Matching,
    records: Vec<Template>,
    probes: Vec<Template>,
    galleries: [Gallery; 3],
    shared: [Vec<ProbeShare>; 3],
}

impl<'a> Batch<'a> {
    fn new(matching: &'a Matching, count: usize) -> Result<Self, Failure> {
        let people = People { matching, seed: 2 };
        let probe_count = ROWS / matching.probe_rows();
        let records = (0..count as u64).map(|n| people.first(n)).collect::<Result<Vec<_>, _>>()?;
        // Every other probe is of somebody in the gallery.
        let probes = (0..probe_count as u64)
            .map(|n| if n % 2 == 0 { people.again(n * (count / probe_count) as u64, 0) } else { people.first(1 << 40 | n) })
            .collect::<Result<Vec<_>, _>>()?;
        let mut galleries = NodeId::ALL.map(|_| Gallery::new(matching.record_len()));
        let mut shared = NodeId::ALL.map(|_| Vec::new());
        for (number, template) in records.iter().enumerate() {
            let inputs = shares(&template.input_values(), number as u64)?;
            for ((node, input), gallery) in NodeId::ALL.into_iter().zip(&inputs).zip(&mut galleries) {
                gallery.push(record_share(node, input, matching).values());
            }
        }
        for (number, template) in probes.iter().enumerate() {
            let inputs = shares(&template.input_values(), 1 << 40 | number as u64)?;
            for ((node, input), probes) in NodeId::ALL.into_iter().zip(&inputs).zip(&mut shared) {
                probes.push(probe_share(node, input, matching));
            }
        }
        Ok(Self { matching, records, probes, galleries, shared })
    }

    fn rows(&self) -> usize {
        self.probes.len() * self.matching.probe_rows()
    }

    /// The three parties of a search in `galleries`, in chunks that a core's second-level cache holds.
    fn parties<'g>(&self, galleries: &'g [Gallery; 3]) -> Result<[Search<&'g Gallery>; 3], Failure> {
        let keys = local_keys(&[9; 32], b"bench");
        let mut parties = Vec::new();
        for ((mut keys, gallery), probes) in keys.into_iter().zip(galleries).zip(&self.shared) {
            let probes: Vec<&ProbeShare> = probes.iter().collect();
            let search = Search::new(keys.next_protocol(), self.matching, gallery, &probes, Adder::Ripple);
            parties.push(search.map_err(|error| matching_failure(&error))?.with_waves(COMPARISONS, 1));
        }
        parties.try_into().map_err(|_| Failure::input("there are three parties", "report this as a fault of the program"))
    }

    /// Rounds of a search that needs one chunk only.
    fn rounds(&self) -> Result<usize, Failure> {
        let few = self.galleries.each_ref().map(|gallery| {
            let mut few = Gallery::new(self.matching.record_len());
            few.push(&gallery.record(0));
            few
        });
        Ok(run(self.parties(&few)?)?.rounds)
    }

    fn plaintext(&self) -> Result<Plain, Failure> {
        match self.matching {
            Matching::Embedding(m) => Ok(self.vectors(m.dimensions as usize, self.matching.offset())),
            Matching::IrisCode(m) => {
                let (mut records, mut rows) =
                    (plaintext::IrisCodes::new(m.mask_bits()), plaintext::IrisCodes::new(m.mask_bits()));
                for record in &self.records {
                    let (code, mask) = bits(record, m.code_bits());
                    records.push(&code, &mask);
                }
                let streams = m.wavelets as usize;
                for probe in &self.probes {
                    let (code, mask) = bits(probe, m.code_bits());
                    for row in 0..m.rotations as usize {
                        let shift = (row + m.columns as usize - (m.rotations as usize - 1) / 2) % m.columns as usize;
                        let turn = |bits: &[bool], per_column: usize| -> Vec<bool> {
                            let mut bits = bits.to_vec();
                            bits.chunks_mut(m.columns as usize * per_column)
                                .for_each(|line| line.rotate_right(shift * per_column));
                            bits
                        };
                        rows.push(&turn(&code, 2 * streams), &turn(&mask, streams));
                    }
                }
                Ok(Plain::Irises { rows, records, weights: (m.dot_weight, m.mask_weight), per_probe: m.rotations as usize })
            }
        }
    }

    fn vectors(&self, length: usize, offset: u16) -> Plain {
        let coordinates = |templates: &[Template]| -> Vec<i8> {
            templates.iter().filter_map(|template| template.coordinates()).flatten().copied().collect()
        };
        let (rows, records) = (coordinates(&self.probes), coordinates(&self.records));
        let wide = |values: &[i8]| -> Vec<u16> { values.iter().map(|v| i16::from(*v).cast_unsigned()).collect() };
        let mut gallery = Gallery::new(self.matching.record_len());
        for record in records.chunks_exact(length) {
            let mut record = wide(record);
            record.resize(self.matching.record_len(), 0);
            gallery.push(&record);
        }
        let padded: Vec<u16> = rows
            .chunks_exact(length)
            .flat_map(|row| {
                let mut row = wide(row);
                row.resize(self.matching.record_len(), 0);
                row
            })
            .collect();
        let probes = Probes::new(self.matching.record_len(), &padded);
        Plain::Vectors { length, offset, rows, records, probes, gallery }
    }
}

/// One after another on this thread.
fn run(parties: [Search<&Gallery>; 3]) -> Result<Run<Vec<bool>>, Failure> {
    run_local(parties, Schedule::LockStep).map_err(|abort| matching_failure(&abort.into()))
}

/// A template's code and mask.
fn bits(template: &Template, code_bits: usize) -> (Vec<bool>, Vec<bool>) {
    let bits: Vec<bool> = template.iris_bits().unwrap_or_default().iter().map(|bit| *bit == 1).collect();
    let (code, mask) = bits.split_at(code_bits.min(bits.len()));
    (code.to_vec(), mask.to_vec())
}

/// How to match vectors in the clear.
#[derive(Clone, Copy)]
enum Way {
    /// 8-bit products by ordinary vector instructions.
    Bytes,
    /// The nodes' kernel on 16-bit words.
    Kernel,
}

impl Way {
    const ALL: [Self; 2] = [Self::Bytes, Self::Kernel];
}

/// Templates in the clear, laid out for speed.
#[expect(clippy::large_enum_variant, reason = "one of them exists per measurement")]
enum Plain {
    Vectors { length: usize, offset: u16, rows: Vec<i8>, records: Vec<i8>, probes: Probes, gallery: Gallery },
    Irises { rows: plaintext::IrisCodes, records: plaintext::IrisCodes, weights: (u16, u16), per_probe: usize },
}

impl Plain {
    /// For each probe: does it match any of the first `count` records?
    fn decide(&self, way: Way, count: usize) -> Vec<bool> {
        match (self, way) {
            (Self::Irises { rows, records, weights, per_probe }, _) => {
                let mut matched = vec![false; rows.len()];
                plaintext::match_irises(rows, records, 0..count, *weights, &mut matched);
                matched.chunks(*per_probe).map(|rows| rows.contains(&true)).collect()
            }
            (Self::Vectors { length, offset, rows, records, .. }, Way::Bytes) => {
                let mut matched = vec![false; rows.len() / length];
                let mut scores = Vec::new();
                for records in records.chunks(length * CHUNK).take(count.div_ceil(CHUNK)) {
                    let chunk = records.len() / length;
                    scores.resize(matched.len() * chunk, 0);
                    plaintext::dot_products(*length, rows, records, &mut scores);
                    for (matched, scores) in matched.iter_mut().zip(scores.chunks_exact(chunk)) {
                        *matched |= scores.iter().fold(i32::MIN, |best, score| best.max(*score)) >= i32::from(*offset);
                    }
                }
                matched
            }
            (Self::Vectors { offset, probes, gallery, .. }, Way::Kernel) => {
                let mut matched = vec![false; probes.rows()];
                let mut scores = Vec::new();
                for start in (0..count).step_by(CHUNK) {
                    let slots = start..count.min(start + CHUNK);
                    scores.resize(probes.rows() * slots.len(), 0);
                    let chunk = slots.len();
                    inner_products(gallery, slots, probes, &mut scores);
                    for (matched, scores) in matched.iter_mut().zip(scores.chunks_exact(chunk)) {
                        let best = scores.iter().fold(i16::MIN, |best, score| best.max(score.cast_signed()));
                        *matched |= i32::from(best) >= i32::from(*offset);
                    }
                }
                matched
            }
        }
    }
}
