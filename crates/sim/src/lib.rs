//! Whole-system tests: three real `commons-node` processes on loopback, real clients, and faults.
//!
//! This library sets a commons up as three operators would, with the program's own commands ([`Commons`]), and makes people
//! with faces ([`crowd`]). The tests say what must hold:
//!
//! - `tests/kills.rs`: nodes are killed (SIGKILL) at random instants while people enrol, verify and withdraw. Failures are: a
//!   decision that a client holds a certificate of and a node does not know (*lost*); nodes with different chains, counts or
//!   statements (*divergent*); a person whom some nodes know and others do not, or who is known and not found by matching
//!   (*half enrolled*). Not failures: requests that are refused or time out while a node is down, as long as nothing of them
//!   remains or all of it does. All the while somebody watches the logs: failures are also two checkpoints of one log that do not
//!   continue one another, whatever instant of its publication a node was killed at, and a decision that is not in all three.
//! - `tests/consent.rs`: a shield while a node is down, and rules that operators sign with their own program.
//! - `tests/storage.rs`: the disk of one node fills up.
//!
//! Known nondeterminism: the seed fixes people and the order of faults, not what the operating system schedules in between.

pub mod commons;
pub mod crowd;
pub mod link;

pub use commons::Commons;
