//! Programs that other people wrote accept our checkpoints, cosignatures, tiles and proofs, refuse tampered ones, and make the same
//! bytes themselves from the same entries and keys.
//!
//! The exhibits are files; `peers/verify.py` (aics-tlog, pymerkle) and `peers/verify.go` (golang.org/x/mod/sumdb) judge them. Where
//! the peers are not installed the tests say so and do nothing: `./x test` installs them and says where they are, by
//! `COMMONS_PEERS` (a folder of Python packages), `COMMONS_PEERS_PYTHON` (an interpreter) and `COMMONS_PEERS_GOPATH`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that meets the unexpected should panic, and these write files and start programs"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::{MemoryLog, cosign, entry, key, name, verifier};
use tlog::note::KeyKind;
use tlog::{Bundle, SignedCheckpoint};
use types::Digest;

const SIZE: u64 = 600;
const WITNESS: &str = "river-hill.example/witness-2";
const TIME: u64 = 1_700_100_000;

fn log() -> MemoryLog {
    MemoryLog::with_entries("river-hill.example/node-1", 1, SIZE)
}

fn cosigned(log: &MemoryLog) -> SignedCheckpoint {
    let mut checkpoint = log.checkpoint();
    cosign(&mut checkpoint, &log.public(), name(WITNESS), &key(2), TIME);
    checkpoint
}

fn hex_of(hashes: &[Digest]) -> Vec<String> {
    hashes.iter().map(Digest::to_hex).collect()
}

/// Places and sizes at and around the edges of tiles.
const INCLUSION: [(u64, u64); 9] =
    [(0, 1), (0, 2), (1, 3), (255, 256), (0, 257), (256, 257), (300, 511), (511, 512), (599, 600)];
const CONSISTENCY: [(u64, u64); 8] = [(1, 2), (1, 600), (3, 7), (255, 256), (256, 257), (256, 512), (300, 600), (599, 600)];

/// A folder with exhibits, gone with this value.
struct Exhibits {
    folder: tempfile::TempDir,
    cases: Vec<Value>,
}

impl Exhibits {
    fn add(&mut self, name: &str, kind: &str, accept: bool, mut fields: Value) {
        let object = fields.as_object_mut().unwrap();
        object.extend([
            ("name".to_owned(), json!(name)),
            ("kind".to_owned(), json!(kind)),
            ("accept".to_owned(), json!(accept)),
        ]);
        self.cases.push(fields);
    }

