//! Guardians and a new device: what a member gets back, what a thief does not, and that all nodes agree through every crash.

use types::consent::{GrantState, Operation, Purpose};
use types::message::{Action, Outcome, Statement};
use types::recovery::{
    Approval, GuardedStatement, GuardianShare, RecoveryFault, RecoveryStart, RecoveryState, SetGuardians,
};
use types::seal::{self, SealKey};
use types::sign::{Message as _, Signed, public_key};
use types::{NodeId, OperationId, UnixSeconds};

use super::consent::{Care, DAY_S};
use credential::escrow;

use super::crashes::{POINTS, chains_are_equal, fate, send_through_crash};
use super::personas;
use super::world::{Call, Person, agreed, quantise};
use crate::Error;
use crate::app::config::Clock as _;
use crate::app::faults::{Faults, Point};

const WEEK_S: u64 = 7 * DAY_S;
const ONE: NodeId = NodeId::ALL[0];
const TWO: NodeId = NodeId::ALL[1];
const THREE: NodeId = NodeId::ALL[2];

/// A member with five guardians, of whom three must approve, and a new device of hers.
pub(super) struct Guarded {
    pub(super) care: Care,
    pub(super) shares: Vec<GuardianShare>,
    pub(super) phone: Person,
}

impl Guarded {
    pub(super) async fn new(seed: u64) -> Self {
        let mut care = Care::new(seed).await;
        let phone = care.world.double(&care.ada.clone());
        let mut guarded = Self { care, shares: Vec::new(), phone };
        guarded.shares = guarded.fresh(1..=5);
        let ada = guarded.care.ada.clone();
        let call = guarded.set(&ada, 3, &guarded.shares.clone());
        assert!(matches!(guarded.care.world.decide(&call).await, Outcome::GuardiansSet { version: 1, .. }));
        guarded
    }

    fn fresh(&self, numbers: std::ops::RangeInclusive<u8>) -> Vec<GuardianShare> {
        let (commons, name) = (self.care.world.roster.digest(), self.care.ada.trace().recovery());
        numbers.map(|n| GuardianShare::new(commons, name, &[n; 32])).collect()
    }

    fn set(&mut self, signer: &Person, need: u8, shares: &[GuardianShare]) -> Call {
        let guardians = shares.iter().map(GuardianShare::public).collect();
        let name = self.care.ada.trace().recovery();
        self.care.world.plain(signer, Action::SetGuardians(SetGuardians { name, need, guardians }))
    }

    fn approvals(&self, device: &Person, of: &[usize]) -> Vec<Signed<Approval>> {
        let until = self.care.world.clock.now() + DAY_S;
        of.iter().map(|n| self.shares[*n].approve(public_key(&device.key), until)).collect()
    }

    /// A recovery to `device`, with the face of `face`.
    fn start_with(&mut self, device: &Person, face: Option<&Person>, approvals: Vec<Signed<Approval>>) -> Call {
        let (name, reply_key) = (self.care.ada.trace().recovery(), reply(device).public().unwrap());
        let action = |submission| Action::StartRecovery(RecoveryStart { name, approvals, reply_key, submission });
        match face {
            Some(face) => {
                let values = quantise(&face.face);
                let purpose = Purpose::verification();
                self.care.world.carry(device, purpose, 0, &values, |sample| action(Some(sample)), |_| ())
            }
            None => self.care.world.plain(device, action(None)),
        }
    }

    pub(super) fn start(&mut self, of: &[usize]) -> Call {
        let phone = self.phone.clone();
        let approvals = self.approvals(&phone, of);
        self.start_with(&phone, Some(&phone), approvals)
    }

    /// Starts, and expects that it waits.
    pub(super) async fn started(&mut self, of: &[usize]) -> OperationId {
        let call = self.start(of);
        let outcome = self.care.world.decide(&call).await;
        assert!(matches!(outcome, Outcome::RecoveryStarted { .. }), "{outcome:?}");
        call.signed.message.operation
    }

