//! Following logs: what a monitor accepts, and what it calls every way of cheating it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod support;

use proptest::prelude::*;
use support::{MemoryLog, cosign, entry, key, name, verifier};
use tlog::entry::{Entry, Kind};
use tlog::monitor::{Advanced, CrossCheck, Follower};
use tlog::note::KeyKind;
use tlog::{Bundle, Error, Peaks, Policy, SignedCheckpoint};
use types::NodeId;

const NOW: u64 = 1_700_100_000;

fn policy(log: &MemoryLog) -> Policy {
    let witness = verifier("w.example", KeyKind::Cosignature, &key(9));
    Policy::parse(format!("log {}\nwitness W {witness}\nquorum W\n", log.public()).as_bytes()).unwrap()
}

fn checkpoint(log: &MemoryLog, at: u64) -> SignedCheckpoint {
    let mut checkpoint = log.checkpoint();
    cosign(&mut checkpoint, &log.public(), name("w.example"), &key(9), at);
    checkpoint
}

/// What `commons monitor` does, with fetching replaced by `serve`.
fn follow(
    follower: &Follower,
    signed: SignedCheckpoint,
    serve: impl Fn(Bundle) -> Vec<u8>,
) -> Result<(Advanced, Vec<(u64, Entry)>), Error> {
    let mut step = follower.begin(signed, NOW)?;
    let mut entries = Vec::new();
    for bundle in step.bundles() {
        entries.extend(step.feed(bundle, &serve(bundle))?);
    }
    Ok((step.finish()?, entries))
}

/// Cosigned half a minute after the last entry.
fn prompt(log: &MemoryLog) -> SignedCheckpoint {
    let last = log.entries.last().map_or(0, |bytes| Entry::from_bytes(bytes).unwrap().at);
    checkpoint(log, last + 30)
}

fn followed(log: &MemoryLog) -> Follower {
    follow(&Follower::new(policy(log)), prompt(log), |bundle| log.bundle(bundle)).unwrap().0.follower
}

#[test]
fn a_log_is_followed_step_by_step_and_counted() {
    let mut log = MemoryLog::with_entries("example.com/log", 1, 0);
    let mut follower = Follower::new(policy(&log));
    for count in [0, 1, 300, 0, 500] {
        let before = log.size();
        log.append((before..before + count).map(|number| entry(number).to_bytes()));
        let (step, entries) = follow(&follower, prompt(&log), |bundle| log.bundle(bundle)).unwrap();
        assert_eq!((step.first, step.leaves.len() as u64), (before, count));
        assert_eq!(entries, (before..log.size()).map(|number| (number, entry(number))).collect::<Vec<_>>());
        // Kept on disk between two runs.
        follower = Follower::from_bytes(policy(&log), &step.follower.to_bytes()).unwrap();
        assert_eq!(follower, step.follower);
        assert_eq!((follower.size(), follower.root()), (log.size(), log.appender.root()));
    }
    let counts = follower.counts();
    assert_eq!(counts.total(), 801);
    assert_eq!(counts.by(|row| row.kind).into_values().collect::<Vec<_>>(), [201, 200, 200, 200]);
    assert_eq!(counts.by(|row| row.party.clone())["the-library"], 200);
    assert_eq!(counts.by(|row| row.purpose.clone())["dpv:IdentityVerification"], 601);
    assert_eq!(counts.by(|row| row.purpose.clone())[""], 200, "raising a shield has no purpose");
    // 1,700,000,000 is 22:13:20 UTC: the 107th entry is the first of the next day.
    assert_eq!(counts.by(|row| row.day), [(19_675, 107), (19_676, 694)].into());
    assert_eq!(counts.by(|row| row.kind == Kind::Use)[&true], 200);
}

#[test]
fn a_member_finds_every_entry_about_them_and_nobody_else_does() {
    let (key, other) = (support::trace_key(), types::TraceKey::from_random([8; 32]));
    for number in 0..20 {
        let entry = entry(number);
        assert!(entry.concerns(&key, number) && !entry.concerns(&other, number) && !entry.concerns(&key, number + 1));
        support::opening(number).check(&entry).unwrap();
        assert_eq!(support::opening(number + 1).check(&entry), Err(Error::Commitment));
    }
}

#[test]
fn edited_entry() {
    let log = MemoryLog::with_entries("example.com/log", 1, 300);
    let mut served = log.clone();
    let mut edited = entry(260);
    edited.kind = Kind::Administrative;
    served.entries[260] = edited.to_bytes();
    let result = follow(&Follower::new(policy(&log)), checkpoint(&log, NOW), |bundle| served.bundle(bundle));
    assert_eq!(result.unwrap_err(), Error::WrongRoot { size: 300 });
}

#[test]
fn dropped_entry() {
    // Signed anew, over a tree without entry 2: the follower has seen it.
    let log = MemoryLog::with_entries("example.com/log", 1, 5);
    let follower = followed(&log);
    let mut dropped = MemoryLog::new(log.origin.clone(), log.key.clone());
    dropped.append([0, 1, 3, 4, 5, 6].map(|number| entry(number).to_bytes()));
    let result = follow(&follower, checkpoint(&dropped, NOW), |bundle| dropped.bundle(bundle));
    assert_eq!(result.unwrap_err(), Error::WrongRoot { size: 6 });
}

