//! The one Secret of a proxy: its certificate, both authorities, its grant file. No database credential is ever in it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::Parent;

/// The files' contents.
#[derive(Clone)]
pub struct Files {
    /// `grant.json`.
    pub grant_json: Vec<u8>,
    /// `tls.crt`, PEM.
    pub certificate_pem: String,
    /// `tls.key`, PEM.
    pub key_pem: String,
    /// `internal-ca.crt`, PEM.
    pub internal_ca_pem: String,
    /// `session-ca.crt`, PEM.
    pub session_ca_pem: String,
}

/// The Secret.
pub fn secret(parent: Parent<'_>, files: Files) -> Secret {
    let Files { grant_json, certificate_pem, key_pem, internal_ca_pem, session_ca_pem } = files;
    let data = BTreeMap::from([
        ("grant.json", grant_json),
        ("tls.crt", certificate_pem.into_bytes()),
        ("tls.key", key_pem.into_bytes()),
        ("internal-ca.crt", internal_ca_pem.into_bytes()),
        ("session-ca.crt", session_ca_pem.into_bytes()),
    ]);
    Secret {
        metadata: parent.metadata(),
        type_: Some("Opaque".to_owned()),
        data: Some(data.into_iter().map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).collect()),
        ..Secret::default()
    }
}
