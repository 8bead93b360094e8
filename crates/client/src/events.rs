//! Everything that was decided about a member, as the three nodes tell it: what one of them hides, another shows.

use ed25519_dalek::SigningKey;
use types::consent::Reply;
use types::message::{Action, Event, Outcome};
use types::roster::Roster;
use types::sign::{Message as _, public_key};
use types::{DeviceKey, NodeId, PartyId, TraceKey};

use crate::answer::{fault, fits};
use crate::error::{Complaint, Error, Fault};
use crate::platform::Platform;
use crate::request::Question;
use crate::session::{Client, Statements};
use crate::transport::Transport;

/// Decisions about a member, oldest first, each verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// The decisions.
    pub events: Vec<Event>,
    /// Nodes that did not tell theirs: another may have shown everything, or not.
    pub silent: Vec<NodeId>,
    /// What was wrong with the nodes' lists; what the others told stands.
    pub complaints: Vec<Error>,
}

impl<T: Transport, P: Platform> Client<T, P> {
    /// What was decided about the member of `device` in batches after `after_batch`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no node answers, and as [`Client::status`]. A node that hides or makes up a decision is in
    /// [`Events::complaints`].
    pub async fn events(&self, device: &SigningKey, after_batch: u64) -> Result<Events, Error> {
        let mut all = Events { events: Vec::new(), silent: Vec::new(), complaints: Vec::new() };
        let own = self.devices(device).await?;
        let mut after = after_batch;
        loop {
            let statements = self.tell(device, Question::Events(after)).await?;
            let page = self.page((&own, device), after, &statements, &mut all)?;
            let Some(last) = page.last().map(|event| event.certificate.decision.batch) else { return Ok(all) };
            let known = all.events.len();
            for event in page {
                if !all.events.contains(&event) {
                    all.events.push(event);
                }
            }
            // A page may end in the midst of a batch: the last one is asked for again, until it brings nothing new.
            let found = all.events.len() > known;
            after = if found && last - 1 > after { last - 1 } else { last };
        }
    }

    /// The member's devices: this one, and those before it of which all nodes that answer say so.
    async fn devices(&self, device: &SigningKey) -> Result<Vec<DeviceKey>, Error> {
        let mut own = vec![public_key(device)];
        if self.inherited_by(device).is_some() {
            let statements = self.status(device).await?;
            let told: Vec<_> = statements.valid().filter_map(|statement| statement.member.as_ref()).collect();
            let former = told.first().map(|member| member.former.clone()).unwrap_or_default();
            own.extend(former.into_iter().filter(|key| told.iter().all(|member| member.former.contains(key))));
        }
        Ok(own)
    }

    /// One page: the union of what valid statements tell, up to the batch that all of them reach.
    fn page(
        &self,
        (own, device): (&[DeviceKey], &SigningKey),
        after: u64,
        statements: &Statements,
        all: &mut Events,
    ) -> Result<Vec<Event>, Error> {
        let trace = self.trace(device);
        let mut told: Vec<(NodeId, u64, Vec<Event>)> = Vec::new();
        let mut silent = Vec::new();
        for (node, statement) in NodeId::ALL.into_iter().zip(&statements.nodes) {
            match statement {
                Err(Error::Misbehaved { complaint }) => complain(all, Error::Misbehaved { complaint: *complaint }),
                Err(_) => silent.push(node),
                Ok(statement) => {
                    let check = |event: &Event| check_event(self.commons().roster(), own, &trace, event);
                    let later = statement.events.iter().all(|event| event.certificate.decision.batch > after);
                    match statement.events.iter().find_map(|event| check(event).err()) {
                        None if later => told.push((node, statement.batch, statement.events.clone())),
                        found => {
                            let fault = found.unwrap_or(Fault::WrongEvent);
                            complain(all, Error::Misbehaved { complaint: Complaint { node, fault } });
                        }
                    }
                }
            }
        }
        if told.is_empty() {
            return Err(match all.complaints.first() {
                Some(error) => error.clone(),
                None => Error::Unavailable { nodes: silent },
            });
        }
        for node in silent {
            if !all.silent.contains(&node) {
                all.silent.push(node);
            }
        }
        Ok(union(&told, all))
    }
}

/// The union of pages, in order; complains about a node that leaves out what another shows although it has come that far.
fn union(told: &[(NodeId, u64, Vec<Event>)], all: &mut Events) -> Vec<Event> {
    let mut page: Vec<Event> = Vec::new();
    for event in told.iter().flat_map(|(_, _, events)| events) {
        if !page.contains(event) {
            page.push(event.clone());
        }
    }
    page.sort_by_key(|event| event.certificate.decision.log_index);
    for event in &page {
        let decision = &event.certificate.decision;
        for (node, batch, events) in told {
            if *batch >= decision.batch && !events.contains(event) {
                complain(all, Error::Hidden { node: *node, operation: decision.operation });
            }
        }
    }
    page
}

fn complain(all: &mut Events, error: Error) {
    if !all.complaints.contains(&error) {
        all.complaints.push(error);
    }
}

/// Is this a decision of this commons on this request, and about the member?
fn check_event(roster: &Roster, own: &[DeviceKey], trace: &TraceKey, event: &Event) -> Result<(), Fault> {
    let (request, decision) = (&event.request.message, &event.certificate.decision);
    if request.commons != roster.digest() {
        return Err(Fault::OtherCommons);
    }
    if decision.request != request.digest() || decision.operation != request.operation {
        return Err(Fault::OtherRequest);
    }
    event.request.verify(&request.device).map_err(fault)?;
    event.certificate.verify(roster).map_err(fault)?;
    let subject = party_of(&request.action).map(|party| trace.subject(party));
    if !fits(request, &decision.outcome, subject) {
        return Err(Fault::WrongOutcome);
    }
    let concerns = own.contains(&request.device)
        || match (&request.action, &decision.outcome) {
            (Action::Use(_), Outcome::Answered { subject: told, .. }) => subject == Some(*told),
            (Action::StartRecovery(start), _) => start.name == trace.recovery(),
            (Action::Ask(ask), _) => ask.subject.is_some() && ask.subject == subject,
            _ => false,
        };
    if concerns { Ok(()) } else { Err(Fault::WrongEvent) }
}

/// The relying party that a request is about.
pub(crate) fn party_of(action: &Action) -> Option<&PartyId> {
    match action {
        Action::Grant(grant) => Some(&grant.terms.party),
        Action::Ask(ask) => Some(&ask.terms.party),
        Action::Use(used) => Some(&used.party),
        Action::Answer(answer) => match &answer.reply {
            Reply::Approve { terms, .. } => Some(&terms.party),
            Reply::Refuse => None,
        },
        _ => None,
    }
}
