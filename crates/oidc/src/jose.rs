//! JSON Web Signature and Key (RFC 7515, 7517, 7638) with one algorithm, ES256 (RFC 7518 section 3.4), in compact form.
//!
//! One algorithm, so that a token cannot choose another. A reader says which `typ` it expects, so that a token of one kind never
//! passes as another. The curve is `ring`'s.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Bytes of a token that is read.
pub const TOKEN_BYTES: usize = 32 * 1024;
const ALGORITHM: &str = "ES256";

/// Why a token or key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoseError {
    /// Not a compact JWS of two JSON objects, or too long.
    #[error("this is not a signed token")]
    Malformed,
    /// Another kind of token, another algorithm, or critical headers.
    #[error("this token is of another kind")]
    Kind,
    /// The signature does not hold.
    #[error("the token's signature does not hold")]
    Signature,
    /// No key on P-256, or one with its secret half.
    #[error("this is not a public key on the curve P-256")]
    Key,
    /// The system gave no randomness, or the secret key is none.
    #[error("the signing key cannot be used")]
    Secret,
}

/// Base64 for URLs, without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads what [`base64url`] writes, and nothing else.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256.
pub fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(bytes.as_ref()).into()
}

/// A public key on P-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    x: [u8; 32],
    y: [u8; 32],
}

impl Jwk {
    /// From JSON. Members beside the key's own are ignored, except a secret half, which has no business here.
    ///
    /// # Errors
    /// [`JoseError::Key`].
    pub fn from_json(value: &Value) -> Result<Self, JoseError> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if text("kty") != Some("EC") || text("crv") != Some("P-256") || value.get("d").is_some() {
            return Err(JoseError::Key);
        }
        let number = |name: &str| {
            let bytes = text(name).filter(|text| text.len() == 43).and_then(from_base64url);
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(JoseError::Key)
        };
        Ok(Self { x: number("x")?, y: number("y")? })
    }

    /// The key's required members.
    pub fn to_json(&self) -> Value {
        json!({ "crv": "P-256", "kty": "EC", "x": base64url(self.x), "y": base64url(self.y) })
    }

    /// RFC 7638: names this key.
    pub fn thumbprint(&self) -> String {
        // The members in order, without spaces: as RFC 7638 section 3 wants them.
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, base64url(self.x), base64url(self.y));
        base64url(sha256(text))
    }

    /// Does the signature hold?
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let point = [&[4][..], &self.x, &self.y].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
    }
}

/// A key pair that signs tokens.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    public: Jwk,
}

impl SigningKey {
    /// A new secret key, as PKCS #8.
    ///
    /// # Errors
    /// [`JoseError::Secret`].
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, JoseError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Ok(Zeroizing::new(document.map_err(|_| JoseError::Secret)?.as_ref().to_vec()))
    }

    /// From PKCS #8.
    ///
    /// # Errors
    /// [`JoseError::Secret`].
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, JoseError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &random);
        let pair = pair.map_err(|_| JoseError::Secret)?;
        // Uncompressed: 4, x, y.
        let point: [u8; 65] = pair.public_key().as_ref().try_into().map_err(|_| JoseError::Secret)?;
        let half = |at: usize| point.get(at..at + 32).and_then(|half| half.try_into().ok()).ok_or(JoseError::Secret);
        let public = Jwk { x: half(1)?, y: half(33)? };
        Ok(Self { pair, random, public })
    }

    /// Its public half.
    pub fn public(&self) -> &Jwk {
        &self.public
    }

    /// A signed token of this kind. `header` has what it needs beside `alg` and `typ`.
    ///
    /// # Errors
    /// [`JoseError::Secret`].
    pub fn sign(&self, typ: &str, header: Value, payload: &Value) -> Result<String, JoseError> {
        let mut full = json!({ "alg": ALGORITHM, "typ": typ });
        if let (Value::Object(full), Value::Object(more)) = (&mut full, header) {
            full.extend(more);
        }
        let signed = format!("{}.{}", base64url(full.to_string()), base64url(payload.to_string()));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).map_err(|_| JoseError::Secret)?;
        Ok(format!("{signed}.{}", base64url(signature)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(<redacted>)")
    }
}

/// A token that was read and not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    header: Map<String, Value>,
    payload: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

