//! The rotating code beside a glyph: signed by the persona now, checked by another person's device face to face.
//!
//! A code says *the one who holds this persona made this at this second*; it is good for [`limits::CODE_LIFETIME_S`]. Everything is a
//! function of (persona, time): the device that shows it draws no randomness.
//!
//! Limits: within these seconds a code can be copied to another screen. Who needs more than "somebody here is, or is in touch with,
//! this persona right now" asks for a presentation with a challenge.

use borsh::{BorshDeserialize, BorshSerialize};
use types::{Digest, UnixSeconds};
use zeroize::Zeroize;

use crate::{Context, Envelope, Error, Fresh, Persona, Pseudonym, limits};

const DOMAIN: &str = "trust-commons/v1/persona-code";

/// One code, in 156 bytes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Code {
    version: u16,
    scope: Digest,
    pseudonym: Pseudonym,
    made_at: UnixSeconds,
    signature: [u8; 64],
}

impl Envelope for Code {
    const NAME: &'static str = "persona-code";
    const LIMIT: usize = 256;
    const VERSION: u16 = 1;
    fn version(&self) -> u16 {
        self.version
    }
}

impl Code {
    /// The code of `persona` at `now`.
    pub fn new(persona: &Persona, now: UnixSeconds) -> Self {
        // Deterministic (as in RFC 6979): the "fresh" bytes are a hash of the secret and the message.
        let mut nym = persona.nym().to_be_bytes();
        let message = now.to_be_bytes();
        let seed = Digest::of("trust-commons/v1/persona-code-seed", &[&nym, &persona.scope().0, &message]);
        nym.zeroize();
        let signature = persona.sign(DOMAIN, &message, Fresh::new(seed.0));
        let (scope, pseudonym) = (*persona.scope(), *persona.pseudonym());
        Self { version: Self::VERSION, scope, pseudonym, made_at: now, signature }
    }

    /// Who made it, if they did so in `context` within the last 30 seconds.
    ///
    /// # Errors
    /// [`Error::WrongContext`], [`Error::Code`], [`Error::NotOpen`], [`Error::Closed`].
    pub fn verify(&self, context: &Context, now: UnixSeconds) -> Result<Pseudonym, Error> {
        if self.scope != context.scope() {
            return Err(Error::WrongContext);
        }
        context.check_open(now)?;
        let age_ok = now <= self.made_at.saturating_add(limits::CODE_LIFETIME_S)
            && self.made_at <= now.saturating_add(limits::CODE_SKEW_S);
        if !age_ok || !self.pseudonym.verify(&self.scope, DOMAIN, &self.made_at.to_be_bytes(), &self.signature) {
            return Err(Error::Code);
        }
        Ok(self.pseudonym)
    }

    /// When it was made.
    pub fn made_at(&self) -> UnixSeconds {
        self.made_at
    }

    /// Which of the glyph's twelve outer beads are raised now: both people see the same pattern change.
    pub fn beads(&self) -> u16 {
        let digest = Digest::of("trust-commons/v1/persona-beads", &[&self.to_bytes()]);
        let (first, _) = digest.0.split_first_chunk::<2>().expect("a digest has 32 bytes");
        u16::from_be_bytes(*first) & 0x0fff
    }
}
