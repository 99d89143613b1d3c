//! Whether a session certificate is signed. Pure: a CSR and the grant it names, in; what to sign, or a refusal, out.

use access::{GRANT_ANNOTATION, SIGNER, session_uri};
use crds::AccessGrant;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;
use kube::ResourceExt;
use rcgen::PublicKey;

use super::request::{Flaw, read};
use crate::pki::authority::{Leaf, Usage};

/// What the CSR asks for, once it was understood.
#[derive(Debug)]
pub struct Asked {
    /// Uid of the grant that its URI SAN names.
    pub grant_uid: String,
    /// Its public key.
    pub key: PublicKey,
}

/// Why no certificate is signed. `Display` is what the person reads.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Of all requests for us.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// Not exactly one grant.
    #[error("the request must hold one name only, the URI keyhole://session/<uid of the grant>")]
    Names,
    /// It does not say where its grant is.
    #[error("the annotation {GRANT_ANNOTATION} must be <namespace>/<name> of the grant")]
    Unnamed,
    /// No such grant, or none of this person: which of the two is not told.
    #[error("there is no live grant of this uid and name for {user}")]
    NoGrant {
        /// Who asked.
        user: String,
    },
}

/// Understands the CSR.
pub fn asked(spec: &CertificateSigningRequestSpec) -> Result<Asked, Refusal> {
    let request = read(spec, SIGNER)?;
    let grant_uid = request.uri.as_deref().and_then(grant_named).ok_or(Refusal::Names)?;
    Ok(Asked { grant_uid, key: request.key })
}

/// What to sign for `spec.username`, if `grant` is theirs and lives.
pub fn judge(
    spec: &CertificateSigningRequestSpec,
    asked: &Asked,
    grant: Option<&AccessGrant>,
    now: Timestamp,
) -> Result<Leaf, Refusal> {
    let user = spec.username.clone().unwrap_or_default();
    let theirs = grant.filter(|grant| {
        !user.is_empty()
            && grant.spec.user == user
            && !grant.spec.terms.probe
            && grant.uid().as_deref() == Some(asked.grant_uid.as_str())
            && lives(grant, now)
    });
    let Some(grant) = theirs else { return Err(Refusal::NoGrant { user }) };
    let deadline = grant.spec.expires_at.0;
    let wished = spec
        .expiration_seconds
        .and_then(|seconds| now.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok());
    Ok(Leaf {
        uri: session_uri(&asked.grant_uid),
        common_name: user,
        dns: None,
        usage: Usage::Client,
        now,
        not_after: wished.map_or(deadline, |wished| wished.min(deadline)),
    })
}

/// Nothing has begun to end it.
fn lives(grant: &AccessGrant, now: Timestamp) -> bool {
    let ends = grant.status.as_ref().is_some_and(|status| status.end_reason.is_some());
    grant.spec.expires_at.0 > now
        && grant.spec.revocation.is_none()
        && grant.metadata.deletion_timestamp.is_none()
        && !ends
}

