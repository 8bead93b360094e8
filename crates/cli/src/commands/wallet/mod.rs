//! `commons wallet`: a membership as credentials that the world's verifiers read (SD-JWT VC), for those that cannot take a persona's own
//! presentation. Each is shown to one verifier and no other.

pub(crate) mod cards;
mod issuer;

use client::wallet::PersonaAct;
use client::web::Web;
use oidc::form::Form;
use oidc::wallet::holder::{Asking, Summary};
use serde_json::{Value, json};

use crate::args::wallet::{
    GetCredentials, ListCredentials, RenewCredentials, RetireCredentials, ShowCredential, WalletCommand,
};
use crate::commands::persona::keep::Purse;
use crate::commands::persona::web::{Asked, answer};
use crate::commands::verifier::now;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Page;
use crate::words;
use cards::{Cards, refused};
use issuer::Issuer;

pub(crate) async fn run(context: &Context, command: WalletCommand) -> Result<Exit, Failure> {
    match command {
        WalletCommand::Get(args) => get(context, args).await,
        WalletCommand::List(args) => list(context, args).await,
        WalletCommand::Show(args) => show(context, args).await,
        WalletCommand::Renew(args) => renew(context, args).await,
        WalletCommand::Retire(args) => retire(context, args).await,
    }
}

/// Proves the member's persona to an issuer for one of its purposes. Gives what it says.
async fn prove(
    context: &Context,
    purse: &mut Purse,
    issuer: &Issuer<'_>,
    web: &Web,
    purpose: &str,
    question: Option<&dyn Fn(&str) -> String>,
) -> Result<Value, Failure> {
    let url = issuer.begin(purpose).await?;
    let request = web.proof_request(&url).await?;
    if request.context.verifier() != issuer.address {
        let what = "the issuer asks for a persona that is somebody else's";
        return Err(Failure::input(what, "nothing was shown; tell its people").coded("bad-issuer"));
    }
    let asked = Asked { url: &url, request: &request, yes: question.is_none() };
    let ask = |_: &str, learns: &str| question.map_or_else(String::new, |question| question(learns));
    Ok(answer(context, web, purse, &asked, ask).await?.1)
}

async fn get(context: &Context, args: GetCredentials) -> Result<Exit, Failure> {
    let web = Web::new()?;
    let issuer = Issuer::new(&web, &args.issuer)?;
    let mut purse = Purse::existing(context, now())?;
    let mut cards = Cards::open(context, &purse.key, &purse.commons)?;
    let question = |learns: &str| {
        format!(
            "{} learns {learns}, and writes it into credentials for your wallet. Each of them looks the same whenever it is shown, and {0} \
             can tell whose it is. Get them?",
            issuer.address
        )
    };
    let question: Option<&dyn Fn(&str) -> String> = if args.yes { None } else { Some(&question) };
    let reply = prove(context, &mut purse, &issuer, &web, "issue", question).await?;
    let offer = reply.get("credential_offer").cloned().unwrap_or_default();
    let taken = issuer.obtain(&offer, &mut cards.wallet).await?;
    cards.save(&purse.key)?;
    let all = cards.wallet.summaries();
    let claims = all.last().map(|last| last.claims.clone()).unwrap_or_default();
    let facts = json!({ "issuer": issuer.address, "taken": taken, "claims": claims });
    context.out.answer(&facts, |page| {
        let count = words::counted(taken as u64, "credential is", "credentials are");
        page.headline(true, &format!("{count} in your wallet, each for one verifier."));
        page.row("issuer", issuer.address);
        page.row("can show", claims.join(", "));
        page.line(
            "\n  Keep them alive with `commons wallet renew` once in an epoch; end them all with `commons wallet retire`.",
        );
    });
    Ok(Exit::Yes)
}

