//! The witness protocol, C2SP `tlog-witness`, `add-checkpoint`: both what a witness decides and what a log sends and reads.
//!
//! A witness keeps, per log, the last checkpoint it cosigned. [`Witness::consider`] decides over a request and that record; it
//! changes nothing. **The caller must make reading the record, deciding, and writing the new one a single step** (one database
//! transaction, or a compare-and-swap on [`Verdict::Accept`]'s `previous`), and must have the new record on disk before it sends
//! the reply; else two requests at once could roll a log back.
//!
//! **Out of scope**: HTTP; `sign-subtree`; serving the monitoring prefix (the record is the text that belongs there).

use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use types::{Digest, UnixSeconds, limits};

use crate::Error;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::conflict::Conflict;
use crate::cosignature;
use crate::line::{MAX_NUMBER, hashes, number, split_line, text as utf8, to_base64};
use crate::merkle::{PROOF_HASHES, verify_consistency};
use crate::note::{KeyName, SignatureLine, VerifierKey};
use crate::tree::{TileReader, Tree};

/// `Content-Type` of the reply that tells a size.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

const WHAT: &str = "add-checkpoint request";

/// Where a witness serves its record of a log, below its monitoring prefix.
pub fn monitoring_path(origin: &KeyName) -> String {
    format!("{}/checkpoint", hex::encode(Sha256::digest(origin.as_str())))
}

/// A log's request for a cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness is believed to have cosigned last; 0 for none.
    pub old: u64,
    /// That the new checkpoint continues it.
    pub proof: Vec<Digest>,
    /// The new one, signed by the log.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Asks for a cosignature on `checkpoint` from a witness that cosigned size `old` last; the proof comes from the log's own tiles.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an old size above the new one: the log was set back. [`Error::Unavailable`], [`Error::TornTile`].
    pub fn make<R: TileReader>(tree: &Tree<R>, old: u64, checkpoint: SignedCheckpoint) -> Result<Self, Error> {
        let proof = tree.consistency_proof(old, checkpoint.unverified().size)?;
        Ok(Self { old, proof, checkpoint })
    }

    /// Reads a request body; verifies nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let text = utf8(WHAT, body, limits::ADD_CHECKPOINT_BYTES)?;
        let (old, rest) = split_line(WHAT, text)?;
        let old = old.strip_prefix("old ").ok_or(Error::Malformed { what: WHAT, rule: "its first line is `old SIZE`" })?;
        let old = number(WHAT, old)?;
        let (proof, rest) = hashes(WHAT, rest, PROOF_HASHES)?;
        Ok(Self { old, proof, checkpoint: SignedCheckpoint::parse(rest.as_bytes())? })
    }

    /// The request body.
    pub fn to_body(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| to_base64(&hash.0) + "\n").collect();
        format!("old {}\n{proof}\n{}", self.old, self.checkpoint)
    }
}

/// What a witness keeps about one log: the last checkpoint it cosigned, with the log's signature and its own cosignature. Its
/// text ([`SignedCheckpoint`]'s `Display`) is what to store, and what the monitoring prefix serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest(SignedCheckpoint);

impl Latest {
    /// Reads a stored record.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        SignedCheckpoint::parse(bytes).map(Self)
    }
    /// Entries; compare-and-swap on this and the root.
    pub fn size(&self) -> u64 {
        self.0.unverified().size
    }
    /// Root.
    pub fn root(&self) -> Digest {
        self.0.unverified().root
    }
    /// The checkpoint with its signatures.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.0
    }
}

impl std::fmt::Display for Latest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One witness and the logs it watches.
#[derive(Debug, Clone)]
pub struct Witness {
    name: KeyName,
    logs: Vec<VerifierKey>,
}

/// What a witness decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Cosigned.
    Accept {
        /// Which log.
        origin: KeyName,
        /// The record that this decision rests on.
        previous: Option<Latest>,
        /// The record to have on disk before replying.
        next: Latest,
        /// Body of the reply, with status 200.
        reply: String,
    },
    /// Not cosigned.
    Refuse(Refusal),
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 400: the request cannot be read, or its old size is above the new one.
    BadRequest(Error),
    /// 404: no such log.
    UnknownOrigin(Error),
    /// 403: the log has not signed it.
    NotSigned(Error),
    /// 409: another checkpoint was cosigned last; the body tells its size.
    OtherSize {
        /// Size of the last cosigned checkpoint; 0 for none.
        size: u64,
        /// Set when the checkpoint offered has the same size as a known one and another root.
        conflict: Option<Box<Conflict>>,
    },
    /// 422: it does not continue the last cosigned checkpoint.
    Inconsistent {
        /// What does not hold.
        error: Error,
        /// Set when the two checkpoints have the same size and different roots, which proves misbehaviour. Without it, keep the
        /// refused checkpoint and ask for entries: [`Conflict::entry`].
        conflict: Option<Box<Conflict>>,
        /// The refused checkpoint, which the log did sign.
        refused: Box<SignedCheckpoint>,
    },
}

impl Refusal {
    /// HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownOrigin(_) => 404,
            Self::OtherSize { .. } => 409,
            Self::Inconsistent { .. } => 422,
        }
    }
    /// Body of the reply: for 409 the size, of type [`SIZE_CONTENT_TYPE`]; else a line for people.
    pub fn body(&self) -> String {
        match self {
            Self::BadRequest(error) | Self::NotSigned(error) | Self::UnknownOrigin(error) => format!("{error}\n"),
            Self::Inconsistent { error, .. } => format!("{error}\n"),
            Self::OtherSize { size, .. } => format!("{size}\n"),
        }
    }
    /// Evidence against the log, if the request was that.
    pub fn conflict(&self) -> Option<&Conflict> {
        match self {
            Self::OtherSize { conflict, .. } | Self::Inconsistent { conflict, .. } => conflict.as_deref(),
            _ => None,
        }
    }
}

