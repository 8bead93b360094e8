//! Following logs: is each new checkpoint a continuation of the last, has a quorum cosigned it, do the entries hash to it, are they
//! in order of time, and do the three logs of a commons hold the same? And counting what the public fields say.
//!
//! A [`Follower`] reads every entry once and keeps only the tree's peaks, so a log proves its consistency by the entries that it
//! serves: entries that do not continue what was followed before hash to another root.
//!
//! **Out of scope**: fetching, waiting, and the file in which a follower is kept (`cli`).

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use types::{Digest, NodeId, UnixSeconds, limits};

use crate::Error;
use crate::checkpoint::SignedCheckpoint;
use crate::conflict::Conflict;
use crate::entry::{Entry, Kind};
use crate::merkle::leaf_hash;
use crate::peaks::Peaks;
use crate::policy::Policy;
use crate::tile::Bundle;

/// Version of a follower's stored form.
const VERSION: u16 = 1;

/// What is known of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    policy: Policy,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
struct State {
    version: u16,
    tree: Peaks,
    /// Text of the last accepted checkpoint.
    last: Option<String>,
    /// Earliest cosignature on it.
    cosigned_at: UnixSeconds,
    /// Latest time that an entry bore.
    entry_at: UnixSeconds,
    counts: Counts,
    /// Entries that were found wrong.
    suspect: u64,
}

/// How often each combination of public fields stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Counts {
    rows: BTreeMap<Row, u64>,
}

/// The public fields that are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Row {
    /// Days since 1970-01-01, UTC.
    pub day: u64,
    /// What was done.
    pub kind: Kind,
    /// What for, by its vocabulary term; empty where an act has no purpose.
    pub purpose: String,
    /// By which relying party; empty where there is none.
    pub party: String,
}

impl Counts {
    fn add(&mut self, entry: &Entry) {
        let purpose = entry.purpose.as_ref().map_or_else(String::new, ToString::to_string);
        let party = entry.party.as_ref().map_or_else(String::new, ToString::to_string);
        *self.rows.entry(Row { day: entry.at / 86_400, kind: entry.kind, purpose, party }).or_default() += 1;
    }
    /// Every combination, with its number, in order of days.
    pub fn rows(&self) -> impl Iterator<Item = (&Row, u64)> {
        self.rows.iter().map(|(row, count)| (row, *count))
    }
    /// All entries.
    pub fn total(&self) -> u64 {
        self.rows.values().sum()
    }
    /// Sums by whatever `key` picks from a row.
    pub fn by<K: Ord>(&self, key: impl Fn(&Row) -> K) -> BTreeMap<K, u64> {
        let mut sums = BTreeMap::new();
        for (row, count) in self.rows() {
            *sums.entry(key(row)).or_default() += count;
        }
        sums
    }
}

/// One step of a follower that is under way: it holds a copy, so a step that fails leaves the follower as it was.
#[derive(Debug, Clone)]
pub struct Step {
    follower: Follower,
    signed: SignedCheckpoint,
    size: u64,
    root: Digest,
    cosigned_at: UnixSeconds,
    now: UnixSeconds,
    leaves: Vec<Digest>,
    findings: Vec<Error>,
}

/// What a step found.
#[derive(Debug, Clone)]
pub struct Advanced {
    /// To go on with.
    pub follower: Follower,
    /// Index of the first new entry.
    pub first: u64,
    /// Hashes of the new entries, for [`CrossCheck`].
    pub leaves: Vec<Digest>,
    /// What is wrong with single entries, which are in the log for good: [`Error::BackDated`], [`Error::EntryFromTheFuture`],
    /// [`Error::BadEntry`]. The first [`limits::MONITOR_FINDINGS`] of them; [`Follower::suspect`] counts all.
    pub findings: Vec<Error>,
}

impl Follower {
    /// Knows nothing yet. The policy says whose log this is and who must have cosigned.
    pub fn new(policy: Policy) -> Self {
        Self { policy, state: State { version: VERSION, ..State::default() } }
    }

