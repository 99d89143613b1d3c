//! The plan obeyed by a small world that may crash between any two steps.

#![allow(clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::super::observed::{Child, RequestLink, UsageDue};
use super::model::World;
use super::tests::everything_is_shut;

/// What may happen to a grant, in any order.
#[derive(Clone, Debug)]
enum Event {
    Tick(i64),
    /// Reconcile, and die after this number of steps.
    Crash(usize),
    Reconcile,
    /// The leader is paused before this step, and another one leads.
    Sleeps(usize),
    /// It goes on.
    Wakes,
    Reads(u64),
    Usage(UsageDue),
    Revoke,
    DeletePodByHand,
    PodDies,
    PodSticks,
    VaultDown,
    VaultUp,
    DatabaseDown,
    DatabaseUp,
    LogDown,
    LogUp,
    PodObjectVanishes,
    TakeNetworkPolicy,
    RequestGone,
    Violation,
    ReadsFail(bool),
    WritesFail(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (50_i64..3000).prop_map(Event::Tick),
        6 => (0_usize..12).prop_map(Event::Crash),
        6 => Just(Event::Reconcile),
        3 => (0_usize..12).prop_map(Event::Sleeps),
        4 => Just(Event::Wakes),
        3 => (1_u64..1000).prop_map(Event::Reads),
        2 => prop_oneof![Just(UsageDue::Now), Just(UsageDue::Later)].prop_map(Event::Usage),
        1 => Just(Event::Revoke),
        1 => Just(Event::DeletePodByHand),
        1 => Just(Event::PodDies),
        1 => Just(Event::PodSticks),
        1 => Just(Event::VaultDown),
        2 => Just(Event::VaultUp),
        1 => Just(Event::DatabaseDown),
        2 => Just(Event::DatabaseUp),
        1 => Just(Event::LogDown),
        2 => Just(Event::LogUp),
        1 => Just(Event::PodObjectVanishes),
        1 => Just(Event::TakeNetworkPolicy),
        1 => Just(Event::RequestGone),
        1 => Just(Event::Violation),
        2 => any::<bool>().prop_map(Event::ReadsFail),
        2 => any::<bool>().prop_map(Event::WritesFail),
    ]
}

fn happen(world: &mut World, event: &Event) {
    match event {
        Event::Tick(millis) => world.tick(*millis),
        Event::Crash(steps) => world.reconcile(&mut steps.clone()),
        Event::Reconcile => world.reconcile(&mut usize::MAX.clone()),
        Event::Sleeps(steps) => world.falls_asleep(*steps),
        Event::Wakes => world.wakes(),
        Event::Reads(rows) => world.reads(*rows),
        Event::Usage(due) => world.usage = *due,
        Event::Revoke => world.revoke(),
        Event::DeletePodByHand => {
            let now = world.now;
            if let Some(pod) = &mut world.pod {
                pod.deleting_since.get_or_insert(now);
            }
        }
        Event::PodDies => {
            if let Some(pod) = world.pod.as_mut().filter(|pod| pod.phase.is_some()) {
                pod.died = true;
                pod.finished_at.get_or_insert(world.now);
            }
        }
        // What a pod said as it finished, Kubernetes keeps.
        Event::PodSticks => {
            if let Some(pod) = world.pod.as_mut().filter(|pod| pod.finished_at.is_none()) {
                pod.stuck = true;
            }
        }
        Event::VaultDown => world.vault_is_up = false,
        Event::VaultUp => world.vault_is_up = true,
        Event::DatabaseDown => world.database_is_up = false,
        Event::DatabaseUp => world.database_is_up = true,
        Event::LogDown => world.log_is_up = false,
        Event::LogUp => world.log_is_up = true,
        Event::PodObjectVanishes => world.vanishes(),
        Event::TakeNetworkPolicy => world.rules.network_policy = Child::Missing,
        Event::RequestGone => world.request = RequestLink::Gone,
        Event::Violation => {
            if let Some(pod) = world.pod.as_mut().filter(|pod| pod.phase.is_some()) {
                pod.end.get_or_insert("Violation".into());
            }
        }
        Event::ReadsFail(blind) => world.blind = *blind,
        Event::WritesFail(mute) => world.mute = *mute,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn killed_between_any_two_steps_a_grant_still_converges_nothing_doubled_nothing_left(
        events in proptest::collection::vec(event(), 0..60)
    ) {
        let mut world = World::new();
        for event in &events {
            happen(&mut world, event);
        }
        (world.vault_is_up, world.database_is_up, world.log_is_up) = (true, true, true);
        (world.blind, world.mute) = (false, false);
        if let Some(pod) = &mut world.pod {
            pod.stuck = false;
        }
        world.revoke();
        world.run(200, 1000);
        everything_is_shut(&world);
        // However late it wakes.
        world.wakes();
        world.run(5, 1000);
        everything_is_shut(&world);
    }
}

/// An order of events that once deleted a pod before anything about its end was written.
#[test]
fn of_a_pod_that_nobody_sees_the_end_is_on_record_before_it_is_deleted() {
    let mut world = World::new();
    let events = [
        Event::Crash(7),
        Event::Tick(50),
        Event::WritesFail(true),
        Event::Revoke,
        Event::Violation,
        Event::Crash(2),
        Event::Tick(1037),
        Event::Tick(677),
        Event::WritesFail(false),
        Event::Tick(1463),
        Event::Tick(2588),
        Event::Tick(2318),
        Event::Tick(1917),
        Event::ReadsFail(true),
        Event::Crash(1),
    ];
    events.iter().for_each(|event| happen(&mut world, event));
    let is_there = |world: &World| world.pod.as_ref().is_some_and(|pod| pod.deleting_since.is_none());
    assert!(is_there(&world), "the first step of the last look was to write");
    assert_eq!(world.status().end_reason.as_deref(), Some("Revoked"));
    [Event::Tick(10_000), Event::Reconcile].iter().for_each(|event| happen(&mut world, event));
    assert!(!is_there(&world));
}
