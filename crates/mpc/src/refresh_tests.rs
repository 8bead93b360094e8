//! A refresh changes no template and no decision, and shares of two epochs say nothing together.

use proptest::prelude::*;
use types::profile::Matching;

use super::*;
use crate::batch::Search;
use crate::driver::{Schedule, run_local, test_keys};
use crate::gallery::Gallery;
use crate::galois::combine;
use crate::record::tests::{embedding, faces, shares};
use crate::record::{ProbeShare, probe_share, record_share};
use crate::sign::Adder;

const PROFILE: Digest = Digest([7; 32]);

fn records(values: &[u32], matching: &Matching, seed: u8) -> [Vec<u16>; 3] {
    let inputs = shares(values, seed);
    NodeId::ALL.map(|node| record_share(node, &inputs[node.index()], matching).values().to_vec())
}

fn refreshed(records: &[Vec<u16>; 3], seed: &Seed, record: [u8; 16]) -> [Vec<u16>; 3] {
    NodeId::ALL.map(|node| {
        let mut values = records[node.index()].clone();
        Refresh::new(node, &PROFILE, seed).apply(&record, &mut values);
        values
    })
}

proptest! {
    #[test]
    fn any_two_shares_of_one_epoch_give_the_template(
        values in proptest::collection::vec(any::<u32>(), 1..2100), seed: u8, refresh: [u8; 32], record: [u8; 16],
    ) {
        let old = records(&values, &embedding(values.len() as u32), seed);
        let new = refreshed(&old, &Seed::from_bytes(refresh), record);
        let template: Vec<u16> = values.iter().map(|x| (x & 0xFFFF) as u16).collect();
        for node in NodeId::ALL {
            let next = node.next();
            let both = |shares: &[Vec<u16>; 3]| combine((node, &shares[node.index()]), (next, &shares[next.index()]));
            prop_assert_eq!(&both(&old)[..values.len()], &template[..]);
            prop_assert_eq!(both(&old), both(&new));
        }
    }
}

/// One node of the old epoch, another of the new one: over many refreshes of one record, what the two give together takes all
/// values alike, whatever the template.
#[test]
fn shares_of_two_epochs_do_not_combine() {
    let values: Vec<u32> = (0..32).map(|i| i % 5).collect();
    let old = records(&values, &embedding(32), 4);
    for (one, other) in NodeId::ALL.into_iter().flat_map(|node| [(node, node.next()), (node, node.prev())]) {
        let mut counts = [0u32; 16];
        for trial in 0..512u16 {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&trial.to_le_bytes());
            let new = refreshed(&old, &Seed::from_bytes(bytes), [1; 16]);
            let both = combine((one, &old[one.index()]), (other, &new[other.index()]));
            both.iter().for_each(|word| counts[usize::from(word >> 12)] += 1);
        }
        let expected = 512.0 * 32.0 / 16.0;
        let chi: f64 = counts.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        assert!(chi < 50.0, "{one} before, {other} after: {counts:?}");
    }
}

#[test]
fn records_and_profiles_and_epochs_have_streams_of_their_own() {
    let zeros = || [vec![0u16; 64], vec![0; 64], vec![0; 64]];
    let (one, two) = (Seed::from_bytes([1; 32]), Seed::from_bytes([2; 32]));
    let mut seen =
        vec![refreshed(&zeros(), &one, [1; 16]), refreshed(&zeros(), &one, [2; 16]), refreshed(&zeros(), &two, [1; 16])];
    seen.push(NodeId::ALL.map(|node| {
        let mut values = vec![0; 64];
        Refresh::new(node, &Digest([8; 32]), &one).apply(&[1; 16], &mut values);
        values
    }));
    for (i, one) in seen.iter().enumerate() {
        assert!(seen[i + 1..].iter().all(|other| (0..3).all(|node| one[node] != other[node])));
    }
}

#[test]
fn every_contribution_counts_and_nothing_is_printed() {
    let contributions = [[1; 32], [2; 32], [3; 32]];
    let seed = Seed::from_contributions(b"session", &contributions);
    for node in 0..3 {
        let mut changed = contributions;
        changed[node][0] ^= 1;
        assert_ne!(Seed::from_contributions(b"session", &changed), seed);
    }
    assert_ne!(Seed::from_contributions(b"another", &contributions).digest(), seed.digest());
    assert_eq!(format!("{seed:?}"), "Seed(<redacted>)");
    assert_eq!(format!("{:?}", Refresh::new(NodeId::ALL[0], &PROFILE, &seed)), "Refresh(<redacted>)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Galleries of random faces and searches of known and unknown ones: the same answers before and after.
    #[test]
    fn decisions_are_the_same_in_every_epoch(seed in 0u8..250, count in 1usize..90, epochs in 1usize..4) {
        let matching = embedding(64);
        let known = faces(64, count, seed);
        let mut probes = faces(64, 3, seed + 1);
        probes.push(known[count / 2].clone());
        let mut galleries: Vec<[Vec<u16>; 3]> =
            known.iter().enumerate().map(|(i, face)| records(face, &matching, i as u8)).collect();
        let probes: Vec<[ProbeShare; 3]> = probes
            .iter()
            .map(|probe| {
                let inputs = shares(probe, 99);
                NodeId::ALL.map(|node| probe_share(node, &inputs[node.index()], &matching))
            })
            .collect();
        let answers = |records: &[[Vec<u16>; 3]]| {
            let parties = NodeId::ALL.map(|node| {
                let mut gallery = Gallery::new(64);
                for record in records {
                    gallery.push(&record[node.index()]);
                }
                let mine: Vec<&ProbeShare> = probes.iter().map(|probe| &probe[node.index()]).collect();
                let keys = test_keys(5).map(|mut keys| keys.next_protocol());
                let keys = keys.into_iter().nth(node.index()).unwrap();
                Search::new(keys, &matching, std::sync::Arc::new(gallery), &mine, Adder::Ripple).unwrap()
            });
            run_local(parties, Schedule::LockStep).unwrap().outputs
        };
        let before = answers(&galleries);
        prop_assert!(before[0][3]);
        for epoch in 0..epochs {
            let epoch_seed = Seed::from_bytes([epoch as u8; 32]);
            for (number, record) in galleries.iter_mut().enumerate() {
                *record = refreshed(record, &epoch_seed, [number as u8; 16]);
            }
        }
        prop_assert_eq!(answers(&galleries), before);
    }
}
