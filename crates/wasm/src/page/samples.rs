//! The sample: captured once, as a template in every profile of photographs that this commons has, and used once.

use std::cell::RefCell;
use std::rc::Rc;

use biometric::Template as FaceTemplate;
use biometric::capture::{Capturer, Models};
use charter::Charter;
use client::request::{Sample, Template};
use ed25519_dalek::SigningKey;
use types::ProfileId;
use types::profile::{Matching, Profile};
use wasm_bindgen::JsValue;
use zeroize::Zeroizing;

use super::{Commons, fail, thrown, unsampled};
use crate::trouble;

/// Networks that are loaded, and templates that were captured and have not left this module.
#[derive(Default)]
pub(super) struct Samples {
    capturers: RefCell<Vec<(ProfileId, Rc<Capturer>)>>,
    captured: RefCell<Vec<Taken>>,
}

/// A template, as words to be shared.
pub(super) struct Taken {
    profile: ProfileId,
    values: Zeroizing<Vec<u32>>,
}

impl Taken {
    pub(super) fn template(&self) -> Template<'_> {
        Template { profile: &self.profile, values: &self.values }
    }
    /// With no note.
    pub(super) fn sample(&self) -> Sample<'_> {
        Sample::new(self.template(), "")
    }
}

impl Samples {
    pub(super) fn load(&self, profile: &Profile, models: Models) -> Result<(), JsValue> {
        let capturer = Rc::new(Capturer::new(profile, models).map_err(unsampled)?);
        let mut capturers = self.capturers.borrow_mut();
        capturers.retain(|(id, _)| *id != profile.id);
        capturers.push((profile.id.clone(), capturer));
        Ok(())
    }
    pub(super) fn has_models(&self) -> bool {
        !self.capturers.borrow().is_empty()
    }
    pub(super) fn has_sample(&self) -> bool {
        !self.captured.borrow().is_empty()
    }
    pub(super) fn forget(&self) {
        self.captured.replace(Vec::new());
    }

    /// That of the first profile, for looks and for the tour.
    pub(super) fn capturer(&self) -> Result<(ProfileId, Rc<Capturer>), JsValue> {
        let first = self.capturers.borrow().first().cloned();
        first.ok_or_else(|| thrown(&trouble::own("no-models", "the face models are not loaded yet")))
    }

    fn all(&self) -> Vec<Taken> {
        self.captured.take()
    }
}

impl Commons {
    /// Captures and keeps; tells the quality.
    pub(super) fn capture_sample(&self, photograph: &[u8]) -> Result<biometric::capture::Quality, JsValue> {
        let (_, first) = self.samples.capturer()?;
        let capturers = self.samples.capturers.borrow().clone();
        let mut taken = Vec::with_capacity(capturers.len());
        let mut quality = None;
        for (profile, capturer) in capturers {
            let embedding = capturer.embedding(photograph).map_err(unsampled)?;
            if Rc::ptr_eq(&capturer, &first) {
                quality = Some(embedding.quality());
            }
            let values = Zeroizing::new(self.quantise(&profile, embedding.values())?.input_values());
            taken.push(Taken { profile, values });
        }
        self.samples.captured.replace(taken);
        quality.ok_or_else(no_sample)
    }

    pub(super) fn quantise(&self, profile: &ProfileId, embedding: &[f32]) -> Result<FaceTemplate, JsValue> {
        let profile = self.client.commons().profile(profile).map_err(fail)?;
        let Matching::Embedding(matching) = &profile.matching else {
            return Err(thrown(&trouble::own("sample", "this profile matches no vectors")));
        };
        FaceTemplate::from_embedding(embedding, matching).map_err(unsampled)
    }

    /// The sample that is to be kept: in the profile that the charter has for newcomers, and in the one that it replaces, where it does.
    pub(super) async fn sample_to_keep(&self) -> Result<(Taken, Option<Taken>), JsValue> {
        let rules = self.client.charter().await.map_err(fail)?;
        let mut taken = self.samples.all();
        let place = taken.iter().position(|taken| is_current(&rules.charter, &taken.profile));
        let missing = || if taken.is_empty() { no_sample() } else { no_model() };
        let place = place.ok_or_else(missing)?;
        let kept = taken.swap_remove(place);
        let older = rules.charter.modality(&kept.profile).and_then(|modality| modality.replaces.as_ref());
        let former = match older {
            Some(older) => Some(taken.into_iter().find(|taken| taken.profile == *older).ok_or_else(no_model)?),
            None => None,
        };
        Ok((kept, former))
    }

    /// The sample in the profile of the member's own record.
    pub(super) async fn sample_of_own_record(&self, device: &SigningKey) -> Result<Taken, JsValue> {
        if self.samples.captured.borrow().len() == 1 {
            return self.samples.all().pop().ok_or_else(no_sample);
        }
        let statements = self.client.status(device).await.map_err(fail)?;
        let own = |taken: &Taken| statements.has_record(Some(&taken.profile));
        let mut taken = self.samples.all();
        let place = taken.iter().position(own).unwrap_or_default();
        match taken.is_empty() {
            true => Err(no_sample()),
            false => Ok(taken.swap_remove(place)),
        }
    }

    /// The sample in this profile.
    pub(super) fn sample_of(&self, profile: Option<&ProfileId>) -> Result<Taken, JsValue> {
        let fits = |taken: &Taken| profile.is_none_or(|profile| taken.profile == *profile);
        self.samples.all().into_iter().find(fits).ok_or_else(no_sample)
    }

    /// The sample in every profile, the newest first.
    pub(super) fn samples_of_all(&self) -> Result<Vec<Taken>, JsValue> {
        let mut all = self.samples.all();
        all.reverse();
        if all.is_empty() { Err(no_sample()) } else { Ok(all) }
    }
}

fn is_current(charter: &Charter, profile: &ProfileId) -> bool {
    charter.modality(profile).is_some() && charter.replacement(profile).is_none()
}

/// The node does not serve the networks of a profile that the charter lists.
fn no_model() -> JsValue {
    thrown(&trouble::own("models-missing", "this node has no face models for what the rules ask"))
}

fn no_sample() -> JsValue {
    thrown(&trouble::own("no-sample", "there is no fresh sample"))
}
