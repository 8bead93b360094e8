//! The files of two epochs beside each other: made by a refresh, kept in step, and exchanged.
//!
//! The files of epoch 0 lie in `shares/PROFILE`, those of epoch e in `shares/PROFILE/eNNNNNN`. **In step**: whoever changes the
//! present files holds the lock of the successor meanwhile and makes the same changes there, refreshed; the worker that makes the
//! successor takes the lock for a piece of a segment at a time, and reads and writes under it. So a change lies either before the
//! piece is read, or after it is written. Memory is bounded by a piece.
//!
//! Bytes of other epochs than the present one are overwritten before their files are removed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use mpc::kernel::layout::{GROUP_RECORDS, Line};
use mpc::refresh::{Refresh, Seed};
use types::profile::Profile;
use types::{NodeId, OperationId, ProfileId};
use zeroize::Zeroizing;

use super::format::{self, ENTRY, Entry, HEADER, State};
use super::{Change, Content, Files, Segments, Slots, to_lines};
use crate::Error;

/// Bytes of a segment that are refreshed under one hold of the lock.
const PIECE: usize = 1 << 20;

/// The files of one profile: the present ones, and those of the coming epoch while a refresh makes them.
pub(super) struct Place {
    root: PathBuf,
    node: NodeId,
    profile: Profile,
    present: RwLock<Arc<Files>>,
    successor: Mutex<Option<Successor>>,
}

/// The files of the coming epoch.
struct Successor {
    files: Files,
    refresh: Refresh,
    /// All are there and durable.
    complete: bool,
}

impl Place {
    pub(super) fn open(root: &Path, node: NodeId, profile: &Profile, epoch: u64, slots: &Slots) -> Result<Self, Error> {
        let files = Files::open(root, node, profile, epoch, slots)?;
        let place = Self {
            root: root.to_owned(),
            node,
            profile: profile.clone(),
            present: RwLock::new(Arc::new(files)),
            successor: Mutex::new(None),
        };
        place.wipe_others()?;
        Ok(place)
    }

