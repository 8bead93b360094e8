//! Secret sharing and private matching for Trust Commons, as round functions over values.
//!
//! A template is split into three additive components ([`sharing`]); each node holds two, converts them locally into the stored
//! form ([`record`]) and keeps that in a [`gallery`]. Matching ([`batch`]) takes one inner product per probe row and record
//! ([`kernel`]), re-shares it, finds its sign and opens one bit per operation.
//!
//! Specification: PROTOCOL sections 1 to 4; differences are in `docs/decisions/`. **Security**: one node may look at everything
//! it sees (stage 1). A node that alters messages can spoil an answer; only where two nodes hold the same value, as in every
//! opening, is it found out already.
//!
//! This crate knows nothing of sockets, files, clocks or random generators: messages and randomness come in as arguments.
//! Out of scope: capture (`biometric`), signed requests and ordering (`node`), the wire (`types`).

#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "tests take numbers apart"))]

mod answer;
pub mod batch;
mod bits;
pub mod driver;
pub mod error;
pub mod evaluate;

pub mod gallery;
mod galois;
pub mod kernel;
mod protocol;
pub mod rebuild;
pub mod record;
pub mod refresh;
pub mod session;
pub mod sharing;
pub mod sign;

pub use error::{Abort, Error};
pub use protocol::{Incoming, Outgoing, Protocol, Step};
pub use sign::Adder;
