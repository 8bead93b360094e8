//! What must survive a restart, in SQLite: requests that wait for an answer, codes, tokens, who was admitted where each person is
//! admitted once. Every step that may happen once is one statement that only one caller wins.
//!
//! A subject is kept while somebody needs it: until the code is redeemed or has expired, and until the token has ended; where each person is
//! admitted once, for good; and where somebody tried something with a person's code, until that person's device hears of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use credential::{Attribute, Challenge, Envelope};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Row, Sqlite, Transaction};
use types::{Digest, UnixSeconds};

use crate::Error;
use crate::authorize::AuthorizeRequest;
use crate::jose::sha256;

/// Answers to one request that are looked at; each costs milliseconds of a core.
pub const ATTEMPTS: u32 = 10;
/// Seconds for which a used code is remembered.
const REPLAY_S: u64 = 24 * 3600;
/// What is kept for one person at one client of attempts with their codes, and for how many seconds.
const NOTES: u32 = 20;
const NOTE_S: u64 = 30 * 24 * 3600;

/// What a person disclosed, by attribute.
pub type Disclosed = BTreeMap<Attribute, String>;
pub(crate) type Tx<'a> = Transaction<'a, Sqlite>;

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: SqlitePool,
}

/// Why a request for a proof was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A browser signs in at a client.
    SignIn,
    /// A wallet gets credentials.
    Issue,
    /// A wallet keeps its credentials alive.
    Renew,
    /// A wallet ends its credentials.
    Retire,
}

impl Purpose {
    /// As stored and counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Issue => "issue",
            Self::Renew => "renew",
            Self::Retire => "retire",
        }
    }
    fn named(name: &str) -> Option<Self> {
        [Self::SignIn, Self::Issue, Self::Renew, Self::Retire].into_iter().find(|purpose| purpose.name() == name)
    }
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// For the person's device.
    Waits,
    /// The browser can go on.
    Answered,
    /// The browser has gone on.
    Over,
    /// The person was admitted before, or said no.
    Refused,
}

/// A request as the device sees it.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Why.
    pub purpose: Purpose,
    /// Whose; empty unless a sign-in.
    pub client: String,
    /// What the answer answers.
    pub challenge: Challenge,
    /// How it stands.
    pub status: Status,
    /// Answers that came.
    pub attempts: u32,
}

/// A sign-in as the browser sees it.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// For the device.
    pub device: [u8; 16],
    /// SHA-256 of the browser's cookie.
    pub cookie: [u8; 32],
    /// What the site asked.
    pub request: AuthorizeRequest,
    /// What the device answers.
    pub challenge: Challenge,
    /// How it stands.
    pub status: Status,
    /// Until when it waits.
    pub expires_at: UnixSeconds,
}

/// What a code stands for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Whose.
    pub client: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The client's.
    pub nonce: Option<String>,
    /// PKCE.
    pub code_challenge: String,
    /// Who.
    pub subject: String,
    /// With what.
    pub disclosed: Disclosed,
    /// When.
    pub auth_time: UnixSeconds,
    /// Redeemed before?
    pub used: bool,
    /// Until when it may be redeemed.
    pub expires_at: UnixSeconds,
}

