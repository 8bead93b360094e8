//! `commons guardian`: keep shares for others, and say which new device is a person's. Asks no node: nobody learns who guards whom.

use std::path::{Path, PathBuf};

use client::circle::{GUARDED_BYTES, Guarded, Refused, number};
use client::guardian;
use client::own::OWN_BYTES;
use serde_json::{Value, json};
use types::limits;
use types::recovery::{Plea, guardian_code};

use crate::args::recovery::{GuardianCode, GuardianCommand, GuardianKeyCommand};
use crate::commands::paper::{hand_out, random, read_text};
use crate::commands::terms;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::{read_limited, write_private};
use crate::words;

pub(crate) fn run(context: &Context, command: GuardianCommand) -> Result<Exit, Failure> {
    match command {
        GuardianCommand::Key(args) => match args.command {
            GuardianKeyCommand::New(args) => key(context, true, &args),
            GuardianKeyCommand::Show(args) => key(context, false, &args),
        },
        GuardianCommand::Accept { file, from } => accept(context, &file, &from),
        GuardianCommand::Requests { file } => requests(context, file.as_deref()),
        GuardianCommand::Approve { file, share, until, out, qr, yes, even_so } => {
            let paper = (out.as_deref(), qr.as_deref());
            approve(context, &file, share.as_deref(), &until, paper, (yes, even_so))
        }
        GuardianCommand::Refuse { file } => refuse(context, &file),
    }
}

fn key(context: &Context, create: bool, args: &GuardianCode) -> Result<Exit, Failure> {
    let key = context.member_key(create)?;
    let code = guardian_code(&key.guardian().public()?);
    hand_out(&format!("{code}\n"), args.out.as_deref(), args.qr.as_deref())?;
    context.out.answer(&json!({ "code": code, "file": args.out, "qr": args.qr }), |page| {
        page.headline(true, "Your guardian's code. It is no secret: give it to who names you as guardian.");
        page.row("code", &code);
        if let Some(path) = &args.out {
            page.row("file", path.display());
        }
        page.line("\nThey give you a share for it; keep that with `commons guardian accept FILE --from NAME`.");
    });
    Ok(Exit::Yes)
}

/// A share that is kept here.
struct Kept {
    path: PathBuf,
    guarded: Guarded,
}

fn accept(context: &Context, file: &Path, from: &str) -> Result<Exit, Failure> {
    let key = context.member_key(false)?;
    let text = read_text(file)?;
    let label = terms::plain(from);
    let (guarded, name, body) =
        Guarded::accept(&key, &text, &label, &*random()?).map_err(|error| Failure::from(error).about(file.display()))?;
    let taken = |kept: &Kept| kept.guarded.label == label && kept.guarded.share.public() != guarded.share.public();
    if kept(context)?.iter().any(taken) {
        return Err(Failure::input(
            format!("you keep another share as `{label}`"),
            "choose another name with --from; old shares of the same person can stay, they count for nothing",
        ));
    }
    let path = context.home.guarded(&context.member).join(name);
    write_private(&path, body.as_bytes()).map_err(|error| Failure::write(&path, &error))?;
    context.out.answer(&json!({ "from": label, "file": path }), |page| {
        page.headline(
            true,
            &format!("You are a guardian of {label}. Alone you can do nothing, and nothing happens until you are asked."),
        );
        page.row("kept in", path.display());
        page.line("\nWhen they lose their device they send you a request. Call them, then `commons guardian approve FILE`.");
    });
    Ok(Exit::Yes)
}

fn kept(context: &Context) -> Result<Vec<Kept>, Failure> {
    let folder = context.home.guarded(&context.member);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "share"));
    paths.sort();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let key = context.member_key(false)?;
    let one = |path: PathBuf| {
        let bytes = read_limited(&path, GUARDED_BYTES as u64).map_err(|error| Failure::read(&path, &error))?;
        let damaged = |_| Failure::input("this share is damaged", "ask for it again").about(path.display());
        let guarded = Guarded::read(&key, &String::from_utf8_lossy(&bytes)).map_err(damaged)?;
        Ok(Kept { guarded, path })
    };
    paths.into_iter().map(one).collect()
}

fn read_plea(file: &Path) -> Result<Plea, Failure> {
    guardian::read_plea(&read_text(file)?).map_err(|error| Failure::from(error).about(file.display()))
}

