//! A decided batch as it is stored: what was decided, for whom, and what follows on disk.

use borsh::{BorshDeserialize, BorshSerialize};
use credential::Commitment;
use credential::escrow::{Share, Slope};
use mpc::refresh::Seed;
use tlog::Peaks;
use tlog::merkle::leaf_hash;
use types::consent::{Ask, SignedCharter, Terms};
use types::message::{Certificate, Decision};
use types::recovery::Guarding;
use types::sign::Message as _;
use types::{
    AskId, DeviceKey, Digest, GrantId, MemberId, OperationId, ProfileId, RecoveryName, Signature, SubjectId, TraceKey,
    UnixSeconds,
};

use super::ShareRef;
use crate::Error;

/// Where the decision chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Batches committed.
    pub committed: u64,
    /// Digest over all of them.
    pub head: Digest,
    /// When the newest was decided; 0 before the first.
    pub decided_at: UnixSeconds,
}

impl Chain {
    /// The head before the first batch of a commons.
    pub fn origin(commons: &Digest) -> Digest {
        Digest::of("trust-commons/v1/chain", &[&commons.0])
    }
}

/// All that a node needs to commit a batch once three votes are there.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Batch {
    /// The run that decided it.
    pub session: [u8; 16],
    /// Number in the chain.
    pub number: u64,
    /// Head that it extends.
    pub previous: Digest,
    /// Decision time.
    pub time: UnixSeconds,
    /// Decisions, in the order of the batch.
    pub entries: Vec<Entry>,
    /// Entries in the log after this batch: one per decision more than before.
    pub log_size: u64,
    /// Root of the log after this batch. Part of [`Self::digest`]: a node that would log anything else gets no votes.
    pub log_root: Digest,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// What all three nodes sign.
    pub decision: Decision,
    /// Who asked.
    pub device: DeviceKey,
    /// Its entry in the log: canonical bytes of a [`tlog::Entry`], at the decision's `log_index`, the same on all nodes.
    pub log: Vec<u8>,
    /// What follows here.
    pub effect: Effect,
    /// What is kept for the member whom it concerns.
    pub trail: Trail,
}

/// What a decision leaves in a member's records.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Trail {
    /// In whose list of events it goes.
    pub event: Option<Event>,
    /// With whose record a 1:1 comparison was made.
    pub compared: Option<MemberId>,
}

/// A decision in a member's list.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Event {
    /// Whose list.
    pub member: MemberId,
    /// Canonical bytes of the signed request that led to it.
    pub request: Vec<u8>,
    /// Until when it is kept.
    pub forget_after: UnixSeconds,
}

