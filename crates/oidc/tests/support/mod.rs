//! A commons with three issuers, members in it, and a provider for them: in this process with a clock of our own, or as the real
//! binary.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

pub(crate) mod binary;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use credential::{
    Attribute, Attributes, Credential, Envelope, Epoch, Epochs, Fresh, IssuerKey, Issuers, MemberSecret, Presentation,
    ProofRequest, present,
};
use oidc::config::Config;
use oidc::form::{Form, encode};
use oidc::jose::{base64url, sha256};
use oidc::keys::Keys;
use oidc::provider::Provider;
use oidc::store::Store;
use serde_json::Value;
use tower::ServiceExt;
use types::{Digest, NodeId};

/// In the middle of an epoch of a day.
pub(crate) const NOW: u64 = 1_800_014_400;
pub(crate) const ISSUER: &str = "http://127.0.0.1:8790";
pub(crate) const SHOP: &str = "https://shop.example/callback";
pub(crate) const VERIFIER: &str = "a-verifier-of-43-characters-or-more-for-PKCE";
pub(crate) const SECRET: &str = "the-secret-of-the-clinic";

pub(crate) struct Commons {
    pub(crate) keys: [IssuerKey; 3],
    pub(crate) issuers: Issuers,
}

pub(crate) struct Member {
    pub(crate) secret: MemberSecret,
    pub(crate) credentials: Vec<Credential>,
}

pub(crate) fn bytes(number: u64) -> [u8; 32] {
    Digest::of("test", &[&number.to_le_bytes()]).0
}

/// Bytes that no other call gets.
pub(crate) fn fresh() -> Fresh {
    static COUNT: AtomicU64 = AtomicU64::new(1_000_000_000);
    Fresh::new(bytes(COUNT.fetch_add(1, Ordering::Relaxed)))
}

impl Commons {
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(seed, Digest(bytes(seed)), Epochs::DAILY)
    }

    pub(crate) fn of(seed: u64, digest: Digest, epochs: Epochs) -> Self {
        let keys = Self::keys(seed);
        let public = [0, 1, 2].map(|i: usize| keys[i].public());
        Self { keys, issuers: Issuers::new(digest, epochs, public).unwrap() }
    }

    pub(crate) fn keys(seed: u64) -> [IssuerKey; 3] {
        [1, 2, 3].map(|node| IssuerKey::from_material(bytes(1000 * seed + node)))
    }

    pub(crate) fn member(&self, seed: u64, now: u64) -> Member {
        self.member_of(seed, self.issuers.epochs().at(now), &NodeId::ALL)
    }

    pub(crate) fn member_of(&self, seed: u64, epoch: Epoch, nodes: &[NodeId]) -> Member {
        let secret = MemberSecret::generate(Fresh::new(bytes(seed)));
        let commitment = secret.commitment();
        let attributes = Attributes::new("river-valley", Epoch(20_000), 3).unwrap();
        let attributes = attributes.with(Attribute::AgeBand, "18-29").unwrap();
        let issue = |node: &NodeId| {
            let name = self.issuers.name(*node);
            let issued = self.keys[node.index()].issue(&name, epoch, &commitment, &attributes).unwrap();
            Credential::accept(&secret, &self.issuers, *node, epoch, &attributes, &issued).unwrap()
        };
        let credentials = nodes.iter().map(issue).collect();
        Member { secret, credentials }
    }
}

impl Member {
    pub(crate) fn try_present(
        &self,
        commons: &Commons,
        request: &ProofRequest,
        from: &str,
        now: u64,
    ) -> Result<Presentation, credential::Error> {
        let audience = request.audience(from)?;
        let (context, challenge) = (&request.context, &request.challenge);
        present(&self.secret, &self.credentials, &commons.issuers, context, challenge, audience, now, fresh())
    }

    /// What an honest device sends.
    pub(crate) fn present(&self, commons: &Commons, request: &ProofRequest, from: &str, now: u64) -> String {
        self.try_present(commons, request, from, now).unwrap().to_json()
    }
}

pub(crate) fn config_text(issuer: &str, bind: &str, more: &str) -> String {
    let secret = hex::encode(sha256(SECRET));
    format!(
        r#"
issuer = "{issuer}"
operator = "Lake village"
data_dir = "data"
roster = "roster.toml"
bind = "{bind}"
address_per_minute = 1000000
address_burst = 1000000
{more}
[[client]]
id = "shop"
name = "The Shop"
redirect_uris = ["{SHOP}"]
ask = [{{ attribute = "age-band", one_of = ["18-29", "30-49"] }}]
[[client]]
id = "clinic"
name = "Lake Clinic & Sons"
redirect_uris = ["https://clinic.example/in", "https://clinic.example/other"]
secret_sha256 = "{secret}"
ask = [{{ attribute = "community" }}]
[[client]]
id = "poll"
name = "One Poll"
redirect_uris = ["https://poll.example/"]
kind = "one-time"
[[client]]
id = "old"
name = "Over Thirty"
redirect_uris = ["https://old.example/"]
ask = [{{ attribute = "age-band", one_of = ["30-49"] }}]
"#
    )
}

/// A provider in this process, whose clock we set.
pub(crate) struct House {
    pub(crate) commons: Commons,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) provider: Arc<Provider>,
    dir: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        Self { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
    pub(crate) fn location(&self) -> &str {
        self.headers
            .get(header::LOCATION)
            .unwrap_or_else(|| panic!("goes nowhere: {} {}", self.status, self.body))
            .to_str()
            .unwrap()
    }
    /// A parameter of the address to which this goes.
    pub(crate) fn parameter(&self, name: &str) -> String {
        let query = self.location().split_once('?').unwrap().1;
        Form::parse(query).unwrap().value(name).unwrap_or_else(|| panic!("no {name} in {query}")).to_owned()
    }
    pub(crate) fn cookie(&self) -> String {
        self.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
    }
    /// Refused with this code: of a problem document, or of OAuth.
    pub(crate) fn is_refused(&self, status: u16, code: &str) {
        let json = self.json();
        let found = json.get("code").or(json.get("error")).and_then(Value::as_str);
        assert_eq!((self.status.as_u16(), found), (status, Some(code)), "{}", self.body);
    }
}

