//! Policies, offline proofs and evidence: what they accept, and the name of every fault.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod support;

use support::{MemoryLog, cosign, entry, key, opening, roster, verifier};
use tlog::checkpoint::{log_key, origin, witness_key, witness_name};
use tlog::note::KeyKind;
use tlog::{Error, Evidence, NodeQuorum, Policy, SignedCheckpoint, TlogProof};
use types::NodeId;

const NOW: u64 = 1_700_100_000;

fn node_log(node: NodeId, entries: u64) -> MemoryLog {
    let mut log = MemoryLog::new(origin(&roster(), node), key(node.number()));
    log.append((0..entries).map(|number| entry(number).to_bytes()));
    log
}

fn policy(node: NodeId) -> Policy {
    Policy::of_node(&roster(), node, NodeQuorum::All).unwrap()
}

/// Cosigned by the nodes named.
fn cosigned(log: &MemoryLog, witnesses: &[u8]) -> SignedCheckpoint {
    let mut checkpoint = log.checkpoint();
    for witness in witnesses {
        let node = NodeId::new(*witness).unwrap();
        cosign(&mut checkpoint, &log.public(), witness_name(&roster(), node), &key(*witness), NOW + u64::from(*witness));
    }
    checkpoint
}

#[test]
fn names_that_a_roster_gives() {
    let roster = roster();
    let digest = roster.digest().to_hex();
    let one = NodeId::ALL[0];
    assert_eq!(origin(&roster, one).as_str(), format!("river-hill-{}/node-1", &digest[..16]));
    assert_eq!(witness_name(&roster, one).as_str(), format!("river-hill-{}/witness-1", &digest[..16]));
    let mut nameless = roster.clone();
    nameless.commons = "\u{1f33f} +".to_owned();
    assert!(origin(&nameless, one).as_str().starts_with("commons-"));
    nameless.commons = "x".repeat(1000);
    assert!(origin(&nameless, one).as_str().len() < 100);
    assert_ne!(log_key(&roster, one).unwrap().id(), witness_key(&roster, one).unwrap().id());
}

#[test]
fn both_others_must_have_cosigned() {
    let [one, ..] = NodeId::ALL;
    let log = node_log(one, 5);
    let accepted = cosigned(&log, &[2, 3]);
    let accepted = policy(one).accept(&accepted).unwrap();
    assert_eq!(accepted.checkpoint.size, 5);
    assert_eq!(accepted.cosigned, [("node-2".to_owned(), NOW + 2), ("node-3".to_owned(), NOW + 3)]);
    for too_few in [&[][..], &[2], &[3], &[1, 2]] {
        assert_eq!(policy(one).accept(&cosigned(&log, too_few)), Err(Error::Quorum { size: 5 }), "{too_few:?}");
    }
    let any = Policy::of_node(&roster(), one, NodeQuorum::Any).unwrap();
    any.accept(&cosigned(&log, &[3])).unwrap();
    assert_eq!(any.accept(&cosigned(&log, &[1])), Err(Error::Quorum { size: 5 }), "a node is not its own witness");
}

#[test]
fn policy_files_are_read_and_written() {
    for node in NodeId::ALL {
        for quorum in [NodeQuorum::All, NodeQuorum::Any] {
            let policy = Policy::of_node(&roster(), node, quorum).unwrap();
            assert_eq!(Policy::parse(policy.to_string().as_bytes()).unwrap(), policy);
        }
    }
}

#[test]
fn an_external_witness_is_asked_for_besides() {
    let [one, ..] = NodeId::ALL;
    let public = verifier("witness.example/w", KeyKind::Cosignature, &key(9));
    let policy = policy(one).and_witness("outside", public, Some("https://witness.example".to_owned())).unwrap();
    assert_eq!(Policy::parse(policy.to_string().as_bytes()).unwrap(), policy);
    let log = node_log(one, 5);
    let mut checkpoint = cosigned(&log, &[2, 3]);
    assert_eq!(policy.accept(&checkpoint), Err(Error::Quorum { size: 5 }));
    cosign(&mut checkpoint, &log.public(), support::name("witness.example/w"), &key(9), NOW);
    assert_eq!(policy.accept(&checkpoint).unwrap().cosigned.len(), 3);
}

