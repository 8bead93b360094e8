//! Evidence that a decision is in the logs: an entry, what opens its commitment, and an offline proof from each log.
//!
//! **Out of scope**: the decision itself, receipts, charters and pages for people, which stand beside this in an evidence file
//! (`client`, `cli`).

use borsh::{BorshDeserialize, BorshSerialize};
use types::{UnixSeconds, limits};

use crate::Error;
use crate::entry::{Entry, Opening};
use crate::policy::Policy;
use crate::proof::TlogProof;

/// Version of [`Evidence`]'s encoding.
const VERSION: u16 = 1;
const WHAT: &str = "log evidence";

/// One entry, proved to be in one to three logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The entry.
    pub entry: Entry,
    /// Opens its commitment.
    pub opening: Opening,
    /// A proof per log, in any order.
    pub proofs: Vec<TlogProof>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Stored {
    version: u16,
    entry: Vec<u8>,
    opening: Opening,
    proofs: Vec<String>,
}

/// What evidence shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Index of the entry, the same in all logs.
    pub index: u64,
    /// Per proof: the log's origin, the size of its checkpoint, and who cosigned it when.
    pub logs: Vec<ShownLog>,
}

/// What one proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLog {
    /// Which log.
    pub origin: String,
    /// Size of its checkpoint.
    pub size: u64,
    /// Witness, by its name in the policy, and time.
    pub cosigned: Vec<(String, UnixSeconds)>,
}

impl Evidence {
    /// Checks, offline, that the entry is about the opening's decision, and is at one index in every log that has a proof. A proof is
    /// checked against the policy that knows its log; the caller decides how many logs suffice.
    ///
    /// # Errors
    /// [`Error::Commitment`]; [`Error::UnknownOrigin`]; [`Error::DifferentIndex`]; [`Error::Malformed`] for no proof or two of one
    /// log; as [`TlogProof::verify`].
    pub fn verify(&self, policies: &[Policy]) -> Result<Shown, Error> {
        self.opening.check(&self.entry)?;
        let leaf = self.entry.leaf_hash();
        let mut logs: Vec<ShownLog> = Vec::new();
        let mut index = None;
        for proof in &self.proofs {
            let origin = proof.checkpoint.origin();
            let policy = policies.iter().find(|policy| policy.logs().any(|log| log.name() == origin));
            let accepted =
                proof.verify(&leaf, policy.ok_or_else(|| Error::UnknownOrigin { origin: origin.to_string() })?)?;
            if logs.iter().any(|log| log.origin == origin.as_str()) {
                return Err(Error::Malformed { what: WHAT, rule: "one proof per log" });
            }
            let first = *index.get_or_insert(proof.index);
            if first != proof.index {
                return Err(Error::DifferentIndex { first, second: proof.index });
            }
            let size = accepted.checkpoint.size;
            logs.push(ShownLog { origin: origin.to_string(), size, cosigned: accepted.cosigned });
        }
        match index {
            Some(index) => Ok(Shown { index, logs }),
            None => Err(Error::Malformed { what: WHAT, rule: "it needs a proof from at least one log" }),
        }
    }

    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let proofs = self.proofs.iter().map(ToString::to_string).collect();
        types::encode(&Stored { version: VERSION, entry: self.entry.to_bytes(), opening: self.opening, proofs })
    }

    /// Reads canonical bytes; verifies nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`], [`Error::Version`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > limits::LOG_EVIDENCE_BYTES {
            return Err(Error::TooLarge {
                what: "log evidence (bytes)",
                got: bytes.len(),
                limit: limits::LOG_EVIDENCE_BYTES,
            });
        }
        let stored: Stored =
            borsh::from_slice(bytes).map_err(|_| Error::Malformed { what: WHAT, rule: "it was cut short or altered" })?;
        if stored.version != VERSION {
            return Err(Error::Version { what: WHAT, got: stored.version, known: VERSION });
        }
        if stored.proofs.len() > 3 {
            return Err(Error::TooLarge { what: "log evidence (proofs)", got: stored.proofs.len(), limit: 3 });
        }
        let proofs = stored.proofs.iter().map(|proof| TlogProof::parse(proof.as_bytes())).collect::<Result<_, _>>()?;
        let evidence = Self { entry: Entry::from_bytes(&stored.entry)?, opening: stored.opening, proofs };
        // The texts inside have one form each; so does this.
        let rule = "it must be the canonical encoding of its parts";
        if evidence.to_bytes() == bytes { Ok(evidence) } else { Err(Error::Malformed { what: WHAT, rule }) }
    }
}
