//! Puts a node together, and takes it apart in good order.
//!
//! Start: configuration and keys -> store -> links -> application -> API; the API opens last, so that no request meets a node
//! that is not whole. Stop: the API finishes what has begun, then the application, then the links; after that the store is on
//! disk and the directory is free. [`Node`] is what the binary `commons-node` runs once and `commons dev` three times.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::profile::Profile;
use types::roster::Roster;
use types::{Epochs, NodeId};

use crate::Error;
use crate::app::{self, App};
use crate::config::NodeConfig;
use crate::http::{self, Api, HttpCourier, Page, Server, Streams};
use crate::identity::{self, Card, Facts, Identity};
use crate::link::EVENT_QUEUE;
use crate::metrics::Metrics;
use crate::peer::Peers;
use crate::store::Store;

/// Between two rounds of housekeeping.
const TIDY: Duration = Duration::from_secs(20);

/// A running node. Stop it with [`Node::stop`]; dropping it leaves its tasks running.
pub struct Node {
    id: NodeId,
    http_address: SocketAddr,
    peer_address: SocketAddr,
    app: App,
    peers: Arc<Peers>,
    server: Server,
    page_server: Option<Server>,
    streams: Streams,
    page_address: Option<SocketAddr>,
    tidying: (CancellationToken, JoinHandle<()>),
}

/// Sockets that somebody else has bound already, such as a program that needed to know the ports first.
#[derive(Debug)]
pub struct Listeners {
    /// For clients.
    pub http: StdListener,
    /// For the other nodes.
    pub peer: StdListener,
    /// For browsers on this machine, where `page.bind` says so.
    pub page: Option<StdListener>,
}

impl Node {
    /// Starts the node that `config` describes, listening where it says.
    ///
    /// # Errors
    /// Whatever [`NodeConfig::open`] and [`Store::open`] say; [`Error::Listen`].
    pub async fn start(config: NodeConfig) -> Result<Self, Error> {
        config.check()?;
        let http = http::listen(config.http.bind).await?;
        let peer = http::listen(config.peer.bind).await?;
        let page = match config.page.bind {
            Some(bind) => Some(http::listen(bind).await?),
            None => None,
        };
        Self::assemble(config, http, peer, page).await
    }

    /// As [`Self::start`], on sockets that are bound already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_on(config: NodeConfig, listeners: Listeners) -> Result<Self, Error> {
        config.check()?;
        let adopt = |listener: StdListener, address: SocketAddr| {
            let adopted = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
            adopted.map_err(|source| Error::Listen { address, source })
        };
        let http = adopt(listeners.http, config.http.bind)?;
        let peer = adopt(listeners.peer, config.peer.bind)?;
        let page = listeners.page.zip(config.page.bind).map(|(page, bind)| adopt(page, bind)).transpose()?;
        Self::assemble(config, http, peer, page).await
    }

    async fn assemble(
        config: NodeConfig,
        http: TcpListener,
        peer: TcpListener,
        page: Option<TcpListener>,
    ) -> Result<Self, Error> {
        let address =
            |listener: &TcpListener, asked| listener.local_addr().map_err(|source| Error::Listen { address: asked, source });
        let (http_address, peer_address) = (address(&http, config.http.bind)?, address(&peer, config.peer.bind)?);
        let (roster, identity) = config.open()?;
        let (id, roster) = (identity.node(), Arc::new(roster));
        let own = roster.node(id).ok_or(Error::Internal { what: "the roster was checked" })?;
        let tls = http::tls(&config.http, identity.tls(), own)?;
        let metrics = Metrics::new()?;
        let store = Store::open(&config.data_dir, id, &roster).await?;

        let (events, news) = mpsc::channel(EVENT_QUEUE);
        let peers = Peers::start(&config.peer, Arc::clone(&roster), &identity, peer, events, Arc::clone(&metrics))?;
        let peers = Arc::new(peers);
        let app = App::start(app_config(&config, &identity, &roster, &metrics)?, store, peers.clone(), news).await?;
        let api = Api::new(app.clone(), Arc::clone(&peers), metrics, Page::open(&config.page, &roster)?, &config.http);
        let stop = CancellationToken::new();
        let tidying = (stop.clone(), tokio::spawn(tidy(Arc::clone(&api), stop)));
        let (secure, streams) = (tls.is_some(), api.streams.clone());
        let router = http::router(api);
        let page_address = page.as_ref().and_then(|listener| listener.local_addr().ok());
        let page_server = page.map(|listener| Server::start(listener, None, router.clone(), &config.http));
        let server = Server::start(http, tls, router, &config.http);

        let profiles: Vec<&str> = roster.profiles.iter().map(|p| p.id.as_str()).collect();
        tracing::info!(
            node = %id,
            commons = %roster.commons,
            roster = %roster.digest(),
            profiles = profiles.join(","),
            kernel = mpc::kernel::selected().name(),
            version = env!("CARGO_PKG_VERSION"),
            clients = %http_address,
            tls = secure,
            peers = %peer_address,
            "node {id} is running"
        );
        if roster.throw_away {
            tracing::warn!("this commons has throw-away keys and all nodes in one place: for trying out only");
        }
        Ok(Self { id, http_address, peer_address, app, peers, server, page_server, streams, page_address, tidying })
    }

    /// Which node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where it listens for clients.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Where it listens for the other nodes.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Where it serves browsers on this machine, if it does.
    pub fn page_address(&self) -> Option<SocketAddr> {
        self.page_address
    }

    /// The application behind the API.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Whether this node can decide now, or why not.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn ready(&self) -> Result<(), String> {
        self.app.readiness().obstacle.map_or(Ok(()), |obstacle| Err(obstacle.reason()))
    }

    /// Waits until the application has stopped by itself, which it does only when it cannot go on safely.
    pub async fn failed(&self) {
        self.app.stopped().await;
    }

    /// Finishes what has begun, closes all connections and leaves the directory to the next process.
    pub async fn stop(self) {
        tracing::info!(node = %self.id, "node {} is stopping", self.id);
        let (stop, tidying) = self.tidying;
        stop.cancel();
        let _ = tidying.await;
        // Nobody waits for who only listens.
        self.streams.close();
        if let Some(page) = self.page_server {
            page.stop().await;
        }
        self.server.stop().await;
        self.app.shutdown().await;
        self.peers.stop().await;
        tracing::info!(node = %self.id, "node {} has stopped", self.id);
    }
}

