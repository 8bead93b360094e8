//! Waiting for a commons of processes, and following its logs.

#![allow(dead_code, reason = "each test program uses a part")]

use std::time::{Duration, Instant};

use client::Followed;
use client::native::NativeClient;
use sim::Commons;
use types::NodeId;

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until all nodes are in touch with one another.
pub(crate) async fn ready(client: &NativeClient, commons: &Commons) {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let facts = client.public_facts().await;
        let well = |facts: &types::api::CommonsBody| facts.peers.iter().all(|peer| peer.available);
        if facts.iter().all(|facts| facts.as_ref().is_ok_and(well)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let logs: Vec<String> = NodeId::ALL.iter().map(|node| format!("node {node}:\n{}", commons.log(*node))).collect();
    panic!("the commons does not heal\n{}", logs.join("\n"));
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Follows the three logs until each holds `entries`, and nothing is wrong with any.
pub(crate) async fn follow(client: &NativeClient, followed: &mut Followed, entries: u64) {
    let followed = tokio::sync::Mutex::new(followed);
    until("the logs are followed", async || {
        let mut followed = followed.lock().await;
        let look = client.follow(&followed.following).await;
        followed.advance(&look, None);
        look.problems.is_empty() && look.following.cross.agreed() >= entries
    })
    .await;
}
