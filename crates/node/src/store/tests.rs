//! The directory: whose it is, what a torn file does, and that what is erased is gone.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use mpc::record::RecordShare;
use tempfile::TempDir;
use types::message::{Decision, Outcome, VERSION as MESSAGE_VERSION};
use types::profile::Profile;
use types::roster::{Roster, RosterNode};
use types::sign::public_key;
use types::{DeviceKey, Digest, MemberId, NodeId, OperationId, ProfileId, Signature};

use super::*;

const PROFILE: &str = "id = 'vector-64'\nversion = 1\nmodality = 'test'\ndescription = 'random vectors'\n[matching]\n\
    kind = 'embedding'\ndimensions = 64\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\nnorm_max = 1.05\n";
/// Length of the index file: a header and 65536 entries.
const INDEX: u64 = 64 + 32 * 65_536;
/// Length of the file of lines: 65536 records of 64 words.
const LINES: u64 = 65_536 * 128;

fn roster(seed: u8) -> Roster {
    let node = |id: NodeId| RosterNode {
        id,
        operator: String::new(),
        url: format!("http://127.0.0.1:{}", id.number()),
        peer_address: format!("127.0.0.1:{}", id.number()),
        signing_key: public_key(&SigningKey::from_bytes(&[seed + id.number(); 32])),
        log_key: public_key(&SigningKey::from_bytes(&[100 + id.number(); 32])),
        seal_key: Digest([1; 32]),
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
        tls_key: Digest([id.number(); 32]),
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

fn index(dir: &TempDir) -> PathBuf {
    dir.path().join("shares/vector-64/000000.idx")
}

/// The first group of records, as it lies on the disk.
fn bytes(dir: &TempDir) -> Vec<u8> {
    let mut bytes = vec![0; 16 * 128];
    OpenOptions::new().read(true).open(segment(dir)).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Changes one bit of a file.
fn flip(path: &Path, position: u64, bit: u8) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << bit], position).unwrap();
}

fn stored(store: &Store, slot: u32) -> Vec<u16> {
    store.gallery(&profile()).unwrap().read().unwrap().record(slot)
}

/// Slots in use, as searches see them.
fn in_use(store: &Store) -> Vec<u32> {
    let gallery = store.gallery(&profile()).unwrap();
    let gallery = gallery.read().unwrap();
    (0..u32::try_from(gallery.len()).unwrap()).filter(|slot| !gallery.is_masked(*slot)).collect()
}

fn profile() -> ProfileId {
    ProfileId::new("vector-64").unwrap()
}

fn values(n: u8) -> RecordShare {
    RecordShare::from_values(vec![u16::from_le_bytes([n, n | 0x80]); 64])
}

async fn append(store: &Store, n: u8) -> ShareRef {
    let share = OwnedShare { profile: profile(), record: OperationId([n; 16]), values: values(n) };
    let slot = store.append(vec![share]).await.unwrap()[0];
    ShareRef { profile: profile(), slot }
}

