//! `commons charter`: read the rules in force; as operators, write, check, sign, join and bring the next ones.

use std::path::{Path, PathBuf};

use charter::{APPROVAL_BYTES, Approval, Change, Charter, Document, Effect};
use client::request::Question;
use client::rules::decode_signed;
use client::{Adoption, InForce, Proof};
use ed25519_dalek::SigningKey;
use node::identity::Identity;
use serde_json::{Value, json};
use types::api::{from_base64, to_base64};
use types::consent::SignedCharter;
use types::roster::Roster;
use types::{NodeId, Signature, limits};
use zeroize::Zeroizing;

use crate::args::proof::CharterCommand;
use crate::commands::{receipt, rules, terms};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::{read_limited, write_private};
use crate::output::Page;
use crate::words;

const JOINED_LINE: &str = "trust-commons charter 1";

pub(crate) async fn run(context: &Context, command: CharterCommand) -> Result<Exit, Failure> {
    match command {
        CharterCommand::Show { diff: true, .. } => difference(context).await,
        CharterCommand::Show { toml, .. } => show(context, toml).await,
        CharterCommand::New { out } => begin(context, &out).await,
        CharterCommand::Canonical { file, out } => canonical(context, &file, out),
        CharterCommand::Check { file } => check(context, &file).await,
        CharterCommand::Sign { file, identity } => sign_with(context, &file, &identity),
        CharterCommand::Join { file, signatures, out } => join(context, &file, &signatures, &out),
        CharterCommand::Adopt { file } => adopt(context, &file).await,
    }
}

async fn show(context: &Context, toml: bool) -> Result<Exit, Failure> {
    let client = context.client()?;
    let spinner = context.out.spinner("Asking three nodes");
    let in_force = rules::in_force(context, &client).await;
    spinner.finish_and_clear();
    let in_force = in_force?;
    rules::mark_read(context, client.commons().roster(), &in_force)?;
    let charter = &in_force.charter;
    let document = String::from_utf8_lossy(charter.bytes()).into_owned();
    let facts = json!({
        "version": charter.version(), "digest": charter.digest(), "signed": in_force.signed.is_some(),
        "document": charter.document(), "toml": document,
    });
    context.out.answer(&facts, |page| match toml {
        true => page.line(document.trim_end()),
        false => in_words(page, &in_force),
    });
    Ok(Exit::Yes)
}

