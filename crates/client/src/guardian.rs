//! Guardians and recovery, from every side: what passes between a member and guardians as files or codes, and what the nodes give
//! back at the end.
//!
//! | text | from | to | says |
//! |---|---|---|---|
//! | code (`guardian:...`) | guardian | member | to which key a share is sealed |
//! | share | member | guardian | nothing, to anybody but the guardian's key |
//! | plea | a new device | guardians | which device asks for approval |
//! | approval | guardian | the new device | that a share stands by this device, for a while |
//!
//! **In scope**: making and reading them, checking what can be checked without the nodes. **Out of scope**: files (`cli`); whether
//! approvals are enough (the nodes).

use std::time::Duration;

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use types::api::{from_base64, to_base64};
use types::message::Statement;
use types::recovery::{Approval, GuardianShare, Plea, Released};
use types::seal::SealKey;
use types::sign::{Message, Signed, public_key};
use types::{DeviceKey, Digest, NodeId, OperationId, RecoveryName, UnixSeconds};
use zeroize::Zeroizing;

use crate::error::{Complaint, Error, Fault};
use crate::platform::Platform;
use crate::request::Question;
use crate::session::Client;
use crate::transport::Transport;

/// Bytes of any of these texts.
pub const TEXT_BYTES: usize = 1024;

const SHARE: &str = "trust-commons guardian's share 1";
const PLEA: &str = "trust-commons request for approval 1";
const APPROVAL: &str = "trust-commons guardian's approval 1";

/// A share for one guardian.
pub struct Invitation {
    /// Public half, for the nodes and for the member's own list.
    pub share: DeviceKey,
    /// What the guardian gets.
    pub text: String,
}

/// Makes a share for each of `guardians` (HPKE public keys). `random` must be 32 fresh bytes.
///
/// # Errors
/// [`Error::Types`] when a guardian's key is no key.
pub fn invite(
    commons: &Digest,
    name: RecoveryName,
    guardians: &[[u8; 32]],
    random: &[u8; 32],
) -> Result<Vec<Invitation>, Error> {
    let mut rng = ChaCha20Rng::from_seed(*random);
    let mut one = |guardian: &[u8; 32]| {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        let share = GuardianShare::new(*commons, name, &seed);
        let sealed = share.seal(guardian, &mut rng)?;
        Ok(Invitation { share: share.public(), text: armour(SHARE, &sealed) })
    };
    guardians.iter().map(&mut one).collect()
}

/// A guardian opens a share.
///
/// # Errors
/// [`Error::BadFile`] when it is none, or sealed to another key.
pub fn accept(key: &SealKey, text: &str) -> Result<GuardianShare, Error> {
    let sealed = disarm(SHARE, "guardian's share", text)?;
    GuardianShare::open(key, &sealed).map_err(|_| Error::BadFile {
        what: "guardian's share",
        reason: "it is sealed to another guardian's key, or altered",
    })
}

/// A new device asks guardians for approval.
pub fn plead(commons: &Digest, device: &SigningKey, at: UnixSeconds) -> String {
    let plea = Plea { commons: *commons, device: public_key(device), at };
    armour(PLEA, &Signed::new(plea, device).to_bytes())
}

/// Reads a plea. What it says is checked to be said by the device itself; who holds the device only the guardian can know.
///
/// # Errors
/// [`Error::BadFile`].
pub fn read_plea(text: &str) -> Result<Plea, Error> {
    let signed: Signed<Plea> = read(PLEA, text)?;
    let bad = Error::BadFile { what: Plea::NAME, reason: "its signature is not valid" };
    signed.verify(&signed.message.device).map_err(|_| bad)?;
    Ok(signed.message)
}

