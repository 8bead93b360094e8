//! What people pass to one another or keep for themselves in recovery: small texts, QR codes, sealed files.

use std::path::Path;

use client::guardian::TEXT_BYTES;
use qrcode::QrCode;
use types::seal::{self, SealKey};
use types::{DeviceKey, Digest};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::home::{read_limited, write_private};
use crate::sample::read_input;

/// Bytes of a file that is sealed to its owner.
const SEALED_BYTES: u64 = 64 * 1024;
/// Purpose of the seal of such a file.
const FILE: &str = "trust-commons/v1/seal/file";

/// A text that somebody passed on.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read_input(path, TEXT_BYTES)?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::input("this is not a text", "name the file that you were given").about(path.display()))
}

/// Writes a text for somebody else, and its QR code.
pub(crate) fn hand_out(text: &str, out: Option<&Path>, qr: Option<&Path>) -> Result<(), Failure> {
    if let Some(path) = out {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| Failure::write(folder, &error))?;
        }
        std::fs::write(path, text).map_err(|error| Failure::write(path, &error))?;
    }
    if let Some(path) = qr {
        let too_long = |_| Failure::input("the QR code cannot be drawn", "pass it on as a file");
        let code = QrCode::new(text).map_err(too_long)?;
        let svg = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).build();
        std::fs::write(path, svg).map_err(|error| Failure::write(path, &error))?;
    }
    Ok(())
}

/// A device's number, to be compared by voice: both sides show the same.
pub(crate) fn number(device: &DeviceKey) -> String {
    let Digest([a, b, c, d, e, f, g, h, ..]) = Digest::of("trust-commons/v1/device-number", &[&device.0]);
    let digits = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % 1_000_000_000_000;
    let text = format!("{digits:012}");
    let (one, rest) = text.split_at(4);
    let (two, three) = rest.split_at(4);
    format!("{one} {two} {three}")
}

/// Reads a file that its owner sealed for themselves; `None` when there is none.
pub(crate) fn read_sealed(path: &Path, key: &SealKey) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    read_sealed_within(path, key, SEALED_BYTES)
}

/// The same, of at most `limit` bytes.
pub(crate) fn read_sealed_within(path: &Path, key: &SealKey, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let bytes = match read_limited(path, limit) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::read(path, &error)),
    };
    let opened = seal::open(key, FILE, &Digest([0; 32]), &bytes);
    let other = |_| Failure::input("this file is damaged, or sealed to another key", "move it away").about(path.display());
    opened.map(Zeroizing::new).map(Some).map_err(other)
}

/// Writes a file that only the key's owner reads.
pub(crate) fn write_sealed(path: &Path, key: &SealKey, plain: &[u8]) -> Result<(), Failure> {
    let sealed = seal_own(key, plain)?;
    write_private(path, &sealed).map_err(|error| Failure::write(path, &error))
}

/// Seals to oneself.
pub(crate) fn seal_own(key: &SealKey, plain: &[u8]) -> Result<Vec<u8>, Failure> {
    use rand_chacha::rand_core::SeedableRng;
    let mut rng = rand_chacha::ChaCha20Rng::from_seed(*random()?);
    Ok(seal::seal(&key.public()?, FILE, &Digest([0; 32]), plain, &mut rng)?)
}

/// Opens what [`seal_own`] made.
pub(crate) fn open_own(key: &SealKey, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    seal::open(key, FILE, &Digest([0; 32]), sealed).ok().map(Zeroizing::new)
}

/// 32 fresh bytes.
pub(crate) fn random() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut()).map_err(|_| client::Error::NoRandomness)?;
    Ok(random)
}
