//! The rules in force, and those of before: charters are kept once seen, so that old receipts can be explained and changes shown.

use std::sync::Arc;

use charter::Effect;
use client::InForce;
use client::native::NativeClient;
use client::rules::decode_signed;
use types::roster::Roster;
use types::{Digest, limits};

use crate::context::Context;
use crate::failure::Failure;
use crate::home::{read_limited, write_private};

/// Asks all three nodes, and keeps what they say.
pub(crate) async fn in_force(context: &Context, client: &NativeClient) -> Result<Arc<InForce>, Failure> {
    let rules = client.charter().await?;
    remember(context, client.commons().roster(), &rules)?;
    Ok(rules)
}

/// As [`in_force`], and tells the member when the rules have changed since they last read them.
pub(crate) async fn heed(context: &Context, client: &NativeClient) -> Result<Arc<InForce>, Failure> {
    let rules = in_force(context, client).await?;
    let roster = client.commons().roster();
    match last_read(context, roster) {
        None => mark_read(context, roster, &rules)?,
        Some(read) if read.digest() != rules.digest() => {
            let changes = read.charter.changes(&rules.charter);
            let wider = changes.iter().filter(|change| change.effect == Effect::Wider).count();
            context.out.note(&format!(
                "The rules changed since you last read them: version {} is now version {}, {} changes, {wider} of which allow more. \
                 Read them with `commons charter show --diff`.",
                read.charter.version(),
                rules.charter.version(),
                changes.len()
            ));
        }
        Some(_) => {}
    }
    Ok(rules)
}

/// Keeps an adopted charter.
fn remember(context: &Context, roster: &Roster, rules: &InForce) -> Result<(), Failure> {
    let Some(signed) = &rules.signed else { return Ok(()) };
    let path = context.home.charters(&roster.digest()).join(format!("{}.charter", rules.digest()));
    if path.exists() {
        return Ok(());
    }
    write_private(&path, &types::encode(signed)).map_err(|error| Failure::write(&path, &error))
}

/// A charter that was in force once, if it was seen here.
pub(crate) fn by_digest(context: &Context, roster: &Roster, digest: &Digest) -> Option<InForce> {
    let default = InForce::default_for(roster);
    if default.digest() == *digest {
        return Some(default);
    }
    let path = context.home.charters(&roster.digest()).join(format!("{digest}.charter"));
    let bytes = read_limited(&path, limits::REQUEST_BYTES as u64).ok()?;
    let rules = InForce::from_signed(Some(decode_signed(&bytes).ok()?), roster).ok()?;
    (rules.digest() == *digest).then_some(rules)
}

/// The rules that this person last read.
pub(crate) fn last_read(context: &Context, roster: &Roster) -> Option<InForce> {
    let path = context.home.charters(&roster.digest()).join(format!("read-by-{}", context.member));
    let text = read_limited(&path, 128).ok()?;
    let digest = Digest::from_hex(std::str::from_utf8(&text).ok()?.trim()).ok()?;
    by_digest(context, roster, &digest)
}

/// From now on, changes are told from these.
pub(crate) fn mark_read(context: &Context, roster: &Roster, rules: &InForce) -> Result<(), Failure> {
    remember(context, roster, rules)?;
    let path = context.home.charters(&roster.digest()).join(format!("read-by-{}", context.member));
    write_private(&path, format!("{}\n", rules.digest()).as_bytes()).map_err(|error| Failure::write(&path, &error))
}
