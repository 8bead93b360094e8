//! A relying party's question and the member's answer.

use types::consent::{Answer, Ask, Reply, Terms};
use types::limits;
use types::message::Submission;

use super::{AskFacts, Case, ensure, permits_terms, refusal, refuse};
use crate::rule::{Permit, Refusal, Rule};

impl Case<'_> {
    pub(super) fn ask(&self, ask: &Ask) -> Result<Permit, Refusal> {
        let Some(party) = self.charter.party(&ask.terms.party) else {
            return refuse(Rule::PartyUnknown, format!("the charter lists no relying party {}", ask.terms.party));
        };
        ensure(self.request.device == party.key, Rule::PartyKey, || format!("this is not the key of {}", party.id))?;
        self.current(&ask.charter)?;
        permits_terms(self.charter, &ask.terms, self.now)?;
        let latest = self.now.saturating_add(limits::ASK_LIFETIME_S).saturating_add(limits::CLOCK_SKEW_S);
        let timely = ask.answer_by > self.now && ask.answer_by <= latest && ask.answer_by <= ask.terms.expires_at;
        ensure(timely, Rule::AskTimes, || "the time for the answer cannot stand".to_owned())?;
        let counts = &self.facts.counts;
        ensure(counts.party_asks_last_day < party.asks_per_day as usize, Rule::PartyRate, || {
            format!("the charter allows {} {} asks a day", party.id, party.asks_per_day)
        })?;
        ensure(counts.party_asks_waiting < limits::ASKS_PER_PARTY, Rule::TooManyAsks, || {
            format!("{} asks of {} wait for an answer", counts.party_asks_waiting, party.id)
        })?;
        match ask.subject {
            None => Ok(Permit::OpenAsk),
            Some(_) => self.ask_by_name(),
        }
    }

    fn ask_by_name(&self) -> Result<Permit, Refusal> {
        let Some(asked) = &self.facts.asked else {
            return refuse(Rule::SubjectUnknown, "this relying party knows no member by this name");
        };
        let most = self.charter.document().rates.asks_per_member_per_day;
        ensure(asked.last_day < most as usize, Rule::MemberRate, || {
            format!("the charter allows a relying party {most} asks a day to one member")
        })?;
        // To the party the same as a no: whether a member shields themselves, or is asked by many others, is not its to know.
        match asked.shielded || asked.waiting >= limits::ASKS_PER_MEMBER {
            true => Ok(Permit::DeclineAsk),
            false => Ok(Permit::OpenAsk),
        }
    }

    /// Whoever has the id of an open ask may see it, unless it names somebody else.
    pub(super) fn see(&self) -> Result<Permit, Refusal> {
        self.ask_for_signer().map(|_| Permit::Tell)
    }

    pub(super) fn answer(&self, answer: &Answer) -> Result<Permit, Refusal> {
        self.signer()?;
        let facts = self.ask_for_signer()?;
        let statement = &facts.statement;
        ensure(statement.id == answer.ask, Rule::AskUnknown, || format!("no open ask {}", answer.ask))?;
        ensure(self.now <= statement.ask.answer_by, Rule::AskExpired, || "this ask has expired unanswered".to_owned())?;
        match &answer.reply {
            // A no is a right: no rule of the charter stands in its way.
            Reply::Refuse => Ok(Permit::RefuseAsk { ask: statement.id }),
            Reply::Approve { terms, submission } => self.approve(facts, answer, terms, submission.as_ref()),
        }
    }

    fn approve(
        &self,
        facts: &AskFacts,
        answer: &Answer,
        terms: &Terms,
        submission: Option<&Submission>,
    ) -> Result<Permit, Refusal> {
        let statement = &facts.statement;
        ensure(fits(terms, &statement.ask.terms), Rule::AskExceeded, || {
            "the terms approved are not the ones asked, or narrower".to_owned()
        })?;
        let meaning = self.may_give(&answer.charter, terms)?;
        // An approval is a use at once. The member's own clock made it, a moment ago.
        let begun = terms.not_before <= self.now.saturating_add(limits::CLOCK_SKEW_S);
        ensure(begun, Rule::GrantNotYet, || "an approval is used at once, and these terms begin later".to_owned())?;
        if let Some(submission) = submission {
            ensure(submission.grant.purpose == terms.purpose, Rule::GrantPurpose, || {
                "the sample is for another purpose than the terms".to_owned()
            })?;
        }
        self.sample_for(submission, terms.profile.as_ref())?;
        let compares = terms.profile.is_some();
        if compares {
            self.comparison_rate()?;
        }
        let uses_left_after = terms.uses.saturating_sub(1);
        Ok(Permit::ApproveAsk { ask: statement.id, terms: terms.clone(), meaning, uses_left_after, compares })
    }

    /// The ask named, if it is open and for the signer or for anybody. Otherwise one rule for all: nobody learns of an ask to
    /// somebody else.
    fn ask_for_signer(&self) -> Result<&AskFacts, Refusal> {
        let mine = |facts: &&AskFacts| match facts.statement.ask.subject {
            None => true,
            named => facts.subject.is_some() && named == facts.subject,
        };
        self.facts.ask.as_ref().filter(mine).ok_or_else(|| refusal(Rule::AskUnknown, "no open ask of this id is for you"))
    }
}

/// Are `given` the terms `asked`, or narrower: a later begin, an earlier end, fewer uses?
fn fits(given: &Terms, asked: &Terms) -> bool {
    given.party == asked.party
        && given.operation == asked.operation
        && given.profile == asked.profile
        && given.purpose == asked.purpose
        && given.note == asked.note
        && given.not_before >= asked.not_before
        && given.expires_at <= asked.expires_at
        && given.uses <= asked.uses
}
