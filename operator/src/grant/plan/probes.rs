//! A grant that nobody reads by: it ends as soon as people could connect, and says what it came to.

#![allow(clippy::arithmetic_side_effects)]

use super::super::observed::RequestLink;
use super::model::World;
use super::tests::everything_is_shut;

fn probe() -> World {
    let mut world = World::new();
    world.grant.spec.terms.probe = true;
    world.request = RequestLink::Closed;
    world
}

#[test]
fn a_probe_ends_when_it_is_ready_and_says_so() {
    let mut world = probe();
    world.run(40, 200);
    everything_is_shut(&world);
    let status = world.status();
    assert_eq!((status.end_reason.as_deref(), status.attempts), (Some("Probed"), 1));
    assert!(status.probed.unwrap().ready);
}

#[test]
fn a_probe_that_fails_says_why_when_its_time_is_over() {
    let mut world = probe();
    world.run(2, 200);
    world.vault_is_up = false;
    world.pod.as_mut().unwrap().failure = Some("VaultRoleMissing".into());
    world.run(5, 1000);
    assert_eq!(world.condition("Ready"), ("False".into(), "VaultRoleMissing".into()));
    world.now = "2026-01-01T12:30:00Z".parse().unwrap();
    world.vault_is_up = true;
    world.run(20, 1000);
    everything_is_shut(&world);
    let probed = world.status().probed.unwrap();
    assert_eq!((probed.ready, probed.reason.as_str()), (false, "VaultRoleMissing"));
}