#[test]
fn nested_groups_with_thresholds() {
    let witness = |n: u8| verifier(&format!("w{n}.example"), KeyKind::Cosignature, &key(10 + n));
    let log = MemoryLog::with_entries("example.com/log", 1, 3);
    let mut text = format!("# a comment\n\nlog {}\t https://example.com/log \n", log.public());
    for n in 1..=5 {
        text += &format!("  witness W{n} {}\n", witness(n));
    }
    text += "group X 2 W1 W2 W3\ngroup Y any W4 W5\ngroup both all X Y\nquorum both\n";
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let with = |witnesses: &[u8]| {
        let mut checkpoint = log.checkpoint();
        for n in witnesses {
            cosign(&mut checkpoint, &log.public(), witness(*n).name().clone(), &key(10 + n), NOW);
        }
        policy.accept(&checkpoint).is_ok()
    };
    assert!(with(&[1, 3, 5]) && with(&[1, 2, 3, 4, 5]) && with(&[2, 3, 4]));
    assert!(!with(&[1, 4]) && !with(&[1, 2, 3]) && !with(&[4, 5]) && !with(&[]));
    assert_eq!(Policy::parse(policy.to_string().as_bytes()).unwrap(), policy);
    // No witness asked for: the log's signature suffices.
    let none = Policy::parse(format!("log {}\nquorum none\n", log.public()).as_bytes()).unwrap();
    none.accept(&log.checkpoint()).unwrap();
    assert_eq!(Policy::parse(none.to_string().as_bytes()).unwrap(), none);
}

#[test]
fn a_log_with_two_keys_needs_one() {
    let log = MemoryLog::with_entries("example.com/log", 1, 3);
    let other = verifier("example.com/log", KeyKind::Ed25519, &key(5));
    for keys in [[&log.public(), &other], [&other, &log.public()]] {
        let policy = Policy::parse(format!("log {}\nlog {}\nquorum none\n", keys[0], keys[1]).as_bytes()).unwrap();
        policy.accept(&log.checkpoint()).unwrap();
        let stranger = MemoryLog::with_entries("example.com/log", 6, 3);
        assert!(matches!(policy.accept(&stranger.checkpoint()), Err(Error::NotSigned { .. })));
    }
}

#[test]
fn malformed_policies() {
    let log = verifier("example.com/log", KeyKind::Ed25519, &key(1));
    let same_key = verifier("example.com/other", KeyKind::Ed25519, &key(1));
    let witness = verifier("w.example", KeyKind::Cosignature, &key(2));
    let same_witness = verifier("v.example", KeyKind::Cosignature, &key(2));
    for (fault, text) in [
        ("no quorum", format!("log {log}\n")),
        ("two quorums", "quorum none\nquorum none\n".to_owned()),
        ("quorum of nobody", "quorum W\n".to_owned()),
        ("unknown word", "quorum none\nfrob\n".to_owned()),
        ("log key as witness", format!("witness W {log}\nquorum none\n")),
        ("witness key as log", format!("log {witness}\nquorum none\n")),
        ("one log key twice", format!("log {log}\nlog {same_key}\nquorum none\n")),
        ("one witness key twice", format!("witness A {witness}\nwitness B {same_witness}\nquorum none\n")),
        ("name taken", format!("witness A {witness}\ngroup A any A\nquorum none\n")),
        ("witness called none", format!("witness none {witness}\nquorum none\n")),
        ("empty group", "group G any\nquorum none\n".to_owned()),
        ("threshold 0", format!("witness A {witness}\ngroup G 0 A\nquorum G\n")),
        ("threshold above members", format!("witness A {witness}\ngroup G 2 A\nquorum G\n")),
        ("threshold with zero", format!("witness A {witness}\ngroup G 01 A\nquorum G\n")),
        ("member twice", format!("witness A {witness}\ngroup G any A A\nquorum G\n")),
        ("member of two groups", format!("witness A {witness}\ngroup G any A\ngroup H any A\nquorum G\n")),
        ("member defined below", format!("group G any A\nwitness A {witness}\nquorum G\n")),
        ("none as member", "group G any none\nquorum G\n".to_owned()),
        ("carriage return", "quorum none\r\n".to_owned()),
        ("no last newline", "quorum none".to_owned()),
        ("nothing", String::new()),
    ] {
        assert!(matches!(Policy::parse(text.as_bytes()), Err(Error::Policy { .. })), "{fault}");
    }
    let wrong_id = witness.to_string().replace('+', "+0").replacen("+0", "+", 1);
    assert!(Policy::parse(format!("witness A {wrong_id}\nquorum none\n").as_bytes()).is_err());
    let large = "#".repeat(types::limits::POLICY_BYTES) + "\n";
    assert!(matches!(Policy::parse(large.as_bytes()), Err(Error::TooLarge { .. })));
}

