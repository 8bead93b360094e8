//! What a node keeps: metadata in SQLite, shares in segment files, one lock on the directory.
//!
//! | file | holds | trust |
//! |---|---|---|
//! | `meta.sqlite` (`-wal`, `-shm`) | members, records, shares of members' secrets, the decision chain, recent certificates | trusted; who changes it can hide or forge members on this node, and the other two nodes then disagree with it |
//! | `log/tile/...` | full tiles and entry bundles of the transparency log | not trusted; see [`tiles`] |
//! | `log/conflicts/...` | evidence against another node's log | for people; while it is there, nothing is decided |
//! | `shares/PROFILE/NNNNNN.seg`, `.idx` | this node's shares of epoch 0, and their checksums | trusted for content; see [`segment`] |
//! | `shares/PROFILE/eNNNNNN/...` | the same of a later epoch; one epoch at a time is in use | likewise |
//! | `lock` | nothing | not trusted; keeps two processes apart |
//!
//! **Durability**: every method that changes something returns after it is on disk (SQLite with `synchronous=FULL`, segment
//! files with fdatasync). **Atomicity**: prepare, commit and discard are one transaction each. **Concurrency**: one writer at a
//! time, readers beside it. **Retries**: none here; an error leaves the state before the call.
//!
//! The order that makes a crash at any instant harmless: shares are durable before the batch that names them is prepared; a
//! share that no row names is erased at start; rows are gone before their shares are overwritten, and a list of shares still to
//! be overwritten is kept until they are. A record moves (`compact`) as one is admitted and another withdrawn: the copy is
//! durable before its row says so, and the row says so before the original is overwritten.
//!
//! **The galleries** are the mapped segment files themselves. Searches read them under a shared lock; [`Store::append`],
//! [`Store::settle`], [`Store::discard`] and [`Store::import`] change them under the exclusive one, and only the sequencer calls
//! these, between runs. Slots are equal on all three nodes after the same batches: newcomers take the lowest free ones in the
//! order of the batch, and moves follow from the slots in use alone.
//!
//! Out of scope: what a decision means (`app`).

mod batch;
mod compact;
mod consent;
mod epoch;
pub mod fsck;
pub mod handover;
mod import;
mod inspect;
mod log;
mod map;
mod meta;
mod personas;
mod recovery;
mod secrets;
pub mod segment;
mod slots;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_log;
pub mod tiles;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use mpc::gallery::Gallery;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use types::roster::Roster;
use types::{MemberId, NodeId, ProfileId};
use zeroize::Zeroizing;

pub use batch::{
    AskCounts, AskRow, Batch, Chain, Effect, Entry, Event, GrantRow, MemberRow, NewBinding, NewGrant, NewRecovery, Newest,
    RecordRow, Trail,
};
pub use epoch::{Coming, Epoch};
pub use inspect::Inspection;
pub use log::Own;
pub use personas::BindingRow;
pub use segment::NewShare;

use crate::Error;
use segment::Segments;
use tiles::LogFiles;

/// Version of the directory's layout.
pub const VERSION: u16 = 2;

/// A stored share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct ShareRef {
    /// Whose gallery.
    pub profile: ProfileId,
    /// Where in it, and in the segment files.
    pub slot: u32,
}

impl ShareRef {
    /// A share of `profile` that is not stored yet.
    pub fn unplaced(profile: ProfileId) -> Self {
        Self { profile, slot: u32::MAX }
    }
}

/// The open data directory of a node.
pub struct Store {
    read: SqlitePool,
    write: SqlitePool,
    segments: Arc<Segments>,
    log_files: Arc<LogFiles>,
    dir: PathBuf,
    log_dir: PathBuf,
    roster: Roster,
    /// Held until the store is dropped.
    _lock: File,
}

