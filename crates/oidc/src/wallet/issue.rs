//! Issuing (OpenID4VCI 1.0, pre-authorized code): a proven persona is offered a batch of credentials, each for a key of its own.

use credential::{Attribute, Challenge, Context, Kind, Verified};
use serde_json::{Value, json};
use types::UnixSeconds;

use super::{CONFIGURATION, FORMAT};
use crate::Error;
use crate::form::Form;
use crate::jose::{Jwk, Token, base64url};
use crate::provider::{Accepted, Denied, OAuthError, Provider, TokenFault, bearer, claim, random};
use crate::sdjwt;
use crate::status::TYP;
use crate::store::{Answered, Disclosed, Purpose};

/// The issuer's own name for the context in which wallets prove themselves.
const CONTEXT: &str = "wallet";
/// Seconds for which a verifier may keep a status list.
pub const STATUS_TTL_S: u64 = 300;
/// Seconds by which a wallet's clock may differ.
const SKEW_S: u64 = 300;
/// `typ` of a proof of possession.
pub const PROOF_TYP: &str = "openid4vci-proof+jwt";

impl Provider {
    /// Type of the credential.
    pub fn vct(&self) -> String {
        self.url("/vct/membership")
    }

    pub(crate) fn status_uri(&self, list: u32) -> String {
        self.url(&format!("/status/{list}"))
    }

    /// Where a wallet's persona lives. To get credentials it discloses everything, which they then say; to renew or end them, nothing.
    pub(crate) fn wallet_context(&self, purpose: Purpose) -> Result<Context, Error> {
        let mut context = Context::new(CONTEXT, &self.config.issuer, Kind::Standing)?;
        if purpose == Purpose::Issue {
            for attribute in Attribute::ALL {
                context = context.demand(attribute, &[])?;
            }
        }
        Ok(context)
    }

    /// Begins a wallet's request. Gives the address from which the device fetches it.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`], [`Error::Credential`].
    pub async fn begin_wallet(&self, purpose: Purpose) -> Result<Result<String, Denied>, Error> {
        let now = self.now();
        if !self.config.wallet.enabled || purpose == Purpose::SignIn {
            return Ok(Err(Denied::NoRequest));
        }
        if !self.has_room(now).await? {
            return Ok(Err(Denied::Busy));
        }
        let device: [u8; 16] = random()?;
        let challenge = Challenge::new(&self.wallet_context(purpose)?, random()?, now, self.config.sign_in_s);
        self.store.begin_wallet(&device, purpose, &challenge).await?;
        self.metrics.attempt(purpose.name(), "begun");
        Ok(Ok(self.url(&format!("/request/{}", base64url(device)))))
    }

    /// A wallet's persona has proven itself.
    pub(crate) async fn answer_wallet(
        &self,
        device: &[u8; 16],
        purpose: Purpose,
        verified: &Verified,
    ) -> Result<Result<Accepted, Denied>, Error> {
        let (now, subject, epoch) = (self.now(), verified.pseudonym.to_hex(), verified.epoch);
        let mut more = json!({});
        let answered = match purpose {
            Purpose::Issue => {
                let code = base64url(random::<32>()?);
                let whose = (subject.as_str(), &verified.disclosed, epoch);
                let answered = self.store.offer(device, whose, &code, self.config.wallet.batch, now).await?;
                more = json!({ "credential_offer": self.credential_offer(&code) });
                answered
            }
            Purpose::Retire => self.store.retire(device, &subject, now).await?,
            _ => self.store.renew(device, &subject, epoch, now).await?,
        };
        Ok(match answered {
            Answered::Now => Ok(Accepted { purpose, more }),
            Answered::Before | Answered::Again => Err(Denied::Before),
        })
    }

    fn credential_offer(&self, code: &str) -> Value {
        json!({
            "credential_issuer": self.config.issuer,
            "credential_configuration_ids": [CONFIGURATION],
            "grants": { "urn:ietf:params:oauth:grant-type:pre-authorized_code": { "pre-authorized_code": code } },
        })
    }

