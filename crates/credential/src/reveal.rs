//! Revealing: two personas are one person, said to everybody, or to one verifier who can convince nobody else of it.
//!
//! Both pseudonyms are the same secret times the bases of their contexts; the proof is Chaum and Pedersen's of equal discrete
//! logarithms ("Wallet databases with observers", CRYPTO '92, section 3.2), non-interactive by hashing everything.
//!
//! To one verifier it is a designated verifier proof (Jakobsson, Sako and Impagliazzo, "Designated verifier proofs and their
//! applications", EUROCRYPT '96) in the form of an OR-proof (Cramer, Damgard and Schoenmakers, "Proofs of partial knowledge",
//! CRYPTO '94): *these pseudonyms have one secret, or I know the verifier's secret*. The verifier, who knows that it did not make it
//! itself, is convinced; anybody else is not, for the verifier can make such a proof of any two pseudonyms ([`RevealKey::simulate`]),
//! and the two have one distribution.
//!
//! Limits: whoever watches the person send the proof learns what the verifier learns; a verifier who lets somebody else hold its key
//! convinces them too. A verifier's key comes with a proof that its owner knows it, since else a judge's own key could be passed off
//! as the verifier's.
//!
//! *Me* is a persona as well: one under which the other side knows the person already.
//!
//! **Out of scope**: that the personas are enrolled people (their presentations show that), who may ask for a reveal.

use std::fmt;

use bls12_381_plus::Scalar;
use borsh::{BorshDeserialize, BorshSerialize};
use types::{Digest, encode};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bbs::{G1, Stream, base_of, combine, combine_public, hash_to_scalar, read_point, read_scalar, write_point};
use crate::{Context, Envelope, Error, Fresh, Persona, Pseudonym, limits};

/// A pseudonym and the context it lives in.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Side {
    /// [`Context::scope`].
    pub scope: Digest,
    /// Who, there.
    pub pseudonym: Pseudonym,
}

impl Side {
    /// Of a context and a pseudonym shown there.
    pub fn new(context: &Context, pseudonym: Pseudonym) -> Self {
        Self { scope: context.scope(), pseudonym }
    }
}

/// The statement that two personas are one person, with its proof.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reveal {
    version: u16,
    sides: [Side; 2],
    nonce: [u8; 32],
    /// The one verifier, or everybody.
    designated: Option<RevealPublicKey>,
    /// Challenge and response for the personas; with a designated verifier, then challenge and response for its key.
    proof: Vec<u8>,
}

impl Envelope for Reveal {
    const NAME: &'static str = "reveal";
    const LIMIT: usize = limits::REVEAL_BYTES;
    const VERSION: u16 = 1;
    fn version(&self) -> u16 {
        self.version
    }
}

impl Reveal {
    /// For everybody: a proof that can be passed on. `nonce` is the other side's question, or zeros for a standing statement.
    pub fn to_all(one: &Persona, other: &Persona, nonce: [u8; 32], fresh: Fresh) -> Self {
        Self::prove(one, other, nonce, None, &fresh).expect("no verifier's key is read")
    }

    /// For the holder of `verifier` alone.
    ///
    /// # Errors
    /// [`Error::RevealKey`].
    pub fn to_one(
        verifier: &RevealPublicKey,
        one: &Persona,
        other: &Persona,
        nonce: [u8; 32],
        fresh: Fresh,
    ) -> Result<Self, Error> {
        verifier.check()?;
        Self::prove(one, other, nonce, Some(verifier), &fresh)
    }

    /// Checks the statement that the persona of `one` is that of `other`, made to the holder of `verifier`, or to all if none.
    ///
    /// # Errors
    /// [`Error::Reveal`].
    pub fn verify(
        &self,
        one: &Side,
        other: &Side,
        nonce: &[u8; 32],
        verifier: Option<&RevealPublicKey>,
    ) -> Result<(), Error> {
        let [first, second] = &self.sides;
        if (first, second, &self.nonce, self.designated.as_ref()) != (one, other, nonce, verifier) {
            return Err(Error::Reveal);
        }
        self.holds().filter(|holds| *holds).map(|_| ()).ok_or(Error::Reveal)
    }

    /// What is claimed.
    pub fn sides(&self) -> &[Side; 2] {
        &self.sides
    }

    fn prove(
        one: &Persona,
        other: &Persona,
        nonce: [u8; 32],
        designated: Option<&RevealPublicKey>,
        fresh: &Fresh,
    ) -> Result<Self, Error> {
        let side = |persona: &Persona| Side { scope: *persona.scope(), pseudonym: *persona.pseudonym() };
        let mut reveal = Self::unproven([side(one), side(other)], nonce, designated);
        let mut nym = one.nym().to_be_bytes();
        let mut stream = fresh.stream("trust-commons/v1/reveal", &[&nym, &reveal.statement()]);
        nym.zeroize();
        let mask = stream.scalar();
        let mut masked = vec![combine(&[(*one.base(), mask)]), combine(&[(*other.base(), mask)])];
        // The half that is not known is simulated: choose its challenge and response, compute what it would have begun with.
        let simulated = match designated {
            None => None,
            Some(key) => {
                let (c, z) = (stream.scalar(), stream.scalar());
                masked.push(combine(&[(G1::GENERATOR, z), (key.point()?, -c)]));
                Some((c, z))
            }
        };
        let c = reveal.challenge(&masked) - simulated.map_or(Scalar::ZERO, |(c, _)| c);
        reveal.write([(c, mask + c * one.nym())].into_iter().chain(simulated));
        Ok(reveal)
    }

