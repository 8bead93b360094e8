//! What a member's device does: split a template, seal each share to its node, sign the request with consent inside it, ask all
//! three nodes at once, and verify every byte that comes back. It trusts no node.
//!
//! What was decided is kept as a receipt ([`receipt`]; made again from what the nodes tell: [`history`]), looked up in the three logs
//! ([`logs`]), and bundled for anybody to check offline ([`evidence`]). Guardians, and a new device that takes an old one's place:
//! [`guardian`], with their files in [`circle`]. A relying party does the same from its side ([`party`]). Personas: [`personas`], kept in a
//! [`wallet`], and shown from it ([`showing`]).
//!
//! **In scope**: requests ([`request`]), the rules they name ([`rules`]), their proof ([`answer`]), the conversation with three
//! nodes ([`Client`]), member keys under a passphrase ([`keyfile`]). **Out of scope**: making a template (`biometric`), the arithmetic of sharing
//! (`mpc::sharing`), files and terminals (`cli`).
//!
//! The core does no I/O: HTTP comes in as a [`Transport`], time and randomness as a [`Platform`]. The `native` feature (on by
//! default) brings both for ordinary computers; without it the crate compiles to wasm.

pub mod adoption;
pub mod answer;
pub mod circle;
pub mod claim;
mod error;
mod events;
pub mod evidence;
mod followed;
pub mod guardian;
pub mod history;
pub mod keyfile;
pub mod logs;
#[cfg(feature = "native")]
pub mod native;
pub mod own;
pub mod party;
pub mod personas;
pub mod platform;
pub mod receipt;
pub mod request;
pub mod rules;
mod session;
pub mod showing;
mod tally;
pub mod transport;
pub mod wallet;
#[cfg(feature = "native")]
pub mod web;

pub use adoption::Adoption;
pub use error::{Complaint, Error, Fault};
pub use events::Events;
pub use followed::Followed;
pub use keyfile::MemberKey;
pub use party::{Answered, PartyKey};
pub use personas::Collected;
pub use platform::Platform;
pub use rules::InForce;
pub use session::{Client, Patience, Proof, Shield, Statements};
pub use transport::Transport;
pub use wallet::Wallet;
