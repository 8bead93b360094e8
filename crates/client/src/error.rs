//! The one error type of this crate: whose fault, which node, what to do.

use std::fmt;

use types::consent::Operation;
use types::{NodeId, OperationId, ProfileId};

/// Why nothing was done, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The caller's input.
    /// The roster has no such profile.
    #[error("this commons does not match `{profile}`; it matches: {known}")]
    UnknownProfile {
        /// Asked for.
        profile: ProfileId,
        /// What the roster lists.
        known: String,
    },
    /// A template of another length than the profile's.
    #[error("a template of `{profile}` has {want} values, and this one has {got}; check the profile and the extractor")]
    WrongLength {
        /// Of which profile.
        profile: ProfileId,
        /// Values given.
        got: usize,
        /// Values wanted.
        want: usize,
    },
    /// A consent note that is too long.
    #[error("the note of a consent may have at most {limit} characters; shorten it")]
    NoteTooLong {
        /// Characters allowed.
        limit: usize,
    },
    /// Terms whose operation and profile do not go together.
    #[error("a question of {} {}; correct the terms", .operation.name(), if *.operation == Operation::Verification { "needs a modality profile" } else { "takes no modality profile" })]
    ProfileOfTerms {
        /// Which operation.
        operation: Operation,
    },
    /// A node URL that must not be used.
    #[error("the roster's URL of node {node} is not usable: {rule}")]
    BadUrl {
        /// Which node.
        node: NodeId,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A roster or message that is not well formed.
    #[error(transparent)]
    Types(#[from] types::Error),

    // The key file.
    /// The passphrase does not open the key file.
    #[error(
        "the passphrase does not open this key file, or the file was altered; try again, or restore the file from a backup"
    )]
    WrongPassphrase,
    /// The file is not a whole key file.
    #[error("this key file is damaged: {what}; restore it from a backup")]
    DamagedKeyFile {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A key file written by a later program.
    #[error(
        "this key file has version {got}, and this program knows version {known}; install a newer version of the program"
    )]
    NewerKeyFile {
        /// Version found.
        got: u16,
        /// Version known.
        known: u16,
    },

    // The nodes.
    /// No decision, because nodes do not answer.
    #[error("{} not answer; nothing was changed. Try again when {} back", Nodes(.nodes, "does", "do"), if .nodes.len() == 1 { "it is" } else { "they are" })]
    Unavailable {
        /// Which.
        nodes: Vec<NodeId>,
    },
    /// Nodes sign different things about a member, and no two the same.
    #[error("{} different things about you, no two the same; nothing was kept. Try again when all three answer, and tell the operators \
             if it stays so", Nodes(.nodes, "signs", "sign"))]
    CredentialsDiffer {
        /// Which.
        nodes: Vec<NodeId>,
    },
    /// The answers were lost, and the request has expired without a trace of a decision.
    #[error(
        "no decision on operation {operation} could be learned before its request expired; ask with `commons status` what the nodes know"
    )]
    Undecided {
        /// Which operation.
        operation: OperationId,
        /// Nodes that gave no answer.
        silent: Vec<NodeId>,
    },
    /// A node did not act now, and says that a new request may succeed soon.
    #[error("node {node} did not act on this request: {detail}")]
    TryAgain {
        /// Which node.
        node: NodeId,
        /// The problem's code, such as `busy`.
        code: String,
        /// The node's words, printable characters only.
        detail: String,
    },
    /// A node refused the request.
    #[error("node {node} refused: {detail}")]
    Refused {
        /// Which node.
        node: NodeId,
        /// The problem's code, such as `expired`.
        code: String,
        /// The node's words, printable characters only.
        detail: String,
    },
    /// A node sent something that an honest node cannot send.
    #[error("{complaint}; nothing was accepted. Tell the operator of node {}, and ask again later", .complaint.node)]
    Misbehaved {
        /// Who and what.
        complaint: Complaint,
    },
    /// Two different decisions on one operation, both with three good signatures.
    #[error(
        "node {one} and node {other} hold two different decisions on operation {operation}, both signed by all three nodes; nothing was accepted. Keep both and tell every operator: the three nodes have lied together or lost their keys"
    )]
    Contradiction {
        /// First node.
        one: NodeId,
        /// Second node.
        other: NodeId,
        /// Which operation.
        operation: OperationId,
    },

    /// Nodes name different charters as the one in force.
    #[error(
        "the nodes do not name one charter as the rules in force: {}; nothing was signed. Ask again in a moment; if it stays so, tell every operator",
        Versions(.versions)
    )]
    ChartersDiffer {
        /// Version and first digits of the digest, as nodes 1, 2 and 3 say.
        versions: [(u64, String); 3],
    },
    /// Nodes state different things about decisions of the past.
    #[error(
        "node {node} does not tell of operation {operation}, of which another node has the decision with three signatures; it hides a decision. Tell every operator"
    )]
    Hidden {
        /// Which node hides it.
        node: NodeId,
        /// Which operation.
        operation: OperationId,
    },

    // Logs and receipts.
    /// A node's log is not what it must be.
    #[error("node {node}, log: {source}")]
    Log {
        /// Whose.
        node: NodeId,
        /// What is wrong.
        source: tlog::Error,
    },
    /// A node's log does not say what was decided.
    #[error(
        "the log of node {node} does not hold this decision at entry {index}: {reason}. Keep your receipt, and tell every operator"
    )]
    NotLogged {
        /// Whose.
        node: NodeId,
        /// Where it should be.
        index: u64,
        /// What stands there instead.
        reason: &'static str,
    },
    /// The log has not been published that far.
    #[error("node {node} has not published entry {index} of its log yet; try again in a moment with `commons audit`")]
    NotPublished {
        /// Whose.
        node: NodeId,
        /// Which entry.
        index: u64,
    },
    /// A receipt that does not hold.
    #[error(transparent)]
    Receipt(#[from] charter::Error),
    /// A file of ours that cannot be read.
    #[error("this is no {what}: {reason}; get it again from where it came from")]
    BadFile {
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        reason: &'static str,
    },

    // Personas.
    /// A persona, a credential or a secret is not what it must be.
    #[error(transparent)]
    Persona(#[from] credential::Error),
    /// No persona of this pseudonym in the wallet.
    #[error("there is no such persona on this device; look at the list of yours")]
    NoPersona,
    /// The member gave it up.
    #[error("you gave this persona up; there is no other of yours in this context")]
    Retired,
    /// One persona is named twice.
    #[error("these are one persona; name two")]
    SamePersona,
    /// The nodes know no member with this key.
    #[error("the nodes know no member with this key; enrol first")]
    NotAMember,
    /// The membership is bound to another secret than the wallet's.
    #[error(
        "this membership is bound to a secret that is not on this device; bring the wallet from the device where your personas are, or recover it: there is never a second secret"
    )]
    BoundElsewhere,

    // This machine.
    /// The system gave no randomness.
    #[error("this system gave no randomness; nothing was sent")]
    NoRandomness,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Http,
    /// A place on the web, no node, did not do what was asked.
    #[error("the other side did not go along: {what}; begin again on its page, and tell its people if it stays so")]
    Web {
        /// What is wrong.
        what: String,
    },
}

