//! Numbers, times and lists as people read them.

use jiff::{Timestamp, tz::TimeZone};
use types::{NodeId, UnixSeconds};

/// Digits in groups of three with narrow spaces: `10 000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2 records`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Local time with its zone.
pub(crate) fn time(at: UnixSeconds) -> String {
    let timestamp = i64::try_from(at).ok().and_then(|at| Timestamp::from_second(at).ok());
    timestamp
        .map_or_else(|| "-".to_owned(), |at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string())
}

/// `node 2`, `nodes 1 and 3`.
pub(crate) fn nodes(nodes: &[NodeId]) -> String {
    match nodes {
        [] => "no node".to_owned(),
        [one] => format!("node {one}"),
        [all @ .., last] => {
            let all: Vec<String> = all.iter().map(NodeId::to_string).collect();
            format!("nodes {} and {last}", all.join(", "))
        }
    }
}

/// At most three significant figures.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        v if v >= 0.001 || v == 0.0 => format!("{value:.3}"),
        _ => format!("{value:.0e}"),
    }
}

/// `= 0.28`, `< 0.001`.
pub(crate) fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("= {}", figure(p)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        assert_eq!(
            [count(0), count(999), count(1000), count(1_234_567)],
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!(counted(1, "record", "records"), "1 record");
    }

    #[test]
    fn figures_have_three_places() {
        assert_eq!([figure(0.123_4), figure(12.345), figure(123.45), figure(0.0)], ["0.123", "12.3", "123", "0.000"]);
    }
}
