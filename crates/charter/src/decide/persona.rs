//! The secret behind a member's personas, and who is issued credentials over it.
//!
//! No charter can give a member two secrets or none: these rules have no setting. Before a binding comes here, admission has checked
//! its proof and this node's share of the secret.

use types::Epoch;
use types::persona::Binding;

use super::{Case, ensure};
use crate::rule::{Permit, Refusal, Rule};

impl Case<'_> {
    /// Once, for good: a second secret would be a second person in every context.
    pub(super) fn bind(&self, binding: &Binding) -> Result<Permit, Refusal> {
        let signer = self.open_signer()?;
        ensure(signer.bound.is_none(), Rule::AlreadyBound, || match signer.bound == Some(binding.commitment) {
            true => "your membership is bound to this secret already".to_owned(),
            false => "your membership is bound to another secret".to_owned(),
        })?;
        Ok(Permit::Bind)
    }

    /// A membership ends by not being issued to any more.
    pub(super) fn issue(&self, epoch: Epoch) -> Result<Permit, Refusal> {
        let signer = self.open_signer()?;
        ensure(signer.bound.is_some(), Rule::NotBound, || "your membership is bound to no secret yet".to_owned())?;
        let epochs = &self.facts.roster.epochs;
        ensure(epochs.issues(epoch, self.now), Rule::EpochNotIssued, || {
            format!("epoch {} is not issued now; the present one is {}", epoch.0, epochs.at(self.now).0)
        })?;
        Ok(Permit::Issue)
    }
}
