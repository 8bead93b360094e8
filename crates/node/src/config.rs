//! The operator's configuration: flags over environment over file over the built-in defaults.
//!
//! The defaults are the annotated reference file `docs/commons-node.toml`, compiled in. Identity has no default: data directory
//! and roster must be given. Unknown names are errors. A configuration that would put members at risk (plain HTTP on a network)
//! is refused here, before anything starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::providers::{Env, Format, Serialized, Toml};
use figment::{Figment, Source};
use serde::{Deserialize, Serialize};
use tlog::{KeyKind, VerifierKey};
use types::NodeId;
use types::roster::Roster;

use crate::Error;
use crate::app::{Patience, WitnessAt};
use crate::identity::{self, Identity};

/// The annotated reference file.
pub const REFERENCE: &str = include_str!("../../../docs/commons-node.toml");
/// Prefix of environment variables; `__` separates section and name.
pub const ENVIRONMENT: &str = "COMMONS_NODE_";

/// External witnesses; with the nodes' own, their lines fit into one note.
const MAX_WITNESSES: usize = 8;

/// Everything that an operator sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The node's own directory.
    pub data_dir: PathBuf,
    /// Roster file.
    pub roster: PathBuf,
    /// When given, the data directory must be that of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// External witnesses of this node's log.
    #[serde(default, rename = "witness", skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<WitnessConfig>,
    /// The client API.
    pub http: HttpConfig,
    /// The page for browsers.
    pub page: PageConfig,
    /// The links.
    pub peer: PeerConfig,
    /// How long operations wait.
    pub patience: PatienceConfig,
    /// Renewal of the stored shares.
    pub refresh: RefreshConfig,
    /// Logs.
    pub log: LogConfig,
}

/// `[[witness]]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct WitnessConfig {
    pub vkey: String,
    pub url: String,
}

impl WitnessConfig {
    /// Whom to ask, and where.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn parse(&self) -> Result<WitnessAt, Error> {
        let wrong = |what: String| Error::Config { what: format!("witness \"{}\": {what}", self.vkey) };
        let key = VerifierKey::parse(&self.vkey).map_err(|error| wrong(error.to_string()))?;
        if key.kind() != KeyKind::Cosignature {
            return Err(wrong(
                "its key is not one for cosignatures (type 4); ask its operator for the right one".to_owned(),
            ));
        }
        if !self.url.starts_with("https://") && !self.url.starts_with("http://127.0.0.1:") {
            return Err(wrong("url must begin with https://".to_owned()));
        }
        Ok(WitnessAt { key, url: self.url.clone(), node: None })
    }
}

/// `[http]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct HttpConfig {
    pub bind: SocketAddr,
    pub tls: Tls,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    pub forwarded_for: bool,
    pub connections: u32,
    pub concurrent_requests: u32,
    pub request_timeout_ms: u64,
    pub shutdown_ms: u64,
    pub address_per_minute: u32,
    pub address_burst: u32,
    pub device_per_minute: u32,
    pub device_burst: u32,
}

/// `[page]`; see the reference file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct PageConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,
    pub origins: Vec<String>,
    pub urls: Vec<String>,
}

impl PageConfig {
    fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Config { what });
        if let Some(bind) = self.bind.filter(|bind| !bind.ip().is_loopback()) {
            return wrong(format!(
                "page.bind = \"{bind}\" would serve a page in the clear; it is for trying out on 127.0.0.1 only"
            ));
        }
        if let Some(origin) = self.origins.iter().find(|origin| !is_origin(origin)) {
            return wrong(format!(
                "page.origins: \"{origin}\" is no origin; write it like https://one.example, with nothing after it"
            ));
        }
        if !(self.urls.is_empty() || self.urls.len() == 3 && self.urls.iter().all(|url| is_origin(url))) {
            return wrong("page.urls must be the addresses of nodes 1, 2 and 3, like https://one.example:8443".to_owned());
        }
        Ok(())
    }
}

/// A scheme, a host and perhaps a port, as browsers write an origin: HTTPS, or plain HTTP on this machine.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let plain = host.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:[]".contains(c));
    let here = ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| host == *own || host.starts_with(&format!("{own}:")));
    !host.is_empty() && plain && (scheme == "https" || (scheme == "http" && here))
}

/// How clients reach the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// HTTPS with the node's own key, pinned in the roster.
    Pinned,
    /// HTTPS with a certificate from files.
    Files,
    /// Plain HTTP, on loopback only.
    Off,
}

/// `[peer]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct PeerConfig {
    pub bind: SocketAddr,
    pub heartbeat_ms: u64,
    pub dead_after_ms: u64,
    pub handshake_timeout_ms: u64,
    pub round_timeout_ms: u64,
    pub mbit_per_s: u32,
}

