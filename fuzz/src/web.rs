//! Targets of web sites and wallets: what a browser, a client, a device or a wallet sends to `commons-oidc`, and what a wallet reads.

use credential::{Challenge, Context, Envelope, Kind, Presentation, ProofRequest, origin};
use oidc::authorize::{AuthorizeRequest, Clients, Refusal};
use oidc::form::{Form, WALLET_FORM_BYTES, encode};
use oidc::jose::{Jwk, SigningKey, Token, base64url};
use oidc::sdjwt::{self, SdJwt};
use oidc::status::{StatusList, TYP};
use oidc::wallet::Query;
use oidc::wallet::holder::{Asking, Wallet};
use serde_json::{Map, json};

const REDIRECT: &str = "https://shop.example/callback";

struct Shop;

impl Clients for Shop {
    fn redirects(&self, client: &str, redirect_uri: &str) -> Option<bool> {
        (client == "shop").then_some(redirect_uri == REDIRECT)
    }
}

/// The key of RFC 7515 appendix A.3: public, so that every run has the same.
fn key() -> Jwk {
    let jwk = json!({ "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
    Jwk::from_json(&jwk).expect("a key")
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The query of an authorization request.
pub fn authorize_query(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match AuthorizeRequest::parse(text, &Shop) {
        Ok(request) => assert_eq!((request.client.as_str(), request.redirect_uri.as_str()), ("shop", REDIRECT)),
        // Nothing goes to an address that is not registered.
        Err(Refusal::Client { redirect_uri, .. }) => assert_eq!(redirect_uri, REDIRECT),
        Err(Refusal::Page { .. }) => {}
    }
    if let Ok(form) = Form::parse_within(text, WALLET_FORM_BYTES) {
        let state = form.value("state").unwrap_or_default();
        let again = Form::parse_within(&format!("state={}", encode(state)), usize::MAX).expect("what we encode is read");
        assert_eq!(again.value("state").unwrap_or_default(), state);
    }
}

/// What a device fetches, and the URL that leads to it.
pub fn proof_request(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Some(place) = origin(text) {
        assert!(text.starts_with(place) && origin(place) == Some(place));
    }
    if let Ok(request) = ProofRequest::from_json(text) {
        assert_eq!(ProofRequest::from_json(&request.to_json()).as_ref(), Ok(&request));
        assert!(request.audience("https://elsewhere.example/x").is_err());
    }
    let _ = Presentation::from_json(text);
}

/// A signed token, a key, a status list.
pub fn web_token(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(token) = Token::parse(text) {
        assert!(token.verify("kb+jwt", &key()).is_err(), "nobody has this key");
    }
    if let Ok(value) = serde_json::from_str(text)
        && let Ok(jwk) = Jwk::from_json(&value)
    {
        assert_eq!(Jwk::from_json(&jwk.to_json()), Ok(jwk));
    }
    assert!(StatusList::verify(text, "u", &key(), 0).is_none());
}

/// A credential or a presentation, a wallet, a verifier's request and query.
pub fn sd_jwt(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(credential) = SdJwt::parse(text) {
        assert!(credential.verify_presentation(&key(), "a", "n", 0, 60).is_err(), "nobody has this key");
        let _ = (credential.key_name(), credential.unverified());
    }
    if let Ok(wallet) = Wallet::from_text(text) {
        let _ = wallet.summaries();
    }
    if let Some(query) = serde_json::from_str(text).ok().and_then(|value| Query::from_json(&value)) {
        assert_eq!(Query::from_json(&query.to_json()), Some(query));
    }
    let _ = Asking::read(text, "https://id.example/x", &format!("decentralized_identifier:did:jwk:{}", base64url(text)), 0);
}

pub(super) fn queries() -> Vec<Vec<u8>> {
    let good = "client_id=shop&redirect_uri=https%3A%2F%2Fshop.example%2Fcallback&response_type=code&scope=openid&state=a+b&nonce=n&\
        code_challenge_method=S256&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    vec![good.into(), format!("{good}&prompt=none").into(), b"vp_token=%7B%7D&state=x".to_vec()]
}

pub(super) fn proof_requests() -> Vec<Vec<u8>> {
    let context = Context::new("via https://id.example", "https://shop.example", Kind::Standing).expect("a context");
    let challenge = Challenge::new(&context, [7; 32], 1_800_000_000, 60);
    let request = ProofRequest::new(context, challenge, "https://id.example/answer/x").expect("a request");
    vec![request.to_json().into(), b"http://127.0.0.1:8790/request/x".to_vec()]
}

fn signing_key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().expect("a key")).expect("a key")
}

pub(super) fn tokens() -> Vec<Vec<u8>> {
    let mut list = StatusList::all_ended();
    list.stand(7);
    let token = signing_key().sign(TYP, json!({ "kid": "k" }), &list.payload("u", 0, 60)).expect("a token");
    vec![token.into(), key().to_json().to_string().into()]
}

pub(super) fn credentials() -> Vec<Vec<u8>> {
    let holder = signing_key();
    let mut payload = Map::new();
    payload.insert("cnf".to_owned(), json!({ "jwk": holder.public().to_json() }));
    let claims = [("community".to_owned(), json!("river-valley"))];
    let credential = sdjwt::issue(&signing_key(), payload, &claims, || [3; 16]).expect("a credential");
    let shown = SdJwt::parse(&credential).expect("a credential");
    let shown = shown.present(&["community".to_owned()], &holder, "a", "n", 0).expect("a presentation");
    let query =
        Query { id: "q".to_owned(), vct_values: vec!["v".to_owned()], claims: vec![("c".to_owned(), vec![json!(1)])] };
    vec![credential.into(), shown.into(), query.to_json().to_string().into(), Wallet::new().to_text().as_bytes().to_vec()]
}
