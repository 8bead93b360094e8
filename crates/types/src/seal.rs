//! Sealing to one recipient: HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
//!
//! A share is sealed to its node with the request's digest as associated data, so it cannot be moved to another request, and
//! stays sealed through whatever terminates TLS in front of a node.

use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256,
    single_shot_open, single_shot_seal_with_rng,
};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Digest, Error};

type Suite = X25519HkdfSha256;

/// Bytes that sealing adds.
pub const OVERHEAD: usize = 32 + 16;

/// An HPKE private key (X25519).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealKey([u8; 32]);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(<redacted>)")
    }
}

impl SealKey {
    /// Derives a key pair from 32 random bytes (RFC 9180, DeriveKeyPair).
    pub fn from_random(ikm: &[u8; 32]) -> Self {
        let (secret, _) = Suite::derive_keypair(ikm);
        Self(secret.to_bytes().into())
    }
    /// Reads what [`Self::to_bytes`] returns.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The private key, for a node's own key file.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }
    /// The public key, for the roster or a request.
    ///
    /// # Errors
    /// [`Error::BadSeal`] when the private key is not one.
    pub fn public(&self) -> Result<[u8; 32], Error> {
        let secret = <Suite as Kem>::PrivateKey::from_bytes(&self.0).map_err(|_| Error::BadSeal)?;
        Ok(Suite::sk_to_pk(&secret).to_bytes().into())
    }
}

/// Seals `plaintext` to the holder of `public_key`. `purpose` separates uses; `context` is what it belongs to.
///
/// # Errors
/// [`Error::BadSeal`] when the public key is not one.
pub fn seal<R: CryptoRng>(
    public_key: &[u8; 32],
    purpose: &str,
    context: &Digest,
    plaintext: &[u8],
    rng: &mut R,
) -> Result<Vec<u8>, Error> {
    let key = <Suite as Kem>::PublicKey::from_bytes(public_key).map_err(|_| Error::BadSeal)?;
    let (encapsulated, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Suite>(
        &OpModeS::Base,
        &key,
        purpose.as_bytes(),
        plaintext,
        &context.0,
        rng,
    )
    .map_err(|_| Error::BadSeal)?;
    let mut sealed = encapsulated.to_bytes().to_vec();
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`Error::BadSeal`].
pub fn open(key: &SealKey, purpose: &str, context: &Digest, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    open_bytes(key, purpose.as_bytes(), &context.0, sealed)
}

fn open_bytes(key: &SealKey, info: &[u8], associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(32).ok_or(Error::BadSeal)?;
    let secret = <Suite as Kem>::PrivateKey::from_bytes(&key.0).map_err(|_| Error::BadSeal)?;
    let encapsulated = <Suite as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| Error::BadSeal)?;
    let mode = OpModeR::Base;
    single_shot_open::<ChaCha20Poly1305, HkdfSha256, Suite>(&mode, &secret, &encapsulated, info, ciphertext, associated)
        .map_err(|_| Error::BadSeal)
}

/// Purpose of a share sealed to a node.
pub const SHARE: &str = "trust-commons/v1/seal/share";
/// Purpose of a share of a member's secret, kept for them by a node.
pub const ESCROW: &str = "trust-commons/v1/seal/escrow";
/// Purpose of a node's contribution to a refresh, sealed to a key of another node that lives for that refresh only.
pub const REFRESH: &str = "trust-commons/v1/seal/refresh";
/// Purpose of what two nodes hand to the one that takes a third node's place.
pub const HANDOVER: &str = "trust-commons/v1/seal/handover";
/// Purpose of an inspection sealed to a member.
pub const INSPECTION: &str = "trust-commons/v1/seal/inspection";

/// Purpose of a guardian's share sealed to the guardian.
pub const GUARDIAN: &str = "trust-commons/v1/seal/guardian";
/// Purpose of what a node gives to a device that recovered.
pub const RELEASE: &str = "trust-commons/v1/seal/release";

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;

    #[test]
    fn rfc_9180_vector_a_2_1_opens() {
        let key = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
        let encapsulated = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
        let ciphertext = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28";
        let key = SealKey::from_bytes(hex::decode(key).unwrap().try_into().unwrap());
        let sealed = hex::decode(format!("{encapsulated}{ciphertext}")).unwrap();
        let opened = open_bytes(&key, b"Ode on a Grecian Urn", b"Count-0", &sealed).unwrap();
        assert_eq!(opened, b"Beauty is truth, truth beauty");
    }

    #[test]
    fn only_the_recipient_opens_and_only_in_the_same_context() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (key, other) = (SealKey::from_random(&[1; 32]), SealKey::from_random(&[2; 32]));
        let (here, there) = (Digest([3; 32]), Digest([4; 32]));
        let sealed = seal(&key.public().unwrap(), SHARE, &here, b"share", &mut rng).unwrap();
        assert_eq!(sealed.len(), 5 + OVERHEAD);
        assert_eq!(open(&key, SHARE, &here, &sealed).unwrap(), b"share");
        assert_eq!(open(&other, SHARE, &here, &sealed), Err(Error::BadSeal));
        assert_eq!(open(&key, SHARE, &there, &sealed), Err(Error::BadSeal));
        assert_eq!(open(&key, INSPECTION, &here, &sealed), Err(Error::BadSeal));
        for position in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert_eq!(open(&key, SHARE, &here, &altered), Err(Error::BadSeal), "byte {position}");
        }
        assert_eq!(open(&key, SHARE, &here, &sealed[..31]), Err(Error::BadSeal));
    }
}
