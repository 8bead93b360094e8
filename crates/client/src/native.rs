//! [`Transport`] over HTTP with the roster's TLS keys pinned, and [`Platform`] of an ordinary computer.
//!
//! TLS 1.3 only. A node's certificate is read for one thing, its public key: the SHA-256 over the SubjectPublicKeyInfo must be
//! the roster's `tls_key`. Names, issuers and dates in it do not matter. Plain HTTP is accepted on loopback alone, where the
//! three nodes of `commons dev` live; answers are verified there all the same.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Url;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest as _, Sha256};
use types::roster::{Roster, RosterNode};
use types::{Digest, NodeId, UnixSeconds};

use crate::platform::{Pending, Platform};
use crate::transport::{ANSWER_BODY_BYTES, Answer, Call, Silence, Transport};
use crate::{Client, Error};

/// A client over HTTP on this machine.
pub type NativeClient = Client<HttpTransport, SystemPlatform>;

impl NativeClient {
    /// A client of the commons of `roster`, with pooled connections.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::Types`], [`Error::Http`].
    pub fn connect(roster: Roster) -> Result<Self, Error> {
        roster.check()?;
        let transport = HttpTransport::new(&roster)?;
        Self::new(roster, transport, SystemPlatform)
    }
}

/// The system's clock, randomness and timers (a tokio runtime must be running).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemPlatform;

impl Platform for SystemPlatform {
    fn now(&self) -> UnixSeconds {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }
    fn random(&self) -> Result<[u8; 32], Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
        Ok(bytes)
    }
    fn sleep(&self, time: Duration) -> Pending<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

/// Pooled HTTP connections to the three nodes.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    nodes: Vec<(reqwest::Client, Url)>,
}

/// Longest wait for one answer. A node answers an operation when its batch is decided.
const ANSWER_TIME: Duration = Duration::from_secs(60);
const CONNECT_TIME: Duration = Duration::from_secs(5);
const IDLE_CONNECTIONS: usize = 256;

impl HttpTransport {
    /// One client per node, each with that node's key pinned.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::Http`].
    pub fn new(roster: &Roster) -> Result<Self, Error> {
        let nodes = roster.nodes.iter().map(|node| Ok((http_client(node)?, base_url(node)?)));
        Ok(Self { nodes: nodes.collect::<Result<_, Error>>()? })
    }
}

impl Transport for HttpTransport {
    fn call(&self, node: NodeId, call: Call, body: Option<Vec<u8>>) -> Pending<'_, Result<Answer, Silence>> {
        Box::pin(async move {
            let (client, base) = self.nodes.get(node.index()).ok_or(Silence::Unreached)?;
            let mut url = base.clone();
            url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), call.path()));
            let request = match body {
                Some(body) => client.post(url).header("content-type", "application/json").body(body),
                None => client.get(url),
            };
            let mut response = request.send().await.map_err(|error| silence(&error))?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|_| Silence::Lost)? {
                if body.len() + chunk.len() > ANSWER_BODY_BYTES {
                    return Err(Silence::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Answer { status: response.status().as_u16(), body })
        })
    }
}

fn http_client(node: &RosterNode) -> Result<reqwest::Client, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(PinnedKey { key: node.tls_key, provider: provider.clone() });
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| Error::Http)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_TIME)
        .connect_timeout(CONNECT_TIME)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .tcp_nodelay(true);
    if base_url(node)?.scheme() == "http" {
        // A proxy has no business on loopback.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|_| Error::Http)
}

/// HTTPS anywhere, plain HTTP on loopback.
fn base_url(node: &RosterNode) -> Result<Url, Error> {
    let bad = |rule| Error::BadUrl { node: node.id, rule };
    let url = Url::parse(&node.url).map_err(|_| bad("write it like https://one.example:8443"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) || host == "localhost";
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(bad("plain http is accepted on this machine (loopback) only; use https")),
        _ => Err(bad("use https")),
    }
}

/// Why there is no answer. An error before or while connecting means that the node saw nothing.
fn silence(error: &reqwest::Error) -> Silence {
    if is_wrong_key(error) {
        Silence::WrongKey
    } else if error.is_connect() || error.is_builder() {
        Silence::Unreached
    } else {
        Silence::Lost
    }
}

/// Looks for rustls' verdict in the chain of causes; an I/O error keeps its cause inside rather than as its source.
fn is_wrong_key(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inside.is_some_and(|inside| is_wrong_key(inside)) || error.source().is_some_and(is_wrong_key)
}

/// Accepts exactly one public key.
#[derive(Debug)]
struct PinnedKey {
    key: Digest,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let key: [u8; 32] = Sha256::digest(parsed.subject_public_key_info().as_ref()).into();
        if Digest(key) == self.key {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