fn in_words(page: &mut Page, in_force: &InForce) {
    let (charter, d) = (&in_force.charter, in_force.charter.document());
    page.headline(true, &format!("The rules of \"{}\", version {}.", d.name, d.version));
    let by = if in_force.signed.is_some() { "signed by all three operators" } else { "follows from the roster" };
    page.row("what it is", terms::plain(&d.summary));
    page.row("standing", format!("{by}; the same on all three nodes"));
    page.row("digest", charter.digest());
    page.row("whose law", terms::plain(&d.jurisdiction));
    page.row("privacy notice", terms::plain(&d.privacy_notice));
    for controller in &d.controllers {
        page.row("answers for it", format!("{}, {}", terms::plain(&controller.name), terms::plain(&controller.contact)));
    }
    let enrolment = match d.enrolment.rule {
        charter::EnrolmentRule::Open => "everybody".to_owned(),
        charter::EnrolmentRule::Invited => format!("who is invited, by one of {}", d.enrolment.inviters.len()),
        charter::EnrolmentRule::Vouched => {
            format!("whom {} vouch for", words::counted(u64::from(d.enrolment.vouchers), "member", "members"))
        }
    };
    page.row("who may enrol", enrolment);
    page.heading("What is matched");
    for modality in &d.modalities {
        let where_ = modality.stations.in_words();
        page.row(modality.profile.as_str(), format!("{}; samples are taken {where_}", modality.threshold));
    }
    page.heading("What for");
    for purpose in &d.purposes {
        let acts: Vec<&str> = purpose.operations.iter().map(|act| act.name()).collect();
        page.row("purpose", format!("{}: {}", purpose.term, terms::plain(&purpose.title)));
        page.row("", terms::plain(&purpose.text));
        page.row("", format!("for: {}", acts.join(", ")));
    }
    page.heading(if d.parties.is_empty() { "No relying party may ask anything" } else { "Who may ask, if you grant it" });
    for party in &d.parties {
        let operations: Vec<&str> = party.operations.iter().map(|o| o.name()).collect();
        let purposes: Vec<&str> = party.purposes.iter().map(|p| p.as_str()).collect();
        page.row(party.id.as_str(), format!("{}, {}", terms::plain(&party.name), terms::plain(&party.contact)));
        page.row("", format!("{} for {}", operations.join(", "), purposes.join(", ")));
        page.row(
            "",
            format!(
                "at most {} and {} in one grant",
                words::counted(party.max_uses.into(), "use", "uses"),
                words::counted(party.max_days.into(), "day", "days")
            ),
        );
    }
    if !d.claims.is_empty() {
        page.heading("What may be vouched for about you, and shown by you alone");
    }
    for claim in &d.claims {
        let parties: Vec<&str> = claim.parties.iter().map(|party| party.as_str()).collect();
        page.row(claim.kind.name(), terms::plain(&claim.values.join(", ")));
        page.row("", format!("by {}", parties.join(", ")));
    }
    page.heading("What an answer tells them");
    for operation in [types::consent::Operation::Membership, types::consent::Operation::Verification] {
        page.row(operation.name(), charter::Answers::in_words(operation));
    }
    page.line("\nNo rule here lets anybody ask about you without your grant; no change of it widens a grant that you gave.");
}

async fn difference(context: &Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let roster = client.commons().roster();
    let in_force = rules::in_force(context, &client).await?;
    let read = rules::last_read(context, roster).unwrap_or_else(|| InForce::default_for(roster));
    let changes = read.charter.changes(&in_force.charter);
    rules::mark_read(context, roster, &in_force)?;
    let facts = json!({
        "from": read.charter.version(), "to": in_force.charter.version(), "changes": changes.iter().map(change_facts).collect::<Vec<_>>(),
    });
    context.out.answer(&facts, |page| {
        let (from, to) = (read.charter.version(), in_force.charter.version());
        if changes.is_empty() {
            page.headline(true, &format!("Nothing changed since you last read the rules (version {to})."));
        } else {
            page.headline(true, &format!("What changed from version {from}, which you read, to version {to}:"));
        }
        change_lines(page, &changes);
    });
    Ok(Exit::Yes)
}

fn change_lines(page: &mut Page, changes: &[Change]) {
    for change in changes {
        page.row(effect(change.effect), terms::plain(&change.text));
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Wider => "allows more",
        Effect::Narrower => "allows less",
        Effect::Other => "other",
    }
}

fn change_facts(change: &Change) -> Value {
    json!({ "effect": effect(change.effect), "text": change.text })
}

/// The charter in force as the beginning of the next one.
async fn begin(context: &Context, out: &Path) -> Result<Exit, Failure> {
    let client = context.client()?;
    let in_force = rules::in_force(context, &client).await?;
    let mut document = in_force.charter.document().clone();
    document.version += 1;
    document.previous = in_force.digest();
    let text = String::from_utf8_lossy(&document.canonical()).into_owned();
    std::fs::write(out, &text).map_err(|error| Failure::write(out, &error))?;
    let facts = json!({ "version": document.version, "previous": document.previous, "file": out });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("Version {} begins as a copy of version {}.", document.version, document.version - 1));
        page.row("file", out.display());
        page.line("\nEdit it, see what it changes with `commons charter check`, then have all three operators sign it.");
    });
    Ok(Exit::Yes)
}

