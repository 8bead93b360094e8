//! A consent receipt for people: a few lines for a terminal or a page.

use serde_json::Value;

use super::Receipt;

/// One line: a label and what stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Such as `what for`.
    pub label: &'static str,
    /// In plain words, without control characters.
    pub text: String,
}

/// Says what a receipt says. Reads the consent record only, so call [`Receipt::open`] first: it makes sure that the record says
/// what was signed.
pub fn explain(receipt: &Receipt) -> Vec<Line> {
    let all = &receipt.consent;
    let record = at(all, "/dpv:hasRecordOfActivity");
    let process = at(record, "/dpv:hasProcess/0");
    let status = at(process, "/dpv:hasConsentStatus/0");
    let mut lines = Lines::default();
    lines.add("what happened", text(record, "/dct:title"));
    lines.add("when", text(record, "/dct:created"));
    lines.add("consent", format!("{}, {}", state(&text(status, "/@type/0")), text(status, "/dpv:isIndicatedAtTime")));
    lines.add("about", text(record, "/dpv:hasDataSubject/dpv:hasIdentifier"));
    for purpose in list(process, "/dpv:hasPurpose") {
        let (label, meaning) = (text(purpose, "/skos:prefLabel"), text(purpose, "/skos:definition"));
        lines.add("what for", format!("{label} ({}). {meaning}", text(purpose, "/skos:broader")));
        lines.add("note", text(purpose, "/skos:note"));
    }
    for data in list(process, "/dpv:hasPersonalData") {
        lines.add("what of you", text(data, "/skos:prefLabel"));
    }
    let recipients: Vec<String> =
        list(process, "/dpv:hasRecipient").iter().filter_map(Value::as_str).map(|id| name_of(record, id)).collect();
    lines.add("to whom", if recipients.is_empty() { "nobody else".to_owned() } else { recipients.join("; ") });
    lines.add("revealed", text(all, "/dct:source/tc:reveals"));
    let terms = at(process, "/tc:terms");
    if let Some(uses) = at(terms, "/tc:uses").as_u64() {
        let times = if uses == 1 { "once".to_owned() } else { format!("{uses} times") };
        lines.add("how often", format!("at most {times}, from {} on", text(terms, "/tc:notBefore")));
    }
    lines.add("until", text(status, "/dpv:hasDuration/rdf:value"));
    for condition in list(process, "/dpv:hasStorageCondition") {
        let (place, kept) = (text(condition, "/dpv:hasLocation/skos:prefLabel"), text(condition, "/skos:prefLabel"));
        lines.add("stored at", place);
        if !kept.is_empty() {
            lines.add("kept", format!("{kept}: {}", days(&text(condition, "/dpv:hasDuration/rdf:value"))));
        }
    }
    for control in list(process, "/dpv:hasConsentControl") {
        lines.add("to take it back", text(control, "/dct:description"));
    }
    for controller in list(process, "/dpv:hasDataController").iter().filter_map(Value::as_str) {
        lines.add("who answers for it", name_of(record, controller));
    }
    lines.add("whose law", text(process, "/dpv:hasJurisdiction"));
    lines.add("privacy notice", text(record, "/dpv:hasNotice/dct:description"));
    lines.add("rules", text(record, "/dpv:hasNotice/dct:identifier"));
    lines.add("in each log at", receipt.log_index.to_string());
    lines.0
}

#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    /// Nothing where there is nothing to say.
    fn add(&mut self, label: &'static str, text: String) {
        if !text.is_empty() {
            self.0.push(Line { label, text });
        }
    }
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).as_array().map_or(&[], Vec::as_slice)
}

/// A file from anywhere must not steer a terminal.
fn text(value: &Value, pointer: &str) -> String {
    let text = at(value, pointer).as_str().unwrap_or_default();
    let plain = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    plain.filter(|c| crate::check::is_plain(c.encode_utf8(&mut [0; 4]))).collect()
}

fn name_of(record: &Value, id: &str) -> String {
    let entity = list(record, "/dpv:hasEntity").iter().find(|entity| at(entity, "/@id").as_str() == Some(id));
    match entity {
        Some(entity) => format!("{} ({})", text(entity, "/dpv:hasName"), text(entity, "/dpv:hasContact")),
        None => text(&Value::from(id), ""),
    }
}

fn state(term: &str) -> &'static str {
    match term {
        "dpv:ConsentGiven" => "given",
        "dpv:RenewedConsentGiven" => "given again",
        "dpv:ConsentRefused" => "refused",
        "dpv:ConsentWithdrawn" => "withdrawn",
        "dpv:ConsentRequested" => "asked for",
        _ => "not known",
    }
}

/// `P30D` as people say it.
fn days(duration: &str) -> String {
    match duration.strip_prefix('P').and_then(|rest| rest.strip_suffix('D')) {
        Some(days) => format!("{days} days"),
        None => duration.to_owned(),
    }
}
