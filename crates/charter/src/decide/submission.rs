//! A sample and the one-use consent around it.

use types::message::{Grant, Submission};
use types::{ProfileId, limits};

use super::{Case, ensure, refuse};
use crate::check::is_plain;
use crate::document::Modality;
use crate::rule::{Refusal, Rule};
use crate::{Act, StationRule};

impl Case<'_> {
    /// Checks everything about a submission that serves `act`.
    pub(super) fn submission(&self, submission: &Submission, act: Act) -> Result<(), Refusal> {
        let profile = &submission.profile;
        let Some(modality) = self.charter.modality(profile) else {
            return refuse(Rule::ModalityNotAllowed, format!("the charter lists no modality {profile}"));
        };
        ensure(modality.profile_digest == submission.profile_digest, Rule::ModalityNotAllowed, || {
            format!("the sample is for another version of {profile}")
        })?;
        self.serves(&submission.grant.purpose, act)?;
        self.consent(&submission.grant)?;
        self.former(submission, modality, act)?;
        self.station(submission, modality.stations, act)
    }

    /// A submission where `profile` says that one is needed, and none where not.
    pub(super) fn sample_for(&self, submission: Option<&Submission>, profile: Option<&ProfileId>) -> Result<(), Refusal> {
        match (submission, profile) {
            (None, None) => Ok(()),
            (Some(submission), Some(profile)) => {
                ensure(submission.profile == *profile, Rule::SampleProfile, || {
                    format!("the sample is of {}, the terms say {profile}", submission.profile)
                })?;
                self.submission(submission, Act::Verification)
            }
            (None, Some(_)) => refuse(Rule::SampleMissing, "a verification takes a fresh sample"),
            (Some(_), None) => refuse(Rule::SampleUnexpected, "a question of membership takes no sample"),
        }
    }

    /// A sample that is to be kept in a profile that replaces another comes in both; no other does.
    fn former(&self, submission: &Submission, modality: &Modality, act: Act) -> Result<(), Refusal> {
        let wanted = modality.replaces.as_ref().filter(|_| act == Act::Enrolment);
        match (wanted, &submission.former) {
            (None, None) => Ok(()),
            (Some(older), None) => refuse(
                Rule::FormerSample,
                format!(
                    "while members move from {older}, a sample is compared with theirs too: send its {older} template as well"
                ),
            ),
            (None, Some(former)) => {
                refuse(Rule::FormerSample, format!("a template of {} is not wanted here: leave it out", former.profile))
            }
            (Some(older), Some(former)) => {
                let listed = self.charter.modality(older).map(|m| m.profile_digest);
                let same = former.profile == *older && Some(former.profile_digest) == listed;
                ensure(same, Rule::FormerSample, || {
                    format!("the other template must be of {older}, as the charter lists it")
                })
            }
        }
    }

    fn consent(&self, grant: &Grant) -> Result<(), Refusal> {
        self.current(&grant.charter)?;
        ensure(grant.uses == 1, Rule::ConsentUses, || format!("this consent is for {} uses", grant.uses))?;
        note(&grant.note)?;
        let begun = grant.not_before <= self.now.saturating_add(limits::CLOCK_SKEW_S);
        let ends = grant.expires_at.saturating_add(limits::CLOCK_SKEW_S) >= self.now;
        ensure(begun && ends && grant.not_before <= grant.expires_at, Rule::ConsentTimes, || {
            "this consent does not hold at this time".to_owned()
        })
    }

    fn station(&self, submission: &Submission, rule: StationRule, act: Act) -> Result<(), Refusal> {
        match (rule, act) {
            (StationRule::Any, _) | (StationRule::Enrolment, Act::OwnVerification | Act::Membership | Act::Verification) => {
                return Ok(());
            }
            (StationRule::Enrolment, Act::Enrolment) | (StationRule::Listed, _) => {}
        }
        let Some(signed) = &submission.station else {
            return refuse(Rule::StationMissing, "the charter wants this sample to be taken at a listed station");
        };
        let seal = &signed.message;
        let listed = self.charter.document().stations.iter().any(|station| station.key == seal.station);
        ensure(listed, Rule::StationMissing, || "the station is not one that the charter lists".to_owned())?;
        let same = seal.commons == self.request.commons
            && seal.profile == submission.profile
            && seal.commitments == submission.commitments
            && seal.former == submission.former;
        ensure(same, Rule::StationSeal, || "the station's seal is for another sample".to_owned())?;
        // As long as a request may live, by clocks that may differ.
        let age_s = self.now.saturating_sub(seal.at);
        let fresh = seal.at <= self.now.saturating_add(limits::CLOCK_SKEW_S)
            && age_s <= limits::REQUEST_LIFETIME_S + limits::CLOCK_SKEW_S;
        ensure(fresh, Rule::StationSeal, || "the station took this sample too long ago, or its clock is wrong".to_owned())?;
        ensure(signed.verify(&seal.station).is_ok(), Rule::StationSeal, || "the station's signature is not valid".to_owned())
    }
}

/// A note is short and shows as what it is.
pub(super) fn note(note: &str) -> Result<(), Refusal> {
    let fits = note.chars().count() <= limits::PURPOSE_CHARS && is_plain(note);
    ensure(fits, Rule::NoteUnfit, || format!("the note is longer than {} characters or not plain", limits::PURPOSE_CHARS))
}
