//! What the log says of a decision: a pure function, so that three nodes write one and the same entry.

use tlog::{Entry, Kind, Opening, entry};
use types::consent::{Purpose, Terms};
use types::message::{Action, Decision, Submission};
use types::{PartyId, TraceKey};

use super::facts::Judged;

/// What an entry tells the public, beside when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Public {
    /// What was done.
    pub(crate) kind: Kind,
    /// What for.
    pub(crate) purpose: Option<Purpose>,
    /// For which relying party.
    pub(crate) party: Option<PartyId>,
}

impl Public {
    /// Of a request, whatever became of it. Purpose and party of a grant or an ask are the ones it was given or asked with.
    pub(crate) fn of(action: &Action, judged: &Judged) -> Self {
        let of_terms = |kind, terms: Option<&Terms>| Self {
            kind,
            purpose: terms.map(|terms| terms.purpose.clone()),
            party: terms.map(|terms| terms.party.clone()),
        };
        let of_sample = |kind, sample: &Submission| Self { kind, purpose: Some(sample.grant.purpose.clone()), party: None };
        let grant = judged.grant.as_ref().map(|row| &row.statement.terms);
        let asked = judged.ask.as_ref().map(|row| &row.statement.ask.terms);
        match action {
            Action::Enrol(sample) => of_sample(Kind::Enrolment, sample),
            Action::Verify(sample) => of_sample(Kind::Verification, sample),
            Action::Renew(sample) => of_sample(Kind::Renewal, sample),
            Action::Withdraw { .. } => of_terms(Kind::Withdrawal, None),
            Action::Grant(standing) => of_terms(Kind::Grant, Some(&standing.terms)),
            Action::Narrow(_) | Action::Revoke { .. } => of_terms(Kind::GrantChange, grant),
            Action::Ask(ask) => of_terms(Kind::Ask, Some(&ask.terms)),
            Action::Answer(_) => of_terms(Kind::Answer, asked),
            Action::Use(_) => of_terms(Kind::Use, grant),
            Action::ShieldUp => of_terms(Kind::ShieldUp, None),
            Action::ShieldDown { .. } => of_terms(Kind::ShieldDown, None),
            Action::Charter(_) => of_terms(Kind::Charter, None),
            Action::SetGuardians(_) => of_terms(Kind::Guardians, None),
            Action::StartRecovery(_) | Action::VetoRecovery { .. } | Action::FinishRecovery { .. } => {
                of_terms(Kind::Recovery, None)
            }
            Action::Bind(_) => of_terms(Kind::Binding, None),
            Action::Refresh { .. } | Action::Switch { .. } => of_terms(Kind::Administrative, None),
            // Each node answers these for itself; none is ever decided.
            Action::Status
            | Action::Inspect { .. }
            | Action::Outcome { .. }
            | Action::See { .. }
            | Action::Events { .. }
            | Action::Issue { .. }
            | Action::Recovery { .. }
            | Action::Release { .. } => of_terms(Kind::Administrative, None),
        }
    }
}

/// The entry of `decision`, canonical. It stands at the decision's `log_index` and concerns the holder of `trace`.
pub(crate) fn entry(decision: &Decision, public: Public, trace: &TraceKey) -> Vec<u8> {
    use types::sign::Message as _;

    let Public { kind, purpose, party } = public;
    let index = decision.log_index;
    let entry = Entry {
        version: entry::VERSION,
        kind,
        purpose,
        party,
        batch: decision.batch,
        at: decision.decided_at,
        tag: trace.tag(index),
        commitment: Opening::new(trace, index, decision.digest()).commitment(),
    };
    entry.to_bytes()
}
