//! The records that a node searches: shares of templates, kept in the layout that the kernels read.
//!
//! The records lie in blocks of equal size; within a block they follow [`Layout`]. There are two kinds of gallery. One owns its
//! memory: it grows by [`Gallery::push`], and a push never moves records that are already there. The other is a view: whoever
//! keeps the bytes, such as a mapped file, lends whole blocks with [`Gallery::lend`] and says which slots count.
//!
//! A masked slot has its usable bit clear and takes no part in a search. In a gallery that owns its memory its bytes are zero as
//! well; behind a view that is the lender's duty. Whether a slot is given to another record later is for the caller to decide.
//!
//! In scope: placing, masking and reading back records. Out of scope: inner products ([`crate::kernel`]), files and
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

/// Lines that somebody else keeps, such as a mapped file.
type Lent = Box<dyn AsRef<[Line]> + Send + Sync>;

enum Block {
    Owned(Vec<Line>),
    Lent(Lent),
}

impl Block {
    fn lines(&self) -> &[Line] {
        match self {
            Self::Owned(lines) => lines,
            Self::Lent(lines) => (**lines).as_ref(),
        }
    }
}

/// Records of one length, in slots counted from 0.
pub struct Gallery {
    layout: Layout,
    block_records: usize,
    blocks: Vec<Block>,
    usable: Vec<u64>,
    len: usize,
    active: usize,
}

impl Gallery {
    /// An empty gallery in memory for records of `record_len` words.
    pub fn new(record_len: usize) -> Self {
        Self::view(record_len, block_records(Layout::new(record_len)))
    }

    /// An empty gallery for records of `record_len` words in blocks of `block_records`, to be lent.
    ///
    /// # Panics
    /// If a block is not a positive multiple of 64 records: an error of the caller.
    pub fn view(record_len: usize, block_records: usize) -> Self {
        assert!(block_records > 0 && block_records.is_multiple_of(64), "a block is a multiple of 64 records");
        let layout = Layout::new(record_len);
        Self { layout, block_records, blocks: Vec::new(), usable: Vec::new(), len: 0, active: 0 }
    }

    /// Stores a record after the last slot and returns its slot.
    ///
    /// # Panics
    /// If the record has another length than the gallery, the gallery is a view, or 2^32 records are stored: errors of the caller.
    pub fn push(&mut self, record: &[u16]) -> u32 {
        let slot = u32::try_from(self.len).expect("a gallery holds fewer than 2^32 records");
        assert_eq!(record.len(), self.record_len(), "a record has the length of its gallery");
        let place = self.len % self.block_records;
        if place == 0 {
            // Reserved whole, so that it never moves; only pages that records touch become resident.
            let mut block = Vec::with_capacity(self.layout.lines(self.block_records));
            prefer_large_pages(&mut block);
            self.blocks.push(Block::Owned(block));
        }
        match self.blocks.last_mut() {
            Some(Block::Owned(block)) => {
                if place.is_multiple_of(PAIR_RECORDS) {
                    block.resize(block.len() + self.layout.pair_lines(), Line::ZERO);
                }
                self.layout.write(block, place, record);
            }
            Some(Block::Lent(_)) | None => panic!("records are pushed into a gallery that owns its memory"),
        }
        self.admit(slot);
        slot
    }

    /// Adds a block to a view. Its slots take part in searches when [`Self::admit`] names them.
    ///
    /// # Panics
    /// If the lines are not those of one block: an error of the caller.
    pub fn lend(&mut self, lines: impl AsRef<[Line]> + Send + Sync + 'static) {
        assert_eq!(lines.as_ref().len(), self.layout.lines(self.block_records), "lent lines are one block");
        self.blocks.push(Block::Lent(Box::new(lines)));
    }

    /// Gives back the lent blocks after the first `blocks`, except those in which slots count.
    pub fn keep_blocks(&mut self, blocks: usize) {
        self.blocks.truncate(blocks.max(self.len.div_ceil(self.block_records)));
    }

    /// Exchanges the bytes of all records with those of `other`; which slots count stays as it is in both.
    ///
    /// # Panics
    /// If `other` has records of another length or in other blocks, or too few blocks: errors of the caller.
    pub fn exchange_blocks(&mut self, other: &mut Self) {
        assert!(self.layout == other.layout && self.block_records == other.block_records, "galleries are of one layout");
        let fits = |gallery: &Self, blocks: &[Block]| gallery.len.div_ceil(gallery.block_records) <= blocks.len();
        assert!(fits(self, &other.blocks) && fits(other, &self.blocks), "every slot lies in a block");
        std::mem::swap(&mut self.blocks, &mut other.blocks);
    }

