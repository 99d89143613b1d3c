//! Events: each condition that changed its mind, told once, where `kubectl describe` shows it.

use crds::GROUP;
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
    for condition in conditions {
        let (recorder, reference) = (context.recorder.clone(), reference.clone());
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event(&condition), &reference).await {
                tracing::debug!(%error, group = GROUP, "an event was not published");
            }
        });
    }
}

fn event(condition: &Condition) -> Event {
    let Condition { type_, status, reason, message, .. } = condition;
    let ordinary =
        ["WaitingForApproval", "Closing", "Expired", "Revoked", "Deleted"].contains(&reason.as_str());
    Event {
        type_: if status == "True" || ordinary { EventType::Normal } else { EventType::Warning },
        reason: reason.clone(),
        note: Some(message.chars().take(LONGEST_NOTE).collect()),
        action: type_.clone(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use crds::condition;

    use super::*;

    #[test]
    fn only_a_changed_status_or_reason_is_told() {
        let before = [condition("Ready", Some(false), "PodStarting", "a"), condition("Ended", None, "x", "")];
        let same = [condition("Ready", Some(false), "PodStarting", "another sentence")];
        assert!(changed(&before, &same).is_empty());
        let other =
            [condition("Ready", Some(true), "Ready", "a"), condition("Approved", Some(true), "Approved", "")];
        assert_eq!(changed(&before, &other).len(), 2);
    }
}
