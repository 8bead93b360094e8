//! The protocols of one batch of operations.
//!
//! | protocol | question, per operation | opened |
//! |---|---|---|
//! | [`CheckInputs`] | is the shared input a template of the profile? | one bit |
//! | [`Search`] | does the probe match any active record? | one bit |
//! | [`Twins`] | does the probe match an earlier operation of the batch? | one bit |
//! | [`Verify`] | does the probe match this one record? | one bit |
//!
//! The other three assume inputs that [`CheckInputs`] accepted: an unchecked probe can carry weights that match anyone. Run it
//! first, and give them only what is valid.
//!
//! All four take their randomness from [`crate::session::ProtocolKeys`], and the three nodes must construct them from the same
//! public arguments (numbers of operations, masks, slots, adder). All run through one engine (`engine`): waves of comparisons
//! are re-shared where needed, their signs computed, combined per operation with public coins, masked and opened.
//!
//! Out of scope: which operations form a batch and what follows from an answer (`node`).

mod check;
mod engine;
mod matching;
mod parallel;

pub use check::CheckInputs;
pub use matching::{Search, Twins, Verify};

pub(crate) use matching::ProbeRows;
pub(crate) use parallel::for_each;

#[cfg(test)]
mod tests;
