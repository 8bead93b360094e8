//! Personas as their owner sees them, and the code that others check face to face.

use client::wallet::{Kept, PersonaAct};
use credential::code::Code;
use credential::glyph::Glyph;
use credential::{Envelope as _, Persona};
use serde_json::{Value, json};

use super::keep::Purse;
use super::named;
use crate::args::persona::{CheckCode, Code as CodeArgs, Show};
use crate::commands::verifier::{self, now, read_context, read_envelope, refused, write_or_print};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::write_out;
use crate::words;

pub(super) fn list(context: &Context) -> Result<Exit, Failure> {
    let purse = Purse::existing(context, now())?;
    let personas = purse.wallet.personas();
    let facts = json!({ "personas": personas.iter().map(facts).collect::<Vec<_>>() });
    context.out.answer(&facts, |page| {
        page.headline(true, &words::counted(personas.len() as u64, "persona on this machine.", "personas on this machine."));
        for kept in personas {
            page.heading(&kept.label);
            rows(page, kept);
        }
        page.line("\nNobody but you can tell that they are one person. `commons persona show PERSONA` draws a mark.");
    });
    Ok(Exit::Yes)
}

pub(super) fn one(context: &Context, args: &Show) -> Result<Exit, Failure> {
    let purse = Purse::existing(context, now())?;
    let kept = named(&purse, &args.named.persona)?;
    let glyph = Glyph::new(&kept.pseudonym);
    if let Some(path) = &args.svg {
        std::fs::write(path, glyph.svg()).map_err(|error| Failure::write(path, &error))?;
    }
    let mut value = facts(kept);
    if let Some(map) = value.as_object_mut() {
        map.insert("description".to_owned(), glyph.description().into());
        map.insert("svg".to_owned(), json!(args.svg));
    }
    context.out.answer(&value, |page| {
        page.headline(true, &kept.label);
        page.line(format!("\n{}", glyph.terminal(context.out.colours())));
        page.row("mark", glyph.description());
        rows(page, kept);
        verifier::rows(page, &kept.context);
        for used in &kept.uses {
            page.row(&words::time(used.at), act(&used.act));
        }
    });
    Ok(Exit::Yes)
}

pub(crate) fn facts(kept: &Kept) -> Value {
    let uses: Vec<Value> = kept
        .uses
        .iter()
        .map(|used| {
            let mut value = match &used.act {
                PersonaAct::Shown { disclosed } => {
                    let disclosed: serde_json::Map<String, Value> =
                        disclosed.iter().map(|(attribute, value)| (attribute.name().to_owned(), json!(value))).collect();
                    json!({ "act": "shown", "disclosed": disclosed })
                }
                PersonaAct::Revealed { other, to_one } => json!({ "act": "revealed", "other": other, "to_one": to_one }),
                PersonaAct::Refused { why } => json!({ "act": "refused", "why": why }),
                PersonaAct::Carried { to, disclosed } => {
                    let disclosed: serde_json::Map<String, Value> =
                        disclosed.iter().map(|(claim, value)| (claim.clone(), json!(value))).collect();
                    json!({ "act": "carried", "to": to, "disclosed": disclosed })
                }
            };
            if let Some(map) = value.as_object_mut() {
                map.insert("at".to_owned(), used.at.into());
            }
            value
        })
        .collect();
    json!({
        "label": kept.label, "context": kept.context.id(), "verifier": kept.context.verifier(), "kind": kept.context.kind(),
        "pseudonym": kept.pseudonym, "glyph": Glyph::new(&kept.pseudonym).name(), "since": kept.since, "retired": kept.retired,
        "uses": uses,
    })
}

pub(crate) fn rows(page: &mut crate::output::Page, kept: &Kept) {
    page.row("known to", kept.context.verifier());
    page.row("mark", Glyph::new(&kept.pseudonym).name());
    page.row("pseudonym", kept.pseudonym);
    page.row("since", words::time(kept.since));
    if let Some(retired) = kept.retired {
        page.row("given up", words::time(retired));
    }
    match kept.uses.last() {
        Some(last) => page.row(
            "uses",
            format!("{}, last {}: {}", words::count(kept.uses.len() as u64), words::time(last.at), act(&last.act)),
        ),
        None => page.row("uses", "none"),
    }
}

