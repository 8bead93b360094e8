//! Encodings that are accepted, made from small values.

use ed25519_dalek::SigningKey;
use types::consent::Purpose;
use types::message::{
    Action, Certificate, Decision, Former, Grant, MemberStatement, Outcome, RecordStatement, Request, ShareSample,
    Statement, Submission, VERSION,
};
use types::persona::{Binding, Claim, ClaimKind, Issued, LastIssue, Refused, SecretShare};
use types::profile::Profile;
use types::recovery::{GuardedStatement, Guarding, RecoveryFault, Released};
use types::roster::{Roster, RosterNode};
use types::share::{Component, SamplePackage, SharePackage};
use types::sign::{Signed, public_key};
use types::{Digest, Epoch, MemberId, NodeId, PartyId, RecoveryName, Signature, TraceKey};

use super::{operation, profile_id};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    let (purpose, note, charter) = (Purpose::deduplication(), "a note".to_owned(), Digest([9; 32]));
    let grant = Grant { purpose, note, not_before: 10, expires_at: 20, uses: 1, charter };
    let submission = Submission {
        profile: profile_id(),
        profile_digest: Digest([4; 32]),
        commitments: [Digest([5; 32]), Digest([6; 32]), Digest([7; 32])],
        former: Some(Former {
            profile: profile_id(),
            profile_digest: Digest([8; 32]),
            commitments: [Digest([9; 32]), Digest([10; 32]), Digest([11; 32])],
        }),
        grant,
        station: None,
        vouchers: Vec::new(),
    };
    let actions = [
        Action::Enrol(submission.clone()),
        Action::Renew(submission.clone()),
        Action::Verify(submission),
        Action::Refresh { epoch: 7 },
        Action::Switch { epoch: 7 },
        Action::Status,
        Action::Withdraw { profile: Some(profile_id()) },
        Action::Inspect { reply_key: [8; 32] },
        Action::Outcome { operation: operation(9) },
        Action::Bind(Binding { commitment: Digest([5; 32]), request: [6; 144], slope: [7; 48] }),
        Action::Issue { epoch: Epoch(20_000), claims: vec![claim()] },
    ];
    let signed = |action| {
        let device = public_key(&key());
        let (commons, trace) = (Digest([1; 32]), Digest([2; 32]));
        let (operation, issued_at, expires_at) = (operation(2), 10, 20);
        let request = Request { version: VERSION, commons, operation, device, issued_at, expires_at, trace, action };
        Signed::new(request, &key()).to_bytes()
    };
    actions.into_iter().map(signed).collect()
}

fn claim() -> Signed<Claim> {
    let (kind, value) = (ClaimKind::AgeBand, "18-29".to_owned());
    let party = PartyId::new("clinic").expect("a name");
    let (commons, device) = (Digest([1; 32]), public_key(&key()));
    Signed::new(Claim { commons, device, kind, value, party, expires_at: 20 }, &key())
}

pub(super) fn manifests() -> Vec<Vec<u8>> {
    let manifest = |mask_for_other| node::store::handover::Manifest {
        succession: Digest([1; 32]),
        from: NodeId::ALL[1],
        committed: 7,
        head: Digest([2; 32]),
        prepared: Some(Digest([3; 32])),
        log_size: 9,
        log_root: Digest([4; 32]),
        epoch: 1,
        tables: Digest([5; 32]),
        shares: vec![(profile_id(), 3)],
        mask: Digest([6; 32]),
        mask_for_other,
    };
    [None, Some(vec![7; 80])].map(|mask| Signed::new(manifest(mask), &key()).to_bytes()).into()
}

pub(super) fn certificates() -> Vec<Vec<u8>> {
    let member = MemberId([1; 16]);
    let outcomes = [
        Outcome::Enrolled { member },
        Outcome::Duplicate,
        Outcome::InvalidTemplate,
        Outcome::Verified { matched: true },
        Outcome::Withdrawn { records: 2 },
        Outcome::RecoveryRefused { fault: RecoveryFault::Altered { approval: 1 } },
        Outcome::Recovered { member, former: public_key(&key()), grants: 1 },
        Outcome::NotRenewed,
        Outcome::Refreshed { epoch: 3 },
    ];
    let certificate = |outcome| {
        let (commons, request) = (Digest([1; 32]), Digest([2; 32]));
        let (operation, charter) = (operation(3), Digest([5; 32]));
        let (version, batch, decided_at, log_index) = (VERSION, 4, 5, 6);
        let decision = Decision { version, commons, operation, request, batch, decided_at, charter, log_index, outcome };
        Certificate { decision, signatures: [Signature([6; 64]); 3] }.to_bytes()
    };
    outcomes.into_iter().map(certificate).collect()
}

