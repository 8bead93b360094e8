//! Fills a gallery without enrolments, for benchmarks: a commons of a million records in a minute instead of a day.
//!
//! Such records look to a search like any other, yet no decision, no certificate and no device stands behind them: nobody could
//! verify against them or take them back. So only a commons with throw-away keys accepts them. All three nodes must import the
//! same records in the same order while they are stopped. Out of scope: moving a real commons to other machines.

use std::sync::{Arc, PoisonError};

use mpc::record::RecordShare;
use sqlx::sqlite::SqlitePool;
use types::{OperationId, ProfileId};

use super::{NewShare, Store, blocking};
use crate::Error;

impl Store {
    /// Appends `records` to the gallery of `profile`, in slots after those given out, as if members had enrolled with them.
    ///
    /// # Errors
    /// [`Error::Config`] when the commons is not a throw-away one; [`Error::Io`], [`Error::Database`].
    pub async fn import(&self, profile: &ProfileId, records: Vec<RecordShare>) -> Result<(), Error> {
        if !self.roster.throw_away {
            let what = "records can be imported only into a commons with throw-away keys".to_owned();
            return Err(Error::Config { what });
        }
        if records.is_empty() {
            return Ok(());
        }
        let version = self.roster.profile(profile).map_or(0, |profile| profile.version);
        let count = u32::try_from(records.len()).map_err(|_| Error::Internal { what: "a count of records" })?;
        let first = self.gallery(profile)?.read().unwrap_or_else(PoisonError::into_inner).len();
        let first = u32::try_from(first).map_err(|_| Error::Internal { what: "a count of records" })?;
        let (segments, id) = (Arc::clone(&self.segments), profile.clone());
        blocking(move || {
            let shares: Vec<NewShare<'_>> = records
                .iter()
                .zip(first..)
                .map(|(record, slot)| NewShare { profile: &id, record: name(slot), values: record.values() })
                .collect();
            segments.append_from(first, &shares)
        })
        .await?;
        rows(&self.write, profile, version, first, count).await?;
        let (segments, id) = (Arc::clone(&self.segments), profile.clone());
        blocking(move || segments.admit(&id, first..first + count)).await
    }
}

/// No operation brought the record: the first slot that it is in stands for one.
fn name(slot: u32) -> OperationId {
    OperationId(u128::from(slot).to_le_bytes())
}

/// Rows of records in `count` slots from `first`. Made inside the database: a million rows in seconds.
async fn rows(pool: &SqlitePool, profile: &ProfileId, version: u16, first: u32, count: u32) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    // The slot's number stands for member and device.
    sqlx::query(
        "WITH RECURSIVE n (slot) AS (SELECT ?1 UNION ALL SELECT slot + 1 FROM n WHERE slot + 1 < ?1 + ?2) \
         INSERT OR IGNORE INTO members (member, device, since) \
         SELECT unhex(printf('%032x', slot)), unhex(printf('%064x', slot)), 0 FROM n",
    )
    .bind(first)
    .bind(count)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "WITH RECURSIVE n (slot) AS (SELECT ?1 UNION ALL SELECT slot + 1 FROM n WHERE slot + 1 < ?1 + ?2) \
         INSERT INTO records (profile, slot, member, profile_version, batch, since) \
         SELECT ?3, slot, unhex(printf('%032x', slot)), ?4, 0, 0 FROM n",
    )
    .bind(first)
    .bind(count)
    .bind(profile.as_str())
    .bind(version)
    .execute(&mut *tx)
    .await?;
    sqlx::query("INSERT OR REPLACE INTO galleries (profile, slots) VALUES (?, ?)")
        .bind(profile.as_str())
        .bind(i64::from(first) + i64::from(count))
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}
