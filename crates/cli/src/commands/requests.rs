//! `commons requests`, `approve`, `refuse`: who asks, what for, what they would learn; and the answer.

use client::native::NativeClient;
use client::request::{Question, Sample, Template};
use client::{PartyKey, Platform as _};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use types::AskId;
use types::consent::{AskStatement, Operation, Terms};
use types::message::{Finding, Outcome};
use zeroize::Zeroizing;

use crate::args::consent::{Approve, Refuse, Requests};
use crate::commands::grant::{agree, look};
use crate::commands::status::{conclude, worst};
use crate::commands::{receipt, rules, terms};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{sample, words};

pub(crate) async fn list(context: &Context, args: Requests) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let rules = rules::heed(context, &client).await?;
    let (asks, exit) = match &args.ask {
        Some(id) => (vec![see(context, &client, &device, AskId::from_hex(id)?).await?], Exit::Yes),
        None => {
            let (statements, member) = look(context, &client, &device).await?;
            (member.asks, conclude(context, &statements, Exit::Yes))
        }
    };
    let facts = json!({ "requests": asks.iter().map(ask_facts).collect::<Vec<_>>() });
    context.out.answer(&facts, |page| {
        let some = words::counted(asks.len() as u64, "request waits", "requests wait");
        page.headline(true, &if asks.is_empty() { "Nobody asks you.".to_owned() } else { format!("{some} for you.") });
        for ask in &asks {
            page.heading(&format!("request {}", ask.id));
            for (label, text) in terms::screen(&rules.charter, &ask.ask.terms) {
                page.row(label, text);
            }
            page.row("answer by", format!("{}; unanswered it expires", words::time(ask.ask.answer_by)));
        }
        if !asks.is_empty() {
            page.line("\nAnswer with `commons approve ID` or `commons refuse ID`. A no tells them nothing but no.");
        }
    });
    Ok(exit)
}

fn ask_facts(statement: &AskStatement) -> Value {
    let ask = &statement.ask;
    json!({
        "ask": statement.id,
        "party": ask.terms.party,
        "subject": ask.subject,
        "terms": ask.terms,
        "reveals": charter::Answers::in_words(ask.terms.operation),
        "answer_by": ask.answer_by,
        "since": statement.since,
        "charter": ask.charter,
    })
}

/// An ask by its id; all three nodes must show the same.
async fn see(context: &Context, client: &NativeClient, device: &SigningKey, ask: AskId) -> Result<AskStatement, Failure> {
    let spinner = context.out.spinner("Asking three nodes who this is");
    let statements = client.tell(device, Question::See(ask)).await;
    spinner.finish_and_clear();
    let statements = statements?;
    if statements.all().is_err() {
        return Err(worst(&statements).into());
    }
    match statements.agreed(|statement| statement.ask.as_ref()) {
        Some(Some(statement)) if statement.id == ask => Ok(statement.clone()),
        Some(_) => Err(Failure::input("the nodes know no open request of this id", "have the relying party ask again")
            .coded("ask-unknown")),
        None => Err(Failure {
            exit: Exit::Misbehaved,
            ..Failure::input("the nodes show different requests under one id", "answer none of them, and tell the operators")
        }),
    }
}

/// The ask that a person names: one that waits for them, or any by its whole id.
async fn find(context: &Context, client: &NativeClient, device: &SigningKey, text: &str) -> Result<AskStatement, Failure> {
    if let Ok(ask) = AskId::from_hex(&text.to_ascii_lowercase()) {
        return see(context, client, device, ask).await;
    }
    let (_, member) = look(context, client, device).await?;
    let asks = member.asks.iter().map(|ask| (ask, ask.id.to_hex()));
    terms::by_prefix("ask", text, asks, "commons requests").cloned()
}

