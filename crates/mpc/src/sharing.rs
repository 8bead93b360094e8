//! Splitting a vector over Z_{2^32} into the packages of three nodes, and opening a package (PROTOCOL section 1,
//! `docs/decisions/0001-uploads-over-z32.md`).
//!
//! x = x1 + x2 + x3; x1 and x2 are expanded from seeds with AES-256-CTR, x3 = x - x1 - x2. A component is committed to by
//! `SHA-256(domain, j, salt, values)`; the member signs the three commitments, and both holders of a component check the same
//! one, so they hold the same values.
//!
//! Out of scope: what the values mean (`record`), whether they are a template (`batch::CheckInputs`), sealing packages
//! (`types::seal`).

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use sha2::{Digest as _, Sha256};
use types::share::{Component, SharePackage};
use types::{Digest, NodeId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Error;

/// Fresh randomness of one split: two seeds and three salts. Use once.
#[derive(ZeroizeOnDrop)]
pub struct SplitRandomness {
    seeds: [[u8; 32]; 2],
    salts: [[u8; 32]; 3],
}

impl SplitRandomness {
    /// Bytes that [`Self::from_bytes`] takes.
    pub const BYTES: usize = 160;

    /// Takes 160 bytes from a cryptographic generator.
    pub fn from_bytes(random: &[u8; Self::BYTES]) -> Self {
        let mut parts = [[0u8; 32]; 5];
        for (part, bytes) in parts.iter_mut().zip(random.as_chunks::<32>().0) {
            *part = *bytes;
        }
        let [s1, s2, a, b, c] = parts;
        parts.zeroize();
        Self { seeds: [s1, s2], salts: [a, b, c] }
    }
}

impl std::fmt::Debug for SplitRandomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SplitRandomness(<redacted>)")
    }
}

/// A vector, split.
#[derive(Debug)]
pub struct Split {
    /// For nodes 1, 2, 3.
    pub packages: [SharePackage; 3],
    /// To components 1, 2, 3; public, to be signed.
    pub commitments: [Digest; 3],
}

impl Split {
    /// The three components of `len` values, whose sum is what was split: to show a person what sharing does to their own data.
    /// Nobody else ever has all three.
    pub fn components(&self, len: usize) -> [Zeroizing<Vec<u32>>; 3] {
        let [first, second, _] = &self.packages;
        let values = |component: &Component| match component {
            Component::Seed(seed) => expand(seed, len),
            Component::Values(values) => Zeroizing::new(values.clone()),
        };
        let ([one, two], [_, three]) = (&first.components, &second.components);
        [values(one), values(two), values(three)]
    }
}

/// Splits `values` (mod 2^32; negative ones as two's complement).
pub fn split(values: &[u32], randomness: &SplitRandomness) -> Split {
    let [seed1, seed2] = randomness.seeds;
    let (x1, x2) = (expand(&seed1, values.len()), expand(&seed2, values.len()));
    let x3: Zeroizing<Vec<u32>> = Zeroizing::new(
        values.iter().zip(x1.iter().zip(x2.iter())).map(|(x, (a, b))| x.wrapping_sub(*a).wrapping_sub(*b)).collect(),
    );
    let [salt1, salt2, salt3] = randomness.salts;
    let [n1, n2, n3] = NodeId::ALL;
    let commitments = [commit(n1, &salt1, &x1), commit(n2, &salt2, &x2), commit(n3, &salt3, &x3)];
    let package = |node, components, salts| SharePackage { node, components, salts };
    let packages = [
        package(n1, [Component::Seed(seed1), Component::Seed(seed2)], [salt1, salt2]),
        package(n2, [Component::Seed(seed2), Component::Values(x3.to_vec())], [salt2, salt3]),
        package(n3, [Component::Values(x3.to_vec()), Component::Seed(seed1)], [salt3, salt1]),
    ];
    Split { packages, commitments }
}

/// One node's two components of a vector over Z_{2^32}.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct InputShare {
    own: Vec<u32>,
    next: Vec<u32>,
}

impl std::fmt::Debug for InputShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InputShare(<redacted>)")
    }
}

