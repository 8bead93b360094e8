//! What the provider does, apart from HTTP: begin a sign-in, take the device's answer, give the browser its code, redeem it once.
//!
//! OpenID Connect Core 1.0 (code flow, pairwise subjects), RFC 6749, RFC 7636, RFC 9207, RFC 9700. Tokens are opaque and short-lived;
//! nobody stays signed in here, so there is nothing to sign out of.
//!
//! **In scope**: the order of steps and their checks. **Out of scope**: parsing HTTP and pages (`http`), wallets (`wallet`).

use std::fmt;

use credential::{Challenge, Context, Envelope, Issuers, Kind, Presentation, ProofRequest, Verified, verify};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use types::UnixSeconds;

use crate::Error;
use crate::authorize::{AuthorizeRequest, Refusal};
use crate::config::{Client, Config, Registry};
use crate::form::{Form, with_query};
use crate::jose::{base64url, from_base64url, sha256};
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::store::{Answered, Disclosed, Grant, Pending, Purpose, SignIn, Status, Store};

/// Proofs that are checked at the same time; each keeps a core busy for milliseconds.
const CHECKS: usize = 4;

/// The provider.
pub struct Provider {
    /// What the operator set.
    pub config: Config,
    /// The web sites.
    pub clients: Registry,
    /// What survives.
    pub store: Store,
    /// Who vouches.
    pub issuers: Issuers,
    /// Who signs.
    pub keys: Keys,
    /// Figures.
    pub metrics: Metrics,
    clock: Clock,
    checks: Semaphore,
}

/// Where the time comes from.
pub type Clock = Box<dyn Fn() -> UnixSeconds + Send + Sync>;

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// In the browser's address.
    pub handle: String,
    /// In the browser's cookie.
    pub cookie: String,
}

/// What the browser is shown or where it goes.
#[derive(Debug)]
pub enum Next {
    /// Wait, with this to show.
    Wait(Box<(SignIn, ProofRequest, String)>),
    /// Go there.
    Go(String),
    /// It is over.
    Over,
}

/// Why a device's answer does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// No such request, or its time is over.
    NoRequest,
    /// Answered before.
    Before,
    /// Too many wrong answers.
    Attempts,
    /// Too many answers at this moment.
    Busy,
    /// This does not hold.
    Proof(credential::Error),
}

impl Denied {
    /// Status, code and what to do.
    pub fn problem(&self) -> (u16, &'static str, String) {
        let (status, code) = match self {
            Self::NoRequest => (404, "no-request"),
            Self::Before => (409, "answered-before"),
            Self::Attempts => (429, "too-many-answers"),
            Self::Busy => (503, "busy"),
            Self::Proof(error) => return (proof_status(error), proof_code(error), error.to_string()),
        };
        let detail = match self {
            Self::NoRequest => "no request waits here any more; start again on the web site",
            Self::Before => "this request was answered before; start again on the web site",
            Self::Attempts => "too many answers that do not hold; start again on the web site",
            _ => "too many answers come at this moment; send it again in a few seconds",
        };
        (status, code, detail.to_owned())
    }
}

fn proof_status(error: &credential::Error) -> u16 {
    match error {
        credential::Error::Encoding(_) | credential::Error::Envelope { .. } | credential::Error::Version { .. } => 400,
        credential::Error::Again => 409,
        _ => 403,
    }
}

/// Stable names for programs and for counting.
fn proof_code(error: &credential::Error) -> &'static str {
    use credential::Error as E;
    match error {
        E::Encoding(_) | E::Envelope { .. } | E::Version { .. } => "unreadable",
        E::WrongContext => "wrong-context",
        E::WrongNonce => "wrong-nonce",
        E::Stale => "stale",
        E::NotOpen => "not-open",
        E::Closed => "closed",
        E::Epoch => "old-credentials",
        E::OneIssuer => "one-issuer",
        E::Disclosure | E::Demand { .. } => "disclosure",
        E::Again => "admitted-before",
        E::Proof { .. } | E::Signatures | E::Pseudonym => "proof",
        _ => "refused",
    }
}

