//! Three nodes in one process, members with devices and faces (random unit vectors), and a clock that tests move.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use charter::{Charter, Document};
use credential::IssuerKey;
use ed25519_dalek::SigningKey;
use mpc::sharing::{SplitRandomness, split};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use types::consent::{CharterDocument, Purpose, SignedCharter};
use types::message::{
    Action, Certificate, Former, Grant, MemberStatement, Outcome, Request, SignedStatement, Statement, Submission, VERSION,
};
use types::profile::{Matching, Profile};
use types::roster::{Roster, RosterNode};
use types::seal::{self, SealKey};
use types::share::SamplePackage;
use types::sign::{Message as _, Signed, public_key, sign};
use types::{Digest, NodeId, OperationId, TraceKey, UnixSeconds};

use super::network::Network;
use super::post::Post;
use crate::Error;
use crate::app::config::{Clock, Config, Patience};
use crate::app::faults::{Faults, Point};
use crate::app::{App, Courier};
use crate::metrics::Metrics;
use crate::store::Store;

pub(super) const PROFILE: &str = "id = 'vector-64'\nversion = 1\nmodality = 'test'\ndescription = 'random vectors'\n\
    [matching]\nkind = 'embedding'\ndimensions = 64\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\n\
    norm_max = 1.05\n";
const IRIS: &str = "id = 'iris-small'\nversion = 1\nmodality = 'iris'\ndescription = 'small codes'\n[matching]\n\
    kind = 'iris-code'\nrows = 2\ncolumns = 16\nwavelets = 2\nrotations = 3\ndot_weight = 2\nmask_weight = 1\nmask_min = 32\n";

#[derive(Default)]
pub(super) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixSeconds {
        self.0.load(Ordering::SeqCst)
    }
}

impl TestClock {
    pub(super) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// The world's clock as one node has it.
struct Skewed {
    clock: Arc<TestClock>,
    ahead_s: u64,
}

impl Clock for Skewed {
    fn now(&self) -> UnixSeconds {
        self.clock.now() + self.ahead_s
    }
}

pub(super) struct World {
    pub(super) roster: Arc<Roster>,
    pub(super) clock: Arc<TestClock>,
    /// By how much each node's clock is ahead, from its next start on.
    pub(super) ahead_s: [u64; 3],
    pub(super) network: Network,
    pub(super) post: Arc<Post>,
    pub(super) patience: Patience,
    pub(super) refresh_interval: Option<Duration>,
    /// In force, as far as people know.
    pub(super) charter: Charter,
    pub(super) keys: [SigningKey; 3],
    pub(super) log_keys: [SigningKey; 3],
    pub(super) issuer_keys: [Arc<IssuerKey>; 3],
    pub(super) seals: [SealKey; 3],
    directory: tempfile::TempDir,
    apps: [Option<App>; 3],
    rng: ChaCha20Rng,
}

/// A person with a device.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) key: SigningKey,
    /// A unit vector.
    pub(super) face: Vec<f64>,
}

impl Person {
    pub(super) fn trace(&self) -> TraceKey {
        TraceKey::from_random(self.key.to_bytes())
    }
}

/// A request with its three sealed shares.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) signed: Signed<Request>,
    pub(super) shares: [Option<Vec<u8>>; 3],
    pub(super) trace: TraceKey,
}

/// The answers of nodes 1, 2, 3.
pub(super) type Answers = [Result<Certificate, Error>; 3];

impl World {
    /// Three running, connected nodes.
    pub(super) async fn new(seed: u64) -> Self {
        let mut world = Self::without_nodes(seed);
        for node in NodeId::ALL {
            Store::create(&world.path(node)).await.unwrap();
            world.start(node, |_| false).await;
        }
        world.mend();
        world.settle().await;
        world
    }

