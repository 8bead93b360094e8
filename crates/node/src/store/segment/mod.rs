//! Segment files: this node's shares in the layout that the kernels read, one directory per modality profile, mapped into memory.
//!
//! A segment holds a fixed number of records (the power of two that fits into 64 MiB, at most 65536) in two files of fixed length:
//!
//! - `shares/PROFILE/NNNNNN.seg`: nothing but the records' lines ([`mpc::kernel::layout`]). Slot `s` of the gallery is place
//!   `s % records` of segment `s / records`. A place without a record is zero. The file is sparse: blocks appear as records do.
//! - `shares/PROFILE/NNNNNN.idx`: what makes the lines checkable.
//!
//! | bytes | header of the index | bytes | entry of a place; all zero without a record |
//! |---|---|---|---|
//! | 0..8 | `TCSHARES` | 0..16 | record id (the operation that brought it) |
//! | 8..10 | format version, 2 | 16..20 | slot |
//! | 10 | node | 20..22 | profile version |
//! | 11 | 0 | 22..24 | 1, 0 |
//! | 12..16 | words per record | 24..28 | CRC-32C of the record's bytes, in the order of the `.seg` file |
//! | 16..48 | profile digest | 28..32 | CRC-32C of the bytes before |
//! | 48..52 | records per segment | | |
//! | 52..56 | CRC-32C of the bytes before | | |
//! | 56..64 | epoch of the shares | | |
//!
//! **Reading** during a search goes through read-only maps (`super::map`); **writing** through ordinary calls, so that a full disk
//! is an error and not a signal, while nobody reads: all writes take the gallery exclusively. The whole group of 16 records is
//! written again, its other bytes as they were, so a torn write can harm only the record that was being written.
//!
//! **Which places are in use is the database's knowledge** ([`Slots`]). At start every share in use is read and checked
//! (`check`): the first search would read it anyway, and a node never answers from damaged shares. A share that
//! nobody names is erased.
//!
//! **Trust**: the files are trusted for content. Who changes a share can make its record match nobody, which the node then
//! notices by checksum only if the checksum was not changed with it; nobody learns a template from one node's files.
//!
//! Out of scope: that a disk or file system really overwrites in place (SECURITY.md says what operators must do).

mod check;
mod epochs;
mod format;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use mpc::gallery::Gallery;
use mpc::kernel::layout::{GROUP_RECORDS, Line};
use types::profile::Profile;
use types::{NodeId, OperationId, ProfileId};
use zeroize::Zeroizing;

use super::ShareRef;
use super::map::Mapped;
use crate::Error;
use epochs::Place;
use format::{ENTRY, Entry, Geometry, HEADER, State};

pub use format::VERSION;

/// A share to store.
pub struct NewShare<'a> {
    /// Which profile's files.
    pub profile: &'a ProfileId,
    /// The operation that brought it.
    pub record: OperationId,
    /// Values in stored form.
    pub values: &'a [u16],
}

/// What the database knows of the slots of a profile.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// Slots up to the last record.
    pub len: u32,
    /// Slots below without a record.
    pub holes: Vec<u32>,
    /// Slots that the prepared batch fills.
    pub prepared: Vec<u32>,
    /// Slots whose bytes must still be overwritten.
    pub erasures: Vec<u32>,
}

/// All segment files of one node.
pub struct Segments(BTreeMap<ProfileId, Place>);

/// The files of one profile in one epoch.
struct Files {
    epoch: u64,
    directory: PathBuf,
    geometry: Geometry,
    /// Shares that one batch can bring: so many of the lowest free slots may hold bytes that nobody names after a crash.
    most_new: usize,
    gallery: Arc<RwLock<Gallery>>,
}

/// A record to put into a slot, or nothing, to erase what is there.
struct Change<'a> {
    slot: u32,
    content: Option<Content<'a>>,
}

#[derive(Clone, Copy)]
struct Content<'a> {
    record: OperationId,
    profile_version: u16,
    values: &'a [u16],
}