fn app_config(
    config: &NodeConfig,
    identity: &Identity,
    roster: &Arc<Roster>,
    metrics: &Arc<Metrics>,
) -> Result<app::Config, Error> {
    let keys = (identity.signing_key().clone(), identity.log_key().clone(), Arc::clone(identity.issuer_key()));
    let seal = identity.seal_key().clone();
    let mut given = app::Config::new(identity.node(), Arc::clone(roster), keys, seal, Arc::clone(metrics));
    given.patience = config.patience.patience();
    given.mbit_per_s = config.peer.mbit_per_s;
    given.refresh_interval = config.refresh.interval();
    given.courier = HttpCourier::new(roster)?;
    for witness in &config.witnesses {
        given.witnesses.push(witness.parse()?);
    }
    Ok(given)
}

async fn tidy(api: Arc<Api>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(TIDY)).await.is_some() {
        api.tidy();
    }
}

/// Creates a node: a data directory with fresh keys, a card and an empty store.
///
/// # Errors
/// [`Error::StoreExists`] when the directory holds anything; [`Error::Config`] for facts that cannot be right; [`Error::Io`],
/// [`Error::Database`], [`Error::Random`].
pub async fn init(dir: &Path, facts: &Facts) -> Result<Card, Error> {
    facts.check()?;
    identity::create_data_dir(dir)?;
    Store::create(dir).await?;
    // Last: a directory without keys is no node, so an interrupted `init` leaves nothing that would start.
    let (_, card) = Identity::create(dir, facts)?;
    Ok(card)
}

/// Three nodes on loopback with throw-away keys, ready to be started.
#[derive(Debug)]
pub struct Loopback {
    /// The roster for clients; also at [`Self::roster_path`].
    pub roster: Roster,
    /// Where the roster lies.
    pub roster_path: PathBuf,
    /// Nodes 1, 2 and 3. To start one again later, [`Node::start`] its configuration: it names the same ports.
    pub nodes: [(NodeConfig, Listeners); 3],
}

/// Creates three nodes in `dir/node-1` to `dir/node-3` and `dir/roster.toml`, on free ports of 127.0.0.1. Heartbeats, limits and
/// allowances are set for one machine with one user: nothing is refused for being asked too often.
///
/// # Errors
/// As [`init`]; [`Error::Listen`].
pub async fn loopback(dir: &Path, commons: &str, profiles: Vec<Profile>) -> Result<Loopback, Error> {
    loopback_with(dir, commons, profiles, Epochs::DAILY).await
}

/// As [`loopback`], with other epochs.
///
/// # Errors
/// As [`loopback`].
pub async fn loopback_with(dir: &Path, commons: &str, profiles: Vec<Profile>, epochs: Epochs) -> Result<Loopback, Error> {
    let roster_path = dir.join("roster.toml");
    let [one, two, three] = NodeId::ALL;
    let (a, card_a) = loopback_node(dir, &roster_path, one).await?;
    let (b, card_b) = loopback_node(dir, &roster_path, two).await?;
    let (c, card_c) = loopback_node(dir, &roster_path, three).await?;
    let nodes = vec![card_a.node, card_b.node, card_c.node];
    let (version, commons) = (types::roster::VERSION, commons.to_owned());
    let (successions, additions) = (Vec::new(), Vec::new());
    let roster = Roster { version, commons, throw_away: true, epochs, nodes, profiles, successions, additions };
    roster.check()?;
    std::fs::write(&roster_path, roster.to_toml()?).map_err(Error::io(&roster_path))?;
    Ok(Loopback { roster, roster_path, nodes: [a, b, c] })
}

async fn loopback_node(dir: &Path, roster: &Path, node: NodeId) -> Result<((NodeConfig, Listeners), Card), Error> {
    let data_dir = dir.join(format!("node-{node}"));
    let (http, http_address) = free_port()?;
    let (peer, peer_address) = free_port()?;
    let operator = format!("throw-away node {node}");
    let url = format!("https://{http_address}");
    let card = init(&data_dir, &Facts { node, operator, url, peer_address: peer_address.to_string() }).await?;
    let mut config = NodeConfig::loopback(data_dir, roster.to_owned())?;
    config.node = Some(node);
    config.http.bind = http_address;
    config.peer.bind = peer_address;
    (config.http.address_per_minute, config.http.address_burst) = (1_000_000, 1_000_000);
    (config.http.device_per_minute, config.http.device_burst) = (1_000_000, 1_000_000);
    // Three nodes share the processor with the capture of faces: be patient with a late heartbeat.
    config.peer.dead_after_ms = 10_000;
    Ok(((config, Listeners { http, peer, page: None }), card))
}

fn free_port() -> Result<(StdListener, SocketAddr), Error> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = StdListener::bind(any).map_err(|source| Error::Listen { address: any, source })?;
    let address = listener.local_addr().map_err(|source| Error::Listen { address: any, source })?;
    Ok((listener, address))
}
