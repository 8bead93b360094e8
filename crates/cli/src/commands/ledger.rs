//! `commons ledger`: everything of a member that is out there: records, grants and who used them, questions that wait.

use client::receipt::Kept;
use client::wallet::Kept as Persona;
use client::{Platform as _, Statements};
use serde_json::{Value, json};
use types::consent::{GrantState, GrantStatement};
use types::message::{Action, MemberStatement, Outcome};
use types::{GrantId, OperationId};

use crate::args::consent::Ledger;
use crate::commands::grant::{grant_facts, grants, look, state};
use crate::commands::history::{self, History};
use crate::commands::persona::keep::Purse;
use crate::commands::requests::{finding_in_words, finding_name};
use crate::commands::status::conclude;
use crate::commands::wallet::cards::Cards;
use crate::commands::{persona, terms, wallet};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Page;
use crate::sheet::Sheet;
use crate::words;

pub(crate) async fn run(context: &Context, args: Ledger) -> Result<Exit, Failure> {
    let (client, key, device) = context.member_with_key(false)?;
    let history = history::fetch(context, &client, &device).await?;
    let (statements, member) = look(context, &client, &device).await?;
    for complaint in &history.complaints {
        context.out.warn(&complaint.to_string());
    }
    super::persona::keep::in_passing(context, &client, key.clone(), &device).await;
    let commons = client.commons().digest();
    let credentials = Cards::open(context, &key, &commons)?.wallet.summaries();
    let purse = Purse::open(context, key, commons, client.platform().now())?;
    let personas = purse.as_ref().map_or(&[][..], |purse| purse.wallet.personas());
    let uses = uses(&history);
    let ended = ended(&history, &member);
    if let Some(path) = &args.html {
        let page = page(&client.commons().roster().commons, &member, &uses, &ended, client.platform().now());
        std::fs::write(path, page).map_err(|error| Failure::write(path, &error))?;
    }
    let facts = json!({
        "commons": client.commons().roster().commons,
        "member": member.member,
        "since": member.since,
        "shield": member.shield,
        "records": member.records.iter().map(|r| json!({
            "profile": r.profile, "since": r.since, "share_bytes": r.share_bytes,
        })).collect::<Vec<_>>(),
        "grants": member.grants.iter().map(grant_facts).collect::<Vec<_>>(),
        "ended_grants": ended.iter().map(|use_| json!({ "grant": use_.grant, "party": use_.party, "since": use_.at })).collect::<Vec<_>>(),
        "uses": uses.iter().map(use_facts).collect::<Vec<_>>(),
        "personas": personas.iter().map(persona::facts).collect::<Vec<_>>(),
        "wallet_credentials": credentials.iter().map(wallet::facts).collect::<Vec<_>>(),
        "last_issue": member.last_issue.map(|issue| json!({ "epoch": issue.epoch, "at": issue.at })),
        "refused_attempts": member.refused.iter().map(|tried| json!({ "at": tried.at, "action": tried.action, "rule": tried.rule })).collect::<Vec<_>>(),
        "requests": member.asks.len(),
        "own_verifications": own(&history, "verify"),
        "fetched": history.fetched,
        "html": args.html,
    });
    context.out.answer(&facts, |page| {
        table(page, &member, &uses, &ended, own(&history, "verify"));
        of_personas(page, &member, personas);
        wallet::rows(page, &credentials);
    });
    Ok(finish(context, &history, &statements))
}

/// Personas are known to this machine alone; the nodes know only that there is a secret behind them.
fn of_personas(page: &mut Page, member: &MemberStatement, personas: &[Persona]) {
    if member.bound.is_none() && personas.is_empty() {
        return;
    }
    page.heading("Personas, known to this machine alone");
    for kept in personas {
        page.line(format!("  {}", kept.label));
        persona::rows(page, kept);
    }
    if personas.is_empty() {
        page.line("  None.");
    }
    if let Some(issue) = member.last_issue {
        page.row("renewed", format!("{}, as a node says; was it not you, somebody has your key", words::time(issue.at)));
    }
    for tried in &member.refused {
        page.row(
            "refused",
            format!("{}: {}, by the rule {}", words::time(tried.at), terms::plain(&tried.action), terms::plain(&tried.rule)),
        );
    }
}