impl Segments {
    /// Opens the files of `epoch` below `root`, checks every share in use, erases every other one, and maps them.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::NewerStore`], [`Error::OlderStore`], [`Error::Io`].
    pub fn open(
        root: &Path,
        node: NodeId,
        profiles: &[Profile],
        epoch: u64,
        known: &BTreeMap<ProfileId, Slots>,
    ) -> Result<Self, Error> {
        let nothing = Slots::default();
        let open = |profile: &Profile| {
            let place = Place::open(root, node, profile, epoch, known.get(&profile.id).unwrap_or(&nothing))?;
            Ok((profile.id.clone(), place))
        };
        profiles.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Reads every share that `known` says is in use and checks it, changing nothing. Returns how many there are.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::NewerStore`], [`Error::OlderStore`], [`Error::Io`].
    pub fn verify(root: &Path, node: NodeId, profile: &Profile, epoch: u64, known: &Slots) -> Result<u64, Error> {
        Files::new(root, node, profile, epoch).verify(known)
    }

    /// The gallery of `profile`. Only this module and the one writer of the store change it.
    ///
    /// # Errors
    /// [`Error::Internal`] for an unknown profile.
    pub fn gallery(&self, profile: &ProfileId) -> Result<Arc<RwLock<Gallery>>, Error> {
        Ok(Arc::clone(&self.files(profile)?.gallery))
    }

    /// Stores shares in the lowest free slots and makes them durable; no search sees them before [`Self::admit`]. On error none is
    /// in use.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Internal`] for a share of another length or profile.
    pub fn append(&self, shares: &[NewShare<'_>]) -> Result<Vec<u32>, Error> {
        let mut slots = vec![0; shares.len()];
        for profile in shares.iter().map(|share| share.profile).collect::<BTreeSet<_>>() {
            let files = self.files(profile)?;
            let free: Vec<u32> = files.read().free_slots().take(shares.len()).collect();
            let mut ours: Vec<(&mut u32, &NewShare<'_>)> =
                slots.iter_mut().zip(shares).filter(|(_, share)| share.profile == profile).collect();
            for ((slot, _), free) in ours.iter_mut().zip(free) {
                **slot = free;
            }
            let changes: Vec<Change<'_>> = ours.iter().map(|(slot, share)| files.put(**slot, share)).collect();
            self.place(profile)?.change_all_or_none(&changes)?;
        }
        Ok(slots)
    }

    /// As [`Self::append`] in slots from `first` on, which must all be free.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_from(&self, first: u32, shares: &[NewShare<'_>]) -> Result<(), Error> {
        let Some(NewShare { profile, .. }) = shares.first() else { return Ok(()) };
        let files = self.files(profile)?;
        let changes: Vec<Change<'_>> = (first..).zip(shares).map(|(slot, share)| files.put(slot, share)).collect();
        self.place(profile)?.change_all_or_none(&changes)
    }

    /// Stores shares in given slots, for a gallery that is made anew. No search sees them.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(super) fn put_at(&self, profile: &ProfileId, shares: &[(u32, NewShare<'_>)]) -> Result<(), Error> {
        let files = self.files(profile)?;
        let changes: Vec<Change<'_>> = shares.iter().map(|(slot, share)| files.put(*slot, share)).collect();
        self.place(profile)?.change_all_or_none(&changes)
    }

    /// From now on searches meet these records.
    ///
    /// # Errors
    /// [`Error::Internal`] for a slot without a file.
    pub fn admit(&self, profile: &ProfileId, slots: impl IntoIterator<Item = u32>) -> Result<(), Error> {
        let files = self.files(profile)?;
        let mut gallery = files.write();
        for slot in slots {
            if files.geometry.place(slot).0 as usize >= gallery.blocks() {
                return Err(Error::Internal { what: "a record is stored before it is admitted" });
            }
            gallery.admit(slot);
        }
        Ok(())
    }

