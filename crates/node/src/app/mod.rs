//! Decides: admits requests, orders them into batches, matches them with the peers, signs and keeps the decisions.

pub mod link;
