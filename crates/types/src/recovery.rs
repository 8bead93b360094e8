//! The vocabulary of recovery: guardians, their shares and approvals, and how a new device becomes the member's.
//!
//! A guardian's share is a signing key of its own, made on the member's device and sealed to the guardian. With it a guardian
//! approves one new device, for a while. The nodes keep the public halves and count: they learn how many guardians there are and
//! which of the shares spoke, not who holds them. Why signing keys and not points of a polynomial:
//! `docs/decisions/0017-guardians-sign.md`.
//!
//! In scope: what is said, sealed and signed. Out of scope: whether it is allowed (`charter`), and keeping it (`node`).

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::message::Submission;
use crate::persona::SecretShare;
use crate::seal::{self, SealKey};
use crate::sign::{Message, Signed, public_key};
use crate::{DeviceKey, Digest, Error, MemberId, OperationId, RecoveryName, TraceKey, UnixSeconds, limits};

/// Version of [`GuardianShare`].
const SHARE_VERSION: u16 = 1;
/// Bytes of a [`GuardianShare`].
const SHARE_BYTES: usize = 2 + 32 + 16 + 32;
/// Bytes of a sealed [`GuardianShare`].
pub const SEALED_SHARE_BYTES: usize = SHARE_BYTES + seal::OVERHEAD;

/// Who a member's guardians are, from now on: the whole list. Taking a share away and adding one are rules of their own
/// (`charter`).
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SetGuardians {
    /// [`TraceKey::recovery`] of the member.
    pub name: RecoveryName,
    /// How many must approve.
    pub need: u8,
    /// Public halves of the shares, each once; at most [`limits::GUARDIANS`]. None: recovery ends.
    pub guardians: Vec<DeviceKey>,
}

/// A guardian says that a new device is the member's. Worth nothing for any other device, and after its end.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Approval {
    /// Digest of the roster.
    pub commons: Digest,
    /// Whose recovery.
    pub name: RecoveryName,
    /// The new device.
    pub device: DeviceKey,
    /// Public half of the share that signs.
    pub by: DeviceKey,
    /// No recovery begins with it later.
    pub expires_at: UnixSeconds,
}

impl Message for Approval {
    const DOMAIN: &'static str = "trust-commons/v1/guardian-approval";
    const NAME: &'static str = "guardian's approval";
    const LIMIT: usize = 32 + 16 + 32 + 32 + 8;
}

/// A new device asks guardians for their approval; it travels as a file or a code, and is signed by that device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Plea {
    /// Digest of the roster.
    pub commons: Digest,
    /// The new device, and who signs.
    pub device: DeviceKey,
    /// When it was made.
    pub at: UnixSeconds,
}

impl Message for Plea {
    const DOMAIN: &'static str = "trust-commons/v1/recovery-plea";
    const NAME: &'static str = "request for approval";
    const LIMIT: usize = 32 + 32 + 8;
}

/// A new device, which signs, asks to become the member's.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryStart {
    /// Whose recovery.
    pub name: RecoveryName,
    /// Of different guardians; at most [`limits::GUARDIANS`].
    pub approvals: Vec<Signed<Approval>>,
    /// HPKE key (X25519) of the new device: what the nodes give out at the end is sealed to it.
    pub reply_key: [u8; 32],
    /// A fresh sample, to be compared with the member's record. Without it more guardians and more time are needed.
    pub submission: Option<Submission>,
}

/// Why a recovery did not begin. The member sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RecoveryFault {
    /// Too few guardians have approved.
    TooFew {
        /// Valid approvals.
        have: u8,
        /// Needed.
        need: u8,
    },
    /// An approval is not by a guardian who counts: made up, of another member, or of one who was replaced.
    NotAGuardian {
        /// Which approval, from 0.
        approval: u8,
    },
    /// A guardian's approval comes twice.
    Repeated {
        /// Which approval, from 0.
        approval: u8,
    },
    /// An approval has expired.
    Expired {
        /// Which approval, from 0.
        approval: u8,
    },
    /// An approval is altered, or for another device, member or commons.
    Altered {
        /// Which approval, from 0.
        approval: u8,
    },
    /// The sample does not match the member's record.
    NoMatch,
    /// What was sent is not a template; nothing was compared.
    InvalidTemplate,
}

