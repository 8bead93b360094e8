//! The authorization request: what a web site sends a browser with. RFC 6749 section 4.1, RFC 7636 (PKCE), RFC 9700, OpenID Connect
//! Core section 3.1.2.
//!
//! Nothing here is sent to a redirect address before client and address are known to belong together ([`Refusal::Page`]); after
//! that every fault goes back to the client ([`Refusal::Client`]). Either is counted under a name of its own.

use crate::form::{Form, FormError};

/// Characters of `state` and `nonce`.
const OPAQUE_CHARS: usize = 1024;
/// Characters of a code challenge: a SHA-256 in base64url.
const CHALLENGE_CHARS: usize = 43;

/// Who may ask, and where answers go: what this module needs to know of a client.
pub trait Clients {
    /// Is this redirect address registered for this client? Compared character by character.
    fn redirects(&self, client: &str, redirect_uri: &str) -> Option<bool>;
}

/// A request that can be put to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizeRequest {
    /// Whose.
    pub client: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// The client's own, given back as it is.
    pub state: Option<String>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// What was granted of the scopes asked for.
    pub scope: String,
    /// S256.
    pub code_challenge: String,
}

/// Why it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Shown to the person, sent nowhere.
    Page {
        /// In whose name it came, if that is a registered client.
        client: Option<String>,
        /// For counting.
        outcome: &'static str,
        /// For the person.
        why: &'static str,
    },
    /// Sent to the client: an error code of RFC 6749 or OpenID Connect, and what to do.
    Client {
        /// Whose.
        client: String,
        /// The registered address.
        redirect_uri: String,
        /// The client's own.
        state: Option<String>,
        /// The registered error code.
        error: &'static str,
        /// For the client's developer.
        description: &'static str,
    },
}

impl AuthorizeRequest {
    /// Reads a query or form.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(text: &str, clients: &impl Clients) -> Result<Self, Refusal> {
        let page = |outcome, why| Refusal::Page { client: None, outcome, why };
        let form = Form::parse(text).map_err(|error| {
            let why = match error {
                FormError::TooLong => "The web site sent too long a request.",
                FormError::Encoding => "The web site sent a request that cannot be read.",
                FormError::Twice => "The web site sent a request in which something comes twice.",
            };
            page("unreadable", why)
        })?;
        let client = form.value("client_id");
        let client = client.ok_or(page("no-client", "The web site did not say who it is (client_id)."))?;
        let nowhere = "The web site did not say where to send you back to (redirect_uri).";
        let redirect_uri = form.value("redirect_uri").ok_or(page("no-redirect", nowhere))?;
        match clients.redirects(client, redirect_uri) {
            None => return Err(page("no-client", "No web site of this name is registered here (client_id).")),
            Some(false) => {
                let why = "The web site wants you sent to an address that is not registered for it (redirect_uri). \
                           Somebody may be trying to take your answer.";
                return Err(Refusal::Page { client: Some(client.to_owned()), outcome: "wrong-redirect", why });
            }
            Some(true) => {}
        }
        let state = form.value("state").map(str::to_owned);
        let refuse = |error, description| Refusal::Client {
            client: client.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            state: state.clone().filter(|state| state.len() <= OPAQUE_CHARS),
            error,
            description,
        };
        check(&form).map_err(|(error, description)| refuse(error, description))?;
        let code_challenge = form.value("code_challenge").unwrap_or_default().to_owned();
        Ok(Self {
            client: client.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            state,
            nonce: form.value("nonce").map(str::to_owned),
            scope: "openid".to_owned(),
            code_challenge,
        })
    }
}

