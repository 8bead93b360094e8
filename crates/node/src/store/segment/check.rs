//! The files as a start finds them: every share in use must be whole, and no other may be left.
//!
//! The shares are read with ordinary calls before they are mapped: a file that is too short or a sector that cannot be read is
//! then an error that names the file, not a signal. All cores work on it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use mpc::gallery::Gallery;
use mpc::kernel::layout::GROUP_RECORDS;
use types::profile::Profile;
use types::{NodeId, limits};
use zeroize::Zeroizing;

use super::format::{self, ENTRY, Geometry, HEADER, MAGIC, State, VERSION};
use super::{Files, Slots};
use crate::Error;

/// Bytes that one thread reads at a time.
const PIECE: usize = 1 << 20;

/// What lies in a segment, as its index says.
struct Found {
    /// Places in use, in order, with their checksums.
    used: Vec<(usize, u32)>,
    /// Slots that are not free, though nobody names them.
    orphans: Vec<u32>,
}

impl Slots {
    fn is_used(&self, slot: u32) -> bool {
        slot < self.len && self.holes.binary_search(&slot).is_err() || self.prepared.contains(&slot)
    }

    /// Slots up to the last one that is in use.
    fn end(&self) -> usize {
        let prepared = self.prepared.iter().map(|slot| *slot as usize + 1).max().unwrap_or(0);
        prepared.max(self.len as usize)
    }
}

impl Files {
    pub(super) fn new(root: &Path, node: NodeId, profile: &Profile, epoch: u64) -> Self {
        let geometry = Geometry::new(node, profile, epoch);
        let gallery = Gallery::view(geometry.layout.record_len(), geometry.records);
        let above = root.join(profile.id.as_str());
        Self {
            epoch,
            directory: if epoch == 0 { above } else { above.join(format!("e{epoch:06}")) },
            geometry,
            most_new: limits::BATCH_OPERATIONS.min(limits::BATCH_PROBE_ROWS / profile.matching.probe_rows().max(1)),
            gallery: Arc::new(RwLock::new(gallery)),
        }
    }

    pub(super) fn open(root: &Path, node: NodeId, profile: &Profile, epoch: u64, slots: &Slots) -> Result<Self, Error> {
        let began = Instant::now();
        let files = Self::new(root, node, profile, epoch);
        fs::create_dir_all(&files.directory).map_err(Error::io(&files.directory))?;
        let needed = files.geometry.segments(slots.end());
        let mut orphans = BTreeSet::new();
        for segment in 0.. {
            match files.whole(segment) {
                // Segments beyond were never in use, or are not any more. One that is not whole was never written to.
                Err(_) if segment >= needed => break,
                whole => whole?,
            }
            let found = files.scan(segment, slots)?;
            files.check(segment, &found.used)?;
            orphans.extend(found.orphans);
            let map = files.map(segment)?;
            map.populate(found.used.last().map_or(0, |(place, _)| files.geometry.layout.lines(place + 1)));
            files.write().lend(map);
        }
        files.write().admit_all(slots.len as usize, slots.holes.iter().copied());
        files.erase_leftovers(slots, orphans)?;
        files.write().keep_blocks(needed as usize);
        files.remove_from(needed as usize)?;
        tracing::info!(
            profile = profile.id.as_str(),
            records = files.read().active(),
            slots = slots.len,
            milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "every stored share holds"
        );
        Ok(files)
    }

    /// As [`super::Segments::verify`].
    pub(super) fn verify(&self, slots: &Slots) -> Result<u64, Error> {
        let mut shares = 0;
        for segment in 0..self.geometry.segments(slots.end()) {
            self.whole(segment)?;
            let found = self.scan(segment, slots)?;
            self.check(segment, &found.used)?;
            shares += found.used.len() as u64;
        }
        Ok(shares)
    }