    /// Blocks in memory or lent.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// From now on the record in `slot` takes part in searches. Slots between the last one and this one are masked. Harmless
    /// when repeated.
    ///
    /// # Panics
    /// If no block holds the slot: an error of the caller.
    pub fn admit(&mut self, slot: u32) {
        let slot = slot as usize;
        assert!(slot < self.blocks.len() * self.block_records, "slot {slot} lies in no block");
        self.len = self.len.max(slot + 1);
        self.usable.resize(self.len.div_ceil(64), 0);
        let bit = 1 << (slot % 64);
        self.active += usize::from(self.usable[slot / 64] & bit == 0);
        self.usable[slot / 64] |= bit;
    }

    /// Admits the slots below `len`, except `masked` ones.
    ///
    /// # Panics
    /// If no block holds the slots: an error of the caller.
    pub fn admit_all(&mut self, len: usize, masked: impl IntoIterator<Item = u32>) {
        assert!(len <= self.blocks.len() * self.block_records, "{len} slots lie in the blocks");
        self.usable.clear();
        self.usable.resize(len.div_ceil(64), u64::MAX);
        if let (Some(last), odd @ 1..) = (self.usable.last_mut(), len % 64) {
            *last = (1 << odd) - 1;
        }
        (self.len, self.active) = (len, len);
        for slot in masked {
            self.mask(slot);
        }
    }

    /// Clears the slot's usable bit, so that it never matches, and zeroes the record's bytes if this gallery owns them. Harmless
    /// when repeated, and for a slot that does not exist.
    pub fn mask(&mut self, slot: u32) {
        let slot = slot as usize;
        if slot < self.len {
            let bit = 1 << (slot % 64);
            self.active -= usize::from(self.usable[slot / 64] & bit != 0);
            self.usable[slot / 64] &= !bit;
            if let Block::Owned(block) = &mut self.blocks[slot / self.block_records] {
                self.layout.erase(block, slot % self.block_records);
            }
        }
    }

    /// Drops the masked slots after the last record, and the blocks that only they lie in.
    pub fn trim(&mut self) {
        while let Some(0) = self.usable.last() {
            self.usable.pop();
        }
        let last = self.usable.last().map_or(0, |word| 64 - word.leading_zeros() as usize);
        self.len = self.usable.len().saturating_sub(1) * 64 + last;
        let blocks = self.len.div_ceil(self.block_records);
        self.blocks.truncate(blocks);
        if let Some(Block::Owned(block)) = self.blocks.last_mut() {
            block.truncate(self.layout.lines(self.len - (blocks - 1) * self.block_records));
        }
    }

    /// Slots without a record, lowest first: masked ones, then those after the last.
    pub fn free_slots(&self) -> impl Iterator<Item = u32> {
        let beyond = u32::try_from(64 * self.usable.len()).unwrap_or(u32::MAX);
        self.words().flat_map(|(first, word)| bits(!word).map(move |bit| first + bit)).chain(beyond..=u32::MAX)
    }

    /// Slots with a record, highest first.
    pub fn active_slots_backwards(&self) -> impl Iterator<Item = u32> {
        self.words().rev().flat_map(|(first, word)| bits_backwards(word).map(move |bit| first + bit))
    }

    /// The usable words, each with its first slot.
    fn words(&self) -> impl DoubleEndedIterator<Item = (u32, u64)> {
        self.usable.iter().enumerate().map(|(index, word)| (u32::try_from(64 * index).unwrap_or(u32::MAX), *word))
    }

    /// Records that take part in searches.
    pub fn active(&self) -> usize {
        self.active
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

    /// Slots up to the last record, masked ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Words in each record.
    pub fn record_len(&self) -> usize {
        self.layout.record_len()
    }

    /// Bytes of memory that hold records and usable bits, padding included.
    pub fn resident_bytes(&self) -> usize {
        size_of::<Line>() * self.layout.lines(self.len) + size_of_val(self.usable.as_slice())
    }

    /// The words in a slot; all zero once masked.
    ///
    /// # Panics
    /// If no such slot was given out.
    pub fn record(&self, slot: u32) -> Vec<u16> {
        let slot = slot as usize;
        assert!(slot < self.len, "slot {slot} of {} records", self.len);
        self.layout.read(self.blocks[slot / self.block_records].lines(), slot % self.block_records)
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
            let lines = &self.blocks[block].lines()[self.layout.lines(place)..];
            Some(Run::new(self.layout, lines, records))
        })
    }
}

