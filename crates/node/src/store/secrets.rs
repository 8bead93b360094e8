//! Renewal of this node's shares of members' secrets (`credential::escrow`), beside that of the records' shares ([`super::epoch`]).
//!
//! The arithmetic takes a group operation or two per member, too long for one transaction over everybody. So the worker makes the
//! coming shares ahead, some hundred at a time ([`renew_ahead`]), and the batch that ends the refresh exchanges them in its own
//! transaction, with those of members who were bound in between ([`exchange`]). So a node has shares of one epoch or of the other, as
//! the chain says, and never of both.
//!
//! Out of scope: where the seed comes from, and when a refresh ends (`app`).

use credential::Fresh;
use credential::escrow::{Share, Slope, renew};
use mpc::refresh::Seed;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row, query};
use types::{Digest, MemberId};
use zeroize::Zeroizing;

use super::blocking;
use super::meta::{Tx, array, bytes};
use crate::Error;

/// Members renewed between two transactions.
const TOGETHER: i64 = 256;

/// A member's coming share and slope.
type Renewed = (MemberId, Share, Slope);

/// Makes the coming shares of everybody who is bound. Returns whether all are made; what was made stays, and a repetition goes on
/// from there.
pub(super) async fn renew_ahead(write: &SqlitePool, seed: &Seed, stop: &(impl Fn() -> bool + Sync)) -> Result<bool, Error> {
    let mut after = Vec::new();
    loop {
        if stop() {
            return Ok(false);
        }
        let rows = query(
            "SELECT b.member, b.slope, b.share FROM bindings b WHERE b.member > ? \
             AND NOT EXISTS (SELECT 1 FROM renewed_bindings r WHERE r.member = b.member) ORDER BY b.member LIMIT ?",
        )
        .bind(&after)
        .bind(TOGETHER)
        .fetch_all(write)
        .await?;
        let Some(last) = rows.last() else { return Ok(true) };
        after = last.try_get(0)?;
        let made = make(&rows, seed).await?;
        let mut tx = write.begin().await?;
        for (member, share, slope) in &made {
            let share = Zeroizing::new(share.to_bytes());
            // Whoever has left meanwhile leaves nothing behind.
            query("INSERT INTO renewed_bindings (member, slope, share) SELECT member, ?, ? FROM bindings WHERE member = ?")
                .bind(bytes(&slope.to_bytes()))
                .bind(bytes(share.as_slice()))
                .bind(bytes(&member.0))
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
    }
}

/// Puts the coming shares in the places of the present ones, and makes those that are missing.
pub(super) async fn exchange(tx: &mut Tx<'_>) -> Result<(), Error> {
    let seed = query("SELECT seed FROM refresh").fetch_optional(&mut **tx).await?;
    let seed = seed.ok_or(Error::Internal { what: "a refresh that ends has begun" })?;
    let seed = Seed::from_bytes(*Zeroizing::new(array(&seed, 0)?));
    let missing = query(
        "SELECT b.member, b.slope, b.share FROM bindings b \
         WHERE NOT EXISTS (SELECT 1 FROM renewed_bindings r WHERE r.member = b.member)",
    )
    .fetch_all(&mut **tx)
    .await?;
    for (member, share, slope) in make(&missing, &seed).await? {
        let share = Zeroizing::new(share.to_bytes());
        query("INSERT INTO renewed_bindings (member, slope, share) VALUES (?, ?, ?)")
            .bind(bytes(&member.0))
            .bind(bytes(&slope.to_bytes()))
            .bind(bytes(share.as_slice()))
            .execute(&mut **tx)
            .await?;
    }
    query("UPDATE bindings SET slope = r.slope, share = r.share FROM renewed_bindings r WHERE r.member = bindings.member")
        .execute(&mut **tx)
        .await?;
    query("DELETE FROM renewed_bindings").execute(&mut **tx).await?;
    Ok(())
}

/// The coming shares of rows of member, slope, share.
async fn make(rows: &[SqliteRow], seed: &Seed) -> Result<Vec<Renewed>, Error> {
    let present = rows
        .iter()
        .map(|row| {
            let share = Zeroizing::new(row.try_get::<Vec<u8>, _>(2)?);
            let share =
                Share::from_bytes(&share).map_err(|_| Error::Internal { what: "a stored share of a secret is one" })?;
            Ok((MemberId(array(row, 0)?), share, Slope::from_bytes(array(row, 1)?)))
        })
        .collect::<Result<Vec<Renewed>, Error>>()?;
    let seed = seed.clone();
    blocking(move || {
        let coming = |(member, share, slope): &Renewed| {
            let name = Digest::of("trust-commons/v1/refresh/secret", &[seed.secret_bytes(), &member.0]);
            let (share, slope) = renew(share, slope, Fresh::new(name.0))?;
            Ok((*member, share, slope))
        };
        present.iter().map(coming).collect()
    })
    .await
}
