//! Nodes that were replaced, and the proof that the other two agreed (`docs/decisions/0016-rebuild.md`).
//!
//! A roster carries its whole history: which node was replaced when, and the signatures of the two that remained. So one file shows
//! that it continues the commons that a member once trusted, and [`Roster::digest`] goes on naming that commons by its first keys:
//! requests, receipts, logs and pseudonyms go on. The keys of a node that was replaced count for the batches before, and no more.
//!
//! Out of scope: where rosters are kept and fetched, and how the new node gets its shares.

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::roster::{Roster, RosterNode};
use crate::sign::{Message, public_key, sign, verify};
use crate::{Digest, Error, NodeId, Signature, limits};

/// One node took the place of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// Decisions of this batch and later ones are signed by the new node.
    pub from_batch: u64,
    /// Head of the chain of decisions before that batch.
    pub head: Digest,
    /// By the two nodes that remained, in the order of their numbers.
    pub signatures: Vec<Signature>,
    /// The node that was replaced, as it was.
    pub replaced: RosterNode,
}

/// What the two remaining nodes sign.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SuccessionStatement {
    /// The commons.
    pub commons: Digest,
    /// Keys of all three nodes before.
    pub before: Digest,
    /// Keys of all three nodes after.
    pub after: Digest,
    /// Which node was replaced.
    pub replaced: NodeId,
    /// As in [`Succession`].
    pub from_batch: u64,
    /// As in [`Succession`].
    pub head: Digest,
}

impl Message for SuccessionStatement {
    const DOMAIN: &'static str = "trust-commons/v1/succession";
    const NAME: &'static str = "succession";
    const LIMIT: usize = 256;
}

impl Roster {
    /// The nodes that sign batch `batch`.
    pub fn nodes_at(&self, batch: u64) -> Vec<RosterNode> {
        let later = self.successions.iter().rposition(|succession| succession.from_batch <= batch);
        self.nodes_after(later.map_or(0, |index| index + 1))
    }

    /// The nodes after the first `count` successions.
    pub(crate) fn nodes_after(&self, count: usize) -> Vec<RosterNode> {
        let mut nodes = self.nodes.clone();
        for succession in self.successions.iter().skip(count).rev() {
            if let Some(node) = nodes.get_mut(succession.replaced.id.index()) {
                node.clone_from(&succession.replaced);
            }
        }
        nodes
    }

    /// This roster as it was after the first `count` successions: the same commons.
    #[must_use]
    pub fn generation(&self, count: usize) -> Self {
        let successions = self.successions.iter().take(count).cloned().collect();
        Self { nodes: self.nodes_after(count), successions, ..self.clone() }
    }

    /// The keys in force after the first `count` successions.
    pub(crate) fn keys_after(&self, count: usize) -> Digest {
        let commons = self.digest();
        if count == 0 {
            return commons;
        }
        let nodes: Vec<Vec<u8>> = self.nodes_after(count).iter().map(RosterNode::key_bytes).collect();
        let parts: Vec<&[u8]> = std::iter::once(&commons.0[..]).chain(nodes.iter().map(Vec::as_slice)).collect();
        Digest::of("trust-commons/v1/roster-keys", &parts)
    }

    /// Whether `newer` is this roster with further successions and additions: what a client that trusts this one may take in its
    /// place. Profiles stay as they are, also in how a sample becomes a template.
    pub fn continues_as(&self, newer: &Self) -> bool {
        let count = self.successions.len();
        self.digest() == newer.digest()
            && newer.successions.starts_with(&self.successions)
            && newer.keys_after(count) == self.keys_after(count)
            && newer.additions.starts_with(&self.additions)
            // What is new is signed by those whom this roster knows, or by who came after them.
            && newer.additions.iter().skip(self.additions.len()).all(|addition| addition.after >= count)
            && self.profiles.iter().all(|profile| newer.profile(&profile.id) == Some(profile))
    }

