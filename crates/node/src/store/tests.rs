//! The directory: whose it is, what a torn file does, and that what is erased is gone.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use mpc::record::RecordShare;
use tempfile::TempDir;
use types::message::{Decision, Outcome, VERSION as MESSAGE_VERSION};
use types::roster::{Roster, RosterNode};
use types::sign::public_key;
use types::{DeviceKey, Digest, MemberId, NodeId, OperationId, ProfileId, Signature};

use super::*;

const PROFILE: &str = "id = 'vector-64'\nversion = 1\nmodality = 'test'\ndescription = 'random vectors'\n[matching]\n\
    kind = 'embedding'\ndimensions = 64\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\nnorm_max = 1.05\n";
const FRAME: usize = 40 + 128;

fn roster(seed: u8) -> Roster {
    let node = |id: NodeId| RosterNode {
        id,
        operator: String::new(),
        url: format!("http://127.0.0.1:{}", id.number()),
        peer_address: format!("127.0.0.1:{}", id.number()),
        signing_key: public_key(&SigningKey::from_bytes(&[seed + id.number(); 32])),
        log_key: public_key(&SigningKey::from_bytes(&[100 + id.number(); 32])),
        seal_key: Digest([1; 32]),
        tls_key: Digest([id.number(); 32]),
    };
    let profiles = vec![Profile::from_toml(PROFILE).unwrap()];
    let nodes = NodeId::ALL.map(node).to_vec();
    Roster { version: types::roster::VERSION, commons: "test".to_owned(), throw_away: true, nodes, profiles }
}

fn node() -> NodeId {
    NodeId::ALL[0]
}

async fn created() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Store::create(dir.path()).await.unwrap();
    dir
}

async fn open(dir: &TempDir) -> Result<Store, Error> {
    Store::open(dir.path(), node(), &roster(1)).await
}

fn segment(dir: &TempDir) -> PathBuf {
    dir.path().join("shares/vector-64/000000.seg")
}

fn bytes(dir: &TempDir) -> Vec<u8> {
    std::fs::read(segment(dir)).unwrap()
}

fn profile() -> ProfileId {
    ProfileId::new("vector-64").unwrap()
}

fn values(n: u8) -> RecordShare {
    RecordShare::from_values(vec![u16::from_le_bytes([n, n | 0x80]); 64])
}

async fn append(store: &Store, n: u8) -> ShareRef {
    let share = OwnedShare { profile: profile(), record: OperationId([n; 16]), values: values(n) };
    let place = store.append(vec![share]).await.unwrap()[0];
    ShareRef { profile: profile(), place }
}

/// Batch `number` of one decision, on batches of one decision each whose log entries are their numbers.
fn batch(number: u64, previous: Digest, n: u8, outcome: Outcome, effect: Effect) -> Batch {
    let logged = |number: u64| number.to_le_bytes().to_vec();
    let mut log = tlog::Peaks::default();
    (1..=number).for_each(|number| log.append(tlog::merkle::leaf_hash(&logged(number))));
    let decision = Decision {
        version: MESSAGE_VERSION,
        commons: roster(1).digest(),
        operation: OperationId([n; 16]),
        request: Digest([n; 32]),
        batch: number,
        decided_at: 100,
        charter: Digest([8; 32]),
        log_index: number - 1,
        outcome,
    };
    let entry = Entry { decision, device: DeviceKey([n & 0x0F; 32]), log: logged(number), effect };
    let (session, entries) = ([number.to_le_bytes()[0]; 16], vec![entry]);
    Batch { session, number, previous, time: 100, entries, log_size: log.size(), log_root: log.root() }
}

fn trace(n: u8) -> types::TraceKey {
    types::TraceKey::from_random([n; 32])
}

/// Admits record `n` as batch `number` into slot `number - 1`.
async fn admit(store: &Store, number: u64, n: u8) -> Batch {
    let share = append(store, n).await;
    let member = MemberId([n; 16]);
    let effect = Effect::Admit { share, profile_version: 1, slot: u32::try_from(number).unwrap() - 1, trace: trace(n) };
    let chain = store.chain().await.unwrap();
    let batch = batch(number, chain.head, n, Outcome::Enrolled { member }, effect);
    store.prepare(&batch).await.unwrap();
    store.commit(&batch, &[[Signature([0; 64]); 3]], 1000).await.unwrap();
    batch
}

