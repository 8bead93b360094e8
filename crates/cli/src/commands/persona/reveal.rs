//! `commons persona reveal` and `check-reveal`: two personas are one person, said to all, or to one who can convince nobody else.

use client::showing::{REVEAL_FILE_BYTES, RevealFile, RevealKeyFile, Revealed};
use credential::glyph::Glyph;
use credential::reveal::{RevealKey, RevealPublicKey};
use serde_json::json;
use zeroize::Zeroizing;

use super::keep::{Purse, fresh};
use super::named;
use super::prove::given_up;
use crate::args::persona::{CheckReveal, Reveal as RevealArgs, RevealKeyArgs};
use crate::commands::verifier::{now, read_text, refused, write_or_print};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::{read_limited, write_new_private};

pub(super) fn run(context: &Context, args: RevealArgs) -> Result<Exit, Failure> {
    let at = now();
    let mut purse = Purse::existing(context, at)?;
    let (one, other) = (named(&purse, &args.one)?.clone(), named(&purse, &args.other)?.clone());
    if one.retired.is_some() || other.retired.is_some() {
        return Err(given_up());
    }
    if one.pseudonym == other.pseudonym {
        return Err(Failure::input("these are one persona", "name two"));
    }
    let to = args.to.as_deref().map(read_key).transpose()?;
    if !args.yes {
        let whom = to.as_ref().map_or("everybody who gets it".to_owned(), |(name, _)| format!("{name} alone"));
        let question =
            format!("Say to {whom} that \"{}\" and \"{}\" are one person? It cannot be unsaid.", one.label, other.label);
        if !context.confirm(&question, "--yes")? {
            return Err(
                Failure::input("nothing was revealed", "run it again and answer y if you want to").coded("not-confirmed")
            );
        }
    }
    let nonce = nonce(args.nonce.as_deref())?;
    let (pair, key) = ((&one.pseudonym, &other.pseudonym), to.as_ref().map(|(_, key)| key));
    let file = purse.wallet.reveal(pair, key, nonce, at, fresh()?).map_err(|error| match error {
        client::Error::Persona(error) => refused(error),
        other => other.into(),
    })?;
    purse.save(context)?;
    let (text, to_one) = (file.to_json(), to.is_some());
    let facts =
        json!({ "one": one.pseudonym, "other": other.pseudonym, "to_one": to_one, "reveal": text, "file": args.out.file });
    let headline = match to_one {
        true => "Revealed to one. They are convinced, and can convince nobody else: they could have made it themselves.",
        false => "Revealed to all. It can be passed on, and stays true.",
    };
    write_or_print(context, args.out.file.as_deref(), &text, &facts, headline)?;
    Ok(Exit::Yes)
}

pub(super) fn check(context: &Context, args: &CheckReveal) -> Result<Exit, Failure> {
    let file = RevealFile::from_json(&read_text(&args.reveal, REVEAL_FILE_BYTES)?)
        .map_err(|_| Failure::input("this is no reveal", "ask for the file that `commons persona reveal` wrote"))?;
    let key = args.key.as_deref().map(|name| own_key(context, name)).transpose()?;
    let asked = nonce(args.nonce.as_deref())?;
    let shown = match file.check(&asked, key.as_ref()) {
        Err(client::Error::Persona(error)) if !matches!(error, credential::Error::Reveal) => return Err(refused(error)),
        shown => shown,
    };
    let who = |named: &Revealed| json!({ "context": named.context.id(), "verifier": named.context.verifier(), "pseudonym": named.pseudonym });
    let facts = json!({ "one_person": shown.is_ok(), "one": who(&file.one), "other": who(&file.other), "to_me_alone": key.is_some() });
    context.out.answer(&facts, |page| {
        match &shown {
            Ok(()) if key.is_some() => {
                page.headline(true, "One person. You know it, and nobody would believe you: you could have made this.")
            }
            Ok(()) => page.headline(true, "One person."),
            Err(error) => {
                page.headline(false, "Not shown to be one person.");
                page.line(format!("  {error}"));
            }
        }
        for named in [&file.one, &file.other] {
            page.heading(&format!("{}, to {}", named.context.id(), named.context.verifier()));
            page.row("mark", Glyph::new(&named.pseudonym).name());
            page.row("pseudonym", named.pseudonym);
        }
    });
    Ok(if shown.is_ok() { Exit::Yes } else { Exit::No })
}

/// `commons context reveal-key`.
pub(crate) fn key(context: &Context, args: &RevealKeyArgs) -> Result<Exit, Failure> {
    types::PartyId::new(&args.name)?;
    let path = context.home.reveal_key(&args.name);
    if !path.exists() {
        let made = RevealKey::generate(fresh()?);
        let text = Zeroizing::new(hex(&made.secret_bytes()));
        write_new_private(&path, text.as_bytes()).map_err(|error| Failure::write(&path, &error))?;
    }
    let public = own_key(context, &args.name)?.public();
    let file = RevealKeyFile::new(&args.name, &public);
    let text = file.to_json();
    let facts = json!({ "name": args.name, "reveal_key": file.key(), "file": args.out.file });
    let headline = "Your public key for reveals that are made to you alone.";
    write_or_print(context, args.out.file.as_deref(), &text, &facts, headline)?;
    Ok(Exit::Yes)
}

fn own_key(context: &Context, name: &str) -> Result<RevealKey, Failure> {
    let path = context.home.reveal_key(name);
    let bytes = Zeroizing::new(read_limited(&path, 128).map_err(|error| Failure::read(&path, &error))?);
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let digest = types::Digest::from_hex(text.trim())
        .map_err(|_| Failure::input("this is no key", "make another with another name"))?;
    let secret = Zeroizing::new(digest.0);
    RevealKey::from_secret_bytes(&secret).map_err(refused)
}

fn read_key(source: &str) -> Result<(String, RevealPublicKey), Failure> {
    let wrong =
        || Failure::input("this is no public key for reveals", "ask for what `commons context reveal-key` shows there");
    match RevealKeyFile::read(&read_text(source, REVEAL_FILE_BYTES)?) {
        Ok((file, key)) => Ok((file.name, key)),
        Err(client::Error::BadFile { .. }) => Err(wrong()),
        Err(client::Error::Persona(error)) => Err(refused(error)),
        Err(other) => Err(other.into()),
    }
}

/// The other side's question, or zeros for a standing statement.
fn nonce(text: Option<&str>) -> Result<[u8; 32], Failure> {
    Ok(text.map(types::Digest::from_hex).transpose()?.map_or([0; 32], |digest| digest.0))
}

fn hex(bytes: &[u8; 32]) -> String {
    types::Digest(*bytes).to_hex()
}
