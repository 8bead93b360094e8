//! Three nodes in memory with real keys, which answer honestly unless told to lie.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use charter::Charter;
use client::guardian::release_key;
use client::platform::Pending;
use client::transport::{Answer, Call, Silence};
use client::{Error, Platform, Transport};
use credential::{Attribute, Attributes, Epoch, Fresh, IssuerName, MemberSecret};
use ed25519_dalek::SigningKey;
use tlog::merkle::leaf_hash;
use tlog::tile::{Resource, encode_bundle};
use tlog::{AddCheckpoint, Appender, Checkpoint, Reply, SignedCheckpoint, Tile, Tree, Verdict, Witness};
use types::api::{CharterBody, DecisionBody, Problem, RequestBody, StatementBody, from_base64, to_base64};
use types::message::{
    Action, Certificate, Decision, Event, MemberStatement, Outcome, RecordStatement, Request, Statement, VERSION,
};
use types::persona::Issued;
use types::profile::Profile;
use types::recovery::Released;
use types::roster::{Roster, RosterNode};
use types::seal::{INSPECTION, RELEASE, SHARE, SealKey, open, seal};
use types::share::SamplePackage;
use types::sign::{Signed, public_key, sign};
use types::{Digest, MemberId, NodeId, OperationId, ProfileId};

pub(crate) const NOW: u64 = 1_750_000_000;
const PROFILE: &str = "id = 'vector-8'\nversion = 1\nmodality = 'face'\ndescription = 'd'\n[matching]\nkind = 'embedding'\n\
    dimensions = 8\nscale = 100\nclamp = 64\ncosine_threshold = 0.4\nnorm_min = 0.9\nnorm_max = 1.05\n";

/// One way in which a node can fail or lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each test file uses some")]
pub(crate) enum Lie {
    None,
    Unreached,
    LoseFirstAnswer,
    LoseEveryAnswer,
    WrongSignature,
    TwoSignatures,
    OtherOperation,
    OtherRequest,
    OtherCommons,
    OtherOutcome,
    /// Another charter in force, well signed.
    OtherCharter,
    /// Does not say which charter is in force.
    NoCharter,
    /// A charter whose signatures are not good.
    ForgedCharter,
    /// A charter whose text is not the signed one.
    AlteredCharter,
    /// Decides under another charter than was consented to.
    DecidesUnderOther,
    /// Leaves the last event out.
    HidesEvent,
    /// An event whose request nobody signed.
    MakesUpEvent,
    /// Serves another entry than its tree holds.
    LogOtherEntry,
    /// Signs another root than its tree's, and has it witnessed.
    LogOtherRoot,
    /// Serves a checkpoint that nobody cosigned.
    LogUnwitnessed,
    /// Serves a tile with a changed hash.
    LogForgedTile,
    /// Serves the next node's checkpoint as its own.
    LogOfAnotherNode,
    /// Keeps a whole log of its own, well witnessed.
    LogFork,
    /// Has not done yet what the others have, and refuses to release for a second.
    Behind,
    /// Says that the shield is not up.
    KeepsShieldDown,
    /// Writes a value of its own into the member's credential, and signs it.
    MarksMember,
    /// Leaves out what is vouched for about the member.
    DropsClaims,
    /// Says another day of admission, and signs it.
    AnotherAdmission,
    /// Signs for another commons, or under rules that are not in force.
    AnotherCommunity,
    AnotherVersion,
    /// Signs for another epoch than was asked for.
    AnotherEpoch,
    /// Signs over somebody else's secret.
    AnotherSecret,
    /// Signs with another key than the roster's.
    AnotherIssuerKey,
    /// Answers without a signature.
    IssuesNothing,
    /// Says that the membership is bound to another secret.
    BoundElsewhere,
    Contradict,
    OtherNode,
    Stale,
    FromTheFuture,
    NotSealedToUs,
    NotJson,
    TooLarge,
    WrongTlsKey,
    NewerVersion,
    Unavailable,
    Refuse,
    Busy,
    ServerError,
}

