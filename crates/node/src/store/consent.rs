//! The rows of consent: charters, grants, asks, shields, events. What a batch changes, and what decisions are made from.
//!
//! Counts and states are read at a time that the caller gives, so that three nodes that ask at the batch's time get the same.
//! Out of scope: whether anything is allowed (`charter`).

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};
use types::consent::{Ask, AskStatement, GrantState, GrantStatement, SignedCharter};
use types::message::{Certificate, Event as StatedEvent, Request};
use types::sign::Signed;
use types::{AskId, GrantId, MemberId, OperationId, PartyId, SubjectId, UnixSeconds, encode, limits};

use super::batch::{AskCounts, AskRow, Batch, Effect, Entry, Event, GrantRow, NewGrant};
use super::meta::{Tx, array, bytes, digest, number, signed};
use super::{Store, personas, recovery};
use crate::Error;

/// Upper bound of stored terms or of a stored ask.
const TERMS_BYTES: usize = 4 * 1024;
/// The period of `asks_per_day`.
const DAY_S: u64 = 24 * 3600;
/// The period of `verifications_per_hour`.
const HOUR_S: u64 = 3600;
/// How long rows that only rates need stay beyond the longest period.
const RATES_S: u64 = 2 * DAY_S;
/// Bytes of events in one answer, so that the statement around them fits.
const EVENT_BYTES: usize = limits::ANSWER_BYTES / 2;
/// Unsettled shield requests of one member. One is enough; a second may cross the first on its way.
const SHIELDS_PER_MEMBER: i64 = 4;

/// Age beyond which a shield request cannot be one that crossed the newest decided one on its way, by clocks that differ.
const STALE_S: u64 = limits::REQUEST_LIFETIME_S + 2 * limits::CLOCK_SKEW_S;

const ACTIVE: i64 = 0;
const SUSPENDED: i64 = 1;
const REVOKED: i64 = 2;

const ANSWERED: i64 = 0;
const WAITING: i64 = 1;
const CUT: i64 = 2;

/// Changes the rows of consent as a decision says.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &Batch, entry: &Entry, certificate: &Certificate) -> Result<(), Error> {
    let operation = entry.decision.operation;
    match &entry.effect {
        Effect::None
        | Effect::Admit { .. }
        | Effect::Replace { .. }
        | Effect::Erase { .. }
        | Effect::BeginRefresh { .. }
        | Effect::EndRefresh { .. } => Ok(()),
        // `recovery` does these.
        Effect::SetGuardians { .. }
        | Effect::StartRecovery(_)
        | Effect::RefuseRecovery { .. }
        | Effect::VetoRecovery { .. }
        | Effect::Recover { .. } => Ok(()),
        Effect::Grant(grant) => begin_grant(tx, batch.time, operation, grant).await,
        Effect::Narrow { grant, terms, uses_left } => {
            let spent = (*uses_left == 0).then(|| signed(batch.time));
            let done = query("UPDATE grants SET terms = ?, uses_left = ?, expires = ?, ended = ? WHERE id = ?")
                .bind(encode(terms))
                .bind(*uses_left)
                .bind(signed(terms.expires_at))
                .bind(spent)
                .bind(bytes(&grant.0));
            one(done.execute(&mut **tx).await?.rows_affected())
        }
        Effect::Revoke { grant } => {
            let done = query("UPDATE grants SET state = ?, ended = COALESCE(ended, ?) WHERE id = ?")
                .bind(REVOKED)
                .bind(signed(batch.time))
                .bind(bytes(&grant.0));
            one(done.execute(&mut **tx).await?.rows_affected())
        }
        Effect::Use { grant, uses_left } => {
            let spent = (*uses_left == 0).then(|| signed(batch.time));
            // The count before is part of the condition: a use is never counted twice, nor two as one.
            let done =
                query("UPDATE grants SET uses_left = ?1, last_used = ?2, ended = ?3 WHERE id = ?4 AND uses_left = ?1 + 1")
                    .bind(*uses_left)
                    .bind(signed(batch.time))
                    .bind(spent)
                    .bind(bytes(&grant.0));
            one(done.execute(&mut **tx).await?.rows_affected())
        }
        Effect::Ask { ask, member, open } => open_ask(tx, batch.time, operation, ask, (*member, *open), certificate).await,
        Effect::Answer { ask, grant } => {
            let member = grant.as_ref().map(|grant| bytes(&grant.member.0));
            let done =
                query("UPDATE asks SET state = ?, answer = ?, member = COALESCE(member, ?) WHERE id = ? AND state = ?")
                    .bind(ANSWERED)
                    .bind(certificate.to_bytes())
                    .bind(member)
                    .bind(bytes(&ask.0))
                    .bind(WAITING);
            one(done.execute(&mut **tx).await?.rows_affected())?;
            match grant {
                Some(grant) => begin_grant(tx, batch.time, operation, grant).await,
                None => Ok(()),
            }
        }
        Effect::RaiseShield { member, since } => raise(tx, batch.time, operation, member, *since).await,
        Effect::LowerShield { member, restore, asked_at } => lower(tx, batch.time, member, restore, *asked_at).await,
        Effect::Bind(binding) => personas::bind(tx, batch, binding).await,
        Effect::AdoptCharter { version, charter } => {
            query("INSERT INTO charters (version, digest, signed, batch, since) VALUES (?, ?, ?, ?, ?)")
                .bind(signed(*version))
                .bind(bytes(&charter.digest().0))
                .bind(encode(charter))
                .bind(signed(batch.number))
                .bind(signed(batch.time))
                .execute(&mut **tx)
                .await?;
            Ok(())
        }
    }
}

