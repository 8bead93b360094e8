//! The provider over HTTP: parse, bound, ask [`crate::provider`], answer. Pages are in [`page`], wallets' calls in [`wallet`].

mod limits;
mod page;
mod server;
mod wallet;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::Error;
use crate::authorize::Refusal;
use crate::form::FORM_BYTES;
use crate::provider::{Denied, Next as Step, OAuthError, Provider, TokenFault};
use limits::RateLimits;
pub(crate) use server::serve;

/// Bytes of a body: a presentation in its JSON envelope, or a wallet's batch of proofs.
const BODY_BYTES: usize = 96 * 1024;

/// What every call can reach.
struct Api {
    provider: Arc<Provider>,
    limits: RateLimits,
    in_progress: Semaphore,
}

type Shared = State<Arc<Api>>;

/// All calls with all guards.
pub fn router(provider: Arc<Provider>) -> Router {
    let limits = RateLimits::new(&provider.config);
    let in_progress = Semaphore::new(provider.config.concurrent_requests as usize);
    let api = Arc::new(Api { provider, limits, in_progress });
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/.well-known/oauth-authorization-server", get(discovery))
        .route("/jwks.json", get(jwks))
        .route("/authorize", get(authorize).post(authorize_form))
        .route("/sign-in/{handle}", get(sign_in))
        .route("/sign-in/{handle}/state", get(state))
        .route("/sign-in/{handle}/cancel", post(cancel))
        .route("/sign-in.css", get(page::style))
        .route("/sign-in.js", get(page::script))
        .route("/request/{device}", get(request))
        .route("/answer/{device}", post(answer))
        .route("/token", post(token).options(preflight))
        .route("/userinfo", get(userinfo).post(userinfo).options(preflight))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(wallet::routes())
        .fallback(|| async {
            problem(404, "no-such-call", "there is no such page; docs/relying-parties.md lists the calls")
        })
        .method_not_allowed_fallback(|| async { problem(405, "method-not-allowed", "this call has another method") })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), bound))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), observe))
        .layer(CatchPanicLayer::custom(|_| own_fault("a call panicked")))
        .layer(middleware::map_response(harden))
        .with_state(api)
}

/// Address allowance, concurrency, time.
async fn bound(State(api): Shared, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    if let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>()
        && let Err(seconds) =
            api.limits.address(limits::whose(address.ip(), request.headers(), api.provider.config.forwarded_for))
    {
        let detail = format!("too many requests from this network address; try again in {seconds} s");
        return ([(header::RETRY_AFTER, seconds.to_string())], problem(429, "rate-limited", &detail)).into_response();
    }
    let Ok(_place) = api.in_progress.try_acquire() else {
        return ([(header::RETRY_AFTER, "2")], problem(503, "busy", "too many requests; try again in a few seconds"))
            .into_response();
    };
    match tokio::time::timeout(api.provider.config.request_timeout(), next.run(request)).await {
        Ok(response) => response,
        Err(_) => problem(503, "late", "this took too long; try again"),
    }
}

async fn observe(State(api): Shared, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = route(request.uri().path());
    let response = next.run(request).await;
    api.provider.metrics.request(route, response.status().as_u16(), began.elapsed());
    response
}

/// The first part of a path, if it is one of ours: ids stay out of the figures.
fn route(path: &str) -> &'static str {
    const ROUTES: [&str; 18] = [
        ".well-known",
        "jwks.json",
        "authorize",
        "sign-in",
        "sign-in.css",
        "sign-in.js",
        "request",
        "answer",
        "token",
        "userinfo",
        "healthz",
        "readyz",
        "metrics",
        "wallet",
        "nonce",
        "credential",
        "status",
        "vp",
    ];
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    ROUTES.into_iter().find(|route| *route == first).unwrap_or("other")
}

/// Headers of every answer; a page or a public document brings its own where they differ.
async fn harden(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A problem document (RFC 9457).
fn problem(status: u16, code: &'static str, detail: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "status": status.as_u16(), "title": status.canonical_reason(), "code": code, "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

fn own_fault(what: &str) -> Response {
    tracing::error!(what, "a request failed");
    problem(500, "internal", "this is a fault of the provider; nothing was changed, try again")
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        own_fault(&self.chain())
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let (status, code, detail) = self.problem();
        problem(status, code, &detail)
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = json_with(status, &json!({ "error": self.error, "error_description": self.description }));
        match (self.status, self.error) {
            (401, "invalid_client") => ([(header::WWW_AUTHENTICATE, "Basic realm=\"commons-oidc\"")], body).into_response(),
            (401, error) => ([(header::WWW_AUTHENTICATE, format!("Bearer error=\"{error}\""))], body).into_response(),
            _ => body,
        }
    }
}

impl IntoResponse for TokenFault {
    fn into_response(self) -> Response {
        match self {
            Self::Client(error) => error.into_response(),
            Self::Own(error) => error.into_response(),
        }
    }
}

fn json_with(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// For pages of any origin: what is public, and what is called with a token or a code and no cookie.
fn open(response: Response) -> Response {
    ([(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")], response).into_response()
}

async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ];
    open((StatusCode::NO_CONTENT, headers).into_response())
}

fn public(value: &Value) -> Response {
    open(([(header::CACHE_CONTROL, "public, max-age=300")], json_with(StatusCode::OK, value)).into_response())
}

async fn discovery(State(api): Shared) -> Response {
    public(&api.provider.discovery())
}

async fn jwks(State(api): Shared) -> Response {
    public(&api.provider.keys.to_json())
}

async fn authorize(State(api): Shared, RawQuery(query): RawQuery) -> Response {
    begin(&api.provider, &query.unwrap_or_default()).await
}

async fn authorize_form(State(api): Shared, headers: HeaderMap, body: Bytes) -> Response {
    match form(&headers, &body) {
        Ok(text) => begin(&api.provider, text).await,
        Err(fault) => fault.into_response(),
    }
}

fn form<'a>(headers: &HeaderMap, body: &'a Bytes) -> Result<&'a str, OAuthError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded");
    let text = std::str::from_utf8(body).ok().filter(|text| is_form && text.len() <= FORM_BYTES);
    text.ok_or(OAuthError::new(400, "invalid_request", "send a form (application/x-www-form-urlencoded)"))
}

async fn begin(provider: &Provider, query: &str) -> Response {
    match provider.begin(query).await {
        Err(error) => error.into_response(),
        Ok(Err(Refusal::Page { why, .. })) => page::refused(&provider.config.operator, why),
        Ok(Err(Refusal::Client { redirect_uri, state, error, description, .. })) => {
            go(&provider.refusal_redirect(&redirect_uri, state.as_deref(), error, description))
        }
        Ok(Ok(begun)) => {
            let path = format!("/sign-in/{}", begun.handle);
            let secure = if provider.config.issuer.starts_with("https:") { "; Secure" } else { "" };
            let cookie = format!(
                "{}={}; Path={path}; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
                cookie_name(provider),
                begun.cookie,
                provider.config.sign_in_s + 60
            );
            ([(header::SET_COOKIE, cookie)], go(&path)).into_response()
        }
    }
}

fn cookie_name(provider: &Provider) -> &'static str {
    if provider.config.issuer.starts_with("https:") { "__Secure-sign-in" } else { "sign-in" }
}

