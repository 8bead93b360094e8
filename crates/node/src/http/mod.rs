//! The client API: parse, bound, ask `app`, answer. JSON types live in [`types::api`]; this module holds no rule of the commons.
//!
//! A request passes, from outside in: connection bounds and TLS (`server`), figures and headers, who may call from a browser (`page`),
//! panic guard, address allowance
//! and concurrency bound (here), then a call (`calls`) with its body read within limits and its signature checked. Whatever goes
//! wrong becomes one problem document (`problem`).

mod calls;
mod courier;
mod limits;
mod live;
mod log;
mod openapi;
mod page;
mod problem;
mod server;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
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

pub(crate) use courier::HttpCourier;
pub(crate) use live::Streams;
pub use openapi::document;
pub(crate) use page::Page;
pub(crate) use server::{Server, listen, tls};

/// What every call can reach.
pub(crate) struct Api {
    pub(crate) app: App,
    pub(crate) peers: Arc<Peers>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) page: Page,
    pub(crate) streams: live::Streams,
    limits: RateLimits,
    in_progress: Semaphore,
    forwarded_for: bool,
    timeout: Duration,
}

impl Api {
    pub(crate) fn new(app: App, peers: Arc<Peers>, metrics: Arc<Metrics>, page: Page, config: &HttpConfig) -> Arc<Self> {
        let in_progress = Semaphore::new(config.concurrent_requests as usize);
        let (limits, forwarded_for, timeout) = (RateLimits::new(config), config.forwarded_for, config.request_timeout());
        let streams = live::Streams::new(config.connections);
        Arc::new(Self { app, peers, metrics, page, streams, limits, in_progress, forwarded_for, timeout })
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
        .fallback(page::other)
        .method_not_allowed_fallback(|| async {
            Failure::new("method-not-allowed", "this call has another method; GET /v1/openapi.json lists them all")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&api), bound))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), page::admit))
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
    // A checkpoint is refused for the price of one signature, and the other nodes send several a second.
    let counts = request.uri().path() != "/add-checkpoint";
    if let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>().filter(|_| counts)
        && let Err(failure) = api.limits.address(whose(address.ip(), request.headers(), api.forwarded_for))
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

/// The address that a request counts for: that of the connection, or what a trusted proxy on this machine says. Only the last
/// entry of the header is the proxy's own; the others are whatever the client sent.
fn whose(connection: IpAddr, headers: &HeaderMap, forwarded_for: bool) -> IpAddr {
    if !forwarded_for || !connection.to_canonical().is_loopback() {
        return connection;
    }
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    last.and_then(|list| list.rsplit(',').next()?.trim().parse().ok()).unwrap_or(connection)
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn only_a_proxy_on_this_machine_may_name_another_address() {
        let (proxy, client) = ("127.0.0.1".parse().unwrap(), "192.0.2.7".parse::<IpAddr>().unwrap());
        let mut headers = HeaderMap::new();
        assert_eq!(whose(proxy, &headers, true), proxy);
        headers.append("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("10.0.0.2, 192.0.2.7"));
        assert_eq!(whose(proxy, &headers, true), client);
        assert_eq!(whose(proxy, &headers, false), proxy);
        let outside = "198.51.100.1".parse().unwrap();
        assert_eq!(whose(outside, &headers, true), outside);
        headers.append("x-forwarded-for", HeaderValue::from_static("nonsense"));
        assert_eq!(whose(proxy, &headers, true), proxy);
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_document_without_its_text() {
        let calls: Router = Router::new().route("/", get(async || -> &'static str { panic!("a secret") }));
        let response = calls.layer(CatchPanicLayer::custom(panicked)).oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("a secret"));
    }
}
