//! What a verifier hands to a member's device: its context, a challenge, and where the answer goes. Fetched from the verifier, it
//! is also what a QR code leads to.
//!
//! A presentation names its verifier, and a device must not take that name from whoever sends the request: a page at one place
//! could ask in the name of another. So a device tells [`ProofRequest::audience`] where it got the request, and that place may ask
//! for two kinds of context only: its own, whose verifier is the origin of the page; and those that other verifiers have it ask
//! for, whose id is [`via`] that origin. The latter are nobody else's: what one provider may ask for a site differs in its
//! pseudonyms from what another may, and from what the site asks by itself.
//!
//! **In scope**: the JSON, the origins. **Out of scope**: fetching and sending it (`client`), what a person is shown (`cli`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use types::Digest;

use crate::attributes::check_text;
use crate::{Challenge, Context, Envelope, Error, limits};

const KIND: &str = "trust-commons/proof-request";
const VERSION: u16 = 1;

/// One request, answered once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofRequest {
    /// For whom and what.
    pub context: Context,
    /// What the presentation answers.
    pub challenge: Challenge,
    /// Where to send the presentation, as JSON, by POST.
    pub answer: String,
}

impl ProofRequest {
    /// A request. `answer` is an `https` URL, or an `http` one on loopback.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn new(context: Context, challenge: Challenge, answer: &str) -> Result<Self, Error> {
        let request = Self { context, challenge, answer: answer.to_owned() };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Error> {
        let fits = check_text("answer", &self.answer, limits::ANSWER_URL_BYTES).is_ok();
        if !fits || origin(&self.answer).is_none() {
            return Err(Error::Request("it says no place on the web for the answer"));
        }
        if *self.challenge.context() != self.context.digest() {
            return Err(Error::WrongContext);
        }
        Ok(())
    }

    /// Whom a presentation for this request is for, given the URL from which the request was in fact fetched.
    ///
    /// # Errors
    /// [`Error::WrongAudience`] when that place may not ask for this context, or wants the answer sent elsewhere.
    pub fn audience(&self, fetched_from: &str) -> Result<&str, Error> {
        let place = origin(fetched_from).ok_or(Error::Request("it does not come from a place on the web"))?;
        let may_ask = self.context.verifier() == place || self.context.id() == via(place);
        if !may_ask || origin(&self.answer) != Some(place) {
            return Err(Error::WrongAudience);
        }
        Ok(self.context.verifier())
    }

    /// Four digits that the verifier's page and the device both show, so that a person sees that they belong together. They are
    /// no secret and prove nothing to anybody else.
    pub fn check_digits(&self) -> String {
        let digest = Digest::of("trust-commons/v1/check-digits", &[&self.challenge.to_bytes()]);
        let number = digest.0.iter().take(4).fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        format!("{:04}", number % 10_000)
    }

    /// JSON, in which a person can read the context.
    pub fn to_json(&self) -> String {
        let json = Json {
            kind: KIND.to_owned(),
            version: VERSION,
            context: self.context.clone(),
            challenge: URL_SAFE_NO_PAD.encode(self.challenge.to_bytes()),
            answer: self.answer.clone(),
        };
        serde_json::to_string(&json).expect("plain fields are JSON")
    }

    /// Reads what [`Self::to_json`] writes.
    ///
    /// # Errors
    /// [`Error::Envelope`], [`Error::Version`], [`Error::Request`], [`Error::WrongContext`], those of the challenge.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Envelope { expected: "proof-request" };
        if text.len() > limits::ENVELOPE_BYTES {
            let (got, limit) = (text.len(), limits::ENVELOPE_BYTES);
            return Err(types::Error::TooLarge { what: "proof-request", got, limit }.into());
        }
        let json: Json = serde_json::from_str(text).map_err(|_| wrong())?;
        if json.kind != KIND {
            return Err(wrong());
        }
        if json.version != VERSION {
            return Err(Error::Version { what: "proof-request", got: json.version, known: VERSION });
        }
        let challenge = Challenge::from_bytes(&URL_SAFE_NO_PAD.decode(json.challenge).map_err(|_| wrong())?)?;
        Self::new(json.context, challenge, &json.answer)
    }
}

