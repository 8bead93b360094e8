//! Memberships are bound to one secret, for good, on all nodes alike; each node signs credentials by itself, for whom it may.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use charter::ClaimEntry;
use credential::escrow::{self, Share};
use credential::{
    Attribute, Attributes, Challenge, Context, Credential, Epoch, Error as Refused, Fresh, IssuedSignature, IssuerKey,
    Issuers, Kind, MemberSecret, Presentation, present, verify,
};
use types::message::{Action, Outcome};
use types::persona::{Binding, Claim, ClaimKind};
use types::seal;
use types::sign::{Message as _, Signed, public_key};
use types::{Digest, NodeId, PartyId};

use super::consent::Care;
use super::crashes::{POINTS, chains_are_equal, fate, send_through_crash};
use super::world::{Call, Person, World, issuer_key};
use crate::Error;

pub(super) fn secret(seed: u8) -> MemberSecret {
    MemberSecret::generate(Fresh::new([seed; 32]))
}

/// What a device sends to bind a membership; `change` may spoil the shares.
pub(super) fn binding(secret: &MemberSecret, seed: u8) -> (Binding, [Share; 3]) {
    let (shares, slope) = escrow::split(secret, Fresh::new([seed; 32]));
    let request = secret.request(Fresh::new([seed.wrapping_add(1); 32]));
    let commitment = secret.commitment().digest();
    (Binding { commitment, request: request.to_bytes(), slope: slope.to_bytes() }, shares)
}

/// Signs a binding and seals the shares.
pub(super) fn call(world: &mut World, person: &Person, binding: Binding, shares: &[Share; 3]) -> Call {
    let mut call = world.plain(person, Action::Bind(binding));
    let digest = call.signed.message.digest();
    call.shares = NodeId::ALL.map(|node| Some(world.seal(node, seal::ESCROW, &digest, &shares[node.index()].to_bytes())));
    call
}

/// A world with a member who is not bound yet.
pub(super) async fn world_with_ada(seed: u64) -> (World, Person) {
    let mut world = World::new(seed).await;
    let ada = world.person();
    let enrol = world.enrol(&ada);
    world.decide(&enrol).await;
    (world, ada)
}

/// The randomness with which [`bind`] splits secrets.
pub(super) const SPLIT: u8 = 50;

/// Binds a member to a secret.
pub(super) async fn bind(world: &mut World, person: &Person, of: &MemberSecret) {
    let (binding, shares) = binding(of, SPLIT);
    let bind = call(world, person, binding, &shares);
    assert!(matches!(world.decide(&bind).await, Outcome::Bound { .. }));
}

/// The pseudonym under which a member's fresh credentials are verified.
pub(super) async fn shown(world: &mut World, person: &Person, of: &MemberSecret) -> credential::Pseudonym {
    let credentials = collect(world, person, of).await;
    let (now, context) = (crate::app::Clock::now(&*world.clock), clinic());
    let shown = show(world, of, &credentials).unwrap();
    let challenge = Challenge::new(&context, [9; 32], now, 120);
    verify(&shown, &context, &challenge, now, &Issuers::of(&world.roster).unwrap()).unwrap().pseudonym
}

pub(super) async fn bound(seed: u64, of: &MemberSecret) -> (World, Person) {
    let (mut world, ada) = world_with_ada(seed).await;
    let (binding, shares) = binding(of, 50);
    let bind = call(&mut world, &ada, binding, &shares);
    let commitment = of.commitment().digest();
    assert_eq!(world.decide(&bind).await, Outcome::Bound { commitment });
    (world, ada)
}

fn epoch(world: &World) -> Epoch {
    world.roster.epochs.at(crate::app::Clock::now(&*world.clock))
}

/// Asks one node for its credential.
pub(super) async fn issue(world: &mut World, node: NodeId, person: &Person, of: &MemberSecret) -> Result<Credential, Error> {
    let epoch = epoch(world);
    let statement = world.state(node, person, Action::Issue { epoch, claims: Vec::new() }).await?;
    let issued = statement.issued.unwrap();
    let attributes = Attributes::from_bytes(&issued.attributes).unwrap();
    assert_eq!(attributes.value(Attribute::Community), "test");
    let issuers = Issuers::of(&world.roster).unwrap();
    let signature = IssuedSignature::from_bytes(issued.signature);
    Ok(Credential::accept(of, &issuers, node, issued.epoch, &attributes, &signature)?)
}