    /// Reads what [`Follower::to_bytes`] wrote. Whoever changes that file can make the follower accept another history.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`], [`Error::Version`].
    pub fn from_bytes(policy: Policy, bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "monitor's state";
        if bytes.len() > limits::MONITOR_STATE_BYTES {
            return Err(Error::TooLarge { what: WHAT, got: bytes.len(), limit: limits::MONITOR_STATE_BYTES });
        }
        let state: State = borsh::from_slice(bytes).map_err(|_| Error::Malformed {
            what: WHAT,
            rule: "delete it and follow the logs again from their beginning",
        })?;
        if state.version != VERSION {
            return Err(Error::Version { what: WHAT, got: state.version, known: VERSION });
        }
        let parsed = state.last.as_deref().map(|text| SignedCheckpoint::parse(text.as_bytes())).transpose()?;
        let size = parsed.as_ref().map_or(0, |signed| signed.unverified().size);
        if !state.tree.is_whole() || state.tree.size() != size {
            return Err(Error::Malformed { what: WHAT, rule: "delete it and follow the logs again from their beginning" });
        }
        Ok(Self { policy, state })
    }

    /// For keeping: everything but the policy.
    pub fn to_bytes(&self) -> Vec<u8> {
        types::encode(&self.state)
    }

    /// Entries followed so far.
    pub fn size(&self) -> u64 {
        self.state.tree.size()
    }

    /// Root over them.
    pub fn root(&self) -> Digest {
        self.state.tree.root()
    }

    /// Text of the last accepted checkpoint.
    pub fn last(&self) -> Option<&str> {
        self.state.last.as_deref()
    }

    /// Numbers by public fields.
    pub fn counts(&self) -> &Counts {
        &self.state.counts
    }

    /// How many entries were found wrong so far.
    pub fn suspect(&self) -> u64 {
        self.state.suspect
    }

    /// Begins to follow to a new checkpoint: checks its signatures against the policy, and that it is not older than the last.
    ///
    /// # Errors
    /// As [`Policy::accept`]; [`Error::Stale`]; [`Error::FromTheFuture`]; [`Error::Fork`] with evidence.
    pub fn begin(&self, signed: SignedCheckpoint, now: UnixSeconds) -> Result<Step, Error> {
        let accepted = self.policy.accept(&signed)?;
        let (size, root) = (accepted.checkpoint.size, accepted.checkpoint.root);
        if let Some((name, at)) = accepted.cosigned.iter().find(|(_, at)| *at > now.saturating_add(limits::CLOCK_SKEW_S)) {
            return Err(Error::FromTheFuture { name: name.clone(), at: *at, now });
        }
        let cosigned_at = accepted.cosigned.iter().map(|(_, at)| *at).min().unwrap_or(0);
        if size < self.size() {
            return Err(Error::Stale { have: self.size(), got: size });
        }
        if size == self.size() && root != self.root() {
            return Err(self.fork(signed, size));
        }
        let follower = self.clone();
        Ok(Step { follower, signed, size, root, cosigned_at, now, leaves: Vec::new(), findings: Vec::new() })
    }

    fn fork(&self, signed: SignedCheckpoint, size: u64) -> Error {
        let last = self.state.last.as_ref().and_then(|text| SignedCheckpoint::parse(text.as_bytes()).ok());
        let key = self.policy.logs().find(|log| log.name() == signed.origin());
        match (last, key) {
            (Some(last), Some(key)) => match Conflict::same_size(last, signed, key) {
                Ok(conflict) => Error::Fork { evidence: Box::new(conflict) },
                Err(error) => error,
            },
            // Nothing followed yet: a root that is not that of the empty tree.
            _ => Error::WrongRoot { size },
        }
    }
}

impl Step {
    /// The bundles to fetch, in this order.
    pub fn bundles(&self) -> impl Iterator<Item = Bundle> + use<> {
        Bundle::covering(self.follower.size(), self.size)
    }

    /// Takes the bytes of the next bundle and returns the entries that are new, with their indexes. What is wrong with single
    /// entries is kept for [`Advanced::findings`]: it must not keep anybody from following the log.
    ///
    /// # Errors
    /// [`Error::TornTile`], [`Error::TooLarge`]; [`Error::OutOfRange`] for a bundle that is not the next one.
    pub fn feed(&mut self, bundle: Bundle, bytes: &[u8]) -> Result<Vec<(u64, Entry)>, Error> {
        let have = self.follower.size();
        let end = bundle.first() + u64::from(bundle.width());
        if bundle.first() > have || end <= have || end > self.size {
            return Err(Error::OutOfRange { got: bundle.first(), size: have });
        }
        let mut new = Vec::new();
        for (index, bytes) in (bundle.first()..).zip(bundle.decode(bytes)?) {
            if index < have {
                continue;
            }
            let leaf = leaf_hash(bytes);
            self.follower.state.tree.append(leaf);
            self.leaves.push(leaf);
            match Entry::from_bytes(bytes) {
                Ok(entry) => {
                    self.check_time(index, entry.at);
                    self.follower.state.counts.add(&entry);
                    new.push((index, entry));
                }
                Err(error) => self.find(Error::BadEntry { index, error: Box::new(error) }),
            }
        }
        Ok(new)
    }

