//! Read-only memory maps of segment files: the one place in this crate with `unsafe`.
//!
//! A map stands in for memory only while nothing changes the bytes behind a reference into it. What must hold, and who sees to it:
//!
//! 1. **No other process of this program changes or cuts the file**: the lock on the data directory ([`super::Store`]).
//! 2. **This process changes the file only while nobody holds a reference into the map**: every write goes through
//!    `Files::write`, which takes the gallery by `&mut`; references come out of the gallery only by `&`.
//! 3. **The file is as long as the map for as long as the map lives**: its length is fixed when it is created, and checked here;
//!    nothing cuts it; a file is removed only after its map is gone.
//! 4. **Somebody else with write access to the directory** can break 1 and 3, as they could change the program itself. A file that
//!    is cut from outside under a running node, and a sector that cannot be read any more, end the process with SIGBUS; at the next
//!    start the file is read with ordinary calls first, and the node says what is damaged.

#![expect(unsafe_code, reason = "a map of a file is memory that the compiler knows nothing of")]

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};
use mpc::kernel::layout::Line;

/// Lines of a file, for as long as this value lives.
pub(super) struct Mapped(Mmap);

impl Mapped {
    /// Maps the whole `file`.
    ///
    /// # Errors
    /// When its length is not that of `lines`, or the system refuses.
    pub(super) fn new(file: &File, lines: usize) -> io::Result<Self> {
        let bytes = lines * size_of::<Line>();
        if file.metadata()?.len() != bytes as u64 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has another length than its map"));
        }
        // SAFETY: the file is as long as the map (checked above), stays so (3), and changes only while no reference into the map
        // is held (1, 2). The map is read-only.
        let map = unsafe { MmapOptions::new().len(bytes).map(file) }?;
        // Fewer, larger pages make one pass over the gallery faster where the file system has them. A refusal changes nothing.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self(map))
    }

    /// Enters the first `lines` into this process's page tables, so that the first search does not do it page by page.
    pub(super) fn populate(&self, lines: usize) {
        #[cfg(target_os = "linux")]
        let _ = self.0.advise_range(memmap2::Advice::PopulateRead, 0, lines.min(self.as_ref().len()) * size_of::<Line>());
        #[cfg(not(target_os = "linux"))]
        let _ = lines;
    }
}

impl AsRef<[Line]> for Mapped {
    fn as_ref(&self) -> &[Line] {
        // SAFETY: a line is 64 bytes without padding and any bytes are one; the slice is cut to where lines are aligned.
        let (_, lines, _) = unsafe { self.0.align_to::<Line>() };
        lines
    }
}
