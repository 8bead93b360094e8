//! The files of guardians and recovery: a member's own words for their guardians, the shares that a guardian keeps for others, the
//! approvals that a new device has gathered. The command line and the page keep the same bytes.
//!
//! | file | sealed to | says |
//! |---|---|---|
//! | [`Circle`] | the member's own key | who the guardians are; the nodes know shares, not people |
//! | [`Guarded`] | the guardian's key, its label to the guardian's own files | for whom a share is |
//! | [`Refused`] | the guardian's own key | which devices this guardian said no to |
//! | [`Recovering`] | nobody (ids only) | which recovery this device may finish |
//!
//! **Out of scope**: where they lie; what guardians and devices pass to one another ([`crate::guardian`]).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use types::api::{from_base64, to_base64};
use types::recovery::{Approval, GuardianShare, SetGuardians, read_guardian_code};
use types::sign::Signed;
use types::{DeviceKey, Digest, OperationId, RecoveryName, UnixSeconds, limits};

use crate::guardian::{self, Invitation, TEXT_BYTES, invite};
use crate::own::{open_own, seal_own};
use crate::{Error, MemberKey};

/// Bytes of a guarded share's file.
pub const GUARDED_BYTES: usize = 2 * TEXT_BYTES;
/// Characters of a name for a guardian.
const NAME: usize = 40;
/// Devices that a guardian remembers to have refused; who refuses more does not remember either.
const REFUSED: usize = 1000;

/// A guardian as the member's device knows them.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Named {
    /// The member's word.
    pub name: String,
    /// HPKE key of the guardian.
    pub guardian: [u8; 32],
    /// Public half of the share that they hold: what the nodes know.
    pub share: DeviceKey,
}

/// Somebody who is to become a guardian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// The member's word.
    pub name: String,
    /// HPKE key of the guardian.
    pub guardian: [u8; 32],
}

impl Newcomer {
    /// Whether this can be the member's word for a guardian: it also names a file.
    pub fn is_name(name: &str) -> bool {
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        !name.is_empty() && name.chars().count() <= NAME && plain
    }

    /// From a guardian's code, `guardian:...`.
    ///
    /// # Errors
    /// [`Error::BadFile`], [`Error::Types`].
    pub fn new(name: &str, code: &str) -> Result<Self, Error> {
        if !Self::is_name(name) {
            return Err(bad("name for a guardian", "1 to 40 letters, digits, - and _ make one"));
        }
        Ok(Self { name: name.to_owned(), guardian: read_guardian_code(code)? })
    }
}

/// A member's guardians, by the member's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circle {
    named: Vec<Named>,
}

impl Circle {
    /// Reads the file; no file is nobody.
    ///
    /// # Errors
    /// [`Error::BadFile`], [`Error::Types`].
    pub fn open(key: &MemberKey, sealed: Option<&[u8]>) -> Result<Self, Error> {
        let Some(sealed) = sealed else { return Ok(Self::default()) };
        let named = types::decode("list of guardians", &open_own(&key.files(), sealed)?, limits::GUARDIANS * 256)?;
        Ok(Self { named })
    }

    /// The file. `random` must be 32 fresh bytes.
    ///
    /// # Errors
    /// As [`seal_own`].
    pub fn seal(&self, key: &MemberKey, random: &[u8; 32]) -> Result<Vec<u8>, Error> {
        seal_own(&key.files(), &types::encode(&self.named), random)
    }

    /// Who they are.
    pub fn named(&self) -> &[Named] {
        &self.named
    }

    /// Who holds this share.
    pub fn name_of(&self, share: &DeviceKey) -> Option<&str> {
        self.named.iter().find(|known| known.share == *share).map(|known| known.name.as_str())
    }

    /// All but these. `None` when one of them is not here.
    pub fn without(&self, names: &[String]) -> Option<Self> {
        let known = |name: &String| self.named.iter().any(|known| known.name == *name);
        let rest = || self.named.iter().filter(|known| !names.contains(&known.name)).cloned().collect();
        names.iter().all(known).then(|| Self { named: rest() })
    }

    /// Makes a share for each newcomer, and gives each one's name and text. The texts must be kept before the nodes hear of them: a
    /// share that only they know would be lost.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a name that is taken, [`Error::Types`].
    pub fn invite(
        &mut self,
        commons: &Digest,
        name: RecoveryName,
        newcomers: Vec<Newcomer>,
        random: &[u8; 32],
    ) -> Result<Vec<(String, String)>, Error> {
        let keys: Vec<[u8; 32]> = newcomers.iter().map(|newcomer| newcomer.guardian).collect();
        let mut texts = Vec::new();
        for (newcomer, Invitation { share, text }) in newcomers.into_iter().zip(invite(commons, name, &keys, random)?) {
            if self.named.iter().any(|known| known.name == newcomer.name) {
                return Err(bad("name for a new guardian", "you have a guardian of this name already"));
            }
            texts.push((newcomer.name.clone(), text));
            self.named.push(Named { name: newcomer.name, guardian: newcomer.guardian, share });
        }
        Ok(texts)
    }

