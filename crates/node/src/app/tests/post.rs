//! Takes checkpoints from node to node in memory, and leaves out those that a test has cut off.

use std::sync::{Mutex, PoisonError};

use types::NodeId;

use crate::app::{App, Courier, Delivery, WitnessAt};

#[derive(Default)]
pub(super) struct Post {
    apps: Mutex<[Option<App>; 3]>,
    cut: Mutex<Vec<NodeId>>,
}

impl Post {
    pub(super) fn set(&self, node: NodeId, app: Option<App>) {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)[node.index()] = app;
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
}
