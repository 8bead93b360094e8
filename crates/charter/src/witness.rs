//! Verifier keys of log witnesses, as C2SP `signed-note` and `tlog-cosignature` write them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::check::is_plain;
use crate::document::Witness;

/// Signature type of cosignature/v1 with Ed25519.
const COSIGNATURE_V1: u8 = 0x04;

/// The key is well-formed, of the right type, and its hash is the key's.
pub(crate) fn check(witness: &Witness) -> Result<(), Error> {
    let wrong = |part: &str, advice| Err(Error::Text { field: format!("witnesses.{}.{part}", witness.name), advice });
    if witness.name.is_empty() || witness.name.chars().count() > 120 || !is_plain(&witness.name) {
        return wrong("name", "write a name of at most 120 characters");
    }
    if !is_url(&witness.url) {
        return wrong("url", "write an address that begins with https:// (http:// only on loopback)");
    }
    match is_cosigner(&witness.vkey) {
        true => Ok(()),
        false => wrong("vkey", "copy the witness's verifier key again: name+hash+base64, of type cosignature/v1"),
    }
}

fn is_url(url: &str) -> bool {
    let plain = url.len() <= 200 && url.chars().all(|c| c.is_ascii_graphic());
    let loopback = ["http://127.0.0.1", "http://[::1]", "http://localhost"]
        .iter()
        .any(|start| url.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
    plain && (url.strip_prefix("https://").is_some_and(|host| !host.is_empty()) || loopback)
}

fn is_cosigner(vkey: &str) -> bool {
    let mut parts = vkey.splitn(3, '+');
    let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return false };
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) || vkey.len() > 200 {
        return false;
    }
    let Ok(key) = STANDARD.decode(key) else { return false };
    let mut digest = Sha256::new();
    digest.update(name.as_bytes());
    digest.update(b"\n");
    digest.update(&key);
    let digest: [u8; 32] = digest.finalize().into();
    key.len() == 33 && key.first() == Some(&COSIGNATURE_V1) && digest.get(..4).map(hex::encode).as_deref() == Some(hash)
}
