//! A CertificateSigningRequest as all of our signers read it: what it is for, its key, and its one name. Pure.

use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;
use rcgen::{
    CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKey,
    PublicKeyData, SanType,
};

/// What stands in a request that was understood.
#[derive(Debug)]
pub struct Request {
    /// Its only name, where that is a URI. `None`: it has none, several, or others.
    pub uri: Option<String>,
    /// Whether it asks for more than a name: a subject, or another use than a client's.
    pub wants_more: bool,
    /// Its public key.
    pub key: PublicKey,
}

/// What is wrong with a request for whatever signer of ours. `Display` is what the person reads.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Another signer's.
    #[error("it is not for signer {0}")]
    Signer(&'static str),
    /// Not a PKCS#10 request, its signature does not match, or it holds an extension that we don't know.
    #[error("spec.request is not a certificate signing request in PEM with a valid signature")]
    Malformed,
    /// Anything but a client.
    #[error("spec.usages must be \"client auth\", and may add \"digital signature\"")]
    Usages,
    /// Another kind of key.
    #[error("the key must be ECDSA P-256 or Ed25519")]
    Key,
    /// This person asked for many a moment ago.
    #[error("you asked for many certificates a moment ago: ask again in {seconds} s")]
    TooMany {
        /// How long to wait.
        seconds: u64,
    },
}

/// Reads a request for `signer`.
pub fn read(spec: &CertificateSigningRequestSpec, signer: &'static str) -> Result<Request, Flaw> {
    if spec.signer_name != signer {
        return Err(Flaw::Signer(signer));
    }
    let usages = spec.usages.as_deref().unwrap_or_default();
    let fits = |usage: &String| matches!(usage.as_str(), "client auth" | "digital signature");
    if !usages.iter().all(fits) || !usages.iter().any(|usage| usage == "client auth") {
        return Err(Flaw::Usages);
    }
    let pem = std::str::from_utf8(&spec.request.0).map_err(|_| Flaw::Malformed)?;
    let CertificateSigningRequestParams { params, public_key } =
        CertificateSigningRequestParams::from_pem(pem).map_err(|_| Flaw::Malformed)?;
    if !is_good_key(&public_key) {
        return Err(Flaw::Key);
    }
    let uri = match params.subject_alt_names.as_slice() {
        [SanType::URI(uri)] => Some(uri.as_str().to_owned()),
        _ => None,
    };
    let has_subject = params.distinguished_name.iter().next().is_some();
    let is_clients =
        params.extended_key_usages.iter().all(|use_| *use_ == ExtendedKeyUsagePurpose::ClientAuth)
            && params.key_usages.iter().all(|use_| *use_ == KeyUsagePurpose::DigitalSignature);
    Ok(Request {
        uri,
        wants_more: has_subject || !is_clients || matches!(params.is_ca, IsCa::Ca(_)),
        key: public_key,
    })
}

/// The library takes the algorithm from the request's signature, so the key itself is measured too: an uncompressed
/// point on P-256 has 65 bytes, an Ed25519 key 32.
fn is_good_key(key: &PublicKey) -> bool {
    let algorithm = PublicKeyData::algorithm(key);
    let bytes = key.der_bytes().len();
    (algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 && bytes == 65)
        || (algorithm == &rcgen::PKCS_ED25519 && bytes == 32)
}
