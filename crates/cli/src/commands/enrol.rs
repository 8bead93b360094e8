//! `commons enrol`: one person, once.

use client::PartyKey;
use client::request::{Question, Sample, Template};
use types::message::Outcome;
use zeroize::Zeroizing;

use crate::args::Enrol;
use crate::commands::receipt;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::sample::{self, Kept};

pub(crate) async fn run(context: &Context, args: Enrol) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let clear = sample::read_if_clear(context, &roster, &args.kept.sample)?;
    let vouchers = super::vouch::read(&args.voucher)?;
    let station = args.kept.station_key.as_deref().map(|path| context.machine_key(path)).transpose()?;
    let (client, key, device) = context.member_with_key(true)?;
    let rules = super::rules::heed(context, &client).await?;
    let Kept { sample, former } = sample::to_keep(context, &roster, &rules.charter, clear, &args.kept)?;

    let note = args.kept.note.as_deref().unwrap_or_default();
    let values = Zeroizing::new(sample.template.input_values());
    let spinner = context.out.spinner("Split among three nodes; matching on shares");
    let template = Template { profile: &sample.profile, values: &values };
    let older = former.as_ref().map(|sample| (&sample.profile, Zeroizing::new(sample.template.input_values())));
    let former = older.as_ref().map(|(profile, values)| Template { profile, values });
    let station = station.as_ref().map(PartyKey::signing);
    let taken = Sample { template, former, note, station, vouchers: &vouchers };
    let proof = client.settle(&device, Question::Enrol(taken)).await;
    spinner.finish_and_clear();
    let proof = proof?;

    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let facts = receipt::with(receipt::facts(&proof, &keeping), serde_json::json!({ "profile": sample.profile }));
    let outcome = proof.outcome();
    if matches!(outcome, Outcome::Enrolled { .. })
        && let Err(failure) = super::persona::keep::ready(context, &client, key, &device).await
    {
        context
            .out
            .note(&format!("Personas are not ready yet: {}. Make them so with `commons persona renew`.", failure.what));
    }
    context.out.answer(&facts, |page| {
        match outcome {
            Outcome::Enrolled { member } => {
                page.headline(true, &format!("You are enrolled in \"{}\".", roster.commons));
                page.row("member", member);
                page.row("profile", &sample.profile);
            }
            Outcome::Duplicate => {
                page.headline(false, "Not enrolled: somebody with a matching template already is.");
                page.line("  Nothing was kept. If it was you, use `commons verify` with the key you enrolled with.");
            }
            _ => {
                page.headline(false, "Not enrolled: the nodes found that the shares are no template of this profile.");
                page.line("  Nothing was kept. Use the extractor that the profile was made for.");
            }
        }
        receipt::rows(page, &proof, &keeping);
        if matches!(outcome, Outcome::Enrolled { .. }) {
            page.line("\nSee what the nodes store about you with `commons inspect`; take it back with `commons withdraw`.");
        }
    });
    let exit = match outcome {
        Outcome::Enrolled { .. } => Exit::Yes,
        Outcome::InvalidTemplate => Exit::Input,
        _ => Exit::No,
    };
    Ok(receipt::exit(&keeping, exit))
}
