//! Time in epochs: how long a credential lives, and so how soon a membership that ended is felt everywhere.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{Error, UnixSeconds, limits};

/// Counted from 1970-01-01T00:00:00Z in lengths of [`Epochs::length_s`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// A commons' division of time. All members have the same, so that an epoch tells nobody apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epochs {
    /// Seconds of one epoch; zero counts as one.
    pub length_s: u32,
    /// Seconds after its end for which an epoch's credentials are still accepted, and before its beginning already issued. More
    /// than a whole epoch counts as one.
    pub grace_s: u32,
}

impl Default for Epochs {
    fn default() -> Self {
        Self::DAILY
    }
}

impl Epochs {
    /// One day, and six hours to renew.
    pub const DAILY: Self = Self { length_s: 24 * 3600, grace_s: 6 * 3600 };

    /// Of this length, with a quarter of it to renew.
    pub fn of(length_s: u32) -> Self {
        Self { length_s, grace_s: length_s / 4 }
    }

    /// An epoch has a usable length, and no more grace than that.
    ///
    /// # Errors
    /// [`Error::Roster`].
    pub fn check(&self) -> Result<(), Error> {
        let lengths = limits::EPOCH_S;
        if !lengths.contains(&self.length_s) || self.grace_s > self.length_s {
            let (least, most) = (lengths.start(), lengths.end());
            let rule = format!("epochs: length_s is {least} to {most}, and grace_s is no more than length_s");
            return Err(Error::Roster(rule));
        }
        Ok(())
    }

    /// The epoch of an instant.
    pub fn at(&self, now: UnixSeconds) -> Epoch {
        Epoch(u32::try_from(now / u64::from(self.length_s.max(1))).unwrap_or(u32::MAX))
    }
    /// May a verifier accept credentials of `epoch` now? Those of this epoch, and for a while those of the one before.
    pub fn accepts(&self, epoch: Epoch, now: UnixSeconds) -> bool {
        epoch == self.at(now) || epoch == self.at(now.saturating_sub(self.grace()))
    }
    /// May a node issue credentials of `epoch` now? Those of this epoch, and for a while before those of the next one, so that
    /// members renew at an hour of their own choosing and not when they need it.
    pub fn issues(&self, epoch: Epoch, now: UnixSeconds) -> bool {
        epoch == self.at(now) || epoch == self.at(now.saturating_add(self.grace()))
    }
    fn grace(&self) -> u64 {
        u64::from(self.grace_s.min(self.length_s))
    }
    /// Seconds after which no verifier accepts anything issued before now.
    pub fn longest_after_end_s(&self) -> u64 {
        u64::from(self.length_s) + 2 * self.grace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_overlap_by_the_grace_and_no_more() {
        let epochs = Epochs { length_s: 100, grace_s: 20 };
        assert_eq!(epochs.at(199), Epoch(1));
        assert!(epochs.accepts(Epoch(1), 219) && !epochs.accepts(Epoch(1), 220));
        assert!(!epochs.accepts(Epoch(2), 199) && epochs.accepts(Epoch(2), 200));
        assert!(!epochs.issues(Epoch(2), 179) && epochs.issues(Epoch(2), 180) && !epochs.issues(Epoch(1), 200));
        assert!(!epochs.accepts(Epoch(0), u64::MAX));
        // Issued at 180 for epoch 2, accepted until 319: 140 seconds.
        assert_eq!(epochs.longest_after_end_s(), 140);
    }
}
