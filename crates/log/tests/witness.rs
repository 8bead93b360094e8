//! Checkpoints, cosignatures and witnesses: what is accepted, what is refused with which status, and what proves a fork.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use support::{MemoryLog, entry, key, name, verifier};
use tlog::checkpoint::Checkpoint;
use tlog::note::{KeyKind, Note, SignatureLine, VerifierKey};
use tlog::witness::{AddCheckpoint, Latest, Refusal, Reply, Verdict, Witness};
use tlog::{Conflict, Error, SignedCheckpoint, TlogProof};

const NOW: u64 = 1_700_100_000;

struct Scene {
    log: MemoryLog,
    witness: Witness,
    public: VerifierKey,
}

fn scene(entries: u64) -> Scene {
    let log = MemoryLog::with_entries("example.com/log", 1, entries);
    let witness = Witness::new(name("example.com/witness"), vec![log.public()]);
    Scene { log, witness, public: verifier("example.com/witness", KeyKind::Cosignature, &key(2)) }
}

impl Scene {
    fn request(&self, old: u64) -> AddCheckpoint {
        AddCheckpoint::make(&self.log.tree(), old, self.log.checkpoint()).unwrap()
    }
    fn consider(&self, request: &AddCheckpoint, latest: Option<&Latest>) -> Verdict {
        // As it comes over the wire.
        let request = AddCheckpoint::parse(request.to_body().as_bytes()).unwrap();
        self.witness.consider(&request, latest, NOW, &key(2))
    }
    fn accepted(&self, old: u64, latest: Option<&Latest>) -> Latest {
        match self.consider(&self.request(old), latest) {
            Verdict::Accept { previous, next, .. } => {
                assert_eq!(previous.as_ref(), latest);
                next
            }
            Verdict::Refuse(refusal) => panic!("{refusal:?}"),
        }
    }
    fn refused(&self, request: &AddCheckpoint, latest: Option<&Latest>) -> Refusal {
        match self.consider(request, latest) {
            Verdict::Refuse(refusal) => refusal,
            Verdict::Accept { next, .. } => panic!("accepted {next}"),
        }
    }
}

#[test]
fn a_growing_log_is_cosigned_step_by_step() {
    let mut scene = scene(5);
    let mut latest = scene.accepted(0, None);
    for grown in [1, 2, 300] {
        let before = scene.log.size();
        scene.log.append((0..grown).map(|number| entry(before + number).to_bytes()));
        latest = scene.accepted(before, Some(&latest));
        assert_eq!((latest.size(), latest.root()), (scene.log.size(), scene.log.appender.root()));
        // What is stored can be read back, and anybody can check it.
        assert_eq!(Latest::parse(latest.to_string().as_bytes()).unwrap(), latest);
        assert_eq!(latest.checkpoint().cosigned_at(&scene.public).unwrap(), NOW);
        latest.checkpoint().verify(&scene.log.public()).unwrap();
    }
    // Asking again for the same checkpoint is no fault.
    let again = scene.accepted(scene.log.size(), Some(&latest));
    assert_eq!((again.size(), again.root()), (latest.size(), latest.root()));
}

#[test]
fn the_log_reads_the_reply() {
    let scene = scene(5);
    let Verdict::Accept { reply, .. } = scene.consider(&scene.request(0), None) else { panic!("refused") };
    let mut checkpoint = scene.log.checkpoint();
    let Reply::Cosigned { line, at } = Reply::parse(200, reply.as_bytes(), &checkpoint, &scene.public).unwrap() else {
        panic!("not read")
    };
    assert_eq!(at, NOW);
    checkpoint.add(line.clone()).unwrap();
    checkpoint.add(line).unwrap();
    assert_eq!(checkpoint.note().signatures().len(), 2, "the same line is kept once");
    assert_eq!(checkpoint.cosigned_at(&scene.public).unwrap(), NOW);
    // A line of a stranger before ours is ignored.
    let stranger = verifier("example.com/stranger", KeyKind::Cosignature, &key(9));
    let two = format!("\u{2014} example.com/stranger {}\n{reply}", "AAAAAAAA");
    assert!(matches!(Reply::parse(200, two.as_bytes(), &checkpoint, &scene.public), Ok(Reply::Cosigned { .. })));
    assert!(matches!(Reply::parse(200, reply.as_bytes(), &checkpoint, &stranger), Err(Error::NotSigned { .. })));
    assert_eq!(Reply::parse(409, b"17\n", &checkpoint, &scene.public), Ok(Reply::OtherSize(17)));
    assert!(Reply::parse(409, b"017\n", &checkpoint, &scene.public).is_err());
    assert_eq!(Reply::parse(422, b"no", &checkpoint, &scene.public), Ok(Reply::Refused(422)));
    assert!(Reply::parse(200, b"", &checkpoint, &scene.public).is_err());
}

