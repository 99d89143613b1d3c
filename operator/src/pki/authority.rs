//! One certificate authority: makes itself, signs leaves. Keys are P-256.
//!
//! Pure but for the randomness of keys and serial numbers. Private keys have no `Debug` here.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;

/// How long an authority lasts: ten years.
const DAYS: i64 = 3650;
/// Certificates count from a little earlier, for clocks that are behind.
const EARLIER: SignedDuration = SignedDuration::from_mins(5);

/// Why a certificate can't be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The library refused.
    #[error("cannot {doing}")]
    Make {
        /// What we were doing.
        doing: &'static str,
        /// Why.
        source: rcgen::Error,
    },
    /// A certificate, or its key, that is not fit to be an authority.
    #[error("it {0}")]
    Unfit(&'static str),
    /// Not a time that a certificate can hold.
    #[error("a certificate cannot hold the time {0}")]
    Time(Timestamp),
}

fn cannot(doing: &'static str) -> impl Fn(rcgen::Error) -> AuthorityError {
    move |source| AuthorityError::Make { doing, source }
}

/// An authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    key_pem: String,
    fingerprint: String,
}

/// What a leaf says.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Common name; nobody decides by it.
    pub common_name: String,
    /// URI SAN: who it is.
    pub uri: String,
    /// DNS SAN, for servers.
    pub dns: Option<String>,
    /// What it is for.
    pub usage: Usage,
    /// From when.
    pub now: Timestamp,
    /// Until when, whole seconds.
    pub not_after: Timestamp,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// To call.
    Client,
    /// To be called.
    Server,
    /// To be called, and to call.
    Both,
}

/// A certificate with its key.
pub struct Pair {
    /// PEM.
    pub certificate_pem: String,
    /// PEM.
    pub key_pem: String,
}

impl Authority {
    /// A new authority.
    pub fn generate(common_name: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(cannot("make the key of an authority"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let last = SignedDuration::from_hours(DAYS.saturating_mul(24));
        set_validity(&mut params, now, now.checked_add(last).unwrap_or(now))?;
        let certificate = params.self_signed(&key).map_err(cannot("sign an authority"))?;
        Self::read(&certificate.pem(), &key.serialize_pem())
    }

    /// An authority from PEM: certificate and key. Only the first certificate counts and is kept: whoever trusts this authority
    /// trusts nobody above it.
    pub fn read(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key_pem).map_err(cannot("read the key of an authority"))?;
        let certificate_pem = first_certificate(certificate_pem);
        fit(&certificate_pem, &key)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .map_err(cannot("read the certificate of an authority"))?;
        let fingerprint = fingerprint(&certificate_pem)?;
        Ok(Self { issuer, certificate_pem, key_pem: key_pem.to_owned(), fingerprint })
    }

    /// Whether this is the authority of the same key.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.issuer.key().public_key_raw() == other.issuer.key().public_key_raw()
    }

    /// SHA-256 of its public key (SubjectPublicKeyInfo, RFC 5280), 64 lower-case hex digits: a certificate that is renewed has the same.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Its certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its key, PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Its key, PKCS#8 (RFC 5208), DER.
    pub fn key_der(&self) -> &[u8] {
        self.issuer.key().serialized_der()
    }

    /// A leaf with a new key.
    pub fn issue(&self, leaf: &Leaf) -> Result<Pair, AuthorityError> {
        let key = KeyPair::generate().map_err(cannot("make the key of a certificate"))?;
        Ok(Pair { certificate_pem: self.sign(leaf, &key)?, key_pem: key.serialize_pem() })
    }

    /// A leaf for a public key; PEM.
    pub fn sign(&self, leaf: &Leaf, key: &impl PublicKeyData) -> Result<String, AuthorityError> {
        let Leaf { common_name, uri, dns, usage, now, not_after } = leaf;
        let name = cannot("write a name into a certificate");
        let mut params = CertificateParams::default();
        params.distinguished_name = named(common_name);
        params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().map_err(&name)?));
        if let Some(dns) = dns {
            params.subject_alt_names.push(SanType::DnsName(dns.as_str().try_into().map_err(&name)?));
        }
        if *usage != Usage::Client {
            // People's tools reach a proxy through a forwarded port of their own machine, and check the name they called.
            params.subject_alt_names.push(SanType::DnsName("localhost".try_into().map_err(&name)?));
            params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
            params.subject_alt_names.push(SanType::IpAddress(Ipv6Addr::LOCALHOST.into()));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match usage {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, *now, *not_after)?;
        let certificate = params.signed_by(key, &self.issuer).map_err(cannot("sign a certificate"))?;
        Ok(certificate.pem())
    }
}

/// Empty, when there is none.
fn first_certificate(pem: &str) -> String {
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let body = pem.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(body, _)| body);
    body.map(|body| format!("{begin}{body}{end}\n")).unwrap_or_default()
}

/// The fingerprint of the first certificate in PEM.
pub fn fingerprint(certificate_pem: &str) -> Result<String, AuthorityError> {
    let unreadable = || AuthorityError::Unfit("holds no certificate in PEM");
    let pem = Pem::iter_from_buffer(certificate_pem.as_bytes()).next().and_then(Result::ok);
    let pem = pem.ok_or_else(unreadable)?;
    let certificate = pem.parse_x509().map_err(|_| unreadable())?;
    Ok(access::hex(&Sha256::digest(certificate.public_key().raw)))
}

