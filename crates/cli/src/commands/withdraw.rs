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
    let (client, key, device) = context.member_with_key(false)?;
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

    let keeping = receipt::keep(context, &client, &proof, None).await?;
    super::persona::keep::left(context, &client, key, &device, args.forget_key).await?;
    if args.forget_key {
        context.home.forget_key(&context.member)?;
    }
    let Outcome::Withdrawn { records } = proof.outcome() else {
        return Err(Failure::input("the nodes decided something else than a withdrawal", "ask `commons status`"));
    };
    let more = serde_json::json!({ "records": records, "key_deleted": args.forget_key });
    let facts = receipt::with(receipt::facts(&proof, &keeping), more);
    context.out.answer(&facts, |page| {
        let what = words::counted(u64::from(records), "record is", "records are");
        page.headline(true, &format!("Withdrawn: {what} masked and erased on all three nodes."));
        receipt::rows(page, &proof, &keeping);
        if args.forget_key {
            page.line("  The key on this machine is deleted, too.");
        }
    });
    Ok(receipt::exit(&keeping, Exit::Yes))
}
