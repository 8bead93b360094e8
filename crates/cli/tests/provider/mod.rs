//! A running `commons-oidc` beside a `commons dev`, and a web site that asks it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oidc::form::{Form, encode};
use oidc::jose::{Jwk, Token, base64url, sha256};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Map, Value};

use crate::common::{COMMONS, Dev};

pub(crate) const SHOP: &str = "https://shop.example/callback";
pub(crate) const CLINIC: &str = "https://clinic.example/in";
pub(crate) const POLL: &str = "https://poll.example/";
pub(crate) const SECRET: &str = "the-secret-of-the-clinic";
const VERIFIER: &str = "a-verifier-of-43-characters-or-more-for-PKCE";

/// The `commons-oidc` that `COMMONS_OIDC` names, or that of the same build as the running test, built now if need be.
pub(crate) fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("COMMONS_OIDC") {
        return program.into();
    }
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--locked", "--workspace", "--bin", "commons-oidc"]);
    let directory = Path::new(COMMONS).parent().unwrap().to_owned();
    if directory.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "commons-oidc does not build");
    directory.join("commons-oidc")
}

/// What fetches as a browser or a site's server does, and follows nothing by itself.
pub(crate) fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A provider for the members of a `commons dev`. Stopped when dropped.
pub(crate) struct Provider {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    log: PathBuf,
    child: Child,
}

impl Provider {
    /// Set up and started as an operator would. `more` goes into its configuration.
    pub(crate) fn start(dev: &Dev, more: &str) -> Self {
        let folder = tempfile_in(dev, "id");
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let secret: String = sha256(SECRET).iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!(
            r#"
issuer = "{url}"
operator = "Lake village"
data_dir = "data"
roster = "../dev/roster.toml"
bind = "127.0.0.1:{port}"
{more}
[[client]]
id = "shop"
name = "The Shop"
redirect_uris = ["{SHOP}"]
[[client]]
id = "clinic"
name = "Lake Clinic"
redirect_uris = ["{CLINIC}"]
secret_sha256 = "{secret}"
ask = [{{ attribute = "community" }}]
[[client]]
id = "poll"
name = "One Poll"
redirect_uris = ["{POLL}"]
kind = "one-time"
"#
        );
        std::fs::write(folder.join("oidc.toml"), text).unwrap();
        let program = program();
        let made = Command::new(&program).args(["init", "--data-dir", "data"]).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let log = folder.join("log");
        let child = run(&program, &folder, &log);
        Self { url, http: http(), log, child }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// A figure of its monitoring.
    pub(crate) async fn metric(&self, client: &str, outcome: &str) -> u64 {
        let text = self.get("/metrics").await;
        let line = format!("commons_oidc_attempts_total{{client=\"{client}\",outcome=\"{outcome}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
    }

    async fn get(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().text().await.unwrap()
    }

    /// What a site sends a browser with.
    pub(crate) async fn authorize(&self, client: &str, redirect: &str) -> reqwest::Response {
        let query = form(&[
            ("client_id", client),
            ("redirect_uri", redirect),
            ("response_type", "code"),
            ("scope", "openid"),
            ("state", "a state"),
            ("nonce", "n-1"),
            ("code_challenge", &base64url(sha256(VERIFIER))),
            ("code_challenge_method", "S256"),
        ]);
        self.http.get(format!("{}/authorize?{query}", self.url)).send().await.unwrap()
    }

    /// A browser begins at a site.
    pub(crate) async fn begin(&self, client: &str, redirect: &str) -> Browser {
        let first = self.authorize(client, redirect).await;
        let page = format!("{}{}", self.url, first.headers()[LOCATION].to_str().unwrap());
        let cookie = first.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let html = self.http.get(&page).header(COOKIE, &cookie).send().await.unwrap().text().await.unwrap();
        let shown = html.split_once("commons sign-in ").unwrap_or_else(|| panic!("no address in {html}")).1;
        Browser { page, cookie, request: shown.split('<').next().unwrap().to_owned() }
    }

    /// Where the browser is sent, with what.
    pub(crate) async fn back(&self, browser: &Browser) -> (String, Form) {
        let back = self.http.get(&browser.page).header(COOKIE, &browser.cookie).send().await.unwrap();
        let to = back.headers().get(LOCATION).unwrap_or_else(|| panic!("goes nowhere: {}", back.status()));
        let (address, query) = to.to_str().unwrap().split_once('?').unwrap();
        (address.to_owned(), Form::parse(query).unwrap())
    }

    /// The site redeems a code.
    pub(crate) async fn redeem(&self, client: &str, redirect: &str, code: &str) -> (u16, Value) {
        let grant = [("grant_type", "authorization_code"), ("redirect_uri", redirect), ("code", code)];
        let mut fields = [&grant[..], &[("code_verifier", VERIFIER)]].concat();
        let mut request =
            self.http.post(format!("{}/token", self.url)).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match client {
            "clinic" => request = request.header(AUTHORIZATION, basic(client)),
            _ => fields.push(("client_id", client)),
        }
        answer(request.body(form(&fields)).send().await.unwrap()).await
    }

    /// What the site believes: the claims of the ID token, checked with the published key.
    pub(crate) async fn claims(&self, client: &str, tokens: &Value) -> Map<String, Value> {
        let token = Token::parse(tokens["id_token"].as_str().unwrap()).unwrap();
        let keys: Value = serde_json::from_str(&self.get("/jwks.json").await).unwrap();
        let kid = token.header("kid").cloned();
        let key = keys["keys"].as_array().unwrap().iter().find(|key| key.get("kid") == kid.as_ref()).unwrap();
        let claims = token.verify("JWT", &Jwk::from_json(key).unwrap()).unwrap();
        let expected = (self.url.as_str(), client, "n-1");
        let text = |name: &str| claims[name].as_str().unwrap();
        assert_eq!((text("iss"), text("aud"), text("nonce")), expected);
        claims
    }

    pub(crate) async fn userinfo(&self, tokens: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        answer(self.http.get(format!("{}/userinfo", self.url)).header(AUTHORIZATION, bearer).send().await.unwrap()).await
    }

    /// A call of the clinic's server.
    pub(crate) async fn as_clinic(&self, method: reqwest::Method, url: &str) -> Value {
        let request = self.http.request(method, url).header(AUTHORIZATION, basic("clinic"));
        let (status, value) = answer(request.send().await.unwrap()).await;
        assert_eq!(status, 200, "{value}");
        value
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser that waits for its person's device.
pub(crate) struct Browser {
    pub(crate) page: String,
    pub(crate) cookie: String,
    /// The address in the QR code.
    pub(crate) request: String,
}

/// Starts the program and waits until it serves.
pub(crate) fn run(program: &Path, folder: &Path, log: &Path) -> Child {
    let out = std::fs::File::create(log).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--config", "oidc.toml"]).current_dir(folder);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out).spawn().unwrap();
    let begun = Instant::now();
    loop {
        let lines = BufReader::new(std::fs::File::open(log).unwrap()).lines();
        if lines.map_while(Result::ok).any(|line| line.contains("commons-oidc serves")) {
            return child;
        }
        let text = std::fs::read_to_string(log).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "it ended: {text}");
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not serve: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn tempfile_in(dev: &Dev, name: &str) -> PathBuf {
    let folder = dev.path(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn basic(client: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{client}:{SECRET}")))
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}
