//! Bounds of a batch while it is put together.
//!
//! What one operation changes, no other of the same batch may depend on: so what is read at the head of the chain stays true
//! inside the batch, and a use cannot be counted twice against one count. A charter goes alone, and so do
//! a renewal, whose search leaves a slot out, a sample that is compared in two profiles, and the steps of a refresh.

use std::collections::BTreeSet;

use types::message::Action;
use types::roster::Roster;
use types::{AskId, DeviceKey, MemberId, ProfileId, limits};

use crate::app::matching::Planned;
use crate::app::pending::Operation;

/// Different devices, members and asks, one profile, limited rows.
#[derive(Default)]
pub(super) struct Bounds {
    touched: BTreeSet<Touched>,
    profile: Option<ProfileId>,
    rows: usize,
    operations: usize,
    closed: bool,
}

/// What at most one operation of a batch may concern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    Device(DeviceKey),
    Member(MemberId),
    Ask(AskId),
}

impl Bounds {
    /// Whether `operation` may fit beside those before it, as far as can be said without its plan.
    pub(super) fn may_admit(&self, operation: &Operation, roster: &Roster) -> bool {
        let alone = goes_alone(operation);
        let room = !self.closed && self.operations < limits::BATCH_OPERATIONS && (!alone || self.operations == 0);
        room && self.rows_with(operation, roster).is_some() && own(operation).all(|touched| !self.touched.contains(&touched))
    }

    /// Takes `planned` in, if it fits beside those before it.
    pub(super) fn admit(&mut self, planned: &Planned, roster: &Roster) -> bool {
        let operation = &planned.operation;
        let Some(rows) = self.rows_with(operation, roster) else { return false };
        let member = planned.judged.concerned.as_ref().map(|row| Touched::Member(row.member));
        if !self.may_admit(operation, roster) || member.as_ref().is_some_and(|member| self.touched.contains(member)) {
            return false;
        }
        self.rows = rows;
        self.profile = self.profile.take().or_else(|| operation.profile().cloned());
        self.touched.extend(own(operation).chain(member));
        self.operations += 1;
        self.closed = goes_alone(operation);
        true
    }

    /// Probe rows with this operation, unless they are too many or of another profile.
    fn rows_with(&self, operation: &Operation, roster: &Roster) -> Option<usize> {
        let Some(profile) = operation.profile() else { return Some(self.rows) };
        let rows = self.rows.saturating_add(roster.profile(profile)?.matching.probe_rows());
        let same = self.profile.as_ref().is_none_or(|chosen| chosen == profile);
        (same && rows <= limits::BATCH_PROBE_ROWS).then_some(rows)
    }
}

fn goes_alone(operation: &Operation) -> bool {
    operation.former().is_some()
        || matches!(
            operation.action(),
            Action::Charter(_) | Action::Renew(_) | Action::Refresh { .. } | Action::Switch { .. }
        )
}

/// What an operation touches by itself. A use of a grant touches the member who gave it and no count of the party's, so one
/// party may use several grants in one batch.
fn own(operation: &Operation) -> impl Iterator<Item = Touched> {
    let device = (!matches!(operation.action(), Action::Use(_))).then_some(Touched::Device(operation.device));
    let ask = match operation.action() {
        Action::Answer(answer) => Some(Touched::Ask(answer.ask)),
        _ => None,
    };
    device.into_iter().chain(ask).chain(operation.concerned.map(Touched::Member))
}
