//! What the two remaining nodes hand to the one that takes a lost node's place, and how it becomes that node
//! (`docs/decisions/0016-rebuild.md`).
//!
//! Each remaining node, stopped, writes one file for the new one (`file`): a manifest that it signs, then, sealed to the new node, its
//! metadata without what is a node's own, its log's tiles, and for every stored share one masked term (`mpc::rebuild`; of members'
//! secrets `escrow`). The new node takes metadata and log from one file, holds what the two manifests say of them against each other
//! and against what it got, and adds the terms.
//!
//! **Crash safety**: everything is made in a directory of its own beside the store and checked there by opening it as a store; the
//! database moves last. Before that the node has an empty store, which serves nobody; a second attempt begins again.
//!
//! Out of scope: that the operators agree on the new node ([`types::succession`]).

mod escrow;
mod file;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::SigningKey;
use futures_util::TryStreamExt as _;
use mpc::rebuild::{Helper, combine};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest as _, Sha256};
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use types::profile::Profile;
use types::roster::Roster;
use types::seal::{self, HANDOVER, SealKey};
use types::sign::{Message, Signed};
use types::{Digest, NodeId, ProfileId};
use zeroize::Zeroizing;

use self::file::{Opening, Sealing};
use super::segment::{NewShare, Segments, Slots};
use super::{LOG, META, SHARES, Store, blocking, lock, options};
use crate::Error;

const MANIFEST_BYTES: usize = 16 * 1024;
/// Shares written at a time.
const TOGETHER: usize = 1024;
/// Where the new node's store is made.
const MAKING: &str = "rebuild";
/// Tables that are a node's own, or that nodes prune by their own clocks.
const OWN_TABLES: [&str; 12] = [
    "store",
    "checkpoints",
    "witnessed",
    "replays",
    "shields",
    "erasures",
    "log_entries",
    "outcomes",
    "refusals",
    "prepared",
    "renewed_bindings",
    "_sqlx_migrations",
];
/// The copy of the database, in the giver's own directory while it writes.
const COPY: &str = "handover.sqlite";

/// What a remaining node states of what it hands over. All but `from` and `mask_for_other` must be the same in both.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Manifest {
    /// [`types::succession::SuccessionStatement`] that this carries out.
    pub succession: Digest,
    /// Who states it.
    pub from: NodeId,
    /// Batches committed.
    pub committed: u64,
    /// Head of the chain after them.
    pub head: Digest,
    /// A batch that is promised and may be committed still.
    pub prepared: Option<Digest>,
    /// The log after them.
    pub log_size: u64,
    /// Its root.
    pub log_root: Digest,
    /// Of which epoch the shares are.
    pub epoch: u64,
    /// Over all tables that are the same on all nodes.
    pub tables: Digest,
    /// Shares handed over, per profile.
    pub shares: Vec<(ProfileId, u32)>,
    /// Commits to the key of the masks.
    pub mask: Digest,
    /// The key of the masks, sealed to the other remaining node; from whoever is first.
    pub mask_for_other: Option<Vec<u8>>,
}

impl Message for Manifest {
    const DOMAIN: &'static str = "trust-commons/v1/handover";
    const NAME: &'static str = "manifest of a handover";
    const LIMIT: usize = MANIFEST_BYTES;
}

/// Who hands over, under which keys.
pub struct Giver<'a> {
    /// Its number.
    pub node: NodeId,
    /// Signs the manifest.
    pub signing_key: &'a SigningKey,
    /// Opens the masks' key, where the other node was first.
    pub seal_key: &'a SealKey,
}

/// What a rebuilt node has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// Batches of the chain.
    pub batch: u64,
    /// Entries of the log.
    pub log_size: u64,
    /// Of which epoch the shares are.
    pub epoch: u64,
    /// Shares, per profile.
    pub shares: BTreeMap<String, u32>,
}

fn wrong(what: impl Into<String>) -> Error {
    Error::Handover { what: what.into() }
}

/// The succession that `roster` ends with.
fn succession(roster: &Roster) -> Result<(NodeId, Digest), Error> {
    let statement =
        roster.last_statement().ok_or_else(|| wrong("the roster replaces no node; make one with `commons-node succeed`"))?;
    Ok((statement.replaced, statement.digest()))
}

fn mask_digest(key: &[u8; 32]) -> Digest {
    Digest::of("trust-commons/v1/handover/mask", &[key])
}

