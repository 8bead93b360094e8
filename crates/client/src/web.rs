//! A member's device on the web: fetches what a verifier asks and sends the answer there.
//!
//! HTTPS with the certificates that this machine trusts, plain HTTP on loopback alone; no redirects, so that an answer goes where the
//! request came from; bodies and times are bounded. What an address may ask for is `credential::ProofRequest::audience`.
//!
//! **In scope**: the calls. **Out of scope**: making the presentation (`credential`), asking the person (`cli`).

use std::time::Duration;

use credential::{Envelope, Presentation, ProofRequest, origin};
use serde_json::Value;

use crate::Error;

/// Bytes of an answer that is read.
const REPLY_BYTES: usize = 1024 * 1024;
const TIME: Duration = Duration::from_secs(20);

/// Calls to verifiers and issuers, who are no nodes.
#[derive(Debug, Clone)]
pub struct Web {
    client: reqwest::Client,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The text.
    pub body: String,
}

impl Reply {
    /// JSON, if the call succeeded; else what the other side says is wrong.
    ///
    /// # Errors
    /// [`Error::Web`].
    pub fn json(&self) -> Result<Value, Error> {
        let value: Option<Value> = serde_json::from_str(&self.body).ok();
        if (200..300).contains(&self.status) {
            return value.ok_or(Error::Web { what: "it sent no JSON".to_owned() });
        }
        let said = value.as_ref().and_then(|value| value.get("detail").or(value.get("error_description"))?.as_str());
        // Somebody else's words go to a terminal: one line, and not without end.
        let said: String = said.unwrap_or("it does not say why").chars().filter(|c| !c.is_control()).take(300).collect();
        Err(Error::Web { what: format!("it answered {}: {said}", self.status) })
    }
}

impl Web {
    /// Ready to call.
    ///
    /// # Errors
    /// [`Error::Http`].
    pub fn new() -> Result<Self, Error> {
        // Whoever was first has chosen the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIME);
        Ok(Self { client: builder.build().map_err(|_| Error::Http)? })
    }

    /// Fetches.
    ///
    /// # Errors
    /// [`Error::Web`].
    pub async fn get(&self, url: &str) -> Result<Reply, Error> {
        self.send(self.client.get(check(url)?)).await
    }

    /// Sends.
    ///
    /// # Errors
    /// [`Error::Web`].
    pub async fn post(&self, url: &str, kind: &str, body: String, bearer: Option<&str>) -> Result<Reply, Error> {
        let mut request = self.client.post(check(url)?).header("content-type", kind).body(body);
        if let Some(token) = bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply, Error> {
        let away = |_| Error::Web { what: "it does not answer".to_owned() };
        let mut response = request.send().await.map_err(away)?;
        let (status, mut bytes) = (response.status().as_u16(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if bytes.len() + chunk.len() > REPLY_BYTES {
                return Err(Error::Web { what: "it sent too much".to_owned() });
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = String::from_utf8(bytes).map_err(|_| Error::Web { what: "it sent no text".to_owned() })?;
        Ok(Reply { status, body })
    }

    /// Fetches a request for a proof.
    ///
    /// # Errors
    /// [`Error::Web`].
    pub async fn proof_request(&self, url: &str) -> Result<ProofRequest, Error> {
        let reply = self.get(url).await?;
        reply.json()?;
        ProofRequest::from_json(&reply.body).map_err(|error| Error::Web { what: error.to_string() })
    }

    /// Sends the answer to a request. What else the verifier says comes back.
    ///
    /// # Errors
    /// [`Error::Web`].
    pub async fn answer(&self, request: &ProofRequest, presentation: &Presentation) -> Result<Value, Error> {
        self.post(&request.answer, "application/json", presentation.to_json(), None).await?.json()
    }
}

fn check(url: &str) -> Result<&str, Error> {
    let what = "its address must begin with https:// and a host in small letters (http on this machine only)".to_owned();
    origin(url).map(|_| url).ok_or(Error::Web { what })
}
