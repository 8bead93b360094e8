//! Takes checkpoints from node to node in memory, and leaves out those that a test has cut off. Logs can be forged.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tlog::Tile;
use tlog::tile::Resource;
use types::NodeId;

use crate::app::{App, Courier, Delivery, WitnessAt};

type Tiles = BTreeMap<Tile, Vec<u8>>;

#[derive(Default)]
pub(super) struct Post {
    apps: Mutex<[Option<App>; 3]>,
    cut: Mutex<Vec<NodeId>>,
    /// Tiles that a node serves instead of its own.
    forged: Mutex<Option<(NodeId, Tiles)>>,
}

impl Post {
    pub(super) fn set(&self, node: NodeId, app: Option<App>) {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)[node.index()] = app;
    }

    /// From now on this node serves another log.
    pub(super) fn forge(&self, node: NodeId, tiles: Tiles) {
        *self.forged.lock().unwrap_or_else(PoisonError::into_inner) = Some((node, tiles));
    }

    /// As witnesses, these nodes cannot be reached from now on.
    pub(super) fn cut(&self, nodes: &[NodeId]) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = nodes.to_vec();
    }
}

impl Courier for Post {
    fn add_checkpoint<'a>(&'a self, witness: &'a WitnessAt, body: String) -> Delivery<'a> {
        let node = witness.node.unwrap();
        let app = self.apps.lock().unwrap_or_else(PoisonError::into_inner)[node.index()].clone();
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner).contains(&node);
        Box::pin(async move {
            let app = app.filter(|_| !cut).ok_or_else(|| "nobody is there".to_owned())?;
            let answer = app.add_checkpoint(body.as_bytes()).await.map_err(|error| error.to_string())?;
            Ok((answer.status, answer.body.into_bytes()))
        })
    }
    fn log_file<'a>(&'a self, witness: &'a WitnessAt, path: String) -> Delivery<'a> {
        let node = witness.node.unwrap();
        let app = self.apps.lock().unwrap_or_else(PoisonError::into_inner)[node.index()].clone();
        let forged = self.forged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            let Ok(resource) = Resource::from_path(&path) else { return Ok((404, Vec::new())) };
            let bytes = match (forged, &resource) {
                (Some((forger, tiles)), Resource::Tile(tile)) if forger == node => tiles.get(tile).cloned(),
                _ => app.ok_or("nobody is there")?.log_file(resource).await.map_err(|error| error.to_string())?,
            };
            Ok(bytes.map_or((404, Vec::new()), |bytes| (200, bytes)))
        })
    }
}
