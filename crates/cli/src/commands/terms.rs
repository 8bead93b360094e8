//! Terms: from the command line and the rules to what is signed, and to what a person reads before they agree.

use charter::{Act, Answers, Charter, Party, permits_terms};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use types::consent::{GrantStatement, Operation, Purpose, Terms};
use types::{PartyId, ProfileId, UnixSeconds};

use crate::args::consent::TermsArgs;
use crate::failure::{Exit, Failure};
use crate::words;

/// What the command line says, completed where the rules leave one choice, and checked against them.
pub(crate) fn read(charter: &Charter, party: &PartyId, args: &TermsArgs, now: UnixSeconds) -> Result<Terms, Failure> {
    let entry = party_of(charter, party)?;
    let operation = match args.operation {
        Some(operation) => operation.into(),
        None => one_of("operation", &entry.operations, |operation| operation.name().to_owned())?,
    };
    if !entry.operations.contains(&operation) {
        let rule = charter::Rule::OperationNotAllowed;
        let what = format!("the rules do not let {party} ask for {}", operation.name());
        return Err(Failure::input(what, rule.advice()).coded(rule.code()));
    }
    let purpose = match &args.purpose {
        Some(term) => Purpose::new(term)?,
        None => {
            let serving: Vec<Purpose> =
                entry.purposes.iter().filter(|term| charter.serves(term, Act::from(operation))).cloned().collect();
            one_of("purpose", &serving, ToString::to_string)?
        }
    };
    let profile = match (operation, &args.profile) {
        (Operation::Membership, None) => None,
        (_, Some(id)) => Some(ProfileId::new(id)?),
        (Operation::Verification, None) => Some(one_of("profile", &entry.profiles, ToString::to_string)?),
    };
    let (note, uses, expires_at) = (args.note.clone(), args.uses, until(&args.until, now)?);
    let terms = Terms { party: party.clone(), operation, profile, purpose, note, not_before: now, expires_at, uses };
    permits_terms(charter, &terms, now).map_err(|refusal| refused(&refusal))?;
    Ok(terms)
}

/// The relying party named, or which there are.
pub(crate) fn party_of<'c>(charter: &'c Charter, party: &PartyId) -> Result<&'c Party, Failure> {
    charter.party(party).ok_or_else(|| {
        let known: Vec<&str> = charter.document().parties.iter().map(|party| party.id.as_str()).collect();
        let hint = if known.is_empty() {
            "the rules in force list no relying party; the operators can adopt a charter that does".to_owned()
        } else {
            format!("the rules in force list: {}", known.join(", "))
        };
        Failure { code: "party-unknown".to_owned(), ..Failure::input(format!("there is no relying party `{party}`"), hint) }
    })
}

/// Why the rules do not allow it.
pub(crate) fn refused(refusal: &charter::Refusal) -> Failure {
    let hint = refusal.rule.advice();
    Failure { exit: Exit::Input, ..Failure::input(refusal.detail.clone(), hint) }.coded(refusal.rule.code())
}

fn one_of<T: Clone>(what: &str, choices: &[T], name: impl Fn(&T) -> String) -> Result<T, Failure> {
    match choices {
        [only] => Ok(only.clone()),
        [] => {
            Err(Failure::input(format!("the rules allow this relying party no {what} here"), "see `commons charter show`"))
        }
        several => {
            let names: Vec<String> = several.iter().map(name).collect();
            Err(Failure::input(
                format!("the rules allow this relying party more than one {what}"),
                format!("choose with --{what}: {}", names.join(", ")),
            ))
        }
    }
}

/// A day (to its end, here), a time, or a while from now.
pub(crate) fn until(text: &str, now: UnixSeconds) -> Result<UnixSeconds, Failure> {
    let wrong = || {
        Failure::input(
            format!("`{text}` is no time"),
            "write a day (2026-12-31), a time (2026-12-31T18:00:00+01:00), or a while from now (30d, 12h, 45m)",
        )
    };
    let while_from_now = || {
        let number: u64 = text.get(..text.len().checked_sub(1)?)?.parse().ok()?;
        let unit = match text.chars().last()? {
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            _ => return None,
        };
        now.checked_add(number.checked_mul(unit)?)
    };
    let end_of_day = || {
        let next = text.parse::<Date>().ok()?.checked_add(1.day()).ok()?;
        u64::try_from(next.to_zoned(TimeZone::system()).ok()?.timestamp().as_second() - 1).ok()
    };
    let at = || u64::try_from(text.parse::<Timestamp>().ok()?.as_second()).ok();
    while_from_now().or_else(end_of_day).or_else(at).ok_or_else(wrong)
}