/// What a decision changes on this node.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Effect {
    /// Nothing.
    None,
    /// A record becomes active.
    Admit {
        /// Its profile and slot, the same on all nodes.
        share: ShareRef,
        /// Version of the profile.
        profile_version: u16,
        /// Marks the member's log entries from now on. The first one stays.
        trace: TraceKey,
    },
    /// A record of a newer sample takes the place of the member's old one, whose bytes are erased.
    Replace {
        /// Profile and slot of the new one.
        share: ShareRef,
        /// Version of the profile.
        profile_version: u16,
        /// Where the old one lies.
        replaced: (ProfileId, u32),
    },
    /// Records are masked and erased.
    Erase {
        /// Which.
        records: Vec<(ProfileId, u32)>,
    },
    /// A standing grant begins, named by the operation.
    Grant(NewGrant),
    /// A grant gets other terms.
    Narrow {
        /// Which.
        grant: GrantId,
        /// From now on.
        terms: Terms,
        /// Uses that remain.
        uses_left: u32,
    },
    /// A grant ends.
    Revoke {
        /// Which.
        grant: GrantId,
    },
    /// A use of a grant is spent.
    Use {
        /// Which.
        grant: GrantId,
        /// Uses that remain.
        uses_left: u32,
    },
    /// A relying party has asked; the ask is named by the operation.
    Ask {
        /// What.
        ask: Ask,
        /// Whom, if by name.
        member: Option<MemberId>,
        /// Whether it waits for an answer; else it was declined at once.
        open: bool,
    },
    /// An ask has its answer: this decision.
    Answer {
        /// Which.
        ask: AskId,
        /// The grant that a yes begins.
        grant: Option<NewGrant>,
    },
    /// A member's shield goes up: their grants are suspended, their asks cut.
    RaiseShield {
        /// Whose.
        member: MemberId,
        /// When the member asked for it.
        since: UnixSeconds,
    },
    /// A member's shield comes down: these grants come back, the other suspended ones end.
    LowerShield {
        /// Whose.
        member: MemberId,
        /// Which come back.
        restore: Vec<GrantId>,
        /// When the member asked for it.
        asked_at: UnixSeconds,
    },
    /// New rules from the next batch on.
    AdoptCharter {
        /// Their number.
        version: u64,
        /// The rules.
        charter: SignedCharter,
    },
    /// A membership is bound to one secret.
    Bind(Box<NewBinding>),
    /// A member's guardians are others from now on.
    SetGuardians {
        /// Whose.
        member: MemberId,
        /// How a new device asks for them.
        name: RecoveryName,
        /// All of them.
        guarding: Guarding,
    },
    /// A recovery waits, named by the operation.
    StartRecovery(NewRecovery),
    /// A recovery did not begin; it counts.
    RefuseRecovery {
        /// Of whom.
        member: MemberId,
    },
    /// A recovery ends by the old device's veto.
    VetoRecovery {
        /// Which.
        recovery: OperationId,
    },
    /// The asking device becomes the member's, the one before nobody's; the shield goes up, other recoveries end.
    Recover {
        /// By which recovery.
        recovery: OperationId,
        /// Whose.
        member: MemberId,
    },
    /// All stored shares are to be renewed.
    BeginRefresh {
        /// The epoch that they will be of.
        epoch: u64,
        /// On which the nodes agreed.
        seed: Seed,
    },
    /// The renewed shares are used from the next batch on.
    EndRefresh {
        /// The epoch that they are of.
        epoch: u64,
    },
}

/// A binding as it begins.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewBinding {
    /// Whose membership.
    pub member: MemberId,
    /// What credentials will be signed over.
    pub commitment: Commitment,
    /// With the commitment, what the share is checked against.
    pub slope: Slope,
    /// This node's share of the member's secret. The other two nodes have others; it is no part of what is signed.
    pub share: Share,
}

/// A recovery as it begins, to the device that asks.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewRecovery {
    /// Of whom.
    pub member: MemberId,
    /// To this key the end's gifts are sealed.
    pub reply_key: [u8; 32],
    /// How many guardians approved.
    pub approvals: u8,
    /// Whether a sample was compared, and matched.
    pub compared: bool,
    /// Whether the old device can say no.
    pub can_veto: bool,
    /// From when on it can be finished.
    pub opens_at: UnixSeconds,
    /// Until when.
    pub closes_at: UnixSeconds,
}

/// A grant as it begins.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewGrant {
    /// Who gives it.
    pub member: MemberId,
    /// The member's name towards the party.
    pub subject: SubjectId,
    /// Its terms.
    pub terms: Terms,
    /// What the terms' names meant under the charter in force.
    pub meaning: Digest,
    /// The charter in force.
    pub charter: Digest,
    /// Uses that remain; less than the terms say when it was used at once.
    pub uses_left: u32,
}

/// The chain's head after the batch of digest `batch`, when it was `previous` before.
pub(super) fn head_after(previous: &Digest, batch: &Digest) -> Digest {
    Digest::of("trust-commons/v1/head", &[&previous.0, &batch.0])
}

impl Batch {
    /// Names the batch: its place in the chain, every decision, and the log with their entries. The same on all nodes.
    pub fn digest(&self) -> Digest {
        let numbers = [self.number.to_le_bytes(), self.time.to_le_bytes()].concat();
        let decisions: Vec<u8> = self.entries.iter().flat_map(|entry| entry.decision.digest().0).collect();
        let log = [&self.log_size.to_le_bytes()[..], &self.log_root.0].concat();
        Digest::of("trust-commons/v2/batch", &[&self.previous.0, &self.session, &numbers, &log, &decisions])
    }

    /// The chain's head after this batch.
    pub fn head(&self) -> Digest {
        head_after(&self.previous, &self.digest())
    }

