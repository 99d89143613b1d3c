//! What is written of a CertificateSigningRequest: approved and signed, or denied with a sentence. Decides nothing.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use super::request::Flaw;
use crate::api::{LOOK_AGAIN, is_conflict};
use crate::context::Context;
use crate::pki::authority::AuthorityError;
use access::chain;

/// A CSR that could not be answered; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Reading.
    #[error("cannot read the CSR, or the grant that it names")]
    Observe(#[source] kube::Error),
    /// Asking whether they may.
    #[error("cannot ask what the asker of a CSR may do (SubjectAccessReview)")]
    Review(#[source] kube::Error),
    /// Approving or denying.
    #[error("cannot write the CSR's approval")]
    Approve(#[source] kube::Error),
    /// The certificate.
    #[error("cannot write the CSR's certificate")]
    Publish(#[source] kube::Error),
    /// Signing.
    #[error("cannot sign the certificate")]
    Sign(#[source] AuthorityError),
}

impl SignError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Observe(_) => "ObserveCsr",
            Self::Review(_) => "ReviewCsr",
            Self::Approve(source) | Self::Publish(source) if is_conflict(source) => "Conflict",
            Self::Approve(_) => "ApproveCsr",
            Self::Publish(_) => "PublishCsr",
            Self::Sign(_) => "SignCsr",
        }
    }
}

/// Why, in a word and a sentence.
pub struct Told {
    /// One CamelCase word.
    pub reason: &'static str,
    /// What the person reads.
    pub message: String,
}

/// One CSR and what may be written of it.
pub struct Answering {
    api: Api<CertificateSigningRequest>,
    /// As it was read.
    pub csr: CertificateSigningRequest,
    time: Timestamp,
}

impl Answering {
    /// The CSR as the API server has it, if this signer still owes it an answer.
    pub async fn read(
        context: &Context,
        cached: &CertificateSigningRequest,
        signer: &str,
        time: Timestamp,
    ) -> Result<Option<Self>, SignError> {
        let api: Api<CertificateSigningRequest> = Api::all(context.client.clone());
        let read = api.get_opt(&cached.name_any()).await.map_err(SignError::Observe)?;
        let unanswered = read.filter(|csr| is_unanswered(csr, signer));
        Ok(unanswered.map(|csr| Self { api, csr, time }))
    }

    /// Approves, and hands over the certificate.
    pub async fn sign(self, told: Told, certificate: String) -> Result<(), SignError> {
        let Self { api, csr, time } = self;
        let mut approved = match has(&csr, "Approved") {
            true => csr,
            false => write(&api, "approval", &with_condition(csr, "Approved", told, time))
                .await
                .map_err(SignError::Approve)?,
        };
        let CertificateSigningRequestStatus { certificate: _, conditions } =
            approved.status.take().unwrap_or_default();
        approved.status = Some(CertificateSigningRequestStatus {
            certificate: Some(ByteString(certificate.into_bytes())),
            conditions,
        });
        write(&api, "status", &approved).await.map(drop).map_err(SignError::Publish)
    }

    /// Denies. What somebody else approved can't be denied any more: then it has failed.
    pub async fn refuse(self, told: Told) -> Result<(), SignError> {
        let Self { api, csr, time } = self;
        let (kind, subresource) = match has(&csr, "Approved") {
            true => ("Failed", "status"),
            false => ("Denied", "approval"),
        };
        let refused = with_condition(csr, kind, told, time);
        write(&api, subresource, &refused).await.map(drop).map_err(SignError::Approve)
    }
}

/// Counts the request among those that this person made lately.
pub fn in_time(context: &Context, csr: &CertificateSigningRequest) -> Result<(), Flaw> {
    let user = csr.spec.username.as_deref().unwrap_or_default();
    let counted = context.rates.take(user, &csr.uid().unwrap_or_default(), Instant::now());
    counted.map_err(|wait| Flaw::TooMany { seconds: wait.as_secs().saturating_add(1) })
}

/// After a failure.
pub fn failed(csr: Arc<CertificateSigningRequest>, error: &SignError, context: Arc<Context>) -> Action {
    let reason = error.reason();
    if reason == "Conflict" {
        return Action::requeue(LOOK_AGAIN);
    }
    context.metrics.failed(reason);
    tracing::warn!(reason, error = %chain(error), "CSR not answered");
    Action::requeue(context.failures.again_in(&csr.uid().unwrap_or_default()))
}

fn is_unanswered(csr: &CertificateSigningRequest, signer: &str) -> bool {
    let signed = csr.status.as_ref().is_some_and(|status| status.certificate.is_some());
    csr.spec.signer_name == signer && !signed && !has(csr, "Denied") && !has(csr, "Failed")
}

fn has(csr: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = csr.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn with_condition(
    mut csr: CertificateSigningRequest,
    kind: &str,
    told: Told,
    time: Timestamp,
) -> CertificateSigningRequest {
    let mut status = csr.status.take().unwrap_or_default();
    status.conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(told.reason.to_owned()),
        message: Some(told.message),
        last_transition_time: Some(Time(time)),
        last_update_time: Some(Time(time)),
    });
    csr.status = Some(status);
    csr
}

async fn write(
    api: &Api<CertificateSigningRequest>,
    subresource: &'static str,
    csr: &CertificateSigningRequest,
) -> Result<CertificateSigningRequest, kube::Error> {
    api.replace_subresource(subresource, &csr.name_any(), &PostParams::default(), csr).await
}
