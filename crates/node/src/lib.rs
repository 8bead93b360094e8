//! One of the three nodes of a commons: `http` (parse) -> `app` (decide, order, sign) -> matching sessions over `peer` -> `store`.
//!
//! Invariants, as absences: this crate holds no code that makes or reads a template (it never depends on `biometric`); `app`
//! knows nothing of HTTP or TLS; `store` knows nothing of requests; no log line, metric or error names a device, a member or a
//! share.

pub mod app;
pub mod approve;
pub mod config;
mod error;
pub mod http;
pub mod identity;
pub mod metrics;
pub mod operator;
pub mod peer;
pub mod run;
pub mod store;

pub use app::link;
pub use error::{Error, Kind};
pub use store::fsck::{Report, check as fsck};