impl Store {
    /// Makes the database in a new data directory.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Migration`].
    pub async fn create(dir: &Path) -> Result<(), Error> {
        Self::connect(dir, true).await?.pool.close().await;
        Ok(())
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::Database`], [`Error::Migration`].
    pub async fn open(dir: &Path) -> Result<Self, Error> {
        if !dir.join("store.sqlite").is_file() {
            return Err(Error::NoStore { path: dir.to_owned() });
        }
        Self::connect(dir, false).await
    }

    async fn connect(dir: &Path, create: bool) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(dir.join("store.sqlite"))
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .pragma("secure_delete", "ON");
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self { pool })
    }

    /// Is it there?
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn check(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Forgets what is over.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn tidy(&self, now: UnixSeconds) -> Result<(), Error> {
        for statement in [
            "DELETE FROM requests WHERE expires_at < ?",
            "DELETE FROM codes WHERE forget_after < ?",
            "DELETE FROM tokens WHERE expires_at < ?",
            "DELETE FROM notes WHERE forget_after < ?",
            // Nobody can redeem it any more: it is only known again.
            "UPDATE codes SET subject = '', disclosed = '{}', nonce = NULL WHERE expires_at < ? AND subject <> ''",
        ] {
            sqlx::query(statement).bind(signed(now)).execute(&self.pool).await?;
        }
        self.tidy_wallet(now).await?;
        // Nor in the write-ahead log; where somebody reads at this moment, the next time.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await?;
        Ok(())
    }

    /// Sign-ins and wallet requests that have begun and not ended.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn open_requests(&self, now: UnixSeconds) -> Result<u64, Error> {
        let row = sqlx::query("SELECT COUNT(*) FROM requests WHERE expires_at >= ?").bind(signed(now));
        number(&row.fetch_one(&self.pool).await?, 0)
    }

    /// Keeps a new sign-in.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn begin_sign_in(&self, handle: &[u8; 16], sign_in: &SignIn) -> Result<(), Error> {
        let request = &sign_in.request;
        sqlx::query(
            "INSERT INTO requests (device, purpose, challenge, expires_at, handle, cookie, client, redirect_uri, state, nonce, \
             code_challenge) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&sign_in.device[..])
        .bind(Purpose::SignIn.name())
        .bind(sign_in.challenge.to_bytes())
        .bind(signed(sign_in.expires_at))
        .bind(&handle[..])
        .bind(&sign_in.cookie[..])
        .bind(&request.client)
        .bind(&request.redirect_uri)
        .bind(&request.state)
        .bind(&request.nonce)
        .bind(&request.code_challenge)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Keeps a wallet's request.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn begin_wallet(&self, device: &[u8; 16], purpose: Purpose, challenge: &Challenge) -> Result<(), Error> {
        sqlx::query("INSERT INTO requests (device, purpose, challenge, expires_at) VALUES (?, ?, ?, ?)")
            .bind(&device[..])
            .bind(purpose.name())
            .bind(challenge.to_bytes())
            .bind(signed(challenge.expires_at()))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A request, for the device.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn pending(&self, device: &[u8; 16]) -> Result<Option<Pending>, Error> {
        let row = sqlx::query("SELECT purpose, client, challenge, status, attempts FROM requests WHERE device = ?")
            .bind(&device[..])
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Pending {
            purpose: Purpose::named(row.try_get(0)?).ok_or(DAMAGED)?,
            client: row.try_get::<Option<String>, _>(1)?.unwrap_or_default(),
            challenge: challenge(&row, 2)?,
            status: status(&row, 3)?,
            attempts: row.try_get(4)?,
        }))
    }

    /// Counts an answer before it is looked at; false when there were too many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn count_attempt(&self, device: &[u8; 16]) -> Result<bool, Error> {
        let query = sqlx::query("UPDATE requests SET attempts = attempts + 1 WHERE device = ? AND attempts < ?");
        Ok(query.bind(&device[..]).bind(ATTEMPTS).execute(&self.pool).await?.rows_affected() == 1)
    }

    /// A valid answer came. `once` is the scope in which each person is admitted once.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn answer(
        &self,
        device: &[u8; 16],
        subject: &str,
        disclosed: &Disclosed,
        once: Option<Digest>,
        now: UnixSeconds,
    ) -> Result<Answered, Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if !take(&mut tx, device, subject, disclosed, now).await? {
            return Ok(Answered::Before);
        }
        if let Some(scope) = once {
            let query = sqlx::query("INSERT OR IGNORE INTO admitted (scope, subject) VALUES (?, ?)");
            if query.bind(&scope.0[..]).bind(subject).execute(&mut *tx).await?.rows_affected() == 0 {
                let query = sqlx::query("UPDATE requests SET status = 3, subject = NULL, disclosed = NULL WHERE device = ?");
                query.bind(&device[..]).execute(&mut *tx).await?;
                tx.commit().await?;
                return Ok(Answered::Again);
            }
        }
        tx.commit().await?;
        Ok(Answered::Now)
    }

    /// A sign-in, for the browser.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn sign_in(&self, handle: &[u8; 16]) -> Result<Option<SignIn>, Error> {
        let row = sqlx::query(
            "SELECT device, cookie, client, redirect_uri, state, nonce, code_challenge, challenge, status, expires_at \
             FROM requests WHERE handle = ?",
        )
        .bind(&handle[..])
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SignIn {
            device: fixed(&row, 0)?,
            cookie: fixed(&row, 1)?,
            request: AuthorizeRequest {
                client: row.try_get(2)?,
                redirect_uri: row.try_get(3)?,
                state: row.try_get(4)?,
                nonce: row.try_get(5)?,
                scope: "openid".to_owned(),
                code_challenge: row.try_get(6)?,
            },
            challenge: challenge(&row, 7)?,
            status: status(&row, 8)?,
            expires_at: number(&row, 9)?,
        }))
    }

    /// Ends an answered sign-in with a code; false when another call did.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn finish(&self, handle: &[u8; 16], code: &str, expires_at: UnixSeconds) -> Result<bool, Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let inserted = sqlx::query(
            "INSERT INTO codes (code, client, redirect_uri, nonce, code_challenge, subject, disclosed, auth_time, expires_at, \
             forget_after) SELECT ?, client, redirect_uri, nonce, code_challenge, subject, disclosed, answered_at, ?, ? \
             FROM requests WHERE handle = ? AND status = 1",
        )
        .bind(&sha256(code)[..])
        .bind(signed(expires_at))
        .bind(signed(expires_at.saturating_add(REPLAY_S)))
        .bind(&handle[..])
        .execute(&mut *tx)
        .await?;
        let query = sqlx::query("UPDATE requests SET status = 2, subject = NULL, disclosed = NULL WHERE handle = ?");
        query.bind(&handle[..]).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// The person said no, in the browser; false when the sign-in did not wait any more.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn cancel(&self, handle: &[u8; 16]) -> Result<bool, Error> {
        let query = sqlx::query("UPDATE requests SET status = 3 WHERE handle = ? AND status = 0").bind(&handle[..]);
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// What a code stands for.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn code(&self, code: &str) -> Result<Option<Grant>, Error> {
        let row = sqlx::query(
            "SELECT client, redirect_uri, nonce, code_challenge, subject, disclosed, auth_time, used, expires_at \
             FROM codes WHERE code = ?",
        )
        .bind(&sha256(code)[..])
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Grant {
            client: row.try_get(0)?,
            redirect_uri: row.try_get(1)?,
            nonce: row.try_get(2)?,
            code_challenge: row.try_get(3)?,
            subject: row.try_get(4)?,
            disclosed: disclosed(&row, 5)?,
            auth_time: number(&row, 6)?,
            used: row.try_get(7)?,
            expires_at: number(&row, 8)?,
        }))
    }

    /// Redeems a code for an access token; false when it was redeemed before, and then what it gave is taken back and its person will
    /// hear of it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn redeem(&self, code: &str, token: &str, expires_at: UnixSeconds, now: UnixSeconds) -> Result<bool, Error> {
        let code = sha256(code);
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let first = sqlx::query("UPDATE codes SET used = 1 WHERE code = ? AND used = 0").bind(&code[..]);
        let first = first.execute(&mut *tx).await?.rows_affected() == 1;
        if first {
            sqlx::query(
                "INSERT INTO tokens (token, code, client, subject, disclosed, expires_at) \
                 SELECT ?, code, client, subject, disclosed, ? FROM codes WHERE code = ?",
            )
            .bind(&sha256(token)[..])
            .bind(signed(expires_at))
            .bind(&code[..])
            .execute(&mut *tx)
            .await?;
            let query = sqlx::query("UPDATE codes SET subject = '', disclosed = '{}', nonce = NULL WHERE code = ?");
            query.bind(&code[..]).execute(&mut *tx).await?;
        } else {
            note(&mut tx, "tokens", &code, "replayed-code", now).await?;
            sqlx::query("DELETE FROM tokens WHERE code = ?").bind(&code[..]).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(first)
    }

    /// Keeps for the person that somebody tried to redeem their code without what belongs to it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn note_bad_code(&self, code: &str, now: UnixSeconds) -> Result<(), Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        note(&mut tx, "codes", &sha256(code), "bad-code", now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What was tried with this person's codes at this client: told once, and forgotten.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn take_notes(&self, client: &str, subject: &str) -> Result<Vec<(UnixSeconds, String)>, Error> {
        let query = sqlx::query("DELETE FROM notes WHERE client = ? AND subject = ? RETURNING at, what");
        let rows = query.bind(client).bind(subject).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((number(row, 0)?, row.try_get(1)?))).collect()
    }

    /// Whose an access token is: client, subject, what they disclosed.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`].
    pub async fn token(&self, token: &str, now: UnixSeconds) -> Result<Option<(String, String, Disclosed)>, Error> {
        let query = sqlx::query("SELECT client, subject, disclosed FROM tokens WHERE token = ? AND expires_at >= ?");
        let row = query.bind(&sha256(token)[..]).bind(signed(now)).fetch_optional(&self.pool).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?, disclosed(&row, 2)?))).transpose()
    }
}

