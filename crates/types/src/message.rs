//! Requests that a member's device signs, and what nodes sign in return.
//!
//! A request goes to all three nodes byte for byte alike; only the sealed share beside it differs. The three answers to an
//! operation are one [`Decision`] under three signatures: a [`Certificate`]. One certificate from any node proves what all
//! three decided.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::consent::{
    Answer, Ask, AskStatement, GrantStatement, Narrowing, Purpose, Reply, SignedCharter, StandingGrant, StationSeal, Use,
    Voucher,
};
use crate::persona::{Binding, Claim, Issued, LastIssue, Refused};
use crate::recovery::{GuardedStatement, RecoveryFault, RecoveryStart, Released, SetGuardians};
use crate::sign::{Message, Signed, verify};
use crate::{
    AskId, DeviceKey, Digest, Epoch, Error, GrantId, MemberId, NodeId, OperationId, ProfileId, RecoveryName, Signature,
    SubjectId, TraceKey, UnixSeconds, limits, roster::Roster,
};

/// Version of every message in this module.
pub const VERSION: u16 = 4;

/// What a device asks of the three nodes. Signed by `device`.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u16,
    /// Digest of the roster: a request for one commons means nothing to another.
    pub commons: Digest,
    /// Fresh and random. A node accepts it once.
    pub operation: OperationId,
    /// Who signs.
    pub device: DeviceKey,
    /// When it was made.
    pub issued_at: UnixSeconds,
    /// Until when nodes may act on it; at most [`limits::REQUEST_LIFETIME_S`] after `issued_at`.
    pub expires_at: UnixSeconds,
    /// [`crate::TraceKey::commitment`] of the key that travels beside this request. It marks the log entry of what is decided.
    pub trace: Digest,
    /// What to do.
    pub action: Action,
}

/// What a member, a relying party or an operator asks.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Action {
    /// Become a member, or add a modality: match against everybody, then keep the record.
    Enrol(Submission),
    /// Prove to be the member who enrolled: match against one's own record (1:1).
    Verify(Submission),
    /// What do the nodes know of me?
    Status,
    /// Erase everything of mine on all three nodes. With a profile, only that record.
    Withdraw {
        /// Which record; all of them when absent.
        profile: Option<ProfileId>,
    },
    /// Show me what this node stores about me.
    Inspect {
        /// HPKE public key (X25519) of this one request: the answer is sealed to it.
        reply_key: [u8; 32],
    },
    /// What became of an earlier operation of mine?
    Outcome {
        /// Which one. A relying party gives its ask's id to hear of the answer.
        operation: OperationId,
    },
    /// Give a relying party a standing grant.
    Grant(StandingGrant),
    /// Make a standing grant smaller.
    Narrow(Narrowing),
    /// End a standing grant.
    Revoke {
        /// Which.
        grant: GrantId,
    },
    /// Show one ask whose id came by another way.
    See {
        /// Which.
        ask: AskId,
    },
    /// Answer a relying party.
    Answer(Answer),
    /// Suspend every grant, cut every session, refuse every pending request, at once and on every node that hears it.
    ShieldUp,
    /// End the shield. The grants named come back; all others end.
    ShieldDown {
        /// At most [`limits::GRANTS_PER_MEMBER`].
        restore: Vec<GrantId>,
    },
    /// Decisions that concern the member, theirs and relying parties', in order.
    Events {
        /// Only of later batches.
        after_batch: u64,
    },
    /// A relying party asks a member.
    Ask(Ask),
    /// A relying party uses a standing grant.
    Use(Use),
    /// The operators change the rules. Anybody may bring it: the signatures inside count.
    Charter(SignedCharter),
    /// These are my guardians from now on.
    SetGuardians(SetGuardians),
    /// Guardians have approved this device: make it mine after the delay.
    StartRecovery(RecoveryStart),
    /// As the member's present device: no.
    VetoRecovery {
        /// Which.
        recovery: OperationId,
    },
    /// The delay is over: this device becomes the member's, the old one ends everywhere at once.
    FinishRecovery {
        /// Which.
        recovery: OperationId,
    },
    /// Where do recoveries of this name stand?
    Recovery {
        /// Whose.
        name: RecoveryName,
    },
    /// As the device that a recovery made the member's: give me what is kept for me.
    Release {
        /// Which recovery.
        recovery: OperationId,
    },
    /// Bind this membership to the one secret behind all of the member's personas: once, for good.
    Bind(Binding),
    /// Sign my credential of this epoch, over the secret that I am bound to.
    Issue {
        /// The present one, or the next one when it is near.
        epoch: Epoch,
        /// What is vouched for about me, at most [`limits::CLAIMS`]; what I leave out is signed as not vouched for.
        claims: Vec<Signed<Claim>>,
    },
    /// Replace one's record by one of a newer sample, or by one of a newer profile: it must match the record, and nobody else's.
    Renew(Submission),
    /// An operator: renew all stored shares, so that those stolen before and those stolen after do not combine. Signed with a
    /// node's own signing key.
    Refresh {
        /// The epoch that begins: one more than the present one.
        epoch: u64,
    },
    /// The nodes' own act, which nobody can ask for: all three have their shares of the new epoch, and use them from here on.
    Switch {
        /// The epoch that begins.
        epoch: u64,
    },
}

