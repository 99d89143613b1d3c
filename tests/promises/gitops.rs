//! Promise 5 with GitOps: a service account applies manifests in other people's names, where RBAC and the policy's rule trust
//! it, and with evidence of a review by two people.

use anyhow::ensure;
use harness::grant::approval;
use harness::{Cluster, Person, TestDatabase};
use serde_json::{Value, json};

/// The service account `submitter`: it may write requests and approvals here, and these verbs.
async fn submitter(cluster: &Cluster, verbs: &[(&str, &str)]) -> anyhow::Result<Person> {
    let submitter = cluster.service_account("submitter").await?;
    let all = json!(["get", "list", "watch", "create", "update", "patch", "delete"]);
    let mut rules = vec![json!({
        "apiGroups": ["access.keyhole.dev"], "resources": ["accessrequests", "accessapprovals"], "verbs": all,
    })];
    for (resource, verb) in verbs {
        rules.push(json!({"apiGroups": ["access.keyhole.dev"], "resources": [resource], "verbs": [verb]}));
    }
    let metadata = json!({"name": "submitter", "namespace": cluster.namespace});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules,
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "submitter"},
        "subjects": [{"kind": "ServiceAccount", "name": "submitter", "namespace": cluster.namespace}],
    });
    cluster.applies(&role.to_string()).await?;
    cluster.applies(&binding.to_string()).await?;
    Ok(submitter)
}

const ASKS: (&str, &str) = ("accessrequests", "request-on-behalf");
const APPROVES: (&str, &str) = ("accessapprovals", "approve-on-behalf");

/// The policy of the tests, with these submitters trusted.
async fn trusting(cluster: &Cluster, orders: &TestDatabase, on_behalf_by: Value) -> anyhow::Result<()> {
    let mut policy = orders.policy();
    policy["spec"]["rules"][0]["onBehalfBy"] = on_behalf_by;
    cluster.applies(&policy.to_string()).await.map(drop)
}

fn evidence() -> Value {
    json!({
        "pullRequest": "https://git.example.com/access/pulls/7",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "author": "requester",
        "reviewer": "approver",
    })
}

/// The requester's request as the submitter applies it.
fn carried_request(orders: &TestDatabase, submitter: &Person, name: &str) -> Value {
    let mut request = orders.request(name, "30m");
    request["spec"]["submittedBy"] = json!(submitter.name);
    request["spec"]["evidence"] = evidence();
    request
}

/// The approver's approval as the submitter applies it.
async fn carried_approval(cluster: &Cluster, submitter: &Person, request: &str) -> anyhow::Result<Value> {
    let mut approval = approval(&cluster.awaits_terms(request).await?, "approver")?;
    approval["spec"]["submittedBy"] = json!(submitter.name);
    approval["spec"]["evidence"] = evidence();
    Ok(approval)
}

#[tokio::test]
async fn without_the_verb_nobody_acts_for_others() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("no-verb").await?;
    cluster
        .told(async {
            let orders = cluster.described_orders().await?;
            let submitter = submitter(&cluster, &[]).await?;
            trusting(&cluster, &orders, json!([{"user": submitter.name, "both": true}])).await?;
            let request = carried_request(&orders, &submitter, "look");
            submitter.cannot_apply(&request, "needs the verb request-on-behalf on accessrequests").await?;

            cluster.requester().await?.applies(&orders.request("look", "30m")).await?;
            let approval = carried_approval(&cluster, &submitter, "look").await?;
            submitter.cannot_apply(&approval, "needs the verb approve-on-behalf on accessapprovals").await?;
            cluster.has_no_grant().await
        })
        .await
}

#[tokio::test]
async fn with_the_verb_and_without_evidence_of_two_people_nobody_acts_for_others() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("no-evidence").await?;
    cluster
        .told(async {
            let orders = cluster.described_orders().await?;
            let submitter = submitter(&cluster, &[ASKS, APPROVES]).await?;
            trusting(&cluster, &orders, json!([{"user": submitter.name, "both": true}])).await?;
            let mut request = carried_request(&orders, &submitter, "look");
            request["spec"]["evidence"]["reviewer"] = json!("Requester");
            submitter.cannot_apply(&request, "two different people").await?;
            request["spec"]["evidence"] = Value::Null;
            submitter.cannot_apply(&request, "needs spec.evidence").await?;

            submitter.applies(&carried_request(&orders, &submitter, "look")).await?;
            let mut approval = carried_approval(&cluster, &submitter, "look").await?;
            approval["spec"]["evidence"] = Value::Null;
            submitter.cannot_apply(&approval, "needs spec.evidence").await?;
            approval["spec"]["evidence"] = evidence();
            approval["spec"]["approver"] = json!("requester");
            submitter.cannot_apply(&approval, "nobody approves their own request").await?;
            cluster.has_no_grant().await
        })
        .await
}

