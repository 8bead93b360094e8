//! The terms of standing grants: what a charter permits, and what a grant then permits under a later charter.

use types::consent::{Operation, Terms};
use types::{UnixSeconds, limits};

use super::submission::note;
use super::{ensure, refuse};
use crate::Charter;
use crate::check::DAY_S;
use crate::document::{Act, Party};
use crate::rule::{Refusal, Rule};

/// May a member give these terms now? Also for a client, before it asks its member.
///
/// # Errors
/// [`Refusal`], with the first rule that is broken.
pub fn permits_terms(charter: &Charter, terms: &Terms, now: UnixSeconds) -> Result<(), Refusal> {
    consistent(terms)?;
    note(&terms.note)?;
    let party = covered(charter, terms)?;
    ensure(terms.expires_at > now, Rule::TermsPast, || "these terms have ended already".to_owned())?;
    ensure(terms.uses <= party.max_uses.min(limits::GRANT_USES), Rule::TooManyUses, || {
        format!("{} uses, and the charter allows {} at most {}", terms.uses, party.id, party.max_uses)
    })?;
    ensure(terms.expires_at <= latest_end(party, now), Rule::TooLong, || {
        format!("the charter allows {} at most {} days", party.id, party.max_days)
    })
}

/// Last moment of a grant to `party` that was given at `since`. The member's clock, which made the terms, may be ahead.
pub(super) fn latest_end(party: &Party, since: UnixSeconds) -> UnixSeconds {
    let longest = (u64::from(party.max_days) * DAY_S).min(limits::GRANT_LIFETIME_S);
    since.saturating_add(longest).saturating_add(limits::CLOCK_SKEW_S)
}

/// No statement of the terms contradicts another.
fn consistent(terms: &Terms) -> Result<(), Refusal> {
    let fault = match (terms.operation, &terms.profile) {
        (Operation::Verification, None) => "a verification needs a modality",
        (Operation::Membership, Some(_)) => "a question of membership has no modality",
        _ if terms.uses == 0 => "no uses",
        _ if terms.expires_at <= terms.not_before => "they end before they begin",
        _ => return Ok(()),
    };
    refuse(Rule::TermsContradict, format!("these terms contradict themselves: {fault}"))
}

/// The charter knows party, operation, purpose and modality, and allows them together. Without bounds and times.
pub(super) fn covered<'a>(charter: &'a Charter, terms: &Terms) -> Result<&'a Party, Refusal> {
    let Some(party) = charter.party(&terms.party) else {
        return refuse(Rule::PartyUnknown, format!("the charter lists no relying party {}", terms.party));
    };
    let (id, operation) = (&party.id, terms.operation.name());
    ensure(party.operations.contains(&terms.operation), Rule::OperationNotAllowed, || {
        format!("the charter does not let {id} ask for {operation}")
    })?;
    let term = &terms.purpose;
    ensure(charter.purpose(term).is_some(), Rule::PurposeUnknown, || format!("the charter lists no purpose {term}"))?;
    ensure(party.purposes.contains(term), Rule::PurposeNotAllowed, || {
        format!("the charter does not let {id} ask for {term}")
    })?;
    ensure(charter.serves(term, Act::from(terms.operation)), Rule::PurposeNotAllowed, || {
        format!("the charter does not allow {operation} for {term}")
    })?;
    if let Some(profile) = &terms.profile {
        ensure(charter.modality(profile).is_some(), Rule::ModalityNotAllowed, || {
            format!("the charter lists no modality {profile}")
        })?;
        ensure(party.profiles.contains(profile), Rule::ProfileNotAllowed, || {
            format!("the charter does not let {id} ask against {profile}")
        })?;
    }
    Ok(party)
}
