//! What the tests share: the tree as RFC 6962 defines it, written down naively, and a small log in memory.
#![allow(dead_code, unreachable_pub, reason = "every test file uses another part of this")]

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use tlog::merkle::{empty_root, leaf_hash, node_hash};
use tlog::tile::encode_bundle;
use tlog::{
    AddCheckpoint, Appender, Bundle, Checkpoint, Entry, KeyKind, KeyName, Kind, Opening, Reply, SignedCheckpoint, Tile,
    Tree, Verdict, VerifierKey, Witness,
};
use types::consent::Purpose;
use types::roster::{Roster, RosterNode};
use types::{Digest, NodeId, PartyId, TraceKey};

/// RFC 6962 2.1: MTH over leaf hashes.
pub fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(k(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// RFC 6962 2.1.1: PATH(m, D[n]).
pub fn naive_path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = k(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) =
        if m < k { (naive_path(m, left), naive_root(right)) } else { (naive_path(m - k, right), naive_root(left)) };
    path.push(sibling);
    path
}

/// RFC 6962 2.1.2: PROOF(m, D[n]).
pub fn naive_proof(m: usize, leaves: &[Digest]) -> Vec<Digest> {
    if m == 0 || m == leaves.len() { Vec::new() } else { naive_subproof(m, leaves, true) }
}

fn naive_subproof(m: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = k(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if m <= k {
        (naive_subproof(m, left, whole), naive_root(right))
    } else {
        (naive_subproof(m - k, right, false), naive_root(left))
    };
    proof.push(sibling);
    proof
}

fn k(n: usize) -> usize {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    k
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

pub fn verifier(text: &str, kind: KeyKind, key: &SigningKey) -> VerifierKey {
    VerifierKey::new(name(text), kind, types::sign::public_key(key))
}

pub fn trace_key() -> TraceKey {
    TraceKey::from_random([7; 32])
}

pub fn opening(number: u64) -> Opening {
    Opening::new(&trace_key(), number, Digest::of("test", &[&number.to_le_bytes()]))
}

/// Entry number `number` of a log in which nothing is wrong: one a minute.
pub fn entry(number: u64) -> Entry {
    let kinds =
        [(Kind::Enrolment, None), (Kind::Verification, None), (Kind::Use, Some("the-library")), (Kind::ShieldUp, None)];
    let (kind, party) = kinds[usize::try_from(number % 4).unwrap()];
    Entry {
        version: tlog::entry::VERSION,
        kind,
        purpose: (kind != Kind::ShieldUp).then(Purpose::verification),
        party: party.map(|party| PartyId::new(party).unwrap()),
        batch: number + 1,
        at: 1_700_000_000 + 60 * number,
        tag: trace_key().tag(number),
        commitment: opening(number).commitment(),
    }
}

/// A log in memory, as a node keeps it.
#[derive(Clone)]
pub struct MemoryLog {
    pub origin: KeyName,
    pub key: SigningKey,
    pub appender: Appender,
    pub tiles: BTreeMap<Tile, Vec<u8>>,
    pub entries: Vec<Vec<u8>>,
}

impl MemoryLog {
    pub fn new(origin: KeyName, key: SigningKey) -> Self {
        Self { origin, key, appender: Appender::new(), tiles: BTreeMap::new(), entries: Vec::new() }
    }
    pub fn with_entries(origin: &str, seed: u8, count: u64) -> Self {
        let mut log = Self::new(name(origin), key(seed));
        log.append((0..count).map(|number| entry(number).to_bytes()));
        log
    }
    pub fn append(&mut self, entries: impl IntoIterator<Item = Vec<u8>>) {
        for entry in entries {
            self.appender.append(leaf_hash(&entry));
            self.entries.push(entry);
        }
        self.tiles.extend(self.appender.take_tiles());
    }
    pub fn size(&self) -> u64 {
        self.appender.size()
    }
    pub fn tree(&self) -> Tree<&BTreeMap<Tile, Vec<u8>>> {
        Tree::new(self.size(), &self.tiles)
    }
    pub fn leaves(&self) -> Vec<Digest> {
        self.entries.iter().map(|entry| leaf_hash(entry)).collect()
    }
    pub fn public(&self) -> VerifierKey {
        verifier(self.origin.as_str(), KeyKind::Ed25519, &self.key)
    }
    pub fn checkpoint_at(&self, size: u64) -> SignedCheckpoint {
        let root = self.tree().root(size).unwrap();
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root };
        SignedCheckpoint::sign_unchecked(&checkpoint, &self.key).unwrap()
    }
    pub fn checkpoint(&self) -> SignedCheckpoint {
        self.checkpoint_at(self.size())
    }
    pub fn bundle(&self, bundle: Bundle) -> Vec<u8> {
        let first = usize::try_from(bundle.first()).unwrap();
        encode_bundle(&self.entries[first..first + usize::from(bundle.width())]).unwrap()
    }
}

/// Adds the cosignature of a witness that sees the log for the first time.
pub fn cosign(checkpoint: &mut SignedCheckpoint, log: &VerifierKey, witness: KeyName, key: &SigningKey, at: u64) {
    let public = VerifierKey::new(witness.clone(), KeyKind::Cosignature, types::sign::public_key(key));
    let request = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: checkpoint.clone() };
    let Verdict::Accept { reply, .. } = Witness::new(witness, vec![log.clone()]).consider(&request, None, at, key) else {
        panic!("the witness refuses")
    };
    let Reply::Cosigned { line, .. } = Reply::parse(200, reply.as_bytes(), checkpoint, &public).unwrap() else {
        panic!("not cosigned")
    };
    checkpoint.add(line).unwrap();
}

/// The log of node N signs with `key(N)`.
pub fn roster() -> Roster {
    let profile = "id = \"face-4\"\nversion = 1\nmodality = \"face\"\ndescription = \"small\"\n[matching]\nkind = \"embedding\"\n\
        dimensions = 4\nscale = 100\nclamp = 128\ncosine_threshold = 0.5\nnorm_min = 0.9\nnorm_max = 1.1\n";
    let node = |id: NodeId| RosterNode {
        id,
        operator: "an operator".to_owned(),
        url: format!("https://node-{id}.example:8443"),
        peer_address: format!("node-{id}.example:9443"),
        signing_key: types::sign::public_key(&key(100 + id.number())),
        log_key: types::sign::public_key(&key(id.number())),
        seal_key: Digest([id.number(); 32]),
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
        tls_key: Digest([10 + id.number(); 32]),
    };
    let nodes = NodeId::ALL.into_iter().map(node).collect();
    let profiles = vec![types::profile::Profile::from_toml(profile).unwrap()];
    Roster {
        version: types::roster::VERSION,
        commons: "River & Hill".to_owned(),
        throw_away: true,
        epochs: types::Epochs::DAILY,
        nodes,
        profiles,
        successions: Vec::new(),
        additions: Vec::new(),
    }
}
