//! Proofs of a signature, and with it of a pseudonym.

use std::collections::BTreeMap;

use bls12_381_plus::group::{Curve, Group};
use bls12_381_plus::{G1Affine, G2Affine, G2Prepared, Scalar, multi_miller_loop};

use super::group::{G1, POINT_LEN, SCALAR_LEN, combine, combine_public, read_point, read_scalar, write_point};
use super::signature::{SIGNATURE_LEN, read_signature, signed_point};
use super::suite::{Interface, PublicKey, Stream, base_of, hash_to_scalar, octets};

/// A signature and everything it is over.
pub(crate) struct Claimed<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) header: &'a [u8],
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
    /// All of them; the last one is the secret behind pseudonyms.
    pub(crate) messages: &'a [Scalar],
}

/// What the verifier sees besides the proof.
pub(crate) struct Shown<'a> {
    /// By position, ascending.
    pub(crate) disclosed: &'a BTreeMap<usize, Scalar>,
    /// Bound by the proof, but not part of the signature.
    pub(crate) presentation_header: &'a [u8],
    /// None for a plain proof of bbs-signatures-13.
    pub(crate) nym: Option<Nym<'a>>,
}

/// A pseudonym in its context.
#[derive(Clone, Copy)]
pub(crate) struct Nym<'a> {
    context: &'a [u8],
    /// [`base_of`] the context.
    base: G1,
    pseudonym: G1,
}

impl<'a> Nym<'a> {
    pub(crate) fn new(context: &'a [u8], pseudonym: G1) -> Self {
        Self { context, base: base_of(context), pseudonym }
    }
}

/// Bytes of a proof that leaves `hidden` messages undisclosed.
pub(crate) const fn proof_len(hidden: usize) -> usize {
    3 * POINT_LEN + (4 + hidden) * SCALAR_LEN
}

/// ProofGen (with a pseudonym: CoreProofGenWithNym). None if positions or lengths do not fit.
pub(crate) fn prove(
    interface: &Interface,
    claimed: &Claimed<'_>,
    shown: &Shown<'_>,
    stream: &mut Stream,
) -> Option<Vec<u8>> {
    let (a, e) = read_signature(claimed.signature)?;
    let hidden = hidden_positions(interface, shown, claimed.messages.len())?;
    let [r1, r2, e_mask, r1_mask, r3_mask] = std::array::from_fn(|_| stream.scalar());
    let masks: Vec<Scalar> = hidden.iter().map(|_| stream.scalar()).collect();
    let r3: Option<Scalar> = r2.invert().into();
    let r3 = r3?;

    let domain = interface.domain(claimed.key, claimed.header);
    let b = signed_point(interface, &domain, claimed.messages);
    let d = combine(&[(b, r2)]);
    let a_bar = combine(&[(a, r1 * r2)]);
    let b_bar = combine(&[(d, r1), (a_bar, -e)]);
    let t1 = combine(&[(a_bar, e_mask), (d, r1_mask)]);
    let mut terms = vec![(d, r3_mask)];
    for (position, mask) in hidden.iter().zip(&masks) {
        terms.push((*interface.points.get(*position)?, *mask));
    }
    let t2 = combine(&terms);
    let ut = match shown.nym {
        Some(nym) => Some(combine(&[(nym.base, *masks.last()?)])),
        None => None,
    };

    let points = [a_bar, b_bar, d, t1, t2];
    let challenge = challenge(interface, shown, &points, ut.as_ref(), &domain);
    let mut proof: Vec<u8> = [a_bar, b_bar, d].iter().flat_map(write_point).collect();
    let fixed = [e_mask + e * challenge, r1_mask - r1 * challenge, r3_mask - r3 * challenge];
    fixed.iter().for_each(|scalar| proof.extend(scalar.to_be_bytes()));
    for (position, mask) in hidden.iter().zip(&masks) {
        proof.extend((mask + claimed.messages.get(*position)? * challenge).to_be_bytes());
    }
    proof.extend(challenge.to_be_bytes());
    Some(proof)
}

/// ProofVerify up to its pairings, which the caller adds to `pairings` and checks there. False for anything that is not a proof.
pub(crate) fn verify(
    interface: &Interface,
    key: &PublicKey,
    header: &[u8],
    proof: &[u8],
    shown: &Shown<'_>,
    pairings: &mut PairingCheck,
) -> bool {
    checked(interface, key, header, proof, shown, pairings).is_some()
}

