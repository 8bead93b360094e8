//! Signs equal those of plain arithmetic, for both adders, exhaustively in the 8-bit ring.

use proptest::prelude::*;

use super::*;
use crate::driver::test_keys;

/// Runs the three passes in lock-step on planes of components. Returns the top bits and the rounds.
fn run(adder: Adder, components: [Planes; 3]) -> (Vec<u64>, usize, usize) {
    let mut sent = 0;
    let mut passes: Vec<_> = test_keys(3)
        .into_iter()
        .map(|mut session| {
            let keys = session.next_protocol();
            let i = keys.node().index();
            let (pass, message) = SignPass::start(&keys, 0, adder, components[i].clone(), components[(i + 1) % 3].clone());
            (Box::new(pass), message)
        })
        .collect();
    for round in 1.. {
        let messages: Vec<Vec<u8>> = passes.iter().map(|(_, message)| message.clone()).collect();
        sent += messages[0].len();
        let mut next = Vec::new();
        let mut done = Vec::new();
        for (i, (pass, _)) in passes.into_iter().enumerate() {
            match pass.round(&messages[(i + 1) % 3]).unwrap() {
                SignStep::More(pass, message) => next.push((pass, message)),
                SignStep::Done(bits) => done.push(bits),
            }
        }
        if let [a, b, c] = done.as_slice() {
            assert_eq!((&a.next, &b.next, &c.next), (&b.own, &c.own, &a.own));
            let open = a.own.iter().zip(&b.own).zip(&c.own).map(|((a, b), c)| a ^ b ^ c).collect();
            return (open, round, sent);
        }
        passes = next;
    }
    unreachable!("a sign pass ends")
}

fn bit(plane: &[u64], lane: usize) -> bool {
    plane[lane / 64] >> (lane % 64) & 1 == 1
}

/// Keeps the lowest 8 planes: numbers mod 2^8.
fn eight(values: &[u16]) -> Planes {
    let all = Planes::of_u16(values);
    let mut planes = Planes::zero(8, all.words());
    planes.copy_from(&all);
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
    let values = vec![1u16; 6400];
    for (adder, rounds) in [(Adder::Ripple, 15), (Adder::Prefix, 6)] {
        let components = [0, 1, 2].map(|_| Planes::of_u16(&values));
        let (_, seen, sent) = run(adder, components);
        assert_eq!((seen, sent * 8), (rounds, adder.gates(16) * values.len()));
    }
    let (_, _, sent) = run(Adder::Prefix, [0, 1, 2].map(|_| Planes::of_u32(&[7; 64])));
    assert_eq!(sent, Adder::Prefix.gates(32) * 8);
}

#[test]
fn a_message_of_another_length_names_its_sender() {
    let [mut session, ..] = test_keys(3);
    let keys = session.next_protocol();
    for len in [0, 15 * 8 - 1, 15 * 8 + 8] {
        let (pass, _) = SignPass::start(&keys, 0, Adder::Ripple, Planes::of_u16(&[1; 64]), Planes::of_u16(&[2; 64]));
        let Err(abort) = pass.round(&vec![0; len]) else { panic!("accepted {len} bytes") };
        assert_eq!(abort, Abort::length(Phase::Sign, keys.node().next(), 15 * 8, len));
    }
}

#[test]
fn the_adder_follows_size_and_latency() {
    let ms = Duration::from_millis;
    assert_eq!(Adder::choose(64, ms(1)), Adder::Prefix);
    assert_eq!(Adder::choose(1 << 21, ms(1)), Adder::Ripple);
    assert_eq!(Adder::choose(1 << 21, Duration::ZERO), Adder::Ripple);
    assert_eq!(Adder::choose(1 << 20, ms(50)), Adder::Prefix);
}
