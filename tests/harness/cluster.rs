//! A namespace of its own for each test, on the cluster that all tests share.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use crds::{AccessGrant, AccessRequest};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use crate::wait::{Look, until};
use crate::{Bed, Person, Shell, TestDatabase};

/// A team's namespace, made for one test.
pub struct Cluster {
    /// The test bed.
    pub bed: Bed,
    /// A client with the administrator's rights, for looking and for faults; people use `kubectl`.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

/// How a connection from an ordinary pod went.
#[derive(Clone, Debug)]
pub struct Dialled {
    /// Whether the port answered.
    pub reached: bool,
    /// What the dialler said.
    pub printed: String,
}

impl Cluster {
    /// Makes a namespace called `<name>-<milliseconds>`: no test meets what another one left.
    pub async fn fresh(name: &str) -> anyhow::Result<Self> {
        let bed = Bed::from_env()?;
        let client = client(&bed).await?;
        let millis = Timestamp::now().as_millisecond().rem_euclid(100_000_000);
        let namespace = format!("{name}-{millis}");
        let object = Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.clone()),
                labels: Some(BTreeMap::from([("keyhole.test/of".to_owned(), name.to_owned())])),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::all(client.clone())
            .create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("cannot make namespace {namespace}"))?;
        Ok(Self { bed, client, namespace })
    }

    /// `kubectl` as the administrator, in this namespace.
    pub fn kubectl(&self) -> Shell {
        self.bed.kubectl().args(["-n", &self.namespace])
    }

    /// Applies a manifest as the administrator.
    pub async fn applies(&self, manifest: &str) -> anyhow::Result<String> {
        self.kubectl().args(["apply", "-f", "-"]).input(manifest).succeeds().await
    }

    /// A person with these groups and the rights of `role` (`requester`, `approver`, `platform`, `auditor`) here.
    pub async fn person(&self, name: &str, groups: &[&str], role: Option<&str>) -> anyhow::Result<Person> {
        let person = Person::known(&self.bed, &self.client, name, groups, &self.namespace).await?;
        if let Some(role) = role {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": format!("{name}-{role}")},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("keyhole-{role}"),
                },
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
            });
            self.applies(&binding.to_string()).await?;
        }
        Ok(person)
    }

    /// The requester of most tests, in group `developers`.
    pub async fn requester(&self) -> anyhow::Result<Person> {
        self.person("requester", &["developers"], Some("requester")).await
    }

    /// The approver of most tests, in group `approvers`.
    pub async fn approver(&self) -> anyhow::Result<Person> {
        self.person("approver", &["approvers"], Some("approver")).await
    }

    /// Somebody who may ask here as well, and has nothing to do with the grants of others.
    pub async fn stranger(&self) -> anyhow::Result<Person> {
        self.person("stranger", &[], Some("requester")).await
    }

    /// A MariaDB called `orders` with the schema `shop`, its `Database`, a policy that wants one approver, and the
    /// Vault roles that `vault-setup` prints.
    pub async fn orders(&self) -> anyhow::Result<TestDatabase> {
        TestDatabase::made(self, "orders").await
    }

    /// The same as objects only: without a server, unknown to Vault. Enough for whatever must end with a refusal.
    pub async fn described_orders(&self) -> anyhow::Result<TestDatabase> {
        TestDatabase::described(self, "orders").await
    }

    /// The platform team's namespace beside this one: what acts for others lives there, out of the team's reach.
    pub fn platforms(&self) -> String {
        format!("{}-platform", self.namespace)
    }

    /// A service account of the platform team, as GitOps controllers run under one. It has no rights by itself.
    pub async fn platforms_account(&self, name: &str) -> anyhow::Result<Person> {
        let home = self.platforms();
        self.bed.kubectl().args(["create", "namespace", &home]).succeeds().await?;
        Person::service_account(&self.bed, name, (&home, &self.namespace)).await
    }

    /// An API for objects of this namespace, with the administrator's rights.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// An API for objects of the proxies namespace.
    pub fn proxies<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.bed.proxies)
    }

    /// An API for objects of the operator's namespace.
    pub fn system<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.bed.system)
    }

    /// Tries a TCP connection from an ordinary pod of this namespace.
    pub async fn dials(&self, address: &str) -> anyhow::Result<Dialled> {
        let millis = Timestamp::now().as_millisecond().rem_euclid(100_000_000);
        let finished = self
            .kubectl()
            .args(["run", &format!("dial-{millis}"), "--rm", "-i", "--quiet", "--restart=Never"])
            .args(["--image=keyhole.test/ktool:1", "--image-pull-policy=IfNotPresent", "--", "dial", address])
            .run()
            .await?;
        Ok(Dialled {
            reached: finished.code == Some(0),
            printed: format!("{}{}", finished.out, finished.err),
        })
    }

    /// Conditions, events and the logs of operator and proxies: what a person would look at after a failure.
    pub async fn diagnosis(&self) -> String {
        let mut told = String::new();
        let looks: [&[&str]; 5] = [
            &["-n", &self.namespace, "get", "accessrequests,accessapprovals,accessgrants", "-o", "yaml"],
            &["-n", &self.namespace, "get", "events", "--sort-by=.lastTimestamp"],
            &["-n", &self.bed.proxies, "get", "pods,networkpolicies", "-o", "wide"],
            &["-n", &self.bed.proxies, "get", "events", "--sort-by=.lastTimestamp"],
            &["-n", &self.bed.system, "logs", "-l", "app.kubernetes.io/name=keyhole-operator", "--tail=60"],
        ];
        for look in looks {
            let printed = match self.bed.kubectl().args(look).run().await {
                Ok(finished) => format!("{}{}", finished.out, finished.err),
                Err(error) => format!("{error:#}"),
            };
            // Of events and logs the newest; other tests leave theirs in the same namespaces.
            let lines: Vec<&str> = printed.lines().collect();
            let newest = if look.contains(&"yaml") { 0 } else { lines.len().saturating_sub(40) };
            let printed = lines[newest..].join("\n");
            told.push_str(&format!("--- kubectl {}\n{printed}\n", look.join(" ")));
        }
        told
    }

    /// Runs a test's steps and leaves; when one fails, adds the diagnosis to its error, and everything stays to look at.
    pub async fn told<T>(&self, steps: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let all = async {
            let value = steps.await?;
            self.leave().await?;
            anyhow::Ok(value)
        };
        match all.await {
            Ok(value) => Ok(value),
            Err(error) => Err(error.context(self.diagnosis().await)),
        }
    }

    /// Takes the namespace away. Grants are shut first, for that needs their database; the rest goes in its own time.
    pub async fn leave(&self) -> anyhow::Result<()> {
        let requests = self.api::<AccessRequest>();
        requests.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        let grants = self.api::<AccessGrant>();
        grants.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        until("all grants to be shut", Duration::from_secs(60), || async {
            let left = grants.list(&ListParams::default()).await?.items;
            let seen =
                || left.iter().map(|grant| format!("{:?}", grant.status)).collect::<Vec<_>>().join(" ");
            Ok(if left.is_empty() { Look::Found(()) } else { Look::NotYet(seen()) })
        })
        .await?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        let beside = self.platforms();
        if namespaces.get_metadata_opt(&beside).await?.is_some() {
            namespaces.delete(&beside, &DeleteParams::default()).await?;
        }
        Ok(())
    }
}

/// A client that says it is somebody else, as only the administrator may: for parts of Kubernetes and for the operator,
/// whose own keys a test does not have.
pub async fn impersonating(bed: &Bed, user: &str, groups: &[String]) -> anyhow::Result<Client> {
    let mut kubeconfig = Kubeconfig::read_from(&bed.admin).context("cannot read KUBECONFIG")?;
    for named in &mut kubeconfig.auth_infos {
        let auth = named.auth_info.get_or_insert_default();
        auth.impersonate = Some(user.to_owned());
        auth.impersonate_groups = Some(groups.to_vec());
    }
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Client::try_from(config).context("cannot make a Kubernetes client")
}

async fn client(bed: &Bed) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(&bed.admin).context("cannot read KUBECONFIG")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Client::try_from(config).context("cannot make a Kubernetes client")
}
