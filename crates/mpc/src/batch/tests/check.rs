//! Input checks: what a lying client might upload.

use types::profile::{Embedding, IrisCode};

use super::*;
use crate::batch::CheckInputs;

fn valid(matching: &Matching, inputs: &[Vec<u32>]) -> Vec<bool> {
    let shared = Shared::new(matching, inputs);
    let [ripple, prefix] = [Adder::Ripple, Adder::Prefix].map(|adder| {
        let parties =
            each(|n, keys| CheckInputs::new(keys, matching, &shared.inputs[n].iter().collect::<Vec<_>>(), adder).unwrap());
        agreed(run_local(parties, Schedule::LockStep).unwrap())
    });
    assert_eq!(ripple, prefix);
    ripple
}

fn face() -> (Matching, Embedding) {
    let matching = embedding(512);
    let Matching::Embedding(profile) = &matching else { unreachable!() };
    (matching.clone(), profile.clone())
}

/// `start`, then greatest squares, until the squared norm is `norm`; zeros after that.
fn with_norm(start: &[i32], norm: i32) -> Vec<u32> {
    let mut x = start.to_vec();
    let mut rest = norm - start.iter().map(|x| x * x).sum::<i32>();
    while rest > 0 {
        let root = (1..=63).rev().find(|root| root * root <= rest).unwrap();
        x.push(if x.len().is_multiple_of(2) { root } else { -root });
        rest -= root * root;
    }
    assert!(rest == 0 && x.len() <= 512);
    x.resize(512, 0);
    x.into_iter().map(i32::cast_unsigned).collect()
}

fn norm_of(x: &[u32]) -> i64 {
    x.iter().map(|x| i64::from(x.cast_signed()).pow(2)).sum()
}

#[test]
fn templates_pass_and_each_violation_alone_is_caught() {
    let (matching, profile) = face();
    let (low, high) = profile.norm_window();
    let (low, high) = (low.cast_signed(), high.cast_signed());
    let alone = |coordinates: &[u32]| {
        // The other coordinates have a norm in the window, and the added ones leave it there mod 2^32.
        let mut x = with_norm(&[], 21_000);
        x[512 - coordinates.len()..].copy_from_slice(coordinates);
        x
    };
    let cases = [
        ("honest", alone(&[0]), true),
        ("extremes of the range", with_norm(&[-64, 63, -1], 21_000), true),
        ("least norm", with_norm(&[], low), true),
        ("greatest norm", with_norm(&[], high), true),
        ("norm below", with_norm(&[], low - 1), false),
        ("norm above", with_norm(&[], high + 1), false),
        ("all zero", vec![0; 512], false),
        ("coordinate -65", with_norm(&[-65], 21_000), false),
        ("coordinate 64", with_norm(&[64], 21_000), false),
        ("coordinates 2^15, squares summing to 2^32", alone(&[1 << 15; 4]), false),
        ("coordinate 2^16, congruent to 0 mod 2^16", alone(&[1 << 16]), false),
        ("coordinate 2^31", alone(&[1 << 31]), false),
        ("coordinate -2^31 + 1 and its square", alone(&[(1 << 31) + 1, (1 << 31) - 1]), false),
        ("every coordinate at the lower end", vec![(-64i32).cast_unsigned(); 512], false),
    ];
    let inputs: Vec<Vec<u32>> = cases.iter().map(|(_, x, _)| x.clone()).collect();
    for ((name, _, expected), got) in cases.iter().zip(valid(&matching, &inputs)) {
        assert_eq!(got, *expected, "{name}");
    }
}

/// A template of twice the length: every coordinate is in range and the squared norm is 4 n, which is congruent mod 2^16 to a
/// number in the window. Checked mod 2^16, as PROTOCOL section 4 has it, it would pass, and every score would count double.
#[test]
fn norm_that_wraps_mod_2_16_is_caught() {
    let (matching, profile) = face();
    let (low, high) = profile.norm_window();
    let honest: Vec<u32> = (0..512).map(|i| if i < 267 { 7 } else { 6 }).collect();
    let doubled: Vec<u32> = honest.iter().map(|x| 2 * x).collect();
    let window = i64::from(low)..=i64::from(high);
    assert!(window.contains(&norm_of(&honest)));
    assert!(doubled.iter().all(|x| *x < u32::from(profile.clamp)));
    assert_eq!(norm_of(&doubled), 4 * norm_of(&honest));
    assert!(window.contains(&(norm_of(&doubled) % (1 << 16))), "the check mod 2^16 would pass");
    assert_eq!(valid(&matching, &[honest, doubled]), [true, false]);
}