fn check(form: &Form) -> Result<(), (&'static str, &'static str)> {
    if form.value("request").is_some() {
        return Err(("request_not_supported", "send the parameters themselves, without `request`"));
    }
    if form.value("request_uri").is_some() {
        return Err(("request_uri_not_supported", "send the parameters themselves, without `request_uri`"));
    }
    match form.value("response_type") {
        Some("code") => {}
        None => return Err(("invalid_request", "send response_type=code")),
        Some(_) => return Err(("unsupported_response_type", "only response_type=code is served")),
    }
    if form.value("response_mode").is_some_and(|mode| mode != "query") {
        return Err(("invalid_request", "only response_mode=query is served"));
    }
    if [form.value("state"), form.value("nonce")].into_iter().flatten().any(|text| text.len() > OPAQUE_CHARS) {
        return Err(("invalid_request", "state and nonce have at most 1024 bytes"));
    }
    if !form.value("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid")) {
        return Err(("invalid_scope", "the scope must contain openid"));
    }
    match (form.value("code_challenge"), form.value("code_challenge_method")) {
        (Some(challenge), Some("S256")) if is_challenge(challenge) => {}
        (Some(_), Some("S256")) => return Err(("invalid_request", "code_challenge is no SHA-256 in base64url")),
        (None, _) => return Err(("invalid_request", "PKCE is needed: send code_challenge, code_challenge_method=S256")),
        (Some(_), _) => return Err(("invalid_request", "code_challenge_method must be S256")),
    }
    let prompts: Vec<&str> = form.value("prompt").unwrap_or_default().split(' ').filter(|one| !one.is_empty()).collect();
    if prompts.contains(&"none") {
        return Err(if prompts.len() == 1 {
            // Nobody stays signed in here, so nobody can be signed in without being asked.
            ("login_required", "each sign-in is shown to the person; leave out prompt=none")
        } else {
            ("invalid_request", "prompt=none goes with no other prompt")
        });
    }
    Ok(())
}

fn is_challenge(text: &str) -> bool {
    text.len() == CHALLENGE_CHARS && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;
    impl Clients for One {
        fn redirects(&self, client: &str, uri: &str) -> Option<bool> {
            (client == "shop").then_some(uri == "https://shop.example/cb")
        }
    }

    const GOOD: &str = "client_id=shop&redirect_uri=https%3A%2F%2Fshop.example%2Fcb&response_type=code&scope=openid%20profile&\
        state=s&nonce=n&code_challenge_method=S256&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn a_good_request_is_read() {
        let request = AuthorizeRequest::parse(GOOD, &One).unwrap();
        assert_eq!(
            (request.client.as_str(), request.state.as_deref(), request.nonce.as_deref()),
            ("shop", Some("s"), Some("n"))
        );
        assert_eq!(request.scope, "openid");
    }

    #[test]
    fn nothing_is_sent_to_an_address_that_is_not_the_clients() {
        for (from, to) in [
            ("client_id=shop", "client_id=other"),
            ("client_id=shop", "client_id="),
            ("%2Fcb", "%2Fcb%2F"),
            ("%2Fcb", "%2FCB"),
            ("shop.example", "evil.example"),
            ("redirect_uri=", "x="),
            ("state=s", "state=s&state=t"),
            ("state=s", "state=%ff"),
        ] {
            let outcome = AuthorizeRequest::parse(&GOOD.replace(from, to), &One);
            assert!(matches!(outcome, Err(Refusal::Page { .. })), "{to}: {outcome:?}");
        }
        // Who is registered is told that somebody tries in their name.
        let outcome = AuthorizeRequest::parse(&GOOD.replace("shop.example", "evil.example"), &One);
        let Err(Refusal::Page { client, outcome, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((client.as_deref(), outcome), (Some("shop"), "wrong-redirect"));
    }

    #[test]
    fn other_faults_go_back_to_the_client_with_its_state() {
        for (from, to, code) in [
            ("response_type=code", "response_type=token", "unsupported_response_type"),
            ("response_type=code", "x=y", "invalid_request"),
            ("scope=openid%20profile", "scope=profile", "invalid_scope"),
            ("S256", "plain", "invalid_request"),
            ("code_challenge_method=S256&", "", "invalid_request"),
            ("code_challenge=E9", "code_challenge=%26", "invalid_request"),
            ("&code_challenge=", "&x=", "invalid_request"),
            ("state=s", "state=s&prompt=none", "login_required"),
            ("state=s", "state=s&prompt=none%20login", "invalid_request"),
            ("state=s", "state=s&request=x", "request_not_supported"),
            ("state=s", "state=s&request_uri=x", "request_uri_not_supported"),
            ("state=s", "state=s&response_mode=fragment", "invalid_request"),
        ] {
            match AuthorizeRequest::parse(&GOOD.replace(from, to), &One) {
                Err(Refusal::Client { client, error, state, redirect_uri, .. }) => {
                    assert_eq!((error, state.as_deref()), (code, Some("s")), "{to}");
                    assert_eq!(client, "shop");
                    assert_eq!(redirect_uri, "https://shop.example/cb");
                }
                other => panic!("{to}: {other:?}"),
            }
        }
        for fine in ["prompt=login", "prompt=consent", "max_age=0", "ui_locales=de", "unknown=1"] {
            assert!(AuthorizeRequest::parse(&format!("{GOOD}&{fine}"), &One).is_ok(), "{fine}");
        }
    }
}
