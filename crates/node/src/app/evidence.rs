//! From a refused checkpoint to a proof that anybody can check.
//!
//! Two checkpoints of one size with different roots prove a fork by themselves. When the sizes differ, a proof needs the first entry
//! at which the two histories part, with an inclusion proof in each. This node holds the entries of the checkpoint that it cosigned;
//! those of the refused one it fetches from the node that signed it, a tile a level. A node that does not serve the tiles of what it
//! signed leaves no such proof: then the signed checkpoint stays as it was kept, for the operators.
//!
//! Out of scope: finding the fork and stopping for it (`witness`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tlog::{Conflict, SignedCheckpoint, Tile, TileReader, Tree, VerifierKey};
use tokio::runtime::Handle;
use types::NodeId;

use super::publisher::{Courier, WitnessAt};
use super::sequencer::Core;
use crate::Error;
use crate::store::tiles::durable;

/// Tiles to fetch for one proof: at most two a level, and a log has at most eight levels.
const TILES: u32 = 64;

/// Whose log, and the two checkpoints that it signed: one that this node has cosigned, and one that it has not.
pub(super) struct Case {
    pub(super) node: NodeId,
    pub(super) log: VerifierKey,
    pub(super) cosigned: SignedCheckpoint,
    pub(super) refused: SignedCheckpoint,
}

/// Looks for the proof beside everything else that goes on; one search at a time.
pub(super) fn pursue(core: &Arc<Core>, case: Case) {
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let Ok(_alone) = core.pursuit.try_lock() else { return };
        let node = case.node.number();
        match prove(&core, case).await {
            Ok(name) => tracing::error!(node, "a proof of the fork, for anybody to check, is in log/conflicts/{name}"),
            Err(error) => tracing::warn!(node, "no proof of the fork for others could be made: {}", error.chain()),
        }
    });
}

async fn prove(core: &Arc<Core>, case: Case) -> Result<String, Error> {
    let sizes = (case.cosigned.verify(&case.log)?.size, case.refused.verify(&case.log)?.size);
    let name = format!("node-{}-fork-{}-{}.txt", case.node, sizes.0, sizes.1);
    let accused = core.config.witnesses.iter().find(|witness| witness.node == Some(case.node)).cloned();
    let witness = accused.ok_or(Error::Internal { what: "the other nodes are witnesses" })?;
    let theirs =
        Theirs { courier: Arc::clone(&core.config.courier), witness, runtime: Handle::current(), left: TILES.into() };
    let (files, folder, file) = (Arc::clone(core.store.log_files()), core.store.conflicts(), name.clone());
    let work = move || {
        let ours = Tree::new(files.size(), &*files);
        let other = Tree::new(sizes.1, &theirs);
        let conflict = Conflict::between((&ours, case.cosigned), (&other, case.refused), &case.log)?;
        durable(&folder, &file, conflict.to_string().as_bytes())
    };
    let made = tokio::task::spawn_blocking(work).await;
    made.unwrap_or(Err(Error::Internal { what: "evidence could be made" })).map(|()| name)
}

/// The other history's tiles, from where they are served.
struct Theirs {
    courier: Arc<dyn Courier>,
    witness: WitnessAt,
    runtime: Handle,
    left: AtomicU32,
}

impl TileReader for Theirs {
    fn read(&self, tile: Tile) -> Result<Vec<u8>, String> {
        let one_less = |left: u32| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).map_err(|_| "it takes too many tiles")?;
        // On a thread that may block.
        match self.runtime.block_on(self.courier.log_file(&self.witness, tile.path()))? {
            (200, bytes) => Ok(bytes),
            (status, _) => Err(format!("it is not served (status {status})")),
        }
    }
}
