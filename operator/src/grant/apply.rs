//! Obeys a plan. Decides nothing about access.

use std::net::IpAddr;

use access::{ChildName, EndReason};
use crds::{AccessGrant, AccessGrantStatus, AccessRequest, LeaseStatus};
use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;

use super::children::{Parent, network_policy, pod, role, service_account};
use super::error::GrantError;
use super::observe::proxy;
use super::observed::{Known, Observed};
use super::plan::{Action, ChildKind, Order, vault_role};
use super::proxy::Proxy;
use super::{identity, pull_secrets, told};
use crate::api::{Namespaced, gone_is_good};
use crate::context::{Context, MANAGER};
use crate::leases::ToShut;
use crate::request::plan::mirrored;
use access::chain;

/// One plan being obeyed.
pub struct Steps<'a> {
    /// The operator's means.
    pub context: &'a Context,
    /// What the plan was made from.
    pub observed: &'a Observed,
    /// The time.
    pub now: Timestamp,
}

impl Steps<'_> {
    /// Does every step, as the plan's order says. Answers the first failure.
    pub async fn obey(&self, actions: Vec<Action>, order: Order) -> Result<(), GrantError> {
        match order {
            Order::Strict => {
                for steps in actions.chunk_by(|one, next| stands_alone(one) && stands_alone(next)) {
                    self.all(steps.to_vec()).await?;
                }
                Ok(())
            }
            Order::RecordFirst => {
                let (first, rest): (Vec<Action>, Vec<Action>) = actions.into_iter().partition(goes_first);
                self.all(first).await?;
                self.all(rest).await
            }
            Order::AtOnce => self.all(actions).await,
        }
    }

    /// All at once.
    async fn all(&self, actions: Vec<Action>) -> Result<(), GrantError> {
        let steps = actions.into_iter().map(|action| self.step(action));
        join_all(steps).await.into_iter().collect()
    }

    async fn step(&self, action: Action) -> Result<(), GrantError> {
        tracing::debug!(grant = %self.uid(), step = %word(&action), "step");
        match action {
            Action::Record(status) => self.record(*status).await,
            Action::Put(facts) => {
                self.context.records.put(&self.uid(), facts).await.map_err(GrantError::NotOnRecord)
            }
            Action::Note(facts) => {
                self.context.records.note(&self.uid(), facts);
                Ok(())
            }
            Action::Apply(kind) => self.apply(kind).await,
            Action::ShortenPod { by_seconds } => self.shorten_pod(by_seconds).await,
            Action::TellCustody { token_accessor } => self.confirm(&token_accessor).await,
            Action::TellEnd(reason) => {
                self.tell_end(reason).await;
                Ok(())
            }
            Action::DeletePod => self.delete_pod().await,
            Action::CloseNetworkPolicy => {
                let Self { context, observed, .. } = self;
                self.put(network_policy::closed(&observed.grant, &context.config)).await
            }
            Action::DeleteNetworkPolicy => self.delete::<NetworkPolicy>("NetworkPolicy").await,
            Action::DeleteRoleBinding => self.delete::<RoleBinding>("RoleBinding").await,
            Action::DeleteRole => self.delete::<Role>("Role").await,
            Action::DeleteSecret => self.delete::<Secret>("Secret").await,
            Action::ShutLease(lease) => {
                self.shut_lease(*lease);
                Ok(())
            }
            Action::CloseRequest => self.close_request().await,
            Action::RemoveFinalizer => self.remove_finalizer().await,
        }
    }

    fn uid(&self) -> String {
        self.observed.grant.uid().unwrap_or_default()
    }

    /// Only what is made needs the grant's snapshot: a snapshot that is not understood any more keeps nothing from being shut.
    async fn apply(&self, kind: ChildKind) -> Result<(), GrantError> {
        let grant = &self.observed.grant;
        let (namespace, terms) = (grant.namespace().unwrap_or_default(), &grant.spec.terms);
        let target = crds::target(&namespace, &terms.database, &terms.database_spec);
        let target = target.map_err(GrantError::Snapshot)?;
        let parent = Parent { grant, target: &target, config: &self.context.config, now: self.now };
        match kind {
            ChildKind::NetworkPolicy => self.put(network_policy::network_policy(parent)).await,
            ChildKind::ServiceAccount => self.put(service_account::service_account(parent)).await,
            ChildKind::Secret(used, knows) => {
                let authorities = identity::known(&self.context.authorities, grant, knows);
                self.put(identity::identity_secret(authorities, parent, used)?).await
            }
            ChildKind::Role => self.put(role::role(parent)).await,
            ChildKind::RoleBinding => self.put(role::role_binding(parent)).await,
            ChildKind::Pod => {
                pull_secrets::copy_all(self.context).await.map_err(GrantError::PullSecret)?;
                self.put(pod::pod(parent)).await
            }
        }
    }

    /// The status, with the resourceVersion that was observed: a stale operator writes nothing.
    async fn record(&self, status: AccessGrantStatus) -> Result<(), GrantError> {
        let before = &self.observed.grant;
        let mut after = before.clone();
        after.status = Some(status);
        let api: Api<AccessGrant> = self.own_namespace();
        let written = api.replace_status(&before.name_any(), &PostParams::default(), &after).await;
        self.context.written.note(&written.map_err(GrantError::Record)?);
        let used = |grant: &AccessGrant| grant.status.as_ref().and_then(|status| status.usage.clone());
        if used(&after) != used(before) {
            self.context.note_usage(&self.uid(), self.now);
        }
        told::changes(self.context, self.observed, &after, self.now);
        if after.status.as_ref().is_some_and(|status| status.settled) {
            // The loops see it no more.
            self.context.forget(&after);
            self.context.unplaced.take(&after);
        }
        Ok(())
    }

    /// Server-side apply: doing it twice changes nothing.
    async fn put<K: Namespaced + Serialize>(&self, object: K) -> Result<(), GrantError> {
        let (what, object) = (K::kind(&()).into_owned(), self.context.by_leader(object));
        let patch = PatchParams::apply(MANAGER).force();
        self.in_proxies::<K>()
            .patch(&object.name_any(), &patch, &Patch::Apply(&object))
            .await
            .map(drop)
            .map_err(|source| GrantError::Apply(what, source))
    }

    async fn delete<K: Namespaced>(&self, what: &'static str) -> Result<(), GrantError> {
        let name = ChildName::of(&self.uid());
        let deleted = self.in_proxies::<K>().delete(name.as_str(), &DeleteParams::background()).await;
        gone_is_good(deleted.map(drop)).map_err(|source| GrantError::Delete(what, source))
    }

    /// The very pod that was seen, not a later one of its name; where none could be read, the grant's own name says enough.
    async fn delete_pod(&self) -> Result<(), GrantError> {
        let only_this = match &self.observed.pod {
            Known::Seen(Some(pod)) => {
                Some(Preconditions { uid: Some(pod.uid.clone()), resource_version: None })
            }
            Known::Seen(None) => return Ok(()),
            Known::Unknown => None,
        };
        let params = DeleteParams { preconditions: only_this, ..DeleteParams::background() };
        let name = ChildName::of(&self.uid());
        let deleted = self.in_proxies::<Pod>().delete(name.as_str(), &params).await;
        gone_is_good(deleted.map(drop)).map_err(|source| GrantError::Delete("Pod", source))
    }

    async fn shorten_pod(&self, by_seconds: i64) -> Result<(), GrantError> {
        let api = self.in_proxies::<Pod>();
        let name = ChildName::of(&self.uid());
        let Some(pod) = api.get_opt(name.as_str()).await.map_err(GrantError::Observe)? else { return Ok(()) };
        let lasts = pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds).unwrap_or(1);
        let shorter = lasts.saturating_sub(by_seconds).max(1);
        // With the resourceVersion: what was read is what is shortened, once.
        let patch = json!({
            "metadata": {"resourceVersion": pod.resource_version()}, "spec": {"activeDeadlineSeconds": shorter}
        });
        let patched = api.patch(name.as_str(), &PatchParams::default(), &Patch::Merge(&patch)).await;
        patched.map(drop).map_err(|source| GrantError::Apply("Pod".to_owned(), source))
    }

    async fn confirm(&self, token_accessor: &str) -> Result<(), GrantError> {
        let address = self.observed.pod.there().and_then(|pod| pod.address);
        let Some(proxy) = address.and_then(|address| self.proxy(address)) else { return Ok(()) };
        proxy.confirm(token_accessor).await.map_err(GrantError::Proxy)
    }

    fn shut_lease(&self, lease: LeaseStatus) {
        let grant = &self.observed.grant;
        let database = format!("{}/{}", grant.namespace().unwrap_or_default(), grant.spec.terms.database);
        let role = vault_role(grant);
        self.context.leases.shut(ToShut { lease, role, database, grant: ObjectRef::from_obj(grant) });
    }

    /// Where it was last seen does: only this grant's own proxy can answer there. What it does not do, its pod's end does.
    async fn tell_end(&self, reason: EndReason) {
        let seen = self.observed.pod.there().and_then(|pod| pod.address);
        let address = seen.or_else(|| self.context.address(&self.uid()));
        if let Some(proxy) = address.and_then(|address| self.proxy(address)) {
            tell_end(&proxy, &self.observed.grant, reason).await;
        }
    }

    fn proxy(&self, address: IpAddr) -> Option<Proxy> {
        proxy(self.context, &self.observed.grant, address, self.now)
    }

    /// The request says that its grant has ended before the grant can go: it never gets a second one.
    async fn close_request(&self) -> Result<(), GrantError> {
        let api: Api<AccessRequest> = self.own_namespace();
        let reference = &self.observed.grant.spec.request;
        let close = GrantError::CloseRequest;
        let Some(mut request) = api.get_opt(&reference.name).await.map_err(close)? else { return Ok(()) };
        if request.uid().as_deref() != Some(reference.uid.as_str()) {
            return Ok(());
        }
        // As it was recorded a moment ago, and not as it was observed before that.
        let grants: Api<AccessGrant> = self.own_namespace();
        let recorded = grants.get_opt(&self.observed.grant.name_any()).await.map_err(close)?;
        let Some(grant) = recorded else { return Ok(()) };
        let status = request.status.take().unwrap_or_default();
        request.status = Some(mirrored(&request, status, &grant, self.now));
        api.replace_status(&reference.name, &PostParams::default(), &request).await.map(drop).map_err(close)
    }

    async fn remove_finalizer(&self) -> Result<(), GrantError> {
        let grant = &self.observed.grant;
        let rest: Vec<&String> =
            grant.metadata.finalizers.iter().flatten().filter(|name| *name != crds::FINALIZER).collect();
        let patch = json!({"metadata": {"uid": grant.uid(), "finalizers": rest}});
        let api: Api<AccessGrant> = self.own_namespace();
        let patched = api.patch(&grant.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
        gone_is_good(patched.map(drop)).map_err(|source| GrantError::Delete("finalizer", source))
    }

    fn in_proxies<K: Namespaced>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.context.config.proxies_namespace)
    }

    fn own_namespace<K: Namespaced>(&self) -> Api<K> {
        let namespace = self.observed.grant.namespace().unwrap_or_default();
        Api::namespaced(self.context.client.clone(), &namespace)
    }
}

