//! Where a persona lives: who admits whom, when, and against which disclosures.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use types::{Digest, UnixSeconds, encode};

use crate::attributes::check_text;
use crate::{Attribute, Envelope, Error, limits};

/// How often a person is admitted, and for how long their persona lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[borsh(use_discriminant = false)]
pub enum Kind {
    /// One persona for good: signing in again shows the same pseudonym.
    Standing,
    /// Each person is admitted once.
    OneTime,
    /// Each person is admitted once, anonymously, between two times; nothing that narrows down who they are may be asked. Its
    /// pseudonyms come back nowhere, not even in the verifier's next masquerade.
    Masquerade,
}

/// What must be disclosed of one attribute.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// Which.
    pub attribute: Attribute,
    /// Values that are accepted; any value, even none, if the list is empty.
    #[serde(default)]
    pub one_of: Vec<String>,
}

/// The verifier's statement of a context, which members read before they show anything. One person has one pseudonym in it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Context {
    version: u16,
    id: String,
    verifier: String,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens: Option<UnixSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closes: Option<UnixSeconds>,
    demands: Vec<Demand>,
}

impl Context {
    /// A context that is always open, until [`Self::between`] says otherwise. `id` is the verifier's own name for it; `verifier` is
    /// the audience: the origin of a web site, the name of an organisation.
    ///
    /// # Errors
    /// [`Error::Text`].
    pub fn new(id: &str, verifier: &str, kind: Kind) -> Result<Self, Error> {
        check_text("context id", id, limits::CONTEXT_ID_BYTES)?;
        check_text("verifier", verifier, limits::VERIFIER_BYTES)?;
        let (id, verifier) = (id.to_owned(), verifier.to_owned());
        Ok(Self { version: Self::VERSION, id, verifier, kind, opens: None, closes: None, demands: Vec::new() })
    }

    /// A masquerade from `opens` until just before `closes`.
    ///
    /// # Errors
    /// [`Error::Text`], [`Error::Context`].
    pub fn masquerade(id: &str, verifier: &str, opens: UnixSeconds, closes: UnixSeconds) -> Result<Self, Error> {
        Self::new(id, verifier, Kind::Masquerade)?.between(opens, closes)
    }

    /// Open from `opens` until just before `closes`.
    ///
    /// # Errors
    /// [`Error::Context`].
    pub fn between(mut self, opens: UnixSeconds, closes: UnixSeconds) -> Result<Self, Error> {
        (self.opens, self.closes) = (Some(opens), Some(closes));
        self.check()?;
        Ok(self)
    }

    /// Demands an attribute; `one_of` lists accepted values, none for any.
    ///
    /// # Errors
    /// [`Error::Context`], [`Error::Text`].
    pub fn demand(mut self, attribute: Attribute, one_of: &[&str]) -> Result<Self, Error> {
        self.demands.push(Demand { attribute, one_of: one_of.iter().map(|value| (*value).to_owned()).collect() });
        self.demands.sort_by_key(|demand| demand.attribute);
        if self.kind == Kind::Masquerade && self.opens.is_none() {
            return Err(Error::Context("a masquerade first says when it opens and closes"));
        }
        self.check()?;
        Ok(self)
    }

    /// The verifier's name for it.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// The audience.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }
    /// How often a person is admitted.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// What must be disclosed.
    pub fn demands(&self) -> &[Demand] {
        &self.demands
    }
    /// First second, if it opens.
    pub fn opens(&self) -> Option<UnixSeconds> {
        self.opens
    }
    /// First second after it, if it closes.
    pub fn closes(&self) -> Option<UnixSeconds> {
        self.closes
    }

    /// Is it open?
    ///
    /// # Errors
    /// [`Error::NotOpen`], [`Error::Closed`].
    pub fn check_open(&self, now: UnixSeconds) -> Result<(), Error> {
        if self.opens.is_some_and(|opens| now < opens) {
            return Err(Error::NotOpen);
        }
        if self.closes.is_some_and(|closes| now >= closes) {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Names exactly this statement. Presentations are bound to it.
    pub fn digest(&self) -> Digest {
        Digest::of("trust-commons/v1/context", &[&encode(self)])
    }

    /// Names what pseudonyms depend on. Not the demands: a verifier who asks for less or more keeps its people, and cannot make
    /// second pseudonyms of them. The times belong to it where a person is admitted once, so that every event starts afresh.
    pub fn scope(&self) -> Digest {
        let times = (self.kind != Kind::Standing).then_some((self.opens, self.closes));
        Digest::of("trust-commons/v1/persona-scope", &[&encode(&(&self.id, &self.verifier, self.kind, times))])
    }
}

impl Envelope for Context {
    const NAME: &'static str = "context";
    const LIMIT: usize = limits::CONTEXT_BYTES;
    const VERSION: u16 = 1;

    fn version(&self) -> u16 {
        self.version
    }

    fn check(&self) -> Result<(), Error> {
        if self.version != Self::VERSION {
            return Err(Error::Version { what: Self::NAME, got: self.version, known: Self::VERSION });
        }
        check_text("context id", &self.id, limits::CONTEXT_ID_BYTES)?;
        check_text("verifier", &self.verifier, limits::VERIFIER_BYTES)?;
        if let (Some(opens), Some(closes)) = (self.opens, self.closes)
            && opens >= closes
        {
            return Err(Error::Context("it closes before it opens"));
        }
        if !self.demands.is_sorted_by(|a, b| a.attribute < b.attribute) {
            return Err(Error::Context("it lists each attribute once, in order"));
        }
        for demand in &self.demands {
            if demand.one_of.len() > limits::DEMAND_VALUES {
                return Err(Error::Context("it lists too many values for one attribute"));
            }
            demand.one_of.iter().try_for_each(|value| check_text("attribute", value, limits::ATTRIBUTE_BYTES))?;
        }
        if self.kind == Kind::Masquerade {
            self.check_masquerade()?;
        }
        Ok(())
    }
}

impl Context {
    fn check_masquerade(&self) -> Result<(), Error> {
        let (Some(opens), Some(closes)) = (self.opens, self.closes) else {
            return Err(Error::Context("a masquerade says when it opens and closes"));
        };
        if closes.saturating_sub(opens) > limits::MASQUERADE_S {
            return Err(Error::Context("a masquerade lasts 31 days at most"));
        }
        let coarse = |demand: &Demand| matches!(demand.attribute, Attribute::Community | Attribute::AgeBand);
        if !self.demands.iter().all(coarse) {
            return Err(Error::Context("a masquerade may ask for community and age band only"));
        }
        Ok(())
    }
}

/// A context as it is written by hand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    version: u16,
    id: String,
    verifier: String,
    kind: Kind,
    opens: Option<UnixSeconds>,
    closes: Option<UnixSeconds>,
    #[serde(default)]
    demands: Vec<Demand>,
}

impl TryFrom<Unchecked> for Context {
    type Error = Error;
    fn try_from(from: Unchecked) -> Result<Self, Error> {
        let Unchecked { version, id, verifier, kind, opens, closes, mut demands } = from;
        demands.sort_by_key(|demand| demand.attribute);
        let context = Self { version, id, verifier, kind, opens, closes, demands };
        context.check()?;
        Ok(context)
    }
}