fn logged(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// Batch `number` of one decision, on batches of one decision each whose log entries are their numbers.
fn batch(number: u64, previous: Digest, n: u8, outcome: Outcome, effect: Effect) -> Batch {
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
    let entry = Entry { decision, device: DeviceKey([n & 0x0F; 32]), log: logged(number), effect, trail: Trail::default() };
    let (session, entries) = ([number.to_le_bytes()[0]; 16], vec![entry]);
    Batch { session, number, previous, time: 100, entries, log_size: log.size(), log_root: log.root() }
}

fn trace(n: u8) -> types::TraceKey {
    types::TraceKey::from_random([n; 32])
}

const VOTES: [[Signature; 3]; 1] = [[Signature([0; 64]); 3]];

/// Commits `batch`, which has one entry, and brings the galleries up to it.
async fn decide(store: &Store, batch: &Batch) {
    store.prepare(batch).await.unwrap();
    store.commit(batch, &VOTES, 1000).await.unwrap();
    store.settle(batch).await.unwrap();
}

async fn admission(store: &Store, n: u8) -> Batch {
    let share = append(store, n).await;
    let chain = store.chain().await.unwrap();
    let effect = Effect::Admit { share, profile_version: 1, trace: trace(n) };
    batch(chain.committed + 1, chain.head, n, Outcome::Enrolled { member: MemberId([n; 16]) }, effect)
}

async fn admit(store: &Store, n: u8) -> Batch {
    let batch = admission(store, n).await;
    decide(store, &batch).await;
    batch
}

/// The withdrawal of the record in `slot`, whose device has number `device`.
async fn withdrawal(store: &Store, device: u8, slot: u32) -> Batch {
    let chain = store.chain().await.unwrap();
    let effect = Effect::Erase { records: vec![(profile(), slot)] };
    batch(chain.committed + 1, chain.head, 0xC0 | device, Outcome::Withdrawn { records: 1 }, effect)
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
async fn files_of_other_versions_are_left_alone() {
    let dir = created().await;
    let pool = SqlitePool::connect_with(options(&dir.path().join(META))).await.unwrap();
    sqlx::query("UPDATE store SET version = 3").execute(&pool).await.unwrap();
    assert!(matches!(open(&dir).await, Err(Error::NewerStore { found: 3, known: 2, .. })));
    sqlx::query("UPDATE store SET version = 1").execute(&pool).await.unwrap();
    assert!(matches!(open(&dir).await, Err(Error::OlderStore { found: 1, known: 2, .. })));
    sqlx::query("UPDATE store SET version = 2").execute(&pool).await.unwrap();
    pool.close().await;

    let store = open(&dir).await.unwrap();
    admit(&store, 1).await;
    drop(store);
    let file = OpenOptions::new().write(true).open(index(&dir)).unwrap();
    file.write_all_at(&[9, 0], 8).unwrap();
    assert!(matches!(open(&dir).await, Err(Error::NewerStore { found: 9, known: 2, .. })));
    file.write_all_at(&[2, 0, 2], 8).unwrap();
    assert!(matches!(open(&dir).await, Err(Error::Damaged { .. })), "node 2's file");
}

#[tokio::test]
async fn what_never_came_into_use_is_erased() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 0x11).await;
    append(&store, 0x22).await;
    drop(store);
    assert!(bytes(&dir).contains(&0x22));

    let store = open(&dir).await.unwrap();
    assert!(!bytes(&dir).contains(&0x22) && bytes(&dir).contains(&0x11));
    let member = store.member(&DeviceKey([1; 32])).await.unwrap().unwrap();
    let share = store.share(&member.member, &member.records[0]).await.unwrap().unwrap();
    assert_eq!(&share[..], values(0x11).values());
    // The slot goes to the next.
    admit(&store, 0x33).await;
    assert_eq!((in_use(&store), stored(&store, 1)), (vec![0, 1], values(0x33).values().to_vec()));
}

#[tokio::test]
async fn a_share_whose_index_entry_a_power_cut_lost_is_erased_too() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 0x11).await;
    append(&store, 0x22).await;
    drop(store);
    let file = OpenOptions::new().write(true).open(index(&dir)).unwrap();
    file.write_all_at(&[0; 32], 64 + 32).unwrap();
    drop(open(&dir).await.unwrap());
    assert!(!bytes(&dir).contains(&0x22) && bytes(&dir).contains(&0x11));
}

#[tokio::test]
async fn an_entry_without_its_share_harms_nobody() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 0x11).await;
    let kept = bytes(&dir);
    append(&store, 0x22).await;
    drop(store);
    // The power cut kept the entry, or half of it, and lost the lines.
    for cut in [32, 20] {
        OpenOptions::new().write(true).open(segment(&dir)).unwrap().write_all_at(&kept, 0).unwrap();
        let file = OpenOptions::new().write(true).open(index(&dir)).unwrap();
        file.write_all_at(&[0x55; 32][..cut], 64 + 32).unwrap();
        let store = open(&dir).await.unwrap();
        assert_eq!((in_use(&store), bytes(&dir)), (vec![0], kept.clone()));
    }
    let store = open(&dir).await.unwrap();
    admit(&store, 0x33).await;
    assert_eq!(stored(&store, 1), values(0x33).values());
}

