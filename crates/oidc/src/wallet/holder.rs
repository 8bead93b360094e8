//! The wallet's own side: keys, credentials, which of them was shown to whom, and answers. Values in, values out; whoever keeps a
//! wallet keeps its text secret, since it holds the keys.
//!
//! **In scope**: OpenID4VCI and OpenID4VP as a holder speaks them, with the issuer and the verifier of this crate or another one that
//! asks for as little. **Out of scope**: fetching and sending, files (`cli`).

use credential::origin;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::issue::PROOF_TYP;
use super::verify::{ANY_WALLET, REQUEST_TYP};
use super::{CONFIGURATION, Query};
use crate::jose::{JoseError, Jwk, SigningKey, Token, base64url, from_base64url};
use crate::sdjwt::{SdJwt, SdJwtError};

/// Credentials of one wallet, and bytes of its text.
const CREDENTIALS: usize = 1000;
const WALLET_BYTES: usize = 4 * 1024 * 1024;

/// Why a wallet cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// A token or a key.
    #[error(transparent)]
    Token(#[from] JoseError),
    /// A credential.
    #[error(transparent)]
    Credential(#[from] SdJwtError),
    /// Not a wallet's text.
    #[error("this is not a wallet, or it was altered; get new credentials")]
    Wallet,
    /// What the issuer sent is not what was asked for.
    #[error("the issuer did not send what was asked for: {0}")]
    Issuer(&'static str),
    /// What the verifier sent cannot be answered.
    #[error("this request cannot be answered: {0}")]
    Request(&'static str),
    /// No credential fits.
    #[error("no credential here fits: get one of this type, or one that says what is asked")]
    NoneFits,
    /// Each one that fits was shown to another verifier.
    #[error(
        "each credential that fits was shown to another verifier, which could compare notes with this one; get new ones"
    )]
    AllShown,
}

/// Keys for one batch, before the credentials come.
pub struct Batch {
    keys: Vec<(Zeroizing<Vec<u8>>, SigningKey)>,
}

impl Batch {
    /// So many new keys.
    ///
    /// # Errors
    /// [`WalletError::Token`].
    pub fn new(count: usize) -> Result<Self, WalletError> {
        let key = || {
            let secret = SigningKey::generate()?;
            let key = SigningKey::from_pkcs8(&secret)?;
            Ok((secret, key))
        };
        Ok(Self { keys: (0..count.min(CREDENTIALS)).map(|_| key()).collect::<Result<_, JoseError>>()? })
    }

    /// The body of the credential request: a proof for each key.
    ///
    /// # Errors
    /// [`WalletError::Token`].
    pub fn request(&self, issuer: &str, nonce: &str, now: u64) -> Result<Value, WalletError> {
        let payload = json!({ "aud": issuer, "iat": now, "nonce": nonce });
        let proof = |(_, key): &(_, SigningKey)| key.sign(PROOF_TYP, json!({ "jwk": key.public().to_json() }), &payload);
        let proofs = self.keys.iter().map(proof).collect::<Result<Vec<_>, JoseError>>()?;
        Ok(json!({ "credential_configuration_id": CONFIGURATION, "proofs": { "jwt": proofs } }))
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} keys, <redacted>)", self.keys.len())
    }
}

/// Credentials with their keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wallet {
    version: u16,
    credentials: Vec<Held>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    key: String,
    credential: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Shown>,
}

/// To whom a credential was shown: to this verifier and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The verifier, by its key.
    pub to: String,
    /// Where it asked.
    pub origin: String,
    /// When first.
    pub at: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// What a person reads about one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Who issued it.
    pub issuer: String,
    /// What it can show.
    pub claims: Vec<String>,
    /// When it ends at the latest.
    pub expires_at: u64,
    /// To whom it was shown.
    pub shown: Option<Shown>,
    /// Where its status is, and its place there.
    pub status: Option<(String, u64)>,
}

impl Wallet {
    /// An empty one.
    pub fn new() -> Self {
        Self { version: 1, credentials: Vec::new() }
    }

    /// Reads [`Self::to_text`].
    ///
    /// # Errors
    /// [`WalletError::Wallet`].
    pub fn from_text(text: &str) -> Result<Self, WalletError> {
        let wallet: Self = Some(text)
            .filter(|text| text.len() <= WALLET_BYTES)
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or(WalletError::Wallet)?;
        let fits = wallet.version == 1 && wallet.credentials.len() <= CREDENTIALS;
        if fits { Ok(wallet) } else { Err(WalletError::Wallet) }
    }

