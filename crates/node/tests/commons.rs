//! Three nodes in one process, real TLS and HTTP: what members, monitors and operators see.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use std::time::{Duration, Instant};

use common::{Commons, Device, reply_key};
use types::NodeId;
use types::api::{CommonsBody, StatementBody, from_base64};
use types::message::{Action, Statement};
use types::seal;
use types::sign::Signed;

const ALICE: [i32; 8] = [99, 0, 0, 0, 0, 0, 0, 10];
const ALICE_AGAIN: [i32; 8] = [95, 30, 5, 0, 0, 0, 0, 0];
const BOB: [i32; 8] = [0, 0, 0, 99, 0, 0, 10, 0];
const NOT_A_TEMPLATE: [i32; 8] = [10, 0, 0, 0, 0, 0, 0, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_enrols_once_verifies_looks_and_withdraws() {
    let commons = Commons::start().await;
    let (alice, twin, bob) = (Device::new(&commons.roster), Device::new(&commons.roster), Device::new(&commons.roster));

    assert_eq!(commons.decided("/v1/enrolments", &alice.enrol(ALICE)).await, "enrolled");
    assert_eq!(commons.decided("/v1/enrolments", &twin.enrol(ALICE_AGAIN)).await, "duplicate");
    assert_eq!(commons.decided("/v1/enrolments", &twin.enrol(NOT_A_TEMPLATE)).await, "invalid-template");
    let bobs = bob.enrol(BOB);
    assert_eq!(commons.decided("/v1/enrolments", &bobs).await, "enrolled");
    assert_eq!(commons.decided("/v1/verifications", &alice.verify(ALICE_AGAIN)).await, "verified");
    assert_eq!(commons.decided("/v1/verifications", &alice.verify(BOB)).await, "not-verified");

    // A lost answer can be asked for; the operation cannot be sent again.
    let asked = bob.ask(Action::Outcome { operation: bobs.operation });
    assert_eq!(commons.send_one(NodeId::ALL[2], "/v1/outcomes", &asked).await.unwrap().outcome, "enrolled");
    let replayed = commons.send_one(NodeId::ALL[0], "/v1/enrolments", &bobs).await.unwrap_err();
    assert!(["replayed", "already-enrolled"].contains(&replayed.code.as_str()), "{replayed:?}");
    let nobodys = twin.ask(Action::Outcome { operation: bobs.operation });
    assert_eq!(commons.send_one(NodeId::ALL[0], "/v1/outcomes", &nobodys).await.unwrap_err().code, "not-found");

    // What does node 2 know of Alice?
    let node = NodeId::ALL[1];
    let entry = commons.roster.node(node).unwrap();
    let status = alice.ask(Action::Status);
    let response = commons.http.post(commons.url(node, "/v1/status")).json(&status.bodies[1]).send().await.unwrap();
    let body: StatementBody = response.json().await.unwrap();
    let signed = Signed::<Statement>::from_bytes(&from_base64("statement", &body.statement).unwrap()).unwrap();
    signed.verify(&entry.signing_key).unwrap();
    assert_eq!(signed.message.request, status.digest);
    assert_eq!(signed.message.member.as_ref().unwrap().records.len(), 1);

    let key = reply_key();
    let look = alice.ask(Action::Inspect { reply_key: key.public().unwrap() });
    let response = commons.http.post(commons.url(node, "/v1/inspections")).json(&look.bodies[1]).send().await.unwrap();
    let body: StatementBody = response.json().await.unwrap();
    let sealed = from_base64("statement", &body.statement).unwrap();
    let signed =
        Signed::<Statement>::from_bytes(&seal::open(&key, seal::INSPECTION, &look.digest, &sealed).unwrap()).unwrap();
    signed.verify(&entry.signing_key).unwrap();
    assert!(signed.message.member.unwrap().records[0].sample.is_some());

    let facts: CommonsBody = commons.http.get(commons.url(node, "/v1/commons")).send().await.unwrap().json().await.unwrap();
    assert_eq!((facts.node, facts.records["test-8"], facts.peers.len()), (2, 2, 2));

    assert_eq!(commons.decided("/v1/withdrawals", &alice.ask(Action::Withdraw { profile: None })).await, "withdrawn");
    assert_eq!(commons.decided("/v1/enrolments", &twin.enrol(ALICE)).await, "enrolled");

    let page = commons.http.get(commons.url(node, "/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        r#"commons_requests_total{route="/v1/enrolments",outcome="ok"} 5"#,
        r#"commons_peer_up{peer="1"} 1"#,
        r#"commons_peer_up{peer="3"} 1"#,
        r#"commons_records{profile="test-8"} 2"#,
        r#"commons_peer_sent_bytes_total{peer="1"}"#,
        "commons_batch_operations_count",
        "commons_matching_seconds_count",
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
    commons.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_node_is_named_at_once_and_heals() {
    let mut commons = Commons::start().await;
    let roster = commons.roster.clone();
    let (alice, bob) = (Device::new(&roster), Device::new(&roster));
    assert_eq!(commons.decided("/v1/enrolments", &alice.enrol(ALICE)).await, "enrolled");

    let [one, two, three] = NodeId::ALL;
    commons.stop(two).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for node in [one, three] {
        let began = Instant::now();
        let refused = commons.send_one(node, "/v1/enrolments", &bob.enrol(BOB)).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.status), ("unavailable", 503), "{refused:?}");
        assert_eq!(refused.unavailable_nodes, [2]);
        assert!(began.elapsed() < Duration::from_secs(1), "at once");
        let ready = commons.http.get(commons.url(node, "/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), 503);
        assert!(ready.text().await.unwrap().contains("node 2"));
        let alive = commons.http.get(commons.url(node, "/healthz")).send().await.unwrap();
        assert_eq!(alive.status(), 200);
    }

    commons.start_again(two).await;
    commons.all_ready().await;
    assert_eq!(commons.decided("/v1/enrolments", &bob.enrol(BOB)).await, "enrolled");
    assert_eq!(commons.decided("/v1/verifications", &alice.verify(ALICE_AGAIN)).await, "verified");
    let ready = commons.http.get(commons.url(two, "/readyz")).send().await.unwrap();
    assert_eq!((ready.status().as_u16(), ready.text().await.unwrap().as_str()), (200, "ready\n"));
    commons.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_node_answers_what_it_has_begun() {
    let mut commons = Commons::start_with(|config| config.patience.share_ms = 700).await;
    let roster = commons.roster.clone();
    let alice = Device::new(&roster);
    let two = NodeId::ALL[1];
    // Only node 2 gets its share, so the operation waits for the others until `share_ms` is over.
    let (call, url, http) = (alice.enrol(ALICE), commons.url(two, "/v1/enrolments"), commons.http.clone());
    let waiting = tokio::spawn(async move { http.post(url).json(&call.bodies[1]).send().await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    commons.stop(two).await;
    let answer = waiting.await.unwrap().expect("an answer, not a broken connection");
    assert_eq!(answer.status(), 503);
    let problem: types::api::Problem = answer.json().await.unwrap();
    assert_eq!(problem.code, "not-everywhere", "{problem:?}");
    assert!(commons.http.get(commons.url(two, "/healthz")).send().await.is_err(), "and takes nothing new");
    commons.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_can_stop_and_start_again() {
    let mut commons = Commons::start().await;
    let roster = commons.roster.clone();
    let (alice, twin) = (Device::new(&roster), Device::new(&roster));
    assert_eq!(commons.decided("/v1/enrolments", &alice.enrol(ALICE)).await, "enrolled");
    for node in NodeId::ALL {
        commons.stop(node).await;
    }
    for node in NodeId::ALL {
        commons.start_again(node).await;
    }
    commons.all_ready().await;
    assert_eq!(commons.decided("/v1/enrolments", &twin.enrol(ALICE_AGAIN)).await, "duplicate");
    assert_eq!(commons.decided("/v1/verifications", &alice.verify(ALICE)).await, "verified");
    commons.stop_all().await;
}
