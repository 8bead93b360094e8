//! Fills a gallery without enrolments, for benchmarks: a commons of a million records in a minute instead of a day.
//!
//! Such records look to a search like any other, yet no decision, no certificate and no device stands behind them: nobody could
//! verify against them or take them back. So only a commons with throw-away keys accepts them. All three nodes must import the
//! same records in the same order while they are stopped. Out of scope: moving a real commons to other machines.

use mpc::record::RecordShare;
use sqlx::sqlite::SqlitePool;
use types::{OperationId, ProfileId};

use super::{OwnedShare, Place, Store};
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
        let share = |values| OwnedShare { profile: profile.clone(), record: OperationId([0; 16]), values };
        let places = self.append(records.into_iter().map(share).collect()).await?;
        let version = self.roster.profile(profile).map_or(0, |profile| profile.version);
        match places.first() {
            Some(first) => rows(&self.write, profile, version, *first, &places).await,
            None => Ok(()),
        }
    }
}

/// Rows of frames that lie one after another from `first`. Made inside the database: a million rows in seconds.
async fn rows(pool: &SqlitePool, profile: &ProfileId, version: u16, first: Place, places: &[Place]) -> Result<(), Error> {
    let stride = places.get(1).map_or(0, |second| second.position - first.position);
    let count = i64::try_from(places.len()).map_err(|_| Error::Internal { what: "a count of records" })?;
    let position = |value: u64| i64::try_from(value).map_err(|_| Error::Internal { what: "a position in a file" });
    let mut tx = pool.begin().await?;
    let slots = sqlx::query_scalar::<_, i64>("SELECT slots FROM galleries WHERE profile = ?").bind(profile.as_str());
    let slots = slots.fetch_optional(&mut *tx).await?.unwrap_or(0);
    // The slot's number stands for member and device.
    sqlx::query(
        "WITH RECURSIVE n (slot) AS (SELECT ?1 UNION ALL SELECT slot + 1 FROM n WHERE slot + 1 < ?1 + ?2) \
         INSERT OR IGNORE INTO members (member, device, since) \
         SELECT unhex(printf('%032x', slot)), unhex(printf('%064x', slot)), 0 FROM n",
    )
    .bind(slots)
    .bind(count)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "WITH RECURSIVE n (slot) AS (SELECT ?1 UNION ALL SELECT slot + 1 FROM n WHERE slot + 1 < ?1 + ?2) \
         INSERT INTO records (profile, slot, member, profile_version, batch, since, segment, position) \
         SELECT ?3, slot, unhex(printf('%032x', slot)), ?4, 0, 0, ?5, ?6 + (slot - ?1) * ?7 FROM n",
    )
    .bind(slots)
    .bind(count)
    .bind(profile.as_str())
    .bind(version)
    .bind(first.segment)
    .bind(position(first.position)?)
    .bind(position(stride)?)
    .execute(&mut *tx)
    .await?;
    sqlx::query("INSERT OR REPLACE INTO galleries (profile, slots) VALUES (?, ?)")
        .bind(profile.as_str())
        .bind(slots + count)
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}
