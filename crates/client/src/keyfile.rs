//! A member's key, at rest under a passphrase.
//!
//! One random seed per member name; from it one device key per commons, so that two commons cannot link a member by the key.
//!
//! File: magic `TCKEY`, version (u16), Argon2id memory in KiB, passes, lanes (u32 each), salt (16 bytes), nonce (24 bytes), then
//! XChaCha20-Poly1305 over the seed with everything before it as associated data. Integers little-endian. Argon2id: RFC 9106.
//!
//! **Trust**: whoever changes the file can only make it unreadable; whoever copies it can guess passphrases, each guess at the
//! price of one Argon2id. **Out of scope**: where the file lies and who may read it (`cli`).

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::SigningKey;
use types::Digest;
use types::seal::SealKey;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Error;

const MAGIC: &[u8; 5] = b"TCKEY";
const VERSION: u16 = 1;
const SALT: usize = 16;
const NONCE: usize = 24;
const HEADER: usize = MAGIC.len() + 2 + 12 + SALT + NONCE;
const FILE: usize = HEADER + 32 + 16;

/// Price of one guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// RFC 9106's second recommendation: 64 MiB, 3 passes, 4 lanes.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

/// A file may ask for at most this: opening an altered file must not exhaust the machine.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

/// The secret of a member from which every device key is derived.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MemberKey {
    seed: [u8; 32],
}

impl std::fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemberKey(<redacted>)")
    }
}

impl MemberKey {
    /// From 32 fresh random bytes.
    pub fn from_random(random: &[u8; 32]) -> Self {
        Self { seed: Digest::of("trust-commons/v1/member-key", &[random]).0 }
    }

    /// The device key in the commons named by this roster digest.
    pub fn device(&self, commons: &Digest) -> SigningKey {
        let secret = Zeroizing::new(Digest::of("trust-commons/v1/device-key", &[&self.seed, &commons.0]).0);
        SigningKey::from_bytes(&secret)
    }

    /// The key to which members seal the shares that its owner guards for them, in every commons.
    pub fn guardian(&self) -> SealKey {
        let secret = Zeroizing::new(Digest::of("trust-commons/v1/guardian-key", &[&self.seed]).0);
        SealKey::from_random(&secret)
    }

    /// Seals files that only this key's owner reads.
    pub fn files(&self) -> SealKey {
        let secret = Zeroizing::new(Digest::of("trust-commons/v1/file-key", &[&self.seed]).0);
        SealKey::from_random(&secret)
    }

    /// The device key of row `row` of the bulk enrolment `job`: the same again after an interruption.
    pub fn bulk_device(&self, commons: &Digest, job: &Digest, row: u64) -> SigningKey {
        let parts: [&[u8]; 4] = [&self.seed, &commons.0, &job.0, &row.to_le_bytes()];
        let secret = Zeroizing::new(Digest::of("trust-commons/v1/bulk-device-key", &parts).0);
        SigningKey::from_bytes(&secret)
    }

    /// The key of this member's wallet in the commons named by this roster digest.
    pub(crate) fn wallet_key(&self, commons: &Digest) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(Digest::of("trust-commons/v1/wallet-key", &[&self.seed, &commons.0]).0)
    }

    /// The file's bytes. `random` must be 40 fresh random bytes.
    ///
    /// # Errors
    /// [`Error::DamagedKeyFile`] when `cost` is out of range.
    pub fn seal(&self, passphrase: &[u8], cost: Cost, random: &[u8; SALT + NONCE]) -> Result<Vec<u8>, Error> {
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&VERSION.to_le_bytes());
        for value in [cost.memory_kib, cost.passes, cost.lanes] {
            file.extend_from_slice(&value.to_le_bytes());
        }
        file.extend_from_slice(random);
        let (salt, nonce) = random.split_at(SALT);
        let cipher = cipher(passphrase, cost, salt)?;
        let payload = Payload { msg: &self.seed, aad: &file };
        let nonce = XNonce::try_from(nonce).map_err(|_| damaged("nonce"))?;
        let sealed = cipher.encrypt(&nonce, payload).map_err(|_| damaged("cannot be sealed"))?;
        file.extend_from_slice(&sealed);
        Ok(file)
    }

    /// Reads what [`Self::seal`] wrote.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], [`Error::DamagedKeyFile`], [`Error::NewerKeyFile`].
    pub fn open(file: &[u8], passphrase: &[u8]) -> Result<Self, Error> {
        let rest = file.strip_prefix(MAGIC.as_slice()).ok_or_else(|| damaged("it does not begin like a key file"))?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| damaged("it is cut short"))?;
        let version = u16::from_le_bytes(*version);
        if version > VERSION {
            return Err(Error::NewerKeyFile { got: version, known: VERSION });
        }
        if version == 0 {
            return Err(damaged("it has version 0"));
        }
        if file.len() != FILE {
            return Err(damaged("it has not the length of a key file"));
        }
        let (memory_kib, rest) = word(rest)?;
        let (passes, rest) = word(rest)?;
        let (lanes, rest) = word(rest)?;
        let cost = Cost { memory_kib, passes, lanes };
        let (salt, rest) = rest.split_at_checked(SALT).ok_or_else(|| damaged("it is cut short"))?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or_else(|| damaged("it is cut short"))?;
        let (header, _) = file.split_at_checked(HEADER).ok_or_else(|| damaged("it is cut short"))?;

        let cipher = cipher(passphrase, cost, salt)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| damaged("nonce"))?;
        let plain = cipher.decrypt(&nonce, Payload { msg: sealed, aad: header }).map_err(|_| Error::WrongPassphrase)?;
        let plain = Zeroizing::new(plain);
        let seed = plain.as_slice().try_into().map_err(|_| damaged("it holds no key"))?;
        Ok(Self { seed })
    }
}