/// A row that was there when the batch was planned is there when it is committed.
pub(super) fn one(rows: u64) -> Result<(), Error> {
    if rows == 1 { Ok(()) } else { Err(Error::Internal { what: "a decision changes the row it was made about" }) }
}

async fn begin_grant(tx: &mut Tx<'_>, time: UnixSeconds, id: OperationId, grant: &NewGrant) -> Result<(), Error> {
    let used = grant.uses_left < grant.terms.uses;
    query(
        "INSERT INTO grants (id, member, party, subject, terms, meaning, charter, state, uses_left, expires, since, last_used, \
         ended) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(bytes(&id.0))
    .bind(bytes(&grant.member.0))
    .bind(grant.terms.party.as_str())
    .bind(bytes(&grant.subject.0))
    .bind(encode(&grant.terms))
    .bind(bytes(&grant.meaning.0))
    .bind(bytes(&grant.charter.0))
    .bind(ACTIVE)
    .bind(grant.uses_left)
    .bind(signed(grant.terms.expires_at))
    .bind(signed(time))
    .bind(used.then(|| signed(time)))
    .bind((grant.uses_left == 0).then(|| signed(time)))
    .execute(&mut **tx)
    .await?;
    query("INSERT OR IGNORE INTO subjects (party, subject, member) VALUES (?, ?, ?)")
        .bind(grant.terms.party.as_str())
        .bind(bytes(&grant.subject.0))
        .bind(bytes(&grant.member.0))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn open_ask(
    tx: &mut Tx<'_>,
    time: UnixSeconds,
    id: OperationId,
    ask: &Ask,
    (member, open): (Option<MemberId>, bool),
    certificate: &Certificate,
) -> Result<(), Error> {
    query("INSERT INTO asks (id, party, member, body, state, since, answer_by, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(bytes(&id.0))
        .bind(ask.terms.party.as_str())
        .bind(member.map(|member| bytes(&member.0)))
        .bind(encode(ask))
        .bind(if open { WAITING } else { ANSWERED })
        .bind(signed(time))
        .bind(signed(ask.answer_by))
        .bind((!open).then(|| certificate.to_bytes()))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn raise(
    tx: &mut Tx<'_>,
    time: UnixSeconds,
    operation: OperationId,
    member: &MemberId,
    since: UnixSeconds,
) -> Result<(), Error> {
    query("UPDATE members SET shield = COALESCE(shield, ?1), shield_asked = MAX(shield_asked, ?1) WHERE member = ?2")
        .bind(signed(since))
        .bind(bytes(&member.0))
        .execute(&mut **tx)
        .await?;
    query("UPDATE grants SET state = ? WHERE member = ? AND state = ? AND uses_left > 0 AND expires > ?")
        .bind(SUSPENDED)
        .bind(bytes(&member.0))
        .bind(ACTIVE)
        .bind(signed(time))
        .execute(&mut **tx)
        .await?;
    query("UPDATE asks SET state = ? WHERE member = ? AND state = ?")
        .bind(CUT)
        .bind(bytes(&member.0))
        .bind(WAITING)
        .execute(&mut **tx)
        .await?;
    query("DELETE FROM shields WHERE operation = ?").bind(bytes(&operation.0)).execute(&mut **tx).await?;
    Ok(())
}

async fn lower(
    tx: &mut Tx<'_>,
    time: UnixSeconds,
    member: &MemberId,
    restore: &[GrantId],
    asked_at: UnixSeconds,
) -> Result<(), Error> {
    for grant in restore {
        let done = query("UPDATE grants SET state = ? WHERE id = ? AND member = ? AND state = ?")
            .bind(ACTIVE)
            .bind(bytes(&grant.0))
            .bind(bytes(&member.0))
            .bind(SUSPENDED);
        one(done.execute(&mut **tx).await?.rows_affected())?;
    }
    query("UPDATE grants SET state = ?, ended = ? WHERE member = ? AND state = ?")
        .bind(REVOKED)
        .bind(signed(time))
        .bind(bytes(&member.0))
        .bind(SUSPENDED)
        .execute(&mut **tx)
        .await?;
    query("UPDATE members SET shield = NULL, shield_asked = MAX(shield_asked, ?) WHERE member = ?")
        .bind(signed(asked_at))
        .bind(bytes(&member.0))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps what a decision leaves for the member whom it concerns.
pub(super) async fn keep(tx: &mut Tx<'_>, batch: &Batch, entry: &Entry, certificate: &Certificate) -> Result<(), Error> {
    let operation = entry.decision.operation;
    if let Some(Event { member, request, forget_after }) = &entry.trail.event {
        query("INSERT INTO events (member, batch, operation, request, certificate, forget_after) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(bytes(&member.0))
            .bind(signed(batch.number))
            .bind(bytes(&operation.0))
            .bind(request.clone())
            .bind(certificate.to_bytes())
            .bind(signed(*forget_after))
            .execute(&mut **tx)
            .await?;
    }
    if let Some(member) = &entry.trail.compared {
        query("INSERT INTO comparisons (operation, member, at) VALUES (?, ?, ?)")
            .bind(bytes(&operation.0))
            .bind(bytes(&member.0))
            .bind(signed(batch.time))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Erases all that is kept of a member who leaves. What relying parties asked them stays as the parties' own, and names nobody any
/// more: an answer that was given can be heard, and a question that waits seems to wait, so that nobody learns who left.
pub(super) async fn forget_member(tx: &mut Tx<'_>, member: &MemberId) -> Result<(), Error> {
    query("UPDATE asks SET member = NULL, state = CASE state WHEN ?1 THEN ?1 ELSE ?2 END WHERE member = ?3")
        .bind(ANSWERED)
        .bind(CUT)
        .bind(bytes(&member.0))
        .execute(&mut **tx)
        .await?;
    for table in [
        "grants",
        "subjects",
        "comparisons",
        "events",
        "shields",
        "guardians",
        "recoveries",
        "recovery_faults",
        "former_devices",
        "bindings",
        "renewed_bindings",
        "refusals",
    ] {
        query(sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE member = ?")))
            .bind(bytes(&member.0))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

impl Store {
    /// Erases what no decision and no statement needs any more. `decided_at` is the time of the newest batch, so that no clock of
    /// one node takes away what another still counts.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn forget_consent(&self, decided_at: UnixSeconds, (outcomes_s, uses_s): (u64, u64)) -> Result<(), Error> {
        let before = |seconds: u64| signed(decided_at.saturating_sub(seconds));
        let mut tx = self.write.begin().await?;
        query("DELETE FROM comparisons WHERE at < ?").bind(before(RATES_S)).execute(&mut *tx).await?;
        query("DELETE FROM asks WHERE since < ?1 AND answer_by < ?1")
            .bind(before(outcomes_s.max(RATES_S)))
            .execute(&mut *tx)
            .await?;
        query("DELETE FROM grants WHERE COALESCE(ended, expires) < ?").bind(before(uses_s)).execute(&mut *tx).await?;
        recovery::forget(&mut tx, decided_at, uses_s).await?;
        query("DELETE FROM events WHERE forget_after < ?").bind(signed(decided_at)).execute(&mut *tx).await?;
        query("DELETE FROM refusals WHERE at < ?").bind(before(uses_s)).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Whether a decision, grant or ask has this name already.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn is_taken(&self, operation: &OperationId) -> Result<bool, Error> {
        let row = query(
            "SELECT EXISTS (SELECT 1 FROM outcomes WHERE operation = ?1) OR EXISTS (SELECT 1 FROM grants WHERE id = ?1) \
             OR EXISTS (SELECT 1 FROM asks WHERE id = ?1) OR EXISTS (SELECT 1 FROM comparisons WHERE operation = ?1) \
             OR EXISTS (SELECT 1 FROM recoveries WHERE id = ?1) OR EXISTS (SELECT 1 FROM recovery_faults WHERE operation = ?1)",
        )
        .bind(bytes(&operation.0))
        .fetch_one(&self.read)
        .await?;
        Ok(row.try_get::<i64, _>(0)? != 0)
    }

    /// The charter that was adopted last.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn charter(&self) -> Result<Option<SignedCharter>, Error> {
        let row = query("SELECT signed FROM charters ORDER BY version DESC LIMIT 1").fetch_optional(&self.read).await?;
        row.map(|row| Ok(types::decode("charter", row.try_get(0)?, limits::REQUEST_BYTES)?)).transpose()
    }

    /// One grant, whatever its state.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn grant(&self, id: &GrantId) -> Result<Option<GrantRow>, Error> {
        let row = query(sqlx::AssertSqlSafe(format!("{GRANT} WHERE id = ?")))
            .bind(bytes(&id.0))
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(grant_row).transpose()
    }

    /// Grants of a member that have not ended at `now`, newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn grants(&self, member: &MemberId, now: UnixSeconds) -> Result<Vec<GrantRow>, Error> {
        let sql =
            format!("{GRANT} WHERE member = ? AND state <> ? AND uses_left > 0 AND expires > ? ORDER BY since DESC, id");
        let rows = query(sqlx::AssertSqlSafe(sql)).bind(bytes(&member.0)).bind(REVOKED).bind(signed(now));
        rows.fetch_all(&self.read).await?.iter().map(grant_row).collect()
    }

    /// Grants to a party that can be used at `now`, newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn grants_to(&self, party: &PartyId, now: UnixSeconds) -> Result<Vec<GrantRow>, Error> {
        let sql = format!(
            "{GRANT} WHERE party = ?1 AND state = ?2 AND uses_left > 0 AND expires > ?3 \
             AND member NOT IN (SELECT member FROM shields) ORDER BY since DESC, id LIMIT ?4"
        );
        let rows = query(sqlx::AssertSqlSafe(sql)).bind(party.as_str()).bind(ACTIVE).bind(signed(now));
        let rows = rows.bind(signed(limits::STATED_GRANTS as u64)).fetch_all(&self.read).await?;
        rows.iter().map(grant_row).collect()
    }

    /// How many grants of a member have not ended at `now`; of them, how many are active.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn grant_counts(&self, member: &MemberId, now: UnixSeconds) -> Result<(u64, u64), Error> {
        let row = query(
            "SELECT COUNT(*), COUNT(*) FILTER (WHERE state = ?1) FROM grants \
             WHERE member = ?2 AND state <> ?3 AND uses_left > 0 AND expires > ?4",
        )
        .bind(ACTIVE)
        .bind(bytes(&member.0))
        .bind(REVOKED)
        .bind(signed(now))
        .fetch_one(&self.read)
        .await?;
        Ok((number(&row, 0)?, number(&row, 1)?))
    }

    /// Grants of a member that the shield has suspended.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn suspended(&self, member: &MemberId) -> Result<Vec<GrantId>, Error> {
        let rows = query("SELECT id FROM grants WHERE member = ? AND state = ? ORDER BY id");
        let rows = rows.bind(bytes(&member.0)).bind(SUSPENDED).fetch_all(&self.read).await?;
        rows.iter().map(|row| Ok(GrantId(array(row, 0)?))).collect()
    }

    /// An ask that waits for its answer.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn ask(&self, id: &AskId) -> Result<Option<AskRow>, Error> {
        let row =
            query("SELECT id, member, body, since FROM asks WHERE id = ? AND state = ?").bind(bytes(&id.0)).bind(WAITING);
        row.fetch_optional(&self.read).await?.as_ref().map(ask_row).transpose()
    }

    /// Asks that wait for a member at `now`, newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn asks_of(&self, member: &MemberId, now: UnixSeconds) -> Result<Vec<AskRow>, Error> {
        let rows = query(
            "SELECT id, member, body, since FROM asks WHERE member = ? AND state = ? AND answer_by >= ? ORDER BY since DESC, id \
             LIMIT ?",
        );
        let rows = rows.bind(bytes(&member.0)).bind(WAITING).bind(signed(now)).bind(signed(limits::ASKS_PER_MEMBER as u64));
        rows.fetch_all(&self.read).await?.iter().map(ask_row).collect()
    }

    /// Asks of a party that wait at `now`, as far as the party can tell; newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn asks_by(&self, party: &PartyId, now: UnixSeconds) -> Result<Vec<AskRow>, Error> {
        let rows = query(
            "SELECT id, member, body, since FROM asks WHERE party = ? AND state <> ? AND answer_by >= ? ORDER BY since DESC, id \
             LIMIT ?",
        );
        let rows = rows.bind(party.as_str()).bind(ANSWERED).bind(signed(now)).bind(signed(limits::STATED_GRANTS as u64));
        rows.fetch_all(&self.read).await?.iter().map(ask_row).collect()
    }

    /// How many asks wait for a member at `now`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn asks_waiting(&self, member: &MemberId, now: UnixSeconds) -> Result<u64, Error> {
        let row = query("SELECT COUNT(*) FROM asks WHERE member = ? AND state = ? AND answer_by >= ?");
        number(&row.bind(bytes(&member.0)).bind(WAITING).bind(signed(now)).fetch_one(&self.read).await?, 0)
    }

    /// How much `party` has asked before `now`, in all and of `member`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn ask_counts(
        &self,
        party: &PartyId,
        member: Option<&MemberId>,
        now: UnixSeconds,
    ) -> Result<AskCounts, Error> {
        let row = query(
            "SELECT (SELECT COUNT(*) FROM asks WHERE party = ?1 AND since > ?2), \
             (SELECT COUNT(*) FROM asks WHERE party = ?1 AND state <> ?3 AND answer_by >= ?4), \
             (SELECT COUNT(*) FROM asks WHERE party = ?1 AND member = ?5 AND since > ?2), \
             (SELECT COUNT(*) FROM asks WHERE member = ?5 AND state = ?6 AND answer_by >= ?4)",
        )
        .bind(party.as_str())
        .bind(signed(now.saturating_sub(DAY_S)))
        .bind(ANSWERED)
        .bind(signed(now))
        .bind(member.map(|member| bytes(&member.0)))
        .bind(WAITING)
        .fetch_one(&self.read)
        .await?;
        let count = |column| number(&row, column).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        Ok(AskCounts { last_day: count(0)?, waiting: count(1)?, to_member: count(2)?, at_member: count(3)? })
    }

    /// 1:1 comparisons with a member's records within the hour before `now`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn comparisons(&self, member: &MemberId, now: UnixSeconds) -> Result<u64, Error> {
        let row = query("SELECT COUNT(*) FROM comparisons WHERE member = ? AND at > ?");
        number(&row.bind(bytes(&member.0)).bind(signed(now.saturating_sub(HOUR_S))).fetch_one(&self.read).await?, 0)
    }

    /// The member whom `party` knows by this name.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn subject(&self, party: &PartyId, subject: &SubjectId) -> Result<Option<MemberId>, Error> {
        let row = query("SELECT member FROM subjects WHERE party = ? AND subject = ?");
        let row = row.bind(party.as_str()).bind(bytes(&subject.0)).fetch_optional(&self.read).await?;
        row.map(|row| Ok(MemberId(array(&row, 0)?))).transpose()
    }

    /// Events of a member after a batch, oldest first, as many as fit into one answer.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn events(&self, member: &MemberId, after: u64) -> Result<Vec<StatedEvent>, Error> {
        // An argument beyond what a batch number can be means: none.
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = query(
            "SELECT request, certificate FROM events WHERE member = ? AND batch > ? ORDER BY batch, operation LIMIT ?",
        );
        let rows =
            rows.bind(bytes(&member.0)).bind(after).bind(signed(limits::STATED_EVENTS as u64)).fetch_all(&self.read).await?;
        let mut events = Vec::with_capacity(rows.len());
        let mut total = 0;
        for row in &rows {
            let (request, certificate): (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?);
            total += request.len() + certificate.len();
            if total > EVENT_BYTES && !events.is_empty() {
                break;
            }
            let (request, certificate) = (Signed::<Request>::from_bytes(request)?, Certificate::from_bytes(certificate)?);
            events.push(StatedEvent { request, certificate });
        }
        Ok(events)
    }

    /// Notes a shield request that holds from now on. Returns whether it is new: not decided already, not from long before the
    /// newest decided one, and not one too many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn raise_unsettled(&self, member: &MemberId, request: &Signed<Request>) -> Result<bool, Error> {
        let (operation, since) = (&request.message.operation, request.message.issued_at);
        let done = query(
            "INSERT OR IGNORE INTO shields (operation, member, since, request) SELECT ?1, member, ?3, ?4 FROM members \
             WHERE member = ?2 AND shield_asked <= ?3 + ?6 AND NOT EXISTS (SELECT 1 FROM outcomes WHERE operation = ?1) \
             AND (SELECT COUNT(*) FROM shields WHERE member = ?2) < ?5",
        )
        .bind(bytes(&operation.0))
        .bind(bytes(&member.0))
        .bind(signed(since))
        .bind(request.to_bytes())
        .bind(SHIELDS_PER_MEMBER)
        .bind(signed(STALE_S))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Shield requests that are not decided yet, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn unsettled(&self) -> Result<Vec<Signed<Request>>, Error> {
        let rows = query("SELECT request FROM shields ORDER BY since, operation LIMIT ?");
        let rows = rows.bind(signed(limits::UNSETTLED_SHIELDS as u64)).fetch_all(&self.read).await?;
        rows.iter().map(|row| Ok(Signed::<Request>::from_bytes(row.try_get(0)?)?)).collect()
    }

    /// Bytes of rows that name a member.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Value`].
    pub async fn consent_bytes(&self, member: &MemberId) -> Result<u64, Error> {
        // Fixed-width columns count as their stored widths, numbers as 8 bytes.
        let row = query(
            "SELECT (SELECT COALESCE(SUM(length(terms) + length(party) + 192), 0) FROM grants WHERE member = ?1) \
             + (SELECT COALESCE(SUM(length(party) + 48), 0) FROM subjects WHERE member = ?1) \
             + (SELECT COALESCE(SUM(length(body) + length(party) + COALESCE(length(answer), 0) + 56), 0) FROM asks WHERE member = ?1) \
             + (SELECT COUNT(*) * 40 FROM comparisons WHERE member = ?1) \
             + (SELECT COALESCE(SUM(length(request) + length(certificate) + 48), 0) FROM events WHERE member = ?1) \
             + (SELECT COALESCE(SUM(length(request) + 40), 0) FROM shields WHERE member = ?1) \
             + (SELECT COALESCE(SUM(length(commitment) + length(slope) + length(share) + 48), 0) FROM bindings WHERE member = ?1) \
             + (SELECT COALESCE(SUM(length(action) + length(rule) + 24), 0) FROM refusals WHERE member = ?1)",
        )
        .bind(bytes(&member.0))
        .fetch_one(&self.read)
        .await?;
        number(&row, 0)
    }
}