/// An answer that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// What for.
    pub purpose: Purpose,
    /// More for the device: a wallet's offer.
    pub more: Value,
}

/// An error of the token endpoint and of `userinfo` (RFC 6749 section 5.2, RFC 6750).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OAuthError {
    /// HTTP status.
    pub status: u16,
    /// The registered code.
    pub error: &'static str,
    /// For the client's developer.
    pub description: &'static str,
}

impl OAuthError {
    pub(crate) const fn new(status: u16, error: &'static str, description: &'static str) -> Self {
        Self { status, error, description }
    }
}

/// A fault of the client, or of ours.
#[derive(Debug)]
pub enum TokenFault {
    /// Theirs.
    Client(OAuthError),
    /// Ours.
    Own(Error),
}

impl From<OAuthError> for TokenFault {
    fn from(error: OAuthError) -> Self {
        Self::Client(error)
    }
}
impl From<Error> for TokenFault {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl Provider {
    /// From its parts.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Internal`].
    pub fn new(config: Config, store: Store, issuers: Issuers, keys: Keys, clock: Clock) -> Result<Self, Error> {
        let clients = config.clients()?;
        let checks = Semaphore::new(CHECKS);
        Ok(Self { config, clients, store, issuers, keys, metrics: Metrics::new()?, clock, checks })
    }

    /// The time.
    pub fn now(&self) -> UnixSeconds {
        (self.clock)()
    }

    /// An address here.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.issuer)
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn begin(&self, query: &str) -> Result<Result<Begun, Refusal>, Error> {
        let request = match AuthorizeRequest::parse(query, &self.clients) {
            Ok(request) => request,
            Err(refusal) => {
                self.count_refusal(&refusal);
                return Ok(Err(refusal));
            }
        };
        let client = self.client(&request.client)?;
        let now = self.now();
        if !self.has_room(now).await? {
            let AuthorizeRequest { client, redirect_uri, state, .. } = request;
            let description = "too many sign-ins wait at this moment; try again in a minute";
            let refusal = Refusal::Client { client, redirect_uri, state, error: "temporarily_unavailable", description };
            self.count_refusal(&refusal);
            return Ok(Err(refusal));
        }
        let (handle, device): ([u8; 16], [u8; 16]) = (random()?, random()?);
        let cookie = base64url(random::<32>()?);
        let challenge = Challenge::new(&client.context, random()?, now, self.config.sign_in_s);
        let expires_at = challenge.expires_at();
        let sign_in = SignIn { device, cookie: sha256(&cookie), request, challenge, status: Status::Waits, expires_at };
        self.store.begin_sign_in(&handle, &sign_in).await?;
        self.metrics.attempt(&client.id, "begun");
        Ok(Ok(Begun { handle: base64url(handle), cookie }))
    }

    /// Who watches the figures sees that somebody tries in a site's name.
    fn count_refusal(&self, refusal: &Refusal) {
        let (client, outcome) = match refusal {
            Refusal::Page { client, outcome, .. } => (client.as_deref().unwrap_or_default(), *outcome),
            Refusal::Client { client, error, .. } => (client.as_str(), *error),
        };
        self.metrics.attempt(client, outcome);
        tracing::info!(client, outcome, "a sign-in was refused before it began");
    }

    pub(crate) async fn has_room(&self, now: UnixSeconds) -> Result<bool, Error> {
        Ok(self.store.open_requests(now).await? < u64::from(self.config.open_sign_ins))
    }

    /// A registered client; one that the database names and the configuration does not any more is none.
    fn client(&self, id: &str) -> Result<&Client, Error> {
        self.clients.client(id).ok_or(Error::Internal { what: "the client is registered" })
    }

    async fn sign_in(&self, handle: &str, cookie: &str) -> Result<Option<([u8; 16], SignIn)>, Error> {
        let Some(handle) = id(handle) else { return Ok(None) };
        let found = self.store.sign_in(&handle).await?;
        // The address alone is not enough: it may have been seen over a shoulder.
        let own = |sign_in: &SignIn| bool::from(sign_in.cookie.ct_eq(&sha256(cookie)));
        Ok(found.filter(own).filter(|sign_in| self.clients.client(&sign_in.request.client).is_some()).map(|s| (handle, s)))
    }

