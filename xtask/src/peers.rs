//! Other people's verifiers. Of transparency logs, with which `crates/log/tests/peers.rs` checks ours: two Python packages, and Go's
//! checksum database from Debian. Of BBS, with which `crates/credential/src/bbs/peer_tests.rs` does: an npm package. A machine without them runs all other tests; what is missing is said, not hidden.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Error, Result};

use crate::assets;
use crate::programs::{need, works};

/// Old enough for Debian 12, and able to check an Ed25519 signature.
const PYTHON_CHECK: &str =
    "import sys, cryptography.hazmat.primitives.asymmetric.ed25519; sys.exit(sys.version_info < (3, 11))";
const PYTHON_DEBIAN: &str = "/usr/bin/python3";
/// Where Debian keeps the sources of Go libraries.
const GOPATH: &str = "/usr/share/gocode";

/// What the tests are told.
pub(crate) struct Peers {
    /// Variables that say where the peers are.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// Why some are not there.
    pub(crate) missing: Vec<Error>,
}

/// Finds, or installs, each peer.
pub(crate) fn find() -> Peers {
    let mut peers = Peers { environment: Vec::new(), missing: Vec::new() };
    match python() {
        Ok(found) => peers.environment.extend(found),
        Err(error) => peers.missing.push(error.context("aics-tlog and pymerkle (Python)")),
    }
    match go() {
        Ok(gopath) => peers.environment.push(("COMMONS_PEERS_GOPATH", gopath.into())),
        Err(error) => peers.missing.push(error.context("golang.org/x/mod/sumdb (Go)")),
    }
    match node() {
        Ok(modules) => peers.environment.push(("COMMONS_PEERS_NODE_MODULES", modules)),
        Err(error) => peers.missing.push(error.context("@digitalbazaar/bbs-signatures (npm)")),
    }
    peers
}

fn node() -> Result<OsString> {
    need("node", &["--version"], &["nodejs"])?;
    Ok(assets::ensure(&assets::NODE_PEERS)?.join("node_modules").into())
}

fn python() -> Result<[(&'static str, OsString); 2]> {
    let packages = assets::ensure(&assets::PEERS)?;
    let python = if works("python3", &["-c", PYTHON_CHECK]) {
        "python3"
    } else {
        need(PYTHON_DEBIAN, &["-c", PYTHON_CHECK], &["python3", "python3-cryptography"])
            .context("needs a Python of version 3.11 or newer with the package cryptography")?;
        PYTHON_DEBIAN
    };
    Ok([("COMMONS_PEERS", packages.into()), ("COMMONS_PEERS_PYTHON", python.into())])
}

fn go() -> Result<&'static str> {
    need("go", &["version"], &["golang-go", "golang-golang-x-mod-dev"])?;
    let library = Path::new(GOPATH).join("src/golang.org/x/mod/sumdb/tlog");
    need("test", &["-d", &library.to_string_lossy()], &["golang-golang-x-mod-dev"])?;
    Ok(GOPATH)
}