#[test]
fn replayed_cosignature() {
    let mut scene = scene(5);
    let Verdict::Accept { reply, .. } = scene.consider(&scene.request(0), None) else { panic!("refused") };
    scene.log.append([entry(5).to_bytes()]);
    let newer = scene.log.checkpoint();
    let bad = Err(Error::BadSignature { name: "example.com/witness".to_owned() });
    assert_eq!(Reply::parse(200, reply.as_bytes(), &newer, &scene.public), bad);
    // Attached by hand, it condemns the checkpoint.
    let mut forged = newer;
    forged.add(SignatureLine::parse(reply.trim_end()).unwrap()).unwrap();
    assert_eq!(forged.cosigned_at(&scene.public), Err(Error::BadSignature { name: "example.com/witness".to_owned() }));
}

#[test]
fn unknown_origin() {
    let scene = scene(5);
    let other = MemoryLog::with_entries("example.com/other", 1, 5);
    let request = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: other.checkpoint() };
    let refusal = scene.refused(&request, None);
    assert_eq!((refusal.status(), refusal.conflict()), (404, None));
}

#[test]
fn signed_with_another_key() {
    let scene = scene(5);
    let impostor = MemoryLog::with_entries("example.com/log", 3, 5);
    let refusal = scene.refused(&AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: impostor.checkpoint() }, None);
    assert_eq!(refusal, Refusal::NotSigned(Error::NotSigned { name: "example.com/log".to_owned() }));
    assert_eq!(refusal.status(), 403);
}

#[test]
fn altered_root_under_a_signature() {
    let scene = scene(5);
    let other = MemoryLog::with_entries("example.com/log", 1, 6).checkpoint();
    let [line] = other.note().signatures() else { panic!("one signature") };
    let text = format!("{}\n{line}\n", scene.log.checkpoint().note().text());
    let forged = SignedCheckpoint::parse(text.as_bytes()).unwrap();
    let refusal = scene.refused(&AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: forged }, None);
    assert_eq!(refusal, Refusal::NotSigned(Error::BadSignature { name: "example.com/log".to_owned() }));
}

#[test]
fn old_size_above_the_new_one() {
    let scene = scene(5);
    let request = AddCheckpoint { old: 6, proof: Vec::new(), checkpoint: scene.log.checkpoint() };
    assert_eq!(scene.refused(&request, None).status(), 400);
}

#[test]
fn stale_or_unknown_old_size_is_told_the_right_one() {
    let mut scene = scene(5);
    let latest = scene.accepted(0, None);
    scene.log.append([entry(5).to_bytes()]);
    for old in [0, 3, 6] {
        let refusal = scene.refused(&scene.request(old), Some(&latest));
        assert_eq!((refusal.status(), refusal.body().as_str()), (409, "5\n"), "old {old}");
    }
    // An older checkpoint: the log was set back.
    let older = AddCheckpoint { old: 3, proof: Vec::new(), checkpoint: scene.log.checkpoint_at(3) };
    assert_eq!(scene.refused(&older, Some(&latest)).body(), "5\n");
    // A witness that knows nothing says 0.
    assert_eq!(scene.refused(&scene.request(5), None).body(), "0\n");
}

#[test]
fn proof_where_none_belongs() {
    let scene = scene(5);
    let mut request = scene.request(0);
    request.proof.push(scene.log.appender.root());
    assert_eq!(scene.refused(&request, None).status(), 422);
}

