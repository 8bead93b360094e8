//! A decided batch as it is stored: what was decided, for whom, and what follows on disk.

use borsh::{BorshDeserialize, BorshSerialize};
use tlog::Peaks;
use tlog::merkle::leaf_hash;
use types::message::{Certificate, Decision};
use types::sign::Message as _;
use types::{DeviceKey, Digest, ProfileId, Signature, TraceKey, UnixSeconds};

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
    /// Records are masked and erased.
    Erase {
        /// Which.
        records: Vec<(ProfileId, u32)>,
    },
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
            Effect::Admit { share, .. } => Some(share),
            Effect::None | Effect::Erase { .. } => None,
        })
    }

    /// Slots whose records this batch erases.
    pub fn erased(&self) -> impl Iterator<Item = &(ProfileId, u32)> {
        self.entries.iter().flat_map(|entry| match &entry.effect {
            Effect::Erase { records } => records.as_slice(),
            Effect::None | Effect::Admit { .. } => &[],
        })
    }

    /// Says which slots the admitted shares took, in their order.
    pub fn set_slots(&mut self, slots: Vec<u32>) {
        let admitted = self.entries.iter_mut().filter_map(|entry| match &mut entry.effect {
            Effect::Admit { share, .. } => Some(share),
            Effect::None | Effect::Erase { .. } => None,
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
    pub member: types::MemberId,
    /// Since when.
    pub since: UnixSeconds,
    /// Marks their log entries; absent when they enrolled before there was a log.
    pub trace: Option<TraceKey>,
    /// Active records.
    pub records: Vec<RecordRow>,
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
