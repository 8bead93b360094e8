//! What a command says when it cannot do what was asked: one line what happened, one line what to do, one exit code.

use std::process::ExitCode;

use client::Error;

/// How a command ends; documented in `commons --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Yes, or done.
    Yes = 0,
    /// The answer is no.
    No = 1,
    /// The command or its input cannot be used.
    Input = 2,
    /// Nodes do not answer.
    Unavailable = 3,
    /// A node misbehaved.
    Misbehaved = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Machine-readable, such as `unavailable`.
    pub(crate) code: String,
    /// What happened.
    pub(crate) what: String,
    /// What to do.
    pub(crate) hint: String,
}

impl Failure {
    /// Something about the command line, a file or this machine.
    pub(crate) fn input(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: Exit::Input, code: "input".to_owned(), what: what.into(), hint: hint.into() }
    }

    /// From a message of another crate: "what happened; what to do" or "what happened. What to do".
    pub(crate) fn message(exit: Exit, code: &str, text: &str) -> Self {
        let split = text.split_once("; ").or_else(|| text.split_once(". "));
        let (what, hint) = split.unwrap_or((text, "see `commons --help`"));
        Self { exit, code: code.to_owned(), what: what.to_owned(), hint: hint.to_owned() }
    }

    /// Names the file or thing that the failure is about, once.
    #[must_use]
    pub(crate) fn about(mut self, name: impl std::fmt::Display) -> Self {
        let prefix = format!("{name}: ");
        if !self.what.starts_with(&prefix) {
            self.what.insert_str(0, &prefix);
        }
        self
    }

    /// With a code of its own.
    #[must_use]
    pub(crate) fn coded(mut self, code: &str) -> Self {
        code.clone_into(&mut self.code);
        self
    }

    /// A file that cannot be read.
    pub(crate) fn read(path: &std::path::Path, error: &std::io::Error) -> Self {
        let (what, hint) = match error.kind() {
            std::io::ErrorKind::NotFound => ("there is no such file", "check the path"),
            std::io::ErrorKind::PermissionDenied => ("you may not read this file", "change its permissions, or copy it"),
            std::io::ErrorKind::IsADirectory => ("this is a folder, not a file", "name a file in it"),
            _ => ("this file cannot be read", "check the disk it lies on"),
        };
        Self::input(what, hint).about(path.display())
    }

    /// A file that cannot be written.
    pub(crate) fn write(path: &std::path::Path, error: &std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "change the permissions of the folder, or set COMMONS_HOME to another one"
            }
            std::io::ErrorKind::StorageFull => "make room on the disk",
            _ => "check the disk, or set COMMONS_HOME to another folder",
        };
        Self::input("this file cannot be written", hint).about(path.display())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match &error {
            Error::Unavailable { .. } => Self::message(Exit::Unavailable, "unavailable", &text),
            Error::Undecided { .. } => Self::message(Exit::Unavailable, "undecided", &text),
            Error::Misbehaved { .. } => Self::message(Exit::Misbehaved, "misbehaved", &text),
            Error::CredentialsDiffer { .. } => Self::message(Exit::Misbehaved, "credentials-differ", &text),
            Error::ChartersDiffer { .. } => Self::message(Exit::Misbehaved, "charters-differ", &text),
            Error::Hidden { .. } => Self::message(Exit::Misbehaved, "hidden", &text),
            Error::Log { .. } => Self::message(Exit::Misbehaved, "log", &text),
            Error::NotLogged { .. } => Self::message(Exit::Misbehaved, "not-logged", &text),
            Error::NotPublished { .. } => Self::message(Exit::Unavailable, "not-published", &text),
            Error::Receipt(_) => Self::message(Exit::Misbehaved, "receipt", &text),
            Error::Persona(_) => Self::message(Exit::Input, "persona", &text),
            Error::BadFile { .. } => Self::message(Exit::Input, "bad-file", &text),
            Error::Web { .. } => Self::message(Exit::Input, "web", &text),
            Error::Contradiction { .. } => Self::message(Exit::Misbehaved, "contradiction", &text),
            Error::TryAgain { code, .. } => Self::message(Exit::Unavailable, code, &text),
            Error::Refused { code, .. } => Self::message(Exit::Input, code, &text),
            Error::WrongPassphrase => Self::message(Exit::Input, "wrong-passphrase", &text),
            Error::NoRandomness | Error::Http => {
                Self { hint: "try again, or on another machine".to_owned(), ..Self::message(Exit::Input, "machine", &text) }
            }
            _ => Self::message(Exit::Input, "input", &text),
        }
    }
}

impl From<charter::Error> for Failure {
    fn from(error: charter::Error) -> Self {
        let text = error.to_string();
        match text.contains("; ") {
            true => Self::message(Exit::Input, "charter", &text),
            false => Self::input(text, "correct the charter, and try again").coded("charter"),
        }
    }
}

impl From<types::Error> for Failure {
    fn from(error: types::Error) -> Self {
        match &error {
            types::Error::BadId { what, rule } => Self::input(format!("this is not a valid {what}"), *rule),
            error => Self::message(Exit::Input, "input", &error.to_string()),
        }
    }
}

impl From<biometric::Error> for Failure {
    fn from(error: biometric::Error) -> Self {
        let text = error.to_string();
        match &error {
            biometric::Error::Quality(_) => Self::message(Exit::Input, "quality", &text),
            biometric::Error::Index { .. } => Self::input(text, "correct this line of the index and try again"),
            biometric::Error::CaptureTable(_) => Self::input(text, "correct the profile file, or ask its author"),
            _ => Self::message(Exit::Input, "input", &text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_split_into_what_happened_and_what_to_do() {
        let failure = Failure::message(Exit::Input, "x", "the file is torn; copy it again. Now");
        assert_eq!((failure.what.as_str(), failure.hint.as_str()), ("the file is torn", "copy it again. Now"));
        let failure = Failure::message(Exit::Input, "x", "No face was found. Look up");
        assert_eq!((failure.what.as_str(), failure.hint.as_str()), ("No face was found", "Look up"));
    }

    #[test]
    fn exit_codes_tell_a_silence_from_a_lie_from_a_refusal() {
        let node = types::NodeId::ALL[1];
        let complaint = client::Complaint { node, fault: client::Fault::WrongSignature };
        let lie = Failure::from(Error::Misbehaved { complaint });
        assert_eq!((lie.exit, lie.what.as_str()), (Exit::Misbehaved, "node 2 sent an answer with a wrong signature"));
        assert_eq!(Failure::from(Error::Unavailable { nodes: vec![node] }).exit, Exit::Unavailable);
        let refused =
            Failure::from(Error::Refused { node, code: "expired".to_owned(), detail: "too late; try again".to_owned() });
        assert_eq!((refused.exit, refused.code.as_str(), refused.hint.as_str()), (Exit::Input, "expired", "try again"));
    }
}
