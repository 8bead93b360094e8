//! `commons enrol --bulk`: many templates through the same public path, resumable after an interruption.
//!
//! Every row is a person of its own with a device key derived from the member's key, the job and the row: after an interruption
//! the same keys come again, so a row that was decided while nobody listened is recognised as ours. The journal lists decided
//! rows with their certificates; a row missing from it costs one more question, never a second enrolment.

mod journal;
mod pace;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use biometric::Template;
use biometric::index::{self, Entry};
use biometric::npy::Npy;
use client::native::NativeClient;
use client::{Error, request};
use ed25519_dalek::SigningKey;
use indicatif::ProgressBar;
use serde_json::json;
use tokio::task::JoinSet;
use types::message::Outcome;
use types::profile::{Matching, Profile};
use types::{Digest, limits};
use zeroize::Zeroizing;

use self::journal::{Journal, Row};
use self::pace::Pace;
use crate::args::{Enrol, Subjects};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::sample::{self, Kind, choose, read_input};
use crate::words;

const ENROLLING: &str = "Enrolling";
/// How long nodes may be away before the run gives up; it can be continued at any time.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(context: &Context, args: Enrol) -> Result<Exit, Failure> {
    let files = Files::read(&args)?;
    let client = Arc::new(context.client()?);
    let work = files.work(context, &client, &args)?;
    let key = context.member_key(true)?;
    let commons = client.commons().digest();

    let path = context.home.journal(&context.member, &work.job.to_hex().chars().take(16).collect::<String>());
    let (mut journal, done) = Journal::open(&path, &work.job)?;
    let continued = journal.continued();
    let before = done.len();
    let mut tally = Tally::new(&work.entries, done);
    let bar = context.out.bar(work.entries.len() as u64, ENROLLING);
    bar.set_position(tally.known.len() as u64);
    bar.reset_eta();

    let started = Instant::now();
    let traffic =
        Arc::new(Traffic { pace: Pace::new(started), bar: bar.clone(), out: context.out, told: AtomicBool::new(false) });
    let mut running: JoinSet<Result<(usize, Row), Failure>> = JoinSet::new();
    let mut waiting =
        work.entries.iter().filter(|entry| !tally.known.contains_key(&entry.row)).map(|entry| entry.row).collect::<Vec<_>>();
    waiting.reverse();
    let result = loop {
        while running.len() < usize::from(args.in_flight)
            && let Some(row) = waiting.pop()
        {
            match files.template(row, &work.profile) {
                Err(failure) => {
                    context.out.note(&format!("row {row} is not used: {}", failure.what));
                    tally.add(row, Row::Unusable);
                    bar.inc(1);
                }
                Ok(template) => {
                    let device = key.bulk_device(&commons, &work.job, row as u64);
                    let values = Zeroizing::new(template.input_values());
                    let (client, profile, note) =
                        (client.clone(), work.profile.id.clone(), args.kept.note.clone().unwrap_or_default());
                    let traffic = traffic.clone();
                    running.spawn(async move {
                        let template = request::Template { profile: &profile, values: &values };
                        enrol_row(&client, &device, &template, &note, continued, &traffic)
                            .await
                            .map(|outcome| (row, outcome))
                    });
                }
            }
        }
        let finished = tokio::select! {
            finished = running.join_next() => finished,
            _ = tokio::signal::ctrl_c() => break Err(interrupted()),
        };
        match finished {
            None => break Ok(()),
            Some(Ok(Ok((row, outcome)))) => {
                journal.write(row, &outcome)?;
                bar.set_message(ENROLLING);
                tally.add(row, outcome);
                bar.inc(1);
            }
            Some(Ok(Err(failure))) => break Err(failure),
            Some(Err(_)) => {
                break Err(Failure::input("a row could not be worked on", "run the same command again to continue"));
            }
        }
    };
    running.abort_all();
    bar.finish_and_clear();
    let summary = tally.summary(&work.entries);
    let seconds = started.elapsed().as_secs_f64();
    if let Err(failure) = result {
        context.out.note(&format!("{} of {} rows are done.", summary.done, work.entries.len()));
        return Err(failure);
    }
    report(context, &summary, &work.profile, &Run { before, seconds, journal: &path });
    Ok(Exit::Yes)
}

fn interrupted() -> Failure {
    let (exit, code) = (Exit::Unavailable, "interrupted".to_owned());
    Failure { exit, code, what: "interrupted".to_owned(), hint: "run the same command again to continue".to_owned() }
}

/// What all rows of a run share: how fast to send, and where to say why nothing moves.
struct Traffic {
    pace: Pace,
    bar: ProgressBar,
    out: Output,
    told: AtomicBool,
}

impl Traffic {
    /// In the bar, or once in a line where there is no terminal.
    fn wait(&self, error: &Error) {
        let what = Failure::from(error.clone()).what;
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("Waiting: {what}"));
        } else if !self.told.swap(true, Ordering::Relaxed) {
            self.out.note(&format!("Waiting, and trying again for up to two minutes: {what}."));
        }
    }
}