    /// The present files.
    pub(super) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn successor(&self) -> MutexGuard<'_, Option<Successor>> {
        self.successor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores records in the present files, and in those of the coming epoch if there are any.
    pub(super) fn change_all_or_none(&self, changes: &[Change<'_>]) -> Result<(), Error> {
        let mut successor = self.successor();
        self.files().change_all_or_none(changes)?;
        follow(&mut successor, |successor| successor.change(changes));
        Ok(())
    }

    /// Overwrites shares with zeros, likewise.
    pub(super) fn erase(&self, slots: &BTreeSet<u32>) -> Result<(), Error> {
        let mut successor = self.successor();
        self.files().erase(slots.clone())?;
        follow(&mut successor, |successor| successor.files.erase_stored(slots));
        Ok(())
    }

    /// Drops the masked slots after the last record, and the files that hold only free slots.
    pub(super) fn trim(&self) -> Result<(), Error> {
        let mut successor = self.successor();
        let files = self.files();
        let mut gallery = files.write();
        gallery.trim();
        let blocks = gallery.blocks();
        files.remove_from(blocks)?;
        drop(gallery);
        follow(&mut successor, |successor| {
            successor.files.write().keep_blocks(blocks);
            successor.files.remove_from(blocks)
        });
        Ok(())
    }

    /// Makes the files of `epoch` from the present ones. Returns whether they are whole.
    fn refresh(&self, epoch: u64, seed: &Seed, stop: &dyn Fn() -> bool) -> Result<bool, Error> {
        {
            let mut successor = self.successor();
            if successor.as_ref().is_some_and(|successor| successor.complete && successor.files.epoch == epoch) {
                return Ok(true);
            }
            *successor = None;
            let files = Files::new(&self.root, self.node, &self.profile, epoch);
            wipe(&files.directory)?;
            fs::create_dir_all(&files.directory).map_err(Error::io(&files.directory))?;
            let above = self.root.join(self.profile.id.as_str());
            File::open(&above).and_then(|d| d.sync_all()).map_err(Error::io(&above))?;
            let refresh = Refresh::new(self.node, &self.profile.digest(), seed);
            *successor = Some(Successor { files, refresh, complete: false });
        }
        for segment in 0.. {
            match self.refresh_segment(segment, stop)? {
                Progress::Done => {}
                Progress::Stopped => return Ok(false),
                Progress::Beyond => break,
            }
        }
        Ok(self.successor().as_ref().is_some_and(|successor| successor.complete))
    }

    fn refresh_segment(&self, segment: u32, stop: &dyn Fn() -> bool) -> Result<Progress, Error> {
        let present = self.files();
        let groups = present.geometry.records / GROUP_RECORDS;
        let step = (PIECE / present.geometry.group_bytes()).max(1);
        for first in (0..groups).step_by(step) {
            if stop() {
                return Ok(Progress::Stopped);
            }
            let mut guard = self.successor();
            // Gone when a change could not be made in both.
            let Some(successor) = guard.as_mut() else { return Ok(Progress::Stopped) };
            if segment as usize >= present.read().blocks() {
                // Under the same hold: a segment that is added from now on is written by whoever adds it.
                successor.complete = true;
                return Ok(Progress::Beyond);
            }
            let done = successor.make_piece(&present, segment, first..(first + step).min(groups));
            if done.is_err() {
                *guard = None;
            }
            done?;
            drop(guard);
            std::thread::yield_now();
        }
        let guard = self.successor();
        let Some(successor) = guard.as_ref() else { return Ok(Progress::Stopped) };
        for path in [successor.files.lines_path(segment), successor.files.index_path(segment)] {
            match File::open(&path).and_then(|file| file.sync_data()) {
                // Trimmed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => synced.map_err(Error::io(&path))?,
            }
        }
        Ok(Progress::Done)
    }

    /// Uses the files of `epoch` from now on.
    fn switch(&self, epoch: u64) -> Result<(), Error> {
        let mut guard = self.successor();
        let ready = guard.take_if(|successor| successor.complete && successor.files.epoch == epoch);
        let Successor { files, .. } = ready.ok_or(Error::Internal { what: "a refresh is complete before it ends" })?;
        let present = self.files();
        // The same slots, other bytes. Nobody searches: the gallery is taken exclusively.
        present.write().exchange_blocks(&mut files.write());
        let files = Files { gallery: Arc::clone(&present.gallery), ..files };
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
        Ok(())
    }

    /// Overwrites and removes the files of all epochs but the present and the one in the making.
    fn wipe_others(&self) -> Result<(), Error> {
        let coming = self.successor().as_ref().map(|successor| successor.files.directory.clone());
        let present = self.files();
        let above = self.root.join(self.profile.id.as_str());
        if present.directory != above {
            wipe_files(&above)?;
        }
        for entry in fs::read_dir(&above).map_err(Error::io(&above))? {
            let path = entry.map_err(Error::io(&above))?.path();
            if path.is_dir() && path != present.directory && Some(&path) != coming.as_ref() {
                wipe(&path)?;
            }
        }
        Ok(())
    }
}

enum Progress {
    Done,
    Stopped,
    /// No such segment.
    Beyond,
}

/// Makes a change in the successor as well. If that fails the refresh begins again later; the present files have the change.
fn follow(successor: &mut Option<Successor>, change: impl FnOnce(&mut Successor) -> Result<(), Error>) {
    let Some(Err(error)) = successor.as_mut().map(change) else { return };
    let error = &error as &dyn std::error::Error;
    tracing::warn!(error, "a change could not be made in the shares of the coming epoch; the refresh begins again");
    *successor = None;
}

impl Successor {
    fn change(&mut self, changes: &[Change<'_>]) -> Result<(), Error> {
        let refreshed: Vec<Option<Zeroizing<Vec<u16>>>> =
            changes.iter().map(|change| change.content.as_ref().map(|content| self.refreshed(content))).collect();
        let changes: Vec<Change<'_>> = changes
            .iter()
            .zip(&refreshed)
            .map(|(change, values)| Change {
                slot: change.slot,
                content: change
                    .content
                    .as_ref()
                    .zip(values.as_ref())
                    .map(|(content, values)| Content { values, ..*content }),
            })
            .collect();
        self.files.change(&changes)
    }

    fn refreshed(&self, content: &Content<'_>) -> Zeroizing<Vec<u16>> {
        let mut values = Zeroizing::new(content.values.to_vec());
        self.refresh.apply(&content.record.0, &mut values);
        values
    }

    /// Makes the groups `groups` of a segment from those of `present`.
    fn make_piece(&mut self, present: &Files, segment: u32, groups: Range<usize>) -> Result<(), Error> {
        let geometry = &present.geometry;
        let (group_bytes, entries) = (geometry.group_bytes(), ENTRY * GROUP_RECORDS);
        {
            let mut gallery = self.files.write();
            while gallery.blocks() <= segment as usize {
                self.files.create(&mut gallery)?;
            }
        }
        let mut index = vec![0; entries * groups.len()];
        super::read_at(&present.index_path(segment), &mut index, (HEADER + entries * groups.start) as u64)?;
        if index.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let mut lines = Zeroizing::new(vec![0; group_bytes * groups.len()]);
        super::read_at(&present.lines_path(segment), &mut lines, (group_bytes * groups.start) as u64)?;
        for ((number, bytes), entries) in groups.clone().zip(lines.chunks_mut(group_bytes)).zip(index.chunks_mut(entries)) {
            let first = geometry.slot(segment, number * GROUP_RECORDS);
            self.make_group(present, first, bytes, entries)?;
        }
        let open =
            |path: PathBuf| OpenOptions::new().write(true).open(&path).map_err(Error::io(&path)).map(|file| (path, file));
        let (to, file) = open(self.files.lines_path(segment))?;
        file.write_all_at(&lines, (group_bytes * groups.start) as u64).map_err(Error::io(&to))?;
        let (to, file) = open(self.files.index_path(segment))?;
        file.write_all_at(&index, (HEADER + entries * groups.start) as u64).map_err(Error::io(&to))
    }

    /// Refreshes the group that begins at slot `first`, in place: its lines, and its index entries.
    fn make_group(&self, present: &Files, first: u32, bytes: &mut [u8], entries: &mut [u8]) -> Result<(), Error> {
        let layout = present.geometry.layout;
        let mut group = Zeroizing::new(to_lines(bytes));
        let mut kept = Vec::with_capacity(GROUP_RECORDS);
        for ((place, slot), entry) in (0..GROUP_RECORDS).zip(first..).zip(entries.as_chunks::<ENTRY>().0) {
            match State::read(entry, slot) {
                State::Kept(entry) if entry.checksum == format::checksum(bytes, place) => {
                    let mut values = Zeroizing::new(layout.read(&group, place));
                    self.refresh.apply(&entry.record.0, &mut values);
                    layout.write(&mut group, place, &values);
                    kept.push((place, slot, entry));
                }
                State::Free => layout.erase(&mut group, place),
                state => return Err(present.damaged_share(slot, state)),
            }
        }
        for (out, line) in bytes.chunks_mut(size_of::<Line>()).zip(group.iter()) {
            out.copy_from_slice(&line.0);
        }
        for (place, slot, entry) in kept {
            let entry = Entry { checksum: format::checksum(bytes, place), ..entry };
            if let Some(out) = entries.as_chunks_mut::<ENTRY>().0.get_mut(place) {
                *out = entry.to_bytes(slot);
            }
        }
        Ok(())
    }
}

impl Files {
    /// As [`Files::erase`], except in segments that are not made yet.
    fn erase_stored(&self, slots: &BTreeSet<u32>) -> Result<(), Error> {
        let blocks = self.read().blocks();
        self.erase(slots.iter().copied().filter(|slot| (self.geometry.place(*slot).0 as usize) < blocks).collect())
    }
}

impl Segments {
    /// As [`super::super::Store::refresh_shares`].
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub(in crate::store) fn refresh(&self, epoch: u64, seed: &Seed, stop: &dyn Fn() -> bool) -> Result<bool, Error> {
        for place in self.0.values() {
            if !place.refresh(epoch, seed, stop)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the files of `epoch` are made and in step.
    pub(in crate::store) fn is_refreshed(&self, epoch: u64) -> bool {
        let ready = |place: &Place| place.successor().as_ref().is_some_and(|s| s.complete && s.files.epoch == epoch);
        self.0.values().all(ready)
    }

    /// Goes over to the files of `epoch`.
    ///
    /// # Errors
    /// [`Error::Internal`] when they are not made.
    pub(in crate::store) fn switch(&self, epoch: u64) -> Result<(), Error> {
        if !self.is_refreshed(epoch) {
            return Err(Error::Internal { what: "a refresh is complete before it ends" });
        }
        self.0.values().try_for_each(|place| place.switch(epoch))
    }

    /// Overwrites and removes the files of all other epochs.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(in crate::store) fn wipe_others(&self) -> Result<(), Error> {
        self.0.values().try_for_each(Place::wipe_others)
    }
}

/// Takes slot, name and words of one share.
type Take<'a> = &'a mut dyn FnMut(u32, OperationId, &[u16]) -> Result<(), Error>;

/// What lies in the present files, for a handover.
impl Segments {
    /// How many shares [`Self::each_kept`] would read.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(in crate::store) fn count_kept(&self, profile: &ProfileId) -> Result<u32, Error> {
        let files = self.files(profile)?;
        let mut count = 0;
        for segment in 0..files.read().blocks() {
            let segment = u32::try_from(segment).unwrap_or(u32::MAX);
            let mut index = vec![0; ENTRY * files.geometry.records];
            super::read_at(&files.index_path(segment), &mut index, HEADER as u64)?;
            let places = index.as_chunks::<ENTRY>().0.iter().enumerate();
            let kept = places
                .filter(|(place, entry)| matches!(State::read(entry, files.geometry.slot(segment, *place)), State::Kept(_)));
            count += u32::try_from(kept.count()).unwrap_or(u32::MAX);
        }
        Ok(count)
    }

