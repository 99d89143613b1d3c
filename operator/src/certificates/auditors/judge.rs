//! Whether a certificate for the audit log is signed. Pure: a CSR and what the API server says of its asker, in; what to sign, or a
//! refusal, out.

use access::{AUDITOR_SIGNER, Auditor};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use rcgen::PublicKey;

use crate::certificates::request::{Flaw, read};
use crate::pki::authority::{Leaf, Usage};

/// How long a certificate lasts, in seconds, and the most that somebody may ask for.
const LASTS: i32 = 3600;

/// How old a request may be: its asker's groups are those of when it was made.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// The longest user name that the log puts on record, in bytes.
const LONGEST_NAME: usize = 1024;

/// What a CSR asks for, once it was understood.
#[derive(Debug)]
pub struct Asked {
    /// Who they would be to the log.
    pub auditor: Auditor,
    /// Who asks, as the API server says.
    pub user: String,
    /// The request's public key.
    pub key: PublicKey,
    seconds: i32,
}

/// Why no certificate is signed. `Display` is what the person reads.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Of all requests for us.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// Not exactly one auditor.
    #[error(
        "the request must hold one name only, the URI keyhole://audit/<namespace> or keyhole://erase/<namespace>, with * for all namespaces"
    )]
    Names,
    /// A subject, or another use than a client's.
    #[error("the request must ask for nothing but its one name: no subject, and no use but a client's")]
    More,
    /// Longer than an hour.
    #[error("a certificate for the audit log lasts an hour: spec.expirationSeconds must be at most {LASTS}")]
    TooLong,
    /// Its asker may be in other groups by now.
    #[error("the request is more than {} minutes old: make it anew", FRESH.as_mins())]
    Late,
    /// The log could not say who read.
    #[error(
        "your user name can't be put on record: it is empty, has control signs, or more than {LONGEST_NAME} bytes"
    )]
    Person,
    /// They may not.
    #[error(
        "{user} lacks the verb {verb} on accessgrants.access.keyhole.dev in {place}: ClusterRole {role} has it, and must be bound to them {how}",
        verb = auditor.task().verb(),
        place = auditor,
        role = auditor.task().cluster_role(),
        how = how(auditor)
    )]
    Lacks {
        /// Who asked.
        user: String,
        /// For what.
        auditor: Auditor,
    },
}

fn how(auditor: &Auditor) -> &'static str {
    match auditor.namespace() {
        Some(_) => "there, by a RoleBinding",
        None => "by a ClusterRoleBinding",
    }
}

/// Understands the CSR.
pub fn asked(csr: &CertificateSigningRequest, now: Timestamp) -> Result<Asked, Refusal> {
    let spec = &csr.spec;
    let request = read(spec, AUDITOR_SIGNER)?;
    let auditor = request.uri.as_deref().and_then(Auditor::named).ok_or(Refusal::Names)?;
    if request.wants_more {
        return Err(Refusal::More);
    }
    let seconds = spec.expiration_seconds.unwrap_or(LASTS);
    if seconds > LASTS {
        return Err(Refusal::TooLong);
    }
    let made = csr.metadata.creation_timestamp.as_ref().map(|made| made.0);
    if made.is_none_or(|made| now.duration_since(made) > FRESH) {
        return Err(Refusal::Late);
    }
    let user = spec.username.clone().unwrap_or_default();
    if user.is_empty() || user.len() > LONGEST_NAME || user.chars().any(char::is_control) {
        return Err(Refusal::Person);
    }
    Ok(Asked { auditor, user, key: request.key, seconds })
}

