//! What one leaf of the log says.
//!
//! Public fields are what a monitor counts: what kind of act, for which purpose, by which relying party, when. Who it was about
//! stands only in a salted commitment. The receipt carries the opening, so a member finds their entries; to everybody else two
//! entries of one member have nothing in common.
//!
//! **Out of scope**: drawing salts (`node`), what is committed to (the digest of a signed decision).

use borsh::{BorshDeserialize, BorshSerialize};
use types::consent::Purpose;
use types::{Digest, LogTag, UnixSeconds, limits};

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
    pub party: Option<PartyName>,
    /// Batch of the joint operation it belongs to, counted alike on all three nodes.
    pub batch: u64,
    /// When, as the nodes agreed.
    pub at: UnixSeconds,
    /// [`types::TraceKey::tag`] of this index by the key of the member it is about: they know it as theirs, nobody else can link it.
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
}

impl Kind {
    /// All of them, in the order of their encoding.
    pub const ALL: [Self; 12] = [
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
        }
    }
}

/// The registered name of a relying party.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct PartyName(String);

impl PartyName {
    /// Accepts 1 to 64 characters of `a-z 0-9 -`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn new(name: &str) -> Result<Self, Error> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::Malformed { what: "name of a relying party", rule: "use 1 to 64 characters of a-z, 0-9 and -" })
        }
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BorshDeserialize for PartyName {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let name = String::deserialize_reader(reader)?;
        Self::new(&name).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
    }
}

impl std::fmt::Display for PartyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
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

    /// RFC 6962 hash of the canonical bytes.
    pub fn leaf_hash(&self) -> Digest {
        leaf_hash(&self.to_bytes())
    }
}

/// What opens a commitment: part of a member's receipt, and of nothing public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// Random, or derived with [`Opening::derive`]; the same on all three nodes.
    pub salt: [u8; 32],
    /// Digest of the decision that the entry records.
    pub decision: Digest,
}

impl Opening {
    /// An opening whose salt follows from a key that the three nodes share and the decision itself: nodes that agree on both
    /// write the same leaf without exchanging salts.
    pub fn derive(key: &[u8; 32], decision: Digest) -> Self {
        Self { salt: Digest::of("trust-commons/v1/log-salt", &[key, &decision.0]).0, decision }
    }

    /// SHA-256 over the domain `trust-commons/v1/log-entry`, the salt and the decision's digest.
    pub fn commitment(&self) -> Digest {
        Digest::of("trust-commons/v1/log-entry", &[&self.salt, &self.decision.0])
    }

    /// Is `entry` about this decision?
    ///
    /// # Errors
    /// [`Error::Commitment`].
    pub fn check(&self, entry: &Entry) -> Result<(), Error> {
        if entry.commitment == self.commitment() { Ok(()) } else { Err(Error::Commitment) }
    }
}
