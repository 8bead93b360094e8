//! How records lie in memory: pure geometry, shared by the owned gallery and by anything else that holds lines.
//!
//! A record is a vector of 16-bit words. Sixteen records form a *group*; a group is cut into *tiles* of 64
//! coordinates; a tile is a low-byte plane followed by a high-byte plane; a plane is 16 lines of 64 bytes. Line `q`
//! holds coordinates `4q .. 4q + 4` of the tile, record after record:
//!
//! ```text
//! [group of 16 records][tile of 64 coordinates][low plane, high plane][quad q: 16][record r: 16][4 bytes]
//! ```
//!
//! This is the B operand of the AMX byte product, and one shift and one select away from the operands of the word
//! products of AVX-512 and AVX2, with one record per 32-bit lane: no kernel needs a transposition or a horizontal sum,
//! and every kernel reads the bytes from front to back. Groups come in pairs (32 records), so a kernel may always
//! process two groups at once. Padding is zero and so adds nothing to an inner product.
//!
//! Out of scope: who owns the lines ([`crate::gallery`]), files.

#![expect(clippy::indexing_slicing, reason = "numeric code; offsets follow from the geometry and are checked by slices")]

use zeroize::DefaultIsZeroes;

/// Records in a group: the columns of one AMX tile.
pub const GROUP_RECORDS: usize = 16;
/// Records in a pair of groups, the unit in which storage grows and kernels work.
pub const PAIR_RECORDS: usize = 2 * GROUP_RECORDS;
/// Coordinates in a tile.
pub const TILE_COORDINATES: usize = 64;
/// Lines in one byte plane of a tile.
pub const PLANE_LINES: usize = 16;
/// Lines in a tile: the low plane, then the high plane.
pub const TILE_LINES: usize = 2 * PLANE_LINES;
/// Coordinates that one line holds of each record.
pub(super) const QUAD: usize = 4;

/// 64 bytes on a cache-line boundary, the unit of stored bytes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

impl Line {
    /// A line of zeros.
    pub const ZERO: Self = Self([0; 64]);

    /// The two halves.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn halves(&self) -> [&[u8; 32]; 2] {
        let (left, right) = self.0.as_chunks::<32>().0.split_at(1);
        [&left[0], &right[0]]
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::ZERO
    }
}

impl DefaultIsZeroes for Line {}

/// The geometry of a gallery whose records have one given length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    record_len: usize,
    tiles: usize,
}

impl Layout {
    /// The geometry for records of `record_len` words.
    pub fn new(record_len: usize) -> Self {
        Self { record_len, tiles: record_len.div_ceil(TILE_COORDINATES) }
    }

    /// Words in a record.
    pub fn record_len(&self) -> usize {
        self.record_len
    }

    /// Tiles of 64 coordinates in a record, the last one padded with zeros.
    pub fn tiles(&self) -> usize {
        self.tiles
    }

    /// Lines of one group of 16 records.
    pub fn group_lines(&self) -> usize {
        self.tiles * TILE_LINES
    }

    /// Lines of a pair of groups, 32 records.
    pub fn pair_lines(&self) -> usize {
        2 * self.group_lines()
    }

    /// Lines that `records` records occupy, with padding to whole pairs.
    pub fn lines(&self, records: usize) -> usize {
        records.div_ceil(PAIR_RECORDS) * self.pair_lines()
    }

    /// Writes a record into `slot` of `lines`.
    ///
    /// # Panics
    /// If the record has another length than the layout, or the slot lies beyond the lines: errors of the caller.
    pub fn write(&self, lines: &mut [Line], slot: usize, record: &[u16]) {
        assert_eq!(record.len(), self.record_len, "a record has the length of its gallery");
        let group = self.group_mut(lines, slot);
        let at = QUAD * (slot % GROUP_RECORDS);
        for (tile, coordinates) in group.chunks_exact_mut(TILE_LINES).zip(record.chunks(TILE_COORDINATES)) {
            let (low, high) = tile.split_at_mut(PLANE_LINES);
            for ((low, high), quad) in low.iter_mut().zip(high).zip(coordinates.chunks(QUAD)) {
                for (i, word) in quad.iter().enumerate() {
                    [low.0[at + i], high.0[at + i]] = word.to_le_bytes();
                }
            }
        }
    }

    /// Reads the record in `slot` back.
    ///
    /// # Panics
    /// If the slot lies beyond the lines.
    pub fn read(&self, lines: &[Line], slot: usize) -> Vec<u16> {
        let start = slot / GROUP_RECORDS * self.group_lines();
        let group = &lines[start..start + self.group_lines()];
        let at = QUAD * (slot % GROUP_RECORDS);
        let mut record = Vec::with_capacity(self.tiles * TILE_COORDINATES);
        for tile in group.chunks_exact(TILE_LINES) {
            let (low, high) = tile.split_at(PLANE_LINES);
            for (low, high) in low.iter().zip(high) {
                record.extend((at..at + QUAD).map(|i| u16::from_le_bytes([low.0[i], high.0[i]])));
            }
        }
        record.truncate(self.record_len);
        record
    }

    /// Overwrites every byte of the record in `slot` with zero.
    ///
    /// # Panics
    /// If the slot lies beyond the lines.
    pub fn erase(&self, lines: &mut [Line], slot: usize) {
        let at = QUAD * (slot % GROUP_RECORDS);
        for line in self.group_mut(lines, slot) {
            line.0[at..at + QUAD].fill(0);
        }
    }

    fn group_mut<'a>(&self, lines: &'a mut [Line], slot: usize) -> &'a mut [Line] {
        let start = slot / GROUP_RECORDS * self.group_lines();
        &mut lines[start..start + self.group_lines()]
    }
}

/// Consecutive records that lie in one piece of memory: what a kernel works on. The lines may belong to a gallery in
/// memory or to a mapped file.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    layout: Layout,
    lines: &'a [Line],
    records: usize,
}

impl<'a> Run<'a> {
    /// The first `records` records in `lines`.
    ///
    /// # Panics
    /// If there are fewer lines than the records and their padding need.
    pub fn new(layout: Layout, lines: &'a [Line], records: usize) -> Self {
        Self { layout, lines: &lines[..layout.lines(records)], records }
    }

    /// The geometry of the lines.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Records in the run, without padding.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Pairs of groups in the run, the last one padded.
    pub fn pairs(&self) -> usize {
        self.records.div_ceil(PAIR_RECORDS)
    }

    /// The two groups of `pair`, cut to the tiles `tiles`.
    pub(super) fn pair(&self, pair: usize, tiles: &std::ops::Range<usize>) -> [&'a [Line]; 2] {
        let cut = tiles.start * TILE_LINES..tiles.end * TILE_LINES;
        [2 * pair, 2 * pair + 1].map(|group| &self.lines[group * self.layout.group_lines()..][cut.clone()])
    }
}