impl Store {
    /// Makes an empty store in `dir`, which must exist. It belongs to no node until it is first opened.
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::Io`], [`Error::Database`].
    pub async fn create(dir: &Path) -> Result<(), Error> {
        let path = dir.join(META);
        if path.exists() {
            return Err(Error::StoreExists { path: dir.to_owned() });
        }
        std::fs::create_dir_all(dir.join(SHARES)).map_err(Error::io(dir))?;
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(&path).create_if_missing(true)).await?;
        MIGRATIONS.run(&pool).await?;
        pool.close().await;
        File::open(dir).and_then(|d| d.sync_all()).map_err(Error::io(dir))
    }

    /// Opens the store of `node` in the commons of `roster`, checks every share in it, and finishes what a crash left unfinished.
    /// The first opening binds the directory to both.
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::StoreLocked`], [`Error::OtherNode`], [`Error::OtherRoster`], [`Error::NewerStore`],
    /// [`Error::OlderStore`], [`Error::Damaged`], [`Error::Io`], [`Error::Database`].
    pub async fn open(dir: &Path, node: NodeId, roster: &Roster) -> Result<Self, Error> {
        let path = dir.join(META);
        if !path.exists() {
            return Err(Error::NoStore { path: dir.to_owned() });
        }
        let lock = lock(dir)?;
        handover::forget(dir);
        let write = SqlitePoolOptions::new().max_connections(1).connect_with(options(&path)).await?;
        meta::check_version(&write, &path).await?;
        MIGRATIONS.run(&write).await?;
        meta::bind(&write, dir, node, &roster.digest()).await?;
        let read = SqlitePoolOptions::new().max_connections(4).connect_with(options(&path).read_only(true)).await?;

        let mut known = BTreeMap::new();
        for profile in &roster.profiles {
            known.insert(profile.id.clone(), slots::known(&write, &profile.id).await?);
        }
        let (root, profiles) = (dir.join(SHARES), roster.profiles.clone());
        let epoch = epoch::state(&write).await?.present;
        let segments = blocking(move || Segments::open(&root, node, &profiles, epoch, &known)).await?;
        let log_dir = dir.join(LOG);
        let log_files = Arc::new(open_log(&write, &log_dir).await?);
        let (segments, profiles, roster) = (Arc::new(segments), &roster.profiles, roster.clone());
        let dir = dir.to_owned();
        let store = Self { read, write, segments, log_files, dir, log_dir, roster, _lock: lock };
        // Whatever the list still named is overwritten.
        slots::forget_erasures(&store.write).await?;
        match store.prepared().await? {
            // Moves follow every commit, so there are none to finish while a batch is prepared.
            None => {
                for profile in profiles {
                    store.compact(&profile.id).await?;
                }
            }
            // Who has promised to go over to new shares must have them.
            Some(batch) if batch.ends_refresh().is_some() => {
                store.refresh_shares(|| false).await?;
            }
            Some(_) => {}
        }
        Ok(store)
    }

    /// Ends all use of the database and folds its write-ahead log into it. Not needed for durability.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Bytes that this program may still write where the directory lies.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn room(&self) -> Result<u64, Error> {
        let stat = rustix::fs::statvfs(&self.dir).map_err(|error| Error::io(&self.dir)(error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Lets the database grow to so many pages and no further, as a full disk would; to as many as there are, if that is more.
    #[cfg(test)]
    pub(crate) async fn limit_pages(&self, pages: u32) {
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(limit).execute(&self.write).await.unwrap();
    }

    /// Where the decision chain stands.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn chain(&self) -> Result<Chain, Error> {
        meta::chain(&self.read, &self.roster.digest()).await
    }

    /// The log as of the newest committed batch.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn log(&self) -> Result<tlog::Peaks, Error> {
        log::peaks(&self.read).await
    }

    /// The log's files, as far as [`Self::write_log`] has come.
    pub fn log_files(&self) -> &Arc<LogFiles> {
        &self.log_files
    }

    /// Where evidence against other logs is kept.
    pub fn conflicts(&self) -> PathBuf {
        self.log_dir.join("conflicts")
    }

    /// Brings the log's files up to the newest committed batch, and drops rows that full files hold. One caller at a time.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Io`]: nothing is lost, and the next call does what this one could not.
    pub async fn write_log(&self) -> Result<(), Error> {
        loop {
            let rows = log::entries(&self.read, self.log_files.size(), LOG_ROWS).await?;
            if rows.is_empty() {
                break;
            }
            let files = Arc::clone(&self.log_files);
            let entries: Vec<Vec<u8>> = rows.into_iter().map(|(_, bytes)| bytes).collect();
            let kept = files.in_full_files();
            blocking(move || files.extend(&entries)).await?;
            if self.log_files.in_full_files() > kept {
                log::forget_entries(&self.write, self.log_files.in_full_files()).await?;
            }
        }
        Ok(())
    }

    /// The root of the log at `size`, when a batch ended there.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn root_after(&self, size: u64) -> Result<Option<types::Digest>, Error> {
        log::root_after(&self.read, size).await
    }

    /// A checkpoint of this node's own log.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Log`].
    pub async fn checkpoint(&self, which: Own) -> Result<Option<tlog::SignedCheckpoint>, Error> {
        log::checkpoint(&self.read, which).await
    }

    /// Signs the next checkpoint over the last one in one step; it is on disk when this returns.
    ///
    /// # Errors
    /// What `sign` says; [`Error::Database`], [`Error::Log`].
    pub async fn sign_checkpoint(
        &self,
        key: &tlog::VerifierKey,
        sign: impl FnOnce(Option<&tlog::Checkpoint>) -> Result<tlog::SignedCheckpoint, Error>,
    ) -> Result<tlog::SignedCheckpoint, Error> {
        log::sign(&self.write, key, sign).await
    }

    /// Keeps what is served from now on; a smaller one than before is not.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn publish_checkpoint(&self, size: u64, next: &tlog::SignedCheckpoint) -> Result<(), Error> {
        log::publish(&self.write, size, next).await
    }

    /// The last checkpoint of another log that this node cosigned.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Log`].
    pub async fn witnessed(&self, origin: &str) -> Result<Option<tlog::Latest>, Error> {
        log::witnessed(&self.read, origin).await
    }

    /// Decides over another log's checkpoint and the record of the last one in one step; a new record is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Log`].
    pub async fn witness(
        &self,
        origin: &str,
        decide: impl FnOnce(Option<&tlog::Latest>) -> tlog::Verdict,
    ) -> Result<tlog::Verdict, Error> {
        log::witness(&self.write, origin, decide).await
    }

    /// Stores shares in the lowest free slots, which it returns; they are in use only when a prepared batch names them.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn append(&self, shares: Vec<OwnedShare>) -> Result<Vec<u32>, Error> {
        if shares.is_empty() {
            return Ok(Vec::new());
        }
        let segments = Arc::clone(&self.segments);
        blocking(move || segments.append(&shares.iter().map(OwnedShare::lend).collect::<Vec<_>>())).await
    }

    /// Keeps the promise to commit `batch` once all have voted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn prepare(&self, batch: &Batch) -> Result<(), Error> {
        meta::prepare(&self.write, batch).await
    }

    /// Overwrites the shares of a batch that could not be promised. Needs no room; a start does the same.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn take_back(&self, batch: &Batch) -> Result<(), Error> {
        let (segments, shares) = (Arc::clone(&self.segments), batch.admitted().cloned().collect::<Vec<_>>());
        blocking(move || segments.erase(&shares)).await
    }

    /// The promised batch, if any.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn prepared(&self) -> Result<Option<Batch>, Error> {
        meta::prepared(&self.read).await
    }

    /// Takes the promise back, as some node can never keep it, and erases the shares of the batch.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Io`].
    pub async fn discard(&self, batch: &Batch) -> Result<(), Error> {
        meta::discard(&self.write, batch).await?;
        self.erase_listed().await
    }

    /// Makes `batch` part of the chain. [`Self::settle`] is to be called next.
    ///
    /// # Errors
    /// [`Error::Database`]; nothing is changed then.
    pub async fn commit(&self, batch: &Batch, signatures: &[[types::Signature; 3]], forget_after: u64) -> Result<(), Error> {
        meta::commit(&self.write, batch, signatures, forget_after).await
    }

    /// Brings galleries and segment files up to the batch that was committed last: searches meet its records and no longer those
    /// that it erased, whose bytes are overwritten; then the galleries are compacted. A start does the same.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Io`], [`Error::Damaged`]. The node must restart then.
    pub async fn settle(&self, batch: &Batch) -> Result<(), Error> {
        if let Some(epoch) = batch.ends_refresh() {
            self.switch(epoch).await?;
        }
        let mut changed: BTreeMap<ProfileId, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
        for share in batch.admitted() {
            changed.entry(share.profile.clone()).or_default().0.push(share.slot);
        }
        for (profile, slot) in batch.erased() {
            changed.entry(profile.clone()).or_default().1.push(*slot);
        }
        let profiles: Vec<ProfileId> = changed.keys().cloned().collect();
        let segments = Arc::clone(&self.segments);
        blocking(move || {
            changed.into_iter().try_for_each(|(profile, (admitted, erased))| {
                segments.admit(&profile, admitted)?;
                segments.mask(&profile, erased)
            })
        })
        .await?;
        self.erase_listed().await?;
        for profile in &profiles {
            self.compact(profile).await?;
        }
        Ok(())
    }

    /// Moves records into holes until few are left, and cuts the gallery off after the last.
    async fn compact(&self, profile: &ProfileId) -> Result<(), Error> {
        let most = self.segments.most_new(profile)?;
        loop {
            let (segments, id) = (Arc::clone(&self.segments), profile.clone());
            let moves = blocking(move || {
                segments.trim(&id)?;
                let gallery = segments.gallery(&id)?;
                let moves = compact::moves(&gallery.read().unwrap_or_else(PoisonError::into_inner), most);
                segments.copy(&id, &moves)?;
                Ok(moves)
            })
            .await?;
            if moves.is_empty() {
                return Ok(());
            }
            tracing::info!(
                profile = profile.as_str(),
                records = moves.len(),
                "move records into the slots of those that left"
            );
            slots::move_records(&self.write, profile, &moves).await?;
            let (segments, id) = (Arc::clone(&self.segments), profile.clone());
            blocking(move || {
                segments.admit(&id, moves.iter().map(|(_, to)| *to))?;
                segments.mask(&id, moves.iter().map(|(from, _)| *from))
            })
            .await?;
            self.erase_listed().await?;
        }
    }

    /// Overwrites every share that is no longer in use. Repeating it is harmless.
    async fn erase_listed(&self) -> Result<(), Error> {
        let listed = slots::erasures(&self.write).await?;
        if listed.is_empty() {
            return Ok(());
        }
        let segments = Arc::clone(&self.segments);
        blocking(move || segments.erase(&listed)).await?;
        slots::forget_erasures(&self.write).await
    }

    /// The signatures of the newest committed batch.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn newest(&self) -> Result<Option<Newest>, Error> {
        meta::newest(&self.read).await
    }

    /// The member who enrolled with `device`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn member(&self, device: &types::DeviceKey) -> Result<Option<MemberRow>, Error> {
        meta::member(&self.read, meta::Whose::Device(device)).await
    }

    /// The member of this id.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn member_by_id(&self, member: &types::MemberId) -> Result<Option<MemberRow>, Error> {
        meta::member(&self.read, meta::Whose::Member(member)).await
    }

    /// Bytes of metadata in rows that name the member or the device.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn metadata_bytes(&self, device: &types::DeviceKey) -> Result<u64, Error> {
        meta::metadata_bytes(&self.read, device).await
    }

    /// The certificate of a recent operation of `device`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn outcome(
        &self,
        operation: &types::OperationId,
        device: &types::DeviceKey,
    ) -> Result<Option<types::message::Certificate>, Error> {
        meta::outcome(&self.read, operation, device).await
    }

    /// Notes operation ids as seen; for each, whether it is new.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn note_operations(&self, operations: &[(types::OperationId, u64)]) -> Result<Vec<bool>, Error> {
        meta::note_operations(&self.write, operations).await
    }

    /// Drops operation ids and certificates whose time has passed.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn forget(&self, now: u64) -> Result<(), Error> {
        meta::forget(&self.write, now).await
    }

    /// Active records per profile.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn record_counts(&self) -> Result<Vec<(ProfileId, u64)>, Error> {
        slots::record_counts(&self.read, &self.roster.profiles).await
    }

    /// Reads the share of a record of `member`; nothing when the record is not there any more: somebody else may be in its slot.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`], [`Error::Database`].
    pub async fn share(&self, member: &MemberId, record: &RecordRow) -> Result<Option<Zeroizing<Vec<u16>>>, Error> {
        let (segments, share) = (Arc::clone(&self.segments), record.share.clone());
        let read = blocking(move || segments.read(&share)).await;
        // A commit in between overwrites the share and gives the slot away only after the row has changed.
        match meta::is_in_place(&self.read, member, record).await? {
            true => read.map(Some),
            false => Ok(None),
        }
    }

    /// Bytes of values in one stored share of `profile`.
    pub fn share_bytes(&self, profile: &ProfileId) -> u64 {
        self.segments.share_bytes(profile)
    }

    /// The gallery of `profile`. Whoever holds it longer than for one look keeps the store from changing it.
    ///
    /// # Errors
    /// [`Error::Internal`] for an unknown profile.
    pub fn gallery(&self, profile: &ProfileId) -> Result<Arc<RwLock<Gallery>>, Error> {
        self.segments.gallery(profile)
    }
}