#[tokio::test]
async fn a_segment_that_was_not_finished_is_made_again() {
    let dir = created().await;
    drop(open(&dir).await.unwrap());
    std::fs::write(segment(&dir), []).unwrap();
    std::fs::write(index(&dir), b"TCSHA").unwrap();
    let store = open(&dir).await.unwrap();
    assert!(!segment(&dir).exists() && !index(&dir).exists());
    append(&store, 5).await;
    let len = |path: PathBuf| std::fs::metadata(path).unwrap().len();
    assert_eq!((len(segment(&dir)), len(index(&dir))), (LINES, INDEX));
}

#[tokio::test]
async fn damage_to_a_share_in_use_stops_the_node() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 0x11).await;
    admit(&store, 0x12).await;
    drop(store);
    // Place 0 has the first four bytes of every line, place 1 the next four. An entry has 32 bytes.
    let places =
        [(segment(&dir), 0), (segment(&dir), 31 * 64 + 7), (index(&dir), 64), (index(&dir), 64 + 63), (index(&dir), 20)];
    for (path, position) in places {
        flip(&path, position, 5);
        assert!(matches!(open(&dir).await, Err(Error::Damaged { .. })), "byte {position} of {}", path.display());
        flip(&path, position, 5);
        assert!(open(&dir).await.is_ok());
    }
    // Bytes beside the records are nobody's.
    flip(&segment(&dir), 40, 1);
    assert!(open(&dir).await.is_ok());
}

#[tokio::test]
async fn a_share_that_is_damaged_under_a_running_node_is_not_given_out() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 0x11).await;
    let member = store.member(&DeviceKey([1; 32])).await.unwrap().unwrap();
    flip(&segment(&dir), 3, 0);
    assert!(matches!(store.share(&member.member, &member.records[0]).await, Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn a_file_of_another_length_is_damage_and_no_signal() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    admit(&store, 0x11).await;
    drop(store);
    for (path, len) in [(segment(&dir), LINES), (index(&dir), INDEX)] {
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        for wrong in [0, 64, 100, 4096, len - 1, len + 1] {
            let whole = std::fs::read(&path).unwrap();
            file.set_len(wrong).unwrap();
            assert!(matches!(open(&dir).await, Err(Error::Damaged { .. })), "{wrong} bytes of {}", path.display());
            std::fs::write(&path, whole).unwrap();
        }
        assert!(open(&dir).await.is_ok());
        std::fs::rename(&path, dir.path().join("away")).unwrap();
        assert!(matches!(open(&dir).await, Err(Error::Damaged { .. })));
        std::fs::rename(dir.path().join("away"), &path).unwrap();
    }
}

#[tokio::test]
async fn a_withdrawn_member_leaves_no_byte() {
    for crash in [false, true] {
        let dir = created().await;
        let store = open(&dir).await.unwrap();
        admit(&store, 0xA1).await;
        admit(&store, 0xB2).await;
        let gone = store.member(&DeviceKey([1; 32])).await.unwrap().unwrap();
        let withdrawal = withdrawal(&store, 1, 0).await;
        store.prepare(&withdrawal).await.unwrap();
        store.commit(&withdrawal, &VOTES, 1000).await.unwrap();
        if !crash {
            store.settle(&withdrawal).await.unwrap();
        }
        // A crash before the bytes are overwritten: the next start does it.
        assert_eq!(bytes(&dir).contains(&0xA1), crash);
        drop(store);
        let store = open(&dir).await.unwrap();
        assert!(!bytes(&dir).contains(&0xA1) && bytes(&dir).contains(&0xB2));
        let entries = std::fs::read(index(&dir)).unwrap();
        assert!(entries[64..96].iter().all(|byte| *byte == 0) && entries[96..128].contains(&0xB2));

        assert_eq!(store.member(&DeviceKey([1; 32])).await.unwrap(), None);
        assert_eq!(store.share(&gone.member, &gone.records[0]).await.unwrap(), None);
        assert!(store.outcome(&OperationId([0xA1; 16]), &DeviceKey([1; 32])).await.unwrap().is_none());
        assert!(store.outcome(&OperationId([0xC1; 16]), &DeviceKey([1; 32])).await.unwrap().is_some());
        assert_eq!((in_use(&store), store.record_counts().await.unwrap()[0].1), (vec![1], 1));
        store.close().await;
        // The member id, sixteen times 0xA1, is nowhere in the database either.
        let database = std::fs::read(dir.path().join(META)).unwrap();
        assert!(!database.windows(16).any(|window| window == [0xA1; 16]));
        assert!(database.windows(16).any(|window| window == [0xB2; 16]));
    }
}

#[tokio::test]
async fn the_lowest_free_slot_is_the_next_and_nobody_reads_who_came_after() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    for n in 1..=4 {
        admit(&store, n).await;
    }
    let second = store.member(&DeviceKey([2; 32])).await.unwrap().unwrap();
    for (device, slot) in [(2, 1), (3, 2)] {
        let withdrawal = withdrawal(&store, device, slot).await;
        decide(&store, &withdrawal).await;
    }
    assert_eq!(in_use(&store), [0, 3]);
    admit(&store, 5).await;
    assert_eq!((in_use(&store), stored(&store, 1)), (vec![0, 1, 3], values(5).values().to_vec()));
    // Whoever looked the row up before the withdrawal finds nothing now, and not the newcomer's share.
    assert_eq!(store.share(&second.member, &second.records[0]).await.unwrap(), None);
    let withdrawal = withdrawal(&store, 4, 3).await;
    decide(&store, &withdrawal).await;
    drop(store);
    let store = open(&dir).await.unwrap();
    assert_eq!(store.gallery(&profile()).unwrap().read().unwrap().len(), 2, "cut off after the last record");
    admit(&store, 6).await;
    assert_eq!(in_use(&store), [0, 1, 2]);
}

