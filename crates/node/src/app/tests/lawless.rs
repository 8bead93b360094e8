//! One honest node is enough: what a coordinator without rules proposes, the other two do not take part in.

use types::consent::Operation;
use types::message::{Action, Outcome};
use types::{GrantId, NodeId};

use super::consent::Care;
use super::world::Call;
use crate::Error;
use crate::app::faults::Faults;

/// A commons in which node 1, which proposes, keeps no rule of consent.
async fn under_a_lawless_coordinator(seed: u64) -> Care {
    let mut care = Care::new(seed).await;
    let [one, ..] = NodeId::ALL;
    care.world.kill(one).await;
    care.world.start_with(one, Faults::lawless()).await;
    care.world.mend();
    care.world.settle().await;
    care
}

/// Sends a use that no rule allows: the honest nodes name the rule, and nothing is decided anywhere.
async fn comes_to_nothing(care: &mut Care, call: &Call, rule: &str) {
    let batches = NodeId::ALL.map(|node| care.world.app(node).commons().batch);
    let [lawless, two, three] = care.world.send(call).await;
    let lawless = lawless.unwrap_err();
    assert!(matches!(lawless, Error::NotEverywhere { .. } | Error::Aborted { .. }), "{lawless}");
    for honest in [two, three] {
        assert_eq!(honest.unwrap_err().rule(), Some(rule));
    }
    assert_eq!(NodeId::ALL.map(|node| care.world.app(node).commons().batch), batches);
    let told = care.world.outcome(&care.clinic.clone(), call.signed.message.operation).await;
    assert!(told.iter().all(Result::is_err), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_without_a_standing_grant_is_stopped_by_the_other_two() {
    let mut care = under_a_lawless_coordinator(81).await;
    let ada = care.ada.clone();
    let grant = care.granted(Operation::Membership, 1).await;
    let call = care.use_membership(grant);
    assert!(matches!(care.world.decide(&call).await, Outcome::Answered { uses_left: 0, .. }));
    let over = care.use_membership(grant);
    comes_to_nothing(&mut care, &over, "grant-spent").await;

    let revoked = care.granted(Operation::Membership, 5).await;
    let call = care.world.plain(&ada, Action::Revoke { grant: revoked });
    care.world.decide(&call).await;
    let hidden = care.use_membership(revoked);
    comes_to_nothing(&mut care, &hidden, "grant-not-active").await;

    let late = care.granted(Operation::Membership, 5).await;
    care.world.clock.advance(8 * super::consent::DAY_S);
    let call = care.use_membership(late);
    comes_to_nothing(&mut care, &call, "grant-expired").await;

    let grant = care.granted(Operation::Verification, 5).await;
    let bare = care.use_membership(grant);
    comes_to_nothing(&mut care, &bare, "sample-missing").await;
    let (mut forged, thief) = (care.use_membership(grant), care.world.person());
    let mut request = forged.signed.message.clone();
    request.device = types::sign::public_key(&thief.key);
    request.trace = thief.trace().commitment();
    (forged.signed, forged.trace) = (types::sign::Signed::new(request, &thief.key), thief.trace());
    comes_to_nothing(&mut care, &forged, "party-key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_under_a_shield_is_stopped_by_the_other_two() {
    let mut care = under_a_lawless_coordinator(82).await;
    let ada = care.ada.clone();
    let grant: GrantId = care.granted(Operation::Membership, 5).await;
    let shield = care.world.plain(&ada, Action::ShieldUp);
    // The two honest nodes hear of it; what the lawless one does with it is its own affair.
    for node in [NodeId::ALL[1], NodeId::ALL[2]] {
        care.world.app(node).raise_shield(shield.signed.clone()).await.unwrap();
    }
    let call = care.use_membership(grant);
    let answers = care.world.send(&call).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    let told = care.world.outcome(&care.clinic.clone(), call.signed.message.operation).await;
    assert!(told.iter().all(Result::is_err), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_uses_at_once_spend_two_or_the_second_is_none() {
    let mut care = under_a_lawless_coordinator(83).await;
    for _ in 0..5 {
        let grant = care.granted(Operation::Membership, 1).await;
        let (one, two) = (care.use_membership(grant), care.use_membership(grant));
        let (first, second) = tokio::join!(care.world.send(&one), care.world.send(&two));
        let decided = |answers: &super::world::Answers| answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(decided(&first) + decided(&second), 3, "{first:?} {second:?}");
    }
}
