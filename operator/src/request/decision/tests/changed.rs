//! What was changed after it was made does not count, whatever it says now.

use super::*;

#[test]
fn a_request_that_was_changed_is_not_granted() {
    let mut world = approved_with(json!({}));
    granted(&world);
    for generation in [Some(2), Some(0), None] {
        world.request.metadata.generation = generation;
        refused(&world, "Changed");
    }
}

#[test]
fn an_approval_that_was_changed_does_not_count() {
    let mut world = approved_with(json!({}));
    for generation in [Some(2), None] {
        world.approvals[0].metadata.generation = generation;
        does_not_count(&world, "changed after it was written");
    }
}

#[test]
fn each_approval_says_on_itself_whether_it_counts_and_says_it_once() {
    let mut world = approved_with(json!({}));
    let own = json!({"metadata": {"name": "own", "uid": "a2"}, "spec": {"approver": "requester", "submittedBy": "requester"}});
    world.approvals.push(approval(&world, own));
    let told = plan(&world, now()).told;
    let said: Vec<(&str, &str)> = told
        .iter()
        .map(|approval| {
            let condition = &approval.status.as_ref().unwrap().conditions[0];
            (condition.status.as_str(), condition.reason.as_str())
        })
        .collect();
    assert_eq!(said, [("True", "Counted"), ("False", "NotCounted")]);
    world.approvals = told;
    assert!(plan(&world, now()).told.is_empty());
}
