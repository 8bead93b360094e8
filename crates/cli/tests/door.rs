//! A verifier's door, against everything that must not open it: each is refused under its own name and stands in the door's journal, and
//! the honest answer after it is admitted. No node runs: a verifier asks none.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use credential::{
    Attribute, Attributes, Challenge, Context, Credential, Envelope, Epoch, Epochs, Error, Fresh, IssuerKey, Issuers, Kind,
    MemberSecret, Presentation, present,
};
use serde_json::Value;
use types::roster::{Roster, RosterNode};
use types::seal::SealKey;
use types::sign::public_key;
use types::{Digest, NodeId};

const SITE: &str = "https://clinic.example";

fn bytes(number: u64) -> [u8; 32] {
    Digest::of("door test", &[&number.to_le_bytes()]).0
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A commons of three issuers whom nobody runs.
struct Commons {
    keys: [IssuerKey; 3],
    roster: Roster,
}

struct Member {
    secret: MemberSecret,
    credentials: Vec<Credential>,
}

impl Commons {
    fn new(seed: u64) -> Self {
        let keys = [1, 2, 3].map(|n| IssuerKey::from_material(bytes(1000 * seed + n)));
        let node = |id: NodeId| {
            let number = seed + 10 * u64::from(id.number());
            let signing = |n: u64| public_key(&ed25519_dalek::SigningKey::from_bytes(&bytes(number + n)));
            RosterNode {
                id,
                operator: format!("operator {id}"),
                url: format!("https://node{id}.example"),
                peer_address: format!("node{id}.example:9443"),
                signing_key: signing(1),
                log_key: signing(2),
                seal_key: Digest(SealKey::from_random(&bytes(number + 3)).public().unwrap()),
                issuer_key: keys[id.index()].public(),
                tls_key: Digest(bytes(number + 4)),
            }
        };
        let roster = Roster {
            version: types::roster::VERSION,
            commons: "river-valley".to_owned(),
            throw_away: true,
            epochs: Epochs::DAILY,
            nodes: NodeId::ALL.map(node).to_vec(),
            profiles: vec![biometric::profiles::by_id("face-512").unwrap()],
            successions: Vec::new(),
            additions: Vec::new(),
        };
        Self { keys, roster }
    }

    fn issuers(&self) -> Issuers {
        Issuers::of(&self.roster).unwrap()
    }

    fn member(&self, seed: u64) -> Member {
        let (issuers, secret) = (self.issuers(), MemberSecret::generate(Fresh::new(bytes(seed))));
        let attributes = Attributes::new("river-valley", Epoch(20_000), 3).unwrap();
        let attributes = attributes.with(Attribute::AgeBand, "18-29").unwrap();
        let (commitment, epoch) = (secret.commitment(), issuers.epochs().at(now()));
        let issue = |node: NodeId| {
            let issued = self.keys[node.index()].issue(&issuers.name(node), epoch, &commitment, &attributes).unwrap();
            Credential::accept(&secret, &issuers, node, epoch, &attributes, &issued).unwrap()
        };
        let credentials = NodeId::ALL.map(issue).to_vec();
        Member { secret, credentials }
    }
}

impl Member {
    fn show(&self, commons: &Commons, context: &Context, challenge: &Challenge) -> Result<Presentation, Error> {
        let (issuers, fresh) = (commons.issuers(), Fresh::new(bytes(9)));
        present(&self.secret, &self.credentials, &issuers, context, challenge, context.verifier(), now(), fresh)
    }
}

/// A verifier with its own files.
struct Verifier {
    folder: tempfile::TempDir,
    context: Context,
    state: PathBuf,
}

impl Verifier {
    fn new(commons: &Commons, context: Context) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::write(folder.path().join("roster.toml"), commons.roster.to_toml().unwrap()).unwrap();
        std::fs::write(folder.path().join("context.json"), serde_json::to_vec(&context).unwrap()).unwrap();
        Self { folder, context, state }
    }

    fn ask(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_commons"));
        command.args(arguments).args(["--json", "--roster", "roster.toml", "--state"]).arg(&self.state);
        let output = command.current_dir(self.folder.path()).env("COMMONS_HOME", self.folder.path()).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
    }

    fn challenge(&self) -> Challenge {
        let (exit, asked) = self.ask(&["challenge", "context.json"]);
        assert_eq!(exit, 0, "{asked}");
        Challenge::from_json(asked["challenge"].as_str().unwrap()).unwrap()
    }

    /// `admitted`, or under which name it was refused.
    fn check(&self, shown: &str) -> String {
        let before = self.journal().len();
        std::fs::write(self.folder.path().join("proof.json"), shown).unwrap();
        let (exit, said) = self.ask(&["verify-proof", "proof.json", "--context", "context.json"]);
        let last = self.journal().last().cloned().unwrap();
        assert_eq!(self.journal().len(), before + 1, "every attempt is in the journal");
        let outcome = match exit {
            0 => "admitted",
            1 => said["code"].as_str().unwrap(),
            _ => "unreadable",
        };
        assert_eq!(last["outcome"], outcome, "{said}");
        outcome.to_owned()
    }

    fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.state.join("attempts.log")).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// A presentation's last proof cut off, with the count before it corrected.