fn finish(context: &Context, history: &History, statements: &Statements) -> Exit {
    match conclude(context, statements, Exit::Yes) {
        Exit::Yes if !history.complaints.is_empty() => Exit::Misbehaved,
        exit => exit,
    }
}

/// One time that a relying party learned something, or one grant that has ended.
struct Used {
    at: u64,
    party: String,
    purpose: String,
    grant: GrantId,
    finding: &'static str,
    in_words: &'static str,
    log_index: u64,
    operation: OperationId,
}

fn uses(history: &History) -> Vec<Used> {
    let one = |kept: &Kept| {
        let event = kept.event().ok()?;
        let Outcome::Answered { grant, finding, .. } = event.certificate.decision.outcome else { return None };
        let summary = &kept.summary;
        Some(Used {
            at: summary.decided_at,
            party: summary.party.as_ref().map_or_else(String::new, ToString::to_string),
            purpose: summary.purpose.as_ref().map_or_else(String::new, ToString::to_string),
            grant,
            finding: finding_name(&finding),
            in_words: finding_in_words(&finding),
            log_index: event.certificate.decision.log_index,
            operation: summary.operation,
        })
    };
    history.receipts.iter().filter_map(|(_, kept)| one(kept)).collect()
}

/// Grants that were given once and that the nodes no longer list.
fn ended(history: &History, member: &MemberStatement) -> Vec<Used> {
    let one = |kept: &Kept| {
        let event = kept.event().ok()?;
        let made = match (&event.request.message.action, event.certificate.decision.outcome) {
            (Action::Grant(_), Outcome::Granted) | (Action::Answer(_), Outcome::Answered { .. }) => {
                GrantId::from(event.request.message.operation)
            }
            _ => return None,
        };
        let lives = member.grants.iter().any(|grant| grant.grant == made && grant.state != GrantState::Revoked);
        let summary = &kept.summary;
        (!lives).then(|| Used {
            at: summary.decided_at,
            party: summary.party.as_ref().map_or_else(String::new, ToString::to_string),
            purpose: summary.purpose.as_ref().map_or_else(String::new, ToString::to_string),
            grant: made,
            finding: "ended",
            in_words: "ended",
            log_index: event.certificate.decision.log_index,
            operation: summary.operation,
        })
    };
    history.receipts.iter().filter_map(|(_, kept)| one(kept)).collect()
}

fn own(history: &History, action: &str) -> usize {
    history.receipts.iter().filter(|(_, kept)| kept.summary.action == action).count()
}

fn use_facts(used: &Used) -> Value {
    json!({
        "at": used.at, "party": used.party, "purpose": used.purpose, "grant": used.grant, "finding": used.finding,
        "log_index": used.log_index, "operation": used.operation,
    })
}

fn table(page: &mut Page, member: &MemberStatement, uses: &[Used], ended: &[Used], own: usize) {
    page.headline(true, "Everything of you that is out there.");
    if let Some(since) = member.shield {
        page.line(format!("  Your shield is up since {}: nothing of this can be used.", words::time(since)));
    }
    page.heading("Records, as shares on three nodes");
    for record in &member.records {
        page.row(
            record.profile.as_str(),
            format!("since {}, {} bytes of share on each", words::time(record.since), words::count(record.share_bytes)),
        );
    }
    if own > 0 {
        page.row("your own", words::counted(own as u64, "verification", "verifications"));
    }
    if member.grants.is_empty() {
        page.heading("Nobody may ask about you");
    }
    grants(page, &member.grants);
    if !uses.is_empty() {
        page.heading("Who learned what");
        for used in uses {
            let operation: String = used.operation.to_hex().chars().take(8).collect();
            page.line(format!(
                "  {}  {:<16} {:<28} {}  (receipt {operation}, log entry {})",
                words::time(used.at),
                used.party,
                used.purpose,
                used.in_words,
                words::count(used.log_index)
            ));
        }
    }
    if !ended.is_empty() {
        page.heading("Ended");
        for grant in ended {
            page.line(format!("  grant to {} of {}, for {}", grant.party, words::time(grant.at), grant.purpose));
        }
    }
    if !member.asks.is_empty() {
        page.heading(&words::counted(member.asks.len() as u64, "request waits for you", "requests wait for you"));
        page.line("  See them with `commons requests`.");
    }
    page.line(
        "\nEnd one with `commons revoke ID`, all with `commons shield up`; erase your records with `commons withdraw`.",
    );
}

