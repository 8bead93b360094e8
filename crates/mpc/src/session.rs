//! Correlated randomness: AES-128-CTR streams under keys that neighbouring nodes share (PROTOCOL section 1).
//!
//! Node i shares key k_i with its predecessor and k_{i+1} with its successor. Every stream is keyed by
//! `SHA-256(domain, k_j, session, protocol number, purpose, counter)`, so no two uses meet in one keystream: sessions,
//! protocols within a session, purposes within a protocol and chunks within a purpose all have streams of their own.
//!
//! Out of scope: agreeing on the pairwise keys and on a fresh session id, which is the node's work.

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use sha2::{Digest as _, Sha256};
use types::NodeId;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The pairwise keys of one node for one session. Not `Clone`: a session's randomness is used once.
#[derive(ZeroizeOnDrop)]
pub struct SessionKeys {
    #[zeroize(skip)]
    node: NodeId,
    own: [u8; 32],
    next: [u8; 32],
    #[zeroize(skip)]
    protocols: u64,
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionKeys {{ node: {}, <redacted> }}", self.node)
    }
}

impl SessionKeys {
    /// Keys of `node` for the session `session`, a name that the three nodes agreed on and never use twice.
    /// `with_prev` and `with_next` are the secrets it shares with its two neighbours on the ring 1 -> 2 -> 3 -> 1.
    pub fn new(node: NodeId, with_prev: &[u8; 32], with_next: &[u8; 32], session: &[u8]) -> Self {
        let derive = |component: NodeId, key: &[u8; 32]| -> [u8; 32] {
            Sha256::new_with_prefix(b"trust-commons/v1/mpc/session\0")
                .chain_update([component.number()])
                .chain_update(key)
                .chain_update(session)
                .finalize()
                .into()
        };
        Self { node, own: derive(node, with_prev), next: derive(node.next(), with_next), protocols: 0 }
    }

    /// Whose keys these are.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Keys for the next protocol of this session. The three nodes must start the same protocols in the same order; if they do
    /// not, their random masks do not cancel and the first opening aborts.
    pub fn next_protocol(&mut self) -> ProtocolKeys {
        let number = self.protocols;
        self.protocols += 1;
        let derive = |key: &[u8; 32]| -> [u8; 32] {
            Sha256::new_with_prefix(b"trust-commons/v1/mpc/protocol\0")
                .chain_update(key)
                .chain_update(number.to_le_bytes())
                .finalize()
                .into()
        };
        ProtocolKeys { node: self.node, own: derive(&self.own), next: derive(&self.next) }
    }
}

/// Keys of one protocol run: made by [`SessionKeys::next_protocol`], consumed by the protocol's constructor.
#[derive(ZeroizeOnDrop)]
pub struct ProtocolKeys {
    #[zeroize(skip)]
    node: NodeId,
    own: [u8; 32],
    next: [u8; 32],
}

impl std::fmt::Debug for ProtocolKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProtocolKeys {{ node: {}, <redacted> }}", self.node)
    }
}

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    NormReshare = 1,
    ScoreReshare = 2,
    And = 3,
    Coins = 4,
    Mask = 5,
    MaskReshare = 6,
}

impl ProtocolKeys {
    /// Whose keys these are.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The two streams F(k_i), F(k_{i+1}) for `purpose`, number `counter`.
    pub(crate) fn streams(&self, purpose: Purpose, counter: u64) -> Streams {
        let stream = |key: &[u8; 32]| {
            let mut digest: [u8; 32] = Sha256::new_with_prefix(b"trust-commons/v1/mpc/stream\0")
                .chain_update(key)
                .chain_update([purpose as u8])
                .chain_update(counter.to_le_bytes())
                .finalize()
                .into();
            let stream = KeyStream::new(digest.first_chunk().expect("32 bytes hold 16"));
            digest.zeroize();
            stream
        };
        Streams { own: stream(&self.own), next: stream(&self.next) }
    }
}

/// An AES-128-CTR keystream from block 0.
pub(crate) struct KeyStream(Ctr128BE<Aes128>);