#[tokio::test]
async fn with_the_verb_but_not_named_by_the_rule_a_submitter_reaches_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("not-named").await?;
    cluster
        .told(async {
            let orders = cluster.described_orders().await?;
            let submitter = submitter(&cluster, &[ASKS, APPROVES]).await?;
            trusting(&cluster, &orders, json!([{"user": "system:serviceaccount:elsewhere:submitter"}]))
                .await?;
            submitter.applies(&carried_request(&orders, &submitter, "carried")).await?;
            let message = cluster.awaits_condition("carried", "Approved", "SubmitterNotTrusted").await?;
            ensure!(message.contains(&submitter.name) && message.contains("onBehalfBy"), "{message}");

            cluster.requester().await?.applies(&orders.request("own", "30m")).await?;
            submitter.applies(&carried_approval(&cluster, &submitter, "own").await?).await?;
            let why = cluster.awaits_judgement("own", "own-by-approver").await?;
            ensure!(why.contains("may not approve for others"), "{why}");
            cluster.has_no_grant().await
        })
        .await
}

#[tokio::test]
async fn one_submitter_carries_request_and_approval_only_where_the_rule_says_so() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("not-both").await?;
    cluster
        .told(async {
            let orders = cluster.described_orders().await?;
            let submitter = submitter(&cluster, &[ASKS, APPROVES]).await?;
            trusting(&cluster, &orders, json!([{"user": submitter.name}])).await?;
            submitter.applies(&carried_request(&orders, &submitter, "look")).await?;
            submitter.applies(&carried_approval(&cluster, &submitter, "look").await?).await?;
            let why = cluster.awaits_judgement("look", "look-by-approver").await?;
            ensure!(why.contains("brought the request too"), "{why}");
            cluster.has_no_grant().await?;

            // It is enough that one of the two is the person's own.
            let approver = cluster.approver().await?;
            let mut own = approval(&cluster.request("look").await?, "approver")?;
            own["metadata"]["name"] = json!("own");
            approver.applies(&own).await?;
            let grant = cluster.awaits_grant("look").await?;
            ensure!(grant.spec.user == "requester", "the grant is for {}", grant.spec.user);
            ensure!(grant.spec.approved_by.len() == 1, "approved by {:?}", grant.spec.approved_by);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_trusted_submitter_carries_both_and_the_person_reads() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("gitops").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let submitter = submitter(&cluster, &[ASKS, APPROVES]).await?;
            trusting(&cluster, &orders, json!([{"user": submitter.name, "both": true}])).await?;
            let requester = cluster.requester().await?;
            submitter.applies(&carried_request(&orders, &submitter, "look")).await?;
            submitter.applies(&carried_approval(&cluster, &submitter, "look").await?).await?;
            let grant = cluster.awaits_ready("look").await?;
            let read = requester.reads(&grant, "SELECT COUNT(*) FROM orders").await?;
            ensure!(read.trim() == "500", "the requester read {read}");

            // What acts for people reads nothing itself.
            let tried = submitter.runs(&grant, "SELECT 1").await?;
            ensure!(tried.code != Some(0), "the submitter read: {}", tried.out);

            // A controller applies what it has applied again and again, and prunes what is gone from the repository.
            submitter.applies(&carried_request(&orders, &submitter, "look")).await?;
            submitter.kubectl().args(["delete", "accessrequest", "look", "--wait=false"]).succeeds().await?;
            cluster.awaits_gone(&grant).await?;
            let tried = requester.runs(&grant, "SELECT 1").await?;
            ensure!(tried.code != Some(0), "the ended grant was used: {}", tried.out);
            Ok(())
        })
        .await
}
