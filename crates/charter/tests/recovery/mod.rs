//! Guardians and recoveries: what each rule refuses, and that gaining takes time while losing does not.

use charter::{Permit, RecoveryFacts, Rule};
use types::message::Action;
use types::recovery::{
    Approval, Guardian, GuardianShare, Guarding, RecoveryFault, RecoveryStart, RecoveryState, RecoveryStatement,
    SetGuardians,
};
use types::sign::Signed;
use types::{DeviceKey, OperationId, RecoveryName};

use super::support::*;
use super::{Purpose, Scene, alice, plain, scene, shielded};

const NAME: RecoveryName = RecoveryName([5; 16]);
const RECOVERY: OperationId = OperationId([6; 16]);
const NEW_DEVICE: u8 = 51;

fn share(n: u8) -> GuardianShare {
    GuardianShare::new(roster().digest(), NAME, &[n; 32])
}

fn settled(n: u8) -> Guardian {
    Guardian { key: share(n).public(), from: 0, until: None }
}

/// Guardians 1 to 5, of whom 3 must approve.
fn guarding() -> Guarding {
    Guarding { version: 1, need: 3, next_need: None, guardians: (1..=5).map(settled).collect() }
}

fn facts() -> RecoveryFacts {
    RecoveryFacts { member: member(ALICE), guarding: guarding(), recoveries: Vec::new(), faults_last_day: 0 }
}

fn waiting(device: u8) -> RecoveryStatement {
    RecoveryStatement {
        recovery: RECOVERY,
        device: public(device),
        approvals: 3,
        compared: true,
        can_veto: true,
        since: NOW,
        opens_at: NOW + 7 * DAY,
        closes_at: NOW + 37 * DAY,
        state: RecoveryState::Waiting,
    }
}

fn keys(of: &[u8]) -> Vec<DeviceKey> {
    of.iter().map(|n| share(*n).public()).collect()
}

fn set(guardians: &[u8], need: u8) -> Scene {
    let action = Action::SetGuardians(SetGuardians { name: NAME, need, guardians: keys(guardians) });
    scene(plain(), ALICE, action).with(alice).with(|f| {
        f.recovery_name = Some(NAME);
        f.recovery = Some(facts());
    })
}

fn approvals(of: &[u8]) -> Vec<Signed<Approval>> {
    of.iter().map(|n| share(*n).approve(public(NEW_DEVICE), NOW + DAY)).collect()
}

fn start_with(approvals: Vec<Signed<Approval>>, with_sample: bool) -> Scene {
    let charter = plain();
    let submission = with_sample.then(|| submission(&charter, "face-512", Purpose::verification()));
    let start = RecoveryStart { name: NAME, approvals, reply_key: [1; 32], submission };
    scene(charter, NEW_DEVICE, Action::StartRecovery(start)).with(|f| f.recovery = Some(facts()))
}

fn start(of: &[u8]) -> Scene {
    start_with(approvals(of), true)
}

fn on(action: fn(OperationId) -> Action, signer: u8, change: impl Fn(&mut RecoveryStatement) + 'static) -> Scene {
    scene(plain(), signer, action(RECOVERY)).with(move |f| {
        let mut recovery = waiting(NEW_DEVICE);
        change(&mut recovery);
        f.recovery = Some(RecoveryFacts { recoveries: vec![recovery], ..facts() });
    })
}

fn veto(change: impl Fn(&mut RecoveryStatement) + 'static) -> Scene {
    on(|recovery| Action::VetoRecovery { recovery }, ALICE, change).with(alice)
}

fn finish(change: impl Fn(&mut RecoveryStatement) + 'static) -> Scene {
    on(|recovery| Action::FinishRecovery { recovery }, NEW_DEVICE, change).at(NOW + 7 * DAY)
}

fn release(change: impl Fn(&mut RecoveryStatement) + 'static) -> Scene {
    on(
        |recovery| Action::Release { recovery },
        NEW_DEVICE,
        move |recovery| {
            recovery.state = RecoveryState::Finished;
            change(recovery);
        },
    )
    .with(alice)
}

