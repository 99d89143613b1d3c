//! How a proxy pod goes, as Kubernetes tells it. Reads nothing.

use std::net::IpAddr;

use crds::{Because, Reason};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;

use super::observed::{PodSeen, PodState};

/// The address of the pod, once it has one.
pub fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// Its one container's status, once it has one.
pub fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

/// How it ended, if it did.
pub fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

fn started(container: &ContainerStatus) -> Option<Timestamp> {
    Some(container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
}

/// Whether it runs.
pub fn runs(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// How the pod goes.
pub fn seen(pod: &Pod, now: Timestamp) -> PodSeen {
    PodSeen {
        uid: pod.uid().unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        started_at: container(pod).and_then(started),
        deleting_since: deleting_since(pod),
        address: address(pod),
        is_ready: is_ready(pod),
        over_at: over_at(pod),
        state: state(pod, now),
    }
}

/// What its node finds at the proxy's own `/readyz`.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn over_at(pod: &Pod) -> Option<Timestamp> {
    let started = pod.status.as_ref()?.start_time.as_ref()?.0;
    let lasts = SignedDuration::from_secs(pod.spec.as_ref()?.active_deadline_seconds?);
    started.checked_add(lasts).ok()
}

/// The API server adds the grace period to the time of the deletion.
fn deleting_since(pod: &Pod) -> Option<Timestamp> {
    let until = pod.metadata.deletion_timestamp.as_ref()?.0;
    let grace = SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or(0));
    Some(until.checked_sub(grace).unwrap_or(until))
}

/// Whether it waits for its node, without a problem.
pub fn is_being_made(pod: &Pod) -> bool {
    // The time matters to pods that have ended alone.
    pod.metadata.deletion_timestamp.is_none() && state(pod, Timestamp::UNIX_EPOCH) == PodState::Pending(None)
}

fn state(pod: &Pod, now: Timestamp) -> PodState {
    let status = pod.status.clone().unwrap_or_default();
    let container = container(pod);
    if let Some(ended) = container.and_then(terminated) {
        let at = ended.finished_at.as_ref().map_or(now, |time| time.0);
        return PodState::Finished { at, problem: why_ended(pod, ended) };
    }
    if container.is_some_and(runs) {
        return PodState::Running;
    }
    match status.phase.as_deref() {
        Some("Failed" | "Succeeded") => {
            let at = status.start_time.as_ref().map_or(now, |time| time.0);
            PodState::Finished {
                at,
                problem: told(Reason::PodFailed, status.reason.as_deref(), status.message.as_deref()),
            }
        }
        _ => PodState::Pending(why_pending(pod)),
    }
}

/// Without a report, Kubernetes' words are all there is.
fn why_ended(pod: &Pod, ended: &ContainerStateTerminated) -> Option<Because> {
    let status = pod.status.as_ref()?;
    if let Some(problem) = told(Reason::PodFailed, status.reason.as_deref(), status.message.as_deref()) {
        return Some(problem);
    }
    (ended.exit_code != 0).then(|| {
        let code = ended.exit_code;
        let sentence =
            format!("the proxy stopped with exit code {code}; a new one follows while time is left.");
        Because::new(Reason::ProxyFailed, sentence)
    })
}

/// Kubernetes alternates between these; to people they are one.
const NO_IMAGE: [&str; 5] =
    ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"];

/// What keeps a container from running: an image that can't be had, a node that isn't there.
fn why_pending(pod: &Pod) -> Option<Because> {
    let waiting = container(pod).and_then(|container| container.state.as_ref()?.waiting.as_ref());
    let ordinary = ["ContainerCreating", "PodInitializing"];
    if let Some(waiting) = waiting
        && let Some(reason) = waiting.reason.as_deref().filter(|reason| !ordinary.contains(reason))
    {
        let kind = if NO_IMAGE.contains(&reason) { Reason::ImageMissing } else { Reason::PodWaiting };
        return told(kind, Some(reason), waiting.message.as_deref());
    }
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let unscheduled = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    told(Reason::PodWaiting, unscheduled.reason.as_deref(), unscheduled.message.as_deref())
}

