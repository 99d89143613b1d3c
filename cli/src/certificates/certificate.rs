//! A session certificate: the operator signs for the live grant's own user only.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::cluster::Cluster;
use crate::grants::OpenGrant;

use super::request::{AskError, Wish, ask};
use super::{KeyError, SessionKey};

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
    /// No answer, or a refusal.
    #[error(transparent)]
    Ask(AskError),
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
    let wish = wish(cluster.namespace(), grant, key, now).map_err(CertificateError::Key)?;
    let pem = ask(cluster, wish).await.map_err(CertificateError::Ask)?;
    parse(&pem).ok_or_else(|| CertificateError::Unreadable { grant: grant.name.clone() })
}

fn wish(namespace: &str, grant: &OpenGrant, key: &SessionKey, now: Timestamp) -> Result<Wish, KeyError> {
    let seconds = grant.expires_at.duration_since(now).as_secs().max(SHORTEST_SECONDS);
    Ok(Wish {
        what: format!("session certificate for grant {}", grant.name),
        signer: access::SIGNER,
        request_pem: key.request_pem(&access::session_uri(&grant.uid))?,
        seconds: i32::try_from(seconds).ok(),
        annotations: Some(BTreeMap::from([(
            access::GRANT_ANNOTATION.to_owned(),
            format!("{namespace}/{}", grant.name),
        )])),
    })
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
    use super::*;

    #[test]
    fn a_minute_s_grant_asks_for_the_shortest_certificate_there_is() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let key = SessionKey::make().unwrap();
        let seconds = |left: i64| {
            let grant = OpenGrant::for_tests(Timestamp::from_second(1_800_000_000 + left).unwrap());
            wish("shop", &grant, &key, now).unwrap().seconds
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
