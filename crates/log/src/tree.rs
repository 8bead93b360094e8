//! A tree over stored tiles: roots, proofs, and what to write when it grows.
//!
//! Tiles come through [`TileReader`]; a caller who has to fetch them asks first which ones ([`Tree::tiles_for_root`] and its
//! sisters), so that this stays free of I/O. Hashes read from tiles are not trusted: whoever did not write them compares the root,
//! or verifies the proof, against a signed checkpoint.
//!
//! **Out of scope**: files and rows (`node`); verifying proofs ([`crate::merkle`]).

use std::cell::RefCell;
use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use types::Digest;

use crate::Error;
use crate::line::MAX_NUMBER;
use crate::merkle::{empty_root, node_hash};
use crate::tile::{HEIGHT, Tile, WIDTH, encode, width_at};

/// Where tiles are kept. An implementation returns a tile's bytes as they are stored; it may return the full tile where a
/// partial one was asked for. It neither checks nor repairs.
pub trait TileReader {
    /// The bytes of `tile`, or why they cannot be had, in words for people.
    ///
    /// # Errors
    /// The reason, without the path.
    fn read(&self, tile: Tile) -> Result<Vec<u8>, String>;
}

/// Tiles that were fetched beforehand.
impl TileReader for BTreeMap<Tile, Vec<u8>> {
    fn read(&self, tile: Tile) -> Result<Vec<u8>, String> {
        self.get(&tile).cloned().ok_or_else(|| "it was not fetched".to_owned())
    }
}

impl<R: TileReader + ?Sized> TileReader for &R {
    fn read(&self, tile: Tile) -> Result<Vec<u8>, String> {
        (**self).read(tile)
    }
}

/// Leaves `from..to` below one node or at the right edge of the tree; its hash is RFC 6962's MTH of them.
type Range = (u64, u64);

/// A tree of `size` leaves whose tiles come from a reader. Roots and proofs of every smaller size are in it, too.
#[derive(Debug, Clone)]
pub struct Tree<R> {
    size: u64,
    reader: R,
}

