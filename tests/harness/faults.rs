//! Faults: what a test takes away from the cluster, and gives back.

use std::time::Duration;

use anyhow::{Context, ensure};
use crds::{ConditionType, is_true};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use serde_json::json;

use crate::wait::{Look, until};
use crate::{Cluster, OpenGrant, Shell, TestDatabase};

/// A part of the cluster takes this long to go or to come at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// The operator's policy in Vault, as `vault-setup --operator` calls it.
const OPERATORS_POLICY: &str = "keyhole.operator";

/// Held by a test that takes away what the other tests of its file need too, and by those: `let _alone = ALONE.lock().await`.
pub static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What of a pod's traffic to a port goes nowhere.
#[derive(Clone, Copy, Debug)]
pub enum Silence {
    /// That of the connections that are open now.
    OpenConnections,
    /// All of it.
    Everything,
}

impl Cluster {
    /// Takes the operator away: no replica is left.
    pub async fn stops_the_operator(&self) -> anyhow::Result<()> {
        let kubectl = || self.bed.kubectl().args(["-n", &self.bed.system]).within(PATIENCE);
        kubectl().args(["scale", "deployment/keyhole-operator", "--replicas=0"]).succeeds().await?;
        kubectl()
            .args(["wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=operator"])
            .arg("--timeout=100s")
            .succeeds()
            .await?;
        Ok(())
    }

    /// Brings the operator back.
    pub async fn starts_the_operator(&self) -> anyhow::Result<()> {
        let kubectl = || self.bed.kubectl().args(["-n", &self.bed.system]).within(PATIENCE);
        kubectl().args(["scale", "deployment/keyhole-operator", "--replicas=2"]).succeeds().await?;
        kubectl()
            .args(["rollout", "status", "deployment/keyhole-operator", "--timeout=100s"])
            .succeeds()
            .await?;
        Ok(())
    }

    /// Waits until the API server answers.
    pub async fn answers(&self, within: Duration) -> anyhow::Result<()> {
        until("the API server to answer", within, || async {
            let asked =
                self.bed.kubectl().args(["get", "--raw", "/readyz", "--request-timeout=5s"]).run().await?;
            Ok(if asked.code == Some(0) { Look::Found(()) } else { Look::NotYet(asked.err) })
        })
        .await
    }

    /// Name of the operator's pod that leads.
    pub async fn leader(&self) -> anyhow::Result<String> {
        until("a leader", PATIENCE, || async {
            let spec = self.leaders_lease().await?.and_then(|lease| lease.spec);
            let holder = spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            let lives = self.system::<Pod>().get_opt(&holder).await;
            Ok(if matches!(lives, Ok(Some(_))) { Look::Found(holder) } else { Look::NotYet(holder) })
        })
        .await
    }

    /// Waits until somebody leads after this moment. Pods reach an API server that was just started only when the cluster's network knows
    /// where it is, which may take longer than any statement.
    pub async fn leads_since(&self, moment: Timestamp) -> anyhow::Result<()> {
        until("somebody to lead again", Duration::from_secs(120), || async {
            let spec = self.leaders_lease().await?.and_then(|lease| lease.spec);
            let renewed = spec.and_then(|spec| spec.renew_time).map(|time| time.0);
            let leads = renewed.is_some_and(|renewed| renewed > moment);
            Ok(if leads { Look::Found(()) } else { Look::NotYet(format!("{renewed:?}")) })
        })
        .await
    }

    /// The number of the operator's leadership: what a grant must say whose maker leads. Waits for a first one.
    pub async fn leadership(&self) -> anyhow::Result<u64> {
        until("a first leadership", PATIENCE, || async {
            let annotations = self.leaders_lease().await?.and_then(|lease| lease.metadata.annotations);
            let number = annotations.unwrap_or_default().remove("access.keyhole.dev/leadership");
            let number = number.map(|number| number.parse()).transpose()?;
            Ok(number.map_or_else(|| Look::NotYet("nobody has led yet".to_owned()), Look::Found))
        })
        .await
    }

    /// Which replica leads. Nobody makes it until a leader before would have stopped.
    async fn leaders_lease(&self) -> anyhow::Result<Option<Lease>> {
        Ok(self.system::<Lease>().get_opt("keyhole-operator").await?)
    }

