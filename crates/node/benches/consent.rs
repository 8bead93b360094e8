//! What consent and logging add to the time of a verification, and how soon a shield holds.
//!
//! Run it with `cargo bench -p node --bench consent`; `docs/performance.md` has its figures. Three nodes over TLS in this process. The
//! template is tiny, so a verification here is nearly all protocol and disk: the shares of consent and logging are as large as they
//! get.
//!
//! - **Consent**: each node judges a request when it comes and again at the head of the chain. One after another on the way of an
//!   operation are: at admission, at the node that proposes, at the nodes that check the proposal. So three times the mean time of
//!   a judgement (`commons_judging_seconds`) is what consent takes.
//! - **Logging**: what publication takes (signing, two cosignatures, and their records on disk), by turns with publication held. Rows
//!   and hashes of an entry are made in any case; their share is at most what one operation adds to a full batch, everything included
//!   (`--bench log`).
//! - **Shield**: from sending to the statements of all nodes that it is up, each verified.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    dead_code,
    reason = "a measurement that meets the unexpected should panic"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Call, Commons, Device};
use types::NodeId;
use types::api::{StatementBody, from_base64};
use types::message::{Action, Statement};
use types::sign::Signed;

const FACE: [i32; 8] = [96, 0, 0, 0, 0, 0, 0, 0];
/// Verifications with publication and without, by turns, and how many of each in a turn.
const TURNS: usize = 10;
const IN_A_TURN: usize = 10;
/// Shields of each kind, and with a node that is stopped and started.
const SHIELDS: usize = 50;
const RETURNS: usize = 5;

fn main() {
    // What cargo passes is for harnesses with several parts.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let commons = Commons::start_with(|config| {
            config.patience.attempts = 1_000_000;
            config.http.device_per_minute = 1_000_000;
            config.http.device_burst = 1_000_000;
            config.http.address_per_minute = 1_000_000;
            config.http.address_burst = 1_000_000;
        })
        .await;
        let mut commons = Bench { commons };
        commons.latency().await;
        commons.shields().await;
        commons.commons.stop_all().await;
    });
}

struct Bench {
    commons: Commons,
}

impl Bench {
    async fn latency(&self) {
        let commons = &self.commons;
        let ada = Device::new(&commons.roster);
        commons.decided("/v1/enrolments", &ada.enrol(FACE)).await;
        let (mut on, mut off) = (Vec::new(), Vec::new());
        let before = self.judged().await;
        for turn in 0..2 * TURNS {
            let held = turn % 2 == 1;
            commons.nodes.iter().flatten().for_each(|node| node.app().hold_publication(held));
            for _ in 0..IN_A_TURN {
                let call = ada.verify(FACE);
                let began = Instant::now();
                commons.decided("/v1/verifications", &call).await;
                if held { off.push(began.elapsed()) } else { on.push(began.elapsed()) }
            }
        }
        commons.nodes.iter().flatten().for_each(|node| node.app().hold_publication(false));
        let after = self.judged().await;
        let (with, without) = (median(&mut on), median(&mut off));
        let judgement = (after.0 - before.0) / (after.1 - before.1);
        let consent = 3.0 * judgement / with.as_secs_f64();
        let published = 1.0 - without.as_secs_f64() / with.as_secs_f64();
        println!("verification, median                        {with:.2?}, {without:.2?} with publication held");
        println!("one judgement, mean of {:>5}                {:.0} us", after.1 - before.1, 1e6 * judgement);
        println!("consent (three judgements in a row)         {:.1} % of a verification", 100.0 * consent);
        println!("publication of the log                      {:.1} % of a verification", 100.0 * published);
        assert!(judgement > 0.0, "every operation is judged");
    }

    /// Seconds that all three nodes have spent on judgements, and how many there were.
    async fn judged(&self) -> (f64, f64) {
        let (mut seconds, mut count) = (0.0, 0.0);
        for node in NodeId::ALL {
            let page = self.commons.http.get(self.commons.url(node, "/metrics")).send().await.unwrap().text().await.unwrap();
            let value = |name: &str| -> f64 {
                let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
                line.trim().parse().unwrap()
            };
            seconds += value("commons_judging_seconds_sum ");
            count += value("commons_judging_seconds_count ");
        }
        (seconds, count)
    }

