//! Personas through real processes: a member is somebody in a clinic's programme and a guest at a masquerade; verifiers check, and
//! remember no more than they must.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::Dev;
use credential::{Challenge, Context, Envelope};
use serde_json::Value;

const CLINIC: &str = "https://clinic.example";

fn path(dev: &Dev, name: &str) -> String {
    dev.path(name).to_string_lossy().into_owned()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A commons with one member, who is bound and has credentials since enrolment.
fn enrolled(more: &[&str]) -> Dev {
    let dev = Dev::start(more);
    let (exit, enrolled) = dev.ask(&["enrol", "--vector", &dev.vector(1, 1)]);
    assert_eq!((exit, &enrolled["outcome"]), (0, &"enrolled".into()), "{enrolled}");
    dev
}

/// Writes a context; returns its file.
fn context(dev: &Dev, arguments: &[&str]) -> String {
    let file = path(dev, &format!("{}.json", arguments[0]));
    let mut all = vec!["context", "new"];
    all.extend(arguments);
    all.extend(["--out", &file]);
    let (exit, made) = dev.ask(&all);
    assert_eq!(exit, 0, "{made}");
    file
}

/// Asks, answers and checks; the verifier's exit code and words, and the presentation's file.
fn show(dev: &Dev, persona: &str, context: &str, to: &str, name: &str) -> (i32, Value, String) {
    let (challenge, proof) = (path(dev, &format!("{name}.challenge")), path(dev, &format!("{name}.proof")));
    assert_eq!(dev.ask(&["challenge", context, "--out", &challenge]).0, 0);
    let (exit, made) =
        dev.ask(&["persona", "prove", persona, "--challenge", &challenge, "--to", to, "--out", &proof, "--yes"]);
    assert_eq!(exit, 0, "{made}");
    let (exit, verified) = dev.ask(&["verify-proof", &proof, "--context", context]);
    (exit, verified, proof)
}

#[test]
fn one_person_is_one_persona_in_a_context_and_proofs_count_once() {
    let dev = enrolled(&[]);
    let clinic = context(&dev, &["programme", "--verifier", CLINIC, "--demand", "community"]);
    let (exit, made) = dev.ask(&["persona", "new", &clinic, "--label", "clinic"]);
    assert_eq!((exit, &made["new"], &made["bound_now"]), (0, &true.into(), &false.into()), "bound since enrolment: {made}");
    let (exit, again) = dev.ask(&["persona", "new", &clinic, "--label", "another"]);
    assert_eq!(
        (exit, &again["new"], &again["pseudonym"], &again["label"]),
        (0, &false.into(), &made["pseudonym"], &"clinic".into())
    );
    let (_, elsewhere) = dev.ask(&["persona", "new", &context(&dev, &["other", "--verifier", CLINIC])]);
    assert_ne!(elsewhere["pseudonym"], made["pseudonym"]);

    let (exit, verified, proof) = show(&dev, "clinic", &clinic, CLINIC, "first");
    assert_eq!((exit, &verified["pseudonym"]), (0, &made["pseudonym"]), "{verified}");
    assert_eq!(verified["disclosed"]["community"], "commons on this machine");
    // The same proof once more; and to another verifier.
    let (exit, replayed) = dev.ask(&["verify-proof", &proof, "--context", &clinic]);
    assert_eq!((exit, &replayed["code"]), (1, &"wrong-nonce".into()), "{replayed}");
    let foreign = context(&dev, &["stall", "--verifier", "https://market.example", "--demand", "community"]);
    let state = path(&dev, "foreign-state");
    let (exit, moved) = dev.ask(&["verify-proof", &proof, "--context", &foreign, "--state", &state]);
    assert_eq!((exit, &moved["code"]), (1, &"wrong-context".into()), "{moved}");

    // Whoever passes the challenge on from elsewhere gets nothing, and the member sees that it was tried.
    let challenge = path(&dev, "relayed");
    assert_eq!(dev.ask(&["challenge", &clinic, "--out", &challenge]).0, 0);
    let relayed = ["persona", "prove", "clinic", "--challenge", &challenge, "--to", "https://evil.example", "--yes"];
    let (exit, refused) = dev.ask(&relayed);
    assert_eq!((exit, &refused["error"]["code"]), (2, &"wrong-audience".into()), "{refused}");
    // So with a challenge whose time is over, and one of another context.
    for (file, at, code) in [(&clinic, now() - 1000, "stale"), (&foreign, now(), "wrong-context")] {
        let place: Context = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let challenge = Challenge::new(&place, [7; 32], at, 60).to_json();
        let (exit, refused) = dev.ask(&["persona", "prove", "clinic", "--challenge", &challenge, "--to", CLINIC, "--yes"]);
        assert_eq!((exit, &refused["error"]["code"]), (2, &code.into()), "{refused}");
    }
    let acts = |uses: &Value| -> Vec<String> {
        uses.as_array().unwrap().iter().map(|used| used["act"].as_str().unwrap().to_owned()).collect()
    };
    let (_, listed) = dev.ask(&["persona", "show", "clinic"]);
    assert_eq!(acts(&listed["uses"]), ["shown", "refused", "refused", "refused"], "{listed}");

    // An altered proof, and a stale challenge.
    let text = std::fs::read_to_string(&proof).unwrap();
    let spoiled = path(&dev, "spoiled");
    std::fs::write(&spoiled, text.replacen("\"data\":\"A", "\"data\":\"B", 1)).unwrap();
    assert_ne!(dev.ask(&["verify-proof", &spoiled, "--context", &clinic]).0, 0);
    let log = dev.home.path().join("gates");
    let logs: Vec<String> = walk(&log).into_iter().filter(|file| file.ends_with("attempts.log")).collect();
    let lines: String = logs.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert!(lines.contains("admitted") && lines.contains("wrong-nonce") && lines.contains("unreadable"), "{lines}");
    assert!(!lines.contains(made["pseudonym"].as_str().unwrap()), "the log names nobody");

    // Given up is given up: no second persona here.
    assert_eq!(dev.ask(&["persona", "retire", "clinic"]).0, 0);
    let (exit, gone) = dev.ask(&["persona", "new", &clinic]);
    assert_eq!((exit, &gone["pseudonym"]), (1, &made["pseudonym"]), "{gone}");
    let (exit, retired) = dev.ask(&["persona", "prove", "clinic", "--challenge", &challenge, "--to", CLINIC, "--yes"]);
    assert_eq!((exit, &retired["error"]["code"]), (2, &"persona-retired".into()));

    let (exit, ledger) = dev.ask(&["ledger"]);
    assert_eq!((exit, ledger["personas"].as_array().unwrap().len()), (0, 2), "{ledger}");
    assert_eq!(acts(&ledger["personas"][0]["uses"]).len(), 4, "what was tried stands in the ledger: {ledger}");
    assert!(ledger["last_issue"]["epoch"].as_u64().is_some(), "{ledger}");
}

#[test]
fn a_masquerade_admits_each_person_once_and_leaves_no_list() {
    let dev = enrolled(&[]);
    let closes = now() + 25;
    let file = path(&dev, "summer.json");
    let text = format!(
        "{{\"version\":1,\"id\":\"summer\",\"verifier\":\"festival.example\",\"kind\":\"masquerade\",\"opens\":{},\"closes\":{closes},\"demands\":[]}}",
        now() - 5
    );
    std::fs::write(&file, text).unwrap();
    let (exit, guest) = dev.ask(&["persona", "new", &file, "--label", "mask"]);
    assert_eq!(exit, 0, "{guest}");
    let pseudonym = guest["pseudonym"].as_str().unwrap().to_owned();
    let (exit, admitted, _) = show(&dev, "mask", &file, "festival.example", "in");
    assert_eq!((exit, &admitted["valid"]), (0, &true.into()), "{admitted}");
    let (exit, twice, _) = show(&dev, "mask", &file, "festival.example", "again");
    assert_eq!((exit, &twice["code"]), (1, &"again".into()), "{twice}");
    let bytes = hex(&pseudonym);
    assert!(found(&dev, &bytes), "while it is open, the door has a list");

    // A ballot that closes with it: what was done there stays known to its owner.
    let ballot = path(&dev, "ballot.json");
    let one_time = std::fs::read_to_string(&file).unwrap().replace("masquerade", "one-time").replace("summer", "ballot-7");
    std::fs::write(&ballot, one_time).unwrap();
    assert_eq!(dev.ask(&["persona", "new", &ballot, "--label", "voter"]).0, 0);
    let waits = path(&dev, "voter.challenge");
    assert_eq!(dev.ask(&["challenge", &ballot, "--out", &waits]).0, 0);

    while now() <= closes {
        std::thread::sleep(Duration::from_millis(200));
    }
    let late = ["persona", "prove", "voter", "--challenge", &waits, "--to", "festival.example", "--yes"];
    let (exit, late) = dev.ask(&late);
    assert_eq!((exit, &late["error"]["code"]), (2, &"closed".into()), "{late}");
    let (_, voter) = dev.ask(&["persona", "show", "voter"]);
    assert_eq!((&voter["uses"][0]["act"], &voter["retired"]), (&"refused".into(), &Value::Null), "{voter}");
    // The next use of either side erases it.
    let (exit, closed) = dev.ask(&["challenge", &file]);
    assert_eq!((exit, &closed["error"]["code"]), (2, &"closed".into()), "{closed}");
    let (exit, listed) = dev.ask(&["persona", "list"]);
    let left: Vec<&Value> = listed["personas"].as_array().unwrap().iter().map(|kept| &kept["label"]).collect();
    assert_eq!((exit, left), (0, vec![&Value::from("voter")]), "the guest is forgotten: {listed}");
    for name in ["in", "again"] {
        // What the guest made and carried is theirs to delete.
        std::fs::remove_file(path(&dev, &format!("{name}.proof"))).unwrap();
    }
    assert!(!found(&dev, &bytes), "no file of the verifier or the nodes holds the pseudonym");
    let (exit, late) = dev.ask(&["persona", "new", &file]);
    assert_eq!(exit, 0, "a persona can be made, and shown to nobody: {late}");
}

#[test]
fn what_a_party_vouches_for_is_shown_where_it_is_asked_for_and_nowhere_else() {
    let dev = enrolled(&[]);
    let adults = context(&dev, &["adults", "--verifier", CLINIC, "--demand", "age-band=18-29,30-49"]);
    let plain = context(&dev, &["plain", "--verifier", CLINIC, "--demand", "community"]);
    for (place, label) in [(&adults, "adult"), (&plain, "plain")] {
        assert_eq!(dev.ask(&["persona", "new", place, "--label", label]).0, 0);
    }
    let waits = path(&dev, "early.challenge");
    assert_eq!(dev.ask(&["challenge", &adults, "--out", &waits]).0, 0);
    let early = ["persona", "prove", "adult", "--challenge", &waits, "--to", CLINIC, "--yes"];
    let (exit, early) = dev.ask(&early);
    assert_eq!((exit, &early["error"]["code"]), (2, &"demand".into()), "nobody vouches yet: {early}");

    let key = dev.ask(&["vouch", "--who"]).1["device"].as_str().unwrap().to_owned();
    let file = path(&dev, "claim.txt");
    let vouch = |kind: &str, value: &str, party: &str| {
        dev.ask(&["party", "vouch", kind, value, "--for", &key, "--party", party, "--out", &file])
    };
    for (kind, value, party) in
        [("age-band", "18-29", "demo-market"), ("age-band", "19", "demo-clinic"), ("role", "x", "demo-clinic")]
    {
        let (exit, refused) = vouch(kind, value, party);
        assert_eq!((exit, &refused["error"]["code"]), (2, &"claim-not-allowed".into()), "{refused}");
    }
    let (exit, vouched) = vouch("age-band", "18-29", "demo-clinic");
    assert_eq!((exit, &vouched["kind"]), (0, &"age-band".into()), "{vouched}");
    let (exit, kept) = dev.ask(&["persona", "claim", &file]);
    assert_eq!((exit, &kept["value"]), (0, &"18-29".into()), "{kept}");
    let (exit, shown, _) = show(&dev, "adult", &adults, CLINIC, "adult");
    assert_eq!((exit, &shown["disclosed"]), (0, &serde_json::json!({ "age-band": "18-29" })), "{shown}");
    let (exit, shown, proof) = show(&dev, "plain", &plain, CLINIC, "plain");
    assert_eq!((exit, shown["disclosed"].as_object().unwrap().len()), (0, 1), "each by itself: {shown}");
    assert!(!std::fs::read_to_string(proof).unwrap().contains("18-29"));

    // It is about this device, and as the clinic signed it.
    let text = std::fs::read_to_string(&file).unwrap();
    let enrolled = dev.ask(&["enrol", "--vector", &dev.vector(2, 1), "--member", "other"]);
    assert_eq!(enrolled.0, 0, "{}", enrolled.1);
    let (exit, stolen) = dev.ask(&["persona", "claim", &file, "--member", "other"]);
    assert_eq!((exit, &stolen["error"]["code"]), (2, &"bad-file".into()), "{stolen}");
    std::fs::write(&file, text.replacen("QE", "QF", 1).replacen('A', "B", 3)).unwrap();
    assert_eq!(dev.ask(&["persona", "claim", &file]).0, 2, "altered");

    let (exit, forgotten) = dev.ask(&["persona", "claim", "--forget", "age-band"]);
    assert_eq!((exit, &forgotten["value"]), (0, &"".into()), "{forgotten}");
    assert_eq!(dev.ask(&["challenge", &adults, "--out", &waits]).0, 0);
    let late = ["persona", "prove", "adult", "--challenge", &waits, "--to", CLINIC, "--yes"];
    assert_eq!(dev.ask(&late).1["error"]["code"], "demand");
}

#[test]
fn codes_are_checked_face_to_face_and_reveals_by_whom_they_were_made_for() {
    let dev = enrolled(&[]);
    let clinic = context(&dev, &["programme", "--verifier", CLINIC]);
    let coop = context(&dev, &["assembly", "--verifier", "River Co-op"]);
    let (_, one) = dev.ask(&["persona", "new", &clinic, "--label", "clinic"]);
    assert_eq!(dev.ask(&["persona", "new", &coop, "--label", "coop"]).0, 0);
    let (code, reveal, key) = (path(&dev, "code.json"), path(&dev, "reveal.json"), path(&dev, "judge.json"));
    assert_eq!(dev.ask(&["persona", "code", "clinic", "--out", &code]).0, 0);
    let (exit, checked) = dev.ask(&["persona", "check-code", &code, "--context", &clinic]);
    assert_eq!((exit, &checked["pseudonym"]), (0, &one["pseudonym"]), "{checked}");
    assert_eq!(dev.ask(&["persona", "check-code", &code, "--context", &coop]).0, 1);
    assert_eq!(dev.ask(&["persona", "check-code", &code, "--context", &clinic, "--is", "0000"]).0, 1);

    assert_eq!(dev.ask(&["persona", "reveal", "clinic", "coop", "--out", &reveal, "--yes"]).0, 0);
    let (exit, shown) = dev.ask(&["persona", "check-reveal", &reveal]);
    assert_eq!((exit, &shown["one_person"]), (0, &true.into()), "{shown}");
    assert_eq!(dev.ask(&["context", "reveal-key", "judge", "--out", &key]).0, 0);
    let (exit, to_one) = dev.ask(&["persona", "reveal", "clinic", "coop", "--to", &key, "--out", &reveal, "--yes"]);
    assert_eq!((exit, &to_one["to_one"]), (0, &true.into()));
    assert_eq!(dev.ask(&["persona", "check-reveal", &reveal]).0, 1, "to the judge alone");
    assert_eq!(dev.ask(&["persona", "check-reveal", &reveal, "--key", "judge"]).0, 0);
    assert_eq!(dev.ask(&["persona", "check-reveal", &reveal, "--key", "judge", "--nonce", &"ab".repeat(32)]).0, 1);
}

#[test]
fn credentials_are_renewed_by_themselves_and_end_with_the_membership() {
    let dev = enrolled(&["--epoch", "12"]);
    let clinic = context(&dev, &["programme", "--verifier", CLINIC]);
    let (_, made) = dev.ask(&["persona", "new", &clinic, "--label", "clinic"]);
    // Long after the first credentials have ended: switched on again, by a command that has nothing to do with a presentation.
    std::thread::sleep(Duration::from_secs(16));
    assert_eq!(dev.ask(&["status"]).0, 0);
    let (exit, shown, _) = show(&dev, "clinic", &clinic, CLINIC, "renewed");
    assert_eq!((exit, &shown["pseudonym"]), (0, &made["pseudonym"]), "{shown}");
    assert_eq!(dev.ask(&["withdraw", "--yes"]).0, 0);
    let (exit, over) = dev.ask(&["persona", "renew"]);
    assert_eq!((exit, &over["error"]["code"]), (1, &"not-a-member".into()), "{over}");
    let (challenge, proof) = (path(&dev, "late.challenge"), path(&dev, "late.proof"));
    assert_eq!(dev.ask(&["challenge", &clinic, "--out", &challenge]).0, 0);
    let late = ["persona", "prove", "clinic", "--challenge", &challenge, "--to", CLINIC, "--out", &proof, "--yes"];
    let (exit, stale) = dev.ask(&late);
    assert_eq!((exit, &stale["error"]["code"]), (2, &"credentials-stale".into()), "{stale}");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            folder if folder.is_dir() => all.extend(walk(&folder)),
            file => all.push(file.to_string_lossy().into_owned()),
        }
    }
    all
}

/// Whether any file of this home holds these bytes.
fn found(dev: &Dev, bytes: &[u8]) -> bool {
    let holds =
        |file: &String| std::fs::read(file).is_ok_and(|content| content.windows(bytes.len()).any(|window| window == bytes));
    walk(dev.home.path()).iter().any(holds)
}
