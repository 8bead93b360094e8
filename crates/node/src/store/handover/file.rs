//! The handover file: a signed manifest, then pieces that are sealed to the new node and bound to their place.
//!
//! | bytes | of the file |
//! |---|---|
//! | 0..10 | `TCHANDOV`, format version |
//! | 10.. | length (4 bytes) and bytes of the signed [`Manifest`] |
//! | then | pieces: length (4 bytes; the highest bit marks the last piece) and a sealed piece of at most 1 MiB |
//!
//! Out of scope: what the pieces hold together ([`super`]).

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use rand_chacha::ChaCha20Rng;
use types::roster::Roster;
use types::seal::{self, HANDOVER, SealKey};
use types::sign::Signed;
use types::{Digest, NodeId, OperationId, limits};
use zeroize::Zeroizing;

use super::{MANIFEST_BYTES, Manifest, check_manifest, generator, wrong};
use crate::Error;

const MAGIC: &[u8; 8] = b"TCHANDOV";
const VERSION: u16 = 1;
const PIECE: usize = 1 << 20;
const LAST: u32 = 1 << 31;

fn piece_context(statement: &Digest, from: NodeId, index: u32, last: bool) -> Digest {
    let numbers = [&[from.number(), u8::from(last)][..], &index.to_le_bytes()].concat();
    Digest::of("trust-commons/v1/handover/piece", &[&statement.0, &numbers])
}

/// A file in the writing.
pub(super) struct Sealing {
    path: PathBuf,
    file: BufWriter<File>,
    key: [u8; 32],
    statement: Digest,
    from: NodeId,
    index: u32,
    buffer: Zeroizing<Vec<u8>>,
    rng: ChaCha20Rng,
}

impl Sealing {
    pub(super) fn begin(path: &Path, manifest: &Signed<Manifest>, key: &[u8; 32]) -> Result<Self, Error> {
        let mut file = BufWriter::new(File::create(path).map_err(Error::io(path))?);
        let bytes = manifest.to_bytes();
        let start = [&MAGIC[..], &VERSION.to_le_bytes(), &length(bytes.len())?.to_le_bytes(), &bytes].concat();
        file.write_all(&start).map_err(Error::io(path))?;
        let (statement, from) = (manifest.message.succession, manifest.message.from);
        let (buffer, rng) = (Zeroizing::new(Vec::with_capacity(PIECE)), generator()?);
        Ok(Self { path: path.to_owned(), file, key: *key, statement, from, index: 0, buffer, rng })
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            if self.buffer.len() == PIECE {
                self.piece(false)?;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    fn piece(&mut self, last: bool) -> Result<(), Error> {
        let context = piece_context(&self.statement, self.from, self.index, last);
        let sealed = seal::seal(&self.key, HANDOVER, &context, &self.buffer, &mut self.rng)?;
        let head = length(sealed.len())? | if last { LAST } else { 0 };
        let written = self.file.write_all(&head.to_le_bytes()).and_then(|()| self.file.write_all(&sealed));
        written.map_err(Error::io(&self.path))?;
        self.index += 1;
        self.buffer.clear();
        Ok(())
    }

    /// Length and bytes of a whole file.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), Error> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let bytes = file.metadata().map_err(Error::io(path))?.len();
        self.put(&bytes.to_le_bytes())?;
        let mut buffer = vec![0; PIECE];
        loop {
            match file.read(&mut buffer).map_err(Error::io(path))? {
                0 => return Ok(()),
                read => self.put(buffer.get(..read).unwrap_or_default())?,
            }
        }
    }

    /// The log's tiles: how many, then name and file of each.
    pub(super) fn log(&mut self, dir: &Path) -> Result<(), Error> {
        let mut files = Vec::new();
        collect(&dir.join("tile"), &mut files)?;
        files.sort();
        self.put(&length(files.len())?.to_le_bytes())?;
        for path in files {
            let name =
                path.strip_prefix(dir).ok().and_then(Path::to_str).ok_or(Error::Internal { what: "a tile has a name" })?;
            self.put(&length(name.len())?.to_le_bytes())?;
            self.put(name.as_bytes())?;
            self.file(&path)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.piece(true)?;
        let file =
            self.file.into_inner().map_err(|error| Error::Io { path: self.path.clone(), source: error.into_error() })?;
        file.sync_all().map_err(Error::io(&self.path))
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io(dir))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::io(dir))?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

pub(super) fn length(bytes: usize) -> Result<u32, Error> {
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| bytes & LAST == 0)
        .ok_or(Error::Internal { what: "a handover is of parts of some size" })
}

/// A file in the reading.
pub(super) struct Opening {
    path: PathBuf,
    file: BufReader<File>,
    pub(super) manifest: Manifest,
    key: SealKey,
    index: u32,
    buffer: Zeroizing<Vec<u8>>,
    at: usize,
    last: bool,
}

impl Opening {
    fn start(path: &Path) -> Result<(BufReader<File>, Signed<Manifest>), Error> {
        let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
        let no_file = || wrong(format!("{} is not a handover file, or cut off", path.display()));
        let mut start = [0; 14];
        file.read_exact(&mut start).map_err(|_| no_file())?;
        let (magic, rest) = start.split_at(8);
        let (version, len) = rest.split_at(2);
        if magic != MAGIC {
            return Err(no_file());
        }
        let found = u16::from_le_bytes(version.try_into().unwrap_or_default());
        if found != VERSION {
            return Err(types::Error::Version { what: "handover file", got: found, known: VERSION }.into());
        }
        let len = u32::from_le_bytes(len.try_into().unwrap_or_default()) as usize;
        if len > MANIFEST_BYTES + 64 {
            return Err(no_file());
        }
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes).map_err(|_| no_file())?;
        Ok((file, Signed::from_bytes(&bytes)?))
    }

