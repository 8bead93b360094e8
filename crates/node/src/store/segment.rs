//! Segment files: append-only frames of shares, one directory per modality profile, `shares/PROFILE/NNNNNN.seg`.
//!
//! A file is a 64-byte header and frames of one fixed size:
//!
//! | bytes | header | bytes | frame |
//! |---|---|---|---|
//! | 0..8 | `TCSHARES` | 0..4 | `TCFR` |
//! | 8..10 | format version, 1 | 4 | 1 kept, 0 erased |
//! | 10 | node | 5 | 0 |
//! | 11 | 0 | 6..8 | profile version |
//! | 12..16 | values per share | 8..12 | values |
//! | 16..48 | profile digest | 12..28 | record id (the operation that brought it; zero when erased) |
//! | 48..52 | CRC-32C of the bytes before | 28..32 | CRC-32C of the values |
//! | 52..64 | 0 | 32..36 | CRC-32C of the bytes before |
//! | | | 36..40 | 0 |
//! | | | 40.. | values: u16, little-endian, Galois form |
//!
//! Which frames are in use is the database's knowledge: a frame that it does not name is erased when the node starts, and an
//! incomplete frame at the end of a file, which was never acknowledged, is cut off. Frames in use must be whole.
//!
//! **Trust**: the files are trusted for content. Who changes a share can make its record match nobody, which the node then
//! notices by checksum only if the checksum was not changed with it; nobody learns a template from one node's files.
//!
//! Out of scope: that a disk or file system really overwrites in place (SECURITY.md says what operators must do).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use types::profile::Profile;
use types::{Digest, NodeId, OperationId, ProfileId};
use zeroize::Zeroizing;

use super::{Place, ShareRef};
use crate::Error;

/// Version of the file format.
pub const VERSION: u16 = 1;
/// Bytes after which a new file is begun.
const SEGMENT_BYTES: u64 = 256 * 1024 * 1024;
const FILE_MAGIC: &[u8; 8] = b"TCSHARES";
const FRAME_MAGIC: &[u8; 4] = b"TCFR";
const FILE_HEADER: usize = 64;
const FRAME_HEADER: usize = 40;

/// A share to append.
pub struct NewShare<'a> {
    /// Which profile's files.
    pub profile: &'a ProfileId,
    /// The operation that brought it.
    pub record: OperationId,
    /// Values in stored form.
    pub values: &'a [u16],
}

/// All segment files of one node.
pub struct Segments {
    node: NodeId,
    profiles: BTreeMap<ProfileId, Mutex<Files>>,
}

/// The files of one profile.
struct Files {
    directory: PathBuf,
    profile_version: u16,
    profile_digest: Digest,
    values: usize,
    /// Number and length of the file that is appended to; none before the first share.
    tail: Option<(u32, u64)>,
}

impl Segments {
    /// Opens the files below `root`, checks their headers, cuts off incomplete frames and erases every frame that is not in
    /// `used`.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::NewerStore`], [`Error::Io`].
    pub fn open(root: &Path, node: NodeId, profiles: &[Profile], used: &BTreeSet<ShareRef>) -> Result<Self, Error> {
        let mut opened = BTreeMap::new();
        for profile in profiles {
            let directory = root.join(profile.id.as_str());
            let mut files = Files {
                directory,
                profile_version: profile.version,
                profile_digest: profile.digest(),
                values: profile.matching.record_len(),
                tail: None,
            };
            let used = used.iter().filter(|share| share.profile == profile.id).map(|share| share.place).collect();
            files.check(node, &used)?;
            opened.insert(profile.id.clone(), Mutex::new(files));
        }
        Ok(Self { node, profiles: opened })
    }

    /// Appends shares and makes them durable; on return all of them are, on error none is in use.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Internal`] for a share of another length or profile.
    pub fn append(&self, shares: &[NewShare<'_>]) -> Result<Vec<Place>, Error> {
        let mut places = vec![None; shares.len()];
        for (profile, files) in &self.profiles {
            let ours = || shares.iter().enumerate().filter(|(_, share)| share.profile == profile);
            if ours().next().is_none() {
                continue;
            }
            let mut files = lock(files);
            let written = files.append(self.node, ours().map(|(_, share)| share))?;
            for ((index, _), place) in ours().zip(written) {
                if let Some(slot) = places.get_mut(index) {
                    *slot = Some(place);
                }
            }
        }
        places.into_iter().collect::<Option<Vec<_>>>().ok_or(Error::Internal { what: "a share of an unknown profile" })
    }

    /// Reads one share and checks that it is the one of `record` when given.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn read(&self, share: &ShareRef) -> Result<Zeroizing<Vec<u16>>, Error> {
        let files = lock(self.files(&share.profile)?);
        files.read(share.place)
    }

