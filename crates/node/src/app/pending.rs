//! Operations that are checked and wait for a batch, in order of admission.
//!
//! In scope: order, bounds, and at the coordinator which nodes hold what. Out of scope: choosing and deciding (`sequencer`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mpc::sharing::InputShare;
use tokio::sync::oneshot;
use types::message::{Action, Certificate, Request};
use types::sign::Signed;
use types::{DeviceKey, MemberId, NodeId, ProfileId, TraceKey, UnixSeconds, limits};

use super::link::OperationRef;
use super::personas::OpenedBinding;
use crate::Error;

/// A checked operation.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its name.
    pub(crate) reference: OperationRef,
    /// Who asked.
    pub(crate) device: DeviceKey,
    /// The key to which the request commits; a member's stored key comes before it.
    pub(crate) trace: TraceKey,
    /// Until when it may be decided.
    pub(crate) expires_at: UnixSeconds,
    /// The request, as it was signed.
    pub(crate) signed: Signed<Request>,
    /// The member whom it concerned when it was admitted.
    pub(crate) concerned: Option<MemberId>,
    /// What is to be matched.
    pub(crate) task: Task,
}

/// This node's shares of one sample.
#[derive(Debug)]
pub(crate) struct Sample {
    /// In which form it is compared, and perhaps kept.
    pub(crate) profile: ProfileId,
    /// Of its template.
    pub(crate) input: InputShare,
    /// Of its template in the profile that this one replaces.
    pub(crate) former: Option<(ProfileId, InputShare)>,
}

/// What an operation takes of matching.
#[derive(Debug)]
pub(crate) enum Task {
    /// Match against everybody, then keep.
    Enrol(Sample),
    /// Compare with the own record, then with everybody else's, then keep in its place.
    Renew(Sample),
    /// Compare with one member's record: one's own, or that of the giver of a grant.
    Verify(Sample),
    /// Nothing; keep this.
    Bind(Box<OpenedBinding>),
    /// Nothing.
    Unmatched,
}

impl Operation {
    /// What was asked.
    pub(crate) fn action(&self) -> &Action {
        &self.signed.message.action
    }

    /// Is this a shield going up?
    pub(crate) fn is_shield(&self) -> bool {
        matches!(self.action(), Action::ShieldUp)
    }

    /// A shield and the nodes' own acts are never dropped before they are decided.
    pub(crate) fn is_lasting(&self) -> bool {
        self.is_shield() || matches!(self.action(), Action::Switch { .. })
    }

    /// What is matched, if anything is.
    pub(crate) fn sample(&self) -> Option<&Sample> {
        match &self.task {
            Task::Enrol(sample) | Task::Renew(sample) | Task::Verify(sample) => Some(sample),
            Task::Bind(_) | Task::Unmatched => None,
        }
    }

    /// The profile to match with, if it takes matching.
    pub(crate) fn profile(&self) -> Option<&ProfileId> {
        self.sample().map(|sample| &sample.profile)
    }

    /// The profile that is being replaced by that, where the sample is compared in both.
    pub(crate) fn former(&self) -> Option<&ProfileId> {
        self.sample()?.former.as_ref().map(|(profile, _)| profile)
    }

    fn bytes(&self) -> usize {
        let request = match self.action() {
            Action::Charter(signed) => limits::PLAIN_REQUEST_BYTES + signed.document.len(),
            _ => limits::PLAIN_REQUEST_BYTES,
        };
        let values = |sample: &Sample| sample.input.len() + sample.former.as_ref().map_or(0, |(_, input)| input.len());
        // Two components of four bytes per value.
        request + 8 * self.sample().map_or(0, values)
    }
}

/// Where the answer to an operation goes.
pub(crate) type Answer = oneshot::Sender<Result<Certificate, Error>>;

/// A waiting operation.
pub(crate) struct Waiting {
    /// What.
    pub(crate) operation: Arc<Operation>,
    /// Who waits for it.
    pub(crate) answer: Answer,
    /// Since when.
    pub(crate) since: Instant,
    /// At the coordinator: which nodes have it.
    pub(crate) held: [bool; 3],
    /// Place in the order.
    number: u64,
}

impl Waiting {
    /// Answers. A client that has gone away is no fault.
    pub(crate) fn finish(self, result: Result<Certificate, Error>) {
        let _ = self.answer.send(result);
    }

    /// A node that is not known to have the operation.
    pub(crate) fn lacking(&self) -> Option<NodeId> {
        NodeId::ALL.into_iter().zip(self.held).find(|(_, held)| !held).map(|(node, _)| node)
    }
}

/// All waiting operations of one node.
pub(crate) struct Pending {
    own: NodeId,
    order: BTreeMap<u64, Waiting>,
    numbers: HashMap<OperationRef, u64>,
    /// What other nodes said of operations that are not here yet.
    early: HashMap<OperationRef, Early>,
    next: u64,
    bytes: usize,
}