#[tokio::test]
async fn one_batch_may_erase_the_last_record_and_bring_new_ones() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    for n in 1..=3 {
        admit(&store, n).await;
    }
    let mut both = withdrawal(&store, 3, 2).await;
    both.entries.extend(admission(&store, 9).await.entries);
    let before = store.log().await.unwrap();
    let after = both.entries.iter().fold(before, |mut log, entry| {
        log.append(tlog::merkle::leaf_hash(&entry.log));
        log
    });
    (both.log_size, both.log_root) = (after.size(), after.root());
    store.prepare(&both).await.unwrap();
    store.commit(&both, &[VOTES[0], VOTES[0]], 1000).await.unwrap();
    store.settle(&both).await.unwrap();
    let expected = (vec![0, 1, 3], values(9).values().to_vec());
    assert_eq!((in_use(&store), stored(&store, 3)), expected);
    drop(store);
    let store = open(&dir).await.unwrap();
    assert_eq!((in_use(&store), stored(&store, 3)), expected);
    assert_eq!(append(&store, 4).await.slot, 2);
}

#[tokio::test]
async fn a_promise_survives_and_can_be_taken_back() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    let promised = admission(&store, 0x44).await;
    store.prepare(&promised).await.unwrap();
    assert!(store.prepare(&promised).await.is_err(), "one promise at a time");
    drop(store);
    let store = open(&dir).await.unwrap();
    assert_eq!(store.prepared().await.unwrap().as_ref(), Some(&promised));
    assert!(bytes(&dir).contains(&0x44) && in_use(&store).is_empty(), "its share is kept, and not in use");
    store.discard(&promised).await.unwrap();
    assert!(store.prepared().await.unwrap().is_none() && !bytes(&dir).contains(&0x44));
    assert_eq!(store.chain().await.unwrap().committed, 0);
    // A promise that is kept after a crash.
    let promised = admission(&store, 0x55).await;
    store.prepare(&promised).await.unwrap();
    drop(store);
    let store = open(&dir).await.unwrap();
    store.commit(&promised, &VOTES, 1000).await.unwrap();
    store.settle(&promised).await.unwrap();
    assert_eq!((in_use(&store), stored(&store, 0)), (vec![0], values(0x55).values().to_vec()));
}