    /// Where a sign-in stands, for the browser that holds its cookie.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`], [`Error::Credential`].
    pub async fn next(&self, handle: &str, cookie: &str) -> Result<Next, Error> {
        let Some((handle, sign_in)) = self.sign_in(handle, cookie).await? else { return Ok(Next::Over) };
        let now = self.now();
        match sign_in.status {
            Status::Waits if now > sign_in.expires_at => {
                self.metrics.attempt(&sign_in.request.client, "expired");
                let back = self.error_redirect(&sign_in.request, "access_denied", "the person did not answer in time");
                Ok(if self.store.cancel(&handle).await? { Next::Go(back) } else { Next::Over })
            }
            Status::Waits => {
                let client = self.client(&sign_in.request.client)?;
                let request = self.proof_request(&client.context, &sign_in.challenge, &sign_in.device)?;
                let from = self.url(&format!("/request/{}", base64url(sign_in.device)));
                Ok(Next::Wait(Box::new((sign_in, request, from))))
            }
            Status::Answered => {
                let code = base64url(random::<32>()?);
                if !self.store.finish(&handle, &code, now.saturating_add(self.config.code_s)).await? {
                    return Ok(Next::Over);
                }
                let mut query = vec![("code", code.as_str()), ("iss", self.config.issuer.as_str())];
                query.extend(sign_in.request.state.as_deref().map(|state| ("state", state)));
                Ok(Next::Go(with_query(&sign_in.request.redirect_uri, &query)))
            }
            Status::Refused => Ok(Next::Go(self.error_redirect(
                &sign_in.request,
                "access_denied",
                "the person said no, or was admitted before where each person is admitted once",
            ))),
            Status::Over => Ok(Next::Over),
        }
    }

    /// Does the sign-in still wait? For the page to ask now and then.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn waits(&self, handle: &str, cookie: &str) -> Result<bool, Error> {
        let found = self.sign_in(handle, cookie).await?;
        Ok(found.is_some_and(|(_, sign_in)| sign_in.status == Status::Waits && self.now() <= sign_in.expires_at))
    }

