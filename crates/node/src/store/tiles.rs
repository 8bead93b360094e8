//! The files of the transparency log: full tiles and full entry bundles, under `log/tile`, named as C2SP `tlog-tiles` names them.
//!
//! A full tile never changes. It is written beside its place, forced to disk, and renamed into it, so a reader and a crash see all
//! of it or nothing. Partial tiles are not files: they are the beginnings of full ones, and what is beyond the last full tile is
//! at most 255 hashes a level, held in memory and, as entries, in the database. Rows are dropped only when a full bundle and the
//! tile above it are on disk. At start whatever is in rows is written again.
//!
//! **Trust**: not trusted. The tree must lead to the root that the last committed batch names. Tiles that do not are built again
//! from the bundles; bundles that do not are damage, and the node does not start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use tlog::merkle::leaf_hash;
use tlog::tile::{Resource, WIDTH, encode_bundle};
use tlog::{Appender, Bundle, Peaks, Tile, TileReader};
use types::Digest;

use crate::Error;

/// The files and what is beyond the last full one.
pub struct LogFiles {
    dir: PathBuf,
    edge: RwLock<Edge>,
}

/// What is beyond the last full tiles.
#[derive(Clone, Default)]
struct Edge {
    appender: Appender,
    /// Hashes of the last, partial tile of each level.
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
    /// Entries of the last, partial bundle.
    entries: Vec<Vec<u8>>,
}

/// What a check of the files found, besides what made it fail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Full bundles read.
    pub bundles: u64,
    /// Paths of tiles that were missing or wrong, and can be built again from the bundles.
    pub wrong_tiles: Vec<String>,
}

impl LogFiles {
    /// Opens the files under `dir`, of which the first `first` entries (a multiple of 256) must be there; `rows` follow, and all
    /// must lead to `peaks`.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn open(dir: &Path, first: u64, rows: &[Vec<u8>], peaks: &Peaks) -> Result<Self, Error> {
        let files = Self { dir: dir.to_owned(), edge: RwLock::default() };
        let whole = |appender: &Appender| {
            let mut appender = appender.clone();
            rows.iter().for_each(|row| _ = appender.append(leaf_hash(row)));
            (appender.size(), appender.root()) == (peaks.size(), peaks.root())
        };
        let mut loaded = Appender::load(first, &OnDisk(dir)).ok().filter(whole);
        if loaded.is_none() {
            let (appender, checked) = files.rebuild(first, true)?;
            if !checked.wrong_tiles.is_empty() {
                tracing::warn!(tiles = checked.wrong_tiles.len(), "tiles of the log were wrong and are built again");
            }
            loaded = Some(appender).filter(whole);
        }
        let damaged = || Error::Damaged {
            path: dir.to_owned(),
            what: "the log's entries do not lead to the root that was decided; run `commons-node fsck`".to_owned(),
        };
        let appender = loaded.ok_or_else(damaged)?;
        // Level 0 has no partial tile at a multiple of 256; higher levels may.
        let mut edge = Edge { appender, ..Edge::default() };
        for level in 1..=7u8 {
            let count = first.checked_shr(8 * u32::from(level)).unwrap_or(0);
            let width = u16::try_from(count % u64::from(WIDTH)).unwrap_or(0);
            if width > 0 {
                let tile = Tile::new(level, count / u64::from(WIDTH), width)?;
                let bytes =
                    OnDisk(dir).read(tile).map_err(|reason| tlog::Error::Unavailable { path: tile.path(), reason })?;
                edge.tiles.insert((level, tile.index()), bytes);
            }
        }
        *files.edge.write().unwrap_or_else(PoisonError::into_inner) = edge;
        files.extend(rows)?;
        Ok(files)
    }

    /// Entries.
    pub fn size(&self) -> u64 {
        self.edge.read().unwrap_or_else(PoisonError::into_inner).appender.size()
    }

    /// Root over all entries.
    pub fn root(&self) -> Digest {
        self.edge.read().unwrap_or_else(PoisonError::into_inner).appender.root()
    }

    /// Entries that full, durable files hold: their rows may go.
    pub fn in_full_files(&self) -> u64 {
        self.size() / u64::from(WIDTH) * u64::from(WIDTH)
    }

    /// Adds entries. Full tiles and bundles are on disk when this returns. On an error nothing has changed in memory, and what is
    /// on disk already is written again next time. One caller at a time.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn extend(&self, entries: &[Vec<u8>]) -> Result<(), Error> {
        let mut edge = self.edge.read().unwrap_or_else(PoisonError::into_inner).clone();
        for entry in entries {
            let index = edge.appender.append(leaf_hash(entry)) / u64::from(WIDTH);
            edge.entries.push(entry.clone());
            if edge.entries.len() == usize::from(WIDTH) {
                let bundle = encode_bundle(&std::mem::take(&mut edge.entries))?;
                durable(&self.dir, &Bundle::new(index, WIDTH)?.path(), &bundle)?;
            }
        }
        for (tile, hashes) in edge.appender.take_tiles() {
            if tile.width() == WIDTH {
                edge.tiles.remove(&(tile.level(), tile.index()));
                durable(&self.dir, &tile.path(), &hashes)?;
            } else {
                edge.tiles.insert((tile.level(), tile.index()), hashes);
            }
        }
        *self.edge.write().unwrap_or_else(PoisonError::into_inner) = edge;
        Ok(())
    }

    /// The bytes of a tile or bundle; absent when the log is not that long. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Log`].
    pub fn get(&self, resource: &Resource) -> Result<Option<Vec<u8>>, Error> {
        match resource {
            Resource::Checkpoint => Ok(None),
            Resource::Tile(tile) => self.tile(*tile),
            Resource::Entries(bundle) => self.bundle(*bundle),
        }
    }

    fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, Error> {
        let length = 32 * usize::from(tile.width());
        let edge = self.edge.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(hashes) = edge.tiles.get(&(tile.level(), tile.index())) {
            return Ok(hashes.get(..length).map(<[u8]>::to_vec));
        }
        drop(edge);
        let Some(bytes) = read(&self.dir, &Tile::new(tile.level(), tile.index(), WIDTH)?.path())? else { return Ok(None) };
        // Checks the length of what is on disk.
        tile.decode(&bytes)?;
        Ok(bytes.get(..length).map(<[u8]>::to_vec))
    }

    fn bundle(&self, bundle: Bundle) -> Result<Option<Vec<u8>>, Error> {
        let width = usize::from(bundle.width());
        let edge = self.edge.read().unwrap_or_else(PoisonError::into_inner);
        if bundle.index() == edge.appender.size() / u64::from(WIDTH) {
            return edge.entries.get(..width).map(encode_bundle).transpose().map_err(Error::from);
        }
        drop(edge);
        let Some(bytes) = read(&self.dir, &Bundle::new(bundle.index(), WIDTH)?.path())? else { return Ok(None) };
        let entries = bundle.decode(&bytes)?;
        if bundle.width() == WIDTH { Ok(Some(bytes)) } else { Ok(Some(encode_bundle(&entries)?)) }
    }

    /// Reads the bundles of the first `size` entries (a multiple of 256), builds the tiles from them and compares; with `repair`,
    /// writes those that differ.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming a bundle that is missing or torn; [`Error::Io`].
    pub fn rebuild(&self, size: u64, repair: bool) -> Result<(Appender, Checked), Error> {
        let mut appender = Appender::new();
        let mut checked = Checked::default();
        for index in 0..size / u64::from(WIDTH) {
            let bundle = Bundle::new(index, WIDTH)?;
            let damaged = |what: String| Error::Damaged { path: self.dir.join(bundle.path()), what };
            let bytes = read(&self.dir, &bundle.path())?.ok_or_else(|| damaged("it is missing".to_owned()))?;
            for entry in bundle.decode(&bytes).map_err(|error| damaged(error.to_string()))? {
                appender.append(leaf_hash(entry));
            }
            checked.bundles += 1;
            for (tile, hashes) in appender.take_tiles().into_iter().filter(|(tile, _)| tile.width() == WIDTH) {
                if read(&self.dir, &tile.path())?.as_ref() != Some(&hashes) {
                    checked.wrong_tiles.push(tile.path());
                    if repair {
                        durable(&self.dir, &tile.path(), &hashes)?;
                    }
                }
            }
        }
        Ok((appender, checked))
    }

    /// For looking at files without opening them.
    pub fn unopened(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), edge: RwLock::default() }
    }
}

