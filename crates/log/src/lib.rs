//! The transparency log of a node: what one leaf says, the Merkle tree in tiles, signed checkpoints, witnesses and their
//! cosignatures, trust policies, offline proofs, and following a log.
//!
//! Three nodes keep one log each and witness each other's. Leaves of joint operations are the same on all three, in the same
//! order, so at equal sizes the three roots are equal.
//!
//! Formats are those of C2SP, so that other people's programs read them: `signed-note`, `tlog-checkpoint`, `tlog-tiles`,
//! `tlog-cosignature` (Ed25519), `tlog-witness` (`add-checkpoint`), `tlog-policy`, `tlog-proof`; hashes are those of RFC 6962.
//!
//! **In scope**: values, their bytes, and decisions over them. **Out of scope**: files, HTTP, clocks, random bytes and the
//! database transaction that makes a witness's check and its record one step (`node`); receipts and pages for people (`client`,
//! `cli`); key rotation, ML-DSA cosignatures, subtree cosigning, pruning.

pub mod checkpoint;
pub mod conflict;
pub mod cosignature;
pub mod entry;
mod error;
pub mod evidence;
mod line;
pub mod merkle;
pub mod monitor;
pub mod note;
mod peaks;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod tree;
pub mod witness;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use conflict::Conflict;
pub use entry::{Entry, Kind, Opening};
pub use error::Error;
pub use evidence::Evidence;
pub use monitor::{CrossCheck, Follower};
pub use note::{KeyKind, KeyName, Note, SignatureLine, VerifierKey};
pub use peaks::Peaks;
pub use policy::{Accepted, NodeQuorum, Policy};
pub use proof::TlogProof;
pub use tile::{Bundle, Tile};
pub use tree::{Appender, TileReader, Tree};
pub use witness::{AddCheckpoint, Latest, Refusal, Reply, Verdict, Witness};
