//! What is kept of every decision: the consent receipt with all its signed parts (`charter::receipt`), and the proof that the three
//! logs hold the decision.
//!
//! **Trust**: none is needed in the file. [`Kept::check`] believes nothing but the roster's keys. Who reads a receipt learns what
//! it says of its holder; with the salt inside they can find its one entry in the logs, and no other.

use charter::receipt::{Receipt, Source};
use serde::{Deserialize, Serialize};
use tlog::{Entry, Kind, Opening, TlogProof};
use types::api::{from_base64, to_base64};
use types::consent::{Purpose, Reply, Terms};
use types::message::{Action, Certificate, Decision, Event, Request};
use types::roster::Roster;
use types::sign::{Message as _, Signed};
use types::{Digest, NodeId, PartyId, UnixSeconds, limits};

use crate::answer::fits;
use crate::error::Error;
use crate::events::party_of;
use crate::logs::{Proven, policy};
use crate::platform::Platform;
use crate::rules::InForce;
use crate::session::{Client, Proof};
use crate::transport::Transport;

/// Version of [`Kept`].
pub const VERSION: u16 = 2;
/// Bytes of a receipt file.
pub const KEPT_BYTES: usize = limits::RECEIPT_BYTES + 2 * limits::LOG_EVIDENCE_BYTES;
const WHAT: &str = "receipt";

/// A salt that its holder does not know: a relying party's receipt of a use, whose log entry concerns the member; a new device's
/// of its recovery, before it is the member's.
pub const NO_SALT: Digest = Digest([0; 32]);

/// A receipt as it lies in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// [`VERSION`].
    pub version: u16,
    /// For people and simple programs; says what the signed parts say.
    pub summary: Summary,
    /// The consent receipt with its signed parts.
    pub receipt: Receipt,
    /// That the logs hold it; absent until they have been published that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Logged>,
}

/// What a receipt is about, in a few plain values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// [`types::message::Action::name`].
    pub action: String,
    /// [`types::message::Outcome::name`].
    pub outcome: String,
    /// Operation id.
    pub operation: types::OperationId,
    /// Batch number.
    pub batch: u64,
    /// When.
    pub decided_at: UnixSeconds,
    /// The relying party that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<PartyId>,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The note of the consent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The log's part of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logged {
    /// base64url of the entry's canonical bytes.
    pub entry: String,
    /// C2SP tlog-proofs, in the logs of nodes 1, 2 and 3.
    pub proofs: [String; 3],
}

/// What a receipt that holds shows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What was asked.
    pub request: Signed<Request>,
    /// What was decided.
    pub certificate: Certificate,
    /// Under which rules.
    pub charter: charter::Charter,
    /// Where the logs hold it; absent when the receipt has no proofs yet.
    pub logs: Option<ShownLogs>,
}

/// Where the logs hold a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLogs {
    /// The entry.
    pub entry: Entry,
    /// Whether the receipt opens the entry's commitment, and so shows that the entry is of this very decision.
    pub opened: bool,
    /// Of each log: size of the checkpoint, who cosigned it, when.
    pub logs: [(u64, Vec<(String, UnixSeconds)>); 3],
}

impl Kept {
    /// Keeps a decision. `origin` as in [`charter::receipt::Source`].
    ///
    /// # Errors
    /// [`Error::Receipt`] when the parts do not belong together.
    pub fn new(
        roster: &Roster,
        rules: &InForce,
        request: &Signed<Request>,
        certificate: &Certificate,
        salt: Digest,
        origin: Option<&Event>,
    ) -> Result<Self, Error> {
        let receipt = Receipt::new(&Source {
            roster,
            charter: &rules.charter,
            signed_charter: rules.signed.as_ref(),
            request,
            certificate,
            origin,
            log_salt: salt,
        })?;
        let summary = Summary::of(&request.message, &certificate.decision, origin.and_then(terms_in));
        Ok(Self { version: VERSION, summary, receipt, log: None })
    }

