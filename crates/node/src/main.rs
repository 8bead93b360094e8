//! `commons-node`: the operator's program. Commands, output and exit codes; everything else is in the library.
//!
//! Exit codes: 0 done; 1 failed while running; 2 wrong usage or configuration; 3 the data directory is missing, damaged, in use,
//! of another node or of another version.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use node::config::{LogConfig, LogFormat, NodeConfig, Overrides};
use node::identity::{Card, Facts};
use node::run::{self, Node};
use node::store::Store;
use node::{Error, Kind};
use serde_json::json;
use tracing_subscriber::EnvFilter;
use types::NodeId;
use types::profile::Profile;
use types::roster::Roster;

/// Run one of the three nodes of a Trust Commons
#[derive(Parser)]
#[command(name = "commons-node", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Answer in JSON, one object on standard output; errors likewise on standard error
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "\
Set up a commons (each operator runs the first line on their own machine):
  commons-node init --data-dir /var/lib/commons-node --id 1 --operator \"Red Cross Geneva\" \\
      --url https://one.example:8443 --peer-address one.example:9443
  commons-node roster --commons \"Lake village\" --profile face.toml \\
      card1.toml card2.toml card3.toml > roster.toml
  commons-node check --config node.toml
  commons-node run --config node.toml
Change its rules (each operator, then `commons charter join` and `adopt`):
  commons-node charter sign next.toml --config node.toml";

#[derive(Subcommand)]
enum Command {
    /// Create this node's keys and an empty store
    ///
    /// Prints the public card to send to the two other operators. Never overwrites.
    Init(Init),
    /// Put three cards and the modality profiles into a roster, printed on standard output
    ///
    /// All three nodes and all clients need the same file. Compare its digest by another way than the file came.
    Roster(MakeRoster),
    /// Serve until SIGTERM or SIGINT
    Run(Configured),
    /// Have all three nodes renew their stored shares, while they go on serving
    ///
    /// Asks this node, which must be running, and with it the two others. Shares stolen before and shares stolen after do not
    /// combine. Returns when all nodes use the new shares and erase the old ones.
    Refresh(Refresh),
    /// Put a new node in the place of a lost one: a roster that the two remaining nodes sign
    ///
    /// On the first remaining node with the new node's card; on the second with the file that the first printed. Neither changes
    /// anything but the roster on standard output.
    Succeed(Succeed),
    /// Take a new profile into the roster, such as a better model: all three nodes sign, in the order of their numbers
    ///
    /// Node 1 with the profile's file; nodes 2 and 3 with the file that the one before printed. Nothing is changed but the roster on standard
    /// output. Whether the profile may be used is for the charter to say.
    AddProfile(AddProfile),
    /// On a remaining node, stopped: write the file that the new node needs of it
    ///
    /// The file is sealed to the new node, and holds no share that says anything without the other remaining node's file.
    Handover(GiveOver),
    /// On the new node: become the lost one, out of the files of the two remaining nodes
    ///
    /// May be repeated until it succeeds. Then start all three with the new roster, and run `commons-node refresh`: the lost node's
    /// shares are worth nothing after it.
    Rebuild(Rebuild),
    /// Check configuration, keys, roster and data, and say what was found; starts and changes nothing
    ///
    /// Reads every stored share of a node that is not running, and its checksum.
    Check(Configured),
    /// Check the data directory of a stopped node: database, decisions, log, checkpoints, records, shares
    ///
    /// Changes nothing. Exit code 3 when anything is damaged.
    Fsck(Fsck),
    /// The rules of the commons, as far as they need this node's key
    #[command(subcommand)]
    Charter(CharterCommand),
}

#[derive(Subcommand)]
enum CharterCommand {
    /// Sign a charter with this node's key; writes FILE.signature-N
    ///
    /// Read it first, and compare its digest with the other operators. Write it with `commons charter new`, see what it changes with
    /// `commons charter check`, join the three signatures with `commons charter join`.
    Sign(SignCharter),
}

#[derive(Args)]
struct SignCharter {
    /// The charter
    file: PathBuf,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Args)]
struct Init {
    /// Directory to create; an existing one must be empty
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Which node this is: 1, 2 or 3
    #[arg(long, value_name = "N", value_parser = parse_node)]
    id: NodeId,
    /// Who runs it, for people
    #[arg(long, value_name = "NAME")]
    operator: String,
    /// Base URL at which members' devices reach it
    #[arg(long, value_name = "URL")]
    url: String,
    /// Where the two other nodes reach it
    #[arg(long, value_name = "HOST:PORT")]
    peer_address: String,
}

