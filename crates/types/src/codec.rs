//! Canonical encoding: borsh, with a size limit checked before a byte is parsed.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::Error;

/// The canonical bytes of `value`.
///
/// # Panics
/// Never for this crate's messages: borsh fails only when a collection has more than 2^32 elements.
pub fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("messages have fewer than 2^32 elements")
}

/// Reads exactly one `T` of at most `limit` bytes. Trailing bytes are an error, so that one value has one encoding.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Malformed`].
pub fn decode<T: BorshDeserialize>(what: &'static str, bytes: &[u8], limit: usize) -> Result<T, Error> {
    if bytes.len() > limit {
        return Err(Error::TooLarge { what, got: bytes.len(), limit });
    }
    borsh::from_slice(bytes).map_err(|_| Error::Malformed { what })
}
