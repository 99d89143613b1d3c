//! A real MariaDB in the test's namespace, known to Keyhole and to Vault as a platform team would make it known.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::{Cluster, Shell};

/// A database of the test's own.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    /// Name of the `Database` object, the pod's Deployment and the Service.
    pub name: String,
    /// Certificate authority of the server, PEM.
    pub ca: String,
    namespace: String,
    kubectl: Vec<String>,
    kubeconfig: std::path::PathBuf,
}

impl TestDatabase {
    /// Deploys the server, applies `Database` and `AccessPolicy`, and runs what `vault-setup` prints.
    pub async fn made(cluster: &Cluster, name: &str) -> anyhow::Result<Self> {
        // The policy first: it takes a moment to count.
        let mut database = Self::of(cluster, name, String::new());
        cluster.applies(&database.policy().to_string()).await?;
        cluster
            .bed
            .verb("database")
            .args([&cluster.namespace, name])
            .within(Duration::from_secs(120))
            .succeeds()
            .await?;
        let ca = &cluster.bed.database_ca;
        database.ca = std::fs::read_to_string(ca).with_context(|| format!("cannot read {}", ca.display()))?;
        cluster.applies(&database.object().to_string()).await?;
        database.known_to_vault(cluster).await?;
        cluster.awaits_policy_condition("readers", "Ready", "True").await?;
        Ok(database)
    }

    /// Applies `Database` and `AccessPolicy` and nothing else: there is no server, and Vault knows nothing of it.
    pub async fn described(cluster: &Cluster, name: &str) -> anyhow::Result<Self> {
        let ca = rcgen::generate_simple_self_signed(["nobody".to_owned()])?.cert.pem();
        let database = Self::of(cluster, name, ca);
        cluster.applies(&database.policy().to_string()).await?;
        cluster.applies(&database.object().to_string()).await?;
        cluster.awaits_policy_condition("readers", "Ready", "True").await?;
        Ok(database)
    }

    fn of(cluster: &Cluster, name: &str, ca: String) -> Self {
        Self {
            name: name.to_owned(),
            ca,
            namespace: cluster.namespace.clone(),
            kubectl: vec!["-n".to_owned(), cluster.namespace.clone()],
            kubeconfig: cluster.bed.admin.clone(),
        }
    }

    /// Name of the role of Vault's database secrets engine.
    pub fn vault_role(&self) -> String {
        format!("jit-read-{}", self.namespace)
    }

    /// Name of the connection in Vault's database secrets engine, as `vault-setup` calls it.
    pub fn vault_connection(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    /// Takes the server away: its port is closed, its data stays.
    pub async fn stops(&self, cluster: &Cluster) -> anyhow::Result<()> {
        self.server(cluster, "stop").await
    }

    /// Brings the server back.
    pub async fn starts(&self, cluster: &Cluster) -> anyhow::Result<()> {
        self.server(cluster, "start").await
    }

    async fn server(&self, cluster: &Cluster, what: &str) -> anyhow::Result<()> {
        let verb = cluster.bed.verb("database").args([&self.namespace, &self.name]).arg(what);
        verb.within(Duration::from_secs(120)).succeeds().await?;
        Ok(())
    }

    /// The `Database` object as the platform team applies it.
    pub fn object(&self) -> Value {
        json!({
            "apiVersion": "access.keyhole.dev/v1alpha1",
            "kind": "Database",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "engine": "mariadb",
                "host": format!("{}.{}.svc", self.name, self.namespace),
                "port": 3306,
                "schema": "shop",
                "tls": {"mode": "Verify", "ca": self.ca},
                "credentials": {"vault": {"role": self.vault_role()}},
                "accessPolicy": "readers",
                // Its users are counted by many tests.
                "probeEvery": "never",
                "network": {"to": {
                    "namespaceLabels": {"kubernetes.io/metadata.name": self.namespace},
                    "podLabels": {"app": self.name},
                }},
            },
        })
    }

    /// The policy of most tests: one approval by the approver, one hour at most.
    pub fn policy(&self) -> Value {
        json!({
            "apiVersion": "access.keyhole.dev/v1alpha1",
            "kind": "AccessPolicy",
            "metadata": {"name": "readers", "namespace": self.namespace},
            "spec": {
                "groups": ["developers", "approvers"],
                "rules": [{
                    "name": "one-approver",
                    "maxLive": 20,
                    "when": "'developers' in request.groups",
                    "approvals": {"required": 1, "approvers": {"users": ["approver"], "groups": ["approvers"]}},
                    "maxDuration": "1h",
                }],
            },
        })
    }

    /// A request for this database as `requester` writes it.
    pub fn request(&self, name: &str, duration: &str) -> Value {
        json!({
            "apiVersion": "access.keyhole.dev/v1alpha1",
            "kind": "AccessRequest",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "database": self.name,
                "user": "requester",
                "groups": ["developers"],
                "submittedBy": "requester",
                "reason": "order 7 was paid twice",
                "duration": duration,
            },
        })
    }

    /// Runs SQL as the server's own administrator, inside its pod, past Keyhole. Answers rows as the client prints them.
    pub async fn as_root(&self, sql: &str) -> anyhow::Result<String> {
        let deployment = format!("deploy/{}", self.name);
        Shell::new("kubectl")
            .env("KUBECONFIG", &self.kubeconfig)
            .args(&self.kubectl)
            .args(["exec", "-i", &deployment, "--", "mariadb", "--batch", "--skip-column-names"])
            .input(sql)
            .succeeds()
            .await
    }

    /// The users that Vault made and that still exist.
    pub async fn lease_users(&self) -> anyhow::Result<Vec<String>> {
        let printed =
            self.as_root("SELECT user FROM mysql.user WHERE user LIKE 'v-%' OR user LIKE 'v\\_%'").await?;
        Ok(printed.lines().map(str::to_owned).collect())
    }

    /// Gives the Vault role other creation statements, as a careless platform team might.
    pub async fn vault_role_creates(&self, cluster: &Cluster, statements: &str) -> anyhow::Result<()> {
        let path = format!("database/roles/{}", self.vault_role());
        let role: Value =
            serde_json::from_str(&cluster.bed.bao().args(["read", "-format=json", &path]).succeeds().await?)?;
        let mut data = role["data"].clone();
        data["creation_statements"] = json!([statements]);
        cluster.bed.bao().args(["write", &path, "-"]).input(data.to_string()).succeeds().await?;
        Ok(())
    }

    /// Runs what `kubectl keyhole vault-setup` prints, as Vault's administrator.
    async fn known_to_vault(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let printed = Shell::new(&cluster.bed.cli)
            .env("KUBECONFIG", &cluster.bed.admin)
            .args(["vault-setup", &self.name, "-n", &self.namespace, "--admin-user", "vaultadmin"])
            .succeeds()
            .await?;
        cluster
            .bed
            .verb("vault")
            .args(["run", &self.namespace, &self.name])
            .input(printed)
            .succeeds()
            .await?;
        Ok(())
    }
}
