//! What was followed of the three logs, as it is kept between two visits: a log that was rewritten since does not continue it.
//!
//! One value: version, roster, the state of each follower, what the three hold alike, and the entries that carry the member's mark.
//! **Trust**: who changes it can make a rewritten log pass as the one followed before; who deletes it makes the next visit read
//! the logs from their beginning. **Out of scope**: where it is kept.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use tlog::{CrossCheck, Entry, Follower};
use types::roster::Roster;
use types::{Digest, NodeId, TraceKey};

use crate::error::Error;
use crate::logs::{Following, Look, policy};
use crate::receipt::{Kept, NO_SALT};

const VERSION: u16 = 1;
const WHAT: &str = "record of what was followed of the logs";

/// What is known of the logs.
#[derive(Debug, Clone)]
pub struct Followed {
    /// Of each log, and of all three together.
    pub following: Following,
    /// Entries with the member's mark, by index; empty for a monitor.
    pub mine: BTreeMap<u64, Entry>,
    roster: Digest,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Stored {
    version: u16,
    roster: Digest,
    logs: [Vec<u8>; 3],
    cross: CrossCheck,
    mine: BTreeMap<u64, Entry>,
}

impl Followed {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// As [`Following::new`].
    pub fn new(roster: &Roster) -> Result<Self, Error> {
        Ok(Self { following: Following::new(roster)?, mine: BTreeMap::new(), roster: roster.digest() })
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::BadFile`] when it is damaged or of another commons.
    pub fn from_bytes(roster: &Roster, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |reason| Error::BadFile { what: WHAT, reason };
        let stored: Stored = borsh::from_slice(bytes).map_err(|_| damaged("it is damaged"))?;
        if stored.version != VERSION || stored.roster != roster.digest() {
            return Err(damaged("it is of another commons"));
        }
        let [one, two, three] = NodeId::ALL;
        let [a, b, c] = &stored.logs;
        let log = |node, bytes: &[u8]| {
            Follower::from_bytes(policy(roster, node)?, bytes).map_err(|_| damaged("what it says of a log is damaged"))
        };
        let logs = [log(one, a)?, log(two, b)?, log(three, c)?];
        Ok(Self { following: Following { logs, cross: stored.cross }, mine: stored.mine, roster: stored.roster })
    }

    /// The value as it is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        types::encode(&Stored {
            version: VERSION,
            roster: self.roster,
            logs: self.following.logs.each_ref().map(Follower::to_bytes),
            cross: self.following.cross.clone(),
            mine: self.mine.clone(),
        })
    }

    /// Takes in what a look at the logs found, and keeps the entries that carry the mark of `trace`.
    pub fn advance(&mut self, look: &Look, trace: Option<&TraceKey>) {
        if let Some(trace) = trace {
            let mine = look.new.iter().filter(|(index, entry)| entry.concerns(trace, *index));
            self.mine.extend(mine.map(|(index, entry)| (*index, entry.clone())));
        }
        self.following = look.following.clone();
    }

    /// Entries that carry the member's mark and that neither a receipt nor a decision in `told` (log indexes) explains.
    pub fn orphans(&self, receipts: &[Kept], told: &[u64]) -> Vec<(u64, &Entry)> {
        let explained = |index: &u64| told.contains(index) || own(receipts).any(|kept| kept.receipt.log_index == *index);
        self.mine.iter().filter(|(index, _)| !explained(index)).map(|(index, entry)| (*index, entry)).collect()
    }

    /// Receipts at whose place the logs, as far as all three were followed, hold no entry with the member's mark.
    pub fn unmarked<'k>(&self, receipts: &'k [Kept]) -> Vec<&'k Kept> {
        let reach = self.following.cross.agreed();
        let unmarked = |kept: &&Kept| kept.receipt.log_index < reach && !self.mine.contains_key(&kept.receipt.log_index);
        own(receipts).filter(unmarked).collect()
    }
}

/// Receipts of what the member did or what was done to them under their own mark.
fn own(receipts: &[Kept]) -> impl Iterator<Item = &Kept> {
    receipts.iter().filter(|kept| kept.receipt.log_salt != NO_SALT)
}