pub(super) fn statements() -> Vec<Vec<u8>> {
    let sample = ShareSample { values: vec![1, 2, 3, 4], digest: Digest([9; 32]) };
    let record = RecordStatement { profile: profile_id(), batch: 1, since: 2, share_bytes: 8, sample: Some(sample) };
    let member = MemberStatement {
        member: MemberId([1; 16]),
        since: 3,
        records: vec![record],
        metadata_bytes: 60,
        shield: Some(4),
        grants: Vec::new(),
        asks: Vec::new(),
        guarded: Some(guarded()),
        former: vec![public_key(&key())],
        bound: Some(Digest([5; 32])),
        last_issue: Some(LastIssue { epoch: Epoch(20_000), at: 6 }),
        refused: vec![Refused { at: 7, action: "issue".to_owned(), rule: "shield-up".to_owned() }],
    };
    let statement = |member| {
        let (commons, request) = (Digest([1; 32]), Digest([2; 32]));
        let statement = Statement {
            version: VERSION,
            commons,
            node: NodeId::ALL[0],
            request,
            at: 5,
            batch: 6,
            charter: Digest([3; 32]),
            member,
            party: None,
            ask: None,
            events: Vec::new(),
            guarded: Some(guarded()),
            released: Some(Released {
                member: MemberId([1; 16]),
                trace: Some(TraceKey::from_random([2; 32])),
                share: Some(SecretShare([3; 65])),
            }),
            replaced: Some(7),
            issued: Some(Issued { epoch: Epoch(20_000), attributes: vec![0; 4], signature: [7; 80] }),
        };
        Signed::new(statement, &key()).to_bytes()
    };
    vec![statement(None), statement(Some(member))]
}

fn guarded() -> GuardedStatement {
    let guarding = Guarding { version: 1, need: 2, next_need: None, guardians: Vec::new() };
    GuardedStatement { name: RecoveryName([3; 16]), guarding, recoveries: Vec::new() }
}

pub(super) fn share_packages() -> Vec<Vec<u8>> {
    let components = [Component::Seed([1; 32]), Component::Values(vec![1, 2, 3, u32::MAX])];
    let template = SharePackage { node: NodeId::ALL[2], components, salts: [[2; 32], [3; 32]] };
    let moving = SamplePackage { template: template.clone(), former: Some(template.clone()) };
    vec![SamplePackage { template, former: None }.to_bytes(), moving.to_bytes()]
}

const PROFILE: &str = "id = \"face-4\"\nversion = 1\nmodality = \"face\"\ndescription = \"small\"\n[matching]\nkind = \"embedding\"\n\
    dimensions = 4\nscale = 100\nclamp = 128\ncosine_threshold = 0.5\nnorm_min = 0.9\nnorm_max = 1.1\n";
const IRIS: &str = "id = \"iris-4\"\nversion = 1\nmodality = \"iris\"\ndescription = \"small\"\n[matching]\nkind = \"iris-code\"\nrows = 2\n\
    columns = 4\nwavelets = 1\nrotations = 3\ndot_weight = 2\nmask_weight = 1\nmask_min = 3\n";

pub(super) fn small_profile() -> Profile {
    Profile::from_toml(PROFILE).expect("a good profile")
}

pub(super) fn profiles() -> Vec<Vec<u8>> {
    vec![PROFILE.as_bytes().to_vec(), IRIS.as_bytes().to_vec()]
}

pub(super) fn rosters() -> Vec<Vec<u8>> {
    let node = |id: NodeId| RosterNode {
        id,
        operator: "an operator".to_owned(),
        url: "https://one.example:8443".to_owned(),
        peer_address: "one.example:9443".to_owned(),
        signing_key: public_key(&node_key(id)),
        log_key: types::DeviceKey([100 + id.number(); 32]),
        seal_key: Digest([id.number(); 32]),
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
        tls_key: Digest([10 + id.number(); 32]),
    };
    let nodes = NodeId::ALL.into_iter().map(node).collect();
    let roster = Roster {
        version: types::roster::VERSION,
        commons: "a commons".to_owned(),
        throw_away: true,
        epochs: types::Epochs::DAILY,
        successions: Vec::new(),
        additions: Vec::new(),
        nodes,
        profiles: vec![small_profile()],
    };
    let iris = Profile::from_toml(IRIS).expect("a good profile");
    let mut added = roster.add(iris).expect("a profile of another name");
    for id in NodeId::ALL {
        added.sign_addition(&node_key(id)).expect("the nodes sign in order");
    }
    [roster, added].map(|roster| roster.to_toml().expect("a roster can be written").into_bytes()).to_vec()
}

fn node_key(id: NodeId) -> SigningKey {
    SigningKey::from_bytes(&[id.number(); 32])
}

pub(super) fn json_bodies() -> Vec<Vec<u8>> {
    let request = requests().first().map(|bytes| types::api::to_base64(bytes)).unwrap_or_default();
    let certificate = certificates().first().map(|bytes| types::api::to_base64(bytes)).unwrap_or_default();
    vec![
        format!("{{\"request\":\"{request}\",\"share\":\"AAAA\"}}").into_bytes(),
        format!("{{\"certificate\":\"{certificate}\",\"outcome\":\"enrolled\",\"operation\":\"00\",\"batch\":1}}").into_bytes(),
        br#"{"type":"x","title":"t","status":503,"code":"unavailable","detail":"d","unavailable_nodes":[2]}"#.to_vec(),
        br#"{"commons":"c","roster":"r","node":1,"version":"0","profiles":[],"batch":0,"records":{},"peers":[{"node":2,"available":true}]}"#
            .to_vec(),
    ]
}

