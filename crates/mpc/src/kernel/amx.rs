//! Byte products on AMX tiles.
//!
//! With x = x0 + 256 x1 and y likewise, xy = x0 y0 + 256 (x0 y1 + x1 y0) modulo 2^16: three products of byte planes,
//! summed in two accumulators of 32 bits that may wrap. Rows of probes are the A operand, a group of records is the B
//! operand exactly as it is stored, and so a row of the result is one probe row against 16 records.
//!
//! Stable Rust has no AMX intrinsics, so the tile instructions are inline assembly. The operating system grants a process
//! the tile state on request (Linux, `Documentation/arch/x86/xstate.rst`); [`available`] makes that request once.

#![expect(unsafe_code, reason = "inline assembly for tile instructions, and a system call to be granted them")]

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __m512i, _mm512_add_epi32, _mm512_slli_epi32};
use std::ops::Range;
use std::sync::LazyLock;

use super::avx512::{load, store_row};
use super::blocking::{self, Products};
use super::layout::{Line, PAIR_RECORDS, Run};
use super::probes::Probes;
use super::x86::prefetch_share;

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
    __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx >> 24 & 3 == 3
}

#[cfg(target_os = "linux")]
fn request_tiles() -> bool {
    const ARCH_PRCTL: u64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: a system call with integer arguments that only extends what this process may use; `syscall` clobbers
    // RCX and R11, and the kernel touches no memory of ours for this request.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn request_tiles() -> bool {
    false
}

/// Inner products of a run.
pub(super) fn products(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    assert!(available(), "this machine cannot run the AMX kernel");
    // SAFETY: `available` found AVX-512F and BW.
    unsafe { products_inner(run, probes, out) }
}

/// The sums of each strip (a tile of rows against a piece) are finished while the tile unit works on the next strip:
/// reading them at once would wait for the stores of the tiles.
#[target_feature(enable = "avx512f,avx512bw")]
fn products_inner(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    let form = probes.byte_form();
    let row_tiles = probes.rows().div_ceil(form.tile_rows());
    let tiles = Tiles::configure(form.tile_rows());
    let mut buffers = [Sums::ZERO; 2];
    let [mut current, mut previous] = buffers.each_mut();
    let mut pending: Option<Strip> = None;
    let mut pieces = blocking::pieces(run, probes).peekable();
    while let Some(piece) = pieces.next() {
        let groups = run.pair(piece.pair, &piece.tiles);
        let next = pieces.peek().map_or([&[][..]; 2], |next| run.pair(next.pair, &next.tiles));
        for row_tile in 0..row_tiles {
            // A share of the next piece at a time, so that it arrives while this one is computed.
            prefetch_share(next, row_tile, row_tiles);
            tiles.multiply(form.lines(row_tile, &piece.tiles), groups, current);
            let first_row = row_tile * form.tile_rows();
            let rows = first_row..probes.rows().min(first_row + form.tile_rows());
            let strip = Strip { rows, first_record: piece.first_record(), starts: piece.starts };
            if let Some(strip) = pending.replace(strip) {
                strip.finish(previous, out);
            }
            std::mem::swap(&mut current, &mut previous);
        }
    }
    if let Some(strip) = pending {
        strip.finish(previous, out);
    }
}

/// Where the sums of a tile of rows and a piece go.
struct Strip {
    rows: Range<usize>,
    first_record: usize,
    starts: bool,
}

impl Strip {
    /// Stores or adds low sums plus 256 times middle sums.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn finish(&self, sums: &Sums, out: &mut Products<'_>) {
        let [low_left, middle_left, low_right, middle_right] = &sums.0;
        let left = low_left.iter().zip(middle_left);
        let right = low_right.iter().zip(middle_right);
        for ((row, left), right) in self.rows.clone().zip(left).zip(right) {
            let [left, right] = [left, right].map(|(low, middle)| combine(low, middle));
            store_row(left, right, self.starts, out.segment(row, self.first_record, PAIR_RECORDS));
        }
    }
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
    /// Registers 0 to 3: sums, `rows` by 16 words of 32 bits. 4 and 5: probes, `rows` lines. 6 and 7: records, 16 lines.
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

    /// Multiplies a tile of probe rows with two groups, over all tiles of coordinates that they hold.
    #[inline]
    fn multiply(&self, probes: &[Line], groups: [&[Line]; 2], sums: &mut Sums) {
        let [left, right] = groups;
        let tiles = left.len() / 32;
        assert!(left.len() == 32 * tiles && right.len() == 32 * tiles && tiles > 0, "groups are whole tiles");
        assert!(probes.len() == 2 * self.rows * tiles, "probes cover the groups' tiles");
        // SAFETY: the registers are configured as `configure` says, so one pass of the loop reads 2 `rows` lines of
        // `probes` and 32 lines of either group; the assertions above bound the `tiles` passes. The stores write `rows`
        // lines, at most 16, to each of four arrays of 16 lines. All tile registers are declared as overwritten.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{probes} + {line}]",
                "tileloadd tmm6, [{left} + {line}]",
                "tdpbuud tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{high} + {line}]",
                "tdpbuud tmm1, tmm5, tmm6",
                "tileloadd tmm7, [{right} + {line}]",
                "tdpbuud tmm2, tmm4, tmm7",
                "tdpbuud tmm3, tmm5, tmm7",
                "tileloadd tmm6, [{left} + {line} + 1024]",
                "tdpbuud tmm1, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {line} + 1024]",
                "tdpbuud tmm3, tmm4, tmm7",
                "add {probes}, {step}",
                "add {high}, {step}",
                "add {left}, 2048",
                "add {right}, 2048",
                "dec {count}",
                "jnz 2b",
                "tilestored [{sums} + {line}], tmm0",
                "tilestored [{sums} + {line} + 1024], tmm1",
                "tilestored [{sums} + {line} + 2048], tmm2",
                "tilestored [{sums} + {line} + 3072], tmm3",
                probes = inout(reg) probes.as_ptr() => _,
                high = inout(reg) probes.as_ptr().wrapping_add(self.rows) => _,
                left = inout(reg) left.as_ptr() => _,
                right = inout(reg) right.as_ptr() => _,
                count = inout(reg) tiles => _,
                step = in(reg) 128 * self.rows,
                line = in(reg) 64usize,
                sums = in(reg) &raw mut sums.0,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
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