impl RecoveryFault {
    /// In kebab-case, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooFew { .. } => "too-few-approvals",
            Self::NotAGuardian { .. } => "not-a-guardian",
            Self::Repeated { .. } => "approval-repeated",
            Self::Expired { .. } => "approval-expired",
            Self::Altered { .. } => "approval-altered",
            Self::NoMatch => "no-match",
            Self::InvalidTemplate => "invalid-template",
        }
    }
    /// The approval that is wrong.
    pub fn approval(self) -> Option<u8> {
        match self {
            Self::NotAGuardian { approval }
            | Self::Repeated { approval }
            | Self::Expired { approval }
            | Self::Altered { approval } => Some(approval),
            Self::TooFew { .. } | Self::NoMatch | Self::InvalidTemplate => None,
        }
    }
}

/// One guardian's share as the nodes keep it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Guardian {
    /// Public half.
    pub key: DeviceKey,
    /// Counts from here.
    pub from: UnixSeconds,
    /// Was taken away, and counts no more from here.
    pub until: Option<UnixSeconds>,
}

/// A member's guardians as the nodes keep them.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Guarding {
    /// Counts the member's changes, from 1.
    pub version: u32,
    /// How many must approve.
    pub need: u8,
    /// Another number, from some time on.
    pub next_need: Option<(u8, UnixSeconds)>,
    /// At most twice [`limits::GUARDIANS`].
    pub guardians: Vec<Guardian>,
}

impl Guarding {
    /// How many must approve at `now`.
    pub fn need_at(&self, now: UnixSeconds) -> u8 {
        match self.next_need {
            Some((need, from)) if from <= now => need,
            _ => self.need,
        }
    }
    /// The shares that count at `now`.
    pub fn counting(&self, now: UnixSeconds) -> impl Iterator<Item = &DeviceKey> {
        let counts = move |guardian: &&Guardian| guardian.from <= now && guardian.until.is_none_or(|until| now < until);
        self.guardians.iter().filter(counts).map(|guardian| &guardian.key)
    }
}

/// Where a recovery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RecoveryState {
    /// The old device has time to say no; then the new one may finish.
    Waiting,
    /// The old device said no.
    Vetoed,
    /// The new device is the member's.
    Finished,
    /// Another recovery came first, or the time to finish it has passed.
    Over,
}

impl RecoveryState {
    /// Plain name, for JSON and people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Vetoed => "vetoed",
            Self::Finished => "finished",
            Self::Over => "over",
        }
    }
}

/// A recovery as a node knows it. Named by the operation that began it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryStatement {
    /// Which.
    pub recovery: OperationId,
    /// The new device.
    pub device: DeviceKey,
    /// How many guardians approved.
    pub approvals: u8,
    /// Whether a sample was compared, and matched.
    pub compared: bool,
    /// Whether the old device can say no.
    pub can_veto: bool,
    /// When it began.
    pub since: UnixSeconds,
    /// From when on it can be finished.
    pub opens_at: UnixSeconds,
    /// Until when.
    pub closes_at: UnixSeconds,
    /// Where it stands.
    pub state: RecoveryState,
}

/// What a node knows of a member's guardians and recoveries: for the member, and for who knows the recovery's name.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GuardedStatement {
    /// Whose recovery.
    pub name: RecoveryName,
    /// The guardians.
    pub guarding: Guarding,
    /// Recoveries that wait, and those that ended lately; newest first.
    pub recoveries: Vec<RecoveryStatement>,
}

/// What a node gives to the device of a member who recovered, sealed to the key that the recovery began with.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Released {
    /// Who the device now is.
    pub member: MemberId,
    /// The key that marks the member's log entries and makes their names, as before.
    pub trace: Option<TraceKey>,
    /// This node's share of the secret behind the member's personas, if the membership is bound to one. Any two give it back.
    pub share: Option<SecretShare>,
}