pub(super) fn npys() -> Vec<Vec<u8>> {
    let file = |kind: &str, rows: usize, columns: usize, width: usize| {
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        while !(header.len() + 11).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let length = u16::try_from(header.len()).expect("a short header");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(vec![1; rows * columns * width]);
        bytes
    };
    vec![file("<f2", 2, 4, 2), file("<f4", 2, 4, 4), file("<f8", 1, 3, 8), file("|u1", 3, 5, 1)]
}

pub(super) fn indexes() -> Vec<Vec<u8>> {
    vec![b"row,subject,sample\n0,A,1\n1,A,2\n2,B,1\n".to_vec(), b"row,speaker\n0,V1\n".to_vec()]
}

pub(super) fn vectors() -> Vec<Vec<u8>> {
    vec![b"[0.1, -2e-3, 4]".to_vec(), b"{\"vector\": [0.1, 0.2]}".to_vec()]
}

pub(super) fn pictures() -> Vec<Vec<u8>> {
    let mut pgm = b"P5\n8 8\n255\n".to_vec();
    pgm.extend(0..64);
    // One grey pixel as PNG, and the beginning of a JPEG.
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82";
    let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb\0C\0\x08\x06\x06\x07\x06\x05\x08\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xd9";
    vec![pgm, png.to_vec(), jpeg.to_vec()]
}

pub(super) fn key_files() -> Vec<Vec<u8>> {
    static SEALED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let sealed = SEALED.get_or_init(|| {
        let key = client::MemberKey::from_random(&[1; 32]);
        let cost = client::keyfile::Cost { memory_kib: 8, passes: 1, lanes: 1 };
        key.seal(b"secret", cost, &[2; 40])
            .or_else(|_| key.seal(b"secret", client::keyfile::Cost::default(), &[2; 40]))
            .expect("a key file")
    });
    vec![sealed.clone()]
}

pub(super) fn peer_frames() -> Vec<Vec<u8>> {
    node::peer::sample_frames()
}

pub(super) fn control_messages() -> Vec<Vec<u8>> {
    use node::link::{ControlMessage, OperationRef, Proposal, SessionId};
    let session = SessionId([1; 16]);
    let operations = vec![OperationRef { operation: operation(1), request: Digest([2; 32]) }];
    let proposal =
        Proposal { session, number: 1, time: 4, head: Digest([3; 32]), prefix: true, operations: operations.clone() };
    [
        ControlMessage::State { committed: 1, head: Digest([1; 32]), unreachable: vec![NodeId::ALL[1]] },
        ControlMessage::Have { operations: operations.clone() },
        ControlMessage::Dropped { operations: operations.clone(), node: NodeId::ALL[2] },
        ControlMessage::Shields { requests: Vec::new() },
        ControlMessage::Acts { requests: Vec::new() },
        ControlMessage::Propose(proposal),
        ControlMessage::Refuse { session, missing: operations },
        ControlMessage::Vote { session, batch: Digest([1; 32]), signatures: vec![Signature([2; 64])] },
        ControlMessage::Aborted { session, unreachable: Some(NodeId::ALL[0]) },
        ControlMessage::Certificates { session, batch: Digest([1; 32]), signatures: vec![[Signature([2; 64]); 3]] },
    ]
    .iter()
    .map(ControlMessage::to_bytes)
    .collect()
}

/// Bytes of the index in the input of the segment target: its header and two entries.
pub(super) const SEGMENT_INDEX: usize = 64 + 2 * 32;

/// Lengths of the index and of the file of lines: 65536 entries, and as many records padded to 64 words.
pub(super) fn segment_lengths() -> [u64; 2] {
    [64 + 32 * 65_536, 128 * 65_536]
}

pub(super) fn segments() -> Vec<Vec<u8>> {
    use node::store::NewShare;
    use node::store::segment::Segments;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = small_profile();
    let segments =
        Segments::open(folder.path(), NodeId::ALL[0], &[profile.clone()], 0, &Default::default()).expect("an empty store");
    let share = |byte| NewShare { profile: &profile.id, record: operation(byte), values: &[1, 2, 3, 4] };
    segments.append(&[share(1), share(2)]).expect("two shares");
    let read = |name: &str, len: usize| {
        let bytes = std::fs::read(folder.path().join(profile.id.as_str()).join(name)).expect("a file of the segment");
        bytes[..len].to_vec()
    };
    // The records are in the first group of 16, in the first line of each of its two planes.
    vec![[read("000000.idx", SEGMENT_INDEX), read("000000.seg", 17 * 64)].concat()]
}
