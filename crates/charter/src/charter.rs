//! [`Charter`]: a document that was checked against its roster, with its canonical bytes and digest.

use types::consent::{CharterDocument, Purpose, SignedCharter, Terms};
use types::profile::{Matching, Profile};
use types::roster::Roster;
use types::sign::{self, Message as _};
use types::{Digest, PartyId, ProfileId, limits};

use crate::check::check;
use crate::document::{
    Act, Answers, Controller, Document, Enrolment, EnrolmentRule, FORMAT, Modality, Party, PurposeEntry, Rates, Recovery,
    Retention, StationRule,
};
use crate::{Change, Effect, Error};

/// The rules of a commons, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charter {
    document: Document,
    bytes: Vec<u8>,
    digest: Digest,
}

impl Charter {
    /// Reads canonical bytes and checks everything but signatures and the charter before. Of version 0 only the default of this
    /// roster is accepted.
    ///
    /// # Errors
    /// One variant of [`Error`] per kind of fault, with what to change.
    pub fn from_document(bytes: &[u8], roster: &Roster) -> Result<Self, Error> {
        if bytes.len() > limits::CHARTER_BYTES {
            return Err(Error::TooLarge { got: bytes.len(), limit: limits::CHARTER_BYTES });
        }
        let default = Self::default_for(roster);
        if default.bytes == bytes {
            return Ok(default);
        }
        let document = Document::from_toml(std::str::from_utf8(bytes).map_err(|_| Error::NotText)?)?;
        let charter = Self::new(document, roster)?;
        match charter.bytes == bytes {
            true => Ok(charter),
            false => Err(Error::NotCanonical),
        }
    }

    /// Checks a document that need not be in canonical form: what a tool does before operators sign.
    ///
    /// # Errors
    /// As [`Self::from_document`], without [`Error::NotCanonical`].
    pub fn new(document: Document, roster: &Roster) -> Result<Self, Error> {
        let document = document.normalised();
        if document.version == 0 {
            let default = Self::default_for(roster);
            return if default.document == document { Ok(default) } else { Err(Error::NotDefault) };
        }
        check(&document, roster)?;
        let charter = Self::of(document);
        match charter.bytes.len() > limits::CHARTER_BYTES {
            true => Err(Error::TooLarge { got: charter.bytes.len(), limit: limits::CHARTER_BYTES }),
            false => Ok(charter),
        }
    }

    /// Charter 0: what holds until the operators adopt one. Every profile with which the commons began, enrolment open to everybody,
    /// deduplication and the member's own verification, no relying party.
    pub fn default_for(roster: &Roster) -> Self {
        Self::of(default_document(roster).normalised())
    }

    /// The next charter, if `next` is one: signed by all three operators, one version higher, written to follow this one, valid
    /// for this roster. Together with storing the result, a compare-and-swap: of two charters that follow this one, only the
    /// first is adopted.
    ///
    /// # Errors
    /// [`Error::Signature`], [`Error::Version`], [`Error::Previous`], and those of [`Self::from_document`].
    pub fn adopts(&self, next: &SignedCharter, roster: &Roster) -> Result<Self, Error> {
        let charter = Self::from_document(&next.document, roster)?;
        if Some(charter.version()) != self.version().checked_add(1) {
            return Err(Error::Version { got: charter.version(), next: self.version().saturating_add(1) });
        }
        if charter.document.previous != self.digest {
            return Err(Error::Previous { expected: self.digest.to_hex() });
        }
        check_signatures(next, roster)?;
        Ok(charter)
    }

    /// Reads an adopted charter on its own, as found in storage or in evidence: signatures and contents, not its predecessor.
    ///
    /// # Errors
    /// [`Error::Signature`], and those of [`Self::from_document`].
    pub fn from_signed(signed: &SignedCharter, roster: &Roster) -> Result<Self, Error> {
        let charter = Self::from_document(&signed.document, roster)?;
        check_signatures(signed, roster)?;
        Ok(charter)
    }

    fn of(document: Document) -> Self {
        let bytes = document.canonical();
        let digest = CharterDocument(bytes.clone()).digest();
        Self { document, bytes, digest }
    }

    /// What it says.
    pub fn document(&self) -> &Document {
        &self.document
    }
    /// Canonical bytes: what operators sign.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Names it in messages: [`SignedCharter::digest`].
    pub fn digest(&self) -> Digest {
        self.digest
    }
    /// Its number; 0 for the default.
    pub fn version(&self) -> u64 {
        self.document.version
    }
    /// How members recover: what it says, or the defaults.
    pub fn recovery(&self) -> Recovery {
        self.document.recovery.clone().unwrap_or_default()
    }
    /// The relying party named `id`.
    pub fn party(&self, id: &PartyId) -> Option<&Party> {
        self.document.parties.iter().find(|p| p.id == *id)
    }
    /// The entry of `term`.
    pub fn purpose(&self, term: &Purpose) -> Option<&PurposeEntry> {
        self.document.purposes.iter().find(|p| p.term == *term)
    }
    /// The entry of `profile`.
    pub fn modality(&self, profile: &ProfileId) -> Option<&Modality> {
        self.document.modalities.iter().find(|m| m.profile == *profile)
    }
    /// The modality to which members of `profile` move, if it is being replaced.
    pub fn replacement(&self, profile: &ProfileId) -> Option<&Modality> {
        self.document.modalities.iter().find(|m| m.replaces.as_ref() == Some(profile))
    }
    /// May `act` be done for `term`?
    pub fn serves(&self, term: &Purpose, act: Act) -> bool {
        self.purpose(term).is_some_and(|entry| entry.operations.contains(&act))
    }

