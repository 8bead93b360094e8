//! Files as they come from outside: valid ones, which must stay readable and be written again byte for byte, and one per fault,
//! named after it, which must be refused by the error named here.
//!
//! `COMMONS_WRITE_VECTORS=1` writes them from the log in `support`. A file that was released may not change.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that meets the unexpected should panic, and these read files"
)]

mod support;

use std::path::{Path, PathBuf};

use support::{MemoryLog, cosign, entry, key, name, opening, verifier};
use tlog::note::KeyKind;
use tlog::witness::AddCheckpoint;
use tlog::{Bundle, Conflict, Entry, Error, Evidence, Policy, SignedCheckpoint, Tile, TlogProof, VerifierKey};

const NOW: u64 = 1_700_100_000;
// Fixed names, not those of a roster, whose digest changes with its format.
const ORIGIN: &str = "river-hill.example/node-1";

fn log(entries: u64) -> MemoryLog {
    let mut log = MemoryLog::new(name(ORIGIN), key(1));
    log.append((0..entries).map(|number| entry(number).to_bytes()));
    log
}

/// The log with entry 2 edited.
fn fork(entries: u64) -> MemoryLog {
    let mut fork = MemoryLog::new(name(ORIGIN), key(1));
    fork.append((0..entries).map(|number| entry(if number == 2 { 90 } else { number }).to_bytes()));
    fork
}

fn log_key() -> VerifierKey {
    verifier(ORIGIN, KeyKind::Ed25519, &key(1))
}

fn witness_key(node: u8) -> VerifierKey {
    verifier(&format!("river-hill.example/witness-{node}"), KeyKind::Cosignature, &key(node))
}

fn cosigned(log: &MemoryLog) -> SignedCheckpoint {
    let mut checkpoint = log.checkpoint();
    for node in [2, 3] {
        cosign(&mut checkpoint, &log.public(), witness_key(node).name().clone(), &key(node), NOW);
    }
    checkpoint
}

fn policy() -> Policy {
    let witnesses = format!("witness node-2 {}\nwitness node-3 {}\n", witness_key(2), witness_key(3));
    let text = format!("log {}\n{witnesses}group others all node-2 node-3\nquorum others\n", log_key());
    Policy::parse(text.as_bytes()).unwrap()
}

fn proof(log: &MemoryLog, index: u64) -> TlogProof {
    TlogProof::make(&log.tree(), index, cosigned(log)).unwrap()
}

/// Reads and checks one file by its kind, as far as its kind can be checked without context.
fn check(kind: &str, bytes: &[u8]) -> Result<(), Error> {
    let public = log_key();
    match kind {
        "entry" => opening(5).check(&Entry::from_bytes(bytes)?),
        "key" => VerifierKey::parse(std::str::from_utf8(bytes).unwrap().trim_end()).map(drop),
        "checkpoint" => policy().accept(&SignedCheckpoint::parse(bytes)?).map(drop),
        "request" => AddCheckpoint::parse(bytes)?.checkpoint.verify(&public).map(drop),
        "proof" => TlogProof::parse(bytes)?.verify(&entry(5).leaf_hash(), &policy()).map(drop),
        "policy" => Policy::parse(bytes).map(drop),
        "conflict" => Conflict::parse(bytes)?.verify(&public),
        "evidence" => Evidence::from_bytes(bytes)?.verify(&[policy()]).map(drop),
        "tile" => Tile::from_path("tile/0/000.p/7").unwrap().decode(bytes).map(drop),
        "bundle" => Bundle::from_path("tile/entries/000.p/7").unwrap().decode(bytes).map(drop),
        other => panic!("no such kind: {other}"),
    }
}

fn valid() -> Vec<(&'static str, Vec<u8>)> {
    let log = log(7);
    let conflicts = [
        Conflict::same_size(log.checkpoint(), fork(7).checkpoint(), &log.public()).unwrap(),
        Conflict::between((&log.tree(), log.checkpoint()), (&fork(9).tree(), fork(9).checkpoint()), &log.public()).unwrap(),
    ];
    let evidence = Evidence { entry: entry(5), opening: opening(5), proofs: vec![proof(&log, 5)] };
    vec![
        ("entry/valid", entry(5).to_bytes()),
        ("key/valid_log", format!("{}\n", log_key()).into_bytes()),
        ("key/valid_witness", format!("{}\n", witness_key(2)).into_bytes()),
        ("checkpoint/valid", cosigned(&log).to_string().into_bytes()),
        ("request/valid", AddCheckpoint::make(&log.tree(), 3, log.checkpoint()).unwrap().to_body().into_bytes()),
        ("proof/valid", proof(&log, 5).to_string().into_bytes()),
        ("policy/valid", policy().to_string().into_bytes()),
        ("conflict/valid_same_size", conflicts[0].to_string().into_bytes()),
        ("conflict/valid_entry", conflicts[1].to_string().into_bytes()),
        ("evidence/valid", evidence.to_bytes()),
        ("tile/valid", log.tiles[&Tile::from_path("tile/0/000.p/7").unwrap()].clone()),
        ("bundle/valid", log.bundle(Bundle::from_path("tile/entries/000.p/7").unwrap())),
    ]
}

