//! The data home of a member: encrypted keys, receipts, the roster of a running `commons dev`, journals of bulk enrolments.
//!
//! `$COMMONS_HOME`, else `$XDG_DATA_HOME/trust-commons`, else `~/.local/share/trust-commons`.
//!
//! | file | trusted? what can an attacker who changes it do? |
//! |---|---|
//! | `keys/NAME.key` | no (authenticated under the passphrase): make the key unusable |
//! | `wallets/*/NAME.wallet` | no (authenticated under the member's key): make it unusable, or put back an older one |
//! | `wallets/*/NAME.credentials` | no (sealed to the member's key): lose credentials for wallets |
//! | `gates/*/` | yes: let a person in twice, or take a challenge away; holds no name but pseudonyms of one context |
//! | `reveal-keys/NAME.key` | yes (not encrypted): make and read what is revealed to this name |
//! | `receipts/NAME/*.json` | no (three signatures inside): lose a proof |
//! | `guardians/*/NAME.sealed` | no (sealed to the member's key): lose the names of one's guardians |
//! | `guarded/NAME/*.share` | no (sealed to the guardian's key): lose a share; says nothing to who reads it |
//! | `recovering/*/NAME.json` | no (ids only): forget which recovery to finish |
//! | `inherited/*/NAME.sealed` | no (sealed to the member's key): lose the names that relying parties know, until it is released again |
//! | `parties/NAME.key` | yes (not encrypted: a machine reads it): ask and use grants as that relying party |
//! | `parties/NAME.receipts/*.json` | no (three signatures inside): lose a proof |
//! | `charters/*/*.charter` | no (three signatures inside): lose an older version of the rules |
//! | `charters/*/read` | yes: hide that the rules changed since you last read them |
//! | `logs/*/*` | yes: make a rewritten log pass as the one that was followed before |
//! | `dev/roster.toml` | yes: send you to another commons; only ever written by `commons dev` |
//! | `bulk/*/*.journal` | yes, for the summary only: rows would be skipped or tried again |

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use client::keyfile::Cost;
use client::{Error, MemberKey};
use types::{Digest, PartyId};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Bytes of a key file at most.
const KEY_FILE_BYTES: u64 = 4096;

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// From the environment.
    pub(crate) fn locate() -> Result<Self, Failure> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("COMMONS_HOME")
            .or_else(|| set("XDG_DATA_HOME").map(|base| base.join("trust-commons")))
            .or_else(|| set("HOME").map(|home| home.join(".local/share/trust-commons")));
        let none =
            || Failure::input("this system names no home folder", "set COMMONS_HOME to a folder for your keys and receipts");
        Ok(Self { root: root.ok_or_else(none)? })
    }

    pub(crate) fn dev_roster(&self) -> PathBuf {
        self.root.join("dev/roster.toml")
    }
    pub(crate) fn key_file(&self, member: &str) -> PathBuf {
        self.root.join("keys").join(format!("{member}.key"))
    }
    pub(crate) fn receipts(&self, member: &str) -> PathBuf {
        self.root.join("receipts").join(member)
    }
    /// A member's guardians, by the member's own words for them.
    pub(crate) fn guardians(&self, member: &str, commons: &Digest) -> PathBuf {
        self.root.join("guardians").join(short(commons)).join(format!("{member}.sealed"))
    }
    /// Shares that a guardian keeps for others.
    pub(crate) fn guarded(&self, guardian: &str) -> PathBuf {
        self.root.join("guarded").join(guardian)
    }
    /// The recovery to this device that waits.
    pub(crate) fn recovering(&self, member: &str, commons: &Digest) -> PathBuf {
        self.root.join("recovering").join(short(commons)).join(format!("{member}.json"))
    }
    /// What a recovered member's device inherited from the ones before.
    pub(crate) fn inherited(&self, member: &str, commons: &Digest) -> PathBuf {
        self.root.join("inherited").join(short(commons)).join(format!("{member}.sealed"))
    }
    /// Personas of a member in one commons.
    pub(crate) fn wallet(&self, member: &str, commons: &Digest) -> PathBuf {
        self.root.join("wallets").join(short(commons)).join(format!("{member}.wallet"))
    }
    /// Credentials for wallets of a member in one commons.
    pub(crate) fn credentials(&self, member: &str, commons: &Digest) -> PathBuf {
        self.root.join("wallets").join(short(commons)).join(format!("{member}.credentials"))
    }
    /// What a verifier remembers of one context.
    pub(crate) fn gate(&self, scope: &Digest) -> PathBuf {
        self.root.join("gates").join(short(scope))
    }
    pub(crate) fn reveal_key(&self, name: &str) -> PathBuf {
        self.root.join("reveal-keys").join(format!("{name}.key"))
    }
    pub(crate) fn parties(&self) -> PathBuf {
        self.root.join("parties")
    }
    pub(crate) fn party_key(&self, party: &PartyId) -> PathBuf {
        self.parties().join(format!("{party}.key"))
    }
    pub(crate) fn party_receipts(&self, party: &PartyId) -> PathBuf {
        self.parties().join(format!("{party}.receipts"))
    }
    /// Charters of the commons with this roster digest that were in force.
    pub(crate) fn charters(&self, commons: &Digest) -> PathBuf {
        self.root.join("charters").join(short(commons))
    }
    /// What was followed of the logs of this commons, by `whom`.
    pub(crate) fn logs(&self, commons: &Digest, whom: &str) -> PathBuf {
        self.root.join("logs").join(short(commons)).join(whom)
    }
    pub(crate) fn journal(&self, member: &str, job: &str) -> PathBuf {
        self.root.join("bulk").join(member).join(format!("{job}.journal"))
    }

    /// Reads and opens a member's key; `None` when there is none yet.
    pub(crate) fn open_key(
        &self,
        member: &str,
        passphrase: impl FnOnce() -> Result<Zeroizing<String>, Failure>,
    ) -> Result<Option<MemberKey>, Failure> {
        let path = self.key_file(member);
        let bytes = match read_limited(&path, KEY_FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::read(&path, &error)),
        };
        let key = MemberKey::open(&bytes, passphrase()?.as_bytes());
        key.map(Some).map_err(|error| Failure::from(error).about(path.display()))
    }

    /// Makes a new key and writes it under `passphrase`.
    pub(crate) fn create_key(&self, member: &str, passphrase: &Zeroizing<String>) -> Result<MemberKey, Failure> {
        let mut random = Zeroizing::new([0; 72]);
        getrandom::fill(random.as_mut()).map_err(|_| Error::NoRandomness)?;
        let (seed, header) = random.split_first_chunk::<32>().ok_or(Error::NoRandomness)?;
        let header: &[u8; 40] = header.try_into().map_err(|_| Error::NoRandomness)?;
        let key = MemberKey::from_random(seed);
        let file = key.seal(passphrase.as_bytes(), Cost::default(), header)?;
        let path = self.key_file(member);
        write_new_private(&path, &file).map_err(|error| Failure::write(&path, &error))?;
        Ok(key)
    }

    /// Deletes a member's key file.
    pub(crate) fn forget_key(&self, member: &str) -> Result<(), Failure> {
        let path = self.key_file(member);
        fs::remove_file(&path).map_err(|error| Failure::write(&path, &error))
    }
}

