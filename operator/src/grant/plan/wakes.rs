//! A grant is looked at when something that is watched changes, when its proxy says something new to who listens, or when its plan said
//! so, and at no other time: that is enough, and how many looks it takes.

#![allow(clippy::arithmetic_side_effects)]

use access::report::{Phase, Report};
use crds::GrantPhase;
use jiff::{SignedDuration, Timestamp};

use super::super::listening::is_news;
use super::super::observed::{Link, Observed, PodState, RequestLink};
use super::model::World;
use super::{Plan, plan};
use crate::admission::Admission;

/// How long between two moments of the small world.
const MOMENT: SignedDuration = SignedDuration::from_millis(100);

/// A small world, and what made the operator look at it last.
struct Operated {
    world: World,
    seen: String,
    /// What the proxy had said, while it is listened to.
    said: Option<Option<Report>>,
    again: Option<Timestamp>,
    looks: usize,
}

impl Operated {
    fn new(world: World) -> Self {
        Self { world, seen: String::new(), said: None, again: None, looks: 0 }
    }

    /// What is watched. The status is the operator's own writing.
    fn watched(&self) -> String {
        let observed = self.world.observe();
        let of_grant = (&observed.grant.spec, observed.request, self.world.database, observed.findings);
        format!("{:?}", (of_grant, observed.pod, self.world.rules, observed.stopped))
    }

    /// One moment: a look if there is a reason for one, and the world goes on.
    fn moment(&mut self) {
        let (seen, report) = (self.watched(), self.world.observe().report);
        let heard = self.said.as_ref().is_some_and(|said| is_news(said.as_ref(), report.as_ref()));
        if seen != self.seen || heard || self.again.is_some_and(|again| again <= self.world.now) {
            let plan = self.world.plan();
            (self.seen, self.again) = (seen, plan.look_again);
            self.said = plan.listen.then_some(report);
            self.looks += 1;
            let is_running =
                self.world.observe().pod.there().is_some_and(|pod| pod.state == PodState::Running);
            self.world.reconcile(&mut usize::MAX.clone());
            let serves = self.world.status().phase == GrantPhase::Ready;
            assert_eq!(
                plan.listen,
                is_running && !serves,
                "who starts or ends is listened to, and nobody else"
            );
        }
        self.world.tick(i64::try_from(MOMENT.as_millis()).unwrap());
    }

    /// Goes on until the grant is in this phase; answers how many looks that took.
    fn until(&mut self, phase: GrantPhase) -> usize {
        let before = self.looks;
        for _ in 0..60 {
            if self.world.status().phase == phase {
                return self.looks - before;
            }
            self.moment();
        }
        panic!("not {phase:?} within six seconds: {:?}", self.world.status().conditions);
    }
}

#[test]
fn a_grant_opens_and_ends_though_nobody_asks_how_far_it_is() {
    let mut operated = Operated::new(World::new());
    let opening = operated.until(GrantPhase::Ready);
    assert!(opening <= 8, "{opening} looks");
    operated.moment();
    let before = operated.looks;
    for _ in 0..100 {
        operated.moment();
    }
    assert_eq!(operated.looks, before, "nothing happens");
    operated.world.revoke();
    let ending = operated.until(GrantPhase::Ended);
    assert!(ending <= 8, "{ending} looks");
}

#[test]
fn whenever_it_is_told_to_end_it_ends_within_seconds() {
    type End = fn(&mut World);
    let ends: [End; 4] = [
        World::revoke,
        |world| world.request = RequestLink::Gone,
        |world| world.database = Link::Gone,
        |world| {
            // Its process dies in that moment.
            world.pod.iter_mut().for_each(|pod| pod.died = true);
            world.revoke();
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        for moments in 0..30 {
            let mut operated = Operated::new(World::new());
            (0..moments).for_each(|_| operated.moment());
            end(&mut operated.world);
            let looks = operated.until(GrantPhase::Ended);
            assert!(looks <= 10, "end {number} after {moments} moments: {looks} looks");
        }
    }
}

#[test]
fn nobody_tells_of_the_deadline_and_it_is_kept() {
    for moments in 1..30 {
        let mut world = World::new();
        world.grant.spec.expires_at.0 = world.now.checked_add(MOMENT * moments).unwrap();
        let mut operated = Operated::new(world);
        (0..=moments).for_each(|_| operated.moment());
        assert_eq!(operated.world.status().end_reason.as_deref(), Some("Expired"), "after {moments} moments");
        operated.until(GrantPhase::Ended);
    }
}

#[test]
fn nobody_tells_when_what_holds_a_credential_up_is_over_or_a_proxy_took_too_long() {
    let within = |world: &World, plan: Plan| plan.look_again.unwrap().duration_since(world.now);
    let mut world = World::new();
    world.run(1, 200);
    world.tick(200);
    let admission = Some(Admission::NotInForce { what: "one is missing".into() });
    let held_up = plan(&Observed { admission, ..world.observe() }, world.now);
    assert!(within(&world, held_up) <= SignedDuration::from_secs(2));

    let mut world = World::ready();
    world.revoke();
    world.run(1, 0);
    let report = Some(Report { phase: Phase::Ending, ..world.observe().report.unwrap() });
    world.now = world.now.checked_add(SignedDuration::from_secs(7)).unwrap();
    let ends = plan(&Observed { report, ..world.observe() }, world.now);
    assert_eq!(
        within(&world, ends),
        SignedDuration::from_secs(3),
        "its pod goes ten seconds after the order"
    );
}

#[test]
fn what_could_not_be_read_is_read_again_soon() {
    let world = World::ready();
    for unread in ["the Database: 429", "the RoleBinding: no answer in time"] {
        let observed = Observed { unread: vec![unread.into()], ..world.observe() };
        let again = plan(&observed, world.now).look_again.unwrap();
        assert!(again.duration_since(world.now) <= SignedDuration::from_secs(2), "{unread}: {again}");
    }
}
