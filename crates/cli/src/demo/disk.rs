//! A look at a node's disk from outside: the bytes that stand for one record in its segment file.
//!
//! It reads the files as a thief of the disk would, with the layout that `node::store` documents: a frame names its record by the
//! operation that brought it, 28 bytes before its values.

use std::path::{Path, PathBuf};

use types::OperationId;

/// From a record's name to its values.
const NAME_TO_VALUES: usize = 28;

/// Where a record's values lie.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    file: PathBuf,
    offset: usize,
    length: usize,
}

impl Place {
    /// Finds the values, `length` bytes long, of the record that `operation` brought.
    pub(crate) fn find(data_dir: &Path, profile: &str, operation: &OperationId, length: usize) -> Option<Self> {
        let folder = data_dir.join("shares").join(profile);
        let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        for file in files {
            let bytes = std::fs::read(&file).ok()?;
            if let Some(at) = bytes.windows(operation.0.len()).position(|window| window == operation.0) {
                return Some(Self { file, offset: at + NAME_TO_VALUES, length });
            }
        }
        None
    }

    /// The bytes there now.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let bytes = std::fs::read(&self.file).ok()?;
        bytes.get(self.offset..self.offset + self.length).map(<[u8]>::to_vec)
    }

    /// The same as 16-bit numbers.
    pub(crate) fn read_values(&self) -> Option<Vec<u16>> {
        let bytes = self.read()?;
        Some(bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(u16::from_le_bytes).collect())
    }

    /// Whether nothing but zeros is left.
    pub(crate) fn is_zero(&self) -> bool {
        self.read().is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
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
        let mut bytes = vec![9; 76];
        bytes.extend([7; 16]);
        bytes.extend([0; NAME_TO_VALUES - 16]);
        bytes.extend([1, 2, 3, 4, 5]);
        std::fs::write(shares.join("000000.seg"), &bytes).unwrap();
        let place = Place::find(folder.path(), "face-512", &OperationId([7; 16]), 4).unwrap();
        assert_eq!(place.read_values().unwrap(), [0x0201, 0x0403]);
        assert!(!place.is_zero());
        let values = bytes.len() - 5;
        bytes[values..].fill(0);
        std::fs::write(shares.join("000000.seg"), &bytes).unwrap();
        assert!(place.is_zero());
        assert!(Place::find(folder.path(), "face-512", &OperationId([8; 16]), 4).is_none());
    }
}
