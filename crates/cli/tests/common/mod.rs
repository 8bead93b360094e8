//! A running `commons dev` with a home of its own, and people to enrol there.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const COMMONS: &str = env!("CARGO_BIN_EXE_commons");

/// A running `commons dev` with a home of its own.
pub(crate) struct Dev {
    pub(crate) home: tempfile::TempDir,
    pub(crate) process: Child,
}

impl Dev {
    pub(crate) fn start(more: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ready = home.path().join("ready");
        let mut command = Command::new(COMMONS);
        // `HOME/x` lies in the home of this test.
        let more = more.iter().map(|argument| match argument.strip_prefix("HOME/") {
            Some(name) => home.path().join(name).into_os_string(),
            None => argument.into(),
        });
        command.arg("dev").arg("--ready-file").arg(&ready).args(more);
        // Its temporary files go with this test even when it is killed.
        command
            .env("COMMONS_HOME", home.path())
            .env("TMPDIR", home.path())
            .env_remove("COMMONS_ROSTER")
            .stdout(Stdio::null());
        let mut process = command.spawn().unwrap();
        let begun = Instant::now();
        while !ready.exists() {
            assert!(process.try_wait().unwrap().is_none(), "`commons dev` ended");
            assert!(begun.elapsed() < Duration::from_secs(60), "`commons dev` does not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { home, process }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(COMMONS);
        command.args(arguments).env("COMMONS_HOME", self.home.path()).env("COMMONS_PASSPHRASE", "correct horse battery");
        command.env_remove("COMMONS_ROSTER");
        command
    }

    /// Exit code and the one JSON object on standard output.
    pub(crate) fn ask(&self, arguments: &[&str]) -> (i32, Value) {
        let Output { status, stdout, stderr } = self.command(arguments).arg("--json").output().unwrap();
        let text = String::from_utf8_lossy(&stderr).into_owned();
        assert_eq!(text, "", "{arguments:?}: with --json nothing else is said");
        (status.code().unwrap(), serde_json::from_slice(&stdout).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes person `n`'s sample as JSON; `noise` makes another sample of the same person.
    pub(crate) fn vector(&self, n: u64, noise: u64) -> String {
        let path = self.path(&format!("{n}-{noise}.json"));
        std::fs::write(&path, serde_json::to_vec(&sample(n, noise)).unwrap()).unwrap();
        path.to_string_lossy().into_owned()
    }

    pub(crate) fn stop(&mut self) -> i32 {
        signal(&self.process, "TERM");
        self.process.wait().unwrap().code().unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn signal(process: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(process.id().to_string()).status().unwrap();
    assert!(status.success());
}

/// 256 numbers around a person's own direction.
pub(crate) fn sample(person: u64, noise: u64) -> Vec<f32> {
    let mut own = uniform(person * 1000 + 1);
    let mut other = uniform(noise * 7919 + person + 500_000);
    (0..256).map(|_| own() + 0.2 * other()).collect()
}

pub(crate) fn uniform(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f32::from(u16::try_from(state >> 48).unwrap()) / 32_768.0 - 1.0
    }
}

/// A table as numpy.save writes it.
pub(crate) fn npy(path: &Path, rows: &[Vec<f32>]) {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows.len(), rows[0].len());
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|v| v.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}