/// A shared template with the member's consent to one use of it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Submission {
    /// Which kind of template.
    pub profile: ProfileId,
    /// [`crate::profile::Profile::digest`]: both sides mean the same profile.
    pub profile_digest: Digest,
    /// `H(x_j || salt_j)` for j = 1, 2, 3. The two holders of a component check it, so that they hold the same.
    pub commitments: [Digest; 3],
    /// The same sample in the profile that this one replaces, where the charter asks for it.
    pub former: Option<Former>,
    /// Consent to exactly this operation.
    pub grant: Grant,
    /// The capture station's word, where the charter asks for one.
    pub station: Option<Signed<StationSeal>>,
    /// Who vouches for the newcomer, where the charter asks for it; at most [`limits::VOUCHERS`].
    pub vouchers: Vec<Signed<Voucher>>,
}

/// A template of the same sample in the profile that is being replaced: it is searched for among those who have not moved yet, or
/// compared with the record that moves, and never kept.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Former {
    /// As in [`Submission`].
    pub profile: ProfileId,
    /// As in [`Submission`].
    pub profile_digest: Digest,
    /// As in [`Submission`].
    pub commitments: [Digest; 3],
}

/// Consent, inside the signed request: purpose-bound, expiring, for one use.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grant {
    /// What the template may be used for.
    pub purpose: Purpose,
    /// In the member's words or the asking party's; shown in receipts. At most [`limits::PURPOSE_CHARS`] characters.
    pub note: String,
    /// No use before.
    pub not_before: UnixSeconds,
    /// No use after.
    pub expires_at: UnixSeconds,
    /// Uses allowed: 1. More is a standing grant.
    pub uses: u32,
    /// Digest of the charter that the member has read.
    pub charter: Digest,
}

impl Message for Request {
    const DOMAIN: &'static str = "trust-commons/v1/request";
    const NAME: &'static str = "request";
    const LIMIT: usize = limits::REQUEST_BYTES;
}