/// What a guardian holds: sealed to the guardian, it says neither for whom nor anything about a secret of theirs.
#[derive(Clone, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct GuardianShare {
    version: u16,
    #[zeroize(skip)]
    commons: Digest,
    #[zeroize(skip)]
    name: RecoveryName,
    secret: [u8; 32],
}

impl std::fmt::Debug for GuardianShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuardianShare(<redacted>)")
    }
}

impl GuardianShare {
    /// A new share from 32 fresh random bytes.
    pub fn new(commons: Digest, name: RecoveryName, random: &[u8; 32]) -> Self {
        let secret = Digest::of("trust-commons/v1/guardian-share", &[random]).0;
        Self { version: SHARE_VERSION, commons, name, secret }
    }
    /// The commons it is of.
    pub fn commons(&self) -> &Digest {
        &self.commons
    }
    /// Whose recovery it is for. A random-looking name: it tells the guardian nothing until the person comes.
    pub fn name(&self) -> &RecoveryName {
        &self.name
    }
    /// What the nodes keep.
    pub fn public(&self) -> DeviceKey {
        public_key(&ed25519_dalek::SigningKey::from_bytes(&self.secret))
    }
    /// Approves a new device until `expires_at`.
    pub fn approve(&self, device: DeviceKey, expires_at: UnixSeconds) -> Signed<Approval> {
        let key = ed25519_dalek::SigningKey::from_bytes(&self.secret);
        let approval = Approval { commons: self.commons, name: self.name, device, by: public_key(&key), expires_at };
        Signed::new(approval, &key)
    }
    /// Seals it to a guardian.
    ///
    /// # Errors
    /// [`Error::BadSeal`] when `guardian` is no key.
    pub fn seal<R: rand_core::CryptoRng>(&self, guardian: &[u8; 32], rng: &mut R) -> Result<Vec<u8>, Error> {
        let plain = zeroize::Zeroizing::new(crate::encode(self));
        seal::seal(guardian, seal::GUARDIAN, &Digest([0; 32]), &plain, rng)
    }
    /// Opens what [`Self::seal`] made.
    ///
    /// # Errors
    /// [`Error::BadSeal`]; [`Error::Version`], [`Error::TooLarge`], [`Error::Malformed`].
    pub fn open(key: &SealKey, sealed: &[u8]) -> Result<Self, Error> {
        if sealed.len() > SEALED_SHARE_BYTES {
            return Err(Error::TooLarge { what: "guardian's share", got: sealed.len(), limit: SEALED_SHARE_BYTES });
        }
        let plain = zeroize::Zeroizing::new(seal::open(key, seal::GUARDIAN, &Digest([0; 32]), sealed)?);
        let share: Self = crate::decode("guardian's share", &plain, SHARE_BYTES)?;
        match share.version == SHARE_VERSION {
            true => Ok(share),
            false => Err(Error::Version { what: "guardian's share", got: share.version, known: SHARE_VERSION }),
        }
    }
}

/// The name that people pass on: `guardian:` and the key with a checksum, in base64url.
const CODE: &str = "guardian:";

/// A guardian's public key as text that can be shown, printed and read aloud in a code.
pub fn guardian_code(key: &[u8; 32]) -> String {
    let mut bytes = key.to_vec();
    bytes.extend_from_slice(&check_bytes(key));
    format!("{CODE}{}", crate::api::to_base64(&bytes))
}

/// Reads [`guardian_code`]'s text.
///
/// # Errors
/// [`Error::BadId`] when a letter is wrong or missing.
pub fn read_guardian_code(text: &str) -> Result<[u8; 32], Error> {
    let bad = Error::BadId { what: "guardian's code", rule: "copy all of it, from `guardian:` on" };
    let body = text.trim().strip_prefix(CODE).ok_or_else(|| bad.clone())?;
    if body.len() > limits::GUARDIAN_CODE_CHARS {
        return Err(bad);
    }
    let bytes = crate::api::from_base64("guardian's code", body).map_err(|_| bad.clone())?;
    let (key, check) = bytes.split_first_chunk::<32>().ok_or_else(|| bad.clone())?;
    if check == check_bytes(key) { Ok(*key) } else { Err(bad) }
}

