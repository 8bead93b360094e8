//! Receipts: every certificate is kept beside what it is about, and can be checked again offline against the roster.

use std::path::PathBuf;

use client::Proof;
use client::native::NativeClient;
use serde_json::{Value, json};
use types::api::to_base64;
use types::message::Outcome;

use crate::context::Context;
use crate::failure::Failure;
use crate::home::write_private;
use crate::output::Page;
use crate::words;

/// Writes the receipt and tells of nodes that were silent or sent nonsense. Returns where it lies.
pub(crate) fn keep(
    context: &Context,
    client: &NativeClient,
    action: &str,
    note: &str,
    proof: &Proof,
) -> Result<PathBuf, Failure> {
    for complaint in &proof.complaints {
        let text = "The decision stands, it has all three signatures; tell the operator of that node.";
        context.out.warn(&format!("{complaint}. {text}"));
    }
    if !proof.silent.is_empty() {
        let who = words::nodes(&proof.silent);
        context.out.note(&format!("No answer from {who} in time; the decision stands, it has all three signatures."));
    }
    let decision = &proof.certificate.decision;
    let receipt = json!({
        "version": 1,
        "commons": client.commons().roster().commons,
        "roster": client.commons().digest(),
        "action": action,
        "note": note,
        "outcome": decision.outcome.name(),
        "operation": decision.operation,
        "batch": decision.batch,
        "decided_at": decision.decided_at,
        "certificate": to_base64(&proof.certificate.to_bytes()),
    });
    let name = format!("{}-{}-{action}.json", decision.decided_at, decision.operation);
    let path = context.home.receipts(&context.member).join(name);
    write_private(&path, format!("{receipt:#}\n").as_bytes()).map_err(|error| Failure::write(&path, &error))?;
    Ok(path)
}

/// What every decision says for programs.
pub(crate) fn facts(proof: &Proof, receipt: &std::path::Path) -> Value {
    let decision = &proof.certificate.decision;
    let mut facts = json!({
        "outcome": decision.outcome.name(),
        "operation": decision.operation,
        "batch": decision.batch,
        "decided_at": decision.decided_at,
        "receipt": receipt,
        "silent_nodes": proof.silent,
        "misbehaving_nodes": proof.complaints.iter().map(|c| c.node).collect::<Vec<_>>(),
    });
    if let (Outcome::Enrolled { member }, Some(object)) = (&decision.outcome, facts.as_object_mut()) {
        object.insert("member".to_owned(), json!(member));
    }
    facts
}

/// What every decision says for people.
pub(crate) fn rows(page: &mut Page, proof: &Proof, receipt: &std::path::Path) {
    let decision = &proof.certificate.decision;
    let when = words::time(decision.decided_at);
    page.row("decided", format!("{when}, batch {}, signed by nodes 1, 2 and 3", words::count(decision.batch)));
    page.row("receipt", receipt.display());
}
