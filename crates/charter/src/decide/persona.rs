//! The secret behind a member's personas, and who is issued credentials over it.
//!
//! No charter can give a member two secrets or none: these rules have no setting. Before a binding comes here, admission has checked
//! its proof and this node's share of the secret.

use types::persona::{Binding, Claim};
use types::sign::Signed;
use types::{Epoch, limits};

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

    /// A membership ends by not being issued to any more. What is vouched for is judged each time, so that it ends with its party's word.
    pub(super) fn issue(&self, epoch: Epoch, claims: &[Signed<Claim>]) -> Result<Permit, Refusal> {
        let signer = self.open_signer()?;
        ensure(signer.bound.is_some(), Rule::NotBound, || "your membership is bound to no secret yet".to_owned())?;
        let epochs = &self.facts.roster.epochs;
        ensure(epochs.issues(epoch, self.now), Rule::EpochNotIssued, || {
            format!("epoch {} is not issued now; the present one is {}", epoch.0, epochs.at(self.now).0)
        })?;
        ensure(claims.len() <= limits::CLAIMS, Rule::ClaimNotAllowed, || format!("{} claims", claims.len()))?;
        for (place, claim) in claims.iter().enumerate() {
            let twice = claims.iter().take(place).any(|other| other.message.kind == claim.message.kind);
            ensure(!twice, Rule::ClaimNotAllowed, || format!("two claims of {}", claim.message.kind))?;
            self.vouched(claim)?;
        }
        Ok(Permit::Issue)
    }

    /// A claim counts if the charter in force lists what it says, and its party for it; and if that party signed it for this device.
    fn vouched(&self, signed: &Signed<Claim>) -> Result<(), Refusal> {
        let claim = &signed.message;
        let document = self.charter.document();
        let entry = document.claims.iter().find(|entry| entry.kind == claim.kind);
        let entry = entry.filter(|entry| entry.parties.contains(&claim.party) && entry.values.contains(&claim.value));
        let party = entry.and_then(|_| document.parties.iter().find(|party| party.id == claim.party));
        let party = party.ok_or_else(|| Refusal {
            rule: Rule::ClaimNotAllowed,
            detail: format!("the charter lists no such {} by {}", claim.kind, claim.party),
        })?;
        let wrong = |what: &str| format!("a claim of {} {what}", claim.kind);
        ensure(claim.commons == self.request.commons, Rule::ClaimInvalid, || wrong("is of another commons"))?;
        ensure(claim.device == self.request.device, Rule::ClaimInvalid, || wrong("is about another device"))?;
        ensure(claim.expires_at >= self.now, Rule::ClaimInvalid, || wrong("has expired"))?;
        ensure(signed.verify(&party.key).is_ok(), Rule::ClaimInvalid, || wrong("is not signed by its party"))
    }
}