impl KeyStream {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(Ctr128BE::new(key.into(), &[0; 16].into()))
    }
    /// XORs the next bytes of the stream into `bytes`.
    pub(crate) fn xor(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
    /// The next 8 bytes.
    pub(crate) fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.xor(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// Bytes handled at a time, so that both streams pass over a tile while it is in the first-level cache.
pub(crate) const TILE: usize = 8192;

/// F(k_i) and F(k_{i+1}) of one node.
pub(crate) struct Streams {
    pub(crate) own: KeyStream,
    pub(crate) next: KeyStream,
}

impl Streams {
    /// XORs the next piece of the XOR zero share F(k_i) ^ F(k_{i+1}) into `bytes`.
    pub(crate) fn xor_zero_share(&mut self, bytes: &mut [u8]) {
        self.own.xor(bytes);
        self.next.xor(bytes);
    }

    /// Adds the next piece of the additive zero share F(k_i) - F(k_{i+1}) to `values` and returns them as bytes, which are
    /// both the message to the predecessor and this node's own component.
    pub(crate) fn add_zero_share<W: Word>(&mut self, values: &mut [W]) -> Vec<u8> {
        let mut message = Vec::with_capacity(values.len() * W::BYTES);
        let (mut plus, mut minus) = ([0u8; TILE], [0u8; TILE]);
        for tile in values.chunks_mut(TILE / W::BYTES) {
            let bytes = tile.len() * W::BYTES;
            let (plus, minus) = (plus.split_at_mut(bytes).0, minus.split_at_mut(bytes).0);
            plus.fill(0);
            minus.fill(0);
            self.own.xor(plus);
            self.next.xor(minus);
            W::add_difference(tile, plus, minus);
            W::write(tile, &mut message);
        }
        plus.zeroize();
        minus.zeroize();
        message
    }
}

/// Words of the two rings: u16 and u32.
pub(crate) trait Word: Copy + Default {
    const BYTES: usize;
    /// `values += plus - minus`, little-endian.
    fn add_difference(values: &mut [Self], plus: &[u8], minus: &[u8]);
    /// Appends little-endian bytes.
    fn write(values: &[Self], out: &mut Vec<u8>);
    /// Reads little-endian bytes; surplus bytes at the end are ignored.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! word {
    ($int:ty, $bytes:literal) => {
        impl Word for $int {
            const BYTES: usize = $bytes;
            fn add_difference(values: &mut [Self], plus: &[u8], minus: &[u8]) {
                let (plus, minus) = (plus.as_chunks::<$bytes>().0, minus.as_chunks::<$bytes>().0);
                for ((value, plus), minus) in values.iter_mut().zip(plus).zip(minus) {
                    let difference = Self::from_le_bytes(*plus).wrapping_sub(Self::from_le_bytes(*minus));
                    *value = value.wrapping_add(difference);
                }
            }
            fn write(values: &[Self], out: &mut Vec<u8>) {
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            fn read(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks::<$bytes>().0.iter().map(|bytes| Self::from_le_bytes(*bytes)).collect()
            }
        }
    };
}
word!(u16, 2);
word!(u32, 4);
word!(u64, 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::test_keys;

    #[test]
    fn zero_shares_cancel_and_streams_of_different_uses_differ() {
        let keys = test_keys(7);
        let mut sum = vec![0u16; 5000];
        let mut xor = vec![0u8; 5000];
        for mut session in keys {
            let protocol = session.next_protocol();
            let mut share = vec![0u16; 5000];
            let bytes = protocol.streams(Purpose::ScoreReshare, 3).add_zero_share(&mut share);
            assert_eq!(u16::read(&bytes), share);
            sum.iter_mut().zip(&share).for_each(|(sum, x)| *sum = sum.wrapping_add(*x));
            protocol.streams(Purpose::And, 0).xor_zero_share(&mut xor);

            let first = |purpose, counter| protocol.streams(purpose, counter).own.word();
            let other = session.next_protocol().streams(Purpose::And, 0).own.word();
            let all = [first(Purpose::And, 0), first(Purpose::And, 1), first(Purpose::Coins, 0), other];
            assert!((1..4).all(|n| !all[..n].contains(&all[n])));
        }
        assert!(sum.iter().all(|x| *x == 0) && xor.iter().all(|x| *x == 0));
    }

    #[test]
    fn keys_are_not_printed() {
        let [mut session, ..] = test_keys(1);
        assert!(format!("{session:?}").contains("<redacted>"));
        assert!(format!("{:?}", session.next_protocol()).contains("<redacted>"));
    }
}
