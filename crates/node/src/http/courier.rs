//! Takes checkpoints to witnesses over HTTPS: to the other two nodes with their keys pinned by the roster, to external witnesses
//! with certificates of public authorities. Redirects are not followed; replies are bounded in size and time.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::crypto::ring;
use types::roster::Roster;
use types::{NodeId, limits};

use super::log::WITNESS_TIMEOUT;
use crate::Error;
use crate::app::{Courier, Delivery, WitnessAt};
use crate::peer::pinned_https;

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

    async fn post(&self, witness: &WitnessAt, body: String) -> Result<(u16, Vec<u8>), reqwest::Error> {
        let client = witness.node.and_then(|node| self.nodes.get(&node)).unwrap_or(&self.others);
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        let mut response = client.post(url).header("content-type", "text/plain; charset=utf-8").body(body).send().await?;
        let mut reply = Vec::new();
        while reply.len() <= limits::NOTE_BYTES
            && let Some(piece) = response.chunk().await?
        {
            reply.extend_from_slice(&piece);
        }
        Ok((response.status().as_u16(), reply))
    }
}

impl Courier for HttpCourier {
    fn add_checkpoint<'a>(&'a self, witness: &'a WitnessAt, body: String) -> Delivery<'a> {
        Box::pin(async move {
            self.post(witness, body).await.map_err(|error| match error {
                error if error.is_timeout() => "it did not answer in time".to_owned(),
                error if error.is_connect() => "it cannot be reached, or shows another key than expected".to_owned(),
                _ => "it broke off the connection".to_owned(),
            })
        })
    }
}

fn bounded() -> ClientBuilder {
    Client::builder().timeout(WITNESS_TIMEOUT).redirect(Policy::none()).no_proxy()
}
