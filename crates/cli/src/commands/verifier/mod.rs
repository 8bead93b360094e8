//! Those to whom personas are shown: contexts, challenges, and checking proofs.

mod door;

use std::io::Read as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use credential::{Attribute, Context as Place, Credential, Envelope, Issuers, Kind, Presentation, limits};
use qrcode::QrCode;
use serde_json::{Value, json};
use types::UnixSeconds;

use crate::args::persona::{ChallengeArgs, CheckContext, ContextCommand, KindArg, NewContext, VerifyProof};
use crate::commands::terms;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::read_limited;
use crate::output::Page;
use crate::words;
use door::Door;

pub(crate) fn run(context: &Context, command: ContextCommand) -> Result<Exit, Failure> {
    match command {
        ContextCommand::New(args) => new(context, &args),
        ContextCommand::Check(args) => check(context, &args),
        ContextCommand::RevealKey(args) => super::persona::reveal_key(context, &args),
    }
}

fn new(context: &Context, args: &NewContext) -> Result<Exit, Failure> {
    let kind = match args.kind {
        KindArg::Standing => Kind::Standing,
        KindArg::OneTime => Kind::OneTime,
        KindArg::Masquerade => Kind::Masquerade,
    };
    let at = |when: &Option<String>| when.as_deref().map(|when| terms::until(when, now())).transpose();
    let (opens, closes) = (at(&args.opens)?, at(&args.closes)?);
    let mut place = Place::new(&args.id, &args.verifier, kind).map_err(refused)?;
    place = match (opens, closes) {
        (None, None) => place,
        (opens, Some(closes)) => place.between(opens.unwrap_or_else(now), closes).map_err(refused)?,
        (Some(_), None) => return Err(Failure::input("it opens and never closes", "say when it closes with --closes")),
    };
    for demand in &args.demand {
        let (name, values) = demand.split_once('=').unwrap_or((demand, ""));
        let attribute = Attribute::ALL.into_iter().find(|attribute| attribute.name() == name).ok_or_else(|| {
            let all: Vec<&str> = Attribute::ALL.into_iter().map(Attribute::name).collect();
            Failure::input(format!("there is no attribute \"{name}\""), format!("name one of {}", all.join(", ")))
        })?;
        let values: Vec<&str> = values.split(',').map(str::trim).filter(|value| !value.is_empty()).collect();
        place = place.demand(attribute, &values).map_err(refused)?;
    }
    // What holds for the whole, such as that a masquerade closes.
    Place::from_bytes(&place.to_bytes()).map_err(refused)?;
    let text =
        serde_json::to_string_pretty(&place).map_err(|_| Failure::input("this cannot be written as JSON", "report this"))?;
    let facts = json!({ "context": place, "digest": place.digest(), "file": args.out.file });
    write_or_print(
        context,
        args.out.file.as_deref(),
        &text,
        &facts,
        "A context. Publish it, so that members read it before they show anything.",
    )?;
    Ok(Exit::Yes)
}

fn check(context: &Context, args: &CheckContext) -> Result<Exit, Failure> {
    let place = read_context(&args.context)?;
    let open = place.check_open(now());
    let facts = json!({
        "context": place, "digest": place.digest(), "scope": place.scope(), "open": open.is_ok(), "learns": learns(&place, None),
    });
    context.out.answer(&facts, |page| {
        match &open {
            Ok(()) => page.headline(true, &format!("\"{}\" is open.", place.id())),
            Err(error) => page.headline(false, &format!("\"{}\": {error}.", place.id())),
        }
        rows(page, &place);
        page.row("digest", place.digest());
    });
    Ok(if open.is_ok() { Exit::Yes } else { Exit::No })
}

/// `commons challenge`.
pub(crate) fn challenge(context: &Context, args: &ChallengeArgs) -> Result<Exit, Failure> {
    let place = read_context(&args.context)?;
    let door = Door::open(context, &place, args.state.folder.as_deref())?;
    let challenge = door.challenge(super::persona::keep::random()?, now())?;
    let text = challenge.to_json();
    if let Some(path) = &args.qr {
        let code = QrCode::new(&text).map_err(|_| Failure::input("the QR code cannot be drawn", "give it as text"))?;
        let svg = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).build();
        std::fs::write(path, svg).map_err(|error| Failure::write(path, &error))?;
    }
    let facts = json!({ "challenge": text, "expires_at": challenge.expires_at(), "file": args.out.file, "qr": args.qr });
    write_or_print(
        context,
        args.out.file.as_deref(),
        &text,
        &facts,
        "A challenge. It is good for five minutes, and for one answer.",
    )?;
    Ok(Exit::Yes)
}

