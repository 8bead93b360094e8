//! The conversation with three nodes: ask all at once, compare, and ask again when answers were lost.
//!
//! One valid certificate proves what all three nodes decided. The others are still waited for, for a moment: they must be
//! equal, and a member wants to know which node sends nonsense.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures_util::future::{Either, join3, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use types::api::{CharterBody, CommonsBody};
use types::message::{Action, Certificate, MemberStatement, Outcome, RecordStatement, Request, Statement};
use types::roster::Roster;
use types::sign::{Signed, public_key};
use types::{DeviceKey, Digest, NodeId, OperationId, ProfileId, TraceKey, limits};

use crate::answer::{Expected, Reply, decision, judge, statement};
use crate::error::{Complaint, Error, Fault};
use crate::platform::Platform;
use crate::receipt::NO_SALT;
use crate::request::{Commons, Prepared, Question, Sample, Template, prepare_as, trace_key};
use crate::rules::{InForce, check_charter};
use crate::tally::Tally;
use crate::transport::{Answer, Call, Silence, Transport};

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Seconds a request lives; until then lost answers are asked for again.
    pub lifetime_s: u64,
    /// How long to wait for the other nodes' answers once one certificate is there.
    pub grace: Duration,
    /// First pause before asking again; doubles up to [`Self::last_pause`].
    pub first_pause: Duration,
    /// Longest pause.
    pub last_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (first_pause, last_pause) = (Duration::from_millis(250), Duration::from_secs(5));
        Self { lifetime_s: 120, grace: Duration::from_secs(3), first_pause, last_pause }
    }
}

/// A proven decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What was decided, under three signatures. Worth keeping.
    pub certificate: Certificate,
    /// What was asked; not known for an operation of an earlier run.
    pub request: Option<Signed<Request>>,
    /// Opens the commitment of the decision's log entry, if the entry concerns who asked: [`types::TraceKey::salt`].
    pub salt: Digest,
    /// Nodes that gave no answer in time; the certificate stands without them.
    pub silent: Vec<NodeId>,
    /// Nodes whose answer was not valid; the certificate stands, the operator should hear of it.
    pub complaints: Vec<Complaint>,
}

impl Proof {
    /// What was decided.
    pub fn outcome(&self) -> Outcome {
        self.certificate.decision.outcome
    }
}

/// A raised shield: what each node says of it, and the joint decision if it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Shield {
    /// A node whose statement is here has its shield up; an error is the reason why it is not known.
    pub statements: Statements,
    /// The decision that all three signed and logged; it may follow later, as an event.
    pub proof: Option<Proof>,
}

/// What each node states, in the order of the nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Statements {
    /// One verified statement or the reason why there is none, for nodes 1, 2, 3.
    pub nodes: [Result<Statement, Error>; 3],
}

impl Statements {
    /// The verified statements.
    pub fn valid(&self) -> impl Iterator<Item = &Statement> {
        self.nodes.iter().filter_map(|node| node.as_ref().ok())
    }
    /// The first error, for callers who need all three.
    ///
    /// # Errors
    /// Why a node's statement is missing.
    pub fn all(&self) -> Result<[&Statement; 3], Error> {
        match &self.nodes {
            [Ok(one), Ok(two), Ok(three)] => Ok([one, two, three]),
            nodes => Err(nodes.iter().find_map(|node| node.as_ref().err()).cloned().unwrap_or(Error::Http)),
        }
    }
    /// Whether the nodes that answered say the same of the member (a node may be a batch behind for a moment).
    pub fn agree(&self) -> bool {
        let key = |statement: &Statement| {
            let records = |m: &MemberStatement| m.records.iter().map(RecordKey::of).collect::<Vec<_>>();
            let grants = |m: &MemberStatement| m.grants.clone();
            statement.member.as_ref().map(|member| (member.member, records(member), member.shield.is_some(), grants(member)))
        };
        let mut keys = self.valid().map(key);
        let first = keys.next();
        keys.all(|other| Some(other) == first)
    }
    /// What all three nodes say alike; `None` when they differ or one says nothing.
    pub fn agreed<'s, V: PartialEq>(&'s self, pick: impl Fn(&'s Statement) -> V) -> Option<V> {
        let [one, two, three] = self.all().ok()?.map(pick);
        (one == two && two == three).then_some(one)
    }
    /// Whether any node states that the asking device belongs to a member with a record of `profile` (or any record).
    pub fn has_record(&self, profile: Option<&ProfileId>) -> bool {
        let wanted = |record: &RecordStatement| profile.is_none_or(|id| record.profile == *id);
        self.valid().filter_map(|s| s.member.as_ref()).any(|m| m.records.iter().any(wanted))
    }
}