/// `[patience]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct PatienceConfig {
    pub answer_ms: u64,
    pub share_ms: u64,
    pub proposal_ms: u64,
    pub attempts: u32,
    pub attempt_interval_ms: u64,
}

/// `[refresh]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct RefreshConfig {
    pub every_hours: u32,
}

impl RefreshConfig {
    /// How often; absent when an operator's word alone begins one.
    pub(crate) fn interval(&self) -> Option<Duration> {
        (self.every_hours > 0).then(|| Duration::from_secs(3600 * u64::from(self.every_hours)))
    }
}

/// `[log]`; see the reference file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference file explains each name")]
pub struct LogConfig {
    pub format: LogFormat,
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What flags can set; they win over everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, clap::Args)]
pub struct Overrides {
    /// The node's own directory, made by `commons-node init`
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Roster file, the same on all three nodes
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roster: Option<PathBuf>,
    /// Where to listen for members' devices
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip)]
    pub http_bind: Option<SocketAddr>,
    /// Where to listen for the other nodes
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip)]
    pub peer_bind: Option<SocketAddr>,
    /// Format of log lines
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip)]
    pub log_format: Option<LogFormat>,
    /// Least important level that is logged, or a filter such as `info,node=debug`
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip)]
    pub log_level: Option<String>,
}

impl NodeConfig {
    /// Reads the configuration and checks it.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting and the remedy; [`Error::Io`] when `file` cannot be read.
    pub fn load(file: Option<&Path>, flags: &Overrides) -> Result<Self, Error> {
        let mut layers = Figment::from(Toml::string(REFERENCE));
        if let Some(path) = file {
            read_text(path)?;
            layers = layers.merge(Toml::file_exact(path));
        }
        // `COMMONS_NODE_CONFIG` names the file itself.
        layers = layers.merge(Env::prefixed(ENVIRONMENT).ignore(&["config"]).split("__"));
        layers = layers.merge(Serialized::defaults(flags));
        let one = |layers: Figment, name: &str, value: Option<String>| match value {
            Some(value) => layers.merge((name, value)),
            None => layers,
        };
        layers = one(layers, "http.bind", flags.http_bind.map(|a| a.to_string()));
        layers = one(layers, "peer.bind", flags.peer_bind.map(|a| a.to_string()));
        layers = one(layers, "log.level", flags.log_level.clone());
        layers = one(layers, "log.format", flags.log_format.map(|f| format!("{f:?}").to_lowercase()));
        let mut config: Self = layers.extract().map_err(|e| explain(&e))?;
        config.anchor_paths(&layers);
        config.check()?;
        Ok(config)
    }

    /// The defaults, for `dir` and `roster`, listening on free loopback ports: for programs that run nodes inside themselves.
    ///
    /// # Errors
    /// [`Error::Config`]: never, as a test reads the reference file.
    pub fn loopback(data_dir: PathBuf, roster: PathBuf) -> Result<Self, Error> {
        let flags = Overrides { data_dir: Some(data_dir), roster: Some(roster), ..Overrides::default() };
        let layers = Figment::from(Toml::string(REFERENCE)).merge(Serialized::defaults(&flags));
        let mut config: Self = layers.extract().map_err(|e| explain(&e))?;
        config.http.bind = SocketAddr::from(([127, 0, 0, 1], 0));
        config.peer.bind = SocketAddr::from(([127, 0, 0, 1], 0));
        config.check()?;
        Ok(config)
    }

    /// Paths written in a file are relative to that file.
    fn anchor_paths(&mut self, layers: &Figment) {
        let anchor = |name: &str, path: &mut PathBuf| {
            let file = layers.find_metadata(name).and_then(|m| m.source.as_ref()).and_then(Source::file_path);
            if let Some(folder) = file.and_then(Path::parent) {
                *path = folder.join(&*path);
            }
        };
        anchor("data_dir", &mut self.data_dir);
        anchor("roster", &mut self.roster);
        if let Some(path) = &mut self.http.cert_file {
            anchor("http.cert_file", path);
        }
        if let Some(path) = &mut self.http.key_file {
            anchor("http.key_file", path);
        }
        let page = [
            ("page.dir", &mut self.page.dir),
            ("page.models", &mut self.page.models),
            ("page.samples", &mut self.page.samples),
        ];
        for (name, path) in page {
            if let Some(path) = path {
                anchor(name, path);
            }
        }
    }

