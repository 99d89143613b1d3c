//! The chart: installed, upgraded and taken away again it leaves nothing behind, not even a live grant.
//!
//! It takes Keyhole away from everybody, so it runs after all other tests; it installs it again for whoever comes next.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt};
use harness::grant::all_proved;
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant, Person, Session, Shell, TestDatabase};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, WatchEvent, WatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What the test bed's own objects are called: the node, Vault's volume and reviewer, the rights of its parts.
const TEST_BEDS: [&str; 3] = ["keyhole-node", "keyhole-testbed", "keyhole:"];

/// Kinds that only remember, until their time is over.
/// Signing requests among them: people asked for them, and Kubernetes takes finished ones away after an hour.
const MEMORIES: [&str; 6] = [
    "certificatesigningrequests.certificates.k8s.io",
    "ciliumendpoints.cilium.io",
    "ciliumidentities.cilium.io",
    "componentstatuses",
    "events",
    "events.events.k8s.io",
];

/// What stays on purpose, for a new installation to go on with: the record, what was seen of it, and the keys without which nobody reads or signs it.
const KEPT: [&str; 4] = [
    "configmaps/keyhole-log-anchor",
    "persistentvolumeclaims/data-keyhole-log-0",
    "secrets/keyhole-log-kek",
    "secrets/keyhole-witness",
];

/// What every namespace gets from Kubernetes.
const FURNITURE: [&str; 2] = ["configmaps/kube-root-ca.crt", "serviceaccounts/default"];

async fn keyhole(cluster: &Cluster, args: &[&str]) -> anyhow::Result<()> {
    let verb = cluster.bed.verb("keyhole").args(args);
    verb.within(Duration::from_secs(400)).succeeds().await?;
    Ok(())
}

#[tokio::test]
async fn upgrade_keeps_a_grant_and_uninstall_leaves_no_orphans() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("chart").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let user = cluster.lease_user(&grant).await?;
            nobody_found_the_operator_stuck(&cluster).await?;
            let mut session = requester.connects(&grant).await?;

            keyhole(&cluster, &["install", "--set", "operator.replicas=1"]).await.context("upgrade")?;
            session.reads("SELECT COUNT(*) FROM orders").await.context("after the upgrade")?;
            let after = cluster.lease_user(&grant).await?;
            ensure!(user == after, "the upgrade replaced the proxy: {user} {after}");

            let others =
                Rotated { cluster: &cluster, orders: &orders, requester: &requester, approver: &approver };
            others.with(&grant, &mut session).await.context("other authorities")?;

            is_older_than_the_policies(&cluster, &grant).await?;
            let before = cluster.pod(&grant).await?.metadata.uid.context("a pod without uid")?;
            drains(&cluster).await.context("drain")?;
            ensure!(session.is_over().await, "the session outlived its proxy");
            cluster.awaits_another_proxy(&grant, &before).await.context("after the drain")?;
            let mut session = requester.connects(&grant).await?;
            session.reads("SELECT COUNT(*) FROM orders").await.context("through the new proxy")?;
            ensure!(
                !left_behind(&cluster).await?.is_empty(),
                "the search finds nothing of an installed Keyhole"
            );

            let uid = cluster.grant(&grant.name).await?.metadata.uid.context("a grant without uid")?;
            keyhole(&cluster, &["uninstall"]).await.context("uninstall")?;
            let gone = async {
                // The log goes last: it has the receipt of what the uninstallation ended.
                let record = cluster.bed.verb("keyhole").arg("record").succeeds().await?;
                let receipt = format!("\"id\":\"receipt/{uid}\"");
                ensure!(record.contains(&receipt), "the receipt of {uid} is not on record");
                ensure!(session.is_over().await, "the session still reads");
                let users = orders.lease_users().await?;
                ensure!(users.is_empty(), "database users are left: {users:?}");
                awaits_nothing_left(&cluster).await
            }
            .await;
            keyhole(&cluster, &["install"]).await.context("installed again")?;
            gone?;

            cluster.applies(&orders.policy().to_string()).await?;
            cluster.applies(&orders.object().to_string()).await?;
            cluster.awaits_policy_condition("readers", "Ready", "True").await?;
            let again =
                cluster.open(&orders, &requester, &approver, "30m").await.context("after all that")?;
            requester.reads(&again, "SELECT COUNT(*) FROM orders").await?;
            let session = requester.connects(&again).await?;
            loses_its_namespace(&cluster, &again, session).await.context("without the proxies namespace")?;
            cluster.revokes(&approver, &again).await?;
            cluster.awaits_ended(&again, Duration::from_secs(120)).await?;
            let users = orders.lease_users().await?;
            ensure!(users.is_empty(), "database users are left: {users:?}");
            Ok(())
        })
        .await
}

