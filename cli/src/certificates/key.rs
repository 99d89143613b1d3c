//! The key of a certificate, for a session or for the audit log: P-256, made in memory, never written anywhere.

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls_pki_types::PrivatePkcs8KeyDer;

/// A private key. No `Debug`, no way to a file.
pub struct SessionKey(KeyPair);

/// The key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not made.
    #[error("cannot make a session key")]
    Make {
        /// Why.
        source: rcgen::Error,
    },
    /// The request for a certificate was not made.
    #[error("cannot make a certificate signing request for {uri}")]
    Request {
        /// The name in it.
        uri: String,
        /// Why.
        source: rcgen::Error,
    },
}

impl SessionKey {
    /// A new key.
    pub fn make() -> Result<Self, KeyError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(|source| KeyError::Make { source })
    }

    /// A certificate signing request, PEM. It holds this one name and nobody's: who asks is what the API server says.
    pub fn request_pem(&self, uri: &str) -> Result<String, KeyError> {
        let bad = |source| KeyError::Request { uri: uri.to_owned(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = Ia5String::try_from(uri).map_err(bad)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serialize_request(&self.0).and_then(|request| request.pem()).map_err(bad)
    }

    /// Its public half, as a certificate holds it.
    pub fn public_key(&self) -> &[u8] {
        self.0.public_key_raw()
    }

    /// The key for a TLS library. A copy: as short-lived as this one.
    pub fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der())
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::*;

    use super::*;

    #[test]
    fn the_request_names_the_grant_and_nobody() {
        let key = SessionKey::make().unwrap();
        let pem = key.request_pem("keyhole://session/0b9a2f0e").unwrap();
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        assert_eq!(block.label, "CERTIFICATE REQUEST");
        let (_, request) = X509CertificationRequest::from_der(&block.contents).unwrap();
        request.verify_signature().unwrap();
        assert_eq!(request.certification_request_info.subject.iter().count(), 0);
        let names: Vec<String> = request
            .requested_extensions()
            .unwrap()
            .filter_map(|extension| match extension {
                ParsedExtension::SubjectAlternativeName(names) => Some(names),
                _ => None,
            })
            .flat_map(|names| names.general_names.iter().map(ToString::to_string))
            .collect();
        assert_eq!(names, ["URI(keyhole://session/0b9a2f0e)"]);
    }
}
