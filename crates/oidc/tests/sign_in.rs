//! Whole sign-ins through the real binary over loopback: by hand, through crashes, and with a web site's own unmodified library, the
//! npm package `openid-client`. Where that is not installed the test says so and does nothing: `./x test` installs it and says where it
//! is, by `COMMONS_PEERS_WEB_MODULES`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use credential::ProofRequest;
use reqwest::header::{AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response};
use serde_json::Value;
use support::binary::{Server, now, run};
use support::{Member, SECRET, SHOP, VERIFIER, form, query, request_url};

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

fn location(response: &Response) -> String {
    let to = response.headers().get(LOCATION).unwrap_or_else(|| panic!("goes nowhere: {}", response.status()));
    to.to_str().unwrap().to_owned()
}

/// What the device does: fetch the request, check where it came from, answer.
async fn answer(http: &Client, server: &Server, member: &Member, url: &str) {
    let request = http.get(url).send().await.unwrap().text().await.unwrap();
    let request = ProofRequest::from_json(&request).unwrap();
    let shown = member.present(&server.commons, &request, url, now());
    let answer = http.post(&request.answer).body(shown).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

struct Begun {
    page: String,
    cookie: String,
    request: String,
}

async fn begin(http: &Client, server: &Server) -> Begun {
    let first = http.get(format!("{}/authorize?{}", server.url, query("shop", SHOP))).send().await.unwrap();
    let page = format!("{}{}", server.url, location(&first));
    let cookie = first.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let html = http.get(&page).header(COOKIE, &cookie).send().await.unwrap().text().await.unwrap();
    Begun { request: request_url(&html), page, cookie }
}

async fn code(http: &Client, begun: &Begun) -> String {
    let back = location(&http.get(&begun.page).header(COOKIE, &begun.cookie).send().await.unwrap());
    let query = back.strip_prefix(SHOP).unwrap().trim_start_matches('?');
    oidc::form::Form::parse(query).unwrap().value("code").unwrap().to_owned()
}

async fn redeem(http: &Client, server: &Server, code: &str) -> Response {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "shop"),
        ("redirect_uri", SHOP),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    let request = http.post(format!("{}/token", server.url)).header("content-type", "application/x-www-form-urlencoded");
    request.body(form(&fields)).send().await.unwrap()
}

async fn userinfo(http: &Client, server: &Server, tokens: &Value) -> Response {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    http.get(format!("{}/userinfo", server.url)).header(AUTHORIZATION, bearer).send().await.unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// From the click to the claims, person and network left out. `cargo test --release -p oidc --test sign_in -- --nocapture median`
#[tokio::test]
async fn the_median_of_whole_sign_ins() {
    let server = Server::new(5, "");
    let http = client();
    let member = server.commons.member(1, now());
    let (mut times, mut subjects) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let began = Instant::now();
        let begun = begin(&http, &server).await;
        answer(&http, &server, &member, &begun.request).await;
        let tokens = redeem(&http, &server, &code(&http, &begun).await).await;
        let user = json(userinfo(&http, &server, &json(tokens).await).await).await;
        times.push(began.elapsed());
        subjects.push(user["sub"].as_str().unwrap().to_owned());
    }
    subjects.dedup();
    assert_eq!(subjects.len(), 1, "the same person each time");
    times.sort();
    println!("{{\"sign_ins\": {}, \"median_ms\": {:.1}}}", times.len(), times[times.len() / 2].as_secs_f64() * 1e3);
    let log = server.stop();
    assert!(!log.contains(&subjects[0]), "no pseudonym in the log");
    assert_eq!(log.matches("outcome=\"accepted\"").count(), 15, "{log}");
}

#[tokio::test]
async fn a_sign_in_survives_kill_9_at_every_step_and_nothing_happens_twice() {
    let mut server = Server::new(6, "");
    let http = client();
    let member = server.commons.member(1, now());
    let begun = begin(&http, &server).await;
    server.crash();
    answer(&http, &server, &member, &begun.request).await;
    server.crash();
    let code = code(&http, &begun).await;
    server.crash();
    let again = http.get(&begun.page).header(COOKIE, &begun.cookie).send().await.unwrap();
    assert_eq!(again.status(), 410, "one code");
    let tokens = json(redeem(&http, &server, &code).await).await;
    server.crash();
    assert!(userinfo(&http, &server, &tokens).await.status().is_success());
    assert_eq!(json(redeem(&http, &server, &code).await).await["error"], "invalid_grant");
    server.crash();
    assert_eq!(userinfo(&http, &server, &tokens).await.status(), 401, "taken back, and still so");
}