#[test]
fn offline_proofs() {
    let [one, two, _] = NodeId::ALL;
    let log = node_log(one, 300);
    let proof = TlogProof::make(&log.tree(), 260, cosigned(&log, &[2, 3])).unwrap();
    let text = proof.to_string();
    let read = TlogProof::parse(text.as_bytes()).unwrap();
    assert_eq!(read, proof);
    let leaf = entry(260).leaf_hash();
    assert_eq!(read.verify(&leaf, &policy(one)).unwrap().checkpoint.size, 300);

    let mut with_extra = proof.clone();
    with_extra.extra = Some(b"anything".to_vec());
    assert!(with_extra.to_string().starts_with("c2sp.org/tlog-proof@v1\nextra YW55dGhpbmc=\nindex 260\n"));
    assert_eq!(TlogProof::parse(with_extra.to_string().as_bytes()).unwrap(), with_extra);

    // An edited entry, another place, another log, too few witnesses.
    let not_included = Err(Error::NotIncluded { index: 260, size: 300 });
    assert_eq!(read.verify(&entry(259).leaf_hash(), &policy(one)), not_included);
    let moved = TlogProof::parse(text.replace("index 260", "index 261").as_bytes()).unwrap();
    assert_eq!(moved.verify(&leaf, &policy(one)), Err(Error::NotIncluded { index: 261, size: 300 }));
    assert!(matches!(read.verify(&leaf, &policy(two)), Err(Error::UnknownOrigin { .. })));
    let alone = TlogProof::make(&log.tree(), 260, cosigned(&log, &[2])).unwrap();
    assert_eq!(alone.verify(&leaf, &policy(one)), Err(Error::Quorum { size: 300 }));

    for (fault, wrong) in [
        ("another format", text.replace("@v1", "@v2")),
        ("no index", text.replacen("index 260\n", "", 1)),
        ("leading zero", text.replacen("index 260", "index 0260", 1)),
        ("extra after index", text.replacen("index 260\n", "index 260\nextra AAAA\n", 1)),
        ("no empty line", text.replacen("\n\n", "\n", 1)),
        ("empty extra line", text.replacen("index", "extra\nindex", 1)),
        ("no checkpoint", text[..text.find("\n\n").unwrap() + 2].to_owned()),
    ] {
        assert!(matches!(TlogProof::parse(wrong.as_bytes()), Err(Error::Malformed { .. })), "{fault}");
    }
}

#[test]
fn evidence_from_three_logs() {
    let policies = NodeId::ALL.map(policy);
    let proofs: Vec<TlogProof> = NodeId::ALL
        .into_iter()
        .map(|node| {
            let log = node_log(node, 10 + u64::from(node.number()));
            TlogProof::make(&log.tree(), 7, cosigned(&log, &[node.next().number(), node.prev().number()])).unwrap()
        })
        .collect();
    let evidence = Evidence { entry: entry(7), opening: opening(7), proofs };
    let read = Evidence::from_bytes(&evidence.to_bytes()).unwrap();
    assert_eq!(read, evidence);
    let shown = read.verify(&policies).unwrap();
    assert_eq!((shown.index, shown.logs.len()), (7, 3));
    assert_eq!(shown.logs.iter().map(|log| (log.size, log.cosigned.len())).collect::<Vec<_>>(), [(11, 2), (12, 2), (13, 2)]);

    // One log alone is evidence, too; none is not.
    let mut fewer = evidence.clone();
    fewer.proofs.truncate(1);
    assert_eq!(fewer.verify(&policies).unwrap().logs.len(), 1);
    fewer.proofs.push(fewer.proofs[0].clone());
    assert!(matches!(fewer.verify(&policies), Err(Error::Malformed { .. })), "one log twice");
    fewer.proofs.clear();
    assert!(fewer.verify(&policies).is_err());

    let mut other_decision = evidence.clone();
    other_decision.opening = opening(8);
    assert_eq!(other_decision.verify(&policies), Err(Error::Commitment));
    let mut edited = evidence.clone();
    edited.entry.at += 1;
    assert!(matches!(edited.verify(&policies), Err(Error::NotIncluded { .. })));
    // The same leaf twice in one log, at another place than in the others.
    let mut log = node_log(NodeId::ALL[0], 11);
    log.append([entry(7).to_bytes()]);
    let mut elsewhere = evidence.clone();
    elsewhere.proofs[0] = TlogProof::make(&log.tree(), 11, cosigned(&log, &[2, 3])).unwrap();
    assert_eq!(elsewhere.verify(&policies), Err(Error::DifferentIndex { first: 11, second: 7 }));

    let bytes = evidence.to_bytes();
    for at in (0..bytes.len()).step_by(7) {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        let accepted = Evidence::from_bytes(&wrong).is_ok_and(|evidence| evidence.verify(&policies).is_ok());
        assert!(!accepted, "byte {at} was changed");
    }
}
