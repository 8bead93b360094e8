//! Byte products on AMX tiles.
//!
//! With x = x0 + 256 x1 and y likewise, xy = x0 y0 + 256 (x0 y1 + x1 y0) modulo 2^16: three products of byte planes,
//! summed in two accumulators of 32 bits that may wrap. Rows of probes are the A operand, a group of records is the B
//! operand exactly as it is stored, and so a row of the result is one probe row against 16 records.
//!
//! Stable Rust has no AMX intrinsics, so the tile instructions are inline assembly. The operating system grants a process
//! the tile state on request; [`available`] makes that request once.

#![expect(clippy::indexing_slicing, reason = "numeric code; constant array lengths")]
#![expect(unsafe_code, reason = "inline assembly for tile instructions")]

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __m512i, _MM_HINT_T1, _mm512_add_epi32, _mm512_slli_epi32};
use std::ops::Range;
use std::sync::LazyLock;

use super::avx512::{load, store_row};
use super::blocking::{self, Products, Window};
use super::layout::{Line, Run, TILE_LINES};
use super::probes::Probes;
use super::system::request_tiles;
use super::x86::{Ahead, prefetch_share};

/// Whether the processor has AMX byte products, the AVX-512 instructions that finish them, and the system's leave to
/// use tiles.
pub(super) fn available() -> bool {
    static GRANTED: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && has_amx_int8() && request_tiles()
    });
    *GRANTED
}

/// CPUID leaf 7, EDX: bit 24 is AMX-TILE, bit 25 AMX-INT8.
fn has_amx_int8() -> bool {
    !cfg!(miri) && __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx >> 24 & 3 == 3
}

/// Up to this many row tiles stay in the first-level cache, and memory bounds the time.
const RESIDENT_ROW_TILES: usize = 2;

/// Inner products of a run.
pub(super) fn products(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    assert!(available(), "this machine cannot run the AMX kernel");
    // SAFETY: `available` found AVX-512F and BW.
    unsafe {
        match probes.rows().div_ceil(probes.byte_form().tile_rows()) {
            ..=RESIDENT_ROW_TILES => products_inner::<false>(run, probes, out),
            _ => products_inner::<true>(run, probes, out),
        }
    }
}

/// The sums of each strip (a tile of rows against a piece) are finished in between the steps of the next strip: so the
/// tile unit never waits, and the stores of the tiles are done before their bytes are read.
///
/// With `PASSING`, rows pass while records stay in the first-level cache; otherwise few rows stay and records pass.
#[target_feature(enable = "avx512f,avx512bw")]
fn products_inner<const PASSING: bool>(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    let form = probes.byte_form();
    let row_tiles = probes.rows().div_ceil(form.tile_rows());
    let mut tiles = Tiles::configure(form.tile_rows());
    let mut buffers = [Sums::ZERO; 2];
    let [mut current, mut previous] = buffers.each_mut();
    let mut pending = Strip { rows: 0..0, first_record: 0, starts: true };
    // Rows that pass leave the cache to the records: longer pieces take fewer partial sums, 3 % less time on irises.
    let long = if PASSING { blocking::PIECE_TILES } else { blocking::LONG_PIECE_TILES };
    let mut pieces = blocking::pieces(run, probes, long).peekable();
    while let Some(piece) = pieces.next() {
        let groups = run.pair(piece.pair, &piece.tiles);
        let next = pieces.peek().map_or([&[][..]; 2], |next| run.pair(next.pair, &next.tiles));
        for row_tile in 0..row_tiles {
            let mut ahead = Ahead::new(next, row_tile, row_tiles, piece.tiles.len());
            let mut window = out.window(pending.rows.clone(), pending.first_record);
            let lines = form.lines(row_tile, &piece.tiles);
            let rows_per_step = window.rows().div_ceil(piece.tiles.len());
            let mut finished = 0;
            tiles.multiply::<PASSING>(lines, groups, [current, previous], |step, previous| {
                if PASSING {
                    ahead.prefetch();
                } else {
                    prefetch_share::<_MM_HINT_T1>(groups, next, step, row_tile, row_tiles);
                }
                let until = window.rows().min(finished + rows_per_step);
                for row in finished..until {
                    finish(previous, row, pending.starts, &mut window);
                }
                finished = until;
            });
            let first_row = row_tile * form.tile_rows();
            let rows = first_row..probes.rows().min(first_row + form.tile_rows());
            pending = Strip { rows, first_record: piece.first_record(), starts: piece.starts };
            std::mem::swap(&mut current, &mut previous);
        }
    }
    tiles.store_right(previous);
    let mut window = out.window(pending.rows.clone(), pending.first_record);
    for row in 0..window.rows() {
        finish(previous, row, pending.starts, &mut window);
    }
}