/// Whether one may sign with this key in this certificate's name, and everybody's tools believe it.
fn fit(certificate_pem: &str, key: &KeyPair) -> Result<(), AuthorityError> {
    let unreadable = || AuthorityError::Unfit("holds no certificate in PEM");
    let pem = Pem::iter_from_buffer(certificate_pem.as_bytes()).next();
    let pem = pem.ok_or_else(unreadable)?.map_err(|_| unreadable())?;
    let certificate = pem.parse_x509().map_err(|_| unreadable())?;
    if certificate.public_key().subject_public_key.data != key.public_key_raw() {
        return Err(AuthorityError::Unfit("holds a certificate that is not its key's"));
    }
    if !certificate.is_ca() {
        return Err(AuthorityError::Unfit("holds a certificate that may sign no others: it needs isCA"));
    }
    // Most database clients trust an authority in the middle of a chain only with all above it; and those sign for others, too.
    if certificate.verify_signature(None).is_err() {
        return Err(AuthorityError::Unfit(
            "holds a certificate that another one signed: it must be self-signed",
        ));
    }
    Ok(())
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Writes both ends. The library's epoch plus a span: its time type needs no name here.
fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    not_after: Timestamp,
) -> Result<(), AuthorityError> {
    let epoch = date_time_ymd(1970, 1, 1);
    let moment = |time: Timestamp| {
        u64::try_from(time.as_second())
            .ok()
            .and_then(|seconds| Duration::from_secs(seconds).try_into().ok())
            .and_then(|since| epoch.checked_add(since))
            .ok_or(AuthorityError::Time(time))
    };
    params.not_before = moment(now.checked_sub(EARLIER).unwrap_or(now))?;
    params.not_after = moment(not_after)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_leaf_says_who_it_is_what_it_is_for_and_ends_in_time() {
        let authority = Authority::generate("keyhole test", at("2026-01-01T12:00:00Z")).unwrap();
        let leaf = Leaf {
            common_name: "requester".into(),
            uri: "keyhole://session/g1".into(),
            dns: None,
            usage: Usage::Client,
            now: at("2026-01-01T12:00:00Z"),
            not_after: at("2026-01-01T12:30:00Z"),
        };
        let pair = authority.issue(&leaf).unwrap();
        let pem = Pem::iter_from_buffer(pair.certificate_pem.as_bytes()).next().unwrap().unwrap();
        let certificate = pem.parse_x509().unwrap();
        assert_eq!(certificate.validity().not_after.timestamp(), leaf.not_after.as_second());
        assert_eq!(certificate.validity().not_before.timestamp(), at("2026-01-01T11:55:00Z").as_second());
        assert!(!certificate.is_ca());
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names.len(), 1);
        assert!(format!("{:?}", names[0]).contains("keyhole://session/g1"));
        let issuer = Pem::iter_from_buffer(authority.certificate_pem().as_bytes()).next().unwrap().unwrap();
        let issuer = issuer.parse_x509().unwrap();
        assert!(issuer.is_ca());
        certificate.verify_signature(Some(issuer.public_key())).unwrap();
    }

    #[test]
    fn what_is_given_must_be_a_self_signed_authority_with_its_own_key_and_nothing_above_it_is_kept() {
        let now = at("2026-01-01T12:00:00Z");
        let (root, other) = (Authority::generate("a", now).unwrap(), Authority::generate("b", now).unwrap());
        let chain = format!("a comment\n{}{}", root.certificate_pem(), other.certificate_pem());
        assert_eq!(
            Authority::read(&chain, root.key_pem()).unwrap().certificate_pem(),
            root.certificate_pem()
        );
        assert!(
            !root.has_key_of(&other) && root.has_key_of(&Authority::read(&chain, root.key_pem()).unwrap())
        );
        let leaf = Leaf {
            common_name: "leaf".into(),
            uri: "keyhole://session/g1".into(),
            dns: None,
            usage: Usage::Client,
            now,
            not_after: at("2026-01-01T12:30:00Z"),
        };
        let leaf = root.issue(&leaf).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let middle = params.signed_by(&key, &root.issuer).unwrap().pem();
        for (certificate, key, said) in [
            (root.certificate_pem(), other.key_pem(), "not its key's"),
            (&leaf.certificate_pem, &leaf.key_pem, "isCA"),
            (&middle, &key.serialize_pem(), "self-signed"),
            ("nothing", root.key_pem(), "no certificate"),
        ] {
            let error = Authority::read(certificate, key).err().unwrap();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn an_authority_read_back_is_the_same_one() {
        let made = Authority::generate("keyhole test", at("2026-01-01T12:00:00Z")).unwrap();
        let read = Authority::read(made.certificate_pem(), made.key_pem()).unwrap();
        assert_eq!(read.certificate_pem(), made.certificate_pem());
        assert!(Authority::read("nothing", made.key_pem()).is_err());
        assert!(Authority::read(made.certificate_pem(), "nothing").is_err());
    }
}
