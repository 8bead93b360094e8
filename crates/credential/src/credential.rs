//! A member's side of issuing: check what a node signed, keep it.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use types::{NodeId, decode, encode};

use crate::bbs::{SIGNATURE_LEN, interface, verify_signature};
use crate::issuer::{IssuedSignature, known_messages};
use crate::{Attributes, Epoch, Error, Issuers, MemberSecret, limits};

const VERSION: u16 = 1;
const NAME: &str = "credential";

/// One node's word, for one epoch. Keep it sealed: shown as it is, it would link everything made from it.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Credential {
    version: u16,
    pub(crate) node: NodeId,
    pub(crate) epoch: Epoch,
    pub(crate) attributes: Attributes,
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

impl Credential {
    /// Checks a node's signature against what was asked for.
    ///
    /// # Errors
    /// [`Error::Issued`].
    pub fn accept(
        secret: &MemberSecret,
        issuers: &Issuers,
        node: NodeId,
        epoch: Epoch,
        attributes: &Attributes,
        issued: &IssuedSignature,
    ) -> Result<Self, Error> {
        attributes.check()?;
        let mut messages = known_messages(attributes);
        messages.extend([secret.blind(), secret.nym()]);
        let header = issuers.name(node).header(epoch);
        if !verify_signature(interface(), issuers.key(node), &header, &messages, &issued.0) {
            return Err(Error::Issued { node });
        }
        Ok(Self { version: VERSION, node, epoch, attributes: attributes.clone(), signature: issued.0 })
    }

    /// Who signed.
    pub fn node(&self) -> NodeId {
        self.node
    }
    /// For when.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// What.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    /// For storage, which must keep it secret.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// From storage.
    ///
    /// # Errors
    /// [`Error::Encoding`], [`Error::Version`], [`Error::Text`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let credential: Self = decode(NAME, bytes, limits::CREDENTIAL_BYTES)?;
        if credential.version != VERSION {
            return Err(Error::Version { what: NAME, got: credential.version, known: VERSION });
        }
        credential.attributes.check()?;
        Ok(credential)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("node", &self.node).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
