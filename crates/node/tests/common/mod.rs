//! A whole commons in one process, over real TLS and HTTP, and a bare-bones member's device to talk to it.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use node::config::NodeConfig;
use node::run::{self, Node};
use reqwest::StatusCode;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use types::api::{DecisionBody, Problem, RequestBody, from_base64, to_base64};
use types::consent::Purpose;
use types::message::{Action, Certificate, Grant, Request, Submission, VERSION};
use types::profile::Profile;
use types::roster::Roster;
use types::seal::{self, SealKey};
use types::sign::{Message, Signed, public_key};
use types::{Digest, NodeId, OperationId, TraceKey};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Commons {
    pub(crate) dir: TempDir,
    pub(crate) roster: Roster,
    pub(crate) configs: [NodeConfig; 3],
    pub(crate) nodes: [Option<Node>; 3],
    pub(crate) http: reqwest::Client,
}

pub(crate) fn profile() -> Profile {
    Profile::from_toml(
        "id = 'test-8'\nversion = 1\nmodality = 'test'\ndescription = 'test'\n[matching]\nkind = 'embedding'\ndimensions = 8\n\
         scale = 100\nclamp = 100\ncosine_threshold = 0.5\nnorm_min = 0.9\nnorm_max = 1.1\n",
    )
    .unwrap()
}

impl Commons {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl Fn(&mut NodeConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = run::loopback(dir.path(), "test", vec![profile()]).await.unwrap();
        let mut configs = Vec::new();
        let mut nodes = Vec::new();
        for (mut config, listeners) in made.nodes {
            change(&mut config);
            configs.push(config.clone());
            nodes.push(Some(Node::start_on(config, listeners).await.unwrap()));
        }
        let http = client(&made.roster);
        let configs = configs.try_into().unwrap();
        let nodes = nodes.try_into().ok().unwrap();
        let commons = Self { dir, roster: made.roster, configs, nodes, http };
        commons.all_ready().await;
        commons
    }

    pub(crate) async fn all_ready(&self) {
        let ready = async {
            while self.nodes.iter().flatten().any(|node| node.ready().is_err()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("ready in time");
    }

    pub(crate) async fn stop(&mut self, node: NodeId) {
        self.nodes[node.index()].take().unwrap().stop().await;
    }

    pub(crate) async fn start_again(&mut self, node: NodeId) {
        self.nodes[node.index()] = Some(Node::start(self.configs[node.index()].clone()).await.unwrap());
    }

    pub(crate) async fn stop_all(self) {
        for node in self.nodes.into_iter().flatten() {
            node.stop().await;
        }
    }

    pub(crate) fn url(&self, node: NodeId, path: &str) -> String {
        format!("{}{path}", self.roster.node(node).unwrap().url)
    }

    /// Sends the request to all three nodes at once, each with its share.
    pub(crate) async fn send(&self, path: &str, call: &Call) -> [Result<DecisionBody, Problem>; 3] {
        let [a, b, c] = NodeId::ALL.map(|node| self.send_one(node, path, call));
        let (a, b, c) = tokio::join!(a, b, c);
        [a, b, c]
    }

    pub(crate) async fn send_one(&self, node: NodeId, path: &str, call: &Call) -> Result<DecisionBody, Problem> {
        let response = self.http.post(self.url(node, path)).json(&call.bodies[node.index()]).send().await.unwrap();
        if response.status() == StatusCode::OK {
            return Ok(response.json().await.unwrap());
        }
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let status = response.status().as_u16();
        let problem: Problem = response.json().await.unwrap();
        assert_eq!(problem.status, status);
        Err(problem)
    }

    /// Sends it and checks that all three answer with one valid certificate.
    pub(crate) async fn decided(&self, path: &str, call: &Call) -> String {
        let answers = tokio::time::timeout(PATIENCE, self.send(path, call)).await.unwrap().map(Result::unwrap);
        for answer in &answers {
            let bytes = from_base64("certificate", &answer.certificate).unwrap();
            let certificate = Certificate::from_bytes(&bytes).unwrap();
            certificate.verify(&self.roster).unwrap();
            assert_eq!(certificate.decision.request, call.digest);
            assert_eq!(answer.outcome, answers[0].outcome);
        }
        answers[0].outcome.clone()
    }
}

/// One signed request with the three bodies that carry it.
pub(crate) struct Call {
    pub(crate) digest: Digest,
    pub(crate) operation: OperationId,
    pub(crate) bodies: [RequestBody; 3],
}

pub(crate) struct Device<'a> {
    pub(crate) key: SigningKey,
    pub(crate) roster: &'a Roster,
}

impl<'a> Device<'a> {
    pub(crate) fn new(roster: &'a Roster) -> Self {
        Self { key: SigningKey::from_bytes(&random()), roster }
    }