/// Writes what `giver`, whose stopped node has `store`, hands over under `roster`, to the file `out`. `first` is the other
/// remaining node's file, or its beginning, when that was written before. What nodes erase by their own clocks has to be erased.
///
/// # Errors
/// [`Error::Handover`] when this node does not stand where the succession says; [`Error::Io`], [`Error::Database`].
pub(crate) async fn give(
    store: &Store,
    giver: &Giver<'_>,
    roster: &Roster,
    first: Option<&Path>,
    out: &Path,
) -> Result<Manifest, Error> {
    let (lost, statement) = succession(roster)?;
    if giver.node == lost {
        return Err(wrong("the node that is replaced hands nothing over; run this on the other two"));
    }
    let (chain, log) = (store.chain().await?, store.log().await?);
    let last = roster.successions.last().ok_or_else(|| wrong("the roster replaces no node"))?;
    if (last.from_batch, last.head) != (chain.committed + 1, chain.head) {
        return Err(wrong(format!(
            "the succession is for a chain of {} batches, and this node has {}; bring the two remaining nodes in touch, then make \
             the succession again",
            last.from_batch.saturating_sub(1),
            chain.committed
        )));
    }
    let (mask, mask_for_other) = mask(giver, roster, lost, &statement, first)?;
    let prepared = store.prepared().await?.map(|batch| batch.digest());
    let (tables, epoch) = (tables_digest(&store.read).await?, store.epoch().await?.present);
    store.write_log().await?;
    let halves = escrow::halves(store, giver.node, lost, &mask).await?;
    let copy = store.dir.join(COPY);
    copy_metadata(&store.write, &copy, lost).await?;
    let segments = std::sync::Arc::clone(&store.segments);
    let profiles = roster.profiles.clone();
    let count = {
        let (segments, profiles) = (std::sync::Arc::clone(&segments), profiles.clone());
        blocking(move || profiles.iter().map(|p| Ok((p.id.clone(), segments.count_kept(&p.id)?))).collect()).await
    };
    let manifest = Manifest {
        succession: statement,
        from: giver.node,
        committed: chain.committed,
        head: chain.head,
        prepared,
        log_size: log.size(),
        log_root: log.root(),
        epoch,
        tables,
        shares: count?,
        mask: mask_digest(&mask),
        mask_for_other,
    };
    let target = roster.node(lost).ok_or(Error::Internal { what: "the roster was checked" })?.seal_key;
    let (from, signed) = (giver.node, Signed::new(manifest.clone(), giver.signing_key));
    let (out, log_dir) = (out.to_owned(), store.log_dir.clone());
    blocking(move || {
        let written = (|| {
            let mut sealing = Sealing::begin(&out, &signed, &target.0)?;
            sealing.file(&copy)?;
            sealing.log(&log_dir)?;
            for profile in &profiles {
                let helper = Helper::new(from, lost, &profile.digest(), &mask);
                sealing.put(&segments.count_kept(&profile.id)?.to_le_bytes())?;
                segments.each_kept(&profile.id, &mut |slot, record, values| {
                    sealing.put(&slot.to_le_bytes())?;
                    sealing.put(&record.0)?;
                    let term = Zeroizing::new(helper.term(&record.0, values));
                    sealing.put(&Zeroizing::new(term.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()))
                })?;
            }
            escrow::put(&mut sealing, &halves)?;
            sealing.finish()
        })();
        let _ = fs::remove_file(&copy);
        written
    })
    .await?;
    Ok(manifest)
}

/// Removes what a handover that was killed has left beside the database.
pub(super) fn forget(dir: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.join(format!("{COPY}{suffix}")));
    }
}

/// The key of the masks, and where it is new, sealed to the other node.
type Mask = (Zeroizing<[u8; 32]>, Option<Vec<u8>>);

/// The key of the masks: fresh and sealed to the other remaining node, or the one that the other has made.
fn mask(giver: &Giver<'_>, roster: &Roster, lost: NodeId, statement: &Digest, first: Option<&Path>) -> Result<Mask, Error> {
    let other = if giver.node.next() == lost { giver.node.prev() } else { giver.node.next() };
    if let Some(path) = first {
        let manifest = Opening::manifest_of(path)?;
        let signed = check_manifest(manifest, roster, statement)?;
        let sealed = signed.mask_for_other.filter(|_| signed.from == other);
        let sealed =
            sealed.ok_or_else(|| wrong("the other node's file holds no key for this node; give the one it wrote first"))?;
        let opened = Zeroizing::new(seal::open(giver.seal_key, HANDOVER, statement, &sealed)?);
        let mask: [u8; 32] =
            opened.as_slice().try_into().map_err(|_| wrong("the key in the other node's file is no key"))?;
        let mask = Zeroizing::new(mask);
        return match mask_digest(&mask) == signed.mask {
            true => Ok((mask, None)),
            false => Err(wrong("the key in the other node's file is not the one it states")),
        };
    }
    let mut mask = Zeroizing::new([0; 32]);
    let mut rng = generator()?;
    rng.fill_bytes(mask.as_mut());
    let key = roster.node(other).ok_or(Error::Internal { what: "the roster was checked" })?.seal_key;
    let sealed = seal::seal(&key.0, HANDOVER, statement, mask.as_ref(), &mut rng)?;
    Ok((mask, Some(sealed)))
}

