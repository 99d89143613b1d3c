//! TLS of the status port: the proxy's own certificate, and clients of the internal CA only.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::sessions::ServingIdentity;

/// Why the status port has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum StatusTlsError {
    /// A file is not the PEM it should be.
    #[error("{file} is not PEM")]
    Pem {
        /// Which.
        file: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The internal CA can't verify anybody.
    #[error("internal-ca.crt cannot verify the operator")]
    Authority(#[source] VerifierBuilderError),
    /// A certificate that can't be used.
    #[error("the certificates for the status port cannot be used")]
    Certificate(#[source] rustls::Error),
}

/// TLS 1.2 and 1.3. A certificate of the internal CA is required, and shown at each connection anew.
pub fn status_tls(
    serving: &ServingIdentity,
    internal_ca_pem: &[u8],
) -> Result<Arc<ServerConfig>, StatusTlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in certificates("internal-ca.crt", internal_ca_pem)? {
        roots.add(authority).map_err(StatusTlsError::Certificate)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(StatusTlsError::Authority)?;
    let key = PrivateKeyDer::from_pem_slice(&serving.key_pem)
        .map_err(|source| StatusTlsError::Pem { file: "tls.key", source })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(StatusTlsError::Certificate)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates("tls.crt", &serving.certificate_pem)?, key)
        .map_err(StatusTlsError::Certificate)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn certificates(file: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, StatusTlsError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|source| StatusTlsError::Pem { file, source })
}
