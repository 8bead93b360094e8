//! The files of the log: torn, missing and altered ones, and a disk that takes nothing more.

use std::fs;

use tempfile::TempDir;
use tlog::merkle::leaf_hash;
use tlog::tile::Resource;
use tlog::{Bundle, Peaks, Tile, Tree};

use super::tiles::LogFiles;
use crate::Error;

fn entry(n: u32) -> Vec<u8> {
    n.to_le_bytes().repeat(10)
}

fn entries(from: u32, to: u32) -> Vec<Vec<u8>> {
    (from..to).map(entry).collect()
}

fn peaks(size: u32) -> Peaks {
    let mut peaks = Peaks::default();
    (0..size).for_each(|n| peaks.append(leaf_hash(&entry(n))));
    peaks
}

/// 600 entries: two full tiles and bundles on disk, 88 entries in rows.
fn filled() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files = LogFiles::open(dir.path(), 0, &[], &Peaks::default()).unwrap();
    for (from, to) in [(0, 1), (1, 255), (255, 600)] {
        files.extend(&entries(from, to)).unwrap();
    }
    assert_eq!((files.size(), files.in_full_files()), (600, 512));
    assert_eq!(files.root(), peaks(600).root());
    dir
}

fn reopen(dir: &TempDir) -> Result<LogFiles, Error> {
    LogFiles::open(dir.path(), 512, &entries(512, 600), &peaks(600))
}

#[test]
fn a_log_is_served_whole_at_every_size_it_had() {
    let dir = filled();
    let files = reopen(&dir).unwrap();
    for size in [1, 2, 255, 256, 257, 300, 511, 512, 513, 600] {
        let tree = Tree::new(600, &files);
        assert_eq!(tree.root(size).unwrap(), peaks(u32::try_from(size).unwrap()).root(), "{size}");
        for bundle in Bundle::covering(0, size) {
            let bytes = files.get(&Resource::Entries(bundle)).unwrap().unwrap();
            let first = u32::try_from(bundle.first()).unwrap();
            assert_eq!(bundle.decode(&bytes).unwrap(), entries(first, first + u32::from(bundle.width())));
        }
    }
    // A partial tile of an earlier size is the beginning of the present one.
    let whole = files.get(&Resource::Tile(Tile::new(0, 2, 88).unwrap())).unwrap().unwrap();
    let part = files.get(&Resource::Tile(Tile::new(0, 2, 5).unwrap())).unwrap().unwrap();
    assert_eq!(part, whole[..160]);
    for beyond in [Tile::new(0, 2, 89), Tile::new(0, 3, 1), Tile::new(1, 0, 3), Tile::new(2, 0, 1)] {
        assert!(files.get(&Resource::Tile(beyond.unwrap())).unwrap().is_none());
    }
    assert!(files.get(&Resource::Entries(Bundle::new(2, 89).unwrap())).unwrap().is_none());
}

#[test]
fn wrong_torn_and_missing_tiles_are_built_again() {
    let spoils: [fn(&std::path::Path); 3] = [
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[40] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| fs::write(path, &fs::read(path).unwrap()[..100]).unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for spoil in spoils {
        let dir = filled();
        let path = dir.path().join("tile/0/001");
        let good = fs::read(&path).unwrap();
        spoil(&path);
        let (_, checked) = LogFiles::unopened(dir.path()).rebuild(512, false).unwrap();
        assert_eq!((checked.bundles, checked.wrong_tiles.as_slice()), (2, &["tile/0/001".to_owned()][..]));
        let files = reopen(&dir).unwrap();
        assert_eq!((files.root(), fs::read(&path).unwrap()), (peaks(600).root(), good));
    }
}

#[test]
fn a_lost_or_altered_bundle_is_damage() {
    let dir = filled();
    let path = dir.path().join("tile/entries/000");
    let good = fs::read(&path).unwrap();
    // Tiles and rows still fit, so the node runs; whoever reads the entries, or checks, finds it.
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    let files = reopen(&dir).unwrap();
    assert!(files.get(&Resource::Entries(Bundle::new(0, 256).unwrap())).is_err());
    assert!(matches!(files.rebuild(512, false), Err(Error::Damaged { .. })));
    // Without its tile nothing vouches for it.
    fs::remove_file(dir.path().join("tile/0/000")).unwrap();
    assert!(matches!(reopen(&dir), Err(Error::Damaged { .. })));
    let mut other = good.clone();
    other[10] ^= 1;
    fs::write(&path, other).unwrap();
    assert!(matches!(reopen(&dir), Err(Error::Damaged { .. })));
    fs::write(&path, good).unwrap();
    assert!(reopen(&dir).is_ok());
}

#[test]
fn rows_that_do_not_lead_to_the_decided_root_are_damage() {
    let dir = filled();
    let mut rows = entries(512, 600);
    rows[3][0] ^= 1;
    assert!(matches!(LogFiles::open(dir.path(), 512, &rows, &peaks(600)), Err(Error::Damaged { .. })));
    rows.truncate(3);
    assert!(matches!(LogFiles::open(dir.path(), 512, &rows, &peaks(600)), Err(Error::Damaged { .. })));
}

#[test]
fn a_disk_that_takes_no_file_changes_nothing_and_the_next_call_makes_it_good() {
    let dir = tempfile::tempdir().unwrap();
    let files = LogFiles::open(dir.path(), 0, &[], &Peaks::default()).unwrap();
    files.extend(&entries(0, 200)).unwrap();
    // A file where the folder belongs: like a full disk, no file can be made.
    fs::write(dir.path().join("tile"), "").unwrap();
    assert!(matches!(files.extend(&entries(200, 300)), Err(Error::Io { .. })));
    assert_eq!((files.size(), files.root()), (200, peaks(200).root()));
    fs::remove_file(dir.path().join("tile")).unwrap();
    files.extend(&entries(200, 300)).unwrap();
    assert_eq!((files.size(), files.root()), (300, peaks(300).root()));
}
