//! `commons party`: a relying party asks, hears the answer, and uses what members granted.

use std::time::Duration;

use client::native::NativeClient;
use client::request::{Question, Sample, Template};
use client::{Answered, PartyKey, Platform as _};
use console::style;
use qrcode::QrCode;
use serde_json::{Value, json};
use types::consent::{AskStatement, GrantStatement, Operation, Purpose};
use types::message::{Finding, Outcome};
use types::{AskId, GrantId, PartyId, SubjectId};
use zeroize::Zeroizing;

use crate::args::party::{Answer, Ask, KeyCommand, PartyCommand, PartyGrants, Use};
use crate::commands::grant::{grant_facts, grants};
use crate::commands::requests::{finding_in_words, finding_is_yes, finding_name};
use crate::commands::status::{conclude, worst};
use crate::commands::{claim, receipt, rules, terms};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::write_new_private;
use crate::{sample, words};

/// Of the 256 colours, the two that no theme changes.
const BLACK: u8 = 16;
const WHITE: u8 = 231;

pub(crate) async fn run(context: &Context, command: PartyCommand) -> Result<Exit, Failure> {
    match command {
        PartyCommand::Key(key) => match key.command {
            KeyCommand::New { name } => new_key(context, &name),
            KeyCommand::Show { name } => show_key(context, &name),
        },
        PartyCommand::Ask(args) => ask(context, args).await,
        PartyCommand::Answer(args) => answer(context, args).await,
        PartyCommand::Use(args) => use_grant(context, args).await,
        PartyCommand::Grants(args) => list(context, args).await,
        PartyCommand::Vouch(args) => claim::give(context, args).await,
    }
}

/// Makes and writes a key; refuses to replace one.
pub(crate) fn make_key(context: &Context, id: PartyId) -> Result<PartyKey, Failure> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut()).map_err(|_| client::Error::NoRandomness)?;
    let path = context.home.party_key(&id);
    let key = PartyKey::from_random(id, &random);
    write_new_private(&path, key.to_text().as_bytes()).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::input("there is a key of this name already", "choose another name, or move that file away")
                .about(path.display())
        }
        _ => Failure::write(&path, &error),
    })?;
    Ok(key)
}

fn new_key(context: &Context, name: &str) -> Result<Exit, Failure> {
    let key = make_key(context, PartyId::new(name)?)?;
    tell_key(context, &key, "Made. The operators list its public key in the next charter.")
}

fn show_key(context: &Context, name: &str) -> Result<Exit, Failure> {
    let key = context.party(Some(name))?;
    tell_key(context, &key, "The public key, as the charter lists it.")
}

fn tell_key(context: &Context, key: &PartyKey, headline: &str) -> Result<Exit, Failure> {
    let path = context.home.party_key(&key.id);
    let facts = json!({ "party": key.id, "key": key.public(), "file": path });
    context.out.answer(&facts, |page| {
        page.headline(true, headline);
        page.row("name", &key.id);
        page.row("public key", key.public());
        page.row("secret key", format!("{} (only its owner can read it; keep it so)", path.display()));
    });
    Ok(Exit::Yes)
}

async fn ask(context: &Context, args: Ask) -> Result<Exit, Failure> {
    let key = context.party(args.party.as_deref())?;
    let client = context.client()?;
    let rules = rules::in_force(context, &client).await?;
    let now = client.platform().now();
    let terms = terms::read(&rules.charter, &key.id, &args.terms, now)?;
    let subject = args.subject.as_deref().map(SubjectId::from_hex).transpose()?;
    let answer_by = terms::until(&args.answer_by, now)?.min(terms.expires_at);
    let spinner = context.out.spinner("Asking through three nodes");
    let proof = client.settle(key.signing(), Question::Ask { subject, terms: terms.clone(), answer_by }).await;
    spinner.finish_and_clear();
    let proof = proof?;
    let keeping = receipt::keep_in(context, &context.home.party_receipts(&key.id), &client, &proof, None).await?;
    let id = AskId::from(proof.certificate.decision.operation);
    let code = QrCode::new(id.to_hex()).map_err(|_| Failure::input("the QR code cannot be drawn", "give the id as text"))?;
    if let Some(path) = &args.qr {
        let svg = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).build();
        std::fs::write(path, svg).map_err(|error| Failure::write(path, &error))?;
    }
    let declined = matches!(proof.outcome(), Outcome::Declined { .. });
    let more = json!({ "ask": id, "party": key.id, "terms": terms, "answer_by": answer_by, "qr": args.qr });
    context.out.answer(&receipt::with(receipt::facts(&proof, &keeping), more), |page| {
        if declined {
            page.headline(false, "The answer is no.");
        } else {
            page.headline(true, "Asked. Give this id to the member.");
            page.row("ask", id);
            page.row("answer by", words::time(answer_by));
            match &args.qr {
                Some(path) => page.row("QR code", path.display()),
                None => page.line(format!("\n{}", in_terminal(&code, console::colors_enabled()))),
            }
            page.line(format!("They answer with `commons approve {id}`; you hear of it with `commons party answer {id}`."));
        }
        receipt::rows(page, &proof, &keeping);
    });
    Ok(receipt::exit(&keeping, if declined { Exit::No } else { Exit::Yes }))
}

