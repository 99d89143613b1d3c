//! The plan as values, and what it comes to when a small world obeys it.

#![allow(clippy::arithmetic_side_effects)]

use access::report::Phase;
use access::{ChildName, EndReason, Used};
use crds::GrantPhase;

use super::super::observed::{Child, Link, Observed, RequestLink, Rules};
use super::model::World;
use super::{Action, ChildKind, Knows, plan};
use crate::admission::Admission;
use record::What;

fn steps(world: &World) -> Vec<Action> {
    world.plan().actions.into_iter().filter(|action| !matches!(action, Action::Record(_))).collect()
}

pub(super) fn receipt(world: &World) -> Vec<(String, String)> {
    world.status().receipt.iter().map(|line| (line.item.clone(), line.outcome.clone())).collect()
}

#[track_caller]
pub(super) fn everything_is_shut(world: &World) {
    let status = world.status();
    assert_eq!(status.phase, GrantPhase::Ended, "{status:#?}");
    assert!(world.pod.is_none());
    let Rules { network_policy, secret, role, role_binding, service_account: _ } = world.rules;
    assert_eq!([network_policy, secret, role, role_binding], [Child::Missing; 4]);
    assert!(world.vault.values().all(|stands| !stands), "a lease stands");
    assert!(status.leases.iter().all(|lease| lease.revoked));
    assert_eq!(status.receipt.len(), 7);
    assert!(status.receipt.iter().all(|line| line.outcome != "Open"), "{:?}", status.receipt);
    assert_eq!(world.grant.metadata.finalizers, None);
    assert_ne!(world.request, RequestLink::Open);
    assert!(world.plan().actions.is_empty());
}

#[test]
fn a_proxy_keeps_the_authorities_that_it_knows_and_the_next_one_has_the_new() {
    let mut world = World::ready();
    world.authorities = "newer";
    world.run(3, 200);
    let known = |world: &World| {
        let status = world.status();
        (status.ca.unwrap(), status.session_ca.unwrap())
    };
    assert_eq!(known(&world), ("pem".to_owned(), "pem".to_owned()));
    world.rules.secret = Child::Missing;
    let comes_back = Action::Apply(ChildKind::Secret(Used::default(), Knows::AsNoted));
    assert!(world.plan().actions.contains(&comes_back), "{:?}", world.plan().actions);
    let now = world.now;
    world.pod.as_mut().unwrap().deleting_since = Some(now);
    world.run(40, 500);
    assert_eq!((world.made, world.status().phase), (2, GrantPhase::Ready));
    assert_eq!(known(&world), ("newer".to_owned(), "newer".to_owned()));
}

#[test]
fn a_new_grant_gets_its_rules_before_its_pod() {
    let world = World::new();
    assert_eq!(
        steps(&world),
        [
            Action::Apply(ChildKind::NetworkPolicy),
            Action::Apply(ChildKind::ServiceAccount),
            Action::Apply(ChildKind::Secret(Used::default(), Knows::Newest)),
            Action::Apply(ChildKind::Role),
            Action::Apply(ChildKind::RoleBinding),
            Action::Apply(ChildKind::Pod)
        ]
    );
}