#[test]
fn wrong_root_of_the_empty_log() {
    let scene = scene(0);
    let wrong = Checkpoint { origin: scene.log.origin.clone(), size: 0, root: types::Digest([1; 32]) };
    let checkpoint = SignedCheckpoint::sign_unchecked(&wrong, &scene.log.key).unwrap();
    assert_eq!(scene.refused(&AddCheckpoint { old: 0, proof: Vec::new(), checkpoint }, None).status(), 422);
    assert_eq!(scene.accepted(0, None).size(), 0);
    let refused = SignedCheckpoint::sign_next(None, &wrong, &[], &scene.log.key);
    assert_eq!(refused, Err(Error::NotConsistent { old: 0, new: 0 }));
}

/// The same log with entry `index` edited.
fn forked(log: &MemoryLog, index: usize) -> MemoryLog {
    let mut fork = MemoryLog::new(log.origin.clone(), log.key.clone());
    let mut entries = log.entries.clone();
    let last = entries[index].len() - 1;
    entries[index][last] ^= 1;
    fork.append(entries);
    fork
}

#[test]
fn fork_at_the_same_size() {
    let scene = scene(5);
    let latest = scene.accepted(0, None);
    let fork = forked(&scene.log, 2);
    let request = AddCheckpoint { old: 5, proof: Vec::new(), checkpoint: fork.checkpoint() };
    let refusal = scene.refused(&request, Some(&latest));
    assert_eq!(refusal.status(), 422);
    let evidence = refusal.conflict().expect("two roots at one size are a proof").to_string();

    // A third party with nothing but the key.
    let evidence = Conflict::parse(evidence.as_bytes()).unwrap();
    evidence.verify(&scene.log.public()).unwrap();
    assert_eq!(evidence.sizes(), [5, 5]);
    let other_key = verifier("example.com/log", KeyKind::Ed25519, &key(3));
    assert_eq!(evidence.verify(&other_key), Err(Error::NotSigned { name: "example.com/log".to_owned() }));

    // The same fork, hidden behind a false old size, is found, too.
    let request = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: fork.checkpoint() };
    let refusal = scene.refused(&request, Some(&latest));
    assert_eq!((refusal.status(), refusal.conflict().is_some()), (409, true));
}

#[test]
fn fork_that_grew() {
    let scene = scene(5);
    let latest = scene.accepted(0, None);
    let mut fork = forked(&scene.log, 2);
    fork.append([entry(5).to_bytes(), entry(6).to_bytes()]);
    let proof = fork.tree().consistency_proof(5, 7).unwrap();
    let refusal = scene.refused(&AddCheckpoint { old: 5, proof, checkpoint: fork.checkpoint() }, Some(&latest));
    let Refusal::Inconsistent { error, conflict, refused } = refusal else { panic!("{refusal:?}") };
    assert_eq!((error, conflict), (Error::NotConsistent { old: 5, new: 7 }, None));
    refused.verify(&scene.log.public()).unwrap();

    // The entry at which they part is the proof.
    let leaf = |log: &MemoryLog, index| log.tree().leaf(index).unwrap();
    let side = |log: &MemoryLog, index| (leaf(log, index), TlogProof::make(&log.tree(), index, log.checkpoint()).unwrap());
    let public = scene.log.public();
    let evidence = Conflict::entry(side(&scene.log, 2), side(&fork, 2), &public).unwrap();
    let read = Conflict::parse(evidence.to_string().as_bytes()).unwrap();
    assert_eq!(read, evidence);
    read.verify(&public).unwrap();

    // Found in the tiles of both, whoever holds them.
    let found = |first: &MemoryLog, second: &MemoryLog| {
        Conflict::between((&first.tree(), first.checkpoint()), (&second.tree(), second.checkpoint()), &public)
    };
    assert_eq!(found(&scene.log, &fork), Ok(evidence));
    found(&fork, &scene.log).unwrap().verify(&public).unwrap();
    let mut grown = scene.log.clone();
    grown.append((5..700).map(|number| entry(number).to_bytes()));
    assert!(matches!(found(&scene.log, &grown), Err(Error::NoConflict { .. })), "an honest log");
    found(&grown, &forked(&grown, 650)).unwrap().verify(&public).unwrap();
    let mut late = forked(&grown, 650);
    late.append([entry(700).to_bytes()]);
    let evidence = found(&grown, &late).unwrap();
    assert_eq!(evidence.sizes(), [700, 701]);
    evidence.verify(&public).unwrap();

    let same = Conflict::entry(side(&scene.log, 1), side(&fork, 1), &public);
    assert!(matches!(same, Err(Error::NoConflict { .. })), "the first two entries are alike");
    let elsewhere = Conflict::entry(side(&scene.log, 2), side(&fork, 1), &public);
    assert!(matches!(elsewhere, Err(Error::NoConflict { .. })));
    let mut lie = side(&fork, 2);
    lie.0 = types::Digest([1; 32]);
    assert_eq!(Conflict::entry(side(&scene.log, 2), lie, &public), Err(Error::NotIncluded { index: 2, size: 7 }));
}