fn guarding_after(scene: &Scene) -> (Guarding, u64) {
    match scene.allowed() {
        Permit::SetGuardians { guarding, settled_at, name: NAME } => (guarding, settled_at),
        other => panic!("{other:?}"),
    }
}

fn counting(guarding: &Guarding, now: u64) -> (Vec<u8>, u8) {
    let number = |key: &DeviceKey| (0..=20).find(|n| share(*n).public() == *key).unwrap();
    let mut counting: Vec<u8> = guarding.counting(now).map(number).collect();
    counting.sort_unstable();
    (counting, guarding.need_at(now))
}

#[track_caller]
fn fails(scene: &Scene, expected: RecoveryFault) {
    assert_eq!(scene.allowed(), Permit::RefuseRecovery { fault: expected });
}

pub(crate) fn guardians() {
    set(&[1, 2, 3], 2).with(|f| f.signer = None).refused(Rule::NotAMember);
    set(&[1, 2, 3], 2).with(shielded).refused(Rule::ShieldUp);
    set(&[1, 2, 3], 2).with(|f| f.recovery_name = Some(RecoveryName([9; 16]))).refused(Rule::RecoveryUnknown);
    set(&(1..=17).collect::<Vec<_>>(), 2).refused(Rule::TooManyGuardians);
    set(&[1, 2, 2], 2).refused(Rule::GuardianTwice);
    set(&[1, 2], 3).refused(Rule::GuardiansNeeded);
    set(&[1, 2], 1).refused(Rule::GuardiansNeeded);
    set(&(1..=12).collect::<Vec<_>>(), 11).refused(Rule::GuardiansNeeded);

    // The first ones count at once.
    let first = set(&[1, 2, 3], 2).with(|f| f.recovery = None);
    let (guarding, settled_at) = guarding_after(&first);
    assert_eq!((counting(&guarding, NOW), settled_at, guarding.version), ((vec![1, 2, 3], 2), NOW, 1));
}

pub(crate) fn losing_is_at_once_and_gaining_takes_time() {
    const WEEK: u64 = 7 * DAY;
    // One is replaced, three that count stay: the old share is dead now, the new one counts in a week.
    let (guarding, settled_at) = guarding_after(&set(&[1, 2, 3, 4, 6], 3));
    assert_eq!((counting(&guarding, NOW), settled_at), ((vec![1, 2, 3, 4], 3), NOW + WEEK));
    assert_eq!(counting(&guarding, NOW + WEEK), (vec![1, 2, 3, 4, 6], 3));
    // A thief replaces all: for a week nothing changes, and the member recovers with the old ones.
    let (guarding, _) = guarding_after(&set(&[11, 12, 13], 2));
    assert_eq!(counting(&guarding, NOW + WEEK - 1), (vec![1, 2, 3, 4, 5], 3));
    assert_eq!(counting(&guarding, NOW + WEEK), (vec![11, 12, 13], 2));
    // Again and again: the old ones never fall below what is needed before new ones count.
    let again = set(&[14, 15, 16], 2).at(NOW + DAY).with(move |f| f.recovery.as_mut().unwrap().guarding = guarding.clone());
    let (guarding, _) = guarding_after(&again);
    assert_eq!(counting(&guarding, NOW + WEEK), (vec![1, 2, 3, 4, 5], 3));
    assert_eq!(counting(&guarding, NOW + DAY + WEEK), (vec![14, 15, 16], 2));
    // Taking away down to what is needed is at once; one more is not.
    let (guarding, _) = guarding_after(&set(&[1, 2, 3], 3));
    assert_eq!(counting(&guarding, NOW).0, [1, 2, 3]);
    let two = set(&[1, 2, 11], 3).with(move |f| f.recovery.as_mut().unwrap().guarding = guarding.clone());
    let (guarding, _) = guarding_after(&two);
    assert_eq!(counting(&guarding, NOW).0, [1, 2, 3]);
    assert_eq!(counting(&guarding, NOW + WEEK).0, [1, 2, 11]);
    // Needing fewer, or more, is a change as well.
    for need in [2, 4] {
        let (guarding, _) = guarding_after(&set(&[1, 2, 3, 4, 5], need));
        assert_eq!((guarding.need_at(NOW), guarding.need_at(NOW + WEEK)), (3, need));
    }
    // None at all: after a week nobody stands guard.
    let (guarding, _) = guarding_after(&set(&[], 0));
    assert_eq!(counting(&guarding, NOW).0, [1, 2, 3, 4, 5]);
    assert_eq!(counting(&guarding, NOW + WEEK), (vec![], 0));
    let late = start(&[1, 2, 3]).at(NOW + 60).with(move |f| f.recovery.as_mut().unwrap().guarding = guarding.clone());
    assert!(matches!(late.allowed(), Permit::StartRecovery { .. }), "until then they do");
}

