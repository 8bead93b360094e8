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
    let issuers = issuers(&roster, path)?;
    Ok((roster, issuers))
}

/// The issuers of a commons: their keys and epochs lie in `issuers.toml` beside the roster.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    epochs: credential::Epochs,
    keys: [String; 3],
}

fn issuers(roster: &Roster, path: &Path) -> Result<Issuers, Error> {
    let path = path.with_file_name("issuers.toml");
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
    let wrong = || Error::Config { what: format!("{} does not list three issuers' keys", path.display()) };
    let file: File = toml::from_str(&text).map_err(|_| wrong())?;
    let key = |text: &String| hex::decode(text).ok()?.try_into().ok().map(credential::IssuerPublicKey);
    let keys: Option<Vec<_>> = file.keys.iter().map(key).collect();
    let keys = keys.and_then(|keys| keys.try_into().ok()).ok_or_else(wrong)?;
    Ok(Issuers::new(roster.digest(), file.epochs, keys)?)
}
