//! The charter in force, as the store has it.

use std::sync::{Arc, PoisonError};

use charter::Charter;
use types::consent::SignedCharter;
use types::roster::Roster;

use super::sequencer::Core;
use crate::Error;
use crate::store::Store;

/// The rules that hold now. They change only when a batch that adopts a charter is committed.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Checked.
    pub(crate) charter: Charter,
    /// As adopted; absent for the charter that follows from the roster.
    pub(crate) signed: Option<SignedCharter>,
}

impl Rules {
    /// The charter adopted last, or the roster's own.
    ///
    /// # Errors
    /// [`Error::Charter`] when what is stored is no charter of this commons; [`Error::Database`].
    pub(crate) async fn load(store: &Store, roster: &Roster) -> Result<Self, Error> {
        let signed = store.charter().await?;
        let charter = match &signed {
            Some(signed) => Charter::from_signed(signed, roster)?,
            None => Charter::default_for(roster),
        };
        Ok(Self { charter, signed })
    }

    /// Seconds for which outcomes, and ended grants with their uses, are kept.
    pub(crate) fn retention_s(&self) -> (u64, u64) {
        const DAY_S: u64 = 24 * 3600;
        let retention = &self.charter.document().retention;
        (u64::from(retention.outcomes_days) * DAY_S, u64::from(retention.uses_days) * DAY_S)
    }
}

impl Core {
    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}
