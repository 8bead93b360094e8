//! Guardians and recovery, from every side: the member who names guardians, the guardian who keeps shares and approves, the new device that
//! takes the lost one's place. Files and texts are the command line's.

use client::circle::{Circle, Gathered, Guarded, Newcomer, Recovering, Refused, number};
use client::guardian;
use client::own::{open_own, seal_own};
use client::request::Question;
use client::{Error, Platform as _, Proof, Wallet, personas};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use types::message::{MemberStatement, Outcome};
use types::recovery::{Approval, GuardedStatement, Plea, RecoveryState, RecoveryStatement, guardian_code};
use types::sign::{Signed, public_key};
use types::{RecoveryName, TraceKey, limits};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

use super::{Commons, Told, fail, misfit, parse, text, thrown};
use crate::shell::{self, random};
use crate::{trouble, view};

const GUARDIANS: &str = "guardians";
const HANDOUT: &str = "handout";
const REFUSED: &str = "refused";
const RECOVERING: &str = "recovering";
const INHERITED: &str = "inherited";
/// Before the names of shares that are kept for others.
const GUARDED: &str = "guarded/";

/// A share's text that waits to be given to its guardian.
#[derive(Clone, Serialize, Deserialize)]
struct Handout {
    name: String,
    text: String,
}

#[derive(Deserialize)]
struct Given {
    name: String,
    code: String,
}

impl Commons {
    /// A device that lost its member does not know of which profile the record is. Nothing is compared, and no attempt is used up, where there is no
    /// record of the sample's.
    async fn recover_with_sample(
        &self,
        device: &SigningKey,
        name: RecoveryName,
        approvals: Vec<Signed<Approval>>,
    ) -> Result<Proof, JsValue> {
        let mut samples = self.samples_of_all()?.into_iter().peekable();
        while let Some(taken) = samples.next() {
            let question = Question::StartRecovery(name, approvals.clone(), Some(taken.sample()));
            match self.client.settle(device, question).await {
                Err(error) if samples.peek().is_some() && trouble::of_client(&error)["code"] == "unknown-member" => {}
                settled => return settled.map_err(fail),
            }
        }
        Err(thrown(&trouble::own("no-sample", "there is no fresh sample")))
    }
}

