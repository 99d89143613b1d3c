//! Promise 5 with GitOps: a service account applies manifests in other people's names, where RBAC and the policy's rule trust
//! it, and with evidence of a review by two people. The rights and the evidence are those of `docs/gitops.md`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::grant::{all_proved, approval};
use harness::{Cluster, Person, TestDatabase};
use serde::Deserialize;
use serde_json::{Value, json};

const ASKS: &str = "request-on-behalf";
const APPROVES: &str = "approve-on-behalf";

/// The YAML documents of `docs/gitops.md`, block by block.
fn documented() -> anyhow::Result<Vec<Vec<Value>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gitops.md");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let parsed = blocks.map(|block| {
        let documents = serde_norway::Deserializer::from_str(block);
        documents.map(|document| Value::deserialize(document).context("a block is no YAML")).collect()
    });
    parsed.collect()
}

/// The service account `submitter` with the Role that the manual gives a GitOps controller; of the verbs that act for
/// others only `verbs`.
async fn submitter(cluster: &Cluster, verbs: &[&str]) -> anyhow::Result<Person> {
    let submitter = cluster.platforms_account("submitter").await?;
    let rights = documented()?.into_iter().next().context("the manual shows no Role")?;
    ensure!(rights.len() == 2, "the manual shows a Role and its binding: {rights:?}");
    for mut object in rights {
        object["metadata"]["namespace"] = json!(cluster.namespace);
        if object["kind"] == "RoleBinding" {
            object["subjects"] =
                json!([{"kind": "ServiceAccount", "name": "submitter", "namespace": cluster.platforms()}]);
        }
        for rule in object["rules"].as_array_mut().into_iter().flatten() {
            let granted = rule["verbs"].as_array_mut().context("a rule without verbs")?;
            granted.retain(|verb| {
                let verb = verb.as_str().unwrap_or_default();
                !verb.ends_with("-on-behalf") || verbs.contains(&verb)
            });
        }
        cluster.applies(&object.to_string()).await?;
    }
    Ok(submitter)
}

/// The policy of the tests, with these submitters trusted.
async fn trusting(cluster: &Cluster, orders: &TestDatabase, on_behalf_by: Value) -> anyhow::Result<()> {
    let mut policy = orders.policy();
    policy["spec"]["rules"][0]["onBehalfBy"] = on_behalf_by;
    cluster.applies(&policy.to_string()).await.map(drop)
}

/// As in the manual.
fn evidence() -> anyhow::Result<Value> {
    let requests = documented()?.into_iter().flatten().find(|object| object["kind"] == "AccessRequest");
    Ok(requests.context("the manual shows no AccessRequest")?["spec"]["evidence"].clone())
}

/// The requester's request as the submitter applies it.
fn carried_request(orders: &TestDatabase, submitter: &Person, name: &str) -> anyhow::Result<Value> {
    let mut request = orders.request(name, "30m");
    request["spec"]["submittedBy"] = json!(submitter.name);
    request["spec"]["evidence"] = evidence()?;
    Ok(request)
}

