//! `commons persona`: be somebody in a context, show it, and nothing more.

pub(crate) mod keep;
mod prove;
mod reveal;
mod show;
mod sign_in;
pub(crate) mod web;

use client::Platform as _;
use credential::glyph::Glyph;
use serde_json::json;

use crate::args::persona::{Named, New, PersonaCommand, Renew};
use crate::commands::verifier::{self, read_context};
use crate::commands::{claim, receipt};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::words;
use keep::{Done, Purse};

pub(crate) use reveal::key as reveal_key;
pub(crate) use show::{facts, rows};
pub(crate) use sign_in::run as sign_in;

pub(crate) async fn run(context: &Context, command: PersonaCommand) -> Result<Exit, Failure> {
    match command {
        PersonaCommand::New(args) => new(context, args).await,
        PersonaCommand::List => show::list(context),
        PersonaCommand::Show(args) => show::one(context, &args),
        PersonaCommand::Prove(args) => prove::run(context, args),
        PersonaCommand::Retire(args) => retire(context, &args),
        PersonaCommand::Code(args) => show::code(context, args).await,
        PersonaCommand::CheckCode(args) => show::check_code(context, &args),
        PersonaCommand::Reveal(args) => reveal::run(context, args),
        PersonaCommand::CheckReveal(args) => reveal::check(context, &args),
        PersonaCommand::Renew(args) => renew(context, args).await,
        PersonaCommand::Claim(args) => claim::take(context, args).await,
    }
}

async fn new(context: &Context, args: New) -> Result<Exit, Failure> {
    let asked = read_context(&args.context)?;
    let (client, key, device) = context.member_with_key(false)?;
    let (mut purse, done) = keep::ready(context, &client, key, &device).await?;
    let now = client.platform().now();
    let label = args.label.unwrap_or_else(|| asked.id().to_owned());
    let (kept, is_new) = purse.wallet.persona(&asked, &label, now)?;
    let (pseudonym, label, retired) = (kept.pseudonym, kept.label.clone(), kept.retired);
    purse.save(context)?;
    let glyph = Glyph::new(&pseudonym);
    let facts = json!({
        "context": asked.id(), "verifier": asked.verifier(), "pseudonym": pseudonym, "label": label, "new": is_new,
        "retired": retired, "glyph": glyph.name(), "bound_now": done.bound.is_some(),
    });
    context.out.answer(&facts, |page| {
        match (is_new, retired) {
            (_, Some(_)) => page.headline(false, "You gave this persona up; there is never another of yours here."),
            (true, None) => page.headline(true, &format!("You are somebody new: \"{label}\".")),
            (false, None) => page.headline(true, &format!("You are \"{label}\" here already: one person, one persona.")),
        }
        page.line(format!("\n{}", glyph.terminal(context.out.colours())));
        page.row("pseudonym", pseudonym);
        verifier::rows(page, &asked);
        tell(page, &done);
        page.line(format!("\nShow it with `commons persona prove {label} --challenge FILE --to {:?}`.", asked.verifier()));
    });
    Ok(if retired.is_some() { Exit::No } else { Exit::Yes })
}

fn tell(page: &mut crate::output::Page, done: &Done) {
    if let Some((proof, keeping)) = &done.bound {
        page.line("\n  Your membership is bound to one secret from now on. It lies on this machine, and in shares with the three nodes.");
        receipt::rows(page, proof, keeping);
    }
    if done.fetched.is_some() {
        page.line("\n  Credentials were fetched just now. Who showed them this very minute could be linked by the time: wait a little.");
    }
}

fn retire(context: &Context, args: &Named) -> Result<Exit, Failure> {
    let now = verifier::now();
    let mut purse = Purse::existing(context, now)?;
    let kept = named(&purse, &args.persona)?;
    let (pseudonym, label) = (kept.pseudonym, kept.label.clone());
    purse.wallet.retire(&pseudonym, now);
    purse.save(context)?;
    context.out.answer(&json!({ "label": label, "pseudonym": pseudonym, "retired": true }), |page| {
        page.headline(true, &format!("\"{label}\" is given up. This machine shows it to nobody any more."));
        page.line("  Nobody else can have it, and you can have no other here: one person, one persona.");
    });
    Ok(Exit::Yes)
}

async fn renew(context: &Context, args: Renew) -> Result<Exit, Failure> {
    let (client, key, device) = context.member_with_key(false)?;
    let (mut purse, mut done) = keep::ready(context, &client, key, &device).await?;
    loop {
        let (due, now) = (purse.wallet.renew_at(), client.platform().now());
        if !args.watch {
            let credentials = purse.wallet.credentials();
            let facts = json!({
                "fetched_from": done.fetched, "credentials": credentials.len(), "next": due, "bound_now": done.bound.is_some(),
            });
            context.out.answer(&facts, |page| {
                match done.fetched {
                    Some(nodes) => page.headline(true, &format!("Renewed by {nodes} nodes.")),
                    None => page.headline(true, "Your credentials are of this time."),
                }
                page.row("next", words::time(due));
                tell(page, &Done { bound: done.bound, fetched: None });
            });
            return Ok(Exit::Yes);
        }
        context.out.note(&format!("Next renewal: {}. Ctrl-C ends this.", words::time(due.max(now))));
        // A second late is early enough, and a node that was down is asked again in a while.
        let pause = due.saturating_sub(now).clamp(1, 3600) + 1;
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Yes),
            () = tokio::time::sleep(std::time::Duration::from_secs(pause)) => {}
        }
        done.fetched = match keep::renew(context, &client, &device, &mut purse).await {
            Ok(fetched) => fetched,
            Err(failure) => {
                context.out.warn(&failure.what);
                None
            }
        };
    }
}

/// The one persona of this name.
pub(super) fn named<'p>(purse: &'p Purse, name: &str) -> Result<&'p client::wallet::Kept, Failure> {
    match purse.wallet.named(name).as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::input(format!("there is no persona \"{name}\" on this machine"), "see `commons persona list`")
            .coded("persona-unknown")),
        _ => Err(Failure::input(
            format!("more than one persona is called \"{name}\""),
            "write the beginning of its pseudonym",
        )),
    }
}