    /// From now on no search meets these records. Their bytes are for [`Self::erase`].
    ///
    /// # Errors
    /// [`Error::Internal`] for an unknown profile.
    pub fn mask(&self, profile: &ProfileId, slots: impl IntoIterator<Item = u32>) -> Result<(), Error> {
        let files = self.files(profile)?;
        let mut gallery = files.write();
        slots.into_iter().for_each(|slot| gallery.mask(slot));
        Ok(())
    }

    /// Drops the masked slots after the last record, and removes the files that hold only free slots.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn trim(&self, profile: &ProfileId) -> Result<(), Error> {
        self.place(profile)?.trim()
    }

    /// Reads one share and checks it.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn read(&self, share: &ShareRef) -> Result<Zeroizing<Vec<u16>>, Error> {
        loop {
            let files = self.files(&share.profile)?;
            match files.read_share(share.slot) {
                // Another epoch has begun meanwhile, and the files that were read are being erased.
                Err(_) if self.files(&share.profile)?.epoch != files.epoch => {}
                read => return Ok(read?.1),
            }
        }
    }

    /// Copies shares into free slots and makes the copies durable.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn copy(&self, profile: &ProfileId, moves: &[(u32, u32)]) -> Result<(), Error> {
        let files = self.files(profile)?;
        let read = |(from, to): &(u32, u32)| files.read_share(*from).map(|(entry, values)| (*to, entry, values));
        let copies = moves.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        let mut changes = Vec::with_capacity(copies.len());
        for (slot, entry, values) in &copies {
            let Entry { record, profile_version, .. } = *entry;
            changes.push(Change { slot: *slot, content: Some(Content { record, profile_version, values }) });
        }
        self.place(profile)?.change_all_or_none(&changes)
    }

    /// Overwrites shares with zeros and makes that durable. Erasing twice is harmless.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn erase(&self, shares: &[ShareRef]) -> Result<(), Error> {
        for (profile, place) in &self.0 {
            let slots: BTreeSet<u32> = shares.iter().filter(|share| share.profile == *profile).map(|s| s.slot).collect();
            place.erase(&slots)?;
        }
        Ok(())
    }

    /// Bytes of values that a share of `profile` occupies.
    pub fn share_bytes(&self, profile: &ProfileId) -> u64 {
        self.0.get(profile).map_or(0, |place| 2 * place.files().geometry.layout.record_len() as u64)
    }

    /// Shares that one batch can bring, which is also how many move at a time.
    pub(super) fn most_new(&self, profile: &ProfileId) -> Result<usize, Error> {
        Ok(self.files(profile)?.most_new)
    }

    fn files(&self, profile: &ProfileId) -> Result<Arc<Files>, Error> {
        Ok(self.place(profile)?.files())
    }

    fn place(&self, profile: &ProfileId) -> Result<&Place, Error> {
        self.0.get(profile).ok_or(Error::Internal { what: "a share of an unknown profile" })
    }
}

impl Files {
    fn path(&self, segment: u32, extension: &str) -> PathBuf {
        self.directory.join(format!("{segment:06}.{extension}"))
    }

    fn lines_path(&self, segment: u32) -> PathBuf {
        self.path(segment, "seg")
    }

    fn index_path(&self, segment: u32) -> PathBuf {
        self.path(segment, "idx")
    }

