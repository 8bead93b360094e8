//! The wallets' part of the database: personas and their epochs, places in status lists, offers, nonces, presentations.

use std::collections::BTreeMap;

use credential::Epoch;
use serde_json::{Map, Value};
use sqlx::Row;
use types::UnixSeconds;

use crate::Error;
use crate::jose::sha256;
use crate::provider::random;
use crate::status::{PLACES, StatusList};
use crate::store::{Answered, Disclosed, Store, Tx, disclosed, number, signed, take, written};

/// Seconds for which a nonce or an offer is good.
pub(crate) const OFFER_S: u64 = 300;

/// What an access token for credentials stands for.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) disclosed: Disclosed,
    pub(crate) credentials: u32,
}

/// A request for a presentation.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) client: String,
    pub(crate) nonce: String,
    pub(crate) state: String,
    pub(crate) result: Option<Map<String, Value>>,
    pub(crate) expires_at: UnixSeconds,
}

impl Store {
    pub(crate) async fn tidy_wallet(&self, now: UnixSeconds) -> Result<(), Error> {
        for statement in [
            "DELETE FROM slots WHERE expires_at < ?",
            "DELETE FROM offers WHERE expires_at < ?",
            "DELETE FROM nonces WHERE expires_at < ?",
            "DELETE FROM presentations WHERE expires_at < ?",
        ] {
            sqlx::query(statement).bind(signed(now)).execute(&self.pool).await?;
        }
        sqlx::query(
            "DELETE FROM personas WHERE NOT EXISTS (SELECT 1 FROM slots WHERE slots.subject = personas.subject) \
             AND NOT EXISTS (SELECT 1 FROM offers WHERE offers.subject = personas.subject)",
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A persona proved itself to get credentials: it is offered so many, for `code`.
    pub(crate) async fn offer(
        &self,
        device: &[u8; 16],
        (subject, disclosed, epoch): (&str, &Disclosed, Epoch),
        code: &str,
        credentials: u32,
        now: UnixSeconds,
    ) -> Result<Answered, Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if !take(&mut tx, device, "", &Disclosed::new(), now).await? {
            return Ok(Answered::Before);
        }
        keep_alive(&mut tx, subject, epoch).await?;
        sqlx::query("INSERT INTO offers (code, subject, disclosed, credentials, expires_at) VALUES (?, ?, ?, ?, ?)")
            .bind(&sha256(code)[..])
            .bind(subject)
            .bind(written(disclosed))
            .bind(credentials)
            .bind(signed(now.saturating_add(OFFER_S)))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Answered::Now)
    }

