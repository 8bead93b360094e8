#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use proptest::prelude::*;
use types::profile::Embedding;

use super::*;

fn vectors() -> Matching {
    Matching::Embedding(Embedding {
        dimensions: 9,
        scale: 100,
        clamp: 128,
        cosine_threshold: 0.5,
        norm_min: 0.5,
        norm_max: 1.5,
    })
}

fn iris() -> IrisCode {
    IrisCode { rows: 3, columns: 7, wavelets: 2, rotations: 5, dot_weight: 2, mask_weight: 1, mask_min: 1 }
}

fn embedding(vector: &[f64]) -> Template {
    let Matching::Embedding(m) = vectors() else { unreachable!() };
    Template::from_embedding(vector, &m).unwrap()
}

/// The definition, in the record and probe-row form of the protocol: `[p c || -q m] . [c' || m'] - 1`.
fn by_definition(probe: &[u32], record: &[u32], shift: usize, m: &IrisCode) -> i32 {
    let form = |values: &[u32]| -> (Vec<i32>, Vec<i32>) {
        let (k, mask) = values.split_at(m.code_bits());
        let c = k.iter().enumerate().map(|(i, &k)| (mask[i / 2].cast_signed()) - 2 * k.cast_signed()).collect();
        (c, mask.iter().map(|&b| b.cast_signed()).collect())
    };
    let ((c, mask), (c2, mask2)) = (form(probe), form(record));
    let (columns, wavelets) = (m.columns as usize, m.wavelets as usize);
    let mut score = -1;
    for row in 0..m.rows as usize {
        for column in 0..columns {
            for wavelet in 0..wavelets {
                let there = (row * columns + column) * wavelets + wavelet;
                let here = (row * columns + (column + columns - shift) % columns) * wavelets + wavelet;
                score -= i32::from(m.mask_weight) * mask[here] * mask2[there];
                for part in 0..2 {
                    score += i32::from(m.dot_weight) * c[2 * here + part] * c2[2 * there + part];
                }
            }
        }
    }
    score
}

#[test]
fn a_cosine_at_the_threshold_matches_and_one_below_does_not() {
    // Orthogonal pieces chosen so that the quantised inner product is exactly the offset, 5,000.
    let a = embedding(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let b = embedding(&[1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    // round(70.7)^2 = 71^2 = 5,041.
    assert_eq!(score(&a, &b, &vectors()).unwrap(), 41);
    assert!(matches(&a, &b, &vectors()).unwrap());
    let c = embedding(&[0.7, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(!matches(&a, &c, &vectors()).unwrap());
}

#[test]
fn a_rotated_eye_is_found_within_the_range_and_not_beyond() {
    let m = iris();
    let matching = Matching::IrisCode(m.clone());
    let code: Vec<u8> = (0..m.code_bits().div_ceil(8)).map(|i| (i * 97 + 31) as u8 ^ (i * i) as u8).collect();
    let mask = vec![0xff; m.mask_bits().div_ceil(8)];
    let template = Template::from_iris(&code, &mask, &m).unwrap();
    let row = m.columns as usize * 4;
    let rotated = |columns: usize| {
        let bit = |i: usize| code[i / 8] >> (7 - i % 8) & 1;
        let mut packed = vec![0u8; code.len()];
        for i in 0..m.code_bits() {
            let source = i / row * row + (i % row + row - 4 * columns) % row;
            packed[i / 8] |= bit(source) << (7 - i % 8);
        }
        Template::from_iris(&packed, &mask, &m).unwrap()
    };
    // Perfect agreement: p * 84 - q * 42 - 1.
    for columns in [0, 1, 2, 5, 6] {
        assert_eq!(score(&template, &rotated(columns), &matching).unwrap(), 2 * 84 - 42 - 1, "{columns}");
    }
    assert!(score(&template, &rotated(3), &matching).unwrap() < 2 * 84 - 42 - 1);
    // The second row scores highest when the record is the probe moved by one column to the left of no shift.
    let rows = row_scores(&template, &rotated(6), &matching).unwrap();
    assert_eq!(rows.iter().max(), rows.get(1));
}

#[test]
fn a_gallery_visits_every_pair_once() {
    let templates: Vec<Template> =
        (0..600u32).map(|i| embedding(&[1.0, f64::from(i % 7), f64::from(i % 11), 2.0, 3.0, 1.0, 0.5, 0.0, -1.0])).collect();
    let gallery = Gallery::new(&vectors(), &templates).unwrap();
    let mut seen = std::collections::HashSet::new();
    for probes in [0..100, 100..599, 599..600] {
        gallery.for_each_pair(probes.clone(), |i, j, found| {
            assert!(i < j && probes.contains(&i) && seen.insert((i, j)));
            if (i + j) % 97 == 0 {
                assert_eq!(found, score(&templates[i], &templates[j], &vectors()).unwrap());
            }
        });
    }
    assert_eq!(seen.len(), 600 * 599 / 2);
}

#[test]
fn kinds_do_not_mix() {
    let template = embedding(&[1.0; 9]);
    assert!(score(&template, &template, &Matching::IrisCode(iris())).is_err());
}

proptest! {
    #[test]
    fn vector_scores_are_the_inner_product(x in prop::collection::vec(-1f64..1.0, 9), y in prop::collection::vec(-1f64..1.0, 9)) {
        let Matching::Embedding(m) = vectors() else { unreachable!() };
        if let (Ok(a), Ok(b)) = (Template::from_embedding(&x, &m), Template::from_embedding(&y, &m)) {
            let values = |t: &Template| t.input_values().iter().map(|v| v.cast_signed()).collect::<Vec<_>>();
            let dot: i32 = values(&a).iter().zip(values(&b)).map(|(x, y)| x * y).sum();
            prop_assert_eq!(score(&a, &b, &vectors()).unwrap(), dot - 5000);
            prop_assert_eq!(score(&b, &a, &vectors()).unwrap(), dot - 5000);
        }
    }

    #[test]
    fn iris_scores_follow_the_definition(seeds in any::<([u8; 11], [u8; 11], [u8; 6], [u8; 6])>()) {
        let (m, (c1, c2, m1, m2)) = (iris(), seeds);
        if let (Ok(a), Ok(b)) = (Template::from_iris(&c1, &m1, &m), Template::from_iris(&c2, &m2, &m)) {
            let matching = Matching::IrisCode(m.clone());
            let rows = row_scores(&a, &b, &matching).unwrap();
            let expected: Vec<i32> =
                [5, 6, 0, 1, 2].iter().map(|&s| by_definition(&a.input_values(), &b.input_values(), s, &m)).collect();
            prop_assert_eq!(&rows, &expected);
            prop_assert_eq!(score(&a, &b, &matching).unwrap(), *expected.iter().max().unwrap());
            prop_assert_eq!(score(&b, &a, &matching).unwrap(), *expected.iter().max().unwrap());
        }
    }
}