/// What the library reports at the end: `claims` or `refused`.
async fn with_openid_client(
    modules: &str,
    server: &Server,
    who: (&str, &str, &str),
    how: &str,
    member: &Member,
) -> (String, Value) {
    let (name, secret, redirect) = who;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/openid-client.mjs");
    let mut peer = Command::new("node")
        .args([script, modules, &server.url, name, secret, redirect, how])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(peer.stdout.take().unwrap()).lines();
    let first = lines.next().expect("the peer says where the request is").unwrap();
    answer(&client(), server, member, first.strip_prefix("request ").unwrap()).await;
    let last = lines.next().expect("the peer says how it ended").unwrap();
    assert!(peer.wait().unwrap().success());
    let (kind, json) = last.split_once(' ').unwrap();
    (kind.to_owned(), serde_json::from_str(json).unwrap())
}

#[tokio::test]
async fn an_unmodified_client_library_signs_people_in() {
    let Some(modules) = std::env::var_os("COMMONS_PEERS_WEB_MODULES").map(|at| at.to_string_lossy().into_owned()) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: openid-client is not here, so no foreign client was tried; run `./x test`, which fetches it"
        );
        return;
    };
    let server = Server::new(7, "");
    let member = server.commons.member(1, now());
    let clinic = ("clinic", SECRET, "https://clinic.example/in");
    let (kind, value) = with_openid_client(&modules, &server, clinic, "good", &member).await;
    assert_eq!((kind.as_str(), &value["claims"]["aud"]), ("claims", &"clinic".into()), "{value}");
    assert_eq!(value["claims"]["trust_commons"]["community"], "river-valley");
    assert_eq!(value["user"]["sub"], value["claims"]["sub"]);
    let (_, shop) = with_openid_client(&modules, &server, ("shop", "", SHOP), "good", &member).await;
    assert_ne!(shop["claims"]["sub"], value["claims"]["sub"], "pairwise");
    let (_, again) = with_openid_client(&modules, &server, clinic, "good", &member).await;
    assert_eq!(again["claims"]["sub"], value["claims"]["sub"]);
    // The library finds each fault, or hears of it from us.
    for (how, error) in [
        ("wrong-verifier", Some("invalid_grant")),
        ("replay", Some("invalid_grant")),
        ("wrong-state", None),
        ("wrong-nonce", None),
    ] {
        let (kind, value) = with_openid_client(&modules, &server, ("shop", "", SHOP), how, &member).await;
        assert_eq!((kind.as_str(), value["error"].as_str()), ("refused", error), "{how}: {value}");
    }
    let (kind, value) =
        with_openid_client(&modules, &server, ("clinic", "wrong", "https://clinic.example/in"), "good", &member).await;
    assert_eq!((kind.as_str(), value["status"].as_u64()), ("refused", Some(401)), "{value}");
}

#[test]
fn an_operator_sets_it_up() {
    let dir = tempfile::tempdir().unwrap();
    support::write_roster(dir.path(), 8);
    let text = |output: std::process::Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text(run(&["init", "--data-dir", "data"], dir.path())).contains("Created data"));
    assert_eq!(run(&["init", "--data-dir", "data"], dir.path()).status.code(), Some(3), "never overwrites");
    assert_eq!(text(run(&["reference"], dir.path())), oidc::config::REFERENCE);
    let made: Value = serde_json::from_str(&text(run(&["secret", "--json"], dir.path()))).unwrap();
    assert_eq!(made["secret_sha256"].as_str().unwrap().len(), 64);
    std::fs::write(dir.path().join("oidc.toml"), support::config_text("https://id.example", "127.0.0.1:0", "")).unwrap();
    let found: Value = serde_json::from_str(&text(run(&["check", "--config", "oidc.toml", "--json"], dir.path()))).unwrap();
    assert_eq!(found["issuer"], "https://id.example");
    assert!(
        found["clients"].as_array().unwrap().contains(&serde_json::json!({ "id": "shop", "site": "https://shop.example" }))
    );
    assert!(text(run(&["new-key", "--data-dir", "data"], dir.path())).contains("0002.pk8"));
    std::fs::write(dir.path().join("oidc.toml"), "issuer = 1").unwrap();
    let wrong = run(&["check", "--config", "oidc.toml"], dir.path());
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("docs/commons-oidc.toml"));
}
