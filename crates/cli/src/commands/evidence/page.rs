//! The page of an evidence file: a pure function of the data, so that a verifier can make it again and compare.

use std::fmt::Write as _;

use charter::receipt::{explain, utc};
use client::evidence::Bundle;
use client::receipt::{Kept, Shown};
use types::NodeId;
use types::message::Action;
use types::roster::Roster;

use crate::sheet::{Sheet, moment, text};

const BEGIN: &str = "<details><summary>All of it, for programs</summary><pre id=\"evidence\">";
const END: &str = "</pre></details>";

/// The whole file. Times are in UTC, so that it is the same wherever it is made.
pub(crate) fn write(bundle: &Bundle, shown: &[Shown], roster: &Roster) -> String {
    let (title, lead) = head(bundle, roster);
    let mut sheet = Sheet::new(&title, &lead);
    for (kept, shown) in bundle.receipts.iter().zip(shown) {
        decision(&mut sheet, kept, shown);
    }
    how_to_check(&mut sheet, bundle, roster);
    sheet.section("The data", "Everything above was made from this, and a verifier makes it again to compare.");
    for (node, policy) in NodeId::ALL.into_iter().zip(&bundle.policies) {
        part(&mut sheet, &format!("Trust policy of the log of node {node} (C2SP tlog-policy)"), policy);
    }
    sheet.html(&format!("{BEGIN}{}{END}", text(&bundle.to_json())));
    sheet.finish(&[format!("Evidence format {}. Roster {}.", bundle.version, bundle.roster)])
}

/// The data inside a file that `write` made. Unchecked.
pub(crate) fn data(file: &str) -> Option<String> {
    let (_, rest) = file.split_once(BEGIN)?;
    let (data, _) = rest.split_once(END)?;
    // As `text` escapes; the ampersand last, so that nothing is read twice.
    let plain = data.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    Some(plain.replace("&amp;", "&"))
}

fn head(bundle: &Bundle, roster: &Roster) -> (String, String) {
    let count = bundle.receipts.len();
    let title = match bundle.receipts.as_slice() {
        [one] => format!("What was decided on {}", moment(&utc(one.summary.decided_at))),
        _ => format!("{count} decisions, and their proof"),
    };
    let lead = format!(
        "Three independent nodes of the commons \"{}\" decided this, signed it, and entered it in three public \
         logs that witness one another. No node, and nobody who reads this, holds anybody's biometric.",
        roster.commons
    );
    (title, lead)
}

fn decision(sheet: &mut Sheet, kept: &Kept, shown: &Shown) {
    let summary = &kept.summary;
    let party = summary.party.as_ref().map_or_else(String::new, |party| format!(", {party}"));
    sheet.section(&format!("{}{party}", act_in_words(&shown.request.message.action)), "");
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in explain(&kept.receipt) {
        match rows.last_mut().map(Vec::as_mut_slice) {
            // Several of a kind, such as where it is stored, stand together.
            Some([label, all]) if *label == line.label => *all = format!("{all}\n{}", line.text),
            _ => rows.push(vec![line.label.to_owned(), line.text]),
        }
    }
    sheet.facts(&rows);
    let request = &shown.request.message;
    let decided = &shown.certificate.decision;
    let mut proof = vec![
        vec![
            "asked by".to_owned(),
            format!("the holder of the key {}, who signed the request {}", request.device, decided.request),
        ],
        vec![
            "decided by".to_owned(),
            format!("nodes 1, 2 and 3, each with its signature, in batch {}, {}", decided.batch, utc(decided.decided_at)),
        ],
        vec!["under".to_owned(), rules_in_words(kept, shown)],
    ];
    if let Some(logs) = &shown.logs {
        for (node, (size, cosigned)) in NodeId::ALL.into_iter().zip(&logs.logs) {
            let who: Vec<String> = cosigned.iter().map(|(name, at)| format!("{name} on {}", utc(*at))).collect();
            let words = format!("entry {} of {size}, seen and cosigned by {}", decided.log_index, who.join(" and "));
            proof.push(vec![format!("log of node {node}"), words]);
        }
        let opened = if logs.opened {
            "the entry is this very decision: the receipt opens the seal on it, which only the person concerned can give away"
        } else {
            "the entry is of this act, purpose, relying party, batch and time; whom it concerns is sealed, and only they can open it"
        };
        proof.push(vec!["which means".to_owned(), opened.to_owned()]);
    }
    sheet.html("<h3>How it is proven</h3>");
    sheet.facts(&proof);
    part(sheet, "Consent receipt (ISO/IEC TS 27560, DPV JSON-LD)", &format!("{:#}", kept.receipt.consent));
    part(sheet, &format!("The rules in force: charter version {}", shown.charter.version()), &kept.receipt.charter_document);
    if let Some(log) = &kept.log {
        for (node, proof) in NodeId::ALL.into_iter().zip(&log.proofs) {
            part(sheet, &format!("Proof from the log of node {node} (C2SP tlog-proof)"), proof);
        }
    }
}

