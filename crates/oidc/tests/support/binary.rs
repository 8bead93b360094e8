//! The real binary, over loopback.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::{Commons, bytes, config_text};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_commons-oidc");

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) commons: Commons,
    pub(crate) dir: tempfile::TempDir,
    child: Child,
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A roster of nodes that nobody runs: the provider asks no node.
pub(crate) fn write_roster(dir: &Path, seed: u64) -> Commons {
    let keys = Commons::keys(seed);
    let hex_of = |number: u64| hex::encode(bytes(seed + number));
    let mut text = format!("version = {}\ncommons = \"River valley\"\nthrow_away = true\n", types::roster::VERSION);
    for (id, key) in (1..).zip(&keys) {
        let (signing, log, seal, tls) = (hex_of(10 + id), hex_of(20 + id), hex_of(30 + id), hex_of(40 + id));
        let issuer = hex::encode(key.public().0);
        text += &format!(
            "[[nodes]]\nid = {id}\noperator = \"operator {id}\"\nurl = \"https://node{id}.example\"\n\
             peer_address = \"node{id}.example:9443\"\nsigning_key = \"{signing}\"\nlog_key = \"{log}\"\n\
             seal_key = \"{seal}\"\ntls_key = \"{tls}\"\nissuer_key = \"{issuer}\"\n"
        );
    }
    let profile: toml::Table = include_str!("../../../../profiles/face-512.toml").parse().unwrap();
    let profiles = toml::Table::from_iter([("profiles".to_owned(), vec![profile].into())]);
    text += &toml::to_string(&profiles).unwrap();
    std::fs::write(dir.join("roster.toml"), &text).unwrap();
    let roster = types::roster::Roster::from_toml(&text).unwrap();
    Commons::of(seed, roster.digest(), credential::Epochs::DAILY)
}

pub(crate) fn run(arguments: &[&str], dir: &Path) -> std::process::Output {
    Command::new(PROGRAM).args(arguments).current_dir(dir).output().unwrap()
}

impl Server {
    /// Made and started as an operator would.
    pub(crate) fn new(seed: u64, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let commons = write_roster(dir.path(), seed);
        // A free port: the issuer's name holds it, so it must be known before.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let text = config_text(&url, &format!("127.0.0.1:{port}"), more);
        std::fs::write(dir.path().join("oidc.toml"), text).unwrap();
        let made = run(&["init", "--data-dir", "data"], dir.path());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let child = start(dir.path());
        Self { url, commons, dir, child }
    }

    /// `kill -9`, and a new start.
    pub(crate) fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = start(self.dir.path());
    }

    /// What it has logged so far, after it stopped.
    pub(crate) fn stop(mut self) -> String {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it did not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(dir: &Path) -> Child {
    let log: PathBuf = dir.join("log");
    let out = std::fs::File::options().create(true).append(true).open(&log).unwrap();
    let before = std::fs::read_to_string(&log).unwrap().lines().count();
    let mut child = Command::new(PROGRAM)
        .args(["run", "--config", "oidc.toml"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(out)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let file = BufReader::new(std::fs::File::open(&log).unwrap());
        if file.lines().skip(before).any(|line| line.unwrap().contains("commons-oidc serves")) {
            return child;
        }
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "it ended: {text}");
        assert!(Instant::now() < deadline, "it does not serve: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