impl Witness {
    /// A witness called `name` that watches `logs`.
    pub fn new(name: KeyName, logs: Vec<VerifierKey>) -> Self {
        Self { name, logs }
    }

    /// The log that a request is about: for looking up what was recorded of it.
    ///
    /// # Errors
    /// The refusal to send: 400 or 404.
    pub fn origin_of(&self, request: &AddCheckpoint) -> Result<&VerifierKey, Refusal> {
        let origin = request.checkpoint.origin();
        let known = self.logs.iter().find(|log| log.name() == origin);
        known.ok_or_else(|| Refusal::UnknownOrigin(Error::UnknownOrigin { origin: origin.to_string() }))
    }

    /// Decides over a request, given the record `latest` of its origin and the time.
    pub fn consider(&self, request: &AddCheckpoint, latest: Option<&Latest>, now: UnixSeconds, key: &SigningKey) -> Verdict {
        match self.check(request, latest) {
            Err(refusal) => Verdict::Refuse(refusal),
            Ok(checkpoint) => {
                let line = cosignature::sign(checkpoint, &self.name, key, now);
                let reply = format!("{line}\n");
                match self.record(request, line) {
                    Ok(next) => {
                        let origin = checkpoint.origin.clone();
                        Verdict::Accept { origin, previous: latest.cloned(), next, reply }
                    }
                    Err(error) => Verdict::Refuse(Refusal::BadRequest(error)),
                }
            }
        }
    }

    /// The checks of the specification, in its order.
    fn check<'r>(&self, request: &'r AddCheckpoint, latest: Option<&Latest>) -> Result<&'r Checkpoint, Refusal> {
        let log = self.origin_of(request)?;
        let checkpoint = request.checkpoint.verify(log).map_err(Refusal::NotSigned)?;
        let (size, root) = latest.map_or((0, crate::merkle::empty_root()), |latest| (latest.size(), latest.root()));
        if request.old > checkpoint.size {
            let rule = "the old size is above the checkpoint's";
            return Err(Refusal::BadRequest(Error::Malformed { what: WHAT, rule }));
        }
        let conflict = || {
            let earlier = latest?.checkpoint().clone();
            Conflict::same_size(earlier, request.checkpoint.clone(), log).ok().map(Box::new)
        };
        if request.old != size {
            return Err(Refusal::OtherSize { size, conflict: conflict() });
        }
        verify_consistency(size, checkpoint.size, &request.proof, &root, &checkpoint.root).map_err(|error| {
            let refused = Box::new(request.checkpoint.clone());
            Refusal::Inconsistent { error, conflict: conflict(), refused }
        })?;
        Ok(checkpoint)
    }

    /// The log's own signature and ours; the lines of others are not ours to keep.
    fn record(&self, request: &AddCheckpoint, ours: SignatureLine) -> Result<Latest, Error> {
        let checkpoint = &request.checkpoint;
        let mut text = format!("{}\n", checkpoint.note().text());
        let log = self.logs.iter().find(|log| log.name() == checkpoint.origin());
        for line in checkpoint.note().signatures().iter().filter(|line| log.is_some_and(|log| line.claims(log))).take(1) {
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(&format!("{ours}\n"));
        Latest::parse(text.as_bytes())
    }
}

/// What a log makes of a witness's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Cosigned: add the line to the checkpoint.
    Cosigned {
        /// The cosignature, verified.
        line: SignatureLine,
        /// Its time.
        at: UnixSeconds,
    },
    /// The witness has cosigned a checkpoint of this size: ask again with a proof from there. A size above our own means that
    /// this log was set back: stop signing.
    OtherSize(u64),
    /// The witness refuses; its status. 403 and 404 mean that the rosters differ, 422 that it saw another history.
    Refused(u16),
}

impl Reply {
    /// Reads status and body of the reply of `witness` to a request with `checkpoint`. Lines of other keys are ignored.
    ///
    /// # Errors
    /// [`Error::NotSigned`], [`Error::BadSignature`], [`Error::TooLarge`], [`Error::Malformed`]: the witness does not keep to the
    /// protocol.
    pub fn parse(status: u16, body: &[u8], checkpoint: &SignedCheckpoint, witness: &VerifierKey) -> Result<Self, Error> {
        const WHAT: &str = "witness's reply";
        if status == 409 {
            let text = utf8(WHAT, body, 64)?;
            let size = text.strip_suffix('\n').unwrap_or(text);
            return number(WHAT, size).map(|size| Self::OtherSize(size.min(MAX_NUMBER)));
        }
        if status != 200 {
            return Ok(Self::Refused(status));
        }
        let mut rest = utf8(WHAT, body, limits::NOTE_BYTES)?;
        for _ in 0..limits::NOTE_SIGNATURES {
            let Ok((line, after)) = split_line(WHAT, rest) else { break };
            rest = after;
            let line = SignatureLine::parse(line)?;
            if line.claims(witness) {
                let at = cosignature::verify(&line, witness, checkpoint.unverified())?;
                return Ok(Self::Cosigned { line, at });
            }
        }
        Err(Error::NotSigned { name: witness.name().to_string() })
    }
}
