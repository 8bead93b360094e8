//! One vector in JSON, from a person's own extractor: `[0.1, 0.2, ...]` or `{"vector": [0.1, 0.2, ...]}`.

use serde::Deserialize;
use types::limits;
use zeroize::Zeroizing;

use crate::Error;

/// Reads a vector (wiped when dropped). Other members of an object are ignored.
///
/// # Errors
/// [`Error::TooLarge`] above [`limits::VECTOR_FILE_BYTES`]; [`Error::Vector`] if the bytes are not such JSON. JSON has no NaN.
pub fn from_json(bytes: &[u8]) -> Result<Zeroizing<Vec<f64>>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Shape {
        Bare(Vec<f64>),
        Named { vector: Vec<f64> },
    }
    if bytes.len() > limits::VECTOR_FILE_BYTES {
        return Err(Error::TooLarge { what: "the vector file", got: bytes.len(), limit: limits::VECTOR_FILE_BYTES });
    }
    // The parser's own message may quote values of the vector, so it is not passed on.
    match serde_json::from_slice(bytes).map_err(|_| Error::Vector)? {
        Shape::Bare(vector) | Shape::Named { vector } => Ok(Zeroizing::new(vector)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        assert_eq!(*from_json(b"[1, -0.5, 2e-3]").unwrap(), [1.0, -0.5, 0.002]);
        assert_eq!(*from_json(b" {\"model\": \"mine\", \"vector\": [1, 2]}\n").unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn anything_else_is_refused_without_quoting_it() {
        for bad in ["", "[1, NaN]", "[1, \"2\"]", "{\"vec\": [1]}", "[1, 2", "[[1, 2]]", "[1,2] x"] {
            assert_eq!(from_json(bad.as_bytes()), Err(Error::Vector), "{bad}");
        }
        let long = vec![b' '; limits::VECTOR_FILE_BYTES + 1];
        assert!(matches!(from_json(&long), Err(Error::TooLarge { .. })));
    }
}