    /// `stop`, `start`, `seal` or `unseal` for Vault.
    pub async fn vault(&self, what: &str) -> anyhow::Result<()> {
        self.bed.verb("vault").arg(what).within(PATIENCE).succeeds().await?;
        Ok(())
    }

    /// The text of the operator's policy in Vault.
    pub async fn operators_vault_policy(&self) -> anyhow::Result<String> {
        self.bed.bao().args(["policy", "read", OPERATORS_POLICY]).succeeds().await
    }

    /// Gives the operator's policy in Vault another text; it counts from the next call on.
    pub async fn writes_operators_vault_policy(&self, text: &str) -> anyhow::Result<()> {
        self.bed.bao().args(["policy", "write", OPERATORS_POLICY, "-"]).input(text).succeeds().await?;
        Ok(())
    }

    /// `stop` or `start` for a program of the cluster itself, such as `kubelet`.
    pub async fn program(&self, what: &str, name: &str) -> anyhow::Result<()> {
        self.bed.verb("fault").args(["program", name, what]).within(PATIENCE).succeeds().await?;
        Ok(())
    }

    /// Stops the grant's proxy where it stands: it keeps its connections and hears nothing, not even its own timer.
    pub async fn freezes(&self, grant: &OpenGrant) -> anyhow::Result<()> {
        let pod = self.pod_name(grant).await?;
        self.pod_fault(&self.bed.proxies, &pod, "freeze").await
    }

    /// `freeze`, `thaw` or `kill` for the program of a pod.
    pub async fn pod_fault(&self, namespace: &str, pod: &str, what: &str) -> anyhow::Result<()> {
        self.bed.verb("fault").args(["pod", namespace, pod, what]).succeeds().await?;
        Ok(())
    }

    /// A pod's connections to this port carry nothing any more, and nobody is told: those that are open, or new ones too.
    pub async fn silences(
        &self,
        (namespace, pod): (&str, &str),
        port: u16,
        silence: Silence,
    ) -> anyhow::Result<()> {
        let what = match silence {
            Silence::OpenConnections => "hang",
            Silence::Everything => "mute",
        };
        self.bed.verb("fault").args(["pod", namespace, pod, what, &port.to_string()]).succeeds().await?;
        Ok(())
    }

    /// Whatever was silenced in a pod goes on.
    pub async fn hears_again(&self, (namespace, pod): (&str, &str)) -> anyhow::Result<()> {
        self.pod_fault(namespace, pod, "free").await
    }

    /// Names of the operator's pods.
    pub async fn operators(&self) -> anyhow::Result<Vec<String>> {
        let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
        let pods = self.system::<Pod>().list(&operators).await?.items;
        Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
    }

    /// Whether a TCP connection from within the network of the grant's proxy is answered.
    pub async fn proxy_reaches(&self, grant: &OpenGrant, address: &str) -> anyhow::Result<bool> {
        let (host, port) = address.rsplit_once(':').context("an address has a port")?;
        let dial = format!("</dev/tcp/{host}/{port}");
        let pod = self.within_pod(grant).await?;
        let finished = pod.args(["in", "timeout", "3", "bash", "-c", &dial]).run().await?;
        Ok(finished.code == Some(0))
    }

    /// Waits until the network of the grant's proxy has no way to this address.
    pub async fn awaits_no_way(
        &self,
        grant: &OpenGrant,
        address: &str,
        within: Duration,
    ) -> anyhow::Result<()> {
        until(&format!("the way to {address} to be closed"), within, || async {
            let open = self.proxy_reaches(grant, address).await?;
            Ok(if open { Look::NotYet("a connection was answered".to_owned()) } else { Look::Found(()) })
        })
        .await
    }

    /// Waits until the NetworkPolicy of the grant is gone.
    pub async fn awaits_closed_network_policy(
        &self,
        grant: &OpenGrant,
        within: Duration,
    ) -> anyhow::Result<()> {
        let (policies, name) = (self.proxies::<NetworkPolicy>(), self.pod_name(grant).await?);
        until("the NetworkPolicy to let nothing in or out", within, || async {
            let spec = policies.get(&name).await?.spec.unwrap_or_default();
            // The API server drops empty lists.
            let opens = [
                spec.ingress.is_some_and(|rules| !rules.is_empty()),
                spec.egress.is_some_and(|rules| !rules.is_empty()),
            ];
            Ok(if opens == [false, false] {
                Look::Found(())
            } else {
                Look::NotYet(format!("opens: {opens:?}"))
            })
        })
        .await
    }

