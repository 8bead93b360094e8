//! Recovery through real processes: three guardians, a lost device, a new one; a thief who vetoes. `commons dev` in one process, each
//! person with a home of their own beside it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{COMMONS, Dev};
use serde_json::Value;

const DELAY: &str = "3";

/// A person's own machine: another home, the same roster.
struct Machine {
    home: tempfile::TempDir,
    roster: PathBuf,
}

impl Machine {
    fn of(dev: &Dev) -> Self {
        Self { home: tempfile::tempdir().unwrap(), roster: dev.path("dev/roster.toml") }
    }
    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_string_lossy().into_owned()
    }
    fn ask(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = Command::new(COMMONS);
        command.args(arguments).arg("--json").arg("--roster").arg(&self.roster);
        command.env("COMMONS_HOME", self.home.path()).env("COMMONS_PASSPHRASE", "correct horse battery");
        let output = command.output().unwrap();
        let answer = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), answer)
    }
    /// Expects exit code 0.
    #[track_caller]
    fn does(&self, arguments: &[&str]) -> Value {
        let (exit, answer) = self.ask(arguments);
        assert_eq!(exit, 0, "{arguments:?}: {answer}");
        answer
    }
    #[track_caller]
    fn fails(&self, arguments: &[&str], exit: i32, code: &str) {
        let (got, answer) = self.ask(arguments);
        assert_eq!((got, &answer["error"]["code"]), (exit, &code.into()), "{arguments:?}: {answer}");
    }
}

/// A member with three guardians, two of whom are needed.
struct Circle {
    dev: Dev,
    member: Machine,
    guardians: Vec<Machine>,
}

fn circle() -> Circle {
    let dev = Dev::start(&["--recovery-delay", DELAY]);
    let (member, guardians) = (Machine::of(&dev), (0..3).map(|_| Machine::of(&dev)).collect::<Vec<_>>());
    member.does(&["enrol", "--vector", &dev.vector(1, 1)]);
    let mut codes = Vec::new();
    for (n, guardian) in guardians.iter().enumerate() {
        let file = member.path(&format!("g{n}.guardian"));
        guardian.does(&["guardian", "key", "new", "--out", &file]);
        codes.push(file);
    }
    let shares = member.path("shares");
    let set = member.does(&["guardians", "set", "--need", "2", &codes[0], &codes[1], &codes[2], "--out", &shares]);
    assert_eq!((&set["version"], &set["need"]), (&1.into(), &2.into()), "{set}");
    for (n, guardian) in guardians.iter().enumerate() {
        let file = format!("{shares}/for-g{n}.share");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("amina") && text.lines().count() == 2, "a share says nothing");
        guardian.does(&["guardian", "accept", &file, "--from", "amina"]);
    }
    // Somebody else's share opens for nobody.
    guardians[1].fails(&["guardian", "accept", &format!("{shares}/for-g0.share"), "--from", "x"], 2, "bad-file");
    Circle { dev, member, guardians }
}

impl Circle {
    /// The approvals of these guardians for the device that asks in `file`.
    fn approvals(&self, phone: &Machine, of: &[usize]) -> Vec<String> {
        let plea = phone.path("ask.txt");
        let asked = phone.does(&["recover", "ask", "--out", &plea]);
        of.iter()
            .map(|n| {
                let seen = self.guardians[*n].does(&["guardian", "requests", &plea]);
                assert_eq!(seen["request"]["number"], asked["number"], "both sides read one number");
                let file = phone.path(&format!("yes-{n}.txt"));
                self.guardians[*n].does(&["guardian", "approve", &plea, "--yes", "--out", &file]);
                file
            })
            .collect()
    }

    fn start(&self, phone: &Machine, face: u64, approvals: &[String]) -> (i32, Value) {
        let vector = self.dev.vector(face, 7);
        let mut arguments = vec!["recover", "start", "--vector", &vector, "--approval"];
        arguments.extend(approvals.iter().map(String::as_str));
        phone.ask(&arguments)
    }
}