    /// Reads a file; checks nothing that it says.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let bad = |reason| Error::BadFile { what: WHAT, reason };
        if bytes.len() > KEPT_BYTES {
            return Err(bad("it is too large"));
        }
        let kept: Self = serde_json::from_slice(bytes).map_err(|_| bad("it is not the JSON of one"))?;
        if kept.version == VERSION { Ok(kept) } else { Err(bad("it has a version that this program does not know")) }
    }

    /// The decision with its request, as nodes tell it. Unchecked.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn event(&self) -> Result<Event, Error> {
        let bad = |_| Error::BadFile { what: WHAT, reason: "a signed part is not whole" };
        let request = Signed::from_bytes(&from_base64(WHAT, &self.receipt.request).map_err(bad)?).map_err(bad)?;
        let certificate =
            Certificate::from_bytes(&from_base64(WHAT, &self.receipt.certificate).map_err(bad)?).map_err(bad)?;
        Ok(Event { request, certificate })
    }

    /// The file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Checks everything, offline: all signatures, that the parts belong together and say what was signed, and the logs' proofs if
    /// there are any.
    ///
    /// # Errors
    /// [`Error::Receipt`], [`Error::BadFile`], [`Error::NotLogged`], [`Error::Log`].
    pub fn check(&self, roster: &Roster) -> Result<Shown, Error> {
        let opened = self.receipt.open(roster)?;
        let (request, decision) = (&opened.request.message, &opened.certificate.decision);
        let bad = |reason| Error::BadFile { what: WHAT, reason };
        if !fits(request, &decision.outcome, None) {
            return Err(bad("the outcome cannot be one of this request"));
        }
        let terms = opened.origin.as_ref().and_then(terms_in);
        if self.summary != Summary::of(request, decision, terms) {
            return Err(bad("its summary is not what the signed parts say"));
        }
        let logs = self.log.as_ref().map(|log| check_log(log, roster, (request, decision, terms), self.receipt.log_salt));
        let logs = logs.transpose()?;
        Ok(Shown { request: opened.request, certificate: opened.certificate, charter: opened.charter, logs })
    }
}

impl Summary {
    fn of(request: &Request, decision: &Decision, terms: Option<&Terms>) -> Self {
        let action = &request.action;
        let own_terms = terms_of(action).or(terms);
        let note = match (own_terms, action.submission()) {
            (_, Some(submission)) if !submission.grant.note.is_empty() => submission.grant.note.clone(),
            (Some(terms), _) => terms.note.clone(),
            _ => String::new(),
        };
        Self {
            action: action.name().to_owned(),
            outcome: decision.outcome.name().to_owned(),
            operation: decision.operation,
            batch: decision.batch,
            decided_at: decision.decided_at,
            party: party_of(action).or(own_terms.map(|terms| &terms.party)).cloned(),
            purpose: purpose_of(action).or(own_terms.map(|terms| &terms.purpose)).cloned(),
            note,
        }
    }
}

/// The terms that a request itself carries.
pub fn terms_of(action: &Action) -> Option<&Terms> {
    match action {
        Action::Grant(grant) => Some(&grant.terms),
        Action::Ask(ask) => Some(&ask.terms),
        Action::Answer(answer) => match &answer.reply {
            Reply::Approve { terms, .. } => Some(terms),
            Reply::Refuse => None,
        },
        _ => None,
    }
}

fn terms_in(event: &Event) -> Option<&Terms> {
    terms_of(&event.request.message.action)
}

fn purpose_of(action: &Action) -> Option<&Purpose> {
    match action {
        Action::Use(used) => Some(&used.purpose),
        action => action.submission().map(|submission| &submission.grant.purpose),
    }
}

/// The kind of log entry that a decided request leads to.
pub fn kind_of(action: &Action) -> Kind {
    match action {
        Action::Enrol(_) => Kind::Enrolment,
        Action::Verify(_) => Kind::Verification,
        Action::Renew(_) => Kind::Renewal,
        Action::Use(_) => Kind::Use,
        Action::Withdraw { .. } => Kind::Withdrawal,
        Action::Grant(_) => Kind::Grant,
        Action::Narrow(_) | Action::Revoke { .. } => Kind::GrantChange,
        Action::Ask(_) => Kind::Ask,
        Action::Answer(_) => Kind::Answer,
        Action::ShieldUp => Kind::ShieldUp,
        Action::ShieldDown { .. } => Kind::ShieldDown,
        Action::Charter(_) => Kind::Charter,
        Action::SetGuardians(_) => Kind::Guardians,
        Action::StartRecovery(_) | Action::VetoRecovery { .. } | Action::FinishRecovery { .. } => Kind::Recovery,
        Action::Bind(_) => Kind::Binding,
        Action::Refresh { .. }
        | Action::Switch { .. }
        | Action::Recovery { .. }
        | Action::Release { .. }
        | Action::Status
        | Action::Inspect { .. }
        | Action::Outcome { .. }
        | Action::See { .. }
        | Action::Events { .. }
        | Action::Issue { .. } => Kind::Administrative,
    }
}

