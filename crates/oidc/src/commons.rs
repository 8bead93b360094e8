//! The commons whose members sign in: its roster, read as issuers.

use std::path::Path;

use credential::Issuers;
use types::roster::Roster;

use crate::Error;

/// Reads the roster file.
///
/// # Errors
/// [`Error::Io`], [`Error::Value`], [`Error::Credential`].
pub fn read(path: &Path) -> Result<(Roster, Issuers), Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > types::limits::CONFIG_FILE_BYTES as u64 {
        return Err(Error::Config { what: format!("{} is too long for a roster", path.display()) });
    }
    let roster = Roster::from_toml(&std::fs::read_to_string(path).map_err(io)?)?;
    let issuers = Issuers::of(&roster)?;
    Ok((roster, issuers))
}