    /// What the nodes are told.
    pub fn set(&self, name: RecoveryName, need: u8) -> SetGuardians {
        SetGuardians { name, need, guardians: self.named.iter().map(|known| known.share).collect() }
    }
}

/// A share that a guardian keeps for somebody.
#[derive(Debug)]
pub struct Guarded {
    /// The guardian's own word for whom it is.
    pub label: String,
    /// The share.
    pub share: GuardianShare,
}

impl Guarded {
    /// Opens what a member handed over, and makes the file under which it is kept: name and text. Not even the name says for whom it is.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn accept(key: &MemberKey, text: &str, label: &str, random: &[u8; 32]) -> Result<(Self, String, String), Error> {
        let share = guardian::accept(&key.guardian(), text)?;
        let name: String = Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let sealed = to_base64(&seal_own(&key.files(), label.as_bytes(), random)?);
        Ok((Self { label: label.to_owned(), share }, format!("{name}.share"), format!("{}\n{sealed}\n", text.trim_end())))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn read(key: &MemberKey, text: &str) -> Result<Self, Error> {
        let damaged = || bad("guarded share", "it is damaged");
        if text.len() > GUARDED_BYTES {
            return Err(damaged());
        }
        let (share, label) = text.trim_end().rsplit_once('\n').ok_or_else(damaged)?;
        let label = from_base64("label", label).map_err(|_| damaged())?;
        let label = open_own(&key.files(), &label).map_err(|_| damaged())?;
        let share = guardian::accept(&key.guardian(), share).map_err(|_| damaged())?;
        Ok(Self { label: String::from_utf8_lossy(&label).into_owned(), share })
    }
}

/// Devices to which a guardian said no.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused(Vec<DeviceKey>);

impl Refused {
    /// Reads the file; no file is nobody.
    ///
    /// # Errors
    /// [`Error::BadFile`].
    pub fn open(key: &MemberKey, sealed: Option<&[u8]>) -> Result<Self, Error> {
        let Some(sealed) = sealed else { return Ok(Self::default()) };
        let plain = open_own(&key.files(), sealed)?;
        Ok(Self(plain.as_chunks::<32>().0.iter().map(|key| DeviceKey(*key)).collect()))
    }

    /// The file with this device in it.
    ///
    /// # Errors
    /// As [`seal_own`].
    pub fn with(mut self, device: DeviceKey, key: &MemberKey, random: &[u8; 32]) -> Result<Vec<u8>, Error> {
        if !self.contains(&device) {
            self.0.push(device);
        }
        let over = self.0.len().saturating_sub(REFUSED);
        let bytes: Vec<u8> = self.0.iter().skip(over).flat_map(|device| device.0).collect();
        seal_own(&key.files(), &bytes, random)
    }

    /// Was this device refused?
    pub fn contains(&self, device: &DeviceKey) -> bool {
        self.0.contains(device)
    }
}

/// The recovery to this device, which it may finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovering {
    /// Which.
    pub recovery: OperationId,
    /// Of whom.
    pub name: RecoveryName,
}

/// Approvals for one device, all of one member, each guardian's once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// Whose recovery.
    pub name: RecoveryName,
    /// With the places of their texts.
    pub approvals: Vec<(usize, Signed<Approval>)>,
    /// Places of texts by a guardian who has one here already; they count once.
    pub repeated: Vec<usize>,
}

impl Gathered {
    /// Reads the guardians' texts.
    ///
    /// # Errors
    /// The place of the text that is none for this device, or of another member than the first, and why; with no text, place 0.
    pub fn of(commons: &Digest, device: &DeviceKey, now: UnixSeconds, texts: &[String]) -> Result<Self, (usize, Error)> {
        let mut gathered: Option<Self> = None;
        for (place, text) in texts.iter().enumerate() {
            let approval = guardian::read_approval(commons, device, now, text).map_err(|error| (place, error))?;
            let all = gathered.get_or_insert_with(|| Self {
                name: approval.message.name,
                approvals: Vec::new(),
                repeated: Vec::new(),
            });
            if approval.message.name != all.name {
                return Err((
                    place,
                    bad("guardian's approval of the same person", "it is for another person than the first one"),
                ));
            }
            match all.approvals.iter().any(|(_, known)| known.message.by == approval.message.by) {
                true => all.repeated.push(place),
                false => all.approvals.push((place, approval)),
            }
        }
        gathered.ok_or((0, bad("guardian's approval", "there is none")))
    }
}

/// A device's number, to be compared by voice: both sides show the same.
pub fn number(device: &DeviceKey) -> String {
    let Digest([a, b, c, d, e, f, g, h, ..]) = Digest::of("trust-commons/v1/device-number", &[&device.0]);
    let digits = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % 1_000_000_000_000;
    let text = format!("{digits:012}");
    let (one, rest) = text.split_at(4);
    let (two, three) = rest.split_at(4);
    format!("{one} {two} {three}")
}

