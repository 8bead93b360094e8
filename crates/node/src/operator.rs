//! What an operator's program asks of the operator's own running node, over its API, signed with the node's own key; and what a
//! stopped one hands over.
//!
//! Out of scope: what the node does with it (`app`), and what lies in a stopped node's directory (`store`).

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::redirect::Policy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::OperationId;
use types::api::{CommonsBody, DecisionBody, Problem, RequestBody, from_base64, to_base64};
use types::message::{Action, Certificate};
use types::profile::Profile;
use types::roster::{Roster, RosterNode};

use crate::Error;
use crate::app::{operators_request, prune};
use crate::config::NodeConfig;
use crate::identity::{Identity, unix_now};
use crate::peer::pinned_https;
use crate::store::Store;
use crate::store::handover::{self, Giver, Manifest};

/// How often a refresh that is going on is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Writes what a stopped node, whose directory is `dir`, hands over to the one that takes a lost node's place
/// ([`crate::store::handover`]). `first` is the other remaining node's file, when that was written before.
///
/// # Errors
/// What [`Store::open`] says; [`Error::Handover`], [`Error::Io`].
pub async fn hand_over(
    dir: &Path,
    giver: &Giver<'_>,
    roster: &Roster,
    first: Option<&Path>,
    out: &Path,
) -> Result<Manifest, Error> {
    let store = Store::open(dir, giver.node, roster).await?;
    prune(&store, roster).await?;
    let manifest = handover::give(&store, giver, roster, first, out).await;
    store.close().await;
    manifest
}

/// An operator's own node, as its API is reached.
struct Own<'a> {
    client: Client,
    url: String,
    roster: &'a Roster,
    identity: &'a Identity,
}

/// A refresh that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refreshed {
    /// The epoch that the shares are of, or will be.
    pub epoch: u64,
    /// The operation that began it, by which its log entry is found.
    pub operation: String,
    /// Batch in which it was decided.
    pub batch: u64,
    /// Whether all nodes have gone over to the new shares, as far as was waited.
    pub done: bool,
    /// From the request on.
    pub milliseconds: u64,
}

/// Has all three nodes renew their stored shares; with `wait`, returns when they use the new ones.
///
/// # Errors
/// [`Error::OwnNode`] when the node of this configuration does not answer or refuses; what [`NodeConfig::open`] says.
pub async fn refresh(config: &NodeConfig, wait: bool) -> Result<Refreshed, Error> {
    let (roster, identity) = config.open()?;
    let own = Own::new(config, &roster, &identity)?;
    let began = Instant::now();
    let epoch = own.commons().await?.epoch + 1;
    let decided = own.ask("/v1/refresh", Action::Refresh { epoch }).await?;
    let mut done = false;
    while wait && !done {
        tokio::time::sleep(LOOK).await;
        done = own.commons().await?.epoch >= epoch;
    }
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let decision = decided.decision;
    Ok(Refreshed { epoch, operation: decision.operation.to_hex(), batch: decision.batch, done, milliseconds })
}

/// The roster with one more profile, signed by node 1. The other two nodes' signatures are missing.
///
/// # Errors
/// What [`NodeConfig::open`] says; [`Error::Value`] when the profile cannot be added, or this is not node 1.
pub fn add_profile(config: &NodeConfig, profile: Profile) -> Result<Roster, Error> {
    let (roster, identity) = config.open()?;
    let mut next = roster.add(profile)?;
    next.sign_addition(identity.signing_key())?;
    Ok(next)
}

/// Adds the signature of the node of this configuration to a roster that adds one profile to the one in force, and nothing else.
///
/// # Errors
/// As [`add_profile`]; [`Error::Config`] when it changes anything else.
pub fn sign_addition(config: &NodeConfig, text: &str) -> Result<Roster, Error> {
    let (roster, identity) = config.open()?;
    let mut next = Roster::unchecked(text)?;
    let mut before = next.clone();
    let added = before.additions.pop();
    before.profiles.retain(|profile| added.as_ref().is_none_or(|added| added.profile != profile.id));
    if added.is_none() || before != roster {
        let what = "the roster to sign: it does more than to add one profile to the one that this node has".to_owned();
        return Err(Error::Config { what });
    }
    next.sign_addition(identity.signing_key())?;
    if next.additions.last().is_some_and(|addition| addition.signatures.len() == next.nodes.len()) {
        next.check()?;
    }
    Ok(next)
}

