//! The index beside a table of templates: which row is whose.
//!
//! A CSV file with a header line. The first column is the row of the table (from 0), the second names the person, whatever
//! their headers say (`subject`, `speaker`); the other columns together label the sample (`sample`, `condition`, `start_s`).
//! **Out of scope**: quoted fields; a name or label with a comma or a quotation mark is refused.

use std::collections::HashSet;

use types::limits;

use crate::Error;

/// One line of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Row of the table, from 0.
    pub row: usize,
    /// Whose sample it is.
    pub subject: String,
    /// Which sample of theirs: the remaining columns, joined by spaces.
    pub label: String,
}

/// Reads an index. Every row may be named once, in any order.
///
/// # Errors
/// [`Error::TooLarge`] above [`limits::TEMPLATE_FILE_BYTES`]; [`Error::Index`] with the line and what is expected there.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    if bytes.len() > limits::TEMPLATE_FILE_BYTES {
        return Err(Error::TooLarge { what: "the index", got: bytes.len(), limit: limits::TEMPLATE_FILE_BYTES });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(1, "it is not text in UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim_end()));
    let columns = match lines.next() {
        Some((_, header)) if header.starts_with("row,") => header.split(',').count(),
        _ => return Err(wrong(1, "the first line must be a header such as row,subject,sample")),
    };
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
        let entry = entry(line, text, columns)?;
        if !seen.insert(entry.row) {
            return Err(wrong(line, "this row was named before; name every row once"));
        }
        entries.push(entry);
    }
    if entries.is_empty() {
        return Err(wrong(2, "the index names no row"));
    }
    Ok(entries)
}

fn entry(line: usize, text: &str, columns: usize) -> Result<Entry, Error> {
    if text.contains('"') {
        return Err(wrong(line, "quotation marks are not accepted; write the fields plainly, without commas in them"));
    }
    if text.split(',').count() != columns {
        return Err(wrong(line, "it has not as many columns as the header"));
    }
    let mut fields = text.split(',').map(str::trim);
    let row =
        fields.next().and_then(|field| field.parse().ok()).ok_or(wrong(line, "the first column must be a row number"))?;
    let subject = fields.next().filter(|field| !field.is_empty());
    let subject = subject.ok_or(wrong(line, "the second column must name the person"))?.to_owned();
    Ok(Entry { row, subject, label: fields.collect::<Vec<_>>().join(" ") })
}

fn wrong(line: usize, reason: &'static str) -> Error {
    Error::Index { line, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_several_data_sets_are_read() {
        let faces = parse(b"row,subject,sample\n0,A,1\n1,A,2\n").unwrap();
        assert_eq!(faces[1], Entry { row: 1, subject: "A".into(), label: "2".into() });
        let voices = parse(b"\xef\xbb\xbfrow,speaker,utterance\r\n0,V1,1-2-3\r\n\r\n").unwrap();
        assert_eq!(voices, [Entry { row: 0, subject: "V1".into(), label: "1-2-3".into() }]);
        let signals = parse(b"row,subject,condition,start_s\n7,E00,rest,20").unwrap();
        assert_eq!(signals, [Entry { row: 7, subject: "E00".into(), label: "rest 20".into() }]);
        assert_eq!(parse(b"row,subject\n0,A").unwrap()[0].label, "");
    }

    #[test]
    fn bad_lines_are_named() {
        let error = |text: &[u8]| parse(text).unwrap_err();
        let line = |text: &[u8]| match error(text) {
            Error::Index { line, .. } => line,
            other => panic!("{other}"),
        };
        assert_eq!(line(b""), 1);
        assert_eq!(line(b"0,A,1\n"), 1);
        assert_eq!(line(b"\xff\xfe"), 1);
        assert_eq!(line(b"row,subject\n"), 2);
        assert_eq!(line(b"row,subject,sample\n0,A,1\nx,A,2\n"), 3);
        assert_eq!(line(b"row,subject,sample\n0,A\n"), 2);
        assert_eq!(line(b"row,subject,sample\n0,,1\n"), 2);
        assert_eq!(line(b"row,subject,sample\n0,\"A, B\",1\n"), 2);
        assert!(error(b"row,subject\n0,A\n0,B\n").to_string().contains("line 3"));
    }
}