    /// What a member agreed to, beyond the terms' own words: who the party is and what the purpose means here. A grant carries
    /// this digest; when a later charter gives other words to the same names, the digests differ and the grant covers nothing.
    /// Absent when the charter does not know the party, purpose or profile.
    pub fn meaning(&self, terms: &Terms) -> Option<Digest> {
        let (party, purpose) = (self.party(&terms.party)?, self.purpose(&terms.purpose)?);
        let profile = match &terms.profile {
            Some(profile) => self.modality(profile)?.profile_digest.to_hex(),
            None => String::new(),
        };
        let words = [
            party.id.as_str(),
            &party.name,
            purpose.term.as_str(),
            &purpose.title,
            &purpose.text,
            terms.operation.name(),
            &profile,
        ];
        // Lengths first, so that no two lists of words run together.
        let lengths: Vec<u8> = words.iter().flat_map(|w| (w.len() as u64).to_le_bytes()).collect();
        let mut parts: Vec<&[u8]> = vec![&lengths];
        parts.extend(words.iter().map(|w| w.as_bytes()));
        Some(Digest::of("trust-commons/v1/grant-meaning", &parts))
    }

    /// What changes from this charter to `next`, in plain words: [`crate::diff()`].
    pub fn changes(&self, next: &Self) -> Vec<Change> {
        crate::diff(self, next)
    }
    /// Does `next` allow anything that this charter does not?
    pub fn is_widened_by(&self, next: &Self) -> bool {
        self.changes(next).iter().any(|change| change.effect == Effect::Wider)
    }

    /// When two templates of `profile` count as one person's, in the words that a charter must use.
    pub fn threshold(profile: &Profile) -> String {
        threshold(profile)
    }
}

/// By the operators in force, or by those before a node was replaced.
fn check_signatures(signed: &SignedCharter, roster: &Roster) -> Result<(), Error> {
    let mut checked = check_signatures_by(signed, roster);
    for count in (0..roster.successions.len()).rev() {
        if checked.is_ok() {
            break;
        }
        checked = check_signatures_by(signed, &roster.generation(count));
    }
    checked
}

fn check_signatures_by(signed: &SignedCharter, roster: &Roster) -> Result<(), Error> {
    let document = CharterDocument(signed.document.clone());
    for (node, signature) in roster.nodes.iter().zip(&signed.signatures) {
        sign::verify(&document, &node.signing_key, signature).map_err(|_| Error::Signature { node: node.id })?;
    }
    // A checked roster has three nodes; a shorter one must not pass for it.
    match roster.nodes.len() == signed.signatures.len() {
        true => Ok(()),
        false => Err(Error::WrongCommons { expected: roster.digest().to_hex() }),
    }
}

pub(crate) fn threshold(profile: &Profile) -> String {
    match &profile.matching {
        Matching::Embedding(m) => {
            // From the integers that the profile's digest binds.
            let cosine = f64::from(m.offset()) / (f64::from(m.scale) * f64::from(m.scale));
            format!("cosine similarity of at least {cosine:.4}")
        }
        Matching::IrisCode(m) => {
            let distance = 0.5 - f64::from(m.mask_weight) / (4.0 * f64::from(m.dot_weight));
            format!("masked Hamming distance below {distance:.4}, best of {} rotations", m.rotations)
        }
    }
}

fn default_document(roster: &Roster) -> Document {
    let modality = |profile: &Profile| Modality {
        profile: profile.id.clone(),
        profile_digest: profile.digest(),
        threshold: threshold(profile),
        stations: StationRule::Any,
        replaces: None,
    };
    let controller = |node: &types::roster::RosterNode| Controller {
        // Only what the roster's digest binds: charter 0 must be the same on nodes whose rosters differ in names or addresses.
        name: format!("operator of node {}", node.id),
        contact: "as given by the operator".to_owned(),
    };
    Document {
        format: FORMAT,
        version: 0,
        commons: roster.digest(),
        previous: Digest([0; 32]),
        name: roster.commons.clone(),
        language: "en".to_owned(),
        summary: "What holds until the three operators adopt a charter. Anybody may enrol, once. Members can prove to be the person \
                  who enrolled. Nobody else may ask anything."
            .to_owned(),
        jurisdiction: "not stated".to_owned(),
        privacy_notice: "Templates are split into shares for three nodes; no node can read one. Members can see what each node keeps \
                         and erase it at any time."
            .to_owned(),
        enrolment: Enrolment { rule: EnrolmentRule::Open, vouchers: 0, inviters: Vec::new() },
        retention: Retention { outcomes_days: 366, uses_days: 366 },
        rates: Rates { verifications_per_hour: 10_000, asks_per_member_per_day: 1 },
        answers: Answers::fixed(),
        recovery: None,
        controllers: roster.nodes.iter().map(controller).collect(),
        modalities: roster.first_profiles().map(modality).collect(),
        stations: Vec::new(),
        purposes: vec![
            PurposeEntry {
                term: Purpose::deduplication(),
                title: "One person, once".to_owned(),
                text: "Your template is compared with every member's, so that nobody enrols twice, and then kept.".to_owned(),
                operations: vec![Act::Enrolment],
            },
            PurposeEntry {
                term: Purpose::verification(),
                title: "The same person as before".to_owned(),
                text: "Your template is compared with your own record when you ask for it.".to_owned(),
                operations: vec![Act::OwnVerification],
            },
        ],
        parties: Vec::new(),
        claims: Vec::new(),
        witnesses: Vec::new(),
    }
}
