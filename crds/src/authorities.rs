//! Authorities that a `Database` takes from another object: what was read there becomes part of it. Pure: whoever may read the object
//! hands its text over. Nothing of the text but certificates gets any further, for it may be a Secret's.

use x509_parser::pem::parse_x509_pem;

use crate::{Database, TlsSpec};

/// The most bytes that the authorities of a server may have, as in `spec.tls.ca`.
const MOST_BYTES: usize = 65_536;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
const CERTIFICATE: &str = "CERTIFICATE";
const END: &str = "-----END CERTIFICATE-----";

/// Why a text is no bundle of certificate authorities. None of the text is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAuthorities {
    /// There is a private key in it.
    #[error(
        "it holds a private key: keep the certificates apart from it, and take care who could read the key"
    )]
    PrivateKey,
    /// No certificate, or one that cannot be read.
    #[error("it holds no certificates in PEM, or one that cannot be read")]
    NoCertificates,
    /// Another thing in PEM.
    #[error("it holds something else than certificates (PEM)")]
    OtherThings,
    /// A bundle of everybody's authorities.
    #[error("its certificates have more than 65536 bytes: name the authorities of this server alone")]
    TooLong,
}

/// The `Database` with the authorities in it that its `spec.tls.caFrom` speaks of, and without `caFrom`. `ca_text` is what stands
/// under that key; of it the certificates are taken, in their order, and whatever stands between them is left out. A `Database`
/// that takes none from elsewhere is what it was.
pub fn resolved(database: &Database, ca_text: &str) -> Result<Database, BadAuthorities> {
    let mut database = database.clone();
    let TlsSpec { mode: _, ca, ca_from, server_name: _ } = &mut database.spec.tls;
    if ca_from.take().is_some() {
        *ca = Some(certificates(ca_text)?);
    }
    Ok(database)
}

/// The certificates of a text, each as it was written.
fn certificates(text: &str) -> Result<String, BadAuthorities> {
    if text.contains("PRIVATE KEY-----") {
        return Err(BadAuthorities::PrivateKey);
    }
    let (mut bundle, mut rest) = (String::new(), text);
    while let Some((_, begun)) = rest.split_once(BEGIN) {
        let (label, body) = begun.split_once(DASHES).ok_or(BadAuthorities::NoCertificates)?;
        if label != CERTIFICATE {
            return Err(BadAuthorities::OtherThings);
        }
        let (body, after) = body.split_once(END).ok_or(BadAuthorities::NoCertificates)?;
        let lines: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let one = format!("{BEGIN}{CERTIFICATE}{DASHES}\n{}\n{END}\n", lines.join("\n"));
        let readable = parse_x509_pem(one.as_bytes()).is_ok_and(|(_, pem)| pem.parse_x509().is_ok());
        if !readable {
            return Err(BadAuthorities::NoCertificates);
        }
        bundle.push_str(&one);
        rest = after;
    }
    match bundle.len() {
        0 => Err(BadAuthorities::NoCertificates),
        length if length > MOST_BYTES => Err(BadAuthorities::TooLong),
        _ => Ok(bundle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A self-signed certificate, made once.
    const ONE: &str = include_str!("../tests/authority.pem");

    fn database(tls: serde_json::Value) -> Database {
        serde_json::from_value(json!({
            "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "Database",
            "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {
                "engine": "mariadb", "host": "orders.shop.svc", "tls": tls, "accessPolicy": "readers",
                "credentials": {"vault": {"role": "orders-read"}}, "network": {"to": {"cidr": "10.0.0.1/32"}}
            }
        }))
        .unwrap()
    }

    fn from_elsewhere() -> Database {
        database(
            json!({"mode": "Verify", "caFrom": {"secretKeyRef": {"name": "orders-tls", "key": "ca.crt"}}}),
        )
    }

    fn ca(text: &str) -> Result<Option<String>, BadAuthorities> {
        resolved(&from_elsewhere(), text).map(|database| database.spec.tls.ca)
    }

    #[test]
    fn nothing_but_certificates_gets_into_the_snapshot() {
        assert_eq!(ca(ONE), Ok(Some(ONE.to_owned())));
        let among_others = format!("password: x\r\n# the authority\n{}\n# end\n", ONE.replace('\n', "\r\n"));
        assert_eq!(ca(&among_others), Ok(Some(ONE.to_owned())));
        assert_eq!(ca(&[ONE, ONE].concat()), Ok(Some([ONE, ONE].concat())));
        let database = resolved(&from_elsewhere(), ONE).unwrap();
        assert_eq!(database.spec.tls.ca_from, None);
        assert!(!serde_json::to_string(&database).unwrap().contains("caFrom"));
    }

    #[test]
    fn what_is_no_certificate_is_refused_and_not_told() {
        let key = format!("{ONE}-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n");
        let broken = ONE.replace("MII", "MIJ");
        for (text, why) in [
            ("", BadAuthorities::NoCertificates),
            ("s3cret", BadAuthorities::NoCertificates),
            (&ONE[..ONE.len() - 30], BadAuthorities::NoCertificates),
            (&broken, BadAuthorities::NoCertificates),
            (
                "-----BEGIN CERTIFICATE-----\ns3cret\n-----END CERTIFICATE-----",
                BadAuthorities::NoCertificates,
            ),
            (&key, BadAuthorities::PrivateKey),
            ("-----BEGIN PUBLIC KEY-----\ns3cret\n-----END PUBLIC KEY-----", BadAuthorities::OtherThings),
            (&ONE.repeat(200), BadAuthorities::TooLong),
        ] {
            let said = ca(text).unwrap_err();
            assert_eq!(said, why);
            assert!(!format!("{said} {said:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_database_with_its_own_authorities_is_what_it_was() {
        for tls in [json!({"mode": "Verify", "ca": "PEM"}), json!({"mode": "Disabled"})] {
            let own = database(tls);
            assert_eq!(own.spec.tls.place(), None);
            assert_eq!(resolved(&own, ONE), Ok(own));
        }
        let place = from_elsewhere();
        let place = place.spec.tls.place().unwrap();
        assert_eq!((place.kind.word(), place.name, place.key), ("Secret", "orders-tls", "ca.crt"));
    }
}