/// The approver's approval as the submitter applies it.
async fn carried_approval(cluster: &Cluster, submitter: &Person, request: &str) -> anyhow::Result<Value> {
    let mut approval = approval(&cluster.awaits_terms(request).await?, "approver")?;
    approval["spec"]["submittedBy"] = json!(submitter.name);
    approval["spec"]["evidence"] = evidence()?;
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
            let request = carried_request(&orders, &submitter, "look")?;
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
            let mut request = carried_request(&orders, &submitter, "look")?;
            request["spec"]["evidence"]["reviewer"] = json!("Requester");
            submitter.cannot_apply(&request, "two different people").await?;
            request["spec"]["evidence"] = Value::Null;
            submitter.cannot_apply(&request, "needs spec.evidence").await?;

            submitter.applies(&carried_request(&orders, &submitter, "look")?).await?;
            let mut approval = carried_approval(&cluster, &submitter, "look").await?;
            approval["spec"]["evidence"] = Value::Null;
            submitter.cannot_apply(&approval, "needs spec.evidence").await?;
            approval["spec"]["evidence"] = evidence()?;
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
            submitter.applies(&carried_request(&orders, &submitter, "carried")?).await?;
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
            submitter.applies(&carried_request(&orders, &submitter, "look")?).await?;
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
            submitter.applies(&carried_request(&orders, &submitter, "look")?).await?;
            submitter.applies(&carried_approval(&cluster, &submitter, "look").await?).await?;
            let grant = cluster.awaits_ready("look").await?;
            let read = requester.reads(&grant, "SELECT COUNT(*) FROM orders").await?;
            ensure!(read.trim() == "500", "the requester read {read}");

            // What acts for people reads nothing itself.
            let tried = submitter.runs(&grant, "SELECT 1").await?;
            ensure!(tried.code != Some(0), "the submitter read: {}", tried.out);

            // A controller applies what it has applied again and again, and prunes what is gone from the repository.
            submitter.applies(&carried_request(&orders, &submitter, "look")?).await?;
            submitter.kubectl().args(["delete", "accessrequest", "look", "--wait=false"]).succeeds().await?;
            all_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)?;
            let tried = requester.runs(&grant, "SELECT 1").await?;
            ensure!(tried.code != Some(0), "the ended grant was used: {}", tried.out);

            // What somebody deleted here comes back from the repository, and is granted no second time.
            submitter.applies(&carried_request(&orders, &submitter, "look")?).await?;
            cluster.awaits_condition("look", "Approved", "AlreadyGranted").await?;
            Ok(())
        })
        .await
}

/// Whoever may edit in the team's namespace can be its service accounts: the documented rights, verbs and evidence are all theirs.
#[tokio::test]
async fn whoever_edits_in_the_teams_namespace_grants_themselves_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("editor").await?;
    cluster
        .told(async {
            let orders = cluster.described_orders().await?;
            let editor = cluster.person("requester", &["developers"], None).await?;
            let binding = ["create", "rolebinding", "edits", "--clusterrole=edit", "--user=requester"];
            cluster.kubectl().args(binding).succeeds().await?;
            cluster.kubectl().args(["create", "serviceaccount", "flux"]).succeeds().await?;
            let account = format!("system:serviceaccount:{}:flux", cluster.namespace);
            let rights = documented()?.into_iter().next().context("the manual shows no Role")?;
            for mut object in rights {
                object["metadata"]["namespace"] = json!(cluster.namespace);
                if object["kind"] == "RoleBinding" {
                    object["subjects"] =
                        json!([{"kind": "ServiceAccount", "name": "flux", "namespace": cluster.namespace}]);
                }
                cluster.applies(&object.to_string()).await?;
            }
            trusting(&cluster, &orders, json!([{"user": account, "both": true}])).await?;
            let mut request = orders.request("look", "30m");
            request["spec"]["submittedBy"] = json!(account);
            request["spec"]["evidence"] = evidence()?;
            let create = || editor.kubectl().args(["--as", &account, "create", "-f", "-"]);
            create().input(request.to_string()).succeeds().await.context("what `edit` may do")?;
            let message = cluster.awaits_condition("look", "Approved", "SubmitterInTeamNamespace").await?;
            ensure!(message.contains(&account) && message.contains("platform team"), "{message}");

            // Nor can it approve what somebody asks in their own name.
            cluster.requester().await?.applies(&orders.request("own", "30m")).await?;
            let mut approval = approval(&cluster.awaits_terms("own").await?, "approver")?;
            approval["spec"]["submittedBy"] = json!(account);
            approval["spec"]["evidence"] = evidence()?;
            create().input(approval.to_string()).succeeds().await.context("what `edit` may do")?;
            let why = cluster.awaits_judgement("own", "own-by-approver").await?;
            ensure!(why.contains("service account of this namespace"), "{why}");
            cluster.has_no_grant().await
        })
        .await
}
