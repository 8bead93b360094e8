//! Against zkryptium, another implementation of the same drafts; and against forgers.

use std::collections::BTreeMap;

use bls12_381_plus::Scalar;
use bls12_381_plus::group::Group;
use zkryptium::bbsplus::commitment::BlindFactor;
use zkryptium::bbsplus::keys::{BBSplusPublicKey, BBSplusSecretKey};
use zkryptium::bbsplus::pseudonym::{BBSplusPseudonym, PseudonymSecret};
use zkryptium::schemes::algorithms::{BBSplus, BbsBls12381Sha256};
use zkryptium::schemes::generics::{BlindSignature, Commitment, PoKSignature};

use super::group::{G1, combine, write_point};
use super::signature::signed_point;
use super::*;
use crate::Attribute;

type Suite = <BbsBls12381Sha256 as zkryptium::schemes::algorithms::Scheme>::Ciphersuite;
const CONTEXT: &[u8] = b"a context of 32 bytes or any other";

pub(super) struct Case {
    pub(super) secret: Scalar,
    pub(super) key: PublicKey,
    pub(super) header: Vec<u8>,
    pub(super) octets: Vec<Vec<u8>>,
    own: Scalar,
    blind: Scalar,
    entropy: Scalar,
    commitment: Vec<u8>,
    pub(super) messages: Vec<Scalar>,
    pub(super) signature: [u8; SIGNATURE_LEN],
}

/// A signature by an issuer made from `seed`, over a secret that is always the same.
pub(super) fn case(seed: u8) -> Case {
    let secret = key_from_material(&[seed; 32], b"test");
    let key = PublicKey::read(&public_key(&secret)).unwrap();
    let header = vec![seed, 1, 2, 3];
    let octets: Vec<Vec<u8>> = Attribute::ALL.iter().map(|a| a.message("value")).collect();
    let mut messages: Vec<Scalar> = octets.iter().map(|m| message_scalar(interface().api, m)).collect();
    let mut stream = Stream::new(&[9; 32], "test", &[]);
    let [own, blind, entropy] = std::array::from_fn(|_| stream.scalar());
    let (point, commitment) = commit(interface(), &own, &blind, &mut stream).unwrap();
    assert_eq!(check_commitment(interface(), &commitment), Some(point));
    let signature = sign(interface(), &secret, &key, &nym_header(&header), &messages, &point, &entropy).unwrap();
    messages.extend([blind, own + entropy]);
    Case { secret, key, header, octets, own, blind, entropy, commitment, messages, signature }
}

/// The draft appends the number of pseudonym secrets to the header.
pub(super) fn nym_header(header: &[u8]) -> Vec<u8> {
    [header, &1u64.to_be_bytes()].concat()
}

fn zk_key(case: &Case) -> (BBSplusSecretKey, BBSplusPublicKey) {
    let secret = BBSplusSecretKey::from_bytes(&case.secret.to_be_bytes()).unwrap();
    (secret, BBSplusPublicKey::from_bytes(&case.key.bytes).unwrap())
}

fn disclosed(case: &Case, positions: &[usize]) -> BTreeMap<usize, Scalar> {
    positions.iter().map(|i| (*i, case.messages[*i])).collect()
}

fn our_proof(case: &Case, positions: &[usize], seed: u8) -> (Vec<u8>, G1) {
    let nym = base_of(CONTEXT) * case.messages.last().unwrap();
    let disclosed = disclosed(case, positions);
    let shown = Shown { disclosed: &disclosed, presentation_header: b"ph", nym: Some(Nym::new(CONTEXT, nym)) };
    let header = nym_header(&case.header);
    let claimed = Claimed { key: &case.key, header: &header, signature: &case.signature, messages: &case.messages };
    (prove(interface(), &claimed, &shown, &mut Stream::new(&[seed; 32], "test", &[])).unwrap(), nym)
}

fn we_accept(case: &Case, proof: &[u8], positions: &[usize], nym: G1, presentation_header: &[u8]) -> bool {
    let disclosed = disclosed(case, positions);
    let shown = Shown { disclosed: &disclosed, presentation_header, nym: Some(Nym::new(CONTEXT, nym)) };
    let mut pairings = PairingCheck::default();
    verify(interface(), &case.key, &nym_header(&case.header), proof, &shown, &mut pairings) && pairings.holds()
}

