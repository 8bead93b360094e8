//! Signs equal those of plain arithmetic, for both adders, exhaustively in the 8-bit ring.

use proptest::prelude::*;

use super::*;
use crate::driver::test_keys;

/// Runs the three passes in lock-step on planes of components. Returns the top bits, the rounds and the bytes that one node sends.
fn run(adder: Adder, components: [Planes; 3]) -> (Words, usize, usize) {
    let count = 64 * components[0].words();
    let numbers = |i: usize| Numbers::Replicated([components[i].clone(), components[(i + 1) % 3].clone()]);
    run_passes(adder, SignPass::first_len(count, Some(components[0].width())), numbers)
}

fn run_passes<'a>(adder: Adder, first: usize, numbers: impl Fn(usize) -> Numbers<'a>) -> (Words, usize, usize) {
    let mut passes: Vec<(SignPass, Vec<u8>)> = test_keys(3)
        .into_iter()
        .map(|mut session| {
            let keys = session.next_protocol();
            let mut message = vec![0xa5; first];
            let pass = SignPass::start(&keys, 0, adder, numbers(keys.node().index()), Room::default(), &mut message);
            (pass, message)
        })
        .collect();
    let mut sent = 0;
    for round in 1.. {
        let messages: Vec<Vec<u8>> = passes.iter().map(|(_, message)| message.clone()).collect();
        sent += messages[0].len();
        for (i, (pass, message)) in passes.iter_mut().enumerate() {
            message.clear();
            message.resize(pass.next_len(), 0xa5);
            pass.round(&messages[(i + 1) % 3], message);
        }
        if passes.iter().all(|(_, message)| message.is_empty()) {
            let bits: Vec<BitShares> = passes.into_iter().map(|(pass, _)| pass.finish().0).collect();
            let [a, b, c] = bits.as_slice() else { unreachable!("three nodes") };
            for (next, own) in [(&a.next, &b.own), (&b.next, &c.own), (&c.next, &a.own)] {
                assert_eq!(next[..], own[..]);
            }
            let mut open = Words::zero(a.own.len());
            open.iter_mut().enumerate().for_each(|(i, word)| *word = a.own[i] ^ b.own[i] ^ c.own[i]);
            return (open, round, sent);
        }
    }
    unreachable!("a sign pass ends")
}

fn bit(plane: &[u64], lane: usize) -> bool {
    plane[lane / 64] >> (lane % 64) & 1 == 1
}

/// Keeps the lowest 8 planes: numbers mod 2^8.
fn eight(values: &[u16]) -> Planes {
    let all = Planes::of_u16(values);
    let mut planes = Planes::default();
    planes.reshape(8, all.words());
    let count = planes.all().len();
    planes.all_mut().copy_from_slice(&all.all()[..count]);
    planes
}

#[test]
fn every_sum_of_three_bytes_has_the_right_sign() {
    // 2^24 sums, 2^18 at a time.
    for adder in [Adder::Ripple, Adder::Prefix] {
        for high in 0..64u32 {
            let cases: Vec<[u16; 3]> = (0..1u32 << 18)
                .map(|low| high << 18 | low)
                .map(|n| [0, 8, 16].map(|shift| (n >> shift & 255) as u16))
                .collect();
            let component = |j: usize| eight(&cases.iter().map(|case| case[j]).collect::<Vec<u16>>());
            let (sign, rounds, _) = run(adder, [component(0), component(1), component(2)]);
            assert_eq!(rounds, if adder == Adder::Ripple { 7 } else { 5 });
            for (lane, [a, b, c]) in cases.into_iter().enumerate() {
                assert_eq!(bit(&sign, lane), (a + b + c) & 128 != 0, "{adder:?}: {a} + {b} + {c}");
            }
        }
    }
}

const EXTREMES: [u32; 12] =
    [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_0000, 0xFFFF_FFFF];

