//! The one error type of this crate.

/// What can be wrong with a value that came from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More bytes than this message may have.
    #[error("{what} has {got} bytes; at most {limit} are accepted")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// Bytes received.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes are not a canonical encoding of the expected message.
    #[error("these bytes are not a well-formed {what}; send it again from an up-to-date client")]
    Malformed {
        /// What was being read.
        what: &'static str,
    },
    /// Text that should be an id is not one.
    #[error("this is not a valid {what}: {rule}")]
    BadId {
        /// Which id.
        what: &'static str,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A message of a version that this program does not know.
    #[error("{what} has version {got}, and this program knows version {known}; update the older side")]
    Version {
        /// What was being read.
        what: &'static str,
        /// Version found.
        got: u16,
        /// Version known.
        known: u16,
    },
    /// A signature does not verify.
    #[error("the signature on {what} is not valid; it was altered or signed with another key")]
    BadSignature {
        /// What was signed.
        what: &'static str,
    },
    /// A sealed share cannot be opened.
    #[error("the sealed share cannot be opened; it was sealed for another node, or altered")]
    BadSeal,
    /// A modality profile is not usable.
    #[error("modality profile: {0}")]
    Profile(String),
    /// A roster is not usable.
    #[error("roster: {0}")]
    Roster(String),
}
