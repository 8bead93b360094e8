//! Reveals and codes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use credential::code::Code;
use credential::reveal::{Reveal, RevealKey, RevealPublicKey, Side};
use credential::{Context, Envelope, Error, Persona, Pseudonym};
use support::{NOW, bytes, clinic, festival, fresh};

struct Two {
    at_clinic: Persona,
    masked: Persona,
}

fn person(seed: u64) -> Two {
    let secret = credential::MemberSecret::generate(fresh(seed));
    Two { at_clinic: Persona::new(&secret, &clinic()), masked: Persona::new(&secret, &festival()) }
}

fn sides(one: &Persona, other: &Persona) -> (Side, Side) {
    (Side::new(&clinic(), *one.pseudonym()), Side::new(&festival(), *other.pseudonym()))
}

#[test]
fn one_person_reveals_two_personas_to_all() {
    let me = person(1);
    let reveal = Reveal::to_all(&me.at_clinic, &me.masked, bytes(1), fresh(2));
    let (a, b) = sides(&me.at_clinic, &me.masked);
    assert_eq!(reveal.verify(&a, &b, &bytes(1), None), Ok(()));
    assert_eq!(Reveal::from_bytes(&reveal.to_bytes()).unwrap(), reveal);
    assert_eq!(Reveal::from_json(&reveal.to_json()).unwrap(), reveal);
    assert_eq!(reveal.verify(&b, &a, &bytes(1), None), Err(Error::Reveal));
    assert_eq!(reveal.verify(&a, &b, &bytes(2), None), Err(Error::Reveal));
    let key = RevealKey::generate(fresh(3)).public();
    assert_eq!(reveal.verify(&a, &b, &bytes(1), Some(&key)), Err(Error::Reveal));
}

#[test]
fn two_people_cannot_pass_for_one() {
    let (one, two) = (person(1), person(2));
    let (a, b) = sides(&one.at_clinic, &two.masked);
    // The prover's honest algorithm on a false statement.
    let lie = Reveal::to_all(&one.at_clinic, &two.masked, bytes(1), fresh(2));
    assert_eq!(lie.verify(&a, &b, &bytes(1), None), Err(Error::Reveal));
    // A true one moved to other pseudonyms.
    let truth = Reveal::to_all(&one.at_clinic, &one.masked, bytes(1), fresh(2)).to_bytes();
    let place = truth.windows(48).position(|w| w == one.masked.pseudonym().0).unwrap();
    let moved = [&truth[..place], &two.masked.pseudonym().0, &truth[place + 48..]].concat();
    assert_eq!(Reveal::from_bytes(&moved).unwrap().verify(&a, &b, &bytes(1), None), Err(Error::Reveal));
}

#[test]
fn altered_reveals_are_refused() {
    let me = person(1);
    let (a, b) = sides(&me.at_clinic, &me.masked);
    let key = RevealKey::generate(fresh(3)).public();
    for (reveal, to) in [
        (Reveal::to_all(&me.at_clinic, &me.masked, bytes(1), fresh(2)), None),
        (Reveal::to_one(&key, &me.at_clinic, &me.masked, bytes(1), fresh(2)).unwrap(), Some(&key)),
    ] {
        let good = reveal.to_bytes();
        for place in 0..good.len() {
            let mut altered = good.clone();
            altered[place] ^= 1;
            let outcome = Reveal::from_bytes(&altered).and_then(|reveal| reveal.verify(&a, &b, &bytes(1), to));
            assert!(outcome.is_err(), "byte {place}");
        }
    }
}

#[test]
fn a_reveal_to_one_verifier_convinces_that_one_only() {
    let me = person(1);
    let (a, b) = sides(&me.at_clinic, &me.masked);
    let verifier = RevealKey::generate(fresh(3));
    let reveal = Reveal::to_one(&verifier.public(), &me.at_clinic, &me.masked, bytes(1), fresh(2)).unwrap();
    assert_eq!(reveal.verify(&a, &b, &bytes(1), Some(&verifier.public())), Ok(()));
    // It is not a reveal to all, nor to somebody else.
    assert_eq!(reveal.verify(&a, &b, &bytes(1), None), Err(Error::Reveal));
    let other = RevealKey::generate(fresh(4)).public();
    assert_eq!(reveal.verify(&a, &b, &bytes(1), Some(&other)), Err(Error::Reveal));
    // Without the key nobody simulates: another verifier's simulation names another key.
    let elsewhere = RevealKey::generate(fresh(4)).simulate(a.clone(), b.clone(), bytes(1), fresh(5)).unwrap();
    assert_eq!(elsewhere.verify(&a, &b, &bytes(1), Some(&verifier.public())), Err(Error::Reveal));
}

