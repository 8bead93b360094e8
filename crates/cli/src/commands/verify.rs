//! `commons verify`: the same person as before?

use client::PartyKey;
use client::native::NativeClient;
use client::request::{Question, Sample, Template};
use ed25519_dalek::SigningKey;
use types::message::Outcome;
use types::profile::Profile;
use zeroize::Zeroizing;

use crate::args::Verify;
use crate::commands::receipt;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::sample;

pub(crate) async fn run(context: &Context, args: Verify) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let clear = sample::read_if_clear(context, &roster, &args.sample)?;
    let station = args.station_key.as_deref().map(|path| context.machine_key(path)).transpose()?;
    let (client, device) = context.member(false)?;
    super::rules::heed(context, &client).await?;
    let sample = match clear {
        Some(sample) => sample,
        None => sample::read_for(context, &roster, &own_records(&client, &device).await?, &args.sample)?,
    };

    let note = args.note.as_deref().unwrap_or_default();
    let values = Zeroizing::new(sample.template.input_values());
    let spinner = context.out.spinner("Split among three nodes; comparing with your record on shares");
    let template = Template { profile: &sample.profile, values: &values };
    let station = station.as_ref().map(PartyKey::signing);
    let taken = Sample { template, former: None, note, station, vouchers: &[] };
    let proof = client.settle(&device, Question::Verify(taken)).await;
    spinner.finish_and_clear();
    let proof = proof?;

    let keeping = receipt::keep(context, &client, &proof, None).await?;
    let facts = receipt::with(receipt::facts(&proof, &keeping), serde_json::json!({ "profile": sample.profile }));
    let outcome = proof.outcome();
    let photo = args.sample.photo.is_some();
    context.out.answer(&facts, |page| {
        match outcome {
            Outcome::Verified { matched: true } => page.headline(true, "The same person who enrolled with this key."),
            Outcome::Verified { matched: false } => {
                page.headline(false, "Not the same person, as far as this sample shows.");
                if photo {
                    page.line("  If it is you, try again in better light, looking straight into the camera.");
                }
            }
            _ => page.headline(false, "The nodes found that the shares are no template of this profile."),
        }
        receipt::rows(page, &proof, &keeping);
    });
    let exit = match outcome {
        Outcome::Verified { matched: true } => Exit::Yes,
        Outcome::InvalidTemplate => Exit::Input,
        _ => Exit::No,
    };
    Ok(receipt::exit(&keeping, exit))
}

/// The profiles of which the nodes have records of this member.
async fn own_records(client: &NativeClient, device: &SigningKey) -> Result<impl Fn(&Profile) -> bool, Failure> {
    let statements = client.status(device).await?;
    let member = statements.valid().find_map(|statement| statement.member.clone());
    let records: Vec<_> = member.iter().flat_map(|member| &member.records).map(|r| r.profile.clone()).collect();
    Ok(move |profile: &Profile| records.contains(&profile.id))
}
