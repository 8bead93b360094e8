//! Labelled samples from a folder of images or from a table of templates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use biometric::Template;
use biometric::index::{self, Entry};
use biometric::npy::{Npy, NumberType};
use types::limits;
use types::profile::{Matching, Profile};
use zeroize::Zeroizing;

use crate::assets;
use crate::context::Context;
use crate::evaluate::Evaluate;
use crate::evaluate::profile::{self, Choice};
use crate::failure::Failure;
use crate::sample::{from_iris, read_input};

/// Images in a folder at most: every pair is compared.
const IMAGES: usize = 100_000;

/// A labelled set.
pub(crate) struct Set {
    /// Samples offered, with those that failed.
    pub(crate) images: u64,
    pub(crate) templates: Vec<Template>,
    /// Subject of each template, as numbers from 0.
    pub(crate) subject_of: Vec<u32>,
    /// How many samples failed for which reason.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Set {
    pub(crate) fn failed_to_acquire(&self) -> u64 {
        self.failures.values().sum()
    }

    /// From labelled attempts, in their order.
    fn collect(attempts: impl IntoIterator<Item = (String, Result<Template, String>)>) -> Self {
        let mut numbers = BTreeMap::new();
        let mut set = Self { images: 0, templates: Vec::new(), subject_of: Vec::new(), failures: BTreeMap::new() };
        for (subject, attempt) in attempts {
            set.images += 1;
            match attempt {
                Ok(template) => {
                    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                    set.subject_of.push(*numbers.entry(subject).or_insert(next));
                    set.templates.push(template);
                }
                Err(reason) => *set.failures.entry(reason).or_default() += 1,
            }
        }
        set
    }
}

/// Reads what the arguments name, with the profile that fits.
pub(crate) fn load(context: &Context, args: &Evaluate, threads: usize) -> Result<(Set, Choice), Failure> {
    match (&args.images, &args.templates, &args.index) {
        (Some(folder), _, _) => images(context, folder, args.profile.as_deref(), threads),
        (None, Some(templates), Some(index)) => table(args, templates, index),
        _ => Err(Failure::input("there is nothing to evaluate", "name a folder of images, or --templates with --index")),
    }
}

fn images(context: &Context, folder: &Path, wanted: Option<&str>, threads: usize) -> Result<(Set, Choice), Failure> {
    let profile = profile::named(wanted.unwrap_or("face-512"))?;
    let files = labelled_images(folder)?;
    let capturer = assets::capturer(&profile)?;
    let bar = context.out.bar(files.len() as u64, "Photographs to templates");
    let capture = |path: &Path| {
        let bytes = read_input(path, limits::PICTURE_BYTES).map_err(|failure| failure.what)?;
        capturer.template(&Zeroizing::new(bytes)).map_err(|error| reason(&error))
    };
    let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((i, (_, path))) = take(&next, &files) {
                    let template = capture(path);
                    if let Ok(mut results) = results.lock() {
                        results.insert(i, template);
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().unwrap_or_default();
    let attempts = files.into_iter().enumerate().map(|(i, (subject, _))| {
        let lost = || Err("the thread that read it ended".to_owned());
        (subject, results.remove(&i).unwrap_or_else(lost))
    });
    Ok((Set::collect(attempts), Choice { profile, derived: false }))
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let i = next.fetch_add(1, Ordering::Relaxed);
    items.get(i).map(|item| (i, item))
}

/// The kind of an error, without the numbers that belong to one sample.
fn reason(error: &biometric::Error) -> String {
    let text = error.to_string();
    let what = text.split_once(". ").or_else(|| text.split_once("; ")).map_or(text.as_str(), |(what, _)| what);
    what.split(" (").next().unwrap_or(what).chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Every image below `folder` with its subject, sorted.
fn labelled_images(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut files = Vec::new();
    let list = |folder: &Path| -> Result<Vec<PathBuf>, Failure> {
        let entries = std::fs::read_dir(folder).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotADirectory => {
                Failure::input("this is not a folder", "name a folder of images, or --templates with --index")
                    .about(folder.display())
            }
            _ => Failure::read(folder, &error),
        })?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        Ok(paths)
    };
    for path in list(folder)? {
        if path.is_dir() {
            let subject = file_name(&path);
            let inside = list(&path)?.into_iter().filter(|path| is_image(path));
            files.extend(inside.map(|path| (subject.clone(), path)));
        } else if is_image(&path)
            && let Some(subject) = subject_of(&path)
        {
            files.push((subject, path));
        }
    }
    if files.is_empty() {
        let hint = "name the images SUBJECT_N.jpg, or put them into one folder for each subject: SUBJECT/N.jpg";
        return Err(Failure::input("there are no images in this folder", hint).about(folder.display()));
    }
    if files.len() > IMAGES {
        let what = format!("there are {} images, and at most {IMAGES} are compared with each other", files.len());
        return Err(Failure::input(what, "choose fewer").about(folder.display()));
    }
    Ok(files)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| ["jpg", "jpeg", "png", "pgm"].contains(&extension.as_str()))
}

