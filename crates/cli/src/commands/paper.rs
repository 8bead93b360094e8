//! What people pass to one another or keep for themselves in recovery: small texts, QR codes, sealed files.

use std::path::Path;

use client::guardian::TEXT_BYTES;
use client::own::{OWN_BYTES, open_own_within};
use qrcode::QrCode;
use types::seal::SealKey;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::home::{read_limited, write_private};
use crate::sample::read_input;

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

/// Reads a file that its owner sealed for themselves; `None` when there is none.
pub(crate) fn read_sealed(path: &Path, key: &SealKey) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    read_sealed_within(path, key, OWN_BYTES)
}

/// The same, of at most `limit` bytes.
pub(crate) fn read_sealed_within(path: &Path, key: &SealKey, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let bytes = match read_limited(path, limit as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::read(path, &error)),
    };
    let other = |_| Failure::input("this file is damaged, or sealed to another key", "move it away").about(path.display());
    open_own_within(key, &bytes, limit).map(Some).map_err(other)
}

/// Writes a file that only the key's owner reads.
pub(crate) fn write_sealed(path: &Path, key: &SealKey, plain: &[u8]) -> Result<(), Failure> {
    let sealed = seal_own(key, plain)?;
    write_private(path, &sealed).map_err(|error| Failure::write(path, &error))
}

/// Seals to oneself.
pub(crate) fn seal_own(key: &SealKey, plain: &[u8]) -> Result<Vec<u8>, Failure> {
    Ok(client::own::seal_own(key, plain, &*random()?)?)
}

/// 32 fresh bytes.
pub(crate) fn random() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut()).map_err(|_| client::Error::NoRandomness)?;
    Ok(random)
}
