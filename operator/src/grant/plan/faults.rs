//! The plan when the API server lets nothing be read, or takes nothing.

#![allow(clippy::arithmetic_side_effects)]

use access::EndReason;
use access::report::Phase;
use crds::{Because, ConditionType, GrantPhase, Reason, find_condition};

use super::super::observed::{Child, Ending, Observed, RequestLink, Rules};
use super::model::World;
use super::tests::{everything_is_shut, receipt};
use super::{Action, Order, Plan, plan};

#[test]
fn a_revoked_grant_is_cut_at_once_though_nothing_can_be_read_or_written() {
    for (blind, mute) in [(true, false), (false, true), (true, true)] {
        let mut world = World::ready();
        (world.blind, world.mute) = (blind, mute);
        world.revoke();
        world.run(1, 200);
        assert!(world.pod.as_ref().unwrap().end.is_some(), "told in the first round");
        world.run(100, 1000);
        assert!(world.pod.as_ref().is_none_or(|pod| pod.phase == Some(Phase::Ended)));
        assert_ne!(world.status().phase, GrantPhase::Ended, "nobody saw that it is shut");
        (world.blind, world.mute) = (false, false);
        world.run(30, 1000);
        everything_is_shut(&world);
    }
}

#[test]
fn a_proxy_that_does_not_answer_is_not_waited_for_to_revoke_its_lease() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().stuck = true;
    world.revoke();
    world.reconcile(&mut usize::MAX.clone());
    assert!(world.desk.contains_key("accessor-pod-1"), "{:?}", world.told);
    let mut world = World::ready();
    world.revoke();
    world.reconcile(&mut usize::MAX.clone());
    assert!(world.desk.is_empty(), "one that answers does it itself, and proves it");
}

#[test]
fn nothing_opens_while_what_may_forbid_it_cannot_be_read() {
    let mut world = World::new();
    world.blind = true;
    world.run(10, 1000);
    assert_eq!((world.made, world.rules), (0, Rules::default()));
    assert_eq!(world.condition("Ready"), ("False".into(), "Unread".into()));
    let half = Observed { unread: vec!["the Role: forbidden".into()], ..World::new().observe() };
    assert!(plan(&half, world.now).actions.iter().all(|action| matches!(action, Action::Record(_))));
    world.blind = false;
    world.run(2, 200);
    world.blind = true;
    world.run(20, 200);
    assert!(world.vault.is_empty(), "no credential while it is not known whether the grant still stands");
    world.blind = false;
    world.run(20, 200);
    assert_eq!(world.status().phase, GrantPhase::Ready);
    world.blind = true;
    world.run(20, 200);
    assert_eq!(world.status().phase, GrantPhase::Ready, "what is open stays open");
}

#[test]
fn what_the_api_server_does_not_take_is_told_in_its_words_and_counts_for_no_pod() {
    let mut world = World::new();
    world.mute = true;
    world.run(5, 1000);
    world.mute = false;
    let said = Because::new(Reason::NotApplied, "cannot apply the grant's Pod: exceeded quota: pods");
    let Plan { actions, .. } = plan(&Observed { setback: Some(said), ..world.observe() }, world.now);
    let Some(Action::Record(status)) = actions.first() else { panic!("{actions:?}") };
    let ready = find_condition(&status.conditions, ConditionType::Ready).unwrap();
    assert_eq!((ready.reason.as_str(), status.attempts), ("NotApplied", 0));
    assert!(ready.message.contains("exceeded quota"), "{}", ready.message);
    world.run(20, 200);
    assert_eq!((world.made, world.status().attempts), (1, 1));
}

#[test]
fn what_cannot_be_read_is_not_called_gone() {
    let mut world = World::ready();
    world.blind = true;
    world.revoke();
    world.run(5, 200);
    let open = |item: &str| (item.to_owned(), "Open".to_owned());
    for item in ["pod", "rules", "lease"] {
        assert!(receipt(&world).contains(&open(item)), "{item}: {:?}", receipt(&world));
    }
}

#[test]
fn a_pod_stays_until_the_only_word_of_a_violation_is_on_record() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().end = Some("Violation".into());
    world.tick(200);
    world.tick(200);
    assert_eq!(world.pod.as_ref().unwrap().phase, Some(Phase::Ended));
    world.mute = true;
    for _ in 0..20 {
        // The process dies each time: nothing is remembered but what is written.
        world.reconcile(&mut 1);
        world.reconcile(&mut usize::MAX.clone());
        world.tick(1000);
    }
    assert!(world.pod.is_some());
    world.mute = false;
    world.run(30, 1000);
    assert_eq!(world.status().end_reason.as_deref(), Some("Violation"));
    everything_is_shut(&world);
}

