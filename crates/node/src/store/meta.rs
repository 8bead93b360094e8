//! The metadata in SQLite: every statement that this node runs, except those about slots ([`super::slots`]).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;

use credential::Commitment;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};
use types::message::{Certificate, Outcome};
use types::{DeviceKey, Digest, MemberId, NodeId, OperationId, ProfileId, Signature, TraceKey, encode, limits};

use super::batch::{Batch, Chain, Effect, Entry, MemberRow, Newest, RecordRow};
use super::slots::{leave, list_erasure, take, trim};
use super::{ShareRef, VERSION, consent, epoch, log, recovery};
use crate::Error;

/// Upper bound of a stored batch: every decision with its effect and request, plus the frame around them.
const BATCH_BYTES: usize = limits::BATCH_OPERATIONS * 2 * limits::PLAIN_REQUEST_BYTES;

/// Seconds for which the certificate of a withdrawal can be asked for.
const LEFT_S: u64 = 24 * 3600;

pub(super) type Tx<'a> = Transaction<'a, Sqlite>;

pub(super) async fn check_version(pool: &SqlitePool, path: &Path) -> Result<(), Error> {
    // Before migrations run: a newer program's layout must not be touched.
    let row = sqlx::query("SELECT version FROM store").fetch_optional(pool).await?;
    let damaged = || Error::Damaged { path: path.to_owned(), what: "it has no version".to_owned() };
    let found: u16 = row.ok_or_else(damaged)?.try_get(0)?;
    match found.cmp(&VERSION) {
        Ordering::Greater => Err(Error::NewerStore { path: path.to_owned(), found, known: VERSION }),
        Ordering::Less => Err(Error::OlderStore { path: path.to_owned(), found, known: VERSION }),
        Ordering::Equal => Ok(()),
    }
}

pub(super) async fn bind(pool: &SqlitePool, dir: &Path, node: NodeId, roster: &Digest) -> Result<(), Error> {
    sqlx::query("UPDATE store SET node = ?, roster = ? WHERE node IS NULL")
        .bind(node.number())
        .bind(bytes(&roster.0))
        .execute(pool)
        .await?;
    check_owner(pool, dir, node, roster).await
}

/// Whether the directory is this node's, or nobody's yet.
pub(super) async fn check_owner(pool: &SqlitePool, dir: &Path, node: NodeId, roster: &Digest) -> Result<(), Error> {
    let row = sqlx::query("SELECT node, roster FROM store WHERE node IS NOT NULL");
    let Some(row) = row.fetch_optional(pool).await? else { return Ok(()) };
    let found = NodeId::new(row.try_get::<u8, _>(0)?)?;
    if found != node {
        return Err(Error::OtherNode { path: dir.to_owned(), found, expected: node });
    }
    if digest(&row, 1)? != *roster {
        return Err(Error::OtherRoster { path: dir.to_owned() });
    }
    Ok(())
}

pub(super) async fn chain(pool: &SqlitePool, commons: &Digest) -> Result<Chain, Error> {
    let row = sqlx::query("SELECT number, head, decided_at FROM batches ORDER BY number DESC LIMIT 1");
    Ok(match row.fetch_optional(pool).await? {
        Some(row) => Chain { committed: number(&row, 0)?, head: digest(&row, 1)?, decided_at: number(&row, 2)? },
        None => Chain { committed: 0, head: Chain::origin(commons), decided_at: 0 },
    })
}

pub(super) async fn prepare(pool: &SqlitePool, batch: &Batch) -> Result<(), Error> {
    // Fails when another batch is prepared: there is one row.
    sqlx::query("INSERT INTO prepared (id, body) VALUES (1, ?)").bind(encode(batch)).execute(pool).await?;
    Ok(())
}

/// Rewrites what follows on this node from the promised batch; its digest stays.
pub(super) async fn promise_instead(pool: &SqlitePool, batch: &Batch) -> Result<(), Error> {
    sqlx::query("UPDATE prepared SET body = ?").bind(encode(batch)).execute(pool).await?;
    Ok(())
}

pub(super) async fn prepared(pool: &SqlitePool) -> Result<Option<Batch>, Error> {
    let row = sqlx::query("SELECT body FROM prepared").fetch_optional(pool).await?;
    row.map(|row| Ok(types::decode("prepared batch", &row.try_get::<Vec<u8>, _>(0)?, BATCH_BYTES)?)).transpose()
}

