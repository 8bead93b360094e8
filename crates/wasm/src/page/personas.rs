//! Personas: made, shown, coded for a moment, revealed, given up. The wallet is the command line's file; it is read and kept again at
//! every act, because another window may have changed it (the worker lets one act in at a time).

use client::showing::{RevealFile, RevealKeyFile};
use client::wallet::{PersonaAct, WALLET_BYTES, Wallet};
use credential::code::Code;
use credential::glyph::Glyph;
use credential::{
    Challenge, Context, Envelope as _, Fresh, Issuers, MemberSecret, Persona, ProofRequest, Pseudonym, limits,
};
use serde_json::json;
use types::Digest;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::{Commons, Told, fail, misfit, text, thrown};
use crate::shell::{self, random};
use crate::{trouble, view};
use client::Platform as _;

/// Where the wallet is kept.
const WALLET: &str = "wallet";

#[wasm_bindgen]
impl Commons {
    /// All personas on this device.
    pub async fn personas(&self) -> Told {
        let Some(wallet) = self.wallet().await? else { return Ok(text(&json!({ "wallet": false, "personas": [] }))) };
        let personas: Vec<_> = wallet.personas().iter().map(view::persona).collect();
        Ok(text(&json!({
            "wallet": true, "bound": wallet.is_bound(), "credentials": wallet.credentials().len(), "renew_at": wallet.renew_at(),
            "personas": personas,
        })))
    }

    /// What a context says, in parts.
    pub async fn context(&self, source: String) -> Told {
        let place = read_context(&source)?;
        let wallet = self.wallet().await?;
        let known = wallet.as_ref().and_then(|wallet| {
            wallet.personas().iter().find(|kept| kept.context.scope() == place.scope()).map(view::persona)
        });
        let place = view::context(&place, wallet.as_ref(), self.now());
        Ok(text(&json!({ "context": place, "persona": known })))
    }

    /// Be somebody in a context. Binds the membership and fetches credentials where that is still to be done.
    pub async fn new_persona(&self, source: String, label: String) -> Told {
        let place = read_context(&source)?;
        let device = self.device()?;
        let mut wallet = match self.wallet().await? {
            Some(wallet) => wallet,
            None => {
                let secret = MemberSecret::generate(fresh()?);
                let wallet = Wallet::new(self.client.commons().digest(), &secret);
                // Before the nodes hear of it: a secret that only they know would be lost.
                self.save(&wallet).await?;
                wallet
            }
        };
        let bound = self.client.bind_wallet(&device, &mut wallet).await.map_err(fail)?;
        self.save(&wallet).await?;
        let decision = match &bound {
            Some(proof) => Some(self.keep(proof, None).await?),
            None => None,
        };
        let fetched = self.client.renew_wallet(&device, &mut wallet).await.map_err(fail)?;
        let label = if label.trim().is_empty() { place.id().to_owned() } else { label.trim().to_owned() };
        let (kept, new) = wallet.persona(&place, &label, self.now()).map_err(fail)?;
        let persona = view::persona(kept);
        self.save(&wallet).await?;
        Ok(text(
            &json!({ "persona": persona, "new": new, "decision": decision, "fetched": fetched.map(|some| some.credentials.len()) }),
        ))
    }

    /// Keeps credentials fresh, at a moment when the member uses this device for another reason. Says how many were fetched.
    pub async fn renew_personas(&self) -> Told {
        let (device, Some(mut wallet)) = (self.device()?, self.wallet().await?) else { return Ok(text(&json!(null))) };
        if !wallet.is_bound() {
            return Ok(text(&json!(null)));
        }
        let fetched = self.client.renew_wallet(&device, &mut wallet).await.map_err(fail)?;
        if fetched.is_some() {
            self.save(&wallet).await?;
        }
        Ok(text(&json!(fetched.map(|some| some.credentials.len()))))
    }

    /// Who asks what: a verifier's challenge, or a web site's request that was fetched from `from`.
    pub async fn read_challenge(&self, source: String, from: String) -> Told {
        let wallet = self.wallet().await?;
        if let Some(request) = request_in(&source) {
            let audience = request.audience(&from).map_err(persona)?;
            let known = wallet.iter().flat_map(|wallet| wallet.personas());
            let known = known.filter(|kept| kept.context.scope() == request.context.scope()).map(view::persona).next();
            return Ok(text(&json!({
                "kind": "request", "context": view::context(&request.context, wallet.as_ref(), self.now()), "digits": request.check_digits(),
                "to": audience, "answer": request.answer, "expires_at": request.challenge.expires_at(), "persona": known,
            })));
        }
        let challenge = Challenge::from_json(source.trim()).map_err(persona)?;
        let known = wallet.iter().flat_map(|wallet| wallet.personas()).find(|kept| challenge.is_of(&kept.context));
        let kept = known.ok_or_else(|| fail(client::Error::NoPersona))?;
        let place = view::context(&kept.context, wallet.as_ref(), self.now());
        let expires_at = challenge.expires_at();
        Ok(text(&json!({ "kind": "challenge", "context": place, "persona": view::persona(kept), "expires_at": expires_at })))
    }