pub(crate) struct Fake {
    pub(crate) keys: [SigningKey; 3],
    pub(crate) seals: [SealKey; 3],
    pub(crate) roster: Roster,
    pub(crate) outcome: Outcome,
    pub(crate) lies: [Lie; 3],
    pub(crate) member: bool,
    /// To which secret the membership is bound.
    pub(crate) bound: Option<credential::Commitment>,
    pub(crate) calls: Mutex<Vec<(NodeId, Call)>>,
    pub(crate) decided: Mutex<HashMap<OperationId, (Digest, Outcome)>>,
    pub(crate) clock: AtomicU64,
    pub(crate) charter: Charter,
    pub(crate) signed: Option<types::consent::SignedCharter>,
    pub(crate) events: Vec<Event>,
    /// What the logs hold.
    pub(crate) entries: Vec<Vec<u8>>,
}

/// Who asks in these tests.
pub(crate) fn device() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

/// Signs credentials of a node.
pub(crate) fn issuer_key(node: NodeId) -> credential::IssuerKey {
    credential::IssuerKey::from_material([200 + node.number(); 32])
}

impl Fake {
    pub(crate) fn new(outcome: Outcome, lies: [Lie; 3]) -> Self {
        let keys = [1, 2, 3].map(|n| SigningKey::from_bytes(&[n; 32]));
        let seals = [4, 5, 6].map(|n| SealKey::from_random(&[n; 32]));
        let node = |id: NodeId| RosterNode {
            id,
            operator: format!("operator {id}"),
            url: format!("https://node{id}.example"),
            peer_address: format!("node{id}.example:7000"),
            signing_key: public_key(&keys[id.index()]),
            log_key: public_key(&SigningKey::from_bytes(&[100 + id.number(); 32])),
            seal_key: Digest(seals[id.index()].public().unwrap()),
            issuer_key: issuer_key(id).public(),
            tls_key: Digest([10 + id.number(); 32]),
        };
        let profiles = vec![Profile::from_toml(PROFILE).unwrap()];
        let roster = Roster {
            version: types::roster::VERSION,
            commons: "test".to_owned(),
            throw_away: true,
            epochs: types::Epochs::DAILY,
            successions: Vec::new(),
            additions: Vec::new(),
            nodes: NodeId::ALL.map(node).to_vec(),
            profiles,
        };
        let (calls, decided, clock) = (Mutex::default(), Mutex::default(), AtomicU64::new(NOW));
        let charter = Charter::default_for(&roster);
        let (signed, events, entries) = (None, Vec::new(), Vec::new());
        let (member, bound) = (true, None);
        Self { keys, seals, roster, outcome, lies, member, bound, calls, decided, clock, charter, signed, events, entries }
    }

    #[allow(dead_code, reason = "each test file uses some")]
    /// Adopts the next charter, changed by `change`.
    pub(crate) fn adopt(&mut self, change: impl FnOnce(&mut charter::Document)) {
        let (charter, signed) = self.next_charter(change);
        (self.charter, self.signed) = (charter, Some(signed));
    }

    fn next_charter(&self, change: impl FnOnce(&mut charter::Document)) -> (Charter, types::consent::SignedCharter) {
        let mut document = self.charter.document().clone();
        document.version += 1;
        document.previous = self.charter.digest();
        change(&mut document);
        let charter = Charter::new(document, &self.roster).unwrap();
        let text = types::consent::CharterDocument(charter.bytes().to_vec());
        let signatures = [0, 1, 2].map(|i| sign(&text, &self.keys[i]));
        (charter.clone(), types::consent::SignedCharter { document: charter.bytes().to_vec(), signatures })
    }

