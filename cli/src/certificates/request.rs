//! Asks one of our signers by way of the CertificateSigningRequest API, and waits for the answer: the API server stamps who asked.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestSpec, CertificateSigningRequestStatus,
};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};

use crate::cluster::{CallError, Cluster};

/// How long the operator may take to sign.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before the answer is asked for again: the first time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is asked for.
pub struct Wish {
    /// `session certificate for grant look`.
    pub what: String,
    /// Who signs.
    pub signer: &'static str,
    /// PKCS#10, PEM.
    pub request_pem: String,
    /// How long it shall last.
    pub seconds: Option<i32>,
    /// More about it.
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A call failed.
    #[error(transparent)]
    Call(CallError),
    /// The operator said no.
    #[error("the operator refused a {what}: {message}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Its words.
        message: String,
    },
    /// Nobody answered.
    #[error(
        "no {what} within {} s: ask the platform team whether the Keyhole operator runs (`kubectl get csr {request}`)",
        PATIENCE.as_secs()
    )]
    NoAnswer {
        /// What was asked for.
        what: String,
        /// The signing request.
        request: String,
    },
}

/// Asks, and waits for what is signed: PEM.
pub async fn ask(cluster: &Cluster, wish: Wish) -> Result<Vec<u8>, AskError> {
    let api = cluster.api_all::<CertificateSigningRequest>();
    let what = wish.what.clone();
    let made = api
        .create(&PostParams::default(), &object(wish))
        .await
        .map_err(CallError::of(format!("ask for a {what} (CertificateSigningRequest)")))
        .map_err(AskError::Call)?;
    let name = made.name_any();
    match tokio::time::timeout(PATIENCE, answered(&api, &name)).await {
        Ok(Ok(Some(Answer::Signed(pem)))) => Ok(pem),
        Ok(Ok(Some(Answer::Refused(message)))) => Err(AskError::Refused { what, message }),
        Ok(Ok(None)) | Err(_) => Err(AskError::NoAnswer { what, request: name }),
        Ok(Err(error)) => Err(AskError::Call(error)),
    }
}

/// The answer to this request, which is asked for again and again: nobody needs the right to watch everybody's. `None`: the
/// request is gone.
async fn answered(api: &Api<CertificateSigningRequest>, name: &str) -> Result<Option<Answer>, CallError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let read = api.get_opt(name).await;
        let Some(request) = read.map_err(CallError::of(format!("read CertificateSigningRequest {name}")))?
        else {
            return Ok(None);
        };
        if let Some(answer) = request.status.as_ref().and_then(answer) {
            return Ok(Some(answer));
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

fn object(wish: Wish) -> CertificateSigningRequest {
    let Wish { what: _, signer, request_pem, seconds, annotations } = wish;
    CertificateSigningRequest {
        metadata: ObjectMeta {
            generate_name: Some("keyhole-".to_owned()),
            annotations,
            ..ObjectMeta::default()
        },
        spec: CertificateSigningRequestSpec {
            request: ByteString(request_pem.into_bytes()),
            signer_name: signer.to_owned(),
            usages: Some(vec!["digital signature".to_owned(), "client auth".to_owned()]),
            expiration_seconds: seconds,
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    }
}

enum Answer {
    Signed(Vec<u8>),
    Refused(String),
}

fn answer(status: &CertificateSigningRequestStatus) -> Option<Answer> {
    let refusal = status.conditions.iter().flatten().find(|condition| {
        matches!(condition.type_.as_str(), "Denied" | "Failed") && condition.status == "True"
    });
    if let Some(condition) = refusal {
        let message = condition.message.clone().unwrap_or_else(|| "it gave no reason".to_owned());
        return Some(Answer::Refused(message));
    }
    let ByteString(pem) = status.certificate.as_ref()?;
    (!pem.is_empty()).then(|| Answer::Signed(pem.clone()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::certificates::v1::CertificateSigningRequestCondition;

    use super::*;

    fn status(kind: &str, certificate: Option<&[u8]>) -> CertificateSigningRequestStatus {
        CertificateSigningRequestStatus {
            certificate: certificate.map(|bytes| ByteString(bytes.to_vec())),
            conditions: Some(vec![CertificateSigningRequestCondition {
                type_: kind.to_owned(),
                status: "True".to_owned(),
                message: Some("the grant is for somebody else".to_owned()),
                ..CertificateSigningRequestCondition::default()
            }]),
        }
    }

    #[test]
    fn a_refusal_is_heard_even_beside_a_certificate() {
        for kind in ["Denied", "Failed"] {
            let heard = answer(&status(kind, Some(b"pem")));
            assert!(matches!(heard, Some(Answer::Refused(message)) if message.contains("somebody else")));
        }
    }

    #[test]
    fn approved_without_a_certificate_is_no_answer_yet() {
        assert!(answer(&status("Approved", None)).is_none());
        assert!(answer(&status("Approved", Some(b""))).is_none());
        assert!(matches!(answer(&status("Approved", Some(b"pem"))), Some(Answer::Signed(_))));
    }
}
