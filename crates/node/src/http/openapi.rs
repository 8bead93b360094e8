//! The OpenAPI 3.1 description, generated from the calls and checked in as `docs/openapi.json`.

use std::sync::LazyLock;

use types::api::Problem;
use utoipa::OpenApi;
use utoipa::openapi::{Content, Ref, Response};

/// Everything but the calls.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Trust Commons node",
        description = "One of the three nodes of a commons. Members' devices send the same signed request to all three nodes, \
            each with the share sealed to that node, and check the certificate under three signatures that comes back. \
            Every error is a problem document (RFC 9457).",
        version = "1",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    components(schemas(Problem)),
    tags(
        (name = "members", description = "Signed by a member's device"),
        (name = "parties", description = "Signed by a relying party's key, as the charter names it"),
        (name = "recovery", description = "Guardians, and a new device that becomes a member's"),
        (name = "commons", description = "Public facts, and the rules"),
        (name = "log", description = "The transparency log: C2SP formats, for members, monitors and witnesses"),
        (name = "operators", description = "For monitoring; no personal data")
    )
)]
struct Frame;

/// What every call under `/v1` may answer instead.
const PROBLEMS: [(&str, &str); 11] = [
    ("400", "Not well formed, expired, for another commons, or with a share that does not fit"),
    ("401", "The signature does not hold"),
    ("403", "The charter, a grant or an ask does not allow it; `rule` names the rule"),
    ("404", "No record of this device, or no such outcome"),
    ("409", "Received before, or enrolled already"),
    ("413", "Too large"),
    ("415", "Not application/json"),
    ("429", "Too many requests; `Retry-After` says when to try again"),
    ("500", "This node failed"),
    ("503", "A node is not available (which, is in `unavailable_nodes`) or too busy; nothing was changed"),
    ("504", "Not decided in time; ask for the outcome"),
];

pub(super) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// The description of this version's API.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = super::calls::router().split_for_parts().1;
    let components = document.components.get_or_insert_default();
    for (status, description) in PROBLEMS {
        let content = Content::builder().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = Response::builder().description(description).content("application/problem+json", content).build();
        components.responses.insert(format!("Problem{status}"), response.into());
    }
    for (path, item) in &mut document.paths.paths {
        let operations = [item.get.as_mut(), item.post.as_mut()].into_iter().flatten();
        for operation in operations.filter(|_| path.starts_with("/v1/")) {
            for (status, _) in PROBLEMS {
                let reference = Ref::from_response_name(format!("Problem{status}"));
                operation.responses.responses.insert(status.to_owned(), reference.into());
            }
        }
    }
    document
}

/// The description as it is served and checked in.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| document().to_pretty_json().map(|json| json + "\n").unwrap_or_default());
    &TEXT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set `COMMONS_WRITE_OPENAPI=1` to rewrite the file after a deliberate change.
    #[test]
    fn the_checked_in_description_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        if std::env::var_os("COMMONS_WRITE_OPENAPI").is_some() {
            std::fs::write(path, text()).unwrap();
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            checked_in == text(),
            "docs/openapi.json is out of date; run `COMMONS_WRITE_OPENAPI=1 cargo test -p node description` and look at the difference"
        );
    }

    #[test]
    fn every_call_is_described_and_counted_by_name() {
        let paths: Vec<String> = document().paths.paths.keys().cloned().collect();
        assert_eq!(paths.len(), 38, "{paths:?}");
        for path in paths {
            assert_ne!(super::super::calls::known(&path), "other", "{path}");
        }
        assert!(text().starts_with("{\n  \"openapi\": \"3.1"));
    }
}