/// Whether a step makes what needs none of the grant's other children.
fn stands_alone(action: &Action) -> bool {
    use ChildKind::{NetworkPolicy, Role, Secret, ServiceAccount};
    matches!(action, Action::Apply(NetworkPolicy | ServiceAccount | Secret(..) | Role))
}

/// Whether a step takes nothing away that the status does not tell yet.
pub fn goes_first(action: &Action) -> bool {
    matches!(action, Action::Record(_) | Action::TellEnd(_) | Action::ShutLease(_))
}

/// Tells the proxy of a grant to end, and its people why. Its failure stops nothing.
pub async fn tell_end(proxy: &Proxy, grant: &AccessGrant, reason: EndReason) {
    let message = match (&grant.spec.revocation, reason) {
        (Some(revocation), EndReason::Revoked) => {
            format!("grant revoked by {}: {}", revocation.by, revocation.reason)
        }
        _ => reason.sentence().to_owned(),
    };
    if let Err(error) = proxy.end(reason, &message).await {
        let grant = grant.uid().unwrap_or_default();
        tracing::info!(grant, error = %chain(&error), "the proxy was not told to end");
    }
}

/// The step without its contents, for logs.
fn word(action: &Action) -> String {
    let shown = format!("{action:?}");
    shown.chars().take_while(char::is_ascii_alphanumeric).collect()
}
