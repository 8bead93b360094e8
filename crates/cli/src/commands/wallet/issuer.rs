//! The conversation with an issuer: OpenID4VCI 1.0 with a pre-authorized code, and the status list. Every call goes to the issuer's own
//! origin, whatever its documents say.

use std::collections::BTreeMap;

use client::web::Web;
use credential::origin;
use oidc::form::encode;
use oidc::jose::Token;
use oidc::status::StatusList;
use oidc::wallet::holder::{Batch, Wallet, published};
use serde_json::Value;

use super::cards::refused;
use crate::commands::verifier::now;
use crate::failure::Failure;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const CODE: &str = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
/// Credentials of one batch, where the issuer does not say.
const BATCH: u64 = 1;

/// An issuer by its address.
pub(super) struct Issuer<'a> {
    web: &'a Web,
    pub(super) address: &'a str,
}

impl<'a> Issuer<'a> {
    pub(super) fn new(web: &'a Web, address: &'a str) -> Result<Self, Failure> {
        let address = address.trim_end_matches('/');
        match origin(address) {
            Some(place) if place == address => Ok(Self { web, address }),
            _ => {
                let hint = "write it as its people do: https:// and a host in small letters (http on this machine only)";
                Err(Failure::input("this is no issuer's address", hint))
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// An address that one of its documents names; it must lie with the issuer.
    fn named(&self, document: &Value, name: &str) -> Result<String, Failure> {
        let url = document.get(name).and_then(Value::as_str).filter(|url| origin(url) == Some(self.address));
        url.map(str::to_owned).ok_or_else(|| wrong(&format!("it names no {name} of its own")))
    }

    /// Begins `issue`, `renew` or `retire`: where the request for a proof is.
    pub(super) async fn begin(&self, purpose: &str) -> Result<String, Failure> {
        let begun = self.web.post(&self.url(&format!("/wallet/{purpose}")), JSON, String::new(), None).await?.json()?;
        self.named(&begun, "request")
    }

    /// Redeems an offer: new keys, and a credential for each, taken into `wallet`.
    pub(super) async fn obtain(&self, offer: &Value, wallet: &mut Wallet) -> Result<usize, Failure> {
        let about = self.document("/.well-known/openid-credential-issuer", "credential_issuer").await?;
        let authority = self.document("/.well-known/oauth-authorization-server", "issuer").await?;
        let code = offer.get("grants").and_then(|grants| grants.get(CODE)?.get("pre-authorized_code")?.as_str());
        let code = code.ok_or_else(|| wrong("it offers nothing that this wallet knows how to fetch"))?;

        let form = format!("grant_type={}&pre-authorized_code={}", encode(CODE), encode(code));
        let token = self.web.post(&self.named(&authority, "token_endpoint")?, FORM, form, None).await?.json()?;
        let nonce = self.web.post(&self.named(&about, "nonce_endpoint")?, JSON, String::new(), None).await?.json()?;
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(token), Some(nonce)) = (text(&token, "access_token"), text(&nonce, "c_nonce")) else {
            return Err(wrong("it gave no token or no nonce"));
        };
        let size = about.get("batch_credential_issuance").and_then(|batch| batch.get("batch_size")?.as_u64());
        let batch = Batch::new(usize::try_from(size.unwrap_or(BATCH)).unwrap_or(1)).map_err(|error| refused(&error))?;
        let body = batch.request(self.address, &nonce, now()).map_err(|error| refused(&error))?;
        let endpoint = self.named(&about, "credential_endpoint")?;
        let answer = self.web.post(&endpoint, JSON, body.to_string(), Some(&token)).await?.json()?;
        wallet.take_in(batch, &answer, self.address, &self.keys().await?, now()).map_err(|error| refused(&error))
    }

    async fn document(&self, path: &str, own_name: &str) -> Result<Value, Failure> {
        let document = self.web.get(&self.url(path)).await?.json()?;
        match document.get(own_name).and_then(Value::as_str) == Some(self.address) {
            true => Ok(document),
            false => Err(wrong("its own document names another issuer")),
        }
    }

    async fn keys(&self) -> Result<Value, Failure> {
        let keys = self.document("/.well-known/jwt-vc-issuer", "issuer").await?;
        keys.get("jwks").cloned().ok_or_else(|| wrong("it publishes no keys"))
    }

    /// Its status lists, each whole: so it does not learn which credential is asked about.
    pub(super) async fn lists(&self, uris: &[String]) -> Result<BTreeMap<String, StatusList>, Failure> {
        let keys = self.keys().await?;
        let mut lists = BTreeMap::new();
        for uri in uris.iter().filter(|uri| origin(uri) == Some(self.address)) {
            let reply = self.web.get(uri).await?;
            if reply.status != 200 {
                reply.json()?;
            }
            let token = Token::parse(&reply.body).ok();
            let kid = token.as_ref().and_then(|token| token.header("kid")?.as_str());
            let key = kid.and_then(|kid| published(&keys, kid));
            let list = key.and_then(|key| StatusList::verify(&reply.body, uri, &key, now()));
            lists.insert(uri.clone(), list.ok_or_else(|| wrong("its status list is not signed by it, or old"))?);
        }
        Ok(lists)
    }
}

fn wrong(what: &str) -> Failure {
    Failure::input(format!("the issuer did not go along: {what}"), "tell its people").coded("bad-issuer")
}
