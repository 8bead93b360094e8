//! Personas: one person, once, in one context, and nothing more.
//!
//! Three nodes each sign blindly over the same secret of a member ([`IssuerKey::issue`]). From two of these signatures the member
//! makes a [`Presentation`]: proofs by two distinct issuers with one [`Pseudonym`] for the [`Context`], disclosing only what the
//! context demands. One rogue node mints nobody. The pseudonym is the nullifier: the same person shows the same one in this
//! context, and unlinkable ones elsewhere. Credentials live one [`Epoch`] and are re-issued, which is how a membership ends
//! (docs/decisions/0010-short-lived-credentials.md).
//!
//! Specifications: see the module `bbs`. Around it: [`reveal`] (two personas are one person), [`glyph`] (a
//! persona's visual mark), [`code`] (what it signs anew at every moment, checked face to face) and [`escrow`] (the secret in shares
//! of the three nodes).
//!
//! **In scope**: values, their bytes, their checks. **Out of scope**: I/O, clocks, ambient randomness (time and fresh bytes come
//! in as arguments); deciding who is issued to (`node`); keeping credentials (`client`); OpenID Connect and wallets.

mod attributes;
mod bbs;
pub mod code;
mod context;
mod credential;
mod envelope;
mod error;
pub mod escrow;
mod fresh;
mod gate;
pub mod glyph;
mod issuer;
pub mod limits;
mod persona;
mod presentation;
mod request;
pub mod reveal;
mod secret;

pub use attributes::{Attribute, Attributes};
pub use context::{Context, Demand, Kind};
pub use credential::Credential;
pub use envelope::Envelope;
pub use error::Error;
pub use fresh::Fresh;
pub use gate::Gate;
pub use issuer::{IssuedSignature, IssuerKey, IssuerName, Issuers};
pub use persona::{Persona, Pseudonym};
pub use presentation::{Challenge, Presentation, Verified, present, verify};
pub use request::{ProofRequest, origin, via};
pub use secret::{Commitment, CommitmentRequest, MemberSecret};
pub use types::{Epoch, Epochs, IssuerPublicKey};