/// A browser that began a sign-in.
pub(crate) struct Browser {
    pub(crate) page: String,
    pub(crate) cookie: String,
}

impl House {
    pub(crate) async fn new(seed: u64) -> Self {
        Self::with(seed, "").await
    }

    pub(crate) async fn with(seed: u64, more: &str) -> Self {
        let commons = Commons::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("oidc.toml");
        std::fs::write(&file, config_text(ISSUER, "127.0.0.1:8790", more)).unwrap();
        let config = Config::load(&file).unwrap();
        Keys::create(&config.data_dir).unwrap();
        Store::create(&config.data_dir).await.unwrap();
        let clock = Arc::new(AtomicU64::new(NOW));
        let provider = Self::open(&config, &commons, &clock).await;
        Self { commons, clock, provider, dir }
    }

    async fn open(config: &Config, commons: &Commons, clock: &Arc<AtomicU64>) -> Arc<Provider> {
        let store = Store::open(&config.data_dir).await.unwrap();
        let keys = Keys::load(&config.data_dir).unwrap();
        let reads = Arc::clone(clock);
        let now = Box::new(move || reads.load(Ordering::Relaxed));
        Arc::new(Provider::new(config.clone(), store, commons.issuers.clone(), keys, now).unwrap())
    }

    /// As after a restart.
    pub(crate) async fn reopen(&mut self) {
        self.provider = Self::open(&self.provider.config, &self.commons, &self.clock).await;
    }

    /// Whether any file of the provider holds these bytes.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let files = std::fs::read_dir(self.dir.path().join("data")).unwrap().flatten();
        let mut contents = files.filter_map(|file| std::fs::read(file.path()).ok());
        contents.any(|content| content.windows(bytes.len()).any(|window| window == bytes))
    }
    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }
    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }
    pub(crate) fn member(&self, seed: u64) -> Member {
        self.commons.member(seed, self.now())
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(oidc::router(Arc::clone(&self.provider)).oneshot(request).await.unwrap()).await
    }
    pub(crate) async fn get(&self, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }
    pub(crate) async fn post(&self, path: &str, kind: &str, body: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, kind);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)], headers: &[(header::HeaderName, &str)]) -> Answer {
        self.post(path, "application/x-www-form-urlencoded", &form(fields), headers).await
    }

    pub(crate) async fn begin(&self, client: &str, redirect_uri: &str) -> Browser {
        let answer = self.get(&format!("/authorize?{}", query(client, redirect_uri)), &[]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        Browser { page: answer.location().to_owned(), cookie: answer.cookie() }
    }
    pub(crate) async fn page(&self, browser: &Browser) -> Answer {
        self.get(&browser.page, &[(header::COOKIE, &browser.cookie)]).await
    }
    /// The address in the page's QR code.
    pub(crate) async fn request_url(&self, browser: &Browser) -> String {
        request_url(&self.page(browser).await.body)
    }
    pub(crate) async fn request(&self, url: &str) -> ProofRequest {
        ProofRequest::from_json(&self.get(path_of(url), &[]).await.body).unwrap()
    }
    pub(crate) async fn answer(&self, request: &ProofRequest, body: &str) -> Answer {
        self.post(path_of(&request.answer), "application/json", body, &[]).await
    }
    /// The whole way to a code.
    pub(crate) async fn code(&self, client: &str, redirect_uri: &str, member: &Member) -> String {
        let browser = self.begin(client, redirect_uri).await;
        let url = self.request_url(&browser).await;
        let request = self.request(&url).await;
        let answer = self.answer(&request, &member.present(&self.commons, &request, &url, self.now())).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        self.page(&browser).await.parameter("code")
    }
    pub(crate) async fn redeem(&self, client: &str, redirect_uri: &str, code: &str) -> Answer {
        let grant = [("grant_type", "authorization_code"), ("client_id", client), ("redirect_uri", redirect_uri)];
        let fields = [&grant[..], &[("code", code), ("code_verifier", VERIFIER)]].concat();
        self.form("/token", &fields, &[]).await
    }
    pub(crate) async fn metric(&self, client: &str, outcome: &str) -> u64 {
        let text = self.get("/metrics", &[]).await.body;
        let line = format!("commons_oidc_attempts_total{{client=\"{client}\",outcome=\"{outcome}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
    }
}

pub(crate) fn query(client: &str, redirect_uri: &str) -> String {
    form(&[
        ("client_id", client),
        ("redirect_uri", redirect_uri),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "a state"),
        ("nonce", "n-1"),
        ("code_challenge", &base64url(sha256(VERIFIER))),
        ("code_challenge_method", "S256"),
    ])
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

pub(crate) fn request_url(page: &str) -> String {
    let rest = page.split_once("commons sign-in ").unwrap_or_else(|| panic!("no address in {page}")).1;
    rest.split('<').next().unwrap().to_owned()
}

/// What comes after the origin.
pub(crate) fn path_of(url: &str) -> &str {
    &url[credential::origin(url).unwrap().len()..]
}

/// Writes what `commons-oidc` reads of a commons.
pub(crate) fn write_roster(dir: &Path, seed: u64) -> Commons {
    binary::write_roster(dir, seed)
}
