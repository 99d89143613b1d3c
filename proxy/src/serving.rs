//! TLS towards those who call: the proxy's own certificate, and whose certificates are taken. Clients of the database and the operator
//! are of two authorities, and all else is alike: TLS 1.2 and 1.3, and every connection proves its certificate anew.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientCertVerifierBuilder, NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

/// What the proxy shows to clients, and by what it knows them. All PEM.
pub struct ServingIdentity {
    /// The serving certificate, and what leads to its CA.
    pub certificate_pem: Vec<u8>,
    /// Its key, wiped when dropped.
    pub key_pem: Zeroizing<Vec<u8>>,
    /// The session CA: one certificate or more.
    pub session_ca_pem: Vec<u8>,
}

/// Why TLS can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// A file is not PEM, or holds nothing of use.
    #[error("{file} is not PEM or holds nothing of use")]
    Pem {
        /// Which.
        file: &'static str,
    },
    /// Certificate and key can't be used together, or no TLS version is left.
    #[error("the serving certificate cannot be used")]
    Certificate(#[source] rustls::Error),
    /// An authority can't verify anybody.
    #[error("{file} cannot verify anybody")]
    Authority {
        /// Which.
        file: &'static str,
        /// What is wrong with it.
        source: VerifierBuilderError,
    },
}

/// Who shows a certificate of an authority for client authentication that is valid now.
pub struct Callers {
    file: &'static str,
    builder: ClientCertVerifierBuilder,
}

impl Callers {
    /// Of the authorities in a file.
    pub fn of(file: &'static str, ca_pem: &[u8]) -> Result<Self, ServingError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(file, ca_pem)? {
            roots.add(authority).map_err(|_| ServingError::Pem { file })?;
        }
        if roots.is_empty() {
            return Err(ServingError::Pem { file });
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(Self { file, builder: WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider) })
    }

    /// Without a certificate there is no handshake.
    pub fn required(self) -> Result<Arc<dyn ClientCertVerifier>, ServingError> {
        self.builder.build().map_err(|source| ServingError::Authority { file: self.file, source })
    }

    /// There may be none. One that is shown must be good.
    pub fn welcome(self) -> Result<Arc<dyn ClientCertVerifier>, ServingError> {
        let builder = self.builder.allow_unauthenticated();
        builder.build().map_err(|source| ServingError::Authority { file: self.file, source })
    }
}

impl ServingIdentity {
    /// The TLS settings of a port. Nothing is resumed, so nothing outlives a certificate.
    pub fn tls(&self, callers: Arc<dyn ClientCertVerifier>) -> Result<ServerConfig, ServingError> {
        let chain = certificates("tls.crt", &self.certificate_pem)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem)
            .map_err(|_| ServingError::Pem { file: "tls.key" })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ServingError::Certificate)?
            .with_client_cert_verifier(callers)
            .with_single_cert(chain, key)
            .map_err(ServingError::Certificate)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl ServingIdentity {
    /// How the proxy calls others of its own authority, with its own certificate: TLS 1.3.
    pub fn calls(&self, file: &'static str, ca_pem: &[u8]) -> Result<ClientConfig, ServingError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(file, ca_pem)? {
            roots.add(authority).map_err(|_| ServingError::Pem { file })?;
        }
        let chain = certificates("tls.crt", &self.certificate_pem)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem)
            .map_err(|_| ServingError::Pem { file: "tls.key" })?;
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(ServingError::Certificate)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(ServingError::Certificate)
    }
}

fn certificates(file: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ServingError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| ServingError::Pem { file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named_by_its_file() {
        for pem in [&b""[..], b"nothing", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"] {
            let refused = Callers::of("session-ca.crt", pem).err().unwrap();
            assert_eq!(refused.to_string(), "session-ca.crt is not PEM or holds nothing of use");
        }
    }
}
