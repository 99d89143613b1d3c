//! What a verified certificate says about its holder: the URI among its subject alternative names.
//!
//! It verifies nothing: chain, time and key are the TLS library's work and are done before.

use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::X509Certificate;

/// The URI of the operator's own client certificate.
pub const OPERATOR_URI: &str = "keyhole://operator";

/// Whether the one and only URI among the alternative names of `der` is `uri`, byte for byte.
///
/// A certificate that can't be read, has no such name, or more than one, names nobody.
pub fn names(der: &[u8], uri: &str) -> bool {
    matches!(parse_x509_certificate(der), Ok((rest, certificate)) if rest.is_empty() && is_named(&certificate, uri))
}

/// The same of a certificate that was read.
pub fn is_named(certificate: &X509Certificate<'_>, uri: &str) -> bool {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return false };
    let uris = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    uris.eq([uri])
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["operator.example.com".into()]).unwrap();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn only_the_very_uri_and_no_second_one_is_a_name() {
        assert!(names(&certificate(&[OPERATOR_URI]), OPERATOR_URI));
        for uris in [
            &[][..],
            &["keyhole://session/operator"],
            &["keyhole://operator/"],
            &["KEYHOLE://operator"],
            &["keyhole://operator", "keyhole://session/u"],
            &["keyhole://session/u", "keyhole://operator"],
        ] {
            assert!(!names(&certificate(uris), OPERATOR_URI), "{uris:?}");
        }
        assert!(!names(b"not a certificate", OPERATOR_URI));
        assert!(!names(b"", OPERATOR_URI));
    }
}