/// The question whether the CSR's asker may, as the API server stamped them.
pub fn question(spec: &CertificateSigningRequestSpec, auditor: &Auditor) -> SubjectAccessReview {
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: spec.username.clone(),
            groups: spec.groups.clone(),
            uid: spec.uid.clone(),
            extra: spec.extra.clone(),
            resource_attributes: Some(ResourceAttributes {
                group: Some(crds::GROUP.to_owned()),
                resource: Some("accessgrants".to_owned()),
                verb: Some(auditor.task().verb().to_owned()),
                // None means all of them.
                namespace: auditor.namespace().map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SubjectAccessReview::default()
    }
}

/// What to sign for them, if the API server says that they may.
pub fn judge(
    asked: &Asked,
    said: Option<&SubjectAccessReviewStatus>,
    now: Timestamp,
) -> Result<Leaf, Refusal> {
    let Asked { auditor, user, key: _, seconds } = asked;
    let may = said.is_some_and(|said| said.allowed && said.denied != Some(true));
    if !may {
        return Err(Refusal::Lacks { user: user.clone(), auditor: auditor.clone() });
    }
    Ok(Leaf {
        uri: auditor.uri(),
        common_name: user.clone(),
        dns: None,
        usage: Usage::Client,
        now,
        not_after: now.checked_add(SignedDuration::from_secs(i64::from(*seconds))).unwrap_or(now),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
        ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SignatureAlgorithm,
    };

    use super::*;

    const SHOP: &str = "keyhole://audit/shop";

    fn now() -> Timestamp {
        "2026-01-01T12:10:00Z".parse().unwrap()
    }

    fn params(uris: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        params
    }

    fn csr_of(
        params: &CertificateParams,
        algorithm: &'static SignatureAlgorithm,
    ) -> CertificateSigningRequest {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        let mut csr = CertificateSigningRequest::default();
        csr.metadata.creation_timestamp = Some(Time("2026-01-01T12:09:59Z".parse().unwrap()));
        csr.spec = CertificateSigningRequestSpec {
            signer_name: AUDITOR_SIGNER.into(),
            request: ByteString(pem.into_bytes()),
            usages: Some(vec!["client auth".into(), "digital signature".into()]),
            username: Some("auditor".into()),
            groups: Some(vec!["auditors".into(), "system:authenticated".into()]),
            uid: Some("u1".into()),
            extra: Some(BTreeMap::from([("scopes".to_owned(), vec!["a".to_owned()])])),
            ..CertificateSigningRequestSpec::default()
        };
        csr
    }

    fn csr(uris: &[&str]) -> CertificateSigningRequest {
        csr_of(&params(uris), &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn changed(change: impl FnOnce(&mut CertificateSigningRequest)) -> CertificateSigningRequest {
        let mut csr = csr(&[SHOP]);
        change(&mut csr);
        csr
    }

    fn yes() -> SubjectAccessReviewStatus {
        SubjectAccessReviewStatus { allowed: true, ..SubjectAccessReviewStatus::default() }
    }

    fn refused(csr: &CertificateSigningRequest, why: &Refusal) {
        assert_eq!(&asked(csr, now()).unwrap_err(), why);
    }

    fn signed(csr: &CertificateSigningRequest) -> Leaf {
        judge(&asked(csr, now()).unwrap(), Some(&yes()), now()).unwrap()
    }

    #[test]
    fn a_request_names_one_auditor_and_nobody_else() {
        for uris in [
            &[][..],
            &[SHOP, "keyhole://audit/bank"],
            &["keyhole://operator"],
            &["keyhole://proxy/0b9a2f0e-6e0f-4f0e-9d53-1f0e7d6c5b4a"],
            &["keyhole://session/shop"],
            &["keyhole://log"],
            &["https://audit/shop"],
            &["keyhole://audit/"],
            &["keyhole://audit/Shop"],
            &["keyhole://audit/shop/bank"],
            &["keyhole://audit/.."],
            &["keyhole://erase/shop,bank"],
        ] {
            refused(&csr(uris), &Refusal::Names);
        }
        let p256 = &rcgen::PKCS_ECDSA_P256_SHA256;
        let mut beside = params(&[SHOP]);
        beside.subject_alt_names.push(SanType::DnsName("keyhole-log".try_into().unwrap()));
        refused(&csr_of(&beside, p256), &Refusal::Names);
        let mut instead = params(&[]);
        instead.subject_alt_names.push(SanType::DnsName("audit".try_into().unwrap()));
        refused(&csr_of(&instead, p256), &Refusal::Names);
    }

    #[test]
    fn whatever_else_a_request_asks_for_is_refused() {
        let p256 = &rcgen::PKCS_ECDSA_P256_SHA256;
        let changes: [fn(&mut CertificateParams); 5] = [
            |params| params.distinguished_name.push(DnType::CommonName, "somebody else"),
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            |params| {
                params.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
            },
            |params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign],
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        ];
        for change in changes {
            let mut params = params(&[SHOP]);
            change(&mut params);
            refused(&csr_of(&params, p256), &Refusal::More);
        }
        // Names that it may sign for: an extension that the library does not know.
        let constraints = CustomExtension::from_oid_content(&[2, 5, 29, 30], vec![0x30, 0]);
        let mut strange = params(&[SHOP]);
        strange.custom_extensions.push(constraints);
        refused(&csr_of(&strange, p256), &Refusal::Flaw(Flaw::Malformed));
    }

    #[test]
    fn other_usages_signers_keys_and_texts_are_refused() {
        for usages in
            [vec!["server auth"], vec!["client auth", "server auth"], vec!["digital signature"], vec![]]
        {
            let usages = usages.into_iter().map(str::to_owned).collect();
            refused(&changed(|csr| csr.spec.usages = Some(usages)), &Refusal::Flaw(Flaw::Usages));
        }
        refused(&changed(|csr| csr.spec.usages = None), &Refusal::Flaw(Flaw::Usages));
        for signer in [access::SIGNER, "kubernetes.io/kube-apiserver-client"] {
            refused(
                &changed(|csr| csr.spec.signer_name = signer.into()),
                &Refusal::Flaw(Flaw::Signer(AUDITOR_SIGNER)),
            );
        }
        refused(&csr_of(&params(&[SHOP]), &rcgen::PKCS_ECDSA_P384_SHA384), &Refusal::Flaw(Flaw::Key));
        refused(&changed(|csr| csr.spec.request.0[110] ^= 1), &Refusal::Flaw(Flaw::Malformed));
        refused(&changed(|csr| csr.spec.request.0.clear()), &Refusal::Flaw(Flaw::Malformed));
    }

    #[test]
    fn it_lasts_an_hour_or_less_and_longer_is_refused() {
        refused(&changed(|csr| csr.spec.expiration_seconds = Some(3601)), &Refusal::TooLong);
        refused(&changed(|csr| csr.spec.expiration_seconds = Some(i32::MAX)), &Refusal::TooLong);
        let ends =
            |seconds| signed(&changed(|csr| csr.spec.expiration_seconds = seconds)).not_after.to_string();
        assert_eq!(ends(None), "2026-01-01T13:10:00Z");
        assert_eq!(ends(Some(3600)), "2026-01-01T13:10:00Z");
        assert_eq!(ends(Some(600)), "2026-01-01T12:20:00Z");
    }

    #[test]
    fn a_request_that_lay_around_is_refused() {
        let made = |text: &str| {
            let time = Time(text.parse().unwrap());
            changed(|csr| csr.metadata.creation_timestamp = Some(time))
        };
        assert!(asked(&made("2026-01-01T12:00:00Z"), now()).is_ok());
        refused(&made("2026-01-01T11:59:59Z"), &Refusal::Late);
        refused(&changed(|csr| csr.metadata.creation_timestamp = None), &Refusal::Late);
    }

    #[test]
    fn who_cannot_be_named_on_record_gets_nothing() {
        for name in [None, Some(String::new()), Some("a\nb".to_owned()), Some("a".repeat(1025))] {
            refused(&changed(|csr| csr.spec.username = name), &Refusal::Person);
        }
    }

    #[test]
    fn it_is_asked_of_whom_the_api_server_stamped_about_exactly_what_they_named() {
        let csr = csr(&[SHOP]);
        let asks = |uri: &str| question(&csr.spec, &Auditor::named(uri).unwrap()).spec;
        let of = |spec: SubjectAccessReviewSpec| {
            let of = spec.resource_attributes.unwrap();
            (of.verb.unwrap(), of.group.unwrap(), of.resource.unwrap(), of.namespace)
        };
        let group = || "access.keyhole.dev".to_owned();
        let resource = || "accessgrants".to_owned();
        let spec = asks(SHOP);
        assert_eq!(
            (&spec.user, &spec.groups, &spec.uid, &spec.extra),
            (&csr.spec.username, &csr.spec.groups, &csr.spec.uid, &csr.spec.extra)
        );
        assert_eq!(of(spec), ("audit".to_owned(), group(), resource(), Some("shop".to_owned())));
        assert_eq!(of(asks("keyhole://audit/*")), ("audit".to_owned(), group(), resource(), None));
        assert_eq!(of(asks("keyhole://erase/*")), ("erase-texts".to_owned(), group(), resource(), None));
    }

    #[test]
    fn who_lacks_the_verb_is_told_which_where_and_how_one_comes_by_it() {
        let why = |uri: &str, said: Option<&SubjectAccessReviewStatus>| {
            judge(&asked(&csr(&[uri]), now()).unwrap(), said, now()).unwrap_err().to_string()
        };
        let no = SubjectAccessReviewStatus::default();
        let both = SubjectAccessReviewStatus { denied: Some(true), ..yes() };
        for said in [None, Some(&no), Some(&both)] {
            assert_eq!(
                why(SHOP, said),
                "auditor lacks the verb audit on accessgrants.access.keyhole.dev in namespace shop: ClusterRole keyhole-records has it, and must be bound to them there, by a RoleBinding"
            );
        }
        assert_eq!(
            why("keyhole://erase/*", Some(&no)),
            "auditor lacks the verb erase-texts on accessgrants.access.keyhole.dev in all namespaces: ClusterRole keyhole-records-eraser has it, and must be bound to them by a ClusterRoleBinding"
        );
    }

    #[test]
    fn who_holds_the_verb_gets_a_client_certificate_with_this_one_name() {
        for uri in [SHOP, "keyhole://audit/*", "keyhole://erase/shop", "keyhole://erase/*"] {
            for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
                let leaf = signed(&csr_of(&params(&[uri]), algorithm));
                assert_eq!((leaf.uri.as_str(), leaf.common_name.as_str()), (uri, "auditor"));
                assert_eq!((leaf.usage, leaf.dns), (Usage::Client, None));
            }
        }
    }
}
