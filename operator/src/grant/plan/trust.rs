//! Whether a grant object is believed. While the release's admission policies are not in force anybody with the right verb
//! may have written it, status and all: it gets no pod, and no proxy is let on to a credential.
//!
//! What is open already stays so: its pod was made while the grant was believed.

use crds::{Because, Reason};
use kube::ResourceExt;

use super::super::observed::Observed;
use crate::admission::Admission;
use crate::api::created;

/// Why nothing is opened for this grant. `None`: it is believed.
pub fn untrusted(observed: &Observed) -> Option<Because> {
    let since = match &observed.admission {
        Some(Admission::InForce { since }) => *since,
        Some(Admission::NotInForce { what }) => {
            return Some(Because::new(
                Reason::AdmissionNotInForce,
                format!(
                    "what the release stands on is not in force, so nothing is opened: {what}. Run `helm upgrade` with the release's chart."
                ),
            ));
        }
        None => {
            return Some(Because::new(
                Reason::AdmissionUnknown,
                "the admission policies were not looked at.",
            ));
        }
    };
    let metadata = &observed.grant.metadata;
    // Its spec is written once, and once more where it is revoked.
    if metadata.generation != Some(1) {
        let name = observed.grant.name_any();
        let sentence = format!(
            "this grant was changed after it was made, so it gets no proxy: revoke {name} and ask again."
        );
        return Some(Because::new(Reason::Changed, sentence));
    }
    // Under an earlier release it was as good as one that was made now.
    (created(&observed.grant) <= since && !observed.seal.holds).then(|| {
        Because::new(
            Reason::OlderThanAdmission,
            format!(
                "this grant is older than the admission policies, in force since {since:.0}, and no operator sealed it, so it gets no proxy: revoke {} \
                 and ask again.",
                observed.grant.name_any()
            ),
        )
    })
}