    /// Whether these settings can be used together.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::Config { what: what.to_owned() });
        let http = &self.http;
        match http.tls {
            Tls::Off if !http.bind.ip().is_loopback() => {
                return Err(Error::Config {
                    what: format!(
                        "http.tls = \"off\" with http.bind = \"{}\" would send requests in the clear; bind to 127.0.0.1 behind a \
                         reverse proxy, or use \"pinned\" or \"files\"",
                        http.bind
                    ),
                });
            }
            Tls::Files if http.cert_file.is_none() || http.key_file.is_none() => {
                return wrong("http.tls = \"files\" needs http.cert_file and http.key_file");
            }
            Tls::Pinned | Tls::Off if http.cert_file.is_some() || http.key_file.is_some() => {
                return wrong(
                    "http.cert_file and http.key_file are used with http.tls = \"files\" only; set it, or remove them",
                );
            }
            _ => {}
        }
        let counts = [
            http.connections,
            http.concurrent_requests,
            http.address_per_minute,
            http.address_burst,
            http.device_per_minute,
            http.device_burst,
            self.patience.attempts,
        ];
        if counts.iter().any(|n| !(1..=1_000_000).contains(n)) {
            return wrong("counts and rates in [http] and [patience] must be 1 to 1000000");
        }
        let times = [
            http.request_timeout_ms,
            http.shutdown_ms,
            self.peer.heartbeat_ms,
            self.peer.dead_after_ms,
            self.peer.handshake_timeout_ms,
            self.peer.round_timeout_ms,
            self.patience.answer_ms,
            self.patience.share_ms,
            self.patience.proposal_ms,
            self.patience.attempt_interval_ms,
        ];
        if times.iter().any(|ms| !(10..=3_600_000).contains(ms)) {
            return wrong("times must be 10 to 3600000 milliseconds");
        }
        if !(1..=1_000_000).contains(&self.peer.mbit_per_s) {
            return wrong("peer.mbit_per_s must be 1 to 1000000");
        }
        if self.witnesses.len() > MAX_WITNESSES {
            return wrong("at most 8 witnesses can be asked");
        }
        self.page.check()?;
        self.witnesses.iter().try_for_each(|witness| witness.parse().map(|_| ()))?;
        if self.peer.dead_after_ms < 2 * self.peer.heartbeat_ms {
            return wrong("peer.dead_after_ms must be at least twice peer.heartbeat_ms, or healthy links would be cut");
        }
        Ok(())
    }

    /// Reads the roster and the keys and checks that they belong together.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Value`], [`Error::NoStore`], [`Error::OtherNode`], [`Error::NotInRoster`] and what
    /// [`Identity::load`] says.
    pub fn open(&self) -> Result<(Roster, Identity), Error> {
        let roster = read_roster(&self.roster)?;
        let identity = Identity::load(&self.data_dir)?;
        if let Some(expected) = self.node.filter(|node| *node != identity.node()) {
            return Err(Error::OtherNode { path: self.data_dir.clone(), found: identity.node(), expected });
        }
        identity.check_roster(&roster)?;
        if self.http.tls == Tls::Off && roster.node(identity.node()).is_some_and(|n| n.url.starts_with("https://")) {
            tracing::info!("plain HTTP on {}: a reverse proxy must terminate TLS for the URL in the roster", self.http.bind);
        }
        Ok((roster, identity))
    }
}

/// Reads and checks a roster file.
///
/// # Errors
/// [`Error::Io`], [`Error::Value`], [`Error::Config`].
pub fn read_roster(path: &Path) -> Result<Roster, Error> {
    Ok(Roster::from_toml(&read_text(path)?)?)
}

/// A file that the operator named: not being there is a mistake in the configuration.
fn read_text(path: &Path) -> Result<String, Error> {
    identity::read_small(path).map_err(|e| match e {
        Error::Io { path, source } => Error::Config { what: format!("cannot read {}: {source}", path.display()) },
        other => other,
    })
}

impl HttpConfig {
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
    pub(crate) fn shutdown(&self) -> Duration {
        Duration::from_millis(self.shutdown_ms)
    }
}

impl PeerConfig {
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }
    pub(crate) fn dead_after(&self) -> Duration {
        Duration::from_millis(self.dead_after_ms)
    }
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }
    pub(crate) fn round_timeout(&self) -> Duration {
        Duration::from_millis(self.round_timeout_ms)
    }
}

impl PatienceConfig {
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            answer: Duration::from_millis(self.answer_ms),
            share: Duration::from_millis(self.share_ms),
            proposal: Duration::from_millis(self.proposal_ms),
            attempts: self.attempts,
            attempt_interval: Duration::from_millis(self.attempt_interval_ms),
        }
    }
}