#[derive(Args)]
struct MakeRoster {
    /// Name of the commons, for people
    #[arg(long, value_name = "NAME")]
    commons: String,
    /// Length of an epoch of credentials, in seconds: so long, and half as long again, relying parties may still accept who left
    #[arg(long, value_name = "SECONDS", default_value_t = types::Epochs::DAILY.length_s)]
    epoch: u32,
    /// Modality profile; give one or more
    #[arg(long = "profile", value_name = "FILE", required = true)]
    profiles: Vec<PathBuf>,
    /// The cards of nodes 1, 2 and 3
    #[arg(value_name = "CARD", num_args = 3)]
    cards: Vec<PathBuf>,
}

#[derive(Args)]
struct Configured {
    /// Configuration file; docs/commons-node.toml explains each setting
    #[arg(long, value_name = "FILE", env = "COMMONS_NODE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Args)]
struct Refresh {
    #[command(flatten)]
    configured: Configured,
    /// Return when it has begun
    #[arg(long)]
    no_wait: bool,
}

#[derive(Args)]
struct Succeed {
    #[command(flatten)]
    configured: Configured,
    /// Card of the new node, made by `commons-node init` with the lost node's number
    #[arg(long, value_name = "FILE", conflicts_with = "sign", required_unless_present = "sign")]
    card: Option<PathBuf>,
    /// Roster that the other remaining node printed, to sign it too
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
}

#[derive(Args)]
struct AddProfile {
    #[command(flatten)]
    configured: Configured,
    /// The new profile, in TOML
    #[arg(long, value_name = "FILE", conflicts_with = "sign", required_unless_present = "sign")]
    profile: Option<PathBuf>,
    /// Roster that the node before printed, to sign it too
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
}

#[derive(Args)]
struct GiveOver {
    #[command(flatten)]
    configured: Configured,
    /// The other remaining node's file, if it was written before, or its first 64 kB
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
struct Rebuild {
    #[command(flatten)]
    configured: Configured,
    /// The files of the two remaining nodes
    #[arg(value_name = "FILE", num_args = 2, required = true)]
    files: Vec<PathBuf>,
}

#[derive(Args)]
struct Fsck {
    #[command(flatten)]
    configured: Configured,
    /// Build wrong tiles of the log again from its entries; everything else stays as it is
    #[arg(long)]
    repair: bool,
}

fn parse_node(text: &str) -> Result<NodeId, String> {
    text.parse().ok().and_then(|n| NodeId::new(n).ok()).ok_or_else(|| "a commons has nodes 1, 2 and 3".to_owned())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "commons-node: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(obey(cli.command, cli.json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error, cli.json);
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn obey(command: Command, json: bool) -> Result<(), Error> {
    match command {
        Command::Init(init) => create(init, json).await,
        Command::Roster(roster) => print_roster(&roster, json),
        Command::Check(configured) => check(&configured, json).await,
        Command::Refresh(refresh) => renew_shares(&refresh, json).await,
        Command::Succeed(succeed) => print_succession(&succeed, json).await,
        Command::AddProfile(add) => print_addition(&add, json),
        Command::Handover(give) => hand_over(&give, json).await,
        Command::Rebuild(rebuild) => rebuild_node(&rebuild, json).await,
        Command::Fsck(fsck) => check_directory(&fsck, json).await,
        Command::Charter(CharterCommand::Sign(sign)) => sign_charter(&sign, json),
        Command::Run(configured) => {
            // For tests and comparisons; the answers are the same with every kernel. The start-up log names it.
            mpc::kernel::select(std::env::var("COMMONS_KERNEL").ok().as_deref())
                .map_err(|error| Error::Config { what: format!("COMMONS_KERNEL: {error}") })?;
            serve(&configured, json).await
        }
    }
}

async fn create(init: Init, json: bool) -> Result<(), Error> {
    let facts = Facts { node: init.id, operator: init.operator, url: init.url, peer_address: init.peer_address };
    let card = run::init(&init.data_dir, &facts).await?;
    let card_file = init.data_dir.join("card.toml");
    if json {
        return print_json(&json!({ "data_dir": init.data_dir, "card_file": card_file, "card": card }));
    }
    print(&format!(
        "Node {} is created in {}.\nIts secret keys are in identity.key there: keep a copy that only you can read, on an encrypted \
         disk.\nSend {} to the operators of the two other nodes.\n",
        init.id,
        init.data_dir.display(),
        card_file.display()
    ))
}

fn print_roster(make: &MakeRoster, json: bool) -> Result<(), Error> {
    let cards = make.cards.iter().map(|path| Card::read(path)).collect::<Result<Vec<_>, _>>()?;
    let mut nodes: Vec<_> = cards.into_iter().map(|card| card.node).collect();
    nodes.sort_by_key(|node| node.id);
    let profiles = make.profiles.iter().map(|path| read_profile(path)).collect::<Result<Vec<_>, _>>()?;
    let (version, commons, epochs) = (types::roster::VERSION, make.commons.clone(), types::Epochs::of(make.epoch));
    let roster = Roster {
        version,
        commons,
        throw_away: false,
        epochs,
        nodes,
        profiles,
        successions: Vec::new(),
        additions: Vec::new(),
    };
    roster.check()?;
    if json {
        return print_json(&json!({ "digest": roster.digest(), "roster": roster }));
    }
    let digest = roster.digest();
    print(&format!("# Roster of a Trust Commons. Digest: {digest}\n{}", roster.to_toml()?))
}

fn read_profile(path: &Path) -> Result<Profile, Error> {
    let unreadable = |e: std::io::Error| Error::Config { what: format!("cannot read {}: {e}", path.display()) };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Profile::from_toml(&text).map_err(|e| Error::Config { what: format!("{}: {e}", path.display()) })
}

async fn check(configured: &Configured, json: bool) -> Result<(), Error> {
    let config = NodeConfig::load(configured.config.as_deref(), &configured.overrides)?;
    let (roster, identity) = config.open()?;
    let data = Store::inspect(&config.data_dir, identity.node(), &roster).await?;
    let profiles: Vec<&str> = roster.profiles.iter().map(|p| p.id.as_str()).collect();
    let kernel = mpc::kernel::selected().name();
    let others: Vec<_> = roster.nodes.iter().filter(|n| n.id != identity.node()).collect();
    if json {
        return print_json(&json!({
            "node": identity.node(),
            "commons": roster.commons,
            "roster": roster.digest(),
            "profiles": profiles,
            "kernel": kernel,
            "config": config,
            "batch": data.chain.committed,
            "epoch": data.epoch.present,
            "refreshing": data.epoch.coming.is_some(),
            "records": data.records.iter().map(|(profile, count)| (profile.to_string(), *count)).collect::<BTreeMap<_, _>>(),
            "shares_verified": data.verified,
            "peers": others.iter().map(|n| json!({ "node": n.id, "peer_address": n.peer_address })).collect::<Vec<_>>(),
        }));
    }
    let mut text = format!(
        "This is node {} of \"{}\".\n  roster    {}\n  profiles  {}\n  data      {}\n  clients   {} ({})\n  peers     {}\n  kernel    {}\n",
        identity.node(),
        roster.commons,
        roster.digest(),
        profiles.join(", "),
        config.data_dir.display(),
        config.http.bind,
        format!("{:?}", config.http.tls).to_lowercase(),
        config.peer.bind,
        kernel
    );
    for (profile, count) in &data.records {
        text += &format!("  records   {count} of {profile}\n");
    }
    text += &format!("  batch     {}\n", data.chain.committed);
    text += &match data.epoch.coming {
        None => format!("  epoch     {}\n", data.epoch.present),
        Some(coming) => {
            format!("  epoch     {}, and the shares are being renewed to {}\n", data.epoch.present, coming.epoch)
        }
    };
    text += match data.verified {
        true => "  shares    every stored share is whole\n",
        false => "  shares    not read: the node is running, and has read them at its start\n",
    };
    for node in others {
        text += &format!("  node {}    {} ({})\n", node.id, node.peer_address, node.operator);
    }
    print(&(text + "All is well. Start it with `commons-node run`.\n"))
}

async fn renew_shares(refresh: &Refresh, json: bool) -> Result<(), Error> {
    let config = NodeConfig::load(refresh.configured.config.as_deref(), &refresh.configured.overrides)?;
    let done = node::operator::refresh(&config, !refresh.no_wait).await?;
    if json {
        return print_json(&json!({ "refresh": done }));
    }
    print(&match done.done {
        true => format!(
            "All stored shares are of epoch {} now; those before are erased.\nBegun in batch {}, operation {}, and done after {} ms.\n",
            done.epoch, done.batch, done.operation, done.milliseconds
        ),
        false => format!(
            "The nodes are renewing all stored shares, to epoch {}. Begun in batch {}, operation {}.\n",
            done.epoch, done.batch, done.operation
        ),
    })
}

async fn print_succession(succeed: &Succeed, json: bool) -> Result<(), Error> {
    let config = NodeConfig::load(succeed.configured.config.as_deref(), &succeed.configured.overrides)?;
    let roster = match (&succeed.card, &succeed.sign) {
        (Some(card), _) => node::operator::succeed(&config, Card::read(card)?.node).await?,
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Error::Config { what: format!("cannot read {}: {e}", path.display()) })?;
            node::operator::sign_succession(&config, &text).await?
        }
        (None, None) => return Err(Error::Config { what: "give --card or --sign".to_owned() }),
    };
    let whole = roster.check().is_ok();
    if json {
        return print_json(
            &json!({ "digest": roster.digest(), "keys": roster.keys(), "complete": whole, "roster": roster }),
        );
    }
    let next = match whole {
        true => "Complete: the roster of all three nodes and of all clients from now on.",
        false => "One signature is missing: send this to the other remaining node, for `commons-node succeed --sign`.",
    };
    print(&format!(
        "# Roster of a Trust Commons. Digest: {}\n# Keys in force: {}\n# {next}\n{}",
        roster.digest(),
        roster.keys(),
        roster.to_toml()?
    ))
}

fn print_addition(add: &AddProfile, json: bool) -> Result<(), Error> {
    let config = NodeConfig::load(add.configured.config.as_deref(), &add.configured.overrides)?;
    let roster = match (&add.profile, &add.sign) {
        (Some(profile), _) => node::operator::add_profile(&config, read_profile(profile)?)?,
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Error::Config { what: format!("cannot read {}: {e}", path.display()) })?;
            node::operator::sign_addition(&config, &text)?
        }
        (None, None) => return Err(Error::Config { what: "give --profile or --sign".to_owned() }),
    };
    let whole = roster.check().is_ok();
    let added = roster.additions.last().and_then(|addition| roster.profile(&addition.profile));
    if json {
        let added = added.map(|profile| json!({ "id": profile.id, "digest": profile.digest() }));
        return print_json(
            &json!({ "digest": roster.digest(), "keys": roster.keys(), "added": added, "complete": whole, "roster": roster }),
        );
    }
    let signed = roster.additions.last().map_or(0, |addition| addition.signatures.len());
    let next = match whole {
        true => "Complete: the roster of all three nodes and of all clients from now on.".to_owned(),
        false => format!("Send this to node {}, for `commons-node add-profile --sign`.", signed + 1),
    };
    let profile = added.map_or_else(String::new, |p| format!("{}, {} Digest: {}", p.id, p.description, p.digest()));
    print(&format!(
        "# Roster of a Trust Commons. Digest: {}\n# In force: {}\n# Added: {profile}\n# {next}\n{}",
        roster.digest(),
        roster.keys(),
        roster.to_toml()?
    ))
}

