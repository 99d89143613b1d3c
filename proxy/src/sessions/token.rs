//! The token that stands in for a password: a JWT with the session certificate in its `x5c` header, signed by the
//! certificate's key. One algorithm, ES256, whatever the header says.
//!
//! Sources: RFC 7519 (claims), RFC 7515 section 4.1.6 (`x5c`).

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::identity::{IdentityError, Verified};

/// A token is about 1.5 KB; nothing longer is looked at.
const MAX_TOKEN: usize = 8 * 1024;

/// How far a client's clock may be ahead of ours, in seconds.
const SKEW: i64 = 60;

/// A token that was read and not yet believed.
pub(super) struct Unverified<'a> {
    token: &'a [u8],
    /// The certificate that it carries: to be verified first.
    pub leaf: CertificateDer<'static>,
}

/// What must stand in a token. `aud` is checked by the library.
#[derive(Deserialize)]
struct Claims {
    exp: i64,
    iat: i64,
}

impl<'a> Unverified<'a> {
    /// Takes the certificate out of the header. Exactly one, for the session CA signs leaves itself.
    pub(super) fn read(token: &'a [u8]) -> Result<Self, IdentityError> {
        if token.is_empty() {
            return Err(IdentityError::Missing);
        }
        if token.len() > MAX_TOKEN {
            return Err(IdentityError::Token);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| IdentityError::Token)?;
        let chain = header.x5c_der().map_err(|_| IdentityError::Token)?.unwrap_or_default();
        match <[Vec<u8>; 1]>::try_from(chain) {
            Ok([leaf]) if header.alg == Algorithm::ES256 => Ok(Self { token, leaf: leaf.into() }),
            _ => Err(IdentityError::Token),
        }
    }

    /// Checks signature and claims against the verified certificate. `now`: seconds since 1970.
    pub(super) fn verify(
        &self,
        certificate: &Verified,
        grant_uid: &str,
        now: i64,
    ) -> Result<(), IdentityError> {
        let key = certificate.p256_key.as_deref().ok_or(IdentityError::Token)?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[grant_uid]);
        validation.required_spec_claims = HashSet::from(["exp".to_owned(), "aud".to_owned()]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        let decoded = jsonwebtoken::decode::<Claims>(self.token, &DecodingKey::from_ec_der(key), &validation);
        let Claims { exp, iat } = decoded.map_err(wrong)?.claims;
        let issued = iat >= certificate.not_before.saturating_sub(SKEW) && iat <= now.saturating_add(SKEW);
        let within = exp <= certificate.not_after && exp > now;
        if issued && within { Ok(()) } else { Err(IdentityError::TokenTerms) }
    }
}

fn wrong(error: jsonwebtoken::errors::Error) -> IdentityError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature | ErrorKind::InvalidAudience => {
            IdentityError::TokenTerms
        }
        _ => IdentityError::Token,
    }
}
