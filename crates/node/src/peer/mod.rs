//! Links to the two other nodes: one mutual TLS 1.3 connection per pair, which heals by itself.
//!
//! The node with the higher number dials. A connection counts once both sides have proved a key of the roster (`tls`) and have
//! agreed on protocol, roster and numbers (`hello`); then it carries control messages and matching sessions (`connection`, in
//! `frame`s) until it breaks, falls silent, or a newer connection of the same peer takes over. The contract towards the sequencer
//! is that of [`crate::link`].
//!
//! In scope: who is there and moving bytes. Out of scope: what control messages mean (`app`), what sessions compute (`mpc`).

mod connection;
mod fault;
mod frame;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod hello;
#[cfg(test)]
mod tests;
mod tls;

#[cfg(feature = "fuzzing")]
pub use fuzzing::{read_frames, sample_frames};

pub(crate) use tls::pinned_https;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{Digest, NodeId, limits, roster::Roster};
use zeroize::Zeroizing;

use crate::Error;
use crate::config::PeerConfig;
use crate::identity::{Identity, unix_now};
use crate::link::{ControlMessage, Links, PeerEvent, Session, SessionId, Unavailable};
use crate::metrics::Metrics;
use connection::{Connection, Timing, lock};
use fault::Fault;
use frame::Frame;
use hello::{Hello, PairSecret};

pub(crate) use tls::key_digest;

/// First and longest pause between two attempts to dial.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Connections that have not yet proved a key.
const HANDSHAKES: usize = 64;