    /// Whether both files have their length and the header is this profile's.
    fn whole(&self, segment: u32) -> Result<(), Error> {
        let (lines, index) = (self.lines_path(segment), self.index_path(segment));
        for (path, bytes) in [(&lines, self.geometry.lines_bytes()), (&index, self.geometry.index_bytes())] {
            let what = match fs::metadata(path) {
                Ok(found) if found.len() == bytes => continue,
                Ok(found) => format!("it has {} bytes instead of {bytes}", found.len()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "it is missing".to_owned(),
                Err(error) => return Err(Error::Io { path: path.clone(), source: error }),
            };
            return Err(Error::Damaged { path: path.clone(), what });
        }
        let mut header = [0u8; HEADER];
        super::read_at(&index, &mut header, 0)?;
        if header.first_chunk() != Some(MAGIC) {
            return Err(Error::Damaged { path: index, what: "it is not the index of a segment".to_owned() });
        }
        let found = u16::from_le_bytes([header[8], header[9]]);
        if found > VERSION {
            return Err(Error::NewerStore { path: index, found, known: VERSION });
        }
        if header != self.geometry.header {
            let what = "its header is for another node, profile or epoch, or altered".to_owned();
            return Err(Error::Damaged { path: index, what });
        }
        Ok(())
    }

    /// Reads the index of a segment.
    fn scan(&self, segment: u32, slots: &Slots) -> Result<Found, Error> {
        let mut index = vec![0; ENTRY * self.geometry.records];
        super::read_at(&self.index_path(segment), &mut index, HEADER as u64)?;
        let mut found = Found { used: Vec::new(), orphans: Vec::new() };
        for (place, entry) in index.as_chunks().0.iter().enumerate() {
            let slot = self.geometry.slot(segment, place);
            match (State::read(entry, slot), slots.is_used(slot)) {
                (State::Kept(entry), true) => found.used.push((place, entry.checksum)),
                (state, true) => return Err(self.damaged_share(slot, state)),
                (State::Free, false) => {}
                (_, false) => found.orphans.push(slot),
            }
        }
        Ok(found)
    }

    /// Reads all shares in use of a segment.
    fn check(&self, segment: u32, used: &[(usize, u32)]) -> Result<(), Error> {
        let path = self.lines_path(segment);
        let file = File::open(&path).map_err(Error::io(&path))?;
        let places = (PIECE / self.geometry.group_bytes()).max(1) * GROUP_RECORDS;
        let pieces: Vec<_> = used.chunk_by(|(one, _), (next, _)| one / places == next / places).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.check_piece(&file, segment, piece)?;
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pieces.len());
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let broken = |_| Err(Error::Internal { what: "a check of shares ends" });
            others.into_iter().fold(work(), |so_far, thread| so_far.and(thread.join().unwrap_or_else(broken)))
        })
    }

    fn check_piece(&self, file: &File, segment: u32, used: &[(usize, u32)]) -> Result<(), Error> {
        let group_bytes = self.geometry.group_bytes();
        let (Some((first, _)), Some((last, _))) = (used.first(), used.last()) else { return Ok(()) };
        let (first, last) = (first / GROUP_RECORDS, last / GROUP_RECORDS);
        let mut bytes = Zeroizing::new(vec![0; (last - first + 1) * group_bytes]);
        let path = || self.lines_path(segment);
        file.read_exact_at(&mut bytes, (first * group_bytes) as u64).map_err(|e| Error::io(path())(e))?;
        let mut record = Zeroizing::new(Vec::with_capacity(group_bytes / GROUP_RECORDS));
        for (place, checksum) in used {
            let start = (place / GROUP_RECORDS - first) * group_bytes;
            format::record_bytes(bytes.get(start..start + group_bytes).unwrap_or_default(), *place, &mut record);
            if crc32c::crc32c(&record) != *checksum {
                let what =
                    format!("the checksum does not hold for the share in slot {}", self.geometry.slot(segment, *place));
                return Err(self.damaged(segment, what));
            }
        }
        Ok(())
    }

    /// Overwrites what a crash has left: shares that nobody names, shares that were about to be overwritten, and those that lie
    /// in the slots that come next although their index entry never reached the disk.
    fn erase_leftovers(&self, slots: &Slots, mut leftovers: BTreeSet<u32>) -> Result<(), Error> {
        let (free, blocks) = {
            let gallery = self.read();
            let free = gallery.free_slots().filter(|slot| !slots.prepared.contains(slot)).take(self.most_new);
            (free.collect::<Vec<u32>>(), gallery.blocks())
        };
        let mut group = Zeroizing::new(vec![0; self.geometry.group_bytes()]);
        let mut record = Zeroizing::new(Vec::new());
        for &slot in free.iter().chain(&slots.erasures) {
            let (segment, place) = self.geometry.place(slot);
            if segment as usize >= blocks || slots.is_used(slot) {
                continue;
            }
            let position = place / GROUP_RECORDS * group.len();
            super::read_at(&self.lines_path(segment), &mut group, position as u64)?;
            format::record_bytes(&group, place, &mut record);
            if record.iter().any(|byte| *byte != 0) {
                leftovers.insert(slot);
            }
        }
        if !leftovers.is_empty() {
            tracing::info!(directory = %self.directory.display(), shares = leftovers.len(), "erase shares that are not in use");
        }
        self.erase(leftovers)
    }
}
