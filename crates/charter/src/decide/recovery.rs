//! Guardians, and a new device that becomes the member's.
//!
//! **Gaining takes time, losing does not.** A guardian's share that is taken away counts no more at once, as long as enough of
//! those that count stay; one that is added, and another number of guardians needed, count after a while. So a thief with the
//! phone can neither put guardians of their own in place before the member has noticed, nor leave the member without enough.
//!
//! **A veto is not the last word.** The old device may be in the thief's hands. After a veto, one guardian more than needed begins a
//! recovery that cannot be vetoed, and waits longer.

use std::collections::BTreeSet;

use types::message::Submission;
use types::recovery::{
    Approval, Guardian, Guarding, RecoveryFault, RecoveryStart, RecoveryState, RecoveryStatement, SetGuardians,
};
use types::sign::Signed;
use types::{DeviceKey, OperationId, UnixSeconds, limits};

use super::{Case, ensure, refuse};
use crate::document::Recovery;
use crate::rule::{Permit, Refusal, Rule};
use crate::{Act, MemberFacts};

/// What is known of the member whose recovery a request concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryFacts {
    /// Who.
    pub member: MemberFacts,
    /// The member's guardians.
    pub guarding: Guarding,
    /// The member's recoveries, those that ended lately, too; as they stand at the time of decision.
    pub recoveries: Vec<RecoveryStatement>,
    /// Recoveries that did not begin, within the last day.
    pub faults_last_day: usize,
}

impl RecoveryFacts {
    fn waiting(&self) -> impl Iterator<Item = &RecoveryStatement> {
        self.recoveries.iter().filter(|recovery| recovery.state == RecoveryState::Waiting)
    }
    fn recovery(&self, id: OperationId) -> Option<&RecoveryStatement> {
        self.recoveries.iter().find(|recovery| recovery.recovery == id)
    }
}