async fn hand_over(give: &GiveOver, json: bool) -> Result<(), Error> {
    let config = NodeConfig::load(give.configured.config.as_deref(), &give.configured.overrides)?;
    let (roster, identity) = config.open()?;
    let giver = node::store::handover::Giver {
        node: identity.node(),
        signing_key: identity.signing_key(),
        seal_key: identity.seal_key(),
    };
    let manifest = node::operator::hand_over(&config.data_dir, &giver, &roster, give.with.as_deref(), &give.out).await?;
    if json {
        let shares: BTreeMap<String, u32> = manifest.shares.iter().map(|(id, count)| (id.to_string(), *count)).collect();
        return print_json(
            &json!({ "file": give.out, "batch": manifest.committed, "epoch": manifest.epoch, "shares": shares }),
        );
    }
    let next = match give.with {
        None => "Then write the other remaining node's with `--with` this file, and send both to the new node.",
        Some(_) => "Send it to the new node with the other remaining node's, and delete both when the node is rebuilt.",
    };
    print(&format!("Written: {}, as of batch {}.\n{next}\n", give.out.display(), manifest.committed))
}

async fn rebuild_node(rebuild: &Rebuild, json: bool) -> Result<(), Error> {
    let config = NodeConfig::load(rebuild.configured.config.as_deref(), &rebuild.configured.overrides)?;
    let (roster, identity) = config.open()?;
    let [one, other] = rebuild.files.as_slice() else {
        return Err(Error::Config { what: "give the files of the two remaining nodes".to_owned() });
    };
    let files = [one.as_path(), other.as_path()];
    let rebuilt =
        node::store::handover::take(&config.data_dir, identity.node(), &roster, identity.seal_key(), files).await?;
    if json {
        return print_json(&json!({ "rebuilt": rebuilt }));
    }
    let mut text = format!("Node {} is rebuilt, as of batch {}.\n", identity.node(), rebuilt.batch);
    for (profile, count) in &rebuilt.shares {
        text += &format!("  shares    {count} of {profile}\n");
    }
    print(
        &(text
            + "Delete both files. Start all three nodes with the new roster, then run `commons-node refresh` on one of them.\n"),
    )
}

