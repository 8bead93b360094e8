//! From a permit and a verdict to a decision: what is signed, what changes on disk, what the member's list says.
//!
//! Follows from the request, the state at the head of the chain and the batch alone, so that three nodes write the same.

use charter::Permit;
use mpc::record::RecordShare;
use types::consent::Terms;
use types::message::{Action, Decision, Finding, Outcome, VERSION};
use types::recovery::RecoveryFault;
use types::{Digest, GrantId, MemberId, SubjectId, UnixSeconds};

use super::Sequencer;
use crate::Error;
use crate::app::link::{OperationRef, SessionId};
use crate::app::logged::{self, Public};
use crate::app::matching::{Planned, Verdict};
use crate::app::pending::Task;
use crate::store::{Batch, Effect, Entry, Event, NewBinding, NewGrant, NewRecovery, OwnedShare, ShareRef, Trail};

impl Sequencer {
    /// The decisions, and the shares to store in their order.
    pub(super) fn outcomes(
        &self,
        session: SessionId,
        (number, time): (u64, UnixSeconds),
        decided: Vec<(Planned, Verdict)>,
    ) -> Result<(Batch, Vec<OwnedShare>), Error> {
        let mut shares = Vec::new();
        let mut entries = Vec::with_capacity(decided.len());
        let mut log = self.log.clone();
        let charter = self.core.rules().charter.digest();
        for (planned, verdict) in decided {
            let compared = matches!(verdict, Verdict::Compared(_) | Verdict::Replace(_) | Verdict::Keep);
            let (outcome, effect) = self.outcome(&planned, verdict, charter, &mut shares)?;
            let trail = self.trail(&planned, &outcome, compared, time);
            let OperationRef { operation, request } = planned.operation.reference;
            let (commons, log_index) = (self.core.commons, log.size());
            let (version, batch, decided_at) = (VERSION, number, time);
            let decision = Decision { version, commons, operation, request, batch, decided_at, charter, log_index, outcome };
            let logged = logged::entry(&decision, Public::of(planned.operation.action(), &planned.judged), &planned.trace);
            log.append(tlog::merkle::leaf_hash(&logged));
            entries.push(Entry { decision, device: planned.operation.device, log: logged, effect, trail });
        }
        let (previous, log_size, log_root) = (self.chain.head, log.size(), log.root());
        Ok((Batch { session: session.0, number, previous, time, entries, log_size, log_root }, shares))
    }

