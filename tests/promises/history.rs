//! Whatever is over costs the operator nothing: with hundreds of requests, approvals and grants that have ended, a new leader
//! starts, lives, and ends the one grant that is open.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crds::{AccessApproval, AccessGrant, AccessGrantStatus, AccessRequest, AccessRequestStatus};
use crds::{GrantPhase, RequestPhase};
use futures_util::{StreamExt, TryStreamExt, stream};
use harness::Cluster;
use harness::cluster::impersonating;
use harness::wait::{Look, until};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

/// How many of each kind: with 300 an operator of 192 MiB that looked at each of them was killed again and again.
const HISTORY: usize = 400;

/// How many objects are made at once.
const AT_ONCE: usize = 16;

/// A leader that is silent is given up after 15 s, and another looks every 2; the rest is a busy machine.
const EXECUTED: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_over_costs_nothing_and_a_new_leader_ends_what_is_open() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("history").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let live = cluster.open(&orders, &requester, &approver, "30m").await?;
            let mut session = requester.connects(&live).await?;

            cluster.stops_the_operator().await?;
            let planted = plants(&cluster).await;
            cluster.starts_the_operator().await?;
            planted?;
            all_are_settled(&cluster).await?;

            session.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;
            let leader = cluster.leader().await?;
            cluster.pod_fault(&cluster.bed.system, &leader, "freeze").await?;
            let silent = Instant::now();
            cluster.revokes(&approver, &live).await?;
            session.is_cut("Keyhole: grant revoked", EXECUTED).await?;
            println!("cut {:.1} s after the leader fell silent", silent.elapsed().as_secs_f64());
            let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            cluster.system::<Pod>().delete(&leader, &at_once).await?;
            cluster.awaits_ended(&live, Duration::from_secs(60)).await?;
            let restarts = restarts(&cluster).await?;
            ensure!(restarts == 0, "the operator was restarted {restarts} times");
            Ok(())
        })
        .await
}

/// How often any container of the operator was started again.
async fn restarts(cluster: &Cluster) -> anyhow::Result<i32> {
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let pods = cluster.system::<Pod>().list(&operators).await?.items;
    let statuses = pods.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
    Ok(statuses.map(|status| status.restart_count).sum())
}

/// Ended grants of an earlier release are looked at once, and never again.
async fn all_are_settled(cluster: &Cluster) -> anyhow::Result<()> {
    let ended = ListParams::default().fields("status.phase=Ended,status.settled!=true");
    until("all ended grants to be settled", Duration::from_secs(120), || async {
        let left = cluster.api::<AccessGrant>().list_metadata(&ended).await?.items.len();
        Ok(if left == 0 { Look::Found(()) } else { Look::NotYet(format!("{left} left")) })
    })
    .await
}

/// The people and the operator, as the API server knows them.
struct Writers {
    requester: Client,
    approver: Client,
    operator: Client,
    namespace: String,
}

async fn plants(cluster: &Cluster) -> anyhow::Result<()> {
    let groups = |group: &str| vec![group.to_owned(), "system:authenticated".to_owned()];
    let writers = Writers {
        requester: impersonating(&cluster.bed, "requester", &groups("developers")).await?,
        approver: impersonating(&cluster.bed, "approver", &groups("approvers")).await?,
        operator: impersonating(
            &cluster.bed,
            &cluster.bed.operator_user(),
            &groups("system:serviceaccounts"),
        )
        .await?,
        namespace: cluster.namespace.clone(),
    };
    let all = stream::iter(0..HISTORY).map(|number| writers.plants_one(number));
    all.buffer_unordered(AT_ONCE).try_collect::<()>().await
}

impl Writers {
    /// A request that has ended, its approval, and its grant as the last release left it.
    async fn plants_one(&self, number: usize) -> anyhow::Result<()> {
        let name = format!("over-{number}");
        let requests: Api<AccessRequest> = Api::namespaced(self.requester.clone(), &self.namespace);
        let request: AccessRequest = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "database": "orders", "user": "requester", "submittedBy": "requester", "groups": ["developers"],
                "reason": "order 7 shows the wrong total", "duration": "30m"
            }
        }))?;
        let made = requests.create(&PostParams::default(), &request).await.context("a request")?;
        let uid = made.metadata.uid.clone().context("a request without uid")?;
        let approval: AccessApproval = serde_json::from_value(json!({
            "metadata": {"name": format!("{name}-approver")},
            "spec": {
                "request": {"name": name, "uid": uid}, "requester": "requester", "approver": "approver",
                "submittedBy": "approver", "groups": ["approvers"], "decision": "Approve",
                "terms": format!("sha256:{}", "0".repeat(64))
            }
        }))?;
        let approvals: Api<AccessApproval> = Api::namespaced(self.approver.clone(), &self.namespace);
        approvals.create(&PostParams::default(), &approval).await.context("an approval")?;
        self.ends(made, &uid).await
    }

    async fn ends(&self, mut request: AccessRequest, uid: &str) -> anyhow::Result<()> {
        let name = request.metadata.name.clone().context("a request without name")?;
        let requests: Api<AccessRequest> = Api::namespaced(self.operator.clone(), &self.namespace);
        request.status =
            Some(AccessRequestStatus { phase: RequestPhase::Ended, ..AccessRequestStatus::default() });
        requests.replace_status(&name, &PostParams::default(), &request).await.context("its end")?;
        let grant: AccessGrant = serde_json::from_value(json!({
            "metadata": {"name": format!("{name}-1")},
            "spec": {
                "request": {"name": name, "uid": uid}, "user": "requester",
                "terms": {
                    "database": "orders", "databaseUid": "d", "policy": "readers", "policyUid": "p", "rule": "one",
                    "databaseSpec": {
                        "engine": "mariadb", "host": "orders", "tls": {"mode": "Disabled"},
                        "credentials": {"vault": {"role": "orders-read"}}, "accessPolicy": "readers",
                        "network": {"to": {"cidr": "10.0.0.1/32"}}
                    },
                    "limits": {}, "minutes": 30
                },
                "termsDigest": format!("sha256:{}", "0".repeat(64)), "expiresAt": "2026-01-01T12:30:00Z"
            }
        }))?;
        let grants: Api<AccessGrant> = Api::namespaced(self.operator.clone(), &self.namespace);
        let mut made = grants.create(&PostParams::default(), &grant).await.context("a grant")?;
        made.status = Some(AccessGrantStatus {
            phase: GrantPhase::Ended,
            end_reason: Some("Expired".to_owned()),
            ..AccessGrantStatus::default()
        });
        let ended = grants.replace_status(&format!("{name}-1"), &PostParams::default(), &made).await;
        ended.map(drop).context("the grant's end")
    }
}
