//! `commons guardians`: who can help me to a new device. Names stay on this machine; the nodes know shares, not people.

use std::path::{Path, PathBuf};

use client::circle::{Circle, Named, Newcomer, number};
use client::guardian::TEXT_BYTES;
use client::native::NativeClient;
use client::own::OWN_BYTES;
use client::request::Question;
use client::{MemberKey, Platform as _};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use types::message::{MemberStatement, Outcome};
use types::recovery::{GuardedStatement, Guardian, RecoveryState, RecoveryStatement, read_guardian_code};
use types::{DeviceKey, UnixSeconds};

use crate::args::recovery::GuardiansCommand;
use crate::commands::grant::look;
use crate::commands::paper::{hand_out, random};
use crate::commands::status::conclude;
use crate::commands::{receipt, rules, terms};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::{read_limited, write_private};
use crate::output::Page;
use crate::words;

pub(crate) async fn run(context: &Context, command: GuardiansCommand) -> Result<Exit, Failure> {
    match command {
        GuardiansCommand::Set { need, guardians, out } => {
            let newcomers = guardians.iter().map(|text| newcomer(text)).collect::<Result<Vec<_>, Failure>>()?;
            change(context, newcomers, &out, |_, _| Ok((Circle::default(), need))).await
        }
        GuardiansCommand::List => list(context).await,
        GuardiansCommand::Replace { old, new, out } => {
            let newcomers = vec![newcomer(&new)?];
            change(context, newcomers, &out, |circle, need| Ok((without(circle, &[old])?, need))).await
        }
        GuardiansCommand::Remove { all: true, .. } => {
            change(context, Vec::new(), Path::new(""), |_, _| Ok((Circle::default(), 0))).await
        }
        GuardiansCommand::Remove { names, need, .. } => {
            let keep = |circle: &Circle, before| Ok((without(circle, &names)?, need.unwrap_or(before)));
            change(context, Vec::new(), Path::new(""), keep).await
        }
    }
}

/// A file with a code, named by the file; or `NAME=CODE`.
fn newcomer(text: &str) -> Result<Newcomer, Failure> {
    let path = Path::new(text);
    let (name, code) = match text.split_once('=') {
        Some((name, code)) if !path.exists() => (name.to_owned(), code.to_owned()),
        _ => {
            let bytes = read_limited(path, TEXT_BYTES as u64).map_err(|error| Failure::read(path, &error))?;
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            (name, String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    if !Newcomer::is_name(&name) {
        return Err(Failure::input(format!("`{name}` is no name for a guardian"), "use 1 to 40 letters, digits, - and _"));
    }
    let guardian = read_guardian_code(&code).map_err(|error| Failure::from(error).about(text))?;
    Ok(Newcomer { name, guardian })
}

fn without(circle: &Circle, names: &[String]) -> Result<Circle, Failure> {
    circle.without(names).ok_or_else(|| {
        let known = |name: &&String| circle.named().iter().any(|known| known.name == **name);
        let unknown = names.iter().find(|name| !known(name)).map_or("", String::as_str);
        Failure::input(format!("you have no guardian `{unknown}`"), "see `commons guardians list`").coded("guardian-unknown")
    })
}

/// Names the guardians anew: those whom `keep` leaves of the known ones, and the newcomers, each with a share of their own.
async fn change(
    context: &Context,
    newcomers: Vec<Newcomer>,
    out: &Path,
    keep: impl FnOnce(&Circle, u8) -> Result<(Circle, u8), Failure>,
) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let key = context.member_key(false)?;
    rules::heed(context, &client).await?;
    let (_, member) = look(context, &client, &device).await?;
    let now = client.platform().now();
    let (name, commons) = (client.trace(&device).recovery(), client.commons().digest());
    let before = member.guarded.as_ref().map_or(0, |guarded| guarded.guarding.need_at(now));
    let (mut circle, need) = keep(&read(context, &client, &key)?, before)?;
    let twice = |newcomer: &Newcomer| circle.named().iter().any(|known| known.name == newcomer.name);
    if let Some(twice) = newcomers.iter().find(|newcomer| twice(newcomer)) {
        return Err(Failure::input(format!("you have a guardian `{}` already", twice.name), "choose another name"));
    }
    // Before the nodes hear of them: a share that only they know would be lost.
    let mut files = Vec::new();
    for (name, text) in circle.invite(&commons, name, newcomers, &*random()?)? {
        let path = out.join(format!("for-{name}.share"));
        hand_out(&text, Some(&path), None)?;
        files.push(path);
    }
    let set = circle.set(name, need);
    let spinner = context.out.spinner("Naming guardians on three nodes");
    let proof = client.settle(&device, Question::SetGuardians(set)).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let path = context.home.guardians(&context.member, &commons);
    write_private(&path, &circle.seal(&key, &*random()?)?).map_err(|error| Failure::write(&path, &error))?;
    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let Outcome::GuardiansSet { version, settled_at } = proof.outcome() else {
        return Err(Failure::input("the nodes decided something else", "ask `commons guardians list`"));
    };
    let more = json!({ "version": version, "need": need, "settled_at": settled_at, "shares": files });
    context.out.answer(&receipt::with(receipt::facts(&proof, &keeping), more), |page| {
        told(page, circle.named(), need, &files);
        let decided = proof.certificate.decision.decided_at;
        if settled_at > decided {
            page.row("all of it", format!("counts from {} on", words::time(settled_at)));
        }
        receipt::rows(page, &proof, &keeping);
    });
    Ok(receipt::exit(&keeping, Exit::Yes))
}

fn told(page: &mut Page, named: &[Named], need: u8, files: &[PathBuf]) {
    match named.len() {
        0 => page.headline(true, "Nobody will be able to recover for you."),
        n => page.headline(
            true,
            &format!("{}; {need} of them can help you to a new device.", words::counted(n as u64, "guardian", "guardians")),
        ),
    }
    for path in files {
        page.row("share", path.display());
    }
    if !files.is_empty() {
        page.line("\nGive each guardian their file; they keep it with `commons guardian accept FILE --from NAME`. Then delete the files here.");
    }
}

fn read(context: &Context, client: &NativeClient, key: &MemberKey) -> Result<Circle, Failure> {
    let path = context.home.guardians(&context.member, &client.commons().digest());
    let sealed = match read_limited(&path, OWN_BYTES as u64) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::read(&path, &error)),
    };
    Circle::open(key, sealed.as_deref()).map_err(|error| Failure::from(error).about(path.display()))
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let key = context.member_key(false)?;
    let (statements, member) = look(context, &client, &device).await?;
    let circle = read(context, &client, &key)?;
    let now = client.platform().now();
    let guarded = member.guarded.as_ref();
    let facts = json!({
        "need": guarded.map_or(0, |guarded| guarded.guarding.need_at(now)),
        "version": guarded.map_or(0, |guarded| guarded.guarding.version),
        "guardians": guarded.map(|g| g.guarding.guardians.iter().map(|one| guardian_facts(&circle, one, now)).collect::<Vec<_>>()),
        "recoveries": guarded.map(recoveries_facts),
    });
    context.out.answer(&facts, |page| show(page, guarded, &circle, now));
    Ok(conclude(context, &statements, Exit::Yes))
}

