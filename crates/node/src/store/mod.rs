//! What a node keeps: metadata in SQLite, shares in segment files, one lock on the directory.
//!
//! | file | holds | trust |
//! |---|---|---|
//! | `meta.sqlite` (`-wal`, `-shm`) | members, records, the decision chain, recent certificates | trusted; who changes it can hide or forge members on this node, and the other two nodes then disagree with it |
//! | `shares/PROFILE/NNNNNN.seg` | this node's shares | trusted for content; see [`segment`] |
//! | `lock` | nothing | not trusted; keeps two processes apart |
//!
//! **Durability**: every method that changes something returns after it is on disk (SQLite with `synchronous=FULL`, segment
//! files with fdatasync). **Atomicity**: prepare, commit and discard are one transaction each. **Concurrency**: one writer at a
//! time, readers beside it. **Retries**: none here; an error leaves the state before the call.
//!
//! The order that makes a crash at any instant harmless: shares are durable before the batch that names them is prepared; a
//! frame that no row names is erased at start; rows are gone before their shares are overwritten, and a list of shares still to
//! be overwritten is kept until they are.
//!
//! Out of scope: what a decision means (`app`).

mod batch;
mod import;
mod log;
mod meta;
pub mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use mpc::gallery::Gallery;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use types::profile::Profile;
use types::roster::Roster;
use types::{NodeId, ProfileId};
use zeroize::Zeroizing;

pub use batch::{Batch, Chain, Effect, Entry, MemberRow, Newest, RecordRow};
pub use segment::NewShare;

use crate::Error;
use segment::Segments;

/// Version of the directory's layout.
pub const VERSION: u16 = 1;

/// Where a share lies in the files of its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Place {
    /// Number of the segment file.
    pub segment: u32,
    /// First byte of the frame.
    pub position: u64,
}

/// A stored share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct ShareRef {
    /// Whose files.
    pub profile: ProfileId,
    /// Where in them.
    pub place: Place,
}

/// The open data directory of a node.
pub struct Store {
    read: SqlitePool,
    write: SqlitePool,
    segments: Arc<Segments>,
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

    /// Opens the store of `node` in the commons of `roster`. The first opening binds the directory to both.
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::StoreLocked`], [`Error::OtherNode`], [`Error::OtherRoster`], [`Error::NewerStore`],
    /// [`Error::Damaged`], [`Error::Io`], [`Error::Database`].
    pub async fn open(dir: &Path, node: NodeId, roster: &Roster) -> Result<Self, Error> {
        let path = dir.join(META);
        if !path.exists() {
            return Err(Error::NoStore { path: dir.to_owned() });
        }
        let lock = lock(dir)?;
        let write = SqlitePoolOptions::new().max_connections(1).connect_with(options(&path)).await?;
        meta::check_version(&write, &path).await?;
        MIGRATIONS.run(&write).await?;
        meta::bind(&write, dir, node, &roster.digest()).await?;
        let read = SqlitePoolOptions::new().max_connections(4).connect_with(options(&path).read_only(true)).await?;

        let used = meta::shares_in_use(&write).await?;
        let (root, profiles) = (dir.join(SHARES), roster.profiles.clone());
        let segments = blocking(move || Segments::open(&root, node, &profiles, &used)).await?;
        let store = Self { read, write, segments: Arc::new(segments), roster: roster.clone(), _lock: lock };
        // The walk above has erased whatever the list still named.
        meta::forget_erasures(&store.write).await?;
        Ok(store)
    }

    /// Ends all use of the database and folds its write-ahead log into it. Not needed for durability.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
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

    /// Appends shares; they are in use only when a prepared batch names them.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn append(&self, shares: Vec<OwnedShare>) -> Result<Vec<Place>, Error> {
        if shares.is_empty() {
            return Ok(Vec::new());
        }
        let segments = Arc::clone(&self.segments);
        blocking(move || {
            let shares: Vec<NewShare<'_>> = shares
                .iter()
                .map(|share| NewShare { profile: &share.profile, record: share.record, values: share.values.values() })
                .collect();
            segments.append(&shares)
        })
        .await
    }

    /// Keeps the promise to commit `batch` once all have voted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn prepare(&self, batch: &Batch) -> Result<(), Error> {
        meta::prepare(&self.write, batch).await
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

    /// Makes `batch` part of the chain. Shares of erased records are overwritten by [`Self::erase_listed`], to be called next.
    ///
    /// # Errors
    /// [`Error::Database`]; nothing is changed then.
    pub async fn commit(&self, batch: &Batch, signatures: &[[types::Signature; 3]], forget_after: u64) -> Result<(), Error> {
        meta::commit(&self.write, batch, signatures, forget_after).await
    }

    /// Overwrites every share that is no longer in use. Repeating it is harmless.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Io`].
    pub async fn erase_listed(&self) -> Result<(), Error> {
        let listed = meta::erasures(&self.write).await?;
        if listed.is_empty() {
            return Ok(());
        }
        let segments = Arc::clone(&self.segments);
        blocking(move || segments.erase(&listed)).await?;
        meta::forget_erasures(&self.write).await
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
        meta::member(&self.read, device).await
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
        meta::record_counts(&self.read, &self.roster.profiles).await
    }

    /// Reads a stored share.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub async fn share(&self, share: ShareRef) -> Result<Zeroizing<Vec<u16>>, Error> {
        let segments = Arc::clone(&self.segments);
        blocking(move || segments.read(&share)).await
    }

    /// Bytes of values in one stored share of `profile`.
    pub fn share_bytes(&self, profile: &ProfileId) -> u64 {
        self.segments.share_bytes(profile)
    }

    /// Loads the gallery of `profile`: every slot ever given out, erased ones masked.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`], [`Error::Database`].
    pub async fn gallery(&self, profile: &Profile) -> Result<Gallery, Error> {
        let (slots, records) = meta::gallery_rows(&self.read, &profile.id).await?;
        let (segments, record_len, id) = (Arc::clone(&self.segments), profile.matching.record_len(), profile.id.clone());
        blocking(move || {
            let mut gallery = Gallery::new(record_len);
            let empty = vec![0u16; record_len];
            let mut records = records.into_iter().peekable();
            for slot in 0..slots {
                match records.next_if(|(active, _)| *active == slot) {
                    Some((_, place)) => {
                        gallery.push(&segments.read(&ShareRef { profile: id.clone(), place })?);
                    }
                    None => {
                        let slot = gallery.push(&empty);
                        gallery.mask(slot);
                    }
                }
            }
            Ok(gallery)
        })
        .await
    }
}

/// A share to append, with its values.
pub struct OwnedShare {
    /// Which profile's files.
    pub profile: ProfileId,
    /// The operation that brought it.
    pub record: types::OperationId,
    /// Values in stored form.
    pub values: mpc::record::RecordShare,
}

const META: &str = "meta.sqlite";
const SHARES: &str = "shares";
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

type Places = BTreeSet<ShareRef>;
