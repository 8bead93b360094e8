//! The one table from what went wrong to what the client is told (RFC 9457).
//!
//! A code is stable and meant for programs; the detail is for people and says what to do next. Faults of the node itself are
//! logged with their whole chain and told without it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use types::api::Problem;

use crate::{Error, Kind};

/// Code, status, title. Every code that leaves this node is here.
const TABLE: &[(&str, u16, &str)] = &[
    // What was sent.
    ("malformed", 400, "The request is not well formed"),
    ("version", 400, "The request has another version"),
    ("wrong-commons", 400, "The request is for another commons"),
    ("not-yet-valid", 400, "The request is not valid yet"),
    ("expired", 400, "The request has expired"),
    ("lives-too-long", 400, "The request may live too long"),
    ("wrong-action", 400, "The call serves another action"),
    ("unknown-profile", 400, "This commons does not match such templates"),
    ("profile-mismatch", 400, "The modality profile differs"),
    ("share-missing", 400, "A share is missing"),
    ("share-unexpected", 400, "No share is wanted here"),
    ("trace-missing", 400, "The trace key is missing"),
    ("bad-trace", 400, "The trace key does not fit the request"),
    ("bad-share", 400, "The share does not fit the request"),
    ("bad-binding", 400, "The secret is not proven, or its share does not fit"),
    ("bad-seal", 400, "The share cannot be opened"),
    ("bad-signature", 401, "The signature does not hold"),
    ("not-permitted", 403, "The rules do not allow it"),
    ("unknown-member", 404, "No record of this device"),
    ("not-found", 404, "No such thing"),
    ("no-such-call", 404, "There is no such call"),
    ("method-not-allowed", 405, "The call has another method"),
    ("request-timeout", 408, "The request did not arrive in time"),
    ("replayed", 409, "The operation was received before"),
    ("already-enrolled", 409, "There is a record already"),
    ("too-large", 413, "The request is too large"),
    ("unsupported-media-type", 415, "The body has another media type"),
    ("too-many-attempts", 429, "Too many attempts"),
    ("rate-limited", 429, "Too many requests"),
    // The state of the commons.
    ("busy", 503, "Too much is waiting"),
    ("unavailable", 503, "A node is not available"),
    ("recovering", 503, "The nodes are comparing their state"),
    ("not-everywhere", 503, "A node lacks its part of the operation"),
    ("aborted", 503, "Matching was aborted"),
    ("log-stopped", 503, "This node cannot keep its log"),
    ("log-conflict", 503, "A node's log is not what was decided"),
    ("storage-full", 503, "This node's disk is full"),
    ("stopped", 503, "This node has stopped"),
    ("in-doubt", 504, "Not decided yet"),
    ("internal", 500, "This node failed"),
];

/// Where the codes are explained; names, not addresses to fetch.
const KIND: &str = "https://trust-commons.example/problems/";

/// An answer that is a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    code: &'static str,
    detail: String,
    rule: Option<&'static str>,
    unavailable_nodes: Vec<u8>,
    retry_after_s: Option<u64>,
}

/// The code of a problem, on its response, for the figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code(pub(crate) &'static str);

impl Failure {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), rule: None, unavailable_nodes: Vec::new(), retry_after_s: None }
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    fn problem(&self) -> (StatusCode, Problem) {
        let row = TABLE.iter().find(|(code, ..)| *code == self.code);
        let (code, status, title) = row.copied().unwrap_or(("internal", 500, "This node failed"));
        let problem = Problem {
            kind: format!("{KIND}{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: self.detail.clone(),
            rule: self.rule.map(str::to_owned),
            unavailable_nodes: self.unavailable_nodes.clone(),
        };
        (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), problem)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let error = if error.is_storage_full() { Error::StorageFull } else { error };
        if error.kind() == Kind::Internal {
            tracing::error!(code = error.code(), "a request failed: {}", error.chain());
            return Self::new("internal", "this node failed; its operator finds the reason in the log; try another node");
        }
        let retry_after_s = match &error {
            Error::TooManyAttempts { retry_after_s } => Some((*retry_after_s).max(1)),
            Error::Busy { .. } | Error::Recovering | Error::InDoubt => Some(2),
            Error::Unavailable { .. } | Error::NotEverywhere { .. } | Error::Aborted { .. } => Some(5),
            Error::Stopped | Error::StorageFull => Some(30),
            _ => None,
        };
        let unavailable_nodes = error.unavailable_nodes().into_iter().map(types::NodeId::number).collect();
        let (code, rule, detail) = (error.code(), error.rule(), error.to_string());
        Self { code, detail, rule, unavailable_nodes, retry_after_s }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, problem) = self.problem();
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Code(self.code));
        response
    }
}

