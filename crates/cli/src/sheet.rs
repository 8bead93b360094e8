//! One printed sheet: the look of every HTML report, self-contained, readable without a network, in light, dark and on paper.
//!
//! Paper and ink, one accent, hairlines instead of boxes, nothing that moves unless it explains. A report is one file: no
//! scripts, no fonts or pictures from elsewhere. **Out of scope**: what a report says (`demo`, `evaluate`).

use std::fmt::Write;

/// The style of the sheet. Colours keep a contrast of at least 4.5 : 1 in both schemes; a word goes with every colour.
const STYLE: &str = include_str!("sheet.css");

/// Builds one page.
pub(crate) struct Sheet {
    body: String,
    title: String,
}

impl Sheet {
    /// A page with its title and the one sentence under it.
    pub(crate) fn new(title: &str, lead: &str) -> Self {
        let body = format!(
            "<header><p class=\"name\">Trust Commons</p><h1>{}</h1><p class=\"lead\">{}</p></header>\n",
            text(title),
            text(lead)
        );
        Self { body, title: title.to_owned() }
    }

    /// A section heading, with a short explanation.
    pub(crate) fn section(&mut self, heading: &str, explanation: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", text(heading));
        if !explanation.is_empty() {
            self.paragraph(explanation);
        }
    }

    /// A paragraph of plain text.
    pub(crate) fn paragraph(&mut self, words: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", text(words));
    }

    /// Ready-made HTML: an SVG, a table.
    pub(crate) fn html(&mut self, html: &str) {
        self.body.push_str(html);
        self.body.push('\n');
    }

    /// A figure with its caption.
    pub(crate) fn figure(&mut self, html: &str, caption: &str) {
        let _ = writeln!(self.body, "<figure>{html}<figcaption>{}</figcaption></figure>", text(caption));
    }

    /// Rows of label, figure and remark.
    pub(crate) fn table(&mut self, rows: &[[String; 3]]) {
        self.body.push_str("<table>\n");
        for [label, value, remark] in rows {
            let _ = writeln!(
                self.body,
                "<tr><th scope=\"row\">{}</th><td class=\"value\">{}</td><td class=\"remark\">{}</td></tr>",
                text(label),
                text(value),
                text(remark)
            );
        }
        self.body.push_str("</table>\n");
    }

    /// A table with a heading for each column. On a narrow screen each row becomes a short list of its own.
    pub(crate) fn grid(&mut self, columns: &[&str], rows: &[Vec<String>]) {
        let heads: String = columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", text(column))).collect();
        let _ = writeln!(self.body, "<table class=\"grid\"><thead><tr>{heads}</tr></thead><tbody>");
        for row in rows {
            let cell =
                |(column, value): (&&str, &String)| format!("<td data-column=\"{}\">{}</td>", text(column), text(value));
            let cells: String = columns.iter().zip(row).map(cell).collect();
            let _ = writeln!(self.body, "<tr>{cells}</tr>");
        }
        self.body.push_str("</tbody></table>\n");
    }

    /// Rows of a label and what stands beside it.
    pub(crate) fn facts(&mut self, rows: &[Vec<String>]) {
        self.body.push_str("<dl>\n");
        for row in rows {
            let (label, value) = (row.first().map_or("", String::as_str), row.get(1).map_or("", String::as_str));
            let _ = writeln!(self.body, "<div><dt>{}</dt><dd>{}</dd></div>", text(label), marked(value));
        }
        self.body.push_str("</dl>\n");
    }

    /// The finished file. `foot` names sources and the date.
    pub(crate) fn finish(self, foot: &[String]) -> String {
        let foot: String = foot.iter().map(|line| format!("<p>{}</p>", text(line))).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
             <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}<footer>{foot}</footer>\n</main>\n</body>\n</html>\n",
            text(&self.title),
            self.body
        )
    }
}

/// A moment in UTC, such as `2026-11-26T04:38:10Z`, as people write it.
pub(crate) fn moment(utc: &str) -> String {
    utc.trim_end_matches('Z').replacen('T', " at ", 1) + " UTC"
}

/// Words as HTML, in which identifiers and moments look like what they are and do not break where they should not.
fn marked(words: &str) -> String {
    let mark = |word: &str| {
        let bare = word.trim_end_matches([',', '.', ';', ')']);
        let rest = word.get(bare.len()..).unwrap_or_default();
        let moment_like = || {
            let digits = bare.bytes().filter(u8::is_ascii_digit).count();
            bare.len() == 20 && digits == 14 && bare.ends_with('Z') && bare.as_bytes().get(10) == Some(&b'T')
        };
        if bare.len() >= 32 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            format!("<code>{bare}</code>{}", text(rest))
        } else if moment_like() {
            format!("<time datetime=\"{bare}\">{}</time>{}", moment(bare), text(rest))
        } else {
            text(word)
        }
    };
    let line = |line: &str| line.split(' ').map(mark).collect::<Vec<_>>().join(" ");
    words.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Text as it may stand in HTML and in attributes.
pub(crate) fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_whole_and_names_nothing_from_elsewhere() {
        let mut sheet = Sheet::new("A <title>", "one \"lead\"");
        sheet.section("Part", "words & words");
        sheet.table(&[["a".to_owned(), "1".to_owned(), "b".to_owned()]]);
        let page = sheet.finish(&["today".to_owned()]);
        assert!(page.contains("A &lt;title&gt;") && page.contains("words &amp; words") && page.ends_with("</html>\n"));
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"));
    }
    #[test]
    fn identifiers_and_moments_are_marked_and_nothing_else_changes() {
        let id = "ab".repeat(32);
        assert_eq!(marked(&format!("key {id}, <b>")), format!("key <code>{id}</code>, &lt;b&gt;"));
        let seen = marked("seen 2026-11-26T04:38:10Z\nnode-2 2026-11-26");
        assert_eq!(
            seen,
            "seen <time datetime=\"2026-11-26T04:38:10Z\">2026-11-26 at 04:38:10 UTC</time>\nnode-2 2026-11-26"
        );
    }
}
