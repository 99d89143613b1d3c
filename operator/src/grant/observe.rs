//! Reads everything about one grant: from the API server, not from the cache, and from its proxy.

use std::net::IpAddr;

use access::ChildName;
use access::report::{Phase, Report};
use crds::{AccessGrant, AccessPolicy, AccessRequest, Because, Database, Reason, RequestPhase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{Api, Resource, ResourceExt};

use super::observed::{Child, Known, Link, Observed, Place, PodSeen, PodState, RequestLink, Rules, UsageDue};
use super::plan;
use super::proxy::{Proxy, read_report};
use crate::admission;
use crate::api::{Metadata, Namespaced};
use crate::context::Context;

/// Observes the grant. Never fails: a grant that ends must not wait for what its end does not need.
pub async fn observe(context: &Context, grant: AccessGrant, now: Timestamp) -> Observed {
    let leases = grant.status.as_ref().map(|status| status.leases.as_slice()).unwrap_or_default();
    let findings = context.leases.findings(leases);
    let namespace = grant.namespace().unwrap_or_default();
    let terms = &grant.spec.terms;
    let name = ChildName::of(&grant.uid().unwrap_or_default());
    let mut unread = Unread::default();
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &context.config.proxies_namespace);
    let requests: Api<AccessRequest> = Api::namespaced(context.client.clone(), &namespace);
    let (request, database, policy, rules, pod) = tokio::join!(
        requests.get_opt(&grant.spec.request.name),
        metadata::<Database>(context, &namespace, &terms.database),
        metadata::<AccessPolicy>(context, &namespace, &terms.policy),
        rules(context, &grant, &name),
        pods.get_opt(name.as_str()),
    );
    let request = unread.read("the AccessRequest", request);
    let database = unread.read("the Database", database);
    let policy = unread.read("the AccessPolicy", policy);
    let rules = rules.into_seen(&mut unread);
    let pod = match unread.read("the proxy pod", pod) {
        Known::Seen(pod) => Known::Seen(pod.filter(|pod| owner(pod) == grant.uid())),
        Known::Unknown => Known::Unknown,
    };
    let report = match &pod {
        Known::Seen(Some(pod)) => report(context, &grant, pod, now).await,
        Known::Seen(None) => last_words(context, &grant),
        Known::Unknown => None,
    };
    let admission = match plan::own_end(&grant, now).is_none() && is_opening(&pod, report.as_ref()) {
        true => match unread.read("the admission policies", admission::look(context).await) {
            Known::Seen(found) => Some(found),
            Known::Unknown => None,
        },
        false => None,
    };
    let due = context.usage_is_due(&grant.uid().unwrap_or_default(), now);
    Observed {
        request: request_link(&request, &grant.spec.request.uid),
        database: link(&database, &terms.database_uid),
        policy: link(&policy, &terms.policy_uid),
        rules,
        pod: match &pod {
            Known::Seen(pod) => Known::Seen(pod.as_ref().map(|pod| seen(pod, now))),
            Known::Unknown => Known::Unknown,
        },
        report,
        stopped: context.stopped(&grant.uid().unwrap_or_default()),
        ending: context.ending(&grant.uid().unwrap_or_default()),
        setback: context.setback(&grant.uid().unwrap_or_default()),
        findings,
        usage: if due { UsageDue::Now } else { UsageDue::Later },
        admission,
        unread: unread.0,
        place: place(context),
        grant,
    }
}

/// Observes a grant that is shut: all that is left is to say so to its request.
pub async fn observe_shut(context: &Context, grant: AccessGrant) -> Observed {
    let namespace = grant.namespace().unwrap_or_default();
    let requests: Api<AccessRequest> = Api::namespaced(context.client.clone(), &namespace);
    let mut unread = Unread::default();
    let request = unread.read("the AccessRequest", requests.get_opt(&grant.spec.request.name).await);
    Observed {
        request: request_link(&request, &grant.spec.request.uid),
        database: Link::Unknown,
        policy: Link::Unknown,
        rules: Rules::default(),
        pod: Known::Unknown,
        report: None,
        stopped: None,
        ending: None,
        setback: None,
        findings: Vec::new(),
        usage: UsageDue::Later,
        admission: None,
        unread: unread.0,
        place: place(context),
        grant,
    }
}

fn place(context: &Context) -> Place {
    Place {
        proxies_namespace: context.config.proxies_namespace.clone(),
        internal_ca_pem: context.authorities.internal.certificate_pem().to_owned(),
    }
}

/// What could not be read, and why.
#[derive(Default)]
struct Unread(Vec<String>);

impl Unread {
    fn read<T>(&mut self, what: &str, read: Result<T, kube::Error>) -> Known<T> {
        match read {
            Ok(found) => Known::Seen(found),
            Err(error) => {
                self.0.push(format!("{what}: {}", access::chain(&error)));
                Known::Unknown
            }
        }
    }
}

/// Whether a pod is to be made, or waits to be let on to its credential.
fn is_opening(pod: &Known<Option<Pod>>, report: Option<&Report>) -> bool {
    pod.is_absent() || report.is_some_and(|report| report.phase == Phase::Custody)
}

/// The address of the pod, once it has one.
fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

