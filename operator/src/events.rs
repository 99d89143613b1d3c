//! Events: each condition that changed its mind, told once, where `kubectl describe` shows it.

use crds::{GROUP, Reason, Weight};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};

use crate::context::Context;

/// The API server takes at most 1 kB.
const LONGEST_NOTE: usize = 900;

/// Conditions of `after` whose status or reason is not that of `before`.
pub fn changed<'a>(before: &[Condition], after: &'a [Condition]) -> Vec<&'a Condition> {
    after
        .iter()
        .filter(|new| {
            !before
                .iter()
                .any(|old| old.type_ == new.type_ && old.status == new.status && old.reason == new.reason)
        })
        .collect()
}

/// Publishes them about `object`, aside: an event that gets lost delays nothing.
pub fn publish<K>(context: &Context, object: &K, conditions: Vec<Condition>)
where
    K: Resource<DynamicType = ()>,
{
    let reference = ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: Some(object.name_any()),
        namespace: object.namespace(),
        uid: object.uid(),
        resource_version: object.resource_version(),
        field_path: None,
    };
    for event in conditions.iter().filter_map(event) {
        let (recorder, reference) = (context.recorder.clone(), reference.clone());
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &reference).await {
                tracing::debug!(%error, group = GROUP, "an event was not published");
            }
        });
    }
}

fn event(condition: &Condition) -> Option<Event> {
    let Condition { type_, reason, message, .. } = condition;
    let type_of = match Reason::from_word(reason).map(Reason::weight) {
        Some(Weight::Silent) => return None,
        Some(Weight::Normal) => EventType::Normal,
        Some(Weight::Warning) | None => EventType::Warning,
    };
    Some(Event {
        type_: type_of,
        reason: reason.clone(),
        note: Some(message.chars().take(LONGEST_NOTE).collect()),
        action: type_.clone(),
        secondary: None,
    })
}

#[cfg(test)]
mod tests {
    use crds::{Because, ConditionType, condition};

    use super::*;

    fn is(kind: ConditionType, holds: bool, reason: Reason, sentence: &str) -> Condition {
        condition(kind, holds, &Because::new(reason, sentence))
    }

    #[test]
    fn only_a_changed_status_or_reason_is_told() {
        let before = [
            is(ConditionType::Ready, false, Reason::PodStarting, "a"),
            is(ConditionType::Ended, false, Reason::Closing, ""),
        ];
        let same = [is(ConditionType::Ready, false, Reason::PodStarting, "another sentence")];
        assert!(changed(&before, &same).is_empty());
        let other = [
            is(ConditionType::Ready, true, Reason::Ready, "a"),
            is(ConditionType::Approved, true, Reason::Approved, ""),
        ];
        assert_eq!(changed(&before, &other).len(), 2);
    }

    #[test]
    fn the_steps_of_a_start_that_goes_well_are_no_events() {
        let told = |reason| event(&is(ConditionType::Ready, false, reason, "why")).map(|event| event.type_);
        assert_eq!(told(Reason::PodStarting), None);
        assert_eq!(told(Reason::Revoked), Some(EventType::Normal));
        assert_eq!(told(Reason::VaultSealed), Some(EventType::Warning));
    }
}