    /// The verb that looks into the pod of a grant; say what it shall do.
    pub async fn within_pod(&self, grant: &OpenGrant) -> anyhow::Result<Shell> {
        let pod = self.pod_name(grant).await?;
        Ok(self.bed.verb("pod").args([&self.bed.proxies, &pod]))
    }

    /// Name of the grant's pod.
    pub async fn pod_name(&self, grant: &OpenGrant) -> anyhow::Result<String> {
        let status = self.grant(&grant.name).await?.status.context("a grant without status")?;
        status.pod.context("a grant without pod")
    }

    /// The grant's pod.
    pub async fn pod(&self, grant: &OpenGrant) -> anyhow::Result<Pod> {
        Ok(self.proxies::<Pod>().get(&self.pod_name(grant).await?).await?)
    }

    /// Waits until the kubelet has written this reason to the status of the grant's pod.
    pub async fn awaits_pod_reason(&self, grant: &OpenGrant, reason: &str) -> anyhow::Result<()> {
        until(&format!("the pod's reason {reason}"), Duration::from_secs(30), || async {
            let status = self.pod(grant).await?.status.unwrap_or_default();
            let so = status.reason.as_deref() == Some(reason);
            Ok(if so { Look::Found(()) } else { Look::NotYet(format!("{status:?}")) })
        })
        .await
    }

    /// The database user of the grant's newest lease.
    pub async fn lease_user(&self, grant: &OpenGrant) -> anyhow::Result<String> {
        let status = self.grant(&grant.name).await?.status.context("a grant without status")?;
        let lease = status.leases.last().context("a grant without lease")?;
        lease.user_name.clone().context("a lease without user")
    }

    /// Puts a pod in the place of the grant's: the operator's own in everything, but without the kubelet's deadline.
    /// The operator must be away. Answers once the new proxy has its token and waits for the operator.
    pub async fn takes_the_pods_deadline_away(&self, grant: &OpenGrant) -> anyhow::Result<()> {
        let mut pod = serde_json::to_value(self.pod(grant).await?)?;
        let name = self.pod_name(grant).await?;
        let kubectl = || self.as_operator().args(["-n", &self.bed.proxies]).within(PATIENCE);
        kubectl().args(["delete", "pod", &name, "--timeout=60s"]).succeeds().await?;
        let metadata = &pod["metadata"];
        let mut kept =
            json!({"name": name, "labels": metadata["labels"], "annotations": metadata["annotations"]});
        // While both replicas were taken away the other one may have led for a moment.
        kept["annotations"]["access.keyhole.dev/leadership"] = self.leadership().await?.to_string().into();
        pod["metadata"] = kept;
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        let spec = pod["spec"].as_object_mut().context("a pod without spec")?;
        ensure!(spec.remove("activeDeadlineSeconds").is_some(), "the operator's pod has no deadline");
        spec.remove("nodeName");
        if let Some(pod) = pod.as_object_mut() {
            pod.remove("status");
        }
        kubectl().args(["create", "-f", "-"]).input(pod.to_string()).succeeds().await?;
        let pods = self.proxies::<Pod>();
        until("the pod without deadline to run", PATIENCE, || async {
            let status = pods.get(&name).await?.status.unwrap_or_default();
            let runs = status.phase.as_deref() == Some("Running");
            Ok(if runs { Look::Found(()) } else { Look::NotYet(format!("{status:?}")) })
        })
        .await
    }

