//! The operator's configuration file. Unknown keys are refused: a key that this release does not know may be a bound
//! it would miss.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crds::NetworkPeer;
use crds::admission::Release;
use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration};
use serde::Deserialize;

/// Everything an installation decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Namespace of the operator.
    pub namespace: String,
    /// Name of its service account; its Deployment and its Lease are called the same.
    pub service_account: String,
    /// The only image that the operator's own pods run.
    pub operator_image: String,
    /// Namespace of the proxies.
    pub proxies_namespace: String,
    /// The only image that runs there.
    pub proxy_image: String,
    /// The only image that the audit log runs.
    pub log_image: String,
    /// Pull policy of the proxies' image.
    #[serde(default = "if_not_present")]
    pub image_pull_policy: String,
    /// Secrets of the operator's namespace that it is pulled with, by name.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
    /// Secrets of the operator's namespace that hold its authorities.
    #[serde(default)]
    pub authorities: AuthoritiesConfig,
    /// Vault.
    pub vault: VaultConfig,
    /// The cluster's DNS.
    pub dns: DnsConfig,
    /// Namespaces whose pods may connect to proxies.
    #[serde(default)]
    pub client_namespaces: Vec<String>,
    /// Requests and limits of a proxy.
    #[serde(default)]
    pub proxy_resources: ResourceRequirements,
    /// The most live grants in the cluster.
    #[serde(default = "one_thousand")]
    pub max_live_grants: u32,
    /// How long what is over is kept: `720h`.
    #[serde(default = "thirty_days")]
    pub keep_ended_for: String,
    /// How often a database is probed at the most: `24h`, or `never`.
    #[serde(default = "daily")]
    pub probe_every: String,
    /// Threads of a proxy that relay sessions, 1 to 8.
    #[serde(default = "one")]
    pub proxy_threads: u8,
    /// What the installation adds to a proxy's pod.
    #[serde(default)]
    pub proxy_pod: PodAdditions,
}

/// What an installation adds to pods: nothing in it overrides what the operator sets. Empty: nothing is added.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodAdditions {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Labels of the nodes that they may run on.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that they tolerate.
    pub tolerations: Vec<Toleration>,
    /// Affinity.
    pub affinity: Affinity,
    /// PriorityClass.
    pub priority_class_name: String,
}

/// Secrets that hold the authorities, by name. Left out: the operator makes its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuthoritiesConfig {
    /// For operator and proxies.
    pub internal: Option<String>,
    /// For people's sessions.
    pub session: Option<String>,
    /// Those that came before, for the proxies that trust them.
    pub previous: PreviousConfig,
}

/// Secrets that hold authorities whose place others have taken, by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PreviousConfig {
    /// For operator and proxies.
    pub internal: Option<String>,
    /// For people's sessions.
    pub session: Option<String>,
}

/// Where Vault is and how to trust it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaultConfig {
    /// `https://host:port`.
    pub address: String,
    /// Its certificate authorities, PEM.
    pub ca: String,
    /// Its namespace, where it has some. Left out: the root namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Mount path of the Kubernetes auth method.
    pub kubernetes_mount: String,
    /// Auth role of the operator's own service account.
    pub operator_role: String,
    /// Where it is on the network.
    pub to: NetworkPeer,
    /// Its port there.
    pub port: u16,
}

/// Where the cluster's DNS is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DnsConfig {
    /// Where it is on the network. Nowhere: no rule lets anybody ask it.
    pub to: Vec<NetworkPeer>,
    /// Its ports there, UDP and TCP.
    pub ports: Vec<u16>,
}

fn if_not_present() -> String {
    "IfNotPresent".to_owned()
}

fn daily() -> String {
    "24h".to_owned()
}

fn one_thousand() -> u32 {
    1000
}

fn thirty_days() -> String {
    "720h".to_owned()
}

fn one() -> u8 {
    1
}

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadConfigError {
    /// The file is not there, or not ours to read.
    #[error("cannot read configuration {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not YAML, a key missing or unknown, or a value of the wrong kind.
    #[error("configuration {path:?} is not valid")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_norway::Error,
    },
}