/// With the authorities the admission policies changed, as with the images of another release: only its seal tells this grant from one that
/// somebody made while there were none.
async fn is_older_than_the_policies(cluster: &Cluster, grant: &OpenGrant) -> anyhow::Result<()> {
    let made = cluster.grant(&grant.name).await?.metadata.creation_timestamp.context("no time")?.0;
    let changed = changed(cluster).await?;
    ensure!(changed > made, "the policy is of {changed}, the grant of {made}");
    Ok(())
}

/// When the admission policy that names the authorities was last changed.
async fn changed(cluster: &Cluster) -> anyhow::Result<Timestamp> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(cluster.client.clone());
    let policy = policies.get("operator-neighbours.access.keyhole.dev").await?;
    let times = policy.metadata.managed_fields.into_iter().flatten().filter_map(|entry| entry.time);
    times.map(|time| time.0).max().context("a policy without times")
}

/// Waits until what is asked for counts again: what was within three seconds of a change of a policy does not, and times are whole seconds.
async fn counts(cluster: &Cluster) -> anyhow::Result<()> {
    until("requests to count again", Duration::from_secs(30), || async {
        let since = Timestamp::now().duration_since(changed(cluster).await?);
        Ok(if since.as_secs() > 4 { Look::Found(()) } else { Look::NotYet(format!("{since}")) })
    })
    .await
}

/// Other authorities take the place of those that there were, and the other way round.
struct Rotated<'a> {
    cluster: &'a Cluster,
    orders: &'a TestDatabase,
    requester: &'a Person,
    approver: &'a Person,
}

