//! `commons-node fsck`: reads a data directory that no node has open, and compares everything in it that has to agree.
//!
//! Changes nothing, except that with `repair` tiles are built again from entry bundles: they say nothing that the bundles do not.
//! Everything else that is damaged was decided together with the other nodes and can only be restored or rebuilt, never guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use credential::Commitment;
use credential::escrow::{Share, Slope};
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tlog::checkpoint::{log_key, witness_key};
use tlog::merkle::leaf_hash;
use tlog::tile::{Resource, WIDTH};
use tlog::{Bundle, Entry, Peaks, SignedCheckpoint, VerifierKey};
use types::roster::Roster;
use types::{Digest, NodeId};
use zeroize::Zeroizing;

use super::segment::Segments;
use super::tiles::LogFiles;
use super::{Chain, LOG, META, Own, SHARES, epoch, lock, log, meta, options, slots};
use crate::Error;

/// Faults named in full per part; more are only counted.
const NAMED: usize = 20;
/// Parts of the directory, in the order in which they are read.
const PARTS: [&str; 8] =
    ["database", "decisions", "log entries", "tiles", "checkpoints", "witness records", "records and shares", "bindings"];

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The directory.
    pub path: PathBuf,
    /// Part by part.
    pub parts: Vec<Part>,
    /// Files with evidence against another node.
    pub evidence: Vec<String>,
}

/// One part of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Plain name.
    pub name: &'static str,
    /// Things that were compared.
    pub checked: u64,
    /// What does not hold.
    pub faults: u64,
    /// The first faults, in words.
    pub named: Vec<String>,
    /// What was put right.
    pub repaired: Vec<String>,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.parts.iter().all(|part| part.faults == 0)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            let verdict = if part.faults == 0 { "sound".to_owned() } else { format!("{} faults", part.faults) };
            text += &format!("  {:<20} {:>9} checked   {verdict}\n", part.name, part.checked);
            for line in &part.named {
                text += &format!("    - {line}\n");
            }
            for line in &part.repaired {
                text += &format!("    + {line}\n");
            }
        }
        for file in &self.evidence {
            text += &format!("  evidence against another node: {file}\n");
        }
        text
    }
}

struct Check<'a> {
    dir: &'a Path,
    node: NodeId,
    roster: &'a Roster,
    pool: SqlitePool,
    files: LogFiles,
    repair: bool,
    parts: Vec<Part>,
}

/// Checks the directory of `node`.
///
/// # Errors
/// [`Error::NoStore`], [`Error::StoreLocked`], [`Error::OtherNode`], [`Error::OtherRoster`], [`Error::NewerStore`],
/// [`Error::Database`] when the database cannot be read at all. What is damaged stands in the report.
pub async fn check(dir: &Path, node: NodeId, roster: &Roster, repair: bool) -> Result<Report, Error> {
    let path = dir.join(META);
    if !path.exists() {
        return Err(Error::NoStore { path: dir.to_owned() });
    }
    let _lock = lock(dir)?;
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(&path).read_only(true)).await?;
    meta::check_version(&pool, &path).await?;
    meta::check_owner(&pool, dir, node, &roster.digest()).await?;
    let parts = PARTS.map(|name| Part { name, checked: 0, faults: 0, named: Vec::new(), repaired: Vec::new() }).to_vec();
    let files = LogFiles::unopened(&dir.join(LOG));
    let mut check = Check { dir, node, roster, pool, files, repair, parts };
    check.database().await?;
    let mut wanted = BTreeMap::new();
    check.decisions(&mut wanted).await?;
    let signed = check.signatures(&mut wanted).await?;
    let roots = check.entries(&wanted.keys().copied().collect()).await?;
    check.tiles().await?;
    check.compare(&wanted, &signed, &roots);
    check.records().await?;
    check.bindings().await?;
    check.pool.close().await;
    let evidence = std::fs::read_dir(dir.join(LOG).join("conflicts"))
        .map(|files| files.filter_map(|file| file.ok()?.file_name().into_string().ok()).collect());
    Ok(Report { path: dir.to_owned(), parts: check.parts, evidence: evidence.unwrap_or_default() })
}

