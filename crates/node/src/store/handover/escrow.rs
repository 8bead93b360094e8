//! Shares of members' secrets, which each node keeps for its own (`credential::escrow`), on the way to a new node.
//!
//! The copy of the metadata holds none. Each remaining node hands over, per binding, its masked half of the new node's share; the
//! new node adds the two, and sees by the commitment whether it got its share. A half alone says nothing, and no remaining node's
//! share ever leaves it: with it the new node could put the member's secret together.

use std::path::Path;

use credential::escrow::{Half, Share, Slope, rebuild, share_zero};
use credential::{Commitment, Fresh};
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use types::{Digest, MemberId, NodeId};
use zeroize::Zeroizing;

use super::file::{Opening, Sealing, length};
use super::{Store, generator, options, wrong};
use crate::Error;
use crate::store::batch::{Batch, Effect, NewBinding};
use crate::store::meta;

/// Where they are kept.
pub(super) const TABLE: &str = "bindings";
/// Columns of [`TABLE`] that are a node's own.
pub(super) const OWN_COLUMNS: [&str; 3] = ["share", "issued_epoch", "issued_at"];

/// This node's half of the share of `lost` of every bound member's secret: of those committed, then of those only promised.
pub(super) async fn halves(
    store: &Store,
    giver: NodeId,
    lost: NodeId,
    mask: &[u8; 32],
) -> Result<Vec<(MemberId, Half)>, Error> {
    let helper = if giver.next() == lost { giver.prev() } else { giver.next() };
    let half = |member: MemberId, share: &Share| {
        let mask = Fresh::new(Digest::of("trust-commons/v1/handover/escrow", &[mask, &member.0]).0);
        Ok::<_, Error>((member, share.half(helper, lost, &mask)?))
    };
    let rows = sqlx::query("SELECT member, share FROM bindings ORDER BY member").fetch_all(&store.read).await?;
    let mut halves = Vec::with_capacity(rows.len());
    for row in &rows {
        let share = Zeroizing::new(row.try_get::<Vec<u8>, _>(1)?);
        halves.push(half(MemberId(meta::array(row, 0)?), &Share::from_bytes(&share)?)?);
    }
    if let Some(mut batch) = store.prepared().await? {
        for binding in bindings(&mut batch) {
            halves.push(half(binding.member, &binding.share)?);
        }
    }
    Ok(halves)
}

/// Writes halves.
pub(super) fn put(sealing: &mut Sealing, halves: &[(MemberId, Half)]) -> Result<(), Error> {
    sealing.put(&length(halves.len())?.to_le_bytes())?;
    for (member, half) in halves {
        sealing.put(&member.0)?;
        sealing.put(Zeroizing::new(half.to_bytes()).as_slice())?;
    }
    Ok(())
}

/// Reads the halves of both nodes, and adds them.
pub(super) fn add(one: &mut Opening, other: &mut Opening) -> Result<Vec<(MemberId, Share)>, Error> {
    let (count, same) = (one.number()?, other.number()?);
    if count != same {
        return Err(wrong("the numbers of members' secrets differ"));
    }
    let mut shares = Vec::new();
    for _ in 0..count {
        let ((member, half), (also, other_half)) = (half(one)?, half(other)?);
        if member != also {
            return Err(wrong("the shares of secrets are not of the same members"));
        }
        shares.push((member, rebuild(&half, &other_half)?));
    }
    Ok(shares)
}

fn half(opening: &mut Opening) -> Result<(MemberId, Half), Error> {
    let (mut member, mut bytes) = ([0; 16], Zeroizing::new([0; Share::LEN]));
    opening.bytes(&mut member)?;
    opening.bytes(bytes.as_mut())?;
    Ok((MemberId(member), Half::from_bytes(bytes.as_slice())?))
}

