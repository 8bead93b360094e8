//! Receipts: what a member keeps of one decision, complete enough that anybody can check it offline with nothing but the roster.
//!
//! The signed parts count; the consent record of ISO/IEC TS 27560 beside them ([`consent`]) says the same for people and other
//! programs, and [`Receipt::open`] refuses a receipt in which it says anything else. **Out of scope**: that the log holds the
//! entry (`tlog` proofs), where receipts lie (`cli`).

mod explain;
mod ld;
mod time;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::api::{from_base64, to_base64};
use types::consent::SignedCharter;
use types::message::{Action, Certificate, Decision, Event, Outcome, Request};
use types::roster::Roster;
use types::sign::{Message as _, Signed};
use types::{Digest, limits};

pub use explain::{Line, explain};
pub use ld::consent;
pub use time::utc;

use crate::{Charter, Error};

/// Version of [`Receipt`].
pub const VERSION: u16 = 1;

/// One decision with everything around it, as a JSON file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`VERSION`].
    pub version: u16,
    /// What was asked: [`types::message::Action::name`].
    pub kind: String,
    /// base64url of the canonical bytes of `Signed<Request>`.
    pub request: String,
    /// base64url of the canonical bytes of the [`Certificate`].
    pub certificate: String,
    /// Index of the entry in each node's log.
    pub log_index: u64,
    /// Opens the entry's commitment: [`types::TraceKey::salt`].
    pub log_salt: Digest,
    /// What the request goes back to: for a use, a narrowing or a revocation, how the grant was made; for an answer, the ask.
    /// base64url of the canonical bytes of [`Event`]. It carries the terms; without it, the record says only what the rest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Digest of the charter that was in force.
    pub charter: Digest,
    /// Its document.
    pub charter_document: String,
    /// base64url of the canonical bytes of [`SignedCharter`]; absent for the default charter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charter_signed: Option<String>,
    /// The consent receipt: ISO/IEC TS 27560 as DPV JSON-LD.
    pub consent: Value,
}

/// What a receipt is made from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The roster.
    pub roster: &'a Roster,
    /// The charter that the decision names.
    pub charter: &'a Charter,
    /// The same with its signatures; absent for the default charter.
    pub signed_charter: Option<&'a SignedCharter>,
    /// The request, by the member or by a relying party.
    pub request: &'a Signed<Request>,
    /// What was decided about it.
    pub certificate: &'a Certificate,
    /// See [`Receipt::origin`].
    pub origin: Option<&'a Event>,
    /// [`types::TraceKey::salt`] at the decision's log index.
    pub log_salt: Digest,
}

/// A receipt's parts, checked.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The request.
    pub request: Signed<Request>,
    /// The decision with its three signatures.
    pub certificate: Certificate,
    /// The charter in force.
    pub charter: Charter,
    /// See [`Receipt::origin`].
    pub origin: Option<Event>,
}

impl Receipt {
    /// Makes a receipt from parts that the caller has checked.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the parts do not belong together, or the decision is about no consent (a charter).
    pub fn new(source: &Source<'_>) -> Result<Self, Error> {
        let (request, decision) = (&source.request.message, &source.certificate.decision);
        belong_together(source.request, decision)?;
        made_under(decision, source.charter)?;
        source.origin.map_or(Ok(()), |origin| leads_to(origin, request))?;
        Ok(Self {
            version: VERSION,
            kind: request.action.name().to_owned(),
            request: to_base64(&source.request.to_bytes()),
            certificate: to_base64(&source.certificate.to_bytes()),
            log_index: decision.log_index,
            log_salt: source.log_salt,
            origin: source.origin.map(|origin| to_base64(&types::encode(origin))),
            charter: source.charter.digest(),
            charter_document: String::from_utf8_lossy(source.charter.bytes()).into_owned(),
            charter_signed: source.signed_charter.map(|signed| to_base64(&types::encode(signed))),
            consent: consent(source.charter, source.roster, request, decision, source.origin.map(|o| &o.request.message))?,
        })
    }

