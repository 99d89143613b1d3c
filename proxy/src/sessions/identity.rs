//! Who is at the other end: a session certificate of this very grant, seen in the TLS handshake or carried by a token
//! that its key signed. Names that a client sends prove nothing.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::tls;
use super::token;
use crate::audit::Proof;
use crate::certificate;
use crate::clock;
use crate::serving::ServingError;

/// Why a client is not let in. Says which check failed, never what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Neither a certificate nor a token.
    #[error("no session certificate and no token was sent")]
    Missing,
    /// Not a certificate of the session CA for client authentication that is valid now.
    #[error("the session certificate is not one of this installation, or it has expired")]
    Certificate,
    /// A certificate for another grant.
    #[error("the session certificate is for another grant")]
    OtherGrant,
    /// The password is not a token, or its key did not sign it.
    #[error("the token is not one, or was not signed by its certificate's key")]
    Token,
    /// The token is for something else, has expired, or outlives its certificate.
    #[error("the token has expired, or is not for this grant")]
    TokenTerms,
    /// The user name is not the grant's.
    #[error("the user name is not the one that the grant is for")]
    OtherUser,
}

/// Decides who holds a session certificate of this grant.
pub struct SessionAuthority {
    grant_uid: String,
    user: String,
    uri: String,
    certificates: Arc<dyn ClientCertVerifier>,
}

/// A certificate that passed every check.
pub(super) struct Verified {
    /// The serial number, in hex.
    pub serial: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// The key as it stands in the certificate, if it is one of P-256.
    pub p256_key: Option<Vec<u8>>,
}

impl SessionAuthority {
    /// For the grant with this uid and user, and the session CA's certificates.
    pub fn new(grant_uid: &str, user: &str, session_ca_pem: &[u8]) -> Result<Self, ServingError> {
        Ok(Self {
            grant_uid: grant_uid.to_owned(),
            user: user.to_owned(),
            uri: access::session_uri(grant_uid),
            certificates: tls::session_verifier(session_ca_pem)?,
        })
    }

    /// Who holds the key of this certificate. The user name that the client sends is not looked at: clients send
    /// the name of the local account unless told otherwise, and the certificate says it better.
    pub fn by_certificate(&self, leaf: &CertificateDer<'_>) -> Result<Proof, IdentityError> {
        let verified = self.verify(leaf, clock::now().as_second())?;
        Ok(Proof::Certificate { serial: verified.serial })
    }

    /// Who signed this token. The user name must be the grant's or empty: a token says who by its certificate too, but
    /// a person with a wrong name in a tool should hear of it.
    pub fn by_token(&self, user: &[u8], token: &[u8]) -> Result<Proof, IdentityError> {
        if !user.is_empty() && user != self.user.as_bytes() {
            return Err(IdentityError::OtherUser);
        }
        let now = clock::now().as_second();
        let unverified = token::Unverified::read(token)?;
        let verified = self.verify(&unverified.leaf, now)?;
        unverified.verify(&verified, &self.grant_uid, now)?;
        Ok(Proof::Token { serial: verified.serial })
    }

    fn verify(&self, leaf: &CertificateDer<'_>, now: i64) -> Result<Verified, IdentityError> {
        let seconds = u64::try_from(now).map_err(|_| IdentityError::Certificate)?;
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        self.certificates.verify_client_cert(leaf, &[], at).map_err(|_| IdentityError::Certificate)?;
        let (rest, parsed) = X509Certificate::from_der(leaf).map_err(|_| IdentityError::Certificate)?;
        if !rest.is_empty() {
            return Err(IdentityError::Certificate);
        }
        if !certificate::is_named(&parsed, &self.uri) {
            return Err(IdentityError::OtherGrant);
        }
        Ok(Verified {
            serial: access::hex(parsed.raw_serial()),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            p256_key: p256_key(&parsed),
        })
    }
}

/// The uncompressed point of a P-256 key.
fn p256_key(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    let spki = certificate.public_key();
    let curve = spki.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let p256 = spki.algorithm.algorithm == x509_parser::oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY
        && curve == x509_parser::oid_registry::OID_EC_P256;
    p256.then(|| spki.subject_public_key.data.to_vec())
}