/// The verifier makes valid reveals by itself, of true and of false statements; so showing one to somebody else proves nothing.
/// And nobody can sort them: real and simulated proofs have the same form, and their four scalars the same distribution.
#[test]
fn the_designated_verifier_could_have_made_it() {
    const EACH: u64 = 200;
    let (me, somebody) = (person(1), person(2));
    let verifier = RevealKey::generate(fresh(3));
    let public = verifier.public();
    let (a, b) = sides(&me.at_clinic, &me.masked);
    let (_, not_me) = sides(&me.at_clinic, &somebody.masked);
    let false_one = verifier.simulate(a.clone(), not_me.clone(), bytes(1), fresh(7)).unwrap();
    assert_eq!(false_one.verify(&a, &not_me, &bytes(1), Some(&public)), Ok(()));

    let proof = |reveal: &Reveal| reveal.to_bytes().split_off(reveal.to_bytes().len() - 128);
    let mut ones = [[0u32; 1024]; 2];
    for i in 0..EACH {
        let real = Reveal::to_one(&public, &me.at_clinic, &me.masked, bytes(1), fresh(10_000 + i)).unwrap();
        let made_up = verifier.simulate(a.clone(), b.clone(), bytes(1), fresh(20_000 + i)).unwrap();
        assert_eq!(made_up.to_bytes().len(), real.to_bytes().len());
        for (count, reveal) in ones.iter_mut().zip([&real, &made_up]) {
            for (bit, count) in count.iter_mut().enumerate() {
                *count += u32::from(proof(reveal)[bit / 8] >> (bit % 8) & 1);
            }
        }
    }
    // Per bit, the two frequencies differ by at most five standard errors (1,024 tests, chance of a false alarm below 0.001).
    for (bit, (real, made_up)) in ones[0].iter().zip(&ones[1]).enumerate() {
        let pooled = f64::from(real + made_up) / (2 * EACH) as f64;
        let error = (2.0 * pooled * (1.0 - pooled) / EACH as f64).sqrt();
        let difference = (f64::from(*real) - f64::from(*made_up)).abs() / EACH as f64;
        assert!(difference <= 5.0 * error + 1e-9, "bit {bit}: {real} and {made_up} of {EACH}");
    }
}

#[test]
fn a_key_that_its_owner_does_not_know_is_refused() {
    let me = person(1);
    let key = RevealKey::generate(fresh(3));
    let good = borsh::to_vec(&key.public()).unwrap();
    assert_eq!(key.public().check(), Ok(()));
    assert_eq!(RevealKey::from_secret_bytes(&key.secret_bytes()).unwrap().public(), key.public());
    for place in [47, 60, 111] {
        let mut altered = good.clone();
        altered[place] ^= 1;
        let altered: RevealPublicKey = borsh::from_slice(&altered).unwrap();
        assert_eq!(altered.check(), Err(Error::RevealKey));
        let refused = Reveal::to_one(&altered, &me.at_clinic, &me.masked, bytes(1), fresh(2));
        assert_eq!(refused, Err(Error::RevealKey));
    }
}

#[test]
fn codes_are_good_for_thirty_seconds_in_their_context() {
    let me = person(1);
    let code = Code::new(&me.masked, NOW);
    assert_eq!(code, Code::new(&me.masked, NOW), "a function of persona and time");
    assert_eq!(Code::from_bytes(&code.to_bytes()).unwrap(), code);
    for now in [NOW - 5, NOW, NOW + 30] {
        assert_eq!(code.verify(&festival(), now), Ok(*me.masked.pseudonym()));
    }
    for now in [NOW - 6, NOW + 31] {
        assert_eq!(code.verify(&festival(), now), Err(Error::Code));
    }
    assert_eq!(code.verify(&clinic(), NOW), Err(Error::WrongContext));
    let over = Context::masquerade("summer", festival().verifier(), NOW - 3600, NOW + 10).unwrap();
    let there = Persona::new(&credential::MemberSecret::generate(fresh(1)), &over);
    assert_eq!(Code::new(&there, NOW).verify(&over, NOW + 10), Err(Error::Closed));
}

#[test]
fn codes_of_others_or_altered_are_refused() {
    let (me, other) = (person(1), person(2));
    let good = Code::new(&me.masked, NOW).to_bytes();
    for place in 0..good.len() {
        let mut altered = good.clone();
        altered[place] ^= 1;
        assert!(Code::from_bytes(&altered).and_then(|code| code.verify(&festival(), NOW)).is_err(), "byte {place}");
    }
    let place = good.windows(48).position(|w| w == me.masked.pseudonym().0).unwrap();
    let posing = [&good[..place], &other.masked.pseudonym().0, &good[place + 48..]].concat();
    assert_eq!(Code::from_bytes(&posing).unwrap().verify(&festival(), NOW), Err(Error::Code));
    // Made earlier, dated now.
    let place = good.len() - 64 - 8;
    let redated = [&good[..place], &(NOW + 20).to_le_bytes(), &good[place + 8..]].concat();
    assert_eq!(Code::from_bytes(&redated).unwrap().verify(&festival(), NOW + 40), Err(Error::Code));
}

#[test]
fn pseudonyms_are_written_in_one_way() {
    let me = *person(1).masked.pseudonym();
    assert_eq!(Pseudonym::from_hex(&me.to_hex()), Ok(me));
    for bad in [me.to_hex().to_uppercase(), me.to_hex()[1..].to_owned(), "zz".repeat(48), String::new()] {
        assert_eq!(Pseudonym::from_hex(&bad), Err(Error::Pseudonym));
    }
}
