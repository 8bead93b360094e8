//! A commons takes in a better model, and stays the commons that it is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod support;

use support::{founding, key, node, profile};
use types::profile::Accuracy;
use types::roster::Roster;
use types::{Digest, Error, NodeId};

fn with(roster: &Roster, id: &str, signers: [u8; 3]) -> Roster {
    let mut next = roster.add(profile(id)).unwrap();
    for seed in signers {
        next.sign_addition(&key(seed)).unwrap();
    }
    next.check().unwrap();
    next
}

/// A profile is added, then node 2 replaced, then another profile added.
fn history() -> [Roster; 4] {
    let first = founding();
    let second = with(&first, "vector-64-b", [1, 2, 3]);
    let mut third = second.succeed(node(NodeId::ALL[1], 12), 10, Digest([1; 32])).unwrap();
    third.sign_succession(&key(1)).unwrap();
    third.sign_succession(&key(3)).unwrap();
    third.check().unwrap();
    let fourth = with(&third, "vector-64-c", [1, 12, 3]);
    [first, second, third, fourth]
}

#[test]
fn a_commons_keeps_its_name_with_further_profiles() {
    let history = history();
    let [first, .., last] = &history;
    assert_eq!(Roster::from_toml(&last.to_toml().unwrap()).unwrap(), *last);
    for (i, earlier) in history.iter().enumerate() {
        assert_eq!(earlier.digest(), first.digest());
        for (j, later) in history.iter().enumerate() {
            assert_eq!(earlier.continues_as(later), i <= j, "{i} {j}");
            assert_eq!(earlier.keys() == later.keys(), i == j, "nodes of different rosters do not speak: {i} {j}");
        }
    }
    assert_eq!(last.first_profiles().count(), 1);
    assert_eq!(last.profiles.len(), 3);
}

#[test]
fn whatever_is_changed_in_an_addition_breaks_it() {
    let [_, second, _, last] = history();
    type Change = fn(&mut Roster);
    let changes: [(&str, Change); 11] = [
        ("a signature is missing", |r| r.additions[1].signatures.truncate(2)),
        ("signatures in another order", |r| r.additions[1].signatures.swap(0, 1)),
        ("the matching is another", |r| r.profiles[2].version += 1),
        ("a sample becomes a template in another way", |r| {
            r.profiles[2].capture = Some(toml::from_str("model = 'worse.onnx'").unwrap());
        }),
        ("a word of its capture is another", |r| {
            let capture: toml::Table = toml::from_str("[embed]\nmodel = 'a.onnx'\nmirrored = false\n").unwrap();
            r.profiles[2].capture = Some(capture);
        }),
        ("its measured errors are others", |r| {
            r.profiles[2].accuracy = Some(Accuracy { data: "mine".to_owned(), fmr: 1e-9, fnmr: 0.0 });
        }),
        ("by nodes of another time", |r| r.additions[1].after = 0),
        ("of a time to come", |r| r.additions[1].after = 2),
        ("for a profile that is not there", |r| drop(r.profiles.remove(1))),
        ("twice", |r| r.additions.push(r.additions[0].clone())),
        ("in another order", |r| r.additions.swap(0, 1)),
    ];
    for (what, change) in changes {
        let mut roster = last.clone();
        change(&mut roster);
        assert!(matches!(roster.check(), Err(Error::Roster(_))), "{what}");
    }
    // An addition that is left out makes its profile one that the commons began with: another commons, for which nobody signed.
    let mut founded = last.clone();
    founded.additions.pop();
    assert!(founded.check().is_err() && founded.digest() != last.digest() && !second.continues_as(&founded));
    // A profile that is known does not change under its name, not even where nodes do not look.
    let mut other = last.clone();
    other.profiles[0].capture = Some(toml::from_str("model = 'worse.onnx'").unwrap());
    assert!(other.check().is_ok() && !second.continues_as(&other));
}

#[test]
fn only_the_three_nodes_add_in_their_order_and_no_name_twice() {
    let first = founding();
    assert!(first.add(profile("vector-64")).is_err(), "the name is taken");
    let mut next = first.add(profile("vector-64-b")).unwrap();
    assert!(next.check().is_err(), "nobody has signed");
    assert!(next.sign_addition(&key(2)).is_err(), "node 1 signs first");
    assert!(next.sign_addition(&key(9)).is_err(), "a stranger");
    next.sign_addition(&key(1)).unwrap();
    next.sign_addition(&key(1)).unwrap();
    assert_eq!(next.additions[0].signatures.len(), 1, "twice is once");
    let mut nothing = first.clone();
    assert!(nothing.sign_addition(&key(1)).is_err(), "there is nothing to sign");
    let mut full = first;
    for i in 0..types::limits::ADDITIONS {
        full = full.add(profile(&format!("vector-64-{i}"))).unwrap();
    }
    assert!(matches!(full.add(profile("one-more")), Err(Error::TooLarge { .. })));
}
