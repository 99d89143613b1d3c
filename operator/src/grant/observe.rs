//! Reads what one grant needs now: from the API server, not from the cache, and from its proxy.

use std::net::IpAddr;

use access::ChildName;
use access::report::{Phase, Report, Usage};
use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database, RequestPhase};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Resource, ResourceExt};
use tokio::sync::SemaphorePermit;

use super::in_log::{InLogSeen, in_log};
use super::observed::{Known, Link, Observed, Place, PodSeen, RequestLink, Rules, Seal, UsageDue};
use super::plan::changed::database_changed;
use super::pods::{address, container, runs, seen, terminated};
use super::proxy::{Proxy, read_report};
use super::{plan, rules};
use crate::admission::{self, Admission};
use crate::api::{Metadata, Namespaced};
use crate::audit::streams::InLog;
use crate::context::Context;
use crate::pki;

/// Observes the grant; gives `turn` back when the API server has answered. Never fails: a grant that ends must not wait for what its end does not need.
pub async fn observe(
    context: &Context,
    grant: AccessGrant,
    (now, turn): (Timestamp, Option<SemaphorePermit<'_>>),
) -> Observed {
    let leases = grant.status.as_ref().map(|status| status.leases.as_slice()).unwrap_or_default();
    let findings = context.leases.findings(leases);
    let uid = grant.uid().unwrap_or_default();
    let name = ChildName::of(&uid);
    let mut unread = Unread::default();
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &context.config.proxies_namespace);
    let ends = plan::own_end(&grant, now).is_some();
    let (request, sources, pod) =
        tokio::join!(request(context, &grant), sources(context, &grant, ends), pods.get_opt(name.as_str()),);
    let request = request_link(&grant, &unread.read("the AccessRequest", request));
    let Sources { database, policy, approvals } =
        sources.map_or(Sources::UNKNOWN, |sources| sources.into_seen(&grant, &mut unread));
    let pod = own(&grant, unread.read("the proxy pod", pod));
    // Without a pod, what ends takes them away and what opens makes them; with one, what ends leaves them as they are.
    let must_know = match &pod {
        Known::Seen(None) => ends,
        Known::Seen(Some(_)) => !ends && !context.rules_seen.are_there(&uid),
        Known::Unknown => false,
    };
    let mut rules = Rules::UNKNOWN;
    if must_know {
        rules = rules::read(context, &grant, &mut unread).await;
    }
    drop(turn);
    let report = match &pod {
        Known::Seen(Some(pod)) => report(context, &grant, pod, now).await,
        Known::Seen(None) => last_words(context, &grant),
        Known::Unknown => None,
    };
    let opens = !ends && is_opening(&pod, report.as_ref());
    let admission = if opens { in_force(context, &mut unread).await } else { None };
    // What lets a proxy on to its credential goes by the API server, not by what was told.
    if opens && !must_know && !pod.is_absent() {
        rules = rules::read(context, &grant, &mut unread).await;
    }
    let InLogSeen { streams, let_on, ends } = in_log(context, &grant, &pod).await;
    Observed {
        request,
        database,
        policy,
        approvals,
        rules,
        pod: as_seen(&pod, now),
        report,
        stopped: context.stopped(&uid),
        ending: context.ending(&uid),
        setback: context.setback(&uid),
        findings,
        usage: if context.usage_is_due(&uid, now) { UsageDue::Now } else { UsageDue::Later },
        heard: heard(context, &grant),
        admission,
        unread: unread.0,
        streams,
        let_on,
        ends,
        log: witnessed(context),
        seal: seal(context, &grant),
        place: place(context),
        grant,
    }
}

/// Origin of the audit log, as it was witnessed last.
fn witnessed(context: &Context) -> Option<String> {
    context.records.checkpoint().map(|checkpoint| checkpoint.origin.to_string())
}

