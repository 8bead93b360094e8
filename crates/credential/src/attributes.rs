//! What the nodes vouch for. Each attribute has a fixed position, so every credential has the same shape.

use std::collections::BTreeMap;
use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use types::persona::ClaimKind;

use crate::{Error, limits};

/// One thing that can be disclosed by itself. The order is that of the signed messages and never changes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = false)]
pub enum Attribute {
    /// The community of the commons that admitted the member.
    Community,
    /// The epoch of admission, as a number.
    Admitted,
    /// Version of the charter in force at issuing, as a number.
    Charter,
    /// A band of ages, such as `18-29`, if vouched for.
    AgeBand,
    /// A region, if vouched for.
    Locality,
    /// A role in the community, if vouched for.
    Role,
}

impl Attribute {
    /// All, by position.
    pub const ALL: [Self; 6] = [Self::Community, Self::Admitted, Self::Charter, Self::AgeBand, Self::Locality, Self::Role];

    /// As it is signed and written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Community => "community",
            Self::Admitted => "admitted",
            Self::Charter => "charter",
            Self::AgeBand => "age-band",
            Self::Locality => "locality",
            Self::Role => "role",
        }
    }
    pub(crate) fn position(self) -> usize {
        self as usize
    }
    /// The octets of the signed message: name, a zero byte, value. No value is the empty one.
    pub(crate) fn message(self, value: &str) -> Vec<u8> {
        [self.name().as_bytes(), &[0], value.as_bytes()].concat()
    }
}

impl From<ClaimKind> for Attribute {
    fn from(kind: ClaimKind) -> Self {
        match kind {
            ClaimKind::AgeBand => Self::AgeBand,
            ClaimKind::Locality => Self::Locality,
            ClaimKind::Role => Self::Role,
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one credential says. Attributes without a value are signed as *not vouched for*.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attributes(BTreeMap<Attribute, String>);

impl Attributes {
    /// The three that every member has.
    ///
    /// # Errors
    /// [`Error::Text`].
    pub fn new(community: &str, admitted: crate::Epoch, charter: u64) -> Result<Self, Error> {
        Self(BTreeMap::new())
            .with(Attribute::Community, community)?
            .with(Attribute::Admitted, &admitted.0.to_string())?
            .with(Attribute::Charter, &charter.to_string())
    }
    /// Adds or replaces a value.
    ///
    /// # Errors
    /// [`Error::Text`].
    pub fn with(mut self, attribute: Attribute, value: &str) -> Result<Self, Error> {
        check_value(value)?;
        self.0.insert(attribute, value.to_owned());
        Ok(self)
    }
    /// A value; empty if not vouched for.
    pub fn value(&self, attribute: Attribute) -> &str {
        self.0.get(&attribute).map_or("", String::as_str)
    }
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        types::encode(self)
    }
    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`Error::Encoding`], [`Error::Text`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let attributes: Self = types::decode("attributes", bytes, types::limits::ATTRIBUTES_BYTES)?;
        attributes.check()?;
        Ok(attributes)
    }
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.0.values().try_for_each(|value| check_value(value))
    }
}

/// Of a vouched value: 1 to 64 bytes, no control characters, no space at its ends.
fn check_value(value: &str) -> Result<(), Error> {
    if value.is_empty() {
        return Err(Error::Text { field: "attribute", rule: "leave out what is not vouched for" });
    }
    check_text("attribute", value, limits::ATTRIBUTE_BYTES)
}

/// 1 to `limit` bytes of text without control characters and without space at its ends.
pub(crate) fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), Error> {
    if text.is_empty() || text.len() > limit {
        return Err(Error::Text { field, rule: "write something, and no more than the limit" });
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(Error::Text { field, rule: "use plain text on one line without space at its ends" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_list_and_messages_differ() {
        for (i, attribute) in Attribute::ALL.into_iter().enumerate() {
            assert_eq!(attribute.position(), i);
            assert_eq!(borsh::to_vec(&attribute).unwrap(), [u8::try_from(i).unwrap()]);
        }
        assert_ne!(Attribute::Role.message("x"), Attribute::Locality.message("x"));
        for kind in ClaimKind::ALL {
            assert_eq!(Attribute::from(kind).name(), kind.name());
        }
    }

    #[test]
    fn values_are_short_plain_text() {
        let base = Attributes::new("river-valley", crate::Epoch(3), 7).unwrap();
        assert_eq!(base.value(Attribute::Admitted), "3");
        assert_eq!(base.value(Attribute::AgeBand), "");
        for bad in ["", " x", "x\n", &"x".repeat(65)] {
            assert!(base.clone().with(Attribute::Role, bad).is_err(), "{bad:?}");
        }
    }
}
