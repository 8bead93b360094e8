//! The calls of the API, one function each.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request as HttpRequest, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use types::api::{CharterBody, CommonsBody, DecisionBody, RequestBody, StatementBody, from_base64, to_base64};
use types::message::{Action, Certificate, Request};
use types::sign::Signed;
use types::{TraceKey, limits, seal};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::problem::Failure;
use super::{Api, live, log, openapi, page};
use crate::Error;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

type Shared = State<Arc<Api>>;

/// All calls with their documentation.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(enrol))
        .routes(routes!(verify))
        .routes(routes!(renew))
        .routes(routes!(withdraw))
        .routes(routes!(outcome))
        .routes(routes!(status))
        .routes(routes!(inspect))
        .routes(routes!(grant))
        .routes(routes!(narrow))
        .routes(routes!(revoke))
        .routes(routes!(ask))
        .routes(routes!(use_grant))
        .routes(routes!(answer))
        .routes(routes!(raise_shield))
        .routes(routes!(lower_shield))
        .routes(routes!(asked))
        .routes(routes!(events))
        .routes(routes!(adopt))
        .routes(routes!(set_guardians))
        .routes(routes!(start_recovery))
        .routes(routes!(veto_recovery))
        .routes(routes!(finish_recovery))
        .routes(routes!(recovery))
        .routes(routes!(release))
        .routes(routes!(bind))
        .routes(routes!(issue))
        .routes(routes!(refresh))
        .routes(routes!(charter))
        .routes(routes!(commons))
        .merge(log::router())
        .merge(live::router())
        .merge(page::router())
        .routes(routes!(openapi_json))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY_BYTES))
}

/// All tiles and bundles, in figures.
const TILES: &str = "/log/tile";

/// The same path as a constant, for figures.
pub(super) fn known(path: &str) -> &'static str {
    const PATHS: &[&str] = &[
        "/v1/enrolments",
        "/v1/verifications",
        "/v1/renewals",
        "/v1/withdrawals",
        "/v1/outcomes",
        "/v1/status",
        "/v1/inspections",
        "/v1/grants",
        "/v1/narrowings",
        "/v1/revocations",
        "/v1/asks",
        "/v1/uses",
        "/v1/answers",
        "/v1/shield",
        "/v1/shield-down",
        "/v1/asked",
        "/v1/events",
        "/v1/charters",
        "/v1/guardians",
        "/v1/recoveries",
        "/v1/recovery-vetoes",
        "/v1/recovery-ends",
        "/v1/recovery",
        "/v1/releases",
        "/v1/bindings",
        "/v1/credentials",
        "/v1/refresh",
        "/v1/charter",
        "/v1/commons",
        "/v1/page",
        "/",
        "/v1/log",
        "/v1/log/events",
        "/log/checkpoint",
        TILES,
        "/add-checkpoint",
        "/v1/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
    ];
    let path = if path.starts_with("/log/tile/") { TILES } else { path };
    PATHS.iter().copied().find(|known| *known == path).unwrap_or("other")
}

/// A parsed body: the signature of the device holds, and its allowance is not used up.
struct Asked {
    request: Signed<Request>,
    share: Option<Vec<u8>>,
    trace: Option<TraceKey>,
}

impl Asked {
    /// Refuses a request that was meant for another call.
    fn for_action(self, fits: impl FnOnce(&Action) -> bool) -> Result<Self, Failure> {
        let action = &self.request.message.action;
        if fits(action) { Ok(self) } else { Err(Error::WrongAction { action: action.name() }.into()) }
    }
}

impl FromRequest<Arc<Api>> for Asked {
    type Rejection = Failure;

    async fn from_request(request: HttpRequest, api: &Arc<Api>) -> Result<Self, Failure> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Failure::new("unsupported-media-type", "send the body as Content-Type: application/json"));
        }
        let body = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, api)).await;
        let body = body.map_err(|_| Failure::new("request-timeout", "the body did not arrive in time; send it again"))?;
        let body = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Failure::new("too-large", format!("a body may have at most {} bytes", limits::HTTP_BODY_BYTES))
            }
            _ => Failure::new("malformed", "the body did not arrive whole; send it again"),
        })?;
        let asked = Self::parse(&body)?;
        let device = asked.request.message.device;
        asked.request.verify(&device).map_err(Error::from)?;
        api.limits.device(device)?;
        Ok(asked)
    }
}