#[tokio::test]
async fn damage_to_a_promised_share_stops_the_node() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    let promised = admission(&store, 0x44).await;
    store.prepare(&promised).await.unwrap();
    drop(store);
    flip(&segment(&dir), 64, 7);
    assert!(matches!(open(&dir).await, Err(Error::Damaged { .. })));
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
    assert_eq!((in_use(&store), store.record_counts().await.unwrap()[0].1), ((0..9).collect(), 9));
    for slot in 0..9 {
        assert_eq!(stored(&store, slot), values(u8::try_from(slot).unwrap()).values());
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

/// Where a node may fall while records move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fall {
    Nowhere,
    BeforeSettling,
    AfterCopying,
    AfterRenaming,
}

#[tokio::test]
async fn the_last_records_move_into_the_holes_wherever_the_node_falls() {
    for fall in [Fall::Nowhere, Fall::BeforeSettling, Fall::AfterCopying, Fall::AfterRenaming] {
        let dir = created().await;
        let store = open(&dir).await.unwrap();
        store.import(&profile(), (0..200).map(values).collect()).await.unwrap();
        let mut leave = withdrawal(&store, 1, 0).await;
        if let Some(entry) = leave.entries.first_mut() {
            entry.effect = Effect::Erase { records: (0..90).map(|slot| (profile(), slot)).collect() };
        }
        store.prepare(&leave).await.unwrap();
        store.commit(&leave, &VOTES, 1000).await.unwrap();
        // 90 holes of 200 slots are too many until 11 have been filled: 79 of 189.
        let moves: Vec<(u32, u32)> = (0..11).map(|to| (199 - to, to)).collect();
        match fall {
            Fall::Nowhere => store.settle(&leave).await.unwrap(),
            Fall::BeforeSettling => {}
            Fall::AfterCopying | Fall::AfterRenaming => {
                store.segments.mask(&profile(), 0..90).unwrap();
                store.erase_listed().await.unwrap();
                let found = compact::moves(&store.gallery(&profile()).unwrap().read().unwrap(), 512);
                assert_eq!(found, moves);
                store.segments.copy(&profile(), &moves).unwrap();
                if fall == Fall::AfterRenaming {
                    slots::move_records(&store.write, &profile(), &moves).await.unwrap();
                }
            }
        }
        let mut store = store;
        // As it is after the moves, and as a start finds it.
        for starts in 0..3 {
            if starts > 0 || fall != Fall::Nowhere {
                drop(store);
                store = open(&dir).await.unwrap();
            }
            let expected: Vec<u32> = (0..11).chain(90..189).collect();
            assert_eq!(in_use(&store), expected, "{fall:?}");
            for slot in expected {
                let record = moves.iter().find(|(_, to)| *to == slot).map_or(slot, |(from, _)| *from);
                assert_eq!(stored(&store, slot), values(u8::try_from(record).unwrap()).values(), "{fall:?}, slot {slot}");
            }
            assert_eq!(store.record_counts().await.unwrap()[0].1, 110);
            // No byte is left where nobody is: groups of 16 records, four bytes of each in a line.
            let lines = std::fs::read(segment(&dir)).unwrap();
            let left =
                |slot: usize| lines[slot / 16 * 2048..][..2048].chunks(64).flat_map(move |l| &l[slot % 16 * 4..][..4]);
            assert!((11..90).chain(189..208).all(|slot| left(slot).all(|byte| *byte == 0)), "{fall:?}");
        }
    }
}

