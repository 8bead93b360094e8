//! `commons renew`: a newer sample in place of the old one.

use client::PartyKey;
use client::request::{Question, Sample, Template};
use types::message::Outcome;
use zeroize::Zeroizing;

use crate::args::Renew;
use crate::commands::receipt;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::sample::{self, Kept};

pub(crate) async fn run(context: &Context, args: Renew) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let clear = sample::read_if_clear(context, &roster, &args.kept.sample)?;
    let station = args.kept.station_key.as_deref().map(|path| context.machine_key(path)).transpose()?;
    let (client, device) = context.member(false)?;
    let rules = super::rules::heed(context, &client).await?;
    let Kept { sample, former } = sample::to_keep(context, &roster, &rules.charter, clear, &args.kept)?;

    let note = args.kept.note.as_deref().unwrap_or_default();
    let values = Zeroizing::new(sample.template.input_values());
    let spinner =
        context.out.spinner("Split among three nodes; comparing with your record, then with everybody else's, on shares");
    let template = Template { profile: &sample.profile, values: &values };
    let older = former.as_ref().map(|sample| (&sample.profile, Zeroizing::new(sample.template.input_values())));
    let former = older.as_ref().map(|(profile, values)| Template { profile, values });
    let station = station.as_ref().map(PartyKey::signing);
    let taken = Sample { template, former, note, station, vouchers: &[] };
    let proof = client.settle(&device, Question::Renew(taken)).await;
    spinner.finish_and_clear();
    let proof = proof?;

    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let facts = receipt::with(receipt::facts(&proof, &keeping), serde_json::json!({ "profile": sample.profile }));
    let outcome = proof.outcome();
    context.out.answer(&facts, |page| {
        match outcome {
            Outcome::Renewed => {
                page.headline(true, "Your record is of the new sample now; the old one is erased on all three nodes.");
            }
            Outcome::NotRenewed => {
                page.headline(
                    false,
                    "Not renewed: the new sample does not match your record, or matches somebody else's too.",
                );
                page.line("  Your record is as it was. Try again with a sample that is taken well.");
            }
            _ => {
                page.headline(false, "Not renewed: the nodes found that the shares are no template of this profile.");
                page.line("  Your record is as it was. Use the extractor that the profile was made for.");
            }
        }
        receipt::rows(page, &proof, &keeping);
    });
    let exit = match outcome {
        Outcome::Renewed => Exit::Yes,
        Outcome::InvalidTemplate => Exit::Input,
        _ => Exit::No,
    };
    Ok(receipt::exit(&keeping, exit))
}
