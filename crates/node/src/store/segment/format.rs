//! Bytes of the two files of a segment; see [`super`] for the tables. Pure: no file is touched here.

use mpc::kernel::layout::{GROUP_RECORDS, Layout, Line};
use types::profile::Profile;
use types::{NodeId, OperationId};

/// Version of the file format.
pub const VERSION: u16 = 2;
pub(super) const MAGIC: &[u8; 8] = b"TCSHARES";
/// Bytes before the first entry.
pub(super) const HEADER: usize = 64;
/// Bytes of an entry.
pub(super) const ENTRY: usize = 32;
/// A segment holds as many records, a power of two between these, as this many bytes hold.
const SEGMENT_BYTES: usize = 64 << 20;
const RECORDS: std::ops::RangeInclusive<usize> = 512..=1 << 16;
/// Bytes of one record in a line.
const PIECE: usize = size_of::<Line>() / GROUP_RECORDS;

/// What all segments of a profile at one node have in common.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    pub(super) layout: Layout,
    /// Records in a segment.
    pub(super) records: usize,
    pub(super) profile_version: u16,
    pub(super) header: [u8; HEADER],
}

impl Geometry {
    pub(super) fn new(node: NodeId, profile: &Profile, epoch: u64) -> Self {
        let layout = Layout::new(profile.matching.record_len());
        let mut records = *RECORDS.start();
        while records < *RECORDS.end() && 2 * size_of::<Line>() * layout.lines(records) <= SEGMENT_BYTES {
            records *= 2;
        }
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&[node.number(), 0]);
        header.extend_from_slice(&word(layout.record_len()));
        header.extend_from_slice(&profile.digest().0);
        header.extend_from_slice(&word(records));
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        header.extend_from_slice(&epoch.to_le_bytes());
        let header = header.try_into().unwrap_or([0; HEADER]);
        Self { layout, records, profile_version: profile.version, header }
    }

    /// Length of a `.seg` file.
    pub(super) fn lines_bytes(&self) -> u64 {
        (self.layout.lines(self.records) * size_of::<Line>()) as u64
    }

    /// Length of an `.idx` file.
    pub(super) fn index_bytes(&self) -> u64 {
        (HEADER + ENTRY * self.records) as u64
    }

    /// Bytes of one group of records.
    pub(super) fn group_bytes(&self) -> usize {
        self.layout.group_lines() * size_of::<Line>()
    }

    /// Where a slot lies: its segment, and its place there.
    pub(super) fn place(&self, slot: u32) -> (u32, usize) {
        let slot = slot as usize;
        (u32::try_from(slot / self.records).unwrap_or(u32::MAX), slot % self.records)
    }

    /// The slot at a place.
    pub(super) fn slot(&self, segment: u32, place: usize) -> u32 {
        u32::try_from(segment as usize * self.records + place).unwrap_or(u32::MAX)
    }

    /// Segments that hold the slots below `slots`.
    pub(super) fn segments(&self, slots: usize) -> u32 {
        u32::try_from(slots.div_ceil(self.records)).unwrap_or(u32::MAX)
    }
}

/// What the index says of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Kept(Entry),
    /// Neither: changed, or torn by a crash.
    Unreadable,
}

/// A record that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) record: OperationId,
    pub(super) profile_version: u16,
    pub(super) checksum: u32,
}

impl Entry {
    pub(super) fn to_bytes(self, slot: u32) -> [u8; ENTRY] {
        let mut bytes = Vec::with_capacity(ENTRY);
        bytes.extend_from_slice(&self.record.0);
        bytes.extend_from_slice(&slot.to_le_bytes());
        bytes.extend_from_slice(&self.profile_version.to_le_bytes());
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend_from_slice(&self.checksum.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.try_into().unwrap_or([0; ENTRY])
    }
}

impl State {
    pub(super) fn read(bytes: &[u8; ENTRY], slot: u32) -> Self {
        if *bytes == [0; ENTRY] {
            return Self::Free;
        }
        // Sixteen, four, two, two, four and four bytes.
        let (record, rest) = bytes.split_first_chunk().unwrap_or((&[0; 16], &[]));
        let (Some(version), Some(checksum)) = (rest.get(4..6), rest.get(8..12)) else { return Self::Unreadable };
        let (Ok(version), Ok(checksum)) = (version.try_into(), checksum.try_into()) else { return Self::Unreadable };
        let entry = Entry {
            record: OperationId(*record),
            profile_version: u16::from_le_bytes(version),
            checksum: u32::from_le_bytes(checksum),
        };
        if entry.to_bytes(slot) == *bytes { Self::Kept(entry) } else { Self::Unreadable }
    }
}

/// A record's bytes in the order in which they lie in its group: of every line, its four.
pub(super) fn record_bytes(group: &[u8], place: usize, bytes: &mut Vec<u8>) {
    bytes.clear();
    let (lines, _) = group.as_chunks::<{ size_of::<Line>() }>();
    for line in lines {
        let (pieces, _) = line.as_chunks::<PIECE>();
        bytes.extend_from_slice(pieces.get(place % GROUP_RECORDS).unwrap_or(&[0; PIECE]));
    }
}

/// CRC-32C of [`record_bytes`].
pub(super) fn checksum(group: &[u8], place: usize) -> u32 {
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(group.len() / GROUP_RECORDS));
    record_bytes(group, place, &mut bytes);
    crc32c::crc32c(&bytes)
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_which_slot_it_is_for() {
        let entry = Entry { record: OperationId([7; 16]), profile_version: 3, checksum: 0x0102_0304 };
        let bytes = entry.to_bytes(5);
        assert_eq!(State::read(&bytes, 5), State::Kept(entry));
        assert_eq!(State::read(&bytes, 6), State::Unreadable);
        assert_eq!(State::read(&[0; ENTRY], 5), State::Free);
        for bit in 0..8 * ENTRY {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(State::read(&changed, 5), State::Unreadable, "bit {bit}");
        }
    }

    #[test]
    fn the_checksum_of_a_record_covers_its_bytes_and_no_other() {
        let layout = Layout::new(70);
        let mut group = vec![Line::ZERO; layout.group_lines()];
        let words = |seed: u16| (0..70u16).map(|i| i.wrapping_mul(40_503) ^ seed).collect::<Vec<_>>();
        for place in 0..GROUP_RECORDS {
            layout.write(&mut group, place, &words(u16::try_from(place).unwrap()));
        }
        let bytes = |group: &[Line]| group.iter().flat_map(|line| line.0).collect::<Vec<u8>>();
        let before: Vec<u32> = (0..16).map(|place| checksum(&bytes(&group), place)).collect();
        layout.write(&mut group, 3, &words(9_000));
        for (place, before) in before.iter().enumerate() {
            assert_eq!(checksum(&bytes(&group), place) == *before, place != 3);
        }
        layout.erase(&mut group, 3);
        let mut zeros = Vec::new();
        record_bytes(&bytes(&group), 3, &mut zeros);
        assert_eq!(zeros, vec![0; 2 * 2 * 64]);
    }
}
