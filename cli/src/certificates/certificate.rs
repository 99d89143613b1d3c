//! A session certificate by way of the CertificateSigningRequest API: the API server stamps who asked, the operator
//! signs for the live grant's own user only.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestSpec, CertificateSigningRequestStatus,
};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::cluster::{CallError, Cluster};
use crate::grants::OpenGrant;

use super::{KeyError, SessionKey};

/// How long the operator may take to sign.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before the answer is asked for again: the first time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The shortest life that the API server lets anybody ask for, in seconds. The operator signs for less all the same.
const SHORTEST_SECONDS: i64 = 600;

/// The certificate of a session key.
pub struct SessionCertificate {
    /// The key's own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// When it ends: never after the grant.
    pub not_after: Timestamp,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No signing request.
    #[error(transparent)]
    Key(KeyError),
    /// A call failed.
    #[error(transparent)]
    Call(CallError),
    /// The operator said no.
    #[error("the operator refused a session certificate for grant {grant}: {message}")]
    Refused {
        /// The grant.
        grant: String,
        /// Its words.
        message: String,
    },
    /// Nobody answered.
    #[error(
        "no session certificate for grant {grant} within {} s: ask the platform team whether the Keyhole operator runs (`kubectl get csr {request}`)",
        PATIENCE.as_secs()
    )]
    NoAnswer {
        /// The grant.
        grant: String,
        /// The signing request.
        request: String,
    },
    /// What was signed is no certificate.
    #[error("the certificate for grant {grant} can't be read")]
    Unreadable {
        /// The grant.
        grant: String,
    },
}

/// Asks for a certificate and waits for it.
pub async fn obtain(
    cluster: &Cluster,
    grant: &OpenGrant,
    key: &SessionKey,
    now: Timestamp,
) -> Result<SessionCertificate, CertificateError> {
    let api = cluster.api_all::<CertificateSigningRequest>();
    let request = signing_request(cluster.namespace(), grant, key, now).map_err(CertificateError::Key)?;
    let made = api
        .create(&PostParams::default(), &request)
        .await
        .map_err(CallError::of("ask for a session certificate (CertificateSigningRequest)"))
        .map_err(CertificateError::Call)?;
    let name = made.name_any();
    match tokio::time::timeout(PATIENCE, answered(&api, &name)).await {
        Ok(Ok(Some(Answer::Signed(pem)))) => {
            parse(&pem).ok_or_else(|| CertificateError::Unreadable { grant: grant.name.clone() })
        }
        Ok(Ok(Some(Answer::Refused(message)))) => {
            Err(CertificateError::Refused { grant: grant.name.clone(), message })
        }
        Ok(Ok(None)) | Err(_) => Err(CertificateError::NoAnswer { grant: grant.name.clone(), request: name }),
        Ok(Err(error)) => Err(CertificateError::Call(error)),
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

fn signing_request(
    namespace: &str,
    grant: &OpenGrant,
    key: &SessionKey,
    now: Timestamp,
) -> Result<CertificateSigningRequest, KeyError> {
    let seconds = grant.expires_at.duration_since(now).as_secs().max(SHORTEST_SECONDS);
    Ok(CertificateSigningRequest {
        metadata: ObjectMeta {
            generate_name: Some("keyhole-".to_owned()),
            annotations: Some(BTreeMap::from([(
                access::GRANT_ANNOTATION.to_owned(),
                format!("{namespace}/{}", grant.name),
            )])),
            ..ObjectMeta::default()
        },
        spec: CertificateSigningRequestSpec {
            request: ByteString(key.request_pem(&grant.uid)?.into_bytes()),
            signer_name: access::SIGNER.to_owned(),
            usages: Some(vec!["digital signature".to_owned(), "client auth".to_owned()]),
            expiration_seconds: i32::try_from(seconds).ok(),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    })
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

fn parse(pem: &[u8]) -> Option<SessionCertificate> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    let (_, own) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
    let not_after = Timestamp::from_second(own.validity().not_after.timestamp()).ok()?;
    Some(SessionCertificate { chain, not_after })
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

    #[test]
    fn a_minute_s_grant_asks_for_the_shortest_certificate_there_is() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let key = SessionKey::make().unwrap();
        let seconds = |left: i64| {
            let grant = OpenGrant::for_tests(Timestamp::from_second(1_800_000_000 + left).unwrap());
            signing_request("shop", &grant, &key, now).unwrap().spec.expiration_seconds
        };
        assert_eq!(seconds(60), Some(600));
        assert_eq!(seconds(-5), Some(600));
        assert_eq!(seconds(7200), Some(7200));
    }

    #[test]
    fn what_is_no_certificate_is_not_taken_for_one() {
        for pem in [&b""[..], b"pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(parse(pem).is_none());
        }
    }
}
