//! The three logs, as a client reads them: nothing counts but what hashes to a checkpoint that its log signed and the two other
//! nodes cosigned.
//!
//! **Out of scope**: what an entry and a proof are (`tlog`); keeping what was followed (`cli`).

use std::collections::BTreeMap;

use futures_util::future::join3;
use futures_util::stream::{self, StreamExt as _};
use tlog::merkle::leaf_hash;
use tlog::tile::Resource;
use tlog::{Bundle, CrossCheck, Entry, Follower, NodeQuorum, Policy, SignedCheckpoint, Tile, TlogProof, Tree};
use types::roster::Roster;
use types::{Digest, NodeId};

use crate::error::{Complaint, Error, Fault};
use crate::platform::Platform;
use crate::session::{Client, unanimous};
use crate::transport::{Answer, Call, Silence, Transport};

/// Bundles fetched at one time from one node.
const AT_ONCE: usize = 8;

/// The trust policy of one node's log: signed by it, cosigned by both others. URLs are left out, because they may move while the
/// keys stay; so the text follows from what the roster's digest binds.
///
/// # Errors
/// [`Error::Log`] when the roster does not list the node.
pub fn policy(roster: &Roster, node: NodeId) -> Result<Policy, Error> {
    let mut bare = roster.clone();
    bare.nodes.iter_mut().for_each(|node| node.url.clear());
    Policy::of_node(&bare, node, NodeQuorum::All).map_err(|source| Error::Log { node, source })
}

/// One entry with its proof in each of the three logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Canonical bytes of the entry, the same in all logs.
    pub entry: Vec<u8>,
    /// In the logs of nodes 1, 2 and 3.
    pub proofs: [TlogProof; 3],
}

/// What is kept of the three logs between two visits.
#[derive(Debug, Clone)]
pub struct Following {
    /// Of nodes 1, 2 and 3.
    pub logs: [Follower; 3],
    /// What they hold alike.
    pub cross: CrossCheck,
}

impl Following {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// As [`policy`].
    pub fn new(roster: &Roster) -> Result<Self, Error> {
        let [one, two, three] = NodeId::ALL;
        let log = |node| Ok::<_, Error>(Follower::new(policy(roster, node)?));
        Ok(Self { logs: [log(one)?, log(two)?, log(three)?], cross: CrossCheck::new() })
    }
}

/// What one look at the logs found.
#[derive(Debug, Clone)]
pub struct Look {
    /// What to go on with: of each node where it went well, further; else as before.
    pub following: Following,
    /// Entries beyond what was known of the log that has gone furthest, with their indexes. One that another log told earlier may
    /// come again.
    pub new: Vec<(u64, Entry)>,
    /// Why a node's log could not be followed: silence, or what is wrong with it.
    pub problems: Vec<Error>,
}

impl<T: Transport, P: Platform> Client<T, P> {
    /// The newest checkpoint of a node's log, as text under signatures that nobody has checked yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Misbehaved`], [`Error::Log`].
    pub async fn checkpoint(&self, node: NodeId) -> Result<SignedCheckpoint, Error> {
        let bytes = self.fetch(node, Resource::Checkpoint).await?;
        SignedCheckpoint::parse(&bytes).map_err(|source| Error::Log { node, source })
    }

    /// A file of a node's log, as it is served: nothing is checked.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Misbehaved`].
    pub async fn log_file(&self, node: NodeId, resource: Resource) -> Result<Vec<u8>, Error> {
        self.fetch(node, resource).await
    }

    async fn fetch(&self, node: NodeId, resource: Resource) -> Result<Vec<u8>, Error> {
        let lie = |fault| Error::Misbehaved { complaint: Complaint { node, fault } };
        match self.transport().call(node, Call::Log(resource), None).await {
            Ok(Answer { status: 200, body }) => Ok(body),
            // A log that says it has no such tile, although its checkpoint says so, is not available to us.
            Ok(_) | Err(Silence::Unreached | Silence::Lost) => Err(Error::Unavailable { nodes: vec![node] }),
            Err(Silence::WrongKey) => Err(lie(Fault::WrongKey)),
            Err(Silence::TooLarge) => Err(lie(Fault::TooLarge)),
        }
    }

