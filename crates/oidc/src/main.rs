//! `commons-oidc`: the operator's program. Commands, output and exit codes; everything else is in the library.
//!
//! Exit codes: 0 done; 1 failed while running; 2 wrong usage or configuration; 3 the data directory is missing, in use or exposed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use oidc::config::{Config, LogConfig, LogFormat};
use oidc::jose::{base64url, sha256};
use oidc::keys::Keys;
use oidc::store::Store;
use oidc::{Error, commons};
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// One person, once, for web sites (OpenID Connect) and wallets (SD-JWT VC)
#[derive(Parser)]
#[command(name = "commons-oidc", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Answer in JSON, one object on standard output; errors likewise on standard error
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "\
Set up a provider (docs/relying-parties.md leads through it):
  commons-oidc init --data-dir /var/lib/commons-oidc
  commons-oidc reference > oidc.toml          # then edit it
  commons-oidc secret                         # for a web site with a server
  commons-oidc check --config oidc.toml
  commons-oidc run --config oidc.toml";

#[derive(Subcommand)]
enum Command {
    /// Create the signing key and an empty store; never overwrites
    Init(Directory),
    /// Print the annotated configuration, with the defaults and an example of each setting
    Reference,
    /// Make a secret for a web site, and the line for the configuration that knows it again
    Secret,
    /// Add a signing key: it signs from the next start on, the older ones stay published
    NewKey(Directory),
    /// Check configuration, keys and roster, and say what was found; starts and changes nothing
    Check(Configured),
    /// Serve until SIGTERM or SIGINT
    Run(Configured),
}

#[derive(Args)]
struct Directory {
    /// The provider's own directory
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

#[derive(Args)]
struct Configured {
    /// Configuration file; docs/commons-oidc.toml explains each setting
    #[arg(long, value_name = "FILE", env = "COMMONS_OIDC_CONFIG")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let Cli { command, json } = Cli::parse();
    let outcome = tokio::runtime::Runtime::new()
        .map_err(|_| Error::Internal { what: "threads can be started" })
        .and_then(|runtime| runtime.block_on(obey(command, json)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.chain();
            let line = if json { format!("{:#}\n", json!({ "error": text })) } else { format!("commons-oidc: {text}\n") };
            let _ = std::io::stderr().write_all(line.as_bytes());
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn obey(command: Command, json: bool) -> Result<(), Error> {
    match command {
        Command::Init(Directory { data_dir }) => {
            Keys::create(&data_dir)?;
            Store::create(&data_dir).await?;
            let text = format!(
                "Created {}.\nIts signing key is in keys/: keep a copy that only you can read. Next: `commons-oidc reference > oidc.toml`.\n",
                data_dir.display()
            );
            tell(json, &json!({ "data_dir": data_dir }), &text)
        }
        Command::Reference => print(oidc::config::REFERENCE),
        Command::Secret => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|_| Error::Internal { what: "the system gives randomness" })?;
            let secret = base64url(bytes);
            let digest = hex::encode(sha256(&secret));
            let text =
                format!("For the web site:   client_secret = {secret}\nFor oidc.toml:      secret_sha256 = \"{digest}\"\n");
            tell(json, &json!({ "client_secret": secret, "secret_sha256": digest }), &text)
        }
        Command::NewKey(Directory { data_dir }) => {
            let path = Keys::add(&data_dir)?;
            tell(
                json,
                &json!({ "key": path }),
                &format!("Added {}. Restart commons-oidc to sign with it.\n", path.display()),
            )
        }
        Command::Check(configured) => check(&Config::load(&configured.config)?, json),
        Command::Run(configured) => serve(Config::load(&configured.config)?, json).await,
    }
}

fn check(config: &Config, json: bool) -> Result<(), Error> {
    let (roster, issuers) = commons::read(&config.roster)?;
    let keys = Keys::load(&config.data_dir)?;
    let clients = config.clients()?;
    let signing = keys.newest()?.public().thumbprint();
    let sites: Vec<_> = clients.all().map(|client| (client.id.clone(), client.context.verifier().to_owned())).collect();
    let facts = json!({
        "issuer": config.issuer, "commons": roster.commons, "roster": issuers.commons(), "signing_key": signing,
        "bind": config.bind, "clients": sites.iter().map(|(id, site)| json!({ "id": id, "site": site })).collect::<Vec<_>>(),
    });
    let mut text = format!(
        "This is the provider {} of \"{}\".\n  roster       {}\n  signing key  {signing}\n  listens on   {}\n",
        config.issuer,
        roster.commons,
        issuers.commons(),
        config.bind
    );
    for (id, site) in &sites {
        text += &format!("  client       {id} at {site}\n");
    }
    tell(json, &facts, &(text + "All is well. Start it with `commons-oidc run`.\n"))
}

async fn serve(mut config: Config, json: bool) -> Result<(), Error> {
    if json {
        config.log.format = LogFormat::Json;
    }
    start_logs(&config.log)?;
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).map_err(|_| Error::Internal { what: "signals can be received" })?;
    let running = oidc::start(config).await?;
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    running.stop().await;
    Ok(())
}

fn start_logs(log: &LogConfig) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|_| Error::Config { what: format!("log.level = \"{}\" is not a level or filter", log.level) })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let lines = lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

fn tell(json: bool, facts: &serde_json::Value, text: &str) -> Result<(), Error> {
    if json { print(&format!("{facts:#}\n")) } else { print(text) }
}

fn print(text: &str) -> Result<(), Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has read enough.
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Io { path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Config { .. } | Error::Value(_) | Error::Credential(_) => 2,
        Error::NoStore { .. } | Error::StoreExists { .. } | Error::Exposed { .. } | Error::Migration(_) => 3,
        _ => 1,
    }
}
