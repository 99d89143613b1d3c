//! Promise 5: a named human asked, and different ones approved exactly these terms. Changing any of it needs a new approval.
//!
//! Nothing is granted here but what has enough approvals, so no database server is needed.

use anyhow::ensure;
use crds::{AccessRequest, RequestPhase};
use harness::grant::approval;
use harness::{Cluster, Person, TestDatabase};
use serde_json::{Value, json};

struct Asked {
    cluster: Cluster,
    orders: TestDatabase,
    requester: Person,
    approver: Person,
    request: AccessRequest,
}

/// The requester has asked under a policy that wants `required` of two approvers.
async fn asked(name: &str, required: u32) -> anyhow::Result<Asked> {
    let cluster = Cluster::fresh(name).await?;
    let orders = cluster.described_orders().await?;
    let mut policy = orders.policy();
    policy["spec"]["rules"][0]["approvals"] =
        json!({"required": required, "approvers": {"users": ["approver", "second-approver"]}});
    cluster.applies(&policy.to_string()).await?;
    let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
    requester.applies(&orders.request("look", "30m")).await?;
    let request = cluster.awaits_terms("look").await?;
    Ok(Asked { cluster, orders, requester, approver, request })
}

/// The approver's honest approval, changed: under this name, with these fields of its spec.
fn changed(asked: &Asked, name: &str, fields: Value) -> anyhow::Result<Value> {
    let mut approval = approval(&asked.request, "approver")?;
    approval["metadata"]["name"] = json!(name);
    let Value::Object(fields) = fields else { anyhow::bail!("fields are an object") };
    for (field, value) in fields {
        approval["spec"][field] = value;
    }
    Ok(approval)
}

async fn does_not_count(asked: &Asked, name: &str, why: &str) -> anyhow::Result<()> {
    let said = asked.cluster.awaits_judgement("look", name).await?;
    ensure!(said.contains(why), "{name} does not count, but not because of {why:?}: {said}");
    asked.cluster.has_no_grant().await
}

#[tokio::test]
async fn nobody_approves_their_own_request() -> anyhow::Result<()> {
    let asked = asked("own-approval", 1).await?;
    asked
        .cluster
        .told(async {
            // Who asks here may approve what others ask.
            asked.cluster.person("requester", &["developers"], Some("approver")).await?;
            let own = json!({"approver": "requester", "submittedBy": "requester", "groups": ["developers"]});
            let mut openly = changed(&asked, "openly", own)?;
            asked.requester.cannot_apply(&openly, "nobody approves their own request").await?;

            openly["metadata"]["name"] = json!("forged");
            openly["spec"]["requester"] = json!("stranger");
            asked.requester.applies(&openly).await?;
            does_not_count(&asked, "forged", "not who asked").await?;

            let approver = changed(&asked, "in-anothers-name", json!({}))?;
            asked.requester.cannot_apply(&approver, "spec.submittedBy must be your own user name").await?;
            let approver = changed(&asked, "for-another", json!({"submittedBy": "requester"}))?;
            asked.requester.cannot_apply(&approver, "spec.approver must be your own user name").await?;
            let request = asked.cluster.request("look").await?.status.unwrap_or_default();
            ensure!(request.approvals.as_deref() == Some("0/1"), "approvals: {:?}", request.approvals);
            asked.cluster.has_no_grant().await
        })
        .await
}

#[tokio::test]
async fn an_approval_for_other_terms_does_not_count() -> anyhow::Result<()> {
    let asked = asked("other-terms", 2).await?;
    asked
        .cluster
        .told(async {
            let other = json!({"terms": format!("sha256:{}", "0".repeat(64))});
            asked.approver.applies(&changed(&asked, "other-digest", other)?).await?;
            does_not_count(&asked, "other-digest", "other terms").await?;

            asked.approver.applies(&changed(&asked, "honest", json!({}))?).await?;
            ensure!(asked.cluster.awaits_seen("look", "honest").await?.counts, "an honest approval counts");

            // What was approved is a connection to one host; now it would be another one.
            let mut object = asked.orders.object();
            object["spec"]["host"] = json!("elsewhere.example.com");
            asked.cluster.applies(&object.to_string()).await?;
            asked.cluster.awaits_other_terms(&asked.request).await?;
            does_not_count(&asked, "honest", "other terms").await
        })
        .await
}

#[tokio::test]
async fn an_approval_of_a_request_that_was_deleted_does_not_count_for_the_next_of_its_name()
-> anyhow::Result<()> {
    let asked = asked("other-uid", 1).await?;
    asked
        .cluster
        .told(async {
            asked.requester.kubectl().args(["delete", "accessrequest", "look"]).succeeds().await?;
            asked.requester.applies(&asked.orders.request("look", "1h")).await?;
            let second = asked.cluster.awaits_terms("look").await?;
            ensure!(second.metadata.uid != asked.request.metadata.uid, "the second request is another one");

            asked.approver.applies(&changed(&asked, "for-the-first", json!({}))?).await?;
            does_not_count(&asked, "for-the-first", "another request").await?;
            let terms = json!({"terms": second.status.unwrap_or_default().terms});
            asked.approver.applies(&changed(&asked, "new-terms-old-uid", terms)?).await?;
            does_not_count(&asked, "new-terms-old-uid", "another request").await
        })
        .await
}

