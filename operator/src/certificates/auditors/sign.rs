//! Answers CertificateSigningRequests for the audit log: denied with a sentence, or approved and signed by the internal authority, whose
//! certificate follows in the answer: by it the asker knows the log.

use std::sync::Arc;

use access::AUDITOR_SIGNER;
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use super::judge::{Asked, Refusal, asked, judge, question};
use crate::certificates::answer::{Answering, SignError, Told, in_time};
use crate::clock::now;
use crate::context::Context;
use crate::pki::authority::Leaf;

/// One look at one CSR.
pub async fn reconcile(
    cached: Arc<CertificateSigningRequest>,
    context: Arc<Context>,
) -> Result<Action, SignError> {
    let time = now();
    let Some(answering) = Answering::read(&context, &cached, AUDITOR_SIGNER, time).await? else {
        return Ok(Action::await_change());
    };
    match verdict(&context, &answering.csr, time).await? {
        Ok((leaf, asked)) => {
            let authority = &context.authorities.internal;
            let own = authority.sign(&leaf, &asked.key).map_err(SignError::Sign)?;
            let message = format!("{} may {} in {}", asked.user, asked.auditor.task().verb(), asked.auditor);
            let told = Told { reason: "MayAudit", message };
            answering.sign(told, format!("{own}{}", authority.certificate_pem())).await?;
            tracing::info!(user = ?asked.user, uri = %leaf.uri, "certificate for the audit log signed");
        }
        Err(refusal) => {
            tracing::info!(csr = %cached.name_any(), %refusal, "certificate for the audit log refused");
            answering.refuse(Told { reason: "MayNotAudit", message: refusal.to_string() }).await?;
        }
    }
    context.failures.went_well(&cached.uid().unwrap_or_default());
    Ok(Action::await_change())
}

/// What is signed, or why nothing is.
type Verdict = Result<(Leaf, Asked), Refusal>;

async fn verdict(
    context: &Context,
    csr: &CertificateSigningRequest,
    time: Timestamp,
) -> Result<Verdict, SignError> {
    let asked = match asked(csr, time) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(flaw) = in_time(context, csr) {
        return Ok(Err(Refusal::Flaw(flaw)));
    }
    let reviews: Api<SubjectAccessReview> = Api::all(context.client.clone());
    let asking = question(&csr.spec, &asked.auditor);
    let said = reviews.create(&PostParams::default(), &asking).await.map_err(SignError::Review)?;
    Ok(judge(&asked, said.status.as_ref(), time).map(|leaf| (leaf, asked)))
}
