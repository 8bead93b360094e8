//! The Merkle tree of RFC 6962 section 2.1 over SHA-256: hashes, and the verification of proofs as in RFC 9162 sections 2.1.3.2
//! and 2.1.4.2.
//!
//! **Out of scope**: making proofs, which needs stored hashes ([`crate::tree`]).

use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::Error;

/// Hashes that a proof may have: a tree below 2^63 leaves is at most 63 levels high.
pub const PROOF_HASHES: usize = 63;

/// Root of the tree without leaves: the hash of nothing.
pub fn empty_root() -> Digest {
    Digest(Sha256::digest([]).into())
}

/// Hash of a leaf: SHA-256 over a zero byte and the entry.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// Hash of an inner node: SHA-256 over a one byte and both children.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// Checks that `leaf` is leaf number `index` of the tree of `size` leaves with `root`. `path` runs from the leaf's sibling
/// upwards.
///
/// # Errors
/// [`Error::OutOfRange`], [`Error::NotIncluded`].
pub fn verify_inclusion(leaf: &Digest, index: u64, size: u64, path: &[Digest], root: &Digest) -> Result<(), Error> {
    if index >= size {
        return Err(Error::OutOfRange { got: index, size });
    }
    let wrong = Error::NotIncluded { index, size };
    // RFC 9162's fn and sn: the node we stand on, and the last node of its level.
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(wrong);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            skip_missing_siblings(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(wrong) }
}

/// At the right edge, levels at which the node has no sibling contribute no hash.
fn skip_missing_siblings(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

/// Checks that the tree of `new_size` leaves begins with all the leaves of the tree of `old_size`.
///
/// From an empty tree, or to a tree of the same size, the proof is empty.
///
/// # Errors
/// [`Error::NotConsistent`].
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Digest],
    old_root: &Digest,
    new_root: &Digest,
) -> Result<(), Error> {
    let wrong = Error::NotConsistent { old: old_size, new: new_size };
    let holds = if old_size == 0 {
        proof.is_empty() && *old_root == empty_root() && (new_size > 0 || old_root == new_root)
    } else if old_size == new_size {
        proof.is_empty() && old_root == new_root
    } else if old_size < new_size {
        leads_from_old_to_new(old_size, new_size, proof, old_root, new_root).unwrap_or(false)
    } else {
        false
    };
    if holds { Ok(()) } else { Err(wrong) }
}

/// For 0 < old < new. `None` when the proof has too few hashes.
fn leads_from_old_to_new(
    old_size: u64,
    new_size: u64,
    proof: &[Digest],
    old_root: &Digest,
    new_root: &Digest,
) -> Option<bool> {
    // A complete old tree is itself a node of the new one: the proof leaves out what the verifier has.
    let (start, rest) = if old_size.is_power_of_two() {
        (*old_root, proof)
    } else {
        let (first, rest) = proof.split_first()?;
        (*first, rest)
    };
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (start, start);
    for hash in rest {
        if last == 0 {
            return Some(false);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(hash, &old_hash);
            new_hash = node_hash(hash, &new_hash);
            skip_missing_siblings(&mut node, &mut last);
        } else {
            new_hash = node_hash(&new_hash, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    Some(last == 0 && old_hash == *old_root && new_hash == *new_root)
}
