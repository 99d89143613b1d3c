//! Streams to a proxy, or to the audit log, by way of the API server's port-forward. Each local connection gets its own.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::certificates::{SessionCertificate, SessionKey};
use crate::cluster::{CallError, Cluster};
use crate::grants::ProxyAddress;

/// The pod of a proxy, or of the audit log.
#[derive(Clone)]
pub struct Forward {
    pods: Api<Pod>,
    pod: String,
}

/// No stream to the pod.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The API server does not forward.
    #[error(transparent)]
    Call(CallError),
    /// It forwards, but not this port.
    #[error("the API server forwarded no port {port} of pod {pod}")]
    Port {
        /// The pod.
        pod: String,
        /// The port.
        port: u16,
    },
    /// The grant's status holds no usable authority or name.
    #[error("the grant's status does not say how to know its proxy")]
    Identity,
    /// Certificate and key don't make a TLS client.
    #[error("cannot use the session certificate")]
    Certificate {
        /// Why.
        source: rustls::Error,
    },
    /// It isn't the proxy, or it doesn't take us.
    #[error("cannot open a TLS session with the proxy {server_name}")]
    Tls {
        /// Its name.
        server_name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// How to speak TLS with the proxy: who it must be, and who we are.
#[derive(Clone)]
pub struct ProxyTls {
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

impl ProxyTls {
    /// Trusts the grant's own authority and nothing else.
    pub fn new(
        proxy: &ProxyAddress,
        key: &SessionKey,
        certificate: SessionCertificate,
    ) -> Result<Self, ForwardError> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(proxy.ca_pem.as_bytes()) {
            let authority = authority.map_err(|_unreadable| ForwardError::Identity)?;
            roots.add(authority).map_err(|_unusable| ForwardError::Identity)?;
        }
        let server_name = ServerName::try_from(proxy.server_name.clone());
        let server_name = server_name.map_err(|_not_a_name| ForwardError::Identity)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|source| ForwardError::Certificate { source })?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificate.chain, PrivateKeyDer::from(key.pkcs8()))
            .map_err(|source| ForwardError::Certificate { source })?;
        config.alpn_protocols = vec![b"mysql".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name })
    }
}

impl Forward {
    /// To this proxy. Connects nothing yet.
    pub fn to(cluster: &Cluster, proxy: &ProxyAddress) -> Self {
        Self::to_pod(cluster, &proxy.namespace, &proxy.pod)
    }

    /// To this pod. Connects nothing yet.
    pub fn to_pod(cluster: &Cluster, namespace: &str, pod: &str) -> Self {
        Self { pods: cluster.api_in(namespace), pod: pod.to_owned() }
    }

    /// A stream to this port.
    pub async fn open(
        &self,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>, ForwardError> {
        let mut ports = self
            .pods
            .portforward(&self.pod, &[port])
            .await
            .map_err(CallError::of(format!("forward a port of pod {}", self.pod)))
            .map_err(ForwardError::Call)?;
        ports.take_stream(port).ok_or_else(|| ForwardError::Port { pod: self.pod.clone(), port })
    }

    /// A stream to the TLS-first port, with TLS done.
    pub async fn open_tls(
        &self,
        tls: &ProxyTls,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>, ForwardError> {
        let ProxyTls { connector, server_name } = tls;
        let stream = self.open(access::PORT_TLS).await?;
        connector
            .connect(server_name.clone(), stream)
            .await
            .map_err(|source| ForwardError::Tls { server_name: server_name.to_str().into_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_proxy_without_an_authority_to_know_it_by_is_not_trusted() {
        let key = SessionKey::make().unwrap();
        let no_certificate = || SessionCertificate { chain: vec![], not_after: Timestamp::UNIX_EPOCH };
        let proxy = |ca_pem: &str, server_name: &str| ProxyAddress {
            namespace: "keyhole-proxies".into(),
            pod: "grant-1".into(),
            server_name: server_name.into(),
            ca_pem: ca_pem.into(),
        };
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            ProxyTls::new(&proxy(broken, "grant-1"), &key, no_certificate()),
            Err(ForwardError::Identity)
        ));
        assert!(matches!(
            ProxyTls::new(&proxy("", "not a name"), &key, no_certificate()),
            Err(ForwardError::Identity)
        ));
    }
}
