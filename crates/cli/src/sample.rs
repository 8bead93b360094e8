//! From what a person names on the command line to a template: a photograph, a vector, or an iris code; and the modality profile
//! that goes with it.

use std::path::Path;

use biometric::Template;
use biometric::npy::Npy;
use charter::Charter;
use types::profile::{Matching, Profile};
use types::roster::Roster;
use types::{ProfileId, limits};
use zeroize::Zeroizing;

use crate::args::{KeptArgs, SampleArgs};
use crate::assets;
use crate::context::Context;
use crate::failure::Failure;
use crate::home::read_limited;

/// A template and the profile of the commons that it belongs to.
pub(crate) struct Sample {
    pub(crate) profile: ProfileId,
    pub(crate) template: Template,
}

/// What a failure is called when only more knowledge can choose a profile.
const SEVERAL: &str = "several-profiles";

/// Reads, checks and extracts.
pub(crate) fn read(context: &Context, roster: &Roster, args: &SampleArgs) -> Result<Sample, Failure> {
    read_for(context, roster, &|_| true, args)
}

/// As [`read`]; absent when several profiles of the commons fit and none was named.
pub(crate) fn read_if_clear(context: &Context, roster: &Roster, args: &SampleArgs) -> Result<Option<Sample>, Failure> {
    match read(context, roster, args) {
        Ok(sample) => Ok(Some(sample)),
        Err(failure) if failure.code == SEVERAL => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// As [`read`], for one of the profiles for which `fits` holds, unless one was named.
pub(crate) fn read_for(
    context: &Context,
    roster: &Roster,
    fits: &dyn Fn(&Profile) -> bool,
    args: &SampleArgs,
) -> Result<Sample, Failure> {
    let wanted = args.profile.as_deref();
    match (&args.photo, &args.vector, &args.iris) {
        (Some(photo), _, _) => {
            let profile = choose(roster, fits, wanted, &Kind::Photograph)?;
            let bytes = Zeroizing::new(read_input(photo, limits::PICTURE_BYTES)?);
            let spinner = context.out.spinner("Reading your photograph");
            let template = assets::capturer(&profile)
                .and_then(|capturer| capturer.template(&bytes).map_err(|error| Failure::from(error).about(photo.display())));
            spinner.finish_and_clear();
            Ok(Sample { profile: profile.id, template: template? })
        }
        (None, Some(vector), _) => {
            let vector_values = read_vector(vector, args.row).map_err(|failure| failure.about(vector.display()))?;
            let profile = choose(roster, fits, wanted, &Kind::Vector(vector_values.len()))?;
            let template = from_vector(&vector_values, &profile).map_err(|failure| failure.about(vector.display()))?;
            Ok(Sample { profile: profile.id, template })
        }
        (None, None, Some(iris)) => {
            let profile = choose(roster, fits, wanted, &Kind::Iris)?;
            let masks = args.masks.as_deref().unwrap_or_else(|| Path::new(""));
            let codes = Zeroizing::new(read_input(iris, limits::TEMPLATE_FILE_BYTES)?);
            let mask_bytes = Zeroizing::new(read_input(masks, limits::TEMPLATE_FILE_BYTES)?);
            let codes = Npy::parse(&codes).map_err(|e| Failure::from(e).about(iris.display()))?;
            let mask_rows = Npy::parse(&mask_bytes).map_err(|e| Failure::from(e).about(masks.display()))?;
            let template = from_iris(&codes, &mask_rows, args.row.unwrap_or(0), &profile);
            Ok(Sample { profile: profile.id, template: template.map_err(|failure| failure.about(iris.display()))? })
        }
        (None, None, None) => Err(Failure::input("there is no sample", "name a photograph, --vector or --iris")),
    }
}

/// A sample that is to be kept: in the profile that the charter has for newcomers, and in the one that it replaces, where it does.
pub(crate) struct Kept {
    pub(crate) sample: Sample,
    pub(crate) former: Option<Sample>,
}

/// Reads what [`read_if_clear`] has not, and the same sample in the profile that is being replaced.
pub(crate) fn to_keep(
    context: &Context,
    roster: &Roster,
    charter: &Charter,
    clear: Option<Sample>,
    args: &KeptArgs,
) -> Result<Kept, Failure> {
    let current = |profile: &Profile| charter.modality(&profile.id).is_some() && charter.replacement(&profile.id).is_none();
    let sample = match clear {
        Some(sample) => sample,
        None => read_for(context, roster, &current, &args.sample)?,
    };
    let older = charter.modality(&sample.profile).and_then(|modality| modality.replaces.clone());
    let Some(older) = older else {
        return match &args.former {
            None => Ok(Kept { sample, former: None }),
            Some(_) => Err(Failure::input(
                format!("{} replaces no other profile in the charter in force", sample.profile),
                "leave --former out",
            )),
        };
    };
    let mut same = SampleArgs { profile: Some(older.to_string()), ..args.sample.clone() };
    match (&same.vector, &args.former) {
        (Some(_), Some(former)) => same.vector = Some(former.clone()),
        (Some(_), None) => {
            return Err(Failure::input(
                format!("{} replaces {older}, and who has not moved yet is compared with too", sample.profile),
                format!("give the vector of the same sample for {older} with --former FILE"),
            )
            .coded("former-sample"));
        }
        (None, Some(_)) => return Err(Failure::input("--former goes with --vector", "leave it out")),
        (None, None) => {}
    }
    let former = Some(read(context, roster, &same)?);
    Ok(Kept { sample, former })
}

/// The kinds of input, each with what chooses a profile for it.
pub(crate) enum Kind {
    Photograph,
    Vector(usize),
    Iris,
}

/// The profile that the person named, or the only one of the commons that fits.
pub(crate) fn choose(
    roster: &Roster,
    among: &dyn Fn(&Profile) -> bool,
    wanted: Option<&str>,
    kind: &Kind,
) -> Result<Profile, Failure> {
    let known = roster.profiles.iter().map(|p| p.id.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        return named(roster, wanted, &known).and_then(|profile| check_kind(profile, kind));
    }
    let fitting: Vec<&Profile> = roster.profiles.iter().filter(|profile| fits(profile, kind)).collect();
    let chosen: Vec<&Profile> = fitting.iter().filter(|profile| among(profile)).copied().collect();
    let fitting = if chosen.is_empty() { fitting } else { chosen };
    match fitting.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let what = match kind {
                Kind::Photograph => "this commons matches no photographs".to_owned(),
                Kind::Vector(length) => format!("this commons matches no vectors of {length} values"),
                Kind::Iris => "this commons matches no iris codes".to_owned(),
            };
            Err(Failure::input(what, format!("use one of its modality profiles: {known}")))
        }
        several => {
            let names = several.iter().map(|p| p.id.as_str()).collect::<Vec<_>>().join(", ");
            Err(Failure::input("several modality profiles of this commons fit", format!("choose with --profile: {names}"))
                .coded(SEVERAL))
        }
    }
}

