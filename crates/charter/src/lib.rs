//! The rules of a commons, and what follows from them.
//!
//! [`Charter`] is a versioned document that people can read and the three operators sign; [`decide`] says whether a request is
//! allowed under it, as a pure function of (charter, facts, request, time); [`receipt`] turns a decision into a consent receipt
//! (ISO/IEC TS 27560).
//!
//! **In scope**: what is allowed, why, and what follows. **Out of scope**: signatures, times and replay of requests (the node's
//! admission does them before it asks here), keeping grants and counts (`node`), I/O, clocks and randomness of any kind.

mod approval;
mod canonical;
mod charter;
mod check;
mod decide;
mod diff;
mod document;
mod error;
pub mod receipt;
mod rule;
mod witness;

pub use approval::{APPROVAL_BYTES, Approval};
pub use charter::Charter;
pub use decide::{
    AskFacts, AskedFacts, Counts, EpochFacts, Facts, GrantFacts, MemberFacts, RecoveryFacts, decide, permits_terms,
};
pub use diff::{Change, Effect, diff};
pub use document::{
    Act, Answers, ClaimEntry, Controller, Document, Enrolment, EnrolmentRule, FORMAT, Modality, Party, PurposeEntry, Rates,
    Recovery, Retention, Reveal, Station, StationRule, Witness,
};
pub use error::Error;
pub use rule::{Permit, Refusal, Rule};