impl Case<'_> {
    pub(super) fn set_guardians(&self, set: &SetGuardians) -> Result<Permit, Refusal> {
        self.open_signer()?;
        let rules = self.charter.recovery();
        ensure(self.facts.recovery_name == Some(set.name), Rule::RecoveryUnknown, || {
            "this is not the name of your recovery".to_owned()
        })?;
        let (count, need) = (set.guardians.len(), usize::from(set.need));
        ensure(count <= limits::GUARDIANS, Rule::TooManyGuardians, || format!("{count} guardians"))?;
        let different: BTreeSet<&DeviceKey> = set.guardians.iter().collect();
        ensure(different.len() == count, Rule::GuardianTwice, || "a guardian is named twice".to_owned())?;
        let none = count == 0 && need == 0;
        ensure(none || need <= count, Rule::GuardiansNeeded, || format!("{need} are needed, and {count} are named"))?;
        let range = rules.need_least..=rules.need_most;
        ensure(none || range.contains(&u32::from(set.need)), Rule::GuardiansNeeded, || {
            format!("the charter asks for {} to {} guardians to be needed", range.start(), range.end())
        })?;
        let guarding = change(self.facts.recovery.as_ref().map(|facts| &facts.guarding), set, rules.settle_s, self.now);
        Ok(Permit::SetGuardians { name: set.name, settled_at: settled_at(&guarding, self.now), guarding })
    }

    pub(super) fn start_recovery(&self, start: &RecoveryStart) -> Result<Permit, Refusal> {
        let facts = self.recovery()?;
        self.new_device()?;
        ensure(start.approvals.len() <= limits::GUARDIANS, Rule::TooManyApprovals, || {
            format!("{} approvals", start.approvals.len())
        })?;
        let other = facts.waiting().all(|recovery| recovery.device != self.request.device);
        ensure(other, Rule::RecoveryWaits, || "a recovery to this device waits already".to_owned())?;
        ensure(facts.waiting().count() < limits::RECOVERIES, Rule::TooManyRecoveries, || {
            format!("{} recoveries of this member wait", limits::RECOVERIES)
        })?;
        if let Some(submission) = &start.submission {
            self.submission(submission, Act::OwnVerification)?;
            self.has_record(&facts.member, &submission.profile)?;
        }
        let need = match self.needed(facts, start.submission.as_ref()) {
            Some(need) => need,
            None => return refuse(Rule::RecoveryOff, "no guardian of this member counts now"),
        };
        match self.approvals(facts, start, need) {
            Ok(approvals) => {
                if start.submission.is_some() {
                    self.comparison_rate()?;
                }
                Ok(self.begin(facts, approvals, need, start.submission.is_some()))
            }
            Err(fault) => {
                let most = self.charter.recovery().faults_per_day;
                ensure(facts.faults_last_day < most as usize, Rule::RecoveryRate, || {
                    format!("{most} attempts to recover this member have failed within a day ({})", fault.code())
                })?;
                Ok(Permit::RefuseRecovery { fault })
            }
        }
    }

    /// How many guardians must approve; absent when none count.
    fn needed(&self, facts: &RecoveryFacts, sample: Option<&Submission>) -> Option<u8> {
        let need = Some(facts.guarding.need_at(self.now)).filter(|need| *need > 0)?;
        facts.guarding.counting(self.now).next()?;
        let more = if sample.is_some() { 0 } else { self.charter.recovery().without_sample_more };
        Some(need.saturating_add(u8::try_from(more).unwrap_or(u8::MAX)))
    }

    /// The number of approvals, if all of them hold and they are enough. The first that does not hold is named.
    fn approvals(&self, facts: &RecoveryFacts, start: &RecoveryStart, need: u8) -> Result<u8, RecoveryFault> {
        let counting: BTreeSet<&DeviceKey> = facts.guarding.counting(self.now).collect();
        let mut seen = BTreeSet::new();
        for (approval, signed) in (0..).zip(&start.approvals) {
            let Signed { message: Approval { commons, name, device, by, expires_at }, .. } = signed;
            let here = (*commons, *name, *device) == (self.request.commons, start.name, self.request.device);
            if !here || signed.verify(by).is_err() {
                return Err(RecoveryFault::Altered { approval });
            }
            if !counting.contains(by) {
                return Err(RecoveryFault::NotAGuardian { approval });
            }
            if !seen.insert(by) {
                return Err(RecoveryFault::Repeated { approval });
            }
            let latest = self.now.saturating_add(limits::APPROVAL_LIFETIME_S + limits::CLOCK_SKEW_S);
            if *expires_at < self.now || *expires_at > latest {
                return Err(RecoveryFault::Expired { approval });
            }
        }
        let have = u8::try_from(seen.len()).unwrap_or(u8::MAX);
        if have >= need { Ok(have) } else { Err(RecoveryFault::TooFew { have, need }) }
    }

    fn begin(&self, facts: &RecoveryFacts, approvals: u8, need: u8, compares: bool) -> Permit {
        let rules = self.charter.recovery();
        let counting = u8::try_from(facts.guarding.counting(self.now).count()).unwrap_or(u8::MAX);
        let vetoed = facts.recoveries.iter().any(|recovery| recovery.state == RecoveryState::Vetoed);
        // Where all guardians are needed anyway, all of them are enough again.
        let can_veto = !vetoed || approvals < need.saturating_add(1).min(counting);
        let delay = if compares { rules.delay_s } else { rules.delay_without_sample_s };
        let delay = if can_veto { delay } else { delay.max(rules.delay_after_veto_s) };
        let opens_at = self.now.saturating_add(delay.into());
        let closes_at = opens_at.saturating_add(rules.finish_within_s.into());
        Permit::StartRecovery { approvals, compares, can_veto, opens_at, closes_at }
    }

    pub(super) fn veto_recovery(&self, recovery: OperationId) -> Result<Permit, Refusal> {
        self.signer()?;
        let found = self.named(recovery)?;
        ensure(found.state == RecoveryState::Waiting, Rule::RecoveryOver, || over(found))?;
        ensure(found.can_veto, Rule::RecoveryFinal, || {
            "it began after an earlier veto, with more guardians than are needed".to_owned()
        })?;
        Ok(Permit::VetoRecovery { recovery })
    }

    pub(super) fn finish_recovery(&self, recovery: OperationId) -> Result<Permit, Refusal> {
        let found = self.named(recovery)?;
        ensure(found.device == self.request.device, Rule::RecoveryUnknown, || "it is to another device".to_owned())?;
        ensure(found.state == RecoveryState::Waiting, Rule::RecoveryOver, || over(found))?;
        self.new_device()?;
        ensure(self.now >= found.opens_at, Rule::RecoveryEarly, || {
            format!("it can be finished in {} seconds", found.opens_at.saturating_sub(self.now))
        })?;
        ensure(self.now <= found.closes_at, Rule::RecoveryOver, || "it was not finished in time".to_owned())?;
        Ok(Permit::FinishRecovery { recovery })
    }

    /// What was kept for the member is given to their device only, and only where a recovery made it theirs.
    pub(super) fn release(&self, recovery: OperationId) -> Result<Permit, Refusal> {
        self.signer()?;
        let found = self.named(recovery)?;
        let own = found.device == self.request.device && found.state == RecoveryState::Finished;
        ensure(own, Rule::RecoveryUnknown, || "this device is the member's by no such recovery".to_owned())?;
        Ok(Permit::Tell)
    }

    fn recovery(&self) -> Result<&RecoveryFacts, Refusal> {
        match &self.facts.recovery {
            Some(facts) => Ok(facts),
            None => refuse(Rule::RecoveryUnknown, "nobody has guardians under this name"),
        }
    }

    fn named(&self, recovery: OperationId) -> Result<&RecoveryStatement, Refusal> {
        let found = self.facts.recovery.as_ref().and_then(|facts| facts.recovery(recovery));
        found.map_or_else(|| refuse(Rule::RecoveryUnknown, "there is no such recovery"), Ok)
    }

    /// The signing device is nobody's, and never was.
    fn new_device(&self) -> Result<(), Refusal> {
        ensure(self.facts.signer.is_none() && !self.facts.former_device, Rule::DeviceTaken, || {
            "a recovery is to a new device".to_owned()
        })
    }
}

