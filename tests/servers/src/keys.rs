//! Certificate authorities and what they sign.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use std::time::{Duration, SystemTime};

/// A certificate authority.
pub struct Authority {
    /// Its certificate, PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A leaf and its key, PEM.
pub type Leaf = (String, String);

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A server's certificate for a DNS name, and for what this machine calls itself.
    pub fn server(&self, name: &str) -> Leaf {
        let mut params = CertificateParams::new([name, "localhost", "127.0.0.1"].map(str::to_owned)).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A certificate for a DNS name and a URI, for servers that call others too.
    pub fn peer(&self, name: &str, uri: &str) -> Leaf {
        let mut params = CertificateParams::new([name, "localhost", "127.0.0.1"].map(str::to_owned)).unwrap();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A session certificate as the operator signs it; `valid`: seconds from now.
    pub fn session(&self, uri: &str, valid: std::ops::Range<i64>) -> Leaf {
        self.sign(session_params(&[uri], valid))
    }

    /// A certificate as a PKCS#10 request (PEM) asks for it.
    pub fn answer(&self, request_pem: &str) -> String {
        let request = CertificateSigningRequestParams::from_pem(request_pem).unwrap();
        request.signed_by(&self.issuer).unwrap().pem()
    }

    /// A certificate of any kind.
    pub fn sign(&self, params: CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A certificate that is signed with a leaf's key, in the leaf's name.
pub fn signed_by(leaf: &Leaf, params: CertificateParams) -> Leaf {
    let issuer = Issuer::from_ca_cert_pem(&leaf.0, KeyPair::from_pem(&leaf.1).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

/// A client certificate with these URIs; `valid`: seconds from now.
pub fn session_params(uris: &[&str], valid: std::ops::Range<i64>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "whoever");
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = at(valid.start).into();
    params.not_after = at(valid.end).into();
    params
}

fn at(seconds_from_now: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds_from_now.unsigned_abs());
    if seconds_from_now < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
}