fn check_manifest(signed: Signed<Manifest>, roster: &Roster, statement: &Digest) -> Result<Manifest, Error> {
    let manifest = &signed.message;
    if manifest.succession != *statement {
        return Err(wrong("the file is for another succession than this roster ends with"));
    }
    let node = roster.node(manifest.from).ok_or(Error::Internal { what: "the roster was checked" })?;
    signed.verify(&node.signing_key)?;
    Ok(signed.message)
}

/// Makes the empty store in `dir` that of `node`, out of the files of the two remaining nodes.
///
/// # Errors
/// [`Error::Handover`] with what does not fit; [`Error::StoreExists`] when the store is not empty; [`Error::Io`], [`Error::Damaged`].
pub async fn take(dir: &Path, node: NodeId, roster: &Roster, key: &SealKey, files: [&Path; 2]) -> Result<Rebuilt, Error> {
    let (lost, statement) = succession(roster)?;
    if lost != node {
        return Err(wrong(format!("the roster replaces node {lost}, and this is node {node}")));
    }
    let _lock = lock(dir)?;
    check_empty(dir).await?;
    let making = dir.join(MAKING);
    match fs::remove_dir_all(&making) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::Io { path: making, source: error }),
        _ => {}
    }
    for name in [SHARES, LOG] {
        fs::create_dir_all(making.join(name)).map_err(Error::io(&making))?;
    }

    let [one, other] = files.map(|path| Opening::begin(path, key, roster, &statement));
    let (mut one, mut other) = (one?, other?);
    agree(&one.manifest, &other.manifest, roster)?;
    let manifest = one.manifest.clone();
    let (profiles, to) = (roster.profiles.clone(), making.clone());
    let secrets = blocking(move || {
        for (opening, keep) in [(&mut one, true), (&mut other, false)] {
            opening.file(&to.join(META), keep)?;
            opening.log(&to.join(LOG), keep)?;
        }
        let segments = Segments::open(&to.join(SHARES), node, &profiles, one.manifest.epoch, &BTreeMap::<_, Slots>::new())?;
        profiles.iter().try_for_each(|profile| add_terms(&mut one, &mut other, profile, &segments))?;
        let secrets = escrow::add(&mut one, &mut other)?;
        one.end()?;
        other.end()?;
        Ok(secrets)
    })
    .await?;
    escrow::fill(&making.join(META), &secrets).await?;
    check_made(&making, node, roster, &manifest).await?;
    move_in(dir, &making)?;
    let shares = manifest.shares.iter().map(|(profile, count)| (profile.to_string(), *count)).collect();
    Ok(Rebuilt { batch: manifest.committed, log_size: manifest.log_size, epoch: manifest.epoch, shares })
}

async fn check_empty(dir: &Path) -> Result<(), Error> {
    let path = dir.join(META);
    if !path.exists() {
        return Err(Error::NoStore { path: dir.to_owned() });
    }
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(&path)).await?;
    let decided = sqlx::query("SELECT 1 FROM batches LIMIT 1").fetch_optional(&pool).await?;
    pool.close().await;
    match decided {
        None => Ok(()),
        Some(_) => Err(Error::StoreExists { path: dir.to_owned() }),
    }
}

/// Both remaining nodes state the same.
fn agree(one: &Manifest, other: &Manifest, roster: &Roster) -> Result<(), Error> {
    if one.from == other.from {
        return Err(wrong(format!("both files are of node {}; bring one of each remaining node", one.from)));
    }
    let last = roster.successions.last().ok_or_else(|| wrong("the roster replaces no node"))?;
    let differs = [
        (one.head != other.head || one.committed != other.committed, "their decisions"),
        (last.from_batch != one.committed + 1 || last.head != one.head, "their decisions from those of the succession"),
        (one.prepared != other.prepared, "what they have promised"),
        (one.log_size != other.log_size || one.log_root != other.log_root, "their logs"),
        (one.epoch != other.epoch, "the epochs of their shares"),
        (one.tables != other.tables, "their members and records"),
        (one.shares != other.shares, "the numbers of their shares"),
        (one.mask != other.mask, "the keys of their masks; write the second file with `--with` the first"),
    ];
    match differs.into_iter().find(|(differs, _)| *differs) {
        None => Ok(()),
        Some((_, what)) => Err(wrong(format!("the two nodes differ in {what}"))),
    }
}

