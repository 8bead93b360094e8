//! A look at a node's disk from outside: the bytes that stand for one record in its segment files.
//!
//! It reads the files as a thief of the disk would, with the layout that `node::store::segment` documents: the index names a record
//! by the operation that brought it, and the record's bytes lie in the lines at the same place.

use std::path::{Path, PathBuf};

use mpc::kernel::layout::{GROUP_RECORDS, Layout, Line};
use types::OperationId;

/// Bytes before the first entry of an index.
const HEADER: usize = 64;
/// Bytes of an entry, which begins with the name of the record.
const ENTRY: usize = 32;

/// Where a record's values lie.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file of lines.
    file: PathBuf,
    place: usize,
    layout: Layout,
}

impl Place {
    /// Finds the values, `length` bytes long, of the record that `operation` brought.
    pub(crate) fn find(data_dir: &Path, profile: &str, operation: &OperationId, length: usize) -> Option<Self> {
        let folder = data_dir.join("shares").join(profile);
        let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "idx")) {
            let index = std::fs::read(&file).ok()?;
            let mut entries = index.get(HEADER..)?.chunks_exact(ENTRY);
            if let Some(place) = entries.position(|entry| entry.starts_with(&operation.0)) {
                return Some(Self { file: file.with_extension("seg"), place, layout: Layout::new(length / 2) });
            }
        }
        None
    }

    /// The 16-bit numbers there now.
    pub(crate) fn read_values(&self) -> Option<Vec<u16>> {
        let bytes = std::fs::read(&self.file).ok()?;
        let group = self.layout.group_lines() * size_of::<Line>();
        let start = self.place / GROUP_RECORDS * group;
        let lines: Vec<Line> = bytes.get(start..start + group)?.as_chunks().0.iter().map(|line| Line(*line)).collect();
        Some(self.layout.read(&lines, self.place % GROUP_RECORDS))
    }

    /// Whether nothing but zeros is left, or not even the file.
    pub(crate) fn is_zero(&self) -> bool {
        !self.file.exists() || self.read_values().is_some_and(|values| values.iter().all(|value| *value == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_the_name_of_their_record() {
        let folder = tempfile::tempdir().unwrap();
        let shares = folder.path().join("shares/face-512");
        std::fs::create_dir_all(&shares).unwrap();
        let mut index = vec![9; HEADER + 17 * ENTRY];
        index.extend([7; 16]);
        index.extend([0; ENTRY - 16]);
        std::fs::write(shares.join("000000.idx"), &index).unwrap();
        let layout = Layout::new(4);
        let mut lines = vec![Line::ZERO; layout.lines(32)];
        let write = |lines: &[Line]| {
            let bytes: Vec<u8> = lines.iter().flat_map(|line| line.0).collect();
            std::fs::write(shares.join("000000.seg"), bytes).unwrap();
        };
        layout.write(&mut lines, 17, &[1, 2, 3, 60_000]);
        layout.write(&mut lines, 16, &[5; 4]);
        write(&lines);
        let place = Place::find(folder.path(), "face-512", &OperationId([7; 16]), 8).unwrap();
        assert_eq!(place.read_values().unwrap(), [1, 2, 3, 60_000]);
        assert!(!place.is_zero());
        layout.erase(&mut lines, 17);
        write(&lines);
        assert!(place.is_zero());
        assert!(Place::find(folder.path(), "face-512", &OperationId([8; 16]), 8).is_none());
    }
}
