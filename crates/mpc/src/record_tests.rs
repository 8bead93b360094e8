//! Stored shares give the plaintext inner product and look like noise.

use proptest::prelude::*;
use types::profile::Embedding;

use super::*;
use crate::sharing::{SplitRandomness, split};

pub(crate) fn embedding(dimensions: u32) -> Matching {
    Matching::Embedding(Embedding {
        dimensions,
        scale: 148,
        clamp: 64,
        cosine_threshold: 0.334,
        norm_min: 0.9,
        norm_max: 1.05,
    })
}

pub(crate) fn iris(rows: u32, columns: u32, wavelets: u32, rotations: u32) -> Matching {
    let (dot_weight, mask_weight, mask_min) = (2, 1, 1);
    Matching::IrisCode(IrisCode { rows, columns, wavelets, rotations, dot_weight, mask_weight, mask_min })
}

pub(crate) fn shares(values: &[u32], seed: u8) -> [InputShare; 3] {
    let mut random = [0u8; 160];
    random.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i as u8).wrapping_mul(29) ^ seed);
    let split = split(values, &SplitRandomness::from_bytes(&random));
    NodeId::ALL
        .map(|n| InputShare::open(&split.packages[n.index()], n, values.len(), &split.commitments).expect("honest share"))
}

fn private_scores(probe: &[u32], record: &[u32], matching: &Matching) -> Vec<i16> {
    let (probes, records) = (shares(probe, 1), shares(record, 2));
    let mut scores = vec![matching.offset().wrapping_neg(); matching.probe_rows()];
    for node in NodeId::ALL {
        let probe = probe_share(node, &probes[node.index()], matching);
        let record = record_share(node, &records[node.index()], matching);
        assert_eq!(record.values().len(), matching.record_len());
        assert_eq!(probe.rows().len(), matching.probe_rows());
        for (score, row) in scores.iter_mut().zip(probe.rows()) {
            let dot = row.iter().zip(record.values()).fold(0u16, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)));
            *score = score.wrapping_add(dot);
        }
    }
    scores.into_iter().map(u16::cast_signed).collect()
}

/// An iris input from random bits: k = code AND mask, then mask.
pub(crate) fn iris_input(code: &[bool], mask: &[bool]) -> Vec<u32> {
    let k = code.iter().enumerate().map(|(bit, code)| u32::from(*code && mask[bit / 2]));
    k.chain(mask.iter().map(|m| u32::from(*m))).collect()
}

proptest! {
    #[test]
    fn ring_products_equal_plain_products(x in proptest::collection::vec(any::<[u32; 2]>(), 2..130)) {
        let (probe, record): (Vec<u32>, Vec<u32>) = x.iter().map(|[a, b]| (*a, *b)).unzip();
        let matching = embedding(x.len() as u32);
        prop_assert_eq!(private_scores(&probe, &record, &matching), plaintext_scores(&probe, &record, &matching));
    }

    #[test]
    fn iris_scores_are_those_of_masked_hamming_distance(
        a in proptest::collection::vec(any::<bool>(), 60 + 30), b in proptest::collection::vec(any::<bool>(), 60 + 30),
    ) {
        // 3 rows x 5 columns x 2 wavelets: 60 code bits, 30 mask bits, all 5 rotations.
        let matching = iris(3, 5, 2, 5);
        let (probe, record) = (iris_input(&a[..60], &a[60..]), iris_input(&b[..60], &b[60..]));
        let scores = private_scores(&probe, &record, &matching);
        prop_assert_eq!(&scores, &plaintext_scores(&probe, &record, &matching));
        for (row, score) in scores.into_iter().enumerate() {
            let (mut common, mut differing) = (0i32, 0i32);
            for bit in 0..60 {
                let (r, c, rest) = (bit / 20, bit / 4 % 5, bit % 4);
                let from = r * 20 + (c + 5 + 2 - row) % 5 * 4 + rest;
                if a[60 + from / 2] && b[60 + bit / 2] {
                    common += 1;
                    differing += i32::from(a[from] != b[bit]);
                }
            }
            // dot = common - 2 differing; common counts code bits, so the joint mask has half as many.
            prop_assert_eq!(i32::from(score), 2 * (common - 2 * differing) - common / 2 - 1);
        }
    }
}

