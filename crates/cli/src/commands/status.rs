//! `commons status`: what each node states about me, checked and compared.

use client::{Error, Statements};
use serde_json::{Value, json};
use types::NodeId;
use types::message::MemberStatement;
use types::roster::Roster;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::words;

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let (client, key, device) = context.member_with_key(false)?;
    let spinner = context.out.spinner("Asking three nodes");
    let statements = client.status(&device).await;
    spinner.finish_and_clear();
    let statements = statements?;
    super::persona::keep::in_passing(context, &client, key, &device).await;
    let any = statements.valid().next().is_some();
    if !any {
        return Err(worst(&statements).into());
    }
    let member = statements.valid().find_map(|s| s.member.clone());
    let replaced = statements.valid().find_map(|s| s.replaced);
    if let Some(member) = &member {
        super::guardians::warn(context, member, &device);
    }
    let facts = json!({
        "commons": client.commons().roster().commons,
        "member": member.as_ref().map(|m| m.member),
        "agree": statements.agree(),
        "replaced": replaced,
        "recoveries": member.as_ref().and_then(|m| m.guarded.as_ref()).map(super::guardians::recoveries_facts),
        "nodes": node_facts(&statements, |_| Value::Null),
    });
    context.out.answer(&facts, |page| {
        match &member {
            Some(member) => {
                page.headline(true, &format!("You are a member of \"{}\".", client.commons().roster().commons));
                page.row("member", member.member);
                page.row("since", words::time(member.since));
            }
            None if replaced.is_some() => page.headline(
                false,
                &format!(
                    "This device is nobody's since {}: its member recovered to another one.",
                    replaced.map_or_else(String::new, words::time)
                ),
            ),
            None => page.headline(
                false,
                &format!("No node knows this key as a member of \"{}\".", client.commons().roster().commons),
            ),
        }
        page.heading("Each node, in its own signed words");
        for (node, statement) in NodeId::ALL.into_iter().zip(&statements.nodes) {
            let label = node_label(client.commons().roster(), node);
            match statement {
                Ok(statement) => {
                    let about = statement.member.as_ref().map_or_else(|| "knows nothing of you".to_owned(), member_line);
                    page.row(&label, format!("{about}; {} decided", words::counted(statement.batch, "batch", "batches")));
                }
                Err(error) => page.row(&label, silence(error)),
            }
        }
    });
    Ok(conclude(context, &statements, if member.is_some() { Exit::Yes } else { Exit::No }))
}

/// A node that lied or is down decides the exit code; disagreement is told.
pub(crate) fn conclude(context: &Context, statements: &Statements, otherwise: Exit) -> Exit {
    if !statements.agree() {
        context.out.warn(
            "the nodes state different things about you. One may be a moment behind: ask again. If it stays so, tell the operators.",
        );
    }
    match statements.all() {
        Ok(_) => otherwise,
        Err(_) => Failure::from(worst(statements)).exit,
    }
}

/// The error that weighs most: a lie before a silence.
pub(crate) fn worst(statements: &Statements) -> Error {
    let errors: Vec<&Error> = statements.nodes.iter().filter_map(|node| node.as_ref().err()).collect();
    let lie = errors.iter().find(|error| matches!(error, Error::Misbehaved { .. }));
    if let Some(lie) = lie.or_else(|| errors.iter().find(|error| !matches!(error, Error::Unavailable { .. }))) {
        return (**lie).clone();
    }
    let mut nodes: Vec<NodeId> = Vec::new();
    for error in errors {
        if let Error::Unavailable { nodes: some } = error {
            nodes.extend(some);
        }
    }
    Error::Unavailable { nodes }
}

/// Why a node has no statement, in a few words.
pub(crate) fn silence(error: &Error) -> String {
    match error {
        Error::Unavailable { .. } => "does not answer".to_owned(),
        Error::Misbehaved { complaint } => format!("sent {}; tell its operator", complaint.fault),
        Error::Refused { detail, .. } | Error::TryAgain { detail, .. } => detail.clone(),
        other => other.to_string(),
    }
}

/// `node 1 (operator)`, cut to the column.
pub(crate) fn node_label(roster: &Roster, node: NodeId) -> String {
    let operator =
        roster.node(node).map(|entry| entry.operator.chars().filter(|c| !c.is_control()).take(24).collect::<String>());
    match operator {
        Some(operator) if !operator.is_empty() && operator != format!("node {node}") => format!("node {node}, {operator}"),
        _ => format!("node {node}"),
    }
}

fn member_line(member: &MemberStatement) -> String {
    let records: Vec<String> =
        member.records.iter().map(|r| format!("{} ({} bytes of share)", r.profile, words::count(r.share_bytes))).collect();
    if records.is_empty() { "knows you, keeps no record".to_owned() } else { records.join(", ") }
}

/// What each node states, for programs; `more` adds to each record.
pub(crate) fn node_facts(statements: &Statements, more: impl Fn(&types::message::RecordStatement) -> Value) -> Value {
    let one = |(node, statement): (NodeId, &Result<types::message::Statement, Error>)| match statement {
        Err(error) => json!({ "node": node, "error": silence(error) }),
        Ok(statement) => {
            let records = |m: &MemberStatement| {
                let record = |r: &types::message::RecordStatement| {
                    json!({
                        "profile": r.profile,
                        "batch": r.batch,
                        "since": r.since,
                        "share_bytes": r.share_bytes,
                        "sample": more(r),
                    })
                };
                m.records.iter().map(record).collect::<Vec<_>>()
            };
            let member = statement.member.as_ref();
            json!({
                "node": node,
                "batch": statement.batch,
                "member": member.map(|m| m.member),
                "since": member.map(|m| m.since),
                "metadata_bytes": member.map(|m| m.metadata_bytes),
                "records": member.map(records).unwrap_or_default(),
            })
        }
    };
    NodeId::ALL.into_iter().zip(&statements.nodes).map(one).collect()
}
