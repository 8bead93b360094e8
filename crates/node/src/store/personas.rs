//! The rows of personas: to which secret a membership is bound, this node's share of it, and who was issued to or refused.
//!
//! Out of scope: whether anything is allowed (`charter`); the arithmetic (`credential`).

use credential::escrow::{Share, Slope};
use credential::{Commitment, Epoch};
use sqlx::{Row, query};
use types::persona::{LastIssue, Refused};
use types::{MemberId, UnixSeconds, limits};
use zeroize::Zeroizing;

use super::Store;
use super::batch::{Batch, NewBinding};
use super::meta::{Tx, array, bytes, number, signed};
use crate::Error;

/// A binding as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRow {
    /// What credentials are signed over.
    pub commitment: Commitment,
    /// With the commitment, what the share is checked against.
    pub slope: Slope,
    /// This node's share of the member's secret.
    pub share: Share,
    /// When the membership was bound.
    pub since: UnixSeconds,
    /// The last credential that this node signed.
    pub last_issue: Option<LastIssue>,
}

/// Keeps the first binding. The key of the table makes it the only one.
pub(super) async fn bind(tx: &mut Tx<'_>, batch: &Batch, binding: &NewBinding) -> Result<(), Error> {
    let share = Zeroizing::new(binding.share.to_bytes());
    query("INSERT INTO bindings (member, commitment, slope, share, batch, since) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(bytes(&binding.member.0))
        .bind(bytes(&binding.commitment.to_bytes()))
        .bind(bytes(&binding.slope.to_bytes()))
        .bind(bytes(share.as_slice()))
        .bind(signed(batch.number))
        .bind(signed(batch.time))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Store {
    /// What a membership is bound to, with this node's share of the secret.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn binding(&self, member: &MemberId) -> Result<Option<BindingRow>, Error> {
        let row = query("SELECT commitment, slope, share, since, issued_epoch, issued_at FROM bindings WHERE member = ?")
            .bind(bytes(&member.0))
            .fetch_optional(&self.read)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let share = Zeroizing::new(row.try_get::<Vec<u8>, _>(2)?);
        let share = Share::from_bytes(&share).map_err(|_| Error::Internal { what: "a stored share of a secret is one" })?;
        let issued: (Option<u32>, Option<i64>) = (row.try_get(4)?, row.try_get(5)?);
        let last_issue = match issued {
            (Some(epoch), Some(at)) => Some(LastIssue { epoch: Epoch(epoch), at: at.cast_unsigned() }),
            _ => None,
        };
        Ok(Some(BindingRow {
            commitment: Commitment::from_bytes(array(&row, 0)?),
            slope: Slope::from_bytes(array(&row, 1)?),
            share,
            since: number(&row, 3)?,
            last_issue,
        }))
    }

    /// Notes that this node signed for a member.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn note_issue(&self, member: &MemberId, epoch: Epoch, at: UnixSeconds) -> Result<(), Error> {
        query("UPDATE bindings SET issued_epoch = ?, issued_at = ? WHERE member = ?")
            .bind(epoch.0)
            .bind(signed(at))
            .bind(bytes(&member.0))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Notes an attempt with a member's key that was refused, for the member to see; of many, the newest.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn note_refusal(&self, member: &MemberId, refused: &Refused) -> Result<(), Error> {
        let mut tx = self.write.begin().await?;
        query("INSERT INTO refusals (member, at, action, rule) SELECT member, ?, ?, ? FROM members WHERE member = ?")
            .bind(signed(refused.at))
            .bind(&refused.action)
            .bind(&refused.rule)
            .bind(bytes(&member.0))
            .execute(&mut *tx)
            .await?;
        query(
            "DELETE FROM refusals WHERE member = ?1 AND rowid NOT IN \
             (SELECT rowid FROM refusals WHERE member = ?1 ORDER BY at DESC, rowid DESC LIMIT ?2)",
        )
        .bind(bytes(&member.0))
        .bind(signed(limits::REFUSALS_PER_MEMBER as u64))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Attempts with a member's key that were refused, newest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn refusals(&self, member: &MemberId) -> Result<Vec<Refused>, Error> {
        let rows = query("SELECT at, action, rule FROM refusals WHERE member = ? ORDER BY at DESC, rowid DESC LIMIT ?")
            .bind(bytes(&member.0))
            .bind(signed(limits::REFUSALS_PER_MEMBER as u64))
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(|row| Ok(Refused { at: number(row, 0)?, action: row.try_get(1)?, rule: row.try_get(2)? })).collect()
    }
}
