//! What a person sees in the browser: who asks, what they will learn and what not, and how to answer. One style sheet, one script of
//! ten lines that asks whether the page can go on; without script the page reloads itself. Nothing is fetched from elsewhere.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use credential::{Attribute, Demand, Kind, ProofRequest};
use qrcode::{Color, EcLevel, QrCode};

use super::own_fault;
use crate::config::Client;
use crate::provider::Provider;

const STYLE: &str = include_str!("sign-in.css");
const SCRIPT: &str = include_str!("sign-in.js");

/// What the waiting page shows.
pub(super) struct Waiting<'a> {
    pub(super) provider: &'a Provider,
    pub(super) client: &'a Client,
    pub(super) handle: &'a str,
    pub(super) request: &'a ProofRequest,
    pub(super) from: &'a str,
    pub(super) left_s: u64,
}

/// The page that waits for the person's device.
pub(super) fn waiting(about: &Waiting<'_>) -> Response {
    let Waiting { provider, client, handle, request, from, left_s } = about;
    let Some(picture) = qr(from) else { return own_fault("a QR code holds an address") };
    let (name, site, operator) =
        (escape(&client.name), escape(client.context.verifier()), escape(&provider.config.operator));
    let host = escape(&provider.config.issuer);
    let digits = request.check_digits();
    let learn: String = will_learn(client).iter().map(|line| format!("<li>{line}</li>")).collect();
    let minutes = left_s.div_ceil(60).max(1);
    let minutes = if minutes == 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
    let command = escape(&format!("commons sign-in {from}"));
    let main = format!(
        r#"<header><p class="by">Trust Commons <span aria-hidden="true">·</span> {operator}</p>
<h1>{name} asks you to&nbsp;sign&nbsp;in</h1>
<p class="site"><code>{site}</code></p></header>
<div class="columns">
<section class="answer" aria-labelledby="answer"><h2 id="answer">Answer with your device</h2>
<div class="qr">{picture}</div>
<p class="check">Your device must show <strong class="digits">{digits}</strong> and the name&nbsp;above.</p>
<details><summary>On this device instead</summary>
<p>Run this, or paste the address where your device asks for it:</p>
<p class="copy"><code>{command}</code></p></details>
<p class="waits" role="status"><span class="dot" aria-hidden="true"></span> Waiting for your answer, for {minutes}. This page goes on by itself.</p>
</section>
<div class="terms">
<section aria-labelledby="learn"><h2 id="learn">They will learn</h2><ul class="yes">{learn}</ul></section>
<section aria-labelledby="not"><h2 id="not">They will not learn</h2><ul class="no">
<li>who you are, your face, or any other sample of you</li>
<li>where else you sign in: to every other site you are somebody else</li>
<li>anything more that your commons could vouch for</li></ul></section>
<section aria-labelledby="care"><h2 id="care">Before you say yes</h2>
<p>You opened this page yourself, and your browser shows <code>{host}</code> as its address. If somebody else sent you this code,
say no: your answer would sign <em>them</em> in.</p>
<p>Your yes is for this sign-in. You are asked again at the next one; what they have learned by then stays with them.</p></section>
<form method="post" action="/sign-in/{handle}/cancel"><button>No, go back to {name}</button></form>
</div></div>"#
    );
    let head = format!(
        r#"<title>Sign in to {name}</title><script src="/sign-in.js" defer></script>
<noscript><meta http-equiv="refresh" content="4"></noscript>"#
    );
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
         frame-ancestors 'none'; form-action 'self' {}",
        client.context.verifier()
    );
    document(StatusCode::OK, &head, &format!(r#"<body data-state="/sign-in/{handle}/state">"#), &main, &policy)
}

fn will_learn(client: &Client) -> Vec<String> {
    let mut lines = vec!["that you are one real person, enrolled once".to_owned()];
    lines.push(match client.context.kind() {
        Kind::Standing => "a name for you that nobody else has, the same each time you come".to_owned(),
        _ => "that you were not here before: each person is admitted once".to_owned(),
    });
    lines.extend(client.context.demands().iter().map(demand));
    lines
}

fn demand(demand: &Demand) -> String {
    let what = match demand.attribute {
        Attribute::Community => "your community",
        Attribute::Admitted => "when you were admitted",
        Attribute::Charter => "which version of the charter your credentials are of",
        Attribute::AgeBand => "your age band",
        Attribute::Locality => "your region",
        Attribute::Role => "your role",
    };
    if demand.one_of.is_empty() {
        return format!("{what}, if your commons vouches for it");
    }
    let accepted: Vec<String> = demand.one_of.iter().map(|value| escape(value)).collect();
    format!("{what}, and only if it is {}", accepted.join(" or "))
}

/// Something is wrong with what the site sent.
pub(super) fn refused(operator: &str, why: &str) -> Response {
    let main = format!(
        r#"<header><p class="by">Trust Commons <span aria-hidden="true">·</span> {}</p><h1>This sign-in cannot go on</h1></header>
<p class="lead">{}</p><p>Nothing of yours was sent anywhere. Go back, and tell the people who run the web site.</p>"#,
        escape(operator),
        escape(why)
    );
    plain(StatusCode::BAD_REQUEST, "This sign-in cannot go on", &main)
}

/// The sign-in is over, or was begun in another browser.
pub(super) fn over(operator: &str) -> Response {
    let main = format!(
        r#"<header><p class="by">Trust Commons <span aria-hidden="true">·</span> {}</p><h1>This sign-in is over</h1></header>
<p class="lead">It was finished, it waited too long, or it was begun in another browser.</p>
<p>Go back to the web site and start again. You can close this page.</p>"#,
        escape(operator)
    );
    plain(StatusCode::GONE, "This sign-in is over", &main)
}

fn plain(status: StatusCode, title: &str, main: &str) -> Response {
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    document(status, &format!("<title>{title}</title>"), "<body>", main, policy)
}

fn document(status: StatusCode, head: &str, body: &str, main: &str, policy: &str) -> Response {
    let text = format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="stylesheet" href="/sign-in.css">{head}</head>
{body}<main>{main}</main></body></html>
"#
    );
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    (status, headers, text).into_response()
}

pub(super) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

pub(super) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=3600")], text).into_response()
}

/// A QR code as one path, dark on light also in the dark, since scanners want it so.
fn qr(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            path += &format!("M{} {}h1v1h-1z", at % width + 4, at / width + 4);
        }
    }
    let size = width + 8;
    Some(format!(
        r#"<svg viewBox="0 0 {size} {size}" role="img" aria-label="QR code that leads your device to this request" shape-rendering="crispEdges"><path class="paper" d="M0 0h{size}v{size}h-{size}z"/><path class="ink" d="{path}"/></svg>"#
    ))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}
