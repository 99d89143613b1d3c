//! An internal authority, and the certificates that it gives.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The name in the log's certificate.
pub const NAME: &str = "log.keyhole.internal";

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// The last year of certificates that can be used, and of those that cannot any more.
const VALID: i32 = 4095;
const PAST: i32 = 2020;

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn certificate(&self, uri: &str, usage: ExtendedKeyUsagePurpose, last_year: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec![NAME.into()]).unwrap();
        params.not_after = date_time_ymd(last_year, 12, 31);
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Writes the log's own files.
    pub fn identity(&self, folder: &Path) {
        let (certificate, key) =
            self.certificate("keyhole://log", ExtendedKeyUsagePurpose::ServerAuth, VALID);
        for (name, text) in [("tls.crt", &certificate), ("tls.key", &key), ("internal-ca.crt", &self.pem)] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    /// How somebody with this URI calls the log.
    pub fn client(&self, uri: &str) -> ClientConfig {
        self.introduces(self.certificate(uri, ExtendedKeyUsagePurpose::ClientAuth, VALID))
    }

    /// How somebody calls it whose certificate has expired.
    pub fn late_client(&self, uri: &str) -> ClientConfig {
        self.introduces(self.certificate(uri, ExtendedKeyUsagePurpose::ClientAuth, PAST))
    }

    /// How somebody with this URI calls it whom another authority vouches for.
    pub fn stranger(&self, uri: &str) -> ClientConfig {
        self.introduces(Self::new().certificate(uri, ExtendedKeyUsagePurpose::ClientAuth, VALID))
    }

    fn introduces(&self, (certificate, key): (String, String)) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap()
    }
}
