//! What a verifier must remember: which challenges are open, and who was admitted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use types::UnixSeconds;

use crate::{Challenge, Context, Error, Issuers, Kind, Presentation, Pseudonym, Verified, limits, verify};

/// A verifier's door to one context. It remembers open challenges and, where each person is admitted once, the pseudonyms admitted;
/// nothing about anybody beside that. When a masquerade closes, drop it: then not even the pseudonyms are left.
pub struct Gate {
    context: Context,
    open: BTreeMap<[u8; 32], Challenge>,
    admitted: BTreeSet<Pseudonym>,
}

impl Gate {
    /// For a context.
    pub fn new(context: Context) -> Self {
        Self { context, open: BTreeMap::new(), admitted: BTreeSet::new() }
    }
    /// For a context in which people were admitted before, such as after a restart.
    pub fn with_admitted(context: Context, admitted: impl IntoIterator<Item = Pseudonym>) -> Self {
        Self { admitted: admitted.into_iter().collect(), ..Self::new(context) }
    }
    /// Its context.
    pub fn context(&self) -> &Context {
        &self.context
    }
    /// People admitted, where each is admitted once.
    pub fn admitted(&self) -> usize {
        self.admitted.len()
    }

    /// A new challenge. `nonce` is 32 fresh random bytes.
    ///
    /// # Errors
    /// [`Error::NotOpen`], [`Error::Closed`], [`Error::Full`].
    pub fn challenge(&mut self, nonce: [u8; 32], now: UnixSeconds) -> Result<Challenge, Error> {
        self.context.check_open(now)?;
        if self.open.len() >= limits::OPEN_CHALLENGES {
            self.open.retain(|_, challenge| challenge.expires_at() >= now);
        }
        if self.open.len() >= limits::OPEN_CHALLENGES {
            return Err(Error::Full { what: "challenges" });
        }
        let challenge = Challenge::new(&self.context, nonce, now, limits::CHALLENGE_LIFETIME_S);
        self.open.insert(nonce, challenge.clone());
        Ok(challenge)
    }

    /// Remembers an open challenge again, such as after a restart. One of another context is not taken.
    pub fn reopen(&mut self, challenge: Challenge) {
        if challenge.is_of(&self.context) && self.open.len() < limits::OPEN_CHALLENGES {
            self.open.insert(*challenge.nonce(), challenge);
        }
    }

    /// Checks a presentation against the challenge that it answers and admits its person. The challenge is used up by a valid answer
    /// only, so that nobody spends another's.
    ///
    /// # Errors
    /// [`Error::WrongNonce`] also for a replay; [`Error::Again`]; [`Error::Full`]; those of [`verify`].
    pub fn admit(&mut self, presentation: &Presentation, now: UnixSeconds, issuers: &Issuers) -> Result<Verified, Error> {
        if *presentation.context() != self.context.digest() {
            return Err(Error::WrongContext);
        }
        self.context.check_open(now)?;
        let challenge = self.open.get(presentation.nonce()).ok_or(Error::WrongNonce)?;
        let verified = verify(presentation, &self.context, challenge, now, issuers)?;
        self.open.remove(presentation.nonce());
        if self.context.kind() != Kind::Standing {
            if self.admitted.len() >= limits::ADMITTED {
                return Err(Error::Full { what: "places" });
            }
            if !self.admitted.insert(verified.pseudonym) {
                return Err(Error::Again);
            }
        }
        Ok(verified)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("context", &self.context)
            .field("admitted", &self.admitted.len())
            .finish_non_exhaustive()
    }
}