fn wait_until_ready(phone: &Machine, patience: Duration) {
    let begun = Instant::now();
    while phone.does(&["recover", "status"])["ready"] != true {
        assert!(begun.elapsed() < patience, "the delay does not end");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_person_who_lost_the_phone_is_the_same_person_on_a_new_one() {
    let circle = circle();
    let Circle { dev, member: old, .. } = &circle;
    let status = old.does(&["status"]);
    let clinic = old.path("clinic.json");
    old.does(&["context", "new", "programme", "--verifier", "https://clinic.example", "--out", &clinic]);
    let persona = old.does(&["persona", "new", &clinic, "--label", "clinic"])["pseudonym"].clone();
    let grant = old.does(&["grant", "demo-market", "--yes", "--uses", "3"]);
    let id = grant["grant"].as_str().unwrap().to_owned();
    let subject = dev.ask(&["party", "use", &id, "--party", "demo-market"]).1["subject"].clone();

    let begun = Instant::now();
    let phone = Machine::of(dev);
    let approvals = circle.approvals(&phone, &[0, 2]);
    // One approval is not enough, and it is seen; another person's face is not hers.
    let (exit, few) = circle.start(&phone, 1, &approvals[..1]);
    assert_eq!(
        (exit, &few["outcome"], &few["fault"]),
        (1, &"recovery-refused".into(), &"too-few-approvals".into()),
        "{few}"
    );
    let (exit, other) = circle.start(&phone, 2, &approvals);
    assert_eq!((exit, &other["fault"]), (1, &"no-match".into()), "{other}");
    let (exit, started) = circle.start(&phone, 1, &approvals);
    assert_eq!(
        (exit, &started["outcome"], &started["can_veto"]),
        (0, &"recovery-started".into(), &true.into()),
        "{started}"
    );
    phone.fails(&["recover", "finish"], 1, "recovery-early");
    let seen = old.does(&["status"]);
    assert_eq!(seen["recoveries"][0]["state"], "waiting", "the old device is told: {seen}");
    wait_until_ready(&phone, Duration::from_secs(30));
    let finished = phone.does(&["recover", "finish"]);
    println!("from the new device's request to its end, {DELAY} s of delay in it: {:?}", begun.elapsed());
    assert_eq!((&finished["outcome"], &finished["member"]), (&"recovered".into(), &status["member"]), "{finished}");

    let (exit, dead) = old.ask(&["status"]);
    assert!(exit == 1 && dead["replaced"].is_u64(), "{dead}");
    let (exit, cut) = dev.ask(&["party", "use", &id, "--party", "demo-market"]);
    assert_eq!((exit, &cut["error"]["code"]), (2, &"grant-not-active".into()), "{cut}");
    assert_eq!(finished["personas"], true, "{finished}");
    phone.does(&["shield", "down", "--restore", &id]);
    // The same person in every context, shown with credentials of the new device.
    let again = phone.does(&["persona", "new", &clinic, "--label", "clinic"]);
    assert_eq!((&again["pseudonym"], &again["bound_now"]), (&persona, &false.into()), "{again}");
    let (challenge, proof) = (phone.path("challenge.json"), phone.path("proof.json"));
    dev.ask(&["challenge", &clinic, "--out", &challenge]);
    let shown = [
        "persona",
        "prove",
        "clinic",
        "--challenge",
        &challenge,
        "--to",
        "https://clinic.example",
        "--yes",
        "--out",
        &proof,
    ];
    phone.does(&shown);
    let (exit, verified) = dev.ask(&["verify-proof", &proof, "--context", &clinic]);
    assert_eq!((exit, &verified["pseudonym"]), (0, &persona), "{verified}");
    let used = dev.ask(&["party", "use", &id, "--party", "demo-market"]).1;
    assert_eq!(used["subject"], subject, "under the same name: {used}");
    assert_eq!(phone.ask(&["verify", "--vector", &dev.vector(1, 9)]).0, 0);
    // Her past came with her, and every entry of the logs that is hers has its receipt.
    for attempt in 0..20 {
        let (exit, audit) = phone.ask(&["audit"]);
        assert_ne!(exit, 4, "{audit}");
        if exit == 0 {
            assert_eq!(audit["entries_of_mine"], audit["receipts"], "{audit}");
            break;
        }
        assert!(attempt < 19, "{audit}");
    }
    let guardians = phone.does(&["guardians", "list"]);
    assert_eq!((&guardians["need"], guardians["guardians"].as_array().unwrap().len()), (&2.into(), 3));
    assert_eq!(phone.does(&["recover", "finish"])["member"], status["member"], "asked again, it says the same");
}

#[test]
fn a_thief_who_vetoes_is_outvoted_by_one_guardian_more() {
    let circle = circle();
    let Circle { dev, member: stolen, .. } = &circle;
    let phone = Machine::of(dev);
    let approvals = circle.approvals(&phone, &[0, 1]);
    assert_eq!(circle.start(&phone, 1, &approvals).0, 0);
    let vetoed = stolen.does(&["recover", "veto"]);
    assert_eq!(vetoed["outcome"], "recovery-vetoed");
    let (exit, status) = phone.ask(&["recover", "status"]);
    assert_eq!((exit, &status["state"]), (1, &"vetoed".into()));
    let approvals = circle.approvals(&phone, &[0, 1, 2]);
    let (exit, started) = circle.start(&phone, 1, &approvals);
    assert_eq!((exit, &started["can_veto"]), (0, &false.into()), "{started}");
    stolen.fails(&["recover", "veto"], 2, "recovery-final");
    wait_until_ready(&phone, Duration::from_secs(30));
    phone.does(&["recover", "finish"]);
    assert_eq!(stolen.ask(&["status"]).0, 1);
}

#[test]
fn guardians_are_replaced_and_refuse_and_lies_are_named_by_their_file() {
    let circle = circle();
    let Circle { dev, member, guardians } = &circle;
    let newcomer = Machine::of(dev);
    let code = newcomer.does(&["guardian", "key", "new"])["code"].as_str().unwrap().to_owned();
    let shares = member.path("shares");
    member.does(&["guardians", "replace", "g0", &format!("emil={code}"), "--out", &shares]);
    member.fails(&["guardians", "replace", "nobody", &format!("x={code}"), "--out", &shares], 2, "guardian-unknown");
    member.fails(&["guardians", "remove", "g1", "g2"], 2, "guardians-needed");
    newcomer.does(&["guardian", "accept", &format!("{shares}/for-emil.share"), "--from", "amina"]);

    let phone = Machine::of(dev);
    let approvals = circle.approvals(&phone, &[0, 1]);
    let (exit, refused) = circle.start(&phone, 1, &approvals);
    assert_eq!((exit, &refused["error"]["code"]), (2, &"not-a-guardian".into()), "{refused}");
    assert!(refused["error"]["what"].as_str().unwrap().contains("yes-0.txt"), "the liar is named: {refused}");
    // A guardian refuses a device and is asked again.
    let plea = phone.path("ask.txt");
    guardians[2].does(&["guardian", "refuse", &plea]);
    guardians[2].fails(&["guardian", "approve", &plea, "--yes"], 2, "refused-before");
    guardians[2].does(&["guardian", "approve", &plea, "--yes", "--even-so", "--out", &phone.path("yes-2.txt")]);
    let both = [phone.path("yes-1.txt"), phone.path("yes-2.txt")];
    // Another device gets nothing from them.
    let thief = Machine::of(dev);
    let (exit, stolen) = circle.start(&thief, 1, &both);
    assert_eq!((exit, &stolen["error"]["code"]), (2, &"bad-file".into()), "{stolen}");
    std::fs::write(phone.path("torn.txt"), "trust-commons guardian's approval 1\nAAAA\n").unwrap();
    let (exit, torn) = circle.start(&phone, 1, &[both[0].clone(), phone.path("torn.txt")]);
    assert_eq!((exit, &torn["error"]["code"]), (2, &"bad-file".into()), "{torn}");
    assert_eq!(circle.start(&phone, 1, &both).0, 0);
}