impl fmt::Debug for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gallery").field("record_len", &self.record_len()).field("len", &self.len).finish_non_exhaustive()
    }
}

/// The set bits, lowest first.
fn bits(word: u64) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)))
        .take_while(|word| *word != 0)
        .map(u64::trailing_zeros)
}

/// The set bits, highest first.
fn bits_backwards(word: u64) -> impl Iterator<Item = u32> {
    bits(word.reverse_bits()).map(|bit| 63 - bit)
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
    fn galleries_exchange_their_bytes_and_keep_their_slots() {
        let layout = Layout::new(66);
        let view = |seed: usize| {
            let mut view = Gallery::view(66, 64);
            let mut lines = vec![Line::ZERO; layout.lines(64)];
            (0..64).for_each(|place| layout.write(&mut lines, place, &record(seed + place, 66)));
            view.lend(Kept(lines));
            view
        };
        let (mut one, mut other) = (view(0), view(1000));
        one.admit(5);
        one.exchange_blocks(&mut other);
        assert_eq!((one.len(), one.active(), one.record(5)), (6, 1, record(1005, 66)));
        assert!(other.is_empty() && other.blocks() == 1);
    }

    /// A block that tests keep for a view.
    struct Kept(Vec<Line>);

    impl AsRef<[Line]> for Kept {
        fn as_ref(&self) -> &[Line] {
            &self.0
        }
    }

    #[test]
    fn a_view_reads_lent_blocks_and_counts_the_slots_it_is_told() {
        let layout = Layout::new(66);
        let mut view = Gallery::view(66, 64);
        for block in 0..2 {
            let mut lines = vec![Line::ZERO; layout.lines(64)];
            for place in 0..64 {
                layout.write(&mut lines, place, &record(64 * block + place, 66));
            }
            view.lend(Kept(lines));
        }
        assert!(view.is_empty() && view.free_slots().take(3).eq(0..3));
        view.admit(2);
        view.admit(70);
        view.admit(70);
        assert_eq!((view.len(), view.active(), view.blocks()), (71, 2, 2));
        assert_eq!((view.record(2), view.record(70)), (record(2, 66), record(70, 66)));
        assert!(view.is_masked(0) && !view.is_masked(70) && view.is_masked(71));
        assert_eq!(view.runs(0..71).map(|run| run.records()).collect::<Vec<_>>(), [64, 7]);
        view.mask(70);
        assert_eq!(view.record(70), record(70, 66), "the bytes are the lender's");
        view.trim();
        assert_eq!((view.len(), view.active(), view.blocks()), (3, 1, 1));

        view.admit_all(64, [5, 9]);
        assert_eq!((view.len(), view.active()), (64, 62));
        assert!(view.free_slots().take(4).eq([5, 9, 64, 65]));
        assert!(view.active_slots_backwards().take(2).eq([63, 62]) && view.active_slots_backwards().count() == 62);
        view.admit_all(10, 0..10);
        assert_eq!((view.active(), view.free_slots().next()), (0, Some(0)));
        view.trim();
        assert!(view.is_empty() && view.blocks() == 0 && view.usable_words().is_empty());
    }

    #[test]
    fn a_trimmed_gallery_goes_on_where_its_last_record_is() {
        let mut gallery = Gallery::new(66);
        for slot in 0..70 {
            gallery.push(&record(slot, 66));
        }
        (33..70).for_each(|slot| gallery.mask(slot));
        gallery.trim();
        assert_eq!((gallery.len(), gallery.active()), (33, 33));
        for slot in 33..100 {
            assert_eq!(gallery.push(&record(slot, 66)), u32::try_from(slot).unwrap());
        }
        assert!((0..100).all(|slot| gallery.record(slot) == record(slot as usize, 66)));
        (0..100).for_each(|slot| gallery.mask(slot));
        gallery.trim();
        assert_eq!((gallery.len(), gallery.push(&record(7, 66))), (0, 0));
        assert_eq!(gallery.record(0), record(7, 66));
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
