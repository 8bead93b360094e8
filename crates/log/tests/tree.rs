//! Trees over tiles against the definitions of RFC 6962, and what a damaged tile or a wrong proof is called.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use support::{MemoryLog, entry, naive_path, naive_proof, naive_root};
use tlog::merkle::{empty_root, leaf_hash, verify_consistency, verify_inclusion};
use tlog::{Appender, Bundle, Error, Tile, TileReader, Tree};
use types::Digest;

fn hex(text: &str) -> Digest {
    Digest::from_hex(text).unwrap()
}

/// The eight leaves with which Certificate Transparency's own implementations are tested.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn known_log() -> MemoryLog {
    let mut log = MemoryLog::with_entries("example.com/known", 1, 0);
    log.append(LEAVES.iter().map(|leaf| ::hex::decode(leaf).unwrap()));
    log
}

#[test]
fn roots_of_the_certificate_transparency_vectors() {
    assert_eq!(empty_root(), hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    let log = known_log();
    for (size, root) in (1..).zip(ROOTS) {
        assert_eq!(log.tree().root(size).unwrap(), hex(root), "size {size}");
    }
}

#[test]
fn proofs_of_the_certificate_transparency_vectors() {
    let log = known_log();
    // Leaf 5 (from 0) of 8, and leaf 1 of 5.
    let path = log.tree().inclusion_proof(5, 8).unwrap();
    let expected = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(path, expected.map(hex));
    let path = log.tree().inclusion_proof(1, 5).unwrap();
    let expected = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ];
    assert_eq!(path, expected.map(hex));
    // From 6 to 8, and from 2 to 5.
    let proof = log.tree().consistency_proof(6, 8).unwrap();
    let expected = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(proof, expected.map(hex));
    let proof = log.tree().consistency_proof(2, 5).unwrap();
    let expected = [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ];
    assert_eq!(proof, expected.map(hex));
}

#[test]
fn the_tiles_are_those_of_the_specifications_example() {
    let mut appender = Appender::new();
    let mut written = std::collections::BTreeMap::new();
    for number in 0..70_000u64 {
        appender.append(leaf_hash(&number.to_be_bytes()));
    }
    written.extend(appender.take_tiles());
    let count = |level, full: bool| {
        written
            .keys()
            .filter(|tile| tile.level() == level && (tile.width() == 256) == full)
            .map(|t| t.width())
            .collect::<Vec<_>>()
    };
    assert_eq!((count(0, true).len(), count(0, false)), (273, vec![112]));
    assert_eq!((count(1, true).len(), count(1, false)), (1, vec![17]));
    assert_eq!((count(2, true).len(), count(2, false)), (0, vec![1]));
    assert_eq!(written.len(), 273 + 1 + 3);

    let mut appender = Appender::new();
    for number in 0..256u64 {
        appender.append(leaf_hash(&number.to_be_bytes()));
    }
    let paths: Vec<String> = appender.take_tiles().iter().map(|(tile, _)| tile.path()).collect();
    assert_eq!(paths, ["tile/0/000", "tile/1/000.p/1"]);
}

#[test]
fn paths() {
    for (path, level, index, width) in [
        ("tile/0/x001/x234/067", 0, 1_234_067, 256),
        ("tile/0/x001/234.p/5", 0, 1234, 5),
        ("tile/7/000.p/1", 7, 0, 1),
        ("tile/1/999", 1, 999, 256),
    ] {
        let tile = Tile::new(level, index, width).unwrap();
        assert_eq!(tile.path(), path);
        assert_eq!(Tile::from_path(path).unwrap(), tile);
    }
    assert_eq!(Bundle::new(1234, 5).unwrap().path(), "tile/entries/x001/234.p/5");
    for bad in [
        "tile/0/1",
        "tile/0/0001",
        "tile/00/001",
        "tile/0/000/001",
        "tile/0/x000/001",
        "tile/0/001.p/256",
        "tile/0/001.p/0",
        "tile/0/001.p/05",
        "tile/8/000",
        "tile/0/x001",
        "tile/0/001/",
        "/tile/0/001",
        "tile/0/+01",
        "tile/-1/001",
        "tile/0/../001",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/entries/001.p/257",
        "tile/7/001",
    ] {
        assert!(Tile::from_path(bad).is_err() && Bundle::from_path(bad).is_err(), "{bad}");
    }
}