    /// An entry may neither precede the one before it, nor come long after the time it bears: its predecessors were cosigned then.
    fn check_time(&mut self, index: u64, at: UnixSeconds) {
        let state = &self.follower.state;
        let before = state.entry_at.max(state.cosigned_at.saturating_sub(limits::LOG_DATING_SLACK_S));
        if at > self.now.saturating_add(limits::CLOCK_SKEW_S) {
            // Not taken as the latest time: it would make all that follow look back-dated.
            self.find(Error::EntryFromTheFuture { index, at, now: self.now });
        } else if at < before {
            self.find(Error::BackDated { index, at, before });
        } else {
            self.follower.state.entry_at = at;
        }
    }

    fn find(&mut self, finding: Error) {
        self.follower.state.suspect += 1;
        if self.findings.len() < limits::MONITOR_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// Ends the step: all entries were fed and hash to the checkpoint.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when bundles are missing; [`Error::WrongRoot`]: what was served is not what was signed, or does not
    /// continue what was served before.
    pub fn finish(self) -> Result<Advanced, Error> {
        let mut follower = self.follower;
        if follower.size() != self.size {
            return Err(Error::OutOfRange { got: self.size, size: follower.size() });
        }
        if follower.root() != self.root {
            return Err(Error::WrongRoot { size: self.size });
        }
        follower.state.last = Some(self.signed.to_string());
        follower.state.cosigned_at = self.cosigned_at;
        let first = self.size - self.leaves.len() as u64;
        Ok(Advanced { first, follower, leaves: self.leaves, findings: self.findings })
    }
}

/// Compares the three logs of a commons, leaf by leaf, as they come in: leaves of joint operations are the same on all.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct CrossCheck {
    /// Entries that all three logs hold alike.
    agreed: u64,
    /// Per node, leaves beyond those.
    ahead: [Vec<Digest>; 3],
}

impl CrossCheck {
    /// Of logs of which nothing has been read.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next leaves of one node's log. [`CrossCheck::check`] compares them.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when a log is further ahead of another than [`limits::MONITOR_AHEAD`].
    pub fn push(&mut self, node: NodeId, leaves: &[Digest]) -> Result<(), Error> {
        let Some(own) = self.ahead.get_mut(node.index()) else { return Ok(()) };
        let (got, limit) = (own.len() + leaves.len(), limits::MONITOR_AHEAD);
        if got > limit {
            return Err(Error::TooLarge { what: "lead of one log (entries)", got, limit });
        }
        own.extend_from_slice(leaves);
        Ok(())
    }

    /// Compares what has come in from all three or from two. A difference stays: every later check reports it again.
    ///
    /// # Errors
    /// [`Error::LogsDiffer`] at the first index at which two logs differ, with the one that is alone once all three are there.
    pub fn check(&mut self) -> Result<(), Error> {
        let [one, two, three] = &self.ahead;
        let alike = one.iter().zip(two).zip(three).take_while(|((a, b), c)| a == b && b == c).count();
        for ahead in &mut self.ahead {
            ahead.drain(..alike);
        }
        self.agreed += alike as u64;
        let [one, two, three] = &self.ahead;
        let longest = one.len().max(two.len()).max(three.len());
        for at in 0..longest {
            let odd = match (one.get(at), two.get(at), three.get(at)) {
                (Some(a), Some(b), Some(c)) if a == b && b == c => continue,
                (Some(a), Some(b), Some(c)) => NodeId::ALL.into_iter().find(|node| match node.number() {
                    1 => b == c,
                    2 => a == c,
                    _ => a == b,
                }),
                (Some(a), Some(b), None) | (Some(a), None, Some(b)) | (None, Some(a), Some(b)) if a != b => None,
                _ => continue,
            };
            return Err(Error::LogsDiffer { index: self.agreed + at as u64, odd });
        }
        Ok(())
    }

    /// Entries that all three logs hold alike.
    pub fn agreed(&self) -> u64 {
        self.agreed
    }

    /// How many entries each node's log has beyond those: in a healthy commons, zero after a moment.
    pub fn ahead(&self) -> [usize; 3] {
        self.ahead.each_ref().map(Vec::len)
    }
}