async fn check_directory(fsck: &Fsck, json: bool) -> Result<(), Error> {
    let config = NodeConfig::load(fsck.configured.config.as_deref(), &fsck.configured.overrides)?;
    let (roster, identity) = config.open()?;
    let report = node::fsck(&config.data_dir, identity.node(), &roster, fsck.repair).await?;
    let sound = report.is_sound();
    if json {
        print_json(&json!({ "sound": sound, "report": report }))?;
    } else {
        let path = report.path.display();
        let verdict = if sound { "All is sound." } else { "Damaged: see above." };
        print(&format!("{path}\n{}{verdict}\n", report.text()))?;
    }
    if sound { Ok(()) } else { Err(Error::Damaged { path: report.path, what: "fsck names the faults".to_owned() }) }
}

fn sign_charter(sign: &SignCharter, json: bool) -> Result<(), Error> {
    let config = NodeConfig::load(sign.configured.config.as_deref(), &sign.configured.overrides)?;
    let signed = node::approve::sign_charter(&config, &sign.file)?;
    let (charter, node, file) = (&signed.charter, signed.approval.node, &signed.file);
    if json {
        let (version, digest) = (charter.version(), charter.digest());
        return print_json(&json!({ "node": node, "version": version, "digest": digest, "file": file }));
    }
    print(&format!(
        "Signed version {} of the charter of \"{}\" as the operator of node {node}.\n  digest     {}\n  follows    {}\n  signature  {}\n\
         Send the signature to who joins the three with `commons charter join`.\n",
        charter.version(),
        charter.document().name,
        charter.digest(),
        charter.document().previous,
        file.display()
    ))
}

