//! The built-in profiles: the files in `profiles/` at the root of the repository, compiled in.
//!
//! An operator who brings a better model writes another such file and reads it with [`Profile::from_toml`].

use types::profile::{Matching, Profile};

const FILES: [&str; 5] = [
    include_str!("../../../profiles/face-512.toml"),
    include_str!("../../../profiles/iris-12800.toml"),
    include_str!("../../../profiles/voice-256.toml"),
    include_str!("../../../profiles/eeg-psd-741.toml"),
    include_str!("../../../profiles/eeg-coh-513.toml"),
];

/// All built-in profiles.
pub fn builtin() -> Vec<Profile> {
    // A test parses every file, so none is left out here.
    FILES.iter().filter_map(|text| Profile::from_toml(text).ok()).collect()
}

/// The built-in profile called `id`.
pub fn by_id(id: &str) -> Option<Profile> {
    builtin().into_iter().find(|profile| profile.id.to_string() == id)
}

/// The built-in profile for vectors of this length, if there is one.
pub fn for_vector_len(length: usize) -> Option<Profile> {
    let fits = |profile: &Profile| matches!(&profile.matching, Matching::Embedding(m) if m.dimensions as usize == length);
    builtin().into_iter().find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::FaceSettings;

    #[test]
    fn every_profile_of_the_repository_is_usable() {
        for text in FILES {
            Profile::from_toml(text).unwrap();
        }
        let mirrored = Profile::from_toml(include_str!("../../../profiles/face-512-mirrored.toml")).unwrap();
        assert_ne!(mirrored.digest(), by_id("face-512").unwrap().digest());
        assert!(FaceSettings::of(&mirrored).is_ok());
        let profiles = builtin();
        let mut ids: Vec<String> = profiles.iter().map(|p| p.id.to_string()).collect();
        ids.dedup();
        assert_eq!(ids.len(), FILES.len());
        assert!(profiles.iter().all(|p| p.accuracy.is_some()));
    }

    #[test]
    fn profiles_are_found_by_name_and_length() {
        let face = by_id("face-512").unwrap();
        assert_eq!(for_vector_len(512).unwrap().id, face.id);
        assert_eq!(
            FaceSettings::of(&face).unwrap().files().map(|f| f.file.as_str()),
            ["fr_detect.onnx", "fr_landmark.onnx", "fr_feature.onnx"]
        );
        assert!(for_vector_len(19_200).is_none());
        assert!(by_id("palm-1").is_none());
        assert!(FaceSettings::of(&by_id("iris-12800").unwrap()).is_err());
    }
}