fn check(cases: &[[u32; 3]]) {
    for adder in [Adder::Ripple, Adder::Prefix] {
        let wide = [0, 1, 2].map(|j| Planes::of_u32(&cases.iter().map(|case| case[j]).collect::<Vec<_>>()));
        let narrow = [0, 1, 2].map(|j| Planes::of_u16(&cases.iter().map(|case| case[j] as u16).collect::<Vec<_>>()));
        let ((wide, ..), (narrow, ..)) = (run(adder, wide), run(adder, narrow));
        for (lane, [a, b, c]) in cases.iter().enumerate() {
            let sum = a.wrapping_add(*b).wrapping_add(*c);
            assert_eq!(bit(&wide, lane), sum.cast_signed() < 0, "{adder:?} 32: {a} + {b} + {c}");
            assert_eq!(bit(&narrow, lane), (sum as u16).cast_signed() < 0, "{adder:?} 16: {a} + {b} + {c}");
        }
    }
}

#[test]
fn extremes() {
    let mut cases = Vec::new();
    for a in EXTREMES {
        for b in EXTREMES {
            cases.extend(EXTREMES.map(|c| [a, b, c]));
            // The sum itself extreme, whatever the components.
            cases.extend(EXTREMES.map(|sum| [a, b.wrapping_mul(77), sum.wrapping_sub(a).wrapping_sub(b.wrapping_mul(77))]));
        }
    }
    check(&cases);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_sums(cases in proptest::collection::vec(any::<[u32; 3]>(), 1..900)) {
        check(&cases);
    }
}

#[test]
fn gates_rounds_and_bytes_are_those_of_the_table() {
    assert_eq!([16, 32].map(|width| Adder::Ripple.gates(width)), [29, 61]);
    assert_eq!(Adder::Prefix.gates(16), 51);
    let values = vec![1u16; 6656];
    for (adder, rounds) in [(Adder::Ripple, 15), (Adder::Prefix, 6)] {
        let components = [0, 1, 2].map(|_| Planes::of_u16(&values));
        let (_, seen, sent) = run(adder, components);
        assert_eq!((seen, sent * 8), (rounds, adder.gates(16) * values.len()));
    }
    let (_, _, sent) = run(Adder::Prefix, [0, 1, 2].map(|_| Planes::of_u32(&[7; 64])));
    assert_eq!(sent, Adder::Prefix.gates(32) * 64);
}

/// Additive numbers of every count around the ends of lines and tiles, with and without memory used before.
#[test]
fn additive_numbers_are_reshared_first() {
    for count in [512, 1024, 2048, 2560, 5120] {
        let parts =
            [1u32, 2, 3].map(|seed| (0..count).map(|i| (i * 40_503 * seed + seed * 977) as u16).collect::<Vec<u16>>());
        for (adder, rounds) in [(Adder::Ripple, 16), (Adder::Prefix, 7)] {
            let first = SignPass::first_len(parts[0].len(), None);
            let (sign, seen, sent) = run_passes(adder, first, |i| Numbers::Additive(&parts[i]));
            assert_eq!((seen, sent), (rounds, (16 + adder.gates(16)) * count as usize / 8));
            for lane in 0..count as usize {
                let sum = parts.iter().fold(0u16, |sum, part| sum.wrapping_add(part[lane]));
                assert_eq!(bit(&sign, lane), sum.cast_signed() < 0, "{adder:?}: number {lane} of {count}");
            }
        }
    }
}

#[test]
fn the_adder_follows_size_and_latency() {
    let ms = Duration::from_millis;
    let choose = |comparisons, round_trip| Adder::choose(comparisons, round_trip, 1000);
    assert_eq!(choose(64, ms(1)), Adder::Prefix);
    assert_eq!(choose(1 << 21, ms(1)), Adder::Ripple);
    assert_eq!(choose(1 << 21, Duration::ZERO), Adder::Ripple);
    assert_eq!(choose(1 << 20, ms(50)), Adder::Prefix);
    // However many waves: each of them saves rounds.
    assert_eq!(choose(1 << 30, ms(50)), Adder::Prefix);
    // Bytes are dearer on a slow line, and cheap on a fast one.
    assert_eq!(Adder::choose(1 << 20, ms(50), 20), Adder::Ripple);
    assert_eq!(Adder::choose(1 << 20, ms(1), 10_000), Adder::Prefix);
}