impl Action {
    /// The submission of actions that carry a template share.
    pub fn submission(&self) -> Option<&Submission> {
        match self {
            Self::Enrol(s) | Self::Verify(s) | Self::Renew(s) => Some(s),
            Self::Answer(Answer { reply: Reply::Approve { submission, .. }, .. }) | Self::Use(Use { submission, .. }) => {
                submission.as_ref()
            }
            Self::StartRecovery(start) => start.submission.as_ref(),
            _ => None,
        }
    }
    /// Whether all three nodes decide it together; else each node answers for itself.
    pub fn is_decided(&self) -> bool {
        !matches!(
            self,
            Self::Status
                | Self::Inspect { .. }
                | Self::Outcome { .. }
                | Self::See { .. }
                | Self::Events { .. }
                | Self::Issue { .. }
                | Self::Recovery { .. }
                | Self::Release { .. }
        )
    }
    /// Plain name, for metrics and people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Enrol(_) => "enrol",
            Self::Verify(_) => "verify",
            Self::Status => "status",
            Self::Withdraw { .. } => "withdraw",
            Self::Inspect { .. } => "inspect",
            Self::Outcome { .. } => "outcome",
            Self::Grant(_) => "grant",
            Self::Narrow(_) => "narrow",
            Self::Revoke { .. } => "revoke",
            Self::See { .. } => "see",
            Self::Answer(_) => "answer",
            Self::ShieldUp => "shield-up",
            Self::ShieldDown { .. } => "shield-down",
            Self::Events { .. } => "events",
            Self::Ask(_) => "ask",
            Self::Use(_) => "use",
            Self::Charter(_) => "charter",
            Self::SetGuardians(_) => "set-guardians",
            Self::StartRecovery(_) => "start-recovery",
            Self::VetoRecovery { .. } => "veto-recovery",
            Self::FinishRecovery { .. } => "finish-recovery",
            Self::Recovery { .. } => "recovery",
            Self::Release { .. } => "release",
            Self::Bind(_) => "bind",
            Self::Issue { .. } => "issue",
            Self::Renew(_) => "renew",
            Self::Refresh { .. } => "refresh",
            Self::Switch { .. } => "switch",
        }
    }
    /// Whether an operator asks for it, not a member or a relying party.
    pub fn is_operators(&self) -> bool {
        matches!(self, Self::Refresh { .. })
    }
}

/// The trace key of an act of the operators or of the nodes: no secret, so that anybody who knows the operation finds and opens
/// its log entry.
pub fn public_trace(operation: &OperationId) -> TraceKey {
    TraceKey::from_random(Digest::of("trust-commons/v1/public-trace", &[&operation.0]).0)
}

/// What the three nodes decided about one operation. Each signs the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Decision {
    /// [`VERSION`].
    pub version: u16,
    /// Digest of the roster.
    pub commons: Digest,
    /// Which operation.
    pub operation: OperationId,
    /// Digest of the request that asked for it.
    pub request: Digest,
    /// Number of the batch in which it was decided, counted from 1 on all nodes alike.
    pub batch: u64,
    /// When, as the nodes agreed.
    pub decided_at: UnixSeconds,
    /// Digest of the charter in force.
    pub charter: Digest,
    /// Index of its entry in each node's log, the same on all.
    pub log_index: u64,
    /// What.
    pub outcome: Outcome,
}

/// Outcomes. Beyond these, an answer reveals nothing: no score, no other member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Outcome {
    /// The record is active on all three nodes.
    Enrolled {
        /// Whose.
        member: MemberId,
    },
    /// Somebody already enrolled with a matching template; nothing was kept.
    Duplicate,
    /// The shared values are not a template of this profile (range, norm or mask); nothing was kept.
    InvalidTemplate,
    /// The 1:1 comparison was made.
    Verified {
        /// Whether the template matches the record.
        matched: bool,
    },
    /// The member's records are masked and erased on all three nodes.
    Withdrawn {
        /// Records erased.
        records: u32,
    },
    /// A standing grant begins; its id is the operation's.
    Granted,
    /// A standing grant is smaller.
    Narrowed {
        /// Which.
        grant: GrantId,
    },
    /// A standing grant has ended.
    Revoked {
        /// Which.
        grant: GrantId,
    },
    /// The ask waits for its answer; its id is the operation's.
    Asked,
    /// The member said no, or shields themselves.
    Declined {
        /// To which.
        ask: AskId,
    },
    /// A relying party has its answer: by a member's approval of an ask, or by the use of a grant.
    Answered {
        /// The ask; absent when a standing grant was used.
        ask: Option<AskId>,
        /// The grant that covers it: the one used, or the one that the approval made.
        grant: GrantId,
        /// The member's name towards the party.
        subject: SubjectId,
        /// What the party learns.
        finding: Finding,
        /// Uses of the grant that remain.
        uses_left: u32,
    },
    /// The shield is up on all nodes.
    Shielded {
        /// Grants suspended.
        grants: u32,
        /// Asks refused.
        asks: u32,
    },
    /// The shield is down.
    Unshielded {
        /// Grants restored; all others ended.
        restored: u32,
    },
    /// New rules are in force.
    CharterAdopted {
        /// Their number.
        version: u64,
    },
    /// The guardians are as the member wants them.
    GuardiansSet {
        /// Counts the member's changes, from 1.
        version: u32,
        /// From when on all of it holds: at once, or after the time that new guardians need to count.
        settled_at: UnixSeconds,
    },
    /// A recovery waits; its id is the operation's.
    RecoveryStarted {
        /// From when on it can be finished.
        opens_at: UnixSeconds,
        /// Whether the old device can say no.
        can_veto: bool,
    },
    /// A recovery did not begin.
    RecoveryRefused {
        /// Why.
        fault: RecoveryFault,
    },
    /// The old device said no.
    RecoveryVetoed {
        /// Which.
        recovery: OperationId,
    },
    /// The asking device is the member's; the shield is up, so that grants wait for the member to pick.
    Recovered {
        /// Who.
        member: MemberId,
        /// The device before, which is nobody's any more.
        former: DeviceKey,
        /// Grants suspended.
        grants: u32,
    },
    /// The membership is bound to the secret behind this commitment, for good.
    Bound {
        /// [`Binding::commitment`].
        commitment: Digest,
    },
    /// The member's record is the new one on all three nodes; the bytes of the old one are erased.
    Renewed,
    /// The new sample does not match the record, or matches somebody else's too. The record is as it was.
    NotRenewed,
    /// The nodes renew all stored shares, while service goes on.
    RefreshBegun {
        /// The epoch that they will be of.
        epoch: u64,
    },
    /// All stored shares are renewed; those of the epoch before are erased.
    Refreshed {
        /// The epoch that they are of.
        epoch: u64,
    },
}

