//! Latency of one probe through the public API: three nodes in this process, with galleries of growing size.
//!
//! Records are imported into the three stores (`node::store`) while the nodes are stopped, which saves the enrolments but leaves
//! the search as it is. A probe is an enrolment of somebody who is in the gallery already, under a new key: signed and sealed
//! by the client, checked, searched and refused by all three nodes, signed three times. So the gallery keeps its size.
//! Everything shares this machine's cores: the client and all three nodes.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use client::native::NativeClient;
use client::request::Template;
use ed25519_dalek::SigningKey;
use mpc::record::{RecordShare, record_share};
use node::config::NodeConfig;
use node::run::{Loopback, Node, loopback};
use node::store::Store;
use serde::Serialize;
use types::NodeId;
use types::message::Outcome;
use types::profile::Profile;

use super::machine::available_bytes;
use super::synthetic::{People, shares};
use super::{Effort, median};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::words::count;

/// How long three nodes may take to load their galleries and find each other.
const START: Duration = Duration::from_secs(180);
/// Searches before the first that counts.
const WARM_UP: u64 = 3;
/// Bytes of values that are imported at a time.
const IMPORT_BYTES: usize = 8 << 20;

/// One size of one modality.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SearchTime {
    pub(crate) modality: String,
    pub(crate) records: u64,
    pub(crate) median_ms: f64,
    pub(crate) p99_ms: f64,
    /// Of the gallery: mapped records with their padding.
    pub(crate) resident_bytes_per_node: u64,
    /// From the start of three nodes at once until all are ready.
    #[serde(skip)]
    pub(crate) start_s: f64,
}

/// Measures every size in `sizes`, smallest first.
pub(crate) async fn measure(
    context: &Context,
    profile: &Profile,
    sizes: &[u64],
    effort: &Effort,
) -> Result<Vec<SearchTime>, Failure> {
    let folder = tempfile::Builder::new().prefix("commons-bench-").tempdir();
    let folder = folder.map_err(|error| Failure::write(&std::env::temp_dir(), &error))?;
    let made = loopback(folder.path(), "benchmark", vec![profile.clone()]).await.map_err(|error| failure(&error))?;
    // The sockets are free again; each start binds the same ports.
    let Loopback { roster, nodes, .. } = made;
    let configs = nodes.map(|(config, _)| config);
    let mut bench = Bench { context, profile, effort, roster, configs, held: 0 };
    let mut times = Vec::new();
    for &records in sizes {
        let bytes = 3 * 2 * profile.matching.record_len() as u64 * records;
        if bytes / 10 * 11 > available_bytes() {
            let what =
                format!("{} records of {} need {} GB of memory", count(records), profile.id, bytes.div_ceil(1_000_000_000));
            context.out.warn(&format!("left out: {what} for three nodes, which is not free here"));
            continue;
        }
        let resident_bytes_per_node = bench.import(records).await?;
        times.push(SearchTime { resident_bytes_per_node, ..bench.search().await? });
    }
    drop(folder);
    Ok(times)
}

struct Bench<'a> {
    context: &'a Context,
    profile: &'a Profile,
    effort: &'a Effort,
    roster: types::roster::Roster,
    configs: [NodeConfig; 3],
    /// Records imported so far.
    held: u64,
}