impl Asked {
    fn parse(body: &[u8]) -> Result<Self, Failure> {
        let body: RequestBody = serde_json::from_slice(body).map_err(|e| {
            // Where and which rule; not the text itself, which may be a person's.
            let rule = match e.classify() {
                serde_json::error::Category::Data => {
                    "expected an object with the string `request` and, where they are sent, the strings `share` and `trace`"
                }
                serde_json::error::Category::Eof => "it ends too early",
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
            };
            Failure::new("malformed", format!("the body cannot be read (line {}, column {}): {rule}", e.line(), e.column()))
        })?;
        let not_base64 = |field: &str| Failure::new("malformed", format!("`{field}` is not base64url without padding"));
        let request = from_base64("request", &body.request).map_err(|_| not_base64("request"))?;
        let request = Signed::<Request>::from_bytes(&request).map_err(Error::from)?;
        let share = body.share.map(|text| from_base64("share", &text).map_err(|_| not_base64("share"))).transpose()?;
        if let Some(share) = share.as_ref().filter(|s| s.len() > limits::SEALED_SHARE_BYTES + seal::OVERHEAD) {
            let limit = limits::SEALED_SHARE_BYTES + seal::OVERHEAD;
            return Err(Error::from(types::Error::TooLarge { what: "sealed share", got: share.len(), limit }).into());
        }
        let trace = body.trace.map(|text| trace_key(&text)).transpose()?;
        Ok(Self { request, share, trace })
    }
}

fn trace_key(text: &str) -> Result<TraceKey, Failure> {
    let bytes = from_base64("trace", text).ok().map(Zeroizing::new);
    let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
    let wrong = || Failure::new("malformed", "`trace` is not 32 bytes in base64url without padding");
    bytes.map(TraceKey::from_random).ok_or_else(wrong)
}

/// Enrol: become a member, or add a modality
///
/// Matches the template against everybody on secret shares. Send the same request to all three nodes, each with its own share.
/// The answer comes when all three have decided.
#[utoipa::path(post, path = "/v1/enrolments", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Decided by all three nodes", body = DecisionBody)))]
async fn enrol(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Enrol(_)))?).await
}

/// Verify: is this the same person as before? (1:1)
///
/// Compares the template with the asking device's own record, on secret shares. Send it to all three nodes.
#[utoipa::path(post, path = "/v1/verifications", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Decided by all three nodes", body = DecisionBody)))]
async fn verify(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Verify(_)))?).await
}

/// Renew: replace my record by one of a newer sample
///
/// It must match the asking device's own record, and nobody else's. Send it to all three nodes.
#[utoipa::path(post, path = "/v1/renewals", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Decided by all three nodes", body = DecisionBody)))]
async fn renew(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Renew(_)))?).await
}

/// Withdraw: erase my records on all three nodes
#[utoipa::path(post, path = "/v1/withdrawals", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Erased on all three nodes", body = DecisionBody)))]
async fn withdraw(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Withdraw { .. }))?).await
}

/// Outcome: what became of an earlier operation of mine?
#[utoipa::path(post, path = "/v1/outcomes", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "The decision", body = DecisionBody)))]
async fn outcome(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    let asked = asked.for_action(|a| matches!(a, Action::Outcome { .. }))?.without_share()?;
    let certificate = api.app.outcome(asked.request).await?;
    Ok(Json(decision_body(&certificate)))
}

/// Status: what does this node know of me?
#[utoipa::path(post, path = "/v1/status", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "This node's signed statement", body = StatementBody)))]
async fn status(State(api): Shared, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    state(&api, asked.for_action(|a| matches!(a, Action::Status))?).await
}

/// Inspect: what does this node store about me?
///
/// The answer holds a sample of the stored share and is sealed to the key in the request.
#[utoipa::path(post, path = "/v1/inspections", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "This node's signed statement, sealed", body = StatementBody)))]
async fn inspect(State(api): Shared, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    state(&api, asked.for_action(|a| matches!(a, Action::Inspect { .. }))?).await
}

/// Grant: let a relying party use a standing grant, within its terms
#[utoipa::path(post, path = "/v1/grants", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Granted on all three nodes", body = DecisionBody)))]
async fn grant(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Grant(_)))?).await
}

/// Narrow: make a standing grant smaller
#[utoipa::path(post, path = "/v1/narrowings", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Narrowed on all three nodes", body = DecisionBody)))]
async fn narrow(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Narrow(_)))?).await
}

/// Revoke: end a standing grant
#[utoipa::path(post, path = "/v1/revocations", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Ended on all three nodes", body = DecisionBody)))]
async fn revoke(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Revoke { .. }))?).await
}