impl Outcome {
    /// Plain name, for JSON and people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Enrolled { .. } => "enrolled",
            Self::Duplicate => "duplicate",
            Self::InvalidTemplate => "invalid-template",
            Self::Verified { matched: true } => "verified",
            Self::Verified { matched: false } => "not-verified",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Granted => "granted",
            Self::Narrowed { .. } => "narrowed",
            Self::Revoked { .. } => "revoked",
            Self::Asked => "asked",
            Self::Declined { .. } => "declined",
            Self::Answered { .. } => "answered",
            Self::Shielded { .. } => "shielded",
            Self::Unshielded { .. } => "unshielded",
            Self::CharterAdopted { .. } => "charter-adopted",
            Self::GuardiansSet { .. } => "guardians-set",
            Self::RecoveryStarted { .. } => "recovery-started",
            Self::RecoveryRefused { .. } => "recovery-refused",
            Self::RecoveryVetoed { .. } => "recovery-vetoed",
            Self::Recovered { .. } => "recovered",
            Self::Bound { .. } => "bound",
            Self::Renewed => "renewed",
            Self::NotRenewed => "not-renewed",
            Self::RefreshBegun { .. } => "refresh-begun",
            Self::Refreshed { .. } => "refreshed",
        }
    }
}

/// What a relying party learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Finding {
    /// The subject is a member: one person, once.
    Member,
    /// The 1:1 comparison was made.
    Compared {
        /// Whether it is the subject.
        matched: bool,
    },
    /// What was sent is not a template of this profile; no comparison was made. The use is spent.
    InvalidTemplate,
}

impl Message for Decision {
    const DOMAIN: &'static str = "trust-commons/v1/decision";
    const NAME: &'static str = "decision";
    const LIMIT: usize = 1024;
}

/// One decision under the signatures of nodes 1, 2 and 3, in this order.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// What was decided.
    pub decision: Decision,
    /// By node 1, 2, 3.
    pub signatures: [Signature; 3],
}

impl Certificate {
    /// Checks version, commons and all three signatures against the roster.
    ///
    /// # Errors
    /// [`Error::Version`], [`Error::BadSignature`].
    pub fn verify(&self, roster: &Roster) -> Result<(), Error> {
        if self.decision.version != VERSION {
            return Err(Error::Version { what: "decision", got: self.decision.version, known: VERSION });
        }
        if self.decision.commons != roster.digest() {
            return Err(Error::BadSignature { what: "decision of another commons" });
        }
        // By the nodes of that time: who was replaced since signed what was decided before, and nothing after.
        for (entry, signature) in roster.nodes_at(self.decision.batch).iter().zip(&self.signatures) {
            verify(&self.decision, &entry.signing_key, signature)?;
        }
        Ok(())
    }
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::encode(self)
    }
    /// Reads canonical bytes; does not check signatures.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        crate::decode("certificate", bytes, Decision::LIMIT + 3 * 64)
    }
}

