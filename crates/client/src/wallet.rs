//! What a member's device keeps of personas: the one secret, the credentials of the moment, the personas and their uses.
//!
//! File: magic `TCWALLET`, version (u16), nonce (24 bytes), then XChaCha20-Poly1305 over the canonical encoding, with everything
//! before it as associated data. The key follows from the member's key, which lies under a passphrase ([`crate::keyfile`]).
//!
//! **Trust**: whoever changes the file can only make it unreadable; whoever puts an older one in its place makes the device forget
//! personas, never make others: they follow from the secret. The encoding is padded, so that the length tells only roughly how
//! many there are.
//!
//! **A masquerade leaves nothing behind**: when it has closed, the next opening of the wallet erases its persona and its uses.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use credential::{Attribute, Context, Credential, Epoch, Epochs, Kind, MemberSecret, Persona, Pseudonym};
use types::persona::{Claim, ClaimKind};
use types::sign::Signed;
use types::{Digest, UnixSeconds, decode, encode};
use zeroize::{Zeroize, Zeroizing};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Error, MemberKey};

const MAGIC: &[u8; 8] = b"TCWALLET";
const VERSION: u16 = 2;
const NONCE: usize = 24;
const HEADER: usize = MAGIC.len() + 2 + NONCE;
/// Lengths of the plain text are multiples of this.
const PAD: usize = 4096;
/// Bytes of a wallet file.
pub const WALLET_BYTES: usize = 16 * 1024 * 1024;
/// Personas in one wallet.
pub const PERSONAS: usize = 4096;
/// Uses kept of one persona; the oldest go first.
pub const USES: usize = 256;

/// What a device keeps of its member's personas in one commons.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Wallet {
    version: u16,
    /// Digest of the roster.
    commons: Digest,
    secret: [u8; 32],
    /// The nodes have bound the membership to the secret.
    bound: bool,
    credentials: Vec<Vec<u8>>,
    /// What relying parties vouch for, one of each kind; brought to the nodes at each renewal.
    claims: Vec<Signed<Claim>>,
    /// When to fetch the next epoch's: a moment chosen at random.
    renew_at: UnixSeconds,
    personas: Vec<Kept>,
}

impl Drop for Wallet {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.credentials.zeroize();
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wallet(<redacted>)")
    }
}

/// A persona that was made on this device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Kept {
    /// Where it lives.
    pub context: Context,
    /// Its name there.
    pub pseudonym: Pseudonym,
    /// The member's own word for it.
    pub label: String,
    /// When it was made.
    pub since: UnixSeconds,
    /// When the member gave it up. It makes no presentation any more; nobody else can ever have it.
    pub retired: Option<UnixSeconds>,
    /// What it did, oldest first.
    pub uses: Vec<Used>,
}

/// One act of a persona.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Used {
    /// When.
    pub at: UnixSeconds,
    /// What.
    pub act: PersonaAct,
}

/// What a persona can do.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PersonaAct {
    /// It was shown to its context's verifier.
    Shown {
        /// What was disclosed, beside the pseudonym.
        disclosed: Vec<(Attribute, String)>,
    },
    /// The member said that it is the same person as another one.
    Revealed {
        /// The other persona's pseudonym.
        other: Pseudonym,
        /// To one verifier who can convince nobody else; otherwise to everybody.
        to_one: bool,
    },
    /// An attempt to show it was refused: on this device (a stale challenge, another audience), or by the verifier.
    Refused {
        /// Why, in words.
        why: String,
    },
    /// A wallet's credential that it got was shown to a verifier.
    Carried {
        /// Where the verifier asked.
        to: String,
        /// What was disclosed, beside the membership.
        disclosed: Vec<(String, String)>,
    },
}

/// What to do about credentials now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing.
    None,
    /// Fetch those of this epoch.
    Fetch(Epoch),
}

impl Wallet {
    /// A new one, over a new secret.
    pub fn new(commons: Digest, secret: &MemberSecret) -> Self {
        let secret = secret.to_escrow();
        let (credentials, claims, personas) = (Vec::new(), Vec::new(), Vec::new());
        Self { version: VERSION, commons, secret, bound: false, credentials, claims, renew_at: 0, personas }
    }

    /// The file's bytes. `nonce` is fresh and random.
    ///
    /// # Errors
    /// [`Error::BadFile`] when it is too large.
    pub fn seal(&self, key: &MemberKey, nonce: &[u8; NONCE]) -> Result<Vec<u8>, Error> {
        let mut plain = Zeroizing::new(encode(&(encode(self).len() as u64)));
        plain.extend(Zeroizing::new(encode(self)).iter());
        let padded = plain.len().next_multiple_of(PAD);
        plain.resize(padded, 0);
        let mut file = [MAGIC.as_slice(), &VERSION.to_le_bytes(), nonce].concat();
        let cipher = cipher(key, &self.commons)?;
        let payload = Payload { msg: &plain, aad: &file };
        let nonce = XNonce::try_from(nonce.as_slice()).map_err(|_| damaged("nonce"))?;
        let sealed = cipher.encrypt(&nonce, payload).map_err(|_| damaged("it cannot be sealed"))?;
        file.extend(sealed);
        if file.len() > WALLET_BYTES { Err(damaged("it is too large")) } else { Ok(file) }
    }