#[test]
fn honest_checkpoints_are_no_conflict() {
    let scene = scene(5);
    let public = scene.log.public();
    let same = Conflict::same_size(scene.log.checkpoint(), scene.log.checkpoint(), &public);
    assert!(matches!(same, Err(Error::NoConflict { .. })));
    let sizes = Conflict::same_size(scene.log.checkpoint_at(4), scene.log.checkpoint(), &public);
    assert!(matches!(sizes, Err(Error::NoConflict { .. })));
}

#[test]
fn a_node_does_not_sign_what_does_not_continue_its_last_checkpoint() {
    let mut log = MemoryLog::with_entries("example.com/log", 1, 5);
    let at = |log: &MemoryLog, size| log.checkpoint_at(size).verify(&log.public()).unwrap().clone();
    let previous = at(&log, 5);
    let fork = forked(&log, 2);
    log.append([entry(5).to_bytes()]);
    let next = at(&log, 6);
    let proof = log.tree().consistency_proof(5, 6).unwrap();
    SignedCheckpoint::sign_next(Some(&previous), &next, &proof, &log.key).unwrap().verify(&log.public()).unwrap();
    let refused = SignedCheckpoint::sign_next(Some(&next), &previous, &[], &log.key);
    assert_eq!(refused, Err(Error::Stale { have: 6, got: 5 }));
    let refused = SignedCheckpoint::sign_next(Some(&previous), &at(&fork, 5), &[], &log.key);
    assert_eq!(refused, Err(Error::NotConsistent { old: 5, new: 5 }));
    let other = MemoryLog::with_entries("example.com/other", 1, 5);
    let refused = SignedCheckpoint::sign_next(Some(&previous), &at(&other, 5), &[], &log.key);
    assert!(matches!(refused, Err(Error::WrongOrigin { .. })));
}

#[test]
fn where_a_witness_serves_its_record() {
    let path = tlog::witness::monitoring_path(&name("example.com/log42"));
    assert_eq!(path, "4e08c70cc7f225871fda7dc115566008e6954b26a25896be01faa45cdd0f63eb/checkpoint");
}

