//! What is over: requests, approvals and grants that have ended, made as if they had lived.

use anyhow::Context;
use crds::{AccessApproval, AccessGrant, AccessGrantStatus, AccessRequest, AccessRequestStatus};
use crds::{Because, ConditionType, GrantPhase, Reason, RequestPhase, condition, set_condition};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::Cluster;
use crate::cluster::impersonating;

/// How many objects are made at once.
const AT_ONCE: usize = 16;

/// The people and the operator, as the API server knows them.
struct Writers {
    requester: Client,
    approver: Client,
    operator: Client,
    namespace: String,
    /// Of the operator that leads, as its objects say it.
    leadership: String,
}

/// Makes so many of each kind in the namespace, where `requester` may ask and `approver` approve. Call it while no operator runs.
pub async fn plants(cluster: &Cluster, how_many: usize) -> anyhow::Result<()> {
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
        leadership: cluster.leadership().await?.to_string(),
    };
    let all = stream::iter(0..how_many).map(|number| writers.plants_one(number));
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
            "metadata": {"name": format!("{name}-1"), "annotations": {"access.keyhole.dev/leadership": self.leadership}},
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
        let mut status = AccessGrantStatus {
            phase: GrantPhase::Ended,
            end_reason: Some("Expired".to_owned()),
            ..AccessGrantStatus::default()
        };
        let because = Because::new(Reason::Expired, "everything is shut.");
        let ended = condition(ConditionType::Ended, true, &because);
        set_condition(&mut status.conditions, ended, made.metadata.generation, Timestamp::now());
        made.status = Some(status);
        let ended = grants.replace_status(&format!("{name}-1"), &PostParams::default(), &made).await;
        ended.map(drop).context("the grant's end")
    }
}