/// Takes out of a copy of the metadata what is the giver's own: what stands there instead is random, and nobody's share.
pub(super) async fn empty(pool: &SqlitePool, lost: NodeId) -> Result<(), Error> {
    let mut rng = generator()?;
    let mut seed = Zeroizing::new([0; 32]);
    rand_core::Rng::fill_bytes(&mut rng, seed.as_mut());
    let (places, _) = share_zero(Fresh::new(*seed));
    let place = places.get(lost.index()).ok_or(Error::Internal { what: "a node is 1, 2 or 3" })?;
    sqlx::query("UPDATE bindings SET share = ?, issued_epoch = NULL, issued_at = NULL")
        .bind(place.to_bytes().as_slice())
        .execute(pool)
        .await?;
    if let Some(mut batch) = meta::prepared(pool).await? {
        bindings(&mut batch).for_each(|binding| binding.share.clone_from(place));
        meta::promise_instead(pool, &batch).await?;
    }
    Ok(())
}

/// The promised batch as all nodes keep it alike: with the same shares of nothing in the places of secrets'.
pub(super) async fn promised_alike(pool: &SqlitePool) -> Result<Vec<u8>, Error> {
    let ([place, ..], _) = share_zero(Fresh::new([0; 32]));
    let mut batch = meta::prepared(pool).await?;
    batch.iter_mut().flat_map(bindings).for_each(|binding| binding.share.clone_from(&place));
    borsh::to_vec(&batch).map_err(|_| Error::Internal { what: "a batch can be written" })
}

/// Puts the new node's shares where they belong, each checked against what its member is bound to.
pub(super) async fn fill(path: &Path, shares: &[(MemberId, Share)]) -> Result<(), Error> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(path)).await?;
    let filled = fill_in(&pool, shares).await;
    pool.close().await;
    filled
}

async fn fill_in(pool: &SqlitePool, shares: &[(MemberId, Share)]) -> Result<(), Error> {
    let fits = |share: &Share, commitment: &Commitment, slope: &Slope| {
        share.check(commitment, slope).map_err(|_| {
            wrong("the halves of a share of a member's secret do not make one; run `commons-node fsck` on both nodes")
        })
    };
    let others = || wrong("the shares of secrets are not of the members who are bound");
    let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM bindings").fetch_one(pool).await?;
    let committed = usize::try_from(kept).unwrap_or(usize::MAX);
    let (committed, promised) = shares.split_at_checked(committed).ok_or_else(others)?;
    let mut tx = pool.begin().await?;
    let rows = sqlx::query("SELECT member, commitment, slope FROM bindings ORDER BY member").fetch_all(&mut *tx).await?;
    for (row, (member, share)) in rows.iter().zip(committed) {
        if meta::array(row, 0)? != member.0 {
            return Err(others());
        }
        fits(share, &Commitment::from_bytes(meta::array(row, 1)?), &Slope::from_bytes(meta::array(row, 2)?))?;
        let bytes = Zeroizing::new(share.to_bytes());
        let update = sqlx::query("UPDATE bindings SET share = ? WHERE member = ?").bind(bytes.as_slice());
        update.bind(member.0.as_slice()).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    let mut batch = meta::prepared(pool).await?;
    let mut waiting: Vec<&mut NewBinding> = batch.as_mut().map(|batch| bindings(batch).collect()).unwrap_or_default();
    if waiting.len() != promised.len() {
        return Err(others());
    }
    for (binding, (member, share)) in waiting.iter_mut().zip(promised) {
        if binding.member != *member {
            return Err(others());
        }
        fits(share, &binding.commitment, &binding.slope)?;
        binding.share.clone_from(share);
    }
    match batch {
        Some(batch) if !promised.is_empty() => meta::promise_instead(pool, &batch).await,
        _ => Ok(()),
    }
}

/// What a batch binds.
fn bindings(batch: &mut Batch) -> impl Iterator<Item = &mut NewBinding> {
    batch.entries.iter_mut().filter_map(|entry| match &mut entry.effect {
        Effect::Bind(binding) => Some(binding.as_mut()),
        _ => None,
    })
}
