//! Targets of the transparency log: everything that it reads from files, peers and strangers.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use tlog::entry::{Entry, Kind, Opening};
use tlog::note::{KeyKind, KeyName, Note, SignatureLine, VerifierKey};
use tlog::tile::{Resource, encode, encode_bundle};
use tlog::witness::{AddCheckpoint, Latest, Reply, Verdict, Witness};
use tlog::{Appender, Bundle, Checkpoint, Conflict, Evidence, Follower, Policy, SignedCheckpoint, Tile, TlogProof, Tree};
use types::consent::Purpose;
use types::sign::public_key;
use types::{Digest, PartyId, TraceKey};

use super::one_encoding;

/// A leaf.
pub fn log_entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::from_bytes(bytes) {
        one_encoding(bytes, &entry.to_bytes());
    }
}

/// A note, a checkpoint, a witness's record, a verifier key.
pub fn signed_note(bytes: &[u8]) {
    if let Ok(note) = Note::parse(bytes) {
        one_encoding(bytes, note.to_string().as_bytes());
    }
    if let Ok(signed) = SignedCheckpoint::parse(bytes) {
        one_encoding(bytes, signed.to_string().as_bytes());
        let _ = (signed.verify(&log_key()), signed.cosigned_at(&witness_key()));
    }
    if let Ok(latest) = Latest::parse(bytes) {
        one_encoding(bytes, latest.to_string().as_bytes());
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(key) = VerifierKey::parse(text)
    {
        one_encoding(bytes, key.to_string().as_bytes());
    }
}

/// A request to a witness; what it accepts, it accepts as the next step of the log.
pub fn add_checkpoint(bytes: &[u8]) {
    let Ok(request) = AddCheckpoint::parse(bytes) else { return };
    one_encoding(bytes, request.to_body().as_bytes());
    let witness = Witness::new(name("example.com/witness"), vec![log_key()]);
    match witness.consider(&request, None, 1, &key(2)) {
        Verdict::Accept { next, previous, .. } => assert!(previous.is_none() && request.old == 0 && next.size() <= 1 << 62),
        Verdict::Refuse(refusal) => assert!([400, 403, 404, 409, 422].contains(&refusal.status())),
    }
}

/// A witness's reply: the first byte picks the status.
pub fn witness_reply(bytes: &[u8]) {
    let Some((status, body)) = bytes.split_first() else { return };
    let status = if *status == 0 { 409 } else { 200 };
    if let Ok(Reply::Cosigned { line, .. }) = Reply::parse(status, body, &checkpoint(), &witness_key()) {
        assert_eq!(SignatureLine::parse(&line.to_string()).as_ref(), Ok(&line));
    }
}

/// A path, a newline, and what stands there.
pub fn tile(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (path, bytes) = (&bytes[..end], &bytes[end + 1..]);
    let Ok(path) = std::str::from_utf8(path) else { return };
    match Resource::from_path(path) {
        Ok(Resource::Tile(tile)) => {
            assert_eq!(tile.path(), path);
            if let Ok(hashes) = tile.decode(bytes) {
                assert_eq!(hashes.len(), usize::from(tile.width()));
                assert!(bytes.starts_with(&encode(&hashes)));
                let tiles = BTreeMap::from([(tile, bytes.to_vec())]);
                let _ = Tree::new(u64::from(tile.width()), &tiles).root(u64::from(tile.width()));
            }
        }
        Ok(Resource::Entries(bundle)) => {
            assert_eq!(bundle.path(), path);
            if let Ok(entries) = bundle.decode(bytes) {
                assert_eq!(entries.len(), usize::from(bundle.width()));
                if let Ok(again) = encode_bundle(&entries) {
                    assert!(bytes.starts_with(&again));
                }
            }
        }
        Ok(Resource::Checkpoint) | Err(_) => {}
    }
}

/// A policy file; what is accepted can be written and read again.
pub fn log_policy(bytes: &[u8]) {
    if let Ok(policy) = Policy::parse(bytes) {
        assert_eq!(Policy::parse(policy.to_string().as_bytes()).as_ref(), Ok(&policy));
        let _ = policy.accept(&checkpoint());
    }
}

/// An offline proof.
pub fn tlog_proof(bytes: &[u8]) {
    if let Ok(proof) = TlogProof::parse(bytes) {
        one_encoding(bytes, proof.to_string().as_bytes());
        let policy = policy();
        let leaf = entry(1).leaf_hash();
        if proof.verify(&leaf, &policy).is_ok() {
            assert_eq!(proof.index, 1, "the leaf stands in one place");
        }
    }
}

/// Evidence of a fork.
pub fn log_conflict(bytes: &[u8]) {
    if let Ok(conflict) = Conflict::parse(bytes) {
        one_encoding(bytes, conflict.to_string().as_bytes());
        let _ = (conflict.verify(&log_key()), conflict.sizes());
    }
}

/// Evidence of an entry.
pub fn log_evidence(bytes: &[u8]) {
    if let Ok(evidence) = Evidence::from_bytes(bytes) {
        one_encoding(bytes, &evidence.to_bytes());
        let _ = evidence.verify(&[policy()]);
    }
}

/// What a monitor kept.
pub fn monitor_state(bytes: &[u8]) {
    if let Ok(follower) = Follower::from_bytes(policy(), bytes) {
        let _ = (follower.root(), follower.counts().total());
        assert_eq!(Follower::from_bytes(policy(), &follower.to_bytes()).as_ref(), Ok(&follower));
    }
}

fn name(text: &str) -> KeyName {
    KeyName::new(text).expect("a good name")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn log_key() -> VerifierKey {
    VerifierKey::new(name("example.com/log"), KeyKind::Ed25519, public_key(&key(1)))
}

fn witness_key() -> VerifierKey {
    VerifierKey::new(name("example.com/witness"), KeyKind::Cosignature, public_key(&key(2)))
}

fn policy() -> Policy {
    Policy::parse(policies().first().expect("a policy")).expect("a good policy")
}

fn opening(number: u64) -> Opening {
    Opening::new(&TraceKey::from_random([7; 32]), number, Digest([9; 32]))
}

fn entry(number: u64) -> Entry {
    Entry {
        version: tlog::entry::VERSION,
        kind: Kind::Use,
        purpose: Some(Purpose::verification()),
        party: PartyId::new("a-party").ok(),
        batch: number,
        at: 10 + number,
        tag: TraceKey::from_random([7; 32]).tag(number),
        commitment: opening(number).commitment(),
    }
}

/// Three entries, and a fork of them when `forked`.
fn tiles(forked: bool) -> (BTreeMap<Tile, Vec<u8>>, Digest) {
    let mut appender = Appender::new();
    for number in 0..3 {
        appender.append(if forked && number == 2 { Digest([1; 32]) } else { entry(number).leaf_hash() });
    }
    (appender.take_tiles().into_iter().collect(), appender.root())
}

fn signed(forked: bool) -> SignedCheckpoint {
    let next = Checkpoint { origin: name("example.com/log"), size: 3, root: tiles(forked).1 };
    SignedCheckpoint::sign_unchecked(&next, &key(1)).expect("a checkpoint")
}

fn cosignature() -> String {
    let request = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: signed(false) };
    match Witness::new(name("example.com/witness"), vec![log_key()]).consider(&request, None, 20, &key(2)) {
        Verdict::Accept { reply, .. } => reply,
        Verdict::Refuse(refusal) => panic!("{refusal:?}"),
    }
}

fn checkpoint() -> SignedCheckpoint {
    SignedCheckpoint::parse(format!("{}{}", signed(false), cosignature()).as_bytes()).expect("a cosigned checkpoint")
}

fn proof(forked: bool, index: u64) -> TlogProof {
    let checkpoint = if forked { signed(true) } else { checkpoint() };
    let tiles = tiles(forked).0;
    let mut proof = TlogProof::make(&Tree::new(3, &tiles), index, checkpoint).expect("a proof");
    proof.extra = Some(vec![1, 2, 3]);
    proof
}

pub(super) fn entries() -> Vec<Vec<u8>> {
    vec![entry(1).to_bytes(), Entry { kind: Kind::Charter, purpose: None, party: None, ..entry(2) }.to_bytes()]
}

pub(super) fn notes() -> Vec<Vec<u8>> {
    [signed(false).to_string(), checkpoint().to_string(), log_key().to_string(), witness_key().to_string()]
        .map(String::into_bytes)
        .to_vec()
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    let request = |old, proof| AddCheckpoint { old, proof, checkpoint: signed(false) }.to_body().into_bytes();
    vec![request(0, Vec::new()), request(2, vec![Digest([1; 32]), Digest([2; 32])])]
}

pub(super) fn replies() -> Vec<Vec<u8>> {
    vec![format!("\u{1}{}", cosignature()).into_bytes(), b"\x0017\n".to_vec()]
}

pub(super) fn tiles_and_bundles() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        tiles(false).0.into_iter().map(|(tile, bytes)| [tile.path().as_bytes(), b"\n", &bytes].concat()).collect();
    let bundle = Bundle::new(0, 3).expect("a bundle");
    let entries: Vec<Vec<u8>> = (0..3).map(|number| entry(number).to_bytes()).collect();
    let bytes = encode_bundle(&entries).expect("three entries");
    seeds.push([bundle.path().as_bytes(), b"\n", &bytes].concat());
    seeds
}

