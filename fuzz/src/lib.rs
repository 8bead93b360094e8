//! One function per decoder: it may refuse the bytes, and must neither panic, nor take more memory than its input is worth, nor
//! accept two encodings of one value. [`TARGETS`] names them all, each with seeds: encodings that are accepted.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use types::message::{Certificate, Request, Statement};
use types::profile::Profile;
use types::roster::Roster;
use types::share::SamplePackage;
use types::sign::Signed;
use types::{NodeId, OperationId, ProfileId};

pub mod log;
pub mod personas;
pub mod recovery;
pub mod rules;
mod seeds;
pub mod web;

/// A decoder under test.
pub struct Target {
    /// As in `cargo fuzz run NAME`.
    pub name: &'static str,
    /// Decodes the bytes and checks what must hold.
    pub run: fn(&[u8]),
    /// Encodings that are accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Inputs in a smoke run; fewer for what touches the disk.
    pub smoke: usize,
}

/// Every decoder of bytes from outside.
pub const TARGETS: [Target; 38] = [
    Target { name: "request", run: request, seeds: seeds::requests, smoke: 100_000 },
    Target { name: "certificate", run: certificate, seeds: seeds::certificates, smoke: 100_000 },
    Target { name: "statement", run: statement, seeds: seeds::statements, smoke: 100_000 },
    Target { name: "share_package", run: share_package, seeds: seeds::share_packages, smoke: 100_000 },
    Target { name: "roster", run: roster, seeds: seeds::rosters, smoke: 10_000 },
    Target { name: "profile", run: profile, seeds: seeds::profiles, smoke: 20_000 },
    Target { name: "json_body", run: json_body, seeds: seeds::json_bodies, smoke: 50_000 },
    Target { name: "npy", run: npy, seeds: seeds::npys, smoke: 100_000 },
    Target { name: "index", run: index, seeds: seeds::indexes, smoke: 50_000 },
    Target { name: "vector", run: vector, seeds: seeds::vectors, smoke: 50_000 },
    Target { name: "picture", run: picture, seeds: seeds::pictures, smoke: 5_000 },
    Target { name: "key_file", run: key_file, seeds: seeds::key_files, smoke: 50_000 },
    Target { name: "peer_frame", run: peer_frame, seeds: seeds::peer_frames, smoke: 50_000 },
    Target { name: "control_message", run: control_message, seeds: seeds::control_messages, smoke: 100_000 },
    Target { name: "segment", run: segment, seeds: seeds::segments, smoke: 300 },
    Target { name: "handover_manifest", run: handover_manifest, seeds: seeds::manifests, smoke: 50_000 },
    Target { name: "log_entry", run: log::log_entry, seeds: log::entries, smoke: 100_000 },
    Target { name: "signed_note", run: log::signed_note, seeds: log::notes, smoke: 20_000 },
    Target { name: "add_checkpoint", run: log::add_checkpoint, seeds: log::requests, smoke: 20_000 },
    Target { name: "witness_reply", run: log::witness_reply, seeds: log::replies, smoke: 20_000 },
    Target { name: "tile", run: log::tile, seeds: log::tiles_and_bundles, smoke: 50_000 },
    Target { name: "log_policy", run: log::log_policy, seeds: log::policies, smoke: 10_000 },
    Target { name: "tlog_proof", run: log::tlog_proof, seeds: log::proofs, smoke: 10_000 },
    Target { name: "log_conflict", run: log::log_conflict, seeds: log::conflicts, smoke: 10_000 },
    Target { name: "log_evidence", run: log::log_evidence, seeds: log::evidence, smoke: 10_000 },
    Target { name: "monitor_state", run: log::monitor_state, seeds: log::states, smoke: 20_000 },
    Target { name: "charter_document", run: rules::charter_document, seeds: rules::charters, smoke: 5_000 },
    Target { name: "judged_request", run: rules::judged_request, seeds: rules::requests, smoke: 5_000 },
    Target { name: "receipt", run: rules::receipt, seeds: rules::receipts, smoke: 5_000 },
    Target { name: "guardian_text", run: recovery::guardian_text, seeds: recovery::texts, smoke: 5_000 },
    Target { name: "guarding", run: recovery::guarding, seeds: recovery::guardings, smoke: 100_000 },
    Target { name: "authorize_query", run: web::authorize_query, seeds: web::queries, smoke: 50_000 },
    Target { name: "proof_request", run: web::proof_request, seeds: web::proof_requests, smoke: 20_000 },
    Target { name: "web_token", run: web::web_token, seeds: web::tokens, smoke: 20_000 },
    Target { name: "sd_jwt", run: web::sd_jwt, seeds: web::credentials, smoke: 20_000 },
    Target { name: "persona", run: personas::persona, seeds: personas::personas, smoke: 2_000 },
    Target { name: "escrow", run: personas::escrow, seeds: personas::shares, smoke: 2_000 },
    Target { name: "wallet", run: personas::wallet, seeds: personas::wallets, smoke: 5_000 },
];