fn cookie<'a>(provider: &Provider, headers: &'a HeaderMap) -> &'a str {
    let name = cookie_name(provider);
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
}

fn go(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => own_fault("an address to go to is no header"),
    }
}

async fn sign_in(State(api): Shared, Path(handle): Path<String>, headers: HeaderMap) -> Response {
    let provider = &api.provider;
    match provider.next(&handle, cookie(provider, &headers)).await {
        Err(error) => error.into_response(),
        Ok(step) => show(provider, &handle, step),
    }
}

fn show(provider: &Provider, handle: &str, step: Step) -> Response {
    match step {
        Step::Go(to) => go(&to),
        Step::Over => page::over(&provider.config.operator),
        Step::Wait(waits) => {
            let (sign_in, request, from) = *waits;
            match provider.clients.client(&sign_in.request.client) {
                Some(client) => page::waiting(&page::Waiting {
                    provider,
                    client,
                    handle,
                    request: &request,
                    from: &from,
                    left_s: sign_in.expires_at.saturating_sub(provider.now()),
                }),
                None => page::over(&provider.config.operator),
            }
        }
    }
}

async fn state(State(api): Shared, Path(handle): Path<String>, headers: HeaderMap) -> Response {
    match api.provider.waits(&handle, cookie(&api.provider, &headers)).await {
        Ok(waits) => json_with(StatusCode::OK, &json!({ "waits": waits })),
        Err(error) => error.into_response(),
    }
}

async fn cancel(State(api): Shared, Path(handle): Path<String>, headers: HeaderMap) -> Response {
    match api.provider.cancel(&handle, cookie(&api.provider, &headers)).await {
        Ok(step) => show(&api.provider, &handle, step),
        Err(error) => error.into_response(),
    }
}

async fn request(State(api): Shared, Path(device): Path<String>) -> Response {
    match api.provider.request(&device).await {
        Ok(Ok(request)) => ([(header::CONTENT_TYPE, "application/json")], request.to_json()).into_response(),
        Ok(Err(denied)) => denied.into_response(),
        Err(error) => error.into_response(),
    }
}

async fn answer(State(api): Shared, Path(device): Path<String>, body: Bytes) -> Response {
    let text = std::str::from_utf8(&body).unwrap_or_default();
    match api.provider.answer(&device, text).await {
        Ok(Ok(accepted)) => {
            let mut value = json!({ "accepted": true, "purpose": accepted.purpose.name() });
            if let (Value::Object(value), Value::Object(more)) = (&mut value, accepted.more) {
                value.extend(more);
            }
            json_with(StatusCode::OK, &value)
        }
        Ok(Err(denied)) => denied.into_response(),
        Err(error) => error.into_response(),
    }
}

async fn token(State(api): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let text = match form(&headers, &body) {
        Ok(text) => text,
        Err(fault) => return open(fault.into_response()),
    };
    open(match api.provider.token(text, authorization(&headers)).await {
        Ok(value) => json_with(StatusCode::OK, &value),
        Err(fault) => fault.into_response(),
    })
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default())
}

async fn userinfo(State(api): Shared, headers: HeaderMap) -> Response {
    open(match api.provider.userinfo(authorization(&headers)).await {
        Ok(value) => json_with(StatusCode::OK, &value),
        Err(fault) => fault.into_response(),
    })
}

async fn ready(State(api): Shared) -> Response {
    match api.provider.store.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => problem(503, "not-ready", "the database does not answer"),
    }
}

async fn metrics(State(api): Shared) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.provider.metrics.render()).into_response()
}

/// Housekeeping, now and then.
pub(crate) async fn tidy(provider: &Provider) {
    provider.metrics.tidy();
    if let Err(error) = provider.store.tidy(provider.now()).await {
        tracing::error!(error = error.chain(), "could not forget what is over");
    }
}