#[test]
fn fork_at_the_size_that_was_followed() {
    let log = MemoryLog::with_entries("example.com/log", 1, 5);
    let follower = followed(&log);
    let mut fork = MemoryLog::new(log.origin.clone(), log.key.clone());
    fork.append([0, 1, 2, 3, 5].map(|number| entry(number).to_bytes()));
    let error = follower.begin(checkpoint(&fork, NOW), NOW).unwrap_err();
    let Error::Fork { evidence } = error else { panic!("{error:?}") };
    evidence.verify(&log.public()).unwrap();
}

#[test]
fn stale_checkpoint() {
    let log = MemoryLog::with_entries("example.com/log", 1, 5);
    let mut older = log.checkpoint_at(4);
    cosign(&mut older, &log.public(), name("w.example"), &key(9), NOW);
    assert_eq!(followed(&log).begin(older, NOW).unwrap_err(), Error::Stale { have: 5, got: 4 });
}

#[test]
fn not_cosigned() {
    let log = MemoryLog::with_entries("example.com/log", 1, 5);
    let error = Follower::new(policy(&log)).begin(log.checkpoint(), NOW).unwrap_err();
    assert_eq!(error, Error::Quorum { size: 5 });
}

#[test]
fn cosigned_in_the_future() {
    let log = MemoryLog::with_entries("example.com/log", 1, 5);
    let error = Follower::new(policy(&log)).begin(checkpoint(&log, NOW + 3600), NOW).unwrap_err();
    assert_eq!(error, Error::FromTheFuture { name: "W".to_owned(), at: NOW + 3600, now: NOW });
}

/// Wrong entries are found, and do not keep anybody from following the log.
fn findings(follower: &Follower, log: &MemoryLog) -> Vec<Error> {
    let (step, _) = follow(follower, checkpoint(log, NOW), |bundle| log.bundle(bundle)).unwrap();
    assert_eq!(step.follower.size(), log.size());
    assert_eq!(step.follower.suspect(), step.findings.len() as u64);
    step.findings
}

#[test]
fn entry_dated_before_the_one_ahead_of_it() {
    let mut log = MemoryLog::with_entries("example.com/log", 1, 5);
    let mut late = entry(5);
    late.at = entry(4).at - 1;
    log.append([late.to_bytes(), entry(6).to_bytes()]);
    let back_dated = Error::BackDated { index: 5, at: late.at, before: entry(4).at };
    assert_eq!(findings(&Follower::new(policy(&log)), &log), [back_dated]);
}

#[test]
fn entry_dated_before_a_checkpoint_that_lacks_it() {
    let mut log = MemoryLog::with_entries("example.com/log", 1, 5);
    // Cosigned at NOW - 100 without entry 5, which claims to be a day older.
    let late = checkpoint(&log, NOW - 100);
    let follower = follow(&Follower::new(policy(&log)), late, |bundle| log.bundle(bundle)).unwrap().0.follower;
    log.append([entry(5).to_bytes(), Entry { at: NOW, ..entry(6) }.to_bytes()]);
    let before = NOW - 100 - types::limits::LOG_DATING_SLACK_S;
    assert_eq!(findings(&follower, &log), [Error::BackDated { index: 5, at: entry(5).at, before }]);
}

#[test]
fn entry_from_the_future() {
    let mut log = MemoryLog::with_entries("example.com/log", 1, 5);
    log.append([Entry { at: NOW + 3600, ..entry(5) }.to_bytes(), entry(6).to_bytes()]);
    let early = Error::EntryFromTheFuture { index: 5, at: NOW + 3600, now: NOW };
    assert_eq!(findings(&Follower::new(policy(&log)), &log), [early]);
}

#[test]
fn entry_that_cannot_be_read() {
    let mut log = MemoryLog::with_entries("example.com/log", 1, 5);
    log.append([b"hello".to_vec(), entry(6).to_bytes()]);
    let error = Box::new(Error::Version { what: "log entry", got: u16::from_le_bytes(*b"he"), known: 1 });
    assert_eq!(findings(&Follower::new(policy(&log)), &log), [Error::BadEntry { index: 5, error }]);
    let mut many = MemoryLog::with_entries("example.com/log", 1, 0);
    many.append(vec![b"hello".to_vec(); types::limits::MONITOR_FINDINGS + 1]);
    let (step, _) = follow(&Follower::new(policy(&many)), checkpoint(&many, NOW), |bundle| many.bundle(bundle)).unwrap();
    assert_eq!(step.findings.len() as u64 + 1, step.follower.suspect());
}

