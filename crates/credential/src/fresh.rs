//! Randomness, passed in.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bbs::Stream;

/// 32 fresh random bytes for one operation, which consumes them. Never make two of the same bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Fresh([u8; 32]);

impl Fresh {
    /// From a cryptographic generator.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The scalars of one proof. Bound to the statement and the secret, so that bytes used twice by mistake reveal nothing.
    pub(crate) fn stream(&self, domain: &str, bound: &[&[u8]]) -> Stream {
        Stream::new(&self.0, domain, bound)
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh(<redacted>)")
    }
}
