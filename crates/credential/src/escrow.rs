//! The member's secret in shares of three nodes, any two of which give it back, and each of which shows that it is one.
//!
//! Shamir's sharing of degree 1 over the scalars of BLS12-381, at the points 1, 2, 3 of the nodes' numbers, of both the secret and the
//! factor that blinds its commitment. With the commitment C and one more point S (the [`Slope`]) that is Pedersen's verifiable
//! sharing ("Non-interactive and information-theoretic secure verifiable secret sharing", CRYPTO '91): node i checks
//! `blind_i Q2 + own_i J1 = C + i S`. So a node knows that its share is one of the secret that the member is bound to; and C, S and one
//! share together say nothing about the secret.
//!
//! **Refresh**: zero is shared from randomness to which every node contributed ([`share_zero`]), each node adds its share of it and
//! forgets the old ([`renew`]). **Rebuild** of a lost node's share: the other two send masked halves ([`Share::half`]), the lost node adds them ([`rebuild`]).
//!
//! **In scope**: the arithmetic. **Out of scope**: who may have the secret back, and moving the shares (`node`).

use std::fmt;

use bls12_381_plus::Scalar;
use borsh::{BorshDeserialize, BorshSerialize};
use subtle::ConstantTimeEq;
use types::NodeId;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bbs::{G1, Stream, combine, read_point, read_scalar, write_point};
use crate::secret::blind_points;
use crate::{Commitment, Error, Fresh, MemberSecret};

/// What one node keeps. Alone it is two uniformly random numbers.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Share {
    #[zeroize(skip)]
    node: NodeId,
    own: Scalar,
    blind: Scalar,
}

/// The commitment to both polynomials' slopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Slope([u8; 48]);

/// A masked half of a share that another node has lost. It says nothing without the other half.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Half(Share);

/// Splits a secret for nodes 1, 2 and 3.
pub fn split(secret: &MemberSecret, fresh: Fresh) -> ([Share; 3], Slope) {
    let mut bytes = secret.to_escrow();
    let shared = share([secret.own(), secret.blind()], fresh.stream("trust-commons/v1/escrow", &[&bytes]));
    bytes.zeroize();
    shared
}

/// Shares of zero, to be added to other shares: what one node contributes to a refresh.
pub fn share_zero(fresh: Fresh) -> ([Share; 3], Slope) {
    share([Scalar::ZERO; 2], fresh.stream("trust-commons/v1/escrow-refresh", &[]))
}

/// What a node keeps of a secret after a refresh in which all nodes draw the same shares of zero from `fresh`. They thereby know how
/// the shares of this epoch lead to the next, as they do of records: whoever has a share of each epoch and not that has nothing.
///
/// # Errors
/// [`Error::Escrow`] for a slope that is none.
pub fn renew(share: &Share, slope: &Slope, fresh: Fresh) -> Result<(Share, Slope), Error> {
    let (zeros, zero_slope) = share_zero(fresh);
    let zero = zeros.iter().find(|zero| zero.node == share.node).ok_or(Error::Escrow)?;
    Ok((share.add(zero)?, slope.add(&zero_slope)?))
}

/// The secret, from the shares of two nodes.
///
/// # Errors
/// [`Error::Escrow`] for two shares of one node, or shares that are not of one member's secret.
pub fn combine_shares(one: &Share, other: &Share) -> Result<MemberSecret, Error> {
    let [a, b] = lagrange(one.node, other.node, Scalar::ZERO).ok_or(Error::Escrow)?;
    let (own, mut blind) = (a * one.own + b * other.own, a * one.blind + b * other.blind);
    if own == Scalar::ZERO {
        return Err(Error::Escrow);
    }
    let secret = MemberSecret::from_scalar(own);
    let fits = bool::from(secret.blind().ct_eq(&blind));
    blind.zeroize();
    if fits { Ok(secret) } else { Err(Error::Escrow) }
}