fn zkryptium_accepts(case: &Case, proof: &[u8], positions: &[usize], nym: &G1) -> bool {
    let proof = PoKSignature::<BBSplus<Suite>>::from_bytes(proof).unwrap();
    let nym = BBSplusPseudonym::from_bytes(&write_point(nym)).unwrap();
    let messages: Vec<Vec<u8>> = positions.iter().map(|i| case.octets[*i].clone()).collect();
    let key = zk_key(case).1;
    let known = case.octets.len();
    let header = Some(case.header.as_slice());
    proof
        .proof_verify_with_nym(
            &key,
            header,
            Some(b"ph"),
            &nym,
            CONTEXT,
            1,
            Some(known),
            Some(&messages),
            None,
            Some(positions),
            None,
        )
        .is_ok()
}

#[test]
fn zkryptium_signs_our_commitment_as_we_do() {
    let case = case(1);
    let (secret, key) = zk_key(&case);
    assert_eq!(secret.public_key(), key);
    let entropy = PseudonymSecret::from_bytes(&case.entropy.to_be_bytes()).unwrap();
    let own = PseudonymSecret::from_bytes(&case.own.to_be_bytes()).unwrap();
    let blind = BlindFactor::from_bytes(&case.blind.to_be_bytes()).unwrap();
    let header = Some(case.header.as_slice());
    let theirs = BlindSignature::<BBSplus<Suite>>::blind_sign_with_nym(
        &secret,
        &key,
        Some(&case.commitment),
        1,
        header,
        &entropy,
        Some(&case.octets),
    )
    .unwrap();
    assert_eq!(theirs.to_bytes(), case.signature);
    let nyms =
        theirs.verify_finalize_with_nym(&key, header, Some(&case.octets), None, vec![own], Some(&entropy), Some(&blind));
    assert_eq!(nyms.unwrap()[0].to_bytes(), case.messages.last().unwrap().to_be_bytes());
    assert!(verify_signature(interface(), &case.key, &nym_header(&case.header), &case.messages, &case.signature));
}

#[test]
fn we_accept_the_commitments_of_zkryptium() {
    let own = PseudonymSecret::random();
    let (commitment, _) = Commitment::<BBSplus<Suite>>::commit_with_nym(None, vec![own]).unwrap();
    assert!(check_commitment(interface(), &commitment.to_bytes()).is_some());
}

#[test]
fn zkryptium_accepts_our_proofs() {
    let case = case(1);
    for positions in [&[][..], &[0], &[1, 4], &[0, 1, 2, 3, 4, 5]] {
        let (proof, nym) = our_proof(&case, positions, 5);
        assert_eq!(proof.len(), proof_len(8 - positions.len()));
        assert!(zkryptium_accepts(&case, &proof, positions, &nym), "{positions:?}");
        assert!(we_accept(&case, &proof, positions, nym, b"ph"));
    }
}

#[test]
fn we_accept_the_proofs_of_zkryptium() {
    let case = case(2);
    let nyms = vec![PseudonymSecret::from_bytes(&case.messages[7].to_be_bytes()).unwrap()];
    let blind = BlindFactor::from_bytes(&case.blind.to_be_bytes()).unwrap();
    let (key, header) = (zk_key(&case).1, Some(case.header.as_slice()));
    let (proof, nym) = PoKSignature::<BBSplus<Suite>>::proof_gen_with_nym(
        &key,
        &case.signature,
        header,
        Some(b"ph"),
        &nyms,
        CONTEXT,
        Some(&case.octets),
        None,
        Some(&[0, 3]),
        None,
        Some(&blind),
    )
    .unwrap();
    let nym = super::read_point(&nym.to_bytes()).unwrap();
    assert!(we_accept(&case, &proof.to_bytes(), &[0, 3], nym, b"ph"));
    assert!(!we_accept(&case, &proof.to_bytes(), &[0, 4], nym, b"ph"));
}

#[test]
fn every_altered_byte_is_refused() {
    let case = case(1);
    let (proof, nym) = our_proof(&case, &[0], 5);
    for place in 0..proof.len() {
        let mut altered = proof.clone();
        altered[place] ^= 1;
        assert!(!we_accept(&case, &altered, &[0], nym, b"ph"), "byte {place}");
    }
    assert!(!we_accept(&case, &proof, &[0], nym, b"another header"));
    assert!(!we_accept(&case, &proof, &[0], nym + G1::GENERATOR, b"ph"));
    assert!(!we_accept(&case, &proof[..proof.len() - 1], &[0], nym, b"ph"));
    assert!(!we_accept(&case, &[proof.as_slice(), &[0; 32]].concat(), &[0], nym, b"ph"));
    assert!(!we_accept(&case, &[], &[0], nym, b"ph"));
}

