//! `Proved` means seen: what a receipt says of pods that vanish, of several pods, of leases nobody can see, and of what is given up.

#![allow(clippy::arithmetic_side_effects)]

use access::report::Phase;
use crds::{GrantPhase, Revocation};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};
use serde_json::json;

use super::super::observed::Child;
use super::Action;
use super::model::World;
use super::tests::everything_is_shut;
use crate::leases::Shut;

/// Outcome and word of an item.
fn known(world: &World, item: &str) -> (String, String) {
    let status = world.status();
    let line = status.receipt.iter().find(|line| line.item == item).unwrap();
    (line.outcome.clone(), line.reason.clone())
}

fn is(world: &World, item: &str, outcome: &str, how: &str) {
    assert_eq!(known(world, item), (outcome.into(), how.into()), "{item}: {:#?}", world.status());
}

#[test]
fn a_pod_whose_object_vanished_has_no_proved_sockets() {
    let mut world = World::ready();
    world.vanishes();
    world.revoke();
    world.run(30, 1000);
    is(&world, "sockets", "Unprovable", "NobodySaw");
    is(&world, "login", "Unprovable", "LeftToVault");
    is(&world, "pod", "Proved", "PodGone");
    let sockets = world.status().receipt.into_iter().find(|line| line.item == "sockets").unwrap();
    assert!(sockets.detail.contains("node node-1"), "{}", sockets.detail);
    assert_eq!(world.status().phase, GrantPhase::Ended);
}

/// A world whose proxy did as it was told and ended, and whose pod's object vanished before anybody read what it said.
fn ended_unheard(log_is_up: bool) -> World {
    let mut world = World::ready();
    world.log_is_up = log_is_up;
    world.revoke();
    world.run(1, 200);
    world.tick(200);
    assert_eq!(world.pod.as_ref().unwrap().phase, Some(Phase::Ended));
    world.vanishes();
    // Whoever leads next has heard nothing of it.
    world.reconcile(&mut 0);
    assert!(world.status().leases[0].proofs.is_empty());
    world
}

#[test]
fn what_a_proxy_proved_whose_pods_object_vanished_stands_in_its_own_record() {
    let mut world = ended_unheard(true);
    world.run(30, 1000);
    for item in ["sockets", "serverSessions", "login"] {
        is(&world, item, "Proved", "ProxySaw");
    }
    is(&world, "lease", "Proved", "LeaseGone");
    is(&world, "record", "Unprovable", "RecordUncounted");
    assert_eq!(world.status().phase, GrantPhase::Ended);
    assert!(!world.status().leases[0].stopped, "nobody saw its process end");
}

#[test]
fn what_a_silent_proxy_put_on_record_is_waited_for_until_the_log_answers() {
    let mut world = ended_unheard(true);
    world.log_is_up = false;
    world.run(10, 1000);
    for item in ["sockets", "serverSessions", "login"] {
        is(&world, item, "Open", "RecordAsked");
    }
    assert!(
        world.pod.is_none() && world.vault.values().all(|stands| !stands),
        "everything is shut meanwhile"
    );
    let next = world.plan().look_again.unwrap().duration_since(world.now);
    assert!(next.as_secs() <= 5, "{next:?}");
    world.log_is_up = true;
    world.run(10, 1000);
    is(&world, "sockets", "Proved", "ProxySaw");
    assert_eq!(world.status().phase, GrantPhase::Ended);
}

#[test]
fn a_proxy_whose_record_does_not_say_how_it_ended_proves_nothing_by_it() {
    let mut world = ended_unheard(false);
    world.log_is_up = true;
    world.run(30, 1000);
    is(&world, "sockets", "Unprovable", "NobodySaw");
    is(&world, "login", "Unprovable", "LeftToVault");
    // Its sockets were open when it wrote that.
    let mut world = ended_unheard(true);
    let sockets = world.ends[0].proofs.iter_mut().find(|line| line.item == "sockets").unwrap();
    sockets.outcome = "Open".into();
    world.run(30, 1000);
    is(&world, "sockets", "Unprovable", "NobodySaw");
    is(&world, "login", "Proved", "ProxySaw");
}

#[test]
fn of_several_pods_the_worst_counts() {
    let mut world = World::ready();
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at) = (true, Some(world.now));
    world.run(24, 1000);
    assert_eq!((world.made, world.status().phase), (2, GrantPhase::Ready));
    world.revoke();
    world.run(30, 200);
    everything_is_shut(&world);
    let proofs: Vec<usize> = world.status().leases.iter().map(|lease| lease.proofs.len()).collect();
    assert_eq!(proofs, [0, 4], "the second proved everything, the first nothing");
    is(&world, "login", "Unprovable", "LeftToVault");
    is(&world, "serverSessions", "Unprovable", "LeftToVault");
    is(&world, "sockets", "Proved", "ProxySaw");
    is(&world, "lease", "Proved", "LeaseGone");
}

