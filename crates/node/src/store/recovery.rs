//! The rows of recovery: guardians, recoveries, attempts that failed, devices that were replaced.
//!
//! States are read at a time that the caller gives, so that three nodes that ask at the batch's time get the same. Out of scope:
//! whether anything is allowed (`charter`).

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};
use types::recovery::{GuardedStatement, Guarding, RecoveryState, RecoveryStatement};
use types::{DeviceKey, MemberId, OperationId, RecoveryName, UnixSeconds, encode, limits};

use super::Store;
use super::batch::{Batch, Effect, Entry, NewRecovery};
use super::consent::{one, raise};
use super::meta::{Tx, array, bytes, number, signed};
use crate::Error;

/// Upper bound of stored guardians.
const GUARDING_BYTES: usize = 4 * 1024;
/// The period of `faults_per_day`.
const DAY_S: u64 = 24 * 3600;

const WAITING: i64 = 0;
const VETOED: i64 = 1;
const FINISHED: i64 = 2;
const OVERTAKEN: i64 = 3;

/// Changes the rows of recovery as a decision says.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &Batch, entry: &Entry) -> Result<(), Error> {
    let operation = entry.decision.operation;
    match &entry.effect {
        Effect::SetGuardians { member, name, guarding } => {
            query("INSERT OR REPLACE INTO guardians (member, name, body) VALUES (?, ?, ?)")
                .bind(bytes(&member.0))
                .bind(bytes(&name.0))
                .bind(encode(guarding))
                .execute(&mut **tx)
                .await?;
            Ok(())
        }
        Effect::StartRecovery(new) => start(tx, batch.time, operation, &entry.device, new).await,
        Effect::RefuseRecovery { member } => {
            query("INSERT INTO recovery_faults (operation, member, at) VALUES (?, ?, ?)")
                .bind(bytes(&operation.0))
                .bind(bytes(&member.0))
                .bind(signed(batch.time))
                .execute(&mut **tx)
                .await?;
            Ok(())
        }
        Effect::VetoRecovery { recovery } => end(tx, recovery, VETOED).await,
        Effect::Recover { recovery, member } => recover(tx, batch, entry, recovery, member).await,
        _ => Ok(()),
    }
}

