//! Standing grants: give, narrow, revoke, use.

use types::consent::{GrantState, Narrowing, StandingGrant, Terms, Use};
use types::{Digest, GrantId, limits};

use super::terms::{covered, latest_end};
use super::{Case, GrantFacts, ensure, permits_terms, refusal, refuse};
use crate::rule::{Permit, Refusal, Rule};

impl Case<'_> {
    pub(super) fn grant(&self, standing: &StandingGrant) -> Result<Permit, Refusal> {
        let meaning = self.may_give(&standing.charter, &standing.terms)?;
        Ok(Permit::CreateGrant { terms: standing.terms.clone(), meaning })
    }

    /// May the signer give these terms? Returns their meaning.
    pub(super) fn may_give(&self, charter: &Digest, terms: &Terms) -> Result<Digest, Refusal> {
        let member = self.open_signer()?;
        self.current(charter)?;
        permits_terms(self.charter, terms, self.now)?;
        if let Some(profile) = &terms.profile {
            self.has_record(member, profile)?;
        }
        ensure(member.grants < limits::GRANTS_PER_MEMBER, Rule::TooManyGrants, || {
            format!("you have {} grants that have not ended", member.grants)
        })?;
        let unknown = || refusal(Rule::PartyUnknown, "the charter does not list what these terms name");
        self.charter.meaning(terms).ok_or_else(unknown)
    }

    pub(super) fn narrow(&self, narrowing: &Narrowing) -> Result<Permit, Refusal> {
        let grant = self.own_grant(narrowing.grant)?;
        let statement = &grant.statement;
        let (old, left) = (&statement.terms, statement.uses_left);
        let expires_at = narrowing.expires_at.unwrap_or(old.expires_at);
        let uses_left = narrowing.uses_left.unwrap_or(left);
        let narrower =
            expires_at <= old.expires_at && uses_left <= left && (expires_at, uses_left) != (old.expires_at, left);
        ensure(narrower, Rule::NotNarrower, || "this does not make the grant smaller".to_owned())?;
        let used = old.uses.saturating_sub(left);
        let terms = Terms { expires_at, uses: used.saturating_add(uses_left), ..old.clone() };
        Ok(Permit::NarrowGrant { grant: statement.grant, terms, uses_left })
    }

    pub(super) fn revoke(&self, grant: GrantId) -> Result<Permit, Refusal> {
        self.own_grant(grant).map(|facts| Permit::RevokeGrant { grant: facts.statement.grant })
    }

    /// A grant of the signer's that has not ended. To make one's grants smaller is allowed always: under the shield too, and
    /// whatever the charter now says.
    fn own_grant(&self, id: GrantId) -> Result<&GrantFacts, Refusal> {
        let signer = self.signer()?.member;
        let own = self.facts.grant.as_ref().filter(|g| g.statement.grant == id && g.giver.member == signer);
        let grant = own.ok_or_else(|| refusal(Rule::GrantUnknown, format!("you have no grant {id}")))?;
        ensure(grant.statement.state != GrantState::Revoked, Rule::GrantEnded, || "this grant has ended".to_owned())?;
        Ok(grant)
    }

    /// The grant's own terms, and the charter in force: both must allow this use.
    pub(super) fn use_grant(&self, usage: &Use) -> Result<Permit, Refusal> {
        let grant = self.grant_to_party(usage)?;
        let (statement, terms) = (&grant.statement, &grant.statement.terms);
        let active = statement.state == GrantState::Active && !grant.giver.shielded;
        let recorded = terms.profile.as_ref().is_none_or(|profile| grant.giver.profiles.contains(profile));
        // One rule for all: whether a member shields themselves, or has withdrawn a record, is not the party's to know.
        ensure(active && recorded, Rule::GrantNotActive, || "this grant cannot be used".to_owned())?;
        // What ended by its own terms says so, whatever else is asked of it.
        ensure(self.now < terms.expires_at, Rule::GrantExpired, || "this grant has expired".to_owned())?;
        ensure(statement.uses_left > 0, Rule::GrantSpent, || "no uses of this grant remain".to_owned())?;
        ensure(usage.purpose == terms.purpose, Rule::GrantPurpose, || {
            format!("this grant is for {}, not for {}", terms.purpose, usage.purpose)
        })?;
        ensure(terms.not_before <= self.now, Rule::GrantNotYet, || "this grant has not begun".to_owned())?;
        self.within_charter(grant)?;
        if let Some(submission) = &usage.submission {
            ensure(submission.grant.purpose == usage.purpose, Rule::GrantPurpose, || {
                "the sample is for another purpose than the grant".to_owned()
            })?;
        }
        self.sample_for(usage.submission.as_ref(), terms.profile.as_ref())?;
        let compares = terms.profile.is_some();
        if compares {
            self.comparison_rate()?;
        }
        Ok(Permit::UseGrant { grant: statement.grant, uses_left_after: statement.uses_left - 1, compares })
    }

    fn grant_to_party(&self, usage: &Use) -> Result<&GrantFacts, Refusal> {
        let Some(party) = self.charter.party(&usage.party) else {
            return refuse(Rule::PartyUnknown, format!("the charter lists no relying party {}", usage.party));
        };
        ensure(self.request.device == party.key, Rule::PartyKey, || format!("this is not the key of {}", party.id))?;
        let own = |g: &&GrantFacts| g.statement.grant == usage.grant && g.statement.terms.party == usage.party;
        let grant = self.facts.grant.as_ref().filter(own);
        grant.ok_or_else(|| refusal(Rule::GrantUnknown, format!("{} has no grant {}", party.id, usage.grant)))
    }

    /// The charter in force still allows what the grant says, and means by it what it meant when the grant was given.
    fn within_charter(&self, grant: &GrantFacts) -> Result<(), Refusal> {
        let (statement, terms) = (&grant.statement, &grant.statement.terms);
        let party = covered(self.charter, terms)?;
        ensure(self.charter.meaning(terms) == Some(grant.meaning), Rule::MeaningChanged, || {
            format!("the charter has since given other words to {} or {}", terms.party, terms.purpose)
        })?;
        let used = terms.uses.saturating_sub(statement.uses_left);
        ensure(used < party.max_uses, Rule::TooManyUses, || {
            format!("{used} uses are made, and the charter now allows {} at most {}", party.id, party.max_uses)
        })?;
        ensure(self.now < latest_end(party, statement.since), Rule::TooLong, || {
            format!("the charter now allows {} at most {} days", party.id, party.max_days)
        })
    }
}
