//! Cosignatures: a witness says that at a time, the largest checkpoint it had seen of a log was this one, and that all it had
//! seen before were its beginnings. C2SP `tlog-cosignature`, `cosignature/v1` (Ed25519).

use ed25519_dalek::{Signer as _, SigningKey};
use types::UnixSeconds;

use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::line::MAX_NUMBER;
use crate::note::{KeyKind, KeyName, SignatureLine, VerifierKey};

/// Cosigns. Only a witness that has compared the checkpoint with what it cosigned before, and recorded it, may:
/// [`crate::Witness::consider`] does the first and asks for the second.
pub(crate) fn sign(checkpoint: &Checkpoint, name: &KeyName, key: &SigningKey, at: UnixSeconds) -> SignatureLine {
    let at = at.min(MAX_NUMBER);
    let public = VerifierKey::new(name.clone(), KeyKind::Cosignature, types::sign::public_key(key));
    let signature = key.sign(message(checkpoint, at).as_bytes()).to_bytes();
    SignatureLine::new(&public, [&at.to_be_bytes()[..], &signature].concat())
}

/// When `witness` cosigned `checkpoint`, if `line` is its cosignature.
///
/// # Errors
/// [`Error::NotSigned`] when the line is of another key; [`Error::BadSignature`].
pub fn verify(line: &SignatureLine, witness: &VerifierKey, checkpoint: &Checkpoint) -> Result<UnixSeconds, Error> {
    if !line.claims(witness) || witness.kind() != KeyKind::Cosignature {
        return Err(Error::NotSigned { name: witness.name().to_string() });
    }
    let bad = Error::BadSignature { name: witness.name().to_string() };
    let (at, signature) = line.bytes().split_first_chunk().ok_or(bad.clone())?;
    let at = u64::from_be_bytes(*at);
    if at > MAX_NUMBER {
        return Err(bad);
    }
    witness.check(message(checkpoint, at).as_bytes(), signature)?;
    Ok(at)
}

fn message(checkpoint: &Checkpoint, at: UnixSeconds) -> String {
    format!("cosignature/v1\ntime {at}\n{}", checkpoint.text())
}
