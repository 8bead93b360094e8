//! `commons dev`: a whole commons in one process, for trying out.
//!
//! Loopback only, throw-away keys, said plainly: whoever reads this process's memory sees all three shares. While it runs, its
//! roster lies in the data home, so that the other commands find it without being told.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::native::NativeClient;
use node::config::{NodeConfig, read_roster};
use node::identity::Facts;
use node::run::{Listeners, Loopback, Node, init, loopback_with};
use serde_json::json;
use types::profile::Profile;
use types::roster::Roster;
use types::{Epochs, NodeId};

use crate::args::Dev;
use crate::commands::dev_page;
use crate::commands::dev_rules::{self, CLINIC, MARKET};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::write_private;
use crate::sample::{profile_failure, read_input};

/// The name of a commons made here.
const NAME: &str = "commons on this machine";
/// How long three healthy nodes may take to find each other.
const START: Duration = Duration::from_secs(30);

pub(crate) async fn run(context: &Context, args: Dev) -> Result<Exit, Failure> {
    log_to_stderr();
    let profiles = profiles(&args.profile)?;
    refuse_a_second_one(context).await?;
    // Removed when it goes out of scope.
    let mut temporary = None;
    let folder = match &args.data_dir {
        Some(folder) => folder.clone(),
        None => {
            let made = tempfile::Builder::new().prefix("commons-dev-").tempdir();
            let made = made.map_err(|error| Failure::write(&std::env::temp_dir(), &error))?;
            temporary.insert(made).path().to_owned()
        }
    };
    let mut commons = set_up(&folder, profiles, args.port_base, Epochs::of(args.epoch)).await?;
    dev_page::set_up(&args, &mut commons)?;
    let page = commons.nodes.first().and_then(|(config, _)| config.page.urls.first().cloned()).unwrap_or_default();
    let spinner = context.out.spinner("Starting three nodes");
    let nodes = start(commons.nodes).await;
    let nodes = match nodes {
        Ok(nodes) => match open_up(context, &nodes, &commons.roster, (&folder, args.recovery_delay)).await {
            Ok(()) => nodes,
            Err(failure) => {
                stop(nodes).await;
                return Err(failure);
            }
        },
        Err(failure) => return Err(failure),
    };
    spinner.finish_and_clear();

    let announced = announce(context, &args, &commons.roster, &folder, temporary.is_some(), &page);
    let ended = match &announced {
        Ok(_) => wait(&nodes).await,
        Err(_) => Ok(()),
    };
    if let Ok(text) = &announced {
        withdraw_announcement(context, &args, text);
    }
    context.out.note("\nStopping.");
    stop(nodes).await;
    announced?;
    ended?;
    if temporary.is_some() {
        context.out.note("All three nodes have stopped; their keys and records are gone.");
    }
    Ok(Exit::Yes)
}