/// Ask: a relying party asks a member
///
/// The ask waits for an answer until its own time limit. Its outcome tells the answer.
#[utoipa::path(post, path = "/v1/asks", tag = "parties", request_body = RequestBody,
    responses((status = 200, description = "The ask waits, or is declined", body = DecisionBody)))]
async fn ask(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Ask(_)))?).await
}

/// Use: a relying party uses a standing grant
///
/// With a share where the grant is for a comparison.
#[utoipa::path(post, path = "/v1/uses", tag = "parties", request_body = RequestBody,
    responses((status = 200, description = "The answer, and uses that remain", body = DecisionBody)))]
async fn use_grant(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Use(_)))?).await
}

/// Answer: say yes or no to a relying party
///
/// With a share where a yes takes a fresh sample.
#[utoipa::path(post, path = "/v1/answers", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "The answer on all three nodes", body = DecisionBody)))]
async fn answer(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Answer(_)))?).await
}

/// Shield down: the grants named come back, all other suspended ones end
#[utoipa::path(post, path = "/v1/shield-down", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Down on all three nodes", body = DecisionBody)))]
async fn lower_shield(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::ShieldDown { .. }))?).await
}

/// See: one ask whose id came by another way, such as a QR code
#[utoipa::path(post, path = "/v1/asked", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "This node's signed statement", body = StatementBody)))]
async fn asked(State(api): Shared, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    state(&api, asked.for_action(|a| matches!(a, Action::See { .. }))?).await
}

/// Events: decisions that concern me, in order, with the requests that led to them
#[utoipa::path(post, path = "/v1/events", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "This node's signed statement", body = StatementBody)))]
async fn events(State(api): Shared, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    state(&api, asked.for_action(|a| matches!(a, Action::Events { .. }))?).await
}

/// Adopt: the next charter, signed by all three operators
///
/// Anybody may bring it.
#[utoipa::path(post, path = "/v1/charters", tag = "commons", request_body = RequestBody,
    responses((status = 200, description = "In force on all three nodes from the next batch on", body = DecisionBody)))]
async fn adopt(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Charter(_)))?).await
}

/// Guardians: these are mine from now on
#[utoipa::path(post, path = "/v1/guardians", tag = "recovery", request_body = RequestBody,
    responses((status = 200, description = "Kept on all three nodes", body = DecisionBody)))]
async fn set_guardians(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::SetGuardians(_)))?).await
}

/// Recover: guardians have approved this device
///
/// With a share where a fresh sample is compared with the member's record. Send it to all three nodes. It waits for its delay.
#[utoipa::path(post, path = "/v1/recoveries", tag = "recovery", request_body = RequestBody,
    responses((status = 200, description = "It waits, or did not begin", body = DecisionBody)))]
async fn start_recovery(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::StartRecovery(_)))?).await
}

/// Veto: as the member's present device, say no to a recovery
#[utoipa::path(post, path = "/v1/recovery-vetoes", tag = "recovery", request_body = RequestBody,
    responses((status = 200, description = "Over on all three nodes", body = DecisionBody)))]
async fn veto_recovery(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::VetoRecovery { .. }))?).await
}

/// Finish: the delay is over, this device becomes the member's
#[utoipa::path(post, path = "/v1/recovery-ends", tag = "recovery", request_body = RequestBody,
    responses((status = 200, description = "The old device is nobody's on all three nodes", body = DecisionBody)))]
async fn finish_recovery(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::FinishRecovery { .. }))?).await
}

/// Recovery: where do recoveries of this name stand?
#[utoipa::path(post, path = "/v1/recovery", tag = "recovery", request_body = RequestBody,
    responses((status = 200, description = "This node's signed statement", body = StatementBody)))]
async fn recovery(State(api): Shared, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    state(&api, asked.for_action(|a| matches!(a, Action::Recovery { .. }))?).await
}

/// Release: give the recovered member's device what this node keeps for it
///
/// The answer is sealed to the key with which the recovery began.
#[utoipa::path(post, path = "/v1/releases", tag = "recovery", request_body = RequestBody,
    responses((status = 200, description = "This node's signed statement, sealed", body = StatementBody)))]
async fn release(State(api): Shared, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    state(&api, asked.for_action(|a| matches!(a, Action::Release { .. }))?).await
}

