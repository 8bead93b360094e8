//! A member in one context: the pseudonym, and signatures by it.
//!
//! The signatures are Schnorr's over the pseudonym's own base, with the hash of everything in the challenge (RFC 8235 section 3).

use std::fmt;

use bls12_381_plus::Scalar;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use types::Digest;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bbs::{G1, base_of, combine, combine_public, hash_to_scalar, read_point, read_scalar, write_point};
use crate::{Context, Error, Fresh, MemberSecret};

/// A person in one context, and the nullifier there: the same person always has the same one, and no two contexts' can be linked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Pseudonym(pub [u8; 48]);

impl Pseudonym {
    /// Lower-case hexadecimal, 96 characters.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
    /// Reads what [`Self::to_hex`] writes.
    ///
    /// # Errors
    /// [`Error::Pseudonym`].
    pub fn from_hex(text: &str) -> Result<Self, Error> {
        let digit = |c: &u8| char::from(*c).to_digit(16).filter(|_| !c.is_ascii_uppercase());
        let pair = |pair: &[u8]| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(Error::Pseudonym)
    }
    pub(crate) fn point(&self) -> Result<G1, Error> {
        read_point(&self.0).ok_or(Error::Pseudonym)
    }

    /// Checks a signature by the persona of this pseudonym in the context of `scope`.
    pub(crate) fn verify(&self, scope: &Digest, domain: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(point) = self.point() else { return false };
        let (challenge, response) = signature.split_at(32);
        let (Some(c), Some(z)) = (read_scalar(challenge), read_scalar(response)) else { return false };
        let masked = combine_public(&[(base_of(&scope.0), z), (point, -c)]);
        signature_challenge(scope, self, domain, message, &masked) == c
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({self})")
    }
}

impl Serialize for Pseudonym {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Pseudonym {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_hex(&<String as Deserialize>::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// A member's own persona in one context: pseudonym and the power to act as it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Persona {
    nym: Scalar,
    #[zeroize(skip)]
    base: G1,
    #[zeroize(skip)]
    scope: Digest,
    #[zeroize(skip)]
    pseudonym: Pseudonym,
}

impl Persona {
    /// The member's persona in `context`. Always the same one.
    pub fn new(secret: &MemberSecret, context: &Context) -> Self {
        let (scope, nym) = (context.scope(), secret.nym());
        let base = base_of(&scope.0);
        Self { nym, base, scope, pseudonym: Pseudonym(write_point(&combine(&[(base, nym)]))) }
    }
    /// Its public name.
    pub fn pseudonym(&self) -> &Pseudonym {
        &self.pseudonym
    }
    /// [`Context::scope`] of its context.
    pub fn scope(&self) -> &Digest {
        &self.scope
    }
    pub(crate) fn base(&self) -> &G1 {
        &self.base
    }
    pub(crate) fn nym(&self) -> &Scalar {
        &self.nym
    }
    pub(crate) fn sign(&self, domain: &str, message: &[u8], fresh: Fresh) -> [u8; 64] {
        let mut nym = self.nym.to_be_bytes();
        let mask = fresh.stream(domain, &[&nym, &self.scope.0, message]).scalar();
        nym.zeroize();
        let masked = combine(&[(self.base, mask)]);
        let c = signature_challenge(&self.scope, &self.pseudonym, domain, message, &masked);
        let mut signature = [0; 64];
        let (challenge, response) = signature.split_at_mut(32);
        challenge.copy_from_slice(&c.to_be_bytes());
        response.copy_from_slice(&(mask + c * self.nym).to_be_bytes());
        signature
    }
}

impl fmt::Debug for Persona {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Persona").field("pseudonym", &self.pseudonym).finish_non_exhaustive()
    }
}

fn signature_challenge(scope: &Digest, pseudonym: &Pseudonym, domain: &str, message: &[u8], masked: &G1) -> Scalar {
    let input = [scope.0.as_slice(), &pseudonym.0, &write_point(masked), domain.as_bytes(), &[0], message].concat();
    hash_to_scalar(&input, b"trust-commons/v1/persona-signature")
}
