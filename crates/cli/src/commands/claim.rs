//! What relying parties vouch for about members: `commons party vouch` on the party's side, `commons persona claim` on the member's.

use charter::Document;
use client::Platform as _;
use client::claim::{read, to_text, vouch};
use client::guardian::TEXT_BYTES;
use credential::Attribute;
use serde_json::json;
use types::persona::{Claim, ClaimKind};
use types::sign::public_key;
use types::{DeviceKey, limits};

use crate::args::party::PartyVouch;
use crate::args::persona::TakeClaim;
use crate::commands::persona::keep;
use crate::commands::verifier::{read_text, write_or_print};
use crate::commands::{rules, terms};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::words;

/// `commons party vouch`.
pub(crate) async fn give(context: &Context, args: PartyVouch) -> Result<Exit, Failure> {
    let kind = kind(&args.kind)?;
    let device = DeviceKey::from_hex(&args.device.to_ascii_lowercase()).map_err(|_| {
        Failure::input("this is no device key", "copy the 64 characters that `commons vouch --who` shows on their machine")
    })?;
    let client = context.client()?;
    let key = context.party(args.party.as_deref())?;
    let in_force = rules::in_force(context, &client).await?;
    let expires_at = terms::until(&args.until, client.platform().now())?;
    let claim = vouch(&key, &client.commons().digest(), device, (kind, &args.value), expires_at);
    if listed(in_force.charter.document(), &claim.message) != Some(key.public()) {
        let what = format!("the charter in force does not let {} vouch for the {kind} \"{}\"", key.id, args.value);
        return Err(
            Failure::input(what, "see who may vouch for what with `commons charter show`").coded("claim-not-allowed")
        );
    }
    let text = to_text(&claim);
    let facts = json!({
        "kind": kind, "value": args.value, "device": device, "party": key.id, "expires_at": expires_at, "claim": text,
        "file": args.out.file,
    });
    let headline = "Vouched. Give it to the member: they keep it with `commons persona claim FILE`.";
    write_or_print(context, args.out.file.as_deref(), &text, &facts, headline)?;
    Ok(Exit::Yes)
}

/// `commons persona claim`.
pub(crate) async fn take(context: &Context, args: TakeClaim) -> Result<Exit, Failure> {
    let (client, key, device) = context.member_with_key(false)?;
    let (mut purse, _) = keep::ready(context, &client, key, &device).await?;
    let now = client.platform().now();
    let (kind, kept) = match (&args.file, &args.forget) {
        (Some(source), _) => {
            let text = read_text(source, TEXT_BYTES)?;
            let in_force = rules::in_force(context, &client).await?;
            let party = |claim: &Claim| listed(in_force.charter.document(), claim);
            let claim = read(&text, &client.commons().digest(), &public_key(&device), party, now)?;
            purse.wallet.set_claim(claim.clone());
            (claim.message.kind, Some(claim.message))
        }
        (None, name) => {
            let kind = kind(name.as_deref().unwrap_or_default())?;
            if !purse.wallet.forget_claim(kind) {
                return Err(Failure::input(
                    format!("nobody's word about your {kind} is on this machine"),
                    "nothing was changed",
                ));
            }
            (kind, None)
        }
    };
    // Kept only when the nodes have signed it: until then the credentials of before stand.
    let claims = purse.wallet.claims(now);
    keep::renew_with(context, &client, &device, &mut purse, &claims).await?;
    let value = purse.wallet.credentials().first().map(|credential| credential.attributes().value(kind.into()).to_owned());
    let facts = json!({
        "kind": kind, "value": value, "party": kept.as_ref().map(|claim| &claim.party),
        "expires_at": kept.as_ref().map(|claim| claim.expires_at),
    });
    context.out.answer(&facts, |page| match &kept {
        Some(claim) => {
            page.headline(true, &format!("Vouched for: your {kind} is {}.", claim.value));
            page.row("by", &claim.party);
            page.row("until", words::time(claim.expires_at));
            page.line("  Shown only where a context asks for it and you show yourself. The nodes keep nothing of it.");
        }
        None => page.headline(true, &format!("Your {kind} is not vouched for any more.")),
    });
    Ok(Exit::Yes)
}

/// The key of the party that a claim names, where the charter lets it say this.
fn listed(document: &Document, claim: &Claim) -> Option<DeviceKey> {
    let entry = document.claims.iter().find(|entry| entry.kind == claim.kind)?;
    let fits = entry.parties.contains(&claim.party) && entry.values.contains(&claim.value);
    let party = document.parties.iter().find(|party| fits && party.id == claim.party)?;
    Some(party.key)
}

fn kind(name: &str) -> Result<ClaimKind, Failure> {
    let all: Vec<&str> = ClaimKind::ALL.into_iter().map(ClaimKind::name).collect();
    let found = ClaimKind::ALL.into_iter().find(|kind| kind.name() == name);
    found
        .ok_or_else(|| Failure::input(format!("nobody can vouch for \"{name}\""), format!("name one of {}", all.join(", "))))
}

// Every kind of claim is an attribute of credentials.
const _: () = assert!(ClaimKind::ALL.len() == limits::CLAIMS && limits::CLAIMS < Attribute::ALL.len());
