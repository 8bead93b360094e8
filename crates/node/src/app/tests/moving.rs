//! A better model comes: members move to its profile one by one, and meanwhile nobody enrols twice, in neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use types::NodeId;
use types::consent::Purpose;
use types::message::{Action, Outcome, Submission};
use types::profile::Profile;

use super::world::{Call, PROFILE, Person, World, quantise};
use crate::app::faults::Point;

/// The profile in the roster of these tests after `vector-64` and `iris-small`.
const NEWER: usize = 2;

/// The newer model sees more of a face: 96 coordinates.
fn newer(face: &[f64]) -> Vec<u32> {
    let more = face.iter().take(32).map(|x| -x);
    let vector: Vec<f64> = face.iter().copied().chain(more).collect();
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    quantise(&vector.into_iter().map(|x| x / norm).collect::<Vec<_>>())
}

/// All three nodes add the profile to the roster, start with it, and adopt a charter that has it replace the older one.
async fn better_model(world: &mut World) {
    let text = PROFILE.replace("'vector-64'", "'vector-96'").replace("dimensions = 64", "dimensions = 96");
    let mut roster = world.roster.add(Profile::from_toml(&text).unwrap()).unwrap();
    for node in NodeId::ALL {
        roster.sign_addition(world.key(node)).unwrap();
    }
    roster.check().unwrap();
    assert!(world.roster.continues_as(&roster) && roster.digest() == world.roster.digest());
    for node in NodeId::ALL {
        world.kill(node).await;
    }
    world.roster = Arc::new(roster);
    for node in NodeId::ALL {
        world.start(node, |_| false).await;
    }
    world.mend();
    world.settle().await;
    let profile = world.roster.profiles[NEWER].clone();
    world
        .adopt(|document| {
            let older = document.modalities.iter().find(|modality| modality.profile.as_str() == "vector-64").unwrap();
            document.modalities.push(charter::Modality {
                profile: profile.id.clone(),
                profile_digest: profile.digest(),
                threshold: charter::Charter::threshold(&profile),
                stations: older.stations,
                replaces: Some(older.profile.clone()),
            });
        })
        .await;
}

/// One sample in both profiles; `faces` are those that the newer and the older model were shown.
fn both(world: &mut World, by: &Person, faces: [&Person; 2], action: impl FnOnce(Submission) -> Action) -> Call {
    let (new, old) = (newer(&faces[0].face), quantise(&faces[1].face));
    world.carry_both(by, Purpose::deduplication(), (NEWER, &new), Some((0, &old)), action, |_| ())
}