#[test]
fn sizes_around_the_edges_of_tiles() {
    let log = MemoryLog::with_entries("example.com/edges", 1, 600);
    let leaves = log.leaves();
    for size in [1, 2, 3, 255, 256, 257, 511, 512, 513, 600u64] {
        let of_size = &leaves[..usize::try_from(size).unwrap()];
        let root = naive_root(of_size);
        assert_eq!(log.tree().root(size).unwrap(), root, "size {size}");
        for index in [0, 1, 127, 128, 254, 255, 256, 257, 511, 512, 599].into_iter().filter(|index| *index < size) {
            let path = log.tree().inclusion_proof(index, size).unwrap();
            let at = usize::try_from(index).unwrap();
            assert_eq!(path, naive_path(at, of_size), "{index} in {size}");
            verify_inclusion(&leaves[at], index, size, &path, &root).unwrap();
        }
        for old in [0, 1, 2, 128, 255, 256, 257, 512].into_iter().filter(|old| *old <= size) {
            let proof = log.tree().consistency_proof(old, size).unwrap();
            let before = usize::try_from(old).unwrap();
            assert_eq!(proof, naive_proof(before, of_size), "{old} to {size}");
            verify_consistency(old, size, &proof, &naive_root(&leaves[..before]), &root).unwrap();
        }
    }
    let root = log.tree().root(600).unwrap();
    let mut seen = 0;
    log.tree()
        .check(&root, |index, hash| {
            assert_eq!((index, hash), (seen, leaves[usize::try_from(index).unwrap()]));
            seen += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, 600);
}

#[test]
fn truncated_tile() {
    let mut log = MemoryLog::with_entries("example.com/torn", 1, 300);
    let tile = Tile::from_path("tile/0/000").unwrap();
    log.tiles.get_mut(&tile).unwrap().truncate(8190);
    let torn = Error::TornTile { path: "tile/0/000".to_owned(), got: 8190, expected: 8192 };
    assert_eq!(log.tree().root(200), Err(torn.clone()));
    assert_eq!(log.tree().inclusion_proof(3, 300), Err(torn.clone()));
    assert_eq!(log.tree().check(&Digest([0; 32]), |_, _| Ok(())), Err(torn));
}

#[test]
fn tile_of_wrong_width() {
    let mut log = MemoryLog::with_entries("example.com/width", 1, 300);
    let tile = Tile::from_path("tile/0/001.p/44").unwrap();
    log.tiles.get_mut(&tile).unwrap().truncate(43 * 32);
    let torn = Error::TornTile { path: "tile/0/001.p/44".to_owned(), got: 43 * 32, expected: 44 * 32 };
    assert_eq!(log.tree().root(300), Err(torn.clone()));
    assert_eq!(Appender::load(300, &log.tiles), Err(torn));
}

#[test]
fn missing_tile() {
    let mut log = MemoryLog::with_entries("example.com/missing", 1, 300);
    log.tiles.remove(&Tile::from_path("tile/1/000.p/1").unwrap());
    let gone = Error::Unavailable { path: "tile/1/000.p/1".to_owned(), reason: "it was not fetched".to_owned() };
    assert_eq!(log.tree().root(300), Err(gone));
}

#[test]
fn altered_tile() {
    let log = MemoryLog::with_entries("example.com/altered", 1, 600);
    let root = log.tree().root(600).unwrap();
    for (path, error) in [
        ("tile/0/001", Error::WrongTile { path: "tile/1/000.p/2".to_owned() }),
        ("tile/1/000.p/2", Error::WrongTile { path: "tile/1/000.p/2".to_owned() }),
        ("tile/0/002.p/88", Error::WrongRoot { size: 600 }),
    ] {
        let mut altered = log.clone();
        altered.tiles.get_mut(&Tile::from_path(path).unwrap()).unwrap()[40] ^= 1;
        assert_eq!(altered.tree().check(&root, |_, _| Ok(())), Err(error), "{path}");
    }
}

#[test]
fn a_full_tile_serves_for_a_partial_one() {
    let log = MemoryLog::with_entries("example.com/grown", 1, 300);
    // A reader of the older tree of 200 entries finds only the tile that was filled since.
    let full = log.tiles[&Tile::from_path("tile/0/000").unwrap()].clone();
    let fetched = [(Tile::from_path("tile/0/000.p/200").unwrap(), full)].into();
    assert_eq!(Tree::<&std::collections::BTreeMap<_, _>>::new(200, &fetched).root(200), log.tree().root(200));
}

#[test]
fn torn_bundle() {
    let log = MemoryLog::with_entries("example.com/bundles", 1, 300);
    let bundle = Bundle::from_path("tile/entries/001.p/44").unwrap();
    let bytes = log.bundle(bundle);
    assert_eq!(bundle.decode(&bytes).unwrap().len(), 44);
    assert_eq!(bundle.first(), 256);
    for cut in [1, 2, 50, bytes.len() - 1] {
        assert!(matches!(bundle.decode(&bytes[..cut]), Err(Error::TornTile { .. })), "cut at {cut}");
    }
    let one_more = [&bytes[..], &[0, 0]].concat();
    assert!(matches!(bundle.decode(&one_more), Err(Error::TornTile { .. })));
    let bundles: Vec<String> = Bundle::covering(250, 600).map(Bundle::path).collect();
    assert_eq!(bundles, ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"]);
    assert_eq!(Bundle::covering(5, 5).count(), 0);
    assert_eq!(Bundle::covering(256, 512).map(Bundle::path).collect::<Vec<_>>(), ["tile/entries/001"]);
}

#[test]
fn out_of_range() {
    let log = MemoryLog::with_entries("example.com/range", 1, 10);
    assert_eq!(log.tree().root(11), Err(Error::OutOfRange { got: 11, size: 10 }));
    assert_eq!(log.tree().inclusion_proof(10, 10), Err(Error::OutOfRange { got: 10, size: 10 }));
    assert_eq!(log.tree().consistency_proof(6, 5), Err(Error::OutOfRange { got: 6, size: 5 }));
    assert_eq!(log.tree().leaf(10), Err(Error::OutOfRange { got: 10, size: 10 }));
    assert_eq!(log.tree().leaf(9).unwrap(), entry(9).leaf_hash());
}

proptest! {
    #[test]
    fn tiles_hold_the_tree_of_the_definition(
        grow in prop::collection::vec(1usize..400, 1..5), index in any::<prop::sample::Index>(), old in any::<prop::sample::Index>(),
        size in any::<prop::sample::Index>(), flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let mut log = MemoryLog::with_entries("example.com/property", 1, 0);
        let mut resumed = Appender::new();
        let mut next = 0u64;
        for count in grow {
            let entries: Vec<Vec<u8>> = (next..).take(count).map(|number| number.to_be_bytes().to_vec()).collect();
            next += count as u64;
            for entry in &entries {
                resumed.append(leaf_hash(entry));
            }
            log.append(entries);
            // Whoever starts again from the tiles goes on as if nothing had happened.
            resumed.take_tiles();
            let loaded = Appender::load(next, &log.tiles).unwrap();
            prop_assert_eq!(&loaded, &resumed);
            prop_assert_eq!(loaded.root(), log.appender.root());
        }
        let all = log.leaves();
        let size = 1 + size.index(all.len());
        let leaves = &all[..size];
        let (index, old) = (index.index(size), old.index(size + 1));
        let (size, root) = (size as u64, naive_root(leaves));
        prop_assert_eq!(log.tree().root(size).unwrap(), root);
        let fetch = |tiles: std::collections::BTreeSet<Tile>| -> std::collections::BTreeMap<Tile, Vec<u8>> {
            tiles.into_iter().map(|tile| (tile, log.tiles[&tile].clone())).collect()
        };

        // What is said to be needed suffices.
        let path = log.tree().inclusion_proof(index as u64, size).unwrap();
        prop_assert_eq!(&path, &naive_path(index, leaves));
        let fetched = fetch(log.tree().tiles_for_inclusion(index as u64, size).unwrap());
        prop_assert_eq!(Tree::new(log.size(), &fetched).inclusion_proof(index as u64, size).unwrap(), path.clone());
        verify_inclusion(&leaves[index], index as u64, size, &path, &root).unwrap();

        let proof = log.tree().consistency_proof(old as u64, size).unwrap();
        prop_assert_eq!(&proof, &naive_proof(old, leaves));
        let fetched = fetch(log.tree().tiles_for_consistency(old as u64, size).unwrap());
        prop_assert_eq!(Tree::new(log.size(), &fetched).consistency_proof(old as u64, size).unwrap(), proof.clone());
        let old_root = naive_root(&leaves[..old]);
        verify_consistency(old as u64, size, &proof, &old_root, &root).unwrap();

        // A changed bit anywhere, a hash more or less, another place: nothing of it is accepted.
        let not_included = Err(Error::NotIncluded { index: index as u64, size });
        if !path.is_empty() {
            let mut wrong = path.clone();
            wrong[flip.0.index(path.len())].0[usize::from(flip.1 >> 3)] ^= 1 << (flip.1 & 7);
            prop_assert_eq!(verify_inclusion(&leaves[index], index as u64, size, &wrong, &root), not_included.clone());
            prop_assert_eq!(verify_inclusion(&leaves[index], index as u64, size, &path[1..], &root), not_included.clone());
            let other = (index as u64 + 1) % size;
            prop_assert!(verify_inclusion(&leaves[index], other, size, &path, &root).is_err());
        }
        let longer = [&path[..], &[root]].concat();
        prop_assert_eq!(verify_inclusion(&leaves[index], index as u64, size, &longer, &root), not_included);
        let not_consistent = Err(Error::NotConsistent { old: old as u64, new: size });
        if !proof.is_empty() {
            let mut wrong = proof.clone();
            wrong[flip.0.index(proof.len())].0[usize::from(flip.1 >> 3)] ^= 1 << (flip.1 & 7);
            prop_assert_eq!(verify_consistency(old as u64, size, &wrong, &old_root, &root), not_consistent.clone());
            let shorter = &proof[..proof.len() - 1];
            prop_assert_eq!(verify_consistency(old as u64, size, shorter, &old_root, &root), not_consistent.clone());
        }
        let longer = [&proof[..], &[root]].concat();
        prop_assert_eq!(verify_consistency(old as u64, size, &longer, &old_root, &root), not_consistent);
    }
}

/// Tiles by path, and how many were read.
struct Counted(BTreeMap<Tile, Vec<u8>>, Cell<u32>);

impl TileReader for Counted {
    fn read(&self, tile: Tile) -> Result<Vec<u8>, String> {
        self.1.set(self.1.get() + 1);
        self.0.get(&tile).cloned().ok_or_else(|| format!("no tile {}", tile.path()))
    }
}

/// A log of `size` leaves in which the one at `odd` is another.
fn odd_at(size: u64, odd: Option<u64>) -> Counted {
    let mut tree = Appender::new();
    for index in 0..size {
        let leaf = leaf_hash(&index.to_le_bytes());
        tree.append(if odd == Some(index) { Digest([1; 32]) } else { leaf });
    }
    Counted(tree.take_tiles().into_iter().collect(), Cell::new(0))
}

#[test]
fn where_two_logs_part_is_found_with_one_tile_a_level() {
    for (ours, theirs) in [(1, 1), (200, 300), (256, 257), (700, 700), (66_000, 65_537), (70_000, 66_100)] {
        let common = u64::min(ours, theirs);
        let honest = odd_at(ours, None);
        let alike = odd_at(theirs, None);
        let found = |other: &Counted| Tree::new(ours, &honest).parting(&Tree::new(theirs, other), common).unwrap();
        assert_eq!(found(&alike), None, "{ours} and {theirs}");
        for odd in [0, 1, 255, 256, 511, 65_535, 65_536, 65_999, common - 1] {
            if odd < common {
                honest.1.set(0);
                assert_eq!(found(&odd_at(theirs, Some(odd))), Some(odd), "{ours} and {theirs}");
                assert!(honest.1.get() <= 3, "{} tiles", honest.1.get());
            }
        }
        // Beyond what both hold there is nothing to compare.
        if theirs > common {
            assert_eq!(found(&odd_at(theirs, Some(common))), None);
        }
    }
    assert_eq!(Tree::new(0, &odd_at(0, None)).parting(&Tree::new(5, &odd_at(5, None)), 0), Ok(None));
}