    /// Answers. `to` is whom the member is in fact talking to; for a web site's request, the address it was fetched from.
    pub async fn prove(&self, source: String, to: String) -> Told {
        let mut wallet = self.wallet().await?.ok_or_else(|| fail(client::Error::NoPersona))?;
        let issuers = Issuers::of(self.client.commons().roster()).map_err(persona)?;
        let (challenge, to, pseudonym) = match request_in(&source) {
            Some(request) => {
                let audience = match request.audience(&to) {
                    Ok(audience) => audience.to_owned(),
                    Err(error) => {
                        let own = *Persona::new(&wallet.secret().map_err(fail)?, &request.context).pseudonym();
                        wallet.note(&own, self.now(), PersonaAct::Refused { why: error.to_string() });
                        self.save(&wallet).await?;
                        return Err(persona(error));
                    }
                };
                let label = audience.trim_start_matches("https://").trim_start_matches("http://").to_owned();
                let pseudonym = wallet.persona(&request.context, &label, self.now()).map_err(fail)?.0.pseudonym;
                (request.challenge, audience, pseudonym)
            }
            None => {
                let challenge = Challenge::from_json(source.trim()).map_err(persona)?;
                let kept = wallet.personas().iter().find(|kept| challenge.is_of(&kept.context));
                let pseudonym = kept.ok_or_else(|| fail(client::Error::NoPersona))?.pseudonym;
                (challenge, to, pseudonym)
            }
        };
        let made = wallet.show(&pseudonym, &issuers, &challenge, &to, self.now(), fresh()?);
        // Kept before it leaves: the owner sees later what was shown, and that somebody tried.
        self.save(&wallet).await?;
        let presentation = made.map_err(fail)?;
        let kept = wallet.active(&pseudonym).map_err(fail)?;
        let disclosed = view::disclosed(&wallet.discloses(&kept.context));
        Ok(text(
            &json!({ "persona": view::persona(kept), "presentation": presentation.to_json(), "disclosed": disclosed, "to": to }),
        ))
    }

    /// The code of this moment.
    pub async fn persona_code(&self, pseudonym: String) -> Told {
        let wallet = self.wallet().await?.ok_or_else(|| fail(client::Error::NoPersona))?;
        let code = wallet.code(&name(&pseudonym)?, self.now()).map_err(fail)?;
        let glyph = Glyph::new(&name(&pseudonym)?).with_code(&code);
        let (svg, words) = (glyph.svg(), glyph.description());
        Ok(text(&json!({ "code": code.to_json(), "made_at": code.made_at(), "svg": svg, "description": words })))
    }

    /// Checks the code that somebody shows, for a context.
    pub fn check_code(&self, code: &str, context: &str) -> Told {
        let (place, code) = (read_context(context)?, Code::from_json(code.trim()).map_err(persona)?);
        let pseudonym = code.verify(&place, self.now()).map_err(persona)?;
        let glyph = Glyph::new(&pseudonym).with_code(&code);
        let (svg, words) = (glyph.svg(), glyph.description());
        Ok(text(&json!({ "pseudonym": pseudonym, "name": glyph.name(), "svg": svg, "description": words })))
    }

    /// Gives a persona up.
    pub async fn retire_persona(&self, pseudonym: String) -> Told {
        let mut wallet = self.wallet().await?.ok_or_else(|| fail(client::Error::NoPersona))?;
        let pseudonym = name(&pseudonym)?;
        wallet.active(&pseudonym).map_err(fail)?;
        wallet.retire(&pseudonym, self.now());
        self.save(&wallet).await?;
        let kept = wallet.personas().iter().find(|kept| kept.pseudonym == pseudonym);
        Ok(text(&kept.map(view::persona)))
    }

    /// Says that two personas are one person: to all, or to the holder of `key` (the text of a file with a public key).
    pub async fn reveal(&self, one: String, other: String, key: Option<String>, nonce: Option<String>) -> Told {
        let mut wallet = self.wallet().await?.ok_or_else(|| fail(client::Error::NoPersona))?;
        let key = key.map(|file| RevealKeyFile::read(&file)).transpose().map_err(fail)?;
        let nonce = question(nonce.as_deref())?;
        let pair = (&name(&one)?, &name(&other)?);
        let to = key.as_ref().map(|(_, key)| key);
        let file = wallet.reveal(pair, to, nonce, self.now(), fresh()?).map_err(fail)?;
        self.save(&wallet).await?;
        Ok(text(&json!({ "file": file.to_json(), "to": key.as_ref().map(|(file, _)| &file.name) })))
    }