async fn list(context: &Context, args: ListCredentials) -> Result<Exit, Failure> {
    let commons = context.roster()?.digest();
    let cards = Cards::open(context, &context.member_key(false)?, &commons)?;
    let all = cards.wallet.summaries();
    let stand = if args.check { standing(&cards, &all).await? } else { vec![None; all.len()] };
    let each = |(summary, stands): (&Summary, &Option<bool>)| {
        let mut value = facts(summary);
        if let (Value::Object(map), Some(stands)) = (&mut value, stands) {
            map.insert("stands".to_owned(), json!(stands));
        }
        value
    };
    let value = json!({ "credentials": all.iter().zip(&stand).map(each).collect::<Vec<_>>() });
    context.out.answer(&value, |page| {
        page.headline(true, &words::counted(all.len() as u64, "credential in your wallet.", "credentials in your wallet."));
        rows(page, &all);
        let ended = stand.iter().filter(|stands| **stands == Some(false)).count() as u64;
        match (args.check, ended) {
            (false, _) => {}
            (true, 0) => page.row("status", "all of them stand"),
            (true, ended) => page.row(
                "status",
                format!(
                    "{}; renew with `commons wallet renew`",
                    words::counted(ended, "one does not stand", "do not stand")
                ),
            ),
        }
    });
    Ok(Exit::Yes)
}

/// Which credentials stand, by their issuers' lists.
async fn standing(cards: &Cards, all: &[Summary]) -> Result<Vec<Option<bool>>, Failure> {
    let web = Web::new()?;
    let mut lists = std::collections::BTreeMap::new();
    for address in cards.issuers() {
        let own = all.iter().filter(|summary| summary.issuer == address);
        let mut uris: Vec<String> = own.filter_map(|summary| summary.status.clone().map(|(uri, _)| uri)).collect();
        uris.sort();
        uris.dedup();
        lists.extend(Issuer::new(&web, &address)?.lists(&uris).await?);
    }
    let stands = |summary: &Summary| {
        let (uri, place) = summary.status.as_ref()?;
        lists.get(uri)?.stands(usize::try_from(*place).ok()?)
    };
    Ok(all.iter().map(stands).collect())
}

async fn show(context: &Context, args: ShowCredential) -> Result<Exit, Failure> {
    let web = Web::new()?;
    let bad = || {
        Failure::input(
            "this is no verifier's link",
            "copy it whole: it begins with openid4vp:// (in quotes on a command line)",
        )
    };
    let (_, query) = args.link.strip_prefix("openid4vp:").and_then(|rest| rest.split_once('?')).ok_or_else(bad)?;
    let link = Form::parse(query).map_err(|_| bad())?;
    let (Some(client), Some(url)) = (link.value("client_id"), link.value("request_uri")) else { return Err(bad()) };
    let reply = web.get(url).await?;
    if reply.status != 200 {
        reply.json()?;
    }
    let asking = Asking::read(&reply.body, url, client, now()).map_err(|error| refused(&error))?;
    let mut purse = Purse::existing(context, now())?;
    let mut cards = Cards::open(context, &purse.key, &purse.commons)?;
    cards.wallet.forget_ended(now());
    let shows = cards.wallet.would_show(&asking).unwrap_or_default();
    let said: Vec<String> = shows.iter().map(|(name, value)| format!("your {name}: {}", plain(value))).collect();
    let name = asking.name.as_deref().map(super::terms::plain).unwrap_or_default();
    if !args.yes && cards.wallet.would_show(&asking).is_some() {
        let learns = [&["that you are a member".to_owned()], said.as_slice()].concat().join(", ");
        let question =
            format!("A verifier at {} that calls itself \"{name}\" asks. They learn {learns}. Show them?", asking.origin);
        if !context.confirm(&question, "--yes")? {
            let hint = "run it again and answer y if you want to";
            return Err(Failure::input("nothing was shown", hint).coded("not-confirmed"));
        }
    }
    let (form, issuer) = cards.wallet.answer(&asking, now()).map_err(|error| refused(&error))?;
    // Before it is posted: what was shown is known here even if the answer is lost, and when the credential has ended.
    cards.save(&purse.key)?;
    let disclosed = shows.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
    purse.note_carried(&issuer, PersonaAct::Carried { to: asking.origin.clone(), disclosed }, now());
    purse.save(context)?;
    let reply = web.post(&asking.response_uri, "application/x-www-form-urlencoded", form, None).await?.json()?;
    let go_on = reply.get("redirect_uri").and_then(Value::as_str).map(super::terms::plain);
    let list: serde_json::Map<String, Value> = shows.into_iter().collect();
    let facts = json!({ "verifier": asking.origin, "name": name, "shown": list, "accepted": true, "go_on": go_on });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("Shown to {}, and to no other verifier from now on.", asking.origin));
        for said in &said {
            page.line(format!("  {said}"));
        }
        if let Some(go_on) = &go_on {
            page.row("go on at", go_on);
        }
    });
    Ok(Exit::Yes)
}

