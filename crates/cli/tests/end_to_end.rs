//! The whole way through real processes, real HTTP and real nodes: `commons dev` in one process, the other commands beside it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Dev, npy, sample};
use serde_json::Value;

#[test]
fn one_person_once_and_everything_can_be_taken_back() {
    let mut dev = Dev::start(&[]);
    let (one, again, two) = (dev.vector(1, 1), dev.vector(1, 2), dev.vector(2, 1));

    let (exit, enrolled) = dev.ask(&["enrol", "--vector", &one, "--note", "for the test"]);
    assert_eq!((exit, &enrolled["outcome"]), (0, &"enrolled".into()));
    assert_eq!(enrolled["profile"], "voice-256");
    let receipt: Value = serde_json::from_slice(&std::fs::read(enrolled["receipt"].as_str().unwrap()).unwrap()).unwrap();
    let summary = &receipt["summary"];
    assert_eq!((&summary["outcome"], &summary["note"]), (&"enrolled".into(), &"for the test".into()));

    let (exit, duplicate) = dev.ask(&["enrol", "--vector", &again, "--member", "second-try"]);
    assert_eq!((exit, &duplicate["outcome"]), (1, &"duplicate".into()));
    let (exit, twice) = dev.ask(&["enrol", "--vector", &two]);
    assert_eq!((exit, &twice["error"]["code"]), (2, &"already-enrolled".into()));
    let (exit, stranger) = dev.ask(&["enrol", "--vector", &two, "--member", "stranger"]);
    assert_eq!((exit, &stranger["outcome"]), (0, &"enrolled".into()));

    assert_eq!(dev.ask(&["verify", "--vector", &again]).0, 0);
    assert_eq!(dev.ask(&["verify", "--vector", &two]).0, 1);
    assert_eq!(dev.ask(&["verify", "--vector", &again, "--member", "stranger"]).0, 1);

    let (exit, status) = dev.ask(&["status"]);
    assert_eq!((exit, &status["member"]), (0, &enrolled["member"]));
    assert_eq!(status["agree"], true);
    let (exit, inspection) = dev.ask(&["inspect"]);
    assert_eq!((exit, &inspection["noise"]), (0, &true.into()));
    assert_eq!(inspection["nodes"][0]["records"][0]["share_bytes"], 512);
    assert_eq!(inspection["made_up_plain_template"]["noise"], false);

    let unattended = dev.ask(&["withdraw"]);
    assert_eq!((unattended.0, &unattended.1["error"]["code"]), (2, &"not-confirmed".into()));
    let (exit, withdrawn) = dev.ask(&["withdraw", "--yes", "--forget-key"]);
    assert_eq!((exit, &withdrawn["records"]), (0, &1.into()));
    assert_eq!(dev.ask(&["status"]).1["error"]["code"], "input", "the key is gone");
    assert_eq!(dev.ask(&["status", "--member", "stranger"]).0, 0);
    let (exit, back) = dev.ask(&["enrol", "--vector", &again, "--member", "second-try"]);
    assert_eq!((exit, &back["outcome"]), (0, &"enrolled".into()), "what was withdrawn matches nobody");

    assert_eq!(dev.ask(&["dev"]).1["error"]["what"], "a `commons dev` is running already");
    assert_eq!(dev.stop(), 0);
    assert!(!dev.path("dev/roster.toml").exists() && !dev.path("ready").exists());
    assert_eq!(dev.ask(&["status", "--member", "stranger"]).0, 2, "no roster any more");
}