    /// The log after this batch, when it stood at `log` before; absent when that does not lead to what the batch says.
    pub fn extend(&self, mut log: Peaks) -> Option<Peaks> {
        for entry in &self.entries {
            log.append(leaf_hash(&entry.log));
        }
        (log.size() == self.log_size && log.root() == self.log_root).then_some(log)
    }

    /// Shares that this batch has put into segment files.
    pub fn admitted(&self) -> impl Iterator<Item = &ShareRef> {
        self.entries.iter().filter_map(|entry| match &entry.effect {
            Effect::Admit { share, .. } | Effect::Replace { share, .. } => Some(share),
            _ => None,
        })
    }

    /// Slots whose records this batch erases.
    pub fn erased(&self) -> impl Iterator<Item = &(ProfileId, u32)> {
        self.entries.iter().flat_map(|entry| match &entry.effect {
            Effect::Erase { records } => records.as_slice(),
            Effect::Replace { replaced, .. } => std::slice::from_ref(replaced),
            _ => &[],
        })
    }

    /// The epoch to whose shares this batch goes over.
    pub fn ends_refresh(&self) -> Option<u64> {
        self.entries.iter().find_map(|entry| match entry.effect {
            Effect::EndRefresh { epoch } => Some(epoch),
            _ => None,
        })
    }

    /// Says which slots the admitted shares took, in their order.
    pub fn set_slots(&mut self, slots: Vec<u32>) {
        let admitted = self.entries.iter_mut().filter_map(|entry| match &mut entry.effect {
            Effect::Admit { share, .. } | Effect::Replace { share, .. } => Some(share),
            _ => None,
        });
        for (share, slot) in admitted.zip(slots) {
            share.slot = slot;
        }
    }

    /// Decisions with their three signatures.
    ///
    /// # Errors
    /// [`Error::Internal`] when the numbers differ.
    pub fn certificates(&self, signatures: &[[Signature; 3]]) -> Result<Vec<Certificate>, Error> {
        if signatures.len() != self.entries.len() {
            return Err(Error::Internal { what: "one set of signatures per decision" });
        }
        let certificate = |(entry, signatures): (&Entry, &[Signature; 3])| Certificate {
            decision: entry.decision.clone(),
            signatures: *signatures,
        };
        Ok(self.entries.iter().zip(signatures).map(certificate).collect())
    }
}

/// The newest committed batch, for a node that missed its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The run that decided it.
    pub session: [u8; 16],
    /// Its digest.
    pub digest: Digest,
    /// Per decision, the signatures of nodes 1, 2 and 3.
    pub signatures: Vec<[Signature; 3]>,
}

/// A member as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub member: MemberId,
    /// Their device.
    pub device: DeviceKey,
    /// Since when.
    pub since: UnixSeconds,
    /// Marks their log entries; absent when they enrolled before there was a log.
    pub trace: Option<TraceKey>,
    /// Since when the shield is up, as decided by all nodes.
    pub shield: Option<UnixSeconds>,
    /// Since when this node knows of a shield that the nodes have not decided yet.
    pub unsettled: Option<UnixSeconds>,
    /// To which secret the membership is bound: the digest of its commitment.
    pub bound: Option<Digest>,
    /// Active records.
    pub records: Vec<RecordRow>,
}

/// A standing grant as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// What a statement says of it.
    pub statement: types::consent::GrantStatement,
    /// Who gave it.
    pub member: MemberId,
    /// What the terms' names meant when it was given.
    pub meaning: Digest,
}

/// A relying party's question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskRow {
    /// What a statement says of it.
    pub statement: types::consent::AskStatement,
    /// Whom it names.
    pub member: Option<MemberId>,
}

/// How much a relying party has asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskCounts {
    /// By the party, in the last day.
    pub last_day: usize,
    /// By the party, waiting for an answer.
    pub waiting: usize,
    /// By the party to the member, in the last day.
    pub to_member: usize,
    /// By anybody to the member, waiting.
    pub at_member: usize,
}

/// An active record as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Profile and slot. The slot may change with every batch.
    pub share: ShareRef,
    /// Batch that admitted it.
    pub batch: u64,
    /// When.
    pub since: UnixSeconds,
}

impl MemberRow {
    /// The record of `profile`.
    pub fn record(&self, profile: &ProfileId) -> Option<&RecordRow> {
        self.records.iter().find(|record| record.share.profile == *profile)
    }
}
