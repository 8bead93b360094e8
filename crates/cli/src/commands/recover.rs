//! `commons recover`: a new device takes the lost one's place; the old one can say no.

use std::path::{Path, PathBuf};

use client::circle::{Gathered, Recovering, number};
use client::guardian::plead;
use client::native::NativeClient;
use client::request::{Question, Sample, Template};
use client::{PartyKey, Platform as _};
use ed25519_dalek::SigningKey;
use serde_json::json;
use types::message::Outcome;
use types::recovery::{Approval, GuardedStatement, RecoveryFault, RecoveryState, RecoveryStatement};
use types::sign::{Signed, public_key};
use types::{OperationId, RecoveryName};
use zeroize::Zeroizing;

use crate::args::SampleArgs;
use crate::args::recovery::RecoverCommand;
use crate::commands::grant::look;
use crate::commands::guardians::{recoveries, recoveries_facts};
use crate::commands::paper::{hand_out, read_text, write_sealed};
use crate::commands::status::worst;
use crate::commands::{receipt, rules, terms};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::{read_limited, write_private};
use crate::{sample, words};

pub(crate) async fn run(context: &Context, command: RecoverCommand) -> Result<Exit, Failure> {
    match command {
        RecoverCommand::Ask { out, qr } => ask(context, out, qr),
        RecoverCommand::Start { sample, approval, without_sample: _, station_key } => {
            start(context, &sample, &approval, station_key).await
        }
        RecoverCommand::Status => status(context).await,
        RecoverCommand::Finish => finish(context).await,
        RecoverCommand::Veto { recovery } => veto(context, recovery.as_deref()).await,
    }
}

fn ask(context: &Context, out: Option<PathBuf>, qr: Option<PathBuf>) -> Result<Exit, Failure> {
    let (client, device) = context.member(true)?;
    let text = plead(&client.commons().digest(), &device, client.platform().now());
    hand_out(&text, out.as_deref(), qr.as_deref())?;
    let own = public_key(&device);
    context.out.answer(&json!({ "device": own, "number": number(&own), "request": text, "file": out, "qr": qr }), |page| {
        page.headline(true, "Send this to your guardians, and let them call you.");
        page.row("device", number(&own));
        match &out {
            Some(path) => page.row("file", path.display()),
            None => page.line(format!("\n{text}")),
        }
        page.line("\nRead them the number of your device. They answer with `commons guardian approve FILE`.");
        page.line("Then: `commons recover start PHOTO --approval FILE FILE...`");
    });
    Ok(Exit::Yes)
}

/// Whose recovery, and each guardian's word with the file it came in.
type Approvals<'f> = (RecoveryName, Vec<(&'f Path, Signed<Approval>)>);

/// The approvals, all for this device and of one member, each with the file it came from.
fn approvals<'f>(
    context: &Context,
    client: &NativeClient,
    device: &SigningKey,
    files: &'f [PathBuf],
) -> Result<Approvals<'f>, Failure> {
    let texts = files.iter().map(|path| read_text(path)).collect::<Result<Vec<_>, _>>()?;
    let at = |place: usize| files.get(place).map_or(Path::new(""), PathBuf::as_path);
    let gathered = Gathered::of(&client.commons().digest(), &public_key(device), client.platform().now(), &texts)
        .map_err(|(place, error)| Failure::from(error).about(at(place).display()))?;
    for place in gathered.repeated {
        context.out.note(&format!("{}: another approval by the same guardian; it counts once.", at(place).display()));
    }
    Ok((gathered.name, gathered.approvals.into_iter().map(|(place, approval)| (at(place), approval)).collect()))
}