/// The share of the node for which two halves were made.
///
/// # Errors
/// [`Error::Escrow`] when they are not for one node. [`Share::check`] tells whether the result is right.
pub fn rebuild(one: &Half, other: &Half) -> Result<Share, Error> {
    let (Half(one), Half(other)) = (one, other);
    one.add(other)
}

/// Polynomials through `constants` with random slopes.
fn share(mut constants: [Scalar; 2], mut stream: Stream) -> ([Share; 3], Slope) {
    let [q2, j1] = blind_points();
    let (mut own_slope, mut blind_slope) = (stream.scalar(), stream.scalar());
    let slope = Slope(write_point(&combine(&[(q2, blind_slope), (j1, own_slope)])));
    let [own, blind] = constants;
    let at = |node: NodeId| Share { node, own: own + place(node) * own_slope, blind: blind + place(node) * blind_slope };
    let shares = NodeId::ALL.map(at);
    constants.zeroize();
    own_slope.zeroize();
    blind_slope.zeroize();
    (shares, slope)
}

fn place(node: NodeId) -> Scalar {
    Scalar::from(u64::from(node.number()))
}

/// Lagrange's coefficients of the values at two nodes, for the value at `x`.
fn lagrange(one: NodeId, other: NodeId, x: Scalar) -> Option<[Scalar; 2]> {
    let (a, b) = (place(one), place(other));
    let inverse: Scalar = Option::from((a - b).invert())?;
    Some([(x - b) * inverse, (a - x) * inverse])
}

impl Share {
    /// Bytes of a share.
    pub const LEN: usize = 65;

    /// Whose it is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Is it a share of the secret in `commitment`?
    ///
    /// # Errors
    /// [`Error::Escrow`], [`Error::Commitment`].
    pub fn check(&self, commitment: &Commitment, slope: &Slope) -> Result<(), Error> {
        self.check_against(commitment.point().ok_or(Error::Commitment)?, slope)
    }

    /// Is it a share of zero, fit to be added?
    ///
    /// # Errors
    /// [`Error::Escrow`].
    pub fn check_zero(&self, slope: &Slope) -> Result<(), Error> {
        self.check_against(G1::IDENTITY, slope)
    }

    fn check_against(&self, constant: G1, slope: &Slope) -> Result<(), Error> {
        let [q2, j1] = blind_points();
        let expected = constant + slope.point()? * place(self.node);
        if combine(&[(q2, self.blind), (j1, self.own)]) == expected { Ok(()) } else { Err(Error::Escrow) }
    }

    /// This share and another of the same node: a share of the sum.
    ///
    /// # Errors
    /// [`Error::Escrow`] for another node's.
    pub fn add(&self, other: &Self) -> Result<Self, Error> {
        if self.node != other.node {
            return Err(Error::Escrow);
        }
        Ok(Self { node: self.node, own: self.own + other.own, blind: self.blind + other.blind })
    }

    /// This node's half of the share of `lost`, for which `helper` sends the other. Both make `mask` from 32 bytes that only the two
    /// share and that serve once.
    ///
    /// # Errors
    /// [`Error::Escrow`] unless the three are different nodes.
    pub fn half(&self, helper: NodeId, lost: NodeId, mask: &Fresh) -> Result<Half, Error> {
        let [own_part, _] = lagrange(self.node, helper, place(lost)).ok_or(Error::Escrow)?;
        if lost == self.node || lost == helper {
            return Err(Error::Escrow);
        }
        let mut stream = mask.stream("trust-commons/v1/escrow-rebuild", &[&[lost.number()]]);
        let sign = if self.node < helper { Scalar::ONE } else { -Scalar::ONE };
        let (own, blind) = (own_part * self.own + sign * stream.scalar(), own_part * self.blind + sign * stream.scalar());
        Ok(Half(Self { node: lost, own, blind }))
    }

