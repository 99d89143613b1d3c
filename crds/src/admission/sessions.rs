//! Signing requests of those who may ask for session certificates (`connect.groups` of the chart) or for certificates for the audit log
//! (`auditors.groups`): for that signer of ours alone.
//!
//! RBAC knows no signer when a CertificateSigningRequest is made: the right to ask for a certificate of ours is the right to ask
//! any signer of the cluster. Who holds it otherwise, too, gets [`REQUEST_ANY`] beside it. What is signed for whom the operator says.

use access::{AUDITOR_SIGNER, SIGNER};

use super::draft::{Draft, OURS};
use super::{CONNECT, CONNECT_LOG, REQUEST_ANY};

pub(super) fn asked_for() -> Draft {
    let holds =
        |verb: &str| format!("authorizer.group('{OURS}').resource('accessgrants').check('{verb}').allowed()");
    let csr = "authorizer.group('certificates.k8s.io').resource('certificatesigningrequests')";
    let both = format!("{SIGNER} and {AUDITOR_SIGNER}");
    let held = [
        ("variables.connects && !variables.audits", SIGNER),
        ("variables.audits && !variables.connects", AUDITOR_SIGNER),
        ("variables.connects && variables.audits", &both),
    ];
    let draft = Draft::new("sessions")
        .on_cluster("certificates.k8s.io", &["certificatesigningrequests"], &["CREATE"])
        .variable("connects", &holds(CONNECT))
        .variable("audits", &holds(CONNECT_LOG))
        .variable("whichever", &format!("{csr}.check('{REQUEST_ANY}').allowed()"))
        .variable(
            "own",
            &format!(
                "(object.spec.signerName == '{SIGNER}' && variables.connects) || \
                 (object.spec.signerName == '{AUDITOR_SIGNER}' && variables.audits)"
            ),
        );
    held.into_iter().fold(draft, |draft, (holds, signers)| {
        draft.check(
            &format!("variables.own || variables.whichever || !({holds})"),
            &format!(
                "your right to ask for certificates is for spec.signerName {signers} only; for others, ask for the verb \
                 {REQUEST_ANY} on certificatesigningrequests"
            ),
        )
    })
}
