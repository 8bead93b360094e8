//! May this be done? A pure function of (charter, facts, request, time), explained: every refusal names the rule.
//!
//! Each node decides twice by itself. **At admission**, with its own clock and what it knows so far: this keeps hopeless requests
//! out. **In the batch**, with the time that the nodes agreed on and the state after the operation before: this counts. The same
//! function, so that nothing is judged by two sets of rules.
//!
//! **Clocks.** A standing grant gets no tolerance at either end: every node checks it by its own clock at admission and by the
//! batch's time, so the fastest of the honest clocks ends it and the slowest begins it. Only the asking device's own consent,
//! which is as old as its request, may lie [`limits::CLOCK_SKEW_S`] off.
//!
//! Before a request comes here, admission has checked its version, commons, signature, times and freshness, and the profile's
//! digest. What a grant permits is **its own terms within the charter in force**: a wider charter adds nothing to a grant.

mod ask;
mod enrol;
mod grant;
mod persona;
mod recovery;
mod refresh;
mod submission;
mod terms;

use types::consent::{AskStatement, GrantStatement};
use types::message::{Action, Request};
use types::roster::Roster;
use types::{DeviceKey, Digest, GrantId, MemberId, ProfileId, RecoveryName, SubjectId, UnixSeconds};

use crate::rule::{Permit, Refusal, Rule};
use crate::{Act, Charter};

pub use recovery::RecoveryFacts;
pub use terms::permits_terms;

/// What a node's state knows that a decision needs. Only what the action at hand concerns must be filled in.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The roster in force.
    pub roster: &'a Roster,
    /// The member of the signing device.
    pub signer: Option<MemberFacts>,
    /// Narrow, Revoke, Use: the grant named.
    pub grant: Option<GrantFacts>,
    /// Answer, See: the ask named, if it is open (not answered).
    pub ask: Option<AskFacts>,
    /// Ask: the member who is asked by name, if the name is anybody's.
    pub asked: Option<AskedFacts>,
    /// Enrol: the devices that signed vouchers and are a member's, with that member.
    pub vouching: Vec<(DeviceKey, MemberId)>,
    /// ShieldDown: the signer's suspended grants.
    pub suspended: Vec<GrantId>,
    /// Recoveries: of the name, or of the signer.
    pub recovery: Option<RecoveryFacts>,
    /// SetGuardians: the name of the signer's recovery.
    pub recovery_name: Option<RecoveryName>,
    /// Enrol, StartRecovery, FinishRecovery: the signing device was a member's, before a recovery.
    pub former_device: bool,
    /// How often what happened.
    pub counts: Counts,
    /// Refresh, Switch: of which epoch the stored shares are.
    pub epoch: EpochFacts,
}

impl<'a> Facts<'a> {
    /// A state that knows nothing: no member, no grant, no ask.
    pub fn nothing(roster: &'a Roster) -> Self {
        Self {
            roster,
            signer: None,
            grant: None,
            ask: None,
            asked: None,
            vouching: Vec::new(),
            suspended: Vec::new(),
            recovery: None,
            recovery_name: None,
            former_device: false,
            counts: Counts::default(),
            epoch: EpochFacts::default(),
        }
    }
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFacts {
    /// Who.
    pub member: MemberId,
    /// Modalities of active records.
    pub profiles: Vec<ProfileId>,
    /// The shield is up.
    pub shielded: bool,
    /// Grants that have not ended.
    pub grants: usize,
    /// To which secret the membership is bound: [`types::persona::Binding::commitment`].
    pub bound: Option<Digest>,
}

/// A standing grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFacts {
    /// As a statement shows it; `terms` as since narrowed.
    pub statement: GrantStatement,
    /// [`Charter::meaning`] of the terms when it was given, as [`Permit::CreateGrant`] or [`Permit::ApproveAsk`] said.
    pub meaning: Digest,
    /// Who gave it.
    pub giver: MemberFacts,
}

/// An open ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskFacts {
    /// As a statement shows it.
    pub statement: AskStatement,
    /// The signer's name towards the party that asks.
    pub subject: Option<SubjectId>,
}

/// A member who is asked by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedFacts {
    /// The shield is up.
    pub shielded: bool,
    /// Asks that wait for this member.
    pub waiting: usize,
    /// Asks of this party to this member within the last day.
    pub last_day: usize,
}

/// Of which epoch the stored shares are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EpochFacts {
    /// The present one.
    pub present: u64,
    /// The one to which a refresh that is going on will lead.
    pub coming: Option<u64>,
}

/// Decided operations before the time of decision, counted the same on all nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Verify, Renew, Answer, Use: 1:1 comparisons within the last hour with the records of the member who is compared.
    pub comparisons_last_hour: usize,
    /// Ask: asks of this party within the last day.
    pub party_asks_last_day: usize,
    /// Ask: asks of this party that wait for an answer.
    pub party_asks_waiting: usize,
}

