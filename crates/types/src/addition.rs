//! Profiles that a commons took in after it began: a better model, another modality (`docs/decisions/0021-a-better-model.md`).
//!
//! [`Roster::digest`] names the commons by the profiles that it began with. Each further one carries the signatures of all three
//! nodes, so that one file shows that it continues the commons that a member once trusted. Whether a profile may be used at all is for
//! the charter to say, which lists it, or does not.
//!
//! Out of scope: where rosters are kept and fetched.

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::profile::{Accuracy, Profile};
use crate::roster::Roster;
use crate::sign::{Message, public_key, sign, verify};
use crate::{Digest, Error, ProfileId, Signature, limits};

/// A profile was added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// Which; the roster lists it under `profiles`.
    pub profile: ProfileId,
    /// How many nodes had been replaced before.
    pub after: usize,
    /// By nodes 1, 2 and 3 as they were then.
    pub signatures: Vec<Signature>,
}

/// What the three nodes sign.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AdditionStatement {
    /// The commons.
    pub commons: Digest,
    /// Keys and additions in force before.
    pub before: Digest,
    /// The whole profile, with how a sample becomes a template.
    pub profile: Digest,
}

impl Message for AdditionStatement {
    const DOMAIN: &'static str = "trust-commons/v1/addition";
    const NAME: &'static str = "addition of a profile";
    const LIMIT: usize = 128;
}