/// Fault, the error that names it, and the file.
fn faults() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let valid = valid();
    let bytes = |name: &str| valid.iter().find(|(other, _)| *other == name).unwrap().1.clone();
    let text = |name: &str| String::from_utf8(bytes(name)).unwrap();
    let checkpoint = text("checkpoint/valid");
    let line = |at: usize| checkpoint.lines().nth(at).unwrap().to_owned();
    let smaller = cosigned(&log(6)).to_string();
    let smaller = |at: usize| smaller.lines().nth(at).unwrap().to_owned();
    let key_id = witness_key(2).id();
    let cut = |name: &str, bytes_off: usize| {
        let mut all = bytes(name);
        all.truncate(all.len() - bytes_off);
        all
    };
    let changed = |name: &str, at: usize| {
        let mut all = bytes(name);
        all[at] ^= 1;
        all
    };
    let replace = |name: &str, from: &str, to: &str| {
        let before = text(name);
        let after = before.replacen(from, to, 1);
        assert_ne!(before, after, "{name}: {from} does not occur");
        after.into_bytes()
    };
    let other_entry = Evidence { entry: entry(4), opening: opening(4), proofs: vec![proof(&log(7), 5)] };
    let forked = proof(&fork(7), 2);
    vec![
        ("entry/about_another_decision", "Commitment", entry(6).to_bytes()),
        ("entry/later_version", "Version", [&[2, 0], &bytes("entry/valid")[2..]].concat()),
        ("entry/truncated", "Malformed", cut("entry/valid", 1)),
        ("entry/unknown_kind", "Malformed", [&[1, 0, 99], &bytes("entry/valid")[3..]].concat()),
        ("key/bad_key_id", "KeyId", replace("key/valid_witness", &hex::encode(key_id), "00000000")),
        ("key/unknown_type", "Malformed", replace("key/valid_log", "+AY", "+CY")),
        ("checkpoint/altered_root", "BadSignature", checkpoint.replace(&line(2), &smaller(2)).into_bytes()),
        ("checkpoint/backdated_cosignature", "BadSignature", {
            // The time stands behind the key id, before the signature.
            let (head, signature) = line(5).rsplit_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            let back = signature.replacen("AAAABlVXeg", "AAAABlVWeg", 1);
            assert_ne!(signature, back, "the time is elsewhere");
            checkpoint.replace(&line(5), &format!("{head} {back}")).into_bytes()
        }),
        ("checkpoint/extension_line", "Malformed", checkpoint.replacen("\n\n", "\nextension\n\n", 1).into_bytes()),
        ("checkpoint/leading_zero", "Malformed", replace("checkpoint/valid", "\n7\n", "\n07\n")),
        ("checkpoint/not_cosigned", "Quorum", log(7).checkpoint().to_string().into_bytes()),
        ("checkpoint/one_witness_missing", "Quorum", checkpoint.replace(&format!("{}\n", line(6)), "").into_bytes()),
        ("checkpoint/replayed_cosignature", "BadSignature", checkpoint.replace(&line(5), &smaller(5)).into_bytes()),
        ("checkpoint/signed_with_another_key", "NotSigned", {
            let mut other = MemoryLog::new(name(ORIGIN), key(9));
            other.append([entry(0).to_bytes()]);
            other.checkpoint().to_string().into_bytes()
        }),
        (
            "checkpoint/unknown_origin",
            "UnknownOrigin",
            MemoryLog::with_entries("x.example", 1, 7).checkpoint().to_string().into_bytes(),
        ),
        ("request/bad_hash", "Malformed", replace("request/valid", "old 3\n", "old 3\nAAAA\n")),
        ("request/leading_zero", "Malformed", replace("request/valid", "old 3\n", "old 03\n")),
        (
            "request/too_many_hashes",
            "TooLarge",
            replace("request/valid", "old 3\n", &format!("old 3\n{}", format!("{}=\n", "A".repeat(43)).repeat(61))),
        ),
        ("proof/edited_entry", "NotIncluded", proof(&fork(7), 2).to_string().into_bytes()),
        ("proof/shorter_path", "NotIncluded", {
            let mut shorter = proof(&log(7), 5);
            shorter.path.pop();
            shorter.to_string().into_bytes()
        }),
        ("proof/wrong_index", "NotIncluded", replace("proof/valid", "index 5", "index 4")),
        ("proof/index_beyond_size", "OutOfRange", replace("proof/valid", "index 5", "index 7")),
        ("policy/no_quorum", "Policy", replace("policy/valid", "quorum others\n", "")),
        ("policy/threshold_above_members", "Policy", replace("policy/valid", "group others all", "group others 3")),
        ("policy/witness_key_twice", "Policy", {
            let line = text("policy/valid").lines().nth(1).unwrap().replace("node-2", "again");
            replace("policy/valid", "group", &format!("{line}\ngroup"))
        }),
        (
            "conflict/different_sizes",
            "NoConflict",
            replace_second(&text("conflict/valid_same_size"), &log(6).checkpoint().to_string()),
        ),
        (
            "conflict/same_checkpoint",
            "NoConflict",
            replace_second(&text("conflict/valid_same_size"), &log(7).checkpoint().to_string()),
        ),
        ("conflict/forged_second", "NotSigned", {
            let mut other = MemoryLog::new(name(ORIGIN), key(9));
            other.append((0..7).map(|number| entry(number).to_bytes()));
            replace_second(&text("conflict/valid_same_size"), &other.checkpoint().to_string())
        }),
        ("conflict/leaf_that_is_not_there", "NotIncluded", {
            let leaf = text("conflict/valid_entry").lines().nth(1).unwrap().to_owned();
            let other = format!("leaf {}=", "A".repeat(43));
            replace("conflict/valid_entry", &leaf, &other)
        }),
        ("evidence/about_another_entry", "NotIncluded", other_entry.to_bytes()),
        (
            "evidence/of_a_fork",
            "NotIncluded",
            Evidence { entry: entry(5), opening: opening(5), proofs: vec![forked] }.to_bytes(),
        ),
        ("evidence/truncated", "Malformed", cut("evidence/valid", 3)),
        ("evidence/later_version", "Version", changed("evidence/valid", 1)),
        ("tile/truncated", "TornTile", cut("tile/valid", 1)),
        ("tile/wrong_width", "TornTile", cut("tile/valid", 32)),
        ("bundle/truncated", "TornTile", cut("bundle/valid", 1)),
        ("bundle/wrong_width", "TornTile", log(6).bundle(Bundle::from_path("tile/entries/000.p/6").unwrap())),
    ]
}

