//! Signed notes and verifier keys: C2SP `signed-note`, with signature types 0x01 (Ed25519) and 0x04 (cosignature, see
//! [`crate::cosignature`]).
//!
//! A note is text, an empty line, and signature lines. A signature by an unknown key is ignored; one by a known key that does
//! not verify condemns the note.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use types::{DeviceKey, limits};

use crate::Error;
use crate::line::{from_base64, split_line, text as utf8, to_base64};

/// The name of a key, and so of a log or witness: no white space, no plus sign, no control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Accepts 1 to [`limits::KEY_NAME_BYTES`] bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn new(name: &str) -> Result<Self, Error> {
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        if (1..=limits::KEY_NAME_BYTES).contains(&name.len()) && name.chars().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::Malformed { what: "key name", rule: "use 1 to 200 bytes without white space or plus signs" })
        }
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// 0x01: the text of a note.
    Ed25519,
    /// 0x04: a checkpoint, with the time at which it was seen.
    Cosignature,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A public key with its name: C2SP's *vkey*.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: KeyName,
    kind: KeyKind,
    key: DeviceKey,
}

impl VerifierKey {
    /// A key for checking.
    pub fn new(name: KeyName, kind: KeyKind, key: DeviceKey) -> Self {
        Self { name, kind, key }
    }
    /// Reads `NAME+ID+KEY`, as `Display` writes it.
    ///
    /// # Errors
    /// [`Error::Malformed`]; [`Error::KeyId`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        const WHAT: &str = "verifier key";
        let bad = Error::Malformed { what: WHAT, rule: "write NAME+ID+KEY, of type 1 (Ed25519) or 4 (cosignature)" };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(bad) };
        let key = from_base64(WHAT, key)?;
        let (kind, key) = match key.split_first() {
            Some((0x01, key)) => (KeyKind::Ed25519, key),
            Some((0x04, key)) => (KeyKind::Cosignature, key),
            _ => return Err(bad),
        };
        let key = DeviceKey(key.try_into().map_err(|_| bad)?);
        let parsed = Self { name: KeyName::new(name)?, kind, key };
        if hex::encode(parsed.id()) == id { Ok(parsed) } else { Err(Error::KeyId { name: name.to_owned() }) }
    }
    /// Name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }
    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }
    /// The Ed25519 key.
    pub fn key(&self) -> DeviceKey {
        self.key
    }
    /// First four bytes of SHA-256 over name, newline, type and key: an identifier, not a commitment.
    pub fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(self.name.as_str())
            .chain_update(b"\n")
            .chain_update([self.kind.byte()])
            .chain_update(self.key.0)
            .finalize();
        *hash.first_chunk().expect("SHA-256 has 32 bytes")
    }
    /// Ed25519, rejecting weak keys and non-canonical signatures.
    pub(crate) fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let bad = || Error::BadSignature { name: self.name.to_string() };
        let key = VerifyingKey::from_bytes(&self.key.0).map_err(|_| bad())?;
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| bad())?;
        key.verify_strict(message, &signature).map_err(|_| bad())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.byte()][..], &self.key.0].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), to_base64(&key))
    }
}

/// One signature under a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    name: KeyName,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl SignatureLine {
    pub(crate) fn new(key: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self { name: key.name.clone(), id: key.id(), bytes }
    }
    /// Who claims to have signed.
    pub fn name(&self) -> &KeyName {
        &self.name
    }
    /// Claims to be by `key`: both name and id match.
    pub fn claims(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.id == key.id()
    }
    /// What follows the key id.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Reads one line, without its newline.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(line: &str) -> Result<Self, Error> {
        const WHAT: &str = "signature line";
        let bad =
            Error::Malformed { what: WHAT, rule: "write an em dash, the key's name, and key id and signature in base64" };
        let (name, signature) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(bad.clone())?;
        let bytes = from_base64(WHAT, signature)?;
        match bytes.split_first_chunk() {
            Some((id, rest)) if !rest.is_empty() => Ok(Self { name: KeyName::new(name)?, id: *id, bytes: rest.to_vec() }),
            _ => Err(bad),
        }
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\u{2014} {} {}", self.name, to_base64(&[&self.id[..], &self.bytes].concat()))
    }
}

/// A text with its signatures, none of them checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// A note under one signature.
    ///
    /// # Errors
    /// [`Error::Malformed`] when `text` cannot be a note's text.
    pub fn sign(text: String, name: &KeyName, key: &SigningKey) -> Result<Self, Error> {
        check_text(&text)?;
        let public = VerifierKey::new(name.clone(), KeyKind::Ed25519, types::sign::public_key(key));
        let line = SignatureLine::new(&public, key.sign(text.as_bytes()).to_bytes().to_vec());
        Ok(Self { text, signatures: vec![line] })
    }

    /// Reads a note. No signature is checked.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "signed note";
        let note = utf8(WHAT, bytes, limits::NOTE_BYTES)?;
        let rule = "text, an empty line and at least one signature line, each ending with a newline";
        // The text may have empty lines; the last one separates.
        let (text, mut rest) = note.rsplit_once("\n\n").ok_or(Error::Malformed { what: WHAT, rule })?;
        let mut signatures = Vec::new();
        while !rest.is_empty() {
            let (line, after) = split_line(WHAT, rest)?;
            rest = after;
            if signatures.len() == limits::NOTE_SIGNATURES {
                let (got, limit) = (signatures.len() + 1, limits::NOTE_SIGNATURES);
                return Err(Error::TooLarge { what: "signed note (signatures)", got, limit });
            }
            signatures.push(SignatureLine::parse(line)?);
        }
        if signatures.is_empty() {
            return Err(Error::Malformed { what: WHAT, rule });
        }
        let text = format!("{text}\n");
        check_text(&text)?;
        Ok(Self { text, signatures })
    }

    /// The signed text, with its last newline. Not to be believed before [`Note::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Adds a signature line, or replaces the one by the same key.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn add(&mut self, line: SignatureLine) -> Result<(), Error> {
        let (count, limit) = (self.signatures.len(), limits::NOTE_SIGNATURES);
        match self.signatures.iter_mut().find(|other| other.name == line.name && other.id == line.id) {
            Some(other) => *other = line,
            None if count < limit => self.signatures.push(line),
            None => return Err(Error::TooLarge { what: "signed note (signatures)", got: count + 1, limit }),
        }
        Ok(())
    }

    /// Checks that `key`, of type Ed25519, signed the text.
    ///
    /// # Errors
    /// [`Error::NotSigned`]; [`Error::BadSignature`] when a line claims the key and does not verify.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), Error> {
        let mut signed = false;
        for line in self.signatures.iter().filter(|line| line.claims(key)) {
            key.check(self.text.as_bytes(), &line.bytes)?;
            signed = true;
        }
        if signed && key.kind == KeyKind::Ed25519 { Ok(()) } else { Err(Error::NotSigned { name: key.name.to_string() }) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn check_text(text: &str) -> Result<(), Error> {
    let plain = text.ends_with('\n') && !text.chars().any(|c| c < ' ' && c != '\n');
    let rule = "the text ends with a newline and has no control characters";
    if plain { Ok(()) } else { Err(Error::Malformed { what: "signed note", rule }) }
}