struct Early {
    held: [bool; 3],
    dropped: Option<NodeId>,
    since: Instant,
}

impl Pending {
    pub(crate) fn new(own: NodeId) -> Self {
        let (order, numbers, early) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { own, order, numbers, early, next: 0, bytes: 0 }
    }

    /// Adds a new operation at the end, or answers it at once: too many, the same twice, or dropped elsewhere already.
    /// Returns whether it was added. A shield or an act of the nodes always is, unless it is there already.
    pub(crate) fn add(&mut self, operation: Arc<Operation>, answer: Answer) -> bool {
        let reference = operation.reference;
        let early = self.early.remove(&reference);
        let refusal = if self.numbers.contains_key(&reference) {
            Some(Error::Replayed)
        } else if operation.is_lasting() {
            None
        } else if let Some(node) = early.as_ref().and_then(|early| early.dropped) {
            Some(Error::NotEverywhere { node })
        } else if self.order.len() >= limits::PENDING_OPERATIONS || self.bytes + operation.bytes() > limits::PENDING_BYTES {
            Some(Error::Busy { limit: limits::PENDING_OPERATIONS })
        } else {
            None
        };
        if let Some(error) = refusal {
            let _ = answer.send(Err(error));
            return false;
        }
        let mut held = early.map_or([false; 3], |early| early.held);
        mark(&mut held, self.own);
        let number = self.next;
        self.next += 1;
        self.insert(Waiting { operation, answer, since: Instant::now(), held, number });
        true
    }

    /// Takes an operation back in its old place.
    pub(crate) fn put_back(&mut self, waiting: Waiting) {
        self.insert(waiting);
    }

    fn insert(&mut self, waiting: Waiting) {
        self.bytes += waiting.operation.bytes();
        self.numbers.insert(waiting.operation.reference, waiting.number);
        self.order.insert(waiting.number, waiting);
    }

    /// Removes an operation.
    pub(crate) fn take(&mut self, reference: &OperationRef) -> Option<Waiting> {
        let waiting = self.order.remove(&self.numbers.remove(reference)?)?;
        self.bytes -= waiting.operation.bytes();
        Some(waiting)
    }

    /// Removes all but shields and the nodes' own acts, and what was said of operations that are not here yet.
    pub(crate) fn take_all(&mut self) -> Vec<Waiting> {
        self.early.clear();
        self.take_if(|waiting| !waiting.operation.is_lasting())
    }

    /// Removes those for which `gone` holds.
    pub(crate) fn take_if(&mut self, mut gone: impl FnMut(&Waiting) -> bool) -> Vec<Waiting> {
        let references: Vec<_> = self.iter().filter(|w| gone(w)).map(|w| w.operation.reference).collect();
        references.iter().filter_map(|reference| self.take(reference)).collect()
    }

    /// The operation, if it waits here.
    pub(crate) fn get(&self, reference: &OperationRef) -> Option<&Waiting> {
        self.order.get(self.numbers.get(reference)?)
    }

    /// In order of admission.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.order.values()
    }

    /// `node` has, or after all does not have, this operation.
    pub(crate) fn set_held(&mut self, reference: OperationRef, node: NodeId, holds: bool) {
        match self.numbers.get(&reference).and_then(|number| self.order.get_mut(number)) {
            Some(waiting) => set(&mut waiting.held, node, holds),
            None => {
                if let Some(early) = self.early(reference) {
                    set(&mut early.held, node, holds);
                }
            }
        }
    }

    /// An operation that is not here yet was dropped elsewhere because of `node`.
    pub(crate) fn set_dropped(&mut self, reference: OperationRef, node: NodeId) {
        if let Some(early) = self.early(reference) {
            early.dropped = Some(node);
        }
    }

    /// Forgets what was said of operations that have not come for `age`. Returns those that another node waits with.
    pub(crate) fn forget_early(&mut self, age: Duration) -> Vec<OperationRef> {
        let mut never_came = Vec::new();
        self.early.retain(|reference, early| {
            let keep = early.since.elapsed() < age;
            if !keep && early.dropped.is_none() {
                never_came.push(*reference);
            }
            keep
        });
        never_came
    }

    fn early(&mut self, reference: OperationRef) -> Option<&mut Early> {
        if self.early.len() >= 2 * limits::PENDING_OPERATIONS && !self.early.contains_key(&reference) {
            return None;
        }
        let new = || Early { held: [false; 3], dropped: None, since: Instant::now() };
        Some(self.early.entry(reference).or_insert_with(new))
    }
}

fn mark(held: &mut [bool; 3], node: NodeId) {
    set(held, node, true);
}

fn set(held: &mut [bool; 3], node: NodeId, holds: bool) {
    if let Some(held) = held.get_mut(node.index()) {
        *held = holds;
    }
}
