//! `commons withdraw`: erase my records on all three nodes.

use types::ProfileId;
use types::message::Outcome;

use crate::args::Withdraw;
use crate::commands::receipt;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::words;

pub(crate) async fn run(context: &Context, args: Withdraw) -> Result<Exit, Failure> {
    let profile = args.profile.as_deref().map(ProfileId::new).transpose()?;
    let (client, device) = context.member(false)?;
    if !args.yes {
        let what = profile.as_ref().map_or_else(|| "all your records".to_owned(), |id| format!("your record `{id}`"));
        let question =
            format!("Erase {what} in \"{}\" on all three nodes? It cannot be undone.", client.commons().roster().commons);
        if !context.confirm(&question, "--yes")? {
            return Err(Failure::input("nothing was withdrawn", "run it again and answer y if you want to"));
        }
    }
    let spinner = context.out.spinner("Erasing on three nodes");
    let proof = client.withdraw(&device, profile).await;
    spinner.finish_and_clear();
    let proof = proof?;

    let path = receipt::keep(context, &client, "withdraw", "", &proof)?;
    if args.forget_key {
        context.home.forget_key(&context.member)?;
    }
    let Outcome::Withdrawn { records } = proof.outcome() else {
        return Err(Failure::input("the nodes decided something else than a withdrawal", "ask `commons status`"));
    };
    let mut facts = receipt::facts(&proof, &path);
    if let Some(object) = facts.as_object_mut() {
        object.insert("records".to_owned(), records.into());
        object.insert("key_deleted".to_owned(), args.forget_key.into());
    }
    context.out.answer(&facts, |page| {
        let what = words::counted(u64::from(records), "record is", "records are");
        page.headline(true, &format!("Withdrawn: {what} masked and erased on all three nodes."));
        receipt::rows(page, &proof, &path);
        if args.forget_key {
            page.line("  The key on this machine is deleted, too.");
        }
    });
    Ok(Exit::Yes)
}