    fn trace(&self) -> TraceKey {
        TraceKey::from_random(self.key.to_bytes())
    }

    pub(crate) fn enrol(&self, template: [i32; 8]) -> Call {
        self.with_share(template, Purpose::deduplication(), Action::Enrol)
    }

    pub(crate) fn verify(&self, template: [i32; 8]) -> Call {
        self.with_share(template, Purpose::verification(), Action::Verify)
    }

    pub(crate) fn ask(&self, action: Action) -> Call {
        let request = self.request(action);
        self.call(request, [None, None, None])
    }

    pub(crate) fn request(&self, action: Action) -> Request {
        let now = now();
        let (commons, device) = (self.roster.digest(), public_key(&self.key));
        let operation = OperationId(random());
        let (version, trace, expires_at) = (VERSION, self.trace().commitment(), now + 300);
        Request { version, commons, operation, device, issued_at: now, expires_at, trace, action }
    }

    fn with_share(&self, template: [i32; 8], purpose: Purpose, action: impl Fn(Submission) -> Action) -> Call {
        let profile = &self.roster.profiles[0];
        let values: Vec<u32> = template.iter().map(|v| *v as u32).collect();
        let mut random = [0; mpc::sharing::SplitRandomness::BYTES];
        getrandom::fill(&mut random).unwrap();
        let split = mpc::sharing::split(&values, &mpc::sharing::SplitRandomness::from_bytes(&random));
        let now = now();
        let grant = Grant {
            purpose,
            note: "test".to_owned(),
            not_before: now - 10,
            expires_at: now + 300,
            uses: 1,
            charter: charter::Charter::default_for(self.roster).digest(),
        };
        let (commitments, profile_digest) = (split.commitments, profile.digest());
        let (id, vouchers) = (profile.id.clone(), Vec::new());
        let submission =
            Submission { profile: id, profile_digest, commitments, former: None, grant, station: None, vouchers };
        let request = self.request(action(submission));
        let digest = request.digest();
        let packages = split.packages.map(|package| {
            let key = self.roster.node(package.node).unwrap().seal_key;
            let bytes = types::share::SamplePackage { template: package, former: None }.to_bytes();
            Some(seal::seal(&key.0, seal::SHARE, &digest, &bytes, &mut rng()).unwrap())
        });
        self.call(request, packages)
    }

    pub(crate) fn call(&self, request: Request, shares: [Option<Vec<u8>>; 3]) -> Call {
        let (digest, operation) = (request.digest(), request.operation);
        let signed = to_base64(&Signed::new(request, &self.key).to_bytes());
        let trace = Some(to_base64(self.trace().secret_bytes()));
        let bodies = shares.map(|share| RequestBody {
            request: signed.clone(),
            share: share.map(|bytes| to_base64(&bytes)),
            trace: trace.clone(),
        });
        Call { digest, operation, bodies }
    }
}

pub(crate) fn reply_key() -> SealKey {
    SealKey::from_random(&random())
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn rng() -> rand_chacha::ChaCha20Rng {
    rand_chacha::rand_core::SeedableRng::from_seed(random())
}

/// An HTTP client that trusts exactly the TLS keys of the roster.
pub(crate) fn client(roster: &Roster) -> reqwest::Client {
    let _ = default_provider().install_default();
    let pins = Pins(roster.nodes.iter().map(|node| node.tls_key).collect());
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pins))
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

#[derive(Debug)]
struct Pins(Vec<Digest>);

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
        let key = Digest(Sha256::digest(parsed.subject_public_key_info()).into());
        if self.0.contains(&key) { Ok(ServerCertVerified::assertion()) } else { Err(rustls::Error::General("key".into())) }
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
