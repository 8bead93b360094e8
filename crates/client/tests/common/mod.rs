//! Three nodes in memory with real keys, which answer honestly unless told to lie.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::platform::Pending;
use client::transport::{Answer, Call, Silence};
use client::{Error, Platform, Transport};
use ed25519_dalek::SigningKey;
use types::api::{DecisionBody, Problem, RequestBody, StatementBody, from_base64, to_base64};
use types::message::{
    Action, Certificate, Decision, MemberStatement, Outcome, RecordStatement, Request, Statement, VERSION,
};
use types::profile::Profile;
use types::roster::{Roster, RosterNode};
use types::seal::{INSPECTION, SHARE, SealKey, open, seal};
use types::share::SharePackage;
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
    pub(crate) calls: Mutex<Vec<(NodeId, Call)>>,
    pub(crate) decided: Mutex<HashMap<OperationId, (Digest, Outcome)>>,
    pub(crate) clock: AtomicU64,
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
            tls_key: Digest([10 + id.number(); 32]),
        };
        let profiles = vec![Profile::from_toml(PROFILE).unwrap()];
        let roster = Roster {
            version: types::roster::VERSION,
            commons: "test".to_owned(),
            throw_away: true,
            nodes: NodeId::ALL.map(node).to_vec(),
            profiles,
        };
        let (calls, decided, clock) = (Mutex::default(), Mutex::default(), AtomicU64::new(NOW));
        Self { keys, seals, roster, outcome, lies, member: true, calls, decided, clock }
    }

    fn answer(&self, node: NodeId, call: Call, body: Option<Vec<u8>>) -> Result<Answer, Silence> {
        self.calls.lock().unwrap().push((node, call));
        let lie = self.lies[node.index()];
        let body: RequestBody = serde_json::from_slice(&body.unwrap()).unwrap();
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
            Action::Status | Action::Inspect { .. } => Ok(self.statement(node, lie, &signed.message)),
            action => {
                if action.submission().is_some() {
                    let share = from_base64("share", &body.share.unwrap()).unwrap();
                    let digest = types::sign::Message::digest(&signed.message);
                    let opened = open(&self.seals[node.index()], SHARE, &digest, &share).unwrap();
                    assert_eq!(SharePackage::from_bytes(&opened).unwrap().node, node);
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
            charter: Digest([8; 32]),
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
            Lie::NewerVersion => decision.version = 2,
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
            shield: None,
            grants: Vec::new(),
            asks: Vec::new(),
        };
        let mut statement = Statement {
            version: VERSION,
            commons: self.roster.digest(),
            node,
            request: digest,
            at: NOW,
            batch: 7,
            charter: Digest([8; 32]),
            party: None,
            ask: None,
            events: Vec::new(),
            member: self.member.then_some(member),
        };
        match lie {
            Lie::OtherNode => statement.node = node.next(),
            Lie::OtherRequest => statement.request = Digest([9; 32]),
            Lie::OtherCommons => statement.commons = Digest([9; 32]),
            Lie::Stale => statement.at -= 100_000,
            Lie::FromTheFuture => statement.at += 100_000,
            Lie::NewerVersion => statement.version = 2,
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
