//! A node is lost and made anew with the operators' own commands, while the handover and the rebuild are killed at random instants.
//!
//! `COMMONS_SEED` sets the seed. What must hold: a killed command has changed nothing that its repetition does not put right, the new
//! node serves nobody before it is whole, every member is known as before, and a refresh works at once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use client::native::NativeClient;
use client::request::Template;
use client::{Followed, Patience};
use common::{follow, ready};
use sim::Commons;
use sim::commons::{PROFILE, program};
use sim::crowd::{Crowd, Person};
use types::NodeId;
use types::message::Outcome;

const PEOPLE: usize = 40;
/// How often each command is killed.
const KILLS: u64 = 6;

async fn enrol(client: &NativeClient, commons: &Commons, person: &Person) -> Outcome {
    let profile = &commons.roster().profiles[0];
    let values = person.template(profile);
    let template = Template { profile: &profile.id, values: &values };
    client.enrol(&person.device, template, "simulation").await.unwrap().outcome()
}

async fn all_are_known(client: &NativeClient, commons: &Commons, crowd: &mut Crowd, people: &[Person]) {
    let profile = &commons.roster().profiles[0];
    for person in people {
        let again = crowd.again(person);
        let values = again.template(profile);
        let template = Template { profile: &profile.id, values: &values };
        let proof = client.verify(&again.device, template, "simulation").await.unwrap();
        assert_eq!(proof.outcome(), Outcome::Verified { matched: true });
    }
    let twin = crowd.double(&people[0]);
    assert_eq!(enrol(client, commons, &twin).await, Outcome::Duplicate);
}

/// Runs a command to its end and says how long that took.
fn whole(mut command: Command) -> Duration {
    let began = Instant::now();
    let output = command.output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{said}");
    began.elapsed()
}

/// Kills a command some time after its start; it may have ended before.
fn killed(mut command: Command, after: Duration) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let _ = child.kill();
    child.wait().unwrap();
}

/// Kills a command at instants spread over the time that it takes, then lets it end. `before` runs ahead of each attempt.
fn through_kills(crowd: &mut Crowd, command: impl Fn() -> Command, before: impl Fn()) {
    before();
    let micros = u64::try_from(whole(command()).as_micros()).unwrap();
    for _ in 0..KILLS {
        before();
        killed(command(), Duration::from_micros(crowd.below(micros)));
    }
    before();
    whole(command());
}

fn directory_names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => std::fs::copy(entry.path(), target).map(|_| ()).unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_killed_at_any_instant_is_begun_again_and_loses_nothing() {
    let seed = std::env::var("COMMONS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut crowd = Crowd::new(seed * 7919, 64);
    let mut commons = Commons::create(&program(env!("CARGO")).unwrap(), PROFILE).unwrap();
    NodeId::ALL.into_iter().for_each(|node| commons.start(node).unwrap());
    let client = NativeClient::connect(commons.roster().clone()).unwrap().with_patience(Patience::default());
    ready(&client, &commons).await;
    let mut people: Vec<Person> = (0..PEOPLE).map(|_| crowd.person()).collect();
    for person in &people {
        assert!(matches!(enrol(&client, &commons, person).await, Outcome::Enrolled { .. }));
    }
    for leaver in people.drain(10..14) {
        assert_eq!(client.withdraw(&leaver.device, None).await.unwrap().outcome(), Outcome::Withdrawn { records: 1 });
    }
    // Somebody follows the logs, and holds a receipt.
    let mut followed = Followed::new(commons.roster()).unwrap();
    follow(&client, &mut followed, PEOPLE as u64 + 4).await;
    drop(client);

    let lost = NodeId::ALL[1];
    NodeId::ALL.into_iter().for_each(|node| commons.stop(node).unwrap());
    let before = [lost.next(), lost.prev()].map(|node| std::fs::read(commons.data(node).join("meta.sqlite")).unwrap().len());
    commons.replace(lost).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files: [PathBuf; 2] = ["one", "other"].map(|name| folder.path().join(name));
    let hand_over = |node: NodeId, first: Option<&PathBuf>, out: &PathBuf| {
        let mut command = commons.command(node, "handover");
        command.arg("--out").arg(out);
        if let Some(first) = first {
            command.arg("--with").arg(first);
        }
        command
    };
    through_kills(&mut crowd, || hand_over(lost.next(), None, &files[0]), || ());
    through_kills(&mut crowd, || hand_over(lost.prev(), Some(&files[0]), &files[1]), || ());
    for (node, length) in [lost.next(), lost.prev()].into_iter().zip(before) {
        whole(commons.command(node, "fsck"));
        assert!(
            !directory_names(&commons.data(node)).iter().any(|name| name.starts_with("handover")),
            "node {node} is tidy"
        );
        assert!(std::fs::read(commons.data(node).join("meta.sqlite")).unwrap().len() >= length);
    }

    // What the new node was before; a rebuild that has ended refuses to be run again, so each attempt has it back.
    let (empty, data) = (folder.path().join("empty"), commons.data(lost));
    copy(&data, &empty);
    let rebuild = || {
        let mut command = commons.command(lost, "rebuild");
        command.args(&files);
        command
    };
    through_kills(&mut crowd, rebuild, || {
        // Only a finished one is put back: what a killed one left is what the next has to cope with.
        let mut check = commons.command(lost, "fsck");
        let report = check.arg("--json").output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap_or_default();
        let decisions = report["report"]["parts"][1]["checked"].as_u64().unwrap_or_default();
        if decisions > 0 {
            std::fs::remove_dir_all(&data).unwrap();
            copy(&empty, &data);
        }
    });
    for node in NodeId::ALL {
        whole(commons.command(node, "fsck"));
    }

    NodeId::ALL.into_iter().for_each(|node| commons.start(node).unwrap());
    let client = NativeClient::connect(commons.roster().clone()).unwrap().with_patience(Patience::default());
    ready(&client, &commons).await;
    all_are_known(&client, &commons, &mut crowd, &people).await;
    // The logs go on, the new node's too, for whoever followed them before the loss.
    let mut followed = Followed::from_bytes(commons.roster(), &followed.to_bytes()).unwrap();
    follow(&client, &mut followed, PEOPLE as u64 + 4 + people.len() as u64).await;
    whole(commons.command(lost, "refresh"));
    all_are_known(&client, &commons, &mut crowd, &people).await;
    let newcomer = crowd.person();
    assert!(matches!(enrol(&client, &commons, &newcomer).await, Outcome::Enrolled { .. }));
    NodeId::ALL.into_iter().for_each(|node| commons.stop(node).unwrap());
}
