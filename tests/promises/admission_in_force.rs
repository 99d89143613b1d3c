//! Promise 5: where the release's admission policies are missing or changed, nothing is granted, for nobody can tell who wrote
//! what. This changes the whole cluster, so it is one test, and it puts everything back.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, ensure};
use crds::admission::DEFAULT_DENY;
use harness::grant::approval;
use harness::wait::{Look, until};
use harness::{Cluster, Person, Shell, TestDatabase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

#[tokio::test]
async fn while_an_admission_policy_is_missing_or_changed_nothing_is_granted() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("not-in-force").await?;
    cluster
        .told(async {
            let release = Release::of(&cluster).await?;
            let outcome = async {
                helm_test(&cluster).succeeds().await?;
                let orders = automatic(&cluster).await?;
                let requester = cluster.requester().await?;
                missing(&cluster, &release, &orders, &requester).await?;
                changed(&cluster, &release, &orders, &requester).await?;
                written_in_the_gap(&cluster, &release, &orders).await?;
                without_the_rules_of_a_schema(&cluster, &release, &orders).await?;
                automatic(&cluster).await?;
                without_what_closes_the_namespace(&cluster, &release, &orders, &requester).await
            }
            .await;
            // Also after a failure: other tests stand on these policies.
            let in_force_again = release.is_put_back().await;
            outcome?;
            in_force_again?;

            helm_test(&cluster).succeeds().await?;
            let (orders, requester) = (automatic(&cluster).await?, cluster.requester().await?);
            requester.applies(&orders.request("afterwards", "30m")).await?;
            cluster.awaits_grant("afterwards").await.map(drop)
        })
        .await
}

/// The chart's own test: it looks at what the operator looks at.
fn helm_test(cluster: &Cluster) -> Shell {
    cluster.bed.verb("keyhole").arg("test").within(Duration::from_secs(90))
}

/// A database whose policy grants at once: only the admission policies stand in the way.
async fn automatic(cluster: &Cluster) -> anyhow::Result<TestDatabase> {
    let orders = cluster.described_orders().await?;
    let mut policy = orders.policy();
    policy["spec"]["rules"] = json!([{"name": "all", "maxLive": 9, "approvals": {"required": 0}}]);
    cluster.applies(&policy.to_string()).await?;
    Ok(orders)
}

/// The requester asks; the operator must name this object as the reason why not.
async fn nothing_is_granted(
    cluster: &Cluster,
    orders: &TestDatabase,
    requester: &Person,
    (request, said): (&str, &str),
) -> anyhow::Result<()> {
    requester.applies(&orders.request(request, "30m")).await?;
    let message = cluster.awaits_condition(request, "Approved", "AdmissionNotInForce").await?;
    ensure!(message.contains(said) && message.contains("helm upgrade"), "{said:?} is not told: {message}");
    cluster.has_no_grant().await
}

async fn missing(
    cluster: &Cluster,
    release: &Release,
    orders: &TestDatabase,
    requester: &Person,
) -> anyhow::Result<()> {
    let gone = "status.access.keyhole.dev";
    let binding = release.binding_of(gone)?;
    release.bindings.delete(&binding, &DeleteParams::default()).await?;
    let said = format!("{BINDING} {binding} is missing");
    helm_test(cluster).is_refused(&said).await?;
    nothing_is_granted(cluster, orders, requester, ("no-binding", &said)).await?;
    release.policies.delete(gone, &DeleteParams::default()).await?;
    let said = format!("{POLICY} {gone} is missing");
    nothing_is_granted(cluster, orders, requester, ("no-policy", &said)).await?;
    release.is_put_back().await?;
    // What was written meanwhile may have been written by anybody.
    cluster.awaits_condition("no-binding", "Approved", "OlderThanAdmission").await?;
    cluster.has_no_grant().await
}