/// Enough of a digest to tell one commons from another in a file name.
fn short(digest: &Digest) -> String {
    digest.to_hex().chars().take(16).collect()
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if read as u64 > limit {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Writes a file that only its owner may read, whole or not at all, replacing an older one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = private_temporary(path, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The same, never replacing.
pub(crate) fn write_new_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = private_temporary(path, bytes)?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// Temporary files are made with mode 0600.
fn private_temporary(path: &Path, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
    create_private_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes a folder that only its owner may read, with its parents.
pub(crate) fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn a_key_is_written_once_private_and_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { root: folder.path().join("home") };
        assert!(home.open_key("me", || Ok(passphrase("x"))).unwrap().is_none());
        let key = home.create_key("me", &passphrase("secret")).unwrap();
        let commons = types::Digest([1; 32]);
        let opened = home.open_key("me", || Ok(passphrase("secret"))).unwrap().unwrap();
        assert_eq!(opened.device(&commons).verifying_key(), key.device(&commons).verifying_key());
        let wrong = home.open_key("me", || Ok(passphrase("guess"))).unwrap_err();
        assert_eq!(wrong.code, "wrong-passphrase");
        assert!(home.create_key("me", &passphrase("other")).is_err(), "a key is never overwritten");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&home.key_file("me")), 0o600);
            assert_eq!(mode(home.key_file("me").parent().unwrap()), 0o700);
        }
    }

    #[test]
    fn damaged_and_newer_key_files_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { root: folder.path().to_owned() };
        home.create_key("me", &passphrase("secret")).unwrap();
        let good = fs::read(home.key_file("me")).unwrap();
        let open = |bytes: &[u8]| {
            fs::write(home.key_file("me"), bytes).unwrap();
            home.open_key("me", || Ok(passphrase("secret"))).unwrap_err().what
        };
        assert!(open(&good[..20]).contains("damaged"));
        assert!(open(b"not a key").contains("damaged"));
        let mut newer = good.clone();
        newer[5] = 9;
        assert!(open(&newer).contains("version 9"));
        assert!(open(&vec![0; 5000]).contains("cannot be read"));
    }
}