fn named(roster: &Roster, wanted: &str, known: &str) -> Result<Profile, Failure> {
    if wanted.ends_with(".toml") || wanted.contains(std::path::MAIN_SEPARATOR) {
        let path = Path::new(wanted);
        let bytes = read_input(path, limits::CONFIG_FILE_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        let profile = Profile::from_toml(&text).map_err(|e| profile_failure(&e).about(path.display()))?;
        return match roster.profile(&profile.id) {
            Some(ours) if ours.digest() == profile.digest() => Ok(profile),
            Some(_) => Err(Failure::input(
                format!("the commons matches another version of `{}` than this file", profile.id),
                "ask the operators for their profile file",
            )
            .about(path.display())),
            None => Err(unknown(profile.id.as_str(), known)),
        };
    }
    let id = ProfileId::new(wanted).map_err(|_| unknown(wanted, known))?;
    roster.profile(&id).cloned().ok_or_else(|| unknown(wanted, known))
}

fn unknown(wanted: &str, known: &str) -> Failure {
    Failure::input(format!("this commons does not match `{wanted}`"), format!("use one of its modality profiles: {known}"))
}

/// A profile file that cannot be used.
pub(crate) fn profile_failure(error: &types::Error) -> Failure {
    Failure::input(error.to_string(), "correct the profile file")
}

fn fits(profile: &Profile, kind: &Kind) -> bool {
    match (kind, &profile.matching) {
        (Kind::Photograph, Matching::Embedding(_)) => profile.capture.is_some(),
        (Kind::Vector(length), Matching::Embedding(m)) => m.dimensions as usize == *length,
        (Kind::Iris, Matching::IrisCode(_)) => true,
        _ => false,
    }
}

fn check_kind(profile: Profile, kind: &Kind) -> Result<Profile, Failure> {
    let id = &profile.id;
    let wrong = |what: String, hint: &str| Err(Failure::input(what, hint));
    match (kind, &profile.matching) {
        (Kind::Vector(_), Matching::Embedding(_)) | (Kind::Iris, Matching::IrisCode(_)) => Ok(profile),
        (Kind::Photograph, Matching::Embedding(_)) if profile.capture.is_some() => Ok(profile),
        (Kind::Photograph, _) => {
            wrong(format!("`{id}` is not matched from photographs"), "give --vector or --iris, or another --profile")
        }
        (Kind::Vector(_), _) => wrong(format!("`{id}` matches iris codes, not vectors"), "give --iris and --masks instead"),
        (Kind::Iris, _) => wrong(format!("`{id}` matches vectors, not iris codes"), "give --vector instead"),
    }
}

/// A file of at most `limit` bytes.
pub(crate) fn read_input(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    read_limited(path, limit as u64).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => {
            Failure::input(format!("this file has more than {limit} bytes"), "use a smaller one").about(path.display())
        }
        _ => Failure::read(path, &error),
    })
}

