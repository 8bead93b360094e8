//! How long an enrolment takes through the public API, with a gallery of 10,000 templates of 512 dimensions.
//!
//! Run it with `cargo bench -p sim --bench latency`. `COMMONS_GALLERY` sets the gallery
//! (10000), `COMMONS_ENROLMENTS` the measured enrolments (200). All three nodes and the client share this machine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that meets the unexpected should panic"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::Error;
use client::native::NativeClient;
use client::request::Template;
use sim::Commons;
use sim::commons::program;
use sim::crowd::{Crowd, Person};
use types::NodeId;
use types::message::Outcome;
use types::profile::Profile;

const PROFILE: &str = "id = 'vector-512'\nversion = 1\nmodality = 'simulated'\ndescription = 'random unit vectors'\n[matching]\n\
    kind = 'embedding'\ndimensions = 512\nscale = 148\nclamp = 64\ncosine_threshold = 0.4\nnorm_min = 0.9\nnorm_max = 1.05\n";
/// Enrolments at the same time while the gallery fills.
const TOGETHER: usize = 256;

#[tokio::main]
async fn main() {
    let setting = |name: &str, default: usize| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (gallery, enrolments) = (setting("COMMONS_GALLERY", 10_000), setting("COMMONS_ENROLMENTS", 200));
    let mut commons = Commons::create(&program(env!("CARGO")).unwrap(), PROFILE).unwrap();
    NodeId::ALL.into_iter().for_each(|node| commons.start(node).unwrap());
    let client = Arc::new(NativeClient::connect(commons.roster().clone()).unwrap());
    let profile = commons.roster().profiles[0].clone();
    let mut crowd = Crowd::new(1, 512);
    while !client.public_facts().await.iter().all(|f| f.as_ref().is_ok_and(|f| f.peers.iter().all(|p| p.available))) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let (began, turns) = (Instant::now(), Arc::new(tokio::sync::Semaphore::new(TOGETHER)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..gallery {
        let (client, profile, person) = (Arc::clone(&client), profile.clone(), crowd.person());
        let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
        tasks.spawn(async move {
            enrol(&client, &profile, &person).await;
            drop(turn);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let filling = began.elapsed();

    let mut times = Vec::new();
    for _ in 0..enrolments {
        let person = crowd.person();
        let began = Instant::now();
        enrol(&client, &profile, &person).await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!(
        "{gallery} enrolled in {filling:.1?}, {TOGETHER} at a time; then {enrolments} one by one: p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
        at(50),
        at(99),
        at(100)
    );
}

async fn enrol(client: &NativeClient, profile: &Profile, person: &Person) {
    let values = person.template(profile);
    loop {
        let template = Template { profile: &profile.id, values: &values };
        match client.enrol(&person.device, template, "measurement").await {
            Ok(proof) => {
                assert!(matches!(proof.outcome(), Outcome::Enrolled { .. }));
                return;
            }
            Err(Error::TryAgain { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("{error}"),
        }
    }
}
