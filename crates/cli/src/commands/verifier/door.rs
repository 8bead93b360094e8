//! A verifier's door to one context, on disk: open challenges, who was admitted where each person is admitted once, and a log of
//! attempts.
//!
//! | file | holds |
//! |---|---|
//! | `open/NONCE` | a challenge that waits for its answer; gone when it is answered |
//! | `admitted` | pseudonyms of this one context, 48 bytes each; only where each person is admitted once |
//! | `attempts.log` | one line per attempt: when, and what came of it; nothing about a person |
//! | `lock` | nothing; one process at a time |
//!
//! **Order**: a person is on the list, on the disk, before the challenge is used up, and both before the answer. So a crash can cost a
//! person their place and never gives anybody two.
//!
//! **A masquerade leaves nothing behind**: once it has closed, the next use of the door erases the list and the challenges. The log of a
//! masquerade has only counts.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use credential::{
    Challenge, Context as Place, Envelope as _, Error, Gate, Issuers, Kind, Presentation, Pseudonym, Verified, limits,
};
use serde_json::json;
use types::{Digest, UnixSeconds};

use super::{code_of, now, refused};
use crate::context::Context;
use crate::failure::Failure;
use crate::home::{create_private_folder, write_private};

/// Bytes of one pseudonym on the list.
const ENTRY: usize = 48;

pub(super) struct Door {
    place: Place,
    folder: PathBuf,
    /// Held until the command ends.
    _lock: File,
}

impl Door {
    /// The door of `place`, in the folder named or in the data home. Erases what is over.
    pub(super) fn open(context: &Context, place: &Place, folder: Option<&Path>) -> Result<Self, Failure> {
        let folder = folder.map_or_else(|| context.home.gate(&place.scope()), Path::to_owned);
        let failed = |error: std::io::Error| Failure::write(&folder, &error);
        create_private_folder(&folder.join("open")).map_err(failed)?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let scope = folder.join("context");
        match fs::read_to_string(&scope) {
            Ok(text) if text.trim() == place.scope().to_hex() => {}
            Ok(_) => {
                let what = "this state folder belongs to another context";
                return Err(Failure::input(what, "use another --state folder for each context").about(folder.display()));
            }
            Err(_) => {
                write_private(&scope, place.scope().to_hex().as_bytes()).map_err(failed)?;
            }
        }
        let door = Self { place: place.clone(), folder, _lock: lock };
        door.tidy(now())?;
        Ok(door)
    }

    /// Erases challenges whose time is over, and everything of a masquerade that has closed.
    fn tidy(&self, at: UnixSeconds) -> Result<(), Failure> {
        let over = self.place.kind() == Kind::Masquerade && self.place.closes().is_some_and(|closes| closes <= at);
        let open = self.folder.join("open");
        for entry in fs::read_dir(&open).map_err(|error| Failure::read(&open, &error))?.flatten() {
            let path = entry.path();
            let kept = fs::read(&path).ok().and_then(|bytes| Challenge::from_bytes(&bytes).ok());
            if over || kept.is_none_or(|challenge| challenge.expires_at() < at) {
                wipe(&path).map_err(|error| Failure::write(&path, &error))?;
            }
        }
        let list = self.admitted();
        if over && list.exists() {
            wipe(&list).map_err(|error| Failure::write(&list, &error))?;
        }
        Ok(())
    }

    fn admitted(&self) -> PathBuf {
        self.folder.join("admitted")
    }

    fn waiting(&self, nonce: &[u8; 32]) -> PathBuf {
        self.folder.join("open").join(Digest(*nonce).to_hex())
    }

    /// A new challenge, remembered.
    pub(super) fn challenge(&self, nonce: [u8; 32], at: UnixSeconds) -> Result<Challenge, Failure> {
        let challenge = Gate::new(self.place.clone()).challenge(nonce, at).map_err(refused)?;
        let path = self.waiting(&nonce);
        write_private(&path, &challenge.to_bytes()).map_err(|error| Failure::write(&path, &error))?;
        Ok(challenge)
    }

    /// Checks a presentation against the challenge that it answers, and admits its person.
    pub(super) fn admit(
        &self,
        presentation: &Presentation,
        at: UnixSeconds,
        issuers: &Issuers,
    ) -> Result<Result<Verified, Error>, Failure> {
        let outcome = self.judge(presentation, at, issuers)?;
        self.log(at, outcome.as_ref().map_or_else(code_of, |_| "admitted"))?;
        Ok(outcome)
    }

    fn judge(
        &self,
        presentation: &Presentation,
        at: UnixSeconds,
        issuers: &Issuers,
    ) -> Result<Result<Verified, Error>, Failure> {
        let path = self.waiting(presentation.nonce());
        let mut gate = Gate::with_admitted(self.place.clone(), self.list()?);
        if let Some(challenge) = fs::read(&path).ok().and_then(|bytes| Challenge::from_bytes(&bytes).ok()) {
            gate.reopen(challenge);
        }
        let verified = match gate.admit(presentation, at, issuers) {
            Ok(verified) => verified,
            Err(error) => return Ok(Err(error)),
        };
        if self.place.kind() != Kind::Standing {
            let list = self.admitted();
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let write = || {
                let mut file = options.open(&list)?;
                file.write_all(&verified.pseudonym.0)?;
                file.sync_all()
            };
            write().map_err(|error| Failure::write(&list, &error))?;
        }
        fs::remove_file(&path).map_err(|error| Failure::write(&path, &error))?;
        Ok(Ok(verified))
    }

    /// Who was admitted; a torn last entry, of a crash, is cut off.
    fn list(&self) -> Result<Vec<Pseudonym>, Failure> {
        let path = self.admitted();
        let mut bytes = Vec::new();
        match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::read(&path, &error)),
            Ok(file) => {
                let limit = (limits::ADMITTED * ENTRY) as u64;
                file.take(limit).read_to_end(&mut bytes).map_err(|error| Failure::read(&path, &error))?;
            }
        }
        let (entries, torn) = bytes.as_chunks::<ENTRY>();
        if !torn.is_empty() {
            let whole = (bytes.len() - torn.len()) as u64;
            let cut = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(whole));
            cut.map_err(|error| Failure::write(&path, &error))?;
        }
        Ok(entries.iter().map(|entry| Pseudonym(*entry)).collect())
    }

    /// One line: when, and what came of it. Of a masquerade without the time.
    pub(super) fn log(&self, at: UnixSeconds, outcome: &str) -> Result<(), Failure> {
        let line = match self.place.kind() {
            Kind::Masquerade => json!({ "context": self.place.id(), "outcome": outcome }),
            _ => json!({ "at": at, "context": self.place.id(), "outcome": outcome }),
        };
        let path = self.folder.join("attempts.log");
        let write = || OpenOptions::new().create(true).append(true).open(&path)?.write_all(format!("{line}\n").as_bytes());
        write().map_err(|error| Failure::write(&path, &error))
    }
}

/// Overwrites a file before it goes: a deleted file's bytes stay on a disk for a while.
fn wipe(path: &Path) -> std::io::Result<()> {
    let length = fs::metadata(path)?.len();
    let mut file = OpenOptions::new().write(true).open(path)?;
    std::io::copy(&mut std::io::repeat(0).take(length), &mut file)?;
    file.sync_all()?;
    fs::remove_file(path)
}
