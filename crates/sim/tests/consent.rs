//! Consent with real processes: operators sign the rules, a member grants, and pulls the cord while a node is down.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use std::time::Duration;

use charter::{Act, Party, PurposeEntry};
use client::native::NativeClient;
use client::request::{Question, Template};
use client::{Error, PartyKey};
use common::{ready, until};
use sim::Commons;
use sim::commons::{PROFILE, program};
use sim::crowd::{Crowd, Person};
use types::consent::{GrantState, Operation, Purpose, Terms};
use types::message::Outcome;
use types::{GrantId, NodeId, PartyId};

struct Clinic {
    commons: Commons,
    client: NativeClient,
    ada: Person,
    clinic: PartyKey,
}

fn care() -> Purpose {
    Purpose::new("dpv:ServiceProvision").unwrap()
}

impl Clinic {
    /// Three processes, rules with one relying party, one member.
    async fn open() -> Self {
        let mut commons = Commons::create(&program(env!("CARGO")).unwrap(), PROFILE).unwrap();
        NodeId::ALL.into_iter().for_each(|node| commons.start(node).unwrap());
        let client = NativeClient::connect(commons.roster().clone()).unwrap();
        ready(&client, &commons).await;
        let clinic = PartyKey::from_random(PartyId::new("clinic").unwrap(), &[5; 32]);
        let before = client.charter().await.unwrap();
        let mut document = before.charter.document().clone();
        (document.version, document.previous) = (1, before.digest());
        let (title, text) = ("Care".to_owned(), "Whether a member comes for care.".to_owned());
        document.purposes.push(PurposeEntry { term: care(), title, text, operations: vec![Act::Membership] });
        document.parties.push(Party {
            id: clinic.id.clone(),
            name: "The clinic".to_owned(),
            contact: "hello@clinic.example".to_owned(),
            key: clinic.public(),
            operations: vec![Operation::Membership],
            purposes: vec![care()],
            profiles: Vec::new(),
            max_uses: 10,
            max_days: 30,
            asks_per_day: 20,
        });
        let signed = commons.sign_charter(&charter::Charter::new(document, commons.roster()).unwrap().document().clone());
        let mut crowd = Crowd::new(7, 64);
        let (ada, messenger) = (crowd.person(), crowd.person());
        let adopted = client.settle(&messenger.device, Question::AdoptCharter(signed.unwrap())).await.unwrap();
        assert_eq!(adopted.outcome(), Outcome::CharterAdopted { version: 1 });
        client.forget_charter();
        let profile = &commons.roster().profiles[0];
        let values = ada.template(profile);
        client.enrol(&ada.device, Template { profile: &profile.id, values: &values }, "").await.unwrap();
        Self { commons, client, ada, clinic }
    }

    async fn grant(&self) -> GrantId {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let terms = Terms {
            party: self.clinic.id.clone(),
            operation: Operation::Membership,
            profile: None,
            purpose: care(),
            note: String::new(),
            not_before: now - 5,
            expires_at: now + 3600,
            uses: 10,
        };
        let proof = self.client.settle(&self.ada.device, Question::Grant(terms)).await.unwrap();
        assert_eq!(proof.outcome(), Outcome::Granted);
        proof.certificate.decision.operation.into()
    }

    async fn use_once(&self, grant: GrantId) -> Result<Outcome, Error> {
        let question = Question::Use { party: self.clinic.id.clone(), grant, purpose: care(), sample: None };
        self.client.settle(self.clinic.signing(), question).await.map(|proof| proof.outcome())
    }

    /// Whether a node states that the shield is up and nothing of hers can be used; absent when it does not answer.
    async fn shielded(&self, node: NodeId) -> Option<bool> {
        let statements = self.client.status(&self.ada.device).await.unwrap();
        let member = statements.nodes[node.index()].as_ref().ok()?.member.clone()?;
        let suspended = member.grants.iter().all(|grant| grant.state != GrantState::Active);
        Some(member.shield.is_some() && (suspended || member.asks.is_empty()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_holds_while_a_node_is_down_and_on_that_node_before_it_serves() {
    let mut world = Clinic::open().await;
    for down in NodeId::ALL {
        let grant = world.grant().await;
        assert!(matches!(world.use_once(grant).await, Ok(Outcome::Answered { uses_left: 9, .. })));
        world.commons.kill(down).unwrap();
        let up: Vec<NodeId> = NodeId::ALL.into_iter().filter(|node| *node != down).collect();

        let shield = world.client.shield_up(&world.ada.device).await.unwrap();
        assert!(shield.proof.is_none(), "a joint decision needs all three");
        for node in NodeId::ALL {
            let holds = shield.statements.nodes[node.index()].as_ref().map(|s| s.member.as_ref().unwrap().shield.is_some());
            match node == down {
                true => assert!(matches!(holds, Err(Error::Unavailable { .. })), "{holds:?}"),
                false => assert_eq!(holds.ok(), Some(true), "{node} holds it at once"),
            }
        }
        // One of the two that know of it dies as well. The third comes back and hears of it from the other.
        world.commons.kill(up[0]).unwrap();
        world.commons.start(down).unwrap();
        until("the node that was down knows of the shield", async || world.shielded(down).await == Some(true)).await;
        assert!(world.use_once(grant).await.is_err());
        world.commons.start(up[0]).unwrap();
        ready(&world.client, &world.commons).await;
        let refused = world.use_once(grant).await.unwrap_err();
        assert!(matches!(&refused, Error::Refused { code, .. } if code == "grant-not-active"), "{down} was down: {refused}");

        // It is decided by all three now, and only what she picks comes back.
        until("the shield is decided", async || {
            let events = world.client.events(&world.ada.device, 0).await.unwrap();
            events.events.iter().filter(|event| event.certificate.decision.outcome.name() == "shielded").count()
                > down.index()
        })
        .await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let lowered = world.client.settle(&world.ada.device, Question::ShieldDown(vec![grant])).await.unwrap();
        assert_eq!(lowered.outcome(), Outcome::Unshielded { restored: 1 });
        assert!(matches!(world.use_once(grant).await, Ok(Outcome::Answered { uses_left: 8, .. })));
        let revoked = world.client.settle(&world.ada.device, Question::Revoke(grant)).await.unwrap();
        assert_eq!(revoked.outcome(), Outcome::Revoked { grant });
    }
    for node in NodeId::ALL {
        world.commons.stop(node).unwrap();
    }
}