pub(crate) async fn approve(context: &Context, args: Approve) -> Result<Exit, Failure> {
    let station = args.station_key.as_deref().map(|path| context.machine_key(path)).transpose()?;
    let (client, device) = context.member(false)?;
    let rules = rules::heed(context, &client).await?;
    let statement = find(context, &client, &device, &args.ask).await?;
    let given = narrowed(&statement.ask.terms, &args, client.platform().now())?;
    charter::permits_terms(&rules.charter, &given, client.platform().now()).map_err(|refusal| terms::refused(&refusal))?;
    let sample = match given.operation {
        Operation::Membership => None,
        Operation::Verification => Some(fresh(context, &client, &args, &given)?),
    };
    let screen = terms::screen(&rules.charter, &given);
    agree(context, &format!("{} asks you:", given.party), &screen, args.yes)?;

    let values = sample.as_ref().map(|sample| Zeroizing::new(sample.template.input_values()));
    let taken = sample.as_ref().zip(values.as_ref()).map(|(sample, values)| {
        let template = Template { profile: &sample.profile, values };
        Sample { template, former: None, note: "", station: station.as_ref().map(PartyKey::signing), vouchers: &[] }
    });
    let spinner = context.out.spinner("Answering through three nodes");
    let proof = client.settle(&device, Question::Approve(statement.id, given.clone(), taken)).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let Outcome::Answered { grant, subject, finding, uses_left, .. } = proof.outcome() else {
        return Err(Failure::input("the nodes decided something else than an answer", "see `commons receipts`"));
    };
    let more = json!({
        "ask": statement.id, "grant": grant, "subject": subject, "finding": finding_name(&finding), "uses_left": uses_left,
        "party": given.party,
    });
    context.out.answer(&receipt::with(receipt::facts(&proof, &keeping), more), |page| {
        page.headline(finding_is_yes(&finding), &format!("Answered {}: {}.", given.party, finding_in_words(&finding)));
        page.row("known to them", format!("as {subject}"));
        page.row("grant", format!("{grant}, {} left", words::counted(u64::from(uses_left), "use", "uses")));
        receipt::rows(page, &proof, &keeping);
    });
    let exit = if finding_is_yes(&finding) { Exit::Yes } else { Exit::No };
    Ok(receipt::exit(&keeping, exit))
}

/// The terms as asked, or narrower.
fn narrowed(asked: &Terms, args: &Approve, now: u64) -> Result<Terms, Failure> {
    let mut terms = asked.clone();
    if let Some(uses) = args.uses {
        terms.uses = uses;
    }
    if let Some(text) = &args.until {
        terms.expires_at = terms::until(text, now)?;
    }
    if terms.uses > asked.uses || terms.expires_at > asked.expires_at {
        let hint = format!("at most {} uses, until {}", asked.uses, words::time(asked.expires_at));
        return Err(Failure::input("this would be more than was asked", hint).coded("ask-exceeded"));
    }
    Ok(terms)
}

fn fresh(context: &Context, client: &NativeClient, args: &Approve, terms: &Terms) -> Result<sample::Sample, Failure> {
    let missing = args.sample.photo.is_none() && args.sample.vector.is_none() && args.sample.iris.is_none();
    if missing {
        return Err(Failure::input(
            "they ask to compare you, and that takes a fresh sample",
            "name a photograph (or --vector, --iris) after the request's id",
        )
        .coded("sample-missing"));
    }
    let mut wanted = args.sample.clone();
    if let (None, Some(profile)) = (&wanted.profile, &terms.profile) {
        wanted.profile = Some(profile.to_string());
    }
    sample::read(context, client.commons().roster(), &wanted)
}

pub(crate) async fn refuse(context: &Context, args: Refuse) -> Result<Exit, Failure> {
    let (client, device) = context.member(false)?;
    let statement = find(context, &client, &device, &args.ask).await?;
    let spinner = context.out.spinner("Answering through three nodes");
    let proof = client.settle(&device, Question::Refuse(statement.id)).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let party = &statement.ask.terms.party;
    let more = json!({ "ask": statement.id, "party": party });
    context.out.answer(&receipt::with(receipt::facts(&proof, &keeping), more), |page| {
        page.headline(true, &format!("Refused: {party} learns that the answer is no, and not who said it."));
        receipt::rows(page, &proof, &keeping);
    });
    Ok(receipt::exit(&keeping, Exit::Yes))
}

/// For programs.
pub(crate) fn finding_name(finding: &Finding) -> &'static str {
    match finding {
        Finding::Member => "member",
        Finding::Compared { matched: true } => "matched",
        Finding::Compared { matched: false } => "not-matched",
        Finding::InvalidTemplate => "invalid-template",
    }
}

/// For people.
pub(crate) fn finding_in_words(finding: &Finding) -> &'static str {
    match finding {
        Finding::Member => "one enrolled person",
        Finding::Compared { matched: true } => "the same person",
        Finding::Compared { matched: false } => "not the same person, as far as this sample shows",
        Finding::InvalidTemplate => "the sample was no template of this profile, and nothing was compared",
    }
}

pub(crate) fn finding_is_yes(finding: &Finding) -> bool {
    matches!(finding, Finding::Member | Finding::Compared { matched: true })
}