pub(super) async fn collect(world: &mut World, person: &Person, of: &MemberSecret) -> Vec<Credential> {
    let mut credentials = Vec::new();
    for node in NodeId::ALL {
        credentials.push(issue(world, node, person, of).await.unwrap());
    }
    credentials
}

fn clinic() -> Context {
    Context::new("programme", "https://clinic.example", Kind::Standing).unwrap()
}

pub(super) fn show(world: &World, of: &MemberSecret, credentials: &[Credential]) -> Result<Presentation, Refused> {
    let (now, context) = (crate::app::Clock::now(&*world.clock), clinic());
    let issuers = Issuers::of(&world.roster).unwrap();
    let challenge = Challenge::new(&context, [9; 32], now, 120);
    present(of, credentials, &issuers, &context, &challenge, "https://clinic.example", now, Fresh::new([8; 32]))
}

/// What a verifier that asked as in [`show`] says.
pub(super) fn accepted(world: &World, shown: &Presentation) -> Result<(), Refused> {
    let (now, context) = (crate::app::Clock::now(&*world.clock), clinic());
    let challenge = Challenge::new(&context, [9; 32], now, 120);
    verify(shown, &context, &challenge, now, &Issuers::of(&world.roster).unwrap()).map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_bound_once_and_each_node_signs_and_keeps_a_share() {
    let ours = secret(1);
    let (mut world, ada) = bound(201, &ours).await;
    let credentials = collect(&mut world, &ada, &ours).await;
    let (now, context) = (crate::app::Clock::now(&*world.clock), clinic());
    let issuers = Issuers::of(&world.roster).unwrap();
    let shown = show(&world, &ours, &credentials).unwrap();
    let challenge = Challenge::new(&context, [9; 32], now, 120);
    assert_eq!(verify(&shown, &context, &challenge, now, &issuers).unwrap().pseudonym, *shown.pseudonym());

    // Another secret, and the same once more: refused by rule on every node, and the member sees that it was tried.
    for other in [secret(2), secret(1)] {
        let (binding, shares) = binding(&other, 60);
        let again = call(&mut world, &ada, binding, &shares);
        for answer in world.send(&again).await {
            assert_eq!(answer.unwrap_err().rule(), Some("already-bound"));
        }
    }
    for node in NodeId::ALL {
        let member = world.member(node, &ada).await;
        assert_eq!(member.bound, Some(ours.commitment().digest()));
        assert_eq!(member.last_issue.map(|issue| issue.epoch), Some(epoch(&world)));
        let tried: Vec<_> = member.refused.iter().map(|tried| (tried.action.as_str(), tried.rule.as_str())).collect();
        assert_eq!(tried, [("bind", "already-bound"); 2]);
    }
    let shares = world.kept_shares(&ada).await;
    let (first, second) = (shares[0].clone().unwrap(), shares[2].clone().unwrap());
    assert!(escrow::combine_shares(&first, &second).unwrap() == ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_alone_mints_nobody() {
    let ours = secret(3);
    let (mut world, ada) = bound(202, &ours).await;
    let [one, ..] = NodeId::ALL;
    let honest = issue(&mut world, one, &ada, &ours).await.unwrap();
    assert_eq!(show(&world, &ours, &[honest]), Err(Refused::TooFewCredentials { have: 1 }));
    // Node 1 signs whatever it likes, for a person who never enrolled; and under the other nodes' names.
    let ghost = secret(4);
    let issuers = Issuers::of(&world.roster).unwrap();
    let (rogue, epoch) = (issuer_key(one), epoch(&world));
    let attributes = Attributes::new("test", epoch, 0).unwrap();
    let forge = |key: &IssuerKey, node: NodeId| {
        let issued = key.issue(&issuers.name(node), epoch, &ghost.commitment(), &attributes).unwrap();
        Credential::accept(&ghost, &issuers, node, epoch, &attributes, &issued)
    };
    let own = forge(&rogue, one).unwrap();
    assert_eq!(show(&world, &ghost, &[own.clone(), own]), Err(Refused::TooFewCredentials { have: 1 }));
    for other in [NodeId::ALL[1], NodeId::ALL[2]] {
        assert_eq!(forge(&rogue, other), Err(Refused::Issued { node: other }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_commitment_for_each_node_is_decided_by_none() {
    let (mut world, ada) = world_with_ada(203).await;
    let (mine, other) = (secret(5), secret(6));
    let (binding_a, shares_a) = binding(&mine, 70);
    let (binding_b, shares_b) = binding(&other, 80);
    let (a, b) = (call(&mut world, &ada, binding_a, &shares_a), call(&mut world, &ada, binding_b, &shares_b));
    // Two nodes get the one, the third the other, under one operation id.
    let mut b_signed = b.signed.message.clone();
    b_signed.operation = a.signed.message.operation;
    let signed = Signed::new(b_signed, &ada.key);
    let digest = signed.message.digest();
    let shares = NodeId::ALL.map(|node| Some(world.seal(node, seal::ESCROW, &digest, &shares_b[node.index()].to_bytes())));
    let b = Call { signed, shares, trace: ada.trace() };
    let [one, two, three] = NodeId::ALL;
    let (first, second) = tokio::join!(world.send_to(&a, [one, two]), world.send_to(&b, [three]));
    assert!(first.iter().chain(&second).all(Result::is_err), "{first:?} {second:?}");
    for node in NodeId::ALL {
        assert_eq!(world.member(node, &ada).await.bound, None);
        let error = issue(&mut world, node, &ada, &mine).await.unwrap_err();
        assert_eq!(error.rule(), Some("not-bound"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_does_not_hold_together_is_refused_whole() {
    let (mut world, ada) = world_with_ada(204).await;
    let (mine, other) = (secret(7), secret(8));
    let (good, shares) = binding(&mine, 90);
    let (foreign, foreign_shares) = binding(&other, 100);
    let cases: [(&str, Binding, [Share; 3]); 5] = [
        ("the proof of another secret", Binding { commitment: foreign.commitment, ..good.clone() }, shares.clone()),
        (
            "an altered proof",
            Binding {
                request: {
                    let mut request = good.request;
                    request[60] ^= 1;
                    request
                },
                ..good.clone()
            },
            shares.clone(),
        ),
        ("another slope", Binding { slope: foreign.slope, ..good.clone() }, shares.clone()),
        ("one share of another secret", good.clone(), [shares[0].clone(), shares[1].clone(), foreign_shares[2].clone()]),
        ("another node's share", good.clone(), [shares[1].clone(), shares[1].clone(), shares[2].clone()]),
    ];
    for (what, binding, shares) in cases {
        let spoiled = call(&mut world, &ada, binding, &shares);
        let answers = world.send(&spoiled).await;
        assert!(answers.iter().all(Result::is_err), "{what}: {answers:?}");
        let code = |answer: &Result<_, Error>| answer.as_ref().err().map(Error::code);
        assert!(answers.iter().any(|answer| code(answer) == Some("bad-binding")), "{what}: {answers:?}");
    }
    let mut bare = call(&mut world, &ada, good.clone(), &shares);
    bare.shares = [None, None, None];
    assert!(world.send(&bare).await.iter().all(|answer| matches!(answer, Err(Error::ShareMissing))));
    // A template's seal is not a secret's.
    let mut confused = world.plain(&ada, Action::Bind(good.clone()));
    let digest = confused.signed.message.digest();
    confused.shares = NodeId::ALL.map(|node| Some(world.seal(node, seal::SHARE, &digest, &shares[node.index()].to_bytes())));
    assert!(world.send(&confused).await.iter().any(|answer| matches!(answer, Err(Error::Value(_)))));
    for node in NodeId::ALL {
        assert_eq!(world.member(node, &ada).await.bound, None);
    }
    let fine = call(&mut world, &ada, good, &shares);
    assert!(matches!(world.decide(&fine).await, Outcome::Bound { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_or_shields_themselves_or_is_nobody_is_not_issued_to() {
    let ours = secret(9);
    let (mut world, ada) = bound(205, &ours).await;
    let two = NodeId::ALL[1];
    let now = epoch(&world);
    for wrong in [Epoch(now.0 - 1), Epoch(now.0 + 2), Epoch(u32::MAX)] {
        let error = world.state(two, &ada, Action::Issue { epoch: wrong, claims: Vec::new() }).await.unwrap_err();
        assert_eq!(error.rule(), Some("epoch-not-issued"), "{wrong:?}");
    }
    let stranger = world.person();
    assert!(matches!(issue(&mut world, two, &stranger, &ours).await, Err(Error::UnknownMember)));

    let up = world.plain(&ada, Action::ShieldUp);
    world.app(two).raise_shield(up.signed).await.unwrap();
    // Node 2 alone knows of it so far, and that is enough for node 2.
    assert_eq!(issue(&mut world, two, &ada, &ours).await.unwrap_err().rule(), Some("shield-up"));
    for _ in 0..200 {
        if world.member(NodeId::ALL[0], &ada).await.shield.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let down = world.plain(&ada, Action::ShieldDown { restore: Vec::new() });
    for _ in 0..200 {
        if world.send(&down).await.iter().all(Result::is_ok) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let up = world.member(NodeId::ALL[2], &ada).await.shield.is_some();
    if !up {
        issue(&mut world, two, &ada, &ours).await.unwrap();
    }

    let leave = world.plain(&ada, Action::Withdraw { profile: None });
    assert!(matches!(world.decide(&leave).await, Outcome::Withdrawn { .. }));
    for node in NodeId::ALL {
        assert!(matches!(issue(&mut world, node, &ada, &ours).await, Err(Error::UnknownMember)));
    }
    // Nothing of the secret is left on any disk.
    let share = escrow::split(&ours, Fresh::new([50; 32])).0;
    for node in NodeId::ALL {
        world.kill(node).await;
        let bytes = share[node.index()].to_bytes();
        for entry in std::fs::read_dir(world.path(node)).unwrap().flatten() {
            let Ok(file) = std::fs::read(entry.path()) else { continue };
            assert!(!file.windows(32).any(|window| *window == bytes[1..33]), "{}", entry.path().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issuing_is_the_same_when_asked_again_and_not_without_end() {
    let ours = secret(10);
    let (mut world, ada) = bound(206, &ours).await;
    let one = NodeId::ALL[0];
    let first = issue(&mut world, one, &ada, &ours).await.unwrap();
    assert_eq!(issue(&mut world, one, &ada, &ours).await.unwrap(), first);
    let mut refused = None;
    for _ in 0..20 {
        if let Err(error) = issue(&mut world, one, &ada, &ours).await {
            refused = Some(error);
            break;
        }
    }
    assert!(matches!(refused, Some(Error::TooManyAttempts { .. })), "{refused:?}");
    // Another member is not held up.
    let ben = world.person();
    let enrol = world.enrol(&ben);
    world.decide(&enrol).await;
    let (binding, shares) = binding(&secret(11), 110);
    let bind = call(&mut world, &ben, binding, &shares);
    world.decide(&bind).await;
    issue(&mut world, one, &ben, &secret(11)).await.unwrap();
}

/// What a relying party vouches for is signed into the credential by each node for itself, and only what the charter lets it say.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_signed_where_the_charter_names_its_party_and_nobody_elses_is() {
    let (ours, Care { mut world, clinic, ada }) = (secret(13), Care::new(207).await);
    let entry = ClaimEntry {
        kind: ClaimKind::AgeBand,
        values: vec!["18-29".to_owned(), "30-49".to_owned()],
        parties: vec![PartyId::new("clinic").unwrap()],
    };
    world.adopt(|document| document.claims = vec![entry]).await;
    let (bound, shares) = binding(&ours, 130);
    let bind = call(&mut world, &ada, bound, &shares);
    world.decide(&bind).await;
    let now = epoch(&world);
    let claim = |world: &World, value: &str, by: &Person| {
        let (commons, device) = (world.roster.digest(), public_key(&ada.key));
        let (kind, value, party) = (ClaimKind::AgeBand, value.to_owned(), PartyId::new("clinic").unwrap());
        let expires_at = crate::app::Clock::now(&*world.clock) + 100;
        Signed::new(Claim { commons, device, kind, value, party, expires_at }, &by.key)
    };
    let good = claim(&world, "18-29", &clinic);
    for node in NodeId::ALL {
        let action = Action::Issue { epoch: now, claims: vec![good.clone()] };
        let issued = world.state(node, &ada, action).await.unwrap().issued.unwrap();
        let attributes = Attributes::from_bytes(&issued.attributes).unwrap();
        assert_eq!((attributes.value(Attribute::AgeBand), attributes.value(Attribute::Role)), ("18-29", ""));
        let signature = IssuedSignature::from_bytes(issued.signature);
        let issuers = Issuers::of(&world.roster).unwrap();
        Credential::accept(&ours, &issuers, node, now, &attributes, &signature).unwrap();
    }
    // Their own word, a value that is not listed, an altered one; on every node by itself, and the member sees that it was tried.
    let mut altered = good.clone();
    altered.message.value = "30-49".to_owned();
    for (bad, rule) in [
        (claim(&world, "18-29", &ada), "claim-invalid"),
        (claim(&world, "50-69", &clinic), "claim-not-allowed"),
        (altered, "claim-invalid"),
    ] {
        for node in NodeId::ALL {
            let action = Action::Issue { epoch: now, claims: vec![bad.clone()] };
            let error = world.state(node, &ada, action).await.unwrap_err();
            assert_eq!(error.rule(), Some(rule));
        }
    }
    let refused = world.member(NodeId::ALL[0], &ada).await.refused;
    assert_eq!(refused.iter().filter(|tried| tried.rule.starts_with("claim-")).count(), 3, "{refused:?}");
    // Left out, it is not vouched for; somebody else's claim is nobody's.
    let ben = world.person();
    let enrol = world.enrol(&ben);
    world.decide(&enrol).await;
    let (bound, shares) = binding(&secret(14), 140);
    let bind = call(&mut world, &ben, bound, &shares);
    world.decide(&bind).await;
    let stolen = world.state(NodeId::ALL[1], &ben, Action::Issue { epoch: now, claims: vec![good.clone()] }).await;
    assert_eq!(stolen.unwrap_err().rule(), Some("claim-invalid"));
    world.clock.advance(101);
    let late = world.state(NodeId::ALL[1], &ada, Action::Issue { epoch: now, claims: vec![good] }).await;
    assert_eq!(late.unwrap_err().rule(), Some("claim-invalid"), "it has expired");
}

async fn binding_survives(node: NodeId, crash: crate::app::faults::Point, seed: u64) {
    let (mut world, ada) = world_with_ada(seed).await;
    let armed = Arc::new(AtomicBool::new(true));
    world.kill(node).await;
    world.start(node, move |at| at == crash && armed.swap(false, Ordering::SeqCst)).await;
    world.mend();
    world.settle().await;
    let ours = secret(12);
    let (binding, shares) = binding(&ours, 120);
    let bind = call(&mut world, &ada, binding, &shares);
    let answers = send_through_crash(&mut world, &bind, node).await;
    let decided = fate(&mut world, &ada, &bind).await.is_some();
    assert!(decided || answers.iter().all(Result::is_err), "an answer given must stay true");
    let expected: Option<Digest> = decided.then(|| ours.commitment().digest());
    for node in NodeId::ALL {
        assert_eq!(world.member(node, &ada).await.bound, expected, "{node} at {crash:?}");
    }
    if !decided {
        // Nothing stands in the way of the next attempt.
        let (again, shares) = self::binding(&ours, 121);
        let again = call(&mut world, &ada, again, &shares);
        assert!(matches!(world.decide(&again).await, Outcome::Bound { .. }));
    }
    // All three shares are of the one secret, whatever was lost on the way.
    let kept = world.kept_shares(&ada).await.map(Option::unwrap);
    for (i, j) in [(0, 1), (1, 2), (0, 2)] {
        assert!(escrow::combine_shares(&kept[i], &kept[j]).unwrap() == ours, "{node} at {crash:?}");
    }
    collect(&mut world, &ada, &ours).await;
    chains_are_equal(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_survives_a_crash_of_each_node_at_every_point() {
    let mut seed = 210;
    for node in NodeId::ALL {
        for point in POINTS {
            binding_survives(node, point, seed).await;
            seed += 1;
        }
    }
}