    /// Its text, which holds the keys.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(serde_json::to_string(self).expect("texts are JSON"))
    }

    /// Takes in what the issuer sent for a batch: each credential must be signed by one of `keys` (the issuer's JWK Set), of this issuer,
    /// valid, and for one of the batch's keys.
    ///
    /// # Errors
    /// [`WalletError::Issuer`], [`WalletError::Credential`].
    pub fn take_in(
        &mut self,
        batch: Batch,
        answer: &Value,
        issuer: &str,
        keys: &Value,
        now: u64,
    ) -> Result<usize, WalletError> {
        let list = answer.get("credentials").and_then(Value::as_array).ok_or(WalletError::Issuer("no credentials"))?;
        if list.len() > batch.keys.len() {
            return Err(WalletError::Issuer("more credentials than keys"));
        }
        let mut own = batch.keys;
        let mut taken = Vec::new();
        for one in list {
            let text = one.get("credential").and_then(Value::as_str).ok_or(WalletError::Issuer("no credential"))?;
            let sd_jwt = SdJwt::parse(text)?;
            let kid = sd_jwt.key_name()?;
            let key = published(keys, &kid).ok_or(WalletError::Issuer("its key is not published"))?;
            let claims = sd_jwt.verify(&key, now)?;
            let holder = claims.get("cnf").and_then(|cnf| cnf.get("jwk")).and_then(|jwk| Jwk::from_json(jwk).ok());
            let place = own.iter().position(|(_, key)| Some(key.public()) == holder.as_ref());
            let place = place.ok_or(WalletError::Issuer("a credential is for no key of this batch"))?;
            if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
                return Err(WalletError::Issuer("a credential names another issuer"));
            }
            let (secret, _) = own.swap_remove(place);
            let key = base64url(secret.as_slice());
            taken.push(Held { key, credential: text.to_owned(), shown: None });
        }
        let count = taken.len();
        self.forget_ended(now);
        self.credentials.extend(taken);
        if self.credentials.len() > CREDENTIALS {
            return Err(WalletError::Issuer("more credentials than a wallet holds"));
        }
        Ok(count)
    }

    /// Drops credentials whose time is over.
    pub fn forget_ended(&mut self, now: u64) {
        self.credentials.retain(|held| summary(held).is_some_and(|summary| summary.expires_at > now));
    }

    /// Drops the credentials of one issuer: they were ended there.
    pub fn forget_of(&mut self, issuer: &str) {
        self.credentials.retain(|held| summary(held).is_some_and(|summary| summary.issuer != issuer));
    }

    /// What is in it.
    pub fn summaries(&self) -> Vec<Summary> {
        self.credentials.iter().filter_map(summary).collect()
    }

    /// Which credentials an answer to `request` could be made of: `None` when none fits, and otherwise the values that it would show.
    pub fn would_show(&self, request: &Asking) -> Option<Vec<(String, Value)>> {
        let held = self.credentials.iter().find(|held| fits(held, &request.query))?;
        let sd_jwt = SdJwt::parse(&held.credential).ok()?;
        let show = |(name, _): &(String, _)| Some((name.clone(), sd_jwt.value(name)?.clone()));
        request.query.claims.iter().map(show).collect()
    }

    /// Answers a verifier, with a credential that no other verifier has seen. Gives the form to post, and whose credential it is. Keep
    /// the wallet before it is posted: it remembers what was shown.
    ///
    /// # Errors
    /// [`WalletError::NoneFits`], [`WalletError::AllShown`], [`WalletError::Token`].
    pub fn answer(&mut self, request: &Asking, now: u64) -> Result<(String, String), WalletError> {
        let to = &request.client_id;
        let fitting: Vec<usize> =
            self.credentials.iter().enumerate().filter(|(_, held)| fits(held, &request.query)).map(|(at, _)| at).collect();
        let shown_to = |at: &usize| self.credentials.get(*at)?.shown.as_ref().map(|shown| &shown.to);
        let again = fitting.iter().find(|at| shown_to(at) == Some(to));
        let chosen = again.or_else(|| fitting.iter().find(|at| shown_to(at).is_none()));
        let chosen = *chosen.ok_or(if fitting.is_empty() { WalletError::NoneFits } else { WalletError::AllShown })?;
        let held = self.credentials.get_mut(chosen).ok_or(WalletError::Wallet)?;
        let secret = Zeroizing::new(from_base64url(&held.key).ok_or(WalletError::Wallet)?);
        let names: Vec<String> = request.query.claims.iter().map(|(name, _)| name.clone()).collect();
        let sd_jwt = SdJwt::parse(&held.credential)?;
        let shown = sd_jwt.present(&names, &SigningKey::from_pkcs8(&secret)?, to, &request.nonce, now)?;
        held.shown.get_or_insert_with(|| Shown { to: to.clone(), origin: request.origin.clone(), at: now });
        let token = json!({ request.query.id.as_str(): [shown] }).to_string();
        let mut form = format!("vp_token={}", crate::form::encode(&token));
        if let Some(state) = &request.state {
            form += &format!("&state={}", crate::form::encode(state));
        }
        let issuer = summary(held).ok_or(WalletError::Wallet)?.issuer;
        Ok((form, issuer))
    }
}