#[test]
fn a_pod_that_was_replaced_and_proved_its_end_is_not_forgotten() {
    let mut world = World::ready();
    let now = world.now;
    world.pod.as_mut().unwrap().deleting_since = Some(now);
    world.run(30, 200);
    assert_eq!(world.made, 2);
    world.revoke();
    world.run(30, 200);
    everything_is_shut(&world);
    is(&world, "login", "Proved", "ProxySaw");
}

#[test]
fn with_its_database_down_a_dead_proxys_lease_is_open_though_its_token_is_revoked() {
    let mut world = World::ready();
    world.database_is_up = false;
    let lease = &mut world.grant.status.as_mut().unwrap().leases[0];
    (lease.lease_id, lease.user_name) = (None, None);
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at, pod.lease_id) = (true, Some(world.now), None);
    world.revoke();
    world.run(60, 1000);
    assert!(world.revoked.contains("accessor-pod-1"));
    is(&world, "lease", "Open", "LeaseStands");
    assert_eq!(world.status().phase, GrantPhase::Ending);
    world.database_is_up = true;
    world.run(40, 1000);
    everything_is_shut(&world);
}

#[test]
fn a_line_of_an_earlier_release_may_have_had_a_credential() {
    let mut world = World::ready();
    world.grant.status.as_mut().unwrap().leases[0].confirmed = None;
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at) = (true, Some(world.now));
    world.revoke();
    world.run(30, 500);
    everything_is_shut(&world);
    is(&world, "login", "Unprovable", "LeftToVault");
    world.grant.status.as_mut().unwrap().leases[0].lease_id = None;
    assert!(world.status().leases[0].had_credential());
}

#[test]
fn a_login_that_was_seen_to_work_after_its_lease_was_gone_stays_open() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().login_works = true;
    world.revoke();
    world.run(60, 1000);
    is(&world, "lease", "Proved", "LeaseGone");
    is(&world, "login", "Open", "ProxySaw");
    assert_eq!(world.status().phase, GrantPhase::Ending, "the old password works");
}

/// A world whose proxy died, and whose lease's end nobody can see.
fn unseen() -> World {
    let mut world = World::ready();
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at) = (true, Some(world.now));
    world.revoke();
    world.vault_is_up = false;
    world.run(20, 1000);
    world.vault.clear();
    let (_, shut) = world.desk.get_mut("accessor-pod-1").unwrap();
    *shut = Shut::Unseen("add a policy".into());
    world.reconcile(&mut usize::MAX.clone());
    world
}

#[test]
fn a_lease_whose_end_nobody_can_see_is_unprovable_and_no_end_without_a_dead_login() {
    let mut world = unseen();
    is(&world, "lease", "Unprovable", "LeaseUnseen");
    assert_eq!(world.status().phase, GrantPhase::Ending);
    world.desk.clear();
    world.vault_is_up = true;
    world.run(5, 1000);
    is(&world, "lease", "Proved", "LeaseGone");
    everything_is_shut(&world);
}

#[test]
fn what_is_given_up_is_on_record_as_that_and_ends() {
    let mut world = unseen();
    let given_up = Revocation { by: "platform".into(), reason: "the server is gone".into() };
    world.grant.spec.abandon = Some(given_up);
    world.run(3, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ended, "{:#?}", world.status());
    is(&world, "login", "Unprovable", "GivenUp");
    is(&world, "lease", "Unprovable", "LeaseUnseen");
    let login = world.status().receipt.into_iter().find(|line| line.item == "login").unwrap();
    assert!(login.detail.contains("given up by platform: the server is gone"), "{}", login.detail);
}

#[test]
fn a_lease_that_vault_cannot_end_is_given_up_too_but_not_before_everything_was_tried() {
    let mut world = World::ready();
    world.database_is_up = false;
    world.revoke();
    world.grant.spec.abandon =
        Some(Revocation { by: "platform".into(), reason: "the server is gone".into() });
    world.run(9, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ending, "its proxy has ten seconds");
    world.run(12, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ended, "{:#?}", world.status());
    is(&world, "lease", "Unprovable", "GivenUp");
    assert!(world.pod.is_none() && world.rules.network_policy == Child::Missing, "what could be shut is");
    assert!(!world.status().leases[0].revoked, "nobody says that it is gone");
}

/// Who ends a grant and gives up its proofs at once.
fn abandons(world: &mut World) {
    world.revoke();
    world.grant.spec.abandon =
        Some(Revocation { by: "platform".into(), reason: "the server is gone".into() });
}