fn checked(
    interface: &Interface,
    key: &PublicKey,
    header: &[u8],
    proof: &[u8],
    shown: &Shown<'_>,
    pairings: &mut PairingCheck,
) -> Option<()> {
    let hidden = hidden_positions(interface, shown, interface.points.len())?;
    if proof.len() != proof_len(hidden.len()) {
        return None;
    }
    let (points, scalars) = proof.split_at_checked(3 * POINT_LEN)?;
    let points: Vec<G1> = points.chunks(POINT_LEN).map(read_point).collect::<Option<_>>()?;
    let [a_bar, b_bar, d] = points.try_into().ok()?;
    let scalars: Vec<Scalar> = scalars.chunks(SCALAR_LEN).map(read_scalar).collect::<Option<_>>()?;
    let (challenge_given, responses) = scalars.split_last()?;
    let (fixed, responses) = responses.split_first_chunk::<3>()?;
    let [e, r1, r3] = *fixed;
    let c = *challenge_given;

    let domain = interface.domain(key, header);
    let t1 = combine_public(&[(b_bar, c), (a_bar, e), (d, r1)]);
    // T2 = Bv * c + D * r3 + sum of hidden responses, with Bv * c spread over its own generators.
    let mut terms = vec![(interface.p1, c), (interface.q1, domain * c), (d, r3)];
    for (position, message) in shown.disclosed {
        terms.push((*interface.points.get(*position)?, message * c));
    }
    for (position, response) in hidden.iter().zip(responses) {
        terms.push((*interface.points.get(*position)?, *response));
    }
    let t2 = combine_public(&terms);
    let uv = match shown.nym {
        Some(nym) => {
            let uv = combine_public(&[(nym.base, *responses.last()?), (nym.pseudonym, -c)]);
            (!bool::from(uv.is_identity())).then_some(Some(uv))?
        }
        None => None,
    };
    if challenge(interface, shown, &[a_bar, b_bar, d, t1, t2], uv.as_ref(), &domain) != c {
        return None;
    }
    pairings.add(proof, key, &a_bar, &b_bar);
    Some(())
}

/// Positions that stay hidden; none if a disclosed one does not exist, or the secret of the pseudonym would be disclosed.
fn hidden_positions(interface: &Interface, shown: &Shown<'_>, messages: usize) -> Option<Vec<usize>> {
    let last = messages.checked_sub(1)?;
    let highest = shown.disclosed.keys().next_back();
    let allowed = |position: &usize| *position < last || (*position == last && shown.nym.is_none());
    if messages != interface.points.len() || !highest.is_none_or(allowed) {
        return None;
    }
    Some((0..messages).filter(|position| !shown.disclosed.contains_key(position)).collect())
}

fn challenge(
    interface: &Interface,
    shown: &Shown<'_>,
    points: &[G1; 5],
    masked_nym: Option<&G1>,
    domain: &Scalar,
) -> Scalar {
    let mut input = octets(shown.disclosed.len()).to_vec();
    for (position, message) in shown.disclosed {
        input.extend(octets(*position));
        input.extend(message.to_be_bytes());
    }
    points.iter().for_each(|point| input.extend(write_point(point)));
    if let (Some(nym), Some(masked)) = (shown.nym, masked_nym) {
        input.extend(write_point(&nym.pseudonym));
        input.extend(write_point(masked));
    }
    input.extend(domain.to_be_bytes());
    input.extend(octets(shown.presentation_header.len()));
    input.extend(shown.presentation_header);
    if let Some(nym) = shown.nym {
        input.extend(octets(nym.context.len()));
        input.extend(nym.context);
    }
    hash_to_scalar(&input, &interface.dst(b"H2S_"))
}

/// Collects e(Abar, W) = e(Bbar, G2) of several proofs and checks them with one final exponentiation. Each equation after the
/// first is weighed with a hash of its proof, so that false ones do not cancel out.
#[derive(Default)]
pub(crate) struct PairingCheck {
    left: Vec<(G1Affine, PublicKey)>,
    right: Option<G1>,
}

impl PairingCheck {
    fn add(&mut self, proof: &[u8], key: &PublicKey, a_bar: &G1, b_bar: &G1) {
        let (a, b) = match self.right {
            None => (*a_bar, *b_bar),
            Some(_) => {
                // The weight depends on every equation so far and on this one.
                let mut input: Vec<u8> = self.right.iter().flat_map(write_point).collect();
                for (point, key) in &self.left {
                    input.extend(point.to_compressed());
                    input.extend(key.bytes);
                }
                input.extend(key.bytes);
                input.extend(proof);
                let weight = hash_to_scalar(&input, b"trust-commons/v1/pairing-weight");
                (combine_public(&[(*a_bar, weight)]), combine_public(&[(*b_bar, weight)]))
            }
        };
        self.left.push((a.to_affine(), key.clone()));
        self.right = Some(self.right.map_or(b, |sum| sum + b));
    }

    /// Do all equations hold? True for none.
    pub(crate) fn holds(&self) -> bool {
        let Some(right) = self.right else { return true };
        let (right, generator) = ((-right).to_affine(), G2Prepared::from(G2Affine::generator()));
        let mut terms: Vec<_> = self.left.iter().map(|(point, key)| (point, &key.prepared)).collect();
        terms.push((&right, &generator));
        multi_miller_loop(&terms).final_exponentiation().is_identity().into()
    }
}

#[cfg(test)]
impl PairingCheck {
    /// The same with the first two keys exchanged.
    pub(crate) fn exchanged(mut self) -> Self {
        if let [first, second, ..] = self.left.as_mut_slice() {
            std::mem::swap(&mut first.1, &mut second.1);
        }
        self
    }
}