    /// Reads a receipt file. Checks nothing that it says: [`Self::open`].
    ///
    /// # Errors
    /// [`Error::Receipt`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Receipt { reason };
        if bytes.len() > limits::RECEIPT_BYTES {
            return Err(wrong(format!("it has more than {} bytes", limits::RECEIPT_BYTES)));
        }
        let receipt: Self = serde_json::from_slice(bytes).map_err(|error| {
            // Without the library's message, which can hold what the file says.
            wrong(format!("it is not the JSON of a receipt, line {} column {}", error.line(), error.column()))
        })?;
        match receipt.version {
            VERSION => Ok(receipt),
            got => Err(wrong(format!("it has version {got}, and this program knows version {VERSION}"))),
        }
    }

    /// The file.
    pub fn to_json(&self) -> String {
        // Maps of JSON values are sorted and every field is a plain value, so this is deterministic and cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Checks everything that needs no log: all signatures, that the parts belong together, and that the consent record says what
    /// the signed parts say.
    ///
    /// # Errors
    /// [`Error::Receipt`], [`Error::Mismatch`], and those of [`Charter::from_signed`].
    pub fn open(&self, roster: &Roster) -> Result<Opened, Error> {
        let request = Signed::<Request>::from_bytes(&decode("request", &self.request)?).map_err(unreadable)?;
        let certificate = Certificate::from_bytes(&decode("certificate", &self.certificate)?).map_err(unreadable)?;
        let charter = self.read_charter(roster)?;
        request.verify(&request.message.device).map_err(|_| mismatch("the request's signature is not valid"))?;
        certificate.verify(roster).map_err(|_| mismatch("the decision is not signed by this commons' three nodes"))?;
        let decision = &certificate.decision;
        belong_together(&request, decision)?;
        made_under(decision, &charter)?;
        let origin = self.read_origin(roster, &request.message)?;
        if self.kind != request.message.action.name() || self.log_index != decision.log_index {
            return Err(mismatch("its labels are not those of the signed parts"));
        }
        let from = origin.as_ref().map(|origin| &origin.request.message);
        if self.consent != consent(&charter, roster, &request.message, decision, from)? {
            return Err(mismatch("the consent record does not say what the signed parts say"));
        }
        Ok(Opened { request, certificate, charter, origin })
    }

    fn read_origin(&self, roster: &Roster, request: &Request) -> Result<Option<Event>, Error> {
        let Some(text) = &self.origin else { return Ok(None) };
        let limit = Request::LIMIT + Decision::LIMIT + 4 * 64;
        let origin: Event = types::decode("origin", &decode("origin", text)?, limit).map_err(unreadable)?;
        let message = &origin.request.message;
        origin.request.verify(&message.device).map_err(|_| mismatch("the origin's signature is not valid"))?;
        origin.certificate.verify(roster).map_err(|_| mismatch("the origin is not signed by this commons' three nodes"))?;
        belong_together(&origin.request, &origin.certificate.decision)?;
        leads_to(&origin, request)?;
        Ok(Some(origin))
    }

    fn read_charter(&self, roster: &Roster) -> Result<Charter, Error> {
        let charter = match &self.charter_signed {
            Some(text) => {
                let limit = limits::CHARTER_BYTES + 4 + 3 * 64;
                let signed: SignedCharter =
                    types::decode("charter", &decode("charter", text)?, limit).map_err(unreadable)?;
                Charter::from_signed(&signed, roster)?
            }
            None => Charter::default_for(roster),
        };
        match charter.digest() == self.charter && charter.bytes() == self.charter_document.as_bytes() {
            true => Ok(charter),
            false => Err(mismatch("the charter's text is not the one that was signed")),
        }
    }
}

fn belong_together(request: &Signed<Request>, decision: &Decision) -> Result<(), Error> {
    let message = &request.message;
    if decision.request != message.digest() || decision.operation != message.operation {
        return Err(mismatch("the decision is about another request"));
    }
    match decision.commons == message.commons {
        true => Ok(()),
        false => Err(mismatch("request and decision are of two commons")),
    }
}

fn made_under(decision: &Decision, charter: &Charter) -> Result<(), Error> {
    match decision.charter == charter.digest() {
        true => Ok(()),
        false => Err(mismatch("the decision was made under another charter")),
    }
}

/// A grant and an ask are named by the operation that made them: `origin` must be that operation.
fn leads_to(origin: &Event, request: &Request) -> Result<(), Error> {
    let made = origin.certificate.decision.operation;
    let outcome = &origin.certificate.decision.outcome;
    let made_grant = matches!(outcome, Outcome::Granted | Outcome::Answered { ask: Some(_), .. });
    let leads = match &request.action {
        Action::Use(usage) => made_grant && usage.grant == made.into(),
        Action::Narrow(narrowing) => made_grant && narrowing.grant == made.into(),
        Action::Revoke { grant } => made_grant && *grant == made.into(),
        Action::Answer(answer) => matches!(outcome, Outcome::Asked | Outcome::Declined { .. }) && answer.ask == made.into(),
        _ => false,
    };
    match leads && ld::terms_of(&origin.request.message).is_some() {
        true => Ok(()),
        false => Err(mismatch("the origin is not what made the grant or the ask")),
    }
}

fn decode(what: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    from_base64(what, text).map_err(unreadable)
}

fn unreadable(error: types::Error) -> Error {
    Error::Receipt { reason: error.to_string() }
}

fn mismatch(reason: &'static str) -> Error {
    Error::Mismatch { reason }
}