    /// What the log of `node` serves.
    fn log_answer(&self, node: NodeId, lie: Lie, resource: Resource) -> Answer {
        let mut entries = self.entries.clone();
        if let (Lie::LogFork, Some(first)) = (lie, entries.first_mut()) {
            let last = first.len() - 1;
            first[last] ^= 1;
        }
        let mut tree = Appender::new();
        for entry in &entries {
            tree.append(leaf_hash(entry));
        }
        let tiles: BTreeMap<Tile, Vec<u8>> = tree.take_tiles().into_iter().collect();
        let body = match resource {
            Resource::Checkpoint => self.checkpoint(node, lie, &tree, &tiles),
            Resource::Tile(tile) => {
                let mut bytes = tiles.get(&tile).unwrap().clone();
                if lie == Lie::LogForgedTile {
                    bytes.iter_mut().for_each(|byte| *byte ^= 1);
                }
                bytes
            }
            Resource::Entries(bundle) => {
                if lie == Lie::LogOtherEntry {
                    let last = entries[0].len() - 1;
                    entries[0][last] ^= 1;
                }
                let from = usize::try_from(bundle.first()).unwrap();
                encode_bundle(&entries[from..from + usize::from(bundle.width())]).unwrap()
            }
        };
        Answer { status: 200, body }
    }

    fn checkpoint(&self, node: NodeId, lie: Lie, tree: &Appender, tiles: &BTreeMap<Tile, Vec<u8>>) -> Vec<u8> {
        let of = if lie == Lie::LogOfAnotherNode { node.next() } else { node };
        let log_key = |node: NodeId| SigningKey::from_bytes(&[100 + node.number(); 32]);
        let root = if lie == Lie::LogOtherRoot { Digest([5; 32]) } else { tree.root() };
        let next = Checkpoint { origin: tlog::checkpoint::origin(&self.roster, of), size: tree.size(), root };
        let mut signed = SignedCheckpoint::sign_unchecked(&next, &log_key(of)).unwrap();
        let public = tlog::checkpoint::log_key(&self.roster, of).unwrap();
        for witness in NodeId::ALL.into_iter().filter(|witness| *witness != of && lie != Lie::LogUnwitnessed) {
            let name = tlog::checkpoint::witness_name(&self.roster, witness);
            let request = AddCheckpoint::make(&Tree::new(tree.size(), tiles), 0, signed.clone()).unwrap();
            let at = self.clock.load(Ordering::Relaxed);
            let verdict = Witness::new(name, vec![public.clone()]).consider(&request, None, at, &log_key(witness));
            let Verdict::Accept { reply, .. } = verdict else { panic!("the witness refuses") };
            let key = tlog::checkpoint::witness_key(&self.roster, witness).unwrap();
            let reply = Reply::parse(200, reply.as_bytes(), &signed, &key).unwrap();
            let Reply::Cosigned { line, .. } = reply else { panic!("no cosignature") };
            signed.add(line).unwrap();
        }
        signed.to_string().into_bytes()
    }

    fn charter_answer(&self, lie: Lie) -> Answer {
        let (mut charter, mut signed) = (self.charter.clone(), self.signed.clone());
        match lie {
            Lie::OtherCharter => {
                let (other, its) = self.next_charter(|d| d.summary = "Another.".to_owned());
                (charter, signed) = (other, Some(its));
            }
            Lie::ForgedCharter => {
                let (other, mut its) = self.next_charter(|d| d.summary = "Another.".to_owned());
                its.signatures[2] = its.signatures[1];
                (charter, signed) = (other, Some(its));
            }
            _ => {}
        }
        let mut document = String::from_utf8(charter.bytes().to_vec()).unwrap();
        if lie == Lie::AlteredCharter {
            document = document.replace("outcomes_days = 366", "outcomes_days = 9999");
        }
        let body = CharterBody {
            version: charter.version(),
            digest: charter.digest().to_hex(),
            document,
            signed: signed.map(|signed| to_base64(&types::encode(&signed))),
        };
        Answer { status: 200, body: serde_json::to_vec(&body).unwrap() }
    }