fn show(page: &mut Page, guarded: Option<&GuardedStatement>, circle: &Circle, now: UnixSeconds) {
    let Some(guarded) = guarded else {
        page.headline(false, "You have no guardians. Who loses this device loses everything.");
        page.line("\nName some with `commons guardians set --need K FILE...`");
        return;
    };
    let counting = guarded.guarding.counting(now).count() as u64;
    page.headline(
        true,
        &format!(
            "{} now; {} must approve a new device.",
            words::counted(counting, "guardian counts", "guardians count"),
            guarded.guarding.need_at(now)
        ),
    );
    for guardian in &guarded.guarding.guardians {
        page.row(&name_of(circle, &guardian.key), counts(guardian, now));
    }
    if let Some((need, from)) = guarded.guarding.next_need.filter(|(_, from)| *from > now) {
        page.row("needed", format!("{need} from {} on", words::time(from)));
    }
    recoveries(page, guarded);
}

fn name_of(circle: &Circle, share: &DeviceKey) -> String {
    let unknown = || format!("share {}", share.to_hex().get(..8).unwrap_or_default());
    circle.name_of(share).map_or_else(unknown, str::to_owned)
}

fn counts(guardian: &Guardian, now: UnixSeconds) -> String {
    match (guardian.from > now, guardian.until) {
        (true, _) => format!("counts from {} on", words::time(guardian.from)),
        (false, Some(until)) if until > now => format!("was taken away, and counts until {}", words::time(until)),
        (false, Some(_)) => "counts no more".to_owned(),
        (false, None) => "counts".to_owned(),
    }
}

fn guardian_facts(circle: &Circle, guardian: &Guardian, now: UnixSeconds) -> Value {
    let counts = guardian.from <= now && guardian.until.is_none_or(|until| now < until);
    json!({
        "name": name_of(circle, &guardian.key),
        "share": guardian.key,
        "counts": counts,
        "from": guardian.from,
        "until": guardian.until,
    })
}

pub(crate) fn recoveries_facts(guarded: &GuardedStatement) -> Value {
    let one = |recovery: &RecoveryStatement| {
        json!({
            "recovery": recovery.recovery,
            "device": recovery.device,
            "number": number(&recovery.device),
            "approvals": recovery.approvals,
            "compared": recovery.compared,
            "can_veto": recovery.can_veto,
            "since": recovery.since,
            "opens_at": recovery.opens_at,
            "closes_at": recovery.closes_at,
            "state": recovery.state.name(),
        })
    };
    guarded.recoveries.iter().map(one).collect()
}

/// Each recovery in a few lines.
pub(crate) fn recoveries(page: &mut Page, guarded: &GuardedStatement) {
    for recovery in &guarded.recoveries {
        page.heading(&format!("Recovery to device {}: {}", number(&recovery.device), recovery.state.name()));
        page.row("recovery", recovery.recovery);
        let face = if recovery.compared { "the face matched" } else { "no face was compared" };
        page.row(
            "since",
            format!(
                "{}; {} approved, {face}",
                words::time(recovery.since),
                words::counted(recovery.approvals.into(), "guardian", "guardians")
            ),
        );
        if recovery.state == RecoveryState::Waiting {
            page.row("may end", words::time(recovery.opens_at));
        }
    }
}

/// Recoveries that wait, loudly: to the device that they would replace.
pub(crate) fn warn(context: &Context, member: &MemberStatement, device: &SigningKey) {
    let own = types::sign::public_key(device);
    let waiting = member.guarded.iter().flat_map(|guarded| &guarded.recoveries);
    for recovery in waiting.filter(|recovery| recovery.state == RecoveryState::Waiting && recovery.device != own) {
        let what = match recovery.can_veto {
            true => "If that is not you, say no: `commons recover veto`",
            false => "It cannot be vetoed: more guardians than needed approved it. Talk to them",
        };
        context.out.warn(&format!(
            "a new device ({}) asks to become yours and may do so from {} on. {what}.",
            terms::plain(&number(&recovery.device)),
            words::time(recovery.opens_at)
        ));
    }
}