#[test]
fn an_iris_code_needs_bits_masked_codes_and_enough_mask() {
    let (rows, columns, wavelets, rotations) = (4, 16, 2, 5);
    let (dot_weight, mask_weight, mask_min) = (2, 1, 100);
    let profile = IrisCode { rows, columns, wavelets, rotations, dot_weight, mask_weight, mask_min };
    let (code_bits, mask_bits) = (profile.code_bits(), profile.mask_bits());
    let matching = Matching::IrisCode(profile);
    // 101 mask bits set; every second code bit under them.
    let mut honest = vec![0; code_bits + mask_bits];
    for bit in 0..202 {
        honest[code_bits + bit / 2] = 1;
        honest[bit] = u32::from(bit % 2 == 0);
    }
    let altered = |changes: &[(usize, i64)]| {
        let mut x = honest.clone();
        changes.iter().for_each(|(at, value)| x[*at] = *value as u32);
        x
    };
    let m = |bit: usize| code_bits + bit;
    let cases = [
        ("honest", honest.clone(), true),
        ("exactly the least mask", altered(&[(m(100), 0), (200, 0)]), true),
        ("too little mask", altered(&[(m(100), 0), (200, 0), (m(99), 0), (198, 0)]), false),
        ("code bit 2", altered(&[(0, 2)]), false),
        ("code bit -1", altered(&[(0, -1)]), false),
        ("code bit set where masked", altered(&[(202, 1)]), false),
        ("second bit of the last masked pair set", altered(&[(code_bits - 1, 1)]), false),
        ("mask bit 2", altered(&[(m(5), 2)]), false),
        ("mask bit -1", altered(&[(m(120), -1)]), false),
        ("k = 32767 over m = -32766", altered(&[(0, 32_767), (1, 0), (m(0), -32_766)]), false),
        ("k = m = 32767", altered(&[(0, 32_767), (1, 0), (m(0), 32_767)]), false),
        ("m = 2^15", altered(&[(m(3), 1 << 15)]), false),
        ("k = 2^15", altered(&[(0, 1 << 15)]), false),
        // Nothing above the low 16 bits is ever stored: this is the honest code, written differently.
        ("k = 2^16, dropped", altered(&[(1, 1 << 16)]), true),
    ];
    let inputs: Vec<Vec<u32>> = cases.iter().map(|(_, x, _)| x.clone()).collect();
    for ((name, _, expected), got) in cases.iter().zip(valid(&matching, &inputs)) {
        assert_eq!(got, *expected, "{name}");
    }
}

#[test]
fn many_inputs_take_several_chunks_and_none_take_none() {
    assert_eq!(valid(&embedding(512), &[]), [false; 0]);
    // 19,200 coordinates make 38,464 lanes: 54 inputs fill a chunk.
    let matching = iris(16, 200, 2, 31);
    let good = irises(&matching, 1, 3).remove(0);
    let mut bad = good.clone();
    bad[7] = 3;
    let inputs: Vec<Vec<u32>> = (0..57).map(|n| if n % 11 == 3 { bad.clone() } else { good.clone() }).collect();
    let expected: Vec<bool> = (0..57).map(|n| n % 11 != 3).collect();
    let shared = Shared::new(&matching, &inputs);
    let parties = each(|n, keys| {
        CheckInputs::new(keys, &matching, &shared.inputs[n].iter().collect::<Vec<_>>(), Adder::Ripple).unwrap()
    });
    let run = run_local(parties, Schedule::Threads).unwrap();
    assert_eq!(run.rounds, 2 * 15 + 3);
    assert_eq!(agreed(run), expected);
}

#[test]
fn an_input_of_another_length_is_refused() {
    let [input, ..] = Shared::new(&embedding(4), &[vec![1, 2, 3, 4]]).inputs;
    let [keys, ..] = keys();
    let error = CheckInputs::new(keys, &embedding(5), &[&input[0]], Adder::Ripple).err();
    assert_eq!(error, Some(Error::Mismatch { what: "values of an input", expected: 5, got: 4 }));
}
