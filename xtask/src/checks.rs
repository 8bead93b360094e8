//! Building, testing and checking: what continuous integration runs, one function per check.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::programs::{cargo, output, run, run_lines, run_through, works};
use crate::{assets, layers, peers, root, web};

/// The version that CI installs when there is none.
const CARGO_DENY: &str = "0.20";

/// The product's binaries.
pub(crate) fn build() -> Result<()> {
    run(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "--package",
        "cli",
        "--package",
        "node",
        "--package",
        "oidc",
        "--bins",
    ]))
}

/// Assets, build, and the demonstration itself with our standard output.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    assets::ensure(&assets::ASSETS)?;
    build()?;
    let mut command = Command::new(binary("commons"));
    command.arg("demo").args(arguments);
    if !arguments.iter().any(|argument| argument.starts_with("--report")) {
        command.arg("--report").arg(root().join("target/demo/report.html"));
    }
    run_through(&mut command)
}

/// A binary that [`build`] made.
fn binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Crates that compute little: for tests they are compiled with little optimisation, which takes a third of the time.
const GLUE: [&str; 7] = ["charter", "cli", "client", "node", "oidc", "sim", "xtask"];

/// `cargo test` as [`test()`] runs it.
fn cargo_test() -> Command {
    let mut command = cargo(&["test", "--release", "--locked", "--workspace", "--no-fail-fast"]);
    for package in GLUE {
        command.arg("--config").arg(format!("profile.release.package.{package}.opt-level=1"));
    }
    command
}

/// All tests; ends with one line that counts them.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    assets::ensure(&assets::ASSETS)?;
    let peers = peers::find();
    let mut command = cargo_test();
    command.envs(peers.environment);
    // All programs of the workspace are built before the first test runs. Without this some tests would have
    // their own built, of other features.
    command.env("COMMONS_NODE", binary("commons-node")).env("COMMONS_OIDC", binary("commons-oidc"));
    let (mut passed, mut failed) = (0, 0);
    let result = run_lines(command.args(arguments), |line| {
        if let Some(rest) = line.strip_prefix("test result: ") {
            passed += count(rest, "passed");
            failed += count(rest, "failed");
        }
    });
    eprintln!("x test: {passed} passed, {failed} failed");
    for missing in peers.missing {
        eprintln!("x test: A FOREIGN VERIFIER DID NOT RUN: {missing:#}");
    }
    result
}

/// The number before `word` in `ok. 3 passed; 0 failed; ...`.
fn count(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ';', '.']).filter(|w| !w.is_empty()).collect();
    let before = words.windows(2).find_map(|pair| if pair.last() == Some(&word) { pair.first() } else { None });
    before.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `commons bench` at its full size, which ends within ten minutes; with `--criterion`, each kernel and protocol step.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    if let [first, rest @ ..] = arguments
        && first == "--criterion"
    {
        return run_through(cargo(&["bench", "--locked", "--package", "mpc", "--package", "tlog"]).args(rest));
    }
    build()?;
    let mut command = Command::new(binary("commons"));
    run_through(command.arg("bench").args(arguments))
}

/// The crash test of `sim`, `times` kills long.
pub(crate) fn crash(times: &str) -> Result<()> {
    let times: u32 = times.parse().context("say how many kills, as in `./x crash 100`")?;
    let mut command = cargo(&["test", "--release", "--locked", "--package", "sim", "--test", "kills", "--", "--nocapture"]);
    run_through(command.env("COMMONS_KILLS", times.to_string()))
}

/// rustfmt over the workspace and the fuzz crate.
pub(crate) fn format(check: bool) -> Result<()> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut command = cargo(&["fmt", "--all", "--manifest-path", manifest]);
        if check {
            command.arg("--check");
        }
        run(&mut command).context("run `./x fmt` and commit what it changed")?;
    }
    Ok(())
}

