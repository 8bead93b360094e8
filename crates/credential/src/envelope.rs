//! How values travel: canonical bytes (borsh, versioned, bounded), and the same bytes in a small JSON object for the web.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use types::{decode, encode};

use crate::{Error, limits};

/// A value with one encoding.
pub trait Envelope: BorshSerialize + BorshDeserialize {
    /// Plain name, in errors and in JSON.
    const NAME: &'static str;
    /// Largest encoding accepted, in bytes.
    const LIMIT: usize;
    /// The version that this program writes and reads.
    const VERSION: u16;

    /// The version that the value carries.
    fn version(&self) -> u16;

    /// Whatever a value must fulfil by itself.
    ///
    /// # Errors
    /// Those of the value.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Canonical bytes.
    fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads canonical bytes and nothing else.
    ///
    /// # Errors
    /// [`Error::Encoding`], [`Error::Version`], and those of [`Self::check`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        // Borsh puts the version first, so a newer value is told from a broken one.
        if let Some(version) = bytes.first_chunk::<2>().map(|version| u16::from_le_bytes(*version))
            && version != Self::VERSION
        {
            return Err(Error::Version { what: Self::NAME, got: version, known: Self::VERSION });
        }
        let value: Self = decode(Self::NAME, bytes, Self::LIMIT)?;
        value.check()?;
        if value.to_bytes() != bytes {
            return Err(types::Error::Malformed { what: Self::NAME }.into());
        }
        Ok(value)
    }

    /// `{"type": "trust-commons/NAME", "version": N, "data": "BASE64URL"}`.
    fn to_json(&self) -> String {
        let kind = format!("trust-commons/{}", Self::NAME);
        let json = Json { kind, version: self.version(), data: URL_SAFE_NO_PAD.encode(self.to_bytes()) };
        serde_json::to_string(&json).expect("three plain fields are JSON")
    }

    /// Reads what [`Self::to_json`] writes.
    ///
    /// # Errors
    /// [`Error::Envelope`], and those of [`Self::from_bytes`].
    fn from_json(text: &str) -> Result<Self, Error> {
        let wrong = Error::Envelope { expected: Self::NAME };
        if text.len() > limits::ENVELOPE_BYTES {
            return Err(types::Error::TooLarge { what: Self::NAME, got: text.len(), limit: limits::ENVELOPE_BYTES }.into());
        }
        let json: Json = serde_json::from_str(text).map_err(|_| wrong.clone())?;
        if json.kind.strip_prefix("trust-commons/") != Some(Self::NAME) {
            return Err(wrong);
        }
        if json.version != Self::VERSION {
            return Err(Error::Version { what: Self::NAME, got: json.version, known: Self::VERSION });
        }
        Self::from_bytes(&URL_SAFE_NO_PAD.decode(json.data).map_err(|_| wrong)?)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[serde(rename = "type")]
    kind: String,
    version: u16,
    data: String,
}