    /// Entry `index` with a proof in each of the three logs, checked against the roster. That it says what was decided is for the
    /// caller to check (`receipt`).
    ///
    /// # Errors
    /// [`Error::NotPublished`], [`Error::NotLogged`] when the logs differ, [`Error::Log`], [`Error::Unavailable`],
    /// [`Error::Misbehaved`].
    pub async fn prove(&self, index: u64) -> Result<Proven, Error> {
        let [one, two, three] = NodeId::ALL;
        let nodes = join3(self.prove_in(one, index), self.prove_in(two, index), self.prove_in(three, index)).await;
        let [one, two, three] = unanimous([nodes.0, nodes.1, nodes.2])?;
        for (node, other) in [(NodeId::ALL[1], &two), (NodeId::ALL[2], &three)] {
            if other.0 != one.0 {
                return Err(Error::NotLogged { node, index, reason: "node 1 holds another entry there" });
            }
        }
        Ok(Proven { entry: one.0, proofs: [one.1, two.1, three.1] })
    }

    async fn prove_in(&self, node: NodeId, index: u64) -> Result<(Vec<u8>, TlogProof), Error> {
        let wrong = |source| Error::Log { node, source };
        let policy = policy(self.commons().roster(), node)?;
        let checkpoint = self.checkpoint(node).await?;
        let size = policy.accept(&checkpoint).map_err(wrong)?.checkpoint.size;
        let bundle = Bundle::covering(index, size).next().ok_or(Error::NotPublished { node, index })?;
        let mut tiles: BTreeMap<Tile, Vec<u8>> = BTreeMap::new();
        for tile in Tree::new(size, BTreeMap::new()).tiles_for_inclusion(index, size).map_err(wrong)? {
            tiles.insert(tile, self.fetch(node, Resource::Tile(tile)).await?);
        }
        let bytes = self.fetch(node, Resource::Entries(bundle)).await?;
        let entries = bundle.decode(&bytes).map_err(wrong)?;
        let within = usize::try_from(index - bundle.first()).unwrap_or(usize::MAX);
        let entry = entries.get(within).ok_or(Error::NotPublished { node, index })?.to_vec();
        let proof = TlogProof::make(&Tree::new(size, tiles), index, checkpoint).map_err(wrong)?;
        proof.verify(&leaf_hash(&entry), &policy).map_err(wrong)?;
        Ok((entry, proof))
    }

    /// Follows all three logs to their newest checkpoints and compares them leaf by leaf.
    pub async fn follow(&self, from: &Following) -> Look {
        let [one, two, three] = &from.logs;
        let [a, b, c] = NodeId::ALL;
        let steps = join3(self.follow_one(a, one), self.follow_one(b, two), self.follow_one(c, three)).await;
        let mut look = Look { following: from.clone(), new: Vec::new(), problems: Vec::new() };
        for (node, step) in NodeId::ALL.into_iter().zip([steps.0, steps.1, steps.2]) {
            let Look { following, new, problems } = &mut look;
            match step {
                Err(error) => problems.push(error),
                Ok((follower, leaves, entries)) => {
                    if let Err(source) = following.cross.push(node, &leaves) {
                        problems.push(Error::Log { node, source });
                    }
                    if let Some(log) = following.logs.get_mut(node.index()) {
                        *log = follower;
                    }
                    // The longest is kept: where logs differ, the comparison below says so.
                    if entries.len() > new.len() {
                        *new = entries;
                    }
                }
            }
        }
        if let Err(source) = look.following.cross.check() {
            let node = match &source {
                tlog::Error::LogsDiffer { odd: Some(odd), .. } => *odd,
                _ => NodeId::ALL[0],
            };
            look.problems.push(Error::Log { node, source });
        }
        look
    }

    async fn follow_one(&self, node: NodeId, from: &Follower) -> Result<(Follower, Vec<Digest>, Vec<(u64, Entry)>), Error> {
        let wrong = |source| Error::Log { node, source };
        let checkpoint = self.checkpoint(node).await?;
        let mut step = from.begin(checkpoint, self.platform().now()).map_err(wrong)?;
        let bundles: Vec<Bundle> = step.bundles().collect();
        let mut fetched = stream::iter(bundles)
            .map(|bundle| async move { (bundle, self.fetch(node, Resource::Entries(bundle)).await) })
            .buffered(AT_ONCE);
        let mut entries = Vec::new();
        while let Some((bundle, bytes)) = fetched.next().await {
            entries.extend(step.feed(bundle, &bytes?).map_err(wrong)?);
        }
        let advanced = step.finish().map_err(wrong)?;
        Ok((advanced.follower, advanced.leaves, entries))
    }
}