/// A node's own statement about what it knows: the answer to all that is not decided together.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Statement {
    /// [`VERSION`].
    pub version: u16,
    /// Digest of the roster.
    pub commons: Digest,
    /// Who states it.
    pub node: NodeId,
    /// Digest of the request it answers.
    pub request: Digest,
    /// Node's clock.
    pub at: UnixSeconds,
    /// Batches decided so far.
    pub batch: u64,
    /// The charter in force.
    pub charter: Digest,
    /// The member of the asking device; absent when there is none.
    pub member: Option<MemberStatement>,
    /// For a relying party: its grants and open asks.
    pub party: Option<PartyStatement>,
    /// Answer to `See`.
    pub ask: Option<AskStatement>,
    /// Answer to `Events`, oldest first; ask again after the last one's batch until none come.
    pub events: Vec<Event>,
    /// Answer to `Recovery`; absent when no member has this name.
    pub guarded: Option<GuardedStatement>,
    /// Answer to `Release`.
    pub released: Option<Released>,
    /// Since when the asking device is nobody's, because its member recovered to another.
    pub replaced: Option<UnixSeconds>,
    /// Answer to `Issue`.
    pub issued: Option<Issued>,
}

/// What a node knows of a relying party.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PartyStatement {
    /// Grants to it that are active; at most [`limits::STATED_GRANTS`], newest first.
    pub grants: Vec<GrantStatement>,
    /// Asks of it that wait for an answer.
    pub asks: Vec<AskStatement>,
}

/// A decision about a member, for their records.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Event {
    /// The signed request that led to it, as it came.
    pub request: Signed<Request>,
    /// What was decided.
    pub certificate: Certificate,
}

/// A signed statement.
pub type SignedStatement = Signed<Statement>;

/// What a node knows of one member.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MemberStatement {
    /// Who.
    pub member: MemberId,
    /// Since when.
    pub since: UnixSeconds,
    /// One entry per modality.
    pub records: Vec<RecordStatement>,
    /// Bytes of metadata this node keeps about the member besides shares (rows naming the member or the device).
    pub metadata_bytes: u64,
    /// Since when the shield is up.
    pub shield: Option<UnixSeconds>,
    /// Standing grants that have not ended.
    pub grants: Vec<GrantStatement>,
    /// Questions of relying parties that wait for this member.
    pub asks: Vec<AskStatement>,
    /// Guardians and recoveries; absent while there never were guardians.
    pub guarded: Option<GuardedStatement>,
    /// Devices that were the member's before a recovery, the last first.
    pub former: Vec<DeviceKey>,
    /// To which secret the membership is bound: [`Binding::commitment`].
    pub bound: Option<Digest>,
    /// The last credential that this node signed for the member.
    pub last_issue: Option<LastIssue>,
    /// Attempts with the member's key that this node refused, newest first: see [`Refused`].
    pub refused: Vec<Refused>,
}

/// What a node knows of one record.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordStatement {
    /// Modality profile.
    pub profile: ProfileId,
    /// Batch that admitted it.
    pub batch: u64,
    /// When.
    pub since: UnixSeconds,
    /// Bytes of share stored.
    pub share_bytes: u64,
    /// Only in an inspection: every third coordinate pair of the stored share, offset by the node's number, so that the
    /// samples of the three nodes never meet in one coordinate and together still say nothing about the template.
    pub sample: Option<ShareSample>,
}

/// Stored bytes of one node, at positions that no other node shows.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ShareSample {
    /// Pairs `p` with `p % 3 == node.index()`, in order; per pair two u16, little-endian.
    pub values: Vec<u16>,
    /// SHA-256 over the whole stored share, to compare over time.
    pub digest: Digest,
}

impl Message for Statement {
    const DOMAIN: &'static str = "trust-commons/v1/statement";
    const NAME: &'static str = "statement";
    const LIMIT: usize = limits::ANSWER_BYTES;
}