    pub(super) fn finish(&mut self, device: &Person, recovery: OperationId) -> Call {
        self.care.world.plain(device, Action::FinishRecovery { recovery })
    }

    fn veto(&mut self, recovery: OperationId) -> Call {
        let ada = self.care.ada.clone();
        self.care.world.plain(&ada, Action::VetoRecovery { recovery })
    }

    async fn finished(&mut self, recovery: OperationId) {
        let phone = self.phone.clone();
        let call = self.finish(&phone, recovery);
        let outcome = self.care.world.decide(&call).await;
        assert!(matches!(outcome, Outcome::Recovered { .. }), "{outcome:?}");
    }

    async fn refused_recovery(&mut self, call: &Call, expected: RecoveryFault) {
        assert_eq!(self.care.world.decide(call).await, Outcome::RecoveryRefused { fault: expected });
    }

    /// What all nodes say of the recoveries, alike.
    async fn told(&mut self) -> GuardedStatement {
        let (phone, name) = (self.phone.clone(), self.care.ada.trace().recovery());
        let mut all = Vec::new();
        for node in NodeId::ALL {
            all.push(self.care.world.state(node, &phone, Action::Recovery { name }).await.unwrap().guarded.unwrap());
        }
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        all.remove(0)
    }

    async fn states(&mut self) -> Vec<RecoveryState> {
        self.told().await.recoveries.iter().map(|recovery| recovery.state).collect()
    }

    /// Outcomes in the list of events of `device`'s member, as all nodes tell them.
    async fn events(&mut self, device: &Person) -> Vec<Outcome> {
        let mut all = Vec::new();
        for node in NodeId::ALL {
            let statement = self.care.world.state(node, device, Action::Events { after_batch: 0 }).await.unwrap();
            let outcomes: Vec<_> = statement.events.iter().map(|e| e.certificate.decision.outcome).collect();
            all.push(outcomes);
        }
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        all.remove(0)
    }

    /// What `node` gives to `device` at the end of a recovery.
    pub(super) async fn release(
        &mut self,
        node: NodeId,
        device: &Person,
        recovery: OperationId,
    ) -> Result<Statement, Error> {
        let call = self.care.world.plain(device, Action::Release { recovery });
        let sealed = self.care.world.app(node).statement(call.signed.clone()).await?;
        let bytes = seal::open(&reply(device), seal::RELEASE, &call.signed.message.digest(), &sealed).unwrap();
        Ok(types::message::SignedStatement::from_bytes(&bytes).unwrap().message)
    }

    async fn is_nobody(&mut self, device: &Person) {
        for node in NodeId::ALL {
            let statement = self.care.world.state(node, device, Action::Status).await.unwrap();
            assert!(statement.member.is_none() && statement.replaced.is_some(), "at {node}");
        }
        let verify = self.care.world.verify(device);
        let refused = self.care.world.send(&verify).await;
        assert!(refused.iter().all(|answer| matches!(answer, Err(Error::UnknownMember))), "{refused:?}");
    }
}

