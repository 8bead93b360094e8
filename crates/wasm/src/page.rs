//! The bindings: one class, `Commons`, that the page's worker holds.
//!
//! Every method takes and gives plain values: strings, bytes, and JSON as text. An error is thrown as JSON text too (`trouble`). Here: the key,
//! decisions, receipts and logs, the tour. Beside it: samples, personas, guardians and recovery.

mod personas;
mod recovery;
mod samples;

use std::cell::RefCell;
use std::rc::Rc;

use biometric::capture::Models;
use client::history::{Missing, missing};
use client::keyfile::Cost;
use client::receipt::Kept;
use client::request::{Question, Sample};
use client::rules::decode_signed;
use client::{Client, Error, Events, Followed, InForce, MemberKey, Platform as _, Proof};
use ed25519_dalek::SigningKey;
use serde::Serialize;
use serde_json::{Value, json};
use types::api::{from_base64, to_base64};
use types::consent::{Narrowing, Terms};
use types::message::Event;
use types::profile::Profile;
use types::roster::Roster;
use types::sign::public_key;
use types::{AskId, Digest, GrantId, NodeId, OperationId, ProfileId};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

use self::samples::{Samples, Taken};
use crate::shell::{Browser, Fetch, random};
use crate::{pixels, trouble, view, workshop};

/// Text of JSON, or thrown text of JSON.
type Told = Result<String, JsValue>;

/// How long a decision waits for its log proofs before the receipt is kept without them, in pauses of [`PAUSE_MS`].
const PAUSES: u32 = 16;
const PAUSE_MS: u64 = 250;

/// One commons, one member.
#[wasm_bindgen]
pub struct Commons {
    client: Rc<Client<Fetch, Browser>>,
    key: RefCell<Option<MemberKey>>,
    samples: Samples,
    followed: RefCell<Followed>,
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
fn thrown(trouble: &Value) -> JsValue {
    JsValue::from_str(&trouble.to_string())
}
fn fail(error: Error) -> JsValue {
    thrown(&trouble::of_client(&error))
}
fn misfit(error: types::Error) -> JsValue {
    fail(error.into())
}
fn unsampled(error: biometric::Error) -> JsValue {
    thrown(&trouble::of_capture(&error))
}
fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, JsValue> {
    serde_json::from_str(json).map_err(|error| thrown(&trouble::own("input", &error.to_string())))
}

#[wasm_bindgen]
impl Commons {
    /// Of the commons whose roster this is.
    #[wasm_bindgen(constructor)]
    pub fn new(roster: &str) -> Result<Commons, JsValue> {
        let mut roster = Roster::from_toml(roster).map_err(misfit)?;
        // A roster may leave out how photographs are captured; a built-in profile that matches the same way knows.
        let added: Vec<_> = roster.additions.iter().map(|addition| addition.profile.clone()).collect();
        let silent = |profile: &&mut Profile| profile.capture.is_none() && !added.contains(&profile.id);
        for profile in roster.profiles.iter_mut().filter(silent) {
            if let Some(own) = biometric::profiles::by_id(profile.id.as_str()).filter(|own| own.digest() == profile.digest())
            {
                profile.capture = own.capture;
            }
        }
        let followed = Followed::new(&roster).map_err(fail)?;
        let client = Client::new(roster, Fetch, Browser).map_err(fail)?;
        Ok(Self {
            client: Rc::new(client),
            key: RefCell::default(),
            samples: Samples::default(),
            followed: RefCell::new(followed),
        })
    }

    pub fn roster(&self) -> String {
        text(&view::roster(self.client.commons().roster()))
    }

    // The key.