fn page(commons: &str, member: &MemberStatement, uses: &[Used], ended: &[Used], now: u64) -> String {
    let mut sheet = Sheet::new(
        "Everything of you that is out there",
        &format!(
            "What the three nodes of {commons} keep of you, who may ask about you, and who did. Your template is in none of these places: \
             each node holds a share that by itself is noise."
        ),
    );
    if let Some(since) = member.shield {
        sheet.section("Your shield is up", &format!("Since {}. Nothing below can be used.", words::time(since)));
    }
    sheet.section("Records", "Shares of your templates, one on each node. Erase them with commons withdraw.");
    let rows: Vec<Vec<String>> = member
        .records
        .iter()
        .map(|r| {
            vec![r.profile.to_string(), words::time(r.since), format!("{} bytes on each node", words::count(r.share_bytes))]
        })
        .collect();
    sheet.grid(&["Kind", "Since", "Share"], &rows);
    sheet.section("Who may ask about you", "End one with commons revoke, all at once with commons shield up.");
    let row = |grant: &GrantStatement| {
        let left =
            format!("{} of {} left", words::count(u64::from(grant.uses_left)), words::count(u64::from(grant.terms.uses)));
        vec![
            grant.terms.party.to_string(),
            format!("{}, for {} {}", grant.terms.operation.name(), grant.terms.purpose, terms::plain(&grant.terms.note)),
            state(grant.state).to_owned(),
            left,
            words::time(grant.terms.expires_at),
        ]
    };
    match member.grants.is_empty() {
        true => sheet.paragraph("Nobody."),
        false => {
            let rows: Vec<Vec<String>> = member.grants.iter().map(row).collect();
            sheet.grid(&["Relying party", "What and what for", "State", "Uses", "Until"], &rows);
        }
    }
    sheet.section(
        "Who learned what",
        "Each line is one decision of the three nodes, and one entry in the three public logs.",
    );
    let row = |used: &Used| {
        let operation: String = used.operation.to_hex().chars().take(8).collect();
        let (when, log) = (words::time(used.at), words::count(used.log_index));
        vec![when, used.party.clone(), used.purpose.clone(), used.in_words.to_owned(), log, operation]
    };
    match uses.is_empty() {
        true => sheet.paragraph("Nobody learned anything."),
        false => {
            let rows: Vec<Vec<String>> = uses.iter().map(row).collect();
            sheet.grid(&["When", "Relying party", "What for", "It learned", "Log entry", "Receipt"], &rows);
        }
    }
    if !ended.is_empty() {
        sheet.section("Ended grants", "");
        let rows: Vec<Vec<String>> =
            ended.iter().map(|g| vec![g.party.clone(), g.purpose.clone(), words::time(g.at)]).collect();
        sheet.grid(&["Relying party", "What for", "Given"], &rows);
    }
    sheet.finish(&[
        format!(
            "Made by commons ledger {} on {}, for member {}.",
            env!("CARGO_PKG_VERSION"),
            words::time(now),
            member.member
        ),
        "From the signed statements of three nodes and from receipts on this machine.".to_owned(),
    ])
}
