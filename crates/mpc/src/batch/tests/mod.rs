//! Every protocol equals the plaintext oracle, refuses what it must, and stops on altered messages.

use proptest::prelude::*;
use types::NodeId;
use types::profile::Matching;

use super::{Search, Twins, Verify};
use crate::driver::{Run, Schedule, run_local, test_keys};
use crate::error::Error;
use crate::gallery::Gallery;
use crate::record::tests::{embedding, faces, iris, irises, shares};
use crate::record::{ProbeShare, RecordShare, plaintext_scores, probe_share, record_share};
use crate::session::ProtocolKeys;
use crate::sharing::InputShare;
use crate::sign::Adder;

mod abort;
mod check;
mod waves;

/// Keys of one protocol for nodes 1, 2, 3.
fn keys() -> [ProtocolKeys; 3] {
    test_keys(11).map(|mut session| session.next_protocol())
}

/// One value per node out of one closure.
fn each<T>(mut make: impl FnMut(usize, ProtocolKeys) -> T) -> [T; 3] {
    let mut number = 0;
    keys().map(|keys| {
        number += 1;
        make(number - 1, keys)
    })
}

/// Inputs as the three nodes hold them: `[node][input]`.
struct Shared {
    inputs: [Vec<InputShare>; 3],
    probes: [Vec<ProbeShare>; 3],
    records: [Vec<RecordShare>; 3],
}

impl Shared {
    fn new(matching: &Matching, inputs: &[Vec<u32>]) -> Self {
        let mut all: [Vec<InputShare>; 3] = Default::default();
        for (number, input) in inputs.iter().enumerate() {
            for (node, share) in all.iter_mut().zip(shares(input, number as u8)) {
                node.push(share);
            }
        }
        let per = |n: NodeId| (n, &all[n.index()]);
        let probes = NodeId::ALL.map(per).map(|(n, all)| all.iter().map(|x| probe_share(n, x, matching)).collect());
        let records = NodeId::ALL.map(per).map(|(n, all)| all.iter().map(|x| record_share(n, x, matching)).collect());
        Self { inputs: all, probes, records }
    }
    fn galleries(&self, matching: &Matching, masked: &[u32]) -> [Gallery; 3] {
        [0, 1, 2].map(|n| {
            let mut gallery = Gallery::new(matching.record_len());
            self.records[n].iter().for_each(|record| {
                gallery.push(record.values());
            });
            masked.iter().for_each(|slot| gallery.mask(*slot));
            gallery
        })
    }
    fn probes(&self, n: usize) -> Vec<&ProbeShare> {
        self.probes[n].iter().collect()
    }
}

/// All three agree.
fn agreed(run: Run<Vec<bool>>) -> Vec<bool> {
    let [a, b, c] = run.outputs;
    assert_eq!(a, b);
    assert_eq!(b, c);
    a
}

fn search(
    matching: &Matching,
    probes: &Shared,
    galleries: &[Gallery; 3],
    adder: Adder,
    chunk: usize,
    schedule: Schedule,
) -> Run<Vec<bool>> {
    let parties =
        each(|n, keys| Search::new(keys, matching, &galleries[n], &probes.probes(n), adder).unwrap().with_waves(chunk, 1));
    run_local(parties, schedule).unwrap()
}

fn matches(probe: &[u32], record: &[u32], matching: &Matching) -> bool {
    plaintext_scores(probe, record, matching).iter().any(|score| *score >= 0)
}

