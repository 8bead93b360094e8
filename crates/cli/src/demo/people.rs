//! The cast: photographs from the assets folder, turned into templates on all cores.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use biometric::Template;
use biometric::capture::Capturer;
use types::limits;
use types::profile::Profile;

use crate::assets;
use crate::context::Context;
use crate::failure::Failure;
use crate::sample::read_input;

/// Photographs of one person that are used: to enrol, to come again, to verify.
const USED: usize = 3;

/// One photograph and its template.
pub(crate) struct Shot {
    pub(crate) template: Template,
    /// The file's bytes, where the report may show them.
    pub(crate) picture: Option<Vec<u8>>,
}

/// One person of the set.
pub(crate) struct Member {
    pub(crate) name: String,
    /// [`USED`] photographs that passed the quality gate, or fewer.
    pub(crate) shots: Vec<Shot>,
}

/// Everybody.
pub(crate) struct Cast {
    pub(crate) members: Vec<Member>,
    pub(crate) strangers: Vec<Template>,
    pub(crate) photographs: u64,
    pub(crate) refused: u64,
    /// Time of one capture, by one thread.
    pub(crate) capture_ms: f64,
}

/// Work for one thread: one person's photographs, of which the first `wanted` usable ones are taken.
struct Task {
    name: String,
    files: Vec<PathBuf>,
    wanted: usize,
    /// Whether the report may show them.
    shown: bool,
}

/// What came of a task.
struct Taken {
    shots: Vec<Shot>,
    tried: u32,
    took: Duration,
}

/// Captures everybody on `threads` threads.
pub(crate) fn capture(context: &Context, profile: &Profile, strangers: usize, threads: usize) -> Result<Cast, Failure> {
    let capturer = assets::capturer(profile)?;
    let faces = assets::folder()?.join("faces");
    let mut tasks = members(&faces.join("orl"))?;
    let members = tasks.len();
    tasks.extend(portraits(&faces.join("portraits"))?.into_iter().take(strangers));
    let bar = context.out.bar(tasks.len() as u64, "Photographs to templates");
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<Taken, Failure>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(i) else { break };
                    let taken = take(&capturer, task);
                    if let Ok(mut results) = results.lock() {
                        results.push((i, taken));
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(i, _)| *i);
    let mut cast = Cast { members: Vec::new(), strangers: Vec::new(), photographs: 0, refused: 0, capture_ms: 0.0 };
    let mut took = Duration::ZERO;
    for (i, taken) in results {
        let taken = taken?;
        cast.photographs += u64::from(taken.tried);
        cast.refused += u64::from(taken.tried) - taken.shots.len() as u64;
        took += taken.took;
        let name = tasks.get(i).map_or_else(String::new, |task| task.name.clone());
        if i < members {
            cast.members.push(Member { name, shots: taken.shots });
        } else {
            cast.strangers.extend(taken.shots.into_iter().map(|shot| shot.template));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "hundreds of photographs")]
    let photographs = cast.photographs.max(1) as f64;
    cast.capture_ms = took.as_secs_f64() * 1000.0 / photographs;
    Ok(cast)
}

fn take(capturer: &Capturer, task: &Task) -> Result<Taken, Failure> {
    let mut taken = Taken { shots: Vec::new(), tried: 0, took: Duration::ZERO };
    for file in &task.files {
        if taken.shots.len() == task.wanted {
            break;
        }
        let bytes = read_input(file, limits::PICTURE_BYTES)?;
        let begun = Instant::now();
        let template = capturer.template(&bytes);
        taken.took += begun.elapsed();
        taken.tried += 1;
        match template {
            Ok(template) => taken.shots.push(Shot { template, picture: task.shown.then_some(bytes) }),
            Err(biometric::Error::Quality(_)) => {}
            Err(error) => return Err(Failure::from(error).about(file.display())),
        }
    }
    Ok(taken)
}

/// One task for each of `s1` to `s40`, the photographs in their order.
fn members(folder: &Path) -> Result<Vec<Task>, Failure> {
    let mut tasks = Vec::new();
    for number in 1..=40 {
        let name = format!("s{number}");
        let files: Vec<PathBuf> =
            (1..=10).map(|i| folder.join(&name).join(format!("{i}.pgm"))).filter(|file| file.exists()).collect();
        if files.len() < USED {
            return Err(missing(folder));
        }
        tasks.push(Task { name, files, wanted: USED, shown: true });
    }
    Ok(tasks)
}

/// One task for each portrait: all show different people.
fn portraits(folder: &Path) -> Result<Vec<Task>, Failure> {
    let list = |kind: &str| {
        let entries = std::fs::read_dir(folder.join(kind)).map_err(|_| missing(folder))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        files.sort();
        Ok::<_, Failure>(files)
    };
    let (female, male) = (list("female")?, list("male")?);
    // By turns, so that any number of them is a fair mixture.
    let longest = female.len().max(male.len());
    let mixed = (0..longest).flat_map(|i| [female.get(i), male.get(i)]).flatten();
    let task = |file: &PathBuf| Task { name: String::new(), files: vec![file.clone()], wanted: 1, shown: false };
    Ok(mixed.map(task).collect())
}

fn missing(folder: &Path) -> Failure {
    Failure::input("the photographs of the demonstration are not on this machine", "fetch them with `./x assets`")
        .about(folder.display())
}
