//! A node's side: its key, and signing.

use std::fmt;

use bls12_381_plus::Scalar;
use borsh::{BorshDeserialize, BorshSerialize};
use types::roster::Roster;
use types::{Digest, IssuerPublicKey, NodeId};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bbs::{PublicKey, SIGNATURE_LEN, interface, key_from_material, message_scalar, public_key, sign};
use crate::{Attribute, Attributes, Commitment, Epoch, Epochs, Error};

/// A node's key for issuing. It signs nothing else, and nothing else of the node signs credentials.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct IssuerKey {
    secret: Scalar,
}

impl IssuerKey {
    /// From 32 random bytes, which are the node's secret.
    pub fn from_material(mut material: [u8; 32]) -> Self {
        let secret = key_from_material(&material, b"trust-commons/v1/issuer");
        material.zeroize();
        Self { secret }
    }

    /// For the roster.
    pub fn public(&self) -> IssuerPublicKey {
        IssuerPublicKey(public_key(&self.secret))
    }

    /// Signs `attributes` over the secret in `commitment`, for one epoch. Whether this record may have this, and whether the
    /// commitment is the record's own, is the caller's to decide. Deterministic: asked twice, it answers the same.
    ///
    /// # Errors
    /// [`Error::Commitment`], [`Error::Text`].
    pub fn issue(
        &self,
        issuer: &IssuerName<'_>,
        epoch: Epoch,
        commitment: &Commitment,
        attributes: &Attributes,
    ) -> Result<IssuedSignature, Error> {
        attributes.check()?;
        let key = PublicKey::read(&self.public().0).ok_or(Error::IssuerKey { node: issuer.node })?;
        let known = known_messages(attributes);
        let point = commitment.point().ok_or(Error::Commitment)?;
        sign(interface(), &self.secret, &key, &issuer.header(epoch), &known, &point, &commitment.entropy())
            .map(IssuedSignature)
            .ok_or(Error::Commitment)
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerKey(<redacted>)")
    }
}

/// The signed messages that the issuer knows.
pub(crate) fn known_messages(attributes: &Attributes) -> Vec<Scalar> {
    let scalar = |attribute: Attribute| message_scalar(interface().api, &attribute.message(attributes.value(attribute)));
    Attribute::ALL.into_iter().map(scalar).collect()
}

/// Which issuer of which commons: signed in the header of every credential.
#[derive(Debug, Clone, Copy)]
pub struct IssuerName<'a> {
    /// The roster's digest: credentials of another roster do not verify.
    pub commons: &'a Digest,
    /// Which node.
    pub node: NodeId,
}

impl IssuerName<'_> {
    pub(crate) fn header(&self, epoch: Epoch) -> Vec<u8> {
        // The draft appends the number of pseudonym secrets, in eight bytes.
        let numbers = [&[self.node.number()][..], &epoch.0.to_le_bytes(), &1u64.to_be_bytes()].concat();
        [b"trust-commons/v1/credential\0".as_slice(), &self.commons.0, &numbers].concat()
    }
}

/// From a node to a member: its signature, worthless without the member's secret.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct IssuedSignature(pub(crate) [u8; SIGNATURE_LEN]);

impl IssuedSignature {
    /// From the wire; [`crate::Credential::accept`] checks it.
    pub fn from_bytes(bytes: [u8; SIGNATURE_LEN]) -> Self {
        Self(bytes)
    }
    /// For the wire: 80 bytes.
    pub fn to_bytes(&self) -> [u8; SIGNATURE_LEN] {
        self.0
    }
}

/// The three issuers of a commons, ready to check proofs. Make it once per roster: reading the keys takes milliseconds.
#[derive(Clone)]
pub struct Issuers {
    commons: Digest,
    epochs: Epochs,
    keys: [PublicKey; 3],
}

impl Issuers {
    /// From a roster: its digest, its epochs, the keys of nodes 1, 2 and 3.
    ///
    /// # Errors
    /// [`Error::IssuerKey`].
    pub fn new(commons: Digest, epochs: Epochs, keys: [IssuerPublicKey; 3]) -> Result<Self, Error> {
        let read = |node: NodeId| {
            let key = keys.get(node.index()).and_then(|key| PublicKey::read(&key.0));
            key.ok_or(Error::IssuerKey { node })
        };
        let [one, two, three] = NodeId::ALL;
        Ok(Self { commons, epochs, keys: [read(one)?, read(two)?, read(three)?] })
    }
    /// Of a commons.
    ///
    /// # Errors
    /// [`Error::IssuerKey`], [`Error::Encoding`] for a roster that does not list three nodes.
    pub fn of(roster: &Roster) -> Result<Self, Error> {
        let keys: Vec<IssuerPublicKey> = roster.nodes.iter().map(|node| node.issuer_key).collect();
        let keys = keys.try_into().map_err(|_| types::Error::Roster("list nodes 1, 2 and 3".to_owned()))?;
        Self::new(roster.digest(), roster.epochs, keys)
    }
    /// The commons.
    pub fn commons(&self) -> &Digest {
        &self.commons
    }
    /// Its epochs.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }
    /// The name under which `node` signs.
    pub fn name(&self, node: NodeId) -> IssuerName<'_> {
        IssuerName { commons: &self.commons, node }
    }
    pub(crate) fn key(&self, node: NodeId) -> &PublicKey {
        let [one, two, three] = &self.keys;
        match node.number() {
            1 => one,
            2 => two,
            _ => three,
        }
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuers").field("commons", &self.commons).field("epochs", &self.epochs).finish_non_exhaustive()
    }
}
