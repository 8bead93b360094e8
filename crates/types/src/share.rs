//! What one node receives of a template: two of the three additive components over Z_{2^32}.
//!
//! x = x1 + x2 + x3 mod 2^32, uniformly random subject to that. Node 1 gets (x1, x2), node 2 (x2, x3), node 3 (x3, x1). x1 and x2
//! are expanded from seeds, x3 is sent as it is. Shares are uploaded modulo 2^32 so that range and norm can be checked without
//! wrapping; nodes then keep them modulo 2^16 (reduction is a ring homomorphism, so it is local and exact).

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Error, NodeId, decode, encode, limits};

/// One additive component as sent.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub enum Component {
    /// Expand with the PRG of `mpc::sharing`.
    Seed([u8; 32]),
    /// The values themselves, one per coordinate.
    Values(Vec<u32>),
}

/// The two components of one node, each with the salt of its commitment.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub struct SharePackage {
    /// To whom.
    #[zeroize(skip)]
    pub node: NodeId,
    /// Components `node` and `node + 1` (node 3: components 3 and 1).
    pub components: [Component; 2],
    /// Salts of the two commitments.
    pub salts: [[u8; 32]; 2],
}

/// What one node receives of one sample.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub struct SamplePackage {
    /// Of its template.
    pub template: SharePackage,
    /// Of its template in the profile that is being replaced: [`crate::message::Submission::former`].
    pub former: Option<SharePackage>,
}

impl SamplePackage {
    /// Canonical bytes, to be sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        decode("share", bytes, limits::SEALED_SHARE_BYTES)
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Debug for SharePackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharePackage {{ node: {}, <redacted> }}", self.node)
    }
}

impl fmt::Debug for SamplePackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SamplePackage {{ node: {}, <redacted> }}", self.template.node)
    }
}
