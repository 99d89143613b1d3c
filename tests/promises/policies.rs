//! Promise 5: what a policy does not say is refused, and why is told. No database server is needed.

use std::time::Duration;

use anyhow::{Context, ensure};
use crds::{AccessGrant, RequestPhase};
use harness::wait::{Look, until};
use harness::{Cluster, TestDatabase};
use kube::api::ListParams;
use serde_json::{Value, json};

/// Asks under these rules; nothing may be granted, and the request must say why. Answers its words.
async fn is_refused(cluster: &Cluster, rules: Value, reason: &str) -> anyhow::Result<String> {
    let orders = ruled(cluster, rules).await?;
    cluster.requester().await?.applies(&orders.request("look", "30m")).await?;
    let message = cluster.awaits_condition("look", "Approved", reason).await?;
    cluster.has_no_grant().await?;
    Ok(message)
}

async fn ruled(cluster: &Cluster, rules: Value) -> anyhow::Result<TestDatabase> {
    let orders = cluster.described_orders().await?;
    let mut policy = orders.policy();
    policy["spec"]["rules"] = rules;
    cluster.applies(&policy.to_string()).await?;
    Ok(orders)
}

/// What would grant at once.
fn automatic() -> Value {
    json!({"name": "all", "approvals": {"required": 0}})
}