    /// A log's files; `spoil` may change them first.
    fn write_log(&self, log: &MemoryLog, name: &str, spoil: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> PathBuf {
        let mut files: BTreeMap<String, Vec<u8>> =
            log.tiles.iter().map(|(tile, bytes)| (tile.path(), bytes.clone())).collect();
        files.extend(Bundle::covering(0, log.size()).map(|bundle| (bundle.path(), log.bundle(bundle))));
        spoil(&mut files);
        let folder = self.folder.path().join(name);
        for (path, bytes) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn expected(&self, kinds: &[&str]) -> BTreeMap<String, bool> {
        let known = self.cases.iter().filter(|case| kinds.contains(&case["kind"].as_str().unwrap()));
        known.map(|case| (case["name"].as_str().unwrap().to_owned(), case["accept"].as_bool().unwrap())).collect()
    }
}

fn exhibits() -> Exhibits {
    let mut exhibits = Exhibits { folder: tempfile::tempdir().unwrap(), cases: Vec::new() };
    checkpoints(&mut exhibits);
    proofs(&mut exhibits);
    tiles(&mut exhibits);
    let log = log();
    let root = log.appender.root();
    let source = json!({
        "entries": log.entries.iter().map(hex::encode).collect::<Vec<_>>(),
        "log_key": hex::encode(log.key.to_bytes()), "witness_key": hex::encode(key(2).to_bytes()),
        "origin": log.origin.as_str(), "witness": WITNESS, "time": TIME,
        "size": SIZE, "root": root.to_hex(), "folder": exhibits.write_log(&log, "source", |_| {}),
        "sizes": [1, 2, 3, 255, 256, 257, 600], "inclusion": INCLUSION, "consistency": CONSISTENCY,
    });
    let all = json!({ "cases": exhibits.cases, "source": source });
    std::fs::write(exhibits.folder.path().join("exhibits.json"), all.to_string()).unwrap();
    exhibits
}

fn checkpoints(exhibits: &mut Exhibits) {
    let log = log();
    let (signed, witness) = (cosigned(&log), verifier(WITNESS, KeyKind::Cosignature, &key(2)));
    let case = |text: String, quorum: u64| {
        let (origin, log, witness) = (log.origin.as_str(), log.public().to_string(), witness.to_string());
        json!({ "text": text, "log": log, "origin": origin, "witnesses": [witness], "quorum": quorum })
    };
    let text = signed.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let line_of = |other: &SignedCheckpoint, at: usize| other.to_string().lines().nth(at).unwrap().to_owned();
    let smaller = {
        let mut checkpoint = log.checkpoint_at(SIZE - 1);
        cosign(&mut checkpoint, &log.public(), name(WITNESS), &key(2), TIME);
        checkpoint
    };
    exhibits.add("signed and cosigned", "checkpoint", true, case(text.clone(), 1));
    exhibits.add("signed, no witness asked for", "checkpoint", true, case(log.checkpoint().to_string(), 0));
    exhibits.add("not cosigned", "checkpoint", false, case(log.checkpoint().to_string(), 1));
    exhibits.add("another size", "checkpoint", false, case(text.replace("\n600\n", "\n601\n"), 1));
    let other_root = text.replace(lines[2], smaller.to_string().lines().nth(2).unwrap());
    exhibits.add("another root", "checkpoint", false, case(other_root, 1));
    exhibits.add("replayed cosignature", "checkpoint", false, case(text.replace(lines[5], &line_of(&smaller, 5)), 1));
    exhibits.add("replayed signature", "checkpoint", false, case(text.replace(lines[4], &line_of(&smaller, 4)), 1));
    let impostor = MemoryLog::with_entries(log.origin.as_str(), 9, SIZE);
    exhibits.add("another log key", "checkpoint", false, case(impostor.checkpoint().to_string(), 0));
    let mut stranger = log.checkpoint();
    cosign(&mut stranger, &log.public(), name(WITNESS), &key(9), TIME);
    exhibits.add("another witness key", "checkpoint", false, case(stranger.to_string(), 1));
    exhibits.add("cut short", "checkpoint", false, case(text[..text.len() - 10].to_owned(), 1));
}

fn proofs(exhibits: &mut Exhibits) {
    let log = log();
    for (index, size) in INCLUSION {
        let root = log.tree().root(size).unwrap();
        let path = log.tree().inclusion_proof(index, size).unwrap();
        let case = |entry: &[u8], index: u64, path: &[Digest]| json!({ "entry": hex::encode(entry), "index": index, "size": size, "root": root.to_hex(), "path": hex_of(path) });
        let (bytes, at) = (&log.entries[usize::try_from(index).unwrap()], format!("{index} in {size}"));
        exhibits.add(&format!("entry {at}"), "inclusion", true, case(bytes, index, &path));
        exhibits.add(&format!("edited entry {at}"), "inclusion", false, case(&entry(700).to_bytes(), index, &path));
        let longer = [&path[..], &[root]].concat();
        exhibits.add(&format!("longer proof of {at}"), "inclusion", false, case(bytes, index, &longer));
        if size > 1 {
            exhibits.add(&format!("wrong index of {at}"), "inclusion", false, case(bytes, (index + 1) % size, &path));
            exhibits.add(&format!("shorter proof of {at}"), "inclusion", false, case(bytes, index, &path[1..]));
        }
    }
    for (old, new) in CONSISTENCY {
        let roots = [old, new].map(|size| log.tree().root(size).unwrap());
        let proof = log.tree().consistency_proof(old, new).unwrap();
        let case = |roots: [Digest; 2], proof: &[Digest]| {
            let [old_root, new_root] = roots.map(|root| root.to_hex());
            json!({ "old": old, "new": new, "old_root": old_root, "new_root": new_root, "proof": hex_of(proof) })
        };
        exhibits.add(&format!("from {old} to {new}"), "consistency", true, case(roots, &proof));
        let mut forked = MemoryLog::with_entries("x", 1, 0);
        forked.append((0..old).map(|number| entry(number + 1).to_bytes()));
        let fork = [forked.appender.root(), roots[1]];
        exhibits.add(&format!("fork from {old} to {new}"), "consistency", false, case(fork, &proof));
        let longer = [&proof[..], &[roots[0]]].concat();
        exhibits.add(&format!("longer proof from {old} to {new}"), "consistency", false, case(roots, &longer));
        exhibits.add(&format!("shorter proof from {old} to {new}"), "consistency", false, case(roots, &proof[1..]));
    }
}

fn tiles(exhibits: &mut Exhibits) {
    type Spoil = fn(&mut BTreeMap<String, Vec<u8>>);
    let cases: [(&str, bool, u64, Spoil); 11] = [
        ("whole log", true, 600, |_| {}),
        ("one entry", true, 1, |_| {}),
        ("a full tile and nothing else", true, 256, |_| {}),
        ("truncated tile", false, 600, |files| files.get_mut("tile/0/000").unwrap().truncate(8190)),
        ("tile of wrong width", false, 600, |files| files.get_mut("tile/0/002.p/88").unwrap().truncate(87 * 32)),
        ("altered full tile", false, 600, |files| files.get_mut("tile/0/001").unwrap()[9] ^= 1),
        ("altered partial tile", false, 600, |files| files.get_mut("tile/0/002.p/88").unwrap()[9] ^= 1),
        ("altered upper tile", false, 600, |files| files.get_mut("tile/1/000.p/2").unwrap()[9] ^= 1),
        ("missing tile", false, 600, |files| drop(files.remove("tile/1/000.p/2"))),
        ("edited entry in a bundle", false, 600, |files| files.get_mut("tile/entries/001").unwrap()[30] ^= 1),
        ("truncated bundle", false, 600, |files| {
            let bundle = files.get_mut("tile/entries/002.p/88").unwrap();
            bundle.truncate(bundle.len() - 1);
        }),
    ];
    for (number, (name, accept, size, spoil)) in cases.into_iter().enumerate() {
        let log = MemoryLog::with_entries("river-hill.example/node-1", 1, size);
        let folder = exhibits.write_log(&log, &format!("tiles-{number}"), spoil);
        let root = log.appender.root().to_hex();
        exhibits.add(name, "tiles", accept, json!({ "folder": folder, "size": size, "root": root }));
    }
}

/// What a peer printed: verdicts, and what it made. Its reasons go to standard error.
fn judge(mut command: Command) -> (BTreeMap<String, bool>, Value) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    let mut printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdicts = serde_json::from_value(printed["verdicts"].take()).unwrap();
    // Shown when the test fails.
    eprintln!("{said}");
    (verdicts, printed["made"].take())
}

fn python(peer: &str, exhibits: &Exhibits) -> Option<Command> {
    let Some((packages, python)) = std::env::var_os("COMMONS_PEERS").zip(std::env::var_os("COMMONS_PEERS_PYTHON")) else {
        return skipped(peer);
    };
    let mut command = Command::new(python);
    // No bytecode: the folder of packages is checked against a pin.
    command.arg("-B").arg(here().join("verify.py")).arg(peer).arg(exhibits.folder.path()).env("PYTHONPATH", packages);
    Some(command)
}

/// Past the test harness, which would swallow it.
fn skipped<T>(peer: &str) -> Option<T> {
    let _ = writeln!(std::io::stderr(), "tlog: SKIPPED, {peer} is not installed here: run the tests with `./x test`");
    None
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

fn proofs_of(list: &[(u64, u64)], prove: impl Fn(u64, u64) -> Vec<Digest>) -> Value {
    json!(list.iter().map(|(a, b)| hex_of(&prove(*a, *b))).collect::<Vec<_>>())
}

fn our_inclusion() -> Value {
    proofs_of(&INCLUSION, |index, size| log().tree().inclusion_proof(index, size).unwrap())
}

fn our_consistency() -> Value {
    proofs_of(&CONSISTENCY, |old, new| log().tree().consistency_proof(old, new).unwrap())
}

#[test]
fn aics_tlog_agrees() {
    let exhibits = exhibits();
    let Some(command) = python("aics", &exhibits) else { return };
    let (verdicts, made) = judge(command);
    assert_eq!(verdicts, exhibits.expected(&["checkpoint", "inclusion", "consistency", "tiles"]));
    let log = log();
    assert_eq!(made["checkpoint"], json!(cosigned(&log).to_string()));
    assert_eq!(made["inclusion"], our_inclusion());
    assert_eq!(made["consistency"], our_consistency());
    let mut ours: BTreeMap<String, String> =
        log.tiles.iter().map(|(tile, bytes)| (tile.path(), hex::encode(bytes))).collect();
    ours.extend(Bundle::covering(0, SIZE).map(|bundle| (bundle.path(), hex::encode(log.bundle(bundle)))));
    assert_eq!(made["tiles"], json!(ours));
}

#[test]
fn pymerkle_agrees() {
    let exhibits = exhibits();
    let Some(command) = python("pymerkle", &exhibits) else { return };
    let (verdicts, made) = judge(command);
    assert_eq!(verdicts, exhibits.expected(&["inclusion"]));
    let log = log();
    let roots: Vec<String> =
        [1, 2, 3, 255, 256, 257, 600].iter().map(|size| log.tree().root(*size).unwrap().to_hex()).collect();
    assert_eq!(made["roots"], json!(roots));
    assert_eq!(made["inclusion"], our_inclusion());
}

#[test]
fn the_go_checksum_database_agrees() {
    let exhibits = exhibits();
    let Some(gopath) = std::env::var_os("COMMONS_PEERS_GOPATH") else {
        return skipped("golang.org/x/mod/sumdb").unwrap_or_default();
    };
    let mut command = Command::new("go");
    command.arg("run").arg(here().join("verify.go")).arg(exhibits.folder.path());
    command.env("GOPATH", gopath).env("GO111MODULE", "off").env("GOTOOLCHAIN", "local").env("GOFLAGS", "");
    command.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
    let (verdicts, made) = judge(command);
    assert_eq!(verdicts, exhibits.expected(&["checkpoint", "inclusion", "consistency", "tiles"]));
    let log = log();
    assert_eq!(made["vkey"], json!(log.public().to_string()));
    assert_eq!(made["signed"], json!(log.checkpoint().to_string()));
    assert_eq!(made["inclusion"], our_inclusion());
    assert_eq!(made["consistency"], our_consistency());
}
