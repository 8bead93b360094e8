//! What one leaf of the log says.
//!
//! Public fields are what a monitor counts: what kind of act, for which purpose, by which relying party, when. Who it was about
//! stands only in a tag and a salted commitment, both from the [`TraceKey`] of the member and the entry's index. With their key a
//! member finds every entry about them, with or without a receipt; to everybody else two entries of one member have nothing in
//! common.
//!
//! **Out of scope**: what is committed to (the digest of a signed decision).

use borsh::{BorshDeserialize, BorshSerialize};
use types::consent::Purpose;
use types::{Digest, LogTag, PartyId, TraceKey, UnixSeconds, limits};

use crate::Error;
use crate::merkle::leaf_hash;

/// Version of [`Entry`].
pub const VERSION: u16 = 1;

/// One leaf. Its canonical bytes are hashed into the tree and served in entry bundles.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// [`VERSION`].
    pub version: u16,
    /// What was done.
    pub kind: Kind,
    /// What for, where an act has a purpose.
    pub purpose: Option<Purpose>,
    /// For which relying party, where there is one.
    pub party: Option<PartyId>,
    /// Batch of the joint operation it belongs to, counted alike on all three nodes.
    pub batch: u64,
    /// When, as the nodes agreed; never before the entry ahead of it.
    pub at: UnixSeconds,
    /// [`TraceKey::tag`] of this index, by the key of whom it concerns: they know it as theirs, nobody else can link it.
    pub tag: LogTag,
    /// [`Opening::commitment`] to the decision.
    pub commitment: Digest,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Kind {
    /// Somebody asked to enrol and was matched against everybody (1:N), whatever the outcome.
    Enrolment,
    /// A 1:1 comparison for the member's own device.
    Verification,
    /// A use under a grant, for a relying party.
    Use,
    /// A member's records were erased.
    Withdrawal,
    /// A member granted a relying party a use.
    Grant,
    /// A grant was narrowed or revoked.
    GrantChange,
    /// A relying party asked a member.
    Ask,
    /// A member answered, or the request expired unanswered.
    Answer,
    /// A member raised the shield.
    ShieldUp,
    /// A member lowered the shield.
    ShieldDown,
    /// The charter changed.
    Charter,
    /// An administrative act of the operators.
    Administrative,
    /// A member named guardians, or others.
    Guardians,
    /// A recovery was tried, began, was vetoed or finished.
    Recovery,
    /// A member bound their membership to the secret behind their personas.
    Binding,
    /// A member's record was compared with a newer sample, and that with everybody else's, to replace it.
    Renewal,
}

impl Kind {
    /// All of them, in the order of their encoding.
    pub const ALL: [Self; 16] = [
        Self::Enrolment,
        Self::Verification,
        Self::Use,
        Self::Withdrawal,
        Self::Grant,
        Self::GrantChange,
        Self::Ask,
        Self::Answer,
        Self::ShieldUp,
        Self::ShieldDown,
        Self::Charter,
        Self::Administrative,
        Self::Guardians,
        Self::Recovery,
        Self::Binding,
        Self::Renewal,
    ];

    /// Plain name, for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::Verification => "verification",
            Self::Use => "use",
            Self::Withdrawal => "withdrawal",
            Self::Grant => "grant",
            Self::GrantChange => "grant-change",
            Self::Ask => "ask",
            Self::Answer => "answer",
            Self::ShieldUp => "shield-up",
            Self::ShieldDown => "shield-down",
            Self::Charter => "charter",
            Self::Administrative => "administrative",
            Self::Guardians => "guardians",
            Self::Recovery => "recovery",
            Self::Binding => "binding",
            Self::Renewal => "renewal",
        }
    }
}

impl Entry {
    /// Canonical bytes; at most [`limits::LOG_ENTRY_BYTES`].
    pub fn to_bytes(&self) -> Vec<u8> {
        types::encode(self)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`], [`Error::Version`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > limits::LOG_ENTRY_BYTES {
            return Err(Error::TooLarge { what: "log entry (bytes)", got: bytes.len(), limit: limits::LOG_ENTRY_BYTES });
        }
        // The version first: an entry of a later version may have a later version's fields.
        if let Some(&version) = bytes.first_chunk::<2>()
            && u16::from_le_bytes(version) != VERSION
        {
            return Err(Error::Version { what: "log entry", got: u16::from_le_bytes(version), known: VERSION });
        }
        types::decode("log entry", bytes, limits::LOG_ENTRY_BYTES)
            .map_err(|_| Error::Malformed { what: "log entry", rule: "it must be the canonical encoding of its fields" })
    }

    /// Does this entry, at `index`, concern the holder of `key`?
    pub fn concerns(&self, key: &TraceKey, index: u64) -> bool {
        self.tag == key.tag(index)
    }

    /// RFC 6962 hash of the canonical bytes.
    pub fn leaf_hash(&self) -> Digest {
        leaf_hash(&self.to_bytes())
    }
}

/// What opens a commitment: part of a member's receipt, and of nothing public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// Unknown to strangers; the same on all three nodes. [`TraceKey::salt`].
    pub salt: Digest,
    /// Digest of the decision that the entry records.
    pub decision: Digest,
}

impl Opening {
    /// Of the entry at `index`, which concerns the holder of `key`: the three nodes, who know the key, all write the same.
    pub fn new(key: &TraceKey, index: u64, decision: Digest) -> Self {
        Self { salt: key.salt(index), decision }
    }

    /// SHA-256 over the domain `trust-commons/v1/log-entry`, the salt and the decision's digest.
    pub fn commitment(&self) -> Digest {
        Digest::of("trust-commons/v1/log-entry", &[&self.salt.0, &self.decision.0])
    }

    /// Is `entry` about this decision?
    ///
    /// # Errors
    /// [`Error::Commitment`].
    pub fn check(&self, entry: &Entry) -> Result<(), Error> {
        if entry.commitment == self.commitment() { Ok(()) } else { Err(Error::Commitment) }
    }
}