#[cfg(test)]
mod tests {
    use types::NodeId;

    use super::*;

    #[test]
    fn codes_are_listed_once() {
        for (i, (code, status, title)) in TABLE.iter().enumerate() {
            assert!(TABLE.iter().skip(i + 1).all(|(other, ..)| other != code), "{code}");
            assert!((400..600).contains(status) && !title.is_empty());
        }
    }

    #[test]
    fn every_answerable_error_is_in_the_table_with_the_status_of_its_kind() {
        let profile = types::ProfileId::new("p").unwrap();
        let errors = [
            Error::Value(types::Error::TooLarge { what: "x", got: 2, limit: 1 }),
            Error::Value(types::Error::Malformed { what: "x" }),
            Error::Value(types::Error::Version { what: "x", got: 2, known: 1 }),
            Error::Value(types::Error::BadSignature { what: "x" }),
            Error::Value(types::Error::BadSeal),
            Error::WrongCommons,
            Error::NotYetValid,
            Error::Expired,
            Error::LivesTooLong { limit_s: 1 },
            Error::Replayed,
            Error::WrongAction { action: "x" },
            Error::UnknownProfile { profile: profile.clone(), known: String::new() },
            Error::ProfileMismatch { profile: profile.clone() },
            Error::NotPermitted(charter::Refusal { rule: charter::Rule::GrantSpent, detail: String::new() }),
            Error::ShareMissing,
            Error::ShareUnexpected,
            Error::TraceMissing,
            Error::BadTrace,
            Error::BadShare { reason: String::new() },
            Error::AlreadyEnrolled { profile },
            Error::UnknownMember,
            Error::NotFound,
            Error::TooManyAttempts { retry_after_s: 1 },
            Error::Busy { limit: 1 },
            Error::Unavailable { nodes: vec![] },
            Error::Recovering,
            Error::NotEverywhere { node: NodeId::ALL[0] },
            Error::Aborted { reason: String::new() },
            Error::InDoubt,
            Error::LogStopped { what: String::new() },
            Error::LogConflict { node: NodeId::ALL[0] },
            Error::Stopped,
        ];
        for error in errors {
            let expected = match error.kind() {
                Kind::Invalid => 400,
                Kind::Unauthenticated => 401,
                Kind::Forbidden => 403,
                Kind::NotFound => 404,
                Kind::Conflict => 409,
                Kind::TooLarge => 413,
                Kind::TooMany => 429,
                Kind::Unavailable => 503,
                Kind::Timeout => 504,
                Kind::Internal => 500,
            };
            let code = error.code();
            let (status, problem) = Failure::from(error).problem();
            assert_eq!((status.as_u16(), problem.code.as_str()), (expected, code));
            assert!(problem.kind.ends_with(code));
        }
    }

    #[test]
    fn an_unavailable_node_is_named_and_inner_faults_are_not() {
        let failure = Failure::from(Error::Unavailable { nodes: vec![NodeId::ALL[1]] });
        assert_eq!(failure.problem().1.unavailable_nodes, [2]);
        assert_eq!(failure.into_response().headers()[header::RETRY_AFTER], "5");
        let inner = Error::Damaged { path: "/secret/place".into(), what: "x".to_owned() };
        let (status, problem) = Failure::from(inner).problem();
        assert_eq!((status.as_u16(), problem.code.as_str()), (500, "internal"));
        assert!(!problem.detail.contains("secret"));
    }
}