#[derive(PartialEq)]
struct RecordKey(ProfileId, u64, u64);

impl RecordKey {
    fn of(record: &RecordStatement) -> Self {
        Self(record.profile.clone(), record.batch, record.share_bytes)
    }
}

/// A client of one commons. Cheap to share by reference; every call signs with the device key it is given.
pub struct Client<T, P> {
    commons: Commons,
    transport: T,
    platform: P,
    patience: Patience,
    /// The charter in force, once asked for.
    rules: RwLock<Option<Arc<InForce>>>,
    /// The trace key of a member whose device came by recovery.
    inherited: RwLock<Option<(DeviceKey, TraceKey)>>,
}

impl<T: Transport, P: Platform> Client<T, P> {
    /// A client of the commons of `roster`.
    ///
    /// # Errors
    /// [`Error::Types`] with what to change in the roster.
    pub fn new(roster: Roster, transport: T, platform: P) -> Result<Self, Error> {
        Ok(Self {
            commons: Commons::new(roster)?,
            transport,
            platform,
            patience: Patience::default(),
            rules: RwLock::new(None),
            inherited: RwLock::new(None),
        })
    }
    /// The same with other waiting times.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }
    /// The commons.
    pub fn commons(&self) -> &Commons {
        &self.commons
    }
    /// How long it waits.
    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }
    /// The platform.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// From now on `device` speaks for a member whose first device it is not: [`types::recovery::Released::trace`].
    pub fn inherit(&self, device: DeviceKey, trace: TraceKey) {
        *self.inherited.write().unwrap_or_else(PoisonError::into_inner) = Some((device, trace));
    }
    /// The trace key of the member of `device`: inherited, or the device's own.
    pub fn trace(&self, device: &SigningKey) -> TraceKey {
        self.inherited_by(device).unwrap_or_else(|| trace_key(device))
    }
    /// The key that `device` inherited.
    pub(crate) fn inherited_by(&self, device: &SigningKey) -> Option<TraceKey> {
        let inherited = self.inherited.read().unwrap_or_else(PoisonError::into_inner);
        inherited.as_ref().filter(|(known, _)| *known == public_key(device)).map(|(_, trace)| trace.clone())
    }

    pub(crate) fn transport(&self) -> &T {
        &self.transport
    }

    /// The charter in force: asked of all three nodes once, and again after a node has said that it changed.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Misbehaved`]; [`Error::ChartersDiffer`].
    pub async fn charter(&self) -> Result<Arc<InForce>, Error> {
        if let Some(rules) = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(rules);
        }
        let mut pause = self.patience.first_pause;
        // A moment after an adoption one node may still name the charter before.
        for again in [true, true, false] {
            match self.ask_charter().await {
                Err(Error::ChartersDiffer { .. }) if again => {
                    self.platform.sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error),
                Ok(rules) => {
                    let rules = Arc::new(rules);
                    *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Some(rules.clone());
                    return Ok(rules);
                }
            }
        }
        Err(Error::Http)
    }

    /// Forgets the charter, so that the next call asks for it again.
    pub fn forget_charter(&self) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn ask_charter(&self) -> Result<InForce, Error> {
        let roster = self.commons.roster();
        let ask = async |node| {
            let answer = self.transport.call(node, Call::Charter, None).await;
            match judge(answer, |body: CharterBody| check_charter(roster, &body)) {
                Reply::Valid(rules) => Ok(rules),
                Reply::Invalid(fault) => Err(Error::Misbehaved { complaint: Complaint { node, fault } }),
                _ => Err(Error::Unavailable { nodes: vec![node] }),
            }
        };
        let [one, two, three] = NodeId::ALL;
        let (one, two, three) = join3(ask(one), ask(two), ask(three)).await;
        let said = unanimous([one, two, three])?;
        let [one, two, three] = said;
        if one.digest() == two.digest() && two.digest() == three.digest() {
            return Ok(one);
        }
        let version =
            |rules: &InForce| (rules.charter.version(), rules.digest().to_hex().get(..16).unwrap_or_default().to_owned());
        Err(Error::ChartersDiffer { versions: [version(&one), version(&two), version(&three)] })
    }

    /// Enrols `values` (a quantised template of `profile`) under consent to deduplication. The outcome is enrolled, duplicate
    /// or invalid template.
    ///
    /// # Errors
    /// Every [`Error`]; after [`Error::Undecided`] ask [`Self::status`].
    pub async fn enrol(&self, device: &SigningKey, template: Template<'_>, note: &str) -> Result<Proof, Error> {
        self.settle(device, Question::Enrol(Sample::new(template, note))).await
    }
    /// Compares `values` with the member's own record, under consent to verification.
    ///
    /// # Errors
    /// As [`Self::enrol`].
    pub async fn verify(&self, device: &SigningKey, template: Template<'_>, note: &str) -> Result<Proof, Error> {
        self.settle(device, Question::Verify(Sample::new(template, note))).await
    }
    /// Erases the member's record of `profile`, or everything, on all three nodes.
    ///
    /// # Errors
    /// As [`Self::enrol`].
    pub async fn withdraw(&self, device: &SigningKey, profile: Option<ProfileId>) -> Result<Proof, Error> {
        self.settle(device, Question::Withdraw(profile)).await
    }
    /// Asks for what all three nodes decide together, and returns the proven decision.
    ///
    /// # Errors
    /// As [`Self::enrol`].
    pub async fn settle(&self, device: &SigningKey, question: Question<'_>) -> Result<Proof, Error> {
        self.decide(self.prepare(device, question).await?, device).await
    }
    /// What each node knows of the member of `device`.
    ///
    /// # Errors
    /// When the request cannot be made. What goes wrong with a node is in its place of the answer.
    pub async fn status(&self, device: &SigningKey) -> Result<Statements, Error> {
        self.tell(device, Question::Status).await
    }
    /// What each node stores about the member of `device`, with a sample of the stored bytes.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub async fn inspect(&self, device: &SigningKey) -> Result<Statements, Error> {
        self.tell(device, Question::Inspect).await
    }
    /// Asks what each node answers for itself.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub async fn tell(&self, device: &SigningKey, question: Question<'_>) -> Result<Statements, Error> {
        Ok(self.state(&self.prepare(device, question).await?).await)
    }
    /// The decision on an earlier operation of this device, if the nodes know one.
    ///
    /// # Errors
    /// As [`Self::enrol`].
    pub async fn outcome(&self, device: &SigningKey, operation: OperationId) -> Result<Option<Proof>, Error> {
        let mut tally = Tally::new(operation);
        let expected = Expected { operation, request: None, subject: None };
        self.ask_outcome(device, &expected, &mut tally).await?;
        match tally.certificate() {
            Some(_) => self.conclude(&tally, device, None).map(Some),
            None if tally.silent().is_empty() && tally.complaints().is_empty() => Ok(None),
            None => Err(tally.verdict()),
        }
    }
    /// Pulls the cord: one signed act, sent to all three nodes at once. Each applies it by itself, so a node that does not answer
    /// stops nobody; what it missed it learns from the other two before it serves again. Needs no charter and no other answer.
    ///
    /// # Errors
    /// [`Error::NoRandomness`]. What goes wrong with a node is in its place of the answer.
    pub async fn shield_up(&self, device: &SigningKey) -> Result<Shield, Error> {
        let prepared = self.prepare(device, Question::ShieldUp).await?;
        let mut statements = self.state(&prepared).await;
        for (node, statement) in NodeId::ALL.into_iter().zip(&mut statements.nodes) {
            let up = |statement: &Statement| statement.member.as_ref().is_some_and(|member| member.shield.is_some());
            if statement.as_ref().is_ok_and(|statement| !up(statement)) {
                *statement = Err(Error::Misbehaved { complaint: Complaint { node, fault: Fault::WrongOutcome } });
            }
        }
        let proof = self.decided_since(&prepared, device, &statements).await?;
        Ok(Shield { statements, proof })
    }

    /// The joint decision on what each node has already done by itself, if it comes within the grace time.
    async fn decided_since(
        &self,
        prepared: &Prepared,
        device: &SigningKey,
        statements: &Statements,
    ) -> Result<Option<Proof>, Error> {
        // A decision needs all three: without one of them there is nothing to wait for.
        if statements.all().is_err() {
            return Ok(None);
        }
        let expected = Expected::of(prepared);
        let mut tally = Tally::new(expected.operation);
        let (mut pause, mut waited) = (self.patience.first_pause / 4, Duration::ZERO);
        while waited < self.patience.grace {
            self.ask_outcome(device, &expected, &mut tally).await?;
            if tally.certificate().is_some() {
                return self.conclude(&tally, device, Some(prepared)).map(Some);
            }
            self.platform.sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(self.patience.last_pause);
        }
        Ok(None)
    }

    /// Public facts of each node; not signed, for people.
    pub async fn public_facts(&self) -> [Result<CommonsBody, Error>; 3] {
        let ask = async |node| {
            let answer = self.transport.call(node, Call::Commons, None).await;
            let lie = |fault| Error::Misbehaved { complaint: Complaint { node, fault } };
            match answer {
                Ok(Answer { status: 200, body }) => serde_json::from_slice(&body).map_err(|_| lie(Fault::Malformed)),
                Ok(_) | Err(Silence::Unreached | Silence::Lost) => Err(Error::Unavailable { nodes: vec![node] }),
                Err(Silence::WrongKey) => Err(lie(Fault::WrongKey)),
                Err(Silence::TooLarge) => Err(lie(Fault::TooLarge)),
            }
        };
        let [one, two, three] = NodeId::ALL;
        let (one, two, three) = join3(ask(one), ask(two), ask(three)).await;
        [one, two, three]
    }

    /// Signs `question` now, with fresh randomness, under the charter in force where it names one.
    ///
    /// # Errors
    /// As `request::prepare`, and [`Self::charter`].
    pub async fn prepare(&self, device: &SigningKey, question: Question<'_>) -> Result<Prepared, Error> {
        let charter = if question.names_charter() { self.charter().await?.digest() } else { Digest([0; 32]) };
        let seed = self.platform.random()?;
        let signer = (device, self.trace(device));
        prepare_as(&self.commons, charter, signer, question, self.platform.now(), self.patience.lifetime_s, &seed)
    }

    /// Sends an operation to all three nodes and returns the proven decision.
    ///
    /// # Errors
    /// As [`Self::enrol`].
    pub async fn decide(&self, mut prepared: Prepared, device: &SigningKey) -> Result<Proof, Error> {
        let bodies = std::mem::take(&mut prepared.bodies);
        let expected = Expected::of(&prepared);
        let mut tally = Tally::new(expected.operation);
        self.ask(prepared.call, bodies, &expected, &mut tally).await?;
        if tally.certificate().is_some() {
            return self.conclude(&tally, device, Some(&prepared));
        }
        // A decision needs all three: one node's "no" or "not now" settles it.
        if let Some(error) = tally.never_taken_up() {
            if matches!(&error, Error::Refused { code, .. } if code == "charter-changed") {
                self.forget_charter();
            }
            return Err(error);
        }
        // Otherwise ask for the outcome: once where every answer says that nothing was decided (a node that was cut off after it
        // had voted learns it later), and as long as the request lives where an answer was lost.
        let settled = (!tally.may_be_decided()).then(|| tally.verdict());
        let mut pause = self.patience.first_pause;
        loop {
            self.ask_outcome(device, &expected, &mut tally).await?;
            if tally.certificate().is_some() {
                return self.conclude(&tally, device, Some(&prepared));
            }
            if let Some(error) = settled {
                return Err(error);
            }
            if self.platform.now() > prepared.request().expires_at.saturating_add(limits::CLOCK_SKEW_S) {
                return Err(self.gave_up(&tally, &expected));
            }
            self.platform.sleep(pause).await;
            pause = (pause * 2).min(self.patience.last_pause);
        }
    }

    fn gave_up(&self, tally: &Tally, expected: &Expected<'_>) -> Error {
        match tally.complaints().first() {
            Some(complaint) => Error::Misbehaved { complaint: *complaint },
            None => Error::Undecided { operation: expected.operation, silent: tally.silent() },
        }
    }

    fn conclude(&self, tally: &Tally, device: &SigningKey, prepared: Option<&Prepared>) -> Result<Proof, Error> {
        let certificate = tally.certificate().cloned().ok_or(Error::Http)?;
        Ok(Proof {
            request: prepared.map(|prepared| prepared.signed.clone()),
            salt: self.salt(device, prepared, certificate.decision.log_index),
            certificate,
            silent: tally.silent(),
            complaints: tally.complaints().to_vec(),
        })
    }

    /// Before a device is the member's, the entry about it is marked with a key that it does not know yet.
    fn salt(&self, device: &SigningKey, prepared: Option<&Prepared>, index: u64) -> Digest {
        let action = prepared.map(|prepared| &prepared.request().action);
        let stranger = matches!(action, Some(Action::StartRecovery(_) | Action::FinishRecovery { .. }));
        match self.inherited_by(device) {
            None if stranger => NO_SALT,
            _ => self.trace(device).salt(index),
        }
    }

    async fn ask_outcome(&self, device: &SigningKey, expected: &Expected<'_>, tally: &mut Tally) -> Result<(), Error> {
        let question = self.prepare(device, Question::Outcome(expected.operation)).await?;
        self.ask(Call::Outcome, question.bodies, expected, tally).await
    }

    /// Posts to all three nodes at once; once one certificate is there, the others have the grace time.
    async fn ask(&self, call: Call, bodies: [Vec<u8>; 3], expected: &Expected<'_>, tally: &mut Tally) -> Result<(), Error> {
        let mut calls: FuturesUnordered<_> = NodeId::ALL
            .into_iter()
            .zip(bodies)
            .map(|(node, body)| async move { (node, self.transport.call(node, call, Some(body)).await) })
            .collect();
        let mut grace = None;
        loop {
            let next = match &mut grace {
                None => calls.next().await,
                Some(grace) => match select(calls.next(), grace).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => None,
                },
            };
            let Some((node, answer)) = next else { return Ok(()) };
            let roster = self.commons.roster();
            let reply = decision(roster, expected, answer, tally.certificate(), self.platform.now());
            tally.add(node, reply)?;
            if tally.certificate().is_some() && grace.is_none() {
                grace = Some(self.platform.sleep(self.patience.grace));
            }
        }
    }

    /// Asks all three nodes for their statement.
    async fn state(&self, prepared: &Prepared) -> Statements {
        let bodies = prepared.bodies.clone();
        let ask = async |node: NodeId, body: Vec<u8>| {
            let answer = self.transport.call(node, prepared.call, Some(body)).await;
            let reply = statement(self.commons.roster(), node, prepared, answer, self.platform.now());
            match reply {
                Reply::Valid(statement) => Ok(statement),
                Reply::Invalid(fault) => Err(Error::Misbehaved { complaint: Complaint { node, fault } }),
                Reply::Later { code, detail } => Err(Error::TryAgain { node, code, detail }),
                Reply::Refused { code, detail } => Err(Error::Refused { node, code, detail }),
                Reply::NotFound | Reply::Unavailable(_) | Reply::Unreached | Reply::Lost => {
                    Err(Error::Unavailable { nodes: vec![node] })
                }
            }
        };
        let ([one, two, three], [a, b, c]) = (NodeId::ALL, bodies);
        let (one, two, three) = join3(ask(one, a), ask(two, b), ask(three, c)).await;
        Statements { nodes: [one, two, three] }
    }
}

/// All three, or the error that weighs most: a lie before a silence, and all silent nodes together.
pub(crate) fn unanimous<T>(nodes: [Result<T, Error>; 3]) -> Result<[T; 3], Error> {
    match nodes {
        [Ok(one), Ok(two), Ok(three)] => Ok([one, two, three]),
        nodes => {
            let mut silent = Vec::new();
            let mut other = None;
            for error in nodes.into_iter().filter_map(Result::err) {
                match error {
                    Error::Unavailable { nodes } => silent.extend(nodes),
                    lie @ Error::Misbehaved { .. } => return Err(lie),
                    error => drop(other.get_or_insert(error)),
                }
            }
            Err(other.unwrap_or(Error::Unavailable { nodes: silent }))
        }
    }
}
