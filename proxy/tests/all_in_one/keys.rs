//! Certificates for one machine: an authority for the servers, one for sessions, and what they sign.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};

/// An authority of its own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// Writes a certificate for a server on 127.0.0.1 and its key.
    pub fn server(&self, certificate: &Path, key: &Path) -> anyhow::Result<()> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.write(params, certificate, key)
    }

    /// Writes a session certificate for a grant and its key.
    pub fn session(&self, grant_uid: &str, certificate: &Path, key: &Path) -> anyhow::Result<()> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "requester");
        params.subject_alt_names.push(SanType::URI(access::session_uri(grant_uid).as_str().try_into()?));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.write(params, certificate, key)
    }

    fn write(&self, params: CertificateParams, certificate: &Path, key: &Path) -> anyhow::Result<()> {
        let pair = KeyPair::generate()?;
        std::fs::write(certificate, params.signed_by(&pair, &self.0)?.pem())?;
        std::fs::write(key, pair.serialize_pem())?;
        Ok(())
    }
}