    fn unproven(sides: [Side; 2], nonce: [u8; 32], designated: Option<&RevealPublicKey>) -> Self {
        Self { version: Self::VERSION, sides, nonce, designated: designated.cloned(), proof: Vec::new() }
    }

    fn write(&mut self, halves: impl Iterator<Item = (Scalar, Scalar)>) {
        self.proof = halves.flat_map(|(c, z)| [c.to_be_bytes(), z.to_be_bytes()]).flatten().collect();
    }

    fn holds(&self) -> Option<bool> {
        let halves = 1 + usize::from(self.designated.is_some());
        if self.proof.len() != 64 * halves {
            return None;
        }
        let scalars: Vec<Scalar> = self.proof.chunks(32).map(read_scalar).collect::<Option<_>>()?;
        let (c, z) = (*scalars.first()?, *scalars.get(1)?);
        let mut masked = Vec::new();
        for side in &self.sides {
            masked.push(combine_public(&[(base_of(&side.scope.0), z), (side.pseudonym.point().ok()?, -c)]));
        }
        let mut sum = c;
        if let Some(key) = &self.designated {
            key.check().ok()?;
            let (c, z) = (*scalars.get(2)?, *scalars.get(3)?);
            masked.push(combine_public(&[(G1::GENERATOR, z), (key.point().ok()?, -c)]));
            sum += c;
        }
        Some(self.challenge(&masked) == sum)
    }

    /// Everything but the proof.
    fn statement(&self) -> Vec<u8> {
        encode(&(self.version, &self.sides, self.nonce, &self.designated))
    }

    fn challenge(&self, masked: &[G1]) -> Scalar {
        let mut input = self.statement();
        masked.iter().for_each(|point| input.extend(write_point(point)));
        hash_to_scalar(&input, b"trust-commons/v1/reveal")
    }
}

/// A verifier's secret for reveals made to it alone.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RevealKey(Scalar);

impl RevealKey {
    /// A new one.
    pub fn generate(fresh: Fresh) -> Self {
        Self(fresh.stream("trust-commons/v1/reveal-key", &[]).scalar())
    }
    /// From storage.
    ///
    /// # Errors
    /// [`Error::RevealKey`].
    pub fn from_secret_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        read_scalar(bytes).filter(|secret| *secret != Scalar::ZERO).map(Self).ok_or(Error::RevealKey)
    }
    /// For storage, which must keep them secret.
    pub fn secret_bytes(&self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// To hand out: the key and the proof that its owner knows the secret. Always the same.
    pub fn public(&self) -> RevealPublicKey {
        let point = write_point(&combine(&[(G1::GENERATOR, self.0)]));
        let mut secret = self.0.to_be_bytes();
        let mask = Stream::new(&secret, "trust-commons/v1/reveal-key-proof", &[]).scalar();
        secret.zeroize();
        let c = key_challenge(&point, &combine(&[(G1::GENERATOR, mask)]));
        RevealPublicKey { point, challenge: c.to_be_bytes(), response: (mask + c * self.0).to_be_bytes() }
    }

    /// Makes, without any member, a reveal of any two pseudonyms that [`Reveal::verify`] accepts: the reason why reveals made to this
    /// key convince nobody else.
    ///
    /// # Errors
    /// [`Error::Pseudonym`].
    pub fn simulate(&self, one: Side, other: Side, nonce: [u8; 32], fresh: Fresh) -> Result<Reveal, Error> {
        let mut reveal = Reveal::unproven([one, other], nonce, Some(&self.public()));
        let mut stream = fresh.stream("trust-commons/v1/reveal-simulation", &[&self.0.to_be_bytes(), &reveal.statement()]);
        let (c, z, mask) = (stream.scalar(), stream.scalar(), stream.scalar());
        let mut masked = Vec::new();
        for side in &reveal.sides {
            masked.push(combine(&[(base_of(&side.scope.0), z), (side.pseudonym.point()?, -c)]));
        }
        masked.push(combine(&[(G1::GENERATOR, mask)]));
        let own = reveal.challenge(&masked) - c;
        reveal.write([(c, z), (own, mask + own * self.0)].into_iter());
        Ok(reveal)
    }
}

impl fmt::Debug for RevealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevealKey(<redacted>)")
    }
}

/// A verifier's public key for reveals, proven to be its own. 112 bytes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RevealPublicKey {
    point: [u8; 48],
    challenge: [u8; 32],
    response: [u8; 32],
}

impl RevealPublicKey {
    /// Does its owner know the secret?
    ///
    /// # Errors
    /// [`Error::RevealKey`].
    pub fn check(&self) -> Result<(), Error> {
        let point = self.point()?;
        let (Some(c), Some(z)) = (read_scalar(&self.challenge), read_scalar(&self.response)) else {
            return Err(Error::RevealKey);
        };
        let masked = combine_public(&[(G1::GENERATOR, z), (point, -c)]);
        if key_challenge(&self.point, &masked) == c { Ok(()) } else { Err(Error::RevealKey) }
    }
    fn point(&self) -> Result<G1, Error> {
        read_point(&self.point).ok_or(Error::RevealKey)
    }
}

fn key_challenge(point: &[u8; 48], masked: &G1) -> Scalar {
    hash_to_scalar(&[point.as_slice(), &write_point(masked)].concat(), b"trust-commons/v1/reveal-key")
}