pub(crate) fn starting() {
    let begun = Permit::StartRecovery {
        approvals: 3,
        compares: true,
        can_veto: true,
        opens_at: NOW + 7 * DAY,
        closes_at: NOW + 37 * DAY,
    };
    assert_eq!(start(&[1, 3, 5]).allowed(), begun);
    // Under a shield, too: the thief has the phone.
    assert_eq!(start(&[1, 3, 5]).with(|f| f.recovery.as_mut().unwrap().member.shielded = true).allowed(), begun);
    start(&[1, 3, 5]).with(|f| f.recovery = None).refused(Rule::RecoveryUnknown);
    start(&[1, 3, 5]).with(alice).refused(Rule::DeviceTaken);
    start(&[1, 3, 5]).with(|f| f.former_device = true).refused(Rule::DeviceTaken);
    start(&[1; 17]).refused(Rule::TooManyApprovals);
    start(&[1, 3, 5]).with(|f| f.recovery.as_mut().unwrap().member.profiles.clear()).refused(Rule::NoRecord);
    start(&[1, 3, 5]).with(|f| f.recovery.as_mut().unwrap().guarding.guardians.clear()).refused(Rule::RecoveryOff);
    start(&[1, 3, 5])
        .with(|f| f.recovery.as_mut().unwrap().recoveries = vec![waiting(NEW_DEVICE)])
        .refused(Rule::RecoveryWaits);
    let many = |f: &mut charter::Facts<'_>| f.recovery.as_mut().unwrap().recoveries = (60..64).map(waiting).collect();
    start(&[1, 3, 5]).with(many).refused(Rule::TooManyRecoveries);
    start(&[1, 3, 5]).with(|f| f.counts.comparisons_last_hour = 20).refused(Rule::VerificationRate);

    // What does not hold is named, and noted for the member.
    fails(&start(&[1, 3]), RecoveryFault::TooFew { have: 2, need: 3 });
    fails(&start(&[1, 3, 3]), RecoveryFault::Repeated { approval: 2 });
    fails(&start(&[1, 9, 3]), RecoveryFault::NotAGuardian { approval: 1 });
    fails(&start_with(approvals(&[1, 3, 5]), false).at(NOW + DAY + 1), RecoveryFault::Expired { approval: 0 });
    let mut long = approvals(&[1, 3]);
    long.push(share(5).approve(public(NEW_DEVICE), NOW + 400 * DAY));
    fails(&start_with(long, true), RecoveryFault::Expired { approval: 2 });
    let mut lie = approvals(&[1, 3, 5]);
    lie[2].message.by = share(4).public();
    fails(&start_with(lie, true), RecoveryFault::Altered { approval: 2 });
    // An old recovery again: the approvals were for another device.
    fails(&start(&[1, 3, 5]).by(52), RecoveryFault::Altered { approval: 0 });
    let replaced = |f: &mut charter::Facts<'_>| f.recovery.as_mut().unwrap().guarding.guardians[0].until = Some(NOW);
    fails(&start(&[1, 3, 5]).with(replaced), RecoveryFault::NotAGuardian { approval: 0 });

    // Attempts that fail are few; complete ones are taken at any time.
    start(&[1, 3]).with(|f| f.recovery.as_mut().unwrap().faults_last_day = 10).refused(Rule::RecoveryRate);
    assert_eq!(start(&[1, 3, 5]).with(|f| f.recovery.as_mut().unwrap().faults_last_day = 10).allowed(), begun);
}

