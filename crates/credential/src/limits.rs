//! Bounds of what this crate reads, beside those of `types::limits`.

/// Bytes of one attribute value.
pub const ATTRIBUTE_BYTES: usize = 64;
/// Bytes of a context's name.
pub const CONTEXT_ID_BYTES: usize = 64;
/// Bytes of a verifier's name, such as the origin of a web site.
pub const VERIFIER_BYTES: usize = 200;
/// Values that a context may list for one attribute.
pub const DEMAND_VALUES: usize = 16;
/// Bytes of a context.
pub const CONTEXT_BYTES: usize = 16 * 1024;
/// Bytes of a stored credential.
pub const CREDENTIAL_BYTES: usize = 1024;
/// Bytes of a presentation.
pub const PRESENTATION_BYTES: usize = 4 * 1024;
/// Bytes of a challenge.
pub const CHALLENGE_BYTES: usize = 1024;
/// Bytes of a reveal.
pub const REVEAL_BYTES: usize = 2 * 1024;
/// Bytes of a JSON envelope.
pub const ENVELOPE_BYTES: usize = 32 * 1024;
/// Bytes of the URL to which an answer is sent.
pub const ANSWER_URL_BYTES: usize = 500;
/// Seconds a verifier may wait for the answer to its challenge.
pub const CHALLENGE_LIFETIME_S: u64 = 300;
/// Seconds a masquerade may last.
pub const MASQUERADE_S: u64 = 31 * 24 * 3600;
/// Seconds for which a persona's code is good.
pub const CODE_LIFETIME_S: u64 = 30;
/// Seconds by which the clock of the device that shows a code may be ahead.
pub const CODE_SKEW_S: u64 = 5;
/// Challenges that one gate keeps open.
pub const OPEN_CHALLENGES: usize = 100_000;
/// Personas that one gate admits.
pub const ADMITTED: usize = 10_000_000;
