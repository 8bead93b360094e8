//! Verifying (OpenID4VP 1.0, `direct_post`): a registered client asks, the wallet answers here, the client fetches what was shown.
//!
//! The request is a signed object (RFC 9101) under a `did:jwk` of the provider's newest key, so that a wallet's proof is bound to that
//! key. An answer counts once. The credential must be of this issuer, unaltered, stand in its status list, and disclose what was asked.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::store::Asked;
use super::{CONFIGURATION, FORMAT, Query};
use crate::Error;
use crate::config::Client;
use crate::form::{Form, WALLET_FORM_BYTES, with_query};
use crate::jose::base64url;
use crate::provider::{OAuthError, Provider, TokenFault, claim, id, random};
use crate::sdjwt::{SdJwt, SdJwtError};

/// `typ` of a request object.
pub const REQUEST_TYP: &str = "oauth-authz-req+jwt";
/// Its audience, where the wallet is not known (OpenID4VP section 5.8).
pub const ANY_WALLET: &str = "https://self-issued.me/v2";
/// Seconds for which a request waits, and for which its answer can be fetched after.
const WAIT_S: u64 = 300;
const KEEP_S: u64 = 600;

impl Provider {
    /// Under which a wallet's answer is for this verifier.
    ///
    /// # Errors
    /// [`Error::Internal`]: never.
    pub fn verifier_id(&self) -> Result<String, Error> {
        Ok(format!("decentralized_identifier:did:jwk:{}", base64url(self.keys.newest()?.public().to_json().to_string())))
    }

