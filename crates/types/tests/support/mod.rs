//! A commons of made-up nodes.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected should panic")]

use ed25519_dalek::SigningKey;
use types::profile::Profile;
use types::roster::{Roster, RosterNode, VERSION};
use types::sign::public_key;
use types::{Digest, NodeId};

const PROFILE: &str = "version = 1\nmodality = 'test'\ndescription = 'random vectors'\n[matching]\n\
    kind = 'embedding'\ndimensions = 64\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\nnorm_max = 1.05\n";

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn node(id: NodeId, seed: u8) -> RosterNode {
    RosterNode {
        id,
        operator: format!("operator {seed}"),
        url: format!("https://node-{seed}.example"),
        peer_address: format!("node-{seed}.example:9443"),
        signing_key: public_key(&key(seed)),
        log_key: public_key(&key(100 + seed)),
        seal_key: Digest([seed; 32]),
        issuer_key: types::IssuerPublicKey([seed; 96]),
        tls_key: Digest([seed; 32]),
    }
}

pub(crate) fn profile(id: &str) -> Profile {
    Profile::from_toml(&format!("id = '{id}'\n{PROFILE}")).unwrap()
}

pub(crate) fn founding() -> Roster {
    let nodes = NodeId::ALL.map(|id| node(id, id.number())).to_vec();
    let profiles = vec![profile("vector-64")];
    let (commons, epochs) = ("test".to_owned(), types::Epochs::DAILY);
    let (throw_away, successions, additions) = (false, Vec::new(), Vec::new());
    let roster = Roster { version: VERSION, commons, throw_away, epochs, nodes, profiles, successions, additions };
    roster.check().unwrap();
    roster
}
