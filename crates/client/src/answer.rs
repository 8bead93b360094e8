//! What an answer must be before it counts. Pure functions of the roster, the request, the bytes and the time.

use types::api::{DecisionBody, Problem, StatementBody, from_base64};
use types::consent::{Operation, Reply as Said};
use types::message::{Action, Certificate, Finding, Outcome, Request, SignedStatement, Statement, VERSION};
use types::roster::Roster;
use types::seal::{INSPECTION, RELEASE, open};
use types::sign::Signed;
use types::{Digest, GrantId, NodeId, OperationId, SubjectId, UnixSeconds, limits};

use crate::error::{Fault, printable};
use crate::request::Prepared;
use crate::transport::{Answer, Call, Silence};

/// One node's answer, judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply<T> {
    /// Everything verifies.
    Valid(T),
    /// The node knows nothing of the operation (yet).
    NotFound,
    /// The nodes cannot decide now; these do not answer. The node has dropped the operation.
    Unavailable(Vec<NodeId>),
    /// The node did not act on this request, and says that a new one may succeed soon.
    Later {
        /// Problem code.
        code: String,
        /// What the node says, printable characters only.
        detail: String,
    },
    /// The node will not act on this request.
    Refused {
        /// Problem code.
        code: String,
        /// What the node says, printable characters only.
        detail: String,
    },
    /// The node never saw the request.
    Unreached,
    /// The node may have seen the request; there is no answer, or one that says to ask again.
    Lost,
    /// Not what an honest node sends.
    Invalid(Fault),
}

/// What a certificate must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The operation.
    pub operation: OperationId,
    /// The request and its digest; not known for an operation of an earlier run.
    pub request: Option<(&'a Request, Digest)>,
    /// The asking member's name towards the relying party that learns of them.
    pub subject: Option<SubjectId>,
}

impl<'a> Expected<'a> {
    /// The certificate on `prepared` itself.
    pub fn of(prepared: &'a Prepared) -> Self {
        let request = prepared.request();
        Self { operation: request.operation, request: Some((request, prepared.digest)), subject: prepared.subject }
    }
}

/// Judges the answer to an enrolment, verification, withdrawal or outcome request. `proven` is a certificate on the same
/// operation that already passed: an equal one need not be checked again.
pub fn decision(
    roster: &Roster,
    expected: &Expected<'_>,
    answer: Result<Answer, Silence>,
    proven: Option<&Certificate>,
    now: UnixSeconds,
) -> Reply<Certificate> {
    judge(answer, |body: DecisionBody| {
        let bytes = from_base64("certificate", &body.certificate).map_err(|_| Fault::Malformed)?;
        let certificate = Certificate::from_bytes(&bytes).map_err(fault)?;
        if proven != Some(&certificate) {
            check_certificate(roster, expected, &certificate, now)?;
        }
        Ok(certificate)
    })
}

/// Three good signatures over a decision on exactly this request.
///
/// # Errors
/// The first [`Fault`] found.
pub fn check_certificate(
    roster: &Roster,
    expected: &Expected<'_>,
    certificate: &Certificate,
    now: UnixSeconds,
) -> Result<(), Fault> {
    let decision = &certificate.decision;
    if decision.version != VERSION {
        return Err(Fault::Version);
    }
    if decision.commons != roster.digest() {
        return Err(Fault::OtherCommons);
    }
    if decision.operation != expected.operation {
        return Err(Fault::OtherRequest);
    }
    let mut issued_at = 0;
    if let Some((request, digest)) = expected.request {
        if digest != decision.request {
            return Err(Fault::OtherRequest);
        }
        if !fits(request, &decision.outcome, expected.subject) {
            return Err(Fault::WrongOutcome);
        }
        if consented(&request.action).is_some_and(|charter| charter != decision.charter) {
            return Err(Fault::WrongCharter);
        }
        issued_at = request.issued_at;
    }
    certificate.verify(roster).map_err(fault)?;
    // Old decisions cannot name a fresh request; this only catches clocks that are far off.
    let window = issued_at.saturating_sub(limits::CLOCK_SKEW_S)..=now.saturating_add(limits::CLOCK_SKEW_S);
    if window.contains(&decision.decided_at) { Ok(()) } else { Err(Fault::Stale) }
}

