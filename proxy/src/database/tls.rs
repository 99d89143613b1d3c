//! TLS towards the database: which authorities and which name the grant asks for. It opens no connection.

use std::sync::Arc;

use access::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// A certificate authority or server name of the grant can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the grant's TLS settings are wrong: {what}")]
pub struct BadTlsSettings {
    /// Which of them, and how.
    what: &'static str,
}

/// How a connection to the database is made secure.
#[derive(Clone)]
pub struct ServerTls {
    /// Holds the authorities that are trusted.
    pub connector: TlsConnector,
    /// The name that the server's certificate must have.
    pub name: ServerName<'static>,
}

impl ServerTls {
    /// The same authorities, for a server of another name.
    pub fn named(&self, name: &str) -> Result<Self, BadTlsSettings> {
        Ok(Self { connector: self.connector.clone(), name: server_name(name)? })
    }

    /// Reads the settings of a target; `None` where it has TLS disabled.
    pub fn read(tls: &Tls) -> Result<Option<Self>, BadTlsSettings> {
        let Tls::Verify { ca_pem, server_name } = tls else { return Ok(None) };
        let name = self::server_name(server_name)?;
        Ok(Some(Self { connector: TlsConnector::from(Arc::new(client_config(ca_pem)?)), name }))
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, BadTlsSettings> {
    ServerName::try_from(name.to_owned()).map_err(|_| BadTlsSettings { what: "the server name is not one" })
}

fn client_config(ca_pem: &str) -> Result<ClientConfig, BadTlsSettings> {
    let bad = |what| BadTlsSettings { what };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|_| bad("the certificate authority is not PEM"))?;
        roots.add(certificate).map_err(|_| bad("the certificate authority is not a certificate"))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate authority"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| bad("no TLS version is left"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
