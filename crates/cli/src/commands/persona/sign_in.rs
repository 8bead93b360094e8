//! `commons sign-in`: answers a web site that asks for one person, once.

use client::web::Web;
use credential::Kind;
use serde_json::json;

use super::keep::Purse;
use super::web::{Asked, answer};
use crate::args::persona::SignIn;
use crate::commands::verifier::now;
use crate::context::Context;
use crate::failure::{Exit, Failure};

pub(crate) async fn run(context: &Context, args: SignIn) -> Result<Exit, Failure> {
    let web = Web::new()?;
    let request = web.proof_request(&args.url).await?;
    let mut purse = Purse::existing(context, now())?;
    let question = |audience: &str, learns: &str| {
        let once = if request.context.kind() == Kind::Standing { "" } else { " Each person is admitted once." };
        format!(
            "{audience} asks, through {}. Its page shows {}. They learn {learns}.{once} Show them?",
            credential::origin(&args.url).unwrap_or_default(),
            request.check_digits(),
        )
    };
    let asked = Asked { url: &args.url, request: &request, yes: args.yes };
    let (pseudonym, _) = answer(context, &web, &mut purse, &asked, question).await?;
    let verifier = request.context.verifier();
    let facts = json!({ "verifier": verifier, "pseudonym": pseudonym, "accepted": true });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("Answered. You are signed in to {verifier}."));
        page.row("they know you as", pseudonym);
        page.line("  Your browser goes on by itself.");
    });
    Ok(Exit::Yes)
}
