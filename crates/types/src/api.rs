//! JSON bodies of the HTTP API under `/v1`. Signed parts travel as base64url of their canonical bytes, so that a signature is
//! never over JSON. Everything else repeats, for people and simple programs, what the signed part says; a client that
//! matters checks the signed part.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /v1/enrolments` | [`RequestBody`] with share | [`DecisionBody`] |
//! | `POST /v1/verifications` | [`RequestBody`] with share | [`DecisionBody`] |
//! | `POST /v1/renewals` | [`RequestBody`] with share | [`DecisionBody`] |
//! | `POST /v1/withdrawals` | [`RequestBody`] | [`DecisionBody`] |
//! | `POST /v1/outcomes` | [`RequestBody`] | [`DecisionBody`], or problem `not-found` |
//! | `POST /v1/status` | [`RequestBody`] | [`StatementBody`] |
//! | `POST /v1/inspections` | [`RequestBody`] | [`StatementBody`], sealed |
//! | `POST /v1/grants`, `/v1/narrowings`, `/v1/revocations` | [`RequestBody`] | [`DecisionBody`] |
//! | `POST /v1/asks`, `/v1/uses`, `/v1/answers` | [`RequestBody`], with share for a comparison | [`DecisionBody`] |
//! | `POST /v1/shield` (up) | [`RequestBody`] | [`StatementBody`] at once; the decision follows |
//! | `POST /v1/shield-down`, `/v1/charters` | [`RequestBody`] | [`DecisionBody`] |
//! | `POST /v1/asked` (`See`), `/v1/events` | [`RequestBody`] | [`StatementBody`] |
//! | `POST /v1/guardians`, `/v1/recoveries` (with share for a comparison), `/v1/recovery-vetoes`, `/v1/recovery-ends` | [`RequestBody`] | [`DecisionBody`] |
//! | `POST /v1/recovery`, `/v1/releases` (sealed) | [`RequestBody`] | [`StatementBody`] |
//! | `POST /v1/bindings` | [`RequestBody`] with this node's share of the secret | [`DecisionBody`] |
//! | `POST /v1/credentials` (`Issue`) | [`RequestBody`] | [`StatementBody`] |
//! | `POST /v1/refresh` (operators) | [`RequestBody`] | [`DecisionBody`] |
//! | `GET /v1/charter` | - | [`CharterBody`] |
//! | `GET /v1/log` | - | [`LogBody`] |
//! | `GET /v1/log/events` | - | server-sent events, each [`LogEvent`] |
//! | `GET /v1/commons` | - | [`CommonsBody`] |
//! | `GET /v1/page` | - | [`PageBody`] |
//! | `GET /v1/openapi.json`, `/healthz`, `/readyz`, `/metrics` | - | |
//!
//! Every error is an `application/problem+json` ([`Problem`], RFC 9457).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Bytes as base64url without padding.
pub fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads [`to_base64`]'s text.
///
/// # Errors
/// [`Error::Malformed`].
pub fn from_base64(what: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Malformed { what })
}

/// A signed request and, where the action needs one, the share sealed to this node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestBody {
    /// base64url of the canonical bytes of `Signed<Request>`.
    pub request: String,
    /// base64url of what is sealed to this node with HPKE (context: the request's digest): a `SamplePackage` (purpose `seal::SHARE`),
    /// or for `Bind` a `credential::escrow::Share` (purpose `seal::ESCROW`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// base64url of the 32 bytes of the [`crate::TraceKey`] whose commitment the request names. Needed where something is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What the three nodes decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DecisionBody {
    /// base64url of the canonical bytes of the `Certificate`.
    pub certificate: String,
    /// Such as `enrolled`, `duplicate`, `verified`, `withdrawn`, `granted`, `answered`: [`crate::message::Outcome::name`].
    pub outcome: String,
    /// Operation id in hexadecimal.
    pub operation: String,
    /// Batch number.
    pub batch: u64,
}

/// A node's statement about the asking member.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementBody {
    /// base64url of the canonical bytes of `Signed<Statement>`; for an inspection, of those bytes sealed to the reply key
    /// (purpose `seal::INSPECTION`, context: the request's digest).
    pub statement: String,
}

/// The charter in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CharterBody {
    /// Its number; 0 is the charter that follows from the roster until the operators adopt one.
    pub version: u64,
    /// Its digest in hexadecimal.
    pub digest: String,
    /// The document: TOML.
    pub document: String,
    /// base64url of the canonical bytes of `consent::SignedCharter`; absent for version 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
}

/// Public facts about this node and its commons.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommonsBody {
    /// Name of the commons.
    pub commons: String,
    /// Roster digest in hexadecimal.
    pub roster: String,
    /// This node: 1, 2 or 3.
    pub node: u8,
    /// Software version.
    pub version: String,
    /// Profile ids.
    pub profiles: Vec<String>,
    /// Batches decided.
    pub batch: u64,
    /// Active records per profile id.
    pub records: std::collections::BTreeMap<String, u64>,
    /// How often all stored shares have been renewed.
    #[serde(default)]
    pub epoch: u64,
    /// Whether they are being renewed now.
    #[serde(default)]
    pub refreshing: bool,
    /// The other two, and whether this node is in touch with them.
    pub peers: Vec<PeerBody>,
}

/// What a page in a browser needs to begin. Not signed: a browser trusts whoever served the page in any case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageBody {
    /// The roster as TOML.
    pub roster: String,
    /// Where a browser reaches nodes 1, 2 and 3.
    pub urls: Vec<String>,
    /// Face models that this node serves under `/models`; who loads one checks its SHA-256 against the profile.
    pub models: Vec<String>,
    /// Photographs for the guided tour, under `/samples`.
    pub samples: Vec<String>,
}

/// Another node, as seen from here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeerBody {
    /// 1, 2 or 3.
    pub node: u8,
    /// In touch and in agreement.
    pub available: bool,
}

/// Where a node's transparency log stands. The log itself is under `/log` (C2SP `tlog-tiles`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogBody {
    /// Name of the log: first line of its checkpoints.
    pub origin: String,
    /// Entries in this node's files.
    pub size: u64,
    /// Root over them, in hexadecimal.
    pub root: String,
    /// Size of the checkpoint that `GET /log/checkpoint` serves.
    pub published_size: u64,
    /// Largest size that both other nodes have cosigned since this node started.
    pub cosigned_size: u64,
    /// The other two nodes, then the witnesses of the operator's choice.
    pub witnesses: Vec<LogWitnessBody>,
}

/// A node's log has moved on. Unsigned, as all figures: who hears it fetches the checkpoint and checks that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogEvent {
    /// Size of the checkpoint that `GET /log/checkpoint` serves.
    pub published_size: u64,
    /// Largest size that both other nodes have cosigned since this node started.
    pub cosigned_size: u64,
}

/// A witness of a node's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogWitnessBody {
    /// Key name.
    pub name: String,
    /// Size that it cosigned last.
    pub cosigned_size: u64,
    /// When, by its clock; 0 when not since this node started.
    pub cosigned_at: u64,
    /// Why the last request was not cosigned; absent when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// RFC 9457 problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `https://trust-commons.example/problems/<code>`: a name, not an address to fetch.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in a few words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Machine-readable code, such as `unavailable`.
    pub code: String,
    /// What happened and what to do next.
    pub detail: String,
    /// The rule that forbids it, for `not-permitted`: stable, such as `grant-spent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The nodes that do not answer, for `unavailable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable_nodes: Vec<u8>,
}