fn reply(device: &Person) -> SealKey {
    SealKey::from_random(&device.key.to_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_device_takes_the_old_ones_place_and_nothing_else_changes() {
    let mut guarded = Guarded::new(301).await;
    let (ada, phone) = (guarded.care.ada.clone(), guarded.phone.clone());
    let mut terms = guarded.care.terms(Operation::Membership, 3);
    terms.expires_at += 2 * WEEK_S;
    let call = guarded.care.grant(terms);
    assert_eq!(guarded.care.world.decide(&call).await, Outcome::Granted);
    let grant = call.signed.message.operation.into();
    let before = guarded.care.world.member(ONE, &ada).await;

    let recovery = guarded.started(&[0, 2, 4]).await;
    let call = guarded.finish(&phone, recovery);
    guarded.care.refused(&call, "recovery-early").await;
    // The old device sees it, with the time that is left; it still works.
    let waiting = guarded.care.world.member(TWO, &ada).await.guarded.unwrap().recoveries;
    let opens_at = guarded.care.world.clock.now() + WEEK_S;
    assert_eq!((waiting[0].recovery, waiting[0].opens_at, waiting[0].approvals), (recovery, opens_at, 3));
    assert!(waiting[0].compared && waiting[0].can_veto);
    let call = guarded.care.use_membership(grant);
    assert!(matches!(guarded.care.world.decide(&call).await, Outcome::Answered { uses_left: 2, .. }));

    guarded.care.world.clock.advance(WEEK_S);
    let call = guarded.finish(&phone, recovery);
    let (member, former) = (before.member, public_key(&ada.key));
    assert_eq!(guarded.care.world.decide(&call).await, Outcome::Recovered { member, former, grants: 1 });
    guarded.is_nobody(&ada).await;

    // The same member with the same record; grants wait for her to pick.
    for node in NodeId::ALL {
        let after = guarded.care.world.member(node, &phone).await;
        assert_eq!((after.member, after.since, &after.records), (before.member, before.since, &before.records));
        assert_eq!((after.grants[0].state, after.former), (GrantState::Suspended, vec![public_key(&ada.key)]));
        assert!(after.shield.is_some());
        let released = guarded.release(node, &phone, recovery).await.unwrap().released.unwrap();
        assert_eq!((released.member, released.trace), (before.member, Some(ada.trace())));
    }
    let call = guarded.care.use_membership(grant);
    guarded.care.refused(&call, "grant-not-active").await;
    let call = guarded.care.world.plain(&phone, Action::ShieldDown { restore: vec![grant] });
    assert_eq!(guarded.care.world.decide(&call).await, Outcome::Unshielded { restored: 1 });
    // Under the same name as before.
    let (call, subject) = (guarded.care.use_membership(grant), guarded.care.name());
    let told = guarded.care.world.decide(&call).await;
    assert!(matches!(told, Outcome::Answered { subject: same, uses_left: 1, .. } if same == subject), "{told:?}");
    let call = guarded.care.world.verify(&phone);
    assert_eq!(guarded.care.world.decide(&call).await, Outcome::Verified { matched: true });
    // The old device cannot begin anew, neither as her nor as somebody else.
    let stranger = guarded.care.world.person();
    let reused = Person { face: stranger.face, ..ada };
    let call = guarded.care.world.enrol(&reused);
    guarded.care.refused(&call, "device-taken").await;
    chains_are_equal(&mut guarded.care.world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_pseudonym_before_and_after_and_the_old_phone_is_issued_nothing() {
    let mut guarded = Guarded::new(312).await;
    let (ada, phone) = (guarded.care.ada.clone(), guarded.phone.clone());
    let ours = personas::secret(9);
    personas::bind(&mut guarded.care.world, &ada, &ours).await;
    let before = personas::shown(&mut guarded.care.world, &ada, &ours).await;

    let recovery = guarded.started(&[0, 1, 2]).await;
    guarded.care.world.clock.advance(WEEK_S);
    guarded.finished(recovery).await;
    let lower = guarded.care.world.plain(&phone, Action::ShieldDown { restore: Vec::new() });
    guarded.care.world.decide(&lower).await;
    // Any two nodes give the secret back; one alone gives noise, and the old phone gets nothing from any.
    let mut shares = Vec::new();
    for node in NodeId::ALL {
        let released = guarded.release(node, &phone, recovery).await.unwrap().released.unwrap();
        let share = released.share.unwrap();
        shares.push(escrow::Share::from_bytes(&share.0).unwrap());
        let epoch = guarded.care.world.roster.epochs.at(guarded.care.world.clock.now());
        let refused = guarded.care.world.state(node, &ada, Action::Issue { epoch, claims: Vec::new() }).await.unwrap_err();
        assert!(matches!(refused, Error::UnknownMember), "{refused}");
        let refused = guarded.release(node, &ada, recovery).await.unwrap_err();
        assert!(matches!(refused, Error::UnknownMember), "{refused}");
    }
    assert!(escrow::combine_shares(&shares[0], &shares[0]).is_err());
    let back = escrow::combine_shares(&shares[0], &shares[2]).unwrap();
    let after = personas::shown(&mut guarded.care.world, &phone, &back).await;
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_phone_gains_nothing_and_the_member_gets_everything_back() {
    let mut guarded = Guarded::new(302).await;
    let (thief, mut tool) = (guarded.care.ada.clone(), guarded.care.world.person());
    // Guardians of the thief's own do not count before the member's have had their time.
    let own = guarded.fresh(11..=13);
    let call = guarded.set(&thief, 2, &own);
    guarded.care.world.decide(&call).await;
    let until = guarded.care.world.clock.now() + DAY_S;
    let bought: Vec<_> = own.iter().map(|share| share.approve(public_key(&tool.key), until)).collect();
    let call = guarded.start_with(&tool.clone(), None, bought.clone());
    guarded.refused_recovery(&call, RecoveryFault::NotAGuardian { approval: 0 }).await;
    // Nor with a photograph of the member.
    tool.face = guarded.care.world.again(&thief).face;
    let call = guarded.start_with(&tool.clone(), Some(&tool.clone()), bought);
    guarded.refused_recovery(&call, RecoveryFault::NotAGuardian { approval: 0 }).await;
    // A photograph without the phone and without guardians is nothing at all.
    let call = guarded.start_with(&tool.clone(), Some(&tool.clone()), Vec::new());
    guarded.refused_recovery(&call, RecoveryFault::TooFew { have: 0, need: 3 }).await;

    // The member recovers with the guardians she chose, however often the thief changes them.
    let recovery = guarded.started(&[0, 1, 2]).await;
    for n in 0..3 {
        guarded.care.world.clock.advance(DAY_S);
        let shares = guarded.fresh(14 + n..=16 + n);
        let call = guarded.set(&thief, 2, &shares);
        guarded.care.world.decide(&call).await;
    }
    guarded.care.world.clock.advance(WEEK_S - 3 * DAY_S);
    guarded.finished(recovery).await;
    guarded.is_nobody(&thief).await;
    // What the thief set up is hers to take down; until it counts, her own guardians do.
    let call = guarded.set(&guarded.phone.clone(), 3, &guarded.shares.clone());
    guarded.care.refused(&call, "shield-up").await;
    let phone = guarded.phone.clone();
    let call = guarded.care.world.plain(&phone, Action::ShieldDown { restore: Vec::new() });
    guarded.care.world.decide(&call).await;
    let call = guarded.set(&phone, 3, &guarded.shares.clone());
    assert!(matches!(guarded.care.world.decide(&call).await, Outcome::GuardiansSet { .. }));
    let now = guarded.care.world.clock.now();
    let guarding = guarded.told().await.guarding;
    let counting: Vec<_> = guarding.counting(now).copied().collect();
    assert_eq!(counting, guarded.shares.iter().map(GuardianShare::public).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_guardians_or_one_who_lies_get_nothing_and_the_member_sees_it() {
    let mut guarded = Guarded::new(303).await;
    let (ada, phone) = (guarded.care.ada.clone(), guarded.phone.clone());
    let call = guarded.start(&[0, 1]);
    guarded.refused_recovery(&call, RecoveryFault::TooFew { have: 2, need: 3 }).await;
    let call = guarded.start(&[0, 1, 1]);
    guarded.refused_recovery(&call, RecoveryFault::Repeated { approval: 2 }).await;
    // One who signs for another device, one who was never asked, one whose word is old, one who was replaced.
    let mut lie = guarded.approvals(&phone, &[0, 1]);
    let other = guarded.care.world.person();
    lie.extend(guarded.approvals(&other, &[2]));
    let call = guarded.start_with(&phone, Some(&phone), lie);
    guarded.refused_recovery(&call, RecoveryFault::Altered { approval: 2 }).await;
    let mut made_up = guarded.approvals(&phone, &[0, 1]);
    let until = guarded.care.world.clock.now() + DAY_S;
    made_up.push(guarded.fresh(40..=40)[0].approve(public_key(&phone.key), until));
    let call = guarded.start_with(&phone, Some(&phone), made_up);
    guarded.refused_recovery(&call, RecoveryFault::NotAGuardian { approval: 2 }).await;
    let old = guarded.approvals(&phone, &[0, 1, 2]);
    guarded.care.world.clock.advance(DAY_S + 1);
    let call = guarded.start_with(&phone, Some(&phone), old);
    guarded.refused_recovery(&call, RecoveryFault::Expired { approval: 0 }).await;
    let shares = [&guarded.shares[1..], &guarded.fresh(6..=6)[..]].concat();
    let call = guarded.set(&ada, 3, &shares);
    guarded.care.world.decide(&call).await;
    let call = guarded.start(&[0, 1, 2]);
    guarded.refused_recovery(&call, RecoveryFault::NotAGuardian { approval: 0 }).await;
    // Somebody else's face.
    let stranger = guarded.care.world.person();
    let approvals = guarded.approvals(&phone, &[1, 2, 3]);
    let call = guarded.start_with(&phone, Some(&stranger), approvals);
    guarded.refused_recovery(&call, RecoveryFault::NoMatch).await;

    let events = guarded.events(&ada).await;
    let seen: Vec<_> = events.iter().filter(|outcome| matches!(outcome, Outcome::RecoveryRefused { .. })).collect();
    assert_eq!(seen.len(), 7, "{events:?}");
    // Three of these were within a day: seven more are noted, then no more; a complete one is taken all the same.
    for _ in 0..7 {
        let call = guarded.start(&[1]);
        guarded.refused_recovery(&call, RecoveryFault::TooFew { have: 1, need: 3 }).await;
        guarded.care.world.clock.advance(1);
    }
    let call = guarded.start(&[1]);
    guarded.care.refused(&call, "recovery-rate").await;
    guarded.started(&[1, 2, 3]).await;
    chains_are_equal(&mut guarded.care.world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_and_too_few_guardians_get_nothing() {
    // Node 1, which proposes, lets through what no rule allows: a recovery by too few, and one before its time.
    for early in [false, true] {
        let mut guarded = Guarded::new(304).await;
        let phone = guarded.phone.clone();
        let recovery = if early { Some(guarded.started(&[0, 1, 2]).await) } else { None };
        guarded.care.world.kill(ONE).await;
        guarded.care.world.start_with(ONE, Faults::lawless()).await;
        guarded.care.world.mend();
        guarded.care.world.settle().await;
        let call = match recovery {
            Some(recovery) => guarded.finish(&phone, recovery),
            None => {
                let approvals = guarded.approvals(&phone, &[0, 1]);
                guarded.start_with(&phone, None, approvals)
            }
        };
        let sending = {
            let apps = NodeId::ALL.map(|node| guarded.care.world.app(node).clone());
            apps.map(|app| {
                tokio::spawn({
                    let (signed, trace) = (call.signed.clone(), call.trace.clone());
                    async move { app.submit(signed, Some(trace), None).await }
                })
            })
        };
        // The lawless node promises what the other two will not sign; nobody has three signatures.
        for node in [TWO, THREE] {
            for _ in 0..20 {
                let told = guarded.care.world.outcome(&phone, call.signed.message.operation).await;
                assert!(told.iter().all(Result::is_err), "{told:?}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            let ada = guarded.care.ada.clone();
            let statement = guarded.care.world.state(node, &ada, Action::Status).await.unwrap();
            assert!(statement.member.is_some() && statement.replaced.is_none());
            let refused = guarded.release(node, &phone, call.signed.message.operation).await.unwrap_err();
            assert!(matches!(refused, Error::UnknownMember), "{refused}");
        }
        sending.into_iter().for_each(|task| task.abort());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_recoveries_one_wins_by_the_chain_and_both_are_seen() {
    let mut guarded = Guarded::new(305).await;
    let (ada, phone) = (guarded.care.ada.clone(), guarded.phone.clone());
    let rival = guarded.care.world.double(&ada);
    let one = guarded.start(&[0, 1, 2]);
    let approvals = guarded.approvals(&rival, &[2, 3, 4]);
    let two = guarded.start_with(&rival, Some(&rival), approvals);
    let (first, second) = tokio::join!(guarded.care.world.send(&one), guarded.care.world.send(&two));
    for answers in [first, second] {
        assert!(matches!(agreed(&answers, &guarded.care.world.roster), Outcome::RecoveryStarted { .. }));
    }
    assert_eq!(guarded.states().await, [RecoveryState::Waiting; 2]);
    // To the same device a second one would be one too many.
    let call = guarded.start(&[0, 1, 2]);
    guarded.care.refused(&call, "recovery-waits").await;

    guarded.care.world.clock.advance(WEEK_S);
    let (a, b) = (one.signed.message.operation, two.signed.message.operation);
    let (ends, rivals) = (guarded.finish(&phone, a), guarded.finish(&rival, b));
    let (ours, theirs) = tokio::join!(guarded.care.world.send(&ends), guarded.care.world.send(&rivals));
    let won = [ours, theirs].map(|answers| answers.iter().filter(|answer| answer.is_ok()).count());
    assert!(won == [3, 0] || won == [0, 3], "{won:?}");
    let winner = if won == [3, 0] { phone } else { rival };
    let mut states = guarded.states().await;
    states.sort_by_key(|state| state.name());
    assert_eq!(states, [RecoveryState::Finished, RecoveryState::Over]);
    let events = guarded.events(&winner).await;
    let begun = events.iter().filter(|outcome| matches!(outcome, Outcome::RecoveryStarted { .. })).count();
    assert_eq!(begun, 2, "the member sees both");
    chains_are_equal(&mut guarded.care.world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_veto_ends_a_recovery_and_one_guardian_more_ends_a_thiefs_vetoes() {
    let mut guarded = Guarded::new(306).await;
    let (ada, phone) = (guarded.care.ada.clone(), guarded.phone.clone());
    let first = guarded.started(&[0, 1, 2]).await;
    let call = guarded.care.world.plain(&phone, Action::VetoRecovery { recovery: first });
    let refused = guarded.care.world.send(&call).await;
    assert!(
        refused.iter().all(|answer| matches!(answer, Err(Error::UnknownMember))),
        "only the present device may: {refused:?}"
    );
    let call = guarded.veto(first);
    assert_eq!(guarded.care.world.decide(&call).await, Outcome::RecoveryVetoed { recovery: first });
    let call = guarded.veto(first);
    guarded.care.refused(&call, "recovery-over").await;
    guarded.care.world.clock.advance(WEEK_S);
    let call = guarded.finish(&phone, first);
    guarded.care.refused(&call, "recovery-over").await;

    // The phone was stolen: the thief vetoes again, raises a shield, and cannot stop four guardians.
    let second = guarded.started(&[0, 1, 2]).await;
    let call = guarded.veto(second);
    guarded.care.world.decide(&call).await;
    let third = guarded.started(&[0, 1, 2, 3]).await;
    let call = guarded.veto(third);
    guarded.care.refused(&call, "recovery-final").await;
    guarded.care.world.state(ONE, &ada, Action::ShieldUp).await.unwrap();
    guarded.care.world.clock.advance(2 * WEEK_S);
    let call = guarded.finish(&phone, third);
    guarded.care.refused(&call, "recovery-early").await;
    guarded.care.world.clock.advance(WEEK_S);
    guarded.care.world.state(TWO, &ada, Action::ShieldUp).await.unwrap();
    guarded.finished(third).await;
    guarded.is_nobody(&ada).await;
    // The thief's shield does not outlive the thief.
    let call = guarded.care.world.plain(&phone, Action::ShieldDown { restore: Vec::new() });
    assert!(matches!(guarded.care.world.decide(&call).await, Outcome::Unshielded { .. }));
    assert_eq!(guarded.care.world.state(THREE, &ada, Action::ShieldUp).await.unwrap_err().code(), "unknown-member");
    assert_eq!(guarded.care.world.member(THREE, &phone).await.shield, None);
    let outcomes = guarded.events(&phone).await;
    let vetoes = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::RecoveryVetoed { .. })).count();
    assert_eq!(vetoes, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_recovery_played_again_is_worth_nothing() {
    let mut guarded = Guarded::new(307).await;
    let phone = guarded.phone.clone();
    let call = guarded.start(&[0, 1, 2]);
    guarded.care.world.decide(&call).await;
    let recovery = call.signed.message.operation;
    let again = guarded.care.world.send(&call).await;
    assert!(again.iter().all(Result::is_err), "{again:?}");
    guarded.care.world.clock.advance(WEEK_S);
    let end = guarded.finish(&phone, recovery);
    guarded.care.world.decide(&end).await;
    let again = guarded.care.world.send(&end).await;
    assert!(again.iter().all(Result::is_err), "{again:?}");
    let fresh = guarded.finish(&phone, recovery);
    guarded.care.refused(&fresh, "recovery-over").await;
    // The approvals of then, for another device; and the whole of it a year later.
    let Action::StartRecovery(old) = call.signed.message.action else { unreachable!() };
    let other = guarded.care.world.person();
    let stolen = guarded.start_with(&other, None, old.approvals);
    guarded.refused_recovery(&stolen, RecoveryFault::Altered { approval: 0 }).await;
    guarded.care.world.clock.advance(366 * DAY_S);
    let refused = guarded.release(ONE, &other, recovery).await.unwrap_err();
    assert!(matches!(refused, Error::UnknownMember), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_nobody_finishes_is_over() {
    let mut guarded = Guarded::new(308).await;
    let phone = guarded.phone.clone();
    let recovery = guarded.started(&[0, 1, 2]).await;
    guarded.care.world.clock.advance(WEEK_S + 30 * DAY_S + 1);
    let call = guarded.finish(&phone, recovery);
    guarded.care.refused(&call, "recovery-over").await;
    assert_eq!(guarded.states().await, [RecoveryState::Over]);
    guarded.started(&[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_face_it_takes_more_guardians_and_more_time() {
    let mut guarded = Guarded::new(309).await;
    let phone = guarded.phone.clone();
    let approvals = guarded.approvals(&phone, &[0, 1, 2]);
    let call = guarded.start_with(&phone, None, approvals);
    guarded.refused_recovery(&call, RecoveryFault::TooFew { have: 3, need: 4 }).await;
    let approvals = guarded.approvals(&phone, &[0, 1, 2, 3]);
    let call = guarded.start_with(&phone, None, approvals);
    let opens_at = guarded.care.world.clock.now() + 30 * DAY_S;
    assert_eq!(guarded.care.world.decide(&call).await, Outcome::RecoveryStarted { opens_at, can_veto: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_apart_make_it_later_and_never_sooner() {
    let mut guarded = Guarded::new(310).await;
    let phone = guarded.phone.clone();
    let recovery = guarded.started(&[0, 1, 2]).await;
    for ahead in [[0, 40, 20], [40, 0, 20], [20, 40, 0]] {
        guarded.care.world.ahead_s = ahead;
        guarded.care.restart().await;
        // By the fastest clock it is time; by one that is right it is not.
        let waiting = guarded.told().await.recoveries[0].opens_at;
        let now: UnixSeconds = guarded.care.world.clock.now();
        if now + 30 < waiting {
            guarded.care.world.clock.advance(waiting - now - 30);
        }
        let call = guarded.finish(&phone, recovery);
        let answers = guarded.care.world.send(&call).await;
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
    }
    guarded.care.world.clock.advance(30);
    guarded.finished(recovery).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_withdraws_leaves_no_guardian_and_no_recovery_behind() {
    let mut guarded = Guarded::new(311).await;
    let (ada, phone) = (guarded.care.ada.clone(), guarded.phone.clone());
    let name = ada.trace().recovery();
    let recovery = guarded.started(&[0, 1, 2]).await;
    let call = guarded.care.world.plain(&ada, Action::Withdraw { profile: None });
    assert!(matches!(guarded.care.world.decide(&call).await, Outcome::Withdrawn { .. }));
    for node in NodeId::ALL {
        let told = guarded.care.world.state(node, &phone, Action::Recovery { name }).await.unwrap();
        assert!(told.guarded.is_none(), "at {node}");
    }
    guarded.care.world.clock.advance(WEEK_S);
    let call = guarded.finish(&phone, recovery);
    guarded.care.refused(&call, "recovery-unknown").await;
    for node in NodeId::ALL {
        guarded.care.world.kill(node).await;
        let store = super::world::open(&guarded.care.world.path(node), node, &guarded.care.world.roster).await;
        let member = types::MemberId::derive(&guarded.care.world.roster.digest(), &public_key(&ada.key));
        assert_eq!(store.recovery_bytes(&member).await.unwrap(), 0, "at {node}");
        store.close().await;
    }
}

/// `node` stops once at `point` from now on.
async fn arm(guarded: &mut Guarded, node: NodeId, point: Point) {
    let armed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    guarded.care.world.kill(node).await;
    let stop = move |at| at == point && armed.swap(false, std::sync::atomic::Ordering::SeqCst);
    guarded.care.world.start(node, stop).await;
    guarded.care.world.mend();
    guarded.care.world.settle().await;
}

/// Every step of a recovery, sent while `node` dies at `point` and comes back: decided on all nodes or on none; where it was not,
/// the same step is done again.
async fn survives(seed: u64, node: NodeId, point: Point) {
    let mut guarded = Guarded::new(seed).await;
    let (ada, phone) = (guarded.care.ada.clone(), guarded.phone.clone());
    let mut recovery = OperationId([0; 16]);
    for step in ["guardians", "start", "veto", "again", "finish"] {
        arm(&mut guarded, node, point).await;
        let mut through_crash = true;
        loop {
            let (call, signer) = match step {
                "guardians" => (guarded.set(&ada, 3, &guarded.shares.clone()[..4]), &ada),
                "veto" => (guarded.veto(recovery), &ada),
                "finish" => (guarded.finish(&phone, recovery), &phone),
                _ => (guarded.start(&[0, 1, 2]), &phone),
            };
            let answers = match through_crash {
                true => send_through_crash(&mut guarded.care.world, &call, node).await,
                false => guarded.care.world.send(&call).await,
            };
            let fate = fate(&mut guarded.care.world, signer, &call).await;
            for answer in answers.iter().flatten() {
                assert_eq!(Some(answer.decision.outcome), fate, "an answer given must stay true");
            }
            if fate.is_some() {
                recovery = call.signed.message.operation;
                break;
            }
            assert!(through_crash, "{step} at {point:?}: {answers:?}");
            through_crash = false;
        }
        if step == "again" {
            guarded.care.world.clock.advance(WEEK_S);
        }
    }
    guarded.is_nobody(&ada).await;
    guarded.care.world.member(node, &phone).await;
    chains_are_equal(&mut guarded.care.world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_recovery_survives_a_crash_of_node_1_at_every_point() {
    for (seed, point) in (320..).zip(POINTS) {
        survives(seed, ONE, point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_recovery_survives_a_crash_of_node_2_at_every_point() {
    for (seed, point) in (330..).zip(POINTS) {
        survives(seed, TWO, point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_recovery_survives_a_crash_of_node_3_at_every_point() {
    for (seed, point) in (340..).zip(POINTS) {
        survives(seed, THREE, point).await;
    }
}
