//! Who the log is on the network, and whom it knows: `tls.crt`, `tls.key` and `internal-ca.crt` in one folder, all PEM. They are read again
//! when they change.
//!
//! While an internal authority takes the place of another, there are writers that know only the one before: for them `previous.crt` and
//! `previous.key` lie there too, with another name in the certificate. Whoever calls the log by that name meets that certificate.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ResolvesServerCertUsingSni,
    VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
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
    #[error("{0} and its key cannot be used")]
    Certificate(&'static str, #[source] rustls::Error),
    /// The TLS library refuses what we ask of it.
    #[error("TLS cannot be set up")]
    Library(#[source] rustls::Error),
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
    files: Files,
    looked: Instant,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Files {
    own: Pair,
    authority: Vec<u8>,
    previous: Option<Pair>,
}

/// A certificate and its key.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
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

fn read(folder: &Path) -> Result<Files, TlsError> {
    let file = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(|source| TlsError::Read { path, source })
    };
    let pair = |certificate: &str, key: &str| {
        Ok(Pair { certificate: file(certificate)?, key: Zeroizing::new(file(key)?) })
    };
    let previous = match pair("previous.crt", "previous.key") {
        Err(TlsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        pair => Some(pair?),
    };
    Ok(Files { own: pair("tls.crt", "tls.key")?, authority: file("internal-ca.crt")?, previous })
}

/// The certificate of the log, for each of its names.
#[derive(Debug)]
struct ByName {
    own: Arc<CertifiedKey>,
    previous: ResolvesServerCertUsingSni,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.previous.resolve(hello).unwrap_or_else(|| Arc::clone(&self.own)))
    }
}

fn by_name(files: &Files, provider: &CryptoProvider) -> Result<ByName, TlsError> {
    let mut by_name = ByName {
        own: Arc::new(certified("tls.crt", &files.own, provider)?),
        previous: ResolvesServerCertUsingSni::new(),
    };
    if let Some(pair) = &files.previous {
        let file = "previous.crt";
        let certified = certified(file, pair, provider)?;
        let leaf = certified.cert.first().ok_or(TlsError::Pem(file))?;
        for name in dns_names(leaf) {
            by_name
                .previous
                .add(&name, certified.clone())
                .map_err(|error| TlsError::Certificate(file, error))?;
        }
    }
    Ok(by_name)
}

fn certified(file: &'static str, pair: &Pair, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(file, &pair.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(|_| TlsError::Pem(file))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| TlsError::Certificate(file, error))
}

fn acceptor(files: &Files, alpn: &[u8]) -> Result<TlsAcceptor, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("internal-ca.crt", &files.authority)? {
        roots.add(certificate).map_err(|_| TlsError::Pem("internal-ca.crt"))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Pem("internal-ca.crt"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(TlsError::Authority)?;
    let by_name = by_name(files, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Library)?
        .with_client_cert_verifier(callers)
        .with_cert_resolver(Arc::new(by_name));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| TlsError::Pem(file))
}

/// The host names of a certificate of ours.
fn dns_names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(dns).collect()
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
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

    use super::*;

    /// An authority, and a certificate of it for a server of this name, PEM; certificate and key.
    fn issued(name: &str) -> (String, [String; 2]) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        (pem, [leaf.pem(), key.serialize_pem()])
    }

    /// Whether somebody who knows this authority and nothing else meets the log under that name.
    async fn is_met(acceptor: TlsAcceptor, authority: &str, name: &'static str) -> bool {
        let mut roots = RootCertStore::empty();
        certificates("", authority.as_bytes()).unwrap().into_iter().for_each(|one| roots.add(one).unwrap());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (here, there) = tokio::io::duplex(1 << 16);
        let accepting = tokio::spawn(async move { acceptor.accept(there).await.map(drop) });
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        // In TLS 1.3 a client is done before its certificate is asked after.
        let met = connector.connect(name.try_into().unwrap(), here).await.is_ok();
        accepting.await.unwrap().unwrap_err();
        met
    }

    #[tokio::test]
    async fn who_knows_the_authority_before_meets_the_log_under_the_name_before_until_that_is_taken_away() {
        let ((new, [crt, key]), (old, [old_crt, old_key])) = (issued("new.test"), issued("old.test"));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("tls.crt", &crt);
        write("tls.key", &key);
        write("internal-ca.crt", &format!("{new}{old}"));
        let tls = Tls::new(folder.path(), b"test").unwrap();
        assert!(is_met(tls.acceptor(), &new, "new.test").await);
        assert!(!is_met(tls.acceptor(), &old, "old.test").await);
        write("previous.crt", &old_crt);
        write("previous.key", &old_key);
        tls.look(&mut tls.current.lock().unwrap()).unwrap();
        assert!(is_met(tls.acceptor(), &new, "new.test").await);
        assert!(is_met(tls.acceptor(), &old, "old.test").await);
        assert!(!is_met(tls.acceptor(), &new, "old.test").await, "each knows its own");
        fs::remove_file(folder.path().join("previous.crt")).unwrap();
        tls.look(&mut tls.current.lock().unwrap()).unwrap();
        assert!(!is_met(tls.acceptor(), &old, "old.test").await);
        write("previous.crt", &crt);
        assert!(tls.look(&mut tls.current.lock().unwrap()).is_err(), "not its key");
        assert!(is_met(tls.acceptor(), &new, "new.test").await, "and all is as it was");
    }

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