/// A guardian approves the device of a plea until `expires_at`.
///
/// # Errors
/// [`Error::BadFile`] when share and plea are of different commons.
pub fn approve(share: &GuardianShare, plea: &Plea, expires_at: UnixSeconds) -> Result<String, Error> {
    if *share.commons() != plea.commons {
        return Err(Error::BadFile { what: Plea::NAME, reason: "it is of another commons than the share" });
    }
    Ok(armour(APPROVAL, &share.approve(plea.device, expires_at).to_bytes()))
}

/// Reads an approval for `device`, and checks all but whether its guardian counts: the nodes know that.
///
/// # Errors
/// [`Error::BadFile`].
pub fn read_approval(commons: &Digest, device: &DeviceKey, now: UnixSeconds, text: &str) -> Result<Signed<Approval>, Error> {
    let signed: Signed<Approval> = read(APPROVAL, text)?;
    let bad = |reason| Error::BadFile { what: Approval::NAME, reason };
    let approval = &signed.message;
    signed.verify(&approval.by).map_err(|_| bad("its signature is not valid"))?;
    if approval.commons != *commons {
        return Err(bad("it is of another commons"));
    }
    if approval.device != *device {
        return Err(bad("it is for another device"));
    }
    if approval.expires_at < now {
        return Err(bad("it has expired"));
    }
    Ok(signed)
}

pub(crate) fn armour(first_line: &str, bytes: &[u8]) -> String {
    format!("{first_line}\n{}\n", to_base64(bytes))
}

fn disarm(first_line: &str, what: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    let bad = |reason| Error::BadFile { what, reason };
    if text.len() > TEXT_BYTES {
        return Err(bad("it is too large"));
    }
    let body = text.trim().strip_prefix(first_line).ok_or_else(|| bad("it does not begin like one"))?;
    from_base64(what, body.trim()).map_err(|_| bad("a letter is wrong or missing"))
}

pub(crate) fn read<M: Message>(first_line: &str, text: &str) -> Result<Signed<M>, Error> {
    let bytes = disarm(first_line, M::NAME, text)?;
    Signed::from_bytes(&bytes).map_err(|_| Error::BadFile { what: M::NAME, reason: "a letter is wrong or missing" })
}

/// The HPKE key to which the nodes seal what they give to a device that recovered. It follows from the device's own key.
pub fn release_key(device: &SigningKey) -> SealKey {
    let secret = Zeroizing::new(device.to_bytes());
    SealKey::from_random(&Digest::of("trust-commons/v1/release-key", &[&*secret]).0)
}

impl<T: Transport, P: Platform> Client<T, P> {
    /// What at least two nodes kept for the member of `device`, which `recovery` made theirs, and say alike. A node may refuse for a moment, until
    /// it has done what the others have: it is asked again for the time that other answers are waited for.
    ///
    /// # Errors
    /// [`Error::Misbehaved`] for a node that says something else than the other two, or when two differ; [`Error::Unavailable`],
    /// [`Error::TryAgain`], [`Error::Refused`] when fewer than two answer.
    pub async fn release(&self, device: &SigningKey, recovery: OperationId) -> Result<Vec<(NodeId, Released)>, Error> {
        let patience = self.patience();
        let (mut pause, mut waited) = (patience.first_pause, Duration::ZERO);
        loop {
            match self.release_once(device, recovery).await {
                Err(Error::Refused { .. } | Error::TryAgain { .. }) if waited < patience.grace => {
                    self.platform().sleep(pause).await;
                    waited += pause;
                    pause = (pause * 2).min(patience.last_pause);
                }
                done => return done,
            }
        }
    }