/// Kubernetes' own word and sentence. Of an image that can't be had only the sentence: its words alternate.
fn told(kind: Reason, word: Option<&str>, message: Option<&str>) -> Option<Because> {
    let word = word.filter(|word| !word.is_empty())?;
    let message: String = message.unwrap_or("Kubernetes says no more").chars().take(300).collect();
    Some(Because::new(
        kind,
        if kind == Reason::ImageMissing { message } else { format!("{word}: {message}") },
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state_of(status: Value) -> PodState {
        let pod = json!({"metadata": {"name": "grant-1", "uid": "u"}, "status": status});
        state(&serde_json::from_value(pod).unwrap(), "2026-01-01T12:00:00Z".parse().unwrap())
    }

    fn container_of(state: Value) -> Value {
        json!({"name": "proxy", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
    }

    fn problem(reason: Reason, sentence: &str) -> Option<Because> {
        Some(Because::new(reason, sentence))
    }

    #[test]
    fn a_missing_image_and_a_missing_node_are_told() {
        let waiting =
            container_of(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}));
        assert_eq!(
            state_of(json!({"phase": "Pending", "containerStatuses": [waiting]})),
            PodState::Pending(problem(Reason::ImageMissing, "no such image"))
        );
        let unscheduled = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]);
        assert_eq!(
            state_of(json!({"phase": "Pending", "conditions": unscheduled})),
            PodState::Pending(problem(Reason::PodWaiting, "Unschedulable: 0/1 nodes"))
        );
    }

    #[test]
    fn a_container_that_still_runs_in_a_failed_pod_runs() {
        let running = container_of(json!({"running": {}}));
        let failed = json!({"phase": "Failed", "reason": "DeadlineExceeded", "containerStatuses": [running]});
        assert_eq!(state_of(failed), PodState::Running);
    }

    #[test]
    fn a_pod_that_is_being_made_has_no_problem() {
        let creating = container_of(json!({"waiting": {"reason": "ContainerCreating"}}));
        assert_eq!(
            state_of(json!({"phase": "Pending", "containerStatuses": [creating]})),
            PodState::Pending(None)
        );
        assert_eq!(state_of(json!({})), PodState::Pending(None));
    }

    #[test]
    fn only_a_pod_that_waits_for_its_node_and_goes_well_is_being_made() {
        let creating = container_of(json!({"waiting": {"reason": "ContainerCreating"}}));
        let no_image = container_of(json!({"waiting": {"reason": "ErrImagePull"}}));
        let running = container_of(json!({"running": {}}));
        let of = |container: Value, deleted: Option<&str>| -> Pod {
            let status = json!({"phase": "Pending", "containerStatuses": [container]});
            serde_json::from_value(json!({"metadata": {"deletionTimestamp": deleted}, "status": status}))
                .unwrap()
        };
        assert!(is_being_made(&of(creating.clone(), None)) && is_being_made(&Pod::default()));
        assert!(!is_being_made(&of(creating, Some("2026-01-01T12:00:20Z"))));
        assert!(!is_being_made(&of(no_image, None)) && !is_being_made(&of(running, None)));
    }

    #[test]
    fn a_finished_container_tells_when_and_why() {
        let at = "2026-01-01T11:59:00Z";
        let ended = container_of(json!({"terminated": {"exitCode": 1, "finishedAt": at}}));
        let PodState::Finished { at: told, problem } =
            state_of(json!({"phase": "Failed", "containerStatuses": [ended]}))
        else {
            panic!("not finished")
        };
        assert_eq!((told.to_string().as_str(), problem.unwrap().reason), (at, Reason::ProxyFailed));
    }

    #[test]
    fn the_time_of_a_deletion_is_without_the_grace_period() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {
            "deletionTimestamp": "2026-01-01T12:00:20Z", "deletionGracePeriodSeconds": 20
        }}))
        .unwrap();
        assert_eq!(deleting_since(&pod).unwrap().to_string(), "2026-01-01T12:00:00Z");
    }
}