    fn answer(&self, node: NodeId, call: Call, body: Option<Vec<u8>>) -> Result<Answer, Silence> {
        self.calls.lock().unwrap().push((node, call));
        let lie = self.lies[node.index()];
        let Some(body) = body else {
            return match (call, lie) {
                (_, Lie::NoCharter) => Err(Silence::Unreached),
                (Call::Log(resource), _) => Ok(self.log_answer(node, lie, resource)),
                (Call::Charter, _) => Ok(self.charter_answer(lie)),
                _ => Ok(problem(404, "not-found", vec![])),
            };
        };
        let body: RequestBody = serde_json::from_slice(&body).unwrap();
        let signed: Signed<Request> = Signed::from_bytes(&from_base64("request", &body.request).unwrap()).unwrap();
        signed.verify(&signed.message.device).unwrap();
        match lie {
            Lie::Unreached => return Err(Silence::Unreached),
            Lie::WrongTlsKey => return Err(Silence::WrongKey),
            Lie::TooLarge => return Err(Silence::TooLarge),
            Lie::NotJson => return Ok(Answer { status: 200, body: b"\x1b[2J<html>".to_vec() }),
            Lie::ServerError => return Ok(Answer { status: 502, body: b"bad gateway".to_vec() }),
            Lie::Unavailable => return Ok(problem(503, "unavailable", vec![3])),
            Lie::Busy => return Ok(problem(503, "busy", vec![])),
            Lie::Refuse => return Ok(problem(403, "unknown-member", vec![])),
            _ => {}
        }
        match &signed.message.action {
            Action::Outcome { operation } => {
                let decided = self.decided.lock().unwrap().get(operation).copied();
                let Some((request, outcome)) = decided else { return Ok(problem(404, "not-found", vec![])) };
                if lie == Lie::LoseEveryAnswer {
                    return Err(Silence::Lost);
                }
                Ok(self.decision(node, lie, *operation, request, outcome))
            }
            Action::Release { .. } if lie == Lie::Behind && self.clock.load(Ordering::Relaxed) <= NOW => {
                Ok(problem(403, "recovery-unknown", vec![]))
            }
            Action::Status
            | Action::Inspect { .. }
            | Action::Events { .. }
            | Action::ShieldUp
            | Action::Issue { .. }
            | Action::Release { .. } => Ok(self.statement(node, lie, &signed.message)),
            action => {
                if action.submission().is_some() {
                    let share = from_base64("share", &body.share.unwrap()).unwrap();
                    let digest = types::sign::Message::digest(&signed.message);
                    let opened = open(&self.seals[node.index()], SHARE, &digest, &share).unwrap();
                    assert_eq!(SamplePackage::from_bytes(&opened).unwrap().template.node, node);
                }
                let operation = signed.message.operation;
                let request = types::sign::Message::digest(&signed.message);
                self.decided.lock().unwrap().insert(operation, (request, self.outcome));
                if matches!(lie, Lie::LoseFirstAnswer | Lie::LoseEveryAnswer) {
                    return Err(Silence::Lost);
                }
                Ok(self.decision(node, lie, operation, request, self.outcome))
            }
        }
    }

    fn decision(&self, node: NodeId, lie: Lie, operation: OperationId, request: Digest, outcome: Outcome) -> Answer {
        let mut decision = Decision {
            version: VERSION,
            commons: self.roster.digest(),
            operation,
            request,
            batch: 7,
            decided_at: self.clock.load(Ordering::Relaxed),
            charter: if lie == Lie::DecidesUnderOther { Digest([8; 32]) } else { self.charter.digest() },
            log_index: 0,
            outcome,
        };
        match lie {
            Lie::OtherOperation => decision.operation = OperationId([9; 16]),
            Lie::OtherRequest => decision.request = Digest([9; 32]),
            Lie::OtherCommons => decision.commons = Digest([9; 32]),
            Lie::OtherOutcome => decision.outcome = Outcome::Withdrawn { records: 1 },
            Lie::Contradict => decision.batch = 8,
            Lie::Stale => decision.decided_at -= 100_000,
            Lie::FromTheFuture => decision.decided_at += 100_000,
            Lie::NewerVersion => decision.version = VERSION + 1,
            _ => {}
        }
        let mut signatures = [0, 1, 2].map(|i| sign(&decision, &self.keys[i]));
        match lie {
            Lie::WrongSignature => signatures[node.index()].0[5] ^= 1,
            Lie::TwoSignatures => signatures[(node.index() + 1) % 3] = signatures[node.index()],
            _ => {}
        }
        let certificate = Certificate { decision, signatures };
        let body = DecisionBody {
            certificate: to_base64(&certificate.to_bytes()),
            // Not signed, so not believed.
            outcome: "enrolled".to_owned(),
            operation: operation.to_hex(),
            batch: 7,
        };
        Answer { status: 200, body: serde_json::to_vec(&body).unwrap() }
    }

