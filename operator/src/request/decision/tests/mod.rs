//! The refusals first: who can't approve, what is never granted.

#![allow(clippy::arithmetic_side_effects)]

mod authorities;
mod changed;
mod live;
mod on_behalf;
mod rules;

use crds::{AccessGrant, GrantPhase, RequestPhase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::sample::*;
use crate::admission::Admission;
use crate::request::observed::Observed;
use crate::request::plan::{Plan, plan};

fn reason(plan: &Plan) -> String {
    let approved = plan.status.conditions.iter().find(|c| c.type_ == "Approved").unwrap();
    assert_eq!(approved.status == "True", plan.create.is_some() || plan.status.grant.is_some());
    approved.reason.clone()
}

/// The request is not granted, for this reason.
#[track_caller]
fn refused(world: &Observed, why: &str) {
    let plan = plan(world, now());
    assert_eq!(plan.create, None);
    assert_eq!(plan.status.grant, None);
    assert_eq!(reason(&plan), why, "{:?}", plan.status);
    is_all_that_there_is_to_do(world, plan);
}

/// Whoever wrote a status does not look again because of it: that would change nothing.
#[track_caller]
fn is_all_that_there_is_to_do(world: &Observed, done: Plan) {
    let mut after = world.clone();
    after.request.status = Some(done.status.clone());
    for told in done.told {
        let approvals =
            after.approvals.iter_mut().filter(|approval| approval.metadata.uid == told.metadata.uid);
        approvals.for_each(|approval| *approval = told.clone());
    }
    let again = plan(&after, now());
    assert_eq!((again.status, again.create, again.told), (done.status, None, Vec::new()));
}

/// The one approval does not count, and the status says this.
#[track_caller]
fn does_not_count(world: &Observed, why: &str) {
    refused(world, "WaitingForApproval");
    let seen = plan(world, now()).status.seen;
    assert!(!seen[0].counts);
    let said = seen[0].why_not.clone().unwrap();
    assert!(said.contains(why), "{said}");
}

#[track_caller]
fn granted(world: &Observed) -> AccessGrant {
    let plan = plan(world, now());
    *plan.create.unwrap_or_else(|| panic!("{:?}", plan.status))
}

#[test]
fn without_approval_nothing_is_granted() {
    refused(&world(), "WaitingForApproval");
}

#[test]
fn approvers_see_every_line_of_the_terms() {
    let mut world = world();
    let mut database = serde_json::to_value(database()).unwrap();
    let column = |column: &str, access: &str| json!({"schema": "shop", "table": "users", "column": column, "access": access});
    merge(
        &mut database,
        json!({"spec": {
            "allow": {"functions": [{"schema": "shop", "name": "price"}], "schemas": ["sys"]},
            "columns": [column("email", "Mask"), column("ssn", "Hide")]
        }}),
    );
    world.database = Some(serde_json::from_value(database).unwrap());
    let status = plan(&world, now()).status;
    for line in [
        "user: requester",
        "TLS: NONE: credential and rows cross the network in clear",
        "network: addresses 10.0.0.1/32",
        "functions that may be called: shop.price",
        "system schemas open: sys",
        "columns closed: shop.users.email (Mask), shop.users.ssn (Hide)",
        "each statement: 10000 rows, 30 s, 10000000 bytes at most",
        "approvers: approver, second, group leads",
        "may act for others: robot, both (request and approval)",
    ] {
        assert!(status.details.iter().any(|shown| shown == line), "{line}: {:#?}", status.details);
    }
    assert_eq!(
        status.summary.as_deref(),
        Some("requester reads shop/orders for 30 min: order 7 looks wrong")
    );
}

#[test]
fn nobody_approves_their_own_request_also_not_with_a_forged_requester() {
    does_not_count(
        &approved_with(json!({"spec": {"approver": "requester", "submittedBy": "requester"}})),
        "own request",
    );
    let forged =
        json!({"spec": {"approver": "requester", "submittedBy": "requester", "requester": "stranger"}});
    does_not_count(&approved_with(forged), "not who asked");
    does_not_count(&approved_with(json!({"spec": {"requester": "stranger"}})), "not who asked");
    does_not_count(&approved_with(json!({"spec": {"submittedBy": "requester"}})), "the requester brought it");
}

#[test]
fn an_approval_for_other_terms_or_another_uid_does_not_count() {
    let other = format!("sha256:{}", "0".repeat(64));
    does_not_count(&approved_with(json!({"spec": {"terms": other}})), "other terms");
    does_not_count(&approved_with(json!({"spec": {"request": {"uid": "r0"}}})), "another request");
}

#[test]
fn one_person_approves_once() {
    let mut world = world();
    let rules = json!([{"name": "two", "approvals": {"required": 2, "approvers": {"users": ["approver", "second"]}}}]);
    world.policy = Some(policy(rules));
    world.approvals = vec![
        approval(&world, json!({})),
        approval(&world, json!({"metadata": {"name": "yes-again", "uid": "a2"}})),
    ];
    refused(&world, "WaitingForApproval");
    let status = plan(&world, now()).status;
    assert_eq!(status.approvals.as_deref(), Some("1/2"));
    assert!(status.seen[1].why_not.as_ref().unwrap().contains("before"));
    let second = json!({"metadata": {"name": "yes-too", "uid": "a3"}, "spec": {"approver": "second", "submittedBy": "second"}});
    world.approvals.push(approval(&world, second));
    assert_eq!(granted(&world).spec.approved_by.len(), 2);
}

#[test]
fn a_hundred_approvals_that_do_not_count_leave_room_for_the_one_that_does() {
    let mut world = world();
    let rules = json!([{"name": "two", "approvals": {"required": 2, "approvers": {"users": ["approver", "second"]}}}]);
    world.policy = Some(policy(rules));
    let stranger = |number: usize| {
        json!({
            "metadata": {"name": format!("yes-{number}"), "uid": format!("s{number}")},
            "spec": {"approver": "stranger", "submittedBy": "stranger"},
        })
    };
    world.approvals = (0..100).map(|number| approval(&world, stranger(number))).collect();
    world.approvals.push(approval(&world, json!({})));
    let status = plan(&world, now()).status;
    assert_eq!(status.approvals.as_deref(), Some("1/2"));
    assert_eq!((status.seen.len(), status.more_seen), (64, Some(37)));
    assert!(status.seen[0].counts && !status.seen[63].counts);
}

#[test]
fn a_stranger_and_a_member_of_another_group_do_not_approve() {
    does_not_count(
        &approved_with(json!({"spec": {"approver": "stranger", "submittedBy": "stranger"}})),
        "names neither",
    );
    let group =
        json!({"spec": {"approver": "stranger", "submittedBy": "stranger", "groups": ["developers"]}});
    does_not_count(&approved_with(group), "names neither");
    let lead = json!({"spec": {"approver": "lead", "submittedBy": "lead", "groups": ["leads"]}});
    granted(&approved_with(lead));
}

#[test]
fn objects_older_than_the_admission_policies_are_not_trusted() {
    let old = json!({"metadata": {"creationTimestamp": "2026-01-01T10:00:00Z"}});
    does_not_count(&approved_with(old.clone()), "what it says is checked only since");
    let mut world = world();
    world.request = request(old);
    refused(&world, "OlderThanAdmission");
}

#[test]
fn while_the_admission_policies_are_not_in_force_nothing_is_granted() {
    let mut world = approved_with(json!({}));
    granted(&world);
    world.admission = Admission::NotInForce { what: "one is missing".into() };
    refused(&world, "AdmissionNotInForce");
    let said = plan(&world, now()).status.seen[0].why_not.clone().unwrap();
    assert!(said.contains("is not in force") && !said.contains("9999"), "{said}");
}

#[test]
fn what_is_older_than_the_policy_or_as_old_was_not_held_to_its_groups() {
    let mut world = approved_with(json!({}));
    world.policy.as_mut().unwrap().spec.groups = vec!["contractors".into()];
    let with_policy_of = |text: &str| {
        let mut world = world.clone();
        world.policy.as_mut().unwrap().metadata.creation_timestamp = Some(Time(time(text)));
        world
    };
    granted(&with_policy_of("2026-01-01T12:19:00Z"));
    // The request is of 12:20:00, and the API server takes a policy up within three seconds.
    refused(&with_policy_of("2026-01-01T12:19:57Z"), "OlderThanPolicy");
    refused(&with_policy_of("2026-01-01T12:25:00Z"), "OlderThanPolicy");
}

#[test]
fn an_approval_older_than_the_policy_does_not_count() {
    let mut world = approved_with(json!({"metadata": {"creationTimestamp": "2026-01-01T11:59:59Z"}}));
    granted(&world);
    let policy = world.policy.as_mut().unwrap();
    policy.spec.groups = vec!["contractors".into()];
    policy.metadata.creation_timestamp = Some(Time(time("2026-01-01T11:59:56Z")));
    refused(&world, "WaitingForApproval");
}

#[test]
fn no_matching_rule_a_denying_rule_and_a_too_long_duration_are_final() {
    let with_rules = |rules: Value| {
        let mut world = world();
        world.policy = Some(policy(rules));
        world
    };
    refused(
        &with_rules(json!([{"name": "a", "when": "false", "approvals": {"required": 0}}])),
        "NoRuleMatches",
    );
    refused(&with_rules(json!([])), "NoRuleMatches");
    refused(&with_rules(json!([{"name": "a", "deny": {"message": "use the replica"}}])), "DeniedByPolicy");
    for (duration, why) in [
        ("61m", "DurationTooLong"),
        ("0m", "DurationInvalid"),
        ("-5m", "DurationInvalid"),
        ("8760h", "DurationInvalid"),
    ] {
        let mut world = world();
        world.request = request(json!({"spec": {"duration": duration}}));
        refused(&world, why);
        // Latched: a laxer policy changes nothing.
        world.request.status = Some(plan(&world, now()).status);
        world.policy = Some(policy(json!([{"name": "all", "approvals": {"required": 0}}])));
        refused(&world, why);
    }
}

#[test]
fn an_unknown_database_policy_or_engine_grants_nothing() {
    let mut world = approved_with(json!({}));
    world.policy = None;
    refused(&world, "PolicyUnknown");
    world.database.as_mut().unwrap().spec.engine = crds::EngineSpec::Postgresql;
    refused(&world, "EngineUnsupported");
    world.database = None;
    refused(&world, "DatabaseUnknown");
}

#[test]
fn a_deleted_denial_stays_a_denial() {
    let deny = json!({"metadata": {"name": "no"}, "spec": {"decision": "Deny", "comment": "not now"}});
    let mut world = approved_with(deny);
    refused(&world, "Denied");
    let status = plan(&world, now()).status;
    assert_eq!(status.phase, RequestPhase::Denied);
    world.request.status = Some(status);
    world.approvals = vec![approval(&self::world(), json!({}))];
    refused(&world, "Denied");
}

#[test]
fn a_denial_counts_for_any_terms_but_only_from_an_approver() {
    let terms = format!("sha256:{}", "0".repeat(64));
    refused(&approved_with(json!({"spec": {"decision": "Deny", "terms": terms}})), "Denied");
    let stranger = json!({"spec": {"decision": "Deny", "approver": "stranger", "submittedBy": "stranger"}});
    does_not_count(&approved_with(stranger), "names neither");
}

#[test]
fn a_request_that_nobody_decides_lapses_and_stays_lapsed() {
    let mut world = world();
    let late = time("2026-01-02T12:20:00Z");
    assert_eq!(plan(&world, late - jiff::SignedDuration::from_secs(1)).status.phase, RequestPhase::Pending);
    let status = plan(&world, late).status;
    assert_eq!(status.phase, RequestPhase::Lapsed);
    world.request.status = Some(status);
    world.approvals = vec![approval(&self::world(), json!({}))];
    let after = plan(&world, now());
    assert_eq!((after.status.phase, after.create), (RequestPhase::Lapsed, None));
}

#[test]
fn a_changed_database_or_rule_needs_a_new_approval() {
    let mut world = approved_with(json!({}));
    granted(&world);
    world.database.as_mut().unwrap().spec.host = Some("other.shop.svc".into());
    does_not_count(&world, "other terms");
    let mut world = approved_with(json!({}));
    world.policy.as_mut().unwrap().spec.rules[0].approvals.as_mut().unwrap().approvers.users.push("x".into());
    does_not_count(&world, "other terms");
}

#[test]
fn an_approved_request_gets_a_grant_with_finalizer_and_snapshot_and_no_owner() {
    let grant = granted(&approved_with(json!({})));
    assert_eq!(grant.metadata.name.as_deref(), Some("look-82f3e9c6"));
    assert_eq!(grant.metadata.finalizers, Some(vec![crds::FINALIZER.to_owned()]));
    assert_eq!(grant.metadata.owner_references, None, "its record stays when the request goes");
    assert_eq!(grant.spec.expires_at.0, time("2026-01-01T13:00:00Z"));
    assert_eq!(grant.spec.terms.limits.rows, Some(10_000));
    assert_eq!(grant.spec.approved_by[0].approver, "approver");
}

#[test]
fn after_a_crash_before_the_grant_was_made_the_deadline_is_the_recorded_one() {
    let mut world = approved_with(json!({}));
    world.request.status = Some(plan(&world, now()).status);
    let later = time("2026-01-01T12:50:00Z");
    let grant = plan(&world, later).create.unwrap();
    assert_eq!(grant.spec.expires_at.0, time("2026-01-01T13:00:00Z"));
    let too_late = plan(&world, time("2026-01-01T13:00:00Z"));
    assert_eq!((too_late.create, too_late.status.phase), (None, RequestPhase::Ended));
}

#[test]
fn a_request_whose_grant_was_open_or_has_ended_never_gets_another() {
    let mut world = approved_with(json!({}));
    for phase in [GrantPhase::Ready, GrantPhase::Ending, GrantPhase::Ended] {
        let mut grant = granted(&world);
        grant.status = Some(crds::AccessGrantStatus { phase, ..Default::default() });
        world.grant = Some(grant);
        world.request.status = Some(plan(&world, now()).status);
        world.grant = None;
        let after = plan(&world, now());
        assert_eq!((after.create, after.status.phase), (None, RequestPhase::Ended));
        world.request.status = None;
    }
}

#[test]
fn a_grant_being_shut_is_not_called_ended() {
    let mut world = approved_with(json!({}));
    let mut grant = granted(&world);
    grant.status = Some(crds::AccessGrantStatus { phase: GrantPhase::Ending, ..Default::default() });
    world.grant = Some(grant);
    assert_eq!(plan(&world, now()).status.phase, RequestPhase::Ending);
}

#[test]
fn a_rule_narrows_the_limits_of_its_database_and_never_widens_them() {
    let mut world = approved_with(json!({}));
    world.database.as_mut().unwrap().spec.limits.rows = Some(500);
    world.policy = Some(policy(json!([{
        "name": "all", "approvals": {"required": 0}, "limits": {"rows": 9000, "seconds": 5, "idleTransactionSeconds": 9}
    }])));
    let limits = granted(&world).spec.terms.limits;
    assert_eq!((limits.rows, limits.seconds, limits.sessions), (Some(500), Some(5), Some(20)));
    assert_eq!(limits.idle_transaction_seconds, Some(9));
    world.database.as_mut().unwrap().spec.limits.idle_transaction_seconds = Some(4);
    assert_eq!(granted(&world).spec.terms.limits.idle_transaction_seconds, Some(4));
}

#[test]
fn a_rule_narrows_how_many_refusals_end_a_grant() {
    let mut world = approved_with(json!({}));
    assert_eq!(granted(&world).spec.terms.limits.refusals, None);
    for (database, rule, both) in [(None, 7, 7), (Some(50), 7, 7), (Some(5), 7, 5)] {
        world.database.as_mut().unwrap().spec.limits.refusals = database;
        world.policy = Some(policy(json!([{
            "name": "all", "approvals": {"required": 0}, "limits": {"refusals": rule}
        }])));
        assert_eq!(granted(&world).spec.terms.limits.refusals, Some(both));
    }
}
