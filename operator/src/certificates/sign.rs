//! Answers CertificateSigningRequests of our signer: denied with a sentence, or approved and signed.

use std::sync::Arc;

use crds::AccessGrant;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use super::judge::{Asked, Refusal, asked, judge};
use crate::api::{LOOK_AGAIN, is_conflict};
use crate::clock::now;
use crate::context::Context;
use crate::pki::authority::{Authority, AuthorityError, Leaf};
use access::{GRANT_ANNOTATION, chain};
use tokio::time::Instant;

/// A CSR that could not be answered; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Reading.
    #[error("cannot read the grant that the CSR names")]
    Observe(#[source] kube::Error),
    /// Approving or denying.
    #[error("cannot write the CSR's approval")]
    Approve(#[source] kube::Error),
    /// The certificate.
    #[error("cannot write the CSR's certificate")]
    Publish(#[source] kube::Error),
    /// Signing.
    #[error("cannot sign the session certificate")]
    Sign(#[source] AuthorityError),
}

impl SignError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Observe(_) => "ObserveCsr",
            Self::Approve(source) | Self::Publish(source) if is_conflict(source) => "Conflict",
            Self::Approve(_) => "ApproveCsr",
            Self::Publish(_) => "PublishCsr",
            Self::Sign(_) => "SignCsr",
        }
    }
}

/// One look at one CSR.
pub async fn reconcile(
    cached: Arc<CertificateSigningRequest>,
    context: Arc<Context>,
) -> Result<Action, SignError> {
    let api: Api<CertificateSigningRequest> = Api::all(context.client.clone());
    let read = api.get_opt(&cached.name_any()).await.map_err(SignError::Observe)?;
    let Some(csr) = read.filter(is_unanswered) else { return Ok(Action::await_change()) };
    let time = now();
    match verdict(&context, &csr, time).await? {
        Ok((leaf, asked, authority)) => {
            let certificate = authority.sign(&leaf, &asked.key).map_err(SignError::Sign)?;
            let approved = match has(&csr, "Approved") {
                true => csr,
                false => approve(&api, csr, time).await?,
            };
            publish(&api, approved, certificate).await?;
            tracing::info!(grant = %asked.grant_uid, "session certificate signed");
        }
        Err(refusal) => {
            tracing::info!(csr = %csr.name_any(), %refusal, "session certificate refused");
            refuse(&api, csr, &refusal, time).await?;
        }
    }
    context.failures.went_well(&cached.uid().unwrap_or_default());
    Ok(Action::await_change())
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

fn is_unanswered(csr: &CertificateSigningRequest) -> bool {
    let signed = csr.status.as_ref().is_some_and(|status| status.certificate.is_some());
    csr.spec.signer_name == access::SIGNER && !signed && !has(csr, "Denied") && !has(csr, "Failed")
}

fn has(csr: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = csr.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// What is signed, or why nothing is.
type Verdict<'a> = Result<(Leaf, Asked, &'a Authority), Refusal>;

async fn verdict<'a>(
    context: &'a Context,
    csr: &CertificateSigningRequest,
    time: Timestamp,
) -> Result<Verdict<'a>, SignError> {
    let asked = match asked(&csr.spec) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let user = csr.spec.username.as_deref().unwrap_or_default();
    if let Err(wait) = context.rates.take(user, &csr.uid().unwrap_or_default(), Instant::now()) {
        return Ok(Err(Refusal::TooMany { seconds: wait.as_secs().saturating_add(1) }));
    }
    let named = csr.annotations().get(GRANT_ANNOTATION).and_then(|named| named.split_once('/'));
    let Some((namespace, name)) = named.filter(|(namespace, name)| is_name(namespace) && is_name(name))
    else {
        return Ok(Err(Refusal::Unnamed));
    };
    // From the API server: a grant that was revoked a moment ago signs nothing.
    let grants: Api<AccessGrant> = Api::namespaced(context.client.clone(), namespace);
    let grant = grants.get_opt(name).await.map_err(SignError::Observe)?;
    let authority = grant.as_ref().map(|grant| context.authorities.session_of(grant));
    let authority = authority.unwrap_or(&context.authorities.session);
    Ok(judge(&csr.spec, &asked, grant.as_ref(), time).map(|leaf| (leaf, asked, authority)))
}

/// A name that an object can have: it becomes a part of a path.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    !text.is_empty() && text.len() <= 253 && text.chars().all(plain) && !text.starts_with('.')
}

fn with_condition(
    mut csr: CertificateSigningRequest,
    kind: &str,
    told: (&str, String),
    time: Timestamp,
) -> CertificateSigningRequest {
    let (reason, message) = told;
    let mut status = csr.status.take().unwrap_or_default();
    status.conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(Time(time)),
        last_update_time: Some(Time(time)),
    });
    csr.status = Some(status);
    csr
}

async fn approve(
    api: &Api<CertificateSigningRequest>,
    csr: CertificateSigningRequest,
    time: Timestamp,
) -> Result<CertificateSigningRequest, SignError> {
    let told = ("LiveGrant", "the grant lives and is this user's own".to_owned());
    write(api, "approval", &with_condition(csr, "Approved", told, time)).await.map_err(SignError::Approve)
}

/// What somebody else approved can't be denied any more: then it has failed.
async fn refuse(
    api: &Api<CertificateSigningRequest>,
    csr: CertificateSigningRequest,
    refusal: &Refusal,
    time: Timestamp,
) -> Result<(), SignError> {
    let (kind, subresource) = match has(&csr, "Approved") {
        true => ("Failed", "status"),
        false => ("Denied", "approval"),
    };
    let refused = with_condition(csr, kind, ("NoSession", refusal.to_string()), time);
    write(api, subresource, &refused).await.map(drop).map_err(SignError::Approve)
}

async fn publish(
    api: &Api<CertificateSigningRequest>,
    mut csr: CertificateSigningRequest,
    certificate: String,
) -> Result<(), SignError> {
    let CertificateSigningRequestStatus { certificate: _, conditions } =
        csr.status.take().unwrap_or_default();
    csr.status = Some(CertificateSigningRequestStatus {
        certificate: Some(ByteString(certificate.into_bytes())),
        conditions,
    });
    write(api, "status", &csr).await.map(drop).map_err(SignError::Publish)
}

async fn write(
    api: &Api<CertificateSigningRequest>,
    subresource: &'static str,
    csr: &CertificateSigningRequest,
) -> Result<CertificateSigningRequest, kube::Error> {
    api.replace_subresource(subresource, &csr.name_any(), &PostParams::default(), csr).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_part_of_a_path_is_a_name() {
        assert!(is_name("shop") && is_name("look-82f3e9c6") && is_name("a.b"));
        for bad in ["", ".", "..", "../x", "a/b", "a%2fb", "a?b", "A", "a b"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