    /// Reads every share, in the order of slots, and checks it.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`]; what `take` says.
    pub(in crate::store) fn each_kept(&self, profile: &ProfileId, take: Take<'_>) -> Result<(), Error> {
        let files = self.files(profile)?;
        let (group_bytes, layout) = (files.geometry.group_bytes(), files.geometry.layout);
        for segment in 0..files.read().blocks() {
            let segment = u32::try_from(segment).unwrap_or(u32::MAX);
            let mut index = vec![0; ENTRY * files.geometry.records];
            super::read_at(&files.index_path(segment), &mut index, HEADER as u64)?;
            let lines = files.lines_path(segment);
            let file = File::open(&lines).map_err(Error::io(&lines))?;
            let mut bytes = Zeroizing::new(vec![0; group_bytes]);
            for (number, entries) in index.chunks(ENTRY * GROUP_RECORDS).enumerate() {
                if entries.iter().all(|byte| *byte == 0) {
                    continue;
                }
                file.read_exact_at(&mut bytes, (number * group_bytes) as u64).map_err(Error::io(&lines))?;
                let group = Zeroizing::new(to_lines(&bytes));
                for (place, entry) in entries.as_chunks::<ENTRY>().0.iter().enumerate() {
                    let slot = files.geometry.slot(segment, number * GROUP_RECORDS + place);
                    match State::read(entry, slot) {
                        State::Free => {}
                        State::Kept(entry) if entry.checksum == format::checksum(&bytes, place) => {
                            take(slot, entry.record, &Zeroizing::new(layout.read(&group, place)))?;
                        }
                        state => return Err(files.damaged_share(slot, state)),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Removes a directory of segment files when their bytes are overwritten. Harmless when it is not there.
fn wipe(directory: &Path) -> Result<(), Error> {
    wipe_files(directory)?;
    gone(directory, fs::remove_dir(directory))
}

/// Overwrites and removes the segment files in `directory`, not those below.
fn wipe_files(directory: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::Io { path: directory.to_owned(), source }),
    };
    for entry in entries {
        let path = entry.map_err(Error::io(directory))?.path();
        if path.extension().is_some_and(|extension| extension == "seg" || extension == "idx") {
            gone(&path, overwrite(&path))?;
            gone(&path, fs::remove_file(&path))?;
        }
    }
    Ok(())
}

/// With zeros, wherever the file holds anything else.
fn overwrite(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let (mut bytes, zeros) = (Zeroizing::new(vec![0; PIECE]), vec![0; PIECE]);
    let mut position = 0;
    loop {
        let read = file.read_at(&mut bytes, position)?;
        let (Some(found), Some(zeros)) = (bytes.get(..read), zeros.get(..read)) else { break };
        if read == 0 {
            break;
        }
        if found.iter().any(|byte| *byte != 0) {
            file.write_all_at(zeros, position)?;
        }
        position += read as u64;
    }
    file.sync_data()
}

/// Somebody else may have removed it already.
fn gone(path: &Path, done: io::Result<()>) -> Result<(), Error> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(Error::io(path)),
    }
}
