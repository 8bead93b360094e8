//! A look at a data directory that changes nothing in it, for `commons-node check`.

use std::path::Path;

use sqlx::sqlite::SqlitePoolOptions;
use types::roster::Roster;
use types::{NodeId, ProfileId};

use super::segment::Segments;
use super::{Chain, Epoch, META, SHARES, Store, blocking, epoch, lock, meta, options, slots};
use crate::Error;

/// What a data directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Where the decision chain stands.
    pub chain: Chain,
    /// Active records per profile.
    pub records: Vec<(ProfileId, u64)>,
    /// Of which epoch the shares are.
    pub epoch: Epoch,
    /// Whether every share was read and its checksum holds. Not while a node runs on the directory: it has checked them at its
    /// start, and changes them.
    pub verified: bool,
}

impl Store {
    /// Looks at the directory of `node` and, if no node runs on it, reads and checks every share.
    ///
    /// # Errors
    /// As [`Self::open`], except [`Error::StoreLocked`].
    pub async fn inspect(dir: &Path, node: NodeId, roster: &Roster) -> Result<Inspection, Error> {
        let path = dir.join(META);
        if !path.exists() {
            return Err(Error::NoStore { path: dir.to_owned() });
        }
        let lock = match lock(dir) {
            Ok(lock) => Some(lock),
            Err(Error::StoreLocked { .. }) => None,
            Err(error) => return Err(error),
        };
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(&path).read_only(true)).await?;
        meta::check_version(&pool, &path).await?;
        meta::check_owner(&pool, dir, node, &roster.digest()).await?;
        let chain = meta::chain(&pool, &roster.digest()).await?;
        let records = slots::record_counts(&pool, &roster.profiles).await?;
        let epoch = epoch::before_open(&pool).await?;
        if lock.is_some() {
            let present = epoch.present;
            for profile in &roster.profiles {
                let known = slots::known(&pool, &profile.id).await?;
                let (root, profile) = (dir.join(SHARES), profile.clone());
                blocking(move || Segments::verify(&root, node, &profile, present, &known)).await?;
            }
        }
        pool.close().await;
        Ok(Inspection { chain, records, epoch, verified: lock.is_some() })
    }
}