impl Rotated<'_> {
    /// Nobody is cut; whoever connects anew gets in, to the proxy that knows the old ones and to the one that knows the new.
    async fn with(&self, grant: &OpenGrant, session: &mut Session) -> anyhow::Result<()> {
        let Self { cluster, orders, requester, approver } = *self;
        self.makes("newer-internal").await?;
        self.makes("newer-session").await?;
        let given = [
            "authorities.internal=newer-internal",
            "authorities.session=newer-session",
            "authorities.previous.internal=keyhole-internal-ca",
            "authorities.previous.session=keyhole-session-ca",
        ];
        installs_with(cluster, &given).await?;
        session.reads("SELECT COUNT(*) FROM orders").await.context("who was connected")?;
        requester.reads(grant, "SELECT COUNT(*) FROM orders").await.context("who connects to the old")?;

        counts(cluster).await?;
        let newer = cluster.open(orders, requester, approver, "30m").await?;
        let known = async |grant: &OpenGrant| {
            let status = cluster.grant(&grant.name).await?.status;
            status.and_then(|status| status.session_ca).context("no authority")
        };
        ensure!(known(grant).await? != known(&newer).await?, "the new proxy knows the old authority");
        let mut to_new = requester.connects(&newer).await?;
        to_new.reads("SELECT COUNT(*) FROM orders").await.context("who connects to the new")?;

        let back =
            ["authorities.previous.internal=newer-internal", "authorities.previous.session=newer-session"];
        installs_with(cluster, &back).await?;
        to_new.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;
        cluster.revokes(approver, &newer).await?;
        // Only an operator that the proxy knows can tell it why: others have its pod deleted.
        to_new.is_cut("Keyhole: grant revoked", Duration::from_secs(15)).await?;
        all_proved(&cluster.awaits_ended(&newer, Duration::from_secs(60)).await?)?;
        session.reads("SELECT COUNT(*) FROM orders").await.context("after all that")?;
        requester.reads(grant, "SELECT COUNT(*) FROM orders").await.context("whose own are back")?;
        installs_with(cluster, &[]).await?;
        for name in ["newer-internal", "newer-session"] {
            cluster.system::<Secret>().delete(name, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    /// As a platform team makes one.
    async fn makes(&self, name: &str) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let [key, certificate] = ["key", "crt"].map(|file| folder.path().join(file).display().to_string());
        let (subject, curve) = (format!("/CN={name}"), "ec_paramgen_curve:prime256v1");
        let made =
            ["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", curve, "-subj", &subject, "-days", "365"];
        let usage =
            ["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", &key, "-out", &certificate];
        Shell::new("openssl").args(made).args(usage).succeeds().await?;
        let kubectl = self.cluster.bed.kubectl().args([
            "-n",
            &self.cluster.bed.system,
            "create",
            "secret",
            "tls",
            name,
        ]);
        kubectl.args([format!("--cert={certificate}"), format!("--key={key}")]).succeeds().await?;
        Ok(())
    }
}

/// Upgrades to these values beside those of the test bed.
async fn installs_with(cluster: &Cluster, values: &[&str]) -> anyhow::Result<()> {
    let set = values.iter().flat_map(|value| ["--set", value]);
    let args: Vec<&str> = ["install", "--set", "operator.replicas=1"].into_iter().chain(set).collect();
    keyhole(cluster, &args).await
}

/// Whoever deletes the namespace of the proxies cuts everybody, and opens nothing: no NetworkPolicy goes while its pod is there.
/// (CVE-2024-7598; Kubernetes deletes pods first since 1.33, KEP-5080.)
async fn loses_its_namespace(
    cluster: &Cluster,
    grant: &OpenGrant,
    mut session: Session,
) -> anyhow::Result<()> {
    let status = cluster.grant(&grant.name).await?.status.context("a grant without status")?;
    let child = status.pod.context("a grant without pod")?;
    let (pods, policies) = (cluster.proxies::<Pod>(), cluster.proxies::<NetworkPolicy>());
    let (pod_goes, policy_goes) = (goes(&pods, &child).await?, goes(&policies, &child).await?);
    let kubectl = || cluster.bed.kubectl().within(Duration::from_secs(120));
    kubectl().args(["delete", "namespace", &cluster.bed.proxies, "--wait=false"]).succeeds().await?;
    let went = async { tokio::try_join!(pod_goes, policy_goes) }.await;
    let is_cut = session.is_over().await;
    awaits_no_namespace(cluster).await?;
    keyhole(cluster, &["install"]).await.context("installed again")?;
    let (pod, policy) = went?;
    ensure!(pod < policy, "the NetworkPolicy went at {policy}, its pod at {pod}");
    ensure!(is_cut, "the session still reads");
    Ok(())
}

/// The version of the cluster's storage at which the object of this name goes: a later one is a larger number (KEP-5504).
async fn goes<K>(
    api: &Api<K>,
    name: &str,
) -> anyhow::Result<impl Future<Output = anyhow::Result<u64>> + use<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let only = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(200);
    let from = api.get(name).await?.meta().resource_version.clone().context("an object without version")?;
    let mut events = api.watch(&only, &from).await?.boxed();
    Ok(async move {
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Deleted(object) = event {
                let version = object.meta().resource_version.clone().unwrap_or_default();
                return Ok(version.parse()?);
            }
        }
        bail!("it did not go in time")
    })
}

/// While all other tests ran, no leader said of itself that it gets nowhere. (A frozen one says nothing.)
async fn nobody_found_the_operator_stuck(cluster: &Cluster) -> anyhow::Result<()> {
    let events = cluster.bed.kubectl().args(["-n", &cluster.bed.system, "get", "events", "-o", "json"]);
    let events: Value = serde_json::from_str(&events.succeeds().await?)?;
    let told = events["items"].as_array().cloned().unwrap_or_default();
    let stuck = told.iter().filter(|event| {
        let said = event["message"].as_str().unwrap_or_default();
        said.contains("Liveness probe failed: HTTP probe failed with statuscode: 503")
    });
    let stuck: Vec<String> = stuck.map(|event| event["involvedObject"]["name"].to_string()).collect();
    ensure!(stuck.is_empty(), "the kubelet ended leaders that got nowhere: {stuck:?}");
    Ok(())
}