fn bad(what: &'static str, reason: &'static str) -> Error {
    Error::BadFile { what, reason }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use types::recovery::guardian_code;
    use types::sign::public_key;

    use super::*;
    use crate::guardian::{approve, plead, read_plea};

    const COMMONS: Digest = Digest([1; 32]);
    const NAME: RecoveryName = RecoveryName([2; 16]);

    fn newcomer(name: &str, key: &MemberKey) -> Newcomer {
        Newcomer::new(name, &guardian_code(&key.guardian().public().unwrap())).unwrap()
    }

    #[test]
    fn a_circle_is_named_kept_and_made_smaller() {
        let (member, bo, carla) = (key(1), key(2), key(3));
        let mut circle = Circle::open(&member, None).unwrap();
        let texts = circle.invite(&COMMONS, NAME, vec![newcomer("bo", &bo), newcomer("carla", &carla)], &[9; 32]).unwrap();
        assert_eq!(texts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["bo", "carla"]);
        assert!(circle.clone().invite(&COMMONS, NAME, vec![newcomer("bo", &carla)], &[8; 32]).is_err(), "taken");
        let file = circle.seal(&member, &[7; 32]).unwrap();
        assert_eq!(Circle::open(&member, Some(&file)).unwrap(), circle);
        assert!(Circle::open(&bo, Some(&file)).is_err(), "for the member alone");
        assert!(!file.windows(5).any(|bytes| bytes == b"carla"));
        let share = circle.named()[0].share;
        assert_eq!(circle.name_of(&share), Some("bo"));
        let fewer = circle.without(&["bo".to_owned()]).unwrap();
        assert_eq!((fewer.set(NAME, 1).guardians.len(), fewer.name_of(&share)), (1, None));
        assert!(circle.without(&["dana".to_owned()]).is_none());
        assert!(Newcomer::new("../x", "guardian:").is_err());
    }

    #[test]
    fn a_guarded_share_says_to_its_guardian_alone_for_whom_it_is() {
        let (member, bo) = (key(1), key(2));
        let _ = member;
        let (_, text) = Circle::default().invite(&COMMONS, NAME, vec![newcomer("bo", &bo)], &[9; 32]).unwrap().remove(0);
        let (guarded, name, file) = Guarded::accept(&bo, &text, "amina", &[4; 32]).unwrap();
        assert!(name.ends_with(".share") && !file.contains("amina"));
        let read = Guarded::read(&bo, &file).unwrap();
        assert_eq!((read.label.as_str(), read.share.public()), ("amina", guarded.share.public()));
        assert!(Guarded::read(&key(3), &file).is_err());
        assert!(Guarded::read(&bo, &"x".repeat(GUARDED_BYTES + 1)).is_err());
    }

    #[test]
    fn approvals_are_of_one_person_for_one_device_and_each_guardian_counts_once() {
        let (bo, carla) = (key(2), key(3));
        let mut circle = Circle::default();
        let texts = circle.invite(&COMMONS, NAME, vec![newcomer("bo", &bo), newcomer("carla", &carla)], &[9; 32]).unwrap();
        let device = SigningKey::from_bytes(&[5; 32]);
        let own = public_key(&device);
        let plea = read_plea(&plead(&COMMONS, &device, 7)).unwrap();
        let yes =
            |key: &MemberKey, text: &str| approve(&guardian::accept(&key.guardian(), text).unwrap(), &plea, 100).unwrap();
        let (one, two) = (yes(&bo, &texts[0].1), yes(&carla, &texts[1].1));
        let gathered = Gathered::of(&COMMONS, &own, 50, &[one.clone(), two.clone(), one.clone()]).unwrap();
        assert_eq!((gathered.approvals.len(), gathered.repeated, gathered.name), (2, vec![2], NAME));
        let elsewhere = Circle::default()
            .invite(&COMMONS, RecoveryName([6; 16]), vec![newcomer("bo", &bo)], &[8; 32])
            .unwrap()
            .remove(0)
            .1;
        let other = yes(&bo, &elsewhere);
        assert_eq!(Gathered::of(&COMMONS, &own, 50, &[one.clone(), other]).unwrap_err().0, 1);
        assert_eq!(Gathered::of(&COMMONS, &own, 101, &[two, one]).unwrap_err().0, 0, "over");
        assert!(Gathered::of(&COMMONS, &own, 50, &[]).is_err());
    }

    #[test]
    fn refusals_are_remembered_and_numbers_are_twelve_digits() {
        let bo = key(2);
        let file = Refused::open(&bo, None).unwrap().with(DeviceKey([4; 32]), &bo, &[1; 32]).unwrap();
        let refused = Refused::open(&bo, Some(&file)).unwrap();
        assert!(refused.contains(&DeviceKey([4; 32])) && !refused.contains(&DeviceKey([5; 32])));
        let number = number(&DeviceKey([4; 32]));
        assert_eq!(number.chars().filter(char::is_ascii_digit).count(), 12, "{number}");
    }

    fn key(seed: u8) -> MemberKey {
        MemberKey::from_random(&[seed; 32])
    }
}
