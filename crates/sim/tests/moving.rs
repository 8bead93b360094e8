//! Three real nodes take in a better model with the operators' own commands, while members come and go.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use charter::{Charter, Modality};
use client::native::NativeClient;
use client::request::{Question, Sample, Template};
use client::{Error, Followed};
use common::{follow, ready, until};
use sim::Commons;
use sim::commons::{PROFILE, program};
use sim::crowd::{Crowd, Person};
use types::NodeId;
use types::message::Outcome;

/// A sample in both profiles, to enrol or to renew.
async fn both(client: &NativeClient, person: &Person, renews: bool) -> Result<Outcome, Error> {
    let profiles = &client.commons().roster().profiles;
    let (new, old) = (person.template(&profiles[1]), person.template(&profiles[0]));
    let former = Some(Template { profile: &profiles[0].id, values: &old });
    let sample = Sample { former, ..Sample::new(Template { profile: &profiles[1].id, values: &new }, "simulation") };
    let question = if renews { Question::Renew(sample) } else { Question::Enrol(sample) };
    client.settle(&person.device, question).await.map(|proof| proof.outcome())
}

async fn verifies(client: &NativeClient, person: &Person, profile: usize) -> bool {
    let profile = &client.commons().roster().profiles[profile];
    let values = person.template(profile);
    let template = Template { profile: &profile.id, values: &values };
    let proof = client.verify(&person.device, template, "simulation").await;
    proof.is_ok_and(|proof| proof.outcome() == Outcome::Verified { matched: true })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commons_of_three_processes_takes_in_a_better_model() {
    let mut crowd = Crowd::new(11, 64);
    let mut commons = Commons::create(&program(env!("CARGO")).unwrap(), PROFILE).unwrap();
    NodeId::ALL.into_iter().for_each(|node| commons.start(node).unwrap());
    let client = NativeClient::connect(commons.roster().clone()).unwrap();
    ready(&client, &commons).await;
    let people: Vec<Person> = (0..12).map(|_| crowd.person()).collect();
    let first = commons.roster().clone();
    let profile = &first.profiles[0];
    let mut receipts = Vec::new();
    for person in &people {
        let values = person.template(profile);
        let template = Template { profile: &profile.id, values: &values };
        let proof = client.enrol(&person.device, template, "simulation").await.unwrap();
        receipts.push(client.keep(&proof, None).await.unwrap());
    }
    let mut followed = Followed::new(&first).unwrap();
    follow(&client, &mut followed, 12).await;
    drop(client);

    // One node with the new roster and two with the old one: they do not speak, and decide nothing.
    let newer = PROFILE.replace("'vector-64'", "'vector-96'").replace("dimensions = 64", "dimensions = 96");
    commons.stop(NodeId::ALL[2]).unwrap();
    commons.add_profile(&newer).unwrap();
    let second = commons.roster().clone();
    assert!(first.continues_as(&second) && !second.continues_as(&first) && first.digest() == second.digest());
    commons.start(NodeId::ALL[2]).unwrap();
    let client = NativeClient::connect(second.clone()).unwrap();
    until("the two notice it", async || {
        let facts = client.public_facts().await;
        facts[0].as_ref().is_ok_and(|facts| facts.peers.iter().any(|peer| !peer.available)) && facts[2].is_ok()
    })
    .await;
    assert!(!verifies(&client, &people[0], 0).await);
    for node in [NodeId::ALL[0], NodeId::ALL[1]] {
        commons.stop(node).unwrap();
        commons.start(node).unwrap();
    }
    ready(&client, &commons).await;

    // The charter has it replace the older one.
    let before = client.charter().await.unwrap();
    let mut document = before.charter.document().clone();
    (document.version, document.previous) = (1, before.digest());
    document.modalities.push(Modality {
        profile: second.profiles[1].id.clone(),
        profile_digest: second.profiles[1].digest(),
        threshold: Charter::threshold(&second.profiles[1]),
        stations: document.modalities[0].stations,
        replaces: Some(second.profiles[0].id.clone()),
    });
    let signed = commons.sign_charter(Charter::new(document, &second).unwrap().document()).unwrap();
    let messenger = crowd.person();
    let adopted = client.settle(&messenger.device, Question::AdoptCharter(signed)).await.unwrap();
    assert_eq!(adopted.outcome(), Outcome::CharterAdopted { version: 1 });
    client.forget_charter();

    for person in &people[..6] {
        assert_eq!(both(&client, &crowd.again(person), true).await.unwrap(), Outcome::Renewed);
    }
    for (n, person) in people.iter().enumerate() {
        let again = crowd.again(person);
        assert_eq!((verifies(&client, &again, 1).await, verifies(&client, &again, 0).await), (n < 6, n >= 6), "{n}");
        assert_eq!(both(&client, &crowd.double(person), false).await.unwrap(), Outcome::Duplicate, "{n}");
    }
    assert!(matches!(both(&client, &crowd.person(), false).await.unwrap(), Outcome::Enrolled { .. }));

    // What was decided and signed before holds under the new roster, and the logs go on.
    for receipt in &receipts {
        assert!(receipt.check(&second).is_ok());
    }
    follow(&client, &mut followed, 12 + 1 + 6).await;
    // All of it is on the disks.
    NodeId::ALL.into_iter().for_each(|node| commons.kill(node).unwrap());
    for node in NodeId::ALL {
        let checked = commons.command(node, "fsck").output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        commons.start(node).unwrap();
    }
    ready(&client, &commons).await;
    for (n, person) in people.iter().enumerate() {
        assert!(verifies(&client, &crowd.again(person), usize::from(n < 6)).await, "{n}");
    }
}
