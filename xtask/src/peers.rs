//! Other people's verifiers. Of transparency logs, with which `crates/log/tests/peers.rs` checks ours: two Python packages, and Go's
//! checksum database from Debian. Of BBS, with which `crates/credential/src/bbs/peer_tests.rs` does: an npm package. Of
//! OpenID Connect and SD-JWT, with which `crates/oidc/tests` do. A machine without them runs all other tests; what is missing is said, not hidden.

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
    match web() {
        Ok(found) => peers.environment.extend(found),
        Err(error) => peers.missing.push(error.context("openid-client, @sd-jwt/sd-jwt-vc (npm) and sd-jwt (Python)")),
    }
    peers
}

fn web() -> Result<[(&'static str, OsString); 3]> {
    need("node", &["--version"], &["nodejs"])?;
    let packages = assets::ensure(&assets::WEB_PEERS)?;
    let modules = packages.join("node_modules").into();
    let python = interpreter()?.into();
    Ok([
        ("COMMONS_PEERS_WEB_MODULES", modules),
        ("COMMONS_PEERS_WEB_PYTHON", packages.join("python").into()),
        ("COMMONS_PEERS_PYTHON", python),
    ])
}

fn node() -> Result<OsString> {
    need("node", &["--version"], &["nodejs"])?;
    Ok(assets::ensure(&assets::NODE_PEERS)?.join("node_modules").into())
}

fn python() -> Result<[(&'static str, OsString); 2]> {
    let packages = assets::ensure(&assets::PEERS)?;
    Ok([("COMMONS_PEERS", packages.into()), ("COMMONS_PEERS_PYTHON", interpreter()?.into())])
}

fn interpreter() -> Result<&'static str> {
    if works("python3", &["-c", PYTHON_CHECK]) {
        return Ok("python3");
    }
    need(PYTHON_DEBIAN, &["-c", PYTHON_CHECK], &["python3", "python3-cryptography"])
        .context("needs a Python of version 3.11 or newer with the package cryptography")?;
    Ok(PYTHON_DEBIAN)
}

fn go() -> Result<&'static str> {
    need("go", &["version"], &["golang-go", "golang-golang-x-mod-dev"])?;
    let library = Path::new(GOPATH).join("src/golang.org/x/mod/sumdb/tlog");
    need("test", &["-d", &library.to_string_lossy()], &["golang-golang-x-mod-dev"])?;
    Ok(GOPATH)
}
