//! Promise 5: where the release's admission policies are missing or changed, nothing is granted, for nobody can tell who wrote
//! what. This changes the whole cluster, so it is one test, and it puts everything back.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::wait::{Look, until};
use harness::{Cluster, Person, TestDatabase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

#[tokio::test]
async fn while_an_admission_policy_is_missing_or_changed_nothing_is_granted() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("not-in-force").await?;
    cluster
        .told(async {
            let release = Release::of(&cluster).await?;
            let outcome = async {
                let orders = automatic(&cluster).await?;
                let requester = cluster.requester().await?;
                missing(&cluster, &release, &orders, &requester).await?;
                changed(&cluster, &release, &orders, &requester).await?;
                written_in_the_gap(&cluster, &release, &orders).await
            }
            .await;
            // Also after a failure: other tests stand on these policies.
            let in_force_again = release.is_put_back().await;
            outcome?;
            in_force_again?;

            let (orders, requester) = (automatic(&cluster).await?, cluster.requester().await?);
            requester.applies(&orders.request("afterwards", "30m")).await?;
            cluster.awaits_grant("afterwards").await.map(drop)
        })
        .await
}

/// A database whose policy grants at once: only the admission policies stand in the way.
async fn automatic(cluster: &Cluster) -> anyhow::Result<TestDatabase> {
    let orders = cluster.described_orders().await?;
    let mut policy = orders.policy();
    policy["spec"]["rules"] = json!([{"name": "all", "approvals": {"required": 0}}]);
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
    release.bindings.delete(gone, &DeleteParams::default()).await?;
    let said = format!("{BINDING} {gone} is missing");
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
    for (number, (kind, name, spec)) in changes.into_iter().enumerate() {
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
        release.is_put_back().await?;
    }
    Ok(())
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
        release.bindings.delete(open, &DeleteParams::default()).await?;
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
    were: (Vec<ValidatingAdmissionPolicy>, Vec<ValidatingAdmissionPolicyBinding>),
}

impl Release {
    async fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let policies = Api::all(cluster.client.clone());
        let bindings = Api::all(cluster.client.clone());
        let were = (ours(&policies).await?, ours(&bindings).await?);
        ensure!(!were.0.is_empty() && were.0.len() == were.1.len(), "the release has no admission policies");
        Ok(Self { policies, bindings, were })
    }

    /// Puts back what is missing or changed, and waits until the operator trusts new objects again.
    async fn is_put_back(&self) -> anyhow::Result<()> {
        for policy in &self.were.0 {
            put_back(&self.policies, policy).await?;
        }
        for binding in &self.were.1 {
            put_back(&self.bindings, binding).await?;
        }
        // The operator trusts nothing of the first three seconds; objects tell their time in whole ones.
        let trusted = Timestamp::now().checked_add(SignedDuration::from_secs(5))?;
        until("new objects to be trusted", Duration::from_secs(30), || async {
            let now = Timestamp::now();
            Ok(if now > trusted { Look::Found(()) } else { Look::NotYet(now.to_string()) })
        })
        .await
    }
}

async fn ours<K>(api: &Api<K>) -> anyhow::Result<Vec<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let all = api.list(&ListParams::default()).await?.items;
    Ok(all.into_iter().filter(|object| object.name_any().ends_with(".access.keyhole.dev")).collect())
}

async fn put_back<K>(api: &Api<K>, was: &K) -> anyhow::Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    let name = was.name_any();
    let there = api.get_opt(&name).await?;
    if there.as_ref().is_some_and(|there| spec(there) == spec(was)) {
        return Ok(());
    }
    let mut object = was.clone();
    let meta = object.meta_mut();
    meta.resource_version = there.as_ref().and_then(ResourceExt::resource_version);
    (meta.uid, meta.creation_timestamp, meta.managed_fields) = (None, None, None);
    let params = PostParams::default();
    let done = match there {
        Some(_) => api.replace(&name, &params, &object).await,
        None => api.create(&params, &object).await,
    };
    done.map(drop).with_context(|| format!("cannot put {name} back: run `helm upgrade`"))
}

fn spec<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).map_or(Value::Null, |value| value["spec"].clone())
}