pub(super) async fn discard(pool: &SqlitePool, batch: &Batch) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("DELETE FROM prepared").execute(&mut *tx).await?;
    for share in batch.admitted() {
        list_erasure(&mut tx, share).await?;
    }
    Ok(tx.commit().await?)
}

pub(super) async fn commit(
    pool: &SqlitePool,
    batch: &Batch,
    signatures: &[[Signature; 3]],
    forget_after: u64,
) -> Result<(), Error> {
    let certificates = batch.certificates(signatures)?;
    let mut tx = pool.begin().await?;
    sqlx::query(
        "INSERT INTO batches (number, session, decided_at, operations, digest, head, log_size, log_root) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(signed(batch.number))
    .bind(bytes(&batch.session))
    .bind(signed(batch.time))
    .bind(signed(batch.entries.len() as u64))
    .bind(bytes(&batch.digest().0))
    .bind(bytes(&batch.head().0))
    .bind(signed(batch.log_size))
    .bind(bytes(&batch.log_root.0))
    .execute(&mut *tx)
    .await?;
    log::append(&mut tx, batch).await?;
    for (entry, certificate) in batch.entries.iter().zip(&certificates) {
        consent::keep(&mut tx, batch, entry, certificate).await?;
        apply(&mut tx, batch, entry).await?;
        consent::apply(&mut tx, batch, entry, certificate).await?;
        recovery::apply(&mut tx, batch, entry).await?;
        epoch::apply(&mut tx, batch, entry).await?;
        let forget_after = match entry.effect {
            // Whoever has left is soon forgotten altogether.
            Effect::Erase { .. } => forget_after.min(batch.time.saturating_add(LEFT_S)),
            _ => forget_after,
        };
        sqlx::query("INSERT INTO outcomes (operation, device, certificate, forget_after) VALUES (?, ?, ?, ?)")
            .bind(bytes(&entry.decision.operation.0))
            .bind(bytes(&entry.device.0))
            .bind(certificate.to_bytes())
            .bind(signed(forget_after))
            .execute(&mut *tx)
            .await?;
    }
    // Last: what one entry erases at the end, another may follow.
    for profile in batch.erased().map(|(profile, _)| profile).collect::<BTreeSet<_>>() {
        trim(&mut tx, profile).await?;
    }
    sqlx::query("INSERT OR REPLACE INTO newest (id, session, digest, signatures) VALUES (1, ?, ?, ?)")
        .bind(bytes(&batch.session))
        .bind(bytes(&batch.digest().0))
        .bind(encode(&signatures.to_vec()))
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM prepared").execute(&mut *tx).await?;
    tx.commit().await?;
    if batch
        .entries
        .iter()
        .any(|entry| matches!(entry.effect, Effect::Replace { .. } | Effect::Erase { .. } | Effect::EndRefresh { .. }))
    {
        // Erased rows must not live on in the write-ahead log.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(pool).await?;
    }
    Ok(())
}

async fn apply(tx: &mut Tx<'_>, batch: &Batch, entry: &Entry) -> Result<(), Error> {
    match &entry.effect {
        Effect::Admit { share, profile_version, trace } => {
            let Outcome::Enrolled { member } = entry.decision.outcome else {
                return Err(Error::Internal { what: "only an enrolment admits a record" });
            };
            admit(tx, batch, (&entry.device, &member, trace), share, *profile_version).await
        }
        Effect::Replace { share, profile_version, replaced } => replace(tx, batch, share, *profile_version, replaced).await,
        Effect::Erase { records } => {
            for (profile, slot) in records {
                erase(tx, profile, *slot).await?;
            }
            forget_if_empty(tx, &entry.device).await
        }
        _ => Ok(()),
    }
}

async fn admit(
    tx: &mut Tx<'_>,
    batch: &Batch,
    (device, member, trace): (&DeviceKey, &MemberId, &TraceKey),
    share: &ShareRef,
    profile_version: u16,
) -> Result<(), Error> {
    sqlx::query("INSERT OR IGNORE INTO members (member, device, since, trace) VALUES (?, ?, ?, ?)")
        .bind(bytes(&member.0))
        .bind(bytes(&device.0))
        .bind(signed(batch.time))
        .bind(bytes(trace.secret_bytes()))
        .execute(&mut **tx)
        .await?;
    sqlx::query("INSERT INTO records (profile, slot, member, profile_version, batch, since) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(share.profile.as_str())
        .bind(share.slot)
        .bind(bytes(&member.0))
        .bind(profile_version)
        .bind(signed(batch.number))
        .bind(signed(batch.time))
        .execute(&mut **tx)
        .await?;
    take(tx, share).await
}

/// The row stays the member's; what it points to is the new share.
async fn replace(
    tx: &mut Tx<'_>,
    batch: &Batch,
    share: &ShareRef,
    profile_version: u16,
    (profile, slot): &(ProfileId, u32),
) -> Result<(), Error> {
    let row = sqlx::query(
        "UPDATE records SET profile = ?, slot = ?, profile_version = ?, batch = ?, since = ? WHERE profile = ? AND slot = ? RETURNING slot",
    )
    .bind(share.profile.as_str())
    .bind(share.slot)
    .bind(profile_version)
    .bind(signed(batch.number))
    .bind(signed(batch.time))
    .bind(profile.as_str())
    .bind(slot)
    .fetch_optional(&mut **tx)
    .await?;
    row.ok_or(Error::Internal { what: "a record that is replaced is stored" })?;
    take(tx, share).await?;
    leave(tx, &ShareRef { profile: profile.clone(), slot: *slot }).await
}

async fn erase(tx: &mut Tx<'_>, profile: &ProfileId, slot: u32) -> Result<(), Error> {
    let row = sqlx::query("DELETE FROM records WHERE profile = ? AND slot = ? RETURNING profile, slot")
        .bind(profile.as_str())
        .bind(slot)
        .fetch_one(&mut **tx)
        .await?;
    leave(tx, &share(&row)?).await
}

async fn forget_if_empty(tx: &mut Tx<'_>, device: &DeviceKey) -> Result<(), Error> {
    let left = sqlx::query(
        "SELECT member FROM members WHERE device = ? AND NOT EXISTS (SELECT 1 FROM records WHERE records.member = members.member)",
    )
    .bind(bytes(&device.0))
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = left else { return Ok(()) };
    let member = MemberId(array(&row, 0)?);
    consent::forget_member(tx, &member).await?;
    sqlx::query("DELETE FROM members WHERE member = ?").bind(bytes(&member.0)).execute(&mut **tx).await?;
    sqlx::query("DELETE FROM outcomes WHERE device = ?").bind(bytes(&device.0)).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn newest(pool: &SqlitePool) -> Result<Option<Newest>, Error> {
    let Some(row) = sqlx::query("SELECT session, digest, signatures FROM newest").fetch_optional(pool).await? else {
        return Ok(None);
    };
    let signatures = types::decode("signatures", &row.try_get::<Vec<u8>, _>(2)?, BATCH_BYTES)?;
    Ok(Some(Newest { session: array(&row, 0)?, digest: digest(&row, 1)?, signatures }))
}

/// By which a member is found.
pub(super) enum Whose<'a> {
    /// The device that they enrolled with.
    Device(&'a DeviceKey),
    /// Their id.
    Member(&'a MemberId),
}

pub(super) async fn member(pool: &SqlitePool, whose: Whose<'_>) -> Result<Option<MemberRow>, Error> {
    let (column, key) = match whose {
        Whose::Device(device) => ("device", bytes(&device.0)),
        Whose::Member(member) => ("member", bytes(&member.0)),
    };
    // One statement, so that a commit between two cannot show half of a change.
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT r.profile, r.slot, r.batch, r.since, m.member, m.since, m.trace, m.shield, \
         (SELECT MIN(s.since) FROM shields s WHERE s.member = m.member), m.device, \
         (SELECT b.commitment FROM bindings b WHERE b.member = m.member) \
         FROM members m JOIN records r ON r.member = m.member WHERE m.{column} = ? ORDER BY r.profile"
    )))
    .bind(key)
    .fetch_all(pool)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let record = |row: &SqliteRow| -> Result<RecordRow, Error> {
        Ok(RecordRow { share: share(row)?, batch: number(row, 2)?, since: number(row, 3)? })
    };
    let records = rows.iter().map(record).collect::<Result<_, _>>()?;
    let trace: Option<&[u8]> = first.try_get(6)?;
    let trace = trace.map(|_| array(first, 6).map(TraceKey::from_random)).transpose()?;
    let time = |column| Ok::<_, Error>(first.try_get::<Option<i64>, _>(column)?.map(i64::cast_unsigned));
    let (shield, unsettled) = (time(7)?, time(8)?);
    let (member, device, since) = (MemberId(array(first, 4)?), DeviceKey(array(first, 9)?), number(first, 5)?);
    let commitment: Option<&[u8]> = first.try_get(10)?;
    let bound = commitment.map(|_| array(first, 10).map(|bytes| Commitment::from_bytes(bytes).digest())).transpose()?;
    Ok(Some(MemberRow { member, device, since, trace, shield, unsettled, bound, records }))
}

pub(super) async fn metadata_bytes(pool: &SqlitePool, device: &DeviceKey) -> Result<u64, Error> {
    // Fixed-width columns count as their stored widths, numbers as 8 bytes.
    let row = sqlx::query(
        "SELECT (SELECT COALESCE(SUM(length(member) + length(device) + COALESCE(length(trace), 0) + 8), 0) FROM members WHERE device = ?1) \
         + (SELECT COALESCE(SUM(length(r.member) + length(r.profile) + 32), 0) FROM records r \
            JOIN members m ON m.member = r.member WHERE m.device = ?1) \
         + (SELECT COALESCE(SUM(length(operation) + length(device) + length(certificate) + 8), 0) \
            FROM outcomes WHERE device = ?1)",
    )
    .bind(bytes(&device.0))
    .fetch_one(pool)
    .await?;
    number(&row, 0)
}

pub(super) async fn outcome(
    pool: &SqlitePool,
    operation: &OperationId,
    device: &DeviceKey,
) -> Result<Option<Certificate>, Error> {
    // The party that asked hears of the answer.
    let row = sqlx::query(
        "SELECT COALESCE((SELECT answer FROM asks WHERE asks.id = outcomes.operation), certificate) FROM outcomes \
         WHERE operation = ? AND device = ?",
    )
    .bind(bytes(&operation.0))
    .bind(bytes(&device.0))
    .fetch_optional(pool)
    .await?;
    row.map(|row| Ok(Certificate::from_bytes(&row.try_get::<Vec<u8>, _>(0)?)?)).transpose()
}

pub(super) async fn note_operations(pool: &SqlitePool, operations: &[(OperationId, u64)]) -> Result<Vec<bool>, Error> {
    let mut tx = pool.begin().await?;
    let mut new = Vec::with_capacity(operations.len());
    for (operation, forget_after) in operations {
        let done = sqlx::query("INSERT OR IGNORE INTO replays (operation, forget_after) VALUES (?, ?)")
            .bind(bytes(&operation.0))
            .bind(signed(*forget_after))
            .execute(&mut *tx)
            .await?;
        new.push(done.rows_affected() == 1);
    }
    tx.commit().await?;
    Ok(new)
}

pub(super) async fn forget(pool: &SqlitePool, now: u64) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("DELETE FROM replays WHERE forget_after < ?").bind(signed(now)).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM outcomes WHERE forget_after < ?").bind(signed(now)).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Whether the record of `member` is still the one in this slot that batch `batch` admitted.
pub(super) async fn is_in_place(pool: &SqlitePool, member: &MemberId, record: &RecordRow) -> Result<bool, Error> {
    let row = sqlx::query("SELECT 1 FROM records WHERE member = ? AND profile = ? AND slot = ? AND batch = ?")
        .bind(bytes(&member.0))
        .bind(record.share.profile.as_str())
        .bind(record.share.slot)
        .bind(signed(record.batch));
    Ok(row.fetch_optional(pool).await?.is_some())
}

/// Columns 0 and 1: profile, slot.
pub(super) fn share(row: &SqliteRow) -> Result<ShareRef, Error> {
    Ok(ShareRef { profile: ProfileId::new(row.try_get(0)?)?, slot: row.try_get(1)? })
}

pub(super) fn digest(row: &SqliteRow, column: usize) -> Result<Digest, Error> {
    array(row, column).map(Digest)
}

pub(super) fn array<const N: usize>(row: &SqliteRow, column: usize) -> Result<[u8; N], Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Error::Internal { what: "a stored id has its length" })
}

pub(super) fn number(row: &SqliteRow, column: usize) -> Result<u64, Error> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

/// SQLite integers are signed; ours never reach 2^63.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn bytes(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}