fn with_one_proof(shown: &Presentation) -> String {
    let bytes = shown.to_bytes();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let count =
        (0..bytes.len() - 9).find(|at| number(*at) == 2 && bytes.len() == at + 4 + 2 * (5 + number(at + 5))).unwrap();
    let one = 5 + number(count + 5);
    let cut = [&bytes[..count], &1u32.to_le_bytes(), &bytes[count + 4..count + 4 + one]].concat();
    Presentation::from_bytes(&cut).unwrap().to_json()
}

fn clinic() -> Context {
    let context = Context::new("programme", SITE, Kind::Standing).unwrap();
    context.demand(Attribute::AgeBand, &["18-29", "30-49"]).unwrap()
}

#[test]
fn each_bad_answer_is_refused_by_its_own_name_and_the_honest_one_is_admitted() {
    let (commons, before) = (Commons::new(1), Commons::new(2));
    let verifier = Verifier::new(&commons, clinic());
    let (me, other) = (commons.member(1), commons.member(2));
    let challenge = verifier.challenge();
    let honest = me.show(&commons, &verifier.context, &challenge).unwrap();

    let elsewhere = Context::new("programme", "https://market.example", Kind::Standing).unwrap();
    let theirs = Challenge::new(&elsewhere, *challenge.nonce(), now(), 60);
    assert_eq!(verifier.check(&me.show(&commons, &elsewhere, &theirs).unwrap().to_json()), "wrong-context");
    let never_asked = Challenge::new(&verifier.context, bytes(77), now(), 60);
    assert_eq!(verifier.check(&me.show(&commons, &verifier.context, &never_asked).unwrap().to_json()), "wrong-nonce");
    assert_eq!(verifier.check(&with_one_proof(&honest)), "one-issuer");
    let old = before.member(1).show(&before, &verifier.context, &challenge).unwrap();
    assert_eq!(verifier.check(&old.to_json()), "proof", "the keys of a roster that was replaced");
    let credentials = vec![me.credentials[0].clone(), other.credentials[1].clone()];
    let mixed = Member { secret: me.secret.clone(), credentials };
    let mixed = mixed.show(&commons, &verifier.context, &challenge).unwrap();
    assert!(["proof", "signatures"].contains(&verifier.check(&mixed.to_json()).as_str()), "two members' credentials");
    let bytes = honest.to_bytes();
    let place = bytes.windows(5).position(|window| window == b"18-29").unwrap();
    let older = [&bytes[..place], b"30-49", &bytes[place + 5..]].concat();
    assert_eq!(verifier.check(&Presentation::from_bytes(&older).unwrap().to_json()), "proof", "another age band");
    assert_eq!(verifier.check("{}"), "unreadable");

    // Nothing of that used the challenge up, and each stands in the journal with its time and no name.
    assert_eq!(verifier.check(&honest.to_json()), "admitted");
    assert_eq!(verifier.check(&honest.to_json()), "wrong-nonce", "once");
    assert_eq!(verifier.journal().len(), 9);
    let text = std::fs::read_to_string(verifier.state.join("attempts.log")).unwrap();
    assert!(
        verifier.journal().iter().all(|line| line["at"].as_u64().is_some()) && !text.contains(&honest.pseudonym().to_hex())
    );
}