/// Observes a grant that is shut: all that is left is to say so to its request.
pub async fn observe_shut(context: &Context, grant: AccessGrant) -> Observed {
    let mut unread = Unread::default();
    let request = unread.read("the AccessRequest", request(context, &grant).await);
    Observed {
        request: request_link(&grant, &request),
        database: Link::Unknown,
        policy: Link::Unknown,
        approvals: Link::Unknown,
        rules: Rules::UNKNOWN,
        pod: Known::Unknown,
        report: None,
        stopped: None,
        ending: None,
        setback: None,
        findings: Vec::new(),
        usage: UsageDue::Later,
        heard: None,
        admission: None,
        streams: InLog::Unknown,
        let_on: Known::Unknown,
        ends: Known::Unknown,
        log: None,
        unread: unread.0,
        seal: seal(context, &grant),
        place: place(context),
        grant,
    }
}

fn seal(context: &Context, grant: &AccessGrant) -> Seal {
    let authorities = &context.authorities;
    Seal { own: pki::seal::of(authorities, grant), holds: pki::seal::holds(authorities, grant) }
}

fn place(context: &Context) -> Place {
    Place {
        proxies_namespace: context.config.proxies_namespace.clone(),
        internal_ca_pem: context.authorities.internal.certificate_pem().to_owned(),
        session_ca: context.authorities.session.fingerprint().to_owned(),
    }
}

async fn in_force(context: &Context, unread: &mut Unread) -> Option<Admission> {
    match unread.read("the admission policies", admission::look(context).await) {
        Known::Seen(found) => Some(found),
        Known::Unknown => None,
    }
}

/// What could not be read, and why.
#[derive(Default)]
pub struct Unread(Vec<String>);