#[tokio::test]
async fn a_directory_belongs_to_one_node_of_one_commons_in_one_process() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(open(&dir).await, Err(Error::NoStore { .. })));
    Store::create(dir.path()).await.unwrap();
    assert!(matches!(Store::create(dir.path()).await, Err(Error::StoreExists { .. })));
    let store = open(&dir).await.unwrap();
    assert!(matches!(open(&dir).await, Err(Error::StoreLocked { .. })));
    store.close().await;
    drop(store);
    let other = Store::open(dir.path(), NodeId::ALL[2], &roster(1)).await;
    assert!(matches!(other, Err(Error::OtherNode { found, expected, .. }) if found == node() && expected == NodeId::ALL[2]));
    assert!(matches!(Store::open(dir.path(), node(), &roster(9)).await, Err(Error::OtherRoster { .. })));
    assert!(open(&dir).await.is_ok());
}

#[tokio::test]
async fn newer_files_are_left_alone() {
    let dir = created().await;
    let pool = SqlitePool::connect_with(options(&dir.path().join(META))).await.unwrap();
    sqlx::query("UPDATE store SET version = 2").execute(&pool).await.unwrap();
    assert!(matches!(open(&dir).await, Err(Error::NewerStore { found: 2, known: 1, .. })));
    sqlx::query("UPDATE store SET version = 1").execute(&pool).await.unwrap();
    pool.close().await;

    let store = open(&dir).await.unwrap();
    append(&store, 1).await;
    drop(store);
    let file = OpenOptions::new().write(true).open(segment(&dir)).unwrap();
    file.write_all_at(&[9, 0], 8).unwrap();
    assert!(matches!(open(&dir).await, Err(Error::NewerStore { found: 9, known: 1, .. })));
    file.write_all_at(&[1, 0, 2], 8).unwrap();
    assert!(matches!(open(&dir).await, Err(Error::Damaged { .. })), "node 2's file");
}

#[tokio::test]
async fn a_torn_end_is_cut_off_and_what_never_came_into_use_is_erased() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 1, 0x11).await;
    append(&store, 0x22).await;
    drop(store);
    let mut file = OpenOptions::new().append(true).open(segment(&dir)).unwrap();
    file.write_all(&[0x77; 100]).unwrap();
    assert_eq!(bytes(&dir).len(), 64 + 2 * FRAME + 100);

    let store = open(&dir).await.unwrap();
    let after = bytes(&dir);
    assert_eq!(after.len(), 64 + 2 * FRAME);
    assert!(!after.contains(&0x77) && !after.contains(&0x22) && after.contains(&0x11));
    let member = store.member(&DeviceKey([1; 32])).await.unwrap().unwrap();
    let share = store.share(member.records[0].share.clone()).await.unwrap();
    assert_eq!(&share[..], values(0x11).values());
    // The file goes on after the erased frame.
    admit(&store, 2, 0x33).await;
    let gallery = store.gallery(&roster(1).profiles[0]).await.unwrap();
    assert_eq!((gallery.len(), gallery.record(1)), (2, values(0x33).values().to_vec()));
}

#[tokio::test]
async fn an_unfinished_header_is_written_again() {
    let dir = created().await;
    drop(open(&dir).await.unwrap());
    std::fs::write(segment(&dir), b"TCSHA").unwrap();
    let store = open(&dir).await.unwrap();
    append(&store, 5).await;
    assert_eq!(bytes(&dir).len(), 64 + FRAME);
}

