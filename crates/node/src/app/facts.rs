//! May this be done, by the state of this node? Reads what `charter::decide` needs, and asks it.
//!
//! Asked twice: at admission, by this node's clock and all that it knows, so that hopeless requests go no further; and when a
//! batch is planned, at the head of the chain and at the batch's time, where all nodes see the same. The second counts.

use charter::{
    AskFacts, AskedFacts, Charter, Counts, EpochFacts, Facts, GrantFacts, MemberFacts, Permit, RecoveryFacts, Refusal, Rule,
    decide,
};
use types::consent::{Answer, Reply};
use types::message::{Action, Request, Submission};
use types::recovery::RecoveryStart;
use types::roster::Roster;
use types::{DeviceKey, GrantId, MemberId, PartyId, ProfileId, SubjectId, TraceKey, UnixSeconds, limits};

use super::rules::Rules;
use super::sequencer::Core;
use crate::Error;
use crate::store::{AskRow, Epoch, GrantRow, MemberRow, Store};

/// What follows from a request, and about whom.
#[derive(Debug)]
pub(crate) struct Judged {
    /// What may happen.
    pub(crate) permit: Permit,
    /// The member whom it concerns: who signed it, who gave the grant that is used, or who is asked by name.
    pub(crate) concerned: Option<MemberRow>,
    /// The member's name towards the relying party, where there is one.
    pub(crate) subject: Option<SubjectId>,
    /// The grant that is narrowed, revoked or used.
    pub(crate) grant: Option<GrantRow>,
    /// The ask that is answered.
    pub(crate) ask: Option<AskRow>,
    /// For a shield: grants that it suspends, asks that it cuts.
    pub(crate) cut: (u32, u32),
}

/// Which shields count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shields {
    /// Those that all nodes have decided: the same everywhere.
    Decided,
    /// Also those of which only this node may know yet.
    Known,
}

/// What decisions are made from.
#[derive(Clone, Copy)]
pub(crate) struct State<'a> {
    pub(crate) store: &'a Store,
    pub(crate) roster: &'a Roster,
    pub(crate) charter: &'a Charter,
    /// In tests of the other nodes: do what no rule allows.
    #[cfg(test)]
    pub(crate) lawless: bool,
}

impl<'a> State<'a> {
    /// Of this node, under the charter in force.
    pub(crate) fn of(core: &'a Core, rules: &'a Rules) -> Self {
        Self {
            store: &core.store,
            roster: &core.config.roster,
            charter: &rules.charter,
            #[cfg(test)]
            lawless: core.config.faults.is_lawless(),
        }
    }
}