fn read_vector(path: &Path, row: Option<usize>) -> Result<Zeroizing<Vec<f64>>, Failure> {
    let is_npy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    if !is_npy {
        if row.is_some() {
            return Err(Failure::input("--row is for .npy files", "leave it out"));
        }
        let bytes = Zeroizing::new(read_input(path, limits::VECTOR_FILE_BYTES)?);
        return Ok(biometric::vector::from_json(&bytes)?);
    }
    let bytes = Zeroizing::new(read_input(path, limits::TEMPLATE_FILE_BYTES)?);
    let table = Npy::parse(&bytes)?;
    let row = match row {
        Some(row) => row,
        None if table.rows() == 1 => 0,
        None => {
            let what = format!("this table has {} rows", table.rows());
            return Err(Failure::input(what, "choose one with --row N, counted from 0"));
        }
    };
    table.row(row).ok_or_else(|| no_row(row, table.rows()))
}

/// There is no such row.
pub(crate) fn no_row(row: usize, rows: usize) -> Failure {
    Failure::input(
        format!("there is no row {row}"),
        format!("rows are counted from 0; the last one is {}", rows.saturating_sub(1)),
    )
}

/// Quantises.
pub(crate) fn from_vector(vector: &[f64], profile: &Profile) -> Result<Template, Failure> {
    match &profile.matching {
        Matching::Embedding(matching) => Ok(Template::from_embedding(vector, matching)?),
        Matching::IrisCode(_) => Err(Failure::input(
            format!("`{}` matches iris codes, not vectors", profile.id),
            "give --iris and --masks instead",
        )),
    }
}

/// Joins a code with its mask.
pub(crate) fn from_iris(codes: &Npy<'_>, masks: &Npy<'_>, row: usize, profile: &Profile) -> Result<Template, Failure> {
    let Matching::IrisCode(matching) = &profile.matching else {
        return Err(Failure::input(format!("`{}` matches vectors, not iris codes", profile.id), "give --vector instead"));
    };
    let code = codes.row_bytes(row).ok_or_else(|| no_row(row, codes.rows()))?;
    let mask = masks.row_bytes(row).ok_or_else(|| no_row(row, masks.rows()).about("masks"))?;
    Ok(Template::from_iris(code, mask, matching)?)
}
