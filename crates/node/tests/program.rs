//! The program `commons-node` as an operator meets it: set-up, mistakes, exit codes, start and stop.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PROFILE: &str = "id = 'test-8'\nversion = 1\nmodality = 'test'\ndescription = 'test'\n[matching]\nkind = 'embedding'\n\
    dimensions = 8\nscale = 100\nclamp = 100\ncosine_threshold = 0.5\nnorm_min = 0.9\nnorm_max = 1.1\n";

struct Site {
    dir: TempDir,
    ports: [u16; 6],
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commons-node"));
    command.args(arguments).env_remove("COMMONS_NODE_CONFIG").stdin(Stdio::null());
    command
}

fn commons_node(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, exit: i32, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{told}");
    assert!(words.iter().all(|word| told.contains(word)), "{words:?} in: {told}");
    assert!(output.stdout.is_empty());
}

/// Six different free ports.
fn free_ports() -> [u16; 6] {
    let held: Vec<_> = (0..6).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    ports.try_into().unwrap()
}

impl Site {
    /// Three nodes with a roster.
    fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap(), ports: free_ports() };
        std::fs::write(site.path("face.toml"), PROFILE).unwrap();
        for node in 1..=3 {
            done(&site.init(node, &site.data(node)));
        }
        let roster = done(&site.roster());
        std::fs::write(site.path("roster.toml"), roster).unwrap();
        site
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn data(&self, node: usize) -> String {
        self.path(&format!("node-{node}"))
    }

    fn init(&self, node: usize, data: &str) -> Output {
        let (id, url) = (node.to_string(), format!("https://127.0.0.1:{}", self.ports[node - 1]));
        let peer = format!("127.0.0.1:{}", self.ports[node + 2]);
        commons_node(&[
            "init",
            "--data-dir",
            data,
            "--id",
            &id,
            "--operator",
            "Test",
            "--url",
            &url,
            "--peer-address",
            &peer,
        ])
    }

    fn roster(&self) -> Output {
        let cards: Vec<String> = (1..=3).map(|node| format!("{}/card.toml", self.data(node))).collect();
        let profile = self.path("face.toml");
        commons_node(&["roster", "--commons", "Test", "--profile", &profile, &cards[2], &cards[0], &cards[1]])
    }

    fn config(&self, node: usize, more: &str) -> String {
        let path = self.path(&format!("node-{node}.toml"));
        let (http, peer) = (self.ports[node - 1], self.ports[node + 2]);
        let text = format!(
            "data_dir = \"node-{node}\"\nroster = \"roster.toml\"\n{more}\n[http]\nbind = \"127.0.0.1:{http}\"\n\
             [peer]\nbind = \"127.0.0.1:{peer}\"\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Killed when the test ends early.
struct Running(Child);

impl Running {
    fn start(config: &str) -> Self {
        Self(command(&["run", "--config", config, "--json"]).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Reads log lines until one has all `words`; the log goes on to nowhere.
    fn wait_for(&mut self, words: &[&str]) -> String {
        let mut lines = BufReader::new(self.0.stderr.take().unwrap()).lines();
        let found = lines.by_ref().map_while(Result::ok).find(|line| words.iter().all(|word| line.contains(word)));
        std::thread::spawn(move || lines.for_each(drop));
        found.expect("the line comes")
    }

    fn terminate(mut self) -> i32 {
        Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not stop");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_commons_is_set_up_with_four_commands() {
    let site = Site::new();
    // A second `init` changes nothing.
    let key = PathBuf::from(site.data(1)).join("identity.key");
    let before = std::fs::read(&key).unwrap();
    refused(&site.init(1, &site.data(1)), 3, &["already holds a node", "empty directory"]);
    assert_eq!(std::fs::read(&key).unwrap(), before);

    let found = done(&commons_node(&["check", "--config", &site.config(2, "")]));
    for word in ["node 2", "\"Test\"", "test-8", "kernel"] {
        assert!(found.contains(word), "{word}: {found}");
    }
    let found = done(&commons_node(&["check", "--json", "--config", &site.config(3, "")]));
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found["node"], &found["profiles"][0]), (&3.into(), &"test-8".into()));
    assert!(!found.to_string().contains("signing_key"));
}

#[cfg(unix)]
#[test]
fn three_processes_meet_and_stop_in_good_order() {
    let site = Site::new();
    let mut nodes: Vec<Running> = (1..=3).map(|node| Running::start(&site.config(node, ""))).collect();
    let line = nodes[0].wait_for(&["is running"]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["node"], &line["profiles"]), (&"1".into(), &"test-8".into()));
    assert!(line["kernel"].is_string() && line["roster"].as_str().is_some_and(|r| r.len() == 64));
    nodes[2].wait_for(&["in touch with node 1"]);

    // The directory is taken; a second process keeps off.
    let second = [site.config(1, ""), "127.0.0.1:0".to_owned()];
    let flags = ["run", "--config", &second[0], "--http-bind", &second[1], "--peer-bind", &second[1]];
    refused(&commons_node(&flags), 3, &["in use by another process"]);
    // So is the port.
    refused(&commons_node(&flags[..3]), 1, &["cannot listen on"]);
    for node in nodes {
        assert_eq!(node.terminate(), 0);
    }
    // Everything is free again.
    let mut again = Running::start(&site.config(1, ""));
    again.wait_for(&["is running"]);
    assert_eq!(again.terminate(), 0);
}

#[test]
fn mistakes_are_named_with_their_remedy() {
    let site = Site::new();
    let check = |path: &str| commons_node(&["check", "--config", path]);
    // Usage and configuration: 2.
    refused(&commons_node(&["run"]), 2, &["`data_dir` is not set", "--data-dir"]);
    refused(&commons_node(&["run", "--config", "/nowhere/node.toml"]), 2, &["cannot read", "/nowhere/node.toml"]);
    refused(&commons_node(&["walk"]), 2, &["unrecognized"]);
    refused(&check(&site.config(1, "colour = 'red'")), 2, &["colour"]);
    let plain = site.path("plain.toml");
    std::fs::write(&plain, "data_dir='node-1'\nroster='roster.toml'\n[http]\nbind='0.0.0.0:80'\ntls='off'\n").unwrap();
    refused(&commons_node(&["run", "--config", &plain]), 2, &["in the clear", "127.0.0.1"]);
    let told = commons_node(&["run", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stderr).unwrap();
    assert_eq!(told["error"]["code"], "config");
    let outside = command(&["check", "--config", &site.config(1, "")]).env("COMMONS_NODE_HTTP__BIND", "x").output().unwrap();
    refused(&outside, 2, &["http.bind"]);

    // State: 3.
    let empty = site.path("empty");
    let run = |data: &str, roster: &str| commons_node(&["run", "--data-dir", data, "--roster", roster]);
    refused(&run(&empty, &site.path("roster.toml")), 3, &["holds no node", "commons-node init"]);
    assert!(!Path::new(&empty).exists(), "nothing is made on the way");
    refused(&check(&site.config(1, "node = 2")), 3, &["belongs to node 1", "node 2"]);
    let other = Site::new();
    refused(&run(&site.data(1), &other.path("roster.toml")), 3, &["another signing_key", "node 1"]);
    let key = PathBuf::from(site.data(1)).join("identity.key");
    let text = std::fs::read_to_string(&key).unwrap();
    std::fs::write(&key, text.replace("version = 3", "version = 7")).unwrap();
    refused(&check(&site.config(1, "")), 3, &["version 7", "install a newer commons-node"]);
    std::fs::write(&key, "garbage").unwrap();
    refused(&check(&site.config(1, "")), 3, &["damaged"]);

    // Rosters and cards.
    std::fs::write(site.path("face.toml"), PROFILE.replace("scale = 100", "scale = 1000")).unwrap();
    refused(&site.roster(), 2, &["face.toml", "use a scale of at most"]);
    let card = format!("{}/card.toml", site.data(2));
    let profile = other.path("face.toml");
    let twice = ["roster", "--commons", "T", "--profile", &profile, &card, &card, &card];
    refused(&commons_node(&twice), 2, &["nodes 1, 2 and 3"]);
    let wrong_url =
        ["init", "--data-dir", &empty, "--id", "1", "--operator", "T", "--url", "http://x.example", "--peer-address"];
    refused(&commons_node(&[&wrong_url[..], &["x.example:1"]].concat()), 2, &["in the clear"]);
    assert!(!Path::new(&empty).exists());
}