    fn events_for(&self, lie: Lie, request: &Request) -> Vec<Event> {
        let Action::Events { after_batch } = request.action else { return Vec::new() };
        let mut events = self.events.clone();
        if lie == Lie::HidesEvent {
            events.pop();
        }
        if lie == Lie::MakesUpEvent {
            events.last_mut().unwrap().request.signature.0[3] ^= 1;
        }
        events.retain(|event| event.certificate.decision.batch > after_batch);
        events.truncate(4);
        events
    }

    #[allow(dead_code, reason = "each test file uses some")]
    /// Notes a decision, three per batch, on a request of `device`.
    pub(crate) fn decide(&mut self, device: &SigningKey, action: Action, outcome: Outcome) -> Event {
        let index = self.events.len() as u64;
        let request = Request {
            version: VERSION,
            commons: self.roster.digest(),
            operation: OperationId([u8::try_from(index).unwrap() + 1; 16]),
            device: public_key(device),
            issued_at: NOW,
            expires_at: NOW + 60,
            trace: client::request::trace_key(device).commitment(),
            action,
        };
        let decision = Decision {
            version: VERSION,
            commons: self.roster.digest(),
            operation: request.operation,
            request: types::sign::Message::digest(&request),
            batch: 1 + index / 3,
            decided_at: NOW + index,
            charter: self.charter.digest(),
            log_index: index,
            outcome,
        };
        let signatures = [0, 1, 2].map(|i| sign(&decision, &self.keys[i]));
        let event = Event { request: Signed::new(request, device), certificate: Certificate { decision, signatures } };
        self.events.push(event.clone());
        event
    }

    /// What a node signs over the member's secret.
    fn issued(&self, node: NodeId, lie: Lie, request: &Request) -> Option<Issued> {
        let (Action::Issue { epoch, claims }, Some(bound)) = (&request.action, &self.bound) else { return None };
        let community = if lie == Lie::AnotherCommunity { "elsewhere" } else { &self.roster.commons };
        let version = self.charter.version() + u64::from(lie == Lie::AnotherVersion);
        let admitted = Epoch(20_000 + u32::from(lie == Lie::AnotherAdmission));
        let mut attributes = Attributes::new(community, admitted, version).unwrap();
        for claim in claims.iter().filter(|_| lie != Lie::DropsClaims) {
            attributes = attributes.with(claim.message.kind.into(), &claim.message.value).unwrap();
        }
        if lie == Lie::MarksMember {
            attributes = attributes.with(Attribute::Role, "number 17").unwrap();
        }
        let epoch = Epoch(epoch.0 + u32::from(lie == Lie::AnotherEpoch));
        let other = MemberSecret::generate(Fresh::new([77; 32])).commitment();
        let over = if lie == Lie::AnotherSecret { &other } else { bound };
        let key = issuer_key(if lie == Lie::AnotherIssuerKey { node.next() } else { node });
        let name = IssuerName { commons: &self.roster.digest(), node };
        let signature = key.issue(&name, epoch, over, &attributes).unwrap().to_bytes();
        (lie != Lie::IssuesNothing).then(|| Issued { epoch, attributes: attributes.to_bytes(), signature })
    }

