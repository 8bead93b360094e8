//! What was followed of the three logs ([`client::Followed`]), in a file between two visits.

use std::path::Path;

use client::Followed;
use types::limits;
use types::roster::Roster;

use crate::failure::Failure;
use crate::home::{read_limited, write_private};

const FILE: &str = "followed";

/// What an earlier visit kept, or nothing.
pub(crate) fn open(folder: &Path, roster: &Roster) -> Result<Followed, Failure> {
    let path = folder.join(FILE);
    let bytes = match read_limited(&path, 4 * limits::MONITOR_STATE_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Followed::new(roster)?),
        Err(error) => return Err(Failure::read(&path, &error)),
    };
    Followed::from_bytes(roster, &bytes).map_err(|_| {
        let hint = "delete it, and the logs are read again from their beginning";
        Failure::input("what was kept of the logs cannot be read, or is of another commons", hint).about(path.display())
    })
}

/// Keeps it, whole or not at all.
pub(crate) fn save(followed: &Followed, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(FILE);
    write_private(&path, &followed.to_bytes()).map_err(|error| Failure::write(&path, &error))
}
