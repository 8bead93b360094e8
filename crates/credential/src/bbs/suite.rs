//! The ciphersuite: generators, hashing to scalars, domains, keys; and the stream from which provers take their scalars.

use std::sync::LazyLock;

use bls12_381_plus::elliptic_curve::hash2curve::{ExpandMsg, ExpandMsgXmd, Expander};
use bls12_381_plus::{G2Affine, G2Prepared, Scalar};
use sha2::{Digest as _, Sha512};
use sha2_for_curve::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::group::{G1, write_point};

type Expand = ExpandMsgXmd<Sha256>;

/// Of the interface with pseudonyms (per-verifier-linkability-03).
pub(crate) const API_NYM: &[u8] = b"BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_H2G_HM2S_PSEUDONYM_";
/// Of the ciphersuite (bbs-signatures-13).
pub(crate) const SUITE: &[u8] = b"BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_";
/// The suite's fixed point P1.
const P1: &str = "a8ce256102840821a3e94ea9025e4662b205762f9776b3a766c872b948f1fd225e7c59698588e70d11406d161b4e28c9";

/// Bytes of an issuer's public key, a compressed point of G2.
pub(crate) const PUBLIC_KEY_LEN: usize = 96;

/// What both sides of a signature agree on beforehand: the api and its generators.
pub(crate) struct Interface {
    pub(crate) api: &'static [u8],
    pub(crate) p1: G1,
    /// Q1.
    pub(crate) q1: G1,
    /// H1 ... HL, then, of a blind interface, Q2 and J1 ... JM.
    pub(crate) points: Vec<G1>,
    /// Messages that the issuer knows: L.
    pub(crate) known: usize,
    /// The part of the domain that never changes.
    domain_octets: Vec<u8>,
}

impl Interface {
    /// Generators for `known` messages and, if `committed` is given, for that many committed ones and their blinding factor.
    pub(crate) fn new(api: &'static [u8], known: usize, committed: Option<usize>) -> Self {
        let mut all = generators(api, known + 1);
        if let Some(committed) = committed {
            all.extend(generators(&[b"BLIND_", api].concat(), committed + 1));
        }
        let mut domain_octets = octets(all.len() - 1).to_vec();
        all.iter().for_each(|point| domain_octets.extend(write_point(point)));
        domain_octets.extend(api);
        let p1 = Option::from(G1::from_compressed_hex(P1)).expect("the draft's P1 is a point");
        Self { api, p1, q1: all.remove(0), points: all, known, domain_octets }
    }

    /// Domain calculation: one scalar for key, generators and header.
    pub(crate) fn domain(&self, key: &PublicKey, header: &[u8]) -> Scalar {
        let octets = [&key.bytes, self.domain_octets.as_slice(), &octets(header.len()), header].concat();
        hash_to_scalar(&octets, &self.dst(b"H2S_"))
    }

    pub(crate) fn dst(&self, suffix: &[u8]) -> Vec<u8> {
        [self.api, suffix].concat()
    }
}

/// The one interface of this crate's credentials: its attributes, one blinding factor and one pseudonym secret.
pub(crate) fn interface() -> &'static Interface {
    static INTERFACE: LazyLock<Interface> = LazyLock::new(|| Interface::new(API_NYM, crate::Attribute::ALL.len(), Some(1)));
    &INTERFACE
}

/// The base of which the pseudonym in `context` is a multiple.
pub(crate) fn base_of(context: &[u8]) -> G1 {
    G1::hash::<Expand>(context, API_NYM)
}

fn generators(api: &[u8], count: usize) -> Vec<G1> {
    let (seed_dst, point_dst) = ([api, b"SIG_GENERATOR_SEED_"].concat(), [api, b"SIG_GENERATOR_DST_"].concat());
    let mut state = expand(&[api, b"MESSAGE_GENERATOR_SEED"].concat(), &seed_dst);
    let next = |i| {
        state = expand(&[&state, octets(i).as_slice()].concat(), &seed_dst);
        G1::hash::<Expand>(&state, &point_dst)
    };
    (1..=count).map(next).collect()
}

fn expand(message: &[u8], dst: &[u8]) -> [u8; 48] {
    let mut out = [0; 48];
    let dst = [dst];
    Expand::expand_message(&[message], &dst, 48).expect("48 bytes and a short tag are within bounds").fill_bytes(&mut out);
    out
}

pub(crate) fn hash_to_scalar(message: &[u8], dst: &[u8]) -> Scalar {
    Scalar::from_okm(&expand(message, dst))
}

/// A message as the scalar that is signed.
pub(crate) fn message_scalar(api: &[u8], message: &[u8]) -> Scalar {
    hash_to_scalar(message, &[api, b"MAP_MSG_TO_SCALAR_AS_HASH_"].concat())
}

/// I2OSP(n, 8).
pub(crate) fn octets(n: usize) -> [u8; 8] {
    (n as u64).to_be_bytes()
}

/// An issuer's public key, ready for pairings.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) bytes: [u8; PUBLIC_KEY_LEN],
    pub(crate) prepared: G2Prepared,
}

impl PublicKey {
    /// A point of the subgroup, not the identity.
    pub(crate) fn read(bytes: &[u8; PUBLIC_KEY_LEN]) -> Option<Self> {
        let point: Option<G2Affine> = G2Affine::from_compressed(bytes).into();
        let point = point.filter(|point| !bool::from(point.is_identity()))?;
        Some(Self { bytes: *bytes, prepared: G2Prepared::from(point) })
    }
}

/// Scalars from one fresh seed, bound to what they are for: should the same seed ever come twice, it gives different scalars for
/// different statements and secrets.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Stream {
    key: [u8; 64],
    next: u64,
}

impl Stream {
    pub(crate) fn new(seed: &[u8; 32], domain: &str, bound: &[&[u8]]) -> Self {
        let mut hash = Sha512::new().chain_update(seed).chain_update(domain).chain_update([0]);
        for part in bound {
            hash.update(octets(part.len()));
            hash.update(part);
        }
        Self { key: hash.finalize().into(), next: 0 }
    }

    pub(crate) fn scalar(&mut self) -> Scalar {
        self.next += 1;
        let mut wide: [u8; 64] =
            Sha512::new().chain_update(self.key).chain_update(self.next.to_be_bytes()).finalize().into();
        let scalar = Scalar::from_bytes_wide(&wide);
        wide.zeroize();
        scalar
    }
}
