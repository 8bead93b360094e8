//! Trust policies: which logs, which witnesses, and how many of them must have cosigned. C2SP `tlog-policy`.
//!
//! The policy of one node's log follows from the roster ([`Policy::of_node`]): the two other nodes must both have cosigned. That
//! costs nothing in availability, because nothing is decided, and so nothing logged, without all three nodes.
//!
//! **Out of scope**: the URLs' meaning (they are carried along).

use std::collections::BTreeMap;
use std::fmt;

use types::roster::Roster;
use types::{NodeId, UnixSeconds, limits};

use crate::Error;
use crate::checkpoint::{Checkpoint, SignedCheckpoint, log_key, witness_key};
use crate::note::{KeyKind, VerifierKey};

/// How many of the two other nodes must have cosigned a node's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeQuorum {
    /// Both: `all`.
    #[default]
    All,
    /// One of the two: `any`, for reading a log while one operator is out of reach.
    Any,
}

/// Logs, witnesses and a quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    /// Witnesses and groups, by position; members stand before their group.
    voices: Vec<Voice>,
    /// Position in `voices`; nothing for `quorum none`.
    quorum: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Log {
    key: VerifierKey,
    url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Voice {
    name: String,
    kind: VoiceKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum VoiceKind {
    Witness { key: VerifierKey, url: Option<String> },
    Group { threshold: usize, members: Vec<usize> },
}

/// A checkpoint that satisfies a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<'c> {
    /// What the log signed.
    pub checkpoint: &'c Checkpoint,
    /// Every known witness that cosigned, by its name in the policy, and when.
    pub cosigned: Vec<(String, UnixSeconds)>,
}

impl Policy {
    /// The policy of node `node`'s log: signed by it, cosigned by the two others.
    ///
    /// # Errors
    /// [`Error::Policy`] when the roster does not list the three nodes.
    pub fn of_node(roster: &Roster, node: NodeId, quorum: NodeQuorum) -> Result<Self, Error> {
        let rule = "the roster does not list this node";
        let key = log_key(roster, node).ok_or(Error::Policy { line: 0, rule })?;
        // The roster does not say what may stand in a URL; a policy does.
        let url = |node| roster.node(node).map(|node| node.url.clone()).filter(|url| is_word(url));
        let mut policy = Self { logs: vec![Log { key, url: url(node) }], voices: Vec::new(), quorum: None };
        for other in NodeId::ALL.into_iter().filter(|other| *other != node) {
            let key = witness_key(roster, other).ok_or(Error::Policy { line: 0, rule })?;
            let kind = VoiceKind::Witness { key, url: url(other) };
            policy.voices.push(Voice { name: format!("node-{other}"), kind });
        }
        let threshold = if quorum == NodeQuorum::All { 2 } else { 1 };
        policy.voices.push(Voice { name: "others".to_owned(), kind: VoiceKind::Group { threshold, members: vec![0, 1] } });
        policy.quorum = Some(2);
        Ok(policy)
    }

    /// Asks for one more witness besides the present quorum: an external one, from the configuration.
    ///
    /// # Errors
    /// [`Error::Policy`] when the name or the key is taken, or the key is not a cosigner's.
    pub fn and_witness(mut self, name: &str, key: VerifierKey, url: Option<String>) -> Result<Self, Error> {
        self.add_witness(0, name, key, url)?;
        let witness = self.voices.len() - 1;
        let members: Vec<usize> = self.quorum.into_iter().chain([witness]).collect();
        let name = format!("with-{name}");
        let kind = VoiceKind::Group { threshold: members.len(), members };
        self.add_voice(0, &name, kind)?;
        self.quorum = Some(self.voices.len() - 1);
        Ok(self)
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// [`Error::Policy`] with the line, [`Error::TooLarge`], [`Error::Malformed`], [`Error::KeyId`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > limits::POLICY_BYTES {
            return Err(Error::TooLarge { what: "policy (bytes)", got: bytes.len(), limit: limits::POLICY_BYTES });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Policy { line: 0, rule: "write it in UTF-8" })?;
        if text.chars().any(|c| c.is_ascii_control() && c != '\n' && c != '\t') {
            return Err(Error::Policy { line: 0, rule: "it may have no control characters but newline and tab" });
        }
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(Error::Policy { line: 0, rule: "every line ends with a newline" });
        }
        let mut policy = Self { logs: Vec::new(), voices: Vec::new(), quorum: None };
        let mut quorum_seen = false;
        for (line, text) in (1..).zip(text.lines()) {
            let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            match *words.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", key] => policy.add_log(line, VerifierKey::parse(key)?, None)?,
                ["log", key, url] => policy.add_log(line, VerifierKey::parse(key)?, Some(url.to_owned()))?,
                ["witness", name, key] => policy.add_witness(line, name, VerifierKey::parse(key)?, None)?,
                ["witness", name, key, url] => {
                    policy.add_witness(line, name, VerifierKey::parse(key)?, Some(url.to_owned()))?;
                }
                ["group", name, threshold, ref members @ ..] => policy.add_group(line, name, threshold, members)?,
                ["quorum", name] if !quorum_seen => {
                    quorum_seen = true;
                    policy.quorum = if name == "none" { None } else { Some(policy.position(line, name)?) };
                }
                ["quorum", _] => return Err(Error::Policy { line, rule: "name one quorum only" }),
                _ => {
                    return Err(Error::Policy {
                        line,
                        rule: "write log, witness, group or quorum, with what belongs to it",
                    });
                }
            }
        }
        if quorum_seen { Ok(policy) } else { Err(Error::Policy { line: 0, rule: "name a quorum, or `quorum none`" }) }
    }

    /// The logs' keys.
    pub fn logs(&self) -> impl Iterator<Item = &VerifierKey> {
        self.logs.iter().map(|log| &log.key)
    }

    /// The witnesses' names, keys and URLs.
    pub fn witnesses(&self) -> impl Iterator<Item = (&str, &VerifierKey, Option<&str>)> {
        self.voices.iter().filter_map(|voice| match &voice.kind {
            VoiceKind::Witness { key, url } => Some((voice.name.as_str(), key, url.as_deref())),
            VoiceKind::Group { .. } => None,
        })
    }

    /// Checks a checkpoint: signed by one of the logs, and cosigned by a quorum. A bad signature of any known key condemns it.
    ///
    /// # Errors
    /// [`Error::UnknownOrigin`], [`Error::NotSigned`], [`Error::BadSignature`], [`Error::Quorum`].
    pub fn accept<'c>(&self, signed: &'c SignedCheckpoint) -> Result<Accepted<'c>, Error> {
        let checkpoint = self.signed_by_a_log(signed)?;
        let mut cosigned = BTreeMap::new();
        for (position, voice) in self.voices.iter().enumerate() {
            let VoiceKind::Witness { key, .. } = &voice.kind else { continue };
            match signed.cosigned_at(key) {
                Ok(at) => drop(cosigned.insert(position, (voice.name.clone(), at))),
                Err(Error::NotSigned { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // Members stand before their group, so one pass suffices.
        let mut holds: Vec<bool> = Vec::with_capacity(self.voices.len());
        for (position, voice) in self.voices.iter().enumerate() {
            holds.push(match &voice.kind {
                VoiceKind::Witness { .. } => cosigned.contains_key(&position),
                VoiceKind::Group { threshold, members } => {
                    members.iter().filter(|member| holds.get(**member) == Some(&true)).count() >= *threshold
                }
            });
        }
        match self.quorum {
            Some(quorum) if holds.get(quorum) != Some(&true) => Err(Error::Quorum { size: checkpoint.size }),
            _ => Ok(Accepted { checkpoint, cosigned: cosigned.into_values().collect() }),
        }
    }

    /// A log may have several keys; one of them suffices, but none may have a bad signature.
    fn signed_by_a_log<'c>(&self, signed: &'c SignedCheckpoint) -> Result<&'c Checkpoint, Error> {
        let mut verdict = Err(Error::UnknownOrigin { origin: signed.origin().to_string() });
        for log in self.logs().filter(|log| log.name() == signed.origin()) {
            match signed.verify(log) {
                Ok(checkpoint) => verdict = Ok(checkpoint),
                Err(error @ Error::BadSignature { .. }) => return Err(error),
                Err(error) => verdict = verdict.or(Err(error)),
            }
        }
        verdict
    }

    fn add_log(&mut self, line: usize, key: VerifierKey, url: Option<String>) -> Result<(), Error> {
        if key.kind() != KeyKind::Ed25519 {
            return Err(Error::Policy { line, rule: "a log's key is of type 1" });
        }
        if self.logs.iter().any(|log| log.key.key() == key.key()) {
            return Err(Error::Policy { line, rule: "this log's key is listed twice" });
        }
        if self.logs.len() == limits::POLICY_NAMES {
            return Err(Error::Policy { line, rule: "too many logs" });
        }
        self.logs.push(Log { key, url });
        Ok(())
    }

    fn add_witness(&mut self, line: usize, name: &str, key: VerifierKey, url: Option<String>) -> Result<(), Error> {
        if key.kind() != KeyKind::Cosignature {
            return Err(Error::Policy { line, rule: "a witness's key is of type 4" });
        }
        if self.witnesses().any(|(_, other, _)| other.key() == key.key()) {
            return Err(Error::Policy { line, rule: "this witness's key is listed twice" });
        }
        self.add_voice(line, name, VoiceKind::Witness { key, url })
    }

    fn add_group(&mut self, line: usize, name: &str, threshold: &str, names: &[&str]) -> Result<(), Error> {
        let mut members = Vec::new();
        for member in names {
            let position = self.position(line, member)?;
            let taken =
                |voice: &Voice| matches!(&voice.kind, VoiceKind::Group { members, .. } if members.contains(&position));
            if members.contains(&position) || self.voices.iter().any(taken) {
                return Err(Error::Policy { line, rule: "a name may be a member once, in one group" });
            }
            members.push(position);
        }
        let threshold = match threshold {
            "all" => members.len(),
            "any" => 1,
            number => crate::line::number("policy", number).ok().and_then(|k| usize::try_from(k).ok()).unwrap_or(0),
        };
        if !(1..=members.len()).contains(&threshold) {
            return Err(Error::Policy {
                line,
                rule: "a group asks for all, any, or a number from 1 to that of its members",
            });
        }
        self.add_voice(line, name, VoiceKind::Group { threshold, members })
    }

    fn add_voice(&mut self, line: usize, name: &str, kind: VoiceKind) -> Result<(), Error> {
        if !is_word(name) || name == "none" {
            return Err(Error::Policy { line, rule: "this cannot be a name" });
        }
        if self.voices.iter().any(|voice| voice.name == name) {
            return Err(Error::Policy { line, rule: "this name is taken" });
        }
        if self.voices.len() == 2 * limits::POLICY_NAMES {
            return Err(Error::Policy { line, rule: "too many witnesses and groups" });
        }
        self.voices.push(Voice { name: name.to_owned(), kind });
        Ok(())
    }

    fn position(&self, line: usize, name: &str) -> Result<usize, Error> {
        let rule = "define witnesses and groups on lines above";
        self.voices.iter().position(|voice| voice.name == name).ok_or(Error::Policy { line, rule })
    }

    fn name_of(&self, position: usize) -> &str {
        self.voices.get(position).map_or("none", |voice| &voice.name)
    }
}

/// Can stand between spaces on a line.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('#') && !text.chars().any(|c| c == ' ' || c.is_ascii_control())
}

/// The policy file.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| url.as_ref().map_or_else(String::new, |url| format!(" {url}"));
        for log in &self.logs {
            writeln!(f, "log {}{}", log.key, url(&log.url))?;
        }
        for voice in &self.voices {
            match &voice.kind {
                VoiceKind::Witness { key, url: at } => writeln!(f, "witness {} {key}{}", voice.name, url(at))?,
                VoiceKind::Group { threshold, members } => {
                    let threshold = if *threshold == members.len() { "all".to_owned() } else { threshold.to_string() };
                    let names: Vec<&str> = members.iter().map(|member| self.name_of(*member)).collect();
                    writeln!(f, "group {} {threshold} {}", voice.name, names.join(" "))?;
                }
            }
        }
        writeln!(f, "quorum {}", self.quorum.map_or("none", |quorum| self.name_of(quorum)))
    }
}
