//! `commons shield`: stop every use at once, on every node that hears it; later start again with what the member picks.

use client::request::Question;
use serde_json::{Value, json};
use types::NodeId;
use types::consent::GrantState;
use types::message::Outcome;

use crate::args::consent::ShieldCommand;
use crate::commands::grant::look;
use crate::commands::status::{node_label, silence, worst};
use crate::commands::{receipt, terms};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::words;

pub(crate) async fn run(context: &Context, command: ShieldCommand) -> Result<Exit, Failure> {
    match command {
        ShieldCommand::Up => up(context).await,
        ShieldCommand::Down { restore } => down(context, restore).await,
    }
}

async fn up(context: &Context) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let spinner = context.out.spinner("Pulling the cord on three nodes");
    let shield = client.shield_up(&device).await;
    spinner.finish_and_clear();
    let shield = shield?;
    let up = shield.statements.valid().count();
    if up == 0 {
        return Err(worst(&shield.statements).into());
    }
    let kept = match &shield.proof {
        Some(proof) => Some((proof, receipt::keep(context, &client, proof, None).await?)),
        None => None,
    };
    let nodes: Vec<Value> = NodeId::ALL
        .into_iter()
        .zip(&shield.statements.nodes)
        .map(|(node, statement)| match statement {
            Ok(statement) => {
                json!({ "node": node, "up": true, "since": statement.member.as_ref().and_then(|m| m.shield) })
            }
            Err(error) => json!({ "node": node, "up": false, "error": silence(error) }),
        })
        .collect();
    let mut facts = json!({ "shield": "up", "nodes": nodes, "decided": kept.is_some() });
    if let Some((proof, keeping)) = &kept {
        facts = receipt::with(facts, receipt::facts(proof, keeping));
    }
    context.out.answer(&facts, |page| {
        if up == 3 {
            page.headline(true, "Your shield is up on all three nodes. Nothing of yours can be used.");
        } else {
            page.headline(
                true,
                &format!("Your shield is up on {up} of three nodes. No use needs fewer than three, so none happens."),
            );
        }
        let roster = client.commons().roster();
        for (node, statement) in NodeId::ALL.into_iter().zip(&shield.statements.nodes) {
            match statement {
                Ok(statement) => {
                    let since = statement.member.as_ref().and_then(|m| m.shield).map_or_else(String::new, words::time);
                    page.row(&node_label(roster, node), format!("up since {since}"));
                }
                Err(error) => page.row(
                    &node_label(roster, node),
                    format!("{}; it applies the shield before it serves again. Run this again to see", silence(error)),
                ),
            }
        }
        if let Some((proof, keeping)) = &kept {
            if let Outcome::Shielded { grants, asks } = proof.outcome() {
                page.row("suspended", words::counted(u64::from(grants), "grant", "grants"));
                page.row("refused", words::counted(u64::from(asks), "waiting request", "waiting requests"));
            }
            receipt::rows(page, proof, keeping);
        } else {
            page.row("receipt", "follows when all three nodes have decided: `commons audit` fetches it");
        }
        page.line("\nTake it down with `commons shield down --restore GRANT...`; grants that you do not name end.");
    });
    let otherwise = kept.as_ref().map_or(Exit::Yes, |(_, keeping)| receipt::exit(keeping, Exit::Yes));
    Ok(if up == 3 { otherwise } else { Failure::from(worst(&shield.statements)).exit })
}

async fn down(context: &Context, restore: Vec<String>) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let (_, member) = look(context, &client, &device).await?;
    if member.shield.is_none() {
        return Err(Failure::input("your shield is not up", "there is nothing to take down").coded("shield-not-up"));
    }
    let suspended: Vec<_> = member.grants.iter().filter(|grant| grant.state == GrantState::Suspended).collect();
    let pick = |text: &String| {
        let ids = suspended.iter().map(|grant| (grant.grant, grant.grant.to_hex()));
        terms::by_prefix("grant", text, ids, "commons grants")
    };
    let mut picked = restore.iter().map(pick).collect::<Result<Vec<_>, Failure>>()?;
    picked.sort_unstable();
    picked.dedup();
    let spinner = context.out.spinner("Taking the shield down on three nodes");
    let proof = client.settle(&device, Question::ShieldDown(picked.clone())).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let ended = suspended.len().saturating_sub(picked.len());
    let facts =
        receipt::with(receipt::facts(&proof, &keeping), json!({ "shield": "down", "restored": picked, "ended": ended }));
    context.out.answer(&facts, |page| {
        page.headline(true, "Your shield is down.");
        page.row("restored", words::counted(picked.len() as u64, "grant can be used again", "grants can be used again"));
        page.row("ended", words::counted(ended as u64, "grant", "grants"));
        receipt::rows(page, &proof, &keeping);
    });
    Ok(receipt::exit(&keeping, Exit::Yes))
}