/// `Ada_Lovelace_3.jpg` is of `Ada_Lovelace`.
fn subject_of(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    let (subject, number) = stem.rsplit_once('_')?;
    (!subject.is_empty() && !number.is_empty()).then(|| subject.to_owned())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn table(args: &Evaluate, templates: &Path, index: &Path) -> Result<(Set, Choice), Failure> {
    let table_bytes = Zeroizing::new(read_input(templates, limits::TEMPLATE_FILE_BYTES)?);
    let table = Npy::parse(&table_bytes).map_err(|error| Failure::from(error).about(templates.display()))?;
    let entries = index::parse(&read_input(index, limits::TEMPLATE_FILE_BYTES)?);
    let entries = entries.map_err(|error| Failure::from(error).about(index.display()))?;
    if let Some(entry) = entries.iter().find(|entry| entry.row >= table.rows()) {
        let what = format!("row {} is named, and the table has {} rows counted from 0", entry.row, table.rows());
        return Err(Failure::input(what, "use the index that belongs to this table").about(index.display()));
    }
    if let Some(masks) = &args.masks {
        let mask_bytes = Zeroizing::new(read_input(masks, limits::TEMPLATE_FILE_BYTES)?);
        let mask_table = Npy::parse(&mask_bytes).map_err(|error| Failure::from(error).about(masks.display()))?;
        let profile = profile::named(args.profile.as_deref().unwrap_or("iris-12800"))?;
        return iris(&table, &mask_table, entries, profile);
    }
    if args.profile.is_none() && table.number_type() == NumberType::U8 {
        let what = "these are bytes, as packed iris codes are, and no vectors";
        return Err(Failure::input(what, "give their --masks too, or name a --profile").about(templates.display()));
    }
    let choice = match &args.profile {
        Some(wanted) => Choice { profile: profile::named(wanted)?, derived: false },
        None => profile::fitting(&table, &entries)?,
    };
    let Matching::Embedding(matching) = &choice.profile.matching else {
        let what = format!("`{}` matches iris codes", choice.profile.id);
        return Err(Failure::input(what, "give their --masks too, or name another --profile"));
    };
    // One message for the whole table, where every row would fail alike.
    if matching.dimensions as usize != table.columns() {
        let what = format!(
            "`{}` matches vectors of {} values, and these have {}",
            choice.profile.id,
            matching.dimensions,
            table.columns()
        );
        return Err(Failure::input(what, "name the --profile that belongs to these vectors, or leave it out")
            .about(templates.display()));
    }
    let set = Set::collect(entries.into_iter().map(|entry| {
        let vector = table.row(entry.row).ok_or_else(|| "the table has no such row".to_owned());
        let template = vector.and_then(|vector| Template::from_embedding(&vector, matching).map_err(|error| reason(&error)));
        (entry.subject, template)
    }));
    Ok((set, choice))
}

fn iris(codes: &Npy<'_>, masks: &Npy<'_>, entries: Vec<Entry>, profile: Profile) -> Result<(Set, Choice), Failure> {
    // What is wrong with every row is an error; what is wrong with one is a failure to acquire.
    if !matches!(profile.matching, Matching::IrisCode(_)) {
        return Err(Failure::input(
            format!("`{}` matches vectors, not iris codes", profile.id),
            "leave --masks out, or name another --profile",
        ));
    }
    if codes.rows() != masks.rows() {
        let what = format!("there are {} codes and {} masks", codes.rows(), masks.rows());
        return Err(Failure::input(what, "give the masks that belong to these codes"));
    }
    let attempts = entries
        .into_iter()
        .map(|entry| (entry.subject, from_iris(codes, masks, entry.row, &profile).map_err(|failure| failure.what)));
    let set = Set::collect(attempts);
    if set.templates.is_empty() {
        let why = set.failures.keys().next().cloned().unwrap_or_default();
        return Err(Failure::input(
            format!("no row is an iris code of `{}`: {why}", profile.id),
            "name the --profile that belongs to these codes",
        ));
    }
    Ok((set, Choice { profile, derived: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_from_names_and_folders() {
        assert_eq!(subject_of(Path::new("Ada_Lovelace_0003.jpg")).as_deref(), Some("Ada_Lovelace"));
        assert_eq!(subject_of(Path::new("3.jpg")), None);
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.PNG", "b/1.jpg", "a_1.jpeg", "notes.txt", "c.jpg", "b/x.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let files = labelled_images(folder.path()).unwrap();
        let named: Vec<(&str, String)> = files.iter().map(|(subject, path)| (subject.as_str(), file_name(path))).collect();
        assert_eq!(named, [("a", "a_1.jpeg".to_owned()), ("b", "1.jpg".to_owned()), ("b", "2.PNG".to_owned())]);
    }

    #[test]
    fn an_empty_or_missing_folder_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        assert!(labelled_images(folder.path()).unwrap_err().hint.contains("SUBJECT_N.jpg"));
        assert!(labelled_images(&folder.path().join("none")).unwrap_err().what.contains("no such file"));
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        assert!(labelled_images(&file).unwrap_err().what.contains("not a folder"));
    }

    #[test]
    fn failures_are_counted_by_kind() {
        let error = biometric::Error::WrongLength { what: "vector", got: 3, want: 5 };
        let failed = |n: u32| (format!("s{n}"), Err(reason(&error)));
        let set = Set::collect([failed(1), failed(2)]);
        assert_eq!((set.images, set.failed_to_acquire(), set.failures.len()), (2, 2, 1));
    }
}