/// The nodes' logs, where COMMONS_LOG asks for them; errors always.
fn log_to_stderr() {
    let filter = std::env::var("COMMONS_LOG").unwrap_or_else(|_| "error".to_owned());
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// The built-in profiles, and those of `files`, which win where they have the same name.
fn profiles(files: &[PathBuf]) -> Result<Vec<Profile>, Failure> {
    let mut profiles = biometric::profiles::builtin();
    for path in files {
        let bytes = read_input(path, types::limits::CONFIG_FILE_BYTES)?;
        let profile = Profile::from_toml(&String::from_utf8_lossy(&bytes))
            .map_err(|error| profile_failure(&error).about(path.display()))?;
        profiles.retain(|other| other.id != profile.id);
        profiles.push(profile);
    }
    Ok(profiles)
}

async fn refuse_a_second_one(context: &Context) -> Result<(), Failure> {
    let path = context.home.dev_roster();
    // One that cannot be read or does not answer was left behind by a process that was killed.
    let Ok(roster) = read_roster(&path) else { return Ok(()) };
    let Ok(client) = NativeClient::connect(roster) else { return Ok(()) };
    if client.public_facts().await.iter().any(Result::is_ok) {
        return Err(Failure::input(
            "a `commons dev` is running already",
            "stop it first, or set COMMONS_HOME to another folder",
        ));
    }
    Ok(())
}

/// New nodes in an empty folder, or those that an earlier run left there.
async fn set_up(folder: &Path, profiles: Vec<Profile>, port_base: Option<u16>, epochs: Epochs) -> Result<Loopback, Failure> {
    epochs.check()?;
    let roster_path = folder.join("roster.toml");
    if roster_path.exists() {
        return again(folder, roster_path, &profiles);
    }
    match port_base {
        None => {
            std::fs::create_dir_all(folder).map_err(|error| Failure::write(folder, &error))?;
            loopback_with(folder, NAME, profiles, epochs).await.map_err(|error| node_failure(&error))
        }
        Some(base) => at_ports(folder, roster_path, (profiles, epochs), base).await,
    }
}

/// The nodes of an earlier run, at the addresses that their roster names.
fn again(folder: &Path, roster_path: PathBuf, profiles: &[Profile]) -> Result<Loopback, Failure> {
    let roster = read_roster(&roster_path).map_err(|error| node_failure(&error))?;
    if let Some(new) = profiles.iter().find(|p| roster.profile(&p.id).is_none_or(|known| known.digest() != p.digest())) {
        let what = format!("this folder holds a commons that does not match `{}` as you ask now", new.id);
        return Err(Failure::input(what, "use another --data-dir, or delete this one").about(folder.display()));
    }
    let node = |id: NodeId| {
        let address = |text: &str| text.trim_start_matches("https://").parse::<SocketAddr>().ok();
        let entry = roster.node(id);
        let http = entry.and_then(|entry| address(&entry.url));
        let peer = entry.and_then(|entry| address(&entry.peer_address));
        let (Some(http), Some(peer)) = (http, peer) else {
            return Err(Failure::input("this roster is not of a `commons dev`", "use another --data-dir")
                .about(roster_path.display()));
        };
        let listeners = Listeners { http: listen(http)?, peer: listen(peer)?, page: None };
        Ok((config(folder, &roster_path, id, http, peer)?, listeners))
    };
    let [one, two, three] = NodeId::ALL;
    let nodes = [node(one)?, node(two)?, node(three)?];
    Ok(Loopback { roster, roster_path, nodes })
}

/// New nodes at six consecutive ports.
async fn at_ports(
    folder: &Path,
    roster_path: PathBuf,
    (profiles, epochs): (Vec<Profile>, Epochs),
    base: u16,
) -> Result<Loopback, Failure> {
    let mut nodes = Vec::new();
    let mut entries = Vec::new();
    for id in NodeId::ALL {
        let port = |offset: u8| {
            let port = base.checked_add(u16::from(2 * (id.number() - 1) + offset));
            port.ok_or_else(|| Failure::input("--port-base is too large", "use at most 65530"))
        };
        let (http, peer) =
            (SocketAddr::from((Ipv4Addr::LOCALHOST, port(0)?)), SocketAddr::from((Ipv4Addr::LOCALHOST, port(1)?)));
        let listeners = Listeners { http: listen(http)?, peer: listen(peer)?, page: None };
        let facts = Facts {
            node: id,
            operator: format!("throw-away node {id}"),
            url: format!("https://{http}"),
            peer_address: peer.to_string(),
        };
        let card = init(&node_folder(folder, id), &facts).await.map_err(|error| node_failure(&error))?;
        entries.push(card.node);
        nodes.push((config(folder, &roster_path, id, http, peer)?, listeners));
    }
    let roster = Roster {
        version: types::roster::VERSION,
        commons: NAME.to_owned(),
        throw_away: true,
        epochs,
        nodes: entries,
        profiles,
        successions: Vec::new(),
        additions: Vec::new(),
    };
    roster.check()?;
    std::fs::write(&roster_path, roster.to_toml()?).map_err(|error| Failure::write(&roster_path, &error))?;
    let three = || Failure::input("a commons has three nodes", "report this");
    Ok(Loopback { roster, roster_path, nodes: nodes.try_into().map_err(|_| three())? })
}

fn node_folder(folder: &Path, id: NodeId) -> PathBuf {
    folder.join(format!("node-{id}"))
}

/// As `node::run::loopback` sets its nodes up: nobody is refused for asking too often on their own machine.
fn config(folder: &Path, roster: &Path, id: NodeId, http: SocketAddr, peer: SocketAddr) -> Result<NodeConfig, Failure> {
    let config = NodeConfig::loopback(node_folder(folder, id), roster.to_owned());
    let mut config = config.map_err(|error| node_failure(&error))?;
    config.node = Some(id);
    (config.http.bind, config.peer.bind) = (http, peer);
    (config.http.address_per_minute, config.http.address_burst) = (1_000_000, 1_000_000);
    (config.http.device_per_minute, config.http.device_burst) = (1_000_000, 1_000_000);
    config.peer.dead_after_ms = 10_000;
    Ok(config)
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let taken =
        |_| Failure::input(format!("{address} is taken by another program"), "choose another --port-base, or leave it out");
    TcpListener::bind(address).map_err(taken)
}

async fn start(configs: [(NodeConfig, Listeners); 3]) -> Result<Vec<Node>, Failure> {
    let mut nodes = Vec::new();
    for (config, listeners) in configs {
        match Node::start_on(config, listeners).await {
            Ok(node) => nodes.push(node),
            Err(error) => {
                stop(nodes).await;
                return Err(node_failure(&error));
            }
        }
    }
    Ok(nodes)
}

/// Waits for the nodes, and gives them rules with relying parties.
async fn open_up(
    context: &Context,
    nodes: &[Node],
    roster: &Roster,
    (folder, recovery_delay_s): (&Path, u32),
) -> Result<(), Failure> {
    ready(nodes).await?;
    dev_rules::prepare(context, roster, folder, recovery_delay_s).await
}

async fn ready(nodes: &[Node]) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match nodes.iter().find_map(|node| node.ready().err()) {
            None => return Ok(()),
            Some(reason) if begun.elapsed() > START => {
                return Err(Failure::input(
                    format!("the nodes do not get ready: {reason}"),
                    "run it with COMMONS_LOG=info and see why",
                ));
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Tells people, programs and the other commands. Returns the roster's text as written.
fn announce(
    context: &Context,
    args: &Dev,
    roster: &Roster,
    folder: &Path,
    temporary: bool,
    page_url: &str,
) -> Result<String, Failure> {
    let path = context.home.dev_roster();
    let text = roster.to_toml()?;
    write_private(&path, text.as_bytes()).map_err(|error| Failure::write(&path, &error))?;
    if let Some(file) = &args.ready_file {
        std::fs::write(file, format!("{}\n", path.display())).map_err(|error| Failure::write(file, &error))?;
    }
    let nodes: Vec<_> = roster.nodes.iter().map(|node| json!({ "node": node.id, "url": node.url })).collect();
    let profiles: Vec<&str> = roster.profiles.iter().map(|profile| profile.id.as_str()).collect();
    let facts = json!({
        "ready": true,
        "commons": roster.commons,
        "throw_away": true,
        "roster": path,
        "nodes": nodes,
        "page": page_url,
        "profiles": profiles,
        "parties": [MARKET, CLINIC],
        "data_dir": folder,
        "kept": !temporary,
    });
    context.out.answer(&facts, |page| {
        page.headline(true, "A commons is running on this machine: three nodes in one process.");
        for node in &roster.nodes {
            page.row(&format!("node {}", node.id), &node.url);
        }
        page.row("page", format!("{page_url}/  (in a browser on this machine)"));
        page.row("profiles", profiles.join(", "));
        page.row("data", format!("{}{}", folder.display(), if temporary { " (thrown away at the end)" } else { "" }));
        page.row("roster", path.display());
        page.line("\nFor trying out only. It protects nobody: all three shares lie in one place.");
        page.row("may ask", format!("{MARKET} (membership), {CLINIC} (verification); their keys lie on this machine"));
        page.line("\nIn another terminal:\n  commons enrol me.jpg\n  commons verify me-again.jpg\n  commons party ask --party demo-market\n  commons ledger");
        page.line("\nCtrl-C stops it.");
    });
    Ok(text)
}

/// Until Ctrl-C, SIGTERM, or a node that cannot go on.
async fn wait(nodes: &[Node]) -> Result<(), Failure> {
    let stopped = async {
        match nodes {
            [one, two, three] => tokio::select! {
                () = one.failed() => one.id(),
                () = two.failed() => two.id(),
                () = three.failed() => three.id(),
            },
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        () = asked_to_stop() => Ok(()),
        id = stopped => Err(Failure {
            exit: Exit::Unavailable,
            code: "node-stopped".to_owned(),
            what: format!("node {id} stopped because it could not go on safely"),
            hint: "run it with COMMONS_LOG=info and see why".to_owned(),
        }),
    }
}

async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Removes what [`announce`] wrote, unless somebody else has replaced it.
fn withdraw_announcement(context: &Context, args: &Dev, text: &str) {
    let path = context.home.dev_roster();
    if std::fs::read_to_string(&path).is_ok_and(|now| now == text) {
        let _ = std::fs::remove_file(&path);
    }
    if let Some(file) = &args.ready_file {
        let _ = std::fs::remove_file(file);
    }
}

async fn stop(nodes: Vec<Node>) {
    let mut stopping = tokio::task::JoinSet::new();
    for node in nodes {
        stopping.spawn(node.stop());
    }
    stopping.join_all().await;
}

fn node_failure(error: &node::Error) -> Failure {
    Failure::message(Exit::Input, error.code(), &error.to_string())
}
