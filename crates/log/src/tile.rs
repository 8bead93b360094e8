//! Tiles and entry bundles of C2SP `tlog-tiles`: their coordinates, their paths, their bytes.
//!
//! A tile of level `l` holds up to 256 consecutive hashes of complete subtrees of 256^l leaves each. A bundle holds the up to 256
//! entries under a tile of level 0, each behind its length in two bytes, big-endian.
//!
//! **Out of scope**: which tiles a tree has and what is in them ([`crate::tree`]); compression and caching (the server).

use std::fmt;

use types::{Digest, limits};

use crate::Error;
use crate::line::MAX_NUMBER;

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u16 = 256;
/// Levels of the tree from one tile level to the next.
pub(crate) const HEIGHT: u32 = 8;
/// Bytes of a full tile.
pub const TILE_BYTES: usize = 256 * 32;
/// Bytes of the largest bundle that this project writes.
pub const BUNDLE_BYTES: usize = 256 * (2 + limits::LOG_ENTRY_BYTES);
/// Tile levels of a tree below 2^63 leaves.
const LEVELS: u8 = 8;

/// Coordinates of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

impl Tile {
    /// Level 0 to 7, any index below 2^55, width 1 to 256.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, Error> {
        let reach = MAX_NUMBER.checked_shr(HEIGHT * (u32::from(level) + 1)).unwrap_or(0);
        if level < LEVELS && index <= reach && (1..=WIDTH).contains(&width) {
            Ok(Self { level, index, width })
        } else {
            Err(Error::Malformed { what: "tile", rule: "no tree has a tile of this level, index or width" })
        }
    }
    /// Height above the leaves, in tiles.
    pub fn level(self) -> u8 {
        self.level
    }
    /// Number within the level, from 0.
    pub fn index(self) -> u64 {
        self.index
    }
    /// Hashes in it.
    pub fn width(self) -> u16 {
        self.width
    }
    /// Path below the log's prefix, such as `tile/0/x001/234.p/5`.
    pub fn path(self) -> String {
        format!("tile/{}/{}", self.level, index_path(self.index, self.width))
    }
    /// Reads what [`Tile::path`] writes, and nothing else.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_path(path: &str) -> Result<Self, Error> {
        let rest = path.strip_prefix("tile/").ok_or(BAD_PATH)?;
        let (level, rest) = rest.split_once('/').ok_or(BAD_PATH)?;
        let (index, width) = parse_index_path(rest)?;
        let level = crate::line::number("tile path", level)?;
        Self::new(u8::try_from(level).map_err(|_| BAD_PATH)?, index, width)
    }
    /// Reads a tile's bytes. A full tile is accepted in place of a partial one, as servers may delete the latter; only the
    /// hashes of this width are returned.
    ///
    /// # Errors
    /// [`Error::TornTile`].
    pub fn decode(self, bytes: &[u8]) -> Result<Vec<Digest>, Error> {
        let expected = 32 * usize::from(self.width);
        if bytes.len() != expected && bytes.len() != TILE_BYTES {
            return Err(Error::TornTile { path: self.path(), got: bytes.len(), expected });
        }
        Ok(bytes.as_chunks::<32>().0.iter().take(usize::from(self.width)).map(|hash| Digest(*hash)).collect())
    }
}

/// The bytes of a tile.
pub fn encode(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Coordinates of an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    index: u64,
    width: u16,
}

