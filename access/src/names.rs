//! Names that more than one part must spell alike: ports, labels, URIs of certificates, names of children.

use std::fmt;

use sha2::{Digest, Sha256};

/// TLS first, the protocol chosen by ALPN (`mysql`).
pub const PORT_TLS: u16 = 7443;
/// The operator's port on a proxy: report, custody, end. Mutual TLS.
pub const PORT_STATUS: u16 = 7444;
/// Liveness and readiness for the kubelet, plain HTTP, no content.
pub const PORT_HEALTH: u16 = 7445;
/// Port of the audit log for those who write.
pub const PORT_LOG: u16 = 7446;
/// Port of the audit log for those who read.
pub const PORT_LOG_READ: u16 = 7447;

/// Signer name of session certificates (Kubernetes CertificateSigningRequest API).
pub const SIGNER: &str = "access.keyhole.dev/session";

/// Label on every child of a grant; its value is the grant's uid.
pub const GRANT_UID_LABEL: &str = "access.keyhole.dev/grant-uid";

/// Annotation with `<namespace>/<name>` of a grant: on each of its children, and on a request for a session certificate, which so
/// says where its grant is to be found. What it is granted is told by its uid alone.
pub const GRANT_ANNOTATION: &str = "access.keyhole.dev/grant";

/// Annotation with the number of a leadership of the operator: on the leader's Lease, on each grant and on each of its children. It is
/// when the leadership began, in milliseconds since 1970, or one more than the number before, if that is larger. Admission refuses what
/// a replica makes that leads no more.
pub const LEADERSHIP_ANNOTATION: &str = "access.keyhole.dev/leadership";

/// The URI SAN of a person's session certificate: `keyhole://session/<grant uid>`.
pub fn session_uri(grant_uid: &str) -> String {
    format!("keyhole://session/{grant_uid}")
}

/// The URI SAN of a proxy's serving certificate: `keyhole://proxy/<grant uid>`.
pub fn proxy_uri(grant_uid: &str) -> String {
    format!("keyhole://proxy/{grant_uid}")
}

/// The name of everything that belongs to one grant in the proxies namespace.
///
/// `grant-` and the first 20 hex digits of SHA-256 of the grant's uid: a new grant of the same name never meets the
/// children of an ending one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChildName(String);

impl ChildName {
    /// The name of the children of the grant with this uid.
    pub fn of(grant_uid: &str) -> Self {
        let digest: String = crate::hex(&Sha256::digest(grant_uid)).chars().take(20).collect();
        Self(format!("grant-{digest}"))
    }

    /// 26 characters, a DNS label.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The DNS SAN of the proxy's certificate, `<child name>.proxy.keyhole.internal`: a name to verify, not to resolve.
    pub fn server_name(&self) -> String {
        format!("{}.proxy.keyhole.internal", self.0)
    }
}

impl fmt::Display for ChildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_name_depends_on_the_uid_alone_and_is_a_dns_label() {
        let name = ChildName::of("0b9a2f0e-6e0f-4f0e-9d53-1f0e7d6c5b4a");
        assert_eq!(name, ChildName::of("0b9a2f0e-6e0f-4f0e-9d53-1f0e7d6c5b4a"));
        assert_ne!(name, ChildName::of("0b9a2f0e-6e0f-4f0e-9d53-1f0e7d6c5b4b"));
        assert_eq!(name.as_str().len(), 26);
        assert!(name.as_str().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    }
}
