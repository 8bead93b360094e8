//! `commons verify`: the same person as before?

use client::request::Template;
use types::message::Outcome;
use zeroize::Zeroizing;

use crate::args::Verify;
use crate::commands::receipt;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::sample;

pub(crate) async fn run(context: &Context, args: Verify) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let sample = sample::read(context, &roster, &args.sample)?;
    let (client, device) = context.member(false)?;

    let note = args.note.as_deref().unwrap_or_default();
    let values = Zeroizing::new(sample.template.input_values());
    let spinner = context.out.spinner("Split among three nodes; comparing with your record on shares");
    let template = Template { profile: &sample.profile, values: &values };
    let proof = client.verify(&device, template, note).await;
    spinner.finish_and_clear();
    let proof = proof?;

    let path = receipt::keep(context, &client, "verify", note, &proof)?;
    let mut facts = receipt::facts(&proof, &path);
    if let Some(object) = facts.as_object_mut() {
        object.insert("profile".to_owned(), serde_json::json!(sample.profile));
    }
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
        receipt::rows(page, &proof, &path);
    });
    Ok(match outcome {
        Outcome::Verified { matched: true } => Exit::Yes,
        Outcome::InvalidTemplate => Exit::Input,
        _ => Exit::No,
    })
}
