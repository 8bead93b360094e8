//! Wiring: from a configuration to a running provider.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::keys::Keys;
use crate::provider::Provider;
use crate::store::Store;
use crate::{Error, commons, http};

/// Between two rounds of housekeeping.
const TIDY: Duration = Duration::from_secs(30);

/// A provider that serves.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Finishes what has begun, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// Starts a provider.
///
/// # Errors
/// [`Error`]: whatever of the configuration, the keys, the roster or the database cannot be used.
pub async fn start(config: Config) -> Result<Running, Error> {
    let keys = Keys::load(&config.data_dir)?;
    let (_, issuers) = commons::read(&config.roster)?;
    let store = Store::open(&config.data_dir).await?;
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let (bind, most, patience) = (config.bind, config.connections, Duration::from_millis(config.shutdown_ms));
    let provider = Arc::new(Provider::new(config, store, issuers, keys, Box::new(now))?);
    let listener = TcpListener::bind(bind).await.map_err(|source| Error::Listen { address: bind, source })?;
    let address = listener.local_addr().map_err(|source| Error::Listen { address: bind, source })?;
    let stop = CancellationToken::new();
    let serve = http::serve(listener, http::router(Arc::clone(&provider)), most, stop.clone(), patience);
    let tidying = stop.clone();
    let task = tokio::spawn(async move {
        let tidy = async move {
            loop {
                http::tidy(&provider).await;
                tokio::time::sleep(TIDY).await;
            }
        };
        let tidy = tokio::spawn(async move { tidying.run_until_cancelled(tidy).await });
        serve.await;
        let _ = tidy.await;
    });
    tracing::info!(%address, "commons-oidc serves");
    Ok(Running { address, stop, task })
}
