//! Domain-separated Ed25519 signatures over canonical bytes.

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::{DeviceKey, Digest, Error, Signature, decode, encode};

/// A message that is signed. The domain keeps a signature over one kind of message from being read as another kind.
pub trait Message: BorshSerialize + BorshDeserialize {
    /// Domain string, such as `trust-commons/v1/request`.
    const DOMAIN: &'static str;
    /// Plain name for errors.
    const NAME: &'static str;
    /// Largest encoding accepted, in bytes.
    const LIMIT: usize;

    /// SHA-256 over domain and canonical bytes: the name of this message in other messages.
    fn digest(&self) -> Digest {
        Digest::of(Self::DOMAIN, &[&encode(self)])
    }
}

/// Signs the digest of `message` with `key`.
pub fn sign<M: Message>(message: &M, key: &SigningKey) -> Signature {
    Signature(key.sign(&message.digest().0).to_bytes())
}

/// Checks a signature over `message` by `key`, rejecting weak keys and non-canonical signatures.
///
/// # Errors
/// [`Error::BadSignature`].
pub fn verify<M: Message>(message: &M, key: &DeviceKey, signature: &Signature) -> Result<(), Error> {
    let bad = Error::BadSignature { what: M::NAME };
    let key = VerifyingKey::from_bytes(&key.0).map_err(|_| bad.clone())?;
    key.verify_strict(&message.digest().0, &ed25519_dalek::Signature::from_bytes(&signature.0)).map_err(|_| bad)?;
    Ok(())
}

/// The public half of a signing key, as it appears in messages and rosters.
pub fn public_key(key: &SigningKey) -> DeviceKey {
    DeviceKey(key.verifying_key().to_bytes())
}

/// A message with one signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signed<M> {
    /// What was signed.
    pub message: M,
    /// By whom is named inside the message or known from context.
    pub signature: Signature,
}

impl<M: Message> Signed<M> {
    /// Signs.
    pub fn new(message: M, key: &SigningKey) -> Self {
        let signature = sign(&message, key);
        Self { message, signature }
    }
    /// Checks the signature.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn verify(&self, key: &DeviceKey) -> Result<(), Error> {
        verify(&self.message, key, &self.signature)
    }
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads canonical bytes; does not check the signature.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        decode(M::NAME, bytes, M::LIMIT + 64)
    }
}
