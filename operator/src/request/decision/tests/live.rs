//! How many grants there may be at once, and what is granted once only.

use super::*;
use crate::request::observed::Live;

#[test]
fn one_person_has_one_live_grant_of_a_database_unless_the_rule_says_more() {
    let mut world = approved_with(json!({}));
    granted(&world);
    world.live.of_person = 1;
    refused(&world, "TooManyLive");
    world.policy.as_mut().unwrap().spec.rules[0].max_live = Some(2);
    granted(&world);
    world.live.of_person = 2;
    refused(&world, "TooManyLive");
    let again = plan(&world, now()).look_again.unwrap();
    assert!(again < time("2026-01-01T12:31:00Z"), "looked at again soon: {again}");
}

#[test]
fn without_approval_the_number_of_grants_is_not_told() {
    let mut world = world();
    world.live.of_person = 7;
    refused(&world, "WaitingForApproval");
}

#[test]
fn a_cluster_has_as_many_live_grants_as_its_release_allows() {
    let mut world = approved_with(json!({}));
    world.live = Live { of_person: 0, of_all: 9, most_of_all: 10 };
    granted(&world);
    world.live.of_all = 10;
    refused(&world, "TooManyLive");
}

#[test]
fn what_a_commit_asked_for_is_granted_once() {
    let mut world = world();
    let brought = json!({"spec": {"submittedBy": "robot", "evidence": evidence("one", "two")}});
    world.request = request(brought);
    world.approvals = vec![approval(&world, json!({}))];
    granted(&world);
    world.granted_before = Some("look-1234abcd".into());
    let plan = plan(&world, now());
    assert_eq!((plan.create.is_none(), plan.status.phase), (true, RequestPhase::Denied));
    assert_eq!(reason(&plan), "AlreadyGranted");
}

#[test]
fn a_policy_that_came_a_moment_ago_may_not_be_complete() {
    let mut world = world();
    let rules = &mut world.policy.as_mut().unwrap().spec.rules;
    rules[0].when = Some("false".into());
    refused(&world, "NoRuleMatches");
    assert_eq!(plan(&world, now()).status.phase, RequestPhase::Denied);
    let made = &mut world.policy.as_mut().unwrap().metadata.creation_timestamp;
    *made = Some(Time(time("2026-01-01T12:29:30Z")));
    world.request.metadata.creation_timestamp = Some(Time(time("2026-01-01T12:29:40Z")));
    refused(&world, "NoRuleMatches");
    let plan = plan(&world, now());
    assert_eq!(plan.status.phase, RequestPhase::Pending);
    assert_eq!(plan.look_again.unwrap().to_string(), "2026-01-01T12:30:15Z");
}