/// The context id under which the provider at `origin` asks for other verifiers.
pub fn via(origin: &str) -> String {
    format!("via {origin}")
}

/// The origin of a URL as browsers write it: `https://shop.example`, `http://127.0.0.1:8080`. Nothing for anything else: other
/// schemes, plain http elsewhere than on this machine, names in capital letters, user names, default ports.
pub fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-".contains(&c);
    let named = !host.is_empty() && !host.starts_with(['.', '-']) && host.bytes().all(plain);
    let own = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let default = match scheme {
        "https" if named || own => "443",
        "http" if own => "80",
        _ => return None,
    };
    if let Some(port) = port {
        let number: u16 = port.parse().ok()?;
        if number == 0 || number.to_string() != port || port == default {
            return None;
        }
    }
    url.get(..scheme.len() + 3 + authority.len())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[serde(rename = "type")]
    kind: String,
    version: u16,
    context: Context,
    challenge: String,
    answer: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    const ID: &str = "https://id.example";

    fn request(context_id: &str, verifier: &str, answer: &str) -> ProofRequest {
        let context = Context::new(context_id, verifier, Kind::Standing).unwrap();
        let challenge = Challenge::new(&context, [7; 32], 1_800_000_000, 120);
        ProofRequest::new(context, challenge, answer).unwrap()
    }

    #[test]
    fn a_place_asks_for_its_own_contexts_and_those_named_after_it() {
        let answer = "https://id.example/answer/1";
        let own = request("members", ID, answer);
        assert_eq!(own.audience("https://id.example/request/1"), Ok(ID));
        let shop = request(&via(ID), "https://shop.example", answer);
        assert_eq!(shop.audience("https://id.example/request/1"), Ok("https://shop.example"));
        for (theirs, from) in [
            (&request("members", "https://shop.example", answer), "https://id.example/request/1"),
            (&request(&via("https://other.example"), "https://shop.example", answer), "https://id.example/request/1"),
            (&shop, "https://evil.example/request/1"),
            (&request("members", ID, "https://evil.example/answer"), "https://id.example/request/1"),
        ] {
            assert_eq!(theirs.audience(from), Err(Error::WrongAudience), "{theirs:?} from {from}");
        }
        assert!(own.audience("id.example").is_err());
    }

    #[test]
    fn requests_are_read_as_written_and_belong_together() {
        let mut one = request(&via(ID), "https://shop.example", "https://id.example/answer/1");
        assert_eq!(ProofRequest::from_json(&one.to_json()), Ok(one.clone()));
        assert_eq!(one.check_digits().len(), 4);
        one.context = Context::new("other", "https://shop.example", Kind::Standing).unwrap();
        assert_eq!(ProofRequest::from_json(&one.to_json()), Err(Error::WrongContext));
        for bad in ["", "{}", "[]", &"x".repeat(40_000)] {
            assert!(ProofRequest::from_json(bad).is_err());
        }
    }

    #[test]
    fn origins_are_written_in_one_way() {
        for (url, expected) in [
            ("https://shop.example/a?b#c", "https://shop.example"),
            ("https://shop.example:8443", "https://shop.example:8443"),
            ("http://127.0.0.1:80801", ""),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/x", "http://[::1]:8080"),
            ("http://localhost/", "http://localhost"),
            ("http://shop.example/", ""),
            ("https://Shop.example/", ""),
            ("https://shop.example:443/", ""),
            ("https://a@shop.example/", ""),
            ("https://shop.example\\@evil.example/", ""),
            ("https:///x", ""),
            ("ftp://shop.example", ""),
            ("https://shop.example:/", ""),
            ("https://shop.example:08443/", ""),
        ] {
            assert_eq!(origin(url).unwrap_or_default(), expected, "{url}");
        }
    }
}
