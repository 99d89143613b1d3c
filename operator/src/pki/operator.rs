//! Who the operator is to its proxies: a client certificate of the internal authority. Its key lives in memory only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::authority::{Authority, AuthorityError, Leaf, Usage};

/// The URI SAN of the operator.
pub const URI: &str = "keyhole://operator";
const LASTS: SignedDuration = SignedDuration::from_hours(24);
const RENEWED_AFTER: SignedDuration = SignedDuration::from_hours(12);

/// Why there is no client certificate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It can't be signed.
    #[error("cannot make the operator's client certificate")]
    Sign(#[source] AuthorityError),
    /// The TLS library does not take what was signed.
    #[error("cannot set up TLS to the proxies")]
    Tls(#[source] rustls::Error),
    /// What we just wrote can't be read back.
    #[error("the operator's client certificate is not PEM")]
    Pem,
}

/// The TLS side of the operator, of each authority: renewed twice a day.
#[derive(Default)]
pub struct Identity {
    /// When each was made, by the authority's fingerprint.
    current: Mutex<HashMap<String, (Timestamp, Arc<ClientConfig>)>>,
}

impl Identity {
    /// How to call a proxy that knows this authority, now.
    pub fn client(&self, internal: &Authority, now: Timestamp) -> Result<Arc<ClientConfig>, IdentityError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, config)) = current.get(internal.fingerprint())
            && now.duration_since(*made) < RENEWED_AFTER
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(make(internal, now)?);
        current.insert(internal.fingerprint().to_owned(), (now, Arc::clone(&config)));
        Ok(config)
    }
}

fn make(internal: &Authority, now: Timestamp) -> Result<ClientConfig, IdentityError> {
    let leaf = Leaf {
        common_name: "keyhole-operator".to_owned(),
        uri: URI.to_owned(),
        dns: None,
        usage: Usage::Client,
        now,
        not_after: now.checked_add(LASTS).unwrap_or(now),
    };
    let pair = internal.issue(&leaf).map_err(IdentityError::Sign)?;
    let certificate = certificates(&pair.certificate_pem)?;
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).map_err(|_| IdentityError::Pem)?;
    let mut roots = RootCertStore::empty();
    for authority in certificates(internal.certificate_pem())? {
        roots.add(authority).map_err(IdentityError::Tls)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(IdentityError::Tls)?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificate, key)
        .map_err(IdentityError::Tls)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.map_err(|_| IdentityError::Pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_certificate_is_renewed_before_it_ends() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let internal = Authority::generate("test", start).unwrap();
        let identity = Identity::default();
        let first = identity.client(&internal, start).unwrap();
        let later = start.checked_add(SignedDuration::from_hours(11)).unwrap();
        assert!(Arc::ptr_eq(&first, &identity.client(&internal, later).unwrap()));
        let next_day = start.checked_add(SignedDuration::from_hours(12)).unwrap();
        assert!(!Arc::ptr_eq(&first, &identity.client(&internal, next_day).unwrap()));
        let other = Authority::generate("other", start).unwrap();
        let first = identity.client(&internal, start).unwrap();
        assert!(!Arc::ptr_eq(&first, &identity.client(&other, start).unwrap()));
        assert!(Arc::ptr_eq(&first, &identity.client(&internal, start).unwrap()));
    }
}
