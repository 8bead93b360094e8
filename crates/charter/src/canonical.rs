//! The canonical bytes of a charter: a fixed subset of TOML 1.0, written here so that no library's taste can change a digest.
//!
//! One `key = value` per line in the order of the fields; texts as basic strings on one line; lists of names on one line;
//! tables after plain fields, one blank line before each; empty lists of tables left out. Reading the bytes back gives an equal
//! document.

use std::fmt::Write as _;

use crate::document::{Document, Party, Recovery};

/// Writes a document that is already normalised.
pub(crate) fn write(d: &Document) -> String {
    let mut out = Out::default();
    out.number("format", u64::from(d.format));
    out.number("version", d.version);
    out.text("commons", &d.commons.to_hex());
    out.text("previous", &d.previous.to_hex());
    out.text("name", &d.name);
    out.text("language", &d.language);
    out.text("summary", &d.summary);
    out.text("jurisdiction", &d.jurisdiction);
    out.text("privacy_notice", &d.privacy_notice);
    out.table("[enrolment]");
    out.word("rule", &d.enrolment.rule);
    out.number("vouchers", u64::from(d.enrolment.vouchers));
    out.list("inviters", &d.enrolment.inviters);
    out.table("[retention]");
    out.number("outcomes_days", u64::from(d.retention.outcomes_days));
    out.number("uses_days", u64::from(d.retention.uses_days));
    out.table("[rates]");
    out.number("verifications_per_hour", u64::from(d.rates.verifications_per_hour));
    out.number("asks_per_member_per_day", u64::from(d.rates.asks_per_member_per_day));
    out.table("[answers]");
    out.list("membership", &d.answers.membership);
    out.list("verification", &d.answers.verification);
    if let Some(recovery) = &d.recovery {
        write_recovery(&mut out, recovery);
    }
    write_lists(&mut out, d);
    out.0
}

fn write_lists(out: &mut Out, d: &Document) {
    for controller in &d.controllers {
        out.table("[[controllers]]");
        out.text("name", &controller.name);
        out.text("contact", &controller.contact);
    }
    for modality in &d.modalities {
        out.table("[[modalities]]");
        out.text("profile", modality.profile.as_str());
        out.text("profile_digest", &modality.profile_digest.to_hex());
        out.text("threshold", &modality.threshold);
        out.word("stations", &modality.stations);
        if let Some(older) = &modality.replaces {
            out.text("replaces", older.as_str());
        }
    }
    for station in &d.stations {
        out.table("[[stations]]");
        out.text("name", &station.name);
        out.text("key", &station.key.to_hex());
    }
    for purpose in &d.purposes {
        out.table("[[purposes]]");
        out.text("term", purpose.term.as_str());
        out.text("title", &purpose.title);
        out.text("text", &purpose.text);
        out.list("operations", &purpose.operations);
    }
    for party in &d.parties {
        write_party(out, party);
    }
    for claim in &d.claims {
        out.table("[[claims]]");
        out.word("kind", &claim.kind);
        out.list("values", &claim.values);
        out.list("parties", &claim.parties);
    }
    for witness in &d.witnesses {
        out.table("[[witnesses]]");
        out.text("name", &witness.name);
        out.text("vkey", &witness.vkey);
        out.text("url", &witness.url);
    }
}

fn write_recovery(out: &mut Out, recovery: &Recovery) {
    out.table("[recovery]");
    out.number("need_least", u64::from(recovery.need_least));
    out.number("need_most", u64::from(recovery.need_most));
    out.number("without_sample_more", u64::from(recovery.without_sample_more));
    out.number("delay_s", u64::from(recovery.delay_s));
    out.number("delay_without_sample_s", u64::from(recovery.delay_without_sample_s));
    out.number("delay_after_veto_s", u64::from(recovery.delay_after_veto_s));
    out.number("settle_s", u64::from(recovery.settle_s));
    out.number("finish_within_s", u64::from(recovery.finish_within_s));
    out.number("faults_per_day", u64::from(recovery.faults_per_day));
}

fn write_party(out: &mut Out, party: &Party) {
    out.table("[[parties]]");
    out.text("id", party.id.as_str());
    out.text("name", &party.name);
    out.text("contact", &party.contact);
    out.text("key", &party.key.to_hex());
    out.list("operations", &party.operations);
    out.list("purposes", &party.purposes);
    out.list("profiles", &party.profiles);
    out.number("max_uses", u64::from(party.max_uses));
    out.number("max_days", u64::from(party.max_days));
    out.number("asks_per_day", u64::from(party.asks_per_day));
}

#[derive(Default)]
struct Out(String);

impl Out {
    fn table(&mut self, header: &str) {
        self.0.push('\n');
        self.0.push_str(header);
        self.0.push('\n');
    }
    fn number(&mut self, key: &str, value: u64) {
        self.line(key, &value.to_string());
    }
    fn text(&mut self, key: &str, value: &str) {
        self.line(key, &quoted(value));
    }
    /// An enum or an id: what serde calls it.
    fn word<T: serde::Serialize>(&mut self, key: &str, value: &T) {
        self.line(key, &quoted(&name(value)));
    }
    fn list<T: serde::Serialize>(&mut self, key: &str, values: &[T]) {
        let items: Vec<String> = values.iter().map(|value| quoted(&name(value))).collect();
        self.line(key, &format!("[{}]", items.join(", ")));
    }
    fn line(&mut self, key: &str, value: &str) {
        self.0.push_str(key);
        self.0.push_str(" = ");
        self.0.push_str(value);
        self.0.push('\n');
    }
}

fn name<T: serde::Serialize>(value: &T) -> String {
    // Everything written so is a unit variant or a string newtype.
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
