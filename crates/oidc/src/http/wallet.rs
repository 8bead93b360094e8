//! Calls of wallets and of verifiers: OpenID4VCI, status lists, OpenID4VP.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::{Api, Shared, authorization, json_with, open, problem, public};
use crate::provider::{OAuthError, TokenFault};
use crate::store::Purpose;
use crate::wallet::issue::STATUS_TTL_S;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/.well-known/openid-credential-issuer", get(issuer_metadata))
        .route("/.well-known/jwt-vc-issuer", get(vc_issuer_metadata))
        .route("/vct/membership", get(type_metadata))
        .route("/wallet/issue", post(|api: Shared| begin(api, Purpose::Issue)))
        .route("/wallet/renew", post(|api: Shared| begin(api, Purpose::Renew)))
        .route("/wallet/retire", post(|api: Shared| begin(api, Purpose::Retire)))
        .route("/nonce", post(nonce))
        .route("/credential", post(credential))
        .route("/status/{list}", get(status))
        .route("/vp/requests", post(ask))
        .route("/vp/requests/{id}", get(result))
        .route("/vp/object/{id}", get(object))
        .route("/vp/response/{id}", post(response))
}

async fn begin(State(api): Shared, purpose: Purpose) -> Response {
    match api.provider.begin_wallet(purpose).await {
        Ok(Ok(url)) => json_with(StatusCode::OK, &json!({ "request": url })),
        Ok(Err(denied)) => denied.into_response(),
        Err(error) => error.into_response(),
    }
}

async fn issuer_metadata(State(api): Shared) -> Response {
    public(&api.provider.issuer_metadata())
}

async fn vc_issuer_metadata(State(api): Shared) -> Response {
    public(&api.provider.vc_issuer_metadata())
}

async fn type_metadata(State(api): Shared) -> Response {
    public(&api.provider.type_metadata())
}

async fn nonce(State(api): Shared) -> Response {
    match api.provider.wallet_nonce().await {
        Ok(value) => json_with(StatusCode::OK, &value),
        Err(error) => error.into_response(),
    }
}

fn text(body: &Bytes) -> Result<&str, OAuthError> {
    std::str::from_utf8(body).map_err(|_| OAuthError::new(400, "invalid_request", "the body is no text"))
}

fn answer(outcome: Result<serde_json::Value, TokenFault>) -> Response {
    match outcome {
        Ok(value) => json_with(StatusCode::OK, &value),
        Err(fault) => fault.into_response(),
    }
}

async fn credential(State(api): Shared, headers: HeaderMap, body: Bytes) -> Response {
    match text(&body) {
        Ok(text) => answer(api.provider.credentials(text, authorization(&headers)).await),
        Err(fault) => fault.into_response(),
    }
}

async fn status(State(api): Shared, Path(list): Path<u32>) -> Response {
    match api.provider.status_token(list).await {
        Ok(Some(token)) => {
            let age = format!("public, max-age={}", STATUS_TTL_S / 5);
            open(
                ([(header::CONTENT_TYPE, "application/statuslist+jwt"), (header::CACHE_CONTROL, &age)], token)
                    .into_response(),
            )
        }
        Ok(None) => problem(404, "no-such-list", "there is no such status list"),
        Err(error) => error.into_response(),
    }
}

async fn ask(State(api): Shared, headers: HeaderMap) -> Response {
    answer(api.provider.ask_wallet(authorization(&headers)).await)
}

async fn result(State(api): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
    answer(api.provider.presentation_result(&id, authorization(&headers)).await)
}

async fn object(State(api): Shared, Path(id): Path<String>) -> Response {
    match api.provider.request_object(&id).await {
        Ok(Some(token)) => ([(header::CONTENT_TYPE, "application/oauth-authz-req+jwt")], token).into_response(),
        Ok(None) => problem(404, "no-request", "no such request waits here any more; ask the verifier for a new one"),
        Err(error) => error.into_response(),
    }
}

async fn response(State(api): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    match text(&body) {
        Ok(text) => answer(api.provider.take_presentation(&id, text).await),
        Err(fault) => fault.into_response(),
    }
}
