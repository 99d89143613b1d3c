//! The script for the operator, and for the parts that all databases share.

use serde::Serialize;

use super::policies::operator_policy;
use super::script::{Purpose, Script};
use super::{AuthRole, BadParameters, Binary, VaultName};

/// The one name of the operator's policy.
const POLICY: &str = "keyhole.operator";

/// What the platform team decides about the operator.
#[derive(Clone, Debug)]
pub struct OperatorSetup {
    /// Which program the script calls.
    pub binary: Binary,
    /// Mounts of the database secrets engine whose leases the operator may end.
    pub mounts: Vec<VaultName>,
    /// Mount of the Kubernetes auth method.
    pub kubernetes_mount: VaultName,
    /// Where Vault reaches the API server to check tokens.
    pub kubernetes_host: String,
    /// The operator's service account.
    pub account: ServiceAccount,
}

/// A service account.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: VaultName,
    /// Its name; the operator's auth role has the same.
    pub name: VaultName,
}

#[derive(Serialize)]
struct KubernetesConfig<'a> {
    kubernetes_host: &'a str,
}

/// What the platform team runs once per cluster: it makes, compares or takes away what the operator may do.
pub fn operator_script(setup: &OperatorSetup, purpose: Purpose) -> Result<String, BadParameters> {
    let OperatorSetup { binary, mounts, kubernetes_mount, kubernetes_host, account } = setup;
    let mut script = Script::new(*binary, "the Keyhole operator; once per cluster.");
    script.note(
        "Vault asks the API server whether a pod's token is good. It does so with a token of its own, so Vault's\n\
         service account needs the ClusterRole system:auth-delegator. A configuration that is there already stays\n\
         (a Vault outside the cluster needs token_reviewer_jwt and kubernetes_ca_cert too: docs/vault.md).",
    );
    script.enable("auth", "kubernetes", kubernetes_mount);
    script.write_once(&format!("auth/{kubernetes_mount}/config"), &KubernetesConfig { kubernetes_host })?;
    for mount in mounts {
        script.enable("secrets", "database", mount);
    }
    script.note(
        "The operator sees which leases a role has and whether one is gone, and ends it. It can't read a credential or write a role.",
    );
    script.policy(POLICY, &operator_policy(mounts));
    let role = AuthRole::of(account.namespace.as_str(), account.name.as_str(), POLICY, "1h");
    script.write(&format!("auth/{kubernetes_mount}/role/{}", account.name), None, &role)?;
    Ok(script.text(purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_this() {
        let setup = OperatorSetup {
            binary: Binary::Vault,
            mounts: vec!["database".parse().unwrap()],
            kubernetes_mount: "kubernetes".parse().unwrap(),
            kubernetes_host: "https://kubernetes.default.svc".into(),
            account: ServiceAccount {
                namespace: "keyhole-system".parse().unwrap(),
                name: "keyhole-operator".parse().unwrap(),
            },
        };
        insta::assert_snapshot!(operator_script(&setup, Purpose::SetUp).unwrap());
    }
}