#[test]
fn a_stale_challenge_and_a_closed_context_are_refused() {
    let commons = Commons::new(3);
    let closes = now() + 10;
    let ballot = Context::new("ballot", SITE, Kind::OneTime).unwrap().between(now() - 10, closes).unwrap();
    let verifier = Verifier::new(&commons, ballot);
    let (me, late) = (commons.member(1), commons.member(2));
    // A challenge of the verifier's own, whose time is over.
    let stale = Challenge::new(&verifier.context, bytes(5), now() - 60, 30);
    let shown = me.show(&commons, &verifier.context, &stale).unwrap();
    let open = verifier.state.join("open");
    std::fs::create_dir_all(&open).unwrap();
    let file = open.join(Digest(*stale.nonce()).to_hex());
    std::fs::write(&file, stale.to_bytes()).unwrap();
    assert_eq!(verifier.check(&shown.to_json()), "wrong-nonce", "it is forgotten when it is over");
    assert!(!file.exists());

    let (first, second) = (verifier.challenge(), verifier.challenge());
    assert_eq!(verifier.check(&me.show(&commons, &verifier.context, &first).unwrap().to_json()), "admitted");
    let again = me.show(&commons, &verifier.context, &second).unwrap();
    assert_eq!(verifier.check(&again.to_json()), "again");
    let waiting = late.show(&commons, &verifier.context, &second).unwrap();
    while now() < closes {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(verifier.check(&waiting.to_json()), "closed");
    // Nor does a device make one, for a context that has closed.
    let too_late = Challenge::new(&verifier.context, bytes(6), now(), 60);
    assert_eq!(late.show(&commons, &verifier.context, &too_late), Err(Error::Closed));
}

/// After a masquerade the verifier's folder holds counts: no pseudonym, no challenge, no time. The list was overwritten before it went.
#[test]
fn a_masquerade_leaves_counts_and_nothing_else() {
    let commons = Commons::new(4);
    let closes = now() + 12;
    let verifier = Verifier::new(&commons, Context::masquerade("summer", "festival.example", now() - 5, closes).unwrap());
    let guests: Vec<Member> = (1..=3).map(|seed| commons.member(seed)).collect();
    let mut pseudonyms = Vec::new();
    for guest in &guests {
        let shown = guest.show(&commons, &verifier.context, &verifier.challenge()).unwrap();
        assert_eq!(verifier.check(&shown.to_json()), "admitted");
        pseudonyms.push(shown.pseudonym().0);
    }
    let unanswered = verifier.challenge();
    std::fs::remove_file(verifier.folder.path().join("proof.json")).unwrap();
    // Another name for the same bytes on the disk, which outlives the file's own.
    let (list, kept) = (verifier.state.join("admitted"), verifier.folder.path().join("kept"));
    let challenge = verifier.state.join("open").join(Digest(*unanswered.nonce()).to_hex());
    std::fs::hard_link(&list, &kept).unwrap();
    std::fs::hard_link(&challenge, verifier.folder.path().join("kept-too")).unwrap();
    assert!(
        files(verifier.folder.path()).iter().any(|file| holds(file, &pseudonyms[0])),
        "while it is open, there is a list"
    );
    while now() < closes {
        std::thread::sleep(Duration::from_millis(100));
    }
    let (exit, closed) = verifier.ask(&["challenge", "context.json"]);
    assert_eq!((exit, &closed["error"]["code"]), (2, &"closed".into()), "{closed}");
    assert!(!list.exists() && !challenge.exists());
    assert!(std::fs::read(&kept).unwrap().iter().all(|byte| *byte == 0), "overwritten, not only unlinked");
    for pseudonym in &pseudonyms {
        assert!(!files(verifier.folder.path()).iter().any(|file| holds(file, pseudonym)));
    }
    assert!(!files(verifier.folder.path()).iter().any(|file| holds(file, unanswered.nonce())));
    let lines = verifier.journal();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.as_object().unwrap().keys().eq(["context", "outcome"])), "{lines:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(file: &Path, bytes: &[u8]) -> bool {
    std::fs::read(file).unwrap().windows(bytes.len()).any(|window| window == bytes)
}