/// Which step that was taken is the first of these.
fn step(world: &World, is: impl Fn(&Action) -> bool) -> usize {
    world.told.iter().position(is).unwrap_or_else(|| panic!("no such step: {:?}", world.told))
}

fn calls_ended(action: &Action) -> bool {
    matches!(action, Action::Record(status) if status.phase == GrantPhase::Ended)
}

#[test]
fn who_gives_up_the_proof_of_a_proxy_that_does_not_obey_gives_up_no_try() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().deaf = true;
    abandons(&mut world);
    world.run(15, 1000);
    step(&world, |action| *action == Action::DeletePod);
    step(&world, |action| matches!(action, Action::ShutLease(_)));
    assert_eq!(world.status().phase, GrantPhase::Ending);
    world.run(5, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ended, "{:#?}", world.status());
    assert!(world.pod.is_none() && world.rules.network_policy == Child::Missing);
    for (item, how) in [("pod", "PodGone"), ("rules", "RulesGone"), ("lease", "LeaseGone")] {
        is(&world, item, "Proved", how);
    }
}

#[test]
fn what_does_not_go_is_tried_for_a_minute_at_the_most_before_its_proof_is_given_up() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().stuck = true;
    abandons(&mut world);
    world.run(30, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ending, "its pod has time to go");
    world.run(20, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ended, "{:#?}", world.status());
    let ended = step(&world, calls_ended);
    assert!(step(&world, |action| *action == Action::CloseNetworkPolicy) < ended);
    is(&world, "pod", "Unprovable", "GivenUp");
    is(&world, "lease", "Unprovable", "GivenUp");

    let mut world = World::ready();
    abandons(&mut world);
    (world.blind, world.vault_is_up) = (true, false);
    world.run(59, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ending, "nobody sees whether it goes");
    world.run(5, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ended, "{:#?}", world.status());
    assert!(step(&world, |action| *action == Action::DeletePod) < step(&world, calls_ended));
}

#[test]
fn the_time_counts_from_what_ended_it_however_late_it_is_seen() {
    let late =
        |world: &World| world.status().receipt.iter().filter_map(|line| line.after_millis).max().unwrap();
    let after = |seconds: i64, change: &dyn Fn(&mut World)| {
        let mut world = World::ready();
        change(&mut world);
        world.now = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        world.run(30, 200);
        everything_is_shut(&world);
        late(&world)
    };
    let revoked = |world: &mut World| {
        world.revoke();
        let entry = ManagedFieldsEntry {
            time: Some(Time(world.now)),
            fields_v1: Some(FieldsV1(json!({"f:spec": {"f:revocation": {"f:by": {}}}}))),
            ..ManagedFieldsEntry::default()
        };
        let others = ManagedFieldsEntry {
            time: Some(Time("2026-01-01T11:00:00Z".parse().unwrap())),
            fields_v1: Some(FieldsV1(json!({"f:spec": {"f:user": {}}}))),
            ..ManagedFieldsEntry::default()
        };
        world.grant.metadata.managed_fields = Some(vec![others, entry]);
    };
    let expired = |world: &mut World| world.grant.spec.expires_at.0 = world.now;
    let unknown = |world: &mut World| world.revoke();
    for (number, change) in [&revoked as &dyn Fn(&mut World), &expired].into_iter().enumerate() {
        assert!((60_000..67_000).contains(&after(60, change)), "{number}: {}", after(60, change));
        assert!(after(1, change) < 7_000, "objects have whole seconds");
    }
    assert!(after(60, &unknown) < 7_000, "nothing tells when");
}

#[test]
fn a_proxy_that_was_never_let_on_leaves_nothing_to_prove() {
    let mut world = World::new();
    world.run(1, 200);
    world.tick(200);
    world.reconcile(&mut 1);
    assert_eq!(world.pod.as_ref().unwrap().phase, Some(Phase::Custody));
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at, pod.custody) = (true, Some(world.now), false);
    let lease = &mut world.grant.status.as_mut().unwrap().leases[0];
    lease.confirmed = Some(false);
    world.revoke();
    world.run(30, 500);
    everything_is_shut(&world);
    for item in ["sockets", "serverSessions", "login"] {
        is(&world, item, "Proved", "NeverOpened");
    }
}

#[test]
fn each_item_says_how_long_it_took() {
    let mut world = World::ready();
    world.revoke();
    world.run(30, 200);
    everything_is_shut(&world);
    let times: Vec<u64> = world.status().receipt.iter().map(|line| line.after_millis.unwrap()).collect();
    assert!(
        times.iter().all(|millis| *millis <= 6000) && times.iter().any(|millis| *millis > 0),
        "{times:?}"
    );
}