/// The charter that a consent inside the request names: no other may be in force when it is acted upon.
pub(crate) fn consented(action: &Action) -> Option<Digest> {
    match action {
        Action::Grant(grant) => Some(grant.charter),
        Action::Ask(ask) => Some(ask.charter),
        Action::Answer(answer) => matches!(answer.reply, Said::Approve { .. }).then_some(answer.charter),
        action => action.submission().map(|submission| submission.grant.charter),
    }
}

/// Is this an outcome that an honest decision on this request can have? `subject` as in [`Expected`].
pub(crate) fn fits(request: &Request, outcome: &Outcome, subject: Option<SubjectId>) -> bool {
    match &request.action {
        Action::Enrol(_) => matches!(outcome, Outcome::Enrolled { .. } | Outcome::Duplicate | Outcome::InvalidTemplate),
        Action::Verify(_) => matches!(outcome, Outcome::Verified { .. } | Outcome::InvalidTemplate),
        Action::Renew(_) => matches!(outcome, Outcome::Renewed | Outcome::NotRenewed | Outcome::InvalidTemplate),
        Action::Withdraw { .. } => matches!(outcome, Outcome::Withdrawn { .. }),
        Action::Grant(_) => *outcome == Outcome::Granted,
        Action::Narrow(narrowing) => *outcome == Outcome::Narrowed { grant: narrowing.grant },
        Action::Revoke { grant } => *outcome == Outcome::Revoked { grant: *grant },
        Action::Answer(answer) => match (&answer.reply, outcome) {
            (Said::Refuse, Outcome::Declined { ask }) => *ask == answer.ask,
            (Said::Approve { terms, .. }, Outcome::Answered { ask, grant, subject: told, finding, uses_left }) => {
                *ask == Some(answer.ask)
                    && *grant == GrantId::from(request.operation)
                    && subject.is_none_or(|own| own == *told)
                    && finds(terms.operation, finding)
                    && *uses_left == terms.uses.saturating_sub(1)
            }
            _ => false,
        },
        Action::ShieldUp => matches!(outcome, Outcome::Shielded { .. }),
        Action::ShieldDown { restore } => {
            matches!(outcome, Outcome::Unshielded { restored } if *restored as usize == restore.len())
        }
        // A member who shields themselves declines at once.
        Action::Ask(_) => *outcome == Outcome::Asked || *outcome == (Outcome::Declined { ask: request.operation.into() }),
        Action::Use(used) => {
            let operation = if used.submission.is_some() { Operation::Verification } else { Operation::Membership };
            matches!(outcome, Outcome::Answered { ask: None, grant, finding, .. } if *grant == used.grant && finds(operation, finding))
        }
        Action::Charter(_) => matches!(outcome, Outcome::CharterAdopted { .. }),
        Action::SetGuardians(_) => matches!(outcome, Outcome::GuardiansSet { .. }),
        Action::StartRecovery(_) => matches!(outcome, Outcome::RecoveryStarted { .. } | Outcome::RecoveryRefused { .. }),
        Action::VetoRecovery { recovery } => *outcome == Outcome::RecoveryVetoed { recovery: *recovery },
        Action::FinishRecovery { .. } => matches!(outcome, Outcome::Recovered { former, .. } if *former != request.device),
        Action::Recovery { .. } | Action::Release { .. } => false,
        Action::Bind(binding) => *outcome == Outcome::Bound { commitment: binding.commitment },
        Action::Refresh { epoch } => *outcome == (Outcome::RefreshBegun { epoch: *epoch }),
        Action::Switch { epoch } => *outcome == (Outcome::Refreshed { epoch: *epoch }),
        Action::Status
        | Action::Inspect { .. }
        | Action::Outcome { .. }
        | Action::See { .. }
        | Action::Events { .. }
        | Action::Issue { .. } => false,
    }
}

fn finds(operation: Operation, finding: &Finding) -> bool {
    match operation {
        Operation::Membership => *finding == Finding::Member,
        Operation::Verification => matches!(finding, Finding::Compared { .. } | Finding::InvalidTemplate),
    }
}