#[tokio::test]
async fn where_two_must_approve_one_person_counts_once() -> anyhow::Result<()> {
    let asked = asked("twice", 2).await?;
    asked
        .cluster
        .told(async {
            let cluster = &asked.cluster;
            asked.approver.applies(&changed(&asked, "once", json!({}))?).await?;
            ensure!(cluster.awaits_seen("look", "once").await?.counts, "the first approval counts");
            asked.approver.applies(&changed(&asked, "twice", json!({}))?).await?;
            does_not_count(&asked, "twice", "has approved before").await?;
            let status = cluster.request("look").await?.status.unwrap_or_default();
            ensure!(status.approvals.as_deref() == Some("1/2"), "approvals: {:?}", status.approvals);

            // Who is not named does not count either, though they may write approvals.
            let stranger = cluster.person("stranger", &[], Some("approver")).await?;
            let mut theirs = changed(&asked, "strangers", json!({"approver": "stranger", "groups": []}))?;
            theirs["spec"]["submittedBy"] = json!("stranger");
            stranger.applies(&theirs).await?;
            does_not_count(&asked, "strangers", "names neither").await?;

            let second = cluster.person("second-approver", &["approvers"], Some("approver")).await?;
            second.applies(&approval(&asked.request, "second-approver")?).await?;
            let grant = cluster.awaits_grant("look").await?;
            let mut by: Vec<_> = grant.spec.approved_by.iter().map(|by| by.approver.as_str()).collect();
            by.sort_unstable();
            ensure!(by == ["approver", "second-approver"], "approved by {by:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_deleted_denial_is_still_a_denial() -> anyhow::Result<()> {
    let asked = asked("denied", 1).await?;
    asked
        .cluster
        .told(async {
            let denial = json!({"decision": "Deny", "comment": "use the replica"});
            asked.approver.applies(&changed(&asked, "no", denial)?).await?;
            let message = asked.cluster.awaits_condition("look", "Approved", "Denied").await?;
            ensure!(message.contains("approver") && message.contains("use the replica"), "{message}");

            let delete = ["delete", "accessapproval", "no"];
            asked.cluster.kubectl().args(delete).is_refused("a denial is final").await?;
            asked.approver.kubectl().args(delete).succeeds().await?;
            asked.approver.applies(&changed(&asked, "yes", json!({}))?).await?;
            // The next request's terms show that the operator has gone on.
            asked.requester.applies(&asked.orders.request("again", "30m")).await?;
            asked.cluster.awaits_terms("again").await?;
            let status = asked.cluster.request("look").await?.status.unwrap_or_default();
            ensure!(status.phase == RequestPhase::Denied, "the request is {:?}", status.phase);
            asked.cluster.has_no_grant().await
        })
        .await
}

#[tokio::test]
async fn a_request_speaks_for_its_writer_and_of_all_their_groups() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("truthful").await?;
    cluster
        .told(async {
            let orders = cluster.described_orders().await?;
            let requester = cluster.requester().await?;
            let refused = [
                (json!({"user": "stranger"}), "spec.user must be your own user name: write requester"),
                (json!({"submittedBy": "approver"}), "spec.submittedBy must be your own user name"),
                (json!({"groups": []}), "you are in developers: add to spec.groups"),
                (json!({"groups": ["developers", "approvers"]}), "you are not in approvers: remove"),
                (json!({"duration": "0m"}), "write 1m to 12h"),
                (json!({"duration": "-5m"}), "write 1m to 12h"),
                (json!({"duration": "8760h"}), "write 1m to 12h"),
            ];
            for (fields, why) in refused {
                let mut request = orders.request("look", "30m");
                let Value::Object(fields) = fields else { anyhow::bail!("fields are an object") };
                for (field, value) in fields {
                    request["spec"][field] = value;
                }
                requester.cannot_apply(&request, why).await?;
            }
            cluster.has_no_grant().await
        })
        .await
}

#[tokio::test]
async fn nothing_of_a_request_or_an_approval_changes_not_even_what_may_be_left_out() -> anyhow::Result<()> {
    let asked = asked("immutable", 2).await?;
    asked
        .cluster
        .told(async {
            asked.approver.applies(&changed(&asked, "yes", json!({}))?).await?;
            let evidence = json!({
                "pullRequest": "https://git.example.com/access/pulls/7", "commit": "0".repeat(40),
                "author": "one", "reviewer": "two",
            });
            let patches = [
                ("accessrequest/look", json!({"duration": "12h"}), "a request never changes"),
                ("accessrequest/look", json!({"user": "stranger"}), "a request never changes"),
                ("accessrequest/look", json!({"groups": null}), "a request never changes"),
                ("accessrequest/look", json!({"evidence": evidence}), "a request never changes"),
                ("accessapproval/yes", json!({"decision": "Deny"}), "an approval never changes"),
                ("accessapproval/yes", json!({"comment": "for ever"}), "an approval never changes"),
                ("accessapproval/yes", json!({"evidence": evidence}), "an approval never changes"),
            ];
            for (object, spec, why) in patches {
                let patch = json!({"spec": spec}).to_string();
                let kubectl = asked.cluster.kubectl().args(["patch", object, "--type=merge", "-p", &patch]);
                kubectl.is_refused(why).await?;
            }
            let approved = json!({"status": {"phase": "Approved", "grant": "look-01234567"}}).to_string();
            let patch =
                ["patch", "accessrequest/look", "--subresource=status", "--type=merge", "-p", &approved];
            asked.cluster.kubectl().args(patch).is_refused("only the operator writes the status").await
        })
        .await?;
    Ok(())
}
