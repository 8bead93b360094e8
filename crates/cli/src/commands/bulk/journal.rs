//! The journal of a bulk enrolment: one line per decided row, with its certificate, appended as they come.
//!
//! A line is `ROW OUTCOME CERTIFICATE` (base64url, `-` where the certificate was lost). A last line that was torn by a crash is
//! dropped: that row is asked for again. **Trust**: the summary believes it; nothing else does.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use types::Digest;
use types::api::{from_base64, to_base64};
use types::message::Certificate;

use crate::failure::Failure;
use crate::home::create_private_folder;

/// What became of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Row {
    /// Enrolled; without certificate when an earlier run had lost the answer.
    Enrolled(Option<Certificate>),
    /// Refused as a duplicate.
    Duplicate(Certificate),
    /// The nodes refused the shares.
    Invalid(Certificate),
    /// The row is no template; nothing was sent. Not written to the journal.
    Unusable,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    continued: bool,
}

const HEADER: &str = "trust-commons bulk journal 1";

impl Journal {
    /// Opens or starts the journal of `job`, and returns what it already holds.
    pub(crate) fn open(path: &Path, job: &Digest) -> Result<(Self, Vec<(usize, Row)>), Failure> {
        let write = |error: std::io::Error| Failure::write(path, &error);
        if let Some(folder) = path.parent() {
            create_private_folder(folder).map_err(write)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(write)?;
        file.try_lock().map_err(|_| {
            Failure::input("another process is working on the same bulk file", "wait for it, or stop it first")
                .about(path.display())
        })?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| Failure::read(path, &error))?;
        let header = format!("{HEADER} {job}\n");
        // What a crash has torn is the tail after the last line end.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let continued = whole > 0;
        let mut done = Vec::new();
        if continued {
            let lines = text.get(..whole).and_then(|text| text.strip_prefix(&header)).ok_or_else(|| damaged(path, 1))?;
            for (number, line) in lines.lines().enumerate() {
                done.push(parse(line).ok_or_else(|| damaged(path, number + 2))?);
            }
        }
        file.set_len(whole as u64).map_err(write)?;
        file.seek(SeekFrom::End(0)).map_err(write)?;
        if !continued {
            file.write_all(header.as_bytes()).map_err(write)?;
        }
        Ok((Self { path: path.to_owned(), file, continued }, done))
    }

    /// Whether an earlier run has begun this job, so that rows may be decided without a line here.
    pub(crate) fn continued(&self) -> bool {
        self.continued
    }

    /// Appends one row.
    pub(crate) fn write(&mut self, row: usize, outcome: &Row) -> Result<(), Failure> {
        let (name, certificate) = match outcome {
            Row::Enrolled(certificate) => ("enrolled", certificate.as_ref()),
            Row::Duplicate(certificate) => ("duplicate", Some(certificate)),
            Row::Invalid(certificate) => ("invalid", Some(certificate)),
            Row::Unusable => return Ok(()),
        };
        let certificate = certificate.map_or_else(|| "-".to_owned(), |certificate| to_base64(&certificate.to_bytes()));
        let line = format!("{row} {name} {certificate}\n");
        self.file.write_all(line.as_bytes()).map_err(|error| Failure::write(&self.path, &error))
    }
}

fn parse(line: &str) -> Option<(usize, Row)> {
    let mut words = line.split(' ');
    let row = words.next()?.parse().ok()?;
    let (name, certificate) = (words.next()?, words.next()?);
    let read = || Certificate::from_bytes(&from_base64("certificate", certificate).ok()?).ok();
    let outcome = match name {
        "enrolled" if certificate == "-" => Row::Enrolled(None),
        "enrolled" => Row::Enrolled(Some(read()?)),
        "duplicate" => Row::Duplicate(read()?),
        "invalid" => Row::Invalid(read()?),
        _ => return None,
    };
    words.next().is_none().then_some((row, outcome))
}

fn damaged(path: &Path, line: usize) -> Failure {
    let what = format!("line {line} of this journal is damaged");
    Failure::input(what, "delete the file and run the command again; rows that are enrolled already are recognised")
        .about(path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::message::{Decision, Outcome};
    use types::{OperationId, Signature};

    fn certificate(batch: u64) -> Certificate {
        let (operation, request) = (OperationId([1; 16]), Digest([2; 32]));
        let decision = Decision {
            version: 1,
            commons: Digest([3; 32]),
            operation,
            request,
            batch,
            decided_at: 5,
            charter: Digest([8; 32]),
            log_index: 0,
            outcome: Outcome::Duplicate,
        };
        Certificate { decision, signatures: [Signature([4; 64]); 3] }
    }

    #[test]
    fn a_journal_is_continued_and_a_torn_line_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.journal");
        let job = Digest([9; 32]);
        let rows = [(3, Row::Enrolled(Some(certificate(1)))), (1, Row::Duplicate(certificate(2))), (7, Row::Enrolled(None))];
        {
            let (mut journal, done) = Journal::open(&path, &job).unwrap();
            assert!(done.is_empty() && !journal.continued());
            for (row, outcome) in &rows {
                journal.write(*row, outcome).unwrap();
            }
            journal.write(8, &Row::Unusable).unwrap();
            assert!(Journal::open(&path, &job).is_err(), "one process at a time");
        }
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"12 enrol"].concat()).unwrap();
        let (mut journal, done) = Journal::open(&path, &job).unwrap();
        assert_eq!(done, rows);
        assert!(journal.continued());
        journal.write(12, &Row::Invalid(certificate(3))).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&path, &job).unwrap().1.len(), 4);
    }

    #[test]
    fn the_journal_of_another_job_or_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        drop(Journal::open(&path, &Digest([1; 32])).unwrap());
        assert!(Journal::open(&path, &Digest([2; 32])).is_err());
        std::fs::write(&path, format!("{HEADER} {}\n1 enrolled x\n", Digest([1; 32]))).unwrap();
        assert!(Journal::open(&path, &Digest([1; 32])).unwrap_err().what.contains("line 2"));
    }
}