impl Bench<'_> {
    /// Fills the three stores up to `records`. Returns the bytes of node 1's gallery in memory.
    async fn import(&mut self, records: u64) -> Result<u64, Failure> {
        let bar = self.context.out.bar(records, &format!("{}: importing", self.profile.id));
        bar.set_position(self.held);
        let [one, two, three] = NodeId::ALL;
        let open = async |node: NodeId, config: &NodeConfig| {
            Store::open(&config.data_dir, node, &self.roster).await.map_err(|error| failure(&error))
        };
        let [a, b, c] = &self.configs;
        let stores = [open(one, a).await?, open(two, b).await?, open(three, c).await?];
        let step = (IMPORT_BYTES / (2 * self.profile.matching.record_len())).max(1) as u64;
        while self.held < records {
            let next = records.min(self.held + step);
            let shared = tokio::task::block_in_place(|| share(self.profile, self.held..next))?;
            for (store, shares) in stores.iter().zip(shared) {
                store.import(&self.profile.id, shares).await.map_err(|error| failure(&error))?;
            }
            self.held = next;
            bar.set_position(next);
        }
        bar.finish_and_clear();
        let [store, ..] = &stores;
        let gallery = store.gallery(&self.profile.id).map_err(|error| failure(&error))?;
        let resident = gallery.read().unwrap_or_else(PoisonError::into_inner).resident_bytes() as u64;
        drop(gallery);
        for store in &stores {
            store.close().await;
        }
        Ok(resident)
    }

    /// Starts the nodes, asks, stops them.
    async fn search(&self) -> Result<SearchTime, Failure> {
        let spinner = self.context.out.spinner(&format!("Starting three nodes with {} records each", count(self.held)));
        let begin = Instant::now();
        let [a, b, c] = self.configs.clone();
        let start = |config| async { Node::start(config).await.map_err(|error| failure(&error)) };
        let (a, b, c) = tokio::join!(tokio::spawn(start(a)), tokio::spawn(start(b)), tokio::spawn(start(c)));
        let mut nodes = Vec::new();
        for started in [a, b, c] {
            nodes.push(started.map_err(|_| Failure::input("a node broke down at its start", "report this"))??);
        }
        let ready = until_ready(&nodes, begin).await;
        spinner.finish_and_clear();
        let asked = match ready {
            Ok(start_s) => self.ask().await.map(|latencies| (start_s, latencies)),
            Err(failure) => Err(failure),
        };
        for node in nodes {
            node.stop().await;
        }
        let (start_s, mut latencies) = asked?;
        latencies.sort_by(f64::total_cmp);
        let rank = (latencies.len() * 99).div_ceil(100).max(1);
        Ok(SearchTime {
            modality: self.profile.id.to_string(),
            records: self.held,
            median_ms: median(&latencies),
            p99_ms: latencies.get(rank - 1).copied().unwrap_or(0.0),
            resident_bytes_per_node: 0,
            start_s,
        })
    }

    /// Milliseconds of each probe.
    async fn ask(&self) -> Result<Vec<f64>, Failure> {
        let client = NativeClient::connect(self.roster.clone())?;
        let people = People { matching: &self.profile.matching, seed: 4 };
        let probes = self.effort.probes as u64;
        let bar = self.context.out.bar(probes, &format!("{}: {} records", self.profile.id, count(self.held)));
        let mut latencies = Vec::new();
        for probe in 0..WARM_UP + probes {
            // Spread over the gallery; another size asks for other samples.
            let person = self.held / (WARM_UP + probes + 1) * (probe + 1);
            let values = people.again(person, self.held)?.input_values();
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|_| client::Error::NoRandomness)?;
            let device = SigningKey::from_bytes(&key);
            let begin = Instant::now();
            let proof = client.enrol(&device, Template { profile: &self.profile.id, values: &values }, "benchmark").await?;
            let elapsed = 1000.0 * begin.elapsed().as_secs_f64();
            if !matches!(proof.outcome(), Outcome::Duplicate) {
                return Err(Failure::input(
                    "the nodes did not find a record that they hold",
                    "report this as a fault of the program",
                ));
            }
            if probe >= WARM_UP {
                latencies.push(elapsed);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(latencies)
    }
}

/// The stored form of these people at nodes 1, 2 and 3, made on all cores.
fn share(profile: &Profile, numbers: std::ops::Range<u64>) -> Result<[Vec<RecordShare>; 3], Failure> {
    let people = People { matching: &profile.matching, seed: 4 };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all: Vec<u64> = numbers.collect();
    let part = |numbers: &[u64]| -> Result<[Vec<RecordShare>; 3], Failure> {
        let mut shared = NodeId::ALL.map(|_| Vec::with_capacity(numbers.len()));
        for &number in numbers {
            let inputs = shares(&people.first(number)?.input_values(), number)?;
            for ((node, input), shared) in NodeId::ALL.into_iter().zip(&inputs).zip(&mut shared) {
                shared.push(record_share(node, input, &profile.matching));
            }
        }
        Ok(shared)
    };
    let mut joined = NodeId::ALL.map(|_| Vec::with_capacity(all.len()));
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            all.chunks(all.len().div_ceil(threads).max(1)).map(|numbers| scope.spawn(|| part(numbers))).collect();
        for thread in parts {
            let broken = |_| Err(Failure::input("a thread ended early", "report this as a fault of the program"));
            let shared = thread.join().unwrap_or_else(broken)?;
            joined.iter_mut().zip(shared).for_each(|(joined, shared)| joined.extend(shared));
        }
        Ok(joined)
    })
}

/// Seconds since `begin` when all can decide.
async fn until_ready(nodes: &[Node], begin: Instant) -> Result<f64, Failure> {
    while let Some(reason) = nodes.iter().find_map(|node| node.ready().err()) {
        if begin.elapsed() > START {
            let what = format!("the nodes do not get ready: {reason}");
            return Err(Failure {
                exit: Exit::Unavailable,
                ..Failure::input(what, "see why with `COMMONS_LOG=info commons dev`")
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn failure(error: &node::Error) -> Failure {
    Failure::message(Exit::Input, error.code(), &error.to_string())
}