/// With Abar = Bbar = 0 the pairing equation holds for every key, and the rest needs no signature. draft-bbs-signatures-13 says in
/// octets_to_proof that these points are refused; zkryptium 0.8.0 does not refuse them.
#[test]
fn identity_points_forge_nothing() {
    let case = case(1);
    let nym = base_of(CONTEXT) * case.messages[7];
    let disclosed = disclosed(&case, &[0]);
    let header = nym_header(&case.header);
    let domain = interface().domain(&case.key, &header);
    let mut stream = Stream::new(&[1; 32], "forger", &[]);
    let [r2, r1_mask, r3_mask, e_hat] = std::array::from_fn(|_| stream.scalar());
    let masks: Vec<Scalar> = (0..7).map(|_| stream.scalar()).collect();
    let d = signed_point(interface(), &domain, &case.messages) * r2;
    let t1 = d * r1_mask;
    let mut terms = vec![(d, r3_mask)];
    terms.extend(interface().points[1..].iter().copied().zip(masks.iter().copied()));
    let t2 = combine(&terms);
    let ut = base_of(CONTEXT) * masks[6];
    let mut input = 1u64.to_be_bytes().to_vec();
    input.extend([0; 8]);
    input.extend(disclosed[&0].to_be_bytes());
    [G1::identity(), G1::identity(), d, t1, t2, nym, ut].iter().for_each(|point| input.extend(write_point(point)));
    input.extend(domain.to_be_bytes());
    input.extend([&2u64.to_be_bytes()[..], b"ph", &(CONTEXT.len() as u64).to_be_bytes(), CONTEXT].concat());
    let c = hash_to_scalar(&input, &interface().dst(b"H2S_"));
    let mut proof: Vec<u8> = [G1::identity(), G1::identity(), d].iter().flat_map(write_point).collect();
    let fixed = [e_hat, r1_mask, r3_mask - r2.invert().unwrap() * c];
    let hidden = masks.iter().zip(&case.messages[1..]).map(|(mask, message)| mask + message * c);
    fixed.into_iter().chain(hidden).chain([c]).for_each(|scalar| proof.extend(scalar.to_be_bytes()));
    assert!(zkryptium_accepts(&case, &proof, &[0], &nym), "the attack is real: if zkryptium refuses it now, say so here");
    assert!(!we_accept(&case, &proof, &[0], nym, b"ph"));
}

#[test]
fn two_false_equations_do_not_cancel_out() {
    let (one, two) = (case(1), case(2));
    let mut both = PairingCheck::default();
    for (case, other) in [(&one, &two), (&two, &one)] {
        let (proof, nym) = our_proof(case, &[0], 5);
        let disclosed = disclosed(case, &[0]);
        let shown = Shown { disclosed: &disclosed, presentation_header: b"ph", nym: Some(Nym::new(CONTEXT, nym)) };
        assert!(verify(interface(), &case.key, &nym_header(&case.header), &proof, &shown, &mut both));
        let mut wrong = PairingCheck::default();
        assert!(!verify(interface(), &other.key, &nym_header(&case.header), &proof, &shown, &mut wrong));
    }
    assert!(both.holds());
    // The same commitments under exchanged keys.
    assert!(!both.exchanged().holds());
}

#[test]
fn the_secret_of_the_pseudonym_cannot_be_disclosed() {
    let case = case(1);
    let nym = base_of(CONTEXT) * case.messages[7];
    let header = nym_header(&case.header);
    let claimed = Claimed { key: &case.key, header: &header, signature: &case.signature, messages: &case.messages };
    for position in [7, 8] {
        let disclosed = BTreeMap::from([(position, case.messages[7])]);
        let shown = Shown { disclosed: &disclosed, presentation_header: b"ph", nym: Some(Nym::new(CONTEXT, nym)) };
        assert!(prove(interface(), &claimed, &shown, &mut Stream::new(&[5; 32], "test", &[])).is_none());
    }
}
