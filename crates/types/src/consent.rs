//! The vocabulary of consent: purposes, standing grants, questions of relying parties, vouchers.
//!
//! In scope: what is said and signed. Out of scope: whether it is allowed (`charter`), and keeping count (`node`).

use std::fmt;
use std::io::Read;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::message::Former;
use crate::sign::Message;
use crate::{AskId, DeviceKey, Digest, Error, GrantId, PartyId, ProfileId, Signature, SubjectId, UnixSeconds, limits};

/// A purpose: a term of the Data Privacy Vocabulary (or another vocabulary with a short prefix), such as
/// `dpv:IdentityVerification`. Which terms count, and what they mean here in plain words, says the charter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Purpose(String);

impl Purpose {
    /// Accepts `prefix:Term`: 1 to 12 characters of `a-z`, a colon, 1 to 64 of `A-Z a-z 0-9 -`.
    ///
    /// # Errors
    /// [`Error::BadId`].
    pub fn new(term: &str) -> Result<Self, Error> {
        let bad = Error::BadId { what: "purpose", rule: "write a vocabulary term such as dpv:IdentityVerification" };
        let (prefix, name) = term.split_once(':').ok_or_else(|| bad.clone())?;
        let prefix_fits = (1..=12).contains(&prefix.len()) && prefix.chars().all(|c| c.is_ascii_lowercase());
        let name_fits = (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if prefix_fits && name_fits { Ok(Self(term.to_owned())) } else { Err(bad) }
    }
    /// Is this one person, only once? The purpose of enrolment.
    pub fn deduplication() -> Self {
        Self("dpv:FraudPreventionAndDetection".to_owned())
    }
    /// Is this the same person as before? The purpose of a member's own verification.
    pub fn verification() -> Self {
        Self("dpv:IdentityVerification".to_owned())
    }
    /// The term.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BorshDeserialize for Purpose {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let term = String::deserialize_reader(reader)?;
        Self::new(&term).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
    }
}

impl TryFrom<String> for Purpose {
    type Error = Error;
    fn try_from(term: String) -> Result<Self, Error> {
        Self::new(&term)
    }
}

impl From<Purpose> for String {
    fn from(purpose: Purpose) -> Self {
        purpose.0
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a relying party can ask of a member.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Is the subject an enrolled person, counted once? Reveals that membership stands, and the subject's pairwise name.
    Membership,
    /// Is the person before the camera the subject? A 1:1 comparison; reveals yes or no, and the pairwise name.
    Verification,
}

impl Operation {
    /// `membership` or `verification`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Verification => "verification",
        }
    }
}

/// The terms of a standing grant: everything that a use must fit.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// To whom.
    pub party: PartyId,
    /// What it may ask.
    pub operation: Operation,
    /// Against which record; for verification only.
    pub profile: Option<ProfileId>,
    /// What for.
    pub purpose: Purpose,
    /// In plain words; shown in receipts. At most [`limits::PURPOSE_CHARS`] characters.
    pub note: String,
    /// No use before.
    pub not_before: UnixSeconds,
    /// No use after.
    pub expires_at: UnixSeconds,
    /// How many uses.
    pub uses: u32,
}

/// A standing grant as the member signs it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StandingGrant {
    /// Digest of the charter that the member has read.
    pub charter: Digest,
    /// What is granted.
    pub terms: Terms,
}

/// Less of a standing grant. What is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Narrowing {
    /// Which grant.
    pub grant: GrantId,
    /// An earlier end.
    pub expires_at: Option<UnixSeconds>,
    /// Fewer uses from now on.
    pub uses_left: Option<u32>,
}

/// A relying party asks a member. Answered by [`Reply`], or it expires.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ask {
    /// Digest of the charter under which it asks.
    pub charter: Digest,
    /// Whom: by pairwise name; absent when the two have not met, and the member gets the ask's id by another way, such as a
    /// QR code.
    pub subject: Option<SubjectId>,
    /// What would be granted if the member agrees: one use now, and `uses - 1` later without asking again.
    pub terms: Terms,
    /// No answer after.
    pub answer_by: UnixSeconds,
}

/// A member's answer to an ask.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Answer {
    /// To which.
    pub ask: AskId,
    /// Digest of the charter that the member has read.
    pub charter: Digest,
    /// Yes or no.
    pub reply: Reply,
}