fn damaged(what: &'static str) -> Error {
    Error::DamagedKeyFile { what }
}

fn word(bytes: &[u8]) -> Result<(u32, &[u8]), Error> {
    let (word, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| damaged("it is cut short"))?;
    Ok((u32::from_le_bytes(*word), rest))
}

fn cipher(passphrase: &[u8], cost: Cost, salt: &[u8]) -> Result<XChaCha20Poly1305, Error> {
    if cost.memory_kib > MOST.memory_kib || cost.passes > MOST.passes || cost.lanes > MOST.lanes {
        return Err(damaged("its cost figures are out of range"));
    }
    let out_of_range = |_| damaged("its cost figures are out of range");
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(out_of_range)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, key.as_mut())
        .map_err(out_of_range)?;
    XChaCha20Poly1305::new_from_slice(key.as_ref()).map_err(|_| damaged("its key has another length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    fn sealed() -> (MemberKey, Vec<u8>) {
        let key = MemberKey::from_random(&[7; 32]);
        let file = key.seal(b"correct horse", CHEAP, &[9; 40]).unwrap();
        (key, file)
    }

    #[test]
    fn the_passphrase_opens_the_file_and_nothing_else_does() {
        let (key, file) = sealed();
        let read = MemberKey::open(&file, b"correct horse").unwrap();
        assert_eq!(read.seed, key.seed);
        assert_eq!(MemberKey::open(&file, b"correct hors").unwrap_err(), Error::WrongPassphrase);
        assert!(!file.windows(8).any(|w| key.seed.windows(8).any(|s| s == w)), "the seed is not in the file");
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let (_, file) = sealed();
        for position in 0..file.len() {
            let mut altered = file.clone();
            altered[position] ^= 1;
            assert!(MemberKey::open(&altered, b"correct horse").is_err(), "byte {position}");
            assert!(MemberKey::open(&file[..position], b"correct horse").is_err(), "cut at {position}");
        }
        let mut newer = file.clone();
        newer[5] = 2;
        assert_eq!(MemberKey::open(&newer, b"correct horse").unwrap_err(), Error::NewerKeyFile { got: 2, known: 1 });
        let mut greedy = file;
        greedy[7..11].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(MemberKey::open(&greedy, b"correct horse"), Err(Error::DamagedKeyFile { .. })));
    }

    #[test]
    fn device_keys_differ_between_commons_and_rows_and_repeat() {
        let key = MemberKey::from_random(&[1; 32]);
        let (here, there) = (Digest([1; 32]), Digest([2; 32]));
        let public = |key: &SigningKey| key.verifying_key().to_bytes();
        let keys =
            [key.device(&here), key.device(&there), key.bulk_device(&here, &here, 0), key.bulk_device(&here, &here, 1)];
        for (i, one) in keys.iter().enumerate() {
            for other in keys.iter().skip(i + 1) {
                assert_ne!(public(one), public(other));
            }
        }
        assert_eq!(public(&key.device(&here)), public(&keys[0]));
        assert_eq!(format!("{key:?}"), "MemberKey(<redacted>)");
    }
}