    /// A persona proved itself again: its credentials stand on.
    pub(crate) async fn renew(
        &self,
        device: &[u8; 16],
        subject: &str,
        epoch: Epoch,
        now: UnixSeconds,
    ) -> Result<Answered, Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if !take(&mut tx, device, "", &Disclosed::new(), now).await? {
            return Ok(Answered::Before);
        }
        keep_alive(&mut tx, subject, epoch).await?;
        tx.commit().await?;
        Ok(Answered::Now)
    }

    /// A persona ends its credentials: nothing says any more whose they were.
    pub(crate) async fn retire(&self, device: &[u8; 16], subject: &str, now: UnixSeconds) -> Result<Answered, Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if !take(&mut tx, device, "", &Disclosed::new(), now).await? {
            return Ok(Answered::Before);
        }
        for statement in [
            "UPDATE slots SET subject = NULL WHERE subject = ?",
            "DELETE FROM offers WHERE subject = ?",
            "DELETE FROM personas WHERE subject = ?",
        ] {
            sqlx::query(statement).bind(subject).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(Answered::Now)
    }

    /// Redeems an offer's code for an access token. A second try ends the offer.
    pub(crate) async fn redeem_offer(&self, code: &str, token: &str, now: UnixSeconds) -> Result<bool, Error> {
        let code = sha256(code);
        let query = sqlx::query("UPDATE offers SET token = ? WHERE code = ? AND token IS NULL AND expires_at >= ?");
        let query = query.bind(sha256(token).to_vec()).bind(code.to_vec()).bind(signed(now));
        if query.execute(&self.pool).await?.rows_affected() == 1 {
            return Ok(true);
        }
        sqlx::query("DELETE FROM offers WHERE code = ?").bind(code.to_vec()).execute(&self.pool).await?;
        Ok(false)
    }

    /// What an access token stands for.
    pub(crate) async fn offered(&self, token: &str, now: UnixSeconds) -> Result<Option<Offer>, Error> {
        let row = sqlx::query("SELECT disclosed, credentials FROM offers WHERE token = ? AND expires_at >= ?")
            .bind(sha256(token).to_vec())
            .bind(signed(now))
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Offer { disclosed: disclosed(&row, 0)?, credentials: row.try_get(1)? }))
    }

    pub(crate) async fn keep_nonce(&self, nonce: &str, now: UnixSeconds) -> Result<(), Error> {
        sqlx::query("INSERT INTO nonces (nonce, expires_at) VALUES (?, ?)")
            .bind(sha256(nonce).to_vec())
            .bind(signed(now.saturating_add(OFFER_S)))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Uses a nonce up; false when there is none.
    pub(crate) async fn use_nonce(&self, nonce: &str, now: UnixSeconds) -> Result<bool, Error> {
        let query = sqlx::query("DELETE FROM nonces WHERE nonce = ? AND expires_at >= ?");
        let query = query.bind(sha256(nonce).to_vec()).bind(signed(now));
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Takes `count` places in a status list for credentials of the token's persona; nothing if the token does not allow so many any
    /// more. Places are drawn, so that neighbours have nothing in common.
    pub(crate) async fn take_places(
        &self,
        token: &str,
        count: u32,
        expires_at: UnixSeconds,
    ) -> Result<Option<(u32, Vec<u32>)>, Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let token = sha256(token).to_vec();
        let query = sqlx::query("UPDATE offers SET credentials = credentials - ? WHERE token = ? AND credentials >= ?");
        if query.bind(count).bind(token.clone()).bind(count).execute(&mut *tx).await?.rows_affected() != 1 {
            return Ok(None);
        }
        let subject = sqlx::query("SELECT subject FROM offers WHERE token = ?").bind(token).fetch_one(&mut *tx).await?;
        let subject: String = subject.try_get(0)?;
        let list = open_list(&mut tx).await?;
        let mut places = Vec::new();
        while places.len() < count as usize {
            let place = u32::from(u16::from_le_bytes(random()?));
            let query = sqlx::query("INSERT OR IGNORE INTO slots (list, place, subject, expires_at) VALUES (?, ?, ?, ?)");
            let query = query.bind(list).bind(place).bind(&subject).bind(signed(expires_at));
            if query.execute(&mut *tx).await?.rows_affected() == 1 {
                places.push(place);
            }
        }
        tx.commit().await?;
        Ok(Some((list, places)))
    }

    /// Which places of a list stand: those of personas that proved themselves in an epoch that `accepts`.
    pub(crate) async fn status_list(
        &self,
        list: u32,
        accepts: impl Fn(Epoch) -> bool,
        now: UnixSeconds,
    ) -> Result<StatusList, Error> {
        let rows =
            sqlx::query("SELECT place, epoch FROM slots JOIN personas USING (subject) WHERE list = ? AND expires_at >= ?")
                .bind(list)
                .bind(signed(now))
                .fetch_all(&self.pool)
                .await?;
        let mut status = StatusList::all_ended();
        for row in rows {
            if accepts(Epoch(row.try_get(1)?)) {
                status.stand(usize::try_from(number(&row, 0)?).unwrap_or(usize::MAX));
            }
        }
        Ok(status)
    }

    /// Is there such a list?
    pub(crate) async fn has_list(&self, list: u32) -> Result<bool, Error> {
        let row = sqlx::query("SELECT COALESCE(MAX(list), 0) FROM slots").fetch_one(&self.pool).await?;
        Ok(u64::from(list) <= number(&row, 0)?)
    }

    pub(crate) async fn ask(&self, id: &[u8; 16], asked: &Asked) -> Result<(), Error> {
        sqlx::query("INSERT INTO presentations (id, client, nonce, state, expires_at) VALUES (?, ?, ?, ?, ?)")
            .bind(id.to_vec())
            .bind(&asked.client)
            .bind(&asked.nonce)
            .bind(&asked.state)
            .bind(signed(asked.expires_at))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub(crate) async fn asked(&self, id: &[u8; 16]) -> Result<Option<Asked>, Error> {
        let row = sqlx::query("SELECT client, nonce, state, result, expires_at FROM presentations WHERE id = ?")
            .bind(id.to_vec())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let result = row.try_get::<Option<String>, _>(3)?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Some(Asked {
            client: row.try_get(0)?,
            nonce: row.try_get(1)?,
            state: row.try_get(2)?,
            result,
            expires_at: number(&row, 4)?,
        }))
    }

    pub(crate) async fn count_presentation(&self, id: &[u8; 16]) -> Result<bool, Error> {
        let query = sqlx::query("UPDATE presentations SET attempts = attempts + 1 WHERE id = ? AND attempts < ?");
        Ok(query.bind(id.to_vec()).bind(crate::store::ATTEMPTS).execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Keeps a request's answer; false when it has one.
    pub(crate) async fn answered(&self, id: &[u8; 16], result: &BTreeMap<String, Value>) -> Result<bool, Error> {
        let result = serde_json::to_string(result).map_err(|_| Error::Internal { what: "claims are JSON" })?;
        let query = sqlx::query("UPDATE presentations SET result = ? WHERE id = ? AND result IS NULL");
        Ok(query.bind(result).bind(id.to_vec()).execute(&self.pool).await?.rows_affected() == 1)
    }
}

async fn keep_alive(tx: &mut Tx<'_>, subject: &str, epoch: Epoch) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO personas (subject, epoch) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET epoch = MAX(epoch, excluded.epoch)",
    )
    .bind(subject)
    .bind(epoch.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The first list that is not half full; so that drawing a free place takes two tries on average at worst.
async fn open_list(tx: &mut Tx<'_>) -> Result<u32, Error> {
    for list in 0.. {
        let row = sqlx::query("SELECT COUNT(*) FROM slots WHERE list = ?").bind(list).fetch_one(&mut **tx).await?;
        if number(&row, 0)? < PLACES as u64 / 2 {
            return Ok(list);
        }
    }
    Err(Error::Internal { what: "there is room in some list" })
}
