//! Listening to a log: each new checkpoint is told, listeners are few, and a stopping node waits for none of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use std::time::{Duration, Instant};

use common::{Commons, Device, PATIENCE};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use types::NodeId;
use types::api::{LogEvent, Problem};

const ONE: NodeId = NodeId::ALL[0];
const FACE: [i32; 8] = [96, 0, 0, 0, 0, 0, 0, 0];

/// A stream and what of it was not taken yet.
struct Listener {
    response: Response,
    rest: String,
}

impl Listener {
    async fn open(commons: &Commons) -> Result<Self, Problem> {
        let response = commons.http.get(commons.url(ONE, "/v1/log/events")).send().await.unwrap();
        if response.status() != StatusCode::OK {
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()["retry-after"], "60");
            return Err(response.json().await.unwrap());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Ok(Self { response, rest: String::new() })
    }

    /// The next event; nothing when the stream has ended.
    async fn next(&mut self) -> Option<LogEvent> {
        loop {
            if let Some((event, rest)) = self.rest.clone().split_once("\n\n") {
                self.rest = rest.to_owned();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
                let Some(data) = field("data:") else { continue };
                assert_eq!(field("event:"), Some("log"));
                let value: Value = serde_json::from_str(data).unwrap();
                let mut names: Vec<&String> = value.as_object().unwrap().keys().collect();
                names.sort();
                assert_eq!(names, ["cosigned_size", "published_size"], "two sizes, and nothing of anybody");
                return Some(serde_json::from_value(value).unwrap());
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap();
            self.rest.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_checkpoint_is_told_to_those_who_listen() {
    let commons = Commons::start().await;
    let mut listener = Listener::open(&commons).await.unwrap();
    assert_eq!(listener.next().await.unwrap(), LogEvent { published_size: 0, cosigned_size: 0 });
    commons.decided("/v1/enrolments", &Device::new(&commons.roster).enrol(FACE)).await;
    let mut told = listener.next().await.unwrap();
    while told.cosigned_size < 1 {
        told = listener.next().await.unwrap();
    }
    assert_eq!(told.published_size, 1);
    let mut late = Listener::open(&commons).await.unwrap();
    assert_eq!(late.next().await.unwrap().published_size, 1, "who comes later hears at once where it stands");
    commons.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_are_few_and_a_stopping_node_waits_for_none() {
    // An eighth of the connections: four streams.
    let mut commons = Commons::start_with(|config| config.http.connections = 32).await;
    let mut listeners = Vec::new();
    for _ in 0..4 {
        listeners.push(Listener::open(&commons).await.unwrap());
    }
    let Err(refused) = Listener::open(&commons).await else { panic!("a fifth was let in") };
    assert_eq!(refused.code, "busy");
    let health = commons.http.get(commons.url(ONE, "/v1/commons")).send().await.unwrap();
    assert_eq!(health.status(), StatusCode::OK, "listeners take nobody's place");
    drop(listeners.pop());
    let again = async {
        loop {
            match Listener::open(&commons).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    listeners.push(tokio::time::timeout(PATIENCE, again).await.expect("a place that is left is free"));
    let begun = Instant::now();
    commons.stop(ONE).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    for mut listener in listeners {
        while listener.next().await.is_some() {}
    }
    commons.stop_all().await;
}