    /// Reads what [`Self::seal`] wrote for this commons, and erases what is over: see the module. Returns whether anything was; then
    /// seal it again.
    ///
    /// # Errors
    /// [`Error::BadFile`], [`Error::WrongPassphrase`] when it is not this member's.
    pub fn open(file: &[u8], key: &MemberKey, commons: &Digest, now: UnixSeconds) -> Result<(Self, bool), Error> {
        if file.len() > WALLET_BYTES {
            return Err(damaged("it is too large"));
        }
        let rest = file.strip_prefix(MAGIC.as_slice()).ok_or_else(|| damaged("it does not begin like a wallet"))?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| damaged("it is cut short"))?;
        if u16::from_le_bytes(*version) != VERSION {
            return Err(damaged("it has a version that this program does not know"));
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or_else(|| damaged("it is cut short"))?;
        let (header, _) = file.split_at_checked(HEADER).ok_or_else(|| damaged("it is cut short"))?;
        let nonce = XNonce::try_from(nonce).map_err(|_| damaged("nonce"))?;
        let plain = cipher(key, commons)?.decrypt(&nonce, Payload { msg: sealed, aad: header });
        let plain = Zeroizing::new(plain.map_err(|_| Error::WrongPassphrase)?);
        let mut wallet = Self::parse(&plain)?;
        if wallet.commons != *commons {
            return Err(damaged("it is of another commons"));
        }
        let erased = wallet.forget_closed(now);
        Ok((wallet, erased))
    }

