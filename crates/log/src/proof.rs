//! Offline proofs that an entry is in a log: C2SP `tlog-proof`, version 1.

use std::fmt;

use types::{Digest, limits};

use crate::Error;
use crate::checkpoint::SignedCheckpoint;
use crate::line::{from_base64, hashes, number, split_line, text as utf8, to_base64};
use crate::merkle::{PROOF_HASHES, verify_inclusion};
use crate::policy::{Accepted, Policy};
use crate::tree::{TileReader, Tree};

const FIRST: &str = "c2sp.org/tlog-proof@v1";
const WHAT: &str = "tlog proof";

/// An inclusion proof with the checkpoint it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Data for the application, which nothing authenticates. At most [`limits::TLOG_PROOF_EXTRA_BYTES`].
    pub extra: Option<Vec<u8>>,
    /// Index of the entry, from 0.
    pub index: u64,
    /// Hashes from the leaf's sibling upwards.
    pub path: Vec<Digest>,
    /// The checkpoint, with its cosignatures.
    pub checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// Proves entry `index` to `checkpoint` from the log's own tiles.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Unavailable`], [`Error::TornTile`].
    pub fn make<R: TileReader>(tree: &Tree<R>, index: u64, checkpoint: SignedCheckpoint) -> Result<Self, Error> {
        let path = tree.inclusion_proof(index, checkpoint.unverified().size)?;
        Ok(Self { extra: None, index, path, checkpoint })
    }

    /// Reads a proof; verifies nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = utf8(WHAT, bytes, limits::TLOG_PROOF_BYTES)?;
        let (first, rest) = split_line(WHAT, text)?;
        if first != FIRST {
            return Err(Error::Malformed { what: WHAT, rule: "its first line is c2sp.org/tlog-proof@v1" });
        }
        let (mut line, mut rest) = split_line(WHAT, rest)?;
        let mut extra = None;
        if let Some(data) = line.strip_prefix("extra ") {
            let bytes = from_base64(WHAT, data)?;
            if bytes.len() > limits::TLOG_PROOF_EXTRA_BYTES {
                let (got, limit) = (bytes.len(), limits::TLOG_PROOF_EXTRA_BYTES);
                return Err(Error::TooLarge { what: "extra data of a tlog proof (bytes)", got, limit });
            }
            extra = Some(bytes);
            (line, rest) = split_line(WHAT, rest)?;
        }
        let index = line.strip_prefix("index ").ok_or(Error::Malformed { what: WHAT, rule: "say the entry's index" })?;
        let index = number(WHAT, index)?;
        let (path, rest) = hashes(WHAT, rest, PROOF_HASHES)?;
        Ok(Self { extra, index, path, checkpoint: SignedCheckpoint::parse(rest.as_bytes())? })
    }

    /// Checks that the entry with this leaf hash is in a log of the policy, whose checkpoint the policy's quorum has cosigned.
    ///
    /// # Errors
    /// As [`Policy::accept`]; [`Error::OutOfRange`], [`Error::NotIncluded`].
    pub fn verify(&self, leaf: &Digest, policy: &Policy) -> Result<Accepted<'_>, Error> {
        let accepted = policy.accept(&self.checkpoint)?;
        verify_inclusion(leaf, self.index, accepted.checkpoint.size, &self.path, &accepted.checkpoint.root)?;
        Ok(accepted)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", to_base64(&hash.0))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
