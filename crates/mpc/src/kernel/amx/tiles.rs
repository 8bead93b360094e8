//! The tile registers of one thread.
//!
//! Stable Rust has no AMX intrinsics, so the tile instructions are inline assembly. Loads, products and stores are apart; between them
//! the registers keep what they hold, as nothing else of the program uses them.

#![expect(unsafe_code, reason = "inline assembly for tile instructions")]

use std::arch::asm;

use crate::kernel::layout::{Line, TILE_LINES};

/// Most rows of a tile.
pub(super) const MAX_ROWS: usize = 16;
/// Distance of the rows of a tile in memory.
const LINE_BYTES: usize = size_of::<Line>();

/// Tiles stored to memory: the low and the middle sums of the first result, then the same of the second.
#[repr(C, align(64))]
pub(super) struct Sums(pub(super) [[Line; MAX_ROWS]; 4]);

impl Sums {
    pub(super) const ZERO: Self = Self([[Line::ZERO; MAX_ROWS]; 4]);
}

/// This thread's tile registers, configured while the value lives and released when it is dropped. Registers 0 and 1 are the low and the
/// middle sums of the first result, 2 and 3 of the second; 4 and 5 are the low and high bytes of a tile of probe rows, 6 and 7 of a tile of
/// records.
///
/// Invariants: only this module uses tiles, and nothing else of the program changes their configuration; the value stays
/// on the thread that made it (it is neither `Send` nor `Sync`); `rows` is 1 to 16.
pub(super) struct Tiles {
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

/// Loads registers 4 and 5 with an instruction.
macro_rules! load_rows {
    ($load:literal, $lines:expr, $rows:expr) => {{
        assert_eq!($lines.len(), 2 * $rows, "two lines for each row");
        // SAFETY: with the registers configured as `configure` says, this reads 2 `rows` lines, which the assertion found.
        unsafe {
            asm!(
                concat!($load, " tmm4, [{low} + {line}]"),
                concat!($load, " tmm5, [{high} + {line}]"),
                low = in(reg) $lines.as_ptr(),
                high = in(reg) $lines.as_ptr().wrapping_add($rows),
                line = in(reg) LINE_BYTES,
                out("tmm4") _, out("tmm5") _,
                options(nostack, readonly, preserves_flags),
            );
        }
    }};
}

impl Tiles {
    /// Registers 0 to 3: `rows` by 16 words of 32 bits, zero at first. 4 and 5: `rows` lines. 6 and 7: 16 lines.
    ///
    /// # Panics
    /// If this process may not use tiles, or there are no rows or more than 16: errors of the caller.
    pub(super) fn configure(rows: usize) -> Self {
        assert!(super::available() && (1..=MAX_ROWS).contains(&rows), "tiles have 1 to 16 rows");
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

    /// Loads a tile of probe rows: low bytes, then high bytes, a line for each row.
    ///
    /// # Panics
    /// If there are not two lines for each row: an error of the caller.
    #[inline]
    pub(super) fn load_rows(&mut self, lines: &[Line]) {
        load_rows!("tileloadd", lines, self.rows);
    }

    /// The same for rows that come from the second-level cache and pass: the hint keeps them from driving out of the first what stays there.
    ///
    /// # Panics
    /// As [`Self::load_rows`].
    #[inline]
    pub(super) fn load_passing_rows(&mut self, lines: &[Line]) {
        load_rows!("tileloaddt1", lines, self.rows);
    }

    /// Loads a tile of coordinates of a group of records: the low plane, then the high plane.
    ///
    /// # Panics
    /// If there are not the lines of a tile: an error of the caller.
    #[inline]
    pub(super) fn load_records(&mut self, lines: &[Line]) {
        assert_eq!(lines.len(), TILE_LINES, "a tile of a group");
        // SAFETY: with the registers configured as `configure` says, this reads 32 lines, which the assertion found.
        unsafe {
            asm!(
                "tileloadd tmm6, [{low} + {line}]",
                "tileloadd tmm7, [{low} + {line} + 1024]",
                low = in(reg) lines.as_ptr(),
                line = in(reg) LINE_BYTES,
                out("tmm6") _, out("tmm7") _,
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    /// Adds the products of what is loaded to the sums of the first result.
    #[inline]
    pub(super) fn multiply_first(&mut self) {
        // SAFETY: the registers are configured; those that change are declared.
        unsafe {
            asm!(
                "tdpbuud tmm0, tmm4, tmm6",
                "tdpbuud tmm1, tmm5, tmm6",
                "tdpbuud tmm1, tmm4, tmm7",
                out("tmm0") _, out("tmm1") _,
                options(nostack, nomem, preserves_flags),
            );
        }
    }

    /// The same for the second result.
    #[inline]
    pub(super) fn multiply_second(&mut self) {
        // SAFETY: the registers are configured; those that change are declared.
        unsafe {
            asm!(
                "tdpbuud tmm2, tmm4, tmm6",
                "tdpbuud tmm3, tmm5, tmm6",
                "tdpbuud tmm3, tmm4, tmm7",
                out("tmm2") _, out("tmm3") _,
                options(nostack, nomem, preserves_flags),
            );
        }
    }

    /// Writes the sums of the first result to memory and sets them to zero.
    #[inline]
    pub(super) fn store_first(&mut self, sums: &mut Sums) {
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

    /// The same for the second result.
    #[inline]
    pub(super) fn store_second(&mut self, sums: &mut Sums) {
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
