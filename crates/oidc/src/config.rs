//! The operator's configuration: environment over file over the annotated reference file, which is compiled in.
//!
//! What would harm people is refused here, before anything starts: plain HTTP on a network, redirect addresses of two parties under
//! one name, contexts that cannot be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use credential::{Attribute, Context, Demand, Kind, origin, via};
use figment::providers::{Env, Format, Toml};
use figment::{Figment, Source};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::authorize::Clients;

/// The annotated reference file.
pub const REFERENCE: &str = include_str!("../../../docs/commons-oidc.toml");
/// Prefix of environment variables.
pub const ENVIRONMENT: &str = "COMMONS_OIDC_";
/// Clients of one provider.
const CLIENTS: usize = 1000;
/// Redirect addresses of one client, and characters of one.
const REDIRECTS: usize = 20;
const REDIRECT_CHARS: usize = 500;

/// Everything that an operator sets; the reference file explains each name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct Config {
    pub issuer: String,
    pub operator: String,
    pub data_dir: PathBuf,
    pub roster: PathBuf,
    pub bind: SocketAddr,
    pub forwarded_for: bool,
    pub connections: u32,
    pub concurrent_requests: u32,
    pub address_per_minute: u32,
    pub address_burst: u32,
    pub open_sign_ins: u32,
    pub sign_in_s: u64,
    pub code_s: u64,
    pub token_s: u64,
    pub request_timeout_ms: u64,
    pub shutdown_ms: u64,
    #[serde(default, rename = "client")]
    pub clients: Vec<ClientConfig>,
    pub wallet: WalletConfig,
    pub log: LogConfig,
}

/// `[[client]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct ClientConfig {
    pub id: String,
    pub name: String,
    pub redirect_uris: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_sha256: Option<String>,
    #[serde(default = "standing")]
    pub kind: Kind,
    #[serde(default)]
    pub ask: Vec<Demand>,
}

fn standing() -> Kind {
    Kind::Standing
}

