//! Authorities that stand in another object: what was read there is what is approved, and what the grant has.

use super::*;
use crate::request::authorities::{Authorities, missing};

const AUTHORITY: &str = include_str!("../../../../../crds/tests/authority.pem");

/// The world with authorities that were read elsewhere.
fn read(text: &str) -> Observed {
    let mut database = serde_json::to_value(database()).unwrap();
    let from = json!({"configMapKeyRef": {"name": "orders-ca", "key": "ca.crt"}});
    merge(&mut database, json!({"spec": {"tls": {"mode": "Verify", "caFrom": from}}}));
    let database = crds::resolved(&serde_json::from_value(database).unwrap(), text).unwrap();
    Observed { database: Some(database), authorities: Authorities::Read, ..world() }
}

#[test]
fn authorities_that_cannot_be_had_make_the_request_wait_and_say_what_to_do() {
    let world = Observed { authorities: missing(), ..approved_with(json!({})) };
    refused(&world, "DatabaseInvalid");
    let plan = plan(&world, now());
    let condition = plan.status.conditions.iter().find(|c| c.type_ == "Approved").unwrap();
    assert!(
        condition.message.contains("spec.tls.caFrom") && condition.message.contains("make it"),
        "{condition:?}"
    );
    assert_eq!(plan.look_again, Some(time("2026-01-01T12:30:15Z")), "nobody tells when it is there");
    assert_eq!(plan.status.terms, None);
}

#[test]
fn a_grant_has_the_certificates_and_not_where_they_stood() {
    let mut world = read(AUTHORITY);
    world.approvals = vec![approval(&world, json!({}))];
    let tls = granted(&world).spec.terms.database_spec.tls;
    assert_eq!((tls.ca.as_deref(), tls.ca_from), (Some(AUTHORITY), None));
}

#[test]
fn an_approval_does_not_count_for_authorities_that_were_changed_where_they_stand() {
    let mut world = read(AUTHORITY);
    world.approvals = vec![approval(&world, json!({}))];
    let approved = world.approvals.clone();
    let world = Observed { approvals: approved, ..read(&AUTHORITY.repeat(2)) };
    does_not_count(&world, "other terms");
    assert_eq!(
        plan(&world, now()).look_again,
        Some(time("2026-01-01T12:30:15Z")),
        "they may be changed back"
    );
}
