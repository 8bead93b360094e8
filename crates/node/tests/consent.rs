//! Consent over HTTP: every call that a member, a relying party or an operator makes, once with success, and how a refusal looks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod common;

use charter::{Act, Charter, Party, PurposeEntry};
use common::{Commons, Device, now};
use node::identity::Identity;
use types::api::{CharterBody, StatementBody, from_base64};
use types::consent::{
    Answer, Ask, CharterDocument, Narrowing, Operation, Purpose, Reply, SignedCharter, StandingGrant, Terms, Use,
};
use types::message::{Action, Statement};
use types::sign::{Signed, public_key, sign};
use types::{AskId, GrantId, NodeId, PartyId};

const ALICE: [i32; 8] = [99, 0, 0, 0, 0, 0, 0, 10];

fn care() -> Purpose {
    Purpose::new("dpv:ServiceProvision").unwrap()
}

fn clinic() -> PartyId {
    PartyId::new("clinic").unwrap()
}

/// A charter that lets `key` ask for membership, signed with the keys of the three nodes.
fn charter(commons: &Commons, key: types::DeviceKey) -> SignedCharter {
    let before = Charter::default_for(&commons.roster);
    let mut document = before.document().clone();
    (document.version, document.previous) = (1, before.digest());
    let (title, text) = ("Care".to_owned(), "Whether a member comes for care.".to_owned());
    document.purposes.push(PurposeEntry { term: care(), title, text, operations: vec![Act::Membership] });
    document.parties.push(Party {
        id: clinic(),
        name: "The clinic".to_owned(),
        contact: "hello@clinic.example".to_owned(),
        key,
        operations: vec![Operation::Membership],
        purposes: vec![care()],
        profiles: Vec::new(),
        max_uses: 10,
        max_days: 30,
        asks_per_day: 20,
    });
    let document = document.canonical();
    let signatures = [0, 1, 2].map(|i| {
        let identity = Identity::load(&commons.configs[i].data_dir).unwrap();
        sign(&CharterDocument(document.clone()), identity.signing_key())
    });
    SignedCharter { document, signatures }
}

async fn in_force(commons: &Commons, node: NodeId) -> CharterBody {
    commons.http.get(commons.url(node, "/v1/charter")).send().await.unwrap().json().await.unwrap()
}

async fn stated(commons: &Commons, node: NodeId, path: &str, device: &Device<'_>, action: Action) -> Statement {
    let call = device.ask(action);
    let response = commons.http.post(commons.url(node, path)).json(&call.bodies[node.index()]).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let body: StatementBody = response.json().await.unwrap();
    let signed = Signed::<Statement>::from_bytes(&from_base64("statement", &body.statement).unwrap()).unwrap();
    signed.verify(&commons.roster.node(node).unwrap().signing_key).unwrap();
    signed.message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_consent_over_http() {
    let commons = Commons::start().await;
    let (alice, desk) = (Device::new(&commons.roster), Device::new(&commons.roster));
    let [one, two, three] = NodeId::ALL;
    assert_eq!(commons.decided("/v1/enrolments", &alice.enrol(ALICE)).await, "enrolled");

    let first = in_force(&commons, one).await;
    assert_eq!((first.version, first.signed), (0, None));
    let signed = charter(&commons, public_key(&desk.key));
    let digest = signed.digest();
    assert_eq!(commons.decided("/v1/charters", &desk.ask(Action::Charter(signed.clone()))).await, "charter-adopted");
    for node in NodeId::ALL {
        let body = in_force(&commons, node).await;
        assert_eq!((body.version, body.digest.clone()), (1, digest.to_hex()));
        assert_eq!(body.document.into_bytes(), signed.document);
        let bytes = from_base64("charter", &body.signed.unwrap()).unwrap();
        assert_eq!(types::decode::<SignedCharter>("charter", &bytes, 60_000).unwrap(), signed);
    }

    let terms = Terms {
        party: clinic(),
        operation: Operation::Membership,
        profile: None,
        purpose: care(),
        note: "at the door".to_owned(),
        not_before: now() - 5,
        expires_at: now() + 3600,
        uses: 4,
    };
    let granting = alice.ask(Action::Grant(StandingGrant { charter: digest, terms: terms.clone() }));
    assert_eq!(commons.decided("/v1/grants", &granting).await, "granted");
    let grant = GrantId::from(granting.operation);
    let usage = || desk.ask(Action::Use(Use { party: clinic(), grant, purpose: care(), submission: None }));
    assert_eq!(commons.decided("/v1/uses", &usage()).await, "answered");
    let narrowing = alice.ask(Action::Narrow(Narrowing { grant, expires_at: None, uses_left: Some(1) }));
    assert_eq!(commons.decided("/v1/narrowings", &narrowing).await, "narrowed");
    assert_eq!(commons.decided("/v1/revocations", &alice.ask(Action::Revoke { grant })).await, "revoked");
    for refused in commons.send("/v1/uses", &usage()).await {
        let problem = refused.unwrap_err();
        assert_eq!((problem.status, problem.code.as_str()), (403, "not-permitted"));
        assert_eq!(problem.rule.as_deref(), Some("grant-not-active"));
    }

    let ask = || Ask { charter: digest, subject: None, terms: terms.clone(), answer_by: now() + 600 };
    let asking = desk.ask(Action::Ask(ask()));
    assert_eq!(commons.decided("/v1/asks", &asking).await, "asked");
    let id = AskId::from(asking.operation);
    assert_eq!(stated(&commons, two, "/v1/asked", &alice, Action::See { ask: id }).await.ask.unwrap().id, id);
    let reply = Reply::Approve { terms: terms.clone(), submission: None };
    let answering = alice.ask(Action::Answer(Answer { ask: id, charter: digest, reply }));
    assert_eq!(commons.decided("/v1/answers", &answering).await, "answered");
    let hears = desk.ask(Action::Outcome { operation: asking.operation });
    assert_eq!(commons.send_one(three, "/v1/outcomes", &hears).await.unwrap().outcome, "answered");
    assert_eq!(stated(&commons, three, "/v1/status", &desk, Action::Status).await.party.unwrap().grants.len(), 1);

    // One call to one node; the decision follows on all.
    let shield = alice.ask(Action::ShieldUp);
    let url = commons.url(two, "/v1/shield");
    let raised = commons.http.post(url).json(&shield.bodies[two.index()]).send().await.unwrap();
    assert_eq!(raised.status(), 200);
    let decided = async {
        for node in NodeId::ALL {
            loop {
                let asks = alice.ask(Action::Outcome { operation: shield.operation });
                match commons.send_one(node, "/v1/outcomes", &asks).await {
                    Ok(body) => break assert_eq!(body.outcome, "shielded"),
                    Err(problem) => assert!(["in-doubt", "not-found"].contains(&problem.code.as_str()), "{problem:?}"),
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, decided).await.unwrap();
    let down = alice.ask(Action::ShieldDown { restore: vec![answering.operation.into()] });
    assert_eq!(commons.decided("/v1/shield-down", &down).await, "unshielded");

    let events = stated(&commons, one, "/v1/events", &alice, Action::Events { after_batch: 0 }).await.events;
    let names: Vec<_> = events.iter().map(|event| event.certificate.decision.outcome.name()).collect();
    let all = ["enrolled", "granted", "answered", "narrowed", "revoked", "answered", "shielded", "unshielded"];
    assert_eq!(names, all);
    assert!(events.iter().all(|event| event.certificate.verify(&commons.roster).is_ok()));
    commons.stop_all().await;
}