/// Reads and checks a charter file, canonical or not.
fn read(file: &Path, roster: &Roster) -> Result<Charter, Failure> {
    let bytes = read_limited(file, limits::CHARTER_BYTES as u64).map_err(|error| Failure::read(file, &error))?;
    let about = |failure: Failure| failure.about(file.display());
    let text = std::str::from_utf8(&bytes).map_err(|_| about(charter::Error::NotText.into()))?;
    let document = Document::from_toml(text).map_err(|error| about(error.into()))?;
    Charter::new(document, roster).map_err(|error| about(error.into()))
}

fn canonical(context: &Context, file: &Path, out: Option<PathBuf>) -> Result<Exit, Failure> {
    let charter = read(file, &context.roster()?)?;
    let text = String::from_utf8_lossy(charter.bytes()).into_owned();
    if let Some(path) = &out {
        std::fs::write(path, &text).map_err(|error| Failure::write(path, &error))?;
    }
    let facts = json!({ "digest": charter.digest(), "file": out, "toml": text });
    context.out.answer(&facts, |page| match &out {
        None => page.line(text.trim_end()),
        Some(path) => {
            page.headline(true, "Written in the form that is signed.");
            page.row("file", path.display());
            page.row("digest", charter.digest());
        }
    });
    Ok(Exit::Yes)
}

async fn check(context: &Context, file: &Path) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let next = read(file, &roster)?;
    let client = context.client()?;
    let in_force = rules::in_force(context, &client).await?;
    let now = &in_force.charter;
    if Some(next.version()) != now.version().checked_add(1) {
        let next_version = now.version().saturating_add(1);
        let error = charter::Error::Version { got: next.version(), next: next_version };
        return Err(Failure { hint: format!("set `version` to {next_version}"), ..error.into() }.about(file.display()));
    }
    if next.document().previous != now.digest() {
        return Err(Failure::from(charter::Error::Previous { expected: now.digest().to_hex() }).about(file.display()));
    }
    let changes = now.changes(&next);
    let wider = now.is_widened_by(&next);
    let facts = json!({
        "version": next.version(), "digest": next.digest(), "wider": wider, "changes": changes.iter().map(change_facts).collect::<Vec<_>>(),
    });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("This can be version {}.", next.version()));
        page.row("digest", format!("{}  what all three operators must sign", next.digest()));
        if changes.is_empty() {
            page.line("  It changes nothing.");
        }
        change_lines(page, &changes);
        page.line("\nGrants that members gave before stay as they are: no change here widens one.");
    });
    Ok(Exit::Yes)
}

fn sign_with(context: &Context, file: &Path, identity: &Path) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let charter = read(file, &roster)?;
    let failed = |error: node::Error| Failure::message(Exit::Input, error.code(), &error.to_string());
    // The folder, or the key file in it.
    let folder = if identity.is_dir() { identity } else { identity.parent().unwrap_or_else(|| Path::new(".")) };
    let identity = Identity::load(folder).map_err(failed)?;
    identity.check_roster(&roster).map_err(failed)?;
    let node = identity.node();
    let text = Approval::sign(&charter, node, identity.signing_key()).to_text();
    let path = PathBuf::from(format!("{}.signature-{node}", file.display()));
    std::fs::write(&path, text).map_err(|error| Failure::write(&path, &error))?;
    let facts = json!({ "node": node, "version": charter.version(), "digest": charter.digest(), "file": path });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("Signed version {} as the operator of node {node}.", charter.version()));
        page.row("digest", charter.digest());
        page.row("signature", path.display());
    });
    Ok(Exit::Yes)
}

/// A signature file: whose, over what.
fn read_signature(path: &Path, charter: &Charter) -> Result<(NodeId, Signature), Failure> {
    let bytes = read_limited(path, APPROVAL_BYTES as u64).map_err(|error| Failure::read(path, &error))?;
    let approval = Approval::from_text(&String::from_utf8_lossy(&bytes));
    let approval = approval.map_err(|error| Failure::from(error).about(path.display()))?;
    match approval.charter == charter.digest() {
        true => Ok((approval.node, approval.signature)),
        false => Err(Failure::input("this is the signature of another charter", "have this operator sign this very file")
            .about(path.display())),
    }
}

