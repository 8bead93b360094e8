//! Proactive refresh of stored shares (PROTOCOL section 1): Y_i += r a_i, with r fresh for every epoch and record.
//!
//! A record lies on a polynomial x + s X; the refresh adds r X, which is zero at 0. So the template, every score and every
//! decision stay what they are, while the shares of two epochs lie on two polynomials that have nothing but the template in
//! common: one share of each says nothing about it (`docs/decisions/0015-refresh.md` says against whom).
//!
//! r comes from a [`Seed`] to which all three nodes contribute, so that one broken random generator does no harm. Every node
//! knows r, as it must: what it adds to its own share tells it. The seed is to be erased when the refresh is done.
//!
//! Out of scope: agreeing on the seed over a network, files, and when an epoch ends (the node).

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest as _, Sha256};
use types::{Digest, NodeId};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::galois::Factor;
use crate::session::KeyStream;

/// Words of randomness made at a time: a whole number of lines of 64 bytes, which stay in the first-level cache.
const TILE: usize = 1024;

/// The randomness of one refresh. Whoever has it can move a share from one epoch to the next.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(<redacted>)")
    }
}

impl Seed {
    /// From 32 random bytes of each node, in their order. `session` names the agreement.
    pub fn from_contributions(session: &[u8], contributions: &[[u8; 32]; 3]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"trust-commons/v1/refresh/seed\0");
        hash.update((session.len() as u64).to_le_bytes());
        hash.update(session);
        contributions.iter().for_each(|bytes| hash.update(bytes));
        Self(hash.finalize().into())
    }
    /// Takes up a stored seed.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// For the node's own disk, until the refresh is done.
    pub fn secret_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// Names the seed without telling it: nodes compare it before they use the seed.
    pub fn digest(&self) -> Digest {
        Digest::of("trust-commons/v1/refresh/seed-digest", &[&self.0])
    }
}

/// Moves one node's shares of one profile from an epoch to the next.
#[derive(ZeroizeOnDrop)]
pub struct Refresh {
    #[zeroize(skip)]
    factor: Factor,
    key: [u8; 32],
}

impl std::fmt::Debug for Refresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Refresh(<redacted>)")
    }
}

impl Refresh {
    /// For the shares that `node` keeps of the profile with this digest.
    pub fn new(node: NodeId, profile: &Digest, seed: &Seed) -> Self {
        let key = Sha256::new_with_prefix(b"trust-commons/v1/refresh/profile\0")
            .chain_update(seed.0)
            .chain_update(profile.0)
            .finalize()
            .into();
        Self { factor: Factor::point(node), key }
    }

    /// Refreshes the share of one record in place. `record` names it, the same on all nodes and unlike any other record's name.
    pub fn apply(&self, record: &[u8; 16], values: &mut [u16]) {
        let mut digest: [u8; 32] = Sha256::new_with_prefix(b"trust-commons/v1/refresh/record\0")
            .chain_update(self.key)
            .chain_update(record)
            .finalize()
            .into();
        let mut stream = KeyStream::new(digest.first_chunk().expect("32 bytes hold 16"));
        digest.zeroize();
        let (mut bytes, mut words) = ([0u8; 2 * TILE], [0u16; TILE]);
        for tile in values.chunks_mut(TILE) {
            stream.fill(&mut bytes);
            for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *word = u16::from_le_bytes(*bytes);
            }
            self.factor.add_to(tile, words.get(..tile.len()).unwrap_or_default());
        }
        bytes.zeroize();
        words.zeroize();
    }
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
