//! What the operator's monitoring sees (Prometheus text format, `GET /metrics`): counts and times, never a person.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `commons_oidc_attempts_total` | `client`, `outcome` | steps of sign-ins and of wallets: begun, accepted, signed-in, and each way to fail |
//! | `commons_oidc_requests_total` | `route`, `status` | answered requests |
//! | `commons_oidc_request_seconds` | `route` | time to the answer |

use std::time::Duration;

use metrics::{counter, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::Error;

const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The figures of one provider.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    /// Empty ones.
    ///
    /// # Errors
    /// [`Error::Internal`] when the list of buckets is empty: never.
    pub fn new() -> Result<Self, Error> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .map_err(|_| Error::Internal { what: "metric buckets are not empty" })?
            .build_recorder();
        Ok(Self { handle: recorder.handle(), recorder })
    }

    /// A step of a sign-in. `client` is a registered id, `outcome` one of a fixed set.
    pub fn attempt(&self, client: &str, outcome: &'static str) {
        let client = client.to_owned();
        self.record(|| counter!("commons_oidc_attempts_total", "client" => client, "outcome" => outcome).increment(1));
    }

    /// A request was answered; `route` is a pattern.
    pub fn request(&self, route: &'static str, status: u16, took: Duration) {
        self.record(|| {
            counter!("commons_oidc_requests_total", "route" => route, "status" => status.to_string()).increment(1);
            histogram!("commons_oidc_request_seconds", "route" => route).record(took.as_secs_f64());
        });
    }

    /// The page.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds samples into buckets, now and then.
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
