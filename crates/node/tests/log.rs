//! The transparency log of running nodes as outsiders see it: followed over HTTPS by a monitor that knows only the roster, cosigned by
//! an external witness, and checked on disk after the nodes have stopped.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use common::{Commons, Device, PATIENCE, now};
use ed25519_dalek::SigningKey;
use node::Error;
use node::config::WitnessConfig;
use reqwest::StatusCode;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tlog::checkpoint::log_key;
use tlog::monitor::CrossCheck;
use tlog::{
    AddCheckpoint, Follower, KeyKind, KeyName, Kind, Latest, NodeQuorum, Policy, SignedCheckpoint, Verdict, VerifierKey,
    Witness,
};
use types::NodeId;
use types::api::LogBody;
use types::message::Action;
use types::sign::public_key;

const FACE: [i32; 8] = [96, 0, 0, 0, 0, 0, 0, 0];

impl Commons {
    async fn log(&self, node: NodeId) -> LogBody {
        self.http.get(self.url(node, "/v1/log")).send().await.unwrap().json().await.unwrap()
    }

    /// Waits until `node` publishes `size` entries that both others have cosigned.
    async fn cosigned(&self, node: NodeId, size: u64) -> LogBody {
        let waiting = async {
            loop {
                let log = self.log(node).await;
                if log.cosigned_size >= size && log.published_size >= size {
                    return log;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("published and cosigned in time")
    }

    async fn fetch(&self, node: NodeId, path: &str, media_type: &str, cache: &str) -> Vec<u8> {
        let response = self.http.get(self.url(node, path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], media_type, "{path}");
        assert_eq!(response.headers()["cache-control"], cache, "{path}");
        response.bytes().await.unwrap().to_vec()
    }

    /// Follows `node`'s log to its newest checkpoint.
    async fn follow(&self, node: NodeId, follower: Follower) -> tlog::monitor::Advanced {
        let note = self.fetch(node, "/log/checkpoint", "text/plain; charset=utf-8", "no-cache").await;
        let mut step = follower.begin(SignedCheckpoint::parse(&note).unwrap(), now()).unwrap();
        for bundle in step.bundles() {
            let path = format!("/log/{}", bundle.path());
            let bytes = self.fetch(node, &path, "application/octet-stream", "public, max-age=31536000, immutable").await;
            step.feed(bundle, &bytes).unwrap();
        }
        step.finish().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_knows_only_the_roster_follows_all_three_logs() {
    let commons = Commons::start().await;
    let ada = Device::new(&commons.roster);
    let missing = commons.http.get(commons.url(NodeId::ALL[0], "/log/checkpoint")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND, "nothing is logged yet");
    commons.decided("/v1/enrolments", &ada.enrol(FACE)).await;
    commons.decided("/v1/verifications", &ada.verify(FACE)).await;

    let mut followers = Vec::new();
    let mut cross = CrossCheck::new();
    for node in NodeId::ALL {
        commons.cosigned(node, 2).await;
        let policy = Policy::of_node(&commons.roster, node, NodeQuorum::All).unwrap();
        let advanced = commons.follow(node, Follower::new(policy)).await;
        assert!(advanced.findings.is_empty());
        cross.push(node, &advanced.leaves).unwrap();
        followers.push(advanced.follower);
    }
    cross.check().unwrap();
    assert_eq!(cross.agreed(), 2);

    commons.decided("/v1/withdrawals", &ada.ask(Action::Withdraw { profile: None })).await;
    for (node, follower) in NodeId::ALL.into_iter().zip(followers) {
        commons.cosigned(node, 3).await;
        let advanced = commons.follow(node, follower).await;
        assert_eq!((advanced.first, advanced.follower.size(), advanced.follower.counts().total()), (2, 3, 3));
        let by_kind = advanced.follower.counts().by(|row| row.kind);
        assert_eq!(by_kind[&Kind::Withdrawal], 1);
        // Tiles lead to the root that was signed.
        let tile =
            commons.fetch(node, "/log/tile/0/000.p/3", "application/octet-stream", "public, max-age=31536000, immutable");
        let hashes = tlog::Tile::new(0, 0, 3).unwrap().decode(&tile.await).unwrap();
        let mut peaks = tlog::Peaks::default();
        hashes.into_iter().for_each(|hash| peaks.append(hash));
        assert_eq!(peaks.root(), advanced.follower.root());
    }
    for path in
        ["/log/tile/0/000.p/4", "/log/tile/0/000", "/log/tile/1/000.p/1", "/log/tile/0/0", "/log/tile/../identity.key"]
    {
        let answer = commons.http.get(commons.url(NodeId::ALL[0], path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let figures = commons.http.get(commons.url(NodeId::ALL[0], "/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(figures.contains("commons_log_published_entries 3"), "{figures}");
    commons.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_witness_that_are_none_are_refused_as_the_standard_says() {
    let commons = Commons::start().await;
    let one = NodeId::ALL[0];
    let ask = |body: String| commons.http.post(commons.url(one, "/add-checkpoint")).body(body).send();
    assert_eq!(ask("old x\n".to_owned()).await.unwrap().status(), StatusCode::BAD_REQUEST);
    let sign = |origin: &str, key: &SigningKey| {
        let origin = KeyName::new(origin).unwrap();
        let checkpoint = tlog::Checkpoint { origin, size: 0, root: tlog::merkle::empty_root() };
        let checkpoint = SignedCheckpoint::sign_unchecked(&checkpoint, key).unwrap();
        AddCheckpoint { old: 0, proof: Vec::new(), checkpoint }.to_body()
    };
    let stranger = SigningKey::from_bytes(&[9; 32]);
    assert_eq!(ask(sign("elsewhere.example/log", &stranger)).await.unwrap().status(), StatusCode::NOT_FOUND);
    let own = log_key(&commons.roster, one).unwrap();
    assert_eq!(ask(sign(own.name().as_str(), &stranger)).await.unwrap().status(), StatusCode::NOT_FOUND, "not its own log");
    let other = log_key(&commons.roster, NodeId::ALL[1]).unwrap();
    assert_eq!(ask(sign(other.name().as_str(), &stranger)).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(ask("x".repeat(100_000)).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(commons.nodes[0].as_ref().unwrap().ready().is_ok(), "strangers cannot make it stop");
    commons.stop_all().await;
}

/// A witness outside of the commons, on plain HTTP on loopback. Refuses while `shut`.
async fn external_witness(logs: Vec<VerifierKey>, shut: Arc<Mutex<bool>>) -> (VerifierKey, String) {
    let (name, key) = (KeyName::new("witness.example/one").unwrap(), SigningKey::from_bytes(&[77; 32]));
    let vkey = VerifierKey::new(name.clone(), KeyKind::Cosignature, public_key(&key));
    let (witness, latest) = (Witness::new(name, logs), Mutex::new(None::<Latest>));
    let state = Arc::new((witness, latest, key, shut));
    let add = move |body: Bytes| {
        let state = Arc::clone(&state);
        async move {
            let (witness, latest, key, shut) = &*state;
            if *shut.lock().unwrap() {
                return (StatusCode::SERVICE_UNAVAILABLE, "closed".to_owned());
            }
            let mut latest = latest.lock().unwrap();
            let request = AddCheckpoint::parse(&body).unwrap();
            match witness.consider(&request, latest.as_ref(), now(), key) {
                Verdict::Accept { next, reply, .. } => {
                    *latest = Some(next);
                    (StatusCode::OK, reply)
                }
                Verdict::Refuse(refusal) => (StatusCode::from_u16(refusal.status()).unwrap(), refusal.body()),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/add-checkpoint", post(add))).await });
    (vkey, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_witness_cosigns_and_may_be_away() {
    let mut commons = Commons::start().await;
    let one = NodeId::ALL[0];
    let shut = Arc::new(Mutex::new(true));
    let (vkey, url) = external_witness(vec![log_key(&commons.roster, one).unwrap()], Arc::clone(&shut)).await;
    commons.stop(one).await;
    commons.configs[0].witnesses = vec![WitnessConfig { vkey: vkey.to_string(), url }];
    commons.start_again(one).await;
    commons.all_ready().await;

    let ada = Device::new(&commons.roster);
    commons.decided("/v1/enrolments", &ada.enrol(FACE)).await;
    let log = commons.cosigned(one, 1).await;
    assert_eq!((log.witnesses.len(), log.witnesses[2].cosigned_size), (3, 0));
    assert!(log.witnesses[2].problem.as_ref().is_some_and(|problem| problem.contains("503")), "{log:?}");

    *shut.lock().unwrap() = false;
    let back = async {
        while commons.log(one).await.witnesses[2].cosigned_size < 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("it is asked again");
    let policy = Policy::of_node(&commons.roster, one, NodeQuorum::All).unwrap();
    let policy = policy.and_witness("outside", vkey, None).unwrap();
    // What a witness gave is known a moment before it is served.
    let served = async {
        loop {
            let note = commons.http.get(commons.url(one, "/log/checkpoint")).send().await.unwrap().bytes().await.unwrap();
            match policy.accept(&SignedCheckpoint::parse(&note).unwrap()) {
                Ok(accepted) => return accepted.cosigned.len(),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, served).await.expect("it is served"), 3);
    commons.stop_all().await;
}

async fn alter(dir: &Path, statement: &str) {
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(dir.join("meta.sqlite"))).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_finds_what_was_altered_and_names_the_part() {
    let mut commons = Commons::start().await;
    let (ada, ben) = (Device::new(&commons.roster), Device::new(&commons.roster));
    commons.decided("/v1/enrolments", &ada.enrol(FACE)).await;
    commons.decided("/v1/enrolments", &ben.enrol([0, 96, 0, 0, 0, 0, 0, 0])).await;
    for node in NodeId::ALL {
        commons.cosigned(node, 2).await;
    }
    let (one, dir, roster) = (NodeId::ALL[0], commons.configs[0].data_dir.clone(), commons.roster.clone());
    assert!(matches!(node::fsck(&dir, one, &roster, false).await, Err(Error::StoreLocked { .. })));
    for node in NodeId::ALL {
        commons.stop(node).await;
    }
    let report = node::fsck(&dir, one, &roster, false).await.unwrap();
    assert!(report.is_sound(), "{}", report.text());
    let checked: Vec<u64> = report.parts.iter().map(|part| part.checked).collect();
    assert_eq!(checked, [1, 2, 2, 0, 2, 2, 2, 0]);

    let whole = std::fs::read(dir.join("meta.sqlite")).unwrap();
    let cases = [
        ("UPDATE log_entries SET bytes = zeroblob(60) WHERE position = 0", "log entries"),
        ("DELETE FROM log_entries WHERE position = 1", "log entries"),
        ("UPDATE batches SET log_root = zeroblob(32) WHERE number = 1", "log entries"),
        ("UPDATE batches SET digest = zeroblob(32) WHERE number = 1", "decisions"),
        ("DELETE FROM batches WHERE number = 1", "decisions"),
        (
            "UPDATE checkpoints SET note = replace(note, char(10) || '2' || char(10), char(10) || '1' || char(10))",
            "checkpoints",
        ),
        ("UPDATE witnessed SET note = (SELECT note FROM checkpoints WHERE name = 'signed')", "witness records"),
        ("UPDATE records SET slot = slot + 5 WHERE slot = 0", "records and shares"),
        ("UPDATE members SET trace = NULL", "records and shares"),
    ];
    for (statement, part) in cases {
        alter(&dir, statement).await;
        let report = node::fsck(&dir, one, &roster, false).await.unwrap();
        let found = report.parts.iter().find(|found| found.name == part).unwrap();
        assert!(found.faults > 0, "{statement}:\n{}", report.text());
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(dir.join(format!("meta.sqlite{suffix}")));
        }
        std::fs::write(dir.join("meta.sqlite"), &whole).unwrap();
    }
    let segment = dir.join("shares/test-8/000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    // The operator's program says it in words, in JSON, and by its exit code.
    let program = |json: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_commons-node"));
        command.args(["fsck", "--data-dir"]).arg(&dir).arg("--roster").arg(commons.dir.path().join("roster.toml"));
        command.args(json.then_some("--json")).output().unwrap()
    };
    let output = program(false);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("the checksum does not hold") && text.contains("Damaged"), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&program(true).stdout).unwrap();
    assert_eq!(json["sound"], false);
}
