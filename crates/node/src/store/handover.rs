//! What the two remaining nodes hand to the one that takes a lost node's place, and how it becomes that node
//! (`docs/decisions/0016-rebuild.md`).
//!
//! Each remaining node, stopped, writes one file for the new one: a manifest that it signs, then, sealed to the new node, its
//! metadata without what is a node's own, its log's tiles, and for every stored share one masked term (`mpc::rebuild`; of members'
//! secrets [`escrow`]). The new node takes metadata and log from one file, holds what the two manifests say of them against each other
//! and against what it got, and adds the terms.
//!
//! | bytes | of the file |
//! |---|---|
//! | 0..10 | `TCHANDOV`, format version |
//! | 10.. | length (4 bytes) and bytes of the signed [`Manifest`] |
//! | then | pieces: length (4 bytes; the highest bit marks the last piece) and a sealed piece of at most 1 MiB |
//!
//! **Crash safety**: everything is made in a directory of its own beside the store and checked there by opening it as a store; the
//! database moves last. Before that the node has an empty store, which serves nobody; a second attempt begins again.
//!
//! Out of scope: that the operators agree on the new node ([`types::succession`]).

mod escrow;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::SigningKey;
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
use types::{Digest, NodeId, OperationId, ProfileId, limits};
use zeroize::Zeroizing;

use super::segment::{NewShare, Segments, Slots};
use super::{LOG, META, SHARES, Store, blocking, lock, options};
use crate::Error;