async fn metadata<K: Namespaced>(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<Metadata<K>>, kube::Error> {
    Api::<K>::namespaced(context.client.clone(), namespace).get_metadata_opt(name).await
}

/// The grant's children other than its pod, as they were read.
struct ReadRules {
    network_policy: Read<NetworkPolicy>,
    secret: Read<Secret>,
    role: Read<Role>,
    role_binding: Read<RoleBinding>,
    service_account: Read<ServiceAccount>,
}

type Read<K> = Result<Option<Metadata<K>>, kube::Error>;

impl ReadRules {
    fn into_seen(self, unread: &mut Unread) -> Rules {
        let Self { network_policy, secret, role, role_binding, service_account } = self;
        Rules {
            network_policy: child(unread.read("the NetworkPolicy", network_policy)),
            secret: child(unread.read("the Secret", secret)),
            role: child(unread.read("the Role", role)),
            role_binding: child(unread.read("the RoleBinding", role_binding)),
            service_account: child(unread.read("the ServiceAccount", service_account)),
        }
    }
}

async fn rules(context: &Context, grant: &AccessGrant, name: &ChildName) -> ReadRules {
    let place = context.config.proxies_namespace.as_str();
    let account = format!("{}.{}", grant.namespace().unwrap_or_default(), grant.spec.terms.database);
    let name = name.as_str();
    let (network_policy, secret, role, role_binding, service_account) = tokio::join!(
        metadata::<NetworkPolicy>(context, place, name),
        metadata::<Secret>(context, place, name),
        metadata::<Role>(context, place, name),
        metadata::<RoleBinding>(context, place, name),
        metadata::<ServiceAccount>(context, place, &account),
    );
    ReadRules { network_policy, secret, role, role_binding, service_account }
}

fn child<K>(found: Known<Option<K>>) -> Child {
    match found {
        Known::Seen(Some(_)) => Child::Present,
        Known::Seen(None) => Child::Missing,
        Known::Unknown => Child::Unknown,
    }
}

fn owner(pod: &Pod) -> Option<String> {
    pod.labels().get(access::GRANT_UID_LABEL).cloned()
}

fn is_same<K: Resource>(object: &K, uid: &str) -> bool {
    object.meta().uid.as_deref() == Some(uid) && object.meta().deletion_timestamp.is_none()
}

fn link<K: Resource>(object: &Known<Option<K>>, uid: &str) -> Link {
    match object {
        Known::Seen(Some(object)) if is_same(object, uid) => Link::Same,
        Known::Seen(_) => Link::Gone,
        Known::Unknown => Link::Unknown,
    }
}

fn request_link(request: &Known<Option<AccessRequest>>, uid: &str) -> RequestLink {
    let request = match request {
        Known::Seen(Some(request)) if is_same(request, uid) => request,
        Known::Seen(_) => return RequestLink::Gone,
        Known::Unknown => return RequestLink::Unknown,
    };
    match request.status.as_ref().map(|status| status.phase).unwrap_or_default() {
        RequestPhase::Ended => RequestLink::Closed,
        RequestPhase::Pending
        | RequestPhase::Approved
        | RequestPhase::Ready
        | RequestPhase::Ending
        | RequestPhase::Denied
        | RequestPhase::Lapsed => RequestLink::Open,
    }
}

/// What the last pod that had a token left. What an earlier pod reported says nothing about a later one.
fn last_words(context: &Context, grant: &AccessGrant) -> Option<Report> {
    let last = grant.status.as_ref()?.leases.last()?;
    context.last_words(&grant.uid()?, &last.pod_uid)
}

/// Keeps where a proxy is and what its pod leaves: called for every state of every pod, the last one included.
pub fn listen(context: &Context, pod: &Pod) {
    let (Some(grant_uid), Some(pod_uid)) = (owner(pod), pod.uid()) else { return };
    if let Some(address) = address(pod) {
        context.keep_address(&grant_uid, address);
    }
    if container(pod).and_then(terminated).is_some() {
        context.keep_stopped(&grant_uid, &pod_uid);
    }
    let message = container(pod).and_then(terminated).and_then(|ended| ended.message.as_ref());
    if let Some(report) = message.and_then(|message| read_report(message.as_bytes(), &grant_uid)) {
        context.keep_last_words(&grant_uid, &pod_uid, report);
    }
}

/// What the proxy says now, or said last.
async fn report(context: &Context, grant: &AccessGrant, pod: &Pod, now: Timestamp) -> Option<Report> {
    let uid = grant.uid().unwrap_or_default();
    let container = container(pod);
    if let Some(ended) = container.and_then(terminated) {
        return ended.message.as_ref().and_then(|message| read_report(message.as_bytes(), &uid));
    }
    container.filter(|container| runs(container))?;
    match proxy(context, &uid, address(pod)?, now)?.report().await {
        Ok(report) => Some(report),
        Err(error) => {
            tracing::debug!(grant = %uid, error = %access::chain(&error), "no report");
            None
        }
    }
}

/// The grant's proxy, at this address.
pub fn proxy(context: &Context, uid: &str, address: IpAddr, now: Timestamp) -> Option<Proxy> {
    let tls = context.identity.client(&context.authorities.internal, now);
    let tls =
        tls.inspect_err(|error| tracing::error!(error = %access::chain(error), "no client certificate"));
    Proxy::new(uid, address, &tls.ok()?).ok()
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

fn started(container: &ContainerStatus) -> Option<Timestamp> {
    Some(container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
}

fn runs(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// How the pod goes.
fn seen(pod: &Pod, now: Timestamp) -> PodSeen {
    PodSeen {
        uid: pod.uid().unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        started_at: container(pod).and_then(started),
        deleting_since: deleting_since(pod),
        address: address(pod),
        over_at: over_at(pod),
        state: state(pod, now),
    }
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
