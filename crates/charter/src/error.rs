//! The one error type of this crate: what is wrong with a charter or a receipt, and what to change. Refusals of requests are
//! [`crate::Refusal`]s.

use types::{NodeId, ProfileId};

/// What is wrong, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More bytes than a charter may have.
    #[error("the charter has {got} bytes; at most {limit} are accepted: shorten its texts")]
    TooLarge {
        /// Bytes found.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the charter is not text in UTF-8; save it as plain text")]
    NotText,
    /// Not TOML of a charter.
    #[error("the charter cannot be read, line {line}: {reason}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What the reader says.
        reason: String,
    },
    /// Says something, but not in the form that is signed.
    #[error("the charter is not in canonical form; have it written out in that form, and sign those bytes")]
    NotCanonical,
    /// Of a format that this program does not know.
    #[error("the charter has format {got}, and this program knows format {known}; update the older side")]
    Format {
        /// Found.
        got: u16,
        /// Known.
        known: u16,
    },
    /// A file that holds no operator's signature.
    #[error(
        "this is no signature of a charter; name the files that `commons-node charter sign` or `commons charter sign` wrote"
    )]
    NotAnApproval,
    /// For another roster.
    #[error("the charter is for another commons; set `commons` to this roster's digest, {expected}")]
    WrongCommons {
        /// The roster's digest, in hexadecimal.
        expected: String,
    },
    /// A text that cannot stand.
    #[error("`{field}`: {advice}")]
    Text {
        /// Which field.
        field: String,
        /// What to write.
        advice: &'static str,
    },
    /// A number out of its bounds: nothing, or more than any charter may allow.
    #[error("`{field}` is {got}; write {least} to {most}")]
    Bounds {
        /// Which field.
        field: String,
        /// Found.
        got: u64,
        /// Least.
        least: u64,
        /// Most.
        most: u64,
    },
    /// One name twice.
    #[error("{what} `{name}` is listed twice; keep one")]
    Duplicate {
        /// What kind of entry.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name of something that the charter does not have.
    #[error("`{field}` names {what} `{name}`, which is not listed; add it, or take the name out")]
    Unknown {
        /// Where it is named.
        field: String,
        /// What kind of entry.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two statements that cannot both hold.
    #[error("`{field}` contradicts the rest: {advice}")]
    Contradiction {
        /// Where.
        field: String,
        /// What to change.
        advice: String,
    },
    /// A list that must not be empty.
    #[error("`{field}` is empty; {advice}")]
    Empty {
        /// Which list.
        field: String,
        /// What to write.
        advice: &'static str,
    },
    /// Not an Ed25519 public key.
    #[error("the key of {of} is not an Ed25519 public key; copy it again from its owner")]
    BadKey {
        /// Whose.
        of: String,
    },
    /// One key in two roles: what one signs could pass for the other's.
    #[error("{one} and {other} have the same key; give each its own")]
    SharedKey {
        /// One role.
        one: String,
        /// The other.
        other: String,
    },
    /// A profile that is not the roster's.
    #[error("modality `{profile}` is not as in the roster: {advice}")]
    Modality {
        /// Which.
        profile: ProfileId,
        /// What to write.
        advice: String,
    },
    /// Says that answers reveal something else than they do.
    #[error(
        "`answers` must say what this system's answers reveal: membership = [\"membership\", \"pairwise-name\"] and verification = \
         [\"match\", \"pairwise-name\"]"
    )]
    Answers,
    /// Not the next charter.
    #[error("the charter has version {got}; the next one here is version {next}")]
    Version {
        /// Found.
        got: u64,
        /// Expected.
        next: u64,
    },
    /// Written to follow another charter than the one in force.
    #[error("the charter was written to follow another one; read the charter in force and set `previous` to {expected}")]
    Previous {
        /// Digest of the charter in force, in hexadecimal.
        expected: String,
    },
    /// Version 0 follows from the roster and cannot be written.
    #[error("version 0 is the charter that follows from the roster, and this is another one; begin with version 1")]
    NotDefault,
    /// An operator has not signed it, or it was changed afterwards.
    #[error(
        "node {node}'s operator has not signed this charter, or it was changed afterwards; have all three operators sign it"
    )]
    Signature {
        /// Whose signature.
        node: NodeId,
    },
    /// A receipt that cannot be read.
    #[error("the receipt cannot be read: {reason}; fetch it again from the nodes")]
    Receipt {
        /// Why.
        reason: String,
    },
    /// A receipt whose parts do not belong together.
    #[error("the receipt does not hold together: {reason}; do not rely on it")]
    Mismatch {
        /// What does not fit.
        reason: &'static str,
    },
}