    pub(super) fn manifest_of(path: &Path) -> Result<Signed<Manifest>, Error> {
        Ok(Self::start(path)?.1)
    }

    pub(super) fn begin(path: &Path, key: &SealKey, roster: &Roster, statement: &Digest) -> Result<Self, Error> {
        let (file, signed) = Self::start(path)?;
        let manifest = check_manifest(signed, roster, statement)?;
        let (key, buffer) = (key.clone(), Zeroizing::new(Vec::new()));
        Ok(Self { path: path.to_owned(), file, manifest, key, index: 0, buffer, at: 0, last: false })
    }

    pub(super) fn bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < out.len() {
            if self.at == self.buffer.len() {
                self.piece()?;
            }
            let have = self.buffer.get(self.at..).unwrap_or_default();
            let now = have.len().min(out.len() - done);
            if let (Some(to), Some(from)) = (out.get_mut(done..done + now), have.get(..now)) {
                to.copy_from_slice(from);
            }
            (done, self.at) = (done + now, self.at + now);
        }
        Ok(())
    }

    fn piece(&mut self) -> Result<(), Error> {
        let cut = |path: &Path| wrong(format!("{} is cut off or altered; copy it again", path.display()));
        if self.last {
            return Err(cut(&self.path));
        }
        let mut head = [0; 4];
        self.file.read_exact(&mut head).map_err(|_| cut(&self.path))?;
        let head = u32::from_le_bytes(head);
        (self.last, self.at) = (head & LAST != 0, 0);
        let len = (head & !LAST) as usize;
        if len > PIECE + seal::OVERHEAD {
            return Err(cut(&self.path));
        }
        let mut sealed = vec![0; len];
        self.file.read_exact(&mut sealed).map_err(|_| cut(&self.path))?;
        let context = piece_context(&self.manifest.succession, self.manifest.from, self.index, self.last);
        self.index += 1;
        self.buffer = Zeroizing::new(seal::open(&self.key, HANDOVER, &context, &sealed).map_err(|_| cut(&self.path))?);
        Ok(())
    }

    pub(super) fn number(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn term(&mut self, words: usize) -> Result<(u32, OperationId, Zeroizing<Vec<u16>>), Error> {
        let (slot, mut record, mut bytes) = (self.number()?, [0; 16], Zeroizing::new(vec![0; 2 * words]));
        self.bytes(&mut record)?;
        self.bytes(&mut bytes)?;
        let values = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        Ok((slot, OperationId(record), Zeroizing::new(values)))
    }

    /// Writes a whole file, or passes over it.
    pub(super) fn file(&mut self, to: &Path, keep: bool) -> Result<(), Error> {
        let mut left = [0; 8];
        self.bytes(&mut left)?;
        let mut left = u64::from_le_bytes(left);
        let mut file = if keep { Some(File::create(to).map_err(Error::io(to))?) } else { None };
        let mut buffer = vec![0; PIECE];
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let part = buffer.get_mut(..now).unwrap_or_default();
            self.bytes(part)?;
            if let Some(file) = &mut file {
                file.write_all(part).map_err(Error::io(to))?;
            }
            left -= now as u64;
        }
        file.map_or(Ok(()), |file| file.sync_all().map_err(Error::io(to)))
    }

    pub(super) fn log(&mut self, dir: &Path, keep: bool) -> Result<(), Error> {
        for _ in 0..self.number()? {
            let len = self.number()? as usize;
            if len > limits::KEY_NAME_BYTES {
                return Err(wrong("a tile has a long name"));
            }
            let mut name = vec![0; len];
            self.bytes(&mut name)?;
            let name = String::from_utf8(name).map_err(|_| wrong("a tile has a name that is no text"))?;
            let name = Path::new(&name);
            if !name.starts_with("tile") || !name.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(wrong("a tile has a name that leads elsewhere"));
            }
            let path = dir.join(name);
            if let Some(above) = path.parent().filter(|_| keep) {
                fs::create_dir_all(above).map_err(Error::io(above))?;
            }
            self.file(&path, keep)?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), Error> {
        match self.at == self.buffer.len() && self.last {
            true => Ok(()),
            false => Err(wrong(format!("{} holds more than it should", self.path.display()))),
        }
    }
}
