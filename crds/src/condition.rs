//! Conditions as the Kubernetes API conventions have them: few, positive, each with a reason and a sentence.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A condition. `kind` is its type (`Approved`, `Ready`, `Ended`), `reason` one CamelCase word, `message` a sentence
/// that says what to do next.
pub fn condition(kind: &str, is_true: Option<bool>, reason: &str, message: &str) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: match is_true {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
        .to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
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

/// Whether the condition of this type is there and `True`.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}
