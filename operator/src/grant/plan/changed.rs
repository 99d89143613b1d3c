//! Whether a `Database` still says what a grant was made for. Pure.

use crds::{AccessGrant, DatabaseSpec};
use kube::ResourceExt;

use access::Limits;

/// Whether it says another server, another way there, other credentials, other columns, another record, or a limit below what was granted. What is
/// only wider now is no reason to end anything: the grant keeps what it was given.
pub fn database_changed(grant: &AccessGrant, now: &DatabaseSpec) -> bool {
    let terms = &grant.spec.terms;
    let then = &terms.database_spec;
    // What stands elsewhere was read for the grant, and is read again for the next one.
    let mut now = now.clone();
    if now.tls.ca_from.take().is_some() {
        now.tls.ca.clone_from(&then.tls.ca);
    }
    let now = &now;
    if then == now {
        return false;
    }
    let target = |spec: &DatabaseSpec| {
        crds::target(&grant.namespace().unwrap_or_default(), &terms.database, spec).ok()
    };
    let granted = terms.limits.over(Limits::DEFAULT);
    let widest = now.limits.over(Limits::DEFAULT);
    // One that cannot be used any more is another one.
    target(now).is_none()
        || target(then) != target(now)
        || crds::peer(&then.network.to) != crds::peer(&now.network.to)
        || granted.narrowed_by(widest) != granted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::plan::tests_grant;
    use crds::{AuthoritiesSource, HostSpec, KeyReference, TlsMode, TlsSpec};

    fn verified(ca: Option<&str>, map: Option<&str>) -> TlsSpec {
        let key = |name: &str| KeyReference { name: name.to_owned(), key: "ca.crt".to_owned() };
        let from = |name| AuthoritiesSource { config_map_key_ref: Some(key(name)), secret_key_ref: None };
        TlsSpec {
            mode: TlsMode::Verify,
            ca: ca.map(str::to_owned),
            ca_from: map.map(from),
            server_name: None,
        }
    }

    fn grant() -> AccessGrant {
        let mut grant = tests_grant();
        grant.spec.terms.database_spec.tls = verified(Some("authorities"), None);
        grant
    }

    #[test]
    fn another_server_way_column_or_a_narrower_limit_is_a_change() {
        let grant = grant();
        let spec = || grant.spec.terms.database_spec.clone();
        assert!(!database_changed(&grant, &spec()));
        let changes: [fn(&mut DatabaseSpec); 12] = [
            |spec| spec.host = Some("other.shop.svc".into()),
            |spec| spec.port = Some(3307),
            |spec| spec.hosts = vec![HostSpec { host: "standby.shop.svc".into(), port: None }],
            |spec| spec.tls = verified(Some("another"), None),
            |spec| spec.schema = Some("other".into()),
            |spec| spec.credentials.vault.role = "other".into(),
            |spec| spec.network.to.cidr = Some("10.0.0.2/32".into()),
            |spec| {
                spec.columns.push(crds::ColumnRuleSpec {
                    schema: "shop".into(),
                    table: "users".into(),
                    column: "ssn".into(),
                    access: crds::ColumnAccessSpec::Hide,
                });
            },
            |spec| spec.limits.rows = Some(9_999),
            |spec| spec.limits.grant_bytes = Some(1),
            |spec| spec.audit.texts = crds::TextsSpec::Shape,
            |spec| spec.host = Some("not a host".into()),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = spec();
            change(&mut changed);
            assert!(database_changed(&grant, &changed), "change {index}");
        }
    }

    #[test]
    fn what_is_wider_or_of_no_concern_to_a_grant_is_none() {
        let grant = grant();
        let same: [fn(&mut DatabaseSpec); 5] = [
            |spec| spec.limits.rows = Some(20_000),
            |spec| spec.limits.sessions = Some(20),
            |spec| spec.access_policy = "other".into(),
            |spec| spec.tls = verified(None, Some("orders-ca")),
            |spec| spec.port = Some(3306),
        ];
        for (index, change) in same.into_iter().enumerate() {
            let mut spec = grant.spec.terms.database_spec.clone();
            change(&mut spec);
            assert!(!database_changed(&grant, &spec), "change {index}");
        }
    }
}