async fn serve(configured: &Configured, json: bool) -> Result<(), Error> {
    let mut config = NodeConfig::load(configured.config.as_deref(), &configured.overrides)?;
    if json {
        config.log.format = LogFormat::Json;
    }
    start_logs(&config.log)?;
    let signals = Signals::new()?;
    let node = Node::start(config).await?;
    tokio::select! {
        () = signals.asked_to_stop() => {
            // A second signal does not wait.
            let again = Signals::new()?;
            tokio::select! {
                () = node.stop() => Ok(()),
                () = again.asked_to_stop() => Ok(()),
            }
        }
        () = node.failed() => {
            node.stop().await;
            Err(Error::Stopped)
        }
    }
}

/// SIGTERM (systemd, containers) and SIGINT (a person).
struct Signals {
    #[cfg(unix)]
    term: std::sync::Mutex<Option<tokio::signal::unix::Signal>>,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let term = signal(SignalKind::terminate()).map_err(|_| Error::Internal { what: "signals can be received" })?;
            Ok(Self { term: std::sync::Mutex::new(Some(term)) })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    async fn asked_to_stop(&self) {
        #[cfg(unix)]
        {
            let term = self.term.lock().ok().and_then(|mut t| t.take());
            let Some(mut term) = term else { return };
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

fn start_logs(log: &LogConfig) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|e| Error::Config { what: format!("log.level = \"{}\" is not a level or filter: {e}", log.level) })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

fn print(text: &str) -> Result<(), Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has read enough.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::Io { path: "standard output".into(), source: e }),
        _ => Ok(()),
    }
}

fn print_json(value: &serde_json::Value) -> Result<(), Error> {
    print(&format!("{value:#}\n"))
}

fn complain(error: &Error, json: bool) {
    let text = error.chain();
    let line = if json {
        format!("{:#}\n", json!({ "error": { "code": error.code(), "message": text } }))
    } else {
        format!("commons-node: {text}\n")
    };
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Config { .. } | Error::Proposed(_) | Error::Value(_) => 2,
        Error::NoStore { .. }
        | Error::StoreExists { .. }
        | Error::StoreLocked { .. }
        | Error::OtherNode { .. }
        | Error::OtherRoster { .. }
        | Error::NotInRoster { .. }
        | Error::NewerStore { .. }
        | Error::OlderStore { .. }
        | Error::Exposed { .. }
        | Error::Charter(_)
        | Error::Damaged { .. } => 3,
        other if other.kind() == Kind::Invalid => 2,
        _ => 1,
    }
}