/// Judges the answer of `node` to a status or inspection request.
pub fn statement(
    roster: &Roster,
    node: NodeId,
    prepared: &Prepared,
    answer: Result<Answer, Silence>,
    now: UnixSeconds,
) -> Reply<Statement> {
    judge(answer, |body: StatementBody| {
        let mut bytes = from_base64("statement", &body.statement).map_err(|_| Fault::Malformed)?;
        if let Some(key) = &prepared.reply_key {
            let purpose = if prepared.call == Call::Release { RELEASE } else { INSPECTION };
            bytes = open(key, purpose, &prepared.digest, &bytes).map_err(|_| Fault::NotSealedToUs)?;
        }
        let signed: SignedStatement = Signed::from_bytes(&bytes).map_err(fault)?;
        check_statement(roster, node, prepared, &signed, now)?;
        Ok(signed.message)
    })
}

/// A good signature by `node` over a statement on exactly this request, made since it was asked.
///
/// # Errors
/// The first [`Fault`] found.
pub fn check_statement(
    roster: &Roster,
    node: NodeId,
    prepared: &Prepared,
    signed: &SignedStatement,
    now: UnixSeconds,
) -> Result<(), Fault> {
    let statement = &signed.message;
    if statement.version != VERSION {
        return Err(Fault::Version);
    }
    if statement.commons != roster.digest() {
        return Err(Fault::OtherCommons);
    }
    if statement.node != node {
        return Err(Fault::OtherNode);
    }
    if statement.request != prepared.digest {
        return Err(Fault::OtherRequest);
    }
    let entry = roster.node(node).ok_or(Fault::OtherNode)?;
    signed.verify(&entry.signing_key).map_err(fault)?;
    let issued = prepared.request().issued_at;
    let window = issued.saturating_sub(limits::CLOCK_SKEW_S)..=now.saturating_add(limits::CLOCK_SKEW_S);
    if window.contains(&statement.at) { Ok(()) } else { Err(Fault::Stale) }
}

pub(crate) fn fault(error: types::Error) -> Fault {
    match error {
        types::Error::TooLarge { .. } => Fault::TooLarge,
        types::Error::Version { .. } => Fault::Version,
        types::Error::BadSignature { .. } => Fault::WrongSignature,
        _ => Fault::Malformed,
    }
}

/// Sorts an HTTP answer; `check` reads the body of a success.
pub(crate) fn judge<B: serde::de::DeserializeOwned, T>(
    answer: Result<Answer, Silence>,
    check: impl FnOnce(B) -> Result<T, Fault>,
) -> Reply<T> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Silence::Unreached) => return Reply::Unreached,
        Err(Silence::Lost) => return Reply::Lost,
        Err(Silence::WrongKey) => return Reply::Invalid(Fault::WrongKey),
        Err(Silence::TooLarge) => return Reply::Invalid(Fault::TooLarge),
    };
    if (200..300).contains(&answer.status) {
        let body = serde_json::from_slice(&answer.body).map_err(|_| Fault::Malformed);
        return body.and_then(check).map_or_else(Reply::Invalid, Reply::Valid);
    }
    let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) else {
        // Proxies in front of a node answer 502 or 504 without a problem document.
        return if answer.status >= 500 { Reply::Lost } else { Reply::Invalid(Fault::Malformed) };
    };
    let (code, detail) = (printable(&problem.code), printable(&problem.detail));
    if let (4, Some(rule)) = (answer.status / 100, &problem.rule) {
        // Which rule of the charter stands in the way says more than that one does.
        return Reply::Refused { code: printable(rule), detail };
    }
    match (code.as_str(), answer.status) {
        ("not-found", _) => Reply::NotFound,
        ("unavailable" | "not-everywhere", _) => {
            Reply::Unavailable(problem.unavailable_nodes.iter().filter_map(|&n| NodeId::new(n).ok()).collect())
        }
        // It was received before, so it may be decided: ask for the outcome.
        ("replayed", _) => Reply::Lost,
        ("busy" | "recovering" | "aborted" | "stopped" | "storage-full" | "log-stopped" | "log-conflict", _)
        | (_, 408 | 429) => Reply::Later { code, detail },
        // Anything else of the 5xx family says nothing certain about the operation.
        (_, 500..) => Reply::Lost,
        _ => Reply::Refused { code, detail },
    }
}

/// A member's own receipt: the certificate can be checked again at any time, offline, against the roster.
///
/// # Errors
/// The first [`Fault`] found.
pub fn check_receipt(roster: &Roster, certificate: &Certificate) -> Result<(), Fault> {
    certificate.verify(roster).map_err(fault)
}
