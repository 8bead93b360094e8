//! The member's one secret, and what the nodes see of it.

use std::fmt;

use bls12_381_plus::Scalar;
use borsh::{BorshDeserialize, BorshSerialize};
use subtle::ConstantTimeEq;
use types::Digest;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bbs::{
    Stream, check_commitment, combine, commit, hash_to_scalar, interface, read_point, read_scalar, write_point,
};
use crate::{Error, Fresh};

/// The secret behind all of a member's personas. It is made once on the member's device, escrowed in shares, and comes back only by
/// recovery; who holds it and two credentials is the member. Everything else follows from it: the blinding factor of its commitment,
/// and with it the pseudonyms, so that escrowing these 32 bytes escrows all of it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MemberSecret {
    /// The draft's prover_nym.
    own: Scalar,
    /// Blinds the commitment; a hash of `own`.
    blind: Scalar,
    /// The draft's nym_secret: `own` plus what the issuers add.
    nym: Scalar,
}

impl MemberSecret {
    /// A new one.
    pub fn generate(fresh: Fresh) -> Self {
        Self::from_scalar(fresh.stream("trust-commons/v1/member-secret", &[]).scalar())
    }

    /// What [`Self::to_escrow`] wrote.
    ///
    /// # Errors
    /// [`Error::Secret`].
    pub fn from_escrow(bytes: &[u8; 32]) -> Result<Self, Error> {
        read_scalar(bytes).filter(|own| *own != Scalar::ZERO).map(Self::from_scalar).ok_or(Error::Secret)
    }

    /// The 32 bytes to split among nodes or guardians. They are the member: never store them whole outside the member's device.
    pub fn to_escrow(&self) -> [u8; 32] {
        self.own.to_be_bytes()
    }

    pub(crate) fn from_scalar(own: Scalar) -> Self {
        let mut bytes = own.to_be_bytes();
        let blind = Stream::new(&bytes, "trust-commons/v1/commitment-blind", &[]).scalar();
        bytes.zeroize();
        let mut secret = Self { own, blind, nym: own };
        secret.nym += secret.commitment().entropy();
        secret
    }

    /// The commitment that all three nodes sign over.
    pub fn commitment(&self) -> Commitment {
        let [q2, j1] = blind_points();
        Commitment(write_point(&combine(&[(q2, self.blind), (j1, self.own)])))
    }

    /// The same with the proof that the member knows the secret: for the first issuing. One request goes to all nodes.
    pub fn request(&self, fresh: Fresh) -> CommitmentRequest {
        let mut stream = fresh.stream("trust-commons/v1/commitment", &[&self.own.to_be_bytes()]);
        let (_, bytes) =
            commit(interface(), &self.own, &self.blind, &mut stream).expect("the interface has two blind generators");
        CommitmentRequest { proof: bytes.try_into().expect("a commitment has one fixed length") }
    }

    pub(crate) fn own(&self) -> Scalar {
        self.own
    }
    pub(crate) fn blind(&self) -> Scalar {
        self.blind
    }
    pub(crate) fn nym(&self) -> Scalar {
        self.nym
    }
}

/// What the blinding factor and the secret are multiplied with, in a commitment.
pub(crate) fn blind_points() -> [crate::bbs::G1; 2] {
    let interface = interface();
    interface
        .points
        .get(interface.known..)
        .and_then(|points| points.try_into().ok())
        .expect("the interface has two blind generators")
}

impl fmt::Debug for MemberSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberSecret(<redacted>)")
    }
}

impl PartialEq for MemberSecret {
    fn eq(&self, other: &Self) -> bool {
        self.own.ct_eq(&other.own).into()
    }
}

impl Eq for MemberSecret {}

/// What a node binds to a record, once: a point that hides the member's secret. Later issuing signs over the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Commitment([u8; 48]);

impl Commitment {
    /// From storage. It is checked again when it is used.
    pub fn from_bytes(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }
    /// For storage beside the record.
    pub fn to_bytes(self) -> [u8; 48] {
        self.0
    }
    /// Names it in an operation that three nodes agree on, so that all three sign over one commitment.
    pub fn digest(&self) -> Digest {
        Digest::of("trust-commons/v1/commitment", &[&self.0])
    }
    /// The draft's signer_nym_entropy. It must be the same for all three issuers, or their pseudonyms would differ; and it must not be
    /// the member's to choose. A hash of the commitment is both: nobody can aim at a given secret, such as another member's, and a
    /// later issuing or a new roster changes nothing.
    pub(crate) fn entropy(&self) -> Scalar {
        hash_to_scalar(&self.0, b"trust-commons/v1/signer-nym-entropy")
    }
    pub(crate) fn point(&self) -> Option<crate::bbs::G1> {
        read_point(&self.0)
    }
}

/// From a member to the nodes: a commitment to the secret, and the proof that the sender knows it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitmentRequest {
    proof: [u8; 144],
}

impl CommitmentRequest {
    /// Bytes of a request.
    pub const LEN: usize = 144;

    /// From the wire; not checked yet.
    pub fn from_bytes(bytes: [u8; 144]) -> Self {
        Self { proof: bytes }
    }
    /// For the wire.
    pub fn to_bytes(&self) -> [u8; 144] {
        self.proof
    }
    /// The commitment, if its proof holds.
    ///
    /// # Errors
    /// [`Error::Commitment`].
    pub fn verify(&self) -> Result<Commitment, Error> {
        let point = check_commitment(interface(), &self.proof).ok_or(Error::Commitment)?;
        Ok(Commitment(write_point(&point)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_proves_its_commitment_and_nothing_altered_does() {
        let secret = MemberSecret::generate(Fresh::new([1; 32]));
        let request = secret.request(Fresh::new([2; 32]));
        assert_eq!(request.verify(), Ok(secret.commitment()));
        assert_ne!(request, secret.request(Fresh::new([3; 32])));
        for place in 0..CommitmentRequest::LEN {
            let mut bytes = request.to_bytes();
            bytes[place] ^= 1;
            assert_eq!(CommitmentRequest::from_bytes(bytes).verify(), Err(Error::Commitment), "byte {place}");
        }
    }

    #[test]
    fn the_escrowed_bytes_bring_everything_back() {
        let secret = MemberSecret::generate(Fresh::new([1; 32]));
        let back = MemberSecret::from_escrow(&secret.to_escrow()).unwrap();
        assert_eq!((back.commitment(), back.nym()), (secret.commitment(), secret.nym()));
        assert!(back == secret);
        assert_eq!(MemberSecret::from_escrow(&[0; 32]), Err(Error::Secret));
        assert_eq!(MemberSecret::from_escrow(&[255; 32]), Err(Error::Secret));
        assert_eq!(format!("{secret:?}"), "MemberSecret(<redacted>)");
    }
}