/// What is accepted has one encoding only: signatures are over bytes.
fn one_encoding(bytes: &[u8], again: &[u8]) {
    assert_eq!(bytes, again, "two encodings of one value");
}

/// A signed request, as it comes in a body.
pub fn request(bytes: &[u8]) {
    if let Ok(signed) = Signed::<Request>::from_bytes(bytes) {
        one_encoding(bytes, &signed.to_bytes());
        let _ = signed.verify(&signed.message.device);
    }
}

/// A certificate, as a client or a peer gets it.
pub fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::from_bytes(bytes) {
        one_encoding(bytes, &certificate.to_bytes());
    }
}

/// What a remaining node states of what it hands to a new one.
pub fn handover_manifest(bytes: &[u8]) {
    if let Ok(signed) = Signed::<node::store::handover::Manifest>::from_bytes(bytes) {
        one_encoding(bytes, &signed.to_bytes());
    }
}

/// A signed statement.
pub fn statement(bytes: &[u8]) {
    if let Ok(signed) = Signed::<Statement>::from_bytes(bytes) {
        one_encoding(bytes, &signed.to_bytes());
    }
}

/// What a node finds in a sealed share.
pub fn share_package(bytes: &[u8]) {
    if let Ok(package) = SamplePackage::from_bytes(bytes) {
        one_encoding(bytes, &package.to_bytes());
    }
}

/// A roster file; what is accepted can be written and read again.
pub fn roster(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(roster) = Roster::from_toml(text) {
        let again = Roster::from_toml(&roster.to_toml().expect("an accepted roster can be written"));
        assert_eq!(again.expect("and read again").digest(), roster.digest());
    }
}

/// A profile file; whatever is accepted can be matched with without wrapping.
pub fn profile(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(profile) = Profile::from_toml(text) {
        let _ = profile.digest();
        let matching = &profile.matching;
        assert!(matching.input_len() <= types::limits::TEMPLATE_COORDINATES);
        assert!(matching.record_len() >= matching.input_len() && matching.probe_rows() >= 1);
        assert!(matching.offset() < 1 << 15);
    }
}

/// JSON bodies of requests and answers.
pub fn json_body(bytes: &[u8]) {
    use types::api::{CommonsBody, DecisionBody, Problem, RequestBody, StatementBody, from_base64};
    if let Ok(body) = serde_json::from_slice::<RequestBody>(bytes) {
        let _ = from_base64("request", &body.request).map(|bytes| request(&bytes));
    }
    if let Ok(body) = serde_json::from_slice::<DecisionBody>(bytes) {
        let _ = from_base64("certificate", &body.certificate).map(|bytes| certificate(&bytes));
    }
    let _ = serde_json::from_slice::<StatementBody>(bytes);
    let _ = serde_json::from_slice::<CommonsBody>(bytes);
    let _ = serde_json::from_slice::<Problem>(bytes);
}

