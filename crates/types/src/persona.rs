//! What members and nodes say to each other about the secret behind personas, and about credentials.
//!
//! **In scope**: what travels, as bytes. **Out of scope**: what the bytes are (`credential`); whether it is allowed (`charter`).

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use serde::{Deserialize, Serialize};

use crate::sign::Message;
use crate::{DeviceKey, Digest, Epoch, PartyId, UnixSeconds};

/// A member binds their membership to one secret. The nodes sign credentials over this one for good; and each keeps a share of the
/// secret for the member (sealed to it beside the request, for [`crate::seal::ESCROW`]), which says nothing alone and which the
/// node has checked to be one of this very secret.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Binding {
    /// Names the commitment in `request`: `credential::Commitment::digest`.
    pub commitment: Digest,
    /// `credential::CommitmentRequest`: the commitment, and the proof that its maker knows the secret.
    pub request: [u8; 144],
    /// `credential::escrow::Slope`: with the commitment, it says what each node's share must be.
    pub slope: [u8; 48],
}

/// One node's share of the secret behind a member's personas, on its way to the device of a member who recovered: bytes of a
/// `credential::escrow::Share`.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub struct SecretShare(pub [u8; 65]);

impl fmt::Debug for SecretShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretShare(<redacted>)")
    }
}

/// What a relying party can say of a member beside that they are one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    /// A band of ages, such as `18-29`.
    AgeBand,
    /// A region.
    Locality,
    /// A role in the community.
    Role,
}

impl ClaimKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::AgeBand, Self::Locality, Self::Role];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::AgeBand => "age-band",
            Self::Locality => "locality",
            Self::Role => "role",
        }
    }
}

impl fmt::Display for ClaimKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A relying party that the charter names for it vouches for something about the holder of a device. The member keeps it, and brings it
/// each time that the nodes sign credentials; the nodes keep nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Claim {
    /// Digest of the roster.
    pub commons: Digest,
    /// About whom.
    pub device: DeviceKey,
    /// What.
    pub kind: ClaimKind,
    /// How it is with them: one of the values that the charter lists, at most [`crate::limits::CLAIM_BYTES`].
    pub value: String,
    /// Who vouches, and signs.
    pub party: PartyId,
    /// Until when.
    pub expires_at: UnixSeconds,
}

impl Message for Claim {
    const DOMAIN: &'static str = "trust-commons/v1/claim";
    const NAME: &'static str = "claim";
    const LIMIT: usize = 512;
}

/// One node's word about a member for one epoch.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Issued {
    /// For when.
    pub epoch: Epoch,
    /// What it says: canonical bytes of `credential::Attributes`, at most [`crate::limits::ATTRIBUTES_BYTES`].
    pub attributes: Vec<u8>,
    /// `credential::IssuedSignature`: worthless without the member's secret.
    pub signature: [u8; 80],
}

/// The last time that a node signed for a member: who did not ask for it has lost a device key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LastIssue {
    /// Of which epoch.
    pub epoch: Epoch,
    /// When it was asked for.
    pub at: UnixSeconds,
}

/// An attempt to bind or to be issued to that was signed with the member's key and that a node refused.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Refused {
    /// When.
    pub at: UnixSeconds,
    /// [`crate::message::Action::name`].
    pub action: String,
    /// The rule that forbids it.
    pub rule: String,
}