impl Unread {
    /// What was read; an error is kept with its name.
    pub fn read<T>(&mut self, what: &str, read: Result<T, kube::Error>) -> Known<T> {
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

/// An object without what its kind adds, if it is there.
pub async fn metadata<K: Namespaced>(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<Metadata<K>>, kube::Error> {
    Api::<K>::namespaced(context.client.clone(), namespace).get_metadata_opt(name).await
}

async fn request(context: &Context, grant: &AccessGrant) -> Result<Option<AccessRequest>, kube::Error> {
    let namespace = grant.namespace().unwrap_or_default();
    let requests: Api<AccessRequest> = Api::namespaced(context.client.clone(), &namespace);
    requests.get_opt(&grant.spec.request.name).await
}

/// What the grant was made from, as it was read.
struct ReadSources {
    database: Result<Option<Database>, kube::Error>,
    policy: Result<Option<Metadata<AccessPolicy>>, kube::Error>,
    approvals: Result<bool, kube::Error>,
}

/// Whether it is still there.
struct Sources {
    database: Link,
    policy: Link,
    approvals: Link,
}

impl Sources {
    const UNKNOWN: Self = Self { database: Link::Unknown, policy: Link::Unknown, approvals: Link::Unknown };
}

/// A grant that ends does so whatever became of them.
async fn sources(context: &Context, grant: &AccessGrant, ends: bool) -> Option<ReadSources> {
    if ends {
        return None;
    }
    let (namespace, terms) = (grant.namespace().unwrap_or_default(), &grant.spec.terms);
    let databases: Api<Database> = Api::namespaced(context.client.clone(), &namespace);
    let (database, policy, approvals) = tokio::join!(
        databases.get_opt(&terms.database),
        metadata::<AccessPolicy>(context, &namespace, &terms.policy),
        approvals(context, grant),
    );
    Some(ReadSources { database, policy, approvals })
}

impl ReadSources {
    fn into_seen(self, grant: &AccessGrant, unread: &mut Unread) -> Sources {
        let Self { database, policy, approvals } = self;
        let database = unread.read("the Database", database);
        let policy = unread.read("the AccessPolicy", policy);
        let terms = &grant.spec.terms;
        Sources {
            database: match (link(&database, &terms.database_uid), &database) {
                (Link::Same, Known::Seen(Some(database))) if database_changed(grant, &database.spec) => {
                    Link::Changed
                }
                (link, _) => link,
            },
            policy: match (link(&policy, &terms.policy_uid), &database) {
                // Its successor has taken its place: groups of a policy never change, so that others need another one.
                (Link::Gone, Known::Seen(Some(database))) if database.spec.access_policy != terms.policy => {
                    Link::Same
                }
                (link, _) => link,
            },
            approvals: match unread.read("the AccessApprovals", approvals) {
                Known::Seen(true) => Link::Same,
                Known::Seen(false) => Link::Gone,
                Known::Unknown => Link::Unknown,
            },
        }
    }
}

/// Whether every approval that the grant stands on is still there.
async fn approvals(context: &Context, grant: &AccessGrant) -> Result<bool, kube::Error> {
    let namespace = grant.namespace().unwrap_or_default();
    for by in &grant.spec.approved_by {
        let found = metadata::<AccessApproval>(context, &namespace, &by.approval).await?;
        if !found.is_some_and(|approval| is_same(&approval, &by.uid)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The pod, if it is this grant's.
fn own(grant: &AccessGrant, pod: Known<Option<Pod>>) -> Known<Option<Pod>> {
    match pod {
        Known::Seen(pod) => Known::Seen(pod.filter(|pod| owner(pod) == grant.uid())),
        Known::Unknown => Known::Unknown,
    }
}

fn as_seen(pod: &Known<Option<Pod>>, now: Timestamp) -> Known<Option<PodSeen>> {
    match pod {
        Known::Seen(pod) => Known::Seen(pod.as_ref().map(|pod| seen(pod, now))),
        Known::Unknown => Known::Unknown,
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

fn request_link(grant: &AccessGrant, request: &Known<Option<AccessRequest>>) -> RequestLink {
    if grant.spec.terms.probe {
        // Nobody asked for it.
        return RequestLink::Closed;
    }
    let request = match request {
        Known::Seen(Some(request)) if is_same(request, &grant.spec.request.uid) => request,
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

fn heard(context: &Context, grant: &AccessGrant) -> Option<Usage> {
    let last = grant.status.as_ref()?.leases.last().filter(|last| last.charged.is_none())?;
    context.heard(&grant.uid()?, &last.token_accessor)
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
    if let Some(mut report) = message.and_then(|message| read_report(message.as_bytes(), &grant_uid)) {
        context.metrics.records.hear(&grant_uid, &mut report);
        context.keep_last_words(&grant_uid, &pod_uid, report);
    }
}

/// What the proxy says now, or said last.
async fn report(context: &Context, grant: &AccessGrant, pod: &Pod, now: Timestamp) -> Option<Report> {
    let uid = grant.uid().unwrap_or_default();
    let container = container(pod);
    if let Some(ended) = container.and_then(terminated) {
        let mut report = ended.message.as_ref().and_then(|message| read_report(message.as_bytes(), &uid))?;
        context.metrics.records.hear(&uid, &mut report);
        return Some(report);
    }
    container.filter(|container| runs(container))?;
    match proxy(context, grant, address(pod)?, now)?.report().await {
        Ok(mut report) => {
            context.metrics.records.hear(&uid, &mut report);
            Some(report)
        }
        Err(error) => {
            tracing::debug!(grant = %uid, error = %access::chain(&error), "no report");
            None
        }
    }
}

/// The grant's proxy, at this address.
pub fn proxy(context: &Context, grant: &AccessGrant, address: IpAddr, now: Timestamp) -> Option<Proxy> {
    let tls = context.identity.client(context.authorities.internal_of(grant), now);
    let tls =
        tls.inspect_err(|error| tracing::error!(error = %access::chain(error), "no client certificate"));
    Proxy::new(&grant.uid()?, address, &tls.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_may_go_when_its_database_names_another_and_not_before() {
        let grant = plan::tests_grant();
        let policy = |named: &str, read: Result<Option<Metadata<AccessPolicy>>, kube::Error>| {
            let mut spec = grant.spec.terms.database_spec.clone();
            spec.access_policy = named.to_owned();
            let mut database = Database::new("orders", spec);
            database.metadata.uid = Some("d1".to_owned());
            let read = ReadSources { database: Ok(Some(database)), policy: read, approvals: Ok(true) };
            read.into_seen(&grant, &mut Unread::default()).policy
        };
        let there: Metadata<AccessPolicy> =
            serde_json::from_value(json!({"metadata": {"name": "readers", "uid": "p1"}})).unwrap();
        assert_eq!(policy("readers", Ok(Some(there))), Link::Same);
        assert_eq!(policy("readers", Ok(None)), Link::Gone);
        assert_eq!(policy("others", Ok(None)), Link::Same);
        let unread = kube::Error::TlsRequired;
        assert_eq!(policy("others", Err(unread)), Link::Unknown, "what cannot be read opens nothing");
    }
}