async fn start(
    context: &Context,
    args: &SampleArgs,
    files: &[PathBuf],
    station_key: Option<PathBuf>,
) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let given = args.photo.is_some() || args.vector.is_some() || args.iris.is_some();
    let sample = given.then(|| sample::read(context, &roster, args)).transpose()?;
    let station = station_key.as_deref().map(|path| context.machine_key(path)).transpose()?;
    let (client, device) = context.member(true)?;
    rules::heed(context, &client).await?;
    let (name, found) = approvals(context, &client, &device, files)?;
    let guarded = ask_nodes(&client, &device, name).await?;
    let now = client.platform().now();
    // What the nodes would name by its place is named here by its file, and costs no attempt.
    for (path, approval) in &found {
        if !guarded.guarding.counting(now).any(|key| *key == approval.message.by) {
            let what = "this approval is not by a guardian who counts: made up, or replaced since";
            return Err(Failure::input(what, "leave it out, and ask another guardian")
                .coded("not-a-guardian")
                .about(path.display()));
        }
    }

    let (named, approvals): (Vec<&Path>, Vec<_>) = found.into_iter().unzip();
    let values = sample.as_ref().map(|sample| Zeroizing::new(sample.template.input_values()));
    let template =
        sample.as_ref().zip(values.as_ref()).map(|(sample, values)| Template { profile: &sample.profile, values });
    let station = station.as_ref().map(PartyKey::signing);
    let taken = template.map(|template| Sample { template, former: None, note: "", station, vouchers: &[] });
    let spinner = context.out.spinner("Asking three nodes to begin; a face is compared on shares");
    let proof = client.settle(&device, Question::StartRecovery(name, approvals, taken)).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let recovery = proof.certificate.decision.operation;
    if let Outcome::RecoveryStarted { .. } = proof.outcome() {
        write_private(
            &context.home.recovering(&context.member, &client.commons().digest()),
            &serde_json::to_vec_pretty(&Recovering { recovery, name }).unwrap_or_default(),
        )
        .map_err(|error| Failure::write(&context.home.recovering(&context.member, &client.commons().digest()), &error))?;
    }
    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let more = match proof.outcome() {
        Outcome::RecoveryStarted { opens_at, can_veto } => {
            json!({ "recovery": recovery, "opens_at": opens_at, "can_veto": can_veto })
        }
        Outcome::RecoveryRefused { fault } => {
            json!({ "fault": fault.code(), "approval": fault.approval().and_then(|n| named.get(usize::from(n))) })
        }
        _ => json!({}),
    };
    let exit = if matches!(proof.outcome(), Outcome::RecoveryStarted { .. }) { Exit::Yes } else { Exit::No };
    context.out.answer(&receipt::with(receipt::facts(&proof, &keeping), more), |page| {
        match proof.outcome() {
            Outcome::RecoveryStarted { opens_at, can_veto } => {
                page.headline(true, "The recovery has begun. Now your old device, if somebody has it, has time to say no.");
                page.row("recovery", recovery);
                page.row("finish", format!("from {} on, with `commons recover finish`", words::time(opens_at)));
                if !can_veto {
                    page.row("no veto", "more guardians than needed stand by you, so the old device cannot stop it");
                }
            }
            Outcome::RecoveryRefused { fault } => {
                page.headline(false, &format!("The recovery did not begin: {}.", fault_in_words(fault)));
                page.line("  The member's present device sees that it was tried.");
            }
            _ => {}
        }
        receipt::rows(page, &proof, &keeping);
    });
    Ok(receipt::exit(&keeping, exit))
}

fn fault_in_words(fault: RecoveryFault) -> String {
    match fault {
        RecoveryFault::TooFew { have, need } => {
            format!("{} approved, and {need} are needed", words::counted(have.into(), "guardian", "guardians"))
        }
        RecoveryFault::NotAGuardian { .. } => "an approval is not by a guardian who counts".to_owned(),
        RecoveryFault::Repeated { .. } => "one guardian's approval comes twice".to_owned(),
        RecoveryFault::Expired { .. } => "an approval is not of this time; ask for it again".to_owned(),
        RecoveryFault::Altered { .. } => "an approval is altered, or for another device".to_owned(),
        RecoveryFault::NoMatch => "the sample does not match the member's record".to_owned(),
        RecoveryFault::InvalidTemplate => "what was sent is no template of this profile".to_owned(),
    }
}

/// What the nodes say of a name, alike.
async fn ask_nodes(client: &NativeClient, device: &SigningKey, name: RecoveryName) -> Result<GuardedStatement, Failure> {
    let statements = client.tell(device, Question::Recovery(name)).await?;
    let told = statements.valid().next().ok_or_else(|| Failure::from(worst(&statements)))?;
    told.guarded.clone().ok_or_else(|| {
        Failure::input("the nodes know nobody with these guardians", "check that this is the right commons (--roster)")
            .coded("recovery-unknown")
    })
}

fn recovering(context: &Context, client: &NativeClient) -> Result<Recovering, Failure> {
    let path = context.home.recovering(&context.member, &client.commons().digest());
    let bytes = read_limited(&path, 4096).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::input("no recovery to this device has begun", "begin with `commons recover ask`").coded("no-recovery")
        }
        _ => Failure::read(&path, &error),
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Failure::input("this file is damaged", "delete it, and begin again").about(path.display()))
}

fn own(guarded: &GuardedStatement, recovery: OperationId) -> Option<&RecoveryStatement> {
    guarded.recoveries.iter().find(|known| known.recovery == recovery)
}

async fn status(context: &Context) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let Recovering { recovery, name } = recovering(context, &client)?;
    let guarded = ask_nodes(&client, &device, name).await?;
    let now = client.platform().now();
    let mine = own(&guarded, recovery);
    let ready = mine.is_some_and(|mine| mine.state == RecoveryState::Waiting && mine.opens_at <= now);
    let facts = json!({
        "recovery": recovery,
        "state": mine.map(|mine| mine.state.name()),
        "opens_at": mine.map(|mine| mine.opens_at),
        "ready": ready,
        "recoveries": recoveries_facts(&guarded),
    });
    context.out.answer(&facts, |page| {
        match mine {
            Some(mine) if ready => page.headline(true, &format!("The delay is over. Finish with `commons recover finish` by {}.", words::time(mine.closes_at))),
            Some(mine) if mine.state == RecoveryState::Waiting => {
                let left = words::counted(mine.opens_at.saturating_sub(now), "second", "seconds");
                page.headline(true, &format!("The recovery waits: {left} more, until {}.", words::time(mine.opens_at)));
            }
            Some(mine) => page.headline(mine.state == RecoveryState::Finished, &format!("The recovery is {}.", mine.state.name())),
            None => page.headline(false, "The nodes do not know this recovery any more."),
        }
        recoveries(page, &guarded);
        if mine.is_some_and(|mine| mine.state == RecoveryState::Vetoed) {
            page.line("\nYour old device said no. If a thief has it: begin again with one guardian more than is needed. That cannot be vetoed.");
        }
    });
    Ok(if mine.is_some_and(|mine| matches!(mine.state, RecoveryState::Waiting | RecoveryState::Finished)) {
        Exit::Yes
    } else {
        Exit::No
    })
}

