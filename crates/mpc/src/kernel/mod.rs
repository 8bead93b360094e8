//! Inner products of 16-bit words, modulo 2^16, of probe rows with the records of a gallery.
//!
//! One stored layout ([`layout`]) serves several kernels: AMX byte products, AVX-512 VNNI, AVX-512 and AVX2 word
//! products, and portable code. The best one that the processor has is found at run time; all of them return the same
//! bits. A caller that has several cores splits the range of slots.
//!
//! The comparison stage has its kernels here, too: pseudorandom streams ([`keystream`]), loops over bit planes
//! ([`sliced`]), and the field of the answer ([`field`]).
//!
//! `unsafe` appears only in this module, each part with its invariants. Out of scope: what the products mean
//! ([`crate::batch`]), threads, and reading the environment (the shell passes the kernel's name to [`select`]).

pub mod field;
pub mod keystream;
pub mod layout;
pub mod plaintext;
pub mod sliced;
pub mod vectors;
pub mod words;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocking;
mod portable;
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only AMX reads the byte form"))]
mod probes;
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only AVX2 reads leaves"))]
mod rotations;
pub(crate) mod system;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

pub use probes::Probes;
pub use rotations::Rotations;

use crate::gallery::Gallery;
use blocking::Products;
use layout::Run;

/// An implementation of the inner products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kernel {
    /// Any processor.
    Portable,
    /// x86-64 with AVX2: `vpmaddwd` on 256 bits.
    Avx2,
    /// x86-64 with AVX-512BW: `vpmaddwd` on 512 bits.
    Avx512,
    /// x86-64 with AVX-512 VNNI: `vpdpwssd`.
    Avx512Vnni,
    /// x86-64 with AMX: byte products on tiles.
    Amx,
}

/// Every kernel, slowest first.
const ALL: [Kernel; 5] = [Kernel::Portable, Kernel::Avx2, Kernel::Avx512, Kernel::Avx512Vnni, Kernel::Amx];

/// A kernel was asked for by name and cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kernel {name:?} on this machine; choose one of {}, or leave it unset", available_names())]
pub struct KernelUnavailable {
    name: String,
}

impl Kernel {
    /// The name by which it is selected and logged.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Amx => "amx",
        }
    }

    /// The kernels that this processor and operating system can run, slowest first.
    pub fn available() -> Vec<Self> {
        ALL.into_iter().filter(|kernel| kernel.is_available()).collect()
    }

    /// The fastest kernel that this machine can run.
    pub fn detect() -> Self {
        Self::available().into_iter().max().unwrap_or(Self::Portable)
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        let avx512 = || is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        match self {
            Self::Portable => true,
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx512 => avx512(),
            Self::Avx512Vnni => avx512() && is_x86_feature_detected!("avx512vnni"),
            Self::Amx => amx::available(),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        self == Self::Portable
    }

    /// The kernel was found to be available.
    #[cfg(target_arch = "x86_64")]
    fn products(self, run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
        match self {
            Self::Portable => portable::products(run, probes, out),
            Self::Avx2 => avx2::products(run, probes, out),
            Self::Avx512 => avx512::madd::products(run, probes, out),
            Self::Avx512Vnni => avx512::vnni::products(run, probes, out),
            Self::Amx => amx::products(run, probes, out),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn products(self, run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
        portable::products(run, probes, out);
    }
}

/// What [`select`] chose, as the kernel's number plus one; 0 until then.
static SELECTED: AtomicU8 = AtomicU8::new(0);

/// Sets the kernel of this process: by name, or the fastest when no name (or `auto`) is given.
///
/// # Errors
/// If there is no such kernel, or this machine cannot run it.
pub fn select(name: Option<&str>) -> Result<Kernel, KernelUnavailable> {
    let kernel = match name {
        None | Some("" | "auto") => Kernel::detect(),
        Some(name) => Kernel::available()
            .into_iter()
            .find(|kernel| kernel.name() == name)
            .ok_or_else(|| KernelUnavailable { name: name.chars().take(32).collect() })?,
    };
    SELECTED.store(kernel as u8 + 1, Ordering::Relaxed);
    Ok(kernel)
}

/// The kernel of this process: what [`select`] set, else the fastest.
pub fn selected() -> Kernel {
    let number = SELECTED.load(Ordering::Relaxed);
    match ALL.into_iter().find(|kernel| *kernel as u8 + 1 == number) {
        Some(kernel) => kernel,
        None => {
            let kernel = Kernel::detect();
            SELECTED.store(kernel as u8 + 1, Ordering::Relaxed);
            kernel
        }
    }
}

/// Inner products modulo 2^16 of every probe row with every record of `slots`, by the selected kernel.
///
/// `out` has `probes.rows()` rows of `slots.len()` products. A masked record's products are zero. Ranges of some
/// thousand slots keep the output in a cache.
///
/// # Panics
/// If `slots` does not start at a multiple of 64 or ends past the gallery, the probes have another record length than the
/// gallery, or `out` has another size than stated: errors of the caller.
pub fn inner_products(gallery: &Gallery, slots: Range<usize>, probes: &Probes, out: &mut [u16]) {
    inner_products_with(selected(), gallery, slots, probes, out);
}

/// [`inner_products`] by a given kernel, which must be [`Kernel::available`].
///
/// # Panics
/// As [`inner_products`], and if this machine cannot run the kernel.
pub fn inner_products_with(kernel: Kernel, gallery: &Gallery, slots: Range<usize>, probes: &Probes, out: &mut [u16]) {
    assert_eq!(probes.record_len(), gallery.record_len(), "probes and records have one length");
    let stride = slots.len();
    let mut first = 0;
    for run in gallery.runs(slots) {
        run_products(kernel, &run, probes, stride, first, out);
        first += run.records();
    }
}

/// Inner products with the records of one run of memory: columns `first ..` of an output of `probes.rows()` rows, each
/// `stride` long. What [`inner_products_with`] does for each run of a gallery.
///
/// # Panics
/// If the lengths do not fit together, or this machine cannot run the kernel.
pub fn run_products(kernel: Kernel, run: &Run<'_>, probes: &Probes, stride: usize, first: usize, out: &mut [u16]) {
    assert!(kernel.is_available(), "this machine cannot run the {} kernel", kernel.name());
    assert_eq!(probes.record_len(), run.layout().record_len(), "probes and records have one length");
    assert_eq!(out.len(), probes.rows() * stride, "the output has one row of {stride} products per probe row");
    assert!(first + run.records() <= stride, "the run ends past the output's rows");
    if run.layout().tiles() == 0 {
        out.fill(0);
        return;
    }
    kernel.products(run, probes, &mut Products::new(out, stride, first..first + run.records()));
}

fn available_names() -> String {
    Kernel::available().into_iter().map(Kernel::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
