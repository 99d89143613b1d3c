//! Signing requests of those who may ask for session certificates (`connect.groups` of the chart): for our signer alone.
//!
//! RBAC knows no signer when a CertificateSigningRequest is made: the right to ask for a session certificate is the right to ask
//! any signer of the cluster. Who holds it otherwise, too, gets [`REQUEST_ANY`] beside it.

use access::SIGNER;

use super::draft::{Draft, OURS};
use super::{CONNECT, REQUEST_ANY};

pub(super) fn asked_for() -> Draft {
    let csr = "authorizer.group('certificates.k8s.io').resource('certificatesigningrequests')";
    Draft::new("sessions")
        .on_cluster("certificates.k8s.io", &["certificatesigningrequests"], &["CREATE"])
        .check(
            &format!(
                "object.spec.signerName == '{SIGNER}' || \
                 !authorizer.group('{OURS}').resource('accessgrants').check('{CONNECT}').allowed() || \
                 {csr}.check('{REQUEST_ANY}').allowed()"
            ),
            &format!(
                "your right to ask for certificates is for spec.signerName {SIGNER} only; for others, ask for the verb \
                 {REQUEST_ANY} on certificatesigningrequests"
            ),
        )
}
