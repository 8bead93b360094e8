//! Newtypes for everything that is only a name or a number on the wire.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Error;

/// Seconds since 1970-01-01T00:00:00Z. Cores take it as an argument; only shells read a clock.
pub type UnixSeconds = u64;

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Lower-case hexadecimal.
            pub fn to_hex(&self) -> String {
                hex::encode(self.0)
            }
            /// Parses what [`Self::to_hex`] writes.
            ///
            /// # Errors
            /// [`Error::BadId`].
            pub fn from_hex(text: &str) -> Result<Self, Error> {
                let mut bytes = [0u8; $len];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| Error::BadId { what: $what, rule: concat!("write ", $len, " bytes in hexadecimal") })?;
                Ok(Self(bytes))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.to_hex())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(d)?;
                Self::from_hex(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

bytes_id!(/** A SHA-256 digest. */ Digest, 32, "digest");
bytes_id!(/** A random name of one operation; also its protection against replay. */ OperationId, 16, "operation id");
bytes_id!(/** A member: derived from the first device key, constant when devices change. */ MemberId, 16, "member id");
bytes_id!(/** An Ed25519 public key of a member's device. */ DeviceKey, 32, "device key");
bytes_id!(/** The key with which a node signs credentials: BLS12-381, compressed, in G2. */ IssuerPublicKey, 96, "issuer key");
bytes_id!(/** An Ed25519 signature. */ Signature, 64, "signature");
bytes_id!(/** A standing grant: named by the operation that made it. */ GrantId, 16, "grant id");
bytes_id!(/** A relying party's request to a member: named by the operation that brought it. */ AskId, 16, "ask id");
bytes_id!(/** A member as one relying party knows them, and no other: see [`TraceKey::subject`]. */ SubjectId, 32, "subject id");
bytes_id!(/** Under this name guardians and a new device speak of a member: see [`TraceKey::recovery`]. */ RecoveryName, 16, "recovery name");
bytes_id!(/** By this the member whose [`TraceKey`] made it, and nobody else, knows a log entry as theirs. */ LogTag, 16, "log tag");

impl From<OperationId> for GrantId {
    fn from(id: OperationId) -> Self {
        Self(id.0)
    }
}

impl From<OperationId> for AskId {
    fn from(id: OperationId) -> Self {
        Self(id.0)
    }
}

/// A secret that a member (or a relying party, for its own acts) shares with the three nodes. From it come the tags and salts of
/// log entries, so that a member finds every entry about them and nobody else can link two; and the names under which relying
/// parties know the member. It opens nothing and signs nothing.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub struct TraceKey([u8; 32]);

impl TraceKey {
    /// From 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// For storage beside the member's other data.
    pub fn secret_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// What a request says of the key: enough to check it, not to learn it.
    pub fn commitment(&self) -> Digest {
        Digest::of("trust-commons/v1/trace-key", &[&self.0])
    }
    /// Marks the log entry at `index`.
    pub fn tag(&self, index: u64) -> LogTag {
        let digest = Digest::of("trust-commons/v1/log-tag", &[&self.0, &index.to_le_bytes()]);
        let mut tag = [0u8; 16];
        tag.copy_from_slice(digest.0.split_at(16).0);
        LogTag(tag)
    }
    /// Hides the decision in the log entry at `index`.
    pub fn salt(&self, index: u64) -> Digest {
        Digest::of("trust-commons/v1/log-salt", &[&self.0, &index.to_le_bytes()])
    }
    /// The name under which guardians and a new device speak of the member. It says nothing of who that is.
    pub fn recovery(&self) -> RecoveryName {
        let digest = Digest::of("trust-commons/v1/recovery-name", &[&self.0]);
        let mut name = [0u8; 16];
        name.copy_from_slice(digest.0.split_at(16).0);
        RecoveryName(name)
    }
    /// The name under which `party` knows the member. Two parties cannot tell that their names mean one member.
    pub fn subject(&self, party: &PartyId) -> SubjectId {
        SubjectId(Digest::of("trust-commons/v1/subject", &[&self.0, party.as_str().as_bytes()]).0)
    }
}

impl fmt::Debug for TraceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceKey(<redacted>)")
    }
}

impl Digest {
    /// SHA-256 over `domain`, a zero byte and the concatenation of `parts`. Callers fix the length or encoding of the parts.
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(domain.as_bytes());
        hash.update([0]);
        for part in parts {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl MemberId {
    /// The id of the member who first enrols in the commons `commons` with `device`.
    pub fn derive(commons: &Digest, device: &DeviceKey) -> Self {
        let digest = Digest::of("trust-commons/v1/member", &[&commons.0, &device.0]);
        let mut id = [0u8; 16];
        id.copy_from_slice(digest.0.split_at(16).0);
        Self(id)
    }
}

/// One of the three nodes: 1, 2 or 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct NodeId(u8);

impl NodeId {
    /// All three, in order.
    pub const ALL: [Self; 3] = [Self(1), Self(2), Self(3)];

    /// Parses 1, 2 or 3.
    ///
    /// # Errors
    /// [`Error::BadId`].
    pub fn new(number: u8) -> Result<Self, Error> {
        match number {
            1..=3 => Ok(Self(number)),
            _ => Err(Error::BadId { what: "node id", rule: "a commons has nodes 1, 2 and 3" }),
        }
    }
    /// 1, 2 or 3.
    pub fn number(self) -> u8 {
        self.0
    }
    /// 0, 1 or 2: the position in an array of three.
    pub fn index(self) -> usize {
        usize::from(self.0 - 1)
    }
    /// The node after this one on the ring 1 -> 2 -> 3 -> 1.
    pub fn next(self) -> Self {
        Self(self.0 % 3 + 1)
    }
    /// The node before this one on the ring.
    pub fn prev(self) -> Self {
        self.next().next()
    }
}

impl BorshDeserialize for NodeId {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let number = u8::deserialize_reader(reader)?;
        Self::new(number).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
    }
}

impl TryFrom<u8> for NodeId {
    type Error = Error;
    fn try_from(number: u8) -> Result<Self, Error> {
        Self::new(number)
    }
}

impl From<NodeId> for u8 {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 40 characters of `a-z 0-9 -`.
            ///
            /// # Errors
            /// [`Error::BadId`].
            pub fn new(name: &str) -> Result<Self, Error> {
                let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if (1..=40).contains(&name.len()) && name.chars().all(allowed) {
                    Ok(Self(name.to_owned()))
                } else {
                    Err(Error::BadId { what: $what, rule: "use 1 to 40 characters of a-z, 0-9 and -" })
                }
            }
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
                let name = String::deserialize_reader(reader)?;
                Self::new(&name).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(name: String) -> Result<Self, Error> {
                Self::new(&name)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_id!(/** The name of a modality profile, such as `face-512`. */ ProfileId, "profile id");
name_id!(/** The name of a relying party in the charter, such as `river-clinic`. */ PartyId, "relying party id");