#[wasm_bindgen]
impl Commons {
    /// To be called when the key is open: takes up what this device inherited from the ones before.
    pub async fn arrive(&self) -> Result<(), JsValue> {
        let Some(sealed) = shell::read(INHERITED).await? else { return Ok(()) };
        let bytes = open_own(&self.member_key()?.files(), &sealed).map_err(fail)?;
        let torn = || fail(Error::BadFile { what: "inherited key", reason: "it is damaged; finish the recovery again" });
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| torn())?;
        self.client.inherit(public_key(&self.device()?), TraceKey::from_random(bytes));
        Ok(())
    }

    // The member.

    /// The member's guardians, whether each counts, and shares that wait to be handed out.
    pub async fn guardians(&self) -> Told {
        let member = self.known_member().await?;
        let circle = self.circle().await?;
        let now = self.client.platform().now();
        let guarded = member.guarded.as_ref();
        let guardians: Vec<Value> = guarded
            .iter()
            .flat_map(|guarded| &guarded.guarding.guardians)
            .map(|one| {
                let counts = one.from <= now && one.until.is_none_or(|until| now < until);
                json!({ "name": circle.name_of(&one.key), "share": one.key, "counts": counts, "from": one.from, "until": one.until })
            })
            .collect();
        let next = guarded.and_then(|guarded| guarded.guarding.next_need).filter(|(_, from)| *from > now);
        Ok(text(&json!({
            "need": guarded.map_or(0, |guarded| guarded.guarding.need_at(now)),
            "next_need": next.map(|(need, from)| json!({ "need": need, "from": from })),
            "guardians": guardians,
            "named": circle.named().iter().map(|one| &one.name).collect::<Vec<_>>(),
            "recoveries": guarded.map(view::recoveries).unwrap_or_default(),
            "handout": self.handout().await?,
            "now": now,
        })))
    }

    /// Names guardians anew: all known ones but those in `leave`, and the newcomers (JSON of `{name, code}`). Nobody and 0 ends recovery.
    pub async fn set_guardians(&self, need: u8, leave: Vec<String>, newcomers: String) -> Told {
        let device = self.device()?;
        let given: Vec<Given> = parse(&newcomers)?;
        let newcomer = |one: &Given| Newcomer::new(&one.name, &one.code);
        let newcomers = given.iter().map(newcomer).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let unknown = || fail(Error::BadFile { what: "guardian of yours", reason: "there is none of this name here" });
        let mut circle = self.circle().await?.without(&leave).ok_or_else(unknown)?;
        let (name, commons) = (self.client.trace(&device).recovery(), self.client.commons().digest());
        let texts = circle.invite(&commons, name, newcomers, &random().map_err(fail)?).map_err(fail)?;
        let before = self.handout().await?;
        let new = texts.into_iter().map(|(name, text)| Handout { name, text });
        // Before the nodes hear of them: a share that only they know would be lost.
        self.keep_handout(&before.iter().cloned().chain(new).collect::<Vec<_>>()).await?;
        let proof = match self.client.settle(&device, Question::SetGuardians(circle.set(name, need))).await {
            Ok(proof) => proof,
            Err(error) => {
                // What was certainly not decided leaves nothing to hand out.
                if !matches!(error, Error::Undecided { .. }) {
                    self.keep_handout(&before).await?;
                }
                return Err(fail(error));
            }
        };
        let sealed = circle.seal(&self.member_key()?, &random().map_err(fail)?).map_err(fail)?;
        shell::keep(GUARDIANS, sealed).await?;
        Ok(text(&self.keep(&proof, None).await?))
    }

    /// The shares were given to their guardians: their texts are forgotten here.
    pub async fn handed_out(&self) -> Result<(), JsValue> {
        shell::forget(HANDOUT).await
    }

    // The guardian.

    /// The code of this key, for who names its owner as guardian. It is no secret.
    pub fn guardian_code(&self) -> Result<String, JsValue> {
        Ok(guardian_code(&self.member_key()?.guardian().public().map_err(misfit)?))
    }

    /// The shares that are kept here for others.
    pub async fn guarded(&self) -> Told {
        let kept = self.kept().await?;
        Ok(text(&kept.iter().map(|one| json!({ "for": one.label, "share": one.share.public() })).collect::<Vec<_>>()))
    }

    /// Keeps a share that a member gave.
    pub async fn accept_share(&self, source: String, label: String) -> Told {
        let label = label.trim();
        let (new, name, file) =
            Guarded::accept(&self.member_key()?, &source, label, &random().map_err(fail)?).map_err(fail)?;
        let taken = |kept: &Guarded| kept.label == label && kept.share.public() != new.share.public();
        if label.is_empty() || self.kept().await?.iter().any(taken) {
            return Err(thrown(&trouble::own("label-taken", "a share needs a name of its own")));
        }
        shell::keep(&format!("{GUARDED}{name}"), file.into_bytes()).await?;
        self.guarded().await
    }

    /// What a new device's request says.
    pub async fn read_plea(&self, source: String) -> Told {
        let plea = guardian::read_plea(&source).map_err(fail)?;
        let kept = self.kept().await?;
        let fits = |kept: &&Guarded| *kept.share.commons() == plea.commons;
        let labels: Vec<&str> = kept.iter().filter(fits).map(|kept| kept.label.as_str()).collect();
        let refused = self.refused().await?.contains(&plea.device);
        Ok(text(
            &json!({ "number": number(&plea.device), "device": plea.device, "at": plea.at, "shares": labels, "refused": refused }),
        ))
    }

    /// Says that the device of this request is the person's, until `expires_at`. Gives the approval's text.
    pub async fn approve_plea(&self, source: String, label: String, expires_at: f64) -> Told {
        let plea: Plea = guardian::read_plea(&source).map_err(fail)?;
        let kept = self.kept().await?;
        let one = kept.iter().find(|kept| kept.label == label && *kept.share.commons() == plea.commons);
        let one = one.ok_or_else(|| thrown(&trouble::own("share-unknown", "no share of this name is kept here")))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since 1970")]
        let expires_at = expires_at as u64;
        if expires_at > self.client.platform().now().saturating_add(limits::APPROVAL_LIFETIME_S) {
            return Err(thrown(&trouble::own("input", "an approval counts for at most 30 days")));
        }
        Ok(text(&json!(guardian::approve(&one.share, &plea, expires_at).map_err(fail)?)))
    }

    /// Remembers that this device is not the person's. Nobody is told.
    pub async fn refuse_plea(&self, source: String) -> Result<(), JsValue> {
        let plea = guardian::read_plea(&source).map_err(fail)?;
        let (key, refused) = (self.member_key()?, self.refused().await?);
        shell::keep(REFUSED, refused.with(plea.device, &key, &random().map_err(fail)?).map_err(fail)?).await
    }

    // The new device.

    /// The request that guardians approve, and this device's number.
    pub fn plead(&self) -> Told {
        let device = self.device()?;
        let request = guardian::plead(&self.client.commons().digest(), &device, self.client.platform().now());
        Ok(text(&json!({ "text": request, "number": number(&public_key(&device)) })))
    }

    /// Reads approvals: how many different guardians stand by this device. A text that is none of them is named by its place.
    pub fn read_approvals(&self, texts: Vec<String>) -> Told {
        let gathered = self.gather(&texts)?;
        let until = gathered.approvals.iter().map(|(_, approval)| approval.message.expires_at).min();
        Ok(text(&json!({ "approvals": gathered.approvals.len(), "repeated": gathered.repeated, "until": until })))
    }

    /// Begins, with the sample that was captured last, or without one.
    pub async fn start_recovery(&self, texts: Vec<String>, with_sample: bool) -> Told {
        let device = self.device()?;
        let Gathered { name, approvals, .. } = self.gather(&texts)?;
        let guarded = self.recovery_of(name).await?;
        let now = self.client.platform().now();
        // What the nodes would name by its place is named here, and costs no attempt.
        let stranger =
            approvals.iter().find(|(_, approval)| !guarded.guarding.counting(now).any(|key| *key == approval.message.by));
        if let Some((place, _)) = stranger {
            return Err(at_place(*place, &trouble::own("not-a-guardian", "this approval is not by a guardian who counts")));
        }
        let (places, approvals): (Vec<usize>, Vec<_>) = approvals.into_iter().unzip();
        let proof = match with_sample {
            true => self.recover_with_sample(&device, name, approvals).await?,
            false => self.client.settle(&device, Question::StartRecovery(name, approvals, None)).await.map_err(fail)?,
        };
        let decision = &proof.certificate.decision;
        let mut place = None;
        match &decision.outcome {
            Outcome::RecoveryStarted { .. } => {
                let recovering = Recovering { recovery: decision.operation, name };
                shell::keep(RECOVERING, serde_json::to_vec_pretty(&recovering).unwrap_or_default()).await?;
            }
            Outcome::RecoveryRefused { fault } => {
                place = fault.approval().and_then(|place| places.get(usize::from(place)).copied());
            }
            _ => {}
        }
        Ok(text(&json!({ "decision": self.keep(&proof, None).await?, "place": place })))
    }

    /// Where the recovery to this device stands; `null` when none has begun.
    pub async fn recovery_status(&self) -> Told {
        let Some(Recovering { recovery, name }) = self.recovering().await? else { return Ok(text(&Value::Null)) };
        let guarded = self.recovery_of(name).await?;
        let now = self.client.platform().now();
        let mine: Option<&RecoveryStatement> = guarded.recoveries.iter().find(|known| known.recovery == recovery);
        let ready = mine.is_some_and(|mine| mine.state == RecoveryState::Waiting && mine.opens_at <= now);
        Ok(text(&json!({ "recovery": recovery, "mine": mine.map(view::recovery), "ready": ready, "now": now })))
    }

    /// Becomes the member's device; what two nodes kept of them comes back.
    pub async fn finish_recovery(&self) -> Told {
        let device = self.device()?;
        let none = || thrown(&trouble::own("no-recovery", "no recovery to this device has begun"));
        let Recovering { recovery, name } = self.recovering().await?.ok_or_else(none)?;
        let guarded = self.recovery_of(name).await?;
        let done = |known: &RecoveryStatement| known.recovery == recovery && known.state == RecoveryState::Finished;
        // An earlier try may have got that far.
        let proof = match guarded.recoveries.iter().any(done) {
            true => None,
            false => Some(self.client.settle(&device, Question::FinishRecovery(recovery)).await.map_err(fail)?),
        };
        let released = self.client.release(&device, recovery).await.map_err(fail)?;
        if let Some(trace) = released.iter().find_map(|(_, released)| released.trace.clone()) {
            let sealed = seal_own(&self.member_key()?.files(), trace.secret_bytes(), &random().map_err(fail)?);
            shell::keep(INHERITED, sealed.map_err(fail)?).await?;
            self.client.inherit(public_key(&device), trace);
        }
        let decision = match &proof {
            Some(proof) => Some(self.keep(proof, None).await?),
            None => None,
        };
        let member = self.known_member().await?;
        let mut restored = None;
        if let Some(bound) = &member.bound {
            restored = Some(match personas::restore(&released, bound) {
                Ok(secret) => {
                    let known = self.wallet().await?;
                    if !known.is_some_and(|wallet| wallet.secret().is_ok_and(|known| known == secret)) {
                        let mut wallet = Wallet::new(self.client.commons().digest(), &secret);
                        wallet.set_bound();
                        self.save(&wallet).await?;
                    }
                    true
                }
                Err(_) => false,
            });
        }
        if restored != Some(false) {
            shell::forget(RECOVERING).await?;
        }
        let grants = member.grants.len();
        Ok(text(&json!({ "member": member.member, "grants": grants, "personas": restored, "decision": decision })))
    }
}

