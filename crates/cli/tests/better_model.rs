//! A better model comes, and members move to it with the commands that the guide gives them.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

mod common;

use common::{Dev, sample};

const NEWER: &str = "id = 'voice-300'\nversion = 1\nmodality = 'voice'\ndescription = 'A voice, heard better.'\n\
    [matching]\nkind = 'embedding'\ndimensions = 300\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\n\
    norm_max = 1.05\n";

/// The same sample as [`Dev::vector`] makes, by the newer model.
fn newer(dev: &Dev, person: u64, noise: u64) -> String {
    let mut vector = sample(person, noise);
    vector.extend_from_within(..44);
    let path = dev.path(&format!("{person}-{noise}-newer.json"));
    std::fs::write(&path, serde_json::to_vec(&vector).unwrap()).unwrap();
    path.to_string_lossy().into_owned()
}

/// The operators adopt rules in which the newer profile replaces the older one.
fn adopt(dev: &Dev) {
    let path = |name: &str| dev.path(name).to_string_lossy().into_owned();
    let next = path("next.toml");
    assert_eq!(dev.ask(&["charter", "new", "--out", &next]).0, 0);
    let text = std::fs::read_to_string(&next).unwrap();
    let at = text.find("profile = \"voice-300\"").unwrap();
    let (before, entry) = text.split_at(at);
    let entry = entry.replacen("stations = \"any\"", "stations = \"any\"\nreplaces = \"voice-256\"", 1);
    std::fs::write(&next, [before, &entry].concat()).unwrap();
    for node in 1..=3 {
        assert_eq!(dev.ask(&["charter", "sign", &next, "--identity", &path(&format!("data/node-{node}"))]).0, 0);
    }
    let [one, two, three] = [1, 2, 3].map(|node| format!("{next}.signature-{node}"));
    let joined = path("next.charter");
    assert_eq!(dev.ask(&["charter", "join", &next, &one, &two, &three, "--out", &joined]).0, 0);
    assert_eq!(dev.ask(&["charter", "adopt", &joined]).0, 0);
}

#[test]
fn a_member_moves_to_a_better_model_and_newcomers_are_compared_with_both() {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), NEWER).unwrap();
    let dev = Dev::start(&["--data-dir", "HOME/data", "--profile", file.path().to_str().unwrap()]);
    assert_eq!(dev.ask(&["enrol", "--vector", &dev.vector(1, 1)]).0, 0);
    let second = ["--member", "second"];
    assert_eq!(dev.ask(&[&["enrol", "--vector", &dev.vector(2, 1)], &second[..]].concat()).0, 0);
    adopt(&dev);

    // What is missing is named, and nothing is sent.
    let fresh = newer(&dev, 1, 2);
    let (exit, refused) = dev.ask(&["renew", "--vector", &fresh]);
    assert_eq!((exit, &refused["error"]["code"]), (2, &"former-sample".into()), "{refused}");
    assert!(refused["error"]["do"].as_str().unwrap().contains("--former"), "{refused}");
    let (exit, refused) = dev.ask(&["renew", "--vector", &dev.vector(1, 2), "--former", &dev.vector(1, 2)]);
    assert_eq!(exit, 2, "{refused}");
    // Somebody else's voice moves nothing.
    let (exit, kept) = dev.ask(&["renew", "--vector", &newer(&dev, 3, 1), "--former", &dev.vector(3, 1)]);
    assert_eq!((exit, &kept["outcome"]), (1, &"not-renewed".into()), "{kept}");
    assert_eq!(dev.ask(&["verify", "--vector", &dev.vector(1, 3)]).0, 0, "as before");

    let (exit, moved) = dev.ask(&["renew", "--vector", &fresh, "--former", &dev.vector(1, 2)]);
    assert_eq!((exit, &moved["outcome"], &moved["profile"]), (0, &"renewed".into(), &"voice-300".into()), "{moved}");
    assert_eq!(dev.ask(&["verify", "--vector", &newer(&dev, 1, 4)]).0, 0);
    let (exit, gone) = dev.ask(&["verify", "--vector", &dev.vector(1, 4)]);
    assert_eq!((exit, &gone["error"]["code"]), (2, &"unknown-member".into()), "{gone}");
    let (_, status) = dev.ask(&["status"]);
    assert!(status.to_string().contains("voice-300") && !status.to_string().contains("voice-256"), "{status}");
    // The receipt says what was compared, and what kept.
    let (exit, shown) = dev.ask(&["receipts", "check", moved["receipt"].as_str().unwrap()]);
    assert_eq!(exit, 0, "{shown}");
    let receipt = std::fs::read_to_string(moved["receipt"].as_str().unwrap()).unwrap();
    assert!(receipt.contains("a voice-256 template") && receipt.contains("to be compared and not kept"));

    // Who has moved and who has not: neither is let in a second time, and the old profile takes in nobody.
    for person in [1, 2] {
        let (voice, older) = (newer(&dev, person, 9), dev.vector(person, 9));
        let (exit, twin) = dev.ask(&["enrol", "--vector", &voice, "--former", &older, "--member", "twin"]);
        assert_eq!((exit, &twin["outcome"]), (1, &"duplicate".into()), "{twin}");
    }
    let (exit, refused) = dev.ask(&["enrol", "--vector", &dev.vector(5, 1), "--member", "cy"]);
    assert_eq!((exit, &refused["error"]["code"]), (2, &"modality-replaced".into()), "{refused}");
    let new = ["enrol", "--vector", &newer(&dev, 5, 1), "--former", &dev.vector(5, 1), "--member", "cy"];
    assert_eq!(dev.ask(&new).0, 0);
    assert_eq!(dev.ask(&["verify", "--vector", &newer(&dev, 5, 2), "--member", "cy"]).0, 0);
    // All receipts still say what the logs say.
    assert_eq!(dev.ask(&["audit"]).0, 0);
}
