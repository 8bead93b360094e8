//! From a body to a template, and what a template is worth: capture, the plaintext matcher, accuracy reports.
//!
//! A photograph goes through [`capture`] to a unit vector; an iris code or another extractor's vector comes from a file
//! ([`npy`], [`vector`], [`index`]); [`template`] turns either into the small integers that a client shares among the nodes.
//! [`oracle`] matches templates in the clear: it is what the private matching is tested against. [`accuracy`]
//! says how good a profile is, in the terms of ISO/IEC 19795-1.
//!
//! **In scope**: values in, values out. **Out of scope**: files, clocks, ambient randomness (bytes, dates and generators come
//! in as arguments); splitting a template (`mpc`); anything a node runs. The node binary does not link this crate.

pub mod accuracy;
pub mod capture;
mod error;
pub mod index;
pub mod npy;
pub mod oracle;
pub mod profiles;
pub mod template;
pub mod vector;

pub use error::{Error, QualityError};
pub use template::Template;