    /// The token endpoint, for an offer.
    pub(crate) async fn redeem_offer(&self, form: &Form) -> Result<Value, TokenFault> {
        let code = form.value("pre-authorized_code");
        let code = code.ok_or(OAuthError::new(400, "invalid_request", "send the pre-authorized_code"))?;
        let token = base64url(random::<32>()?);
        if !self.store.redeem_offer(code, &token, self.now()).await? {
            self.metrics.attempt("issue", "bad-code");
            return Err(OAuthError::new(
                400,
                "invalid_grant",
                "no such offer stands: it has expired or was redeemed before",
            )
            .into());
        }
        Ok(json!({ "access_token": token, "token_type": "Bearer", "expires_in": super::store::OFFER_S }))
    }

    /// A nonce for proofs of possession.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn wallet_nonce(&self) -> Result<Value, Error> {
        let nonce = base64url(random::<32>()?);
        self.store.keep_nonce(&nonce, self.now()).await?;
        Ok(json!({ "c_nonce": nonce }))
    }

    /// The credential endpoint: one credential for each key whose possession is proven.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn credentials(&self, body: &str, authorization: Option<&str>) -> Result<Value, TokenFault> {
        let now = self.now();
        let invalid = OAuthError::new(401, "invalid_token", "the access token is unknown or has ended; begin again");
        let token = bearer(authorization).ok_or(invalid)?;
        let offer = self.store.offered(token, now).await?.ok_or(invalid)?;
        let body: Value = serde_json::from_str(body)
            .map_err(|_| OAuthError::new(400, "invalid_credential_request", "the body is no JSON object"))?;
        if body.get("credential_configuration_id").and_then(Value::as_str) != Some(CONFIGURATION) {
            return Err(OAuthError::new(400, "unknown_credential_configuration", "ask for membership").into());
        }
        let (keys, nonce) = self.proven_keys(&body, offer.credentials, now)?;
        if !self.store.use_nonce(&nonce, now).await? {
            self.metrics.attempt("issue", "wrong-nonce");
            return Err(
                OAuthError::new(400, "invalid_nonce", "the proofs' nonce is unknown, old or used; fetch a new one").into()
            );
        }
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        // The same for all who get credentials in this epoch.
        let epochs = self.issuers.epochs();
        let issued_at = u64::from(epochs.at(now).0).saturating_mul(u64::from(epochs.length_s.max(1)));
        let expires_at = issued_at.saturating_add(self.config.wallet.lifetime_s);
        let taken = self.store.take_places(token, count, expires_at).await?;
        let (list, places) =
            taken.ok_or(OAuthError::new(400, "invalid_proof", "more keys than the offer has credentials left"))?;
        let mut credentials = Vec::new();
        for (key, place) in keys.iter().zip(places) {
            let status = json!({ "status_list": { "idx": place, "uri": self.status_uri(list) } });
            let payload = json!({ "iss": self.config.issuer, "vct": self.vct(), "iat": issued_at, "exp": expires_at,
                "cnf": { "jwk": key.to_json() }, "status": status });
            credentials.push(json!({ "credential": self.credential(payload, &offer.disclosed)? }));
        }
        self.metrics.attempt("issue", "issued");
        Ok(json!({ "credentials": credentials }))
    }

    fn credential(&self, payload: Value, disclosed: &Disclosed) -> Result<String, Error> {
        let Value::Object(payload) = payload else { return Err(Error::Internal { what: "a payload is an object" }) };
        // Fresh bytes for each credential: 16 for each disclosure and twice as many for each decoy.
        let mut salts: Vec<[u8; 16]> =
            (0..2 * sdjwt::DIGESTS + Attribute::ALL.len()).map(|_| random()).collect::<Result<_, _>>()?;
        let issued = sdjwt::issue(self.keys.newest()?, payload, &claims(disclosed), || salts.pop().unwrap_or_default());
        issued.map_err(|_| Error::Internal { what: "a credential can be signed" })
    }

    /// The keys that a request proves, and the nonce that all proofs share.
    fn proven_keys(&self, body: &Value, most: u32, now: UnixSeconds) -> Result<(Vec<Jwk>, String), OAuthError> {
        let invalid = |description| OAuthError::new(400, "invalid_proof", description);
        let proofs = body.get("proofs").and_then(|proofs| proofs.get("jwt")).and_then(Value::as_array);
        let proofs = proofs.filter(|list| !list.is_empty()).ok_or(invalid("send proofs.jwt, one for each key"))?;
        if proofs.len() > most as usize {
            return Err(invalid("more keys than the offer has credentials left"));
        }
        let (mut keys, mut nonce): (Vec<Jwk>, Option<String>) = (Vec::new(), None);
        for proof in proofs {
            let token = proof.as_str().and_then(|text| Token::parse(text).ok()).ok_or(invalid("a proof is no token"))?;
            let key = token.header("jwk").and_then(|jwk| Jwk::from_json(jwk).ok());
            let key = key.ok_or(invalid("a proof has no P-256 key in its header (jwk)"))?;
            let payload = token.verify(PROOF_TYP, &key).map_err(|_| invalid("a proof's kind or signature is wrong"))?;
            let text = |name: &str| payload.get(name).and_then(Value::as_str);
            let made = payload.get("iat").and_then(Value::as_u64).unwrap_or(0);
            if text("aud") != Some(self.config.issuer.as_str()) || made.abs_diff(now) > SKEW_S {
                return Err(invalid("a proof is for another issuer, or of another time"));
            }
            let own = text("nonce").ok_or(invalid("a proof has no nonce"))?;
            if *nonce.get_or_insert_with(|| own.to_owned()) != own || keys.contains(&key) {
                return Err(invalid("proofs share one nonce, and each has a key of its own"));
            }
            keys.push(key);
        }
        Ok((keys, nonce.unwrap_or_default()))
    }

    /// A status list as a token.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`], [`Error::Jose`].
    pub async fn status_token(&self, list: u32) -> Result<Option<String>, Error> {
        if !self.store.has_list(list).await? {
            return Ok(None);
        }
        let now = self.now();
        let status = self.store.status_list(list, |epoch| self.issuers.epochs().accepts(epoch, now), now).await?;
        self.keys.sign(TYP, &status.payload(&self.status_uri(list), now, STATUS_TTL_S)).map(Some)
    }

    /// Metadata of the issuer (OpenID4VCI section 12.2).
    pub fn issuer_metadata(&self) -> Value {
        let named = |attribute: Attribute| json!({ "path": [claim(attribute)], "display": [{ "name": attribute.name(), "locale": "en" }] });
        json!({
            "credential_issuer": self.config.issuer,
            "credential_endpoint": self.url("/credential"),
            "nonce_endpoint": self.url("/nonce"),
            "batch_credential_issuance": { "batch_size": self.config.wallet.batch },
            "display": [{ "name": self.config.operator, "locale": "en" }],
            "credential_configurations_supported": { CONFIGURATION: {
                "format": FORMAT,
                "vct": self.vct(),
                "cryptographic_binding_methods_supported": ["jwk"],
                "credential_signing_alg_values_supported": ["ES256"],
                "proof_types_supported": { "jwt": { "proof_signing_alg_values_supported": ["ES256"] } },
                "credential_metadata": {
                    "display": [{ "name": "Membership: one real person, enrolled once", "locale": "en" }],
                    "claims": Attribute::ALL.map(named),
                },
            } },
        })
    }

    /// Metadata of the issuer's keys (SD-JWT VC section 5).
    pub fn vc_issuer_metadata(&self) -> Value {
        json!({ "issuer": self.config.issuer, "jwks": self.keys.to_json() })
    }

    /// Metadata of the type (SD-JWT VC section 6).
    pub fn type_metadata(&self) -> Value {
        json!({
            "vct": self.vct(),
            "name": "Membership",
            "description": "The holder is one real person who is enrolled once in a Trust Commons.",
            "claims": Attribute::ALL.map(|attribute| json!({ "path": [claim(attribute)], "sd": "always" })),
        })
    }
}

/// What is vouched for, as claims: numbers as numbers.
fn claims(disclosed: &Disclosed) -> Vec<(String, Value)> {
    let value = |attribute: Attribute, text: &str| match attribute {
        Attribute::Admitted | Attribute::Charter => text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number)),
        _ => json!(text),
    };
    let vouched = disclosed.iter().filter(|(_, text)| !text.is_empty());
    vouched.map(|(attribute, text)| (claim(*attribute), value(*attribute, text))).collect()
}
