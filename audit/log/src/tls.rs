//! Who the log is on the network, and whom it knows: `tls.crt`, `tls.key` and `internal-ca.crt` in one folder, all PEM. They are read again
//! when they change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The most bytes of a name that is put on record.
const LONGEST_NAME: usize = 1024;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path:?}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not PEM, or holds nothing of use.
    #[error("{0} is not PEM or holds nothing of use")]
    Pem(&'static str),
    /// Certificate and key do not belong together.
    #[error("tls.crt and tls.key cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The authority can verify nobody.
    #[error("internal-ca.crt cannot verify anybody")]
    Authority(#[source] VerifierBuilderError),
}

/// The TLS of a port: 1.3 only, with a certificate of the internal authority from each caller.
pub struct Tls {
    folder: PathBuf,
    alpn: &'static [u8],
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    files: [Zeroizing<Vec<u8>>; 3],
    looked: Instant,
}

impl Tls {
    /// From the files in a folder. `alpn`: the protocol that is spoken, and no other.
    pub fn new(folder: &Path, alpn: &'static [u8]) -> Result<Self, TlsError> {
        let files = read(folder)?;
        let acceptor = acceptor(&files, alpn)?;
        let current = Mutex::new(Current { acceptor, files, looked: Instant::now() });
        Ok(Self { folder: folder.to_owned(), alpn, current })
    }

    /// By which the next connection is accepted.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            if let Err(error) = self.look(&mut current) {
                // The kubelet changes files one after the other: what does not fit together yet will, the next time.
                tracing::warn!(%error, "the files of the identity are left as they were");
            }
        }
        current.acceptor.clone()
    }

    fn look(&self, current: &mut Current) -> Result<(), TlsError> {
        let files = read(&self.folder)?;
        if files != current.files {
            current.acceptor = acceptor(&files, self.alpn)?;
            current.files = files;
            tracing::info!("the identity has changed");
        }
        Ok(())
    }
}

fn read(folder: &Path) -> Result<[Zeroizing<Vec<u8>>; 3], TlsError> {
    let file = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map(Zeroizing::new).map_err(|source| TlsError::Read { path, source })
    };
    Ok([file("tls.crt")?, file("tls.key")?, file("internal-ca.crt")?])
}

fn acceptor(
    [certificate, key, authority]: &[Zeroizing<Vec<u8>>; 3],
    alpn: &[u8],
) -> Result<TlsAcceptor, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("internal-ca.crt", authority)? {
        roots.add(certificate).map_err(|_| TlsError::Pem("internal-ca.crt"))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Pem("internal-ca.crt"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(TlsError::Authority)?;
    let chain = certificates("tls.crt", certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Pem("tls.key"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Certificate)?
        .with_client_cert_verifier(callers)
        .with_single_cert(chain, key)
        .map_err(TlsError::Certificate)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| TlsError::Pem(file))
}

/// The one and only URI among the alternative names of a certificate that was verified. One that has none, or more, names nobody.
pub fn only_uri(der: &[u8]) -> Option<String> {
    let (rest, certificate) = parse_x509_certificate(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    let only = uris.next()?;
    (rest.is_empty() && uris.next().is_none()).then_some(only)
}

/// The only common name of a certificate that was verified, if it has no control signs and is no longer than names are.
pub fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let only = names.next()?.as_str().ok()?;
    let fits = only.len() <= LONGEST_NAME && !only.chars().any(char::is_control);
    (fits && names.next().is_none()).then(|| only.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_with_one_uri_names_somebody_and_no_other_does() {
        let certificate = |uris: &[&str]| {
            let mut params = CertificateParams::new(vec!["a.example.com".into()]).unwrap();
            for uri in uris {
                params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
            }
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
        };
        assert_eq!(only_uri(&certificate(&["keyhole://operator"])).as_deref(), Some("keyhole://operator"));
        assert_eq!(only_uri(&certificate(&[])), None);
        assert_eq!(only_uri(&certificate(&["keyhole://operator", "keyhole://proxy/a"])), None);
        assert_eq!(only_uri(b"nothing"), None);
    }
}
