//! Which adder is faster, over which links, for how many comparisons; and does node 1 choose that one?
//!
//! Run it with `cargo bench -p sim --bench adders`. Three nodes in this process, whose links go through [`sim::link`]: each has a
//! delay and a capacity. A probe is an enrolment of somebody who is found, so the gallery keeps its size. Each case is measured with
//! either adder by turns and then with the node's own choice. Delays are those of timers, good to about a millisecond.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement that meets the unexpected should panic"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::native::NativeClient;
use client::request::Template;
use mpc::Adder;
use mpc::record::RecordShare;
use node::run::{Loopback, Node, loopback};
use node::store::Store;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sim::crowd::Crowd;
use sim::link::{self, Distance};
use types::NodeId;
use types::message::Outcome;
use types::profile::Profile;

const DIMENSIONS: usize = 128;
const PROFILE: &str = "id = 'vector-128'\nversion = 1\nmodality = 'simulated'\ndescription = 'random unit vectors'\n[matching]\n\
    kind = 'embedding'\ndimensions = 128\nscale = 140\nclamp = 64\ncosine_threshold = 0.4\nnorm_min = 0.8\nnorm_max = 1.05\n";
/// Records in turn; one probe row each.
const GALLERIES: [usize; 4] = [1_000, 30_000, 300_000, 1_000_000];
/// One way, and capacity in Mbit/s; 0 for whatever this machine carries.
const LINKS: [(u64, u32); 6] = [(0, 0), (0, 1000), (1, 1000), (5, 1000), (20, 1000), (20, 100)];
/// Probes with each adder.
const PROBES: usize = 7;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let profile = Profile::from_toml(PROFILE).unwrap();
    let Loopback { roster, nodes, .. } = loopback(folder.path(), "measurement", vec![profile.clone()]).await.unwrap();
    let distance = Arc::new(Distance::default());
    let mut configs = nodes.map(|(config, _)| config);
    for config in &mut configs {
        // Others reach it through the link.
        let outside = config.peer.bind;
        let inside = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        config.peer.bind = inside;
        link::join(outside, inside, Arc::clone(&distance)).await.unwrap();
    }
    let client = NativeClient::connect(roster.clone()).unwrap();
    let (mut crowd, mut random, mut held) = (Crowd::new(1, DIMENSIONS), ChaCha8Rng::seed_from_u64(2), 0);
    let (mut cases, mut wrong) = (0, Vec::new());
    println!("{:>9} {:>8} {:>8}  {:>9} {:>9} {:>9}  chosen", "records", "one way", "Mbit/s", "ripple", "prefix", "chosen");
    for records in GALLERIES {
        // Shares of nobody: half of all numbers are positive, so every probe finds somebody.
        while held < records {
            let count = (records - held).min(50_000);
            for (config, node) in configs.iter().zip(NodeId::ALL) {
                let store = Store::open(&config.data_dir, node, &roster).await.unwrap();
                let mut word = || u16::from_le_bytes([0, 1].map(|_| random.next_u32().to_le_bytes()[0]));
                let share = |_| RecordShare::from_values((0..DIMENSIONS).map(|_| word()).collect());
                store.import(&profile.id, (0..count).map(share).collect()).await.unwrap();
                store.close().await;
            }
            held += count;
        }
        for (one_way_ms, mbit_per_s) in LINKS {
            distance.set(Duration::from_millis(one_way_ms), mbit_per_s);
            let mut running = Vec::new();
            for config in &configs {
                let mut config = config.clone();
                config.peer.mbit_per_s = if mbit_per_s == 0 { 1000 } else { mbit_per_s };
                running.push(Node::start(config).await.unwrap());
            }
            while running.iter().any(|node| node.ready().is_err()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let [first, ..] = running.as_slice() else { panic!("three nodes") };
            let mut probe = async |adder| {
                first.app().set_adder(adder);
                let person = crowd.person();
                let values = person.template(&profile);
                let began = Instant::now();
                let proof =
                    client.enrol(&person.device, Template { profile: &profile.id, values: &values }, "").await.unwrap();
                assert_eq!(proof.outcome(), Outcome::Duplicate);
                began.elapsed()
            };
            let mut times = [Vec::new(), Vec::new(), Vec::new()];
            for turn in 0..=PROBES {
                for (times, adder) in times.iter_mut().zip([Some(Adder::Ripple), Some(Adder::Prefix), None]) {
                    let took = probe(adder).await;
                    // The first of each warms up.
                    if turn > 0 {
                        times.push(took);
                    }
                }
            }
            let [ripple, prefix, chosen] = times.map(|mut times| {
                times.sort_unstable();
                1000.0 * times[times.len() / 2].as_secs_f64()
            });
            let choice = first.app().last_adder();
            let (taken, other) = if choice == Some(Adder::Ripple) { (ripple, prefix) } else { (prefix, ripple) };
            let loss = taken / other - 1.0;
            let verdict =
                if loss > 0.05 { format!("{:.0} % slower than the other", 100.0 * loss) } else { "well".to_owned() };
            println!(
                "{records:>9} {one_way_ms:>5} ms {mbit_per_s:>8}  {ripple:>6.1} ms {prefix:>6.1} ms {chosen:>6.1} ms  {choice:?}: {verdict}",
            );
            cases += 1;
            if loss > 0.05 {
                wrong.push(loss);
            }
            for node in running {
                node.stop().await;
            }
        }
    }
    println!(
        "{} of {cases} choices cost at most 5 %; the worst costs {:.0} %",
        cases - wrong.len(),
        100.0 * wrong.iter().fold(0.0, |a, b| f64::max(a, *b))
    );
}
