//! A member's own acts with their body: to enrol, to verify and to renew.

use std::collections::BTreeSet;

use types::consent::Voucher;
use types::message::Submission;
use types::sign::Signed;
use types::{DeviceKey, MemberId, limits};

use super::{Case, ensure};
use crate::rule::{Permit, Refusal, Rule};
use crate::{Act, EnrolmentRule};

/// Whose word a voucher is. A member counts once, with however many devices.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Voice {
    Member(MemberId),
    Inviter(DeviceKey),
}

impl Case<'_> {
    pub(super) fn enrol(&self, submission: &Submission) -> Result<Permit, Refusal> {
        self.submission(submission, Act::Enrolment)?;
        let replacement = self.charter.replacement(&submission.profile);
        ensure(replacement.is_none(), Rule::ModalityReplaced, || {
            let newer = replacement.map_or_else(String::new, |m| m.profile.to_string());
            format!("{} is being replaced by {newer}", submission.profile)
        })?;
        let Some(member) = &self.facts.signer else {
            ensure(!self.facts.former_device, Rule::DeviceTaken, || {
                "this device was a member's, who has recovered to another".to_owned()
            })?;
            self.entry(&submission.vouchers)?;
            return Ok(Permit::Enrol { adds_modality: false });
        };
        self.open_signer()?;
        ensure(!member.profiles.contains(&submission.profile), Rule::AlreadyEnrolled, || {
            format!("you have a {} record already", submission.profile)
        })?;
        let moves = submission.former.as_ref().is_some_and(|former| member.profiles.contains(&former.profile));
        ensure(!moves, Rule::RenewInstead, || "your record moves to this profile; a second one would be yours".to_owned())?;
        Ok(Permit::Enrol { adds_modality: true })
    }

    pub(super) fn verify(&self, submission: &Submission) -> Result<Permit, Refusal> {
        let member = self.open_signer()?;
        self.submission(submission, Act::OwnVerification)?;
        self.has_record(member, &submission.profile)?;
        self.comparison_rate()?;
        Ok(Permit::Verify)
    }

    /// A renewal is an enrolment in place of another, by the member: what an enrolment's sample must fulfil, its sample must. Who
    /// has not moved to the profile yet moves with it.
    pub(super) fn renew(&self, submission: &Submission) -> Result<Permit, Refusal> {
        let member = self.open_signer()?;
        self.submission(submission, Act::Enrolment)?;
        let moves = submission.former.as_ref().is_some_and(|former| member.profiles.contains(&former.profile));
        if !moves {
            self.has_record(member, &submission.profile)?;
        }
        self.comparison_rate()?;
        Ok(Permit::Renew)
    }

    /// May this newcomer enrol at all?
    fn entry(&self, vouchers: &[Signed<Voucher>]) -> Result<(), Refusal> {
        ensure(vouchers.len() <= limits::VOUCHERS, Rule::TooManyVouchers, || format!("{} vouchers", vouchers.len()))?;
        let enrolment = &self.charter.document().enrolment;
        match enrolment.rule {
            EnrolmentRule::Open => Ok(()),
            EnrolmentRule::Invited => {
                let invited = vouchers.iter().any(|v| enrolment.inviters.contains(&v.message.by) && self.holds(v));
                ensure(invited, Rule::InvitationMissing, || "the charter admits only who is invited".to_owned())
            }
            EnrolmentRule::Vouched => {
                let voices: BTreeSet<Voice> =
                    vouchers.iter().filter(|v| self.holds(v)).filter_map(|v| self.voice(&v.message.by)).collect();
                ensure(voices.len() >= enrolment.vouchers as usize, Rule::VouchersMissing, || {
                    format!("the charter asks for {} vouchers, and {} count", enrolment.vouchers, voices.len())
                })
            }
        }
    }

    fn voice(&self, by: &DeviceKey) -> Option<Voice> {
        let member = self.facts.vouching.iter().find(|(device, _)| device == by).map(|(_, member)| Voice::Member(*member));
        let inviter = || self.charter.document().enrolment.inviters.contains(by).then_some(Voice::Inviter(*by));
        member.or_else(inviter)
    }

    /// For this device in this commons, by somebody else, not expired, and signed.
    fn holds(&self, signed: &Signed<Voucher>) -> bool {
        let voucher = &signed.message;
        voucher.commons == self.request.commons
            && voucher.device == self.request.device
            && voucher.by != voucher.device
            && voucher.expires_at >= self.now
            && signed.verify(&voucher.by).is_ok()
    }
}
