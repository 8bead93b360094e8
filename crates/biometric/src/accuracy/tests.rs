#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::*;

/// Ten subjects with three samples each; genuine scores high, impostor scores low, one of each on the wrong side.
fn example() -> Comparisons {
    let mut comparisons = Comparisons::new((0..30).map(|sample| sample / 3).collect());
    for a in 0..30usize {
        for b in a + 1..30 {
            let same = a / 3 == b / 3;
            let score = match (a, b) {
                (0, 1) => -5,
                (0, 3) => 7,
                _ if same => 100 + a as i32,
                _ => -100 - b as i32,
            };
            comparisons.add(a, b, score);
        }
    }
    comparisons
}

fn random() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(5)
}

#[test]
fn rates_are_the_shares_of_wrong_decisions() {
    let measures = example().measure(200, &mut random()).unwrap();
    assert_eq!((measures.subjects, measures.templates), (10, 30));
    assert_eq!((measures.genuine, measures.impostor), (30, 405));
    assert_eq!(measures.fnmr.value, 1.0 / 30.0);
    assert_eq!(measures.fmr.value, 1.0 / 405.0);
    assert!(measures.fnmr.low < measures.fnmr.value && measures.fnmr.value < measures.fnmr.high);
    // Raising the threshold past 7 removes the false match, lowering it below -5 the false non-match.
    assert_eq!(measures.fnmr_at_fmr[0].unwrap().value, 0.0);
    assert!(measures.eer.value <= 1.0 / 30.0);
    // 405 impostor comparisons say nothing about one in a thousand.
    assert_eq!(measures.fnmr_at_fmr[1], None);
    let (first, last) = (measures.det.first().unwrap(), measures.det.last().unwrap());
    assert_eq!((first.fmr, first.fnmr), (1.0, 0.0));
    assert_eq!((last.fmr, last.fnmr), (0.0, 1.0));
    assert!(measures.det.windows(2).all(|w| w[0].fmr >= w[1].fmr && w[0].fnmr <= w[1].fnmr));
    assert!(measures.det.iter().any(|point| point.score == 0));
}

#[test]
fn a_perfect_matcher_still_has_an_interval() {
    let mut comparisons = Comparisons::new(vec![0, 0, 1, 1]);
    for (a, b) in [(0, 1), (2, 3)] {
        comparisons.add(a, b, 40_000);
    }
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        comparisons.add(a, b, -40_000);
    }
    let measures = comparisons.measure(100, &mut random()).unwrap();
    assert_eq!((measures.eer.value, measures.fmr.value, measures.fnmr.value), (0.0, 0.0, 0.0));
    // The rule of three: with four comparisons and no error, up to 3/4 is possible.
    assert_eq!(measures.fmr.high, 0.75);
    assert_eq!(measures.fnmr.high, 1.0);
}

#[test]
fn parts_join_to_the_whole_and_seeds_decide_the_intervals() {
    let whole = example();
    let (mut left, mut right) = (Comparisons::new(whole.subject_of.clone()), Comparisons::new(whole.subject_of.clone()));
    for a in 0..30usize {
        for b in a + 1..30 {
            let part = if (a + b) % 2 == 0 { &mut left } else { &mut right };
            let score = match (a, b) {
                (0, 1) => -5,
                (0, 3) => 7,
                _ if a / 3 == b / 3 => 100 + a as i32,
                _ => -100 - b as i32,
            };
            part.add(a, b, score);
        }
    }
    left.merge(right);
    let measure = |c: &Comparisons| c.measure(50, &mut random()).unwrap();
    assert_eq!(measure(&left), measure(&whole));
    assert_eq!(measure(&whole), measure(&whole));
}

#[test]
fn the_interval_of_the_bootstrap_covers_what_it_should() {
    // 40 subjects, of whom every fourth is always missed: FNMR 25 %, and about +-13 % from drawing 40 subjects.
    let mut comparisons = Comparisons::new((0..80).map(|sample| sample / 2).collect());
    for a in 0..80usize {
        for b in a + 1..80 {
            let score = if a / 2 != b / 2 || a / 2 % 4 == 0 { -10 } else { 10 };
            comparisons.add(a, b, score);
        }
    }
    let measures = comparisons.measure(400, &mut random()).unwrap();
    assert_eq!(measures.fnmr.value, 0.25);
    assert!((0.08..0.18).contains(&measures.fnmr.low), "{:?}", measures.fnmr);
    assert!((0.32..0.45).contains(&measures.fnmr.high), "{:?}", measures.fnmr);
}

#[test]
fn pruned_impostors_change_no_rate() {
    let mut comparisons = example();
    let before = comparisons.measure(0, &mut random()).unwrap();
    comparisons.floor = 0;
    comparisons.highest.retain(|&(score, ..)| score >= 0);
    let after = comparisons.measure(100, &mut random()).unwrap();
    assert_eq!((before.fmr.value, before.eer.value, before.det), (after.fmr.value, after.eer.value, after.det));
    assert!(after.fmr.high < 0.02);
}

#[test]
fn nothing_to_measure_is_an_error() {
    let mut one = Comparisons::new(vec![0, 0]);
    one.add(0, 1, 5);
    assert_eq!(one.measure(10, &mut random()), Err(Error::NothingToMeasure("impostor")));
    let mut strangers = Comparisons::new(vec![0, 1]);
    strangers.add(0, 1, -5);
    strangers.add(0, 7, -5);
    assert_eq!(strangers.measure(10, &mut random()), Err(Error::NothingToMeasure("genuine")));
}