async fn start(
    tx: &mut Tx<'_>,
    time: UnixSeconds,
    id: OperationId,
    device: &DeviceKey,
    new: &NewRecovery,
) -> Result<(), Error> {
    query(
        "INSERT INTO recoveries (id, member, device, reply, approvals, compared, can_veto, since, opens_at, closes_at, state) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(bytes(&id.0))
    .bind(bytes(&new.member.0))
    .bind(bytes(&device.0))
    .bind(bytes(&new.reply_key))
    .bind(new.approvals)
    .bind(new.compared)
    .bind(new.can_veto)
    .bind(signed(time))
    .bind(signed(new.opens_at))
    .bind(signed(new.closes_at))
    .bind(WAITING)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a recovery that waits: the state before is part of the condition, so that nothing ends twice.
async fn end(tx: &mut Tx<'_>, recovery: &OperationId, state: i64) -> Result<(), Error> {
    let done = query("UPDATE recoveries SET state = ? WHERE id = ? AND state = ?")
        .bind(state)
        .bind(bytes(&recovery.0))
        .bind(WAITING);
    one(done.execute(&mut **tx).await?.rows_affected())
}

/// The new device takes the old one's place, all at once: member, answers, shield.
async fn recover(
    tx: &mut Tx<'_>,
    batch: &Batch,
    entry: &Entry,
    recovery: &OperationId,
    member: &MemberId,
) -> Result<(), Error> {
    end(tx, recovery, FINISHED).await?;
    query("UPDATE recoveries SET state = ? WHERE member = ? AND state = ?")
        .bind(OVERTAKEN)
        .bind(bytes(&member.0))
        .bind(WAITING)
        .execute(&mut **tx)
        .await?;
    query("INSERT INTO former_devices (device, member, since) SELECT device, member, ? FROM members WHERE member = ?")
        .bind(signed(batch.time))
        .bind(bytes(&member.0))
        .execute(&mut **tx)
        .await?;
    query("UPDATE outcomes SET device = ?1 WHERE device = (SELECT device FROM members WHERE member = ?2)")
        .bind(bytes(&entry.device.0))
        .bind(bytes(&member.0))
        .execute(&mut **tx)
        .await?;
    let done = query("UPDATE members SET device = ? WHERE member = ?").bind(bytes(&entry.device.0)).bind(bytes(&member.0));
    one(done.execute(&mut **tx).await?.rows_affected())?;
    // What the old device asked for last must not come after: its shield goes up anyway, and only the new one takes it down.
    raise(tx, batch.time, entry.decision.operation, member, batch.time).await?;
    query("DELETE FROM shields WHERE member = ?").bind(bytes(&member.0)).execute(&mut **tx).await?;
    Ok(())
}

/// Erases what no decision and no statement needs any more.
pub(super) async fn forget(tx: &mut Tx<'_>, decided_at: UnixSeconds, keep_s: u64) -> Result<(), Error> {
    let before = |seconds: u64| signed(decided_at.saturating_sub(seconds));
    query("DELETE FROM recovery_faults WHERE at < ?").bind(before(2 * DAY_S)).execute(&mut **tx).await?;
    // The one by which the present device is the member's stays: by it what was kept can be asked for again.
    query("DELETE FROM recoveries WHERE closes_at < ?1 AND NOT (state = ?2 AND device IN (SELECT device FROM members))")
        .bind(before(keep_s))
        .bind(FINISHED)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Store {
    /// The member whose guardians know them by this name.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn guarded_by(&self, name: &RecoveryName) -> Result<Option<MemberId>, Error> {
        let row = query("SELECT member FROM guardians WHERE name = ?").bind(bytes(&name.0));
        let row = row.fetch_optional(&self.read).await?;
        row.map(|row| Ok(MemberId(array(&row, 0)?))).transpose()
    }

    /// The member whom a recovery concerns, and the key to which its end's gifts are sealed.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn recovery(&self, id: &OperationId) -> Result<Option<(MemberId, [u8; 32])>, Error> {
        let row = query("SELECT member, reply FROM recoveries WHERE id = ?").bind(bytes(&id.0));
        let row = row.fetch_optional(&self.read).await?;
        row.map(|row| Ok((MemberId(array(&row, 0)?), array(&row, 1)?))).transpose()
    }

    /// A member's guardians and recoveries at `now`; absent when there never were guardians.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn guarded(&self, member: &MemberId, now: UnixSeconds) -> Result<Option<GuardedStatement>, Error> {
        let row = query("SELECT name, body FROM guardians WHERE member = ?").bind(bytes(&member.0));
        let Some(row) = row.fetch_optional(&self.read).await? else { return Ok(None) };
        let name = RecoveryName(array(&row, 0)?);
        let guarding: Guarding = types::decode("guardians", row.try_get(1)?, GUARDING_BYTES)?;
        let rows = query(
            "SELECT id, device, approvals, compared, can_veto, since, opens_at, closes_at, state FROM recoveries \
             WHERE member = ? ORDER BY state <> 0, since DESC, id LIMIT ?",
        )
        .bind(bytes(&member.0))
        .bind(signed(limits::STATED_RECOVERIES as u64))
        .fetch_all(&self.read)
        .await?;
        let recoveries = rows.iter().map(|row| recovery_row(row, now)).collect::<Result<_, _>>()?;
        Ok(Some(GuardedStatement { name, guarding, recoveries }))
    }

    /// Recoveries of a member that did not begin, within the day before `now`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn recovery_faults(&self, member: &MemberId, now: UnixSeconds) -> Result<u64, Error> {
        let row = query("SELECT COUNT(*) FROM recovery_faults WHERE member = ? AND at > ?");
        number(&row.bind(bytes(&member.0)).bind(signed(now.saturating_sub(DAY_S))).fetch_one(&self.read).await?, 0)
    }

    /// Since when a device is nobody's that was a member's before a recovery.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn replaced(&self, device: &DeviceKey) -> Result<Option<UnixSeconds>, Error> {
        let row = query("SELECT since FROM former_devices WHERE device = ?").bind(bytes(&device.0));
        row.fetch_optional(&self.read).await?.map(|row| number(&row, 0)).transpose()
    }

    /// Devices that were a member's before a recovery, the last first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn former_devices(&self, member: &MemberId) -> Result<Vec<DeviceKey>, Error> {
        let rows = query("SELECT device FROM former_devices WHERE member = ? ORDER BY since DESC, device LIMIT ?");
        let rows = rows.bind(bytes(&member.0)).bind(signed(limits::FORMER_DEVICES)).fetch_all(&self.read).await?;
        rows.iter().map(|row| Ok(DeviceKey(array(row, 0)?))).collect()
    }

    /// Bytes of rows of recovery that name a member.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn recovery_bytes(&self, member: &MemberId) -> Result<u64, Error> {
        // Fixed-width columns count as their stored widths, numbers as 8 bytes.
        let row = query(
            "SELECT (SELECT COALESCE(SUM(length(body) + 32), 0) FROM guardians WHERE member = ?1) \
             + (SELECT COUNT(*) * 152 FROM recoveries WHERE member = ?1) \
             + (SELECT COUNT(*) * 40 FROM recovery_faults WHERE member = ?1) \
             + (SELECT COUNT(*) * 56 FROM former_devices WHERE member = ?1)",
        )
        .bind(bytes(&member.0))
        .fetch_one(&self.read)
        .await?;
        number(&row, 0)
    }
}

fn recovery_row(row: &SqliteRow, now: UnixSeconds) -> Result<RecoveryStatement, Error> {
    let closes_at = number(row, 7)?;
    let state = match row.try_get::<i64, _>(8)? {
        WAITING if now <= closes_at => RecoveryState::Waiting,
        VETOED => RecoveryState::Vetoed,
        FINISHED => RecoveryState::Finished,
        _ => RecoveryState::Over,
    };
    Ok(RecoveryStatement {
        recovery: OperationId(array(row, 0)?),
        device: DeviceKey(array(row, 1)?),
        approvals: row.try_get(2)?,
        compared: row.try_get(3)?,
        can_veto: row.try_get(4)?,
        since: number(row, 5)?,
        opens_at: number(row, 6)?,
        closes_at,
        state,
    })
}