impl Commons {
    /// The member of this device, as the nodes that answer say.
    async fn known_member(&self) -> Result<MemberStatement, JsValue> {
        let statements = self.client.status(&self.device()?).await.map_err(fail)?;
        let member = statements.valid().find_map(|statement| statement.member.clone());
        let why = || match statements.valid().next() {
            Some(_) => Error::NotAMember,
            None => statements.all().err().unwrap_or(Error::NotAMember),
        };
        member.ok_or_else(|| fail(why()))
    }

    /// What the nodes say of a recovery's name.
    async fn recovery_of(&self, name: RecoveryName) -> Result<GuardedStatement, JsValue> {
        let statements = self.client.tell(&self.device()?, Question::Recovery(name)).await.map_err(fail)?;
        let Some(told) = statements.valid().next() else {
            return Err(fail(statements.all().err().unwrap_or(Error::Http)));
        };
        let unknown = || thrown(&trouble::own("recovery-unknown", "the nodes know nobody with these guardians"));
        told.guarded.clone().ok_or_else(unknown)
    }

    fn gather(&self, texts: &[String]) -> Result<Gathered, JsValue> {
        let (own, now) = (public_key(&self.device()?), self.client.platform().now());
        Gathered::of(&self.client.commons().digest(), &own, now, texts)
            .map_err(|(place, error)| at_place(place, &trouble::of_client(&error)))
    }

