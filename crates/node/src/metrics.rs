//! What the operator's monitoring sees (Prometheus text format, `GET /metrics`). Counts, sizes and times; never a device, a
//! member, an address or an operation.
//!
//! Each node has its own recorder, so that three nodes in one process (`commons dev`) do not add up.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `commons_requests_total` | `route`, `outcome` | answered requests; the outcome is `ok` or a problem code |
//! | `commons_request_seconds` | `route` | time to the answer |
//! | `commons_peer_up` | `peer` | 1 when in touch |
//! | `commons_peer_sent_bytes_total` | `peer` | bytes of frames sent (before TLS) |
//! | `commons_batches` | | batches decided |
//! | `commons_batch_operations` | | operations per batch |
//! | `commons_matching_seconds` | | time of one matching run |
//! | `commons_judging_seconds` | | time to find out whether one request may be done; twice for each operation |
//! | `commons_log_entries` | | entries in the transparency log's files |
//! | `commons_log_published_entries` | | entries under the checkpoint that is served |
//! | `commons_log_cosigned_entries` | `witness` | entries that a witness has cosigned |
//! | `commons_log_refused_total` | `peer` | checkpoints of another node that are not what was decided |
//! | `commons_records` | `profile` | active records |

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use types::NodeId;
use types::api::CommonsBody;

use crate::Error;

const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const OPERATIONS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// One node's figures.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    /// Empty figures.
    ///
    /// # Errors
    /// [`Error::Internal`] when a bucket list is empty: never.
    pub fn new() -> Result<Arc<Self>, Error> {
        let internal = |_| Error::Internal { what: "metric buckets are not empty" };
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_operations".to_owned()), &OPERATIONS))
            .map_err(internal)?
            .build_recorder();
        let handle = recorder.handle();
        Ok(Arc::new(Self { recorder, handle }))
    }

    /// A request was answered. `route` is a route pattern, `outcome` `ok` or a problem code: both from fixed sets.
    pub fn request(&self, route: &'static str, outcome: &'static str, took: Duration) {
        self.record(|| {
            counter!("commons_requests_total", "route" => route, "outcome" => outcome).increment(1);
            histogram!("commons_request_seconds", "route" => route).record(took.as_secs_f64());
        });
    }

    /// A batch was decided after `matching` of work with the peers.
    pub fn batch(&self, operations: usize, matching: Duration) {
        self.record(|| {
            #[expect(clippy::cast_precision_loss, reason = "a batch has at most 512 operations")]
            histogram!("commons_batch_operations").record(operations as f64);
            histogram!("commons_matching_seconds").record(matching.as_secs_f64());
        });
    }

    /// Whether a request may be done was found out.
    pub fn judged(&self, took: Duration) {
        self.record(|| histogram!("commons_judging_seconds").record(took.as_secs_f64()));
    }

    /// A peer came or went.
    pub fn peer_up(&self, peer: NodeId, up: bool) {
        self.record(|| gauge!("commons_peer_up", "peer" => peer.to_string()).set(if up { 1.0 } else { 0.0 }));
    }

    /// A frame went to a peer.
    pub fn peer_bytes(&self, peer: NodeId, bytes: usize) {
        self.record(|| counter!("commons_peer_sent_bytes_total", "peer" => peer.to_string()).increment(bytes as u64));
    }

    /// Where the log stands.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn log(&self, entries: u64, published: u64) {
        self.record(|| {
            gauge!("commons_log_entries").set(entries as f64);
            gauge!("commons_log_published_entries").set(published as f64);
        });
    }

    /// How far a witness has come. `witness` is a key name of the roster or the configuration.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn cosigned(&self, witness: &str, entries: u64) {
        self.record(|| gauge!("commons_log_cosigned_entries", "witness" => witness.to_owned()).set(entries as f64));
    }

    /// A checkpoint of another node is not what was decided.
    pub fn log_refused(&self, peer: NodeId) {
        self.record(|| counter!("commons_log_refused_total", "peer" => peer.to_string()).increment(1));
    }

    /// The page, with the counts of `commons` brought up to date.
    pub fn render(&self, commons: &CommonsBody) -> String {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        self.record(|| {
            gauge!("commons_batches").set(commons.batch as f64);
            gauge!("commons_epoch").set(commons.epoch as f64);
            for (profile, count) in &commons.records {
                gauge!("commons_records", "profile" => profile.clone()).set(*count as f64);
            }
        });
        self.handle.render()
    }

    /// Folds recorded samples into buckets; called now and then so that they do not pile up between scrapes.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }

    fn record(&self, what: impl FnOnce()) {
        metrics::with_local_recorder(&self.recorder, what);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_two_nodes_do_not_mix() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        one.request("/v1/enrolments", "ok", Duration::from_millis(20));
        one.peer_bytes(NodeId::ALL[1], 100);
        one.peer_up(NodeId::ALL[1], true);
        one.batch(3, Duration::from_millis(5));
        let mut commons = CommonsBody {
            commons: "test".to_owned(),
            roster: String::new(),
            node: 1,
            version: String::new(),
            profiles: vec![],
            batch: 7,
            records: Default::default(),
            epoch: 2,
            refreshing: false,
            peers: vec![],
        };
        commons.records.insert("face-512".to_owned(), 12);
        let page = one.render(&commons);
        for line in [
            r#"commons_requests_total{route="/v1/enrolments",outcome="ok"} 1"#,
            r#"commons_peer_sent_bytes_total{peer="2"} 100"#,
            r#"commons_peer_up{peer="2"} 1"#,
            r#"commons_batch_operations_count 1"#,
            r#"commons_records{profile="face-512"} 12"#,
            "commons_batches 7",
            "commons_epoch 2",
        ] {
            assert!(page.contains(line), "{line} is missing in\n{page}");
        }
        commons.records.clear();
        assert!(!other.render(&commons).contains("commons_requests_total"));
    }
}
