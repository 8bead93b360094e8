//! Over real TLS: the pinned key gets through, any other key gets nothing, plain HTTP only on loopback.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong should panic")]

use std::sync::Arc;

use client::native::HttpTransport;
use client::transport::{Answer, Call, Silence};
use client::{Error, Transport};
use ed25519_dalek::SigningKey;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use types::profile::Profile;
use types::roster::{Roster, RosterNode};
use types::sign::public_key;
use types::{Digest, NodeId};

const PROFILE: &str = "id = 'vector-8'\nversion = 1\nmodality = 'face'\ndescription = 'd'\n[matching]\nkind = 'embedding'\n\
    dimensions = 8\nscale = 100\nclamp = 64\ncosine_threshold = 0.4\nnorm_min = 0.9\nnorm_max = 1.05\n";

fn roster(url: &str, tls_key: Digest) -> Roster {
    let node = |id: NodeId| RosterNode {
        id,
        operator: "o".to_owned(),
        url: url.to_owned(),
        peer_address: "127.0.0.1:1".to_owned(),
        signing_key: public_key(&SigningKey::from_bytes(&[id.number(); 32])),
        log_key: public_key(&SigningKey::from_bytes(&[100 + id.number(); 32])),
        seal_key: Digest([id.number(); 32]),
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
        tls_key: if id.number() == 1 { tls_key } else { Digest([id.number(); 32]) },
    };
    let profiles = vec![Profile::from_toml(PROFILE).unwrap()];
    let nodes = NodeId::ALL.map(node).to_vec();
    Roster {
        version: types::roster::VERSION,
        commons: "test".to_owned(),
        throw_away: true,
        epochs: types::Epochs::DAILY,
        nodes,
        profiles,
        successions: Vec::new(),
        additions: Vec::new(),
    }
}

/// Serves the same answer to every connection; returns the URL and the key's hash.
async fn server(answer: &'static str) -> (String, Digest) {
    let key = KeyPair::generate().unwrap();
    let spki = Digest(Sha256::digest(key.subject_public_key_info()).into());
    let certificate = CertificateParams::new(vec!["anything.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (format!("https://{address}"), spki)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

async fn get(roster: &Roster, node: u8) -> Result<Answer, Silence> {
    HttpTransport::new(roster).unwrap().call(NodeId::new(node).unwrap(), Call::Commons, None).await
}

#[tokio::test]
async fn only_the_pinned_key_is_spoken_to() {
    let (url, key) = server(OK).await;
    let roster = roster(&url, key);
    assert_eq!(get(&roster, 1).await, Ok(Answer { status: 200, body: b"{}".to_vec() }));
    assert_eq!(get(&roster, 2).await, Err(Silence::WrongKey));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_and_a_redirect_not_followed() {
    let huge =
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned() + &"x".repeat(2 * client::transport::ANSWER_BODY_BYTES);
    let (url, key) = server(huge.leak()).await;
    assert_eq!(get(&roster(&url, key), 1).await, Err(Silence::TooLarge));
    let (url, key) = server("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    assert_eq!(get(&roster(&url, key), 1).await, Ok(Answer { status: 302, body: vec![] }));
}

#[tokio::test]
async fn a_closed_port_was_never_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(get(&roster(&url, Digest([1; 32])), 1).await, Err(Silence::Unreached));
}

#[test]
fn plain_http_is_for_loopback() {
    for good in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:2", "https://one.example/base"] {
        assert!(HttpTransport::new(&roster(good, Digest([1; 32]))).is_ok(), "{good}");
    }
    for bad in ["http://one.example", "http://10.0.0.1", "ftp://127.0.0.1", "one.example", "http://localhost.example"] {
        let made = HttpTransport::new(&roster(bad, Digest([1; 32])));
        assert!(matches!(made, Err(Error::BadUrl { .. })), "{bad}");
    }
}