pub(super) fn policies() -> Vec<Vec<u8>> {
    let text = format!("log {}\nwitness W {}\ngroup G any W\nquorum G\n", log_key(), witness_key());
    vec![text.into_bytes(), format!("# none\nlog {} https://example.com\nquorum none\n", log_key()).into_bytes()]
}

pub(super) fn proofs() -> Vec<Vec<u8>> {
    vec![proof(false, 1).to_string().into_bytes()]
}

pub(super) fn conflicts() -> Vec<Vec<u8>> {
    let leaves = (entry(2).leaf_hash(), Digest([1; 32]));
    let same_size = Conflict::same_size(signed(false), signed(true), &log_key());
    let entries = Conflict::entry((leaves.0, proof(false, 2)), (leaves.1, proof(true, 2)), &log_key());
    [same_size, entries].map(|conflict| conflict.expect("a fork").to_string().into_bytes()).to_vec()
}

pub(super) fn evidence() -> Vec<Vec<u8>> {
    vec![Evidence { entry: entry(1), opening: opening(1), proofs: vec![proof(false, 1)] }.to_bytes()]
}

pub(super) fn states() -> Vec<Vec<u8>> {
    let follower = Follower::new(policy());
    let mut step = follower.begin(checkpoint(), 100).expect("a checkpoint");
    let entries: Vec<Vec<u8>> = (0..3).map(|number| entry(number).to_bytes()).collect();
    let bundle = Bundle::new(0, 3).expect("a bundle");
    step.feed(bundle, &encode_bundle(&entries).expect("three entries")).expect("its entries");
    vec![follower.to_bytes(), step.finish().expect("a step").follower.to_bytes()]
}

/// The seeds must be what they are meant to be, or nothing behind the signatures is reached.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_verify() {
        assert_eq!(policy().accept(&checkpoint()).expect("accepted").cosigned.len(), 1);
        proof(false, 1).verify(&entry(1).leaf_hash(), &policy()).expect("a proof that holds");
        let evidence = Evidence::from_bytes(&evidence()[0]).expect("evidence");
        evidence.verify(&[policy()]).expect("evidence that holds");
        for state in states() {
            Follower::from_bytes(policy(), &state).expect("a state");
        }
        for seed in tiles_and_bundles() {
            let end = seed.iter().position(|byte| *byte == b'\n').expect("a path");
            Resource::from_path(std::str::from_utf8(&seed[..end]).expect("text")).expect("a path of a tile");
        }
    }
}
