//! Administrative acts: a refresh of all stored shares. It changes nothing that a member or a relying party could tell, so no
//! charter restricts it: each operator may begin one by themselves, and one at a time is going on.

use super::{Case, ensure, refuse};
use crate::rule::{Permit, Refusal, Rule};

impl Case<'_> {
    pub(super) fn refresh(&self, epoch: u64) -> Result<Permit, Refusal> {
        self.operator()?;
        let facts = self.facts.epoch;
        ensure(facts.coming.is_none(), Rule::RefreshRunning, || "the shares are being renewed already".to_owned())?;
        ensure(facts.present.checked_add(1) == Some(epoch), Rule::EpochUnknown, || {
            format!("the stored shares are of epoch {}, and {epoch} does not follow it", facts.present)
        })?;
        Ok(Permit::BeginRefresh { epoch })
    }

    pub(super) fn switch(&self, epoch: u64) -> Result<Permit, Refusal> {
        match self.facts.epoch.coming {
            Some(coming) if coming == epoch => Ok(Permit::EndRefresh { epoch }),
            _ => refuse(Rule::EpochUnknown, format!("no refresh to epoch {epoch} is going on")),
        }
    }

    /// Signed by one of the three nodes.
    fn operator(&self) -> Result<(), Refusal> {
        let operates = self.facts.roster.nodes.iter().any(|node| node.signing_key == self.request.device);
        ensure(operates, Rule::NotAnOperator, || "this is signed by no node of this commons".to_owned())
    }
}