    fn outcome(
        &self,
        planned: &Planned,
        verdict: Verdict,
        charter: Digest,
        shares: &mut Vec<OwnedShare>,
    ) -> Result<(Outcome, Effect), Error> {
        let (operation, judged) = (&planned.operation, &planned.judged);
        let id = operation.reference.operation;
        let concerned = || judged.concerned.as_ref().ok_or(Error::Internal { what: "a permit is about a member" });
        let new_grant = |terms: &Terms, meaning: Digest, uses_left| {
            let (member, terms) = (concerned()?.member, terms.clone());
            Ok::<_, Error>(NewGrant { member, subject: subject(planned)?, terms, meaning, charter, uses_left })
        };
        Ok(match &judged.permit {
            Permit::Enrol { .. } => self.enrolment(planned, verdict, shares),
            Permit::Verify => match verdict {
                Verdict::Compared(matched) => (Outcome::Verified { matched }, Effect::None),
                _ => (Outcome::InvalidTemplate, Effect::None),
            },
            Permit::Renew => self.renewal(planned, verdict, shares)?,
            Permit::Withdraw => {
                let records = u32::try_from(planned.records.len()).unwrap_or(u32::MAX);
                (Outcome::Withdrawn { records }, Effect::Erase { records: planned.records.clone() })
            }
            Permit::CreateGrant { terms, meaning } => {
                (Outcome::Granted, Effect::Grant(new_grant(terms, *meaning, terms.uses)?))
            }
            Permit::NarrowGrant { grant, terms, uses_left } => {
                let effect = Effect::Narrow { grant: *grant, terms: terms.clone(), uses_left: *uses_left };
                (Outcome::Narrowed { grant: *grant }, effect)
            }
            Permit::RevokeGrant { grant } => (Outcome::Revoked { grant: *grant }, Effect::Revoke { grant: *grant }),
            Permit::UseGrant { grant, uses_left_after, compares } => {
                let (grant, uses_left) = (*grant, *uses_left_after);
                let (subject, finding) = (subject(planned)?, finding(*compares, &verdict));
                let outcome = Outcome::Answered { ask: None, grant, subject, finding, uses_left };
                (outcome, Effect::Use { grant, uses_left })
            }
            permit @ (Permit::OpenAsk | Permit::DeclineAsk) => {
                let Action::Ask(ask) = operation.action() else { return Err(misfit()) };
                let open = matches!(permit, Permit::OpenAsk);
                let member = judged.concerned.as_ref().map(|row| row.member);
                let outcome = if open { Outcome::Asked } else { Outcome::Declined { ask: id.into() } };
                (outcome, Effect::Ask { ask: ask.clone(), member, open })
            }
            Permit::RefuseAsk { ask } => (Outcome::Declined { ask: *ask }, Effect::Answer { ask: *ask, grant: None }),
            Permit::ApproveAsk { ask, terms, meaning, uses_left_after, compares } => {
                let (grant, uses_left) = (GrantId::from(id), *uses_left_after);
                let (subject, finding) = (subject(planned)?, finding(*compares, &verdict));
                let outcome = Outcome::Answered { ask: Some(*ask), grant, subject, finding, uses_left };
                (outcome, Effect::Answer { ask: *ask, grant: Some(new_grant(terms, *meaning, uses_left)?) })
            }
            Permit::RaiseShield => {
                let (grants, asks) = judged.cut;
                let since = operation.signed.message.issued_at;
                (Outcome::Shielded { grants, asks }, Effect::RaiseShield { member: concerned()?.member, since })
            }
            Permit::LowerShield { restore } => {
                let restored = u32::try_from(restore.len()).unwrap_or(u32::MAX);
                let (member, asked_at) = (concerned()?.member, operation.signed.message.issued_at);
                (Outcome::Unshielded { restored }, Effect::LowerShield { member, restore: restore.clone(), asked_at })
            }
            permit @ (Permit::SetGuardians { .. }
            | Permit::StartRecovery { .. }
            | Permit::RefuseRecovery { .. }
            | Permit::VetoRecovery { .. }
            | Permit::FinishRecovery { .. }) => recovery(planned, permit, &verdict)?,
            Permit::AdoptCharter(next) => {
                let Action::Charter(signed) = operation.action() else { return Err(misfit()) };
                let version = next.version();
                (Outcome::CharterAdopted { version }, Effect::AdoptCharter { version, charter: signed.clone() })
            }
            Permit::Bind => {
                let Task::Bind(opened) = &operation.task else { return Err(misfit()) };
                let (commitment, slope, share) = (opened.commitment, opened.slope, opened.share.clone());
                let binding = NewBinding { member: concerned()?.member, commitment, slope, share };
                (Outcome::Bound { commitment: commitment.digest() }, Effect::Bind(Box::new(binding)))
            }
            Permit::BeginRefresh { epoch } => {
                let Verdict::Seed(seed) = verdict else { return Err(misfit()) };
                let epoch = *epoch;
                (Outcome::RefreshBegun { epoch }, Effect::BeginRefresh { epoch, seed })
            }
            Permit::EndRefresh { epoch } => (Outcome::Refreshed { epoch: *epoch }, Effect::EndRefresh { epoch: *epoch }),
            _ => return Err(misfit()),
        })
    }

    fn enrolment(&self, planned: &Planned, verdict: Verdict, shares: &mut Vec<OwnedShare>) -> (Outcome, Effect) {
        let Some(profile) = planned.operation.profile() else { return (Outcome::InvalidTemplate, Effect::None) };
        match verdict {
            Verdict::Admit(values) => {
                let effect = self.admission(planned, profile, values, shares);
                (Outcome::Enrolled { member: self.newcomer(planned) }, effect)
            }
            Verdict::Duplicate | Verdict::Deferred => (Outcome::Duplicate, Effect::None),
            _ => (Outcome::InvalidTemplate, Effect::None),
        }
    }

    /// The new record takes the place of the old one, which may be of another profile.
    fn renewal(
        &self,
        planned: &Planned,
        verdict: Verdict,
        shares: &mut Vec<OwnedShare>,
    ) -> Result<(Outcome, Effect), Error> {
        let values = match verdict {
            Verdict::Replace(values) => values,
            Verdict::Keep => return Ok((Outcome::NotRenewed, Effect::None)),
            _ => return Ok((Outcome::InvalidTemplate, Effect::None)),
        };
        let Some(profile) = planned.operation.profile() else { return Err(misfit()) };
        // Who has no record of this profile yet moves to it from the former one.
        let moves = || planned.operation.former().zip(planned.former_slot);
        let Some((of, slot)) = planned.slot.map(|slot| (profile, slot)).or_else(moves) else { return Err(misfit()) };
        let record = planned.operation.reference.operation;
        shares.push(OwnedShare { profile: profile.clone(), record, values });
        let profile_version = self.core.config.roster.profile(profile).map_or(0, |profile| profile.version);
        let (share, replaced) = (ShareRef::unplaced(profile.clone()), (of.clone(), slot));
        Ok((Outcome::Renewed, Effect::Replace { share, profile_version, replaced }))
    }