/// Two modules to a character. Where the terminal shows colours, black on white whatever its own are, as scanners expect. Elsewhere
/// right on a dark background, and inverted, which most scanners read too, on a light one.
fn in_terminal(code: &QrCode, coloured: bool) -> String {
    use qrcode::render::unicode::Dense1x2;
    let mut drawn = code.render::<Dense1x2>();
    if !coloured {
        return drawn.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    }
    let picture = drawn.dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
    // Blocks are drawn for what is dark, in black; white is the background of every line.
    let line = |line| style(line).color256(BLACK).on_color256(WHITE).force_styling(true).to_string();
    picture.lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn answer(context: &Context, args: Answer) -> Result<Exit, Failure> {
    let key = context.party(args.party.as_deref())?;
    let client = context.client()?;
    let ask = AskId::from_hex(&args.ask.to_ascii_lowercase())?;
    let spinner = context.out.spinner("Asking three nodes");
    let answered = heard(&client, &key, ask, args.wait).await;
    spinner.finish_and_clear();
    let Answered::Done(proof) = answered? else {
        context.out.answer(&json!({ "ask": ask, "answered": false }), |page| {
            page.headline(false, "Nobody has answered yet.");
            page.line("  Ask again later, or with --wait.");
        });
        return Ok(Exit::Unavailable);
    };
    let (outcome, decision) = (proof.outcome(), &proof.certificate.decision);
    let mut facts = json!({
        "ask": ask, "answered": true, "outcome": outcome.name(), "decided_at": decision.decided_at, "batch": decision.batch,
        "log_index": decision.log_index,
    });
    let exit = match outcome {
        Outcome::Answered { grant, subject, finding, uses_left, .. } => {
            let more =
                json!({ "grant": grant, "subject": subject, "finding": finding_name(&finding), "uses_left": uses_left });
            facts = receipt::with(facts, more);
            if finding_is_yes(&finding) { Exit::Yes } else { Exit::No }
        }
        _ => Exit::No,
    };
    context.out.answer(&facts, |page| {
        if let Outcome::Answered { grant, subject, finding, uses_left, .. } = outcome {
            result(page, &finding, subject, grant, uses_left);
        } else {
            page.headline(false, "The answer is no. You learn nothing else.");
        }
        let when = words::time(decision.decided_at);
        page.row("decided", format!("{when}, batch {}, signed by nodes 1, 2 and 3", words::count(decision.batch)));
        page.row("in the logs", format!("entry {} of all three", words::count(decision.log_index)));
    });
    Ok(exit)
}

async fn heard(client: &NativeClient, key: &PartyKey, ask: AskId, wait: bool) -> Result<Answered, client::Error> {
    loop {
        match client.answer_to(key.signing(), ask).await {
            Ok(Answered::Waiting) if wait => tokio::time::sleep(Duration::from_secs(1)).await,
            other => return other,
        }
    }
}

/// What a relying party learns.
fn result(page: &mut crate::output::Page, finding: &Finding, subject: SubjectId, grant: GrantId, uses_left: u32) {
    page.headline(finding_is_yes(finding), &format!("The answer: {}.", finding_in_words(finding)));
    page.row("known as", format!("{subject}, to you and to nobody else"));
    page.row("grant", format!("{grant}, {} left", words::counted(u64::from(uses_left), "use", "uses")));
}

async fn use_grant(context: &Context, args: Use) -> Result<Exit, Failure> {
    let key = context.party(args.party.as_deref())?;
    let station = args.station_key.as_deref().map(|path| context.machine_key(path)).transpose()?;
    let client = context.client()?;
    let grant = find(context, &client, &key, &args.grant).await?;
    let terms = &grant.terms;
    let sample = match terms.operation {
        Operation::Membership => None,
        Operation::Verification => {
            let mut wanted = args.sample.clone();
            if let (None, Some(profile)) = (&wanted.profile, &terms.profile) {
                wanted.profile = Some(profile.to_string());
            }
            Some(sample::read(context, client.commons().roster(), &wanted)?)
        }
    };
    let values = sample.as_ref().map(|sample| Zeroizing::new(sample.template.input_values()));
    let taken = sample.as_ref().zip(values.as_ref()).map(|(sample, values)| {
        let template = Template { profile: &sample.profile, values };
        Sample { template, former: None, note: "", station: station.as_ref().map(PartyKey::signing), vouchers: &[] }
    });
    let (party, purpose) = (key.id.clone(), terms.purpose.clone());
    let spinner = context.out.spinner("Asking three nodes");
    let question = Question::Use { party, grant: grant.grant, purpose, sample: taken };
    let proof = client.settle(key.signing(), question).await;
    spinner.finish_and_clear();
    let mut proof = proof?;
    // The entry of a use concerns the member: only they can open it.
    proof.salt = client::receipt::NO_SALT;
    let keeping = receipt::keep_in(context, &context.home.party_receipts(&key.id), &client, &proof, None).await?;
    let Outcome::Answered { subject, finding, uses_left, .. } = proof.outcome() else {
        return Err(Failure::input("the nodes decided something else than an answer", "ask the operators"));
    };
    let more = json!({
        "grant": grant.grant, "party": key.id, "subject": subject, "finding": finding_name(&finding), "uses_left": uses_left,
    });
    context.out.answer(&receipt::with(receipt::facts(&proof, &keeping), more), |page| {
        result(page, &finding, subject, grant.grant, uses_left);
        receipt::rows(page, &proof, &keeping);
    });
    let exit = match finding {
        Finding::InvalidTemplate => Exit::Input,
        finding if finding_is_yes(&finding) => Exit::Yes,
        _ => Exit::No,
    };
    Ok(receipt::exit(&keeping, exit))
}

/// A grant to this party. One that is not stated may have ended or be suspended: the nodes are asked which rule stands in the way.
async fn find(context: &Context, client: &NativeClient, key: &PartyKey, text: &str) -> Result<GrantStatement, Failure> {
    let (given, _) = stated(context, client, key).await?.0;
    let ids = given.iter().map(|grant| (grant, grant.grant.to_hex()));
    match terms::by_prefix("grant", text, ids, "commons party grants") {
        Ok(grant) => Ok(grant.clone()),
        Err(failure) => match GrantId::from_hex(&text.to_ascii_lowercase()) {
            Err(_) => Err(failure),
            Ok(id) => Err(why_not(client, key, id).await),
        },
    }
}

/// Why a grant that the nodes do not state cannot be used: they refuse a use of it by rule. No grant is for the purpose that this use
/// names, so nothing is spent if the grant has come back a moment ago.
async fn why_not(client: &NativeClient, key: &PartyKey, grant: GrantId) -> Failure {
    let question = Question::Use { party: key.id.clone(), grant, purpose: Purpose::deduplication(), sample: None };
    match client.settle(key.signing(), question).await {
        Err(client::Error::Refused { code, .. }) if code == "grant-purpose" => {
            Failure { exit: Exit::Unavailable, ..Failure::input("this grant can be used again", "try again") }
        }
        Err(error) => error.into(),
        Ok(_) => Failure::input("the nodes decided something else than a refusal", "ask the operators"),
    }
}

type Stated = ((Vec<GrantStatement>, Vec<AskStatement>), client::Statements);

/// What the nodes state of this party, as the one that is furthest says.
async fn stated(context: &Context, client: &NativeClient, key: &PartyKey) -> Result<Stated, Failure> {
    let spinner = context.out.spinner("Asking three nodes");
    let statements = client.status(key.signing()).await;
    spinner.finish_and_clear();
    let statements = statements?;
    let Some(newest) = statements.valid().max_by_key(|statement| statement.batch) else {
        return Err(worst(&statements).into());
    };
    let Some(party) = &newest.party else {
        return Err(Failure::input(
            format!("the nodes know no relying party with the key of `{}`", key.id),
            "have the operators adopt a charter that lists it",
        )
        .coded("party-unknown"));
    };
    Ok(((party.grants.clone(), party.asks.clone()), statements.clone()))
}

async fn list(context: &Context, args: PartyGrants) -> Result<Exit, Failure> {
    let key = context.party(args.party.as_deref())?;
    let client = context.client()?;
    let ((given, asks), statements) = stated(context, &client, &key).await?;
    let waiting: Vec<Value> = asks
        .iter()
        .map(|ask| json!({ "ask": ask.id, "answer_by": ask.ask.answer_by, "since": ask.since, "terms": ask.ask.terms }))
        .collect();
    let facts = json!({ "party": key.id, "grants": given.iter().map(grant_facts).collect::<Vec<_>>(), "asks": waiting });
    context.out.answer(&facts, |page| {
        let (grants_in_words, asks_in_words) = (
            words::counted(given.len() as u64, "grant", "grants"),
            words::counted(asks.len() as u64, "ask that waits", "asks that wait"),
        );
        page.headline(true, &format!("{}: {grants_in_words}, {asks_in_words} for an answer.", key.id));
        grants(page, &given);
        for ask in &asks {
            page.heading(&format!("ask {}", ask.id));
            page.row("answer by", words::time(ask.ask.answer_by));
        }
    });
    Ok(conclude(context, &statements, Exit::Yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_is_black_on_white_where_there_are_colours() {
        let code = QrCode::new("0123456789abcdef").unwrap();
        let (coloured, plain) = (in_terminal(&code, true), in_terminal(&code, false));
        assert_eq!(coloured.lines().count(), plain.lines().count());
        for line in coloured.lines() {
            assert!(line.starts_with("\u{1b}[38;5;16m\u{1b}[48;5;231m") && line.ends_with("\u{1b}[0m"), "{line:?}");
        }
        // The border is light: nothing drawn on white, blocks drawn where the background may be dark.
        assert!(!coloured.lines().next().unwrap().contains('█'));
        assert!(plain.lines().next().unwrap().chars().all(|c| c == '█'));
    }
}