/// What a person must see before they agree: who, what for, what they learn and what not, until when, how to take it back.
pub(crate) fn screen(charter: &Charter, terms: &Terms) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    match charter.party(&terms.party) {
        Some(party) => rows.push(("who", format!("{} ({}), {}", plain(&party.name), party.id, plain(&party.contact)))),
        None => rows.push(("who", format!("{}, whom the rules in force do not list", terms.party))),
    }
    match charter.purpose(&terms.purpose) {
        Some(purpose) => {
            rows.push(("what for", format!("{} ({}). {}", plain(&purpose.title), purpose.term, plain(&purpose.text))));
        }
        None => rows.push(("what for", format!("{}, which the rules in force do not list", terms.purpose))),
    }
    if !terms.note.is_empty() {
        rows.push(("in their words", plain(&terms.note)));
    }
    let profile = terms.profile.as_ref().map_or_else(String::new, |id| format!(", against your record `{id}`"));
    rows.push(("what is asked", format!("{}{profile}", operation_in_words(terms.operation))));
    rows.push(("they learn", Answers::in_words(terms.operation).to_owned()));
    rows.push(("they do not", "learn your template, a score, your other names, or anything of other members".to_owned()));
    rows.push(("how often", words::counted(u64::from(terms.uses), "use", "uses")));
    rows.push(("until", words::time(terms.expires_at)));
    rows.push(("to take it back", "`commons revoke`, or everything at once with `commons shield up`".to_owned()));
    rows
}

/// In a few words.
pub(crate) fn operation_in_words(operation: Operation) -> &'static str {
    match operation {
        Operation::Membership => "membership: are you one enrolled person?",
        Operation::Verification => "verification: is the person before the camera you?",
    }
}

/// A grant in one line.
pub(crate) fn grant_line(grant: &GrantStatement) -> String {
    let terms = &grant.terms;
    format!(
        "{} for {}, {} of {} left, until {}",
        terms.operation.name(),
        terms.purpose,
        words::count(u64::from(grant.uses_left)),
        words::counted(u64::from(terms.uses), "use", "uses"),
        words::time(terms.expires_at)
    )
}

/// The only one of `ids` that begins so.
pub(crate) fn by_prefix<T: Copy>(
    what: &str,
    text: &str,
    ids: impl Iterator<Item = (T, String)>,
    list: &str,
) -> Result<T, Failure> {
    let text = text.to_ascii_lowercase();
    let found: Vec<(T, String)> = ids.filter(|(_, id)| !text.is_empty() && id.starts_with(&text)).collect();
    match found.as_slice() {
        [(only, _)] => Ok(*only),
        [] => Err(Failure::input(format!("no {what} of yours begins with `{text}`"), format!("see `{list}`"))
            .coded(&format!("{what}-unknown"))),
        _ => Err(Failure::input(format!("more than one {what} begins with `{text}`"), "write more of its id")),
    }
}

/// Without what could steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_instants_or_from_now() {
        let now = 1_800_000_000;
        assert_eq!(until("30d", now).unwrap(), now + 30 * 86_400);
        assert_eq!(until("12h", now).unwrap(), now + 12 * 3600);
        assert_eq!(until("2027-01-15T08:00:00Z", now).unwrap(), 1_800_000_000);
        let day = until("2027-01-15", now).unwrap();
        assert!((day + 1).is_multiple_of(60), "the last second of a day");
        for wrong in ["", "d", "soon", "-1d", "30", "2027-13-01", "99999999999999999999d", "é"] {
            assert_eq!(until(wrong, now).unwrap_err().exit, Exit::Input, "{wrong}");
        }
    }

    #[test]
    fn a_prefix_must_name_one() {
        let ids = || [(1, "3f2a77".to_owned()), (2, "3f9b00".to_owned())].into_iter();
        assert_eq!(by_prefix("grant", "3F2", ids(), "commons grants").unwrap(), 1);
        assert_eq!(by_prefix("grant", "3f", ids(), "commons grants").unwrap_err().hint, "write more of its id");
        assert_eq!(by_prefix("grant", "", ids(), "commons grants").unwrap_err().code, "grant-unknown");
    }
}