    fn read(&self) -> RwLockReadGuard<'_, Gallery> {
        self.gallery.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Gallery> {
        self.gallery.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn put<'a>(&self, slot: u32, share: &NewShare<'a>) -> Change<'a> {
        let content = Content { record: share.record, profile_version: self.geometry.profile_version, values: share.values };
        Change { slot, content: Some(content) }
    }

    fn erase(&self, slots: BTreeSet<u32>) -> Result<(), Error> {
        let changes: Vec<Change<'_>> = slots.into_iter().map(|slot| Change { slot, content: None }).collect();
        self.change(&changes)
    }

    /// Stores records; when that fails half-way, what was written is overwritten again as far as the disk lets it.
    fn change_all_or_none(&self, changes: &[Change<'_>]) -> Result<(), Error> {
        let done = self.change(changes);
        if done.is_err() && self.erase(changes.iter().map(|change| change.slot).collect()).is_err() {
            tracing::warn!("shares that were not stored are erased at the next start");
        }
        done
    }

    /// Makes the changes and makes them durable.
    fn change(&self, changes: &[Change<'_>]) -> Result<(), Error> {
        let record_len = self.geometry.layout.record_len();
        if changes.iter().filter_map(|change| change.content.as_ref()).any(|content| content.values.len() != record_len) {
            return Err(Error::Internal { what: "a share has the length of its profile" });
        }
        let mut touched = BTreeMap::new();
        for change in changes {
            let (segment, place) = self.geometry.place(change.slot);
            let groups: &mut BTreeMap<usize, Vec<&Change<'_>>> = touched.entry(segment).or_default();
            groups.entry(place / GROUP_RECORDS).or_default().push(change);
        }
        let files = {
            let mut gallery = self.write();
            let write = |(segment, groups)| self.change_segment(&mut gallery, segment, &groups);
            touched.into_iter().map(write).collect::<Result<Vec<_>, _>>()?
        };
        // Searches may go on while the disk works: the bytes do not change any more.
        for (path, file) in files.iter().flatten() {
            file.sync_data().map_err(Error::io(path))?;
        }
        Ok(())
    }

    /// Returns the files to be synced. The gallery is there to be borrowed: while it is, nobody reads through a map.
    fn change_segment(
        &self,
        gallery: &mut Gallery,
        segment: u32,
        groups: &BTreeMap<usize, Vec<&Change<'_>>>,
    ) -> Result<[(PathBuf, File); 2], Error> {
        while gallery.blocks() <= segment as usize {
            self.create(gallery)?;
        }
        let open = |path: PathBuf| -> Result<(PathBuf, File), Error> {
            let file = OpenOptions::new().read(true).write(true).open(&path).map_err(Error::io(&path))?;
            Ok((path, file))
        };
        let (lines, index) = (open(self.lines_path(segment))?, open(self.index_path(segment))?);
        for (group, changes) in groups {
            self.change_group(&lines.1, &index.1, *group, changes).map_err(Error::io(&lines.0))?;
        }
        Ok([lines, index])
    }

    fn change_group(&self, lines: &File, index: &File, group: usize, changes: &[&Change<'_>]) -> io::Result<()> {
        let layout = self.geometry.layout;
        let position = (group * self.geometry.group_bytes()) as u64;
        let mut bytes = Zeroizing::new(vec![0; self.geometry.group_bytes()]);
        lines.read_exact_at(&mut bytes, position)?;
        let mut group = Zeroizing::new(to_lines(&bytes));
        for change in changes {
            let place = change.slot as usize % GROUP_RECORDS;
            match &change.content {
                Some(content) => layout.write(&mut group, place, content.values),
                None => layout.erase(&mut group, place),
            }
        }
        bytes.clear();
        group.iter().for_each(|line| bytes.extend_from_slice(&line.0));
        lines.write_all_at(&bytes, position)?;
        for change in changes {
            let entry = change.content.as_ref().map_or([0; ENTRY], |content| {
                let checksum = format::checksum(&bytes, change.slot as usize);
                let (record, profile_version) = (content.record, content.profile_version);
                Entry { record, profile_version, checksum }.to_bytes(change.slot)
            });
            index.write_all_at(&entry, self.entry_position(change.slot))?;
        }
        Ok(())
    }

    fn entry_position(&self, slot: u32) -> u64 {
        (HEADER + ENTRY * self.geometry.place(slot).1) as u64
    }

    /// Makes the files of the next segment and lends them to the gallery.
    fn create(&self, gallery: &mut Gallery) -> Result<(), Error> {
        let segment = u32::try_from(gallery.blocks()).map_err(|_| Error::Internal { what: "a number of segments" })?;
        // What a failed attempt has left is in nobody's map.
        let make = |path: PathBuf, start: &[u8], len: u64| {
            let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path);
            let written = file.and_then(|file| {
                file.write_all_at(start, 0)?;
                file.set_len(len)?;
                file.sync_all()?;
                Ok(file)
            });
            written.map_err(Error::io(&path))
        };
        make(self.index_path(segment), &self.geometry.header, self.geometry.index_bytes())?;
        make(self.lines_path(segment), &[], self.geometry.lines_bytes())?;
        // The names must survive a power cut as well as the bytes.
        self.sync_directory()?;
        gallery.lend(self.map(segment)?);
        Ok(())
    }

    fn map(&self, segment: u32) -> Result<Mapped, Error> {
        let path = self.lines_path(segment);
        let file = File::open(&path).map_err(Error::io(&path))?;
        Mapped::new(&file, self.geometry.layout.lines(self.geometry.records)).map_err(Error::io(&path))
    }

    /// Removes the files of segments from `first` on. Their maps are gone and their shares overwritten.
    fn remove_from(&self, first: usize) -> Result<(), Error> {
        let unused = self.present()?.into_iter().filter(|segment| *segment as usize >= first).collect::<Vec<_>>();
        for &segment in &unused {
            for path in [self.index_path(segment), self.lines_path(segment)] {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::Io { path, source: error }),
                    _ => {}
                }
            }
        }
        if unused.is_empty() { Ok(()) } else { self.sync_directory() }
    }

    fn sync_directory(&self) -> Result<(), Error> {
        File::open(&self.directory).and_then(|d| d.sync_all()).map_err(Error::io(&self.directory))
    }

    /// Numbers of the segments of which there is a file.
    fn present(&self) -> Result<BTreeSet<u32>, Error> {
        let mut present = BTreeSet::new();
        for entry in fs::read_dir(&self.directory).map_err(Error::io(&self.directory))? {
            let name = PathBuf::from(entry.map_err(Error::io(&self.directory))?.file_name());
            let ours = name.extension().is_some_and(|extension| extension == "seg" || extension == "idx");
            let number: Option<u32> =
                name.file_stem().filter(|_| ours).and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            present.extend(number);
        }
        Ok(present)
    }

    /// One share with its entry, read from the files: it may be long until a search has finished with the gallery.
    fn read_share(&self, slot: u32) -> Result<(Entry, Zeroizing<Vec<u16>>), Error> {
        let (segment, place) = self.geometry.place(slot);
        let (lines, index) = (self.lines_path(segment), self.index_path(segment));
        let mut entry = [0; ENTRY];
        read_at(&index, &mut entry, self.entry_position(slot))?;
        let mut group = Zeroizing::new(vec![0; self.geometry.group_bytes()]);
        read_at(&lines, &mut group, (place / GROUP_RECORDS * self.geometry.group_bytes()) as u64)?;
        match State::read(&entry, slot) {
            State::Kept(entry) if entry.checksum == format::checksum(&group, place) => {
                let group = Zeroizing::new(to_lines(&group));
                Ok((entry, Zeroizing::new(self.geometry.layout.read(&group, place % GROUP_RECORDS))))
            }
            state => Err(self.damaged_share(slot, state)),
        }
    }

    fn damaged(&self, segment: u32, what: impl Into<String>) -> Error {
        Error::Damaged { path: self.lines_path(segment), what: what.into() }
    }

    fn damaged_share(&self, slot: u32, state: State) -> Error {
        let segment = self.geometry.place(slot).0;
        let what = match state {
            State::Kept(_) => "the checksum does not hold for the share",
            State::Free => "no share is kept, but one is in use,",
            State::Unreadable => "the index entry does not hold for the share",
        };
        self.damaged(segment, format!("{what} in slot {slot}"))
    }
}

fn read_at(path: &Path, bytes: &mut [u8], position: u64) -> Result<(), Error> {
    File::open(path).and_then(|file| file.read_exact_at(bytes, position)).map_err(Error::io(path))
}

fn to_lines(bytes: &[u8]) -> Vec<Line> {
    bytes.as_chunks().0.iter().map(|line| Line(*line)).collect()
}
