//! What another implementation of BBS, the npm package `@digitalbazaar/bbs-signatures`, accepts and refuses of ours: keys,
//! signatures and proofs of the plain interface; and under the interface with pseudonyms a credential's signature and a plain proof
//! of it. (Its pseudonyms follow an older draft, with another hash; zkryptium checks ours.)
//!
//! The exhibits are a file; `tests/peers/verify.mjs` judges it. Where the peer is not installed the test says so and does nothing:
//! `./x test` installs it and says where it is, by `COMMONS_PEERS_NODE_MODULES`.
#![allow(clippy::disallowed_methods, reason = "this test writes a file and starts a program")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use bls12_381_plus::Scalar;
use bls12_381_plus::group::Group;
use serde_json::{Value, json};

use super::group::{G1, write_point};
use super::suite::Interface;
use super::tests::{case, nym_header};
use super::*;

/// Of the plain interface.
const API_CORE: &[u8] = b"BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_H2G_HM2S_";
const PH: &[u8] = b"presentation header";

struct Exhibits(Vec<Value>, BTreeMap<String, bool>);

impl Exhibits {
    fn add(&mut self, name: &str, kind: &str, accept: bool, mut fields: Value) {
        fields.as_object_mut().unwrap().extend([("name".to_owned(), json!(name)), ("kind".to_owned(), json!(kind))]);
        self.0.push(fields);
        self.1.insert(name.to_owned(), accept);
    }
    /// `fields` as they are, and with one of them changed.
    fn add_with_fault(&mut self, name: &str, kind: &str, fields: &Value, fault: &str, field: &str, wrong: Value) {
        if !self.1.contains_key(name) {
            self.add(name, kind, true, fields.clone());
        }
        let mut faulty = fields.clone();
        faulty[field] = wrong;
        self.add(&format!("{name}: {fault}"), kind, false, faulty);
    }
}

fn hexes(list: &[Vec<u8>]) -> Vec<String> {
    list.iter().map(hex::encode).collect()
}

fn plain_proof(interface: &Interface, claimed: &Claimed<'_>, positions: &[usize]) -> Vec<u8> {
    let disclosed: BTreeMap<usize, Scalar> = positions.iter().map(|i| (*i, claimed.messages[*i])).collect();
    let shown = Shown { disclosed: &disclosed, presentation_header: PH, nym: None };
    prove(interface, claimed, &shown, &mut Stream::new(&[3; 32], "test", &[])).unwrap()
}

/// Abar and Bbar replaced by the identity.
fn with_identity(proof: &[u8]) -> String {
    let identity = write_point(&G1::identity());
    hex::encode([&identity, &identity, &proof[96..]].concat())
}

fn exhibits() -> Exhibits {
    let mut all = Exhibits(Vec::new(), BTreeMap::new());
    // Plain keys, signatures and proofs.
    let secret = key_from_material(&[7; 32], b"");
    let key = PublicKey::read(&public_key(&secret)).unwrap();
    let public = hex::encode(key.bytes);
    let fields = json!({ "seed": hex::encode([7; 32]), "publicKey": public });
    all.add_with_fault("key", "key", &fields, "another seed", "seed", json!(hex::encode([8; 32])));
    let octets: Vec<Vec<u8>> = (0..4u8).map(|i| vec![i; 10]).collect();
    let interface = Interface::new(API_CORE, 4, None);
    let messages: Vec<Scalar> = octets.iter().map(|m| message_scalar(API_CORE, m)).collect();
    let signature = sign(&interface, &secret, &key, b"header", &messages, &G1::identity(), &Scalar::ZERO).unwrap();
    let header = hex::encode("header");
    let mut changed = octets.clone();
    changed[2][0] ^= 1;
    let fields =
        json!({ "publicKey": public, "signature": hex::encode(signature), "header": header, "messages": hexes(&octets) });
    all.add_with_fault("signature", "signature", &fields, "altered message", "messages", json!(hexes(&changed)));
    all.add_with_fault("signature", "signature", &fields, "another header", "header", json!("00"));
    let claimed = Claimed { key: &key, header: b"header", signature: &signature, messages: &messages };
    let proof = plain_proof(&interface, &claimed, &[0, 2]);
    let disclosed = json!([hex::encode(&octets[0]), hex::encode(&octets[2])]);
    let fields = json!({ "publicKey": public, "proof": hex::encode(&proof), "header": header,
        "presentationHeader": hex::encode(PH), "disclosed": disclosed, "positions": [0, 2] });
    let wrong = json!([hex::encode(&octets[0]), hex::encode(&changed[2])]);
    all.add_with_fault("proof", "proof", &fields, "altered message", "disclosed", wrong);
    all.add_with_fault("proof", "proof", &fields, "another presentation header", "presentationHeader", json!("00"));
    all.add_with_fault("proof", "proof", &fields, "identity points", "proof", json!(with_identity(&proof)));

    // A credential: blind, with the secret of pseudonyms.
    let case = case(1);
    let public = hex::encode(case.key.bytes);
    let bound = nym_header(&case.header);
    let header = hex::encode(&bound);
    let secrets: Vec<String> = case.messages[6..].iter().map(|s| hex::encode(s.to_be_bytes())).collect();
    let fields = json!({ "publicKey": public, "signature": hex::encode(case.signature), "header": header,
        "messages": hexes(&case.octets), "secrets": secrets });
    let swapped = json!([secrets[1], secrets[0]]);
    all.add_with_fault("credential", "credential", &fields, "another secret", "secrets", swapped);
    let claimed = Claimed { key: &case.key, header: &bound, signature: &case.signature, messages: &case.messages };
    let proof = plain_proof(super::interface(), &claimed, &[1]);
    let fields = json!({ "publicKey": public, "proof": hex::encode(&proof), "header": header, "known": 6,
        "presentationHeader": hex::encode(PH), "disclosed": [hex::encode(&case.octets[1])], "positions": [1] });
    let other = json!([hex::encode(&case.octets[2])]);
    all.add_with_fault("credential proof", "credentialProof", &fields, "altered attribute", "disclosed", other);
    all.add_with_fault(
        "credential proof",
        "credentialProof",
        &fields,
        "identity points",
        "proof",
        json!(with_identity(&proof)),
    );
    all
}

#[test]
fn the_npm_implementation_agrees() {
    let Exhibits(cases, expected) = exhibits();
    let Some(modules) = std::env::var_os("COMMONS_PEERS_NODE_MODULES") else {
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "credential: SKIPPED, @digitalbazaar/bbs-signatures is not installed here: run the tests with `./x test`"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exhibits.json");
    std::fs::write(&file, serde_json::to_vec(&cases).unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/verify.mjs");
    let output = Command::new("node").arg(script).arg(modules).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "node ended with {}: {said}", output.status);
    let verdicts: BTreeMap<String, bool> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdicts, expected, "{said}");
}
