//! Rebuilding the shares of a lost node from those of the other two (PROTOCOL section 1).
//!
//! The shares of a record lie on a polynomial of degree 1, so any two give the third: Y_t = l_a(a_t) Y_a + l_b(a_t) Y_b. Each
//! helper masks its term with a stream that only the two helpers know, one adding it and the other taking it away. So the new
//! node learns the sum, which is its share, and nothing else; and the helpers send, and receive nothing.
//!
//! Out of scope: who may ask for it, the key of the mask, files and the network (the node).

use sha2::{Digest as _, Sha256};
use types::{Digest, NodeId};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::galois::Factor;
use crate::session::KeyStream;

/// Words of masks made at a time.
const TILE: usize = 1024;

/// What one helper does to its shares of one profile before it sends them to the new node.
#[derive(ZeroizeOnDrop)]
pub struct Helper {
    #[zeroize(skip)]
    factor: Factor,
    /// The helper that comes first adds the mask.
    #[zeroize(skip)]
    adds: bool,
    key: [u8; 32],
}

impl std::fmt::Debug for Helper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Helper(<redacted>)")
    }
}

impl Helper {
    /// Of `node`, for the shares of `lost` in the profile with this digest. `key` is known to the two helpers and nobody else,
    /// and is used for one rebuild only.
    pub fn new(node: NodeId, lost: NodeId, profile: &Digest, key: &[u8; 32]) -> Self {
        let key = Sha256::new_with_prefix(b"trust-commons/v1/rebuild/profile\0")
            .chain_update(key)
            .chain_update([lost.number()])
            .chain_update(profile.0)
            .finalize()
            .into();
        Self { factor: Factor::rebuild(node, lost), adds: node.next() != lost, key }
    }

    /// The masked term of one record: the new node adds both helpers' terms. `record` names it, alike at both helpers and
    /// unlike any other record's name.
    pub fn term(&self, record: &[u8; 16], values: &[u16]) -> Vec<u16> {
        let mut term = vec![0; values.len()];
        self.factor.add_to(&mut term, values);
        let mut digest: [u8; 32] = Sha256::new_with_prefix(b"trust-commons/v1/rebuild/record\0")
            .chain_update(self.key)
            .chain_update(record)
            .finalize()
            .into();
        let mut stream = KeyStream::new(digest.first_chunk().expect("32 bytes hold 16"));
        digest.zeroize();
        let mut bytes = [0u8; 2 * TILE];
        for tile in term.chunks_mut(TILE) {
            stream.fill(&mut bytes);
            for (word, bytes) in tile.iter_mut().zip(bytes.as_chunks::<2>().0) {
                let mask = u16::from_le_bytes(*bytes);
                *word = if self.adds { word.wrapping_add(mask) } else { word.wrapping_sub(mask) };
            }
        }
        bytes.zeroize();
        term
    }
}

/// The new node's share out of the terms of both helpers.
pub fn combine(one: &[u16], other: &[u16]) -> Vec<u16> {
    one.iter().zip(other).map(|(one, other)| one.wrapping_add(*other)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::record_share;
    use crate::record::tests::{embedding, shares};

    const PROFILE: Digest = Digest([7; 32]);

    fn records(values: &[u32], seed: u8) -> [Vec<u16>; 3] {
        let (inputs, matching) = (shares(values, seed), embedding(values.len() as u32));
        NodeId::ALL.map(|node| record_share(node, &inputs[node.index()], &matching).values().to_vec())
    }

    fn term(records: &[Vec<u16>; 3], helper: NodeId, lost: NodeId, key: &[u8; 32]) -> Vec<u16> {
        Helper::new(helper, lost, &PROFILE, key).term(&[9; 16], &records[helper.index()])
    }

    proptest! {
        #[test]
        fn two_helpers_give_the_lost_share(
            values in proptest::collection::vec(any::<u32>(), 1..2100), seed: u8, key: [u8; 32],
        ) {
            let records = records(&values, seed);
            for lost in NodeId::ALL {
                let [one, other] = [lost.next(), lost.prev()].map(|helper| term(&records, helper, lost, &key));
                prop_assert_eq!(&combine(&one, &other), &records[lost.index()]);
            }
        }
    }

    #[test]
    fn one_term_alone_is_noise() {
        // Of one and the same record under many keys: a word of a term takes all values alike.
        let records = records(&[5, 9], 1);
        let lost = NodeId::ALL[2];
        for helper in [lost.next(), lost.prev()] {
            let mut counts = [0u32; 16];
            for trial in 0..4096u32 {
                let mut key = [0; 32];
                key[..4].copy_from_slice(&trial.to_le_bytes());
                counts[usize::from(term(&records, helper, lost, &key)[0] >> 12)] += 1;
            }
            let chi: f64 = counts.iter().map(|n| (f64::from(*n) - 256.0).powi(2) / 256.0).sum();
            // 15 degrees of freedom: above 50 once in 100,000 times.
            assert!(chi < 50.0, "{helper}: {counts:?}");
        }
    }

    #[test]
    fn terms_under_two_keys_do_not_combine() {
        let records = records(&(0..64).collect::<Vec<u32>>(), 3);
        let lost = NodeId::ALL[0];
        let one = term(&records, lost.next(), lost, &[1; 32]);
        assert_eq!(combine(&one, &term(&records, lost.prev(), lost, &[1; 32])), records[0]);
        assert_ne!(combine(&one, &term(&records, lost.prev(), lost, &[2; 32])), records[0]);
    }

    #[test]
    fn keys_are_not_printed() {
        let [one, two, _] = NodeId::ALL;
        assert_eq!(format!("{:?}", Helper::new(one, two, &PROFILE, &[1; 32])), "Helper(<redacted>)");
    }
}