fn check_search(matching: &Matching, records: &[Vec<u32>], probes: &[Vec<u32>], masked: &[u32]) {
    let gallery = Shared::new(matching, records).galleries(matching, masked);
    let shared = Shared::new(matching, probes);
    let active = || records.iter().enumerate().filter(|(slot, _)| !masked.contains(&(*slot as u32)));
    let expected: Vec<bool> =
        probes.iter().map(|probe| active().any(|(_, record)| matches(probe, record, matching))).collect();
    for (adder, chunk, schedule) in [
        (Adder::Ripple, 1 << 21, Schedule::LockStep),
        (Adder::Prefix, 1 << 21, Schedule::Threads),
        (Adder::Ripple, 1, Schedule::Threads),
        (Adder::Prefix, 64 * 30, Schedule::LockStep),
    ] {
        assert_eq!(agreed(search(matching, &shared, &gallery, adder, chunk, schedule)), expected, "{adder:?} {chunk}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn search_equals_the_oracle(records in 0usize..150, probes in 0usize..12, seed: u8, masked in proptest::collection::vec(0u32..150, 0..4)) {
        let matching = embedding(18);
        let all = faces(18, records + probes, seed);
        let masked: Vec<u32> = masked.into_iter().filter(|slot| (*slot as usize) < records).collect();
        check_search(&matching, &all[..records], &all[records..], &masked);
    }

    #[test]
    fn iris_search_equals_the_oracle(records in 0usize..80, probes in 1usize..4, seed: u8) {
        let matching = iris(2, 35, 2, 31);
        let all = irises(&matching, records + probes, seed);
        check_search(&matching, &all[..records], &all[records..], &[]);
    }

    #[test]
    fn twins_equal_the_oracle(
        usable in proptest::collection::vec(proptest::bool::weighted(0.8), 0..90), seed: u8, prefix: bool, eyes: bool,
    ) {
        let matching = if eyes { iris(2, 9, 2, 3) } else { embedding(10) };
        let usable = if eyes { &usable[..usable.len().min(20)] } else { &usable[..] };
        let inputs = if eyes { irises(&matching, usable.len(), seed) } else { faces(10, usable.len(), seed) };
        let shared = Shared::new(&matching, &inputs);
        let adder = if prefix { Adder::Prefix } else { Adder::Ripple };
        let parties = each(|n, keys| {
            let records: Vec<&RecordShare> = shared.records[n].iter().collect();
            Twins::new(keys, &matching, &shared.probes(n), &records, usable, adder).unwrap()
        });
        let expected: Vec<bool> = (0..inputs.len())
            .map(|k| usable[k] && (0..k).any(|j| usable[j] && matches(&inputs[k], &inputs[j], &matching)))
            .collect();
        prop_assert_eq!(agreed(run_local(parties, Schedule::LockStep).unwrap()), expected);
    }

    #[test]
    fn verify_equals_the_oracle(claims in proptest::collection::vec((0usize..12, 0usize..12), 0..20), seed: u8, eyes: bool) {
        let matching = if eyes { iris(2, 70, 1, 69) } else { embedding(10) };
        let inputs = if eyes { irises(&matching, 12, seed) } else { faces(10, 12, seed) };
        let shared = Shared::new(&matching, &inputs);
        let galleries = shared.galleries(&matching, &[]);
        let parties = each(|n, keys| {
            let claims: Vec<_> = claims.iter().map(|(probe, slot)| (&shared.probes[n][*probe], *slot as u32)).collect();
            Verify::new(keys, &matching, &galleries[n], &claims, Adder::Ripple).unwrap()
        });
        let expected: Vec<bool> = claims.iter().map(|(p, r)| matches(&inputs[*p], &inputs[*r], &matching)).collect();
        prop_assert_eq!(agreed(run_local(parties, Schedule::Threads).unwrap()), expected);
    }
}

/// One record (1, 0) and probes whose score is exactly what is asked for.
#[test]
fn scores_at_the_threshold_and_at_the_ends_of_the_word() {
    let matching = embedding(2);
    let scores: [i32; 8] = [0, -1, 1, -2, 32_767, -32_768, 32_766, -32_767];
    let offset = i32::from(matching.offset());
    let probes: Vec<Vec<u32>> = scores.iter().map(|score| vec![(score + offset).cast_unsigned(), 5]).collect();
    let record = vec![vec![1, 0]];
    for (probe, score) in probes.iter().zip(scores) {
        assert_eq!(plaintext_scores(probe, &record[0], &matching), [score as i16]);
    }
    check_search(&matching, &record, &probes, &[]);

    let (shared, galleries) = (Shared::new(&matching, &probes), Shared::new(&matching, &record).galleries(&matching, &[]));
    let parties = each(|n, keys| {
        let claims: Vec<_> = shared.probes[n].iter().map(|probe| (probe, 0)).collect();
        Verify::new(keys, &matching, &galleries[n], &claims, Adder::Prefix).unwrap()
    });
    assert_eq!(agreed(run_local(parties, Schedule::LockStep).unwrap()), scores.map(|score| score >= 0));
}

#[test]
fn bytes_per_comparison_and_rounds() {
    let matching = embedding(8);
    let (records, probes) = (10_240, 3);
    let all = faces(8, 64, 4);
    let record = Shared::new(&matching, &all);
    let galleries = [0, 1, 2].map(|n| {
        let mut gallery = Gallery::new(8);
        (0..records).for_each(|slot| {
            gallery.push(record.records[n][slot % 64].values());
        });
        gallery
    });
    let shared = Shared::new(&matching, &all[..probes]);
    for (adder, rounds, bytes) in [(Adder::Ripple, 15, 5.625), (Adder::Prefix, 6, 8.375)] {
        for (chunk, chunks) in [(1 << 21, 1), (probes * 5120, 2)] {
            let run = search(&matching, &shared, &galleries, adder, chunk, Schedule::LockStep);
            // Per chunk: reshare and AND layers; the coins of a chunk travel with the next. At the end: last coins, mask, open.
            assert_eq!(run.rounds, chunks * (1 + rounds) + 3);
            // Per chunk two coins of 16 bytes; per operation 8 bytes to re-share and two times 8 to open.
            let constant = (chunks * 32 + probes * 24) as u64;
            for sent in run.sent_bytes {
                let per_comparison = (sent - constant) as f64 / (records * probes) as f64;
                assert!((per_comparison - bytes).abs() < 1e-9, "{adder:?}: {per_comparison}");
            }
            agreed(run);
        }
    }
}

/// Waves that share their rounds: each costs one round more, not a whole course.
#[test]
fn waves_of_a_large_search_share_their_rounds() {
    let matching = embedding(8);
    let few = faces(8, 64, 4);
    let record = Shared::new(&matching, &few);
    let asking = [few[2].clone(), few[0].clone()];
    let probes = Shared::new(&matching, &asking);
    for (records, adder, expected) in [
        (3 << 17, Adder::Ripple, 15 + 4 + 2),
        (3 << 17, Adder::Prefix, 6 + 4),
        // Rows do not fill the last wave.
        ((3 << 17) + 70, Adder::Ripple, 15 + 4 + 2),
        ((1 << 18) - 1, Adder::Ripple, 15 + 4),
    ] {
        let galleries = [0, 1, 2].map(|n| {
            let mut gallery = Gallery::new(8);
            (0..records).for_each(|_| {
                gallery.push(record.records[n][2].values());
            });
            gallery
        });
        let parties =
            each(|n, keys| Search::new(keys, &matching, &galleries[n], &probes.probes(n), adder).unwrap().with_threads(2));
        let run = run_local(parties, Schedule::LockStep).unwrap();
        assert_eq!(run.rounds, expected, "{records} records, {adder:?}");
        let expected = asking.each_ref().map(|probe| matches(probe, &few[2], &matching));
        assert!(expected[0]);
        assert_eq!(agreed(run), expected);
    }
}

#[test]
fn a_search_can_own_its_gallery_and_move_between_threads() {
    fn movable<T: crate::Protocol + Send + 'static>(_: &T) {}
    let matching = embedding(18);
    let shared = Shared::new(&matching, &faces(18, 3, 1));
    let galleries = shared.galleries(&matching, &[]).map(std::sync::Arc::new);
    let parties =
        each(|n, keys| Search::new(keys, &matching, galleries[n].clone(), &shared.probes(n), Adder::Ripple).unwrap());
    parties.iter().for_each(movable);
    assert_eq!(agreed(run_local(parties, Schedule::Threads).unwrap()), [true; 3]);
}

#[test]
fn a_batch_without_work_takes_one_empty_round() {
    let matching = embedding(4);
    let nobody = Shared::new(&matching, &[]);
    let one = Shared::new(&matching, &faces(4, 1, 1));
    let (empty, full) = (nobody.galleries(&matching, &[]), one.galleries(&matching, &[]));
    for (probes, gallery, expected) in [(&one, &empty, vec![false]), (&nobody, &full, vec![]), (&nobody, &empty, vec![])] {
        let run = search(&matching, probes, gallery, Adder::Ripple, 1 << 21, Schedule::LockStep);
        assert_eq!((run.rounds, run.sent_bytes), (1, [0; 3]));
        assert_eq!(agreed(run), expected);
    }
}

#[test]
fn arguments_of_another_profile_are_refused() {
    let matching = embedding(6);
    let [one, ..] = Shared::new(&embedding(4), &faces(4, 2, 1)).probes;
    let record = RecordShare::from_values(vec![0; 6]);
    let mut gallery = Gallery::new(6);
    let key = || keys().into_iter().next().unwrap();
    let what = "words per probe row";
    let mismatch = Error::Mismatch { what, expected: 6, got: 4 };
    let adder = Adder::Ripple;
    assert_eq!(Search::new(key(), &matching, &gallery, &[&one[0]], adder).err(), Some(mismatch.clone()));
    assert_eq!(Twins::new(key(), &matching, &[&one[0]], &[&record], &[true], adder).err(), Some(mismatch));
    let unequal = Twins::new(key(), &matching, &[&one[0]], &[], &[true], adder).err();
    assert_eq!(unequal, Some(Error::Mismatch { what: "records of a batch", expected: 1, got: 0 }));

    let matching = embedding(4);
    let error = Search::new(key(), &matching, &gallery, &[&one[0]], adder).err();
    assert_eq!(error, Some(Error::Mismatch { what: "words per record of the gallery", expected: 4, got: 6 }));
    gallery = Gallery::new(4);
    gallery.push(&[1, 2, 3, 4]);
    gallery.mask(0);
    for slot in [0, 1, u32::MAX] {
        let error = Verify::new(key(), &matching, &gallery, &[(&one[0], slot)], adder).err();
        assert_eq!(error, Some(Error::NoSuchSlot { slot: slot as usize }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Everybody's own template, searched without their own slot, finds exactly the others that match.
    #[test]
    fn a_search_may_leave_one_slot_out(seed: u8, count in 1usize..150, own in 0usize..150) {
        let (matching, own) = (embedding(64), own % count);
        let people = faces(64, count, seed);
        let galleries = Shared::new(&matching, &people).galleries(&matching, &[]).map(std::sync::Arc::new);
        let probe = Shared::new(&matching, &people[own..=own]);
        let matches = |slot: usize| plaintext_scores(&people[own], &people[slot], &matching)[0] >= 0;
        let parties = each(|n, keys| {
            let search = Search::new(keys, &matching, std::sync::Arc::clone(&galleries[n]), &probe.probes(n), Adder::Ripple);
            search.unwrap().except(own as u32).with_waves(64, 1)
        });
        let expected = (0..count).any(|slot| slot != own && matches(slot));
        prop_assert_eq!(agreed(run_local(parties, Schedule::LockStep).unwrap()), vec![expected]);
    }
}