#[tokio::test]
async fn damage_to_a_share_in_use_stops_the_node() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 1, 0x11).await;
    drop(store);
    let mut file = OpenOptions::new().read(true).write(true).open(segment(&dir)).unwrap();
    let position = 64 + 40 + 17;
    let mut byte = [0];
    file.seek(SeekFrom::Start(position)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.write_all_at(&[byte[0] ^ 1], position).unwrap();
    let store = open(&dir).await.unwrap();
    assert!(matches!(store.gallery(&roster(1).profiles[0]).await, Err(Error::Damaged { .. })));
    drop(store);
    file.write_all_at(&byte, position).unwrap();
    assert!(open(&dir).await.unwrap().gallery(&roster(1).profiles[0]).await.is_ok());
    file.set_len(64 + 100).unwrap();
    assert!(matches!(open(&dir).await, Err(Error::Damaged { .. })));
    std::fs::remove_file(segment(&dir)).unwrap();
    assert!(matches!(open(&dir).await, Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn a_withdrawn_member_leaves_no_byte() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 1, 0xA1).await;
    let kept = admit(&store, 2, 0xB2).await;
    let effect = Effect::Erase { records: vec![(profile(), 0)] };
    let withdrawal = batch(3, kept.head(), 0xC1, Outcome::Withdrawn { records: 1 }, effect);
    store.prepare(&withdrawal).await.unwrap();
    store.commit(&withdrawal, &[[Signature([0; 64]); 3]], 1000).await.unwrap();
    // A crash before the bytes are overwritten: the next start does it.
    drop(store);
    let store = open(&dir).await.unwrap();
    let file = bytes(&dir);
    assert!(file[64 + 40..64 + FRAME].iter().all(|byte| *byte == 0));
    assert!(!file.contains(&0xA1) && file.contains(&0xB2));
    store.erase_listed().await.unwrap();

    assert_eq!(store.member(&DeviceKey([1; 32])).await.unwrap(), None);
    assert!(store.outcome(&OperationId([0xA1; 16]), &DeviceKey([1; 32])).await.unwrap().is_none());
    assert!(store.outcome(&OperationId([0xC1; 16]), &DeviceKey([1; 32])).await.unwrap().is_some());
    let gallery = store.gallery(&roster(1).profiles[0]).await.unwrap();
    assert!(gallery.is_masked(0) && !gallery.is_masked(1));
    store.close().await;
    // The member id, sixteen times 0xA1, is nowhere in the database either.
    let database = std::fs::read(dir.path().join(META)).unwrap();
    assert!(!database.windows(16).any(|window| window == [0xA1; 16]));
    assert!(database.windows(16).any(|window| window == [0xB2; 16]));
}

#[tokio::test]
async fn a_promise_survives_and_can_be_taken_back() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    let share = append(&store, 0x44).await;
    let effect = Effect::Admit { share, profile_version: 1, slot: 0, trace: trace(0x44) };
    let promised = batch(1, store.chain().await.unwrap().head, 0x44, Outcome::Duplicate, effect);
    store.prepare(&promised).await.unwrap();
    assert!(store.prepare(&promised).await.is_err(), "one promise at a time");
    drop(store);
    let store = open(&dir).await.unwrap();
    assert_eq!(store.prepared().await.unwrap().as_ref(), Some(&promised));
    assert!(bytes(&dir).contains(&0x44), "its share is kept");
    store.discard(&promised).await.unwrap();
    assert!(store.prepared().await.unwrap().is_none() && !bytes(&dir).contains(&0x44));
    assert_eq!(store.chain().await.unwrap().committed, 0);
}

#[tokio::test]
async fn operation_ids_are_noted_once_and_forgotten_in_time() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    let (one, two) = (OperationId([1; 16]), OperationId([2; 16]));
    assert_eq!(store.note_operations(&[(one, 10), (two, 20), (one, 10)]).await.unwrap(), [true, true, false]);
    drop(store);
    let store = open(&dir).await.unwrap();
    store.forget(15).await.unwrap();
    assert_eq!(store.note_operations(&[(one, 10), (two, 20)]).await.unwrap(), [true, false]);
}

#[tokio::test]
async fn imported_records_are_searched_after_the_next_start() {
    let dir = created().await;
    let profile = Profile::from_toml(PROFILE).unwrap();
    let records = |range: std::ops::Range<u8>| -> Vec<RecordShare> { range.map(values).collect() };
    for range in [0..3, 3..4, 4..9] {
        let store = open(&dir).await.unwrap();
        store.import(&profile.id, records(range)).await.unwrap();
        store.import(&profile.id, Vec::new()).await.unwrap();
        store.close().await;
    }
    let store = open(&dir).await.unwrap();
    let gallery = store.gallery(&profile).await.unwrap();
    assert_eq!((gallery.len(), store.record_counts().await.unwrap()[0].1), (9, 9));
    for slot in 0..9 {
        assert_eq!(gallery.record(slot), values(u8::try_from(slot).unwrap()).values());
    }
}

#[tokio::test]
async fn a_commons_with_real_keys_imports_nothing() {
    let dir = created().await;
    let mut roster = roster(1);
    roster.throw_away = false;
    let store = Store::open(dir.path(), node(), &roster).await.unwrap();
    let refused = store.import(&profile(), vec![values(1)]).await;
    assert!(matches!(refused, Err(Error::Config { .. })));
    assert_eq!(store.record_counts().await.unwrap()[0].1, 0);
}
