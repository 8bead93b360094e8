//! Token Status List (draft-ietf-oauth-status-list): one bit per credential, in a signed token that everybody fetches alike, so that a
//! verifier learns whether a credential stands and the issuer does not learn which one was asked about.

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde_json::{Value, json};

use crate::jose::{Jwk, Token, base64url, from_base64url};

/// `typ` of the token.
pub const TYP: &str = "statuslist+jwt";
/// Places of one list.
pub const PLACES: usize = 1 << 16;
/// Bytes of a list that is read, unpacked.
const LIST_BYTES: usize = 1 << 20;

/// A list with one bit for each place: 0 stands, 1 is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusList(Vec<u8>);

impl StatusList {
    /// A list in which every place is ended.
    pub fn all_ended() -> Self {
        Self(vec![0xff; PLACES / 8])
    }

    /// This place stands.
    pub fn stand(&mut self, place: usize) {
        if let Some(byte) = self.0.get_mut(place / 8) {
            *byte &= !(1 << (place % 8));
        }
    }

    /// Does it? Nothing for a place outside of the list.
    pub fn stands(&self, place: usize) -> Option<bool> {
        self.0.get(place / 8).map(|byte| byte >> (place % 8) & 1 == 0)
    }

    /// The claim `status_list`.
    pub fn to_json(&self) -> Value {
        json!({ "bits": 1, "lst": base64url(compress_to_vec_zlib(&self.0, 6)) })
    }

    /// The payload of its token.
    pub fn payload(&self, uri: &str, now: u64, ttl_s: u64) -> Value {
        json!({ "sub": uri, "iat": now, "exp": now.saturating_add(2 * ttl_s), "ttl": ttl_s, "status_list": self.to_json() })
    }

    /// Reads a token for `uri`, signed by `key` and of this time. Nothing if it is anything else.
    pub fn verify(token: &str, uri: &str, key: &Jwk, now: u64) -> Option<Self> {
        let payload = Token::parse(token).ok()?.verify(TYP, key).ok()?;
        let time = |name: &str| payload.get(name).and_then(Value::as_u64);
        if payload.get("sub").and_then(Value::as_str) != Some(uri) || time("exp").is_some_and(|end| now >= end) {
            return None;
        }
        let list = payload.get("status_list")?;
        let bits = list.get("bits").and_then(Value::as_u64)?;
        let packed = from_base64url(list.get("lst")?.as_str()?)?;
        (bits == 1).then(|| decompress_to_vec_zlib_with_limit(&packed, LIST_BYTES).ok()).flatten().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::SigningKey;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let mut list = StatusList::all_ended();
        list.stand(0);
        list.stand(9);
        list.stand(PLACES - 1);
        list.stand(PLACES);
        let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let token = key.sign(TYP, json!({}), &list.payload("u", 100, 60)).unwrap();
        let read = StatusList::verify(&token, "u", key.public(), 150).unwrap();
        assert_eq!(read, list);
        assert_eq!((read.stands(9), read.stands(8), read.stands(PLACES)), (Some(true), Some(false), None));
        assert!(StatusList::verify(&token, "v", key.public(), 150).is_none());
        assert!(StatusList::verify(&token, "u", key.public(), 220).is_none());
    }

    /// The example of the draft's section 4.1: sixteen places of one bit.
    #[test]
    fn the_example_of_the_specification_is_read() {
        let packed = from_base64url("eNrbuRgAAhcBXQ").unwrap();
        let list = StatusList(decompress_to_vec_zlib_with_limit(&packed, 100).unwrap());
        let ended = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
        for (place, ended) in ended.into_iter().enumerate() {
            assert_eq!(list.stands(place), Some(ended == 0), "place {place}");
        }
    }

    #[test]
    fn a_list_that_unpacks_to_too_much_is_refused() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let bomb = base64url(compress_to_vec_zlib(&vec![0; LIST_BYTES + 1], 9));
        let payload = json!({ "sub": "u", "status_list": { "bits": 1, "lst": bomb } });
        assert!(StatusList::verify(&key.sign(TYP, json!({}), &payload).unwrap(), "u", key.public(), 0).is_none());
    }
}