const GRANT: &str = "SELECT id, member, subject, terms, meaning, charter, state, uses_left, since, last_used FROM grants";

fn grant_row(row: &SqliteRow) -> Result<GrantRow, Error> {
    let state = match row.try_get::<i64, _>(6)? {
        ACTIVE => GrantState::Active,
        SUSPENDED => GrantState::Suspended,
        _ => GrantState::Revoked,
    };
    let statement = GrantStatement {
        grant: GrantId(array(row, 0)?),
        subject: SubjectId(array(row, 2)?),
        terms: types::decode("terms", row.try_get(3)?, TERMS_BYTES)?,
        charter: digest(row, 5)?,
        state,
        uses_left: row.try_get(7)?,
        since: number(row, 8)?,
        last_used: row.try_get::<Option<i64>, _>(9)?.map(i64::cast_unsigned),
    };
    Ok(GrantRow { statement, member: MemberId(array(row, 1)?), meaning: digest(row, 4)? })
}

fn ask_row(row: &SqliteRow) -> Result<AskRow, Error> {
    let ask = types::decode("ask", row.try_get(2)?, TERMS_BYTES)?;
    let statement = AskStatement { id: AskId(array(row, 0)?), ask, since: number(row, 3)? };
    let member: Option<&[u8]> = row.try_get(1)?;
    let member = member.map(|_| array(row, 1).map(MemberId)).transpose()?;
    Ok(AskRow { statement, member })
}