fn act(act: &PersonaAct) -> String {
    match act {
        PersonaAct::Shown { disclosed } => format!("shown, disclosing {}", listed(disclosed)),
        PersonaAct::Carried { to, disclosed } => {
            format!("a wallet's credential was shown at {to}, disclosing {}", listed(disclosed))
        }
        PersonaAct::Revealed { other, to_one } => {
            let whom = if *to_one { "to one who can convince nobody else" } else { "to all" };
            format!("revealed to be {}, {whom}", Glyph::new(other).name())
        }
        PersonaAct::Refused { why } => format!("refused: {why}"),
    }
}

fn listed<A: std::fmt::Display>(disclosed: &[(A, String)]) -> String {
    if disclosed.is_empty() {
        return "nothing".to_owned();
    }
    let list: Vec<String> = disclosed.iter().map(|(attribute, value)| format!("{attribute} {value}")).collect();
    list.join(", ")
}

pub(super) async fn code(context: &Context, args: CodeArgs) -> Result<Exit, Failure> {
    let purse = Purse::existing(context, now())?;
    let kept = named(&purse, &args.named.persona)?;
    if kept.retired.is_some() {
        return Err(super::prove::given_up());
    }
    let persona = Persona::new(&purse.wallet.secret()?, &kept.context);
    loop {
        kept.context.check_open(now()).map_err(refused)?;
        let code = Code::new(&persona, now());
        let glyph = Glyph::new(&kept.pseudonym).with_code(&code);
        let facts =
            json!({ "label": kept.label, "pseudonym": kept.pseudonym, "made_at": code.made_at(), "code": code.to_json() });
        if args.out.is_some() {
            write_or_print(
                context,
                args.out.as_deref(),
                &code.to_json(),
                &facts,
                "The code of this moment; it is good for 30 seconds.",
            )?;
            return Ok(Exit::Yes);
        }
        context.out.answer(&facts, |page| {
            page.line(glyph.terminal(context.out.colours()));
            page.line(code.to_json());
            page.line("\nGood for 30 seconds. They check it with `commons persona check-code CODE --context CONTEXT`.");
        });
        if !args.watch {
            return Ok(Exit::Yes);
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Yes),
            () = tokio::time::sleep(std::time::Duration::from_secs(10)) => write_out("\n"),
        }
    }
}

pub(super) fn check_code(context: &Context, args: &CheckCode) -> Result<Exit, Failure> {
    let place = read_context(&args.context)?;
    let code: Code = read_envelope(&args.code)?;
    let wanted = args.is.as_deref().unwrap_or_default().to_ascii_lowercase();
    let checked = code.verify(&place, now());
    let checked =
        checked.map_err(|error| error.to_string()).and_then(|pseudonym| match pseudonym.to_hex().starts_with(&wanted) {
            true => Ok(pseudonym),
            false => Err("this code is another persona's; look at the mark again".to_owned()),
        });
    match checked {
        Ok(pseudonym) => {
            let glyph = Glyph::new(&pseudonym).with_code(&code);
            let facts = json!({ "valid": true, "pseudonym": pseudonym, "glyph": glyph.name(), "made_at": code.made_at() });
            context.out.answer(&facts, |page| {
                page.headline(true, "This persona made this code just now. Compare the mark with the one on their screen.");
                page.line(format!("\n{}", glyph.terminal(context.out.colours())));
                page.row("pseudonym", pseudonym);
            });
            Ok(Exit::Yes)
        }
        Err(why) => {
            context.out.answer(&json!({ "valid": false, "why": why }), |page| {
                page.headline(false, "Not shown.");
                page.line(format!("  {why}"));
            });
            Ok(Exit::No)
        }
    }
}