fn requests(context: &Context, file: Option<&Path>) -> Result<Exit, Failure> {
    let shares = kept(context)?;
    let plea = file.map(read_plea).transpose()?;
    let fitting: Vec<&Kept> = shares
        .iter()
        .filter(|kept| plea.as_ref().is_none_or(|plea| plea.commons == *kept.guarded.share.commons()))
        .collect();
    let facts = json!({
        "shares": fitting.iter().map(|kept| json!({ "from": kept.guarded.label, "file": kept.path })).collect::<Vec<_>>(),
        "request": plea.as_ref().map(plea_facts),
    });
    context.out.answer(&facts, |page| {
        match &plea {
            None => page.headline(true, &format!("You keep {}.", words::counted(fitting.len() as u64, "share", "shares"))),
            Some(plea) => {
                page.headline(true, "A new device asks for your approval.");
                page.row("device", number(&plea.device));
                page.row("asked", words::time(plea.at));
                page.line(
                    "\nCall the person, or meet. Let them read you the number of their new device: it must be this one.",
                );
            }
        }
        for kept in &fitting {
            page.row("share", terms::plain(&kept.guarded.label));
        }
    });
    Ok(Exit::Yes)
}

fn plea_facts(plea: &Plea) -> Value {
    json!({ "device": plea.device, "number": number(&plea.device), "at": plea.at })
}

fn approve(
    context: &Context,
    file: &Path,
    share: Option<&str>,
    until: &str,
    (out, qr): (Option<&Path>, Option<&Path>),
    (yes, even_so): (bool, bool),
) -> Result<Exit, Failure> {
    let plea = read_plea(file)?;
    let shares = kept(context)?;
    let here: Vec<&Kept> = shares.iter().filter(|kept| plea.commons == *kept.guarded.share.commons()).collect();
    let named = here.iter().filter(|kept| share.is_none_or(|name| kept.guarded.label == name)).collect::<Vec<_>>();
    let [kept] = named.as_slice() else {
        let names: Vec<&str> = here.iter().map(|kept| kept.guarded.label.as_str()).collect();
        let what = match (share, here.is_empty()) {
            (_, true) => "you keep no share of this commons".to_owned(),
            (Some(name), _) => format!("you keep no share as `{name}`"),
            (None, _) => "you keep several shares".to_owned(),
        };
        return Err(Failure::input(what, format!("name one with --share: {}", names.join(", "))).coded("share-unknown"));
    };
    if refused(context)?.contains(&plea.device) && !even_so {
        return Err(
            Failure::input("you refused this device before", "add --even-so if you are sure now").coded("refused-before")
        );
    }
    let now = now();
    let expires_at = terms::until(until, now)?;
    if expires_at > now.saturating_add(limits::APPROVAL_LIFETIME_S) {
        return Err(Failure::input("an approval counts for at most 30 days", "give an earlier end with --until"));
    }
    let screen = [
        ("for", terms::plain(&kept.guarded.label)),
        ("new device", number(&plea.device)),
        ("until", words::time(expires_at)),
        ("it lets them", "begin to recover, together with the other guardians; alone it does nothing".to_owned()),
    ];
    super::grant::agree(
        context,
        "You are about to say that this device is the person's. Did you talk to them?",
        &screen,
        yes,
    )?;
    let text = guardian::approve(&kept.guarded.share, &plea, expires_at)?;
    hand_out(&text, out, qr)?;
    let facts = json!({ "for": kept.guarded.label, "request": plea_facts(&plea), "expires_at": expires_at, "approval": text, "file": out, "qr": qr });
    context.out.answer(&facts, |page| {
        page.headline(true, "Approved. Send this back to the person:");
        match out {
            Some(path) => page.row("file", path.display()),
            None => page.line(format!("\n{text}")),
        }
        page.row("until", words::time(expires_at));
    });
    Ok(Exit::Yes)
}

fn refuse(context: &Context, file: &Path) -> Result<Exit, Failure> {
    let plea = read_plea(file)?;
    let key = context.member_key(false)?;
    let path = context.home.guarded(&context.member).join("refused.sealed");
    let sealed = refused(context)?.with(plea.device, &key, &*random()?)?;
    write_private(&path, &sealed).map_err(|error| Failure::write(&path, &error))?;
    context.out.answer(&json!({ "refused": plea_facts(&plea) }), |page| {
        page.headline(true, "Refused. Nobody was told; this machine remembers it.");
        page.row("device", number(&plea.device));
        page.line("\nTell the person that somebody asked in their name.");
    });
    Ok(Exit::Yes)
}

fn refused(context: &Context) -> Result<Refused, Failure> {
    let path = context.home.guarded(&context.member).join("refused.sealed");
    let bytes = match read_limited(&path, OWN_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Refused::default()),
        Err(error) => return Err(Failure::read(&path, &error)),
    };
    Refused::open(&context.member_key(false)?, Some(&bytes)).map_err(|error| Failure::from(error).about(path.display()))
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
