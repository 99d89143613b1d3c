//! What the proxy is told: the grant file, made from the snapshot in the grant and the installation's Vault.

use access::{AuditLog, Custody, Grant, GrantIdentity, Limits, Login, TermsDigest, Used, VaultAccess};
use kube::ResourceExt;

use super::Parent;
use crate::audit;

/// Where the kubelet puts the token for Vault.
pub const TOKEN_DIR: &str = "/var/run/secrets/vault";
/// Its file name there.
pub const TOKEN_FILE: &str = "token";

/// The grant's digest is not one: nobody but the operator writes grants, so this one is not ours.
#[derive(Debug, thiserror::Error)]
#[error("the grant's termsDigest is not a digest")]
pub struct BadDigest;

/// How long a statement waits for its record.
const PATIENCE_MILLIS: u32 = 2000;

/// The grant as the proxy will know it. `used`: by the proxies before it. `log_name`: in the audit log's certificate.
pub fn grant_file(parent: Parent<'_>, used: Used, log_name: String) -> Result<Grant, BadDigest> {
    let Parent { grant, target, config, now } = parent;
    let role = format!("keyhole.{}", target.identity());
    Ok(Grant {
        identity: GrantIdentity {
            uid: parent.uid(),
            namespace: grant.namespace().unwrap_or_default(),
            name: grant.name_any(),
            user: grant.spec.user.clone(),
            terms: TermsDigest::parse(&grant.spec.terms_digest).ok_or(BadDigest)?,
        },
        issued_at: now,
        expires_at: grant.spec.expires_at.0,
        seconds_left: parent.seconds_left(),
        target: target.clone(),
        limits: grant.spec.terms.limits.over(Limits::DEFAULT),
        used,
        vault: VaultAccess {
            address: config.vault.address.clone(),
            ca_pem: config.vault.ca.clone(),
            namespace: config.vault.namespace.clone(),
            login: Login::Kubernetes {
                mount: config.vault.kubernetes_mount.clone(),
                role: role.clone(),
                token_path: format!("{TOKEN_DIR}/{TOKEN_FILE}").into(),
            },
            token_role: role,
        },
        custody: Custody::Operator,
        audit: AuditLog {
            address: audit::address(config),
            server_name: log_name,
            patience_millis: PATIENCE_MILLIS,
        },
    })
}
