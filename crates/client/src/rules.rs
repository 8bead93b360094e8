//! The charter in force: asked of all three nodes, which must agree, and verified against the roster.
//!
//! A charter that operators adopted carries their three signatures; before the first one, the charter that follows from the roster
//! is in force, and is computed here rather than believed. What signatures cannot show is which of two good charters is the newer
//! one in force: for that all three nodes are asked, and one honest node that differs is enough to stop.

use charter::Charter;
use types::api::{CharterBody, from_base64};
use types::consent::SignedCharter;
use types::roster::Roster;
use types::{Digest, limits};

use crate::error::Fault;

/// A verified charter with the operators' signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The rules.
    pub charter: Charter,
    /// As the operators signed it; absent for the charter that follows from the roster.
    pub signed: Option<SignedCharter>,
}

impl InForce {
    /// The charter that is in force until the operators adopt one.
    pub fn default_for(roster: &Roster) -> Self {
        Self { charter: Charter::default_for(roster), signed: None }
    }
    /// Reads an adopted charter and checks its signatures; `None` gives the default one.
    ///
    /// # Errors
    /// [`charter::Error`] with what is wrong.
    pub fn from_signed(signed: Option<SignedCharter>, roster: &Roster) -> Result<Self, charter::Error> {
        match signed {
            Some(signed) => Ok(Self { charter: Charter::from_signed(&signed, roster)?, signed: Some(signed) }),
            None => Ok(Self::default_for(roster)),
        }
    }
    /// Names it in every consent.
    pub fn digest(&self) -> Digest {
        self.charter.digest()
    }
}

/// Reads a signed charter's canonical bytes, as [`types::encode`] writes them; checks no signature.
///
/// # Errors
/// [`types::Error::TooLarge`], [`types::Error::Malformed`].
pub fn decode_signed(bytes: &[u8]) -> Result<SignedCharter, types::Error> {
    types::decode("signed charter", bytes, limits::CHARTER_BYTES + 4 + 3 * 64)
}

/// What a node's answer to `GET /v1/charter` must be.
///
/// # Errors
/// The first [`Fault`] found.
pub fn check_charter(roster: &Roster, body: &CharterBody) -> Result<InForce, Fault> {
    let signed = match &body.signed {
        None => None,
        Some(text) => {
            let bytes = from_base64("charter", text).map_err(|_| Fault::Malformed)?;
            Some(decode_signed(&bytes).map_err(|_| Fault::Malformed)?)
        }
    };
    let rules = InForce::from_signed(signed, roster).map_err(|error| match error {
        charter::Error::Signature { .. } => Fault::WrongSignature,
        charter::Error::WrongCommons { .. } => Fault::OtherCommons,
        _ => Fault::WrongCharter,
    })?;
    // What people and simple programs read beside the signed part must be the same.
    let charter = &rules.charter;
    let same = body.version == charter.version()
        && body.digest == charter.digest().to_hex()
        && body.document.as_bytes() == charter.bytes()
        && (charter.version() == 0) == rules.signed.is_none();
    if same { Ok(rules) } else { Err(Fault::WrongCharter) }
}
