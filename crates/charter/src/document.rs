//! A charter as people write it: plain fields, read from TOML, not yet checked. [`crate::Charter`] is the checked form.

use serde::{Deserialize, Serialize};
use types::consent::{Operation, Purpose};
use types::persona::ClaimKind;
use types::{DeviceKey, Digest, PartyId, ProfileId, limits};

use crate::{Error, canonical};

/// Version of the document's format.
pub const FORMAT: u16 = 1;

/// Everything that a charter says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT`].
    pub format: u16,
    /// 1, 2, ...: each charter's number is one more than that of the charter before.
    pub version: u64,
    /// Digest of the roster.
    pub commons: Digest,
    /// Digest of the charter before; of the default charter ([`crate::Charter::default_for`]) for version 1.
    pub previous: Digest,
    /// Name of the commons or of its rules, for people.
    pub name: String,
    /// Language of the texts (BCP 47), such as `en` or `pt-BR`.
    pub language: String,
    /// What this is, in a few sentences.
    pub summary: String,
    /// Whose law applies, in words or as an ISO 3166 code.
    pub jurisdiction: String,
    /// The privacy notice: its text, or the address where it can be read.
    pub privacy_notice: String,
    /// Who may become a member.
    pub enrolment: Enrolment,
    /// How long nodes keep what they decided.
    pub retention: Retention,
    /// How much at most.
    pub rates: Rates,
    /// What answers reveal. Says what the system does; cannot say anything else.
    pub answers: Answers,
    /// How a member gets a new device; [`Recovery::default`] where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// Who answers for personal data.
    #[serde(default)]
    pub controllers: Vec<Controller>,
    /// What is matched, and how strictly.
    #[serde(default)]
    pub modalities: Vec<Modality>,
    /// Capture stations that count.
    #[serde(default)]
    pub stations: Vec<Station>,
    /// What a template or a membership may be used for.
    #[serde(default)]
    pub purposes: Vec<PurposeEntry>,
    /// Relying parties.
    #[serde(default)]
    pub parties: Vec<Party>,
    /// What relying parties may vouch for about members; nothing where nothing is said.
    #[serde(default)]
    pub claims: Vec<ClaimEntry>,
    /// Witnesses of the nodes' logs besides the nodes themselves.
    #[serde(default)]
    pub witnesses: Vec<Witness>,
}

/// Who may become a member. Members who add a modality need nobody's word again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Which rule.
    pub rule: EnrolmentRule,
    /// For `vouched`: how many must vouch. 0 otherwise.
    #[serde(default)]
    pub vouchers: u32,
    /// For `invited`: who invites. For `vouched`: whose word counts like a member's, so that there can be first members.
    #[serde(default)]
    pub inviters: Vec<DeviceKey>,
}

/// Rules of enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentRule {
    /// Everybody.
    Open,
    /// Who brings a voucher of one inviter.
    Invited,
    /// Who brings vouchers of several members (or inviters).
    Vouched,
}

/// How long nodes keep what they decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days that a decision can be asked for.
    pub outcomes_days: u32,
    /// Days that an ended grant and its uses stay in a member's list.
    pub uses_days: u32,
}

/// How much at most. Counted over decided operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// 1:1 comparisons with one member's records, whoever asks for them.
    pub verifications_per_hour: u32,
    /// Asks that one relying party may put to one member.
    pub asks_per_member_per_day: u32,
}

/// How a member who lost a device gets a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// Fewest guardians whose approval a member may ask for.
    pub need_least: u32,
    /// Most.
    pub need_most: u32,
    /// How many more must approve where no sample is compared.
    pub without_sample_more: u32,
    /// Seconds for the old device to say no.
    pub delay_s: u32,
    /// The same where no sample is compared.
    pub delay_without_sample_s: u32,
    /// The same where an earlier recovery was vetoed, and this one cannot be.
    pub delay_after_veto_s: u32,
    /// Seconds until new guardians, and another number of them, count.
    pub settle_s: u32,
    /// Seconds for the new device to finish once it may.
    pub finish_within_s: u32,
    /// Failed attempts in one day that are noted for the member; more are refused without a note.
    pub faults_per_day: u32,
}

/// What answers reveal: always these lists, so that the document cannot promise less or hide more than the system does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// To a question of membership: `["membership", "pairwise-name"]`.
    pub membership: Vec<Reveal>,
    /// To a question of verification: `["match", "pairwise-name"]`.
    pub verification: Vec<Reveal>,
}

impl Answers {
    /// What this system's answers reveal.
    pub fn fixed() -> Self {
        Self {
            membership: vec![Reveal::Membership, Reveal::PairwiseName],
            verification: vec![Reveal::Match, Reveal::PairwiseName],
        }
    }
    /// For one operation, in plain words.
    pub fn in_words(operation: Operation) -> &'static str {
        match operation {
            Operation::Membership => {
                "that the person is a member, counted once, and the name by which only this party knows them"
            }
            Operation::Verification => {
                "whether the person before the camera is the member (yes or no), and the name by which only this party knows them"
            }
        }
    }
}

/// One thing that an answer can reveal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reveal {
    /// The subject is an enrolled person, counted once.
    Membership,
    /// Whether the 1:1 comparison matched: yes or no, no score.
    Match,
    /// The name by which this party, and no other, knows the subject.
    PairwiseName,
}

/// Who answers for personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// Name.
    pub name: String,
    /// How to reach them.
    pub contact: String,
}

/// A modality profile of the roster that may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modality {
    /// Which.
    pub profile: ProfileId,
    /// [`types::profile::Profile::digest`].
    pub profile_digest: Digest,
    /// When two templates count as one person's, in words: [`crate::Charter::threshold`].
    pub threshold: String,
    /// Where samples may be taken.
    pub stations: StationRule,
    /// The older profile from which members move to this one: each sample for it comes with a template of the older, too, and is
    /// compared with who has not moved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ProfileId>,
}