/// A roster in which `successor` takes the place of the node with its number, signed by the node of this configuration. The other
/// remaining node's signature is missing.
///
/// # Errors
/// What [`NodeConfig::open`] and [`Store::inspect`] say; [`Error::Config`] when this node is the one to be replaced.
pub async fn succeed(config: &NodeConfig, successor: RosterNode) -> Result<Roster, Error> {
    let (roster, identity) = config.open()?;
    if successor.id == identity.node() {
        let what = format!("the card is for node {}, which is this node; the other two replace it", successor.id);
        return Err(Error::Config { what });
    }
    let chain = Store::inspect(&config.data_dir, identity.node(), &roster).await?.chain;
    let mut next = roster.succeed(successor, chain.committed + 1, chain.head)?;
    next.sign_succession(identity.signing_key())?;
    Ok(next)
}

/// Adds the signature of the node of this configuration to a roster that the other remaining node made, if it continues the
/// one in force and says of the chain what this node says.
///
/// # Errors
/// As [`succeed`]; [`Error::Config`] with what differs.
pub async fn sign_succession(config: &NodeConfig, text: &str) -> Result<Roster, Error> {
    let (roster, identity) = config.open()?;
    let mut next = Roster::unchecked(text)?;
    let refuse = |what: &str| Error::Config { what: format!("the roster to sign: {what}") };
    let last = next.successions.last().ok_or_else(|| refuse("it replaces no node"))?.clone();
    let before = next.generation(next.successions.len() - 1);
    if before.digest() != roster.digest() || before.keys() != roster.keys() || before.successions != roster.successions {
        return Err(refuse("it does not continue the one that this node has"));
    }
    if before.profiles != roster.profiles || before.commons != roster.commons {
        return Err(refuse("it changes more than one node"));
    }
    let chain = Store::inspect(&config.data_dir, identity.node(), &roster).await?.chain;
    if (last.from_batch, last.head) != (chain.committed + 1, chain.head) {
        return Err(refuse(
            "the other node stands at another batch than this one; let both run until they are in touch, then make it again",
        ));
    }
    next.sign_succession(identity.signing_key())?;
    next.check()?;
    Ok(next)
}

impl<'a> Own<'a> {
    fn new(config: &NodeConfig, roster: &'a Roster, identity: &'a Identity) -> Result<Self, Error> {
        let internal = |_| Error::Internal { what: "the HTTP client for the own node is complete" };
        let node = roster.node(identity.node()).ok_or(Error::Internal { what: "the roster was checked" })?;
        let client = Client::builder()
            .timeout(config.patience.patience().answer + Duration::from_secs(10))
            .redirect(Policy::none())
            .no_proxy()
            .tls_backend_preconfigured(pinned_https(roster, node.id)?)
            .build()
            .map_err(internal)?;
        Ok(Self { client, url: node.url.trim_end_matches('/').to_owned(), roster, identity })
    }

    async fn commons(&self) -> Result<CommonsBody, Error> {
        self.answer(self.client.get(format!("{}/v1/commons", self.url))).await
    }

    /// Sends a signed request, and checks the certificate that comes back.
    async fn ask(&self, path: &str, action: Action) -> Result<Certificate, Error> {
        let mut operation = [0; 16];
        getrandom::fill(&mut operation).map_err(|_| Error::Random)?;
        let (commons, operation) = (self.roster.digest(), OperationId(operation));
        let signed = operators_request(&commons, operation, unix_now(), action, self.identity.signing_key());
        let body = RequestBody { request: to_base64(&signed.to_bytes()), share: None, trace: None };
        let answer: DecisionBody = self.answer(self.client.post(format!("{}{path}", self.url)).json(&body)).await?;
        let certificate = Certificate::from_bytes(&from_base64("certificate", &answer.certificate)?)?;
        certificate.verify(self.roster)?;
        match certificate.decision.operation == operation {
            true => Ok(certificate),
            false => Err(self.failed("it answers about another operation")),
        }
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Error> {
        let response = request.send().await.map_err(|error| {
            self.failed(if error.is_timeout() { "it does not answer in time" } else { "it cannot be reached; does it run?" })
        })?;
        let ok = response.status().is_success();
        let body = response.bytes().await.map_err(|_| self.failed("it broke off the connection"))?;
        if !ok {
            let problem: Option<Problem> = serde_json::from_slice(&body).ok();
            return Err(self.failed(problem.map_or("it refuses".to_owned(), |problem| problem.detail)));
        }
        serde_json::from_slice(&body).map_err(|_| self.failed("its answer cannot be read"))
    }

    fn failed(&self, what: impl Into<String>) -> Error {
        Error::OwnNode { url: self.url.clone(), what: what.into() }
    }
}
