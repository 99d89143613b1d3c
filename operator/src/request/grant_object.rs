//! The `AccessGrant` of an approved request: name, finalizer, snapshot. Pure.
//!
//! It is not owned by the request: who deletes their request ends the grant, and its record stays.

use crds::{AccessGrant, AccessGrantSpec, AccessRequest, GrantedBy, GrantedTerms, RequestRef};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use sha2::{Digest, Sha256};

use super::decision::offer::Offer;
use super::decision::quorum::Judged;

/// `<request>-<first 8 hex digits of SHA-256 of the request's uid>`.
pub fn name(request: &impl kube::Resource) -> String {
    let digest = Sha256::digest(request.uid().unwrap_or_default());
    let digest: String = access::hex(&digest).chars().take(8).collect();
    format!("{}-{digest}", request.name_any())
}

/// The grant to create. `counted` are the approvals that count.
pub fn build(
    request: &AccessRequest,
    offer: &Offer,
    counted: &[&Judged],
    expires_at: Timestamp,
) -> AccessGrant {
    let Offer { terms, digest, database_uid, database_spec, max_live: _ } = offer;
    AccessGrant {
        metadata: ObjectMeta {
            name: Some(name(request)),
            namespace: request.namespace(),
            finalizers: Some(vec![crds::FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: AccessGrantSpec {
            request: RequestRef { name: request.name_any(), uid: request.uid().unwrap_or_default() },
            user: terms.request.user.clone(),
            terms: GrantedTerms {
                database: terms.target.name.clone(),
                database_uid: database_uid.clone(),
                database_spec: database_spec.clone(),
                policy: terms.rule.policy.clone(),
                policy_uid: terms.rule.policy_uid.clone(),
                rule: terms.rule.rule.clone(),
                limits: terms.limits.into(),
                minutes: terms.minutes.get(),
                probe: false,
                reason: terms.reason.clone(),
                submitted_by: terms.request.submitted_by.clone(),
                evidence: request.spec.evidence.clone(),
            },
            terms_digest: digest.as_str().to_owned(),
            approved_by: counted.iter().map(|judged| by(judged)).collect(),
            expires_at: Time(expires_at),
            revocation: None,
            abandon: None,
        },
        status: None,
    }
}

fn by(judged: &Judged) -> GrantedBy {
    GrantedBy { approval: judged.name.clone(), uid: judged.uid.clone(), approver: judged.approver.clone() }
}