    /// For sealing and storage, which must keep it secret.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (node, scalars) = bytes.split_at_mut(1);
        let (own, blind) = scalars.split_at_mut(32);
        node.copy_from_slice(&[self.node.number()]);
        own.copy_from_slice(&self.own.to_be_bytes());
        blind.copy_from_slice(&self.blind.to_be_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Escrow`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (node, scalars) = bytes.split_first().ok_or(Error::Escrow)?;
        let (own, blind) = scalars.split_at_checked(32).ok_or(Error::Escrow)?;
        let node = NodeId::new(*node).map_err(|_| Error::Escrow)?;
        let (own, blind) = (read_scalar(own).ok_or(Error::Escrow)?, read_scalar(blind).ok_or(Error::Escrow)?);
        Ok(Self { node, own, blind })
    }
}

impl Half {
    /// For the way to the node that has lost its share.
    pub fn to_bytes(&self) -> [u8; Share::LEN] {
        self.0.to_bytes()
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Escrow`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Share::from_bytes(bytes).map(Self)
    }
}

impl Slope {
    /// From the wire or storage; checked when it is used.
    pub fn from_bytes(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }
    /// For the wire and storage.
    pub fn to_bytes(self) -> [u8; 48] {
        self.0
    }
    /// The slope of a sum of shares.
    ///
    /// # Errors
    /// [`Error::Escrow`].
    pub fn add(&self, other: &Self) -> Result<Self, Error> {
        Ok(Self(write_point(&(self.point()? + other.point()?))))
    }
    fn point(&self) -> Result<G1, Error> {
        read_point(&self.0).ok_or(Error::Escrow)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share {{ node: {}, <redacted> }}", self.node)
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Half {{ for: {}, <redacted> }}", self.0.node)
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node && bool::from(self.own.ct_eq(&other.own) & self.blind.ct_eq(&other.blind))
    }
}

impl Eq for Share {}

impl BorshSerialize for Share {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        let mut bytes = self.to_bytes();
        let written = writer.write_all(&bytes);
        bytes.zeroize();
        written
    }
}