impl State<'_> {
    /// Judges a request. `trace` names members whose own key is not known.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] with the rule; [`Error::AlreadyEnrolled`], [`Error::UnknownMember`]; [`Error::Database`].
    pub(crate) async fn judge(
        self,
        request: &Request,
        trace: Option<&TraceKey>,
        shields: Shields,
        now: UnixSeconds,
    ) -> Result<Judged, Error> {
        let mut facts = Facts::nothing(self.roster);
        let (mut grant, mut ask, mut subject, mut cut) = (None, None, None, (0, 0));
        let signs_as_member = !matches!(
            request.action,
            Action::Ask(_)
                | Action::Use(_)
                | Action::Charter(_)
                | Action::Recovery { .. }
                | Action::Refresh { .. }
                | Action::Switch { .. }
        );
        let signer = if signs_as_member { self.store.member(&request.device).await? } else { None };
        facts.signer = signer.as_ref().map(|row| member_facts(row, shields));
        let mut concerned = signer;
        let name = |row: &MemberRow, party: &PartyId| row.trace.as_ref().or(trace).map(|trace| trace.subject(party));
        match &request.action {
            Action::Enrol(submission) => {
                facts.former_device = self.store.replaced(&request.device).await?.is_some();
                facts.vouching = self.vouching(submission).await?;
            }
            Action::Verify(_) | Action::Renew(_) => facts.counts = self.comparisons(concerned.as_ref(), now).await?,
            Action::Grant(standing) => {
                subject = concerned.as_ref().and_then(|row| name(row, &standing.terms.party));
                self.count_grants(&mut facts, now).await?;
            }
            Action::Narrow(narrowing) => grant = self.own_grant(narrowing.grant, concerned.as_ref()).await?,
            Action::Revoke { grant: id } => grant = self.own_grant(*id, concerned.as_ref()).await?,
            Action::See { ask: id } | Action::Answer(Answer { ask: id, .. }) => {
                ask = self.store.ask(id).await?;
                let party = ask.as_ref().map(|row| row.statement.ask.terms.party.clone());
                subject = concerned.as_ref().zip(party).and_then(|(row, party)| name(row, &party));
                facts.ask = ask.as_ref().map(|row| AskFacts { statement: row.statement.clone(), subject });
                if let Action::Answer(Answer { reply: Reply::Approve { .. }, .. }) = &request.action {
                    facts.counts = self.comparisons(concerned.as_ref(), now).await?;
                    self.count_grants(&mut facts, now).await?;
                }
            }
            Action::Use(usage) => {
                grant = self.store.grant(&usage.grant).await?;
                if let Some(row) = &grant {
                    subject = Some(row.statement.subject);
                    concerned = self.store.member_by_id(&row.member).await?;
                    facts.counts = self.comparisons(concerned.as_ref(), now).await?;
                }
            }
            Action::Ask(ask) => {
                if let Some(named) = &ask.subject {
                    concerned = self.known_as(&ask.terms.party, named).await?;
                    subject = ask.subject;
                }
                let member = concerned.as_ref().map(|row| row.member);
                let counts = self.store.ask_counts(&ask.terms.party, member.as_ref(), now).await?;
                facts.counts =
                    Counts { party_asks_last_day: counts.last_day, party_asks_waiting: counts.waiting, ..Counts::default() };
                let asked = |row| AskedFacts {
                    shielded: is_shielded(row, shields),
                    waiting: counts.at_member,
                    last_day: counts.to_member,
                };
                facts.asked = concerned.as_ref().map(asked);
            }
            Action::ShieldUp => {
                cut = self.cut(concerned.as_ref(), now).await?;
            }
            Action::Refresh { .. } | Action::Switch { .. } => {
                let Epoch { present, coming, .. } = self.store.epoch().await?;
                facts.epoch = EpochFacts { present, coming: coming.map(|coming| coming.epoch) };
            }
            Action::ShieldDown { .. } => {
                if let Some(row) = &concerned {
                    facts.suspended = self.store.suspended(&row.member).await?;
                }
            }
            Action::SetGuardians(_) => {
                let trace = concerned.as_ref().and_then(|row| row.trace.as_ref()).or(trace);
                facts.recovery_name = trace.map(TraceKey::recovery);
                facts.recovery = self.recovery(concerned.as_ref(), shields, now).await?;
            }
            Action::VetoRecovery { .. } | Action::Release { .. } => {
                facts.recovery = self.recovery(concerned.as_ref(), shields, now).await?;
            }
            Action::StartRecovery(RecoveryStart { name, .. }) => {
                facts.former_device = self.store.replaced(&request.device).await?.is_some();
                concerned = self.member(self.store.guarded_by(name).await?).await?;
                facts.counts = self.comparisons(concerned.as_ref(), now).await?;
                facts.recovery = self.recovery(concerned.as_ref(), shields, now).await?;
            }
            Action::FinishRecovery { recovery } => {
                facts.former_device = self.store.replaced(&request.device).await?.is_some();
                let found = self.store.recovery(recovery).await?;
                concerned = self.member(found.map(|(member, _)| member)).await?;
                cut = self.cut(concerned.as_ref(), now).await?;
                facts.recovery = self.recovery(concerned.as_ref(), shields, now).await?;
            }
            _ => {}
        }
        if let (Some(row), Some(giver)) = (&grant, &concerned) {
            let giver = member_facts(giver, shields);
            facts.grant = Some(GrantFacts { statement: row.statement.clone(), meaning: row.meaning, giver });
        }
        let decided = decide(self.charter, &facts, request, now).map_err(|refusal| refused(refusal, request));
        #[cfg(test)]
        let decided = match decided {
            Err(_) | Ok(Permit::RefuseRecovery { .. }) if self.lawless => lawless(request, grant.as_ref()),
            decided => decided,
        };
        let permit = decided?;
        Ok(Judged { permit, concerned, subject, grant, ask, cut })
    }

    /// Which of the vouchers' signers are members. More than allowed are not looked up: they are refused by their number.
    async fn vouching(self, submission: &Submission) -> Result<Vec<(DeviceKey, MemberId)>, Error> {
        let mut members = Vec::new();
        for voucher in submission.vouchers.iter().take(limits::VOUCHERS) {
            if let Some(row) = self.store.member(&voucher.message.by).await? {
                members.push((voucher.message.by, row.member));
            }
        }
        Ok(members)
    }

    /// Grants and asks that a shield takes.
    async fn cut(self, member: Option<&MemberRow>, now: UnixSeconds) -> Result<(u32, u32), Error> {
        let Some(row) = member else { return Ok((0, 0)) };
        let (_, active) = self.store.grant_counts(&row.member, now).await?;
        Ok((small(active), small(self.store.asks_waiting(&row.member, now).await?)))
    }

    async fn member(self, id: Option<MemberId>) -> Result<Option<MemberRow>, Error> {
        match id {
            Some(id) => self.store.member_by_id(&id).await,
            None => Ok(None),
        }
    }

    async fn recovery(
        self,
        member: Option<&MemberRow>,
        shields: Shields,
        now: UnixSeconds,
    ) -> Result<Option<RecoveryFacts>, Error> {
        let Some(row) = member else { return Ok(None) };
        let Some(guarded) = self.store.guarded(&row.member, now).await? else { return Ok(None) };
        let faults_last_day = usize::try_from(self.store.recovery_faults(&row.member, now).await?).unwrap_or(usize::MAX);
        let (guarding, recoveries) = (guarded.guarding, guarded.recoveries);
        Ok(Some(RecoveryFacts { member: member_facts(row, shields), guarding, recoveries, faults_last_day }))
    }

    async fn comparisons(self, member: Option<&MemberRow>, now: UnixSeconds) -> Result<Counts, Error> {
        let comparisons_last_hour = match member {
            Some(row) => usize::try_from(self.store.comparisons(&row.member, now).await?).unwrap_or(usize::MAX),
            None => 0,
        };
        Ok(Counts { comparisons_last_hour, ..Counts::default() })
    }

    async fn count_grants(self, facts: &mut Facts<'_>, now: UnixSeconds) -> Result<(), Error> {
        if let Some(signer) = &mut facts.signer {
            let (standing, _) = self.store.grant_counts(&signer.member, now).await?;
            signer.grants = usize::try_from(standing).unwrap_or(usize::MAX);
        }
        Ok(())
    }

    async fn own_grant(self, id: GrantId, signer: Option<&MemberRow>) -> Result<Option<GrantRow>, Error> {
        let Some(signer) = signer else { return Ok(None) };
        Ok(self.store.grant(&id).await?.filter(|row| row.member == signer.member))
    }

    async fn known_as(self, party: &PartyId, subject: &SubjectId) -> Result<Option<MemberRow>, Error> {
        self.member(self.store.subject(party, subject).await?).await
    }
}

