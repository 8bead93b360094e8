//! Three nodes in this process, each of which can be stopped and started again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::native::NativeClient;
use node::config::NodeConfig;
use node::run::{Node, loopback};
use types::NodeId;
use types::profile::Profile;
use types::roster::Roster;

use crate::failure::{Exit, Failure};

/// How long three healthy nodes may take to find each other.
const START: Duration = Duration::from_secs(30);

/// The nodes and their folder, which is deleted at the end.
pub(crate) struct Nodes {
    folder: tempfile::TempDir,
    roster: Roster,
    configs: Vec<NodeConfig>,
    running: Vec<Option<Node>>,
}

impl Nodes {
    /// Creates and starts three nodes with throw-away keys.
    pub(crate) async fn start(profile: Profile) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("commons-demo-").tempdir();
        let folder = folder.map_err(|error| Failure::write(&std::env::temp_dir(), &error))?;
        let made = loopback(folder.path(), "demonstration", vec![profile]).await.map_err(|error| failure(&error))?;
        let mut nodes = Self { folder, roster: made.roster, configs: Vec::new(), running: Vec::new() };
        for (config, listeners) in made.nodes {
            nodes.configs.push(config.clone());
            nodes.running.push(Some(Node::start_on(config, listeners).await.map_err(|error| failure(&error))?));
        }
        nodes.until_ready().await?;
        Ok(nodes)
    }

    /// A new client of these nodes.
    pub(crate) fn client(&self) -> Result<NativeClient, Failure> {
        Ok(NativeClient::connect(self.roster.clone())?)
    }

    /// Where a node keeps everything.
    pub(crate) fn data_dir(&self, node: NodeId) -> PathBuf {
        self.configs.get(node.index()).map_or_else(|| Path::new("").to_owned(), |config| config.data_dir.clone())
    }

    /// Stops one node in good order.
    pub(crate) async fn stop(&mut self, node: NodeId) {
        if let Some(running) = self.running.get_mut(node.index()).and_then(Option::take) {
            running.stop().await;
        }
    }

    /// Starts it again on its ports and its data.
    pub(crate) async fn start_again(&mut self, node: NodeId) -> Result<(), Failure> {
        let (Some(config), Some(place)) = (self.configs.get(node.index()), self.running.get_mut(node.index())) else {
            return Ok(());
        };
        *place = Some(Node::start(config.clone()).await.map_err(|error| failure(&error))?);
        Ok(())
    }

    /// Waits until every running node can decide.
    pub(crate) async fn until_ready(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while let Some(reason) = self.running.iter().flatten().find_map(|node| node.ready().err()) {
            if begun.elapsed() > START {
                let hint = "see why with `COMMONS_LOG=info commons dev`";
                return Err(Failure {
                    exit: Exit::Unavailable,
                    ..Failure::input(format!("the nodes do not get ready: {reason}"), hint)
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Stops all of them; their keys and records go with the folder.
    pub(crate) async fn stop_all(mut self) {
        for node in NodeId::ALL {
            self.stop(node).await;
        }
        // Said once more, because this is the end of real templates' shares.
        let _ = self.folder.close();
    }
}

fn failure(error: &node::Error) -> Failure {
    Failure::message(Exit::Input, error.code(), &error.to_string())
}
