//! Nodes are killed at random instants while people enrol, verify and withdraw.
//!
//! `COMMONS_KILLS` sets the number of kills (12), `COMMONS_SEED` the seed. What must hold is said in the crate's documentation.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::native::NativeClient;
use client::request::Template;
use client::{Error, Patience, Proof};
use common::ready;
use node::store::Store;
use sim::Commons;
use sim::commons::{PROFILE, program};
use sim::crowd::{Crowd, Person};
use tlog::merkle::leaf_hash;
use tlog::tile::Resource;
use tlog::{Bundle, Peaks};
use types::message::Outcome;
use types::profile::Profile;
use types::{Digest, NodeId};

/// People who act at the same time.
const BUSY: u64 = 4;

/// What became of one person, as far as their device knows.
struct Story {
    person: Person,
    /// Certificates held, in order.
    proofs: Vec<Proof>,
    /// What the last certificate says, unless an operation after it is in doubt.
    enrolled: Option<bool>,
}

/// Counts for the report.
#[derive(Default)]
struct Tally {
    decided: AtomicUsize,
    refused: AtomicUsize,
    in_doubt: AtomicUsize,
}

struct Actor {
    client: Arc<NativeClient>,
    profile: Profile,
    crowd: Crowd,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
}

impl Actor {
    /// People come one after another until it is over.
    async fn act(mut self) -> Vec<Story> {
        let mut stories = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let person = self.crowd.person();
            let mut story = Story { person, proofs: Vec::new(), enrolled: Some(false) };
            self.enrol(&mut story).await;
            if story.enrolled == Some(true) && self.crowd.below(3) == 0 {
                self.verify(&mut story).await;
            }
            if story.enrolled == Some(true) && self.crowd.below(4) == 0 {
                self.withdraw(&mut story).await;
            }
            stories.push(story);
        }
        stories
    }

    async fn enrol(&mut self, story: &mut Story) {
        let values = story.person.template(&self.profile);
        let template = Template { profile: &self.profile.id, values: &values };
        let result = self.client.enrol(&story.person.device, template, "simulation").await;
        if let Some(outcome) = self.note(story, result).await {
            assert!(matches!(outcome, Outcome::Enrolled { .. }), "a new person is no duplicate: {outcome:?}");
            story.enrolled = Some(true);
        }
    }

    async fn verify(&mut self, story: &mut Story) {
        let again = self.crowd.again(&story.person);
        let values = again.template(&self.profile);
        let template = Template { profile: &self.profile.id, values: &values };
        let result = self.client.verify(&again.device, template, "simulation").await;
        let before = story.enrolled;
        if let Some(outcome) = self.note(story, result).await {
            assert_eq!(outcome, Outcome::Verified { matched: true });
        }
        // A verification in doubt changes nothing.
        story.enrolled = before;
    }

    async fn withdraw(&mut self, story: &mut Story) {
        let result = self.client.withdraw(&story.person.device, None).await;
        if let Some(outcome) = self.note(story, result).await {
            assert_eq!(outcome, Outcome::Withdrawn { records: 1 });
            story.enrolled = Some(false);
        }
    }

    async fn note(&self, story: &mut Story, result: Result<Proof, Error>) -> Option<Outcome> {
        match result {
            Ok(proof) => {
                assert!(proof.complaints.is_empty(), "{:?}", proof.complaints);
                self.tally.decided.fetch_add(1, Ordering::SeqCst);
                let outcome = proof.outcome();
                story.proofs.push(proof);
                Some(outcome)
            }
            Err(Error::Undecided { .. }) => {
                self.tally.in_doubt.fetch_add(1, Ordering::SeqCst);
                story.enrolled = None;
                None
            }
            Err(Error::Unavailable { .. } | Error::TryAgain { .. }) => {
                self.tally.refused.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_nodes_lose_nothing_diverge_in_nothing_and_enrol_nobody_by_half() {
    let setting = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (kills, seed) = (setting("COMMONS_KILLS", 12), setting("COMMONS_SEED", 1));
    let mut commons = Commons::create(&program(env!("CARGO")).unwrap(), PROFILE).unwrap();
    NodeId::ALL.into_iter().for_each(|node| commons.start(node).unwrap());
    // Who hears nothing of an operation gives up when its request has expired.
    let patience = Patience { lifetime_s: 10, ..Patience::default() };
    let client = Arc::new(NativeClient::connect(commons.roster().clone()).unwrap().with_patience(patience));
    ready(&client, &commons).await;

    let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let actors: Vec<_> = (1..=BUSY)
        .map(|n| Actor {
            client: Arc::clone(&client),
            profile: commons.roster().profiles[0].clone(),
            crowd: Crowd::new(seed * 1000 + n, 64),
            stop: Arc::clone(&stop),
            tally: Arc::clone(&tally),
        })
        .map(|actor| tokio::spawn(actor.act()))
        .collect();

    let watching = tokio::spawn(watch(Arc::clone(&client), Arc::clone(&stop)));

    let mut chance = Crowd::new(seed, 64);
    let (mut healing, mut refreshes) = (Duration::ZERO, Vec::new());
    for _ in 0..kills {
        let node = NodeId::ALL[usize::try_from(chance.below(3)).unwrap()];
        if chance.below(2) == 0 {
            tokio::time::sleep(Duration::from_millis(50 + chance.below(400))).await;
        } else {
            // At some instant of a publication: soon after the node has logged something, which it signs and has cosigned next.
            next_entry(&client, node).await;
            tokio::time::sleep(Duration::from_millis(chance.below(130))).await;
        }
        // An operator has the shares renewed; it may be that a refresh is going on, or that the node falls over this one.
        let operator = NodeId::ALL[usize::try_from(chance.below(3)).unwrap()];
        let mut refresh = commons.command(operator, "refresh");
        refreshes.push(refresh.arg("--no-wait").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        tokio::time::sleep(Duration::from_millis(chance.below(200))).await;
        commons.kill(node).unwrap();
        tokio::time::sleep(Duration::from_millis(chance.below(150))).await;
        let began = Instant::now();
        commons.start(node).unwrap();
        // Sometimes the next blow falls before the commons has healed.
        if chance.below(4) > 0 {
            ready(&client, &commons).await;
            healing = healing.max(began.elapsed());
        }
    }
    ready(&client, &commons).await;
    for mut refresh in refreshes {
        refresh.wait().unwrap();
    }
    let epoch = refreshed(&client).await + 1;
    let last = commons.command(NodeId::ALL[0], "refresh").output().unwrap();
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    assert_eq!(refreshed(&client).await, epoch);
    stop.store(true, Ordering::SeqCst);
    let mut stories = Vec::new();
    for actor in actors {
        stories.extend(actor.await.unwrap());
    }
    let seen = watching.await.unwrap();
    check_people(&client, &commons, &mut stories, &mut chance).await;
    check_logs(&client, &commons, &stories, &seen).await;
    for node in NodeId::ALL {
        commons.stop(node).unwrap();
    }
    check_directories(&commons, &stories, epoch).await;

    let certificates: usize = stories.iter().map(|story| story.proofs.len()).sum();
    assert!(certificates > 0, "nobody got through");
    println!(
        "{kills} kills, {} people, {certificates} certificates, {} refused meanwhile, {} in doubt, longest healing {healing:.2?}, \
         {epoch} refreshes: 0 lost, 0 divergent, 0 half enrolled; {} checkpoints seen of logs that only grew",
        stories.len(),
        tally.refused.load(Ordering::SeqCst),
        tally.in_doubt.load(Ordering::SeqCst),
        seen.iter().map(BTreeMap::len).sum::<usize>(),
    );
}

/// Sizes and roots of checkpoints that the logs of nodes 1, 2 and 3 have shown.
type Seen = [BTreeMap<u64, Digest>; 3];

/// Somebody who follows the logs while nodes fall and come back.
async fn watch(client: Arc<NativeClient>, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::SeqCst) {
        for node in NodeId::ALL {
            let Ok(signed) = client.checkpoint(node).await else { continue };
            let key = tlog::checkpoint::log_key(client.commons().roster(), node).unwrap();
            let checkpoint = signed.verify(&key).unwrap();
            let first = *seen[node.index()].entry(checkpoint.size).or_insert(checkpoint.root);
            assert_eq!(first, checkpoint.root, "node {node} showed two logs of {} entries", checkpoint.size);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen
}

/// Waits until a node has logged more than now, for a while.
async fn next_entry(client: &NativeClient, node: NodeId) {
    let batch = async || client.public_facts().await[node.index()].as_ref().ok().map(|facts| facts.batch);
    let before = batch().await;
    for _ in 0..200 {
        if batch().await > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The logs are whole, cosigned and alike; every checkpoint that was ever shown is their beginning; every certificate is in them.
async fn check_logs(client: &NativeClient, commons: &Commons, stories: &[Story], seen: &Seen) {
    let mut look = client.follow(&client::logs::Following::new(commons.roster()).unwrap()).await;
    let began = Instant::now();
    while !look.problems.is_empty() || look.following.cross.ahead() != [0; 3] {
        assert!(began.elapsed() < Duration::from_secs(60), "the logs: {:?}", look.problems);
        tokio::time::sleep(Duration::from_millis(100)).await;
        look = client.follow(&client::logs::Following::new(commons.roster()).unwrap()).await;
    }
    for (node, seen) in NodeId::ALL.into_iter().zip(seen) {
        let size = look.following.logs[node.index()].size();
        let mut peaks = Peaks::default();
        for bundle in Bundle::covering(0, size) {
            let bytes = client.log_file(node, Resource::Entries(bundle)).await.unwrap();
            for entry in bundle.decode(&bytes).unwrap() {
                peaks.append(leaf_hash(entry));
                if let Some(root) = seen.get(&peaks.size()) {
                    assert_eq!(*root, peaks.root(), "node {node} showed another log of {} entries once", peaks.size());
                }
            }
        }
        assert!(seen.keys().all(|shown| *shown <= size), "node {node} showed entries that are gone");
    }
    for proof in stories.iter().flat_map(|story| &story.proofs) {
        let kept = client.keep(proof, None).await.unwrap();
        client.complete(&kept).await.unwrap();
    }
}

/// Asks about many people at once, each on their own.
async fn check_people(client: &Arc<NativeClient>, commons: &Commons, stories: &mut Vec<Story>, crowd: &mut Crowd) {
    let mut checks = tokio::task::JoinSet::new();
    let turns = Arc::new(tokio::sync::Semaphore::new(16));
    for mut story in stories.drain(..) {
        let (client, turns, double) = (Arc::clone(client), Arc::clone(&turns), crowd.double(&story.person));
        let profile = commons.roster().profiles[0].clone();
        checks.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            check_statements(&client, &mut story).await;
            check_matching(&client, &profile, &story, &double).await;
            story
        });
    }
    while let Some(story) = checks.join_next().await {
        stories.push(story.unwrap());
    }
}

/// Every node states the same of a person, and what the person's certificates say.
async fn check_statements(client: &NativeClient, story: &mut Story) {
    let statements = client.status(&story.person.device).await.unwrap();
    statements.all().unwrap();
    assert!(statements.agree(), "divergent: {statements:?}");
    let known = statements.has_record(None);
    if let Some(expected) = story.enrolled {
        assert_eq!(known, expected, "lost or half enrolled");
    }
    story.enrolled = Some(known);
    for proof in &story.proofs {
        let operation = proof.certificate.decision.operation;
        let outcome = client.outcome(&story.person.device, operation).await.unwrap();
        // A withdrawal takes the certificates of the time before with it.
        if known {
            assert_eq!(outcome.as_ref().map(|o| &o.certificate), Some(&proof.certificate), "lost");
        }
    }
}

/// Whom the nodes know is found by matching, and whom they do not know is not.
async fn check_matching(client: &NativeClient, profile: &Profile, story: &Story, double: &Person) {
    let values = double.template(profile);
    let template = Template { profile: &profile.id, values: &values };
    let outcome = client.enrol(&double.device, template, "simulation").await.unwrap().outcome();
    let duplicate = outcome == Outcome::Duplicate;
    assert_eq!(Some(duplicate), story.enrolled, "half enrolled: {outcome:?}");
}

/// The stopped nodes' directories hold the same chain and the same records, and no open promise.
async fn check_directories(commons: &Commons, stories: &[Story], epoch: u64) {
    let mut found = Vec::new();
    for node in NodeId::ALL {
        let store = Store::open(&commons.data(node), node, commons.roster()).await.unwrap();
        assert!(store.prepared().await.unwrap().is_none(), "node {node} still holds a promise");
        let found_epoch = store.epoch().await.unwrap();
        assert!(found_epoch.present == epoch && found_epoch.coming.is_none(), "{found_epoch:?}");
        // Nothing is left of other epochs.
        let above = commons.data(node).join("shares").join(commons.roster().profiles[0].id.as_str());
        let names: Vec<_> = std::fs::read_dir(above).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [format!("e{epoch:06}").as_str()]);
        // The same records in the same slots.
        let gallery = store.gallery(&commons.roster().profiles[0].id).unwrap();
        let slots = gallery.read().unwrap().usable_words().to_vec();
        found.push((store.chain().await.unwrap(), store.record_counts().await.unwrap(), slots));
    }
    assert!(found.iter().all(|one| *one == found[0]), "divergent: {found:?}");
    // Every person is known once: by the first device, or by the double that enrolled in the end.
    assert_eq!(found[0].1[0].1, stories.len() as u64);
}

/// Waits until no refresh is going on. Returns how many there have been.
async fn refreshed(client: &NativeClient) -> u64 {
    for _ in 0..1000 {
        let facts: Vec<_> = client.public_facts().await.into_iter().filter_map(Result::ok).collect();
        if facts.len() == 3 && facts.iter().all(|one| !one.refreshing && one.epoch == facts[0].epoch) {
            return facts[0].epoch;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a refresh does not end");
}