    fn parse(plain: &[u8]) -> Result<Self, Error> {
        let (length, rest) = plain.split_first_chunk::<8>().ok_or_else(|| damaged("it is cut short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok();
        let (body, _) = length.and_then(|length| rest.split_at_checked(length)).ok_or_else(|| damaged("it is cut short"))?;
        let wallet: Self = decode("wallet", body, WALLET_BYTES)?;
        if wallet.version != VERSION {
            return Err(damaged("it has a version that this program does not know"));
        }
        MemberSecret::from_escrow(&wallet.secret)?;
        Ok(wallet)
    }

    /// The member's secret.
    ///
    /// # Errors
    /// [`Error::Persona`]: never after [`Self::open`].
    pub fn secret(&self) -> Result<MemberSecret, Error> {
        Ok(MemberSecret::from_escrow(&self.secret)?)
    }
    /// The nodes have bound the membership to the secret.
    pub fn is_bound(&self) -> bool {
        self.bound
    }
    /// They have.
    pub fn set_bound(&mut self) {
        self.bound = true;
    }
    /// The membership has ended: the nodes have erased the binding, and credentials end by themselves. The secret stays, so that who
    /// enrols again is the same person everywhere.
    pub fn set_unbound(&mut self) {
        self.bound = false;
        self.credentials.zeroize();
    }

    /// The credentials of the moment.
    pub fn credentials(&self) -> Vec<Credential> {
        self.credentials.iter().filter_map(|bytes| Credential::from_bytes(bytes).ok()).collect()
    }

    /// Keeps new credentials and forgets those that nobody accepts any more. `random` chooses the moment of the next renewal, in the time
    /// when the next epoch's are issued already.
    pub fn keep(&mut self, credentials: &[Credential], epochs: &Epochs, now: UnixSeconds, random: u64) {
        let fresh = |kept: &Credential| {
            epochs.accepts(kept.epoch(), now)
                && !credentials.iter().any(|new| (new.node(), new.epoch()) == (kept.node(), kept.epoch()))
        };
        let mut all: Vec<Credential> = self.credentials().into_iter().filter(fresh).collect();
        all.extend(credentials.iter().cloned());
        self.credentials.zeroize();
        self.credentials = all.iter().map(Credential::to_bytes).collect();
        if let Some(newest) = all.iter().map(Credential::epoch).max() {
            let end = (u64::from(newest.0) + 1) * u64::from(epochs.length_s);
            let window = u64::from(epochs.grace_s.max(1));
            self.renew_at = end.saturating_sub(window) + random % window;
        }
    }

    /// What relying parties vouch for and has not expired.
    pub fn claims(&self, now: UnixSeconds) -> Vec<Signed<Claim>> {
        self.claims.iter().filter(|claim| claim.message.expires_at > now).cloned().collect()
    }

    /// Keeps what a relying party vouches for, in the place of another claim of its kind. The credentials of the moment do not say it
    /// yet: fetch new ones.
    pub fn set_claim(&mut self, claim: Signed<Claim>) {
        self.forget_claim(claim.message.kind);
        self.claims.push(claim);
    }

    /// Gives a claim up; returns whether there was one. Fetch new credentials after it.
    pub fn forget_claim(&mut self, kind: ClaimKind) -> bool {
        let before = self.claims.len();
        self.claims.retain(|claim| claim.message.kind != kind);
        self.credentials.zeroize();
        self.claims.len() != before
    }

    /// What to fetch now. To be asked when the device is switched on or at [`Self::renew_at`], and never because somebody asks for
    /// a presentation.
    pub fn renewal(&self, epochs: &Epochs, now: UnixSeconds) -> Renewal {
        let has = |epoch: Epoch| self.credentials().iter().filter(|kept| kept.epoch() == epoch).count() >= 2;
        let (present, next) = (epochs.at(now), Epoch(epochs.at(now).0.saturating_add(1)));
        if !has(present) {
            return Renewal::Fetch(present);
        }
        match epochs.issues(next, now) && now >= self.renew_at && !has(next) {
            true => Renewal::Fetch(next),
            false => Renewal::None,
        }
    }
    /// When the next renewal is due.
    pub fn renew_at(&self) -> UnixSeconds {
        self.renew_at
    }

    /// All personas, oldest first.
    pub fn personas(&self) -> &[Kept] {
        &self.personas
    }

    /// The member's persona in `context`: made now, or the one that is there. Returns whether it is new.
    ///
    /// # Errors
    /// [`Error::Persona`], [`Error::BadFile`] when the wallet is full.
    pub fn persona(&mut self, context: &Context, label: &str, now: UnixSeconds) -> Result<(&mut Kept, bool), Error> {
        let pseudonym = *Persona::new(&self.secret()?, context).pseudonym();
        let place = self.personas.iter().position(|kept| kept.pseudonym == pseudonym);
        let new = place.is_none();
        if new {
            if self.personas.len() >= PERSONAS {
                return Err(Error::BadFile { what: WHAT, reason: "it holds as many personas as it can" });
            }
            let (context, label) = (context.clone(), label.to_owned());
            self.personas.push(Kept { context, pseudonym, label, since: now, retired: None, uses: Vec::new() });
        }
        let kept = match place {
            Some(place) => self.personas.get_mut(place),
            None => self.personas.last_mut(),
        };
        let kept = kept.ok_or(Error::BadFile { what: WHAT, reason: "it holds no such persona" })?;
        // The verifier may ask for something else than before: the pseudonym is the same.
        kept.context = context.clone();
        Ok((kept, new))
    }

    /// Personas whose label or pseudonym begins with `name`, or whose context has that id.
    pub fn named(&self, name: &str) -> Vec<&Kept> {
        let exact: Vec<&Kept> = self.personas.iter().filter(|kept| kept.label == name).collect();
        if !exact.is_empty() {
            return exact;
        }
        let hex = name.to_ascii_lowercase();
        let begins =
            |kept: &&Kept| kept.context.id() == name || (hex.len() >= 4 && kept.pseudonym.to_hex().starts_with(&hex));
        self.personas.iter().filter(begins).collect()
    }

    /// Notes what a persona did.
    pub fn note(&mut self, pseudonym: &Pseudonym, at: UnixSeconds, act: PersonaAct) {
        if let Some(kept) = self.personas.iter_mut().find(|kept| kept.pseudonym == *pseudonym) {
            kept.uses.push(Used { at, act });
            let over = kept.uses.len().saturating_sub(USES);
            kept.uses.drain(..over);
        }
    }

    /// Gives a persona up. Its pseudonym stays the only one that this person can have there.
    pub fn retire(&mut self, pseudonym: &Pseudonym, now: UnixSeconds) {
        if let Some(kept) = self.personas.iter_mut().find(|kept| kept.pseudonym == *pseudonym) {
            kept.retired.get_or_insert(now);
        }
    }

    /// Erases every trace of masquerades that are over. Returns whether there was one.
    pub fn forget_closed(&mut self, now: UnixSeconds) -> bool {
        let before = self.personas.len();
        let over =
            |context: &Context| context.kind() == Kind::Masquerade && context.closes().is_some_and(|closes| closes <= now);
        let gone: Vec<Pseudonym> =
            self.personas.iter().filter(|kept| over(&kept.context)).map(|kept| kept.pseudonym).collect();
        self.personas.retain(|kept| !over(&kept.context));
        for kept in &mut self.personas {
            // Nor does another persona remember that it was one of them.
            kept.uses.retain(|used| !matches!(&used.act, PersonaAct::Revealed { other, .. } if gone.contains(other)));
        }
        self.personas.len() != before
    }
}

const WHAT: &str = "wallet";

fn damaged(reason: &'static str) -> Error {
    Error::BadFile { what: WHAT, reason }
}

fn cipher(key: &MemberKey, commons: &Digest) -> Result<XChaCha20Poly1305, Error> {
    let key = key.wallet_key(commons);
    XChaCha20Poly1305::new_from_slice(key.as_ref()).map_err(|_| damaged("its key has another length"))
}