impl Roster {
    /// Profiles that the commons began with.
    pub fn first_profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter().filter(|profile| !self.additions.iter().any(|addition| addition.profile == profile.id))
    }

    /// Names what is in force: keys and additions. The same as [`Self::digest`] until a node is replaced or a profile added.
    pub fn keys(&self) -> Digest {
        self.state(self.successions.len(), self.additions.len())
    }

    fn state(&self, successions: usize, additions: usize) -> Digest {
        let keys = self.keys_after(successions);
        let added: Vec<[u8; 32]> =
            self.additions.iter().take(additions).map(|addition| self.whole(&addition.profile).0).collect();
        if added.is_empty() {
            return keys;
        }
        let parts: Vec<&[u8]> = std::iter::once(&keys.0[..]).chain(added.iter().map(<[u8; 32]>::as_slice)).collect();
        Digest::of("trust-commons/v1/roster-state", &parts)
    }

    /// Binds all of a profile, with how a sample becomes a template, where [`Profile::digest`] binds what nodes use.
    fn whole(&self, id: &ProfileId) -> Digest {
        let mut bytes = Vec::new();
        if let Some(Profile { id: _, version: _, matching: _, modality, description, accuracy, capture }) = self.profile(id)
        {
            put_text(modality, &mut bytes);
            put_text(description, &mut bytes);
            bytes.extend([accuracy.is_some(), capture.is_some()].map(u8::from));
            if let Some(Accuracy { data, fmr, fnmr }) = accuracy {
                put_text(data, &mut bytes);
                bytes.extend([fmr.to_bits().to_le_bytes(), fnmr.to_bits().to_le_bytes()].concat());
            }
            if let Some(capture) = capture {
                put(&toml::Value::Table(capture.clone()), &mut bytes);
            }
        }
        let matching = self.profile(id).map_or(Digest([0; 32]), Profile::digest);
        Digest::of("trust-commons/v1/whole-profile", &[&matching.0, &bytes])
    }

    /// This roster with one more profile. It lacks all signatures.
    ///
    /// # Errors
    /// [`Error::Roster`] when it has one of this name, or as many as it may have.
    pub fn add(&self, profile: Profile) -> Result<Self, Error> {
        if self.profile(&profile.id).is_some() {
            return Err(Error::Roster(format!("it has a profile {} already; give the new one another id", profile.id)));
        }
        if self.additions.len() >= limits::ADDITIONS {
            let (got, limit) = (self.additions.len() + 1, limits::ADDITIONS);
            return Err(Error::TooLarge { what: "added profiles of a roster", got, limit });
        }
        let mut next = self.clone();
        let (id, after, signatures) = (profile.id.clone(), self.successions.len(), Vec::new());
        next.profiles.push(profile);
        next.additions.push(Addition { profile: id, after, signatures });
        Ok(next)
    }

    fn addition_statement(&self, index: usize) -> Option<AdditionStatement> {
        let Addition { profile, after, .. } = self.additions.get(index)?;
        Some(AdditionStatement { commons: self.digest(), before: self.state(*after, index), profile: self.whole(profile) })
    }

    /// Adds a node's signature to the last addition, in the order of the nodes. Signing twice changes nothing.
    ///
    /// # Errors
    /// [`Error::Roster`] when there is none, when nodes before this one have not signed, or the key is no node's.
    pub fn sign_addition(&mut self, key: &SigningKey) -> Result<(), Error> {
        let last = self.additions.len().checked_sub(1).and_then(|index| self.addition_statement(index));
        let statement = last.ok_or_else(|| Error::Roster("it adds no profile".to_owned()))?;
        let own = public_key(key);
        let place = self.nodes.iter().position(|node| node.signing_key == own);
        let place = place.ok_or_else(|| Error::Roster("only its three nodes sign an addition".to_owned()))?;
        let Some(addition) = self.additions.last_mut() else { return Ok(()) };
        match addition.signatures.len() {
            signed if signed == place => addition.signatures.push(sign(&statement, key)),
            signed if signed < place => {
                return Err(Error::Roster(format!("node {} signs first", signed + 1)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Every addition names a listed profile once, and is signed by all three nodes of its time.
    pub(crate) fn check_additions(&self) -> Result<(), Error> {
        if self.additions.len() > limits::ADDITIONS {
            let (got, limit) = (self.additions.len(), limits::ADDITIONS);
            return Err(Error::TooLarge { what: "added profiles of a roster", got, limit });
        }
        let mut earlier = 0;
        for (index, addition) in self.additions.iter().enumerate() {
            let id = &addition.profile;
            let wrong = |what: &str| Error::Roster(format!("addition of {id}: {what}"));
            if self.profile(id).is_none() {
                return Err(wrong("the profile is not listed"));
            }
            if self.additions.iter().skip(index + 1).any(|other| other.profile == *id) {
                return Err(wrong("it is there twice"));
            }
            if addition.after < earlier || addition.after > self.successions.len() {
                return Err(wrong("it is not in the order in which nodes were replaced and profiles added"));
            }
            earlier = addition.after;
            let statement = self.addition_statement(index).ok_or_else(|| wrong("it is not there"))?;
            let nodes = self.nodes_after(addition.after);
            let signed = addition.signatures.len() == nodes.len()
                && nodes.iter().zip(&addition.signatures).all(|(node, s)| verify(&statement, &node.signing_key, s).is_ok());
            if !signed {
                return Err(wrong("it must be signed by all three nodes: `commons-node add-profile --sign`"));
            }
        }
        if self.first_profiles().next().is_none() {
            return Err(Error::Roster("it must have a profile that it began with".to_owned()));
        }
        Ok(())
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A value in one form, written here so that no library's taste can change a signature: a letter for the kind, lengths, and tables by their
/// keys in order.
fn put(value: &toml::Value, out: &mut Vec<u8>) {
    match value {
        toml::Value::String(text) => {
            out.push(b's');
            put_text(text, out);
        }
        toml::Value::Integer(number) => {
            out.push(b'i');
            out.extend(number.to_le_bytes());
        }
        toml::Value::Float(number) => {
            out.push(b'f');
            out.extend(number.to_bits().to_le_bytes());
        }
        toml::Value::Boolean(is) => out.extend([b'b', u8::from(*is)]),
        toml::Value::Datetime(time) => {
            out.push(b'd');
            put_text(&time.to_string(), out);
        }
        toml::Value::Array(values) => {
            out.push(b'a');
            out.extend((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| put(value, out));
        }
        toml::Value::Table(table) => {
            out.push(b't');
            out.extend((table.len() as u64).to_le_bytes());
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (key, value) in entries {
                put_text(key, out);
                put(value, out);
            }
        }
    }
}