/// Reads the file.
pub fn load(path: &Path) -> Result<Config, LoadConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| LoadConfigError::Read { path: path.to_owned(), source })?;
    serde_norway::from_str(&text).map_err(|source| LoadConfigError::Parse { path: path.to_owned(), source })
}

impl Config {
    /// The release that the admission policies must belong to.
    pub fn release(&self) -> Release {
        Release {
            operator_user: format!("system:serviceaccount:{}:{}", self.namespace, self.service_account),
            operator_namespace: self.namespace.clone(),
            operator_image: self.operator_image.clone(),
            proxies_namespace: self.proxies_namespace.clone(),
            proxy_image: self.proxy_image.clone(),
            log_image: self.log_image.clone(),
            authorities: {
                let AuthoritiesConfig { internal, session, previous } = &self.authorities;
                [internal, session, &previous.internal, &previous.session]
                    .map(|name| name.clone().unwrap_or_default())
            },
        }
    }

    /// The label that names a namespace.
    pub fn namespace_labels(name: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())])
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const EXAMPLE: &str = "
namespace: keyhole-system
serviceAccount: keyhole-operator
operatorImage: registry.example.com/keyhole-operator:0.1.0
proxiesNamespace: keyhole-proxies
proxyImage: registry.example.com/keyhole-proxy:0.1.0
logImage: registry.example.com/keyhole-log:0.1.0
imagePullSecrets: [registry]
vault:
  address: https://vault.vault.svc:8200
  ca: pem
  namespace: admin/data
  kubernetesMount: kubernetes
  operatorRole: keyhole-operator
  to: {namespaceLabels: {team: vault}, podLabels: {app: vault}}
  port: 8200
dns:
  to:
  - {namespaceLabels: {kubernetes.io/metadata.name: kube-system}, podLabels: {k8s-app: kube-dns}}
  - {cidr: 169.254.20.10/32}
  ports: [53, 5353]
clientNamespaces: [tools]
proxyResources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 128Mi}}
proxyThreads: 2
proxyPod:
  labels: {team: data}
  annotations: {linkerd.io/inject: disabled}
  nodeSelector: {pool: tools}
  tolerations: [{key: pool, operator: Equal, value: tools, effect: NoSchedule}]
  affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: []}}
  priorityClassName: tools
";

    pub fn example() -> Config {
        serde_norway::from_str(EXAMPLE).unwrap()
    }

    #[test]
    fn what_the_chart_renders_is_a_configuration() {
        let everything = include_str!("../../charts/keyhole.config.snapshot.yaml");
        let config: Config = serde_norway::from_str(everything).unwrap();
        assert_eq!(config.vault.namespace.as_deref(), Some("admin/data"));
        assert_eq!(config.authorities.session.as_deref(), Some("ours-session"));
        assert_eq!(config.authorities.previous.internal.as_deref(), Some("keyhole-internal-ca"));
        assert_eq!(config.dns.ports, [53, 5353]);
        assert_eq!(config.proxy_pod.tolerations.len(), 1);
        assert!(config.proxy_pod.affinity.node_affinity.is_some());
        let defaults = include_str!("../../charts/keyhole.snapshot.yaml");
        let of_the_operator = serde_norway::Deserializer::from_str(defaults)
            .map(|object| serde_json::Value::deserialize(object).unwrap())
            .find_map(|object| object["data"]["config.yaml"].as_str().map(str::to_owned));
        let config: Config = serde_norway::from_str(&of_the_operator.unwrap()).unwrap();
        assert_eq!((config.vault.namespace, config.authorities.session), (None, None));
    }

    #[test]
    fn an_unknown_or_missing_key_is_refused() {
        let parse = |text: &str| serde_norway::from_str::<Config>(text);
        assert!(parse(&format!("{EXAMPLE}surprise: 1\n")).is_err());
        assert!(parse(&EXAMPLE.replace("  port: 8200\n", "")).is_err());
        assert!(parse(&EXAMPLE.replace("  port: 8200\n", "  port: 8200\n  token: x\n")).is_err());
        assert_eq!(parse(EXAMPLE).unwrap().image_pull_policy, "IfNotPresent");
    }
}