/// All that is Keyhole's leaves the node, as when it is maintained, and may come back.
async fn drains(cluster: &Cluster) -> anyhow::Result<()> {
    let kubectl = || cluster.bed.kubectl().within(Duration::from_secs(120));
    let ours = "--pod-selector=app.kubernetes.io/name in (keyhole-operator,keyhole-proxy,keyhole-log)";
    let drain = ["drain", TEST_BEDS[0], ours, "--force", "--delete-emptydir-data", "--timeout=100s"];
    let drained = kubectl().args(drain).succeeds().await;
    kubectl().args(["uncordon", TEST_BEDS[0]]).succeeds().await?;
    drained?;
    let rollout =
        ["-n", &cluster.bed.system, "rollout", "status", "deployment/keyhole-operator", "--timeout=100s"];
    kubectl().args(rollout).succeeds().await?;
    Ok(())
}

async fn awaits_no_namespace(cluster: &Cluster) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    until("the proxies namespace to go", Duration::from_secs(60), || async {
        let found = namespaces.get_opt(&cluster.bed.proxies).await?;
        Ok(if found.is_none() { Look::Found(()) } else { Look::NotYet(format!("{found:?}")) })
    })
    .await
}

/// The namespace of the proxies goes in its own time: Kubernetes empties it first.
async fn awaits_nothing_left(cluster: &Cluster) -> anyhow::Result<()> {
    awaits_no_namespace(cluster).await?;
    // What the operator itself made goes with its Deployment, by Kubernetes' garbage collection.
    until("nothing to be left behind but the record", Duration::from_secs(60), || async {
        let left = left_behind(cluster).await?;
        Ok(if left == KEPT { Look::Found(()) } else { Look::NotYet(left.join(" ")) })
    })
    .await
}

/// Everything in the cluster that is named, labelled or placed as if it were Keyhole's: `<resource>/<name>`.
async fn left_behind(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let kubectl = || cluster.bed.kubectl().within(Duration::from_secs(120));
    let kinds =
        kubectl().args(["api-resources", "--verbs=list", "-o", "name", "--cached=false"]).succeeds().await?;
    let mut left: Vec<String> =
        kinds.lines().filter(|kind| kind.ends_with("keyhole.dev")).map(str::to_owned).collect();
    for kind in kinds.lines().filter(|kind| !MEMORIES.contains(kind) && !kind.ends_with("keyhole.dev")) {
        let listed = kubectl().args(["get", kind, "-A", "-o", "json"]).run().await?;
        // A kind that went away while we were looking, or that has no list of its own, holds nothing.
        let Ok(list) = serde_json::from_str::<Value>(&listed.out) else { continue };
        let items = list["items"].as_array().cloned().unwrap_or_default();
        left.extend(items.iter().filter(|item| is_ours(cluster, item)).map(|item| named(kind, item)));
    }
    left.retain(|name| *name != format!("namespaces/{}", cluster.bed.system));
    Ok(left)
}

fn named(kind: &str, item: &Value) -> String {
    format!("{kind}/{}", item["metadata"]["name"].as_str().unwrap_or_default())
}

fn is_ours(cluster: &Cluster, item: &Value) -> bool {
    let metadata = &item["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let place = metadata["namespace"].as_str().unwrap_or_default();
    let at_home = [&cluster.bed.system, &cluster.bed.proxies].iter().any(|ours| *ours == place);
    let furniture = FURNITURE.iter().any(|piece| piece.ends_with(&format!("/{name}")));
    let labels = &metadata["labels"];
    let labelled = ["app.kubernetes.io/instance", "app.kubernetes.io/part-of", "app.kubernetes.io/name"]
        .iter()
        .any(|label| labels[*label].as_str().is_some_and(|value| value.starts_with("keyhole")));
    let ours = name.starts_with("keyhole") && !TEST_BEDS.iter().any(|theirs| name.starts_with(theirs));
    (at_home && !furniture) || ours || name.ends_with("keyhole.dev") || labelled
}