/// Figment's error in the operator's words.
fn explain(error: &figment::Error) -> Error {
    let name = error.path.join(".");
    let place = error.metadata.as_ref().map(|m| m.source.as_ref().map_or_else(|| m.name.to_string(), ToString::to_string));
    let place = place.map(|p| format!(" ({p})")).unwrap_or_default();
    let what = match &error.kind {
        figment::error::Kind::MissingField(field) if field == "data_dir" || field == "roster" => format!(
            "`{field}` is not set; give it in the configuration file, as {ENVIRONMENT}{} or as --{}",
            field.to_uppercase(),
            field.replace('_', "-")
        ),
        figment::error::Kind::MissingField(field) => format!("`{field}` is not set{place}"),
        kind if name.is_empty() => format!("{kind}{place}"),
        kind => format!("`{name}`: {kind}{place}"),
    };
    Error::Config { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> Overrides {
        Overrides { data_dir: Some("d".into()), roster: Some("r".into()), ..Overrides::default() }
    }

    fn with_file(text: &str) -> Result<NodeConfig, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        NodeConfig::load(Some(&path), &Overrides::default())
    }

    fn message(result: Result<NodeConfig, Error>) -> String {
        match result {
            Err(error @ Error::Config { .. }) => error.to_string(),
            other => panic!("expected a configuration error, got {other:?}"),
        }
    }

    #[test]
    fn the_reference_file_is_the_default_and_names_no_identity() {
        let config = NodeConfig::load(None, &flags()).unwrap();
        assert_eq!(config.http.tls, Tls::Pinned);
        assert_eq!(config.peer.dead_after_ms, 3000);
        assert_eq!((config.data_dir.as_path(), config.roster.as_path()), (Path::new("d"), Path::new("r")));
        let text = message(NodeConfig::load(None, &Overrides::default()));
        assert!(text.contains("`data_dir` is not set") && text.contains("--data-dir"), "{text}");
    }

    #[test]
    fn every_commented_setting_of_the_reference_file_is_a_known_one() {
        let uncommented: String = REFERENCE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") && !setting.contains(['`', '(', ';']) => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let uncommented = uncommented.replace("tls = \"pinned\"", "tls = \"files\"");
        let config = with_file(&uncommented).unwrap();
        assert_eq!(config.data_dir, Path::new("/var/lib/commons-node"));
        assert!(config.http.cert_file.is_some() && config.node.is_some());
    }

    #[test]
    fn a_file_wins_over_defaults_and_its_paths_are_relative_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        std::fs::write(&path, "data_dir = \"data\"\nroster = \"/abs/roster.toml\"\n[peer]\nheartbeat_ms = 500\n").unwrap();
        let config = NodeConfig::load(Some(&path), &Overrides::default()).unwrap();
        assert_eq!(config.data_dir, dir.path().join("data"));
        assert_eq!(config.roster, Path::new("/abs/roster.toml"));
        assert_eq!((config.peer.heartbeat_ms, config.peer.dead_after_ms), (500, 3000));
        let flags = Overrides {
            data_dir: Some("flag".into()),
            http_bind: Some("127.0.0.1:1".parse().unwrap()),
            log_format: Some(LogFormat::Json),
            ..Overrides::default()
        };
        let config = NodeConfig::load(Some(&path), &flags).unwrap();
        assert_eq!(config.data_dir, Path::new("flag"));
        assert_eq!(config.http.bind.port(), 1);
        assert_eq!(config.log.format, LogFormat::Json);
    }

    #[test]
    fn plain_http_on_a_network_is_refused() {
        let base = "data_dir = \"d\"\nroster = \"r\"\n[http]\ntls = \"off\"\n";
        let text = message(with_file(&format!("{base}bind = \"0.0.0.0:80\"")));
        assert!(text.contains("in the clear") && text.contains("127.0.0.1"), "{text}");
        for bind in ["127.0.0.1:8080", "[::1]:8080"] {
            assert!(with_file(&format!("{base}bind = \"{bind}\"")).is_ok());
        }
    }

    #[test]
    fn mistakes_are_named() {
        let base = "data_dir = \"d\"\nroster = \"r\"\n";
        let cases = [
            ("unknown = 1", "unknown"),
            ("[http]\nbnd = \"x\"", "bnd"),
            ("[http]\nbind = \"nowhere\"", "http.bind"),
            ("[http]\nconnections = 0", "counts"),
            ("[http]\ntls = \"files\"", "cert_file"),
            ("[http]\ncert_file = \"c\"", "files"),
            ("[peer]\nheartbeat_ms = 2000", "twice"),
            ("[peer]\nround_timeout_ms = 0", "milliseconds"),
            ("node = 4", "node"),
            ("witness = [{ vkey = \"x+y\", url = \"https://w.example\" }]", "verifier key"),
            (
                "witness = [{ vkey = \"witness.example/w1+eb762cc2+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\", url = \"http://w.example\" }]",
                "https://",
            ),
        ];
        for (text, named) in cases {
            let error = message(with_file(&format!("{base}{text}\n")));
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
