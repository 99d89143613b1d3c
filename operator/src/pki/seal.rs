//! The operator's seal on a grant that it trusts. Admission keeps others from making and changing grants, but only while its policies are
//! in force, and a new release has new ones: a grant that was made under the earlier ones is told from one that anybody made while there
//! were none by this seal, which nobody makes without the key of the internal authority.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use crds::{AccessGrant, AccessGrantSpec};
use kube::ResourceExt;
use serde::Serialize;

use super::authority::Authority;
use super::store::Authorities;

/// What is sealed, and nothing else that the key may ever be used for.
const PURPOSE: &str = "keyhole: AccessGrant, 1";

/// Everything of a grant that never changes. No other object ever has its uid.
#[derive(Serialize)]
struct Sealed {
    purpose: &'static str,
    uid: String,
    namespace: String,
    name: String,
    spec: AccessGrantSpec,
}

/// The seal on this grant as it is written now: HMAC-SHA-256, 64 lower-case hex digits. `None`: it cannot be written, and holds nothing.
pub fn of(authorities: &Authorities, grant: &AccessGrant) -> Option<String> {
    by(&authorities.internal, grant)
}

/// Whether the grant's status has that seal, or one by the internal authority before.
pub fn holds(authorities: &Authorities, grant: &AccessGrant) -> bool {
    let Some(seal) = grant.status.as_ref().and_then(|status| status.seal.as_ref()) else { return false };
    let known = [Some(&authorities.internal), authorities.previous.internal.as_ref()];
    let is_by = |authority: &Authority| {
        by(authority, grant)
            .is_some_and(|own| verify_slices_are_equal(seal.as_bytes(), own.as_bytes()).is_ok())
    };
    known.into_iter().flatten().any(is_by)
}

fn by(authority: &Authority, grant: &AccessGrant) -> Option<String> {
    let sealed = Sealed {
        purpose: PURPOSE,
        uid: grant.uid().unwrap_or_default(),
        namespace: grant.namespace().unwrap_or_default(),
        name: grant.name_any(),
        spec: AccessGrantSpec { revocation: None, abandon: None, ..grant.spec.clone() },
    };
    // The keys of its objects stand in the order of their definitions.
    let sealed = serde_json::to_vec(&sealed).ok()?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, authority.key_der());
    Some(access::hex(hmac::sign(&key, &sealed).as_ref()))
}

#[cfg(test)]
mod tests {
    use crds::Revocation;

    use super::*;
    use crate::grant::plan::tests_grant;
    use crate::pki::store::Previous;

    const SEALED: &str = concat!(
        r#"{"purpose":"keyhole: AccessGrant, 1","uid":"g1","namespace":"shop","name":"look-1","spec":{"request":{"name":""#,
        r#"look","uid":"r1"},"user":"requester","terms":{"database":"orders","databaseUid":"d1","databaseSpec":{"engine":"#,
        r#""mariadb","host":"orders.shop.svc","tls":{"mode":"Disabled"},"credentials":{"vault":{"mount":"database","role""#,
        r#":"jit-read-role"}},"accessPolicy":"readers","limits":{},"allow":{},"network":{"to":{"cidr":"10.0.0.1/32"}}},"p"#,
        r#"olicy":"readers","policyUid":"p1","rule":"one","limits":{},"minutes":30,"reason":"","submittedBy":""},"termsDi"#,
        r#"gest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","approvedBy":[],"expiresAt":"2"#,
        r#"026-01-01T12:30:00Z"}}"#,
    );

    fn authority() -> Authority {
        Authority::generate("test", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap()
    }

    fn authorities() -> Authorities {
        Authorities { internal: authority(), session: authority(), previous: Previous::default() }
    }

    fn sealed(authorities: &Authorities) -> AccessGrant {
        let mut grant = tests_grant();
        grant.status.get_or_insert_default().seal = of(authorities, &grant);
        grant
    }

    #[test]
    fn nobody_seals_without_the_key_and_nothing_that_is_sealed_changes() {
        let ours = authorities();
        let grant = sealed(&ours);
        assert!(holds(&ours, &grant));
        assert!(!holds(&ours, &tests_grant()), "no seal");
        assert!(!holds(&authorities(), &grant), "somebody else's");
        type Change = fn(&mut AccessGrant);
        let changes: [Change; 8] = [
            |grant| grant.metadata.uid = Some("another".into()),
            |grant| grant.metadata.namespace = Some("another".into()),
            |grant| grant.metadata.name = Some("another".into()),
            |grant| grant.spec.user = "stranger".into(),
            |grant| grant.spec.expires_at.0 = "2027-01-01T00:00:00Z".parse().unwrap(),
            |grant| grant.spec.terms.database_spec.host = Some("db.example.com".into()),
            |grant| grant.spec.approved_by.clear(),
            |grant| grant.status.as_mut().unwrap().seal = Some(String::new()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = grant.clone();
            other.spec.approved_by = vec![crds::GrantedBy {
                approval: "yes".into(),
                uid: "a1".into(),
                approver: "approver".into(),
            }];
            other.status.as_mut().unwrap().seal = of(&ours, &other);
            assert!(holds(&ours, &other));
            change(&mut other);
            assert!(!holds(&ours, &other), "change {number}");
        }
    }

    #[test]
    fn an_order_to_end_breaks_no_seal() {
        let ours = authorities();
        let mut grant = sealed(&ours);
        let order = Revocation { by: "approver".into(), reason: "enough".into() };
        (grant.spec.revocation, grant.spec.abandon) = (Some(order.clone()), Some(order));
        assert!(holds(&ours, &grant));
    }

    #[test]
    fn another_internal_authority_takes_the_seals_of_the_one_before() {
        let before = authorities();
        let grant = sealed(&before);
        let Authorities { internal, session, previous: _ } = before;
        let previous = Previous { internal: Some(internal), session: None };
        let now = Authorities { internal: authority(), session, previous };
        assert!(holds(&now, &grant));
        assert_ne!(grant.status.as_ref().unwrap().seal, of(&now, &grant), "it seals by its own");
    }

    /// A release with another definition of a grant must leave the seals of those before alone: what it adds, it leaves out where it
    /// is absent.
    #[test]
    fn what_an_earlier_release_sealed_stays_sealed() {
        let grant = tests_grant();
        let sealed = Sealed {
            purpose: PURPOSE,
            uid: grant.uid().unwrap(),
            namespace: grant.namespace().unwrap(),
            name: grant.name_any(),
            spec: grant.spec,
        };
        assert_eq!(serde_json::to_string(&sealed).unwrap(), SEALED);
    }
}
