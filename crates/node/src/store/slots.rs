//! The database's statements about slots: which are in use, which are free, and which still hold bytes to be overwritten.
//!
//! `galleries` says where the last record of a profile is and `holes` which slots before it are free, so that a start reads as
//! many rows as there are holes and not as many as there are records.

use sqlx::Row;
use sqlx::sqlite::SqlitePool;
use types::ProfileId;
use types::profile::Profile;

use super::ShareRef;
use super::meta::{Tx, prepared, share};
use super::segment::Slots;
use crate::Error;

/// Everything about the slots of `profile`.
pub(super) async fn known(pool: &SqlitePool, profile: &ProfileId) -> Result<Slots, Error> {
    let numbers = async |statement: &'static str| -> Result<Vec<u32>, Error> {
        Ok(sqlx::query_scalar::<_, u32>(statement).bind(profile.as_str()).fetch_all(pool).await?)
    };
    let len = numbers("SELECT slots FROM galleries WHERE profile = ?").await?;
    let batch = prepared(pool).await?;
    let admitted = batch.iter().flat_map(|batch| batch.admitted()).filter(|share| share.profile == *profile);
    Ok(Slots {
        len: len.first().copied().unwrap_or(0),
        holes: numbers("SELECT slot FROM holes WHERE profile = ? ORDER BY slot").await?,
        prepared: admitted.map(|share| share.slot).collect(),
        erasures: numbers("SELECT slot FROM erasures WHERE profile = ?").await?,
    })
}

/// A record takes a slot.
pub(super) async fn take(tx: &mut Tx<'_>, share: &ShareRef) -> Result<(), Error> {
    sqlx::query("DELETE FROM holes WHERE profile = ? AND slot = ?")
        .bind(share.profile.as_str())
        .bind(share.slot)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO galleries (profile, slots) VALUES (?, ?) \
         ON CONFLICT (profile) DO UPDATE SET slots = MAX(slots, excluded.slots)",
    )
    .bind(share.profile.as_str())
    .bind(i64::from(share.slot) + 1)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A record leaves a slot, whose bytes are to be overwritten.
pub(super) async fn leave(tx: &mut Tx<'_>, share: &ShareRef) -> Result<(), Error> {
    sqlx::query("INSERT INTO holes (profile, slot) VALUES (?, ?)")
        .bind(share.profile.as_str())
        .bind(share.slot)
        .execute(&mut **tx)
        .await?;
    list_erasure(tx, share).await
}

/// Cuts the gallery off after its last record.
pub(super) async fn trim(tx: &mut Tx<'_>, profile: &ProfileId) -> Result<(), Error> {
    sqlx::query(
        "UPDATE galleries SET slots = COALESCE((SELECT MAX(slot) + 1 FROM records WHERE profile = ?1), 0) WHERE profile = ?1",
    )
    .bind(profile.as_str())
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM holes WHERE profile = ?1 AND slot >= (SELECT slots FROM galleries WHERE profile = ?1)")
        .bind(profile.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Records are now where [`super::compact::moves`] has put them; the shares in their old slots are to be overwritten.
pub(super) async fn move_records(pool: &SqlitePool, profile: &ProfileId, moves: &[(u32, u32)]) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    for &(from, to) in moves {
        let moved = sqlx::query("UPDATE records SET slot = ? WHERE profile = ? AND slot = ?")
            .bind(to)
            .bind(profile.as_str())
            .bind(from)
            .execute(&mut *tx)
            .await?;
        if moved.rows_affected() != 1 {
            return Err(Error::Internal { what: "a record that moves is stored" });
        }
        take(&mut tx, &ShareRef { profile: profile.clone(), slot: to }).await?;
        leave(&mut tx, &ShareRef { profile: profile.clone(), slot: from }).await?;
    }
    trim(&mut tx, profile).await?;
    Ok(tx.commit().await?)
}

pub(super) async fn list_erasure(tx: &mut Tx<'_>, share: &ShareRef) -> Result<(), Error> {
    sqlx::query("INSERT OR IGNORE INTO erasures (profile, slot) VALUES (?, ?)")
        .bind(share.profile.as_str())
        .bind(share.slot)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn erasures(pool: &SqlitePool) -> Result<Vec<ShareRef>, Error> {
    let rows = sqlx::query("SELECT profile, slot FROM erasures").fetch_all(pool).await?;
    rows.iter().map(share).collect()
}

/// To be called when the listed shares are overwritten. Only the sequencer lists shares, and it does not do so meanwhile.
pub(super) async fn forget_erasures(pool: &SqlitePool) -> Result<(), Error> {
    sqlx::query("DELETE FROM erasures").execute(pool).await?;
    Ok(())
}

/// Active records per profile.
pub(super) async fn record_counts(pool: &SqlitePool, profiles: &[Profile]) -> Result<Vec<(ProfileId, u64)>, Error> {
    let mut counts = Vec::with_capacity(profiles.len());
    for profile in profiles {
        let row = sqlx::query(
            "SELECT COALESCE((SELECT slots FROM galleries WHERE profile = ?1), 0) \
             - (SELECT COUNT(*) FROM holes WHERE profile = ?1)",
        );
        let row = row.bind(profile.id.as_str()).fetch_one(pool).await?;
        counts.push((profile.id.clone(), row.try_get::<i64, _>(0)?.cast_unsigned()));
    }
    Ok(counts)
}
