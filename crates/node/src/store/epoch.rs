//! Epochs of the stored shares: the database's statements about them, and the way from one to the next.
//!
//! A refresh begins with a batch that brings its seed. From then on a worker ([`Store::refresh_shares`]) makes the files of the
//! coming epoch beside the present ones, while these go on serving and every change of them is made in both. A second batch, which
//! is planned only when all three nodes have their new files, goes over to them ([`Store::settle`]): seed and old files are erased.
//! So of which epoch the shares are follows from the chain alone, and nodes at one head of the chain never mix two.
//!
//! Shares of members' secrets lie in the database and change with that second batch itself ([`secrets`]).
//!
//! A node that falls in between starts the new files again from the present ones and the seed: they come out the same.

use std::sync::Arc;

use mpc::refresh::Seed;
use sqlx::Row;
use sqlx::sqlite::SqlitePool;
use types::{DeviceKey, OperationId, UnixSeconds};
use zeroize::Zeroizing;

use super::batch::{Batch, Effect, Entry};
use super::meta::{Tx, array, bytes, number, signed};
use super::{Store, blocking, secrets};
use crate::Error;

/// Of which epoch this node's shares are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// How often they have been renewed.
    pub present: u64,
    /// When they last were; 0 when never.
    pub since: UnixSeconds,
    /// The refresh that is going on.
    pub coming: Option<Coming>,
}

/// A refresh that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coming {
    /// Where it leads.
    pub epoch: u64,
    /// Its randomness.
    pub seed: Seed,
    /// The operation that began it.
    pub operation: OperationId,
    /// The operator who did.
    pub device: DeviceKey,
    /// When.
    pub begun: UnixSeconds,
}

impl Store {
    /// Of which epoch the shares are, and whether a refresh is going on.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn epoch(&self) -> Result<Epoch, Error> {
        state(&self.read).await
    }

    /// Makes the files of the coming epoch; the present ones serve and change meanwhile. Takes as long as reading and writing
    /// all shares once; `stop` ends it early. Returns whether all are made. Harmless when repeated.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`]: the present files are untouched, and the next call begins again.
    pub async fn refresh_shares(&self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Result<bool, Error> {
        let Some(Coming { epoch, seed, .. }) = self.epoch().await?.coming else { return Ok(false) };
        if !secrets::renew_ahead(&self.write, &seed, &stop).await? {
            return Ok(false);
        }
        let segments = Arc::clone(&self.segments);
        blocking(move || segments.refresh(epoch, &seed, &stop)).await
    }

    /// Whether the files of `epoch`, the coming one, are made, durable, and kept in step with the present ones.
    pub fn is_refreshed(&self, epoch: u64) -> bool {
        self.segments.is_refreshed(epoch)
    }

    /// Goes over to the files of `epoch`, and overwrites and removes the others beside the call: a start would do the same.
    pub(super) async fn switch(&self, epoch: u64) -> Result<(), Error> {
        let segments = Arc::clone(&self.segments);
        blocking(move || segments.switch(epoch)).await?;
        let segments = Arc::clone(&self.segments);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = segments.wipe_others() {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "shares of an earlier epoch are erased at the next start");
            }
        });
        Ok(())
    }
}

pub(super) async fn state(pool: &SqlitePool) -> Result<Epoch, Error> {
    // One statement, so that a commit between two cannot show half of a change.
    let row = sqlx::query(
        "SELECT e.epoch, e.since, r.epoch, r.seed, r.operation, r.device, r.begun FROM epoch e LEFT JOIN refresh r ON r.id = e.id",
    )
    .fetch_one(pool)
    .await?;
    let (present, since) = (number(&row, 0)?, number(&row, 1)?);
    let coming = match row.try_get::<Option<i64>, _>(2)? {
        None => None,
        Some(epoch) => Some(Coming {
            epoch: epoch.cast_unsigned(),
            seed: Seed::from_bytes(*Zeroizing::new(array(&row, 3)?)),
            operation: OperationId(array(&row, 4)?),
            device: DeviceKey(array(&row, 5)?),
            begun: number(&row, 6)?,
        }),
    };
    Ok(Epoch { present, since, coming })
}

/// As [`state`], also in a directory that no program which knows of epochs has opened yet.
pub(super) async fn before_open(pool: &SqlitePool) -> Result<Epoch, Error> {
    let table = sqlx::query("SELECT 1 FROM sqlite_master WHERE name = 'epoch'").fetch_optional(pool).await?;
    match table {
        Some(_) => state(pool).await,
        None => Ok(Epoch { present: 0, since: 0, coming: None }),
    }
}

/// What a decision changes about epochs.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &Batch, entry: &Entry) -> Result<(), Error> {
    match &entry.effect {
        Effect::BeginRefresh { epoch, seed } => {
            // Fails when another one is going on: there is one row.
            sqlx::query("INSERT INTO refresh (id, epoch, seed, operation, device, begun) VALUES (1, ?, ?, ?, ?, ?)")
                .bind(signed(*epoch))
                .bind(bytes(seed.secret_bytes()))
                .bind(bytes(&entry.decision.operation.0))
                .bind(bytes(&entry.device.0))
                .bind(signed(batch.time))
                .execute(&mut **tx)
                .await?;
        }
        Effect::EndRefresh { epoch } => {
            secrets::exchange(tx).await?;
            sqlx::query("UPDATE epoch SET epoch = ?, since = ?")
                .bind(signed(*epoch))
                .bind(signed(batch.time))
                .execute(&mut **tx)
                .await?;
            sqlx::query("DELETE FROM refresh").execute(&mut **tx).await?;
        }
        _ => {}
    }
    Ok(())
}
