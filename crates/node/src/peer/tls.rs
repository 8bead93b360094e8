//! TLS 1.3 (RFC 8446) with pinned keys: what proves that a connection belongs to a node of the roster.
//!
//! There is no certificate authority. A node shows a self-signed certificate; its only meaning is the public key inside, and the
//! only question is whether SHA-256 over that key's DER `SubjectPublicKeyInfo` stands in the roster (RFC 7858, section 4.2, pins
//! in the same way). Names and dates in the certificate are not looked at: the roster, not a calendar, says which keys count. The
//! handshake signature is checked as in any TLS, so a copied certificate is of no use without its key.
//!
//! Out of scope: what travels inside (`frame`, `hello`); the certificate for browsers (`http::server`).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error as TlsError, PeerIncompatible,
    ServerConfig, SignatureScheme,
};
use types::{Digest, NodeId, roster::Roster};

use crate::Error;
use crate::identity::TlsKey;

/// Keeps this protocol apart from HTTPS on a mistaken port.
const ALPN: &[u8] = b"trust-commons-peer/1";

/// Accepts the keys of some nodes.
#[derive(Debug)]
struct Pins {
    keys: Vec<(NodeId, Digest)>,
    provider: Arc<CryptoProvider>,
}

impl Pins {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), TlsError> {
        let key = key_digest(certificate)?;
        if self.keys.iter().any(|(_, pinned)| *pinned == key) {
            return Ok(());
        }
        let nodes: Vec<String> = self.keys.iter().map(|(node, _)| node.to_string()).collect();
        let nodes = nodes.join(" or ");
        Err(TlsError::General(format!("its TLS key {key} is not the key of node {nodes} in this node's roster")))
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn no_tls12() -> TlsError {
    TlsError::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic)
}

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.check(certificate).map(|()| ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(no_tls12())
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signature(message, certificate, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pins {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(no_tls12())
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signature(message, certificate, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

/// SHA-256 over the DER `SubjectPublicKeyInfo` of a certificate: what the roster calls `tls_key`.
pub(crate) fn key_digest(certificate: &CertificateDer<'_>) -> Result<Digest, TlsError> {
    let parsed =
        ParsedCertificate::try_from(certificate).map_err(|_| TlsError::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(crate::identity::spki_digest(parsed.subject_public_key_info().as_ref()))
}

/// For dialling `peer`: shows this node's key, accepts only that node's key.
pub(crate) fn client(key: &TlsKey, roster: &Roster, peer: NodeId) -> Result<Arc<ClientConfig>, Error> {
    let pins = pins(roster, |id| id == peer);
    let (certificate, secret) = key.certificate("peer.invalid")?;
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&pins.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|b| b.dangerous().with_custom_certificate_verifier(pins).with_client_auth_cert(vec![certificate], secret))
        .map_err(|_| Error::Internal { what: "the TLS set-up for peers is complete" })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// For being dialled: nodes with a higher number dial those with a lower one, so only their keys are accepted.
pub(crate) fn server(key: &TlsKey, roster: &Roster, own: NodeId) -> Result<Arc<ServerConfig>, Error> {
    let pins = pins(roster, |id| id > own);
    let (certificate, secret) = key.certificate("peer.invalid")?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&pins.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|b| b.with_client_cert_verifier(pins).with_single_cert(vec![certificate], secret))
        .map_err(|_| Error::Internal { what: "the TLS set-up for peers is complete" })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// For HTTPS to `node`'s API: accepts only that node's key, shows none.
pub(crate) fn pinned_https(roster: &Roster, node: NodeId) -> Result<ClientConfig, Error> {
    let pins = pins(roster, |id| id == node);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&pins.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map(|b| b.dangerous().with_custom_certificate_verifier(pins).with_no_client_auth())
        .map_err(|_| Error::Internal { what: "the TLS set-up for peers is complete" })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn pins(roster: &Roster, accept: impl Fn(NodeId) -> bool) -> Arc<Pins> {
    let keys = roster.nodes.iter().filter(|n| accept(n.id)).map(|n| (n.id, n.tls_key)).collect();
    Arc::new(Pins { keys, provider: Arc::new(rustls::crypto::ring::default_provider()) })
}
