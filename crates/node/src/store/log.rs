//! The rows of the transparency log: entries that no full bundle file holds yet, the tree's edge, the checkpoints that this node
//! signed and publishes, and those of other logs that it cosigned.
//!
//! Entries are inserted in the transaction that commits their batch, so a decision and its entry are on disk together or not at
//! all. What was signed or cosigned last is compared, decided upon and replaced in one transaction; there is one writer, so no
//! two signatures can rest on one record. Files: [`super::tiles`].

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use tlog::witness::{Latest, Verdict};
use tlog::{Checkpoint, Peaks, SignedCheckpoint, VerifierKey};
use types::{Digest, encode};

use super::batch::Batch;
use super::meta::{Tx, bytes, digest, number, signed};
use crate::Error;

/// Upper bound of stored peaks: 63 hashes and their frame.
const PEAKS_BYTES: usize = 64 * 32 + 16;

/// Which checkpoint of this node's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// The last one that was signed.
    Signed,
    /// The one that is served.
    Published,
}

impl Own {
    fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Published => "published",
        }
    }
}

fn decode_peaks(row: &SqliteRow) -> Result<Peaks, Error> {
    Ok(types::decode("log head", row.try_get::<&[u8], _>(0)?, PEAKS_BYTES)?)
}

/// The tree's edge as of the newest committed batch.
pub(super) async fn peaks(pool: &SqlitePool) -> Result<Peaks, Error> {
    let row = sqlx::query("SELECT peaks FROM log_head").fetch_optional(pool).await?;
    row.as_ref().map(decode_peaks).transpose().map(Option::unwrap_or_default)
}

/// Adds the entries of a batch, if they lead to the size and the root that the batch names.
pub(super) async fn append(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), Error> {
    let row = sqlx::query("SELECT peaks FROM log_head").fetch_optional(&mut **tx).await?;
    let before = row.as_ref().map(decode_peaks).transpose()?.unwrap_or_default();
    let first = before.size();
    let after = batch.extend(before).ok_or(Error::Internal { what: "a batch extends the log as it says" })?;
    for (position, entry) in (first..).zip(&batch.entries) {
        sqlx::query("INSERT INTO log_entries (position, bytes) VALUES (?, ?)")
            .bind(signed(position))
            .bind(bytes(&entry.log))
            .execute(&mut **tx)
            .await?;
    }
    sqlx::query("INSERT OR REPLACE INTO log_head (id, peaks) VALUES (1, ?)").bind(encode(&after)).execute(&mut **tx).await?;
    Ok(())
}

/// Up to `limit` entries from `from` on that are kept in rows, with the position of each.
pub(super) async fn entries(pool: &SqlitePool, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let rows = sqlx::query("SELECT position, bytes FROM log_entries WHERE position >= ? ORDER BY position LIMIT ?");
    let rows = rows.bind(signed(from)).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((number(row, 0)?, row.try_get(1)?))).collect()
}

/// Drops entries that durable files hold.
pub(super) async fn forget_entries(pool: &SqlitePool, before: u64) -> Result<(), Error> {
    sqlx::query("DELETE FROM log_entries WHERE position < ?").bind(signed(before)).execute(pool).await?;
    Ok(())
}

/// The root of the log at `size`, when a batch ended there.
pub(super) async fn root_after(pool: &SqlitePool, size: u64) -> Result<Option<Digest>, Error> {
    let row = sqlx::query("SELECT log_root FROM batches WHERE log_size = ? ORDER BY number DESC LIMIT 1");
    row.bind(signed(size)).fetch_optional(pool).await?.map(|row| digest(&row, 0)).transpose()
}

pub(super) async fn checkpoint(pool: &SqlitePool, which: Own) -> Result<Option<SignedCheckpoint>, Error> {
    let row = sqlx::query("SELECT note FROM checkpoints WHERE name = ?").bind(which.name()).fetch_optional(pool).await?;
    row.map(|row| Ok(SignedCheckpoint::parse(row.try_get::<&str, _>(0)?.as_bytes())?)).transpose()
}

/// Compare-and-swap of the last signed checkpoint: `sign` sees it and returns the next one, which is on disk when this returns.
pub(super) async fn sign(
    pool: &SqlitePool,
    log: &VerifierKey,
    sign: impl FnOnce(Option<&Checkpoint>) -> Result<SignedCheckpoint, Error>,
) -> Result<SignedCheckpoint, Error> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query("SELECT note FROM checkpoints WHERE name = ?").bind(Own::Signed.name());
    let row = row.fetch_optional(&mut *tx).await?;
    let last = row.map(|row| Ok::<_, Error>(SignedCheckpoint::parse(row.try_get::<&str, _>(0)?.as_bytes())?)).transpose()?;
    let last = last.as_ref().map(|last| last.verify(log)).transpose()?;
    let next = sign(last)?;
    put(&mut tx, Own::Signed, next.verify(log)?.size, &next).await?;
    tx.commit().await?;
    Ok(next)
}

/// Replaces what is served, unless that is larger.
pub(super) async fn publish(pool: &SqlitePool, size: u64, next: &SignedCheckpoint) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    put(&mut tx, Own::Published, size, next).await?;
    Ok(tx.commit().await?)
}

async fn put(tx: &mut Tx<'_>, which: Own, size: u64, note: &SignedCheckpoint) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO checkpoints (name, size, note) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET size = ?2, note = ?3 WHERE size <= ?2",
    )
    .bind(which.name())
    .bind(signed(size))
    .bind(note.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The last checkpoint of a log that this node cosigned.
pub(super) async fn witnessed(pool: &SqlitePool, origin: &str) -> Result<Option<Latest>, Error> {
    let row = sqlx::query("SELECT note FROM witnessed WHERE origin = ?").bind(origin).fetch_optional(pool).await?;
    row.map(|row| Ok(Latest::parse(row.try_get::<&str, _>(0)?.as_bytes())?)).transpose()
}

/// Compare-and-swap of the last cosigned checkpoint of one log: `decide` sees the record; what it accepts is on disk when this
/// returns.
pub(super) async fn witness(
    pool: &SqlitePool,
    origin: &str,
    decide: impl FnOnce(Option<&Latest>) -> Verdict,
) -> Result<Verdict, Error> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query("SELECT note FROM witnessed WHERE origin = ?").bind(origin).fetch_optional(&mut *tx).await?;
    let latest = row.map(|row| Ok::<_, Error>(Latest::parse(row.try_get::<&str, _>(0)?.as_bytes())?)).transpose()?;
    let verdict = decide(latest.as_ref());
    if let Verdict::Accept { next, .. } = &verdict {
        sqlx::query("INSERT OR REPLACE INTO witnessed (origin, size, note) VALUES (?, ?, ?)")
            .bind(origin)
            .bind(signed(next.size()))
            .bind(next.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(verdict)
}