    /// Begins a succession: `successor` in the place of the node with its number. It lacks both signatures.
    ///
    /// # Errors
    /// [`Error::Roster`].
    pub fn succeed(&self, successor: RosterNode, from_batch: u64, head: Digest) -> Result<Self, Error> {
        let mut next = self.clone();
        let place =
            next.nodes.get_mut(successor.id.index()).ok_or_else(|| Error::Roster("a node is 1, 2 or 3".to_owned()))?;
        let replaced = std::mem::replace(place, successor);
        next.successions.push(Succession { from_batch, head, signatures: Vec::new(), replaced });
        Ok(next)
    }

    /// What the last succession states.
    pub fn last_statement(&self) -> Option<SuccessionStatement> {
        self.statement(self.successions.len().checked_sub(1)?)
    }

    fn statement(&self, index: usize) -> Option<SuccessionStatement> {
        let Succession { from_batch, head, replaced, .. } = self.successions.get(index)?;
        let (before, after) = (self.keys_after(index), self.keys_after(index + 1));
        let (commons, replaced, from_batch, head) = (self.digest(), replaced.id, *from_batch, *head);
        Some(SuccessionStatement { commons, before, after, replaced, from_batch, head })
    }

    /// Adds the signature of one of the two remaining nodes to the last succession. Signing twice changes nothing.
    ///
    /// # Errors
    /// [`Error::Roster`] when there is none, or the key is not that of a remaining node.
    pub fn sign_succession(&mut self, key: &SigningKey) -> Result<(), Error> {
        let statement = self.last_statement().ok_or_else(|| Error::Roster("it has no succession to sign".to_owned()))?;
        let own = public_key(key);
        let remaining = self.remaining(self.successions.len().saturating_sub(1));
        let Some(place) = remaining.iter().position(|node| node.signing_key == own) else {
            return Err(Error::Roster("only the two nodes that remain sign a succession".to_owned()));
        };
        let Some(last) = self.successions.last_mut() else { return Ok(()) };
        let signature = sign(&statement, key);
        match last.signatures.len() {
            // The lower number comes first, whoever signs first.
            1 if place == 0 && last.signatures.first() != Some(&signature) => last.signatures.insert(0, signature),
            1 if last.signatures.first() != Some(&signature) => last.signatures.push(signature),
            0 => last.signatures.push(signature),
            _ => {}
        }
        Ok(())
    }

    /// The two nodes that remained in a succession.
    fn remaining(&self, index: usize) -> Vec<RosterNode> {
        let replaced = self.successions.get(index).map(|succession| succession.replaced.id);
        self.nodes_after(index).into_iter().filter(|node| Some(node.id) != replaced).collect()
    }

    /// Every succession but, with `unfinished`, the last one is signed by both, later than the one before, and brings new keys.
    pub(crate) fn check_successions(&self) -> Result<(), Error> {
        if self.successions.len() > limits::SUCCESSIONS {
            let (got, limit) = (self.successions.len(), limits::SUCCESSIONS);
            return Err(Error::TooLarge { what: "successions of a roster", got, limit });
        }
        let mut earlier = 0;
        for (index, succession) in self.successions.iter().enumerate() {
            let wrong = |what: &str| Error::Roster(format!("succession {}: {what}", index + 1));
            if succession.from_batch < earlier.max(1) {
                return Err(wrong("it begins before the one ahead of it"));
            }
            earlier = succession.from_batch;
            let Some(after) = self.nodes_after(index + 1).into_iter().nth(succession.replaced.id.index()) else {
                return Err(wrong("a node is 1, 2 or 3"));
            };
            let before = &succession.replaced;
            let kept = after.signing_key == before.signing_key
                || after.log_key == before.log_key
                || after.issuer_key == before.issuer_key
                || after.tls_key == before.tls_key;
            if kept {
                return Err(wrong("the new node has a key of the old one; run `commons-node init` for it"));
            }
            let statement = self.statement(index).ok_or_else(|| wrong("it is not there"))?;
            let remaining = self.remaining(index);
            let signed = succession.signatures.len() == 2
                && remaining
                    .iter()
                    .zip(&succession.signatures)
                    .all(|(node, signature)| verify(&statement, &node.signing_key, signature).is_ok());
            if !signed {
                let [one, other] = [0, 1].map(|i| remaining.get(i).map_or(0, |node| node.id.number()));
                return Err(wrong(&format!("it must be signed by nodes {one} and {other}: `commons-node succeed --sign`")));
            }
        }
        Ok(())
    }
}
