//! What relying parties vouch for about members, such as an age band: made by the party, kept by the member, brought to the nodes each
//! time that they sign credentials.
//!
//! **In scope**: the text that passes from party to member, and what a member's device checks of it. **Out of scope**: whether the
//! charter lists the claim and the party for it (`charter`; each node asks it by itself).

use types::persona::{Claim, ClaimKind};
use types::sign::{Message as _, Signed};
use types::{DeviceKey, Digest, UnixSeconds};

use crate::guardian::{armour, read as read_armoured};
use crate::{Error, PartyKey};

const FIRST_LINE: &str = "trust-commons claim 1";

/// A party vouches.
pub fn vouch(
    key: &PartyKey,
    commons: &Digest,
    device: DeviceKey,
    (kind, value): (ClaimKind, &str),
    expires_at: UnixSeconds,
) -> Signed<Claim> {
    let (commons, value, party) = (*commons, value.to_owned(), key.id.clone());
    Signed::new(Claim { commons, device, kind, value, party, expires_at }, key.signing())
}

/// As the party hands it to the member.
pub fn to_text(claim: &Signed<Claim>) -> String {
    armour(FIRST_LINE, &claim.to_bytes())
}

/// Reads [`to_text`], and checks what can be checked without the charter. `party` is the key that the charter names.
///
/// # Errors
/// [`Error::BadFile`].
pub fn read(
    text: &str,
    commons: &Digest,
    device: &DeviceKey,
    party: impl Fn(&Claim) -> Option<DeviceKey>,
    now: UnixSeconds,
) -> Result<Signed<Claim>, Error> {
    let signed: Signed<Claim> = read_armoured(FIRST_LINE, text)?;
    let bad = |reason| Error::BadFile { what: Claim::NAME, reason };
    let claim = &signed.message;
    if claim.commons != *commons {
        return Err(bad("it is of another commons"));
    }
    if claim.device != *device {
        return Err(bad("it is about another device"));
    }
    if claim.expires_at < now {
        return Err(bad("it has expired"));
    }
    let key = party(claim).ok_or_else(|| bad("the charter in force lists no such claim by this relying party"))?;
    signed.verify(&key).map_err(|_| bad("its signature is not valid"))?;
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use types::PartyId;
    use types::sign::public_key;

    use super::*;

    #[test]
    fn a_claim_is_for_its_device_its_time_and_its_party() {
        let key = PartyKey::from_random(PartyId::new("clinic").unwrap(), &[8; 32]);
        let (device, commons) = (public_key(&SigningKey::from_bytes(&[1; 32])), Digest([2; 32]));
        let text = to_text(&vouch(&key, &commons, device, (ClaimKind::AgeBand, "18-29"), 100));
        let listed = |_: &Claim| Some(key.public());
        let claim = read(&text, &commons, &device, listed, 100).unwrap();
        assert_eq!((claim.message.kind, claim.message.value.as_str()), (ClaimKind::AgeBand, "18-29"));
        let other = public_key(&SigningKey::from_bytes(&[3; 32]));
        assert!(read(&text, &Digest([4; 32]), &device, listed, 50).is_err());
        assert!(read(&text, &commons, &other, listed, 50).is_err());
        assert!(read(&text, &commons, &device, listed, 101).is_err());
        assert!(read(&text, &commons, &device, |_| None, 50).is_err());
        assert!(read(&text, &commons, &device, |_| Some(other), 50).is_err());
        for (place, letter) in text.trim_end().char_indices() {
            let mut altered = text.clone();
            altered.replace_range(place..=place, if letter == 'A' { "B" } else { "A" });
            assert!(read(&altered, &commons, &device, listed, 50).is_err(), "letter {place}");
        }
    }
}
