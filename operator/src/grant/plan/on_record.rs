//! What a grant does is on record before it does it, and its receipt before it is called ended; a log that is away holds up what opens,
//! and the last word, and nothing else.

use access::report::Phase;
use crds::{Because, ConditionType, GrantPhase, Reason, find_condition};
use record::What;

use super::super::observed::Observed;
use super::model::World;
use super::tests::everything_is_shut;
use super::{Action, Plan, plan};
use crate::audit::streams::InLog;

#[test]
fn with_the_audit_log_away_no_proxy_is_let_on_and_it_says_so_until_the_log_is_back() {
    let mut world = World::new();
    world.run(1, 200);
    world.tick(200);
    world.log_is_up = false;
    world.run(20, 200);
    assert_eq!(world.pod.as_ref().unwrap().phase, Some(Phase::Custody));
    assert!(world.vault.is_empty());
    world.log_is_up = true;
    world.run(20, 200);
    assert_eq!(world.status().phase, GrantPhase::Ready);
}

#[test]
fn with_the_audit_log_away_people_are_cut_off_and_everything_is_shut_but_the_grant_is_not_ended() {
    let mut world = World::ready();
    world.log_is_up = false;
    world.revoke();
    world.run(30, 200);
    let status = world.status();
    assert_eq!(status.phase, GrantPhase::Ending);
    assert!(world.pod.is_none() && world.vault.values().all(|stands| !stands));
    let open: Vec<_> = status.receipt.iter().filter(|line| line.outcome == "Open").collect();
    assert_eq!((open.len(), open[0].item.as_str(), open[0].reason.as_str()), (1, "record", "RecordAsked"));
    world.log_is_up = true;
    world.run(5, 1000);
    everything_is_shut(&world);
    let line = world.status().receipt.into_iter().find(|line| line.item == "record").unwrap();
    // Its last records never came there.
    assert_eq!((line.outcome.as_str(), line.reason.as_str()), ("Unprovable", "RecordShort"));
    let Some(What::Receipt(receipt)) = world.facts.get("receipt/g1").map(|fact| &fact.what) else { panic!() };
    assert!(receipt.streams.is_empty(), "what the log has not is not counted");
    let late = world.facts.values().filter_map(|fact| match &fact.what {
        What::LateOutcome(late) => {
            Some((late.outcome.as_ref().map(|outcome| outcome.rows.get()), late.more.get()))
        }
        _ => None,
    });
    assert_eq!(late.collect::<Vec<_>>(), [(Some(7), 0)], "it is in the proxy's last words");
}

#[test]
fn everything_that_a_grant_does_is_on_record_in_its_order() {
    let mut world = World::ready();
    world.revoke();
    world.run(30, 200);
    everything_is_shut(&world);
    let kinds: Vec<&str> = world.facts.values().map(|fact| fact.what.kind().1).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "shut").count(), 7, "{kinds:?}");
    for kind in ["pod", "end", "receipt"] {
        assert_eq!(kinds.iter().filter(|one| **one == kind).count(), 1, "{kind}");
    }
    let Some(What::Receipt(receipt)) = world.facts.get("receipt/g1").map(|fact| &fact.what) else { panic!() };
    assert_eq!((receipt.items.len(), receipt.reason.as_str()), (7, "Revoked"));
    assert_eq!(receipt.streams.len(), 1);
    assert_eq!(receipt.streams[0].count.get(), world.streams["pod-1"]);
}

#[test]
fn a_log_that_was_set_back_keeps_the_grant_from_being_called_ended() {
    let mut world = World::ready();
    world.revoke();
    world.run(2, 200);
    world.streams.insert("pod-1".into(), 0);
    world.log_is_up = false;
    world.run(20, 200);
    world.log_is_up = true;
    world.run(5, 1000);
    let line = world.status().receipt.into_iter().find(|line| line.item == "record").unwrap();
    assert_eq!((line.outcome.as_str(), line.reason.as_str()), ("Open", "RecordDiffers"));
    assert_eq!(world.status().phase, GrantPhase::Ending);
}

#[test]
fn records_of_a_log_that_is_gone_are_not_waited_for_and_the_receipt_says_which_log_had_them() {
    for is_heard in [true, false] {
        let mut world = World::ready();
        assert_eq!(world.status().leases[0].log.as_deref(), Some("keyhole.internal/log/1"));
        world.revoke();
        if is_heard {
            world.run(2, 200);
        } else {
            world.vanishes();
        }
        // Its volume was lost, and somebody accepted that.
        world.streams.clear();
        world.origin = "keyhole.internal/log/2";
        world.run(30, 1000);
        everything_is_shut(&world);
        let line = world.status().receipt.into_iter().find(|line| line.item == "record").unwrap();
        assert_eq!((line.outcome.as_str(), line.reason.as_str()), ("Unprovable", "RecordGone"));
        for origin in ["keyhole.internal/log/1", "keyhole.internal/log/2"] {
            assert!(line.detail.contains(origin), "{}", line.detail);
        }
    }
}

#[test]
fn a_proxy_that_died_leaves_a_record_that_nobody_can_call_whole() {
    let mut world = World::ready();
    let now = world.now;
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at) = (true, Some(now));
    world.revoke();
    world.run(60, 1000);
    everything_is_shut(&world);
    let line = world.status().receipt.into_iter().find(|line| line.item == "record").unwrap();
    assert_eq!((line.outcome.as_str(), line.reason.as_str()), ("Unprovable", "RecordUncounted"));
    assert!(line.detail.contains("2 of stream g1/0000000000000001"), "{}", line.detail);
}