    /// A client asks for a presentation. Gives what to show the person, and where to fetch the outcome.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn ask_wallet(&self, authorization: Option<&str>) -> Result<Value, TokenFault> {
        let client = self.confidential(authorization)?;
        let number: [u8; 16] = random()?;
        let (nonce, state) = (base64url(random::<32>()?), base64url(random::<16>()?));
        let expires_at = self.now().saturating_add(WAIT_S + KEEP_S);
        let asked = Asked { client: client.id.clone(), nonce, state, result: None, expires_at };
        self.store.ask(&number, &asked).await?;
        self.metrics.attempt(&client.id, "wallet-asked");
        let number = base64url(number);
        let request_uri = self.url(&format!("/vp/object/{number}"));
        let (verifier, result) = (self.verifier_id()?, self.url(&format!("/vp/requests/{number}")));
        let link = with_query("openid4vp://", &[("client_id", &verifier), ("request_uri", &request_uri)]);
        Ok(json!({ "id": number, "request_uri": request_uri, "link": link, "result": result, "expires_in": WAIT_S }))
    }

    async fn asked(&self, text: &str) -> Result<Option<([u8; 16], Asked, &Client)>, Error> {
        let Some(number) = id(text) else { return Ok(None) };
        let asked = self.store.asked(&number).await?.filter(|asked| self.now() <= asked.expires_at);
        Ok(asked.and_then(|asked| self.clients.client(&asked.client).map(|client| (number, asked, client))))
    }

    fn query(&self, client: &Client) -> Query {
        let wanted = client.context.demands().iter();
        let values = |values: &[String]| values.iter().map(|value| json!(value)).collect();
        let claims = wanted.map(|demand| (claim(demand.attribute), values(&demand.one_of))).collect();
        Query { id: CONFIGURATION.to_owned(), vct_values: vec![self.vct()], claims }
    }

    /// The request object that a wallet fetches.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`], [`Error::Jose`].
    pub async fn request_object(&self, number: &str) -> Result<Option<String>, Error> {
        let Some((_, asked, client)) = self.asked(number).await? else { return Ok(None) };
        let now = self.now();
        if asked.result.is_some() || now > asked.expires_at.saturating_sub(KEEP_S) {
            return Ok(None);
        }
        let verifier = self.verifier_id()?;
        let did = verifier.trim_start_matches("decentralized_identifier:");
        let algorithms = json!({ FORMAT: { "sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"] } });
        let payload = json!({
            "iss": verifier,
            "client_id": verifier,
            "aud": ANY_WALLET,
            "iat": now,
            "exp": asked.expires_at.saturating_sub(KEEP_S),
            "response_type": "vp_token",
            "response_mode": "direct_post",
            "response_uri": self.url(&format!("/vp/response/{number}")),
            "nonce": asked.nonce,
            "state": asked.state,
            "dcql_query": self.query(client).to_json(),
            "client_metadata": { "client_name": client.name, "vp_formats_supported": algorithms },
        });
        let header = json!({ "kid": format!("{did}#0") });
        Ok(Some(self.keys.newest()?.sign(REQUEST_TYP, header, &payload)?))
    }

    /// A wallet's answer.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn take_presentation(&self, number: &str, body: &str) -> Result<Value, TokenFault> {
        let gone = OAuthError::new(404, "invalid_request", "no such request waits here; ask the verifier for a new one");
        let (key, asked, client) = self.asked(number).await?.ok_or(gone)?;
        let now = self.now();
        if now > asked.expires_at.saturating_sub(KEEP_S) {
            self.metrics.attempt(&client.id, "wallet-expired");
            return Err(gone.into());
        }
        let form = Form::parse_within(body, WALLET_FORM_BYTES)
            .map_err(|_| OAuthError::new(400, "invalid_request", "the body is no form"))?;
        if form.value("state") != Some(asked.state.as_str()) {
            return Err(OAuthError::new(400, "invalid_request", "the state is another than in the request").into());
        }
        if form.value("error").is_some() {
            self.metrics.attempt(&client.id, "wallet-refused");
            return Ok(json!({}));
        }
        if asked.result.is_some() {
            self.metrics.attempt(&client.id, "wallet-replayed");
            return Err(OAuthError::new(400, "invalid_request", "this request was answered before").into());
        }
        if !self.store.count_presentation(&key).await? {
            return Err(OAuthError::new(429, "invalid_request", "too many answers that do not hold").into());
        }
        let shown = match self.believe(&form, &asked, client).await? {
            Ok(shown) => shown,
            Err((outcome, description)) => {
                self.metrics.attempt(&client.id, outcome);
                tracing::info!(client = client.id, outcome, "a wallet's answer does not count");
                return Err(OAuthError::new(400, "invalid_request", description).into());
            }
        };
        if !self.store.answered(&key, &shown).await? {
            return Err(OAuthError::new(400, "invalid_request", "this request was answered before").into());
        }
        self.metrics.attempt(&client.id, "wallet-accepted");
        Ok(json!({}))
    }

    async fn believe(
        &self,
        form: &Form,
        asked: &Asked,
        client: &Client,
    ) -> Result<Result<BTreeMap<String, Value>, (&'static str, &'static str)>, Error> {
        const UNREADABLE: (&str, &str) = ("wallet-unreadable", "vp_token holds no SD-JWT under the query's id");
        let token: Option<Value> = form.value("vp_token").and_then(|text| serde_json::from_str(text).ok());
        let text = token.as_ref().and_then(|token| token.get(CONFIGURATION)).and_then(Value::as_array);
        let Some([Value::String(text)]) = text.map(Vec::as_slice) else { return Ok(Err(UNREADABLE)) };
        let Ok(sd_jwt) = SdJwt::parse(text) else { return Ok(Err(UNREADABLE)) };
        let key = sd_jwt.key_name().ok().and_then(|kid| self.keys.public(&kid));
        let Some(key) = key else { return Ok(Err(("wallet-issuer", "the credential is of another issuer"))) };
        let now = self.now();
        let claims = match sd_jwt.verify_presentation(key, &self.verifier_id()?, &asked.nonce, now, WAIT_S) {
            Ok(claims) => claims,
            Err(SdJwtError::Disclosure) => return Ok(Err(("wallet-altered", "a claim was altered or added"))),
            Err(SdJwtError::Time) => return Ok(Err(("wallet-ended", "the credential is not valid at this time"))),
            Err(SdJwtError::Binding) => {
                return Ok(Err(("wallet-binding", "the holder's proof is for another verifier, request or credential")));
            }
            Err(_) => return Ok(Err(("wallet-signature", "a signature does not hold"))),
        };
        if claims.get("iss").and_then(Value::as_str) != Some(self.config.issuer.as_str())
            || claims.get("vct").and_then(Value::as_str) != Some(self.vct().as_str())
        {
            return Ok(Err(("wallet-issuer", "the credential is of another issuer or type")));
        }
        if !self.stands(&claims).await? {
            return Ok(Err(("wallet-ended", "the credential has ended: the persona was not renewed, or was retired")));
        }
        let mut shown = BTreeMap::new();
        for (name, values) in self.query(client).claims {
            match claims.get(&name).filter(|value| Query::accepts(&values, value)) {
                Some(value) => shown.insert(name, value.clone()),
                None => return Ok(Err(("wallet-disclosure", "the credential does not disclose what was asked for"))),
            };
        }
        Ok(Ok(shown))
    }

    /// Does the credential stand in its status list?
    async fn stands(&self, claims: &Map<String, Value>) -> Result<bool, Error> {
        let status = claims.get("status").and_then(|status| status.get("status_list"));
        let place = status.and_then(|status| status.get("idx")).and_then(Value::as_u64);
        let uri = status.and_then(|status| status.get("uri")).and_then(Value::as_str).unwrap_or_default();
        let list = uri.rsplit('/').next().and_then(|number| number.parse::<u32>().ok());
        let (Some(place), Some(list)) = (place.and_then(|place| usize::try_from(place).ok()), list) else {
            return Ok(false);
        };
        let now = self.now();
        let accepts = |epoch| self.issuers.epochs().accepts(epoch, now);
        Ok(self.status_uri(list) == uri && self.store.status_list(list, accepts, now).await?.stands(place) == Some(true))
    }

    /// What was shown, for the client that asked.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn presentation_result(&self, number: &str, authorization: Option<&str>) -> Result<Value, TokenFault> {
        let client = self.confidential(authorization)?;
        let asked = self.asked(number).await?.filter(|(_, asked, _)| asked.client == client.id);
        let (_, asked, _) = asked.ok_or(OAuthError::new(404, "invalid_request", "no such request is known"))?;
        Ok(match asked.result {
            Some(shown) => json!({ "status": "answered", "member": true, "claims": shown }),
            None if self.now() > asked.expires_at.saturating_sub(KEEP_S) => json!({ "status": "expired" }),
            None => json!({ "status": "waits" }),
        })
    }
}