fn replace_second(conflict: &str, second: &str) -> Vec<u8> {
    let (first, _) = conflict.split_once("--- and ---\n").unwrap();
    format!("{first}--- and ---\n{second}").into_bytes()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

/// The file, written first when asked.
fn read(name: &str, made: &[u8]) -> Vec<u8> {
    let path = file(name);
    if std::env::var_os("COMMONS_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn kind(name: &str) -> &str {
    name.split('/').next().unwrap()
}

#[test]
fn valid_files_are_accepted_and_written_again() {
    for (name, made) in valid() {
        let stored = read(name, &made);
        assert_eq!(check(kind(name), &stored), Ok(()), "{name}");
        assert_eq!(made, stored, "{name}: this program writes something else than what was released");
    }
}

#[test]
fn each_fault_is_refused_by_its_name() {
    for (name, error, made) in faults() {
        let found = check(kind(name), &read(name, &made)).unwrap_err();
        let said = format!("{found:?}");
        assert!(said.starts_with(error), "{name}: expected {error}, got {said}");
        assert!(!found.to_string().is_empty());
    }
}

#[test]
fn every_file_is_tested() {
    let mut known: Vec<PathBuf> = valid().iter().map(|(name, _)| file(name)).collect();
    known.extend(faults().iter().map(|(name, ..)| file(name)));
    for folder in std::fs::read_dir(file("")).unwrap() {
        for found in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let found = found.unwrap().path();
            assert!(known.contains(&found), "{} is in no list", found.display());
        }
    }
}
