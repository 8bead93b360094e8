//! Accepts connections from the reverse proxy, speaks HTTP on them within bounds, and stops in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// For the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until `stop`, then finishes what has begun, for `patience` at most. Connections beyond `most` wait.
pub(crate) async fn serve(listener: TcpListener, router: Router, most: u32, stop: CancellationToken, patience: Duration) {
    let places = Arc::new(Semaphore::new(most as usize));
    let (graceful, tasks, give_up) = (GracefulShutdown::new(), TaskTracker::new(), CancellationToken::new());
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, address, place)) = accepted else {
            // Out of file descriptors, most likely: give the system a moment.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (router, watcher, give_up) = (router.clone(), graceful.watcher(), give_up.clone());
        let service = router.map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(address));
            request
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(64).keep_alive_interval(HEAD_TIMEOUT);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
        tasks.spawn(async move {
            let _place = place;
            // How a connection ends is its own business.
            give_up.run_until_cancelled(watcher.watch(connection)).await
        });
    }
    drop(listener);
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not finished in time and are given up");
    }
    give_up.cancel();
    tasks.close();
    tasks.wait().await;
}

type Accepted = (tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (stream, address) = listener.accept().await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some((stream, address, place))
}
