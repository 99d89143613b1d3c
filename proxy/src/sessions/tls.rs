//! TLS towards clients: how each of the two ports speaks it.

use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use tokio_rustls::TlsAcceptor;

use crate::serving::{Callers, ServingError, ServingIdentity};

/// Where the session CA comes from.
const SESSION_CA: &str = "session-ca.crt";

/// How each of the two ports speaks TLS.
pub(crate) struct Acceptors {
    /// In-protocol TLS; a certificate may be missing, for a token can stand in.
    pub native: TlsAcceptor,
    /// TLS first; no certificate, no handshake.
    pub tls_first: TlsAcceptor,
}

/// Verifies that a certificate is of the session CA, for client authentication, and valid now.
pub(super) fn session_verifier(session_ca_pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, ServingError> {
    Callers::of(SESSION_CA, session_ca_pem)?.required()
}

/// The TLS settings of both ports. `alpn`: the protocol's name, on the port where TLS comes first.
pub(super) fn acceptors(identity: &ServingIdentity, alpn: &[u8]) -> Result<Acceptors, ServingError> {
    let native = identity.tls(Callers::of(SESSION_CA, &identity.session_ca_pem)?.welcome()?)?;
    let mut tls_first = identity.tls(session_verifier(&identity.session_ca_pem)?)?;
    tls_first.alpn_protocols = vec![alpn.to_vec()];
    Ok(Acceptors {
        native: TlsAcceptor::from(Arc::new(native)),
        tls_first: TlsAcceptor::from(Arc::new(tls_first)),
    })
}