    /// The person says no, in the browser.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn cancel(&self, handle: &str, cookie: &str) -> Result<Next, Error> {
        let Some((handle, sign_in)) = self.sign_in(handle, cookie).await? else { return Ok(Next::Over) };
        if !self.store.cancel(&handle).await? {
            return Ok(Next::Over);
        }
        self.metrics.attempt(&sign_in.request.client, "cancelled");
        Ok(Next::Go(self.error_redirect(&sign_in.request, "access_denied", "the person said no")))
    }

    fn error_redirect(&self, request: &AuthorizeRequest, error: &str, description: &str) -> String {
        self.refusal_redirect(&request.redirect_uri, request.state.as_deref(), error, description)
    }

    /// Where a refused request goes back to.
    pub fn refusal_redirect(&self, uri: &str, state: Option<&str>, error: &str, description: &str) -> String {
        let mut query = vec![("error", error), ("error_description", description), ("iss", &self.config.issuer)];
        query.extend(state.map(|state| ("state", state)));
        with_query(uri, &query)
    }

    pub(crate) fn proof_request(
        &self,
        context: &Context,
        challenge: &Challenge,
        device: &[u8; 16],
    ) -> Result<ProofRequest, Error> {
        let answer = self.url(&format!("/answer/{}", base64url(device)));
        Ok(ProofRequest::new(context.clone(), challenge.clone(), &answer)?)
    }

    /// The context that a request is in.
    fn context(&self, pending: &Pending) -> Result<Context, Error> {
        match pending.purpose {
            Purpose::SignIn => Ok(self.client(&pending.client)?.context.clone()),
            purpose => self.wallet_context(purpose),
        }
    }

    /// What the device reads.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`], [`Error::Credential`].
    pub async fn request(&self, device: &str) -> Result<Result<ProofRequest, Denied>, Error> {
        let Some((device, pending)) = self.pending(device).await? else { return Ok(Err(Denied::NoRequest)) };
        if pending.status != Status::Waits {
            return Ok(Err(Denied::Before));
        }
        self.proof_request(&self.context(&pending)?, &pending.challenge, &device).map(Ok)
    }

    async fn pending(&self, device: &str) -> Result<Option<([u8; 16], Pending)>, Error> {
        let Some(device) = id(device) else { return Ok(None) };
        let pending = self.store.pending(&device).await?;
        let known = |pending: &Pending| pending.purpose != Purpose::SignIn || self.clients.client(&pending.client).is_some();
        Ok(pending.filter(known).map(|pending| (device, pending)))
    }

    /// Takes a device's answer. Whatever comes of it is counted.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn answer(&self, device: &str, body: &str) -> Result<Result<Accepted, Denied>, Error> {
        let Some((device, pending)) = self.pending(device).await? else {
            self.metrics.attempt("", "no-request");
            return Ok(Err(Denied::NoRequest));
        };
        let outcome = self.judge(&device, &pending, body).await?;
        let whose = if pending.client.is_empty() { pending.purpose.name() } else { pending.client.as_str() };
        let code = outcome.as_ref().map_or_else(|denied| denied.problem().1, |_| "accepted");
        self.metrics.attempt(whose, code);
        tracing::info!(client = whose, outcome = code, "an answer to a request for a proof");
        Ok(outcome)
    }

    async fn judge(&self, device: &[u8; 16], pending: &Pending, body: &str) -> Result<Result<Accepted, Denied>, Error> {
        if pending.status != Status::Waits {
            return Ok(Err(Denied::Before));
        }
        let presentation = match Presentation::from_json(body) {
            Ok(presentation) => presentation,
            Err(error) => return Ok(Err(Denied::Proof(error))),
        };
        if !self.store.count_attempt(device).await? {
            return Ok(Err(Denied::Attempts));
        }
        let context = self.context(pending)?;
        let verified = match self.verify(presentation, &context, &pending.challenge).await? {
            Ok(verified) => verified,
            Err(denied) => return Ok(Err(denied)),
        };
        if pending.purpose != Purpose::SignIn {
            return self.answer_wallet(device, pending.purpose, &verified).await;
        }
        let once = (context.kind() != Kind::Standing).then(|| context.scope());
        let subject = verified.pseudonym.to_hex();
        Ok(match self.store.answer(device, &subject, &verified.disclosed, once, self.now()).await? {
            Answered::Now => Ok(Accepted { purpose: Purpose::SignIn, more: self.tried(pending, &subject).await? }),
            Answered::Before => Err(Denied::Before),
            Answered::Again => Err(Denied::Proof(credential::Error::Again)),
        })
    }

    /// What its person should hear: answers to this request that did not count, and what was tried with their earlier codes.
    async fn tried(&self, pending: &Pending, subject: &str) -> Result<Value, Error> {
        let notes = self.store.take_notes(&pending.client, subject).await?;
        let mut tried: Vec<Value> = notes.into_iter().map(|(at, what)| json!({ "at": at, "what": what })).collect();
        if pending.attempts > 0 {
            tried.push(json!({ "at": self.now(), "what": "other-answers", "count": pending.attempts }));
        }
        Ok(if tried.is_empty() { json!({}) } else { json!({ "tried": tried }) })
    }

    async fn verify(
        &self,
        presentation: Presentation,
        context: &Context,
        challenge: &Challenge,
    ) -> Result<Result<Verified, Denied>, Error> {
        let Ok(_place) = self.checks.acquire().await else { return Ok(Err(Denied::Busy)) };
        let (context, challenge, issuers, now) = (context.clone(), challenge.clone(), self.issuers.clone(), self.now());
        let check = move || verify(&presentation, &context, &challenge, now, &issuers);
        let verified = tokio::task::spawn_blocking(check).await;
        let verified = verified.map_err(|_| Error::Internal { what: "checking a proof does not panic" })?;
        Ok(verified.map_err(Denied::Proof))
    }

    /// The token endpoint. `authorization` is the header of that name.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn token(&self, body: &str, authorization: Option<&str>) -> Result<Value, TokenFault> {
        let form = Form::parse(body)
            .map_err(|_| OAuthError::new(400, "invalid_request", "the body is no form, or has a parameter twice"))?;
        match form.value("grant_type") {
            Some("authorization_code") => self.redeem(&form, authorization).await,
            Some("urn:ietf:params:oauth:grant-type:pre-authorized_code") => self.redeem_offer(&form).await,
            Some(_) => Err(OAuthError::new(400, "unsupported_grant_type", "only authorization_code is served").into()),
            None => Err(OAuthError::new(400, "invalid_request", "send grant_type=authorization_code").into()),
        }
    }

    async fn redeem(&self, form: &Form, authorization: Option<&str>) -> Result<Value, TokenFault> {
        let client = self.authenticate(form, authorization).inspect_err(|_| {
            self.metrics.attempt("", "wrong-client");
            tracing::warn!("somebody who is no client, or has another secret, wants to redeem a code");
        })?;
        let invalid = |description| TokenFault::from(OAuthError::new(400, "invalid_grant", description));
        let code = form.value("code").ok_or(OAuthError::new(400, "invalid_request", "send the code"))?;
        let grant = self.store.code(code).await?.filter(|grant| grant.client == client.id);
        let grant = grant.ok_or_else(|| {
            self.metrics.attempt(&client.id, "unknown-code");
            tracing::warn!(client = client.id, "a code that was not given to this client");
            invalid("no such code was given to this client")
        })?;
        let now = self.now();
        if let Err(why) = check_redemption(&grant, form, now) {
            self.metrics.attempt(&client.id, "bad-code");
            tracing::warn!(client = client.id, why, "a code that cannot be redeemed so");
            self.store.note_bad_code(code, now).await?;
            return Err(invalid(why));
        }
        let token = base64url(random::<32>()?);
        let expires_at = now.saturating_add(self.config.token_s);
        if !self.store.redeem(code, &token, expires_at, now).await? {
            self.metrics.attempt(&client.id, "replayed-code");
            tracing::warn!(client = client.id, "a code came twice; what it gave is taken back");
            return Err(invalid("this code was redeemed before; what it gave is taken back"));
        }
        self.metrics.attempt(&client.id, "signed-in");
        let id_token = self.keys.sign("JWT", &self.id_token(client, &grant, &token, now))?;
        Ok(json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.config.token_s,
            "scope": "openid",
            "id_token": id_token,
        }))
    }

    fn id_token(&self, client: &Client, grant: &Grant, token: &str, now: UnixSeconds) -> Value {
        let digest = sha256(token);
        let (half, _) = digest.split_at(16);
        let mut claims = self.person(&grant.subject, &grant.disclosed);
        if let Value::Object(claims) = &mut claims {
            let more = json!({
                "iss": self.config.issuer,
                "aud": client.id,
                "iat": now,
                "exp": now.saturating_add(self.config.token_s),
                "auth_time": grant.auth_time,
                "at_hash": base64url(half),
            });
            claims.extend(more.as_object().cloned().unwrap_or_default());
            claims.extend(grant.nonce.clone().map(|nonce| ("nonce".to_owned(), json!(nonce))));
        }
        claims
    }

    /// The pairwise subject, and what was disclosed; a value that nobody vouches for is left out.
    fn person(&self, subject: &str, disclosed: &Disclosed) -> Value {
        let vouched = disclosed.iter().filter(|(_, value)| !value.is_empty());
        let vouched: serde_json::Map<String, Value> = vouched.map(|(name, value)| (claim(*name), json!(value))).collect();
        json!({ "sub": subject, "trust_commons": vouched })
    }

    fn authenticate(&self, form: &Form, authorization: Option<&str>) -> Result<&Client, OAuthError> {
        let failed = OAuthError::new(401, "invalid_client", "the client is not registered, or its secret is another");
        let (name, secret) = match authorization.map(basic) {
            Some(Some((name, secret))) => {
                if form.value("client_secret").is_some() {
                    return Err(OAuthError::new(400, "invalid_request", "send the secret in one way only"));
                }
                (name, Some(secret))
            }
            Some(None) => return Err(failed),
            None => {
                let name = form.value("client_id");
                let name = name.ok_or(OAuthError::new(400, "invalid_request", "say which client this is"))?;
                (name.to_owned(), form.value("client_secret").map(str::to_owned))
            }
        };
        let client = self.clients.client(&name).ok_or(failed)?;
        match (&client.secret, &secret) {
            (None, None) => Ok(client),
            (Some(expected), Some(given)) if bool::from(sha256(given).ct_eq(expected)) => Ok(client),
            _ => Err(failed),
        }
    }

    /// A client that proves itself with its secret, for calls beside OAuth.
    pub(crate) fn confidential(&self, authorization: Option<&str>) -> Result<&Client, OAuthError> {
        let client = self.authenticate(&Form::default(), Some(authorization.unwrap_or_default()))?;
        if client.secret.is_none() {
            return Err(OAuthError::new(401, "invalid_client", "this call is for clients with a secret"));
        }
        Ok(client)
    }

    /// The userinfo endpoint.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn userinfo(&self, authorization: Option<&str>) -> Result<Value, TokenFault> {
        let invalid = OAuthError::new(401, "invalid_token", "the access token is unknown, has ended or was taken back");
        let token = bearer(authorization).ok_or(invalid)?;
        let (client, subject, disclosed) = self.store.token(token, self.now()).await?.ok_or(invalid)?;
        self.clients.client(&client).ok_or(invalid)?;
        Ok(self.person(&subject, &disclosed))
    }

    /// OpenID Connect Discovery 1.0, RFC 8414.
    pub fn discovery(&self) -> Value {
        json!({
            "issuer": self.config.issuer,
            "authorization_endpoint": self.url("/authorize"),
            "token_endpoint": self.url("/token"),
            "userinfo_endpoint": self.url("/userinfo"),
            "jwks_uri": self.url("/jwks.json"),
            "scopes_supported": ["openid"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "urn:ietf:params:oauth:grant-type:pre-authorized_code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["login", "consent", "select_account"],
            "claims_supported": ["iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "at_hash", "trust_commons"],
            "authorization_response_iss_parameter_supported": true,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "claims_parameter_supported": false,
            "pre-authorized_grant_anonymous_access_supported": true,
        })
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

fn check_redemption(grant: &Grant, form: &Form, now: UnixSeconds) -> Result<(), &'static str> {
    if form.value("redirect_uri") != Some(grant.redirect_uri.as_str()) {
        return Err("redirect_uri is another than in the authorization request");
    }
    let verifier = form.value("code_verifier").filter(|verifier| is_verifier(verifier));
    let verifier = verifier.ok_or("send the code_verifier of 43 to 128 characters (PKCE)")?;
    if !bool::from(base64url(sha256(verifier)).as_bytes().ct_eq(grant.code_challenge.as_bytes())) {
        return Err("the code_verifier does not fit the code_challenge (PKCE)");
    }
    if !grant.used && now > grant.expires_at {
        return Err("this code has expired");
    }
    Ok(())
}

fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~".contains(&c))
}

/// The name under which an attribute is a claim.
pub fn claim(attribute: credential::Attribute) -> String {
    attribute.name().replace('-', "_")
}

/// HTTP Basic, with name and password form-encoded first (RFC 6749 section 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    use base64::Engine;
    let (scheme, value) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || value.len() > 1024 {
        return None;
    }
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(value).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((crate::form::decode(name).ok()?, crate::form::decode(secret).ok()?))
}

pub(crate) fn bearer(header: Option<&str>) -> Option<&str> {
    let (scheme, token) = header?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= 100).then_some(token)
}

/// The 16 bytes of an id in an address.
pub(crate) fn id(text: &str) -> Option<[u8; 16]> {
    (text.len() == 22).then(|| from_base64url(text)).flatten()?.try_into().ok()
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::Internal { what: "the system gives randomness" })?;
    Ok(bytes)
}