#[test]
fn torn_bundle_missing_bundle_and_other_bytes() {
    let log = MemoryLog::with_entries("example.com/log", 1, 300);
    let fresh = Follower::new(policy(&log));
    let torn = follow(&fresh, checkpoint(&log, NOW), |bundle| {
        let mut bytes = log.bundle(bundle);
        bytes.truncate(bytes.len() - 3);
        bytes
    });
    assert!(matches!(torn, Err(Error::TornTile { .. })));
    let mut step = fresh.begin(checkpoint(&log, NOW), NOW).unwrap();
    let bundles: Vec<Bundle> = step.bundles().collect();
    assert!(step.feed(bundles[1], &log.bundle(bundles[1])).is_err(), "the second before the first");
    step.feed(bundles[0], &log.bundle(bundles[0])).unwrap();
    assert!(step.feed(bundles[0], &log.bundle(bundles[0])).is_err(), "the first again");
    assert_eq!(step.finish().unwrap_err(), Error::OutOfRange { got: 300, size: 256 });
    let foreign = follow(&fresh, checkpoint(&log, NOW), |bundle| {
        tlog::tile::encode_bundle(&vec![b"hello".to_vec(); usize::from(bundle.width())]).unwrap()
    });
    assert_eq!(foreign.unwrap_err(), Error::WrongRoot { size: 300 });
}

#[test]
fn a_failed_step_changes_nothing() {
    let mut log = MemoryLog::with_entries("example.com/log", 1, 5);
    let follower = followed(&log);
    let before = follower.clone();
    log.append((5..9).map(|number| Entry { at: NOW, ..entry(number) }.to_bytes()));
    let mut served = log.clone();
    served.entries[8] = Entry { at: NOW, ..entry(7) }.to_bytes();
    assert!(follow(&follower, checkpoint(&log, NOW), |bundle| served.bundle(bundle)).is_err());
    assert_eq!(follower, before);
    assert_eq!(follow(&follower, checkpoint(&log, NOW), |bundle| log.bundle(bundle)).unwrap().0.follower.size(), 9);
}

#[test]
fn a_damaged_state_is_not_used() {
    let log = MemoryLog::with_entries("example.com/log", 1, 5);
    let bytes = followed(&log).to_bytes();
    assert!(Follower::from_bytes(policy(&log), &bytes[..bytes.len() - 1]).is_err());
    let mut newer = bytes.clone();
    newer[0] = 2;
    assert!(matches!(Follower::from_bytes(policy(&log), &newer), Err(Error::Version { got: 2, .. })));
    // The size without its peaks.
    let mut size = bytes;
    size[2] = 7;
    assert!(matches!(Follower::from_bytes(policy(&log), &size), Err(Error::Malformed { .. })));
}

#[test]
fn three_logs_are_compared() {
    let leaves: Vec<_> = (0..10).map(|number| entry(number).leaf_hash()).collect();
    let [one, two, three] = NodeId::ALL;
    let mut check = CrossCheck::new();
    check.push(one, &leaves[..6]).unwrap();
    check.push(two, &leaves[..4]).unwrap();
    check.check().unwrap();
    assert_eq!((check.agreed(), check.ahead()), (0, [6, 4, 0]));
    check.push(three, &leaves[..5]).unwrap();
    check.check().unwrap();
    assert_eq!((check.agreed(), check.ahead()), (4, [2, 0, 1]));
    check.push(two, &leaves[4..6]).unwrap();
    check.push(three, &leaves[5..6]).unwrap();
    check.check().unwrap();
    assert_eq!((check.agreed(), check.ahead()), (6, [0, 0, 0]));

    // Each of the three may be the one that logs something else.
    for odd in NodeId::ALL {
        let mut check = check.clone();
        for node in NodeId::ALL {
            let mut own = leaves[6..9].to_vec();
            if node == odd {
                own[1] = leaves[9];
            }
            check.push(node, &own).unwrap();
        }
        let differ = Err(Error::LogsDiffer { index: 7, odd: Some(odd) });
        assert_eq!(check.check(), differ);
        assert_eq!(check.agreed(), 7);
        assert_eq!(check.check(), differ, "and says so again");
    }
    // Two logs suffice to see that something is wrong, not to see whose.
    check.push(one, &leaves[6..8]).unwrap();
    check.push(three, &leaves[7..9]).unwrap();
    assert_eq!(check.check(), Err(Error::LogsDiffer { index: 6, odd: None }));
}

proptest! {
    #[test]
    fn peaks_are_a_tree(count in 0usize..300) {
        let leaves: Vec<_> = (0..count as u64).map(|number| tlog::merkle::leaf_hash(&number.to_be_bytes())).collect();
        let mut peaks = Peaks::default();
        leaves.iter().for_each(|leaf| peaks.append(*leaf));
        prop_assert_eq!(peaks.root(), support::naive_root(&leaves));
        prop_assert_eq!(peaks.size(), count as u64);
    }

    #[test]
    fn entries_have_one_encoding(number in any::<u64>(), batch in any::<u64>(), at in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let entry = Entry { batch, at, ..entry(number % 1000) };
        let bytes = entry.to_bytes();
        prop_assert!(bytes.len() <= types::limits::LOG_ENTRY_BYTES);
        prop_assert_eq!(Entry::from_bytes(&bytes).unwrap(), entry);
        prop_assert!(Entry::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(Entry::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }
}