/// Where the sums of a tile of rows and a piece go.
struct Strip {
    rows: Range<usize>,
    first_record: usize,
    starts: bool,
}

/// Stores or adds one row of sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn finish(sums: &Sums, row: usize, starts: bool, window: &mut Window<'_>) {
    let [low_left, middle_left, low_right, middle_right] = sums.0.each_ref().map(|tile| &tile[row]);
    store_row(combine(low_left, middle_left), combine(low_right, middle_right), starts, window, row);
}

/// Low sums plus 256 times middle sums, for 16 records.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn combine(low: &Line, middle: &Line) -> __m512i {
    _mm512_add_epi32(load(low), _mm512_slli_epi32::<8>(load(middle)))
}

/// Tiles stored to memory: for the left group the low and the middle sums, then the same for the right group.
#[repr(C, align(64))]
struct Sums([[Line; 16]; 4]);

impl Sums {
    const ZERO: Self = Self([[Line::ZERO; 16]; 4]);
}

/// This thread's tile registers, configured while the value lives and released when it is dropped.
///
/// Invariants: only this module uses tiles, and nothing else of the program changes their configuration; the value stays
/// on the thread that made it (it is neither `Send` nor `Sync`); `rows` is 1 to 16.
struct Tiles {
    rows: usize,
    thread: std::marker::PhantomData<*const ()>,
}

/// Distance of the rows of a tile in memory.
const LINE_BYTES: usize = size_of::<Line>();