const MAGIC: &[u8; 8] = b"TCHANDOV";
const VERSION: u16 = 1;
const PIECE: usize = 1 << 20;
const LAST: u32 = 1 << 31;
const MANIFEST_BYTES: usize = 16 * 1024;
/// Shares written at a time.
const TOGETHER: usize = 1024;
/// Where the new node's store is made.
const MAKING: &str = "rebuild";
/// Tables that are a node's own, or that nodes prune by their own clocks.
const OWN_TABLES: [&str; 11] = [
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

/// Writes what `giver`, whose stopped node's directory is `dir`, hands over under `roster`, to the file `out`. `first` is the other
/// remaining node's file, or its beginning, when that was written before.
///
/// # Errors
/// [`Error::Handover`] when this node does not stand where the succession says; what [`Store::open`] says; [`Error::Io`].
pub async fn give(
    dir: &Path,
    giver: &Giver<'_>,
    roster: &Roster,
    first: Option<&Path>,
    out: &Path,
) -> Result<Manifest, Error> {
    let (lost, statement) = succession(roster)?;
    if giver.node == lost {
        return Err(wrong("the node that is replaced hands nothing over; run this on the other two"));
    }
    let store = Store::open(dir, giver.node, roster).await?;
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
    crate::app::prune(&store, roster).await?;
    let (mask, mask_for_other) = mask(giver, roster, lost, &statement, first)?;
    let prepared = store.prepared().await?.map(|batch| batch.digest());
    let (tables, epoch) = (tables_digest(&store.read).await?, store.epoch().await?.present);
    store.write_log().await?;
    let halves = escrow::halves(&store, giver.node, lost, &mask).await?;
    let copy = dir.join(COPY);
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
    let (out, log_dir) = (out.to_owned(), dir.join(LOG));
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
    store.close().await;
    Ok(manifest)
}

/// The key of the masks: fresh and sealed to the other remaining node, or the one that the other has made.
fn mask(
    giver: &Giver<'_>,
    roster: &Roster,
    lost: NodeId,
    statement: &Digest,
    first: Option<&Path>,
) -> Result<(Zeroizing<[u8; 32]>, Option<Vec<u8>>), Error> {
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
    for table in ["checkpoints", "witnessed", "erasures", "refusals"] {
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
        for line in rows.fetch_all(pool).await? {
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

fn piece_context(statement: &Digest, from: NodeId, index: u32, last: bool) -> Digest {
    let numbers = [&[from.number(), u8::from(last)][..], &index.to_le_bytes()].concat();
    Digest::of("trust-commons/v1/handover/piece", &[&statement.0, &numbers])
}

/// A file in the writing.
struct Sealing {
    path: PathBuf,
    file: BufWriter<File>,
    key: [u8; 32],
    statement: Digest,
    from: NodeId,
    index: u32,
    buffer: Zeroizing<Vec<u8>>,
    rng: ChaCha20Rng,
}

impl Sealing {
    fn begin(path: &Path, manifest: &Signed<Manifest>, key: &[u8; 32]) -> Result<Self, Error> {
        let mut file = BufWriter::new(File::create(path).map_err(Error::io(path))?);
        let bytes = manifest.to_bytes();
        let start = [&MAGIC[..], &VERSION.to_le_bytes(), &length(bytes.len())?.to_le_bytes(), &bytes].concat();
        file.write_all(&start).map_err(Error::io(path))?;
        let (statement, from) = (manifest.message.succession, manifest.message.from);
        let (buffer, rng) = (Zeroizing::new(Vec::with_capacity(PIECE)), generator()?);
        Ok(Self { path: path.to_owned(), file, key: *key, statement, from, index: 0, buffer, rng })
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            if self.buffer.len() == PIECE {
                self.piece(false)?;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    fn piece(&mut self, last: bool) -> Result<(), Error> {
        let context = piece_context(&self.statement, self.from, self.index, last);
        let sealed = seal::seal(&self.key, HANDOVER, &context, &self.buffer, &mut self.rng)?;
        let head = length(sealed.len())? | if last { LAST } else { 0 };
        let written = self.file.write_all(&head.to_le_bytes()).and_then(|()| self.file.write_all(&sealed));
        written.map_err(Error::io(&self.path))?;
        self.index += 1;
        self.buffer.clear();
        Ok(())
    }

    /// Length and bytes of a whole file.
    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let bytes = file.metadata().map_err(Error::io(path))?.len();
        self.put(&bytes.to_le_bytes())?;
        let mut buffer = vec![0; PIECE];
        loop {
            match file.read(&mut buffer).map_err(Error::io(path))? {
                0 => return Ok(()),
                read => self.put(buffer.get(..read).unwrap_or_default())?,
            }
        }
    }

    /// The log's tiles: how many, then name and file of each.
    fn log(&mut self, dir: &Path) -> Result<(), Error> {
        let mut files = Vec::new();
        collect(&dir.join("tile"), &mut files)?;
        files.sort();
        self.put(&length(files.len())?.to_le_bytes())?;
        for path in files {
            let name =
                path.strip_prefix(dir).ok().and_then(Path::to_str).ok_or(Error::Internal { what: "a tile has a name" })?;
            self.put(&length(name.len())?.to_le_bytes())?;
            self.put(name.as_bytes())?;
            self.file(&path)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Error> {
        self.piece(true)?;
        let file =
            self.file.into_inner().map_err(|error| Error::Io { path: self.path.clone(), source: error.into_error() })?;
        file.sync_all().map_err(Error::io(&self.path))
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io(dir))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::io(dir))?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn length(bytes: usize) -> Result<u32, Error> {
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| bytes & LAST == 0)
        .ok_or(Error::Internal { what: "a handover is of parts of some size" })
}

/// A file in the reading.
struct Opening {
    path: PathBuf,
    file: BufReader<File>,
    manifest: Manifest,
    key: SealKey,
    index: u32,
    buffer: Zeroizing<Vec<u8>>,
    at: usize,
    last: bool,
}

impl Opening {
    fn start(path: &Path) -> Result<(BufReader<File>, Signed<Manifest>), Error> {
        let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
        let no_file = || wrong(format!("{} is not a handover file, or cut off", path.display()));
        let mut start = [0; 14];
        file.read_exact(&mut start).map_err(|_| no_file())?;
        let (magic, rest) = start.split_at(8);
        let (version, len) = rest.split_at(2);
        if magic != MAGIC {
            return Err(no_file());
        }
        let found = u16::from_le_bytes(version.try_into().unwrap_or_default());
        if found != VERSION {
            return Err(types::Error::Version { what: "handover file", got: found, known: VERSION }.into());
        }
        let len = u32::from_le_bytes(len.try_into().unwrap_or_default()) as usize;
        if len > MANIFEST_BYTES + 64 {
            return Err(no_file());
        }
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes).map_err(|_| no_file())?;
        Ok((file, Signed::from_bytes(&bytes)?))
    }

    fn manifest_of(path: &Path) -> Result<Signed<Manifest>, Error> {
        Ok(Self::start(path)?.1)
    }

    fn begin(path: &Path, key: &SealKey, roster: &Roster, statement: &Digest) -> Result<Self, Error> {
        let (file, signed) = Self::start(path)?;
        let manifest = check_manifest(signed, roster, statement)?;
        let (key, buffer) = (key.clone(), Zeroizing::new(Vec::new()));
        Ok(Self { path: path.to_owned(), file, manifest, key, index: 0, buffer, at: 0, last: false })
    }

    fn bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < out.len() {
            if self.at == self.buffer.len() {
                self.piece()?;
            }
            let have = self.buffer.get(self.at..).unwrap_or_default();
            let now = have.len().min(out.len() - done);
            if let (Some(to), Some(from)) = (out.get_mut(done..done + now), have.get(..now)) {
                to.copy_from_slice(from);
            }
            (done, self.at) = (done + now, self.at + now);
        }
        Ok(())
    }

    fn piece(&mut self) -> Result<(), Error> {
        let cut = |path: &Path| wrong(format!("{} is cut off or altered; copy it again", path.display()));
        if self.last {
            return Err(cut(&self.path));
        }
        let mut head = [0; 4];
        self.file.read_exact(&mut head).map_err(|_| cut(&self.path))?;
        let head = u32::from_le_bytes(head);
        (self.last, self.at) = (head & LAST != 0, 0);
        let len = (head & !LAST) as usize;
        if len > PIECE + seal::OVERHEAD {
            return Err(cut(&self.path));
        }
        let mut sealed = vec![0; len];
        self.file.read_exact(&mut sealed).map_err(|_| cut(&self.path))?;
        let context = piece_context(&self.manifest.succession, self.manifest.from, self.index, self.last);
        self.index += 1;
        self.buffer = Zeroizing::new(seal::open(&self.key, HANDOVER, &context, &sealed).map_err(|_| cut(&self.path))?);
        Ok(())
    }

    fn number(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn term(&mut self, words: usize) -> Result<(u32, OperationId, Zeroizing<Vec<u16>>), Error> {
        let (slot, mut record, mut bytes) = (self.number()?, [0; 16], Zeroizing::new(vec![0; 2 * words]));
        self.bytes(&mut record)?;
        self.bytes(&mut bytes)?;
        let values = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        Ok((slot, OperationId(record), Zeroizing::new(values)))
    }

    /// Writes a whole file, or passes over it.
    fn file(&mut self, to: &Path, keep: bool) -> Result<(), Error> {
        let mut left = [0; 8];
        self.bytes(&mut left)?;
        let mut left = u64::from_le_bytes(left);
        let mut file = if keep { Some(File::create(to).map_err(Error::io(to))?) } else { None };
        let mut buffer = vec![0; PIECE];
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let part = buffer.get_mut(..now).unwrap_or_default();
            self.bytes(part)?;
            if let Some(file) = &mut file {
                file.write_all(part).map_err(Error::io(to))?;
            }
            left -= now as u64;
        }
        file.map_or(Ok(()), |file| file.sync_all().map_err(Error::io(to)))
    }

    fn log(&mut self, dir: &Path, keep: bool) -> Result<(), Error> {
        for _ in 0..self.number()? {
            let len = self.number()? as usize;
            if len > limits::KEY_NAME_BYTES {
                return Err(wrong("a tile has a long name"));
            }
            let mut name = vec![0; len];
            self.bytes(&mut name)?;
            let name = String::from_utf8(name).map_err(|_| wrong("a tile has a name that is no text"))?;
            let name = Path::new(&name);
            if !name.starts_with("tile") || !name.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(wrong("a tile has a name that leads elsewhere"));
            }
            let path = dir.join(name);
            if let Some(above) = path.parent().filter(|_| keep) {
                fs::create_dir_all(above).map_err(Error::io(above))?;
            }
            self.file(&path, keep)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.at == self.buffer.len() && self.last {
            true => Ok(()),
            false => Err(wrong(format!("{} holds more than it should", self.path.display()))),
        }
    }
}
