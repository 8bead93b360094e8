//! `commons grant`, `grants`, `narrow`, `revoke`: standing grants, from giving to taking back.

use client::native::NativeClient;
use client::request::Question;
use client::{Error, Platform as _, Statements};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use types::consent::{GrantState, GrantStatement, Narrowing};
use types::message::MemberStatement;
use types::{GrantId, OperationId, PartyId};

use crate::args::consent::{Grant, Narrow, Revoke};
use crate::commands::status::{conclude, worst};
use crate::commands::{receipt, rules, terms};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Page;
use crate::words;

pub(crate) async fn give(context: &Context, args: Grant) -> Result<Exit, Failure> {
    let party = PartyId::new(&args.party)?;
    let (client, device) = context.member(false)?;
    let rules = rules::heed(context, &client).await?;
    let terms = terms::read(&rules.charter, &party, &args.terms, client.platform().now())?;
    let screen = terms::screen(&rules.charter, &terms);
    agree(context, "You are about to let a relying party ask about you:", &screen, args.yes)?;
    let spinner = context.out.spinner("Granting on three nodes");
    let proof = client.settle(&device, Question::Grant(terms.clone())).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let grant = GrantId::from(proof.certificate.decision.operation);
    let facts = receipt::with(receipt::facts(&proof, &keeping), json!({ "grant": grant, "terms": terms }));
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("Granted to {}.", terms.party));
        page.row("grant", grant);
        for (label, text) in &screen {
            page.row(label, text);
        }
        receipt::rows(page, &proof, &keeping);
    });
    Ok(receipt::exit(&keeping, Exit::Yes))
}

/// Shows what is at stake and asks.
pub(crate) fn agree(context: &Context, title: &str, screen: &[(&str, String)], yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let mut page = Page::default();
    page.line(title);
    for (label, text) in screen {
        page.row(label, text);
    }
    context.out.note(page.text());
    match context.confirm("Do you agree?", "--yes")? {
        true => Ok(()),
        false => {
            Err(Failure::input("nothing was agreed to", "run it again and answer y if you want to").coded("not-agreed"))
        }
    }
}

pub(crate) async fn list(context: &Context) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let (statements, member) = look(context, &client, &device).await?;
    let facts = json!({
        "shield": member.shield,
        "grants": member.grants.iter().map(grant_facts).collect::<Vec<_>>(),
        "agree": statements.agree(),
    });
    context.out.answer(&facts, |page| {
        page.headline(
            true,
            &match member.grants.len() {
                0 => "No relying party may ask about you.".to_owned(),
                n => format!("{}.", words::counted(n as u64, "standing grant", "standing grants")),
            },
        );
        if let Some(since) = member.shield {
            page.line(format!("  Your shield is up since {}: none of them can be used.", words::time(since)));
        }
        grants(page, &member.grants);
    });
    Ok(conclude(context, &statements, Exit::Yes))
}

/// Each grant in a few lines.
pub(crate) fn grants(page: &mut Page, grants: &[GrantStatement]) {
    for grant in grants {
        page.heading(&format!("{}  {}", grant.terms.party, state(grant.state)));
        page.row("grant", grant.grant);
        page.row("allows", terms::grant_line(grant));
        if !grant.terms.note.is_empty() {
            page.row("note", terms::plain(&grant.terms.note));
        }
        page.row("given", words::time(grant.since));
        page.row("used last", grant.last_used.map_or_else(|| "never".to_owned(), words::time));
    }
}

/// In a word.
pub(crate) fn state(state: GrantState) -> &'static str {
    match state {
        GrantState::Active => "can be used",
        GrantState::Suspended => "suspended by your shield",
        GrantState::Revoked => "ended",
    }
}

/// For programs.
pub(crate) fn grant_facts(grant: &GrantStatement) -> Value {
    json!({
        "grant": grant.grant,
        "party": grant.terms.party,
        "subject": grant.subject,
        "operation": grant.terms.operation,
        "profile": grant.terms.profile,
        "purpose": grant.terms.purpose,
        "note": grant.terms.note,
        "state": grant.state,
        "uses": grant.terms.uses,
        "uses_left": grant.uses_left,
        "since": grant.since,
        "not_before": grant.terms.not_before,
        "expires_at": grant.terms.expires_at,
        "last_used": grant.last_used,
        "charter": grant.charter,
    })
}

pub(crate) async fn narrow(context: &Context, args: Narrow) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let expires_at = args.until.as_deref().map(|text| terms::until(text, client.platform().now())).transpose()?;
    let (_, member) = look(context, &client, &device).await?;
    let grant = named(&member.grants, &args.grant)?;
    let question = Question::Narrow(Narrowing { grant: grant.grant, expires_at, uses_left: args.uses });
    change(context, &client, &device, grant, question, "Smaller now").await
}

pub(crate) async fn revoke(context: &Context, args: Revoke) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let (_, member) = look(context, &client, &device).await?;
    let grant = named(&member.grants, &args.grant)?;
    change(context, &client, &device, grant, Question::Revoke(grant.grant), "Ended").await
}

async fn change(
    context: &Context,
    client: &NativeClient,
    device: &SigningKey,
    grant: &GrantStatement,
    question: Question<'_>,
    done: &str,
) -> Result<Exit, Failure> {
    let spinner = context.out.spinner("Telling three nodes");
    let proof = client.settle(device, question).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let origin = receipt::origin(context, &OperationId(grant.grant.0));
    let keeping = receipt::keep(context, client, &proof, origin.as_ref()).await?;
    let facts = receipt::with(receipt::facts(&proof, &keeping), json!({ "grant": grant.grant, "party": grant.terms.party }));
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("{done}: the grant to {} on all three nodes.", grant.terms.party));
        page.row("grant", grant.grant);
        receipt::rows(page, &proof, &keeping);
    });
    Ok(receipt::exit(&keeping, Exit::Yes))
}

fn named<'g>(grants: &'g [GrantStatement], text: &str) -> Result<&'g GrantStatement, Failure> {
    terms::by_prefix("grant", text, grants.iter().map(|grant| (grant, grant.grant.to_hex())), "commons grants")
}

/// What the nodes know of this member: their statements, and the fullest of those that agree.
pub(crate) async fn look(
    context: &Context,
    client: &NativeClient,
    device: &SigningKey,
) -> Result<(Statements, MemberStatement), Failure> {
    let spinner = context.out.spinner("Asking three nodes");
    let statements = settled(client, device).await;
    spinner.finish_and_clear();
    let statements = statements?;
    let newest = statements.valid().max_by_key(|statement| statement.batch);
    let Some(newest) = newest else { return Err(worst(&statements).into()) };
    match newest.member.clone() {
        Some(member) => Ok((statements, member)),
        None => Err(Failure::input(
            "no node knows this key as a member",
            "enrol first with `commons enrol`, or name another key with --member",
        )
        .coded("not-a-member")),
    }
}

/// Asks again for a moment while one node is a batch behind.
async fn settled(client: &NativeClient, device: &SigningKey) -> Result<Statements, Error> {
    for pause_ms in [50, 200, 800] {
        let statements = client.status(device).await?;
        if statements.agree() {
            return Ok(statements);
        }
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
    }
    client.status(device).await
}
