//! A relying party's side: its key, and how it hears of a member's answer.
//!
//! A relying party is a machine that serves people, so its key lies in a file that only its owner may read, without a
//! passphrase. Who steals it can ask in the party's name, and use its grants, until the operators adopt a charter with another key;
//! every such use is logged and shown to the member whom it concerns.

use ed25519_dalek::SigningKey;
use futures_util::future::join3;
use types::api::{DecisionBody, from_base64, to_base64};
use types::message::{Certificate, Outcome};
use types::sign::public_key;
use types::{AskId, DeviceKey, Digest, NodeId, OperationId, PartyId};
use zeroize::Zeroizing;

use crate::answer::{Reply, fault, judge};
use crate::error::{Complaint, Error, Fault};
use crate::platform::Platform;
use crate::request::{Question, trace_key};
use crate::session::{Client, Proof};
use crate::transport::{Call, Transport};

const FIRST_LINE: &str = "trust-commons machine key 1";
const WHAT: &str = "key file of a relying party or a station";

/// The signing key of a relying party (or of a capture station, which is a machine as well), with its short name.
pub struct PartyKey {
    /// Short name.
    pub id: PartyId,
    key: SigningKey,
}

impl std::fmt::Debug for PartyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartyKey({}, <redacted>)", self.id)
    }
}

impl PartyKey {
    /// From 32 fresh random bytes.
    pub fn from_random(id: PartyId, random: &[u8; 32]) -> Self {
        let secret = Zeroizing::new(Digest::of("trust-commons/v1/party-key", &[random]).0);
        Self { id, key: SigningKey::from_bytes(&secret) }
    }
    /// Signs asks and uses.
    pub fn signing(&self) -> &SigningKey {
        &self.key
    }
    /// What the charter lists.
    pub fn public(&self) -> DeviceKey {
        public_key(&self.key)
    }
    /// The file's text: a first line, the name, the secret key.
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(self.key.to_bytes());
        let secret = Zeroizing::new(to_base64(&*secret));
        Zeroizing::new(format!("{FIRST_LINE}\n{}\n{}\n", self.id, *secret))
    }
    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let bad = |reason| Error::BadFile { what: WHAT, reason };
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(bad("it does not begin like one"));
        }
        let (Some(id), Some(secret), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(bad("it has not three lines"));
        };
        let id = PartyId::new(id).map_err(|_| bad("its second line is no name"))?;
        let secret = Zeroizing::new(from_base64(WHAT, secret).map_err(|_| bad("its third line is no key"))?);
        let secret: &[u8; 32] = secret.as_slice().try_into().map_err(|_| bad("its third line is no key"))?;
        Ok(Self { id, key: SigningKey::from_bytes(secret) })
    }
}

/// What became of an ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// Nobody has answered yet.
    Waiting,
    /// The decision: an answer, or a refusal.
    Done(Box<Proof>),
}

impl<T: Transport, P: Platform> Client<T, P> {
    /// What became of an ask of the relying party that holds `key`. An answer counts with three signatures; that nobody answered
    /// counts when all three nodes say so.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Misbehaved`], [`Error::Contradiction`], [`Error::Refused`] for an ask that the nodes do
    /// not know as this party's.
    pub async fn answer_to(&self, key: &SigningKey, ask: AskId) -> Result<Answered, Error> {
        let prepared = self.prepare(key, Question::Outcome(OperationId(ask.0))).await?;
        let roster = self.commons().roster();
        let call = async |node: NodeId, body: &[u8]| {
            let answer = self.transport().call(node, Call::Outcome, Some(body.to_vec())).await;
            judge(answer, |body: DecisionBody| {
                let bytes = from_base64("certificate", &body.certificate).map_err(|_| Fault::Malformed)?;
                let certificate = Certificate::from_bytes(&bytes).map_err(fault)?;
                certificate.verify(roster).map_err(fault)?;
                if is_about(&certificate, ask) { Ok(certificate) } else { Err(Fault::OtherRequest) }
            })
        };
        let ([one, two, three], [a, b, c]) = (NodeId::ALL, &prepared.bodies);
        let (one, two, three) = join3(call(one, a), call(two, b), call(three, c)).await;
        self.judge_answers(key, ask, [one, two, three])
    }

    fn judge_answers(&self, key: &SigningKey, ask: AskId, replies: [Reply<Certificate>; 3]) -> Result<Answered, Error> {
        let operation = OperationId(ask.0);
        let (mut done, mut waiting, mut silent, mut complaints): (Option<(NodeId, Certificate)>, _, _, _) =
            (None, 0, Vec::new(), Vec::new());
        let mut refused = None;
        for (node, reply) in NodeId::ALL.into_iter().zip(replies) {
            match reply {
                Reply::Valid(certificate) if certificate.decision.outcome == Outcome::Asked => waiting += 1,
                Reply::Valid(certificate) => match &done {
                    Some((one, first)) if *first != certificate => {
                        return Err(Error::Contradiction { one: *one, other: node, operation });
                    }
                    _ => done = Some((node, certificate)),
                },
                Reply::Invalid(fault) => complaints.push(Complaint { node, fault }),
                Reply::Refused { code, detail } => refused = Some(Error::Refused { node, code, detail }),
                Reply::NotFound => {
                    let detail = "this node knows no such ask of yours; check the id and the key".to_owned();
                    refused = Some(Error::Refused { node, code: "not-found".to_owned(), detail });
                }
                _ => silent.push(node),
            }
        }
        if let Some((_, certificate)) = done {
            let salt = trace_key(key).salt(certificate.decision.log_index);
            return Ok(Answered::Done(Box::new(Proof { certificate, request: None, salt, silent, complaints })));
        }
        match (waiting, complaints.first(), refused) {
            (3, _, _) => Ok(Answered::Waiting),
            (_, Some(complaint), _) => Err(Error::Misbehaved { complaint: *complaint }),
            (_, None, Some(refused)) => Err(refused),
            _ => Err(Error::Unavailable { nodes: silent }),
        }
    }
}

/// The decision on the ask itself, or on a member's answer to it.
fn is_about(certificate: &Certificate, asked: AskId) -> bool {
    let decision = &certificate.decision;
    match decision.outcome {
        Outcome::Asked => AskId::from(decision.operation) == asked,
        Outcome::Declined { ask } => ask == asked,
        Outcome::Answered { ask, .. } => ask == Some(asked),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_back_and_a_damaged_one_is_not() {
        let key = PartyKey::from_random(PartyId::new("river-clinic").unwrap(), &[7; 32]);
        let text = key.to_text();
        let again = PartyKey::from_text(&text).unwrap();
        assert_eq!((again.id.as_str(), again.public()), ("river-clinic", key.public()));
        assert!(!format!("{key:?}").contains(text.lines().nth(2).unwrap()));
        for (from, to) in [("key 1", "key 2"), ("river-clinic", "River"), ("\n", "\n\n")] {
            assert!(matches!(PartyKey::from_text(&text.replacen(from, to, 1)), Err(Error::BadFile { .. })), "{from}");
        }
        let short = text.trim_end().trim_end_matches(|c: char| c != '\n').to_owned() + "AAAA\n";
        assert!(matches!(PartyKey::from_text(&short), Err(Error::BadFile { .. })));
    }
}