#[test]
fn wrong_passphrases_and_bad_samples_change_nothing() {
    let dev = Dev::start(&[]);
    let good = dev.vector(1, 1);
    assert_eq!(dev.ask(&["enrol", "--vector", &good]).0, 0);
    let wrong = dev.command(&["status", "--json"]).env("COMMONS_PASSPHRASE", "guess guess").output().unwrap();
    let wrong: Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!(wrong["error"]["code"], "wrong-passphrase");

    let cases: [(&str, &str); 6] = [
        ("[1, 2, 3]", "no vectors of 3 values"),
        ("[1, NaN]", "not a vector in JSON"),
        ("", "not a vector in JSON"),
        (&format!("[{}]", vec!["0"; 256].join(",")), "all zeros"),
        (&format!("[1{}]", ",0".repeat(255)), "norm"),
        ("{\"vector\": \"x\"}", "not a vector in JSON"),
    ];
    for (text, what) in cases {
        std::fs::write(dev.path("bad.json"), text).unwrap();
        let (exit, answer) = dev.ask(&["enrol", "--vector", &dev.path("bad.json").to_string_lossy(), "--member", "bad"]);
        assert_eq!(exit, 2, "{what}");
        assert!(answer["error"]["what"].as_str().unwrap().contains(what), "{what}: {answer}");
        assert!(!answer["error"]["do"].as_str().unwrap().is_empty());
    }
    std::fs::write(dev.path("bad.jpg"), b"not a picture").unwrap();
    assert_eq!(dev.ask(&["enrol", &dev.path("bad.jpg").to_string_lossy(), "--member", "bad"]).0, 2);
    assert!(!dev.path("keys/bad.key").exists(), "no key is made for a sample that cannot be used");
    let (_, status) = dev.ask(&["status"]);
    assert_eq!(status["nodes"][0]["batch"], 3, "nothing was decided after the rules, the enrolment and its binding");
}

#[test]
fn a_bulk_enrolment_finds_twins_and_is_continued_after_a_kill() {
    let dev = Dev::start(&[]);
    // 60 people; persons 0 to 19 come twice.
    let people: Vec<u64> = (0..60).chain(0..20).collect();
    let rows: Vec<Vec<f32>> = people.iter().enumerate().map(|(row, &n)| sample(n + 1, row as u64 + 10)).collect();
    npy(&dev.path("t.npy"), &rows);
    let lines: Vec<String> = people.iter().enumerate().map(|(row, n)| format!("{row},P{n},{row}\n")).collect();
    std::fs::write(dev.path("i.csv"), format!("row,subject,sample\n{}", lines.concat())).unwrap();
    let (index, templates) = (dev.path("i.csv"), dev.path("t.npy"));
    let bulk =
        ["enrol", "--bulk", &index.to_string_lossy(), "--templates", &templates.to_string_lossy(), "--in-flight", "4"];

    let mut first = dev.command(&bulk).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let journal = || std::fs::read_dir(dev.path("bulk/me")).ok().and_then(|mut files| Some(files.next()?.ok()?.path()));
    let lines = || journal().map_or(0, |path| std::fs::read_to_string(path).unwrap().lines().count());
    let begun = Instant::now();
    while lines() < 12 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();

    let (exit, done) = dev.ask(&bulk);
    assert_eq!(exit, 0);
    assert!(done["done_before"].as_u64().unwrap() >= 11, "{done}");
    assert_eq!((&done["rows"], &done["enrolled"], &done["duplicates"]), (&80.into(), &60.into(), &20.into()), "{done}");
    assert_eq!((&done["subjects_refused"], &done["duplicates_missed"]), (&0.into(), &0.into()));
    let (_, nothing) = dev.ask(&bulk);
    assert_eq!(nothing["done_before"], 80);
    assert_eq!(nothing["enrolled"], 60);
}

#[test]
fn a_kept_data_folder_serves_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let mut dev = Dev::start(&["--data-dir", &data]);
    let one = dev.vector(1, 1);
    assert_eq!(dev.ask(&["enrol", "--vector", &one]).0, 0);
    assert_eq!(dev.stop(), 0);
    let home = std::mem::replace(&mut dev.home, tempfile::tempdir().unwrap());
    let mut again = Dev::start(&["--data-dir", &data]);
    // The key of the first home, at the nodes of the second run.
    again.home = home;
    let roster = format!("{data}/roster.toml");
    assert_eq!(again.ask(&["verify", "--vector", &one, "--roster", &roster]).0, 0);
}