/// A table of templates; every row of an accepted one can be read.
pub fn npy(bytes: &[u8]) {
    if let Ok(table) = biometric::npy::Npy::parse(bytes) {
        for row in [0, table.rows().saturating_sub(1)] {
            let _ = table.row(row);
            let _ = table.row_bytes(row);
        }
        assert!(table.row(table.rows()).is_none());
    }
}

/// The index beside a table.
pub fn index(bytes: &[u8]) {
    if let Ok(entries) = biometric::index::parse(bytes) {
        let rows: BTreeSet<usize> = entries.iter().map(|entry| entry.row).collect();
        assert_eq!(rows.len(), entries.len(), "every row once");
    }
}

/// One vector as JSON.
pub fn vector(bytes: &[u8]) {
    let _ = biometric::vector::from_json(bytes);
}

/// A photograph.
pub fn picture(bytes: &[u8]) {
    biometric::capture::decode_only(bytes);
}

/// A member's key file. Costs are bounded before they are paid: a changed file fails on them or on its seal.
pub fn key_file(bytes: &[u8]) {
    // A file with its cost intact would take Argon2's time; what comes before that is what is parsed.
    if seeds::key_files().first().and_then(|seed| seed.get(..18)) != bytes.get(..18) {
        let _ = client::MemberKey::open(bytes, b"guess");
    }
}

/// What comes over a link after the handshake: as many frames as the bytes hold.
pub fn peer_frame(bytes: &[u8]) {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime =
        RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
    runtime.block_on(node::peer::read_frames(bytes));
}

/// A message between sequencers.
pub fn control_message(bytes: &[u8]) {
    if let Ok(message) = node::link::ControlMessage::from_bytes(bytes) {
        one_encoding(bytes, &message.to_bytes());
    }
}

/// The two files of a segment of shares, as a node finds them on its disk: the beginning of the index, then that of the lines. The
/// rest of both, up to the length that they must have, is zero.
pub fn segment(bytes: &[u8]) {
    use node::store::ShareRef;
    use node::store::segment::{Segments, Slots};
    let Ok(folder) = tempfile::tempdir() else { return };
    let profile = seeds::small_profile();
    let shares = folder.path().join(profile.id.as_str());
    let (index, lines) = bytes.split_at(bytes.len().min(seeds::SEGMENT_INDEX));
    let [index_len, lines_len] = seeds::segment_lengths();
    let write = |name: &str, bytes: &[u8], len: u64| -> std::io::Result<()> {
        std::fs::create_dir_all(&shares)?;
        std::fs::write(shares.join(name), bytes)?;
        // Longer files stay so: they must be refused.
        let file = std::fs::File::options().write(true).open(shares.join(name))?;
        file.set_len(len.max(bytes.len() as u64))
    };
    if write("000000.idx", index, index_len).and_then(|()| write("000000.seg", lines, lines_len)).is_err() {
        return;
    }
    let slots = Slots { len: 2, ..Slots::default() };
    let (id, known) = (profile.id.clone(), [(profile.id.clone(), slots)].into());
    if let Ok(segments) = Segments::open(folder.path(), NodeId::ALL[0], &[profile], 0, &known) {
        // What is accepted at the start is whole.
        for slot in 0..2 {
            let share = segments.read(&ShareRef { profile: id.clone(), slot }).expect("a share that was checked");
            let gallery = segments.gallery(&id).expect("a gallery").read().expect("nobody panicked").record(slot);
            assert_eq!(*share, gallery);
        }
    }
}

/// Used by [`seeds`] and the smoke test.
fn operation(byte: u8) -> OperationId {
    OperationId([byte; 16])
}

fn profile_id() -> ProfileId {
    ProfileId::new("face-4").expect("a good name")
}
