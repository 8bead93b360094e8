//! The client API: parse, bound, ask `app`, answer. JSON types live in [`types::api`]; this module holds no rule of the commons.
//!
//! A request passes, from outside in: connection bounds and TLS (`server`), figures and headers, panic guard, address allowance
//! and concurrency bound (here), then a call (`calls`) with its body read within limits and its signature checked. Whatever goes
//! wrong becomes one problem document (`problem`).

mod calls;
mod limits;
mod openapi;
mod problem;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::config::HttpConfig;
use crate::metrics::Metrics;
use crate::peer::Peers;
use limits::RateLimits;
use problem::{Code, Failure};

pub use openapi::document;
pub(crate) use server::{Server, listen, tls};

/// What every call can reach.
pub(crate) struct Api {
    pub(crate) app: App,
    pub(crate) peers: Arc<Peers>,
    pub(crate) metrics: Arc<Metrics>,
    limits: RateLimits,
    in_progress: Semaphore,
    timeout: Duration,
}

impl Api {
    pub(crate) fn new(app: App, peers: Arc<Peers>, metrics: Arc<Metrics>, config: &HttpConfig) -> Arc<Self> {
        let in_progress = Semaphore::new(config.concurrent_requests as usize);
        Arc::new(Self {
            app,
            peers,
            metrics,
            limits: RateLimits::new(config),
            in_progress,
            timeout: config.request_timeout(),
        })
    }

    /// Housekeeping, now and then.
    pub(crate) fn tidy(&self) {
        self.limits.tidy();
        self.metrics.tidy();
    }
}

/// All calls with all guards.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let (calls, _) = calls::router().split_for_parts();
    calls
        .fallback(|| async { Failure::new("no-such-call", "there is no such call; GET /v1/openapi.json lists them all") })
        .method_not_allowed_fallback(|| async {
            Failure::new("method-not-allowed", "this call has another method; GET /v1/openapi.json lists them all")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&api), bound))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), observe))
        .with_state(api)
}

/// Paths that monitoring asks for and that must answer under load.
fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// Address allowance, concurrency, time.
async fn bound(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if is_health(request.uri().path()) {
        return next.run(request).await;
    }
    if let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>()
        && let Err(failure) = api.limits.address(address.ip())
    {
        return failure.into_response();
    }
    let Ok(_place) = api.in_progress.try_acquire() else {
        return Failure::new("busy", "this node has too many requests in progress; try again in a few seconds")
            .retry_after(2)
            .into_response();
    };
    match tokio::time::timeout(api.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::from(crate::Error::InDoubt).into_response(),
    }
}

/// Figures and headers.
async fn observe(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = calls::known(request.uri().path());
    let mut response = next.run(request).await;
    let outcome = match response.extensions().get::<Code>() {
        Some(Code(code)) => code,
        None if response.status().is_success() => "ok",
        None => "other",
    };
    api.metrics.request(route, outcome, began.elapsed());
    let headers = response.headers_mut();
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The panic itself is printed by the panic hook, without the request.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Failure::from(crate::Error::Internal { what: "a call panicked" }).into_response()
}