/// Bind: my membership to the one secret behind all my personas, for good
///
/// With this node's share of the secret, sealed to it.
#[utoipa::path(post, path = "/v1/bindings", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "Bound on all three nodes", body = DecisionBody)))]
async fn bind(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Bind(_)))?).await
}

/// Issue: sign my credential of this epoch, over the secret that I am bound to
///
/// The statement holds this node's blind signature. Two nodes' credentials of one epoch make a presentation.
#[utoipa::path(post, path = "/v1/credentials", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "This node's signed statement, with its signature", body = StatementBody)))]
async fn issue(State(api): Shared, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    state(&api, asked.for_action(|a| matches!(a, Action::Issue { .. }))?).await
}

/// Refresh: an operator has all stored shares renewed
///
/// Signed with a node's signing key. Send it to one node, which passes it on. The answer comes when all three have agreed on the
/// randomness; the work goes on beside service, and `epoch` of `GET /v1/commons` counts up when it is done.
#[utoipa::path(post, path = "/v1/refresh", tag = "operators", request_body = RequestBody,
    responses((status = 200, description = "Begun on all three nodes", body = DecisionBody)))]
async fn refresh(State(api): Shared, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    decide(&api, asked.for_action(|a| matches!(a, Action::Refresh { .. }))?).await
}

/// Shield up: suspend every grant, refuse every pending request, at once
///
/// Holds on this node when the answer comes, and on every node that this one can reach. Send it to all three. The decision
/// follows: ask for its outcome.
#[utoipa::path(post, path = "/v1/shield", tag = "members", request_body = RequestBody,
    responses((status = 200, description = "This node's signed statement, with the shield up", body = StatementBody)))]
async fn raise_shield(State(api): Shared, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    let asked = asked.for_action(|a| matches!(a, Action::ShieldUp))?.without_share()?;
    let statement = api.app.raise_shield(asked.request).await?;
    Ok(Json(StatementBody { statement: to_base64(&statement) }))
}

/// The charter in force
#[utoipa::path(get, path = "/v1/charter", tag = "commons",
    responses((status = 200, description = "The rules, and the operators' signatures", body = CharterBody)))]
async fn charter(State(api): Shared) -> Json<CharterBody> {
    Json(api.app.charter())
}

impl Asked {
    fn without_share(self) -> Result<Self, Failure> {
        if self.share.is_some() { Err(Error::ShareUnexpected.into()) } else { Ok(self) }
    }
}

async fn decide(api: &Api, asked: Asked) -> Result<Json<DecisionBody>, Failure> {
    let certificate = api.app.submit(asked.request, asked.trace, asked.share).await?;
    Ok(Json(decision_body(&certificate)))
}

async fn state(api: &Api, asked: Asked) -> Result<Json<StatementBody>, Failure> {
    let asked = asked.without_share()?;
    let statement = api.app.statement(asked.request).await?;
    Ok(Json(StatementBody { statement: to_base64(&statement) }))
}

fn decision_body(certificate: &Certificate) -> DecisionBody {
    let decision = &certificate.decision;
    DecisionBody {
        certificate: to_base64(&certificate.to_bytes()),
        outcome: decision.outcome.name().to_owned(),
        operation: decision.operation.to_hex(),
        batch: decision.batch,
    }
}

/// Public facts about this node and its commons
#[utoipa::path(get, path = "/v1/commons", tag = "commons",
    responses((status = 200, description = "Facts", body = CommonsBody)))]
async fn commons(State(api): Shared) -> Json<CommonsBody> {
    Json(api.app.commons())
}

/// This description
#[utoipa::path(get, path = "/v1/openapi.json", tag = "commons",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn openapi_json() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::text()).into_response()
}

/// Is the process up?
#[utoipa::path(get, path = "/healthz", tag = "operators",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Can this node decide?
#[utoipa::path(get, path = "/readyz", tag = "operators", responses(
    (status = 200, description = "It can", body = String, content_type = "text/plain"),
    (status = 503, description = "Not now, and why", body = String, content_type = "text/plain")))]
async fn readyz(State(api): Shared) -> Response {
    let mut reasons: Vec<String> = api.app.readiness().obstacle.map(|obstacle| obstacle.reason()).into_iter().collect();
    for (node, problem) in types::NodeId::ALL.iter().zip(api.peers.problems()) {
        reasons.extend(problem.map(|problem| format!("node {node}: {problem}")));
    }
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", reasons.join("\n"))).into_response()
}

/// Figures for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "operators",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")))]
async fn metrics(State(api): Shared) -> Response {
    let page = api.metrics.render(&api.app.commons());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}