    /// Checks what somebody revealed to all.
    pub fn check_reveal(&self, source: &str, nonce: Option<String>) -> Told {
        let file = RevealFile::from_json(source).map_err(fail)?;
        file.check(&question(nonce.as_deref())?, None).map_err(fail)?;
        let side = |one: &client::showing::Revealed| {
            let glyph = Glyph::new(&one.pseudonym);
            json!({ "pseudonym": one.pseudonym, "context": one.context.id(), "verifier": one.context.verifier(), "name": glyph.name(), "svg": glyph.svg() })
        };
        Ok(text(&json!([side(&file.one), side(&file.other)])))
    }

    /// The wallet's file, for another device or the command line (its folder `wallets`); empty when there is none.
    pub async fn wallet_file(&self) -> Result<Vec<u8>, JsValue> {
        Ok(shell::read(WALLET).await?.unwrap_or_default())
    }

    /// Brings a wallet from elsewhere. It must be this member's, and never another secret than the one that is bound here.
    pub async fn bring_wallet(&self, file: Vec<u8>) -> Told {
        if file.len() > WALLET_BYTES {
            return Err(fail(client::Error::BadFile { what: "wallet", reason: "it is too large" }));
        }
        let before = self.wallet().await?;
        let (wallet, _) = self.opened(&file)?;
        let other = |before: Wallet| {
            let same = before.secret().ok() == wallet.secret().ok();
            before.is_bound() && !same
        };
        if before.is_some_and(other) {
            return Err(fail(client::Error::BoundElsewhere));
        }
        self.save(&wallet).await?;
        self.personas().await
    }
}

impl Commons {
    fn now(&self) -> u64 {
        self.client.platform().now()
    }

    fn opened(&self, file: &[u8]) -> Result<(Wallet, bool), JsValue> {
        let key = self.member_key()?;
        Wallet::open(file, &key, &self.client.commons().digest(), self.now()).map_err(|error| match error {
            client::Error::WrongPassphrase => {
                thrown(&trouble::own("not-your-wallet", "this wallet is another member's, or altered"))
            }
            other => fail(other),
        })
    }

    /// The wallet, if there is one. What is over is erased from it, also where it is kept.
    pub(super) async fn wallet(&self) -> Result<Option<Wallet>, JsValue> {
        let Some(file) = shell::read(WALLET).await? else { return Ok(None) };
        let (wallet, erased) = self.opened(&file)?;
        if erased {
            self.save(&wallet).await?;
        }
        Ok(Some(wallet))
    }

    pub(super) async fn save(&self, wallet: &Wallet) -> Result<(), JsValue> {
        let file = wallet.seal(&self.member_key()?, &random().map_err(fail)?).map_err(fail)?;
        shell::keep(WALLET, file).await
    }
}

fn fresh() -> Result<Fresh, JsValue> {
    Ok(Fresh::new(random().map_err(fail)?))
}

fn persona(error: credential::Error) -> JsValue {
    fail(error.into())
}

fn name(pseudonym: &str) -> Result<Pseudonym, JsValue> {
    Pseudonym::from_hex(pseudonym).map_err(|error| fail(error.into()))
}

/// The other side's question, or zeros for a standing statement.
fn question(nonce: Option<&str>) -> Result<[u8; 32], JsValue> {
    let nonce = nonce.map(str::trim).filter(|text| !text.is_empty());
    Ok(nonce.map(Digest::from_hex).transpose().map_err(misfit)?.map_or([0; 32], |digest| digest.0))
}

fn request_in(source: &str) -> Option<ProofRequest> {
    ProofRequest::from_json(source.trim()).ok()
}

/// A context, as people write it or as programs send it.
fn read_context(source: &str) -> Result<Context, JsValue> {
    let wrong = |why: &str| thrown(&trouble::own("no-context", why));
    if source.len() > limits::ENVELOPE_BYTES {
        return Err(wrong("it is too large"));
    }
    match Context::from_json(source.trim()) {
        Ok(place) => Ok(place),
        Err(credential::Error::Envelope { .. }) => {
            serde_json::from_str::<Context>(source).map_err(|error| wrong(&error.to_string()))
        }
        Err(error) => Err(wrong(&error.to_string())),
    }
}