#[test]
fn a_grant_that_anybody_may_have_written_gets_no_pod() {
    let not_in_force = || Admission::NotInForce { what: "one is missing".into() };
    let since = |text: &str| Admission::InForce { since: text.parse().unwrap() };
    for (admission, reason) in [
        (not_in_force(), "AdmissionNotInForce"),
        (since("2026-01-01T12:00:00Z"), "OlderThanAdmission"),
        (since("2026-01-01T12:10:00Z"), "OlderThanAdmission"),
    ] {
        let mut world = World::new();
        world.admission = admission;
        world.run(20, 1000);
        assert_eq!((world.made, world.rules), (0, Rules::default()));
        assert_eq!(world.condition("Ready"), ("False".into(), reason.into()));
    }
    // What an earlier release trusted, a later one does, too; and nobody else seals.
    let mut world = World::new();
    world.run(1, 1000);
    assert!(world.status().seal.is_some());
    world.admission = since("2026-01-01T12:10:00Z");
    world.pod.as_mut().unwrap().finished_at = Some(world.now);
    world.run(30, 1000);
    assert_eq!((world.made, world.status().phase), (2, GrantPhase::Ready));
    world.admission = not_in_force();
    world.pod.as_mut().unwrap().finished_at = Some(world.now);
    world.run(30, 1000);
    assert_eq!(world.made, 2, "a seal is no admission policy");
    let mut world = World::new();
    world.admission = since("2026-01-01T12:10:00Z");
    world.run(5, 1000);
    assert_eq!(world.status().seal, None);

    let mut world = World::new();
    let unseen = Observed { admission: None, ..world.observe() };
    assert!(!plan(&unseen, world.now).actions.contains(&Action::Apply(ChildKind::Pod)));
    world.admission = not_in_force();
    world.run(2, 200);
    world.admission = World::new().admission;
    world.run(20, 200);
    assert_eq!(world.status().phase, GrantPhase::Ready);
}

#[test]
fn a_proxy_is_not_let_on_to_a_credential_while_the_policies_are_not_in_force() {
    let mut world = World::new();
    world.run(2, 200);
    world.admission = Admission::NotInForce { what: "one is missing".into() };
    world.run(20, 200);
    assert!(world.vault.is_empty());
    assert_eq!(world.condition("Ready"), ("False".into(), "AdmissionNotInForce".into()));
    world.admission = World::new().admission;
    world.run(20, 200);
    assert_eq!(world.status().phase, GrantPhase::Ready);
}

#[test]
fn what_is_open_stays_open_when_the_policies_change_and_still_ends() {
    let mut world = World::ready();
    world.admission = Admission::NotInForce { what: "one is missing".into() };
    world.run(5, 1000);
    assert_eq!(world.status().phase, GrantPhase::Ready);
    world.revoke();
    world.run(30, 200);
    everything_is_shut(&world);
}

#[test]
fn custody_is_told_only_after_the_accessor_is_on_record() {
    let mut world = World::new();
    world.run(1, 200);
    world.tick(200);
    assert_eq!(world.pod.as_ref().unwrap().phase, Some(Phase::Custody));
    let actions = world.plan().actions;
    let Action::Record(status) = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(status.leases[0].token_accessor, "accessor-pod-1");
    let Action::Put(facts) = &actions[1] else { panic!("{actions:?}") };
    assert!(matches!(&facts[0].what, What::Pod(pod) if pod.accessor == "accessor-pod-1"));
    assert_eq!(actions[2], Action::TellCustody { token_accessor: "accessor-pod-1".into() });
}

#[test]
fn a_ready_grant_says_where_to_connect_and_nothing_more_happens() {
    let world = World::ready();
    let status = world.status();
    let name = ChildName::of("g1");
    assert_eq!(status.endpoint, Some(format!("keyhole-proxies/{name}")));
    assert_eq!(world.condition("Ready"), ("True".into(), "Ready".into()));
    assert_eq!(status.leases[0].lease_id.as_deref(), Some("database/creds/jit-read-role/pod-1"));
    assert!(world.plan().actions.is_empty());
}

#[test]
fn on_revocation_the_reason_is_recorded_and_the_proxy_told_before_anything_is_deleted() {
    let mut world = World::ready();
    world.revoke();
    let actions = world.plan().actions;
    assert!(matches!(&actions[0], Action::Record(status) if status.end_reason.as_deref() == Some("Revoked")));
    assert_eq!(actions[1..], [Action::TellEnd(EndReason::Revoked)]);
}

#[test]
fn at_the_second_of_expiry_the_grant_ends_and_not_before() {
    let mut world = World::ready();
    world.now = "2026-01-01T12:29:59Z".parse().unwrap();
    assert!(steps(&world).is_empty());
    assert_eq!(world.plan().look_again, Some("2026-01-01T12:30:00Z".parse().unwrap()));
    world.now = "2026-01-01T12:30:00Z".parse().unwrap();
    assert_eq!(steps(&world), [Action::TellEnd(EndReason::Expired)]);
}

