//! `application/x-www-form-urlencoded`, as in queries and bodies of OAuth (RFC 6749 appendix B), read strictly.
//!
//! A parameter that comes twice is an error, one without a value counts as absent (RFC 6749 section 3.1).

use std::collections::BTreeMap;

/// Bytes of a query or a form.
pub const FORM_BYTES: usize = 8 * 1024;
/// Bytes of a wallet's answer, which carries a credential.
pub const WALLET_FORM_BYTES: usize = 80 * 1024;
/// Parameters in one.
pub const PARAMETERS: usize = 40;

/// Why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Too long, or too many parameters.
    #[error("the request is too long; send less")]
    TooLong,
    /// Not percent-encoded UTF-8.
    #[error("the request is not percent-encoded text; encode each value")]
    Encoding,
    /// A parameter twice.
    #[error("a parameter comes twice; send each once")]
    Twice,
}

/// Parameters by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads a query or a body.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse(text: &str) -> Result<Self, FormError> {
        Self::parse_within(text, FORM_BYTES)
    }

    /// The same, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse_within(text: &str, limit: usize) -> Result<Self, FormError> {
        if text.len() > limit {
            return Err(FormError::TooLong);
        }
        let mut form = BTreeMap::new();
        for (count, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if count >= PARAMETERS {
                return Err(FormError::TooLong);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if form.insert(name, value).is_some() {
                return Err(FormError::Twice);
            }
        }
        Ok(Self(form))
    }

    /// A value; nothing if absent or empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// One encoded name or value.
pub(crate) fn decode(text: &str) -> Result<String, FormError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    let digit = rest.next().and_then(|c| char::from(c).to_digit(16));
                    digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(FormError::Encoding)
                };
                digit()? << 4 | digit()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| FormError::Encoding)
}

/// A value as it stands in a query. Encodes everything but the unreserved characters of RFC 3986.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

/// `uri` with parameters added to its query.
pub fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = uri.to_owned();
    let mut separator = if uri.contains('?') { '&' } else { '?' };
    for (name, value) in parameters {
        out.push(separator);
        out += &format!("{}={}", encode(name), encode(value));
        separator = '&';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were() {
        for text in ["", "a b", "ü&=%+#", "https://shop.example/cb?x=1"] {
            let form = Form::parse(&format!("v={}&w=1", encode(text))).unwrap();
            assert_eq!(form.value("v").unwrap_or_default(), text);
            assert_eq!(form.value("w"), Some("1"));
        }
        assert_eq!(Form::parse("v=a+b&").unwrap().value("v"), Some("a b"));
        assert_eq!(with_query("https://a.example/?x=1", &[("s", "a b")]), "https://a.example/?x=1&s=a%20b");
    }

    #[test]
    fn what_is_ambiguous_or_broken_is_refused() {
        assert_eq!(Form::parse("a=1&a=2"), Err(FormError::Twice));
        assert_eq!(Form::parse("a=1&%61=1"), Err(FormError::Twice));
        for bad in ["a=%", "a=%2", "a=%zz", "a=%ff"] {
            assert_eq!(Form::parse(bad), Err(FormError::Encoding), "{bad}");
        }
        assert_eq!(Form::parse(&"x".repeat(FORM_BYTES + 1)), Err(FormError::TooLong));
        let many: Vec<String> = (0..=PARAMETERS).map(|i| format!("p{i}=1")).collect();
        assert_eq!(Form::parse(&many.join("&")), Err(FormError::TooLong));
    }
}
