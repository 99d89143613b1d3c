//! Teams with a database each, and the people who ask, approve and revoke, as the API server knows them.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use crds::{AccessApproval, AccessGrant, AccessRequest, RequestPhase};
use futures_util::{StreamExt, TryStreamExt, stream};
use harness::cluster::impersonating;
use harness::grant::approval;
use harness::{Bed, Cluster, TestDatabase};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

/// How many teams there are: each has a namespace, a server of its own, and a role in Vault.
pub const TEAMS: usize = 8;

/// The most live grants that one person may have of one database, as the policy says.
const OF_ONE_PERSON: usize = 20;

/// The most objects that are made at once.
const AT_ONCE: usize = 16;

/// How long one grant lasts: longer than a run, which must not see one end by itself.
const DURATION: &str = "8h";

/// A namespace with a database.
pub struct Team {
    /// The namespace.
    pub cluster: Cluster,
    /// The database.
    pub database: TestDatabase,
}

impl Team {
    /// Makes one; `Database` and policy allow what a run needs.
    pub async fn made(number: usize) -> anyhow::Result<Self> {
        let cluster = Cluster::fresh(&format!("scale-{number}")).await?;
        let database = cluster.orders().await?;
        let mut policy = database.policy();
        policy["spec"]["rules"][0]["maxDuration"] = json!(DURATION);
        policy["spec"]["rules"][0]["maxLive"] = json!(OF_ONE_PERSON);
        cluster.applies(&policy.to_string()).await?;
        for (role, group) in [("requester", "developers"), ("approver", "approvers")] {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("keyhole-{role}"),
                },
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
            });
            cluster.applies(&binding.to_string()).await?;
        }
        Ok(Self { cluster, database })
    }
}

/// Everybody.
pub struct People {
    requesters: Vec<Client>,
    approver: Client,
}

impl People {
    /// As many requesters as these grants need.
    pub async fn made(bed: &Bed, grants: usize) -> anyhow::Result<Self> {
        let groups = |group: &str| [group.to_owned(), "system:authenticated".to_owned()];
        let mut requesters = Vec::new();
        for number in 0..grants.div_ceil(TEAMS * OF_ONE_PERSON) {
            requesters.push(impersonating(bed, &format!("requester-{number}"), &groups("developers")).await?);
        }
        Ok(Self { requesters, approver: impersonating(bed, "approver", &groups("approvers")).await? })
    }

    /// Asks for the grants of these numbers, spread over teams and people.
    pub async fn ask(&self, teams: &[Team], numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        let all = stream::iter(numbers).map(|number| self.asks(teams, number));
        all.buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    async fn asks(&self, teams: &[Team], number: usize) -> anyhow::Result<()> {
        let team = teams.get(number % TEAMS).context("a team for each number")?;
        let person = number / TEAMS / OF_ONE_PERSON;
        let client = self.requesters.get(person).context("a person for each number")?;
        let mut request = team.database.request(&format!("look-{number}"), DURATION);
        let name = format!("requester-{person}");
        request["spec"]["user"] = json!(name);
        request["spec"]["submittedBy"] = json!(name);
        let request: AccessRequest = serde_json::from_value(request)?;
        let requests: Api<AccessRequest> = Api::namespaced(client.clone(), &team.cluster.namespace);
        requests.create(&PostParams::default(), &request).await.context("a request")?;
        Ok(())
    }

    /// Approves whatever `client` sees waiting, until dropped.
    pub async fn approve(self: Arc<Self>, client: Client) -> anyhow::Result<()> {
        let requests: Api<AccessRequest> = Api::all(client);
        let changes = watcher(requests, watcher::Config::default()).default_backoff().applied_objects();
        let mut changes = std::pin::pin!(changes);
        let mut approved = BTreeSet::new();
        let turns = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        while let Some(request) = changes.try_next().await? {
            let status = request.status.clone().unwrap_or_default();
            let waits = status.phase == RequestPhase::Pending && status.terms.is_some();
            if waits && approved.insert(request.uid()) {
                let turn = Arc::clone(&turns).acquire_owned().await?;
                let people = Arc::clone(&self);
                tokio::spawn(async move {
                    if let Err(error) = people.approves(&request).await {
                        eprintln!("an approval: {error:#}");
                    }
                    drop(turn);
                });
            }
        }
        anyhow::bail!("the watch of requests ended")
    }

    async fn approves(&self, request: &AccessRequest) -> anyhow::Result<()> {
        let approval: AccessApproval = serde_json::from_value(approval(request, "approver")?)?;
        let namespace = request.namespace().context("a request without namespace")?;
        let approvals: Api<AccessApproval> = Api::namespaced(self.approver.clone(), &namespace);
        approvals.create(&PostParams::default(), &approval).await?;
        Ok(())
    }

    /// Revokes a grant.
    pub async fn revoke(&self, namespace: &str, grant: &str) -> anyhow::Result<()> {
        let grants: Api<AccessGrant> = Api::namespaced(self.approver.clone(), namespace);
        let patch: Value = json!({"spec": {"revocation": {"by": "approver", "reason": "measured"}}});
        grants.patch(grant, &PatchParams::default(), &Patch::Merge(patch)).await.context("a revocation")?;
        Ok(())
    }
}
