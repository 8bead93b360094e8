//! The face models on this machine: found, checked against the profile's hashes, loaded once.
//!
//! `$COMMONS_ASSETS`, else `$XDG_DATA_HOME/trust-commons/assets`, else `~/.local/share/trust-commons/assets`. **Trust**: none; each
//! model's SHA-256 stands in its profile. **Out of scope**: fetching them (`./x assets`).

use std::path::{Path, PathBuf};

use biometric::capture::{Capturer, FaceSettings, Models};
use types::limits;
use types::profile::Profile;

use crate::failure::Failure;
use crate::home::read_limited;

/// The assets folder.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("COMMONS_ASSETS")
        .or_else(|| set("XDG_DATA_HOME").map(|base| base.join("trust-commons/assets")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/trust-commons/assets")))
        .ok_or_else(|| {
            Failure::input("this system names no home folder", "set COMMONS_ASSETS to the folder with the face models")
        })
}

/// Loads the models that `profile` names; one capturer serves any number of threads.
pub(crate) fn capturer(profile: &Profile) -> Result<Capturer, Failure> {
    let folder = folder()?.join("models");
    let settings = FaceSettings::of(profile).map_err(|_| {
        let what = format!("`{}` is not captured from photographs", profile.id);
        Failure::input(what, "give --vector FILE instead, or a --profile whose file has a [capture] table")
    })?;
    let [detect, landmark, embed] = settings.files().map(|file| read_model(&folder, &file.file));
    let models = Models { detect: detect?, landmark: landmark?, embed: embed? };
    Ok(Capturer::new(profile, models)?)
}

fn read_model(folder: &Path, file: &str) -> Result<Vec<u8>, Failure> {
    // A profile names files, not paths.
    let name = Path::new(file).file_name().unwrap_or_default();
    let path = folder.join(name);
    read_limited(&path, limits::MODEL_BYTES as u64).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::input(
            format!("the face model {file} is not on this machine (looked in {})", folder.display()),
            "fetch the models with `./x assets`, or set COMMONS_ASSETS to their folder",
        ),
        _ => Failure::read(&path, &error),
    })
}