/// The operand of `ldtilecfg` (Intel SDM volume 1, chapter 18).
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    column_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// Registers 0 to 3: sums, `rows` by 16 words of 32 bits, zero at first. 4 and 5: probes, `rows` lines. 6 and 7: records, 16 lines.
    fn configure(rows: usize) -> Self {
        assert!(available() && (1..=16).contains(&rows), "tiles have 1 to 16 rows");
        let few = u8::try_from(rows).unwrap_or(16);
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], column_bytes: [0; 16], rows: [0; 16] };
        for (register, (bytes, rows)) in configuration.column_bytes.iter_mut().zip(&mut configuration.rows).enumerate() {
            (*bytes, *rows) = match register {
                0..6 => (64, few),
                6..8 => (64, 16),
                _ => (0, 0),
            };
        }
        // SAFETY: AMX was found and granted; the operand is a valid configuration of 64 bytes of palette 1.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly));
        }
        Self { rows, thread: std::marker::PhantomData }
    }

    /// Multiplies a tile of probe rows with two groups, over all tiles of coordinates that they hold. After each step, `meanwhile` has the
    /// processor's other units to itself.
    ///
    /// The sums of the left group are stored at the end, those of the right one by the next call, after the products of its first left
    /// tile: so the tile unit has work while the last sums of either group come to their end and are stored.
    #[inline]
    fn multiply<const PASSING: bool>(
        &mut self,
        probes: &[Line],
        [left, right]: [&[Line]; 2],
        [current, previous]: [&mut Sums; 2],
        mut meanwhile: impl FnMut(usize, &Sums),
    ) {
        let pairs = left.chunks_exact(TILE_LINES).zip(right.chunks_exact(TILE_LINES));
        for (step, (probes, (left, right))) in probes.chunks_exact(2 * self.rows).zip(pairs).enumerate() {
            self.step_left::<PASSING>(probes, left);
            if step == 0 {
                self.store_right(previous);
            }
            self.step_right(right);
            meanwhile(step, previous);
        }
        self.store_left(current);
    }

    /// Loads a tile of probe rows, and adds its products with one tile of coordinates of the left group.
    #[inline]
    fn step_left<const PASSING: bool>(&mut self, probes: &[Line], left: &[Line]) {
        debug_assert!(probes.len() == 2 * self.rows && left.len() == TILE_LINES);
        macro_rules! step {
            ($load:literal) => {
                asm!(
                    concat!($load, " tmm4, [{probes} + {line}]"),
                    "tileloadd tmm6, [{left} + {line}]",
                    "tdpbuud tmm0, tmm4, tmm6",
                    concat!($load, " tmm5, [{high} + {line}]"),
                    "tdpbuud tmm1, tmm5, tmm6",
                    "tileloadd tmm7, [{left} + {line} + 1024]",
                    "tdpbuud tmm1, tmm4, tmm7",
                    probes = in(reg) probes.as_ptr(),
                    high = in(reg) probes.as_ptr().wrapping_add(self.rows),
                    left = in(reg) left.as_ptr(),
                    line = in(reg) LINE_BYTES,
                    out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack, readonly, preserves_flags),
                )
            };
        }
        // SAFETY: with the registers configured as `configure` says, this reads 2 `rows` lines of `probes` and 32 lines
        // of the group; `multiply` cuts slices of these lengths, and the debug assertion states them.
        unsafe {
            if PASSING {
                // The hint keeps rows, which come from the second-level cache and pass once, from driving records and sums out
                // of the first: a quarter more products a second.
                step!("tileloaddt1");
            } else {
                step!("tileloadd");
            }
        }
    }

    /// Adds the products of the loaded tile of probe rows with one tile of coordinates of the right group.
    #[inline]
    fn step_right(&mut self, right: &[Line]) {
        debug_assert!(right.len() == TILE_LINES);
        // SAFETY: as for the left group, whose step loaded the probe rows.
        unsafe {
            asm!(
                "tileloadd tmm6, [{right} + {line}]",
                "tdpbuud tmm2, tmm4, tmm6",
                "tdpbuud tmm3, tmm5, tmm6",
                "tileloadd tmm7, [{right} + {line} + 1024]",
                "tdpbuud tmm3, tmm4, tmm7",
                right = in(reg) right.as_ptr(),
                line = in(reg) LINE_BYTES,
                out("tmm2") _, out("tmm3") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    /// Writes the sums of the left group to memory and sets them to zero.
    #[inline]
    fn store_left(&mut self, sums: &mut Sums) {
        // SAFETY: the stores write `rows` lines, at most 16, to each of the first two arrays of 16 lines.
        unsafe {
            asm!(
                "tilestored [{sums} + {line}], tmm0",
                "tilestored [{sums} + {line} + 1024], tmm1",
                "tilezero tmm0",
                "tilezero tmm1",
                sums = in(reg) &raw mut sums.0,
                line = in(reg) LINE_BYTES,
                out("tmm0") _, out("tmm1") _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Writes the sums of the right group to memory and sets them to zero.
    #[inline]
    fn store_right(&mut self, sums: &mut Sums) {
        // SAFETY: the stores write `rows` lines, at most 16, to each of the last two arrays of 16 lines.
        unsafe {
            asm!(
                "tilestored [{sums} + {line} + 2048], tmm2",
                "tilestored [{sums} + {line} + 3072], tmm3",
                "tilezero tmm2",
                "tilezero tmm3",
                sums = in(reg) &raw mut sums.0,
                line = in(reg) LINE_BYTES,
                out("tmm2") _, out("tmm3") _,
                options(nostack, preserves_flags),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: tiles were configured on this thread; releasing them makes context switches cheap again.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }
}
