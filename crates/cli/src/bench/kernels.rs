//! Inner products by every kernel of this machine, on one core, beside what plaintext matching uses.
//!
//! Kernels take turns, so that a busy or slow moment of the machine meets all of them; the figure is the median turn.

use std::hint::black_box;

use mpc::gallery::Gallery;
use mpc::kernel::{Kernel, Probes, inner_products_with, plaintext};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::clock::Stopwatch;
use super::{Effort, median};
use crate::context::Context;

/// Slots per call, as in a search: the products of 496 rows then take 1 MB.
const CHUNK: usize = 1024;
/// Probe rows: one face, one iris, a batch.
const ROWS: [usize; 3] = [1, 31, 496];
/// The profile whose probes are rotations.
const IRIS: &str = "iris-12800";
/// Words per record: a face, an iris.
const LENGTHS: [usize; 2] = [512, 19_200];

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KernelRate {
    pub(crate) name: &'static str,
    pub(crate) shape: String,
    pub(crate) rows: usize,
    /// Multiply-accumulates of 16-bit words in 10^9 per second; for the plaintext matchers, as many coordinates per second.
    pub(crate) gmac_per_s: f64,
}

/// Computes all products with the first so many records.
type Work<'a> = Box<dyn FnMut(usize) + 'a>;

/// Measures everything.
pub(crate) fn measure(context: &Context, effort: &Effort) -> Vec<KernelRate> {
    let turns = LENGTHS.len() * ROWS.len();
    let bar = context.out.bar(turns as u64, "Kernels");
    let mut rates = Vec::new();
    for length in LENGTHS {
        let stored = Stored::new(length, effort.kernel_bytes);
        for rows in ROWS {
            rates.extend(stored.measure(rows, effort));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    rates
}

/// Records of one length: as nodes store them, and in the clear.
struct Stored {
    length: usize,
    gallery: Gallery,
    plain: Plain,
}

enum Plain {
    /// 8 bits per coordinate.
    Bytes(Vec<i8>),
    /// Bits.
    Irises(plaintext::IrisCodes),
}

impl Stored {
    fn new(length: usize, bytes: usize) -> Self {
        let count = (bytes / (2 * length)).next_multiple_of(64);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut gallery = Gallery::new(length);
        for _ in 0..count {
            gallery.push(&words(&mut rng, length));
        }
        let plain = if length == 512 {
            Plain::Bytes(bytes_of(&mut rng, length * count))
        } else {
            Plain::Irises(irises(&mut rng, count))
        };
        Self { length, gallery, plain }
    }

    fn measure(&self, rows: usize, effort: &Effort) -> Vec<KernelRate> {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let probes = Probes::new(self.length, &words(&mut rng, self.length * rows));
        let rotated = self.rotated(rows, &mut rng).filter(|_| Kernel::available().contains(&Kernel::Avx2));
        let mut works: Vec<(&'static str, Work<'_>)> = Vec::new();
        let mut kernels: Vec<_> = Kernel::available().into_iter().map(|kernel| (kernel.name(), kernel, &probes)).collect();
        kernels.extend(rotated.iter().map(|probes| ("avx2, rotations", Kernel::Avx2, probes)));
        for (name, kernel, probes) in kernels {
            let mut out = Vec::new();
            let work = move |records: usize| {
                for start in (0..records).step_by(CHUNK) {
                    let slots = start..records.min(start + CHUNK);
                    out.resize(rows * slots.len(), 0);
                    inner_products_with(kernel, &self.gallery, slots, probes, &mut out);
                }
                black_box(&mut out);
            };
            works.push((name, Box::new(work)));
        }
        works.push(self.plaintext(rows, &mut rng));
        let count = self.gallery.len();
        // As many records as take each about the time of a turn.
        let counts: Vec<usize> = works.iter_mut().map(|(_, work)| calibrate(work, count, rows, effort.turn_s)).collect();
        let mut seconds = vec![Vec::new(); works.len()];
        for _ in 0..effort.turns {
            for (((_, work), records), seconds) in works.iter_mut().zip(&counts).zip(&mut seconds) {
                seconds.push(timed(work, *records));
            }
        }
        let rate = |(((name, _), records), seconds): ((&(&'static str, Work<'_>), &usize), Vec<f64>)| KernelRate {
            name,
            shape: format!("{}-d", self.length),
            rows,
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            gmac_per_s: (self.length * rows * records) as f64 / median(&seconds) / 1e9,
        };
        works.iter().zip(&counts).zip(seconds).map(rate).collect()
    }

    /// Whole probes of irises whose rows are rotations, for the kernel that has a way of its own for them. The products that it saves count
    /// as made.
    fn rotated(&self, rows: usize, rng: &mut ChaCha8Rng) -> Option<Probes> {
        let rotations = mpc::record::rotations(&biometric::profiles::by_id(IRIS)?.matching)?;
        let fits = rotations.record_len() == self.length && rows.is_multiple_of(rotations.count());
        let probe = |_| rotations.rows(&words(rng, self.length));
        let rows: Vec<u16> = fits.then(|| (0..rows / rotations.count()).flat_map(probe).collect())?;
        Some(Probes::new(self.length, &rows).with_rotations(rotations))
    }

    fn plaintext<'a>(&'a self, rows: usize, rng: &mut ChaCha8Rng) -> (&'static str, Work<'a>) {
        match &self.plain {
            Plain::Bytes(records) => {
                let (probes, length) = (bytes_of(rng, self.length * rows), self.length);
                let mut out = Vec::new();
                let work = move |count: usize| {
                    for records in records.chunks(length * CHUNK).take(count / CHUNK) {
                        out.resize(records.len() / length * rows, 0);
                        plaintext::dot_products(length, &probes, records, &mut out);
                    }
                    black_box(&mut out);
                };
                ("plaintext-i8", Box::new(work))
            }
            Plain::Irises(records) => {
                let probes = irises(rng, rows);
                let mut matched = vec![false; rows];
                let work = move |count: usize| {
                    plaintext::match_irises(&probes, records, 0..count, (2, 1), &mut matched);
                    black_box(&mut matched);
                };
                ("plaintext-popcount", Box::new(work))
            }
        }
    }
}

/// Whole chunks of records that take about `seconds`; with one row all of them, as the figure is that of memory.
fn calibrate(work: &mut Work<'_>, count: usize, rows: usize, seconds: f64) -> usize {
    let _ = timed(work, CHUNK.min(count));
    if rows == 1 {
        return count;
    }
    let once = timed(work, CHUNK.min(count)).max(1e-9);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let chunks = (seconds / once).ceil().min(1e6) as usize;
    (chunks * CHUNK).min(count)
}

fn timed(work: &mut Work<'_>, records: usize) -> f64 {
    let watch = Stopwatch::start();
    work(records);
    watch.seconds()
}

fn words(rng: &mut ChaCha8Rng, length: usize) -> Vec<u16> {
    bytes(rng, 2 * length).as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
}

/// Coordinates as faces have them.
fn bytes_of(rng: &mut ChaCha8Rng, length: usize) -> Vec<i8> {
    bytes(rng, length).iter().map(|byte| byte.cast_signed() >> 1).collect()
}

fn bytes(rng: &mut ChaCha8Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn irises(rng: &mut ChaCha8Rng, count: usize) -> plaintext::IrisCodes {
    let mut codes = plaintext::IrisCodes::new(6_400);
    for _ in 0..count {
        let bits: Vec<bool> = bytes(rng, 12_800).iter().map(|byte| *byte > 127).collect();
        codes.push(&bits, &[true; 6_400]);
    }
    codes
}
