//! A plan being made: the status as it will be, and the steps after it.

use crds::{AccessGrantStatus, Because, ConditionType, condition, set_condition};
use jiff::{SignedDuration, Timestamp};

use super::super::observed::Observed;
use super::{Action, Order, Plan};

/// How soon it is tried again to read what could not be read: nothing else may tell that it changed.
const UNREAD: SignedDuration = SignedDuration::from_secs(2);

/// What is planned so far.
pub struct Draft<'a> {
    /// What it is made from.
    pub observed: &'a Observed,
    /// The status as it will be.
    pub status: AccessGrantStatus,
    /// The time.
    pub now: Timestamp,
    before: Vec<Action>,
    actions: Vec<Action>,
    order: Order,
    look_again: Option<Timestamp>,
    listen: bool,
}

impl<'a> Draft<'a> {
    /// Nothing yet: the status as it is, no step, and no look before something changes.
    pub fn of(observed: &'a Observed, now: Timestamp) -> Self {
        let status = observed.grant.status.clone().unwrap_or_default();
        let (before, actions, order) = (Vec::new(), Vec::new(), Order::Strict);
        Self { observed, status, now, before, actions, order, look_again: None, listen: false }
    }

    /// Its steps go together so.
    pub fn order(&mut self, order: Order) {
        self.order = order;
    }

    /// The condition holds.
    pub fn is(&mut self, kind: ConditionType, because: &Because) {
        self.says(kind, true, because);
    }

    /// It does not.
    pub fn is_not(&mut self, kind: ConditionType, because: &Because) {
        self.says(kind, false, because);
    }

    fn says(&mut self, kind: ConditionType, holds: bool, because: &Because) {
        let new = condition(kind, holds, because);
        set_condition(&mut self.status.conditions, new, self.observed.grant.metadata.generation, self.now);
    }

    /// This step, before the status is written.
    pub fn first(&mut self, action: Action) {
        self.before.push(action);
    }

    /// These steps, after those that are planned already.
    pub fn then(&mut self, actions: impl IntoIterator<Item = Action>) {
        self.actions.extend(actions);
    }

    /// The next look, even if nothing changes.
    pub fn again_in(&mut self, wait: SignedDuration) {
        self.look_again = self.now.checked_add(wait).ok();
    }

    /// The same at this time, or before, if it is planned before.
    pub fn again_by(&mut self, time: Timestamp) {
        self.look_again = Some(self.look_again.map_or(time, |again| again.min(time)));
    }

    /// A look, too, when the proxy says something new.
    pub fn listen(&mut self) {
        self.listen = true;
    }

    /// The plan. The status goes first, but for what must stand before it, and only when it differs.
    pub fn finish(mut self) -> Plan {
        if !self.observed.unread.is_empty() {
            self.again_by(self.now.checked_add(UNREAD).unwrap_or(self.now));
        }
        let Self { observed, status, now: _, before: mut actions, actions: rest, order, look_again, listen } =
            self;
        if observed.grant.status.as_ref() != Some(&status) {
            actions.push(Action::Record(Box::new(status)));
        }
        actions.extend(rest);
        Plan { actions, order, look_again, listen }
    }
}