fn over(recovery: &RecoveryStatement) -> String {
    format!("it is {}", recovery.state.name())
}

/// A member's guardians after a change at `now`.
fn change(old: Option<&Guarding>, set: &SetGuardians, settle_s: u32, now: UnixSeconds) -> Guarding {
    let settled = now.saturating_add(settle_s.into());
    let listed = |key: &DeviceKey| set.guardians.contains(key);
    let Some(old) = old.filter(|old| old.counting(now).next().is_some()) else {
        // Nobody stands guard, so nobody is to be protected from a change.
        let guardians = set.guardians.iter().map(|key| Guardian { key: *key, from: now, until: None }).collect();
        let version = old.map_or(0, |old| old.version).saturating_add(1);
        return Guarding { version, need: set.need, next_need: None, guardians };
    };
    let need = old.need_at(now);
    let counting: BTreeSet<&DeviceKey> = old.counting(now).collect();
    let kept = counting.iter().filter(|key| listed(key)).count();
    let at_once = kept >= usize::from(need);
    let mut guardians: Vec<Guardian> = set
        .guardians
        .iter()
        .map(|key| {
            let known = old.guardians.iter().find(|guardian| guardian.key == *key && guardian.until.is_none_or(|t| now < t));
            Guardian { key: *key, from: known.map_or(settled, |known| known.from), until: None }
        })
        .collect();
    if !at_once {
        let leaving = old.guardians.iter().filter(|guardian| counting.contains(&guardian.key) && !listed(&guardian.key));
        guardians.extend(leaving.map(|guardian| Guardian { until: Some(settled), ..guardian.clone() }));
    }
    let next_need = (set.need != need).then_some((set.need, settled));
    Guarding { version: old.version.saturating_add(1), need, next_need, guardians }
}

/// From when on the guardians are as the member wants them.
fn settled_at(guarding: &Guarding, now: UnixSeconds) -> UnixSeconds {
    let times = guarding.guardians.iter().flat_map(|guardian| [Some(guardian.from), guardian.until]).flatten();
    times.chain(guarding.next_need.map(|(_, from)| from)).max().unwrap_or(now).max(now)
}

impl Default for Recovery {
    /// What holds where a charter says nothing.
    fn default() -> Self {
        Self {
            need_least: 2,
            need_most: 10,
            without_sample_more: 1,
            delay_s: 7 * DAY_S,
            delay_without_sample_s: 30 * DAY_S,
            delay_after_veto_s: 21 * DAY_S,
            settle_s: 7 * DAY_S,
            finish_within_s: 30 * DAY_S,
            faults_per_day: 10,
        }
    }
}

const DAY_S: u32 = 24 * 3600;