/// Is this a shield that only this node may know of, and does it stand in the way?
///
/// What the nodes have not decided together must not change an answer, or the nodes would give different ones: it only keeps
/// this node from taking part.
#[derive(Debug)]
pub(crate) enum Unsettled {
    /// Nothing stands in the way.
    Clear,
    /// The shield must be decided first.
    Wait,
    /// The shield forbids it.
    Refused(Error),
}

impl Judged {
    /// Looks for a shield of the member concerned that is not decided yet.
    pub(crate) fn unsettled(&self) -> Unsettled {
        if self.concerned.as_ref().is_none_or(|row| row.unsettled.is_none()) {
            return Unsettled::Clear;
        }
        match self.permit {
            Permit::Enrol { .. }
            | Permit::Verify
            | Permit::Renew
            | Permit::CreateGrant { .. }
            | Permit::ApproveAsk { .. }
            | Permit::Bind
            | Permit::SetGuardians { .. } => Unsettled::Refused(shielded()),
            Permit::UseGrant { .. } => Unsettled::Refused(not_active()),
            Permit::OpenAsk | Permit::DeclineAsk | Permit::LowerShield { .. } => Unsettled::Wait,
            _ => Unsettled::Clear,
        }
    }

    /// The slot of the record to compare with.
    pub(crate) fn slot(&self, profile: &ProfileId) -> Option<u32> {
        self.concerned.as_ref()?.record(profile).map(|record| record.share.slot)
    }
}

/// To the member: their own shield is in the way.
pub(crate) fn shielded() -> Error {
    let detail = "your shield is up, which stops every use".to_owned();
    Refusal { rule: Rule::ShieldUp, detail }.into()
}

/// To a relying party, which does not learn why.
pub(crate) fn not_active() -> Error {
    Refusal { rule: Rule::GrantNotActive, detail: "this grant cannot be used".to_owned() }.into()
}

fn member_facts(row: &MemberRow, shields: Shields) -> MemberFacts {
    let profiles = row.records.iter().map(|record| record.share.profile.clone()).collect();
    MemberFacts { member: row.member, profiles, shielded: is_shielded(row, shields), grants: 0, bound: row.bound }
}

fn is_shielded(row: &MemberRow, shields: Shields) -> bool {
    row.shield.is_some() || (shields == Shields::Known && row.unsettled.is_some())
}

/// Two rules have had codes of their own since before there were charters.
fn refused(refusal: Refusal, request: &Request) -> Error {
    match (refusal.rule, request.action.submission()) {
        (Rule::AlreadyEnrolled, Some(submission)) => Error::AlreadyEnrolled { profile: submission.profile.clone() },
        (Rule::NotAMember | Rule::NoRecord, _) => Error::UnknownMember,
        _ => refusal.into(),
    }
}

/// What a node under test invents in place of a refusal: the use of whatever grant it finds, a recovery by whoever asks.
#[cfg(test)]
fn lawless(request: &Request, grant: Option<&GrantRow>) -> Result<Permit, Error> {
    match (&request.action, grant) {
        (Action::Use(usage), Some(row)) => {
            let (uses_left_after, compares) = (row.statement.uses_left.saturating_sub(1), usage.submission.is_some());
            Ok(Permit::UseGrant { grant: usage.grant, uses_left_after, compares })
        }
        (Action::StartRecovery(start), _) => {
            let (approvals, compares, can_veto) = (u8::MAX, start.submission.is_some(), false);
            Ok(Permit::StartRecovery { approvals, compares, can_veto, opens_at: 0, closes_at: i64::MAX.cast_unsigned() })
        }
        (Action::FinishRecovery { recovery }, _) => Ok(Permit::FinishRecovery { recovery: *recovery }),
        _ => Err(not_active()),
    }
}

fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
