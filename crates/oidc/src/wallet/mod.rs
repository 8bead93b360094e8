//! Membership for wallets: an SD-JWT VC that is issued to a persona in the issuer's own context, ends when the persona is not renewed,
//! and is shown to verifiers.
//!
//! | step | specification | where |
//! |---|---|---|
//! | a device proves its persona; it hears an offer | ours | [`crate::provider::Provider::answer`] |
//! | code, token, nonce, a batch of credentials | OpenID4VCI 1.0, pre-authorized code | [`issue`] |
//! | does it stand? | Token Status List | [`crate::status`] |
//! | a verifier asks, a wallet answers | OpenID4VP 1.0, DCQL, direct_post | [`verify`] |
//! | the wallet itself | | [`holder`] |
//!
//! A credential links what is shown of it: its signature, its key and its place in the list are the same each time. So a wallet gets a
//! batch, and shows each to one verifier.

mod dcql;
pub mod holder;
pub mod issue;
mod store;
pub mod verify;

pub use dcql::Query;

/// The one credential that is offered, by its name in the issuer's metadata.
pub const CONFIGURATION: &str = "membership";
/// Format of it.
pub const FORMAT: &str = "dc+sd-jwt";