    async fn release_once(&self, device: &SigningKey, recovery: OperationId) -> Result<Vec<(NodeId, Released)>, Error> {
        let statements = self.tell(device, Question::Release(recovery)).await?;
        let mut given = Vec::new();
        let mut missing = Vec::new();
        for (node, statement) in NodeId::ALL.into_iter().zip(statements.nodes) {
            match statement {
                Ok(Statement { released: Some(released), .. }) => given.push((node, released)),
                Ok(_) => missing.push(lie(node)),
                Err(error) => missing.push(error),
            }
        }
        let same = |one: &Released, other: &Released| (one.member, &one.trace) == (other.member, &other.trace);
        let twice = |one: &Released| given.iter().filter(|(_, other)| same(one, other)).count() >= 2;
        let agreed = given.iter().find(|(_, one)| twice(one)).map(|(_, one)| one.clone());
        match agreed {
            Some(agreed) => match given.iter().find(|(_, other)| !same(&agreed, other)) {
                Some((node, _)) => Err(lie(*node)),
                None => Ok(given),
            },
            None => Err(match (missing.into_iter().next(), given.first()) {
                (Some(error), _) => error,
                (None, Some((node, _))) => lie(*node),
                (None, None) => Error::Http,
            }),
        }
    }
}

fn lie(node: NodeId) -> Error {
    Error::Misbehaved { complaint: Complaint { node, fault: Fault::WrongOutcome } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMONS: Digest = Digest([1; 32]);
    const NAME: RecoveryName = RecoveryName([2; 16]);

    #[test]
    fn a_share_an_asking_device_and_an_approval_make_the_round() {
        let (guardian, other) = (SealKey::from_random(&[3; 32]), SealKey::from_random(&[4; 32]));
        let keys = [guardian.public().unwrap(), other.public().unwrap()];
        let invitations = invite(&COMMONS, NAME, &keys, &[5; 32]).unwrap();
        let share = accept(&guardian, &invitations[0].text).unwrap();
        assert_eq!((share.public(), share.name()), (invitations[0].share, &NAME));
        assert_ne!(invitations[0].share, invitations[1].share);
        assert!(accept(&other, &invitations[0].text).is_err(), "sealed to one");

        let device = SigningKey::from_bytes(&[6; 32]);
        let plea = read_plea(&plead(&COMMONS, &device, 7)).unwrap();
        assert_eq!((plea.device, plea.at), (public_key(&device), 7));
        let text = approve(&share, &plea, 100).unwrap();
        let approval = read_approval(&COMMONS, &plea.device, 50, &text).unwrap();
        assert_eq!((approval.message.by, approval.message.name), (share.public(), NAME));
        let reason = |device: &DeviceKey, now, commons: &Digest| match read_approval(commons, device, now, &text) {
            Err(Error::BadFile { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(&DeviceKey([8; 32]), 50, &COMMONS), "it is for another device");
        assert_eq!(reason(&plea.device, 101, &COMMONS), "it has expired");
        assert_eq!(reason(&plea.device, 50, &Digest([9; 32])), "it is of another commons");
        let elsewhere = Plea { commons: Digest([9; 32]), ..plea };
        assert!(approve(&share, &elsewhere, 100).is_err());
    }

    #[test]
    fn every_wrong_letter_is_noticed() {
        let guardian = SealKey::from_random(&[3; 32]);
        let share = invite(&COMMONS, NAME, &[guardian.public().unwrap()], &[5; 32]).unwrap().remove(0).text;
        let device = SigningKey::from_bytes(&[6; 32]);
        let plea = plead(&COMMONS, &device, 7);
        let opened = accept(&guardian, &share).unwrap();
        let approval = approve(&opened, &read_plea(&plea).unwrap(), 100).unwrap();
        for (what, text) in [("share", &share), ("plea", &plea), ("approval", &approval)] {
            for (place, letter) in text.trim_end().char_indices() {
                let mut altered = text.clone();
                altered.replace_range(place..=place, if letter == 'A' { "B" } else { "A" });
                let refused = match what {
                    "share" => accept(&guardian, &altered).is_err(),
                    "plea" => read_plea(&altered).is_err(),
                    _ => read_approval(&COMMONS, &public_key(&device), 50, &altered).is_err(),
                };
                assert!(refused, "{what}, letter {place}");
            }
        }
        assert!(accept(&guardian, &format!("{share}{}", "A".repeat(TEXT_BYTES))).is_err());
    }
}
