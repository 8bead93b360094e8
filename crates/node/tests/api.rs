//! Requests that cannot be served: each gets a problem document that names the fault and the remedy.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use common::{Commons, Device};
use reqwest::{Response, StatusCode};
use types::NodeId;
use types::api::{Problem, RequestBody, to_base64};
use types::message::Action;

const ALICE: [i32; 8] = [99, 0, 0, 0, 0, 0, 0, 10];

async fn problem(response: Response, status: u16, code: &str) -> Problem {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let found = response.status().as_u16();
    let problem: Problem = response.json().await.unwrap();
    assert_eq!((found, problem.status, problem.code.as_str()), (status, status, code), "{problem:?}");
    assert!(problem.detail.len() > 10, "{problem:?}");
    problem
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named() {
    let commons = Commons::start().await;
    let [one, ..] = NodeId::ALL;
    let url = |path: &str| commons.url(one, path);
    let http = &commons.http;
    let post = |text: &str| {
        let request = http.post(url("/v1/enrolments")).header("content-type", "application/json");
        request.body(text.to_owned()).send()
    };

    problem(http.get(url("/v1/nothing")).send().await.unwrap(), 404, "no-such-call").await;
    let refused = http.get(url("/v1/enrolments")).send().await.unwrap();
    assert_eq!(refused.headers()["allow"], "POST");
    problem(refused, 405, "method-not-allowed").await;
    let form = http.post(url("/v1/enrolments")).header("content-type", "text/plain").body("{}").send().await.unwrap();
    problem(form, 415, "unsupported-media-type").await;
    let huge = "x".repeat(types::limits::HTTP_BODY_BYTES + 1);
    problem(post(&huge).await.unwrap(), 413, "too-large").await;

    let told = problem(post("{\"request\": ").await.unwrap(), 400, "malformed").await;
    assert!(told.detail.contains("line 1, column 12") && told.detail.contains("too early"), "{told:?}");
    let told = problem(post("no").await.unwrap(), 400, "malformed").await;
    assert!(told.detail.contains("not JSON"), "{told:?}");
    let told = problem(post("{\"request\": 5}").await.unwrap(), 400, "malformed").await;
    assert!(told.detail.contains("`request`"), "{told:?}");
    problem(post("{\"request\": \"AA\", \"more\": 1}").await.unwrap(), 400, "malformed").await;
    let told = problem(post("{\"request\": \"a+b=\"}").await.unwrap(), 400, "malformed").await;
    assert!(told.detail.contains("base64url"), "{told:?}");
    let told = problem(post("{\"request\": \"AAAA\"}").await.unwrap(), 400, "malformed").await;
    assert!(told.detail.contains("well-formed request"), "{told:?}");
    let long = to_base64(&vec![0; types::limits::REQUEST_BYTES + 65]);
    problem(post(&format!("{{\"request\": \"{long}\"}}")).await.unwrap(), 413, "too-large").await;

    commons.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_requests_that_cannot_be_served_are_named() {
    let commons = Commons::start().await;
    let (alice, mallory) = (Device::new(&commons.roster), Device::new(&commons.roster));
    let [one, ..] = NodeId::ALL;
    let send = |path: &str, body: &RequestBody| commons.http.post(commons.url(one, path)).json(body).send();

    // Signed by another key.
    let request = alice.request(Action::Status);
    let forged = mallory.call(request, [None, None, None]);
    problem(send("/v1/status", &forged.bodies[0]).await.unwrap(), 401, "bad-signature").await;
    // Sent to another call.
    let told = send("/v1/enrolments", &alice.ask(Action::Status).bodies[0]).await.unwrap();
    assert!(problem(told, 400, "wrong-action").await.detail.contains("`status`"));
    // Expired; living too long; for another commons.
    let mut request = alice.request(Action::Status);
    (request.issued_at, request.expires_at) = (1, 2);
    problem(send("/v1/status", &alice.call(request, [None, None, None]).bodies[0]).await.unwrap(), 400, "expired").await;
    let mut request = alice.request(Action::Status);
    request.expires_at += 3600;
    problem(send("/v1/status", &alice.call(request, [None, None, None]).bodies[0]).await.unwrap(), 400, "lives-too-long")
        .await;
    let mut request = alice.request(Action::Status);
    request.commons.0[0] ^= 1;
    problem(send("/v1/status", &alice.call(request, [None, None, None]).bodies[0]).await.unwrap(), 400, "wrong-commons")
        .await;
    // Twice.
    let once = alice.ask(Action::Status);
    assert_eq!(send("/v1/status", &once.bodies[0]).await.unwrap().status(), StatusCode::OK);
    problem(send("/v1/status", &once.bodies[0]).await.unwrap(), 409, "replayed").await;
    // Shares: missing, unwanted, for another node, too large.
    let enrolment = alice.enrol(ALICE);
    let bare = RequestBody { share: None, ..enrolment.bodies[0].clone() };
    problem(send("/v1/enrolments", &bare).await.unwrap(), 400, "share-missing").await;
    let loaded = RequestBody { share: Some("AAAA".to_owned()), ..alice.ask(Action::Status).bodies[0].clone() };
    problem(send("/v1/status", &loaded).await.unwrap(), 400, "share-unexpected").await;
    problem(send("/v1/enrolments", &enrolment.bodies[1]).await.unwrap(), 400, "bad-seal").await;
    let large = to_base64(&vec![0; types::limits::SEALED_SHARE_BYTES + 100]);
    let large = RequestBody { share: Some(large), ..enrolment.bodies[0].clone() };
    problem(send("/v1/enrolments", &large).await.unwrap(), 413, "too-large").await;
    // Nobody known.
    let gone = commons.send("/v1/withdrawals", &mallory.ask(Action::Withdraw { profile: None })).await;
    assert!(gone.iter().all(|answer| answer.as_ref().is_err_and(|p| p.code == "unknown-member")), "{gone:?}");

    commons.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_told_when_to_come_back() {
    let by_device = Commons::start_with(|c| (c.http.device_per_minute, c.http.device_burst) = (1, 2)).await;
    let (alice, bob) = (Device::new(&by_device.roster), Device::new(&by_device.roster));
    let [one, ..] = NodeId::ALL;
    let ask = async |device: &Device<'_>| {
        let body = device.ask(Action::Status);
        by_device.http.post(by_device.url(one, "/v1/status")).json(&body.bodies[0]).send().await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(ask(&alice).await.status(), StatusCode::OK);
    }
    // Nobody uses up Bob's allowance without his key.
    for _ in 0..3 {
        let forged = alice.call(bob.request(Action::Status), [None, None, None]);
        let refused = by_device.http.post(by_device.url(one, "/v1/status")).json(&forged.bodies[0]).send().await.unwrap();
        problem(refused, 401, "bad-signature").await;
    }
    let limited = ask(&alice).await;
    let seconds: u64 = limited.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert!(problem(limited, 429, "rate-limited").await.detail.contains("this device"));
    assert_eq!(ask(&bob).await.status(), StatusCode::OK);
    by_device.stop_all().await;

    let by_address = Commons::start_with(|c| (c.http.address_per_minute, c.http.address_burst) = (1, 3)).await;
    let get = async |path: &str| by_address.http.get(by_address.url(one, path)).send().await.unwrap();
    for _ in 0..3 {
        assert_eq!(get("/v1/commons").await.status(), StatusCode::OK);
    }
    assert!(problem(get("/v1/commons").await, 429, "rate-limited").await.detail.contains("network address"));
    assert_eq!(get("/healthz").await.status(), StatusCode::OK, "monitoring is not limited");
    by_address.stop_all().await;

    // Behind a proxy on this machine, the proxy says who asks.
    let proxied = Commons::start_with(|c| {
        (c.http.address_per_minute, c.http.address_burst, c.http.forwarded_for) = (1, 1, true);
    })
    .await;
    let get = async |who: &str| {
        proxied.http.get(proxied.url(one, "/v1/commons")).header("x-forwarded-for", who).send().await.unwrap().status()
    };
    assert_eq!(get("192.0.2.1").await, StatusCode::OK);
    assert_eq!(get("192.0.2.2").await, StatusCode::OK);
    assert_eq!(get("198.51.100.9, 192.0.2.1").await, StatusCode::TOO_MANY_REQUESTS);
    proxied.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_pinned_key_is_spoken_to_and_the_description_is_served() {
    let commons = Commons::start().await;
    let [one, ..] = NodeId::ALL;
    let served = commons.http.get(commons.url(one, "/v1/openapi.json")).send().await.unwrap().text().await.unwrap();
    let checked_in = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json")).unwrap();
    assert!(served == checked_in);
    let mut other = commons.roster.clone();
    for node in &mut other.nodes {
        node.tls_key.0[0] ^= 1;
    }
    assert!(common::client(&other).get(commons.url(one, "/healthz")).send().await.is_err());
    let plain = commons.url(one, "/healthz").replace("https://", "http://");
    assert!(commons.http.get(plain).send().await.is_err());
    commons.stop_all().await;
}
