//! Where the cluster, the binaries and the door of the test bed are. Read once, from the environment.

use std::env;
use std::path::PathBuf;

use anyhow::Context;

use crate::Shell;

/// The test bed, as `make test` and `make demo` hand it over.
#[derive(Clone, Debug)]
pub struct Bed {
    /// Kubeconfig of the cluster's administrator.
    pub admin: PathBuf,
    /// The built `kubectl-keyhole`.
    pub cli: PathBuf,
    /// `tests/cluster/bed`.
    pub door: PathBuf,
    /// Certificate authority of the test databases, PEM.
    pub database_ca: PathBuf,
    /// A private folder for people's keys and kubeconfigs; kept while the cluster is up.
    pub people: PathBuf,
    /// Namespace of the operator.
    pub system: String,
    /// Namespace of the proxies.
    pub proxies: String,
    /// The release's proxy image, as pods name it.
    pub proxy_image: String,
    /// The image of the operator.
    pub operator_image: String,
    /// The image of the audit log.
    pub log_image: String,
}

impl Bed {
    /// Reads `KUBECONFIG`, `KEYHOLE_CLI`, `KEYHOLE_BED`, `KEYHOLE_DATABASE_CA`, `KEYHOLE_PEOPLE`.
    pub fn from_env() -> anyhow::Result<Self> {
        let path = |name: &str| {
            env::var_os(name).map(PathBuf::from).with_context(|| {
                format!(
                    "{name} is not set: run the end-to-end tests with `make test`, which brings a cluster up"
                )
            })
        };
        Ok(Self {
            admin: path("KUBECONFIG")?,
            cli: path("KEYHOLE_CLI")?,
            door: path("KEYHOLE_BED")?,
            database_ca: path("KEYHOLE_DATABASE_CA")?,
            people: path("KEYHOLE_PEOPLE")?,
            system: env::var("KEYHOLE_SYSTEM").unwrap_or_else(|_| "keyhole-system".to_owned()),
            proxies: env::var("KEYHOLE_PROXIES").unwrap_or_else(|_| "keyhole-proxies".to_owned()),
            proxy_image: env::var("KEYHOLE_PROXY_IMAGE")
                .unwrap_or_else(|_| "keyhole.test/keyhole-proxy:dev".to_owned()),
            operator_image: env::var("KEYHOLE_OPERATOR_IMAGE")
                .unwrap_or_else(|_| "keyhole.test/keyhole-operator:dev".to_owned()),
            log_image: env::var("KEYHOLE_LOG_IMAGE")
                .unwrap_or_else(|_| "keyhole.test/keyhole-log:dev".to_owned()),
        })
    }

    /// `kubectl` as the administrator.
    pub fn kubectl(&self) -> Shell {
        Shell::new("kubectl").env("KUBECONFIG", &self.admin)
    }

    /// The operator, as the API server knows it.
    pub fn operator_user(&self) -> String {
        format!("system:serviceaccount:{}:keyhole-operator", self.system)
    }

    /// `bao` as Vault's root, against the cluster's Vault.
    pub fn bao(&self) -> Shell {
        self.verb("vault").arg("client")
    }

    /// A verb of the test bed; say what it shall do (`tests/cluster/bed --help`).
    pub fn verb(&self, verb: &str) -> Shell {
        Shell::new(&self.door).arg(verb)
    }
}