impl Token {
    /// Takes it apart.
    ///
    /// # Errors
    /// [`JoseError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, JoseError> {
        if text.len() > TOKEN_BYTES {
            return Err(JoseError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JoseError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JoseError::Malformed)?;
        let object = |part: &str| {
            let bytes = from_base64url(part).ok_or(JoseError::Malformed)?;
            serde_json::from_slice(&bytes).map_err(|_| JoseError::Malformed)
        };
        let signature = from_base64url(signature).ok_or(JoseError::Malformed)?;
        Ok(Self { header: object(header)?, payload: object(payload)?, signed: signed.to_owned(), signature })
    }

    /// A member of the header. Means nothing before [`Self::verify`].
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.header.get(name)
    }

    /// The payload, before [`Self::verify`]: for choosing the key.
    pub fn unverified(&self) -> &Map<String, Value> {
        &self.payload
    }

    /// The payload, if this is a token of kind `typ` signed by `key`.
    ///
    /// # Errors
    /// [`JoseError::Kind`], [`JoseError::Signature`].
    pub fn verify(self, typ: &str, key: &Jwk) -> Result<Map<String, Value>, JoseError> {
        let text = |name: &str| self.header.get(name).and_then(Value::as_str);
        // Nothing here understands critical headers, so none may be there.
        if text("alg") != Some(ALGORITHM) || text("typ") != Some(typ) || self.header.contains_key("crit") {
            return Err(JoseError::Kind);
        }
        if !key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(JoseError::Signature);
        }
        Ok(self.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_believed_as_what_it_is_and_nothing_else() {
        let (key, other) = (key(), key());
        let text = key.sign("JWT", json!({ "kid": "k" }), &json!({ "sub": "me" })).unwrap();
        let read = || Token::parse(&text).unwrap();
        assert_eq!(read().verify("JWT", key.public()).unwrap()["sub"], "me");
        assert_eq!(read().header("kid"), Some(&json!("k")));
        assert_eq!(read().verify("kb+jwt", key.public()), Err(JoseError::Kind));
        assert_eq!(read().verify("JWT", other.public()), Err(JoseError::Signature));
        let parts: Vec<&str> = text.split('.').collect();
        for (header, expected) in [
            (json!({ "alg": "none", "typ": "JWT" }), JoseError::Kind),
            (json!({ "alg": "HS256", "typ": "JWT" }), JoseError::Kind),
            (json!({ "alg": "ES256", "typ": "JWT", "crit": ["x"] }), JoseError::Kind),
            (json!({ "alg": "ES256", "typ": "JWT" }), JoseError::Signature),
        ] {
            let altered = format!("{}.{}.{}", base64url(header.to_string()), parts[1], parts[2]);
            assert_eq!(Token::parse(&altered).unwrap().verify("JWT", key.public()), Err(expected), "{header}");
        }
        let altered = format!("{}.{}.{}", parts[0], base64url(r#"{"sub":"you"}"#), parts[2]);
        assert_eq!(Token::parse(&altered).unwrap().verify("JWT", key.public()), Err(JoseError::Signature));
        for bad in ["", ".", "..", "a.b.c", "e30.e30", "e30=.e30.", "W10.e30.", &"x".repeat(TOKEN_BYTES + 1)] {
            assert_eq!(Token::parse(bad), Err(JoseError::Malformed), "{bad:.20}");
        }
    }

    #[test]
    fn keys_are_read_as_written_and_never_with_their_secret() {
        let jwk = key().public().clone();
        assert_eq!(Jwk::from_json(&jwk.to_json()), Ok(jwk.clone()));
        for (name, value) in [("kty", json!("RSA")), ("crv", json!("P-384")), ("d", json!("AA")), ("x", json!("AA"))] {
            let mut wrong = jwk.to_json();
            wrong[name] = value;
            assert_eq!(Jwk::from_json(&wrong), Err(JoseError::Key), "{name}");
        }
        // Not on the curve: it verifies nothing.
        let zero = Jwk { x: [0; 32], y: [0; 32] };
        assert!(!zero.verifies(b"", &[0; 64]));
    }

    /// The example of RFC 7515 appendix A.3.
    #[test]
    fn the_example_of_the_specification_verifies() {
        let jwk = json!({ "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
        let message = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature =
            from_base64url("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
        assert!(Jwk::from_json(&jwk).unwrap().verifies(message.as_bytes(), &signature.unwrap()));
    }
}