/// Sizes at which a root is known, with who says so and which part that is.
type Wanted = BTreeMap<u64, Vec<(Digest, &'static str, String)>>;

impl Check<'_> {
    fn part(&mut self, name: &str) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.name == name)
    }

    fn checked(&mut self, name: &str, count: u64) {
        if let Some(part) = self.part(name) {
            part.checked += count;
        }
    }

    fn fault(&mut self, name: &str, what: impl Into<String>) {
        if let Some(part) = self.part(name) {
            part.faults += 1;
            if part.named.len() < NAMED {
                part.named.push(what.into());
            }
        }
    }

    async fn database(&mut self) -> Result<(), Error> {
        let rows = sqlx::query("PRAGMA integrity_check").fetch_all(&self.pool).await?;
        for row in &rows {
            let line: String = row.try_get(0)?;
            if line != "ok" {
                self.fault("database", line);
            }
        }
        for row in &sqlx::query("PRAGMA foreign_key_check").fetch_all(&self.pool).await? {
            let table: String = row.try_get(0)?;
            self.fault("database", format!("a row of {table} refers to one that is not there"));
        }
        self.checked("database", 1);
        Ok(())
    }

    /// The chain of batches: numbers, heads, and sizes of the log.
    async fn decisions(&mut self, wanted: &mut Wanted) -> Result<(), Error> {
        let (mut head, mut number, mut size, mut time) = (Chain::origin(&self.roster.digest()), 0, 0, 0);
        let rows = sqlx::query(
            "SELECT number, digest, head, operations, log_size, log_root, decided_at FROM batches ORDER BY number",
        );
        for row in &rows.fetch_all(&self.pool).await? {
            let found = meta::number(row, 0)?;
            number += 1;
            if found != number {
                self.fault("decisions", format!("batch {number} is missing"));
                number = found;
            }
            let expected = super::batch::head_after(&head, &meta::digest(row, 1)?);
            head = meta::digest(row, 2)?;
            if expected != head {
                self.fault("decisions", format!("batch {number} does not continue the one before"));
            }
            size += meta::number(row, 3)?;
            if meta::number(row, 4)? != size {
                self.fault("decisions", format!("batch {number} does not have one log entry per decision"));
                size = meta::number(row, 4)?;
            }
            let at = meta::number(row, 6)?;
            if at < time {
                self.fault("decisions", format!("batch {number} is dated before the one ahead of it"));
            }
            time = at;
            let says = format!("batch {number}");
            wanted.entry(size).or_default().push((meta::digest(row, 5)?, "log entries", says));
            self.checked("decisions", 1);
        }
        Ok(())
    }

    /// Own and cosigned checkpoints: their signatures. Their roots come later.
    async fn signatures(&mut self, wanted: &mut Wanted) -> Result<u64, Error> {
        let mut signed_size = 0;
        let Some(own) = log_key(self.roster, self.node) else { return Ok(0) };
        for (which, says) in [(Own::Signed, "the last signed checkpoint"), (Own::Published, "the published checkpoint")] {
            match log::checkpoint(&self.pool, which).await {
                Ok(None) => {}
                Ok(Some(note)) => {
                    let size = self.signature("checkpoints", says, &note, &own, wanted);
                    match which {
                        Own::Signed => signed_size = size,
                        Own::Published if size > signed_size => {
                            self.fault("checkpoints", "more is published than was signed last");
                        }
                        Own::Published => {}
                    }
                }
                Err(error) => self.fault("checkpoints", format!("{says} cannot be read: {error}")),
            }
        }
        let (roster, node) = (self.roster, self.node);
        for other in NodeId::ALL.into_iter().filter(|other| *other != node) {
            let Some(key) = log_key(roster, other) else { continue };
            let says = format!("the last cosigned checkpoint of node {other}");
            match log::witnessed(&self.pool, key.name().as_str()).await {
                Ok(None) => {}
                Ok(Some(latest)) => {
                    // Until a rebuilt node has published, the last word of its log is one of the node that it replaced.
                    let before = (0..roster.successions.len()).filter_map(|count| log_key(&roster.generation(count), other));
                    let key = before.chain([key.clone()]).find(|key| latest.checkpoint().verify(key).is_ok()).unwrap_or(key);
                    self.signature("witness records", &says, latest.checkpoint(), &key, wanted);
                    let ours = witness_key(roster, node).map(|ours| latest.checkpoint().cosigned_at(&ours));
                    if !matches!(ours, Some(Ok(_))) {
                        self.fault("witness records", format!("{says} lacks this node's cosignature"));
                    }
                }
                Err(error) => self.fault("witness records", format!("{says} cannot be read: {error}")),
            }
        }
        Ok(signed_size)
    }

    fn signature(
        &mut self,
        part: &'static str,
        says: &str,
        note: &SignedCheckpoint,
        key: &VerifierKey,
        wanted: &mut Wanted,
    ) -> u64 {
        self.checked(part, 1);
        match note.verify(key) {
            Ok(checkpoint) => {
                wanted.entry(checkpoint.size).or_default().push((checkpoint.root, part, says.to_owned()));
                checkpoint.size
            }
            Err(error) => {
                self.fault(part, format!("{says}: {error}"));
                0
            }
        }
    }

    /// Every entry, from bundles and then from rows; roots at the sizes wanted.
    async fn entries(&mut self, sizes: &BTreeSet<u64>) -> Result<BTreeMap<u64, Digest>, Error> {
        let head = log::peaks(&self.pool).await?;
        let rows = log::entries(&self.pool, 0, u32::MAX).await?;
        let first = rows.first().map_or(head.size(), |(position, _)| *position);
        let (mut peaks, mut roots, mut last) = (Peaks::default(), BTreeMap::new(), (0, 0));
        let mut take = |check: &mut Self, bytes: &[u8]| {
            let index = peaks.size();
            peaks.append(leaf_hash(bytes));
            if sizes.contains(&peaks.size()) {
                roots.insert(peaks.size(), peaks.root());
            }
            match Entry::from_bytes(bytes) {
                Ok(entry) if (entry.batch, entry.at) >= last => last = (entry.batch, entry.at),
                Ok(_) => check.fault("log entries", format!("entry {index} is dated before the one ahead of it")),
                Err(error) => check.fault("log entries", format!("entry {index}: {error}")),
            }
        };
        let mut whole = true;
        for bundle in Bundle::covering(0, first) {
            let full = Bundle::new(bundle.index(), WIDTH)?;
            match self.files.get(&Resource::Entries(full)) {
                Ok(Some(bytes)) => full.decode(&bytes)?.into_iter().for_each(|entry| take(self, entry)),
                Ok(None) => {
                    self.fault("log entries", format!("{full} is missing"));
                    whole = false;
                }
                Err(error) => {
                    self.fault("log entries", error.chain());
                    whole = false;
                }
            }
        }
        for (expected, (position, bytes)) in (first..).zip(&rows) {
            if expected != *position {
                self.fault("log entries", format!("entry {expected} is missing"));
                whole = false;
                break;
            }
            take(self, bytes);
        }
        let count = peaks.size();
        self.checked("log entries", count);
        if !whole {
            // What follows a gap hashes to nothing that anybody knows.
            return Ok(BTreeMap::new());
        }
        if (count, peaks.root()) != (head.size(), head.root()) {
            self.fault("log entries", "the entries do not lead to the root of the log");
        }
        Ok(roots)
    }

    async fn tiles(&mut self) -> Result<(), Error> {
        let rows = log::entries(&self.pool, 0, 1).await?;
        let size = log::peaks(&self.pool).await?.size();
        let first = rows.first().map_or(size, |(position, _)| *position) / u64::from(WIDTH) * u64::from(WIDTH);
        match self.files.rebuild(first, self.repair) {
            Ok((_, checked)) => {
                self.checked("tiles", checked.bundles);
                for path in checked.wrong_tiles {
                    match (self.repair, self.part("tiles")) {
                        (true, Some(part)) => part.repaired.push(format!("{path} was wrong and is built again")),
                        _ => self.fault("tiles", format!("{path} is wrong or missing; --repair builds it again")),
                    }
                }
            }
            Err(error) => self.fault("tiles", format!("cannot be compared: {}", error.chain())),
        }
        Ok(())
    }

    /// Who said which root, against the entries.
    fn compare(&mut self, wanted: &Wanted, signed_size: &u64, roots: &BTreeMap<u64, Digest>) {
        if roots.is_empty() && *signed_size > 0 {
            self.fault("checkpoints", "cannot be compared: entries are missing");
            return;
        }
        for (size, claims) in wanted {
            for (root, part, says) in claims {
                match roots.get(size) {
                    _ if *size == 0 => {}
                    Some(ours) if ours == root => {}
                    Some(_) => self.fault(part, format!("{says} has another root of {size} entries than the entries here")),
                    None => self.fault(part, format!("{says} covers {size} entries, more than are here")),
                }
            }
        }
    }

    /// Members, records and the shares that they name.
    async fn records(&mut self) -> Result<(), Error> {
        const PART: &str = "records and shares";
        let questions = [
            (
                "SELECT COUNT(*) FROM members m WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.member = m.member)",
                "a member has no record",
            ),
            ("SELECT COUNT(*) FROM members WHERE trace IS NULL OR length(trace) <> 32", "a member has no trace key"),
            (
                "SELECT COUNT(*) FROM records r LEFT JOIN galleries g ON g.profile = r.profile \
                 WHERE g.slots IS NULL OR r.slot >= g.slots",
                "a record stands outside of its gallery",
            ),
            (
                "SELECT COUNT(*) FROM records r WHERE NOT EXISTS (SELECT 1 FROM batches b WHERE b.number = r.batch)",
                "a record was admitted by a batch that is not there",
            ),
        ];
        for (question, what) in questions {
            let count = sqlx::query(question).fetch_one(&self.pool).await?;
            for _ in 0..meta::number(&count, 0)? {
                self.fault(PART, what);
            }
        }
        let epoch = epoch::before_open(&self.pool).await?.present;
        for profile in &self.roster.profiles {
            let known = slots::known(&self.pool, &profile.id).await?;
            match Segments::verify(&self.dir.join(SHARES), self.node, profile, epoch, &known) {
                Ok(shares) => self.checked(PART, shares),
                Err(error) => self.fault(PART, error.chain()),
            }
        }
        Ok(())
    }

    /// What this node keeps of each member's secret is a share of the secret that the membership is bound to.
    async fn bindings(&mut self) -> Result<(), Error> {
        const PART: &str = "bindings";
        let rows = sqlx::query("SELECT commitment, slope, share FROM bindings").fetch_all(&self.pool).await?;
        for row in &rows {
            let (commitment, slope) =
                (Commitment::from_bytes(meta::array(row, 0)?), Slope::from_bytes(meta::array(row, 1)?));
            let share = Zeroizing::new(row.try_get::<Vec<u8>, _>(2)?);
            let sound = Share::from_bytes(&share).and_then(|share| share.check(&commitment, &slope).map(|()| share.node()));
            if sound != Ok(self.node) {
                self.fault(PART, "the share of a member's secret is not one of the secret that they are bound to");
            }
            self.checked(PART, 1);
        }
        Ok(())
    }
}