impl<R: TileReader> Tree<R> {
    /// A tree of `size` leaves.
    pub fn new(size: u64, reader: R) -> Self {
        Self { size: size.min(MAX_NUMBER), reader }
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root over the first `size` leaves.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Unavailable`], [`Error::TornTile`].
    pub fn root(&self, size: u64) -> Result<Digest, Error> {
        self.within(size)?;
        if size == 0 { Ok(empty_root()) } else { self.hashes().range((0, size)) }
    }

    /// Hash of leaf `index`.
    ///
    /// # Errors
    /// As [`Tree::root`].
    pub fn leaf(&self, index: u64) -> Result<Digest, Error> {
        if index >= self.size {
            return Err(Error::OutOfRange { got: index, size: self.size });
        }
        self.hashes().range((index, index + 1))
    }

    /// Hashes of the leaves under tile `number` of level 0, in order: 256, or fewer in the last one.
    ///
    /// # Errors
    /// As [`Tree::root`].
    pub fn leaves(&self, number: u64) -> Result<Vec<Digest>, Error> {
        if number >= self.size.div_ceil(u64::from(WIDTH)) {
            return Err(Error::OutOfRange { got: number, size: self.size });
        }
        read(&self.reader, Tile::new(0, number, width_at(number, self.size))?)
    }

    /// The first of `common` leaves at which this tree and another part; nothing when they are alike so far. Found from the top, so
    /// one tile a level is read of each, however long they are. Tiles above the leaves are believed, even where they contradict
    /// those below: whoever needs certainty proves the leaf that was found.
    ///
    /// # Errors
    /// As [`Tree::root`].
    pub fn parting<S: TileReader>(&self, other: &Tree<S>, common: u64) -> Result<Option<u64>, Error> {
        self.within(common)?;
        other.within(common)?;
        let count = |level: u8| common.checked_shr(HEIGHT * u32::from(level)).unwrap_or(0);
        let top = (0..=u8::MAX).take_while(|level| count(*level) > 0).last();
        let Some(top) = top else { return Ok(None) };
        let (mut from, mut to, mut narrowed) = (0, count(top), false);
        for level in (0..=top).rev() {
            let found = self.parting_at(other, level, (from, to))?;
            match found {
                Some(place) if level == 0 => return Ok(Some(place)),
                Some(place) => (from, to, narrowed) = (place * u64::from(WIDTH), (place + 1) * u64::from(WIDTH), true),
                // What lies beyond the last whole subtree of this level.
                None if !narrowed && level > 0 => (from, to) = (to * u64::from(WIDTH), count(level - 1)),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The first hash of a tile level that differs, from a place up to another in the same tile.
    fn parting_at<S: TileReader>(&self, other: &Tree<S>, level: u8, (from, to): Range) -> Result<Option<u64>, Error> {
        if from >= to {
            return Ok(None);
        }
        let index = from / u64::from(WIDTH);
        let tile = |size: u64| Tile::new(level, index, width_at(index, size >> (HEIGHT * u32::from(level))));
        let (ours, theirs) = (read(&self.reader, tile(self.size)?)?, read(&other.reader, tile(other.size)?)?);
        let mut places = (index * u64::from(WIDTH)..to).zip(ours.iter().zip(&theirs)).skip_while(|(place, _)| *place < from);
        Ok(places.find(|(_, (one, other))| one != other).map(|(place, _)| place))
    }

    /// That leaf `index` is in the tree of the first `size` leaves: hashes from the leaf's sibling upwards.
    ///
    /// # Errors
    /// As [`Tree::root`].
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Digest>, Error> {
        self.all(&self.inclusion(index, size)?)
    }

    /// That the first `new_size` leaves begin with the first `old_size`.
    ///
    /// # Errors
    /// As [`Tree::root`].
    pub fn consistency_proof(&self, old_size: u64, new_size: u64) -> Result<Vec<Digest>, Error> {
        self.all(&self.consistency(old_size, new_size)?)
    }

    /// The tiles that [`Tree::root`] will read.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn tiles_for_root(&self, size: u64) -> Result<BTreeSet<Tile>, Error> {
        self.within(size)?;
        Ok(self.tiles_of(&[(0, size)]))
    }

    /// The tiles that [`Tree::inclusion_proof`] will read.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn tiles_for_inclusion(&self, index: u64, size: u64) -> Result<BTreeSet<Tile>, Error> {
        Ok(self.tiles_of(&self.inclusion(index, size)?))
    }

    /// The tiles that [`Tree::consistency_proof`] will read.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn tiles_for_consistency(&self, old_size: u64, new_size: u64) -> Result<BTreeSet<Tile>, Error> {
        Ok(self.tiles_of(&self.consistency(old_size, new_size)?))
    }

    /// Reads every tile and checks that each hash above level 0 is that of the tile below it, and the root: what `fsck` does.
    /// The hashes of level 0 go to `leaf`, in order, which compares them with the entries.
    ///
    /// # Errors
    /// [`Error::WrongTile`], [`Error::WrongRoot`], whatever `leaf` returns, and as [`Tree::root`].
    pub fn check(&self, root: &Digest, mut leaf: impl FnMut(u64, Digest) -> Result<(), Error>) -> Result<(), Error> {
        let mut below: Vec<Digest> = Vec::new();
        for level in 0..=u8::MAX {
            let count = self.size.checked_shr(HEIGHT * u32::from(level)).unwrap_or(0);
            if count == 0 {
                break;
            }
            let mut full = Vec::new();
            for index in 0..count.div_ceil(u64::from(WIDTH)) {
                let tile = Tile::new(level, index, width_at(index, count))?;
                let hashes = read(&self.reader, tile)?;
                for (position, hash) in (index * u64::from(WIDTH)..).zip(&hashes) {
                    if level == 0 {
                        leaf(position, *hash)?;
                    } else if usize::try_from(position).ok().and_then(|at| below.get(at)) != Some(hash) {
                        return Err(Error::WrongTile { path: tile.path() });
                    }
                }
                if tile.width() == WIDTH {
                    full.push(subtree(&hashes));
                }
            }
            below = full;
        }
        if self.root(self.size)? == *root { Ok(()) } else { Err(Error::WrongRoot { size: self.size }) }
    }

    fn within(&self, size: u64) -> Result<(), Error> {
        if size <= self.size { Ok(()) } else { Err(Error::OutOfRange { got: size, size: self.size }) }
    }

    fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Range>, Error> {
        self.within(size)?;
        if index >= size {
            return Err(Error::OutOfRange { got: index, size });
        }
        // RFC 6962 2.1.1, from the root down.
        let (mut from, mut to) = (0, size);
        let mut siblings = Vec::new();
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                siblings.push((middle, to));
                to = middle;
            } else {
                siblings.push((from, middle));
                from = middle;
            }
        }
        siblings.reverse();
        Ok(siblings)
    }

    fn consistency(&self, old_size: u64, new_size: u64) -> Result<Vec<Range>, Error> {
        self.within(new_size)?;
        if old_size > new_size {
            return Err(Error::OutOfRange { got: old_size, size: new_size });
        }
        if old_size == 0 || old_size == new_size {
            return Ok(Vec::new());
        }
        // RFC 6962 2.1.2, from the root down: to the node at which the old tree ends.
        let (mut from, mut to) = (0, new_size);
        let mut hashes = Vec::new();
        while to != old_size {
            let middle = from + split(to - from);
            if old_size <= middle {
                hashes.push((middle, to));
                to = middle;
            } else {
                hashes.push((from, middle));
                from = middle;
            }
        }
        // Left out when it is the whole old tree, which the verifier has.
        if from > 0 {
            hashes.push((from, to));
        }
        hashes.reverse();
        Ok(hashes)
    }

    fn tiles_of(&self, ranges: &[Range]) -> BTreeSet<Tile> {
        let nodes = ranges.iter().flat_map(|range| complete_nodes(*range));
        nodes.map(|(level, index)| place(level, index, self.size).0).collect()
    }

    fn hashes(&self) -> Hashes<'_, R> {
        Hashes { size: self.size, reader: &self.reader, read: RefCell::default() }
    }

    fn all(&self, ranges: &[Range]) -> Result<Vec<Digest>, Error> {
        let hashes = self.hashes();
        ranges.iter().map(|range| hashes.range(*range)).collect()
    }
}

/// Reads each tile once.
struct Hashes<'r, R> {
    size: u64,
    reader: &'r R,
    read: RefCell<BTreeMap<Tile, Vec<Digest>>>,
}

impl<R: TileReader> Hashes<'_, R> {
    fn range(&self, range: Range) -> Result<Digest, Error> {
        let nodes: Vec<Digest> =
            complete_nodes(range).into_iter().map(|(level, index)| self.node(level, index)).collect::<Result<_, _>>()?;
        fold_right(&nodes).ok_or(Error::OutOfRange { got: range.1, size: self.size })
    }

    fn node(&self, level: u32, index: u64) -> Result<Digest, Error> {
        let (tile, from, count) = place(level, index, self.size);
        let mut cache = self.read.borrow_mut();
        let hashes = match cache.entry(tile) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(read(self.reader, tile)?),
        };
        let below = hashes.get(from..from + count);
        below.map(subtree).ok_or(Error::OutOfRange { got: (index + 1) << level, size: self.size })
    }
}

fn read<R: TileReader>(reader: &R, tile: Tile) -> Result<Vec<Digest>, Error> {
    let bytes = reader.read(tile).map_err(|reason| Error::Unavailable { path: tile.path(), reason })?;
    tile.decode(&bytes)
}

/// RFC 6962's k: the largest power of two below `count`, for `count` above 1.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The complete subtrees (level, index) that make up a range, from left to right, each larger than the next.
fn complete_nodes((mut from, to): Range) -> Vec<(u32, u64)> {
    let mut nodes = Vec::new();
    while from < to {
        let level = (to - from).ilog2();
        nodes.push((level, from >> level));
        from += 1 << level;
    }
    nodes
}

/// RFC 6962's way of joining subtrees of falling size: the last two first. `None` of nothing.
fn fold_right(nodes: &[Digest]) -> Option<Digest> {
    nodes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// Root over the complete subtree whose leaves are `hashes`, a power of two of them.
fn subtree(hashes: &[Digest]) -> Digest {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    level.first().copied().unwrap_or_else(empty_root)
}

/// The tile that holds what node (level, index) is computed from, in a tree of `size` leaves; and where in it.
fn place(level: u32, index: u64, size: u64) -> (Tile, usize, usize) {
    let (tile_level, above) = (level / HEIGHT, level % HEIGHT);
    let first = index << above;
    let tile_index = first / u64::from(WIDTH);
    let width = width_at(tile_index, size >> (HEIGHT * tile_level));
    let tile = Tile::new(u8::try_from(tile_level).unwrap_or(u8::MAX), tile_index, width);
    let from = usize::try_from(first % u64::from(WIDTH)).unwrap_or(0);
    (tile.expect("a node below 2^63 leaves lies in a tile"), from, 1 << above)
}

/// The right edge of a growing tree: at most 255 hashes per tile level, which is all that appending needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appender {
    size: u64,
    /// Per tile level, the hashes of its last, partial tile.
    edge: Vec<Vec<Digest>>,
    /// Tiles that became full since [`Appender::take_tiles`].
    full: Vec<(Tile, Vec<u8>)>,
    /// Size at the last [`Appender::take_tiles`].
    taken: u64,
}

impl Appender {
    /// Of an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a stored tree of `size` leaves: reads its partial tiles, at most one a level. Compare [`Appender::root`] with the last
    /// checkpoint before growing it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::TornTile`].
    pub fn load<R: TileReader>(size: u64, reader: &R) -> Result<Self, Error> {
        let mut edge = Vec::new();
        for level in 0..=u8::MAX {
            let count = size.checked_shr(HEIGHT * u32::from(level)).unwrap_or(0);
            if count == 0 {
                break;
            }
            let width = u16::try_from(count % u64::from(WIDTH)).unwrap_or(0);
            edge.push(if width == 0 {
                Vec::new()
            } else {
                read(reader, Tile::new(level, count / u64::from(WIDTH), width)?)?
            });
        }
        Ok(Self { size, edge, full: Vec::new(), taken: size })
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash and returns its index.
    pub fn append(&mut self, leaf: Digest) -> u64 {
        let index = self.size;
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.edge.len() == level {
                self.edge.push(Vec::new());
            }
            let Some(tile) = self.edge.get_mut(level) else { break };
            tile.push(hash);
            if tile.len() < usize::from(WIDTH) {
                break;
            }
            let hashes = std::mem::take(tile);
            hash = subtree(&hashes);
            let level = u32::try_from(level).unwrap_or(u32::MAX);
            let number = (self.size >> (HEIGHT * (level + 1))) - 1;
            let place = Tile::new(u8::try_from(level).unwrap_or(u8::MAX), number, WIDTH);
            self.full.push((place.expect("a tree below 2^63 leaves"), encode(&hashes)));
        }
        index
    }

