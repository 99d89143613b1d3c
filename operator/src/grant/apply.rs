//! Obeys a plan, in order, and stops at the first failure. Decides nothing about access.

use access::{ChildName, EndReason, Target};
use crds::{AccessGrant, AccessGrantStatus, AccessRequest, RequestPhase};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;

use super::children::{Parent, network_policy, pod, role, service_account};
use super::error::GrantError;
use super::observe::proxy;
use super::observed::Observed;
use super::plan::Action;
use super::{identity, told};
use crate::api::{Namespaced, gone_is_good};
use crate::context::{Context, MANAGER};
use crate::vault_desk::Finding;
use access::chain;

/// One plan being obeyed.
pub struct Steps<'a> {
    /// The operator's means.
    pub context: &'a Context,
    /// What the plan was made from.
    pub observed: &'a Observed,
    /// The grant's database, from its snapshot.
    pub target: &'a Target,
    /// The time.
    pub now: Timestamp,
}

impl Steps<'_> {
    /// Does every step. Answers what came of shutting leases.
    pub async fn obey(&self, actions: Vec<Action>) -> Result<Vec<Finding>, GrantError> {
        let mut findings = Vec::new();
        for action in actions {
            tracing::debug!(grant = %self.uid(), step = %word(&action), "step");
            findings.extend(self.step(action).await?);
        }
        Ok(findings)
    }

    async fn step(&self, action: Action) -> Result<Option<Finding>, GrantError> {
        let parent = self.parent();
        match action {
            Action::Record(status) => self.record(*status).await?,
            Action::ApplyNetworkPolicy => self.put(network_policy::network_policy(parent)).await?,
            Action::ApplyServiceAccount => self.put(service_account::service_account(parent)).await?,
            Action::ApplySecret(used) => {
                self.put(identity::identity_secret(self.context, parent, used)?).await?;
            }
            Action::ApplyRole => self.put(role::role(parent)).await?,
            Action::ApplyRoleBinding => self.put(role::role_binding(parent)).await?,
            Action::ApplyPod => self.put(pod::pod(parent)).await?,
            Action::ShortenPod { by_seconds } => self.shorten_pod(by_seconds).await?,
            Action::TellCustody { token_accessor } => self.confirm(&token_accessor).await?,
            Action::TellEnd(reason) => self.tell_end(reason).await,
            Action::DeletePod => self.delete_pod().await?,
            Action::DeleteNetworkPolicy => self.delete::<NetworkPolicy>("NetworkPolicy").await?,
            Action::DeleteRoleBinding => self.delete::<RoleBinding>("RoleBinding").await?,
            Action::DeleteRole => self.delete::<Role>("Role").await?,
            Action::DeleteSecret => self.delete::<Secret>("Secret").await?,
            Action::ShutLease(lease) => return Ok(Some(self.context.vault.shut(&lease, self.now).await)),
            Action::CloseRequest => self.close_request().await?,
            Action::RemoveFinalizer => self.remove_finalizer().await?,
        }
        Ok(None)
    }

    fn uid(&self) -> String {
        self.observed.grant.uid().unwrap_or_default()
    }

    fn parent(&self) -> Parent<'_> {
        Parent {
            grant: &self.observed.grant,
            target: self.target,
            config: &self.context.config,
            now: self.now,
        }
    }

    /// The status, with the resourceVersion that was observed: a stale operator writes nothing.
    async fn record(&self, status: AccessGrantStatus) -> Result<(), GrantError> {
        let before = &self.observed.grant;
        let mut after = before.clone();
        after.status = Some(status);
        let api: Api<AccessGrant> = self.own_namespace();
        api.replace_status(&before.name_any(), &PostParams::default(), &after)
            .await
            .map_err(GrantError::Record)?;
        told::changes(self.context, self.observed, &after, self.now);
        Ok(())
    }

    /// Server-side apply: doing it twice changes nothing.
    async fn put<K: Namespaced + Serialize>(&self, object: K) -> Result<(), GrantError> {
        let what = K::kind(&()).into_owned();
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

    /// This very pod, not a later one of its name.
    async fn delete_pod(&self) -> Result<(), GrantError> {
        let Some(pod) = &self.observed.pod else { return Ok(()) };
        let only_this = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
        let params = DeleteParams::background().preconditions(only_this);
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
        let Some(proxy) = self.proxy().await? else { return Ok(()) };
        proxy.confirm(token_accessor).await.map_err(GrantError::Proxy)
    }

    /// Cutting off never waits for an answer: what the proxy does not do, its pod's end does.
    async fn tell_end(&self, reason: EndReason) {
        let message = match (&self.observed.grant.spec.revocation, reason) {
            (Some(revocation), EndReason::Revoked) => {
                format!("grant revoked by {}: {}", revocation.by, revocation.reason)
            }
            _ => reason.sentence().to_owned(),
        };
        let proxy = self.proxy().await;
        if let Ok(Some(proxy)) = proxy
            && let Err(error) = proxy.end(reason, &message).await
        {
            tracing::info!(grant = %self.uid(), error = %chain(&error), "the proxy was not told to end");
        }
    }

    async fn proxy(&self) -> Result<Option<super::proxy::Proxy>, GrantError> {
        let name = ChildName::of(&self.uid());
        let pod = self.in_proxies::<Pod>().get_opt(name.as_str()).await.map_err(GrantError::Observe)?;
        Ok(pod.and_then(|pod| proxy(self.context, &self.uid(), &pod, self.now)))
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
        let mut status = request.status.take().unwrap_or_default();
        status.phase = RequestPhase::Ended;
        status.endpoint = None;
        request.status = Some(status);
        api.replace_status(&reference.name, &PostParams::default(), &request).await.map(drop).map_err(close)
    }

    async fn remove_finalizer(&self) -> Result<(), GrantError> {
        let grant = &self.observed.grant;
        let rest: Vec<&String> =
            grant.metadata.finalizers.iter().flatten().filter(|name| *name != crds::FINALIZER).collect();
        let patch = json!({"metadata": {"uid": grant.uid(), "finalizers": rest}});
        let api: Api<AccessGrant> = self.own_namespace();
        let patched = api.patch(&grant.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
        self.context.forget(&self.uid());
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

/// The step without its contents, for logs.
fn word(action: &Action) -> String {
    let shown = format!("{action:?}");
    shown.chars().take_while(char::is_ascii_alphanumeric).collect()
}
