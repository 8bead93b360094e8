//! How bytes reach a node: one call, one answer, or a reason why there is none.

use std::borrow::Cow;

use tlog::tile::Resource;
use types::NodeId;

use crate::platform::Pending;

/// Bytes of one HTTP answer that a transport reads at most: a signed answer in base64, sealed, inside JSON.
pub const ANSWER_BODY_BYTES: usize = types::limits::ANSWER_BYTES / 3 * 4 + 4096;

/// The calls of the HTTP API that a client makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `POST /v1/enrolments`
    Enrol,
    /// `POST /v1/verifications`
    Verify,
    /// `POST /v1/withdrawals`
    Withdraw,
    /// `POST /v1/outcomes`
    Outcome,
    /// `POST /v1/status`
    Status,
    /// `POST /v1/inspections`
    Inspect,
    /// `POST /v1/grants`
    Grant,
    /// `POST /v1/renewals`
    Renew,
    /// `POST /v1/narrowings`
    Narrow,
    /// `POST /v1/revocations`
    Revoke,
    /// `POST /v1/asks`
    Ask,
    /// `POST /v1/uses`
    Use,
    /// `POST /v1/answers`
    Answer,
    /// `POST /v1/asked`
    See,
    /// `POST /v1/shield`
    ShieldUp,
    /// `POST /v1/shield-down`
    ShieldDown,
    /// `POST /v1/events`
    Events,
    /// `POST /v1/charters`
    AdoptCharter,
    /// `POST /v1/guardians`
    SetGuardians,
    /// `POST /v1/recoveries`
    StartRecovery,
    /// `POST /v1/recovery-vetoes`
    VetoRecovery,
    /// `POST /v1/recovery-ends`
    FinishRecovery,
    /// `POST /v1/recovery`
    Recovery,
    /// `POST /v1/releases`
    Release,
    /// `POST /v1/bindings`
    Bind,
    /// `POST /v1/credentials`
    Issue,
    /// `GET /v1/charter`
    Charter,
    /// `GET /v1/commons`
    Commons,
    /// `GET /log/...`: the node's transparency log.
    Log(Resource),
}

impl Call {
    /// Path below the node's URL.
    pub fn path(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Enrol => "/v1/enrolments",
            Self::Verify => "/v1/verifications",
            Self::Withdraw => "/v1/withdrawals",
            Self::Outcome => "/v1/outcomes",
            Self::Status => "/v1/status",
            Self::Inspect => "/v1/inspections",
            Self::Grant => "/v1/grants",
            Self::Renew => "/v1/renewals",
            Self::Narrow => "/v1/narrowings",
            Self::Revoke => "/v1/revocations",
            Self::Ask => "/v1/asks",
            Self::Use => "/v1/uses",
            Self::Answer => "/v1/answers",
            Self::See => "/v1/asked",
            Self::ShieldUp => "/v1/shield",
            Self::ShieldDown => "/v1/shield-down",
            Self::Events => "/v1/events",
            Self::AdoptCharter => "/v1/charters",
            Self::SetGuardians => "/v1/guardians",
            Self::StartRecovery => "/v1/recoveries",
            Self::VetoRecovery => "/v1/recovery-vetoes",
            Self::FinishRecovery => "/v1/recovery-ends",
            Self::Recovery => "/v1/recovery",
            Self::Release => "/v1/releases",
            Self::Bind => "/v1/bindings",
            Self::Issue => "/v1/credentials",
            Self::Charter => "/v1/charter",
            Self::Commons => "/v1/commons",
            Self::Log(resource) => return Cow::Owned(format!("/log/{}", resource_path(resource))),
        })
    }
}

/// Below the log's prefix, as C2SP `tlog-tiles` says.
fn resource_path(resource: Resource) -> String {
    match resource {
        Resource::Checkpoint => "checkpoint".to_owned(),
        Resource::Tile(tile) => tile.path(),
        Resource::Entries(bundle) => bundle.path(),
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// At most [`ANSWER_BODY_BYTES`] bytes.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// No connection: the node cannot have seen the call.
    Unreached,
    /// The call may have reached the node; its answer did not reach us.
    Lost,
    /// Somebody answered with another TLS key than the roster pins. Nothing was sent.
    WrongKey,
    /// The answer is larger than [`ANSWER_BODY_BYTES`].
    TooLarge,
}

/// Carries calls to nodes. Implementations reuse connections, time out, and follow no redirects.
pub trait Transport: Send + Sync {
    /// Posts `body` (JSON), or gets where there is none.
    fn call(&self, node: NodeId, call: Call, body: Option<Vec<u8>>) -> Pending<'_, Result<Answer, Silence>>;
}