#[test]
fn the_specifications_own_examples() {
    // signed-note: the key and note printed there.
    let key = VerifierKey::parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").unwrap();
    let text = "This is an example message.\n\n\u{2014} example.com/foo \
                Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.to_string(), text);
    note.verify(&key).unwrap();
    assert_eq!(key.to_string(), "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
    let altered = Note::parse(text.replace("example message", "exemple message").as_bytes()).unwrap();
    assert_eq!(altered.verify(&key), Err(Error::BadSignature { name: "example.com/foo".to_owned() }));
}

#[test]
fn bad_key_id() {
    let text = "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    assert_eq!(VerifierKey::parse(text), Err(Error::KeyId { name: "example.com/foo".to_owned() }));
    for malformed in [
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
        "example.com/foo+530d903a+Aeky",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example com+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ] {
        assert!(matches!(VerifierKey::parse(malformed), Err(Error::Malformed { .. })), "{malformed}");
    }
}

#[test]
fn malformed_notes_and_checkpoints() {
    let log = MemoryLog::with_entries("example.com/log", 1, 5);
    let good = log.checkpoint().to_string();
    SignedCheckpoint::parse(good.as_bytes()).unwrap();
    let line = log.checkpoint().note().signatures()[0].to_string();
    let changed: Vec<(&str, String)> = vec![
        ("no final newline", good.trim_end().to_owned()),
        ("no signature", format!("{}\n", log.checkpoint().note().text())),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("leading zero", good.replace("\n5\n", "\n05\n")),
        ("plus sign", good.replace("\n5\n", "\n+5\n")),
        ("negative size", good.replace("\n5\n", "\n-5\n")),
        ("size above 2^63", good.replace("\n5\n", "\n9223372036854775808\n")),
        ("extension line", good.replacen("\n\n", "\nextension\n\n", 1)),
        ("two lines", good.replacen("\n5\n", "\n", 1)),
        ("hash in url alphabet", good.replace('/', "_")),
        ("hyphen instead of em dash", good.replace('\u{2014}', "-")),
        ("empty signature", good.replace(&line, "\u{2014} example.com/log ")),
        ("only a key id", good.replace(&line, "\u{2014} example.com/log AAAAAA==")),
        ("text after the signatures", format!("{good}text\n")),
        ("17 signatures", format!("{good}{}", format!("{line}\n").repeat(16))),
        ("origin with a space", good.replace("example.com/log\n5", "example.com log\n5")),
    ];
    for (fault, text) in changed {
        assert_ne!(text, good, "{fault}: nothing changed");
        assert!(SignedCheckpoint::parse(text.as_bytes()).is_err(), "{fault}");
    }
    assert!(SignedCheckpoint::parse(&[0xff; 100]).is_err());
    let large = "x".repeat(types::limits::NOTE_BYTES + 1);
    assert!(matches!(SignedCheckpoint::parse(large.as_bytes()), Err(Error::TooLarge { .. })));
}

#[test]
fn malformed_requests() {
    let scene = scene(5);
    let good = scene.request(3).to_body();
    assert_eq!(AddCheckpoint::parse(good.as_bytes()).unwrap().to_body(), good);
    let hash = "A".repeat(43) + "=\n";
    for (fault, body) in [
        ("no old line", good.replacen("old 3\n", "", 1)),
        ("leading zero", good.replacen("old 3", "old 03", 1)),
        ("no empty line", good.replacen("\n\n", "\n", 1)),
        ("short hash", good.replacen("old 3\n", "old 3\nAAAA\n", 1)),
        ("64 proof lines", good.replacen("old 3\n", &format!("old 3\n{}", hash.repeat(64)), 1)),
        ("too long", good.clone() + &" ".repeat(types::limits::ADD_CHECKPOINT_BYTES)),
        ("nothing", String::new()),
    ] {
        assert!(AddCheckpoint::parse(body.as_bytes()).is_err(), "{fault}");
    }
}

#[test]
fn a_cosigner_key_does_not_verify_a_note_and_a_log_key_no_cosignature() {
    // One Ed25519 key in both roles: the signatures stay apart.
    let log = MemoryLog::with_entries("example.com/both", 1, 5);
    let witness = Witness::new(name("example.com/both"), vec![log.public()]);
    let request = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: log.checkpoint() };
    let Verdict::Accept { next, .. } = witness.consider(&request, None, NOW, &log.key) else { panic!("refused") };
    let as_witness = verifier("example.com/both", KeyKind::Cosignature, &log.key);
    assert_eq!(next.checkpoint().cosigned_at(&as_witness), Ok(NOW));
    assert!(next.checkpoint().verify(&log.public()).is_ok());
    assert!(matches!(next.checkpoint().cosigned_at(&log.public()), Err(Error::NotSigned { .. })));
    assert!(matches!(next.checkpoint().verify(&as_witness), Err(Error::BadSignature { .. } | Error::NotSigned { .. })));
}