async fn finish(context: &Context) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let Recovering { recovery, name } = recovering(context, &client)?;
    let guarded = ask_nodes(&client, &device, name).await?;
    let done = own(&guarded, recovery).is_some_and(|mine| mine.state == RecoveryState::Finished);
    if let Some(mine) = own(&guarded, recovery).filter(|mine| mine.opens_at > client.platform().now()) {
        let what = format!("the delay is not over: it ends at {}", words::time(mine.opens_at));
        return Err(Failure { exit: Exit::No, ..Failure::input(what, "wait, then run this again").coded("recovery-early") });
    }
    let proof = match done {
        // An earlier run got this far.
        true => None,
        false => {
            let spinner = context.out.spinner("Becoming yours on three nodes");
            let proof = client.settle(&device, Question::FinishRecovery(recovery)).await;
            spinner.finish_and_clear();
            Some(proof?)
        }
    };
    let released = client.release(&device, recovery).await?;
    let (_, first) = released.first().ok_or_else(|| Failure::input("no node gave anything back", "run this again"))?;
    if let Some(trace) = &first.trace {
        let path = context.home.inherited(&context.member, &client.commons().digest());
        write_sealed(&path, &context.member_key(false)?.files(), trace.secret_bytes())?;
        client.inherit(public_key(&device), trace.clone());
    }
    let kept = match &proof {
        Some(proof) => Some((proof, receipt::keep(context, &client, proof, None).await?)),
        None => None,
    };
    let (_, member) = look(context, &client, &device).await?;
    let personas = match &member.bound {
        Some(bound) => {
            crate::commands::persona::keep::restore(context, &client, context.member_key(false)?, &released, bound)?
        }
        None => false,
    };
    let mut facts = json!({ "member": member.member, "recovery": recovery, "personas": personas, "grants": member.grants.len(), "shield": member.shield });
    if let Some((proof, keeping)) = &kept {
        facts = receipt::with(facts, receipt::facts(proof, keeping));
        facts = receipt::with(facts, json!({ "member": member.member }));
    }
    context.out.answer(&facts, |page| {
        page.headline(true, "You are yourself again: this device is yours, the old one is nobody's.");
        page.row("member", member.member);
        page.row("your grants", words::counted(member.grants.len() as u64, "waits for you to pick", "wait for you to pick"));
        if personas {
            page.row("your personas", "their secret is back: in every context you are who you were");
        }
        if let Some((proof, keeping)) = &kept {
            receipt::rows(page, proof, keeping);
        }
        page.line("\nThe shield is up. Take it down with `commons shield down --restore GRANT...`; see `commons grants`.");
        page.line("Then look at your guardians: `commons guardians list`. The thief may have changed them.");
    });
    Ok(kept.as_ref().map_or(Exit::Yes, |(_, keeping)| receipt::exit(keeping, Exit::Yes)))
}

async fn veto(context: &Context, named: Option<&str>) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let (_, member) = look(context, &client, &device).await?;
    let waiting: Vec<OperationId> = member
        .guarded
        .iter()
        .flat_map(|guarded| &guarded.recoveries)
        .filter(|recovery| recovery.state == RecoveryState::Waiting)
        .map(|recovery| recovery.recovery)
        .collect();
    let recovery = match (named, waiting.as_slice()) {
        (Some(text), _) => {
            terms::by_prefix("recovery", text, waiting.iter().map(|id| (*id, id.to_hex())), "commons guardians list")?
        }
        (None, [only]) => *only,
        (None, []) => {
            return Err(Failure::input("no recovery of yours waits", "there is nothing to veto").coded("no-recovery"));
        }
        (None, _) => return Err(Failure::input("several recoveries wait", "name one; see `commons guardians list`")),
    };
    let spinner = context.out.spinner("Saying no on three nodes");
    let proof = client.settle(&device, Question::VetoRecovery(recovery)).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let keeping = receipt::keep(context, &client, &proof, None).await?;
    context.out.answer(&receipt::with(receipt::facts(&proof, &keeping), json!({ "recovery": recovery })), |page| {
        page.headline(true, "Vetoed: that device does not become yours.");
        page.row("recovery", recovery);
        receipt::rows(page, &proof, &keeping);
        page.line("\nSomebody has approvals of your guardians. Talk to them, and replace whom you no longer trust.");
    });
    Ok(receipt::exit(&keeping, Exit::Yes))
}
