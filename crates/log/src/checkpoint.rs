//! Checkpoints: a log's promise of what its first N entries are. C2SP `tlog-checkpoint`, without extension lines.
//!
//! A node signs through [`SignedCheckpoint::sign_next`], which refuses what does not continue the checkpoint signed before.

use std::fmt;

use ed25519_dalek::SigningKey;
use types::roster::Roster;
use types::{Digest, NodeId};

use crate::Error;
use crate::cosignature;
use crate::line::{hash, number, split_line, to_base64};
use crate::merkle::{empty_root, verify_consistency};
use crate::note::{KeyKind, KeyName, Note, SignatureLine, VerifierKey};

/// Size and root of a log's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: KeyName,
    /// Entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
}

/// The name of node `node`'s log: the commons' name in letters that a key name may have, the first eight bytes of the roster's
/// digest, and the node's number.
pub fn origin(roster: &Roster, node: NodeId) -> KeyName {
    name_in(roster, "node", node)
}

/// The name under which node `node` witnesses the logs of others.
pub fn witness_name(roster: &Roster, node: NodeId) -> KeyName {
    name_in(roster, "witness", node)
}

fn name_in(roster: &Roster, role: &str, node: NodeId) -> KeyName {
    let letters = roster.commons.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let words: Vec<String> = letters.collect::<String>().split('-').filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let mut slug = if words.is_empty() { "commons".to_owned() } else { words.join("-") };
    slug.truncate(64);
    let digest = roster.digest().to_hex();
    let digest = digest.get(..16).unwrap_or_default();
    KeyName::new(&format!("{slug}-{digest}/{role}-{node}")).expect("letters, digits, - and / make a key name")
}

/// The key that signs the checkpoints of node `node`, as others check it.
pub fn log_key(roster: &Roster, node: NodeId) -> Option<VerifierKey> {
    Some(VerifierKey::new(origin(roster, node), KeyKind::Ed25519, roster.node(node)?.log_key))
}

/// The key with which node `node` cosigns, as others check it.
///
/// It is the same Ed25519 key as [`log_key`]. C2SP gives the two uses different key ids, and no text is both: a cosigned message
/// begins with `cosignature/v1`, and no log of ours is called that.
pub fn witness_key(roster: &Roster, node: NodeId) -> Option<VerifierKey> {
    Some(VerifierKey::new(witness_name(roster, node), KeyKind::Cosignature, roster.node(node)?.log_key))
}

impl Checkpoint {
    /// The signed text: origin, size and root, a line each.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, to_base64(&self.root.0))
    }

    fn parse(text: &str) -> Result<Self, Error> {
        const WHAT: &str = "checkpoint";
        let (origin, rest) = split_line(WHAT, text)?;
        let (size, rest) = split_line(WHAT, rest)?;
        let (root, rest) = split_line(WHAT, rest)?;
        if !rest.is_empty() {
            return Err(Error::Malformed { what: WHAT, rule: "logs of a commons write three lines and no extensions" });
        }
        Ok(Self { origin: KeyName::new(origin)?, size: number(WHAT, size)?, root: hash(WHAT, root)? })
    }
}

/// A checkpoint under signatures, none of which has been checked yet: [`SignedCheckpoint::verify`] gives it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs `next` with the log's key if it continues `previous`, the last checkpoint that this log signed, as `proof` shows.
    ///
    /// The caller records `next` as the last one in the same step in which it compares `previous` with what it had recorded, and
    /// before anybody sees the signature.
    ///
    /// # Errors
    /// [`Error::WrongOrigin`], [`Error::Stale`], [`Error::NotConsistent`]: nothing was signed.
    pub fn sign_next(
        previous: Option<&Checkpoint>,
        next: &Checkpoint,
        proof: &[Digest],
        key: &SigningKey,
    ) -> Result<Self, Error> {
        let empty = Checkpoint { origin: next.origin.clone(), size: 0, root: empty_root() };
        let previous = previous.unwrap_or(&empty);
        if previous.origin != next.origin {
            let (expected, got) = (previous.origin.to_string(), next.origin.to_string());
            return Err(Error::WrongOrigin { expected, got });
        }
        if previous.size > next.size {
            return Err(Error::Stale { have: previous.size, got: next.size });
        }
        verify_consistency(previous.size, next.size, proof, &previous.root, &next.root)?;
        Self::sign_unchecked(next, key)
    }

    /// Signs without looking at what was signed before: for an external log's tools and for tests of cheating ones. A node calls
    /// [`SignedCheckpoint::sign_next`].
    ///
    /// # Errors
    /// [`Error::Malformed`] of a size above 2^63.
    pub fn sign_unchecked(checkpoint: &Checkpoint, key: &SigningKey) -> Result<Self, Error> {
        let checkpoint = Checkpoint::parse(&checkpoint.text())?;
        let note = Note::sign(checkpoint.text(), &checkpoint.origin, key)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a signed checkpoint; checks no signature.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let note = Note::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note })
    }

    /// The log that this claims to be of: to choose the key with which to verify it.
    pub fn origin(&self) -> &KeyName {
        &self.checkpoint.origin
    }

    /// The checkpoint, if the log whose key this is has signed it.
    ///
    /// # Errors
    /// [`Error::WrongOrigin`], [`Error::NotSigned`], [`Error::BadSignature`].
    pub fn verify(&self, log: &VerifierKey) -> Result<&Checkpoint, Error> {
        if self.checkpoint.origin != *log.name() {
            let (expected, got) = (log.name().to_string(), self.checkpoint.origin.to_string());
            return Err(Error::WrongOrigin { expected, got });
        }
        self.note.verify(log)?;
        Ok(&self.checkpoint)
    }

    /// When `witness` cosigned it.
    ///
    /// # Errors
    /// [`Error::NotSigned`], [`Error::BadSignature`].
    pub fn cosigned_at(&self, witness: &VerifierKey) -> Result<types::UnixSeconds, Error> {
        let mut at = None;
        for line in self.note.signatures().iter().filter(|line| line.claims(witness)) {
            at = at.max(Some(cosignature::verify(line, witness, &self.checkpoint)?));
        }
        at.ok_or_else(|| Error::NotSigned { name: witness.name().to_string() })
    }

    /// Adds a witness's cosignature, which the caller has verified ([`crate::witness::Reply`]).
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn add(&mut self, cosignature: SignatureLine) -> Result<(), Error> {
        self.note.add(cosignature)
    }

    /// The note, for its lines.
    pub fn note(&self) -> &Note {
        &self.note
    }

    pub(crate) fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