fn add_terms(one: &mut Opening, other: &mut Opening, profile: &Profile, segments: &Segments) -> Result<(), Error> {
    let (count, same) = (one.number()?, other.number()?);
    let stated = one.manifest.shares.iter().find(|(id, _)| *id == profile.id).map(|(_, count)| *count);
    if count != same || Some(count) != stated {
        return Err(wrong(format!("the numbers of {} shares differ", profile.id)));
    }
    let words = profile.matching.record_len();
    let mut left = count as usize;
    while left > 0 {
        let together = left.min(TOGETHER);
        let mut made = Vec::with_capacity(together);
        for _ in 0..together {
            let (a, b) = (one.term(words)?, other.term(words)?);
            if (a.0, a.1) != (b.0, b.1) {
                return Err(wrong(format!("the {} shares are not of the same records", profile.id)));
            }
            made.push((a.0, a.1, Zeroizing::new(combine(&a.2, &b.2))));
        }
        let shares: Vec<(u32, NewShare<'_>)> = made
            .iter()
            .map(|(slot, record, values)| (*slot, NewShare { profile: &profile.id, record: *record, values }))
            .collect();
        segments.put_at(&profile.id, &shares)?;
        left -= together;
    }
    Ok(())
}

/// Opens what was made as a node would, and compares it with the manifests.
async fn check_made(making: &Path, node: NodeId, roster: &Roster, manifest: &Manifest) -> Result<(), Error> {
    let store = Store::open(making, node, roster).await?;
    let (chain, log) = (store.chain().await?, store.log().await?);
    let same = chain.committed == manifest.committed
        && chain.head == manifest.head
        && log.size() == manifest.log_size
        && log.root() == manifest.log_root
        && store.epoch().await?.present == manifest.epoch
        && store.prepared().await?.map(|batch| batch.digest()) == manifest.prepared
        && tables_digest(&store.read).await? == manifest.tables;
    store.close().await;
    if same { Ok(()) } else { Err(wrong("the metadata is not what both nodes state; write the first file again")) }
}

fn move_in(dir: &Path, making: &Path) -> Result<(), Error> {
    for name in [LOG, SHARES] {
        let to = dir.join(name);
        match fs::remove_dir_all(&to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::Io { path: to, source: error }),
            _ => {}
        }
        fs::rename(making.join(name), &to).map_err(Error::io(&to))?;
    }
    let sync = || File::open(dir).and_then(|d| d.sync_all()).map_err(Error::io(dir));
    sync()?;
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(dir.join(format!("{META}{suffix}")));
    }
    // From here on this is the node.
    fs::rename(making.join(META), dir.join(META)).map_err(Error::io(dir))?;
    sync()?;
    fs::remove_dir_all(making).map_err(Error::io(making))
}

/// A copy of the database for another node. Deleted rows are not in it, and nothing that is this node's own.
async fn copy_metadata(pool: &SqlitePool, to: &Path, lost: NodeId) -> Result<(), Error> {
    let _ = fs::remove_file(to);
    sqlx::query("VACUUM INTO ?").bind(to.display().to_string()).execute(pool).await?;
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(to)).await?;
    sqlx::query("UPDATE store SET node = ?").bind(lost.number()).execute(&pool).await?;
    for table in ["checkpoints", "witnessed", "erasures", "refusals", "renewed_bindings"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&pool).await?;
    }
    escrow::empty(&pool, lost).await?;
    // Nothing of what was taken out is left in a page.
    sqlx::query("VACUUM").execute(&pool).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Over every row of the tables that all nodes keep alike, in an order that follows from the rows.
async fn tables_digest(pool: &SqlitePool) -> Result<Digest, Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetch_all(pool).await?;
    let mut hash = Sha256::new_with_prefix(b"trust-commons/v1/handover/tables\0");
    for table in tables.iter().filter(|table| !OWN_TABLES.contains(&table.as_str()) && !table.starts_with("sqlite_")) {
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info(?) ORDER BY cid").bind(table).fetch_all(pool).await?;
        let alike =
            columns.iter().filter(|column| table != escrow::TABLE || !escrow::OWN_COLUMNS.contains(&column.as_str()));
        let row = alike.map(|column| format!("quote(\"{column}\")")).collect::<Vec<_>>().join(" || ',' || ");
        hash.update(table.as_bytes());
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {row} AS line FROM \"{table}\" ORDER BY line")));
        // Row by row: a commons of a million members has some hundred megabytes of them.
        let mut lines = rows.fetch(pool);
        while let Some(line) = lines.try_next().await? {
            let line: String = line.try_get(0)?;
            hash.update((line.len() as u64).to_le_bytes());
            hash.update(line.as_bytes());
        }
    }
    hash.update(escrow::promised_alike(pool).await?);
    Ok(Digest(hash.finalize().into()))
}

fn generator() -> Result<ChaCha20Rng, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| Error::Random)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
