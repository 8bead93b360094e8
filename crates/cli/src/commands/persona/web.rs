//! What a place on the web asks of a member's device: fetched there, put to the member, answered with a presentation. Asks no node, so
//! that no node learns where somebody shows themselves.

use client::wallet::PersonaAct;
use client::web::Web;
use credential::{Issuers, Persona, ProofRequest, Pseudonym};
use serde_json::Value;

use super::keep::{Purse, fresh};
use super::prove::{given_up, not_shown, stale};
use crate::commands::verifier::{self, now};
use crate::context::Context;
use crate::failure::Failure;

/// What is kept of one answer's news.
const TRIED: usize = 32;

/// A request and where it was in fact fetched.
pub(crate) struct Asked<'a> {
    pub(crate) url: &'a str,
    pub(crate) request: &'a ProofRequest,
    /// Do not ask the member.
    pub(crate) yes: bool,
}

/// Shows the member's persona in the request's context, after asking them with `question`, which is told for whom it is and what
/// they learn. Gives the persona, and what the other side says.
///
/// Whatever is refused, here or there, stands among the persona's uses.
pub(crate) async fn answer(
    context: &Context,
    web: &Web,
    purse: &mut Purse,
    asked: &Asked<'_>,
    question: impl FnOnce(&str, &str) -> String,
) -> Result<(Pseudonym, Value), Failure> {
    let (roster, at) = (context.roster()?, now());
    let place = &asked.request.context;
    let secret = purse.wallet.secret()?;
    let pseudonym = *Persona::new(&secret, place).pseudonym();
    let audience = match asked.request.audience(asked.url) {
        Ok(audience) => audience,
        Err(error) => return Err(refuse(context, purse, &pseudonym, error)?),
    };
    let label = audience.trim_start_matches("https://").trim_start_matches("http://").to_owned();
    let (kept, _) = purse.wallet.persona(place, &label, at)?;
    if kept.retired.is_some() {
        return Err(given_up());
    }
    let credentials = purse.wallet.credentials();
    if !asked.yes {
        let learns = verifier::learns(place, Some(credentials.as_slice()));
        if !context.confirm(&question(audience, &learns), "--yes")? {
            let hint = "run it again and answer y if you want to";
            return Err(Failure::input("nothing was shown", hint).coded("not-confirmed"));
        }
    }
    let issuers = Issuers::of(&roster).map_err(verifier::refused)?;
    let made = purse.wallet.show(&pseudonym, &issuers, &asked.request.challenge, audience, at, fresh()?);
    // Kept before it is sent: what was shown is known here even if the answer is lost.
    purse.save(context)?;
    let presentation = made.map_err(not_shown)?;
    match web.answer(asked.request, &presentation).await {
        Ok(reply) => {
            hear(context, purse, &pseudonym, &reply)?;
            Ok((pseudonym, reply))
        }
        Err(error) => {
            if let client::Error::Web { what } = &error {
                purse.wallet.note(&pseudonym, now(), PersonaAct::Refused { why: format!("there, {what}") });
                purse.save(context)?;
            }
            Err(error.into())
        }
    }
}

/// What the other side says was tried in this persona's name: kept among its uses, and said.
fn hear(context: &Context, purse: &mut Purse, pseudonym: &Pseudonym, reply: &Value) -> Result<(), Failure> {
    let tried = reply.get("tried").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for one in tried.iter().take(TRIED) {
        let what = match one.get("what").and_then(Value::as_str) {
            Some("replayed-code") => "somebody used a sign-in of yours a second time; what it gave was taken back",
            Some("bad-code") => "somebody tried to use a sign-in of yours without what belongs to it; nothing was given",
            Some("other-answers") => "others answered this request before you; none of that counted",
            _ => "something was tried that did not count",
        };
        // Their clock, where it can be true.
        let at = one.get("at").and_then(Value::as_u64).filter(|at| *at <= now()).unwrap_or_else(now);
        purse.wallet.note(pseudonym, at, PersonaAct::Refused { why: format!("there, {what}") });
        context.out.warn(what);
    }
    if tried.is_empty() { Ok(()) } else { purse.save(context) }
}

/// Keeps for the member that it was tried, where the persona is theirs already.
fn refuse(
    context: &Context,
    purse: &mut Purse,
    pseudonym: &Pseudonym,
    error: credential::Error,
) -> Result<Failure, Failure> {
    purse.wallet.note(pseudonym, now(), PersonaAct::Refused { why: error.to_string() });
    purse.save(context)?;
    Ok(stale(&error).unwrap_or_else(|| verifier::refused(error)))
}
