//! The records that a node searches: shares of templates, kept in the layout that the kernels read.
//!
//! Storage grows block by block, so a push never moves records that are already there; within a block the records
//! follow [`Layout`]. A masked record has all bytes zero and its usable bit clear, for good: its slot is never given
//! away again, so slots stay valid names for records.
//!
//! In scope: placing, erasing and reading back records. Out of scope: inner products ([`crate::kernel`]), files and
//! which person a slot belongs to (the node).

#![expect(clippy::indexing_slicing, reason = "slots are checked against the length at each entry point")]

use std::fmt;
use std::ops::Range;

use crate::kernel::layout::{Layout, Line, PAIR_RECORDS, Run};
use crate::kernel::system::prefer_large_pages;

/// Least records in a block, so that a kernel can reuse the probe bytes that it brought into the cache.
const MIN_BLOCK_RECORDS: usize = 512;
/// A block grows in powers of two of the records above for as long as it stays within this size.
const BLOCK_BYTES: usize = 32 << 20;

/// Records of one length, in slots counted from 0 in push order.
pub struct Gallery {
    layout: Layout,
    block_records: usize,
    blocks: Vec<Vec<Line>>,
    usable: Vec<u64>,
    len: usize,
}

impl Gallery {
    /// An empty gallery for records of `record_len` words.
    pub fn new(record_len: usize) -> Self {
        let layout = Layout::new(record_len);
        Self { layout, block_records: block_records(layout), blocks: Vec::new(), usable: Vec::new(), len: 0 }
    }

    /// Stores a record and returns its slot.
    ///
    /// # Panics
    /// If the record has another length than the gallery, or 2^32 records are stored: errors of the caller.
    pub fn push(&mut self, record: &[u16]) -> u32 {
        let slot = u32::try_from(self.len).expect("a gallery holds fewer than 2^32 records");
        assert_eq!(record.len(), self.record_len(), "a record has the length of its gallery");
        let place = self.len % self.block_records;
        if place == 0 {
            // Reserved whole, so that it never moves; only pages that records touch become resident.
            let mut block = Vec::with_capacity(self.layout.lines(self.block_records));
            prefer_large_pages(&mut block);
            self.blocks.push(block);
        }
        if let Some(block) = self.blocks.last_mut() {
            if place.is_multiple_of(PAIR_RECORDS) {
                block.resize(block.len() + self.layout.pair_lines(), Line::ZERO);
            }
            self.layout.write(block, place, record);
        }
        if self.len.is_multiple_of(64) {
            self.usable.push(0);
        }
        self.usable[self.len / 64] |= 1 << (self.len % 64);
        self.len += 1;
        slot
    }

    /// Zeroes the record's bytes and clears its usable bit: it never matches again. Harmless when repeated, and for
    /// a slot that does not exist.
    pub fn mask(&mut self, slot: u32) {
        let slot = slot as usize;
        if slot < self.len {
            self.usable[slot / 64] &= !(1 << (slot % 64));
            self.layout.erase(&mut self.blocks[slot / self.block_records], slot % self.block_records);
        }
    }

    /// Whether the slot was masked, or never used.
    pub fn is_masked(&self, slot: u32) -> bool {
        let slot = slot as usize;
        self.usable.get(slot / 64).is_none_or(|word| word >> (slot % 64) & 1 == 0)
    }

    /// One bit per slot, set where the record takes part in a search: bit `j % 64` of word `j / 64` for slot `j`.
    /// Bits past the length are clear.
    pub fn usable_words(&self) -> &[u64] {
        &self.usable
    }

    /// Slots given out, masked ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no record was ever stored.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Words in each record.
    pub fn record_len(&self) -> usize {
        self.layout.record_len()
    }

    /// Bytes of memory that hold records and usable bits, padding included.
    pub fn resident_bytes(&self) -> usize {
        self.blocks.iter().map(|block| size_of_val(block.as_slice())).sum::<usize>() + size_of_val(self.usable.as_slice())
    }