/// The lease's line of the receipt.
fn lease(world: &World) -> (String, String) {
    let line = world.status().receipt.into_iter().find(|line| line.item == "lease").unwrap();
    (line.outcome, line.reason)
}

#[test]
fn a_status_that_was_set_back_does_not_prove_the_end_of_a_lease_that_the_log_knows() {
    let mut world = World::ready();
    world.vanishes();
    world.grant.status.as_mut().unwrap().leases.clear();
    world.revoke();
    world.vault_is_up = false;
    world.run(20, 1000);
    assert_eq!(lease(&world).0, "Open");
    assert_eq!(world.status().phase, GrantPhase::Ending);
    world.vault_is_up = true;
    world.run(40, 1000);
    everything_is_shut(&world);
    assert_eq!(lease(&world), ("Proved".into(), "LeaseGone".into()));
    let sockets = world.status().receipt.into_iter().find(|line| line.item == "sockets").unwrap();
    assert_eq!(sockets.outcome, "Unprovable", "nobody says what its proxy did: {}", sockets.detail);
}

#[test]
fn a_status_that_knows_one_of_two_tokens_has_both_shut() {
    let mut world = World::ready();
    let now = world.now;
    let pod = world.pod.as_mut().unwrap();
    (pod.died, pod.finished_at) = (true, Some(now));
    world.run(24, 1000);
    assert_eq!((world.made, world.status().phase), (2, GrantPhase::Ready));
    let first = world.grant.status.as_mut().unwrap().leases.remove(0);
    // As if nobody had revoked it: its token is asked about again.
    world.vault.insert(first.token_accessor.clone(), true);
    world.revoke();
    world.run(60, 1000);
    everything_is_shut(&world);
    let accessors: Vec<String> = world.status().leases.into_iter().map(|line| line.token_accessor).collect();
    assert_eq!((accessors.len(), &accessors[0]), (2, &first.token_accessor));
    assert!(world.vault.values().all(|stands| !stands));
}

#[test]
fn that_no_proxy_was_ever_let_on_is_proved_when_the_log_says_so_too() {
    let mut world = World::new();
    world.log_is_up = false;
    world.revoke();
    let next = |world: &World| world.plan().look_again.unwrap().duration_since(world.now).as_secs();
    world.run(30, 1000);
    assert_eq!(next(&world), 5, "the log is away");
    assert!(world.status().receipt.iter().all(|line| line.reason != "NeverOpened"));
    assert_eq!(lease(&world), ("Open".into(), "RecordAsked".into()));
    world.log_is_up = true;
    world.run(10, 1000);
    everything_is_shut(&world);
    assert_eq!(lease(&world), ("Proved".into(), "NeverOpened".into()));
}

#[test]
fn a_log_that_answers_and_does_not_know_everything_yet_is_not_called_silent() {
    let mut world = World::ready();
    world.log_is_up = false;
    world.revoke();
    world.run(10, 200);
    for (streams, says) in
        [(InLog::Unknown, "does not answer"), (InLog::InPart, "looks its records up again")]
    {
        let Plan { actions, .. } = plan(&Observed { streams, ..world.observe() }, world.now);
        let status = actions.iter().find_map(|action| match action {
            Action::Record(status) => Some(*status.clone()),
            _ => None,
        });
        let line =
            status.unwrap_or(world.status()).receipt.into_iter().find(|line| line.item == "record").unwrap();
        assert_eq!((line.outcome.as_str(), line.reason.as_str()), ("Open", "RecordAsked"));
        assert!(line.detail.contains(says), "{}", line.detail);
    }
}

#[test]
fn a_receipt_that_is_not_taken_says_so_in_the_condition_ended_once_and_is_tried_again() {
    let mut world = World::ready();
    world.revoke();
    while !matches!(world.plan().actions.first(), Some(Action::Put(_))) {
        world.run(1, 200);
    }
    let why = "cannot go on before it is on record: the audit log does not take records now";
    let setback = || Some(Because::new(Reason::AuditUnavailable, why));
    let Plan { actions, look_again, .. } =
        plan(&Observed { setback: setback(), ..world.observe() }, world.now);
    let [Action::Record(status)] = actions.as_slice() else { panic!("{actions:?}") };
    let ended = find_condition(&status.conditions, ConditionType::Ended).unwrap();
    assert_eq!((ended.status.as_str(), ended.reason.as_str()), ("False", "AuditUnavailable"));
    assert!(
        ended.message.contains("everything is shut") && ended.message.ends_with(why),
        "{}",
        ended.message
    );
    assert_eq!((status.phase, look_again), (GrantPhase::Ending, Some(world.now)));
    world.grant.status = Some(*status.clone());
    for setback in [setback(), None] {
        let actions = plan(&Observed { setback, ..world.observe() }, world.now).actions;
        let [Action::Put(_), Action::Record(status), ..] = actions.as_slice() else { panic!("{actions:?}") };
        assert_eq!(status.phase, GrantPhase::Ended);
    }
    world.run(3, 200);
    everything_is_shut(&world);
}
