//! What every command shares: how to speak, where things lie, which commons, whose key.

use std::path::{Path, PathBuf};

use client::native::NativeClient;
use client::{MemberKey, PartyKey};
use console::Term;
use ed25519_dalek::SigningKey;
use types::roster::Roster;
use types::{PartyId, limits};
use zeroize::Zeroizing;

use crate::args::Global;
use crate::failure::{Exit, Failure};
use crate::home::{Home, read_limited};
use crate::output::Output;

/// Shortest passphrase for a new key.
const PASSPHRASE_CHARS: usize = 8;

pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) home: Home,
    pub(crate) member: String,
    roster: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(out: Output, global: Global) -> Result<Self, Failure> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if global.member.is_empty() || global.member.len() > 40 || !global.member.chars().all(allowed) {
            return Err(Failure::input("this is no member name", "use 1 to 40 letters, digits, - and _ after --member"));
        }
        let home = Home::locate()?;
        let Global { member, roster, passphrase_file, .. } = global;
        Ok(Self { out, home, member, roster, passphrase_file })
    }

    /// A better hint, where it is known why nobody answers.
    pub(crate) fn explain(&self, mut failure: Failure) -> Failure {
        if self.roster.is_none() && failure.code == "unavailable" && failure.what.starts_with("nodes 1, 2 and 3") {
            failure.hint =
                "is `commons dev` still running? Start it again; unless it had a --data-dir, enrol again, too".to_owned();
        }
        failure
    }

    /// The roster that was named, or that of the running `commons dev`.
    pub(crate) fn roster(&self) -> Result<Roster, Failure> {
        let dev = self.home.dev_roster();
        let path = self.roster.as_ref().unwrap_or(&dev);
        let bytes = read_limited(path, limits::CONFIG_FILE_BYTES as u64).map_err(|error| {
            if self.roster.is_none() && error.kind() == std::io::ErrorKind::NotFound {
                return Failure::input(
                    "there is no roster, so it is not known which commons to ask",
                    "start one here with `commons dev`, or name the file that your operators gave you with --roster FILE",
                );
            }
            Failure::read(path, &error)
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::input("this is not a roster", "name the TOML file that your operators gave you"))?;
        let roster = Roster::from_toml(&text).map_err(|error| {
            let hint = "ask your operators for the roster file again";
            Failure::input(error.to_string(), hint).about(path.display())
        })?;
        Ok(with_capture(roster))
    }

    /// Writes another text where the trusted roster lies: whole, or not at all.
    pub(crate) fn replace_roster(&self, text: &str) -> Result<(), Failure> {
        let dev = self.home.dev_roster();
        let path = self.roster.as_ref().unwrap_or(&dev);
        let beside = path.with_extension("new");
        let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|error| {
            Failure::input(format!("the roster cannot be written: {error}"), "check the directory's permissions")
                .about(path.display())
        })
    }

    /// A client of the commons.
    pub(crate) fn client(&self) -> Result<NativeClient, Failure> {
        Ok(NativeClient::connect(self.roster()?)?)
    }

    /// A client, and this member's device key there. `create` makes a key where there is none.
    pub(crate) fn member(&self, create: bool) -> Result<(NativeClient, SigningKey), Failure> {
        let (client, _, device) = self.member_with_key(create)?;
        Ok((client, device))
    }

    /// The same, with the key from which everything else of the member's follows.
    pub(crate) fn member_with_key(&self, create: bool) -> Result<(NativeClient, MemberKey, SigningKey), Failure> {
        let client = self.client()?;
        let key = self.member_key(create)?;
        let device = key.device(&client.commons().digest());
        self.inherit(&client, &key, &device)?;
        Ok((client, key, device))
    }

    /// A device that came by recovery speaks under the names of the ones before.
    pub(crate) fn inherit(&self, client: &NativeClient, key: &MemberKey, device: &SigningKey) -> Result<(), Failure> {
        let path = self.home.inherited(&self.member, &client.commons().digest());
        if let Some(bytes) = crate::commands::paper::read_sealed(&path, &key.files())? {
            let bytes: Option<[u8; 32]> = bytes.as_slice().try_into().ok();
            let torn = || Failure::input("this file is damaged", "run `commons recover finish` again").about(path.display());
            client.inherit(types::sign::public_key(device), types::TraceKey::from_random(bytes.ok_or_else(torn)?));
        }
        Ok(())
    }

    /// This member's key. `create` makes one where there is none.
    pub(crate) fn member_key(&self, create: bool) -> Result<MemberKey, Failure> {
        let member = &self.member;
        if let Some(key) = self.home.open_key(member, || self.passphrase(&format!("Passphrase of the key `{member}`: ")))? {
            return Ok(key);
        }
        if !create {
            let what = format!("there is no key `{member}` on this machine");
            return Err(Failure::input(what, "enrol first with `commons enrol`, or name another key with --member"));
        }
        let passphrase = self.new_passphrase()?;
        let key = self.home.create_key(member, &passphrase)?;
        let path = self.home.key_file(member);
        self.out
            .note(&format!("A new key `{member}` lies in {}. Keep its passphrase: nobody can reset it.", path.display()));
        Ok(key)
    }

    /// The key file of a relying party or a capture station.
    pub(crate) fn machine_key(&self, path: &Path) -> Result<PartyKey, Failure> {
        let bytes = Zeroizing::new(read_limited(path, 4096).map_err(|error| Failure::read(path, &error))?);
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        PartyKey::from_text(text).map_err(|error| Failure::from(error).about(path.display()))
    }

    /// The key of the relying party named, or of the only one on this machine.
    pub(crate) fn party(&self, name: Option<&str>) -> Result<PartyKey, Failure> {
        if let Some(name) = name {
            let id = PartyId::new(name)?;
            let path = self.home.party_key(&id);
            if !path.exists() {
                let what = format!("there is no key of a relying party `{id}` on this machine");
                return Err(Failure::input(what, format!("make one with `commons party key new {id}`")));
            }
            return self.machine_key(&path);
        }
        let mut keys: Vec<PathBuf> = std::fs::read_dir(self.home.parties())
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        keys.retain(|path| path.extension().is_some_and(|extension| extension == "key"));
        keys.sort();
        match keys.as_slice() {
            [only] => self.machine_key(only),
            [] => Err(Failure::input(
                "there is no key of a relying party on this machine",
                "make one with `commons party key new NAME`",
            )),
            several => {
                let name = |path: &PathBuf| path.file_stem().map(|name| name.to_string_lossy().into_owned());
                let names: Vec<String> = several.iter().filter_map(name).collect();
                let hint = format!("choose with --party: {}", names.join(", "));
                Err(Failure::input("there are keys of several relying parties on this machine", hint))
            }
        }
    }

    fn new_passphrase(&self) -> Result<Zeroizing<String>, Failure> {
        let member = &self.member;
        let prompt = format!("New passphrase for the key `{member}` (at least {PASSPHRASE_CHARS} characters): ");
        let passphrase = self.passphrase(&prompt)?;
        if passphrase.chars().count() < PASSPHRASE_CHARS {
            return Err(Failure::input(
                "this passphrase is too short",
                format!("use at least {PASSPHRASE_CHARS} characters"),
            ));
        }
        if !self.has_given_passphrase() && *self.prompt("The same again: ")? != *passphrase {
            return Err(Failure::input("the two passphrases differ; no key was made", "try again"));
        }
        Ok(passphrase)
    }

    fn has_given_passphrase(&self) -> bool {
        self.passphrase_file.is_some() || std::env::var_os("COMMONS_PASSPHRASE").is_some()
    }

    fn passphrase(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        if let Some(path) = &self.passphrase_file {
            let bytes = Zeroizing::new(read_limited(path, 4096).map_err(|error| Failure::read(path, &error))?);
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                Failure::input("the passphrase is not text in UTF-8", "write it as plain text").about(path.display())
            })?;
            return Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        if let Ok(text) = std::env::var("COMMONS_PASSPHRASE") {
            return Ok(Zeroizing::new(text));
        }
        self.prompt(prompt)
    }

    /// Asks without showing what is typed.
    fn prompt(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        let unattended = || {
            Failure::input(
                "a passphrase is needed, and there is no terminal to ask at",
                "set COMMONS_PASSPHRASE, or name a file with --passphrase-file",
            )
        };
        let terminal = Term::stderr();
        if !terminal.is_term() || !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return Err(unattended());
        }
        terminal.write_str(prompt).map_err(|_| unattended())?;
        terminal.read_secure_line().map(Zeroizing::new).map_err(|_| unattended())
    }

    /// Asks a yes-or-no question; without a terminal the answer is an error that names `flag`.
    pub(crate) fn confirm(&self, question: &str, flag: &str) -> Result<bool, Failure> {
        let unattended = || Failure {
            exit: Exit::Input,
            code: "not-confirmed".to_owned(),
            what: "this needs your confirmation, and there is no terminal to ask at".to_owned(),
            hint: format!("add {flag} if you are sure"),
        };
        let terminal = Term::stderr();
        if !terminal.is_term() || !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return Err(unattended());
        }
        terminal.write_str(&format!("{question} [y/N] ")).map_err(|_| unattended())?;
        let answer = terminal.read_line().map_err(|_| unattended())?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
    }
}

/// A roster may leave out how photographs are captured; where it matches exactly as a built-in profile does, that one knows. Added
/// profiles are signed as they are.
pub(crate) fn with_capture(mut roster: Roster) -> Roster {
    let added: Vec<_> = roster.additions.iter().map(|addition| addition.profile.clone()).collect();
    for profile in &mut roster.profiles {
        if profile.capture.is_none()
            && !added.contains(&profile.id)
            && let Some(own) = biometric::profiles::by_id(profile.id.as_str())
            && own.digest() == profile.digest()
        {
            profile.capture = own.capture;
        }
    }
    roster
}
