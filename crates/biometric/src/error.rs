//! The error type of this crate, and the reasons for which the quality gate sends a photograph back.

/// What can be wrong with a sample, a file or a profile. Nothing here repeats the sample itself.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The picture file.
    /// The bytes are no JPEG, PNG or PGM/PPM.
    #[error("this is not a JPEG, PNG or PGM picture; choose a photograph in one of these formats")]
    NotAnImage,
    /// The file ends before the picture does.
    #[error("the picture is cut off: its file ends before the picture does; copy or download it again")]
    TruncatedImage,
    /// The file is damaged.
    #[error("the picture is damaged and cannot be read; save it again from its source as JPEG or PNG")]
    BrokenImage,
    /// More bytes or pixels than are accepted.
    #[error("the picture is too large ({got} {unit}; at most {limit}); save a smaller copy, 2,000 pixels across are plenty")]
    ImageTooLarge {
        /// How many there are.
        got: u64,
        /// How many are accepted.
        limit: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// The photograph is readable, but no good template can come from it.
    #[error(transparent)]
    Quality(#[from] QualityError),

    // Models.
    /// A model file is not the one that the profile names.
    #[error(
        "the model file {file} is not the one that the profile names (its SHA-256 differs); fetch it again with `./x assets`"
    )]
    WrongModel {
        /// File name in the profile.
        file: String,
    },
    /// A model cannot be loaded or run, or gives tensors of another shape.
    #[error("the model {file} cannot be used: {reason}")]
    Model {
        /// File name in the profile.
        file: String,
        /// What is wrong.
        reason: &'static str,
    },

    // Templates.
    /// A vector or code of the wrong length.
    #[error("this {what} has {got} values, and the profile needs {want}; use the extractor that the profile was made for")]
    WrongLength {
        /// What was given.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The profile's length.
        want: usize,
    },
    /// A vector holds NaN or an infinity.
    #[error("value {position} of the vector is not a finite number; the extractor failed on this sample, run it again")]
    NotFinite {
        /// Index of the first such value.
        position: usize,
    },
    /// A vector is all zeros.
    #[error("the vector is all zeros; the extractor found nothing in this sample, use another one")]
    ZeroVector,
    /// After quantisation the squared norm lies outside the window of the profile.
    #[error(
        "after quantisation the squared norm is {got}, outside the profile's window {low} to {high}: a few values are much larger \
         than the rest; use the extractor that the profile was made for, or a profile with a larger clamp"
    )]
    NormOutside {
        /// Squared norm.
        got: u32,
        /// Least accepted.
        low: u32,
        /// Largest accepted.
        high: u32,
    },
    /// Too little of the iris is visible.
    #[error(
        "only {got} of the iris code's mask bits are usable, and the profile needs {min}; open the eye wider and try again"
    )]
    MaskTooSmall {
        /// Usable mask bits.
        got: u32,
        /// Needed.
        min: u32,
    },
    /// A template of one modality where another is needed.
    #[error("this template is not of the kind that the profile matches ({profile}); use a sample of that kind")]
    WrongModality {
        /// What the profile matches.
        profile: &'static str,
    },

    // Files of templates.
    /// A .npy file that cannot be used.
    #[error("this .npy file cannot be used: {0}")]
    Npy(&'static str),
    /// A vector in JSON that cannot be used.
    #[error("this is not a vector in JSON; write [0.1, 0.2, ...] or {{\"vector\": [0.1, 0.2, ...]}}")]
    Vector,
    /// An index file that cannot be used.
    #[error("line {line} of the index cannot be used: {reason}")]
    Index {
        /// Line, from 1.
        line: usize,
        /// What is wrong and what is expected.
        reason: &'static str,
    },
    /// More than is accepted.
    #[error("{what} has {got} bytes; at most {limit} are accepted")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// Bytes given.
        got: usize,
        /// Bytes accepted.
        limit: usize,
    },

    // Profiles and reports.
    /// A profile that cannot be used.
    #[error(transparent)]
    Profile(#[from] types::Error),
    /// The profile's `[capture]` table is missing or not usable.
    #[error("the profile's [capture] table cannot be used: {0}")]
    CaptureTable(String),
    /// No comparisons of a kind, so no rate can be given.
    #[error("there are no {0} comparisons to measure; give at least two subjects, one of them with two samples")]
    NothingToMeasure(&'static str),
}

/// Why the quality gate sends a photograph back, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QualityError {
    /// The detector finds no face.
    #[error("No face was found. Look straight into the camera, in even light, with nothing over your face")]
    NoFace,
    /// More than one face.
    #[error("{} faces were found. Step away from others, so that only your face is in the picture", number(*found))]
    SeveralFaces {
        /// Faces found.
        found: usize,
    },
    /// The face has too few pixels.
    #[error(
        "Your face is too small in the picture ({pixels:.0} pixels between the eyes; {needed:.0} are needed). Come closer"
    )]
    TooSmall {
        /// Pixels between the eyes.
        pixels: f32,
        /// Needed.
        needed: f32,
    },
    /// Part of the face lies outside the picture.
    #[error("Part of your face is outside the picture. Move back a little, so that all of it is visible")]
    CutOff,
    /// The head, or the picture, is tilted or lies on its side.
    #[error("The face is tilted by {degrees:.0} degrees. Hold the camera and your head upright, or turn the picture")]
    NotUpright {
        /// Tilt of the line between the eyes, 90 or 180 where the picture must be turned.
        degrees: f32,
    },
    /// The head is turned away.
    #[error("The face is turned to the side. Look straight into the camera")]
    NotFrontal,
    /// The landmarks of the face cannot be made out.
    #[error(
        "The face cannot be made out. Take off sunglasses, let nothing cover your face, and look straight into the camera"
    )]
    Unclear,
    /// Too little detail.
    #[error("The face is blurred. Hold the camera still, wipe its lens, and let it focus on your face")]
    Blurred,
    /// Too dark.
    #[error("The face is too dark. Turn towards a window or a lamp")]
    TooDark,
    /// Too bright.
    #[error("The face is too bright. Step out of the direct light")]
    TooBright,
    /// Almost no difference between light and dark.
    #[error("The face has almost no contrast. Wipe the lens, avoid light behind you, and try again")]
    LowContrast,
}

fn number(found: usize) -> String {
    match found {
        2 => "Two".to_owned(),
        3 => "Three".to_owned(),
        n => n.to_string(),
    }
}
