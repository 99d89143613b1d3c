//! Answers CertificateSigningRequests for sessions: denied with a sentence, or approved and signed.

use std::sync::Arc;

use crds::AccessGrant;
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use super::answer::{Answering, SignError, Told, in_time};
use super::judge::{Asked, Refusal, asked, judge};
use crate::clock::now;
use crate::context::Context;
use crate::pki::authority::{Authority, Leaf};
use access::{GRANT_ANNOTATION, SIGNER};

/// One look at one CSR.
pub async fn reconcile(
    cached: Arc<CertificateSigningRequest>,
    context: Arc<Context>,
) -> Result<Action, SignError> {
    let time = now();
    let Some(answering) = Answering::read(&context, &cached, SIGNER, time).await? else {
        return Ok(Action::await_change());
    };
    match verdict(&context, &answering.csr, time).await? {
        Ok((leaf, asked, authority)) => {
            let certificate = authority.sign(&leaf, &asked.key).map_err(SignError::Sign)?;
            let message = "the grant lives and is this user's own".to_owned();
            answering.sign(Told { reason: "LiveGrant", message }, certificate).await?;
            tracing::info!(grant = %asked.grant_uid, "session certificate signed");
        }
        Err(refusal) => {
            tracing::info!(csr = %cached.name_any(), %refusal, "session certificate refused");
            answering.refuse(Told { reason: "NoSession", message: refusal.to_string() }).await?;
        }
    }
    context.failures.went_well(&cached.uid().unwrap_or_default());
    Ok(Action::await_change())
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
    if let Err(flaw) = in_time(context, csr) {
        return Ok(Err(Refusal::Flaw(flaw)));
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
