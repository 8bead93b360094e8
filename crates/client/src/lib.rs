//! What a member's device does: split a template, seal each share to its node, sign the request with consent inside it, ask all
//! three nodes at once, and verify every byte that comes back. It trusts no node.
//!
//! **In scope**: requests ([`request`]), their proof ([`answer`]), the conversation with three nodes ([`Client`]), member keys
//! under a passphrase ([`keyfile`]). **Out of scope**: making a template (`biometric`), the arithmetic of sharing
//! (`mpc::sharing`), files and terminals (`cli`).
//!
//! The core does no I/O: HTTP comes in as a [`Transport`], time and randomness as a [`Platform`]. The `native` feature (on by
//! default) brings both for ordinary computers; without it the crate compiles to wasm.

pub mod answer;
mod error;
pub mod keyfile;
#[cfg(feature = "native")]
pub mod native;
pub mod platform;
pub mod request;
mod session;
mod tally;
pub mod transport;

pub use error::{Complaint, Error, Fault};
pub use keyfile::MemberKey;
pub use platform::Platform;
pub use session::{Client, Patience, Proof, Statements};
pub use transport::Transport;
