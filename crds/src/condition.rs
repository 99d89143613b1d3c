//! Conditions as the Kubernetes API conventions have them: few, positive, each with a reason and a sentence.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::Reason;

/// What a condition is about: its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// Enough people approved exactly these terms. False: not yet, denied or lapsed. Never changes back.
    Approved,
    /// Of an approval or denial: it counts for its request.
    Counted,
    /// Of a request: people can connect. Not `Ready`, by which GitOps tools would wait for what only approvers can bring about, and
    /// for ever once it is over.
    Open,
    /// Of a grant: people can connect. Of a policy: everything in it can be read.
    Ready,
    /// Every item of the receipt is proved or can't be proved any more.
    Ended,
}

impl ConditionType {
    /// CamelCase, as it stands in `type`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Counted => "Counted",
            Self::Open => "Open",
            Self::Ready => "Ready",
            Self::Ended => "Ended",
        }
    }
}

/// Why something is as it is: one word for programs, one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// The word.
    pub reason: Reason,
    /// The sentence, which says what to do next.
    pub sentence: String,
}

impl Because {
    /// Both.
    pub fn new(reason: Reason, sentence: impl Into<String>) -> Self {
        Self { reason, sentence: sentence.into() }
    }
}

/// A condition of this type.
pub fn condition(kind: ConditionType, holds: bool, because: &Because) -> Condition {
    Condition {
        type_: kind.word().to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: because.reason.word().to_owned(),
        message: because.sentence.clone(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// Puts `new` in place of the condition of its type. The transition time moves only when the status does.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    mut new: Condition,
    generation: Option<i64>,
    now: Timestamp,
) {
    new.observed_generation = generation;
    new.last_transition_time = Time(now);
    match conditions.iter_mut().find(|old| old.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// The condition of this type.
pub fn find_condition(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.word())
}

/// Whether it is there and `True`.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find_condition(conditions, kind).is_some_and(|condition| condition.status == "True")
}