#[test]
fn what_a_grant_stands_on_ends_it_when_it_goes_or_changes() {
    for reason in [
        EndReason::Deleted,
        EndReason::DatabaseGone,
        EndReason::DatabaseChanged,
        EndReason::PolicyGone,
        EndReason::ApprovalWithdrawn,
    ] {
        let mut world = World::ready();
        match reason {
            EndReason::DatabaseGone => world.database = Link::Gone,
            EndReason::DatabaseChanged => world.database = Link::Changed,
            EndReason::PolicyGone => world.policy = Link::Gone,
            EndReason::ApprovalWithdrawn => world.approvals = Link::Gone,
            _ => world.request = RequestLink::Gone,
        }
        world.run(30, 500);
        assert_eq!(world.status().end_reason.as_deref(), Some(reason.word()));
        everything_is_shut(&world);
    }
}

#[test]
fn the_end_goes_proxy_pod_rules_lease_and_only_then_ended() {
    let mut world = World::ready();
    world.revoke();
    world.run(30, 200);
    everything_is_shut(&world);
    let order: Vec<&str> = world
        .told
        .iter()
        .filter_map(|action| match action {
            Action::TellEnd(_) => Some("tell"),
            Action::DeletePod => Some("pod"),
            Action::DeleteNetworkPolicy => Some("network"),
            Action::ShutLease(_) => Some("lease"),
            Action::RemoveFinalizer => Some("finalizer"),
            _ => None,
        })
        .collect();
    let position = |what: &str| order.iter().position(|step| *step == what).unwrap();
    assert!(position("tell") < position("pod"));
    assert!(position("pod") < position("network"));
    assert!(position("network") < position("finalizer"));
    assert!(position("lease") < position("finalizer"));
    assert_eq!(world.condition("Ended"), ("True".into(), "Revoked".into()));
}

#[test]
fn with_vault_down_people_are_cut_off_but_the_grant_is_not_ended() {
    let mut world = World::ready();
    world.vault_is_up = false;
    world.revoke();
    world.run(40, 1000);
    assert!(world.pod.is_none());
    assert_eq!(world.rules.network_policy, Child::Missing);
    let status = world.status();
    assert_eq!(status.phase, GrantPhase::Ending);
    assert!(receipt(&world).contains(&("lease".into(), "Open".into())), "{status:#?}");
    assert!(world.grant.metadata.finalizers.is_some());
    world.vault_is_up = true;
    world.run(5, 1000);
    everything_is_shut(&world);
}

#[test]
fn a_proxy_that_dies_with_the_password_leaves_login_unprovable_and_the_lease_proved() {
    let mut world = World::ready();
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at) = (true, Some(world.now));
    world.revoke();
    world.run(30, 500);
    everything_is_shut(&world);
    let lines = receipt(&world);
    assert!(lines.contains(&("login".into(), "Unprovable".into())), "{lines:?}");
    assert!(lines.contains(&("lease".into(), "Proved".into())), "{lines:?}");
}

#[test]
fn a_pod_that_will_not_go_is_closed_in_and_loses_its_lease() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().stuck = true;
    world.revoke();
    world.run(25, 1000);
    assert_eq!(world.rules.network_policy, Child::Present);
    assert!(world.vault.values().all(|stands| !stands), "the lease goes after 10 s, pod or not");
    world.run(15, 1000);
    assert!(world.told.contains(&Action::CloseNetworkPolicy), "{:?}", world.told);
    assert_eq!(world.rules.network_policy, Child::Present, "without one it might be open");
    assert_eq!(world.status().phase, GrantPhase::Ending);
    assert!(receipt(&world).contains(&("pod".into(), "Open".into())));
    world.pod.as_mut().unwrap().stuck = false;
    world.run(10, 1000);
    everything_is_shut(&world);
}

