//! What a persona does with the wallet on its own device: shows itself, makes the code of a moment, says that it is another one too.
//!
//! Every act is noted in the wallet, also one that was refused, so that the owner sees later that somebody tried. **Seal and keep the
//! wallet before what comes out of here leaves the device**: what was shown is then known even if the answer is lost. No node is asked: none
//! learns where somebody is.
//!
//! **In scope**: the rules of showing, the files of reveals. **Out of scope**: asking the person; where files lie.

use credential::code::Code;
use credential::reveal::{Reveal, RevealKey, RevealPublicKey, Side};
use credential::{Attribute, Challenge, Context, Envelope as _, Fresh, Issuers, Persona, Presentation, Pseudonym, present};
use serde::{Deserialize, Serialize};
use types::UnixSeconds;
use types::api::{from_base64, to_base64};

use crate::Error;
use crate::wallet::{Kept, PersonaAct, Wallet};

/// Bytes of a file with a reveal or a reveal key in it.
pub const REVEAL_FILE_BYTES: usize = 64 * 1024;

impl Wallet {
    /// The persona of this pseudonym, if it was not given up.
    ///
    /// # Errors
    /// [`Error::NoPersona`], [`Error::Retired`].
    pub fn active(&self, pseudonym: &Pseudonym) -> Result<&Kept, Error> {
        let kept = self.personas().iter().find(|kept| kept.pseudonym == *pseudonym).ok_or(Error::NoPersona)?;
        if kept.retired.is_some() { Err(Error::Retired) } else { Ok(kept) }
    }

    /// What a presentation in this context discloses, beside the pseudonym.
    pub fn discloses(&self, place: &Context) -> Vec<(Attribute, String)> {
        let credentials = self.credentials();
        let value =
            |attribute| credentials.first().map_or("", |credential| credential.attributes().value(attribute)).to_owned();
        place.demands().iter().map(|demand| (demand.attribute, value(demand.attribute))).collect()
    }

    /// Answers a challenge of the persona's context. `to` is whom the member is in fact talking to.
    ///
    /// # Errors
    /// [`Error::Retired`]; [`Error::Persona`] as [`present`], which is noted.
    pub fn show(
        &mut self,
        pseudonym: &Pseudonym,
        issuers: &Issuers,
        challenge: &Challenge,
        to: &str,
        now: UnixSeconds,
        fresh: Fresh,
    ) -> Result<Presentation, Error> {
        let place = self.active(pseudonym)?.context.clone();
        let (secret, credentials) = (self.secret()?, self.credentials());
        match present(&secret, &credentials, issuers, &place, challenge, to, now, fresh) {
            Ok(presentation) => {
                let disclosed = self.discloses(&place);
                self.note(pseudonym, now, PersonaAct::Shown { disclosed });
                Ok(presentation)
            }
            Err(error) => {
                self.note(pseudonym, now, PersonaAct::Refused { why: error.to_string() });
                Err(error.into())
            }
        }
    }

    /// The code of this moment, for who stands before the person.
    ///
    /// # Errors
    /// [`Error::Retired`], [`Error::Persona`] when the context is not open.
    pub fn code(&self, pseudonym: &Pseudonym, now: UnixSeconds) -> Result<Code, Error> {
        let kept = self.active(pseudonym)?;
        kept.context.check_open(now)?;
        Ok(Code::new(&Persona::new(&self.secret()?, &kept.context), now))
    }

    /// Says that two personas are one person: to all, or to one verifier who can convince nobody else. `nonce` is the other side's question,
    /// or zeros for a standing statement.
    ///
    /// # Errors
    /// [`Error::SamePersona`], [`Error::Retired`], [`Error::Persona`].
    pub fn reveal(
        &mut self,
        (one, other): (&Pseudonym, &Pseudonym),
        to: Option<&RevealPublicKey>,
        nonce: [u8; 32],
        now: UnixSeconds,
        fresh: Fresh,
    ) -> Result<RevealFile, Error> {
        let (one, other) = (self.active(one)?.clone(), self.active(other)?.clone());
        if one.pseudonym == other.pseudonym {
            return Err(Error::SamePersona);
        }
        let secret = self.secret()?;
        let (mine, too) = (Persona::new(&secret, &one.context), Persona::new(&secret, &other.context));
        let reveal = match to {
            None => Reveal::to_all(&mine, &too, nonce, fresh),
            Some(key) => Reveal::to_one(key, &mine, &too, nonce, fresh)?,
        };
        let to_one = to.is_some();
        self.note(&one.pseudonym, now, PersonaAct::Revealed { other: other.pseudonym, to_one });
        self.note(&other.pseudonym, now, PersonaAct::Revealed { other: one.pseudonym, to_one });
        let side = |kept: Kept| Revealed { context: kept.context, pseudonym: kept.pseudonym };
        let nonce = types::Digest(nonce).to_hex();
        Ok(RevealFile { one: side(one), other: side(other), nonce, reveal: reveal.to_json() })
    }
}

/// A reveal as a file: with the contexts, so that the other side sees who is said to be whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevealFile {
    /// One persona.
    pub one: Revealed,
    /// Another.
    pub other: Revealed,
    /// The other side's question, in hexadecimal.
    pub nonce: String,
    /// [`Reveal`] in its envelope.
    pub reveal: String,
}

