//! Evidence that a log showed two histories, which anybody can check with the log's public key alone.
//!
//! Two forms. *Same size*: two signed checkpoints of one size with different roots. *Entry*: two signed checkpoints of any sizes,
//! and for one index a leaf with an inclusion proof in each, the leaves being different; this is how a fork shows when the sizes
//! differ, since the absence of a consistency proof is nothing that can be handed around.
//!
//! The text form is a first line, the two sides as C2SP checkpoints or `tlog-proof`s, and a line between them.

use std::fmt;

use types::{Digest, limits};

use crate::Error;
use crate::checkpoint::SignedCheckpoint;
use crate::line::{hash, split_line, text as utf8, to_base64};
use crate::merkle::verify_inclusion;
use crate::note::VerifierKey;
use crate::proof::TlogProof;
use crate::tree::{TileReader, Tree};

const SAME_SIZE: &str = "trust-commons/log-conflict/same-size@v1";
const ENTRY: &str = "trust-commons/log-conflict/entry@v1";
const BETWEEN: &str = "--- and ---\n";

/// Two histories of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    SameSize(Box<[SignedCheckpoint; 2]>),
    Entry(Box<[(Digest, TlogProof); 2]>),
}

impl Conflict {
    /// Two checkpoints of one size that differ in their root.
    ///
    /// # Errors
    /// [`Error::NoConflict`], and as [`SignedCheckpoint::verify`].
    pub fn same_size(first: SignedCheckpoint, second: SignedCheckpoint, log: &VerifierKey) -> Result<Self, Error> {
        let conflict = Self(Form::SameSize(Box::new([first, second])));
        conflict.verify(log).map(|()| conflict)
    }

    /// Two leaves at one index, each with its hash and its proof.
    ///
    /// # Errors
    /// [`Error::NoConflict`], [`Error::NotIncluded`], and as [`SignedCheckpoint::verify`].
    pub fn entry(first: (Digest, TlogProof), second: (Digest, TlogProof), log: &VerifierKey) -> Result<Self, Error> {
        let conflict = Self(Form::Entry(Box::new([first, second])));
        conflict.verify(log).map(|()| conflict)
    }

    /// Looks for the first leaf at which two histories part, in the tiles of both. One side's tiles may be one's own: a node that
    /// holds the same entries as the log's earlier checkpoint can prove them to it.
    ///
    /// # Errors
    /// [`Error::NoConflict`] when the smaller is the beginning of the larger; [`Error::NotIncluded`] when tiles and checkpoint do not
    /// fit; [`Error::Unavailable`], [`Error::TornTile`]; as [`SignedCheckpoint::verify`].
    pub fn between<A: TileReader, B: TileReader>(
        first: (&Tree<A>, SignedCheckpoint),
        second: (&Tree<B>, SignedCheckpoint),
        log: &VerifierKey,
    ) -> Result<Self, Error> {
        let sizes = (first.1.verify(log)?.size, second.1.verify(log)?.size);
        if sizes.0 == sizes.1 {
            return Self::same_size(first.1, second.1, log);
        }
        let common = sizes.0.min(sizes.1);
        if let Some(index) = first.0.parting(second.0, common)? {
            let one = (first.0.leaf(index)?, TlogProof::make(first.0, index, first.1)?);
            return Self::entry(one, (second.0.leaf(index)?, TlogProof::make(second.0, index, second.1)?), log);
        }
        Err(Error::NoConflict { rule: "the smaller log is the beginning of the larger" })
    }

    /// Does this show that the log whose key this is signed two histories?
    ///
    /// # Errors
    /// [`Error::NoConflict`] when it does not; [`Error::NotIncluded`], [`Error::NotSigned`], [`Error::BadSignature`],
    /// [`Error::WrongOrigin`] when a part of it does not hold.
    pub fn verify(&self, log: &VerifierKey) -> Result<(), Error> {
        match &self.0 {
            Form::SameSize(sides) => {
                let [first, second] = &**sides;
                let (first, second) = (first.verify(log)?, second.verify(log)?);
                if first.size != second.size {
                    return Err(Error::NoConflict { rule: "the checkpoints are of different sizes" });
                }
                if first.root == second.root {
                    return Err(Error::NoConflict { rule: "the checkpoints are the same" });
                }
            }
            Form::Entry(sides) => {
                for (leaf, proof) in sides.iter() {
                    let checkpoint = proof.checkpoint.verify(log)?;
                    verify_inclusion(leaf, proof.index, checkpoint.size, &proof.path, &checkpoint.root)?;
                }
                let [(first, one), (second, other)] = &**sides;
                if one.index != other.index {
                    return Err(Error::NoConflict { rule: "the entries stand at different places" });
                }
                if first == second {
                    return Err(Error::NoConflict { rule: "the entries are the same" });
                }
            }
        }
        Ok(())
    }

    /// Sizes of the two checkpoints. Whoever reads evidence from others verifies it first.
    pub fn sizes(&self) -> [u64; 2] {
        match &self.0 {
            Form::SameSize(sides) => sides.each_ref().map(|side| side.unverified().size),
            Form::Entry(sides) => sides.each_ref().map(|(_, proof)| proof.checkpoint.unverified().size),
        }
    }

    /// Reads what `Display` writes. Verifies nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "evidence of a conflict";
        let text = utf8(WHAT, bytes, 2 * limits::TLOG_PROOF_BYTES + 512)?;
        let (form, rest) = split_line(WHAT, text)?;
        let rule = "two checkpoints or two proofs with a line between";
        let (first, second) = rest.split_once(BETWEEN).ok_or(Error::Malformed { what: WHAT, rule })?;
        match form {
            SAME_SIZE => {
                let sides = [SignedCheckpoint::parse(first.as_bytes())?, SignedCheckpoint::parse(second.as_bytes())?];
                Ok(Self(Form::SameSize(Box::new(sides))))
            }
            ENTRY => Ok(Self(Form::Entry(Box::new([leaf_and_proof(first)?, leaf_and_proof(second)?])))),
            _ => Err(Error::Malformed { what: WHAT, rule: "the first line names a form that this program does not know" }),
        }
    }
}

fn leaf_and_proof(text: &str) -> Result<(Digest, TlogProof), Error> {
    const WHAT: &str = "evidence of a conflict";
    let (leaf, proof) = split_line(WHAT, text)?;
    let leaf = leaf.strip_prefix("leaf ").ok_or(Error::Malformed { what: WHAT, rule: "name the leaf before its proof" })?;
    Ok((hash(WHAT, leaf)?, TlogProof::parse(proof.as_bytes())?))
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::SameSize(sides) => {
                let [first, second] = &**sides;
                write!(f, "{SAME_SIZE}\n{first}{BETWEEN}{second}")
            }
            Form::Entry(sides) => {
                let [first, second] = sides.each_ref().map(|(leaf, proof)| format!("leaf {}\n{proof}", to_base64(&leaf.0)));
                write!(f, "{ENTRY}\n{first}{BETWEEN}{second}")
            }
        }
    }
}
