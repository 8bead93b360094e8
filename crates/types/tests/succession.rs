//! A roster shows by itself that it continues the commons that somebody trusts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod support;

use support::{founding, key, node};
use types::roster::Roster;
use types::sign::public_key;
use types::{Digest, NodeId};

/// Node 2 is replaced at batch 10, then node 3 at batch 20.
fn twice() -> [Roster; 3] {
    let [one, two, three] = NodeId::ALL;
    let first = founding();
    let mut second = first.succeed(node(two, 12), 10, Digest([1; 32])).unwrap();
    // In whichever order, and as often as they like.
    for seed in [3, 1, 3] {
        second.sign_succession(&key(seed)).unwrap();
    }
    second.check().unwrap();
    let mut third = second.succeed(node(three, 13), 20, Digest([2; 32])).unwrap();
    third.sign_succession(&key(1)).unwrap();
    third.sign_succession(&key(12)).unwrap();
    third.check().unwrap();
    let _ = one;
    [first, second, third]
}

#[test]
fn a_commons_keeps_its_name_and_its_past() {
    let [first, second, third] = twice();
    let text = third.to_toml().unwrap();
    assert_eq!(Roster::from_toml(&text).unwrap(), third);
    assert!(first.digest() == second.digest() && second.digest() == third.digest());
    assert!(first.keys() != second.keys() && second.keys() != third.keys());
    assert!(first.continues_as(&third) && second.continues_as(&third) && third.continues_as(&third));
    assert!(!third.continues_as(&second) && !second.continues_as(&first));
    let signers = |batch| third.nodes_at(batch).iter().map(|node| node.signing_key).collect::<Vec<_>>();
    let keys = |seeds: [u8; 3]| seeds.map(|seed| public_key(&key(seed))).to_vec();
    assert_eq!((signers(0), signers(9)), (keys([1, 2, 3]), keys([1, 2, 3])));
    assert_eq!((signers(10), signers(19)), (keys([1, 12, 3]), keys([1, 12, 3])));
    assert_eq!((signers(20), signers(u64::MAX)), (keys([1, 12, 13]), keys([1, 12, 13])));
    assert_eq!(third.generation(1), second);
    assert_eq!(third.generation(0), first);
}

#[test]
fn whatever_is_changed_in_a_succession_breaks_it() {
    let [_, second, third] = twice();
    type Change = fn(&mut Roster);
    let changes: [(&str, Change); 10] = [
        ("another key of the new node", |r| r.nodes[1].signing_key = public_key(&key(50))),
        ("another key of an old node", |r| r.nodes[0].tls_key = Digest([9; 32])),
        ("a later batch", |r| r.successions[0].from_batch += 1),
        ("another head", |r| r.successions[0].head = Digest([7; 32])),
        ("another old node", |r| r.successions[0].replaced.log_key = public_key(&key(51))),
        ("another node's place", |r| r.successions[0].replaced.id = NodeId::ALL[2]),
        ("no signature", |r| r.successions[0].signatures.clear()),
        ("one signature", |r| r.successions[0].signatures.truncate(1)),
        ("signatures in the wrong order", |r| r.successions[0].signatures.reverse()),
        ("another profile", |r| r.profiles[0].version += 1),
    ];
    for roster in [second, third] {
        for (what, change) in &changes {
            let mut changed = roster.clone();
            change(&mut changed);
            assert!(changed.check().is_err(), "{what}");
            assert!(!founding().continues_as(&changed) || changed.check().is_err(), "{what}");
        }
    }
}

#[test]
fn who_was_replaced_replaces_nobody() {
    let [_, second, _] = twice();
    // The old node 2, with node 3: a rogue and somebody seized.
    let mut rogue = second.succeed(node(NodeId::ALL[0], 40), 30, Digest([3; 32])).unwrap();
    assert!(rogue.sign_succession(&key(2)).is_err());
    rogue.sign_succession(&key(3)).unwrap();
    assert!(rogue.check().is_err());
    // An old key does not come back.
    let mut back = second.succeed(node(NodeId::ALL[1], 2), 30, Digest([3; 32])).unwrap();
    back.nodes[1].signing_key = second.nodes[1].signing_key;
    back.sign_succession(&key(1)).unwrap();
    back.sign_succession(&key(3)).unwrap();
    assert!(back.check().is_err());
    // Nor does a succession go back in the chain.
    let mut early = second.succeed(node(NodeId::ALL[2], 41), 9, Digest([3; 32])).unwrap();
    early.sign_succession(&key(1)).unwrap();
    early.sign_succession(&key(12)).unwrap();
    assert!(early.check().is_err());
}