    fn newcomer(&self, planned: &Planned) -> MemberId {
        let known = planned.judged.concerned.as_ref().map(|row| row.member);
        known.unwrap_or_else(|| MemberId::derive(&self.core.commons, &planned.operation.device))
    }

    fn admission(
        &self,
        planned: &Planned,
        profile: &types::ProfileId,
        values: RecordShare,
        shares: &mut Vec<OwnedShare>,
    ) -> Effect {
        let record = planned.operation.reference.operation;
        shares.push(OwnedShare { profile: profile.clone(), record, values });
        let share = ShareRef::unplaced(profile.clone());
        let profile_version = self.core.config.roster.profile(profile).map_or(0, |profile| profile.version);
        Effect::Admit { share, profile_version, trace: planned.trace.clone() }
    }

    /// A member's list has what they did, and what a relying party did about them. It has nothing of who left or never came.
    fn trail(&self, planned: &Planned, outcome: &Outcome, compared: bool, time: UnixSeconds) -> Trail {
        let judged = &planned.judged;
        let member = match outcome {
            Outcome::Enrolled { member } => Some(*member),
            _ => judged.concerned.as_ref().map(|row| row.member),
        };
        let (outcomes_s, uses_s) = self.core.rules().retention_s();
        let keep_s = match outcome {
            Outcome::Enrolled { .. }
            | Outcome::Verified { .. }
            | Outcome::Renewed
            | Outcome::NotRenewed
            | Outcome::Withdrawn { .. } => outcomes_s,
            _ => uses_s,
        };
        let request = || planned.operation.signed.to_bytes();
        let event = member.map(|member| Event { member, request: request(), forget_after: time.saturating_add(keep_s) });
        Trail { event, compared: judged.concerned.as_ref().filter(|_| compared).map(|row| row.member) }
    }
}

/// What follows from a step of a recovery, or from other guardians.
fn recovery(planned: &Planned, permit: &Permit, verdict: &Verdict) -> Result<(Outcome, Effect), Error> {
    let concerned = planned.judged.concerned.as_ref().ok_or(Error::Internal { what: "a permit is about a member" })?;
    let member = concerned.member;
    let refused = |fault| (Outcome::RecoveryRefused { fault }, Effect::RefuseRecovery { member });
    Ok(match permit {
        Permit::SetGuardians { name, guarding, settled_at } => {
            let (version, settled_at) = (guarding.version, *settled_at);
            let effect = Effect::SetGuardians { member, name: *name, guarding: guarding.clone() };
            (Outcome::GuardiansSet { version, settled_at }, effect)
        }
        Permit::RefuseRecovery { fault } => refused(*fault),
        Permit::StartRecovery { approvals, compares, can_veto, opens_at, closes_at } => {
            let Action::StartRecovery(start) = planned.operation.action() else { return Err(misfit()) };
            match verdict {
                Verdict::Compared(false) => return Ok(refused(RecoveryFault::NoMatch)),
                Verdict::Compared(true) => {}
                _ if *compares => return Ok(refused(RecoveryFault::InvalidTemplate)),
                _ => {}
            }
            let (approvals, compared, can_veto) = (*approvals, *compares, *can_veto);
            let (opens_at, closes_at, reply_key) = (*opens_at, *closes_at, start.reply_key);
            let new = NewRecovery { member, reply_key, approvals, compared, can_veto, opens_at, closes_at };
            (Outcome::RecoveryStarted { opens_at, can_veto }, Effect::StartRecovery(new))
        }
        Permit::VetoRecovery { recovery } => {
            let recovery = *recovery;
            (Outcome::RecoveryVetoed { recovery }, Effect::VetoRecovery { recovery })
        }
        Permit::FinishRecovery { recovery } => {
            let (former, grants) = (concerned.device, planned.judged.cut.0);
            (Outcome::Recovered { member, former, grants }, Effect::Recover { recovery: *recovery, member })
        }
        _ => return Err(misfit()),
    })
}

fn subject(planned: &Planned) -> Result<SubjectId, Error> {
    planned.judged.subject.ok_or(Error::Internal { what: "a grant has a subject" })
}

fn finding(compares: bool, verdict: &Verdict) -> Finding {
    match verdict {
        Verdict::Compared(matched) => Finding::Compared { matched: *matched },
        _ if compares => Finding::InvalidTemplate,
        _ => Finding::Member,
    }
}

fn misfit() -> Error {
    Error::Internal { what: "a permit fits its request" }
}
