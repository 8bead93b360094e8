//! `commons sign-in`: answers a web site that asks for one person, once. Asks no node, so that no node learns where somebody signs in.

use client::wallet::PersonaAct;
use client::web::Web;
use credential::{Issuers, Kind, ProofRequest, Pseudonym, present};
use serde_json::json;

use super::keep::{Purse, fresh};
use super::prove::{given_up, stale};
use crate::args::persona::SignIn;
use crate::commands::verifier::{self, now};
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// `commons sign-in`.
pub(crate) async fn run(context: &Context, args: SignIn) -> Result<Exit, Failure> {
    let web = Web::new()?;
    let request = web.proof_request(&args.url).await?;
    let pseudonym = answer(context, &web, &request, &args).await?;
    let verifier = request.context.verifier();
    let facts = json!({ "verifier": verifier, "pseudonym": pseudonym, "accepted": true });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("Answered. You are signed in to {verifier}."));
        page.row("they know you as", pseudonym);
        page.line("  Your browser goes on by itself.");
    });
    Ok(Exit::Yes)
}

/// Shows the member's persona in the request's context, after asking them.
async fn answer(context: &Context, web: &Web, request: &ProofRequest, args: &SignIn) -> Result<Pseudonym, Failure> {
    let (roster, at) = (context.roster()?, now());
    let audience = request.audience(&args.url).map_err(verifier::refused)?;
    let place = &request.context;
    let mut purse = Purse::existing(context, at)?;
    let label = audience.trim_start_matches("https://").trim_start_matches("http://").to_owned();
    let (kept, _) = purse.wallet.persona(place, &label, at)?;
    let pseudonym = kept.pseudonym;
    if kept.retired.is_some() {
        return Err(given_up());
    }
    if !args.yes {
        let once = if place.kind() == Kind::Standing { "" } else { " Each person is admitted once." };
        let question = format!(
            "{audience} asks, through {}. Its page shows {}. They learn {}.{once} Show them?",
            credential::origin(&args.url).unwrap_or_default(),
            request.check_digits(),
            verifier::learns(place, Some(purse.wallet.credentials().as_slice()))
        );
        if !context.confirm(&question, "--yes")? {
            let hint = "run it again and answer y if you want to";
            return Err(Failure::input("nothing was shown", hint).coded("not-confirmed"));
        }
    }
    let issuers = Issuers::of(&roster).map_err(verifier::refused)?;
    let (secret, credentials) = (purse.wallet.secret()?, purse.wallet.credentials());
    let made = present(&secret, &credentials, &issuers, place, &request.challenge, audience, at, fresh()?);
    let presentation = match made {
        Ok(presentation) => presentation,
        Err(error) => {
            purse.wallet.note(&pseudonym, at, PersonaAct::Refused { why: error.to_string() });
            purse.save(context)?;
            return Err(stale(&error).unwrap_or_else(|| verifier::refused(error)));
        }
    };
    // Kept before it is sent: what was shown is known here even if the answer is lost.
    let disclosed = verifier::disclosed(place, &credentials);
    purse.wallet.note(&pseudonym, at, PersonaAct::Shown { disclosed });
    purse.save(context)?;
    web.answer(request, &presentation).await?;
    Ok(pseudonym)
}