/// How an answer was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It counts.
    Now,
    /// The request was answered before.
    Before,
    /// The person was admitted before, where each is once.
    Again,
}

/// Marks a request as answered; false when it did not wait any more.
pub(crate) async fn take(
    tx: &mut Tx<'_>,
    device: &[u8; 16],
    subject: &str,
    disclosed: &Disclosed,
    now: UnixSeconds,
) -> Result<bool, Error> {
    let query = sqlx::query(
        "UPDATE requests SET status = 1, subject = ?, disclosed = ?, answered_at = ? \
         WHERE device = ? AND status = 0 AND expires_at >= ?",
    );
    let query = query.bind(subject).bind(written(disclosed)).bind(signed(now)).bind(&device[..]).bind(signed(now));
    Ok(query.execute(&mut **tx).await?.rows_affected() == 1)
}

/// Notes what was tried for whom the row of `code` in `table` names.
async fn note(
    tx: &mut Tx<'_>,
    table: &'static str,
    code: &[u8; 32],
    what: &'static str,
    now: UnixSeconds,
) -> Result<(), Error> {
    let text = format!(
        "INSERT INTO notes (client, subject, at, what, forget_after) SELECT client, subject, ?, ?, ? FROM {table} AS it \
         WHERE code = ? AND subject <> '' AND ? > \
         (SELECT COUNT(*) FROM notes WHERE notes.client = it.client AND notes.subject = it.subject)"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(signed(now)).bind(what).bind(signed(now.saturating_add(NOTE_S)));
    query.bind(&code[..]).bind(NOTES).execute(&mut **tx).await?;
    Ok(())
}

const DAMAGED: Error = Error::Internal { what: "the database holds what this program wrote" };

pub(crate) fn written(disclosed: &Disclosed) -> String {
    serde_json::to_string(disclosed).expect("attributes and texts are JSON")
}

pub(crate) fn disclosed(row: &SqliteRow, column: usize) -> Result<Disclosed, Error> {
    serde_json::from_str(row.try_get(column)?).map_err(|_| DAMAGED)
}

fn challenge(row: &SqliteRow, column: usize) -> Result<Challenge, Error> {
    Challenge::from_bytes(row.try_get(column)?).map_err(|_| DAMAGED)
}

fn status(row: &SqliteRow, column: usize) -> Result<Status, Error> {
    match row.try_get::<u8, _>(column)? {
        0 => Ok(Status::Waits),
        1 => Ok(Status::Answered),
        2 => Ok(Status::Over),
        3 => Ok(Status::Refused),
        _ => Err(DAMAGED),
    }
}

fn fixed<const N: usize>(row: &SqliteRow, column: usize) -> Result<[u8; N], Error> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(|_| DAMAGED)
}

pub(crate) fn number(row: &SqliteRow, column: usize) -> Result<u64, Error> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| DAMAGED)
}

/// SQLite's integers are signed; times and counts fit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