/// Yes or no.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[expect(clippy::large_enum_variant, reason = "a request is handled one at a time, and most answers are a yes")]
pub enum Reply {
    /// No. The relying party learns that, and nothing else: not who said it.
    Refuse,
    /// Yes, to exactly these terms (or narrower: an earlier end, fewer uses), with a fresh sample where the operation takes one.
    Approve {
        /// What is granted.
        terms: Terms,
        /// For [`Operation::Verification`].
        submission: Option<crate::message::Submission>,
    },
}

/// A relying party uses a standing grant.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Use {
    /// Who.
    pub party: PartyId,
    /// Which grant.
    pub grant: GrantId,
    /// What for: must be the grant's purpose.
    pub purpose: Purpose,
    /// For [`Operation::Verification`]: a sample taken by the party's station. Its own consent field restates the purpose.
    pub submission: Option<crate::message::Submission>,
}

/// Somebody vouches that the holder of a device may enrol: a member, or an inviter named in the charter.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Voucher {
    /// Digest of the roster.
    pub commons: Digest,
    /// Who may enrol.
    pub device: DeviceKey,
    /// Who vouches, and signs.
    pub by: DeviceKey,
    /// Until when.
    pub expires_at: UnixSeconds,
}

impl Message for Voucher {
    const DOMAIN: &'static str = "trust-commons/v1/voucher";
    const NAME: &'static str = "voucher";
    const LIMIT: usize = 256;
}

/// What a capture station says of a sample that it took.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StationSeal {
    /// Digest of the roster.
    pub commons: Digest,
    /// Which station, and who signs.
    pub station: DeviceKey,
    /// Which kind of template.
    pub profile: ProfileId,
    /// The commitments to the shared template: [`crate::message::Submission::commitments`].
    pub commitments: [Digest; 3],
    /// The other template of the same sample: [`crate::message::Submission::former`]. One seal for both, so that nobody puts
    /// templates of two people together.
    pub former: Option<Former>,
    /// When it was taken.
    pub at: UnixSeconds,
}

impl Message for StationSeal {
    const DOMAIN: &'static str = "trust-commons/v1/station";
    const NAME: &'static str = "station seal";
    const LIMIT: usize = 512;
}

/// A charter as it is adopted: the document and the operators' signatures over its digest.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedCharter {
    /// Canonical bytes of the document (`charter::Charter`); at most [`limits::CHARTER_BYTES`].
    pub document: Vec<u8>,
    /// By the signing keys of nodes 1, 2, 3.
    pub signatures: [Signature; 3],
}

impl SignedCharter {
    /// Names the document, whoever signed it.
    pub fn digest(&self) -> Digest {
        Digest::of(CharterDocument::DOMAIN, &[&self.document])
    }
    /// Checks one operator's signature.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn verify(&self, roster: &crate::roster::Roster) -> Result<(), Error> {
        let document = CharterDocument(self.document.clone());
        for (node, signature) in roster.nodes.iter().zip(&self.signatures) {
            crate::sign::verify(&document, &node.signing_key, signature)?;
        }
        Ok(())
    }
}

/// The bytes that operators sign: see [`SignedCharter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharterDocument(pub Vec<u8>);

// Raw bytes, without a length before them: the digest names the document as it lies in a file.
impl BorshSerialize for CharterDocument {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(&self.0)
    }
}

impl BorshDeserialize for CharterDocument {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        reader.take(limits::CHARTER_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl Message for CharterDocument {
    const DOMAIN: &'static str = "trust-commons/v1/charter";
    const NAME: &'static str = "charter";
    const LIMIT: usize = limits::CHARTER_BYTES;
}

/// Where a standing grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantState {
    /// Usable within its terms.
    Active,
    /// Cut by the shield; usable again only if the member picks it when the shield comes down.
    Suspended,
    /// Ended by the member.
    Revoked,
}

/// A standing grant as a node knows it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantStatement {
    /// Which.
    pub grant: GrantId,
    /// The subject's name towards the party.
    pub subject: SubjectId,
    /// As granted and since narrowed.
    pub terms: Terms,
    /// Charter under which it was given.
    pub charter: Digest,
    /// Whether it can be used.
    pub state: GrantState,
    /// Uses that remain.
    pub uses_left: u32,
    /// When it was given.
    pub since: UnixSeconds,
    /// When it was used last.
    pub last_used: Option<UnixSeconds>,
}

/// A relying party's question as a node knows it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AskStatement {
    /// Which.
    pub id: AskId,
    /// What is asked, by whom, what for.
    pub ask: Ask,
    /// When it came.
    pub since: UnixSeconds,
}