/// The links of one node. Stops when told to, not when dropped.
pub struct Peers {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

struct Shared {
    own: NodeId,
    roster: Arc<Roster>,
    digest: Digest,
    timing: Timing,
    handshake_timeout: Duration,
    round_timeout: Duration,
    slots: [Slot; 3],
    events: mpsc::Sender<PeerEvent>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

/// One peer.
#[derive(Default)]
struct Slot {
    live: Mutex<Option<Arc<Connection>>>,
    /// Held by the connection that is up; counts epochs.
    turn: tokio::sync::Mutex<u64>,
    /// Counts established connections; only the newest may live.
    newest: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Peers {
    /// Starts to listen on `listener` and to dial. News goes to `events`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the node's TLS key cannot be used.
    pub fn start(
        config: &PeerConfig,
        roster: Arc<Roster>,
        identity: &Identity,
        listener: TcpListener,
        events: mpsc::Sender<PeerEvent>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let own = identity.node();
        let timing = Timing { heartbeat: config.heartbeat(), dead_after: config.dead_after() };
        let shared = Arc::new(Shared {
            own,
            digest: roster.keys(),
            timing,
            handshake_timeout: config.handshake_timeout(),
            round_timeout: config.round_timeout(),
            slots: Default::default(),
            events,
            metrics,
            stop: CancellationToken::new(),
            roster: Arc::clone(&roster),
        });
        let tasks = TaskTracker::new();
        let acceptor = TlsAcceptor::from(tls::server(identity.tls(), &roster, own)?);
        tasks.spawn(Arc::clone(&shared).accept_loop(listener, acceptor, tasks.clone()));
        for peer in NodeId::ALL.into_iter().filter(|peer| *peer < own) {
            let connector = TlsConnector::from(tls::client(identity.tls(), &roster, peer)?);
            tasks.spawn(Arc::clone(&shared).dial_loop(peer, connector));
        }
        Ok(Self { shared, tasks })
    }

    /// Why each peer is not in touch, by `NodeId::index`; for the operator.
    pub fn problems(&self) -> [Option<String>; 3] {
        let mut problems = [None, None, None];
        for (problem, slot) in problems.iter_mut().zip(&self.shared.slots) {
            problem.clone_from(&lock(&slot.problem));
        }
        problems
    }

    /// Ends all connections and waits for their tasks.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        for slot in &self.shared.slots {
            if let Some(live) = lock(&slot.live).as_ref() {
                live.end(Fault::Stopping);
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Links for Peers {
    fn send(&self, to: NodeId, message: ControlMessage) -> Result<(), Unavailable> {
        match self.shared.live(to) {
            Some(live) if live.send(&message) => Ok(()),
            _ => Err(Unavailable { node: to }),
        }
    }

    fn available(&self) -> [bool; 3] {
        NodeId::ALL.map(|node| node == self.shared.own || self.shared.live(node).is_some())
    }

    fn open_session(&self, id: SessionId) -> Result<Session, Unavailable> {
        let open = |node: NodeId| self.shared.live(node).ok_or(Unavailable { node });
        let (prev, next) = (open(self.shared.own.prev())?, open(self.shared.own.next())?);
        Ok(Session::new(id, prev.open(id), next.open(id), self.shared.round_timeout))
    }
}

impl Shared {
    fn slot(&self, node: NodeId) -> Option<&Slot> {
        self.slots.get(node.index())
    }

    fn live(&self, node: NodeId) -> Option<Arc<Connection>> {
        self.slot(node).and_then(|slot| lock(&slot.live).clone())
    }

    async fn accept_loop(self: Arc<Self>, listener: TcpListener, acceptor: TlsAcceptor, tasks: TaskTracker) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        let stop = self.stop.clone();
        let accept = async {
            loop {
                let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else {
                    // Out of file descriptors, most likely: give the system a moment.
                    tokio::time::sleep(BACK_OFF.0).await;
                    continue;
                };
                let (shared, acceptor) = (Arc::clone(&self), acceptor.clone());
                tasks.spawn(async move {
                    let met = shared.meet_as_server(stream, acceptor).await;
                    drop(permit);
                    match met {
                        Ok((peer, stream, secret)) => {
                            shared.attach(peer, stream, secret).await;
                        }
                        Err((Some(peer), fault)) => shared.report(peer, &fault),
                        // Anybody can knock; that is not worth more than a line for who looks for it.
                        Err((None, fault)) => tracing::info!("refused a connection on the peer port: {fault}"),
                    }
                });
            }
        };
        stop.run_until_cancelled(accept).await;
    }

    async fn dial_loop(self: Arc<Self>, peer: NodeId, connector: TlsConnector) {
        let stop = self.stop.clone();
        let mut pause = BACK_OFF.0;
        while !stop.is_cancelled() {
            let met = stop.run_until_cancelled(self.meet_as_client(peer, &connector)).await;
            match met {
                Some(Ok((stream, secret))) => {
                    self.attach(peer, stream, secret).await;
                    pause = BACK_OFF.0;
                }
                Some(Err(fault)) => self.report(peer, &fault),
                None => return,
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            pause = BACK_OFF.1.min(pause * 2);
        }
    }

    async fn meet_as_client(
        &self,
        peer: NodeId,
        connector: &TlsConnector,
    ) -> Result<(TlsStream<TcpStream>, PairSecret), Fault> {
        let meet = async {
            let address = self.roster.node(peer).map(|node| node.peer_address.clone()).unwrap_or_default();
            let unreachable =
                |e: std::io::Error| Fault::Unreachable { address: address.clone(), reason: e.kind().to_string() };
            let stream = TcpStream::connect(&address).await.map_err(unreachable)?;
            stream.set_nodelay(true).map_err(Fault::io)?;
            let name = rustls::pki_types::ServerName::try_from("peer.invalid").map_err(|_| Fault::Malformed)?;
            let stream = connector.connect(name, stream).await.map_err(Fault::io)?;
            let mut stream = TlsStream::from(stream);
            let secret = self.greet(peer, &mut stream).await?;
            Ok((stream, secret))
        };
        tokio::time::timeout(self.handshake_timeout, meet).await.unwrap_or(Err(Fault::HandshakeTimeout))
    }

    async fn meet_as_server(
        &self,
        stream: TcpStream,
        acceptor: TlsAcceptor,
    ) -> Result<(NodeId, TlsStream<TcpStream>, PairSecret), (Option<NodeId>, Fault)> {
        let mut proved = None;
        let meet = async {
            stream.set_nodelay(true).map_err(Fault::io)?;
            let mut stream = TlsStream::from(acceptor.accept(stream).await.map_err(Fault::io)?);
            let peer = self.whose_key(&stream).ok_or(Fault::KeyRefused)?;
            proved = Some(peer);
            let secret = self.greet(peer, &mut stream).await?;
            Ok((peer, stream, secret))
        };
        let met = tokio::time::timeout(self.handshake_timeout, meet).await.unwrap_or(Err(Fault::HandshakeTimeout));
        met.map_err(|fault| (proved, fault))
    }

    fn whose_key(&self, stream: &TlsStream<TcpStream>) -> Option<NodeId> {
        let certificate = stream.get_ref().1.peer_certificates()?.first()?;
        let key = key_digest(certificate).ok()?;
        self.roster.nodes.iter().find(|node| node.tls_key == key).map(|node| node.id)
    }

    /// Exchanges hellos on a connection whose other end has proved the key of `peer`.
    async fn greet(&self, peer: NodeId, stream: &mut TlsStream<TcpStream>) -> Result<PairSecret, Fault> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| Fault::Random)?;
        let software = env!("CARGO_PKG_VERSION").to_owned();
        let (node, roster, clock) = (self.own, self.digest, unix_now());
        let own = Hello { protocol: hello::PROTOCOL, node, roster, software, clock, nonce };
        Frame::Hello(own.to_bytes()).write(stream).await?;
        stream.flush().await.map_err(Fault::io)?;
        let Frame::Hello(bytes) = Frame::read(stream, self.handshake_timeout).await? else { return Err(Fault::Malformed) };
        let theirs = Hello::check(&bytes, &own, peer)?;
        if theirs.clock.abs_diff(clock) > limits::CLOCK_SKEW_S {
            let seconds = theirs.clock.abs_diff(clock);
            tracing::warn!(node = %peer, "the clocks of this node and node {peer} differ by {seconds} s; set them with NTP");
        }
        let software: String = theirs.software.chars().filter(|c| c.is_ascii_graphic()).take(32).collect();
        tracing::debug!(node = %peer, %software, "agreed with node {peer}");
        let exported = match stream {
            TlsStream::Client(s) => s.get_ref().1.export_keying_material([0; 32], hello::EXPORTER, None),
            TlsStream::Server(s) => s.get_ref().1.export_keying_material([0; 32], hello::EXPORTER, None),
        };
        let exported = Zeroizing::new(exported.map_err(|e| Fault::Tls(e.to_string()))?);
        Ok(PairSecret::derive(&exported, &own, &theirs))
    }

    /// Makes an agreed connection the link to `peer` and runs it to its end.
    async fn attach(&self, peer: NodeId, stream: TlsStream<TcpStream>, secret: PairSecret) {
        let Some(slot) = self.slot(peer) else { return };
        // The newest connection wins: a peer dials again only after it lost the old one, whatever this side still believes.
        let ticket = slot.newest.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(old) = lock(&slot.live).as_ref() {
            old.end(Fault::Replaced);
        }
        let mut turn = slot.turn.lock().await;
        let (connection, queues) = Connection::new(peer, secret);
        *lock(&slot.live) = Some(Arc::clone(&connection));
        if slot.newest.load(Ordering::SeqCst) != ticket {
            connection.end(Fault::Replaced);
        }
        if self.stop.is_cancelled() {
            connection.end(Fault::Stopping);
        }
        *turn += 1;
        *lock(&slot.problem) = None;
        self.tell(PeerEvent::Up { node: peer, epoch: *turn }).await;
        self.metrics.peer_up(peer, true);
        tracing::info!(node = %peer, "in touch with node {peer}");
        let fault = connection::run(stream, &connection, queues, self.timing, &self.events, &self.metrics).await;
        *lock(&slot.live) = None;
        self.metrics.peer_up(peer, false);
        self.tell(PeerEvent::Down { node: peer }).await;
        drop(turn);
        self.report(peer, &fault);
    }

    async fn tell(&self, event: PeerEvent) {
        let _ = self.stop.run_until_cancelled(self.events.send(event)).await;
    }

    /// Logs a problem when it is a new one; attempts repeat, lines do not.
    fn report(&self, peer: NodeId, fault: &Fault) {
        if matches!(fault, Fault::Stopping | Fault::Replaced) || self.stop.is_cancelled() {
            return;
        }
        let text = fault.to_string();
        let Some(slot) = self.slot(peer) else { return };
        if lock(&slot.live).is_some() {
            return;
        }
        if lock(&slot.problem).replace(text.clone()).as_ref() != Some(&text) {
            tracing::warn!(node = %peer, "no link to node {peer}: {text}");
        }
    }
}
