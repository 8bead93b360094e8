//! The page: the wasm client, its bindings, the bundle, and its tests in a real browser.
//!
//! wasm32 comes from rustup where it can be had; elsewhere the standard library is built from its source (Debian: rust-web-src). The program
//! wasm-bindgen must have the version of the crate; it is built once and kept beside the assets. npm packages are pinned by
//! `web/package-lock.json`. **Out of scope**: what the page is (`web/`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::programs::{cargo, need, output, run, run_through, works};
use crate::{assets, checks, root};

const TARGET: &str = "wasm32-unknown-unknown";
const CHROMIUM: [&str; 2] = ["chromium", "chromium-browser"];

/// Builds the page into `web/dist`.
pub(crate) fn build() -> Result<()> {
    let web = root().join("web");
    let bindgen = bindgen()?;
    let module = wasm()?;
    let out = web.join("src/wasm");
    run(Command::new(bindgen)
        .args([
            "--target",
            "web",
            "--out-name",
            "commons",
            "--remove-name-section",
            "--remove-producers-section",
            "--out-dir",
        ])
        .arg(&out)
        .arg(module))?;
    packages(&web)?;
    for script in ["api", "check", "build", "compress"] {
        run(Command::new("npm").args(["run", "--silent", script]).current_dir(&web)).context("the page does not build")?;
    }
    eprintln!("x: the page is in {}; `commons dev` serves it", web.join("dist").display());
    Ok(())
}

/// The page's tests, in Chromium with a fake camera. They need npm and Chromium: where these cannot be had, an error says so.
/// `part`: only tests whose name, or whose area's, holds it, and those on which they stand.
pub(crate) fn test(part: Option<&str>) -> Result<()> {
    // Together, so that all share what they are compiled from.
    let packages = ["--package", "cli", "--package", "node", "--package", "wasm"];
    run(cargo(&["build", "--release", "--locked", "--bins", "--example", "templates"]).args(packages))?;
    drive(part)
}

/// As [`test()`], with the programs that are there.
pub(crate) fn drive(part: Option<&str>) -> Result<()> {
    let chromium = chromium()?;
    let assets = assets::ensure(&assets::ASSETS)?;
    build()?;
    let target = checks::target();
    run_through(
        Command::new("node")
            .arg("test/run.mjs")
            .args(part)
            .current_dir(root().join("web"))
            .env("COMMONS", target.join("release/commons"))
            .env("COMMONS_TEMPLATES", target.join("release/examples/templates"))
            .env("COMMONS_ASSETS", assets)
            .env("COMMONS_SHOTS", target.join("web-shots"))
            .env("CHROMIUM", chromium),
    )
}

/// The browser, installed where we may.
pub(crate) fn chromium() -> Result<&'static str> {
    if let Some(found) = CHROMIUM.into_iter().find(|name| works(name, &["--version"])) {
        return Ok(found);
    }
    need("chromium", &["--version"], &["chromium", "fonts-dejavu-core"])?;
    Ok("chromium")
}

/// `npm ci`, unless what is installed is of this very lock file.
fn packages(web: &Path) -> Result<()> {
    need("npm", &["--version"], &["npm", "ca-certificates"])?;
    let lock = fs::read(web.join("package-lock.json")).context("could not read web/package-lock.json")?;
    let (stamp, digest) = (web.join("node_modules/.locked"), hex::encode(Sha256::digest(&lock)));
    if fs::read_to_string(&stamp).is_ok_and(|text| text == digest) {
        return Ok(());
    }
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(web))
        .context("could not install the page's npm packages. Is this machine offline? Connect it once and run this again")?;
    fs::write(stamp, digest)?;
    Ok(())
}

/// Compiles the client to wasm.
fn wasm() -> Result<PathBuf> {
    let mut command = cargo(&["build", "--release", "--locked", "--package", "wasm", "--lib", "--target", TARGET]);
    if !has_target()? {
        // The standard library from its source, with the same stable compiler.
        let source = sysroot()?.join("lib/rustlib/src/rust/library/std/Cargo.toml");
        if !source.is_file() {
            need("test", &["-f", &source.to_string_lossy()], &["rust-web-src", "lld"])
                .context("wasm32 needs `rustup target add wasm32-unknown-unknown`, or the source of the standard library")?;
        }
        command.args(["-Zbuild-std=std,panic_abort"]).env("RUSTC_BOOTSTRAP", "1");
        if works("wasm-ld", &["--version"]) {
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
        }
    }
    run(command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-C target-feature=+simd128"))?;
    Ok(checks::target().join(TARGET).join("release/wasm.wasm"))
}

fn sysroot() -> Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let path = output(Command::new(rustc).args(["--print", "sysroot"]).current_dir(root()))?;
    Ok(PathBuf::from(String::from_utf8_lossy(&path).trim()))
}

/// Whether the compiler has the standard library of the target; asks rustup for it where there is one.
fn has_target() -> Result<bool> {
    let library = sysroot()?.join("lib/rustlib").join(TARGET).join("lib");
    if !library.is_dir() && works("rustup", &["--version"]) {
        // A rustup that cannot fetch says so, and the other way remains.
        let _ = run(Command::new("rustup").args(["target", "add", TARGET]).current_dir(root()));
    }
    Ok(library.is_dir())
}

/// The program wasm-bindgen, of the version in `Cargo.lock`; built once and kept beside the assets.
fn bindgen() -> Result<PathBuf> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("could not read Cargo.lock")?;
    let version = lock
        .split_once("name = \"wasm-bindgen\"\nversion = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .context("Cargo.lock does not name wasm-bindgen")?
        .0;
    let data = assets::folder(&assets::ASSETS)?;
    let folder =
        data.parent().context("the assets folder needs a parent folder")?.join(format!("tools/wasm-bindgen-{version}"));
    let program = folder.join("bin/wasm-bindgen");
    if !works(&program.to_string_lossy(), &["--version"]) {
        eprintln!("x: installing wasm-bindgen-cli {version} (some minutes, once)");
        // Without --locked: the release's own lock file names packages that are gone.
        run(cargo(&["install", "wasm-bindgen-cli", "--version", &format!("={version}"), "--root"]).arg(&folder))
            .context("install it by hand: cargo install wasm-bindgen-cli")?;
    }
    if program.is_file() { Ok(program) } else { bail!("installed wasm-bindgen-cli, yet {} is not there", program.display()) }
}
