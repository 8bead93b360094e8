//! Evidence: receipts with everything that proves them, in one value that anybody checks offline with the roster's public keys.
//!
//! **Out of scope**: the page around it (`cli`).

use serde::{Deserialize, Serialize};
use types::roster::Roster;
use types::{Digest, NodeId};

use crate::error::Error;
use crate::logs::policy;
use crate::receipt::{KEPT_BYTES, Kept, Shown};

/// Version of [`Bundle`].
pub const VERSION: u16 = 1;
/// Receipts in one bundle.
pub const RECEIPTS: usize = 32;
/// Bytes of a bundle's JSON.
pub const BUNDLE_BYTES: usize = RECEIPTS * KEPT_BYTES;
const WHAT: &str = "evidence";

/// Receipts, and the trust policies under which their log proofs hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`VERSION`].
    pub version: u16,
    /// Digest of the roster.
    pub roster: Digest,
    /// C2SP tlog-policy of the logs of nodes 1, 2 and 3: who must have signed and cosigned.
    pub policies: [String; 3],
    /// In the order in which they were decided.
    pub receipts: Vec<Kept>,
}

impl Bundle {
    /// Puts receipts together and checks them: each must hold, with its log proofs.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn new(mut receipts: Vec<Kept>, roster: &Roster) -> Result<Self, Error> {
        receipts.sort_by_key(|kept| kept.receipt.log_index);
        receipts.dedup_by_key(|kept| kept.receipt.log_index);
        let bundle = Self { version: VERSION, roster: roster.digest(), policies: policies(roster)?, receipts };
        bundle.check(roster)?;
        Ok(bundle)
    }

    /// Reads JSON; checks nothing that it says.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let bad = |reason| Error::BadFile { what: WHAT, reason };
        if bytes.len() > BUNDLE_BYTES {
            return Err(bad("it is too large"));
        }
        let bundle: Self = serde_json::from_slice(bytes).map_err(|_| bad("its data is not whole"))?;
        if bundle.version == VERSION { Ok(bundle) } else { Err(bad("it has a version that this program does not know")) }
    }

    /// JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Checks everything, offline, and returns what each receipt shows.
    ///
    /// # Errors
    /// [`Error::BadFile`], and as [`Kept::check`].
    pub fn check(&self, roster: &Roster) -> Result<Vec<Shown>, Error> {
        let bad = |reason| Error::BadFile { what: WHAT, reason };
        if self.roster != roster.digest() {
            return Err(bad("it is of another commons than the roster you gave"));
        }
        let of = |count| policies(&roster.generation(count)).is_ok_and(|policies| policies == self.policies);
        if !(0..=roster.successions.len()).any(of) {
            return Err(bad("its log policies are not those of the roster's keys"));
        }
        if self.receipts.is_empty() || self.receipts.len() > RECEIPTS {
            return Err(bad("it must hold 1 to 32 receipts"));
        }
        let show = |kept: &Kept| {
            let shown = kept.check(roster)?;
            if shown.logs.is_some() { Ok(shown) } else { Err(bad("a receipt in it has no proof from the logs")) }
        };
        self.receipts.iter().map(show).collect()
    }
}

/// The policies' texts, which follow from the roster's keys.
fn policies(roster: &Roster) -> Result<[String; 3], Error> {
    let [one, two, three] = NodeId::ALL.map(|node| policy(roster, node).map(|policy| policy.to_string()));
    Ok([one?, two?, three?])
}