    /// Root over all leaves.
    pub fn root(&self) -> Digest {
        // From left to right: the topmost level stands for the leftmost leaves.
        let peaks: Vec<Digest> = self
            .edge
            .iter()
            .rev()
            .flat_map(|tile| {
                let nodes = complete_nodes((0, tile.len() as u64));
                nodes.into_iter().filter_map(|(level, index)| {
                    let (from, count) = (usize::try_from(index << level).ok()?, 1usize << level);
                    tile.get(from..from + count).map(subtree)
                })
            })
            .collect();
        fold_right(&peaks).unwrap_or_else(empty_root)
    }

    /// The tiles to write: those that became full since the last call, and the partial ones of the present size. Write them before
    /// a checkpoint of this size is signed. Partial tiles of smaller sizes may then be deleted.
    pub fn take_tiles(&mut self) -> Vec<(Tile, Vec<u8>)> {
        let mut tiles = std::mem::take(&mut self.full);
        for (level, hashes) in (0u8..).zip(&self.edge) {
            let shift = HEIGHT * u32::from(level);
            let (count, before) = (self.size >> shift, self.taken >> shift);
            let width = u16::try_from(hashes.len()).unwrap_or(0);
            if width > 0 && count != before {
                let tile = Tile::new(level, count / u64::from(WIDTH), width);
                tiles.push((tile.expect("a tree below 2^63 leaves"), encode(hashes)));
            }
        }
        self.taken = self.size;
        tiles
    }
}