/// A share to store, with its values.
pub struct OwnedShare {
    /// Which profile's files.
    pub profile: ProfileId,
    /// The operation that brought it.
    pub record: types::OperationId,
    /// Values in stored form.
    pub values: mpc::record::RecordShare,
}

impl OwnedShare {
    fn lend(&self) -> NewShare<'_> {
        NewShare { profile: &self.profile, record: self.record, values: self.values.values() }
    }
}

const META: &str = "meta.sqlite";
const SHARES: &str = "shares";
const LOG: &str = "log";
/// Log entries taken from the database at once.
const LOG_ROWS: u32 = 4096;
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        // Deleted rows are overwritten with zeros.
        .pragma("secure_delete", "ON")
}

/// Opens the log's files and brings them up to the rows.
async fn open_log(pool: &SqlitePool, dir: &Path) -> Result<LogFiles, Error> {
    let peaks = log::peaks(pool).await?;
    let rows = log::entries(pool, 0, u32::MAX).await?;
    let first = rows.first().map_or(peaks.size(), |(position, _)| *position);
    let follow = (first..).zip(&rows).all(|(expected, (position, _))| expected == *position);
    if !follow || first % u64::from(tlog::tile::WIDTH) != 0 {
        let what = "entries of the log are missing; run `commons-node fsck`".to_owned();
        return Err(Error::Damaged { path: dir.to_owned(), what });
    }
    let dir = dir.to_owned();
    let rows: Vec<Vec<u8>> = rows.into_iter().map(|(_, bytes)| bytes).collect();
    blocking(move || LogFiles::open(&dir, first, &rows, &peaks)).await
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path: PathBuf = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::StoreLocked { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
    }
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Internal { what: "file work panicked" }))
}