/// Decides.
///
/// # Errors
/// [`Refusal`], with the first rule that is broken.
pub fn decide(charter: &Charter, facts: &Facts<'_>, request: &Request, now: UnixSeconds) -> Result<Permit, Refusal> {
    let case = Case { charter, facts, request, now };
    match &request.action {
        Action::Enrol(submission) => case.enrol(submission),
        Action::Verify(submission) => case.verify(submission),
        Action::Renew(submission) => case.renew(submission),
        // Rights that no charter can take away: to see what is known of oneself, to leave, to pull the cord.
        Action::Status | Action::Inspect { .. } | Action::Outcome { .. } | Action::Events { .. } => Ok(Permit::Tell),
        Action::Withdraw { .. } => Ok(Permit::Withdraw),
        Action::See { .. } => case.see(),
        Action::Grant(standing) => case.grant(standing),
        Action::Narrow(narrowing) => case.narrow(narrowing),
        Action::Revoke { grant } => case.revoke(*grant),
        Action::Ask(ask) => case.ask(ask),
        Action::Answer(answer) => case.answer(answer),
        Action::Use(usage) => case.use_grant(usage),
        Action::ShieldUp => case.signer().map(|_| Permit::RaiseShield),
        Action::ShieldDown { restore } => case.shield_down(restore),
        Action::SetGuardians(set) => case.set_guardians(set),
        Action::StartRecovery(start) => case.start_recovery(start),
        Action::VetoRecovery { recovery } => case.veto_recovery(*recovery),
        Action::FinishRecovery { recovery } => case.finish_recovery(*recovery),
        // Whoever knows the name may know where its recoveries stand.
        Action::Recovery { .. } => Ok(Permit::Tell),
        Action::Release { recovery } => case.release(*recovery),
        Action::Charter(signed) => match charter.adopts(signed, facts.roster) {
            Ok(next) => Ok(Permit::AdoptCharter(Box::new(next))),
            Err(error) => refuse(Rule::CharterInvalid, error.to_string()),
        },
        Action::Bind(binding) => case.bind(binding),
        Action::Issue { epoch, claims } => case.issue(*epoch, claims),
        Action::Refresh { epoch } => case.refresh(*epoch),
        Action::Switch { epoch } => case.switch(*epoch),
    }
}

/// One request with everything it is judged by.
#[derive(Clone, Copy)]
struct Case<'a> {
    charter: &'a Charter,
    facts: &'a Facts<'a>,
    request: &'a Request,
    now: UnixSeconds,
}

impl Case<'_> {
    fn signer(&self) -> Result<&MemberFacts, Refusal> {
        self.facts.signer.as_ref().ok_or_else(|| refusal(Rule::NotAMember, "this device belongs to no member"))
    }
    /// A member who does not shield themselves.
    fn open_signer(&self) -> Result<&MemberFacts, Refusal> {
        let signer = self.signer()?;
        ensure(!signer.shielded, Rule::ShieldUp, || "your shield is up, which stops every use".to_owned())?;
        Ok(signer)
    }
    fn current(&self, charter: &Digest) -> Result<(), Refusal> {
        ensure(*charter == self.charter.digest(), Rule::CharterChanged, || {
            format!("this was agreed to under another charter; version {} is in force", self.charter.version())
        })
    }
    fn has_record(&self, member: &MemberFacts, profile: &ProfileId) -> Result<(), Refusal> {
        ensure(member.profiles.contains(profile), Rule::NoRecord, || format!("there is no {profile} record of yours"))
    }
    fn comparison_rate(&self) -> Result<(), Refusal> {
        let most = self.charter.document().rates.verifications_per_hour;
        ensure(self.facts.counts.comparisons_last_hour < most as usize, Rule::VerificationRate, || {
            format!("the charter allows {most} comparisons with one member's records per hour")
        })
    }
    fn serves(&self, term: &types::consent::Purpose, act: Act) -> Result<(), Refusal> {
        ensure(self.charter.purpose(term).is_some(), Rule::PurposeUnknown, || {
            format!("the charter lists no purpose {term}")
        })?;
        ensure(self.charter.serves(term, act), Rule::PurposeNotAllowed, || {
            format!("the charter does not allow {} for {term}", act.name())
        })
    }
    fn shield_down(&self, restore: &[GrantId]) -> Result<Permit, Refusal> {
        ensure(self.signer()?.shielded, Rule::ShieldNotUp, || "your shield is not up".to_owned())?;
        for (i, grant) in restore.iter().enumerate() {
            let known = self.facts.suspended.contains(grant) && !restore.iter().skip(i + 1).any(|other| other == grant);
            ensure(known, Rule::RestoreUnknown, || format!("{grant} is not a suspended grant of yours, or is named twice"))?;
        }
        Ok(Permit::LowerShield { restore: restore.to_vec() })
    }
}

fn refusal(rule: Rule, detail: impl Into<String>) -> Refusal {
    Refusal { rule, detail: detail.into() }
}

fn refuse<T>(rule: Rule, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(refusal(rule, detail))
}

fn ensure(holds: bool, rule: Rule, detail: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal(rule, detail())) }
}