    /// Makes a key, opens it, and gives its file.
    pub fn new_key(&self, passphrase: &str) -> Result<Vec<u8>, JsValue> {
        let key = MemberKey::from_random(&random().map_err(fail)?);
        let file = key.seal(passphrase.as_bytes(), Cost::default(), &random().map_err(fail)?).map_err(fail)?;
        self.key.replace(Some(key));
        Ok(file)
    }
    pub fn open_key(&self, file: &[u8], passphrase: &str) -> Told {
        let key = MemberKey::open(file, passphrase.as_bytes()).map_err(fail)?;
        self.key.replace(Some(key));
        Ok(text(&self.device_id()?))
    }
    /// The open key under a secret that a passkey gives: 32 bytes that nobody can guess, so that one guess need cost nothing.
    pub fn seal_key_for_passkey(&self, secret: &[u8]) -> Result<Vec<u8>, JsValue> {
        let secret = passkey(secret)?;
        let key = self.member_key()?;
        key.seal(secret.as_bytes(), Cost { memory_kib: 64, passes: 1, lanes: 1 }, &random().map_err(fail)?).map_err(fail)
    }
    /// Opens what [`Self::seal_key_for_passkey`] made.
    pub fn open_key_with_passkey(&self, file: &[u8], secret: &[u8]) -> Told {
        self.open_key(file, &passkey(secret)?)
    }
    /// Another passphrase for the open key.
    pub fn seal_key(&self, passphrase: &str) -> Result<Vec<u8>, JsValue> {
        let key = self.key.borrow();
        let key = key.as_ref().ok_or_else(locked)?;
        key.seal(passphrase.as_bytes(), Cost::default(), &random().map_err(fail)?).map_err(fail)
    }
    pub fn close_key(&self) {
        self.key.replace(None);
        self.samples.forget();
    }
    pub fn is_open(&self) -> bool {
        self.key.borrow().is_some()
    }
    /// The public device key in this commons.
    pub fn device_id(&self) -> Result<String, JsValue> {
        Ok(public_key(&self.device()?).to_hex())
    }

    // Capture.

    pub fn load_models(&self, profile: &str, detect: Vec<u8>, landmark: Vec<u8>, embed: Vec<u8>) -> Result<(), JsValue> {
        let id = ProfileId::new(profile).map_err(misfit)?;
        let profile = self.client.commons().profile(&id).map_err(fail)?;
        self.samples.load(profile, Models { detect, landmark, embed })
    }
    pub fn has_models(&self) -> bool {
        self.samples.has_models()
    }
    /// Guidance from a camera's picture: what was measured; thrown: what to change.
    pub fn look(&self, rgba: &[u8], width: u32, height: u32) -> Told {
        let (_, capturer) = self.samples.capturer()?;
        Ok(text(&capturer.look(&ppm(rgba, width, height)?).map_err(unsampled)?))
    }
    /// Captures a template from a camera's picture and keeps it here.
    pub fn capture_pixels(&self, rgba: &[u8], width: u32, height: u32) -> Told {
        self.capture(&ppm(rgba, width, height)?)
    }
    /// Captures a template from a photograph and keeps it here.
    pub fn capture(&self, photograph: &[u8]) -> Told {
        Ok(text(&self.capture_sample(photograph)?))
    }
    pub fn has_sample(&self) -> bool {
        self.samples.has_sample()
    }
    pub fn forget_sample(&self) {
        self.samples.forget();
    }

    // Decisions.