    /// The words in a slot; all zero once masked.
    ///
    /// # Panics
    /// If no such slot was given out.
    pub fn record(&self, slot: u32) -> Vec<u16> {
        let slot = slot as usize;
        assert!(slot < self.len, "slot {slot} of {} records", self.len);
        self.layout.read(&self.blocks[slot / self.block_records], slot % self.block_records)
    }

    /// The slots of a range as runs of consecutive memory, in order.
    ///
    /// # Panics
    /// If the range does not start at a multiple of 64, or ends past the last record.
    pub fn runs(&self, slots: Range<usize>) -> impl Iterator<Item = Run<'_>> {
        assert!(slots.start.is_multiple_of(64), "a range of slots starts at a multiple of 64");
        assert!(slots.end <= self.len, "slots end at {} and the gallery has {}", slots.end, self.len);
        let mut start = slots.start;
        std::iter::from_fn(move || {
            if start >= slots.end {
                return None;
            }
            let (block, place) = (start / self.block_records, start % self.block_records);
            let records = (self.block_records - place).min(slots.end - start);
            start += records;
            let lines = &self.blocks[block][self.layout.lines(place)..];
            Some(Run::new(self.layout, lines, records))
        })
    }
}

impl fmt::Debug for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gallery").field("record_len", &self.record_len()).field("len", &self.len).finish_non_exhaustive()
    }
}

fn block_records(layout: Layout) -> usize {
    let mut records = MIN_BLOCK_RECORDS;
    while records < 1 << 16 && 2 * size_of::<Line>() * layout.lines(records) <= BLOCK_BYTES {
        records *= 2;
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seed: usize, len: usize) -> Vec<u16> {
        (0..len).map(|i| u16::try_from((seed * 40_503 + i * 25_173) % 65_521).unwrap()).collect()
    }

    #[test]
    fn records_come_back_from_their_slots() {
        for len in [2, 62, 64, 66, 512, 742] {
            let mut gallery = Gallery::new(len);
            for slot in 0..70u32 {
                assert_eq!(gallery.push(&record(slot as usize, len)), slot);
            }
            for slot in 0..70u32 {
                assert_eq!(gallery.record(slot), record(slot as usize, len), "slot {slot}, length {len}");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow")]
    fn records_come_back_across_blocks() {
        let (len, count) = (18_000, MIN_BLOCK_RECORDS + 3);
        let mut gallery = Gallery::new(len);
        for slot in 0..count {
            gallery.push(&record(slot, len));
        }
        assert_eq!(gallery.blocks.len(), 2);
        for slot in [0, 1, 511, 512, 514] {
            assert_eq!(gallery.record(slot), record(slot as usize, len), "slot {slot}");
        }
        let runs: Vec<usize> = gallery.runs(448..count).map(|run| run.records()).collect();
        assert_eq!(runs, [64, 3]);
    }

    #[test]
    fn a_masked_record_is_gone_and_its_neighbours_stay() {
        let mut gallery = Gallery::new(66);
        for slot in 0..40 {
            gallery.push(&record(slot, 66));
        }
        gallery.mask(17);
        gallery.mask(17);
        gallery.mask(4_000);
        assert!(gallery.is_masked(17) && !gallery.is_masked(16) && gallery.is_masked(40) && gallery.is_masked(4_000));
        assert_eq!(gallery.usable_words(), [(1 << 40) - 1 - (1 << 17)]);
        assert_eq!(gallery.record(17), vec![0; 66]);
        for slot in [1, 16, 18, 33] {
            assert_eq!(gallery.record(slot), record(slot as usize, 66));
        }
        assert_eq!(gallery.push(&record(40, 66)), 40);
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow")]
    fn storage_is_two_bytes_per_coordinate() {
        let mut gallery = Gallery::new(512);
        for slot in 0..3_200 {
            gallery.push(&record(slot, 512));
        }
        assert_eq!(gallery.resident_bytes(), 3_200 * 1_024 + 3_200 / 8);
    }
}