impl BorshDeserialize for Share {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let mut bytes = <[u8; Self::LEN]>::deserialize_reader(reader)?;
        let share = Self::from_bytes(&bytes);
        bytes.zeroize();
        share.map_err(|_| std::io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(seed: [u8; 32]) -> MemberSecret {
        MemberSecret::generate(Fresh::new(seed))
    }

    const PAIRS: [(usize, usize); 6] = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_two_shares_give_the_secret_back_and_every_share_shows_that_it_is_one(seed: [u8; 32], split_seed: [u8; 32]) {
            let secret = member(seed);
            let (shares, slope) = split(&secret, Fresh::new(split_seed));
            for share in &shares {
                prop_assert_eq!(share.check(&secret.commitment(), &slope), Ok(()));
                prop_assert_eq!(&Share::from_bytes(&share.to_bytes()).unwrap(), share);
                prop_assert_eq!(&borsh::from_slice::<Share>(&borsh::to_vec(share).unwrap()).unwrap(), share);
            }
            for (i, j) in PAIRS {
                prop_assert!(combine_shares(&shares[i], &shares[j]).unwrap() == secret);
            }
            prop_assert_eq!(combine_shares(&shares[0], &shares[0]), Err(Error::Escrow));
        }

        #[test]
        fn refreshed_shares_are_new_and_mix_with_no_old_one(seed: [u8; 32], seeds: [[u8; 32]; 4]) {
            let secret = member(seed);
            let (mut shares, mut slope) = split(&secret, Fresh::new(seeds[0]));
            let old = shares.clone();
            for seed in seeds.into_iter().skip(1) {
                let (zeros, zero_slope) = share_zero(Fresh::new(seed));
                let mut slopes = Vec::new();
                for (share, zero) in shares.iter_mut().zip(&zeros) {
                    prop_assert_eq!(zero.check_zero(&zero_slope), Ok(()));
                    let renewed = renew(share, &slope, Fresh::new(seed)).unwrap();
                    prop_assert_eq!(&renewed.0, &share.add(zero).unwrap());
                    *share = renewed.0;
                    slopes.push(renewed.1);
                }
                prop_assert!(slopes.iter().all(|other| *other == slopes[0]), "every node comes to the same slope");
                slope = slopes[0];
            }
            for (share, before) in shares.iter().zip(&old) {
                prop_assert_eq!(share.check(&secret.commitment(), &slope), Ok(()));
                prop_assert_ne!(share, before);
                prop_assert_eq!(before.check(&secret.commitment(), &slope), Err(Error::Escrow));
            }
            for (i, j) in PAIRS {
                prop_assert!(combine_shares(&shares[i], &shares[j]).unwrap() == secret);
                prop_assert_eq!(combine_shares(&shares[i], &old[j]), Err(Error::Escrow));
            }
        }

        #[test]
        fn a_lost_share_comes_back_from_two_masked_halves(seed: [u8; 32], split_seed: [u8; 32], mask: [u8; 32]) {
            let secret = member(seed);
            let (shares, slope) = split(&secret, Fresh::new(split_seed));
            for lost in NodeId::ALL {
                let (a, b) = (lost.next(), lost.prev());
                let half = |node: NodeId, helper, mask: [u8; 32]| shares[node.index()].half(helper, lost, &Fresh::new(mask)).unwrap();
                let (one, other) = (half(a, b, mask), half(b, a, mask));
                let rebuilt = rebuild(&one, &Half::from_bytes(&other.to_bytes()).unwrap()).unwrap();
                prop_assert_eq!(&rebuilt, &shares[lost.index()]);
                // One half alone, or halves under different masks, are of no use.
                prop_assert!(Share::from_bytes(&one.to_bytes()).unwrap().check(&secret.commitment(), &slope).is_err());
                let mut another = mask;
                another[0] ^= 1;
                let wrong = rebuild(&one, &half(b, a, another)).unwrap();
                prop_assert!(wrong.check(&secret.commitment(), &slope).is_err());
            }
        }
    }

    #[test]
    fn a_share_of_something_else_is_noticed_by_its_node_alone() {
        let (secret, other) = (member([1; 32]), member([2; 32]));
        let (shares, slope) = split(&secret, Fresh::new([3; 32]));
        let (foreign, foreign_slope) = split(&other, Fresh::new([4; 32]));
        let commitment = secret.commitment();
        assert_eq!(foreign[0].check(&commitment, &slope), Err(Error::Escrow));
        assert_eq!(foreign[0].check(&commitment, &foreign_slope), Err(Error::Escrow));
        assert_eq!(shares[0].check(&other.commitment(), &slope), Err(Error::Escrow));
        assert_eq!(shares[0].check(&commitment, &Slope::from_bytes([0; 48])), Err(Error::Escrow));
        for place in 1..Share::LEN {
            let mut bytes = shares[0].to_bytes();
            bytes[place] ^= 1;
            let checked = Share::from_bytes(&bytes).and_then(|share| share.check(&commitment, &slope));
            assert_eq!(checked, Err(Error::Escrow), "byte {place}");
        }
        let mut moved = shares[0].to_bytes();
        moved[0] = 2;
        assert_eq!(Share::from_bytes(&moved).unwrap().check(&commitment, &slope), Err(Error::Escrow));
        assert_eq!(combine_shares(&shares[0], &foreign[1]), Err(Error::Escrow));
        assert!(shares[0].half(NodeId::ALL[0], NodeId::ALL[2], &Fresh::new([1; 32])).is_err());
        assert!(shares[0].half(NodeId::ALL[1], NodeId::ALL[1], &Fresh::new([1; 32])).is_err());
        assert_eq!(format!("{:?}", shares[0]), "Share { node: 1, <redacted> }");
    }
}