impl Bundle {
    /// Any index below 2^55, width 1 to 256.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn new(index: u64, width: u16) -> Result<Self, Error> {
        Tile::new(0, index, width).map(|tile| Self { index: tile.index, width: tile.width })
    }
    /// Number of the bundle, from 0.
    pub fn index(self) -> u64 {
        self.index
    }
    /// Entries in it.
    pub fn width(self) -> u16 {
        self.width
    }
    /// Index of its first entry in the log.
    pub fn first(self) -> u64 {
        self.index * u64::from(WIDTH)
    }
    /// Path below the log's prefix, such as `tile/entries/x001/234.p/5`.
    pub fn path(self) -> String {
        format!("tile/entries/{}", index_path(self.index, self.width))
    }
    /// Reads what [`Bundle::path`] writes, and nothing else.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_path(path: &str) -> Result<Self, Error> {
        let rest = path.strip_prefix("tile/entries/").ok_or(BAD_PATH)?;
        let (index, width) = parse_index_path(rest)?;
        Self::new(index, width)
    }
    /// The bundles that hold the entries from `from` up to, not including, `size`, in a log of `size` entries.
    pub fn covering(from: u64, size: u64) -> impl Iterator<Item = Self> {
        let wide = u64::from(WIDTH);
        let bundles = if from < size { from / wide..size.div_ceil(wide) } else { 0..0 };
        bundles.map(move |index| Self { index, width: width_at(index, size) })
    }
    /// Splits a bundle into its entries. A full bundle is accepted in place of a partial one; only this width is returned.
    ///
    /// # Errors
    /// [`Error::TornTile`] when it ends early or late; [`Error::TooLarge`].
    pub fn decode(self, bytes: &[u8]) -> Result<Vec<&[u8]>, Error> {
        if bytes.len() > BUNDLE_BYTES {
            return Err(Error::TooLarge { what: "entry bundle (bytes)", got: bytes.len(), limit: BUNDLE_BYTES });
        }
        let torn = |expected| Error::TornTile { path: self.path(), got: bytes.len(), expected };
        let mut entries = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let (length, after) = rest.split_first_chunk::<2>().ok_or_else(|| torn(at + 2))?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) = after.split_at_checked(length).ok_or_else(|| torn(at + 2 + length))?;
            entries.push(entry);
            rest = after;
        }
        let width = usize::from(self.width);
        if entries.len() != width && entries.len() != usize::from(WIDTH) {
            // How long it should be depends on entries that are not there: say what those of its width take, or more.
            let bytes_of_width: usize = entries.iter().take(width).map(|entry| 2 + entry.len()).sum();
            return Err(torn(bytes_of_width + 2 * width.saturating_sub(entries.len())));
        }
        entries.truncate(width);
        Ok(entries)
    }
}

/// The bytes of a bundle.
///
/// # Errors
/// [`Error::TooLarge`] for an entry above [`limits::LOG_ENTRY_BYTES`].
pub fn encode_bundle<B: AsRef<[u8]>>(entries: &[B]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref) {
        let too_large = Error::TooLarge { what: "log entry (bytes)", got: entry.len(), limit: limits::LOG_ENTRY_BYTES };
        let length = u16::try_from(entry.len()).ok().filter(|_| entry.len() <= limits::LOG_ENTRY_BYTES).ok_or(too_large)?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// What stands at a path below a log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `checkpoint`
    Checkpoint,
    /// `tile/L/N[.p/W]`
    Tile(Tile),
    /// `tile/entries/N[.p/W]`
    Entries(Bundle),
}

impl Resource {
    /// Reads a path without its leading slash.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_path(path: &str) -> Result<Self, Error> {
        if path == "checkpoint" {
            Ok(Self::Checkpoint)
        } else if path.starts_with("tile/entries/") {
            Bundle::from_path(path).map(Self::Entries)
        } else {
            Tile::from_path(path).map(Self::Tile)
        }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// Width of tile or bundle `index` when its level has `count` hashes or entries. Only for tiles that exist.
pub(crate) fn width_at(index: u64, count: u64) -> u16 {
    let wide = u64::from(WIDTH);
    u16::try_from(count.saturating_sub(index.saturating_mul(wide)).clamp(1, wide)).unwrap_or(WIDTH)
}

const BAD_PATH: Error =
    Error::Malformed { what: "tile path", rule: "write tile/LEVEL/INDEX or tile/entries/INDEX, as C2SP tlog-tiles says" };

fn index_path(index: u64, width: u16) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < WIDTH { format!("{path}.p/{width}") } else { path }
}

fn parse_index_path(path: &str) -> Result<(u64, u16), Error> {
    let (digits, width) = match path.split_once(".p/") {
        Some((digits, width)) => (digits, crate::line::number("tile path", width)?),
        None => (path, u64::from(WIDTH)),
    };
    let mut index = 0u64;
    let mut parts = digits.split('/').peekable();
    while let Some(part) = parts.next() {
        let part = if parts.peek().is_some() { part.strip_prefix('x').ok_or(BAD_PATH)? } else { part };
        if part.len() != 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BAD_PATH);
        }
        let part: u64 = part.parse().map_err(|_| BAD_PATH)?;
        index = index.checked_mul(1000).and_then(|index| index.checked_add(part)).ok_or(BAD_PATH)?;
    }
    let width = u16::try_from(width).map_err(|_| BAD_PATH)?;
    // One path per tile: neither `.p/256` nor leading elements of zero.
    if index_path(index, width) == path { Ok((index, width)) } else { Err(BAD_PATH) }
}
