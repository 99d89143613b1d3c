//! A certificate for the audit log, and by what the log is known.
//!
//! The answer of the signer holds the person's certificate, and behind it that of Keyhole's internal authority. It is believed because of
//! where it stands: the API server, which the kubeconfig says how to know, lets nobody write a certificate into such a request but who may
//! `sign` for this signer, and that is the operator. In the same way a grant's status says by what its proxy is known. What comes is
//! checked all the same: the certificate must be signed by that authority, for this very key, with the name that was asked for.

use access::{Auditor, hex, log_server_name};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::request::{AskError, Wish, ask};
use super::{KeyError, SessionKey};
use crate::cluster::Cluster;

/// How long it shall last, in seconds: as long as the operator lets it.
const SECONDS: i32 = 3600;

/// What somebody shows to the log, and by what they know it.
pub struct LogPass {
    /// The key of the certificate.
    pub key: SessionKey,
    /// The certificate alone.
    pub certificate: CertificateDer<'static>,
    /// The only authority to trust.
    pub authority: CertificateDer<'static>,
    /// By which name the log must prove itself.
    pub server_name: String,
    /// When the certificate ends.
    pub not_after: Timestamp,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum LogPassError {
    /// No signing request.
    #[error(transparent)]
    Key(KeyError),
    /// No answer, or a refusal.
    #[error(transparent)]
    Ask(AskError),
    /// What was signed is not what was asked for.
    #[error("the certificate for the audit log is not the one that was asked for: {0}")]
    Other(&'static str),
}

/// Asks for a certificate and waits for it.
pub async fn log_pass(cluster: &Cluster, auditor: &Auditor) -> Result<LogPass, LogPassError> {
    let key = SessionKey::make().map_err(LogPassError::Key)?;
    let uri = auditor.uri();
    let wish = Wish {
        what: format!("certificate for the audit log ({uri})"),
        signer: access::AUDITOR_SIGNER,
        request_pem: key.request_pem(&uri).map_err(LogPassError::Key)?,
        seconds: Some(SECONDS),
        annotations: None,
    };
    let pem = ask(cluster, wish).await.map_err(LogPassError::Ask)?;
    checked(&pem, key, &uri).map_err(LogPassError::Other)
}

fn checked(pem: &[u8], key: SessionKey, uri: &str) -> Result<LogPass, &'static str> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_unreadable| "it is not PEM")?;
    let [certificate, authority] =
        <[CertificateDer<'static>; 2]>::try_from(chain).map_err(|_chain| "no authority follows it")?;
    let (not_after, server_name) = {
        let read = |der| parse_x509_certificate(der).map(|(_, read)| read).map_err(|_bad| "it can't be read");
        let (own, above) = (read(&certificate)?, read(&authority)?);
        if *own.public_key().subject_public_key.data != *key.public_key() {
            return Err("it is of another key");
        }
        if !above.is_ca() || own.verify_signature(Some(above.public_key())).is_err() {
            return Err("the authority behind it did not sign it");
        }
        if only_uri(&own) != Some(uri) {
            return Err("it has another name");
        }
        let not_after = Timestamp::from_second(own.validity().not_after.timestamp());
        let fingerprint = hex(&Sha256::digest(above.public_key().raw));
        (not_after.map_err(|_time| "it can't be read")?, log_server_name(&fingerprint))
    };
    Ok(LogPass { key, certificate, authority, server_name, not_after })
}

fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => Some(uri),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
    };

    use super::*;

    const URI: &str = "keyhole://audit/shop";

    fn authority() -> (String, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (pem, Issuer::new(params, key))
    }

    fn signed(key: &SessionKey, uri: &str, issuer: &Issuer<'static, KeyPair>) -> String {
        let request = CertificateSigningRequestParams::from_pem(&key.request_pem(uri).unwrap()).unwrap();
        request.signed_by(issuer).unwrap().pem()
    }

    fn why(pem: &str, key: SessionKey) -> &'static str {
        checked(pem.as_bytes(), key, URI).err().unwrap()
    }

    #[test]
    fn the_log_is_known_by_the_authority_that_signed_and_by_its_name() {
        let (pem, issuer) = authority();
        let key = SessionKey::make().unwrap();
        let chain = format!("{}{pem}", signed(&key, URI, &issuer));
        let pass = checked(chain.as_bytes(), key, URI).unwrap();
        let digits = pass.server_name.strip_suffix(".log.keyhole.internal").unwrap();
        assert_eq!(digits.len(), 16);
        assert_eq!(pass.authority, CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    }

    #[test]
    fn what_was_not_asked_for_is_not_taken() {
        let ((pem, issuer), (other_pem, other)) = (authority(), authority());
        let make = || SessionKey::make().unwrap();
        let key = make();
        let own = signed(&key, URI, &issuer);
        assert_eq!(why(&format!("{own}{pem}"), make()), "it is of another key");
        assert_eq!(why(&own, make()), "no authority follows it");
        assert_eq!(why("", make()), "no authority follows it");
        let of = |uri: &str, issuer: &Issuer<'static, KeyPair>, pem: &str| {
            let key = make();
            why(&format!("{}{pem}", signed(&key, uri, issuer)), key)
        };
        assert_eq!(of(URI, &issuer, &other_pem), "the authority behind it did not sign it");
        assert_eq!(of(URI, &other, &pem), "the authority behind it did not sign it");
        assert_eq!(of("keyhole://audit/bank", &issuer, &pem), "it has another name");
        // A leaf vouches for nobody.
        let leaf = make();
        let below = signed(&leaf, URI, &issuer);
        let key = make();
        assert_eq!(
            why(&format!("{}{below}", signed(&key, URI, &issuer)), key),
            "the authority behind it did not sign it"
        );
    }
}