    async fn shields(&mut self) {
        let key = Device::new(&self.commons.roster).key;
        let roster = self.commons.roster.clone();
        let ada = Device { key, roster: &roster };
        self.commons.decided("/v1/enrolments", &ada.enrol([0, 96, 0, 0, 0, 0, 0, 0])).await;
        let [_, two, three] = NodeId::ALL;

        let (mut everywhere, mut decided, mut by_one) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SHIELDS {
            let call = ada.ask(Action::ShieldUp);
            let began = Instant::now();
            self.raise(&call, &NodeId::ALL).await;
            everywhere.push(began.elapsed());
            self.settled(&ada, &call).await;
            decided.push(began.elapsed());
            self.lower(&ada).await;

            // The member reaches one node only; the others hear of it from that one.
            let call = ada.ask(Action::ShieldUp);
            let began = Instant::now();
            self.raise(&call, &[two]).await;
            for node in NodeId::ALL {
                while !self.is_up(node, &ada).await {}
            }
            by_one.push(began.elapsed());
            self.settled(&ada, &call).await;
            self.lower(&ada).await;
        }
        tell("shield: holds on all three nodes", &mut everywhere);
        tell("shield: decided, logged and signed by all", &mut decided);
        tell("shield: on all three, one node reached", &mut by_one);

        let (mut on_two, mut on_return, mut serving) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RETURNS {
            self.commons.stop(three).await;
            let call = ada.ask(Action::ShieldUp);
            let began = Instant::now();
            self.raise(&call, &[NodeId::ALL[0], two]).await;
            on_two.push(began.elapsed());
            let began = Instant::now();
            self.commons.start_again(three).await;
            // Whichever is seen first: that it serves must never come before the shield.
            loop {
                let ready = self.commons.nodes[three.index()].as_ref().unwrap().ready().is_ok();
                if self.is_up(three, &ada).await {
                    on_return.push(began.elapsed());
                    break;
                }
                assert!(!ready, "a node serves before it knows of the shield");
            }
            self.commons.all_ready().await;
            serving.push(began.elapsed());
            self.settled(&ada, &call).await;
            self.lower(&ada).await;
        }
        tell("shield, node 3 stopped: holds on 1 and 2", &mut on_two);
        tell("shield, node 3 started: holds on it after", &mut on_return);
        tell("                        all nodes serve after", &mut serving);
    }

    /// Sends a shield to `nodes` at once and waits for their statements.
    async fn raise(&self, call: &Call, nodes: &[NodeId]) {
        let raised = nodes.iter().map(|node| self.stated(*node, "/v1/shield", call));
        let said = futures(raised).await;
        assert!(said.into_iter().all(|statement| statement.member.unwrap().shield.is_some()));
    }

    async fn is_up(&self, node: NodeId, device: &Device<'_>) -> bool {
        let statement = self.stated(node, "/v1/status", &device.ask(Action::Status)).await;
        statement.member.unwrap().shield.is_some()
    }

    async fn stated(&self, node: NodeId, path: &str, call: &Call) -> Statement {
        let url = self.commons.url(node, path);
        let response = self.commons.http.post(url).json(&call.bodies[node.index()]).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let body: StatementBody = response.json().await.unwrap();
        let signed = Signed::<Statement>::from_bytes(&from_base64("statement", &body.statement).unwrap()).unwrap();
        signed.verify(&self.commons.roster.node(node).unwrap().signing_key).unwrap();
        signed.message
    }

    /// Waits until every node has the joint decision.
    async fn settled(&self, device: &Device<'_>, call: &Call) {
        for node in NodeId::ALL {
            loop {
                let asks = device.ask(Action::Outcome { operation: call.operation });
                if let Ok(body) = self.commons.send_one(node, "/v1/outcomes", &asks).await {
                    break assert_eq!(body.outcome, "shielded");
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    async fn lower(&self, device: &Device<'_>) {
        let call = device.ask(Action::ShieldDown { restore: Vec::new() });
        assert_eq!(self.commons.decided("/v1/shield-down", &call).await, "unshielded");
    }
}

async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in waiting.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn tell(what: &str, times: &mut [Duration]) {
    let middle = median(times);
    let last = times[(times.len() * 99).div_ceil(100) - 1];
    println!("{what:<44}{middle:.1?} median, {last:.1?} at the 99th percentile of {}", times.len());
}