async fn renew(context: &Context, args: RenewCredentials) -> Result<Exit, Failure> {
    let web = Web::new()?;
    let mut purse = Purse::existing(context, now())?;
    let issuers = match args.issuer {
        Some(issuer) => vec![issuer],
        None => Cards::open(context, &purse.key, &purse.commons)?.issuers(),
    };
    for address in &issuers {
        prove(context, &mut purse, &Issuer::new(&web, address)?, &web, "renew", None).await?;
    }
    context.out.answer(&json!({ "renewed": issuers }), |page| {
        match issuers.is_empty() {
            true => page.headline(true, "Your wallet is empty; there is nothing to renew."),
            false => page.headline(true, "Your credentials stand for another epoch."),
        }
        for address in &issuers {
            page.row("issuer", address);
        }
    });
    Ok(Exit::Yes)
}

async fn retire(context: &Context, args: RetireCredentials) -> Result<Exit, Failure> {
    let web = Web::new()?;
    let issuer = Issuer::new(&web, &args.issuer)?;
    let mut purse = Purse::existing(context, now())?;
    let mut cards = Cards::open(context, &purse.key, &purse.commons)?;
    let question = |_: &str| format!("End all credentials that {} gave you, for every verifier?", issuer.address);
    let question: Option<&dyn Fn(&str) -> String> = if args.yes { None } else { Some(&question) };
    prove(context, &mut purse, &issuer, &web, "retire", question).await?;
    cards.wallet.forget_of(issuer.address);
    cards.save(&purse.key)?;
    context.out.answer(&json!({ "issuer": issuer.address, "retired": true }), |page| {
        page.headline(true, "They have ended, for every verifier within minutes.");
        page.line("  The issuer has forgotten whose they were. You can get new ones.");
    });
    Ok(Exit::Yes)
}

fn plain(value: &Value) -> String {
    super::terms::plain(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// One credential, for programs.
pub(crate) fn facts(summary: &Summary) -> Value {
    let shown = summary.shown.as_ref();
    json!({
        "issuer": summary.issuer, "claims": summary.claims, "expires_at": summary.expires_at,
        "shown": shown.map(|shown| json!({ "to": shown.to, "origin": shown.origin, "at": shown.at })),
    })
}

/// By issuer: how many are left, and to whom the others were shown.
pub(crate) fn rows(page: &mut Page, all: &[Summary]) {
    let mut issuers: Vec<&str> = all.iter().map(|summary| summary.issuer.as_str()).collect();
    issuers.sort_unstable();
    issuers.dedup();
    for issuer in issuers {
        let own: Vec<&Summary> = all.iter().filter(|summary| summary.issuer == issuer).collect();
        let fresh = own.iter().filter(|summary| summary.shown.is_none()).count() as u64;
        page.heading(issuer);
        page.row("left", format!("{} of {} shown to nobody", words::count(fresh), words::count(own.len() as u64)));
        if let Some(first) = own.first() {
            page.row("can show", first.claims.join(", "));
        }
        if let Some(end) = own.iter().map(|summary| summary.expires_at).min() {
            page.row("end", format!("{} at the latest", words::time(end)));
        }
        for shown in own.iter().filter_map(|summary| summary.shown.as_ref()) {
            page.row(&words::time(shown.at), format!("one was shown at {}", shown.origin));
        }
    }
}