fn join(context: &Context, file: &Path, signatures: &[PathBuf], out: &Path) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let charter = read(file, &roster)?;
    let mut found = signatures.iter().map(|path| read_signature(path, &charter)).collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(|(node, _)| *node);
    let nodes: Vec<NodeId> = found.iter().map(|(node, _)| *node).collect();
    let [(_, one), (_, two), (_, three)] = found.as_slice() else {
        return Err(Failure::input("a charter needs three signatures", "one of each node's operator"));
    };
    if nodes != NodeId::ALL {
        return Err(Failure::input("these are not the signatures of nodes 1, 2 and 3", "name one file of each"));
    }
    let signed = SignedCharter { document: charter.bytes().to_vec(), signatures: [*one, *two, *three] };
    Charter::from_signed(&signed, &roster)?;
    let text = format!("{JOINED_LINE}\n{}\n", to_base64(&types::encode(&signed)));
    std::fs::write(out, text).map_err(|error| Failure::write(out, &error))?;
    let facts = json!({ "version": charter.version(), "digest": charter.digest(), "file": out });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("Version {} with all three signatures.", charter.version()));
        page.row("file", out.display());
        page.line("\nBring it to the nodes with `commons charter adopt`; anybody can.");
    });
    Ok(Exit::Yes)
}

async fn adopt(context: &Context, file: &Path) -> Result<Exit, Failure> {
    let bytes = read_limited(file, 2 * limits::CHARTER_BYTES as u64).map_err(|error| Failure::read(file, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let parse = || {
        let line = text.strip_prefix(JOINED_LINE)?.trim();
        decode_signed(&from_base64("charter", line).ok()?).ok()
    };
    let signed = parse().ok_or_else(|| {
        Failure::input("this is no joined charter", "name the file that `commons charter join` wrote").about(file.display())
    })?;
    let client = context.client()?;
    let proof = bring(context, &client, signed).await?;
    let roster = client.commons().roster();
    let adoption = Adoption::new(&proof, roster)?;
    let version = adoption.charter_version;
    let path = context.home.charters(&roster.digest()).join(format!("adoption-{version}.json"));
    let keep = |adoption: &Adoption| {
        write_private(&path, adoption.to_json().as_bytes()).map_err(|error| Failure::write(&path, &error))
    };
    keep(&adoption)?;
    let spinner = context.out.spinner("Waiting for the three logs");
    let whole = receipt::until_published(async || client.complete_adoption(&adoption).await).await;
    spinner.finish_and_clear();
    let unproven = match whole {
        Ok(whole) => keep(&whole).map(|()| None)?,
        Err(error) => Some(error),
    };
    let keeping = receipt::Keeping { path, unproven };
    let facts = receipt::with(receipt::facts(&proof, &keeping), json!({ "adopted": version }));
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("Version {version} is in force on all three nodes."));
        receipt::rows(page, &proof, &keeping);
        page.line("  Give the receipt to the other operators: `commons receipts check FILE` checks it offline.");
    });
    Ok(receipt::exit(&keeping, Exit::Yes))
}

/// Has the nodes adopt a charter. The signatures inside count, so any key may bring it: a fresh one, used once.
pub(crate) async fn bring(
    context: &Context,
    client: &client::native::NativeClient,
    signed: SignedCharter,
) -> Result<Proof, Failure> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut()).map_err(|_| client::Error::NoRandomness)?;
    let messenger = SigningKey::from_bytes(&random);
    let spinner = context.out.spinner("Bringing the charter to three nodes");
    let proof = client.settle(&messenger, Question::AdoptCharter(signed)).await;
    spinner.finish_and_clear();
    client.forget_charter();
    Ok(proof?)
}
