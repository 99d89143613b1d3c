//! The password of tools that can only send a password: a JWT signed by the session key, with its certificate inside.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::{SessionCertificate, SessionKey};

/// The token was not made.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign a token with the session key")]
pub struct TokenError {
    source: jsonwebtoken::errors::Error,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iat: i64,
    exp: i64,
}

/// A token for this grant and no other, good from `now` until `until` and never longer than the certificate.
pub fn password_token(
    grant_uid: &str,
    key: &SessionKey,
    certificate: &SessionCertificate,
    now: Timestamp,
    until: Timestamp,
) -> Result<String, TokenError> {
    let mut header = Header::new(Algorithm::ES256);
    let own = certificate.chain.first().map(|own| STANDARD.encode(own));
    header.x5c = Some(own.into_iter().collect());
    let exp = until.min(certificate.not_after).as_second();
    let claims = Claims { aud: grant_uid, iat: now.as_second(), exp };
    let signing = EncodingKey::from_ec_der(key.pkcs8().secret_pkcs8_der());
    jsonwebtoken::encode(&header, &claims, &signing).map_err(|source| TokenError { source })
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;

    use super::*;

    #[test]
    fn a_token_never_outlives_its_certificate() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = SessionKey::make().unwrap();
        let certificate =
            SessionCertificate { chain: vec![CertificateDer::from(vec![1, 2, 3])], not_after: at(2_000) };
        let expiry = |until| {
            let token = password_token("uid", &key, &certificate, at(1_000), at(until)).unwrap();
            let parts: Vec<&str> = token.split('.').collect();
            let read = |part: &str| -> serde_json::Value {
                let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
                serde_json::from_slice(&bytes).unwrap()
            };
            assert_eq!(read(parts[0])["alg"], "ES256");
            assert_eq!(read(parts[0])["x5c"], serde_json::json!(["AQID"]));
            assert_eq!(read(parts[1])["aud"], "uid");
            read(parts[1])["exp"].as_i64().unwrap()
        };
        assert_eq!(expiry(9_999), 2_000);
        assert_eq!(expiry(1_600), 1_600);
    }
}