#[test]
fn a_pod_deleted_by_hand_comes_back_with_a_new_lease_and_the_old_one_is_revoked() {
    let mut world = World::ready();
    let now = world.now;
    world.pod.as_mut().unwrap().deleting_since = Some(now);
    world.run(30, 200);
    assert_eq!(world.status().phase, GrantPhase::Ready);
    let leases = world.status().leases;
    assert_eq!(leases.len(), 2);
    assert!(leases[0].revoked && !leases[1].revoked);
    assert_eq!(world.pod.as_ref().unwrap().uid, "pod-2");
}

#[test]
fn no_new_pod_is_made_while_the_old_lease_may_stand() {
    let mut world = World::ready();
    world.vault_is_up = false;
    world.pod = None;
    world.run(20, 1000);
    assert!(world.pod.is_none());
    assert_eq!(world.condition("Ready"), ("False".into(), "OldLeaseOpen".into()));
}

#[test]
fn a_failed_pod_is_left_to_be_looked_at_and_then_replaced() {
    let mut world = World::ready();
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at) = (true, Some(world.now));
    world.run(4, 1000);
    assert_eq!(world.condition("Ready"), ("False".into(), "ProxyStopped".into()));
    assert_eq!(world.pod.as_ref().unwrap().uid, "pod-1");
    world.run(20, 1000);
    assert_eq!((world.made, world.status().phase), (2, GrantPhase::Ready));
}

#[test]
fn what_somebody_takes_away_comes_back_while_the_grant_is_open() {
    let mut world = World::ready();
    world.rules.network_policy = Child::Missing;
    world.rules.role = Child::Missing;
    assert_eq!(steps(&world), [Action::Apply(ChildKind::NetworkPolicy), Action::Apply(ChildKind::Role)]);
}

#[test]
fn a_pod_that_waited_for_a_node_does_not_lengthen_the_grant() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().over_at = Some("2026-01-01T12:30:45Z".parse().unwrap());
    assert_eq!(steps(&world), [Action::ShortenPod { by_seconds: 45 }]);
    world.run(1, 200);
    assert!(steps(&world).is_empty());
}

#[test]
fn a_lease_of_another_role_is_a_violation_and_never_recorded() {
    let mut world = World::ready();
    world.grant.status.as_mut().unwrap().leases[0].lease_id = None;
    world.pod.as_mut().unwrap().lease_id = Some("database/creds/admin/x".into());
    world.run(1, 200);
    assert_eq!(world.status().end_reason.as_deref(), Some("Violation"));
    assert_eq!(world.status().leases[0].lease_id, None);
}

#[test]
fn a_failure_of_the_proxy_is_shown_with_its_reason_and_the_deadline_still_ends_it() {
    let mut world = World::new();
    world.run(2, 200);
    world.vault_is_up = false;
    world.pod.as_mut().unwrap().failure = Some("VaultSealed".into());
    world.run(5, 1000);
    assert_eq!(world.condition("Ready"), ("False".into(), "VaultSealed".into()));
    world.now = "2026-01-01T12:30:00Z".parse().unwrap();
    world.vault_is_up = true;
    world.run(20, 1000);
    everything_is_shut(&world);
}

#[test]
fn a_grant_that_ends_before_anything_was_made_is_shut_at_once() {
    let mut world = World::new();
    world.revoke();
    assert_eq!(world.plan().look_again, Some(world.now), "the log is asked at once");
    world.run(4, 200);
    everything_is_shut(&world);
    assert_eq!(world.made, 0);
}

#[test]
fn an_end_that_was_recorded_is_never_taken_back() {
    let mut world = World::ready();
    world.revoke();
    world.run(1, 200);
    world.grant.spec.revocation = None;
    world.run(30, 200);
    everything_is_shut(&world);
}

#[test]
fn the_same_observation_gives_the_same_plan() {
    let mut world = World::ready();
    world.revoke();
    let observed = world.observe();
    assert_eq!(plan(&observed, world.now), plan(&observed, world.now));
}

#[test]
fn what_a_proxy_says_of_answers_that_were_lost_is_on_record() {
    let mut world = World::ready();
    assert_eq!(world.status().leases[0].unanswered, None);
    world.revoke();
    world.run(30, 200);
    assert_eq!(world.status().leases[0].unanswered, Some(false));
}
