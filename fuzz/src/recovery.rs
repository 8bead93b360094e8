//! Targets of recovery and of claims: what guardians, members and parties pass to one another, and what nodes keep of it.

use client::circle::{Circle, Guarded, Refused};
use client::claim::{read, to_text, vouch};
use client::{MemberKey, PartyKey, guardian};
use ed25519_dalek::SigningKey;
use types::persona::ClaimKind;
use types::recovery::{Guardian, GuardianShare, Guarding, guardian_code, read_guardian_code};
use types::seal::SealKey;
use types::sign::public_key;
use types::{DeviceKey, Digest, PartyId, RecoveryName};

use super::one_encoding;

const COMMONS: Digest = Digest([1; 32]);

fn guardian_key() -> SealKey {
    SealKey::from_random(&[3; 32])
}

fn device() -> SigningKey {
    SigningKey::from_bytes(&[6; 32])
}

fn member() -> MemberKey {
    MemberKey::from_random(&[7; 32])
}

fn clinic() -> PartyKey {
    PartyKey::from_random(PartyId::new("clinic").expect("a name"), &[8; 32])
}

/// Whatever somebody says is a guardian's code, a share, a request for approval, an approval, or a party's claim; and what lies in the
/// files of guardians and members.
pub fn guardian_text(bytes: &[u8]) {
    let _ = Circle::open(&member(), Some(bytes));
    let _ = Refused::open(&member(), Some(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = read_guardian_code(text) {
        assert_eq!(read_guardian_code(&guardian_code(&key)), Ok(key));
    }
    let _ = Guarded::read(&member(), text);
    if let Ok(share) = guardian::accept(&guardian_key(), text) {
        assert_eq!(share.public(), share.approve(DeviceKey([1; 32]), 1).message.by);
    }
    if let Ok(plea) = guardian::read_plea(text) {
        assert_eq!(plea.device, public_key(&device()), "nobody else's key can have signed");
    }
    if let Ok(approval) = guardian::read_approval(&COMMONS, &public_key(&device()), 50, text) {
        assert!(approval.verify(&approval.message.by).is_ok());
    }
    let listed = |_: &types::persona::Claim| Some(clinic().public());
    if let Ok(claim) = read(text, &COMMONS, &public_key(&device()), listed, 50) {
        assert!(claim.verify(&clinic().public()).is_ok());
    }
}

/// A member's guardians, as they lie in a node's database.
pub fn guarding(bytes: &[u8]) {
    if let Ok(guarding) = types::decode::<Guarding>("guardians", bytes, 4096) {
        one_encoding(bytes, &types::encode(&guarding));
        let _ = (guarding.need_at(1), guarding.counting(1).count());
    }
}

pub(super) fn texts() -> Vec<Vec<u8>> {
    let key = guardian_key().public().expect("a key");
    let invitations = guardian::invite(&COMMONS, RecoveryName([2; 16]), &[key], &[5; 32]).expect("an invitation");
    let share = invitations.first().expect("one").text.clone();
    let plea = guardian::plead(&COMMONS, &device(), 7);
    let opened = guardian::accept(&guardian_key(), &share).expect("it is ours");
    let approval = guardian::approve(&opened, &guardian::read_plea(&plea).expect("a plea"), 100).expect("an approval");
    let claim = to_text(&vouch(&clinic(), &COMMONS, public_key(&device()), (ClaimKind::AgeBand, "18-29"), 100));
    let own = member().guardian().public().expect("a key");
    let mine = guardian::invite(&COMMONS, RecoveryName([2; 16]), &[own], &[5; 32]).expect("an invitation");
    let text = &mine.first().expect("one").text;
    let (_, _, guarded) = Guarded::accept(&member(), text, "amina", &[8; 32]).expect("it is ours");
    let circle = Circle::default().seal(&member(), &[9; 32]).expect("a list of nobody");
    let refused = Refused::default().with(DeviceKey([1; 32]), &member(), &[9; 32]).expect("a refusal");
    let texts = [guardian_code(&key), share, plea, approval, guarded, claim].into_iter().map(String::into_bytes);
    texts.chain([circle, refused]).collect()
}

pub(super) fn guardings() -> Vec<Vec<u8>> {
    let guardian = |n: u8, until| Guardian { key: DeviceKey([n; 32]), from: 5, until };
    let guardians = vec![guardian(1, None), guardian(2, Some(9))];
    vec![types::encode(&Guarding { version: 1, need: 1, next_need: Some((2, 7)), guardians })]
}

/// A share for a request that starts a recovery.
pub(super) fn share() -> GuardianShare {
    GuardianShare::new(COMMONS, RecoveryName([2; 16]), &[4; 32])
}
