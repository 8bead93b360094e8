//! What is kept of a charter's adoption: no consent, so no consent receipt, but the same proof: who asked the nodes to adopt it, what
//! all three decided, and that the three logs hold the decision.
//!
//! **Trust**: none is needed in the file. [`Adoption::check`] believes nothing but the roster's keys.

use charter::Charter;
use serde::{Deserialize, Serialize};
use types::api::{from_base64, to_base64};
use types::message::{Action, Certificate, Outcome, Request};
use types::roster::Roster;
use types::sign::{Message as _, Signed};
use types::{Digest, limits};

use crate::error::Error;
use crate::platform::Platform;
use crate::receipt::{Logged, ShownLogs, check_log};
use crate::session::{Client, Proof};
use crate::transport::Transport;

/// Version of [`Adoption`].
pub const VERSION: u16 = 1;
/// Bytes of an adoption file.
pub const ADOPTION_BYTES: usize = 2 * limits::REQUEST_BYTES + limits::LOG_EVIDENCE_BYTES;
const WHAT: &str = "proof of an adoption";

/// An adoption as it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// [`VERSION`].
    pub version: u16,
    /// Number of the charter, for people and simple programs.
    pub charter_version: u64,
    /// Its digest, likewise.
    pub charter: Digest,
    /// base64url of the canonical bytes of `Signed<Request>`, which carries the charter under the operators' signatures.
    pub request: String,
    /// base64url of the canonical bytes of the [`Certificate`].
    pub certificate: String,
    /// Opens the log entry's commitment.
    pub log_salt: Digest,
    /// That the logs hold it; absent until they have been published that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Logged>,
}

/// What an adoption that holds shows.
#[derive(Debug, Clone)]
pub struct Adopted {
    /// The rules that came into force.
    pub charter: Charter,
    /// What was decided.
    pub certificate: Certificate,
    /// Where the logs hold it; absent when there are no proofs yet.
    pub logs: Option<ShownLogs>,
}

impl Adoption {
    /// Keeps a decision to adopt a charter, without the logs' proofs.
    ///
    /// # Errors
    /// [`Error::BadFile`] when `proof` is of something else.
    pub fn new(proof: &Proof, roster: &Roster) -> Result<Self, Error> {
        let request = proof.request.as_ref().ok_or(bad("the request is not known"))?;
        let Action::Charter(signed) = &request.message.action else { return Err(bad("it is about no charter")) };
        let Outcome::CharterAdopted { version } = proof.outcome() else { return Err(bad("nothing was adopted")) };
        let adoption = Self {
            version: VERSION,
            charter_version: version,
            charter: signed.digest(),
            request: to_base64(&request.to_bytes()),
            certificate: to_base64(&proof.certificate.to_bytes()),
            log_salt: proof.salt,
            log: None,
        };
        adoption.check(roster).map(|_| adoption)
    }

    /// Reads a file; checks nothing that it says.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > ADOPTION_BYTES {
            return Err(bad("it is too large"));
        }
        let adoption: Self = serde_json::from_slice(bytes).map_err(|_| bad("it is not the JSON of one"))?;
        match adoption.version == VERSION {
            true => Ok(adoption),
            false => Err(bad("it has a version that this program does not know")),
        }
    }

    /// The file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Checks everything, offline: the operators' signatures on the charter, all three nodes' on the decision, that they belong
    /// together, and the logs' proofs if there are any.
    ///
    /// # Errors
    /// [`Error::BadFile`], [`Error::NotLogged`], [`Error::Log`].
    pub fn check(&self, roster: &Roster) -> Result<Adopted, Error> {
        let part = |text| from_base64(WHAT, text).map_err(|_| bad("a signed part is not whole"));
        let request = Signed::<Request>::from_bytes(&part(&self.request)?).map_err(|_| bad("its request cannot be read"))?;
        let certificate =
            Certificate::from_bytes(&part(&self.certificate)?).map_err(|_| bad("its certificate cannot be read"))?;
        let Action::Charter(signed) = &request.message.action else { return Err(bad("its request brings no charter")) };
        request.verify(&request.message.device).map_err(|_| bad("its request is not signed"))?;
        let charter = Charter::from_signed(signed, roster).map_err(|_| bad("its charter is not one of this commons"))?;
        certificate.verify(roster).map_err(|_| bad("its decision lacks a signature of a node"))?;
        let decision = &certificate.decision;
        let asked = (decision.operation, decision.request) == (request.message.operation, request.message.digest());
        if !asked || decision.outcome != (Outcome::CharterAdopted { version: charter.version() }) {
            return Err(bad("its decision is about something else"));
        }
        if (self.charter_version, self.charter) != (charter.version(), charter.digest()) {
            return Err(bad("it names another charter than the signed parts"));
        }
        let log = |log| check_log(log, roster, (&request.message, decision, None), self.log_salt);
        let logs = self.log.as_ref().map(log).transpose()?;
        Ok(Adopted { charter, certificate, logs })
    }
}

fn bad(reason: &'static str) -> Error {
    Error::BadFile { what: WHAT, reason }
}

impl<T: Transport, P: Platform> Client<T, P> {
    /// Adds the proofs of the three logs, each checked.
    ///
    /// # Errors
    /// As [`Client::complete`].
    pub async fn complete_adoption(&self, adoption: &Adoption) -> Result<Adoption, Error> {
        let roster = self.commons().roster();
        let index = adoption.check(roster)?.certificate.decision.log_index;
        let whole = Adoption { log: Some(self.logged(index).await?), ..adoption.clone() };
        whole.check(roster).map(|_| whole)
    }
}