fn grant_named(uri: &str) -> Option<String> {
    let uid = uri.strip_prefix(&session_uri(""))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!uid.is_empty() && uid.len() <= 64 && uid.chars().all(plain)).then(|| uid.to_owned())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use rcgen::{CertificateParams, KeyPair, SanType, SignatureAlgorithm};

    use super::*;
    use crate::grant::plan::tests_grant;

    fn now() -> Timestamp {
        "2026-01-01T12:10:00Z".parse().unwrap()
    }

    fn csr(uris: &[&str], algorithm: &'static SignatureAlgorithm) -> CertificateSigningRequestSpec {
        let mut params = CertificateParams::default();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        let key = KeyPair::generate_for(algorithm).unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        CertificateSigningRequestSpec {
            signer_name: SIGNER.into(),
            request: ByteString(pem.into_bytes()),
            usages: Some(vec!["client auth".into(), "digital signature".into()]),
            username: Some("requester".into()),
            ..CertificateSigningRequestSpec::default()
        }
    }

    fn good() -> CertificateSigningRequestSpec {
        csr(&["keyhole://session/g1"], &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn verdict(spec: &CertificateSigningRequestSpec, grant: Option<&AccessGrant>) -> Result<Leaf, Refusal> {
        judge(spec, &asked(spec)?, grant, now())
    }

    fn no_grant(user: &str) -> Refusal {
        Refusal::NoGrant { user: user.into() }
    }

    #[test]
    fn another_user_gets_nothing_and_is_not_told_whether_the_grant_exists() {
        let mut spec = good();
        spec.username = Some("stranger".into());
        assert_eq!(verdict(&spec, Some(&tests_grant())).unwrap_err(), no_grant("stranger"));
        assert_eq!(verdict(&spec, None).unwrap_err(), no_grant("stranger"));
        spec.username = None;
        assert_eq!(verdict(&spec, Some(&tests_grant())).unwrap_err(), no_grant(""));
    }

    #[test]
    fn a_probe_signs_nothing_whoever_asks() {
        let mut probe = tests_grant();
        assert!(verdict(&good(), Some(&probe)).is_ok());
        probe.spec.terms.probe = true;
        assert_eq!(verdict(&good(), Some(&probe)).unwrap_err(), no_grant("requester"));
    }

    #[test]
    fn a_grant_that_ends_signs_nothing_more() {
        let changes: [fn(&mut AccessGrant); 4] = [
            |grant| grant.spec.expires_at.0 = now(),
            |grant| {
                grant.spec.revocation =
                    Some(crds::Revocation { by: "approver".into(), reason: "enough".into() });
            },
            |grant| {
                grant.metadata.deletion_timestamp =
                    Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
            },
            |grant| {
                grant.status = Some(crds::AccessGrantStatus {
                    end_reason: Some("Revoked".into()),
                    ..Default::default()
                });
            },
        ];
        for change in changes {
            let mut grant = tests_grant();
            change(&mut grant);
            assert_eq!(verdict(&good(), Some(&grant)).unwrap_err(), no_grant("requester"));
        }
    }

    #[test]
    fn other_usages_signers_names_and_keys_are_refused() {
        let p256 = &rcgen::PKCS_ECDSA_P256_SHA256;
        for usages in
            [vec!["server auth"], vec!["client auth", "server auth"], vec!["digital signature"], vec![]]
        {
            let mut spec = good();
            spec.usages = Some(usages.into_iter().map(str::to_owned).collect());
            assert_eq!(verdict(&spec, None).unwrap_err(), Refusal::Flaw(Flaw::Usages));
        }
        for uris in [
            vec![],
            vec!["keyhole://session/"],
            vec!["keyhole://operator"],
            vec!["keyhole://session/g1", "keyhole://session/g2"],
            vec!["keyhole://session/../g1"],
        ] {
            assert_eq!(verdict(&csr(&uris, p256), None).unwrap_err(), Refusal::Names, "{uris:?}");
        }
        assert_eq!(
            verdict(&csr(&["keyhole://session/g1"], &rcgen::PKCS_ECDSA_P384_SHA384), None).unwrap_err(),
            Refusal::Flaw(Flaw::Key)
        );
        let mut spec = good();
        spec.signer_name = "kubernetes.io/kube-apiserver-client".into();
        assert_eq!(verdict(&spec, None).unwrap_err(), Refusal::Flaw(Flaw::Signer(SIGNER)));
        spec = good();
        spec.request.0[110] ^= 1;
        assert_eq!(verdict(&spec, None).unwrap_err(), Refusal::Flaw(Flaw::Malformed));
    }

    #[test]
    fn a_certificate_never_outlives_its_grant() {
        let grant = tests_grant();
        let mut spec = good();
        assert_eq!(verdict(&spec, Some(&grant)).unwrap().not_after, grant.spec.expires_at.0);
        spec.expiration_seconds = Some(86_400);
        assert_eq!(verdict(&spec, Some(&grant)).unwrap().not_after, grant.spec.expires_at.0);
        spec.expiration_seconds = Some(600);
        assert_eq!(verdict(&spec, Some(&grant)).unwrap().not_after.to_string(), "2026-01-01T12:20:00Z");
    }

    #[test]
    fn the_grants_own_user_gets_a_client_certificate_for_this_grant() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
            let spec = csr(&["keyhole://session/g1"], algorithm);
            let leaf = verdict(&spec, Some(&tests_grant())).unwrap();
            assert_eq!((leaf.uri.as_str(), leaf.common_name.as_str()), ("keyhole://session/g1", "requester"));
            assert_eq!((leaf.usage, leaf.dns), (Usage::Client, None));
        }
    }
}
