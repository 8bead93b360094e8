//! `commons persona prove`: a presentation for one challenge. Asks no node.

use credential::{Challenge, Envelope as _, Issuers};
use serde_json::json;

use super::keep::{Purse, fresh};
use super::named;
use crate::args::persona::Prove;
use crate::commands::verifier::{self, now, read_envelope, write_or_print};
use crate::context::Context;
use crate::failure::{Exit, Failure};

pub(super) fn run(context: &Context, args: Prove) -> Result<Exit, Failure> {
    let challenge: Challenge = read_envelope(&args.challenge)?;
    let (roster, at) = (context.roster()?, now());
    let mut purse = Purse::existing(context, at)?;
    let kept = named(&purse, &args.named.persona)?.clone();
    if kept.retired.is_some() {
        return Err(given_up());
    }
    if !args.yes {
        let question = format!(
            "Show \"{}\" to {}? They learn {}.",
            kept.label,
            kept.context.verifier(),
            verifier::learns(&kept.context, Some(purse.wallet.credentials().as_slice()))
        );
        if !context.confirm(&question, "--yes")? {
            return Err(
                Failure::input("nothing was shown", "run it again and answer y if you want to").coded("not-confirmed")
            );
        }
    }
    let issuers = Issuers::of(&roster).map_err(verifier::refused)?;
    let made = purse.wallet.show(&kept.pseudonym, &issuers, &challenge, &args.to, at, fresh()?);
    // Kept before it leaves: the owner sees later what was shown, and that somebody tried.
    purse.save(context)?;
    let presentation = made.map_err(not_shown)?;
    let disclosed = purse.wallet.discloses(&kept.context);
    let text = presentation.to_json();
    let list: serde_json::Map<String, serde_json::Value> =
        disclosed.iter().map(|(attribute, value)| (attribute.name().to_owned(), json!(value))).collect();
    let facts = json!({
        "label": kept.label, "pseudonym": kept.pseudonym, "verifier": kept.context.verifier(), "disclosed": list,
        "presentation": text, "file": args.out.file,
    });
    write_or_print(
        context,
        args.out.file.as_deref(),
        &text,
        &facts,
        "Made for this verifier and this challenge, by two nodes' word.",
    )?;
    Ok(Exit::Yes)
}

pub(super) fn given_up() -> Failure {
    Failure::input("you gave this persona up", "there is no other of yours in this context").coded("persona-retired")
}

/// Why a persona was not shown.
pub(super) fn not_shown(error: client::Error) -> Failure {
    match error {
        client::Error::Retired => given_up(),
        client::Error::Persona(error) => stale(&error).unwrap_or_else(|| verifier::refused(error)),
        other => other.into(),
    }
}

/// Credentials that are too old are renewed at another moment than that of a presentation.
pub(super) fn stale(error: &credential::Error) -> Option<Failure> {
    let credential::Error::TooFewCredentials { .. } = error else { return None };
    let what = "your credentials are not of this time, and two nodes' are needed";
    let hint =
        "renew them with `commons persona renew`, and show them a little later, so that nobody can link the two by the time";
    Some(Failure::input(what, hint).coded("credentials-stale"))
}
