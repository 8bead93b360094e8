//! Which profile an evaluation uses, and one made on the spot for vectors that no built-in profile fits.

use std::path::Path;

use biometric::index::Entry;
use biometric::npy::Npy;
use biometric::oracle::Gallery;
use biometric::{Template, profiles};
use types::profile::{Embedding, Matching, Profile};
use types::{ProfileId, limits};

use crate::failure::Failure;
use crate::sample::{profile_failure, read_input};

/// A profile and where it came from.
pub(crate) struct Choice {
    pub(crate) profile: Profile,
    /// Its threshold was set on the very data that it is measured on.
    pub(crate) derived: bool,
}

/// The false match rate that a derived threshold aims at.
const AIM: f64 = 1e-3;
/// Rounding can lengthen a vector by so much.
const NORM_MAX: f64 = 1.06;

/// A built-in profile by id, or a profile file.
pub(crate) fn named(wanted: &str) -> Result<Profile, Failure> {
    if wanted.ends_with(".toml") || wanted.contains(std::path::MAIN_SEPARATOR) {
        let path = Path::new(wanted);
        let bytes = read_input(path, limits::CONFIG_FILE_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        return Profile::from_toml(&text).map_err(|error| profile_failure(&error).about(path.display()));
    }
    profiles::by_id(wanted).ok_or_else(|| {
        let known: Vec<String> = profiles::builtin().iter().map(|profile| profile.id.to_string()).collect();
        let hint = format!("use one of {}, or name a profile file ending in .toml", known.join(", "));
        Failure::input(format!("there is no built-in profile `{wanted}`"), hint)
    })
}

/// The built-in profile for vectors of this length; without one, a profile whose threshold is set on these data.
pub(crate) fn fitting(table: &Npy<'_>, entries: &[Entry]) -> Result<Choice, Failure> {
    if let Some(profile) = profiles::for_vector_len(table.columns()) {
        return Ok(Choice { profile, derived: false });
    }
    let dimensions = u32::try_from(table.columns()).unwrap_or(u32::MAX);
    // Scores relative to a threshold of one half, with the largest scale that leaves room for every cosine.
    let trial = embedding(dimensions, 0.5, 120);
    checked(&trial)?;
    let usable = entries.iter().filter_map(|entry| {
        let template = Template::from_embedding(&table.row(entry.row)?, &trial).ok()?;
        Some((entry.subject.as_str(), template))
    });
    let (subjects, templates): (Vec<&str>, Vec<Template>) = usable.unzip();
    let gallery = Gallery::new(&Matching::Embedding(trial.clone()), &templates)?;
    let mut impostors = Vec::new();
    gallery.for_each_pair(0..gallery.len(), |a, b, score| {
        if subjects.get(a) != subjects.get(b) {
            impostors.push(score);
        }
    });
    if impostors.is_empty() {
        return Err(biometric::Error::NothingToMeasure("impostor").into());
    }
    impostors.sort_unstable_by(|a, b| b.cmp(a));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a length"
    )]
    let allowed = (impostors.len() as f64 * AIM) as usize;
    let first_refused = f64::from(impostors.get(allowed).copied().unwrap_or(0) + i32::from(trial.offset()) + 1);
    let threshold = (first_refused / f64::from(trial.scale).powi(2)).clamp(0.01, 0.99);
    let matching = embedding(dimensions, threshold, widest_scale(threshold));
    let profile = Profile { matching: checked(&matching)?, ..template_profile(dimensions)? };
    Ok(Choice { profile, derived: true })
}

/// The largest scale, up to the usual one, at which no score can wrap (`Embedding::check`).
fn widest_scale(threshold: f64) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 148")]
    let scale = (32_767.0 / (NORM_MAX + threshold)).sqrt().floor().min(148.0) as u16;
    scale
}

fn embedding(dimensions: u32, cosine_threshold: f64, scale: u16) -> Embedding {
    Embedding { dimensions, scale, clamp: 128, cosine_threshold, norm_min: 0.9, norm_max: NORM_MAX }
}

fn template_profile(dimensions: u32) -> Result<Profile, Failure> {
    Ok(Profile {
        id: ProfileId::new(&format!("vector-{dimensions}"))?,
        version: 1,
        modality: "unnamed".to_owned(),
        description:
            "Vectors of your own extractor; the threshold was set for an FMR of 0.1 % on the data of one evaluation."
                .to_owned(),
        matching: Matching::Embedding(embedding(dimensions, 0.5, 120)),
        accuracy: None,
        capture: None,
    })
}

/// The same checks as for a profile file.
fn checked(matching: &Embedding) -> Result<Matching, Failure> {
    let profile = Profile { matching: Matching::Embedding(matching.clone()), ..template_profile(matching.dimensions)? };
    Profile::from_toml(&text(&profile)?).map_err(|error| profile_failure(&error))?;
    Ok(profile.matching)
}

/// A profile as a file.
pub(crate) fn text(profile: &Profile) -> Result<String, Failure> {
    toml::to_string_pretty(profile)
        .map_err(|error| Failure::input(error.to_string(), "report this as a fault of the program"))
}

/// The threshold as a number: a cosine, or a Hamming distance.
pub(crate) fn threshold(matching: &Matching) -> f64 {
    match matching {
        Matching::Embedding(m) => m.cosine_threshold,
        Matching::IrisCode(m) => 0.5 - f64::from(m.mask_weight) / (4.0 * f64::from(m.dot_weight)),
    }
}

/// The threshold in words.
pub(crate) fn threshold_words(matching: &Matching) -> String {
    match matching {
        Matching::Embedding(_) => format!("cosine {:.3}", threshold(matching)),
        Matching::IrisCode(_) => format!("Hamming distance {:.3}", threshold(matching)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_or_the_known_ones_named() {
        assert_eq!(named("face-512").unwrap().id.as_str(), "face-512");
        assert!(named("palm-1").unwrap_err().hint.contains("face-512"));
        assert!(named("none.toml").unwrap_err().what.contains("no such file"));
        assert!((threshold(&named("iris-12800").unwrap().matching) - 0.375).abs() < 1e-12);
    }

    #[test]
    fn a_derived_profile_is_a_file_that_can_be_read_again() {
        for threshold in [0.01, 0.4, 0.99] {
            let matching = checked(&embedding(37, threshold, widest_scale(threshold))).unwrap();
            let profile = Profile { matching, ..template_profile(37).unwrap() };
            assert_eq!(Profile::from_toml(&text(&profile).unwrap()).unwrap(), profile);
        }
    }
}