#[tokio::test]
async fn an_expression_that_does_not_compile_grants_nothing_and_is_told() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("not-cel").await?;
    cluster
        .told(async {
            let rules =
                json!([{"name": "broken", "when": "request.user ==", "deny": {"message": "no"}}, automatic()]);
            let message = is_refused(&cluster, rules, "PolicyError").await?;
            ensure!(message.contains("\"broken\"") && message.contains("does not compile"), "{message}");
            let message = cluster.awaits_policy_condition("readers", "Ready", "False").await?;
            ensure!(message.contains("broken"), "the policy does not name its broken rule: {message}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_expression_that_fails_or_is_not_true_or_false_grants_nothing() -> anyhow::Result<()> {
    for (name, when) in [("no-such-key", "database.labels.team == 'x'"), ("not-bool", "request.user")] {
        let cluster = Cluster::fresh(name).await?;
        let told = async {
            let rules = json!([{"name": "broken", "when": when, "deny": {"message": "no"}}, automatic()]);
            let message = is_refused(&cluster, rules, "PolicyError").await?;
            ensure!(message.contains("\"broken\""), "the rule is not named: {message}");
            Ok(())
        };
        cluster.told(told).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_rule_denies_stays_denied_under_a_laxer_policy() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("denying-rule").await?;
    cluster
        .told(async {
            let rules = json!([{"name": "no", "deny": {"message": "use the replica"}}, automatic()]);
            let message = is_refused(&cluster, rules, "DeniedByPolicy").await?;
            ensure!(message.contains("use the replica"), "{message}");
            let orders = ruled(&cluster, json!([automatic()])).await?;
            // A label makes the operator look again; the next request shows that it has seen the laxer policy.
            cluster.kubectl().args(["label", "accessrequest", "look", "look=again"]).succeeds().await?;
            cluster.requester().await?.applies(&orders.request("again", "30m")).await?;
            cluster.awaits_grant("again").await?;
            let status = cluster.request("look").await?.status.unwrap_or_default();
            ensure!(status.phase == RequestPhase::Denied && status.grant.is_none(), "{status:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn where_no_rule_matches_nothing_is_granted() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("no-rule").await?;
    cluster
        .told(async {
            let others = "request.user == 'stranger'";
            let rules = json!([{"name": "others", "when": others, "approvals": {"required": 0}}]);
            is_refused(&cluster, rules, "NoRuleMatches").await.map(drop)
        })
        .await
}

#[tokio::test]
async fn a_duration_over_the_rules_maximum_is_denied_and_the_maximum_told() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("too-long").await?;
    cluster
        .told(async {
            let mut rule = automatic();
            rule["maxDuration"] = json!("29m");
            let message = is_refused(&cluster, json!([rule]), "DurationTooLong").await?;
            ensure!(message.contains("at most 29m"), "{message}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn of_many_requests_decided_at_once_no_more_are_granted_than_a_person_may_have() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("at-once").await?;
    cluster
        .told(async {
            let mut rule = automatic();
            rule["maxLive"] = json!(1);
            let orders = ruled(&cluster, json!([rule])).await?;
            let names: Vec<String> = (0..12).map(|number| format!("look-{number}")).collect();
            let of_later = |name: &String| {
                let mut request = orders.request(name, "30m");
                request["spec"]["database"] = json!("later");
                request
            };
            let requests: Vec<Value> = names.iter().map(of_later).collect();
            let requests = json!({"apiVersion": "v1", "kind": "List", "items": requests});
            cluster.requester().await?.applies(&requests).await?;
            for name in &names {
                cluster.awaits_condition(name, "Approved", "DatabaseUnknown").await?;
            }
            // All of them were waiting for it.
            let mut object = orders.object();
            object["metadata"]["name"] = json!("later");
            cluster.applies(&object.to_string()).await?;
            for name in &names {
                decided(&cluster, name).await?;
            }
            let grants = cluster.api::<AccessGrant>().list(&ListParams::default()).await?.items;
            ensure!(grants.len() == 1, "one person has {} grants where the rule allows one", grants.len());
            Ok(())
        })
        .await
}

/// Waits until the request has a grant, or waits for the end of another.
async fn decided(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    until(&format!("a decision on {name}"), Duration::from_secs(30), || async {
        let status = cluster.request(name).await?.status.unwrap_or_default();
        let waits = status.conditions.iter().any(|condition| condition.reason == "TooManyLive");
        Ok(if waits || status.grant.is_some() {
            Look::Found(())
        } else {
            Look::NotYet(format!("{status:?}"))
        })
    })
    .await
}

#[tokio::test]
async fn an_unknown_database_is_waited_for_and_told() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("unknown").await?;
    cluster
        .told(async {
            let orders = ruled(&cluster, json!([automatic()])).await?;
            let mut request = orders.request("look", "30m");
            request["spec"]["database"] = json!("invoices");
            cluster.requester().await?.applies(&request).await?;
            let message = cluster.awaits_condition("look", "Approved", "DatabaseUnknown").await?;
            ensure!(message.contains("\"invoices\""), "the database is not named: {message}");
            cluster.has_no_grant().await?;

            let mut object = orders.object();
            object["metadata"]["name"] = json!("invoices");
            object["spec"]["accessPolicy"] = json!("nobody-wrote-it");
            cluster.applies(&object.to_string()).await?;
            let message = cluster.awaits_condition("look", "Approved", "PolicyUnknown").await?;
            ensure!(message.contains("\"nobody-wrote-it\""), "the policy is not named: {message}");
            cluster.has_no_grant().await
        })
        .await
}

#[tokio::test]
async fn whoever_may_only_revoke_does_so_in_all_namespaces_and_asks_for_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("revoker").await?;
    cluster
        .told(async {
            // Other tests' grants are not meant.
            let database = TestDatabase::described(&cluster, &cluster.namespace).await?;
            let mut policy = database.policy();
            policy["spec"]["rules"] = json!([automatic()]);
            cluster.applies(&policy.to_string()).await?;
            cluster.requester().await?.applies(&database.request("look", "30m")).await?;
            let grant = cluster.awaits_grant("look").await?.metadata.name.context("a grant without name")?;
            let on_call = cluster.person("on-call", &[], None).await?;
            let revoke = || {
                let of = [
                    "--database",
                    &cluster.namespace,
                    "-A",
                    "--no-wait",
                    "--reason",
                    "the server is on fire",
                ];
                on_call.keyhole("revoke").args(of)
            };
            revoke().is_refused("forbidden").await?;
            let kubectl = || cluster.kubectl();
            let binding = cluster.namespace.as_str();
            kubectl()
                .args([
                    "create",
                    "clusterrolebinding",
                    binding,
                    "--clusterrole=keyhole-revoker",
                    "--user=on-call",
                ])
                .succeeds()
                .await?;
            let revoked = async {
                // The API server hears of a binding a little later.
                let said = until("the right to revoke", Duration::from_secs(20), || async {
                    let tried = revoke().run().await?;
                    let refused = tried.err.contains("forbidden");
                    Ok(if refused {
                        Look::NotYet(tried.err)
                    } else {
                        Look::Found(format!("{}{}", tried.out, tried.err))
                    })
                })
                .await?;
                ensure!(said.contains("ordered to end") && said.contains(&grant), "{said}");
                on_call.cannot_apply(&database.request("of-their-own", "30m"), "forbidden").await
            }
            .await;
            kubectl().args(["delete", "clusterrolebinding", binding]).succeeds().await?;
            revoked?;
            let revocation = cluster.grant(&grant).await?.spec.revocation.context("not revoked")?;
            ensure!(
                revocation.by == "on-call" && revocation.reason == "the server is on fire",
                "{revocation:?}"
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_grant_is_written_by_the_operator_alone() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("grant-touched").await?;
    cluster
        .told(async {
            let orders = ruled(&cluster, json!([automatic()])).await?;
            cluster.requester().await?.applies(&orders.request("look", "30m")).await?;
            let grant = cluster.awaits_grant("look").await?;
            let name = grant.metadata.name.clone().unwrap_or_default();
            let object = format!("accessgrant/{name}");
            let merge = |patch: Value, more: &[&str]| {
                let patch = patch.to_string();
                let kubectl = cluster.kubectl().args(["patch", &object, "--type=merge", "-p", &patch]);
                kubectl.args(more)
            };
            let finalizers = json!({"metadata": {"finalizers": null}});
            merge(finalizers, &[]).is_refused("denied request").await?;
            let ended = json!({"status": {"phase": "Ended"}});
            merge(ended, &["--subresource=status"]).is_refused("only the operator writes the status").await?;
            let longer = json!({"spec": {"expiresAt": "2100-01-01T00:00:00Z"}});
            merge(longer, &[]).is_refused("nothing of a grant changes").await?;
            let forged = json!({"spec": {"revocation": {"by": "approver", "reason": "x"}}});
            merge(forged, &[]).is_refused("spec.revocation.by must be your own user name").await?;

            let mut made = serde_json::to_value(&grant)?;
            made["metadata"] = json!({"name": "made-by-hand", "namespace": cluster.namespace});
            let apply = cluster.kubectl().args(["apply", "-f", "-"]).input(made.to_string());
            apply.is_refused("only the operator makes grants").await?;

            let untouched = cluster.grant(&name).await?;
            ensure!(
                untouched.metadata.finalizers == grant.metadata.finalizers,
                "the finalizers have changed"
            );
            ensure!(untouched.spec == grant.spec, "the grant has changed");
            Ok(())
        })
        .await
}
