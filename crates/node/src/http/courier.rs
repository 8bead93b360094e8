//! Takes checkpoints to witnesses, and fetches tiles of other nodes' logs, over HTTPS: to the other two nodes with their keys pinned by the roster, to external witnesses
//! with certificates of public authorities. Redirects are not followed; replies are bounded in size and time.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder};
use rustls::crypto::ring;
use types::roster::Roster;
use types::{NodeId, limits};

use super::log::WITNESS_TIMEOUT;
use crate::Error;
use crate::app::{Courier, Delivery, WitnessAt};
use crate::peer::pinned_https;

/// A full tile of hashes.
const TILE_BYTES: usize = 32 * tlog::tile::WIDTH as usize;

/// One client per node, and one for everybody else.
#[derive(Debug)]
pub(crate) struct HttpCourier {
    nodes: HashMap<NodeId, Client>,
    others: Client,
}

impl HttpCourier {
    /// Ready to reach the nodes of `roster`.
    ///
    /// # Errors
    /// [`Error::Internal`] when TLS cannot be set up.
    pub(crate) fn new(roster: &Roster) -> Result<Arc<Self>, Error> {
        let internal = |_| Error::Internal { what: "the HTTP client for witnesses is complete" };
        // For the client without pins; another one that was installed before serves as well.
        let _ = ring::default_provider().install_default();
        let mut nodes = HashMap::new();
        for node in &roster.nodes {
            let tls = pinned_https(roster, node.id)?;
            nodes.insert(node.id, bounded().tls_backend_preconfigured(tls).build().map_err(internal)?);
        }
        Ok(Arc::new(Self { nodes, others: bounded().build().map_err(internal)? }))
    }

    fn client(&self, witness: &WitnessAt) -> &Client {
        witness.node.and_then(|node| self.nodes.get(&node)).unwrap_or(&self.others)
    }
}

fn url(witness: &WitnessAt, path: &str) -> String {
    format!("{}/{path}", witness.url.trim_end_matches('/'))
}

/// Status and body, cut off soon after `limit` bytes.
async fn take(request: RequestBuilder, limit: usize) -> Result<(u16, Vec<u8>), String> {
    let read = async {
        let mut response = request.send().await?;
        let mut reply = Vec::new();
        while reply.len() <= limit
            && let Some(piece) = response.chunk().await?
        {
            reply.extend_from_slice(&piece);
        }
        Ok((response.status().as_u16(), reply))
    };
    read.await.map_err(|error: reqwest::Error| match error {
        error if error.is_timeout() => "it did not answer in time".to_owned(),
        error if error.is_connect() => "it cannot be reached, or shows another key than expected".to_owned(),
        _ => "it broke off the connection".to_owned(),
    })
}

impl Courier for HttpCourier {
    fn add_checkpoint<'a>(&'a self, witness: &'a WitnessAt, body: String) -> Delivery<'a> {
        let post = self.client(witness).post(url(witness, "add-checkpoint"));
        Box::pin(take(post.header("content-type", "text/plain; charset=utf-8").body(body), limits::NOTE_BYTES))
    }

    fn log_file<'a>(&'a self, witness: &'a WitnessAt, path: String) -> Delivery<'a> {
        Box::pin(take(self.client(witness).get(url(witness, &format!("log/{path}"))), TILE_BYTES))
    }
}

fn bounded() -> ClientBuilder {
    Client::builder().timeout(WITNESS_TIMEOUT).redirect(Policy::none()).no_proxy()
}