    pub(super) fn without_nodes(seed: u64) -> Self {
        let keys = [1u8, 2, 3].map(|n| SigningKey::from_bytes(&[n; 32]));
        let seals = [1u8, 2, 3].map(|n| SealKey::from_random(&[n; 32]));
        let node = |id: NodeId| RosterNode {
            id,
            operator: format!("operator {id}"),
            url: format!("http://127.0.0.1:{}", 8000 + u16::from(id.number())),
            peer_address: format!("127.0.0.1:{}", 7000 + u16::from(id.number())),
            signing_key: public_key(&keys[id.index()]),
            log_key: public_key(&log_key(id)),
            seal_key: Digest(seals[id.index()].public().unwrap()),
            issuer_key: issuer_key(id).public(),
            tls_key: Digest([id.number(); 32]),
        };
        let profiles = vec![Profile::from_toml(PROFILE).unwrap(), Profile::from_toml(IRIS).unwrap()];
        let nodes = NodeId::ALL.map(node).to_vec();
        let roster = Roster {
            version: types::roster::VERSION,
            commons: "test".to_owned(),
            throw_away: true,
            epochs: types::Epochs::DAILY,
            nodes,
            profiles,
            successions: Vec::new(),
            additions: Vec::new(),
        };
        let directory = tempfile::tempdir().unwrap();
        for node in NodeId::ALL {
            std::fs::create_dir(directory.path().join(node.to_string())).unwrap();
        }
        let clock = Arc::new(TestClock(AtomicU64::new(1_700_000_000)));
        let patience =
            Patience { answer: Duration::from_secs(20), share: Duration::from_millis(1500), ..Patience::default() };
        Self {
            charter: Charter::default_for(&roster),
            roster: Arc::new(roster),
            clock,
            ahead_s: [0; 3],
            network: Network::default(),
            post: Arc::default(),
            patience,
            refresh_interval: None,
            keys,
            log_keys: NodeId::ALL.map(log_key),
            issuer_keys: NodeId::ALL.map(|node| Arc::new(issuer_key(node))),
            seals,
            directory,
            apps: [const { None }; 3],
            rng: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    pub(super) fn path(&self, node: NodeId) -> PathBuf {
        self.directory.path().join(node.to_string())
    }

    pub(super) fn app(&self, node: NodeId) -> &App {
        self.apps[node.index()].as_ref().unwrap()
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &App> {
        self.apps.iter().flatten()
    }

    /// Signs decisions of a node, and its operator's acts.
    pub(super) fn key(&self, node: NodeId) -> &SigningKey {
        &self.keys[node.index()]
    }

    /// Starts a node on its directory; it stops itself at the points for which `stop` holds.
    pub(super) async fn start(&mut self, node: NodeId, stop: impl Fn(Point) -> bool + Send + Sync + 'static) {
        self.start_with(node, Faults::new(stop)).await;
    }

    /// Starts a node with faults of any kind.
    pub(super) async fn start_with(&mut self, node: NodeId, faults: Faults) {
        let store = open(&self.path(node), node, &self.roster).await;
        let (links, events) = self.network.join(node);
        let metrics = Metrics::new().unwrap();
        let (key, seal) = (self.keys[node.index()].clone(), self.seals[node.index()].clone());
        let keys = (key, self.log_keys[node.index()].clone(), Arc::clone(&self.issuer_keys[node.index()]));
        let mut config = Config::new(node, Arc::clone(&self.roster), keys, seal, metrics);
        config.clock = Arc::new(Skewed { clock: Arc::clone(&self.clock), ahead_s: self.ahead_s[node.index()] });
        config.patience = self.patience;
        config.refresh_interval = self.refresh_interval;
        config.faults = faults;
        config.courier = Arc::clone(&self.post) as Arc<dyn Courier>;
        let app = App::start(config, store, links, events).await.unwrap();
        self.post.set(node, Some(app.clone()));
        self.apps[node.index()] = Some(app);
    }

    /// Ends a node as a crash would: nothing is said, nothing in memory survives.
    pub(super) async fn kill(&mut self, node: NodeId) {
        self.network.leave(node);
        self.post.set(node, None);
        if let Some(app) = self.apps[node.index()].take() {
            app.kill();
        }
        tokio::task::yield_now().await;
    }

    /// Connects all nodes that run.
    pub(super) fn mend(&self) {
        let [one, two, three] = NodeId::ALL;
        self.network.connect(one, two);
        self.network.connect(two, three);
        self.network.connect(one, three);
    }

    /// Waits until all nodes take requests.
    pub(super) async fn settle(&self) {
        for _ in 0..1000 {
            if self.apps.iter().flatten().all(|app| app.readiness().ready) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let states: Vec<_> = self.apps.iter().flatten().map(App::readiness).collect();
        panic!("the nodes do not settle: {states:?}");
    }

    pub(super) fn person(&mut self) -> Person {
        let mut key = [0u8; 32];
        self.rng.fill_bytes(&mut key);
        let face = self.direction();
        Person { key: SigningKey::from_bytes(&key), face }
    }

    /// The same face on another device, photographed anew.
    pub(super) fn double(&mut self, person: &Person) -> Person {
        Person { face: self.again(person).face, ..self.person() }
    }

    /// The same person and device, photographed anew.
    pub(super) fn again(&mut self, person: &Person) -> Person {
        let noise = self.direction();
        let face = unit(person.face.iter().zip(noise).map(|(x, noise)| x + 0.4 * noise).collect());
        Person { key: person.key.clone(), face }
    }

    fn direction(&mut self) -> Vec<f64> {
        unit((0..64).map(|_| (0..6).map(|_| f64::from(self.rng.next_u32()) / f64::from(u32::MAX) - 0.5).sum()).collect())
    }

    fn operation(&mut self) -> OperationId {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        OperationId(id)
    }

    pub(super) fn request(&mut self, person: &Person, action: Action) -> Request {
        let now = self.clock.now();
        Request {
            version: VERSION,
            commons: self.roster.digest(),
            operation: self.operation(),
            device: public_key(&person.key),
            issued_at: now,
            expires_at: now + 300,
            trace: person.trace().commitment(),
            action,
        }
    }

    /// A signed request without shares.
    pub(super) fn plain(&mut self, person: &Person, action: Action) -> Call {
        let request = self.request(person, action);
        Call { signed: Signed::new(request, &person.key), shares: [None, None, None], trace: person.trace() }
    }

    pub(super) fn enrol(&mut self, person: &Person) -> Call {
        self.call(person, Purpose::deduplication(), |_| ())
    }

    pub(super) fn verify(&mut self, person: &Person) -> Call {
        self.call(person, Purpose::verification(), |_| ())
    }

    /// A request with shares of the person's face; `change` may spoil it before it is signed.
    pub(super) fn call(&mut self, person: &Person, purpose: Purpose, change: impl FnOnce(&mut Request)) -> Call {
        let values = quantise(&person.face);
        self.call_with(person, purpose, 0, &values, change)
    }

    pub(super) fn call_with(
        &mut self,
        person: &Person,
        purpose: Purpose,
        profile: usize,
        values: &[u32],
        change: impl FnOnce(&mut Request),
    ) -> Call {
        let enrols = purpose == Purpose::deduplication();
        let action = |submission| if enrols { Action::Enrol(submission) } else { Action::Verify(submission) };
        self.carry(person, purpose, profile, values, action, change)
    }

    /// A request by `signer` whose action carries a sample.
    pub(super) fn carry(
        &mut self,
        signer: &Person,
        purpose: Purpose,
        profile: usize,
        values: &[u32],
        action: impl FnOnce(Submission) -> Action,
        change: impl FnOnce(&mut Request),
    ) -> Call {
        self.carry_both(signer, purpose, (profile, values), None, action, change)
    }

    /// As [`Self::carry`], with the sample's template in a former profile.
    pub(super) fn carry_both(
        &mut self,
        signer: &Person,
        purpose: Purpose,
        (profile, values): (usize, &[u32]),
        former: Option<(usize, &[u32])>,
        action: impl FnOnce(Submission) -> Action,
        change: impl FnOnce(&mut Request),
    ) -> Call {
        let mut parts = |values: &[u32]| {
            let mut random = [0u8; SplitRandomness::BYTES];
            self.rng.fill_bytes(&mut random);
            split(values, &SplitRandomness::from_bytes(&random))
        };
        let (parts, older) = (parts(values), former.map(|(profile, values)| (profile, parts(values))));
        let profile = &self.roster.profiles[profile];
        let (id, profile_digest) = (profile.id.clone(), profile.digest());
        let former = older.as_ref().map(|(profile, parts)| {
            let profile = &self.roster.profiles[*profile];
            let (profile, profile_digest) = (profile.id.clone(), profile.digest());
            Former { profile, profile_digest, commitments: parts.commitments }
        });
        let now = self.clock.now();
        let note = "a test".to_owned();
        let grant = Grant { purpose, note, not_before: now, expires_at: now + 300, uses: 1, charter: self.charter.digest() };
        let (commitments, vouchers) = (parts.commitments, Vec::new());
        let submission = Submission { profile: id, profile_digest, commitments, former, grant, station: None, vouchers };
        let mut request = self.request(signer, action(submission));
        change(&mut request);
        let signed = Signed::new(request, &signer.key);
        let digest = signed.message.digest();
        let shares = NodeId::ALL.map(|node| {
            let key = self.seals[node.index()].public().unwrap();
            let template = parts.packages[node.index()].clone();
            let former = older.as_ref().map(|(_, parts)| parts.packages[node.index()].clone());
            let bytes = SamplePackage { template, former }.to_bytes();
            Some(seal::seal(&key, seal::SHARE, &digest, &bytes, &mut self.rng).unwrap())
        });
        Call { signed, shares, trace: signer.trace() }
    }

    /// Seals to a node.
    pub(super) fn seal(&mut self, node: NodeId, purpose: &str, digest: &Digest, plain: &[u8]) -> Vec<u8> {
        let key = self.seals[node.index()].public().unwrap();
        seal::seal(&key, purpose, digest, plain, &mut self.rng).unwrap()
    }

    /// What each node keeps of a person's secret, by their stores. The nodes are stopped for it and started again.
    pub(super) async fn kept_shares(&mut self, person: &Person) -> [Option<credential::escrow::Share>; 3] {
        let mut shares = [const { None }; 3];
        for node in NodeId::ALL {
            self.kill(node).await;
            let store = open(&self.path(node), node, &self.roster).await;
            if let Some(member) = store.member(&public_key(&person.key)).await.unwrap() {
                let binding = store.binding(&member.member).await.unwrap();
                shares[node.index()] = binding.map(|binding| binding.share);
            }
            store.close().await;
            drop(store);
            self.start(node, |_| false).await;
        }
        self.mend();
        self.settle().await;
        shares
    }

    /// A charter that follows `before`, signed by the operators.
    pub(super) fn sign_charter(&self, before: &Charter, change: impl FnOnce(&mut Document)) -> SignedCharter {
        let mut document = before.document().clone();
        document.version += 1;
        document.previous = before.digest();
        change(&mut document);
        let document = document.canonical();
        let signatures = [0, 1, 2].map(|i| sign(&CharterDocument(document.clone()), &self.keys[i]));
        SignedCharter { document, signatures }
    }

    /// Adopts a charter that follows the one in force.
    pub(super) async fn adopt(&mut self, change: impl FnOnce(&mut Document)) {
        let signed = self.sign_charter(&self.charter, change);
        let bearer = self.person();
        let call = self.plain(&bearer, Action::Charter(signed.clone()));
        let charter = Charter::from_signed(&signed, &self.roster).unwrap();
        assert_eq!(self.decide(&call).await, Outcome::CharterAdopted { version: charter.version() });
        self.charter = charter;
    }

    /// What a node states to a person.
    pub(super) async fn state(&mut self, node: NodeId, person: &Person, action: Action) -> Result<Statement, Error> {
        let signed = self.plain(person, action).signed;
        let digest = signed.message.digest();
        let app = self.app(node).clone();
        let bytes = match signed.message.action {
            Action::ShieldUp => app.raise_shield(signed).await?,
            _ => app.statement(signed).await?,
        };
        let statement = SignedStatement::from_bytes(&bytes).unwrap();
        statement.verify(&self.roster.node(node).unwrap().signing_key).unwrap();
        assert_eq!(statement.message.request, digest);
        Ok(statement.message)
    }

    /// What a node knows of a member.
    pub(super) async fn member(&mut self, node: NodeId, person: &Person) -> MemberStatement {
        self.state(node, person, Action::Status).await.unwrap().member.unwrap()
    }

    /// Sends a call to all running nodes at once.
    pub(super) async fn send(&self, call: &Call) -> Answers {
        self.send_to(call, NodeId::ALL).await
    }

    /// As [`Self::send`], to `nodes` only; the other answers are [`Error::Stopped`].
    pub(super) async fn send_to<const N: usize>(&self, call: &Call, nodes: [NodeId; N]) -> Answers {
        let send = |node: NodeId| {
            let app = nodes.contains(&node).then(|| self.apps[node.index()].clone()).flatten();
            let (signed, share) = (call.signed.clone(), call.shares[node.index()].clone());
            let trace = Some(call.trace.clone());
            async move {
                match app {
                    Some(app) => app.submit(signed, trace, share).await,
                    None => Err(Error::Stopped),
                }
            }
        };
        let [one, two, three] = NodeId::ALL;
        let (a, b, c) = tokio::join!(send(one), send(two), send(three));
        [a, b, c]
    }

    /// Sends a call and expects the same decision from all three.
    pub(super) async fn decide(&self, call: &Call) -> Outcome {
        agreed(&self.send(call).await, &self.roster)
    }

    /// What each node says became of an operation.
    pub(super) async fn outcome(&mut self, person: &Person, operation: OperationId) -> Answers {
        let mut answers = Vec::new();
        for node in NodeId::ALL {
            let call = self.plain(person, Action::Outcome { operation });
            answers.push(match self.apps[node.index()].clone() {
                Some(app) => app.outcome(call.signed).await,
                None => Err(Error::Stopped),
            });
        }
        answers.try_into().unwrap()
    }
}

/// Signs credentials of a node.
pub(super) fn issuer_key(node: NodeId) -> IssuerKey {
    IssuerKey::from_material([200 + node.number(); 32])
}

/// Signs checkpoints of a node.
pub(super) fn log_key(node: NodeId) -> SigningKey {
    SigningKey::from_bytes(&[100 + node.number(); 32])
}

/// The one outcome in three equal, verified certificates.
pub(super) fn agreed(answers: &Answers, roster: &Roster) -> Outcome {
    let decisions: Vec<_> = answers
        .iter()
        .map(|answer| {
            let certificate = answer.as_ref().unwrap();
            certificate.verify(roster).unwrap();
            certificate.decision.clone()
        })
        .collect();
    assert!(decisions.iter().all(|decision| *decision == decisions[0]), "{decisions:?}");
    decisions[0].outcome
}

/// Opens a store, waiting for a killed predecessor's lock.
pub(super) async fn open(path: &Path, node: NodeId, roster: &Roster) -> Store {
    for _ in 0..500 {
        match Store::open(path, node, roster).await {
            Err(Error::StoreLocked { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("{} stays locked", path.display());
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.into_iter().map(|x| x / norm).collect()
}

/// As clients do it (PROTOCOL section 2).
#[expect(clippy::cast_possible_truncation, reason = "clamped")]
pub(super) fn quantise(face: &[f64]) -> Vec<u32> {
    let Matching::Embedding(embedding) = Profile::from_toml(PROFILE).unwrap().matching else { unreachable!() };
    let clamp = f64::from(embedding.clamp);
    face.iter()
        .map(|x| ((x * f64::from(embedding.scale)).round().clamp(-clamp, clamp - 1.0) as i32).cast_unsigned())
        .collect()
}
