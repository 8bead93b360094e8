//! The roster: who the three nodes are, with their pinned keys. The one file a member must trust.

use serde::{Deserialize, Serialize};

use crate::addition::Addition;
use crate::profile::Profile;
use crate::succession::Succession;
use crate::{DeviceKey, Digest, Epochs, Error, IssuerPublicKey, NodeId, ProfileId, limits};

/// Version of the roster file.
pub const VERSION: u16 = 3;

/// The three nodes of a commons and the profiles it matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Format version: [`VERSION`].
    pub version: u16,
    /// Name of the commons, for people.
    pub commons: String,
    /// True for a commons that `commons dev` made: keys are throw-away, all nodes in one process.
    #[serde(default)]
    pub throw_away: bool,
    /// How long a credential lives, and so how soon a membership that ended is felt by every relying party; a day if not said.
    #[serde(default)]
    pub epochs: Epochs,
    /// Nodes 1, 2 and 3, in this order.
    pub nodes: Vec<RosterNode>,
    /// What this commons matches.
    pub profiles: Vec<Profile>,
    /// Nodes that were replaced, oldest first.
    #[serde(default, rename = "succession", skip_serializing_if = "Vec::is_empty")]
    pub successions: Vec<Succession>,
    /// Profiles that were added since the commons began, oldest first.
    #[serde(default, rename = "addition", skip_serializing_if = "Vec::is_empty")]
    pub additions: Vec<Addition>,
}

/// One node's public face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterNode {
    /// 1, 2 or 3.
    pub id: NodeId,
    /// Who runs it, for people.
    pub operator: String,
    /// Base URL of the client API, such as `https://one.example:8443`; `http` only on loopback.
    pub url: String,
    /// Where the other nodes reach it: `host:port`.
    pub peer_address: String,
    /// Ed25519 key that signs decisions.
    pub signing_key: DeviceKey,
    /// Ed25519 key that signs the checkpoints of its log and cosigns those of the other two.
    pub log_key: DeviceKey,
    /// HPKE key (X25519) to which shares are sealed.
    pub seal_key: Digest,
    /// BLS12-381 key that signs credentials.
    pub issuer_key: IssuerPublicKey,
    /// SHA-256 over the DER SubjectPublicKeyInfo of its TLS key, for peers and clients alike.
    pub tls_key: Digest,
}

impl Roster {
    /// Parses and checks a roster file.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Roster`] or [`Error::Profile`] with what to change.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        if text.len() > limits::CONFIG_FILE_BYTES {
            return Err(Error::TooLarge { what: "roster", got: text.len(), limit: limits::CONFIG_FILE_BYTES });
        }
        let roster = Self::unchecked(text)?;
        roster.check()?;
        Ok(roster)
    }

    /// As [`Self::from_toml`], of a file in which the last succession or addition may lack signatures.
    ///
    /// # Errors
    /// [`Error::Roster`] when it is no roster at all.
    pub fn unchecked(text: &str) -> Result<Self, Error> {
        // The version first: a roster of another version has other fields.
        #[derive(Deserialize)]
        struct Header {
            version: u16,
        }
        let header: Header = toml::from_str(text).map_err(|e| Error::Roster(e.message().to_owned()))?;
        if header.version != VERSION {
            return Err(Error::Version { what: "roster", got: header.version, known: VERSION });
        }
        toml::from_str(text).map_err(|e| Error::Roster(e.message().to_owned()))
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`Error::Roster`] when a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string_pretty(self).map_err(|e| Error::Roster(e.to_string()))
    }

    /// One entry per node, in order; distinct keys; at least one profile; valid profiles.
    ///
    /// # Errors
    /// [`Error::Roster`], [`Error::Profile`], [`Error::Version`].
    pub fn check(&self) -> Result<(), Error> {
        if self.version != VERSION {
            return Err(Error::Version { what: "roster", got: self.version, known: VERSION });
        }
        let plain = self.commons.trim() == self.commons && !self.commons.chars().any(char::is_control);
        if self.commons.is_empty() || self.commons.len() > limits::COMMONS_NAME_BYTES || !plain {
            let most = limits::COMMONS_NAME_BYTES;
            return Err(Error::Roster(format!("name the commons in 1 to {most} bytes of plain text")));
        }
        if !self.nodes.iter().map(|n| n.id).eq(NodeId::ALL) {
            return Err(Error::Roster("list nodes 1, 2 and 3, each once, in this order".to_owned()));
        }
        for (i, node) in self.nodes.iter().enumerate() {
            let same = |other: &RosterNode| {
                other.signing_key == node.signing_key
                    || other.log_key == node.log_key
                    || other.issuer_key == node.issuer_key
                    || other.tls_key == node.tls_key
            };
            if self.nodes.iter().skip(i + 1).any(same) {
                return Err(Error::Roster("two nodes have the same key; run `commons-node init` for each".to_owned()));
            }
        }
        self.epochs.check()?;
        if self.profiles.is_empty() {
            return Err(Error::Roster("name at least one modality profile".to_owned()));
        }
        for (i, profile) in self.profiles.iter().enumerate() {
            // Re-parse: a profile built in code gets the same checks as one from a file.
            let text = toml::to_string(profile).map_err(|e| Error::Roster(e.to_string()))?;
            Profile::from_toml(&text)?;
            if self.profiles.iter().skip(i + 1).any(|other| other.id == profile.id) {
                return Err(Error::Roster(format!("profile {} is listed twice", profile.id)));
            }
        }
        self.check_successions()?;
        self.check_additions()
    }

    /// Names this commons in every message: binds its first keys and profiles and its epochs, but not URLs, which may move. A node
    /// that is replaced and a profile that is added change nothing of it; [`Self::keys`] names what is in force.
    pub fn digest(&self) -> Digest {
        let mut parts: Vec<Vec<u8>> =
            vec![(self.commons.len() as u64).to_le_bytes().to_vec(), self.commons.clone().into_bytes()];
        parts.push([self.epochs.length_s.to_le_bytes(), self.epochs.grace_s.to_le_bytes()].concat());
        parts.extend(self.nodes_after(0).iter().map(RosterNode::key_bytes));
        for profile in self.first_profiles() {
            parts.push(profile.digest().0.to_vec());
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Digest::of("trust-commons/v3/roster", &parts)
    }

    /// The entry of `id`.
    pub fn node(&self, id: NodeId) -> Option<&RosterNode> {
        self.nodes.get(id.index())
    }

    /// The profile named `id`.
    pub fn profile(&self, id: &ProfileId) -> Option<&Profile> {
        self.profiles.iter().find(|p| p.id == *id)
    }
}

impl RosterNode {
    /// Its number and keys, for digests.
    pub(crate) fn key_bytes(&self) -> Vec<u8> {
        let Self { id, signing_key, log_key, seal_key, issuer_key, tls_key, .. } = self;
        [&[id.number()][..], &signing_key.0, &log_key.0, &seal_key.0, &issuer_key.0, &tls_key.0].concat()
    }
}
