//! What a device believes of a node about the secret behind personas: what two nodes say, and shares that fit.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

mod common;

use client::claim::vouch;
use client::personas::{Bound, Collected, bound, restore};
use client::{Client, Complaint, Error, Fault, PartyKey};
use common::{Clock, Fake, Lie, NOW, device};
use credential::escrow::split;
use credential::{Attribute, Fresh, MemberSecret};
use types::message::Outcome;
use types::persona::{Claim, ClaimKind, SecretShare};
use types::recovery::Released;
use types::sign::{Signed, public_key};
use types::{Digest, Epochs, MemberId, NodeId, PartyId};

const ENROLLED: Outcome = Outcome::Enrolled { member: MemberId([1; 16]) };

fn secret() -> MemberSecret {
    MemberSecret::generate(Fresh::new([3; 32]))
}

/// What a clinic vouches for; whether it may is for the nodes.
fn age() -> Signed<Claim> {
    let clinic = PartyKey::from_random(PartyId::new("clinic").unwrap(), &[8; 32]);
    vouch(&clinic, &Digest([1; 32]), public_key(&device()), (ClaimKind::AgeBand, "18-29"), NOW + 100)
}

fn bound_fake(lies: [Lie; 3]) -> Fake {
    let mut fake = Fake::new(ENROLLED, lies);
    fake.bound = Some(secret().commitment());
    fake
}

async fn collect(fake: &Fake) -> Result<Collected, Error> {
    let client = Client::new(fake.roster.clone(), fake, Clock(fake)).unwrap();
    client.collect(&device(), &secret(), Epochs::DAILY.at(NOW), &[age()]).await
}

fn misbehaved(node: NodeId) -> Error {
    Error::Misbehaved { complaint: Complaint { node, fault: Fault::WrongCredential } }
}

/// Everything that a node could sign and no honest one does.
const LIES: [Lie; 9] = [
    Lie::DropsClaims,
    Lie::MarksMember,
    Lie::AnotherAdmission,
    Lie::AnotherCommunity,
    Lie::AnotherVersion,
    Lie::AnotherEpoch,
    Lie::AnotherSecret,
    Lie::AnotherIssuerKey,
    Lie::IssuesNothing,
];

#[tokio::test]
async fn three_honest_nodes_sign_alike() {
    let fake = bound_fake([Lie::None; 3]);
    let collected = collect(&fake).await.unwrap();
    assert_eq!((collected.credentials.len(), collected.missing), (3, vec![]));
    for credential in collected.credentials {
        let value = |attribute| credential.attributes().value(attribute);
        assert_eq!((value(Attribute::AgeBand), value(Attribute::Role)), ("18-29", ""), "what was brought, and nothing else");
    }
}

#[tokio::test]
async fn what_one_node_writes_of_its_own_is_not_taken_and_the_node_is_named() {
    for lie in LIES {
        for liar in NodeId::ALL {
            let mut lies = [Lie::None; 3];
            lies[liar.index()] = lie;
            let collected = collect(&bound_fake(lies)).await.unwrap_or_else(|error| panic!("{lie:?}: {error}"));
            let nodes: Vec<NodeId> = collected.credentials.iter().map(credential::Credential::node).collect();
            let honest: Vec<NodeId> = NodeId::ALL.into_iter().filter(|node| *node != liar).collect();
            assert_eq!(nodes, honest, "{lie:?} of {liar}");
            assert_eq!(collected.missing, [(liar, misbehaved(liar))], "{lie:?} of {liar}");
            // Nothing of it can be shown: no credential that is kept has the mark.
            let marked = |credential: &credential::Credential| !credential.attributes().value(Attribute::Role).is_empty();
            assert!(!collected.credentials.iter().any(marked));
        }
    }
}

#[tokio::test]
async fn two_words_of_one_kind_are_needed() {
    let [one, two, three] = NodeId::ALL;
    for lie in LIES {
        // One lies and one is away: the third alone is not enough, and the lie weighs more than the silence.
        let lone = collect(&bound_fake([lie, Lie::Unreached, Lie::None])).await;
        match lie {
            // Of two that both can be true, neither is believed.
            Lie::AnotherAdmission => {
                assert_eq!(lone, Err(Error::CredentialsDiffer { nodes: vec![one, three] }), "{lie:?}");
            }
            _ => assert!(matches!(lone, Err(Error::Misbehaved { complaint }) if complaint.node == one), "{lie:?}: {lone:?}"),
        }
    }
    let alone = collect(&bound_fake([Lie::Unreached, Lie::None, Lie::Unreached])).await;
    assert_eq!(
        alone,
        Err(Error::Unavailable { nodes: vec![one, three] }),
        "an honest node is not blamed for others' silence"
    );
    let away = collect(&bound_fake([Lie::Unreached; 3])).await;
    assert_eq!(away, Err(Error::Unavailable { nodes: vec![one, two, three] }));
}

#[tokio::test]
async fn the_node_that_says_another_binding_than_the_two_is_named() {
    let device = device();
    for liar in NodeId::ALL {
        let mut lies = [Lie::None; 3];
        lies[liar.index()] = Lie::BoundElsewhere;
        let fake = bound_fake(lies);
        let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
        assert_eq!(bound(&client.status(&device).await.unwrap()), Err(misbehaved(liar)));
    }
    let fake = bound_fake([Lie::Unreached, Lie::None, Lie::None]);
    let client = Client::new(fake.roster.clone(), &fake, Clock(&fake)).unwrap();
    let own = secret().commitment().digest();
    assert_eq!(bound(&client.status(&device).await.unwrap()), Ok(Bound::To(own)));
}

#[test]
fn a_secret_comes_back_from_two_shares_that_fit_whatever_a_third_node_says() {
    let (ours, other) = (secret(), MemberSecret::generate(Fresh::new([4; 32])));
    let (shares, _) = split(&ours, Fresh::new([5; 32]));
    let (foreign, _) = split(&other, Fresh::new([6; 32]));
    let digest = ours.commitment().digest();
    let released =
        |share: Option<[u8; 65]>| Released { member: MemberId([1; 16]), trace: None, share: share.map(SecretShare) };
    let honest = |node: NodeId| (node, released(Some(shares[node.index()].to_bytes())));
    for liar in NodeId::ALL {
        let wrong = [
            None,
            Some([0; 65]),
            Some([255; 65]),
            Some(foreign[liar.index()].to_bytes()),
            Some(shares[liar.next().index()].to_bytes()),
        ];
        for word in wrong {
            let two = NodeId::ALL.into_iter().filter(|node| *node != liar).map(honest);
            let mut all: Vec<(NodeId, Released)> = two.chain([(liar, released(word))]).collect();
            all.sort_by_key(|(node, _)| *node);
            assert!(restore(&all, &digest).unwrap() == ours, "{liar}");
            // With one honest share beside it there is no secret, and none is made up.
            let [first, second] = [liar, liar.next()];
            let two = [(first, released(word)), honest(second)];
            assert_eq!(restore(&two, &digest).err(), Some(credential::Error::Escrow.into()), "{liar}");
        }
    }
    // All three shares of a secret that is not the one bound: nobody's personas.
    let all: Vec<(NodeId, Released)> =
        NodeId::ALL.into_iter().map(|node| (node, released(Some(foreign[node.index()].to_bytes())))).collect();
    assert_eq!(restore(&all, &digest).err(), Some(credential::Error::Escrow.into()));
    assert!(restore(&all, &other.commitment().digest()).unwrap() == other);
    assert!(restore(&[], &digest).is_err());
}