#[test]
fn the_middle_row_is_the_unrotated_one_and_rows_shift_by_one_column() {
    let matching = iris(2, 7, 1, 5);
    let vector: Vec<u16> = (0..42).collect();
    assert_eq!(*probe_row(&vector, 2, &matching), vector);
    let third = probe_row(&vector, 3, &matching);
    assert_eq!(third[..14], [12, 13, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(third[28..], [34, 28, 29, 30, 31, 32, 33, 41, 35, 36, 37, 38, 39, 40]);
}

#[test]
fn shares_of_probe_rows_are_shifted_as_the_kernels_are_told() {
    for (wavelets, told) in [(2, true), (4, true), (1, false), (3, false)] {
        let matching = iris(3, 24, wavelets, 21);
        assert_eq!(rotations(&matching).is_some(), told, "{wavelets} wavelets: a column of whole pairs?");
        let Some(rotations) = rotations(&matching) else { continue };
        let Matching::IrisCode(profile) = &matching else { unreachable!() };
        let bits: Vec<bool> = (0..matching.input_len()).map(|bit| bit % 7 < 3).collect();
        let (code, mask) = bits.split_at(profile.code_bits());
        for (node, share) in NodeId::ALL.into_iter().zip(shares(&iris_input(code, mask), 5)) {
            let probe = probe_share(node, &share, &matching);
            assert!(rotations.describe(probe.values()), "node {node}, {wavelets} wavelets");
        }
    }
}

#[test]
fn an_odd_vector_is_padded() {
    let matching = embedding(5);
    assert_eq!(matching.record_len(), 6);
    let x = [3, 9, u32::MAX, 7, 40_000];
    assert_eq!(private_scores(&x, &x, &matching), plaintext_scores(&x, &x, &matching));

    let matching = iris(1, 5, 1, 3);
    assert_eq!((matching.input_len(), matching.record_len()), (15, 16));
    let x = iris_input(&[true; 10], &[true, false, true, true, true]);
    let scores = private_scores(&x, &x, &matching);
    assert_eq!(scores, plaintext_scores(&x, &x, &matching));
    // 8 code bits agree under 4 mask bits: 2 * 8 - 4 - 1.
    assert_eq!(scores[1], 11);
}

#[test]
fn stored_shares_of_a_constant_template_look_uniform() {
    // 512 templates of one constant vector; chi-square over 256 byte values has mean 255 and deviation 22.6.
    let matching = embedding(512);
    for node in NodeId::ALL {
        let mut counts = [0f64; 256];
        for seed in 0..=255 {
            let record = record_share(node, &shares(&[5; 512], seed)[node.index()], &matching);
            record.values().iter().flat_map(|word| word.to_le_bytes()).for_each(|byte| counts[usize::from(byte)] += 1.0);
        }
        let expected = counts.iter().sum::<f64>() / 256.0;
        let chi: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
        assert!((255.0 - 5.0 * 22.6..255.0 + 5.0 * 22.6).contains(&chi), "node {node}: chi-square {chi}");
    }
}

#[test]
fn shares_are_not_printed() {
    let input = &shares(&[5; 4], 1)[0];
    let node = NodeId::ALL[0];
    assert_eq!(format!("{:?}", record_share(node, input, &embedding(4))), "RecordShare(<redacted>)");
    assert_eq!(format!("{:?}", probe_share(node, input, &embedding(4))), "ProbeShare(<redacted>)");
}

/// Quantised templates of `count` samples of `count / 3` persons, so that there are matches and non-matches.
pub(crate) fn faces(dimensions: u32, count: usize, seed: u8) -> Vec<Vec<u32>> {
    let mut random = Random::new(seed);
    let mut vector = |spread: f64| -> Vec<f64> { (0..dimensions).map(|_| spread * random.normal()).collect() };
    let persons: Vec<Vec<f64>> = (0..count.div_ceil(3)).map(|_| vector(1.0)).collect();
    (0..count)
        .map(|n| {
            let noise = vector(0.8);
            quantise(persons[n % persons.len()].iter().zip(&noise).map(|(a, b)| a + b).collect())
        })
        .collect()
}

/// Scales to length 148, rounds and clamps. Few dimensions make large coordinates, so clamped ones are common.
pub(crate) fn quantise(vector: Vec<f64>) -> Vec<u32> {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.into_iter().map(|x| ((148.0 * x / norm).round().clamp(-64.0, 63.0) as i32).cast_unsigned()).collect()
}

/// Iris inputs of `count` samples of `count / 3` eyes, rotated by up to two columns and with flipped bits.
pub(crate) fn irises(matching: &Matching, count: usize, seed: u8) -> Vec<Vec<u32>> {
    let Matching::IrisCode(iris) = matching else { panic!("an iris profile") };
    let mut random = Random::new(seed);
    let mut bits = |len: usize, percent: u64| -> Vec<bool> { (0..len).map(|_| random.below(100) < percent).collect() };
    let eyes: Vec<Vec<bool>> = (0..count.div_ceil(3)).map(|_| bits(iris.code_bits(), 50)).collect();
    let rotations = iris.rotations as usize;
    (0..count)
        .map(|n| {
            let (flip, mask) = (bits(iris.code_bits(), 20), bits(iris.mask_bits(), 80));
            let eye = &eyes[n % eyes.len()];
            let row = (rotations / 2 + n % 5).saturating_sub(2).min(rotations - 1);
            let words: Vec<u16> = eye.iter().map(|bit| u16::from(*bit)).collect();
            let code: Vec<bool> = probe_row(&words, row, matching).iter().zip(&flip).map(|(a, b)| (*a != 0) ^ b).collect();
            iris_input(&code, &mask)
        })
        .collect()
}

/// A small generator for tests.
pub(crate) struct Random(crate::session::KeyStream);

impl Random {
    pub(crate) fn new(seed: u8) -> Self {
        Self(crate::session::KeyStream::new(&[seed; 16]))
    }
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0.words(1)[0] % limit
    }
    /// Sum of twelve uniform numbers: near enough to normal.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.below(1 << 32) as f64 / (1u64 << 32) as f64).sum::<f64>() - 6.0
    }
}