/// Enrols one row, however often the nodes are away for a while. `uncertain`: an earlier try may have been decided.
async fn enrol_row(
    client: &NativeClient,
    device: &SigningKey,
    template: &request::Template<'_>,
    note: &str,
    mut uncertain: bool,
    traffic: &Traffic,
) -> Result<Row, Failure> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(200);
    let (template_profile, values) = (template.profile, template.values);
    loop {
        let template = request::Template { profile: template_profile, values };
        traffic.pace.turn().await;
        match client.enrol(device, template, note).await {
            Ok(proof) => match proof.outcome() {
                Outcome::Enrolled { .. } => return Ok(Row::Enrolled(Some(proof.certificate))),
                Outcome::InvalidTemplate => return Ok(Row::Invalid(proof.certificate)),
                // An earlier try may have been decided first, and be what this one matched.
                _ if uncertain && client.status(device).await?.has_record(Some(template_profile)) => {
                    return Ok(Row::Enrolled(None));
                }
                _ => return Ok(Row::Duplicate(proof.certificate)),
            },
            // The key is of this row alone: an earlier try was decided while nobody listened.
            Err(Error::Refused { code, .. }) if uncertain && code == "already-enrolled" => return Ok(Row::Enrolled(None)),
            Err(error @ (Error::Unavailable { .. } | Error::TryAgain { .. } | Error::Undecided { .. })) => {
                // A limit on requests is no outage: slow down, however long the whole then takes.
                if matches!(&error, Error::TryAgain { code, .. } if code == "rate-limited") {
                    traffic.pace.complained(Instant::now());
                    uncertain = true;
                    continue;
                }
                if started.elapsed() > PATIENCE {
                    let mut failure = Failure::from(error);
                    "run the same command again to continue".clone_into(&mut failure.hint);
                    return Err(failure);
                }
                uncertain = true;
                traffic.wait(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The files of a run, in memory.
struct Files {
    index: Vec<u8>,
    templates: Zeroizing<Vec<u8>>,
    masks: Option<Zeroizing<Vec<u8>>>,
}

/// What is to be done.
struct Work {
    entries: Vec<Entry>,
    profile: Profile,
    /// Names this job: the same files in the same commons.
    job: Digest,
}

impl Files {
    fn read(args: &Enrol) -> Result<Self, Failure> {
        let missing = || Failure::input("--bulk needs --templates", "name the .npy file with one template in each row");
        let index = args.bulk.as_deref().ok_or_else(missing)?;
        let templates = args.templates.as_deref().ok_or_else(missing)?;
        let large = |path| read_input(path, limits::TEMPLATE_FILE_BYTES);
        let masks = args.kept.sample.masks.as_deref().map(|path| large(path).map(Zeroizing::new)).transpose()?;
        Ok(Self { index: large(index)?, templates: Zeroizing::new(large(templates)?), masks })
    }

    fn table(&self) -> Result<Npy<'_>, Failure> {
        Npy::parse(&self.templates).map_err(|error| Failure::from(error).about("--templates"))
    }

    fn work(&self, context: &Context, client: &NativeClient, args: &Enrol) -> Result<Work, Failure> {
        let mut entries = index::parse(&self.index).map_err(|error| Failure::from(error).about("--bulk"))?;
        let table = self.table()?;
        if let Some(outside) = entries.iter().find(|entry| entry.row >= table.rows()) {
            return Err(sample::no_row(outside.row, table.rows()).about("--templates"));
        }
        if args.subjects == Subjects::First {
            let mut seen = HashSet::new();
            entries.retain(|entry| seen.insert(entry.subject.clone()));
        }
        let kind = if self.masks.is_some() { Kind::Iris } else { Kind::Vector(table.columns()) };
        let profile = choose(client.commons().roster(), &|_| true, args.kept.sample.profile.as_deref(), &kind)?;
        let masks = self.masks.as_ref().map_or(&[][..], |masks| masks.as_slice());
        let parts = [
            client.commons().digest(),
            profile.digest(),
            Digest::of("trust-commons/v1/bulk-index", &[&self.index]),
            Digest::of("trust-commons/v1/bulk-templates", &[&self.templates]),
            Digest::of("trust-commons/v1/bulk-masks", &[masks]),
            Digest::of("trust-commons/v1/bulk-member", &[context.member.as_bytes()]),
        ];
        let parts: Vec<&[u8]> = parts.iter().map(|digest| digest.0.as_slice()).collect();
        Ok(Work { entries, profile, job: Digest::of("trust-commons/v1/bulk-job", &parts) })
    }

    fn template(&self, row: usize, profile: &Profile) -> Result<Template, Failure> {
        let table = self.table()?;
        match (&profile.matching, &self.masks) {
            (Matching::IrisCode(_), Some(masks)) => {
                let masks = Npy::parse(masks).map_err(|error| Failure::from(error).about("--masks"))?;
                sample::from_iris(&table, &masks, row, profile)
            }
            _ => {
                let vector = table.row(row).ok_or_else(|| sample::no_row(row, table.rows()))?;
                sample::from_vector(&vector, profile)
            }
        }
    }
}

/// What is known of each row.
struct Tally {
    known: BTreeMap<usize, Kept>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Enrolled,
    Duplicate,
    Invalid,
    Unusable,
}

impl Kept {
    fn of(row: &Row) -> Self {
        match row {
            Row::Enrolled(_) => Self::Enrolled,
            Row::Duplicate(_) => Self::Duplicate,
            Row::Invalid(_) => Self::Invalid,
            Row::Unusable => Self::Unusable,
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    done: u64,
    enrolled: u64,
    duplicates: u64,
    invalid: u64,
    subjects: u64,
    /// Subjects of whom no sample was enrolled: somebody else's template matched.
    subjects_refused: u64,
    /// Enrolled samples beyond the first of a subject: missed duplicates.
    duplicates_missed: u64,
}

impl Tally {
    /// Starts from the journal, ignoring rows that are not part of this run.
    fn new(entries: &[Entry], done: Vec<(usize, Row)>) -> Self {
        let rows: HashSet<usize> = entries.iter().map(|entry| entry.row).collect();
        let known =
            done.iter().filter(|(row, _)| rows.contains(row)).map(|(row, outcome)| (*row, Kept::of(outcome))).collect();
        Self { known }
    }
    fn add(&mut self, row: usize, outcome: Row) {
        self.known.insert(row, Kept::of(&outcome));
    }
    fn summary(&self, entries: &[Entry]) -> Summary {
        let count = |kept: &[Kept]| self.known.values().filter(|k| kept.contains(k)).count() as u64;
        let mut subjects: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in entries {
            let enrolled = self.known.get(&entry.row) == Some(&Kept::Enrolled);
            *subjects.entry(&entry.subject).or_default() += u64::from(enrolled);
        }
        Summary {
            done: self.known.len() as u64,
            enrolled: count(&[Kept::Enrolled]),
            duplicates: count(&[Kept::Duplicate]),
            invalid: count(&[Kept::Invalid, Kept::Unusable]),
            subjects: subjects.len() as u64,
            subjects_refused: subjects.values().filter(|&&n| n == 0).count() as u64,
            duplicates_missed: subjects.values().map(|n| n.saturating_sub(1)).sum(),
        }
    }
}

/// Figures of this run.
struct Run<'a> {
    before: usize,
    seconds: f64,
    journal: &'a std::path::Path,
}

fn report(context: &Context, summary: &Summary, profile: &Profile, run: &Run<'_>) {
    let fresh = summary.done.saturating_sub(run.before as u64);
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let rate = if run.seconds > 0.0 { fresh as f64 / run.seconds } else { 0.0 };
    let facts = json!({
        "rows": summary.done,
        "enrolled": summary.enrolled,
        "duplicates": summary.duplicates,
        "invalid": summary.invalid,
        "subjects": summary.subjects,
        "subjects_refused": summary.subjects_refused,
        "duplicates_missed": summary.duplicates_missed,
        "profile": profile.id,
        "done_before": run.before,
        "seconds": run.seconds,
        "per_second": rate,
        "journal": run.journal,
    });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("All {} are done.", words::counted(summary.done, "row", "rows")));
        page.row("enrolled", words::count(summary.enrolled));
        page.row(
            "duplicates",
            format!("{}  refused: a matching template was enrolled already", words::count(summary.duplicates)),
        );
        page.row("invalid", format!("{}  no templates of `{}`", words::count(summary.invalid), profile.id));
        page.row("subjects", format!("{} in the index", words::count(summary.subjects)));
        page.row(
            "",
            format!("{} refused altogether: each of their samples matched somebody", words::count(summary.subjects_refused)),
        );
        page.row("", format!("{} second samples not recognised as duplicates", words::count(summary.duplicates_missed)));
        let earlier =
            if run.before > 0 { format!("; {} were done before", words::count(run.before as u64)) } else { String::new() };
        page.row("time", format!("{} s, {} a second{earlier}", words::figure(run.seconds), words::figure(rate)));
        page.row("journal", run.journal.display());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_rows_and_people() {
        let entry = |row: usize, subject: &str| Entry { row, subject: subject.to_owned(), label: String::new() };
        let entries = [entry(0, "a"), entry(1, "a"), entry(2, "b"), entry(3, "b"), entry(4, "c"), entry(5, "d")];
        let mut tally = Tally::new(&entries, vec![(0, Row::Enrolled(None)), (9, Row::Enrolled(None))]);
        tally.add(1, Row::Enrolled(None));
        for row in [2, 3, 4] {
            tally.known.insert(row, Kept::Duplicate);
        }
        tally.add(5, Row::Unusable);
        let summary = tally.summary(&entries);
        let expected = Summary {
            done: 6,
            enrolled: 2,
            duplicates: 3,
            invalid: 1,
            subjects: 4,
            subjects_refused: 3,
            duplicates_missed: 1,
        };
        assert_eq!(summary, expected);
    }
}