impl TileReader for LogFiles {
    fn read(&self, tile: Tile) -> Result<Vec<u8>, String> {
        self.tile(tile).map_err(|error| error.chain())?.ok_or_else(|| "it is not there".to_owned())
    }
}

/// Full tiles on disk; partial ones above level 0 are the roots of the full ones below.
struct OnDisk<'a>(&'a Path);

impl TileReader for OnDisk<'_> {
    fn read(&self, tile: Tile) -> Result<Vec<u8>, String> {
        let words = |error: tlog::Error| error.to_string();
        if let Some(bytes) = read(self.0, &tile.path()).map_err(|error| error.chain())? {
            return Ok(bytes);
        }
        let missing = || "it is not there".to_owned();
        let below = tile.level().checked_sub(1).filter(|_| tile.width() < WIDTH).ok_or_else(missing)?;
        let first = tile.index() * u64::from(WIDTH);
        let mut roots = Vec::with_capacity(32 * usize::from(tile.width()));
        for index in first..first + u64::from(tile.width()) {
            let tile = Tile::new(below, index, WIDTH).map_err(words)?;
            let bytes = read(self.0, &tile.path()).map_err(|error| error.chain())?.ok_or_else(missing)?;
            let mut root = Peaks::default();
            tile.decode(&bytes).map_err(words)?.into_iter().for_each(|hash| root.append(hash));
            roots.extend(root.root().0);
        }
        Ok(roots)
    }
}

fn read(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let path = dir.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::Io { path, source }),
    }
}

/// Puts a whole file in its place, on disk, together with the folders that lead to it.
pub(crate) fn durable(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = dir.join(name);
    if fs::read(&path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(dir);
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        // Up to the data directory: a folder may be as new as the file.
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(dir)).chain(dir.parent()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(Error::io(&path))
}

impl std::fmt::Debug for LogFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogFiles {{ {}, {} entries }}", self.dir.display(), self.size())
    }
}