impl Default for Wallet {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallet({} credentials, <redacted>)", self.credentials.len())
    }
}

/// The key of this name in a JWK Set.
pub fn published(keys: &Value, kid: &str) -> Option<Jwk> {
    let all = keys.get("keys").and_then(Value::as_array)?;
    let key = all.iter().find(|key| key.get("kid").and_then(Value::as_str) == Some(kid))?;
    Jwk::from_json(key).ok()
}

fn summary(held: &Held) -> Option<Summary> {
    let sd_jwt = SdJwt::parse(&held.credential).ok()?;
    let seen = sd_jwt.unverified().ok()?;
    let status = seen.get("status").and_then(|status| status.get("status_list"));
    let status = status.and_then(|one| Some((one.get("uri")?.as_str()?.to_owned(), one.get("idx")?.as_u64()?)));
    Some(Summary {
        issuer: seen.get("iss")?.as_str()?.to_owned(),
        claims: sd_jwt.names().map(str::to_owned).collect(),
        expires_at: seen.get("exp")?.as_u64()?,
        shown: held.shown.clone(),
        status,
    })
}

fn fits(held: &Held, query: &Query) -> bool {
    let Ok(sd_jwt) = SdJwt::parse(&held.credential) else { return false };
    let vct = sd_jwt.unverified().ok().and_then(|seen| seen.get("vct")?.as_str().map(str::to_owned));
    let shows =
        |(name, values): &(String, Vec<Value>)| sd_jwt.value(name).is_some_and(|value| Query::accepts(values, value));
    vct.is_some_and(|vct| query.vct_values.contains(&vct)) && query.claims.iter().all(shows)
}

/// A verifier's request, as a wallet believes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// The verifier, by its key.
    pub client_id: String,
    /// What it calls itself; nobody has checked that.
    pub name: Option<String>,
    /// Where it was fetched and where the answer goes: one origin.
    pub origin: String,
    /// Where exactly.
    pub response_uri: String,
    /// What it asks for.
    pub query: Query,
    nonce: String,
    state: Option<String>,
}

impl Asking {
    /// Reads the request object that was fetched from `fetched_from`. `client_id` is what the link or QR code said.
    ///
    /// # Errors
    /// [`WalletError::Request`], [`WalletError::Token`].
    pub fn read(object: &str, fetched_from: &str, client_id: &str, now: u64) -> Result<Self, WalletError> {
        let encoded = client_id
            .strip_prefix("decentralized_identifier:did:jwk:")
            .ok_or(WalletError::Request("the verifier is named in a way that this wallet does not know"))?;
        let key = from_base64url(encoded).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let key = Jwk::from_json(&key.ok_or(WalletError::Request("the verifier's name is no key"))?)?;
        let payload = Token::parse(object.trim())?.verify(REQUEST_TYP, &key)?;
        let text = |name: &str| payload.get(name).and_then(Value::as_str);
        let need = |name: &'static str| text(name).ok_or(WalletError::Request("something is missing in it"));
        if text("client_id") != Some(client_id) || text("aud") != Some(ANY_WALLET) {
            return Err(WalletError::Request("it is for another verifier or another wallet"));
        }
        if text("response_type") != Some("vp_token") || text("response_mode") != Some("direct_post") {
            return Err(WalletError::Request("it wants an answer in a way that this wallet does not know"));
        }
        if payload.contains_key("transaction_data") {
            return Err(WalletError::Request("it wants a transaction agreed to, which this wallet does not do"));
        }
        if payload.get("exp").and_then(Value::as_u64).is_some_and(|end| now > end) {
            return Err(WalletError::Request("it has expired; ask for a new one"));
        }
        let response_uri = need("response_uri")?;
        let place = origin(response_uri).filter(|place| origin(fetched_from) == Some(*place));
        let place = place.ok_or(WalletError::Request("its answer would go elsewhere than it came from"))?;
        let query = payload.get("dcql_query").and_then(Query::from_json);
        let name = payload.get("client_metadata").and_then(|about| about.get("client_name")).and_then(Value::as_str);
        Ok(Self {
            client_id: client_id.to_owned(),
            name: name.map(str::to_owned),
            origin: place.to_owned(),
            response_uri: response_uri.to_owned(),
            query: query.ok_or(WalletError::Request("it asks for more than this wallet holds"))?,
            nonce: need("nonce")?.to_owned(),
            state: text("state").map(str::to_owned),
        })
    }
}