fn rules_in_words(kept: &Kept, shown: &Shown) -> String {
    let signed = if kept.receipt.charter_signed.is_some() {
        "signed by all three operators"
    } else {
        "which follows from the roster"
    };
    format!("charter version {}, {signed}, {}", shown.charter.version(), shown.charter.digest())
}

fn act_in_words(action: &Action) -> &'static str {
    match action {
        Action::Enrol(_) => "A person asked to enrol",
        Action::Verify(_) => "A member verified themselves",
        Action::Renew(_) => "A member renewed their record",
        Action::Withdraw { .. } => "A member withdrew",
        Action::Grant(_) => "A member granted a use",
        Action::Narrow(_) => "A member narrowed a grant",
        Action::Revoke { .. } => "A member ended a grant",
        Action::Answer(_) => "A member answered a request",
        Action::ShieldUp => "A member raised their shield",
        Action::ShieldDown { .. } => "A member took their shield down",
        Action::Ask(_) => "A relying party asked",
        Action::Use(_) => "A relying party used a grant",
        Action::Charter(_) => "The rules changed",
        Action::Refresh { .. } => "An operator had all stored shares renewed",
        Action::Switch { .. } => "The nodes went over to renewed shares",
        Action::SetGuardians(_) => "A member named guardians",
        Action::StartRecovery(_) => "A new device began to recover a member",
        Action::VetoRecovery { .. } => "A member's device said no to a recovery",
        Action::FinishRecovery { .. } => "A new device became a member's",
        Action::Bind(_) => "A member bound their membership to one secret",
        Action::Status
        | Action::Inspect { .. }
        | Action::Outcome { .. }
        | Action::See { .. }
        | Action::Events { .. }
        | Action::Issue { .. }
        | Action::Recovery { .. }
        | Action::Release { .. } => "Somebody asked the nodes",
    }
}

fn how_to_check(sheet: &mut Sheet, bundle: &Bundle, roster: &Roster) {
    sheet.section(
        "How to check this",
        "You need not trust whoever gave you this file, nor any one operator. Get the roster of the commons, a small text file with \
         the operators' public keys, from the operators themselves or from somebody you trust, and compare its digest with the one below. \
         Then run, on a machine without a network if you like:",
    );
    sheet.html("<pre>commons evidence verify evidence.html --roster roster.toml</pre>");
    sheet.paragraph(
        "It checks every signature and proof in this file against the keys in the roster, makes this page again from the data, and says so \
         if a single letter differs. With --extract it writes the parts as files; other programs that know the C2SP formats for \
         transparency logs can check the proofs as well.",
    );
    let mut rows = vec![vec!["roster digest".to_owned(), bundle.roster.to_hex()]];
    for node in &roster.nodes {
        rows.push(vec![format!("node {}", node.id), format!("signs with {}, logs with {}", node.signing_key, node.log_key)]);
    }
    sheet.facts(&rows);
    sheet.paragraph(
        "What this does not show: that the person was who they said they were elsewhere, that a photograph was not forged, or what \
         anybody did with the answer afterwards.",
    );
}

fn part(sheet: &mut Sheet, title: &str, content: &str) {
    let mut html = String::new();
    let _ = write!(html, "<details><summary>{}</summary><pre>{}</pre></details>", text(title), text(content));
    sheet.html(&html);
}
