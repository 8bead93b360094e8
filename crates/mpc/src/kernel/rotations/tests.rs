//! Products of rotated rows against a scalar reference, bit for bit, and against the same rows without their rotations.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::gallery::Gallery;
use crate::kernel::{Kernel, Probes, inner_products_with};

/// Lines and words per column.
type Parts = &'static [(usize, usize)];

fn words(rng: &mut ChaCha8Rng, count: usize) -> Vec<u16> {
    (0..count).map(|_| (rng.next_u32() & 0xffff) as u16).collect()
}

fn check(columns: usize, count: usize, parts: Parts, probes: usize, records: usize) {
    let rotations = Rotations::new(columns, count, parts).expect("can be halved");
    let len = rotations.record_len();
    let mut rng = ChaCha8Rng::seed_from_u64((columns * 1_000_003 + count * 1_009 + probes * 31 + records) as u64);
    let mut gallery = Gallery::new(len);
    let records: Vec<Vec<u16>> = (0..records).map(|_| words(&mut rng, len)).collect();
    records.iter().for_each(|record| {
        gallery.push(record);
    });
    let rows: Vec<u16> = (0..probes).flat_map(|_| rotations.rows(&words(&mut rng, len))).collect();
    let probes = Probes::new(len, &rows).with_rotations(rotations);
    let scalar =
        |row: &[u16], record: &[u16]| row.iter().zip(record).fold(0u16, |sum, (x, y)| sum.wrapping_add(x.wrapping_mul(*y)));
    let expected: Vec<u16> =
        rows.chunks_exact(len).flat_map(|row| records.iter().map(|record| scalar(row, record))).collect();
    for kernel in Kernel::available() {
        let mut out = vec![0xdead; expected.len()];
        inner_products_with(kernel, &gallery, 0..records.len(), &probes, &mut out);
        assert!(out == expected, "{}: {columns} columns, {count} rows, {parts:?}", kernel.name());
    }
}

/// Small enough for Miri.
#[test]
fn a_few_columns() {
    check(16, 16, &[(1, 4), (1, 2)], 1, 17);
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn every_number_of_rotations() {
    for count in 15..=32 {
        for probes in [1, 2, 5] {
            check(32, count, &[(2, 4), (2, 2)], probes, 33);
        }
    }
    check(24, 23, &[(3, 2)], 2, 16);
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn every_number_of_levels_and_width() {
    for columns in [22, 26, 20, 28, 40, 56, 64] {
        for parts in [&[(1, 2)][..], &[(2, 4)], &[(1, 8), (2, 6)], &[(1, 16), (1, 8)], &[(1, 200), (7, 2)]] {
            check(columns, 19, parts, 1, 16);
            check(columns, 19, parts, 3, 40);
            check(columns, 19, parts, 17, 16);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn rotations_of_an_iris() {
    check(200, 31, &[(16, 4), (16, 2)], 1, 70);
    check(200, 31, &[(16, 4), (16, 2)], 3, 16);
    // Pairs of probes, and one that is left over.
    for probes in [5, 6] {
        check(200, 31, &[(16, 4), (16, 2)], probes, 17);
    }
}

#[test]
fn what_cannot_be_halved_stays_as_it_is() {
    assert_eq!(Rotations::new(31, 31, &[(1, 2)]), None, "an odd number of columns");
    assert_eq!(Rotations::new(32, 31, &[(1, 3)]), None, "a column of one and a half steps");
    assert_eq!(Rotations::new(32, 31, &[(1, 202)]), None, "a column that fits no piece");
    assert_eq!(Rotations::new(32, 3, &[(1, 2)]), None, "nothing to save");
    assert_eq!(Rotations::new(16, 31, &[(1, 2)]), None, "more rows than columns");
    assert!(Rotations::new(32, 31, &[(1, 2)]).is_some());
}

#[test]
fn three_levels_take_27_of_64_products() {
    let rotations = Rotations::new(200, 31, &[(16, 4), (16, 2)]).unwrap();
    let leaves = Leaves::new(&rotations, &rotations.rows(&vec![1; 19_200]));
    assert_eq!((leaves.levels, leaves.leaves(), leaves.rows), (3, 27, 4));
    let steps: usize = leaves.pieces.iter().map(Piece::steps).sum();
    assert_eq!(2 * steps * leaves.leaves() * leaves.rows, 19_200 * 32 * 27 / 64);
}

#[test]
fn many_probes_take_81_of_256_products_of_padded_lines() {
    let rotations = Rotations::new(200, 31, &[(16, 4), (16, 2)]).unwrap();
    let rows = rotations.rows(&vec![1; 19_200]).repeat(16);
    let leaves = Leaves::new(&rotations, &rows);
    assert_eq!((leaves.levels, leaves.leaves(), leaves.rows), (4, 81, 2));
    let steps: usize = leaves.pieces.iter().map(Piece::steps).sum();
    assert_eq!(2 * steps * leaves.leaves() * leaves.rows, 19_200 / 200 * 208 * 32 * 81 / 256);
}

#[test]
fn a_row_has_the_columns_of_the_row_before_one_place_later() {
    let rotations = Rotations { columns: 4, count: 3, parts: vec![(1, 2), (2, 1)] };
    let rows = rotations.rows(&(0..16).collect::<Vec<u16>>());
    assert_eq!(rows[16..32], [6, 7, 0, 1, 2, 3, 4, 5, 11, 8, 9, 10, 15, 12, 13, 14]);
    assert_eq!(rows[32..], [4, 5, 6, 7, 0, 1, 2, 3, 10, 11, 8, 9, 14, 15, 12, 13]);
}

#[test]
fn rows_that_are_not_shifted_are_noticed() {
    let rotations = Rotations::new(16, 15, &[(2, 4), (1, 2)]).unwrap();
    let mut rows = rotations.rows(&(0..160).collect::<Vec<u16>>());
    assert!(rotations.describe(&rows));
    rows[170] ^= 1;
    assert!(!rotations.describe(&rows));
}