fn check_bytes(key: &[u8; 32]) -> [u8; 4] {
    let [a, b, c, d, ..] = Digest::of("trust-commons/v1/guardian-code", &[key]).0;
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;

    fn share() -> GuardianShare {
        GuardianShare::new(Digest([1; 32]), RecoveryName([2; 16]), &[3; 32])
    }

    #[test]
    fn a_sealed_share_opens_for_its_guardian_alone_and_says_nothing_in_itself() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (guardian, other) = (SealKey::from_random(&[4; 32]), SealKey::from_random(&[5; 32]));
        let sealed = share().seal(&guardian.public().unwrap(), &mut rng).unwrap();
        assert_eq!(sealed.len(), SEALED_SHARE_BYTES);
        let contains = |piece: &[u8]| sealed.windows(piece.len()).any(|window| window == piece);
        assert!(!contains(&[1; 8]) && !contains(&[2; 8]) && !contains(&share().secret[..8]), "a file alone says nothing");
        let opened = GuardianShare::open(&guardian, &sealed).unwrap();
        assert_eq!((opened.public(), opened.name()), (share().public(), share().name()));
        assert_eq!(GuardianShare::open(&other, &sealed).unwrap_err(), Error::BadSeal);
        for position in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert!(GuardianShare::open(&guardian, &altered).is_err(), "byte {position}");
        }
        let long = [sealed, vec![0]].concat();
        assert!(matches!(GuardianShare::open(&guardian, &long), Err(Error::TooLarge { .. })));
        assert_eq!(format!("{:?}", share()), "GuardianShare(<redacted>)");
    }

    #[test]
    fn an_approval_is_for_one_device_and_by_one_share() {
        let approval = share().approve(DeviceKey([7; 32]), 99);
        approval.verify(&share().public()).unwrap();
        let message = Approval { device: DeviceKey([8; 32]), ..approval.message.clone() };
        let moved = Signed { message, ..approval.clone() };
        assert!(moved.verify(&share().public()).is_err());
        let bytes = approval.to_bytes();
        assert_eq!(bytes.len(), Approval::LIMIT + 64);
        assert_eq!(Signed::<Approval>::from_bytes(&bytes).unwrap(), approval);
        assert!(Signed::<Approval>::from_bytes(&bytes[1..]).is_err());
    }

    #[test]
    fn a_code_with_a_wrong_letter_is_noticed() {
        let key = [9; 32];
        let code = guardian_code(&key);
        assert_eq!(read_guardian_code(&code), Ok(key));
        assert_eq!(read_guardian_code(&format!("  {code}\n")), Ok(key));
        for (place, letter) in code.char_indices() {
            let mut altered = code.clone();
            altered.replace_range(place..=place, if letter == 'A' { "B" } else { "A" });
            assert_ne!(read_guardian_code(&altered), Ok(key), "letter {place}");
            assert!(read_guardian_code(&code[..place]).is_err());
        }
        assert!(read_guardian_code(&format!("{code}{}", "A".repeat(100_000))).is_err());
    }

    #[test]
    fn shares_count_from_their_beginning_to_their_end() {
        let guardian = |n: u8, from, until| Guardian { key: DeviceKey([n; 32]), from, until };
        let guardians = vec![guardian(1, 0, None), guardian(2, 10, None), guardian(3, 0, Some(10))];
        let guarding = Guarding { version: 1, need: 2, next_need: Some((1, 20)), guardians };
        let at = |now| (guarding.counting(now).map(|key| key.0[0]).collect::<Vec<_>>(), guarding.need_at(now));
        assert_eq!(at(9), (vec![1, 3], 2));
        assert_eq!(at(10), (vec![1, 2], 2));
        assert_eq!(at(20), (vec![1, 2], 1));
    }
}