    async fn circle(&self) -> Result<Circle, JsValue> {
        Circle::open(&self.member_key()?, shell::read(GUARDIANS).await?.as_deref()).map_err(fail)
    }

    async fn kept(&self) -> Result<Vec<Guarded>, JsValue> {
        let key = self.member_key()?;
        let files = shell::list(GUARDED).await?;
        let read = |file: &Vec<u8>| Guarded::read(&key, &String::from_utf8_lossy(file));
        files.iter().map(read).collect::<Result<_, _>>().map_err(fail)
    }

    async fn refused(&self) -> Result<Refused, JsValue> {
        Refused::open(&self.member_key()?, shell::read(REFUSED).await?.as_deref()).map_err(fail)
    }

    async fn handout(&self) -> Result<Vec<Handout>, JsValue> {
        let Some(sealed) = shell::read(HANDOUT).await? else { return Ok(Vec::new()) };
        let plain = open_own(&self.member_key()?.files(), &sealed).map_err(fail)?;
        Ok(serde_json::from_slice(&plain).unwrap_or_default())
    }

    async fn keep_handout(&self, handout: &[Handout]) -> Result<(), JsValue> {
        if handout.is_empty() {
            return shell::forget(HANDOUT).await;
        }
        let plain = Zeroizing::new(serde_json::to_vec(handout).unwrap_or_default());
        let sealed = seal_own(&self.member_key()?.files(), &plain, &random().map_err(fail)?).map_err(fail)?;
        shell::keep(HANDOUT, sealed).await
    }

    async fn recovering(&self) -> Result<Option<Recovering>, JsValue> {
        let Some(file) = shell::read(RECOVERING).await? else { return Ok(None) };
        let damaged = |_| fail(Error::BadFile { what: "note of a recovery", reason: "it is damaged; begin again" });
        serde_json::from_slice(&file).map(Some).map_err(damaged)
    }
}

/// A trouble with one of several texts.
fn at_place(place: usize, trouble: &Value) -> JsValue {
    let mut trouble = trouble.clone();
    if let Some(map) = trouble.as_object_mut() {
        map.insert("place".to_owned(), json!(place));
    }
    thrown(&trouble)
}