/// Do the logs' proofs hold, for the entry of this decision? `salt` opens the entry, unless it is [`NO_SALT`].
pub(crate) fn check_log(
    log: &Logged,
    roster: &Roster,
    (request, decision, terms): (&Request, &Decision, Option<&Terms>),
    salt: Digest,
) -> Result<ShownLogs, Error> {
    let bad = |reason| Error::BadFile { what: WHAT, reason };
    let bytes = from_base64(WHAT, &log.entry).map_err(|_| bad("its log entry is not base64"))?;
    let first = NodeId::ALL[0];
    let entry = Entry::from_bytes(&bytes).map_err(|source| Error::Log { node: first, source })?;
    let index = decision.log_index;
    is_of(&entry, request, decision, terms).map_err(|reason| Error::NotLogged { node: first, index, reason })?;
    let opened = salt != NO_SALT;
    if opened {
        let opening = Opening { salt, decision: decision.digest() };
        opening.check(&entry).map_err(|source| Error::Log { node: first, source })?;
    }
    let leaf = entry.leaf_hash();
    let prove = |(node, text): (NodeId, &String)| {
        let wrong = |source| Error::Log { node, source };
        let proof = TlogProof::parse(text.as_bytes()).map_err(wrong)?;
        if proof.index != index {
            return Err(Error::NotLogged { node, index, reason: "the proof is for another place in the log" });
        }
        // By the keys in force, or by those before a node was replaced: the proof is as old as the receipt.
        let mut checked = Err(Error::NotLogged { node, index, reason: "the roster lists no nodes" });
        for count in (0..=roster.successions.len()).rev() {
            let policy = policy(&roster.generation(count), node)?;
            let accepted = proof.verify(&leaf, &policy).map(|accepted| (accepted.checkpoint.size, accepted.cosigned));
            match accepted.map_err(wrong) {
                Ok(accepted) => return Ok(accepted),
                Err(error) if count == roster.successions.len() => checked = Err(error),
                Err(_) => {}
            }
        }
        checked
    };
    let [one, two, three] = NodeId::ALL;
    let [a, b, c] = &log.proofs;
    Ok(ShownLogs { entry, opened, logs: [prove((one, a))?, prove((two, b))?, prove((three, c))?] })
}

/// Does the entry say publicly what was decided? Its commitment is checked apart.
fn is_of(entry: &Entry, request: &Request, decision: &Decision, terms: Option<&Terms>) -> Result<(), &'static str> {
    if entry.kind != kind_of(&request.action) {
        return Err("the entry is of another kind of act");
    }
    if (entry.batch, entry.at) != (decision.batch, decision.decided_at) {
        return Err("the entry is of another batch or time");
    }
    let terms = terms_of(&request.action).or(terms);
    let party = party_of(&request.action).or(terms.map(|terms| &terms.party));
    let purpose = purpose_of(&request.action).or(terms.map(|terms| &terms.purpose));
    let differs = |told: bool, what| if told { Err(what) } else { Ok(()) };
    differs(
        entry.party.as_ref().zip(party).is_some_and(|(one, other)| one != other),
        "the entry names another relying party",
    )?;
    differs(
        entry.purpose.as_ref().zip(purpose).is_some_and(|(one, other)| one != other),
        "the entry names another purpose",
    )?;
    let uses = matches!(request.action, Action::Use(_));
    differs(uses && (entry.party.is_none() || entry.purpose.is_none()), "the entry hides who used what for what")
}

impl<T: Transport, P: Platform> Client<T, P> {
    /// Keeps what was just decided: the receipt without the logs' proofs.
    ///
    /// # Errors
    /// [`Error::Receipt`]; [`Error::Unavailable`] and the like when the charter is not known yet.
    pub async fn keep(&self, proof: &Proof, origin: Option<&Event>) -> Result<Kept, Error> {
        let rules = self.charter().await?;
        let request = proof.request.as_ref().ok_or(Error::BadFile { what: WHAT, reason: "the request is not known" })?;
        Kept::new(self.commons().roster(), &rules, request, &proof.certificate, proof.salt, origin)
    }

    /// Adds the proofs of the three logs to a receipt, each checked.
    ///
    /// # Errors
    /// [`Error::NotPublished`] when it is too early, [`Error::NotLogged`] when a log holds something else, and as
    /// [`Client::prove`].
    pub async fn complete(&self, kept: &Kept) -> Result<Kept, Error> {
        let logged = self.logged(kept.receipt.log_index).await?;
        let whole = Kept { log: Some(logged), ..kept.clone() };
        whole.check(self.commons().roster())?;
        Ok(whole)
    }
    /// An entry with its proofs in the three logs.
    pub(crate) async fn logged(&self, index: u64) -> Result<Logged, Error> {
        let Proven { entry, proofs } = self.prove(index).await?;
        Ok(Logged { entry: to_base64(&entry), proofs: proofs.map(|proof| proof.to_string()) })
    }
}