async fn verifies(world: &mut World, person: &Person, profile: usize) -> Option<bool> {
    let values = if profile == NEWER { newer(&person.face) } else { quantise(&person.face) };
    let call = world.carry(person, Purpose::verification(), profile, &values, Action::Verify, |_| ());
    match world.send(&call).await.into_iter().next().unwrap() {
        Ok(certificate) => Some(certificate.decision.outcome == Outcome::Verified { matched: true }),
        Err(error) => {
            assert_eq!(error.code(), "unknown-member");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_move_to_a_better_model_one_by_one_and_nobody_is_in_twice() {
    let mut world = World::new(360).await;
    let (ada, ben) = (world.person(), world.person());
    for person in [&ada, &ben] {
        let call = world.enrol(person);
        world.decide(&call).await;
    }
    better_model(&mut world).await;
    let since = world.member(NodeId::ALL[0], &ada).await;

    // Ada moves: her record is the newer model's, she is who she was, and the old one is gone.
    let fresh = world.again(&ada);
    let call = both(&mut world, &ada, [&fresh, &fresh], Action::Renew);
    assert_eq!(world.decide(&call).await, Outcome::Renewed);
    for node in NodeId::ALL {
        let now = world.member(node, &ada).await;
        assert_eq!((now.member, now.since), (since.member, since.since));
        assert_eq!(now.records.iter().map(|r| r.profile.as_str()).collect::<Vec<_>>(), ["vector-96"]);
    }
    assert_eq!(verifies(&mut world, &fresh, NEWER).await, Some(true));
    assert_eq!(verifies(&mut world, &fresh, 0).await, None);
    assert_eq!(verifies(&mut world, &ben, 0).await, Some(true), "who has not moved goes on as before");

    // Again under another key: found in the newer gallery (Ada) and in the older (Ben).
    for person in [&ada, &ben] {
        let twin = world.double(person);
        let call = both(&mut world, &twin, [&twin, &twin], Action::Enrol);
        assert_eq!(world.decide(&call).await, Outcome::Duplicate);
    }
    // A newcomer is taken in, in the newer profile only, and found from then on.
    let cy = world.person();
    let call = both(&mut world, &cy, [&cy, &cy], Action::Enrol);
    assert!(matches!(world.decide(&call).await, Outcome::Enrolled { .. }));
    assert_eq!((verifies(&mut world, &cy, NEWER).await, verifies(&mut world, &cy, 0).await), (Some(true), None));
    let twin = world.double(&cy);
    let call = both(&mut world, &twin, [&twin, &twin], Action::Enrol);
    assert_eq!(world.decide(&call).await, Outcome::Duplicate);
    // A later renewal stays in the newer profile, and is still compared with who has not moved.
    let later = world.again(&ada);
    let call = both(&mut world, &ada, [&later, &later], Action::Renew);
    assert_eq!(world.decide(&call).await, Outcome::Renewed);
    let call = both(&mut world, &ada, [&later, &ben], Action::Renew);
    assert_eq!(world.decide(&call).await, Outcome::NotRenewed);
    super::crashes::chains_are_equal(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_moves_to_a_record_that_is_not_theirs() {
    let mut world = World::new(361).await;
    let (ada, ben) = (world.person(), world.person());
    for person in [&ada, &ben] {
        let call = world.enrol(person);
        world.decide(&call).await;
    }
    better_model(&mut world).await;
    let call = both(&mut world, &ada, [&ada, &ada], Action::Renew);
    assert_eq!(world.decide(&call).await, Outcome::Renewed);

    // A thief with Ben's device and another face; Ben with the template of a member who has moved; both at once.
    let thief = Person { key: ben.key.clone(), ..world.person() };
    for faces in [[&thief, &thief], [&ben, &thief], [&ada, &ben], [&ada, &ada]] {
        let call = both(&mut world, &ben, faces, Action::Renew);
        assert_eq!(world.decide(&call).await, Outcome::NotRenewed);
    }
    // No template in either place.
    let wrong: Vec<u32> = quantise(&ben.face).iter().map(|value| value.wrapping_mul(3)).collect();
    let right = (newer(&ben.face), quantise(&ben.face));
    let wrong_newer: Vec<u32> = right.0.iter().map(|value| value.wrapping_mul(3)).collect();
    for (new, old) in [(&right.0, &wrong), (&wrong_newer, &right.1)] {
        let purpose = Purpose::deduplication();
        let call = world.carry_both(&ben, purpose, (NEWER, new), Some((0, old)), Action::Renew, |_| ());
        assert_eq!(world.decide(&call).await, Outcome::InvalidTemplate);
    }
    // What the charter does not want is refused by name, and a sample that lacks what it names is no sample.
    let (values, purpose) = (newer(&ben.face), Purpose::deduplication());
    let alone = world.carry(&ben, purpose.clone(), NEWER, &values, Action::Renew, |_| ());
    let enrol = both(&mut world, &ben, [&ben, &ben], Action::Enrol);
    let stranger = world.person();
    let older = world.call(&stranger, purpose, |_| ());
    for (call, rule) in [(alone, "former-sample"), (enrol, "renew-instead"), (older, "modality-replaced")] {
        for answer in world.send(&call).await {
            assert_eq!(answer.unwrap_err().rule(), Some(rule));
        }
    }
    let whole = both(&mut world, &ben, [&ben, &ben], Action::Renew);
    let mut less = world.carry(&ben, Purpose::deduplication(), 0, &quantise(&ben.face), Action::Renew, |_| ());
    less.signed = whole.signed.clone();
    let answers = world.send(&less).await;
    assert!(answers.iter().all(Result::is_err), "shares of another request do not open");
    assert_eq!(verifies(&mut world, &ben, 0).await, Some(true), "Ben is as he was");
    let call = both(&mut world, &ben, [&ben, &ben], Action::Renew);
    assert_eq!(world.decide(&call).await, Outcome::Renewed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_survives_a_crash_at_every_point_and_a_refresh_beside_it() {
    let points = [Point::BeforePrepare, Point::AfterShares, Point::AfterPrepare, Point::AfterOneVote, Point::AfterCommit];
    for (seed, (point, node)) in (370..).zip(points.into_iter().zip(NodeId::ALL.into_iter().cycle())) {
        let mut world = World::new(seed).await;
        let (ada, ben) = (world.person(), world.person());
        for person in [&ada, &ben] {
            let call = world.enrol(person);
            world.decide(&call).await;
        }
        better_model(&mut world).await;
        world.kill(node).await;
        let armed = AtomicBool::new(true);
        world.start(node, move |at| at == point && armed.swap(false, Ordering::SeqCst)).await;
        world.mend();
        world.settle().await;
        let call = both(&mut world, &ada, [&ada, &ada], Action::Renew);
        let answers = super::crashes::send_through_crash(&mut world, &call, node).await;
        let moved = world.member(node, &ada).await.records[0].profile.as_str() == "vector-96";
        assert!(moved || answers.iter().all(Result::is_err), "an answer given must stay true");
        let expected = if moved { (Some(true), None) } else { (None, Some(true)) };
        assert_eq!((verifies(&mut world, &ada, NEWER).await, verifies(&mut world, &ada, 0).await), expected);
        assert_eq!(verifies(&mut world, &ben, 0).await, Some(true));
        let twin = world.double(&ada);
        let call = both(&mut world, &twin, [&twin, &twin], Action::Enrol);
        assert_eq!(world.decide(&call).await, Outcome::Duplicate, "{node} at {point:?}");

        // Shares of both profiles are renewed alike; a move in the middle goes to the coming shares too.
        let call = world.act(node, Action::Refresh { epoch: 1 });
        world.app(node).submit(call.signed, None, None).await.unwrap();
        let call = both(&mut world, &ben, [&ben, &ben], Action::Renew);
        assert_eq!(world.decide(&call).await, Outcome::Renewed);
        world.reach(1).await;
        assert_eq!((verifies(&mut world, &ben, NEWER).await, verifies(&mut world, &ben, 0).await), (Some(true), None));
        super::crashes::chains_are_equal(&mut world).await;
    }
}