    fn statement(&self, node: NodeId, lie: Lie, request: &Request) -> Answer {
        let digest = types::sign::Message::digest(request);
        let record = RecordStatement {
            profile: ProfileId::new("vector-8").unwrap(),
            batch: 3,
            since: NOW - 50,
            share_bytes: 16,
            sample: None,
        };
        let member = MemberStatement {
            member: MemberId::derive(&self.roster.digest(), &request.device),
            since: NOW - 50,
            records: vec![record],
            metadata_bytes: 100,
            shield: (lie != Lie::KeepsShieldDown).then_some(NOW),
            grants: Vec::new(),
            asks: Vec::new(),
            guarded: None,
            former: Vec::new(),
            bound: match lie {
                Lie::BoundElsewhere => Some(Digest([9; 32])),
                _ => self.bound.map(|commitment| commitment.digest()),
            },
            last_issue: None,
            refused: Vec::new(),
        };
        let mut statement = Statement {
            version: VERSION,
            commons: self.roster.digest(),
            node,
            request: digest,
            at: NOW,
            batch: 7,
            charter: self.charter.digest(),
            party: None,
            ask: None,
            events: self.events_for(lie, request),
            guarded: None,
            released: matches!(request.action, Action::Release { .. }).then(|| Released {
                member: MemberId([1; 16]),
                trace: None,
                share: None,
            }),
            replaced: None,
            issued: self.issued(node, lie, request),
            member: self.member.then_some(member),
        };
        match lie {
            Lie::OtherNode => statement.node = node.next(),
            Lie::OtherRequest => statement.request = Digest([9; 32]),
            Lie::OtherCommons => statement.commons = Digest([9; 32]),
            Lie::Stale => statement.at -= 100_000,
            Lie::FromTheFuture => statement.at += 100_000,
            Lie::NewerVersion => statement.version = VERSION + 1,
            Lie::Contradict => statement.member = None,
            _ => {}
        }
        let signer = if lie == Lie::OtherNode { node.next() } else { node };
        let mut signed = Signed::new(statement, &self.keys[signer.index()]);
        if lie == Lie::WrongSignature {
            signed.signature.0[5] ^= 1;
        }
        let mut bytes = signed.to_bytes();
        if let Action::Inspect { reply_key } = &request.action {
            let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(1);
            let other = SealKey::from_random(&[8; 32]).public().unwrap();
            let key = if lie == Lie::NotSealedToUs { &other } else { reply_key };
            bytes = seal(key, INSPECTION, &digest, &bytes, &mut rng).unwrap();
        }
        if let Action::Release { .. } = &request.action {
            let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(2);
            let key = release_key(&device()).public().unwrap();
            bytes = seal(&key, RELEASE, &digest, &bytes, &mut rng).unwrap();
        }
        let body = StatementBody { statement: to_base64(&bytes) };
        Answer { status: 200, body: serde_json::to_vec(&body).unwrap() }
    }
}

fn problem(status: u16, code: &str, unavailable_nodes: Vec<u8>) -> Answer {
    let problem = Problem {
        kind: format!("https://trust-commons.example/problems/{code}"),
        title: "t".to_owned(),
        status,
        code: code.to_owned(),
        detail: "what to do\u{7}".to_owned(),
        rule: None,
        unavailable_nodes,
    };
    Answer { status, body: serde_json::to_vec(&problem).unwrap() }
}

impl Transport for &Fake {
    fn call(&self, node: NodeId, call: Call, body: Option<Vec<u8>>) -> Pending<'_, Result<Answer, Silence>> {
        Box::pin(async move { self.answer(node, call, body) })
    }
}

/// A clock that only moves when somebody waits.
pub(crate) struct Clock<'a>(pub(crate) &'a Fake);

impl Platform for Clock<'_> {
    fn now(&self) -> u64 {
        self.0.clock.load(Ordering::Relaxed)
    }
    fn random(&self) -> Result<[u8; 32], Error> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        Ok(bytes)
    }
    fn sleep(&self, time: Duration) -> Pending<'_, ()> {
        let whole = time.as_secs().max(1);
        Box::pin(async move {
            self.0.clock.fetch_add(whole, Ordering::Relaxed);
        })
    }
}