/// Who is said to be one person with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revealed {
    /// Where.
    pub context: Context,
    /// By which name.
    pub pseudonym: Pseudonym,
}

impl RevealFile {
    /// Reads a file; checks nothing that it says.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let bad = |reason| Error::BadFile { what: "reveal", reason };
        if text.len() > REVEAL_FILE_BYTES {
            return Err(bad("it is too large"));
        }
        serde_json::from_str(text).map_err(|_| bad("it is not the JSON of one"))
    }

    /// The file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Checks that the two are one person, said in answer to `asked`: to all, or to the holder of `key`.
    ///
    /// # Errors
    /// [`Error::Persona`].
    pub fn check(&self, asked: &[u8; 32], key: Option<&RevealKey>) -> Result<(), Error> {
        let reveal = Reveal::from_json(&self.reveal)?;
        let side = |named: &Revealed| Side::new(&named.context, named.pseudonym);
        let public = key.map(RevealKey::public);
        Ok(reveal.verify(&side(&self.one), &side(&self.other), asked, public.as_ref())?)
    }
}

/// A verifier's public key for reveals that are made to it alone, as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevealKeyFile {
    /// The verifier's own word.
    pub name: String,
    reveal_key: String,
}

impl RevealKeyFile {
    /// Of this key.
    pub fn new(name: &str, key: &RevealPublicKey) -> Self {
        Self { name: name.to_owned(), reveal_key: to_base64(&types::encode(key)) }
    }

    /// Reads a file and checks that whoever made it knew the secret.
    ///
    /// # Errors
    /// [`Error::BadFile`], [`Error::Persona`].
    pub fn read(text: &str) -> Result<(Self, RevealPublicKey), Error> {
        let bad = |reason| Error::BadFile { what: "public key for reveals", reason };
        if text.len() > REVEAL_FILE_BYTES {
            return Err(bad("it is too large"));
        }
        let file: Self = serde_json::from_str(text).map_err(|_| bad("it is not the JSON of one"))?;
        let bytes = from_base64("reveal key", &file.reveal_key).map_err(|_| bad("a letter is wrong or missing"))?;
        let key: RevealPublicKey = types::decode("reveal key", &bytes, 256)?;
        key.check()?;
        types::PartyId::new(&file.name)?;
        Ok((file, key))
    }

    /// The file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The key, in base64.
    pub fn key(&self) -> &str {
        &self.reveal_key
    }
}

#[cfg(test)]
mod tests {
    use credential::{Kind, MemberSecret};
    use types::Digest;

    use super::*;

    fn place(id: &str) -> Context {
        Context::new(id, "https://clinic.example", Kind::Standing).unwrap()
    }

    fn wallet() -> (Wallet, [Pseudonym; 2]) {
        let mut wallet = Wallet::new(Digest([1; 32]), &MemberSecret::generate(Fresh::new([2; 32])));
        let one = wallet.persona(&place("clinic"), "clinic", 5).unwrap().0.pseudonym;
        let other = wallet.persona(&place("co-op"), "co-op", 6).unwrap().0.pseudonym;
        (wallet, [one, other])
    }

    #[test]
    fn a_reveal_to_all_holds_for_all_and_one_to_one_for_that_one() {
        let (mut wallet, [one, other]) = wallet();
        let open = wallet.reveal((&one, &other), None, [0; 32], 9, Fresh::new([3; 32])).unwrap();
        let read = RevealFile::from_json(&open.to_json()).unwrap();
        assert!(read.check(&[0; 32], None).is_ok());
        assert!(read.check(&[1; 32], None).is_err(), "another question");
        let judge = RevealKey::generate(Fresh::new([4; 32]));
        let (_, key) = RevealKeyFile::read(&RevealKeyFile::new("judge", &judge.public()).to_json()).unwrap();
        let closed = wallet.reveal((&one, &other), Some(&key), [7; 32], 9, Fresh::new([5; 32])).unwrap();
        assert!(closed.check(&[7; 32], Some(&judge)).is_ok());
        assert!(closed.check(&[7; 32], None).is_err(), "not for all");
        let uses = &wallet.personas()[0].uses;
        assert!(matches!(uses[0].act, PersonaAct::Revealed { to_one: false, .. }));
        assert!(matches!(uses[1].act, PersonaAct::Revealed { to_one: true, .. }));
        assert_eq!(wallet.reveal((&one, &one), None, [0; 32], 9, Fresh::new([6; 32])).unwrap_err(), Error::SamePersona);
    }

    #[test]
    fn who_was_given_up_shows_nothing_and_makes_no_code() {
        let (mut wallet, [one, other]) = wallet();
        let code = wallet.code(&one, 100).unwrap();
        assert_eq!(code.verify(&place("clinic"), 110).unwrap(), one);
        wallet.retire(&one, 200);
        assert_eq!(wallet.code(&one, 201).unwrap_err(), Error::Retired);
        assert_eq!(wallet.reveal((&one, &other), None, [0; 32], 9, Fresh::new([3; 32])).unwrap_err(), Error::Retired);
        assert_eq!(wallet.active(&Pseudonym([9; 48])).unwrap_err(), Error::NoPersona);
    }
}
