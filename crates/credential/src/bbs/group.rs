//! Points and scalars: reading them strictly, and sums of products.
//!
//! Points are read as the drafts say: compressed, on the curve, in the subgroup of prime order and **not the identity**.
#![expect(clippy::indexing_slicing, reason = "tables of 16 entries, indexed by four bits")]

use bls12_381_plus::{G1Affine, G1Projective, Scalar, group::Curve};
use subtle::{ConditionallySelectable, ConstantTimeEq};

pub(crate) type G1 = G1Projective;

/// Bytes of a compressed point of G1.
pub(crate) const POINT_LEN: usize = 48;
/// Bytes of a scalar, big-endian.
pub(crate) const SCALAR_LEN: usize = 32;

/// A point that is not the identity.
pub(crate) fn read_point(bytes: &[u8]) -> Option<G1> {
    let bytes: &[u8; POINT_LEN] = bytes.try_into().ok()?;
    let point: Option<G1Affine> = G1Affine::from_compressed(bytes).into();
    point.filter(|point| !bool::from(point.is_identity())).map(G1::from)
}

pub(crate) fn write_point(point: &G1) -> [u8; POINT_LEN] {
    point.to_affine().to_compressed()
}

/// A scalar below the order of the group.
pub(crate) fn read_scalar(bytes: &[u8]) -> Option<Scalar> {
    let bytes: &[u8; SCALAR_LEN] = bytes.try_into().ok()?;
    Scalar::from_be_bytes(bytes).into()
}

/// Sum of `scalar * point`. The instructions and the memory they touch do not depend on the scalars, so provers may use it on
/// secrets.
pub(crate) fn combine(terms: &[(G1, Scalar)]) -> G1 {
    straus(terms, select)
}

/// The same, faster, for scalars that everybody may know: those of a proof that is checked.
pub(crate) fn combine_public(terms: &[(G1, Scalar)]) -> G1 {
    straus(terms, |table, index| table[usize::from(index)])
}

/// Straus's method with windows of four bits.
fn straus(terms: &[(G1, Scalar)], pick: impl Fn(&[G1; 16], u8) -> G1) -> G1 {
    let tables: Vec<[G1; 16]> = terms.iter().map(|(point, _)| multiples(point)).collect();
    let scalars: Vec<[u8; SCALAR_LEN]> = terms.iter().map(|(_, scalar)| scalar.to_be_bytes()).collect();
    let mut sum = G1::IDENTITY;
    for byte in 0..SCALAR_LEN {
        for shift in [4, 0] {
            for _ in 0..4 {
                sum = sum.double();
            }
            for (table, scalar) in tables.iter().zip(&scalars) {
                sum += pick(table, (scalar[byte] >> shift) & 15);
            }
        }
    }
    sum
}

/// 0, 1, ... 15 times `point`.
fn multiples(point: &G1) -> [G1; 16] {
    let mut table = [G1::IDENTITY; 16];
    for i in 1..16 {
        table[i] = table[i - 1] + point;
    }
    table
}

fn select(table: &[G1; 16], index: u8) -> G1 {
    let mut chosen = G1::IDENTITY;
    for (i, point) in (0u8..).zip(table) {
        chosen.conditional_assign(point, i.ct_eq(&index));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_products_are_what_they_say() {
        let points = [G1::GENERATOR, G1::GENERATOR.double(), G1::GENERATOR * Scalar::from(77u64)];
        let scalars = [Scalar::from(3u64), -Scalar::ONE, Scalar::from(u64::MAX) * Scalar::from(u64::MAX)];
        let terms: Vec<_> = points.into_iter().zip(scalars).collect();
        let slow: G1 = terms.iter().map(|(point, scalar)| point * scalar).sum();
        assert_eq!(combine(&terms), slow);
        assert_eq!(combine_public(&terms), slow);
        assert_eq!(combine(&[]), G1::IDENTITY);
    }

    #[test]
    fn the_identity_is_no_point_and_the_order_no_scalar() {
        assert!(read_point(&write_point(&G1::IDENTITY)).is_none());
        assert_eq!(read_point(&write_point(&G1::GENERATOR)), Some(G1::GENERATOR));
        let mut order_minus_one = (-Scalar::ONE).to_be_bytes();
        assert!(read_scalar(&order_minus_one).is_some());
        order_minus_one[31] += 1;
        assert!(read_scalar(&order_minus_one).is_none());
        assert!(read_point(&[0; 47]).is_none() && read_scalar(&[0; 33]).is_none());
    }
}