/// A node that sent something no honest node sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complaint {
    /// Which node.
    pub node: NodeId,
    /// What was wrong.
    pub fault: Fault,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} sent {}", self.node, self.fault)
    }
}

/// What was wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not JSON, base64 or canonical bytes.
    #[error("an answer that is not well formed")]
    Malformed,
    /// More bytes than an answer may have.
    #[error("an answer that is too large")]
    TooLarge,
    /// Of a message version that this program does not know.
    #[error("an answer of an unknown version")]
    Version,
    /// A signature that does not verify.
    #[error("an answer with a wrong signature")]
    WrongSignature,
    /// About another commons.
    #[error("an answer of another commons")]
    OtherCommons,
    /// About another operation or another request.
    #[error("an answer to another request")]
    OtherRequest,
    /// Another node's statement.
    #[error("the statement of another node")]
    OtherNode,
    /// A charter that is not valid, or another one than was consented to.
    #[error("another charter than the rules that you agreed to")]
    WrongCharter,
    /// An event that is not whole, or about nobody who asked.
    #[error("an event that does not hold together")]
    WrongEvent,
    /// An outcome that this kind of request cannot have.
    #[error("an outcome that does not fit the request")]
    WrongOutcome,
    /// Dated outside the life of the request.
    #[error("an answer of another time")]
    Stale,
    /// A credential that does not hold, or says something else than the other nodes'.
    #[error("a credential that does not hold, or that says something else than the other nodes'")]
    WrongCredential,
    /// An inspection that the asking key does not open.
    #[error("an inspection sealed to another key")]
    NotSealedToUs,
    /// Another TLS key than the roster pins.
    #[error(
        "another TLS key than the roster names (if its operators have announced a new node there, take their new roster with `commons roster accept`)"
    )]
    WrongKey,
}

/// "node 2 does", "nodes 1 and 3 do".
struct Nodes<'a>(&'a [NodeId], &'static str, &'static str);

impl fmt::Display for Nodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(nodes, one, many) = self;
        match nodes {
            [] => write!(f, "the nodes {many}"),
            [only] => write!(f, "node {only} {one}"),
            [all @ .., last] => {
                let all: Vec<String> = all.iter().map(NodeId::to_string).collect();
                write!(f, "nodes {} and {last} {many}", all.join(", "))
            }
        }
    }
}

/// "node 1 says version 2 (ab12...), ...".
struct Versions<'a>(&'a [(u64, String); 3]);

impl fmt::Display for Versions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (node, (version, digest)) in NodeId::ALL.iter().zip(self.0) {
            let comma = if node.number() > 1 { ", " } else { "" };
            write!(f, "{comma}node {node} says version {version} ({digest})")?;
        }
        Ok(())
    }
}

/// Node text made safe to print: no control characters, at most 300 characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_node_and_what_to_do() {
        let node = |n| NodeId::new(n).unwrap();
        let one = Error::Unavailable { nodes: vec![node(2)] };
        assert_eq!(one.to_string(), "node 2 does not answer; nothing was changed. Try again when it is back");
        let two = Error::Unavailable { nodes: vec![node(1), node(3)] };
        assert_eq!(two.to_string(), "nodes 1 and 3 do not answer; nothing was changed. Try again when they are back");
        let lie = Error::Misbehaved { complaint: Complaint { node: node(2), fault: Fault::WrongSignature } };
        assert!(lie.to_string().starts_with("node 2 sent an answer with a wrong signature; nothing was accepted"));
    }

    #[test]
    fn a_node_cannot_write_control_characters_to_a_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a[31mbc");
        assert_eq!(printable(&"x".repeat(1000)).len(), 300);
    }
}