pub(crate) fn starting_without_a_sample_or_after_a_veto() {
    fails(&start_with(approvals(&[1, 3, 5]), false), RecoveryFault::TooFew { have: 3, need: 4 });
    let (opens_at, closes_at) = (NOW + 30 * DAY, NOW + 60 * DAY);
    let begun = Permit::StartRecovery { approvals: 4, compares: false, can_veto: true, opens_at, closes_at };
    assert_eq!(start_with(approvals(&[1, 2, 3, 5]), false).allowed(), begun);

    let vetoed = |f: &mut charter::Facts<'_>| {
        let recovery = RecoveryStatement { state: RecoveryState::Vetoed, ..waiting(NEW_DEVICE) };
        f.recovery.as_mut().unwrap().recoveries = vec![recovery];
    };
    let started = |scene: Scene| match scene.with(vetoed).allowed() {
        Permit::StartRecovery { can_veto, opens_at, .. } => (can_veto, (opens_at - NOW) / DAY),
        other => panic!("{other:?}"),
    };
    // The same number can be vetoed again; one more cannot, and waits longer.
    assert_eq!(started(start(&[1, 2, 3])), (true, 7));
    assert_eq!(started(start(&[1, 2, 3, 4])), (false, 21));
    assert_eq!(started(start_with(approvals(&[1, 2, 3, 4]), false)), (true, 30));
    assert_eq!(started(start_with(approvals(&[1, 2, 3, 4, 5]), false)), (false, 30));
    // Where all are needed, all of them are enough again.
    let all = start(&[1, 2, 3]).with(|f| f.recovery.as_mut().unwrap().guarding.guardians.truncate(3));
    assert_eq!(started(all), (false, 21));
    // Without a veto before, any number can be vetoed.
    assert!(matches!(start(&[1, 2, 3, 4, 5]).allowed(), Permit::StartRecovery { can_veto: true, .. }));
}

pub(crate) fn vetoing_and_finishing() {
    assert_eq!(veto(|_| ()).allowed(), Permit::VetoRecovery { recovery: RECOVERY });
    assert_eq!(veto(|_| ()).with(shielded).allowed(), Permit::VetoRecovery { recovery: RECOVERY });
    veto(|_| ()).with(|f| f.signer = None).refused(Rule::NotAMember);
    veto(|r| r.recovery = OperationId([1; 16])).refused(Rule::RecoveryUnknown);
    veto(|r| r.can_veto = false).refused(Rule::RecoveryFinal);
    for state in [RecoveryState::Vetoed, RecoveryState::Finished, RecoveryState::Over] {
        veto(move |r| r.state = state).refused(Rule::RecoveryOver);
        finish(move |r| r.state = state).refused(Rule::RecoveryOver);
    }

    assert_eq!(finish(|_| ()).allowed(), Permit::FinishRecovery { recovery: RECOVERY });
    finish(|_| ()).at(NOW + 7 * DAY - 1).refused(Rule::RecoveryEarly);
    assert_eq!(finish(|_| ()).at(NOW + 37 * DAY).allowed(), Permit::FinishRecovery { recovery: RECOVERY });
    finish(|_| ()).at(NOW + 37 * DAY + 1).refused(Rule::RecoveryOver);
    finish(|r| r.device = public(52)).refused(Rule::RecoveryUnknown);
    finish(|_| ()).with(|f| f.recovery = None).refused(Rule::RecoveryUnknown);
    // Meanwhile the device enrolled somebody else.
    finish(|_| ()).with(alice).refused(Rule::DeviceTaken);

    assert_eq!(release(|_| ()).allowed(), Permit::Tell);
    release(|r| r.state = RecoveryState::Waiting).refused(Rule::RecoveryUnknown);
    release(|r| r.device = public(ALICE)).refused(Rule::RecoveryUnknown);
    release(|_| ()).with(|f| f.signer = None).refused(Rule::NotAMember);
    // A device that was replaced cannot come back as somebody new.
    super::enrol(plain(), |_| ()).with(|f| f.former_device = true).refused(Rule::DeviceTaken);
}
