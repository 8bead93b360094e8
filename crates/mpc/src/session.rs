//! Correlated randomness: AES-128-CTR streams under keys that neighbouring nodes share (PROTOCOL section 1).
//!
//! Node i shares key k_i with its predecessor and k_{i+1} with its successor. Every stream is keyed by
//! `SHA-256(domain, k_j, session, protocol number, purpose, counter)`, so no two uses meet in one keystream: sessions,
//! protocols within a session, purposes within a protocol and chunks within a purpose all have streams of their own.
//!
//! Out of scope: agreeing on the pairwise keys and on a fresh session id, which is the node's work.

use sha2::{Digest as _, Sha256};
use types::NodeId;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::kernel::keystream::{self, Joined};
use crate::kernel::vectors::Vectors;

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

/// An AES-128-CTR keystream from block 0. Every call begins at a whole line of 64 bytes.
pub(crate) struct KeyStream {
    stream: keystream::KeyStream,
    vectors: Vectors,
}

impl KeyStream {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self { stream: keystream::KeyStream::new(key), vectors: Vectors::selected() }
    }
    /// Goes to line `line` of 64 bytes.
    pub(crate) fn seek(&mut self, line: u64) {
        self.stream.seek(line);
    }
    /// Writes the next bytes of the stream.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.stream.fill(self.vectors, bytes);
    }
    /// The next words.
    pub(crate) fn words(&mut self, count: usize) -> Vec<u64> {
        let mut bytes = vec![0; 8 * count];
        self.fill(&mut bytes);
        let words = u64::read(&bytes);
        bytes.zeroize();
        words
    }
}

/// Bytes of zero shares made at a time: they stay in the first-level cache until they are used.
pub(crate) const TILE: usize = 4096;

/// F(k_i) and F(k_{i+1}) of one node.
pub(crate) struct Streams {
    pub(crate) own: KeyStream,
    pub(crate) next: KeyStream,
}

/// Room for a piece of a zero share; wiped when dropped.
#[repr(align(64))]
pub(crate) struct Tile([u8; TILE]);

impl Tile {
    pub(crate) fn new() -> Self {
        Self([0; TILE])
    }
}

impl Drop for Tile {
    fn drop(&mut self) {
        self.0.fill(0);
        zeroize::optimization_barrier(&self.0);
    }
}

impl Streams {
    /// The next `bytes` bytes of the XOR zero share F(k_i) ^ F(k_{i+1}).
    ///
    /// # Panics
    /// If a tile holds fewer.
    pub(crate) fn xor_zero_share<'t>(&mut self, tile: &'t mut Tile, bytes: usize) -> &'t [u8] {
        self.joined(Joined::Xor, tile, bytes)
    }

    /// The next `bytes` bytes of the additive zero share F(k_i) - F(k_{i+1}) of 16-bit words.
    ///
    /// # Panics
    /// If a tile holds fewer.
    pub(crate) fn zero_share<'t>(&mut self, tile: &'t mut Tile, bytes: usize) -> &'t [u8] {
        self.joined(Joined::Difference, tile, bytes)
    }

    fn joined<'t>(&mut self, joined: Joined, tile: &'t mut Tile, bytes: usize) -> &'t [u8] {
        let (piece, _) = tile.0.split_at_mut(bytes);
        keystream::join(self.own.vectors, joined, &mut self.own.stream, &mut self.next.stream, piece);
        piece
    }

    /// Adds the next piece of the additive zero share to `values` and returns them as bytes, which are both the message to the
    /// predecessor and this node's own component.
    pub(crate) fn add_zero_share(&mut self, values: &mut [u32]) -> Vec<u8> {
        let (mut plus, mut minus) = (vec![0; 4 * values.len()], vec![0; 4 * values.len()]);
        self.own.fill(&mut plus);
        self.next.fill(&mut minus);
        for ((value, plus), minus) in values.iter_mut().zip(u32::read(&plus)).zip(u32::read(&minus)) {
            *value = value.wrapping_add(plus.wrapping_sub(minus));
        }
        plus.zeroize();
        minus.zeroize();
        let mut message = plus;
        message.clear();
        u32::write(values, &mut message);
        message
    }
}

/// Words in messages.
pub(crate) trait Word: Copy + Default {
    /// Appends little-endian bytes.
    fn write(values: &[Self], out: &mut Vec<u8>);
    /// Reads little-endian bytes; surplus bytes at the end are ignored.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! word {
    ($int:ty, $bytes:literal) => {
        impl Word for $int {
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
        let mut sum = vec![0u16; 2000];
        let mut wide = vec![0u32; 500];
        let mut xor = vec![0u8; TILE];
        for mut session in keys {
            let protocol = session.next_protocol();
            let mut streams = protocol.streams(Purpose::ScoreReshare, 3);
            let mut tile = Tile::new();
            let share = u16::read(streams.zero_share(&mut tile, 4000));
            assert!(share.iter().any(|x| *x != 0));
            sum.iter_mut().zip(&share).for_each(|(sum, x)| *sum = sum.wrapping_add(*x));
            let bytes = protocol.streams(Purpose::NormReshare, 0).add_zero_share(&mut wide);
            assert_eq!(u32::read(&bytes), wide);
            let share = protocol.streams(Purpose::And, 0).xor_zero_share(&mut tile, TILE).to_vec();
            xor.iter_mut().zip(share).for_each(|(xor, x)| *xor ^= x);

            let first = |purpose, counter| protocol.streams(purpose, counter).own.words(1);
            let other = session.next_protocol().streams(Purpose::And, 0).own.words(1);
            let all = [first(Purpose::And, 0), first(Purpose::And, 1), first(Purpose::Coins, 0), other];
            assert!((1..4).all(|n| !all[..n].contains(&all[n])));
        }
        // The wide values were passed on from node to node, each adding its share of zero.
        assert!(sum.iter().all(|x| *x == 0) && wide.iter().all(|x| *x == 0) && xor.iter().all(|x| *x == 0));
    }

    #[test]
    fn keys_are_not_printed() {
        let [mut session, ..] = test_keys(1);
        assert!(format!("{session:?}").contains("<redacted>"));
        assert!(format!("{:?}", session.next_protocol()).contains("<redacted>"));
    }
}
