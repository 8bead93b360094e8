//! The pieces that the C2SP text formats share: decimal numbers, base64, hashes on a line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use types::Digest;

use crate::Error;

/// Sizes and times stay below 2^63, as in the specifications and for the sake of other languages' integers.
pub(crate) const MAX_NUMBER: u64 = i64::MAX as u64;

/// An ASCII decimal without leading zeroes.
pub(crate) fn number(what: &'static str, text: &str) -> Result<u64, Error> {
    let bad = Error::Malformed { what, rule: "write numbers as decimals below 2^63 without leading zeroes" };
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match text.parse() {
        Ok(value) if plain && value <= MAX_NUMBER => Ok(value),
        _ => Err(bad),
    }
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Standard alphabet, padded, canonical: one text per value.
pub(crate) fn from_base64(what: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(text).map_err(|_| Error::Malformed { what, rule: "use standard base64 with padding" })
}

pub(crate) fn hash(what: &'static str, text: &str) -> Result<Digest, Error> {
    let bytes = from_base64(what, text)?;
    Ok(Digest(bytes.try_into().map_err(|_| Error::Malformed { what, rule: "a hash has 32 bytes" })?))
}

/// The first line, without its newline, and the rest.
pub(crate) fn split_line<'a>(what: &'static str, text: &'a str) -> Result<(&'a str, &'a str), Error> {
    text.split_once('\n').ok_or(Error::Malformed { what, rule: "every line ends with a newline" })
}

/// Checks the size, then UTF-8.
pub(crate) fn text<'a>(what: &'static str, bytes: &'a [u8], limit: usize) -> Result<&'a str, Error> {
    if bytes.len() > limit {
        return Err(Error::TooLarge { what, got: bytes.len(), limit });
    }
    std::str::from_utf8(bytes).map_err(|_| Error::Malformed { what, rule: "it must be UTF-8" })
}

/// Reads hashes, one a line, up to an empty line; returns them with what follows that line.
pub(crate) fn hashes<'a>(what: &'static str, mut rest: &'a str, limit: usize) -> Result<(Vec<Digest>, &'a str), Error> {
    let mut hashes = Vec::new();
    loop {
        let (line, after) = split_line(what, rest)?;
        rest = after;
        if line.is_empty() {
            return Ok((hashes, rest));
        }
        if hashes.len() == limit {
            return Err(Error::TooLarge { what, got: limit + 1, limit });
        }
        hashes.push(hash(what, line)?);
    }
}