    /// Waits until the proxy that runs in the grant's place now has a lease of its own on record and is ready: the status
    /// speaks of an earlier one until the operator has looked.
    pub async fn awaits_ready_again(&self, grant: &OpenGrant) -> anyhow::Result<()> {
        let uid = self.pod(grant).await?.metadata.uid.context("a pod without uid")?;
        until("the new proxy to be ready", PATIENCE, || async {
            let status = self.grant(&grant.name).await?.status.unwrap_or_default();
            let lease = status.leases.iter().find(|lease| lease.pod_uid == uid);
            let has_user = lease.is_some_and(|lease| lease.user_name.is_some());
            let is_ready = has_user && is_true(&status.conditions, ConditionType::Ready);
            Ok(if is_ready { Look::Found(()) } else { Look::NotYet(format!("{status:?}")) })
        })
        .await
    }

    /// Waits until another proxy than the one of this pod, by uid, serves the grant.
    pub async fn awaits_another_proxy(&self, grant: &OpenGrant, before: &str) -> anyhow::Result<()> {
        until("another proxy to be ready", PATIENCE, || async {
            let status = self.grant(&grant.name).await?.status.unwrap_or_default();
            let newest = status.leases.last().filter(|lease| lease.pod_uid != before);
            let has_user = newest.is_some_and(|lease| lease.user_name.is_some());
            let is_ready = has_user && is_true(&status.conditions, ConditionType::Ready);
            Ok(if is_ready { Look::Found(()) } else { Look::NotYet(format!("{status:?}")) })
        })
        .await
    }

    /// Brings the kubelet's deadline of the grant's pod forward to `seconds` from now.
    pub async fn brings_the_pods_deadline_forward(
        &self,
        grant: &OpenGrant,
        seconds: i64,
    ) -> anyhow::Result<()> {
        let pod = self.pod(grant).await?;
        let began = pod.status.and_then(|status| status.start_time).context("a pod that never started")?.0;
        let deadline = jiff::Timestamp::now().duration_since(began).as_secs() + seconds;
        let patch = json!({"spec": {"activeDeadlineSeconds": deadline}}).to_string();
        let name = self.pod_name(grant).await?;
        let kubectl = self.as_operator().args(["-n", &self.bed.proxies, "patch", "pod", &name]);
        kubectl.args(["--type=merge", "-p", &patch]).succeeds().await?;
        Ok(())
    }

    /// `kubectl` in the operator's name: nobody else may write in the proxies namespace.
    pub fn as_operator(&self) -> Shell {
        self.bed.kubectl().arg(format!("--as={}", self.bed.operator_user()))
    }
}

impl TestDatabase {
    /// The open sessions of this user, as the server itself has them: `<id> <default database>`.
    pub async fn sessions_of(&self, user: &str) -> anyhow::Result<Vec<String>> {
        let sql = format!("SELECT id, db FROM information_schema.processlist WHERE user = '{user}'");
        Ok(self.as_root(&sql).await?.lines().map(str::to_owned).collect())
    }

    /// The server's address in the cluster, without a name that somebody would have to look up.
    pub async fn address(&self, cluster: &Cluster) -> anyhow::Result<String> {
        let service = cluster.api::<Service>().get(&self.name).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("a Service without address")?;
        Ok(format!("{address}:3306"))
    }

    /// Waits until a statement of this user runs on the server.
    pub async fn awaits_running_statement(&self, user: &str, within: Duration) -> anyhow::Result<()> {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{user}' AND command = 'Query'"
        );
        until("a running statement", within, || async {
            let running = self.as_root(&sql).await?;
            Ok(if running.trim() == "0" { Look::NotYet("none".to_owned()) } else { Look::Found(()) })
        })
        .await
    }

    /// Waits until the server has no session of this user.
    pub async fn awaits_no_session_of(&self, user: &str, within: Duration) -> anyhow::Result<()> {
        until(&format!("the sessions of {user} to end"), within, || async {
            let left = self.sessions_of(user).await?;
            Ok(if left.is_empty() { Look::Found(()) } else { Look::NotYet(format!("{left:?}")) })
        })
        .await
    }

    /// How long a token that owns a lease lives at most, in Vault's words: `45s`.
    pub async fn tokens_live(&self, cluster: &Cluster, longest: &str) -> anyhow::Result<()> {
        let path = format!("auth/token/roles/keyhole.{}.{}", cluster.namespace, self.name);
        let parameter = format!("token_explicit_max_ttl={longest}");
        cluster.bed.bao().args(["write", &path, &parameter]).succeeds().await?;
        Ok(())
    }
}
