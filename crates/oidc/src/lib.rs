//! One person, once, for web sites and wallets that know nothing of this project: an OpenID Connect provider whose people sign in with
//! a proof by their own device, and an issuer and verifier of membership credentials for wallets.
//!
//! A web site is a context of its own (`credential::Context`), so the `sub` that it gets is the person's pseudonym there: pairwise
//! without a table, the same at every visit, and linkable to no other site's. The provider holds no account, no password and no
//! sample; nobody stays signed in.
//!
//! | module | what |
//! |---|---|
//! | [`authorize`], [`form`], [`jose`], [`sdjwt`], [`status`] | values and their checks: no I/O |
//! | [`provider`], [`wallet`] | what is done in which order |
//! | `store`, [`keys`], [`config`], [`commons`] | disk |
//! | `http` | the shell |
//!
//! **In scope**: relying parties' side of a proof. **Out of scope**: making a proof (`credential`, `client`), deciding who is a member
//! (`node`). Knows no node, no record, no member.

pub mod authorize;
pub mod commons;
pub mod config;
mod error;
pub mod form;
mod http;
pub mod jose;
pub mod keys;
pub mod metrics;
pub mod provider;
mod run;
pub mod sdjwt;
pub mod status;
pub mod store;
pub mod wallet;

pub use error::Error;
pub use http::router;
pub use run::{Running, start};
