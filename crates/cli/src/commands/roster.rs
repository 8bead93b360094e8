//! `commons roster accept`: a newer roster in the place of the one that is trusted, if it shows by itself that it continues it.

use serde_json::json;
use types::limits;
use types::roster::Roster;

use crate::args::{AcceptRoster, RosterCommand};
use crate::context::{Context, with_capture};
use crate::failure::{Exit, Failure};
use crate::home::read_limited;

pub(crate) fn run(context: &Context, command: &RosterCommand) -> Result<Exit, Failure> {
    match command {
        RosterCommand::Accept(args) => accept(context, args),
    }
}

fn accept(context: &Context, args: &AcceptRoster) -> Result<Exit, Failure> {
    let trusted = context.roster()?;
    let bytes =
        read_limited(&args.newer, limits::CONFIG_FILE_BYTES as u64).map_err(|error| Failure::read(&args.newer, &error))?;
    let hint = "ask your operators for the roster file again; yours was not changed";
    let text = String::from_utf8(bytes).map_err(|_| Failure::input("this is not a roster", hint))?;
    let newer =
        Roster::from_toml(&text).map_err(|error| Failure::input(error.to_string(), hint).about(args.newer.display()))?;
    if !trusted.continues_as(&with_capture(newer.clone())) {
        let what = match trusted.digest() == newer.digest() {
            true => "this roster is older than yours, or tells another history",
            false => "this roster is of another commons than yours",
        };
        return Err(Failure::input(what, hint).about(args.newer.display()));
    }
    let added: Vec<_> = newer.additions.iter().skip(trusted.additions.len()).map(|addition| &addition.profile).collect();
    let replaced: Vec<_> = newer.successions.iter().skip(trusted.successions.len()).collect();
    context.replace_roster(&text)?;
    let facts = json!({
        "digest": newer.digest(),
        "keys": newer.keys(),
        "replaced": replaced
            .iter()
            .map(|succession| json!({ "node": succession.replaced.id, "from_batch": succession.from_batch }))
            .collect::<Vec<_>>(),
        "added": added,
    });
    context.out.answer(&facts, |page| {
        match (replaced.is_empty(), added.is_empty()) {
            (true, true) => page.headline(true, "Nothing is new: no node was replaced and no profile added since."),
            (true, false) => page.headline(true, "Taken: the same commons, with a profile that all three nodes have added."),
            (false, _) => {
                page.headline(true, "Taken: the same commons, with a node that the two others put in another's place.")
            }
        }
        for succession in &replaced {
            page.row(
                &format!("node {}", succession.replaced.id),
                format!("replaced from batch {} on", succession.from_batch),
            );
        }
        for profile in &added {
            page.row("added", profile);
        }
        page.row("keys", newer.keys());
    });
    Ok(Exit::Yes)
}