async fn changed(
    cluster: &Cluster,
    release: &Release,
    orders: &TestDatabase,
    requester: &Person,
) -> anyhow::Result<()> {
    let anything = json!([{"expression": "true", "message": "anything goes", "reason": "Forbidden"}]);
    let not_for = json!([{"name": "not-for-some", "expression": "request.userInfo.username != 'stranger'"}]);
    let elsewhere = json!({"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}});
    let changes = [
        (POLICY, "requests.access.keyhole.dev", json!({"validations": anything})),
        (POLICY, "approvals.access.keyhole.dev", json!({"failurePolicy": "Ignore"})),
        (POLICY, "groups.access.keyhole.dev", json!({"matchConditions": not_for})),
        (BINDING, "grants.access.keyhole.dev", json!({"validationActions": ["Audit"]})),
        (BINDING, "marks.access.keyhole.dev", json!({"matchResources": {"namespaceSelector": elsewhere}})),
    ];
    for (number, (kind, policy, spec)) in changes.into_iter().enumerate() {
        let name = &if kind == POLICY { policy.to_owned() } else { release.binding_of(policy)? };
        let patch = Patch::Merge(json!({"spec": spec}));
        let params = PatchParams::default();
        if kind == POLICY {
            release.policies.patch(name, &params, &patch).await.map(drop)?;
        } else {
            release.bindings.patch(name, &params, &patch).await.map(drop)?;
        }
        let said = format!("{kind} {name} is not the release's own");
        let request = format!("changed-{number}");
        nothing_is_granted(cluster, orders, requester, (&request, &said)).await?;
        if kind == BINDING {
            // Nothing says when a binding was last changed: editing it back is not enough.
            release.is_edited_back(name).await?;
            let said = format!("{kind} {name} was changed after it was made");
            let request = format!("edited-back-{number}");
            nothing_is_granted(cluster, orders, requester, (&request, &said)).await?;
        }
        release.is_put_back().await?;
        cluster.awaits_condition(&request, "Approved", "OlderThanAdmission").await.context(said)?;
        cluster.has_no_grant().await?;
    }
    Ok(())
}

/// The NetworkPolicy that closes the proxies namespace is as good as an admission policy.
async fn without_what_closes_the_namespace(
    cluster: &Cluster,
    release: &Release,
    orders: &TestDatabase,
    requester: &Person,
) -> anyhow::Result<()> {
    cluster.proxies::<NetworkPolicy>().delete(DEFAULT_DENY, &DeleteParams::default()).await?;
    let said = format!("NetworkPolicy {DEFAULT_DENY} is missing");
    helm_test(cluster).is_refused(&said).await?;
    nothing_is_granted(cluster, orders, requester, ("not-closed", &said)).await?;
    release.is_put_back().await?;
    // Nobody could have written anything by it: the request counts when it is back.
    cluster.awaits_grant("not-closed").await.map(drop)
}

/// Somebody takes the rules out of the schema of approvals, and changes one: admission still refuses it, and nothing counts.
async fn without_the_rules_of_a_schema(
    cluster: &Cluster,
    release: &Release,
    orders: &TestDatabase,
) -> anyhow::Result<()> {
    let mut policy = orders.policy();
    policy["spec"]["rules"][0]["when"] = json!("true");
    cluster.applies(&policy.to_string()).await?;
    let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
    let name = "accessapprovals.access.keyhole.dev";
    let mut stripped = release.definitions.get(name).await?;
    stripped.spec.versions = stripped.spec.versions.into_iter().map(without_rules).collect();
    release.definitions.replace(name, &PostParams::default(), &stripped).await?;
    let said = format!("CustomResourceDefinition {name} is not the release's own");
    nothing_is_granted(cluster, orders, &requester, ("no-rules", &said)).await?;
    let approval = approval(&cluster.awaits_terms("no-rules").await?, "approver")?;
    approver.applies(&approval).await?;
    let mut changed = approval.clone();
    changed["spec"]["comment"] = json!("another word");
    approver.cannot_apply(&changed, "an approval never changes").await?;
    cluster.has_no_grant().await?;
    release.is_put_back().await?;
    cluster.awaits_condition("no-rules", "Approved", "OlderThanAdmission").await?;
    cluster.has_no_grant().await
}

fn without_rules(mut version: CustomResourceDefinitionVersion) -> CustomResourceDefinitionVersion {
    let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
    if let Some(spec) = schema.and_then(|schema| schema.properties.as_mut()?.get_mut("spec")) {
        spec.x_kubernetes_validations = None;
    }
    version
}

/// Somebody else uses the gap to write a request in the requester's name. It must not count when the gap is closed.
async fn written_in_the_gap(
    cluster: &Cluster,
    release: &Release,
    orders: &TestDatabase,
) -> anyhow::Result<()> {
    let stranger = cluster.stranger().await?;
    let forged = orders.request("forged", "30m").to_string();
    for open in ["requests.access.keyhole.dev", "groups.access.keyhole.dev"] {
        release.bindings.delete(&release.binding_of(open)?, &DeleteParams::default()).await?;
    }
    until("the API server to let a forged request in", Duration::from_secs(30), || async {
        let tried = stranger.kubectl().args(["create", "-f", "-"]).input(forged.as_str()).run().await?;
        Ok(if tried.code == Some(0) { Look::Found(()) } else { Look::NotYet(tried.err) })
    })
    .await?;
    cluster.awaits_condition("forged", "Approved", "AdmissionNotInForce").await?;
    release.is_put_back().await?;
    cluster.awaits_condition("forged", "Approved", "OlderThanAdmission").await?;
    cluster.has_no_grant().await
}

/// The release's policies and bindings as they were before the test.
struct Release {
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
    definitions: Api<CustomResourceDefinition>,
    denials: Api<NetworkPolicy>,
    were: (Vec<ValidatingAdmissionPolicy>, Vec<ValidatingAdmissionPolicyBinding>),
    defined: Vec<CustomResourceDefinition>,
    default_deny: NetworkPolicy,
}

impl Release {
    async fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let policies = Api::all(cluster.client.clone());
        let bindings = Api::all(cluster.client.clone());
        let definitions = Api::all(cluster.client.clone());
        let denials = cluster.proxies::<NetworkPolicy>();
        let were = (ours(&policies).await?, ours(&bindings).await?);
        let (defined, default_deny) = (ours(&definitions).await?, denials.get(DEFAULT_DENY).await?);
        ensure!(!were.0.is_empty() && were.0.len() == were.1.len(), "the release has no admission policies");
        Ok(Self { policies, bindings, definitions, denials, were, defined, default_deny })
    }

    /// Puts back what is missing or changed, and waits until the operator trusts new objects again.
    async fn is_put_back(&self) -> anyhow::Result<()> {
        for policy in &self.were.0 {
            match self.policies.get_opt(&policy.name_any()).await? {
                None => made_anew(&self.policies, policy).await?,
                Some(there) if there.spec == policy.spec => {}
                Some(there) => replaced(&self.policies, &there, policy).await?,
            }
        }
        for binding in &self.were.1 {
            let name = binding.name_any();
            match self.bindings.get_opt(&name).await? {
                None => made_anew(&self.bindings, binding).await?,
                Some(there) if there.metadata.generation == Some(1) => {}
                Some(_) => {
                    self.bindings.delete(&name, &DeleteParams::default()).await?;
                    made_anew(&self.bindings, binding).await?;
                }
            }
        }
        for definition in &self.defined {
            let there = self.definitions.get(&definition.name_any()).await?;
            if there.spec != definition.spec {
                replaced(&self.definitions, &there, definition).await?;
            }
        }
        if self.denials.get_opt(DEFAULT_DENY).await?.is_none() {
            made_anew(&self.denials, &self.default_deny).await?;
        }
        // The operator trusts nothing of the first three seconds; objects tell their time in whole ones.
        let trusted = Timestamp::now().checked_add(SignedDuration::from_secs(5))?;
        until("new objects to be trusted", Duration::from_secs(30), || async {
            let now = Timestamp::now();
            Ok(if now > trusted { Look::Found(()) } else { Look::NotYet(now.to_string()) })
        })
        .await
    }

    /// The name of a policy's binding.
    fn binding_of(&self, policy: &str) -> anyhow::Result<String> {
        let of_policy = |binding: &&ValidatingAdmissionPolicyBinding| {
            binding.spec.as_ref().is_some_and(|spec| spec.policy_name.as_deref() == Some(policy))
        };
        Ok(self.were.1.iter().find(of_policy).context("a policy without binding")?.name_any())
    }

    async fn is_edited_back(&self, name: &str) -> anyhow::Result<()> {
        let was = self.were.1.iter().find(|binding| binding.name_any() == name);
        let there = self.bindings.get(name).await?;
        replaced(&self.bindings, &there, was.context("no such binding")?).await
    }
}

async fn ours<K>(api: &Api<K>) -> anyhow::Result<Vec<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let all = api.list(&ListParams::default()).await?.items;
    Ok(all.into_iter().filter(|object| object.name_any().ends_with(".access.keyhole.dev")).collect())
}

async fn made_anew<K>(api: &Api<K>, was: &K) -> anyhow::Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    let made = api.create(&PostParams::default(), &unwritten(was, None)).await;
    made.map(drop).with_context(|| format!("cannot make {} anew: run `helm upgrade`", was.name_any()))
}

async fn replaced<K>(api: &Api<K>, there: &K, was: &K) -> anyhow::Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    let object = unwritten(was, there.resource_version());
    let replaced = api.replace(&was.name_any(), &PostParams::default(), &object).await;
    replaced.map(drop).with_context(|| format!("cannot put {} back: run `helm upgrade`", was.name_any()))
}

/// The object without what the API server adds to it.
fn unwritten<K: Resource + Clone>(was: &K, resource_version: Option<String>) -> K {
    let mut object = was.clone();
    let meta = object.meta_mut();
    meta.resource_version = resource_version;
    (meta.uid, meta.creation_timestamp, meta.managed_fields, meta.generation) = (None, None, None, None);
    object
}
