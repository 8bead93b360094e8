//! What was followed of the three logs, kept between two visits: a log that was rewritten since does not continue it.
//!
//! One file: version, roster, the state of each follower, what the three hold alike, and the entries that carry the member's mark.
//! **Trust**: who changes it can make a rewritten log pass as the one followed before; who deletes it makes the next visit read
//! the logs from their beginning.

use std::collections::BTreeMap;
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use client::logs::{Following, policy};
use tlog::{CrossCheck, Entry, Follower};
use types::roster::Roster;
use types::{Digest, NodeId, limits};

use crate::failure::Failure;
use crate::home::{read_limited, write_private};

const VERSION: u16 = 1;
const FILE: &str = "followed";

/// What is known of the logs.
pub(crate) struct Followed {
    pub(crate) following: Following,
    /// Entries with the member's mark, by index; empty for a monitor.
    pub(crate) mine: BTreeMap<u64, Entry>,
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
    /// What an earlier visit kept, or nothing.
    pub(crate) fn open(folder: &Path, roster: &Roster) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let fresh = || Ok(Self { following: Following::new(roster)?, mine: BTreeMap::new(), roster: roster.digest() });
        let bytes = match read_limited(&path, 4 * limits::MONITOR_STATE_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return fresh(),
            Err(error) => return Err(Failure::read(&path, &error)),
        };
        let damaged = || {
            let hint = "delete it, and the logs are read again from their beginning";
            Failure::input("what was kept of the logs cannot be read, or is of another commons", hint).about(path.display())
        };
        let stored: Stored = borsh::from_slice(&bytes).map_err(|_| damaged())?;
        if stored.version != VERSION || stored.roster != roster.digest() {
            return Err(damaged());
        }
        let [one, two, three] = NodeId::ALL;
        let [a, b, c] = &stored.logs;
        let log = |node, bytes: &[u8]| Follower::from_bytes(policy(roster, node)?, bytes).map_err(|_| damaged());
        let logs = [log(one, a)?, log(two, b)?, log(three, c)?];
        Ok(Self { following: Following { logs, cross: stored.cross }, mine: stored.mine, roster: stored.roster })
    }

    /// Keeps it, whole or not at all.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Failure> {
        let stored = Stored {
            version: VERSION,
            roster: self.roster,
            logs: self.following.logs.each_ref().map(Follower::to_bytes),
            cross: self.following.cross.clone(),
            mine: self.mine.clone(),
        };
        let path = folder.join(FILE);
        write_private(&path, &types::encode(&stored)).map_err(|error| Failure::write(&path, &error))
    }
}
