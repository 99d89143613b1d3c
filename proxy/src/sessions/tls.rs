//! TLS towards clients: the proxy's own certificate, and client certificates of the session CA only.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::shared::ServingIdentity;

/// Why TLS can't be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not PEM, or holds nothing of use.
    #[error("{what} is not PEM or holds nothing of use")]
    Pem {
        /// Which.
        what: &'static str,
    },
    /// Certificate and key can't be used together, or no TLS version is left.
    #[error("the serving certificate cannot be used")]
    Serving(#[source] rustls::Error),
    /// The session CA can't be used.
    #[error("the session CA cannot be used")]
    SessionCa(#[source] rustls::server::VerifierBuilderError),
}

/// How each of the two ports speaks TLS.
pub(crate) struct Acceptors {
    /// In-protocol TLS; a certificate may be missing, for a token can stand in.
    pub native: TlsAcceptor,
    /// TLS first; no certificate, no handshake.
    pub tls_first: TlsAcceptor,
}

/// Verifies that a certificate is of the session CA, for client authentication, and valid now.
pub(super) fn session_verifier(session_ca_pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    verifier_builder(session_ca_pem)?.build().map_err(TlsError::SessionCa)
}

/// The TLS settings of both ports. `alpn`: the protocol's name, on the port where TLS comes first.
pub(super) fn acceptors(identity: &ServingIdentity, alpn: &[u8]) -> Result<Acceptors, TlsError> {
    let optional = verifier_builder(&identity.session_ca_pem)?.allow_unauthenticated();
    let optional = optional.build().map_err(TlsError::SessionCa)?;
    let required = session_verifier(&identity.session_ca_pem)?;

    let native = server_config(identity, optional)?;
    let mut tls_first = server_config(identity, required)?;
    tls_first.alpn_protocols = vec![alpn.to_vec()];
    Ok(Acceptors {
        native: TlsAcceptor::from(Arc::new(native)),
        tls_first: TlsAcceptor::from(Arc::new(tls_first)),
    })
}

fn verifier_builder(ca_pem: &[u8]) -> Result<rustls::server::ClientCertVerifierBuilder, TlsError> {
    let bad = || TlsError::Pem { what: "the session CA" };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
    }
    if roots.is_empty() {
        return Err(bad());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider))
}

fn server_config(
    identity: &ServingIdentity,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&identity.certificate_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| TlsError::Pem { what: "the serving certificate" })?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key_pem)
        .map_err(|_| TlsError::Pem { what: "the serving key" })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Serving)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(TlsError::Serving)?;
    // Each connection proves its certificate anew: nothing is resumed, so nothing outlives a certificate.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
