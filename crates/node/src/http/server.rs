//! Accepts connections of clients, speaks TLS and HTTP on them, and stops in good order.
//!
//! Bounds: connections in all and per network address, time for the TLS handshake and for the head of a request. A connection
//! beyond the bounds is closed without an answer, so that a flood costs little.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use types::roster::RosterNode;

use super::limits::network;
use crate::Error;
use crate::config::{HttpConfig, Tls};
use crate::identity::{self, TlsKey};

/// For the TLS handshake and for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 64;

/// The running API.
pub(crate) struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, tls: Option<Arc<ServerConfig>>, router: Router, config: &HttpConfig) -> Self {
        let stop = CancellationToken::new();
        let connections = Connections::new(config.connections);
        let acceptor = tls.map(TlsAcceptor::from);
        let task = tokio::spawn(accept_loop(listener, acceptor, router, connections, stop.clone(), config.shutdown()));
        Self { stop, task }
    }

    /// Stops accepting, finishes what has begun within the configured time, closes.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// TLS for the API as configured; `None` for plain HTTP. TLS 1.3 only.
pub(crate) fn tls(config: &HttpConfig, key: &TlsKey, own: &RosterNode) -> Result<Option<Arc<ServerConfig>>, Error> {
    let (chain, secret) = match (config.tls, &config.cert_file, &config.key_file) {
        (Tls::Off, ..) => return Ok(None),
        (Tls::Files, Some(cert), Some(key)) => from_files(cert, key)?,
        (Tls::Files, ..) => {
            return Err(Error::Config { what: "http.tls = \"files\" needs cert_file and key_file".to_owned() });
        }
        (Tls::Pinned, ..) => {
            let (certificate, secret) = key.certificate(host(&own.url))?;
            (vec![certificate], secret)
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|b| b.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|e| Error::Config { what: format!("the HTTPS certificate and its key cannot be used: {e}") })?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(tls)))
}

fn from_files(
    cert: &std::path::Path,
    key: &std::path::Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let wrong =
        |path: &std::path::Path| Error::Config { what: format!("{} is not a PEM file of the right kind", path.display()) };
    identity::read_small(cert)?;
    identity::refuse_exposed(key)?;
    let chain = CertificateDer::pem_file_iter(cert).map_err(|_| wrong(cert))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|_| wrong(cert))?;
    Ok((chain, PrivateKeyDer::from_pem_file(key).map_err(|_| wrong(key))?))
}

/// The host of a base URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

async fn accept_loop(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    connections: Connections,
    stop: CancellationToken,
    patience: Duration,
) {
    let graceful = GracefulShutdown::new();
    let (tasks, give_up) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, address)) = accepted else {
            // Out of file descriptors, most likely: give the system a moment.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(place) = connections.take(address.ip()) else { continue };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        let serve = async move {
            let _place = place;
            let Some(stream) = open(stream, acceptor).await else { return };
            let service = router.map_request(move |mut request: Request<_>| {
                request.extensions_mut().insert(ConnectInfo(address));
                request
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).keep_alive_interval(HEAD_TIMEOUT);
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
            // How a connection of a client ends is its own business.
            let _ = watcher.watch(connection).await;
        };
        let give_up = give_up.clone();
        tasks.spawn(async move { give_up.run_until_cancelled(serve).await });
    }
    drop(listener);
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not finished in time and are given up");
    }
    give_up.cancel();
    tasks.close();
    tasks.wait().await;
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn open(stream: TcpStream, acceptor: Option<TlsAcceptor>) -> Option<Box<dyn Stream>> {
    stream.set_nodelay(true).ok()?;
    match acceptor {
        None => Some(Box::new(stream)),
        Some(acceptor) => {
            let stream = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await.ok()?.ok()?;
            Some(Box::new(stream))
        }
    }
}

/// Counts open connections, in all and per network.
#[derive(Clone)]
struct Connections {
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
    most: u32,
}

impl Connections {
    fn new(most: u32) -> Self {
        Self { open: Arc::default(), most }
    }

    /// A place for one more, unless there are too many. One network gets at most an eighth; loopback, where a reverse proxy
    /// speaks for everybody, may have all.
    fn take(&self, address: IpAddr) -> Option<Place> {
        let key = network(address);
        let share = if key.is_loopback() || address.is_loopback() { self.most } else { (self.most / 8).max(1) };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u32 = open.values().sum();
        let own = open.get(&key).copied().unwrap_or(0);
        if total >= self.most || own >= share {
            return None;
        }
        open.insert(key, own + 1);
        Some(Place { connections: self.clone(), key })
    }
}

struct Place {
    connections: Connections,
    key: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

/// Binds `address`.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url() {
        for (url, expected) in
            [("https://one.example:8443", "one.example"), ("http://127.0.0.1:1/", "127.0.0.1"), ("https://[::1]:5", "::1")]
        {
            assert_eq!(host(url), expected);
        }
    }

    #[test]
    fn one_network_cannot_take_all_places() {
        let connections = Connections::new(16);
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let held = [connections.take(one).unwrap(), connections.take(one).unwrap()];
        assert!(connections.take(one).is_none());
        assert!(connections.take(two).is_some());
        drop(held);
        assert!(connections.take(one).is_some());
        assert!(connections.open.lock().unwrap().is_empty(), "places that nobody holds are free");
    }
}
