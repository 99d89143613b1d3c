//! Which rule decides.

use jiff::SignedDuration;
use serde_json::json;

use super::super::sample::*;
use super::{granted, refused};
use crate::admission::Admission;
use crate::request::plan::plan;

#[test]
fn a_group_that_the_policy_does_not_name_is_only_the_requesters_word_and_reaches_no_rule() {
    let mut world = world();
    world.policy = Some(policy(json!([
        {"name": "theirs", "when": "'database-team' in request.groups", "approvals": {"required": 0}}
    ])));
    world.request = request(json!({"spec": {"groups": ["database-team"]}}));
    refused(&world, "NoRuleMatches");
    world.policy.as_mut().unwrap().spec.groups = vec!["database-team".into()];
    granted(&world);
}

#[test]
fn an_expression_that_fails_on_the_way_refuses_even_when_a_later_rule_would_grant() {
    for when in ["request.team == 'x'", "request.user ==", "1"] {
        let mut world = world();
        world.policy = Some(policy(json!([
            {"name": "broken", "when": when, "deny": {"message": "no"}},
            {"name": "all", "approvals": {"required": 0}}
        ])));
        refused(&world, "PolicyError");
        let conditions = plan(&world, now()).status.conditions;
        assert!(conditions[0].message.contains("\"broken\""), "{}", conditions[0].message);
    }
}

#[test]
fn a_request_is_judged_by_the_hour_at_which_it_was_made_whenever_it_is_looked_at() {
    let mut world = world();
    world.policy = Some(policy(json!([
        {"name": "at night", "when": "request.createdAt.getHours() < 6", "approvals": {"required": 0}},
        {"name": "by day", "approvals": {"required": 1, "approvers": {"users": ["approver"]}}}
    ])));
    for hour in [12, 20, 26] {
        let later = time("2026-01-01T00:00:00Z") + SignedDuration::from_hours(hour);
        let plan = plan(&world, later);
        assert_eq!((plan.create, plan.status.rule.as_deref()), (None, Some("readers/by day")), "{later}");
    }
    world.request = request(json!({"metadata": {"creationTimestamp": "2026-01-01T05:59:59Z"}}));
    world.admission = Admission::InForce { since: time("2026-01-01T01:00:00Z") };
    assert!(plan(&world, time("2026-01-01T06:10:00Z")).create.is_some(), "it was made by night");
}

#[test]
fn a_rule_that_says_nothing_grants_nothing() {
    let mut world = world();
    world.policy = Some(policy(json!([{"name": "empty"}])));
    refused(&world, "PolicyError");
}

#[test]
fn a_request_that_nobody_has_to_approve_is_not_kept_for_later() {
    let mut world = world();
    world.policy = Some(policy(json!([{"name": "all", "approvals": {"required": 0}}])));
    world.live.of_person = 1;
    refused(&world, "TooManyLive");
    let again = plan(&world, time("2026-01-01T12:34:50Z")).look_again.unwrap();
    assert_eq!(again, time("2026-01-01T12:35:00Z"));
    world.live.of_person = 0;
    assert!(plan(&world, time("2026-01-01T12:34:59Z")).create.is_some());
    let late = plan(&world, time("2026-01-01T12:35:00Z"));
    assert_eq!((late.create, late.status.phase), (None, crds::RequestPhase::Lapsed));
    assert!(late.status.conditions[0].message.contains("nobody has to approve it"));
}

#[test]
fn of_too_many_approvals_those_that_count_are_listed() {
    let mut world = approved_with(json!({}));
    let counts = world.approvals.clone();
    let others = (0..64).map(|number| {
        let change = json!({
            "metadata": {"name": format!("no-{number}"), "uid": format!("n{number}")},
            "spec": {"approver": "stranger", "submittedBy": "stranger"}
        });
        approval(&self::world(), change)
    });
    world.approvals = others.chain(counts).collect();
    let status = plan(&world, now()).status;
    assert_eq!((status.seen.len(), status.more_seen), (64, Some(1)));
    assert!(status.seen[0].counts, "{:?}", status.seen[0]);
}
