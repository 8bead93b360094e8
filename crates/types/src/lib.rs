//! The vocabulary of Trust Commons: ids, signed messages and their canonical encoding, modality profiles, limits.
//!
//! **In scope**: values and their bytes. **Out of scope**: I/O, clocks, ambient randomness (time and random bytes come in as
//! arguments); capturing a template (`biometric`); splitting it (`mpc`); deciding anything (`node`).
//!
//! Every signed or stored message is encoded with [borsh](https://borsh.io) (one byte string per value, so that a signature
//! over bytes is a signature over the value), is size-limited before it is parsed, and carries a version.

pub mod addition;
pub mod api;
mod codec;
pub mod consent;
pub mod epoch;
mod error;
mod ids;
pub mod limits;
pub mod message;
pub mod persona;
pub mod profile;
pub mod recovery;
pub mod roster;
pub mod seal;
pub mod share;
pub mod sign;
pub mod succession;

pub use codec::{decode, encode};
pub use epoch::{Epoch, Epochs};
pub use error::Error;
pub use ids::{
    AskId, DeviceKey, Digest, GrantId, IssuerPublicKey, LogTag, MemberId, NodeId, OperationId, PartyId, ProfileId,
    RecoveryName, Signature, SubjectId, TraceKey, UnixSeconds,
};
