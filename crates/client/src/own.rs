//! What a device keeps for its owner alone: sealed to the owner's own key, so that the files need no place of trust.
//!
//! **Trust**: whoever changes such a file can make it unreadable, or put an older one in its place; never read it.
//! **Out of scope**: where it lies (`cli`: files; the page: the browser's database).

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use types::Digest;
use types::seal::{self, SealKey};
use zeroize::Zeroizing;

use crate::Error;

/// Bytes of such a file.
pub const OWN_BYTES: usize = 64 * 1024;

const FILE: &str = "trust-commons/v1/seal/file";

/// Seals to oneself. `random` must be 32 fresh bytes.
///
/// # Errors
/// [`Error::Types`]: never for a key of this program's.
pub fn seal_own(key: &SealKey, plain: &[u8], random: &[u8; 32]) -> Result<Vec<u8>, Error> {
    Ok(seal::seal(&key.public()?, FILE, &Digest([0; 32]), plain, &mut ChaCha20Rng::from_seed(*random))?)
}

/// Opens what [`seal_own`] made.
///
/// # Errors
/// [`Error::BadFile`].
pub fn open_own(key: &SealKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    open_own_within(key, sealed, OWN_BYTES)
}

/// The same of a file that may have another size.
///
/// # Errors
/// [`Error::BadFile`].
pub fn open_own_within(key: &SealKey, sealed: &[u8], limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bad = |reason| Error::BadFile { what: "file of yours", reason };
    if sealed.len() > limit {
        return Err(bad("it is too large"));
    }
    let opened = seal::open(key, FILE, &Digest([0; 32]), sealed);
    opened.map(Zeroizing::new).map_err(|_| bad("it is damaged, or sealed to another key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_opens_it_and_every_change_is_noticed() {
        let (key, other) = (SealKey::from_random(&[1; 32]), SealKey::from_random(&[2; 32]));
        let sealed = seal_own(&key, b"bo, carla", &[3; 32]).unwrap();
        assert_eq!(open_own(&key, &sealed).unwrap().as_slice(), b"bo, carla");
        assert!(open_own(&other, &sealed).is_err());
        for place in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            assert!(open_own(&key, &altered).is_err(), "byte {place}");
        }
        assert!(open_own(&key, &vec![0; OWN_BYTES + 1]).is_err());
    }
}