/// `[wallet]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct WalletConfig {
    pub enabled: bool,
    pub batch: u32,
    pub lifetime_s: u64,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct LogConfig {
    pub format: LogFormat,
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Reads the configuration and checks it.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Io`].
    pub fn load(file: &Path) -> Result<Self, Error> {
        let size = std::fs::metadata(file).map_err(|source| Error::Io { path: file.to_owned(), source })?.len();
        if size > types::limits::CONFIG_FILE_BYTES as u64 {
            return Err(wrong(format!("{} is too long", file.display())));
        }
        let layers = Figment::from(Toml::string(REFERENCE))
            .merge(Toml::file_exact(file))
            .merge(Env::prefixed(ENVIRONMENT).ignore(&["config"]).split("__"));
        let mut config: Self = layers.extract().map_err(|error| wrong(explain(&error)))?;
        let anchor = |name: &str, path: &mut PathBuf| {
            let from = layers.find_metadata(name).and_then(|m| m.source.as_ref()).and_then(Source::file_path);
            if let Some(folder) = from.and_then(Path::parent) {
                *path = folder.join(&*path);
            }
        };
        anchor("data_dir", &mut config.data_dir);
        anchor("roster", &mut config.roster);
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        if origin(&self.issuer) != Some(self.issuer.as_str()) {
            return Err(wrong("issuer is scheme, host and port as browsers write them, such as https://id.example".into()));
        }
        if !self.bind.ip().is_loopback() {
            return Err(wrong(format!(
                "bind = \"{}\" would send sign-ins in the clear; bind to 127.0.0.1 behind a reverse proxy with HTTPS",
                self.bind
            )));
        }
        let counts =
            [self.connections, self.concurrent_requests, self.address_per_minute, self.address_burst, self.open_sign_ins];
        if counts.iter().any(|n| !(1..=1_000_000).contains(n)) {
            return Err(wrong("counts and rates must be 1 to 1000000".into()));
        }
        if !(10..=300).contains(&self.sign_in_s)
            || !(5..=600).contains(&self.code_s)
            || !(10..=86_400).contains(&self.token_s)
        {
            return Err(wrong("sign_in_s is 10 to 300, code_s 5 to 600, token_s 10 to 86400".into()));
        }
        if [self.request_timeout_ms, self.shutdown_ms].iter().any(|ms| !(100..=600_000).contains(ms)) {
            return Err(wrong("times in ms must be 100 to 600000".into()));
        }
        let WalletConfig { batch, lifetime_s, .. } = self.wallet;
        if !(1..=100).contains(&batch) || !(3600..=366 * 86_400).contains(&lifetime_s) {
            return Err(wrong("wallet.batch is 1 to 100, wallet.lifetime_s an hour to a year".into()));
        }
        self.clients().map(|_| ())
    }

    /// The registered clients, ready to use.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn clients(&self) -> Result<Registry, Error> {
        if self.clients.len() > CLIENTS {
            return Err(wrong(format!("there are more than {CLIENTS} clients")));
        }
        let mut registry = BTreeMap::new();
        for client in &self.clients {
            let named = |what: &str| wrong(format!("client \"{}\": {what}", client.id));
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if client.id.is_empty() || client.id.len() > 64 || !client.id.chars().all(plain) {
                return Err(named("its id is 1 to 64 letters, digits, and -_."));
            }
            if client.name.trim().is_empty() || client.name.chars().count() > 80 || client.name.chars().any(char::is_control)
            {
                return Err(named("its name is 1 to 80 characters on one line"));
            }
            let client = Client::new(client, &self.issuer).map_err(|what| named(&what))?;
            if registry.insert(client.id.clone(), client).is_some() {
                return Err(wrong("two clients have the same id".into()));
            }
        }
        Ok(Registry(registry))
    }

    /// Time for one request.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

fn wrong(what: String) -> Error {
    Error::Config { what }
}

fn explain(error: &figment::Error) -> String {
    // The kind names what is wrong; the path says where. Values are not repeated: one may be a secret's digest.
    let path = error.path.join(".");
    match &error.kind {
        figment::error::Kind::MissingField(name) => format!("`{name}` is missing; docs/commons-oidc.toml explains it"),
        figment::error::Kind::UnknownField(name, _) => {
            format!("there is no setting `{name}`; docs/commons-oidc.toml has all")
        }
        _ if path.is_empty() => "it is not TOML; compare it with docs/commons-oidc.toml".to_owned(),
        _ => format!("`{path}` has a value of the wrong kind; docs/commons-oidc.toml shows a right one"),
    }
}

/// A registered web site.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// For people.
    pub name: String,
    /// SHA-256 of its secret, if it has one.
    pub secret: Option<[u8; 32]>,
    /// What people answer to.
    pub context: Context,
    redirect_uris: Vec<String>,
}

impl Client {
    fn new(config: &ClientConfig, issuer: &str) -> Result<Self, String> {
        if config.redirect_uris.is_empty() || config.redirect_uris.len() > REDIRECTS {
            return Err("give 1 to 20 redirect_uris".to_owned());
        }
        let mut site = None;
        for uri in &config.redirect_uris {
            let plain = uri.len() <= REDIRECT_CHARS && uri.bytes().all(|c| c.is_ascii_graphic());
            let at = origin(uri).filter(|_| plain && !uri.contains('#'));
            let at = at.ok_or("redirect_uris are https URLs (http on loopback) without fragment or capital host")?;
            if site.is_some_and(|site| site != at) {
                return Err("its redirect_uris lie at two origins, which are two parties; register two clients".to_owned());
            }
            site = Some(at);
        }
        let secret = match &config.secret_sha256 {
            None => None,
            Some(text) => {
                let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
                Some(bytes.ok_or("secret_sha256 is 64 hexadecimal digits, as `commons-oidc secret` prints them")?)
            }
        };
        if config.kind == Kind::Masquerade {
            return Err("kind is \"standing\" or \"one-time\"".to_owned());
        }
        let context = Context::new(&via(issuer), site.unwrap_or_default(), config.kind);
        let mut context = context.map_err(|error| format!("the issuer's or its origin is too long ({error})"))?;
        for Demand { attribute, one_of } in &config.ask {
            let accepted: Vec<&str> = one_of.iter().map(String::as_str).collect();
            context = context.demand(*attribute, &accepted).map_err(|error| format!("ask: {error}"))?;
        }
        let (id, name, redirect_uris) = (config.id.clone(), config.name.clone(), config.redirect_uris.clone());
        Ok(Self { id, name, secret, context, redirect_uris })
    }

    /// What it asks for.
    pub fn asks(&self) -> impl Iterator<Item = Attribute> + '_ {
        self.context.demands().iter().map(|demand| demand.attribute)
    }
}

/// The registered clients by id.
#[derive(Debug, Clone)]
pub struct Registry(BTreeMap<String, Client>);

impl Registry {
    /// One of them.
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.0.get(id)
    }
    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }
    /// All.
    pub fn all(&self) -> impl Iterator<Item = &Client> {
        self.0.values()
    }
}

impl Clients for Registry {
    fn redirects(&self, client: &str, redirect_uri: &str) -> Option<bool> {
        self.client(client).map(|client| client.redirect_uris.iter().any(|uri| uri == redirect_uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"
        issuer = "https://id.example"
        operator = "Lake village"
        data_dir = "data"
        roster = "roster.toml"
        [[client]]
        id = "shop"
        name = "The Shop"
        redirect_uris = ["https://shop.example/callback"]
        ask = [{ attribute = "age-band", one_of = ["18-29", "30-49"] }]
        "#;

    fn load(text: &str) -> Result<Config, Error> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("oidc.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&file)
    }

    #[test]
    fn the_reference_file_is_the_default_and_its_examples_are_true() {
        let config = load(OWN).unwrap();
        assert_eq!(config.bind.port(), 8790);
        assert!(config.roster.is_absolute() || config.roster.parent().is_some());
        let clients = config.clients().unwrap();
        let shop = clients.client("shop").unwrap();
        assert_eq!(shop.context.verifier(), "https://shop.example");
        assert_eq!(shop.context.id(), "via https://id.example");
        // What is commented out in the reference is what one would write.
        let all: String = REFERENCE
            .lines()
            .filter_map(|line| {
                let bare = line.trim_start_matches(['#', ' ']);
                let setting = bare.starts_with("[[") || bare.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '));
                (!line.starts_with('#') || setting).then(|| format!("{bare}\n"))
            })
            .collect();
        assert_eq!(load(&all).unwrap().clients().unwrap().count(), 1);
    }

    #[test]
    fn what_would_harm_is_refused_with_the_remedy() {
        for (from, to, expected) in [
            ("https://id.example", "https://id.example/path", "issuer is"),
            ("https://id.example", "http://id.example", "issuer is"),
            ("data_dir", "bind = \"0.0.0.0:80\"\ndata_dir", "in the clear"),
            ("data_dir", "sign_in_s = 301\ndata_dir", "sign_in_s"),
            ("operator", "operatr", "there is no setting `operatr`"),
            ("https://shop.example/callback", "http://shop.example/callback", "redirect_uris are https"),
            ("https://shop.example/callback", "https://shop.example/#x", "redirect_uris are https"),
            ("callback\"", "callback\", \"https://other.example/\"", "two origins"),
            ("id = \"shop\"", "id = \"the shop\"", "its id"),
            ("18-29\"", "\"", "ask: "),
            ("name =", "secret_sha256 = \"12\"\nname =", "64 hexadecimal digits"),
            ("name =", "kind = \"masquerade\"\nname =", "one-time"),
            ("issuer = \"https://id.example\"", "", "`issuer` is missing"),
        ] {
            let error = load(&OWN.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
        let twice = format!("{OWN}{}", &OWN[OWN.find("[[client]]").unwrap()..]);
        assert!(load(&twice).unwrap_err().to_string().contains("same id"));
    }
}