    pub async fn enrol(&self, note: String) -> Told {
        let (device, (kept, former)) = (self.device()?, self.sample_to_keep().await?);
        let former = former.as_ref().map(Taken::template);
        self.settle(&device, Question::Enrol(Sample { former, ..Sample::new(kept.template(), &note) })).await
    }
    pub async fn verify(&self, note: String) -> Told {
        let device = self.device()?;
        let taken = self.sample_of_own_record(&device).await?;
        self.settle(&device, Question::Verify(Sample::new(taken.template(), &note))).await
    }
    /// The new sample in the place of the old one, in the newer profile where there is one.
    pub async fn renew(&self, note: String) -> Told {
        let (device, (kept, former)) = (self.device()?, self.sample_to_keep().await?);
        let former = former.as_ref().map(Taken::template);
        self.settle(&device, Question::Renew(Sample { former, ..Sample::new(kept.template(), &note) })).await
    }
    pub async fn withdraw(&self) -> Told {
        self.settle(&self.device()?, Question::Withdraw(None)).await
    }
    pub async fn grant(&self, terms: String) -> Told {
        let terms: Terms = parse(&terms)?;
        self.permitted(&terms).await?;
        self.settle(&self.device()?, Question::Grant(terms)).await
    }
    /// `origin`: the receipt of the grant, where there is one; its terms then stand in the new receipt.
    pub async fn narrow(
        &self,
        grant: String,
        expires_at: Option<f64>,
        uses_left: Option<u32>,
        origin: Option<String>,
    ) -> Told {
        let grant = GrantId::from_hex(&grant).map_err(misfit)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since 1970")]
        let expires_at = expires_at.map(|at| at as u64);
        let question = Question::Narrow(Narrowing { grant, expires_at, uses_left });
        self.settle_of(&self.device()?, question, event(origin.as_deref())?).await
    }
    pub async fn revoke(&self, grant: String, origin: Option<String>) -> Told {
        let grant = GrantId::from_hex(&grant).map_err(misfit)?;
        self.settle_of(&self.device()?, Question::Revoke(grant), event(origin.as_deref())?).await
    }
    /// `terms`: as asked, or narrower. A comparison takes the sample that was captured last.
    pub async fn approve(&self, ask: String, terms: String) -> Told {
        let (ask, terms) = (AskId::from_hex(&ask).map_err(misfit)?, parse::<Terms>(&terms)?);
        self.permitted(&terms).await?;
        let device = self.device()?;
        let taken = match terms.operation {
            types::consent::Operation::Membership => None,
            types::consent::Operation::Verification => Some(self.sample_of(terms.profile.as_ref())?),
        };
        let sample = taken.as_ref().map(Taken::sample);
        self.settle(&device, Question::Approve(ask, terms, sample)).await
    }
    pub async fn refuse(&self, ask: String) -> Told {
        self.settle(&self.device()?, Question::Refuse(AskId::from_hex(&ask).map_err(misfit)?)).await
    }
    /// Says no to a recovery that somebody began in this member's name.
    pub async fn veto(&self, recovery: String) -> Told {
        self.settle(&self.device()?, Question::VetoRecovery(OperationId::from_hex(&recovery).map_err(misfit)?)).await
    }
    pub async fn shield_up(&self) -> Told {
        let shield = self.client.shield_up(&self.device()?).await.map_err(fail)?;
        let decision: Option<Value> = match &shield.proof {
            Some(proof) => Some(self.keep(proof, None).await?),
            None => None,
        };
        Ok(text(&json!({ "statements": view::statements(&shield.statements), "decision": decision })))
    }
    pub async fn shield_down(&self, restore: Vec<String>) -> Told {
        let grants = restore.iter().map(|grant| GrantId::from_hex(grant)).collect::<Result<Vec<_>, _>>().map_err(misfit)?;
        self.settle(&self.device()?, Question::ShieldDown(grants)).await
    }

    // What the nodes say.

    pub async fn facts(&self) -> String {
        let nodes = self.client.public_facts().await;
        let told = NodeId::ALL.into_iter().zip(nodes).map(|(node, facts)| match facts {
            Ok(facts) => json!({ "node": node, "facts": facts }),
            Err(error) => json!({ "node": node, "trouble": trouble::of_client(&error) }),
        });
        text(&told.collect::<Vec<Value>>())
    }
    pub async fn charter(&self, again: bool) -> Told {
        if again {
            self.client.forget_charter();
        }
        Ok(text(&view::charter(&*self.client.charter().await.map_err(fail)?)))
    }
    pub async fn status(&self) -> Told {
        Ok(text(&view::statements(&self.client.status(&self.device()?).await.map_err(fail)?)))
    }
    pub async fn inspect(&self) -> Told {
        Ok(text(&view::statements(&self.client.inspect(&self.device()?).await.map_err(fail)?)))
    }
    /// An ask by its id: all three nodes must show the same.
    pub async fn see(&self, ask: String) -> Told {
        let ask = AskId::from_hex(&ask).map_err(misfit)?;
        let statements = self.client.tell(&self.device()?, Question::See(ask)).await.map_err(fail)?;
        statements.all().map_err(fail)?;
        match statements.agreed(|statement| statement.ask.as_ref()) {
            Some(Some(statement)) if statement.id == ask => Ok(text(&view::ask(statement))),
            Some(_) => Err(thrown(&trouble::own("ask-unknown", "the nodes know no open request of this id"))),
            None => Err(thrown(&trouble::own("ask-differs", "the nodes show different requests under one id"))),
        }
    }

    // Receipts and logs.