#[tokio::test]
async fn an_inspection_finds_damage_and_changes_nothing() {
    let dir = created().await;
    let inspect = async || Store::inspect(dir.path(), node(), &roster(1)).await;
    assert_eq!(inspect().await.unwrap().records[0].1, 0);
    let store = open(&dir).await.unwrap();
    admit(&store, 0x11).await;
    append(&store, 0x22).await;
    let running = inspect().await.unwrap();
    assert_eq!((running.chain.committed, running.records[0].1, running.verified), (1, 1, false));
    drop(store);
    let before = bytes(&dir);
    assert!(inspect().await.unwrap().verified);
    assert_eq!(bytes(&dir), before, "what is left of a crash is for a start to erase");
    flip(&segment(&dir), 1, 1);
    assert!(matches!(inspect().await, Err(Error::Damaged { .. })));
    flip(&segment(&dir), 1, 1);
    let other = Store::inspect(dir.path(), NodeId::ALL[1], &roster(1)).await;
    assert!(matches!(other, Err(Error::OtherNode { .. })));
    assert!(matches!(Store::inspect(Path::new("/nowhere"), node(), &roster(1)).await, Err(Error::NoStore { .. })));
}

const BEGUN: u8 = 0xE0;

async fn begin_refresh(store: &Store, number: u64, epoch: u64) -> Batch {
    let previous = store.chain().await.unwrap().head;
    let seed = mpc::refresh::Seed::from_bytes([BEGUN; 32]);
    batch(
        number,
        previous,
        BEGUN | number.to_le_bytes()[0],
        Outcome::RefreshBegun { epoch },
        Effect::BeginRefresh { epoch, seed },
    )
}

async fn end_refresh(store: &Store, number: u64, epoch: u64) -> Batch {
    let previous = store.chain().await.unwrap().head;
    batch(number, previous, BEGUN | number.to_le_bytes()[0], Outcome::Refreshed { epoch }, Effect::EndRefresh { epoch })
}

/// What the share of record `n` is in epoch 1.
fn renewed(n: u8) -> Vec<u16> {
    let seed = mpc::refresh::Seed::from_bytes([BEGUN; 32]);
    let mut values = values(n).values().to_vec();
    mpc::refresh::Refresh::new(node(), &roster(1).profiles[0].digest(), &seed).apply(&[n; 16], &mut values);
    values
}

/// Slots of the records 1, 2, ... in the store, by what lies there in `epoch` 0 or 1.
fn holds(store: &Store, slot: u32, n: u8, epoch: u64) -> bool {
    stored(store, slot) == if epoch == 0 { values(n).values().to_vec() } else { renewed(n) }
}

fn epochs_on_disk(dir: &TempDir) -> Vec<String> {
    let above = dir.path().join("shares/vector-64");
    let names = std::fs::read_dir(above).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn changes_during_a_refresh_are_in_both_epochs() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    for n in 1..=3 {
        let batch = admission(&store, n).await;
        decide(&store, &batch).await;
    }
    let begin = begin_refresh(&store, 4, 1).await;
    decide(&store, &begin).await;
    assert!(!store.is_refreshed(1));
    // One comes before the new files are made, one after; one leaves.
    let batch = admission(&store, 4).await;
    decide(&store, &batch).await;
    assert!(!store.refresh_shares(|| true).await.unwrap(), "stopped early");
    assert!(store.refresh_shares(|| false).await.unwrap() && store.is_refreshed(1));
    let batch = admission(&store, 5).await;
    decide(&store, &batch).await;
    let leave = withdrawal(&store, 2, 1).await;
    decide(&store, &leave).await;
    assert!(store.is_refreshed(1) && in_use(&store) == [0, 2, 3, 4]);
    assert!(holds(&store, 0, 1, 0) && holds(&store, 4, 5, 0));

    let number = store.chain().await.unwrap().committed + 1;
    let end = end_refresh(&store, number, 1).await;
    decide(&store, &end).await;
    assert_eq!(store.epoch().await.unwrap().present, 1);
    assert!(store.epoch().await.unwrap().coming.is_none() && in_use(&store) == [0, 2, 3, 4]);
    for (slot, n) in [(0, 1), (2, 3), (3, 4), (4, 5)] {
        assert!(holds(&store, slot, n, 1), "slot {slot}");
    }
    assert_eq!(stored(&store, 1), [0; 64], "who left is gone from the new files");
    let batch = admission(&store, 6).await;
    decide(&store, &batch).await;
    store.close().await;
    drop(store);
    let store = open(&dir).await.unwrap();
    assert_eq!(epochs_on_disk(&dir), ["e000001"]);
    // The newcomer of the new epoch is kept as it came, in the slot of the one who left.
    assert!(holds(&store, 1, 6, 0) && holds(&store, 0, 1, 1));
}

