//! The rules by name, and the two answers of a decision.

use std::fmt;

use types::consent::Terms;
use types::recovery::{Guarding, RecoveryFault};
use types::{AskId, Digest, GrantId, OperationId, RecoveryName, UnixSeconds};

use crate::Charter;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $advice:literal;)*) => {
        /// Why a request is refused. The code is stable; the advice says what to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// In kebab-case, for programs.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }
            /// What to do, for people.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice),* }
            }
        }
    };
}

rules! {
    // Who.
    /// The signing device belongs to no member.
    NotAMember = "not-a-member", "enrol first, or use the key that you enrolled with";
    /// The relying party is not in the charter.
    PartyUnknown = "party-unknown", "choose a relying party that the charter in force lists";
    /// Not signed by the key that the charter names for the party.
    PartyKey = "party-key", "sign with the key that the charter in force names for this relying party";
    // Under which rules.
    /// The consent is for another charter than the one in force.
    CharterChanged = "charter-changed", "the rules have changed: read the charter in force, then ask again";
    /// The modality may not be used.
    ModalityNotAllowed = "modality-not-allowed", "use a modality that the charter in force lists";
    /// The purpose is not in the charter.
    PurposeUnknown = "purpose-unknown", "name a purpose that the charter in force lists";
    /// The purpose does not cover what is asked.
    PurposeNotAllowed = "purpose-not-allowed", "name a purpose for which the charter allows this";
    /// The party may not ask this.
    OperationNotAllowed = "operation-not-allowed", "ask only what the charter allows this relying party";
    /// The party may not ask against this modality.
    ProfileNotAllowed = "profile-not-allowed", "name a modality that the charter allows this relying party";
    // One-use consent.
    /// The consent in a submission is not for exactly one use.
    ConsentUses = "consent-uses", "consent to exactly one use; more is a standing grant";
    /// The consent in a submission does not hold now.
    ConsentTimes = "consent-times", "set this device's clock, then ask again";
    /// A note is too long or not plain.
    NoteUnfit = "note-unfit", "write a plain note of at most 200 characters";
    // Enrolment.
    /// The member has a record of this modality.
    AlreadyEnrolled = "already-enrolled", "this modality is enrolled; verify with it, or withdraw it first";
    /// The modality is being replaced by another.
    ModalityReplaced = "modality-replaced", "enrol under the profile that replaces it";
    /// The member has a record that moves to this modality.
    RenewInstead = "renew-instead", "renew your record under the new profile: `commons renew`";
    /// A template in the profile that is being replaced is wanted, or is not.
    FormerSample = "former-sample", "send the sample's templates as the charter in force asks for";
    /// The member has no record of this modality.
    NoRecord = "no-record", "enrol this modality first";
    /// No valid voucher of an inviter.
    InvitationMissing = "invitation-missing", "bring an invitation for this device by an inviter whom the charter names";
    /// Too few valid vouchers.
    VouchersMissing = "vouchers-missing", "bring vouchers for this device by as many different members as the charter asks for";
    /// More vouchers than may be brought.
    TooManyVouchers = "too-many-vouchers", "bring at most 16 vouchers";
    /// The sample is not from a listed station.
    StationMissing = "station-missing", "have the sample taken at a station that the charter lists";
    /// The station's word does not hold.
    StationSeal = "station-seal", "have the station take the sample again";
    // Terms.
    /// The terms contradict themselves.
    TermsContradict = "terms-contradict", "correct the terms";
    /// The terms have ended already.
    TermsPast = "terms-past", "give an end in the future";
    /// More uses than the charter allows the party.
    TooManyUses = "too-many-uses", "allow at most as many uses as the charter allows this relying party";
    /// Longer than the charter allows the party.
    TooLong = "too-long", "end it within the days that the charter allows this relying party";
    /// Narrowing that widens or changes nothing.
    NotNarrower = "not-narrower", "give an earlier end or fewer uses; for more, make a new grant";
    // Grants.
    /// No such grant of this member or to this party.
    GrantUnknown = "grant-unknown", "name one of your grants";
    /// The grant has ended.
    GrantEnded = "grant-ended", "make a new grant if you want one";
    /// Suspended, ended, or its subject shields themselves. A party does not learn which.
    GrantNotActive = "grant-not-active", "ask the member again";
    /// The grant is not valid yet.
    GrantNotYet = "grant-not-yet", "wait until the grant begins";
    /// The grant has expired.
    GrantExpired = "grant-expired", "ask the member again";
    /// No uses remain.
    GrantSpent = "grant-spent", "ask the member again";
    /// Not the grant's purpose.
    GrantPurpose = "grant-purpose", "use the grant for the purpose it was given for, or ask the member again";
    /// The charter has since given other words to the grant's names.
    MeaningChanged = "meaning-changed", "the charter now means something else by these names: ask the member again";
    /// As many grants as a member may have.
    TooManyGrants = "too-many-grants", "revoke a grant that is no longer needed, then ask again";
    // Recovery.
    /// No such name, or no such recovery for this device.
    RecoveryUnknown = "recovery-unknown", "check which commons, which name and which device it is for";
    /// No guardian counts.
    RecoveryOff = "recovery-off", "without guardians there is no recovery; withdrawn members enrol again";
    /// The number of guardians does not fit.
    GuardiansNeeded = "guardians-needed", "name more guardians, or ask for another number of them";
    /// More guardians than may be.
    TooManyGuardians = "too-many-guardians", "name at most 16 guardians";
    /// One share twice.
    GuardianTwice = "guardian-twice", "name each guardian once";
    /// More approvals than there can be guardians.
    TooManyApprovals = "too-many-approvals", "bring at most 16 approvals, one of each guardian";
    /// The device is a member's, or was one.
    DeviceTaken = "device-taken", "use a new key, such as with another --member name";
    /// This device has a recovery that waits.
    RecoveryWaits = "recovery-waits", "wait for the delay of the one that began, then finish it";
    /// As many recoveries as can wait.
    TooManyRecoveries = "too-many-recoveries", "wait until one of them is over";
    /// Too many failed attempts.
    RecoveryRate = "recovery-rate", "check the approvals with your guardians; complete ones are taken at any time";
    /// It was finished, vetoed, overtaken or not finished in time.
    RecoveryOver = "recovery-over", "begin again with new approvals if it is still needed";
    /// It cannot be vetoed.
    RecoveryFinal = "recovery-final", "talk to your guardians: more of them than needed have approved it";
    /// The delay is not over.
    RecoveryEarly = "recovery-early", "wait until the delay is over, then finish it";
    // Samples.
    /// An operation that takes a sample came without one.
    SampleMissing = "sample-missing", "send a fresh sample";
    /// An operation that takes no sample came with one.
    SampleUnexpected = "sample-unexpected", "send no sample: this operation takes none";
    /// The sample is of another modality than the terms say.
    SampleProfile = "sample-profile", "send a sample of the modality that the terms name";
    // Asks.
    /// No open ask with this id for this member.
    AskUnknown = "ask-unknown", "check the id; the ask may be answered, gone, or for somebody else";
    /// Too late.
    AskExpired = "ask-expired", "have the relying party ask again";
    /// The approval is not to the ask's terms or narrower ones.
    AskExceeded = "ask-exceeded", "approve the terms that were asked, or narrower ones";
    /// The ask's own time limit cannot stand.
    AskTimes = "ask-times", "ask for an answer within 30 days and before the terms end";
    /// The party knows nobody by this name.
    SubjectUnknown = "subject-unknown", "ask without a name, and give the member the ask's id another way";
    // Shield.
    /// The member shields themselves.
    ShieldUp = "shield-up", "take the shield down first";
    /// There is no shield to take down.
    ShieldNotUp = "shield-not-up", "there is nothing to do: the shield is not up";
    /// A grant to restore is not one of the member's suspended grants.
    RestoreUnknown = "restore-unknown", "name only grants of yours that the shield suspended, each once";
    // Personas.
    /// The membership is bound to a secret already.
    AlreadyBound = "already-bound", "use the secret that you are bound to, or recover it: there is never a second";
    /// The membership is not bound to a secret.
    NotBound = "not-bound", "bind your membership to a secret first";
    /// Not an epoch for which credentials are issued now.
    EpochNotIssued = "epoch-not-issued", "ask for the present epoch, or for the next one when it is near; check this device's clock";
    /// A claim that the charter does not list, or by a party that it does not name for it.
    ClaimNotAllowed = "claim-not-allowed", "bring only claims that the charter in force lists, by a relying party that it names for them";
    /// A claim that is not this device's, has expired, or was not signed by its party.
    ClaimInvalid = "claim-invalid", "ask the relying party for a new one, for this device";
    // Rates.
    /// Too many comparisons with one member's records.
    VerificationRate = "verification-rate", "wait an hour";
    /// The party has asked enough for today.
    PartyRate = "party-rate", "wait a day: the charter limits how often this relying party asks";
    /// The party has asked this member enough for today.
    MemberRate = "member-rate", "wait a day: the charter limits how often one member is asked";
    /// Too many asks of this party wait for an answer.
    TooManyAsks = "too-many-asks", "wait until members have answered";
    // Operators.
    /// Not signed by a node of the roster.
    NotAnOperator = "not-an-operator", "run `commons-node refresh` on a node of this commons";
    /// A refresh is going on.
    RefreshRunning = "refresh-running", "wait until all nodes have the new shares; `commons-node refresh` shows it";
    /// Not the epoch that comes next.
    EpochUnknown = "epoch-unknown", "name the epoch after the present one";
    // The rules themselves.
    /// The charter brought is not the next one.
    CharterInvalid = "charter-invalid", "correct the charter and have all three operators sign it";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}; {} (rule {rule})", .rule.advice())]
