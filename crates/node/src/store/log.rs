//! The rows of the transparency log: entries that no full bundle file holds yet, and the tree's edge.
//!
//! Entries are inserted in the transaction that commits their batch, so a decision and its entry are on disk together or not at
//! all.

use sqlx::Row;
use sqlx::sqlite::SqlitePool;
use tlog::Peaks;
use types::encode;

use super::batch::Batch;
use super::meta::{Tx, bytes, signed};
use crate::Error;

/// Upper bound of stored peaks: 63 hashes and their frame.
const PEAKS_BYTES: usize = 64 * 32 + 16;

/// The tree's edge as of the newest committed batch.
pub(super) async fn peaks(pool: &SqlitePool) -> Result<Peaks, Error> {
    let row = sqlx::query("SELECT peaks FROM log_head").fetch_optional(pool).await?;
    let decode = |row: sqlx::sqlite::SqliteRow| Ok(types::decode("log head", row.try_get::<&[u8], _>(0)?, PEAKS_BYTES)?);
    row.map(decode).transpose().map(Option::unwrap_or_default)
}

/// Adds the entries of a batch, if they lead to the size and the root that the batch names.
pub(super) async fn append(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), Error> {
    let row = sqlx::query("SELECT peaks FROM log_head").fetch_optional(&mut **tx).await?;
    let before: Peaks = match row {
        Some(row) => types::decode("log head", row.try_get::<&[u8], _>(0)?, PEAKS_BYTES)?,
        None => Peaks::default(),
    };
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
