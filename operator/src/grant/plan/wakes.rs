//! A grant is looked at when something that is watched changes, when its proxy says something new to who listens, or when its plan said
//! so, and at no other time: that is enough, and how many looks it takes.

#![allow(clippy::arithmetic_side_effects)]

use crds::GrantPhase;
use jiff::{SignedDuration, Timestamp};

use super::super::observed::RequestLink;
use super::model::World;

/// How long between two moments of the small world.
const MOMENT: SignedDuration = SignedDuration::from_millis(100);

/// A small world, and what made the operator look at it last.
struct Operated {
    world: World,
    seen: String,
    said: Option<String>,
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
        let of_grant = (&observed.grant.spec, observed.request, observed.findings);
        format!("{:?}", (of_grant, observed.pod, observed.rules, observed.stopped))
    }

    /// One moment: a look if there is a reason for one, and the world goes on.
    fn moment(&mut self) {
        let (seen, report) = (self.watched(), format!("{:?}", self.world.observe().report));
        let heard = self.said.as_ref().is_some_and(|said| *said != report);
        if seen != self.seen || heard || self.again.is_some_and(|again| again <= self.world.now) {
            let plan = self.world.plan();
            (self.seen, self.again) = (seen, plan.look_again);
            self.said = plan.listen.then_some(report);
            self.looks += 1;
            self.world.reconcile(&mut usize::MAX.clone());
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
    assert!(operated.said.is_none(), "a proxy that serves is not listened to");
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
    let ends: [End; 3] = [
        World::revoke,
        |world| world.request = RequestLink::Gone,
        |world| world.grant.spec.expires_at.0 = world.now,
    ];
    for (number, end) in ends.into_iter().enumerate() {
        for moments in 0..30 {
            let mut operated = Operated::new(World::new());
            (0..moments).for_each(|_| operated.moment());
            end(&mut operated.world);
            let looks = operated.until(GrantPhase::Ended);
            assert!(looks <= 8, "end {number} after {moments} moments: {looks} looks");
        }
    }
}
