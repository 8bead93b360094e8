//! What the page is told when something does not work: a stable code, by which it finds its own words, and ours.

use biometric::QualityError;
use client::Error;
use serde_json::{Value, json};
use types::NodeId;

/// `{code, text, nodes}`: `nodes` are those at fault or silent.
pub fn of_client(error: &Error) -> Value {
    let (code, nodes): (&str, Vec<NodeId>) = match error {
        Error::Unavailable { nodes } => ("unavailable", nodes.clone()),
        Error::Undecided { silent, .. } => ("undecided", silent.clone()),
        Error::Misbehaved { complaint } => ("misbehaved", vec![complaint.node]),
        Error::CredentialsDiffer { nodes } => ("credentials-differ", nodes.clone()),
        Error::ChartersDiffer { .. } => ("charters-differ", Vec::new()),
        Error::Hidden { node, .. } => ("hidden", vec![*node]),
        Error::Log { node, .. } => ("log", vec![*node]),
        Error::NotLogged { node, .. } => ("not-logged", vec![*node]),
        Error::NotPublished { node, .. } => ("not-published", vec![*node]),
        Error::Contradiction { one, other, .. } => ("contradiction", vec![*one, *other]),
        Error::TryAgain { node, code, .. } | Error::Refused { node, code, .. } => (code.as_str(), vec![*node]),
        Error::Receipt(_) => ("receipt", Vec::new()),
        Error::BadFile { .. } => ("bad-file", Vec::new()),
        Error::WrongPassphrase => ("wrong-passphrase", Vec::new()),
        Error::DamagedKeyFile { .. } | Error::NewerKeyFile { .. } => ("damaged-key", Vec::new()),
        Error::NoRandomness | Error::Http => ("machine", Vec::new()),
        Error::NoPersona => ("no-persona", Vec::new()),
        Error::Retired => ("persona-retired", Vec::new()),
        Error::SamePersona => ("same-persona", Vec::new()),
        Error::NotAMember => ("not-a-member", Vec::new()),
        Error::BoundElsewhere => ("already-bound", Vec::new()),
        Error::Persona(error) => (of_persona(error), Vec::new()),
        _ => ("input", Vec::new()),
    };
    json!({ "code": code, "text": error.to_string(), "nodes": nodes })
}

fn of_persona(error: &credential::Error) -> &'static str {
    use credential::Error as E;
    match error {
        E::WrongContext => "wrong-context",
        E::WrongAudience => "wrong-audience",
        E::Stale => "stale-challenge",
        E::NotOpen => "not-open",
        E::Closed => "closed",
        E::TooFewCredentials { .. } => "credentials-stale",
        E::Demand { .. } => "demand",
        E::Code => "code",
        E::Reveal => "reveal",
        E::Envelope { .. } => "no-challenge",
        _ => "persona",
    }
}

/// The same for a sample.
pub fn of_capture(error: &biometric::Error) -> Value {
    let code = match error {
        biometric::Error::Quality(quality) => of_quality(quality),
        biometric::Error::NotAnImage | biometric::Error::TruncatedImage | biometric::Error::BrokenImage => "not-a-picture",
        biometric::Error::ImageTooLarge { .. } => "picture-too-large",
        biometric::Error::WrongModel { .. } | biometric::Error::Model { .. } => "model",
        _ => "sample",
    };
    json!({ "code": code, "text": error.to_string(), "nodes": [] })
}

fn of_quality(error: &QualityError) -> &'static str {
    match error {
        QualityError::NoFace => "no-face",
        QualityError::SeveralFaces { .. } => "several-faces",
        QualityError::TooSmall { .. } => "too-small",
        QualityError::CutOff => "cut-off",
        QualityError::NotUpright { .. } => "not-upright",
        QualityError::NotFrontal => "not-frontal",
        QualityError::Unclear => "unclear",
        QualityError::Blurred => "blurred",
        QualityError::TooDark => "too-dark",
        QualityError::TooBright => "too-bright",
        QualityError::LowContrast => "low-contrast",
        _ => "sample",
    }
}

/// Something that the page itself did wrong, or that is not there yet.
pub fn own(code: &str, text: &str) -> Value {
    json!({ "code": code, "text": text, "nodes": [] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lie_a_silence_and_a_bad_photograph_have_codes_of_their_own() {
        let node = NodeId::ALL[1];
        let lie = Error::Misbehaved { complaint: client::Complaint { node, fault: client::Fault::WrongSignature } };
        assert_eq!(of_client(&lie)["code"], "misbehaved");
        assert_eq!(of_client(&lie)["nodes"], json!([2]));
        assert_eq!(of_client(&Error::Unavailable { nodes: vec![node] })["code"], "unavailable");
        assert_eq!(of_capture(&QualityError::SeveralFaces { found: 2 }.into())["code"], "several-faces");
        assert_eq!(of_capture(&biometric::Error::NotAnImage)["code"], "not-a-picture");
    }
}
