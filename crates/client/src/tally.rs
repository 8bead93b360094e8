//! Three judged answers to one operation, and what they prove together.

use types::message::Certificate;
use types::{NodeId, OperationId};

use crate::answer::Reply;
use crate::error::{Complaint, Error};

/// Collects the answers of nodes 1, 2 and 3, over as many rounds of asking as it takes.
#[derive(Debug)]
pub(crate) struct Tally {
    operation: OperationId,
    proven: Option<(NodeId, Certificate)>,
    latest: [Option<Reply<()>>; 3],
    complaints: Vec<Complaint>,
}

impl Tally {
    pub(crate) fn new(operation: OperationId) -> Self {
        Self { operation, proven: None, latest: [None, None, None], complaints: Vec::new() }
    }

    /// Counts one answer.
    ///
    /// # Errors
    /// [`Error::Contradiction`]: two different certificates, both good.
    pub(crate) fn add(&mut self, node: NodeId, reply: Reply<Certificate>) -> Result<(), Error> {
        let reply = match reply {
            Reply::Valid(certificate) => {
                match &self.proven {
                    Some((one, proven)) if *proven != certificate => {
                        return Err(Error::Contradiction { one: *one, other: node, operation: self.operation });
                    }
                    Some(_) => {}
                    None => self.proven = Some((node, certificate)),
                }
                Reply::Valid(())
            }
            Reply::Invalid(fault) => {
                let complaint = Complaint { node, fault };
                if !self.complaints.contains(&complaint) {
                    self.complaints.push(complaint);
                }
                Reply::Invalid(fault)
            }
            Reply::NotFound => Reply::NotFound,
            Reply::Unavailable(nodes) => Reply::Unavailable(nodes),
            Reply::Later { code, detail } => Reply::Later { code, detail },
            Reply::Refused { code, detail } => Reply::Refused { code, detail },
            Reply::Unreached => Reply::Unreached,
            Reply::Lost => Reply::Lost,
        };
        if let Some(slot) = self.latest.get_mut(node.index()) {
            *slot = Some(reply);
        }
        Ok(())
    }

    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        self.proven.as_ref().map(|(_, certificate)| certificate)
    }

    pub(crate) fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// Nodes without a valid answer and without a complaint.
    pub(crate) fn silent(&self) -> Vec<NodeId> {
        let silent = |node: &NodeId| {
            let reply = self.latest.get(node.index()).and_then(Option::as_ref);
            !matches!(
                reply,
                Some(Reply::Valid(()) | Reply::Invalid(_) | Reply::Later { .. } | Reply::Refused { .. } | Reply::NotFound)
            )
        };
        NodeId::ALL.into_iter().filter(silent).collect()
    }

    /// The answer of a node that never took the operation up: without that node there is no decision.
    pub(crate) fn never_taken_up(&self) -> Option<Error> {
        let replies = || NodeId::ALL.into_iter().zip(&self.latest);
        let refused = replies().find_map(|(node, reply)| match reply {
            Some(Reply::Refused { code, detail }) => {
                Some(Error::Refused { node, code: code.clone(), detail: detail.clone() })
            }
            _ => None,
        });
        let later = || {
            replies().find_map(|(node, reply)| match reply {
                // A node that recovers, aborts or stops may have voted before.
                Some(Reply::Later { code, detail }) if !matches!(code.as_str(), "recovering" | "aborted" | "stopped") => {
                    Some(Error::TryAgain { node, code: code.clone(), detail: detail.clone() })
                }
                _ => None,
            })
        };
        refused.or_else(later)
    }

    /// Whether an answer is on its way or lost, so that asking again can bring a certificate. Where one node has said that
    /// nothing was changed, a lost answer of another does not matter: without that node there is no decision.
    pub(crate) fn may_be_decided(&self) -> bool {
        let unchanged = |reply: &Option<Reply<()>>| matches!(reply, Some(Reply::Unavailable(_) | Reply::Later { .. }));
        let lost = |reply: &Option<Reply<()>>| matches!(reply, None | Some(Reply::Lost));
        !self.latest.iter().any(unchanged) && self.latest.iter().any(lost)
    }

    /// The error, when nobody has a certificate and asking again is of no use.
    pub(crate) fn verdict(&self) -> Error {
        if let Some(complaint) = self.complaints.first() {
            return Error::Misbehaved { complaint: *complaint };
        }
        let reached = !self.latest.contains(&Some(Reply::Unreached));
        let later = NodeId::ALL.into_iter().zip(&self.latest).find_map(|(node, reply)| match reply {
            Some(Reply::Later { code, detail }) if reached => Some((node, code, detail)),
            _ => None,
        });
        if let Some((node, code, detail)) = later {
            return Error::TryAgain { node, code: code.clone(), detail: detail.clone() };
        }
        let mut nodes: Vec<NodeId> = Vec::new();
        for (node, reply) in NodeId::ALL.into_iter().zip(&self.latest) {
            match reply {
                Some(Reply::Unreached) => nodes.push(node),
                Some(Reply::Unavailable(others)) => nodes.extend(others),
                _ => {}
            }
        }
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.is_empty() && self.may_be_decided() {
            return Error::Undecided { operation: self.operation, silent: self.silent() };
        }
        Error::Unavailable { nodes }
    }
}