#[tokio::test]
async fn a_start_finishes_or_repeats_what_a_refresh_left() {
    for fall in 0..5 {
        let dir = created().await;
        let store = open(&dir).await.unwrap();
        let batch = admission(&store, 1).await;
        decide(&store, &batch).await;
        let begin = begin_refresh(&store, 2, 1).await;
        decide(&store, &begin).await;
        let end = end_refresh(&store, 3, 1).await;
        if fall > 0 {
            store.refresh_shares(|| false).await.unwrap();
        }
        if fall > 1 {
            store.prepare(&end).await.unwrap();
        }
        if fall > 2 {
            store.commit(&end, &VOTES, 1000).await.unwrap();
        }
        if fall > 3 {
            store.segments.switch(1).unwrap();
        }
        store.close().await;
        drop(store);
        let store = open(&dir).await.unwrap();
        let present = u64::from(fall > 2);
        assert_eq!(store.epoch().await.unwrap().present, present, "{fall}");
        assert!(holds(&store, 0, 1, present), "{fall}");
        if fall == 2 {
            // Promised: the new files are there again, and the commit can follow.
            assert!(store.is_refreshed(1));
            store.commit(&end, &VOTES, 1000).await.unwrap();
            store.settle(&end).await.unwrap();
        }
        if fall < 2 {
            assert_eq!(epochs_on_disk(&dir), ["000000.idx", "000000.seg"], "what was half made is gone");
            store.refresh_shares(|| false).await.unwrap();
            decide(&store, &end).await;
        }
        assert!(holds(&store, 0, 1, 1) && store.epoch().await.unwrap().coming.is_none());
        store.close().await;
        drop(store);
        open(&dir).await.unwrap();
        assert_eq!(epochs_on_disk(&dir), ["e000001"], "{fall}");
    }
}

#[tokio::test]
async fn files_of_another_epoch_are_refused() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    let batch = admission(&store, 1).await;
    decide(&store, &batch).await;
    let old = [segment(&dir), index(&dir)].map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(path).unwrap()));
    let begin = begin_refresh(&store, 2, 1).await;
    decide(&store, &begin).await;
    store.refresh_shares(|| false).await.unwrap();
    let end = end_refresh(&store, 3, 1).await;
    decide(&store, &end).await;
    store.close().await;
    drop(store);
    // Somebody puts back the share files of a backup.
    for (name, bytes) in old {
        std::fs::write(dir.path().join("shares/vector-64/e000001").join(name), bytes).unwrap();
    }
    let error = open(&dir).await.err().unwrap();
    assert!(matches!(&error, Error::Damaged { what, .. } if what.contains("epoch")), "{error}");
}

#[tokio::test]
async fn a_damaged_share_stops_a_refresh_and_leaves_the_present_files() {
    let dir = created().await;
    let store = open(&dir).await.unwrap();
    let batch = admission(&store, 1).await;
    decide(&store, &batch).await;
    let begin = begin_refresh(&store, 2, 1).await;
    decide(&store, &begin).await;
    flip(&segment(&dir), 0, 3);
    assert!(matches!(store.refresh_shares(|| false).await, Err(Error::Damaged { .. })));
    assert!(!store.is_refreshed(1));
    flip(&segment(&dir), 0, 3);
    assert!(store.refresh_shares(|| false).await.unwrap() && store.is_refreshed(1));
}
