//! The provider's signing keys on disk: `keys/NNNN.pk8` in the data directory. The last one signs, all of them are published, so that
//! what an older one signed stays valid after `commons-oidc key new`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::Error;
use crate::jose::{Jwk, SigningKey};

/// Keys that are read.
const KEYS: usize = 16;
/// Bytes of a key's file.
const KEY_BYTES: u64 = 1024;

/// All of them.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<(String, SigningKey)>,
}

impl Keys {
    /// Makes a data directory with its first key.
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::Io`], [`Error::Jose`].
    pub fn create(dir: &Path) -> Result<(), Error> {
        let occupied = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            return Err(Error::StoreExists { path: dir.to_owned() });
        }
        let folder = dir.join("keys");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|source| io(&folder, source))?;
        Self::add(dir).map(|_| ())
    }

    /// Adds a key, which signs from the next start on. Gives its file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Jose`], [`Error::Config`] when there are many already.
    pub fn add(dir: &Path) -> Result<PathBuf, Error> {
        let paths = paths(dir)?;
        if paths.len() >= KEYS {
            return Err(Error::Config {
                what: format!("{KEYS} keys are there; remove the oldest, whose tokens have ended"),
            });
        }
        let last = paths.last().and_then(|path| path.file_stem()?.to_str()?.parse::<u32>().ok()).unwrap_or(0);
        let path = dir.join("keys").join(format!("{:04}.pk8", last + 1));
        let secret = SigningKey::generate()?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let write = file.and_then(|mut file| file.write_all(&secret).and_then(|()| file.sync_all()));
        write.and_then(|()| File::open(dir.join("keys"))?.sync_all()).map_err(|source| io(&path, source))?;
        Ok(path)
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::Exposed`], [`Error::Io`], [`Error::Jose`].
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for path in paths(dir)? {
            let file = File::open(&path).map_err(|source| io(&path, source))?;
            let about = file.metadata().map_err(|source| io(&path, source))?;
            if about.permissions().mode() & 0o077 != 0 {
                return Err(Error::Exposed { path });
            }
            let mut bytes = Zeroizing::new(Vec::new());
            file.take(KEY_BYTES).read_to_end(&mut bytes).map_err(|source| io(&path, source))?;
            let key = SigningKey::from_pkcs8(&bytes)?;
            keys.push((key.public().thumbprint(), key));
        }
        if keys.is_empty() { Err(Error::NoStore { path: dir.to_owned() }) } else { Ok(Self { keys }) }
    }

    /// A signed token, by the newest key.
    ///
    /// # Errors
    /// [`Error::Jose`].
    pub fn sign(&self, typ: &str, payload: &Value) -> Result<String, Error> {
        let (kid, key) = self.keys.last().ok_or(Error::Internal { what: "there is a signing key" })?;
        Ok(key.sign(typ, json!({ "kid": kid }), payload)?)
    }

    /// The newest key, for tokens with a header of their own.
    ///
    /// # Errors
    /// [`Error::Internal`]: never.
    pub fn newest(&self) -> Result<&SigningKey, Error> {
        self.keys.last().map(|(_, key)| key).ok_or(Error::Internal { what: "there is a signing key" })
    }

    /// A public key by its name.
    pub fn public(&self, kid: &str) -> Option<&Jwk> {
        self.keys.iter().find(|(id, _)| id == kid).map(|(_, key)| key.public())
    }

    /// The JWK Set (RFC 7517 section 5).
    pub fn to_json(&self) -> Value {
        let keys = self.keys.iter().map(|(kid, key)| {
            let mut jwk = key.public().to_json();
            if let Value::Object(jwk) = &mut jwk {
                jwk.extend([
                    ("kid".to_owned(), json!(kid)),
                    ("alg".to_owned(), json!("ES256")),
                    ("use".to_owned(), json!("sig")),
                ]);
            }
            jwk
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }
}

fn paths(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let folder = dir.join("keys");
    let entries = fs::read_dir(&folder).map_err(|_| Error::NoStore { path: dir.to_owned() })?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| io(&folder, source))?.path();
        if path.extension().is_some_and(|ending| ending == "pk8") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Token;

    #[test]
    fn the_newest_key_signs_and_older_ones_stay_published() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Keys::create(&data).unwrap();
        assert!(matches!(Keys::create(&data), Err(Error::StoreExists { .. })));
        let old = Keys::load(&data).unwrap();
        let signed = old.sign("JWT", &json!({ "sub": "me" })).unwrap();
        Keys::add(&data).unwrap();
        let new = Keys::load(&data).unwrap();
        assert_eq!(new.to_json()["keys"].as_array().unwrap().len(), 2);
        assert_ne!(new.newest().unwrap().public(), old.newest().unwrap().public());
        let token = Token::parse(&signed).unwrap();
        let kid = token.header("kid").and_then(Value::as_str).unwrap().to_owned();
        assert!(token.verify("JWT", new.public(&kid).unwrap()).is_ok());
        assert!(!format!("{new:?}").contains("pk8") && format!("{new:?}").contains("redacted"));
    }

    #[test]
    fn an_exposed_or_missing_key_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Keys::load(dir.path()), Err(Error::NoStore { .. })));
        let data = dir.path().join("data");
        Keys::create(&data).unwrap();
        fs::set_permissions(data.join("keys/0001.pk8"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::load(&data), Err(Error::Exposed { .. })));
    }
}