/// Where samples may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StationRule {
    /// Anywhere: also with a member's own device.
    Any,
    /// To enrol, at a listed station; later samples anywhere.
    Enrolment,
    /// Every sample, at a listed station.
    Listed,
}

impl StationRule {
    /// In plain words, after "samples are taken".
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Any => "anywhere",
            Self::Enrolment => "at a listed station to enrol, and anywhere later",
            Self::Listed => "at a listed station, always",
        }
    }
}

/// A capture station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Station {
    /// Name.
    pub name: String,
    /// Ed25519 key that signs its samples.
    pub key: DeviceKey,
}

/// What may be vouched for about a member, in which words, and by whom. Disclosed only where the member shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimEntry {
    /// What.
    pub kind: ClaimKind,
    /// The values that there are: few, so that none names a person.
    pub values: Vec<String>,
    /// The relying parties whose word counts.
    pub parties: Vec<PartyId>,
}

/// A purpose, with its meaning here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeEntry {
    /// The vocabulary's term.
    pub term: Purpose,
    /// A few words.
    pub title: String,
    /// What it means, so that a member can agree to it.
    pub text: String,
    /// What may be done for it.
    pub operations: Vec<Act>,
}

/// What may be done for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// A member's own: enrol, with a comparison against everybody.
    Enrolment,
    /// A member's own: a 1:1 comparison for themselves.
    OwnVerification,
    /// A relying party's: is the subject a member?
    Membership,
    /// A relying party's: is the person before the camera the subject?
    Verification,
}

impl From<Operation> for Act {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Membership => Self::Membership,
            Operation::Verification => Self::Verification,
        }
    }
}

impl Act {
    /// As in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::OwnVerification => "own-verification",
            Self::Membership => "membership",
            Self::Verification => "verification",
        }
    }
}

/// A relying party, and the most that members can grant it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Short name, in grants.
    pub id: PartyId,
    /// Full name.
    pub name: String,
    /// How to reach it.
    pub contact: String,
    /// Ed25519 key that signs its asks and uses.
    pub key: DeviceKey,
    /// What it may ask.
    pub operations: Vec<Operation>,
    /// What for.
    pub purposes: Vec<Purpose>,
    /// Against which records; for verification.
    #[serde(default)]
    pub profiles: Vec<ProfileId>,
    /// Largest number of uses in one grant.
    pub max_uses: u32,
    /// Longest time of one grant.
    pub max_days: u32,
    /// Asks in one day.
    pub asks_per_day: u32,
}

/// A witness of the nodes' logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Name, for people.
    pub name: String,
    /// Verifier key of a C2SP signed note: `name+hash+base64`, of type cosignature/v1.
    pub vkey: String,
    /// Where it takes checkpoints.
    pub url: String,
}

impl Document {
    /// Reads TOML, canonical or not, without checking what it says.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        if text.len() > limits::CHARTER_BYTES {
            return Err(Error::TooLarge { got: text.len(), limit: limits::CHARTER_BYTES });
        }
        toml::from_str(text).map_err(|error| {
            let line =
                error.span().and_then(|span| text.get(..span.start)).map_or(1, |before| before.matches('\n').count() + 1);
            Error::Malformed { line, reason: error.message().trim_end().to_owned() }
        })
    }

    /// The one form that is signed: lists sorted by name, texts trimmed, fields in a fixed order, no comments. Any two documents
    /// that say the same have the same canonical bytes.
    pub fn canonical(&self) -> Vec<u8> {
        canonical::write(&self.normalised()).into_bytes()
    }

    /// Sorts what has no order and trims texts.
    pub(crate) fn normalised(&self) -> Self {
        let mut document = self.clone();
        let d = &mut document;
        for text in [&mut d.name, &mut d.language, &mut d.summary, &mut d.jurisdiction, &mut d.privacy_notice] {
            trim(text);
        }
        d.enrolment.inviters.sort();
        d.controllers.iter_mut().for_each(|c| [&mut c.name, &mut c.contact].into_iter().for_each(trim));
        d.controllers.sort_by(|a, b| a.name.cmp(&b.name));
        d.modalities.iter_mut().for_each(|m| trim(&mut m.threshold));
        d.modalities.sort_by(|a, b| a.profile.cmp(&b.profile));
        d.stations.iter_mut().for_each(|s| trim(&mut s.name));
        d.stations.sort_by(|a, b| a.name.cmp(&b.name));
        for purpose in &mut d.purposes {
            [&mut purpose.title, &mut purpose.text].into_iter().for_each(trim);
            purpose.operations.sort();
        }
        d.purposes.sort_by(|a, b| a.term.cmp(&b.term));
        for party in &mut d.parties {
            [&mut party.name, &mut party.contact].into_iter().for_each(trim);
            party.operations.sort();
            party.purposes.sort();
            party.profiles.sort();
        }
        d.parties.sort_by(|a, b| a.id.cmp(&b.id));
        for claim in &mut d.claims {
            claim.values.iter_mut().for_each(trim);
            claim.values.sort();
            claim.parties.sort();
        }
        d.claims.sort_by_key(|claim| claim.kind);
        d.witnesses.iter_mut().for_each(|w| [&mut w.name, &mut w.vkey, &mut w.url].into_iter().for_each(trim));
        d.witnesses.sort_by(|a, b| a.name.cmp(&b.name));
        document
    }
}

fn trim(text: &mut String) {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    *text = lines.join("\n").trim().to_owned();
}
