//! The first frame of each side: do the two nodes mean the same thing?
//!
//! TLS has already proved a key of the roster; the hello compares protocol version, node number and roster, tells the software
//! version for the log, and carries 32 random bytes. The pair secret of the connection is derived from the TLS exporter (RFC 8446,
//! section 7.5) and the random bytes of both sides, so neither side chooses it and no other connection has it.

use borsh::{BorshDeserialize, BorshSerialize};
use types::{Digest, NodeId, UnixSeconds};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::fault::Fault;
use crate::link::SessionId;

/// Version of the frames and of the messages inside.
pub(crate) const PROTOCOL: u16 = 2;
/// Label for the TLS exporter.
pub(crate) const EXPORTER: &[u8] = b"EXPORTER-trust-commons-peer-1";

/// What each side says first. Begins with the version: the rest is read only when that is known.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u16,
    pub(crate) node: NodeId,
    pub(crate) roster: Digest,
    pub(crate) software: String,
    pub(crate) clock: UnixSeconds,
    pub(crate) nonce: [u8; 32],
}

impl Hello {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        types::encode(self)
    }

    /// Reads and compares with `own`. `key` is the node whose TLS key the other side proved.
    pub(crate) fn check(bytes: &[u8], own: &Self, key: NodeId) -> Result<Self, Fault> {
        let theirs = u16::from_le_bytes(*bytes.first_chunk().ok_or(Fault::Malformed)?);
        if theirs != PROTOCOL {
            return Err(Fault::Protocol { theirs, ours: PROTOCOL });
        }
        let hello: Self = types::decode("hello", bytes, 1024).map_err(|_| Fault::Malformed)?;
        if hello.node != key {
            return Err(Fault::WrongId { claimed: hello.node, key });
        }
        if hello.roster != own.roster {
            return Err(Fault::OtherRoster { theirs: hello.roster, ours: own.roster });
        }
        Ok(hello)
    }
}

/// The secret of one connection; the secrets of its sessions come from it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct PairSecret([u8; 32]);

impl PairSecret {
    /// Both sides get the same: the random bytes enter in the order of the node numbers.
    pub(crate) fn derive(exported: &Zeroizing<[u8; 32]>, one: &Hello, other: &Hello) -> Self {
        let (low, high) = if one.node < other.node { (one, other) } else { (other, one) };
        let ends = [low.node.number(), high.node.number()];
        let parts: [&[u8]; 5] = [&ends, &low.roster.0, &exported[..], &low.nonce, &high.nonce];
        Self(Digest::of("trust-commons/v1/pair-secret", &parts).0)
    }

    /// The pairwise key of one session.
    pub(crate) fn session_key(&self, session: SessionId) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(Digest::of("trust-commons/v1/session-key", &[&self.0, &session.0]).0)
    }
}

impl std::fmt::Debug for PairSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairSecret(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(node: NodeId, nonce: u8) -> Hello {
        let roster = Digest([1; 32]);
        Hello { protocol: PROTOCOL, node, roster, software: "0.1.0".to_owned(), clock: 0, nonce: [nonce; 32] }
    }

    #[test]
    fn a_hello_is_compared_field_by_field() {
        let [one, two, three] = NodeId::ALL;
        let (ours, theirs) = (hello(one, 1), hello(two, 2));
        assert!(Hello::check(&theirs.to_bytes(), &ours, two).is_ok());
        let wrong_id = Hello::check(&theirs.to_bytes(), &ours, three).err();
        assert_eq!(wrong_id, Some(Fault::WrongId { claimed: two, key: three }));
        let other = Hello { roster: Digest([2; 32]), ..theirs.clone() };
        assert!(matches!(Hello::check(&other.to_bytes(), &ours, two), Err(Fault::OtherRoster { .. })));
        let newer = Hello { protocol: 9, ..theirs.clone() };
        assert!(matches!(Hello::check(&newer.to_bytes(), &ours, two), Err(Fault::Protocol { theirs: 9, ours: PROTOCOL })));
        assert!(matches!(Hello::check(&[1], &ours, two), Err(Fault::Malformed)));
        let mut long = theirs.to_bytes();
        long.push(0);
        assert!(matches!(Hello::check(&long, &ours, two), Err(Fault::Malformed)));
    }

    #[test]
    fn both_sides_derive_the_same_secret_and_every_input_matters() {
        let [one, two, _] = NodeId::ALL;
        let (low, high) = (hello(one, 1), hello(two, 2));
        let exported = Zeroizing::new([5; 32]);
        let secret = PairSecret::derive(&exported, &low, &high).0;
        assert_eq!(secret, PairSecret::derive(&exported, &high, &low).0);
        assert_ne!(secret, PairSecret::derive(&exported, &hello(one, 3), &high).0);
        assert_ne!(secret, PairSecret::derive(&exported, &low, &hello(two, 3)).0);
        assert_ne!(secret, PairSecret::derive(&Zeroizing::new([6; 32]), &low, &high).0);
        let secret = PairSecret(secret);
        assert_ne!(*secret.session_key(SessionId([1; 16])), *secret.session_key(SessionId([2; 16])));
    }
}