/// Clippy over everything that compiles.
pub(crate) fn lint() -> Result<()> {
    run(&mut cargo(&["clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// rustdoc, where a broken link is an error.
pub(crate) fn doc() -> Result<()> {
    run(cargo(&["doc", "--release", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// cargo-deny. Advisories need a database from the network: when that cannot be had, this says so and checks the rest.
pub(crate) fn deny() -> Result<()> {
    if !works("cargo-deny", &["--version"]) {
        eprintln!("x: installing cargo-deny {CARGO_DENY} (some minutes, once)");
        run(&mut cargo(&["install", "cargo-deny", "--locked", "--version", &format!("^{CARGO_DENY}")]))
            .context("install cargo-deny by hand: cargo install cargo-deny --locked")?;
    }
    run(&mut cargo(&["deny", "--locked", "check", "licenses", "bans", "sources"]))?;
    let advisories = cargo(&["deny", "--locked", "check", "advisories"]).output().context("could not start cargo deny")?;
    let said = String::from_utf8_lossy(&advisories.stderr);
    eprint!("{said}");
    if !advisories.status.success() && said.contains("failed to fetch advisory database") {
        eprintln!(
            "x deny: advisories NOT CHECKED, their database cannot be reached from here; licences, bans and sources are fine"
        );
        return Ok(());
    }
    if advisories.status.success() { Ok(()) } else { bail!("an advisory concerns a dependency; the lines above say which") }
}

/// The decoders over mutated inputs: the fuzz targets' own functions, compiled by the stable toolchain.
pub(crate) fn fuzz_smoke() -> Result<()> {
    // Outside the workspace, in the same target folder: its profile is the same, so dependencies are compiled once.
    let mut command = cargo(&["test", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml"]);
    run_through(command.env("CARGO_TARGET_DIR", target()))
}

/// The tests of all `unsafe` code under AddressSanitizer. The stable compiler ships the sanitizer and hides its switch;
/// `RUSTC_BOOTSTRAP` shows it. Debug assertions bring the standard library's own checks of what unsafe calls promise. Instructions in
/// `asm!` (AMX) are not seen by either; the pointers they are given are.
pub(crate) fn sanitize() -> Result<()> {
    let host = output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let host = String::from_utf8(host).context("rustc told no host")?;
    let host = host.trim();
    if !host.contains("linux") {
        bail!("AddressSanitizer is set up for Linux only; here the host is {host}");
    }
    // A target of its own: programs that run while building are not sanitized.
    for (package, tests) in SANITIZED {
        let mut command = cargo(&["test", "--release", "--locked", "--target", host, "--package", package, "--lib", "--"]);
        command.args(tests).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", target().join("sanitize"));
        command
            .env("RUSTFLAGS", "-Zsanitizer=address -Cdebug-assertions=yes")
            // SQLite, which is instrumented as well, has constants of one name in two functions: no two definitions of one thing.
            .env("ASAN_OPTIONS", "detect_stack_use_after_return=1:detect_odr_violation=0");
        run_through(&mut command)?;
    }
    Ok(())
}

/// Packages with `unsafe` code, and the tests that reach it.
const SANITIZED: [(&str, &[&str]); 2] = [("mpc", &[]), ("node", &["store::"])];

/// The API description that the node generates, compared or written: a test of `node` does both.
pub(crate) fn openapi(check: bool) -> Result<()> {
    let mut command = cargo(&["test", "--quiet", "--release", "--locked", "--package", "node", "--lib", "http::openapi"]);
    if !check {
        command.env("COMMONS_WRITE_OPENAPI", "1");
    }
    run(&mut command)
}

/// The demonstration, and whether its numbers are those that must never vary. With the programs that the tests had: [`build`] would
/// select other features of what they are made of, and compile most of it once more.
fn demo_smoke() -> Result<()> {
    assets::ensure(&assets::ASSETS)?;
    let report = root().join("target/demo/ci.html");
    let text = output(Command::new(binary("commons")).args(["demo", "--json", "--report"]).arg(&report))?;
    let summary: Value = serde_json::from_slice(&text).context("`commons demo --json` did not print exactly one object")?;
    println!("{summary}");
    // The program itself ends with an error when something that must hold did not; these depend on the face model.
    let must = |key: &str, holds: fn(u64) -> bool| match summary.get(key).and_then(Value::as_u64) {
        Some(value) if holds(value) => Ok(()),
        Some(value) => Err(anyhow::anyhow!("{key} is {value}")),
        None => Err(anyhow::anyhow!("{key} is missing")),
    };
    must("enrolled", |n| n >= 39)?;
    must("duplicates_refused", |n| n >= 38)?;
    must("duplicates_missed", |n| n <= 2)?;
    must("strangers_refused", |n| n == 0)?;
    must("genuine_accepted", |n| n >= 38)?;
    must("impostors_accepted", |n| n == 0)?;
    Ok(())
}

/// What continuous integration runs.
pub(crate) fn ci(tested: bool) -> Result<()> {
    let steps: [(&str, &dyn Fn() -> Result<()>); 9] = [
        ("test", &|| if tested { Ok(()) } else { test(&[]) }),
        ("demo", &demo_smoke),
        ("fmt", &|| format(true)),
        ("lint", &lint),
        ("doc", &doc),
        ("layers", &layers::print),
        ("fuzz-smoke", &fuzz_smoke),
        ("deny", &deny),
        ("web-test", &|| web::drive(None)),
    ];
    let mut failed = Vec::new();
    for (name, step) in steps {
        eprintln!("x ci: {name}");
        let start = Instant::now();
        match step() {
            Ok(()) => eprintln!("x ci: {name} passed in {} s", start.elapsed().as_secs()),
            Err(error) => {
                eprintln!("x ci: {name} FAILED after {} s: {error:#}", start.elapsed().as_secs());
                failed.push(name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn counts_are_read_from_cargo_test() {
        let line = "ok. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!((count(line, "passed"), count(line, "failed"), count(line, "ignored")), (12, 3, 0));
        assert_eq!(count("FAILED", "passed"), 0);
    }
}
