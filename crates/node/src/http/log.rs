//! The transparency log over HTTP: C2SP `tlog-tiles` under `/log`, `tlog-witness` at `/add-checkpoint`, figures at `/v1/log`.
//!
//! Tiles never change, so caches may keep them for ever; the checkpoint changes all the time. What is served here is public: anybody
//! may mirror it, and no entry can be linked to a person without that person's key.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tlog::tile::Resource;
use types::api::LogBody;
use types::limits;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Failure;

type Shared = State<Arc<Api>>;

const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The calls of this module. Tiles have no fixed path, so they are not in the description.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(log))
        .routes(routes!(checkpoint))
        .routes(routes!(add_checkpoint))
        .route("/log/tile/{*path}", get(tile))
}

/// Where does this node's transparency log stand?
#[utoipa::path(get, path = "/v1/log", tag = "log",
    responses((status = 200, description = "Sizes, and who has cosigned", body = LogBody)))]
async fn log(State(api): Shared) -> Json<LogBody> {
    Json(api.app.log())
}

/// The newest checkpoint, with cosignatures (C2SP `tlog-checkpoint`)
///
/// Tiles and entry bundles are at `/log/tile/LEVEL/INDEX` and `/log/tile/entries/INDEX`, as C2SP `tlog-tiles` names them.
#[utoipa::path(get, path = "/log/checkpoint", tag = "log", responses(
    (status = 200, description = "A signed note", body = String, content_type = "text/plain"),
    (status = 404, description = "Nothing is logged yet", body = types::api::Problem, content_type = "application/problem+json")))]
async fn checkpoint(State(api): Shared) -> Result<Response, Failure> {
    let note = api.app.checkpoint();
    let note = note.ok_or_else(|| Failure::new("not-found", "nothing is logged yet; ask again after the first decision"))?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, note.to_string()).into_response())
}

async fn tile(State(api): Shared, Path(path): Path<String>) -> Result<Response, Failure> {
    let unknown = || Failure::new("not-found", "the log has no such tile; GET /log/checkpoint says how long it is");
    let resource = Resource::from_path(&format!("tile/{path}")).map_err(|_| unknown())?;
    let bytes = api.app.log_file(resource).await?.ok_or_else(unknown)?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, FOR_EVER)];
    Ok((headers, bytes).into_response())
}

/// Cosign a checkpoint of another node's log (C2SP `tlog-witness`)
///
/// Serves the other two nodes of this commons only: this witness compares their logs with its own.
#[utoipa::path(post, path = "/add-checkpoint", tag = "log", request_body(content = String, content_type = "text/plain"), responses(
    (status = 200, description = "A cosignature line", body = String, content_type = "text/plain"),
    (status = 400, description = "Not an add-checkpoint request", body = String, content_type = "text/plain"),
    (status = 403, description = "Not signed by the log", body = String, content_type = "text/plain"),
    (status = 404, description = "Not the log of another node", body = String, content_type = "text/plain"),
    (status = 409, description = "Another size was cosigned last; the body says which", body = String,
        content_type = "text/x.tlog.size"),
    (status = 422, description = "Does not continue the log, or is not what the nodes decided", body = String,
        content_type = "text/plain"),
    (status = 503, description = "Ahead of this node's own log; ask again", body = String, content_type = "text/plain")))]
async fn add_checkpoint(State(api): Shared, body: Bytes) -> Result<Response, Failure> {
    if body.len() > limits::ADD_CHECKPOINT_BYTES {
        let limit = limits::ADD_CHECKPOINT_BYTES;
        return Err(Failure::new("too-large", format!("a request to a witness has at most {limit} bytes")));
    }
    let answer = api.app.add_checkpoint(&body).await?;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok((status, [(header::CONTENT_TYPE, answer.content_type)], answer.body).into_response())
}

/// How long a witness may take in all.
pub(super) const WITNESS_TIMEOUT: Duration = Duration::from_secs(3);