/// `commons verify-proof`.
pub(crate) fn verify(context: &Context, args: &VerifyProof) -> Result<Exit, Failure> {
    let place = read_context(&args.context)?;
    let issuers = Issuers::of(&context.roster()?).map_err(refused)?;
    let door = Door::open(context, &place, args.state.folder.as_deref())?;
    let read = read_envelope::<Presentation>(&args.proof);
    let presentation = match read {
        Ok(presentation) => presentation,
        Err(failure) => {
            door.log(now(), "unreadable")?;
            return Err(failure);
        }
    };
    match door.admit(&presentation, now(), &issuers)? {
        Ok(verified) => {
            let disclosed: serde_json::Map<String, Value> =
                verified.disclosed.iter().map(|(attribute, value)| (attribute.name().to_owned(), json!(value))).collect();
            let facts = json!({
                "valid": true, "pseudonym": verified.pseudonym, "epoch": verified.epoch, "disclosed": disclosed,
                "context": place.id(), "kind": place.kind(),
            });
            context.out.answer(&facts, |page| {
                page.headline(true, "One enrolled person, by the word of two nodes.");
                page.row("pseudonym", verified.pseudonym);
                for (attribute, value) in &verified.disclosed {
                    page.row(attribute.name(), if value.is_empty() { "not vouched for" } else { value.as_str() });
                }
                page.line(match place.kind() {
                    Kind::Standing => "  The same person always has this pseudonym here, and no other.",
                    _ => "  They are admitted now, and will not be a second time.",
                });
            });
            Ok(Exit::Yes)
        }
        Err(error) => {
            let facts = json!({ "valid": false, "code": code_of(&error), "why": error.to_string() });
            context.out.answer(&facts, |page| {
                page.headline(false, "Not shown.");
                page.line(format!("  {error}."));
            });
            Ok(Exit::No)
        }
    }
}

/// A short name for programs and for the log.
pub(crate) fn code_of(error: &credential::Error) -> &'static str {
    use credential::Error as E;
    match error {
        E::WrongContext => "wrong-context",
        E::WrongNonce => "wrong-nonce",
        E::Stale => "stale",
        E::NotOpen => "not-open",
        E::Closed => "closed",
        E::Epoch => "wrong-epoch",
        E::OneIssuer => "one-issuer",
        E::Disclosure => "disclosure",
        E::Demand { .. } => "demand",
        E::Pseudonym => "pseudonym",
        E::Proof { .. } => "proof",
        E::Signatures => "signatures",
        E::Again => "again",
        E::Full { .. } => "full",
        E::WrongAudience => "wrong-audience",
        _ => "credential",
    }
}

/// A failure with its code.
pub(crate) fn refused(error: credential::Error) -> Failure {
    Failure::message(Exit::Input, code_of(&error), &error.to_string())
}

/// What a verifier learns of a person, in words.
pub(crate) fn learns(place: &Place, credentials: Option<&[Credential]>) -> String {
    let mut all =
        vec!["that you are one enrolled person".to_owned(), "the name that you have here and nowhere else".to_owned()];
    for demand in place.demands() {
        let value = credentials.and_then(<[_]>::first).map(|credential| credential.attributes().value(demand.attribute));
        all.push(match value {
            Some("") => format!("that no {} is vouched for", demand.attribute),
            Some(value) => format!("your {}: {value}", demand.attribute),
            None => format!("your {}", demand.attribute),
        });
    }
    all.join(", ")
}

/// A context in plain words.
pub(crate) fn rows(page: &mut Page, place: &Place) {
    page.row("context", place.id());
    page.row("verifier", place.verifier());
    page.row(
        "admits",
        match place.kind() {
            Kind::Standing => "each person as one persona, for good",
            Kind::OneTime => "each person once",
            Kind::Masquerade => "each person once, anonymously; afterwards no list of who came is left",
        },
    );
    if let Some(opens) = place.opens() {
        page.row("opens", words::time(opens));
    }
    if let Some(closes) = place.closes() {
        page.row("closes", words::time(closes));
    }
    page.row("learns", learns(place, None));
    for demand in place.demands().iter().filter(|demand| !demand.one_of.is_empty()) {
        page.row(demand.attribute.name(), format!("must be one of {}", demand.one_of.join(", ")));
    }
}

/// This machine's clock.
pub(crate) fn now() -> UnixSeconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// A context, as people write it or as programs send it.
pub(crate) fn read_context(source: &str) -> Result<Place, Failure> {
    let text = read_text(source, limits::ENVELOPE_BYTES)?;
    let failed = match Place::from_json(&text) {
        Ok(place) => return Ok(place),
        Err(credential::Error::Envelope { .. }) => match serde_json::from_str::<Place>(&text) {
            Ok(place) => return Ok(place),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let hint = "write one with `commons context new`, or get it again from its verifier";
    Err(Failure::input(format!("this is no context: {failed}"), hint).coded("context"))
}

/// A value in its JSON envelope.
pub(crate) fn read_envelope<E: Envelope>(source: &str) -> Result<E, Failure> {
    E::from_json(read_text(source, limits::ENVELOPE_BYTES)?.trim()).map_err(refused)
}

/// The text of a file, of standard input for `-`, or the argument itself where it is JSON.
pub(crate) fn read_text(source: &str, limit: usize) -> Result<String, Failure> {
    if source.trim_start().starts_with('{') {
        return Ok(source.to_owned());
    }
    let too_large = || Failure::input("this is larger than such a value can be", "check what you give");
    let bytes = if source == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(limit as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|_| Failure::input("standard input cannot be read", "name a file"))?;
        bytes
    } else {
        let path = Path::new(source);
        read_limited(path, limit as u64).map_err(|error| Failure::read(path, &error))?
    };
    if bytes.len() > limit {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|_| Failure::input("this is no text", "check what you give"))
}

/// What a command makes: into a file, or onto standard output by itself.
pub(crate) fn write_or_print(
    context: &Context,
    out: Option<&Path>,
    text: &str,
    facts: &Value,
    headline: &str,
) -> Result<(), Failure> {
    if let Some(path) = out {
        std::fs::write(path, format!("{text}\n")).map_err(|error| Failure::write(path, &error))?;
    }
    context.out.answer(facts, |page| match out {
        Some(path) => {
            page.headline(true, headline);
            page.row("file", path.display());
        }
        None => page.line(text),
    });
    Ok(())
}