#[test]
fn time_passes_for_an_end_that_cannot_be_written() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().stuck = true;
    world.revoke();
    for seconds in 0..15 {
        let actions = world.plan().actions;
        let told = actions.contains(&Action::TellEnd(EndReason::Revoked));
        let goes = actions.contains(&Action::DeletePod);
        assert!(told, "after {seconds} s");
        assert!(goes || seconds < 1, "a pod that does not answer goes");
        world.ending.get_or_insert(Ending { since: world.now, reason: EndReason::Revoked });
        world.tick(1000);
    }
    let handed_over = world.plan().actions.iter().any(|action| matches!(action, Action::ShutLease(_)));
    assert!(handed_over, "its lease is shut, though its status was never written");
}

#[test]
fn a_violation_that_is_taken_back_before_it_is_on_record_still_ends_the_grant() {
    let mut world = World::ready();
    world.mute = true;
    world.pod.as_mut().unwrap().lease_id = Some("database/creds/admin/x".into());
    world.run(1, 200);
    // The word to it was lost, and it goes on as if nothing had been.
    let pod = world.pod.as_mut().unwrap();
    (pod.end, pod.phase) = (None, Some(Phase::Ready));
    pod.lease_id = Some("database/creds/jit-read-role/pod-1".into());
    world.mute = false;
    world.run(60, 1000);
    assert_eq!(world.status().end_reason.as_deref(), Some("Violation"));
    everything_is_shut(&world);
}

#[test]
fn a_lease_whose_id_comes_after_its_token_was_revoked_is_looked_at_by_its_id() {
    let mut world = World::ready();
    let lease = &mut world.grant.status.as_mut().unwrap().leases[0];
    (lease.lease_id, lease.revoked) = (None, true);
    world.revoke();
    world.run(1, 200);
    assert!(!world.status().leases[0].revoked, "its id is on record now, and nobody has looked");
    world.run(30, 1000);
    everything_is_shut(&world);
}

#[test]
fn a_grant_is_settled_only_when_its_request_says_that_it_ended_and_its_finalizer_is_off() {
    let mut world = World::ready();
    world.grant.status.as_mut().unwrap().phase = GrantPhase::Ended;
    let settles = |world: &World| {
        let records = |action: &Action| matches!(action, Action::Record(status) if status.settled);
        world.plan().actions.iter().any(records)
    };
    assert!(!settles(&world));
    world.request = RequestLink::Closed;
    assert!(!settles(&world), "the finalizer is on");
    world.grant.metadata.finalizers = None;
    assert!(settles(&world));
    world.request = RequestLink::Unknown;
    assert!(!settles(&world), "nobody knows what the request says");
}

#[test]
fn a_lease_that_stands_keeps_a_grant_open_though_its_receipt_is_complete() {
    let mut world = World::ready();
    world.revoke();
    world.run(30, 500);
    everything_is_shut(&world);
    world.grant.metadata.finalizers = Some(vec![crds::FINALIZER.to_owned()]);
    let status = world.grant.status.as_mut().unwrap();
    (status.phase, status.settled, status.leases[0].revoked) = (GrantPhase::Ending, false, false);
    world.desk.clear();
    let Plan { actions, .. } = world.plan();
    assert!(!actions.contains(&Action::RemoveFinalizer), "{actions:?}");
    assert!(actions.iter().any(|action| matches!(action, Action::ShutLease(_))), "{actions:?}");
}

#[test]
fn a_pod_that_runs_is_not_kept_for_ever_for_what_it_says_anew() {
    let mut world = World::ready();
    world.pod.as_mut().unwrap().lease_id = Some("database/creds/admin/x".into());
    let after = |seconds| {
        let since = world.now - jiff::SignedDuration::from_secs(seconds);
        let ending = Some(Ending { since, reason: EndReason::Violation });
        plan(&Observed { ending, ..world.observe() }, world.now).order
    };
    assert_eq!((after(0), after(29), after(30)), (Order::RecordFirst, Order::RecordFirst, Order::AtOnce));
}

#[test]
fn nothing_is_repaired_while_what_may_forbid_it_cannot_be_read() {
    let mut world = World::ready();
    world.rules.role_binding = Child::Missing;
    let applies = |observed: &Observed| {
        plan(observed, world.now).actions.iter().any(|action| matches!(action, Action::Apply(_)))
    };
    assert!(applies(&world.observe()));
    assert!(!applies(&Observed { unread: vec!["the Database: forbidden".into()], ..world.observe() }));
}