    /// Receipts that are missing among `known` (a JSON array), made from what the nodes tell. `charters`: signed charters, in base64,
    /// that were in force once.
    pub async fn history(&self, known: String, charters: Vec<String>) -> Told {
        let (device, known) = (self.device()?, parse::<Vec<Kept>>(&known)?);
        let in_force = self.client.charter().await.map_err(fail)?;
        let Events { events, silent, complaints } = self.client.events(&device, 0).await.map_err(fail)?;
        let roster = self.client.commons().roster();
        let mut rules: Vec<InForce> = vec![InForce::clone(&in_force), InForce::default_for(roster)];
        for charter in &charters {
            let signed = from_base64("charter", charter).and_then(|bytes| decode_signed(&bytes)).map_err(misfit)?;
            rules.extend(InForce::from_signed(Some(signed), roster).ok());
        }
        let by_digest = |digest: &Digest| rules.iter().find(|rules| rules.digest() == *digest).cloned();
        let Missing { receipts, unexplained } =
            missing(roster, &self.client.trace(&device), events, &known, by_digest).map_err(fail)?;
        let unexplained: Vec<u64> = unexplained.iter().map(|event| event.certificate.decision.log_index).collect();
        Ok(text(&json!({
            "receipts": receipts, "unexplained": unexplained, "silent": silent,
            "complaints": complaints.iter().map(trouble::of_client).collect::<Vec<_>>(),
        })))
    }
    /// Checks a receipt, offline.
    pub fn check(&self, receipt: &str) -> Told {
        let kept = Kept::from_json(receipt.as_bytes()).map_err(fail)?;
        let shown = kept.check(self.client.commons().roster()).map_err(fail)?;
        Ok(text(&view::receipt(&kept, &shown)))
    }
    /// Adds the proofs of the three logs to a receipt.
    pub async fn complete(&self, receipt: String) -> Told {
        let kept = Kept::from_json(receipt.as_bytes()).map_err(fail)?;
        Ok(text(&self.client.complete(&kept).await.map_err(fail)?))
    }
    /// Continues from what an earlier visit kept.
    pub fn resume(&self, state: &[u8]) -> Result<(), JsValue> {
        self.followed.replace(Followed::from_bytes(self.client.commons().roster(), state).map_err(fail)?);
        Ok(())
    }
    /// What to keep between two visits.
    pub fn followed(&self) -> Vec<u8> {
        self.followed.borrow().to_bytes()
    }
    /// Reads the three logs on to their newest checkpoints, checks and compares them.
    pub async fn follow(&self) -> Told {
        let mut followed = self.followed.borrow().clone();
        let look = self.client.follow(&followed.following).await;
        let trace = self.device().ok().map(|device| self.client.trace(&device));
        followed.advance(&look, trace.as_ref());
        let told = view::logs(&followed, &look.problems, &look.new, self.client.platform().now());
        self.followed.replace(followed);
        Ok(text(&told))
    }
    /// After [`Self::follow`]: entries with the member's mark that no receipt explains, and receipts that the logs do not bear out.
    pub fn audit(&self, receipts: &str, told: Vec<u32>) -> Told {
        let receipts: Vec<Kept> = parse(receipts)?;
        let told: Vec<u64> = told.into_iter().map(u64::from).collect();
        let followed = self.followed.borrow();
        let orphans = followed.orphans(&receipts, &told).into_iter().map(
            |(index, entry)| json!({ "index": index, "kind": entry.kind.name(), "at": entry.at, "party": entry.party }),
        );
        let orphans: Vec<Value> = orphans.collect();
        let unmarked: Vec<String> =
            followed.unmarked(&receipts).iter().map(|kept| kept.summary.operation.to_hex()).collect();
        let broken: Vec<Value> = receipts
            .iter()
            .filter_map(|kept| Some((kept, kept.check(self.client.commons().roster()).err()?)))
            .map(|(kept, error)| json!({ "operation": kept.summary.operation, "trouble": trouble::of_client(&error) }))
            .collect();
        Ok(text(&json!({ "orphans": orphans, "unmarked": unmarked, "broken": broken })))
    }

    // The tour.