impl InputShare {
    /// Expands the package of `node`, which must hold `len` values per component and match the signed commitments.
    ///
    /// # Errors
    /// [`Error::WrongNode`], [`Error::ShareLength`], [`Error::Commitment`].
    pub fn open(package: &SharePackage, node: NodeId, len: usize, commitments: &[Digest; 3]) -> Result<Self, Error> {
        if package.node != node {
            return Err(Error::WrongNode { node, addressed: package.node });
        }
        let [own, next] = &package.components;
        let [own_salt, next_salt] = &package.salts;
        let component = |id: NodeId, component: &Component, salt: &[u8; 32]| -> Result<Vec<u32>, Error> {
            let values = match component {
                Component::Seed(seed) => expand(seed, len),
                Component::Values(values) if values.len() == len => Zeroizing::new(values.clone()),
                Component::Values(values) => return Err(Error::ShareLength { expected: len, got: values.len() }),
            };
            if commitments.get(id.index()) != Some(&commit(id, salt, &values)) {
                return Err(Error::Commitment { component: id.number() });
            }
            Ok(values.to_vec())
        };
        Ok(Self { own: component(node, own, own_salt)?, next: component(node.next(), next, next_salt)? })
    }

    /// Values per component.
    pub fn len(&self) -> usize {
        self.own.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }
    /// Component i of node i.
    pub(crate) fn own(&self) -> &[u32] {
        &self.own
    }
    /// Component i + 1 of node i.
    pub(crate) fn next(&self) -> &[u32] {
        &self.next
    }
}

/// The commitment to component `component`.
fn commit(component: NodeId, salt: &[u8; 32], values: &[u32]) -> Digest {
    let mut hash = Sha256::new_with_prefix(b"trust-commons/v1/share-commitment\0");
    hash.update([component.number()]);
    hash.update(salt);
    let mut bytes = Zeroizing::new([0u8; 1024]);
    for tile in values.chunks(256) {
        for (out, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(tile) {
            *out = value.to_le_bytes();
        }
        hash.update(bytes.get(..4 * tile.len()).unwrap_or_default());
    }
    Digest(hash.finalize().into())
}

/// PRG: the first `len` little-endian words of the AES-256-CTR keystream of `seed` from block 0.
fn expand(seed: &[u8; 32], len: usize) -> Zeroizing<Vec<u32>> {
    let mut stream = Ctr128BE::<Aes256>::new(seed.into(), &[0; 16].into());
    let mut bytes = Zeroizing::new(vec![0u8; 4 * len]);
    stream.apply_keystream(&mut bytes);
    Zeroizing::new(bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn randomness(seed: u8) -> SplitRandomness {
        let mut bytes = [0u8; 160];
        bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i as u8).wrapping_mul(31) ^ seed);
        SplitRandomness::from_bytes(&bytes)
    }

    fn open_all(split: &Split, len: usize) -> [InputShare; 3] {
        NodeId::ALL.map(|node| {
            InputShare::open(&split.packages[node.index()], node, len, &split.commitments).expect("honest share")
        })
    }

    proptest! {
        #[test]
        fn reconstruct_of_split_is_identity(values in proptest::collection::vec(any::<u32>(), 0..700), seed: u8) {
            let split = split(&values, &randomness(seed));
            let [a, b, c] = open_all(&split, values.len());
            prop_assert_eq!(&a.next, &b.own);
            prop_assert_eq!(&b.next, &c.own);
            prop_assert_eq!(&c.next, &a.own);
            let [one, two, three] = split.components(values.len());
            prop_assert_eq!((&*one, &*two, &*three), (&a.own, &b.own, &c.own));
            for (i, value) in values.iter().enumerate() {
                prop_assert_eq!(a.own[i].wrapping_add(b.own[i]).wrapping_add(c.own[i]), *value);
            }
        }
    }

    #[test]
    fn a_share_of_another_node_length_or_value_is_refused() {
        let split = split(&[1, 2, 3, 4], &randomness(9));
        let [n1, n2, n3] = NodeId::ALL;
        let open = |package: &SharePackage, node, len| InputShare::open(package, node, len, &split.commitments);
        assert_eq!(open(&split.packages[0], n2, 4).unwrap_err(), Error::WrongNode { node: n2, addressed: n1 });
        assert_eq!(open(&split.packages[1], n2, 5).unwrap_err(), Error::Commitment { component: 2 });
        assert_eq!(open(&split.packages[2], n3, 5).unwrap_err(), Error::ShareLength { expected: 5, got: 4 });

        let mut altered = split.packages[1].clone();
        if let Component::Values(values) = &mut altered.components[1] {
            values[3] ^= 1;
        }
        assert_eq!(open(&altered, n2, 4).unwrap_err(), Error::Commitment { component: 3 });
        let mut altered = split.packages[0].clone();
        altered.salts[0][0] ^= 1;
        assert_eq!(open(&altered, n1, 4).unwrap_err(), Error::Commitment { component: 1 });
    }

    #[test]
    fn shares_are_not_printed() {
        let split = split(&[7; 8], &randomness(1));
        assert_eq!(format!("{:?}", open_all(&split, 8)[0]), "InputShare(<redacted>)");
        assert_eq!(format!("{:?}", split.packages[0]), "SharePackage { node: 1, <redacted> }");
    }
}
