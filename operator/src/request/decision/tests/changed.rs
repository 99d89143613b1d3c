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
