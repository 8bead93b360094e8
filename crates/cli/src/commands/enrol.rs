//! `commons enrol`: one person, once.

use client::request::Template;
use types::message::Outcome;
use zeroize::Zeroizing;

use crate::args::Enrol;
use crate::commands::receipt;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::sample;

pub(crate) async fn run(context: &Context, args: Enrol) -> Result<Exit, Failure> {
    let roster = context.roster()?;
    let sample = sample::read(context, &roster, &args.sample)?;
    let (client, device) = context.member(true)?;

    let note = args.note.as_deref().unwrap_or_default();
    let values = Zeroizing::new(sample.template.input_values());
    let spinner = context.out.spinner("Split among three nodes; matching on shares");
    let template = Template { profile: &sample.profile, values: &values };
    let proof = client.enrol(&device, template, note).await;
    spinner.finish_and_clear();
    let proof = proof?;

    let path = receipt::keep(context, &client, "enrol", note, &proof)?;
    let mut facts = receipt::facts(&proof, &path);
    if let Some(object) = facts.as_object_mut() {
        object.insert("profile".to_owned(), serde_json::json!(sample.profile));
    }
    let outcome = proof.outcome();
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
        receipt::rows(page, &proof, &path);
        if matches!(outcome, Outcome::Enrolled { .. }) {
            page.line("\nSee what the nodes store about you with `commons inspect`; take it back with `commons withdraw`.");
        }
    });
    Ok(match outcome {
        Outcome::Enrolled { .. } => Exit::Yes,
        Outcome::InvalidTemplate => Exit::Input,
        _ => Exit::No,
    })
}
