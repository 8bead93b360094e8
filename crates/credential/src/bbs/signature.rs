//! Keys, commitments, blind signatures.

use bls12_381_plus::group::{Curve, Group};
use bls12_381_plus::{G1Affine, G2Affine, G2Prepared, G2Projective, Scalar, multi_miller_loop};

use super::group::{G1, POINT_LEN, SCALAR_LEN, combine, combine_public, read_point, read_scalar, write_point};
use super::suite::{Interface, PUBLIC_KEY_LEN, PublicKey, SUITE, Stream, hash_to_scalar, octets};

/// Bytes of a signature: a point and a scalar.
pub(crate) const SIGNATURE_LEN: usize = POINT_LEN + SCALAR_LEN;

/// KeyGen.
pub(crate) fn key_from_material(material: &[u8; 32], info: &[u8]) -> Scalar {
    let length = u16::try_from(info.len()).expect("key info is a short constant").to_be_bytes();
    hash_to_scalar(&[material.as_slice(), &length, info].concat(), &[SUITE, b"KEYGEN_DST_"].concat())
}

/// SkToPk.
pub(crate) fn public_key(secret: &Scalar) -> [u8; PUBLIC_KEY_LEN] {
    (G2Projective::GENERATOR * secret).to_affine().to_compressed()
}

/// A commitment to one secret under a blinding factor, with the proof that its maker knows both: point, two responses, challenge.
pub(crate) fn commit(interface: &Interface, secret: &Scalar, blind: &Scalar, stream: &mut Stream) -> Option<(G1, Vec<u8>)> {
    let [q2, j1] = blind_points(interface)?;
    let commitment = combine(&[(q2, *blind), (j1, *secret)]);
    let (blind_mask, secret_mask) = (stream.scalar(), stream.scalar());
    let masked = combine(&[(q2, blind_mask), (j1, secret_mask)]);
    let challenge = commitment_challenge(interface, &[q2, j1], &commitment, &masked);
    let mut bytes = write_point(&commitment).to_vec();
    for scalar in [blind_mask + blind * challenge, secret_mask + secret * challenge, challenge] {
        bytes.extend(scalar.to_be_bytes());
    }
    Some((commitment, bytes))
}

/// The commitment in `bytes`, if its proof holds.
pub(crate) fn check_commitment(interface: &Interface, bytes: &[u8]) -> Option<G1> {
    let [q2, j1] = blind_points(interface)?;
    let (point, scalars) = bytes.split_at_checked(POINT_LEN)?;
    let commitment = read_point(point)?;
    let scalars: Vec<Scalar> = scalars.chunks(SCALAR_LEN).map(read_scalar).collect::<Option<_>>()?;
    let [blind, secret, challenge] = scalars.try_into().ok()?;
    let masked = combine_public(&[(q2, blind), (j1, secret), (commitment, -challenge)]);
    (commitment_challenge(interface, &[q2, j1], &commitment, &masked) == challenge).then_some(commitment)
}

fn blind_points(interface: &Interface) -> Option<[G1; 2]> {
    interface.points.get(interface.known..)?.try_into().ok()
}

fn commitment_challenge(interface: &Interface, generators: &[G1; 2], commitment: &G1, masked: &G1) -> Scalar {
    let mut input = octets(generators.len() - 1).to_vec();
    for point in generators.iter().chain([commitment, masked]) {
        input.extend(write_point(point));
    }
    hash_to_scalar(&input, &interface.dst(b"H2S_"))
}

/// Signs the known messages and a commitment, to whose last secret `entropy` is added. Deterministic.
pub(crate) fn sign(
    interface: &Interface,
    secret: &Scalar,
    key: &PublicKey,
    header: &[u8],
    known: &[Scalar],
    commitment: &G1,
    entropy: &Scalar,
) -> Option<[u8; SIGNATURE_LEN]> {
    let last = *interface.points.last()?;
    let mut terms = vec![(interface.q1, interface.domain(key, header)), (last, *entropy)];
    terms.extend(interface.points.iter().copied().zip(known.iter().copied()));
    let b = interface.p1 + commitment + combine(&terms);
    let e = hash_to_scalar(&[secret.to_be_bytes().as_slice(), &write_point(&b)].concat(), &interface.dst(b"H2S_"));
    let inverse: Option<Scalar> = (secret + e).invert().into();
    let mut bytes = [0; SIGNATURE_LEN];
    let (point, scalar) = bytes.split_at_mut(POINT_LEN);
    point.copy_from_slice(&write_point(&combine(&[(b, inverse?)])));
    scalar.copy_from_slice(&e.to_be_bytes());
    Some(bytes)
}

/// A and e.
pub(crate) fn read_signature(bytes: &[u8; SIGNATURE_LEN]) -> Option<(G1, Scalar)> {
    let (point, scalar) = bytes.split_at(POINT_LEN);
    Some((read_point(point)?, read_scalar(scalar)?))
}

/// CoreVerify over all messages, the blinding factor and the secret among them.
pub(crate) fn verify_signature(
    interface: &Interface,
    key: &PublicKey,
    header: &[u8],
    messages: &[Scalar],
    signature: &[u8; SIGNATURE_LEN],
) -> bool {
    let Some((a, e)) = read_signature(signature) else { return false };
    if messages.len() != interface.points.len() {
        return false;
    }
    let b = signed_point(interface, &interface.domain(key, header), messages);
    // e(A, W + e * G2) = e(B, G2), with e moved to G1.
    let right = (combine(&[(a, e)]) - b).to_affine();
    let left: G1Affine = a.to_affine();
    let terms = [(&left, &key.prepared), (&right, &G2Prepared::from(G2Affine::generator()))];
    multi_miller_loop(&terms).final_exponentiation().is_identity().into()
}

/// B: what was signed.
pub(crate) fn signed_point(interface: &Interface, domain: &Scalar, messages: &[Scalar]) -> G1 {
    let mut terms = vec![(interface.q1, *domain)];
    terms.extend(interface.points.iter().copied().zip(messages.iter().copied()));
    interface.p1 + combine(&terms)
}
