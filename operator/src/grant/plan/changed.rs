//! Whether a `Database` still says what a grant was made for. Pure.

use crds::{AccessGrant, DatabaseSpec};
use kube::ResourceExt;

use access::Limits;

/// Whether it says another server, another way there, other credentials, other columns, or a limit below what was granted. What is
/// only wider now is no reason to end anything: the grant keeps what it was given.
pub fn database_changed(grant: &AccessGrant, now: &DatabaseSpec) -> bool {
    let terms = &grant.spec.terms;
    let then = &terms.database_spec;
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

    #[test]
    fn another_server_way_column_or_a_narrower_limit_is_a_change() {
        let grant = tests_grant();
        let spec = || grant.spec.terms.database_spec.clone();
        assert!(!database_changed(&grant, &spec()));
        let changes: [fn(&mut DatabaseSpec); 9] = [
            |spec| spec.host = "other.shop.svc".into(),
            |spec| spec.port = Some(3307),
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
            |spec| spec.host = "not a host".into(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = spec();
            change(&mut changed);
            assert!(database_changed(&grant, &changed), "change {index}");
        }
    }

    #[test]
    fn what_is_wider_or_of_no_concern_to_a_grant_is_none() {
        let grant = tests_grant();
        let same: [fn(&mut DatabaseSpec); 4] = [
            |spec| spec.limits.rows = Some(20_000),
            |spec| spec.limits.sessions = Some(20),
            |spec| spec.access_policy = "other".into(),
            |spec| spec.port = Some(3306),
        ];
        for (index, change) in same.into_iter().enumerate() {
            let mut spec = grant.spec.terms.database_spec.clone();
            change(&mut spec);
            assert!(!database_changed(&grant, &spec), "change {index}");
        }
    }
}