    /// Overwrites shares with zeros, marks their frames erased, and makes that durable. Erasing twice is harmless.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn erase(&self, shares: &[ShareRef]) -> Result<(), Error> {
        for (profile, files) in &self.profiles {
            let places: BTreeSet<Place> = shares.iter().filter(|s| s.profile == *profile).map(|s| s.place).collect();
            if !places.is_empty() {
                lock(files).erase(&places)?;
            }
        }
        Ok(())
    }

    /// Bytes of values that a share of `profile` occupies.
    pub fn share_bytes(&self, profile: &ProfileId) -> u64 {
        self.profiles.get(profile).map_or(0, |files| 2 * lock(files).values as u64)
    }

    fn files(&self, profile: &ProfileId) -> Result<&Mutex<Files>, Error> {
        self.profiles.get(profile).ok_or(Error::Internal { what: "a share of an unknown profile" })
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files {
    fn path(&self, segment: u32) -> PathBuf {
        self.directory.join(format!("{segment:06}.seg"))
    }

    fn stride(&self) -> u64 {
        (FRAME_HEADER + 2 * self.values) as u64
    }

    fn damaged(&self, segment: u32, what: impl Into<String>) -> Error {
        Error::Damaged { path: self.path(segment), what: what.into() }
    }

    fn check(&mut self, node: NodeId, used: &BTreeSet<Place>) -> Result<(), Error> {
        fs::create_dir_all(&self.directory).map_err(Error::io(&self.directory))?;
        let present = self.present()?;
        if let Some(missing) = used.iter().find(|place| !present.contains(&place.segment)) {
            return Err(self.damaged(missing.segment, "the file is missing"));
        }
        for &segment in &present {
            let used: BTreeSet<u64> = used.iter().filter(|p| p.segment == segment).map(|p| p.position).collect();
            let len = self.check_file(node, segment, &used)?;
            self.tail = Some((segment, len));
        }
        Ok(())
    }

    fn present(&self) -> Result<BTreeSet<u32>, Error> {
        let mut present = BTreeSet::new();
        for entry in fs::read_dir(&self.directory).map_err(Error::io(&self.directory))? {
            let name = entry.map_err(Error::io(&self.directory))?.file_name();
            let number: Option<u32> = name.to_str().and_then(|n| n.strip_suffix(".seg")).and_then(|n| n.parse().ok());
            present.extend(number);
        }
        Ok(present)
    }

    /// Returns the file's length after cutting off an incomplete end.
    fn check_file(&self, node: NodeId, segment: u32, used: &BTreeSet<u64>) -> Result<u64, Error> {
        let path = self.path(segment);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(Error::io(&path))?;
        let len = file.metadata().map_err(Error::io(&path))?.len();
        let header = FILE_HEADER as u64;
        if len < header && used.is_empty() {
            // The crash came before the header was whole: begin the file again.
            let bytes = self.file_header(node);
            file.write_all_at(&bytes, 0).and_then(|()| file.set_len(header)).map_err(Error::io(&path))?;
            file.sync_all().map_err(Error::io(&path))?;
            return Ok(header);
        }
        self.check_header(node, segment, &file)?;
        let whole = header + (len - header) / self.stride() * self.stride();
        if let Some(last) = used.last()
            && last + self.stride() > whole
        {
            return Err(self.damaged(segment, "a share in use is cut off"));
        }
        if whole < len {
            tracing::info!(file = %path.display(), bytes = len - whole, "cut off an incomplete frame that was never in use");
            file.set_len(whole).map_err(Error::io(&path))?;
            file.sync_all().map_err(Error::io(&path))?;
        }
        let mut orphans = BTreeSet::new();
        let mut position = header;
        while position < whole {
            if !used.contains(&position) && !self.is_erased(&file, segment, position)? {
                orphans.insert(Place { segment, position });
            }
            position += self.stride();
        }
        if !orphans.is_empty() {
            tracing::info!(file = %path.display(), frames = orphans.len(), "erase shares that never came into use");
            self.erase(&orphans)?;
        }
        Ok(whole)
    }

    fn check_header(&self, node: NodeId, segment: u32, file: &File) -> Result<(), Error> {
        let mut header = [0u8; FILE_HEADER];
        let path = self.path(segment);
        if file.read_exact_at(&mut header, 0).is_err() {
            return Err(self.damaged(segment, "the header is cut off"));
        }
        if header.first_chunk() != Some(FILE_MAGIC) {
            return Err(self.damaged(segment, "it is not a segment file"));
        }
        let found = u16::from_le_bytes([header[8], header[9]]);
        if found > VERSION {
            return Err(Error::NewerStore { path, found, known: VERSION });
        }
        match header == self.file_header(node) {
            true => Ok(()),
            false => Err(self.damaged(segment, "its header is for another node or profile, or altered")),
        }
    }

    fn file_header(&self, node: NodeId) -> [u8; FILE_HEADER] {
        let mut header = Vec::with_capacity(FILE_HEADER);
        header.extend_from_slice(FILE_MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&[node.number(), 0]);
        header.extend_from_slice(&word(self.values));
        header.extend_from_slice(&self.profile_digest.0);
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        let mut bytes = [0; FILE_HEADER];
        bytes.iter_mut().zip(header).for_each(|(to, from)| *to = from);
        bytes
    }

    /// A whole frame; `record` is absent in an erased one.
    fn frame(&self, record: Option<OperationId>, values: &[u16]) -> Zeroizing<Vec<u8>> {
        let body = Zeroizing::new(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        let mut frame = Zeroizing::new(Vec::with_capacity(FRAME_HEADER + body.len()));
        frame.extend_from_slice(FRAME_MAGIC);
        frame.extend_from_slice(&[u8::from(record.is_some()), 0]);
        frame.extend_from_slice(&self.profile_version.to_le_bytes());
        frame.extend_from_slice(&word(values.len()));
        frame.extend_from_slice(&record.map_or([0; 16], |id| id.0));
        frame.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        let checksum = crc32c::crc32c(&frame);
        frame.extend_from_slice(&checksum.to_le_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&body);
        frame
    }

    fn append<'a>(&mut self, node: NodeId, shares: impl Iterator<Item = &'a NewShare<'a>>) -> Result<Vec<Place>, Error> {
        let (segment, start) = match self.tail {
            Some((segment, len)) if len < SEGMENT_BYTES => (segment, len),
            Some((segment, _)) => self.begin(node, segment + 1)?,
            None => self.begin(node, 0)?,
        };
        let path = self.path(segment);
        let (mut bytes, mut places) = (Zeroizing::new(Vec::new()), Vec::new());
        for share in shares {
            if share.values.len() != self.values {
                return Err(Error::Internal { what: "a share of another length" });
            }
            places.push(Place { segment, position: start + bytes.len() as u64 });
            bytes.extend_from_slice(&self.frame(Some(share.record), share.values));
        }
        let file = OpenOptions::new().write(true).open(&path).map_err(Error::io(&path))?;
        if let Err(source) = file.write_all_at(&bytes, start).and_then(|()| file.sync_data()) {
            // Nothing of this may stay: the caller reports the error and the frames were never in use.
            let _ = file.set_len(start).and_then(|()| file.sync_all());
            return Err(Error::Io { path, source });
        }
        self.tail = Some((segment, start + bytes.len() as u64));
        Ok(places)
    }

    fn begin(&mut self, node: NodeId, segment: u32) -> Result<(u32, u64), Error> {
        let path = self.path(segment);
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(Error::io(&path))?;
        file.write_all_at(&self.file_header(node), 0).and_then(|()| file.sync_all()).map_err(Error::io(&path))?;
        // The name must survive a power cut as well as the bytes.
        File::open(&self.directory).and_then(|d| d.sync_all()).map_err(Error::io(&self.directory))?;
        self.tail = Some((segment, FILE_HEADER as u64));
        Ok((segment, FILE_HEADER as u64))
    }

    fn read(&self, place: Place) -> Result<Zeroizing<Vec<u16>>, Error> {
        let path = self.path(place.segment);
        let file = File::open(&path).map_err(Error::io(&path))?;
        let mut frame = Zeroizing::new(vec![0u8; FRAME_HEADER + 2 * self.values]);
        file.read_exact_at(&mut frame, place.position).map_err(Error::io(&path))?;
        let (header, body) = frame.split_at(FRAME_HEADER);
        let what = match header_state(header, self.values) {
            Some((true, checksum)) if checksum == crc32c::crc32c(body) => {
                return Ok(Zeroizing::new(body.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect()));
            }
            Some((true, _)) => "checksum of a share",
            Some((false, _)) => "a share in use is marked erased",
            None => "checksum of a frame header",
        };
        Err(self.damaged(place.segment, format!("{what} at byte {}", place.position)))
    }

    fn is_erased(&self, file: &File, segment: u32, position: u64) -> Result<bool, Error> {
        let mut header = [0u8; FRAME_HEADER];
        file.read_exact_at(&mut header, position).map_err(Error::io(self.path(segment)))?;
        Ok(matches!(header_state(&header, self.values), Some((false, _))))
    }

    fn erase(&self, places: &BTreeSet<Place>) -> Result<(), Error> {
        let zeros = self.frame(None, &vec![0; self.values]);
        let segments: BTreeSet<u32> = places.iter().map(|place| place.segment).collect();
        for segment in segments {
            let path = self.path(segment);
            let file = OpenOptions::new().write(true).open(&path).map_err(Error::io(&path))?;
            for place in places.iter().filter(|place| place.segment == segment) {
                file.write_all_at(&zeros, place.position).map_err(Error::io(&path))?;
            }
            file.sync_data().map_err(Error::io(&path))?;
        }
        Ok(())
    }
}

/// Whether the frame is kept, and the checksum of its values; nothing when the header does not hold.
fn header_state(header: &[u8], values: usize) -> Option<(bool, u32)> {
    let (checked, rest) = header.split_at_checked(32)?;
    let sound = crc32c::crc32c(checked) == u32::from_le_bytes(*rest.first_chunk()?)
        && checked.first_chunk() == Some(FRAME_MAGIC)
        && checked.get(8..12) == Some(&word(values));
    let checksum = u32::from_le_bytes(*checked.last_chunk()?);
    match checked.get(4) {
        Some(1) if sound => Some((true, checksum)),
        Some(0) if sound => Some((false, checksum)),
        _ => None,
    }
}

fn word(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}