    /// A template of a photograph, as numbers, for the person whose it is.
    pub fn show_template(&self, photograph: &[u8]) -> Told {
        let (profile, capturer) = self.samples.capturer()?;
        let embedding = capturer.embedding(photograph).map_err(unsampled)?;
        let values = Zeroizing::new(self.quantise(&profile, embedding.values())?.input_values());
        let shares = workshop::shares(&values, &random().map_err(fail)?);
        Ok(text(&json!({ "coordinates": workshop::coordinates(&values), "shared": shares, "quality": embedding.quality() })))
    }
    /// The same from a camera's picture.
    pub fn show_template_of_pixels(&self, rgba: &[u8], width: u32, height: u32) -> Told {
        self.show_template(&ppm(rgba, width, height)?)
    }
    /// Any numbers, split with the same function as a template.
    pub fn show_shares(&self, values: Vec<u32>) -> Told {
        Ok(text(&workshop::shares(&values, &random().map_err(fail)?)))
    }
}

impl Commons {
    fn device(&self) -> Result<SigningKey, JsValue> {
        let key = self.key.borrow();
        Ok(key.as_ref().ok_or_else(locked)?.device(&self.client.commons().digest()))
    }

    fn member_key(&self) -> Result<MemberKey, JsValue> {
        self.key.borrow().clone().ok_or_else(locked)
    }

    async fn permitted(&self, terms: &Terms) -> Result<(), JsValue> {
        let rules = self.client.charter().await.map_err(fail)?;
        charter::permits_terms(&rules.charter, terms, self.client.platform().now())
            .map_err(|refusal| thrown(&trouble::own(refusal.rule.code(), &refusal.detail)))
    }

    async fn settle(&self, device: &SigningKey, question: Question<'_>) -> Told {
        self.settle_of(device, question, None).await
    }

    async fn settle_of(&self, device: &SigningKey, question: Question<'_>, origin: Option<Event>) -> Told {
        let proof = self.client.settle(device, question).await.map_err(fail)?;
        Ok(text(&self.keep(&proof, origin.as_ref()).await?))
    }

    /// The receipt, with the logs' proofs if they come within a moment.
    async fn keep(&self, proof: &Proof, origin: Option<&Event>) -> Result<Value, JsValue> {
        let mut kept = self.client.keep(proof, origin).await.map_err(fail)?;
        let mut unproven = None;
        for _ in 0..PAUSES {
            match self.client.complete(&kept).await {
                Ok(whole) => {
                    (kept, unproven) = (whole, None);
                    break;
                }
                Err(error @ Error::NotPublished { .. }) => unproven = Some(error),
                Err(error) => {
                    unproven = Some(error);
                    break;
                }
            }
            self.client.platform().sleep(std::time::Duration::from_millis(PAUSE_MS)).await;
        }
        Ok(view::decision(proof, &kept, unproven.as_ref()))
    }
}

/// What a passkey gave, as the key file takes it.
fn passkey(secret: &[u8]) -> Result<Zeroizing<String>, JsValue> {
    let short = || thrown(&trouble::own("input", "a passkey gives 32 bytes"));
    if secret.len() == 32 { Ok(Zeroizing::new(to_base64(secret))) } else { Err(short()) }
}

/// The decision that a receipt is of.
fn event(receipt: Option<&str>) -> Result<Option<Event>, JsValue> {
    let event = |json: &str| Kept::from_json(json.as_bytes())?.event();
    receipt.map(event).transpose().map_err(fail)
}

fn ppm(rgba: &[u8], width: u32, height: u32) -> Result<Zeroizing<Vec<u8>>, JsValue> {
    pixels::to_ppm(rgba, width, height).ok_or_else(|| thrown(&trouble::own("input", "these pixels have another size")))
}

fn locked() -> JsValue {
    thrown(&trouble::own("locked", "your key is locked"))
}

/// The same template as the command line makes, for tests: the words that would be shared, in base64.
#[wasm_bindgen]
pub fn template_for_test(commons: &Commons, photograph: &[u8]) -> Told {
    let (profile, capturer) = commons.samples.capturer()?;
    let embedding = capturer.embedding(photograph).map_err(unsampled)?;
    let values = commons.quantise(&profile, embedding.values())?.input_values();
    Ok(to_base64(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
}