pub struct Refusal {
    /// By which rule.
    pub rule: Rule,
    /// What is wrong with this request. Names no member.
    pub detail: String,
}

/// A request is allowed, and this follows for the node's state. Numbers and times are the batch's, so all nodes do the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permit {
    /// Match against everybody; keep the record if nobody matches.
    Enrol {
        /// The device has a member already, who gets another modality.
        adds_modality: bool,
    },
    /// Compare with the member's own record.
    Verify,
    /// Compare with the member's own record, then with everybody else's; replace the record if it matches the one and no other.
    Renew,
    /// Erase.
    Withdraw,
    /// Tell the asking device what it asks about itself.
    Tell,
    /// Begin a standing grant.
    CreateGrant {
        /// Its terms; `terms.uses` remain.
        terms: Terms,
        /// To be stored beside the grant, and handed back in [`crate::GrantFacts`].
        meaning: Digest,
    },
    /// Replace a grant's terms.
    NarrowGrant {
        /// Which.
        grant: GrantId,
        /// Its terms from now on: `terms.uses` counts the uses made and those that remain.
        terms: Terms,
        /// Uses that remain.
        uses_left: u32,
    },
    /// End a grant.
    RevokeGrant {
        /// Which.
        grant: GrantId,
    },
    /// Suspend all grants, refuse all open asks and pending requests of the member.
    RaiseShield,
    /// End the shield: these grants come back, all other suspended ones end.
    LowerShield {
        /// Which come back.
        restore: Vec<GrantId>,
    },
    /// Keep the ask until it is answered or `ask.answer_by`.
    OpenAsk,
    /// Answer the ask with a no at once: the member shields themselves, or has as many asks waiting as can be.
    DeclineAsk,
    /// The member said yes: begin a grant (named by this operation), make its first use now.
    ApproveAsk {
        /// Which ask is answered.
        ask: AskId,
        /// The grant's terms.
        terms: Terms,
        /// As in [`Permit::CreateGrant`].
        meaning: Digest,
        /// Uses that remain after this one.
        uses_left_after: u32,
        /// Compare the submission with the member's record; otherwise the finding is membership.
        compares: bool,
    },
    /// The member said no.
    RefuseAsk {
        /// Which ask is answered.
        ask: AskId,
    },
    /// Use a grant.
    UseGrant {
        /// Which.
        grant: GrantId,
        /// Uses that remain after this one.
        uses_left_after: u32,
        /// Compare the submission with the member's record; otherwise the finding is membership.
        compares: bool,
    },
    /// Keep these guardians.
    SetGuardians {
        /// The name of the member's recovery.
        name: RecoveryName,
        /// All of them, those on their way in or out, too.
        guarding: Guarding,
        /// From when on they are as the member wants them.
        settled_at: UnixSeconds,
    },
    /// Let a recovery wait for its delay; first compare the submission with the member's record, where there is one.
    StartRecovery {
        /// How many guardians approved.
        approvals: u8,
        /// Whether a submission is to be compared.
        compares: bool,
        /// Whether the old device can say no.
        can_veto: bool,
        /// From when on it can be finished.
        opens_at: UnixSeconds,
        /// Until when.
        closes_at: UnixSeconds,
    },
    /// Note for the member that a recovery was tried.
    RefuseRecovery {
        /// Why it does not begin.
        fault: RecoveryFault,
    },
    /// End a recovery: the old device said no.
    VetoRecovery {
        /// Which.
        recovery: OperationId,
    },
    /// The signing device becomes the member's; the shield goes up; all other recoveries end.
    FinishRecovery {
        /// Which.
        recovery: OperationId,
    },
    /// These rules are in force from the next batch on.
    AdoptCharter(Box<Charter>),
    /// Bind the membership to the secret of the request, for good.
    Bind,
    /// Sign for this member and the epoch asked for.
    Issue,
    /// Renew all stored shares, while service goes on.
    BeginRefresh {
        /// The epoch that they will be of.
        epoch: u64,
    },
    /// Use the renewed shares from the next batch on, and erase those before.
    EndRefresh {
        /// The epoch that they are of.
        epoch: u64,
    },
}
